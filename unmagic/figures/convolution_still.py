"""The still of a convolution both ways, drawn by matplotlib from what torch computes: for readers without scripts."""

from __future__ import annotations

from unmagic.figures.convolution import Passes
from unmagic.figures.descent_still import data_address
from unmagic.style import PALETTES

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from torch import Tensor


def panels(operation: str, x: Tensor, w: Tensor, window: int, found: Passes) -> list[list[tuple[str, Tensor]]]:
    """Titles and matrices as they are drawn: the forward pass above, the backward pass below it."""
    if found.dw is not None:
        forward = [("x, input", x), ("w, kernel", w), ("y, output", found.y)]
        backward = [("∂L/∂x", found.dx), ("∂L/∂w", found.dw), ("∂L/∂y, given", found.dy)]
        return [forward, backward]
    share = 1 / window**2 if operation == "average_pooling" else float("nan")  # a maximum's weights differ by window
    forward = [("x, input", x), ("the window", torch.full((window, window), share)), ("y, output", found.y)]
    return [forward, [("∂L/∂x", found.dx), ("", torch.empty(0, 0)), ("∂L/∂y, given", found.dy)]]


def address(drawn: list[list[tuple[str, Tensor]]], theme: str) -> str:
    """The panels in a theme, as a ``data:`` address of a PNG."""
    return data_address(draw(drawn, theme))


def draw(drawn: list[list[tuple[str, Tensor]]], theme: str) -> Figure:
    """The matrices side by side in cells of one size, with their numbers; tinted blue above zero and orange below."""
    palette = PALETTES[theme]
    paper, ink = palette["page"], palette["ink"]
    tint = LinearSegmentedColormap.from_list("tint", [palette["orange"], paper, palette["blue"]])
    widths = [max(max(row[k][1].shape[-1] for row in drawn), 3) for k in range(3)]
    heights = [max(values.shape[0] for _, values in row) for row in drawn]
    cell = min(8.4 / (sum(widths) + 2), 0.45)  # inches
    size = (8.4, cell * sum(heights) + 0.9)
    with plt.rc_context({"text.color": ink, "font.size": 9, "axes.titlesize": 10}):
        figure = Figure(figsize=size, dpi=100, facecolor=paper, layout="constrained")
        axes = figure.subplots(len(drawn), 3, width_ratios=widths, height_ratios=heights, squeeze=False)
        for row, places in zip(drawn, axes, strict=True):
            for (title, values), place in zip(row, places, strict=True):
                place.set_axis_off()
                if values.numel():
                    place.set_title(title)
                    _numbers(place, values.numpy(), tint, ink, 72 * cell)
    return figure


def _numbers(place, values: np.ndarray, tint, ink: str, points: float) -> None:
    most = np.nanmax(np.abs(values), initial=0) or 1
    place.imshow(np.nan_to_num(values / most) * 0.45, cmap=tint, vmin=-1, vmax=1)
    for (r, c), value in np.ndenumerate(values):
        edge = plt.Rectangle((c - 0.5, r - 0.5), 1, 1, fill=False, edgecolor=ink, linewidth=0.4)
        place.add_patch(edge)
        if np.isfinite(value):
            words = f"{value + 0.0:.2g}".replace("-", "−").replace("e+0", "e")
            place.text(c, r, words, ha="center", va="center", fontsize=min(9, points / 2.6))
