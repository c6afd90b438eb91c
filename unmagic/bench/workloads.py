"""What is timed. A workload is a function that takes a device, gets everything ready, and gives the work to be timed.

Add one with `@workload(name, amount, unit)`; `amount` is what one run does, in units, and becomes a rate.
"""

from unmagic import data

import itertools
import typing
from collections.abc import Callable

import torch
from torch import Tensor, nn

Work = Callable[[], typing.Any]


class Workload(typing.NamedTuple):
    name: str
    amount: int  # how much one run does ...
    unit: str  # ... of this
    prepare: Callable[[torch.device], Work]
    target: float | None = None  # units a second that the course promises on two cores
    cpu_only: bool = False
    once: bool = False  # one round and none to warm up: a process of its own, start and imports included


WORKLOADS: list[Workload] = []


def workload(name: str, amount: int, unit: str, **more: typing.Any) -> Callable:
    def register(prepare: Callable[[torch.device], Work]) -> Callable:
        WORKLOADS.append(Workload(name, amount, unit, prepare, **more))
        return prepare

    return register


# Data


@workload("data: shapes", 10_000, "images", target=5_000)
def draw_shapes(device: torch.device) -> Work:
    return lambda: data.shapes(10_000, device=device)


@workload("data: typefaces", 5_000, "images", cpu_only=True)
def draw_typefaces(device: torch.device) -> Work:
    return lambda: data.typefaces(5_000)


# Descent: the chapter and the lab


def _digits(device: torch.device) -> tuple[Tensor, Tensor]:
    images, labels = data.digits("train")
    return images.flatten(1).to(device), labels.to(device)  # (1197, 64), (1197,)


def _softmax_loss(w: Tensor, x: Tensor, t: Tensor) -> Tensor:
    """Linear softmax classifier, weights and biases in one vector w (650,)."""
    return nn.functional.cross_entropy(x @ w[:640].view(64, 10) + w[640:], t)


def _descend(x: Tensor, t: Tensor, rate: float, batch_size: int, epochs: int) -> Tensor:
    """Minibatch descent that records the loss over all points after every step, as the lab's race does."""
    generator, gradient = torch.Generator().manual_seed(0), torch.func.grad(_softmax_loss)
    w, losses = torch.zeros(650, device=x.device), []
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).to(x.device).split(batch_size):
            w = w - rate * gradient(w, x[batch], t[batch])
            losses.append(_softmax_loss(w, x, t))
    return torch.stack(losses)


@workload("descent: 10 epochs of batch descent on digits", 10, "steps")
def batch_descent(device: torch.device) -> Work:
    x, t = _digits(device)
    return lambda: _descend(x, t, rate=2.0, batch_size=len(x), epochs=10)


@workload("descent: 2 epochs of digits in batches of 16", 150, "steps")
def stochastic_descent(device: torch.device) -> Work:
    x, t = _digits(device)
    return lambda: _descend(x, t, rate=0.5, batch_size=16, epochs=2)


@workload("descent: three-weight unit, an epoch of 1,000 single points", 1_000, "steps")
def three_weights(device: torch.device) -> Work:
    g = torch.Generator().manual_seed(0)
    x = torch.cat([torch.randn(1000, 2, generator=g), torch.ones(1000, 1)], 1).to(device)  # (1000, 3): inputs and 1
    t = (x[:, 0] > 0).float()

    def work() -> Tensor:
        w = torch.zeros(3, device=device)
        for i in torch.randperm(1000, generator=g).tolist():
            y = torch.tanh(x[i] @ w)
            w = w - 0.1 * (y - t[i]) * (1 - y**2) * x[i]
        return w

    return work


@workload("descent: 1,000 noisy walkers in two minima, 1,000 steps", 1_000_000, "walker steps")
def walkers(device: torch.device) -> Work:
    def work() -> Tensor:
        g = torch.Generator(device).manual_seed(0)
        w = torch.ones(1000, device=device)
        for _ in range(1000):
            w = w - 0.02 * (4 * w * (w**2 - 1) + 0.3) + 0.1 * torch.randn(1000, generator=g, device=device)
        return w

    return work


def _net(device: torch.device, *widths: int) -> nn.Sequential:
    torch.manual_seed(0)
    layers = [m for a, b in itertools.pairwise(widths) for m in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1]).to(device)


@workload("sharpness: 50 Hessian-vector products of a 64-64-10 net on digits", 50, "products")
def hessian_vector_products(device: torch.device) -> Work:
    x, t = _digits(device)
    net = _net(device, 64, 64, 10)
    weights = list(net.parameters())

    def work() -> list[Tensor]:
        """Power iteration: each product is the gradient of (gradient · v)."""
        v = [torch.ones_like(w) for w in weights]
        for _ in range(50):
            g = torch.autograd.grad(nn.functional.cross_entropy(net(x), t), weights, create_graph=True)
            v = torch.autograd.grad(sum((a * b).sum() for a, b in zip(g, v, strict=True)), weights)
            norm = torch.sqrt(sum((a**2).sum() for a in v))
            v = [a / norm for a in v]
        return v

    return work


@workload("batch size: an epoch of digits in batches of 8, five nets at once", 150, "steps")
def five_nets(device: torch.device) -> Work:
    x, t = _digits(device)
    g = torch.Generator().manual_seed(0)
    shapes = ((64, 32), (32, 10))
    start = [(torch.rand(5, a, b, generator=g) - 0.5).mul_(2 / a**0.5).to(device) for a, b in shapes]

    def work() -> None:
        w1, w2 = (w.clone().requires_grad_() for w in start)  # (5, 64, 32), (5, 32, 10)
        for batch in torch.randperm(len(x), generator=g).to(device).split(8):
            scores = torch.tanh(x[batch] @ w1) @ w2  # (5, 8, 10)
            loss = nn.functional.cross_entropy(scores.flatten(0, 1), t[batch].repeat(5)) * 5
            loss.backward()
            with torch.no_grad():
                for w in (w1, w2):
                    w -= 0.1 * w.grad
                    w.grad = None

    return work


@workload("whitening: 20,000 points in 256 dimensions", 20_000, "points")
def whitening(device: torch.device) -> Work:
    x = torch.randn(20_000, 256, generator=torch.Generator().manual_seed(0)).to(device)

    def work() -> Tensor:
        centred = x - x.mean(0)
        values, vectors = torch.linalg.eigh(centred.T @ centred / len(x))
        return centred @ (vectors / values.sqrt())

    return work


@workload("net: an epoch of 5,000 shapes through a small ConvNet, batches of 128", 5_000, "images")
def convnet(device: torch.device) -> Work:
    images, labels, _ = data.shapes(5_000, device=device)
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    ).to(device)  # fmt: skip
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05)

    def work() -> None:
        for x, t in zip(images.split(128), labels.split(128), strict=True):
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(x), t).backward()
            optimiser.step()

    return work
