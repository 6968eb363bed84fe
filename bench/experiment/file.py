"""Experiments: one TOML file, checked completely before anything runs."""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import torch
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from opselect.bench.evaluation.training import NetworkTraining
from opselect.selectors.methods import Settings
from opselect.selectors.supernets.settings import SupernetTraining
from opselect.selectors.task import Selector
from opselect.spaces import registry
from opselect.spaces import table as tables
from opselect.spaces.errors import UserError
from opselect.spaces.files import read_text, read_toml
from opselect.spaces.image_sources import load_images
from opselect.spaces.images import ImageData
from opselect.spaces.space import SearchSpace
from opselect.spaces.table import NotInTable, Table

LONGEST_LABEL = 100


class InvalidExperiment(UserError, ValueError):
    """An experiment file that cannot be run; the message says where, what was given and what was expected."""


def _registered(kind: str) -> AfterValidator:
    def check(name: str) -> str:
        if name not in registry.names(kind):
            raise ValueError(
                f"no {registry.SINGULAR[kind]} named {name!r}{registry.did_you_mean(name, registry.names(kind))}"
            )
        return name

    return AfterValidator(check)


def _known_table(name: str) -> str:
    if not name.endswith(".parquet") and name not in tables.names():
        raise ValueError(f"no table named {name!r}{registry.did_you_mean(name, tables.names())}")
    return name


def _tuple_of_list(value: object) -> object:
    """TOML has lists; what is hashed and compared is a tuple."""
    return tuple(value) if isinstance(value, list) else value


class _Checked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class TableChoice(_Checked):
    """The accuracies that selections are measured against.

    Attributes:
        name: a registered or imported table, or the path of a `.parquet` file.
        dataset: which of its datasets.
        epochs: which of its training budgets.
        valid_epochs: the budget of the validation accuracies, which the oracles read, where it is another one.
        also: other datasets on whose test accuracies the selected architectures are reported too.
    """

    name: Annotated[str, AfterValidator(_known_table)]
    dataset: str
    epochs: int
    valid_epochs: int | None = None
    also: Annotated[tuple[str, ...], BeforeValidator(_tuple_of_list)] = ()

    @property
    def valid_column(self) -> tuple[str, str, int]:
        """Dataset, split and epochs of the validation accuracies."""
        return self.dataset, "valid", self.valid_epochs or self.epochs

    @property
    def test_columns(self) -> dict[str, tuple[str, str, int]]:
        """By dataset, the column of its test accuracies; the main dataset first."""
        return {dataset: (dataset, "test", self.epochs) for dataset in (self.dataset, *self.also)}


Seed: TypeAlias = Annotated[int, Field(ge=0, lt=2**63)]


def _listed(value: object) -> object:
    # pydantic would ask for a tuple, which TOML does not have.
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"{shown(value)}, expected a list of at least one whole number")
    return tuple(value)


def _distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"{shown(list(seeds))} names a seed twice")
    return seeds


Seeds: TypeAlias = Annotated[tuple[Seed, ...], BeforeValidator(_listed), AfterValidator(_distinct)]


class NetworkChoice(NetworkTraining):
    """How selected networks are trained from nothing; the defaults are the papers' on CIFAR-10.

    Attributes:
        channels: of the edges in the first cell.
        cells: in all.
        stem: for images of CIFAR's size, or of ImageNet's.
        seeds: each trains every selected network once.
    """

    model_config = ConfigDict(strict=True)

    channels: int = Field(default=36, ge=1)
    cells: int = Field(default=20, ge=3)
    stem: Literal["cifar", "imagenet"] = "cifar"
    seeds: Seeds = (0,)

    @property
    def training(self) -> NetworkTraining:
        """The settings of the training itself."""
        return NetworkTraining.model_validate(self.model_dump(include=set(NetworkTraining.model_fields)))


class SelectorEntry(_Checked):
    """One selector of an experiment.

    Attributes:
        name: the registered name.
        label: what reports call it; the name, unless the file says otherwise.
        settings: the selector itself, its settings checked.
        seeds: of its trials, where they are not the experiment's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: str
    label: str
    settings: Settings
    seeds: tuple[int, ...] | None = None

    @property
    def selector(self) -> Selector:
        """The callable."""
        selector: Selector = self.settings  # type: ignore[assignment]
        return selector


class _ExperimentFile(_Checked):
    name: str = Field(
        max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="letters, digits, '.', '_', '-'"
    )
    title: str = ""
    space: Annotated[str, _registered("spaces")]
    images: str
    training_images: int | None = Field(default=None, ge=2)
    table: TableChoice | None = None
    seeds: Seeds
    observe: bool = False
    device: Literal["cpu", "cuda"] = "cpu"
    supernet: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] | None = None
    selector: list[dict[str, Any]] = Field(min_length=1)


class Experiment(_Checked):
    """What is run: the cross product of selectors and seeds on one space and one set of images.

    Attributes:
        name: names the folder of its results.
        title: heads its report.
        space: registered name.
        images: registered name, or the path of an `.npz` file.
        training_images: how many of them are used for training, the first ones; None for all.
        table: accuracies, or None where the space has no table.
        seeds: each gives one trial a selector, on the same supernet.
        observe: score every open edge at every step, for the report.
        device: where networks run.
        supernet: settings of supernet training.
        training: of selected networks; None where they are not trained.
        selectors: what is compared, in the order of the report.
        text: the file as it was written, to be kept beside the results.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    name: str
    title: str
    space: str
    images: str
    training_images: int | None
    table: TableChoice | None
    seeds: tuple[int, ...]
    observe: bool
    device: Literal["cpu", "cuda"]
    supernet: SupernetTraining
    training: NetworkChoice | None
    selectors: tuple[SelectorEntry, ...]
    text: str

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the selectors in their order."""
        return tuple(entry.label for entry in self.selectors)

    @property
    def runs(self) -> tuple[tuple[SelectorEntry, int], ...]:
        """Every selector with each of its seeds."""
        return tuple((entry, seed) for entry in self.selectors for seed in entry.seeds or self.seeds)

    def load_space(self) -> SearchSpace:
        """The space itself."""
        space: SearchSpace = registry.load("spaces", self.space)
        return space

    def load_images(self) -> ImageData:
        """The images themselves."""
        return load_images(self.images).limited(self.training_images)

    def load_table(self) -> Table | None:
        """The table itself."""
        if self.table is None:
            return None
        return tables.load(self.table.name)


def parse(text: str, where: str) -> Experiment:
    """Read an experiment and check every name, key, type and range in it.

    Args:
        text: TOML.
        where: what messages call the text, usually its path.

    Raises:
        InvalidExperiment: one sentence about the first problem.
    """
    try:
        content = read_toml(text)
    except ValueError as error:
        raise InvalidExperiment(f"{where}: not valid TOML: {error}") from None
    file = checked_settings(_ExperimentFile, content, where)
    supernet = checked_settings(SupernetTraining, file.supernet, f"{where}, [supernet]")
    selectors = tuple(
        selector_entry(entry, f"{where}, selector {number}") for number, entry in enumerate(file.selector, start=1)
    )
    labels = [entry.label for entry in selectors]
    for label in labels:
        if labels.count(label) > 1:
            raise InvalidExperiment(
                f"{where}: {labels.count(label)} selectors are called {label!r}; give each a 'label' of its own"
            )
    for number, entry in enumerate(selectors):
        twin = next((other for other in selectors[:number] if other.settings == entry.settings), None)
        if twin is not None:
            raise InvalidExperiment(
                f"{where}: {twin.label!r} and {entry.label!r} are the same selector with the same settings; keep one"
            )
    return Experiment(
        name=file.name,
        title=file.title or file.name,
        space=file.space,
        images=file.images,
        training_images=file.training_images,
        table=file.table,
        seeds=file.seeds,
        observe=file.observe,
        device=file.device,
        supernet=supernet,
        training=None if file.training is None else _network_choice(file.training, file.images, where),
        selectors=selectors,
        text=text,
    )


def read(path: Path) -> Experiment:
    """Read an experiment file.

    Raises:
        InvalidExperiment: it cannot be read or run.
    """
    return parse(text_of(path), str(path))


def text_of(path: Path) -> str:
    """The text of an experiment file.

    Raises:
        InvalidExperiment: it cannot be read.
    """
    try:
        return read_text(path)
    except UnicodeDecodeError:
        raise InvalidExperiment(f"{path}: not a text file in UTF-8; expected an experiment file in TOML") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidExperiment(f"{path}: {reason}; expected an experiment file in TOML") from None


def check_ingredients(experiment: Experiment) -> None:
    """Check that the data and the accuracies that an experiment names are there, before anything slow starts.

    Raises:
        InvalidExperiment: a selector or the table does not fit.
        MissingData, InvalidImages, InvalidTable: data are absent or damaged.
    """
    if experiment.device == "cuda" and not torch.cuda.is_available():
        raise InvalidExperiment(
            f"{experiment.name}: device 'cuda', but torch finds no GPU here; set device = \"cpu\" or run it on another "
            "machine"
        )
    images = experiment.load_images()
    half = len(images.train) // 2
    sizes = {
        entry.label: size for entry in experiment.selectors if (size := getattr(entry.settings, "batch_size", None))
    }
    if any(entry.selector.supernet_state.startswith("trained") for entry in experiment.selectors):
        sizes["[supernet]"] = experiment.supernet.batch_size
    for where, size in sizes.items():
        if size > half:
            raise InvalidExperiment(
                f"{experiment.name}, {where}: batch_size {size}, but a half of the training images of "
                f"{experiment.images!r} has only {half}; choose at most that"
            )
    table, choice = experiment.load_table(), experiment.table
    if table is None or choice is None:
        if oracle := next((e.label for e in experiment.selectors if e.settings.oracle), None):
            raise InvalidExperiment(f"{experiment.name}, {oracle}: an oracle reads a table; add a [table] to the file")
        return
    if table.space.edges != experiment.load_space().edges:
        raise InvalidExperiment(
            f"{experiment.name}, [table]: {choice.name!r} is a table of {table.space.name}, "
            f"which has other edges than {experiment.space}"
        )
    for column in (choice.valid_column, *choice.test_columns.values()):
        try:
            table.accuracies(*column, "mean")
        except NotInTable as error:
            raise InvalidExperiment(f"{experiment.name}, [table]: {error}") from None


def selector_entry(content: dict[str, Any], where: str) -> SelectorEntry:
    """One selector from its table in an experiment file.

    Raises:
        InvalidExperiment: its name is unknown, or a setting is unknown, of the wrong type or out of range.
    """
    name = content.get("name")
    if not isinstance(name, str):
        raise InvalidExperiment(
            f"{where}: name {shown(name)}, expected one of {', '.join(registry.names('selectors'))}"
        )
    label = content.get("label", name)
    if not isinstance(label, str) or not label.strip() or not label.isprintable() or len(label) > LONGEST_LABEL:
        raise InvalidExperiment(f"{where} {name!r}: label {shown(label)}, expected a short printable text")
    try:
        selector = registry.load("selectors", name)
    except registry.UnknownName as error:
        raise InvalidExperiment(f"{where}: {error}") from None
    settings = {key: value for key, value in content.items() if key not in ("name", "label", "seeds")}
    checked = checked_settings(selector, settings, f"{where} {name!r}")
    own: _OwnSeeds = checked_settings(
        _OwnSeeds, {key: content[key] for key in ("seeds",) if key in content}, f"{where} {name!r}"
    )
    return SelectorEntry(name=name, label=label, settings=checked, seeds=own.seeds)


class _OwnSeeds(_Checked):
    seeds: Seeds | None = None


def _network_choice(content: dict[str, Any], images: str, where: str) -> NetworkChoice:
    """The section [training]; its tables `on.IMAGES` have other settings for some of the images."""
    common = {key: value for key, value in content.items() if key != "on"}
    choice: NetworkChoice = checked_settings(NetworkChoice, common, f"{where}, [training]")
    special = content.get("on", {})
    if not isinstance(special, dict) or not all(isinstance(changes, dict) for changes in special.values()):
        raise InvalidExperiment(f"{where}, [training]: on = {shown(special)}, expected tables [training.on.IMAGES]")
    for name, changes in special.items():
        changed = checked_settings(NetworkChoice, common | changes, f"{where}, [training.on.{name}]")
        choice = changed if name == images else choice
    return choice


def checked_settings(model: type[Any], content: dict[str, Any], where: str) -> Any:
    """The content as a model.

    Args:
        model: a pydantic one.
        content: by name.
        where: what messages begin with.

    Raises:
        InvalidExperiment: one sentence about the first thing that is wrong with it.
    """
    try:
        return model.model_validate(content, strict=True)
    except ValidationError as error:
        raise InvalidExperiment(f"{where}: {_explain(error, model)}") from None


def _explain(error: ValidationError, model: type[BaseModel]) -> str:
    # A misspelt name also makes the right one missing, so unknown names come first.
    problem = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    place = ".".join(str(part) for part in problem["loc"])
    match problem["type"]:
        case "extra_forbidden":
            owner = TableChoice if problem["loc"][0] == "table" and len(problem["loc"]) > 1 else model
            hint = registry.did_you_mean(str(problem["loc"][-1]), tuple(owner.model_fields))
            return f"unknown setting {place!r}{hint}"
        case "missing":
            return f"{place!r} is missing"
        case "value_error":
            return f"{place}: {problem['ctx']['error']}"
        case _:
            return f"{place} = {shown(problem['input'])}: {problem['msg'][0].lower()}{problem['msg'][1:]}"


def shown(value: object, limit: int = 60) -> str:
    """The value as a message quotes it, never long."""
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python prints
        return "a number with thousands of digits"
    return text if len(text) <= limit else text[: limit - 1] + "…"
