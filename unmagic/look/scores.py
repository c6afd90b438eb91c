"""Maps, scored: `shapes` has masks, so a map is right or wrong, not pretty. Maps are (N, H, W), masks (N, 1, H, W)
bool, of the same height and width, or ValueError: `look.resized` brings a layer's maps to the input's pixels."""

from unmagic.look.activations import evaluating

from collections.abc import Callable

import torch
from torch import Tensor, nn


def pointing_game(maps: Tensor, masks: Tensor) -> Tensor:
    """1 where a map's largest value lies on the object, else 0, (N,).

    J. Zhang, Z. Lin, J. Brandt, X. Shen, S. Sclaroff: Top-down neural attention by excitation backprop. ECCV 2016.
    """
    _in_the_same_pixels("pointing_game", maps, masks)
    place = maps.flatten(1).argmax(dim=1)  # (N,)
    return masks.flatten(1).gather(1, place[:, None])[:, 0].float()


def best_iou(maps: Tensor, masks: Tensor, thresholds: int = 64) -> Tensor:
    """Intersection over union of object and thresholded map, at each map's best of so many thresholds, (N,)."""
    _in_the_same_pixels("best_iou", maps, masks)
    low, high = maps.flatten(1).aminmax(dim=1)
    scaled = (maps.flatten(1) - low[:, None]) / (high - low)[:, None].clamp_min(1e-12)  # (N, P) from 0 to 1
    truth = masks.flatten(1)  # (N, P)
    best = torch.zeros(len(maps), device=maps.device)
    for threshold in torch.linspace(0, 1, thresholds + 1)[:-1].tolist():
        found = scaled > threshold
        union = (found | truth).sum(dim=1).clamp_min(1)
        best = torch.maximum(best, (found & truth).sum(dim=1) / union)
    return best


def energy_inside(maps: Tensor, masks: Tensor) -> Tensor:
    """Share of a map's positive part that lies on the object, (N,); 0 for a map without any."""
    _in_the_same_pixels("energy_inside", maps, masks)
    positive = maps.clamp_min(0).flatten(1)  # (N, P)
    return (positive * masks.flatten(1)).sum(dim=1) / positive.sum(dim=1).clamp_min(1e-12)


@torch.no_grad()
def deletion(
    model: nn.Module, images: Tensor, maps: Tensor, classes: Tensor | int, *, steps: int = 16, fill: float = 0.5
) -> Tensor:
    """Probability of the class as pixels are taken away, the map's largest first, (N, steps + 1). A good map: falls
    fast.

    V. Petsiuk, A. Das, K. Saenko: RISE: randomized input sampling for explanation of black-box models. BMVC 2018.
    """
    return _curve(model, images, maps, classes, steps, lambda image, gone: torch.where(gone, fill, image))


@torch.no_grad()
def insertion(
    model: nn.Module, images: Tensor, maps: Tensor, classes: Tensor | int, *, steps: int = 16, fill: float = 0.5
) -> Tensor:
    """Probability of the class as pixels are put in, the map's largest first, (N, steps + 1). A good map: rises
    fast."""
    return _curve(model, images, maps, classes, steps, lambda image, there: torch.where(there, image, fill))


def area(curve: Tensor) -> Tensor:
    """The mean height of each curve (N, steps + 1), by trapezoids, (N,)."""
    return torch.trapezoid(curve, dim=1) / (curve.shape[1] - 1)


def _in_the_same_pixels(name: str, maps: Tensor, others: Tensor) -> None:
    """maps (N, H, W) and masks or images (N, C, H, W)"""
    if maps.ndim != 3 or (len(maps), *maps.shape[1:]) != (len(others), *others.shape[-2:]):
        side = tuple(others.shape[-2:])
        raise ValueError(
            f"{name}: maps of shape {tuple(maps.shape)} for {tuple(others.shape)}; wanted {(len(others), *side)}. "
            f"look.resized(maps, {side}) brings a layer's maps to these pixels."
        )


def _curve(
    model: nn.Module, images: Tensor, maps: Tensor, classes: Tensor | int, steps: int, change: Callable
) -> Tensor:
    _in_the_same_pixels("deletion and insertion", maps, images)
    classes = torch.as_tensor(classes, device=images.device).expand(len(images))
    pixels = maps[0].numel()
    order = maps.flatten(1).argsort(dim=1, descending=True)
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(pixels, device=maps.device).expand_as(order))
    found = []
    with evaluating(model):
        for step in range(steps + 1):
            chosen = (rank < round(pixels * step / steps)).reshape(maps.shape)[:, None]  # (N, 1, H, W)
            found.append(model(change(images, chosen)).softmax(dim=1).gather(1, classes[:, None])[:, 0])
    return torch.stack(found, dim=1)
