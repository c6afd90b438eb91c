"""The trusted side of the sandbox: starts warm parents and asks them for kernels."""

import array
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

from autograder.sandbox import gpus
from autograder.sandbox.cgroup import ControlGroup, leftovers
from autograder.sandbox.limits import Limits
from autograder.sandbox.walls import INSIDE_JOB, INSIDE_RUN, NoSandbox, outer_walls, python_inside

SOCKETS_INSIDE = f"{INSIDE_JOB}/.sockets"  # a slot's `sockets`, as its kernel sees them

PREFIX = "unmagic-"  # of the folders and control groups that a sandbox makes
_ROOT = Path("/tmp")
_OWNER = "owner"  # a file in a parent's folder, locked by the process that made it
_STALE_S = 3600.0  # a folder without that file is given up after this long
_LOCKING_S = 5.0  # more than there is between making that file and locking it
_FIRST_UID = 61_000  # one outer user a warm parent, so that two never share a budget; above what distributions hand out
_READY_S = 120.0
_TOLD_S = 10.0  # for a guardian to say how its kernel ended
_REASONS = {b"W": "wall", b"M": "memory", b"C": "cpu", b"K": "killed", b"E": ""}


def sweep() -> None:
    """Take away what graders that were killed left behind: folders whose owner is gone, and control groups of those."""
    for folder in _ROOT.glob(f"{PREFIX}*"):
        if _left_behind(folder):
            shutil.rmtree(folder, ignore_errors=True)
    for group in leftovers(PREFIX):
        if not (_ROOT / group.name.partition(".")[0]).exists():
            with contextlib.suppress(OSError):  # one that still holds processes is somebody's
                group.rmdir()


def _left_behind(folder: Path) -> bool:
    """True when no living process owns a folder of ours. Another user's, and whatever is no folder, is let be."""
    try:
        about = folder.lstat()
        own = (os.getuid(),) if os.getuid() else (0, *range(_FIRST_UID, _FIRST_UID + 1000))
        if not stat.S_ISDIR(about.st_mode) or about.st_uid not in own:
            return False
        try:
            owner = os.open(folder / _OWNER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return time.time() - about.st_mtime > _STALE_S
    except OSError:
        return False
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return time.time() - os.fstat(owner).st_mtime > _LOCKING_S
    except OSError:
        return False
    finally:
        os.close(owner)


class WarmParent:
    """One warm parent in its walls. Use as a context manager; `kernel()` gives a running kernel's process."""

    def __init__(self, index: int = 0, *, cold: bool = False):
        self._uid = _FIRST_UID + index if os.getuid() == 0 else None
        sweep()
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_ROOT))  # short: a socket's path has 107 bytes
        self._owner = os.open(self.folder / _OWNER, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._owner, fcntl.LOCK_EX)  # ends with this process, however it ends
        (self.folder / "slots").mkdir()
        for path in (self.folder, self.folder / "slots"):
            self.give(path)
        inside = [python_inside(), "-m", "autograder.sandbox.parent", f"{INSIDE_RUN}/control"] + ["--cold"] * cold
        try:
            self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 — closed in `close`
            command = outer_walls(self.folder, self._uid, gpus.own()) + inside
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._log, text=True
            )
            self._wait_until_ready()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            os.close(self._owner)
            raise

    def give(self, path: Path) -> None:
        if self._uid is not None:
            os.chown(path, self._uid, self._uid)

    def _wait_until_ready(self) -> None:
        ready, _, _ = select.select([self._process.stdout], [], [], _READY_S)
        if ready and self._process.stdout.readline() == "ready\n":
            return
        self._process.kill()
        self._process.wait()
        raise NoSandbox(f"The sandbox could not be started. It said:\n{self.said()}")

    def said(self) -> str:
        """The end of what the warm parent wrote to its log."""
        self._log.seek(0)
        return self._log.read()[-4000:]

    def slot(self, files: Path | None = None) -> "Slot":
        """A new slot: the folder of one kernel's sockets, and copies of the data files that it starts with."""
        folder = self.folder / "slots" / uuid.uuid4().hex[:8]
        (folder / "sockets").mkdir(parents=True)
        if files is not None:
            shutil.copytree(files, folder / "files", ignore=shutil.ignore_patterns("*.ipynb"), symlinks=True)
        for path in (folder, *folder.rglob("*")):
            self.give(path)
        return Slot(self, folder)

    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def control(self) -> Path:
        return self.folder / "control"

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._owner)

    def __enter__(self) -> "WarmParent":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def why_no_sandbox() -> str:
    """Why this machine makes no walls around a kernel, in words for its owner; "" where it does. Tried, not guessed."""
    try:
        with WarmParent(index=999, cold=True) as parent:
            slot = parent.slot()
            try:
                slot.write("connection.json", "{}")
                slot.start(Limits(wall_s=10))
            finally:
                slot.close()
    except (NoSandbox, OSError) as error:
        return str(error)
    return ""


class Slot:
    """One kernel's place: the folder `sockets` outside is `SOCKETS_INSIDE` to its kernel."""

    def __init__(self, parent: WarmParent, folder: Path):
        self._parent, self.folder = parent, folder
        self.sockets = folder / "sockets"
        self.process: int | None = None  # pidfd
        self._group: ControlGroup | None = None
        self._line: socket.socket | None = None
        self.reason = ""  # of `_REASONS`, once it ended before it was closed; "lost" when nobody could say

    def write(self, name: str, text: str) -> None:
        """Put a small file into `sockets`, where the kernel may read it."""
        path = self.sockets / name
        path.write_text(text)
        self._parent.give(path)

    def start(self, limits: Limits) -> None:
        """Start the kernel; its connection file must lie in `sockets`. Raises NoSandbox when it could not be made."""
        group = ControlGroup.make(
            f"{self._parent.folder.name}.{self.folder.name}", limits.memory_mb, limits.processes + 8
        )
        self._line = socket.socket(socket.AF_UNIX)
        self._line.connect(str(self._parent.control))
        request = {"slot": self.folder.name, "limits": limits.to_json(), "supervise": group is None}
        self._line.sendall(json.dumps(request).encode() + b"\n")
        descriptors = array.array("i")
        _, ancillary, _, _ = self._line.recvmsg(1, socket.CMSG_SPACE(descriptors.itemsize))
        if not ancillary:
            raise NoSandbox(
                f"The walls around a kernel could not be made. The warm parent said:\n{self._parent.said()}"
            )
        descriptors.frombytes(ancillary[0][2][: descriptors.itemsize])
        self.process = descriptors[0]
        self._group = group
        if group is not None:
            group.enter(_pid(self.process))
        self._line.send(b"G")

    def limits_hit(self) -> set[str]:
        """Of "memory" and "processes", what the kernel or a process that it started ran into so far."""
        if self._group is None:
            return set()
        hit = {"memory": self._group.killed_for_memory, "processes": self._group.refused_a_process}
        return {name for name, asked in hit.items() if asked()}

    def alive(self) -> bool:
        return self.process is not None and not select.select([self.process], [], [], 0)[0]

    def signal(self, number: int) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.process, number)

    def close(self) -> None:
        """End the kernel and take away all that was made for it; `reason` then says why it had ended before."""
        if self.process is not None:
            if self._line is not None and not self.alive():
                self._line.settimeout(_TOLD_S)
                letter = b""
                with contextlib.suppress(OSError):
                    letter = self._line.recv(1)
                self.reason = _REASONS.get(letter, "lost")
            self.signal(signal.SIGKILL)
            select.select([self.process], [], [], 5.0)
            os.close(self.process)
            self.process = None
        if self._line is not None:
            self._line.close()
            self._line = None
        if self._group is not None:
            if self._group.killed_for_memory():
                self.reason = "memory"
            self._group.close()
            self._group = None
        shutil.rmtree(self.folder, ignore_errors=True)


def _pid(pidfd: int) -> int:
    """The process behind a pidfd, as this process numbers it."""
    with open(f"/proc/self/fdinfo/{pidfd}") as rows:
        return next(int(row.split()[1]) for row in rows if row.startswith("Pid:"))
