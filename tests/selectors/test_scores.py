"""Scores: direction, what they read, what they leave alone, and the oracles against a slow loop."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from opselect.selectors.decisions import Decisions
from opselect.selectors.methods import initial_state
from opselect.selectors.scores import (
    MissingIngredient,
    ValidationAccuracy,
    accuracies,
    alpha_strength,
    average_accuracy,
    best_accuracy,
    discretization,
    perturbation,
    proxy_metric,
    random_score,
    table_scores,
    validation_accuracy,
)
from opselect.selectors.task import SearchImages, SearchState, Task
from opselect.spaces import table as tables
from opselect.spaces.images import LabelledImages
from opselect.spaces.nasbench201.space import OPERATIONS, digits201
from opselect.spaces.seeds import numpy_generator
from opselect.spaces.space import Weights

ACCURACIES = numpy_generator("accuracies for tests").uniform(10, 90, len(OPERATIONS) ** 6)


def weighed_by(state: SearchState, weights: Sequence[Weights]) -> list[float]:
    """A quality that is the weighted sum of the operations' numbers, over all edges."""
    return [float((each * torch.arange(5.0)).sum()) for each in weights]


def test_perturbation_prefers_the_operation_that_is_missed_most(task: Task) -> None:
    scores = perturbation(weighed_by)(initial_state(task), 2)
    # 6 edges of mean 2; removing operation o takes away o / 5.
    assert scores.tolist() == pytest.approx([-(12 - o / 5) for o in range(5)])
    assert int(scores.argmax()) == 4


def test_discretization_prefers_the_operation_that_is_best_alone(task: Task) -> None:
    assert discretization(weighed_by)(initial_state(task), 2).tolist() == pytest.approx([10 + o for o in range(5)])


def test_alpha_strength_is_the_softmax(task: Task) -> None:
    state = replace(initial_state(task), alpha=torch.arange(30.0).reshape(6, 5))
    torch.testing.assert_close(alpha_strength(state, 3), torch.softmax(torch.arange(15.0, 20.0), 0))


def test_random_strength_depends_on_seed_edge_and_decisions(task: Task) -> None:
    state = initial_state(task)
    assert torch.equal(random_score(state, 0), random_score(state, 0))
    others = [
        random_score(state, 1),
        random_score(initial_state(replace(task, seed=1)), 0),
        random_score(state.decide(5, 0), 0),
    ]
    assert not any(torch.equal(random_score(state, 0), other) for other in others)


def test_oracles_agree_with_a_slow_loop(task: Task) -> None:
    state = initial_state(replace(task, valid_accuracies=ACCURACIES)).decide(1, 3).decide(4, 0)
    architectures = list(digits201.enumerate())
    for edge in (0, 2, 5):
        for number, name in enumerate(OPERATIONS):
            matching = [
                value
                for architecture, value in zip(architectures, ACCURACIES, strict=True)
                if architecture.operations[edge] == name
                and architecture.operations[1] == OPERATIONS[3]
                and architecture.operations[4] == OPERATIONS[0]
            ]
            assert best_accuracy(state, edge)[number] == max(matching)
            assert float(average_accuracy(state, edge)[number]) == pytest.approx(np.mean(matching))


def test_oracles_agree_with_a_slow_loop_at_every_step_of_a_path_through_the_shipped_table() -> None:
    accuracies = tables.load("digits201").accuracies("digits", "test", 10, "mean")
    architectures = list(digits201.enumerate())
    generator = numpy_generator("a path for tests")
    decisions = Decisions.none_yet(digits201.edges)
    for decided in generator.permutation(len(digits201.edges)).tolist():
        matching: dict[tuple[int, str], list[float]] = {}
        for architecture, accuracy_there in zip(architectures, accuracies.tolist(), strict=True):
            named = zip(decisions.chosen, architecture.operations, strict=True)
            if all(chosen is None or OPERATIONS[chosen] == name for chosen, name in named):
                for edge in decisions.open_edges:
                    matching.setdefault((edge, architecture.operations[edge]), []).append(accuracy_there)
        assert len(matching) == 5 * len(decisions.open_edges)
        for edge in decisions.open_edges:
            found = [matching[edge, name] for name in OPERATIONS]
            assert table_scores(accuracies, decisions, edge, "best-acc").tolist() == [max(values) for values in found]
            means = [math.fsum(values) / len(values) for values in found]
            assert table_scores(accuracies, decisions, edge, "avg-acc").tolist() == pytest.approx(means, rel=1e-12)
        decisions = decisions.decide(decided, int(generator.integers(len(OPERATIONS))))
    assert not decisions.open_edges


def test_missing_accuracies_are_left_out_of_the_oracles(nothing_decided: Decisions) -> None:
    holes = ACCURACIES.copy()
    holes[np.argmax(holes)] = np.nan
    second = np.nanmax(holes)
    assert max(float(table_scores(holes, nothing_decided, edge, "best-acc").max()) for edge in range(6)) == second


def test_validation_accuracy_counts_by_hand(task: Task) -> None:
    class Constant(nn.Module):
        """Always answers class 3."""

        def forward(self, images: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
            return nn.functional.one_hot(torch.full((len(images),), 3), 10).float()

    labels = task.images.val_split.labels
    expected = 100 * float((labels == 3).float().mean())
    state = initial_state(replace(task, supernet=Constant()))
    assert validation_accuracy(state, [torch.zeros(6, 5)] * 2) == pytest.approx([expected] * 2)


def test_accuracy_is_measured_on_augmented_images_in_shuffled_batches_of_64(task: Task) -> None:
    numbered = LabelledImages(
        torch.arange(1.0, 131.0)[:, None, None, None].expand(130, 1, 4, 4), torch.zeros(130).long()
    )
    images = SearchImages(numbered, numbered, crop_padding=1, flip=True, black=(-7.0,))
    state = initial_state(replace(task, images=images))

    def batches(state: SearchState, **settings: Any) -> list[torch.Tensor]:
        return [batch.images for batch in ValidationAccuracy(**settings).batches(state)]

    def order(found: list[torch.Tensor]) -> list[int]:
        return torch.cat(found).amax((1, 2, 3)).int().tolist()

    usual = batches(state)
    assert [len(batch) for batch in usual] == [65, 65]
    assert order(usual) != sorted(order(usual)) == list(range(1, 131))
    assert float(torch.cat(usual).min()) == -7, "crops show the black padding"
    assert all(torch.equal(one, other) for one, other in zip(usual, batches(state), strict=True))
    assert order(batches(state.decide(0, 1))) != order(usual), "every step has an order of its own"
    # A permutation of the edges leaves the images as they are.
    assert order(batches(state.decide(5, 2))) == order(batches(state.decide(0, 1)))
    plain = batches(state, augmented=False)
    assert float(torch.cat(plain).min()) == 1
    assert order(plain) != sorted(order(plain))
    (former,) = batches(state, augmented=False, shuffled=False, batch_size=256)
    assert torch.equal(former, numbered.images)


@pytest.mark.parametrize("training", [True, False])
def test_measuring_accuracy_leaves_the_supernet_exactly_as_it_was(training: bool, few_digits: LabelledImages) -> None:
    supernet = digits201.supernet(1, 10, seed=0).train(training)
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    several = [torch.full((6, 5), 0.2), torch.eye(6, 5)]
    first = accuracies(supernet, several, [few_digits])
    assert [accuracies(supernet, [weights], [few_digits]) for weights in several] == [[each] for each in first]
    assert supernet.training == training
    assert all(torch.equal(before[name], tensor) for name, tensor in supernet.state_dict().items())


def test_what_a_score_needs_and_does_not_get_is_named(task: Task, few_digits: LabelledImages) -> None:
    with pytest.raises(MissingIngredient, match="name a table"):
        best_accuracy(initial_state(task), 0)
    with pytest.raises(MissingIngredient, match="batch of images"):
        perturbation(proxy_metric(lambda network, batch: 0.0))(initial_state(task), 0)
    with pytest.raises(MissingIngredient, match="needs a supernet"):
        perturbation(validation_accuracy)(initial_state(replace(task, supernet=None)), 0)
