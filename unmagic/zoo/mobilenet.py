"""MobileNet's block: one filter a channel, then a mixture of the channels at each place.

A. Howard and others: MobileNets: efficient convolutional neural networks for mobile vision applications, 2017, section
3.1 (depthwise separable convolution), figure 3 and table 1 (the network), section 3.3 (width multiplier).
"""

from unmagic.zoo.initialization import he_

from torch import Tensor, nn

# Table 1: output channels and stride of each block
TABLE = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))


class SeparableBlock(nn.Module):
    """Depthwise 3×3, BN, ReLU, pointwise 1×1, BN, ReLU. Input (N, in, H, W), output (N, out, H/stride, W/stride).

    9·in + in·out weights, where a full 3×3 convolution has 9·in·out.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, in_channels, 3, stride, padding=1, groups=in_channels, bias=False),
            nn.BatchNorm2d(in_channels),
            nn.ReLU(),  # (N, in, H/stride, W/stride)
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),  # (N, out, H/stride, W/stride)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class MobileNet(nn.Module):
    """Input (N, in_channels, 224, 224), output (N, classes). 4,231,976 parameters; the paper says 4.2 million.

    Args:
        width: the paper's multiplier α of all channels.
        table: (channels, stride) of each block, before the multiplier.
        stem_stride: of the first convolution, 2; 1 for images of 32 pixels.
    """

    def __init__(
        self,
        classes: int = 1000,
        in_channels: int = 3,
        width: float = 1.0,
        table: tuple[tuple[int, int], ...] = TABLE,
        stem_stride: int = 2,
    ):
        super().__init__()
        least = min(32, *(out for out, _ in table))
        if int(least * width) < 1:
            raise ValueError(f"MobileNet: {width} of {least} channels are none; wanted a width of 1/{least} or more.")
        channels = int(32 * width)
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, channels, 3, stem_stride, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),  # (N, 32, 112, 112)
        ]
        for out, stride in table:
            layers.append(SeparableBlock(channels, int(out * width), stride))
            channels = int(out * width)
        self.features = nn.Sequential(*layers)  # (N, 1024, 7, 7)
        self.classifier = nn.Linear(channels, classes)
        he_(self, "fan_out")

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean(dim=(2, 3)))  # (N, classes)
