"""Can this machine grade safely? Found out by doing it: every attack is carried out in the sandbox that grades.

Prints what the machine offers, then a row for each attack: what should happen, and what happened.
"""

import contextlib
import importlib
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from autograder.attacks import ATTACKS, Attack
from autograder.attacks.running import Ground, Outcome
from autograder.sandbox.cgroup import ControlGroup
from autograder.sandbox.client import why_no_sandbox
from autograder.sandbox.walls import NoSandbox


@dataclass(frozen=True)
class Finding:
    """Something the sandbox uses. `cure` says what to do where it is missing; `needed`: nothing goes without it."""

    name: str
    there: bool
    found: str
    cure: str = ""
    needed: bool = True


def findings() -> list[Finding]:
    """What this machine has of what the sandbox needs."""
    root = os.getuid() == 0
    bubblewrap = shutil.which("bwrap")
    found = [
        Finding("Linux", sys.platform == "linux", sys.platform, "Grade on Linux; labs and book work everywhere."),
        Finding("user", True, "root: each sandbox drops to a user of its own" if root else "an ordinary user"),
        Finding(
            "bubblewrap",
            bubblewrap is not None,
            bubblewrap or "not installed",
            "Install it: sudo apt-get install bubblewrap",
        ),
        _libseccomp(),
        _user_namespaces(),
        _control_groups(),
    ]
    if root:
        setpriv = shutil.which("setpriv")
        cure = "Install it: apt-get install util-linux"
        found.append(Finding("setpriv", setpriv is not None, setpriv or "not installed", cure))
    return found


def _libseccomp() -> Finding:
    try:
        importlib.import_module("pyseccomp")
    except (ImportError, OSError, RuntimeError) as error:
        cure = "Install it: sudo apt-get install libseccomp2, and in the environment: pip install pyseccomp"
        return Finding("libseccomp", False, str(error), cure)
    return Finding("libseccomp", True, "refuses dangerous system calls")


def _user_namespaces() -> Finding:
    for file, bad, cure in (
        ("/proc/sys/user/max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=15000"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "give bubblewrap an AppArmor profile with `userns,`, or "
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ):
        with contextlib.suppress(OSError):
            value = Path(file).read_text().strip()
            if value == bad:
                return Finding("user namespaces", False, f"{file} is {value}", f"Allow them: {cure}")
    return Finding("user namespaces", True, "allowed")


def _control_groups() -> Finding:
    group = ControlGroup.make(f"unmagic-doctor-{os.getpid()}", memory_mb=64, processes=8)
    if group is not None:
        group.close()
        return Finding("control groups", True, f"version {group.version}: memory and processes of a hand-in together")
    return Finding(
        "control groups",
        False,
        "none can be written. WHAT STANDS IN: memory is looked at ten times a second, so a hand-in may for a moment "
        "take more than its limit; processes are counted by a per-user limit",
        "Grade as root, or have a group delegated: systemd-run --user --scope -p Delegate=yes autograder grade …",
        needed=False,
    )


def examine(console: Console, isolation: str = "warm", families: Sequence[str] = ()) -> int:
    """Prints findings and the attacks' rows. Gives 0 if every attack was held off, else 1."""
    found = findings()
    for finding in found:
        sign = "ok" if finding.there else ("MISSING" if finding.needed else "WARNING")
        style = "green" if finding.there else ("bold red" if finding.needed else "bold yellow")
        console.print(Text.assemble((f"{sign:8}", style), f"{finding.name}: {finding.found}"), soft_wrap=True)
        if not finding.there:
            console.print(f"        {finding.cure}", markup=False, highlight=False, soft_wrap=True)
    why = why_no_sandbox()
    if why:
        console.print(Text.assemble(("\nNo sandbox can be made here.", "bold red"), f" {why}"), soft_wrap=True)
        cures = [f.cure for f in found if not f.there and f.needed]
        console.print(*(cures or ["Nothing that is known to be needed is missing."]), sep="\n", markup=False)
        return 1
    attacks = [attack for attack in ATTACKS if not families or attack.family in families]
    console.print(f"\n{len(attacks)} attacks, in the {isolation} sandbox that hand-ins are graded in:", highlight=False)
    through = []
    show = _table if console.is_terminal else _lines
    try:
        with Ground(isolation) as ground, show(console) as row:
            for attack in attacks:
                outcome = ground.attempt(attack)
                row(outcome)
                if not outcome.held:
                    through.append(attack)
    except NoSandbox as error:
        console.print(f"The sandbox was lost: {error}", style="bold red", markup=False)
        return 1
    if through:
        console.print(_verdict(through), style="bold red", markup=False, highlight=False)
        return 1
    console.print(f"All {len(attacks)} attacks were held off.", style="bold green", highlight=False)
    return 0


def _verdict(through: list[Attack]) -> str:
    names = ", ".join(f"“{attack.name}” ({attack.family})" for attack in through)
    return (
        f"{len(through)} attacks did not end as they should: {names}.\n"
        "Do not grade hand-ins of people you do not trust on this machine before that is understood."
    )


@contextlib.contextmanager
def _table(console: Console) -> Iterator:
    table = Table("", "family", "attack", "should happen", "happened", expand=True, show_edge=False, highlight=False)
    with Live(table, console=console, refresh_per_second=4):

        def row(outcome: Outcome) -> None:
            attack = outcome.attack
            sign = Text("held", "green") if outcome.held else Text("THROUGH", "bold red")
            table.add_row(sign, *(Text(text) for text in (attack.family, attack.name, attack.wanted, outcome.happened)))

        yield row


@contextlib.contextmanager
def _lines(console: Console) -> Iterator:
    def row(outcome: Outcome) -> None:
        attack, sign = outcome.attack, "held   " if outcome.held else "THROUGH"
        text = f"{sign}  {attack.family}: {attack.name} | wanted: {attack.wanted} | {outcome.happened}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    yield row
