"""The trusted side of the sandbox: starts warm parents and asks them for kernels.

One warm parent serves several workers: each has a `Place` there, with an ordinary user of its own.
"""

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
from dataclasses import dataclass
from pathlib import Path

from autograder.sandbox import gpus
from autograder.sandbox.cgroup import ControlGroup, leftovers
from autograder.sandbox.limits import Limits
from autograder.sandbox.walls import INSIDE_JOB, NoSandbox, outer_walls, python_inside

SOCKETS_INSIDE = f"{INSIDE_JOB}/.sockets"  # a slot's `sockets`, as its kernel sees them

PREFIX = "unmagic-"  # of the folders and control groups that a sandbox makes
_ROOT = Path("/tmp")
_OWNER = "owner"  # a file in a parent's folder, locked by the process that made it
_STALE_S = 3600.0  # a folder without that file is given up after this long
_LOCKING_S = 5.0  # more than there is between making that file and locking it
_FIRST_UID = 61_000  # one outer user a worker, so that two never share a budget; above what distributions hand out
_USERS = 1000
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
        own = (os.getuid(),) if os.getuid() else (0, *range(_FIRST_UID, _FIRST_UID + _USERS))
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


@dataclass(frozen=True)
class Place:
    """One worker's place at a warm parent, as whatever process is told of it can use it.

    Attributes:
        folder: the warm parent's.
        number: of the place, from 0.
        uid: the ordinary user that its kernels run as; None where that is our own.
        process: a pidfd of the warm parent's in the process that holds this; -1: it has ended.
    """

    folder: Path
    number: int
    uid: int | None
    process: int

    @property
    def control(self) -> Path:
        return self.folder / f"control-{self.number}"

    def give(self, path: Path) -> None:
        if self.uid is not None:
            os.chown(path, self.uid, self.uid)

    def slot(self, files: Path | None = None) -> "Slot":
        """A new slot: the folder of one kernel's sockets, and copies of the data files that it starts with."""
        folder = self.folder / "slots" / uuid.uuid4().hex[:8]
        folder.mkdir(0o700)
        (folder / "sockets").mkdir()
        if files is not None:
            shutil.copytree(files, folder / "files", ignore=shutil.ignore_patterns("*.ipynb"), symlinks=True)
        for path in (folder, *folder.rglob("*")):
            self.give(path)
        return Slot(self, folder)

    def alive(self) -> bool:
        return self.process >= 0 and not select.select([self.process], [], [], 0)[0]

    def said(self) -> str:
        """The end of what the warm parent wrote to its log."""
        with contextlib.suppress(OSError):
            return (self.folder / "log").read_text("utf-8", "replace")[-4000:]
        return ""


class WarmParent:
    """One warm parent in its walls, with a place for each worker. Use as a context manager.

    Args:
        index: with workers after it, tells its users from those of others.
        cold: its kernels are fresh interpreters.
        workers: how many places.
        wait: until it is ready; without, the first kernel waits, and says when there is no sandbox.
    """

    def __init__(self, index: int = 0, *, cold: bool = False, workers: int = 1, wait: bool = True):
        root = os.getuid() == 0
        self.cold = cold
        sweep()
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_ROOT))  # short: a socket's path has 107 bytes
        self._owner = os.open(self.folder / _OWNER, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._owner, fcntl.LOCK_EX)  # ends with this process, however it ends
        # others may go through to a slot, which is its user's alone
        for path in (self.folder, self.folder / "slots"):
            path.mkdir(exist_ok=True)
            path.chmod(0o711)
        uids = [_FIRST_UID + (index + n) % _USERS if root else None for n in range(workers)]
        listeners = []
        try:
            for number in range(workers):  # ours already, so that a kernel can be asked for while the parent imports
                listeners.append(socket.socket(socket.AF_UNIX))
                listeners[-1].bind(str(self.folder / f"control-{number}"))
                (self.folder / f"control-{number}").chmod(0o600)
                listeners[-1].listen(64)
            places = [f"{s.fileno()}:{'' if u is None else u}" for s, u in zip(listeners, uids, strict=True)]
            inside = [python_inside(), "-m", "autograder.sandbox.parent", *places, *["--cold"] * cold]
            command = outer_walls(self.folder, root, gpus.own()) + inside
            with open(self.folder / "log", "w", opener=lambda p, f: os.open(p, f | os.O_APPEND, 0o600)) as log:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    pass_fds=[s.fileno() for s in listeners],
                )
            self._pidfd = os.pidfd_open(self._process.pid)
            self.places = [Place(self.folder, n, u, self._pidfd) for n, u in enumerate(uids)]
            if wait:
                self._wait_until_ready()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            os.close(self._owner)
            raise
        finally:
            for listener in listeners:
                listener.close()

    def _wait_until_ready(self) -> None:
        ready, _, _ = select.select([self._process.stdout], [], [], _READY_S)
        if ready and self._process.stdout.readline() == "ready\n":
            return
        self._process.kill()
        self._process.wait()
        raise NoSandbox(f"The sandbox could not be started. It said:\n{self.places[0].said()}")

    @property
    def pid(self) -> int:
        return self._process.pid

    def slot(self, files: Path | None = None) -> "Slot":
        """A new slot at the first place."""
        return self.places[0].slot(files)

    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        os.close(self._pidfd)
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

    def __init__(self, place: Place, folder: Path):
        self._place, self.folder = place, folder
        self.sockets = folder / "sockets"
        self.process: int | None = None  # pidfd
        self._group: ControlGroup | None = None
        self._line: socket.socket | None = None
        self.reason = ""  # of `_REASONS`, once it ended before it was closed; "lost" when nobody could say

    def write(self, name: str, text: str) -> None:
        """Put a small file into `sockets`, where the kernel may read it."""
        path = self.sockets / name
        path.write_text(text)
        self._place.give(path)

    def start(self, limits: Limits) -> None:
        """Start the kernel; its connection file must lie in `sockets`. Raises NoSandbox when it could not be made."""
        group = ControlGroup.make(
            f"{self._place.folder.name}.{self.folder.name}", limits.memory_mb, limits.processes + 8
        )
        self._group = group  # from here on `close` takes it away
        self._line = socket.socket(socket.AF_UNIX)
        request = {"slot": self.folder.name, "limits": limits.to_json(), "supervise": group is None}
        descriptors = array.array("i")
        try:
            self._line.connect(str(self._place.control))
            self._line.settimeout(_READY_S)  # it may still be importing
            self._line.sendall(json.dumps(request).encode() + b"\n")
            _, ancillary, _, _ = self._line.recvmsg(1, socket.CMSG_SPACE(descriptors.itemsize))
        except OSError as error:
            raise NoSandbox(f"The warm parent does not answer ({error}). It said:\n{self._place.said()}") from None
        if not ancillary:
            raise NoSandbox(f"The walls around a kernel could not be made. The warm parent said:\n{self._place.said()}")
        descriptors.frombytes(ancillary[0][2][: descriptors.itemsize])
        self.process = descriptors[0]
        if group is not None:
            group.enter(_pid(self.process))
        self._line.send(b"G")

    def wait_until_sealed(self, seconds: float) -> None:
        """Waits for the kernel's sockets. TimeoutError when they are not there in time, EOFError when it ended."""
        self._line.settimeout(seconds)
        if self._line.recv(1) != b"S":
            raise EOFError("its process ended as it started")

    def begin(self) -> None:
        """From now on the time that it may take counts: it was started ahead of its use."""
        with contextlib.suppress(OSError):  # when it has ended, its process says so
            self._line.send(b"U")

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
                    letter = self._line.recv(2).removeprefix(b"S") or self._line.recv(1)
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
