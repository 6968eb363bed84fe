"""Supernet training: what learns, what stays, which half is used for what, and that a seed decides it all."""

import math
from dataclasses import replace

import pytest
import torch

from opselect.selectors.decisions import Decisions
from opselect.selectors.methods import initial_state
from opselect.selectors.scores import accuracies
from opselect.selectors.supernets.settings import SupernetTraining
from opselect.selectors.supernets.training import (
    AlphaTraining,
    SupernetTrainer,
    initial_alpha,
    smoothed,
    train_supernet,
    tuner,
    uniform_alpha,
)
from opselect.selectors.task import SearchImages, Task, shuffled_batches
from opselect.spaces.darts.space import darts_s3
from opselect.spaces.digits import digits
from opselect.spaces.images import LabelledImages
from opselect.spaces.nasbench201.space import digits201
from opselect.spaces.seeds import torch_generator


def trained(
    images: SearchImages, training: SupernetTraining, alpha_training: AlphaTraining
) -> tuple[torch.nn.Module, torch.Tensor]:
    supernet = digits201.supernet(1, 10, seed=0)
    decisions = Decisions.none_yet(digits201.edges)
    streams = torch_generator("alpha"), torch_generator("batches")
    return supernet, train_supernet(supernet, decisions, images, training, alpha_training, *streams)


def test_training_learns_the_digits_and_alpha(task: Task) -> None:
    images = SearchImages.halves(digits())
    supernet, alpha = trained(images, SupernetTraining(epochs=8, alpha_learning_rate=3e-3), alpha_training="learnt")
    weights = Decisions.none_yet(digits201.edges).weights(alpha)
    assert accuracies(supernet, [weights], images.val_split)[0] > 18, "chance is 10, with a deviation of 1.3"
    start_alpha = initial_alpha(Decisions.none_yet(digits201.edges), torch_generator("alpha"))
    assert (alpha - start_alpha).abs().max() > 0.02
    assert not alpha.requires_grad


def test_the_same_streams_give_the_same_supernet(task: Task) -> None:
    (first, first_alpha), (second, second_alpha) = (trained(task.images, task.training, "learnt") for _ in range(2))
    assert torch.equal(first_alpha, second_alpha)
    states = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in states)


def test_frozen_alpha_stays_uniform(task: Task) -> None:
    _, alpha = trained(task.images, task.training, alpha_training="fixed")
    assert alpha.abs().sum() == 0
    weights = Decisions.none_yet(digits201.edges).weights(alpha)
    torch.testing.assert_close(weights, torch.full((6, 5), 0.2))


def test_weights_never_see_the_alpha_half_nor_alpha_the_weights_half(task: Task) -> None:
    # With unseen images replaced by NaN, whatever touched them would become NaN.
    nan = LabelledImages(torch.full_like(task.images.val_split.images, math.nan), task.images.val_split.labels)
    supernet, _ = trained(SearchImages(task.images.train_split, nan), task.training, alpha_training="fixed")
    assert all(torch.isfinite(parameter).all() for parameter in supernet.parameters())

    trainer = SupernetTrainer(
        digits201.supernet(1, 10, seed=0),
        torch.zeros(6, 5),
        SearchImages(nan, task.images.val_split),
        task.training,
        "learnt",
        0.025,
        torch_generator("batches"),
    )
    trainer._alpha_step(Decisions.none_yet(digits201.edges))
    assert torch.isfinite(trainer.alpha).all()
    assert trainer.alpha.abs().sum() > 0


def test_an_alpha_step_changes_no_weight(task: Task) -> None:
    supernet = digits201.supernet(1, 10, seed=0).train()
    before = [parameter.clone() for parameter in supernet.parameters()]
    trainer = SupernetTrainer(
        supernet, torch.zeros(6, 5), task.images, task.training, "learnt", 0.025, torch_generator("batches")
    )
    trainer._alpha_step(Decisions.none_yet(digits201.edges))
    assert all(torch.equal(old, new) for old, new in zip(before, supernet.parameters(), strict=True))
    assert all(parameter.grad is None for parameter in supernet.parameters())


def test_the_learning_rate_follows_a_half_cosine(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    step = SupernetTrainer._weights_step

    def noted(self: SupernetTrainer, decisions: Decisions) -> None:
        rates.append(self.sgd.param_groups[0]["lr"])
        step(self, decisions)

    monkeypatch.setattr(SupernetTrainer, "_weights_step", noted)
    trained(task.images, SupernetTraining(epochs=4, batch_size=64), alpha_training="fixed")
    expected = [0.001 + (0.025 - 0.001) * (1 + math.cos(math.pi * epoch / 4)) / 2 for epoch in range(4)]
    assert rates == pytest.approx(expected)


def test_tuning_goes_on_with_a_small_constant_rate_and_returns_the_new_alpha(task: Task) -> None:
    state = initial_state(task).decide(0, 3)
    assert task.supernet is not None
    before = [parameter.clone() for parameter in task.supernet.parameters()]
    tuned = tuner(state, epochs=1, alpha_training="learnt")(state)
    assert tuned.decisions == state.decisions
    assert (tuned.alpha[1:] - state.alpha[1:]).abs().sum() > 0
    assert any(not torch.equal(old, new) for old, new in zip(before, task.supernet.parameters(), strict=True))
    frozen = tuner(state, epochs=1, alpha_training="fixed")(state)
    assert torch.equal(frozen.alpha, state.alpha)


def test_uniform_alpha_gives_equal_weights(nothing_decided: Decisions) -> None:
    assert uniform_alpha(nothing_decided).shape == (6, 5)
    assert 5e-4 < float(initial_alpha(nothing_decided, torch_generator("alpha")).std()) < 2e-3


def test_batches_are_full_and_cover_a_shuffle_before_repeating(few_digits: LabelledImages) -> None:
    numbered = LabelledImages(torch.arange(10.0).reshape(10, 1, 1, 1), torch.zeros(10, dtype=torch.long))
    batches = shuffled_batches(numbered, 3, torch_generator("batches"))
    for _ in range(5):
        pass_over = torch.cat([next(batches).images.flatten() for _ in range(3)])
        assert len(pass_over.unique()) == 9
    with pytest.raises(ValueError, match=r"a batch of 11 .* only 10"):
        next(shuffled_batches(numbered, 11, torch_generator("batches")))


def test_noise_reaches_every_operation_of_an_open_edge_and_nothing_else() -> None:
    decisions = Decisions.none_yet(darts_s3.edges).decide(0, 1).drop(5)
    weights = decisions.weights(uniform_alpha(decisions))
    noisy = smoothed(weights, decisions, 0.1, torch_generator("noise"))
    moved = (noisy - weights).abs()
    assert torch.equal(noisy[[0, 5]], weights[[0, 5]])
    for edge in set(decisions.open_edges) - {5}:
        real = len(decisions.edges[edge].operations)
        assert (moved[edge, :real] > 0).all()
        assert torch.equal(noisy[edge, real:], weights[edge, real:])
    assert float(moved.max()) <= 0.1 + 1e-6
    everything = torch.cat([smoothed(weights, decisions, 0.9, torch_generator(seed)) for seed in range(20)])
    assert float(everything.min()) == 0
    assert float(everything.max()) == 1


def test_the_noise_of_random_smoothing_grows_linearly_and_stays_in_tuning(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    step = SupernetTrainer._weights_step

    def noted(self: SupernetTrainer, decisions: Decisions) -> None:
        seen.append(self.noise)
        step(self, decisions)

    monkeypatch.setattr(SupernetTrainer, "_weights_step", noted)
    recipe = SupernetTraining(epochs=3, batch_size=64, smoothing=0.33)
    _, alpha = trained(task.images, recipe, alpha_training="smoothed")
    assert seen == pytest.approx([0.03, 0.13, 0.23])
    assert alpha.abs().sum() > 0
    seen.clear()
    state = initial_state(replace(task, training=recipe)).decide(0, 3)
    tuner(state, epochs=1, alpha_training="smoothed")(state)
    assert seen == [0.33]
    seen.clear()
    trained(task.images, recipe, alpha_training="learnt")
    assert seen == [0.0] * 3


def test_the_noise_changes_the_weights_that_are_learnt(task: Task) -> None:
    recipe = SupernetTraining(epochs=1, batch_size=32)
    plain, noisy = (trained(task.images, recipe, how)[0].state_dict() for how in ("learnt", "smoothed"))
    assert any(not torch.equal(plain[name], noisy[name]) for name in plain)
