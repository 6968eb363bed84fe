"""A straightforward form of the score that the published Zero-Cost-PT code computes on NAS-Bench-201.

Written from its description, as the thing that fast paths are compared with: the network is copied for every score,
every operation is run, every module whose class name contains "ReLU" is watched, and each of them costs two products of
floating-point matrices. A block with weight zero is watched on its real input and then works on zeros.
"""

import copy
from collections.abc import Sequence
from types import MethodType

import torch
from torch import Tensor, nn

from opselect.spaces.cell_graph import EdgeOperations
from opselect.spaces.nasbench201.network import CellNetwork
from opselect.spaces.nasbench201.operations import ReLUConvBN
from opselect.spaces.space import Weights


def published_score(supernet: CellNetwork, weights: Weights, images: Tensor) -> float:
    """Log-determinant of the kernel of the ReLUs' codes, without gradients."""
    network = copy.deepcopy(supernet).eval()
    kernel = torch.zeros(len(images), len(images))

    def watch(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        codes = (inputs[0].reshape(len(images), -1) > 0).float()
        kernel.add_(codes @ codes.T + (1 - codes) @ (1 - codes.T))

    for module in network.modules():
        if "ReLU" in type(module).__name__:
            module.register_forward_pre_hook(watch)
        if isinstance(module, EdgeOperations):
            module.forward = MethodType(_every_operation, module)  # type: ignore[method-assign]
        if isinstance(module, ReLUConvBN):
            module.register_forward_pre_hook(_blocked)  # after the watch, which sees the input as it comes
    with torch.no_grad():
        network(images, weights)
    return float(torch.linalg.slogdet(kernel.double()).logabsdet)


def _blocked(block: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
    return (torch.zeros_like(inputs[0]),) if getattr(block, "is_blocked", False) else None


def _every_operation(edge: EdgeOperations, value: Tensor, weights: Tensor, computed: Sequence[bool]) -> Tensor:
    total = torch.zeros_like(value)
    for index, name in enumerate(edge.names):
        if name in edge.operations:
            operation = edge.operations[name]
            vars(operation)["is_blocked"] = not computed[index]
            total = total + weights[index] * operation(value)
    return total
