"""Marks many hand-ins in worker processes; a worker that dies takes no other hand-in with it.

The interface is `concurrent.futures`: another executor, on a cluster, can stand where the processes are.
"""

import contextlib
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


def mark_all(
    tasks: list[Task], workers: int, executor: Callable[[int], Executor] | None = None
) -> Iterator[tuple[Task, Marked]]:
    """Marks every task, `workers` at a time, and gives each as it is done, in no order.

    When a worker process dies, the hand-ins that were being marked are each tried once more, alone; one that takes its
    worker with it again is "ungradable".

    Args:
        executor: makes an executor of a given number of workers; processes of this machine if not given.
    """
    executor = executor or processes
    waiting, alone = list(reversed(tasks)), []
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
                    except BrokenProcessPool:
                        waiting.append(task)
                        broken = True
                while done:  # workers have something to do while these are written down
                    yield done.pop(0)
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    task = running.pop(future)
                    try:
                        done.append((task, future.result()))
                    except BrokenProcessPool:
                        broken = True
                        alone.append(task)
    for task in alone:
        with stopping(executor(1)) as pool:
            try:
                yield task, pool.submit(mark_one, task, False).result()
            except BrokenProcessPool:
                text = "The process that graded it ended twice, the second time with nothing else to do (memory?)."
                yield task, unmarked(task, "worker_died", text)


def mark_one(task: Task, more: bool) -> Marked:
    """In a worker: marks a hand-in. `more`: others wait, so that the next kernel may start meanwhile."""
    if task.isolation != "none":
        from autograder import ahead

        ahead.expect(more)
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
