"""The still of "Signals through depth", drawn by matplotlib from what torch computes: for readers without scripts."""

from __future__ import annotations

from unmagic.figures.descent_still import data_address
from unmagic.figures.signals import Pass
from unmagic.style import PALETTES

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

__all__ = ["data_address", "draw"]

BINS = 45
BOUNDS = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}
# the course's colour and line of each curve: the same as in the browser
LOOKS = {
    "activations": ("blue", "-", "activations h"),
    "unit_gradients": ("orange", "--", "gradients of units, ∂J/∂h"),
    "weight_gradients": ("green", ":", "gradients of weights, ∂J/∂W"),
}


def draw(passed: Pass, activation: str, theme: str) -> Figure:
    """Histograms of activations and gradients layer beside layer, and the standard deviations on a log scale."""
    palette = PALETTES[theme]
    paper, ink = palette["page"], palette["ink"]
    settings = dict.fromkeys(["text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"], ink)
    with plt.rc_context({**settings, "font.size": 10}):
        figure = Figure(figsize=(8.4, 6.6), dpi=100, facecolor=paper, layout="constrained")
        above, middle, below = figure.subplots(3, 1, sharex=True)
        h, g = passed.h[1:].flatten(1).numpy(), passed.g[1:].flatten(1).numpy()
        widest = 3.5 * g.std(1).max()
        lowest = 0.0 if activation == "relu" else -3.5 * h.std(1).max()
        _spindles(above, h, BOUNDS.get(activation, (lowest, 3.5 * np.sqrt((h**2).mean(1).max()))), palette["blue"])
        _spindles(middle, g, (-widest, widest), palette["orange"])
        above.set(ylabel="activations h")
        middle.set(ylabel="gradients ∂J/∂h")
        layers = np.arange(1, len(h) + 1)
        for name, values in passed.deviations().items():
            colour, line, label = LOOKS[name]
            below.semilogy(layers, values[-len(h) :], line, color=palette[colour], linewidth=2, label=label)
        below.set(xlabel="layer", ylabel="standard deviation", xlim=(0.4, len(h) + 0.6))
        below.xaxis.set_major_locator(MaxNLocator(integer=True))
        below.legend(fontsize=8, facecolor=paper, edgecolor="none", labelcolor=ink)
        for axes in (above, middle, below):
            axes.set_facecolor(paper)
            axes.grid(color=ink, alpha=0.15)
    return figure


def _spindles(axes: Axes, layers: np.ndarray, span: tuple[float, float], colour: str) -> None:
    """A histogram of each row of `layers`, on its side; one that has shrunk to a line is drawn as a line."""
    low, high = span
    bars = []
    for layer, values in enumerate(layers, start=1):
        mean, deviation = values.mean(), values.std()
        own = max(low, mean - 3.5 * deviation), min(high, mean + 3.5 * deviation)
        counts, edges = np.histogram(values, BINS, own if high - low > 8 * (own[1] - own[0]) else span)
        peak = np.sort(counts)[-2] if (values == 0).mean() > 0.05 else counts.max()  # zeros do not set the scale
        wide = 0.46 * np.minimum(1.0, counts / max(1, peak))  # (BINS,)
        middle = (edges[:-1] + edges[1:]) / 2
        half = max(edges[1] - edges[0], (high - low) / 100) / 2
        x = layer + np.stack([-wide, wide, wide, -wide], axis=1)
        y = np.stack([middle - half, middle - half, middle + half, middle + half], axis=1)
        bars.append(np.stack([x, y], axis=2)[counts > 0])  # rectangles, (bars, 4, 2)
    axes.add_collection(PolyCollection(np.concatenate(bars), facecolor=colour, edgecolor="none"))
    axes.set_ylim(low, high)
