"""The warm parent is killed, the disk is full, the gradebook is read-only: a rerun gives the grades as they should be.

In the sandbox, with two workers.
"""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from autograder.classroom import Classroom
from autograder.gradebook import Book
from autograder.sandbox.cgroup import leftovers
from autograder.sandbox.client import PREFIX, sweep, why_no_sandbox
from tests.handins import SUM, TINY, autograder, command, hand_in, solved, tiny
from tests.test_grading_run import in_gradebook

NO_SANDBOX = why_no_sandbox() if sys.platform == "linux" else "the sandbox is Linux's"
pytestmark = pytest.mark.skipif(bool(NO_SANDBOX), reason=f"no sandbox here: {NO_SANDBOX}")

WORK_SECONDS = 2.0  # that the slow hand-in computes, so that there is a middle to be killed in


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A class that was graded without a fault."""
    root = tmp_path_factory.mktemp("undisturbed")
    slow = f"import time\ntime.sleep({WORK_SECONDS})\n{SUM}"
    for student, answers in {"ada": {}, "bob": {"loss": SUM}, "cyd": {"loss": slow}, "dan": {"step": "1 +"}}.items():
        hand_in(root, student, solved(answers))
    (root / "seed").write_text('{"tiny_line": "faults"}')
    _grade(root)
    return root


@pytest.fixture
def again(undisturbed, tmp_path):
    """The same hand-ins and seed, nothing graded."""
    root = tmp_path / "class"
    shutil.copytree(undisturbed / "submitted", root / "submitted")
    shutil.copy(undisturbed / "seed", root / "seed")
    return root


def _command(root: Path, *more: str) -> list[str]:
    return command("grade", TINY, "--class", root, "--json", "--workers", 2, *more)


def _grade(root: Path, *more: str) -> None:
    done = subprocess.run(_command(root, *more), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def verdicts(root: Path) -> dict:
    """All that a result holds but when and how it was made, and of what."""
    found = {}
    for path in (root / "results" / "tiny_line").glob("*.json"):
        found[path.stem] = json.loads(path.read_text("utf-8"))
        for name in ("times", "hashes", "tests_run", "moved"):
            del found[path.stem][name]
    return found


def _family(pid: int) -> list[psutil.Process]:
    try:
        main = psutil.Process(pid)
        return [main, *main.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _role(process: psutil.Process) -> str:
    try:
        words = process.cmdline()
    except psutil.Error:
        return ""
    return "warm parent" if "autograder.sandbox.parent" in words and "bwrap" not in Path(words[0]).name else ""


def left_behind(root: Path, before: set[Path]) -> list[Path]:
    """Folders and control groups that nobody owns, after the next grader has swept; and the class's kernels' folder."""
    end = time.monotonic() + 20
    while True:
        sweep()  # what is too young to be judged is swept later
        folders = {p for p in Path("/tmp").glob(f"{PREFIX}*") if p not in before and _ownerless(p)}
        # a group may outlive its folder for a moment, here and in another grader that runs meanwhile
        groups = [g for g in leftovers(PREFIX) if not Path("/tmp", g.name.partition(".")[0]).exists()]
        if not (folders or groups) or time.monotonic() > end:
            break
        time.sleep(0.5)
    with Classroom(root).scratch() as scratch:
        pass
    return [*folders, *groups, *([scratch] if scratch.exists() else []), *root.rglob("gradebook.holder.json")]


def _ownerless(folder: Path) -> bool:
    try:
        with open(folder / "owner") as owner:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except FileNotFoundError:
        return folder.exists()
    except OSError:
        return False


def the_same(root: Path, undisturbed: Path) -> None:
    assert verdicts(root) == verdicts(undisturbed)
    assert in_gradebook(root) == in_gradebook(undisturbed)


def test_a_warm_parent_that_is_killed_in_the_middle_costs_nobody_a_mark(undisturbed, again):
    before = set(Path("/tmp").glob(f"{PREFIX}*"))
    with subprocess.Popen(_command(again), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as main:
        killed = None
        while main.poll() is None and killed is None:
            # a kernel is a grandchild of the warm parent: guardian, then kernel
            parents = [p for p in _family(main.pid) if _role(p) == "warm parent"]
            for process in parents[:1]:
                with contextlib.suppress(psutil.Error):
                    if process.children(recursive=True) and (again / "results").exists():
                        process.kill()
                        killed = process
            time.sleep(0.02)
        said = main.stderr.read()
    assert killed is not None and main.returncode == 0, said
    the_same(again, undisturbed)
    assert left_behind(again, before) == []


@pytest.mark.slow
def test_a_gradebook_that_cannot_be_written_is_said_and_afterwards_all_is_graded(undisturbed, again):
    Book(Classroom(again).gradebook_url, tiny()).close()  # it knows the lab and nobody's grades
    with _read_only(again / "gradebook.db"):
        done = autograder("grade", TINY, "--class", again, "--isolation", "none", "--workers", 1, ok=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "gradebook" in done.stderr and "Traceback" not in done.stderr
    _grade(again)
    the_same(again, undisturbed)


@contextlib.contextmanager
def _read_only(path: Path):
    if os.getuid() == 0:  # whom modes do not stop
        _mount("--bind", path, path)
        _mount("-o", "remount,bind,ro", path)
        try:
            yield
        finally:
            subprocess.run(["umount", str(path)], check=True, timeout=20)
    else:
        path.chmod(0o444)
        yield
        path.chmod(0o644)


def _mount(*words: object) -> None:
    done = subprocess.run(["mount", *map(str, words)], capture_output=True, text=True, timeout=20)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr}")


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [64, 300])
def test_a_full_disk_is_said_and_with_room_again_all_is_graded(undisturbed, again, tmp_path, kilobytes):
    root = tmp_path / "small"
    root.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", root)
    try:
        shutil.copytree(again / "submitted", root / "submitted")
        shutil.copy(again / "seed", root / "seed")
        done = subprocess.run(_command(root), capture_output=True, text=True, timeout=300)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "Traceback" not in done.stderr and ("room" in done.stderr or "full" in done.stderr), done.stderr
        _mount("-o", "remount,size=50m", root)
        _grade(root)
        the_same(root, undisturbed)
    finally:
        subprocess.run(["umount", str(root)], check=True, timeout=20)
