"""Measure what the intervals and tests of reports do on real tables: `python docs/measure_statistics.py [FOLDER]`.

Every figure is the share of repetitions in which something happened to selectors that draw architectures at random from
a table, so that the truth is known. The figures go to docs/statistics.json and into the tables of docs/statistics.md.
digits201 comes with the package; NAS-Bench-201 and NAS-Bench-Macro are read from FOLDER, and without it their figures
stay as they are.
"""

import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t, trim_mean, ttest_1samp

from opselect.bench.statistics.aggregates import interquartile_mean, probability_of_improvement
from opselect.bench.statistics.comparisons import all_signs, compare_pairs, holm, random_signs, sign_flip_p_value
from opselect.bench.statistics.estimates import Mean, mean_interval, median_interval
from opselect.bench.statistics.shifts import shifts
from opselect.spaces.table import load

PAGE = Path(__file__).with_name("statistics.md")
FIGURES = Path(__file__).with_name("statistics.json")
LEVEL = 0.05
RIVALS = 7

Rows = dict[str, dict[str, float]]
"""Shares by the label of the row and the heading of the column."""


def tables(folder: Path | None) -> Iterator[tuple[str, np.ndarray]]:
    """Names of tables, and the test accuracies of all their architectures."""
    yield "digits201", load("digits201").accuracies("digits", "test", 10, "mean")
    if folder is not None:
        networks = json.loads((folder / "nasbenchmacro_cifar10.json").read_text())
        yield "NAS-Bench-Macro", np.array([network["mean_acc"] for network in networks.values()])
        yield "NAS-Bench-201", pd.read_csv(folder / "nasbench201_accuracies.csv.gz")["cifar10_test_200"].to_numpy()


def coverage(accuracies: np.ndarray, repetitions: int = 2000) -> Rows:
    """How often intervals contain the true median or mean of the table."""
    median, mean = float(np.median(accuracies)), float(accuracies.mean())
    kinds: dict[str, tuple[Callable[[list[float]], Any], float, Sequence[int]]] = {
        "median, order statistics": (median_interval, median, (5, 10, 20)),
        "mean, bootstrap-t": (lambda values: mean_interval(values, (0.0, 100.0)), mean, (10, 20)),
        "mean, Student's t (not used)": (students_interval, mean, (5, 10, 20)),
    }
    rows: Rows = {}
    for kind, (estimate, truth, sizes) in kinds.items():
        rows[kind] = {}
        for n in sizes:
            samples = np.random.default_rng(n).choice(accuracies, (repetitions, n)).tolist()
            found = [estimate(sample) for sample in samples]
            # Where there is no interval, nothing is claimed.
            rows[kind][f"n = {n}"] = _share(each.low <= truth <= each.high for each in found if each.low is not None)
    return rows


def students_interval(values: list[float]) -> Mean:
    """The mean with Student's t interval, which reports do not use."""
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(len(values))
    if not error:
        return Mean(mean, None, None, len(values))
    low, high = t.interval(1 - LEVEL, len(values) - 1, mean, error)
    return Mean(mean, float(low), float(high), len(values))


def false_alarms(accuracies: np.ndarray, repetitions: int = 800) -> Rows:
    """How often selectors that all draw at random are distinguished."""
    rows: Rows = {}
    for n in (5, 8, 10, 20):
        alarms: dict[str, list[bool]] = {}
        # A million patterns for each of 28 comparisons of 20 seeds.
        for sample in _samples(accuracies, n, repetitions if n < 20 else repetitions // 2):
            against_one = [sample[:, place] - sample[:, 0] for place in range(1, RIVALS + 1)]
            methods = sample[:, :RIVALS]
            best = int(methods.mean(axis=0).argmax())
            pairs = [(a, b) for a in range(RIVALS) for b in range(a + 1, RIVALS)]
            of_best = [place for place, pair in enumerate(pairs) if best in pair]
            p_values = [sign_flip_p_value(each.tolist()) for each in against_one]
            of_pairs = holm([sign_flip_p_value((methods[:, b] - methods[:, a]).tolist()) for a, b in pairs])
            students = [_students_p(each) for each in against_one]
            naive = [_students_p(methods[:, best] - methods[:, other]) for other in range(RIVALS) if other != best]
            for row, found in (
                ("one comparison", p_values[:1]),
                (f"any of {RIVALS} comparisons with one selector", holm(p_values)),
                (f"any of {RIVALS} selectors against the best of them", [of_pairs[place] for place in of_best]),
                (
                    "one selector against the true mean",
                    [sign_flip_p_value((sample[:, 0] - accuracies.mean()).tolist())],
                ),
                ("one comparison, Student's t (not used)", students[:1]),
                (f"any of {RIVALS} comparisons, Student's t, uncorrected (not used)", students),
                (f"any of {RIVALS} against the best, Student's t, uncorrected (not used)", naive),
            ):
                alarms.setdefault(row, []).append(any(p is not None and p <= LEVEL for p in found))
        for row, found in alarms.items():
            rows.setdefault(row, {})[f"n = {n}"] = _share(found)
    return rows


def found_differences(accuracies: np.ndarray, repetitions: int = 200) -> Rows:
    """How often three selectors that take the best of four draws are distinguished from a random one."""
    rows: Rows = {}
    generator = np.random.default_rng(1)
    truth = float(np.sort(generator.choice(accuracies, (400_000, 4)), axis=1)[:, -1].mean() - accuracies.mean())
    for n in (8, 9, 10, 20):
        found: dict[str, list[bool]] = {}
        covered = []
        for sample in _samples(accuracies, n, repetitions if n < 20 else repetitions // 2):
            sample[:, 1:4] = generator.choice(accuracies, (n, 3, 4)).max(axis=2)
            reference = dict(enumerate(sample[:, 0].tolist()))
            pairs = [(dict(enumerate(sample[:, place].tolist())), reference) for place in range(1, RIVALS + 1)]
            comparisons = compare_pairs(pairs)
            students = holm([_students_p(sample[:, place] - sample[:, 0]) for place in range(1, RIVALS + 1)])
            found.setdefault("sign-flip test, Holm", []).extend(
                each.p_value is not None and each.p_value <= LEVEL for each in comparisons[:3]
            )
            found.setdefault("Student's t, Holm (not used)", []).extend(
                p is not None and p <= LEVEL for p in students[:3]
            )
            found.setdefault("sign-flip test, largest statistic (not used)", []).extend(
                p <= LEVEL for p in _joint_p_values(sample[:, 1:] - sample[:, :1])[:3]
            )
            limits = [(each.difference.low, each.difference.high) for each in comparisons]
            covered.append(
                all(
                    low is None or high is None or low <= (truth if place < 3 else 0) <= high
                    for place, (low, high) in enumerate(limits)
                )
            )
        for row, each in found.items():
            rows.setdefault(row, {})[f"n = {n}"] = _share(each)
        rows.setdefault("all intervals contain the true difference", {})[f"n = {n}"] = _share(covered)
    return rows


def check_alarms(accuracies: np.ndarray, repetitions: int = 800) -> Rows:
    """How often `opselect check` calls any of eight selectors worse that did not change."""
    rows: Rows = {}
    for n in (3, 5, 8):
        for row, offset in (("the same seeds in both", 0), ("other seeds", 100)):
            alarms = []
            for place in range(repetitions):
                generator = np.random.default_rng([n, offset, place])
                run, baseline = generator.choice(accuracies, (2, n, RIVALS + 1)).tolist()
                pairs = {
                    label: (
                        {seed: run[seed][label] for seed in range(n)},
                        {seed + offset: baseline[seed][label] for seed in range(n)},
                    )
                    for label in range(RIVALS + 1)
                }
                found = shifts(pairs, LEVEL).values()
                alarms.append(any(each.p_value <= LEVEL and each.value < 0 for each in found))  # type: ignore[operator]
            rows.setdefault(row, {})[f"n = {n}"] = _share(alarms)
    return rows


def aggregates(accuracies: np.ndarray, repetitions: int = 800) -> Rows:
    """How often bootstrap intervals over three tasks contain the truth; every task is the table."""
    truth = float(trim_mean(accuracies, 0.25))
    rows: Rows = {"interquartile mean": {}, "probability of improvement": {}}
    for n in (3, 5, 10, 20):
        covered: dict[str, list[bool]] = {row: [] for row in rows}
        for first, second in np.random.default_rng(n).choice(accuracies, (repetitions, 2, 3, n)).tolist():
            for row, found, true in (
                ("interquartile mean", interquartile_mean(first), truth),
                ("probability of improvement", probability_of_improvement(first, second), 0.5),
            ):
                if found.low is not None and found.high is not None:
                    covered[row].append(found.low <= true <= found.high)
        for row, each in covered.items():
            rows[row][f"n = {n}"] = _share(each)
    return rows


MEASUREMENTS: dict[str, Callable[..., Rows]] = {
    "coverage": coverage,
    "false alarms": false_alarms,
    "found differences": found_differences,
    "check": check_alarms,
    "aggregates": aggregates,
}


def _samples(accuracies: np.ndarray, n: int, repetitions: int) -> Iterator[np.ndarray]:
    """Samples `[seeds, selectors]`."""
    for place in range(repetitions):
        yield np.random.default_rng([n, place]).choice(accuracies, (n, RIVALS + 1))


def _students_p(differences: np.ndarray) -> float:
    return float(ttest_1samp(differences, 0).pvalue) if np.ptp(differences) > 0 else 1.0


def _joint_p_values(differences: np.ndarray) -> list[float]:
    """P-values by the distribution of the largest of all statistics under joint sign flips."""
    n = len(differences)
    signs = all_signs(n) if n <= 10 else random_signs(n)
    sums = np.abs(signs @ differences) / np.sqrt((differences**2).sum(axis=0))
    return [float((sums.max(axis=1) >= observed - 1e-9).mean()) for observed in sums[0]]


def _share(happened: Any) -> float:
    each = list(happened)
    return round(sum(map(bool, each)) / len(each), 4) if each else math.nan


def rendered(figures: dict[str, dict[str, Rows]], measurement: str) -> str:
    """The Markdown table of one measurement: a row per table and kind, a column per number of seeds."""
    by_table = {name: each[measurement] for name, each in figures.items()}
    columns = list(dict.fromkeys(column for rows in by_table.values() for row in rows.values() for column in row))
    columns.sort(key=lambda column: int(column.split()[-1]))
    lines = [
        f"| table | | {' | '.join(columns)} |",
        f"| :--- | :--- | {' | '.join('---:' for _ in columns)} |",
    ]
    for name, rows in by_table.items():
        for kind, row in rows.items():
            cells = [f"{100 * row[column]:.1f}" if column in row else "–" for column in columns]
            lines.append(f"| {name} | {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def filled(page: str, figures: dict[str, dict[str, Rows]]) -> str:
    """The page with the tables of today's figures between its markers."""

    def table(found: re.Match[str]) -> str:
        return f"<!-- {found[1]} -->\n{rendered(figures, found[1])}\n<!-- end -->"

    return re.sub(r"<!-- ([a-z ]+) -->\n.*?<!-- end -->", table, page, flags=re.DOTALL)


def main() -> None:
    """Measure, and write both files."""
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    for name, accuracies in tables(Path(sys.argv[1]) if len(sys.argv) > 1 else None):
        figures[name] = {measurement: measure(accuracies) for measurement, measure in MEASUREMENTS.items()}
        FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
    PAGE.write_text(filled(PAGE.read_text(), figures))


if __name__ == "__main__":
    main()
