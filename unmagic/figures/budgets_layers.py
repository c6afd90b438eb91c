"""A net's budget at every input size: its layers as a list of formulas, and as a text for the browser.

`zoo.budget` counts a net at one size. A list knows how each map's sides follow from those of the map it is made from,
so that a browser can count at any other size, without the net. `LayerList.at` is what it computes there.
"""

from __future__ import annotations

from unmagic.zoo.budgets import Budget, Row

import math
import typing
from collections.abc import Mapping

Pair = tuple[int, int]


class Size(typing.NamedTuple):
    """How the sides of a map follow from the side n of map `source`; a pair is (vertical, horizontal).

    mode "f": ⌊(n − 1 + reach)/stride⌋ + 1, reach being the padding of both ends less dilation·(kernel − 1);
    "c": the same with ⌈ ⌉, as a pooling with ceil_mode has it, `begin` being the padding of one end;
    "t", a transposed convolution: (n − 1)·stride + reach + 1, reach here dilation·(kernel − 1) less the padding;
    "=": always `reach`.
    """

    source: int
    stride: Pair
    reach: Pair
    begin: Pair = (0, 0)
    mode: str = "f"

    def side(self, n: int, axis: int) -> int:
        stride, reach = self.stride[axis], self.reach[axis]
        if self.mode == "=":
            return reach
        if self.mode == "t":
            return (n - 1) * stride + reach + 1
        if self.mode == "f":
            return (n - 1 + reach) // stride + 1
        side = -((1 - n - reach) // stride) + 1
        return side - 1 if (side - 1) * stride >= n + self.begin[axis] else side  # none begins behind the picture


class Count(typing.NamedTuple):
    """fixed + Σ each·places: `terms` maps the number of a map to what each of its places adds."""

    fixed: int
    terms: Mapping[int, int] = {}

    def at(self, sides: list[Pair]) -> int:
        return self.fixed + sum(each * math.prod(sides[i]) for i, each in self.terms.items())


class Sight(typing.NamedTuple):
    """One output sees `side` + growth·(width of map `of`) pixels from `first` on, the next one `step` further, which is
    less than a pixel where the net has enlarged its maps."""

    side: int
    step: float
    first: float
    growth: int = 0
    of: int = 0


class Layer(typing.NamedTuple):
    """A row of the budget. `shape` is the output's where no map's size is in it, () for a map, None for a flat map."""

    name: str
    kind: str
    output: Count
    shape: tuple[int, ...] | None
    sees: Sight | None
    parameters: Count
    macs: Count


class LayerList(typing.NamedTuple):
    """A net's layers for any input size.

    input_shape  (channels, height, width) it was traced at
    elsewhere    parameters that belong to no row, such as heads for training
    fixed        counts hold at that size alone: something in the net depends on the size in a way that is not followed
    sizes        of the maps; map 0 is the input
    """

    input_shape: tuple[int, ...]
    elsewhere: int
    fixed: bool
    sizes: tuple[Size, ...]
    layers: tuple[Layer, ...]

    def sides(self, height: int) -> list[Pair]:
        """Height and width of every map for an input of `height` pixels and the traced ratio of sides."""
        _, h, w = self.input_shape
        sides = [(height, math.floor(w * height / h + 0.5))]
        for size in self.sizes[1:]:
            above = sides[size.source]
            sides.append((size.side(above[0], 0), size.side(above[1], 1)))
        return sides

    def smallest(self) -> int:
        """The least height at which every map has a place."""
        own = self.input_shape[1]
        fits = (h for h in range(1, own) if min(map(min, self.sides(h))) > 0)
        return own if self.fixed else next(fits, own)

    def largest(self) -> int:
        """The largest height that the figure offers: four times the net's own."""
        return self.input_shape[1] * (1 if self.fixed else 4)

    def at(self, height: int) -> Budget:
        """The budget for an input of `height` pixels: what `zoo.budget` counts for a net that is made for that size.

        A layer that covers its whole map, fully connected to it or a convolution as large as it, covers it at every
        size. ValueError where the size is fixed or leaves a map without a place.
        """
        own, least = self.input_shape[1], self.smallest()
        if height < least or (self.fixed and height != own):
            raise ValueError(
                f"an input of {height} pixels; wanted {own}{'' if self.fixed else f', or {least} and more'}"
            )
        sides = self.sides(height)
        rows = []
        for layer in self.layers:
            numbers = layer.output.at(sides)
            shape = layer.shape
            if shape is None:
                shape = (numbers,)
            elif not shape:
                ((i, channels),) = layer.output.terms.items()
                shape = (channels, *sides[i])
            seen = layer.sees and layer.sees.side + layer.sees.growth * sides[layer.sees.of][1]
            counts = layer.parameters.at(sides), layer.macs.at(sides)
            rows.append(Row(layer.name, layer.kind, shape, *counts, numbers, seen))
        parameters = self.elsewhere + sum(row.parameters for row in rows)
        return Budget.of(tuple(rows), parameters, self.input_shape[0] * math.prod(sides[0]))

    def text(self) -> str:
        """The list as text, for the browser: a line of the net, one of its maps, then one a layer.

        net    channels, height, width, parameters elsewhere, "fixed" or "free", then the kinds of layers
        maps   ";" between them: source, stride, reach, begin, mode; "3,1" where the axes differ
        layer  name, kind (its place in the list), output, sight, parameters, multiply–adds; trailing zeros are left out

        A name begins with how many parts it shares with the one above ("3^0.1"). "64@2" is 64 for each place of map 2,
        "~" marks a flat map, "=" what is as above, "-" a sight of everything; a sight is side/step/first.
        """
        kinds = list(dict.fromkeys(layer.kind for layer in self.layers))
        lines = [
            " ".join(map(str, (*self.input_shape, self.elsewhere, "fixed" if self.fixed else "free", *kinds))),
            ";".join(" ".join((str(s.source), *map(_pair, s[1:4]), s.mode)) for s in self.sizes[1:]),
        ]
        above: list[str] = []
        before = ("", "")
        for layer in self.layers:
            name = layer.name.split(".")
            shared = next((i for i, (a, b) in enumerate(zip(above, name, strict=False)) if a != b), None)
            shared = min(len(above), len(name) - 1) if shared is None else shared
            shape = "~" if layer.shape is None else "x".join(map(str, layer.shape))
            output = shape if layer.shape else shape + _count(layer.output)
            told = (output, _sight(layer.sees))
            fields = [
                (f"{shared}^" if shared else "") + ".".join(name[shared:]),
                str(kinds.index(layer.kind)),
                *("=" if now == then else now for now, then in zip(told, before, strict=True)),
                _count(layer.parameters),
                _count(layer.macs),
            ]
            while fields[-1] == "0":
                fields.pop()
            lines.append(" ".join(fields))
            above, before = name, told
        return "\n".join(lines)


def always(sides: Pair) -> Size:
    return Size(0, (1, 1), sides, mode="=")


def _pair(pair: Pair) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]},{pair[1]}"


def _count(count: Count) -> str:
    terms = [f"{each}@{i}" for i, each in count.terms.items()]
    return "+".join(terms if terms and not count.fixed else [str(count.fixed), *terms])


def _sight(sight: Sight | None) -> str:
    if sight is None:
        return "-"
    growth = f"+{sight.growth}@{sight.of}" if sight.growth else ""
    return f"{sight.side}{growth}/{sight.step}/{sight.first}"


def parsed(text: str) -> LayerList:
    """The list that `LayerList.text` wrote."""
    head, maps, *lines = text.split("\n")
    channels, height, width, elsewhere, fixed, *kinds = head.split(" ")
    shape = (int(channels), int(height), int(width))

    def pair(said: str) -> Pair:
        a, _, b = said.partition(",")
        return int(a), int(b or a)

    def count(said: str) -> Count:
        parts = [part.split("@") for part in said.split("+")]
        terms = {int(part[1]): int(part[0]) for part in parts if len(part) == 2}
        return Count(sum(int(part[0]) for part in parts if len(part) == 1), terms)

    def number(said: str) -> float:
        return float(said) if "." in said else int(said)

    def sight(said: str) -> Sight | None:
        if said == "-":
            return None
        side, step, first = said.split("/")
        seen = count(side)
        ((of, growth),) = seen.terms.items() or [(0, 0)]
        return Sight(seen.fixed, number(step), number(first), growth, of)

    sizes = [always(shape[1:])]
    for size in filter(None, maps.split(";")):
        source, *pairs, mode = size.split(" ")
        sizes.append(Size(int(source), *map(pair, pairs), mode))
    layers: list[Layer] = []
    above: list[str] = []
    output = sees = ""
    for line in lines:
        name, kind, out, saw, *rest = line.split(" ")
        output, sees = output if out == "=" else out, sees if saw == "=" else saw
        shared, mark, own = name.rpartition("^")
        above = [*above[: int(shared) if mark else 0], *own.split(".")]
        fixed_shape = None if output[0] == "~" else () if "@" in output else tuple(map(int, output.split("x")))
        numbers = Count(math.prod(fixed_shape)) if fixed_shape else count(output.removeprefix("~"))
        counts = [*map(count, rest), Count(0), Count(0)][:2]
        layers.append(Layer(".".join(above), kinds[int(kind)], numbers, fixed_shape, sight(sees), *counts))
    return LayerList(shape, int(elsewhere), fixed == "fixed", tuple(sizes), tuple(layers))
