"""What people try on a grader: one table of attacks, for `autograder doctor` and the tests.

`kinds` says what an attack is, a module a family holds them, `running` carries them out (in the sandbox only, each
bounded in count and time). `target/` is the lab that they hand in.
"""

from autograder.attacks import cheating, exhausting, markup, protocol, reading, system
from autograder.attacks.kinds import Attack, HandIn, Probe

ATTACKS: tuple[Attack, ...] = (
    *reading.ATTACKS,
    *cheating.ATTACKS,
    *protocol.ATTACKS,
    *system.ATTACKS,
    *exhausting.ATTACKS,
    *markup.ATTACKS,
)
FAMILIES = tuple(dict.fromkeys(attack.family for attack in ATTACKS))

__all__ = ["ATTACKS", "FAMILIES", "Attack", "HandIn", "Probe"]
