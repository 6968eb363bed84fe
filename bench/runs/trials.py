"""The records of one experiment, in an order that does not depend on the order in which they were written."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from opselect.bench.evaluation.networks import TrainingRecord, TrainingResult
from opselect.bench.runs.records import Record, Result
from opselect.spaces.errors import UserError

Role: TypeAlias = Literal["selector", "random", "oracle"]
"""Selectors compete; a random choice and the oracles, which read the table, are what they are compared with."""

ROLES: Mapping[str, Role] = {"random": "random", "best-acc": "oracle", "avg-acc": "oracle"}
BASELINE = "magnitude"


class MixedRecords(UserError, ValueError):
    """Records that do not belong into one report: nothing sensible can be averaged over them."""


@dataclass(frozen=True)
class Trials:
    """Records by label.

    Attributes:
        records: for every label, in the report's order, its records sorted by seed; a label may have none. Where
            selected networks were trained, their test accuracies stand in the results.
        networks: by architecture, its trainings from nothing, sorted by seed; failed ones are among them.
    """

    records: Mapping[str, tuple[Record, ...]]
    networks: Mapping[str, tuple[TrainingRecord, ...]] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels, in the report's order."""
        return tuple(self.records)

    @property
    def all(self) -> tuple[Record, ...]:
        """Every record, by label and seed."""
        return tuple(record for records in self.records.values() for record in records)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Every seed that some trial had."""
        return tuple(sorted({record.trial.seed for record in self.all}))

    @property
    def baseline(self) -> str | None:
        """The first label whose selector is magnitude, which the field compares with."""
        return next((label for label in self.labels if self._selector(label) == BASELINE), None)

    def results(self, label: str) -> dict[int, Result]:
        """The result of every finished trial of a label, by seed."""
        return {record.trial.seed: record.result for record in self.records[label] if record.result is not None}

    def values(self, label: str, value: Callable[[Result], float | None]) -> dict[int, float | None]:
        """One number of every finished trial of a label, by seed."""
        return {seed: value(result) for seed, result in self.results(label).items()}

    def trainings(self, result: Result) -> list[TrainingResult]:
        """What came out of the finished trainings of the network that a trial selected, one a training seed."""
        return _finished(self.networks.get(result.architecture, ()))

    def only(self, label: str) -> "Trials":
        """The trials of one label."""
        return Trials({label: self.records[label]}, self.networks)

    def role(self, label: str) -> Role:
        """Whether a label competes or is compared with."""
        return ROLES.get(self._selector(label), "selector")

    def in_role(self, *roles: Role) -> tuple[str, ...]:
        """The labels that have one of these roles."""
        return tuple(label for label in self.labels if self.role(label) in roles)

    def _selector(self, label: str) -> str:
        return next((record.trial.method for record in self.records[label]), label)


def trials_of(records: Iterable[Record], labels: Sequence[str], networks: Iterable[TrainingRecord] = ()) -> Trials:
    """Sort records by label and seed, and check that one report may hold them.

    Args:
        records: in any order.
        labels: the order of the report; labels that it lacks follow in alphabetical order.
        networks: trainings of selected networks, in any order; all of them by one recipe.

    Raises:
        MixedRecords: two trials share label and seed, or spaces, images or tables differ.
    """
    trained: dict[str, tuple[TrainingRecord, ...]] = {}
    for network in sorted(networks, key=lambda training: (training.network.genotype, training.network.seed)):
        genotype = network.network.genotype
        trained[genotype] = (*trained.get(genotype, ()), network)
    known = sorted(
        (_with_accuracies(record, trained) for record in records),
        key=lambda record: (record.label, record.trial.seed, record.key),
    )
    _check_unmixed(known)
    order = dict.fromkeys([*labels, *(record.label for record in known)])
    return Trials({label: tuple(record for record in known if record.label == label) for label in order}, trained)


def _finished(trainings: Iterable[TrainingRecord]) -> list[TrainingResult]:
    return [training.result for training in trainings if training.result is not None]


def _with_accuracies(record: Record, networks: Mapping[str, tuple[TrainingRecord, ...]]) -> Record:
    """The record with the test accuracies that its network has after the last epoch, where it was trained."""
    if record.result is None or record.trial.table is not None:
        return record
    reached = [training.last for training in _finished(networks.get(record.result.architecture, ()))]
    if not reached:
        return record
    accuracies = {"test_accuracy": sum(reached) / len(reached), "test_accuracies": reached}
    return record.model_copy(update={"result": record.result.model_copy(update=accuracies)})


def _check_unmixed(records: Sequence[Record]) -> None:
    trials = Counter((record.label, record.trial.seed) for record in records)
    for (label, seed), count in trials.items():
        if count > 1:
            raise MixedRecords(
                f"selector {label!r}, seed {seed}: {count} records, expected one; "
                "leave out the records of other settings or software versions"
            )
    grounds = sorted({_ground(record) for record in records})
    if len(grounds) > 1:
        raise MixedRecords(f"records of {len(grounds)} problems in one report, expected one: {'; '.join(grounds)}")


def _ground(record: Record) -> str:
    trial, table = record.trial, record.trial.table
    measured = (
        f"table {table.name}, {table.dataset}, {table.epochs} epochs, {table.fingerprint}" if table else "no table"
    )
    return f"space {trial.space}, images {trial.images} {trial.images_hash}, {measured}"
