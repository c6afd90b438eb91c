"""The trusted end: what the student defined, as the tests see it.

Data comes back as data (a copy each time), everything else as a `Handle`. Arguments are sent as copies, and nothing is
copied back: what the student's code does to its arguments stays on its side.
"""

from __future__ import annotations

import builtins
import sys
import weakref
from collections.abc import Iterator
from functools import cache
from typing import Any

import torch

from autograder.bridge.codec import LIMITS, Decoder, Encoder, Limits, WireError
from autograder.bridge.gradient import Tape, connect
from autograder.bridge.names import SharedNames
from autograder.bridge.student import BINARY, COMPARISONS, UNARY
from autograder.bridge.transport import Transport
from autograder.bridge.wire import describe

ITEMS = 100_000  # that one iterator of the student's may give: an endless one must not hang a test
_KINDS = ("function", "class", "module", "iterator", "object")
MAY_CROSS = (
    "tensors, arrays, numbers, strings, None, containers of these, dtypes, devices, slices, generators, what the "
    "student's code returned, and functions and classes of set-up cells, torch or unmagic"
)


class StudentError(Exception):
    """The student's code raised. Where its exception was of a builtin type, this one is of that type too.

    type_name   name of the student's exception type
    message     its text, cut to a stated length
    frames      the student's own lines, innermost last: (file, line, function, text of the line)
    """

    def __init__(self, message: str, type_name: str = "", frames: tuple[tuple[str, int, str, str], ...] = ()):
        super().__init__(message)
        self.message, self.type_name, self.frames = message, type_name, frames

    def __str__(self) -> str:  # a KeyError would quote it
        return self.message


@cache
def _error_type(name: str) -> type[StudentError]:
    """StudentError that is also the builtin exception of that name; StudentError alone for any other name.

    Exceptions that end programs or loops of the trusted side are not taken over.
    """
    kind = getattr(builtins, name, None)
    if not (isinstance(kind, type) and issubclass(kind, Exception)) or kind is Exception:
        return StudentError
    if issubclass(kind, UnicodeError | BaseExceptionGroup):  # cannot be made from a message
        return StudentError
    return type(name, (StudentError, kind), {})


class Bridge:
    """The trusted end of one connection.

    `shared` has this side's values of what crosses by name. WireError says what could not cross, by the argument's
    name or place; StudentError (see there) is what the student's code raised.
    """

    def __init__(self, transport: Transport, shared: SharedNames, *, limits: Limits = LIMITS):
        self._transport, self._shared, self._limits = transport, shared, limits
        self._handles: weakref.WeakValueDictionary[int, Handle] = weakref.WeakValueDictionary()
        self._dropped: list[list[int]] = []  # [number, times received] of handles that are gone here
        self.refusals: list[WireError] = []  # what could not be sent, also where a test caught the error

    def names(self) -> list[str]:
        """All names that the student's side has at top level."""
        names = self.request("names")
        return [name for name in names if type(name) is str] if type(names) is list else []

    def get(self, name: str) -> Any:
        """The value of one of the student's names: data, or a Handle. NameError if there is none."""
        return self.request("get", name)

    def request(self, operation: str, *args: Any) -> Any:
        """One request and its answer. Operations are those of `student`."""
        encoder = Encoder(self._outgoing, limits=self._limits)
        dropped, self._dropped = self._dropped, []
        try:
            message = encoder.encode([operation, list(args), torch.is_grad_enabled(), dropped])
        except WireError as error:
            self._dropped += dropped
            refusal = WireError(f"{_place(operation, error.path)}{error}", error.path, _stack())
            self.refusals.append(refusal)
            raise refusal from None
        inputs = [tensor for _, tensor in encoder.tracked]
        connected: list[Tape] = []

        def history(results: list[torch.Tensor]) -> list[torch.Tensor]:
            tape = Tape(
                lambda gradients: self._vjp(number[0], gradients), lambda: self.request("accumulate", number[0])
            )
            connected.append(tape)
            return connect(tape, results, inputs)

        number: list[int] = []  # of the tape: known once the whole answer is decoded
        answer = Decoder(self._incoming, _no_name, history=history, limits=self._limits).decode(
            *self._transport.exchange(message)
        )
        match answer:
            case ("value", value, int(tape)):
                number.append(tape)
                for kept in connected:
                    self._when_gone(kept, [tape, 1])
                return value
            case ("raised", [str(name), *names], str(text), list(frames), bool(ours)):
                raise self._error(name, names, text, frames, ours)
        raise WireError("an answer in an unknown form")

    def _error(self, name: str, names: list, text: str, frames: list, ours: bool) -> Exception:
        if ours:
            return WireError(text)
        # of a student's own exception class, the nearest builtin one above it
        base = next((n for n in names if type(n) is str and _error_type(n) is not StudentError), "")
        lines = []
        for frame in frames:
            match frame:
                case (str(file), int(line), str(function), str(code)):
                    lines.append((file, line, function, code))
        return _error_type(base)(text, name, tuple(lines))

    def _vjp(self, tape: int, gradients: list) -> tuple[list[torch.Tensor | None], bool]:
        match self.request("vjp", tape, gradients):
            case (list(found), bool(more)) if all(g is None or type(g) is torch.Tensor for g in found):
                return found, more
        raise WireError("the student's side gave gradients in an unknown form")

    def _outgoing(self, value: Any) -> list:
        if type(value) is Handle:
            reference = object.__getattribute__(value, "_reference")
            if reference.bridge is self:
                return ["handle", reference.number]
            raise WireError("a handle of another connection cannot cross")
        name = self._shared.name_of(value)
        if name is not None:
            return ["name", name]
        advice = " Define it in a set-up cell." if callable(value) else ""
        raise WireError(f"{describe(value)} cannot cross; what may: {MAY_CROSS}.{advice}")

    def _incoming(self, number: Any, kind: Any, type_name: Any, name: Any) -> Handle:
        if type(number) is not int or kind not in _KINDS or type(type_name) is not str or type(name) is not str:
            raise WireError("a handle in an unknown form")
        handle = self._handles.get(number)
        if handle is None:
            handle = self._handles[number] = Handle(_Reference(self, number, kind, type_name, name))
            received = object.__getattribute__(handle, "_reference").received
            self._when_gone(handle, received)
        object.__getattribute__(handle, "_reference").received[1] += 1
        return handle

    def _when_gone(self, kept: Handle | Tape, received: list[int]) -> None:
        """The next request tells the student's side to forget its part of `kept`."""
        weakref.finalize(kept, lambda: self._dropped.append(received)).atexit = False


def _stack() -> list[tuple[str, int]]:
    """File and line of each frame that led here, innermost first."""
    frame, found = sys._getframe(1), []
    while frame is not None:
        found.append((frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return found


def _no_name(name: Any) -> Any:
    raise WireError("the student's side names a function, which only the trusted side may")


def _place(operation: str, path: tuple) -> str:
    """ "argument 2[0]: ": where in a call the value stands that could not cross. `path` leads into the request."""
    if path[:1] != (1,) or len(path) < 2:
        return ""
    inside = "".join(f"[{key!r}]" for key in path[3:])
    if operation in ("call", "count") and len(path) > 2:
        key = path[2]
        return f"argument {key + 1 if path[1] == 1 else repr(key)}{inside}: "
    return f"the operand of {operation}{''.join(f'[{key!r}]' for key in path[2:])}: "


class _Reference:
    """Which of the student's objects a handle stands for, and what the student's side says it is."""

    def __init__(self, bridge: Bridge, number: int, kind: str, type_name: str, name: str):
        self.bridge, self.number, self.kind, self.type_name, self.name = bridge, number, kind, type_name, name
        self.received = [number, 0]
        self.given = 0  # items, of an iterator


class Handle:
    """An object of the student's that is no data. Calls, indexing, iteration, `len`, `in`, attributes, methods, `with`
    and arithmetic go across; what comes back is data or another handle.

    What never asks the student's side:

    `==`, `!=`, hash   identity: equal handles stand for the same object there (a class's own `__eq__` is not used)
    `bool(handle)`     a WireError: the student's object may not decide a test; compare data, or use `is None`
    type, `__class__`  always Handle, so `isinstance(handle, torch.nn.Module)` is False
    `repr`             what the student's side called it when it was sent

    `isinstance(x, handle)` for a class of the student's does ask: only that side knows. So do `str`, `int`, `float`.
    """

    __slots__ = ("__weakref__", "_reference")

    def __init__(self, reference: _Reference):
        object.__setattr__(self, "_reference", reference)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _ask(self, "call", list(args), kwargs)

    def __torch_calls__(self, args: tuple, kwargs: dict[str, Any]) -> tuple[Any, int]:
        """For `checks.torch_calls`: the result of a call, and the torch operations that side says it made."""
        match _ask(self, "count", list(args), kwargs):
            case (result, int(calls)):
                return result, calls
        raise WireError("a count in an unknown form")

    def __getattr__(self, name: str) -> Any:
        reference = object.__getattribute__(self, "_reference")
        if name in ("__name__", "__qualname__") and reference.name:
            return reference.name
        if name.startswith("__") and name.endswith("__") and name not in ("__doc__", "__annotations__", "__wrapped__"):
            raise AttributeError(f"{name} of a student's object is not asked for")  # protocols of numpy, copy, pickle
        return _ask(self, "getattr", name)

    def __setattr__(self, name: str, value: Any) -> None:
        _ask(self, "setattr", name, value)

    def __getitem__(self, key: Any) -> Any:
        return _ask(self, "getitem", key)

    def __setitem__(self, key: Any, value: Any) -> None:
        _ask(self, "setitem", key, value)

    def __len__(self) -> int:
        return _claimed(_ask(self, "len"), int)

    def __contains__(self, value: Any) -> bool:
        return _claimed(_ask(self, "contains", value), bool)

    def __iter__(self) -> Iterator:
        iterator = _ask(self, "iter")
        return iterator if type(iterator) is Handle else iter(_claimed(iterator, list, tuple, range))

    def __next__(self) -> Any:
        reference = object.__getattribute__(self, "_reference")
        reference.given += 1
        if reference.given > ITEMS:
            raise StudentError(f"an iterator gave more than {ITEMS} items", "IterationError")
        match _ask(self, "next"):
            case (True, item):
                return item
            case (False, None):
                raise StopIteration
        raise WireError("an iterator's answer in an unknown form")

    def __enter__(self) -> Any:
        return _ask(self, "enter")

    def __exit__(self, *error: Any) -> None:
        _ask(self, "exit")

    def __eq__(self, other: object) -> bool:
        if type(other) is not Handle:
            return False
        mine, its = object.__getattribute__(self, "_reference"), object.__getattribute__(other, "_reference")
        return mine.bridge is its.bridge and mine.number == its.number

    def __hash__(self) -> int:
        return hash(object.__getattribute__(self, "_reference").number)

    def __bool__(self) -> bool:
        raise WireError(f"the truth of {self!r} is not asked for: compare data, use len() or `is None`")

    def __instancecheck__(self, value: Any) -> bool:
        return _claimed(object.__getattribute__(self, "_reference").bridge.request("isinstance", value, self), bool)

    def __str__(self) -> str:
        return _claimed(_ask(self, "text"), str)

    def __int__(self) -> int:
        return _claimed(_ask_number(self, "int"), int)

    def __float__(self) -> float:
        return _claimed(_ask_number(self, "float"), float)

    def __complex__(self) -> complex:
        return _claimed(_ask_number(self, "complex"), complex)

    def __copy__(self) -> Any:
        return _ask(self, "copy", False)

    def __deepcopy__(self, memo: dict) -> Any:
        return _ask(self, "copy", True)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise WireError("a handle cannot be pickled")

    def __repr__(self) -> str:
        reference = object.__getattribute__(self, "_reference")
        return f"<the student's {reference.kind} {reference.name or reference.type_name}>"


def _ask(handle: Handle, operation: str, *args: Any) -> Any:
    return object.__getattribute__(handle, "_reference").bridge.request(operation, handle, *args)


def _ask_number(handle: Handle, kind: str) -> Any:
    return object.__getattribute__(handle, "_reference").bridge.request("number", kind, handle)


def _claimed(value: Any, *kinds: type) -> Any:
    if type(value) not in kinds:
        raise WireError(f"the student's side gave {describe(value)} where only {kinds[0].__name__} can be")
    return value


def _operator(name: str, *, reflected: bool = False) -> Any:
    def method(self: Handle, *others: Any) -> Any:
        operands = (*others, self) if reflected else (self, *others)
        return object.__getattribute__(self, "_reference").bridge.request("operator", name, *operands)

    return method


for _name in (*UNARY, *BINARY, *COMPARISONS):
    setattr(Handle, f"__{_name}__", _operator(_name))
for _name in BINARY:
    setattr(Handle, f"__r{_name}__", _operator(_name, reflected=True))
