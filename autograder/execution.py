"""Runs a fitted notebook in a kernel, from top to bottom, and survives what the student's code does to it.

Isolated ("warm", "cold"), the student's cells run in a sandbox and the tests outside of it (`autograder.isolated`).
With "none" all cells run in one kernel as the person who grades. `autograder.kernel` limits time and output in both.
"""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from autograder.fitting import FittedCell
from autograder.kernel import GRACE_SECONDS, CellRun, Kernel, KernelStartError

ATTEMPTS = 3  # for a hand-in whose kernels somebody else ends
SETUP_SECONDS = 180.0  # a lab's own set-up cell: nobody's fault if the machine is slow


@dataclass(frozen=True)
class Limits:
    """What a hand-in may use. A limit that is hit is said in the feedback and costs the exercises it touched.

    Attributes:
        cell_seconds: wall time of one cell of the student's, or of tests.
        handin_seconds: wall time of the whole hand-in; what has not run by then is not judged.
        output_bytes: output of one cell; one that prints more is stopped.
        restarts: new kernels after one died or did not stop; the earlier cells are run again, without the offender.
        memory_mb: memory of all its processes together, in MiB; in a sandbox.
        processes: processes and threads at one time; in a sandbox.
    """

    cell_seconds: float = 60.0
    handin_seconds: float = 900.0
    output_bytes: int = 1_000_000
    restarts: int = 2
    memory_mb: int = 2048
    processes: int = 64

    def text(self) -> str:
        """The limits as they enter a result's key."""
        return " ".join(f"{value:g}" for value in dataclasses.astuple(self))


@dataclass
class Execution:
    """What running a notebook gave.

    Attributes:
        runs: by index in the cells that were given; a cell without one was not run.
        stopped: "" or why the rest was not run: "time" (of the hand-in) or "died" (too often).
        limits_hit: each with `limit`, `cell` and `text`.
    """

    runs: dict[int, CellRun] = field(default_factory=dict)
    stopped: str = ""
    limits_hit: list[dict] = field(default_factory=list)


def execute(
    cells: list[FittedCell],
    *,
    scratch: Path,
    secret: str,
    isolation: str = "none",
    solutions: dict[str, str] | None = None,
    data_files: list[tuple[Path, str]] = (),
    limits: Limits = Limits(),
) -> Execution:
    """Runs the cells that are marked to run.

    A cell that does not end within its time is interrupted. If that does not help, or the kernel died, a new kernel
    replays the earlier cells (set-up and the student's, not the tests) without the offender and goes on.

    Args:
        secret: the class's seed for the tests' fresh numbers.
        isolation: "warm", "cold" or "none".
        solutions: by grade id, the lab's own solution cells; needed when isolated.

    Raises:
        KernelStartError: this machine starts no kernel.
        NoSandbox: this machine makes no sandbox.
    """
    if isolation == "none":
        new_kernel = lambda: Kernel(scratch, {"UNMAGIC_SEED": secret}, data_files)  # noqa: E731
        return _Session(cells, new_kernel, limits).run()
    from autograder import ahead
    from autograder.isolated import Examiner
    from autograder.sandbox.limits import Limits as SandboxLimits
    from autograder.sandbox.provisioner import parent_of_kernels
    from autograder.sandbox.walls import NoSandbox

    longest = limits.handin_seconds + SETUP_SECONDS
    walls = SandboxLimits(longest, int(longest), memory_mb=limits.memory_mb, processes=limits.processes)
    parents = []

    def new_kernel() -> Kernel:
        parents.append(parent_of_kernels(cold=isolation == "cold"))
        return ahead.take(parents[-1], walls, scratch, data_files)

    for attempt in range(1, ATTEMPTS + 1):
        parents.clear()
        examiner = Examiner(cells, solutions or {}, secret)
        found, fault = None, None
        try:
            found = _Session(cells, new_kernel, limits, examiner).run()
        except Exception as error:
            fault = error
        finally:
            examiner.close()
        if fault is None and all(parent.alive() for parent in parents):
            return found
        if fault is not None and not isinstance(fault, KernelLost):
            # a kernel that ends as it starts has run nothing of the student's; the last time it is the machine's fault
            again = isinstance(fault, KernelStartError) and attempt < ATTEMPTS
            if not _ends(parents) and not again:
                raise fault
        # no hand-in reaches what its kernels come from: somebody else ended it, and it costs nobody a mark
    raise NoSandbox(f"What its code runs in was ended from outside, {ATTEMPTS} times (memory?).")


def _ends(parents: list) -> bool:
    """One of them has ended, or is about to: what it was asked for fails a moment before."""
    end = time.monotonic() + 1.0
    while all(parent.alive() for parent in parents):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


class KernelLost(RuntimeError):
    """A kernel was ended from outside, which no hand-in can do: the run says nothing about the student."""


class _Session:
    def __init__(self, cells, new_kernel: Callable[[], Kernel], limits: Limits, examiner=None):
        self.cells, self.limits, self.examiner = cells, limits, examiner
        self.new_kernel = new_kernel
        self.result = Execution()
        self.ended: list[int] = []  # cells that came to their end and hold the notebook's state
        self.restarts = limits.restarts

    def run(self) -> Execution:
        self._start()
        self.deadline = time.monotonic() + self.limits.handin_seconds  # the kernel's start is not the student's time
        try:
            for index, cell in enumerate(self.cells):
                if not cell.run:
                    continue
                if time.monotonic() >= self.deadline:
                    self._stop("time", cell)
                if self.result.stopped:
                    break
                run = self._run(index)
                if cell.kind == "setup" and self.examiner and run.ended and run.failure is None:
                    run.failure = self.examiner.setup(cell)
                self.result.runs[index] = run
                if run.ended and cell.kind != "tests":
                    self.ended.append(index)
                if not run.alive:
                    self._restart(cell)
            self._why_it_died()
        finally:
            self.kernel.close()
        return self.result

    def _run(self, index: int) -> CellRun:
        cell = self.cells[index]
        seconds = min(self.limits.cell_seconds, max(0.1, self.deadline - time.monotonic()))
        if cell.kind == "setup":
            seconds = max(seconds, SETUP_SECONDS)
        if cell.kind == "tests" and self.examiner:
            run = self.examiner.tests(cell, seconds=seconds, output_bytes=self.limits.output_bytes)
        else:
            run = self.kernel.run(
                cell.source,
                seconds=seconds,
                output_bytes=self.limits.output_bytes,
                keep_history=cell.kind != "tests",  # In[] and Out[] hold no test
            )
        if run.limit != "died":  # the kernel lives, and something that it started does not
            noticed, self.noticed = self.noticed, self.kernel.limits_noticed()
            for what in sorted(self.noticed - noticed):
                text = limit_text(run, seconds, self.limits, what)
                self.result.limits_hit.append({"limit": what, "cell": cell.name, "text": text})
        if run.limit:
            why = self._why_it_died() if run.limit == "died" else ""
            text = limit_text(run, seconds, self.limits, why)
            self.result.limits_hit.append({"limit": why or run.limit, "cell": cell.name, "text": text})
        return run

    def _why_it_died(self) -> str:
        why = self.kernel.why_it_died()
        if why in ("killed", "lost"):
            raise KernelLost(f"A kernel was ended from outside ({why}).")
        return why

    def _start(self) -> None:
        self.kernel = self.new_kernel()
        self.noticed: set[str] = set()
        if self.examiner:
            self.examiner.connect(self.kernel)

    def _restart(self, offender: FittedCell) -> None:
        """A new kernel with the notebook's state, or none any more."""
        while self.restarts > 0:
            self.restarts -= 1
            self.kernel.close()
            self._start()
            if self._replay():
                return
        self._stop("died", offender)

    def _replay(self) -> bool:
        """Runs the earlier cells again. False if the kernel is lost again: what did it is left out from then on."""
        for index in list(self.ended):
            run = self._run(index)
            if not run.ended:
                self.ended.remove(index)
            if not run.alive:
                return False
        run = self.kernel.run("None", seconds=GRACE_SECONDS, output_bytes=1000, keep_history=False)
        self._why_it_died()
        if run.ended and run.alive:
            return True
        # its last cell came to an end, and left a kernel that runs nothing more (a patched `run_cell`)
        students = [index for index in self.ended if self.cells[index].kind != "setup"]
        self.ended = [index for index in self.ended if index not in students[-1:]]
        return False

    def _stop(self, why: str, cell: FittedCell) -> None:
        self.result.stopped = why
        text = (
            f"Stopped: the whole notebook took more than {self.limits.handin_seconds:g} s."
            if why == "time"
            else f"Stopped: the kernel was lost {self.limits.restarts + 1} times."
        )
        self.result.limits_hit.append({"limit": f"handin_{why}", "cell": cell.name, "text": text})


def limit_text(run: CellRun, seconds: float, limits: Limits, why: str = "") -> str:
    """The sentence a student reads about a limit that was hit."""
    if why == "memory":
        return f"Stopped: used more than {limits.memory_mb / 1024:.3g} GB of memory."
    if why == "cpu":
        return "Stopped: used more processor time than the whole notebook has."
    if why == "processes":
        return f"Could not start more than {limits.processes} processes and threads at one time."
    if why == "wall":
        return f"Stopped: the whole notebook took more than {limits.handin_seconds:g} s."
    if run.limit == "time":
        return f"Stopped: took more than {seconds:g} s."
    if run.limit == "output":
        what = "Stopped: printed" if not run.ended else "Printed"
        return f"{what} more than {limits.output_bytes:,} bytes; the rest was dropped."
    return "Stopped: the kernel died while this cell ran (the code ended its own process, or ran out of memory)."
