"""The small variant of each family learns: digits enlarged to 32×32 in three channels, in a stated number of passes.

The bars stand well above chance (0.1) and well below the worst that was measured, the last column; the budget is
counted in images seen, 1,197 a pass, in steps of 16. All of it takes some eight minutes of one core.
"""

from unmagic import data
from unmagic.train import evaluate, fit
from unmagic.zoo.googlenet import Outputs

import pytest
import torch
from torch import nn

from tests.zoo.small import SMALL

ADAM, SGD = torch.optim.Adam, None  # None: fit's own, with momentum
#                      optimizer, rate, passes, bar    accuracy with the seeds 0, 1, 2, on 300 images of the test split
TABLE = {
    "LeNet5": (ADAM, 0.003, 4, 0.80),  # 0.95 0.95 0.95
    "AlexNet": (ADAM, 0.003, 4, 0.40),  # 0.91 0.92 0.63
    "VGG": (ADAM, 0.003, 4, 0.80),  # 0.99 0.97 0.98
    "NiN": (ADAM, 0.001, 6, 0.45),  # 0.87 0.79 0.68
    "GoogLeNet": (ADAM, 0.003, 4, 0.60),  # 0.94, seed 0 alone, with dropout
    "AllCNN": (ADAM, 0.001, 6, 0.60),  # 0.97 0.98 0.83
    "ResNet": (ADAM, 0.003, 4, 0.85),  # 0.98 0.96 0.96
    "ResNet, bottlenecks": (SGD, 0.03, 4, 0.60),  # 0.90 0.88 0.87
    "plain": (ADAM, 0.003, 4, 0.80),  # 0.97 0.96 0.95
    "ResNeXt": (SGD, 0.03, 4, 0.50),  # 0.74 0.83 0.85
    "Highway": (ADAM, 0.003, 4, 0.85),  # 0.97 0.96 0.97
    "DenseNet": (ADAM, 0.003, 4, 0.55),  # 0.76 0.75 0.76
    "DiracNet": (ADAM, 0.01, 4, 0.50),  # 0.71 0.71 0.71
    "VanillaCNN": (SGD, 0.01, 8, 0.22),  # 0.41 0.43 0.33
    "Binary-Weight": (ADAM, 0.003, 4, 0.80),  # 0.96 0.97 0.95
    "XNOR": (ADAM, 0.003, 4, 0.60),  # 0.84 0.80 0.82
    "RandWire": (ADAM, 0.003, 4, 0.60),  # 0.93 0.95 0.88
    "SimpNet": (ADAM, 0.003, 4, 0.75),  # 0.95 0.92 0.94
    "MobileNet": (ADAM, 0.01, 4, 0.60),  # 0.87 0.80 0.89
}


def enlarged(split):
    images, labels = data.digits(split)
    images = nn.functional.interpolate(images, scale_factor=4, mode="bilinear")
    return images.expand(-1, 3, -1, -1).contiguous(), labels


def objective(model, images, labels):
    output = model(images)
    logits, *heads = output if isinstance(output, Outputs) else (output,)
    losses = [nn.functional.cross_entropy(part, labels) for part in (logits, *heads)]
    return losses[0] + 0.3 * sum(losses[1:]), logits  # the paper's weight of the heads


def test_every_small_variant_has_a_bar():
    assert TABLE.keys() == SMALL.keys()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", SMALL)
def test_learns_the_digits_in_a_stated_number_of_images(name, seed, record_property):
    optimizer, rate, passes, bar = TABLE[name]
    torch.manual_seed(seed)
    net = SMALL[name]()
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # against too long a training, which this is not
    options = {"optimizer": optimizer, "learning_rate": rate, "batch_size": 16, "seed": seed}
    fit(net, enlarged("train"), passes, objective=objective, device="cpu", progress=False, **options)
    accuracy = evaluate(net, enlarged("test"))["accuracy"]
    record_property("accuracy", accuracy)
    print(f"{name}, seed {seed}: accuracy {accuracy:.3f}")
    assert accuracy > bar
