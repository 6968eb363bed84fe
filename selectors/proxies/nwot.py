"""NASWOT: how differently the ReLUs of an untrained network see the images of one batch."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from opselect.selectors.proxies.interface import UnscorableNetwork, Weighted
from opselect.spaces.darts.folded import FoldedDARTSNetwork
from opselect.spaces.darts.network import DARTSNetwork
from opselect.spaces.images import LabelledImages
from opselect.spaces.inspection import mode
from opselect.spaces.nasbench201.folded import FoldedNetwork, SharedReLU
from opselect.spaces.nasbench201.network import CellNetwork, EdgeOperations
from opselect.spaces.nasbench201.operations import ReLUConvBN
from opselect.spaces.space import Weights

Hook: TypeAlias = Callable[..., None]

# Of one feature map of a stack. Larger ones than a processor's caches hold make a stack slower than its members were,
# by a quarter at full size and batch 256; a GPU has only its memory to keep.
CACHED_BYTES = 8 * 2**20
DEVICE_BYTES = 2**29


class NASWOT:
    """Log-determinant of the agreement of ReLU codes; larger is better.

    With c_i the on/off code of image i over all ReLUs that are computed, the score is log |det K|, where K_ij is the
    number of units on which c_i and c_j agree. Every ReLU counts once; an operation that is not computed contributes
    nothing. Eval mode, so that batch norm uses its initial statistics, as in the published code. Labels are not used.

    Source: Mellor et al., Neural Architecture Search without Training, ICML 2021, section 3.
    """

    def __call__(self, network: nn.Module, batch: LabelledImages) -> float:
        """The score of a network.

        Args:
            network: left as found.
            batch: at least two images; two images with one code give minus infinity, since K is then singular.

        Raises:
            UnscorableNetwork: no ReLU was reached.
        """
        return _log_determinants(self.kernels(folded(network), batch))[0]

    def score_many(self, supernet: nn.Module, weights: Sequence[Weights], batch: LabelledImages) -> list[float]:
        """The scores of a supernet under each of several weights; what they have in common is computed once."""
        kernels = []
        together = most_together(supernet, batch)
        for start in range(0, len(weights), together):
            part = weights[start : start + together]
            if len(part) > 1 and isinstance(supernet, CellNetwork):
                network: nn.Module = FoldedNetwork(supernet, part, len(batch))
            else:
                network = folded(Weighted(supernet, part[0]))
            kernels.append(self.kernels(network, batch).expand(len(part), -1, -1))
        return _log_determinants(torch.cat(kernels))

    def kernels(self, network: nn.Module, batch: LabelledImages) -> Float[Tensor, "members batch batch"]:
        """The matrix K of every member of a network; one where it has no members.

        Raises:
            UnscorableNetwork: no ReLU was reached.
        """
        return _summed(network, batch, self._hook)

    def _hook(self, module: nn.Module, kernels: "Kernels") -> Hook | None:
        """What adds the kernels of a module when it is called; None where it has none."""
        if not isinstance(module, nn.ReLU):
            return None
        if not isinstance(module, SharedReLU):
            return lambda _, inputs, __: kernels.add(inputs[0])
        return (lambda _, inputs, __: kernels.add(inputs[0], module.computed)) if any(module.computed) else None


class NASWOTReference(NASWOT):
    """The "jacob" score of the published Zero-Cost-PT code, which counts convolutions twice; larger is better.

    As `nwot`, with two differences that are needed to reproduce its numbers. (1) The code hooks every module whose
    class name contains "ReLU", so the input of a ReLU-conv-BN block counts once for its ReLU and once for the block.
    (2) On NAS-Bench-201 a removed operation still runs, on an input of zeros: its block sees the real input, and its
    ReLU sees zeros, on which all images agree. Determinants are in double precision, not single.

    Source: zerocost_operation_score, nasbench201/op_score.py (the proxy behind the numbers of arXiv 2106.06799).
    """

    def _hook(self, module: nn.Module, kernels: "Kernels") -> Hook | None:
        match module:
            case SharedReLU():
                return _shared_reference_hook(module, kernels)
            case EdgeOperations():
                return _removed_operations_hook(module, kernels)
            case ReLUConvBN():
                return lambda _, inputs, __: kernels.add(inputs[0])
            case _:
                return super()._hook(module, kernels)


nwot = NASWOT()
nwot_reference = NASWOTReference()


def most_together(supernet: nn.Module, batch: LabelledImages) -> int:
    """How many members are measured in one stack: many where networks are small and calls cost most, at least one."""
    if not isinstance(supernet, CellNetwork) or supernet.members > 1:
        return 1
    skeleton = supernet.arguments[2]
    largest = skeleton.channels * batch.images[:, 0].numel() * batch.images.element_size()
    return max(1, (CACHED_BYTES if batch.images.device.type == "cpu" else DEVICE_BYTES) // largest)


def folded(network: nn.Module) -> nn.Module:
    """The same network in a form that is several times faster to measure, where there is one.

    Rounding differs, so a unit whose input is zero but for rounding may be on in one form and off in the other.
    """
    match network:
        case CellNetwork(members=1):
            return FoldedNetwork(network)
        case Weighted(supernet=CellNetwork(members=1) as supernet, weights=weights):
            return FoldedNetwork(supernet, [weights])
        case DARTSNetwork(auxiliary=None):
            return FoldedDARTSNetwork(network, None)
        case Weighted(supernet=DARTSNetwork(auxiliary=None) as supernet, weights=weights):
            return FoldedDARTSNetwork(supernet, weights)
        case _:
            return network


class Kernels:
    """The sum of the kernels of all ReLUs of one pass, by member.

    Args:
        batch: images of one member. A module that receives no more than these sees the same for all members.
    """

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.total: Tensor | None = None

    def add(self, features: Tensor, times: Sequence[int] = (1,), units_besides: Sequence[int] = (0,)) -> None:
        """Add the kernel of what a ReLU receives.

        Args:
            features: `[members * batch, ...]`, or `[batch, ...]` of all members.
            times: how often it counts, by member or for all.
            units_besides: on how many units more all images agree, likewise.
        """
        found = agreement(features, self.batch).to(torch.float64)
        # Without waiting for the device, which a plain copy to it does.
        counts, besides = (
            torch.tensor(each, dtype=found.dtype)[:, None, None].to(found.device, non_blocking=True)
            for each in (times, units_besides)
        )
        # Integers, which doubles hold exactly.
        found = torch.addcmul(besides, counts, found)
        self.total = found if self.total is None else self.total + found


def agreement(features: Tensor, batch: int) -> Float[Tensor, "members batch batch"]:
    """On how many units two images agree in being above zero or not, for all pairs of images of a member.

    With codes in {0, 1} and c_i . c_i units above zero in image i, the number is units - c_i . c_i - c_j . c_j +
    2 c_i . c_j: one product, and exact, since it holds integers only.

    Args:
        features: what a ReLU receives, `[members * batch, ...]`.
        batch: images of one member.
    """
    if features.ndim == 4 and features.is_contiguous(memory_format=torch.channels_last):
        # Which unit is which does not matter, so they are taken as they lie in memory.
        features = features.permute(0, 2, 3, 1)
    codes = (features.flatten(1) > 0).view(-1, batch, features[0].numel())
    if codes.device.type == "cpu" and _multiplies_bytes_fast():
        members = codes.view(torch.int8).unbind()
        both = torch.stack([torch._int_mm(member, member.T) for member in members]).to(torch.float32)
    else:
        both = codes.to(torch.float32) @ codes.to(torch.float32).mT
    above = both.diagonal(dim1=1, dim2=2)
    return codes.shape[2] + 2 * both - above[:, :, None] - above[:, None, :]


@cache
def _multiplies_bytes_fast() -> bool:
    """Whether the processor has instructions for products of bytes; without them torch has a slow loop for these."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict[str, bool])()
    return hasattr(torch, "_int_mm") and bool(capabilities.get("avx512_vnni"))


def _shared_reference_hook(relu: SharedReLU, kernels: Kernels) -> Hook:
    """A computed ReLU of a block counts twice; a removed one as its block on the real input, and as itself on zeros."""
    seen = [sum(counts) for counts in zip(relu.computed, relu.blocks, relu.removed, strict=True)]

    def hook(_: nn.Module, inputs: tuple[Tensor], __: object) -> None:
        units = inputs[0][0].numel()
        kernels.add(inputs[0], seen, [removed * units for removed in relu.removed])

    return hook


def _removed_operations_hook(edge: EdgeOperations, kernels: Kernels) -> Hook:
    def hook(_: nn.Module, inputs: tuple[Tensor, object, list[bool]], __: object) -> None:
        value, _weights, computed = inputs
        for name, is_computed in zip(edge.names, computed, strict=True):
            if not is_computed and name in edge.operations and isinstance(edge.operations[name], ReLUConvBN):
                kernels.add(value)
                kernels.add(torch.zeros_like(value))

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
    make: Callable[[nn.Module, Kernels], Hook | None],
) -> Float[Tensor, "members batch batch"]:
    """The sum of the kernels that the hooks collect in one pass, in eval mode."""
    kernels = Kernels(len(batch))
    with _hooks(network, lambda module: make(module, kernels)), mode(network, training=False), torch.no_grad():
        network(batch.images)
    if kernels.total is None:
        raise UnscorableNetwork("nwot: the network has no ReLU that is computed")
    return kernels.total


def _log_determinants(kernels: Float[Tensor, "members batch batch"]) -> list[float]:
    """Of all members at once, so that a device is waited for once."""
    return torch.linalg.slogdet(kernels).logabsdet.tolist()
