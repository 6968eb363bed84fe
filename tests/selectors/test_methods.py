"""The named methods: the contract for all of them, and for each what only it does."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import rankdata

from opselect.bench.conformance.run import check_selector
from opselect.selectors.methods import TENAS, BestAccuracy, DartsPT, Magnitude, ProxySearch, ZeroCostPT
from opselect.selectors.proxies.interface import Combination
from opselect.selectors.scores import MissingIngredient, perturbation
from opselect.selectors.task import Task
from opselect.spaces import registry
from opselect.spaces.nasbench201.space import OPERATIONS, digits201
from opselect.spaces.seeds import numpy_generator
from opselect.spaces.space import Architecture

SMALL: dict[str, dict[str, Any]] = {
    "by-score": {"score": "alpha"},
    "darts-pt": {"tuning_epochs": 1},
    "disc-acc": {"tuning_epochs": 1},
    "te-nas": {"batch_size": 2},
    "zero-cost-pt": {"candidates": 2, "validation_batches": 1, "batch_size": 16},
    "zero-cost-disc": {"candidates": 2, "validation_batches": 1, "batch_size": 16},
}
ACCURACIES = numpy_generator("accuracies for tests").uniform(10, 90, len(OPERATIONS) ** 6)


@pytest.fixture
def make_task(task: Task) -> Callable[[], Task]:
    """Builds the same task again and again, each with a supernet and costs of its own."""

    def make() -> Task:
        return Task(
            space=task.space,
            images=task.images,
            classes=10,
            seed=5,
            supernet=digits201.supernet(1, 10, seed=0),
            alpha=torch.arange(30.0).reshape(6, 5).sin(),
            valid_accuracies=ACCURACIES,
            training=task.training,
        )

    return make


SLOW = ("te-nas", "disc-acc")
"""disc-acc differs from darts-pt in its score alone, which has tests of its own."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in registry.names("selectors")],
)
def test_every_registered_selector_keeps_the_promises(name: str, make_task: Callable[[], Task]) -> None:
    selector = registry.load("selectors", name)(**SMALL.get(name, {}))
    check_selector(selector, make_task)
    assert selector.oracle == (name in ("best-acc", "avg-acc"))


def test_magnitude_keeps_the_largest_alpha(make_task: Callable[[], Task]) -> None:
    task = make_task()
    assert task.alpha is not None
    expected = tuple(OPERATIONS[int(column)] for column in task.alpha.argmax(1))
    assert Magnitude()(task).architecture == Architecture(expected)


def test_best_acc_finds_the_best_architecture_in_every_order(make_task: Callable[[], Task]) -> None:
    best = digits201.at(int(ACCURACIES.argmax()))
    for order in ("fixed", "random", "global-op-iter"):
        assert registry.load("selectors", "best-acc")(edge_order=order)(make_task()).architecture == best


def test_best_acc_of_runs_finds_the_architecture_with_the_best_single_training(make_task: Callable[[], Task]) -> None:
    runs = np.where(np.arange(5**6) == 4321, 99.0, ACCURACIES + 1)
    task = replace(make_task(), best_valid_accuracies=runs)
    assert BestAccuracy(of="runs")(task).architecture == digits201.at(4321)
    assert BestAccuracy()(task).architecture == digits201.at(int(ACCURACIES.argmax()))
    with pytest.raises(MissingIngredient, match="single trainings"):
        BestAccuracy(of="runs")(make_task())


def test_oracles_without_a_table_say_what_is_missing(make_task: Callable[[], Task]) -> None:
    for name in ("best-acc", "avg-acc"):
        with pytest.raises(MissingIngredient, match="name a table"):
            registry.load("selectors", name)()(replace(make_task(), valid_accuracies=None))


def test_darts_pt_scores_with_the_supernet_tuned_so_far(make_task: Callable[[], Task]) -> None:
    untuned, tuned = (DartsPT(tuning_epochs=epochs, edge_order="fixed")(make_task()) for epochs in (0, 2))
    assert untuned.steps[0].scores == tuned.steps[0].scores
    assert untuned.steps[1].scores != tuned.steps[1].scores


def test_costs_are_counted(make_task: Callable[[], Task]) -> None:
    task = make_task()
    ZeroCostPT(candidates=3, validation_batches=2, batch_size=16, proxy="params")(task)
    # Every removal of a 3x3 convolution costs most parameters, so all candidates are equal and none is validated.
    assert task.costs.evaluations == 3 * 6 * 5
    task = make_task()
    selection = ZeroCostPT(candidates=2, validation_batches=2, batch_size=16, proxy="grad_norm")(task)
    distinct = {architecture for architecture, _ in selection.candidates}
    assert len(distinct) > 1
    assert task.costs.evaluations == 2 * 6 * 5 + 2 * len(distinct)
    assert set(task.costs.seconds) == {"scoring", "tuning", "validation"}


def test_zero_cost_pt_keeps_the_candidate_with_the_largest_summed_proxy(make_task: Callable[[], Task]) -> None:
    selection = ZeroCostPT(candidates=4, validation_batches=2, batch_size=16, proxy="grad_norm")(make_task())
    assert len(selection.candidates) == 4
    scores = [score for _, score in selection.candidates]
    assert None not in scores
    winner = max(selection.candidates, key=lambda candidate: candidate[1] or -np.inf)
    assert selection.architecture == winner[0]


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> Combination:
    """A registered combination of two quick proxies: the rank of the parameters, then that of the multiply-adds."""
    combination = Combination(("params", "flops"), lambda scores: rankdata(scores, axis=0) @ np.array([100.0, 1.0]))
    load, names = registry.load, registry.names
    monkeypatch.setattr(registry, "load", lambda kind, name: combination if name == "sizes" else load(kind, name))
    monkeypatch.setattr(registry, "names", lambda kind: ("sizes",) if kind == "combinations" else names(kind))
    return combination


@pytest.mark.usefixtures("sizes")
def test_a_combination_ranks_the_operations_of_all_open_edges(make_task: Callable[[], Task]) -> None:
    selection = TENAS(proxy="sizes", batch_size=16)(make_task())
    first = selection.steps[0]
    assert sorted(first.scores) == list(range(6))
    together = [score for edge in range(6) for score in first.scores[edge]]
    # 30 operations: six 3x3 convolutions share the highest rank, the 1x1 ones the next, the others the lowest.
    assert sorted(set(together)) == [101 * 9.5, 101 * 21.5, 101 * 27.5]
    assert {OPERATIONS[step.operation] for step in selection.steps} == {"nor_conv_3x3"}
    # With five edges open there are 25 operations to rank.
    second = selection.steps[1]
    assert max(score for scores in second.scores.values() for score in scores) == 101 * 23


@pytest.mark.usefixtures("sizes")
def test_a_combination_ranks_the_proposals_too(make_task: Callable[[], Task]) -> None:
    small, large = (
        digits201.parse(f"|{name}~0|+|none~0|{name}~1|+|none~0|none~1|{name}~2|")
        for name in ("nor_conv_1x1", "nor_conv_3x3")
    )
    selector = ZeroCostPT(proxy="sizes", validation_batches=3, batch_size=16)
    task = make_task()
    search = ProxySearch.of("sizes", perturbation)
    assert selector._validate(task, search, [small, large]) == {small: 101 * 1, large: 101 * 2}
    assert task.costs.evaluations == 2 * 3 * 2


def test_candidates_differ_in_edge_order_and_batches(make_task: Callable[[], Task]) -> None:
    one, many = (
        ZeroCostPT(candidates=n, validation_batches=1, batch_size=16, proxy="grad_norm")(make_task()) for n in (1, 3)
    )
    assert one.candidates[0][0] == many.candidates[0][0]
    assert len({architecture for architecture, _ in many.candidates}) > 1


def test_zero_cost_batches_are_augmented_unless_the_setting_says_no(make_task: Callable[[], Task]) -> None:
    task = replace(make_task(), images=replace(make_task().images, crop_padding=2, flip=True))
    augmented, plain = (
        next(ZeroCostPT(batch_size=16, augmented=choice)._batches(task, "validation batches"))
        for choice in (True, False)
    )
    assert torch.equal(augmented.labels, plain.labels), "the same images, so that only augmentation makes a difference"
    assert not torch.equal(augmented.images, plain.images)
    known = {image.numpy().tobytes() for image in task.images.train_split.images}
    assert {image.numpy().tobytes() for image in plain.images} <= known


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"proxy": "nwott"}, "did you mean 'nwot'"),
        ({"candidates": 0}, "greater than or equal to 1"),
        ({"edge_order": "sideways"}, "'fixed', 'reverse', 'random'"),
        ({"number": 3}, "Extra inputs are not permitted"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ZeroCostPT(**settings)
