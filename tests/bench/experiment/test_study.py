"""Search, selection and training in one file: records that are joined, studies over several spaces, their overview."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev
from typing import Any, TypeAlias

import pytest

from opselect.bench.evaluation import networks as network_training
from opselect.bench.evaluation.networks import NotTrainable, TrainingRecord
from opselect.bench.experiment.file import InvalidExperiment, parse
from opselect.bench.experiment.study import parse_study
from opselect.bench.report.page import write_overview
from opselect.bench.report.sections.networks import networks
from opselect.bench.runs import runner
from opselect.bench.runs.run import Run, load_run, load_study_run
from opselect.spaces import registry
from opselect.spaces.darts.genotypes import cell_depth, parse_genotype, skip_connections
from opselect.spaces.darts.space import darts_s3

CommandLine: TypeAlias = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("in_tiny_world")

CHAIN = """
name = "chain"
space = "darts-s3"
images = "tiny"
seeds = [0, 1]

[supernet]
channels = 4
cells = 3
epochs = 1
batch_size = 16

[training]
channels = 4
cells = 3
epochs = 2
batch_size = 16
auxiliary_weight = 0.0
drop_path = 0.0
cutout = 0
crop_padding = 0
seeds = [0, 1]

[[selector]]
name = "magnitude"

[[selector]]
name = "random"
seeds = [0, 1, 2]
"""
STUDY = CHAIN.replace('space = "darts-s3"', 'space = ["darts-s2", "darts-s3"]')


def quietly(what: str, done: int, total: int) -> None:
    pass


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, tiny_world: Any) -> Path:
    """The folder of `CHAIN` after a run; not to be changed."""
    folder = tmp_path_factory.mktemp("chain")
    with tiny_world():
        summary = runner.run(parse(CHAIN, "chain.toml"), folder, 1, quietly)
    assert (summary.failed, summary.failed_networks) == ((), ())
    return folder


def trainings_of(run: Run) -> list[TrainingRecord]:
    return [training for trainings in run.training_records.values() for training in trainings]


def test_every_selected_network_is_trained_with_every_training_seed(chain: Path) -> None:
    run = load_run(chain)
    trainings = trainings_of(run)
    assert [(record.label, record.trial.seed) for record in run.all] == [
        *(("magnitude", seed) for seed in (0, 1)),
        *(("random", seed) for seed in (0, 1, 2)),
    ]
    selected = {result.architecture for result in run.all_results}
    assert {(each.network.genotype, each.network.seed) for each in trainings} == {
        (architecture, seed) for architecture in selected for seed in (0, 1)
    }
    small = darts_s3.resized(4, 3)
    for each in trainings:
        network = small.network(small.parse(each.network.genotype), 1, 10, 0)
        assert each.result is not None
        assert each.result.parameters == sum(parameter.numel() for parameter in network.parameters())


def test_the_report_averages_over_training_seeds_first_and_then_over_those_of_the_search(chain: Path) -> None:
    run = load_run(chain)
    trainings = trainings_of(run)
    rows = {row.label: row for row in networks(run)}
    last = {(each.network.genotype, each.network.seed): each.result.last for each in trainings if each.result}
    best = {(each.network.genotype, each.network.seed): each.result.best for each in trainings if each.result}
    for label in ("magnitude", "random"):
        chosen = [result.architecture for result in run.results(label).values()]
        errors = [100 - (last[architecture, 0] + last[architecture, 1]) / 2 for architecture in chosen]
        assert rows[label].error.value == pytest.approx(mean(errors))
        assert rows[label].error.deviation == pytest.approx(stdev(errors))
        assert rows[label].error.n == len(chosen)
        lowest = [100 - (best[architecture, 0] + best[architecture, 1]) / 2 for architecture in chosen]
        assert rows[label].best_epoch_error.value == pytest.approx(mean(lowest))
        assert rows[label].lowest_error == 100 - max(last[a, seed] for a in chosen for seed in (0, 1))
        assert rows[label].networks == len(set(chosen))


def test_records_say_how_far_the_cells_have_collapsed(chain: Path) -> None:
    for result in load_run(chain).all_results:
        genotype = parse_genotype(result.architecture)
        assert list(result.cells) == ["normal", "reduce"]
        for cell, found in result.cells.items():
            text = str(genotype.pairs(cell))  # type: ignore[arg-type]
            assert found.skip_connections == text.count("skip_connect") == skip_connections(genotype, cell)  # type: ignore[arg-type]
            assert found.parameter_free_share == pytest.approx(1 - text.count("sep_conv") / 8)
            assert found.depth == cell_depth(genotype, cell)  # type: ignore[arg-type]


def test_a_second_run_trains_nothing_and_a_changed_recipe_only_the_networks(
    chain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("records.jsonl", "trainings.jsonl", "experiment.toml"):
        (tmp_path / name).write_bytes((chain / name).read_bytes())
    before = (tmp_path / "trainings.jsonl").read_bytes()
    again = runner.run(parse(CHAIN, "chain.toml"), tmp_path, 1, quietly)
    assert again.resumed == 5
    assert (tmp_path / "trainings.jsonl").read_bytes() == before
    changed = CHAIN.replace("epochs = 2", "epochs = 1").replace("seeds = [0, 1]\n\n[[", "seeds = [5]\n\n[[")
    other = runner.run(parse(changed, "chain.toml"), tmp_path, 1, quietly)
    assert other.resumed == 5
    assert {each.network.seed for each in other.networks} == {5}
    # The report takes those of the recipe that stands in the folder's file.
    assert {each.network.training["epochs"] for each in trainings_of(load_run(tmp_path))} == {1}


def test_a_failed_training_is_recorded_and_tried_again_and_the_others_stay(
    chain: Path, tmp_path: Path, opselect: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("records.jsonl", "experiment.toml"):
        (tmp_path / name).write_bytes((chain / name).read_bytes())
    really = network_training.train_network
    unlucky = trainings_of(load_run(chain))[0].network

    def sometimes(network: Any, data: Any, training: Any, seed: int, checkpoint: Path, *rest: Any) -> Any:
        if checkpoint.stem == unlucky.key:
            raise MemoryError
        return really(network, data, training, seed, checkpoint, *rest)

    monkeypatch.setattr(network_training, "train_network", sometimes)
    arguments = ("run", tmp_path / "experiment.toml", "--output", tmp_path, "--workers", 1)
    status, out, error = opselect(*arguments)
    assert status == 1
    total = len(trainings_of(load_run(chain)))
    assert f"{total - 1} of {total} networks trained" in out
    assert f"seed {unlucky.seed}: the memory does not hold a batch; set a smaller batch_size" in error
    (row,) = [row for row in networks(load_run(tmp_path)) if row.failed]
    assert row.failed == 1
    monkeypatch.setattr(network_training, "train_network", really)
    status, out, _ = opselect(*arguments)
    assert status == 0
    assert f"{total} of {total} networks trained" in out


def test_a_study_is_an_experiment_for_each_pair_of_space_and_images() -> None:
    study = parse_study(STUDY.replace('images = "tiny"', 'images = ["tiny", "digits"]'), "study.toml")
    assert {name: (each.space, each.images) for name, each in study.experiments.items()} == {
        f"{space}-{images}": (space, images) for space in ("darts-s2", "darts-s3") for images in ("tiny", "digits")
    }
    for name, experiment in study.experiments.items():
        assert experiment.name == f"chain-{name}"
        # Its own file is complete: it gives the same experiment.
        assert parse(experiment.text, "x") == experiment
    with pytest.raises(InvalidExperiment, match=r"4 experiments \(darts-s2-tiny, .*\), expected one"):
        _ = study.only
    single = parse_study(CHAIN, "chain.toml")
    assert single.only == parse(CHAIN, "chain.toml")
    assert list(single.experiments) == [""]


def test_settings_of_the_training_may_depend_on_the_images() -> None:
    text = STUDY.replace('images = "tiny"', 'images = ["tiny", "digits"]').replace(
        "[training]\n", "[training]\non.digits = {channels = 2, seeds = [7]}\n"
    )
    experiments = parse_study(text, "study.toml").experiments
    found = {name: (each.training.channels, each.training.seeds) for name, each in experiments.items() if each.training}
    assert found == {
        "darts-s2-tiny": (4, (0, 1)),
        "darts-s2-digits": (2, (7,)),
        "darts-s3-tiny": (4, (0, 1)),
        "darts-s3-digits": (2, (7,)),
    }


def test_an_overview_holds_what_the_reports_of_the_runs_hold(opselect: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(STUDY.replace("seeds = [0, 1, 2]", "seeds = [0, 1]").replace("epochs = 2", "epochs = 1"))
    folder = tmp_path / "out"
    status, out, _ = opselect("run", path, "--output", folder, "--workers", 1, "--json")
    assert status == 0
    said = json.loads(out)
    assert [each["trials"] for each in said] == [4, 4]
    assert [each["records"] for each in said] == [str(folder / f"darts-s{n}-tiny" / "records.jsonl") for n in (2, 3)]
    status, out, _ = opselect("report", folder)
    assert status == 0
    report = folder / "report"
    lines = (report / "overview.md").read_text().splitlines()
    study = load_study_run(folder)
    assert study is not None
    for name, space in (("darts-s2-tiny", "darts-s2"), ("darts-s3-tiny", "darts-s3")):
        (line,) = [line for line in lines if line.startswith(f"| {space} |")]
        for label in ("magnitude", "random"):
            assert f"{_mean_error(study.runs[name], label):.2f} ±" in line
        assert (report / name / "report.html").is_file()
    for name in study.runs:
        drawn = {path.name for path in (report / name / "figures" / "cells").iterdir()}
        labels = ("magnitude-0", "magnitude-1", "random-0", "random-1")
        assert drawn == {f"{label}.{kind}" for label in labels for kind in ("pdf", "png")}
    assert (report / "figures" / "overview-errors.pdf").read_bytes().startswith(b"%PDF")
    for file in write_overview(study, tmp_path / "again"):
        assert (report / file.relative_to(tmp_path / "again")).read_bytes() == file.read_bytes()


def _mean_error(run: Run, label: str) -> float:
    last: dict[str, list[float]] = {}
    for each in trainings_of(run):
        if each.result is not None:
            last.setdefault(each.network.genotype, []).append(each.result.last)
    return mean(100 - mean(last[result.architecture]) for result in run.results(label).values())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (STUDY.replace('["darts-s2", "darts-s3"]', "[]"), "study.toml: space = [], expected a name, or a list of"),
        (
            STUDY.replace('"darts-s3"]', '"darts-s2"]'),
            "space = ['darts-s2', 'darts-s2'], expected a name, or a list of",
        ),
        (STUDY.replace('"darts-s3"]', "3]"), "space = ['darts-s2', 3], expected a name, or a list of different names"),
        (STUDY.replace('"darts-s3"]', '"darts-s5"]'), "no space named 'darts-s5'; did you mean 'darts-s"),
        (STUDY.replace('name = "chain"', ""), "study.toml, darts-s2-tiny: 'name' is missing"),
        (STUDY.replace('"tiny"', '["a/x.npz", "b/x.npz"]'), "two images are called 'x'; rename one of the files"),
        (
            STUDY.replace("[training]", "[training]\nepoch = 3"),
            "[training]: unknown setting 'epoch'; did you mean 'epochs'",
        ),
        (STUDY.replace("[training]", "[training]\non = 3"), "[training]: on = 3, expected tables [training.on.IMAGES]"),
        (STUDY.replace("[training]", "[training]\non.tiny.cell = 3"), "[training.on.tiny]: unknown setting 'cell'"),
    ],
)
def test_a_bad_study_is_told_where_what_and_what_was_expected(text: str, expected: str) -> None:
    with pytest.raises(InvalidExperiment) as told:
        parse_study(text, "study.toml")
    assert expected in str(told.value)
    assert "\n" not in str(told.value)


def test_what_cannot_be_trained_is_said_before_anything_runs(tmp_path: Path) -> None:
    table_space = CHAIN.replace('"darts-s3"', '"digits201"')
    with pytest.raises(NotTrainable, match=r"the space 'digits201' has no genotypes, expected one of darts"):
        runner.run(parse(table_space, "x"), tmp_path / "a", 1, quietly)
    auxiliary = CHAIN.replace("auxiliary_weight = 0.0", "auxiliary_weight = 0.4")
    with pytest.raises(NotTrainable, match="too small for the auxiliary classifier"):
        runner.run(parse(auxiliary, "x"), tmp_path / "b", 1, quietly)
    many = CHAIN.replace("seeds = [0, 1]\n\n[sup", "seeds = [0, 1]\ntraining_images = 65\n\n[sup")
    with pytest.raises(ValueError, match=r"training_images = 65, but 'tiny' has only 64; choose at most that"):
        runner.run(parse(many, "x"), tmp_path / "c", 1, quietly)
    assert list(tmp_path.iterdir()) == []


def test_fewer_training_images_are_the_first_ones_and_another_trial(tmp_path: Path) -> None:
    all_of_them = parse(CHAIN, "x")
    fewer = parse(CHAIN.replace("seeds = [0, 1]\n\n[sup", "seeds = [0, 1]\ntraining_images = 40\n\n[sup"), "x")
    full, part = all_of_them.load_images(), fewer.load_images()
    assert len(part.train) == 40
    assert part.train.images.equal(full.train.images[:40])
    assert part.test.images.equal(full.test.images)
    keys = [{trial.description.key for trial in runner.trials_of(each, tmp_path)} for each in (all_of_them, fewer)]
    assert keys[0].isdisjoint(keys[1])


def test_every_shipped_experiment_can_be_read() -> None:
    folder = Path(__file__).parents[3] / "bench" / "experiment" / "packaged"
    for path in sorted(folder.glob("*.toml")):
        study = parse_study(path.read_text(), path.name)
        for experiment in study.experiments.values():
            assert experiment.space in registry.names("spaces")
            assert experiment.training is None or experiment.space.startswith("darts")
            if experiment.training is not None and experiment.device == "cuda":
                # The recipes of the papers.
                sizes = (experiment.training.channels, experiment.training.cells, experiment.training.epochs)
                assert sizes == ((36, 20, 600) if experiment.images == "cifar10" else (16, 8, 600))
                assert {entry.training.epochs for entry in experiment.supernets} == {50}
                assert math.isclose(experiment.training.drop_path, 0.2)
