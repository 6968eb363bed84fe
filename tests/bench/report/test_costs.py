"""What was searched, trained and picked, and what it cost in total: by hand."""

from typing import Any

from opselect.bench.report.page import to_markdown
from opselect.bench.report.render import Section
from opselect.bench.report.sections.costs import searches, searches_table, total_cost_table, total_costs
from opselect.bench.runs.records import Record
from opselect.bench.runs.run import Run
from tests.bench.published.test_reports import trained_record
from tests.bench.report.examples import TABLE, finished, measured
from tests.bench.report.test_report import failed


def searched(label: str, seed: int, seconds: float, validation: float, cell: str = "a", **result: Any) -> Record:
    trial = finished(label, "mine", seed, measured(50.0, cell, **result), TABLE)
    assert trial.cost is not None
    phases = {"scoring": seconds, "validation": validation, "observing": 99.0}
    return trial.model_copy(
        update={"cost": trial.cost.model_copy(update={"seconds": phases, "search_seconds": seconds + validation})}
    )


def text_of(run: Run) -> str:
    return to_markdown("t", {}, (Section("s", tables=(searches_table(run), total_cost_table(run))),))


POOL = [("a", 1.0), ("b", 2.0), ("b", 2.0)]
"""Three candidates of one search."""


def test_searches_candidates_and_by_what_they_were_picked_are_counted() -> None:
    run = Run.of(
        [
            searched("pool", 0, 1, 1, "b", candidates=POOL),
            searched("pool", 1, 1, 1, "b", candidates=POOL[:2]),
            searched("alike", 0, 1, 1, candidates=[("a", None), ("a", None)]),
            searched("single", 0, 1, 0, candidates=[("a", None)]),
            searched("none", 0, 1, 0),
            failed("none", "mine", 1, "broken"),
            failed("lost", "mine", 0, "broken"),
        ],
        ["pool", "alike", "single", "none", "lost", "absent"],
    )
    text = text_of(run)
    assert "| pool | 2 | 2 to 3 | highest validation score | 1 | 0 |" in text
    assert "| alike | 1 | 2 | all were equal | 1 | 0 |" in text
    assert "| single | 1 | 1 | only one | 1 | 0 |" in text
    assert "| none | 2 (1 failed) | 1 | only one | 1 | 0 |" in text
    assert "| lost | 1 (1 failed) | – |  | 0 | 0 |" in text
    assert "absent" not in text
    assert "No network was trained in the end: accuracies are those of a table." in text
    assert [row.failed for row in searches(run)] == [0, 0, 0, 1, 1]


def test_the_total_is_that_of_all_searches_and_says_that_nothing_was_trained() -> None:
    run = Run.of(
        [
            searched("a", 0, 10, 2),
            searched("a", 1, 20, 4, "b"),
            searched("b", 0, 1, 0),
            failed("b", "mine", 1, "broken"),
        ],
        ["a", "b"],
    )
    first, second = total_costs(run)
    assert (first.searches, first.search_seconds, first.validation_seconds) == (2, 15, 3)
    assert first.searches * (first.search_seconds + first.validation_seconds) == first.total_seconds == 36
    assert (first.training_seconds, second.total_seconds) == (None, 1)
    text = text_of(run)
    assert "| a | 2 | 15.00 | 3.00 | 0 of 2 | not done | 36.0 |" in text
    assert "The time of failed trials is not recorded and not in the total." in text
    assert (
        "Where final training was not done, the total is that of the searches alone: accuracies are those of a" in text
    )
    assert "Final training: all finished" not in text


def test_final_training_is_in_the_total_and_what_is_missing_of_it_is_said() -> None:
    trials, networks = zip(trained_record(0, 97.0, 97.1), trained_record(1, 96.0, 97.3), strict=True)
    run = Run.of(trials, ["pt"], networks)
    (row,) = total_costs(run)
    seconds = sum(trial.cost.search_seconds for trial in trials)
    # Each training took a second.
    assert (row.trained, row.training_seconds, row.total_seconds) == (2, 2.0, seconds + 2)
    text = text_of(run)
    assert "Final training: all finished trainings" in text and "not done" not in text
    assert "the total lacks the missing ones" not in text
    half = text_of(Run.of(trials, ["pt"], networks[:1]))
    assert "| 1 of 2 |" in half
    assert "Where not all selected networks are trained, the total lacks the missing ones." in half
