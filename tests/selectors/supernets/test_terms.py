"""Terms on alpha, against numbers worked by hand."""

import math

import pytest
import torch

from opselect.selectors.decisions import Decisions
from opselect.selectors.supernets.terms import beta_decay, zero_one
from opselect.spaces.space import Edge

EDGES = (Edge("cell", 0, 1, ("none", "skip")), Edge("cell", 0, 2, ("skip", "conv", "pool")))
DECISIONS = Decisions.none_yet(EDGES)


def test_beta_decay_is_the_mean_logsumexp_and_its_gradient_the_softmax() -> None:
    alpha = torch.tensor([[0.0, 0.0, 9.0], [0.0, math.log(2), 0.0]], requires_grad=True)
    term = beta_decay(alpha, DECISIONS)
    assert float(term.detach()) == pytest.approx((math.log(2) + math.log(4)) / 2)
    (gradient,) = torch.autograd.grad(term, [alpha])
    torch.testing.assert_close(2 * gradient, DECISIONS.weights(alpha.detach()))


def test_the_zero_one_term_is_minus_the_mean_squared_distance_without_none() -> None:
    weights = torch.tensor([[0.0, 0.5, 0.0], [1.0, 0.7, 0.5]], requires_grad=True)
    term = zero_one(weights, DECISIONS)
    assert float(term.detach()) == pytest.approx(-(0 + 0.25 + 0.04 + 0) / 4)
    (gradient,) = torch.autograd.grad(term, [weights])
    assert gradient[0].tolist() == [0, 0, 0]
    assert (gradient[1, :2] < 0).all()


def test_decided_and_dropped_edges_do_not_count() -> None:
    alpha = torch.tensor([[0.0, 0.0, 0.0], [0.0, math.log(2), 0.0]], requires_grad=True)
    for decisions in (DECISIONS.decide(0, 1), DECISIONS.drop(0)):
        assert float(beta_decay(alpha, decisions).detach()) == pytest.approx(math.log(4))
        assert float(zero_one(torch.sigmoid(alpha).detach(), decisions)) == pytest.approx(-((1 / 6) ** 2) / 3)
        (gradient,) = torch.autograd.grad(beta_decay(alpha, decisions), [alpha])
        assert gradient[0].tolist() == [0, 0, 0]
