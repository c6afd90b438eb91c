"""A kernel that was started ahead is as good as a new one, and costs nobody anything when it is not."""

import os
import signal
import threading
import time

import pytest

from autograder import ahead
from autograder.execution import Limits as HandinLimits
from autograder.execution import execute
from autograder.fitting import FittedCell
from autograder.sandbox.cgroup import leftovers
from autograder.sandbox.client import WarmParent, why_no_sandbox
from autograder.sandbox.limits import Limits

if why := why_no_sandbox():
    pytest.skip(f"this machine makes no sandbox: {why}", allow_module_level=True)
DEFAULT = Limits()


@pytest.fixture(scope="module")
def parent():
    """Two places at one parent of cold kernels: they start as they are, and this is about when."""
    with WarmParent(index=os.getpid() % 900 + 50, cold=True, workers=2) as made:
        yield made


@pytest.fixture
def take(parent, tmp_path):
    """`take(more, limits, place)` gives a kernel as `execute` gets its own."""
    taken = []

    def one(more: bool, limits: Limits = DEFAULT, place: int = 0):
        ahead.expect(more)
        taken.append(ahead.take(parent.places[place], limits, tmp_path, ()))
        return taken[-1]

    yield one
    ahead.close()
    for kernel in taken:
        kernel.close()


def slots(parent) -> list:
    return list((parent.folder / "slots").iterdir())


def printed(kernel, source: str) -> str:
    return kernel.run(source, seconds=20, output_bytes=10_000).outputs[0]["text"].strip()


def in_waiting():
    return ahead._waiting[1].result()


class TestTheKernelInWaiting:
    def test_is_the_one_that_is_taken_next(self, take):
        first = take(True)
        waiting = in_waiting()
        assert waiting is not first and take(False) is waiting
        assert printed(waiting, "print(sorted(k for k in globals() if k == 'mark'))") == "[]"

    def test_is_not_started_when_no_more_are_expected(self, take, parent):
        take(False)
        assert ahead._waiting is None and len(slots(parent)) == 1

    def test_does_not_see_the_kernel_at_work_nor_its_files(self, take):
        first = take(True)
        first.run(
            "open('/tmp/left', 'w').write('x'); open('left', 'w').write('x'); mark = 1", seconds=20, output_bytes=99
        )
        second = take(False)
        assert printed(second, "import os; print(os.path.exists('/tmp/left'), os.path.exists('left'))") == "False False"
        assert (
            printed(second, "print('mark' in globals(), len([p for p in os.listdir('/proc') if p.isdigit()]))")
            == "False 1"
        )

    def test_is_left_aside_when_it_has_other_limits(self, take, parent):
        take(True)
        waiting = in_waiting()
        assert take(False, Limits(memory_mb=900)) is not waiting
        assert not waiting.alive() and len(slots(parent)) == 2

    def test_that_was_killed_is_replaced(self, take):
        take(True)
        in_waiting()._slot.signal(signal.SIGKILL)
        while in_waiting().alive():
            time.sleep(0.01)
        assert printed(take(False), "print('fine')") == "fine"

    def test_has_its_whole_time_before_it_from_when_it_is_taken(self, take):
        limits = Limits(wall_s=6)
        take(True, limits)
        waiting = in_waiting()
        time.sleep(4)
        assert take(False, limits) is waiting
        assert printed(waiting, "import time; time.sleep(4); print('still here')") == "still here"

    def test_leaves_nothing_when_it_is_not_needed(self, take, parent):
        first = take(True)
        in_waiting()
        ahead.close()
        first.close()
        assert slots(parent) == [] and leftovers(f"{parent.folder.name}.") == []


class TestPlacesAtOneParent:
    @pytest.mark.skipif(os.getuid() != 0, reason="only root has more than one user")
    def test_are_users_of_their_own(self, parent, take):
        owners = {os.stat(take(False, place=place)._slot.folder).st_uid for place in (0, 1)}
        assert len(owners) == 2 and 0 not in owners
        assert owners == {place.uid for place in parent.places}

    def test_their_kernels_have_no_right_and_no_way_to_one(self, take):
        status = printed(take(False, place=1), "print(open('/proc/self/status').read())")
        rows = dict(row.split(":", 1) for row in status.splitlines() if ":" in row)
        assert {rows[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
        assert rows["NoNewPrivs"].strip() == "1" and set(rows["Uid"].split()) == {"65534"}
        assert rows["Groups"].split() in ([], ["65534"])

    def test_go_on_while_another_is_busy(self, parent, take):
        """The servers of two places wait for nothing of each other."""
        held = threading.Thread(target=lambda: take(False, place=0).run("while True: pass", seconds=3, output_bytes=99))
        held.start()
        assert printed(take(False, place=1), "print('here')") == "here"
        held.join()


def test_a_restart_takes_the_kernel_in_waiting_and_the_notebook_goes_on(tmp_path, monkeypatch):
    kinds = ("setup", "x = 1"), ("solution", "import os; os._exit(1)"), ("solution", "print(x)")
    cells = [
        FittedCell(kind, "code", source, grade_id=f"{kind}-{n}", run=True) for n, (kind, source) in enumerate(kinds)
    ]
    ahead.expect(True)
    try:
        done = execute(cells, scratch=tmp_path, secret="s", isolation="cold", limits=HandinLimits(cell_seconds=20))
    finally:
        ahead.expect(False)
        ahead.close()
    assert done.runs[1].limit == "died" and done.runs[2].outputs[0]["text"] == "1\n"
