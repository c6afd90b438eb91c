"""GoogLeNet: inception modules, bottlenecks of 1×1, and heads on the way that carry gradient to the early layers.

C. Szegedy and others: Going deeper with convolutions. CVPR 2015, figure 2 (the module, naive and reduced), table 1 (the
network) and section 5 (the auxiliary heads: 5×5 average pooling with stride 3, 128 filters of 1×1, 1,024 units, 70 %
dropout, loss weight 0.3).
"""

from unmagic.zoo.initialization import he_

import functools
import typing
from collections.abc import Callable

import torch
from torch import Tensor, nn

# Table 1: #1×1, #3×3 reduce, #3×3, #5×5 reduce, #5×5, pool proj
TABLE = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


class Outputs(typing.NamedTuple):
    """What GoogLeNet gives in training: logits (N, classes) of the end, and of the heads after 4a and 4d."""

    logits: Tensor
    after_4a: Tensor
    after_4d: Tensor


def conv(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, batch_norm: bool = False
) -> nn.Sequential:
    """A convolution that keeps the sides, or divides them by `stride`; then batch norm, if wanted; then ReLU."""
    padding = kernel_size // 2
    layer = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=not batch_norm)
    return nn.Sequential(layer, *([nn.BatchNorm2d(out_channels)] if batch_norm else []), nn.ReLU())


class Inception(nn.Module):
    """1×1, 3×3 and 5×5 convolutions and 3×3 pooling side by side, each after a reduction to fewer channels by 1×1.

    Input (N, in_channels, H, W), output (N, out_channels, H, W). The sizes are a row of table 1.
    """

    def __init__(self, in_channels: int, sizes: tuple[int, int, int, int, int, int], batch_norm: bool = False):
        super().__init__()
        one, reduce3, three, reduce5, five, pool = sizes
        make = functools.partial(conv, batch_norm=batch_norm)
        self.one = make(in_channels, one, 1)
        self.three = nn.Sequential(make(in_channels, reduce3, 1), make(reduce3, three, 3))
        self.five = nn.Sequential(make(in_channels, reduce5, 1), make(reduce5, five, 5))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, padding=1), make(in_channels, pool, 1))
        self.out_channels = one + three + five + pool

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], dim=1)


class NaiveInception(nn.Module):
    """The module without reductions (figure 2a): pooling keeps all channels, so each module has more than the last.

    With the sizes of 3a on 192 channels: 416 channels and 387,296 parameters, against 256 and 163,696.
    """

    def __init__(self, in_channels: int, one: int, three: int, five: int):
        super().__init__()
        self.one, self.three, self.five = (conv(in_channels, n, k) for n, k in ((one, 1), (three, 3), (five, 5)))
        self.pool = nn.MaxPool2d(3, 1, padding=1)
        self.out_channels = one + three + five + in_channels

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], dim=1)


class AuxiliaryHead(nn.Module):
    """A classifier on the way. Input (N, in_channels, 14, 14), output (N, classes)."""

    def __init__(self, in_channels: int, classes: int, side: int = 14):
        super().__init__()
        pooled = (side - 5) // 3 + 1
        self.layers = nn.Sequential(
            nn.AvgPool2d(5, 3),  # (N, in_channels, 4, 4)
            conv(in_channels, 128, 1),  # (N, 128, 4, 4)
            nn.Flatten(),  # (N, 2048)
            nn.Linear(128 * pooled * pooled, 1024),  # (N, 1024)
            nn.ReLU(),
            nn.Dropout(0.7),
            nn.Linear(1024, classes),  # (N, classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class GoogLeNet(nn.Module):
    """Input (N, in_channels, 224, 224), output (N, classes), or `Outputs` in training with heads.

    22 layers with weights; 6,998,552 parameters for 1,000 classes, 13,378,280 with the heads.

    Args:
        heads: the two auxiliary classifiers. They need 5×5 places on the map after 4a and 4d, so 65 pixels with the
            published stem and 9 with the small one; ValueError says so.
        width: factor of all channels, for small variants.
        stem: "imagenet" as published (7×7 with stride 2, two poolings and LRN: sides divided by 8), or "small" (one 3×3
            convolution: sides stay).
        size: height and width of the input; the heads get their size from it.
        batch_norm: after every convolution but the heads', which then has no bias, and no LRN: as torchvision has the
            net, and in the manner of S. Ioffe and C. Szegedy (Batch normalization, ICML 2015).
        dropout: probability to drop a number that the classifier sees.
    """

    def __init__(
        self,
        classes: int = 1000,
        in_channels: int = 3,
        heads: bool = True,
        width: float = 1.0,
        stem: str = "imagenet",
        size: int = 224,
        batch_norm: bool = False,
        dropout: float = 0.4,
    ):
        super().__init__()
        if stem not in ("imagenet", "small"):
            raise ValueError(f"GoogLeNet: stem is {stem!r}; wanted 'imagenet' or 'small'.")

        def scaled(channels: int) -> int:
            return max(1, round(channels * width))

        make = functools.partial(conv, batch_norm=batch_norm)
        self.stem = nn.Sequential(
            make(in_channels, scaled(64), 7, 2),  # (N, 64, 112, 112)
            nn.MaxPool2d(3, 2, ceil_mode=True),  # (N, 64, 56, 56)
            nn.Identity() if batch_norm else nn.LocalResponseNorm(5),
            make(scaled(64), scaled(64), 1),
            make(scaled(64), scaled(192), 3),  # (N, 192, 56, 56)
            nn.Identity() if batch_norm else nn.LocalResponseNorm(5),
            nn.MaxPool2d(3, 2, ceil_mode=True),  # (N, 192, 28, 28)
        )
        if stem == "small":
            self.stem = make(in_channels, scaled(192), 3)
        channels, modules = scaled(192), {}
        for name, sizes in TABLE.items():
            modules[name] = Inception(channels, tuple(scaled(n) for n in sizes), batch_norm)
            channels = modules[name].out_channels
        self.inception3 = nn.Sequential(modules["3a"], modules["3b"], nn.MaxPool2d(3, 2, ceil_mode=True))  # 480, 14, 14
        self.inception4a = modules["4a"]  # (N, 512, 14, 14)
        self.inception4bcd = nn.Sequential(modules["4b"], modules["4c"], modules["4d"])  # (N, 528, 14, 14)
        self.inception4e = nn.Sequential(modules["4e"], nn.MaxPool2d(3, 2, ceil_mode=True))  # (N, 832, 7, 7)
        self.inception5 = nn.Sequential(modules["5a"], modules["5b"])  # (N, 1024, 7, 7)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, classes))
        shrinks = 16 if stem == "imagenet" else 2  # before 4a
        side = -(-size // shrinks)
        if heads and side < 5:
            raise ValueError(
                f"GoogLeNet: the heads pool 5×5 places, and {size} pixels leave {side}×{side} there; wanted "
                f"{4 * shrinks + 1} pixels or more, or heads=False."
            )
        self.head_4a = AuxiliaryHead(modules["4a"].out_channels, classes, side) if heads else None
        self.head_4d = AuxiliaryHead(modules["4d"].out_channels, classes, side) if heads else None
        he_(self)

    def forward(self, x: Tensor) -> Tensor | Outputs:
        x = self.inception4a(self.inception3(self.stem(x)))  # (N, 512, 14, 14)
        first = self.head_4a(x) if self.head_4a is not None and self.training else None
        x = self.inception4bcd(x)  # (N, 528, 14, 14)
        second = self.head_4d(x) if self.head_4d is not None and self.training else None
        x = self.inception5(self.inception4e(x)).mean(dim=(2, 3))  # (N, 1024)
        logits = self.classifier(x)  # (N, classes)
        return logits if first is None or second is None else Outputs(logits, first, second)


def with_heads(weight: float = 0.3) -> Callable:
    """Training with the auxiliary classifiers (section 5), an objective of `unmagic.train`: J + 0.3·J_4a + 0.3·J_4d.

    `fit(net, data, 10, objective=googlenet.with_heads())`. For a net without heads it is J alone.

    Returns:
        a function of (model, images, labels) which gives the loss, (), and the logits of the end, (N, classes).
    """

    def objective(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        outputs = model(images)
        logits, *heads = outputs if isinstance(outputs, Outputs) else (outputs,)
        losses = [nn.functional.cross_entropy(each, labels) for each in (logits, *heads)]
        return losses[0] + weight * sum(losses[1:]), logits

    return objective
