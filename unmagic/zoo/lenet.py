"""LeNet-5, as it was published: trainable subsampling, a third layer that sees some maps only, distances at the end.

Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-based learning applied to document recognition. Proceedings of the
IEEE 86 (1998), section II.B, table I and figure 2.
"""

import math

import torch
from torch import Tensor, nn

# Table I: which of the six maps of S2 each of the sixteen maps of C3 sees
C3_TABLE = (
    *((i, (i + 1) % 6, (i + 2) % 6) for i in range(6)),
    *(tuple((i + k) % 6 for k in range(4)) for i in range(6)),
    *((i, (i + 1) % 6, (i + 3) % 6, (i + 4) % 6) for i in range(3)),
    tuple(range(6)),
)


class ScaledTanh(nn.Module):
    """f(a) = 1.7159 tanh(2a/3): f(±1) = ±1, and the curvature is largest there (appendix A of the paper)."""

    def forward(self, a: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(a * (2 / 3))


class TrainableSubsampling(nn.Module):
    """S2 and S4: the sum over each 2×2 field, times one coefficient a map, plus one bias a map. Not a maximum."""

    def __init__(self, channels: int):
        super().__init__()
        self.coefficient = nn.Parameter(torch.full((channels, 1, 1), 0.25))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        total = 4 * nn.functional.avg_pool2d(x, 2)  # (N, C, H/2, W/2)
        return self.coefficient * total + self.bias


class PartialConv2d(nn.Module):
    """A convolution whose maps see some of the maps before: one kernel for each connection of `table`.

    The paper's reasons: fewer connections, and maps that are forced to extract different features.
    """

    def __init__(self, table: tuple[tuple[int, ...], ...], in_channels: int, kernel_size: int):
        super().__init__()
        self.shape = (len(table), in_channels, kernel_size, kernel_size)
        pairs = [(o, i) for o, seen in enumerate(table) for i in seen]
        self.register_buffer("place", torch.tensor(pairs).T.contiguous(), persistent=False)  # (2, connections)
        self.kernels = nn.Parameter(torch.empty(len(pairs), kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(len(table)))
        fan_in = torch.tensor([len(table[o]) * kernel_size**2 for o, _ in pairs], dtype=torch.float32)
        with torch.no_grad():  # the paper: uniform in ±2.4/fan-in
            self.kernels.uniform_(-2.4, 2.4).div_(fan_in[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        weight = x.new_zeros(self.shape).index_put(tuple(self.place), self.kernels)  # (O, I, k, k)
        return nn.functional.conv2d(x, weight, self.bias)


class RBF(nn.Module):
    """The output layer: y_i = Σ_j (x_j − w_ij)², the squared distance to the code of class i. Small means likely.

    codes: (classes, features) of ±1, not trained. The paper's are drawings of the characters, 7×12 pixels; ours, where
    none are given, are drawn by seven segments.
    """

    def __init__(self, codes: Tensor | None = None):
        super().__init__()
        self.register_buffer("codes", segment_codes() if codes is None else codes)

    def forward(self, x: Tensor) -> Tensor:
        return ((x[:, None] - self.codes) ** 2).sum(dim=2)  # (N, classes)


def segment_codes() -> Tensor:
    """The ten digits as a display of seven segments shows them, 12 rows of 7 pixels: (10, 84), ±1."""
    segments = {  # rows, columns
        "a": (slice(0, 2), slice(1, 6)),
        "b": (slice(1, 6), slice(5, 7)),
        "c": (slice(6, 11), slice(5, 7)),
        "d": (slice(10, 12), slice(1, 6)),
        "e": (slice(6, 11), slice(0, 2)),
        "f": (slice(1, 6), slice(0, 2)),
        "g": (slice(5, 7), slice(1, 6)),
    }
    shown = ("abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcdfg")
    codes = -torch.ones(10, 12, 7)
    for digit, names in enumerate(shown):
        for name in names:
            codes[(digit, *segments[name])] = 1.0
    return codes.flatten(1)


class LeNet5(nn.Module):
    """Input (N, in_channels, 32, 32), output (N, classes). 60,000 trainable parameters with the RBF output.

    Layer by layer, in the paper's names: C1 156, S2 12, C3 1,516, S4 32, C5 48,120, F6 10,164 parameters.

    Args:
        output: "rbf" as published (a distance: small means likely, so a loss is `cross_entropy(-y, labels)`), or
            "linear", which adds 84·classes + classes parameters and gives logits.
        codes: of the RBF layer, (classes, 84); needed for a number of classes other than ten.
    """

    def __init__(self, classes: int = 10, in_channels: int = 1, output: str = "rbf", codes: Tensor | None = None):
        super().__init__()
        if output not in ("rbf", "linear"):
            raise ValueError(f"LeNet5: output is {output!r}; wanted 'rbf' or 'linear'.")
        if output == "rbf" and codes is None and classes != 10:
            raise ValueError(f"LeNet5: {classes} classes without codes; wanted codes of shape ({classes}, 84).")
        if codes is not None and codes.shape != (classes, 84):
            raise ValueError(f"LeNet5: codes of shape {tuple(codes.shape)}; wanted ({classes}, 84), ±1, a row a class.")
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 6, 5),  # C1 (N, 6, 28, 28)
            ScaledTanh(),
            TrainableSubsampling(6),  # S2 (N, 6, 14, 14)
            ScaledTanh(),
            PartialConv2d(C3_TABLE, 6, 5),  # C3 (N, 16, 10, 10)
            ScaledTanh(),
            TrainableSubsampling(16),  # S4 (N, 16, 5, 5)
            ScaledTanh(),
            nn.Conv2d(16, 120, 5),  # C5 (N, 120, 1, 1)
            ScaledTanh(),
            nn.Flatten(),  # (N, 120)
            nn.Linear(120, 84),  # F6 (N, 84)
            ScaledTanh(),
        )
        self.output = RBF(codes) if output == "rbf" else nn.Linear(84, classes)  # (N, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                bound = 2.4 / math.prod(module.weight.shape[1:])
                nn.init.uniform_(module.weight, -bound, bound)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.features(x))
