"""Experiments: one TOML file, checked completely before anything runs."""

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from opselect.bench.experiment.network_training import NetworkTraining
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
LONGEST_REMARK = 300
MOST_COMBINATIONS = 1000
"""Limit of the combinations of values that the settings of one table have: more are a slip."""
MOST_SEEDS = 10_000
"""Limit of seeds per selector: more are a slip, and their descriptions alone would take minutes."""


class InvalidExperiment(UserError, ValueError):
    """An experiment file that cannot be run; the message names the place, the given value and the expected one."""


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
    """A list of TOML as a tuple, which can be hashed."""
    return tuple(value) if isinstance(value, list) else value


class _Checked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class TableChoice(_Checked):
    """The accuracies that selections are measured against.

    Attributes:
        name: Name of a registered or imported table, or path of a `.parquet` file.
        dataset: Dataset of the accuracies.
        epochs: Training epochs of the accuracies.
        valid_epochs: Training epochs of the validation accuracies, which the oracles read; None for `epochs`.
        also: Other datasets whose test accuracies are reported as well.
        of_other_networks: Whether the table may be of another space with equal edges, whose networks differ in size.
    """

    name: Annotated[str, AfterValidator(_known_table)]
    dataset: str
    epochs: int
    valid_epochs: int | None = None
    also: Annotated[tuple[str, ...], BeforeValidator(_tuple_of_list)] = ()
    of_other_networks: bool = False

    @property
    def valid_column(self) -> tuple[str, str, int]:
        """Dataset, split and epochs of the validation accuracies."""
        return self.dataset, "valid", self.valid_epochs or self.epochs

    @property
    def test_columns(self) -> dict[str, tuple[str, str, int]]:
        """By dataset, the dataset, split and epochs of its test accuracies; the main dataset first."""
        return {dataset: (dataset, "test", self.epochs) for dataset in (self.dataset, *self.also)}


Seed: TypeAlias = Annotated[int, Field(ge=0, lt=2**63)]


def _tuple_of_numbers(value: object) -> object:
    # The message of pydantic would name a tuple, which TOML does not have.
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"{shown(value)}, expected a list of at least one whole number")
    if len(value) > MOST_SEEDS:
        raise ValueError(f"{len(value):,} seeds, expected at most {MOST_SEEDS:,}")
    return tuple(value)


def _check_distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"{shown(list(seeds))} names a seed twice")
    return seeds


Seeds: TypeAlias = Annotated[tuple[Seed, ...], BeforeValidator(_tuple_of_numbers), AfterValidator(_check_distinct)]


class NetworkChoice(NetworkTraining):
    """Sizes, settings and seeds of the training of selected networks from scratch; the defaults are for CIFAR-10.

    Attributes:
        channels: Channels of the edges in the first cell.
        cells: Number of cells.
        stem: Stem for images of CIFAR's size, or of ImageNet's.
        seeds: Seeds of parameters, batches and augmentation; each selected network is trained once per seed.
    """

    model_config = ConfigDict(strict=True)

    channels: int = Field(default=36, ge=1, le=4096)
    cells: int = Field(default=20, ge=3, le=1000)
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
        crop_fill: Value of the padding: black, as before normalisation, or zero, as after it.
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
        difference: Its settings among those that have several values in the file, as ` (epochs=20)`; else empty.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: str
    training: SupernetTraining
    difference: str = ""

    @property
    def label(self) -> str:
        """Name in reports."""
        return f"{self.name}{self.difference}"


class SelectorEntry(_Checked):
    """One selector of an experiment, on one supernet training where it needs a trained supernet.

    Attributes:
        name: Registered name of the selector.
        label: Name in reports: the registered name unless the file has another label, followed by the settings among
            those that have several values in the file, and by " on TRAINING" where the training is not the first of
            the file or has such settings.
        settings: The selector itself with checked settings.
        seeds: Seeds of its trials; None for those of the experiment.
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
        """The selector itself, which is called with a task."""
        selector: Selector = self.settings  # type: ignore[assignment]
        return selector


def _table_or_tables(value: object) -> object:
    # pydantic would have a message for each of the two forms.
    tables = value if isinstance(value, list) else [value]
    if not tables or not all(isinstance(table, dict) for table in tables):
        raise ValueError(f"{shown(value)}, expected a table [supernet] or tables [[supernet]]")
    return value


class _ReportChoice(_Checked):
    """The section [report].

    Attributes:
        reference: Label of the selector that the report compares the others with.
    """

    reference: str | None = None


def _one_line(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > LONGEST_REMARK:
        raise ValueError(f"{shown(text)}, expected one line of at most {LONGEST_REMARK} printable characters")
    return text.strip()


class _ExperimentFile(_Checked):
    name: str = Field(
        max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="letters, digits, '.', '_', '-'"
    )
    title: str = ""
    hyperparameters: Annotated[str, AfterValidator(_one_line)] | None = None
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
    report: _ReportChoice = _ReportChoice()
    selector: list[dict[str, Any]] = Field(min_length=1)


class Experiment(_Checked):
    """One experiment: the cross product of selectors and seeds on one space and one set of images.

    Attributes:
        name: Name of the experiment and of the folder of its results.
        title: Title of its report.
        hyperparameters: How the hyper-parameters were chosen, in one line of text for the report; None where the file
            does not say.
        space: Registered name of the search space.
        images: Registered name, or path of an `.npz` file.
        training_images: Number of images used for training, the first ones; None for all.
        augmentation: How the search changes its images at random.
        initialization: Whether supernets start from weights of our own, or from those that the published code draws.
        table: Accuracies that selections are measured against; None where the space has no table.
        seeds: Seeds of the trials, one trial per selector and seed; those of one seed share their supernets.
        observe: Whether every open edge is scored at every step, for the report.
        device: Device of the networks.
        training: Training of the selected networks; None where they are not trained.
        selectors: The compared selectors in the order of the report; a selector that needs a trained supernet is there
            once per supernet training that it can use.
        supernets: The supernet trainings of the file; `darts` with its defaults where the file names none.
        left_out: Pairs of a label and the reason why this selector is not run on this supernet training.
        reference: Label of the selector that the report compares the others with; None for magnitude.
        text: Text of the file, which is copied into the folder of the results.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    name: str
    title: str
    hyperparameters: str | None
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
    reference: str | None = None
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
        """Lines below the title of the report: selectors that are left out on a supernet training, with the reason."""
        return {f"left out, {label}": reason for label, reason in self.left_out}

    def load_space(self) -> SearchSpace:
        """Load the search space."""
        space: SearchSpace = registry.load("spaces", self.space)
        return space

    def load_images(self) -> ImageData:
        """Load the images, limited to the training images that are used."""
        return self.augmentation.applied_to(load_images(self.images).limited(self.training_images))

    def load_table(self) -> Table | None:
        """Load the table of accuracies; None where the experiment has none."""
        if self.table is None:
            return None
        return tables.load(self.table.name)


def parse(text: str, where: str) -> Experiment:
    """Read an experiment and check every name, key, type and range in it.

    Args:
        text: The experiment as TOML.
        where: Name of the text in messages, usually its path.

    Raises:
        InvalidExperiment: There is a problem; the message is one sentence about the first one.
    """
    try:
        content = read_toml(text)
    except ValueError as error:
        raise InvalidExperiment(f"{where}: not valid TOML: {error}") from None
    file = checked_settings(_ExperimentFile, content, where)
    supernets = _supernet_entries(file, where)
    selectors, left_out = _cross(file.selector, supernets, isinstance(file.supernet, list), where)
    labels = [entry.label for entry in selectors]
    for label in labels:
        if labels.count(label) > 1:
            raise InvalidExperiment(
                f"{where}: {labels.count(label)} selectors are called {label!r}; give each a 'label' of its own"
            )
    if file.report.reference is not None and file.report.reference not in labels:
        hint = registry.did_you_mean(file.report.reference, tuple(labels))
        raise InvalidExperiment(f"{where}, [report]: no selector is called {shown(file.report.reference)}{hint}")
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
        hyperparameters=file.hyperparameters,
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
        reference=file.report.reference,
        text=text,
    )


def read(path: Path) -> Experiment:
    """Read an experiment file.

    Raises:
        InvalidExperiment: The file cannot be read, or not be run.
    """
    return parse(text_of(path), str(path))


def text_of(path: Path) -> str:
    """The text of an experiment file.

    Raises:
        InvalidExperiment: The file cannot be read.
    """
    try:
        return read_text(path)
    except UnicodeDecodeError:
        raise InvalidExperiment(f"{path}: not a text file in UTF-8; expected an experiment file in TOML") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidExperiment(f"{path}: {reason}; expected an experiment file in TOML") from None


def _cross(
    contents: Sequence[dict[str, Any]], trainings: Sequence[SupernetEntry], is_grid: bool, where: str
) -> tuple[tuple[SelectorEntry, ...], tuple[tuple[str, str], ...]]:
    """Cross selectors with supernet trainings; the second value has the reasons for the cells that are left out.

    In an older file, with one section [supernet], a selector runs on the training that its former name implied, or on
    the first one, so that the file means the same as before.
    """
    entries: list[SelectorEntry] = []
    left_out: list[tuple[str, str]] = []
    for place, content in _selector_tables(contents, where):
        entry, wanted = _read_selector(content, place)
        place = f"{place} {content['name']!r}"
        if not entry.selector.needs.trained:
            if wanted is not None:
                raise InvalidExperiment(f"{place}: it needs no trained supernet; leave out 'supernets'")
            entries.append(entry)
            continue
        usual = trainings if is_grid or wanted else [each for each in trainings if each.name == trainings[0].name]
        for training in _usable(usual, wanted, place):
            # A former name implies its training, so the label need not name it.
            is_implied = training is trainings[0] or content["name"] in FORMER_SELECTORS
            is_plain = is_implied and not training.difference
            label = entry.label if is_plain else f"{entry.label} on {training.label}"
            if reason := entry.selector.needs.unmet_by(training.training):
                left_out.append((label, reason))
            else:
                entries.append(entry.model_copy(update={"label": label, "supernet": training}))
    if not entries:
        reasons = "; ".join(f"{label}: {reason}" for label, reason in left_out)
        raise InvalidExperiment(f"{where}: no selector makes sense on its supernet training ({reasons}); add another")
    return tuple(entries), tuple(left_out)


def _selector_tables(contents: Sequence[dict[str, Any]], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every selector's table with one value per setting, and its place in messages."""
    for number, content in enumerate(contents, start=1):
        place, name = f"{where}, selector {number}", content.get("name")
        registered, _ = FORMER_SELECTORS.get(name, (name, None)) if isinstance(name, str) else (name, None)
        for own, difference in _each_value(content, "selectors", registered, f"{place} {name!r}"):
            label = own.get("label", name)
            yield place, own | {"label": f"{label}{difference}"} if difference and isinstance(label, str) else own


def _each_value(content: dict[str, Any], kind: str, name: object, where: str) -> list[tuple[dict[str, Any], str]]:
    """One table per combination of values, where settings that take a single value have a list of them.

    Args:
        content: Table of a selector or of a supernet training.
        kind: Kind of the registered thing.
        name: Its registered name; where there is no such thing, the table is returned, whose reader says so.
        where: Beginning of messages.

    Returns:
        Tables without such lists, each with its settings that differ among them, as ` (batch_size=8, proxy=nwot)`.

    Raises:
        InvalidExperiment: A list is empty or names a value twice, or there are too many combinations.
    """
    try:
        fields: Mapping[str, Any] = registry.load(kind, str(name)).model_fields
    except registry.UnknownName:
        return [(content, "")]
    lists = {
        key: value
        for key, value in content.items()
        if isinstance(value, list) and key in fields and not _takes_lists(fields[key].annotation)
    }
    for key, values in lists.items():
        typed = [(type(value), value) for value in values]
        if not values or any(value in typed[:number] for number, value in enumerate(typed)):
            problem = "names a value twice" if values else "names none"
            raise InvalidExperiment(f"{where}: {key} = {shown(values)} {problem}; expected different values")
    if (count := math.prod(map(len, lists.values()))) > MOST_COMBINATIONS:
        raise InvalidExperiment(
            f"{where}: {count:,} combinations of {', '.join(lists)}, expected at most {MOST_COMBINATIONS:,}"
        )
    tables = []
    for combination in itertools.product(*lists.values()):
        chosen = dict(zip(lists, combination, strict=True))
        named = ", ".join(f"{key}={_as_text(value)}" for key, value in chosen.items() if len(lists[key]) > 1)
        tables.append((content | chosen, f" ({named})" if named else ""))
    return tables


def _takes_lists(annotation: Any) -> bool:
    """Whether a list can be one value of this type, so that it is not a list of several."""
    kind = get_origin(annotation) or annotation
    if kind in (Annotated, Union, UnionType):
        return any(_takes_lists(part) for part in get_args(annotation))
    is_collection = isinstance(kind, type) and issubclass(kind, Collection)
    return kind in (Any, object) or (is_collection and not issubclass(kind, str | bytes | Mapping))


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def entry_on(trainings: Sequence[SupernetEntry], content: dict[str, Any], where: str) -> SelectorEntry:
    """One selector from its table, on the first of some supernet trainings that it can use.

    Args:
        trainings: The supernet trainings to choose from.
        content: Table of the selector, as in an experiment file.
        where: Beginning of messages.

    Raises:
        InvalidExperiment: It can use none of them, its name is unknown, or a setting is unknown or out of range.
    """
    entry, wanted = _read_selector(content, where)
    if not entry.selector.needs.trained:
        return entry
    reasons = []
    for training in _usable(trainings, wanted, f"{where} {content['name']!r}"):
        reason = entry.selector.needs.unmet_by(training.training)
        if not reason:
            return entry.model_copy(update={"supernet": training})
        reasons.append(f"{training.label}: {reason}")
    raise InvalidExperiment(f"{where} {content['name']!r}: it makes no sense on {'; '.join(reasons)}")


def _supernet_entries(file: _ExperimentFile, where: str) -> list[SupernetEntry]:
    """The supernet trainings of a file: one section [supernet], or several [[supernet]] with a name each."""
    if isinstance(file.supernet, dict):
        # In an older file one section is for all trainings that the names of its selectors imply.
        former = {FORMER_SELECTORS[str(name)][1] for name in _names(file.selector) if name in FORMER_SELECTORS}
        others = sorted(former - {str(file.supernet.get("name", "darts"))})
        tables = [(f"{where}, [supernet]", file.supernet | changes) for changes in ({}, *({"name": n} for n in others))]
    else:
        tables = [(f"{where}, supernet {number}", content) for number, content in enumerate(file.supernet, start=1)]
    entries = [
        supernet_entry(own, place).model_copy(update={"difference": difference})
        for place, content in tables
        for own, difference in _each_value(content, "supernets", content.get("name", "darts"), place)
    ]
    labels = [entry.label for entry in entries]
    for label in labels:
        if labels.count(label) > 1:
            raise InvalidExperiment(f"{where}: {labels.count(label)} supernet trainings are called {label!r}; keep one")
    for first, second in itertools.combinations(entries, 2):
        if (first.name, first.training) == (second.name, second.training):
            raise InvalidExperiment(f"{where}: supernet trainings {first.label!r} and {second.label!r} are the same")
    return entries


def _names(contents: Sequence[Mapping[str, object]]) -> list[str]:
    return [name for content in contents if isinstance(name := content.get("name"), str)]


def _usable(trainings: Sequence[SupernetEntry], wanted: Sequence[str] | None, where: str) -> list[SupernetEntry]:
    """The supernet trainings that a selector is limited to: those that it names, or all of the file."""
    known = tuple(dict.fromkeys(name for training in trainings for name in (training.name, training.label)))
    for name in wanted or ():
        if name not in known:
            raise InvalidExperiment(
                f"{where}: the file has no supernet training named {name!r}{registry.did_you_mean(name, known)}"
            )
    return [training for training in trainings if wanted is None or {training.name, training.label} & set(wanted)]


def supernet_entry(content: dict[str, Any], where: str) -> SupernetEntry:
    """One supernet training from its table in an experiment file; without a name it is `darts`.

    Args:
        content: The table.
        where: Beginning of messages.

    Raises:
        InvalidExperiment: Its name is unknown, or a setting is unknown, of the wrong type or out of range.
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
    own: _RunSettings = checked_settings(
        _RunSettings, {key: content[key] for key in ("seeds", "supernets") if key in content}, place
    )
    wanted = own.supernets if former_training is None else (former_training,)
    return SelectorEntry(name=name, label=label, settings=checked, seeds=own.seeds), wanted


class _RunSettings(_Checked):
    """Settings in a selector's table that are not the selector's own."""

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
    """The content of a table, checked.

    Args:
        model: Pydantic model of the table.
        content: Values by name.
        where: Beginning of messages.

    Returns:
        An instance of the model.

    Raises:
        InvalidExperiment: A value is unknown, missing or out of range; the message is one sentence about the first one.
    """
    try:
        return model.model_validate(content, strict=True)
    except ValidationError as error:
        raise InvalidExperiment(f"{where}: {_explanation(error, model)}") from None


def _explanation(error: ValidationError, model: type[BaseModel]) -> str:
    # A misspelt name also makes the right one missing, so unknown names come first.
    problem = min(error.errors(), key=lambda details: details["type"] != "extra_forbidden")
    place = ".".join(str(part) for part in problem["loc"])
    match problem["type"]:
        case "extra_forbidden":
            sections: dict[str, type[BaseModel]] = {
                "table": TableChoice,
                "augmentation": Augmentation,
                "report": _ReportChoice,
            }
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
    """The value as messages quote it, cut off after `limit` characters.

    Example:
        >>> shown("a long text", limit=7)
        "'a lon…"
    """
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python prints
        return "a number with thousands of digits"
    return text if len(text) <= limit else text[: limit - 1] + "…"
