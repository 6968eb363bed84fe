"""Folded DARTS networks: the same logits, the same ReLUs counted, the network left as it was."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from opselect.selectors.proxies.interface import Weighted
from opselect.selectors.proxies.kernels import log_determinants
from opselect.selectors.proxies.nwot import nwot, nwot_reference
from opselect.spaces.cell_graph import SharedReLU
from opselect.spaces.darts.space import darts, darts_original, darts_s1, darts_s2, darts_s3, darts_s4
from opselect.spaces.images import LabelledImages
from opselect.spaces.inspection import mode
from opselect.spaces.space import Weights

# Six cells: a normal one on both sides of every reduction.
SPACES = {each.name: each.resized(4, 6) for each in (darts, darts_original, darts_s1, darts_s2, darts_s3, darts_s4)}


def with_statistics(network: nn.Module, seed: int) -> nn.Module:
    """The network with norms as after some training: nothing is zero or one any more."""
    generator = torch.Generator().manual_seed(seed)
    for each in network.modules():
        if isinstance(each, nn.BatchNorm2d):
            for value in (each.running_mean, each.running_var, each.weight, each.bias):
                if value is not None:
                    value.data = torch.rand(value.shape, generator=generator) + 0.5
    return network


def random_weights(name: str, seed: int, share: float) -> Weights:
    """Weights of all operations, of which a share is zero."""
    generator = np.random.default_rng(seed)
    edges = SPACES[name].edges
    weights = torch.zeros(len(edges), max(len(edge.operations) for edge in edges))
    for number, edge in enumerate(edges):
        for operation in range(len(edge.operations)):
            if generator.random() >= share:
                weights[number, operation] = float(generator.choice([0.2, 1.0, -0.5]))
    return weights


def batch_of(seed: int, side: int = 8) -> LabelledImages:
    images = torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(seed))
    return LabelledImages(images, torch.arange(4))


@torch.no_grad()
def logits(network: nn.Module, *arguments: torch.Tensor) -> torch.Tensor:
    with mode(network, training=False):
        return network(*arguments)


@pytest.mark.parametrize("name", SPACES)
@settings(max_examples=3)
@given(st.integers(0, 99), st.sampled_from((0.0, 0.5, 0.9, 1.0)))
def test_a_folded_supernet_computes_what_the_supernet_computes(name: str, seed: int, share: float) -> None:
    supernet = with_statistics(SPACES[name].supernet(3, 10, seed), seed)
    weights, images = random_weights(name, seed, share), batch_of(seed).images
    expected = logits(supernet, images, weights)
    folded = supernet.evaluation_form([weights], len(images))
    # Twice, since noise must be the same every time.
    for found in (logits(folded, images), logits(folded, images)):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("name", SPACES)
@settings(max_examples=2)
@given(st.integers(0, 99))
def test_a_folded_network_computes_what_the_network_computes(name: str, seed: int) -> None:
    space = SPACES[name]
    architecture = space.sample(np.random.default_rng(seed))
    for stem, side in (("cifar", 8), ("imagenet", 32)):
        built = space.evaluation_network(architecture, 3, 10, seed, stem, auxiliary=False)  # type: ignore[arg-type]
        network, images = with_statistics(built, seed), batch_of(seed, side).images
        expected = logits(network, images)
        folded = network.evaluation_form(None, len(images))
        torch.testing.assert_close(logits(folded, images), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in ("darts", "darts-s3") else [pytest.mark.slow]) for name in SPACES]
)
def test_scores_of_both_readings_are_those_of_the_plain_network(name: str) -> None:
    supernet = SPACES[name].supernet(3, 10, 0)
    network = SPACES[name].network(SPACES[name].sample(np.random.default_rng(1)), 3, 10, 0)
    measured = [Weighted(supernet, random_weights(name, seed, 0.4).abs()) for seed in range(3)]
    batch = batch_of(0)
    for proxy in (nwot, nwot_reference):
        fast = [proxy(each, batch) for each in (*measured, network)]
        plain = [log_determinants(proxy.kernels(each, batch))[0] for each in (*measured, network)]
        assert fast == pytest.approx(plain, rel=1e-4)
        assert len(set(plain)) == len(plain)


def test_every_relu_of_the_cells_is_counted() -> None:
    weights = random_weights("darts", 0, 0.5)
    supernet = SPACES["darts"].supernet(3, 10, 0)
    folded = supernet.evaluation_form([weights], 4)
    shared = [each.computed[0] for each in folded.modules() if isinstance(each, SharedReLU)]
    convolutions = (weights[:, 3:] != 0).sum(1)
    expected = []
    for kind in supernet.kinds:
        rows = [row for row, edge in enumerate(SPACES["darts"].edges) if edge.cell == kind]
        for node in range(5):
            leaving = [row for row in rows if SPACES["darts"].edges[row].source == node]
            # In a reduction cell, a skip connection from an input of the cell is a factorised reduction with a ReLU.
            skips = [int(weights[row, 2] != 0) for row in leaving if kind == "reduce" and node < 2]
            expected.append(int(convolutions[leaving].sum()) + sum(skips))
    assert shared == expected


def test_folding_leaves_the_network_as_it_was() -> None:
    supernet = SPACES["darts"].supernet(3, 10, 0)
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    weights = random_weights("darts", 0, 0.3)
    kept = weights.clone()
    logits(supernet.evaluation_form([weights], 4), batch_of(0).images)
    assert supernet.training
    assert torch.equal(weights, kept)
    assert all(torch.equal(value, before[name]) for name, value in supernet.state_dict().items())


def test_supernets_are_folded_under_one_matrix_at_a_time() -> None:
    supernet, images = SPACES["darts"].supernet(3, 10, 0), batch_of(0).images
    assert supernet.most_together(images) == 1
    with pytest.raises(ValueError, match="too many values"):
        supernet.evaluation_form([random_weights("darts", 0, 0.3)] * 2, len(images))


def test_a_network_with_an_auxiliary_classifier_has_no_evaluation_form() -> None:
    architecture = darts.sample(np.random.default_rng(0))
    network = SPACES["darts"].evaluation_network(architecture, 3, 10, 0, "cifar", auxiliary=True)
    assert network.evaluation_form(None, 4) is None
    assert network.most_together(batch_of(0).images) == 1
