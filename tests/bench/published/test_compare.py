"""Every verdict on a published number and every reason is the right one."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_ind_from_stats

from opselect.bench.published.compare import BestAcc, Tolerance, compare, supernets_for, tolerance_of
from opselect.bench.published.numbers import RUN_MEASURES, TABLE_MEASURES, InvalidNumbers, Published, load_packaged
from opselect.bench.runs.records import Record, StepRecord
from opselect.bench.runs.run import Run, load_run
from opselect.bench.runs.trial import oracle_accuracies
from opselect.bench.statistics.correlations import mean_over_edges_spearman
from opselect.bench.statistics.estimates import mean_interval
from opselect.bench.tables.importers.plain_csv import read_csv
from opselect.selectors.decisions import Decisions
from opselect.selectors.scores import table_scores
from opselect.spaces.table import Table
from tests.bench.published.examples import (
    AS_THE_CODE,
    CROPS,
    LOGGED,
    SHUFFLED,
    SPEARMAN,
    TIME,
    TRAINED,
    TRAINING,
    record,
    row_of,
    rows_of,
    step,
)

SHARED = Path(__file__).parents[4] / "shared" / "data"
REAL_ACCURACIES = SHARED / "nasbench201_accuracies.csv.gz"


SPREAD = LOGGED.replace("tolerance = 0.5", "deviation = 0.47, seeds = 4")


def four(mean: float, deviation: float, **fields: Any) -> list[Record]:
    """Four seeds with this mean and this sample standard deviation."""
    distance = deviation * math.sqrt(3) / 2
    return [record(mean + sign * distance, seed, **fields) for seed, sign in enumerate((-1, 1, -1, 1))]


def test_the_spreads_of_both_sides_decide(numbers: Callable[..., Published]) -> None:
    row = row_of(numbers(SPREAD), *four(92.6, 0.94))
    assert row.tolerance is not None and row.ours is not None and row.ours.deviation is not None
    assert (row.tolerance.basis, row.ours.n) == ("both spreads", 4)
    # Standard error sqrt(0.94**2 / 4 + 0.47**2 / 4), Welch's 4.41 degrees of freedom; two of them would be 1.051.
    assert row.tolerance.value == pytest.approx(1.408, abs=2e-3)
    assert (row.difference, row.verdict) == (pytest.approx(-1.4), "reproduced")
    assert row_of(numbers(SPREAD), *four(92.58, 0.94)).verdict == "differs"
    # The same means with a smaller spread differ, and a wider one cannot turn them into a finding.
    assert row_of(numbers(SPREAD), *four(92.6, 0.47)).verdict == "differs"
    scipy = ttest_ind_from_stats(92.6, 0.94, 4, 94.0, 0.47, 4, equal_var=False)
    assert 0.05 < scipy.pvalue < 0.051


def test_the_interval_of_two_means_holds_what_it_promises_where_two_standard_errors_do_not() -> None:
    random, published, within, within_two = np.random.default_rng(0), load_packaged().numbers[0], 0, 0
    for theirs, ours in random.normal(size=(4000, 2, 4)):
        number = published.model_copy(update={"value": theirs.mean(), "deviation": theirs.std(ddof=1), "seeds": 4})
        mean = mean_interval(ours.tolist())
        assert mean.value is not None and mean.deviation is not None
        within += abs(mean.value - number.value) <= tolerance_of(number, mean).value
        within_two += abs(mean.value - number.value) <= 2 * math.hypot(mean.deviation, theirs.std(ddof=1)) / 2
    assert 0.94 <= within / 4000 <= 0.97
    assert within_two / 4000 <= 0.92


def test_a_correlation_of_0_648_is_not_that_of_0_758(numbers: Callable[..., Published]) -> None:
    six_tenths, seven_tenths = [2.0, 3.0, 1.0, 5.0, 4.0], [2.0, 3.0, 1.0, 4.0, 5.0]

    def seed(number: int, better: int, **fields: Any) -> Record:
        first, *rest = step(6, of=6)
        scores = {edge: seven_tenths if edge < better else six_tenths for edge in range(6)}
        return record(94.0, number, steps=[first.model_copy(update={"scores": scores}), *rest], **fields)

    published = numbers(SPEARMAN.replace("0.9", "0.758").replace("tolerance = 0.15", "deviation = 0.022, seeds = 4"))
    row = row_of(published, *(seed(number, better) for number, better in enumerate((2, 3, 3, 4))))
    assert row.ours is not None and row.tolerance is not None
    assert (row.ours.value, row.verdict) == (pytest.approx(0.65), "differs")
    assert row.tolerance.value < 0.05
    part = row_of(published, *(seed(number, 3 + number % 2, images="cifar10_subset.npz") for number in range(4)))
    assert part.verdict == "differs under other settings"


def test_where_one_spread_is_known_the_other_number_is_taken_to_scatter_as_much(
    numbers: Callable[..., Published],
) -> None:
    def tolerance(entry: str, *records: Record) -> tuple[float, str]:
        found = row_of(numbers(entry), *records).tolerance
        assert found is not None
        return found.value, found.basis

    # t of 3 degrees of freedom is 3.1824.
    published_only = pytest.approx(3.1824 * 0.47 * math.sqrt(1 + 1 / 4), abs=1e-3)
    assert tolerance(SPREAD, record(93.0)) == (published_only, "published spread")
    ours_only = pytest.approx(3.1824 * 0.94 * math.sqrt(1 / 4 + 1 / 5), abs=1e-3)
    assert tolerance(LOGGED + ", seeds = 5", *four(93.0, 0.94)) == (ours_only, "our spread")
    # Unknown seeds count as one run, and the deviation of unknown seeds judges nothing.
    of_one = pytest.approx(3.1824 * 0.94 * math.sqrt(1 / 4 + 1), abs=1e-3)
    for entry in (LOGGED, LOGGED + ", deviation = 0.1"):
        assert tolerance(entry, *four(93.0, 0.94)) == (of_one, "our spread")


def test_a_declared_tolerance_judges_only_where_no_spread_is_known(numbers: Callable[..., Published]) -> None:
    for records in ([record(93.5)], [record(93.5, seed) for seed in range(4)]):
        row = row_of(numbers(LOGGED + ", deviation = 0.0, seeds = 4"), *records)
        assert (row.verdict, row.tolerance) == ("reproduced", Tolerance(0.5, "declared"))
    # The tolerance itself is within, whatever the last bits of the difference are.
    assert row_of(numbers(LOGGED), record(94.5)).verdict == "reproduced"
    assert row_of(numbers(LOGGED), record(94.51)).verdict == "differs"


def test_a_spread_in_which_twice_the_effect_is_lost_is_inconclusive(numbers: Callable[..., Published]) -> None:
    assert row_of(numbers(LOGGED), *four(90.0, 1.5)).verdict == "reproduced"
    assert row_of(numbers(LOGGED), *four(90.0, 3.0)).verdict == "inconclusive"
    assert row_of(numbers(LOGGED), *four(90.0, 3.0, images="cifar10_part.npz")).verdict == "inconclusive"
    assert row_of(numbers(LOGGED), *four(60.0, 3.0)).verdict == "differs"


def test_trials_that_are_not_in_the_mean_are_counted(numbers: Callable[..., Published]) -> None:
    records = [record(94.0, 0), record(94.2, 1), record(0.0, 2, status="failed")]
    run = Run.of(records, [], wanted=[("mine", seed) for seed in range(5)])
    (row,) = compare(numbers(LOGGED), {"runs/mine": run}, {}, {})
    assert row.ours is not None
    assert (row.ours.n, row.reason) == (2, "1 of 5 trials failed; 2 of 5 trials not run yet")


def test_every_label_and_run_that_fits_has_a_row(numbers: Callable[..., Published]) -> None:
    published = numbers(LOGGED)
    first = Run.of([record(94.0, label="a"), record(94.1, label="b", settings={"proxy": "nwot_reference"})], ["a", "b"])
    second = Run.of([record(90.0, label="a"), record(94.0, label="c", settings={"candidates": 10})], [])
    rows = compare(published, {"one": first, "two": second}, {}, {})
    assert [(row.origin, row.verdict, row.reason) for row in rows] == [
        ("a of one", "reproduced", ""),
        ("b of one", "reproduced", ""),
        ("a of two", "differs", ""),
    ]


@pytest.mark.parametrize(
    ("entry", "records", "reason"),
    [
        (LOGGED, [], "no run of zero-cost-pt on nasbench201"),
        (LOGGED, [record(94.0, selector="darts-pt")], "no run of zero-cost-pt on nasbench201"),
        (LOGGED, [record(94.0, space="digits201")], "no run of zero-cost-pt on nasbench201"),
        (LOGGED, [record(94.0, settings={"candidates": 10})], "mine of runs/mine: candidates = 10, published 1"),
        (
            LOGGED,
            [record(94.0, settings={"proxy": "synflow"})],
            "mine of runs/mine: proxy = synflow, published nwot_reference or nwot",
        ),
        # Of two runs the one with the right proxy is nearer, even if it lacks more.
        (
            LOGGED.replace("candidates = 1", 'candidates = 1, edge_order = "fixed"'),
            [
                record(94.0, label="other", settings={"proxy": "synflow"}),
                record(94.0, label="same", settings={"candidates": 5, "edge_order": "random"}),
            ],
            "same of runs/mine: candidates = 5, published 1; edge_order = random, published fixed",
        ),
        (LOGGED, [record(94.0, dataset="cifar100")], "mine of runs/mine: no test accuracies on cifar10"),
        (LOGGED, [record(94.0, status="failed")], "mine of runs/mine: all 1 trials failed"),
        (
            LOGGED,
            [record(94.0, 0), record(94.0, 1, settings={"candidates": 10})],
            "candidates = 10 in 1 of 2 trials, published 1",
        ),
        (SPEARMAN, [record(94.0)], "no first scores whose rank correlation is defined"),
        (
            SPEARMAN,
            [record(94.0, steps=step(1, of=6))],
            "1 of 6 edges scored at first, published all",
        ),
        (SPEARMAN, [record(94.0, dataset="cifar100", steps=step(6, of=6))], "best-acc is that of cifar100, published"),
        (LOGGED + ', space = "darts-s9"', [], "the space darts-s9 is not registered"),
        (LOGGED.replace('"zero-cost-pt"', '"sgas"'), [], "no selector named sgas is registered"),
        (TIME, [record(94.0, status="failed")], "all 1 trials failed"),
    ],
)
def test_what_was_not_run_says_what_is_missing(
    numbers: Callable[..., Published], entry: str, records: list[Record], reason: str
) -> None:
    row = row_of(numbers(entry), *records)
    assert (row.verdict, row.ours, row.origin, row.difference) == ("not run", None, "", None)
    assert reason in row.reason


CODE = LOGGED + ', reading = "code"'
TRAINED_CODE = TRAINED + ', reading = "code-of-trained"'


@pytest.mark.parametrize(
    ("entry", "changed", "differences"),
    [
        (CODE, {"settings": AS_THE_CODE, "augmentation": CROPS}, []),
        # A part of the images is named in every row, whatever is judged.
        (
            LOGGED,
            {"images": "some/where/cifar10_part.npz"},
            ["images = some/where/cifar10_part.npz, published cifar10"],
        ),
        (TIME, {"images": "cifar10_part.npz"}, ["images = cifar10_part.npz, published cifar10"]),
        (LOGGED, {"images": "svhn"}, ["images = svhn, published cifar10"]),
        (LOGGED, {"training_images": 1600}, ["training images = 1600, published all"]),
        (LOGGED, {"epochs": 12}, ["epochs of the table = 12, published 200"]),
        (
            CODE,
            {"settings": {"proxy": "nwot", "batch_size": 64, "augmented": True}, "augmentation": CROPS},
            ["proxy = nwot, published nwot_reference", "batch_size = 64, published 256"],
        ),
        # Records that are older than a setting have the reading of their time.
        (CODE, {"settings": {"proxy": "nwot_reference"}}, ["augmented = false, published true"]),
        (
            CODE,
            {"settings": AS_THE_CODE, "augmentation": CROPS | {"crop_fill": "zero"}},
            ["crop_fill = zero, published black"],
        ),
        (
            TRAINED_CODE,
            {"training": TRAINING, "settings": {"tuning_epochs": 5}},
            [
                "augmented = false, published true",
                "shuffled = false, published true",
                "accuracy_batch_size = 256, published 64",
                "alpha_optimizer = new, published continued",
                "last_tuning_epochs = 5, published 4",
                "crop_fill = zero, published black",
            ],
        ),
        (
            TRAINED_CODE,
            {
                "training": TRAINING,
                "settings": {"tuning_epochs": 5, "last_tuning_epochs": 4, **SHUFFLED},
                "augmentation": CROPS,
            },
            [],
        ),
        (TRAINED + ', reading = "random-alpha"', {"training": TRAINING}, ["initialization = own, published reference"]),
        (
            TRAINED + ', reading = "random-alpha"',
            {"training": TRAINING, "initialization": "reference"},
            [],
        ),
        (TRAINED, {}, ["no trained supernet, published one"]),
        (
            TRAINED,
            {"training": TRAINING | {"epochs": 20, "channels": 4, "cells": None}},
            ["supernet epochs = 20, published 100", "supernet channels = 4, published 16"],
        ),
        (SPEARMAN, {"steps": step(6, of=6, oracle="best-acc")}, ["best-acc = of means, published of single trainings"]),
    ],
)
def test_what_differs_is_named_beside_the_verdict_which_is_never_a_plain_one(
    numbers: Callable[..., Published], entry: str, changed: dict[str, Any], differences: list[str]
) -> None:
    selector = "darts-pt" if '"darts-pt"' in entry else "zero-cost-pt"
    for accuracy in (94.0, 88.0):
        row = row_of(numbers(entry), record(accuracy, selector=selector, **changed))
        assert row.ours is not None
        assert [difference.text for difference in row.differences] == differences
        assert (row.verdict in ("reproduced", "differs")) == (not differences)


def test_trials_of_one_label_that_differ_are_counted(numbers: Callable[..., Published]) -> None:
    mixed = [record(94.0, seed, settings={"batch_size": 256 if seed else 64}) for seed in range(3)]
    (difference,) = row_of(numbers(LOGGED + ', reading = "batch"'), *mixed).differences
    assert difference.text == "batch_size = 64 in 1 of 3 trials, published 256"


def test_a_supernet_of_full_size_may_be_named_or_not(numbers: Callable[..., Published]) -> None:
    published = numbers(TRAINED)
    for size in ({}, {"channels": None, "cells": None}, {"channels": 16, "cells": 5}):
        row = row_of(published, record(88.0, selector="darts-pt", training=TRAINING | size))
        assert (row.verdict, row.reason) == ("reproduced", "")


def test_other_datasets_and_other_names_of_one_dataset_are_found(numbers: Callable[..., Published]) -> None:
    other = numbers(LOGGED.replace('dataset = "cifar10"', 'dataset = "cifar100"').replace("94.0", "72.0"))
    assert row_of(other, record(94.0, others={"cifar100": 72.25})).difference == pytest.approx(0.25)
    either = numbers(LOGGED.replace('dataset = "cifar10"', 'dataset = ["cifar10", "cifar10-runs"]'))
    assert row_of(either, record(94.0, dataset="cifar10-runs")).verdict == "reproduced"


def test_the_first_scores_are_compared_edge_by_edge(numbers: Callable[..., Published]) -> None:
    published = numbers(SPEARMAN)
    row = row_of(published, record(94.0, steps=step(6, of=6)))
    assert row.ours is not None
    assert (row.ours.value, row.verdict) == (1, "reproduced")
    moved = row_of(published, record(94.0, steps=step(6, of=6, shift=1)))
    assert moved.ours is not None
    # 2 3 4 5 1 beside 1 2 3 4 5: squared differences of ranks 1 1 1 1 16, so 1 - 6 * 20 / 120.
    assert (moved.ours.value, moved.verdict) == (pytest.approx(0), "differs")


def test_the_best_of_the_seeds_is_compared_with_the_best(numbers: Callable[..., Published]) -> None:
    records = [record(90.0, 0), record(94.2, 1)]
    row = row_of(numbers(LOGGED + ', over_seeds = "best", seeds = 2'), *records)
    assert row.ours is not None
    assert (row.ours.value, row.ours.low, row.ours.n, row.verdict) == (94.2, None, 2, "reproduced")
    # The best of more seeds is better, so their number is a difference.
    row = row_of(numbers(LOGGED + ', over_seeds = "best", seeds = 4'), *records)
    assert [difference.text for difference in row.differences] == ["seeds = 2, published 4"]
    assert row.verdict == "agrees under other settings"


def test_times_and_unknown_settings_are_shown_but_never_judged(numbers: Callable[..., Published]) -> None:
    score = 'measure = "time of a score", method = "zero-cost-pt", images = "cifar10", value = 0.658'
    unknown = LOGGED.replace("tolerance = 0.5", 'judged = false, note = "batches unknown"').replace(
        ", candidates = 1", ""
    )
    rows = rows_of(numbers(TIME, score, unknown), record(94.0))
    assert [row.verdict for row in rows] == ["not comparable"] * 3
    assert [row.ours and row.ours.value for row in rows] == [61, 2, 94]
    assert [row.tolerance for row in rows] == [None] * 3


def test_tables_are_asked_for_optima_architectures_and_correlations(
    numbers: Callable[..., Published], additive_table: Table
) -> None:
    common = 'space = "digits201", dataset = ["letters", "digits"], epochs = 10, tolerance = 0.01'
    published = numbers(
        # 30 + 8 * (1 + 0.9 + 1.1 + 0.8 + 1.2 + 1.05), and one more on test images; seeds lie 0.25 around the mean.
        f'measure = "best test accuracy", value = 79.4, {common}',
        f'measure = "best test accuracy of a single training", value = 79.65, {common}',
        f'measure = "test accuracy of an architecture", architecture = "333333", value = 79.4, {common}',
        f'measure = "test accuracy of an architecture", architecture = "000000", value = 31.02, {common}',
        f'measure = "Spearman of avg-acc with best-acc", value = 1.0, {common}',
        f'measure = "best test accuracy", value = 79.4, {common.replace("10", "200")}',
    )
    rows = compare(published, {}, {"digits201": additive_table}, {})
    assert [row.verdict for row in rows] == [
        "reproduced",
        "reproduced",
        "reproduced",
        "differs",
        "reproduced",
        "not run",
    ]
    assert {row.origin for row in rows[:5]} == {"table digits201, digits"}
    assert rows[5].reason == "the table digits201 has no test accuracies on letters after 200 epochs"
    absent = compare(published, {}, {"digits201": "the table is elsewhere"}, {})
    assert {(row.verdict, row.reason) for row in absent} == {("not run", "the table is elsewhere")}
    for digits in ("33333", "333335"):
        wrong = numbers(
            f'measure = "test accuracy of an architecture", architecture = "{digits}", value = 79.4, {common}'
        )
        with pytest.raises(InvalidNumbers, match=f"architecture {digits}: expected the number of an operation"):
            compare(wrong, {}, {"digits201": additive_table}, {})


def test_means_alone_say_nothing_about_single_trainings(
    numbers: Callable[..., Published], additive_table: Table
) -> None:
    measure = 'measure = "best test accuracy of a single training"'
    published = numbers(f'{measure}, space = "digits201", dataset = "digits", epochs = 10, value = 1, tolerance = 1')
    frame = additive_table.rows.to_pandas()
    table = Table(additive_table.space, additive_table.rows.filter((frame["seed"] == 0).to_numpy()), {})
    (row,) = compare(published, {}, {"digits201": table}, {})
    assert row.reason == "the table digits201 has no single trainings on digits, only means"


def test_the_size_of_the_supernet_is_counted_where_the_space_is_there() -> None:
    sizes = supernets_for(load_packaged())
    assert sizes == {"nasbench201": 1_686_106, "darts": 1_930_618, "darts-s1": 405_146}
    rows = compare(load_packaged(), {}, {"nasbench201": "not there"}, sizes)
    found = {
        row.number.space: (row.verdict, row.difference) for row in rows if row.number.measure == "supernet parameters"
    }
    assert found == {"nasbench201": ("reproduced", 0), "darts": ("reproduced", 0), "darts-s1": ("reproduced", 0)}


def test_the_real_table_reproduces_all_that_was_published_of_it() -> None:
    if not REAL_ACCURACIES.is_file():
        pytest.skip("the real accuracies lie beside the project only where it is developed")
    rows = compare(load_packaged(), {}, {"nasbench201": read_csv(REAL_ACCURACIES)}, supernets_for(load_packaged()))
    of_table = [row for row in rows if row.number.measure in TABLE_MEASURES]
    assert {row.verdict for row in of_table} == {"reproduced"}
    optima = {row.origin: row.ours and row.ours.value for row in of_table if row.number.measure == "best test accuracy"}
    assert optima == {
        "table nasbench201, cifar10": pytest.approx(94.37, abs=0.005),
        "table nasbench201, cifar100": pytest.approx(73.51, abs=0.005),
        "table nasbench201, imagenet16-120": pytest.approx(47.31, abs=0.005),
    }
    looked_up = [row for row in of_table if row.number.architecture]
    assert len(looked_up) == 6
    assert {row.origin for row in looked_up} == {"table nasbench201, cifar10-runs"}
    assert {row.verdict for row in rows if row.number.measure in RUN_MEASURES} == {"not run"}


def test_best_acc_is_of_single_trainings_where_records_have_them_unless_means_are_wanted(
    numbers: Callable[..., Published],
) -> None:
    published = numbers(SPEARMAN)
    means_only = step(6, of=6, oracle="best-acc")
    first, *rest = means_only
    backwards = {edge: [5.0, 4.0, 3.0, 2.0, 1.0] for edge in range(6)}
    both = [first.model_copy(update={"truth": {**first.truth, "best-acc-runs": backwards}}), *rest]

    def value(steps: list[StepRecord], best_acc: BestAcc) -> tuple[float | None, list[str]]:
        (row,) = compare(published, {"mine": Run.of([record(94.0, steps=steps)], [])}, {}, {}, best_acc)
        assert row.ours is not None
        return row.ours.value, [difference.name for difference in row.differences]

    # The published best-acc is of single trainings.
    assert value(both, "means") == value(means_only, "runs") == (pytest.approx(1), ["best-acc"])
    assert value(both, "runs") == (pytest.approx(-1), [])


def test_the_readme_of_nasbench201_says_which_reading_of_best_acc_gives_which_agreement(real_accuracies: Table) -> None:
    results = Path(__file__).parents[3] / "results" / "nasbench201"
    run, readme = load_run(results / "scores"), (results / "README.md").read_text()
    nothing = Decisions.none_yet(real_accuracies.space.edges)
    oracles = oracle_accuracies(real_accuracies, ("cifar10-runs", "test", 200))
    found = []
    for label in ("zero-cost-pt (nwot_reference)", "zero-cost-disc (nwot_reference)", "magnitude"):
        for oracle in ("best-acc-runs", "best-acc"):
            accuracies, summary = oracles[oracle]
            truth = [table_scores(accuracies, nothing, edge, summary).tolist() for edge in range(6)]
            agreements = [
                mean_over_edges_spearman([result.steps[0].scores[edge] for edge in range(6)], truth).value
                for result in run.results(label).values()
            ]
            found.append(f"{np.mean([value for value in agreements if value is not None]):.3f}")
    assert found == ["0.704", "0.698", "0.437", "0.440", "0.079", "0.115"]
    assert all(value in readme for value in found)
