"""Grading on a cluster: Dask's executor in the place of this machine's processes.

The workers need this package (the same version), Linux with a sandbox, and the class folder and the lab at the same
paths as here (a shared file system). Results come back here, where the gradebook is written.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from autograder.errors import AutograderError
from autograder.marking import Marked, Task, mark

CONNECT_SECONDS = 30
_one = threading.Lock()  # a process marks one hand-in at a time, however many threads its worker has


@contextlib.contextmanager
def cluster(address: str, isolation: str) -> Iterator[tuple[Callable[[int], Executor], int]]:
    """What makes executors of a Dask cluster, as `mark_all` wants it, and how many workers there are.

    Raises:
        AutograderError: Dask is not installed; nobody answers at the address; there are no workers; or one of them
            cannot grade as we do. Says what to do.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise AutograderError(
            f"found --scheduler {address}, but no Dask ({error}); wanted Dask's client.\n"
            "  Next: pip install 'unmagic[cluster]', here and on the cluster's machines."
        ) from error
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise AutograderError(
            f"found nobody at --scheduler {address} ({error or type(error).__name__}); wanted a Dask scheduler, such as"
            " tcp://10.0.0.1:8786.\n  Next: start one with `dask scheduler`, and workers with `dask worker ADDR`."
        ) from error
    with client:
        workers = _fit_workers(client, address, isolation)
        yield lambda _: ClusterExecutor(client, mark_there), workers


def _fit_workers(client, address: str, isolation: str) -> int:
    """How many workers there are, all of which can grade."""
    from autograder.grading import grader_hash

    try:
        about = client.run(_about, isolation)
    except Exception as error:  # whatever a worker's Python raised, such as ModuleNotFoundError
        raise AutograderError(
            f"found that a worker of {address} cannot grade ({type(error).__name__}: {error}); wanted this package"
            " there.\n  Next: install it on the cluster's machines, the same version as here."
        ) from error
    if not about:
        raise AutograderError(
            f"found no worker at {address}; wanted one at least.\n  Next: start some with `dask worker {address}`."
        )
    for worker, (grader, why) in about.items():
        if why:
            raise AutograderError(f"found that the machine of worker {worker} makes no sandbox.\n  {why}")
        if grader != grader_hash(isolation, "cpu"):
            raise AutograderError(
                f"found another version of the grader at worker {worker}; wanted the same here and there, or points"
                " would depend on the machine.\n  Next: install the same version everywhere."
            )
    return len(about)


def _about(isolation: str) -> tuple[str, str]:
    """Of a worker: its grader's hash, and why its machine makes no sandbox, if one is asked for."""
    from autograder.sandbox.client import why_no_sandbox

    return _hash(isolation), "" if isolation == "none" else why_no_sandbox()


@cache
def _hash(isolation: str) -> str:
    from autograder.grading import grader_hash

    return grader_hash(isolation, "cpu")


class ClusterExecutor(Executor):
    """Dask's executor; a hand-in whose workers died is told as `concurrent.futures` tells it."""

    def __init__(self, client, marking: Callable[[Task], Marked]):
        self._executor, self._marking = client.get_executor(), marking

    def submit(self, function: Callable, task: Task, *_) -> Future:
        """Marks `task` on the cluster. What processes here are told besides is for them alone."""
        given: Future = Future()
        given.set_running_or_notify_cancel()
        self._executor.submit(self._marking, task).add_done_callback(lambda done: _pass_on(done, given))
        return given

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._executor.shutdown(wait=wait and not cancel_futures)


def _pass_on(done: Future, given: Future) -> None:
    from distributed import KilledWorker

    error = CancelledError() if done.cancelled() else done.exception()
    if isinstance(error, KilledWorker):
        error = BrokenProcessPool(str(error))
    elif isinstance(error, CancelledError | OSError):
        error = AutograderError(
            f"found that the cluster's scheduler is gone ({error or type(error).__name__}).\n"
            "  Next: start it, and the same command again: what was graded is kept."
        )
    if error is None:
        given.set_result(done.result())
    else:
        given.set_exception(error)


def mark_there(task: Task) -> Marked:
    """On a worker of the cluster: marks a hand-in."""
    from autograder.sandbox.gpus import take

    if task.hashes["grader"] != _hash(task.isolation):
        raise AutograderError("found another version of the grader at a worker; wanted the same here and there.")
    for path in (task.folder, *(file for file, _ in task.data_files)):
        if not os.path.lexists(path):
            raise AutograderError(
                f"found nothing at {path} on a worker's machine; wanted what is there on this one.\n"
                "  Next: keep class folder and labs on a file system that all machines share, at the same path."
            )
    with _one, TemporaryDirectory(prefix="autograder-") as scratch:
        take(None)
        return mark(replace(task, scratch=Path(scratch)))
