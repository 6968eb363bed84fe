"""The history of a training: one state per epoch, which goes on after a kill and changes no number."""

import io
from typing import Any

import pytest
import torch
from torch.nn import functional

from opselect.selectors.decisions import Decisions
from opselect.selectors.supernets.darts import DARTS
from opselect.selectors.supernets.history import EpochTrace
from opselect.selectors.supernets.msg_das import MSGDAS
from opselect.selectors.supernets.settings import SupernetTraining
from opselect.selectors.supernets.training import train_supernet
from opselect.selectors.task import SearchImages
from opselect.spaces.darts.space import darts_s4
from opselect.spaces.digits import digits
from opselect.spaces.nasbench201.space import digits201
from opselect.spaces.seeds import torch_generator
from opselect.spaces.space import Edge, SearchSpace

SMALL = digits201.resized(4, 1)


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


def trained(
    training: SupernetTraining,
    history: list[EpochTrace] | None,
    space: SearchSpace = SMALL,
    checkpoint: LastState | None = None,
) -> list[torch.Tensor]:
    """Alpha and the network after the training."""
    train = digits().train
    images = SearchImages(train[:32], train[32:72], crop_padding=1, flip=True)
    supernet = training.prepare(space.supernet(1, 10, seed=0))
    streams = torch_generator("alpha"), torch_generator("batches")
    decisions = Decisions.none_yet(space.edges)
    learnt = train_supernet(supernet, decisions, images, training, *streams, checkpoint, history=history)
    if history is not None:
        # What is measured is what can be measured afterwards.
        batch = images.val_split
        with torch.no_grad():
            weights, parts = training.weights(learnt.alpha, decisions), batch.images.split(16)
            logits = torch.cat([supernet.eval()(part, weights) for part in parts])
        assert history[-1].loss == pytest.approx(float(functional.cross_entropy(logits, batch.labels)), rel=1e-5)
        assert history[-1].accuracy == pytest.approx(100 * float((logits.argmax(1) == batch.labels).float().mean()))
        assert torch.equal(history[-1].weights, weights)
    return [learnt.alpha, *supernet.state_dict().values()]


@pytest.mark.parametrize(
    ("training", "space"),
    [
        (DARTS(epochs=2, batch_size=16), SMALL),
        (MSGDAS(epochs=2, batch_size=16), SMALL),
        # Noise operations draw from streams of their own, which measuring must not use.
        (DARTS(epochs=1, batch_size=16), darts_s4.resized(4, 2)),
    ],
)
def test_a_history_has_every_epoch_and_changes_no_number(training: SupernetTraining, space: SearchSpace) -> None:
    history: list[EpochTrace] = []
    assert all(map(torch.equal, trained(training, history, space), trained(training, None, space)))
    assert len(history) == training.epochs
    assert len({trace.loss for trace in history}) == training.epochs


def test_a_history_goes_on_after_a_kill() -> None:
    checkpoint, training = LastState(), DARTS(epochs=2, batch_size=16)
    whole: list[EpochTrace] = []
    # Its noise operations have random streams of their own, which go on too.
    space = darts_s4.resized(4, 2)
    final = trained(training, whole, space, checkpoint)
    resumed: list[EpochTrace] = []
    assert all(map(torch.equal, trained(training, resumed, space, checkpoint), final))
    assert [trace[1:] for trace in resumed] == [trace[1:] for trace in whole]
    assert all(torch.equal(one.weights, other.weights) for one, other in zip(resumed, whole, strict=True))


def test_shares_and_strongest_operations_are_those_of_the_weights() -> None:
    edges = (Edge("cell", 0, 1, ("none", "skip", "conv")), Edge("cell", 0, 2, ("skip", "conv")))
    decisions = Decisions.none_yet(edges)
    trace = EpochTrace(torch.tensor([[0.5, 0.3, 0.2], [0.4, 0.6, 0.0]]), 1.0, 50.0)
    assert trace.shares(decisions) == pytest.approx({"none": 0.5, "skip": 0.35, "conv": 0.4})
    assert trace.strongest(decisions) == ("none", "conv")
    assert trace.strongest(decisions, left_out=["none"]) == ("skip", "conv")
