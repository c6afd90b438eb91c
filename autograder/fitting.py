"""Fits a hand-in into the lab's own notebook: the lab's cells, in the lab's order, with the student's answers in them.

Set-up and tests cells are always the lab's. A cell's kind, name and points are known from the lab, never from the
hand-in.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

from autograder.handin import Handin, HandinCell, Note
from autograder.labs.names import PROVIDED, names_of

ANSWERS = ("solution", "manual")
RUN = ("setup", "solution", "tests", "extra")  # in the lab's order; explore cells only where needed


@dataclass
class FittedCell:
    """One cell of the notebook that is graded.

    Attributes:
        kind: "prose", "setup", "solution", "tests", "explore", "manual", or "extra" for a cell the student added.
        cell_type: "code" or "markdown".
        grade_id: nbgrader's id, "" where it has none.
        exercise: the exercise a solution or tests cell belongs to.
        name: how a message calls this cell.
        source: what is run or read.
        points: of a tests or manual cell.
        missing: an answer that is not in the hand-in.
        handed_in: outputs the student handed in, of an explore cell (text and PNG).
        run: executed when grading.
        metadata: nbgrader's metadata, from the lab.
    """

    kind: str
    cell_type: str
    source: str
    cell_id: str = ""
    grade_id: str = ""
    exercise: str = ""
    points: float = 0.0
    missing: bool = False
    run: bool = False
    handed_in: list[dict] = field(default_factory=list)
    metadata: dict = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.grade_id or ("one of your own cells" if self.kind == "extra" else self.cell_id)


def lab_cells(source: NotebookNode) -> list[FittedCell]:
    """The cells of the lab's own notebook (with solutions and hidden tests), each with its kind."""
    cells = []
    for cell in source.cells:
        mark = cell.metadata.get("nbgrader", {})
        grade_id = mark.get("grade_id", "")
        if mark.get("grade") and mark.get("solution"):
            kind = "manual"
        elif mark.get("grade"):
            kind = "tests"
        elif mark.get("solution"):
            kind = "solution"
        elif cell.cell_type == "code":
            kind = "setup" if mark.get("locked") else "explore"
        else:
            kind = "prose"
        exercise = grade_id.removeprefix("test_").split("__")[0] if kind == "tests" else grade_id
        cells.append(
            FittedCell(
                kind=kind,
                cell_type=cell.cell_type,
                source=cell.source,
                cell_id=cell.get("id", ""),
                grade_id=grade_id,
                exercise=exercise if kind in ("tests", "solution", "manual") else "",
                points=float(mark.get("points", 0)) if mark.get("grade") else 0.0,
                run=kind in RUN and cell.cell_type == "code",
                metadata=dict(mark),
            )
        )
    return cells


def answer_ids(source: NotebookNode) -> set[str]:
    """The grade ids of the cells a student answers in."""
    return {c.grade_id for c in lab_cells(source) if c.kind in ANSWERS}


def fit(handin: Handin, source: NotebookNode, released: NotebookNode) -> tuple[list[FittedCell], list[Note]]:
    """The notebook that is graded, and what its student should know about it.

    Cells are matched by nbgrader's id, then by the cell's id, then (prose, set-up and exploration) by their text. Of
    several cells for one answer the last that is not the untouched stub counts; the others are run in their places, as
    the student's own cells, as a run from top to bottom would.

    Args:
        handin: what was read.
        source: the lab's notebook with solutions and hidden tests.
        released: the notebook students were given, to tell what they changed.

    Returns:
        cells in the lab's order; a cell the student added stands after the known cell it stood after. And notes with
        the codes "duplicate_cell", "cell_type_changed", "cell_missing", "tests_restored", "locked_restored",
        "points_edited", "explore_run".
    """
    lab = lab_cells(source)
    stubs = {c.metadata.get("nbgrader", {}).get("grade_id") or c.get("id", ""): c.source for c in released.cells}
    places = _places(handin.cells, lab)
    counts, doubled = _choose(handin.cells, places, lab, stubs)
    extras = _extras(handin.cells, places, set(counts.values()), lab)

    notes: list[Note] = []
    fitted = list(extras[-1])
    for index, cell in enumerate(lab):
        theirs = handin.cells[counts[index]] if index in counts else None
        if cell.kind in ANSWERS:
            _answer(cell, theirs, index in doubled, notes)
        elif cell.kind == "explore":
            cell.source = theirs.source if theirs else ""
            cell.handed_in = theirs.outputs if theirs else []
            cell.missing = theirs is None
        elif cell.grade_id:
            _restored(cell, theirs, stubs.get(cell.grade_id, ""), notes)
        fitted.append(cell)
        fitted.extend(extras[index])
    fitted = [c for c in fitted if not (c.kind == "explore" and c.missing)]
    notes.extend(_run_needed_exploration(fitted))
    return fitted, notes


def _places(theirs: list[HandinCell], lab: list[FittedCell]) -> list[int | None]:
    """For each cell of the hand-in, the index of the lab's cell that it is; None for one the student added."""
    by_grade_id = {c.grade_id: i for i, c in enumerate(lab) if c.grade_id}
    by_cell_id = {c.cell_id: i for i, c in enumerate(lab) if c.cell_id}
    by_text = {c.source.strip(): i for i, c in enumerate(lab) if c.kind in ("prose", "setup", "explore")}
    places = []
    for cell in theirs:
        place = by_grade_id.get(cell.grade_id)
        if place is None:
            place = by_cell_id.get(cell.cell_id)
        if place is None:
            place = by_grade_id.get(cell.cell_id)
        if place is None:
            place = by_text.get(cell.source.strip())
        places.append(place)
    return places


def _choose(
    theirs: list[HandinCell], places: list[int | None], lab: list[FittedCell], stubs: dict[str, str]
) -> tuple[dict[int, int], dict[int, list[int]]]:
    """Which of the hand-in's cells counts for each of the lab's, and, where there are several, all of them."""
    candidates: dict[int, list[int]] = defaultdict(list)
    for number, place in enumerate(places):
        if place is not None:
            candidates[place].append(number)
    counts, doubled = {}, {}
    for place, numbers in candidates.items():
        stub = stubs.get(lab[place].grade_id, "").strip()
        changed = [n for n in numbers if theirs[n].source.strip() not in ("", stub)]
        counts[place] = (changed or numbers)[-1]
        if len(numbers) > 1:
            doubled[place] = numbers
    return counts, doubled


def _extras(
    theirs: list[HandinCell], places: list[int | None], chosen: set[int], lab: list[FittedCell]
) -> dict[int, list[FittedCell]]:
    """The student's own cells, by the index of the lab's cell that they stand after (-1: before the first)."""
    extras: dict[int, list[FittedCell]] = defaultdict(list)
    anchor = -1
    for number, (cell, place) in enumerate(zip(theirs, places, strict=True)):
        if number in chosen:
            anchor = place
            continue
        copy_of = lab[place].kind if place is not None else ""
        if not cell.source.strip() or copy_of in ("prose", "setup", "tests"):
            continue  # a second copy of what is the lab's
        code = cell.kind == "code"
        kind = "explore" if copy_of == "explore" else "extra"
        extras[anchor].append(
            FittedCell(
                kind=kind,
                cell_type="code" if code else "markdown",
                source=cell.source,
                cell_id=f"extra-{number}",
                run=code and kind == "extra",
                handed_in=cell.outputs if kind == "explore" else [],
            )
        )
    return extras


def _answer(cell: FittedCell, theirs: HandinCell | None, doubled: bool, notes: list[Note]) -> None:
    """Puts a student's answer where the lab has its own."""
    if theirs is None:
        cell.source, cell.missing, cell.run = "", True, False
        text = f"The cell “{cell.grade_id}” is not in the hand-in; what it should define is missing."
        notes.append(Note("cell_missing", cell.grade_id, text))
        return
    cell.source = theirs.source
    if doubled:
        text = (
            f"The cell “{cell.grade_id}” is there more than once. The last one that was worked on counts;"
            " the others were run as well."
        )
        notes.append(Note("duplicate_cell", cell.grade_id, text))
    if theirs.kind != cell.cell_type:
        wanted, found = (cell.cell_type, theirs.kind)
        text = f"The cell “{cell.grade_id}” was made a {found} cell; it was graded as the {wanted} cell that it is."
        notes.append(Note("cell_type_changed", cell.grade_id, text))
    _points_edited(cell, theirs, notes)


def _restored(cell: FittedCell, theirs: HandinCell | None, given: str, notes: list[Note]) -> None:
    """The lab's own cell stands in for one that was deleted or edited; that costs nothing."""
    what = "tests" if cell.kind == "tests" else "locked"
    if theirs is None:
        notes.append(
            Note(f"{what}_restored", cell.grade_id, f"The cell “{cell.grade_id}” was deleted; the lab's own stood in.")
        )
        return
    if theirs.kind != cell.cell_type or _shape(theirs.source) not in (_shape(given), _shape(cell.source)):
        notes.append(
            Note(f"{what}_restored", cell.grade_id, f"The cell “{cell.grade_id}” was edited; the lab's own stood in.")
        )
    _points_edited(cell, theirs, notes)


def _points_edited(cell: FittedCell, theirs: HandinCell, notes: list[Note]) -> None:
    if cell.metadata.get("grade") and theirs.points is not None and theirs.points != cell.points:
        text = f"The points of “{cell.grade_id}” were edited; it is worth {cell.points:g}."
        notes.append(Note("points_edited", cell.grade_id, text))


def _shape(source: str) -> str:
    """Text in which white space at the ends of lines and empty lines do not count."""
    return "\n".join(line.rstrip() for line in source.split("\n") if line.strip())


def _run_needed_exploration(cells: list[FittedCell]) -> list[Note]:
    """Marks the explore cells that must run because a graded cell takes a name that is defined only there."""
    known = {id(c): _names(c) for c in cells if c.cell_type == "code"}
    notes: list[Note] = []
    while True:
        running = [c for c in cells if c.run]
        defined = {name for c in running for name in known[id(c)][0]}
        found = None
        for user in running:
            for cell in cells:
                if cell.kind != "explore" or cell.run:
                    continue
                needed = (known[id(user)][1] - defined - PROVIDED) & known[id(cell)][0]
                if needed:
                    found = (user, cell, sorted(needed)[0])
                    break
            if found:
                break
        if not found:
            return notes
        user, cell, name = found
        cell.run = True
        text = (
            f"An exploration cell was run when grading, because “{user.name}” uses `{name}`, which only that cell"
            " defines. Define it in an answer cell instead."
        )
        notes.append(Note("explore_run", user.grade_id, text))


def _names(cell: FittedCell) -> tuple[frozenset[str], frozenset[str]]:
    """The names a code cell defines and uses; none for a cell that is not Python."""
    try:
        try:
            names = names_of(cell.source)
        except SyntaxError:  # magics perhaps; what is Python as it stands, IPython leaves as it is
            names = names_of(TransformerManager().transform_cell(cell.source))
    except (SyntaxError, ValueError, RecursionError):
        return frozenset(), frozenset()
    return names.defined, names.used
