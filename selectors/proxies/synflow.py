"""SynFlow: how much signal can flow through a network, without any data."""

import torch
from torch import nn
from torch.func import functional_call

from opselect.selectors.proxies.interface import layer_weights, weight_gradients
from opselect.spaces.images import LabelledImages
from opselect.spaces.inspection import mode


def synflow(network: nn.Module, batch: LabelledImages) -> float:
    """Sum of |w dR/dw| with R the output of the all-positive, linearised network on an image of ones; larger is better.

    All parameters are replaced by their absolute values, batch norm by the identity, the batch by one image of ones
    (only the shape of the batch is used), in double precision. The sum runs over the weights of convolutions and
    linear layers.

    Sources: Tanaka et al., NeurIPS 2020, equation 2; Abdelfattah et al., Zero-Cost Proxies, ICLR 2021, section 3.2.
    """
    weights = {name: weight.double().abs().detach().requires_grad_() for name, weight in layer_weights(network).items()}
    constants = {
        name: tensor.double().abs() if tensor.is_floating_point() else tensor
        for name, tensor in network.state_dict().items()
        if name not in weights
    }
    ones = torch.ones_like(batch.images[:1], dtype=torch.float64)
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            # These values make eval-mode batch norm the identity: it divides by sqrt(variance + eps).
            identity = {
                "running_mean": ones.new_zeros(module.num_features),
                "running_var": ones.new_full((module.num_features,), 1 - module.eps),
            }
            if module.affine:
                identity["weight"] = ones.new_ones(module.num_features)
                identity["bias"] = ones.new_zeros(module.num_features)
            constants |= {f"{name}.{key}": value for key, value in identity.items()}
    with mode(network, training=False):
        output = functional_call(network, weights | constants, (ones,))
    return float(sum((weight * gradient).abs().sum() for weight, gradient in weight_gradients(output.sum(), weights)))
