"""The figures of docs/statistics.md: those of the committed file, and those of a simulation."""

import json
import math
from pathlib import Path

import pytest

from docs.measure_statistics import FIGURES, MEASUREMENTS, PAGE, filled, tables

TABLES = Path(__file__).parents[4] / "shared" / "data"
COMMITTED = json.loads(FIGURES.read_text())


def test_the_page_has_the_figures_of_the_committed_file() -> None:
    page = PAGE.read_text()
    assert filled(page, COMMITTED) == page
    assert [page.count(f"<!-- {measurement} -->") for measurement in MEASUREMENTS] == [1] * len(MEASUREMENTS)
    assert list(COMMITTED) == ["digits201", "NAS-Bench-Macro", "NAS-Bench-201"]
    # A figure that changes changes the page.
    other = json.loads(FIGURES.read_text().replace('"n = 5": 0.9', '"n = 5": 0.8', 1))
    assert filled(page, other) != page


@pytest.mark.parametrize("table", COMMITTED)
def test_what_the_page_says_of_its_figures_is_so(table: str) -> None:
    coverage, alarms, found, check, several = (COMMITTED[table][each] for each in MEASUREMENTS)
    for n, nominal in (("n = 5", 0.9375), ("n = 10", 0.9785), ("n = 20", 0.9586)):
        assert coverage["median, order statistics"][n] == pytest.approx(nominal, abs=0.015)
    for n in ("n = 10", "n = 20"):
        assert (coverage["mean, bootstrap-t"][n] > 0.9) == (table != "NAS-Bench-201")
        assert coverage["mean, bootstrap-t"][n] > coverage["mean, Student's t (not used)"][n]
    for row, shares in alarms.items():
        if "true mean" not in row and "uncorrected" not in row:
            assert max(shares.values()) <= 0.05 + 0.025, row
        if "uncorrected" in row:
            assert min(shares.values()) > 0.08, row
    assert max(share for shares in check.values() for share in shares.values()) <= 0.05 + 0.025
    for row in several.values():
        assert row["n = 3"] < 0.93 and row["n = 10"] > 0.9
    for n in ("n = 9", "n = 10", "n = 20"):
        assert found["sign-flip test, Holm"][n] > found["Student's t, Holm (not used)"][n]
    assert found["sign-flip test, Holm"]["n = 8"] == 0
    assert found["sign-flip test, Holm"]["n = 20"] > found["sign-flip test, largest statistic (not used)"]["n = 20"]


@pytest.mark.slow
def test_the_committed_figures_are_those_of_a_simulation() -> None:
    measured = 0
    for table, accuracies in tables(TABLES if TABLES.is_dir() else None):
        for measurement, repetitions in zip(MEASUREMENTS, (500, 200, 60, 200, 200), strict=True):
            again = MEASUREMENTS[measurement](accuracies, repetitions)
            assert again.keys() == COMMITTED[table][measurement].keys()
            for row, shares in again.items():
                for column, share in shares.items():
                    committed = COMMITTED[table][measurement][row][column]
                    # Twenty seeds have half of the repetitions; a share of 0 or 1 may still be a rare one.
                    error = math.sqrt(max(committed * (1 - committed), 0.01) / (repetitions / 2))
                    assert share == pytest.approx(committed, abs=5 * error), (table, measurement, row, column)
                    measured += 1
    if measured < 3 * 60:
        pytest.skip("only digits201 was measured: ../shared has no NAS-Bench-201 and NAS-Bench-Macro")
