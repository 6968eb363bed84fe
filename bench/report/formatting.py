"""What tables have in common: the blocks of selectors, and how numbers, intervals and settings are written."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from opselect.bench.report.render import UNDEFINED, Block, Cell, Mark, number
from opselect.bench.runs.run import Role
from opselect.bench.statistics import Estimate, Mean

BLOCKS: Sequence[tuple[str, tuple[Role, ...]]] = (
    ("", ("selector",)),
    ("Floor: a random choice", ("random",)),
    ("Ceiling: oracles that read the table's validation accuracies", ("oracle",)),
)
INTERVAL_NOTE = "Intervals are 95 % t intervals of the mean over seeds; ± is the sample standard deviation (n − 1)."
UNDEFINED_NOTE = f"{UNDEFINED}: undefined, the CSV file says why."


def blocks(rows: Sequence[Any], cells: Callable[[Any], tuple[Cell, ...]]) -> tuple[Block, ...]:
    """Rows with a role, in the blocks that every table of selectors has."""
    return tuple(Block(heading, tuple(cells(row) for row in rows if row.role in roles)) for heading, roles in BLOCKS)


def mean_and_deviation(mean: Mean, decimals: int = 2) -> str:
    """`87.12 ± 0.43`, or less where less is defined."""
    if mean.deviation is None:
        return number(mean.value, decimals)
    return f"{number(mean.value, decimals)} ± {number(mean.deviation, decimals)}"


def interval(estimate: Estimate, decimals: int = 2) -> str:
    """`[86.59, 87.65]`, or a dash."""
    if estimate.low is None:
        return UNDEFINED
    return f"[{number(estimate.low, decimals)}, {number(estimate.high, decimals)}]"


def best_marks(values: Mapping[str, float | None], decimals: int = 2) -> dict[str, Mark]:
    """Bold for the largest, underlined for the next, as printed; nothing where there is nothing to compare."""
    rounded = {label: round(value, decimals) for label, value in values.items() if value is not None}
    ranking = sorted(set(rounded.values()), reverse=True)
    if len(ranking) < 2:
        return {}
    leaders = [label for label, value in rounded.items() if value == ranking[0]]
    marks: dict[str, Mark] = dict.fromkeys(leaders, "best")
    if len(leaders) == 1:
        marks |= {label: "runner-up" for label, value in rounded.items() if value == ranking[1]}
    return marks


def negative(value: float | None) -> float | None:
    return None if value is None else -value


def listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


def assignments(settings: Mapping[str, object]) -> str:
    given = {name: value for name, value in settings.items() if value is not None}
    return ", ".join(f"{name} = {plain(value)}" for name, value in sorted(given.items())) or "none"


def plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
