"""Numbers for layers and inputs, none of them 0 or 1 by chance."""

import torch
from torch import Tensor, nn


def noise(*shape: int) -> Tensor:
    """The same normal numbers for the same shape."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def shaken(module: nn.Module) -> nn.Module:
    """The module in evaluation mode, its parameters and running statistics drawn anew."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in [*module.named_parameters(), *module.named_buffers()]:
            if value.is_floating_point():
                value.copy_(torch.randn(value.shape, generator=generator) * 0.3)
                if name.endswith("running_var"):
                    value.abs_().add_(0.5)
    return module.eval()
