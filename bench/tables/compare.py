"""What two tables of one space say about the same things."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from opselect.bench.statistics import RankCorrelation, spearman
from opselect.spaces.table import NotInTable, Table


@dataclass(frozen=True)
class Comparison:
    """Two tables in one column of accuracies, each the mean over its own seeds.

    Attributes:
        dataset: of the column.
        split: of the column.
        epochs: of the column.
        first: how many architectures the first table has there.
        second: how many the second has.
        both: how many both have; everything below is about these.
        mean_difference: first minus second, percentage points; None without common architectures.
        mean_absolute_difference: how far they are apart.
        largest: the largest absolute difference.
        architecture: where that is.
        rank_correlation: Spearman, with its interval.
    """

    dataset: str
    split: str
    epochs: int
    first: int
    second: int
    both: int
    mean_difference: float | None
    mean_absolute_difference: float | None
    largest: float | None
    architecture: str | None
    rank_correlation: RankCorrelation


def compare(first: Table, second: Table) -> tuple[Comparison, ...]:
    """Compare every dataset, split and training budget that both tables have.

    Raises:
        NotInTable: they are of different spaces, or have nothing in common.
    """
    if first.architectures != second.architectures:
        raise NotInTable(f"tables of {first.space.name} and of {second.space.name} cannot be compared")
    common = sorted(set(first.columns) & set(second.columns))
    if not common:
        raise NotInTable(
            "the tables have no dataset, split and epochs in common: one has "
            f"{_listed(first.columns)}, the other {_listed(second.columns)}"
        )
    return tuple(_compare(first, second, *column) for column in common)


def _compare(first: Table, second: Table, dataset: str, split: str, epochs: int) -> Comparison:
    one, other = (table.accuracies(dataset, split, epochs, "mean") for table in (first, second))
    difference = one - other
    shared = ~np.isnan(difference)
    place = int(np.nanargmax(np.abs(difference))) if shared.any() else None
    return Comparison(
        dataset=dataset,
        split=split,
        epochs=epochs,
        first=int((~np.isnan(one)).sum()),
        second=int((~np.isnan(other)).sum()),
        both=int(shared.sum()),
        mean_difference=None if place is None else float(np.nanmean(difference)),
        mean_absolute_difference=None if place is None else float(np.nanmean(np.abs(difference))),
        largest=None if place is None else float(abs(difference[place])),
        architecture=None if place is None else first.architectures[place],
        rank_correlation=spearman(one[shared].tolist(), other[shared].tolist()),
    )


def comparison_text(comparisons: Sequence[Comparison]) -> str:
    """The comparisons as lines for a reader."""
    lines = []
    for row in comparisons:
        correlation = row.rank_correlation
        agreement = (
            f"{correlation.value:.4f} [{correlation.low:.4f}, {correlation.high:.4f}]"
            if correlation.value is not None
            else f"undefined ({correlation.note})"
        )
        lines.append(
            {
                "column": f"{row.dataset} {row.split} {row.epochs}",
                "first": row.first,
                "second": row.second,
                "both": row.both,
                "mean difference": row.mean_difference,
                "mean absolute": row.mean_absolute_difference,
                "largest": row.largest,
                "Spearman [95 %]": agreement,
                "largest at": row.architecture,
            }
        )
    return pd.DataFrame(lines).to_string(index=False, float_format="%.3f")


def _listed(columns: Sequence[tuple[str, str, int]]) -> str:
    return "; ".join(f"{dataset} {split} {epochs}" for dataset, split, epochs in columns)
