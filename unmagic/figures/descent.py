"""Surfaces and races in torch: the stills are drawn from them, and the browser's numbers are held to them.

Losses are written as the docstring of `DescentRace` states them, gradients are autograd's, steps are
`torch.optim.SGD`'s. Random numbers are the same as in the browser, so a race here is the race there, to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

POINTS = 48  # n, the training points of every surface
SCATTER_SEED = 7
RACERS = {"batch": "Batch", "stochastic": "Stochastic", "minibatch": "Minibatch", "momentum": "Batch + momentum"}


def uniforms(seed: int) -> Iterator[float]:
    """Marsaglia's xorshift32 (J. Stat. Software 8(14), 2003; shifts 13, 17, 5) in [0, 1), seeded as in the browser."""
    mask = 0xFFFFFFFF
    x = ((seed + 1) * 0x9E3779B1) & mask or 1
    drawn = 0
    while True:
        x ^= (x << 13) & mask
        x ^= x >> 17
        x ^= (x << 5) & mask
        drawn += 1
        if drawn > 16:  # small seeds start alike
            yield x / 2**32


def shuffled(n: int, random: Iterator[float]) -> list[int]:
    """0 … n−1 in random order (Fisher–Yates)."""
    order = list(range(n))
    for i in range(n - 1, 0, -1):
        j = int(next(random) * (i + 1))
        order[i], order[j] = order[j], order[i]
    return order


def scatter(n: int = POINTS, dim: int = 2, seed: int = SCATTER_SEED) -> Tensor:
    """Gaussian points (n, dim), float64, each coordinate shifted and scaled to mean 0 and biased variance 1."""
    random = uniforms(seed)
    z = [math.sqrt(-2 * math.log(1 - next(random))) * math.cos(2 * math.pi * next(random)) for _ in range(n * dim)]
    points = torch.tensor(z, dtype=torch.float64).reshape(n, dim)
    return (points - points.mean(0)) / points.std(0, correction=0)


@dataclass(frozen=True)
class Surface:
    """A loss that is a mean of `POINTS` losses. losses(w) gives all of them: (…, dim) → (n, …), float64."""

    label: str
    dim: int
    losses: Callable[[Tensor], Tensor]
    view: tuple[float, float, float, float]  # left, right, bottom, top of its picture
    near: tuple[float, ...]  # a place from which descent reaches the lowest point

    def loss(self, w: Tensor, batch: list[int] | None = None) -> Tensor:
        """Mean loss at w (…, dim) over all points, or those of `batch`: (…)."""
        losses = self.losses(w)
        return (losses if batch is None else losses[batch]).mean(0)


def surface(name: str, *, eccentricity: float = 10.0, noise: float = 0.5) -> Surface:
    """One of "bowl", "ravine", "rosenbrock", "two_minima", "unit". Raises ValueError for another name."""
    z = scatter()

    def tilted(mean: Callable[[Tensor, Tensor], Tensor], size: float) -> Callable[[Tensor], Tensor]:
        return lambda w: mean(w[..., 0], w[..., 1]) + torch.einsum("nk,...k->n...", size * z, w)

    if name == "bowl":
        turn = math.pi / 3
        R = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]], dtype=torch.float64)
        A = R @ torch.diag(torch.tensor([eccentricity, 1.0], dtype=torch.float64)) @ R.T

        def losses(w: Tensor) -> Tensor:
            away = w - (noise * z).reshape(POINTS, *[1] * (w.ndim - 1), 2)  # (n, …, 2)
            return 0.5 * torch.einsum("...i,ij,...j->...", away, A, away)

        return Surface("an eccentric bowl", 2, losses, (-4, 4, -3, 3), (0, 0))
    if name == "ravine":
        mean = lambda x, y: 0.5 * eccentricity * (y - torch.sin(x)) ** 2 + 0.5 * 0.2 * x**2  # noqa: E731
        return Surface("a winding ravine", 2, tilted(mean, noise), (-4, 4, -3, 3), (0, 0))
    if name == "rosenbrock":
        mean = lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2  # noqa: E731
        return Surface("Rosenbrock's valley", 2, tilted(mean, 10 * noise), (-2, 2, -1, 2), (1, 1))
    if name == "two_minima":
        mean = lambda x, y: (x**2 - 1) ** 2 + 0.8 * x + (y - 0.5 * x) ** 2  # noqa: E731
        return Surface("two minima", 2, tilted(mean, 4 * noise), (-2, 2, -1.5, 1.5), (-1.1, -0.5))
    if name == "unit":
        x, targets = unit_data(noise)

        def losses(w: Tensor) -> Tensor:
            y = torch.tanh(torch.einsum("nk,...k->n...", x, w[..., :2]) + w[..., 2])
            return 0.5 * (y - targets.reshape(-1, *[1] * (w.ndim - 1))) ** 2

        return Surface("one tanh unit with three weights", 3, losses, (-1, 2.2, -0.8, 1.6), (0.6, 0.4, -1))
    raise ValueError(f"surface: found {name!r}, wanted one of bowl, ravine, rosenbrock, two_minima, unit")


def unit_data(noise: float) -> tuple[Tensor, Tensor]:
    """The unit's points (n, 2), which are not centred, and targets ±0.7 (n,). noise: standard deviation of a class."""
    side = torch.tensor([1.0 if i % 2 else -1.0 for i in range(POINTS)], dtype=torch.float64)
    x = torch.tensor([1.2, 0.9], dtype=torch.float64) + side[:, None] * torch.tensor([0.9, 0.5], dtype=torch.float64)
    return x + noise * scatter(), 0.7 * side


def batch_sizes(minibatch: int) -> dict[str, int]:
    """Points in each racer's batch."""
    return {"batch": POINTS, "stochastic": 1, "minibatch": minibatch, "momentum": POINTS}


def race(
    on: Surface,
    *,
    racers: list[str],
    start: list[float],
    learning_rate: float,
    rates: dict[str, float],
    momentum: float,
    batch_size: int,
    seed: int,
    points: int,
) -> dict[str, Tensor]:
    """Each racer's path until `points` points were shown: {racer: (updates + 1, dim)}, float64, the start first.

    A racer whose weights pass 10⁶ in size has diverged; its path ends before.
    """
    sizes = batch_sizes(batch_size)
    paths = {}
    for racer in racers:
        random = uniforms(seed)
        w = torch.tensor(start[: on.dim], dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.SGD(
            [w], lr=rates.get(racer, learning_rate), momentum=momentum if racer == "momentum" else 0.0
        )
        path = [w.detach().clone()]
        for batch in _batches(sizes[racer], random, points):
            optimizer.zero_grad()
            on.loss(w, batch).backward()
            optimizer.step()
            if not bool((w.detach().abs() < 1e6).all()):
                break
            path.append(w.detach().clone())
        paths[racer] = torch.stack(path)
    return paths


def _batches(size: int, random: Iterator[float], points: int) -> Iterator[list[int]]:
    """Batches of shuffled epochs, the short last one of an epoch kept, while no more than `points` points are shown."""
    shown = 0
    while True:
        order = shuffled(POINTS, random)
        for first in range(0, POINTS, size):
            batch = order[first : first + size]
            shown += len(batch)
            if shown > points:
                return
            yield batch
