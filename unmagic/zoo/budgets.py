"""What a net costs, a row a layer: parameters, multiply–adds, memory, and how much of the input each layer sees."""

import copy
import itertools
import math
import typing

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

aten = torch.ops.aten
# of an enlarged map: so many places of the map before, beside the first, lie under one
NEIGHBOURS = {aten.upsample_nearest2d: 0, aten.upsample_bilinear2d: 1, aten.upsample_bicubic2d: 3}


class Row(typing.NamedTuple):
    """One layer, for one input.

    name             where it stands in the net, e.g. "stages.0.1.residual.0.0"
    kind             its class
    output           shape of what it gives, without the batch
    parameters       of its own
    macs             multiply–adds of its convolutions and matrix products (FLOPs are twice that)
    activations      numbers in what it gives
    receptive_field  side in pixels of the square of the input that one output depends on; None where it is all of it.
                     Rounded up where a net enlarges its maps and places lie closer than pixels
    """

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    macs: int
    activations: int
    receptive_field: int | None


class Budget(typing.NamedTuple):
    """The rows of a net's layers, in the order they run, and what they come to.

    training_bytes  a step on one input in float32 with momentum: parameters, their gradients and momentum (12 bytes
                    each), and every layer's output, kept for the way back
    testing_bytes   parameters, and the largest output together with what it is made from
    """

    rows: tuple[Row, ...]
    parameters: int
    macs: int
    training_bytes: int
    testing_bytes: int

    @classmethod
    def of(cls, rows: tuple[Row, ...], parameters: int, inputs: int) -> "Budget":
        """What the rows of a net of so many parameters come to; one input is `inputs` numbers."""
        outputs = [inputs, *(row.activations for row in rows)]
        return cls(
            rows=rows,
            parameters=parameters,
            macs=sum(row.macs for row in rows),
            training_bytes=12 * parameters + 4 * sum(outputs[1:]),
            testing_bytes=4 * parameters + 4 * max(a + b for a, b in itertools.pairwise(outputs)),
        )

    def __str__(self) -> str:
        """A table: a line a layer, the sums, and the memory that one input takes."""
        head = ("layer", "kind", "output", "parameters", "MACs", "activations", "sees")
        lines = []
        for r in self.rows:
            numbers = (f"{n:,}" for n in (r.parameters, r.macs, r.activations))
            lines.append((r.name, r.kind, "×".join(map(str, r.output)), *numbers, _side(r.receptive_field)))
        activations = sum(r.activations for r in self.rows)
        lines.append(("all", "", "", f"{self.parameters:,}", f"{self.macs:,}", f"{activations:,}", ""))
        widths = [max(len(line[i]) for line in (head, *lines)) for i in range(len(head))]
        table = "\n".join(
            "  ".join(
                text.ljust(w) if i < 3 else text.rjust(w) for i, (text, w) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in (head, *lines)
        )
        return (
            f"{table}\none input, float32: {_bytes(self.training_bytes)} to train (parameters, gradients, momentum "
            f"{_bytes(12 * self.parameters)}, outputs {_bytes(4 * activations)}), {_bytes(self.testing_bytes)} to test"
        )


def budget(model: nn.Module, input_shape: tuple[int, ...], counter: "Counter | None" = None) -> Budget:
    """Counts a net on one input, without computing anything: shapes alone go through it.

    Args:
        model: any net; it is not changed. It is counted as for testing (`eval()`), where heads for training are off.
        input_shape: of one input without the batch, such as (3, 224, 224).
        counter: what looks on; a subclass of Counter can note more of what it sees.

    A row is a module without children that ran, or one that has parameters of its own or computes more than its
    children; one that runs twice has two rows. Normalization, activations and additions cost no multiply–adds here, as
    in the papers.

    Raises:
        ValueError: no sizes, or sizes that the net cannot take; says what it said.
    """
    if not isinstance(input_shape, tuple | list) or not all(isinstance(n, int) and n > 0 for n in input_shape):
        found = f"input_shape is {input_shape!r}"
        raise ValueError(f"budget: {found}; wanted sizes without the batch, such as (3, 32, 32).")
    net = copy.deepcopy(model).to("meta").eval()
    names = {module: name or type(net).__name__ for name, module in net.named_modules()}
    counter = counter or Counter()
    hooks = []
    for module in net.modules():
        hooks.append(module.register_forward_pre_hook(counter.enter))
        hooks.append(module.register_forward_hook(counter.leave(names[module]), always_call=True))
    try:
        x = torch.empty(1, *input_shape, device="meta")
        counter.begin(x)
        with torch.no_grad(), counter:
            net(x)
    except RuntimeError as problem:
        shape = "×".join(map(str, input_shape))
        raise ValueError(f"the net cannot take an input of {shape} (sizes without the batch): {problem}") from problem
    finally:
        for hook in hooks:
            hook.remove()
    return Budget.of(tuple(counter.rows), sum(p.numel() for p in model.parameters()), math.prod(input_shape))


class Counter(TorchDispatchMode):
    """Adds multiply–adds to the innermost module that runs, and follows how much of the input each tensor sees."""

    def __init__(self):
        super().__init__()
        self.rows: list[Row] = []
        self.seen: WeakIdKeyDictionary = WeakIdKeyDictionary()  # tensor: (side it sees, pixels between neighbours)
        self._stack: list[int] = []  # multiply–adds of each module that runs, outermost first

    def begin(self, x: Tensor) -> None:
        """`x` is the net's input."""
        self.seen[x] = (1, 1)

    def enter(self, module: nn.Module, inputs: tuple) -> None:
        self._stack.append(0)

    def leave(self, name: str) -> typing.Callable:
        def hook(module: nn.Module, inputs: tuple, output: typing.Any) -> None:
            macs = self._stack.pop()
            own = sum(p.numel() for p in module.parameters(recurse=False))
            leaf = next(module.children(), None) is None
            if isinstance(output, Tensor) and (
                macs or own or (leaf and not isinstance(module, nn.Identity | nn.Dropout))
            ):
                sees = self.seen.get(output, (None, None))[0]
                shape = tuple(output.shape[1:])
                sees = None if sees is None else math.ceil(sees)
                self.rows.append(Row(name, type(module).__name__, shape, own, macs, math.prod(shape), sees))

        return hook

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        operation = function._overloadpacket
        if self._stack:
            self._stack[-1] += _macs(operation, args, result)
        tensors = [t for t in _flat(args) if isinstance(t, Tensor) and t in self.seen]
        outputs = [t for t in _flat((result,)) if isinstance(t, Tensor)]
        if tensors:
            sides, steps = zip(*(self.seen[t] for t in tensors), strict=True)
            side = None if None in sides else max(sides)
            state = (side, max(steps)) if side is not None else (None, 1)
            for tensor in outputs:
                self.seen[tensor] = _wider(operation, args, state, tensor)
        return result


def _flat(values: typing.Any) -> typing.Iterator:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _flat(value)
        else:
            yield value


def _macs(operation: typing.Any, args: tuple, result: typing.Any) -> int:
    if operation is aten.convolution:
        x, weight, transposed = args[0], args[1], args[6]
        places = math.prod(x.shape[2:]) if transposed else math.prod(result.shape[2:])
        return weight.numel() * places * x.shape[0]
    if operation in (aten.mm, aten.bmm):
        return result.numel() * args[0].shape[-1]
    if operation is aten.addmm:
        return result.numel() * args[1].shape[-1]
    return 0


def _wider(operation: typing.Any, args: tuple, state: tuple, result: Tensor) -> tuple:
    """What the result of an operation sees, and the pixels between its neighbours: a part of one after enlarging."""
    side, step = state
    if side is None:
        return state
    if operation is aten.convolution:
        kernel, stride, dilation, transposed = args[1].shape[-1], args[3][-1], args[5][-1], args[6]
        if transposed:  # ⌈kernel/stride⌉ places of what came in lie under one output
            return side + (math.ceil(kernel / stride) - 1) * step, max(1, step // stride)
        return side + (kernel - 1) * dilation * step, step * stride
    if operation in (aten.max_pool2d_with_indices, aten.avg_pool2d, aten.max_pool2d):
        kernel = args[1][-1]
        stride = args[2][-1] if len(args) > 2 and args[2] else kernel
        return side + (kernel - 1) * step, step * stride
    if operation in NEIGHBOURS:
        across, now = step * args[0].shape[-1], result.shape[-1]  # pixels, places
        return side + NEIGHBOURS[operation] * step, across / now if across % now else across // now
    if operation in (aten.addmm, aten.mm):
        return None, 1
    if operation in (aten.mean, aten.sum, aten.amax):
        axes, places = args[0].ndim, args[1] if len(args) > 1 else None
        spatial = axes >= 4 and (places is None or any(place % axes >= axes - 2 for place in places))
        return (None, 1) if spatial else state
    if operation is aten.slice and len(args) > 4 and args[1] == args[0].ndim - 1:  # every second pixel
        return side, step * args[4]
    return state


def _side(receptive_field: int | None) -> str:
    return "all" if receptive_field is None else f"{receptive_field}×{receptive_field}"


def _bytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count / 1e3:,.1f} kB"
