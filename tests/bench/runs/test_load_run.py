"""Which records of a folder a report is made of: those of one code, unchanged, in agreement with the table."""

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from opselect.bench.experiment.file import Experiment, parse
from opselect.bench.runs import runner
from opselect.bench.runs import trial as trials
from opselect.bench.runs.records import Code, Record, read_records
from opselect.bench.runs.run import Run, load_run
from opselect.bench.runs.runner import Summary
from opselect.bench.storage.store import InvalidRecords
from opselect.selectors.methods import Random, Settings
from opselect.selectors.scores import BEST_ACCURACY, RANDOM
from opselect.selectors.task import Selection, Task
from opselect.spaces.files import NotWritten

World = Callable[[], AbstractContextManager[None]]
Planting = Callable[..., AbstractContextManager[None]]

TOP = (
    'name = "mine"\nspace = "digits201"\nimages = "tiny"\n[table]\nname = "additive"\ndataset = "digits"\nepochs = 10\n'
)


def experiment_of(seeds: Sequence[int], *selectors: str) -> Experiment:
    entries = "".join(f"[[selector]]\n{selector}\n" for selector in selectors or ('name = "random"',))
    return parse(f"seeds = {list(seeds)}\n{TOP}{entries}", "mine.toml")


def run(folder: Path, experiment: Experiment) -> Summary:
    return runner.run(experiment, folder, 1, lambda what, done, total: None)


@pytest.fixture
def folder(tmp_path: Path, in_tiny_world: None) -> Path:
    """A run of the random choice with four seeds."""
    run(tmp_path / "run", experiment_of(range(4)))
    return tmp_path / "run"


def use_code(monkeypatch: pytest.MonkeyPatch, digest: str) -> None:
    """The selector's code changes: what it is has this digest from now on."""
    monkeypatch.setattr(trials, "_code_of", lambda components: Code(digest=digest, packages={}))


def test_records_hold_the_role_the_code_and_the_packages_of_their_components(planted: Planting, folder: Path) -> None:
    class Mine(Random):
        pass

    scores = {"my-oracle": BEST_ACCURACY, "my-luck": RANDOM}
    with planted(scores=scores, selectors={"mine": Mine}):
        experiment = experiment_of(
            [0],
            'name = "mine"',
            'name = "by-score"\nscore = "my-oracle"\nlabel = "ceiling"',
            'name = "by-score"\nscore = "my-luck"\nlabel = "luck"',
            'name = "by-score"\nscore = "best-accuracy"\nlabel = "ours"',
        )
        run(folder, experiment)
        loaded = load_run(folder)
    assert {label: loaded.role(label) for label in loaded.labels} == {
        "mine": "random",
        "ceiling": "oracle",
        "luck": "random",
        "ours": "oracle",
    }
    assert all(record.role is not None for record in loaded.all)
    codes = {record.label: record.trial.code for record in loaded.all}
    assert all(code is not None and len(code.digest) == 16 for code in codes.values())


def test_a_plug_in_may_say_that_it_is_an_oracle_and_then_does_not_compete(planted: Planting, folder: Path) -> None:
    class Cheat(Settings):
        oracle = True

        def __call__(self, task: Task) -> Selection:
            return Random()(task)

    with planted(selectors={"cheat": Cheat}):
        run(folder, experiment_of([0], 'name = "cheat"'))
        assert load_run(folder).in_role("selector") == ()


def test_scores_are_components_whose_code_counts(in_tiny_world: None) -> None:
    text = 'name = "by-score"\nscore = "{}"'
    experiments = [experiment_of([0], text.format(name)) for name in ("random", "best-accuracy")]
    proxies = [
        experiment_of([0], f'name = "zero-cost-pt"\nbatch_size = 8\nproxy = "{name}"') for name in ("snip", "te_nas")
    ]
    found = [trials.Trial(e, e.selectors[0], 0, Path("x"))._components for e in (*experiments, *proxies)]
    assert [components[2:] for components in found] == [
        (("scores", "random"),),
        (("scores", "best-accuracy"),),
        (("proxies", "snip"),),
        (("combinations", "te_nas"), ("proxies", "ntk"), ("proxies", "linear_regions")),
    ]


def test_records_of_old_code_are_not_averaged_with_new_ones(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_code(monkeypatch, "another one")
    assert run(folder, experiment_of(range(2))).resumed == 0
    # The experiment has six seeds: two of the new code, two of the old code only, two that never ran.
    (folder / "experiment.toml").write_text(experiment_of(range(6)).text)
    loaded = load_run(folder)
    assert loaded.seeds == (0, 1)
    assert loaded.missing == {"random": (2, 3, 4, 5)}
    assert loaded.remarks == (
        "2 trial(s) were made by other code than the latest of their selector and are left out; "
        "the next run makes them again.",
    )
    assert run(folder, experiment_of(range(6))).resumed == 2
    loaded = load_run(folder)
    assert (loaded.seeds, loaded.missing, loaded.remarks) == ((0, 1, 2, 3, 4, 5), {}, ())
    assert {record.trial.code.digest for record in loaded.all if record.trial.code} == {"another one"}


def test_a_change_of_the_code_that_is_taken_back_takes_back_its_records(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load_run(folder)
    with monkeypatch.context() as patch:
        use_code(patch, "another one")
        run(folder, experiment_of(range(4)))
        assert load_run(folder).all != before.all
    assert run(folder, experiment_of(range(4))).resumed == 4
    assert [record.key for record in load_run(folder).all] == [record.key for record in before.all]


def test_an_unfinished_run_knows_what_is_missing(folder: Path) -> None:
    assert load_run(folder).missing == {}
    (folder / "experiment.toml").write_text(experiment_of(range(6), 'name = "random"', 'name = "avg-acc"').text)
    assert load_run(folder).missing == {"random": (4, 5), "avg-acc": (0, 1, 2, 3, 4, 5)}


def edit(folder: Path, **changes: Any) -> None:
    """Change the result of the first record and remove its checksum, as in a text editor."""
    path = folder / "records.jsonl"
    first, *others = path.read_text().splitlines()
    line = json.loads(first)
    del line["checksum"]
    line["result"] |= changes
    Record.model_validate(line)
    path.write_text("\n".join([json.dumps(line, separators=(",", ":")), *others]) + "\n")


def test_lines_that_were_changed_by_hand_are_counted(folder: Path) -> None:
    assert load_run(folder).remarks == ()
    edit(folder)
    assert load_run(folder).remarks == (
        "1 record(s) have no checksum, while others have one, so they were changed by hand (line 1 of records.jsonl).",
    )


def test_files_of_versions_without_checksums_are_not_suspected(folder: Path) -> None:
    path = folder / "records.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        del line["checksum"]
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    assert load_run(folder).remarks == ()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"test_accuracy": 99.0}, r"test_accuracy 99\.0, but the mean of its single trainings is \d"),
        (
            {"test_accuracy": 99.0, "test_accuracies": [98.0, 100.0]},
            r"test_accuracy 99\.0, but by the table additive it",
        ),
        ({"regret": 0.0}, "regret 0.0, but by the table additive it is"),
        ({"percentile": 99.5}, "percentile 99.5, but by the table additive it is"),
        ({"valid_accuracy": None}, "valid_accuracy None, but by the table additive it is"),
    ],
)
def test_accuracies_that_contradict_the_table_or_each_other_are_refused(
    folder: Path, changes: dict[str, Any], expected: str
) -> None:
    edit(folder, **changes)
    with pytest.raises(InvalidRecords, match=rf"records\.jsonl: random, seed \d: {expected}"):
        load_run(folder)


def test_a_table_that_is_another_one_by_now_contradicts_nothing(
    folder: Path, planted: Planting, poisoned_table: Any
) -> None:
    before = load_run(folder)
    with planted(tables={"additive": lambda: poisoned_table}):
        assert load_run(folder) == before


def test_a_run_whose_folder_is_removed_ends_with_a_sentence(
    tmp_path: Path, in_tiny_world: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def progress(what: str, done: int, total: int) -> None:
        if (what, done) == ("trials", 1):
            shutil.rmtree(tmp_path / "run")

    with pytest.raises(NotWritten, match=r"records\.jsonl: removed or replaced while results were written to it"):
        runner.run(experiment_of(range(3)), tmp_path / "run", 1, progress)


def test_a_run_says_which_trials_its_report_is_of(folder: Path) -> None:
    loaded = load_run(folder)
    assert isinstance(loaded, Run)
    assert list(loaded.all) == sorted(read_records(folder / "records.jsonl"), key=lambda record: record.trial.seed)
