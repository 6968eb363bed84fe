"""The shipped file of published numbers is sound, and a bad file is one sentence."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from opselect.bench.published.numbers import MEASURES, RUN_MEASURES, InvalidNumbers, Published, load_packaged, read
from opselect.spaces import registry
from tests.bench.published.examples import FILE, LOGGED, TIME

SHARED = Path(__file__).parents[4] / "shared" / "data"
PUBLISHED_FIGURES = SHARED / "published_numbers.json"


def test_the_shipped_file_is_sound() -> None:
    published = load_packaged()
    assert len(published.numbers) > 100
    assert {number.source for number in published.numbers} == set(published.sources)
    assert {name for number in published.numbers for name in number.reading} == set(published.reading)
    assert {number.training for number in published.numbers} - {None} == set(published.training)
    assert {number.network for number in published.numbers} - {None} == set(published.network)
    assert {number.measure for number in published.numbers} == set(MEASURES)
    spaces = {number.space for number in published.numbers}
    assert spaces == {"nasbench201", "darts", "darts-s1", "darts-s2", "darts-s3", "darts-s4"}
    for number in published.numbers:
        if number.space == "nasbench201" and number.method is not None:
            selector, _, supernet = number.method.partition(" on ")
            assert selector in registry.names("selectors")
            assert supernet in ("", *registry.names("supernets"))
            fields = registry.load("selectors", selector).model_fields
            assert set(number.settings) <= set(fields), number
            of_experiments = {*published.reading["crops"], *published.reading["random-alpha"]}
            assert set(published.reading_of(number)) - of_experiments <= set(fields), number
            known = registry.names("proxies") + registry.names("combinations")
            assert set(number.settings.get("proxy", ())) <= set(known), number


def test_tolerances_of_the_shipped_file_follow_its_rule() -> None:
    checked = 0
    for number in load_packaged().numbers:
        if number.measure not in RUN_MEASURES or number.tolerance is None:
            continue
        if number.measure == "first-step Spearman with best-acc":
            floor = 0.30
        elif number.space == "nasbench201":
            floor = 0.5 if number.deviation is not None or number.value == 54.30 else 3.0
        else:
            assert number.dataset is not None
            floor = 0.5 if number.dataset[0] == "cifar100" else 0.2
        errors = 0.0 if number.deviation is None else 2 * number.deviation / math.sqrt(number.seeds or 4)
        assert number.tolerance == pytest.approx(max(floor, errors), abs=1e-3), number
        checked += 1
    assert checked > 50


def test_every_judged_selector_of_the_shipped_file_names_images_and_the_readings_of_the_published_code() -> None:
    published = load_packaged()
    judged = [each for each in published.numbers if each.measure in RUN_MEASURES and each.judged]
    for number in judged:
        assert number.images, number
        if number.definition.timed:
            continue
        reading, method = published.reading_of(number), str(number.method).partition(" on ")[0]
        assert (reading["crop_padding"], reading["crop_fill"], reading["flip"]) == ((4,), ("black",), (True,)), number
        if method in ("zero-cost-pt", "zero-cost-disc", "te-nas"):
            assert reading["augmented"] == (True,) and "batch_size" in reading, number
        if method in ("darts-pt", "disc-acc"):
            assert (reading["shuffled"], reading["accuracy_batch_size"]) == ((True,), (64,)), number
            last = 4 if number.space == "nasbench201" else 5
            assert number.measure != "test accuracy" or reading["last_tuning_epochs"] == (last,), number
    assert len(judged) > 70


def test_the_shipped_file_says_what_the_projects_notes_say() -> None:
    if not PUBLISHED_FIGURES.is_file():
        pytest.skip("the published figures lie beside the project only where it is developed")
    notes = json.loads(PUBLISHED_FIGURES.read_text())
    found = {
        (
            number.source,
            number.space,
            (number.dataset or ("",))[0],
            number.method,
            number.settings.get("proxy", ("",))[-1],
            number.settings.get("edge_order", ("",))[0],
            number.over_seeds,
        ): number
        for number in load_packaged().numbers
        if number.measure == "test accuracy"
    }

    def value(*key: str, proxy: str = "", order: str = "", over_seeds: str = "mean") -> float:
        return found[(*key, proxy, order, over_seeds)].value  # type: ignore[index]

    paper = notes["darts_pt_paper"]
    methods = ("magnitude", "darts-pt", "darts-pt on fixed-alpha")
    for short, dataset in (("C10", "cifar10"), ("C100", "cifar100"), ("SVHN", "svhn")):
        for name, errors in paper["s1_s4_test_error"][short].items():
            for method, error in zip(methods, errors, strict=True):
                order = "" if method == "magnitude" else "random"
                ours = value("DARTS-PT", f"darts-{name.lower()}", dataset, method, order=order)
                assert ours == pytest.approx(100 - error), (name, dataset, method)
    for method, error in zip(methods, paper["nas_bench_201_cifar10_test_error"].values(), strict=True):
        order = "" if method == "magnitude" else "random"
        assert value("DARTS-PT", "nasbench201", "cifar10", method, order=order) == pytest.approx(100 - error)
    zico = notes["secondary_sources"][
        "zico_paper_table_8_nb201_zero_pt_own_reimplementation_test_acc_c10_c100_in16_gpuh"
    ]
    proxies = {"SNIP": "snip", "NASWOT": "nwot", "Synflow": "synflow", "grad_norm": "grad_norm", "ZiCo": "zico"}
    for name, proxy in proxies.items():
        for dataset, accuracy in zip(("cifar10", "cifar100", "imagenet16-120"), zico[name], strict=False):
            assert value("ZiCo", "nasbench201", dataset, "zero-cost-pt", proxy=proxy) == accuracy
    logs = notes["nas_bench_201_selected_accuracy_from_logs"]["values"]
    for name, method, proxy in (
        ("zc-pt(nwot) order N=1", "zero-cost-pt", "nwot"),
        ("disc-zc(nwot) order N=1", "zero-cost-disc", "nwot"),
        ("tenas order", "te-nas", "te_nas"),
    ):
        for theirs, dataset in (
            ("cifar10_test_mean_sd", "cifar10"),
            ("cifar100", "cifar100"),
            ("imagenet16_120", "imagenet16-120"),
        ):
            number = found["ZC-PT lookups", "nasbench201", dataset, method, proxy, "fixed", "mean"]
            assert [number.value, number.deviation] == logs[name][theirs]
    spearman = {
        number.method: number
        for number in load_packaged().numbers
        if (number.measure, number.source) == ("first-step Spearman with best-acc", "ZC-PT logs")
    }
    for name, method in (
        ("zc-pt(nwot)", "zero-cost-pt"),
        ("disc-zc(nwot)", "zero-cost-disc"),
        ("darts-pt", "darts-pt"),
        ("disc-acc(interval 25)", "disc-acc"),
    ):
        seeds = notes["zero_cost_pt_code_first_step_spearman"]["methods"][name]
        mean = sum(seeds) / len(seeds)
        deviation = math.sqrt(sum((seed - mean) ** 2 for seed in seeds) / (len(seeds) - 1))
        assert spearman[method].value == pytest.approx(mean, abs=5e-4)
        assert spearman[method].deviation == pytest.approx(deviation, abs=6e-4)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            LOGGED.replace("test accuracy", "test acuracy"),
            "number 1: no measure named 'test acuracy'; did you mean 'test",
        ),
        (LOGGED + ', source = "papr"', "no source named 'papr'; did you mean 'paper'? known are paper"),
        (LOGGED + ', reading = ["code", "cod"]', "no reading named 'cod'; did you mean 'code'?"),
        (LOGGED + ', training = "unusual"', "no training named 'unusual'; did you mean 'usual'?"),
        (LOGGED.replace('dataset = "cifar10", ', ""), "number 1: 'test accuracy' needs 'dataset'"),
        (LOGGED.replace('images = "cifar10", ', ""), "number 1: 'test accuracy' needs 'images'"),
        (LOGGED.replace(", tolerance = 0.5", ""), "neither a 'deviation' over several 'seeds' nor a 'tolerance'"),
        (LOGGED.replace("tolerance = 0.5", "deviation = 0.4, seeds = 1"), "neither a 'deviation' over several 'seeds'"),
        (LOGGED + ", deviation = 0.4, seeds = 4", "the 'deviation' over 'seeds' judges: leave out the 'tolerance'"),
        (LOGGED.replace("tolerance = 0.5", "judged = false"), "where nothing is judged, a 'note' must say why"),
        (LOGGED + ', judged = false, note = "unknown"', "nothing is judged: leave out the 'tolerance'"),
        (LOGGED.replace("tolerance", "tolerence"), "number 1: unknown field 'tolerence'; did you mean 'tolerance'?"),
        (LOGGED.replace("value = 94.0", 'value = "94.0"'), "number 1: value: input should be a valid number"),
        (TIME + ", tolerance = 1.0", "'search time' is a time, which nothing can reproduce"),
        (f"{LOGGED} }},\n{{ {LOGGED.replace('94.0', '95.0')}", "number 2 (test accuracy, nasbench201, 95): the same"),
        ("", "number 1: measure: field required"),
    ],
)
def test_a_bad_number_is_one_sentence(numbers: Callable[..., Published], entry: str, expected: str) -> None:
    with pytest.raises(InvalidNumbers) as caught:
        numbers(entry)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ((FILE, "no TOML"), "expected a file of published numbers in TOML"),
        (("[[group]]", "[[gruop]]"), "unknown field 'gruop'; did you mean 'group'?"),
        (
            (
                "[training.usual]",
                '[[source]]\nid = "paper"\ncitation = "x"\nobtained = "x"\nverified = false\n[training.usual]',
            ),
            "two sources share an id",
        ),
        (("verified = true", ""), "source 1: verified: field required"),
        (("NUMBERS", ""), "number: list should have at least 1 item"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path: Path, change: tuple[str, str], expected: str) -> None:
    path = tmp_path / "numbers.toml"
    assert change[0] in FILE
    path.write_text(FILE.replace(*change).replace("NUMBERS", f"{{ {LOGGED} }}"))
    with pytest.raises(InvalidNumbers, match=r"numbers\.toml") as caught:
        read(path)
    assert expected in str(caught.value)
    with pytest.raises(InvalidNumbers, match="No such file"):
        read(tmp_path / "absent.toml")
