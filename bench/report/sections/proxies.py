"""The report of a proxy study: how scores and accuracies agree, column by column of a table of accuracies."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from opselect.bench.proxy_study import Scores
from opselect.bench.report.formatting import interval, number
from opselect.bench.report.render import Block, Column, Table, number_column
from opselect.bench.statistics.correlations import RankCorrelation, kendall, spearman
from opselect.selectors.proxies.interface import Combination
from opselect.spaces import registry
from opselect.spaces.table import Table as AccuracyTable

TOP = 0.1
INTERVALS = "95 % percentile bootstrap intervals over architectures"


@dataclass(frozen=True)
class ProxyRow:
    """One proxy in one column of accuracies.

    Attributes:
        proxy: Name of the proxy.
        spearman: Spearman with the accuracies; n counts architectures with both.
        kendall: Kendall's tau-b with the accuracies.
        undefined: Number of architectures without a finite score.
        top_precision: Percent of the best tenth by accuracy that is in the best tenth by score.
        best: Accuracy of the architecture with the highest score, percent.
    """

    proxy: str
    spearman: RankCorrelation
    kendall: RankCorrelation
    undefined: int
    top_precision: float | None
    best: float | None


def with_combinations(scores: Scores) -> dict[str, np.ndarray]:
    """All scores, and those of the registered combinations whose proxies are all there, which rank the whole sample."""
    values = dict(scores.values)
    for name in registry.names("combinations"):
        combination: Combination = registry.load("combinations", name)
        if set(combination.proxies) <= set(values):
            columns = [values[proxy] for proxy in combination.proxies]
            values[name] = combination.combine(np.stack(columns, axis=1))
    return values


def proxy_row(name: str, scores: np.ndarray, accuracies: np.ndarray) -> ProxyRow:
    """One row; both arrays are `[architectures]`, NaN where missing."""
    finite = np.isfinite(scores)
    both = finite & ~np.isnan(accuracies)
    return ProxyRow(
        proxy=name,
        spearman=spearman(scores.tolist(), accuracies.tolist()),
        kendall=kendall(scores.tolist(), accuracies.tolist()),
        undefined=int((~finite).sum()),
        top_precision=top_precision(scores[both], accuracies[both]),
        best=float(accuracies[both][np.argmax(scores[both])]) if both.any() else None,
    )


def top_precision(scores: np.ndarray, accuracies: np.ndarray) -> float | None:
    """Percent of the best tenth by accuracy that is in the best tenth by score.

    Architectures that tie at the border of a tenth share its remaining places, so that the order of the sample does not
    matter: each counts with the probability that a random choice among them takes it.

    Example:
        >>> top_precision(np.arange(20.0), np.arange(20.0))
        100.0
    """
    size = math.floor(TOP * len(scores))
    if size == 0:
        return None
    return float(100 * (_share(scores, size) * _share(accuracies, size)).sum() / size)


def _share(values: np.ndarray, size: int) -> np.ndarray:
    """How much of each architecture is among the `size` largest."""
    border = np.sort(values)[-size]
    above, level = values > border, values == border
    return above + level * (size - above.sum()) / level.sum()


def proxy_tables(scores: Scores, accuracies: AccuracyTable) -> list[Table[ProxyRow]]:
    """One table per test column of the accuracies; those without an accuracy for the sample are left out."""
    values = with_combinations(scores)
    places = [accuracies.positions[text] for text in scores.architectures]
    tables = []
    for dataset, split, epochs in accuracies.columns:
        measured = accuracies.accuracies(dataset, split, epochs, "mean")[places]
        if split == "test" and not np.isnan(measured).all():
            rows = [proxy_row(name, column, measured) for name, column in sorted(values.items())]
            rows.sort(key=lambda row: -math.inf if row.spearman.value is None else row.spearman.value, reverse=True)
            tables.append(_proxy_table(f"{dataset} test accuracy after {epochs} epochs", rows, f"{dataset}-{epochs}"))
    return tables


def _proxy_table(title: str, rows: Sequence[ProxyRow], name: str) -> Table[ProxyRow]:
    return Table(
        name=f"proxies-{name}",
        title=f"Proxies and {title}",
        columns=(
            Column("Proxy", show=lambda row: row.proxy, numeric=False),
            number_column("Spearman", "", "↑", lambda row: row.spearman.value),
            Column(
                "95 %", show=lambda row: interval(row.spearman), key="spearman_interval", priority=2, legend=INTERVALS
            ),
            number_column("Kendall", "", "↑", lambda row: row.kendall.value),
            Column(
                "95 %", show=lambda row: interval(row.kendall), key="kendall_interval", priority=3, legend=INTERVALS
            ),
            Column(
                "Top-tenth precision",
                "%",
                "↑",
                show=lambda row: number(row.top_precision, 1),
                rank=lambda row: row.top_precision,
                key="top_precision",
                priority=2,
            ),
            Column("Best by score", "%", "↑", show=lambda row: number(row.best), key="best", priority=3),
            Column(
                "n",
                show=lambda row: str(row.spearman.n),
                key="spearman_n",
                priority=4,
                legend="n: architectures with a score and an accuracy",
            ),
            Column("Undefined", show=lambda row: str(row.undefined), short="Undef.", priority=4),
        ),
        blocks=[Block("", rows)],
        notes=(
            "Intervals are 95 % percentile bootstrap intervals over architectures; equal ones share one score.",
            "Top-tenth precision: percent of the best tenth by accuracy that is in the best tenth by score.",
            "Undefined: architectures whose score is NaN or infinite; they are left out and do not count in n.",
        ),
        data=rows,
    )


@dataclass(frozen=True)
class CostRow:
    """What a proxy costs: mean milliseconds for one network."""

    proxy: str
    milliseconds: float


def cost_table(scores: Scores) -> Table[CostRow]:
    """What every proxy costs."""
    rows = sorted(
        (CostRow(name, 1000 * seconds) for name, seconds in scores.seconds.items()), key=lambda row: row.milliseconds
    )
    return Table(
        name="proxy-costs",
        title="What a score costs",
        columns=(
            Column("Proxy", show=lambda row: row.proxy, numeric=False),
            Column("Time per network", "ms", "↓", show=lambda row: number(row.milliseconds, 1), key="milliseconds"),
        ),
        blocks=[Block("", rows)],
        notes=("Mean wall time on one thread; networks are built outside of it.",),
        data=rows,
    )


@dataclass(frozen=True)
class FailureRow:
    """Why a proxy has no score."""

    proxy: str
    reason: str
    classes: int


def failure_table(scores: Scores) -> Table[FailureRow]:
    """Why some scores are undefined."""
    rows = [FailureRow(name, reason, count) for (name, reason), count in sorted(scores.failures.items())]
    return Table(
        name="proxy-failures",
        title="Undefined scores",
        columns=(
            Column("Proxy", show=lambda row: row.proxy, numeric=False),
            Column("Reason", show=lambda row: row.reason, numeric=False),
            Column("Classes", show=lambda row: str(row.classes)),
        ),
        blocks=[Block("", rows)],
        data=rows,
    )


def preface(scores: Scores, accuracies: AccuracyTable) -> dict[str, str]:
    """What was scored, by name."""
    study = scores.study
    return {
        "Space": study.space,
        "Architectures": f"{len(scores.architectures)}, of which {scores.classes} differ",
        "Images": f"{study.images} (hash {study.images_hash}), one batch of {study.batch_size}",
        "Seed": str(study.seed),
        "Accuracies": f"{accuracies.provenance.get('source', accuracies.space.name)} ({accuracies.fingerprint})",
        **(
            {"Not the table's networks": f"accuracies are of {accuracies.space.name}, scores of {study.space}"}
            if study.space != accuracies.space.name
            else {}
        ),
        "Versions": ", ".join(f"{name} {version}" for name, version in sorted(study.software.items())),
    }
