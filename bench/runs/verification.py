"""Whether records can be of the space and the table that their experiment names; damaged ones are refused."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from opselect.bench.experiment.file import Experiment, TableChoice
from opselect.bench.runs.records import ORACLES, TRUTHS, Record, Result
from opselect.bench.runs.trial import look_up
from opselect.bench.storage.store import InvalidRecords
from opselect.spaces.errors import UserError
from opselect.spaces.space import SearchSpace
from opselect.spaces.table import NotInTable, Table

CLOSE = 1e-3
"""Difference of equal numbers, in percentage points."""
SINGLE_PRECISION = 1e-5
"""Largest error of an accuracy that was stored in single precision, in percentage points."""


def refuse_misfits(path: Path, records: Sequence[Record], space: SearchSpace) -> None:
    """Check that architectures, edges and operations are those of the space, and accuracies are numbers.

    Args:
        path: File of the records, for messages.
        records: Records to check.
        space: Search space of the experiment.

    Raises:
        InvalidRecords: The first record that is not of the space.
    """
    _refuse_first(path, ((each, _misfit(each.result, space)) for each in records if each.result is not None))


def agreeing_table(
    path: Path, records: Sequence[Record], experiment: Experiment, space: SearchSpace
) -> tuple[Table, TableChoice] | None:
    """Load the table of an experiment, and check that accuracies in records agree with it and with each other.

    Args:
        path: File of the records, for messages.
        records: Records to check.
        experiment: Experiment that names the table.
        space: Its search space.

    Returns:
        The table and the experiment's choice of columns; None where there is none, where it is not on this machine, or
        where another one has its name by now.

    Raises:
        InvalidRecords: The first record that contradicts the table.
    """
    try:
        table = experiment.load_table()
    except UserError:  # a report needs no table, and may be made on another machine
        return None
    choice = experiment.table
    if table is None or choice is None:
        return None
    problems = [
        (record, _contradiction(record.result, space, table, choice))
        for record in records
        if record.result is not None and record.trial.table
    ]
    recorded = {record.trial.table.fingerprint for record in records if record.trial.table}
    # The fingerprint of a large table takes seconds, and is needed only where something is wrong.
    if any(problem for _, problem in problems) and recorded != {table.fingerprint}:
        return None
    _refuse_first(path, problems)
    return table, choice


def _refuse_first(path: Path, problems: Iterable[tuple[Record, str]]) -> None:
    for record, problem in problems:
        if problem:
            raise InvalidRecords(
                f"{path}: {record.label}, seed {record.trial.seed}: {problem}; expected what 'opselect run' writes"
            )


def _misfit(result: Result, space: SearchSpace) -> str:
    """The reason why a result cannot be of the space; empty where it can."""
    try:
        space.parse(result.architecture)
    except UserError as error:
        return str(error)
    sizes = [len(edge.operations) for edge in space.edges]
    for number, step in enumerate(result.steps, start=1):
        if not 0 <= step.edge < len(sizes) or not 0 <= step.operation < sizes[step.edge]:
            return f"step {number} decides an edge or an operation that {space.name} has not"
        for scores in (step.scores, *step.truth.values()):
            if any(not 0 <= edge < len(sizes) or len(values) != sizes[edge] for edge, values in scores.items()):
                return f"step {number} scores other edges or operations than those of {space.name}"
        if step.truth.keys() not in (set(), set(ORACLES), set(TRUTHS)):
            known = f"{', '.join(TRUTHS)}, without the second, or none"
            return f"step {number} has the oracles {', '.join(step.truth)}, expected {known}"
        if any(values.keys() != step.scores.keys() for values in step.truth.values()):
            return f"step {number} does not score the same edges by itself and by an oracle"
    accuracies = (result.valid_accuracy, result.test_accuracy, result.regret, result.percentile)
    others = (*result.test_accuracies, *result.other_test_accuracies.values())
    if any(value is not None and not math.isfinite(value) for value in (*accuracies, *others)):
        return "an accuracy that is no number"
    return ""


def _contradiction(result: Result, space: SearchSpace, table: Table, choice: TableChoice) -> str:
    """Which accuracy of a finished trial contradicts the table, or the others; empty where none does."""
    if result.test_accuracy is None:
        return ""
    if result.test_accuracies:
        mean = math.fsum(result.test_accuracies) / len(result.test_accuracies)
        if not _is_close(result.test_accuracy, mean):
            return f"test_accuracy {result.test_accuracy}, but the mean of its single trainings is {mean}"
    try:
        known = look_up(space.parse(result.architecture), table, choice)
    except NotInTable as error:
        return f"its accuracy is not in the table: {error}"
    for name in ("test_accuracy", "valid_accuracy", "regret"):
        recorded, of_table = getattr(result, name), known[name]
        if not _is_close(recorded, of_table):
            return f"{name} {recorded}, but by the table {choice.name} it is {of_table}"
    if result.percentile is None or not _is_percentile(result.percentile, known["test_accuracy"], table, choice):
        return f"percentile {result.percentile}, but by the table {choice.name} it is {known['percentile']}"
    return ""


def _is_percentile(percentile: float, accuracy: float, table: Table, choice: TableChoice) -> bool:
    """Whether a percentile is that of an accuracy; which means are equal depends on the precision of the table."""
    accuracies = table.accuracies(*choice.test_columns[choice.dataset], "mean")
    share = 100 / np.count_nonzero(~np.isnan(accuracies))
    lowest = share * np.count_nonzero(accuracies < accuracy - SINGLE_PRECISION)
    highest = share * np.count_nonzero(accuracies < accuracy + SINGLE_PRECISION)
    return bool(lowest - CLOSE <= percentile <= highest + CLOSE)


def _is_close(first: float | None, second: float | None) -> bool:
    if first is None or second is None:
        return first is second
    return math.isclose(first, second, rel_tol=0, abs_tol=CLOSE)
