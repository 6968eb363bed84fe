"""Records: one per finished or failed trial, identified by the content address of all that determines the trial."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from opselect.bench.storage.store import Value, content_key, read_lines
from opselect.selectors.methods import FORMER_SELECTORS
from opselect.selectors.task import Role

FILE_NAME = "records.jsonl"
ADDED_LATER = ("training_images", "supernet", "augmentation", "order_seed", "initialization", "code")
"""Fields of the description of a trial that the first records did not have."""
ORACLES = ("best-acc", "avg-acc")
TRUTHS = ("best-acc", "best-acc-runs", "avg-acc")
"""Oracle scores in records: of mean accuracies, of single trainings where the table has them, averages of means."""


class TableReference(Value):
    """The column of a table that a trial is measured against.

    Attributes:
        name: Registered name of the table.
        dataset: Dataset of the accuracies.
        epochs: Training epochs of the test accuracies.
        valid_epochs: Training epochs of the validation accuracies.
        also: Other datasets whose test accuracies are reported.
        fingerprint: Hash of the table's content.
    """

    name: str
    dataset: str
    epochs: int
    valid_epochs: int
    also: tuple[str, ...]
    fingerprint: str


class Code(Value):
    """The code that makes a trial.

    Attributes:
        digest: Digest of the code of the trial, the selector, and all that they name and import.
        packages: Version by name of every other package than opselect that declares one of these components.
    """

    digest: str
    packages: dict[str, str]


class TrialDescription(Value):
    """Everything that determines the outcome of a trial.

    Attributes:
        space: Registered name of the search space.
        images: Registered name, or path of an `.npz` file.
        images_hash: Hash of the images and labels that are used.
        selector: Registered name of the selector.
        settings: All settings of the selector, defaults filled in.
        seed: Seed of everything random in the trial.
        training: Settings of supernet training, null where the selector needs no trained supernet.
        supernet: Name of the supernet training where it is not `darts`; null for that one, and where there is none.
        table: What the selected architecture is measured against, null where there is no table.
        observe: Whether all open edges were scored at every step.
        device: Device of the networks; numbers differ a little between kinds of devices.
        software: Versions of opselect and torch.
        training_images: Number of images used for training, the first ones; null for all.
        augmentation: How the search changes its images at random; null where it does not. Records that are older than
            this field have padded with zeros and augmented nothing but the batches of supernet training and tuning.
        initialization: `reference` where supernets started from the weights of the published code; null for our own.
        order_seed: Seed with which training images that were sorted by class were shuffled; null where they were not.
        code: The code that makes the trial; null in records of versions that did not record it.
    """

    space: str
    images: str
    images_hash: str
    selector: str
    settings: dict[str, Any]
    seed: int
    training: dict[str, Any] | None
    table: TableReference | None
    observe: bool
    device: str
    software: dict[str, str]
    training_images: int | None = None
    supernet: str | None = None
    augmentation: dict[str, Any] | None = None
    order_seed: int | None = None
    initialization: str | None = None
    code: Code | None = None

    @property
    def method(self) -> str:
        """The selector, and behind it the training of its supernet where that is not `darts`."""
        return self.selector if self.supernet is None else f"{self.selector} on {self.supernet}"

    @property
    def key(self) -> str:
        """The content address: 16 hexadecimal digits."""
        return content_key(self.model_dump(mode="json", exclude=self._unused))

    @property
    def key_without_code(self) -> str:
        """The content address of all but the code: equal for trials that nothing but the code can tell apart."""
        return content_key(self.model_dump(mode="json", exclude=self._unused | {"code"}))

    @property
    def _unused(self) -> set[str]:
        # A field that the first records did not have is left out where it is not used, so that their keys stay.
        return {name for name in ADDED_LATER if getattr(self, name) is None}


class StepRecord(Value):
    """One decision.

    Attributes:
        edge: Number of the decided edge.
        operation: Number of the chosen operation.
        tied: Number of other operations with the same score.
        scores: By edge number, one score per operation, larger is better; the decided edge and the traced ones.
        truth: Oracle scores by oracle (`best-acc` and `avg-acc` of mean accuracies, `best-acc-runs` of single trainings
            where the table has several) and edge number, from the table's test accuracies given
            the decisions before this step; for the report only, computed after the selection.
    """

    edge: int
    operation: int
    tied: int
    scores: dict[int, list[float]]
    truth: dict[str, dict[int, list[float]]]


class PruningRecord(Value):
    """The edges into one node that were dropped.

    Attributes:
        cell: Type of the cell.
        node: Number of the node.
        dropped: Edge numbers, in the order in which the edges were dropped.
        scores: Before each drop, the scores of the remaining edges by edge number; larger is better.
    """

    cell: str
    node: int
    dropped: list[int]
    scores: list[dict[int, float]]


class CellRecord(Value):
    """Shape of one cell of a genotype, which shows how far its search has collapsed.

    Attributes:
        skip_connections: Number of its operations that are skip connections.
        parameter_free_share: Share of its operations that have no weights, 0 to 1.
        depth: Number of edges on the longest path from an input to the output.
        width: Summed width of the nodes that the inputs feed, in channels of a node.
    """

    skip_connections: int
    parameter_free_share: float
    depth: int
    width: float


class Result(Value):
    """The architecture that a trial selected, and its accuracies.

    Attributes:
        architecture: The selected architecture in the space's notation.
        valid_accuracy: Validation accuracy, mean over the table's seeds, percent; null without a table.
        test_accuracy: Test accuracy, mean over the table's seeds, percent; null without a table.
        other_test_accuracies: Mean test accuracies by dataset, of the other datasets that the experiment reports.
        test_accuracies: Test accuracies, one per seed of the table.
        regret: Test accuracy of the best architecture in the table minus this one's, percentage points.
        percentile: Percent of all architectures of the table with a lower mean test accuracy.
        candidates: Proposed architectures with their validation score, in order of proposal; empty without a pool.
        steps: Decisions about operations, in their order.
        topology: Decisions about edges, per node; empty in spaces without edge pruning.
        cells: Shape of the cells by type; empty in spaces without genotypes.
    """

    architecture: str
    valid_accuracy: float | None
    test_accuracy: float | None
    test_accuracies: list[float]
    other_test_accuracies: dict[str, float]
    regret: float | None
    percentile: float | None
    candidates: list[tuple[str, float | None]]
    steps: list[StepRecord]
    topology: list[PruningRecord] = Field(default_factory=list)
    cells: dict[str, CellRecord] = Field(default_factory=dict)


class Cost(Value):
    """The cost of a trial.

    Attributes:
        seconds: Wall time by phase (`selectors.costs`); `supernet training` is that of the shared supernet.
        search_seconds: Sum of all phases except `observing`.
        evaluations: Number of score evaluations.
        peak_memory_megabytes: Peak memory of the worker process up to the end of the trial.
        device: Name of the device.
    """

    seconds: dict[str, float]
    search_seconds: float
    evaluations: int
    peak_memory_megabytes: float
    device: str


class Record(Value):
    """One line of a records file.

    Attributes:
        version: Version of this format.
        experiment: Name of the experiment.
        label: Name of the selector in the report.
        trial: Everything that determines the outcome.
        key: Content address of `trial`.
        status: A `failed` trial has a reason and no result.
        reason: Reason of the failure; null where the trial finished.
        result: The selection; null where the trial failed.
        cost: Cost of the trial; null where it failed.
        environment: Machine, versions and commit, which may explain why two records differ.
        role: Whether the selector competes; null in records of versions that did not record it.
    """

    version: int
    experiment: str
    label: str
    trial: TrialDescription
    key: str
    status: Literal["done", "failed"]
    reason: str | None
    result: Result | None
    cost: Cost | None
    environment: dict[str, Any]
    role: Role | None = None

    @model_validator(mode="before")
    @classmethod
    def _with_the_names_of_today(cls, content: Any) -> Any:
        """Read an older record, whose selector and supernet training have one name in common."""
        trial = content.get("trial") if isinstance(content, dict) else None
        if not isinstance(trial, dict) or trial.get("selector") not in FORMER_SELECTORS:
            return content
        if TrialDescription.model_validate(trial).key != content.get("key"):
            return content  # the check of the key raises the message
        selector, supernet = FORMER_SELECTORS[trial["selector"]]
        trial = TrialDescription.model_validate(trial | {"selector": selector, "supernet": supernet})
        return content | {"trial": trial, "key": trial.key}

    @model_validator(mode="after")
    def _is_consistent(self) -> "Record":
        if (self.status == "done") != (self.result is not None and self.cost is not None):
            raise ValueError(f"status {self.status!r} does not go with this result and cost")
        if self.key != self.trial.key:
            raise ValueError(f"key {self.key!r} is not that of the trial, {self.trial.key!r}")
        return self


def read_records(path: Path) -> list[Record]:
    """Read all records of a file, a later one replacing an earlier one of the same key; order of last appearance.

    Raises:
        InvalidRecords: A line is not a record, or is one of another format version.
        FileNotFoundError: There is no such file.
    """
    found: dict[str, Record] = {}
    for record in read_lines(path, Record, "opselect run"):
        found.pop(record.key, None)
        found[record.key] = record
    return list(found.values())
