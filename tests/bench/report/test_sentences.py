"""Every sentence of a report is true for the records that once made it false: unlucky, unfinished and small ones."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from opselect.bench.report.page import render_markdown, render_tables
from opselect.bench.report.sections import selection
from opselect.bench.report.sections.baseline import budgets, chances
from opselect.bench.report.sections.comparisons import comparisons_table, rivals
from opselect.bench.runs.records import Record, StepRecord
from opselect.bench.runs.run import Population, Run
from opselect.selectors.task import Role
from opselect.spaces.nasbench201.space import digits201
from tests.bench.report.examples import TABLE, finished, measured


def record(label: str, seed: int, accuracy: float, selector: str, role: Role | None, table: bool, cell: int) -> Record:
    result = measured(accuracy, digits201.format(digits201.at(cell)), test_accuracies=[accuracy - 1, accuracy + 1])
    if not table:
        result = result.model_copy(update=dict.fromkeys(("valid_accuracy", "regret", "percentile")))
    trial = finished(label, selector, seed, result, TABLE if table else None)
    assert trial.cost is not None
    cost = trial.cost.model_copy(update={"search_seconds": 10.0})
    return trial.model_copy(update={"role": role, "cost": cost})


def run_of(
    accuracies: Mapping[str, Sequence[float]],
    selectors: Mapping[str, str] | None = None,
    roles: Mapping[str, Role] | None = None,
    table: bool = True,
) -> Run:
    """One trial per accuracy, with seeds from 0 on."""
    return Run.of(
        [
            record(label, seed, value, (selectors or {}).get(label, "mine"), (roles or {}).get(label), table, 7 * seed)
            for label, values in accuracies.items()
            for seed, value in enumerate(values)
        ],
        list(accuracies),
        title="t",
    )


def first_paragraph(run: Run) -> str:
    return " ".join(selection.findings(run))


def test_a_declared_oracle_does_not_compete_whatever_its_name() -> None:
    run = run_of(
        {"mine": [64.6, 64.6], "a": [50.0, 51.0], "luck": [49.0, 48.0]},
        {"mine": "by-score", "luck": "by-score"},
        {"mine": "oracle", "luck": "random", "a": "selector"},
    )
    text = render_markdown(run)
    assert "Highest mean test accuracy: a with 50.50" in text
    assert "**64.60" not in text
    assert text.index("| mine | 2 |") > text.index("Ceiling: oracles") > text.index("| luck | 2 |")


def test_records_that_do_not_say_it_have_the_role_of_their_name() -> None:
    run = run_of({"a": [50.0], "b": [50.0], "c": [50.0]}, {"a": "best-acc", "b": "random", "c": "magnitude"})
    assert [run.role(label) for label in "abc"] == ["oracle", "random", "selector"]


def test_a_random_choice_that_is_not_beaten_stands_first() -> None:
    run = run_of({"a": [40.0, 40.5], "luck": [40.4, 40.56]}, {"luck": "random"}, table=False)
    assert first_paragraph(run) == (
        "Random choice is not beaten: luck has a mean of 40.48 %, the highest mean of a selector is 40.25 % (a). "
        "4 trials, 0 failed. Highest mean test accuracy: a with 40.25 ± 0.35 %."
    )
    beaten = run_of({"a": [40.0, 40.5], "luck": [40.2, 40.2]}, {"luck": "random"}, table=False)
    assert first_paragraph(beaten) == "4 trials, 0 failed. Highest mean test accuracy: a with 40.25 ± 0.35 %."


POPULATION = Population(np.linspace(0, 80, 81), np.linspace(0, 80, 81), training_seconds=2.0)


def test_the_expectation_of_random_choice_is_exact_and_no_draw() -> None:
    weak = replace(run_of({"a": [39.0, 40.0]}), population=POPULATION)
    assert first_paragraph(weak).startswith(
        "Random choice is not beaten: the expectation over all architectures of the table is 40.00 %. 2 trials"
    )
    unclear = replace(run_of({"a": [42.0, 44.0]}), population=POPULATION)
    assert first_paragraph(unclear).startswith("Not clearly better than random choice: the expectation over all")
    strong = replace(run_of({"a": [79.0, 80.0]}), population=POPULATION)
    # Of 81 x 81 pairs, three have a sum of at least 159.
    assert f"2 random draws reach the mean of a with a chance of {3 / 81**2:.4f}." in first_paragraph(strong)
    assert first_paragraph(strong).startswith("2 trials, 0 failed. Highest mean")


def test_random_search_has_the_time_of_the_selector() -> None:
    run = replace(run_of({"a": [79.0, 80.0], "luck": [1.0, 2.0]}, {"luck": "random"}), population=POPULATION)
    (row,) = budgets(run)
    # Ten seconds for five trainings; the best of five even draws from 0 to 80, by exact summation.
    assert row.equal_draws == 5
    levels = np.arange(82) / 81
    assert row.random_search == pytest.approx(float((np.arange(81) * np.diff(levels**5)).sum()))
    assert [each.above_random for each in chances(run)] == pytest.approx([39.5, -38.5])


def test_nothing_that_a_search_costs_is_in_a_reproducible_table() -> None:
    run = replace(run_of({"a": [79.0, 80.0]}), population=POPULATION)
    slower = replace(run, records={"a": tuple(map(ten_times_slower, run.records["a"]))})
    assert budgets(slower) != budgets(run)
    assert "tables/chance.csv" in render_tables(run)
    assert render_tables(slower) == render_tables(run)
    assert render_markdown(slower) == render_markdown(run)


def ten_times_slower(trial: Record) -> Record:
    assert trial.cost is not None
    seconds = 10 * trial.cost.search_seconds
    return trial.model_copy(update={"cost": trial.cost.model_copy(update={"search_seconds": seconds})})


def test_without_the_table_nothing_is_said_about_the_expectation() -> None:
    files = render_tables(run_of({"a": [50.0, 51.0]}))
    assert "tables/chance.csv" not in files
    assert "expectation" not in render_markdown(run_of({"a": [50.0, 51.0]}))


def test_an_unfinished_run_says_what_is_missing_and_compares_common_seeds() -> None:
    finished = run_of({"a": [60.0, 50.0, 40.0], "b": [59.0]})
    run = replace(finished, missing={"b": (1, 2)})
    text = render_markdown(run)
    assert "This run is not finished: 2 of 6 trials have no record (seeds of b: 1, 2). Numbers may change" in text
    # On the one common seed a is better, but one seed marks nobody.
    assert "Highest mean test accuracy over the 1 seed that all selectors have: a with 60.00 %" in text
    assert "**60.00**" not in text and "**59.00**" not in text
    assert "not finished" not in render_markdown(finished)


def test_the_best_is_that_of_the_common_seeds_also_where_more_seeds_say_otherwise() -> None:
    run = run_of({"many": [50.0, 51.0, 90.0, 90.0], "few": [52.0, 53.0]})
    best = selection.best_selectors(run)
    assert best is not None
    assert (best.labels, best.common.seeds) == (("few",), (0, 1))
    text = render_markdown(run)
    assert "| **52.50** |" in text and "**70.25" not in text


def test_selectors_with_one_mean_are_named_together() -> None:
    text = first_paragraph(run_of({"a": [50.0, 51.0], "b": [50.001, 51.0], "c": [40.0, 41.0]}))
    assert "Highest mean test accuracy: b and a with 50.50" in text


@pytest.mark.parametrize("seeds", [2, 5, 6, 9])
def test_the_floor_of_p_is_that_of_the_seeds_at_hand(seeds: int) -> None:
    generator = np.random.default_rng(0)
    values = {label: generator.normal(50, 1, seeds).tolist() for label in ("magnitude", "a", "b")}
    text = render_markdown(run_of(values, {"magnitude": "magnitude"}))
    floor = min(1.0, 2 * 2 / 2**seeds)
    assert "n = 5" not in text
    assert f"no p-value can be below {floor:.4f}" in text
    # Two comparisons with one selector take 2 x 2 / 2^7 seeds; three pairs as many.
    assert text.count("nothing here can be distinguished at 5 %") == (2 if seeds < 7 else 0)
    assert text.count("that takes at least 7 seeds") == (2 if seeds < 7 else 0)


def test_only_pairs_with_common_seeds_are_counted_as_comparisons() -> None:
    run = run_of({"a": [50.0, 51.0, 52.0], "b": [40.0, 41.0, 42.0], "c": [30.0]})
    apart = replace(run, records=run.records | {"c": tuple(map(at_another_seed, run.records["c"]))})
    # Of the three pairs, a and b alone have seeds in common; and no seed is common to all three.
    assert [rival.family for rival in rivals(apart)] == []
    named = rivals(replace(apart, declared_reference="a"))
    assert [each.tests for rival in named for each in rival.comparisons.values()] == [1, 1]
    assert "Comparisons with a: 1; with so few" in render_markdown(replace(apart, declared_reference="a"))


def at_another_seed(trial: Record) -> Record:
    description = trial.trial.model_copy(update={"seed": 99})
    return trial.model_copy(update={"trial": description, "key": description.key})


def test_a_reference_of_ones_own_takes_the_place_of_magnitude() -> None:
    run = run_of({"magnitude": [50.0, 51.0], "a": [52.0, 53.0], "b": [54.0, 55.0]}, {"magnitude": "magnitude"})
    assert "minus magnitude (pp)" in render_markdown(run)
    text = render_markdown(replace(run, declared_reference="a"))
    assert "minus a (pp)" in text and "minus magnitude" not in text


def test_the_noise_of_the_table_stands_beside_a_deviation_of_zero() -> None:
    run = run_of({"a": [60.0, 60.0], "b": [50.0, 50.0]})
    # Two trainings a point above and below each mean: a deviation of the square root of 2, an error of 1.
    assert (
        "single trainings of one selected architecture have a standard deviation of 1.41 pp, so the table's mean of 2 "
        "has a standard error of about 1.00 pp, also where all seeds chose the same."
    ) in render_markdown(run)


def test_remarks_on_the_records_stand_first() -> None:
    run = replace(run_of({"a": [50.0]}), remarks=("1 record(s) have no checksum.",))
    assert selection.findings(run)[0] == "1 record(s) have no checksum."
    assert render_markdown(run).index("no checksum") < render_markdown(run).index("trials, 0 failed")


def test_the_shown_architecture_is_not_said_to_be_the_usual_one_where_each_seed_has_another() -> None:
    run = run_of({"a": [50.0, 51.0, 52.0]})
    (row,) = selection.typical_architectures(run)
    assert (row.times, row.trials) == (1, 3)
    text = render_markdown(run)
    assert "chose most often" not in text
    assert "of equally frequent ones that of the smallest seed" in text


def test_the_report_says_how_hyper_parameters_were_chosen_or_that_the_file_does_not() -> None:
    run = run_of({"a": [50.0]})
    assert "the experiment file does not say (its key 'hyperparameters')." in render_markdown(run)
    text = render_markdown(replace(run, hyperparameters="as published; none tuned"))
    assert "How the hyper-parameters were chosen, by the experiment file: as published; none tuned" in text
    assert "does not say" not in text


def test_the_improvement_relative_to_random_choice_is_in_percent_of_it() -> None:
    run = replace(run_of({"a": [60.0, 64.0], "b": [30.0, 30.0]}), population=POPULATION)
    # The expectation is 40: 62 is 22 points and 55 % more.
    assert [row.relative_improvement for row in chances(run)] == pytest.approx([55, -25])
    text = render_markdown(run)
    assert "Drawn from this" not in text
    nothing = replace(run, population=Population(np.zeros(4), None, None))
    assert [row.relative_improvement for row in chances(nothing)] == [None, None]
    assert "| a | 62.00 ± 2.83 | 62.00 | 0.71 | – | 2 |" in render_markdown(nothing)


def test_without_a_table_random_choice_is_what_the_random_selector_drew() -> None:
    run = run_of({"a": [50.0, 54.0], "luck": [38.0, 42.0]}, {"luck": "random"}, table=False)
    (row,) = chances(run)
    assert (row.label, row.above_random, row.chance) == ("a", 12.0, None)
    assert row.relative_improvement == pytest.approx(30)
    text = render_markdown(run)
    assert (
        "the mean of 2 architectures that luck drew, 40.00 %, whose own standard error over seeds is 2.00 pp." in text
    )
    assert "Chance that n random draws" not in text and "Drawn from this" not in text
    single = run_of({"a": [50.0], "luck": [38.0]}, {"luck": "random"}, table=False)
    assert "1 architecture that luck drew, 38.00 %, so how far it lies from the mean of all" in render_markdown(single)


def test_the_training_noise_stands_beside_every_gain() -> None:
    run = replace(
        run_of({"magnitude": [60.0, 60.0], "a": [50.0, 50.0]}, {"magnitude": "magnitude"}), population=POPULATION
    )
    # One training has a deviation of the square root of 2, a cell of two an error of 1; the seeds chose two cells.
    assert [row.noise for row in chances(run)] == pytest.approx([np.sqrt(1 / 2)] * 2)
    text = render_markdown(run)
    assert text.count("one training has a standard deviation of 1.41 pp.") == 2
    # Both selectors chose the same cells, so training them again changes no difference.
    assert "| a | −10.00 | 0.00 | 2 |" in text
    assert "unknown how far" not in text


def test_where_there_is_one_training_per_architecture_the_noise_is_said_to_be_unknown() -> None:
    run = run_of({"magnitude": [60.0, 60.0], "a": [50.0, 51.0]}, {"magnitude": "magnitude"})
    single = replace(run, records={label: tuple(map(of_one_training, each)) for label, each in run.records.items()})
    text = render_markdown(replace(single, population=POPULATION))
    assert text.count("it is unknown how far a gain would move") == 3
    assert "Training noise" not in text and "own noise" not in text


def of_one_training(trial: Record) -> Record:
    assert trial.result is not None
    return trial.model_copy(update={"result": trial.result.model_copy(update={"test_accuracies": [1.0]})})


def test_intervals_are_explained_where_there_are_some() -> None:
    generator = np.random.default_rng(0)
    values = {label: generator.normal(50, 1, 9).tolist() for label in ("magnitude", "a")}
    assert "Intervals invert" in render_markdown(run_of(values, {"magnitude": "magnitude"}))
    few = {label: each[:3] for label, each in values.items()}
    assert "Intervals invert" not in render_markdown(run_of(few, {"magnitude": "magnitude"}))


def test_seeds_in_common_are_those_of_selectors_that_have_accuracies() -> None:
    run = run_of({"a": [60.0, 50.0], "b": [59.0]})
    absent = replace(run, records=run.records | {"c": ()})
    assert "over the 1 seed that all selectors have: a with 60.00 %" in render_markdown(run)
    assert "over the 1 seed that all selectors with accuracies have: a with 60.00 %" in render_markdown(absent)
    assert "mean over the seeds that all selectors with accuracies have in common" in render_markdown(absent)


def test_one_draw_is_no_plural_and_one_order_no_interval() -> None:
    run = replace(run_of({"a": [70.0], "b": [60.0], "c": [50.0]}), population=POPULATION)
    assert f"1 random draw reaches the mean of a with a chance of {11 / 81:.4f}" in first_paragraph(run)
    ordered = run_of({"a": [70.0, 60.0, 50.0]})
    assert "of the 3 distinct selected architectures: 1.00." in render_markdown(ordered)


def decided(label: str, seed: int, scores: Sequence[float], cell: int = 7) -> Record:
    """A trial with one decision."""
    step = StepRecord(edge=0, operation=1, tied=0, scores={0: list(scores)}, truth={})
    return finished(label, "mine", seed, measured(50.0 + seed, digits201.format(digits201.at(cell)), (step,)))


def named_as_equal(*records: Record) -> list[str]:
    run = Run.of(records, sorted({record.label for record in records}), title="t")
    return [note for note in comparisons_table(run).notes if "the same decisions" in note]


def test_selectors_that_decide_alike_with_the_same_scores_are_named() -> None:
    undefined = [math.nan, 1.0, 2.0]
    alike = [decided(label, seed, undefined) for label in ("a (x=1)", "b", "c") for seed in (0, 1, 2)]
    assert named_as_equal(*alike) == [
        "a (x=1), b and c made the same decisions with the same scores on all 3 common seeds."
    ]
    assert named_as_equal(*alike[:3], alike[5]) == [
        "a (x=1) and b made the same decisions with the same scores on the only common seed."
    ]
    # Another score of one seed, another architecture, no common seed, no scores at all.
    assert named_as_equal(*alike[:5], decided("b", 2, [0.0, 1.0, 2.0])) == []
    assert named_as_equal(*alike[:5], decided("b", 2, undefined, cell=8)) == []
    assert named_as_equal(*alike[:2], alike[5]) == []
    assert named_as_equal(*run_of({"a": [50.0, 51.0], "b": [50.0, 51.0]}).all) == []
