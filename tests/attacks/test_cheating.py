"""A wrong answer gets nothing, whatever it does to the tests or to who runs them."""

import pytest

from autograder import execution
from autograder.attacks import ATTACKS
from tests.attacks.conftest import attacks_of


@pytest.mark.parametrize("attack", attacks_of("patching", "hooks", "objects", "metadata"))
def test_is_held_off(ground, attack):
    outcome = ground.attempt(attack)
    assert outcome.held, outcome.happened


# What the attacks below do is no trick against a straw man: with the tests in the student's own process, they work.
_WORK_OTHERWISE = (
    "unmagic.checks says nothing",
    "an AST transformer takes the asserts out",
    "an input transformer empties the cells",
    "run_code runs nothing",
    "the kernel's do_execute says ok",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", _WORK_OTHERWISE)
def test_gets_points_where_the_tests_run_in_the_students_process(ground, name, monkeypatch):
    session = execution._Session
    monkeypatch.setattr(execution, "_Session", lambda cells, kernel, limits, examiner: session(cells, kernel, limits))
    attack = next(a for a in ATTACKS if a.name == name)
    assert ground.mark(attack).result.points > attack.earns
