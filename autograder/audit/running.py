"""Runs an audit's tasks in worker processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field

import torch

from autograder.audit.equivalence import difference
from autograder.examiner import CellResult, SetupError, Stopped, examine
from autograder.labs import Lab

EQUIVALENCE_LIMIT = 120.0  # seconds of CPU time for the 1,000 inputs of a mutant that is said to be equivalent


@dataclass(frozen=True)
class Task:
    """One version of a lab's answers and how it is run.

    kind      "model", "stub", "vacuous", "mistake", "alternative" or "mutant"
    name      which one of its kind
    exercise  whose cell differs from the model solution; "" when all or none do
    answers   exercise: source of the student's cell
    tests     grade ids of the tests cells to run
    runs      (seed, with the bridge?) of each run
    line      where it stands: in its file, or the changed line of `lab.py`
    limit     seconds of CPU time for one run (see `limited`)
    inputs    of a mutant that is said to be equivalent: source that defines `inputs(generator)`, else ""
    """

    kind: str
    name: str
    exercise: str
    answers: dict[str, str]
    tests: tuple[str, ...]
    runs: tuple[tuple[str, bool], ...]
    line: int = 0
    limit: float = 120.0
    inputs: str = ""


@dataclass(frozen=True)
class Outcome:
    """What came of a task: for each run its verdicts, or in `failure` why there are none.

    difference  of a mutant that is said to be equivalent: where it differs from the solution
    """

    results: dict[tuple[str, bool], tuple[CellResult, ...]] = field(default_factory=dict)
    failure: str = ""
    line: int | None = None  # of lab.py, where that is known
    seconds: float = 0.0
    difference: str = ""


def run_tasks(lab: Lab, tasks: Sequence[Task], workers: int, advance: Callable[[Task], None]) -> list[Outcome]:
    """The outcomes of all tasks, in their order. `advance` is called as each ends. Without workers they run here."""
    if not workers:
        here = []
        for task in tasks:
            here.append(perform(lab, task))
            advance(task)
        return here
    outcomes: dict[int, Outcome] = {}
    # a fork copies one thread only: with others about, start afresh
    single = len(os.listdir("/proc/self/task")) == 1 if os.path.isdir("/proc/self/task") else False
    context = multiprocessing.get_context("fork" if single else "spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_prepare, initargs=(lab,)) as pool:
        futures: dict[Future, int] = {pool.submit(_work, task): number for number, task in enumerate(tasks)}
        for future in as_completed(futures):
            number = futures[future]
            try:
                outcomes[number] = future.result()
            except BrokenProcessPool:
                outcomes[number] = Outcome(failure="the process that ran it died")
            advance(tasks[number])
    return [outcomes[number] for number in range(len(tasks))]


_lab: Lab


def _prepare(lab: Lab) -> None:
    global _lab
    _lab = lab
    os.environ["MPLBACKEND"] = "Agg"
    torch.set_num_threads(1)
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()


def _end_with(audit: multiprocessing.process.BaseProcess | None) -> None:
    """Waits for the process that planned the tasks, and ends this one with it: nobody is left to take its outcomes."""
    if audit is not None:
        audit.join()
        os._exit(1)


def _work(task: Task) -> Outcome:
    return perform(_lab, task)


def perform(lab: Lab, task: Task) -> Outcome:
    """Runs one task in this process."""
    started = time.perf_counter()
    results = {}
    try:
        for seed, bridge in task.runs:
            with limited(task.limit):
                examination = examine(lab, task.answers, seed=seed, tests=task.tests, bridge=bridge)
            results[seed, bridge] = tuple(examination.results)
    except Stopped:
        return Outcome(results, f"took longer than {task.limit:g} s", None, time.perf_counter() - started)
    except SetupError as error:
        line = error.cell.first_line + (error.line or 1) - 1
        return Outcome(results, str(error), line, time.perf_counter() - started)
    try:
        with limited(EQUIVALENCE_LIMIT):
            different = difference(lab, task.exercise, task.answers[task.exercise], task.inputs) if task.inputs else ""
    except Stopped:
        different = f"its 1,000 inputs took longer than {EQUIVALENCE_LIMIT:g} s: draw smaller ones"
    except Exception as error:
        different = f"the comparison raised {type(error).__name__}: {error}"
    return Outcome(results, seconds=time.perf_counter() - started, difference=different)


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raises Stopped inside when it computes for longer; again each second, for code that catches everything.

    Counted is the process's CPU time: on a busy machine a mutant that is only slow must not pass for one that never
    ends. Ten times as long on the clock ends what waits.
    """

    def stop(*_: object) -> None:
        raise Stopped

    timers = (signal.SIGPROF, signal.ITIMER_PROF, seconds), (signal.SIGALRM, signal.ITIMER_REAL, 10 * seconds)
    before = {number: signal.signal(number, stop) for number, *_ in timers}
    for _, timer, limit in timers:
        signal.setitimer(timer, limit, 1.0)
    try:
        yield
    finally:
        for number, timer, _ in timers:
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])
