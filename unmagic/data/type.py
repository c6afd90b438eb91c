"""`typefaces`: letters and digits in the fonts that matplotlib ships; a split is a set of typefaces."""

from unmagic.data.splits import check_split
from unmagic.seeding import derive_seed

import functools
import math
import pathlib
import string
import typing

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

CHARACTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase  # label i is CHARACTERS[i]

# Whole families, so that no split holds the bold or the slanted sister of another's face.
FACES: dict[str, tuple[str, ...]] = {
    "train": (
        "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique",
        "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique",
        "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta",
    ),
    "validation": ("cmb10", "cmr10", "cmss10", "cmti10", "cmtt10"),
    "test": ("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic"),
}  # fmt: skip
FACE_NAMES: tuple[str, ...] = tuple(name for names in FACES.values() for name in names)

SIDE = 28  # pixels of an image
FINE = 2  # glyphs are jittered at twice the resolution and averaged down
BLOCK = 620  # images drawn together; a multiple of the 62 characters


class Typefaces(typing.NamedTuple):
    """`images, labels, faces = data.typefaces(1000)`"""

    images: Tensor  # (N, 1, 28, 28) float32 in [0, 1], light on dark
    labels: Tensor  # (N,) int64, 0 to 61: CHARACTERS[label]
    faces: Tensor  # (N,) int64: FACE_NAMES[face]


def typefaces(n: int, seed: int = 0, split: str = "train") -> Typefaces:
    """`n` letters and digits, each in a random face of the split, turned up to 12°, sheared, scaled and moved a little.

    The splits are families of type: DejaVu Sans, Sans Mono and STIX to train on, Computer Modern for validation, DejaVu
    Serif for the test. What is measured there is new type, not new jitter. Some characters cannot be told apart in some
    faces (l and I, O and 0): nobody reaches 100 %.

    Args:
        n: how many; the first images of a larger `n` are the same. Any 620 from a multiple of 620 on hold each
            character 10 times.
        seed: any integer.
        split: "train", "validation" or "test".

    Returns:
        images (n, 1, 28, 28) float32 in [0, 1], labels (n,) int64, faces (n,) int64.
    """
    check_split(split)
    if n < 0:
        raise ValueError(f"typefaces: n is {n}; wanted 0 or more images.")
    blocks = [
        _draw_block(torch.Generator().manual_seed(derive_seed("unmagic/typefaces", seed, split, i)), split)
        for i in range(max(1, math.ceil(n / BLOCK)))
    ]
    return Typefaces(*(torch.cat(parts)[:n] for parts in zip(*blocks, strict=True)))


def _draw_block(g: torch.Generator, split: str) -> Typefaces:
    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(BLOCK, generator=g) * (high - low) + low

    labels = torch.randperm(BLOCK, generator=g) % len(CHARACTERS)
    which = torch.randint(len(FACES[split]), (BLOCK,), generator=g)
    glyphs = _glyphs(split)[which, labels]  # (N, 56, 56)
    angle, shear = uniform(-math.pi / 15, math.pi / 15), uniform(-0.15, 0.15)
    scale, stretch = uniform(0.85, 1.15), uniform(0.9, 1.1)
    c, s = angle.cos(), angle.sin()
    rotation = torch.stack([torch.stack([c, -s], -1), torch.stack([s, c], -1)], 1)  # (N, 2, 2)
    one, zero = torch.ones(BLOCK), torch.zeros(BLOCK)
    shape = torch.stack([torch.stack([stretch, shear], -1), torch.stack([zero, one], -1)], 1)  # (N, 2, 2)
    move = torch.stack([uniform(-0.12, 0.12), uniform(-0.12, 0.12)], -1)[:, :, None]  # (N, 2, 1), in half images
    theta = torch.cat([rotation @ shape / scale[:, None, None], move], dim=2)  # (N, 2, 3): where a pixel comes from
    grid = F.affine_grid(theta, [BLOCK, 1, *glyphs.shape[1:]], align_corners=False)
    fine = F.grid_sample(glyphs[:, None], grid, align_corners=False)  # (N, 1, 56, 56)
    faces = which + FACE_NAMES.index(FACES[split][0])
    return Typefaces(F.avg_pool2d(fine, FINE).clamp_(0, 1), labels, faces)


@functools.cache
def _glyphs(split: str) -> Tensor:
    """Every character in every face of the split: (faces, 62, 56, 56), in [0, 1]. All stand on one line, so that c is
    not C.
    """
    import matplotlib  # heavy, and needed here alone
    from PIL import Image, ImageDraw, ImageFont

    folder = pathlib.Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    side = SIDE * FINE
    glyphs = torch.empty(len(FACES[split]), len(CHARACTERS), side, side)
    for i, face in enumerate(FACES[split]):
        font = ImageFont.truetype(folder / f"{face}.ttf", size=40)
        for j, character in enumerate(CHARACTERS):
            picture = Image.new("L", (side, side))
            ImageDraw.Draw(picture).text((side / 2, 0.68 * side), character, fill=255, font=font, anchor="ms")
            glyphs[i, j] = torch.from_numpy(np.array(picture)).float() / 255
    return glyphs
