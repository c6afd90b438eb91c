"""What the student's process sends is a claim, and may be anything."""

import pytest

from tests.attacks.conftest import attacks_of


@pytest.mark.parametrize("attack", attacks_of("wire", "handles", "messages"))
def test_is_held_off(ground, attack):
    outcome = ground.attempt(attack)
    assert outcome.held, outcome.happened
