"""Runs a lab: set-up on both sides, the student's cells on the student's side, tests here, with the bridge between.

Here the student's side is in this process (`InProcessStudent`): for authors and `autograder audit`. What a hand-in is
graded with is the same examiner with the student's side in a sandbox.
"""

from __future__ import annotations

from unmagic.checks import CheckError
from unmagic.checks.by_hand import cells_known
from unmagic.seeding import derive_seed

import contextlib
import io
import linecache
import os
import random
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from autograder.bridge import Bridge, InProcess, SharedNames, Student, StudentError, WireError
from autograder.labs import Cell, Lab
from autograder.labs.names import PROVIDED, names_of

SECRET = "UNMAGIC_SEED"  # what `checks.fresh` reads; never set while the student's code runs
OUTPUT = 64 << 10  # characters of a cell's output that are kept


class Stopped(BaseException):
    """Raised from outside (a time limit): ends a run at once, whatever the student's code catches."""


class MissingName(NameError):
    """A test uses a name that the student's cells did not define; the message says why, as far as it is known."""

    def __init__(self, message: str, kind: str):
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class CellResult:
    """The verdict on one tests cell.

    kind        "ok"; a CheckError's kind ("value", "shape", ...); "not_done": the stub is still there; "not_run": a
                cell of the student's that it needs raised; "missing": a name it needs was not defined; "error": the
                student's code raised, or the test could not use what it returned; "wire": the test uses what cannot
                cross the bridge, which is the lab's fault
    message     what was found and wanted, without the hint
    hint        which idea to look at again; may be empty
    error_line  line of the tests cell, from 1, where it ended; None when it passed
    lab_line    the same line in `lab.py`
    frames      the student's own lines of the traceback, innermost last: "unit_loss, line 3, in unit_loss: return ..."
    output      what the test and the student's code printed meanwhile, cut at `OUTPUT`
    """

    grade_id: str
    ok: bool
    points: float
    max_points: float
    kind: str = "ok"
    message: str = ""
    hint: str = ""
    error_line: int | None = None
    lab_line: int | None = None
    frames: tuple[str, ...] = ()
    output: str = ""


@dataclass(frozen=True)
class CellFault:
    """A cell that raised when it was run."""

    grade_id: str
    message: str  # "ValueError: ..."
    frames: tuple[str, ...]
    not_done: bool = False


@dataclass
class Examination:
    """What came of one run: a verdict for each tests cell that was run, and the student's cells that raised."""

    results: list[CellResult] = field(default_factory=list)
    faults: dict[str, CellFault] = field(default_factory=dict)

    @property
    def points(self) -> float:
        return sum(result.points for result in self.results)

    def __getitem__(self, grade_id: str) -> CellResult:
        return next(result for result in self.results if result.grade_id == grade_id)


class SetupError(Exception):
    """A set-up cell of the lab raised: nothing can be judged."""

    def __init__(self, cell: Cell, error: BaseException, line: int | None):
        super().__init__(f"set-up cell {cell.name!r} raised {type(error).__name__}: {error}")
        self.cell, self.line = cell, line


def examine(
    lab: Lab,
    answers: Mapping[str, str],
    *,
    seed: str,
    tests: Collection[str] | None = None,
    bridge: bool = True,
) -> Examination:
    """Runs a lab's tests cells on a student's answers.

    answers  exercise: source of the student's cell; an exercise that is not in it has no cell
    seed     the class's secret, for the tests' fresh numbers
    tests    grade ids of the tests cells to run (all); of the exercises, only those they need are run
    bridge   False: everything in one namespace, as in the student's own notebook

    Each cell starts from random numbers of its own, so running some cells gives what running all gives.
    SetupError when a set-up cell raises: that is the lab's fault.
    """
    run = (_WithBridge if bridge else _OneNamespace)(lab, seed)
    wanted = set(tests) if tests is not None else {cell.grade_id for cell in lab.tests()}
    needed = exercises_needed(lab, wanted, answers)
    sources: list[str] = []  # of the cells run so far
    with _undisturbed():
        for cell in lab.cells:
            if cell.kind == "setup":
                run.setup(cell)
                sources.append(cell.source)
            elif cell.kind == "solution" and cell.name in needed and cell.name in answers:
                run.solution(cell, answers[cell.name])
                sources.append(answers[cell.name])
            elif cell.kind == "tests" and cell.grade_id in wanted:
                with cells_known(sources):
                    run.tests(cell)
    return run.examination


def exercises_needed(lab: Lab, tests: Collection[str], answers: Mapping[str, str]) -> set[str]:
    """The exercises whose cells must run for these tests cells: by the lab's solutions, and by what the answers use."""
    cells = [lab.cell(grade_id) for grade_id in tests]
    needed = {cell.exercise for cell in cells} | {used.name for cell in cells for used in lab.solutions_used(cell)}
    while True:
        names: set[str] = set()
        for exercise in needed & set(answers):
            with contextlib.suppress(SyntaxError, ValueError):
                names |= names_of(answers[exercise]).used
        more = {cell.name for cell in lab.solutions_behind(names)} - needed
        if not more:
            return needed
        needed |= more


class InProcessStudent:
    """The student's side in this process: its own namespace, random numbers, torch defaults and output; no secret."""

    def __init__(self, lab: Lab):
        self.namespace: dict[str, Any] = {"__name__": "__main__"}
        self.setup_values: dict[str, Any] = {}
        self.output = Output()
        self._settings: _Settings | None = None
        self._files = {_file(cell) for cell in lab.cells}
        self._student = Student(
            self.namespace,
            SharedNames(self.setup_values),
            is_own_file=self._files.__contains__,
            let_through=(KeyboardInterrupt, Stopped),
        )
        self.transport = InProcess(self._student.answer, self._inside)

    def setup(self, cell: Cell, seed: int) -> BaseException | None:
        """Runs a set-up cell; what it defines crosses by name."""
        error = self._run(cell, cell.source, seed)
        names = names_of(cell.source).defined
        self.setup_values.update((name, self.namespace[name]) for name in names if name in self.namespace)
        return error

    def solution(self, cell: Cell, source: str, seed: int) -> CellFault | None:
        """Runs the student's cell."""
        error = self._run(cell, source, seed)
        if error is None:
            return None
        frames = tuple(map(_frame, self._student.frames(error)))
        return _fault(cell, error, frames)

    def reseed(self, seed: int) -> None:
        with self._inside():
            _seed(seed)

    def _run(self, cell: Cell, source: str, seed: int) -> BaseException | None:
        with self._inside():
            _seed(seed)
            return _execute(source, _file(cell), self.namespace)

    @contextlib.contextmanager
    def _inside(self) -> Iterator[None]:
        outside = _Settings.current()
        (self._settings or outside).restore()
        secret = os.environ.pop(SECRET, None)
        try:
            with contextlib.redirect_stdout(self.output), contextlib.redirect_stderr(self.output):
                yield
        finally:
            self._settings = _Settings.current()
            outside.restore()
            if secret is not None:
                os.environ[SECRET] = secret


class _Run:
    """What both ways of running a lab share."""

    def __init__(self, lab: Lab, seed: str):
        self.lab, self.secret = lab, seed
        self.examination = Examination()

    def seed(self, cell: Cell) -> int:
        return derive_seed("examiner", self.lab.name, cell.grade_id) % 2**32

    def judge(self, cell: Cell, namespace: dict[str, Any], output: Callable[[], str]) -> None:
        """Executes a tests cell and writes down the verdict."""
        source = self.lab.source_with_reference(cell)
        with secret_known(self.secret):
            error = self.refused(_execute(source, _file(cell), namespace))
        verdict: dict[str, Any] = {"ok": error is None, "points": cell.points if error is None else 0}
        if error is not None:
            line = _line_in(error, _file(cell))
            if isinstance(error, WireError) and line is None:
                line = next((at for file, at in error.stack if file == _file(cell)), None)
            if line is not None and cell.reference_names:  # the line that makes `reference` is not in lab.py
                added = source.count("\n") - cell.source.count("\n")
                begin = min(cell.hidden_lines)
                line = line if line <= begin else max(begin, line - added)
            verdict |= {"error_line": line, "lab_line": line and cell.first_line + line - 1}
            verdict |= self.explain(cell, error)
        self.examination.results.append(
            CellResult(cell.grade_id, max_points=cell.points, output=output(), **verdict)  # type: ignore[arg-type]
        )

    def explain(self, cell: Cell, error: BaseException) -> dict[str, Any]:
        """kind, message, hint and frames of a verdict."""
        frames = self.student_frames(error)
        if isinstance(error, CheckError):
            return {"kind": error.kind, "message": str(error.args[0]), "hint": error.hint, "frames": frames}
        if isinstance(error, WireError) and error.stack:  # the test's own: it was refused on the way out
            return {"kind": "wire", "message": str(error)}
        if isinstance(error, WireError):
            return {"kind": "error", "message": f"the test cannot use what your code gave it: {error}"}
        if isinstance(error, NameError):  # in the test, or in another cell of the student's
            missing = error if isinstance(error, MissingName) else self.missing(_missing_name(error))
            if missing is not None:
                return {"kind": missing.kind, "message": f"{missing}{_where(frames)}", "frames": frames}
        if isinstance(error, NotImplementedError):
            return {"kind": "not_done", "message": f"not written yet{_where(frames)}", "frames": frames}
        name = error.type_name if isinstance(error, StudentError) else type(error).__name__
        if frames or isinstance(error, StudentError):
            return {"kind": "error", "message": f"your code raised {name}: {error}{_where(frames)}", "frames": frames}
        return {"kind": "error", "message": f"the test could not go on: {name}: {error}"}

    def student_frames(self, error: BaseException) -> tuple[str, ...]:
        raise NotImplementedError

    def refused(self, error: BaseException | None) -> BaseException | None:
        """What a cell raised; or what it could not send, whether it let us see that or caught it."""
        return error

    def missing(self, name: str) -> MissingName | None:
        """Why the student's side has no such name; None if no exercise is to define it."""
        owner = next((e for e in self.lab.exercises if name in self.lab.student_names(e)), None)
        if owner is None:
            return None
        fault = self.examination.faults.get(owner)
        if fault is not None and fault.not_done:
            return MissingName(f"your cell `{owner}` is not written yet", "not_done")
        if fault is not None:
            return MissingName(f"your cell `{owner}` did not run: {fault.message}{_where(fault.frames)}", "not_run")
        return MissingName(f"`{name}` is not defined; it belongs into your cell `{owner}`", "missing")

    def note(self, fault: CellFault | None) -> None:
        if fault is not None:
            self.examination.faults[fault.grade_id] = fault


class _WithBridge(_Run):
    """Tests on the trusted side; names of the student's are asked for across the bridge when a test uses them."""

    def __init__(self, lab: Lab, seed: str):
        super().__init__(lab, seed)
        self.trusted: dict[str, Any] = {"__name__": "__main__"}
        self.setup_values: dict[str, Any] = {}
        self.student = InProcessStudent(lab)
        self.bridge = Bridge(self.student.transport, SharedNames(self.setup_values))

    def setup(self, cell: Cell) -> None:
        _seed(self.seed(cell))
        with contextlib.redirect_stdout(Output()), contextlib.redirect_stderr(sys.stdout):
            error = _execute(cell.source, _file(cell), self.trusted)
        error = error or self.student.setup(cell, self.seed(cell))
        if error is not None:
            raise SetupError(cell, error, _line_in(error, _file(cell)))
        names = names_of(cell.source).defined
        self.setup_values.update((name, self.trusted[name]) for name in names if name in self.trusted)

    def solution(self, cell: Cell, source: str) -> None:
        self.note(self.student.solution(cell, source, self.seed(cell)))

    def tests(self, cell: Cell) -> None:
        self.student.reseed(self.seed(cell))
        _seed(self.seed(cell))
        here, there = Output(), self.student.output
        there.clear()
        namespace = Namespace(self.trusted, self.proxy)
        with contextlib.redirect_stdout(here), contextlib.redirect_stderr(here):
            self.judge(cell, namespace, lambda: here.getvalue() + there.getvalue())

    def refused(self, error: BaseException | None) -> BaseException | None:
        refusals, self.bridge.refusals = self.bridge.refusals, []
        return refusals[0] if refusals else error

    def proxy(self, name: str) -> Any:
        """The student's value of a name. KeyError where the name is not the student's to define."""
        exercise = any(name in self.lab.student_names(e) for e in self.lab.exercises)
        if not exercise and (name in PROVIDED or name not in self.bridge.names()):
            raise KeyError(name)
        try:
            return self.bridge.get(name)
        except NameError:
            raise self.missing(name) from None

    def student_frames(self, error: BaseException) -> tuple[str, ...]:
        while error is not None and not isinstance(error, StudentError):
            error = error.__cause__  # a CheckError of assert_raises comes from what the student's code raised
        return tuple(map(_frame, error.frames)) if error is not None else ()


class _OneNamespace(_Run):
    """All cells in one namespace, as in the student's own notebook."""

    def __init__(self, lab: Lab, seed: str):
        super().__init__(lab, seed)
        self.namespace: dict[str, Any] = {"__name__": "__main__"}
        self._files = {_file(cell) for cell in lab.cells if cell.kind == "solution"}

    def setup(self, cell: Cell) -> None:
        error = self._execute(cell, cell.source, Output())
        if error is not None:
            raise SetupError(cell, error, _line_in(error, _file(cell)))

    def solution(self, cell: Cell, source: str) -> None:
        error = self._execute(cell, source, Output())
        if error is not None:
            self.note(_fault(cell, error, self.student_frames(error)))

    def tests(self, cell: Cell) -> None:
        _seed(self.seed(cell))
        output = Output()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            self.judge(cell, self.namespace, output.getvalue)

    def _execute(self, cell: Cell, source: str, output: io.StringIO) -> BaseException | None:
        _seed(self.seed(cell))
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            return _execute(source, _file(cell), self.namespace)

    def student_frames(self, error: BaseException) -> tuple[str, ...]:
        frames = Student({}, SharedNames(), is_own_file=self._files.__contains__).frames(error)
        return tuple(map(_frame, frames))


class Namespace(dict):
    """Global names of a tests cell: the trusted set-up's, the cell's own, and any other asked of the student's side."""

    def __init__(self, trusted: Mapping[str, Any], proxy: Callable[[str], Any]):
        super().__init__(trusted)
        self._proxy = proxy

    def __missing__(self, name: str) -> Any:
        return self._proxy(name)


class Output(io.StringIO):
    """Text as it is printed, up to a length."""

    def write(self, text: str) -> int:
        room = OUTPUT - self.tell()
        if room > 0:
            super().write(text[:room])
            if len(text) >= room:
                super().write("\n[the rest of the output was cut]\n")
        return len(text)

    def clear(self) -> None:
        self.seek(0)
        self.truncate()


@dataclass(frozen=True)
class _Settings:
    """What code can change for everyone in a process: global random numbers and torch's defaults."""

    python: Any
    numpy: Any
    torch: torch.Tensor
    dtype: torch.dtype
    gradients: bool

    @classmethod
    def current(cls) -> _Settings:
        state = random.getstate(), np.random.get_state(), torch.get_rng_state()
        return cls(*state, torch.get_default_dtype(), torch.is_grad_enabled())

    def restore(self) -> None:
        random.setstate(self.python)
        np.random.set_state(self.numpy)
        torch.set_rng_state(self.torch)
        torch.set_default_dtype(self.dtype)
        torch.set_grad_enabled(self.gradients)


@contextlib.contextmanager
def secret_known(secret: str) -> Iterator[None]:
    """While tests run, `checks.fresh` of this process draws from the class's seed."""
    before = os.environ.get(SECRET)
    os.environ[SECRET] = secret
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(SECRET, None)
        else:
            os.environ[SECRET] = before


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Afterwards the process is as it was: random numbers, torch's defaults, working figures."""
    before = _Settings.current()
    try:
        yield
    finally:
        before.restore()
        if "matplotlib.pyplot" in sys.modules:
            sys.modules["matplotlib.pyplot"].close("all")


def _seed(seed: int) -> None:
    """Seeds the global generators. As `seed_everything`, less what `torch.manual_seed` notes down for a missing GPU."""
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed)


def _execute(source: str, file: str, namespace: dict[str, Any]) -> BaseException | None:
    """Runs a cell; what it raised, else None."""
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)  # for lines in tracebacks
    try:
        exec(compile(source, file, "exec", dont_inherit=True), namespace)
    except (Stopped, KeyboardInterrupt):
        raise
    except BaseException as error:
        return error
    return None


def _file(cell: Cell) -> str:
    return f"<{cell.grade_id or cell.name}>"


def _line_in(error: BaseException, file: str) -> int | None:
    """The innermost line of `file` in a traceback."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return error.lineno if line is None and isinstance(error, SyntaxError) and error.filename == file else line


def _frame(frame: tuple[str, int, str, str]) -> str:
    file, line, function, text = frame
    inside = f", in {function}" if function and function != "<module>" else ""
    return f"{file.strip('<>')}, line {line}{inside}: {text}"


def _missing_name(error: NameError) -> str:
    """Which name was not defined. The message is all that crosses the bridge."""
    quoted = re.match(r"name '(\w+)' is not defined", str(error))
    return quoted[1] if quoted else ""


def _fault(cell: Cell, error: BaseException, frames: tuple[str, ...]) -> CellFault:
    message = f"{type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}"
    return CellFault(cell.grade_id, message, frames, isinstance(error, NotImplementedError))


def _where(frames: tuple[str, ...]) -> str:
    return f" ({frames[-1]})" if frames else ""
