"""The table of attacks itself, and what is left when all of them are over."""

import re
import subprocess
from pathlib import Path

from autograder.attacks import ATTACKS, FAMILIES, HandIn, Probe
from autograder.attacks.kinds import RIGHT
from autograder.attacks.running import live_markup
from autograder.sandbox.cgroup import leftovers
from autograder.sandbox.provisioner import parent_of_kernels
from tests.attacks import beside_stock, conftest


def test_every_attack_has_a_name_of_its_own_and_a_test():
    names = [attack.name for attack in ATTACKS]
    assert len(names) == len(set(names)) >= 50
    assert set(names) >= conftest._SLOW
    tested = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert all(f'"{family}"' in tested for family in FAMILIES)


def test_an_honest_hand_in_gets_every_point(ground):
    honest = HandIn("honest", "none", RIGHT["total"], earns=7.0)
    outcome = ground.attempt(honest)
    assert outcome.held, outcome.happened


def test_an_attack_that_gets_through_is_told(ground):
    reads = Probe("reads", "none", "reached(open('/job/.sockets/connection.json').read())", "Error")
    assert not ground.attempt(reads).held
    was_not_tried = Probe("broken", "none", "no_such_name", "FileNotFoundError")
    assert not ground.attempt(was_not_tried).held
    assert not ground.attempt(HandIn("gets points", "none", RIGHT["total"], earns=0.0)).held
    leaks = HandIn("leaks", "none", "print('can' + 'ary-hidden-test')\n" + RIGHT["total"], earns=7.0)
    assert not ground.attempt(leaks).held


def test_markup_that_is_alive_is_seen():
    alive = ("<script>1</script>", "<a onclick=x>", '<a href="java\nscript:x">', "<img src=http://x/y.png>", "<iframe>")
    assert all(live_markup(text) for text in alive)
    assert not live_markup('<p>&lt;script&gt; <a href="http://x.org">x</a><img src="data:image/png;base64,AA==">')


def test_nothing_is_left(ground):
    ground.attempt(next(a for a in ATTACKS if a.name == "daemons that outlive the notebook"))
    parent = parent_of_kernels()
    slots = list((parent.folder / "slots").iterdir())
    assert len(slots) <= 1  # the probes' kernel
    assert len({group.name for group in leftovers(f"{parent.folder.name}.")}) <= 1
    assert "sleep 4711" not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout


def test_the_table_beside_stock_nbgrader_has_every_attack_and_all_were_held_here():
    text = beside_stock.TABLE.read_text("utf-8")
    rows = [re.split(r" (?<!\\)\| ", line.strip("| ")) for line in text.splitlines() if line.startswith("| ")][1:]
    missing = {attack.name for attack in ATTACKS} - {row[1].replace("\\|", "|").replace("&lt;", "<") for row in rows}
    assert not missing, "run python -m tests.attacks.beside_stock"
    assert {row[-1] for row in rows} == {"held"}
