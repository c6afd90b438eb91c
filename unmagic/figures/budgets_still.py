"""The still of "Budgets", drawn by matplotlib from the same counts: for readers without scripts."""

from __future__ import annotations

from unmagic.figures.descent_still import data_address
from unmagic.style import PALETTES
from unmagic.zoo.budgets import Budget, Row

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

__all__ = ["LABELS", "data_address", "draw", "grouped", "heights"]

LABELS = {
    "parameters": "parameters",
    "macs": "multiply–adds",
    "activations": "bytes kept for the way back",
    "receptive_field": "receptive field, pixels",
}
# what memory is for, and the course's colour of each: the same as in the browser
PARTS = {"weights": "ink", "their gradients": "muted", "momentum": "pink", "activations": "green"}


def grouped(rows: tuple[Row, ...]) -> list[list[Row]]:
    """Layers with weights, each with the rows that follow it; the first also has what is before it."""
    groups: list[list[Row]] = []
    for row in rows:
        if not groups or (row.macs and any(other.macs for other in groups[-1])):
            groups.append([])
        groups[-1].append(row)
    return groups


def heights(budget: Budget, shown: str, every_module: bool, batch: int) -> list[float]:
    """What the bars show, one number a group; the receptive field of the row with weights, 0 where it is everything."""
    groups = [[row] for row in budget.rows] if every_module else grouped(budget.rows)
    if shown == "receptive_field":
        mains = [next((row for row in group if row.macs), group[0]) for group in groups]
        return [row.receptive_field or 0 for row in mains]
    scale = 4 * batch if shown == "activations" else 1
    return [scale * sum(getattr(row, shown) for row in group) for group in groups]


def draw(
    nets: list[tuple[str, Budget]], shown: str, theme: str, *, log: bool, every_module: bool, batch: int
) -> Figure:
    """Bars of each net on one scale above the memory of training and testing in float32."""
    palette = PALETTES[theme]
    paper, ink = palette["page"], palette["ink"]
    settings = dict.fromkeys(["text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"], ink)
    with plt.rc_context({**settings, "font.size": 10}):
        figure = Figure(figsize=(8.4, 5.6), dpi=100, facecolor=paper, layout="constrained")
        above, below = figure.subfigures(2, 1, height_ratios=[3, 2])
        bars = above.subplots(1, len(nets), sharey=True, squeeze=False)[0]
        for axes, (name, budget), colour in zip(bars, nets, ("blue", "orange"), strict=False):
            values = heights(budget, shown, every_module, batch)
            axes.bar(range(1, len(values) + 1), values, width=0.85, color=palette[colour], log=log)
            axes.set(xlabel="module" if every_module else "layer with weights", title=name)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.yaxis.set_major_formatter(EngFormatter())
        bars[0].set_ylabel(LABELS[shown])
        memory = below.subplots()
        _memory(memory, nets, batch, palette)
        memory.legend(fontsize=8, facecolor=paper, edgecolor="none", labelcolor=ink)
        for axes in (*bars, memory):
            axes.set_facecolor(paper)
            axes.set_axisbelow(True)
            axes.grid(color=ink, alpha=0.15)
    return figure


def _memory(axes: Axes, nets: list[tuple[str, Budget]], batch: int, palette: dict[str, str]) -> None:
    names = []
    for name, budget in nets:
        weights = 4 * budget.parameters
        kept, at_once = budget.training_bytes - 3 * weights, budget.testing_bytes - weights
        for use, parts in (
            ("training", (weights, weights, weights, batch * kept)),
            ("testing", (weights, 0, 0, batch * at_once)),
        ):
            start = 0
            for (part, colour), value in zip(PARTS.items(), parts, strict=True):
                label = part if not names else None
                axes.barh(len(names), value, left=start, height=0.7, color=palette[colour], label=label)
                start += value
            names.append(f"{name}, {use}")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("memory with one input" if batch == 1 else f"memory with a batch of {batch}")
    axes.xaxis.set_major_formatter(EngFormatter(unit="B"))
