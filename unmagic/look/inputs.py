"""What makes a unit fire: the images, and the part of them that it sees."""

from unmagic.look.activations import evaluating, recording

import typing

import torch
from torch import Tensor, nn


class Firing(typing.NamedTuple):
    """The places where a channel fires most, strongest first. `images[firing.images]` are the images themselves.

    values  (k,)
    images  (k,) int64, which image
    boxes   (k, 4) int64: top, left, bottom, right of what the unit sees, cut to the image; the last two are excluded
    """

    values: Tensor
    images: Tensor
    boxes: Tensor


def strongest(
    model: nn.Module, layer: str | nn.Module, channel: int, images: Tensor, k: int = 9, *, batch_size: int = 256
) -> Firing:
    """The k images on which a channel fires most, each at its strongest place, with what the unit sees there.

    The box is found by looking: where the gradient of that one output to the image is not zero, with every ReLU open,
    every pooling taken as a mean and what normalizes an image by its own numbers left out, so it is the receptive field
    whatever the image. A layer without maps, (N, D), has D units that see all of it.

    Raises:
        ValueError: the layer has no such channel, or gives neither maps nor rows of numbers.
    """
    best, places = [], []
    with evaluating(model), torch.no_grad():
        for part in images.split(batch_size):
            with recording(model, layer) as seen:
                model(part)
            output = seen.layer  # (B, C, h, w) or (B, D)
            if output.ndim not in (2, 4) or not 0 <= channel < output.shape[1]:
                raise ValueError(
                    f"strongest: channel {channel} of a layer whose output has the shape {tuple(output.shape)}; wanted "
                    f"one from 0 to {output.shape[1] - 1}, of maps (N, C, h, w) or rows (N, D)."
                )
            value, place = output[:, channel].reshape(len(part), -1).max(dim=1)  # each (B,)
            best.append(value)
            places.append(place)
    value, place = torch.cat(best), torch.cat(places)
    order = value.topk(min(k, len(images))).indices
    if output.ndim == 4:
        places = [divmod(int(place[i]), output.shape[3]) for i in order]
        boxes = [receptive_box(model, layer, images[:1].shape, at) for at in places]
    else:
        boxes = [(0, 0, *images.shape[2:])] * len(order)
    return Firing(value[order], order, torch.tensor(boxes, device=images.device).reshape(-1, 4))


def receptive_box(
    model: nn.Module, layer: str | nn.Module, input_shape: typing.Sequence[int], place: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Top, left, bottom, right (excluded) of what the output of `layer` at (row, column) sees of the input.

    input_shape: with the batch, (1, C, H, W).
    """
    parameter = next(model.parameters())
    with evaluating(model), _open(model), recording(model, layer, gradients=True) as seen, torch.enable_grad():
        x = torch.ones(1, *input_shape[1:], device=parameter.device, dtype=torch.float64, requires_grad=True)
        state = {n: t.double().abs() + 1e-3 if t.is_floating_point() else t for n, t in _state(model)}
        torch.func.functional_call(model, state, (x,))
        (slope,) = torch.autograd.grad(seen.layer[0, :, place[0], place[1]].sum(), x)
    touched = slope[0].abs().sum(dim=0) > 0  # (H, W)
    rows, columns = touched.any(dim=1).nonzero(), touched.any(dim=0).nonzero()
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


LEFT_OUT = nn.ReLU | nn.InstanceNorm2d | nn.GroupNorm | nn.LayerNorm


def _state(model: nn.Module) -> typing.Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


class _open:
    """While it is open no ReLU is shut, max pooling is a mean, and no normalization mixes all places of an image:
    gradients show what could matter."""

    def __init__(self, model: nn.Module):
        self.modules = [m for m in model.modules() if isinstance(m, nn.MaxPool2d | LEFT_OUT)]

    def __enter__(self) -> None:
        for module in self.modules:
            module.forward = _mean_pooling(module) if isinstance(module, nn.MaxPool2d) else _identity

    def __exit__(self, *error: object) -> None:
        for module in self.modules:
            del module.forward


def _identity(x: Tensor) -> Tensor:
    return x


def _mean_pooling(module: nn.MaxPool2d) -> typing.Callable[[Tensor], Tensor]:
    def forward(x: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(x, module.kernel_size, module.stride, module.padding, module.ceil_mode)

    return forward
