"""`shapes`: drawn scenes in which only the outline of an object tells its class."""

from unmagic.data.outlines import OUTLINES
from unmagic.data.splits import check_split
from unmagic.seeding import derive_seed

import math
import typing

import torch
from torch import Tensor

SHAPE_NAMES: tuple[str, ...] = tuple(OUTLINES)  # label i is SHAPE_NAMES[i]
SIDE = 32  # pixels
BLOCK = 250  # images drawn together; a multiple of the ten classes
AREAS = (80.0, 170.0)  # of the object, in pixels: the same for every class
BANDS, STROKES = 3, 5  # clutter behind the object, and over it


class Shapes(typing.NamedTuple):
    """`images, labels, masks = data.shapes(1000)`"""

    images: Tensor  # (N, 3, 32, 32) float32 in [0, 1]
    labels: Tensor  # (N,) int64, 0 to 9: SHAPE_NAMES[label]
    masks: Tensor  # (N, 1, 32, 32) bool: True on the object


def shapes(n: int, seed: int = 0, split: str = "train", *, device: torch.device | str = "cpu") -> Shapes:
    """Draw `n` scenes of 32×32 pixels: one object of ten classes on a cluttered background, and the object's mask.

    Pose, size, proportion, colours, texture, light and clutter are drawn from the same distributions whatever the
    class, and an object covers 80 to 170 pixels whatever the class: colour, texture and area say nothing about it, only
    the outline does. Any 250 images from a multiple of 250 on hold each class 25 times.

    Args:
        n: how many; the first images of a larger `n` are the same.
        seed: any integer; another seed gives other images.
        split: "train", "validation" or "test": streams of random numbers that have nothing in common.
        device: where to draw. The numbers come from the CPU, so that the scenes are the same everywhere, up to
            rounding.

    Returns:
        images (n, 3, 32, 32) float32 in [0, 1], labels (n,) int64, masks (n, 1, 32, 32) bool.

    Raises:
        ValueError: a negative `n`, or an unknown split.
    """
    check_split(split)
    if n < 0:
        raise ValueError(f"shapes: n is {n}; wanted 0 or more images.")
    images = torch.empty(n, 3, SIDE, SIDE, device=device)
    labels = torch.empty(n, dtype=torch.int64, device=device)
    masks = torch.empty(n, 1, SIDE, SIDE, dtype=torch.bool, device=device)
    with torch.no_grad():
        for start in range(0, n, BLOCK):
            g = torch.Generator().manual_seed(derive_seed("unmagic/shapes", seed, split, start // BLOCK))
            block = _draw_block(g, torch.device(device))
            size = min(BLOCK, n - start)
            for whole, part in zip((images, labels, masks), block, strict=True):
                whole[start : start + size] = part[:size]
    return Shapes(images, labels, masks)


class _Random:
    """Draws on the CPU, computes on the device. Every draw has shape (BLOCK, *shape)."""

    def __init__(self, generator: torch.Generator, device: torch.device):
        self.generator, self.device = generator, device

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(BLOCK, *shape, generator=self.generator).mul_(high - low).add_(low).to(self.device)


def _draw_block(generator: torch.Generator, device: torch.device) -> Shapes:
    random = _Random(generator, device)
    labels = (torch.randperm(BLOCK, generator=generator) % len(SHAPE_NAMES)).to(device)
    axis = torch.arange(SIDE, device=device) + 0.5 - SIDE / 2  # pixel centres, from the middle of the image
    x, y = axis.repeat(SIDE)[None], -axis.repeat_interleave(SIDE)[None]  # (1, P): P = 32·32 pixels, y up

    distance = _object_distance(random, labels, x, y)  # (N, P), in pixels
    scene = _compose(random, distance, x, y)  # (N, 3, P)
    return Shapes(scene.view(BLOCK, 3, SIDE, SIDE), labels, (distance < 0).view(BLOCK, 1, SIDE, SIDE))


def _object_distance(random: _Random, labels: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Signed distance of every pixel's centre from the object's outline, (N, P), in pixels."""
    p, angle = random.uniform(0, 1, 1), random.uniform(0, 2 * math.pi, 1)  # (N, 1)
    stretch = random.uniform(-0.12, 0.12, 1).exp()  # longer by it along one axis, shorter along the other: same area
    wanted, place = random.uniform(*AREAS, 1), random.uniform(-1, 1, 2)
    distance = torch.empty(BLOCK, x.shape[1], device=x.device)
    for label, outline in enumerate(OUTLINES.values()):
        who = (labels == label).nonzero()[:, 0]  # (n,)
        q, s, a = p[who], stretch[who], angle[who]  # (n, 1)
        unit = (wanted[who] / outline.area(q)).sqrt()  # pixels in a unit of length, so that the area is the wanted one
        reach = unit * outline.reach(q) * torch.maximum(s, 1 / s)
        free = (SIDE / 2 - 0.5 - reach).clamp_min(0)  # how far the middle can move with the whole object in the image
        dx, dy = x - free * place[who, :1], y - free * place[who, 1:]  # (n, P)
        across = (a.cos() * dx + a.sin() * dy) / (unit * s)
        up = (a.cos() * dy - a.sin() * dx) / (unit / s)
        distance[who] = outline.distance(across, up, q) * unit
    return distance


def _compose(random: _Random, distance: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Background bands, the object, strokes over both, texture, light and noise: (N, 3, P) in [0, 1]."""
    # How sharp and how strong edges are differs more between images than between classes, so that the amount of edges,
    # which is larger in a frame than in a disc, tells next to nothing.
    soft, contrast = random.uniform(1, 2, 1), random.uniform(0.6, 1, 1)  # (N, 1)
    paint = random.uniform(0, 1, 3, 1)  # the object's colour
    # A background colour differs from it by 0.25 to 0.75 of the circle in each channel: always visible, still uniform.
    backs = torch.remainder(paint[:, None] + random.uniform(0.25, 0.75, 1 + BANDS, 3, 1), 1)  # (N, 1 + BANDS, 3, 1)

    scene = backs[:, 0] + 0.2 * _grating(random, x, y)  # (N, 3, P)
    for band in range(BANDS):  # a half-plane's edge, or a strip of it
        a, far = random.uniform(0, 2 * math.pi, 1), random.uniform(-12, 12, 1)
        width = random.uniform(1.5, 9, 1)
        cover = _cover((a.cos() * x + a.sin() * y - far).abs() - width, soft)  # (N, P)
        scene = torch.lerp(scene, backs[:, 1 + band], cover[:, None])
    scene = torch.lerp(scene, paint + 0.2 * _grating(random, x, y), _cover(distance, soft)[:, None])
    for _ in range(STROKES):  # thin lines over everything, in any colour
        scene = torch.lerp(scene, random.uniform(0, 1, 3, 1), _stroke(random, x, y, soft)[:, None])

    a = random.uniform(0, 2 * math.pi, 1)
    light = 1 + random.uniform(0, 0.25, 1) * (a.cos() * x + a.sin() * y) / (SIDE / 2)  # (N, P)
    grain = random.uniform(0, 0.15, 1, 1) * random.uniform(-1, 1, 1, x.shape[1])  # (N, 1, P)
    middle = random.uniform(0.35, 0.65, 1)  # what the contrast shrinks towards
    return torch.lerp(middle[:, None], scene * light[:, None], contrast[:, None]).add_(grain).clamp_(0, 1)


def _grating(random: _Random, x: Tensor, y: Tensor) -> Tensor:
    """A wave of random direction, length (3 to 12 pixels), phase and colour: (N, 3, P)."""
    a, phase = random.uniform(0, 2 * math.pi, 1), random.uniform(0, 2 * math.pi, 1)
    k = 2 * math.pi / random.uniform(3, 12, 1)
    return random.uniform(-1, 1, 3, 1) * torch.sin(k * (a.cos() * x + a.sin() * y) + phase)[:, None]


def _stroke(random: _Random, x: Tensor, y: Tensor, soft: Tensor) -> Tensor:
    """How much a line of 4 to 18 pixels' length, in any place and direction, covers each pixel: (N, P)."""
    a, at = random.uniform(0, math.pi, 1), random.uniform(-14, 14, 2, 1)
    half, thick = random.uniform(2, 9, 1), random.uniform(0.4, 0.9, 1)
    dx, dy = x - at[:, 0], y - at[:, 1]
    along, across = a.cos() * dx + a.sin() * dy, a.cos() * dy - a.sin() * dx
    return _cover(torch.maximum(along.abs() - half, across.abs() - thick), soft)


def _cover(distance: Tensor, soft: Tensor) -> Tensor:
    """How much of a pixel lies inside an edge at that distance from its centre: from 0 to 1 over `soft` pixels."""
    return (0.5 - distance / soft).clamp(0, 1)
