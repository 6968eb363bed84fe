"""Published numbers: what a file of them may hold, and how it is read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from opselect.spaces import registry
from opselect.spaces.errors import UserError
from opselect.spaces.files import read_text, read_toml

PACKAGED = Path(__file__).with_name("published.toml")

Scalar: TypeAlias = str | int | float | bool


class InvalidNumbers(UserError, ValueError):
    """A file of published numbers that cannot be used; the message says which number is wrong and how."""


@dataclass(frozen=True)
class Measure:
    """What a published number is a number of.

    Attributes:
        unit: of its values.
        short: what tables call it.
        needs: fields that a number of it must have.
        decimals: as printed.
        timed: whether it is a time, which another machine cannot reproduce.
    """

    unit: str
    short: str
    needs: tuple[str, ...]
    decimals: int = 2
    timed: bool = False


RUN_MEASURES: Mapping[str, Measure] = {
    "test accuracy": Measure("%", "test accuracy", ("method", "dataset")),
    "first-step Spearman with best-acc": Measure("", "first-step Spearman", ("method", "dataset"), decimals=3),
    "search time": Measure("s", "search time", ("method",), decimals=1, timed=True),
    "time of a score": Measure("s", "time of a score", ("method",), decimals=3, timed=True),
}
TABLE_MEASURES: Mapping[str, Measure] = {
    "best test accuracy": Measure("%", "best test accuracy", ("dataset", "epochs")),
    "best test accuracy of a single training": Measure("%", "best single training", ("dataset", "epochs")),
    "test accuracy of an architecture": Measure("%", "test accuracy", ("dataset", "epochs", "architecture")),
    "Spearman of avg-acc with best-acc": Measure("", "avg-acc with best-acc", ("dataset", "epochs"), decimals=3),
}
SPACE_MEASURES: Mapping[str, Measure] = {
    "supernet parameters": Measure("", "supernet parameters", (), decimals=0),
}
MEASURES: Mapping[str, Measure] = {**RUN_MEASURES, **TABLE_MEASURES, **SPACE_MEASURES}


def _as_tuple(value: object) -> object:
    """A single value and a list of values that will do alike."""
    return tuple(value) if isinstance(value, list) else value if isinstance(value, tuple) else (value,)


OneOf: TypeAlias = Annotated[tuple[Scalar, ...], BeforeValidator(_as_tuple), Field(min_length=1)]
OneName: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_as_tuple), Field(min_length=1)]


class _Checked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Source(_Checked):
    """Where numbers were published.

    Attributes:
        id: what numbers and tables call it.
        citation: paper, table, or logs with their commit.
        obtained: how the numbers got here.
        verified: whether they were read in the source itself; if not, somebody else quotes them.
    """

    id: str = Field(min_length=1)
    citation: str = Field(min_length=1)
    obtained: str = Field(min_length=1)
    verified: bool

    @property
    def text(self) -> str:
        """The whole reference, one sentence or two."""
        return f"{self.citation}; {self.obtained}" + ("" if self.verified else " (secondary)")


class Number(_Checked):
    """One published number, and what a run must have to count as the same thing.

    Attributes:
        measure: a name in `MEASURES`.
        source: id of a source.
        space: registered name, or that of a space that is not there yet.
        value: in the measure's unit.
        dataset: any of these will do, the first one that is there.
        method: name of a selector.
        architecture: digits, one an edge: the number of its operation.
        settings: of the selector, by name any of several values.
        training: name of the settings of supernet training.
        network: name of the settings of the training of selected networks.
        images: names, or patterns for file names, of the images that were searched on; empty if they do not matter.
        epochs: of the table's networks.
        over_seeds: whether the value is the mean or the best over seeds.
        deviation: standard deviation over seeds, where it is known.
        seeds: how many there were, where that is known.
        tolerance: how far ours may lie from the value; None where nothing is judged: of times, and of numbers whose
            settings are not known.
        note: where definitions differ, or what was printed.
    """

    measure: str
    source: str
    space: str
    value: float
    dataset: OneName | None = None
    method: str | None = None
    architecture: str | None = Field(default=None, pattern=r"^[0-9]+$")
    settings: dict[str, OneOf] = Field(default_factory=dict)
    training: str | None = None
    network: str | None = None
    images: OneName | None = None
    epochs: int | None = Field(default=None, ge=1)
    over_seeds: Literal["mean", "best"] = "mean"
    deviation: float | None = Field(default=None, ge=0)
    seeds: int | None = Field(default=None, ge=1)
    tolerance: float | None = Field(default=None, ge=0)
    note: str = ""

    @field_validator("measure")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in MEASURES:
            raise ValueError(f"no measure named {name!r}{registry.did_you_mean(name, tuple(MEASURES))}")
        return name

    @model_validator(mode="after")
    def _has_what_its_measure_needs(self) -> "Number":
        for name in self.definition.needs:
            if getattr(self, name) is None:
                raise ValueError(f"{self.measure!r} needs {name!r}")
        if self.definition.timed and self.tolerance is not None:
            raise ValueError(f"{self.measure!r} is a time, which nothing can reproduce: leave out the 'tolerance'")
        if not self.definition.timed and self.tolerance is None and not self.note:
            raise ValueError("without a 'tolerance' nothing is judged, and a 'note' must say why")
        return self

    @property
    def definition(self) -> Measure:
        """What it is a number of."""
        return MEASURES[self.measure]

    @property
    def identity(self) -> str:
        """What no other number of the file may have as well."""
        return self.model_dump_json(exclude={"value", "deviation", "seeds", "tolerance", "note"})


class Published(_Checked):
    """A file of published numbers.

    Attributes:
        sources: by id.
        training: settings of supernet training, by the name that numbers call them.
        network: settings of the training of selected networks, likewise.
        numbers: in the order of the file.
    """

    sources: dict[str, Source]
    training: dict[str, dict[str, OneOf]]
    network: dict[str, dict[str, OneOf]]
    numbers: tuple[Number, ...]


class _Group(BaseModel):
    """Numbers, and any fields that they share."""

    model_config = ConfigDict(frozen=True, extra="allow")

    number: list[dict[str, Any]] = Field(min_length=1)


class _File(_Checked):
    source: list[dict[str, Any]]
    training: dict[str, dict[str, OneOf]] = Field(default_factory=dict)
    network: dict[str, dict[str, OneOf]] = Field(default_factory=dict)
    group: list[_Group]


def read(path: Path) -> Published:
    """Read a file of published numbers and check all of it.

    Raises:
        InvalidNumbers: one sentence about the first problem.
    """
    try:
        content = read_toml(read_text(path))
    except (OSError, ValueError) as error:
        raise InvalidNumbers(f"{path}: {error}; expected a file of published numbers in TOML") from None
    file: _File = _validated(_File, content, str(path))
    checked = [
        _validated(Source, content, f"{path}, source {position}")
        for position, content in enumerate(file.source, start=1)
    ]
    sources = {source.id: source for source in checked}
    if len(sources) < len(checked):
        raise InvalidNumbers(f"{path}: two sources share an id; give each of {', '.join(sources)} once")
    published = Published(
        sources=sources, training=file.training, network=file.network, numbers=tuple(_numbers(file.group, path))
    )
    seen: dict[str, int] = {}
    for position, number in enumerate(published.numbers, start=1):
        where = f"{path}, number {position} ({number.measure}, {number.space}, {number.value:g})"
        if number.source not in sources:
            raise InvalidNumbers(
                f"{where}: no source named {number.source!r}{registry.did_you_mean(number.source, tuple(sources))}"
            )
        for kind, name, known in (
            ("training", number.training, tuple(published.training)),
            ("network", number.network, tuple(published.network)),
        ):
            if name is not None and name not in known:
                raise InvalidNumbers(f"{where}: no {kind} named {name!r}{registry.did_you_mean(name, known)}")
        if number.identity in seen:
            raise InvalidNumbers(f"{where}: the same thing of the same source as number {seen[number.identity]}")
        seen[number.identity] = position
    return published


@cache
def load_packaged() -> Published:
    """Read the numbers that come with the package."""
    return read(PACKAGED)


def _numbers(groups: Iterable[_Group], path: Path) -> Iterable[Number]:
    """Each number with what its group adds to it."""
    contents = ((group.model_extra or {}) | own for group in groups for own in group.number)
    for position, content in enumerate(contents, start=1):
        yield _validated(Number, content, f"{path}, number {position}")


def _validated(model: type[Any], content: Mapping[str, Any], where: str) -> Any:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        # A misspelt name may also make the right one missing, so unknown names come first.
        problem = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        field = ".".join(str(step) for step in problem["loc"])
        match problem["type"]:
            case "extra_forbidden":
                what = f"unknown field {field!r}{registry.did_you_mean(field, tuple(model.model_fields))}"
            case "value_error":
                what = str(problem["ctx"]["error"])
            case _:
                what = f"{field}: {problem['msg'][0].lower()}{problem['msg'][1:]}"
        raise InvalidNumbers(f"{where}: {what}") from None
