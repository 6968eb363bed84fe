"""DARTS networks as evaluation mode computes them: one ReLU and one pooling of a kind a node, norms in convolutions.

As `folding` does for cells of NAS-Bench-201: all operations on edges that leave one node rectify and pool the same
input, and in evaluation mode a batch norm is an affine map, which the pointwise convolution before it can absorb
together with the weight of its operation. Depthwise convolutions stay apart: side by side in wider ones they are no
faster, and bringing their inputs side by side costs more than it saves.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from opselect.spaces.darts.network import DARTSCell, DARTSNetwork
from opselect.spaces.darts.operations import DilatedConvolution, FactorizedReduction, Noise, SeparableConvolution
from opselect.spaces.nasbench201.folded import SharedReLU, affine_map
from opselect.spaces.nasbench201.network import EdgeOperations
from opselect.spaces.space import Weights


class FoldedPointwise(nn.Module):
    """A depthwise convolution where there is one, then a pointwise one that has absorbed norm and weight."""

    def __init__(
        self, depthwise: nn.Conv2d | None, pointwise: nn.Conv2d, norm: nn.BatchNorm2d, factor: float = 1.0
    ) -> None:
        super().__init__()
        scale, self.bias = affine_map(norm, factor)
        self.depthwise = depthwise
        self.pointwise = pointwise
        self.kernel = scale[:, None, None, None] * pointwise.weight

    def forward(self, rectified: Tensor) -> Tensor:
        """`[batch, channels, height, width]`, already rectified."""
        value = rectified if self.depthwise is None else self.depthwise(rectified)
        return functional.conv2d(value, self.kernel, self.bias, stride=self.pointwise.stride)


class FoldedSeparable(nn.Sequential):
    """A separable or dilated convolution whose first ReLU is the node's."""

    def __init__(self, operation: nn.Sequential, factor: float) -> None:
        layers = list(operation)
        parts: list[nn.Module] = []
        for start in range(0, len(layers), 4):
            relu, depthwise, pointwise, norm = layers[start : start + 4]
            parts += [relu] if start else []
            is_last = start + 4 == len(layers)
            parts.append(FoldedPointwise(depthwise, pointwise, norm, factor if is_last else 1.0))  # type: ignore[arg-type]
        super().__init__(*parts)


class FoldedReduction(nn.Module):
    """A factorised reduction whose ReLU is the node's."""

    def __init__(self, operation: FactorizedReduction, factor: float) -> None:
        super().__init__()
        self.even, self.odd = operation.even, operation.odd
        scale, self.bias = affine_map(operation.norm, factor)
        half = self.even.out_channels
        self.kernels = [
            scale[:half, None, None, None] * self.even.weight,
            scale[half:, None, None, None] * self.odd.weight,
        ]

    def forward(self, rectified: Tensor) -> Tensor:
        """Half the size."""
        even = functional.conv2d(rectified, self.kernels[0], stride=2)
        odd = functional.conv2d(rectified[:, :, 1:, 1:], self.kernels[1], stride=2)
        return torch.cat([even, odd], dim=1).add_(self.bias[None, :, None, None])


class FoldedDARTSEdge(nn.Module):
    """One edge: convolutions of the rectified source, multiples of the pooled one, of noise and of itself."""

    def __init__(self, edge: EdgeOperations, weights: Tensor | None, relu: SharedReLU) -> None:
        super().__init__()
        self.rectifying = nn.ModuleList()
        self.poolings: list[tuple[type[nn.Module], Tensor, Tensor | None]] = []
        # A module among modules, for noise is another one in training.
        self.noises = nn.ModuleList()
        self.noise_factors: list[float] = []
        self.unchanged = 0.0
        factors = [1.0] * len(edge.names) if weights is None else weights.tolist()
        for name, factor in zip(edge.names, factors, strict=True):
            if factor == 0 or name not in edge.operations:
                continue
            match operation := edge.operations[name]:
                case SeparableConvolution() | DilatedConvolution():
                    relu.computed[0] += 1
                    self.rectifying.append(FoldedSeparable(operation, factor))
                case FactorizedReduction():
                    relu.computed[0] += 1
                    self.rectifying.append(FoldedReduction(operation, factor))
                case nn.Identity():
                    self.unchanged += factor
                case Noise():
                    self.noises.append(operation)
                    self.noise_factors.append(factor)
                case nn.Sequential():
                    # A pooling of a supernet has a norm behind it.
                    pooling, norm = operation
                    assert isinstance(norm, nn.BatchNorm2d)
                    scale, shift = (each[:, None, None] for each in affine_map(norm, factor))
                    self.poolings.append((type(pooling), scale, shift if shift.any() else None))
                case pooling:
                    self.poolings.append((type(pooling), torch.tensor(factor), None))

    def forward(
        self, value: Tensor, rectified: Tensor, pooled: dict[type[nn.Module], Tensor], total: Tensor | None
    ) -> Tensor | None:
        """The sum so far plus this edge; the sum so far is changed in place."""
        for operation in self.rectifying:
            term = operation(rectified)
            total = term if total is None else total.add_(term)
        for kind, scale, shift in self.poolings:
            total = scale * pooled[kind] if total is None else total.addcmul_(pooled[kind], scale)
            if shift is not None:
                total = total.add_(shift)
        for noise, factor in zip(self.noises, self.noise_factors, strict=True):
            total = factor * noise(value) if total is None else total.add_(noise(value), alpha=factor)
        if self.unchanged:
            total = self.unchanged * value if total is None else total.add_(value, alpha=self.unchanged)
        return total


class FoldedDARTSCell(nn.Module):
    """A cell with one ReLU and one pooling of a kind for all edges that leave a node."""

    def __init__(self, cell: DARTSCell, weights: Weights | None) -> None:
        super().__init__()
        self.first_input, self.second_input = cell.first_input, cell.second_input
        self.inner_nodes = cell.inner_nodes
        self.relus = nn.ModuleList(SharedReLU() for _ in range(cell.inner_nodes[-1]))
        self.edges = nn.ModuleList()
        self.leaving: list[list[tuple[int, FoldedDARTSEdge]]] = [[] for _ in self.relus]
        self.poolings: list[dict[type[nn.Module], nn.Module]] = [{} for _ in self.relus]
        self.strides = [cell.stride(node) for node in range(len(self.relus))]
        for number, ((source, target), edge) in enumerate(zip(cell.routes, cell.edges, strict=True)):
            relu = self.relus[source]
            assert isinstance(edge, EdgeOperations) and isinstance(relu, SharedReLU)
            folded = FoldedDARTSEdge(edge, None if weights is None else weights[number], relu)
            self.edges.append(folded)
            self.leaving[source].append((target, folded))
            for operation in edge.operations.values():
                pooling = operation[0] if type(operation) is nn.Sequential else operation
                if any(kind is type(pooling) for kind, *_ in folded.poolings):
                    self.poolings[source][type(pooling)] = pooling

    def forward(self, before_previous: Tensor, previous: Tensor) -> Tensor:
        """The concatenated inner nodes."""
        nodes: list[Tensor | None] = [self.first_input(before_previous), self.second_input(previous)]
        nodes += [None] * len(self.inner_nodes)
        inputs = nodes[1]
        assert inputs is not None
        nothing = torch.zeros_like(inputs[:, :, :: self.strides[0], :: self.strides[0]])
        for node, (relu, leaving) in enumerate(zip(self.relus, self.leaving, strict=True)):
            present = nodes[node]
            value = nothing if present is None else present
            rectified = relu(value) if relu.is_needed else value
            pooled = {kind: pooling(value) for kind, pooling in self.poolings[node].items()}
            for target, edge in leaving:
                nodes[target] = edge(value, rectified, pooled, nodes[target])
        inner = [nodes[node] for node in self.inner_nodes]
        return torch.cat([nothing if value is None else value for value in inner], dim=1)


class FoldedDARTSNetwork(nn.Module):
    """A network or a supernet under fixed weights, ready to be measured.

    Args:
        network: in any mode; its modules outside the cells are shared, not copied.
        weights: of a supernet; None for a network with one operation an edge.
    """

    @torch.no_grad()
    def __init__(self, network: DARTSNetwork, weights: Weights | None) -> None:
        super().__init__()
        self.stem = network.stem
        self.cells = nn.ModuleList(
            FoldedDARTSCell(cell, None if weights is None else weights[network.rows[kind]])
            for kind, cell in zip(network.kinds, network.cells, strict=True)
            if isinstance(cell, DARTSCell)
        )
        self.head = nn.Sequential(network.pooling, nn.Flatten(), network.classifier)

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[batch, classes]`, as of the unfolded network in evaluation mode."""
        outputs = [images.contiguous(memory_format=torch.channels_last)]
        for part in self.stem:
            outputs.append(part(outputs[-1]))
        before_previous, previous = (outputs[-1], outputs[-1]) if len(self.stem) == 1 else outputs[-2:]
        for cell in self.cells:
            before_previous, previous = previous, cell(before_previous, previous)
        logits: Tensor = self.head(previous)
        return logits
