"""The ten outlines that `shapes` draws: for each its signed distance, its area and its reach, in its own unit of
length.

A signed distance is negative inside, positive outside and grows by one a unit of length across the outline. Along
straight and round parts these are exact; outside a corner they are too small, which rounds nothing that a pixel could
show.

`p`, from 0 to 1, is an outline's proportion: how thick the ring, how fat the star. All functions take x, y of shape (N,
P) and p of shape (N, 1), and give (N, P); area and reach give (N, 1). y points up.
"""

import math
import typing
from collections.abc import Callable

import torch
from torch import Tensor

DEGREES_36 = math.pi / 5


class Outline(typing.NamedTuple):
    distance: Callable[[Tensor, Tensor, Tensor], Tensor]  # x, y, p → signed distance, negative inside
    area: Callable[[Tensor], Tensor]  # p → area
    reach: Callable[[Tensor], Tensor]  # p → the farthest a point of it lies from the origin


def _constant(value: float) -> Callable[[Tensor], Tensor]:
    return lambda p: torch.full_like(p, value)


def _disc(x: Tensor, y: Tensor, p: Tensor) -> Tensor:
    return torch.hypot(x, y) - 1


def _hole(p: Tensor) -> Tensor:
    """The hole's share of the radius, for ring and frame."""
    return 0.45 + 0.2 * p


def _ring(x: Tensor, y: Tensor, p: Tensor) -> Tensor:
    r = torch.hypot(x, y)
    return torch.maximum(r - 1, _hole(p) - r)


def _square(x: Tensor, y: Tensor, p: Tensor) -> Tensor:
    return torch.maximum(x.abs(), y.abs()) - 1


def _frame(x: Tensor, y: Tensor, p: Tensor) -> Tensor:
    m = torch.maximum(x.abs(), y.abs())
    return torch.maximum(m - 1, _hole(p) - m)


def _triangle(x: Tensor, y: Tensor, p: Tensor) -> Tensor:
    """Equilateral, tip up, corners at distance 1."""
    return torch.maximum(-y, math.sqrt(0.75) * x.abs() + 0.5 * y) - 0.5


def _waist(p: Tensor) -> Tensor:
    """The star's inner radius."""
    return 0.4 + 0.12 * p


def _star(x: Tensor, y: Tensor, p: Tensor) -> Tensor:
    """Five points: folded into the half of one arm, where its outline is a single straight line from tip to waist."""
    angle = torch.atan2(y, x)
    angle = (angle - torch.round(angle / (2 * DEGREES_36)) * (2 * DEGREES_36)).abs()  # from the nearest tip, 0 to 36°
    r, q = torch.hypot(x, y), _waist(p)
    n_x, n_y = q * math.sin(DEGREES_36), 1 - q * math.cos(DEGREES_36)  # normal of the line
    return (n_x * (r * angle.cos() - 1) + n_y * (r * angle.sin())) / torch.hypot(n_x, n_y)


def _arm(p: Tensor) -> Tensor:
    """Half the width of the cross's arms."""
    return 0.25 + 0.12 * p


def _cross(x: Tensor, y: Tensor, p: Tensor) -> Tensor:
    x, y, w = x.abs(), y.abs(), _arm(p)
    return torch.maximum(torch.maximum(x, y) - 1, torch.minimum(x, y) - w)


BITE = 0.85  # radius of the disc bitten out of the crescent


def _bite_offset(p: Tensor) -> Tensor:
    return 0.45 + 0.15 * p


def _crescent(x: Tensor, y: Tensor, p: Tensor) -> Tensor:
    return torch.maximum(torch.hypot(x, y) - 1, BITE - torch.hypot(x - _bite_offset(p), y))


def _crescent_area(p: Tensor) -> Tensor:
    """π less the lens that two circles share (radii 1 and r, centres d apart)."""
    d, r = _bite_offset(p), BITE
    wide = torch.acos((d**2 + 1 - r**2) / (2 * d))
    narrow = r**2 * torch.acos((d**2 + r**2 - 1) / (2 * d * r))
    kite = 0.5 * torch.sqrt((-d + 1 + r) * (d + 1 - r) * (d - 1 + r) * (d + 1 + r))
    return math.pi - (wide + narrow - kite)


def _heart(x: Tensor, y: Tensor, p: Tensor) -> Tensor:
    """A square on its corner and a half disc on each of its two upper sides."""
    x = x.abs()
    return torch.minimum((x + y.abs() - 1) * math.sqrt(0.5), torch.hypot(x - 0.5, y - 0.5) - math.sqrt(0.5))


HEAD_START, HEAD_HALF = 0.1, 0.7  # the arrow's head: where it begins on the axis, half its width


def _shaft(p: Tensor) -> Tensor:
    """Half the width of the arrow's shaft."""
    return 0.16 + 0.1 * p


def _arrow(x: Tensor, y: Tensor, p: Tensor) -> Tensor:
    """Points along x, from -1 to 1."""
    y, length = y.abs(), 1 - HEAD_START
    slope = (HEAD_HALF * (x - 1) + length * y) / math.hypot(HEAD_HALF, length)
    shaft = torch.maximum(torch.maximum(-1 - x, x - HEAD_START), y - _shaft(p))
    return torch.minimum(torch.maximum(HEAD_START - x, slope), shaft)


OUTLINES: dict[str, Outline] = {
    "disc": Outline(_disc, _constant(math.pi), _constant(1)),
    "ring": Outline(_ring, lambda p: math.pi * (1 - _hole(p) ** 2), _constant(1)),
    "square": Outline(_square, _constant(4), _constant(math.sqrt(2))),
    "frame": Outline(_frame, lambda p: 4 * (1 - _hole(p) ** 2), _constant(math.sqrt(2))),
    "triangle": Outline(_triangle, _constant(math.sqrt(27) / 4), _constant(1)),
    "star": Outline(_star, lambda p: 5 * math.sin(DEGREES_36) * _waist(p), _constant(1)),
    "cross": Outline(_cross, lambda p: 8 * _arm(p) - 4 * _arm(p) ** 2, lambda p: torch.hypot(p**0, _arm(p))),
    "crescent": Outline(_crescent, _crescent_area, _constant(1)),
    "heart": Outline(_heart, _constant(2 * (1 + math.pi / 4)), _constant(math.sqrt(2))),
    "arrow": Outline(
        _arrow,
        lambda p: HEAD_HALF * (1 - HEAD_START) + 2 * _shaft(p) * (1 + HEAD_START),
        lambda p: torch.hypot(p**0, _shaft(p)),
    ),
}
