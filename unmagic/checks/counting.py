"""Work counted instead of timed: how many torch operations a call makes."""

import typing
from collections.abc import Callable

from torch.utils._python_dispatch import TorchDispatchMode


class _Counter(TorchDispatchMode):
    """Counts what reaches torch's dispatcher: each operation once, whatever Python function it came from."""

    calls = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.calls += 1
        return function(*args, **(kwargs or {}))


def torch_calls(function: Callable, *args: typing.Any, **kwargs: typing.Any) -> tuple[typing.Any, int]:
    """What `function(*args, **kwargs)` gives, and the number of torch operations it made.

    An operation is one call of the dispatcher (an indexing, a view, a product of matrices), on whatever size: a loop in
    Python over an image makes more of them the larger the image is. What the call raises is raised. When a lab is
    graded, the count is taken where the student's code runs.

    >>> import torch
    >>> torch_calls(lambda x: x * 2 + 1, torch.ones(3))[1]
    2
    """
    across = getattr(type(function), "__torch_calls__", None)  # a student's function, seen from the trusted side
    if across is not None:
        return across(function, args, kwargs)
    with _Counter() as counter:
        result = function(*args, **kwargs)
    return result, counter.calls
