"""Whether a map depends on what the net has learned: the randomisation test."""

import copy
import typing
from collections.abc import Callable

import torch
from torch import Tensor, nn


class Randomised(typing.NamedTuple):
    """After the weights of `layer`, and of all layers nearer to the output, were drawn anew.

    layer       name of the last layer that was drawn anew
    likeness    mean rank correlation of the map with the trained net's, over the images, from −1 to 1
    """

    layer: str
    likeness: float


def randomisation_test(
    model: nn.Module, explain: Callable[[nn.Module], Tensor], *, seed: int = 0, magnitude: bool = True
) -> list[Randomised]:
    """Draws weights of convolutions and linear layers anew, one after the other from the output down, and compares the
    maps. The model is not changed.

    J. Adebayo, J. Gilmer, M. Muelly, I. Goodfellow, M. Hardt, B. Kim: Sanity checks for saliency maps. NeurIPS 2018,
    section 3 (cascading randomisation) and 4 (Spearman rank correlation). A map that stays the same does not show what
    was learned.

    Args:
        explain: gives maps (N, H, W) of a net, e.g. `lambda net: look.saliency(net, images, labels)`. The classes must
            be given: a net with new weights would choose others.
        magnitude: compare absolute values.
    """
    net = copy.deepcopy(model)
    before = explain(net).flatten(1)
    found = [Randomised("", 1.0)]
    layers = [(n, m) for n, m in net.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        for name, layer in reversed(layers):
            place = layer.weight.device
            layer.cpu().reset_parameters()  # the same weights wherever the net lies, and no GPU's seed is touched
            layer.to(place)
            after = explain(net).flatten(1)
            pair = (before.abs(), after.abs()) if magnitude else (before, after)
            found.append(Randomised(name, rank_correlation(*pair).mean().item()))
    return found


def rank_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Spearman's, row by row of (N, P), (N,). Equal values share the mean of their ranks; a constant row gives 0."""
    ranks = [_ranks(values) for values in (a, b)]
    centred = [r - r.mean(dim=1, keepdim=True) for r in ranks]
    lengths = centred[0].norm(dim=1) * centred[1].norm(dim=1)
    return (centred[0] * centred[1]).sum(dim=1) / lengths.clamp_min(1e-12)


def _ranks(values: Tensor) -> Tensor:
    rows = []
    for row in values.double():
        _, inverse, counts = torch.unique(row, return_inverse=True, return_counts=True)
        last = counts.cumsum(0).double()  # rank of the last of each value
        rows.append((last - (counts - 1) / 2)[inverse])
    return torch.stack(rows)
