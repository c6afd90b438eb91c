"""Assertions about one value: its shape, dtype, device, finiteness, range, truth; and that a call raises."""

from unmagic.checks import plain
from unmagic.checks.errors import CheckError
from unmagic.checks.streams import quiet

import re
import typing
from collections.abc import Callable

import numpy as np
import torch


def assert_shape(actual: typing.Any, shape: typing.Any, *, name: str = "result", hint: str = "") -> None:
    """The tensor or array has that shape. An entry of None means any length: `(None, 10)`.

    A number has the shape `()`. Raises CheckError of kind "type" or "shape".
    """
    __tracebackhide__ = True
    plain.require_numeric(actual, name, hint)
    wanted = (shape,) if isinstance(shape, int) else tuple(shape)
    found = plain.shape_of(actual)
    if len(found) != len(wanted) or any(w is not None and f != w for f, w in zip(found, wanted, strict=True)):
        raise CheckError(shape_message(found, wanted, name), kind="shape", name=name, hint=hint)


def shape_message(found: tuple, wanted: tuple, name: str) -> str:
    """Says which shape was found and wanted, and what it looks like when that is plain to see."""
    shown = "(" + ", ".join("any" if n is None else str(n) for n in wanted) + ("," if len(wanted) == 1 else "") + ")"
    message = f"{name}: wrong shape.\n Found {found}, wanted {shown}."
    if found[::-1] == wanted:
        return message + " It looks transposed."
    if tuple(n for n in found if n != 1) == tuple(n for n in wanted if n != 1):
        return message + " They differ by axes of length 1: look at keepdim, squeeze and unsqueeze."
    if len(found) == len(wanted):
        axes = [i for i, (f, w) in enumerate(zip(found, wanted, strict=True)) if w is not None and f != w]
        return message + f" Axis {', '.join(map(str, axes))} {'differs' if len(axes) == 1 else 'differ'}."
    return message + f" Found {len(found)} axes, wanted {len(wanted)}."


def assert_dtype(actual: typing.Any, dtype: torch.dtype, *, name: str = "result", hint: str = "") -> None:
    """The tensor has that dtype. Raises CheckError of kind "type" or "dtype"."""
    __tracebackhide__ = True
    if not plain.is_tensor(actual):
        raise plain.wrong_type(actual, f"a tensor of dtype {dtype}", name, hint)
    if actual.dtype != dtype:
        message = f"{name}: wrong dtype.\n Found {actual.dtype}, wanted {dtype}."
        raise CheckError(message, kind="dtype", name=name, hint=hint)


def assert_device(actual: typing.Any, device: torch.device | str, *, name: str = "result", hint: str = "") -> None:
    """The tensor lies on that device; "cuda" without a number means any of them.

    Raises CheckError of kind "type" or "device".
    """
    __tracebackhide__ = True
    wanted = torch.device(device)
    if not plain.is_tensor(actual):
        raise plain.wrong_type(actual, f"a tensor on {wanted}", name, hint)
    found = actual.device
    if found.type != wanted.type or (None not in (found.index, wanted.index) and found.index != wanted.index):
        message = (
            f"{name}: wrong device.\n Found {found}, wanted {wanted}. Make new tensors on the device of the arguments, "
            "e.g. torch.zeros(n, device=x.device)."
        )
        raise CheckError(message, kind="device", name=name, hint=hint)


def assert_finite(actual: typing.Any, *, name: str = "result", hint: str = "") -> None:
    """Every entry is a finite number. Raises CheckError of kind "type" or "nan"."""
    __tracebackhide__ = True
    plain.require_numeric(actual, name, hint)
    entries = plain.values(actual)
    bad = ~torch.isfinite(entries)
    if bad.any():
        raise nan_error(entries, bad, name, hint)


def nan_error(entries: torch.Tensor, bad: torch.Tensor, name: str, hint: str) -> CheckError:
    """The error for entries that are NaN or infinite where a finite number was wanted."""
    index = tuple(bad.nonzero()[0].tolist())
    what = "not-a-number" if torch.isnan(entries[index]) else "infinite"
    many = f"{int(bad.sum())} of {entries.numel()} entries are" if entries.dim() else "it is"
    where = f" The first is at {list(index)}: {entries[index].item()}." if index else f" Found {entries.item()}."
    return CheckError(
        f"{name}: {many} {what} where a finite number is wanted.\n{where}", kind="nan", name=name, hint=hint
    )


def assert_in_range(
    value: typing.Any, low: float | None, high: float | None, *, name: str = "result", hint: str = ""
) -> None:
    """Every entry lies from `low` to `high`, both included; None leaves a side open.

    Raises CheckError of kind "type", "nan" or "range".
    """
    __tracebackhide__ = True
    plain.require_numeric(value, name, hint)
    entries = plain.values(value)
    if entries.is_complex():
        raise plain.wrong_type(value, "real numbers", name, hint)
    if torch.isnan(entries).any():
        raise nan_error(entries, torch.isnan(entries), name, hint)
    entries = entries.double()
    below = torch.zeros_like(entries) if low is None else low - entries
    above = torch.zeros_like(entries) if high is None else entries - high
    excess = torch.maximum(below, above)
    if (excess > 0).any():
        # NumPy's: torch's own would import all of SymPy at the first failed check, seconds
        index = tuple(int(i) for i in np.unravel_index(int(excess.argmax()), tuple(excess.shape)))
        where = f" at {list(index)}" if index else ""
        wanted = f"{'-∞' if low is None else f'{low:.6g}'} to {'∞' if high is None else f'{high:.6g}'}"
        message = f"{name}: out of range.\n Found {entries[index].item():.6g}{where}, wanted {wanted}."
        raise CheckError(message, kind="range", name=name, hint=hint)


def assert_true(condition: typing.Any, message: str, *, hint: str = "") -> None:
    """The condition is True: a bool, or a tensor or array of one bool. `message` says what is not so.

    Raises CheckError of kind "value", or "type" for anything that is not a plain truth value.
    """
    __tracebackhide__ = True
    truth = condition
    if plain.is_tensor(condition) or plain.is_array(condition) or type(condition) is np.bool_:
        found = plain.values(condition)
        if found.dtype == torch.bool and found.numel() == 1:
            truth = found.item()
    if type(truth) is not bool:
        raise plain.wrong_type(condition, "True or False", "condition", hint)
    if not truth:
        raise CheckError(message, kind="value", hint=hint)


def assert_raises(
    exception: type[Exception] | tuple[type[Exception], ...],
    function: Callable,
    *args: typing.Any,
    match: str = "",
    hint: str = "",
    **kwargs: typing.Any,
) -> None:
    """`function(*args, **kwargs)` raises that exception, and `match` (a regular expression) is found in its message.

    An exercise that is not written yet raises NotImplementedError, which is a RuntimeError; it counts only when asked
    for. Raises CheckError of kind "raises".
    """
    __tracebackhide__ = True
    wanted = exception if isinstance(exception, tuple) else (exception,)
    names = " or ".join(e.__name__ for e in wanted)
    name = getattr(function, "__name__", "")
    name = name if type(name) is str and name else "the call"
    try:
        with quiet():
            function(*args, **kwargs)
    except Exception as error:
        unwritten = isinstance(error, NotImplementedError) and NotImplementedError not in wanted
        text = str(error)
        if not isinstance(error, wanted) or unwritten:
            message = f"{name}: raised the wrong error.\n Found {type(error).__name__}: {text:.200}\n Wanted {names}."
        elif match and not re.search(match, text):
            message = f"{name}: the error's message does not say enough.\n Found {text!r:.200}; wanted {match!r} in it."
        else:
            return
        raise CheckError(message, kind="raises", name=name, hint=hint) from error
    raise CheckError(f"{name}: raised no error.\n Wanted {names}.", kind="raises", name=name, hint=hint)
