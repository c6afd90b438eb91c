"""A vanilla convolutional net of a thousand layers, which an initialization makes trainable.

L. Xiao, Y. Bahri, J. Sohl-Dickstein, S. Schoenholz, J. Pennington: Dynamical isometry and a mean field theory of CNNs:
how to train 10,000-layer vanilla convolutional neural networks. ICML 2018, algorithm 1 (delta-orthogonal kernels) and
section 4 (tanh, no batch norm, no shortcut).
"""

import torch
from torch import Tensor, nn


def delta_orthogonal_(weight: Tensor, gain: float = 1.0) -> Tensor:
    """Fill a kernel (out, in, k, k) with zeros, and its middle with a matrix of orthonormal columns, times `gain`.

    The convolution then keeps the length of every input that lies inside the borders: all its singular values are
    `gain`. Wants out ≥ in and odd k; ValueError says so.
    """
    if weight.ndim != 4:
        raise ValueError(f"delta_orthogonal_: a weight of shape {tuple(weight.shape)}; wanted (out, in, k, k).")
    out_channels, in_channels, height, width = weight.shape
    if out_channels < in_channels or height % 2 == 0 or width % 2 == 0:
        raise ValueError(
            f"delta_orthogonal_: a kernel of shape {tuple(weight.shape)}; wanted at least as many outputs as inputs, "
            "and odd sides."
        )
    with torch.no_grad():
        weight.zero_()
        middle = torch.empty(out_channels, in_channels, dtype=weight.dtype, device=weight.device)
        weight[:, :, height // 2, width // 2] = nn.init.orthogonal_(middle) * gain  # (out, in)
    return weight


class VanillaCNN(nn.Module):
    """Convolutions of 3×3 and tanh, `depth` of them, and nothing else. Output (N, classes).

    The first three halve the sides (the first of them not), as in section 4; after the last, global average pooling.

    Args:
        depth: convolutions, 3 or more. 1,000 train.
        width: channels.
        bias_std: standard deviation of the biases; on the critical line of tanh with σ_w² = 1 it is 0.
        gain: of the kernels; 1 on that line.
    """

    def __init__(
        self,
        depth: int = 1000,
        width: int = 32,
        classes: int = 10,
        in_channels: int = 3,
        bias_std: float = 0.0,
        gain: float = 1.0,
    ):
        super().__init__()
        if depth < 3:
            raise ValueError(f"VanillaCNN: depth is {depth}; wanted 3 or more.")
        if width < in_channels:
            raise ValueError(f"VanillaCNN: width is {width}; wanted at least the {in_channels} channels of the input.")
        strides = [1, 2, 2] + [1] * (depth - 3)
        channels = [in_channels] + [width] * depth
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels[i], channels[i + 1], 3, stride, padding=1) for i, stride in enumerate(strides)
        )
        self.classifier = nn.Linear(width, classes)
        for convolution in self.convolutions:
            delta_orthogonal_(convolution.weight, gain)
            nn.init.normal_(convolution.bias, 0.0, bias_std)

    def forward(self, x: Tensor) -> Tensor:
        for convolution in self.convolutions:
            x = torch.tanh(convolution(x))  # (N, width, H, W)
        return self.classifier(x.mean(dim=(2, 3)))  # (N, classes)
