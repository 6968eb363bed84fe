"""Published numbers, and what the runs and tables of this machine say to each of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from opselect.bench.evaluation.networks import TrainingRecord
from opselect.bench.report import summaries
from opselect.bench.runs.records import Result, TrialDescription
from opselect.bench.runs.trials import Trials
from opselect.bench.statistics import Mean, mean_interval, mean_over_edges_spearman
from opselect.selectors.decisions import Decisions
from opselect.selectors.scores import table_scores
from opselect.spaces import registry
from opselect.spaces import table as accuracy_tables
from opselect.spaces.errors import MissingData, UserError
from opselect.spaces.files import read_text, read_toml
from opselect.spaces.space import Architecture, SearchSpace
from opselect.spaces.table import NotInTable, Table

SHIPPED = Path(__file__).with_name("published.toml")

# The published supernets are those of CIFAR-10.
IMAGE_CHANNELS, CLASSES = 3, 10

Verdict: TypeAlias = Literal["reproduced", "differs", "not run", "not comparable"]
VERDICTS: tuple[Verdict, ...] = ("reproduced", "differs", "not run", "not comparable")

Scalar: TypeAlias = str | int | float | bool
Answer: TypeAlias = Mean | str
"""A number of ours, or why there is none."""


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
    listed = [_validated(Source, each, f"{path}, source {place}") for place, each in enumerate(file.source, start=1)]
    sources = {source.id: source for source in listed}
    if len(sources) < len(listed):
        raise InvalidNumbers(f"{path}: two sources share an id; give each of {', '.join(sources)} once")
    published = Published(
        sources=sources, training=file.training, network=file.network, numbers=tuple(_numbers(file.group, path))
    )
    seen: dict[str, int] = {}
    for place, number in enumerate(published.numbers, start=1):
        where = f"{path}, number {place} ({number.measure}, {number.space}, {number.value:g})"
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
        seen[number.identity] = place
    return published


@cache
def load_packaged() -> Published:
    """The numbers that come with the package."""
    return read(SHIPPED)


def _numbers(groups: Iterable[_Group], path: Path) -> Iterable[Number]:
    """Each number with what its group adds to it."""
    contents = ((group.model_extra or {}) | own for group in groups for own in group.number)
    for place, content in enumerate(contents, start=1):
        yield _validated(Number, content, f"{path}, number {place}")


def _validated(model: type[Any], content: Mapping[str, Any], where: str) -> Any:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        # A misspelt name may also make the right one missing, so unknown names come first.
        problem = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        place = ".".join(str(part) for part in problem["loc"])
        match problem["type"]:
            case "extra_forbidden":
                what = f"unknown field {place!r}{registry.did_you_mean(place, tuple(model.model_fields))}"
            case "value_error":
                what = str(problem["ctx"]["error"])
            case _:
                what = f"{place}: {problem['msg'][0].lower()}{problem['msg'][1:]}"
        raise InvalidNumbers(f"{where}: {what}") from None


@dataclass(frozen=True)
class Run:
    """The records of one folder.

    Attributes:
        name: of the folder.
        trials: by label.
    """

    name: str
    trials: Trials


@dataclass(frozen=True)
class Difference:
    """A setting in which a run is not what was published; both as text, `ours` empty where there is no such setting."""

    name: str
    ours: str
    published: str

    @property
    def text(self) -> str:
        """Both values, for example `candidates = 10, published 1`."""
        return f"{f'{self.name} = {self.ours}' if self.ours else f'no {self.name}'}, published {self.published}"


@dataclass(frozen=True)
class Row:
    """One published number beside one of ours.

    Attributes:
        number: the published one.
        source: where it was published.
        ours: our number, None where there is none.
        origin: the label and the run, or the table, that ours comes from; empty where there is none.
        differences: settings in which ours was made another way.
        verdict: what came out.
        reason: what is missing, or what to know about the verdict; may be empty.
    """

    number: Number
    source: Source
    ours: Mean | None
    origin: str
    differences: tuple[Difference, ...]
    verdict: Verdict
    reason: str

    @property
    def difference(self) -> float | None:
        """Ours minus the published value."""
        return None if self.ours is None or self.ours.value is None else self.ours.value - self.number.value


def compare(
    published: Published,
    runs: Sequence[Run],
    tables: Mapping[str, Table | str],
    supernets: Mapping[str, int | str],
) -> list[Row]:
    """Every published number, with one row for every label of a run that fits it.

    Args:
        published: the numbers.
        runs: all that may be compared.
        tables: by space its table of accuracies, or why there is none.
        supernets: by space the parameters of its supernet, or why they are not known.
    """
    rows: list[Row] = []
    for number in published.numbers:
        if number.measure in RUN_MEASURES:
            rows.extend(_against_runs(published, number, runs))
        elif number.measure in TABLE_MEASURES:
            rows.append(_against_table(published, number, tables[number.space]))
        else:
            count = supernets[number.space]
            answer = count if isinstance(count, str) else mean_interval([float(count)])
            rows.append(_row(published, number, answer, f"space {number.space}"))
    return rows


def compare_with_published(published: Published, trials: Trials) -> list[Row]:
    """What was published of the selectors of an experiment on its space: one row a label and number that it answers.

    Settings that differ are listed, and then nothing is judged; another proxy is another method. Times are left out.
    """
    rows = []
    for label in trials.labels:
        one = trials.only(label)
        for number in published.numbers:
            if number.definition.timed or not _is_of(number, one):
                continue
            differences = differences_of(published, number, one)
            answer = _ANSWERS[number.measure](number, one)
            if isinstance(answer, str) or _has_another_proxy(differences):
                continue
            rows.append(_row(published, number, answer, label, differences, one))
    return rows


def published_of(published: Published, one: Trials) -> list[Number]:
    """What was published of the selector of a label on its space and dataset, whatever the other settings.

    Args:
        published: the numbers.
        one: the trials of one label.
    """
    images = {record.trial.images for record in one.all}
    settings = [record.trial.settings for record in one.all]
    return [
        number
        for number in published.numbers
        if _is_of(number, one)
        and all(is_of_dataset(name, dataset) for name in images for dataset in (number.dataset or number.images or ()))
        and all(each.get("proxy") in number.settings["proxy"] for each in settings if "proxy" in number.settings)
    ]


def tables_for(published: Published) -> dict[str, Table | str]:
    """By space the table that bears its name, or why there is none, for every space of which a table is asked.

    Raises:
        InvalidTable: there is a table, but it is damaged.
    """
    found: dict[str, Table | str] = {}
    for name in sorted({number.space for number in published.numbers if number.measure in TABLE_MEASURES}):
        try:
            found[name] = accuracy_tables.load(name)
        except MissingData:
            found[name] = f"the table {name} is not imported: opselect table import {name} PATH"
        except registry.UnknownName:
            found[name] = f"there is no table named {name}"
    return found


def supernets_for(published: Published) -> dict[str, int | str]:
    """By space the number of parameters of its supernet, or why it cannot be counted."""
    asked = sorted({number.space for number in published.numbers if number.measure in SPACE_MEASURES})
    return {name: _parameters(name) if name in registry.names("spaces") else _unregistered(name) for name in asked}


def _parameters(name: str) -> int:
    space: SearchSpace = registry.load("spaces", name)
    return sum(parameter.numel() for parameter in space.supernet(IMAGE_CHANNELS, CLASSES, 0).parameters())


def _unregistered(space: str) -> str:
    return f"the space {space} is not registered"


def _against_runs(published: Published, number: Number, runs: Sequence[Run]) -> list[Row]:
    rows = []
    nearest: tuple[tuple[bool, int], str] | None = None
    for run in runs:
        for label in run.trials.labels:
            one = run.trials.only(label)
            if not _is_of(number, one):
                continue
            origin = f"{label} of {run.name}"
            differences = differences_of(published, number, one)
            answer = _ANSWERS[number.measure](number, one)
            if not differences and isinstance(answer, Mean):
                rows.append(_row(published, number, answer, origin, differences, one))
                continue
            lacking = (*(each.text for each in differences), *([answer] if isinstance(answer, str) else []))
            distance = _has_another_proxy(differences), len(lacking)
            if nearest is None or distance < nearest[0]:
                nearest = distance, f"{origin}: {'; '.join(lacking)}"
    if rows:
        return rows
    if nearest is not None:
        reason = nearest[1]
    elif number.space not in registry.names("spaces"):
        reason = _unregistered(number.space)
    elif number.method not in registry.names("selectors"):
        reason = f"no selector named {number.method} is registered"
    else:
        reason = f"no run of {number.method} on {number.space}"
    return [_row(published, number, reason, "")]


def _is_of(number: Number, one: Trials) -> bool:
    """Whether the records of a label are of the number's selector on its space."""
    found = {(record.trial.selector, record.trial.space) for record in one.all}
    return found == {(number.method, number.space)}


def _has_another_proxy(differences: Iterable[Difference]) -> bool:
    return any(each.name == "proxy" for each in differences)


def differences_of(published: Published, number: Number, one: Trials) -> tuple[Difference, ...]:
    """In what the finished trials of a label are not what the number was measured with, each difference once.

    Args:
        published: names the settings of supernet training.
        number: of a run.
        one: the trials of one label.
    """
    found: list[Difference] = []
    for record in one.all:
        if record.result is None:
            continue
        trial = record.trial
        for name, accepted in number.settings.items():
            if trial.settings.get(name) not in accepted:
                found.append(Difference(name, _shown(trial.settings.get(name)), _either(accepted)))
        if number.training is not None:
            found.extend(_training_differences(published.training[number.training], trial))
        if number.network is not None:
            found.extend(_network_differences(published.network[number.network], one.networks, record.result))
        if number.images is not None and not _is_among(trial.images, number.images):
            found.append(Difference("images", trial.images, number.images[0]))
        if number.epochs is not None and trial.table is not None and trial.table.epochs != number.epochs:
            found.append(Difference("epochs of the table", str(trial.table.epochs), str(number.epochs)))
        steps = record.result.steps
        if number.measure == "first-step Spearman with best-acc" and steps and len(steps[0].scores) < len(steps):
            found.append(Difference("edges scored at first", f"{len(steps[0].scores)} of {len(steps)}", "all"))
    return tuple(dict.fromkeys(found))


def _training_differences(recipe: Mapping[str, Sequence[Scalar]], trial: TrialDescription) -> list[Difference]:
    if trial.training is None:
        return [Difference("trained supernet", "", "one")]
    # What a record does not name is the space's own size or did not exist yet, and then it was as published.
    return [
        Difference(f"supernet {name}", _shown(trial.training[name]), _either(accepted))
        for name, accepted in recipe.items()
        if trial.training.get(name) is not None and trial.training[name] not in accepted
    ]


def _network_differences(
    recipe: Mapping[str, Sequence[Scalar]], networks: Mapping[str, Sequence[TrainingRecord]], result: Result
) -> list[Difference]:
    trainings = networks.get(result.architecture, ())
    if not trainings:
        return [Difference("trained network", "", "one")]
    network = trainings[0].network
    ours = {**network.training, "channels": network.channels, "cells": network.cells}
    return [
        Difference(f"network {name}", _shown(ours.get(name)), _either(accepted))
        for name, accepted in recipe.items()
        if ours.get(name) not in accepted
    ]


def _is_among(images: str, accepted: Sequence[str]) -> bool:
    return any(fnmatchcase(Path(images).name, pattern) for pattern in accepted)


def _either(values: Sequence[Scalar]) -> str:
    return " or ".join(_shown(value) for value in values)


def _shown(value: object) -> str:
    return "" if value is None else str(value)


def _test_accuracy(number: Number, one: Trials) -> Answer:
    assert number.dataset is not None
    reached = []
    for record in one.all:
        if record.result is None:
            continue
        table, trainings = record.trial.table, one.trainings(record.result)
        by_dataset: dict[str, float | None] = {}
        if table is not None:
            by_dataset = {table.dataset: record.result.test_accuracy, **record.result.other_test_accuracies}
        elif trainings:
            # Papers report the best epoch of a training.
            best_epochs = sum(training.best for training in trainings) / len(trainings)
            by_dataset = {name: best_epochs for name in number.dataset if is_of_dataset(record.trial.images, name)}
        reached.append(next((by_dataset[name] for name in number.dataset if name in by_dataset), None))
    mean = mean_interval(reached)
    if mean.value is None:
        return _unfinished(one) or f"no test accuracies on {number.dataset[0]}"
    if number.over_seeds == "best":
        best = max(value for value in reached if value is not None)
        return Mean(best, None, None, mean.n, "the best of several has no interval", dropped=mean.dropped)
    return mean


def is_of_dataset(images: str, dataset: str) -> bool:
    """Whether images are those of a dataset, or a part of them in a file that bears its name: `cifar10_subset.npz`."""
    rest = Path(images).name.removeprefix(dataset)
    return rest != Path(images).name and not rest[:1].isalnum()


def _first_step_spearman(number: Number, one: Trials) -> Answer:
    assert number.dataset is not None
    datasets = {record.trial.table.dataset for record in one.all if record.trial.table is not None}
    if not datasets:
        return _unfinished(one) or "no table to compare scores with"
    if not datasets <= set(number.dataset):
        return f"best-acc is that of {', '.join(sorted(datasets))}, published {number.dataset[0]}"
    found = [
        row.agreement for row in summaries.agreements(one) if (row.oracle, row.statistic) == ("best-acc", "spearman")
    ]
    if not found or found[0].value is None:
        return _unfinished(one) or "no first scores whose rank correlation is defined"
    return found[0]


def _search_time(number: Number, one: Trials) -> Answer:
    timings = summaries.timings(one)
    return timings[0].search if timings else _unfinished(one)


def _time_of_a_score(number: Number, one: Trials) -> Answer:
    timings = summaries.timings(one)
    if timings and timings[0].seconds_per_evaluation.value is not None:
        return timings[0].seconds_per_evaluation
    return _unfinished(one) or "no score evaluations"


def _unfinished(one: Trials) -> str:
    """That no trial was finished, empty where one was."""
    return "" if any(record.result is not None for record in one.all) else f"all {len(one.all)} trials failed"


_ANSWERS: Mapping[str, Callable[[Number, Trials], Answer]] = {
    "test accuracy": _test_accuracy,
    "first-step Spearman with best-acc": _first_step_spearman,
    "search time": _search_time,
    "time of a score": _time_of_a_score,
}


def _against_table(published: Published, number: Number, table: Table | str) -> Row:
    if isinstance(table, str):
        return _row(published, number, table, "")
    assert number.dataset is not None and number.epochs is not None
    columns = [(name, "test", number.epochs) for name in number.dataset]
    column = next((each for each in columns if each in table.columns), None)
    if column is None:
        reason = f"the table {number.space} has no test accuracies on {number.dataset[0]} after {number.epochs} epochs"
        return _row(published, number, reason, "")
    answer = _from_table(number, table, column)
    if isinstance(answer, float):
        return _row(published, number, mean_interval([answer]), f"table {number.space}, {column[0]}")
    return _row(published, number, answer, "")


def _from_table(number: Number, table: Table, column: tuple[str, str, int]) -> float | str:
    """The number as the table has it, or why it has not."""
    means = table.accuracies(*column, "mean")
    match number.measure:
        case "best test accuracy":
            return float(np.nanmax(means))
        case "best test accuracy of a single training":
            single = table.accuracies(*column, "each")
            if single.shape[1] < 2:
                return f"the table {number.space} has no single trainings on {column[0]}, only means"
            return float(np.nanmax(single))
        case "Spearman of avg-acc with best-acc":
            nothing = Decisions.none_yet(table.space.edges)
            best, average = (
                [table_scores(means, nothing, edge, oracle).tolist() for edge in range(len(table.space.edges))]
                for oracle in ("best-acc", "avg-acc")
            )
            agreement = mean_over_edges_spearman(average, best).value
            return "best-acc or avg-acc is constant" if agreement is None else agreement
    try:
        accuracy = table.accuracy(_architecture(number, table.space), *column, "mean")
    except NotInTable as error:
        return str(error)
    assert isinstance(accuracy, float)
    return accuracy


def _architecture(number: Number, space: SearchSpace) -> Architecture:
    """The architecture that a number's digits stand for.

    Raises:
        InvalidNumbers: they are no architecture of the space.
    """
    digits = [int(digit) for digit in number.architecture or ""]
    if len(digits) != len(space.edges) or any(
        digit >= len(edge.operations) for digit, edge in zip(digits, space.edges, strict=True)
    ):
        raise InvalidNumbers(
            f"architecture {number.architecture}: expected the number of an operation for each of the "
            f"{len(space.edges)} edges of {space.name}"
        )
    return Architecture(tuple(edge.operations[digit] for digit, edge in zip(digits, space.edges, strict=True)))


def _row(
    published: Published,
    number: Number,
    answer: Answer,
    origin: str,
    differences: tuple[Difference, ...] = (),
    one: Trials | None = None,
) -> Row:
    """The number beside an answer, judged."""
    source = published.sources[number.source]
    if isinstance(answer, str):
        return Row(number, source, None, "", differences, "not run", answer)
    if differences:
        verdict: Verdict = "not comparable"
        reason = "; ".join(each.text for each in differences)
    else:
        verdict, reason = _judged(number, answer, one)
    return Row(number, source, answer, origin, differences, verdict, reason)


def _judged(number: Number, ours: Mean, one: Trials | None) -> tuple[Verdict, str]:
    """The verdict where all settings agree, and what to know about it."""
    remarks = [] if one is None else _choices(number, one)
    if number.seeds is not None and ours.n < number.seeds:
        remarks.append(f"{ours.n} seed{'' if ours.n == 1 else 's'}, published {number.seeds}")
    if number.tolerance is None:
        why = "a time of another machine" if number.definition.timed else "its settings are not known"
        return "not comparable", "; ".join([why, *remarks])
    assert ours.value is not None
    # A difference that is on paper just the tolerance may exceed it in its last bits.
    if abs(ours.value - number.value) <= number.tolerance + 1e-9:
        return "reproduced", "; ".join(remarks)
    if ours.low is not None and ours.high is not None and ours.low <= number.value <= ours.high:
        remarks.append("the published value lies in our 95 % interval")
    return "differs", "; ".join(remarks)


def _choices(number: Number, one: Trials) -> list[str]:
    """Which value a run has where several will do."""
    chosen: list[str] = []
    for name, accepted in number.settings.items():
        if len(accepted) > 1:
            chosen.extend(f"{name} = {_shown(record.trial.settings.get(name))}" for record in one.all)
    if number.images is not None and len(number.images) > 1:
        chosen.extend(f"images = {Path(record.trial.images).name}" for record in one.all)
    return list(dict.fromkeys(chosen))
