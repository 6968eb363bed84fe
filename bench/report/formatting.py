"""Numbers, means, intervals and settings as the text of tables and sentences."""

import json
from collections.abc import Iterable, Mapping

from opselect.bench.statistics.estimates import Estimate, Mean

UNDEFINED = "–"
INTERVAL_NOTE = "Intervals are 95 % t intervals of the mean over seeds; ± is the sample standard deviation (n − 1)."
UNDEFINED_NOTE = f"{UNDEFINED}: undefined, the CSV file says why."


def number(value: float | None, decimals: int = 2) -> str:
    """Write a rounded number with a true minus sign, or a dash where it is undefined.

    Example:
        >>> number(-1.5), number(-0.001), number(None)
        ('−1.50', '0.00', '–')
    """
    if value is None:
        return UNDEFINED
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def mean_and_deviation(mean: Mean, decimals: int = 2, unit: float = 1) -> str:
    """Write `87.12 ± 0.43`, or less where less is defined.

    Args:
        mean: Mean of the values, and their sample standard deviation.
        decimals: Decimals of both numbers.
        unit: Size of the unit in which both are written, for example 1e6 for millions.
    """
    if mean.value is None:
        return UNDEFINED
    spread = "" if mean.deviation is None else f" ± {number(mean.deviation / unit, decimals)}"
    return f"{number(mean.value / unit, decimals)}{spread}"


def interval(estimate: Estimate, decimals: int = 2) -> str:
    """Write `[86.59, 87.65]`, or a dash where there is no interval."""
    if estimate.low is None:
        return UNDEFINED
    return f"[{number(estimate.low, decimals)}, {number(estimate.high, decimals)}]"


def listing(values: Iterable[object]) -> str:
    """Write values with commas between them."""
    return ", ".join(map(str, values))


def assignments(settings: Mapping[str, object]) -> str:
    """Write settings as `name = value` by name, without those that are None."""
    given = {name: value for name, value in settings.items() if value is not None}
    return listing(f"{name} = {value_text(value)}" for name, value in sorted(given.items())) or "none"


def value_text(value: object) -> str:
    """Write a value as JSON, a text without quotation marks."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
