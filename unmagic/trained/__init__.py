"""Small nets of the zoo that are trained already, so that pages and labs start from a net that works.

from unmagic import trained
net = trained.load("shapes_resnet")     # in evaluation mode, on the CPU; images in [0, 1] straight from `unmagic.data`
trained.table()                         # what each costs, and its accuracy on the test split

`python -m unmagic.trained` makes them all anew, `python -m unmagic.trained shapes_vgg` one of them: see `recipes`.
"""

from unmagic.trained.files import ACCURACIES, read, weights_path
from unmagic.trained.recipes import RECIPES

import json
import typing

import torch
from torch import nn

__all__ = ["load", "names", "table"]


def names() -> list[str]:
    """The nets there are; the first word of a name is the data set."""
    return list(RECIPES)


def load(name: str) -> nn.Module:
    """A trained net in evaluation mode, on the CPU, in float32. It draws no random number.

    Input (N, 1, 8, 8) for digits and (N, 3, 32, 32) for shapes, float32 in [0, 1]; output (N, 10) logits.

    Raises:
        ValueError: there is no net of that name; says which there are.
    """
    if name not in RECIPES:
        raise ValueError(f"trained: there is no net {name!r}; there are {', '.join(RECIPES)}.")
    with torch.random.fork_rng(devices=[]):  # the weights it begins with are thrown away
        net = RECIPES[name].build()
    net.load_state_dict(read(weights_path(name)))  # float16 in the file, float32 in the net
    return net.eval()


def table() -> list[dict[str, typing.Any]]:
    """A row a net, written when it was trained:

    name, data           of the net, and what it was trained on
    parameters           how many
    multiply_adds        for one image
    accuracy             on the test split, 0 to 1: 300 digits, 2,000 shapes
    robust_accuracy      the same where each image is moved by FGSM, ε = `epsilon` (of the range from 0 to 1)
    images, epochs       different images in training, and passes over them
    learning_rate, optimizer, seed  of the training
    bytes                of the file
    """
    return json.loads(ACCURACIES.read_text())
