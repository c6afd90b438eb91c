"""Tests outside the student's process: the examiner of one hand-in, whose student side is a kernel in the sandbox.

Set-up cells run on both sides. A tests cell runs here; what it takes from the student's cells comes across the
bridge, as data or as handles. The kernel never receives a test, a point value, a reference or the class's seed.
"""

from unmagic.checks.by_hand import cells_known

import ast
import contextlib
import ctypes
import linecache
import resource
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autograder.bridge import Bridge, SharedNames, StudentError, WireError
from autograder.bridge.sockets import Gone, SocketTransport
from autograder.examiner import Namespace, Output, secret_known
from autograder.fitting import FittedCell
from autograder.kernel import CellRun, Failure, Kernel
from autograder.labs.names import PROVIDED, names_of
from autograder.watching import to_end_within, wait_for_the_end

SOCKET = "bridge"
ATTACH_SECONDS = 30.0  # for the kernel to connect: the first time it imports the bridge
END_SECONDS = 5.0  # for a test to end when it gets no more answers
UNENDED_SECONDS = 5 * END_SECONDS  # after its own limit: then nothing but the end of this process ends a test
MEMORY = 4 << 30  # bytes that a tests cell may take on this side: what it is made from are a student's numbers
SHOWN_VALUE = 1000  # characters of the value a tests cell ends with
_ASK = (
    "__import__('autograder.bridge.notebook', fromlist=['answer']).answer(get_ipython(), {path!r}, {names!r}, {seed})"
)


class Examiner:
    """Runs the tests cells of one hand-in.

    Args:
        cells: the fitted notebook; which names belong to which exercise is read from it, and set-up from it.
        solutions: by grade id, the lab's own solution cells: what a student's cell is expected to define.
        secret: the class's seed.
    """

    def __init__(self, cells: list[FittedCell], solutions: dict[str, str], secret: str):
        self.secret, self.cells = secret, cells
        self.expected = {name for source in solutions.values() for name in names_of(source).defined}
        self.setup_names = sorted({n for c in cells if c.kind == "setup" for n in names_of(c.source).defined})
        self.trusted: dict[str, Any] = {"__name__": "__main__"}
        self.setup_values: dict[str, Any] = {}
        self.transport: SocketTransport | None = None

    def connect(self, kernel: Kernel) -> None:
        """Let questions go to `kernel` from now on; handles of an earlier one are gone with it."""
        self.close()
        self.kernel = kernel
        self.transport = SocketTransport(kernel.sockets / SOCKET, seconds=3600.0)  # the cell's own limit comes first
        self.bridge = Bridge(self.transport, SharedNames(self.setup_values))

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()
            self.transport = None

    def setup(self, cell: FittedCell) -> Failure | None:
        """Runs a set-up cell on this side. A failure is the lab's or the machine's."""
        from unmagic.seeding import derive_seed, seed_everything

        seed_everything(derive_seed("examiner", cell.grade_id) % 2**32)
        with contextlib.redirect_stdout(Output()), contextlib.redirect_stderr(Output()):
            found = self._execute(cell, self.trusted)
        for name in names_of(cell.source).defined:
            if name in self.trusted:
                self.setup_values[name] = self.trusted[name]
        return found if isinstance(found, Failure) else None

    def tests(self, cell: FittedCell, *, seconds: float, output_bytes: int) -> CellRun:
        """Runs a tests cell here, while the kernel answers. Its time and output are those of the kernel meanwhile."""
        from unmagic.seeding import derive_seed

        seed = derive_seed("examiner", cell.grade_id) % 2**32
        inside = f"{self.kernel.sockets_inside}/{SOCKET}"
        question = _ASK.format(path=inside, names=self.setup_names, seed=seed)
        here = Output()
        verdict: list[Failure | Gone | str | None] = []  # a text: the value the cell ended with
        # the kernel's client stays in this thread; the test runs in another, and ends when it gets no more answers
        thread = threading.Thread(target=self._judge, args=(cell, seed, here, verdict), daemon=True)
        self.transport.expect()
        with _memory_limit(), to_end_within(seconds + UNENDED_SECONDS):
            thread.start()
            run = self.kernel.run(question, seconds=seconds, output_bytes=output_bytes, keep_history=False)
            self._end(thread, run)
        found = verdict[0] if verdict else Gone("the test did not end")
        # what the kernel calls the value of a cell is no value of the test's: nbgrader counts such a number as points
        run.outputs = [_displayed(output) for output in run.outputs]
        if here.getvalue():
            run.outputs.insert(0, {"output_type": "stream", "name": "stdout", "text": here.getvalue()})
        if isinstance(found, Gone):
            if run.ended and run.failure is None and not run.limit:
                run.failure = Failure("ConnectionError", "your code ended the connection that it is tested through")
            elif run.ended and run.failure is None:
                run.ended = False
        elif isinstance(found, str):
            run.failure = None
            data = {"data": {"text/plain": found}, "metadata": {}, "execution_count": None}
            run.outputs.append({"output_type": "execute_result", **data})
        else:
            run.failure = found
        return run

    def _end(self, thread: threading.Thread, run: CellRun) -> None:
        """The kernel has come to an end with the question: so must the test, whoever still answers it.

        Raises RuntimeError when it does not: then this process is of no more use.
        """
        self.transport.hang_up()  # when all is well the test did, after its verdict
        thread.join(timeout=END_SECONDS)
        for _ in range(3):  # it computes with what the student gave, and asks no more
            if not thread.is_alive():
                return
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Gone))
            thread.join(timeout=END_SECONDS)
        if thread.is_alive():
            wait_for_the_end()  # of this process, if it is a worker
            raise RuntimeError("a test could not be ended")

    def _judge(self, cell: FittedCell, seed: int, output: Output, verdict: list) -> None:
        from unmagic.seeding import seed_everything

        try:
            with secret_known(self.secret), cells_known(self._before(cell)):
                self.transport.accept(ATTACH_SECONDS)
                seed_everything(seed)
                with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
                    verdict.append(self._execute(cell, Namespace(self.trusted, self._proxy)))
        except Gone as gone:
            verdict.append(gone)
        finally:
            self.transport.hang_up()  # no more questions: the kernel goes back to its notebook

    def _before(self, cell: FittedCell) -> list[str]:
        """The sources that the notebook has run when it comes to this tests cell."""
        before = self.cells[: next(n for n, other in enumerate(self.cells) if other is cell)]
        return [other.source for other in before if other.run and other.kind != "tests"]

    def _proxy(self, name: str) -> Any:
        """The student's value of a name. NameError, as in the notebook, where there is none."""
        if name in PROVIDED or (name not in self.expected and name not in self.bridge.names()):
            raise KeyError(name)
        return self.bridge.get(name)

    def _execute(self, cell: FittedCell, namespace: dict[str, Any]) -> Failure | str | None:
        """None, the value that the cell ends with as text (nbgrader counts a number as points), or how it failed."""
        file = f"<{cell.grade_id}>"
        linecache.cache[file] = (len(cell.source), None, cell.source.splitlines(keepends=True), file)
        try:
            tree = ast.parse(cell.source, file)
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, file, "exec", dont_inherit=True), namespace)
            if last is None:
                return None
            value = eval(compile(ast.Expression(last.value), file, "eval", dont_inherit=True), namespace)
            return None if value is None else repr(value)[:SHOWN_VALUE]
        except Gone:
            raise
        except BaseException as error:
            return _failure(error)


def _displayed(output: dict) -> dict:
    if output["output_type"] != "execute_result":
        return output
    return {"output_type": "display_data", "data": output["data"], "metadata": output["metadata"]}


@contextlib.contextmanager
def _memory_limit() -> Iterator[None]:
    """A test that makes too much of what a student gave (`list(range(10**12))`) gets a MemoryError, not the machine."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    used = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    limit = used + MEMORY if soft == resource.RLIM_INFINITY else min(soft, used + MEMORY)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _failure(error: BaseException) -> Failure:
    """An exception of a test as the verdict reads it."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, StudentError):
        cause = cause.__cause__  # a CheckError of assert_raises comes from what the student's code raised
    frames = [(file, line, function) for file, line, function, _ in cause.frames] if cause is not None else []
    if isinstance(error, WireError):
        return Failure("WireError", f"what your code gave back cannot be read: {error}", frames=frames)
    name = error.type_name if isinstance(error, StudentError) and error.type_name else type(error).__name__
    kind = getattr(error, "kind", "") if isinstance(error, AssertionError) else ""
    hint = getattr(error, "hint", "") if isinstance(error, AssertionError) else ""
    return Failure(name, str(error), kind=str(kind), hint=str(hint), frames=frames)
