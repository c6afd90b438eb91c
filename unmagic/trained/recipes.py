"""How each net was made: plain data, a recipe a net."""

from unmagic import zoo
from unmagic.zoo.initialization import he_

import dataclasses
import typing
from collections.abc import Callable

from torch import nn


def live(widths: tuple[tuple[int, ...], ...], in_channels: int) -> nn.Sequential:
    """3×3 convolutions with batch norm, stages of them with 2×2 pooling between, global average pooling, then linear.

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


def standardized(net: nn.Module) -> nn.Sequential:
    """A net without batch norm, behind a layer that gives each colour of each image mean 0 and variance 1.

    Without it such a net sees mostly the brightness that all images share, and learns nothing from the first ten
    thousands of them.
    """
    return nn.Sequential(nn.InstanceNorm2d(3), net)


def small_alexnet() -> nn.Sequential:
    """AlexNet's groups and layers for 32×32, without local response normalization, which would take half the time.

    Weights begin as He and others have them: N(0, 0.01²), as published, is for layers of thousands of inputs.
    """
    widths, stem = (24, 48, 64, 64, 48), (5, 1, 2)
    net = zoo.AlexNet(10, widths=widths, hidden=128, stem=stem, size=32, norm=False, dropout=0.0)
    he_(net)
    return standardized(net)


def small_vgg() -> nn.Sequential:
    """Three stages of VGG."""
    return standardized(zoo.VGG(("3", "3", "33"), 10, widths=(16, 32, 64), hidden=96, size=32, dropout=0.0))


def small_googlenet() -> nn.Sequential:
    """GoogLeNet of 3/16 of the width and its published stem, for which 32×32 is enlarged to 64×64. No heads."""
    net = zoo.GoogLeNet(10, heads=False, width=0.1875, size=64)
    return nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), *standardized(net))


def small_densenet() -> zoo.DenseNet:
    """Three dense blocks, most of their layers where the image is small already."""
    return zoo.DenseNet((2, 4, 6), 8, 10, stem="small", stem_width=16, bottleneck=False, compression=0.5)


def small_mobilenet() -> zoo.MobileNet:
    """Five separable blocks."""
    table = ((64, 2), (128, 1), (128, 2), (256, 1), (256, 1))
    return zoo.MobileNet(10, width=0.375, table=table, stem_stride=1)


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
    begins                  name of the net whose weights it goes on from; None: from random ones
    """

    constructor: Callable[..., nn.Module]
    arguments: dict[str, typing.Any]
    data: str
    images: int
    epochs: int
    learning_rate: float
    augmentation: str | None
    optimizer: str = "sgd"
    batch_size: int = 32
    epsilon: float | None = None
    begins: str | None = None
    seed: int = 0

    def build(self) -> nn.Module:
        """The net before training, from torch's global generator."""
        return self.constructor(**self.arguments)


SHAPES_LIVE = {"widths": ((12, 12), (24, 24), (32, 48, 48)), "in_channels": 3}

DIGITS_LIVE = {"widths": ((12, 16), (24, 32)), "in_channels": 1}
CIFAR = {"depth": 20, "width": 8}

RECIPES: dict[str, Recipe] = {
    "digits_live": Recipe(live, DIGITS_LIVE, "digits", 1197, 80, 0.1, "redrawn", batch_size=128),
    "shapes_live": Recipe(live, SHAPES_LIVE, "shapes", 24000, 10, 0.1, "turned", batch_size=128),
    "digits_lenet": Recipe(enlarged_lenet, {}, "digits", 1197, 60, 0.002, "redrawn", "adam"),
    "shapes_alexnet": Recipe(small_alexnet, {}, "shapes", 30000, 14, 0.001, "turned", "adam"),
    "shapes_vgg": Recipe(small_vgg, {}, "shapes", 30000, 8, 0.001, "turned", "adam"),
    "shapes_googlenet": Recipe(small_googlenet, {}, "shapes", 24000, 8, 0.001, "turned", "adam"),
    "shapes_resnet": Recipe(zoo.cifar_resnet, CIFAR, "shapes", 20000, 13, 0.1, "turned", batch_size=128),
    "shapes_plain": Recipe(zoo.plain, CIFAR, "shapes", 20000, 13, 0.1, "turned", batch_size=128),
    "shapes_densenet": Recipe(small_densenet, {}, "shapes", 18000, 6, 0.1, "turned", batch_size=64),
    "shapes_mobilenet": Recipe(small_mobilenet, {}, "shapes", 26000, 8, 0.05, "turned"),
    "shapes_robust": Recipe(
        live, SHAPES_LIVE, "shapes", 9000, 5, 0.02, "turned", batch_size=64, epsilon=4 / 255, begins="shapes_live"
    ),
}
