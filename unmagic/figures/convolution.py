"""Convolution, transposed convolution and pooling of one picture by torch, with gradients: what the figure shows."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

LARGEST = 24  # a side of what is still drawn


class Passes(NamedTuple):
    """One picture through one operation and back, float64. `dw` is None for pooling, which has no weights."""

    y: Tensor  # (rows, columns) of the output
    dy: Tensor  # ∂L/∂y, as y
    dx: Tensor  # ∂L/∂x, as the picture
    dw: Tensor | None  # ∂L/∂w, as the kernel


def upstream_gradient(upstream: str, y: Tensor, own: Tensor) -> Tensor:
    """∂L/∂y (rows, columns) for the loss that `upstream` names; `own` is cut, or continued with zeros."""
    rows, columns = y.shape
    if upstream == "ones":
        return torch.ones_like(y)
    if upstream == "output":
        return y.detach().clone()
    dy = torch.zeros_like(y)
    if upstream == "middle":
        dy[rows // 2, columns // 2] = 1
    elif upstream == "varied":
        dy += (2 * torch.arange(rows)[:, None] + 3 * torch.arange(columns) + 4) % 5 - 2
    else:
        dy[: own.shape[0], : own.shape[1]] = own[:rows, :columns]
    return dy


def passes(
    operation: str,
    picture: Tensor,
    kernel: Tensor,
    *,
    window: int,
    stride: int,
    padding: int,
    dilation: int,
    output_padding: int,
    ceil_mode: bool,
    ties: str,
    upstream: str,
    gradients: Tensor,
) -> Passes:
    """The forward pass by torch, the backward pass by autograd.

    picture: (H, W), kernel: (kh, kw), gradients: one's own ∂L/∂y, any size. The rest is as in `ConvolutionBothWays`.
    Raises RuntimeError, torch's, where there is no output.
    """
    x, w = (values.to(torch.float64)[None, None].requires_grad_() for values in (picture, kernel))  # (1, 1, ·, ·)
    if operation == "convolution":
        y = F.conv2d(x, w, stride=stride, padding=padding, dilation=dilation)
    elif operation == "transposed_convolution":
        extra = min(output_padding, max(stride, dilation) - 1)
        y = F.conv_transpose2d(x, w, stride=stride, padding=padding, dilation=dilation, output_padding=extra)
    elif operation == "average_pooling":
        y = F.avg_pool2d(x, window, stride, min(padding, window // 2), ceil_mode=ceil_mode)
    else:
        y = F.max_pool2d(x, window, stride, min(padding, window // 2), dilation, ceil_mode=ceil_mode)
        if ties == "shared":
            y = _max_of_windows(x, y.shape[-2:], window, stride, min(padding, window // 2), dilation)
    dy = upstream_gradient(upstream, y[0, 0], gradients.to(torch.float64))
    pooling = operation.endswith("pooling")
    dx, *dw = torch.autograd.grad(y, [x] if pooling else [x, w], dy[None, None])
    return Passes(y[0, 0].detach(), dy.detach(), dx[0, 0], dw[0][0, 0] if dw else None)


def _max_of_windows(x: Tensor, size: torch.Size, window: int, stride: int, padding: int, dilation: int) -> Tensor:
    """Max pooling of x (1, 1, H, W) to `size` with amax, whose gradient is shared evenly among equal largest inputs."""
    reach = dilation * (window - 1) + 1
    below, right = ((n - 1) * stride + reach - side - padding for n, side in zip(size, x.shape[-2:], strict=True))
    padded = F.pad(x, (padding, max(right, 0), padding, max(below, 0)), value=-1e300)  # unfold multiplies: no −∞
    windows = F.unfold(padded, window, dilation=dilation, stride=stride)  # (1, window², all)
    rows = (padded.shape[-2] - reach) // stride + 1
    y = windows.amax(dim=1).view(1, 1, rows, -1)
    return y[..., : size[0], : size[1]]
