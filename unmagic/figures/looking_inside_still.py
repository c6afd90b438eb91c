"""The still of "Looking inside, live", drawn by matplotlib from what torch computes: for readers without scripts."""

from __future__ import annotations

from unmagic import look
from unmagic.figures.descent_still import data_address
from unmagic.style import PALETTES

import typing

import matplotlib.pyplot as plt
import torch
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from torch import Tensor, nn


class Seen(typing.NamedTuple):
    """A picture and what a net makes of it."""

    picture: Tensor  # (C, H, W)
    classes: list[str]
    target: int  # the class explained
    probabilities: Tensor  # (classes,)
    saliency: Tensor  # (H, W)
    occlusion: Tensor  # (rows, columns): the target's probability with a window covered
    grad_cam: Tensor | None  # (h, w), or None: no layer has maps
    layer: str | None  # whose maps Grad-CAM weighs
    attacked: Tensor  # (C, H, W)
    afterwards: Tensor  # (classes,), probabilities of the attacked picture


def occluder(sides: typing.Sequence[int]) -> tuple[int, int]:
    """Window and stride of the occlusion, in pixels: 3 and 1 of small pictures, else a quarter of the side and half of
    that."""
    side = min(sides)
    return (min(side, 3), 1) if side < 16 else (side // 4, side // 4 // 2)


def layer_with_maps(net: nn.Module, x: Tensor, wanted: int) -> str | None:
    """The name of layer number `wanted` if its output has maps of more than one place, else of the last that has."""
    names = [name for name, _ in net.named_children()]
    with look.evaluating(net), torch.no_grad(), look.recording(net, names) as seen:
        net(x)
    fit = [name for name in names if seen[name].ndim == 4 and seen[name][0, 0].numel() > 1]
    if 0 <= wanted < len(names) and names[wanted] in fit:
        return names[wanted]
    return fit[-1] if fit else None


def words(seen: Seen, epsilon: float) -> str:
    """What the still shows, for those who do not see it."""
    before, after = int(seen.probabilities.argmax()), int(seen.afterwards.argmax())
    C, H, W = seen.picture.shape
    return (
        f"A {H} × {W} {'colour' if C == 3 else 'grey'} picture that a small net takes for {seen.classes[before]} with "
        f"probability {seen.probabilities[before]:.2f}; beside it the probabilities of all {len(seen.classes)} "
        f"classes, maps of where the net looks for {seen.classes[seen.target]} (saliency, occlusion, Grad-CAM), and "
        f"the same picture moved by {epsilon:g} along the sign of the gradient, which the net takes for "
        f"{seen.classes[after]} with probability {seen.afterwards[after]:.2f}."
    )


def draw(seen: Seen, epsilon: float, theme: str) -> Figure:
    """The picture, the probabilities, three maps and the attacked picture."""
    palette = PALETTES[theme]
    paper, ink = palette["page"], palette["ink"]
    heat = LinearSegmentedColormap.from_list("heat", [paper, palette["orange"]])
    settings = dict.fromkeys(["text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"], ink)
    with plt.rc_context({**settings, "font.size": 10}):
        figure = Figure(figsize=(8.4, 5.4), dpi=100, facecolor=paper, layout="constrained")
        axes = figure.subplots(2, 3)
        _picture(axes[0, 0], seen.picture, "the picture")
        _bars(axes[0, 1], seen, palette)
        _picture(axes[0, 2], seen.attacked, f"moved by ε = {epsilon:g}: {seen.classes[int(seen.afterwards.argmax())]}")
        fallen = float(seen.probabilities[seen.target]) - seen.occlusion
        maps = [
            ("saliency", seen.saliency),
            ("occlusion: p falls by", fallen.clamp_min(0)),
            ("Grad-CAM", seen.grad_cam if seen.grad_cam is not None else torch.zeros(1, 1)),
        ]
        for place, (title, values) in zip(axes[1], maps, strict=True):
            place.imshow(values.numpy(), cmap=heat, vmin=0, vmax=max(1e-9, float(values.max())))
            place.set_title(title, fontsize=10)
        for place in [*axes[0, ::2], *axes[1]]:
            place.set(xticks=[], yticks=[])
        axes[0, 1].set_facecolor(paper)
    return figure


def address(seen: Seen, epsilon: float, theme: str) -> str:
    return data_address(draw(seen, epsilon, theme))


def _picture(axes, picture: Tensor, title: str) -> None:
    axes.imshow((picture.permute(1, 2, 0) if len(picture) == 3 else picture[0]).numpy(), cmap="gray", vmin=0, vmax=1)
    axes.set_title(title, fontsize=10)


def _bars(axes, seen: Seen, palette: dict[str, str]) -> None:
    places = range(len(seen.classes))
    axes.barh([k - 0.2 for k in places], seen.probabilities.numpy(), 0.38, color=palette["blue"], label="the picture")
    axes.barh([k + 0.2 for k in places], seen.afterwards.numpy(), 0.38, color=palette["orange"], label="moved")
    axes.set(yticks=list(places), yticklabels=seen.classes, xlim=(0, 1), xlabel="probability")
    axes.invert_yaxis()
    axes.legend(fontsize=8, facecolor=palette["page"], edgecolor="none", labelcolor=palette["ink"])
