"""Whoever uses up the machine, or ends the kernel, loses that exercise and nothing else."""

import pytest

from tests.attacks.conftest import attacks_of


@pytest.mark.parametrize("attack", attacks_of("ending", "floods", "room"))
def test_is_held_off(ground, attack):
    outcome = ground.attempt(attack)
    assert outcome.held, outcome.happened
