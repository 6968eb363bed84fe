"""The records of a run, in an order that does not depend on the order in which they were written."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from pydantic import BaseModel

from opselect.bench.evaluation.networks import TrainingRecord, TrainingResult, read_trainings
from opselect.bench.evaluation.training import FORMER_RECIPE
from opselect.bench.experiment.file import Experiment, SelectorEntry, TableChoice, read
from opselect.bench.experiment.study import FILE_NAME as STUDY_FILE
from opselect.bench.experiment.study import read_study
from opselect.bench.runs.records import FILE_NAME, ORACLES, Record, Result, TrialDescription, read_records
from opselect.bench.runs.verification import agreeing_table, refuse_misfits
from opselect.bench.storage.store import InvalidRecords, edited_lines
from opselect.selectors.methods import FORMER_READINGS
from opselect.selectors.task import Role
from opselect.spaces.errors import UserError
from opselect.spaces.table import Table

if TYPE_CHECKING:
    import pandas as pd

FORMER_ROLES: Mapping[str, Role] = {"random": "random", **dict.fromkeys(ORACLES, "oracle")}
"""Roles by name of the selector, for records of versions that did not record them."""

USUAL_REFERENCE = "magnitude"
"""The selector with which papers compare."""


class MixedRecords(UserError, ValueError):
    """Records that do not belong into one report, because no mean over them makes sense."""


@dataclass(frozen=True)
class Population:
    """Accuracies of all architectures of a table, in the order of the space, by the columns that an experiment names.

    Attributes:
        test: Test accuracy in percent, mean over the table's seeds; NaN where it is missing.
        valid: Validation accuracy, or None where the table has none.
        training_seconds: Mean time of one training, or None where the table does not say.
    """

    test: np.ndarray
    valid: np.ndarray | None
    training_seconds: float | None


@dataclass(frozen=True, repr=False)
class Run:
    """The records of one experiment by label.

    Attributes:
        records: Records of every label, in the report's order and sorted by seed; a label may have none. Where
            selected networks were trained, the results have their test accuracies.
        training_records: Trainings of selected networks by architecture, sorted by seed, failed ones included.
        title: Title of the experiment.
        preface: Names and values below the title of its report.
        declared_reference: Label that the others are compared with, where the experiment names one.
        population: Accuracies of all architectures of the table; None where there is none, or where it is not here.
        missing: By label, the seeds of trials that the experiment names and that have no record.
        remarks: Sentences on the records, which a report says first.
        hyperparameters: How the hyper-parameters were chosen, by the experiment file; None where it does not say.

    Example:
        >>> run = Run.of([], ["magnitude", "random"], title="Nothing yet", wanted=[("magnitude", 0), ("random", 0)])
        >>> run
        <Run 'Nothing yet': 0 of 2 trials of 2 selectors, 2 missing (magnitude: 0; random: 0)>
        >>> run.to_frame()[["label", "seed", "status"]].values.tolist()
        [['magnitude', 0, 'missing'], ['random', 0, 'missing']]
        >>> run.scores().columns.tolist()[:6]
        ['label', 'seed', 'step', 'cell', 'edge', 'operation']
    """

    records: Mapping[str, tuple[Record, ...]]
    training_records: Mapping[str, tuple[TrainingRecord, ...]] = field(default_factory=dict)
    title: str = ""
    preface: Mapping[str, str] = field(default_factory=dict)
    declared_reference: str | None = None
    population: Population | None = field(default=None, compare=False, repr=False)
    missing: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    hyperparameters: str | None = None

    @classmethod
    def of(
        cls,
        records: Iterable[Record],
        labels: Sequence[str],
        networks: Iterable[TrainingRecord] = (),
        title: str = "",
        preface: Mapping[str, str] | None = None,
        declared_reference: str | None = None,
        population: Population | None = None,
        wanted: Sequence[tuple[str, int]] = (),
        remarks: tuple[str, ...] = (),
        hyperparameters: str | None = None,
    ) -> "Run":
        """Sort records by label and seed, and check that one report may hold them.

        Args:
            records: Records in any order.
            labels: Labels in the order of the report; further labels follow in alphabetical order.
            networks: Trainings of selected networks in any order, all of them by one recipe.
            title: Title of the experiment.
            preface: Names and values below the title of the report.
            declared_reference: Label that the others are compared with, where the experiment names one.
            population: Accuracies of all architectures of the table, where it is here.
            wanted: Label and seed of every trial that the experiment names.
            remarks: Sentences on the records, which a report says first.
            hyperparameters: How the hyper-parameters were chosen; None where nothing says it.

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
        present = {(record.label, record.trial.seed) for record in known}
        missing: dict[str, tuple[int, ...]] = {}
        for label, seed in wanted:
            if (label, seed) not in present:
                missing[label] = (*missing.get(label, ()), seed)
        return cls(
            by_label,
            trainings,
            title,
            preface or {},
            declared_reference,
            population,
            missing=missing,
            remarks=remarks,
            hyperparameters=hyperparameters,
        )

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
    def reference(self) -> str | None:
        """What the others are compared with: as declared, else the first label whose selector is magnitude, if any."""
        usual = next((label for label in self.labels if self._selector(label) == USUAL_REFERENCE), None)
        return self.declared_reference or usual

    def results(self, label: str) -> dict[int, Result]:
        """Result of every finished trial of a label, by seed."""
        return {record.trial.seed: record.result for record in self.records[label] if record.result is not None}

    @property
    def all_results(self) -> tuple[Result, ...]:
        """Results of all finished trials, by label and seed."""
        return tuple(record.result for record in self.all if record.result is not None)

    def values(self, label: str, value: Callable[[Result], float | None]) -> dict[int, float | None]:
        """One number of every finished trial of a label, by seed.

        Args:
            label: Label of the selector.
            value: Function that reads the number from a result, None where it is missing.
        """
        return {seed: value(result) for seed, result in self.results(label).items()}

    def test_accuracies(self, label: str) -> dict[int, float]:
        """Test accuracy in percent of every finished trial of a label that has one, by seed."""
        accuracies = self.values(label, lambda result: result.test_accuracy)
        return {seed: accuracy for seed, accuracy in accuracies.items() if accuracy is not None}

    def trainings(self, result: Result) -> list[TrainingResult]:
        """Results of the finished trainings of the network that a trial selected, one per training seed."""
        return _finished(self.training_records.get(result.architecture, ()))

    def only(self, label: str) -> "Run":
        """The run with the trials of one label only."""
        return replace(self, records={label: self.records[label]})

    def to_frame(self) -> "pd.DataFrame":
        """All trials as a frame, one row each, in the order of the report; see `frames.TRIALS` for the columns.

        The trials that have no record yet have rows too, with the status `missing`.

        Returns:
            A frame with the columns of `frames.TRIALS`, and behind them one column per other dataset of the table
            (`test_accuracy_cifar100`), per setting of a selector (`setting_proxy`) and of a supernet training
            (`supernet_epochs`).
        """
        from opselect.bench.runs import frames

        return frames.trials(self)

    def networks(self) -> "pd.DataFrame":
        """All trainings of selected networks as a frame, one row each, with the columns of `frames.NETWORKS`."""
        from opselect.bench.runs import frames

        return frames.networks(self)

    def scores(self) -> "pd.DataFrame":
        """All recorded operation scores as a frame with the columns of `frames.SCORES`, one row per score.

        A step has scores of the edge that it decides, and of the other open edges where the experiment observes them.
        """
        from opselect.bench.runs import frames

        return frames.scores(self)

    def trace(self) -> "pd.DataFrame":
        """All recorded decisions as a frame, one row each, with the columns of `frames.TRACE`."""
        from opselect.bench.runs import frames

        return frames.trace(self)

    def summary(self) -> "pd.DataFrame":
        """The selectors as a frame, one row each, with the columns of `frames.SUMMARY`; means over finished trials."""
        from opselect.bench.runs import frames

        return frames.summary(self)

    def __repr__(self) -> str:
        """The title, and how many trials there are and which are missing."""
        return f"<Run {self.title!r}: {self._extent}>"

    def _repr_html_(self) -> str:
        """The selectors as a table, for notebooks."""
        from opselect.bench.runs import frames

        return frames.html(self, f"{self.title}: {self._extent}")

    @property
    def _extent(self) -> str:
        """How many trials there are, and which are missing."""
        gone = sum(map(len, self.missing.values()))
        which = "; ".join(f"{label}: {', '.join(map(str, seeds))}" for label, seeds in self.missing.items())
        rest = f", {gone} missing ({which})" if gone else ""
        selectors = "1 selector" if len(self.labels) == 1 else f"{len(self.labels)} selectors"
        return f"{len(self.all)} of {len(self.all) + gone} trials of {selectors}{rest}"

    def role(self, label: str) -> Role:
        """The role of a label in comparisons."""
        recorded = next((record.role for record in self.records[label]), None)
        return recorded or FORMER_ROLES.get(self._selector(label), "selector")

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
    accuracies = [training.last for training in _finished(networks.get(record.result.architecture, ()))]
    if not accuracies:
        return record
    changes = {"test_accuracy": sum(accuracies) / len(accuracies), "test_accuracies": accuracies}
    return record.model_copy(update={"result": record.result.model_copy(update=changes)})


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


def load_run(folder: str | Path) -> Run:
    """Read the records of a run that belong to its experiment file.

    A folder may hold records of earlier versions of its experiment file: those whose label, seed or settings it no
    longer has are left out, and of several for one label and seed the last one written counts.

    Args:
        folder: Folder that `opselect run` has written.

    Raises:
        InvalidRecords: The folder holds no records, or the runs of a study.
        InvalidExperiment: Its experiment file is absent or damaged.
        MixedRecords: The records are of several spaces, images or tables.

    Example:
        >>> load_run("nowhere")
        Traceback (most recent call last):
        opselect.bench.storage.store.InvalidRecords: nowhere/records.jsonl: no such file; expected the folder of a \
run, as 'opselect run' prints it
    """
    folder = Path(folder)
    path = folder / FILE_NAME
    if not path.is_file() and (folder / STUDY_FILE).is_file():
        runs = ", ".join(str(folder / name) for name in read_study(folder / STUDY_FILE).experiments)
        raise InvalidRecords(f"{folder}: a study of several runs, expected one of them: {runs}")
    if not path.is_file():
        raise InvalidRecords(f"{path}: no such file; expected the folder of a run, as 'opselect run' prints it")
    experiment = read(folder / "experiment.toml")
    entries = {entry.label: entry for entry in experiment.selectors}
    matching = [
        record
        for record in read_records(path)
        if record.label in entries and _is_of(record.trial, entries[record.label])
    ]
    newest_code = {record.label: record.trial.code for record in matching}
    latest = {
        (record.label, record.trial.seed): record
        for record in matching
        if record.trial.code == newest_code[record.label]
    }
    wanted = [(entry.label, seed) for entry, seed in experiment.runs]
    records = [latest[key] for key in wanted if key in latest]
    if not records:
        raise InvalidRecords(
            f"{path}: no record of any selector and seed of {folder / 'experiment.toml'}; run it first"
        )
    space = experiment.load_space()
    refuse_misfits(path, records, space)
    table = agreeing_table(path, records, experiment, space)
    remarks = _remarks(path, {(record.label, record.trial.seed) for record in matching} & set(wanted) - latest.keys())
    networks = _read_networks(folder, experiment, records)
    return Run.of(
        records,
        experiment.labels,
        networks,
        experiment.title,
        experiment.preface,
        declared_reference=experiment.reference,
        population=None if table is None else _population(*table),
        wanted=wanted,
        remarks=remarks,
        hyperparameters=experiment.hyperparameters,
    )


def _population(table: Table, choice: TableChoice) -> Population:
    """The accuracies of all architectures, by the columns that an experiment names."""
    main = choice.test_columns[choice.dataset]
    has_validation = choice.valid_column in table.columns
    return Population(
        test=table.accuracies(*main, "mean"),
        valid=table.accuracies(*choice.valid_column, "mean") if has_validation else None,
        training_seconds=table.training_seconds(*main),
    )


def _remarks(path: Path, left_out: Collection[tuple[str, int]]) -> tuple[str, ...]:
    """Sentences on lines that were changed by hand, and on trials of which only records of other code are there."""
    remarks = []
    if edited := edited_lines(path):
        remarks.append(
            f"{len(edited)} record(s) have no checksum, while others have one, so they were changed by hand "
            f"(line {', '.join(map(str, edited))} of {path.name})."
        )
    if left_out:
        remarks.append(
            f"{len(left_out)} trial(s) were made by other code than the latest of their selector and are left out; "
            "the next run makes them again."
        )
    return tuple(remarks)


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

    Args:
        folder: Folder that `opselect run` has written.

    Raises:
        InvalidRecords: One of its experiments has no records.
        InvalidExperiment: An experiment file is absent or damaged.
    """
    path = folder / STUDY_FILE
    if not path.is_file():
        return None
    study = read_study(path)
    return StudyRun(study.title, {name: load_run(folder / name) for name in study.experiments})
