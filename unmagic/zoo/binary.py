"""Weights of one bit: Binary-Weight-Networks, and XNOR-Networks, whose inputs have one bit too.

M. Rastegari, V. Ordonez, J. Redmon, A. Farhadi: XNOR-Net: ImageNet classification using binary convolutional neural
networks. ECCV 2016: W ≈ α·sign(W) with α = mean|W| of each filter (equation 6), the gradient of algorithm 1, inputs
scaled by K (equation 11), and the order BN, sign, convolution, pooling (figure 3).
"""

from unmagic.zoo.alexnet import check_widths, last_side

import math

import numpy
import torch
from torch import Tensor, nn


class SignStraightThrough(torch.autograd.Function):
    """sign(x), with sign(0) = 1. The gradient goes straight through where |x| ≤ 1, and nowhere else."""

    @staticmethod
    def forward(context, x: Tensor) -> Tensor:
        context.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        (x,) = context.saved_tensors
        return gradient * (x.abs() <= 1)


class BinaryConv2d(nn.Module):
    """A convolution whose filters are α·sign(W), α = mean|W| of the filter. With `binary_input` its input is ±1 too.

    Input (N, in_channels, H, W), output (N, out_channels, H′, W′). W itself stays real and is what is trained: the
    gradient of α·sign(W) is that of algorithm 1, ∂/∂W = ∂/∂W̃·(1/n + α·1[|W| ≤ 1]), as autograd finds it by the
    product rule but for its term of 1/n, in which the whole filter shares.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        binary_input: bool = False,
    ):
        super().__init__()
        self.stride, self.padding, self.binary_input = stride, padding, binary_input
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel_size, kernel_size))
        nn.init.kaiming_normal_(self.weight)

    def binary_weight(self) -> Tensor:
        """α·sign(W), (out, in, k, k)."""
        alpha = self.weight.abs().mean(dim=(1, 2, 3), keepdim=True)  # (out, 1, 1, 1)
        return alpha * SignStraightThrough.apply(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        if not self.binary_input:
            return nn.functional.conv2d(x, self.binary_weight(), None, self.stride, self.padding)
        size = self.weight.shape[2]
        strength = x.abs().mean(dim=1, keepdim=True)  # A: (N, 1, H, W)
        box = x.new_full((1, 1, size, size), 1 / size**2)
        K = nn.functional.conv2d(strength, box, None, self.stride, self.padding)  # (N, 1, H′, W′)
        signs = SignStraightThrough.apply(x)
        return K * nn.functional.conv2d(signs, self.binary_weight(), None, self.stride, self.padding)


class BinaryBlock(nn.Module):
    """BN, sign (of XNOR only), convolution, ReLU (of Binary-Weight only)."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, padding: int, binary_input: bool):
        super().__init__()
        convolution = BinaryConv2d(in_channels, out_channels, kernel_size, 1, padding, binary_input)
        after = nn.Identity() if binary_input else nn.ReLU()
        self.layers = nn.Sequential(nn.BatchNorm2d(in_channels), convolution, after)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class BinaryAlexNet(nn.Module):
    """AlexNet with binary layers between the first and the last, which stay real. Output (N, classes).

    Args:
        kind: "binary-weight" or "xnor".
        widths: channels of the five convolutions.
        hidden: units of fc6 and fc7, which are convolutions here.
        stem: kernel, stride and padding of the first convolution.
        size: height and width of the input.
    """

    def __init__(
        self,
        kind: str = "xnor",
        classes: int = 1000,
        in_channels: int = 3,
        widths: tuple[int, ...] = (96, 256, 384, 384, 256),
        hidden: int = 4096,
        stem: tuple[int, int, int] = (11, 4, 0),
        size: int = 227,
    ):
        super().__init__()
        if kind not in ("binary-weight", "xnor"):
            raise ValueError(f"BinaryAlexNet: kind is {kind!r}; wanted 'binary-weight' or 'xnor'.")
        check_widths("BinaryAlexNet", widths)
        signs = kind == "xnor"
        c1, c2, c3, c4, c5 = widths
        kernel, stride, padding = stem
        side = last_side("BinaryAlexNet", size, stem)
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, c1, kernel, stride, padding),  # (N, 96, 55, 55), real
            nn.BatchNorm2d(c1),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),  # (N, 96, 27, 27)
            BinaryBlock(c1, c2, 5, 2, signs),  # (N, 256, 27, 27)
            nn.MaxPool2d(3, 2),  # (N, 256, 13, 13)
            BinaryBlock(c2, c3, 3, 1, signs),
            BinaryBlock(c3, c4, 3, 1, signs),
            BinaryBlock(c4, c5, 3, 1, signs),  # (N, 256, 13, 13)
            nn.MaxPool2d(3, 2),  # (N, 256, 6, 6)
            BinaryBlock(c5, hidden, side, 0, signs),  # fc6 (N, 4096, 1, 1)
            BinaryBlock(hidden, hidden, 1, 0, signs),  # fc7 (N, 4096, 1, 1)
            nn.BatchNorm2d(hidden),
            nn.Flatten(),
        )
        self.classifier = nn.Linear(hidden, classes)  # fc8, real

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))


def packed_bytes(model: nn.Module, as_binary: str = "own") -> int:
    """Bytes of the weights in a file: one bit for each weight of a binary layer and 4 bytes for its filters' α, 4 bytes
    for any other parameter.

    as_binary: which layers are counted as binary: "own", those that are; "inner", all convolutions and linear layers
    but the first and the last; "all". AlexNet is 31.65 times smaller with "all" (32, but for α and biases: the paper's
    abstract says 32) and 10.3 times with "inner". BinaryAlexNet is 10.4 times smaller than in floats: it has no groups,
    and batch norms in place of biases.
    """
    if as_binary not in ("own", "inner", "all"):
        raise ValueError(f"packed_bytes: as_binary is {as_binary!r}; wanted 'own', 'inner' or 'all'.")
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear | BinaryConv2d)]
    asked = {"own": [m for m in layers if isinstance(m, BinaryConv2d)], "inner": layers[1:-1], "all": layers}[as_binary]
    total = sum(4 * parameter.numel() for parameter in model.parameters())
    for layer in asked:
        total -= 4 * layer.weight.numel()
        total += math.ceil(layer.weight.numel() / 8) + 4 * layer.weight.shape[0]
    return total


def pack(model: nn.Module) -> dict[str, Tensor]:
    """The model's state for a file, its binary layers as bits: for each NAME.weight NAME.bits, eight weights to a byte
    (uint8), and NAME.alpha, α of each filter (out,). The rest is as in `state_dict`."""
    state = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    for name, _ in _binary_layers(model):
        weight = state.pop(f"{name}weight")
        bits = numpy.packbits((weight >= 0).flatten().numpy())
        state |= {f"{name}bits": torch.from_numpy(bits), f"{name}alpha": weight.abs().mean(dim=(1, 2, 3))}
    return state


def unpack_(model: nn.Module, packed: dict[str, Tensor]) -> nn.Module:
    """Fill a model with what `pack` gave. Its answers are those of the model that was packed; the weights of its binary
    layers are ±α now, so what was trained of them beyond signs and scales is gone."""
    state = dict(packed)
    for name, layer in _binary_layers(model):
        count, shape = layer.weight.numel(), layer.weight.shape
        bits = torch.from_numpy(numpy.unpackbits(state.pop(f"{name}bits").numpy(), count=count)).reshape(shape)
        state[f"{name}weight"] = (2.0 * bits - 1.0) * state.pop(f"{name}alpha")[:, None, None, None]
    model.load_state_dict(state)
    return model


def _binary_layers(model: nn.Module) -> list[tuple[str, BinaryConv2d]]:
    """(prefix of its names in the state, layer)."""
    found = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, BinaryConv2d)]
    return [(f"{name}." if name else "", layer) for name, layer in found]
