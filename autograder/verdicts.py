"""From what the cells did to what a student is told: points, message and hint for every graded cell.

A hidden test's source does not pass: of an error, the message, the hint and the student's own lines are kept.
"""

import dataclasses
import hashlib
import re

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode, from_dict
from nbgrader.utils import determine_grade

from autograder import sanitise
from autograder.execution import Execution
from autograder.fitting import FittedCell
from autograder.kernel import CellRun, Failure
from autograder.labs.names import names_of
from autograder.results import CellResult, Line

SHOWN_OUTPUT = 2000  # characters of what was printed that the feedback shows
SHOWN_MESSAGE = 4000
SHOWN_LINES = 6

DONE_BY_HAND = "This answer is read by a person."
_LIMIT_KINDS = {"time": "timeout", "output": "output", "died": "died"}


def judge(
    cells: list[FittedCell],
    execution: Execution,
    lab: NotebookNode,
    stubs: dict[str, str],
    kept: dict[str, CellResult] | None = None,
) -> list[CellResult]:
    """A verdict on every tests cell, and a place for every manual answer, in the notebook's order.

    Args:
        cells: what was run.
        execution: what it gave.
        lab: the lab's own notebook, with solutions and hidden tests.
        stubs: by grade id, what the released notebook holds.
        kept: by grade id, verdicts of an earlier grading that stand for tests cells which were not run again.
    """
    return _Judge(cells, execution, lab, stubs).results(kept or {})


class _Judge:
    def __init__(self, cells: list[FittedCell], execution: Execution, lab: NotebookNode, stubs: dict[str, str]):
        self.cells, self.execution, self.stubs = cells, execution, stubs
        self.hidden = sanitise.hidden_lines([c.source for c in lab.cells if c.cell_type == "code"])
        self.limits = {h["cell"]: h["text"] for h in execution.limits_hit}
        self.answers = {c.exercise: (c, execution.runs.get(i)) for i, c in enumerate(cells) if c.kind == "solution"}
        self.students = {
            _file_hash(c.source): c
            for c in cells
            if c.kind in ("solution", "extra", "explore") and c.cell_type == "code"
        }
        self.defined_by = {}
        for cell in lab.cells:
            mark = cell.metadata.get("nbgrader", {})
            if cell.cell_type == "code" and mark.get("solution"):
                for name in names_of(cell.source).defined:
                    self.defined_by.setdefault(name, mark["grade_id"])
        self.broken_setup = self._broken_setup()

    def results(self, kept: dict[str, CellResult]) -> list[CellResult]:
        found = []
        for index, cell in enumerate(self.cells):
            if cell.kind == "tests" and cell.grade_id in kept and index not in self.execution.runs:
                found.append(self._kept(cell, kept[cell.grade_id]))
            elif cell.kind == "tests":
                found.append(self._tests(cell, self.execution.runs.get(index)))
            elif cell.kind == "manual":
                found.append(self._manual(cell))
        return found

    def _kept(self, cell: FittedCell, before: CellResult) -> CellResult:
        """An earlier verdict, with the points that the cell is worth now and what is hidden now."""
        points = cell.points if before.ok else before.points
        shown = {name: self._shown(getattr(before, name), SHOWN_MESSAGE) for name in ("message", "hint", "output")}
        return dataclasses.replace(before, points=points, max_points=cell.points, **shown)

    def _broken_setup(self) -> str:
        for index, cell in enumerate(self.cells):
            run = self.execution.runs.get(index)
            if cell.kind == "setup" and run is not None and (run.failure or not run.ended):
                why = f"{run.failure.type}: {run.failure.message}" if run.failure else self.limits.get(cell.name, "")
                return f"The lab's own cell “{cell.name}” did not run here. {why}"
        return ""

    def _manual(self, cell: FittedCell) -> CellResult:
        text = cell.source.strip()
        if cell.missing or text in ("", self.stubs.get(cell.grade_id, "").strip()):
            return CellResult(cell.grade_id, cell.exercise, 0.0, cell.points, False, "no_answer", "Not answered.")
        return CellResult(cell.grade_id, cell.exercise, None, cell.points, None, "manual", DONE_BY_HAND)

    def _tests(self, cell: FittedCell, run: CellRun | None) -> CellResult:
        result = CellResult(cell.grade_id, cell.exercise, None, cell.points, None)
        if run is None or self.broken_setup:
            result.kind = "not_judged"
            result.message = self.broken_setup or {
                "time": "This test was not run: the notebook's time was used up before.",
                "died": "This test was not run: the kernel was lost too often.",
            }.get(self.execution.stopped, "This test was not run.")
            result.message = self._shown(result.message, SHOWN_MESSAGE)
            return result
        result.output = self._shown(printed(run.outputs), SHOWN_OUTPUT)
        if run.ended and run.failure is None:
            return self._passed(result, cell, run)
        result.points, result.ok = 0.0, False
        if not run.ended:
            result.kind, result.message = _LIMIT_KINDS[run.limit], self.limits.get(cell.name, "Stopped.")
            result.hint = "Does a loop in your code come to an end?" if run.limit == "time" else ""
        else:
            self._explain(result, run.failure)
        result.message = self._shown(result.message, SHOWN_MESSAGE)
        result.hint = self._shown(result.hint, SHOWN_MESSAGE)
        return result

    def _passed(self, result: CellResult, cell: FittedCell, run: CellRun) -> CellResult:
        """Full points, or the number the cell ends with, as nbgrader counts; a warning on stderr costs nothing."""
        outputs = [o for o in run.outputs if o["output_type"] == "execute_result" and "text/plain" in o["data"]]
        metadata = {"nbgrader": {"grade": True, "solution": False, "points": cell.points}}
        judged = from_dict({"cell_type": "code", "metadata": metadata, "source": "", "outputs": outputs})
        try:
            result.points, _ = determine_grade(judged)
        except ValueError:  # more than the cell is worth: the lab's mistake
            result.kind = "not_judged"
            result.message = f"The test gave more than the {cell.points:g} points it is worth."
            return result
        result.ok = result.points >= cell.points
        if not result.ok:
            result.kind, result.message = "partial", f"Right in part: {result.points:g} of {cell.points:g} points."
        return result

    def _explain(self, result: CellResult, failure: Failure) -> None:
        """What went wrong, said of the cell where it went wrong."""
        blamed = self._blamed(result, failure)
        if blamed and blamed[0].exercise != result.exercise:
            other = blamed[0].exercise
            result.kind = "depends"
            result.message = f"This exercise needs “{other}”, which is not there yet. Do “{other}” first."
            return
        if blamed:
            cell, run = blamed
            if cell.missing:
                result.kind, result.message = "missing", f"The cell “{cell.grade_id}” is not in your notebook."
                return
            if run is not None and not run.ended:
                result.kind = _LIMIT_KINDS[run.limit]
                result.message = f"Your cell “{cell.grade_id}”: {self.limits.get(cell.name, 'stopped.')}"
                result.hint = "Does every loop come to an end?" if run.limit == "time" else ""
                return
            if run is not None and run.failure:
                failure = run.failure
        result.lines = self._lines(failure, blamed[0] if blamed else None)
        if failure.type == "NotImplementedError":
            result.kind, result.message = "not_done", "Not written yet."
            return
        if failure.type in ("SyntaxError", "IndentationError", "TabError"):
            result.kind = "syntax"
            message = re.sub(r" \(\S+, line \d+\)$", "", failure.message)
            result.message = f"{failure.type}: {message}. Your cell “{result.exercise}” is not Python."
            return
        result.hint = failure.hint
        if failure.kind or failure.type in ("CheckError", "AssertionError"):
            result.kind = failure.kind or "check"
            result.message = failure.message.removesuffix(f"\n Hint: {failure.hint}") or "The test failed."
        else:
            result.kind = "error"
            result.message = f"{failure.type}: {failure.message}" if failure.message else failure.type

    def _blamed(self, result: CellResult, failure: Failure) -> tuple[FittedCell, CellRun | None] | None:
        """The answer's cell that an error comes from, when the test itself did not get to say anything."""
        exercise = result.exercise
        if failure.type == "NameError":
            name = re.search(r"name '(\w+)' is not defined", failure.message)
            exercise = self.defined_by.get(name[1]) if name else None
        elif failure.type == "NotImplementedError":
            inner = [self.students[h] for h, _, _ in failure.frames if h in self.students]
            exercise = next((c.exercise for c in reversed(inner) if c.exercise), result.exercise)
        else:
            return None
        return self.answers.get(exercise)

    def _lines(self, failure: Failure, blamed: FittedCell | None) -> list[Line]:
        if failure.line is not None and blamed is not None:
            return self._line(blamed, failure.line)
        lines = []
        for file_hash, number, _ in failure.frames:
            if file_hash in self.students:
                lines += self._line(self.students[file_hash], number)
        return lines[-SHOWN_LINES:]

    def _line(self, cell: FittedCell, number: int) -> list[Line]:
        source = cell.source.split("\n")
        if not 1 <= number <= len(source):
            return []
        return [Line(cell.name, number, cut(source[number - 1].strip(), 300))]  # the student's own, as it stands

    def _shown(self, value: str, limit: int) -> str:
        """Text for the student: what quotes a hidden test is taken out, and it is cut."""
        return cut(sanitise.without_lines(value, self.hidden), limit)


def cut(value: str, limit: int) -> str:
    return value if len(value) <= limit else f"{value[:limit]}\n[cut after {limit:,} characters]"


def printed(outputs: list[dict]) -> str:
    """What a cell wrote to stdout and stderr."""
    return "".join(o["text"] for o in outputs if o["output_type"] == "stream")


def _file_hash(source: str) -> str:
    """The hash of a cell as the kernel's linecache holds it (see `autograder.kernel`)."""
    try:
        transformed = TransformerManager().transform_cell(source)
    except (SyntaxError, ValueError, RecursionError):
        transformed = source
    text = "".join(f"{line}\n" for line in transformed.splitlines())
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def state_of(cells: list[CellResult], notes: list[dict], limits_hit: list[dict]) -> tuple[str, str, str]:
    """State, the reason's word and its sentence; see DESIGN.md ("States").

    Of several reasons the one that cost most is the word; the sentence tells what a teacher looks for first.
    """
    tests = [c for c in cells if c.kind not in ("manual", "no_answer")]
    unjudged = [c for c in tests if c.ok is None]
    lost = [c for c in tests if c.ok is False]
    kinds = {c.kind for c in lost}
    if tests and len(unjudged) == len(tests):
        return "ungradable", "not_judged", unjudged[0].message
    if unjudged:
        word = {"handin_time": "time_limit", "handin_died": "kernel_died"}.get(
            limits_hit[-1]["limit"] if limits_hit else "", "not_judged"
        )
        what = _names(c.exercise for c in unjudged)
        return "partial", word, f"Not judged: {what}. {unjudged[0].message}"
    points = sum(c.points or 0 for c in tests)
    for kind, word, text in (
        ("timeout", "time_limit", "Stopped for taking too long"),
        ("died", "kernel_died", "The kernel died"),
        ("output", "output_limit", "Stopped for printing too much"),
        ("syntax", "syntax_error", "Not Python"),
        ("missing", "cell_missing", "Cell not in the hand-in"),
    ):
        if kind in kinds:
            return "graded", word, f"{text}: {_names(c.exercise for c in lost if c.kind == kind)}."
    not_done = [c for c in lost if c.kind in ("not_done", "depends")]
    if tests and len(not_done) == len(tests):
        return "graded", "untouched", "Nothing was answered: every exercise is as it was given out."
    if tests and points == 0:
        return "graded", "nothing_passed", f"No test passed. The first said: {lost[0].message.splitlines()[0]}"
    if not_done:
        return "graded", "not_done", f"Not done: {_names(c.exercise for c in not_done)}."
    for word in (
        "tests_restored",
        "cell_missing",
        "explore_run",
        "two_notebooks",
        "duplicate_cell",
        "cell_type_changed",
    ):
        texts = [note["text"] for note in notes if note["code"] == word]
        if texts:
            return "graded", word, " ".join(texts)
    if limits_hit:
        return "graded", f"{limits_hit[0]['limit']}_limit", f"{limits_hit[0]['cell']}: {limits_hit[0]['text']}"
    return "graded", "", ""


def _names(names) -> str:
    return ", ".join(dict.fromkeys(names))
