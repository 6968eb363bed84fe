"""The records of a run, in an order that does not depend on the order in which they were written."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from pydantic import BaseModel

from opselect.bench.evaluation.networks import TrainingRecord, TrainingResult, read_trainings
from opselect.bench.evaluation.training import FORMER_RECIPE
from opselect.bench.experiment.file import Experiment, SelectorEntry, read
from opselect.bench.experiment.study import FILE_NAME as STUDY_FILE
from opselect.bench.experiment.study import read_study
from opselect.bench.runs.records import FILE_NAME, Record, Result, TrialDescription, read_records
from opselect.bench.runs.store import InvalidRecords
from opselect.selectors.methods import FORMER_READINGS
from opselect.spaces.errors import UserError
from opselect.spaces.space import SearchSpace

Role: TypeAlias = Literal["selector", "random", "oracle"]
"""Selectors compete; a random choice and the oracles, which read the table, are what they are compared with."""

ORACLES = ("best-acc", "avg-acc")
TRUTHS = ("best-acc", "best-acc-runs", "avg-acc")
"""Oracle scores in records: of mean accuracies, of single trainings where the table has them, averages of means."""
ROLES: Mapping[str, Role] = {"random": "random", **dict.fromkeys(ORACLES, "oracle")}
BASELINE = "magnitude"


class MixedRecords(UserError, ValueError):
    """Records that do not belong into one report, because no mean over them makes sense."""


@dataclass(frozen=True)
class Run:
    """The records of one experiment by label.

    Attributes:
        records: Records of every label, in the report's order and sorted by seed; a label may have none. Where
            selected networks were trained, their test accuracies stand in the results.
        networks: Trainings of selected networks by architecture, sorted by seed; failed ones are among them.
        title: Title of the experiment.
        preface: Names and values below the title of its report.
    """

    records: Mapping[str, tuple[Record, ...]]
    networks: Mapping[str, tuple[TrainingRecord, ...]] = field(default_factory=dict)
    title: str = ""
    preface: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        records: Iterable[Record],
        labels: Sequence[str],
        networks: Iterable[TrainingRecord] = (),
        title: str = "",
        preface: Mapping[str, str] | None = None,
    ) -> "Run":
        """Sort records by label and seed, and check that one report may hold them.

        Args:
            records: Records in any order.
            labels: Labels in the order of the report; those that it lacks follow in alphabetical order.
            networks: Trainings of selected networks in any order, all of them by one recipe.
            title: Title of the experiment.
            preface: Names and values below the title of the report.

        Raises:
            MixedRecords: Two trials share label and seed, or spaces, images or tables differ.
        """
        trainings: dict[str, tuple[TrainingRecord, ...]] = {}
        for training in sorted(networks, key=lambda training: (training.network.genotype, training.network.seed)):
            genotype = training.network.genotype
            trainings[genotype] = (*trainings.get(genotype, ()), training)
        known = sorted(
            (_with_accuracies(record, trainings) for record in records),
            key=lambda record: (record.label, record.trial.seed, record.key),
        )
        _check_unmixed(known)
        order = dict.fromkeys([*labels, *(record.label for record in known)])
        by_label = {label: tuple(record for record in known if record.label == label) for label in order}
        return cls(by_label, trainings, title, preface or {})

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels, in the report's order."""
        return tuple(self.records)

    @property
    def all(self) -> tuple[Record, ...]:
        """All records, by label and seed."""
        return tuple(record for records in self.records.values() for record in records)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of all trials, sorted."""
        return tuple(sorted({record.trial.seed for record in self.all}))

    @property
    def baseline(self) -> str | None:
        """The first label whose selector is magnitude, with which the field compares."""
        return next((label for label in self.labels if self._selector(label) == BASELINE), None)

    def results(self, label: str) -> dict[int, Result]:
        """Result of every finished trial of a label, by seed."""
        return {record.trial.seed: record.result for record in self.records[label] if record.result is not None}

    @property
    def all_results(self) -> tuple[Result, ...]:
        """Results of all finished trials, by label and seed."""
        return tuple(record.result for record in self.all if record.result is not None)

    def values(self, label: str, value: Callable[[Result], float | None]) -> dict[int, float | None]:
        """One number of every finished trial of a label, by seed."""
        return {seed: value(result) for seed, result in self.results(label).items()}

    def trainings(self, result: Result) -> list[TrainingResult]:
        """Results of the finished trainings of the network that a trial selected, one per training seed."""
        return _finished(self.networks.get(result.architecture, ()))

    def only(self, label: str) -> "Run":
        """The run with the trials of one label only."""
        return replace(self, records={label: self.records[label]})

    def role(self, label: str) -> Role:
        """Whether a label competes or is compared with."""
        return ROLES.get(self._selector(label), "selector")

    def in_role(self, *roles: Role) -> tuple[str, ...]:
        """The labels that have one of these roles."""
        return tuple(label for label in self.labels if self.role(label) in roles)

    def _selector(self, label: str) -> str:
        return next((record.trial.method for record in self.records[label]), label)


def _finished(trainings: Iterable[TrainingRecord]) -> list[TrainingResult]:
    return [training.result for training in trainings if training.result is not None]


def _with_accuracies(record: Record, networks: Mapping[str, tuple[TrainingRecord, ...]]) -> Record:
    """Give a record the test accuracies of its network after the last epoch, where the network was trained."""
    if record.result is None or record.trial.table is not None:
        return record
    reached = [training.last for training in _finished(networks.get(record.result.architecture, ()))]
    if not reached:
        return record
    accuracies = {"test_accuracy": sum(reached) / len(reached), "test_accuracies": reached}
    return record.model_copy(update={"result": record.result.model_copy(update=accuracies)})


def _check_unmixed(records: Sequence[Record]) -> None:
    for label, group in groupby(records, key=lambda record: record.label):
        names = {tuple(sorted(record.trial.settings)) for record in group}
        if len(names) > 1:
            raise MixedRecords(
                f"selector {label!r}: records from before and after a setting was added; "
                "run the experiment to its end, then only the new ones count"
            )
    trials = Counter((record.label, record.trial.seed) for record in records)
    for (label, seed), count in trials.items():
        if count > 1:
            raise MixedRecords(
                f"selector {label!r}, seed {seed}: {count} records, expected one; "
                "leave out the records of other settings or software versions"
            )
    problems = sorted({_problem(record) for record in records})
    if len(problems) > 1:
        raise MixedRecords(f"records of {len(problems)} problems in one report, expected one: {'; '.join(problems)}")


def _problem(record: Record) -> str:
    trial, table = record.trial, record.trial.table
    measured = (
        f"table {table.name}, {table.dataset}, {table.epochs} epochs, {table.fingerprint}" if table else "no table"
    )
    changed = "".join(f", {name} {value}" for name, value in sorted((trial.augmentation or {}).items()))
    changed += f", initialization {trial.initialization}" if trial.initialization else ""
    return f"space {trial.space}, images {trial.images} {trial.images_hash}{changed}, {measured}"


def load_run(folder: Path) -> Run:
    """Read the records of a run that its experiment file asks for.

    A folder may hold records of earlier versions of its experiment file: those whose label, seed or settings it no
    longer has are left out, and of several for one label and seed the last one written counts.

    Raises:
        InvalidRecords: The folder holds no records.
        InvalidExperiment: Its experiment file is absent or damaged.
        MixedRecords: The records are of several spaces, images or tables.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise InvalidRecords(f"{path}: no such file; expected the folder of a run, as 'opselect run' prints it")
    experiment = read(folder / "experiment.toml")
    entries = {entry.label: entry for entry in experiment.selectors}
    latest = {
        (record.label, record.trial.seed): record
        for record in read_records(path)
        if record.label in entries and _is_of(record.trial, entries[record.label])
    }
    wanted = [(entry.label, seed) for entry, seed in experiment.runs]
    records = [latest[key] for key in wanted if key in latest]
    if not records:
        raise InvalidRecords(
            f"{path}: no record of any selector and seed of {folder / 'experiment.toml'}; run it first"
        )
    space = experiment.load_space()
    for record in records:
        if record.result is not None and (problem := _misfit(record.result, space)):
            raise InvalidRecords(
                f"{path}: {record.label}, seed {record.trial.seed}: {problem}; expected what 'opselect run' writes"
            )
    networks = _read_networks(folder, experiment, records)
    return Run.of(records, experiment.labels, networks, experiment.title, experiment.preface)


def _is_of(trial: TrialDescription, entry: SelectorEntry) -> bool:
    """Whether a trial is of a selector of an experiment file, with its settings."""
    return (trial.selector, trial.supernet) == (entry.name, entry.recorded_supernet) and _are_of(
        trial.settings, entry.settings, FORMER_READINGS
    )


def _are_of(recorded: Mapping[str, Any], settings: BaseModel, former_readings: Mapping[str, object]) -> bool:
    """Whether recorded settings are those of an experiment file.

    A record from before a setting has the former reading. It is of a file that does not name the setting, since that
    may be as old, or that names this reading.
    """
    today = settings.model_dump(mode="json")
    former = {
        name: value if name in settings.model_fields_set else today[name]
        for name, value in former_readings.items()
        if name in today and name not in recorded
    }
    return {**recorded, **former} == today


def _misfit(result: Result, space: SearchSpace) -> str:
    """What in a result cannot be of the space, empty where nothing is."""
    try:
        space.parse(result.architecture)
    except UserError as error:
        return str(error)
    sizes = [len(edge.operations) for edge in space.edges]
    for number, step in enumerate(result.steps, start=1):
        if not 0 <= step.edge < len(sizes) or not 0 <= step.operation < sizes[step.edge]:
            return f"step {number} decides an edge or an operation that {space.name} has not"
        for scores in (step.scores, *step.truth.values()):
            if any(not 0 <= edge < len(sizes) or len(values) != sizes[edge] for edge, values in scores.items()):
                return f"step {number} scores other edges or operations than those of {space.name}"
        if step.truth.keys() not in (set(), set(ORACLES), set(TRUTHS)):
            return f"step {number} has the oracles {', '.join(step.truth)}, expected {', '.join(ORACLES)} or none"
        if any(values.keys() != step.scores.keys() for values in step.truth.values()):
            return f"step {number} does not score the same edges by itself and by an oracle"
    accuracies = (result.valid_accuracy, result.test_accuracy, result.regret, result.percentile)
    others = (*result.test_accuracies, *result.other_test_accuracies.values())
    if any(value is not None and not math.isfinite(value) for value in (*accuracies, *others)):
        return "an accuracy that is no number"
    return ""


def _read_networks(folder: Path, experiment: Experiment, records: Sequence[Record]) -> list[TrainingRecord]:
    """Read the trainings of the selected networks by the experiment's recipe, the last one written for each seed."""
    choice = experiment.training
    if choice is None:
        return []
    selected = {record.result.architecture for record in records if record.result is not None}
    recipe = choice.training
    latest = {
        (training.network.genotype, training.network.seed): training
        for training in read_trainings(folder)
        if training.network.genotype in selected
        and training.network.seed in choice.seeds
        and (training.network.channels, training.network.cells) == (choice.channels, choice.cells)
        and training.network.stem == choice.stem
        and _are_of(training.network.training, recipe, FORMER_RECIPE)
        and training.network.training_images == experiment.training_images
    }
    return list(latest.values())


class StudyRun(NamedTuple):
    """The runs of a study by folder, and its title."""

    title: str
    runs: dict[str, Run]


def load_study_run(folder: Path) -> StudyRun | None:
    """Read the runs of a study's folder; None where the folder is of a single experiment.

    Raises:
        InvalidRecords: One of its experiments has no records.
        InvalidExperiment: An experiment file is absent or damaged.
    """
    path = folder / STUDY_FILE
    if not path.is_file():
        return None
    study = read_study(path)
    return StudyRun(study.title, {name: load_run(folder / name) for name in study.experiments})
