"""What takes seconds to start is started first, while everything else is read and planned.

That is the process that workers are forked from, with torch imported, and the warm parent that all their kernels come
from, each of them once for a run: another worker costs no import, and of memory only what it writes itself.
"""

import atexit
import contextlib
import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing import forkserver
from multiprocessing.context import BaseContext

from autograder.sandbox.client import WarmParent
from autograder.sandbox.walls import NoSandbox

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # forking is safe from one only
_parent: WarmParent | None = None
_forking = False


def start(workers: int, isolation: str) -> None:
    """Starts both, and waits for neither. Of a sandbox that cannot be made, whoever asks for one will hear."""
    global _parent, _forking
    _forking = True
    forkserver.set_forkserver_preload(["autograder.preloaded"])
    with _one_thread():
        forkserver.ensure_running()
    if isolation == "none" or _parent is not None:
        return
    with contextlib.suppress(NoSandbox, OSError):
        _parent = WarmParent(index=os.getpid() % 1000, cold=isolation == "cold", workers=workers, wait=False)
        atexit.register(_close, os.getpid())


def context() -> BaseContext:
    """How workers start: forked where `start` was called, else as fresh processes."""
    return multiprocessing.get_context("forkserver" if _forking else "spawn")


def places() -> list[tuple]:
    """For each worker what `provisioner.lend` wants to know of its place at the warm parent; none without one."""
    if _parent is None or not _parent.alive():
        return []
    return [(_parent.cold, p.folder, p.number, p.uid, _parent.pid) for p in _parent.places]


def _close(pid: int) -> None:
    global _parent
    if _parent is not None and pid == os.getpid():
        _parent.close()
        _parent = None


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
