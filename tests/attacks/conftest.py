"""One class and one warm parent for all attacks."""

from collections.abc import Iterable

import pytest

from autograder.attacks import ATTACKS, Attack
from autograder.attacks.running import Ground
from autograder.sandbox.client import why_no_sandbox

# They wait for a limit, move much data, or try what another one tries as well.
_SLOW = {
    "an AST transformer takes the asserts out",
    "run_code runs nothing",
    "run_cell is the student's",
    "run_cell_async is None",
    "no answer ever",
    "an answer byte by byte",
    "ten million values",
    "another version",
    "a header of 4 GB announced",
    "a number of a million digits",
    "hangs up at once",
    "answers before it is asked",
    "a second connection beside the honest one",
    "an iterator that never ends",
    "an iterator of large tensors that never ends",
    "a result of a gigabyte",
    "a result that contains itself",
    "an exception whose text never ends",
    "one message of 100 MB",
    "a flood of messages nobody asked for",
    "an error that answers with a bomb when it is asked for its lines",
    "an expression a million deep in the place of an error's lines",
    "signals ignored",
    "kills itself",
    "crashes the interpreter",
    "closes every file descriptor",
    "an endless loop",
    "prints without end",
    "a display of 60 MB",
    "memory of many processes together",
    "numpy.testing says nothing",
    "the name `checks` is the student's",
    "builtins lie",
    "torch's comparisons lie",
    "a number equal to everything",
    "an array with an object in it",
    "a class that calls itself a tensor",
    "points and grade edited in the notebook",
    "markup in a comment of the answer",
    "a student whose name is a formula",
}


def attacks_of(*families: str) -> list:
    """The attacks of these families as parameters, their names as ids."""
    return parameters(attack for attack in ATTACKS if attack.family in families)


def parameters(attacks: Iterable[Attack]) -> list:
    slow = [pytest.mark.slow]
    return [pytest.param(a, id=a.name.replace(" ", "-"), marks=slow if a.name in _SLOW else []) for a in attacks]


@pytest.fixture(scope="session")
def ground():
    """Where attacks are carried out: `ground.attempt(attack)`."""
    if why := why_no_sandbox():
        pytest.skip(f"this machine makes no sandbox: {why}")
    with Ground() as made:
        yield made
