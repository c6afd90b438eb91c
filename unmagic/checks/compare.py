"""Two values compared: close, equal, unchanged."""

from unmagic.checks import plain
from unmagic.checks.assertions import nan_error, shape_message
from unmagic.checks.errors import CheckError, Kind

import typing

import numpy as np
import torch

# (rtol, atol) by dtype. Wider than torch.testing's: a right answer that adds up in another order must pass.
TOLERANCES = {
    torch.float64: (1e-7, 1e-9),
    torch.float32: (1e-4, 1e-6),
    torch.float16: (1e-2, 1e-3),
    torch.bfloat16: (5e-2, 1e-2),
    torch.complex128: (1e-7, 1e-9),
    torch.complex64: (1e-4, 1e-6),
}
EXACT = (0.0, 0.0)  # integers and bools
NUMBERS = TOLERANCES[torch.float32]  # Python numbers mostly come out of float32


def assert_close(
    actual: typing.Any,
    expected: typing.Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    name: str = "result",
    hint: str = "",
) -> None:
    """`actual` is what was wanted, within |actual - expected| ≤ atol + rtol·|expected|.

    Judged in this order, and the first that is wrong is what the error says: type, shape, dtype, device, not-a-number,
    value. Where NaN or an infinity is expected, the same must be found.

    Args:
        actual: the student's: a tensor, an array, a number, or a list, tuple or dict of those.
        expected: the same. Containers are compared entry by entry (a list may stand for a tuple). dtype and device are
            judged only between tensors; a number and a tensor of shape () compare as numbers.
        rtol, atol: tolerances; None is what suits the coarser of the two dtypes: 1e-4 and 1e-6 for float32 and for
            Python numbers, 1e-7 and 1e-9 for float64, exact for integers and bools. For values that are all far below
            1e-6, give atol=0.

    Raises:
        CheckError: kind "type", "length", "keys", "shape", "dtype", "device", "nan" or "value".
    """
    __tracebackhide__ = True
    compare = _Comparison(rtol, atol, hint, strict=False)
    compare(actual, expected, name)


def assert_equal(actual: typing.Any, expected: typing.Any, *, name: str = "result", hint: str = "") -> None:
    """`actual` equals `expected` exactly: numbers, strings, None, tensors, and containers of these.

    Tensors must agree in shape, dtype, device and every entry (NaN equals NaN). Raises CheckError, kinds as for
    `assert_close`.
    """
    __tracebackhide__ = True
    compare = _Comparison(0.0, 0.0, hint, strict=True)
    compare(actual, expected, name)


def assert_unchanged(before: typing.Any, after: typing.Any, *, name: str = "argument", hint: str = "") -> None:
    """An argument is what it was: `before` is a copy made before the call (`x.clone()`), `after` the argument itself.

    Raises CheckError of kind "changed".
    """
    __tracebackhide__ = True
    try:
        _Comparison(0.0, 0.0, "", strict=True)(after, before, name)
    except CheckError as error:
        detail = str(error).split("\n", 1)[-1]
        message = f"{name}: your function changed its argument; it must leave it as it was.\n{detail}"
        raise CheckError(message, kind="changed", name=error.name, hint=hint) from None


class _Comparison:
    """Walks both values together; the expected one says what is to be found."""

    def __init__(self, rtol: float | None, atol: float | None, hint: str, *, strict: bool):
        self.rtol, self.atol, self.hint, self.strict = rtol, atol, hint, strict

    def __call__(self, actual: typing.Any, expected: typing.Any, name: str) -> None:
        __tracebackhide__ = True
        if plain.is_tensor(expected) or plain.is_array(expected) or plain.is_number(expected):
            self._numeric(actual, expected, name)
        elif plain.is_sequence(expected):
            self._sequence(actual, expected, name)
        elif isinstance(expected, dict):
            self._mapping(actual, expected, name)
        else:
            self._other(actual, expected, name)

    def _fail(self, kind: Kind, message: str, name: str) -> typing.NoReturn:
        __tracebackhide__ = True
        raise CheckError(f"{name}: {message}", kind=kind, name=name, hint=self.hint)

    def _sequence(self, actual: typing.Any, expected: list | tuple, name: str) -> None:
        __tracebackhide__ = True
        family = list if isinstance(expected, list) else tuple
        wanted = f"a {family.__name__} with {len(expected)} entries"
        if not plain.is_sequence(actual) or (self.strict and not issubclass(type(actual), family)):
            raise plain.wrong_type(actual, wanted, name, self.hint)
        found = plain.items(actual)
        if len(found) != len(expected):
            self._fail("length", f"wrong number of entries.\n Found {len(found)}, wanted {len(expected)}.", name)
        for i, (a, e) in enumerate(zip(found, expected, strict=True)):
            self(a, e, f"{name}[{i}]")

    def _mapping(self, actual: typing.Any, expected: dict, name: str) -> None:
        __tracebackhide__ = True
        if not issubclass(type(actual), dict):
            raise plain.wrong_type(actual, f"a dict with {len(expected)} entries", name, self.hint)
        found = list(dict.items(actual))
        keys = [key for key, _ in found if plain.is_plain(key)]
        if len(keys) != len(found) or set(keys) != set(expected):
            missing = [key for key in expected if key not in keys]
            extra = [plain.describe(key) for key, _ in found if key not in expected] if len(keys) == len(found) else []
            self._fail(
                "keys", f"wrong keys.\n Missing: {missing or 'none'}; not wanted: {', '.join(extra) or 'none'}.", name
            )
        for key, value in found:
            self(value, expected[key], f"{name}[{key!r}]")

    def _other(self, actual: typing.Any, expected: typing.Any, name: str) -> None:
        __tracebackhide__ = True
        if type(actual) is not type(expected) or (
            isinstance(expected, (set, frozenset)) and not plain.is_plain(actual)
        ):
            raise plain.wrong_type(actual, plain.describe(expected).split(" (")[0], name, self.hint)
        if actual is not expected and expected != actual:
            self._fail("value", f"wrong value.\n Found {actual!r:.200}, wanted {expected!r:.200}.", name)

    def _numeric(self, actual: typing.Any, expected: typing.Any, name: str) -> None:
        __tracebackhide__ = True
        self._require_type(actual, expected, name)
        found_shape, wanted_shape = plain.shape_of(actual), plain.shape_of(expected)
        if found_shape != wanted_shape:
            self._fail("shape", shape_message(found_shape, wanted_shape, name).split(": ", 1)[1], name)
        if plain.is_tensor(actual) and plain.is_tensor(expected):
            if actual.dtype != expected.dtype:
                self._fail("dtype", f"wrong dtype.\n Found {actual.dtype}, wanted {expected.dtype}.", name)
            if actual.device != expected.device:
                self._fail("device", f"wrong device.\n Found {actual.device}, wanted {expected.device}.", name)
        found, wanted = plain.values(actual), plain.values(expected)
        bad = ~torch.isfinite(found) & torch.isfinite(wanted)
        if bad.any():
            raise nan_error(found, bad, name, self.hint)
        self._values(found, wanted, *self._tolerances(actual, expected), name)

    def _require_type(self, actual: typing.Any, expected: typing.Any, name: str) -> None:
        __tracebackhide__ = True
        plain.require_numeric(actual, name, self.hint)
        if plain.is_tensor(expected) and expected.dim() and not plain.is_tensor(actual):
            raise plain.wrong_type(actual, plain.describe(expected), name, self.hint)
        if plain.is_number(expected):
            truth = plain.values(actual).dtype == torch.bool
            if truth != (plain.values(expected).dtype == torch.bool):
                raise plain.wrong_type(actual, plain.describe(expected), name, self.hint)

    def _tolerances(self, actual: typing.Any, expected: typing.Any) -> tuple[float, float]:
        pairs = [_tolerance(actual), _tolerance(expected)]
        rtol, atol = max(pairs)
        return (rtol if self.rtol is None else self.rtol), (atol if self.atol is None else self.atol)

    def _values(self, found: torch.Tensor, wanted: torch.Tensor, rtol: float, atol: float, name: str) -> None:
        __tracebackhide__ = True
        if not found.numel():
            return
        wide = torch.complex128 if found.is_complex() or wanted.is_complex() else torch.float64
        a, e = found.to(wide), wanted.to(wide)
        off = (a - e).abs().nan_to_num(nan=torch.inf)
        allowed = atol + rtol * e.abs()
        same = (found == wanted) | (torch.isnan(a) & torch.isnan(e))  # not in float64: it has no integers above 2**53
        if rtol or atol:
            same |= (off <= allowed) & torch.isfinite(e)
        wrong = ~same
        if not wrong.any():
            return
        excess = torch.where(wrong, off / allowed.clamp_min(1e-300), -1.0)
        # NumPy's: torch's own would import all of SymPy at the first failed check, seconds
        index = tuple(int(i) for i in np.unravel_index(int(excess.argmax()), tuple(excess.shape)))
        count = f"{int(wrong.sum())} of {wrong.numel()} entries are wrong" if found.dim() else "wrong value"
        place = f"Worst at {list(index)}: found" if index else "Found"
        limit = "must be exact" if not rtol and not atol else f"off by {off[index]:.3g}, allowed {allowed[index]:.3g}"
        rule = "" if not rtol and not atol else f" Tolerance: atol {atol:.3g} + rtol {rtol:.3g} × |wanted|."
        message = f"{count}.\n {place} {_show(found[index])}, wanted {_show(wanted[index])} ({limit}).{rule}"
        self._fail("value", message + _resemblance(a, e), name)


def _tolerance(value: typing.Any) -> tuple[float, float]:
    dtype = plain.values(value).dtype
    if not (dtype.is_floating_point or dtype.is_complex):
        return EXACT
    return NUMBERS if plain.is_number(value) else TOLERANCES.get(dtype, TOLERANCES[torch.bfloat16])


def _show(entry: torch.Tensor) -> str:
    value = entry.item()
    return f"{value:.7g}" if isinstance(value, float) else str(value)


def _resemblance(found: torch.Tensor, wanted: torch.Tensor) -> str:
    """One plain fact about how the whole answer is off, where there is one: a factor, a shift, a transpose."""
    if not (torch.isfinite(found).all() and torch.isfinite(wanted).all()):
        return ""

    def near(a: torch.Tensor, b: torch.Tensor) -> bool:
        return bool(torch.allclose(a, b, rtol=1e-3, atol=1e-3 * float(b.abs().max())))

    if found.abs().max() == 0:
        return "\n Every entry found is 0."
    if found.numel() > 1 and wanted.abs().max() > 0:
        ratio = (found * wanted.conj()).sum() / (wanted * wanted.conj()).sum()
        if abs(ratio) > 1e-3 and near(found, ratio * wanted):
            return f"\n Everywhere about {_show(ratio)} × what is wanted."
        shift = (found - wanted).mean()
        if near(found - wanted, shift.expand_as(wanted)):
            return f"\n Everywhere about {_show(shift)} more than what is wanted."
    if found.dim() == 2 and found.shape[0] == found.shape[1] and near(found.T, wanted):
        return "\n It is the transpose of what is wanted."
    return ""
