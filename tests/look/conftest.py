"""Three small nets with known weights, and scenes whose masks are known."""

from unmagic import data, zoo
from unmagic.train import fit

import pytest
import torch
from torch import nn

# name: (net, layer with maps, classifier after global average pooling or "")
NETS = {
    "residual": (lambda: zoo.cifar_resnet(8, width=8), "stages", "classifier"),
    "all convolutional": (lambda: zoo.AllCNN(width=0.125, dropout=(0.0, 0.0)), "features.17", ""),
    "small VGG": (lambda: zoo.VGG(("3", "3"), 10, widths=(8, 16), hidden=32, size=32, dropout=0.0), "features.5", ""),
}


@pytest.fixture(scope="session")
def scenes():
    return data.shapes(16, split="validation")


@pytest.fixture(scope="session")
def nets() -> dict[str, nn.Module]:
    """Trained a little: maps of a net that knows nothing are flat."""
    train = data.shapes(1000)
    found = {}
    for name, (make, *_) in NETS.items():
        torch.manual_seed(0)
        net = make()
        fit(net, (train.images, train.labels), 2, device="cpu", progress=False, learning_rate=0.02)
        found[name] = net.eval()
    return found
