"""The nets of the zoo that the figure "Budgets" offers, and the file of their layers, {name: `LayerList.text`}.

`python -m unmagic.figures.budgets_zoo` makes `budgets_nets.json` anew; a test says when it is out of date.
"""

from __future__ import annotations

from unmagic import zoo
from unmagic.figures.budgets_tracing import traced

import functools
import json
import typing
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

FILE = Path(__file__).parent / "budgets_nets.json"


class Offered(typing.NamedTuple):
    """A net of the zoo: make(side) for an input of (channels, side, side); `side` is the paper's."""

    make: Callable[[int], nn.Module]
    side: int = 224
    channels: int = 3

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return self.channels, self.side, self.side


def _any(make: Callable[[], nn.Module]) -> Callable[[int], nn.Module]:
    """A net that takes any size as it is."""
    return lambda side: make()


def _fcn(side: int) -> nn.Module:
    """FCN-8s over the convolutions of VGG-16, whose last three stages end at strides 8, 16 and 32."""
    layers = zoo.VGG("D").features
    return zoo.FCN((layers[:17], layers[17:24], layers[24:]), (256, 512, 512), 21)


def _lenet(side: int) -> nn.Module:
    """LeNet-5, with C5 as large as its map at every size, as it is in the paper's."""
    net = zoo.LeNet5()
    reach = ((side - 4) // 2 - 4) // 2
    if reach != 5:
        net.features[8] = nn.Conv2d(16, 120, reach)
    return net


NETS: dict[str, Offered] = {
    "LeNet-5": Offered(_lenet, 32, 1),
    "AlexNet": Offered(lambda side: zoo.AlexNet(size=side), 227),
    "AlexNet without groups": Offered(lambda side: zoo.AlexNet(size=side, groups=1), 227),
    **{
        f"VGG-{depth} ({letter})": Offered(functools.partial(lambda c, side: zoo.VGG(c, size=side), letter))
        for letter, depth in (("A", 11), ("A-LRN", 11), ("B", 13), ("C", 16), ("D", 16), ("E", 19))
    },
    "Network in network": Offered(_any(zoo.NiN), 32),
    "GoogLeNet": Offered(_any(lambda: zoo.GoogLeNet(heads=False))),
    **{
        f"All-CNN {model}, {variant}": Offered(_any(functools.partial(zoo.AllCNN, model, variant)), 32)
        for model in ("A", "B", "C")
        for variant in ("base", "strided", "conv-pool", "all-conv")
    },
    **{f"ResNet-{n}": Offered(_any(functools.partial(zoo.resnet, n))) for n in (18, 34, 50, 101, 152)},
    **{f"plain-{n}": Offered(_any(functools.partial(zoo.plain, n))) for n in (18, 34)},
    **{
        f"ResNet-{n} for CIFAR": Offered(_any(functools.partial(zoo.cifar_resnet, n)), 32)
        for n in (20, 32, 44, 56, 110)
    },
    **{f"plain-{n} for CIFAR": Offered(_any(functools.partial(zoo.plain, n)), 32) for n in (20, 56)},
    "Highway, 50 layers": Offered(lambda side: zoo.Highway(in_features=side * side), 28, 1),
    **{f"ResNeXt-{n} 32×4d": Offered(_any(functools.partial(zoo.resnext, n))) for n in (50, 101)},
    "DenseNet-121": Offered(_any(zoo.densenet121)),
    "DenseNet-40 for CIFAR": Offered(_any(zoo.small_densenet), 32),
    **{f"DiracNet-{n}": Offered(_any(functools.partial(zoo.DiracNet, n))) for n in (18, 34)},
    "Vanilla CNN, 100 layers": Offered(_any(lambda: zoo.VanillaCNN(100)), 32),
    "Binary-Weight AlexNet": Offered(lambda side: zoo.BinaryAlexNet("binary-weight", size=side), 227),
    "XNOR-Net AlexNet": Offered(lambda side: zoo.BinaryAlexNet("xnor", size=side), 227),
    "RandWire, WS": Offered(_any(zoo.RandWire)),
    "SimpNet": Offered(_any(zoo.SimpNet), 32),
    **{
        f"MobileNet ×{width}": Offered(_any(functools.partial(zoo.MobileNet, width=width)))
        for width in (1.0, 0.5, 0.25)
    },
    "FCN-8s over VGG-16": Offered(_fcn),
}


def make(name: str, side: int | None = None) -> nn.Module:
    """A net of `NETS` without its numbers (on the meta device), for an input of `side` pixels."""
    offered = NETS[name]
    with torch.device("meta"):
        return offered.make(side or offered.side)


@functools.cache
def layer_lists() -> dict[str, str]:
    """The layers of all nets, {name: text}, as they are in the file."""
    return json.loads(FILE.read_text(encoding="utf-8"))


def as_file(texts: dict[str, str]) -> str:
    """What the file holds, of texts in the order of `NETS`."""
    return json.dumps(texts, ensure_ascii=False, indent=0) + "\n"


def main() -> None:
    """Make the file anew."""
    texts = {name: traced(make(name), net.input_shape)[0].text() for name, net in NETS.items()}
    FILE.write_text(as_file(texts), encoding="utf-8")
    print(f"{FILE.name}: {len(texts)} nets, {FILE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
