"""Maps of covered images as patches: what a window cannot reach is taken from the image uncovered.

A window that covers part of an image changes a layer's maps only where the layer sees that part: a patch, which each
3×3 convolution makes two pixels larger. Here is what layers make of patches; `unmagic.look.covering` runs nets on them.

S. Nakandala, A. Kumar, Y. Papakonstantinou: Incremental and approximate inference for faster occlusion-based deep CNN
explanations. SIGMOD 2019, section 4: the exact part, with a patch that neighbouring windows share.
"""

import dataclasses
import math
import operator
import typing
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NEARLY_ALL = 0.8  # of a map's area: the whole is then as fast as a patch that has to be cut out


class Patch(typing.NamedTuple):
    """A layer's maps of N images, each covered in P ways: `new` from (top, left) on, all around it those of `base`."""

    base: Tensor  # (N, C, H, W), of the images uncovered
    new: Tensor  # (N·P, C, h, w), the P of an image side by side
    top: int
    left: int

    def cut(self, top: int, left: int, height: int, width: int, outside: float = 0.0) -> Tensor:
        """A rectangle out of the covered images' maps, (N·P, C, height, width), and `outside` beyond their border."""
        N, C, H, W = self.base.shape
        P, h, w = len(self.new) // N, *self.new.shape[2:]
        bottom, right = top + height, left + width
        above, below, before, after = self.top, self.top + h, self.left, self.left + w
        found = self.new.new_empty(N, P, height, width, C)
        if top < 0 or left < 0 or bottom > H or right > W:
            found.fill_(outside)

        def put(maps: Tensor, first: int, last: int, start: int, stop: int, y: int = 0, x: int = 0) -> None:
            """Rows first … last and columns start … stop, so far as they are wanted, of maps that begin at (y, x)."""
            first, last, start, stop = max(first, top), min(last, bottom), max(start, left), min(stop, right)
            if first < last and start < stop:
                part = maps[:, :, :, first - y : last - y, start - x : stop - x].permute(0, 1, 3, 4, 2)
                found[:, :, first - top : last - top, start - left : stop - left] = part

        put(self.new.unflatten(0, (N, P)), above, below, before, after, above, before)
        around = self.base[:, None]
        put(around, 0, above, 0, W)
        put(around, below, H, 0, W)
        put(around, above, below, 0, before)
        put(around, above, below, after, W)
        return found.flatten(0, 1).permute(0, 3, 1, 2)  # channels last

    def whole(self) -> Tensor:
        return self.cut(0, 0, *self.base.shape[2:])


def _sliding(
    work: Callable[[Tensor, tuple], Tensor], x: Patch, base: Tensor, kernel, stride, padding, dilation=1, outside=0.0
) -> Patch | None:
    """What a layer with a window of its own, such as a convolution, makes of a patch; None where it reaches too far.

    Args:
        work: the layer, given its input and how much of it is padding still to be added, on both sides of each axis.
        base: its output on the images uncovered.
        outside: what its padding is.
    """
    cuts, sides, begins = [], [], []
    for axis, layer in enumerate(zip(*map(_pair, (kernel, stride, padding, dilation)), strict=True)):
        k, s, p, d = layer
        span, first, outputs = d * (k - 1) + 1, (x.top, x.left)[axis], base.shape[2 + axis]
        # output o sees inputs o·s − p … o·s − p + span − 1. As many for every window of this size, wherever it lies:
        # then all patches of a layer have one shape, and the first ones are no slower to set up than they must be
        count = min((x.new.shape[2 + axis] + span - 2) // s + 1, outputs)
        begin = min(max(-((span - 1 - p - first) // s), 0), outputs - count)
        if count == outputs:
            cuts.append((0, x.base.shape[2 + axis], p))
        else:
            cuts.append((begin * s - p, (count - 1) * s + span, 0))
        sides.append(count)
        begins.append(begin)
    if math.prod(sides) > NEARLY_ALL * math.prod(base.shape[2:]):
        return None
    (top, height, above), (left, width, before) = cuts
    new = work(x.cut(top, left, height, width, outside), (above, before))
    return Patch(base, new, *begins)


def _pair(value) -> tuple:
    return tuple(value) if isinstance(value, tuple | list) else (value, value)


@dataclasses.dataclass
class Convolution:
    """What nn.Conv2d does; weights of its own, channels last, so that batch norm can be folded into them."""

    weight: Tensor  # (K, C/groups, k, k)
    bias: Tensor | None
    stride: tuple
    padding: tuple | str
    dilation: tuple
    groups: int

    def __call__(self, maps: Tensor, padding: tuple | None = None) -> Tensor:
        padding = self.padding if padding is None else padding
        return F.conv2d(maps, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


def _convolution(conv: Convolution, base: Tensor, x: Patch) -> Patch | None:
    kernel, padding = conv.weight.shape[2:], conv.padding
    if isinstance(padding, str):
        total = [0 if padding == "valid" else d * (k - 1) for k, d in zip(kernel, conv.dilation, strict=True)]
        if any(side % 2 for side in total):
            return None  # one more on one side than on the other
        padding = tuple(side // 2 for side in total)
    return _sliding(conv, x, base, kernel, conv.stride, padding, conv.dilation)


def _max_pool(pool: nn.MaxPool2d, base: Tensor, x: Patch) -> Patch | None:
    k, s, d = pool.kernel_size, pool.stride, pool.dilation

    def work(maps: Tensor, padding: tuple) -> Tensor:
        return F.max_pool2d(maps, k, s, padding, d, pool.ceil_mode)

    return None if pool.return_indices else _sliding(work, x, base, k, s, pool.padding, d, -torch.inf)


def _average_pool(pool: nn.AvgPool2d, base: Tensor, x: Patch) -> Patch | None:
    k, s = pool.kernel_size, pool.stride

    def work(maps: Tensor, padding: tuple) -> Tensor:
        return F.avg_pool2d(maps, k, s, padding, divisor_override=pool.divisor_override)

    uneven = pool.ceil_mode or (pool.padding not in (0, (0, 0)) and not pool.count_include_pad)
    return None if uneven else _sliding(work, x, base, k, s, pool.padding)


def _taking(_, base: Tensor, x: Patch, index) -> Patch | None:
    """x[:, :, ::s, ::s]: a window of one pixel."""
    if not isinstance(index, tuple) or len(index) != 4 or any(not isinstance(i, slice) for i in index):
        return None
    steps = tuple(i.step or 1 for i in index)
    if any((i.start, i.stop) != (None, None) for i in index) or steps[:2] != (1, 1):
        return None
    return _sliding(lambda maps, padding: maps[index], x, base, 1, steps[2:], 0)


def _padding(pad, base: Tensor, x: Patch, sides, *more, **options) -> Patch | None:
    """Channels added, no pixels."""
    return None if any(sides[:4]) else x._replace(base=base, new=pad(x.new, sides, *more, **options))


def pointwise(work, base: Tensor, x: Patch, *more, **options) -> Patch:
    return x._replace(base=base, new=work(x.new, *more, **options))


def _together(work, base: Tensor, *given, **options) -> Patch | None:
    """Sums and such of patches, first made to lie on one rectangle, and numbers."""
    patches = [x for x in given if isinstance(x, Patch)]
    if any(isinstance(x, Tensor) for x in given) or any(x.base.shape[2:] != base.shape[2:] for x in patches):
        return None
    top, left = min(x.top for x in patches), min(x.left for x in patches)
    height = max(x.top + x.new.shape[2] for x in patches) - top
    width = max(x.left + x.new.shape[3] for x in patches) - left

    def fitting(x):
        if not isinstance(x, Patch):
            return x
        return x.new if x.new.shape[2:] == (height, width) else x.cut(top, left, height, width)

    return Patch(base, work(*map(fitting, given), **options), top, left)


def _concatenation(cat, base: Tensor, given, dim=0) -> Patch | None:
    return _together(lambda *maps: cat(maps, dim), base, *given) if dim in (1, -3) else None


# by the kind of module or the function; None of them, and whatever is not here, is done with whole maps
ON_PATCHES: dict[typing.Any, Callable[..., Patch | None]] = {
    Convolution: _convolution,
    nn.MaxPool2d: _max_pool,
    nn.AvgPool2d: _average_pool,
    operator.getitem: _taking,
    F.pad: _padding,
    torch.cat: _concatenation,
    **dict.fromkeys([nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SiLU, nn.GELU, nn.Hardswish], pointwise),
    **dict.fromkeys([nn.Tanh, nn.Sigmoid, nn.Identity, nn.Dropout, nn.Dropout2d], pointwise),
    **dict.fromkeys([nn.BatchNorm2d, nn.LocalResponseNorm], pointwise),
    **dict.fromkeys([torch.relu, torch.relu_, F.relu, F.silu, F.gelu, torch.tanh, torch.sigmoid], pointwise),
    **dict.fromkeys([operator.add, operator.sub, operator.mul, operator.truediv, torch.add, torch.mul], _together),
}
