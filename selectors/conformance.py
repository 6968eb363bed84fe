"""The promises that every proxy and every selector keeps; our tests and the authors of plug-ins run the same checks.

Each check raises `BrokenPromise` with one sentence about what was observed. They need no test framework.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from opselect.selectors.proxies.measuring import Proxy, Weighted
from opselect.selectors.task import Selection, Selector, Task
from opselect.spaces.images import LabelledImages


class BrokenPromise(AssertionError):
    """A proxy or a selector does something that it must not do."""


def _promise(kept: bool, sentence: str) -> None:
    if not kept:
        raise BrokenPromise(sentence)


def _snapshot(network: nn.Module) -> dict[str, object]:
    """Everything about a network that a proxy might change."""
    return {
        "parameters or buffers": [tensor.clone() for tensor in network.state_dict().values()],
        "gradients": [None if parameter.grad is None else parameter.grad.clone() for parameter in network.parameters()],
        "requires_grad": [parameter.requires_grad for parameter in network.parameters()],
        "modes": [module.training for module in network.modules()],
        "hooks": [
            len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._backward_hooks)
            for module in network.modules()
        ],
    }


def _equal(first: object, second: object) -> bool:
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return torch.equal(first, second)
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(_equal, first, second))
    return first == second


def _random_states() -> tuple[object, ...]:
    state = np.random.get_state(legacy=False)  # noqa: NPY002 - the global state is what is checked
    return torch.get_rng_state(), state["state"]["key"].tolist(), state["state"]["pos"]


def check_proxy(proxy: Proxy, network: nn.Module, supernet: nn.Module, weights: Tensor, batch: LabelledImages) -> None:
    """Check a proxy on a stand-alone network and on a supernet with weights.

    Args:
        proxy: what to check.
        network: a stand-alone network.
        supernet: of any space.
        weights: for the supernet; at least one operation has weight zero.
        batch: a few images.

    Raises:
        BrokenPromise: it changes the network, its modes, gradients or hooks, or the global random state; it answers
            differently when asked again; its answer is no float; it depends on the order of the images.
    """
    for kind, subject in (("a network", network), ("a supernet", Weighted(supernet, weights))):
        for training in (False, True):
            subject.train(training)
            before, random_before = _snapshot(subject), _random_states()
            score = proxy(subject, batch)
            after = _snapshot(subject)
            for what in before:
                _promise(_equal(before[what], after[what]), f"on {kind} it changed {what}")
            _promise(_equal(random_before, _random_states()), f"on {kind} it used the global random state")
            _promise(isinstance(score, float), f"on {kind} it answered {score!r}, expected a float")
            same = np.array_equal(proxy(subject, batch), score, equal_nan=True)
            _promise(same, f"on {kind} it answered differently when asked again")
            reordered = batch[torch.arange(len(batch) - 1, -1, -1)]
            again = proxy(subject, reordered)
            _promise(
                bool(np.isclose(again, score, rtol=1e-3, equal_nan=True)),
                f"on {kind} the order of the images changed {score} to {again}",
            )


def check_selector(selector: Selector, make_task: Callable[[], Task]) -> Selection:
    """Check a selector on a task.

    Args:
        selector: what to check.
        make_task: builds the same task, with a supernet of its own, every time; the task observes nothing.

    Returns:
        What it selected.

    Raises:
        BrokenPromise: the architecture or a step does not fit the space; the ledger is empty; the global random state
            was used; the same task gave another answer; or observing changed the answer.
    """
    task, random_before = make_task(), _random_states()
    selection = selector(task)
    _promise(_equal(random_before, _random_states()), "it used the global random state")
    text = task.space.format(selection.architecture)
    _promise(task.space.parse(text) == selection.architecture, f"{text} is not the architecture that it selected")
    _promise(
        sorted(step.edge for step in selection.steps) == list(range(len(task.space.edges))),
        f"it decided the edges {[step.edge for step in selection.steps]}, expected every edge once",
    )
    for step in selection.steps:
        operations = task.space.edges[step.edge].operations
        scores = step.scores.get(step.edge, ())
        _promise(
            len(scores) == len(operations), f"edge {step.edge} has {len(scores)} scores, expected {len(operations)}"
        )
        finite = [score for score in scores if np.isfinite(score)]
        _promise(
            scores[step.operation] == max(finite), f"edge {step.edge}: the chosen operation has not the best score"
        )
    _promise(task.ledger.evaluations > 0 and bool(task.ledger.seconds), "it wrote no costs into the ledger")
    again = selector(make_task())
    _promise(again == selection, "the same task gave another selection")
    observed = selector(replace(make_task(), observe=True))
    _promise(observed.architecture == selection.architecture, "observing changed the architecture")
    _promise(
        [step.scores[step.edge] for step in observed.steps] == [step.scores[step.edge] for step in selection.steps],
        "observing changed the scores that decide",
    )
    return selection
