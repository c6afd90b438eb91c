"""DenseNet: each layer sees all feature maps before it, and adds a few of its own.

G. Huang, Z. Liu, L. van der Maaten, K. Weinberger: Densely connected convolutional networks. CVPR 2017, table 1
(DenseNet-121, growth rate 32) and section 3 (composite function, bottleneck, compression; the nets for CIFAR).
"""

from unmagic.zoo.initialization import he_

import typing

import torch
from torch import Tensor, nn


class DenseLayer(nn.Module):
    """BN → ReLU → convolution, with a bottleneck BN → ReLU → 1×1 to 4k maps before it.

    Input (N, C, H, W), output (N, C + k, H, W): what came in, and k new maps.
    """

    def __init__(self, in_channels: int, growth: int, bottleneck: bool = True):
        super().__init__()
        layers, channels = [], in_channels
        if bottleneck:
            layers += [nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, 4 * growth, 1, bias=False)]
            channels = 4 * growth
        layers += [nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, growth, 3, padding=1, bias=False)]
        self.new = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.new(x)], dim=1)


class DenseNet(nn.Module):
    """Dense blocks with transitions between them that halve the sides. Output (N, classes).

    Args:
        blocks: layers of each dense block.
        growth: k, the maps that each layer adds.
        stem: "imagenet": 7×7 with stride 2 and pooling (224 → 56); "small": one 3×3 convolution.
        stem_width: maps before the first block; 2k in the paper's nets with bottleneck and compression.
        bottleneck: 1×1 convolutions to 4k maps inside the layers ("B").
        compression: share of the maps that a transition keeps ("C" where it is below 1).
    """

    def __init__(
        self,
        blocks: tuple[int, ...] = (6, 12, 24, 16),
        growth: int = 32,
        classes: int = 1000,
        in_channels: int = 3,
        stem: str = "imagenet",
        stem_width: int | None = None,
        bottleneck: bool = True,
        compression: float = 0.5,
    ):
        super().__init__()
        if stem not in ("imagenet", "small"):
            raise ValueError(f"DenseNet: stem is {stem!r}; wanted 'imagenet' or 'small'.")
        channels = 2 * growth if stem_width is None else stem_width
        if stem == "imagenet":
            layers: list[nn.Module] = [
                nn.Conv2d(in_channels, channels, 7, 2, padding=3, bias=False),  # (N, 64, 112, 112)
                nn.BatchNorm2d(channels),
                nn.ReLU(),
                nn.MaxPool2d(3, 2, padding=1),  # (N, 64, 56, 56)
            ]
        else:
            layers = [nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)]
        for number, count in enumerate(blocks):
            if number:  # transition
                kept = int(channels * compression)
                if kept < 1:
                    raise ValueError(
                        f"DenseNet: of {channels} maps a compression of {compression} keeps none; wanted more."
                    )
                layers += [nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, kept, 1, bias=False)]
                layers.append(nn.AvgPool2d(2))  # (N, kept, H/2, W/2)
                channels = kept
            for _ in range(count):
                layers.append(DenseLayer(channels, growth, bottleneck))
                channels += growth
        self.features = nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.ReLU())  # (N, 1024, 7, 7)
        self.classifier = nn.Linear(channels, classes)
        he_(self)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean(dim=(2, 3)))  # (N, classes)


def densenet121(**options: typing.Any) -> DenseNet:
    """DenseNet-121 for 224×224: 7,978,856 parameters. Options are DenseNet's."""
    return DenseNet(**options)


def small_densenet(depth: int = 40, growth: int = 12, **options: typing.Any) -> DenseNet:
    """The plain DenseNet for 32×32 (section 4.1): three blocks of (depth − 4)/3 layers, 16 maps before the first.

    With 40 layers and k = 12: 1,019,722 parameters, the paper's 1.0 million. Options are DenseNet's.
    """
    n, rest = divmod(depth - 4, 3)
    if rest or n < 1:
        raise ValueError(f"small_densenet: depth is {depth}; wanted 3n + 4, such as 22 or 40.")
    defaults = {"classes": 10, "stem": "small", "stem_width": 16, "bottleneck": False, "compression": 1.0}
    return DenseNet((n, n, n), growth, **(defaults | options))
