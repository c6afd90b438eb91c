"""SimpNet: thirteen convolutions of 3×3 in groups of equal width, and SAF-pooling.

S. H. Hasanpour, M. Rouhani, M. Fayyaz, M. Sabokrou, E. Adeli: Towards principled design of deep convolutional networks:
introducing SimpNet, 2018, section 4 (the design) and 3.6 (SAF-pooling: max pooling, then dropout, so that features are
added and removed as a transformation of the image would).
"""

from unmagic.zoo.initialization import he_

from torch import Tensor, nn


class SAFPooling(nn.Sequential):
    """Max pooling 2×2, then dropout. Input (N, C, H, W), output (N, C, H/2, W/2)."""

    def __init__(self, dropout: float = 0.2):
        super().__init__(nn.MaxPool2d(2, 2), nn.Dropout(dropout))


class SimpNet(nn.Module):
    """Input (N, in_channels, 32, 32), output (N, classes). 5,478,223 parameters; the paper's net for CIFAR has 5.48 M.

    Args:
        groups: widths of the convolutions of each group; SAF-pooling stands between the groups, dropout after each
            other convolution.
        dropout: probability to drop.
    """

    def __init__(
        self,
        classes: int = 10,
        in_channels: int = 3,
        groups: tuple[tuple[int, ...], ...] = ((66, 128, 128, 128, 192), (192, 192, 192, 192, 288), (288, 355, 432)),
        dropout: float = 0.2,
    ):
        super().__init__()
        if not groups or not all(groups):
            raise ValueError(f"SimpNet: groups are {groups}; wanted at least one, with a width for each convolution.")
        layers: list[nn.Module] = []
        channels = in_channels
        for number, group in enumerate(groups):
            for place, width in enumerate(group):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
                channels = width
                if place < len(group) - 1:
                    layers.append(nn.Dropout(dropout))
            if number < len(groups) - 1:
                layers.append(SAFPooling(dropout))
        self.features = nn.Sequential(*layers)  # (N, 432, 8, 8)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(channels, classes)
        he_(self.features)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x).amax(dim=(2, 3))  # (N, 432): global max pooling
        return self.classifier(self.dropout(x))  # (N, classes)
