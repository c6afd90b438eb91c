"""What of an earlier grading is still good when a lab has changed, and running only what is not.

Every verdict has a key: of the tests cell with its reference and its place, and of what stands around it in the lab.
While it is the same, and hand-in, seed, limits and grader are, so is the verdict; points are counted anew.
"""

import ast
import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from nbformat import NotebookNode

from autograder.execution import Execution
from autograder.fitting import FittedCell, lab_cells
from autograder.handin import Note
from autograder.labs.names import names_of
from autograder.remembering import remembers
from autograder.results import CellResult, Result, digest

SAME = ("handin", "frame", "grader", "limits", "seed")  # hashes that must not change for a verdict to be kept


@dataclass(frozen=True)
class LabKeys:
    """What of a lab verdicts hang on.

    Attributes:
        frame: hash of all that is neither a tests cell nor a point value; of a solution, the stub and its names count.
        tests: by grade id, the key of each tests cell.
        points: by grade id, what each graded cell is worth.
    """

    frame: str = ""
    tests: dict[str, str] = field(default_factory=dict)
    points: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Kept:
    """Of an earlier grading of the same hand-in.

    Attributes:
        verdicts: by grade id of a tests cell, those whose key is the same.
        explored: what was said of exploration cells that had to run.
        outputs: by cell id, what the cells that were run had shown.
    """

    verdicts: dict[str, CellResult]
    explored: list[str]
    outputs: dict[str, list[dict]]


def lab_keys(source: NotebookNode, stubs: dict[str, str], data: list[str]) -> LabKeys:
    """The keys of a lab's own notebook.

    Args:
        stubs: by grade id, what students are given.
        data: names and hashes of the lab's data files.
    """
    around, tests, points = [], {}, {}
    for cell in lab_cells(source):
        if cell.kind in ("tests", "manual"):
            points[cell.grade_id] = cell.points
        if cell.kind == "tests":
            counted = f"{cell.points:g}" if _may_give_points(cell.source) else ""
            tests[cell.grade_id] = digest(cell.source, str(len(around)), counted)
        elif cell.kind == "solution":
            names = sorted(names_of(cell.source).defined)
            around.append(digest(cell.kind, cell.grade_id, cell.cell_id, stubs.get(cell.grade_id, ""), *names))
        else:
            text = stubs.get(cell.grade_id, "") if cell.kind == "manual" else cell.source
            around.append(digest(cell.kind, cell.cell_type, cell.grade_id, cell.cell_id, text))
    frame = digest(*around, *data)
    return LabKeys(frame, {name: digest(frame, name, key) for name, key in tests.items()}, points)


def _may_give_points(source: str) -> bool:
    """The cell ends with a value, which nbgrader counts as points: then what it is worth decides on passing."""
    body = ast.parse(source).body
    match body[-1] if body else None:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="checks")))):
            return False  # these return nothing
        case ast.Expr(value=ast.Call(func=ast.Name(id="print"))):
            return False
        case ast.Expr():
            return True
    return False


def changes(old: dict[str, CellResult], new: dict[str, CellResult]) -> dict[str, str]:
    """By grade id, what changed in the lab between two gradings of one hand-in, in a word or two."""
    found = {}
    for name in dict.fromkeys([*new, *old]):
        if name not in old:
            found[name] = "new"
        elif name not in new:
            found[name] = "taken out"
        elif old[name].key != new[name].key:
            found[name] = "test changed"
        elif old[name].max_points != new[name].max_points:
            found[name] = "points changed"
    return found


def why_again(old: Result, keys: LabKeys) -> str:
    """Which changes of the lab's cells ask for another grading, as a reason."""
    cells = {n: CellResult(n, "", None, points, None, key=keys.tests.get(n, "")) for n, points in keys.points.items()}
    found = changes({c.grade_id: c for c in old.cells}, cells)
    words = [f"{name} ({what})" for name, what in found.items()]
    return f"the lab changed: {', '.join(words)}" if words else "the lab changed"


def kept_of(old: Result, keys: LabKeys, graded: Path) -> Kept | None:
    """What is still good of an earlier result of the same hand-in, graded under the same hashes `SAME`.

    None when nothing is. Verdicts of a hand-in that ran into a limit are made anew, all of them: what comes after a
    restart depends on it.

    Args:
        graded: the notebook that was made then.
    """
    verdicts = {c.grade_id: c for c in old.cells if c.ok is not None and c.key and c.key == keys.tests.get(c.grade_id)}
    if old.limits_hit or not verdicts:
        return None
    try:
        cells = json.loads(graded.read_text("utf-8"))["cells"]
    except (OSError, ValueError, KeyError):
        return None
    outputs = {c["id"]: c["outputs"] for c in cells if c["metadata"].get("unmagic", {}).get("run")}
    return Kept(verdicts, _explored(old.notes), outputs)


def run_what_changed(
    kept: Kept | None,
    cells: list[FittedCell],
    notes: list[Note],
    isolation: str,
    run: Callable[[list[FittedCell]], Execution],
) -> tuple[Execution, Kept | None]:
    """Runs a fitted notebook; of its tests cells only those whose verdict is not kept.

    The student's cells run as always, so that the tests find what they need; nothing runs when every verdict is kept.
    Where a verdict might hang on the tests before it, all are run: the hand-in could remember earlier calls, the run
    hits a limit, or without isolation, where tests share the notebook's names and random numbers.

    Returns:
        what was run, and what was kept: None when everything was run.
    """
    if kept is None:
        return run(cells), None
    tests = {c.grade_id for c in cells if c.kind == "tests"}
    if tests <= set(kept.verdicts):
        return Execution(), kept
    explored = _explored([dataclasses.asdict(note) for note in notes])
    if isolation != "none" and explored == kept.explored and not remembers(cells):
        wanted = [dataclasses.replace(c, run=c.run and c.grade_id not in kept.verdicts) for c in cells]
        execution = run(wanted)
        setup = [r for i, r in execution.runs.items() if cells[i].kind == "setup"]
        if not execution.limits_hit and not execution.stopped and not any(r.failure for r in setup):
            return execution, kept
    return run(cells), None


def _explored(notes: list[dict]) -> list[str]:
    return [note["text"] for note in notes if note["code"] == "explore_run"]
