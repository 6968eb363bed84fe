"""Experiment files: what is right is read as it stands, what is wrong is one sentence, and nothing else is raised."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import Field

from opselect.bench.experiment.file import Experiment, InvalidExperiment, SupernetEntry, _takes_lists, parse, read
from opselect.bench.experiment.ingredients import check_ingredients, load_ingredients
from opselect.bench.experiment.study import read_study
from opselect.bench.runs.runner import trials_of
from opselect.bench.runs.supernets import SupernetJob
from opselect.selectors.methods import (
    AverageAccuracy,
    BestAccuracy,
    DartsPT,
    DiscretizationAccuracy,
    Magnitude,
    Random,
    ZeroCostDisc,
    ZeroCostPT,
)
from opselect.selectors.supernets.darts import DARTS
from opselect.selectors.supernets.fixed_alpha import FixedAlpha
from opselect.spaces.errors import MissingData, UserError
from opselect.spaces.image_sources import InvalidImages, load_images
from opselect.spaces.images import ImageData
from opselect.spaces.nasbench201.space import digits201, nasbench201
from opselect.spaces.registry import UnknownName
from opselect.spaces.table import SeedPolicy, Table

Planting: TypeAlias = Callable[..., AbstractContextManager[None]]

SHIPPED = Path(__file__).parents[3] / "bench" / "experiment" / "packaged" / "digits201.toml"

TOP = """
name = "mine"
space = "digits201"
images = "digits"
seeds = [0, 1]
"""
SELECTOR = """
[[selector]]
name = "random"
"""
MAGNITUDE = """
[[selector]]
name = "magnitude"
"""
TABLE = """
[table]
name = "digits201"
dataset = "digits"
epochs = 10
"""


def with_selector(lines: str) -> str:
    """A file whose second selector has these lines."""
    return f"{TOP}{SELECTOR}[[selector]]\n{lines}\n"


def complaint(text: str) -> str:
    """What is said about a bad file, which must be one short sentence that begins with the file."""
    with pytest.raises(InvalidExperiment) as caught:
        parse(text, "mine.toml")
    message = str(caught.value)
    assert message.startswith("mine.toml")
    assert message.isprintable()
    assert len(message) < 400
    return message


def test_the_shipped_experiment_has_the_ten_entries_of_the_readme() -> None:
    experiment = read(SHIPPED)
    zero_cost = {"batch_size": 64, "candidates": 10, "validation_batches": 10}
    assert {entry.label: entry.settings for entry in experiment.selectors} == {
        "magnitude": Magnitude(),
        "darts-pt": DartsPT(edge_order="random", tuning_epochs=5),
        "darts-pt on fixed-alpha": DartsPT(edge_order="random", tuning_epochs=5),
        "disc-acc": DiscretizationAccuracy(edge_order="random", tuning_epochs=5),
        "zero-cost-pt (nwot)": ZeroCostPT(proxy="nwot", edge_order="random", **zero_cost),
        "zero-cost-pt (synflow)": ZeroCostPT(proxy="synflow", edge_order="random", **zero_cost),
        "zero-cost-disc (nwot)": ZeroCostDisc(proxy="nwot", edge_order="random", **zero_cost),
        "random": Random(),
        "best-acc": BestAccuracy(edge_order="random"),
        "avg-acc": AverageAccuracy(edge_order="random"),
    }
    assert [type(entry.selector) for entry in experiment.selectors] == [
        type(entry.settings) for entry in experiment.selectors
    ]
    assert experiment.seeds == tuple(range(20))
    assert {entry.seeds for entry in experiment.selectors if entry.supernet} == {tuple(range(9))}
    assert (experiment.space, experiment.images, experiment.observe) == ("digits201", "digits", True)
    assert experiment.table is not None
    assert (experiment.table.name, experiment.table.dataset, experiment.table.epochs) == ("digits201", "digits", 10)
    settings = {"epochs": 60, "batch_size": 64, "alpha_learning_rate": 3e-3}
    assert {entry.label: entry.supernet and entry.supernet.training for entry in experiment.selectors} == {
        "magnitude": DARTS(**settings),
        "darts-pt": DARTS(**settings),
        "darts-pt on fixed-alpha": FixedAlpha(**settings),
        "disc-acc": DARTS(**settings),
    } | dict.fromkeys(experiment.labels[4:])
    assert dict(experiment.left_out).keys() == {"magnitude on fixed-alpha"}


def test_the_images_say_how_a_search_augments_them_unless_the_file_does(monkeypatch: pytest.MonkeyPatch) -> None:
    data = replace(load_images("digits"), crop_padding=4, flip=True, black=(-2.0,))
    monkeypatch.setattr("opselect.bench.experiment.file.load_images", lambda _: data)

    def augmentation(lines: str) -> object:
        return parse(f"{TOP}{lines}{SELECTOR}", "mine.toml").load_images().augmentation

    assert augmentation("") == {"crop_padding": 4, "flip": True, "crop_fill": "black"}
    assert augmentation('[augmentation]\ncrop_fill = "zero"\nflip = false\n') == {
        "crop_padding": 4,
        "flip": False,
        "crop_fill": "zero",
    }
    assert augmentation("[augmentation]\ncrop_padding = 0\n") == {"crop_padding": 0, "flip": True}
    assert augmentation("[augmentation]\ncrop_padding = 0\nflip = false\n") is None
    assert "unknown setting 'augmentation.fill'" in complaint(f"{TOP}[augmentation]\nfill = 'zero'\n{SELECTOR}")
    assert "augmentation.crop_padding = -1" in complaint(f"{TOP}[augmentation]\ncrop_padding = -1\n{SELECTOR}")


def test_what_a_file_leaves_out_has_its_documented_default() -> None:
    experiment = parse(TOP + SELECTOR, "mine.toml")
    assert experiment.title == "mine"
    assert experiment.table is None
    assert experiment.load_table() is None
    assert experiment.observe is False
    trained = parse(TOP + MAGNITUDE, "mine.toml").selectors[0].supernet
    assert trained == SupernetEntry(name="darts", training=DARTS())
    assert experiment.labels == ("random",)


def test_whole_numbers_are_read_where_a_fraction_is_possible() -> None:
    (entry,) = parse(f"{TOP}[supernet]\nlearning_rate = 1\n{MAGNITUDE}", "mine.toml").selectors
    assert entry.supernet is not None
    assert entry.supernet.training.learning_rate == 1.0


def test_equal_files_give_equal_and_hashable_experiments() -> None:
    first, second = (parse(TOP + SELECTOR, where) for where in ("here.toml", "there.toml"))
    assert first == second
    assert len({first, second}) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Unknown keys: where, what was given, the nearest one.
        (f'spce = "digits201"\n{TOP}{SELECTOR}', "mine.toml: unknown setting 'spce'; did you mean 'space'?"),
        (f"{TOP}selectors = []\n{SELECTOR}", "mine.toml: unknown setting 'selectors'; did you mean 'selector'?"),
        (f"{TOP}[supernet]\nepoch = 5\n{SELECTOR}", "[supernet]: unknown setting 'epoch'; did you mean 'epochs'?"),
        (f"{TOP}{TABLE}epoch = 5\n{SELECTOR}", "unknown setting 'table.epoch'; did you mean 'epochs'?"),
        (
            with_selector('name = "zero-cost-pt"\nedgeorder = "random"'),
            "mine.toml, selector 2 'zero-cost-pt': unknown setting 'edgeorder'; did you mean 'edge_order'?",
        ),
        (with_selector('name = "random"\nlabel = "b"\nproxy = "nwot"'), "selector 2 'random': unknown setting 'proxy'"),
        (f'"a\\nb" = 1\n{TOP}{SELECTOR}', r"unknown setting 'a\\nb'"),
        # Unknown names: the nearest ones, the best of them first.
        (
            TOP.replace("digits201", "digit201") + SELECTOR,
            "space: no space named 'digit201'; did you mean 'digits201'? known are digits201, darts",
        ),
        (
            f"{TOP}{TABLE.replace('digits201', 'digit201')}{SELECTOR}",
            "table.name: no table named 'digit201'; did you mean 'digits201'? known are digits201",
        ),
        (
            with_selector('name = "zero-cost-tp"'),
            "mine.toml, selector 2: no selector named 'zero-cost-tp'; did you mean 'zero-cost-pt'? known are zero",
        ),
        (
            with_selector('name = "zero-cost-pt"\nproxy = "nwott"'),
            "selector 2 'zero-cost-pt': proxy: no proxy named 'nwott'; did you mean 'nwot'? known are nwot, ",
        ),
        (
            with_selector('name = "zero-cost-pt"\nedge_order = "sideways"'),
            "selector 2 'zero-cost-pt': edge_order = 'sideways': input should be 'fixed', 'reverse', 'random'",
        ),
        # Types: strict, a text is no number, a fraction is no count, and yes is no 1.
        (TOP.replace('"mine"', "3") + SELECTOR, "name = 3: input should be a valid string"),
        (TOP.replace('"digits"', "2020-01-01") + SELECTOR, "images = datetime.date(2020, 1, 1): input should be a"),
        (TOP.replace("[0, 1]", "0") + SELECTOR, "seeds: 0, expected a list of at least one whole number"),
        (TOP.replace("[0, 1]", '[0, "1"]') + SELECTOR, "seeds.1 = '1': input should be a valid integer"),
        (f"{TOP}observe = 1\n{SELECTOR}", "observe = 1: input should be a valid boolean"),
        (f"{TOP}supernet = 3\n{SELECTOR}", "supernet: 3, expected a table [supernet] or tables [[supernet]]"),
        (f"{TOP}table = 'digits201'\n{SELECTOR}", "table = 'digits201': input should be a valid dictionary"),
        (f"{TOP}{TABLE.replace('10', '10.0')}{SELECTOR}", "table.epochs = 10.0: input should be a valid integer"),
        (f"{TOP}[supernet]\nepochs = '5'\n{SELECTOR}", "[supernet]: epochs = '5': input should be a valid integer"),
        (f"{TOP}[supernet]\nepochs = 5.0\n{SELECTOR}", "[supernet]: epochs = 5.0: input should be a valid integer"),
        (f"{TOP}[supernet]\nepochs = true\n{SELECTOR}", "[supernet]: epochs = True: input should be a valid integer"),
        (f"{TOP}[supernet]\nmomentum = '0.9'\n{SELECTOR}", "[supernet]: momentum = '0.9': input should be a valid num"),
        (f"{TOP}[selector]\nname = 'random'\n", "selector = {'name': 'random'}: input should be a valid list"),
        (f"{TOP}selector = ['random']\n", "selector.0 = 'random': input should be a valid dictionary"),
        (with_selector('name = "darts-pt"\ntuning_epochs = 1.5'), "tuning_epochs = 1.5: input should be a valid int"),
        (with_selector("name = 3"), "mine.toml, selector 2: name 3, expected one of avg-acc"),
        # Ranges.
        (f"{TOP}[supernet]\nepochs = 0\n{SELECTOR}", "[supernet]: epochs = 0: input should be greater than or equal"),
        (f"{TOP}[supernet]\nmomentum = 1.0\n{SELECTOR}", "[supernet]: momentum = 1.0: input should be less than 1"),
        (f"{TOP}[supernet]\nlearning_rate = nan\n{SELECTOR}", "learning_rate = nan: input should be a finite number"),
        (f"{TOP}[supernet]\nlearning_rate = -0.1\n{SELECTOR}", "learning_rate = -0.1: input should be greater than 0"),
        (with_selector('name = "zero-cost-pt"\ncandidates = 0'), "candidates = 0: input should be greater than or eq"),
        (with_selector('name = "zero-cost-pt"\nbatch_size = 1'), "batch_size = 1: input should be greater than or eq"),
        (TOP.replace("[0, 1]", "[0, -1]") + SELECTOR, "seeds.1 = -1: input should be greater than or equal to 0"),
        (TOP.replace('"mine"', '"../mine"') + SELECTOR, "name = '../mine': string should match pattern"),
        (TOP.replace('"mine"', '"mine\\n"') + SELECTOR, r"name = 'mine\n': string should match pattern"),
        # What is missing, empty, or there twice.
        (SELECTOR, "mine.toml: 'name' is missing"),
        (TOP, "mine.toml: 'selector' is missing"),
        (f"{TOP}[table]\nname = 'digits201'\n{SELECTOR}", "mine.toml: 'table.dataset' is missing"),
        (with_selector('label = "b"'), "mine.toml, selector 2: name None, expected one of avg-acc"),
        ("", "mine.toml: 'name' is missing"),
        (f"{TOP}selector = []\n", "selector = []: list should have at least 1 item"),
        (TOP.replace("[0, 1]", "[]") + SELECTOR, "seeds: [], expected a list of at least one whole number"),
        (TOP.replace("[0, 1]", "[0, 1, 0]") + SELECTOR, "seeds: [0, 1, 0] names a seed twice"),
        (TOP + SELECTOR + SELECTOR, "mine.toml: 2 selectors are called 'random'; give each a 'label' of its own"),
        (with_selector('name = "magnitude"\nlabel = "random"'), "2 selectors are called 'random'"),
        # Labels head columns, so they are short texts.
        (with_selector('name = "random"\nlabel = ""'), "selector 2 'random': label '', expected a short printable"),
        (with_selector('name = "random"\nlabel = "  "'), "label '  ', expected a short printable text"),
        (with_selector('name = "random"\nlabel = "a\\nb"'), r"label 'a\nb', expected a short printable text"),
        (with_selector('name = "random"\nlabel = 3'), "label 3, expected a short printable text"),
        # No TOML at all.
        ("magnitude against the rest", "mine.toml: not valid TOML: Expected '=' after a key"),
        (f"{TOP}{SELECTOR}[[selector\n", "mine.toml: not valid TOML:"),
        ("name = 'a'\nname = 'b'\n", "mine.toml: not valid TOML: Cannot overwrite a value (at line 2, column 11)"),
    ],
)
def test_a_bad_file_is_told_where_what_and_what_was_expected(text: str, expected: str) -> None:
    assert expected.replace(r"\\n", r"\n") in complaint(text)


def test_the_first_of_several_problems_is_told_alone() -> None:
    assert complaint(f"{TOP}[supernet]\nepochs = 0\nbatch_size = 0\n{SELECTOR}").count("input should") == 1


def test_a_file_may_say_how_its_hyper_parameters_were_chosen(tmp_path: Path) -> None:
    silent = parse(TOP + SELECTOR, "mine.toml")
    speaking = parse(f'{TOP}hyperparameters = "as published; none tuned"\n{SELECTOR}', "mine.toml")
    assert (silent.hyperparameters, speaking.hyperparameters) == (None, "as published; none tuned")
    keys = [[trial.description.key for trial in trials_of(each, tmp_path)] for each in (silent, speaking)]
    assert keys[0] == keys[1] != []
    assert len(parse(f'{TOP}hyperparameters = "{"x" * 300}"\n{SELECTOR}', "mine.toml").hyperparameters or "") == 300
    expected = "expected one line of at most 300 printable characters"
    for bad in ("x" * 301, "two\\nlines", "", "  "):
        assert expected in complaint(f'{TOP}hyperparameters = "{bad}"\n{SELECTOR}')
    assert "hyperparameters = 3: input should be a valid string" in complaint(f"{TOP}hyperparameters = 3\n{SELECTOR}")


def test_every_shipped_experiment_says_how_its_hyper_parameters_were_chosen() -> None:
    for path in SHIPPED.parent.glob("*.toml"):
        assert all(each.hyperparameters for each in read_study(path).experiments.values()), path.name


def test_the_report_s_reference_is_a_label_of_the_file() -> None:
    assert parse(f"{TOP}{SELECTOR}", "mine.toml").reference is None
    assert parse(f'{TOP}[report]\nreference = "random"\n{SELECTOR}', "mine.toml").reference == "random"
    with pytest.raises(
        InvalidExperiment, match=r"mine.toml, \[report\]: no selector is called 'randon'; did you mean 'ra"
    ):
        parse(f'{TOP}[report]\nreference = "randon"\n{SELECTOR}', "mine.toml")
    with pytest.raises(InvalidExperiment, match=r"unknown setting 'report\.referens'; did you mean 'reference'"):
        parse(f'{TOP}[report]\nreferens = "random"\n{SELECTOR}', "mine.toml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.toml"
    with pytest.raises(InvalidExperiment, match=r"nowhere\.toml: No such file or directory; expected an experiment"):
        read(path)
    with pytest.raises(InvalidExperiment, match="Is a directory; expected an experiment file in TOML"):
        read(tmp_path)


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "latin.toml"
    path.write_bytes(b'title = "Vergr\xf6\xdferung"\n' + (TOP + SELECTOR).encode())
    with pytest.raises(InvalidExperiment, match=r"latin\.toml: not a text file in UTF-8"):
        read(path)
    path.write_bytes(bytes(range(256)))
    with pytest.raises(InvalidExperiment, match="not a text file in UTF-8"):
        read(path)


def test_a_file_in_utf8_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'title = "Auswahl für ∂-NAS"\n{TOP}{SELECTOR}', encoding="utf-8")
    assert read(path).title == "Auswahl für ∂-NAS"


def tiny(lines: str = "", images: str = "tiny", space: str = "digits201", batch_size: int = 16) -> Experiment:
    """An experiment on the tiny images."""
    return parse(
        f'name = "mine"\nspace = "{space}"\nimages = "{images}"\nseeds = [0]\n{lines}\n'
        f"[supernet]\nbatch_size = {batch_size}\n{SELECTOR}",
        "mine.toml",
    )


ADDITIVE = TABLE.replace("digits201", "additive")


@pytest.mark.usefixtures("in_tiny_world")
def test_ingredients_that_are_there_pass() -> None:
    check_ingredients(tiny())
    check_ingredients(tiny(ADDITIVE))
    check_ingredients(tiny(batch_size=32))


@pytest.mark.usefixtures("in_tiny_world")
@pytest.mark.parametrize("oracle", ["best-acc", "avg-acc"])
def test_an_oracle_without_a_table_is_refused(oracle: str) -> None:
    text = f"{TOP.replace('digits', 'tiny').replace('tiny201', 'digits201')}[supernet]\nbatch_size = 16\n{SELECTOR}"
    experiment = parse(f'{text}[[selector]]\nname = "{oracle}"\nlabel = "ceiling"\n', "mine.toml")
    with pytest.raises(InvalidExperiment, match="mine, ceiling: an oracle reads a table; add a \\[table\\]"):
        check_ingredients(experiment)


@pytest.mark.usefixtures("in_tiny_world")
def test_images_whose_halves_have_other_classes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiny().load_images()
    order = data.train.labels.argsort()
    monkeypatch.setattr("opselect.bench.experiment.file.load_images", lambda _: replace(data, train=data.train[order]))
    with pytest.raises(InvalidExperiment, match="mine: of the 64 training images of 'tiny' the first half has other"):
        check_ingredients(tiny("title = 'sorted'"))


@pytest.mark.usefixtures("in_tiny_world")
def test_supernets_start_from_the_weights_of_the_published_code_where_there_is_some(tmp_path: Path) -> None:
    reference = 'initialization = "reference"\n'
    with pytest.raises(InvalidExperiment, match="no published code has supernets of digits201; leave it out"):
        check_ingredients(tiny(reference))
    small = "channels = 4\ncells = 1\nbatch_size = 16\n"
    text = f"{TOP.replace('digits201', 'nasbench201').replace('digits', 'tiny')}{{}}[supernet]\n{small}{MAGNITUDE}"

    def job(lines: str, seed: int = 0) -> SupernetJob:
        experiment = parse(text.format(lines), "mine.toml")
        check_ingredients(experiment)
        return SupernetJob(experiment, experiment.supernets[0], seed, tmp_path)

    data = load_ingredients(job(reference).experiment).images
    expected, expected_alpha = nasbench201.resized(4, 1).reference_supernet(data.channels, data.classes, 1)
    supernet, alpha = job(reference, seed=1).initial_supernet()
    assert alpha is not None
    assert torch.equal(alpha, expected_alpha)
    assert all(torch.equal(one, other) for one, other in zip(supernet.parameters(), expected.parameters(), strict=True))
    own, own_alpha = job("", seed=1).initial_supernet()
    assert own_alpha is None
    assert not torch.equal(next(own.parameters()), next(expected.parameters()))
    assert job("").path != job(reference).path


@pytest.mark.usefixtures("in_tiny_world")
@pytest.mark.parametrize(
    ("name", "setting"), [("best-acc", "of = 'runs'"), ("by-score", "score = 'best-accuracy-of-runs'")]
)
def test_what_reads_single_trainings_needs_a_table_that_has_them(
    monkeypatch: pytest.MonkeyPatch, name: str, setting: str
) -> None:
    experiment = tiny(f"{ADDITIVE}[[selector]]\nname = {name!r}\n{setting}\n")
    check_ingredients(experiment)
    accuracies = Table.accuracies

    def of_one_training(table: Table, dataset: str, split: str, epochs: int, seeds: SeedPolicy) -> np.ndarray:
        found = accuracies(table, dataset, split, epochs, seeds)
        return found[:, :1] if seeds == "each" else found

    monkeypatch.setattr(Table, "accuracies", of_one_training)
    with pytest.raises(InvalidExperiment, match=f"mine, {name}.*: it reads single trainings, but 'additive' has none"):
        check_ingredients(experiment)


@pytest.mark.usefixtures("in_tiny_world")
def test_a_batch_larger_than_a_half_of_the_training_images_is_refused() -> None:
    with pytest.raises(InvalidExperiment, match=r"mine, \[supernet\]: batch_size 33, but a half .* 'tiny' has only 32"):
        check_ingredients(tiny("[[selector]]\nname = 'magnitude'\n", batch_size=33))
    text = f"{TOP}{SELECTOR}[supernet]\nbatch_size = 16\n[[selector]]\nname = 'zero-cost-pt'\nbatch_size = 33\n"
    experiment = parse(text.replace('"digits"', '"tiny"'), "mine.toml")
    with pytest.raises(InvalidExperiment, match=r"mine, zero-cost-pt: batch_size 33, but a half .* has only 32"):
        check_ingredients(experiment)


@pytest.mark.usefixtures("in_tiny_world")
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told_before_anything_runs() -> None:
    with pytest.raises(InvalidExperiment, match="mine: device 'cuda', but torch finds no GPU here; set device"):
        check_ingredients(tiny('device = "cuda"'))


@pytest.mark.usefixtures("in_tiny_world")
def test_a_column_that_the_table_lacks_is_named_with_those_it_has() -> None:
    known = "there are: digits test after 10 epochs; digits valid after 10 epochs"
    for change in (("digits", "cifar10"), ("10", "200")):
        with pytest.raises(InvalidExperiment, match=rf"mine, \[table\]: no accuracies for .*; {known}"):
            check_ingredients(tiny(ADDITIVE.replace(*change)))


def test_a_table_of_other_edges_is_refused(
    planted: Callable[..., AbstractContextManager[None]], additive_table: Table, tiny_images: ImageData
) -> None:
    chain = replace(digits201, name="chain", edges=digits201.edges[:2])
    with planted(
        spaces={"chain": chain}, tables={"additive": lambda: additive_table}, images={"tiny": lambda: tiny_images}
    ):
        experiment = tiny(ADDITIVE, space="chain")
        with pytest.raises(
            InvalidExperiment, match=r"'additive' is a table of digits201, which has other edges than chain"
        ):
            check_ingredients(experiment)


@pytest.mark.usefixtures("in_tiny_world")
def test_images_that_are_unknown_absent_or_damaged_are_told_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="no images named 'tinny'; did you mean 'tiny'\\? known are tiny"):
        check_ingredients(tiny(images="tinny"))
    with pytest.raises(MissingData, match=r"nowhere\.npz"):
        check_ingredients(tiny(images=str(tmp_path / "nowhere.npz")))
    np.savez(tmp_path / "half.npz", x_train=np.zeros((40, 8, 8), np.uint8))
    with pytest.raises(InvalidImages, match=r"half\.npz"):
        check_ingredients(tiny(images=str(tmp_path / "half.npz")))


names = st.sampled_from(
    [
        "name",
        "title",
        "hyperparameters",
        "space",
        "images",
        "table",
        "seeds",
        "observe",
        "supernet",
        "selector",
        "label",
        "epochs",
        "proxy",
    ]
)
values = st.recursive(
    st.one_of(
        st.booleans().map(lambda truth: str(truth).lower()),
        st.integers().map(str),
        st.floats().map(lambda number: repr(number)),
        st.text(max_size=8).map(lambda text: '"' + text.replace("\\", "").replace('"', "") + '"'),
        st.sampled_from(["'digits201'", "'digits'", "'random'", "'zero-cost-pt'", "'nwot'", "[0, 1]", "1979-05-27"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.tuples(names, inner).map(lambda pair: f"{{ {pair[0]} = {pair[1]} }}"),
    ),
    max_leaves=4,
)
lines = st.one_of(
    st.tuples(names, values).map(lambda pair: f"{pair[0]} = {pair[1]}"),
    names.map(lambda name: f"[{name}]"),
    names.map(lambda name: f"[[{name}]]"),
    st.just(TOP),
    st.just(TABLE),
    st.just(SELECTOR),
    st.text(max_size=20),
)


@settings(max_examples=200)
@given(st.lists(lines, max_size=8, unique=True).map("\n".join))
@example(TOP + SELECTOR)
def test_any_text_is_an_experiment_or_an_invalid_one(text: str) -> None:
    try:
        experiment = parse(text, "mine.toml")
    except InvalidExperiment as error:
        assert isinstance(error, UserError)
        assert str(error).startswith("mine.toml")
        assert "\n" not in str(error)
    else:
        assert experiment.selectors
        assert experiment.seeds
        assert len(set(experiment.labels)) == len(experiment.labels)


@settings(max_examples=50)
@given(st.binary(max_size=200))
def test_any_bytes_are_an_experiment_or_an_invalid_one(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(content)
    with pytest.raises(InvalidExperiment):
        read(path)


GRID = "".join(
    f'[[supernet]]\nname = "{name}"\nepochs = {epochs}\n' for name, epochs in (("darts", 7), ("fixed-alpha", 8))
)
DARTS_PT = """
[[selector]]
name = "darts-pt"
"""


def cells(text: str) -> list[tuple[str, str, str | None, int | None]]:
    """By label, the selector, the supernet training and its epochs."""
    return [
        (
            entry.label,
            entry.name,
            entry.supernet and entry.supernet.name,
            entry.supernet and entry.supernet.training.epochs,
        )
        for entry in parse(TOP + text, "mine.toml").selectors
    ]


def test_every_selector_that_needs_a_trained_supernet_is_crossed_with_every_training() -> None:
    assert cells(GRID + MAGNITUDE + DARTS_PT + SELECTOR) == [
        ("magnitude", "magnitude", "darts", 7),
        ("darts-pt", "darts-pt", "darts", 7),
        ("darts-pt on fixed-alpha", "darts-pt", "fixed-alpha", 8),
        ("random", "random", None, None),
    ]
    (left_out,) = parse(TOP + GRID + MAGNITUDE + DARTS_PT, "mine.toml").left_out
    assert left_out == ("magnitude on fixed-alpha", "it reads alpha, which this training does not learn")


def test_a_selector_may_be_limited_to_some_trainings() -> None:
    assert cells(f'{GRID}{DARTS_PT}supernets = ["fixed-alpha"]\n') == [
        ("darts-pt on fixed-alpha", "darts-pt", "fixed-alpha", 8)
    ]


def test_a_file_with_one_supernet_section_means_what_it_meant() -> None:
    former = "".join(
        f'[[selector]]\nname = "{name}"\n' for name in ("darts-pt-fixed-alpha", "sdarts-rs", "sdarts-rs-pt")
    )
    assert cells(f"[supernet]\nepochs = 3\nsmoothing = 0.2\n{MAGNITUDE}{former}") == [
        ("magnitude", "magnitude", "darts", 3),
        ("darts-pt-fixed-alpha", "darts-pt", "fixed-alpha", 3),
        ("sdarts-rs", "magnitude", "sdarts-rs", 3),
        ("sdarts-rs-pt", "darts-pt", "sdarts-rs", 3),
    ]
    assert parse(TOP + MAGNITUDE + former, "mine.toml").left_out == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"supernet = []\n{MAGNITUDE}", "supernet: [], expected a table [supernet] or tables [[supernet]]"),
        (
            f'[[supernet]]\nname = "dartz"\n{MAGNITUDE}',
            "supernet 1: no supernet training named 'dartz'; did you mean 'darts'?",
        ),
        (
            f"[[supernet]]\nname = 3\n{MAGNITUDE}",
            "supernet 1: name 3, expected one of beta-darts, darts, darts-minus, ",
        ),
        (f"[[supernet]]\nepoch = 3\n{MAGNITUDE}", "supernet 1: unknown setting 'epoch'; did you mean 'epochs'?"),
        (f"{GRID}[[supernet]]\n{MAGNITUDE}", "mine.toml: 2 supernet trainings are called 'darts'; keep one"),
        (f'{GRID}{DARTS_PT}supernets = ["sdarts-rs"]', "the file has no supernet training named 'sdarts-rs'"),
        (f"{GRID}{DARTS_PT}supernets = []", "selector 1 'darts-pt': supernets = []"),
        (f'{GRID}{SELECTOR}supernets = ["darts"]', "'random': it needs no trained supernet; leave out 'supernets'"),
        (f'{GRID}[[selector]]\nname = "sdarts-rs"', "'sdarts-rs': the file has no supernet training named 'sdarts-rs'"),
        (
            f'[[supernet]]\nname = "fixed-alpha"\n{MAGNITUDE}',
            "magnitude: it reads alpha, which this training does not learn",
        ),
    ],
)
def test_a_grid_that_cannot_be_run_is_one_sentence(text: str, expected: str) -> None:
    assert expected in complaint(TOP + text)


BATCHES = '[[selector]]\nname = "zero-cost-pt"\ncandidates = 1\n'


def test_a_list_of_values_is_a_selector_for_each_combination_and_the_same_as_written_by_hand() -> None:
    listed = parse(TOP + BATCHES + 'batch_size = [8, 32]\nproxy = ["nwot", "synflow"]\nseeds = [3]\n', "mine.toml")
    assert listed.labels == (
        "zero-cost-pt (batch_size=8, proxy=nwot)",
        "zero-cost-pt (batch_size=8, proxy=synflow)",
        "zero-cost-pt (batch_size=32, proxy=nwot)",
        "zero-cost-pt (batch_size=32, proxy=synflow)",
    )
    blocks = "".join(
        f'{BATCHES}label = "{label}"\nbatch_size = {size}\nproxy = "{proxy}"\nseeds = [3]\n'
        for label, size, proxy in zip(listed.labels, (8, 8, 32, 32), ("nwot", "synflow") * 2, strict=True)
    )
    by_hand = parse(TOP + blocks, "mine.toml")
    assert listed.selectors == by_hand.selectors
    assert [trial.description.key for trial in trials_of(listed, Path())] == [
        trial.description.key for trial in trials_of(by_hand, Path())
    ]


def test_labels_name_only_what_differs() -> None:
    text = TOP + BATCHES + 'label = "x"\nproxy = ["nwot"]\naugmented = [true, false]\n' + SELECTOR
    assert parse(text, "mine.toml").labels == ("x (augmented=true)", "x (augmented=false)", "random")
    assert parse(TOP + BATCHES + "batch_size = [8]\n", "mine.toml").labels == ("zero-cost-pt",)
    reference = '[report]\nreference = "x (augmented=false)"\n'
    assert parse(reference.join([TOP, text.removeprefix(TOP)]), "mine.toml").reference == "x (augmented=false)"


def test_settings_that_are_lists_stay_lists(planted: Planting) -> None:
    class Many(Random):
        """Take lists in every way that a type can say so.

        Attributes:
            windows: One list.
            pairs: A list of lists, or none.
            anything: No particular type.
            single: One number, which may have several values.
        """

        windows: list[int] = Field(default_factory=list)
        pairs: Annotated[Sequence[tuple[int, int]] | None, "of numbers"] = None
        anything: Any = None
        single: int | None = None

    entry = '[[selector]]\nname = "many"\nwindows = [1, 2]\nanything = [3, 4]\nsingle = [5, 6]\n'
    with planted(selectors={"many": Many}):
        one, other = parse(TOP + entry, "mine.toml").selectors
    assert (one.label, other.label) == ("many (single=5)", "many (single=6)")
    assert isinstance(one.settings, Many)
    assert (one.settings.windows, one.settings.anything, one.settings.single) == ([1, 2], [3, 4], 5)
    assert _takes_lists(Many.model_fields["pairs"].annotation)


def test_every_value_of_a_supernet_training_is_a_training() -> None:
    listed = '[[supernet]]\nname = "darts"\nepochs = [7, 9]\n'
    for section in (listed, listed.replace("[[supernet]]", "[supernet]")):
        assert cells(section + MAGNITUDE + SELECTOR) == [
            ("magnitude on darts (epochs=7)", "magnitude", "darts", 7),
            ("magnitude on darts (epochs=9)", "magnitude", "darts", 9),
            ("random", "random", None, None),
        ]
    assert cells(f'{listed}{DARTS_PT}supernets = ["darts (epochs=9)"]\ntuning_epochs = [0, 1]\n') == [
        ("darts-pt (tuning_epochs=0) on darts (epochs=9)", "darts-pt", "darts", 9),
        ("darts-pt (tuning_epochs=1) on darts (epochs=9)", "darts-pt", "darts", 9),
    ]
    assert cells(f'{listed}[[supernet]]\nname = "fixed-alpha"\nepochs = 3\n{DARTS_PT}supernets = ["darts"]\n') == [
        ("darts-pt on darts (epochs=7)", "darts-pt", "darts", 7),
        ("darts-pt on darts (epochs=9)", "darts-pt", "darts", 9),
    ]
    assert cells(f'[supernet]\nepochs = [3, 4]\n{MAGNITUDE}[[selector]]\nname = "sdarts-rs"\n') == [
        ("magnitude on darts (epochs=3)", "magnitude", "darts", 3),
        ("magnitude on darts (epochs=4)", "magnitude", "darts", 4),
        ("sdarts-rs on sdarts-rs (epochs=3)", "magnitude", "sdarts-rs", 3),
        ("sdarts-rs on sdarts-rs (epochs=4)", "magnitude", "sdarts-rs", 4),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{BATCHES}batch_size = []", "selector 1 'zero-cost-pt': batch_size = [] names none; expected different val"),
        (f"{BATCHES}batch_size = [8, 9, 8]", "'zero-cost-pt': batch_size = [8, 9, 8] names a value twice; expected"),
        (f'{BATCHES}batch_size = [8, "x"]', "selector 1 'zero-cost-pt': batch_size = 'x': input should be a valid int"),
        (f"{BATCHES}batch_size = [8, [9]]", "selector 1 'zero-cost-pt': batch_size = [9]: input should be a valid int"),
        (f"{BATCHES}batch_size = [8, 1]", "selector 1 'zero-cost-pt': batch_size = 1: input should be greater than"),
        (f'{BATCHES}proxy = ["nwot", "nwott"]', "'zero-cost-pt': proxy: no proxy named 'nwott'; did you mean 'nwot'?"),
        (f"{BATCHES}batchsize = [8, 9]", "'zero-cost-pt': unknown setting 'batchsize'; did you mean 'batch_size'?"),
        (f'{BATCHES}label = ["a", "b"]', "selector 1 'zero-cost-pt': label ['a', 'b'], expected a short printable"),
        ('[[selector]]\nname = ["random", "magnitude"]', "selector 1: name ['random', 'magnitude'], expected one of"),
        (
            f"{BATCHES}batch_size = {list(range(2, 102))}\nvalidation_batches = {list(range(1, 102))}",
            "selector 1 'zero-cost-pt': 10,100 combinations of batch_size, validation_batches, expected at most 1,000",
        ),
        (f"{BATCHES}batch_size = [8, 9]\n{BATCHES}batch_size = 8", "'zero-cost-pt (batch_size=8)' and 'zero-cost-pt'"),
        (f"[[supernet]]\nepochs = []\n{MAGNITUDE}", "supernet 1: epochs = [] names none; expected different values"),
        (f'[supernet]\nepochs = [3, "x"]\n{MAGNITUDE}', "[supernet]: epochs = 'x': input should be a valid integer"),
        (
            f"[[supernet]]\nepochs = [3, 4]\n[[supernet]]\nepochs = 3\n{MAGNITUDE}",
            "mine.toml: supernet trainings 'darts (epochs=3)' and 'darts' are the same",
        ),
    ],
)
def test_a_list_that_cannot_be_run_is_one_sentence(text: str, expected: str) -> None:
    assert expected in complaint(TOP + text)
