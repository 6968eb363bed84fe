"""The graph of a cell: one walk over its edges, the operations of an edge, and both in the form of evaluation mode.

Families of spaces give what is theirs as plugs: how an edge is computed (`walk`), and how one of their operations is
folded (`FoldedGraph`). A plug-in's space can use the same parts.

Why there is a folded form: a zero-cost selection runs one supernet in evaluation mode thousands of times, under weights
that hardly differ. In evaluation mode a batch norm is an affine map, which the convolution before it can absorb
together with the weight of its operation; and all operations on edges that leave one node rectify and pool the same
input, so each node does that once. The perturbations of one edge are *variants* of one network, folded into one: they
share everything before the first edge on which they differ. Behind it their images lie one after the other in one
batch, and only the edges on which they differ treat each variant's part separately. Folded networks share the other
modules of the network that they are made of; they have no gradients and no training mode.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

Route: TypeAlias = tuple[int, int]
"""Numbers of the nodes that an edge leaves and enters."""

AddEdge: TypeAlias = Callable[[int, Tensor, Tensor | None], Tensor | None]
"""`(number of the edge, value of its source, sum so far at its target) -> the sum with the edge`; None is no sum."""

# Bytes of one feature map of all variants that are folded together. Larger maps than a processor's caches hold make
# them slower together than apart, by a quarter at full size and batch 256; on a GPU, memory is the only limit.
CACHED_BYTES = 8 * 2**20
DEVICE_BYTES = 2**29


def walk(routes: Sequence[Route], inputs: Sequence[Tensor], like: Tensor, add_edge: AddEdge) -> list[Tensor]:
    """The values of all nodes of a cell: the inputs, then nodes that are sums over the edges that enter them.

    Args:
        routes: one per edge, in the order in which edges are added; all edges into a node come before those out of it.
        inputs: the values of the first nodes.
        like: a tensor of the shape of the other nodes, for those that nothing enters: they are zero.
        add_edge: adds one edge to the sum at its target.

    Example:
        Node 1 is twice node 0, node 2 is their sum.

        >>> def add_edge(number, value, total):
        ...     term = (2, 1, 1)[number] * value
        ...     return term if total is None else total + term
        >>> walk([(0, 1), (0, 2), (1, 2)], [torch.tensor([3.0])], torch.zeros(1), add_edge)
        [tensor([3.]), tensor([6.]), tensor([9.])]
    """
    nodes: list[Tensor | None] = [*inputs]
    nodes += [None] * (1 + max(target for _, target in routes) - len(inputs))
    for number, (source, target) in enumerate(routes):
        value = nodes[source]
        if value is None:
            value = nodes[source] = torch.zeros_like(like)
        nodes[target] = add_edge(number, value, nodes[target])
    return [torch.zeros_like(like) if node is None else node for node in nodes]


def plus(total: Tensor | None, term: Tensor | None) -> Tensor | None:
    """The sum of a total and a term, either of which may be nothing."""
    if total is None or term is None:
        return term if total is None else total
    return total + term


class EdgeOperations(nn.Module):
    """The candidate operations of one edge of one cell, and their weighted sum.

    Args:
        modules: The operations by name, in the order of the columns of weights; None for an operation that is never
            computed.
    """

    def __init__(self, modules: Mapping[str, nn.Module | None]) -> None:
        super().__init__()
        self.names = tuple(modules)
        self.operations = nn.ModuleDict({name: module for name, module in modules.items() if module is not None})
        self.is_identity = all(isinstance(module, nn.Identity) for module in self.operations.values())

    def forward(self, value: Tensor, weights: Tensor | None, computed: Sequence[bool]) -> Tensor | None:
        """The weighted sum of the computed operations, or None where there is nothing to add.

        Args:
            value: The source node, `[batch, channels, height, width]`.
            weights: One weight per operation, or None for the plain sum.
            computed: Whether each operation is computed at all; the others cost nothing.
        """
        total: Tensor | None = None
        for index, (name, is_computed) in enumerate(zip(self.names, computed, strict=True)):
            if not is_computed or name not in self.operations:
                continue
            term = self.operations[name](value)
            total = plus(total, term if weights is None else weights[index] * term)
        return total


class SharedReLU(nn.ReLU):
    """The ReLU of one node, in place of those of all operations on the edges that leave it.

    Args:
        variants: Number of variants of the folded network.

    Attributes:
        computed: Number of ReLUs of the unfolded cell that it stands for, per variant.
        blocks: Number of these that belong to a ReLU-conv-BN block, per variant.
        removed: Number of further blocks that would be computed if none had the weight zero, per variant.
    """

    def __init__(self, variants: int = 1) -> None:
        super().__init__()
        self.computed = [0] * variants
        self.blocks = [0] * variants
        self.removed = [0] * variants

    @property
    def is_needed(self) -> bool:
        """Whether an operation reads its output, or a proxy its input."""
        return any(self.computed) or any(self.removed)


class Node(NamedTuple):
    """What the folded edges that leave one node read.

    Attributes:
        value: Value of the node, `[batch, ...]` of all variants together or `[variants * batch, ...]`.
        rectified: Its ReLU, computed where an edge reads it.
        pooled: Its poolings that an edge reads, by their type.
    """

    value: Tensor
    rectified: Tensor
    pooled: Mapping[type[nn.Module], Tensor]

    def part(self, variant: int, batch: int) -> "Node":
        """The images of one variant, which may be the same for all."""

        def cut(whole: Tensor) -> Tensor:
            return whole if len(whole) == batch else whole[variant * batch : (variant + 1) * batch]

        return Node(cut(self.value), cut(self.rectified), {kind: cut(value) for kind, value in self.pooled.items()})


@dataclass
class FoldedEdge:
    """The weighted operations of one edge in evaluation mode, which the `Fold` of a family fills in.

    No module itself, since making and calling modules costs a tenth of a score of a small network.

    Attributes:
        rectifying: Functions or modules of the rectified node, which have absorbed weight and norm.
        poolings: Pooling, factor (a number or one per channel `[channels, 1, 1]`), and shift per channel or None.
        others: Modules of the node itself, and their weights.
        unchanged: Weight of the node itself.
        computed: Number of ReLUs that the shared one stands for (see `SharedReLU`).
        blocks: Number of these in ReLU-conv-BN blocks.
        removed: Number of blocks with weight zero.
    """

    rectifying: list[Callable[[Tensor], Tensor]] = field(default_factory=list)
    poolings: list[tuple[nn.Module, float | Tensor, Tensor | None]] = field(default_factory=list)
    others: list[tuple[nn.Module, float]] = field(default_factory=list)
    unchanged: float = 0.0
    computed: int = 0
    blocks: int = 0
    removed: int = 0

    def __call__(self, node: Node, total: Tensor | None) -> Tensor | None:
        """The sum so far plus this edge. A sum of as many images as the node has is changed in place and returned."""
        for function in self.rectifying:
            term = function(node.rectified)
            total = term if total is None else add_in_place(total, term)
        for pooling, factor, shift in self.poolings:
            total = add_in_place(total, node.pooled[type(pooling)], factor)
            if shift is not None:
                total = total.add_(shift)
        for module, weight in self.others:
            total = add_in_place(total, module(node.value), weight)
        if self.unchanged:
            total = add_in_place(total, node.value, self.unchanged)
        return total


@dataclass
class ForkedEdge:
    """One edge on which the variants differ: each has a folded edge of its own.

    Attributes:
        edges: One per variant.
        batch: Number of images per variant.
    """

    edges: Sequence[FoldedEdge]
    batch: int

    def __call__(self, node: Node, total: Tensor | None) -> Tensor | None:
        """As of a `FoldedEdge`, with `[variants * batch, ...]` as the sum."""
        nodes = [node.part(variant, self.batch) for variant in range(len(self.edges))]
        if total is None:
            sums = [edge(own, None) for edge, own in zip(self.edges, nodes, strict=True)]
            if all(each is None for each in sums):
                return None
            nothing = torch.zeros_like(nodes[0].value)
            return torch.cat([nothing if each is None else each for each in sums])
        if len(total) == self.batch:
            total = torch.cat([total] * len(self.edges))
        for edge, own, part in zip(self.edges, nodes, torch.split(total, self.batch), strict=True):
            # The part is a view of the total, and a folded edge adds to a sum of its size in place: so to the total.
            edge(own, part)
        return total


Fold: TypeAlias = Callable[[FoldedEdge, nn.Module, float], None]
"""`(edge, operation, weight)`: adds one operation of a family to a folded edge; the weight may be zero."""


class FoldedGraph(nn.Module):
    """The graph of one cell in evaluation mode, with one ReLU and one pooling of each kind per node.

    Args:
        routes: One per edge, as in `walk`.
        edges: The operations of each edge, `EdgeOperations`.
        weights: Per variant the rows of its weight matrix; a single None for a network with one operation per edge.
        fold: Adds an operation to a folded edge.
        batch: Number of images per variant.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        edges: Iterable[nn.Module],
        weights: Sequence[list[list[float]] | None],
        fold: Fold,
        batch: int,
    ) -> None:
        super().__init__()
        nodes = range(max(target for _, target in routes))
        relus = [SharedReLU(len(weights)) for _ in nodes]
        self.poolings: list[dict[type[nn.Module], nn.Module]] = [{} for _ in nodes]
        folded: list[FoldedEdge | ForkedEdge] = []
        parts: list[Callable[[Tensor], Tensor]] = []
        for number, ((source, _), edge) in enumerate(zip(routes, edges, strict=True)):
            assert isinstance(edge, EdgeOperations)
            rows = [None if matrix is None else matrix[number] for matrix in weights]
            if all(row == rows[0] for row in rows):
                own = [_fold_edge(edge, rows[0], fold)] * len(rows)
                folded.append(own[0])
            else:
                own = [_fold_edge(edge, row, fold) for row in rows]
                folded.append(ForkedEdge(own, batch))
            for variant, each in enumerate(own):
                relus[source].computed[variant] += each.computed
                relus[source].blocks[variant] += each.blocks
                relus[source].removed[variant] += each.removed
                self.poolings[source].update({type(pooling): pooling for pooling, *_ in each.poolings})
                parts += [*each.rectifying, *(module for module, _ in each.others)]
        # By source, so that of one node at a time a rectified and a pooled copy are in memory.
        order = sorted(range(len(folded)), key=lambda number: routes[number][0])
        self.routes = [routes[number] for number in order]
        self.edges = [folded[number] for number in order]
        self.relus = nn.ModuleList(relus)
        # So that hooks and modes reach the modules of the edges.
        self.parts = nn.ModuleList(part for part in parts if isinstance(part, nn.Module))

    def forward(self, inputs: Sequence[Tensor], like: Tensor) -> list[Tensor]:
        """The values of all nodes, as of `walk` over the unfolded edges."""
        latest: dict[int, Node] = {}

        def add_edge(number: int, value: Tensor, total: Tensor | None) -> Tensor | None:
            source, _ = self.routes[number]
            if source not in latest:
                latest.clear()
                latest[source] = self._read(source, value)
            return self.edges[number](latest[source], total)

        return walk(self.routes, inputs, like, add_edge)

    def _read(self, number: int, value: Tensor) -> Node:
        relu = self.relus[number]
        assert isinstance(relu, SharedReLU)
        rectified = relu(value) if relu.is_needed else value
        return Node(value, rectified, {kind: pooling(value) for kind, pooling in self.poolings[number].items()})


def _fold_edge(edge: EdgeOperations, weights: Sequence[float] | None, fold: Fold) -> FoldedEdge:
    folded = FoldedEdge()
    for name, weight in zip(edge.names, [1.0] * len(edge.names) if weights is None else weights, strict=True):
        if name in edge.operations:
            fold(folded, edge.operations[name], weight)
    return folded


def add_in_place(total: Tensor | None, term: Tensor, factor: float | Tensor = 1.0) -> Tensor:
    """The total, changed in place, plus a multiple of a term.

    Args:
        total: `[batch, ...]` or `[variants * batch, ...]`; None for a new one.
        term: Of the same length, or of the other one: what is the same for all variants is added to each of them. A
            longer term makes a new total.
        factor: A number, or one per channel `[channels, 1, 1]`.
    """
    if total is None:
        return term * factor
    if len(total) < len(term):
        total = torch.cat([total] * (len(term) // len(total)))
    changed = total.view(-1, *term.shape) if len(total) > len(term) else total
    if isinstance(factor, Tensor):
        changed.addcmul_(term, factor)
    else:
        changed.add_(term, alpha=factor)
    return total


def affine_map(norm: nn.BatchNorm2d, factor: float) -> tuple[Float[Tensor, " channels"], Float[Tensor, " channels"]]:
    """Scale and shift per channel of a multiple of a batch norm in evaluation mode."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = factor * (norm.running_var + norm.eps).rsqrt()
    shift = torch.zeros_like(scale)
    if norm.affine:
        scale, shift = scale * norm.weight, factor * norm.bias
    return scale, shift - scale * norm.running_mean


def variants_that_fit(images: Tensor, channels: int) -> int:
    """How many variants are fastest when they are folded into one, at least one.

    Many where networks are small and the calls of operations cost most.

    Args:
        images: One batch, `[batch, channels, height, width]`.
        channels: Number of channels of the largest feature map, which has the size of the images.
    """
    largest = channels * images[:, 0].numel() * images.element_size()
    return max(1, (CACHED_BYTES if images.device.type == "cpu" else DEVICE_BYTES) // largest)
