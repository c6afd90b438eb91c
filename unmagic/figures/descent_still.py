"""The still of a descent race, drawn by matplotlib from the race that torch runs: for readers without scripts."""

from __future__ import annotations

from unmagic.figures.descent import POINTS, RACERS, Surface
from unmagic.style import PALETTES

import base64
import io

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from PIL import Image

# the course's colour, line and marker: the same as in the browser
LOOKS = {
    "batch": ("blue", "-", "o"),
    "stochastic": ("orange", ":", "^"),
    "minibatch": ("green", "--", "s"),
    "momentum": ("pink", "-.", "D"),
}
MAP = {"light": ["#a9cfe0", "#d3e6ec", "#f0f0e8", "#f9f2e4"], "dark": ["#1b4a60", "#183543", "#17242d", "#1b1b1f"]}


def lowest(surface: Surface, steps: int = 60) -> torch.Tensor:
    """The minimum of the mean loss that damped Newton steps reach from `surface.near`: (dim,), float64."""
    w, damping = torch.tensor(surface.near, dtype=torch.float64), 1e-3
    for _ in range(steps):
        g = torch.autograd.functional.jacobian(surface.loss, w)
        H = torch.autograd.functional.hessian(surface.loss, w)
        move = torch.linalg.solve(H + damping * torch.eye(surface.dim, dtype=w.dtype), g)
        better = move @ g > 0 and surface.loss(w - move) <= surface.loss(w)
        w, damping = (w - move, max(damping / 10, 1e-12)) if better else (w, damping * 10)
        if g.abs().max() < 1e-12 or damping > 1e12:
            break
    return w


def heights(surface: Surface, columns: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The loss over the surface's view: x (columns,), y (rows,), J (rows, columns); of the unit the least over b."""
    left, right, bottom, top = surface.view
    x = torch.linspace(left, right, columns, dtype=torch.float64)
    y = torch.linspace(bottom, top, columns * 3 // 4, dtype=torch.float64)
    w = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)  # (rows, columns, 2)
    if surface.dim == 2:
        J = surface.loss(w)
    else:
        J = torch.full(w.shape[:2], torch.inf, dtype=torch.float64)
        for b in torch.linspace(-5, 3, 81, dtype=torch.float64):
            J = torch.minimum(J, surface.loss(torch.cat([w, b.expand(*w.shape[:2], 1)], dim=-1)))
    return x.numpy(), y.numpy(), J.numpy()


def draw(
    surface: Surface, paths: dict[str, torch.Tensor], sizes: dict[str, int], minimum: torch.Tensor, theme: str
) -> Figure:
    """The map with each racer's path (updates + 1, dim), beside the loss above the lowest, J − J*, after each epoch.

    sizes: points in each racer's batch.
    """
    palette = PALETTES[theme]
    paper, ink = palette["page"], palette["ink"]
    floor = float(surface.loss(minimum))
    with plt.rc_context(
        {
            "text.color": ink,
            "axes.labelcolor": ink,
            "axes.edgecolor": ink,
            "xtick.color": ink,
            "ytick.color": ink,
            "font.size": 10,
        }
    ):
        figure = Figure(figsize=(8.4, 3.8), dpi=100, facecolor=paper, layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=[1.5, 1])
        x, y, J = heights(surface)
        height = np.log1p(np.maximum(0, J - floor) / max(1e-9, 0.02 * (np.median(J) - floor)))
        levels = np.linspace(0, height.max(), 16)
        left.contourf(x, y, height, levels=levels, cmap=LinearSegmentedColormap.from_list("map", MAP[theme]))
        left.contour(x, y, height, levels=levels[1:], colors=ink, linewidths=0.4, alpha=0.5)
        for racer, path in paths.items():
            name, line, mark = LOOKS[racer]
            colour = palette[name]
            style = dict(color=colour, linestyle=line, linewidth=1.5)
            left.plot(path[:, 0], path[:, 1], **style)
            left.plot(*path[-1, :2], marker=mark, color=colour, markeredgecolor=paper, markersize=8)
            steps = torch.arange(len(path))
            per_epoch = -(-POINTS // sizes[racer])
            above = (surface.loss(path) - floor).clamp(min=1e-12)
            ends = steps % per_epoch == 0
            right.semilogy(
                steps[ends] / per_epoch, above[ends], label=RACERS[racer], marker=mark, markevery=[-1], **style
            )
        left.plot(
            *next(iter(paths.values()))[0, :2], "o", color=paper, markeredgecolor=ink, markeredgewidth=2, markersize=11
        )
        left.plot(*minimum[:2], "+", color=ink, markersize=11, markeredgewidth=2)
        left.set(xlim=surface.view[:2], ylim=surface.view[2:], xlabel="$w_1$", ylabel="$w_2$", aspect="equal")
        right.set(xlabel="epochs", ylabel="loss above the lowest, $J - J^*$", facecolor=paper)
        right.grid(color=ink, alpha=0.15)
        right.legend(fontsize=8, facecolor=paper, edgecolor="none", labelcolor=ink)
    return figure


def data_address(figure: Figure, colours: int = 96) -> str:
    """The figure as a ``data:`` address of a PNG with a palette: some 30 kB."""
    raw = io.BytesIO()
    figure.savefig(raw, format="png", facecolor=figure.get_facecolor(), metadata={"Software": None})
    small = io.BytesIO()
    Image.open(raw).convert("RGB").quantize(colours).save(small, format="png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(small.getvalue()).decode("ascii")
