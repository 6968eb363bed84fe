"""Comparison of runs, tables and spaces with published numbers.

Runs, tables and spaces give measurements, and one function compares a measurement with the published number. How far
apart the two may lie follows from how both scatter over seeds: see `tolerance_of`.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from scipy.stats import t as student_t

from opselect.bench.evaluation.networks import TrainingRecord
from opselect.bench.evaluation.training import FORMER_RECIPE
from opselect.bench.published.numbers import (
    NOT_KNOWN,
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
from opselect.bench.statistics.estimates import CONFIDENCE, Mean, mean_interval
from opselect.bench.summaries.agreement import agreements
from opselect.bench.summaries.costs import timings
from opselect.selectors.decisions import Decisions
from opselect.selectors.methods import FORMER_READINGS
from opselect.selectors.scores import table_scores
from opselect.spaces import registry
from opselect.spaces import table as accuracy_tables
from opselect.spaces.errors import MissingData
from opselect.spaces.space import Architecture, SearchSpace
from opselect.spaces.table import NotInTable, Table

# The published supernets are those of CIFAR-10.
IMAGE_CHANNELS, CLASSES = 3, 10

BestAcc: TypeAlias = Literal["runs", "means"]
"""What best-acc is the maximum of: single trainings, or mean accuracies."""

Verdict: TypeAlias = Literal[
    "reproduced",
    "differs",
    "inconclusive",
    "agrees under other settings",
    "differs under other settings",
    "not comparable",
    "not run",
]
VERDICTS: Mapping[Verdict, str] = {
    "reproduced": "all settings agree, and the difference is within its ±",
    "differs": "all settings agree, and the difference is beyond its ±",
    "inconclusive": "within the ±, which is at least as large as the published error, or correlation: twice as much "
    "would lie within it too",
    "agrees under other settings": "within the ±, but images, batches or other settings differ, and are named",
    "differs under other settings": "beyond the ±, and images, batches or other settings differ, and are named",
    "not comparable": "a time of another machine, or a number whose settings are not known; nothing is judged",
    "not run": "there is no number of ours, for the reason that is given",
}
"""What the verdicts mean."""

Basis: TypeAlias = Literal["both spreads", "our spread", "published spread", "declared"]
BASES: Mapping[Basis, str] = {
    "both spreads": "Welch's interval of the difference of two means, from the standard deviations over seeds of both",
    "our spread": "the published one is not known or zero, and the published number is taken to scatter as ours",
    "published spread": "ours is not known or zero, and our number is taken to scatter as the published one",
    "declared": "both are not known or zero: a tolerance from the file of published numbers, not one of chance",
}
"""What the tolerances follow from."""


@dataclass(frozen=True)
class Tolerance:
    """Largest distance between our number and the published one that is not called a difference.

    Attributes:
        value: The distance, in the unit of the number.
        basis: Spreads over seeds that it follows from, or `declared`.
    """

    value: float
    basis: Basis


@dataclass(frozen=True)
class Difference:
    """A setting whose value in a run is not the published one.

    Attributes:
        name: Name of the setting.
        ours: Value in the run as text; empty where the run has no such setting.
        published: Published value, or the accepted ones, as text.
        of_variant: Whether it is a setting that makes another variant of the method, which has other numbers.
    """

    name: str
    ours: str
    published: str
    of_variant: bool = False

    @property
    def text(self) -> str:
        """Both values, for example `candidates = 10, published 1`."""
        return f"{f'{self.name} = {self.ours}' if self.ours else f'no {self.name}'}, published {self.published}"


BEST_ACC_OF_MEANS = Difference("best-acc", "of means", "of single trainings")


@dataclass(frozen=True)
class Row:
    """Comparison of one published number with one of ours.

    Attributes:
        number: Published number.
        source: Source of the published number.
        ours: Our number; None where there is none.
        origin: Label and run, or table, of our number; empty where there is none.
        differences: Settings whose values differ between our number and the published one.
        tolerance: How far apart both may lie; None where nothing is judged.
        verdict: Result of the comparison.
        reason: Why there is no number of ours, or trials that are not in it; may be empty.
    """

    number: Number
    source: Source
    ours: Mean | None
    origin: str
    differences: tuple[Difference, ...]
    tolerance: Tolerance | None
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
        remark: What is missing in the run; may be empty.
    """

    value: Mean | str
    origin: str
    differences: tuple[Difference, ...] = ()
    remark: str = ""

    @property
    def has_another_proxy(self) -> bool:
        """Whether the proxy differs, which makes it another method."""
        return any(difference.of_variant and difference.name == "proxy" for difference in self.differences)

    @property
    def obstacles(self) -> tuple[str, ...]:
        """Reasons why this is no counterpart of the published number; empty where it is one."""
        missing = (self.value,) if isinstance(self.value, str) else ()
        return (*(difference.text for difference in self.differences if difference.of_variant), *missing)


def compare(
    published: Published,
    runs: Mapping[str, Run],
    tables: Mapping[str, Table | str],
    supernets: Mapping[str, int | str],
    best_acc: BestAcc = "runs",
) -> list[Row]:
    """Compare every published number with every label of a run that fits it, or with a table or a space.

    A label fits if it has the selector, the space and the variant of the method (`Number.settings`). In whatever else
    it differs, the row says so.

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

    Where settings differ, they are listed, those of another variant too; another proxy is another method. Times are
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
        and all(
            is_of_dataset(name, dataset)
            for name in images
            for dataset in number.dataset or number.images or ()
            if dataset != NOT_KNOWN
        )
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
            differences_of(published, number, trials, best_acc),
            _unfinished(trials),
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


def differences_of(
    published: Published, number: Number, trials: Run, best_acc: BestAcc = "runs"
) -> tuple[Difference, ...]:
    """Settings in which the finished trials of a label differ from the published ones.

    Args:
        published: Published numbers, with the settings of trainings and the readings of the published code.
        number: Published number of a run.
        trials: Trials of one label.
        best_acc: What best-acc is the maximum of.

    Returns:
        Every difference once. Where only some of the trials differ, it says how many.
    """
    finished = [(record.trial, record.result) for record in trials.all if record.result is not None]
    counts = Counter(
        difference
        for trial, result in finished
        for difference in _trial_differences(published, number, trial, result, trials.training_records)
    )
    differences = [
        difference
        if count == len(finished)
        else replace(difference, ours=f"{difference.ours or 'none'} in {count} of {len(finished)} trials")
        for difference, count in counts.items()
    ]
    if number.over_seeds == "best" and len(finished) != number.seeds:
        differences.append(Difference("seeds", str(len(finished)), str(number.seeds or NOT_KNOWN)))
    if number.definition.reads_best_acc and finished and _best_acc_of(trials, best_acc) == "means":
        differences.append(BEST_ACC_OF_MEANS)
    return tuple(differences)


def _trial_differences(
    published: Published,
    number: Number,
    trial: TrialDescription,
    result: Result,
    networks: Mapping[str, Sequence[TrainingRecord]],
) -> Iterable[Difference]:
    """The differences of one trial, in the order in which they are listed."""
    for difference in _unlike(trial.settings, number.settings):
        yield replace(difference, of_variant=True)
    assert number.images is not None
    if trial.images not in number.images:
        yield Difference("images", trial.images, _either(number.images))
    if trial.training_images is not None:
        yield Difference("training images", str(trial.training_images), "all")
    yield from _unlike(_reading_of(trial), published.reading_of(number), only_named=True)
    if number.training is not None and trial.training is None:
        yield Difference("trained supernet", "", "one")
    elif number.training is not None:
        # What a record does not name is the space's own size or did not exist yet, and then it was as published.
        training = {name: value for name, value in (trial.training or {}).items() if value is not None}
        yield from _unlike(training, published.training[number.training], "supernet ", only_named=True)
    if number.network is not None:
        yield from _network_differences(published.network[number.network], networks.get(result.architecture, ()))
    if number.epochs is not None and trial.table is not None and trial.table.epochs != number.epochs:
        yield Difference("epochs of the table", str(trial.table.epochs), str(number.epochs))


def _network_differences(
    recipe: Mapping[str, Sequence[Scalar]], trainings: Sequence[TrainingRecord]
) -> Iterable[Difference]:
    for network in (training.network for training in trainings[:1]):
        if network.training_images is not None:
            yield Difference("network training images", str(network.training_images), "all")
        size = {"channels": network.channels, "cells": network.cells}
        yield from _unlike({**FORMER_RECIPE, **network.training, **size}, recipe, "network ")


def _unlike(
    ours: Mapping[str, object], accepted: Mapping[str, Sequence[Scalar]], prefix: str = "", only_named: bool = False
) -> list[Difference]:
    """Settings with none of the accepted values; with `only_named`, those that ours does not name are left out."""
    return [
        Difference(prefix + name, _text(ours.get(name)), _either(values))
        for name, values in accepted.items()
        if ours.get(name) not in values and (name in ours or not only_named)
    ]


def _reading_of(trial: TrialDescription) -> dict[str, object]:
    """How a trial reads its method, older records with the readings of their time, and how it augments images."""
    reading = {**FORMER_READINGS, "initialization": trial.initialization or "own", **trial.settings}
    if reading["last_tuning_epochs"] is None:
        reading["last_tuning_epochs"] = reading.get("tuning_epochs")
    if trial.training is None and not reading["augmented"]:
        return reading
    if trial.augmentation is not None:
        return reading | trial.augmentation
    # Records of versions without this field, as without code, changed no images of a file.
    unchanged = trial.code is not None or trial.images.endswith(".npz")
    return {**reading, **({"crop_padding": 0, "flip": False} if unchanged else FORMER_RECIPE)}


def _either(values: Sequence[Scalar]) -> str:
    return " or ".join(_text(value) for value in values)


def _text(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


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
        return _all_failed(trials) or f"no test accuracies on {number.dataset[0]}"
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
        return _all_failed(trials) or "no table to compare scores with"
    if not datasets <= set(number.dataset):
        return f"best-acc is that of {', '.join(sorted(datasets))}, published {number.dataset[0]}"
    edges = {(len(result.steps[0].scores), len(result.steps)) for result in trials.all_results if result.steps}
    for scored, open_edges in edges:
        if scored < open_edges:
            return f"{scored} of {open_edges} edges scored at first, published all; set observe = true"
    oracle = "best-acc-runs" if _best_acc_of(trials, best_acc) == "runs" else "best-acc"
    agreement = [row.agreement for row in agreements(trials) if (row.oracle, row.statistic) == (oracle, "spearman")]
    if not agreement or agreement[0].value is None:
        return _all_failed(trials) or "no first scores whose rank correlation is defined"
    return agreement[0]


def _search_time(number: Number, trials: Run, best_acc: BestAcc) -> Mean | str:
    rows = timings(trials)
    return rows[0].search if rows else _all_failed(trials)


def _time_of_a_score(number: Number, trials: Run, best_acc: BestAcc) -> Mean | str:
    rows = timings(trials)
    if rows and rows[0].seconds_per_evaluation.value is not None:
        return rows[0].seconds_per_evaluation
    return _all_failed(trials) or "no score evaluations"


def _all_failed(trials: Run) -> str:
    """Reason why there is no value if no trial was finished; empty if one was."""
    return "" if trials.all_results else f"all {len(trials.all)} trials failed"


def _unfinished(trials: Run) -> str:
    """Trials that are not in the mean; empty if all are."""
    failed = len(trials.all) - len(trials.all_results)
    missing = sum(len(trials.missing.get(label, ())) for label in trials.labels)
    total = len(trials.all) + missing
    parts = [
        f"{count} of {total} trials {what}" for count, what in ((failed, "failed"), (missing, "not run yet")) if count
    ]
    return "; ".join(parts)


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
    differences = (BEST_ACC_OF_MEANS,) if number.definition.reads_best_acc and best_acc == "means" else ()
    return Measurement(
        value if isinstance(value, str) else mean_interval([value]), f"table {number.space}, {column[0]}", differences
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
    source, ours, differences = published.sources[number.source], measurement.value, measurement.differences
    if isinstance(ours, str):
        return Row(number, source, None, "", differences, None, "not run", ours)
    tolerance = None
    verdict: Verdict = "not comparable"
    if number.judged and not number.definition.timed:
        tolerance = tolerance_of(number, ours)
        verdict = _judge(number, ours, tolerance, are_alike=not differences)
    return Row(number, source, ours, measurement.origin, differences, tolerance, verdict, measurement.remark)


def tolerance_of(number: Number, ours: Mean) -> Tolerance:
    """How far our mean may lie from the published one without being called different.

    Where the deviations over seeds of both are known, it is half the width of Welch's 95 % interval of the difference
    of two means, `t * sqrt(s1**2 / n1 + s2**2 / n2)`. A fixed `t = 2` would be two standard errors, and those hold 95 %
    only of many seeds: of four and four seeds 86 to 91 %. So t is the quantile of Student's distribution, with the
    degrees of freedom of Welch and Satterthwaite.

    Where one deviation is known, the other number is taken to scatter as much; a published number whose seeds are not
    known counts as one run. Equal values over all seeds do not say how far another one would lie, so a deviation of 0
    counts as none. Where none is known, the number's declared tolerance is left.

    Args:
        number: Published number that is judged.
        ours: Our mean.

    Returns:
        The tolerance and what it follows from.

    Source: Welch, The generalization of Student's problem, Biometrika 34, 1947.
    """
    seeds = number.seeds or 1
    if ours.deviation and number.has_spread:
        assert number.deviation is not None
        of_ours, of_published = ours.deviation**2 / ours.n, number.deviation**2 / seeds
        error = math.sqrt(of_ours + of_published)
        degrees = error**4 / (of_ours**2 / (ours.n - 1) + of_published**2 / (seeds - 1))
        return Tolerance(_quantile(degrees) * error, "both spreads")
    if ours.deviation:
        return Tolerance(_quantile(ours.n - 1) * ours.deviation * math.sqrt(1 / ours.n + 1 / seeds), "our spread")
    if number.has_spread:
        assert number.deviation is not None
        error = number.deviation * math.sqrt(1 / ours.n + 1 / seeds)
        return Tolerance(_quantile(seeds - 1) * error, "published spread")
    assert number.tolerance is not None
    return Tolerance(number.tolerance, "declared")


def _quantile(degrees: int | float) -> float:
    return float(student_t.ppf((1 + CONFIDENCE) / 2, degrees))


def _judge(number: Number, ours: Mean, tolerance: Tolerance, are_alike: bool) -> Verdict:
    assert ours.value is not None
    # A difference of exactly the tolerance on paper may exceed it in its last bits.
    if abs(ours.value - number.value) > tolerance.value + 1e-9:
        return "differs" if are_alike else "differs under other settings"
    effect = 100 - number.value if number.definition.unit == "%" else abs(number.value)
    if tolerance.value >= effect:
        return "inconclusive"
    return "reproduced" if are_alike else "agrees under other settings"
