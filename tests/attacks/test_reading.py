"""A student reads no test, no seed, no answer, nobody else's work."""

import pytest

from tests.attacks.conftest import attacks_of


@pytest.mark.parametrize("attack", attacks_of("reading"))
def test_is_held_off(ground, attack):
    outcome = ground.attempt(attack)
    assert outcome.held, outcome.happened
