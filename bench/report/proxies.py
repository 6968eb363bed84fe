"""The report of a proxy study: how scores and accuracies agree, column by column of a table."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from opselect.bench.proxy_study import Scores
from opselect.bench.report.formatting import best_marks, interval
from opselect.bench.report.page import Section, to_html, to_markdown
from opselect.bench.report.render import Block, Cell, Column, Table, number
from opselect.bench.report.writing import table_files, write_file
from opselect.bench.statistics import RankCorrelation, kendall, spearman
from opselect.selectors.proxies.interface import Combination
from opselect.spaces import registry
from opselect.spaces.table import Table as AccuracyTable

TOP = 0.1


@dataclass(frozen=True)
class ProxyRow:
    """One proxy in one column of accuracies.

    Attributes:
        proxy: its name.
        spearman: with the accuracies; n counts architectures with both.
        kendall: tau-b.
        undefined: architectures without a finite score.
        top_precision: percent of the best tenth by accuracy that is in the best tenth by score.
        best: accuracy of the architecture with the highest score, percent.
    """

    proxy: str
    spearman: RankCorrelation
    kendall: RankCorrelation
    undefined: int
    top_precision: float | None
    best: float | None


@dataclass(frozen=True)
class CostRow:
    """What a proxy costs: mean milliseconds for one network."""

    proxy: str
    milliseconds: float


@dataclass(frozen=True)
class FailureRow:
    """Why a proxy has no score."""

    proxy: str
    reason: str
    classes: int


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

    Architectures that tie at the border of a tenth share its remaining places, so the order of the sample is no
    matter: each counts with the probability that a random choice among them takes it.
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


def proxy_tables(scores: Scores, accuracies: AccuracyTable) -> list[Table]:
    """One table a test column of the accuracies; those without an accuracy for the sample are left out."""
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


def _proxy_table(title: str, rows: Sequence[ProxyRow], name: str) -> Table:
    best = {
        "spearman": best_marks({row.proxy: row.spearman.value for row in rows}),
        "kendall": best_marks({row.proxy: row.kendall.value for row in rows}),
        "top": best_marks({row.proxy: row.top_precision for row in rows}),
    }

    def cells(row: ProxyRow) -> tuple[Cell, ...]:
        return (
            Cell(row.proxy),
            Cell(number(row.spearman.value), best["spearman"].get(row.proxy, "")),
            Cell(interval(row.spearman)),
            Cell(number(row.kendall.value), best["kendall"].get(row.proxy, "")),
            Cell(interval(row.kendall)),
            Cell(number(row.top_precision, 1), best["top"].get(row.proxy, "")),
            Cell(number(row.best)),
            Cell(str(row.spearman.n)),
            Cell(str(row.undefined)),
        )

    return Table(
        name=f"proxies-{name}",
        title=f"Proxies and {title}",
        columns=(
            Column("Proxy", numeric=False),
            Column("Spearman", better="↑"),
            Column("95 %"),
            Column("Kendall", better="↑"),
            Column("95 %"),
            Column("Top-tenth precision", "%", "↑"),
            Column("Best by score", "%", "↑"),
            Column("n"),
            Column("Undefined"),
        ),
        blocks=(Block("", tuple(cells(row) for row in rows)),),
        notes=(
            "Intervals are 95 % percentile bootstrap intervals over architectures; equal ones share one score.",
            "Top-tenth precision: percent of the best tenth by accuracy that is in the best tenth by score.",
            "Undefined: architectures whose score is NaN or infinite; they are left out and do not count in n.",
        ),
        data=rows,
    )


def cost_table(scores: Scores) -> Table:
    """What every proxy costs."""
    rows = sorted(
        (CostRow(name, 1000 * seconds) for name, seconds in scores.seconds.items()), key=lambda row: row.milliseconds
    )
    return Table(
        name="proxy-costs",
        title="What a score costs",
        columns=(Column("Proxy", numeric=False), Column("Time per network", "ms", "↓")),
        blocks=(Block("", tuple((Cell(row.proxy), Cell(number(row.milliseconds, 1))) for row in rows)),),
        notes=("Mean wall time on one thread; networks are built outside of it.",),
        data=rows,
    )


def failure_table(scores: Scores) -> Table:
    """Why some scores are undefined."""
    rows = [FailureRow(name, reason, count) for (name, reason), count in sorted(scores.failures.items())]
    return Table(
        name="proxy-failures",
        title="Undefined scores",
        columns=(Column("Proxy", numeric=False), Column("Reason", numeric=False), Column("Classes")),
        blocks=(Block("", tuple((Cell(row.proxy), Cell(row.reason), Cell(str(row.classes))) for row in rows)),),
        data=rows,
    )


def write_proxy_report(scores: Scores, accuracies: AccuracyTable, folder: Path) -> list[Path]:
    """Write `proxies.md`, `proxies.html`, `timing.md` and the folder `tables`; times stand in `timing.md` alone."""
    tables = proxy_tables(scores, accuracies)
    study = scores.study
    preface = {
        "Space": study.space,
        "Architectures": f"{len(scores.architectures)}, of which {scores.classes} differ",
        "Images": f"{study.images} (hash {study.images_hash}), one batch of {study.batch_size}",
        "Seed": str(study.seed),
        "Accuracies": f"{accuracies.provenance.get('source', accuracies.space.name)} ({accuracies.fingerprint})",
        "Versions": ", ".join(f"{name} {version}" for name, version in sorted(study.software.items())),
    }
    title = f"Zero-cost proxies on {study.space}"
    failures = failure_table(scores)
    sections = [Section("Agreement with accuracies", tables=tuple(tables))]
    if failures.shown_blocks:
        sections.append(Section("Undefined scores", tables=(failures,)))
    costs = Section("What a score costs", tables=(cost_table(scores),))
    files: Mapping[str, str] = {
        "proxies.md": to_markdown(title, preface, sections),
        "proxies.html": to_html(title, preface, [*sections, costs], {}),
        "timing.md": to_markdown(f"{title}: times", {}, [costs]),
        **table_files([*tables, failures, cost_table(scores)]),
    }
    return [write_file(folder / name, files[name].encode()) for name in sorted(files)]
