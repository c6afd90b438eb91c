"""Probabilities of covered images at a part of the work: batch norm folded, and early layers on patches alone."""

from unmagic.look.patches import ON_PATCHES, Convolution, Patch

import math
import operator
import typing
from collections.abc import Callable

import torch
from torch import Tensor, fx, nn
from torch.nn.modules import module as every_module
from torch.nn.utils import fuse_conv_bn_weights

CLOSE = 1e-5  # probabilities may differ by that from those of the net as it is
HOOKS = ("_forward_hooks", "_forward_pre_hooks")
MAKING = (Convolution, nn.BatchNorm2d, nn.Linear, operator.add, torch.cat)  # whose output is no view of anything


class Step(typing.NamedTuple):
    """A node of a net's graph."""

    node: fx.Node
    work: Callable  # on whole maps
    on_patches: Callable[..., Patch | None] | None
    fixed: bool  # it does not depend on the images
    over: tuple[fx.Node, ...]  # outputs that no later step needs


class Followed:
    """A net in evaluation mode as a list of steps, its batch norm folded into the convolutions before it.

    Raises whatever the net does when it is followed, and ValueError, where it does what steps cannot.
    """

    def __init__(self, model: nn.Module):
        graph = fx.Tracer().trace(model)
        works = {node: _work(node, model) for node in graph.nodes}
        fresh: set[fx.Node] = set()  # outputs that share no memory with others, and that one node alone needs
        fixed: set[fx.Node] = set()
        for node, work in works.items():
            before, kind = (node.args or (None,))[0], _kind(work)
            if kind is nn.BatchNorm2d and before in fresh and _kind(works[before]) is Convolution:
                conv, norm = works[before], (work.running_mean, work.running_var, work.eps, work.weight, work.bias)
                conv.weight, conv.bias = fuse_conv_bn_weights(conv.weight, conv.bias, *norm)
                works[node] = nn.Identity()
            elif _in_place(node, work) and (before not in fresh or kind not in ON_PATCHES):
                raise ValueError(f"{node} works in place on what may be needed as it was")
            elif kind in (nn.ReLU, torch.relu) and before in fresh:
                works[node] = torch.relu_
            if len(node.users) == 1 and kind in MAKING:
                fresh.add(node)
            if node.op != "placeholder" and fixed.issuperset(node.all_input_nodes):
                fixed.add(node)
        needed: set[fx.Node] = set()
        self.steps: list[Step] = []
        for node, work in reversed(works.items()):
            over = tuple(each for each in node.all_input_nodes if each not in needed)
            needed.update(over)
            self.steps.insert(0, Step(node, work, ON_PATCHES.get(_kind(work)), node in fixed, over))
        if sum(node.op == "placeholder" for node in works) != 1:
            raise ValueError("the net takes more than images")

    def outputs(self, images: Tensor) -> dict[fx.Node, typing.Any]:
        """Of every step, on images as they are, (N, C, H, W); where the next step works in place, of that one."""
        found: dict[fx.Node, typing.Any] = {}
        for node, work, *_ in self.steps:
            args, options = _given(node, found)
            found[node] = images if node.op == "placeholder" else work(*args, **options)
        return found

    def logits(self, new: Tensor, top: int, left: int, bases: dict[fx.Node, typing.Any]) -> Tensor:
        """Of covered images, (N·P, classes): `new` (N·P, C, h, w) is what lies in them from (top, left) on, and `bases`
        the outputs on the images uncovered."""
        found: dict[fx.Node, typing.Any] = {}
        for node, work, on_patches, fixed, over in self.steps:
            if node.op == "placeholder":
                result = Patch(bases[node], new, top, left)
            elif fixed:
                result = bases[node]
            else:
                result = None
                args, options = _given(node, found)
                patched = [each for each in node.all_input_nodes if isinstance(found[each], Patch)]
                if patched and on_patches:
                    result = on_patches(work, bases[node], *args, **options)
                if result is None:
                    found.update({each: found[each].whole() for each in patched})
                    args, options = _given(node, found)
                    result = work(*args, **options)
            found[node] = result
            for each in over:
                del found[each]
        return found[node]


def _kind(work: Callable) -> typing.Any:
    return type(work) if isinstance(work, nn.Module | Convolution) else work


def _work(node: fx.Node, model: nn.Module) -> Callable:
    if node.op == "call_module":
        module = model.get_submodule(node.target)
        if type(module) is nn.Conv2d and module.padding_mode == "zeros":
            weight = module.weight.contiguous(memory_format=torch.channels_last)
            return Convolution(weight, module.bias, module.stride, module.padding, module.dilation, module.groups)
        return module
    if node.op == "call_method":
        return lambda x, *more, **options: getattr(x, node.target)(*more, **options)
    if node.op == "get_attr":
        return lambda: operator.attrgetter(node.target)(model)
    return node.target if node.op == "call_function" else lambda given: given


def _in_place(node: fx.Node, work: Callable) -> bool:
    name = str(getattr(node.target, "__name__", node.target))
    named = node.op != "call_module" and name.endswith("_") and not name.endswith("__")
    return named or bool(node.kwargs.get("inplace") or getattr(work, "inplace", False))


def _given(node: fx.Node, found: dict[fx.Node, typing.Any]) -> tuple[tuple, dict]:
    options = fx.node.map_arg(node.kwargs, found.__getitem__) if node.kwargs else {}
    return fx.node.map_arg(node.args, found.__getitem__), options


def _watched(model: nn.Module) -> bool:
    """Somebody wants to see modules at work, or works in their place."""
    owners = [(module, name) for module in model.modules() for name in HOOKS]
    everywhere = [(every_module, f"_global{name}") for name in HOOKS]
    return any(getattr(*each) for each in owners + everywhere) or any("forward" in vars(m) for m in model.modules())


@torch.no_grad()
def probabilities(
    model: nn.Module, images: Tensor, classes: Tensor, window: int, stride: int, fill: Tensor, batch_size: int
) -> Tensor | None:
    """`unmagic.look.occlusion`'s map, (N, rows, columns), of a model in evaluation mode; None where it must be asked as
    it is: it cannot be followed, hooks watch it, or followed it answers otherwise.

    A batch is a block of places, near to a square, on as many images as go with them.
    """
    if _watched(model):
        return None
    try:
        return _followed(Followed(model), model, images, classes, window, stride, fill, batch_size)
    except Exception:  # of whatever kind: what is wrong with net or images is said when the net is asked as it is
        return None


def _followed(
    net: Followed,
    model: nn.Module,
    images: Tensor,
    classes: Tensor,
    window: int,
    stride: int,
    fill: Tensor,
    batch_size: int,
) -> Tensor | None:
    N, _, H, W = images.shape
    rows, columns = (H - window) // stride + 1, (W - window) // stride + 1
    together = min(N, max(1, batch_size // 4))  # images; all outputs on them are kept meanwhile
    high = max(1, min(rows, math.isqrt(batch_size // together)))  # near to a square: so the rectangle is small
    wide = max(1, min(columns, batch_size // together // high))
    found = images.new_empty(N, rows, columns)
    for first in range(0, N, together):
        some = slice(first, first + together)
        bases = net.outputs(images[some].contiguous(memory_format=torch.channels_last))
        for i in range(0, rows, high):
            for j in range(0, columns, wide):
                shape = min(high, rows - i), min(wide, columns - j)
                places, top, left = shape[0] * shape[1], i * stride, j * stride
                new = _covered(images[some], top, left, shape, window, stride, fill)  # (n·P, C, h, w)
                answers = net.logits(new, top, left, bases).softmax(dim=1)  # (n·P, classes)
                if not (first or i or j):  # the first few are asked for by both ways
                    few = Patch(images[:1], new[: min(2, places)], top, left).whole()
                    if not (model(few).softmax(dim=1) - answers[: len(few)]).abs().max() < CLOSE:
                        return None
                wanted = classes[some].repeat_interleave(places)[:, None]
                chances = answers.gather(1, wanted).reshape(-1, *shape)
                found[some, i : i + shape[0], j : j + shape[1]] = chances
    return found


def _covered(images: Tensor, top: int, left: int, shape: tuple[int, int], window: int, stride: int, fill: Tensor):
    """Windows at shape[0] by shape[1] places from (top, left) on: the rectangle that holds them all, each of them
    covered in one copy, (n·P, C, h, w), channels last."""
    height, width = (window + (count - 1) * stride for count in shape)
    held = images[:, None, :, top : top + height, left : left + width]
    held = held.repeat(1, shape[0] * shape[1], 1, 1, 1)  # (n, P, C, h, w)
    for place in range(held.shape[1]):
        y, x = (stride * each for each in divmod(place, shape[1]))
        held[:, place, :, y : y + window, x : x + window] = fill
    return held.flatten(0, 1).contiguous(memory_format=torch.channels_last)
