"""Values to bytes and back: a JSON header for the structure, a safetensors body for everything large.

The header is `{"tensors": [...], "value": node}`. A node is null, true, a number, a string, or an array that begins with
its kind: `["tuple", 1, ["tensor", 0]]`. An entry of "tensors" says what the body's tensor of that number is. What comes
back, by exact type (a subclass of int is no int):

    None bool int float complex str bytes list tuple dict OrderedDict set frozenset slice range Ellipsis
    torch.Tensor nn.Parameter numpy.ndarray and numpy scalars   on the CPU as bytes; dtype, device, requires_grad, .grad
    torch.dtype torch.device torch.Size torch.Generator         a generator as a copy of its state
    named tuples                                                as `Record`: a tuple whose fields have names
    handles and names                                           by the caller's hooks; without a hook a WireError

Decoding makes nothing else: no pickle, no eval, no constructor of the sender's choice. Sizes, depth and number of items
are checked before anything is allocated for them. Whatever is wrong is a WireError, and nothing but a WireError.
"""

from __future__ import annotations

import collections
import itertools
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import safetensors
import torch
from torch import nn


class WireError(Exception):
    """A value may not cross, or bytes that came are not what was agreed. `path` leads to the value: ("args", 0, "x")."""

    def __init__(self, message: str, path: tuple = ()):
        super().__init__(message)
        self.path = path


class Message(NamedTuple):
    """A value as bytes."""

    header: bytes  # JSON, ASCII
    body: bytes  # safetensors; empty without tensors


class Record(tuple):
    """A named tuple that crossed: a tuple whose entries can also be read by the names in `_fields`."""

    _fields: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> Any:
        if name in self._fields:
            return self[self._fields.index(name)]
        raise AttributeError(f"this tuple has no field {name!r}; it has {', '.join(self._fields) or 'none'}")


@dataclass(frozen=True)
class Limits:
    """What one message may hold: bytes, bytes of its header, levels of nesting, values in all (keys included)."""

    total: int = 512 << 20
    header: int = 16 << 20
    depth: int = 64
    items: int = 1_000_000


LIMITS = Limits()
INLINE = 256  # longer strings go into the body
DIMS = 32
NODE_BYTES = 512  # of a header that a tensor may take: its entry here, and safetensors' own

DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.bool, torch.uint8, torch.uint16, torch.uint32, torch.uint64),
        *(torch.int8, torch.int16, torch.int32, torch.int64),
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128),
        *(torch.float8_e4m3fn, torch.float8_e5m2),
    )
}
_DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}
# a complex number crosses as two real ones: safetensors has no complex128
_PARTS = {"complex64": "float32", "complex128": "float64"}
_SAFETENSORS = {
    **{f"int{n}": f"I{n}" for n in (8, 16, 32, 64)},
    **{f"uint{n}": f"U{n}" for n in (8, 16, 32, 64)},
    **{f"float{n}": f"F{n}" for n in (16, 32, 64)},
    **{"bool": "BOOL", "bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2"},
}
_NUMPY = {name: np.dtype(name) for name in DTYPES if "bfloat" not in name and "float8" not in name}
_NUMPY_SCALARS = {dtype.type: name for name, dtype in _NUMPY.items()}
_DEVICE = re.compile(r"(cpu|cuda|mps)(:\d{1,3})?")
_NONFINITE = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}
_MAX_INT_BITS = 1 << 16

LEAF, DERIVED, PARAMETER = 1, 2, 4  # of a tensor: requires grad as a leaf, or by its history; is an nn.Parameter


def encode(value: Any, *, limits: Limits = LIMITS) -> Message:
    """Plain data as bytes. WireError for anything else."""
    return Encoder(limits=limits).encode(value)


def decode(header: bytes, body: bytes = b"", *, limits: Limits = LIMITS) -> Any:
    """The value of a message of plain data. WireError for anything else."""
    return Decoder(limits=limits).decode(header, body)


def describe(value: Any) -> str:
    """What an object is, for "found ...", without calling anything of its own."""
    kind = type(value)
    name = type.__getattribute__(kind, "__qualname__")
    if kind.__name__ == "function":
        return f"the function {value.__qualname__!r}"
    return f"the class {value.__qualname__!r}" if kind is type else f"an object of type {name!r}"


def refuse(value: Any) -> Any:
    """The hook of an encoder that knows nothing but plain data."""
    raise WireError(f"{describe(value)} cannot cross: it is not data")


class Encoder:
    """One value to one message. `other(value)` gives the node of what is not data, or raises WireError.

    `derived` says of a leaf whether it counts as a result with a history. `tracked` holds, in their order, the tensors
    that went out with requires_grad, each with LEAF or DERIVED.
    """

    def __init__(
        self,
        other: Callable[[Any], list] = refuse,
        *,
        derived: Callable[[torch.Tensor], bool] = lambda tensor: False,
        limits: Limits = LIMITS,
    ):
        self.other, self.derived, self.limits = other, derived, limits
        self.tracked: list[tuple[int, torch.Tensor]] = []  # (LEAF or DERIVED, tensor)
        self._table: list[list] = []
        self._parts: list[tuple[str, list[int], Any, int, int]] = []  # dtype, shape, what owns the bytes, where, bytes
        self._seen: dict[int, int] = {}  # id of a tensor: its number, so that one tensor sent twice stays one
        self._alive: list[Any] = []
        self._items = self._bytes = self._depth = 0

    @property
    def derived_tensors(self) -> list[torch.Tensor]:
        """Of `tracked`, those with a history."""
        return [tensor for flag, tensor in self.tracked if flag == DERIVED]

    def encode(self, value: Any) -> Message:
        node = self._node(value)
        text = json.dumps({"tensors": self._table, "value": node}, separators=(",", ":"), allow_nan=False)
        if len(text) > self.limits.header:
            raise WireError(f"the structure takes {len(text)} bytes; at most {self.limits.header} may cross")
        body = b""
        if self._parts:
            specs = {
                str(i): safetensors.TensorSpec(dtype=dtype, shape=shape, data_ptr=where, data_len=size)
                for i, (dtype, shape, _, where, size) in enumerate(self._parts)
            }
            body = safetensors.serialize(specs)
        if len(text) + len(body) > self.limits.total:
            raise WireError(f"the value takes {len(text) + len(body)} bytes; at most {self.limits.total} may cross")
        return Message(text.encode("ascii"), body)

    def _node(self, value: Any) -> Any:
        self._items += 1
        if self._items > self.limits.items:
            raise WireError(f"more than {self.limits.items} values; send them as a tensor")
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is float:
            return value if math.isfinite(value) else ["float", str(value)]
        plain = _ENCODE.get(kind)
        if plain is not None:
            return plain(self, value)
        if issubclass(kind, tuple) and (fields := _fields(kind)) is not None:
            return ["record", list(fields), *self._children(value)]
        if kind in _NUMPY_SCALARS:
            return ["scalar", self._array(np.asarray(value))]
        return self.other(value)

    def _children(self, values: Any, keys: Any = None) -> list:
        """The nodes of a container's entries; an error learns the key on its way up."""
        self._depth += 1
        if self._depth > self.limits.depth:
            raise WireError(f"nested more than {self.limits.depth} deep (does it contain itself?)")
        key: Any = None
        try:
            nodes = []
            for key, value in enumerate(values) if keys is None else zip(keys, values, strict=True):
                nodes.append(self._node(value))  # noqa: PERF401: `key` is read when an entry fails
            return nodes
        except WireError as error:
            error.path = (key, *error.path)
            raise
        finally:
            self._depth -= 1

    def _int(self, value: int) -> Any:
        if -(2**63) <= value < 2**63:
            return value
        if value.bit_length() > _MAX_INT_BITS:
            raise WireError(f"an integer of {value.bit_length()} bits; at most {_MAX_INT_BITS} may cross")
        return ["int", hex(value)]

    def _str(self, value: str) -> Any:
        if len(value) <= INLINE:
            return value
        return ["str", self._raw("str", value.encode("utf-8", "surrogatepass"))]

    def _raw(self, kind: str, data: bytes) -> int:
        return self._add([kind], "uint8", [len(data)], np.frombuffer(data, np.uint8))

    def _dict(self, value: dict) -> list:
        keys = self._children(value)
        values = self._children(value.values(), value.keys())
        kind = "dict" if type(value) is dict else "ordered"
        return [kind, *itertools.chain.from_iterable(zip(keys, values, strict=True))]

    def _generator(self, value: torch.Generator) -> list:
        return ["generator", str(value.device), self._tensor_entry(value.get_state(), 0)]

    def _tensor(self, value: torch.Tensor) -> Any:
        if (number := self._seen.get(id(value))) is not None:
            return ["tensor", number]
        if torch._C._functorch.is_functorch_wrapped_tensor(value):
            raise WireError(
                "a tensor inside torch.func or vmap cannot cross; call the student's function outside of it"
            )
        if (
            value.layout is not torch.strided
            or value.dtype not in _DTYPE_NAMES
            or not _DEVICE.fullmatch(str(value.device))
        ):
            return self.other(value)
        flags = PARAMETER if type(value) is nn.Parameter else 0
        gradient = None
        if value.requires_grad:
            flags |= LEAF if value.is_leaf and not self.derived(value) else DERIVED
            self.tracked.append((flags & (LEAF | DERIVED), value))
            if value.is_leaf and type(value.grad) is torch.Tensor and value.grad.layout is torch.strided:
                gradient = self._tensor_entry(value.grad, 0)
        number = self._tensor_entry(value, flags, gradient)
        self._seen[id(value)] = number
        self._alive.append(value)
        return ["tensor", number]

    def _tensor_entry(self, value: torch.Tensor, flags: int, gradient: int | None = None) -> int:
        self._reserve(value.numel() * value.element_size())  # before an expanded tensor is written out
        name = _DTYPE_NAMES[value.dtype]
        data = value.detach().resolve_conj().resolve_neg().cpu().contiguous()
        return self._add(["tensor", name, str(value.device), flags, gradient], name, list(value.shape), data)

    def _array(self, value: np.ndarray) -> int:
        name = value.dtype.name
        if name not in _NUMPY or value.dtype.fields or value.dtype.subdtype:
            raise WireError(f"a NumPy array of dtype {value.dtype} cannot cross; arrays of numbers and bools can")
        self._reserve(value.nbytes)
        return self._add(["array", name], name, list(value.shape), np.asarray(value, _NUMPY[name], order="C"))

    def _reserve(self, size: int) -> None:
        self._bytes += size
        if self._bytes > self.limits.total:
            raise WireError(f"tensors of {self._bytes} bytes in all; at most {self.limits.total} may cross")

    def _add(self, entry: list, dtype: str, shape: list[int], data: torch.Tensor | np.ndarray) -> int:
        if len(shape) > DIMS or math.prod(max(n, 1) for n in shape) >= 2**60:
            raise WireError(f"a shape of {len(shape)} axes that cannot cross")
        if dtype in _PARTS:
            dtype, shape = _PARTS[dtype], [*shape, 2]
        tensor = isinstance(data, torch.Tensor)
        where = data.data_ptr() if tensor else data.ctypes.data
        size = data.numel() * data.element_size() if tensor else data.nbytes
        self._parts.append((dtype, shape, data, where, size))
        self._table.append(entry)
        return len(self._table) - 1


def _fields(kind: type) -> tuple[str, ...] | None:
    """The field names of a named tuple (Python's or torch's own, as `torch.max` returns them), else None."""
    fields = kind.__dict__.get("_fields")
    if fields is None and "n_sequence_fields" in kind.__dict__:
        fields = kind.__match_args__
    return fields if type(fields) is tuple and all(type(name) is str for name in fields) else None


_ENCODE: dict[type, Callable[[Encoder, Any], Any]] = {
    int: Encoder._int,
    str: Encoder._str,
    bytes: lambda self, value: ["bytes", self._raw("bytes", value)],
    complex: lambda self, value: ["complex", *self._children((value.real, value.imag))],
    list: lambda self, value: ["list", *self._children(value)],
    tuple: lambda self, value: ["tuple", *self._children(value)],
    Record: lambda self, value: ["record", list(value._fields), *self._children(value)],
    dict: Encoder._dict,
    collections.OrderedDict: Encoder._dict,
    set: lambda self, value: ["set", *self._children(value)],
    frozenset: lambda self, value: ["frozenset", *self._children(value)],
    slice: lambda self, value: ["slice", *self._children((value.start, value.stop, value.step))],
    range: lambda self, value: ["range", *self._children((value.start, value.stop, value.step))],
    type(...): lambda self, value: ["ellipsis"],
    torch.Tensor: Encoder._tensor,
    nn.Parameter: Encoder._tensor,
    np.ndarray: lambda self, value: ["array", self._array(value)] if value.dtype.name in _NUMPY else self.other(value),
    torch.dtype: lambda self, value: ["dtype", _DTYPE_NAMES[value]] if value in _DTYPE_NAMES else self.other(value),
    torch.device: lambda self, value: ["device", str(value)] if _DEVICE.fullmatch(str(value)) else self.other(value),
    torch.Size: lambda self, value: ["size", *self._children(value)],
    torch.Generator: Encoder._generator,
}


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

    def decode(self, header: bytes, body: bytes = b"") -> Any:
        try:
            self._check_sizes(header, body)
            message = json.loads(header.decode("ascii"), parse_constant=_no_constant)
            if (
                type(message) is not dict
                or set(message) != {"tensors", "value"}
                or type(message["tensors"]) is not list
            ):
                raise WireError("a header without tensors and value")
            self._tensors = self._table(message["tensors"], body)
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
        parts: dict[str, dict] = {}
        if entries:
            if int.from_bytes(body[:8], "little") > NODE_BYTES * (len(entries) + 1):
                raise WireError("a body whose own header is too large")
            parts = dict(safetensors.deserialize(body))
        elif body:
            raise WireError("a body that nothing refers to")
        if set(parts) != {str(i) for i in range(len(entries))}:
            raise WireError("a body with other tensors than the header's")
        made: list[Any] = []
        derived: list[int] = []
        for number, entry in enumerate(entries):
            part = parts[str(number)]
            kind = entry[0]
            if kind in ("str", "bytes"):
                _check_part(part, "uint8")
                made.append(part["data"].decode("utf-8", "surrogatepass") if kind == "str" else bytes(part["data"]))
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
        return kind(start, stop, step)

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
    if type(text) is not str or len(text) > _MAX_INT_BITS // 4 + 4:
        raise WireError("an integer that is too long")
    return int(text, 16)


def _a_float(value: Any) -> float:
    if type(value) is not float:
        raise WireError("a complex number whose parts are no floats")
    return value


def _to_device(name: Any) -> torch.device:
    if type(name) is not str or not _DEVICE.fullmatch(name):
        raise WireError("a device that is none of cpu, cuda and mps")
    return torch.device(name)


def _check_part(part: dict, dtype: str) -> list[int]:
    shape = part["shape"]
    if part["dtype"] != _SAFETENSORS[dtype] or len(shape) > DIMS + 1 or math.prod(max(n, 1) for n in shape) >= 2**61:
        raise WireError("a tensor of other dtype or shape than announced")
    if dtype == "bool" and part["data"].translate(None, b"\0\1"):
        raise WireError("a bool that is neither true nor false")
    return shape


def _to_array(part: dict, name: str) -> np.ndarray:
    shape = _check_part(part, _PARTS.get(name, name))
    flat = np.frombuffer(part["data"], _NUMPY[name])
    return flat.reshape(shape[:-1] if name in _PARTS else shape)


def _to_tensor(part: dict, name: str, device: Any) -> torch.Tensor:
    shape = _check_part(part, _PARTS.get(name, name))
    shape = shape[:-1] if name in _PARTS else shape
    if part["data"]:
        tensor = torch.frombuffer(part["data"], dtype=DTYPES[name]).reshape(shape)
    else:
        tensor = torch.empty(shape, dtype=DTYPES[name])
    device = _to_device(device)
    return tensor if device.type == "cpu" else tensor.to(device)
