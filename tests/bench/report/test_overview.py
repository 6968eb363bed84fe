"""What a study says of several spaces or images together: right numbers, and no sentence that too little belies."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats

from opselect.bench.report.page import to_markdown, write_overview
from opselect.bench.report.plot import draw_ranks
from opselect.bench.report.sections.aggregates import aggregates, comparable, compared_ranks
from opselect.bench.report.sections.overview import overview_sections
from opselect.bench.runs.records import Record
from opselect.bench.runs.run import Population, Run, StudyRun
from opselect.bench.statistics.aggregates import average_ranks
from opselect.selectors.task import Role
from tests.bench.report.examples import TABLE, finished, measured
from tests.bench.report.test_report import failed

Values = Mapping[str, Sequence[float]]


def record(label: str, seed: int, accuracy: float, space: str, images: str) -> Record:
    names = {"random": "random", "magnitude": "magnitude"}
    bare = finished(label, names.get(label, "mine"), seed, measured(accuracy, f"cell {accuracy}"), TABLE)
    trial = bare.trial.model_copy(update={"space": space, "images": images})
    return bare.model_copy(update={"trial": trial, "key": trial.key})


def task(values: Values, space: str = "a", images: str = "pictures", population: Population | None = None) -> Run:
    """One run with a trial per accuracy, seeds from 0 on."""
    records = [
        record(label, seed, each, space, images) for label, row in values.items() for seed, each in enumerate(row)
    ]
    return replace(Run.of(records, list(values)), population=population)


def text_of(runs: Sequence[Run]) -> str:
    return to_markdown("t", {}, overview_sections(runs))


def random_tasks(count: int, labels: Sequence[str], seeds: int) -> list[Run]:
    generator = np.random.default_rng(0)
    return [
        task({label: generator.normal(50 + 2 * n, 3, seeds).tolist() for n, label in enumerate(labels)}, f"space{each}")
        for each in range(count)
    ]


LABELS = ("magnitude", "b", "c", "random")


def test_aggregates_are_those_of_scipy() -> None:
    runs = random_tasks(5, LABELS, 4)
    values = {label: [list(run.values(label, lambda r: r.test_accuracy).values()) for run in runs] for label in LABELS}
    means = np.array([[np.mean(row) for row in rows] for rows in values.values()])
    ranks = dict(zip(LABELS, stats.rankdata(-means, axis=0).mean(axis=1), strict=True))
    found = {row.label: row for row in aggregates(comparable(runs))}
    for label, rows in values.items():
        assert found[label].average_rank == pytest.approx(ranks[label])
        assert found[label].interquartile_mean.value == pytest.approx(stats.trim_mean(np.concatenate(rows), 0.25))
        assert (found[label].runs, found[label].tasks) == (20, 5)
        wins = [stats.mannwhitneyu(a, b).statistic / 16 for a, b in zip(rows, values["magnitude"], strict=True)]
        expected = None if label == "magnitude" else pytest.approx(np.mean(wins))
        assert found[label].better.value == expected


def test_with_tables_the_scale_is_the_gap_between_random_choice_and_the_best() -> None:
    # Expectations 40 and 20, bests 80 and 40: half of the gap is closed on the first and all of it on the second.
    tables = [Population(np.linspace(0, top, 81), None, None) for top in (80.0, 40.0)]
    runs = [
        task({"magnitude": [60.0] * 3, "b": [40.0] * 3}, "a", "pictures", tables[0]),
        task({"magnitude": [40.0] * 3, "b": [10.0] * 3}, "b", "photographs", tables[1]),
    ]
    found = {row.label: row.interquartile_mean for row in aggregates(comparable(runs))}
    # Of 50, 50, 50, 100, 100, 100 the smallest and the largest are left out; the same of 0 and -50.
    assert (found["magnitude"].value, found["b"].value) == pytest.approx((75, -25))
    text = text_of(runs)
    assert "0 for the expectation of random choice on the table of each task and 100 for the table's best" in text
    without = [runs[0], replace(runs[1], population=None)]
    assert "No interquartile mean: accuracies on different images share no scale, and there is no table" in text_of(
        without
    )
    assert "normalise them on b, photographs." in text_of(without)
    assert [row.interquartile_mean.value for row in aggregates(comparable(without))] == [None, None]


def test_a_table_of_equal_accuracies_is_no_scale() -> None:
    flat = Population(np.full(9, 50.0), None, None)
    runs = [task({"magnitude": [50.0], "b": [50.0]}, space, "pictures", flat) for space in "ab"]
    assert "The interquartile mean is of test accuracies as they are" in text_of(runs)


def test_one_task_is_not_aggregated() -> None:
    text = text_of(random_tasks(1, LABELS, 3))
    assert "The study has one space with one set of images (space0, pictures), so nothing is aggregated." in text
    assert "critical" not in text and "Average rank" not in text


def test_two_tasks_have_ranks_and_no_diagram() -> None:
    text = text_of(random_tasks(2, LABELS, 3))
    assert "by Nemenyi's test, 4 selectors take at least 3 tasks for that, so there is no diagram" in text
    assert "critical-differences" not in text and "Friedman" not in text
    assert "critical-differences" in text_of(random_tasks(3, LABELS, 3))


def test_few_seeds_have_no_interval_and_say_so() -> None:
    text = text_of(random_tasks(3, LABELS, 1))
    assert "There are no intervals, since a task has fewer than 3 common seeds." in text
    assert "resample" not in text and "(1 seed)" in text
    assert "With fewer than four runs it is their mean." in text
    text = text_of(random_tasks(3, LABELS, 3))
    assert "There are no intervals" not in text and "resample the seeds of each task" in text


def test_equal_selectors_share_their_ranks_and_none_is_marked() -> None:
    runs = [task({label: [50.0, 51.0, 52.0] for label in LABELS}, space) for space in "abc"]
    found = aggregates(comparable(runs))
    assert {row.average_rank for row in found} == {2.5}
    assert {row.better.value for row in found} == {None, 0.5}
    text = text_of(runs)
    assert "Not distinguished from each other: magnitude, b, c, random." in text
    assert "p = 1.0000" in text
    assert "**2.50**" not in text


def test_where_all_ranks_are_apart_it_says_so() -> None:
    values = {"magnitude": [50.0], "b": [60.0], "c": [70.0]}
    runs = [task(values, f"space{each}") for each in range(12)]
    assert "at least 0.96 apart (Demšar, 2006). All are that far apart." in text_of(runs)


def test_two_selectors_have_ranks_and_no_test_of_them() -> None:
    text = text_of([task({"magnitude": [50.0], "b": [60.0]}, f"space{each}") for each in range(12)])
    assert "tests of ranks are for three or more" in text
    assert "Nemenyi" not in text and "critical-differences" not in text


def test_an_unfinished_study_compares_common_seeds_and_says_what_is_missing() -> None:
    runs = random_tasks(3, LABELS, 4)
    first = replace(runs[0], records=runs[0].records | {"b": runs[0].records["b"][:2]}, missing={"b": (2, 3)})
    found = comparable([first, *runs[1:]])
    assert [len(row) for row in found.of("magnitude")] == [2, 4, 4]
    text = text_of([first, *runs[1:]])
    assert "space0, pictures: This run is not finished: 2 of 16 trials have no record (seeds of b: 2, 3)." in text
    assert "space0, pictures (2 seeds); space1, pictures (4 seeds)" in text
    assert "Nothing is marked where selectors have other seeds than each other" in text
    assert "Nothing is marked" not in text_of(runs)


def test_a_task_without_a_selector_is_left_out_and_a_selector_without_accuracies_is_named() -> None:
    runs = random_tasks(4, LABELS, 3)
    first = replace(runs[0], records=runs[0].records | {"b": ()})
    nowhere = [replace(run, records=run.records | {"lost": ()}) for run in (first, *runs[1:])]
    found = comparable(nowhere)
    assert list(found.accuracies) == ["space1, pictures", "space2, pictures", "space3, pictures"]
    assert found.left_out == {"space0, pictures": "no accuracy of b"}
    assert found.absent == ("lost",)
    text = text_of(nowhere)
    assert "Left out: space0, pictures, no accuracy of b." in text
    assert "Without any accuracy: lost." in text


def test_a_role_is_that_of_the_records_also_where_a_run_has_none() -> None:
    runs = random_tasks(4, ("magnitude", "b", "ceiling", "luck"), 3)
    roles: Mapping[str, Role] = {"ceiling": "oracle", "luck": "random"}
    declared = [
        replace(
            run,
            records={
                label: tuple(each.model_copy(update={"role": roles.get(label, "selector")}) for each in records)
                for label, records in run.records.items()
            },
        )
        for run in runs
    ]
    for place in (0, -1):
        study = declared.copy()
        study[place] = replace(study[place], records=study[place].records | {"ceiling": (), "luck": ()})
        found = {row.label: row.role for row in aggregates(comparable(study))}
        assert found == {"magnitude": "selector", "b": "selector", "luck": "random"}


def test_seeds_that_nobody_shares_are_not_compared() -> None:
    run = task({"magnitude": [50.0, 51.0], "b": [52.0, 53.0]})
    apart = replace(run, records={"magnitude": run.records["magnitude"][:1], "b": run.records["b"][1:]})
    text = text_of([apart, task({"magnitude": [50.0], "b": [51.0]}, "other")])
    assert "since 1 of 2 spaces with their images can be compared (a, pictures: no seed for which all have" in text


def test_studies_without_accuracies_or_with_one_selector_have_nothing_to_compare() -> None:
    lost = [Run.of([failed("magnitude", "magnitude", 0, "broken")], ["magnitude"]) for _ in range(2)]
    spaced = [
        replace(
            run,
            records={
                "magnitude": tuple(
                    each.model_copy(update={"trial": each.trial.model_copy(update={"space": space})})
                    for each in run.all
                )
            },
        )
        for run, space in zip(lost, "ab", strict=True)
    ]
    text = text_of(spaced)
    assert "There are no accuracies, so nothing is aggregated." in text
    assert "a, digits: 1 of 1 trials failed." in text
    alone = [task({"magnitude": [50.0]}, space) for space in "ab"]
    assert "Only magnitude has accuracies, so there is nothing to compare." in text_of(alone)


def test_where_random_choice_is_not_beaten_the_overview_says_so_first() -> None:
    runs = [task({"magnitude": [50.0, 51.0], "random": [40.0, 41.0]}, "a"), task({"b": [1.0, 2.0]}, "b")]
    assert "not beaten" not in text_of(runs)
    beaten = [*runs, task({"magnitude": [50.0, 51.0], "random": [60.0, 61.0]}, "c")]
    text = text_of(beaten)
    assert "c, pictures: Random choice is not beaten: random has a mean of 60.50 %" in text
    assert text.index("not beaten") < text.index("| Space |")


def test_without_a_reference_the_best_rank_is_the_rival() -> None:
    runs = [task({"b": [50.0], "c": [60.0], "random": [40.0]}, space) for space in "abc"]
    assert {row.rival for row in aggregates(comparable(runs))} == {"c"}
    named = [replace(run, declared_reference="b") for run in runs]
    assert {row.rival for row in aggregates(comparable(named))} == {"b"}


def test_the_diagram_has_every_label_with_its_rank_and_a_bar_per_group() -> None:
    values = {label: [float(-place)] * 3 for place, label in enumerate(("a", "b", "c"))}
    ranks = average_ranks(values)
    assert ranks.cliques == (("a", "b"), ("b", "c"))
    ax = Figure().subplots()
    draw_ranks(ranks, dict.fromkeys("abc", "0.2"), ax)
    assert sorted(text.get_text() for text in ax.texts) == ["3.00  c", "CD = 1.91", "a  1.00", "b  2.00"]
    bars = [line for line in ax.lines if line.get_linewidth() == 3]
    assert [list(bar.get_xdata()) for bar in bars] == [pytest.approx([0.97, 2.03]), pytest.approx([1.97, 3.03])]
    assert ax.get_xlim()[0] < ax.get_xlim()[1]


def test_an_overview_with_long_names_is_written_with_its_diagram(tmp_path: Path) -> None:
    labels = ("magnitude", "zero-cost-pt with (a_long & hard) name $x$ that goes on", *"cdefg", "random")
    runs = random_tasks(4, labels, 3)
    assert compared_ranks(runs).tasks == 4
    names = {path.name for path in write_overview(StudyRun("t", dict(zip("abcd", runs, strict=True))), tmp_path)}
    assert {"critical-differences.png", "overview-aggregates.csv", "overview-aggregates.tex"} <= names
