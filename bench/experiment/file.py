"""Experiments: one TOML file, checked completely before anything runs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from opselect.bench.evaluation.training import NetworkTraining
from opselect.selectors.methods import FORMER_SELECTORS, Settings
from opselect.selectors.supernets.settings import SupernetTraining
from opselect.selectors.task import Selector
from opselect.spaces import registry
from opselect.spaces import table as tables
from opselect.spaces.errors import UserError
from opselect.spaces.files import read_text, read_toml
from opselect.spaces.image_sources import load_images
from opselect.spaces.images import ImageData
from opselect.spaces.space import SearchSpace
from opselect.spaces.table import Table

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
        named = self.model_fields_set & set(NetworkTraining.model_fields)
        return NetworkTraining.model_validate(self.model_dump(include=named))


class Augmentation(_Checked):
    """How a search changes its images: in supernet training and tuning, in measured accuracies, in zero-cost batches.

    Attributes:
        crop_padding: Padding of random crops in pixels; None for that of the images, 4 on CIFAR.
        flip: Whether images are mirrored at random; None for what the images say.
        crop_fill: The padding is black, as before normalisation, or zero, as after it.
    """

    crop_padding: int | None = Field(default=None, ge=0, le=64)
    flip: bool | None = None
    crop_fill: Literal["black", "zero"] = "black"

    def applied_to(self, data: ImageData) -> ImageData:
        """The images with this augmentation."""
        return replace(
            data,
            crop_padding=data.crop_padding if self.crop_padding is None else self.crop_padding,
            flip=data.flip if self.flip is None else self.flip,
            black=data.black if self.crop_fill == "black" else None,
        )


class SupernetEntry(_Checked):
    """One supernet training of an experiment.

    Attributes:
        name: Registered name.
        training: Settings and plugs of the training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: str
    training: SupernetTraining


class SelectorEntry(_Checked):
    """One selector of an experiment, on one supernet training where it needs a trained supernet.

    Attributes:
        name: Registered name of the selector.
        label: What reports call it: the name, unless the file says otherwise, and " on TRAINING" behind it where the
            training is not the first of the file.
        settings: The selector itself, its settings checked.
        seeds: Seeds of its trials, where they are not the experiment's.
        supernet: The training of its supernet; None where it needs no trained one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: str
    label: str
    settings: Settings
    seeds: tuple[int, ...] | None = None
    supernet: SupernetEntry | None = None

    @property
    def recorded_supernet(self) -> str | None:
        """The name of the supernet training in records: None for `darts`, whose records are older than the others."""
        return self.supernet.name if self.supernet and self.supernet.name != "darts" else None

    @property
    def selector(self) -> Selector:
        """The callable."""
        selector: Selector = self.settings  # type: ignore[assignment]
        return selector


def _table_or_tables(value: object) -> object:
    # pydantic would complain about each of the two forms.
    tables = value if isinstance(value, list) else [value]
    if not tables or not all(isinstance(table, dict) for table in tables):
        raise ValueError(f"{shown(value)}, expected a table [supernet] or tables [[supernet]]")
    return value


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
    augmentation: Augmentation = Augmentation()
    initialization: Literal["own", "reference"] = "own"
    observe: bool = False
    device: Literal["cpu", "cuda"] = "cpu"
    supernet: Annotated[dict[str, Any] | list[dict[str, Any]], BeforeValidator(_table_or_tables)] = Field(
        default_factory=dict
    )
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
        augmentation: how the search changes its images at random.
        initialization: supernets start from weights of our own, or from those that the published code draws for a seed.
        table: accuracies, or None where the space has no table.
        seeds: each gives one trial a selector, on the same supernet.
        observe: score every open edge at every step, for the report.
        device: where networks run.
        training: of selected networks; None where they are not trained.
        selectors: what is compared, in the order of the report: every selector that needs a trained supernet once for
            each supernet training.
        supernets: the supernet trainings of the file, the first one being `darts` with defaults where it names none.
        left_out: by label, why a selector is not run on a supernet training.
        text: the file as it was written, to be kept beside the results.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    name: str
    title: str
    space: str
    images: str
    training_images: int | None
    augmentation: Augmentation
    initialization: Literal["own", "reference"]
    table: TableChoice | None
    seeds: tuple[int, ...]
    observe: bool
    device: Literal["cpu", "cuda"]
    training: NetworkChoice | None
    selectors: tuple[SelectorEntry, ...]
    supernets: tuple[SupernetEntry, ...]
    left_out: tuple[tuple[str, str], ...]
    text: str

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the selectors in their order."""
        return tuple(entry.label for entry in self.selectors)

    @property
    def runs(self) -> tuple[tuple[SelectorEntry, int], ...]:
        """Every selector with each of its seeds."""
        return tuple((entry, seed) for entry in self.selectors for seed in entry.seeds or self.seeds)

    @property
    def preface(self) -> dict[str, str]:
        """What stands below the title of the report: the cells of the grid that were left out, and why."""
        return {f"left out, {label}": reason for label, reason in self.left_out}

    def load_space(self) -> SearchSpace:
        """The space itself."""
        space: SearchSpace = registry.load("spaces", self.space)
        return space

    def load_images(self) -> ImageData:
        """The images themselves."""
        return self.augmentation.applied_to(load_images(self.images).limited(self.training_images))

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
    supernets = _supernet_entries(file, where)
    selectors, left_out = _crossed(file.selector, supernets, isinstance(file.supernet, list), where)
    labels = [entry.label for entry in selectors]
    for label in labels:
        if labels.count(label) > 1:
            raise InvalidExperiment(
                f"{where}: {labels.count(label)} selectors are called {label!r}; give each a 'label' of its own"
            )
    for number, entry in enumerate(selectors):
        cell = entry.settings, entry.supernet
        twin = next((other for other in selectors[:number] if (other.settings, other.supernet) == cell), None)
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
        augmentation=file.augmentation,
        initialization=file.initialization,
        table=file.table,
        seeds=file.seeds,
        observe=file.observe,
        device=file.device,
        training=None if file.training is None else _network_choice(file.training, file.images, where),
        selectors=selectors,
        supernets=tuple(supernets),
        left_out=left_out,
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


def _crossed(
    contents: Sequence[dict[str, Any]], trainings: Sequence[SupernetEntry], is_grid: bool, where: str
) -> tuple[tuple[SelectorEntry, ...], tuple[tuple[str, str], ...]]:
    """Every selector on every supernet training that it can use, and by label why it is not run on the others.

    In a file of before, with one section [supernet], a selector is on the training that its name had in it, or on the
    first one: that file means what it meant.
    """
    entries: list[SelectorEntry] = []
    left_out: list[tuple[str, str]] = []
    for number, content in enumerate(contents, start=1):
        place = f"{where}, selector {number}"
        entry, wanted = _read_selector(content, place)
        place = f"{place} {content['name']!r}"
        if not entry.selector.needs.trained:
            if wanted is not None:
                raise InvalidExperiment(f"{place}: it needs no trained supernet; leave out 'supernets'")
            entries.append(entry)
            continue
        for training in _chosen(trainings if is_grid or wanted else trainings[:1], wanted, place):
            # Behind a former name its training is no news.
            is_plain = training is trainings[0] or content["name"] in FORMER_SELECTORS
            label = entry.label if is_plain else f"{entry.label} on {training.name}"
            if reason := entry.selector.needs.unmet_by(training.training):
                left_out.append((label, reason))
            else:
                entries.append(entry.model_copy(update={"label": label, "supernet": training}))
    if not entries:
        reasons = "; ".join(f"{label}: {reason}" for label, reason in left_out)
        raise InvalidExperiment(f"{where}: no selector makes sense on its supernet training ({reasons}); add another")
    return tuple(entries), tuple(left_out)


def entry_on(trainings: Sequence[SupernetEntry], content: dict[str, Any], where: str) -> SelectorEntry:
    """One selector from its table, on the first of some supernet trainings that it can use.

    Raises:
        InvalidExperiment: It can use none of them, its name is unknown, or a setting is unknown or out of range.
    """
    entry, wanted = _read_selector(content, where)
    if not entry.selector.needs.trained:
        return entry
    reasons = []
    for training in _chosen(trainings, wanted, f"{where} {content['name']!r}"):
        reason = entry.selector.needs.unmet_by(training.training)
        if not reason:
            return entry.model_copy(update={"supernet": training})
        reasons.append(f"{training.name}: {reason}")
    raise InvalidExperiment(f"{where} {content['name']!r}: it makes no sense on {'; '.join(reasons)}")


def _supernet_entries(file: _ExperimentFile, where: str) -> list[SupernetEntry]:
    """The supernet trainings of a file: one section [supernet], or several [[supernet]] with a name each."""
    if isinstance(file.supernet, dict):
        entry = supernet_entry(file.supernet, f"{where}, [supernet]")
        # A file of before has one section for all trainings that the names of its selectors had in them.
        former = {FORMER_SELECTORS[str(name)][1] for name in _names(file.selector) if name in FORMER_SELECTORS}
        others = sorted(former - {entry.name})
        return [entry, *(supernet_entry(file.supernet | {"name": name}, f"{where}, [supernet]") for name in others)]
    entries = [
        supernet_entry(content, f"{where}, supernet {number}") for number, content in enumerate(file.supernet, 1)
    ]
    names = [entry.name for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise InvalidExperiment(f"{where}: {names.count(name)} supernet trainings are called {name!r}; keep one")
    return entries


def _names(contents: Sequence[Mapping[str, object]]) -> list[str]:
    return [name for content in contents if isinstance(name := content.get("name"), str)]


def _chosen(trainings: Sequence[SupernetEntry], wanted: Sequence[str] | None, where: str) -> list[SupernetEntry]:
    """The supernet trainings that a selector is put on: those that it names, or all of the file."""
    known = tuple(training.name for training in trainings)
    for name in wanted or ():
        if name not in known:
            raise InvalidExperiment(
                f"{where}: the file has no supernet training named {name!r}{registry.did_you_mean(name, known)}"
            )
    return [training for training in trainings if wanted is None or training.name in wanted]


def supernet_entry(content: dict[str, Any], where: str) -> SupernetEntry:
    """One supernet training from its table in an experiment file; without a name it is `darts`.

    Raises:
        InvalidExperiment: its name is unknown, or a setting is unknown, of the wrong type or out of range.
    """
    name = content.get("name", "darts")
    if not isinstance(name, str):
        raise InvalidExperiment(
            f"{where}: name {shown(name)}, expected one of {', '.join(registry.names('supernets'))}"
        )
    try:
        training = registry.load("supernets", name)
    except registry.UnknownName as error:
        raise InvalidExperiment(f"{where}: {error}") from None
    settings = {key: value for key, value in content.items() if key != "name"}
    return SupernetEntry(name=name, training=checked_settings(training, settings, where))


def _read_selector(content: dict[str, Any], where: str) -> tuple[SelectorEntry, Sequence[str] | None]:
    """A selector, and the names of the supernet trainings that it is limited to, or None."""
    name = content.get("name")
    if not isinstance(name, str):
        raise InvalidExperiment(
            f"{where}: name {shown(name)}, expected one of {', '.join(registry.names('selectors'))}"
        )
    label = content.get("label", name)
    if not isinstance(label, str) or not label.strip() or not label.isprintable() or len(label) > LONGEST_LABEL:
        raise InvalidExperiment(f"{where} {name!r}: label {shown(label)}, expected a short printable text")
    place = f"{where} {name!r}"
    name, former_training = FORMER_SELECTORS.get(name, (name, None))
    try:
        selector = registry.load("selectors", name)
    except registry.UnknownName as error:
        raise InvalidExperiment(f"{where}: {error}") from None
    settings = {key: value for key, value in content.items() if key not in ("name", "label", "seeds", "supernets")}
    checked = checked_settings(selector, settings, place)
    own: _Own = checked_settings(_Own, {key: content[key] for key in ("seeds", "supernets") if key in content}, place)
    wanted = own.supernets if former_training is None else (former_training,)
    return SelectorEntry(name=name, label=label, settings=checked, seeds=own.seeds), wanted


class _Own(_Checked):
    """What a selector's table may hold besides the settings of the selector."""

    seeds: Seeds | None = None
    supernets: Annotated[tuple[str, ...], BeforeValidator(_tuple_of_list), Field(min_length=1)] | None = None


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
            sections: dict[str, type[BaseModel]] = {"table": TableChoice, "augmentation": Augmentation}
            owner = sections.get(str(problem["loc"][0]), model) if len(problem["loc"]) > 1 else model
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
