"""Signals through depth in torch: the stills are drawn from them, and the browser's numbers are held to them.

Layers, normalization and activations are torch's, gradients are autograd's. Random numbers are the same as in the
browser, so what is measured here is what is measured there, to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

BATCH = 32  # B, examples
DEEPEST = 50  # layers
WIDTHS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256)  # n, units of a layer

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
        "relu": torch.relu,
        "leaky_relu": F.leaky_relu,
        "linear": lambda y: y,
    }
)
NORMALIZATIONS: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {
        "none": lambda u: u,
        "batch": lambda u: F.batch_norm(u, None, None, training=True),
        "layer": lambda u: F.layer_norm(u, u.shape[-1:]),
    }
)
# n·Var(w) of each initialization; every weight is from U(−a, a) with a² = 3 Var(w)
INITIALIZATIONS: Mapping[str, Callable[[int], float]] = MappingProxyType(
    {
        "standard": lambda n: 1 / 3,  # U(±1/√n)
        "xavier": lambda n: 1.0,  # U(±√(6/(n_in + n_out))): Glorot & Bengio 2010
        "he": lambda n: 2.0,  # He et al. 2015
        "small": lambda n: 1e-4 * n,  # standard deviation 0.01
        "large": lambda n: 1.0 * n,  # standard deviation 1
    }
)


@dataclass(frozen=True)
class Pass:
    """One pass forwards and one backwards through layers 1 … L of n units, for B examples; all float64.

    h, g: activations and gradients ∂J_b/∂h of layers 0 … L, (L + 1, B, n). weights: ∂J/∂W, J = mean of J_b, (L, n, n).
    """

    h: Tensor
    g: Tensor
    weights: Tensor

    def deviations(self) -> dict[str, list[float]]:
        """Standard deviations by layer: of "activations" and "unit_gradients" 0 … L, of "weight_gradients" 1 … L."""
        each = {"activations": self.h, "unit_gradients": self.g, "weight_gradients": self.weights}
        return {name: x.flatten(1).std(1, correction=0).tolist() for name, x in each.items()}


def uniforms(seeds: Sequence[int], count: int) -> Tensor:
    """What `descent.uniforms` gives for each seed, all streams at once: (seeds, count), float64 in [0, 1)."""
    x = np.array([((seed + 1) * 0x9E3779B1) & 0xFFFFFFFF or 1 for seed in seeds], dtype=np.uint32)
    drawn = np.empty((count + 16, len(seeds)), dtype=np.uint32)
    for row in drawn:
        x ^= x << np.uint32(13)
        x ^= x >> np.uint32(17)
        x ^= x << np.uint32(5)
        row[:] = x
    return torch.from_numpy(drawn[16:].T / 2**32)


def base_weights(seed: int, n: int, depth: int) -> Tensor:
    """Weights of layers 1 … depth before they are scaled: U(−√3, √3), variance 1, (depth, n, n), float64."""
    u = uniforms([64 * seed + layer for layer in range(1, depth + 1)], n * n)
    return (math.sqrt(3) * (2 * u - 1)).reshape(depth, n, n)


def normals(seed: int, n: int) -> tuple[Tensor, Tensor]:
    """Standard normal numbers by Box & Muller (1958): inputs and gradients at the top, (B, n) each, float64."""
    u = uniforms([64 * seed, 64 * seed + DEEPEST + 1], 2 * BATCH * n).reshape(2, BATCH, n, 2)
    inputs, top = torch.sqrt(-2 * torch.log(1 - u[..., 0])) * torch.cos(2 * math.pi * u[..., 1])
    return inputs, top


def propagate(*, activation: str, normalization: str, n_var: float, width: int, depth: int, seed: int) -> Pass:
    """h_l = φ(norm(W_l h_{l−1})) for l = 1 … depth without biases, and autograd's gradients.

    h_0 and the gradients ∂J_b/∂h_L at the top are standard normal: J_b = c_b·h_L,b with standard normal c. Raises
    KeyError for the name of an activation or normalization that is not here.
    """
    phi, norm = ACTIVATIONS[activation], NORMALIZATIONS[normalization]
    inputs, c = normals(seed, width)
    h = [inputs.requires_grad_()]
    weights = [(math.sqrt(n_var / width) * w).requires_grad_() for w in base_weights(seed, width, depth)]
    for w in weights:
        h.append(phi(norm(h[-1] @ w.T)))  # (B, n)
    gradients = torch.autograd.grad((c * h[-1]).sum() / BATCH, [*h, *weights])
    g = BATCH * torch.stack(gradients[: depth + 1])
    return Pass(torch.stack(h).detach(), g, torch.stack(gradients[depth + 1 :]))
