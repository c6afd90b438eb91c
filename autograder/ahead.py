"""The next hand-in's kernel starts while the present one is marked.

A worker has one kernel in waiting at most. It has the same walls as any other, has run nothing, and its time counts
from when it is taken.
"""

import atexit
import contextlib
import os
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.util import Finalize
from pathlib import Path

from autograder import sandboxed
from autograder.sandbox.client import Place, WarmParent
from autograder.sandbox.limits import Limits

_more = False
_waiting: tuple[tuple, Future] | None = None
_thread: ThreadPoolExecutor | None = None


def expect(more: bool) -> None:
    """Whether this process will be asked for one more kernel after the next."""
    global _more
    _more = more


def take(parent: Place | WarmParent, limits: Limits, scratch: Path, data_files: tuple) -> sandboxed.SandboxKernel:
    """A kernel at its beginning: the one in waiting, if it is of this kind and lives, else a new one."""
    kind = (parent, limits, scratch, tuple(data_files))
    kernel = _waited_for(kind) or sandboxed.SandboxKernel(*kind)
    kernel.begin()
    if _more:
        _start_next(kind)
    return kernel


def _waited_for(kind: tuple) -> sandboxed.SandboxKernel | None:
    global _waiting
    if _waiting is None:
        return None
    (of_kind, future), _waiting = _waiting, None
    try:
        kernel = future.result()
    except Exception:  # starting it again says why, if that does not help
        return None
    if of_kind == kind and kernel.alive() and kind[0].alive():
        return kernel
    kernel.close()
    return None


def _start_next(kind: tuple) -> None:
    global _waiting, _thread, _more
    if _thread is None:
        _thread = ThreadPoolExecutor(1, thread_name_prefix="next-kernel")
        atexit.register(close, os.getpid())
        Finalize(None, close, args=(os.getpid(),), exitpriority=2)  # a worker process ends without atexit
    _more = False
    _waiting = kind, _thread.submit(sandboxed.SandboxKernel, *kind)


def close(pid: int | None = None) -> None:
    """Ends the kernel in waiting. `pid`: only in this process, not in a fork of it."""
    global _waiting
    if _waiting is not None and pid in (None, os.getpid()):
        (_, future), _waiting = _waiting, None
        with contextlib.suppress(Exception):
            future.result().close()
