"""What both directions of the codec agree on: the error, the limits, dtypes and their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch


class WireError(Exception):
    """A value may not cross, or bytes are not what was agreed.

    `path` leads to the value in what was sent: (1, 0, "x"). `stack` has file and line of each frame that led to a
    request that was refused before it was sent, innermost first; it is empty for what came from the other side.
    """

    def __init__(self, message: str, path: tuple = (), stack: Sequence[tuple[str, int]] = ()):
        super().__init__(message)
        self.path, self.stack = path, stack


class Message(NamedTuple):
    """A value as bytes."""

    header: bytes  # JSON, ASCII
    body: bytes | memoryview  # safetensors; empty without tensors; what is large comes from `room`


ALIGNED = 64  # bytes; what torch's own memory is
LARGE = 1 << 20  # bytes of a body from which on it is worth a `room`


def room(size: int) -> memoryview:
    """Fresh memory of `size` bytes, to be written into once and then read from without a copy.

    NumPy asks for large pages. What `bytes` would get costs a page fault every 4 KiB, which is more than a copy.
    """
    return memoryview(np.empty(size, np.uint8))


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
DIMS = 32

DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.bool, torch.uint8, torch.uint16, torch.uint32, torch.uint64),
        *(torch.int8, torch.int16, torch.int32, torch.int64),
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128),
        *(torch.float8_e4m3fn, torch.float8_e5m2),
    )
}
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}
# a complex number crosses as two real ones: safetensors has no complex128
PARTS = {"complex64": "float32", "complex128": "float64"}
SAFETENSORS = {
    **{f"int{n}": f"I{n}" for n in (8, 16, 32, 64)},
    **{f"uint{n}": f"U{n}" for n in (8, 16, 32, 64)},
    **{f"float{n}": f"F{n}" for n in (16, 32, 64)},
    **{"bool": "BOOL", "bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2"},
}
NUMPY = {name: np.dtype(name) for name in DTYPES if "bfloat" not in name and "float8" not in name}
NUMPY_SCALARS = {dtype.type: name for name, dtype in NUMPY.items()}
DEVICE = re.compile(r"(cpu|cuda|mps)(:\d{1,3})?")
MAX_INT_BITS = 1 << 16

LEAF, DERIVED, PARAMETER = 1, 2, 4  # of a tensor: requires grad as a leaf, or by its history; is an nn.Parameter


def describe(value: Any) -> str:
    """What an object is, for "found ...", without calling anything of its own."""
    kind = type(value)
    name = type.__getattribute__(kind, "__qualname__")
    if kind.__name__ == "function":
        return f"the function {value.__qualname__!r}"
    return f"the class {value.__qualname__!r}" if kind is type else f"an object of type {name!r}"
