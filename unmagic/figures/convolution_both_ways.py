"""Convolution, forwards and backwards: kernel over picture, where gradients go, what a weight's gradient gathers."""

from __future__ import annotations

from unmagic.figures import convolution, convolution_still
from unmagic.figures.base import Figure, Still
from unmagic.figures.convolution import Passes

import math
from types import MappingProxyType

import torch
import traitlets as t

OPERATIONS = MappingProxyType(
    {
        "convolution": "convolution",
        "transposed_convolution": "transposed convolution",
        "max_pooling": "max pooling",
        "average_pooling": "average pooling",
    }
)


def _digits(*rows: str) -> list[list[float]]:
    return [[float(d) for d in row] for row in rows]


# The first 4 of scikit-learn's digits, its 0…16 rounded to 0…9.
PICTURES = MappingProxyType(
    {
        "digit": _digits(
            "00016000", "00044000", "00173110", "00480540", "03960930", "02897910", "00028600", "00019200"
        ),
        "edge": _digits(*["0009999"] * 7),
        "diagonal": [[9.0 if abs(r - c) < 1 else 5.0 if abs(r - c) < 2 else 0.0 for c in range(7)] for r in range(7)],
        "dot": [[float(r == c == 3) for c in range(7)] for r in range(7)],
        "numbers": [[float(5 * r + c + 1) for c in range(5)] for r in range(5)],
        "mixed": _digits("31524", "92681", "47063", "18235", "60914"),
        "plateaus": _digits("335522", "335522", "114477", "114477", "662288", "662288"),
        "small": _digits("123", "456", "789"),
        "blank": _digits(*["0000000"] * 7),
    }
)
KERNELS = MappingProxyType(
    {
        "sobel": [[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]],
        "sobel_down": [[-1.0, -2.0, -1.0], [0.0, 0.0, 0.0], [1.0, 2.0, 1.0]],
        "laplace": [[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]],
        "sharpen": [[0.0, -1.0, 0.0], [-1.0, 5.0, -1.0], [0.0, -1.0, 0.0]],
        "blur": [[1 / 9] * 3] * 3,
        "gauss": [[a * b / 16 for b in (1, 2, 1)] for a in (1, 2, 1)],
        "identity": [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]],
        "one_to_nine": _digits("123", "456", "789"),
        "bilinear": [[a * b / 4 for b in (1, 2, 1)] for a in (1, 2, 1)],
        "pair": [[-1.0, 1.0], [-1.0, 1.0]],
    }
)


def _preset(picture: str, kernel: str, upstream: str, cell: list[int], **rest):
    neutral = dict(window=2, stride=1, padding=0, dilation=1, output_padding=0, ceil_mode=False, ties="first")
    shown = dict(view="forward", grid="y", cell=cell, upstream=upstream, spread=False)
    return {**neutral, **shown, "picture": PICTURES[picture], "kernel": KERNELS[kernel], **rest}


# What each operation starts with, chosen so that it shows what the operation is for.
PRESETS = MappingProxyType(
    {
        "convolution": _preset("digit", "sobel", "varied", [2, 1]),
        "transposed_convolution": _preset("small", "bilinear", "varied", [3, 3], stride=2, padding=1),
        "max_pooling": _preset("mixed", "one_to_nine", "ones", [0, 1], window=3, stride=2),
        "average_pooling": _preset("mixed", "one_to_nine", "varied", [0, 1], window=2, stride=2),
    }
)


class ConvolutionBothWays(Figure):
    """One picture x, one kernel w, one output y: each pass takes two of them (or their gradients) and makes the third.

    Args:
        operation: "convolution" (torch's conv2d, which is a correlation), "transposed_convolution", "max_pooling",
            "average_pooling". It sets all that follows but `gradients` and `playing`.
        view: the pass that is shown: "forward" y, "input" ∂L/∂x, "kernel" ∂L/∂w.
        picture: x, 2 to 12 rows of as many numbers. kernel: w, 1 to 5 rows of 1 to 5 numbers. All within ±999.
        window: side of a pooling window, 1 to 5. stride: 1 to 4. padding: 0 to 3; of pooling at most half the window.
        dilation: 1 to 3; average pooling has none. output_padding: of a transposed convolution, less than its stride or
            its dilation. ceil_mode: a last pooling window may reach over the edge.
        ties: which of several largest inputs a max pooling's gradient goes to, the "first" as in `max_pool2d`, or
            "shared" evenly as in `amax`.
        upstream: ∂L/∂y of "ones" L = Σ y, "output" L = ½ Σ y², "middle" L = the middle output, "varied" L = Σ g·y with
            g from −2 to 2, or "own": the numbers in `gradients`.
        grid, cell: what is pointed at, "x", "w" or "y" and [row, column] from 0.
        spread: the pass that goes to the larger side is drawn as a convolution over zeros around and between.
        playing: whether the pointer walks over the results by itself.

    Whatever is too large for the other settings counts as its limit. Raises TraitError for a value that is out of
    range, TypeError for a name that is not here.

    >>> figure = ConvolutionBothWays("max_pooling", picture=[[1, 2, 2], [0, 2, 1], [1, 0, 3]], stride=1, window=2)
    >>> figure.passes().dx.tolist()
    [[0.0, 2.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """

    module = "convolution_both_ways"

    operation = t.Enum(list(OPERATIONS), default_value="convolution").tag(sync=True)
    view = t.Enum(["forward", "input", "kernel"], default_value="forward").tag(sync=True)
    picture = t.List(t.List(t.Float()), PICTURES["dot"]).tag(sync=True)
    kernel = t.List(t.List(t.Float()), KERNELS["identity"]).tag(sync=True)
    window = t.Int(2, min=1, max=5).tag(sync=True)
    stride = t.Int(1, min=1, max=4).tag(sync=True)
    padding = t.Int(0, min=0, max=3).tag(sync=True)
    dilation = t.Int(1, min=1, max=3).tag(sync=True)
    output_padding = t.Int(0, min=0, max=3).tag(sync=True)
    ceil_mode = t.Bool(False).tag(sync=True)
    ties = t.Enum(["first", "shared"], default_value="first").tag(sync=True)
    upstream = t.Enum(["ones", "varied", "output", "middle", "own"], default_value="ones").tag(sync=True)
    gradients = t.List(t.List(t.Float()), [[1.0]]).tag(sync=True)
    grid = t.Enum(["x", "w", "y"], default_value="y").tag(sync=True)
    cell = t.List(t.Int(min=0), [0, 0], minlen=2, maxlen=2).tag(sync=True)
    spread = t.Bool(False).tag(sync=True)
    playing = t.Bool(False).tag(sync=True)
    presets = t.Dict(dict(PRESETS), read_only=True).tag(sync=True)
    pictures = t.Dict(dict(PICTURES), read_only=True).tag(sync=True)
    kernels = t.Dict(dict(KERNELS), read_only=True).tag(sync=True)

    def __init__(self, operation: str = "convolution", **state) -> None:
        known = [name for name in self.class_trait_names(sync=True) if not name.startswith("_")]
        if unknown := sorted(set(state) - set(known)):
            raise TypeError(f"ConvolutionBothWays has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
        if operation not in PRESETS:
            raise t.TraitError(f"operation: found {operation!r}, wanted one of {', '.join(PRESETS)}")
        super().__init__(operation=operation, **{**PRESETS[operation], **state})
        self.observe(lambda change: self.reset(), "operation")

    @t.validate("picture")
    def _picture_can_be_drawn(self, proposal):
        return _matrix("picture", proposal["value"], 2, 12)

    @t.validate("kernel")
    def _kernel_can_be_drawn(self, proposal):
        return _matrix("kernel", proposal["value"], 1, 5)

    @t.validate("gradients")
    def _gradients_can_be_drawn(self, proposal):
        return _matrix("gradients", proposal["value"], 1, convolution.LARGEST)

    def reset(self) -> None:
        """Everything as it was chosen for this operation."""
        with self.hold_sync():
            self.playing = False
            for name, value in PRESETS[self.operation].items():
                setattr(self, name, value)

    def passes(self) -> Passes:
        """Output and gradients, computed here by torch and autograd: what the browser shows.

        Raises RuntimeError, torch's, where there is no output.
        """
        return convolution.passes(
            self.operation,
            torch.tensor(self.picture, dtype=torch.float64),
            torch.tensor(self.kernel, dtype=torch.float64),
            window=self.window,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            output_padding=self.output_padding,
            ceil_mode=self.ceil_mode,
            ties=self.ties,
            upstream=self.upstream,
            gradients=torch.tensor(self.gradients, dtype=torch.float64),
        )

    def still(self) -> Still:
        x, w = torch.tensor(self.picture), torch.tensor(self.kernel)
        try:
            found = self.passes()
        except RuntimeError:  # no output
            found = None
        panels = convolution_still.panels(self.operation, x, w, found)
        light, dark = (convolution_still.address(panels, theme) for theme in ("light", "dark"))
        return Still(self._alternative(found), light, dark)

    def _alternative(self, found: Passes | None) -> str:
        def size(values):
            return " × ".join(map(str, values.shape))

        picture, operation = torch.tensor(self.picture), OPERATIONS[self.operation]
        if found is None:
            return f"A {size(picture)} picture, in numbers, for which {operation} with these settings has no output."
        made = (
            f"{operation.capitalize()} of a picture, {size(picture)}, with stride {self.stride} and "
            f"padding {self.padding}, in numbers. Forward: the {size(found.y)} output."
        )
        back = f" Backward from ∂L/∂y: ∂L/∂x, {size(found.dx)}, whose sum is {float(found.dx.sum()):.3g}"
        if found.dw is None:
            return f"{made}{back}."
        rows = "; ".join(", ".join(f"{value:.3g}" for value in row) for row in found.dw.tolist())
        return f"{made}{back}, and ∂L/∂w, row by row: {rows}."


def _matrix(name: str, rows: list[list[float]], least: int, most: int) -> list[list[float]]:
    widths = {len(row) for row in rows}
    if not (least <= len(rows) <= most and len(widths) == 1 and least <= max(widths) <= most):
        found = f"{len(rows)} rows of {', '.join(map(str, sorted(widths))) or 'no'} numbers"
        raise t.TraitError(f"{name}: found {found}, wanted {least} to {most} rows of {least} to {most} numbers each")
    if worst := [x for row in rows for x in row if not (math.isfinite(x) and abs(x) <= 999)]:
        raise t.TraitError(f"{name}: found {worst[0]}, wanted numbers from −999 to 999")
    return rows
