"""NASWOT: how differently the ReLUs of an untrained network see the images of one batch."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from opselect.selectors.proxies.interface import UnscorableNetwork, evaluation_form, most_together
from opselect.selectors.proxies.kernels import Kernels, log_determinants
from opselect.spaces.cell_graph import EdgeOperations, SharedReLU
from opselect.spaces.images import LabelledImages
from opselect.spaces.inspection import Hook, hooks, mode
from opselect.spaces.space import Weights


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
            network: A network of images; it is not changed.
            batch: At least two images; two images with one code give minus infinity, since K is then singular.

        Raises:
            UnscorableNetwork: No ReLU was reached.
        """
        return log_determinants(self.kernels(evaluation_form(network, len(batch)), batch))[0]

    def score_many(self, supernet: nn.Module, weights: Sequence[Weights], batch: LabelledImages) -> list[float]:
        """The scores of a supernet under each of several weights; what they have in common is computed once.

        Args:
            supernet: A `Supernet`; it is not changed.
            weights: Each `[edges, operations]`.
            batch: As for one network.

        Raises:
            UnscorableNetwork: No ReLU was reached.
        """
        kernels = []
        together = most_together(supernet, batch)
        for start in range(0, len(weights), together):
            variants = weights[start : start + together]
            form = evaluation_form(supernet, len(batch), variants)
            kernels.append(self.kernels(form, batch).expand(len(variants), -1, -1))
        return log_determinants(torch.cat(kernels))

    def kernels(self, network: nn.Module, batch: LabelledImages) -> Float[Tensor, "variants batch batch"]:
        """The matrix K of every variant of a network; one where they do not differ.

        Args:
            network: A network of images as it is; no other form is used.
            batch: As for a score.

        Raises:
            UnscorableNetwork: No ReLU was reached.
        """
        kernels = Kernels(len(batch))
        made = ((module, self._hook(module, kernels)) for module in network.modules())
        counted = [(module, hook) for module, hook in made if hook is not None]
        with hooks(counted), mode(network, training=False), torch.no_grad():
            network(batch.images)
        if kernels.total is None:
            raise UnscorableNetwork("nwot: the network has no ReLU that is computed")
        return kernels.total

    def _hook(self, module: nn.Module, kernels: Kernels) -> Hook | None:
        """Adds the kernels of a module when it is called; None where it has none."""
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

    def _hook(self, module: nn.Module, kernels: Kernels) -> Hook | None:
        match module:
            case SharedReLU():
                return _shared_reference_hook(module, kernels)
            case EdgeOperations():
                return _removed_operations_hook(module, kernels)
            case _ if _is_relu_block(module):
                return lambda _, inputs, __: kernels.add(inputs[0])
            case _:
                return super()._hook(module, kernels)


nwot = NASWOT()
nwot_reference = NASWOTReference()


def _is_relu_block(module: nn.Module) -> bool:
    """Whether a module declares by `is_relu_block` that it is a ReLU-conv-BN block, whatever its class."""
    return getattr(module, "is_relu_block", False) is True


def _shared_reference_hook(relu: SharedReLU, kernels: Kernels) -> Hook:
    """A computed ReLU of a block counts twice; a removed one as its block on the real input, and as itself on zeros."""
    times = [sum(counts) for counts in zip(relu.computed, relu.blocks, relu.removed, strict=True)]

    def hook(_: nn.Module, inputs: tuple[Tensor], __: object) -> None:
        units = inputs[0][0].numel()
        kernels.add(inputs[0], times, [removed * units for removed in relu.removed])

    return hook


def _removed_operations_hook(edge: EdgeOperations, kernels: Kernels) -> Hook:
    def hook(_: nn.Module, inputs: tuple[Tensor, object, list[bool]], __: object) -> None:
        value, _weights, computed = inputs
        for name, is_computed in zip(edge.names, computed, strict=True):
            if not is_computed and name in edge.operations and _is_relu_block(edge.operations[name]):
                kernels.add(value)
                kernels.add(torch.zeros_like(value))

    return hook
