"""Published numbers: the format of a file of them, and reading and checking one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from opselect.spaces import registry
from opselect.spaces.errors import UserError
from opselect.spaces.files import read_text, read_toml

NOT_KNOWN = "not known"
"""Value of a setting that the source does not state, which every run differs from."""

PACKAGED = Path(__file__).with_name("published.toml")

Scalar: TypeAlias = str | int | float | bool


class InvalidNumbers(UserError, ValueError):
    """A file of published numbers that cannot be used; the message says which number is wrong and how."""


@dataclass(frozen=True)
class Measure:
    """The quantity that a published number measures.

    Attributes:
        unit: Unit of the values; empty for pure numbers.
        short: Name of the measure in tables.
        needs: Fields of `Number` that a number of this measure must have.
        decimals: Number of printed decimals.
        timed: Whether it is a time, which another machine cannot reproduce.
        reads_best_acc: Whether it depends on what best-acc is the maximum of.
    """

    unit: str
    short: str
    needs: tuple[str, ...]
    decimals: int = 2
    timed: bool = False
    reads_best_acc: bool = False


RUN_MEASURES: Mapping[str, Measure] = {
    "test accuracy": Measure("%", "test accuracy", ("method", "images", "dataset")),
    "first-step Spearman with best-acc": Measure(
        "", "first-step Spearman", ("method", "images", "dataset"), decimals=3, reads_best_acc=True
    ),
    "search time": Measure("s", "search time", ("method", "images"), decimals=1, timed=True),
    "time of a score": Measure("s", "time of a score", ("method", "images"), decimals=3, timed=True),
}
TABLE_MEASURES: Mapping[str, Measure] = {
    "best test accuracy": Measure("%", "best test accuracy", ("dataset", "epochs")),
    "best test accuracy of a single training": Measure("%", "best single training", ("dataset", "epochs")),
    "test accuracy of an architecture": Measure("%", "test accuracy", ("dataset", "epochs", "architecture")),
    "Spearman of avg-acc with best-acc": Measure(
        "", "avg-acc with best-acc", ("dataset", "epochs"), decimals=3, reads_best_acc=True
    ),
}
SPACE_MEASURES: Mapping[str, Measure] = {
    "supernet parameters": Measure("", "supernet parameters", (), decimals=0),
}
MEASURES: Mapping[str, Measure] = {**RUN_MEASURES, **TABLE_MEASURES, **SPACE_MEASURES}


def _as_tuple(value: object) -> object:
    """A list of accepted values as a tuple, or a single accepted value as a tuple of one."""
    return tuple(value) if isinstance(value, list) else value if isinstance(value, tuple) else (value,)


OneOf: TypeAlias = Annotated[tuple[Scalar, ...], BeforeValidator(_as_tuple), Field(min_length=1)]
OneName: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_as_tuple), Field(min_length=1)]


class _Checked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Source(_Checked):
    """Where numbers were published.

    Attributes:
        id: Name of the source in numbers and tables.
        citation: Paper and table, or logs with their commit.
        obtained: How the numbers were obtained.
        verified: Whether they were read in the source itself; if not, they are quoted from another publication.
    """

    id: str = Field(min_length=1)
    citation: str = Field(min_length=1)
    obtained: str = Field(min_length=1)
    verified: bool

    @property
    def text(self) -> str:
        """The reference with the way the numbers were obtained, in one sentence or two."""
        return f"{self.citation}; {self.obtained}" + ("" if self.verified else " (secondary)")


class Number(_Checked):
    """One published number, with the conditions under which a run measures the same quantity.

    Attributes:
        measure: Name of the measure, a key of `MEASURES`.
        source: Id of the source.
        space: Registered name of the search space, or the name of a space that does not exist yet.
        value: Published value in the unit of the measure.
        dataset: Accepted datasets; the first one that exists is taken.
        method: Name of the selector.
        architecture: One digit per edge, the number of its operation.
        settings: Accepted values of the settings that make the variant of the method, by name.
        reading: Names of the published code's readings in the file; a run with other readings differs in them.
        training: Name of the settings of supernet training in the file.
        network: Name of the settings of training selected networks in the file.
        images: Names of the images that were searched on.
        epochs: Number of epochs that the table's networks were trained for.
        over_seeds: Whether the value is the mean or the best over seeds.
        deviation: Published sample standard deviation of single seeds (n - 1), where it is known.
        seeds: Published number of seeds, where it is known.
        judged: Whether ours is judged by it: not if its settings are not known. Times never are.
        tolerance: Largest accepted distance where neither spread over seeds is known. None where the published one is,
            and where nothing is judged.
        note: Difference between the definitions, or the number as it was printed.
    """

    measure: str
    source: str
    space: str
    value: float
    dataset: OneName | None = None
    method: str | None = None
    architecture: str | None = Field(default=None, pattern=r"^[0-9]+$")
    settings: dict[str, OneOf] = Field(default_factory=dict)
    reading: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = ()
    training: str | None = None
    network: str | None = None
    images: OneName | None = None
    epochs: int | None = Field(default=None, ge=1)
    over_seeds: Literal["mean", "best"] = "mean"
    deviation: float | None = Field(default=None, ge=0)
    seeds: int | None = Field(default=None, ge=1)
    judged: bool = True
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
        if not self.judged and not self.note:
            raise ValueError("where nothing is judged, a 'note' must say why")
        if not self.judged and self.tolerance is not None:
            raise ValueError("nothing is judged: leave out the 'tolerance'")
        if self.has_spread and self.tolerance is not None:
            raise ValueError("the 'deviation' over 'seeds' judges: leave out the 'tolerance'")
        if self.judged and not (self.definition.timed or self.has_spread or self.tolerance is not None):
            raise ValueError("neither a 'deviation' over several 'seeds' nor a 'tolerance', so nothing could be judged")
        return self

    @property
    def has_spread(self) -> bool:
        """Whether it is known how far single seeds scatter; equal values over all seeds do not say that."""
        return bool(self.deviation) and (self.seeds or 1) > 1

    @property
    def definition(self) -> Measure:
        """The measure of the number."""
        return MEASURES[self.measure]

    @property
    def identity(self) -> str:
        """Text that no two numbers of a file may share: the fields that define what was measured."""
        return self.model_dump_json(exclude={"value", "deviation", "seeds", "judged", "tolerance", "note"})


class Published(_Checked):
    """A file of published numbers.

    Attributes:
        sources: Sources by id.
        reading: Readings of the published code, the accepted values of settings by the name that numbers refer to.
        training: Accepted settings of supernet training, by the name that numbers refer to.
        network: Accepted settings of training selected networks, by the name that numbers refer to.
        numbers: Published numbers in the order of the file.
    """

    sources: dict[str, Source]
    reading: dict[str, dict[str, OneOf]]
    training: dict[str, dict[str, OneOf]]
    network: dict[str, dict[str, OneOf]]
    numbers: tuple[Number, ...]

    def reading_of(self, number: Number) -> dict[str, OneOf]:
        """The settings of all readings of a number, with their accepted values."""
        return {name: values for reading in number.reading for name, values in self.reading[reading].items()}


class _Group(BaseModel):
    """Numbers and the fields that they share."""

    model_config = ConfigDict(frozen=True, extra="allow")

    number: list[dict[str, Any]] = Field(min_length=1)


class _File(_Checked):
    source: list[dict[str, Any]]
    reading: dict[str, dict[str, OneOf]] = Field(default_factory=dict)
    training: dict[str, dict[str, OneOf]] = Field(default_factory=dict)
    network: dict[str, dict[str, OneOf]] = Field(default_factory=dict)
    group: list[_Group]


def read(path: Path) -> Published:
    """Read a file of published numbers and check all of it.

    Args:
        path: TOML file.

    Returns:
        The numbers with their sources.

    Raises:
        InvalidNumbers: The file cannot be read or is invalid; the message is one sentence about the first problem.
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
        sources=sources,
        reading=file.reading,
        training=file.training,
        network=file.network,
        numbers=tuple(_numbers(file.group, path)),
    )
    seen: dict[str, int] = {}
    for position, number in enumerate(published.numbers, start=1):
        where = f"{path}, number {position} ({number.measure}, {number.space}, {number.value:g})"
        if number.source not in sources:
            raise InvalidNumbers(
                f"{where}: no source named {number.source!r}{registry.did_you_mean(number.source, tuple(sources))}"
            )
        for kind, name, known in (
            *(("reading", name, tuple(published.reading)) for name in number.reading),
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
    """The numbers, each with the fields of its group."""
    contents = ((group.model_extra or {}) | own for group in groups for own in group.number)
    for position, content in enumerate(contents, start=1):
        yield _validated(Number, content, f"{path}, number {position}")


def _validated(model: type[Any], content: Mapping[str, Any], where: str) -> Any:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        # A misspelt name may also make the right one missing, so unknown names come first.
        problem = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
        field = ".".join(str(step) for step in problem["loc"])
        match problem["type"]:
            case "extra_forbidden":
                what = f"unknown field {field!r}{registry.did_you_mean(field, tuple(model.model_fields))}"
            case "value_error":
                what = str(problem["ctx"]["error"])
            case _:
                what = f"{field}: {problem['msg'][0].lower()}{problem['msg'][1:]}"
        raise InvalidNumbers(f"{where}: {what}") from None
