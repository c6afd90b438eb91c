"""Highway networks: a gate decides, unit by unit, how much is changed and how much is carried.

R. K. Srivastava, K. Greff, J. Schmidhuber: Highway networks, 2015, equation 3: y = H(x)·T(x) + x·(1 − T(x)). The bias
of the transform gate begins negative (−1 to −3), so that a deep net begins by carrying.
"""

import torch
from torch import Tensor, nn


class HighwayLayer(nn.Module):
    """y = H·T + x·(1 − T), H = relu(W_H x + b_H), T = σ(W_T x + b_T). Input and output (N, width).

    Its limits: T → 0 gives y = x, T → 1 gives y = H(x).
    """

    def __init__(self, width: int, gate_bias: float = -2.0):
        super().__init__()
        self.transform, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.kaiming_normal_(self.transform.weight, nonlinearity="relu")
        nn.init.zeros_(self.transform.bias)
        nn.init.constant_(self.gate.bias, gate_bias)

    def forward(self, x: Tensor) -> Tensor:
        T = torch.sigmoid(self.gate(x))  # (N, width)
        return torch.relu(self.transform(x)) * T + x * (1 - T)


class Highway(nn.Module):
    """The paper's nets for MNIST: a layer down to `width`, depth − 2 highway layers, a classifier.

    Input (N, …) of `in_features` numbers, output (N, classes). Section 3.1: 10, 20, 50 or 100 layers of 50 units.
    """

    def __init__(
        self,
        classes: int = 10,
        in_features: int = 784,
        width: int = 50,
        depth: int = 50,
        gate_bias: float = -2.0,
    ):
        super().__init__()
        if depth < 2:
            raise ValueError(f"Highway: depth is {depth}; wanted 2 or more: the first and the last layer count.")
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(in_features, width),  # (N, width)
            nn.ReLU(),
            *(HighwayLayer(width, gate_bias) for _ in range(depth - 2)),  # (N, width)
            nn.Linear(width, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)
