"""The trainings, where they must equal each other to the last bit, and what each of them does to weights and alpha."""

import io
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import cache
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional

from opselect.selectors.decisions import Decisions
from opselect.selectors.methods import initial_state
from opselect.selectors.pruning import strongest_operation
from opselect.selectors.supernets.beta_darts import BetaDARTS
from opselect.selectors.supernets.darts import DARTS
from opselect.selectors.supernets.darts_minus import DARTSMinus
from opselect.selectors.supernets.drnas import DrNAS
from opselect.selectors.supernets.fair_darts import FairDARTS
from opselect.selectors.supernets.gdas import GDAS
from opselect.selectors.supernets.msg_das import MSGDAS, divergence
from opselect.selectors.supernets.oles import OLES, WatchedSupernet
from opselect.selectors.supernets.pc_darts import PCDARTS
from opselect.selectors.supernets.r_darts import RDARTS
from opselect.selectors.supernets.relaxations import dirichlet_concentration, sigmoid
from opselect.selectors.supernets.sdarts_adv import SDARTSADV
from opselect.selectors.supernets.sdarts_rs import SDARTSRS
from opselect.selectors.supernets.settings import Moment, SupernetTraining, TrainingStep, uniform_alpha
from opselect.selectors.supernets.snas import SNAS
from opselect.selectors.supernets.training import SupernetTrainer, train_supernet
from opselect.selectors.task import SearchImages, Task
from opselect.spaces.darts.space import darts_original, darts_s1, darts_s3, darts_s4
from opselect.spaces.digits import digits
from opselect.spaces.nasbench201.space import NASBench201Space, digits201
from opselect.spaces.seeds import torch_generator
from opselect.spaces.space import SearchSpace, Weights

SMALL = digits201.resized(4, 1)
NOTHING_DECIDED = Decisions.none_yet(SMALL.edges)
SETTINGS: dict[str, Any] = {"epochs": 2, "batch_size": 16}
LIKE_DARTS = SETTINGS | {"learning_rate": 0.025, "alpha_learning_rate": 3e-4}


class LastState:
    """A checkpoint in memory."""

    def __init__(self) -> None:
        self.content = b""

    def load(self) -> dict[str, Any] | None:
        return torch.load(io.BytesIO(self.content), weights_only=True) if self.content else None

    def save(self, state: dict[str, Any]) -> None:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        self.content = buffer.getvalue()


def some_images() -> SearchImages:
    """33 images a half, of which two batches of 16 leave one over."""
    train = digits().train
    return SearchImages(train[:33], train[33:66], crop_padding=1, flip=True)


def trained(training: SupernetTraining, checkpoint: LastState | None = None) -> tuple[nn.Module, Tensor]:
    supernet = training.prepare(SMALL.supernet(1, 10, seed=0))
    streams = torch_generator("alpha"), torch_generator("batches")
    learnt = train_supernet(supernet, NOTHING_DECIDED, some_images(), training, *streams, checkpoint)
    return supernet, learnt.alpha


trained_once = cache(trained)
"""For what several tests compare with; nothing may change what it returns."""


def assert_equal(first: tuple[nn.Module, Tensor], second: tuple[nn.Module, Tensor]) -> None:
    """The same alpha and the same network, to the last bit."""
    assert torch.equal(first[1], second[1])
    states = [list(supernet.state_dict().values()) for supernet, _ in (first, second)]
    assert len(states[0]) == len(states[1])
    assert all(map(torch.equal, *states))


def trainer_of(training: SupernetTraining, alpha: Tensor | None = None) -> SupernetTrainer:
    supernet = training.prepare(SMALL.supernet(1, 10, seed=0))
    start = uniform_alpha(NOTHING_DECIDED) if alpha is None else alpha
    return SupernetTrainer(supernet, start, some_images(), training, 0.025, torch_generator("batches"))


class SigmoidDARTS(DARTS):
    """The sigmoid form of DARTS, with the start and the Adam of FairDARTS."""

    @property
    def alpha_betas(self) -> tuple[float, float]:  # type: ignore[override]
        return 0.9, 0.999

    def initial_alpha(self, decisions: Decisions, generator: torch.Generator) -> Tensor:
        return uniform_alpha(decisions)

    def weights(self, alpha: Tensor, decisions: Decisions) -> Weights:
        return sigmoid(alpha, decisions)


@pytest.mark.parametrize(
    ("training", "limit"),
    [
        (BetaDARTS(**SETTINGS, beta_weight=0), DARTS(**SETTINGS)),
        (DARTSMinus(**SETTINGS, skip_factor=0), DARTS(**SETTINGS)),
        (FairDARTS(**LIKE_DARTS, zero_one_weight=0), SigmoidDARTS(**SETTINGS)),
        (RDARTS(**SETTINGS, weight_decay=3e-4), DARTS(**SETTINGS)),
        (PCDARTS(**LIKE_DARTS, channel_fraction=1, edge_normalization=False, warm_up=0), DARTS(**SETTINGS)),
        (MSGDAS(**SETTINGS, sub_graph_count=1, distillation=0, drop_rate=0), GDAS(**SETTINGS)),
    ],
    ids=lambda training: type(training).__name__,
)
def test_a_training_without_what_it_adds_is_the_one_that_it_adds_to(
    training: SupernetTraining, limit: SupernetTraining
) -> None:
    assert_equal(trained(training), trained_once(limit))


def test_oles_that_never_freezes_is_darts() -> None:
    supernet, alpha = trained(OLES(**SETTINGS, threshold=-1, compared_steps=1))
    assert isinstance(supernet, WatchedSupernet)
    assert supernet.compared.sum() == 0, "every comparison was followed by a decision"
    assert_equal((supernet.supernet, alpha), trained_once(DARTS(**SETTINGS)))


VARIANTS = [
    BetaDARTS(**SETTINGS),
    DARTSMinus(**SETTINGS),
    DrNAS(**SETTINGS),
    FairDARTS(**SETTINGS),
    GDAS(**SETTINGS),
    MSGDAS(**SETTINGS, ranks="shuffled"),
    OLES(**SETTINGS, threshold=1, compared_steps=1),
    PCDARTS(**SETTINGS),
    RDARTS(**SETTINGS, drop_path=0.5),
    SDARTSADV(**SETTINGS, attack_steps=2),
    SNAS(**SETTINGS),
]


@pytest.mark.parametrize("training", VARIANTS, ids=lambda training: type(training).__name__)
def test_a_training_differs_from_darts_and_goes_on_to_the_bit_after_a_kill(training: SupernetTraining) -> None:
    checkpoint = LastState()
    whole = trained(training, checkpoint)
    assert_equal(whole, trained(training, checkpoint))
    assert torch.isfinite(whole[1]).all()
    first, second = (next(supernet.parameters()) for supernet, _ in (whole, trained_once(DARTS(**SETTINGS))))
    assert first.shape == second.shape, "the stem"
    assert not torch.equal(first, second)


def test_every_term_moves_alpha() -> None:
    start = torch.arange(30.0).reshape(6, 5).sin()

    def learnt(training: SupernetTraining) -> Tensor:
        trainer = trainer_of(training, start)
        trainer.train_epoch(NOTHING_DECIDED, 1)
        return trainer.alpha.detach()

    common = SETTINGS | {"alpha_learning_rate": 0.05}
    plain, decayed = learnt(DARTS(**common)), learnt(BetaDARTS(**common, beta_weight=1e4))
    assert not (plain < start).all()
    assert (decayed < start).all(), "the gradient of the term is the softmax, which is positive"
    plain, driven = (learnt(FairDARTS(**common, zero_one_weight=weight)) for weight in (0, 1e4))
    assert not (plain[:, 1:].abs() > start[:, 1:].abs()).all()
    moved = (torch.sigmoid(driven) - 0.5).abs() - (torch.sigmoid(start) - 0.5).abs()
    assert (moved[:, 1:] > 0).all()


def test_the_beta_term_grows_from_nothing_to_its_weight() -> None:
    training, alpha = BetaDARTS(epochs=4, beta_weight=8), torch.zeros(6, 5)
    generator = torch_generator("moment")

    def term(epoch: int, step: Any = "alpha", decisions: Decisions = NOTHING_DECIDED) -> float | None:
        penalty = training.penalty(alpha, decisions, Moment(epoch, 4, step, generator))
        return None if penalty is None else float(penalty) / float(torch.tensor(5.0).log())

    assert [term(epoch) for epoch in range(5)] == [None, *map(pytest.approx, (2, 4, 6, 8))]
    assert term(2, "weights") is None
    everything = NOTHING_DECIDED
    for edge in range(6):
        everything = everything.decide(edge, 1)
    assert term(2, decisions=everything) is None


def test_none_stays_where_it_is_under_fair_darts() -> None:
    _, alpha = trained(FairDARTS(**SETTINGS))
    assert (alpha[:, 0] == 0).all()
    assert (alpha[:, 1:] != 0).all()


def test_temperatures_fall_linearly_and_stay_at_the_last_in_tuning() -> None:
    generator = torch_generator("moment")
    moments = [Moment(epoch, 4, "alpha", generator) for epoch in range(5)]
    assert [GDAS().temperature(moment) for moment in moments] == pytest.approx([10, 7.525, 5.05, 2.575, 0.1])
    assert SNAS().temperature(moments[-1]) == 1


def test_gdas_computes_one_operation_per_edge_and_learns_alpha_by_it() -> None:
    trainer = trainer_of(GDAS(**SETTINGS))
    trainer.train_epoch(NOTHING_DECIDED, 0)
    moment = Moment(0, 2, "weights", torch_generator("moment"))
    weights = GDAS(**SETTINGS).relax(trainer.alpha, NOTHING_DECIDED, moment)
    assert torch.equal((weights != 0).sum(dim=1), torch.ones(6, dtype=torch.long))
    assert trainer.alpha.detach().abs().sum() > 0


def test_a_step_in_which_no_operation_is_computed_leaves_alpha_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class NothingDrawn(GDAS):
        def relax(self, alpha: Tensor, decisions: Decisions, moment: Moment) -> Weights:
            return super().relax(alpha - torch.tensor([0, 1e4, 1e4, 1e4, 1e4]), decisions, moment)

    trainer = trainer_of(NothingDrawn(**SETTINGS))
    trainer.train_epoch(NOTHING_DECIDED, 0)
    assert trainer.alpha.detach().abs().sum() == 0


def test_drnas_reads_alpha_as_the_mean_of_its_distribution(task: Task) -> None:
    alpha = torch.arange(30.0).reshape(6, 5).sin()
    state = initial_state(replace(task, alpha=alpha, training=DrNAS(**SETTINGS)))
    concentration = dirichlet_concentration(alpha)
    torch.testing.assert_close(state.weights, concentration / concentration.sum(dim=1, keepdim=True))


def test_pc_darts_weighs_the_edges_into_a_node_and_waits_with_alpha() -> None:
    alpha = torch.randn(6, 5, generator=torch_generator("alpha"))
    weights = PCDARTS().weights(alpha, NOTHING_DECIDED)
    by_edge = weights.sum(dim=1)
    assert by_edge[0] == pytest.approx(1)
    assert by_edge[1:3].sum() == pytest.approx(1)
    assert by_edge[3:].sum() == pytest.approx(1)
    torch.testing.assert_close(weights / by_edge[:, None], DARTS().weights(alpha, NOTHING_DECIDED))
    shifted = alpha.clone()
    shifted[3] += 1
    ratio = PCDARTS().weights(shifted, NOTHING_DECIDED).sum(dim=1) / by_edge
    assert ratio[3] / ratio[4] == pytest.approx(torch.e)
    generator = torch_generator("moment")
    learns = [PCDARTS().learns_alpha(Moment(epoch, 50, "alpha", generator)) for epoch in range(51)]
    assert learns == [False] * 15 + [True] * 36
    _, alpha = trained(PCDARTS(epochs=2, batch_size=16, warm_up=0.5))
    assert not torch.equal(alpha, trained(PCDARTS(epochs=2, batch_size=16, warm_up=0))[1])


def test_edges_are_compared_as_the_training_reads_alpha(task: Task) -> None:
    # Edge 3 has the clearest favourite; under PC-DARTS edge 4 has more weight as a whole.
    alpha = torch.zeros(6, 5)
    alpha[3, 1], alpha[4] = 1, 2
    state = initial_state(replace(task, alpha=alpha))
    strengths = strongest_operation(state, (3, 4, 5))
    assert strengths[3] > strengths[4] == strengths[5]
    softmax = torch.softmax(alpha, dim=1)[:, 1:].amax(dim=1)
    assert [strengths[edge] for edge in (3, 4, 5)] == softmax[3:].tolist()
    state = replace(state, task=replace(state.task, training=PCDARTS()))
    strengths = strongest_operation(state, (3, 4, 5))
    assert strengths[4] > strengths[3] > strengths[5]


def step_of(training: SupernetTraining, alpha: Tensor, which: Any, epoch: int = 1) -> TrainingStep:
    moment = Moment(epoch, training.epochs, which, torch_generator("step"))
    images = some_images().train_split[:16]
    return TrainingStep(images, training.sub_graphs(alpha, NOTHING_DECIDED, moment), alpha, NOTHING_DECIDED, moment)


def test_the_adversary_finds_a_larger_loss_nearby_and_leaves_the_network_as_it_was() -> None:
    training = SDARTSADV(**SETTINGS)
    supernet, alpha = trained(DARTS(**SETTINGS))
    supernet.train()
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    decisions = NOTHING_DECIDED.decide(1, 3).drop(4)
    step = step_of(training, alpha, "weights")._replace(decisions=decisions)
    weights = decisions.weights(alpha)
    worst = training.worst(supernet, step, weights)
    assert all(torch.equal(tensor, before[name]) for name, tensor in supernet.state_dict().items())
    assert all(module.training for module in supernet.modules())
    assert torch.equal(worst[[1, 4]], weights[[1, 4]])
    torch.testing.assert_close(worst.sum(dim=1), weights.sum(dim=1))
    assert (worst[[0, 2, 3, 5]] > 0).all()
    supernet.eval()
    losses = [
        float(functional.cross_entropy(supernet(step.batch.images, w), step.batch.labels).detach())
        for w in (weights, worst)
    ]
    assert losses[1] > losses[0]


def test_the_adversary_moves_no_step_of_alpha_and_gives_up_where_it_finds_nothing() -> None:
    training, supernet = SDARTSADV(**SETTINGS, attack_steps=1), SMALL.supernet(1, 10, seed=0).train()
    alpha = uniform_alpha(NOTHING_DECIDED)
    plain = [float(loss.detach()) for loss in DARTS(**SETTINGS).losses(supernet, step_of(training, alpha, "alpha"))]
    assert [float(loss.detach()) for loss in training.losses(supernet, step_of(training, alpha, "alpha"))] == plain

    class Flat(nn.Module):
        """Its loss is least away from equal weights, by so much that no neighbour is worse."""

        def forward(self, images: Tensor, weights: Weights) -> Tensor:
            spread = (weights - 0.2).abs().sum()
            return functional.one_hot(step.batch.labels, 10) * (1 + spread)

    step = step_of(training, alpha, "weights")
    weights = NOTHING_DECIDED.weights(alpha)
    assert training.worst(Flat(), step, weights) is weights


def test_oles_compares_the_gradient_of_the_loss_alone_and_keeps_what_the_weights_hold() -> None:
    supernet = WatchedSupernet(SMALL.supernet(1, 10, seed=0), steps=3, threshold=0.0)
    step = step_of(DARTS(**SETTINGS), uniform_alpha(NOTHING_DECIDED), "alpha")
    held = torch_generator("held")
    for parameter in supernet.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=held)
    before = [parameter.grad.clone() for parameter in supernet.parameters() if parameter.grad is not None]
    (loss,) = DARTS(**SETTINGS).losses(supernet, step)
    expected = []
    for operation in supernet.operations:
        weights = list(operation.parameters())
        gradients = torch.autograd.grad(loss, weights, retain_graph=True)
        new, old = (torch.cat([each.flatten() for each in both]) for both in (gradients, [w.grad for w in weights]))
        expected.append(functional.cosine_similarity(new, old, dim=0))
    supernet.compare(loss)
    torch.testing.assert_close(supernet.cosines, torch.stack(expected))
    assert all(map(torch.equal, before, (parameter.grad for parameter in supernet.parameters())))
    assert supernet.compared.tolist() == [1] * 36
    for _ in range(2):
        supernet.compare(loss)
    assert torch.equal(supernet.frozen, torch.stack(expected) < 0), "the same cosine three times is its own mean"
    assert supernet.compared.sum() == 0 == supernet.cosines.abs().sum()


def test_a_frozen_operation_keeps_its_weights_and_the_others_learn_on() -> None:
    training = OLES(**SETTINGS, threshold=1, compared_steps=1)
    trainer = trainer_of(training)
    supernet = trainer.supernet
    assert isinstance(supernet, WatchedSupernet)
    trainer.train_epoch(NOTHING_DECIDED, 0)
    assert supernet.frozen.all(), "no cosine is 1"

    def weights(inside: bool) -> list[Tensor]:
        watched = {id(weight) for operation in supernet.operations for weight in operation.parameters()}
        return [weight.detach().clone() for weight in supernet.parameters() if (id(weight) in watched) == inside]

    operations, others = weights(True), weights(False)
    trainer.train_epoch(NOTHING_DECIDED, 1)
    assert all(map(torch.equal, operations, weights(True)))
    assert not any(map(torch.equal, others, weights(False)))


def test_sub_graphs_share_no_operation_and_decided_edges_are_the_same_in_all() -> None:
    decisions, generator = NOTHING_DECIDED.decide(0, 3).drop(4), torch_generator("moment")
    for training in (MSGDAS(sub_graph_count=5), MSGDAS(sub_graph_count=5, ranks="shuffled")):
        for _ in range(20):
            every = torch.stack([*training.sub_graphs(torch.zeros(6, 5), decisions, Moment(0, 2, "alpha", generator))])
            assert torch.equal(every[:, [1, 2, 3, 5]].sum(dim=0), torch.ones(4, 5)), "every operation once"
            assert torch.equal(every[:, 0], torch.tensor([0, 0, 0, 1.0, 0]).expand(5, 5))
            assert every[:, 4].sum() == 0


def test_shuffled_ranks_differ_between_edges() -> None:
    alpha = torch.tensor([4.0, 3, 2, 1, 0]).expand(6, 5) * 100  # the noise changes no rank
    generator = torch_generator("moment")
    moment = Moment(0, 2, "alpha", generator)
    aligned, _ = MSGDAS().sub_graphs(alpha, NOTHING_DECIDED, moment)
    assert aligned.argmax(dim=1).tolist() == [0] * 6
    first = torch.cat(
        [MSGDAS(ranks="shuffled").sub_graphs(alpha, NOTHING_DECIDED, moment)[0].argmax(dim=1) for _ in range(50)]
    )
    assert set(first.tolist()) == {0, 1}
    assert 100 < int(first.sum()) < 200


def test_the_loss_is_the_mean_over_the_sub_graphs() -> None:
    training = MSGDAS(**SETTINGS, drop_rate=0, distillation=0, sub_graph_count=3)
    supernet = SMALL.supernet(1, 10, seed=0).train()
    step = step_of(training, uniform_alpha(NOTHING_DECIDED), "weights")
    total = sum(float(loss.detach()) for loss in training.losses(supernet, step))
    single = [
        float(functional.cross_entropy(supernet(step.batch.images, w), step.batch.labels).detach())
        for w in step.sub_graphs
    ]
    assert total == pytest.approx(sum(single) / 3)


def test_distillation_is_zero_for_the_supernet_itself_and_teaches_no_teacher() -> None:
    logits = torch.randn(4, 10, generator=torch_generator("logits"), requires_grad=True)
    assert float(divergence(logits.detach(), logits.detach(), 2.0)) == 0
    other = torch.randn(4, 10, generator=torch_generator("others"))
    p, q = torch.softmax(other / 2, dim=1), torch.softmax(logits.detach() / 2, dim=1)
    assert float(divergence(other, logits.detach(), 2.0)) == pytest.approx(4 * float((p * (p / q).log()).sum()) / 4)

    training = MSGDAS(**SETTINGS, drop_rate=0, distillation=1e6)
    supernet = SMALL.supernet(1, 10, seed=0).train()
    alpha = uniform_alpha(NOTHING_DECIDED).requires_grad_()
    step = step_of(training, alpha, "alpha")._replace(sub_graphs=[NOTHING_DECIDED.weights(alpha)])
    # A sub-graph that is the supernet: what is left is the cross entropy, in value and, almost, in gradient.
    (distilled,), (plain,) = training.losses(supernet, step), DARTS(**SETTINGS).losses(supernet, step)
    assert float(distilled.detach()) == pytest.approx(float(plain.detach()), abs=1e-4)
    passes = [bool(weights.requires_grad) for weights in teachers_of(training, supernet, step)]
    assert passes == [False], "one pass without gradients"


def teachers_of(training: MSGDAS, supernet: nn.Module, step: TrainingStep) -> Iterator[Tensor]:
    """The logits of the passes under alpha's softmax while the losses of a step are computed."""
    seen: list[tuple[Weights, Tensor]] = []
    handle = supernet.register_forward_hook(lambda module, inputs, output: seen.append((inputs[1], output)))
    list(training.losses(supernet, step._replace(sub_graphs=[])))
    handle.remove()
    return (logits for _, logits in seen)


def test_sub_graphs_one_after_the_other_hold_fewer_activations_than_darts() -> None:
    supernet, alpha = SMALL.supernet(1, 10, seed=0).train(), uniform_alpha(NOTHING_DECIDED)

    def most_saved(training: SupernetTraining) -> int:
        counts = [0]

        def pack(tensor: Tensor) -> Tensor:
            counts[-1] += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            for loss in training.losses(supernet, step_of(training, alpha, "weights")):
                loss.backward()  # type: ignore[no-untyped-call]
                counts.append(0)
        return max(counts)

    assert most_saved(MSGDAS(**SETTINGS)) < 0.8 * most_saved(DARTS(**SETTINGS))


SMALL_S3 = darts_s3.resized(8, 3)


@pytest.mark.parametrize(
    "training",
    [t for t in VARIANTS if isinstance(t, DARTSMinus | MSGDAS | OLES | PCDARTS | RDARTS | DrNAS | FairDARTS)],
    ids=lambda training: type(training).__name__,
)
def test_trainings_that_change_something_take_darts_spaces_too(training: SupernetTraining) -> None:
    assert training.why_not(SMALL_S3) == ""
    supernet = training.prepare(SMALL_S3.supernet(1, 10, seed=0)).train()
    decisions = Decisions.none_yet(SMALL_S3.edges)
    alpha = uniform_alpha(decisions).requires_grad_()
    moment = Moment(1, 2, "alpha", torch_generator("step"))
    sub_graphs = training.sub_graphs(alpha, decisions, moment)
    batch = digits().train[:2]
    for loss in training.losses(supernet, TrainingStep(batch, sub_graphs, alpha, decisions, moment)):
        loss.backward()  # type: ignore[no-untyped-call]
    assert alpha.grad is not None
    assert torch.isfinite(alpha.grad).all()
    assert alpha.grad.abs().sum() > 0


class Linear(NASBench201Space):
    """A space whose supernet is made of other parts than ours."""

    def supernet(self, image_channels: int, classes: int, seed: int) -> nn.Module:  # type: ignore[override]
        return nn.Linear(2, 2)


LINEAR = Linear(**{field.name: getattr(digits201, field.name) for field in fields(digits201)})


@pytest.mark.parametrize(
    ("training", "space", "reason"),
    [
        (DARTSMinus(), darts_s4, "an edge with the operations noise, sep_conv_3x3 has no skip_connect"),
        (DARTSMinus(), darts_s1, "an edge with the operations dil_conv_3x3, dil_conv_5x5 has no skip_connect"),
        (PCDARTS(), digits201.resized(6, 1), r"has 6 channel\(s\), which cannot be divided by 4"),
        (PCDARTS(), darts_original.resized(2, 3), r"has 2 channel\(s\), which cannot be divided by 4"),
        (MSGDAS(sub_graph_count=3), darts_s1, "3 operations per edge .sub_graph_count., and an edge has 2"),
        (MSGDAS(sub_graph_count=6), digits201, "6 operations per edge .sub_graph_count., and an edge has 5"),
        (OLES(), LINEAR, "its supernet has no EdgeOperations"),
        (RDARTS(drop_path=0.2), LINEAR, "its supernet has no EdgeOperations"),
    ],
)
def test_a_space_that_a_training_cannot_have_is_refused_with_the_reason(
    training: SupernetTraining, space: SearchSpace, reason: str
) -> None:
    assert training.why_not(space)
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(training.why_not(space))


@pytest.mark.parametrize("training", [DARTS, BetaDARTS, FairDARTS, GDAS, SNAS, DrNAS, SDARTSRS, SDARTSADV, RDARTS])
def test_other_trainings_take_every_space(training: Callable[[], SupernetTraining]) -> None:
    assert [training().why_not(space) for space in (digits201, darts_s1, LINEAR)] == [""] * 3


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (GDAS, {"first_temperature": 0.0}),
        (SNAS, {"last_temperature": -1.0}),
        (MSGDAS, {"last_temperature": 0.0}),
        (MSGDAS, {"sub_graph_count": 0}),
        (MSGDAS, {"drop_rate": 1.0}),
        (MSGDAS, {"distillation_temperature": 0.0}),
        (PCDARTS, {"warm_up": 1.0}),
        (PCDARTS, {"channel_fraction": 0}),
        (RDARTS, {"drop_path": 1.0}),
        (OLES, {"threshold": 1.5}),
        (SDARTSADV, {"attack_steps": 0}),
        (BetaDARTS, {"beta_weight": -1.0}),
        (FairDARTS, {"zero_one_weight": -1.0}),
        (DARTSMinus, {"skip_factor": -0.5}),
    ],
)
def test_settings_out_of_range_are_refused(kind: type[SupernetTraining], settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        kind(**settings)


def test_settings_that_all_trainings_share_keep_their_order_and_defaults() -> None:
    # Records of earlier trainings have exactly these, and their keys depend on them.
    assert (
        DARTS().model_dump()
        == SDARTSRS().model_dump()
        == {
            "channels": None,
            "cells": None,
            "epochs": 100,
            "batch_size": 64,
            "learning_rate": 0.025,
            "final_learning_rate": 0.001,
            "momentum": 0.9,
            "weight_decay": 3e-4,
            "gradient_clip": 5.0,
            "alpha_learning_rate": 3e-4,
            "alpha_weight_decay": 1e-3,
            "smoothing": 0.3,
            "tuning_learning_rate": 0.0025,
        }
    )
