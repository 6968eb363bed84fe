"""Comparison of runs, tables and spaces with published numbers.

Runs, tables and spaces give measurements, and one function compares a measurement with the published number.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from opselect.bench.evaluation.networks import TrainingRecord
from opselect.bench.published.numbers import (
    RUN_MEASURES,
    SPACE_MEASURES,
    TABLE_MEASURES,
    InvalidNumbers,
    Number,
    Published,
    Scalar,
    Source,
)
from opselect.bench.runs.records import Result, TrialDescription
from opselect.bench.runs.run import Run
from opselect.bench.runs.trial import oracle_accuracies
from opselect.bench.statistics.correlations import mean_over_edges_spearman
from opselect.bench.statistics.estimates import Mean, mean_interval
from opselect.bench.summaries.agreement import agreements
from opselect.bench.summaries.costs import timings
from opselect.selectors.decisions import Decisions
from opselect.selectors.scores import table_scores
from opselect.spaces import registry
from opselect.spaces import table as accuracy_tables
from opselect.spaces.errors import MissingData
from opselect.spaces.space import Architecture, SearchSpace
from opselect.spaces.table import NotInTable, Table

# The published supernets are those of CIFAR-10.
IMAGE_CHANNELS, CLASSES = 3, 10

BestAcc: TypeAlias = Literal["runs", "means"]
BEST_ACC: Mapping[str, BestAcc] = {"runs": "runs", "means": "means"}
"""What best-acc is the maximum of: single trainings or mean accuracies."""

Verdict: TypeAlias = Literal["reproduced", "differs", "not run", "not comparable"]
VERDICTS: tuple[Verdict, ...] = ("reproduced", "differs", "not run", "not comparable")


@dataclass(frozen=True)
class Difference:
    """A setting whose value in a run is not the published one.

    Attributes:
        name: Name of the setting.
        ours: Value in the run as text; empty where the run has no such setting.
        published: Published value, or the accepted ones, as text.
    """

    name: str
    ours: str
    published: str

    @property
    def text(self) -> str:
        """Both values, for example `candidates = 10, published 1`."""
        return f"{f'{self.name} = {self.ours}' if self.ours else f'no {self.name}'}, published {self.published}"


@dataclass(frozen=True)
class Row:
    """Comparison of one published number with one of ours.

    Attributes:
        number: Published number.
        source: Source of the published number.
        ours: Our number; None where there is none.
        origin: Label and run, or table, of our number; empty where there is none.
        differences: Settings whose values differ between our number and the published one.
        verdict: Result of the comparison.
        reason: What is missing, or remarks on the verdict; may be empty.
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


@dataclass(frozen=True)
class Measurement:
    """Our counterpart of a published number, from a run, a table or a space.

    Attributes:
        value: The number, or the reason why there is none.
        origin: Label and run, or table, of the number.
        differences: Settings whose values differ from the published ones.
        choices: Values of the settings for which several values are accepted.
    """

    value: Mean | str
    origin: str
    differences: tuple[Difference, ...] = ()
    choices: tuple[str, ...] = ()

    @property
    def has_another_proxy(self) -> bool:
        """Whether the proxy differs, which makes it another method."""
        return any(difference.name == "proxy" for difference in self.differences)

    @property
    def obstacles(self) -> tuple[str, ...]:
        """Reasons why this does not measure the published quantity; empty where it does."""
        missing = (self.value,) if isinstance(self.value, str) else ()
        return (*(difference.text for difference in self.differences), *missing)


def compare(
    published: Published,
    runs: Mapping[str, Run],
    tables: Mapping[str, Table | str],
    supernets: Mapping[str, int | str],
    best_acc: BestAcc = "runs",
) -> list[Row]:
    """Compare every published number with every label of a run that fits it, or with a table or a space.

    Args:
        published: Published numbers.
        runs: Trials by the name of their run.
        tables: Tables of accuracies by space, or the reasons why there are none.
        supernets: Numbers of supernet parameters by space, or the reasons why they are unknown.
        best_acc: What best-acc is the maximum of: single trainings, as in the published code, where records and tables
            have them, or the mean accuracies of architectures.

    Returns:
        At least one row per number, in the order of the numbers.
    """
    selections = [
        (f"{label} of {name}", trials.only(label)) for name, trials in runs.items() for label in trials.labels
    ]
    rows: list[Row] = []
    for number in published.numbers:
        if number.measure in RUN_MEASURES:
            measurements = _fitting(number, _in_trials(published, number, selections, best_acc))
        elif number.measure in TABLE_MEASURES:
            measurements = [_in_table(number, tables[number.space], best_acc)]
        else:
            count = supernets[number.space]
            value = count if isinstance(count, str) else mean_interval([float(count)])
            measurements = [Measurement(value, f"space {number.space}")]
        rows.extend(_row(published, number, measurement) for measurement in measurements)
    return rows


def compare_with_published(published: Published, trials: Run) -> list[Row]:
    """Compare the selectors of an experiment with what was published of them on its space.

    Where settings differ, they are listed and the numbers are not compared; another proxy is another method. Times are
    left out.

    Args:
        published: Published numbers.
        trials: Trials of one experiment.

    Returns:
        One row per label and published number for which the label has a value.
    """
    numbers = [number for number in published.numbers if not number.definition.timed]
    return [
        _row(published, number, measurement)
        for label in trials.labels
        for selection in [[(label, trials.only(label))]]
        for number in numbers
        for measurement in _in_trials(published, number, selection, "runs")
        if isinstance(measurement.value, Mean) and not measurement.has_another_proxy
    ]


def published_of(published: Published, trials: Run) -> list[Number]:
    """Published numbers of the selector of a label on its space and dataset, for any other settings.

    Args:
        published: Published numbers.
        trials: Trials of one label.

    Returns:
        The numbers in the order of the file.
    """
    images = {record.trial.images for record in trials.all}
    settings = [record.trial.settings for record in trials.all]
    return [
        number
        for number in published.numbers
        if _is_of(number, trials)
        and all(is_of_dataset(name, dataset) for name in images for dataset in (number.dataset or number.images or ()))
        and all(values.get("proxy") in number.settings["proxy"] for values in settings if "proxy" in number.settings)
    ]


def tables_for(published: Published) -> dict[str, Table | str]:
    """Load the tables of accuracies that the published numbers refer to; each has the name of its space.

    Args:
        published: Published numbers.

    Returns:
        Tables by space, or the reasons why there are none.

    Raises:
        InvalidTable: A table is damaged.
    """
    loaded: dict[str, Table | str] = {}
    for name in sorted({number.space for number in published.numbers if number.measure in TABLE_MEASURES}):
        try:
            loaded[name] = accuracy_tables.load(name)
        except MissingData:
            loaded[name] = f"the table {name} is not imported: opselect table import {name} PATH"
        except registry.UnknownName:
            loaded[name] = f"there is no table named {name}"
    return loaded


def supernets_for(published: Published) -> dict[str, int | str]:
    """Count the supernet parameters of every space that the published numbers refer to.

    Args:
        published: Published numbers.

    Returns:
        Numbers of parameters by space, or the reasons why they are unknown.
    """
    names = sorted({number.space for number in published.numbers if number.measure in SPACE_MEASURES})
    return {name: _parameters(name) if name in registry.names("spaces") else _unregistered(name) for name in names}


def _parameters(name: str) -> int:
    space: SearchSpace = registry.load("spaces", name)
    return sum(parameter.numel() for parameter in space.supernet(IMAGE_CHANNELS, CLASSES, 0).parameters())


def _unregistered(space: str) -> str:
    return f"the space {space} is not registered"


def _in_trials(
    published: Published, number: Number, selections: Iterable[tuple[str, Run]], best_acc: BestAcc
) -> list[Measurement]:
    """One measurement per label whose trials are of the number's selector on its space."""
    return [
        Measurement(
            _VALUES[number.measure](number, trials, best_acc),
            origin,
            differences_of(published, number, trials),
            tuple(_choices(number, trials, best_acc)),
        )
        for origin, trials in selections
        if _is_of(number, trials)
    ]


def _fitting(number: Number, measurements: Sequence[Measurement]) -> list[Measurement]:
    """The measurements without obstacles; if there are none, one with the obstacles of the nearest."""
    fitting = [measurement for measurement in measurements if not measurement.obstacles]
    if fitting:
        return fitting
    if measurements:
        nearest = min(measurements, key=lambda candidate: (candidate.has_another_proxy, len(candidate.obstacles)))
        reason = f"{nearest.origin}: {'; '.join(nearest.obstacles)}"
    elif number.space not in registry.names("spaces"):
        reason = _unregistered(number.space)
    elif number.method is not None and number.method.partition(" on ")[0] not in registry.names("selectors"):
        reason = f"no selector named {number.method} is registered"
    else:
        reason = f"no run of {number.method} on {number.space}"
    return [Measurement(reason, "")]


def _is_of(number: Number, trials: Run) -> bool:
    """Whether the records of a label are of the number's selector on its space."""
    compared = {(record.trial.method, record.trial.space) for record in trials.all}
    return compared == {(number.method, number.space)}


def differences_of(published: Published, number: Number, trials: Run) -> tuple[Difference, ...]:
    """Settings in which the finished trials of a label differ from the published ones.

    Args:
        published: Published numbers, with the settings of trainings.
        number: Published number of a run.
        trials: Trials of one label.

    Returns:
        Every difference once.
    """
    differences: list[Difference] = []
    for record in trials.all:
        if record.result is None:
            continue
        trial = record.trial
        for name, accepted in number.settings.items():
            if trial.settings.get(name) not in accepted:
                differences.append(Difference(name, _text(trial.settings.get(name)), _either(accepted)))
        if number.training is not None:
            differences.extend(_training_differences(published.training[number.training], trial))
        if number.network is not None:
            differences.extend(
                _network_differences(published.network[number.network], trials.training_records, record.result)
            )
        if number.images is not None and not _is_among(trial.images, number.images):
            differences.append(Difference("images", trial.images, number.images[0]))
        if number.epochs is not None and trial.table is not None and trial.table.epochs != number.epochs:
            differences.append(Difference("epochs of the table", str(trial.table.epochs), str(number.epochs)))
        steps = record.result.steps
        if number.measure == "first-step Spearman with best-acc" and steps and len(steps[0].scores) < len(steps):
            differences.append(Difference("edges scored at first", f"{len(steps[0].scores)} of {len(steps)}", "all"))
    return tuple(dict.fromkeys(differences))


def _training_differences(recipe: Mapping[str, Sequence[Scalar]], trial: TrialDescription) -> list[Difference]:
    if trial.training is None:
        return [Difference("trained supernet", "", "one")]
    # What a record does not name is the space's own size or did not exist yet, and then it was as published.
    return [
        Difference(f"supernet {name}", _text(trial.training[name]), _either(accepted))
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
        Difference(f"network {name}", _text(ours.get(name)), _either(accepted))
        for name, accepted in recipe.items()
        if ours.get(name) not in accepted
    ]


def _is_among(images: str, accepted: Sequence[str]) -> bool:
    return any(fnmatchcase(Path(images).name, pattern) for pattern in accepted)


def _either(values: Sequence[Scalar]) -> str:
    return " or ".join(_text(value) for value in values)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _test_accuracy(number: Number, trials: Run, best_acc: BestAcc) -> Mean | str:
    assert number.dataset is not None
    accuracies = []
    for record in trials.all:
        if record.result is None:
            continue
        table, trainings = record.trial.table, trials.trainings(record.result)
        by_dataset: dict[str, float | None] = {}
        if table is not None:
            by_dataset = {table.dataset: record.result.test_accuracy, **record.result.other_test_accuracies}
        elif trainings:
            # Papers report the best epoch of a training.
            best_epochs = sum(training.best for training in trainings) / len(trainings)
            by_dataset = {name: best_epochs for name in number.dataset if is_of_dataset(record.trial.images, name)}
        accuracies.append(next((by_dataset[name] for name in number.dataset if name in by_dataset), None))
    mean = mean_interval(accuracies)
    if mean.value is None:
        return _unfinished(trials) or f"no test accuracies on {number.dataset[0]}"
    if number.over_seeds == "best":
        best = max(value for value in accuracies if value is not None)
        return Mean(best, None, None, mean.n, "the best of several has no interval", dropped=mean.dropped)
    return mean


def is_of_dataset(images: str, dataset: str) -> bool:
    """Whether images belong to a dataset: the dataset itself, or a file that begins with its name.

    Args:
        images: Registered name, or path of a file.
        dataset: Name of the dataset.

    Example:
        >>> is_of_dataset("data/cifar10_subset.npz", "cifar10"), is_of_dataset("cifar100", "cifar10")
        (True, False)
    """
    rest = Path(images).name.removeprefix(dataset)
    return rest != Path(images).name and not rest[:1].isalnum()


def _best_acc_of(trials: Run, best_acc: BestAcc) -> BestAcc:
    """The reading that all finished trials have: single trainings only where the table had them."""
    steps = [step for result in trials.all_results for step in result.steps[:1]]
    return "runs" if best_acc == "runs" and steps and all("best-acc-runs" in step.truth for step in steps) else "means"


def _first_step_spearman(number: Number, trials: Run, best_acc: BestAcc) -> Mean | str:
    assert number.dataset is not None
    datasets = {record.trial.table.dataset for record in trials.all if record.trial.table is not None}
    if not datasets:
        return _unfinished(trials) or "no table to compare scores with"
    if not datasets <= set(number.dataset):
        return f"best-acc is that of {', '.join(sorted(datasets))}, published {number.dataset[0]}"
    oracle = "best-acc-runs" if _best_acc_of(trials, best_acc) == "runs" else "best-acc"
    agreement = [row.agreement for row in agreements(trials) if (row.oracle, row.statistic) == (oracle, "spearman")]
    if not agreement or agreement[0].value is None:
        return _unfinished(trials) or "no first scores whose rank correlation is defined"
    return agreement[0]


def _search_time(number: Number, trials: Run, best_acc: BestAcc) -> Mean | str:
    rows = timings(trials)
    return rows[0].search if rows else _unfinished(trials)


def _time_of_a_score(number: Number, trials: Run, best_acc: BestAcc) -> Mean | str:
    rows = timings(trials)
    if rows and rows[0].seconds_per_evaluation.value is not None:
        return rows[0].seconds_per_evaluation
    return _unfinished(trials) or "no score evaluations"


def _unfinished(trials: Run) -> str:
    """Reason why there is no value if no trial was finished; empty if one was."""
    return "" if any(record.result is not None for record in trials.all) else f"all {len(trials.all)} trials failed"


_VALUES: Mapping[str, Callable[[Number, Run, BestAcc], Mean | str]] = {
    "test accuracy": _test_accuracy,
    "first-step Spearman with best-acc": _first_step_spearman,
    "search time": _search_time,
    "time of a score": _time_of_a_score,
}


def _in_table(number: Number, table: Table | str, best_acc: BestAcc) -> Measurement:
    """Measurement from a table; a missing table is given as the reason why it is missing."""
    if isinstance(table, str):
        return Measurement(table, "")
    assert number.dataset is not None and number.epochs is not None
    columns = [(name, "test", number.epochs) for name in number.dataset]
    column = next((column for column in columns if column in table.columns), None)
    if column is None:
        reason = f"the table {number.space} has no test accuracies on {number.dataset[0]} after {number.epochs} epochs"
        return Measurement(reason, "")
    value = _from_table(number, table, column, best_acc)
    return Measurement(
        value if isinstance(value, str) else mean_interval([value]), f"table {number.space}, {column[0]}"
    )


def _from_table(number: Number, table: Table, column: tuple[str, str, int], best_acc: BestAcc) -> float | str:
    """Value of the measure in a column of the table, or the reason why there is none."""
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
            oracles = oracle_accuracies(table, column)
            of_best = "best-acc-runs" if best_acc == "runs" and "best-acc-runs" in oracles else "best-acc"
            best, average = (
                [table_scores(values, nothing, edge, summary).tolist() for edge in range(len(table.space.edges))]
                for values, summary in (oracles[of_best], oracles["avg-acc"])
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
        InvalidNumbers: The digits do not describe an architecture of the space.
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


def _row(published: Published, number: Number, measurement: Measurement) -> Row:
    """Compare a measurement with the published number."""
    source, differences = published.sources[number.source], measurement.differences
    if isinstance(measurement.value, str):
        return Row(number, source, None, "", differences, "not run", measurement.value)
    if differences:
        verdict: Verdict = "not comparable"
        reason = "; ".join(measurement.obstacles)
    else:
        verdict, reason = _judge(number, measurement.value, measurement.choices)
    return Row(number, source, measurement.value, measurement.origin, differences, verdict, reason)


def _judge(number: Number, ours: Mean, choices: Sequence[str]) -> tuple[Verdict, str]:
    """The verdict where all settings agree, and remarks on it."""
    remarks = list(choices)
    if number.seeds is not None and ours.n < number.seeds:
        remarks.append(f"{ours.n} seed{'' if ours.n == 1 else 's'}, published {number.seeds}")
    if number.tolerance is None:
        why = "a time of another machine" if number.definition.timed else "its settings are not known"
        return "not comparable", "; ".join([why, *remarks])
    assert ours.value is not None
    # A difference of exactly the tolerance on paper may exceed it in its last bits.
    if abs(ours.value - number.value) <= number.tolerance + 1e-9:
        return "reproduced", "; ".join(remarks)
    if ours.deviation and abs(ours.value - number.value) <= 2 * ours.deviation / math.sqrt(ours.n):
        remarks.append("the published value lies within two standard errors of ours")
    return "differs", "; ".join(remarks)


def _choices(number: Number, trials: Run, best_acc: BestAcc) -> list[str]:
    """Values of a run where several are accepted."""
    chosen: list[str] = []
    for name, accepted in number.settings.items():
        if len(accepted) > 1:
            chosen.extend(f"{name} = {_text(record.trial.settings.get(name))}" for record in trials.all)
    if number.images is not None and len(number.images) > 1:
        chosen.extend(f"images = {Path(record.trial.images).name}" for record in trials.all)
    if number.measure == "first-step Spearman with best-acc" and _best_acc_of(trials, best_acc) == "runs":
        chosen.append("best-acc of runs")
    return list(dict.fromkeys(chosen))
