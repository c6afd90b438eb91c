"""The system, the network and the neighbours are out of reach."""

import pytest

from tests.attacks.conftest import attacks_of


@pytest.mark.parametrize("attack", attacks_of("system calls", "network", "neighbours", "writing", "signals"))
def test_is_held_off(ground, attack):
    outcome = ground.attempt(attack)
    assert outcome.held, outcome.happened
