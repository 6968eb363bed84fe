"""The tasks of the checks: a permuted one is the same problem, and a planted one has its answer."""

import numpy as np
import pytest
import torch

from opselect.bench.conformance.tasks import Permutation, PermutedSpace, planted_task, small_task
from opselect.selectors.decisions import without
from opselect.selectors.methods import initial_state
from opselect.selectors.scores import validation_accuracy
from opselect.selectors.task import TRAINED_SUPERNET
from opselect.spaces.nasbench201.space import digits201


@pytest.mark.parametrize("permutation", [Permutation.of_operations(digits201), Permutation.of_edges(digits201)])
def test_a_permuted_task_is_the_same_problem(permutation: Permutation) -> None:
    task = small_task(TRAINED_SUPERNET)
    permuted = permutation.task(small_task(TRAINED_SUPERNET))
    space, plain = permuted.space, task.space
    assert isinstance(space, PermutedSpace)
    generator = np.random.default_rng(0)
    assert task.valid_accuracies is not None and permuted.valid_accuracies is not None
    by_text = dict(zip((plain.format(a) for a in plain.enumerate()), task.valid_accuracies, strict=True))
    for number, architecture in enumerate(space.enumerate()):
        if number % 500 == 0:
            assert by_text[space.format(architecture)] == permuted.valid_accuracies[number]
    for _ in range(5):
        architecture = space.sample(generator)
        assert space.parse(space.format(architecture)) == architecture
        assert all(name in edge.operations for name, edge in zip(architecture.operations, space.edges, strict=True))
    assert task.supernet is not None and permuted.supernet is not None
    images = task.images.val_split.images
    ours, theirs = (initial_state(each).decisions.weights(initial_state(each).alpha) for each in (task, permuted))
    with torch.no_grad():
        logits = task.supernet.eval()(images, ours), permuted.supernet.eval()(images, theirs)
    torch.testing.assert_close(*logits)
    assert permutation.back({0: (0.0, 1.0, 2.0, 3.0, 4.0)}).keys() == {permutation.edges[0]}


def test_a_planted_supernet_misses_the_right_operation_most() -> None:
    plan = (1, 2, 3, 4, 1, 2)
    state = initial_state(planted_task(TRAINED_SUPERNET, plan))
    weights = state.decisions.weights(state.alpha).detach()
    whole, *others = validation_accuracy(state, [weights, *(without(weights, *pair) for pair in enumerate(plan))])
    assert 30 < whole < 99
    assert len(others) == 6
    assert max(others) < whole
