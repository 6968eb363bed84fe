"""The runner end to end in miniature: complete, resumable, repeatable, honest about failures, blind to test data."""

import json
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from opselect.bench.experiment.file import Experiment, InvalidExperiment, SelectorEntry, parse
from opselect.bench.runs import runner, supernets
from opselect.bench.runs.records import Record, Result, read_records
from opselect.bench.runs.runner import Summary, trials_of
from opselect.bench.runtime.forecast import Kind, read_epochs
from opselect.bench.storage.checksums import checksummed_line, verified_line
from opselect.bench.storage.store import InvalidRecords, open_for_append
from opselect.selectors.methods import Random, Settings
from opselect.selectors.task import INITIAL_SUPERNET, TRAINED_SUPERNET, Needs, Selection, Task
from opselect.spaces.nasbench201.space import NASBench201Space, digits201
from opselect.spaces.table import Table

TRAINED = ("magnitude", "darts-pt", "disc-acc", "darts-pt-fixed-alpha")
BEST_CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"

pytestmark = pytest.mark.usefixtures("in_tiny_world")

World = Callable[..., AbstractContextManager[None]]


def quietly(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def small(*selectors: str, seeds: str = "[0, 1]", extra: str = "", table: bool = False) -> Experiment:
    """An experiment with these selectors on the tiny images."""
    entries = "".join(f'[[selector]]\nname = "{name}"\n' for name in selectors)
    columns = '[table]\nname = "additive"\ndataset = "digits"\nepochs = 10\n' if table else ""
    return parse(
        f'name = "small"\nspace = "digits201"\nimages = "tiny"\nseeds = {seeds}\n{extra}\n{columns}'
        f"[supernet]\nepochs = 1\nbatch_size = 16\n{entries}",
        "small.toml",
    )


def outcome(record: Record) -> dict[str, Any]:
    """What must not differ between two runs: all but costs and the environment."""
    return json.loads(record.model_dump_json(exclude={"cost", "environment"}))


def result_of(record: Record) -> Result:
    """The result of a trial that must be done."""
    assert record.status == "done", record.reason
    assert record.result is not None
    return record.result


class Watched(Settings):
    """A selector that counts its calls, and fails for the seeds that it is told to."""

    calls: ClassVar[list[int]] = []
    failing: ClassVar[set[int]] = set()

    def __call__(self, task: Task) -> Selection:
        """Choose at random, or fail."""
        self.calls.append(task.seed)
        if task.seed in self.failing:
            raise ValueError(f"seed {task.seed}\nis unlucky")
        return Random()(task)


class Hungry(Watched):
    """The same, and it needs a trained supernet."""

    needs: ClassVar[Needs] = TRAINED_SUPERNET


@pytest.fixture
def watched(planted: World) -> Iterator[type[Watched]]:
    """The counting selectors, registered as `watched` and `hungry`."""
    Watched.calls.clear()
    Watched.failing.clear()
    with planted(selectors={"watched": Watched, "hungry": Hungry}):
        yield Watched


def test_every_selector_and_seed_has_one_finished_record_in_the_order_of_the_file(
    tiny_run: tuple[Path, Summary], tiny_experiment: Experiment
) -> None:
    folder, summary = tiny_run
    wanted = [(label, seed) for label in tiny_experiment.labels for seed in tiny_experiment.seeds]
    assert [(record.label, record.trial.seed) for record in summary.records] == wanted
    assert len(wanted) == 9
    assert summary.failed == ()
    assert summary.resumed == 0
    kept = {record.key: record for record in read_records(folder / "records.jsonl")}
    assert kept == {record.key: record for record in summary.records}
    assert all(record.key == record.trial.key for record in summary.records)


def test_results_agree_with_the_table(tiny_run: tuple[Path, Summary], additive_table: Table) -> None:
    everyone = additive_table.accuracies("digits", "test", 10, "mean")
    for record in tiny_run[1].records:
        result = result_of(record)
        index = digits201.index(digits201.parse(result.architecture))
        assert result.test_accuracy == pytest.approx(everyone[index])
        assert result.valid_accuracy == pytest.approx(everyone[index] - 1, abs=1e-4)
        assert result.test_accuracies == pytest.approx([everyone[index] - 0.25, everyone[index] + 0.25], abs=1e-4)
        assert result.regret == pytest.approx(everyone.max() - everyone[index])
        assert result.regret is not None
        assert result.regret >= 0
        assert result.percentile == pytest.approx(100 * np.mean(everyone < everyone[index]))
        assert result.percentile is not None
        assert 0 <= result.percentile < 100


def test_oracles_find_the_best_cell_of_additive_accuracies(tiny_run: tuple[Path, Summary]) -> None:
    found = {
        result_of(record).architecture for record in tiny_run[1].records if record.label in ("best-acc", "avg-acc")
    }
    assert found == {BEST_CELL}


def test_every_trace_leads_to_its_architecture(tiny_run: tuple[Path, Summary]) -> None:
    for record in tiny_run[1].records:
        result = result_of(record)
        assert sorted(step.edge for step in result.steps) == list(range(6))
        for step in result.steps:
            scores = [score for score in step.scores[step.edge] if math.isfinite(score)]
            assert step.scores[step.edge][step.operation] == max(scores)
            assert step.tied == scores.count(max(scores)) - 1
            assert set(step.truth) == {"best-acc", "best-acc-runs", "avg-acc"}
            assert all(set(scores) == set(step.scores) for scores in step.truth.values())
        # A pool keeps the trace of its first proposal only.
        proposed = result.candidates[0][0] if result.candidates else result.architecture
        chosen = {step.edge: edge.operations[step.operation] for step in result.steps for edge in [EDGES[step.edge]]}
        assert tuple(chosen[edge] for edge in range(6)) == digits201.parse(proposed).operations


EDGES = digits201.edges


def test_the_ledger_counts_what_the_method_needs(tiny_run: tuple[Path, Summary]) -> None:
    for record in tiny_run[1].records:
        cost, result = record.cost, result_of(record)
        assert cost is not None
        name = record.trial.selector
        # 5 operations on 6 edges for each candidate, and a batch for each distinct one if there are several.
        candidates = 2 if name == "zero-cost-pt" else 1
        distinct = len(dict(result.candidates))
        assert cost.evaluations == 30 * candidates + (distinct if distinct > 1 else 0)
        assert ("supernet training" in cost.seconds) == (name in TRAINED)
        assert ("validation" in cost.seconds) == (distinct > 1)
        assert "scoring" in cost.seconds
        assert "observing" not in cost.seconds
        assert all(seconds >= 0 for seconds in cost.seconds.values())
        assert cost.search_seconds == pytest.approx(sum(cost.seconds.values()))
        assert cost.peak_memory_megabytes > 10


def test_observing_adds_scores_of_open_edges_but_changes_no_choice_and_no_cost(tmp_path: Path) -> None:
    selectors = ("zero-cost-disc", "best-acc", "random")
    settings = "candidates = 1\nvalidation_batches = 1\nbatch_size = 16\n"

    def experiment(observe: str) -> Experiment:
        head = small("random", seeds="[0]", extra=f"observe = {observe}", table=True)
        entries = parse(
            'name = "small"\nspace = "digits201"\nimages = "tiny"\nseeds = [0]\n'
            + "".join(
                f'[[selector]]\nname = "{name}"\n{settings if name.startswith("zero") else ""}' for name in selectors
            ),
            "small.toml",
        ).selectors
        return head.model_copy(update={"selectors": entries})

    plain = runner.run(experiment("false"), tmp_path / "plain", 1, quietly)
    observed = runner.run(experiment("true"), tmp_path / "observed", 1, quietly)
    for one, other in zip(plain.records, observed.records, strict=True):
        first, second = result_of(one), result_of(other)
        assert first.architecture == second.architecture
        assert [len(step.scores) for step in first.steps] == [1] * 6
        assert [len(step.scores) for step in second.steps] == [6, 5, 4, 3, 2, 1]
        for before, after in zip(first.steps, second.steps, strict=True):
            assert before.scores[before.edge] == after.scores[after.edge]
        assert one.cost is not None
        assert other.cost is not None
        assert one.cost.evaluations == other.cost.evaluations == 30
        assert other.cost.search_seconds == pytest.approx(
            sum(other.cost.seconds.values()) - other.cost.seconds["observing"]
        )
        assert one.key != other.key


def test_a_ranking_at_every_step_costs_what_it_scores(tmp_path: Path) -> None:
    entry = '[[selector]]\nname = "best-acc"\nedge_order = "{}"\nlabel = "{}"\n'
    orders = {"fixed": 30, "global-op-iter": 5 * (6 + 5 + 4 + 3 + 2 + 1), "global-edge-once": 30 + 30}
    text = (
        'name = "orders"\nspace = "digits201"\nimages = "tiny"\nseeds = [0]\n'
        '[table]\nname = "additive"\ndataset = "digits"\nepochs = 10\n[supernet]\nbatch_size = 16\n'
    )
    text += "".join(entry.format(order, order) for order in orders)
    for record in runner.run(parse(text, "orders.toml"), tmp_path, 1, quietly).records:
        assert record.cost is not None
        assert record.cost.evaluations == orders[record.label]


def test_a_second_run_calls_no_selector_and_trains_nothing(
    tmp_path: Path, watched: type[Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = small("watched", "hungry", "random")
    first = runner.run(experiment, tmp_path, 1, quietly)
    assert sorted(watched.calls) == [0, 0, 1, 1]
    content = (tmp_path / "records.jsonl").read_bytes()
    watched.calls.clear()
    monkeypatch.setattr(supernets, "train_supernet", lambda *arguments: pytest.fail("trained again"))
    seen: list[tuple[str, int, int]] = []
    second = runner.run(experiment, tmp_path, 1, lambda *progress: seen.append(progress))
    assert watched.calls == []
    assert seen == [("trials", 6, 6)]
    assert second == Summary(first.records, resumed=6)
    assert (tmp_path / "records.jsonl").read_bytes() == content


def test_without_its_last_record_exactly_that_trial_is_run_again(tmp_path: Path, watched: type[Watched]) -> None:
    experiment = small("watched", seeds="[3, 1, 2]")
    first = runner.run(experiment, tmp_path, 1, quietly)
    path = tmp_path / "records.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    lost = json.loads(lines[-1])["trial"]["seed"]
    watched.calls.clear()
    second = runner.run(experiment, tmp_path, 1, quietly)
    assert watched.calls == [lost]
    assert second.resumed == 2
    assert [outcome(record) for record in second.records] == [outcome(record) for record in first.records]


def test_a_changed_setting_runs_only_what_it_changes(tmp_path: Path, watched: type[Watched]) -> None:
    runner.run(small("watched", "random"), tmp_path, 1, quietly)
    watched.calls.clear()
    summary = runner.run(small("watched", "random", seeds="[1, 2]"), tmp_path, 1, quietly)
    assert watched.calls == [2]
    assert summary.resumed == 2
    assert len(read_records(tmp_path / "records.jsonl")) == 6
    # Supernet training is nothing to a selector that needs none.
    changed = retrained(small("watched", "random"), epochs=2)
    assert runner.run(changed, tmp_path, 1, quietly).resumed == 4


def retrained(experiment: Experiment, **changes: Any) -> Experiment:
    """The experiment with other settings of its supernet trainings."""

    def changed(entry: SelectorEntry) -> SelectorEntry:
        if entry.supernet is None:
            return entry
        training = entry.supernet.training.model_copy(update=changes)
        return entry.model_copy(update={"supernet": entry.supernet.model_copy(update={"training": training})})

    return experiment.model_copy(update={"selectors": tuple(map(changed, experiment.selectors))})


class Killed(BaseException):
    """What a signal does to a process, as far as a test can do it to itself."""


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_killed_run_resumes_to_the_same_records(tmp_path: Path, watched: type[Watched], after: int) -> None:
    experiment = small("hungry", "watched", "random")
    whole = runner.run(experiment, tmp_path / "whole", 1, quietly)

    def kill(what: str, done: int, total: int) -> None:
        if (what, done) == ("trials", after):
            raise Killed

    with pytest.raises(Killed):
        runner.run(experiment, tmp_path / "killed", 1, kill)
    path = tmp_path / "killed" / "records.jsonl"
    assert len(read_records(path)) == after
    with path.open("ab") as stream:
        stream.write(b'{"version":1,"experiment":"sm')
    watched.calls.clear()
    resumed = runner.run(experiment, tmp_path / "killed", 1, quietly)
    assert resumed.resumed == after
    assert len(watched.calls) <= 4
    assert [outcome(record) for record in resumed.records] == [outcome(record) for record in whole.records]
    assert len(path.read_bytes().splitlines()) == len(resumed.records)


def test_a_run_killed_while_supernets_are_trained_keeps_those_that_are_finished(
    tmp_path: Path, watched: type[Watched]
) -> None:
    def kill(what: str, done: int, total: int) -> None:
        if done:
            raise Killed

    experiment = small("hungry")
    with pytest.raises(Killed):
        runner.run(experiment, tmp_path, 1, kill)
    (kept,) = (tmp_path / "supernets").iterdir()
    content = kept.read_bytes()
    seen: list[tuple[str, int, int]] = []
    runner.run(experiment, tmp_path, 1, lambda *progress: seen.append(progress))
    assert [each for each in seen if each[0] == "supernets"] == [("supernets", 0, 1), ("supernets", 1, 1)]
    assert kept.read_bytes() == content


def test_a_killed_training_says_how_far_it_has_come_and_goes_on_to_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = small("magnitude", seeds="[0]")
    (entry,) = experiment.selectors
    assert entry.supernet is not None
    longer = entry.supernet.model_copy(update={"training": entry.supernet.training.model_copy(update={"epochs": 4})})
    experiment = experiment.model_copy(
        update={"selectors": (entry.model_copy(update={"supernet": longer}),), "supernets": (longer,)}
    )
    (whole,) = runner.run(experiment, tmp_path / "whole", 1, quietly).records
    really_write = supernets.write_epochs

    def kill(path: Path, done: int, seconds: float) -> None:
        really_write(path, done, seconds)
        if done == 2:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(supernets, "write_epochs", kill)
        with pytest.raises(Killed):
            runner.run(experiment, tmp_path / "killed", 1, quietly)
    (file,) = (tmp_path / "killed" / "supernets").glob("*.epochs")
    epochs = read_epochs(file)
    assert epochs is not None
    assert epochs.done == 2
    (again,) = runner.run(experiment, tmp_path / "killed", 1, quietly).records
    assert outcome(again) == outcome(whole)
    assert {path.suffix for path in (tmp_path / "killed" / "supernets").iterdir()} == {".pt"}


def test_steps_are_reported_with_their_kind_and_their_seconds(tmp_path: Path, watched: type[Watched]) -> None:
    watched.failing.update({1})
    steps: list[tuple[Kind, bool]] = []
    runner.run(
        small("magnitude", "watched"),
        tmp_path,
        1,
        quietly,
        lambda kind, seconds: steps.append((kind, seconds is not None and seconds >= 0)),
    )
    counts = {step: steps.count(step) for step in steps}
    assert counts == {
        (Kind("supernets", "darts"), True): 2,
        (Kind("trials", "magnitude"), True): 2,
        (Kind("trials", "watched"), True): 1,
        (Kind("trials", "watched"), False): 1,
    }


def test_two_runs_in_two_folders_differ_in_nothing_but_costs(
    tmp_path: Path, tiny_run: tuple[Path, Summary], tiny_experiment: Experiment
) -> None:
    # Fewer and in another order, so that nothing leaks from trial to trial; the poisoned run repeats the others.
    some = [entry for entry in tiny_experiment.selectors if entry.label not in ("disc-acc", "darts-pt-fixed-alpha")]
    again = tiny_experiment.model_copy(update={"selectors": tuple(reversed(some))})
    second = {record.key: outcome(record) for record in runner.run(again, tmp_path, 1, quietly).records}
    first = {record.key: outcome(record) for record in tiny_run[1].records if record.key in second}
    assert len(first) == 7
    assert second == first


def test_seeds_lead_to_different_searches(tmp_path: Path) -> None:
    traces: dict[str, set[str]] = {}
    for record in runner.run(small("magnitude", "random", "avg-acc", table=True), tmp_path, 1, quietly).records:
        steps = [step.model_dump_json() for step in result_of(record).steps]
        traces.setdefault(record.label, set()).add("".join(steps))
    assert {label: len(found) for label, found in traces.items()} == {"magnitude": 2, "random": 2, "avg-acc": 2}


def test_a_failing_trial_is_a_record_with_its_reason_and_is_tried_again(tmp_path: Path, watched: type[Watched]) -> None:
    experiment = small("watched", "random", seeds="[0, 1, 2]")
    watched.failing.update({1})
    first = runner.run(experiment, tmp_path, 1, quietly)
    assert len(first.records) == 6
    (failed,) = first.failed
    assert (failed.label, failed.trial.seed, failed.result, failed.cost) == ("watched", 1, None, None)
    assert failed.reason is not None
    assert failed.reason.startswith("ValueError: seed 1 is unlucky (test_runner.py, line ")
    assert failed.reason.isprintable()
    assert sum(record.status == "done" for record in read_records(tmp_path / "records.jsonl")) == 5

    watched.calls.clear()
    assert runner.run(experiment, tmp_path, 1, quietly).resumed == 5
    assert watched.calls == [1]

    watched.failing.clear()
    healed = runner.run(experiment, tmp_path, 1, quietly)
    assert healed.failed == ()
    assert healed.resumed == 5
    assert [record.status for record in read_records(tmp_path / "records.jsonl")] == ["done"] * 6


def test_no_message_is_a_reason_too(tmp_path: Path, planted: World) -> None:
    class Silent(Settings):
        """It fails without a word."""

        def __call__(self, task: Task) -> Selection:
            """Fail."""
            raise NotImplementedError

    with planted(selectors={"silent": Silent}):
        (failed,) = runner.run(small("silent", seeds="[0]"), tmp_path, 1, quietly).failed
    assert failed.reason is not None
    assert failed.reason.startswith("NotImplementedError: no message (test_runner.py")


def test_a_failed_supernet_fails_its_dependents_with_its_reason_and_nobody_else(
    tmp_path: Path, watched: type[Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = small("hungry", "magnitude", "random")
    really_train = supernets.train_supernet

    def train(supernet: Any, decisions: Any, *rest: Any) -> Any:
        if next(attempts) == 1:
            raise FloatingPointError("the loss is NaN")
        return really_train(supernet, decisions, *rest)

    attempts = iter(range(10))
    with monkeypatch.context() as patch:
        patch.setattr(supernets, "train_supernet", train)
        summary = runner.run(experiment, tmp_path, 1, quietly)
    assert [(record.label, record.trial.seed) for record in summary.failed] == [("hungry", 1), ("magnitude", 1)]
    for record in summary.failed:
        assert record.reason is not None
        assert record.reason.startswith("supernet training failed: FloatingPointError: the loss is NaN (test_runner.py")
    assert watched.calls == [0]

    healed = runner.run(experiment, tmp_path, 1, quietly)
    assert healed.failed == ()
    assert healed.resumed == 4
    assert watched.calls == [0, 1]


def test_supernets_are_trained_once_for_each_seed_and_state(
    tmp_path: Path, watched: type[Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    really_train = supernets.train_supernet

    def train(supernet: Any, decisions: Any, images: Any, training: Any, *rest: Any) -> Any:
        trained.append(type(training).__name__)
        return really_train(supernet, decisions, images, training, *rest)

    monkeypatch.setattr(supernets, "train_supernet", train)
    experiment = small("hungry", "magnitude", "darts-pt-fixed-alpha", "random")
    experiment = experiment.model_copy(
        update={
            "selectors": tuple(
                entry.model_copy(update={"settings": entry.settings.model_copy(update={"tuning_epochs": 0})})
                if entry.label == "darts-pt-fixed-alpha"
                else entry
                for entry in experiment.selectors
            )
        }
    )
    seen: list[tuple[str, int, int]] = []
    summary = runner.run(experiment, tmp_path, 1, lambda *progress: seen.append(progress))
    assert summary.failed == ()
    assert sorted(trained) == ["DARTS", "DARTS", "FixedAlpha", "FixedAlpha"]
    assert len(list((tmp_path / "supernets").iterdir())) == 4
    assert [each for each in seen if each[0] == "supernets"] == [("supernets", count, 4) for count in range(5)]
    assert [each for each in seen if each[0] == "trials"] == [("trials", count, 8) for count in range(9)]
    # Who shares a supernet is told the same training time.
    times: dict[int, set[float]] = {}
    for record in summary.records:
        if record.label in ("hungry", "magnitude"):
            assert record.cost is not None
            times.setdefault(record.trial.seed, set()).add(record.cost.seconds["supernet training"])
    assert all(len(found) == 1 for found in times.values())


def test_trained_supernets_may_have_another_size_and_the_others_keep_the_space_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: dict[str, int] = {}

    class Measuring(Settings):
        needs: ClassVar[Needs] = INITIAL_SUPERNET

        def __call__(self, task: Task) -> Selection:
            assert task.supernet is not None
            searched["trained" if self.needs.trained else "initial"] = sum(
                parameter.numel() for parameter in task.supernet.parameters()
            )
            return Random()(task)

    class MeasuringTrained(Measuring):
        needs: ClassVar[Needs] = TRAINED_SUPERNET

    experiment = small("random", "magnitude", seeds="[0]")
    first, second = retrained(experiment, channels=4).selectors
    experiment = experiment.model_copy(
        update={
            "selectors": (
                first.model_copy(update={"settings": Measuring()}),
                second.model_copy(update={"settings": MeasuringTrained()}),
            ),
        }
    )
    summary = runner.run(experiment, tmp_path, 1, quietly)
    assert summary.failed == ()

    def parameters(space: NASBench201Space) -> int:
        return sum(parameter.numel() for parameter in space.supernet(1, 10, 0).parameters())

    assert searched == {"initial": parameters(digits201), "trained": parameters(digits201.resized(4, None))}
    assert searched["trained"] < searched["initial"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_every_selector_runs_on_a_gpu(tmp_path: Path, tiny_experiment: Experiment) -> None:
    summary = runner.run(tiny_experiment.model_copy(update={"device": "cuda"}), tmp_path, 1, quietly)
    assert [record.reason for record in summary.failed] == []
    assert {record.cost.device for record in summary.records if record.cost} == {"cuda"}


def test_a_supernet_file_is_named_by_everything_that_determines_it(tmp_path: Path) -> None:
    def files(experiment: Experiment) -> set[str]:
        return {trial.supernet_job.path.name for trial in trials_of(experiment, tmp_path) if trial.supernet_job}

    experiment = small("magnitude", "disc-acc", seeds="[0]")
    first = files(experiment)
    assert len(first) == 1
    renamed = experiment.model_copy(update={"name": "another", "title": "another", "observe": True, "table": None})
    assert files(renamed) == first
    others = [
        files(small("magnitude", seeds="[1]")),
        files(small("darts-pt-fixed-alpha", seeds="[0]")),
        files(retrained(experiment, momentum=0.8)),
        files(experiment.model_copy(update={"space": "nasbench201"})),
        files(experiment.model_copy(update={"images": "digits"})),
        files(experiment.model_copy(update={"device": "cuda"})),
    ]
    assert len(first.union(*others)) == 7


def test_garbage_in_the_test_columns_changes_no_selection(
    tmp_path: Path, tiny_run: tuple[Path, Summary], tiny_experiment: Experiment, tiny_text: str, poisoned_table: Table
) -> None:
    poisoned = parse(tiny_text.replace('"additive"', '"poisoned"'), "poisoned.toml")
    after = {record.label: record for record in runner.run(poisoned, tmp_path, 1, quietly).records}
    before = {record.label: record for record in tiny_run[1].records}
    assert set(before) == set(after) == set(tiny_experiment.labels)
    garbage = poisoned_table.accuracies("digits", "test", 10, "mean")
    for label in before:
        first, second = result_of(before[label]), result_of(after[label])
        assert first.architecture == second.architecture
        assert first.candidates == second.candidates
        assert first.valid_accuracy == second.valid_accuracy
        for one, other in zip(first.steps, second.steps, strict=True):
            chosen = (one.edge, one.operation, one.tied, one.scores)
            assert chosen == (other.edge, other.operation, other.tied, other.scores)
            assert one.truth != other.truth
        assert first.test_accuracy != second.test_accuracy
        assert second.test_accuracy == pytest.approx(garbage[digits201.index(digits201.parse(second.architecture))])


def test_the_task_of_a_selector_holds_no_test_accuracy_and_no_test_image(
    tmp_path: Path, planted: World, poisoned_table: Table, tiny_images: Any
) -> None:
    class Curious(Settings):
        """It keeps what it was given."""

        seen: ClassVar[list[Task]] = []

        def __call__(self, task: Task) -> Selection:
            """Choose at random."""
            self.seen.append(task)
            return Random()(task)

    with planted(selectors={"curious": Curious}):
        experiment = small("curious", seeds="[0]", table=True)
        experiment = experiment.model_copy(
            update={"table": experiment.table and experiment.table.model_copy(update={"name": "poisoned"})}
        )
        assert runner.run(experiment, tmp_path, 1, quietly).failed == ()
    (task,) = Curious.seen
    assert task.valid_accuracies is not None
    np.testing.assert_array_equal(task.valid_accuracies, poisoned_table.accuracies("digits", "valid", 10, "mean"))
    assert (len(task.images.train_split), len(task.images.val_split)) == (32, 32)
    given = [*task.images.train_split.images, *task.images.val_split.images]
    assert not any(bool((image == held_out).all()) for image in given for held_out in tiny_images.test.images)


def test_without_a_table_there_is_an_architecture_and_no_accuracy(tmp_path: Path) -> None:
    for record in runner.run(small("random"), tmp_path, 1, quietly).records:
        result = result_of(record)
        assert digits201.parse(result.architecture)
        assert (result.test_accuracy, result.valid_accuracy, result.regret, result.percentile) == (None,) * 4
        assert result.test_accuracies == []
        assert [step.truth for step in result.steps] == [{}] * 6


def test_a_record_says_what_determined_it_and_where_it_ran(
    tiny_run: tuple[Path, Summary], additive_table: Table
) -> None:
    for record in tiny_run[1].records:
        trial = record.trial
        assert (trial.space, trial.images, record.experiment) == ("digits201", "tiny", "tiny")
        assert (trial.training is not None) == (trial.selector in ("magnitude", "darts-pt", "disc-acc"))
        assert trial.training is None or trial.training["gradient_clip"] == 5.0
        assert trial.table is not None
        assert trial.table.fingerprint == additive_table.fingerprint
        assert set(trial.software) == {"opselect", "torch"}
        assert {"python", "platform", "cores", "torch threads", "versions", "commit"} <= set(record.environment)
    settings = {record.label: record.trial.settings for record in tiny_run[1].records}
    assert settings["darts-pt"] == {
        "edge_order": "random",
        "tuning_epochs": 1,
        "last_tuning_epochs": None,
        "alpha_optimizer": "continued",
        "augmented": True,
        "shuffled": True,
        "accuracy_batch_size": 64,
    }
    assert settings["zero-cost-pt"]["proxy"] == "nwot"


def test_nothing_runs_when_an_ingredient_is_missing(tmp_path: Path, watched: type[Watched]) -> None:
    with pytest.raises(InvalidExperiment, match="an oracle reads a table"):
        runner.run(small("watched", "best-acc"), tmp_path / "new", 1, quietly)
    assert watched.calls == []
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_in_use_or_damaged_is_refused_and_left_alone(
    tmp_path: Path, watched: type[Watched], tiny_run: tuple[Path, Summary]
) -> None:
    path = tmp_path / "records.jsonl"
    shutil.copy(tiny_run[0] / "records.jsonl", path)
    content = path.read_bytes()
    with open_for_append(path), pytest.raises(InvalidRecords, match="another run is writing to it"):
        runner.run(small("watched"), tmp_path, 1, quietly)
    first, _ = verified_line(content.splitlines()[0])
    damaged = checksummed_line(first.replace(b'{"version":1', b'{"version":9', 1)) + b"\n"
    path.write_bytes(damaged)
    with pytest.raises(InvalidRecords, match="line 1: record format version 9, expected 1"):
        runner.run(small("watched"), tmp_path, 1, quietly)
    assert watched.calls == []
    assert path.read_bytes() == damaged
