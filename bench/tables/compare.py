"""Comparison of two tables of the same space: how far their accuracies and ranks agree."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from opselect.bench.statistics.correlations import RankCorrelation, spearman
from opselect.spaces.table import NotInTable, Table


@dataclass(frozen=True)
class Comparison:
    """Two tables compared in one (dataset, split, epochs); accuracies are means over each table's own seeds.

    Attributes:
        dataset: Name of the dataset.
        split: `"valid"` or `"test"`.
        epochs: Number of epochs that the networks were trained for.
        first: Number of architectures with an accuracy in the first table.
        second: Number of architectures with an accuracy in the second table.
        both: Number of architectures with an accuracy in both tables; the attributes below are about these.
        mean_difference: Mean of first minus second in percentage points; None without common architectures.
        mean_absolute_difference: Mean absolute difference in percentage points; None without common architectures.
        largest: Largest absolute difference in percentage points; None without common architectures.
        architecture: Architecture with the largest absolute difference; None without common architectures.
        rank_correlation: Spearman's correlation with its interval.
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
    """Compare every (dataset, split, epochs) that both tables have.

    Args:
        first: A table of any space with finitely many architectures.
        second: Another table of the same space.

    Returns:
        One comparison per (dataset, split, epochs), sorted by these.

    Raises:
        NotInTable: The tables belong to different spaces, or have no dataset, split and epochs in common.
    """
    if first.architectures != second.architectures:
        raise NotInTable(f"tables of {first.space.name} and of {second.space.name} cannot be compared")
    common = sorted(set(first.columns) & set(second.columns))
    if not common:
        raise NotInTable(
            "the tables have no dataset, split and epochs in common: one has "
            f"{_columns_text(first.columns)}, the other {_columns_text(second.columns)}"
        )
    return tuple(_compare(first, second, *column) for column in common)


def _compare(first: Table, second: Table, dataset: str, split: str, epochs: int) -> Comparison:
    firsts, seconds = (table.accuracies(dataset, split, epochs, "mean") for table in (first, second))
    difference = firsts - seconds
    shared = ~np.isnan(difference)
    farthest = int(np.nanargmax(np.abs(difference))) if shared.any() else None
    return Comparison(
        dataset=dataset,
        split=split,
        epochs=epochs,
        first=int((~np.isnan(firsts)).sum()),
        second=int((~np.isnan(seconds)).sum()),
        both=int(shared.sum()),
        mean_difference=None if farthest is None else float(np.nanmean(difference)),
        mean_absolute_difference=None if farthest is None else float(np.nanmean(np.abs(difference))),
        largest=None if farthest is None else float(abs(difference[farthest])),
        architecture=None if farthest is None else first.architectures[farthest],
        rank_correlation=spearman(firsts[shared].tolist(), seconds[shared].tolist()),
    )


def comparison_text(comparisons: Sequence[Comparison]) -> str:
    """The comparisons as a plain-text table, one line per (dataset, split, epochs)."""
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


def _columns_text(columns: Sequence[tuple[str, str, int]]) -> str:
    return "; ".join(f"{dataset} {split} {epochs}" for dataset, split, epochs in columns)
