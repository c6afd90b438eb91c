"""Whether a mutant that is said to change nothing agrees with the solution, on a thousand inputs."""

from __future__ import annotations

from unmagic import checks
from unmagic.seeding import derive_seed, seed_everything

import ast
import contextlib
import io
from itertools import zip_longest
from typing import Any

import torch

from autograder.labs import Lab

INPUTS = 1000


def difference(lab: Lab, exercise: str, mutant: str, inputs: str) -> str:
    """Where the mutant of an exercise's solution differs from it; "" when it agrees on all inputs.

    inputs  source that defines `inputs(generator: torch.Generator) -> tuple`, the arguments of one call. Called is the
            function in which the change stands; where it stands in none, the one with the exercise's name.

    Compared are what is returned or raised, and what became of the arguments, to 1e-6 of the value.
    A solution that raises on every input shows nothing: that is a difference as well.
    """
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        space: dict[str, Any] = {"__name__": "__main__"}
        for cell in lab.cells:
            if cell.kind == "setup" or cell.kind == "solution":
                exec(compile(cell.solution, f"<{cell.grade_id}>", "exec", dont_inherit=True), space)
        original, changed = dict(space), dict(space)
        solution = lab.solution(exercise).solution
        exec(compile(solution, "<solution>", "exec", dont_inherit=True), original)
        exec(compile(mutant, "<mutant>", "exec", dont_inherit=True), changed)
        exec(compile(inputs, "<inputs>", "exec", dont_inherit=True), space)
        name = changed_function(solution, mutant) or exercise
        if name not in original:
            return f"the change stands in no function and none is called {exercise}: write it inside of one"
        raised = set()
        for number in range(INPUTS):
            seed = derive_seed("unmagic/equivalent", exercise, str(number))
            there, here = (_called(side[name], space["inputs"], seed) for side in (original, changed))
            raised.add(there[0])
            try:
                checks.assert_close(here, there, rtol=1e-6, atol=1e-9, name="result and arguments")
            except AssertionError as error:
                return f"on input {number}: {' '.join(str(error).split())}"
    if "" not in raised:
        return f"{name} itself raises {' or '.join(sorted(raised))} on all inputs: draw arguments that it takes"
    return ""


def changed_function(solution: str, mutant: str) -> str:
    """The name of the function in which two versions of a cell differ; "" when they differ elsewhere."""
    for one, other in zip_longest(ast.parse(solution).body, ast.parse(mutant).body):
        if isinstance(one, ast.FunctionDef) and (other is None or ast.dump(one) != ast.dump(other)):
            return one.name
    return ""


def _called(function: Any, inputs: Any, seed: int) -> tuple:
    """What was raised or returned, and the arguments afterwards."""
    arguments = inputs(torch.Generator().manual_seed(seed))
    seed_everything(seed % 2**32)
    try:
        raised, result = "", function(*arguments)
    except Exception as error:
        raised, result = type(error).__name__, None
    return raised, _data(result), _data(arguments)


def _data(value: Any) -> Any:
    """What can be compared of a value: of a function or another object, its type's name."""
    if isinstance(value, list | tuple):
        return [_data(entry) for entry in value]
    if isinstance(value, dict):
        return {key: _data(entry) for key, entry in value.items()}
    return value if isinstance(value, torch.Tensor | bool | int | float | str | None) else type(value).__name__
