"""How each net was made: plain data, a recipe a net."""

from unmagic import zoo

import dataclasses
import typing
from collections.abc import Callable

from torch import nn


def live(widths: tuple[tuple[int, ...], ...], in_channels: int) -> nn.Sequential:
    """3×3 convolutions with batch norm, stages of them with 2×2 pooling between, global average pooling, a linear layer.

    Every layer is one that the live figure in the page knows, and it ends so that class activation maps need nothing
    but the last weights.
    """
    layers: list[nn.Module] = []
    channels = in_channels
    for number, stage in enumerate(widths):
        if number:
            layers.append(nn.MaxPool2d(2))  # (N, C, H/2, W/2)
        for width in stage:
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def enlarged_lenet() -> nn.Sequential:
    """LeNet-5 for digits of 8×8: enlarged to the 32×32 that it takes."""
    return nn.Sequential(nn.Upsample(scale_factor=4, mode="bilinear"), zoo.LeNet5(output="linear"))


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One training by `unmagic.train.fit`.

    constructor, arguments  of the net
    data                    "digits" or "shapes"
    images                  how many different ones; shapes are drawn, digits are as many as there are
    epochs                  passes over them
    learning_rate           the largest; SGD with momentum and fit's schedule
    augmentation            "turned", "redrawn" or None
    epsilon                 where it is given: trained against FGSM of that size, half of the images attacked
    """

    constructor: Callable[..., nn.Module]
    arguments: dict[str, typing.Any]
    data: str
    images: int
    epochs: int
    learning_rate: float
    augmentation: str | None
    epsilon: float | None = None
    seed: int = 0

    def build(self) -> nn.Module:
        """The net before training, from torch's global generator."""
        return self.constructor(**self.arguments)


SHAPES_LIVE = {"widths": ((12, 12), (24, 24), (32, 48, 48)), "in_channels": 3}

RECIPES: dict[str, Recipe] = {
    "digits_live": Recipe(
        live, {"widths": ((12, 16), (24, 32)), "in_channels": 1}, "digits", 1197, 80, 0.1, "redrawn"
    ),
    "shapes_live": Recipe(live, SHAPES_LIVE, "shapes", 24000, 10, 0.1, "turned"),
    "shapes_resnet": Recipe(zoo.cifar_resnet, {"depth": 20, "width": 8}, "shapes", 24000, 10, 0.1, "turned"),
}
