"""Fully convolutional heads: a label for each pixel, from any backbone that gives maps of three sizes.

J. Long, E. Shelhamer, T. Darrell: Fully convolutional networks for semantic segmentation. CVPR 2015, section 4.2 and
figure 3: scores at stride 32, doubled and summed with scores at stride 16, doubled and summed with those at stride 8.
The scores of the finer maps begin at zero, upsampling begins bilinear.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def bilinear_kernel(factor: int) -> Tensor:
    """The kernel (2·factor, 2·factor) of a transposed convolution with stride `factor` that interpolates bilinearly."""
    size = 2 * factor
    middle = factor - 0.5
    one = 1 - (torch.arange(size) - middle).abs() / factor  # (size,)
    return one[:, None] * one[None]


def upsampling(channels: int, factor: int) -> nn.ConvTranspose2d:
    """(N, C, H, W) to (N, C, factor·H, factor·W), each channel on its own; begins bilinear and can be learned."""
    layer = nn.ConvTranspose2d(channels, channels, 2 * factor, factor, factor // 2, groups=channels, bias=False)
    with torch.no_grad():
        layer.weight.copy_(bilinear_kernel(factor).expand_as(layer.weight))
    return layer


def as_convolution(linear: nn.Linear, channels: int, side: int) -> nn.Conv2d:
    """A layer on a flattened (channels, side, side) map as a convolution: on a larger map it slides.

    ValueError when the sizes do not fit.
    """
    if linear.in_features != channels * side * side:
        raise ValueError(
            f"as_convolution: the layer takes {linear.in_features} numbers; wanted {channels}·{side}·{side} = "
            f"{channels * side * side}."
        )
    convolution = nn.Conv2d(channels, linear.out_features, side)
    with torch.no_grad():
        convolution.weight.copy_(linear.weight.reshape(linear.out_features, channels, side, side))
        convolution.bias.copy_(linear.bias)
    return convolution


class FCN(nn.Module):
    """FCN-32s, 16s or 8s. Input (N, C, H, W), sides multiples of the coarsest stride; output (N, classes, H, W).

        net = zoo.resnet(18)
        stages = (nn.Sequential(net.stem, net.stages[:2]), net.stages[2], net.stages[3])
        zoo.FCN(stages, (128, 256, 512), classes=2)

    Args:
        stages: three modules in a row, whose outputs have an eighth, a sixteenth and a thirty-second of the input's
            sides (or any three, each half of the one before).
        channels: of these outputs.
        finest: 32, 16 or 8: the stride of the finest map that is used.
        strides: of the three maps.

    Raises:
        ValueError: not three stages and channels, a finest stride that none of them has, or an input whose sides are no
            multiples of the coarsest.
    """

    def __init__(
        self,
        stages: Sequence[nn.Module],
        channels: tuple[int, int, int],
        classes: int,
        finest: int = 8,
        strides: tuple[int, int, int] = (8, 16, 32),
    ):
        super().__init__()
        if finest not in strides:
            raise ValueError(f"FCN: finest is {finest}; wanted one of {', '.join(map(str, strides))}.")
        if len(stages) != 3 or len(channels) != 3:
            found = f"{len(stages)} stages and {len(channels)} numbers of channels"
            raise ValueError(f"FCN: {found}; wanted three of each.")
        self.stages = nn.ModuleList(stages)
        self.first, self.coarsest = strides.index(finest), strides[-1]
        self.scores = nn.ModuleList(nn.Conv2d(c, classes, 1) for c in channels[self.first :])
        for score in self.scores[:-1]:
            nn.init.zeros_(score.weight)
            nn.init.zeros_(score.bias)
        self.doublings = nn.ModuleList(upsampling(classes, 2) for _ in self.scores[:-1])
        self.last = upsampling(classes, finest)

    def forward(self, x: Tensor) -> Tensor:
        if any(side % self.coarsest for side in x.shape[2:]):
            found = "×".join(map(str, x.shape[2:]))
            raise ValueError(f"FCN: an input of {found} pixels; wanted sides that are multiples of {self.coarsest}.")
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        *finer, coarsest = (score(m) for score, m in zip(self.scores, maps[self.first :], strict=True))
        total = coarsest  # (N, classes, H/32, W/32)
        for doubling, scores in zip(self.doublings, reversed(finer), strict=True):
            total = doubling(total) + scores  # sides doubled
        return self.last(total)  # (N, classes, H, W)
