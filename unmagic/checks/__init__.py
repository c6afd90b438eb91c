"""What a lab's tests are written with: assertions that say what is wrong, and numbers nobody can foresee.

    checks.assert_close(loss(w, x, y), torch.tensor(0.25), name="loss", hint="take the mean over the points")

Every assertion raises `CheckError` with a kind, the name of what was checked, what was found, what was wanted, and the
hint last.

Only plain values are judged: `torch.Tensor` (and `torch.nn.Parameter`), NumPy arrays, numbers, strings, None and
containers of these, by their exact type. An object that calls itself equal to everything, or a subclass of Tensor that
answers for itself, is an error of kind "type" before anything of its own is called.
"""

from unmagic.checks.assertions import (
    assert_device,
    assert_dtype,
    assert_finite,
    assert_in_range,
    assert_raises,
    assert_shape,
    assert_true,
)
from unmagic.checks.by_hand import assert_by_hand
from unmagic.checks.compare import assert_close, assert_equal, assert_unchanged
from unmagic.checks.counting import torch_calls
from unmagic.checks.errors import CheckError
from unmagic.checks.sources import PRACTICE_SEED, fresh, reference
from unmagic.checks.streams import divert_warnings_in_notebooks, quiet

__all__ = [
    "PRACTICE_SEED",
    "CheckError",
    "assert_by_hand",
    "assert_close",
    "assert_device",
    "assert_dtype",
    "assert_equal",
    "assert_finite",
    "assert_in_range",
    "assert_raises",
    "assert_shape",
    "assert_true",
    "assert_unchanged",
    "fresh",
    "quiet",
    "reference",
    "torch_calls",
]

divert_warnings_in_notebooks()
