"""Numbers, means, intervals and settings as the text of tables and sentences."""

import json
from collections.abc import Iterable, Mapping
from itertools import groupby

from opselect.bench.statistics.estimates import FEWEST_FOR_MEAN, Estimate, Mean, Median

WIDTHS: Mapping[str, float] = {"column": 3.25, "text": 5.5, "full": 6.75}
"""Inches of a column, of a text and of a page of two columns, for the tables and figures of papers."""

UNDEFINED = "–"
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


def interval_notes(estimates: Iterable[tuple[Mean, Median]]) -> list[str]:
    """What the spreads and intervals of some means and medians are, and how often such intervals cover the truth."""
    pairs = list(estimates)
    coverages = {median.n: median.coverage for _, median in pairs if median.coverage is not None}
    notes = ["± is the sample standard deviation over seeds (n − 1)."]
    if coverages:
        by_size = listing(f"{100 * coverage:.1f} % with {n} seeds" for n, coverage in sorted(coverages.items()))
        notes.append(
            "The interval of a median lies between two of the sorted values, whatever the distribution; it covers the "
            f"true median with a chance of {by_size}."
        )
    if any(mean.low is not None for mean, _ in pairs):
        notes.append(
            "Intervals of means are 95 % bootstrap-t intervals. They cover less where a selector fails now and then; "
            "docs/statistics.md has their coverage on real tables."
        )
    if any(mean.n < FEWEST_FOR_MEAN for mean, _ in pairs):
        notes.append(f"The mean of fewer than {FEWEST_FOR_MEAN} seeds has no interval.")
    return notes


def means_over(counts: Iterable[int], of: str = "seeds") -> str:
    """Write over how many values the means of a table are, as a part of its caption; empty where there are none.

    Example:
        >>> means_over([20, 9, 0]), means_over([1]), means_over([])
        ('means over 9 to 20 seeds', 'means over 1 seed', '')
    """
    known = sorted({count for count in counts if count})
    if not known:
        return ""
    numbers = str(known[0]) if len(known) == 1 else f"{known[0]} to {known[-1]}"
    return f"means over {numbers} {of.removesuffix('s') if known == [1] else of}"


def median_legend(medians: Iterable[Median]) -> str:
    """Write what the intervals of medians are, as a part of a caption."""
    coverages = sorted(f"{100 * median.coverage:.1f} %" for median in medians if median.coverage is not None)
    if not coverages:
        return ""
    chance = coverages[0] if coverages[0] == coverages[-1] else f"{coverages[0]} to {coverages[-1]}"
    return f"interval of the median between two of the sorted values, with a coverage of {chance}"


def listing(values: Iterable[object]) -> str:
    """Write values with commas between them."""
    return ", ".join(map(str, values))


def seed_listing(seeds: Iterable[int]) -> str:
    """Write seeds in ascending order, three or more neighbours as a range.

    Example:
        >>> seed_listing([4, 0, 1, 2, 7, 8])
        '0 to 2, 4, 7, 8'
    """
    ordered = sorted(seeds)
    # Neighbours have the same distance to their places.
    groups = [[seed for _, seed in group] for _, group in groupby(enumerate(ordered), lambda pair: pair[1] - pair[0])]
    return listing(f"{group[0]} to {group[-1]}" if len(group) > 2 else listing(group) for group in groups)


def assignments(settings: Mapping[str, object]) -> str:
    """Write settings as `name = value` by name, without those that are None."""
    given = {name: value for name, value in settings.items() if value is not None}
    return listing(f"{name} = {value_text(value)}" for name, value in sorted(given.items())) or "none"


def value_text(value: object) -> str:
    """Write a value as JSON, a text without quotation marks."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
