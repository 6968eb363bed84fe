"""Every verdict on a published number and every reason is the right one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from opselect.bench.published.compare import compare, supernets_for
from opselect.bench.published.numbers import RUN_MEASURES, TABLE_MEASURES, InvalidNumbers, Published, load_packaged
from opselect.bench.runs.records import Record
from opselect.bench.runs.run import Run
from opselect.bench.tables.importers.plain_csv import read_csv
from opselect.spaces.table import Table
from tests.bench.published.examples import LOGGED, SPEARMAN, TIME, TRAINED, TRAINING, record, row_of, rows_of, step

SHARED = Path(__file__).parents[4] / "shared" / "data"
REAL_ACCURACIES = SHARED / "nasbench201_accuracies.csv.gz"


def test_a_mean_within_the_tolerance_is_reproduced_and_says_which_proxy_it_had(
    numbers: Callable[..., Published],
) -> None:
    row = row_of(numbers(LOGGED + ", seeds = 4"), record(93.0, 0), record(94.0, 1))
    assert (row.verdict, row.origin) == ("reproduced", "mine of runs/mine")
    assert row.ours is not None
    assert (row.ours.value, row.ours.n, row.difference) == (93.5, 2, -0.5)
    assert row.reason == "proxy = nwot; 2 seeds, published 4"
    # The tolerance itself is within, whatever the last bits of the difference are.
    assert row_of(numbers(LOGGED), record(94.5)).verdict == "reproduced"
    assert row_of(numbers(LOGGED), record(94.51)).verdict == "differs"


def test_a_mean_beyond_the_tolerance_differs_and_says_if_chance_explains_it(numbers: Callable[..., Published]) -> None:
    published = numbers(LOGGED)
    row = row_of(published, record(92.0, 0), record(92.1, 1))
    assert (row.verdict, row.reason) == ("differs", "proxy = nwot")
    wide = row_of(published, record(90.0, 0), record(95.0, 1))
    assert (wide.verdict, wide.reason) == (
        "differs",
        "proxy = nwot; the published value lies within two standard errors of ours",
    )


def test_every_label_and_run_that_fits_has_a_row(numbers: Callable[..., Published]) -> None:
    published = numbers(LOGGED)
    first = Run.of([record(94.0, label="a"), record(94.1, label="b", settings={"proxy": "nwot_reference"})], ["a", "b"])
    second = Run.of([record(90.0, label="a"), record(94.0, label="c", settings={"candidates": 10})], [])
    rows = compare(published, {"one": first, "two": second}, {}, {})
    assert [(row.origin, row.verdict, row.reason) for row in rows] == [
        ("a of one", "reproduced", "proxy = nwot"),
        ("b of one", "reproduced", "proxy = nwot_reference"),
        ("a of two", "differs", "proxy = nwot"),
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
        (LOGGED, [record(94.0, epochs=12)], "mine of runs/mine: epochs of the table = 12, published 200"),
        (LOGGED, [record(94.0, dataset="cifar100")], "mine of runs/mine: no test accuracies on cifar10"),
        (LOGGED, [record(94.0, status="failed")], "mine of runs/mine: all 1 trials failed"),
        (LOGGED, [record(94.0, 0), record(94.0, 1, settings={"candidates": 10})], "candidates = 10, published 1"),
        (
            LOGGED + ', images = ["cifar10", "cifar10[!0]*.npz"]',
            [record(94.0, images="svhn")],
            "images = svhn, published",
        ),
        (LOGGED + ', images = ["cifar10", "cifar10[!0]*.npz"]', [record(94.0, images="cifar100.npz")], "cifar100.npz"),
        (TRAINED, [record(88.0, selector="darts-pt")], "no trained supernet, published one"),
        (
            TRAINED,
            [record(88.0, selector="darts-pt", training=TRAINING | {"epochs": 20, "channels": 4, "cells": None})],
            "supernet epochs = 20, published 100; supernet channels = 4, published 16",
        ),
        (SPEARMAN, [record(94.0, steps=step(1, of=6))], "edges scored at first = 1 of 6, published all"),
        (SPEARMAN, [record(94.0)], "no first scores whose rank correlation is defined"),
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


def test_a_supernet_of_full_size_may_be_named_or_not(numbers: Callable[..., Published]) -> None:
    published = numbers(TRAINED)
    for size in ({}, {"channels": None, "cells": None}, {"channels": 16, "cells": 5}):
        row = row_of(published, record(88.0, selector="darts-pt", training=TRAINING | size))
        assert (row.verdict, row.reason) == ("reproduced", "")


def test_a_part_of_the_images_will_do_where_a_pattern_says_so(numbers: Callable[..., Published]) -> None:
    published = numbers(LOGGED + ', images = ["cifar10", "cifar10[!0]*.npz"]')
    row = row_of(published, record(94.0, images="some/where/cifar10_part.npz"))
    assert (row.verdict, row.reason) == ("reproduced", "proxy = nwot; images = cifar10_part.npz")


def test_other_datasets_and_other_names_of_one_dataset_are_found(numbers: Callable[..., Published]) -> None:
    other = numbers(LOGGED.replace('"cifar10"', '"cifar100"').replace("94.0", "72.0"))
    assert row_of(other, record(94.0, others={"cifar100": 72.25})).difference == pytest.approx(0.25)
    either = numbers(LOGGED.replace('"cifar10"', '["cifar10", "cifar10-runs"]'))
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
    row = row_of(numbers(LOGGED + ', over_seeds = "best"'), record(90.0, 0), record(94.2, 1))
    assert row.ours is not None
    assert (row.ours.value, row.ours.low, row.ours.n, row.verdict) == (94.2, None, 2, "reproduced")


def test_times_and_unknown_settings_are_shown_but_never_judged(numbers: Callable[..., Published]) -> None:
    score = 'measure = "time of a score", method = "zero-cost-pt", value = 0.658'
    unknown = LOGGED.replace(", tolerance = 0.5", ', note = "batches unknown"').replace(", candidates = 1", "")
    rows = rows_of(numbers(TIME, score, unknown), record(94.0))
    assert [row.verdict for row in rows] == ["not comparable"] * 3
    assert [row.ours and row.ours.value for row in rows] == [61, 2, 94]
    assert [row.reason for row in rows] == [
        "a time of another machine",
        "a time of another machine",
        "its settings are not known; proxy = nwot",
    ]


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
