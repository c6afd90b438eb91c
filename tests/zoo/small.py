"""A small variant of each architecture, by its constructor's arguments, for ten classes of 32×32 pixels."""

from unmagic import zoo

from collections.abc import Callable

from torch import nn


def _fcn_backbone() -> list[nn.Module]:
    def halved(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 2, 1), nn.BatchNorm2d(outputs), nn.ReLU())

    return [halved(3, 8), halved(8, 16), halved(16, 16)]


SMALL: dict[str, Callable[[], nn.Module]] = {
    "LeNet5": lambda: zoo.LeNet5(in_channels=3, output="linear"),
    "AlexNet": lambda: zoo.AlexNet(10, widths=(16, 32, 48, 48, 32), hidden=64, stem=(3, 1, 1), size=32),
    "VGG": lambda: zoo.VGG(("3", "3", "33"), 10, widths=(16, 32, 64), hidden=64, size=32),
    "NiN": lambda: zoo.NiN(width=24, dropout=0.0),
    "GoogLeNet": lambda: zoo.GoogLeNet(10, width=0.125, stem="small", size=32),
    "AllCNN": lambda: zoo.AllCNN(width=0.25, dropout=(0.0, 0.0)),
    "ResNet": lambda: zoo.cifar_resnet(8, width=8),
    "ResNet, bottlenecks": lambda: zoo.resnet(50, widths=(4, 8, 8, 8), classes=10, stem="small"),
    "plain": lambda: zoo.plain(8, width=8),
    "ResNeXt": lambda: zoo.resnext(50, paths=4, path_width=4, widths=(8, 8, 8, 8), classes=10, stem="small"),
    "Highway": lambda: zoo.Highway(in_features=3 * 32 * 32, depth=6),
    "DenseNet": lambda: zoo.small_densenet(10, 4),
    "DiracNet": lambda: zoo.DiracNet((1, 1, 1), (8, 16, 16), 10, stem="small"),
    "VanillaCNN": lambda: zoo.VanillaCNN(20, 16),
    "Binary-Weight": lambda: zoo.BinaryAlexNet(
        "binary-weight", 10, widths=(8, 16, 16, 16, 16), hidden=32, stem=(3, 1, 1), size=32
    ),
    "XNOR": lambda: zoo.BinaryAlexNet("xnor", 10, widths=(8, 16, 16, 16, 16), hidden=32, stem=(3, 1, 1), size=32),
    "RandWire": lambda: zoo.RandWire("WS", 8, 8, classes=10, stem_strides=(1, 1), hidden=32),
    "SimpNet": lambda: zoo.SimpNet(groups=((8, 8), (16, 16), (16,))),
    "MobileNet": lambda: zoo.MobileNet(10, width=0.25, table=((64, 1), (128, 2), (128, 1)), stem_stride=1),
}


def segmenter() -> nn.Module:
    """A label of two for each pixel."""
    return zoo.FCN(_fcn_backbone(), (8, 16, 16), 2, finest=2, strides=(2, 4, 8))
