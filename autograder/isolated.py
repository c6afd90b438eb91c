"""Tests outside the student's process: the examiner of one hand-in, whose student side is a kernel in the sandbox.

Set-up cells run on both sides. A tests cell runs here; what it takes from the student's cells comes across the
bridge, as data or as handles. The kernel never receives a test, a point value, a reference or the class's seed.
"""

import contextlib
import linecache
import os
import threading
from typing import Any

from autograder.bridge import Bridge, SharedNames, StudentError, WireError
from autograder.bridge.sockets import Gone, SocketTransport
from autograder.examiner import SECRET, Namespace, Output
from autograder.fitting import FittedCell
from autograder.kernel import CellRun, Failure, Kernel
from autograder.labs.names import PROVIDED, names_of

SOCKET = "bridge"
ATTACH_SECONDS = 30.0  # for the kernel to connect: the first time it imports the bridge
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
        self.secret = secret
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
            failure = self._execute(cell, self.trusted)
        for name in names_of(cell.source).defined:
            if name in self.trusted:
                self.setup_values[name] = self.trusted[name]
        return failure

    def tests(self, cell: FittedCell, *, seconds: float, output_bytes: int) -> CellRun:
        """Runs a tests cell here, while the kernel answers. Its time and output are those of the kernel meanwhile."""
        from unmagic.seeding import derive_seed

        seed = derive_seed("examiner", cell.grade_id) % 2**32
        inside = f"{self.kernel.sockets_inside}/{SOCKET}"
        question = _ASK.format(path=inside, names=self.setup_names, seed=seed)
        here = Output()
        verdict: list[Failure | Gone | None] = []
        # the kernel's client stays in this thread; the test runs in another, and ends when it gets no more answers
        thread = threading.Thread(target=self._judge, args=(cell, seed, here, verdict), daemon=True)
        thread.start()
        run = self.kernel.run(question, seconds=seconds, output_bytes=output_bytes, keep_history=False)
        if not (run.ended and run.failure is None):
            self.transport.hang_up()
        thread.join(timeout=seconds if run.ended else 5.0)
        found = verdict[0] if verdict else Gone("the test did not end")
        if here.getvalue():
            run.outputs.insert(0, {"output_type": "stream", "name": "stdout", "text": here.getvalue()})
        if isinstance(found, Gone):
            if run.ended and run.failure is None and not run.limit:
                run.failure = Failure("ConnectionError", "your code ended the connection that it is tested through")
            elif run.ended and run.failure is None:
                run.ended = False
        else:
            run.failure = found
        return run

    def _judge(self, cell: FittedCell, seed: int, output: Output, verdict: list) -> None:
        from unmagic.seeding import seed_everything

        before = os.environ.get(SECRET)
        os.environ[SECRET] = self.secret
        try:
            self.transport.accept(ATTACH_SECONDS)
            seed_everything(seed)
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
                verdict.append(self._execute(cell, Namespace(self.trusted, self._proxy)))
        except Gone as gone:
            verdict.append(gone)
        finally:
            if before is None:
                os.environ.pop(SECRET, None)
            else:
                os.environ[SECRET] = before
            self.transport.hang_up()  # no more questions: the kernel goes back to its notebook

    def _proxy(self, name: str) -> Any:
        """The student's value of a name. NameError, as in the notebook, where there is none."""
        if name in PROVIDED or (name not in self.expected and name not in self.bridge.names()):
            raise KeyError(name)
        return self.bridge.get(name)

    def _execute(self, cell: FittedCell, namespace: dict[str, Any]) -> Failure | None:
        file = f"<{cell.grade_id}>"
        linecache.cache[file] = (len(cell.source), None, cell.source.splitlines(keepends=True), file)
        try:
            exec(compile(cell.source, file, "exec", dont_inherit=True), namespace)
        except Gone:
            raise
        except BaseException as error:
            return _failure(error)
        return None


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
