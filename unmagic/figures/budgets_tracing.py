"""From a net to the formulas of its layers: `zoo.budget`'s pass, which also notes where every map's sides come from."""

from __future__ import annotations

from unmagic.figures.budgets_layers import Count, Layer, LayerList, Pair, Sight, Size, always
from unmagic.zoo.budgets import Budget, Counter, Row, budget

import itertools
import math
import typing

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

aten = torch.ops.aten
_POOLINGS = (aten.max_pool2d_with_indices, aten.max_pool2d, aten.avg_pool2d)
_PADDINGS = (aten.constant_pad_nd, aten.reflection_pad2d, aten.replication_pad2d)
_RESHAPES = (aten.view, aten._unsafe_view, aten.reshape)
_UPSAMPLINGS = (aten.upsample_nearest2d, aten.upsample_bilinear2d, aten.upsample_bicubic2d)
_FRESH = (aten.new_full, aten.new_zeros, aten.new_ones, aten.new_empty)  # take a type, and nothing else, from a tensor


def traced(model: nn.Module, input_shape: tuple[int, ...]) -> tuple[LayerList, Budget]:
    """The layers of a net and `zoo.budget` of it, from one pass at `input_shape`, (channels, height, width).

    ValueError for a shape of other than three numbers, or when the net cannot take it.
    """
    if len(input_shape) != 3 or not all(isinstance(n, int) and n > 0 for n in input_shape):
        raise ValueError(f"input_shape: found {input_shape!r}, wanted (channels, height, width) of one input")
    tracer = _Tracer(tuple(input_shape))
    counted = budget(model, input_shape, tracer)
    elsewhere = counted.parameters - sum(row.parameters for row in counted.rows)
    layers = LayerList(tuple(input_shape), elsewhere, tracer.fixed, tuple(tracer.sizes), tuple(tracer.layers))
    return layers, counted


class _Tracer(Counter):
    """Counts, and follows of each tensor: the map whose sides it has, and where in the input its first place looks."""

    def __init__(self, input_shape: tuple[int, ...]):
        super().__init__()
        self.sizes = [always(input_shape[1:])]
        self.layers: list[Layer] = []
        self.fixed = False
        self._sides = [input_shape[1:]]  # of each map, here
        self._map: WeakIdKeyDictionary = WeakIdKeyDictionary()  # tensor: its map
        self._flat: WeakIdKeyDictionary = WeakIdKeyDictionary()  # tensor (1, numbers): the map that was flattened
        self._first: WeakIdKeyDictionary = WeakIdKeyDictionary()  # tensor: (first pixel, growth, of map)
        self._terms: list[
            list[tuple[int, int, bool]]
        ] = []  # of each module that runs: multiply–adds a place, map, weights

    def begin(self, x: Tensor) -> None:
        super().begin(x)
        self._map[x], self._first[x] = 0, (0, 0, 0)

    def enter(self, module: nn.Module, inputs: tuple) -> None:
        super().enter(module, inputs)
        self._terms.append([])

    def leave(self, name: str) -> typing.Callable:
        count = super().leave(name)

        def hook(module: nn.Module, inputs: tuple, output: typing.Any) -> None:
            rows, terms = len(self.rows), self._terms.pop()
            count(module, inputs, output)
            if len(self.rows) > rows:
                self.layers.append(self._layer(self.rows[-1], output, terms))

        return hook

    def _layer(self, row: Row, output: Tensor, terms: list[tuple[int, int, bool]]) -> Layer:
        macs: dict[int, int] = {}
        for each, i, _ in terms:
            macs[i] = macs.get(i, 0) + each
        weights = [(each, i) for each, i, covers in terms if covers and each * self._places(i) <= row.parameters]
        each, i = max(
            weights, default=(0, 0)
        )  # of two, the other is no weight of its own, such as a box to average with
        own = {i: each} if each else {}
        numbers, shape = Count(row.activations), row.output
        if output in self._map and output.ndim == 4:
            numbers, shape = Count(0, {self._map[output]: row.output[0]}), ()
        elif output in self._flat:
            i = self._flat[output]
            numbers, shape = Count(0, {i: row.activations // self._places(i)}), None
        sees = None
        if row.receptive_field is not None and output in self._first:
            first, growth, of = self._first[output]
            side = row.receptive_field - growth * self._sides[of][1]
            sees = Sight(side, self.seen[output][1], first, growth, of)
        return Layer(
            row.name, row.kind, numbers, shape, sees, self._rest(row.parameters, own), self._rest(row.macs, macs)
        )

    def _places(self, i: int) -> int:
        return math.prod(self._sides[i])

    def _rest(self, total: int, terms: dict[int, int]) -> Count:
        return Count(total - sum(each * self._places(i) for i, each in terms.items()), terms)

    # --- an operation at a time ---

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = super().__torch_dispatch__(function, types, args, kwargs)
        outputs = [t for t in (result if isinstance(result, list | tuple) else (result,)) if isinstance(t, Tensor)]
        inputs = [t for t in _tensors(args) if t in self._map or t in self._flat]
        if inputs and outputs and function._overloadpacket not in _FRESH:
            self._follow(function._overloadpacket, args, inputs, outputs)
        return result

    def _follow(self, operation: typing.Any, args: tuple, inputs: list[Tensor], outputs: list[Tensor]) -> None:
        x, y = inputs[0], outputs[0]
        first, growth, of = self._looks(inputs)
        step = max((self.seen[t][1] for t in inputs if t in self.seen), default=1)
        i = self._map.get(x)
        if operation in (aten.addmm, aten.mm):
            rows = args[1] if operation is aten.addmm else args[0]
            if rows in self._flat:
                i = self._flat[rows]
                self._terms[-1].append((y.numel() * rows.shape[-1] // self._places(i), i, True))
            return  # all is seen, and the result has no size
        if operation is aten.convolution and i is not None and x.ndim == 4:
            i, first, growth, of = self._convolution(args, y, i, first, growth, of, step)
        elif operation in _POOLINGS and i is not None:
            kernel, stride, padding, dilation, ceil = _pooling(operation, args)
            first -= padding[1] * step
            i = self._made(_window(i, kernel, stride, padding, dilation, ceil), y)
        elif operation in _PADDINGS and i is not None:
            left, right, above, below = (*args[1], 0, 0, 0)[:4]
            first -= left * step
            i = self._made(Size(i, (1, 1), (above + below, left + right)), y)
        elif operation is aten.slice and i is not None and len(args) > 1 and args[1] % x.ndim >= x.ndim - 2:
            axis, start, end, every = args[1] % x.ndim - x.ndim + 2, args[2] or 0, args[3], (*args, 1)[4]
            whole = end is None or end >= x.shape[args[1]]
            self.fixed |= start < 0 or (not whole and end > 0)
            cut, stride = [0, 0], [1, 1]
            cut[axis], stride[axis] = -start + (0 if whole else end), every
            first += start * step * axis
            i = self._made(Size(i, tuple(stride), tuple(cut)), y)
        elif operation in _UPSAMPLINGS and i is not None:
            ratio = tuple(big // small for big, small in zip(y.shape[-2:], x.shape[-2:], strict=True))
            i = self._made(Size(i, ratio, (ratio[0] - 1, ratio[1] - 1), mode="t"), y)
        elif operation in _RESHAPES and y.ndim == 2 and y.numel() == x.numel():
            self._flat[y] = self._flat[x] if x in self._flat else self._map[x]
            self._first[y] = (first, growth, of)
            return
        elif operation in (aten.mean, aten.sum, aten.amax) and i is not None and _over_places(args):
            if y.ndim == x.ndim:
                self._map[y] = self._made(always(tuple(y.shape[-2:])), y)
            return
        elif operation in (aten._adaptive_avg_pool2d, aten.adaptive_max_pool2d):
            i = self._made(always(tuple(y.shape[-2:])), y)
        else:  # anything else keeps the sides, or is not followed
            for y, t in itertools.product(outputs, inputs):
                if t in self._map and y.ndim >= 3 and tuple(y.shape[-2:]) == self._sides[self._map[t]]:
                    self._map[y] = self._map[t]
                elif t in self._flat and y.shape == t.shape:
                    self._flat[y] = self._flat[t]
                self._first[y] = (first, growth, of)
            self.fixed |= not any(y in self._map or y in self._flat for y in outputs)
            return
        self._map[y], self._first[y] = i, (first, growth, of)

    def _looks(self, inputs: list[Tensor]) -> tuple[int, int, int]:
        """first, growth and map of the input that sees most."""
        known = [(self.seen[t][0] or 0, self._first[t]) for t in inputs if t in self._first and t in self.seen]
        return max(known, key=lambda pair: (pair[0], -pair[1][0]), default=(0, (0, 0, 0)))[1]

    def _convolution(self, args: tuple, y: Tensor, i: int, first: int, growth: int, of: int, step: int):
        weight, stride, padding, dilation, transposed, extra = args[1], *map(tuple, args[3:6]), args[6], tuple(args[7])
        kernel = tuple(weight.shape[2:])
        numbers = weight.numel()
        if transposed:
            self._terms[-1].append((numbers, i, False))
            reach = tuple(dilation[a] * (kernel[a] - 1) - 2 * padding[a] + extra[a] for a in (0, 1))
            # the first place of what came in that reaches the first output
            first += math.ceil((padding[1] - kernel[1] + 1) / stride[1]) * step
            return self._made(Size(i, stride, reach, mode="t"), y), first, growth, of
        covers = kernel == self._sides[i] and max(padding) == 0 and max(dilation) == 1 < min(kernel)
        if covers:
            self._terms[-1].append((numbers // self._places(i), i, True))
            return self._made(always((1, 1)), y), first, step, i
        out = self._made(_window(i, kernel, stride, padding, dilation), y)
        self._terms[-1].append((numbers, out, False))
        return out, first - padding[1] * step, growth, of

    def _made(self, size: Size, y: Tensor) -> int:
        """The number of the map with that size; of the one it is made from where nothing changes."""
        if size.mode == "f" and size.stride == (1, 1) and size.reach == (0, 0):
            return size.source
        if size not in self.sizes[1:]:
            above = self._sides[size.source]
            self.sizes.append(size)
            self._sides.append((size.side(above[0], 0), size.side(above[1], 1)))
        i = self.sizes.index(size, 1)
        self.fixed |= self._sides[i] != tuple(y.shape[-2:])
        return i


def _tensors(values: typing.Any) -> typing.Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _over_places(args: tuple) -> bool:
    """Whether a mean, sum or maximum goes over the places of a map."""
    axes, over = args[0].ndim, args[1] if len(args) > 1 else None
    return not over or any(axis % axes >= axes - 2 for axis in over)


def _pooling(operation: typing.Any, args: tuple) -> tuple[Pair, Pair, Pair, Pair, bool]:
    """kernel, stride, padding, dilation and ceil_mode of a pooling's arguments."""

    def pair(value: list[int]) -> Pair:
        return (value[0], value[-1])

    kernel = pair(args[1])
    stride = pair(args[2]) if len(args) > 2 and args[2] else kernel
    padding = pair(args[3]) if len(args) > 3 else (0, 0)
    if operation is aten.avg_pool2d:
        return kernel, stride, padding, (1, 1), len(args) > 4 and args[4]
    dilation = pair(args[4]) if len(args) > 4 else (1, 1)
    return kernel, stride, padding, dilation, len(args) > 5 and args[5]


def _window(i: int, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil: bool = False) -> Size:
    """What a window that slides over map i gives; padding at each end."""
    reach = tuple(2 * p - d * (k - 1) for k, p, d in zip(kernel, padding, dilation, strict=True))
    return Size(i, stride, reach, padding, "c") if ceil else Size(i, stride, reach)
