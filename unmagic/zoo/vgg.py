"""VGG: convolutions of 3×3 only, and how far depth goes with them.

K. Simonyan, A. Zisserman: Very deep convolutional networks for large-scale image recognition. ICLR 2015, table 1
(the six configurations) and table 2 (133, 133, 134, 138 and 144 million parameters for A, B, C, D and E).
"""

from unmagic.zoo.alexnet import response_norm
from unmagic.zoo.initialization import he_

from torch import Tensor, nn

# Table 1: a row a stage. "1" is a 1×1 convolution, "L" local response normalization.
CONFIGURATIONS = {
    "A": ("3", "3", "33", "33", "33"),
    "A-LRN": ("3L", "3", "33", "33", "33"),
    "B": ("33", "33", "33", "33", "33"),
    "C": ("33", "33", "331", "331", "331"),
    "D": ("33", "33", "333", "333", "333"),
    "E": ("33", "33", "3333", "3333", "3333"),
}


class VGG(nn.Module):
    """Input (N, in_channels, 224, 224), output (N, classes).

    Args:
        configuration: "A" (11 layers with weights), "A-LRN", "B" (13), "C" and "D" (16) or "E" (19); or rows of one's
            own, in the same letters.
        widths: channels of each stage; each ends in a pooling that halves the sides.
        hidden: units of the two fully connected layers.
        size: height and width of the input; a multiple of 2 for each stage.
        dropout: probability to drop a unit of the fully connected layers.
    """

    def __init__(
        self,
        configuration: str | tuple[str, ...] = "D",
        classes: int = 1000,
        in_channels: int = 3,
        widths: tuple[int, ...] = (64, 128, 256, 512, 512),
        hidden: int = 4096,
        size: int = 224,
        dropout: float = 0.5,
    ):
        super().__init__()
        if isinstance(configuration, str) and configuration not in CONFIGURATIONS:
            raise ValueError(f"VGG: configuration is {configuration!r}; wanted one of {', '.join(CONFIGURATIONS)}.")
        rows = CONFIGURATIONS[configuration] if isinstance(configuration, str) else configuration
        unknown = set("".join(rows)) - set("13L")
        if unknown:
            raise ValueError(
                f'VGG: found {", ".join(map(repr, sorted(unknown)))} in {rows}; wanted "3" and "1", the side of a '
                'convolution, and "L".'
            )
        if len(rows) != len(widths):
            raise ValueError(
                f"VGG: {len(rows)} stages and {len(widths)} widths; wanted as many of one as of the other."
            )
        side, rest = divmod(size, 2 ** len(rows))
        if rest or not side:
            raise ValueError(
                f"VGG: {size} pixels cannot be halved {len(rows)} times; wanted a multiple of {2 ** len(rows)}."
            )
        layers: list[nn.Module] = []
        channels = in_channels
        for row, width in zip(rows, widths, strict=True):
            for letter in row:
                if letter == "L":
                    layers.append(response_norm())
                    continue
                kernel = int(letter)
                layers += [nn.Conv2d(channels, width, kernel, padding=kernel // 2), nn.ReLU()]  # (N, width, H, W)
                channels = width
            layers.append(nn.MaxPool2d(2, 2))  # (N, width, H/2, W/2)
        self.features = nn.Sequential(*layers)  # (N, 512, 7, 7)
        self.classifier = nn.Sequential(
            nn.Flatten(),  # (N, 25088)
            nn.Linear(channels * side * side, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, classes),
        )
        he_(self.features, "fan_out")

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))
