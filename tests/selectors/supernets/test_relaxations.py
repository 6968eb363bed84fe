"""Sampled weight matrices: what is drawn how often, which gradients it has, and the limits that are known."""

import pytest
import torch
from torch import Tensor

from opselect.selectors.decisions import Decisions
from opselect.selectors.supernets.relaxations import (
    dirichlet_concentration,
    dirichlet_mean,
    dirichlet_sample,
    gumbel_noise,
    hard_gumbel,
    sigmoid,
    soft_gumbel,
)
from opselect.spaces.nasbench201.space import digits201
from opselect.spaces.seeds import torch_generator
from opselect.spaces.space import Edge

NOTHING_DECIDED = Decisions.none_yet(digits201.edges)
PARTLY = NOTHING_DECIDED.decide(1, 2).drop(3)


def draws(seed: object = 0) -> tuple[Tensor, Tensor]:
    """Alpha `[6, 5]` as a leaf, and noise."""
    generator = torch_generator("relaxations", seed)
    return torch.randn(6, 5, generator=generator).requires_grad_(), gumbel_noise(torch.zeros(6, 5), generator)


@pytest.mark.parametrize("temperature", [1e-3, 0.1, 10.0])
def test_a_hard_draw_is_the_argmax_of_alpha_plus_the_noise_at_any_temperature(temperature: float) -> None:
    alpha, noise = draws()
    weights = hard_gumbel(alpha, NOTHING_DECIDED, noise, temperature)
    assert torch.equal(weights.argmax(dim=1), (alpha + noise).argmax(dim=1))
    assert weights.detach().unique().tolist() == [0, 1]
    assert torch.equal(weights.sum(dim=1), torch.ones(6))


def test_a_soft_draw_becomes_the_hard_one_as_the_temperature_falls() -> None:
    alpha, noise = (each.detach() for each in draws())
    hard = hard_gumbel(alpha, NOTHING_DECIDED, noise, 1.0)
    distances = [
        float((soft_gumbel(alpha, NOTHING_DECIDED, noise, t) - hard).abs().max()) for t in (10.0, 1.0, 0.1, 1e-3)
    ]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 1e-6


def test_the_ranks_of_an_edge_are_different_operations_and_all_of_them_are_every_one_once() -> None:
    for seed in range(50):
        alpha, noise = draws(seed)
        every = torch.stack([hard_gumbel(alpha, NOTHING_DECIDED, noise, 1.0, rank) for rank in range(5)])
        assert torch.equal(every.sum(dim=0), torch.ones(6, 5))
        assert torch.equal(every.sum(dim=2), torch.ones(5, 6))


def test_the_first_two_picks_follow_plackett_and_luce() -> None:
    p = torch.tensor([0.4, 0.25, 0.2, 0.1, 0.05])
    second = torch.tensor([sum(p[j] * p[i] / (1 - p[j]) for j in range(5) if j != i) for i in range(5)])
    edges = Decisions.none_yet((Edge("cell", 0, 1, tuple("abcde")),) * 100_000)
    alpha = p.log().expand(100_000, 5)
    noise = gumbel_noise(alpha, torch_generator("plackett and luce"))
    for rank, expected in enumerate((p, second)):
        drawn = hard_gumbel(alpha, edges, noise, 1.0, rank).mean(dim=0)
        torch.testing.assert_close(drawn, expected, atol=0.005, rtol=0)


@pytest.mark.parametrize("temperature", [1e-3, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("rank", [0, 2, 4])
def test_gradients_of_every_rank_are_finite_and_sum_to_zero_per_edge(rank: int, temperature: float) -> None:
    alpha, noise = draws()
    weights = hard_gumbel(alpha, PARTLY, noise, temperature, rank)
    (weights * torch.arange(5.0)).sum().backward()  # type: ignore[no-untyped-call]
    gradient = alpha.grad
    assert gradient is not None and torch.isfinite(gradient).all()
    torch.testing.assert_close(gradient.sum(dim=1), torch.zeros(6), atol=1e-4, rtol=0)
    assert torch.equal(gradient[[1, 3]], torch.zeros(2, 5))
    if temperature >= 1:
        assert bool(gradient[0].any()) == (rank < 4), "the last rank has nothing left to choose from"


def test_a_rank_per_edge_takes_each_row_from_its_own_rank() -> None:
    alpha, noise = draws()
    mixed = hard_gumbel(alpha, NOTHING_DECIDED, noise, 1.0, torch.tensor([[0], [1], [2], [3], [4], [0]]))
    for row, rank in enumerate([0, 1, 2, 3, 4, 0]):
        assert torch.equal(mixed[row], hard_gumbel(alpha, NOTHING_DECIDED, noise, 1.0, rank)[row])


def test_the_mean_of_dirichlet_draws_is_the_normalised_concentration() -> None:
    alpha = torch.tensor([[-1.0, 0.0, 0.5, 1.0, 2.0]])
    edges = Decisions.none_yet((Edge("cell", 0, 1, tuple("abcde")),) * 100_000)
    sample = dirichlet_sample(alpha.expand(100_000, 5), edges, torch_generator("dirichlet"))
    concentration = dirichlet_concentration(alpha)
    assert concentration[0].tolist() == pytest.approx([0.36788, 1, 1.5, 2, 3], abs=1e-5)
    expected = (concentration / concentration.sum())[0]
    torch.testing.assert_close(sample.mean(dim=0), expected, atol=0.005, rtol=0)
    mean = dirichlet_mean(alpha, Decisions.none_yet(edges.edges[:1]))
    torch.testing.assert_close(mean[0], expected)


def test_dirichlet_draws_go_on_in_their_stream_and_leave_the_global_one() -> None:
    generator, before = torch_generator("dirichlet"), torch.get_rng_state()
    alpha, _ = draws()
    first, second = (dirichlet_sample(alpha, PARTLY, generator) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(first, second)
    (first[:, 0].sum() - first[:, 1].sum()).backward()  # type: ignore[no-untyped-call]
    assert alpha.grad is not None
    assert alpha.grad[[1, 3]].abs().sum() == 0
    assert alpha.grad[0, 0] > 0 > alpha.grad[0, 1]


RAGGED = Decisions.none_yet((Edge("cell", 0, 1, ("a", "b", "c")), Edge("cell", 0, 2, ("a", "b"))))


@pytest.mark.parametrize("name", ["sigmoid", "soft", "hard", "sample", "mean"])
def test_edges_with_fewer_operations_have_zeros_behind_them(name: str) -> None:
    alpha, generator = torch.zeros(2, 3, requires_grad=True), torch_generator("ragged")
    noise = gumbel_noise(alpha, generator)
    weights = {
        "sigmoid": lambda: sigmoid(alpha, RAGGED),
        "soft": lambda: soft_gumbel(alpha, RAGGED, noise, 1.0),
        "hard": lambda: hard_gumbel(alpha, RAGGED, noise, 1.0, 1),
        "sample": lambda: dirichlet_sample(alpha, RAGGED, generator),
        "mean": lambda: dirichlet_mean(alpha, RAGGED),
    }[name]()
    assert weights[1, 2] == 0
    assert weights.detach().sum(dim=1).tolist() == pytest.approx([1.5, 1] if name == "sigmoid" else [1, 1])
    (gradient,) = torch.autograd.grad(weights[:, 0].sum(), [alpha])
    assert torch.isfinite(gradient).all()
