"""Partly decided architectures and the weight matrices that are asked about."""

import pytest
import torch

from opselect.selectors.decisions import Decisions, only, without
from opselect.spaces.nasbench201.space import digits201
from opselect.spaces.space import Edge


def test_weights_are_softmax_rows_and_one_hot_rows(nothing_decided: Decisions) -> None:
    alpha = torch.arange(30.0).reshape(6, 5) / 10
    weights = nothing_decided.decide(2, 3).weights(alpha)
    torch.testing.assert_close(weights[0], torch.softmax(alpha[0], 0))
    assert weights[2].tolist() == [0, 0, 0, 1, 0]
    torch.testing.assert_close(weights.sum(1), torch.ones(6))


def test_decided_edges_get_no_gradient(nothing_decided: Decisions) -> None:
    alpha = torch.zeros(6, 5, requires_grad=True)
    (nothing_decided.decide(1, 4).weights(alpha) * torch.arange(30.0).reshape(6, 5)).sum().backward()
    assert alpha.grad is not None
    assert alpha.grad[1].abs().sum() == 0
    assert (alpha.grad[[0, 2, 3, 4, 5]].abs().sum(1) > 0).all()


def test_without_removes_one_weight_and_renormalises_nothing() -> None:
    weights = torch.full((6, 5), 0.2)
    removed = without(weights, 4, 1)
    assert removed[4].tolist() == pytest.approx([0.2, 0, 0.2, 0.2, 0.2])
    assert (weights == 0.2).all(), "the given matrix is unchanged"
    assert (removed != weights).sum() == 1


def test_only_keeps_one_operation_with_weight_one() -> None:
    weights = torch.full((6, 5), 0.2)
    assert only(weights, 0, 2)[0].tolist() == [0, 0, 1, 0, 0]
    assert (only(weights, 0, 2)[1:] == 0.2).all()
    assert (weights == 0.2).all()


def test_edges_with_fewer_operations_are_padded_with_zero_weights() -> None:
    edges = (Edge("cell", 0, 1, ("a", "b")), Edge("cell", 0, 2, ("a", "b", "c")))
    weights = Decisions.none_yet(edges).weights(torch.zeros(2, 3))
    assert weights[0].tolist() == [0.5, 0.5, 0]
    torch.testing.assert_close(weights[1], torch.full((3,), 1 / 3))


def test_deciding_returns_new_decisions_and_refuses_a_second_time(nothing_decided: Decisions) -> None:
    decided = nothing_decided.decide(5, 0)
    assert nothing_decided.open_edges == (0, 1, 2, 3, 4, 5)
    assert decided.open_edges == (0, 1, 2, 3, 4)
    with pytest.raises(ValueError, match="edge 2→3 is decided already"):
        decided.decide(5, 1)
    with pytest.raises(ValueError, match=r"5 edge\(s\) still open"):
        decided.architecture()


def test_dropped_edges_carry_nothing_and_count_as_no_input(nothing_decided: Decisions) -> None:
    decided = Decisions(digits201.edges, (3, 0, 1, 2, 4, 3))
    dropped = decided.drop(1).drop(5)
    assert decided.dropped == frozenset(), "the given decisions are unchanged"
    assert dropped.inputs() == {("cell", 1): (0,), ("cell", 2): (2,), ("cell", 3): (3, 4)}
    assert nothing_decided.inputs() == {("cell", 1): (0,), ("cell", 2): (1, 2), ("cell", 3): (3, 4, 5)}
    weights = dropped.weights(torch.zeros(6, 5))
    assert weights[[1, 5]].abs().sum() == 0
    assert weights.sum() == 4
    assert dropped.architecture().operations == (
        "nor_conv_3x3", "none", "skip_connect", "nor_conv_1x1", "avg_pool_3x3", "none",
    )  # fmt: skip
    assert dropped.drop(2).inputs()["cell", 2] == (), "a node that nothing enters is one still"
    with pytest.raises(ValueError, match=r"^edge 2→3 is dropped already$"):
        dropped.drop(5)


def test_the_architecture_of_complete_decisions() -> None:
    chosen = Decisions(digits201.edges, (3, 0, 1, 2, 4, 3))
    assert digits201.format(chosen.architecture()) == (
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_3x3~2|"
    )
