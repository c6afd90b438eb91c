"""What a hand-in in the sandbox sees, may use, and leaves behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autograder.sandbox.cgroup import ControlGroup, leftovers
from autograder.sandbox.client import sweep
from autograder.sandbox.kernels import kernel_manager
from autograder.sandbox.limits import Limits

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")


class TestWhatItSees:
    def test_it_is_alone_and_nobody(self, run):
        seen = run(
            "import os; print(os.getuid(), os.getgid(), os.getgroups())",
            "print(sorted(int(name) for name in os.listdir('/proc') if name.isdigit()))",
            "print([row for row in open('/proc/self/status').read().splitlines() if row.startswith(('Cap', 'NoNew'))])",
        )
        assert seen.texts[0].split()[:2] == ["65534", "65534"]
        assert len(eval(seen.texts[1])) <= 2, "other processes are in sight"
        assert "NoNewPrivs:\\t1" in seen.texts[2]
        assert all(set(row.split("\\t")[1]) <= {"0", "'", "]"} for row in seen.texts[2].split(", ") if "Cap" in row)

    def test_the_launchers_environment_and_the_class_are_out_of_sight(self, run):
        seen = run(
            "import os; print(dict(os.environ)); print(open('/proc/1/environ', 'rb').read())",
            "import autograder, pathlib; print(list(pathlib.Path(autograder.__path__[0]).iterdir()))",
            "print(os.listdir('/run/sandbox'), os.path.exists('/etc/shadow'), os.path.exists('/home'))",
            f"print(os.path.exists({str(Path(__file__))!r}), os.listdir('/job'))",
        )
        assert "UNMAGIC" not in seen.texts[0]
        assert "examiner" not in seen.texts[1]
        assert "labs" not in seen.texts[1]
        assert seen.texts[2].split() == ["[]", "False", "False"]
        assert seen.texts[3].startswith("False")


class TestWhatItMayUse:
    @pytest.mark.parametrize("grouped", [True, False], ids=["control group", "what stands in for one"])
    def test_memory_of_all_processes_together(self, run, grouped, monkeypatch):
        if not grouped:
            monkeypatch.setattr(ControlGroup, "make", lambda *a, **k: None)
        ran = run(
            "import os, time\n"
            "for _ in range(8):\n"
            "    if os.fork() == 0:\n"
            "        hoard = bytearray(b'x') * (80 << 20); time.sleep(6); os._exit(0)\n"
            "time.sleep(6)\n"
            "print('still here')",
            limits=Limits(memory_mb=400),
        )
        assert ran.reason == "memory"

    def test_a_neighbour_is_not_starved_by_a_fork_bomb(self, run, parent):
        bomb = kernel_manager(parent, Limits(processes=40))
        bomb.start_kernel()
        client = bomb.client()
        client.start_channels()
        client.wait_for_ready(timeout=30)
        client.execute("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass")
        try:
            time.sleep(0.2)
            assert "fine" in run("import subprocess; print(subprocess.check_output(['echo', 'fine']))").text
        finally:
            client.stop_channels()
            bomb.provisioner.slot.close()

    def test_the_clock(self, run):
        ran = run(
            "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: time.sleep(1)",
            limits=Limits(wall_s=3),
        )
        assert ran.reason == "wall"


class TestWhatItLeaves:
    def test_nothing(self, run, parent):
        run("import subprocess; subprocess.Popen(['sleep', '1000'], start_new_session=True)")
        assert list((parent.folder / "slots").iterdir()) == []
        assert leftovers(parent.folder.name) == []
        assert "sleep 1000" not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout

    def test_when_the_grader_is_killed_its_kernels_are_gone_and_the_next_one_takes_the_rest_away(self):
        grader = subprocess.Popen([sys.executable, "-c", _GRADER], stdout=subprocess.PIPE, text=True)
        folder = Path(grader.stdout.readline().strip())
        assert folder.is_dir() and grader.stdout.readline() == "started\n"
        grader.send_signal(signal.SIGKILL)
        grader.wait()
        for _ in range(50):  # its kernels end by themselves, and soon
            alive = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout.count("sleep 4321")
            if not alive:
                break
            time.sleep(0.1)
        assert not alive
        os.utime(folder / "owner", (0, 0))  # as if it had been a while
        for _ in range(50):  # a group goes with its last process; what is still ending, the next sweep takes away
            sweep()
            if not (folder.exists() or leftovers(f"{folder.name}.")):
                break
            time.sleep(0.1)
        assert not folder.exists()
        assert leftovers(f"{folder.name}.") == []

    def test_a_sweep_leaves_what_is_in_use_and_what_is_not_ours(self, parent, tmp_path):
        os.utime(parent.folder / "owner", (0, 0))
        link = Path(f"/tmp/unmagic-{os.getpid()}-link")
        link.symlink_to(tmp_path)
        try:
            sweep()
            assert parent.folder.is_dir() and tmp_path.is_dir() and link.is_symlink()
        finally:
            link.unlink()

    def test_a_warm_parent_that_died_is_replaced(self):
        code = (
            "import os, signal\nfrom autograder.sandbox.provisioner import parent_of_kernels\n"
            "first = parent_of_kernels(cold=True); first._process.kill(); first._process.wait()\n"
            "second = parent_of_kernels(cold=True)\n"
            "print(second is not first, second.alive(), first.folder.exists())"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
        assert done.stdout.split() == ["True", "True", "False"], done.stderr

    def test_a_control_group_says_which_limit_was_hit(self):
        group = ControlGroup.make(f"unmagic-test-{os.getpid()}", memory_mb=64, processes=4)
        if group is None:
            pytest.skip("no control group can be written here")
        try:
            code = "import os, sys\nsys.stdin.read(1)\ntry:\n    for _ in range(9): os.fork() or sys.stdin.read()\n"
            code += "except OSError: pass"
            bomb = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
            group.enter(bomb.pid)
            bomb.communicate(b"g")
            assert group.refused_a_process() and not group.killed_for_memory()
        finally:
            group.close()


_GRADER = """
import time
from autograder.sandbox.client import WarmParent
from autograder.sandbox.kernels import kernel_manager
from autograder.sandbox.limits import Limits
parent = WarmParent(index=998, cold=True)
print(parent.folder, flush=True)
manager = kernel_manager(parent, Limits())
manager.start_kernel()
client = manager.client(); client.start_channels(); client.wait_for_ready(timeout=60)
client.execute_interactive("import subprocess; p = subprocess.Popen(['sleep', '4321'], start_new_session=True)")
print("started", flush=True)
time.sleep(100)
"""
