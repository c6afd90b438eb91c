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
from pathlib import Path

from autograder import paths
from autograder.sandbox.client import WarmParent
from autograder.sandbox.walls import NoSandbox

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # forking is safe from one only
# what takes long to import, and the words by which one sees that a lab's own cells and tests will
_IF_NAMED = {
    "torch._dynamo": ("optim", "torch.func", "vmap", "compile"),
    "sklearn.datasets": ("sklearn", "unmagic.data", "data."),
    "matplotlib.pyplot": ("pyplot",),
}
_parent: WarmParent | None = None
_forking = False


def start(workers: int, isolation: str, lab: str) -> None:
    """Starts both, and waits for neither. Of a sandbox that cannot be made, whoever asks for one will hear.

    Args:
        lab: its name or folder. What its source names is imported for all workers at once; where that is guessed wrong,
            a worker imports it itself, once.
    """
    global _parent, _forking
    _forking = True
    forkserver.set_forkserver_preload(["unmagic.checks", *_named(lab), "autograder.preloaded"])
    with _one_thread():
        forkserver.ensure_running()
    if isolation == "none" or _parent is not None:
        return
    with contextlib.suppress(NoSandbox, OSError):
        _parent = WarmParent(index=os.getpid() % 1000, cold=isolation == "cold", workers=workers, wait=False)
        atexit.register(_close, os.getpid())


def _named(lab: str) -> list[str]:
    for folder in (paths.SOLUTIONS / lab, Path(lab)):
        with contextlib.suppress(OSError, ValueError):
            source = (folder / "lab.py").read_text("utf-8")
            return [module for module, words in _IF_NAMED.items() if any(word in source for word in words)]
    return []


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
