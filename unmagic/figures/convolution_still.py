"""The still of a convolution both ways, drawn by matplotlib from what torch computes: for readers without scripts."""

from __future__ import annotations

from unmagic.figures.convolution import Passes
from unmagic.figures.descent_still import data_address
from unmagic.style import PALETTES

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

GAP = 1.6  # between two matrices, in cells


def panels(operation: str, x: Tensor, w: Tensor, found: Passes | None) -> list[list[tuple[str, Tensor | None]]]:
    """Titles and matrices as they are drawn: x, w, y of the forward pass above, their gradients (if any) below."""
    if found is None:
        return [[("x, input", x)]]
    kernel, gradient = (None, None) if operation.endswith("pooling") else (w, found.dw)
    return [
        [("x, input", x), ("w, kernel", kernel), ("y, output", found.y)],
        [("∂L/∂x", found.dx), ("∂L/∂w", gradient), ("∂L/∂y, given", found.dy)],
    ]


def address(drawn: list[list[tuple[str, Tensor | None]]], theme: str) -> str:
    """The panels in a theme, as a ``data:`` address of a PNG."""
    return data_address(draw(drawn, theme))


def draw(drawn: list[list[tuple[str, Tensor | None]]], theme: str) -> Figure:
    """The matrices in their places, cells of one size with their numbers, tinted blue above zero and orange below."""
    palette = PALETTES[theme]
    tint = LinearSegmentedColormap.from_list("tint", [palette["orange"], palette["page"], palette["blue"]])
    places = [[(title, values) for title, values in row if values is not None] for row in drawn]
    widths = [max(row[k][1].shape[1] for row in places) for k in range(len(places[0]))]
    heights = [max(values.shape[0] for _, values in row) for row in places]
    width, height = sum(widths) + GAP * (len(widths) - 1), sum(heights) + GAP * len(heights)
    cell = min(0.42, 8.2 / width)  # inches
    figure = Figure(figsize=(cell * width + 0.2, cell * height + 0.2), dpi=100, facecolor=palette["page"])
    axes = figure.add_axes((0, 0, 1, 1), xlim=(-0.2, width + 0.2), ylim=(height + 0.1, -0.1))
    axes.set_axis_off()
    top = 0.0
    for row, tall in zip(places, heights, strict=True):
        left = 0.0
        for (title, values), wide in zip(row, widths, strict=True):
            start = top + GAP + (tall - values.shape[0]) / 2
            axes.text(left, start - 0.35, title, color=palette["ink"], fontsize=10)
            _cells(axes, left, start, values.numpy(), tint, palette["ink"], fontsize=min(9.0, 72 * cell / 2.9))
            left += wide + GAP
        top += tall + GAP
    return figure


def _cells(axes, left: float, top: float, values: np.ndarray, tint, ink: str, fontsize: float) -> None:
    most = np.abs(values).max() or 1
    for (r, c), value in np.ndenumerate(values):
        fill = to_hex(tint(0.5 + 0.21 * value / most))
        axes.add_patch(Rectangle((left + c, top + r), 1, 1, facecolor=fill, edgecolor=ink, linewidth=0.4))
        words = f"{value + 0.0:.2g}".replace("-", "−")
        axes.text(left + c + 0.5, top + r + 0.5, words, color=ink, fontsize=fontsize, ha="center", va="center")
