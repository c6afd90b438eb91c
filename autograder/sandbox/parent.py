"""The warm parent: imports torch, numpy and matplotlib once, then forks a walled-in Jupyter kernel for every request.

Runs inside the outer walls (`walls.py`), with one thread, and never touches CUDA: only so is fork safe. Started as
`python -m autograder.sandbox.parent DESCRIPTOR:UID…`, a listening socket for each worker and the ordinary user that the
worker's hand-ins run as (empty: the one we are): a server is forked for each, so that two workers share the memory of
the imports, and no user's budget of processes. With `--cold` nothing is imported and every kernel is a fresh
interpreter in the same walls: slower, needed where a fork is not possible (a GPU), and what warm kernels are compared
with.

A request is one JSON line {"slot", "limits", "supervise"}. The answer is the byte "P" with a pidfd of the
kernel. The client puts that process into its control group and sends "G"; then the kernel goes on. "S" says that its
sockets are there and sealed. The client sends "U" when it begins to use a kernel: from then on its clock counts. The
connection is the kernel's life line: when it closes, however the client died, the kernel and all it started are killed.
The guardian says on the connection how the kernel ended: "W" the clock, "M" memory, "C" processor time, "K" killed by
somebody else (nothing inside can do that to the first process of its namespace), "E" in any other way, by its own
doing. A connection that closes without a letter is a guardian that was killed.

Process by request:   parent → server → guardian (leaves the namespaces) → kernel (pid 1 of its own)
"""

import array
import contextlib
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import sys
import time
import traceback
from pathlib import Path

from autograder.sandbox import linux
from autograder.sandbox.inside import run_kernel
from autograder.sandbox.limits import MIB, Limits
from autograder.sandbox.walls import INSIDE_JOB, INSIDE_RUN, NOBODY

SOCKETS = ".sockets"  # in a kernel's working folder: its own ZeroMQ sockets and the bridge
_ABOVE = 32  # processes
_WATCH_S = 0.1  # how often the guardian looks at memory


_WARM = (
    "unmagic.checks",  # with torch and torchvision
    "unmagic.data",
    "torch._dynamo",  # torch.optim's first step loads it: a second
    "torch.nn.functional",
    "torch.optim",
    "torch.utils.data",
    "sklearn.datasets",
    "matplotlib.pyplot",
    "matplotlib_inline.backend_inline",
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    "ipykernel.zmqshell",
    # what a kernel imports as it starts: half of the time that this takes
    "ipykernel.debugger",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.magics.ast_mod",
    "IPython.core.magics.execution",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "encodings.idna",
    "tornado.platform.asyncio",
    "tornado.queues",
    "autograder.bridge.notebook",  # the student's end of the tests
    "autograder.sandbox.seccomp",
    "pyseccomp",
)


def warm_up() -> None:
    """Import what labs import, early or late. Raises RuntimeError where a fork would not be safe afterwards."""
    for name in _WARM:
        importlib.import_module(name)
    import torch
    from matplotlib.backends.registry import backend_registry

    backend_registry.list_all()  # reads what every installed package says of itself
    torch.set_num_threads(1)
    if linux.threads() != 1:
        raise RuntimeError(f"the warm parent has {linux.threads()} threads; forking is safe from one only")
    if torch.cuda.is_initialized():
        raise RuntimeError("the warm parent touched CUDA; a forked kernel could not use it")
    gc.collect()
    gc.freeze()  # the children's garbage collector leaves these pages shared


def serve(places: list[tuple[int, int | None]]) -> None:
    """Answer requests for ever. `places`: a listening socket's descriptor, and the user who answers there."""
    print("ready", flush=True)
    for descriptor, uid in places:
        if os.fork() == 0:
            try:
                os.closerange(3, descriptor), os.closerange(descriptor + 1, max(d for d, _ in places) + 1)
                if uid is not None:
                    linux.become(uid)
                linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
                _serve(socket.socket(fileno=descriptor))
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(1)
        os.close(descriptor)
    os.wait()  # when one server has ended, so do the others: all of them are to be started anew
    print("a server of kernels ended", file=sys.stderr, flush=True)
    os._exit(1)  # at once: taking torch down takes long enough for somebody to ask for a kernel meanwhile


def _serve(control: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        connection, _ = control.accept()
        line = _read_line(connection)
        if line and os.fork() == 0:
            status = 1
            try:
                control.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _guard(json.loads(line), connection)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        connection.close()


def _read_line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n") and len(line) < 1 << 20:
        more = connection.recv(1 << 16)
        if not more:
            return b""
        line += more
    return line


def _guard(request: dict, connection: socket.socket) -> None:
    """The guardian: starts the kernel in namespaces of its own, and outlives it by no more than a moment."""
    limits = Limits.from_json(request.get("limits", {}))
    os.setsid()
    # RLIMIT_NPROC set before the user namespace is made counts the processes of that namespace alone (Linux ≥ 5.14).
    # Where there is a control group, its limit comes first: it can be asked afterwards whether it was hit
    processes = limits.processes if request.get("supervise") else limits.processes + _ABOVE
    resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))
    uid, gid = os.getuid(), os.getgid()
    linux.unshare(
        linux.CLONE_NEWUSER
        | linux.CLONE_NEWNS
        | linux.CLONE_NEWPID
        | linux.CLONE_NEWNET
        | linux.CLONE_NEWIPC
        | linux.CLONE_NEWUTS
    )
    linux.map_user(uid, gid, inside=NOBODY)
    start, hold = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        connection.close()
        start.close()
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
        if hold.recv(1) != b"G":
            os._exit(1)
        hold.close()
        _become_kernel(request, limits)
    hold.close()
    kernel = os.pidfd_open(pid)
    try:
        passed = array.array("i", [kernel])
        connection.sendmsg([b"P"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])
        if connection.recv(1) != b"G":
            return
        start.send(b"G")
        if _seal_sockets(kernel):
            connection.send(b"S")
        reason = _watch(connection, kernel, limits, supervise=request.get("supervise", False))
        if not reason and select.select([kernel], [], [], 0)[0]:
            reason = _how_it_ended(pid, limits)
        if reason:
            connection.send(reason)
    finally:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):  # it has ended already
            signal.pidfd_send_signal(kernel, signal.SIGKILL)  # pid 1 of its namespace: everything in it dies
            os.waitpid(pid, 0)


def _how_it_ended(pid: int, limits: Limits) -> bytes:
    _, status, used = os.wait4(pid, 0)
    if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
        return b"E"
    return b"C" if used.ru_utime + used.ru_stime >= limits.cpu_s - 1 else b"K"


def _seal_sockets(kernel: int) -> bool:
    """When the kernel has bound its sockets, make their folder read-only: it lies on a real disk, without a cap.

    False when it ended before. Guardian and kernel share the mounts; only the guardian still may change them.
    """
    folder = Path(INSIDE_JOB, SOCKETS)
    while not select.select([kernel], [], [], 0.002)[0]:
        if len(list(folder.glob("zmq-*"))) == len(("shell", "iopub", "stdin", "control", "heartbeat")):
            flags = linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY | linux.MS_NOSUID | linux.MS_NODEV
            linux.mount("none", str(folder), flags=flags)
            return True
    return False


def _watch(connection, kernel: int, limits: Limits, supervise: bool) -> bytes:
    """Wait until the kernel ends (b""), the client is gone (b""), or a limit is hit (its letter)."""
    end = time.monotonic() + limits.wall_s
    while True:
        left = end - time.monotonic()
        ready, _, _ = select.select([connection, kernel], [], [], max(0.0, min(left, _WATCH_S) if supervise else left))
        if kernel in ready:
            return b""
        if connection in ready:
            try:
                said = connection.recv(1)
            except ConnectionError:  # it left something unread
                said = b""
            if said != b"U":
                return b""
            end = time.monotonic() + limits.wall_s  # a kernel that was started ahead of time has waited until now
        if left <= 0 and not ready:
            return b"W"
        if supervise and _memory_mb() > limits.memory_mb:
            return b"M"


def _memory_mb() -> float:
    """Memory of all processes of the hand-in, in MiB: their own, their share of what several have, files in memory.

    The guardian shares the kernel's mounts: /proc is that of the kernel's processes alone.
    """
    total = 0
    for file in Path("/proc").glob("[0-9]*/smaps_rollup"):
        try:
            rows = (line.split() for line in file.read_text().splitlines()[1:])
            # not only what is private: after a fork, nothing is
            total += sum(int(row[1]) for row in rows if row[0] in ("Pss_Anon:", "Pss_Shmem:"))
        except (OSError, ValueError):
            continue  # it ended just now
    for folder in (INSIDE_JOB, "/tmp", "/dev/shm"):
        room = os.statvfs(folder)
        total += (room.f_blocks - room.f_bfree) * room.f_frsize // 1024
    return total / 1024


def _become_kernel(request: dict, limits: Limits) -> None:
    """In the child: build the inner walls, give up every right, and be a Jupyter kernel until the end."""
    os.setsid()  # os.kill(0, …) reaches this hand-in's processes alone
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _inner_walls(request["slot"], limits)
    megabyte_limits = {"FSIZE": limits.file_mb * MIB, "NOFILE": limits.open_files, "CPU": int(limits.cpu_s), "CORE": 0}
    for name, value in megabyte_limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
    linux.drop_capabilities()
    from autograder.sandbox.seccomp import refuse_dangerous_calls

    refuse_dangerous_calls()
    os.chdir(INSIDE_JOB)
    nothing = os.open(
        "/dev/null", os.O_RDWR
    )  # until here an error is told to the parent's log; from here on nobody listens
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.close(nothing)
    connection_file = f"{INSIDE_JOB}/{SOCKETS}/connection.json"
    if "torch" in sys.modules:
        run_kernel(connection_file)
    os.execv(sys.executable, [sys.executable, "-m", "autograder.sandbox.inside", connection_file])


def _inner_walls(slot: str, limits: Limits) -> None:
    """Mounts that this kernel alone sees: working folder, /tmp, /dev/shm; not the control socket, not the others."""
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    safe = linux.MS_NOSUID | linux.MS_NODEV
    source = Path(INSIDE_RUN, "slots", slot)
    room = f"size={limits.folder_mb}m,nr_inodes={limits.inodes},mode=0755"
    linux.mount("tmpfs", INSIDE_JOB, "tmpfs", safe, room)
    _copy_files(source / "files", Path(INSIDE_JOB))
    (Path(INSIDE_JOB) / SOCKETS).mkdir()
    linux.mount(str(source / "sockets"), f"{INSIDE_JOB}/{SOCKETS}", flags=linux.MS_BIND)
    linux.mount("tmpfs", INSIDE_RUN, "tmpfs", safe | linux.MS_RDONLY, "size=4k")
    linux.mount("tmpfs", "/tmp", "tmpfs", safe, room)
    linux.mount("tmpfs", "/dev/shm", "tmpfs", safe, "size=64m,nr_inodes=1k")
    linux.mount("proc", "/proc", "proc", safe | linux.MS_NOEXEC)


def _copy_files(source: Path, target: Path) -> None:
    import shutil

    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True, symlinks=True)


if __name__ == "__main__":
    if "--cold" not in sys.argv:
        warm_up()
    words = [word.partition(":") for word in sys.argv[1:] if word != "--cold"]
    serve([(int(descriptor), int(uid) if uid else None) for descriptor, _, uid in words])
