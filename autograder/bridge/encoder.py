"""Values to bytes; the format is described in `codec`."""

from __future__ import annotations

import collections
import ctypes
import itertools
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from autograder.bridge.wire import (
    ALIGNED,
    DERIVED,
    DEVICE,
    DIMS,
    DTYPE_NAMES,
    LARGE,
    LEAF,
    LIMITS,
    MAX_INT_BITS,
    NUMPY,
    NUMPY_SCALARS,
    PARAMETER,
    PARTS,
    SAFETENSORS,
    Limits,
    Message,
    Record,
    WireError,
    describe,
    room,
)

INLINE = 256  # longer strings go into the body


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
        body = self._body()
        if len(text) + len(body) > self.limits.total:
            raise WireError(f"the value takes {len(text) + len(body)} bytes; at most {self.limits.total} may cross")
        return Message(text.encode("ascii"), body)

    def _body(self) -> bytes | memoryview:
        """The tensors in the format of safetensors, whose own `serialize` copies them twice."""
        if not self._parts:
            return b""
        header, end = {}, 0
        for number, (dtype, shape, _, _, size) in enumerate(self._parts):
            offsets = [end, end := end + size]
            header[str(number)] = {"dtype": SAFETENSORS[dtype], "shape": shape, "data_offsets": offsets}
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-(8 + len(text)) % ALIGNED)  # so that a tensor can be used where it lies
        data = ((ctypes.c_char * size).from_address(where) for _, _, _, where, size in self._parts if size)
        pieces = (len(text).to_bytes(8, "little"), text, *data)
        if end < LARGE:
            return b"".join(pieces)
        body, at = room(8 + len(text) + end), 0
        for piece in pieces:
            view = memoryview(piece).cast("B")
            body[at : at + len(view)] = view
            at += len(view)
        return body

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
        if kind in NUMPY_SCALARS:
            return ["scalar", self._array(np.asarray(value))]
        return self.other(value)

    def _children(self, values: Any, keys: Any = None) -> list:
        """The nodes of a container's entries; an error learns the key on its way up."""
        self._depth += 1
        if self._depth > self.limits.depth:
            raise WireError(f"nested more than {self.limits.depth} deep (does it contain itself?)")
        nodes: list[Any] = []
        try:
            for value in values:
                nodes.append(self._node(value))
            return nodes
        except WireError as error:
            done = len(nodes)
            error.path = (done if keys is None else next(itertools.islice(keys, done, None)), *error.path)
            raise
        finally:
            self._depth -= 1

    def _int(self, value: int) -> Any:
        if -(2**63) <= value < 2**63:
            return value
        if value.bit_length() > MAX_INT_BITS:
            raise WireError(f"an integer of {value.bit_length()} bits; at most {MAX_INT_BITS} may cross")
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
            raise WireError("a tensor inside torch.func or vmap cannot cross; call the student's code outside")
        if (
            value.layout is not torch.strided
            or value.dtype not in DTYPE_NAMES
            or not DEVICE.fullmatch(str(value.device))
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
        name = DTYPE_NAMES[value.dtype]
        data = value.detach().resolve_conj().resolve_neg().cpu().contiguous()
        return self._add(["tensor", name, str(value.device), flags, gradient], name, list(value.shape), data)

    def _array(self, value: np.ndarray) -> int:
        name = value.dtype.name
        if name not in NUMPY or value.dtype.fields or value.dtype.subdtype:
            raise WireError(f"a NumPy array of dtype {value.dtype} cannot cross; arrays of numbers and bools can")
        self._reserve(value.nbytes)
        return self._add(["array", name], name, list(value.shape), np.asarray(value, NUMPY[name], order="C"))

    def _reserve(self, size: int) -> None:
        self._bytes += size
        if self._bytes > self.limits.total:
            raise WireError(f"tensors of {self._bytes} bytes in all; at most {self.limits.total} may cross")

    def _add(self, entry: list, dtype: str, shape: list[int], data: torch.Tensor | np.ndarray) -> int:
        if len(shape) > DIMS or math.prod(max(n, 1) for n in shape) >= 2**60:
            raise WireError(f"a shape of {len(shape)} axes that cannot cross")
        if dtype in PARTS:
            dtype, shape = PARTS[dtype], [*shape, 2]
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
    np.ndarray: lambda self, value: ["array", self._array(value)] if value.dtype.name in NUMPY else self.other(value),
    torch.dtype: lambda self, value: ["dtype", DTYPE_NAMES[value]] if value in DTYPE_NAMES else self.other(value),
    torch.device: lambda self, value: ["device", str(value)] if DEVICE.fullmatch(str(value)) else self.other(value),
    torch.Size: lambda self, value: ["size", *self._children(value)],
    torch.Generator: Encoder._generator,
}
