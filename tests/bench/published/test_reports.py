"""Published values beside ours, in reports and for trained networks."""

import csv
import io
import random
from typing import Any

import numpy as np
import pytest

from opselect.bench.evaluation.networks import NetworkDescription, TrainingRecord, TrainingResult
from opselect.bench.experiment.network_training import NetworkTraining
from opselect.bench.published.compare import Row, compare_with_published, is_of_dataset
from opselect.bench.published.numbers import load_packaged
from opselect.bench.report.page import render_markdown, render_tables
from opselect.bench.report.sections.networks import papers_table
from opselect.bench.runs.run import Run
from opselect.selectors.supernets.settings import SupernetTraining
from opselect.spaces.darts.space import darts_s2
from tests.bench.published.examples import AS_THE_CODE, CROPS, SHUFFLED, TRAINING, record, step


def test_a_report_shows_published_values_beside_ours() -> None:
    others = {"cifar100": 72.0, "imagenet16-120": 46.0}
    steps = step(6, of=6)
    fields: dict[str, Any] = {"settings": AS_THE_CODE, "augmentation": CROPS, "steps": steps, "others": others}
    records = [record(94.0 + seed / 10, seed, **fields) for seed in range(4)]
    records += [
        record(88.0, seed, "dart|s", "darts-pt", training=TRAINING | {"epochs": 20}, augmentation=CROPS)
        for seed in range(4)
    ]
    records += [record(50.0, seed, "luck", "random", augmentation=CROPS) for seed in range(4)]
    table = render_tables(Run.of(records, ["mine", "dart|s", "luck"]))["tables/published.csv"]
    text = render_markdown(Run.of(records, ["mine", "dart|s", "luck"], title="t"))
    assert text.index("**Beside published values**") < text.index("## Operation scores")
    assert "| *test accuracy, cifar10 (%)* |" in text and "| *first-step Spearman, cifar10* |" in text
    assert "| mine | 94.15 ± 0.13 | 4 | 94.00 ± 0.47 (4) | \\+0.15 ± 0.72 | both spreads | – | ZC-PT lookups |" in text
    assert text.count("| reproduced |") == 4
    assert (
        "| mine | 94.15 ± 0.13 | 4 | 93.42 (5) | – |  | images = cifar10 (not known) | ZiCo | not comparable |" in text
    )
    darts = next(
        line
        for line in text.splitlines()
        if line.startswith(r"| dart\|s | 88.00 ± 0.00 | 4 | 88.11 | −0.11 ± 3.00 | declared |")
    )
    # The trained supernet had fewer epochs, and the records are older than the readings of the published code.
    assert "supernet epochs = 20 (100)" in darts and "shuffled = false (true)" in darts
    assert darts.endswith("| DARTS-PT | agrees under other settings |")
    for words in (
        "Both spreads: Welch",
        "Declared: both are",
        "Reproduced: all settings agree",
        "Not comparable: a time",
    ):
        assert words in text
    assert "Our spread:" not in text and "Inconclusive:" not in text
    assert "\n- 88.11 (DARTS-PT): printed: error 11.89; the code tunes 4 epochs before the last decision.\n" in text
    # Nothing was published of a random choice, other proxies are other methods, and times belong elsewhere.
    rows = list(csv.DictReader(io.StringIO(table)))
    assert {(row["label"], row["measure"]) for row in rows} == {
        ("mine", "test accuracy"),
        ("mine", "first-step Spearman with best-acc"),
        ("dart|s", "test accuracy"),
    }
    assert not [row for row in rows if "proxy" in row["differences"]]
    assert "- ZC-PT logs: logs of the code zerocost\\_operation\\_score, commit 55fc52b" in text
    shuffled = records.copy()
    random.Random(1).shuffle(shuffled)
    assert render_tables(Run.of(shuffled, ["mine", "dart|s", "luck"]))["tables/published.csv"] == table


def test_a_report_names_trials_that_are_not_in_a_mean() -> None:
    records = [record(94.0, 0), record(94.2, 1), record(0.0, 2, status="failed")]
    wanted = [("mine", seed) for seed in range(5)]
    text = render_markdown(Run.of(records, ["mine"], title="t", wanted=wanted))
    assert text.count("\n- mine: 1 of 5 trials failed; 2 of 5 trials not run yet.\n") == 1


def test_a_report_of_another_space_has_no_such_table() -> None:
    records = [record(80.0, seed, space="digits201", images="digits", dataset="digits") for seed in range(2)]
    assert not [name for name in render_tables(Run.of(records, ["mine"])) if "published" in name]
    assert "published" not in render_markdown(Run.of(records, ["mine"], title="t"))
    assert compare_with_published(load_packaged(), Run.of(records, [])) == []


def trained_record(seed: int, last: float, best: float, images: str = "cifar10", **changes: Any) -> tuple[Any, Any]:
    """A DARTS-PT trial on S2 by the papers' recipe, and the training of the network that it selected."""
    genotype = darts_s2.format(darts_s2.sample(np.random.default_rng(seed)))
    recipe = SupernetTraining(epochs=50).model_dump(mode="json")
    settings = {"edge_order": "random", "tuning_epochs": 5, **SHUFFLED}
    bare = record(0.0, seed, "pt", "darts-pt", "darts-s2", images, settings, recipe, augmentation=CROPS)
    trial = bare.trial.model_copy(update={"table": None})
    assert bare.result is not None
    nothing = {"test_accuracy": None, "test_accuracies": [], "valid_accuracy": None, "regret": None, "percentile": None}
    result = bare.result.model_copy(update={"architecture": genotype, **nothing})
    network = NetworkDescription(
        space="darts-s2",
        genotype=genotype,
        images=images,
        images_hash="abc123",
        training_images=None,
        channels=36,
        cells=20,
        stem="cifar",
        training=NetworkTraining().model_dump(mode="json"),
        seed=0,
        device="cpu",
        software={},
    ).model_copy(update=changes)
    outcome = TrainingResult(
        parameters=3_000_000, multiply_adds=500, test_accuracies=[best, last], last=last, best=best, seconds=1.0
    )
    training = TrainingRecord(version=1, network=network, key=network.key, reason=None, result=outcome, environment={})
    return bare.model_copy(update={"trial": trial, "key": trial.key, "result": result}), training


def published_row(*pairs: tuple[Any, Any]) -> Row:
    """What is said beside the published error of DARTS-PT on S2, CIFAR-10, 2.79 %."""
    records, networks = zip(*pairs, strict=True)
    (row,) = compare_with_published(load_packaged(), Run.of(records, [], networks))
    assert (row.number.space, row.number.dataset, row.number.value) == ("darts-s2", ("cifar10",), 97.21)
    return row


def test_trained_networks_are_held_against_papers_by_their_best_epoch() -> None:
    row = published_row(trained_record(0, 97.0, 97.1), trained_record(1, 96.0, 97.3))
    assert row.verdict == "reproduced"
    assert row.ours is not None and row.tolerance is not None
    assert row.ours.value == pytest.approx(97.2)
    # Two networks say next to nothing: t of 1 degree of freedom is 12.7.
    assert (row.tolerance.value, row.tolerance.basis) == (pytest.approx(2.2, abs=0.01), "our spread")
    row = published_row(trained_record(0, 97.2, 96.2), trained_record(1, 97.2, 96.2))
    assert row.verdict == "differs"


def test_networks_trained_in_another_way_are_named_as_such() -> None:
    row = published_row(trained_record(0, 97.0, 97.1, channels=16, cells=8))
    assert row.verdict == "agrees under other settings"
    assert [each.text for each in row.differences] == [
        "network channels = 16, published 36",
        "network cells = 8, published 20",
    ]
    short = NetworkTraining(epochs=10).model_dump(mode="json")
    row = published_row(trained_record(0, 97.0, 97.1, training=short))
    assert [each.text for each in row.differences] == ["network epochs = 10, published 600"]
    former = {name: value for name, value in NetworkTraining().model_dump(mode="json").items() if name != "crop_fill"}
    row = published_row(trained_record(0, 97.0, 97.1, training=former, training_images=1600))
    assert [each.text for each in row.differences] == [
        "network training images = 1600, published all",
        "network crop_fill = zero, published black",
    ]
    row = published_row(trained_record(0, 97.0, 97.1, images="cifar10_subset.npz"))
    assert [each.text for each in row.differences] == ["images = cifar10_subset.npz, published cifar10"]


def test_a_dataset_is_told_by_its_name_and_not_by_how_that_begins() -> None:
    assert is_of_dataset("cifar10", "cifar10")
    assert is_of_dataset("somewhere/cifar10_subset.npz", "cifar10")
    assert not is_of_dataset("cifar100", "cifar10")
    assert not is_of_dataset("my_cifar10", "cifar10")


def test_the_papers_table_has_published_errors_and_costs_in_columns_of_their_own() -> None:
    records, networks = zip(trained_record(0, 97.0, 97.1), trained_record(1, 96.0, 97.3), strict=True)
    table = papers_table(Run.of(records, [], networks))
    (row,) = table.shown_blocks[0].rows
    assert [cell.text for cell in row] == ["pt", "3.50 ± 0.71", "3.000 ± 0.000", "0.0007", "cpu", "2.79", "–"]
