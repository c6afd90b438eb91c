"""Network in network: a small perceptron slides over the image, and global average pooling ends it.

M. Lin, Q. Chen, S. Yan: Network in network. ICLR 2014, sections 3.1 (mlpconv) and 3.2 (global average pooling). The
paper gives no table of sizes; these are those of the authors' network for CIFAR-10.
"""

from unmagic.zoo.initialization import he_

from torch import Tensor, nn


def mlpconv(in_channels: int, widths: tuple[int, int, int], kernel_size: int) -> nn.Sequential:
    """A convolution and two of 1×1: at each place a perceptron with two hidden layers."""
    first, second, third = widths
    return nn.Sequential(
        nn.Conv2d(in_channels, first, kernel_size, padding=kernel_size // 2),  # (N, first, H, W)
        nn.ReLU(),
        nn.Conv2d(first, second, 1),  # (N, second, H, W)
        nn.ReLU(),
        nn.Conv2d(second, third, 1),  # (N, third, H, W)
        nn.ReLU(),
    )


class NiN(nn.Module):
    """Input (N, in_channels, 32, 32) or larger, output (N, classes). 966,986 parameters for ten classes.

    Args:
        width: channels of the widest layers, 192; the others keep their proportion to it (160 and 96 of 192).
        dropout: between the blocks.
    """

    def __init__(self, classes: int = 10, in_channels: int = 3, width: int = 192, dropout: float = 0.5):
        super().__init__()
        if width < 2:
            raise ValueError(f"NiN: width is {width}; wanted 2 or more: the narrowest layers have half of it.")
        middle, narrow = width * 5 // 6, width // 2
        self.features = nn.Sequential(
            mlpconv(in_channels, (width, middle, narrow), 5),  # (N, 96, 32, 32)
            nn.MaxPool2d(3, 2, padding=1),  # (N, 96, 16, 16)
            nn.Dropout(dropout),
            mlpconv(narrow, (width, width, width), 5),  # (N, 192, 16, 16)
            nn.AvgPool2d(3, 2, padding=1),  # (N, 192, 8, 8)
            nn.Dropout(dropout),
            mlpconv(width, (width, width, classes), 3),  # (N, classes, 8, 8): a map for each class
        )
        he_(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x).mean(dim=(2, 3))  # (N, classes): the mean of each class's map
