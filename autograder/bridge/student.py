"""The student's end: keeps what cannot cross as data, and answers the trusted side's requests.

It lives where the student's code lives, so nothing it says is believed: the trusted side reads every answer as a claim.
"""

from __future__ import annotations

import copy
import inspect
import operator
import traceback
import types
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from autograder.bridge.codec import LIMITS, Decoder, Encoder, Limits, Message, WireError
from autograder.bridge.names import SharedNames

UNARY = ("neg", "pos", "abs", "invert")
BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift")
COMPARISONS = ("lt", "le", "gt", "ge")
MESSAGE_LENGTH = 2000  # characters of an exception's message that cross
FRAMES = 12  # innermost lines of a traceback that cross


class ResultError(Exception):
    """What the student's code returned is too large or nested too deep to be sent."""


class Student:
    """Answers requests about `namespace`, where the student's cells ran.

    `shared` has this side's values of what crosses by name. `is_own_file(filename)` tells the student's cells in a
    traceback from library code. Exceptions of `let_through` end the answer instead of being reported.
    """

    def __init__(
        self,
        namespace: dict[str, Any],
        shared: SharedNames,
        *,
        is_own_file: Callable[[str], bool] = lambda filename: True,
        let_through: tuple[type[BaseException], ...] = (KeyboardInterrupt,),
        limits: Limits = LIMITS,
    ):
        self.namespace, self.shared, self.limits = namespace, shared, limits
        self._is_own_file, self._let_through = is_own_file, let_through
        self._objects: dict[int, list] = {}  # number of a handle: the object, and how often it was sent
        self._numbers: dict[int, int] = {}  # id of an object: its number
        self._tapes: dict[int, _Tape] = {}
        self._next = 0

    def answer(self, request: Message) -> Message:
        """The answer to one request: ("value", value, tape) or ("raised", names, message, frames, is_ours)."""
        try:
            decoder = Decoder(self._object, self._named, limits=self.limits)
            operation, args, grad_enabled, released = decoder.decode(*request)
            self._release(released)
            with torch.set_grad_enabled(grad_enabled):
                value = _OPERATIONS[operation](self, *args)
            return self._encode(value, decoder.tracked)
        except BaseException as error:
            if isinstance(error, self._let_through):
                raise
            return Encoder(limits=self.limits).encode(self._raised(error))

    def _encode(self, value: Any, inputs: list[torch.Tensor]) -> Message:
        sent: list[int] = []

        def keep(value: Any) -> list:
            node = self._handle(value)
            sent.append(node[1])
            return node

        self._next += 1
        tape = self._next
        given = {id(tensor) for tensor in inputs}
        encoder = Encoder(keep, derived=lambda tensor: id(tensor) in given, limits=self.limits)
        try:
            message = encoder.encode(("value", value, tape))
        except WireError as error:
            self._release([(number, 1) for number in sent])
            raise ResultError(f"the result cannot be sent: {error}") from None
        if outputs := encoder.derived_tensors:
            self._tapes[tape] = _Tape(outputs, inputs)
        return message

    def _handle(self, value: Any) -> list:
        number = self._numbers.get(id(value))
        if number is None:
            self._next += 1
            number = self._numbers[id(value)] = self._next
            self._objects[number] = [value, 0]
        self._objects[number][1] += 1
        name = getattr(value, "__name__", "")
        return ["handle", number, _kind(value), type(value).__name__[:100], name[:100] if type(name) is str else ""]

    def _object(self, number: Any, *info: Any) -> Any:
        if number not in self._objects:
            raise WireError("a handle that this side does not know (was the student's process restarted?)")
        return self._objects[number][0]

    def _named(self, name: Any) -> Any:
        try:
            return self.shared.resolve(name)
        except LookupError as error:
            raise WireError(str(error)) from None

    def _release(self, released: list[tuple[int, int]]) -> None:
        for number, times in released:
            self._tapes.pop(number, None)
            entry = self._objects.get(number)
            if entry is not None:
                entry[1] -= times
                if entry[1] <= 0:
                    del self._objects[number]
                    del self._numbers[id(entry[0])]

    def _raised(self, error: BaseException) -> tuple:
        names = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins"]
        try:
            message = str(error)
        except Exception:
            message = "(its message cannot be read)"
        ours = isinstance(error, WireError)
        return "raised", [type(error).__name__, *names], message[:MESSAGE_LENGTH], self.frames(error), ours

    def frames(self, error: BaseException) -> list[tuple[str, int, str, str]]:
        """The student's own lines of a traceback, innermost last: file, line, function, text of the line."""
        stack = traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__), capture_locals=False)
        own = [
            (frame.filename, frame.lineno or 0, frame.name, (frame.line or "")[:200])
            for frame in stack
            if self._is_own_file(frame.filename)
        ]
        if isinstance(error, SyntaxError) and self._is_own_file(error.filename or ""):
            own.append((error.filename or "", error.lineno or 0, "", (error.text or "").strip()[:200]))
        return own[-FRAMES:]

    # What may be asked. Each is called with decoded arguments; handles are the student's objects again.

    def _names(self) -> list[str]:
        return [name for name in self.namespace if type(name) is str]

    def _get(self, name: str) -> Any:
        if name not in self.namespace:
            raise NameError(f"name {name!r} is not defined")
        return self.namespace[name]

    def _call(self, target: Any, args: list, kwargs: dict[str, Any]) -> Any:
        return target(*args, **kwargs)

    def _counted(self, target: Any, args: list, kwargs: dict[str, Any]) -> tuple[Any, int]:
        from unmagic.checks import torch_calls  # the kernel has it: labs import it

        return torch_calls(target, *args, **kwargs)

    def _next_item(self, iterator: Iterator) -> tuple[bool, Any]:
        try:
            return True, next(iterator)
        except StopIteration:
            return False, None

    def _operator(self, name: str, *operands: Any) -> Any:
        if name not in (*UNARY, *BINARY, *COMPARISONS):
            raise WireError("an unknown operator")
        name = f"{name}_" if name in ("and", "or") else name
        return getattr(operator, name)(*operands)

    def _text(self, value: Any) -> str:
        return str(value)

    def _number(self, kind: str, value: Any) -> Any:
        return {"int": int, "float": float, "complex": complex}[kind](value)

    def _copied(self, value: Any, deep: bool) -> Any:
        return copy.deepcopy(value) if deep else copy.copy(value)

    def _exit(self, manager: Any) -> None:
        manager.__exit__(None, None, None)

    def _vjp(self, tape: int, gradients: list[torch.Tensor | None]) -> tuple[list[torch.Tensor | None], bool]:
        return self._tapes[tape].vjp(gradients)

    def _accumulate(self, tape: int) -> None:
        self._tapes[tape].accumulate()


def _kind(value: Any) -> str:
    """What a handle's description calls the object; nothing is decided by it."""
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType | types.MethodType):
        return "function"
    if inspect.isclass(value):
        return "class"
    if isinstance(value, nn.Module):
        return "module"
    return "iterator" if isinstance(value, Iterator) else "object"


class _Tape:
    """The results of one request with the graph that led to them, for as long as the trusted side keeps them."""

    def __init__(self, outputs: list[torch.Tensor], inputs: list[torch.Tensor]):
        self.outputs, self.inputs = outputs, inputs
        self._others: list[torch.Tensor] | None = None  # leaves of the student's own, such as a module's parameters
        self._pending: list[tuple[torch.Tensor, torch.Tensor]] = []

    def vjp(self, gradients: list[torch.Tensor | None]) -> tuple[list[torch.Tensor | None], bool]:
        """Gradients of the inputs, and whether there are other leaves to accumulate into."""
        if self._others is None:
            self._others = self._find_others()
        pairs = [pair for pair in zip(self.outputs, gradients, strict=True) if pair[1] is not None]
        leaves = self.inputs + self._others
        if not pairs or not leaves:
            return [None] * len(self.inputs), False
        outputs, gradients = zip(*pairs, strict=True)
        found = torch.autograd.grad(outputs, leaves, gradients, retain_graph=True, allow_unused=True)
        count = len(self.inputs)
        self._pending = [pair for pair in zip(self._others, found[count:], strict=True) if pair[1] is not None]
        return [None if g is None else g.detach() for g in found[:count]], bool(self._pending)

    def accumulate(self) -> None:
        """What `backward()` does to leaves: adds the gradients that the last `vjp` found."""
        for leaf, gradient in self._pending:
            leaf.grad = gradient.detach().clone() if leaf.grad is None else leaf.grad + gradient
        self._pending = []

    def _find_others(self) -> list[torch.Tensor]:
        known = {id(tensor) for tensor in self.inputs}
        found: dict[int, torch.Tensor] = {}
        stack = [output.grad_fn for output in self.outputs if output.grad_fn is not None]
        seen = set(stack)
        while stack:
            node = stack.pop()
            leaf = getattr(node, "variable", None)
            if isinstance(leaf, torch.Tensor) and id(leaf) not in known:
                found[id(leaf)] = leaf
            for child, _ in node.next_functions:
                if child is not None and child not in seen:
                    seen.add(child)
                    stack.append(child)
        return list(found.values())


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "names": Student._names,
    "get": Student._get,
    "call": Student._call,
    "count": Student._counted,
    "getattr": lambda self, target, name: getattr(target, name),
    "setattr": lambda self, target, name, value: setattr(target, name, value),
    "getitem": lambda self, target, key: target[key],
    "setitem": lambda self, target, key, value: operator.setitem(target, key, value),
    "len": lambda self, target: len(target),
    "contains": lambda self, target, value: value in target,
    "iter": lambda self, target: iter(target),
    "next": Student._next_item,
    "enter": lambda self, target: target.__enter__(),
    "exit": Student._exit,
    "operator": Student._operator,
    "text": Student._text,
    "number": Student._number,
    "copy": Student._copied,
    "isinstance": lambda self, value, kind: isinstance(value, kind),
    "vjp": Student._vjp,
    "accumulate": Student._accumulate,
}
