"""Changes of a supernet by a training: its edges are replaced, and behave differently while a step computes its loss.

A changed supernet has no folded form, since that is made of the unchanged operations.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from opselect.spaces.cell_graph import EdgeOperations
from opselect.spaces.space import SearchSpace, Weights

SKIP = "skip_connect"


class CannotChange(ValueError):
    """A supernet does not have what a training changes; the message is part of a sentence."""


class ChangedSupernet(nn.Module):
    """A supernet around one whose edges have been replaced.

    Args:
        supernet: The supernet, whose edges are replaced in place.
        change: The module in place of an edge: `(value, weights, computed) -> sum or None`, as `EdgeOperations`.

    Raises:
        CannotChange: It has no edges of the class `EdgeOperations`, or `change` raises it.
    """

    def __init__(self, supernet: nn.Module, change: Callable[[EdgeOperations], nn.Module]) -> None:
        super().__init__()
        edges = [
            (parent, name, edge)
            for parent in supernet.modules()
            for name, edge in parent.named_children()
            if isinstance(edge, EdgeOperations)
        ]
        if not edges:
            raise CannotChange("its supernet has no EdgeOperations, whose operations this training changes")
        for parent, name, edge in edges:
            setattr(parent, name, change(edge))
        self.supernet = supernet

    def forward(self, images: Tensor, weights: Weights) -> Tensor:
        """Logits of the images, `[batch, classes]`."""
        logits: Tensor = self.supernet(images, weights)
        return logits


def why_unchangeable(space: SearchSpace, prepare: Callable[[nn.Module], nn.Module]) -> str:
    """Why the supernets of a space cannot be changed; empty where they can.

    Args:
        space: Search space in the size that is trained.
        prepare: The change, which raises `CannotChange` or returns the changed supernet.
    """
    try:
        prepare(space.supernet(1, 2, 0))
    except CannotChange as reason:
        return str(reason)
    return ""


@contextmanager
def setting(supernet: nn.Module, kind: type[nn.Module], **attributes: object) -> Iterator[None]:
    """Set attributes of all modules of a kind for the block; before and after it they have their usual values.

    Measuring a supernet, outside of any step, thus sees the usual values: no dropping, no auxiliary operation.
    """
    modules = [module for module in supernet.modules() if isinstance(module, kind)]
    usual = [{name: getattr(module, name) for name in attributes} for module in modules]
    try:
        for module in modules:
            vars(module).update(attributes)
        yield
    finally:
        for module, values in zip(modules, usual, strict=True):
            vars(module).update(values)


def skip_of(edge: EdgeOperations) -> nn.Module:
    """The skip connection of an edge.

    Raises:
        CannotChange: It has none.
    """
    if SKIP not in edge.operations:
        raise CannotChange(
            f"an edge with the operations {', '.join(edge.names)} has no {SKIP}, which this training needs"
        )
    return edge.operations[SKIP]
