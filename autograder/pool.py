"""Marks many hand-ins in worker processes; a worker that dies takes no other hand-in with it.

The interface is `concurrent.futures`: another executor, on a cluster, can stand where the processes are.
"""

import contextlib
import hashlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.queues import SimpleQueue

from autograder import starting
from autograder.marking import Marked, Task, mark, unmarked
from autograder.sandbox.gpus import Gpu, take
from autograder.watching import unended, watched

# what the executor says when a worker has died: while it worked, or with what workers are forked from
WORKER_LOST = (BrokenProcessPool, EOFError, ConnectionError)
STARTS = 3  # of workers, when none starts


def mark_all(
    tasks: list[Task], workers: int, executor: Callable[[int], Executor] | None = None
) -> Iterator[tuple[Task, Marked]]:
    """Marks every task, `workers` at a time, and gives each as it is done, in no order.

    When a worker process dies, the hand-ins that were being marked are each tried once more, alone; one that takes its
    worker with it again is "ungradable", and so at once is one of whose tests did not end.

    Args:
        executor: makes an executor of a given number of workers; processes of this machine if not given.
    """
    executor = executor or processes
    waiting, alone, failed = list(reversed(tasks)), [], 0
    while waiting:
        with stopping(executor(min(workers, len(waiting)))) as pool:
            running: dict[Future, Task] = {}
            done: list[tuple[Task, Marked]] = []
            broken = False
            while (waiting and not broken) or running or done:
                while waiting and not broken and len(running) < workers:
                    task = waiting.pop()
                    try:
                        running[pool.submit(mark_one, task, len(waiting) >= workers)] = task
                        failed = 0
                    except WORKER_LOST:
                        waiting.append(task)
                        broken, failed = True, failed + 1
                        if failed == STARTS:
                            raise
                while done:  # workers have something to do while these are written down
                    yield done.pop(0)
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    task = running.pop(future)
                    try:
                        done.append((task, future.result()))
                    except WORKER_LOST:
                        broken = True
                        if marked := endless(task):
                            done.append((task, marked))
                        else:
                            alone.append(task)
    for task in alone:
        yield task, _alone(task, executor)


def _alone(task: Task, executor: Callable[[int], Executor]) -> Marked:
    for _ in range(STARTS):
        with stopping(executor(1)) as pool:
            try:
                future = pool.submit(mark_one, task, False)
            except WORKER_LOST:  # it was not begun
                continue
            try:
                return future.result()
            except WORKER_LOST:
                break
    text = "The process that graded it ended twice, the second time with nothing else to do (memory?)."
    return endless(task) or unmarked(task, "worker_died", text)


def endless(task: Task) -> Marked | None:
    """The result of a hand-in whose worker ended because one of its tests did not; None when none of that is noted."""
    cell = unended(task.scratch / _note(task))
    if cell is None:
        return None
    text = f"The grader failed on this hand-in: the test “{cell}” did not end, and nothing could stop it."
    return unmarked(task, "grader_error", text)


def _note(task: Task) -> str:
    return f"unended-{hashlib.sha256(task.student.encode()).hexdigest()[:16]}"


def mark_one(task: Task, more: bool) -> Marked:
    """In a worker: marks a hand-in. `more`: others wait, so that the next kernel may start meanwhile."""
    if task.isolation != "none":
        from autograder import ahead

        ahead.expect(more)
    with watched(task.scratch / _note(task)):
        return mark(task)


def processes(workers: int, gpus: Sequence[Gpu] = ()) -> Executor:
    """Processes of this machine, which end when this one does, however it ends.

    Args:
        gpus: one for each worker, which is its own as long as it lives; without any, workers use none.
    """
    context = starting.context()
    slots = context.SimpleQueue()
    places = [] if gpus else starting.places()[:workers]
    places += [None] * (workers - len(places))
    for slot in zip(gpus or [None] * workers, places, strict=False):
        slots.put(slot)
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_settle, initargs=(slots,))


def _settle(slots: SimpleQueue) -> None:
    """In a worker: Ctrl-C is the main process's to answer, its death is ours; one GPU or none, and one place at the
    warm parent, are for us."""
    gpu, place = slots.get()
    take(gpu)
    if place is not None:
        from autograder.sandbox.provisioner import lend

        lend(*place)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        parent.join()
        os._exit(1)  # its kernels notice, and end as well

    threading.Thread(target=follow, daemon=True).start()


@contextlib.contextmanager
def stopping(pool: Executor) -> Iterator[Executor]:
    """The pool, whose processes are stopped at once if we are."""
    before = set(multiprocessing.active_children())
    try:
        yield pool
    except BaseException:  # also GeneratorExit: whoever asked has stopped asking
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - before:
            process.kill()
        raise
    pool.shutdown()
