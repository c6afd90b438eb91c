"""A net as one file that the figure "Looking inside, live" reads: safetensors, with its layers in the metadata."""

from __future__ import annotations

from unmagic.data import SHAPE_NAMES
from unmagic.look import evaluating

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

VERSION = 1
LARGEST = 4_000_000  # numbers in any layer's output: what a page can hold and go through


def export(
    model: nn.Module,
    file: str | os.PathLike = "net.safetensors",
    *,
    input_shape: Sequence[int] | None = None,
    classes: Sequence[str] | None = None,
    samples: Tensor | None = None,
    labels: Tensor | None = None,
) -> Path:
    """Write a net for "Looking inside, live": its button "Open a net…" loads the file, in the book as in a notebook.

        export(net, "mine.safetensors", input_shape=(1, 28, 28), classes=[*"0123456789"])

    Args:
        model: a plain `nn.Sequential` of Conv2d, BatchNorm2d, ReLU, MaxPool2d, AvgPool2d, AdaptiveAvgPool2d(1),
            Flatten and Linear that ends in scores (before the softmax), a number a class. It runs in evaluation mode,
            so leave dropout out: `nn.Sequential(*(m for m in net if not isinstance(m, nn.Dropout)))`.
        file: where to, a name that ends in .safetensors; a file that is there is replaced.
        input_shape: (C, H, W) of a picture in [0, 1], C 1 or 3. If not given: the course's own, (1, 8, 8) digits for
            one channel and (3, 32, 32) shapes for three.
        classes: a name for each score. If not given: those of digits or shapes where shape and number fit, else
            "class 0" and so on.
        samples: (N, C, H, W) in [0, 1], pictures to begin with; kept in 256 levels.
        labels: (N,) their classes, by which they are named.

    Returns:
        the file's path. Tensors are float32, or float16 where nothing is lost by it.

    Raises:
        ValueError: a layer that the page cannot compute; says which, and what may stand there. A shape that does not
            fit, weights that are not finite, names that are too few or too many, a file of another suffix.
        FileNotFoundError: the file's folder is not there.
    """
    path = Path(file)
    if path.suffix.lower() != ".safetensors":
        raise ValueError(
            f"export: the file is {str(file)!r}; wanted a name that ends in .safetensors: the page looks at it."
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(f"export: there is no folder {str(path.parent)!r} for {path.name!r}; make it first.")
    beside = path.with_name(f".{path.name}.part")
    beside.write_bytes(packed(model, input_shape=input_shape, classes=classes, samples=samples, labels=labels))
    beside.replace(path)
    return path


def packed(
    model: nn.Module,
    *,
    input_shape: Sequence[int] | None = None,
    classes: Sequence[str] | None = None,
    samples: Tensor | None = None,
    labels: Tensor | None = None,
) -> bytes:
    """What `export` writes."""
    if type(model) is not nn.Sequential:
        raise ValueError(
            f"export: the net is a {type(model).__name__}; wanted a plain nn.Sequential of {', '.join(_KINDS)}. "
            "A net whose forward only runs its parts one after another can be given as nn.Sequential(*its parts)."
        )
    layers, tensors = [], {}
    for name, layer in model.named_children():
        layers.append({"name": name, "kind": type(layer).__name__, **_description(name, layer)})
        for part, values in _tensors(layer).items():
            tensors[f"{name}.{part}"] = _small(f"{name}.{part}", values)
    shape = _input_shape(model, input_shape)
    scores = _scores(model, shape)
    names = _class_names(classes, shape, scores)
    if samples is not None:
        tensors["samples"] = _levels(samples, shape)
    net = {"version": VERSION, "input": shape, "classes": names, "layers": layers}
    net["samples"] = 0 if samples is None else len(samples)
    net["labels"] = _labels(labels, net["samples"], scores)
    return save(tensors, {"unmagic": json.dumps(net, ensure_ascii=False, separators=(",", ":"))})


def _pair(value: int | Sequence[int]) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


def _convolution(layer: nn.Conv2d) -> dict:
    if layer.padding_mode != "zeros":
        raise ValueError(f"padding_mode={layer.padding_mode!r}; wanted 'zeros'")
    padding = layer.padding
    if padding == "valid":
        padding = 0
    elif padding == "same":
        extra = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        if any(n % 2 for n in extra):
            raise ValueError(f"padding='same' of a kernel of {layer.kernel_size}, more on one side; wanted odd sides")
        padding = [n // 2 for n in extra]
    return {
        "channels": layer.out_channels,
        "kernel": _pair(layer.kernel_size),
        "stride": _pair(layer.stride),
        "padding": _pair(padding),
        "dilation": _pair(layer.dilation),
        "groups": layer.groups,
        "has_bias": layer.bias is not None,
    }


def _batch_norm(layer: nn.BatchNorm2d) -> dict:
    if layer.running_mean is None or layer.weight is None:
        raise ValueError("without running statistics or without weights; wanted the usual affine=True with both")
    return {}


def _tensors(layer: nn.Module) -> dict[str, Tensor]:
    """A layer's tensors; of a batch norm, which is linear in evaluation: y = scale·x + shift."""
    if not isinstance(layer, nn.BatchNorm2d):
        return layer.state_dict()
    scale = layer.weight.double() / (layer.running_var.double() + layer.eps).sqrt()  # (C,)
    return {"scale": scale, "shift": layer.bias.double() - layer.running_mean.double() * scale}


def _max_pooling(layer: nn.MaxPool2d) -> dict:
    if layer.ceil_mode or layer.return_indices or _pair(layer.dilation) != [1, 1]:
        raise ValueError("with ceil_mode, dilation or return_indices; wanted it without")
    return _window(layer)


def _average_pooling(layer: nn.AvgPool2d) -> dict:
    if layer.ceil_mode or layer.divisor_override is not None:
        raise ValueError("with ceil_mode or divisor_override; wanted it without")
    return {**_window(layer), "counts_padding": layer.count_include_pad}


def _window(layer: nn.MaxPool2d | nn.AvgPool2d) -> dict:
    return {"kernel": _pair(layer.kernel_size), "stride": _pair(layer.stride), "padding": _pair(layer.padding)}


def _global_pooling(layer: nn.AdaptiveAvgPool2d) -> dict:
    if _pair(layer.output_size) != [1, 1]:
        raise ValueError(f"with output_size={layer.output_size}; wanted AdaptiveAvgPool2d(1)")
    return {}


def _flatten(layer: nn.Flatten) -> dict:
    if (layer.start_dim, layer.end_dim) != (1, -1):
        raise ValueError("from or to another dimension; wanted Flatten()")
    return {}


_KINDS: dict[str, tuple[type[nn.Module], Callable[[nn.Module], dict]]] = {
    "Conv2d": (nn.Conv2d, _convolution),
    "BatchNorm2d": (nn.BatchNorm2d, _batch_norm),
    "ReLU": (nn.ReLU, lambda layer: {}),
    "MaxPool2d": (nn.MaxPool2d, _max_pooling),
    "AvgPool2d": (nn.AvgPool2d, _average_pooling),
    "AdaptiveAvgPool2d": (nn.AdaptiveAvgPool2d, _global_pooling),
    "Flatten": (nn.Flatten, _flatten),
    "Linear": (nn.Linear, lambda layer: {"features": layer.out_features, "has_bias": layer.bias is not None}),
}
_HINTS: list[tuple[type[nn.Module] | tuple[type[nn.Module], ...], str]] = [
    (nn.Sequential, "Write its layers out, one after another"),
    ((nn.Dropout, nn.Dropout2d, nn.Identity), "Leave it out: a net in evaluation mode does the same without it"),
    ((nn.Softmax, nn.LogSoftmax), "Leave it out: the page takes the softmax of the scores itself"),
    (nn.modules.lazy.LazyModuleMixin, "Run the net once on a batch: then it is the layer it stands for"),
]


def _description(name: str, layer: nn.Module) -> dict:
    """What the page must know of a layer besides its tensors."""
    kind, describe = _KINDS.get(type(layer).__name__, (None, None))
    if type(layer) is not kind:  # no subclass: it may compute something else
        raise ValueError(
            f"export: layer {name!r} is a {type(layer).__name__}; what may stand there: {', '.join(_KINDS)}."
            + next((f" {hint}." for kinds, hint in _HINTS if isinstance(layer, kinds)), "")
        )
    try:
        return describe(layer)
    except ValueError as problem:
        raise ValueError(f"export: layer {name!r} is a {type(layer).__name__} {problem}.") from None


def _small(name: str, values: Tensor) -> Tensor:
    """On the CPU, in float16 where that is exact, else in float32."""
    values = values.detach().cpu().float().contiguous()
    if not values.isfinite().all():
        raise ValueError(f"export: {name} holds numbers that are not finite; was the training given up?")
    half = values.half()
    return half if torch.equal(half.float(), values) else values


def _input_shape(model: nn.Sequential, given: Sequence[int] | None) -> list[int]:
    first = next((layer for layer in model if isinstance(layer, nn.Conv2d)), None)
    shape = given
    if shape is None:
        shape = {1: (1, 8, 8), 3: (3, 32, 32)}.get(first.in_channels if first is not None else 0)
    if not isinstance(shape, Sequence) or len(shape) != 3 or shape[0] not in (1, 3) or min(shape) < 1:
        raise ValueError(
            f"export: input_shape is {given}; wanted (C, H, W) of a picture with 1 or 3 channels, such as (1, 28, 28)."
        )
    return [int(n) for n in shape]


def _scores(model: nn.Sequential, shape: list[int]) -> int:
    """How many scores the net gives, found by running it layer by layer."""
    some = next(model.parameters(), torch.zeros(()))
    x = torch.zeros(1, *shape, dtype=some.dtype, device=some.device)  # (1, C, H, W)
    with evaluating(model):
        for name, layer in model.named_children():
            before = tuple(x.shape[1:])
            if isinstance(layer, nn.Linear) and x.ndim != 2:
                raise ValueError(f"export: layer {name!r}, Linear, would get {before}; wanted a Flatten before it.")
            try:
                with torch.no_grad():
                    x = layer(x)
            except RuntimeError as problem:
                raise ValueError(
                    f"export: layer {name!r}, {type(layer).__name__}, cannot take {before}, which is what a picture of "
                    f"{tuple(shape)} has become there: {problem}. Does input_shape fit the net?"
                ) from None
            if x.numel() > LARGEST:
                raise ValueError(f"export: layer {name!r} makes {x.numel():,} numbers; wanted {LARGEST:,} at most.")
    if x.ndim != 2 or x.shape[1] < 2:
        raise ValueError(
            f"export: the net ends in {tuple(x.shape[1:])}; wanted scores, two classes or more: end it with Flatten() "
            "and Linear."
        )
    return x.shape[1]


def _class_names(given: Sequence[str] | None, shape: list[int], scores: int) -> list[str]:
    if given is not None:
        if len(given) != scores:
            raise ValueError(f"export: {len(given)} classes and {scores} scores; wanted a name for each score.")
        return [str(name) for name in given]
    known = {(1, 10): [str(digit) for digit in range(10)], (3, 10): list(SHAPE_NAMES)}
    return known.get((shape[0], scores), [f"class {k}" for k in range(scores)])


def _levels(samples: Tensor, shape: list[int]) -> Tensor:
    samples = torch.as_tensor(samples)  # an array will do
    if samples.ndim != 4 or list(samples.shape[1:]) != shape:
        raise ValueError(f"export: samples of shape {tuple(samples.shape)}; wanted (N, {', '.join(map(str, shape))}).")
    if samples.numel() and not (samples.min() >= 0 and samples.max() <= 1):
        raise ValueError("export: samples reach beyond [0, 1]; wanted them as the net takes them, in [0, 1].")
    return (samples.detach().cpu().float() * 255).round().to(torch.uint8)


def _labels(given: Tensor | None, samples: int, scores: int) -> list[int]:
    labels = [] if given is None else [int(label) for label in given]
    if given is not None and (len(labels) != samples or not all(0 <= label < scores for label in labels)):
        raise ValueError(f"export: labels {labels} of {samples} samples; wanted one each, from 0 to {scores - 1}.")
    return labels
