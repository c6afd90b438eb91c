"""AlexNet, as it was published: two pathways for two GPUs, overlapping pooling, local response normalization.

A. Krizhevsky, I. Sutskever, G. Hinton: ImageNet classification with deep convolutional neural networks. NIPS 2012,
sections 3.3 to 3.5 and figure 2. The paper says 224×224; only 227 tiles with F = 11 and S = 4: (227 − 11)/4 + 1 = 55.
"""

from torch import Tensor, nn


def response_norm() -> nn.LocalResponseNorm:
    """Section 3.3: k = 2, n = 5, α = 1e-4, β = 0.75. torch divides α by n, the paper does not: hence 5·1e-4."""
    return nn.LocalResponseNorm(size=5, alpha=5e-4, beta=0.75, k=2.0)


def last_side(name: str, size: int, stem: tuple[int, int, int]) -> int:
    """Side of the last feature map: the stem (kernel, stride, padding), then three poolings with F = 3 and S = 2.

    ValueError, in the net's `name`, when nothing is left.
    """
    kernel, stride, padding = stem
    side = (size - kernel + 2 * padding) // stride + 1
    for _ in range(3):
        side = (side - 3) // 2 + 1
    if side < 1:
        raise ValueError(f"{name}: an input of {size} pixels leaves none after three poolings; take a larger one.")
    return side


def check_widths(name: str, widths: tuple[int, ...], groups: int = 1) -> None:
    """ValueError, in the net's `name`, unless each of the five convolutions has a width, and it can be split."""
    if len(widths) != 5 or any(width < 1 or width % groups for width in widths):
        split = f", each a multiple of {groups}, the groups" if groups > 1 else ""
        raise ValueError(f"{name}: widths are {widths}; wanted five, of the five convolutions{split}.")


class AlexNet(nn.Module):
    """Input (N, in_channels, 227, 227), output (N, classes). 60,965,224 parameters; the paper says 60 million.

    Args:
        widths: channels of the five convolutions; even, for they are split into the two pathways.
        hidden: units of fc6 and fc7.
        groups: 2 as published: the second, fourth and fifth convolution see the maps of their own GPU. 1 joins them.
        stem: kernel, stride and padding of the first convolution: (11, 4, 0) as published, (3, 1, 1) for images of
            32 pixels.
        size: height and width of the input, from which fc6 gets its size.
        norm: local response normalization after the first and the second layer.
        dropout: probability to drop a unit of fc6 and fc7.
        without: layers that are left out, by their numbers from 3 to 7, as in the ablations of M. Zeiler and R. Fergus
            (ECCV 2014, table 3): `without=(7,)` has 16.8 million parameters fewer, `without=(3, 4, 6, 7)` 51.1.

    Raises:
        ValueError: an input that leaves no pixel on the last feature map, widths that are not five or cannot be split
            into the groups, layers to leave out other than 3 to 7.
    """

    def __init__(
        self,
        classes: int = 1000,
        in_channels: int = 3,
        widths: tuple[int, ...] = (96, 256, 384, 384, 256),
        hidden: int = 4096,
        groups: int = 2,
        stem: tuple[int, int, int] = (11, 4, 0),
        size: int = 227,
        norm: bool = True,
        dropout: float = 0.5,
        without: tuple[int, ...] = (),
    ):
        super().__init__()
        check_widths("AlexNet", widths, groups)
        if not set(without) <= {3, 4, 5, 6, 7}:
            raise ValueError(
                f"AlexNet: without is {without}; wanted numbers from 3 to 7, the layers that keep the sides."
            )
        self.numbers = tuple(number for number in range(1, 9) if number not in without)
        c1, c2, c3, c4, c5 = widths
        kernel, stride, padding = stem
        side = last_side("AlexNet", size, stem)

        def normed() -> nn.Module:
            return response_norm() if norm else nn.Identity()

        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, c1, kernel, stride, padding),  # (N, 96, 55, 55)
            nn.ReLU(),
            normed(),
            nn.MaxPool2d(3, 2),  # (N, 96, 27, 27)
            nn.Conv2d(c1, c2, 5, padding=2, groups=groups),  # (N, 256, 27, 27)
            nn.ReLU(),
            normed(),
            nn.MaxPool2d(3, 2),  # (N, 256, 13, 13)
        ]
        channels = c2
        # in the third the GPUs exchange their maps: (N, 384, 13, 13), then (N, 384, 13, 13) and (N, 256, 13, 13)
        for number, width, paths in ((3, c3, 1), (4, c4, groups), (5, c5, groups)):
            if number in self.numbers:
                layers += [nn.Conv2d(channels, width, 3, padding=1, groups=paths), nn.ReLU()]
                channels = width
        self.features = nn.Sequential(*layers, nn.MaxPool2d(3, 2))  # (N, 256, 6, 6)
        layers = [nn.Flatten()]  # (N, 9216)
        units = channels * side * side
        for number in (6, 7):  # fc6 and fc7, (N, 4096)
            if number in self.numbers:
                layers += [nn.Linear(units, hidden), nn.ReLU(), nn.Dropout(dropout)]
                units = hidden
        self.classifier = nn.Sequential(*layers, nn.Linear(units, classes))  # fc8 (N, 1000)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))


def initialize_as_published(net: AlexNet) -> AlexNet:
    """Section 5: weights N(0, 0.01²); biases 1 in the second, fourth, fifth convolution, fc6 and fc7, else 0."""
    layers = [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    for number, layer in zip(net.numbers, layers, strict=True):
        nn.init.normal_(layer.weight, 0.0, 0.01)
        nn.init.constant_(layer.bias, float(number in (2, 4, 5, 6, 7)))
    return net
