"""Supernet training: what learns, what stays, which half is used for what, and that a seed decides it all."""

import io
import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from opselect.selectors.decisions import Decisions
from opselect.selectors.methods import initial_state
from opselect.selectors.scores import accuracies
from opselect.selectors.supernets.darts import DARTS
from opselect.selectors.supernets.fixed_alpha import FixedAlpha
from opselect.selectors.supernets.sdarts_rs import SDARTSRS, smoothed
from opselect.selectors.supernets.settings import Moment, SupernetTraining, random_alpha, uniform_alpha
from opselect.selectors.supernets.training import SupernetTrainer, train_supernet, tuner
from opselect.selectors.task import SearchImages, ShuffledBatches, Task
from opselect.spaces.darts.space import darts_s3
from opselect.spaces.digits import digits
from opselect.spaces.images import LabelledImages
from opselect.spaces.nasbench201.space import digits201
from opselect.spaces.seeds import torch_generator
from opselect.spaces.space import SearchSpace


class Notes:
    """A checkpoint in memory, which can be lost after an epoch."""

    def __init__(self) -> None:
        self.states: list[bytes] = []

    def load(self) -> dict[str, Any] | None:
        return torch.load(io.BytesIO(self.states[-1]), weights_only=True) if self.states else None

    def save(self, state: dict[str, Any]) -> None:
        content = io.BytesIO()
        torch.save(state, content)
        self.states.append(content.getvalue())


def trained(
    images: SearchImages, training: SupernetTraining, checkpoint: Notes | None = None
) -> tuple[torch.nn.Module, torch.Tensor]:
    supernet = digits201.supernet(1, 10, seed=0)
    decisions = Decisions.none_yet(digits201.edges)
    streams = torch_generator("alpha"), torch_generator("batches")
    return supernet, train_supernet(supernet, decisions, images, training, *streams, checkpoint).alpha


def test_training_learns_the_digits_and_alpha(task: Task) -> None:
    images = SearchImages.halves(digits())
    supernet, alpha = trained(images, DARTS(epochs=8, alpha_learning_rate=3e-3))
    weights = Decisions.none_yet(digits201.edges).weights(alpha)
    assert accuracies(supernet, [weights], [images.val_split])[0] > 18, "chance is 10, with a deviation of 1.3"
    start_alpha = random_alpha(Decisions.none_yet(digits201.edges), torch_generator("alpha"))
    assert (alpha - start_alpha).abs().max() > 0.02
    assert not alpha.requires_grad


def test_the_same_streams_give_the_same_supernet(task: Task) -> None:
    (first, first_alpha), (second, second_alpha) = (trained(task.images, task.training) for _ in range(2))
    assert torch.equal(first_alpha, second_alpha)
    states = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in states)


def test_frozen_alpha_stays_uniform(task: Task) -> None:
    _, alpha = trained(task.images, FixedAlpha(epochs=1, batch_size=32))
    assert alpha.abs().sum() == 0
    weights = Decisions.none_yet(digits201.edges).weights(alpha)
    torch.testing.assert_close(weights, torch.full((6, 5), 0.2))


def test_weights_never_see_the_alpha_half_nor_alpha_the_weights_half(task: Task) -> None:
    # With unseen images replaced by NaN, whatever touched them would become NaN.
    nan = LabelledImages(torch.full_like(task.images.val_split.images, math.nan), task.images.val_split.labels)
    supernet, _ = trained(SearchImages(task.images.train_split, nan), FixedAlpha(epochs=1, batch_size=32))
    assert all(torch.isfinite(parameter).all() for parameter in supernet.parameters())

    class AlphaOnly(DARTS):
        """Its networks never see an image of the train split, so its weights never move."""

        def relax(self, alpha: torch.Tensor, decisions: Decisions, moment: Moment) -> torch.Tensor:
            seen.append(moment.step)
            return super().relax(alpha, decisions, moment)

    seen: list[str] = []
    marked = LabelledImages(torch.full_like(task.images.train_split.images, math.nan), task.images.train_split.labels)
    trainer = trainer_of(task, AlphaOnly(epochs=1, batch_size=64), SearchImages(marked, task.images.val_split))
    trainer.train_epoch(Decisions.none_yet(digits201.edges), 0)
    assert seen == ["alpha", "weights"], "alpha steps first, while the weights have not seen a NaN"
    assert torch.isfinite(trainer.alpha).all()
    assert trainer.alpha.abs().sum() > 0


def trainer_of(task: Task, training: SupernetTraining, images: SearchImages) -> SupernetTrainer:
    supernet = digits201.supernet(1, 10, seed=0)
    return SupernetTrainer(supernet, torch.zeros(6, 5), images, training, 0.025, torch_generator("batches"))


def test_an_alpha_step_changes_no_weight_and_a_weight_step_no_alpha(task: Task) -> None:
    class Watching(DARTS):
        def penalty(self, alpha: torch.Tensor, decisions: Decisions, moment: Moment) -> None:
            parameters = [parameter.detach().clone() for parameter in trainer.supernet.parameters()]
            states.append((moment.step, trainer.alpha.detach().clone(), parameters))

    states: list[tuple[str, torch.Tensor, list[torch.Tensor]]] = []
    trainer = trainer_of(task, Watching(epochs=1, batch_size=32), task.images)
    trainer.train_epoch(Decisions.none_yet(digits201.edges), 0)
    assert [step for step, _, _ in states] == ["alpha", "weights"] * 2
    for (step, alpha, parameters), (_, next_alpha, next_parameters) in itertools.pairwise(states):
        same_parameters = all(map(torch.equal, parameters, next_parameters))
        assert (torch.equal(alpha, next_alpha), same_parameters) == (
            (False, True) if step == "alpha" else (True, False)
        )


def test_a_penalty_moves_alpha(task: Task) -> None:
    class Pulled(DARTS):
        def penalty(self, alpha: torch.Tensor, decisions: Decisions, moment: Moment) -> torch.Tensor | None:
            return 100 * self.weights(alpha, decisions)[:, 0].sum() if moment.step == "alpha" else None

    (_, plain), (_, pulled) = (trained(task.images, kind(epochs=1, batch_size=16)) for kind in (DARTS, Pulled))
    assert (pulled[:, 0] < plain[:, 0]).all()


@pytest.mark.parametrize("kind", [DARTS, FixedAlpha, SDARTSRS])
def test_a_training_that_is_killed_goes_on_to_the_same_numbers(task: Task, kind: type[SupernetTraining]) -> None:
    # 65 images of the search-validation split and batches of 13: its shuffle is not over when an epoch is.
    train = digits().train
    images = SearchImages(train[:64], train[64:129], crop_padding=1, flip=True)
    training, checkpoint = kind(epochs=3, batch_size=13), Notes()
    whole, whole_alpha = trained(images, training, checkpoint)
    assert len(checkpoint.states) == 2
    for epochs in (1, 2):
        killed = Notes()
        killed.states = checkpoint.states[:epochs]
        supernet, alpha = trained(images, training, killed)
        assert len(killed.states) == 2
        assert torch.equal(alpha, whole_alpha)
        states = zip(supernet.state_dict().values(), whole.state_dict().values(), strict=True)
        assert all(torch.equal(one, other) for one, other in states)
        assert killed.states[-1] == checkpoint.states[-1]


def test_the_learning_rate_follows_a_half_cosine(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    class Watching(FixedAlpha):
        def penalty(self, alpha: torch.Tensor, decisions: Decisions, moment: Moment) -> None:
            rates.append(optimizers[0].param_groups[0]["lr"])

    rates: list[float] = []
    optimizers: list[torch.optim.SGD] = []
    really = SupernetTrainer.__init__

    def noted(self: SupernetTrainer, *arguments: Any) -> None:
        really(self, *arguments)
        optimizers.append(self.sgd)

    monkeypatch.setattr(SupernetTrainer, "__init__", noted)
    trained(task.images, Watching(epochs=4, batch_size=64))
    expected = [0.001 + (0.025 - 0.001) * (1 + math.cos(math.pi * epoch / 4)) / 2 for epoch in range(4)]
    assert rates == pytest.approx(expected)


def test_tuning_goes_on_with_a_small_constant_rate_and_returns_the_new_alpha(task: Task) -> None:
    state = initial_state(task).decide(0, 3)
    assert task.supernet is not None
    before = [parameter.clone() for parameter in task.supernet.parameters()]
    tuned = tuner(state, epochs=1)(state)
    assert tuned.decisions == state.decisions
    assert (tuned.alpha[1:] - state.alpha[1:]).abs().sum() > 0
    assert any(not torch.equal(old, new) for old, new in zip(before, task.supernet.parameters(), strict=True))
    state = replace(state, task=replace(task, training=FixedAlpha(epochs=1, batch_size=32)))
    frozen = tuner(state, epochs=1)(state)
    assert torch.equal(frozen.alpha, state.alpha)


def test_tuning_goes_on_with_the_state_of_alphas_optimizer_unless_it_is_new(task: Task) -> None:
    training = DARTS(epochs=1, batch_size=16)
    supernet = digits201.supernet(1, 10, seed=0)
    streams = torch_generator("alpha"), torch_generator("batches")
    decisions = Decisions.none_yet(digits201.edges)
    alpha, optimizer = train_supernet(supernet, decisions, task.images, training, *streams)
    assert optimizer["state"][0]["step"] == 4
    learnt = replace(task, supernet=supernet, training=training, alpha=alpha, alpha_optimizer=optimizer)
    start = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}

    def tuned(subject: Task, continue_optimizer: bool = True) -> torch.Tensor:
        supernet.load_state_dict(start)
        state = initial_state(subject).decide(0, 3)
        return tuner(state, epochs=1, continue_optimizer=continue_optimizer)(state).alpha

    continued, new = tuned(learnt), tuned(learnt, continue_optimizer=False)
    assert not torch.equal(continued, new)
    assert torch.equal(continued, tuned(learnt)), "tuning leaves the state that it starts from as it was"
    assert torch.equal(new, tuned(replace(learnt, alpha_optimizer=None)))


@pytest.mark.parametrize(("space", "open_before_the_last"), [(digits201, 1), (darts_s3, 2)])
def test_the_last_decision_of_every_cell_may_have_tuning_of_its_own(
    task: Task, monkeypatch: pytest.MonkeyPatch, space: SearchSpace, open_before_the_last: int
) -> None:
    epochs: list[int] = []
    monkeypatch.setattr(SupernetTrainer, "train_epoch", lambda self, decisions, epoch: epochs.append(epoch))
    state = initial_state(replace(task, space=space, alpha=None))
    tune = tuner(state, 5, 4)
    while state.decisions.open_edges:
        # One round decides an edge of every type of cell.
        for cell in dict.fromkeys(edge.cell for edge in space.edges):
            state = state.decide(next(e for e in state.decisions.open_edges if space.edges[e].cell == cell), 0)
        epochs.clear()
        tune(state)
        assert len(epochs) == (4 if len(state.decisions.open_edges) == open_before_the_last else 5)


def test_uniform_alpha_gives_equal_weights(nothing_decided: Decisions) -> None:
    assert uniform_alpha(nothing_decided).shape == (6, 5)
    assert 5e-4 < float(random_alpha(nothing_decided, torch_generator("alpha")).std()) < 2e-3


def test_batches_are_full_and_cover_a_shuffle_before_repeating(few_digits: LabelledImages) -> None:
    numbered = LabelledImages(torch.arange(10.0).reshape(10, 1, 1, 1), torch.zeros(10, dtype=torch.long))
    batches = ShuffledBatches(numbered, 3, torch_generator("batches"))
    for _ in range(5):
        pass_over = torch.cat([next(batches).images.flatten() for _ in range(3)])
        assert len(pass_over.unique()) == 9
    with pytest.raises(ValueError, match=r"a batch of 11 .* only 10"):
        next(ShuffledBatches(numbered, 11, torch_generator("batches")))


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

    def noted(weights: torch.Tensor, decisions: Decisions, noise: float, generator: torch.Generator) -> torch.Tensor:
        seen.append(noise)
        return smoothed(weights, decisions, noise, generator)

    monkeypatch.setattr("opselect.selectors.supernets.sdarts_rs.smoothed", noted)
    recipe = SDARTSRS(epochs=3, batch_size=64, smoothing=0.33)
    _, alpha = trained(task.images, recipe)
    assert seen == pytest.approx([0.03, 0.13, 0.23])
    assert alpha.abs().sum() > 0
    seen.clear()
    state = initial_state(replace(task, training=recipe)).decide(0, 3)
    tuner(state, epochs=1)(state)
    assert seen == [0.33]
    seen.clear()
    trained(task.images, DARTS(epochs=3, batch_size=64))
    assert not seen


def test_the_noise_changes_the_weights_that_are_learnt(task: Task) -> None:
    plain, noisy = (trained(task.images, kind(epochs=1, batch_size=32))[0].state_dict() for kind in (DARTS, SDARTSRS))
    assert any(not torch.equal(plain[name], noisy[name]) for name in plain)
