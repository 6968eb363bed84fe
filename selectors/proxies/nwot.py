"""NASWOT: how differently the ReLUs of an untrained network see the images of one batch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from opselect.selectors.proxies.measuring import UnscorableNetwork, Weighted
from opselect.spaces.cellnet import CellNetwork, EdgeOperations
from opselect.spaces.counting import mode
from opselect.spaces.darts_folding import FoldedDARTSNetwork
from opselect.spaces.dartsnet import DARTSNetwork
from opselect.spaces.folding import FoldedNetwork, SharedReLU
from opselect.spaces.images import LabelledImages
from opselect.spaces.operations import ReLUConvBN

Hook: TypeAlias = Callable[..., None]


def nwot(network: nn.Module, batch: LabelledImages) -> float:
    """Log-determinant of the agreement of ReLU codes; larger is better.

    With c_i the on/off code of image i over all ReLUs that are computed, the score is log |det K|, where K_ij is the
    number of units on which c_i and c_j agree. Every ReLU counts once; an operation that is not computed contributes
    nothing. Eval mode, so that batch norm uses its initial statistics, as in the published code. Labels are not used.

    Args:
        network: left as found.
        batch: at least two images; two images with one code give minus infinity, since K is then singular.

    Raises:
        UnscorableNetwork: no ReLU was reached.

    Source: Mellor et al., Neural Architecture Search without Training, ICML 2021, section 3.
    """
    return _log_determinant(kernel(folded(network), batch))


def nwot_reference(network: nn.Module, batch: LabelledImages) -> float:
    """The "jacob" score of the published Zero-Cost-PT code, which counts convolutions twice; larger is better.

    As `nwot`, with two differences that are needed to reproduce its numbers. (1) The code hooks every module whose
    class name contains "ReLU", so the input of a ReLU-conv-BN block counts once for its ReLU and once for the block.
    (2) On NAS-Bench-201 a removed operation still runs, on an input of zeros: its block sees the real input, and its
    ReLU sees zeros, on which all images agree. Determinants are in double precision, not single.

    Source: zerocost_operation_score, nasbench201/op_score.py (the proxy behind the numbers of arXiv 2106.06799).
    """
    return _log_determinant(reference_kernel(folded(network), batch))


def folded(network: nn.Module) -> nn.Module:
    """The same network in a form that is several times faster to measure, where there is one.

    Rounding differs, so a unit whose input is zero but for rounding may be on in one form and off in the other.
    """
    match network:
        case CellNetwork(members=1):
            return FoldedNetwork(network, None)
        case Weighted(supernet=CellNetwork(members=1) as supernet, weights=weights):
            return FoldedNetwork(supernet, weights)
        case DARTSNetwork(auxiliary=None):
            return FoldedDARTSNetwork(network, None)
        case Weighted(supernet=DARTSNetwork(auxiliary=None) as supernet, weights=weights):
            return FoldedDARTSNetwork(supernet, weights)
        case _:
            return network


def kernel(network: nn.Module, batch: LabelledImages) -> Float[Tensor, "batch batch"]:
    """The matrix K of `nwot`: on how many computed ReLU units each pair of images agrees.

    Raises:
        UnscorableNetwork: no ReLU was reached.
    """
    return _summed(network, batch, _relu_hook)


def reference_kernel(network: nn.Module, batch: LabelledImages) -> Float[Tensor, "batch batch"]:
    """The matrix K of `nwot_reference`; its diagonal is the number of counted units, whatever is removed.

    Raises:
        UnscorableNetwork: no ReLU was reached.
    """

    def hook(module: nn.Module, kernels: list[Tensor]) -> Hook | None:
        match module:
            case SharedReLU():
                return _shared_reference_hook(module, kernels)
            case EdgeOperations():
                return _removed_operations_hook(module, kernels)
            case ReLUConvBN():
                return lambda _, inputs, __: kernels.append(agreement(inputs[0]))
            case _:
                return _relu_hook(module, kernels)

    return _summed(network, batch, hook)


def agreement(features: Tensor) -> Float[Tensor, "batch batch"]:
    """On how many units two images agree in being above zero or not, for all pairs.

    With codes in {0, 1} and c_i . c_i units above zero in image i, the number is units - c_i . c_i - c_j . c_j +
    2 c_i . c_j: one product, and exact, since it holds integers only.

    Args:
        features: what a ReLU receives, `[batch, ...]`.
    """
    if features.ndim == 4 and features.is_contiguous(memory_format=torch.channels_last):
        # Which unit is which does not matter, so they are taken as they lie in memory.
        features = features.permute(0, 2, 3, 1)
    codes = features.flatten(1) > 0
    if codes.device.type == "cpu" and _multiplies_bytes_fast():
        both = torch._int_mm(codes.view(torch.int8), codes.view(torch.int8).T).to(torch.float32)
    else:
        both = codes.to(torch.float32) @ codes.to(torch.float32).T
    above = both.diagonal()
    return codes.shape[1] + 2 * both - above[:, None] - above


@cache
def _multiplies_bytes_fast() -> bool:
    """Whether the processor has instructions for products of bytes; without them torch has a slow loop for these."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict[str, bool])()
    return hasattr(torch, "_int_mm") and bool(capabilities.get("avx512_vnni"))


def _relu_hook(module: nn.Module, kernels: list[Tensor]) -> Hook | None:
    if not isinstance(module, nn.ReLU):
        return None
    times = module.computed if isinstance(module, SharedReLU) else 1
    return (lambda _, inputs, __: kernels.append(times * agreement(inputs[0]))) if times else None


def _shared_reference_hook(relu: SharedReLU, kernels: list[Tensor]) -> Hook:
    """A computed ReLU of a block counts twice; a removed one as its block on the real input, and as itself on zeros."""

    def hook(_: nn.Module, inputs: tuple[Tensor], __: object) -> None:
        seen = (relu.computed + relu.blocks + relu.removed) * agreement(inputs[0])
        kernels.append(seen + relu.removed * inputs[0][0].numel())

    return hook


def _removed_operations_hook(edge: EdgeOperations, kernels: list[Tensor]) -> Hook:
    def hook(_: nn.Module, inputs: tuple[Tensor, object, list[bool]], __: object) -> None:
        value, _weights, computed = inputs
        for name, is_computed in zip(edge.names, computed, strict=True):
            if not is_computed and name in edge.operations and isinstance(edge.operations[name], ReLUConvBN):
                kernels.append(agreement(value))
                kernels.append(agreement(torch.zeros_like(value)))

    return hook


@contextmanager
def _hooks(network: nn.Module, make: Callable[[nn.Module], Hook | None]) -> Iterator[None]:
    made = [(module, make(module)) for module in network.modules()]
    handles = [module.register_forward_hook(hook) for module, hook in made if hook is not None]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _summed(
    network: nn.Module,
    batch: LabelledImages,
    make: Callable[[nn.Module, list[Tensor]], Hook | None],
) -> Float[Tensor, "batch batch"]:
    """The sum of the kernels that the hooks collect in one pass, in eval mode."""
    kernels: list[Tensor] = []
    with _hooks(network, lambda module: make(module, kernels)), mode(network, training=False), torch.no_grad():
        network(batch.images)
    if not kernels:
        raise UnscorableNetwork("nwot: the network has no ReLU that is computed")
    return torch.stack(kernels).to(torch.float64).sum(0)


def _log_determinant(kernel: Float[Tensor, "batch batch"]) -> float:
    return float(torch.linalg.slogdet(kernel).logabsdet)
