"""How each net was made: plain data, a recipe a net."""

from unmagic import zoo
from unmagic.zoo.initialization import he_

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


def standardized(net: Callable[..., nn.Module], **arguments: typing.Any) -> nn.Sequential:
    """A net without batch norm, behind a layer that gives each colour of each image mean 0 and variance 1.

    Without it such a net sees mostly the brightness all images share, and learns nothing for the first tens of
    thousands.
    """
    return nn.Sequential(nn.InstanceNorm2d(3), net(**arguments))


def small_alexnet() -> nn.Sequential:
    """AlexNet's groups and layers for 32×32, without local response normalization, which would take half the time.

    Weights begin as He and others have them: 0.01, as published, is for layers of thousands of inputs.
    """
    options = {"widths": (24, 48, 64, 64, 48), "hidden": 128, "stem": (5, 1, 2), "size": 32, "norm": False}
    net = standardized(zoo.AlexNet, classes=10, dropout=0.0, **options)
    he_(net)
    return net


def small_googlenet() -> nn.Sequential:
    """GoogLeNet of a sixth of the width and its published stem, for which 32×32 is enlarged to 64×64. No heads."""
    net = standardized(zoo.GoogLeNet, classes=10, heads=False, width=0.1875, size=64)
    return nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), *net)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One training by `unmagic.train.fit`.

    constructor, arguments  of the net
    data                    "digits" or "shapes"
    images                  how many different ones; shapes are drawn, digits are as many as there are
    epochs                  passes over them
    learning_rate           the largest of fit's schedule
    optimizer               "sgd", with momentum, as fit has it, or "adam", for nets without batch norm
    batch_size              images a step
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
    optimizer: str = "sgd"
    batch_size: int = 128
    epsilon: float | None = None
    seed: int = 0

    def build(self) -> nn.Module:
        """The net before training, from torch's global generator."""
        return self.constructor(**self.arguments)


SHAPES_LIVE = {"widths": ((12, 12), (24, 24), (32, 48, 48)), "in_channels": 3}

RECIPES: dict[str, Recipe] = {
    "digits_live": Recipe(live, {"widths": ((12, 16), (24, 32)), "in_channels": 1}, "digits", 1197, 80, 0.1, "redrawn"),
    "shapes_live": Recipe(live, SHAPES_LIVE, "shapes", 24000, 10, 0.1, "turned"),
    "digits_lenet": Recipe(enlarged_lenet, {}, "digits", 1197, 40, 0.05, "redrawn"),
    "shapes_lenet": Recipe(
        standardized,
        {"net": zoo.LeNet5, "in_channels": 3, "output": "linear"},
        "shapes",
        24000,
        10,
        0.002,
        "turned",
        "adam",
        32,
    ),
    "shapes_alexnet": Recipe(small_alexnet, {}, "shapes", 20000, 6, 0.001, "turned", "adam", 32),
    "shapes_vgg": Recipe(
        standardized,
        {
            "net": zoo.VGG,
            "configuration": ("3", "3", "33"),
            "classes": 10,
            "widths": (16, 32, 64),
            "hidden": 96,
            "size": 32,
            "dropout": 0.0,
        },
        "shapes",
        24000,
        10,
        0.001,
        "turned",
        "adam",
        32,
    ),
    "shapes_googlenet": Recipe(small_googlenet, {}, "shapes", 20000, 5, 0.001, "turned", "adam", 32),
    "shapes_resnet": Recipe(zoo.cifar_resnet, {"depth": 20, "width": 8}, "shapes", 20000, 8, 0.1, "turned"),
    "shapes_plain": Recipe(zoo.plain, {"depth": 20, "width": 8}, "shapes", 20000, 8, 0.1, "turned"),
    "shapes_densenet": Recipe(
        zoo.DenseNet,
        {
            "blocks": (2, 4, 6),
            "growth": 8,
            "classes": 10,
            "stem": "small",
            "stem_width": 16,
            "bottleneck": False,
            "compression": 0.5,
        },
        "shapes",
        20000,
        5,
        0.1,
        "turned",
    ),
    "shapes_mobilenet": Recipe(
        zoo.MobileNet,
        {"classes": 10, "width": 0.375, "table": ((64, 2), (128, 1), (128, 2), (256, 1), (256, 1)), "stem_stride": 1},
        "shapes",
        24000,
        8,
        0.1,
        "turned",
    ),
    "shapes_robust": Recipe(live, SHAPES_LIVE, "shapes", 15000, 7, 0.1, "turned", epsilon=4 / 255),
}
