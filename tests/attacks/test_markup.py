"""What a student made is never alive in front of whoever reads it."""

import pytest

from tests.attacks.conftest import attacks_of


@pytest.mark.parametrize("attack", attacks_of("markup"))
def test_is_held_off(ground, attack):
    outcome = ground.attempt(attack)
    assert outcome.held, outcome.happened
