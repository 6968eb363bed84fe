"""Cell networks as evaluation mode computes them: fewer, larger pieces that give the same values.

In evaluation mode a batch norm is an affine map, so the weighted convolutions of one edge are one convolution with a
merged kernel; and all operations on edges that leave one node rectify and pool the same input, so each node does that
once. The folded network shares the other modules of the one that it is made of, and is for measuring only: it has no
gradients and no training mode.

A supernet can be folded under several weight matrices at once, as the perturbations of one edge are. These *members*
share everything before the first edge on which they differ; behind it their images lie one after the other in one
batch, and only the edges on which they differ treat each member's part apart.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from opselect.spaces.nasbench201.network import Cell, CellNetwork, EdgeOperations
from opselect.spaces.nasbench201.operations import AveragePooling, ReLUConvBN
from opselect.spaces.space import Weights


class SharedReLU(nn.ReLU):
    """The ReLU of one node, in place of those of all convolutions that leave it.

    Attributes:
        computed: by member, how many ReLUs of the unfolded cell it stands for.
        blocks: by member, how many of these belong to a `ReLUConvBN`.
        removed: by member, how many blocks more would be there if none had the weight zero.
    """

    def __init__(self, members: int = 1) -> None:
        super().__init__()
        self.computed = [0] * members
        self.blocks = [0] * members
        self.removed = [0] * members

    @property
    def is_needed(self) -> bool:
        """Whether anything looks at what it returns, or at what it receives."""
        return any(self.computed) or any(self.removed)


def affine_map(norm: nn.BatchNorm2d, factor: float) -> tuple[Tensor, Tensor]:
    """Scale and shift, one a channel, of a multiple of a batch norm in evaluation mode."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = factor * (norm.running_var + norm.eps).rsqrt()
    shift = torch.zeros_like(scale)
    if norm.affine:
        scale, shift = scale * norm.weight, factor * norm.bias
    return scale, shift - scale * norm.running_mean


def plus(total: Tensor | None, term: Tensor, factor: float = 1.0) -> Tensor:
    """The total, changed in place, plus a multiple of a term; what is the same for all members is added to each."""
    if total is None:
        return term * factor
    if len(total) > len(term):
        total.view(-1, *term.shape).add_(term, alpha=factor)
        return total
    if len(total) < len(term):
        total = torch.cat([total] * (len(term) // len(total)))
    return total.add_(term, alpha=factor)


class FoldedEdge(nn.Module):
    """One edge: a convolution of the rectified source, a multiple of the pooled one and a multiple of itself.

    Args:
        edge: of the unfolded cell.
        weights: of its operations; None for the one operation of a network.
        relu: of the node that it leaves, which is told what it stands for.
        members: numbers of those that have these weights.
    """

    def __init__(
        self, edge: EdgeOperations, weights: Sequence[float] | None, relu: SharedReLU, members: Sequence[int]
    ) -> None:
        super().__init__()
        self.kernel: Tensor | None = None
        self.bias: Tensor | None = None
        self.pooled = 0.0
        self.unchanged = 0.0
        factors = [1.0] * len(edge.names) if weights is None else weights
        for name, factor in zip(edge.names, factors, strict=True):
            if name not in edge.operations:
                continue
            match operation := edge.operations[name]:
                case ReLUConvBN():
                    for member in members:
                        relu.removed[member] += factor == 0
                        relu.computed[member] += factor != 0
                        relu.blocks[member] += factor != 0
                    if factor != 0:
                        self._add_convolution(operation, factor)
                case AveragePooling():
                    self.pooled += factor
                case nn.Identity():
                    self.unchanged += factor

    def _add_convolution(self, operation: ReLUConvBN, factor: float) -> None:
        scale, bias = affine_map(operation.norm, factor)
        kernel = scale[:, None, None, None] * operation.convolution.weight
        if self.kernel is not None and self.bias is not None:
            # The smaller of two odd windows is the larger one with a frame of zeros.
            smaller, larger = sorted((self.kernel, kernel), key=lambda each: each.shape[-1])
            frame = (larger.shape[-1] - smaller.shape[-1]) // 2
            kernel = larger + functional.pad(smaller, [frame] * 4)
            bias = self.bias + bias
        self.kernel = kernel.contiguous(memory_format=torch.channels_last)
        self.bias = bias

    def forward(self, value: Tensor, rectified: Tensor, pooled: Tensor, total: Tensor | None) -> Tensor | None:
        """The sum so far plus this edge; the sum so far is changed in place."""
        if self.kernel is not None:
            term = functional.conv2d(rectified, self.kernel, self.bias, padding=self.kernel.shape[-1] // 2)
            total = term if total is None else plus(total, term)
        for other, factor in ((pooled, self.pooled), (value, self.unchanged)):
            if factor:
                total = plus(total, other, factor)
        return total


class ForkedEdge(nn.Module):
    """One edge on which the members differ: each has a folded edge of its own."""

    def __init__(self, edges: Sequence[FoldedEdge], batch: int) -> None:
        super().__init__()
        self.edges = nn.ModuleList(edges)
        self.batch = batch
        self.pooled = any(edge.pooled for edge in edges)

    def forward(self, value: Tensor, rectified: Tensor, pooled: Tensor, total: Tensor | None) -> Tensor | None:
        """As of a folded edge, with as many images for each member as a batch has."""

        def part(whole: Tensor, member: int) -> Tensor:
            return whole if len(whole) == self.batch else whole[member * self.batch : (member + 1) * self.batch]

        if total is not None and len(total) == self.batch:
            total = torch.cat([total] * len(self.edges))
        sums = [
            edge(
                *(part(each, member) for each in (value, rectified, pooled)),
                None if total is None else part(total, member),
            )
            for member, edge in enumerate(self.edges)
        ]
        if total is not None:
            return total  # of which every member's part was changed in place
        if all(each is None for each in sums):
            return None
        nothing = torch.zeros_like(part(value, 0))
        return torch.cat([nothing if each is None else each for each in sums])


class FoldedCell(nn.Module):
    """A cell with one ReLU and one pooling a node.

    Args:
        cell: the unfolded one.
        weights: the rows of one matrix a member; a single None for a network.
        batch: images of one member, where there are several.
    """

    def __init__(self, cell: Cell, weights: Sequence[list[list[float]] | None], batch: int) -> None:
        super().__init__()
        relus = [SharedReLU(len(weights)) for _ in range(max(target for _, target in cell.routes))]
        edges: list[FoldedEdge | ForkedEdge] = []
        for number, ((source, _), edge) in enumerate(zip(cell.routes, cell.edges, strict=True)):
            assert isinstance(edge, EdgeOperations)
            rows = [None if each is None else each[number] for each in weights]
            if all(row == rows[0] for row in rows):
                edges.append(FoldedEdge(edge, rows[0], relus[source], range(len(rows))))
            else:
                forks = [FoldedEdge(edge, row, relus[source], [member]) for member, row in enumerate(rows)]
                edges.append(ForkedEdge(forks, batch))
        self.relus, self.edges = nn.ModuleList(relus), nn.ModuleList(edges)
        self.pooling = AveragePooling()
        self.sources = [
            (
                relu,
                [(target, edge) for (source, target), edge in zip(cell.routes, edges, strict=True) if source == node],
            )
            for node, relu in enumerate(relus)
        ]

    def forward(self, images: Tensor) -> Tensor:
        """As of the unfolded cell under its weights."""
        nodes: list[Tensor | None] = [images] + [None] * len(self.relus)
        for node, (relu, leaving) in enumerate(self.sources):
            value = nodes[node]
            if value is None:
                value = torch.zeros_like(images)
            rectified = relu(value) if relu.is_needed else value
            pooled = self.pooling(value) if any(edge.pooled for _, edge in leaving) else value
            for target, edge in leaving:
                nodes[target] = edge(value, rectified, pooled, nodes[target])
        return torch.zeros_like(images) if nodes[-1] is None else nodes[-1]


class FoldedNetwork(nn.Module):
    """A network, or a supernet under fixed weights, ready to be measured.

    Args:
        network: in any mode; its modules outside the cells are shared, not copied.
        weights: of a supernet, one matrix a member; a single None for a network with one operation an edge.
        batch: how many images it will be given; needed where there are several members.
    """

    @torch.no_grad()
    def __init__(self, network: CellNetwork, weights: Sequence[Weights | None] = (None,), batch: int = 1) -> None:
        super().__init__()
        self.stem = network.stem
        rows = [None if each is None else each.tolist() for each in weights]
        self.body = nn.Sequential(
            *(FoldedCell(block, rows, batch) if isinstance(block, Cell) else block for block in network.body)
        )
        self.head = nn.Sequential(
            network.last_norm, network.last_relu, network.pooling, nn.Flatten(), network.classifier
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[members * batch, classes]`, as of the unfolded network in evaluation mode.

        Members that differ nowhere give one batch for all of them.
        """
        logits: Tensor = self.head(self.body(self.stem(images.contiguous(memory_format=torch.channels_last))))
        return logits
