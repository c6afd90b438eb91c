"""Marks one hand-in: reads it, fits it into the lab, runs it, judges it. This is what a worker process does.

Everything that goes in and comes out is plain and can be sent to another process.
"""

import dataclasses
import datetime
import functools
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from autograder.execution import Execution, Limits, execute
from autograder.fitting import FittedCell, answer_ids, fit, lab_cells
from autograder.handin import HandinError, read_handin
from autograder.kernel import KernelStartError
from autograder.regrading import Kept, LabKeys, run_what_changed
from autograder.results import CellResult, Result
from autograder.sandbox.walls import NoSandbox
from autograder.sanitise import markdown_cell
from autograder.verdicts import judge, state_of


@dataclass(frozen=True)
class Task:
    """One hand-in to mark.

    Attributes:
        folder: `submitted/NAME/LAB`.
        source, released: the lab's notebooks as JSON, with and without solutions and hidden tests.
        data_files: (file, path relative to the notebook).
        seed: the class's secret for the numbers of hidden tests.
        scratch: a folder for kernels, with a short path.
        hashes: what the result is good for; stored with it.
        keys: what of the lab each verdict is good for.
        kept: what is still good of an earlier grading.
    """

    lab: str
    student: str
    folder: Path
    source: str
    released: str
    data_files: tuple[tuple[Path, str], ...]
    seed: str
    isolation: str
    limits: Limits
    scratch: Path
    hashes: dict[str, str]
    keys: LabKeys = dataclasses.field(default_factory=LabKeys)
    kept: Kept | None = None


@dataclass(frozen=True)
class Marked:
    """A result, and the notebook for formgrader as JSON. `lasting` is False when a rerun may turn out better."""

    result: Result
    notebook: str
    lasting: bool = True


def mark(task: Task) -> Marked:
    """Marks a hand-in. Whatever it holds, this ends in a result with a state and a reason."""
    started, begin = datetime.datetime.now(datetime.UTC), time.monotonic()
    source = nbformat.reads(task.source, as_version=4)
    released = nbformat.reads(task.released, as_version=4)
    lasting = True
    try:
        handin = read_handin(task.folder, task.lab, answer_ids(source))
        cells, notes = fit(handin, source, released)
        run = functools.partial(
            execute,
            scratch=task.scratch,
            secret=task.seed,
            isolation=task.isolation,
            solutions={c.grade_id: c.source for c in lab_cells(source) if c.kind == "solution"},
            data_files=task.data_files,
            limits=task.limits,
        )
        execution, kept = run_what_changed(task.kept, cells, notes, task.isolation, run)
    except HandinError as error:
        result = _ungradable(task, source, error.code, error.text)
        notebook = _notebook(_empty(source, released), Execution(), released, result)
    except (KernelStartError, NoSandbox) as error:
        lasting = False
        result = _ungradable(task, source, "no_kernel", f"This machine could not grade it. {error} Grade again.")
        notebook = _notebook(_empty(source, released), Execution(), released, result)
    except Exception as error:  # a fault of the grader's own: the class goes on, and the fault is told
        lasting = False
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}, line {where.lineno}"
        text = f"The grader failed on this hand-in: {type(error).__name__}: {error} ({place})."
        result = _ungradable(task, source, "grader_error", text)
        notebook = _notebook(_empty(source, released), Execution(), released, result)
    else:
        verdicts = judge(cells, execution, source, stubs(released), kept and kept.verdicts)
        notes = [*handin.notes, *notes]
        noted = [dataclasses.asdict(n) for n in notes]
        state, code, reason = state_of(verdicts, noted, execution.limits_hit)
        result = Result(
            lab=task.lab,
            student=task.student,
            state=state,
            reason_code=code,
            reason=reason,
            points=sum(c.points or 0.0 for c in verdicts),
            max_points=sum(c.max_points for c in verdicts if c.kind not in ("manual", "no_answer")),
            isolation=task.isolation,
            cells=verdicts,
            notes=noted,
            limits_hit=execution.limits_hit,
            tests_run=[c.grade_id for i, c in enumerate(cells) if c.kind == "tests" and i in execution.runs],
        )
        notebook = _notebook(cells, execution, released, result, kept.outputs if kept else {})
        lasting = code != "not_judged"  # the lab's own set-up did not run: perhaps it does next time
    result.times = {"started": started.isoformat(timespec="seconds"), "seconds": round(time.monotonic() - begin, 3)}
    _sign(result, task)
    return Marked(result, notebook, lasting)


def unmarked(task: Task, code: str, text: str) -> Marked:
    """The result of a hand-in whose marking did not come back."""
    source = nbformat.reads(task.source, as_version=4)
    released = nbformat.reads(task.released, as_version=4)
    result = _ungradable(task, source, code, text)
    _sign(result, task)
    return Marked(result, _notebook(_empty(source, released), Execution(), released, result), lasting=False)


def _sign(result: Result, task: Task) -> None:
    """Writes down what the result hangs on."""
    result.hashes = dict(task.hashes)
    for cell in result.cells:
        cell.key = task.keys.tests.get(cell.grade_id, "")


def stubs(released: NotebookNode) -> dict[str, str]:
    """By grade id, what students are given."""
    return {
        c.metadata["nbgrader"]["grade_id"]: c.source
        for c in released.cells
        if c.metadata.get("nbgrader", {}).get("grade_id")
    }


def _ungradable(task: Task, source: NotebookNode, code: str, reason: str) -> Result:
    cells = []
    for cell in source.cells:
        metadata = cell.metadata.get("nbgrader", {})
        if metadata.get("grade"):
            grade_id = metadata["grade_id"]
            kind = "manual" if metadata.get("solution") else "not_judged"
            exercise = grade_id.removeprefix("test_").split("__")[0]
            cells.append(CellResult(grade_id, exercise, None, float(metadata["points"]), None, kind, reason))
    return Result(
        lab=task.lab,
        student=task.student,
        state="ungradable",
        reason_code=code,
        reason=reason,
        points=0.0,
        max_points=sum(c.max_points for c in cells if c.kind != "manual"),
        isolation=task.isolation,
        cells=cells,
    )


def _empty(source: NotebookNode, released: NotebookNode) -> list[FittedCell]:
    """The lab's notebook with nothing answered, for a hand-in that could not be read."""
    cells = [c for c in lab_cells(source) if c.kind != "explore"]
    for cell in cells:
        if cell.kind in ("solution", "manual"):
            cell.source, cell.missing = "", True
        elif cell.kind == "tests":
            cell.source = stubs(released).get(cell.grade_id, "")
    return cells


def _notebook(
    cells: list[FittedCell],
    execution: Execution,
    released: NotebookNode,
    result: Result,
    kept: dict[str, list[dict]] | None = None,
) -> str:
    """What formgrader shows: the lab's metadata, what the student wrote made harmless, and what was printed.

    `kept`: by cell id, the outputs of cells that an earlier grading ran.
    """
    metadata = {c.metadata["nbgrader"]["grade_id"]: c.metadata for c in released.cells if "nbgrader" in c.metadata}
    notebook = new_notebook(metadata={"kernelspec": released.metadata.get("kernelspec", {})})
    if result.state != "graded":
        text = f"**{result.state.capitalize()}.** {markdown_cell(result.reason)}"
        notebook.cells.append(new_markdown_cell(text, id="autograder-state"))
    for number, cell in enumerate(cells):
        cell_id = cell.cell_id or f"cell-{number}"
        ran = execution.runs[number].outputs if number in execution.runs else (kept or {}).get(cell_id)
        mark = {"unmagic": {"kind": cell.kind, "run": ran is not None}}
        common = {"id": cell_id, "metadata": {**metadata.get(cell.grade_id, {}), **mark}}
        if cell.cell_type == "code":
            outputs = cell.handed_in if ran is None else ran
            shown = new_code_cell(cell.source, **common)
            shown.outputs = [nbformat.from_dict(o) for o in outputs]
        else:
            students = cell.kind in ("manual", "extra")
            shown = new_markdown_cell(markdown_cell(cell.source) if students else cell.source, **common)
            if students:  # for the feedback, and to tell whether it was answered
                shown.metadata["unmagic"]["source"] = cell.source
        notebook.cells.append(shown)
    return nbformat.writes(notebook)
