"""How healthy filters look: noise, likeness, lack of structure, death: numbers that rank them."""

import typing

import torch
from torch import Tensor


class Health(typing.NamedTuple):
    """A score a filter, each (O,) and from 0 (good) to 1 (bad).

    noise        share of the filter's energy in its highest frequencies
    likeness     largest |correlation| with another filter
    structureless  how near the filter is to one number everywhere, or to nothing that neighbours share
    dead         1 where the filter's length is below a hundredth of the median, else 0
    """

    noise: Tensor
    likeness: Tensor
    structureless: Tensor
    dead: Tensor

    @property
    def score(self) -> Tensor:
        """The worst of the four, (O,)."""
        return torch.stack(list(self)).amax(dim=0)


def health(weight: Tensor) -> Health:
    """Scores the filters of a convolution's weight (O, I, k, k), k ≥ 3.

    noise: in the discrete cosine basis over the kernel, energy of the half with the higher frequencies. likeness: after
    each filter's mean is taken off. structureless: 1 − (spread inside the filter)/(length): a filter that is one number
    per channel only weighs channels.
    """
    if weight.ndim != 4 or weight.shape[2] < 3:
        raise ValueError(f"health: a weight of shape {tuple(weight.shape)}; wanted (O, I, k, k) with k of 3 or more.")
    weight = weight.detach().double().cpu()
    count, _, k, _ = weight.shape
    energy = (weight**2).sum(dim=(1, 2, 3))  # (O,)
    alive = energy.clamp_min(1e-24)
    spectrum = _cosine(k) @ weight @ _cosine(k).T  # (O, I, k, k)
    order = torch.arange(k)[:, None] + torch.arange(k)[None]  # frequencies down plus across
    noise = (spectrum**2 * (order > k - 1)).sum(dim=(1, 2, 3)) / alive
    inside = weight - weight.mean(dim=(2, 3), keepdim=True)  # per channel
    flatness = 1 - ((inside**2).sum(dim=(1, 2, 3)) / alive).clamp(0, 1)
    flat = (weight - weight.mean(dim=(1, 2, 3), keepdim=True)).flatten(1)  # (O, I·k·k)
    unit = flat / flat.norm(dim=1, keepdim=True).clamp_min(1e-12)
    alike = (unit @ unit.T).abs() - 2 * torch.eye(count)  # (O, O), a filter is not compared with itself
    likeness = alike.amax(dim=1).clamp_min(0)
    dead = (energy.sqrt() < 0.01 * energy.sqrt().median()).double()
    return Health(*(value.float() for value in (noise, likeness.double(), flatness, dead)))


def _cosine(k: int) -> Tensor:
    """The orthonormal discrete cosine basis, (k, k): row u is frequency u."""
    place, frequency = torch.arange(k).double(), torch.arange(k).double()
    basis = torch.cos(torch.pi * (place[None] + 0.5) * frequency[:, None] / k) * (2 / k) ** 0.5
    basis[0] /= 2**0.5
    return basis


def grid(weight: Tensor, columns: int = 8, gap: int = 1) -> Tensor:
    """Filters (O, C, k, k), C 1 or 3, as one picture (H, W, 3) from 0 to 1: each scaled around its own zero."""
    if weight.shape[1] not in (1, 3):
        raise ValueError(f"grid: filters over {weight.shape[1]} channels; wanted 1 or 3, as a picture has.")
    weight = weight.detach().float().cpu()
    largest = weight.abs().amax(dim=(1, 2, 3), keepdim=True).clamp_min(1e-12)
    tiles = (weight / largest / 2 + 0.5).expand(-1, 3, -1, -1)  # (O, 3, k, k), 0.5 is zero
    count, _, k, _ = tiles.shape
    rows = -(-count // columns)
    picture = torch.ones(3, rows * (k + gap) - gap, columns * (k + gap) - gap)
    for number, tile in enumerate(tiles):
        y, x = (number // columns) * (k + gap), (number % columns) * (k + gap)
        picture[:, y : y + k, x : x + k] = tile
    return picture.permute(1, 2, 0)
