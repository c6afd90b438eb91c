"""Bytes to values; the format is described in `codec`. Whatever the bytes are: a value, or a WireError."""

from __future__ import annotations

import collections
import itertools
import json
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from autograder.bridge.wire import (
    DERIVED,
    DEVICE,
    DIMS,
    DTYPES,
    LEAF,
    LIMITS,
    MAX_INT_BITS,
    NUMPY,
    PARAMETER,
    PARTS,
    SAFETENSORS,
    Limits,
    Record,
    WireError,
)

NODE_BYTES = 512  # of a header that a tensor may take: its entry here, and safetensors' own
_WIDTHS = {name: DTYPES[dtype].itemsize for dtype, name in SAFETENSORS.items()}
_NONFINITE = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


def _no_handle(*info: Any) -> Any:
    raise WireError("a handle came where only data may")


def _no_name(name: str) -> Any:
    raise WireError("a name came where only data may")


class Decoder:
    """One message to one value. `handle(*info)` and `name(text)` make of their nodes what they stand for.

    `history(tensors)` is given all tensors of `DERIVED` kind, in their order and without history, and returns what
    takes their place. `tracked` holds the tensors that came with requires_grad, in the sender's order.
    """

    def __init__(
        self,
        handle: Callable[..., Any] = _no_handle,
        name: Callable[[str], Any] = _no_name,
        *,
        history: Callable[[list[torch.Tensor]], list[torch.Tensor]] | None = None,
        limits: Limits = LIMITS,
    ):
        self.handle, self.name, self.history, self.limits = handle, name, history, limits
        self.tracked: list[torch.Tensor] = []

    def decode(self, header: bytes, body: bytes | memoryview = b"") -> Any:
        try:
            self._check_sizes(header, body)
            message = json.loads(header.decode("ascii"), parse_constant=_no_constant)
            table = message["tensors"] if type(message) is dict and set(message) == {"tensors", "value"} else None
            if type(table) is not list:
                raise WireError("a header without tensors and value")
            self._tensors = self._table(table, body)
            return self._value(message["value"], 0)
        except WireError:
            raise
        except Exception as error:  # whatever a hostile sender can provoke
            raise WireError(f"a malformed message ({type(error).__name__}: {error!s:.200})") from None

    def _check_sizes(self, header: bytes, body: bytes) -> None:
        if len(header) > self.limits.header or len(header) + len(body) > self.limits.total:
            raise WireError(f"a message of {len(header)} + {len(body)} bytes; at most {self.limits.total} may cross")
        structure = _STRING.sub(b"", header)  # what is left of JSON without its strings
        if structure.count(b"{") != 1:  # ours is the only object; json would follow others to any depth
            raise WireError("a header without tensors and value")
        # a tensor takes up to eight commas and brackets: its node, and its entry in the table
        if structure.count(b",") + structure.count(b"[") > 8 * self.limits.items:
            raise WireError(f"a message of more than {self.limits.items} values")
        levels = itertools.accumulate(map(_LEVEL.get, structure.translate(None, _NO_BRACKET)))
        if max(levels, default=0) > self.limits.depth + 8:
            raise WireError(f"a message nested more than {self.limits.depth} deep")

    def _table(self, entries: list, body: bytes) -> list:
        if len(entries) > self.limits.items:
            raise WireError(f"a message of more than {self.limits.items} tensors")
        if not entries and len(body):
            raise WireError("a body that nothing refers to")
        parts = _parts(body, len(entries)) if entries else []
        made: list[Any] = []
        derived: list[int] = []
        for number, entry in enumerate(entries):
            part = parts[number]
            kind = entry[0]
            if kind in ("str", "bytes"):
                _check_part(part, "uint8")
                made.append(str(part["data"], "utf-8", "surrogatepass") if kind == "str" else bytes(part["data"]))
            elif kind == "array":
                made.append(_to_array(part, entry[1]))
            elif kind == "tensor":
                _, dtype, device, flags, gradient = entry
                tensor = _to_tensor(part, dtype, device)
                if flags & LEAF:
                    tensor = self._leaf(tensor, flags, None if gradient is None else made[gradient])
                elif flags & DERIVED:
                    derived.append(number)
                elif flags & PARAMETER:
                    tensor = nn.Parameter(tensor, requires_grad=False)
                made.append(tensor)
            else:
                raise WireError("a tensor of unknown kind")
        for number, entry in enumerate(entries):
            if entry[0] == "tensor" and entry[3] & LEAF:
                self.tracked.append(made[number])
            elif number in derived and self.history is None:
                leaf = made[number].requires_grad_()
                self.tracked.append(leaf)
                with torch.enable_grad():
                    made[number] = leaf.clone()  # has a history, as the sender's has
        if derived and self.history is not None:
            for number, tensor in zip(derived, self.history([made[n] for n in derived]), strict=True):
                made[number] = tensor
        return made

    def _leaf(self, tensor: torch.Tensor, flags: int, gradient: torch.Tensor | None) -> torch.Tensor:
        tensor = nn.Parameter(tensor) if flags & PARAMETER else tensor.requires_grad_()
        if gradient is not None:
            tensor.grad = gradient
        return tensor

    def _value(self, node: Any, depth: int) -> Any:
        kind = type(node)
        if node is None or kind is bool or kind is str:
            return node
        if kind is int:
            if not -(2**63) <= node < 2**63:
                raise WireError("a large integer in an unknown form")
            return node
        if kind is float:
            if not math.isfinite(node):
                raise WireError("a number too large for a float")
            return node
        if kind is not list or not node or depth > self.limits.depth:
            raise WireError("a value in an unknown form, or nested too deep")
        tag, *rest = node
        make = _DECODE.get(tag) if type(tag) is str else None
        if make is None:
            raise WireError("a value of unknown kind")
        return make(self, rest, depth + 1)

    def _values(self, nodes: list, depth: int) -> list:
        return [self._value(node, depth) for node in nodes]

    def _numbered(self, rest: list, kind: type | tuple[type, ...]) -> Any:
        (number,) = rest
        found = self._tensors[number] if type(number) is int and number >= 0 else None
        if not isinstance(found, kind):
            raise WireError("a value that refers to a tensor of another kind")
        return found

    def _dict(self, nodes: list, depth: int, kind: type) -> dict:
        flat = self._values(nodes, depth)
        made = kind(zip(flat[::2], flat[1::2], strict=True))
        if len(made) != len(flat) // 2:
            raise WireError("a dict with the same key twice")
        return made

    def _set(self, nodes: list, depth: int, kind: type) -> set | frozenset:
        made = kind(self._values(nodes, depth))
        if len(made) != len(nodes):
            raise WireError("a set with the same entry twice")
        return made

    def _record(self, nodes: list, depth: int) -> Record:
        names, *values = nodes
        if type(names) is not list or len(names) != len(values) or not all(type(name) is str for name in names):
            raise WireError("a named tuple whose names do not fit")
        record = Record(self._values(values, depth))
        record._fields = tuple(names)
        return record

    def _bounds(self, nodes: list, depth: int, kind: type) -> slice | range:
        start, stop, step = self._values(nodes, depth)
        made = kind(start, stop, step)
        if kind is range and made[self.limits.items :]:  # its length may be above what `len` can say
            raise WireError(f"a range of more than {self.limits.items} values")
        return made

    def _generator(self, nodes: list, depth: int) -> torch.Generator:
        device, number = nodes
        generator = torch.Generator(_to_device(device))
        generator.set_state(self._numbered([number], torch.Tensor))
        return generator


# every match ends, also that of a string cut off: a scan over hostile bytes stays linear
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_LEVEL = {ord("["): 1, ord("]"): -1}
_NO_BRACKET = bytes(set(range(256)) - set(_LEVEL))

_DECODE: dict[str, Callable[[Decoder, list, int], Any]] = {
    "int": lambda self, rest, depth: _to_int(*rest),
    "float": lambda self, rest, depth: _NONFINITE[rest[0]],
    "complex": lambda self, rest, depth: complex(*map(_a_float, self._values(rest, depth))),
    "str": lambda self, rest, depth: self._numbered(rest, str),
    "bytes": lambda self, rest, depth: self._numbered(rest, bytes),
    "list": lambda self, rest, depth: self._values(rest, depth),
    "tuple": lambda self, rest, depth: tuple(self._values(rest, depth)),
    "record": Decoder._record,
    "dict": lambda self, rest, depth: self._dict(rest, depth, dict),
    "ordered": lambda self, rest, depth: self._dict(rest, depth, collections.OrderedDict),
    "set": lambda self, rest, depth: self._set(rest, depth, set),
    "frozenset": lambda self, rest, depth: self._set(rest, depth, frozenset),
    "slice": lambda self, rest, depth: self._bounds(rest, depth, slice),
    "range": lambda self, rest, depth: self._bounds(rest, depth, range),
    "ellipsis": lambda self, rest, depth: ...,
    "tensor": lambda self, rest, depth: self._numbered(rest, torch.Tensor),
    "array": lambda self, rest, depth: self._numbered(rest, np.ndarray),
    "scalar": lambda self, rest, depth: self._numbered(rest, np.ndarray)[()],
    "dtype": lambda self, rest, depth: DTYPES[rest[0]],
    "device": lambda self, rest, depth: _to_device(*rest),
    "size": lambda self, rest, depth: torch.Size(self._values(rest, depth)),
    "generator": Decoder._generator,
    "handle": lambda self, rest, depth: self.handle(*rest),
    "name": lambda self, rest, depth: self.name(*rest),
}


def _no_constant(text: str) -> Any:
    raise WireError(f"{text} as a number")


def _to_int(text: str) -> int:
    if type(text) is not str or len(text) > MAX_INT_BITS // 4 + 4:
        raise WireError("an integer that is too long")
    return int(text, 16)


def _a_float(value: Any) -> float:
    if type(value) is not float:
        raise WireError("a complex number whose parts are no floats")
    return value


def _to_device(name: Any) -> torch.device:
    if type(name) is not str or not DEVICE.fullmatch(name):
        raise WireError("a device that is none of cpu, cuda and mps")
    return torch.device(name)


def _parts(body: bytes | memoryview, count: int) -> list[dict]:
    """The tensors of a body as {"dtype", "shape", "data"}: the format of safetensors, read where it lies.

    Its own `deserialize` copies every tensor once more. Of what the format allows only what we write is taken: the
    tensors "0", "1", … in this order, one after the other, and nothing else.
    """
    size = int.from_bytes(body[:8], "little")
    if size > NODE_BYTES * (count + 1) or 8 + size > len(body):
        raise WireError("a body whose own header is too large")
    header = json.loads(bytes(body[8 : 8 + size]))
    if type(header) is not dict or list(header) != [str(i) for i in range(count)]:
        raise WireError("a body with other tensors than the header's")
    data = (body if isinstance(body, memoryview) and not body.readonly else memoryview(bytearray(body)))[8 + size :]
    address, end, parts = np.frombuffer(data, np.uint8).ctypes.data if len(data) else 0, 0, []
    for part in header.values():
        begin, (first, end) = end, part["data_offsets"]
        shape = part["shape"]
        if not all(type(n) is int and n >= 0 for n in (first, end, *shape)) or first != begin or end > len(data):
            raise WireError("a tensor that lies elsewhere in the body")
        if len(shape) > DIMS + 1 or end - begin != math.prod(shape) * _WIDTHS[part["dtype"]]:
            raise WireError("a tensor of another size than its shape")
        piece = data[begin:end]
        aligned = (address + begin) % 16 == 0  # of the largest number's
        parts.append(
            {"dtype": part["dtype"], "shape": shape, "data": piece if aligned else memoryview(bytearray(piece))}
        )
    if end != len(data):
        raise WireError("a body with more than its tensors")
    return parts


def _check_part(part: dict, dtype: str) -> list[int]:
    shape = part["shape"]
    if part["dtype"] != SAFETENSORS[dtype] or len(shape) > DIMS + 1 or math.prod(max(n, 1) for n in shape) >= 2**61:
        raise WireError("a tensor of other dtype or shape than announced")
    if dtype == "bool" and bytes(part["data"]).translate(None, b"\0\1"):
        raise WireError("a bool that is neither true nor false")
    return shape


def _to_array(part: dict, name: str) -> np.ndarray:
    shape = _check_part(part, PARTS.get(name, name))
    flat = np.frombuffer(part["data"], NUMPY[name])
    return flat.reshape(shape[:-1] if name in PARTS else shape)


def _to_tensor(part: dict, name: str, device: Any) -> torch.Tensor:
    shape = _check_part(part, PARTS.get(name, name))
    shape = shape[:-1] if name in PARTS else shape
    if len(part["data"]):
        tensor = torch.frombuffer(part["data"], dtype=DTYPES[name]).reshape(shape)
    else:
        tensor = torch.empty(shape, dtype=DTYPES[name])
    device = _to_device(device)
    return tensor if device.type == "cpu" else tensor.to(device)
