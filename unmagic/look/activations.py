"""What flows through a net: activations by hooks that are always taken off again."""

import contextlib
import typing
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn


class Recorded(dict):
    """Outputs by the layer's name; `layer` gives the one that was asked for."""

    @property
    def layer(self) -> Tensor:
        if not self:
            raise ValueError("no layer was recorded: the net did not run, or not this layer (a head for training?).")
        if len(self) != 1:
            raise ValueError(f"{len(self)} layers were recorded: {', '.join(self)}; name the one you want.")
        return next(iter(self.values()))


def find_layer(model: nn.Module, layer: str | nn.Module) -> tuple[str, nn.Module]:
    """Name and module of a layer, given either. ValueError lists names that are near."""
    if isinstance(layer, str):
        with contextlib.suppress(AttributeError):
            return layer, model.get_submodule(layer)
    else:
        for name, module in model.named_modules():
            if module is layer:
                return name, module
        raise ValueError(f"find_layer: this {type(layer).__name__} is no part of the model.")
    known = [name for name, _ in model.named_modules() if name]
    near = [name for name in known if name.startswith(layer.split(".")[0])] or known
    raise ValueError(
        f"find_layer: the model has no layer {layer!r}; it has {', '.join(near[:12])}{' …' * (len(near) > 12)}."
    )


@contextlib.contextmanager
def recording(
    model: nn.Module, layers: Iterable[str | nn.Module] | str | nn.Module, *, gradients: bool = False
) -> Iterator[Recorded]:
    """While it is open, outputs of these layers are kept; however it ends, the hooks are gone.

        with look.recording(net, "features.3") as seen:
            net(images)
        seen.layer  # (N, C, H, W)

    Args:
        layers: names as `model.named_modules()` has them, or modules.
        gradients: keep the tensors as they are, part of the graph, so that gradients to them can be asked for; else
            detached copies.
    """
    if isinstance(layers, str | nn.Module):
        layers = [layers]
    found = [find_layer(model, layer) for layer in layers]
    recorded = Recorded()

    def keep(name: str) -> typing.Callable:
        def hook(module: nn.Module, inputs: tuple, output: Tensor) -> None:
            recorded[name] = output if gradients else output.detach()

        return hook

    hooks = []
    try:
        for name, module in found:
            hooks.append(module.register_forward_hook(keep(name)))
        yield recorded
    finally:
        for hook in hooks:
            hook.remove()


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode, its parameters without gradients; afterwards all as it was."""
    training = [module for module in model.modules() if module.training]
    asked = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        if training:
            model.eval()
        for parameter in asked:
            parameter.requires_grad_(False)
        yield
    finally:
        for module in training:
            module.training = True
        for parameter in asked:
            parameter.requires_grad_(True)


@torch.no_grad()
def sparsity(model: nn.Module, layer: str | nn.Module, images: Tensor) -> tuple[float, Tensor]:
    """Share of a layer's outputs that are 0 on `images`, and which of its channels are dead: 0 everywhere, (C,)
    bool."""
    with evaluating(model), recording(model, layer) as seen:
        model(images)
    zero = seen.layer == 0  # (N, C, …)
    dead = zero.transpose(0, 1).flatten(1).all(dim=1)  # (C,)
    return zero.double().mean().item(), dead
