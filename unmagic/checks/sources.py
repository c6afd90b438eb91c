"""Where a hidden test gets its numbers and its answers: `fresh` and `reference`."""

from unmagic.checks.streams import quiet
from unmagic.seeding import derive_seed

import os
import symtable
import types
import typing

import torch

VARIABLE = "UNMAGIC_SEED"
PRACTICE_SEED = "practice"  # public: what a student's own run of the tests uses


def fresh(exercise: str) -> torch.Generator:
    """A CPU generator for an exercise's test numbers: the same at each call, another for each exercise and class.

    Its seed is SHA-256 of the class's secret and the exercise. The secret is the environment variable UNMAGIC_SEED, any
    string, set when a class is graded; a student, who has none, gets the public practice seed.

    >>> torch.rand(3, generator=fresh("loss")).equal(torch.rand(3, generator=fresh("loss")))
    True
    """
    if type(exercise) is not str or not exercise:
        raise ValueError(f"fresh() takes the exercise's name, a word in quotes; found {exercise!r}.")
    secret = os.environ.get(VARIABLE) or PRACTICE_SEED
    return torch.Generator().manual_seed(derive_seed("unmagic/fresh", secret, exercise))


def reference(source: str, names: dict[str, typing.Any]) -> types.SimpleNamespace:
    """Execute the solution's source beside a copy of `names`, and give what it defines.

    Args:
        source: the solution cells that a hidden block needs; release writes them in.
        names: the notebook's `globals()`. It stays as it is: the student's names are not replaced, and the solution's
            functions see each other, not the student's.

    Returns:
        a namespace of what `source` assigns, defines or imports at its top level: `reference.loss(w, x, y)`.

    Raises:
        RuntimeError: the solution does not run; the fault is the lab's.
    """
    space = dict(names)
    try:
        with quiet():
            exec(compile(source, "<reference>", "exec"), space)
    except Exception as error:
        raise RuntimeError(
            f"The lab's own solution does not run: {type(error).__name__}: {error}. Tell your instructor."
        ) from error
    table = symtable.symtable(source, "<reference>", "exec")
    defined = [s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()]
    return types.SimpleNamespace(**{name: space[name] for name in defined if name in space})
