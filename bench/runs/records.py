"""Records: one finished or failed trial each, written at once, found again by everything that determines it."""

import contextlib
import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from opselect.bench.runtime.checksums import append_checksummed, verified_line
from opselect.selectors.methods import FORMER_SELECTORS
from opselect.spaces.errors import UserError
from opselect.spaces.files import InUse, lock_exclusively, writing

FORMAT_VERSION = 1
FILE_NAME = "records.jsonl"
BEGINNING = b'{"version":'
"""How every line starts."""

Line = TypeVar("Line", bound=BaseModel)


class InvalidRecords(UserError, ValueError):
    """A records file that is not one, or that another version of the format wrote."""


class Value(BaseModel):
    """What is written as a line or a part of one: its first field is `version` where it is a line."""

    # NaN and infinite scores are states of their own; JSON has no numbers for them, so they are written as strings.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class TableReference(Value):
    """Which column of which table a trial is measured against."""

    name: str
    dataset: str
    epochs: int
    valid_epochs: int
    also: tuple[str, ...]
    fingerprint: str


class TrialDescription(Value):
    """Everything that determines the outcome of a trial.

    Attributes:
        images_hash: of the images and labels that are used.
        selector: the registered name.
        settings: all settings of the selector, defaults filled in.
        training: settings of supernet training, null where the selector needs no trained supernet.
        supernet: name of the supernet training where it is not `darts`; null for that one, and where there is none.
        observe: whether all open edges were scored at every step.
        device: where networks ran; numbers differ a little between kinds of devices.
        software: versions of opselect and torch.
        training_images: how many of the images are used for training, the first ones; null for all.
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

    @property
    def method(self) -> str:
        """The selector, and behind it the training of its supernet where that is not `darts`."""
        return self.selector if self.supernet is None else f"{self.selector} on {self.supernet}"

    @property
    def key(self) -> str:
        """The content address: 16 hexadecimal digits."""
        # What was added after records were kept is left out where it is not used, so that those keep their key.
        added_later = {name for name in ("training_images", "supernet") if getattr(self, name) is None}
        text = json.dumps(self.model_dump(mode="json", exclude=added_later), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class StepRecord(Value):
    """One decision.

    Attributes:
        edge: number of the decided edge.
        operation: number of the chosen operation.
        tied: how many other operations had the same score.
        scores: by edge number, one score an operation, larger is better; the decided edge and the observed ones.
        truth: by oracle (`best-acc`, `avg-acc`) and edge number, from the table's test accuracies given the decisions
            before this step; for the report only, computed after the selection.
    """

    edge: int
    operation: int
    tied: int
    scores: dict[int, list[float]]
    truth: dict[str, dict[int, list[float]]]


class PruningRecord(Value):
    """Which edges into a node were dropped.

    Attributes:
        cell: type of the cell.
        node: its number.
        dropped: edge numbers, in the order in which they went.
        scores: by edge number, of the edges that were left before each of them went; larger is better.
    """

    cell: str
    node: int
    dropped: list[int]
    scores: list[dict[int, float]]


class CellRecord(Value):
    """What one cell of a genotype looks like: how far its search has collapsed.

    Attributes:
        skip_connections: how many of its operations are skip connections.
        parameter_free_share: the share of its operations that have no weights, 0 to 1.
        depth: edges on the longest path from an input to the output.
        width: summed width of the nodes that the inputs feed, in channels of a node.
    """

    skip_connections: int
    parameter_free_share: float
    depth: int
    width: float


class Result(Value):
    """What a trial selected and how good that is.

    Attributes:
        architecture: in the field's notation.
        valid_accuracy: mean over the table's seeds, percent; null without a table.
        test_accuracy: the same on test images.
        other_test_accuracies: the same by dataset, of the other datasets that the experiment reports.
        test_accuracies: one a seed of the table.
        regret: test accuracy of the best architecture in the table minus this one's, percentage points.
        percentile: percent of all architectures of the table with a lower mean test accuracy.
        candidates: proposed architectures with their validation score, in order of proposal; empty without a pool.
        steps: how its operations were decided.
        topology: how its edges were; empty in spaces that keep all.
        cells: by type of cell, what it looks like; empty in spaces without genotypes.
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
    topology: list[PruningRecord] = []
    cells: dict[str, CellRecord] = {}


class Cost(Value):
    """What a trial cost.

    Attributes:
        seconds: wall time by phase (`selectors.costs`); `supernet training` is that of the shared supernet.
        search_seconds: the sum of all phases but `observing`.
        evaluations: score evaluations.
        peak_memory_megabytes: of the worker process up to the end of the trial.
        device: where it ran.
    """

    seconds: dict[str, float]
    search_seconds: float
    evaluations: int
    peak_memory_megabytes: float
    device: str


class Record(Value):
    """One line of a records file.

    Attributes:
        version: of this format.
        experiment: name of the experiment.
        label: what the report calls the selector.
        trial: everything that determines the outcome.
        key: the content address of `trial`.
        status: `failed` has a reason and no result.
        environment: machine, versions, commit: what may explain a difference.
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

    @model_validator(mode="before")
    @classmethod
    def _with_the_names_of_today(cls, content: Any) -> Any:
        """Read a record of before, whose selector and supernet training had one name in common."""
        trial = content.get("trial") if isinstance(content, dict) else None
        if not isinstance(trial, dict) or trial.get("selector") not in FORMER_SELECTORS:
            return content
        if TrialDescription.model_validate(trial).key != content.get("key"):
            return content  # for the message about the key
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
    """All records of a file, a later one replacing an earlier one of the same key; order of first appearance.

    Raises:
        InvalidRecords: a line is not a record, or is one of another format version.
        FileNotFoundError: there is no such file.
    """
    return list({record.key: record for record in read_lines(path, Record, "opselect run")}.values())


def read_lines(path: Path, kind: type[Line], command: str) -> list[Line]:
    """All lines of a file that `Appender` has written.

    A last line without its end, which a killed run leaves behind, is passed over. So are damaged lines, where the file
    has lines with a checksum: the log tells their numbers, and the next run does again what was in them.

    Args:
        path: of the file.
        kind: of its lines.
        command: that writes such files.

    Raises:
        InvalidRecords: a line is something else, or of another format version.
        FileNotFoundError: there is no such file.
    """
    complete, _, _ = path.read_bytes().rpartition(b"\n")
    lines = [verified_line(line) for line in complete.split(b"\n")] if complete else []
    is_ours = any(intact is not None for _, intact in lines)
    parsed, damaged = [], []
    for number, (line, intact) in enumerate(lines, start=1):
        try:
            if intact is False:
                raise InvalidRecords(f"{path}, line {number}: its checksum is not right")
            parsed.append(_parse(line, kind, f"{path}, line {number}", command))
        except InvalidRecords:
            if intact or not is_ours:
                raise
            damaged.append(number)
    if damaged:
        logging.warning(
            "%s: damaged and passed over: line %s; '%s' does again what is missing",
            path,
            ", ".join(map(str, damaged)),
            command,
        )
    return parsed


def _parse(line: bytes, kind: type[Line], where: str, command: str) -> Line:
    expected = f"expected a record written by '{command}'"
    try:
        parsed = json.loads(line)
    except (ValueError, RecursionError):
        raise InvalidRecords(f"{where}: not JSON; {expected}") from None
    version = parsed.get("version") if isinstance(parsed, dict) else None
    if version != FORMAT_VERSION:
        raise InvalidRecords(f"{where}: record format version {version!r}, expected {FORMAT_VERSION}; use a new folder")
    try:
        return kind.model_validate(parsed)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidRecords(f"{where}: {place!r}: {first['msg']}; {expected}") from None


@contextlib.contextmanager
def open_for_append(path: Path) -> Iterator["Appender"]:
    """Open a records file for one writer; a half-written last line of a killed run is cut off first.

    Raises:
        InvalidRecords: another run is writing to it, or it ends in something that no run has written.
        NotWritten: it cannot be written.
    """
    with contextlib.ExitStack() as opened:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = opened.enter_context(path.open("a+b"))
        try:
            lock_exclusively(stream.fileno(), path)
        except InUse as error:
            raise InvalidRecords(str(error)) from None
        stream.seek(0)
        content = stream.read()
        complete = content.rfind(b"\n") + 1
        rest = content[complete:]
        is_ours = any(verified_line(line)[1] is not None for line in content[:complete].split(b"\n"))
        if not is_ours and rest[: len(BEGINNING)] != BEGINNING[: len(rest)]:
            raise InvalidRecords(f"{path}: ends in something that is no record; expected a file that a run has written")
        stream.truncate(complete)
        yield Appender(stream.fileno(), path)


class Appender:
    """Writes records to the end of an open file, each as one durable line with a checksum.

    Args:
        descriptor: of the file.
        path: of the file, for messages.
    """

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._path = path

    def append(self, record: BaseModel) -> None:
        """Write one record; when this returns it is on the disk.

        Raises:
            NotWritten: for example because the disk is full; what was there before is untouched.
        """
        append_checksummed(self._descriptor, self._path, record.model_dump_json().encode())
