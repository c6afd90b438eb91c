"""The grader's processes are killed at random moments: the grades are those of an undisturbed run, and nothing is left.

In the sandbox, with two workers. Whom to kill is found among the processes of a run by what they are: the main process,
a worker (or what workers are made from), the warm parent, a kernel with its guardian. Victims and moments come from a
seed; how far a run has got by then is the machine's business.
"""

import contextlib
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from autograder.sandbox.client import PREFIX, why_no_sandbox
from tests.handins import SUM, TINY, command, hand_in, solved
from tests.test_grading_faults import left_behind, the_same

NO_SANDBOX = why_no_sandbox() if sys.platform == "linux" else "the sandbox is Linux's"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(NO_SANDBOX), reason=f"no sandbox here: {NO_SANDBOX}"),
]
VICTIMS = ("main", "worker", "warm parent", "kernel")
SEEDS, KILLS = 6, 9  # at least 50 altogether
WORK_SECONDS = 0.5  # that one hand-in computes, so that there is a middle to be killed in
WAIT_SECONDS = 120  # a run ends by then, however it ends


def grade(root: Path, *more: str) -> subprocess.Popen:
    arguments = command("grade", TINY, "--class", root, "--json", "--workers", 2, *more)
    return subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def graded(root: Path, *more: str) -> None:
    with grade(root, *more) as main:
        said = main.stderr.read()
    assert main.returncode == 0, said


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A class that was graded without a fault, and the seconds that took."""
    root = tmp_path_factory.mktemp("undisturbed")
    slow = f"import time\ntime.sleep({WORK_SECONDS})\n{SUM}"
    dying = "import os\ndef slope(p, t):\n    os._exit(3)"
    answers = {"ada": {}, "bob": {"loss": SUM}, "cyd": {"loss": slow}, "dan": {"step": "1 +"}, "eve": {"slope": dying}}
    for student, changed in answers.items():
        hand_in(root, student, solved(changed))
    (root / "seed").write_text('{"tiny_line": "faults"}')
    begin = time.monotonic()
    graded(root)
    return root, time.monotonic() - begin


class Family:
    """The processes that a run has and had."""

    def __init__(self, pid: int):
        self.main = psutil.Process(pid)
        self.seen: dict[int, psutil.Process] = {pid: self.main}

    def look(self) -> None:
        with contextlib.suppress(psutil.Error):
            self.seen |= {p.pid: p for p in self.main.children(recursive=True)}

    def of(self, role: str) -> list[psutil.Process]:
        """Those that live and have the role."""
        self.look()
        return [p for p in self.seen.values() if p.is_running() and self._role(p) == role]

    def _role(self, process: psutil.Process) -> str:
        if process == self.main:
            return "main"
        try:
            words, parents = process.cmdline(), [p.pid for p in process.parents()]
        except psutil.Error:
            return ""
        if not words or "bwrap" in Path(words[0]).name or any("resource_tracker" in word for word in words):
            return ""
        if not self._walled(process.pid):
            return "worker"
        # inside the walls: the warm parent, below it guardians, below those kernels and what they start
        depth = sum(self._walled(pid) and not self._is_bwrap(pid) for pid in parents)
        return "warm parent" if depth == 0 else "kernel"

    def _walled(self, pid: int) -> bool:
        try:
            return os.readlink(f"/proc/{pid}/ns/pid") != os.readlink("/proc/self/ns/pid")
        except OSError:
            return False

    def _is_bwrap(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            return "bwrap" in Path(f"/proc/{pid}/comm").read_text()
        return False


def kill(root: Path, role: str, when: float, draw: random.Random, *more: str) -> str:
    """Grades, and kills one process of that role at `when` seconds, or as soon after as there is one. Gives its role,
    or "" when the run ended before."""
    killed = ""
    with grade(root, *more) as main:
        family, begin = Family(main.pid), time.monotonic()
        while main.poll() is None and time.monotonic() - begin < WAIT_SECONDS:
            family.look()
            if not killed and time.monotonic() - begin >= when and (there := family.of(role)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    draw.choice(there).kill()
                    killed = role
            time.sleep(0.05)
        assert main.poll() is not None, "it hangs"
        said = main.stderr.read()
    if killed != "main":
        assert main.returncode == 0, said  # it goes on, whoever else was killed
    _, alive = psutil.wait_procs(list(family.seen.values()), timeout=30)
    assert not alive, alive
    return killed


def mounts() -> list[str]:
    return [
        row for row in Path("/proc/self/mountinfo").read_text().splitlines() if PREFIX in row or "autograder" in row
    ]


killed_so_far: list[str] = []


@pytest.mark.parametrize("seed", range(SEEDS))
def test_killed_at_random_moments_nothing_is_lost_doubled_or_left(undisturbed, tmp_path, seed):
    expected, seconds = undisturbed
    folders, mounted = set(Path("/tmp").glob(f"{PREFIX}*")), mounts()
    draw = random.Random(seed)
    for number in range(KILLS):
        root = tmp_path / str(number)
        again = draw.random() < 0.5  # a class that was graded before, all of it once more; or a new one
        shutil.copytree(expected if again else expected / "submitted", root if again else root / "submitted")
        shutil.copy(expected / "seed", root / "seed")
        role = VICTIMS[number % len(VICTIMS)]
        killed_so_far.append(kill(root, role, draw.uniform(0, seconds), draw, *["--force"] * again))
        if killed_so_far[-1] == "main":
            graded(root)
        the_same(root, expected)
    assert left_behind(root, folders) == []
    assert mounts() == mounted


def test_that_were_fifty_kills_of_every_kind():
    """Runs after those above; alone it has nothing to count."""
    if len(killed_so_far) < SEEDS * KILLS:
        pytest.skip("the kills before it were not all asked for")
    counts = {role: killed_so_far.count(role) for role in VICTIMS}
    assert sum(counts.values()) >= 50 and min(counts.values()) >= 10, counts
