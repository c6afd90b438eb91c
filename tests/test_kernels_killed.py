"""A kernel that ends: by the student's own doing it costs the exercise; ended from outside it costs nobody a mark."""

import os
import signal
import sys
import time

import pytest

import autograder.ahead
import autograder.sandboxed
from autograder import grade_notebook
from autograder.execution import ATTEMPTS, Limits
from autograder.kernel import KernelStartError
from autograder.sandbox.client import why_no_sandbox
from tests.handins import SUM, TINY, solved

NO_SANDBOX = why_no_sandbox() if sys.platform == "linux" else "the sandbox is Linux's"
pytestmark = pytest.mark.skipif(bool(NO_SANDBOX), reason=f"no sandbox here: {NO_SANDBOX}")
FULL = {"test_loss": 2.0, "test_loss__one_point": 1.0, "test_slope": 2.0, "test_step": 4.0, "why": None}
HAND_IN = {"loss": SUM}
EARNED = {**FULL, "test_loss": 0.0}


@pytest.fixture
def kernels(monkeypatch):
    """Every kernel that is made, in order."""
    made = []

    class Counted(autograder.sandboxed.SandboxKernel):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr(autograder.sandboxed, "SandboxKernel", Counted)
    return made


def process_of(kernel) -> int:
    descriptor = kernel._slot.process
    with open(f"/proc/self/fdinfo/{descriptor}") as rows:
        return next(int(row.split()[1]) for row in rows if row.startswith("Pid:"))


def parent_process(pid: int) -> int:
    with open(f"/proc/{pid}/status") as rows:
        return next(int(row.split()[1]) for row in rows if row.startswith("PPid:"))


def end(kernel, whom: str) -> None:
    """Kills, and waits until that has reached the kernel. Its parent is the guardian, whose parent is the warm one."""
    victim = process_of(kernel)
    for _ in range(("kernel", "guardian", "warm parent").index(whom)):
        victim = parent_process(victim)
    os.kill(victim, signal.SIGKILL)
    until = time.monotonic() + 20
    while kernel.alive() and time.monotonic() < until:
        time.sleep(0.01)


@pytest.fixture
def disturb(kernels, monkeypatch):
    """`disturb(whom, cell, times)`: ends one of the processes just before kernels run a cell with that text."""

    def arrange(whom: str, cell: str, times: int) -> None:
        run, left = autograder.sandboxed.SandboxKernel.run, [None] * times

        def run_disturbed(kernel, source, **limits):
            if cell in source and left:
                left.pop()
                end(kernel, whom)
            return run(kernel, source, **limits)

        monkeypatch.setattr(autograder.sandboxed.SandboxKernel, "run", run_disturbed)

    return arrange


@pytest.mark.parametrize("whom", ["kernel", "guardian", "warm parent"])
@pytest.mark.parametrize("cell", ["def slope", "autograder.bridge.notebook"], ids=["at the student's", "at a test"])
def test_ended_from_outside_the_hand_in_is_run_again(kernels, disturb, whom, cell):
    disturb(whom, cell, 1)
    found = grade_notebook(solved(HAND_IN), TINY, seed="s")
    assert (found.state, found.scores()) == ("graded", EARNED)
    assert found.limits_hit == [] and len(kernels) == 2


def test_ended_again_and_again_it_is_the_grader_that_failed(kernels, disturb):
    disturb("kernel", "def slope", ATTEMPTS)
    found = grade_notebook(solved(HAND_IN), TINY, seed="s")
    assert (found.state, found.reason_code) == ("ungradable", "no_kernel")
    assert "ended from outside" in found.reason and set(found.scores().values()) == {None}
    assert len(kernels) == ATTEMPTS


@pytest.mark.parametrize(
    "does",
    [
        pytest.param("os._exit(0)", id="its own exit"),
        pytest.param("os.kill(os.getpid(), 11)\n    ctypes.string_at(0)", id="a crash"),
        pytest.param("os.kill(os.getpid(), 9)\n    os._exit(9)", id="SIGKILL to itself, which does nothing"),
        pytest.param("os.kill(os.getppid(), 9)\n    os._exit(9)", id="SIGKILL to whatever made it"),
    ],
)
def test_ended_by_the_student_it_costs_the_exercise_and_no_other(kernels, does):
    slope = f"import ctypes, os\ndef slope(p, t):\n    {does}"
    step = "def step(value, rate):\n    return value - rate * 2 * value"
    found = grade_notebook(solved({**HAND_IN, "slope": slope, "step": step}), TINY, seed="s")
    assert (found.state, found.reason_code) == ("graded", "kernel_died")
    assert found.scores() == {**EARNED, "test_slope": 0.0} and len(kernels) == 2


def test_processor_time_cannot_be_cut_to_look_killed_from_outside(kernels):
    slope = (
        "import resource\n"
        "def slope(p, t):\n"
        "    try:\n"
        "        resource.setrlimit(resource.RLIMIT_CPU, (1, 1))\n"
        "    except (ValueError, OSError):\n"
        "        return 2 * sum(a - b for a, b in zip(p, t)) / len(p)\n"
        "    while True:\n"
        "        pass"
    )
    found = grade_notebook(solved({**HAND_IN, "slope": slope}), TINY, seed="s", limits=Limits(cell_seconds=10))
    assert found.scores() == EARNED and len(kernels) == 1


class TestAKernelThatDoesNotStart:
    @pytest.fixture
    def failing(self, monkeypatch):
        """`failing(n)`: the next n kernels are ended as they start; counts how many were asked for."""
        take, asked = autograder.ahead.take, []

        def arrange(times: int) -> list:
            def taken(*arguments):
                asked.append(arguments)
                if len(asked) <= times:
                    raise KernelStartError("A kernel did not start: its process ended as it started")
                return take(*arguments)

            monkeypatch.setattr(autograder.ahead, "take", taken)
            return asked

        return arrange

    def test_is_asked_for_again_and_the_hand_in_gets_what_it_earned(self, failing):
        asked = failing(ATTEMPTS - 1)
        found = grade_notebook(solved(HAND_IN), TINY, seed="s")
        assert (found.state, found.scores(), len(asked)) == ("graded", EARNED, ATTEMPTS)

    def test_again_and_again_is_said_to_be_the_machines_fault_with_its_words(self, failing):
        asked = failing(99)
        found = grade_notebook(solved(HAND_IN), TINY, seed="s")
        assert (found.state, found.reason_code, len(asked)) == ("ungradable", "no_kernel", ATTEMPTS)
        assert "its process ended as it started" in found.reason
