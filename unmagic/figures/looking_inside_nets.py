"""The course's two nets beside the figure "Looking inside, live", with ten pictures each from their test splits.

`python -m unmagic.figures.looking_inside_nets` writes them anew from `unmagic.trained`, after a net was trained again.
"""

from __future__ import annotations

from unmagic import data, trained
from unmagic.figures import STATIC
from unmagic.figures.looking_inside_export import packed

import torch
from torch import Tensor, nn

FILES = {name: f"looking_inside_{name}.safetensors" for name in ("digits", "shapes")}


def samples(name: str) -> tuple[Tensor, Tensor]:
    """The first picture of each class in the test split, (10, C, H, W), and their classes, (10,)."""
    if name == "digits":
        images, labels = data.digits("test")
    else:
        images, labels, _ = data.shapes(data.drawn.BLOCK, split="test")
    first = torch.stack([(labels == label).nonzero()[0, 0] for label in range(10)])  # (10,)
    return images[first], labels[first]


def course_net(name: str) -> nn.Module:
    return trained.load(f"{name}_live")


def made(name: str) -> bytes:
    """The file of a net, as it must lie beside the figure."""
    pictures, labels = samples(name)
    return packed(course_net(name), input_shape=pictures.shape[1:], samples=pictures, labels=labels)


def main() -> None:
    for name, file in FILES.items():
        contents = made(name)
        (STATIC / file).write_bytes(contents)
        print(f"{file}: {len(contents):,} bytes")


if __name__ == "__main__":
    main()
