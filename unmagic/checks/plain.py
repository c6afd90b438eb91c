"""What counts as a plain value, and what a message calls it. Nothing here calls code that belongs to the value."""

from unmagic.checks.errors import CheckError

import typing

import numpy as np
import torch
from torch import nn

NUMBERS = (bool, int, float, complex)
NUMPY_SCALARS = frozenset(np.sctypeDict.values()) - {np.object_, np.void}
TENSORS = (torch.Tensor, nn.Parameter)


def is_tensor(value: typing.Any) -> bool:
    """An exact torch tensor; a subclass could answer for itself and is none."""
    return type(value) in TENSORS


def is_array(value: typing.Any) -> bool:
    """An exact NumPy array of numbers."""
    return type(value) is np.ndarray and value.dtype.kind in "biufc"


def is_number(value: typing.Any) -> bool:
    return type(value) in NUMBERS or (type(value) in NUMPY_SCALARS and np.dtype(type(value)).kind in "biufc")


def is_plain(value: typing.Any) -> bool:
    """A value whose == and hash are Python's own, all the way down: it can be a key, or an entry of a set."""
    if type(value) in (tuple, frozenset, set):
        return all(is_plain(entry) for entry in value)
    return value is None or type(value) in (*NUMBERS, str, bytes, torch.dtype, torch.device)


def is_sequence(value: typing.Any) -> bool:
    return issubclass(type(value), (list, tuple))


def items(value: typing.Any) -> list:
    """The entries of a list or tuple, read past whatever a subclass (a named tuple, torch.Size) defines."""
    return list((list if issubclass(type(value), list) else tuple).__iter__(value))


def values(value: torch.Tensor | np.ndarray | float) -> torch.Tensor:
    """A tensor, array or number as a strided CPU tensor with no history, bare of attributes it may have been given."""
    if is_tensor(value):
        value = torch.Tensor.detach(value)
        if value.layout != torch.strided:
            value = value.to_dense()
        return value.cpu().resolve_conj().resolve_neg()
    if is_array(value):
        return torch.from_numpy(np.array(value, dtype=value.dtype.newbyteorder("=")))
    return torch.tensor(np.generic.item(value) if issubclass(type(value), np.generic) else value, dtype=_wide(value))


def _wide(number: typing.Any) -> torch.dtype | None:
    kind = np.dtype(type(number)).kind
    return {"f": torch.float64, "c": torch.complex128}.get(kind)


def shape_of(value: typing.Any) -> tuple[int, ...]:
    return tuple(value.shape) if is_tensor(value) or is_array(value) else ()


def describe(value: typing.Any) -> str:
    """What a value is, for the sentence "found ...", e.g. "a tensor of shape (2, 3)"."""
    kind = type(value)
    if value is None:
        return "None (is a `return` missing?)"
    if is_tensor(value):
        return f"a tensor of shape {tuple(value.shape)}"
    if kind is np.ndarray:
        return f"a NumPy array of shape {value.shape} and dtype {value.dtype}"
    if is_number(value) or kind is str:
        return f"the {'string' if kind is str else kind.__name__} {value!r:.60}"
    if kind in (list, tuple, dict, set):
        return f"a {kind.__name__} with {len(value)} entries"
    name = type.__getattribute__(kind, "__name__")
    if issubclass(kind, torch.Tensor):
        return f"a {name}, a subclass of torch.Tensor"
    return f"an object of type {name}"


def wrong_type(value: typing.Any, wanted: str, name: str, hint: str) -> CheckError:
    return CheckError(
        f"{name}: wrong type.\n Found {describe(value)}; wanted {wanted}.", kind="type", name=name, hint=hint
    )


def require_numeric(value: typing.Any, name: str, hint: str, *, numbers: bool = True) -> None:
    """Raise unless the value is a plain tensor or array (or number)."""
    if not (is_tensor(value) or is_array(value) or (numbers and is_number(value))):
        raise wrong_type(value, "a torch tensor" + (" or a number" if numbers else ""), name, hint)
