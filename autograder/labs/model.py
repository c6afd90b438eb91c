"""What a lab is: its cells, its variants, and which of them depend on which."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from autograder.errors import AutograderError
from autograder.labs.names import attributes_of, names_of

BEGIN_SOLUTION, END_SOLUTION = "### BEGIN SOLUTION", "### END SOLUTION"
BEGIN_HIDDEN, END_HIDDEN = "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"


class LabError(AutograderError):
    """A lab's source cannot be used. `file`, `line` (from 1), `found`, `wanted` and `advice` are kept for programs."""

    def __init__(self, file: Path, line: int, found: str, wanted: str, advice: str):
        super().__init__(f"{file}:{line}: found {found}; wanted {wanted}.\n  Next: {advice}.")
        self.file, self.line, self.found, self.wanted, self.advice = file, line, found, wanted, advice


@dataclass(frozen=True)
class Cell:
    """One cell of `lab.py`.

    kind    "prose", "setup", "solution", "tests", "explore" or "manual"
    name    as in the header; "" where there is none; a second tests cell of an exercise has "exercise:part"
    source  as written, with the BEGIN/END markers (markdown without its comment signs)
    points  of a tests or manual cell, else 0
    line    of the header in `lab.py`, from 1; `first_line` is that of the first line of `source`
    """

    kind: str
    name: str
    source: str
    points: float
    line: int
    first_line: int

    @property
    def grade_id(self) -> str:
        """nbgrader's id of this cell; "" for prose and exploration, which nbgrader does not know."""
        return {
            "setup": f"setup_{self.name}",
            "tests": f"test_{self.name.replace(':', '__')}",
            "solution": self.name,
            "manual": self.name,
        }.get(self.kind, "")

    @property
    def exercise(self) -> str:
        """The exercise a solution or tests cell belongs to, else ""."""
        return self.name.partition(":")[0] if self.kind in ("solution", "tests") else ""

    @property
    def solution(self) -> str:
        """The source without the solution's markers: what a perfect student would hand in."""
        return without_solution_markers(self.source)

    @property
    def visible(self) -> str:
        """The source without its hidden blocks."""
        hidden = self.hidden_lines
        return "\n".join(line for number, line in enumerate(self.source.split("\n"), 1) if number not in hidden)

    @cached_property
    def hidden_lines(self) -> frozenset[int]:
        """Lines of `source`, from 1, that belong to a hidden block, its markers included."""
        lines = frozenset()
        for begin, end in marked_blocks(self.source, BEGIN_HIDDEN, END_HIDDEN):
            lines |= frozenset(range(begin, end + 1))
        return lines

    @cached_property
    def reference_names(self) -> frozenset[str]:
        """The solutions' names that a tests cell takes from `reference`."""
        if self.kind != "tests":
            return frozenset()
        return frozenset(name for name, _ in attributes_of(self.source, "reference") if name)


@dataclass(frozen=True)
class Variant:
    """Another version of one exercise's solution cell, from `mistakes.py`, `alternatives.py` or `equivalents.py`.

    kind      "mistake", "alternative", or "equivalent": a mechanical change, `name`, that makes no difference
    exercise  whose solution cell `source` replaces, whole; of an equivalent, `source` defines `inputs(generator)`,
              which draws arguments to see that by
    fails     of a mistake: name of the tests cell that must fail ("loss" or "loss:short_batch"); else ""
    hint      of a mistake: a word of that failure's message; else ""
    line      of the header in its file, from 1
    at        of an equivalent: line of the change in the solution cell, from 1; 0 where one change only has that name
    """

    kind: str
    name: str
    exercise: str
    fails: str
    hint: str
    source: str
    line: int
    at: int = 0

    @property
    def fails_id(self) -> str:
        """The grade id of the tests cell that must fail; "" for an alternative."""
        return f"test_{self.fails.replace(':', '__')}" if self.fails else ""


@dataclass(frozen=True)
class Lab:
    """A lab: its cells in the notebook's order and the variants its tests are audited with."""

    name: str
    folder: Path
    cells: tuple[Cell, ...]
    mistakes: tuple[Variant, ...] = ()
    alternatives: tuple[Variant, ...] = ()
    equivalents: tuple[Variant, ...] = ()

    @property
    def exercises(self) -> tuple[str, ...]:
        """The exercises' names, in the lab's order."""
        return tuple(cell.name for cell in self.cells if cell.kind == "solution")

    @property
    def points(self) -> float:
        """All points of the lab, those given by hand included."""
        return sum(cell.points for cell in self.cells)

    @property
    def data_files(self) -> tuple[Path, ...]:
        """Files of `solutions/<lab>/data/`, which travel with the notebook as `data/`."""
        return tuple(sorted(path for path in (self.folder / "data").rglob("*") if path.is_file()))

    @cached_property
    def cell_ids(self) -> tuple[str, ...]:
        """The notebook's id of each cell: from the lab and the cell's name, or its text where it has none."""
        ids: list[str] = []
        for cell in self.cells:
            name = cell.grade_id or (cell.name and f"explore_{cell.name}")
            name = name or f"{cell.kind}_{hashlib.sha256(cell.source.encode()).hexdigest()[:8]}"
            stem = f"{self.name}-{name}"
            if len(stem) > 60:  # nbformat allows 64
                stem = f"{stem[:51]}-{hashlib.sha256(stem.encode()).hexdigest()[:8]}"
            same = sum(known == stem or known.startswith(f"{stem}-") for known in ids)
            ids.append(f"{stem}-{same + 1}" if same else stem)
        return tuple(ids)

    def cell(self, grade_id: str) -> Cell:
        """The cell with that nbgrader id. KeyError names the ids that exist."""
        for cell in self.cells:
            if grade_id and cell.grade_id == grade_id:
                return cell
        known = ", ".join(cell.grade_id for cell in self.cells if cell.grade_id)
        raise KeyError(f"lab {self.name!r} has no cell {grade_id!r}; it has {known}")

    def solution(self, exercise: str) -> Cell:
        """The solution cell of an exercise."""
        if exercise not in self.exercises:
            raise KeyError(f"lab {self.name!r} has no exercise {exercise!r}; it has {', '.join(self.exercises)}")
        return self.cell(exercise)

    def tests(self, exercise: str | None = None) -> tuple[Cell, ...]:
        """The tests cells of one exercise, or of all."""
        return tuple(c for c in self.cells if c.kind == "tests" and exercise in (None, c.exercise))

    def student_names(self, exercise: str) -> frozenset[str]:
        """The names that an exercise's solution cell defines at top level."""
        return names_of(self.solution(exercise).solution).defined

    def solutions_behind(self, names: Iterable[str]) -> tuple[Cell, ...]:
        """The solution cells that define `names`, and those that define what these use, and so on; in order."""
        solutions = [cell for cell in self.cells if cell.kind == "solution"]
        wanted, found = set(names), set()
        while new := {c.name for c in solutions if c.name not in found and self.student_names(c.name) & wanted}:
            found |= new
            wanted |= {name for exercise in new for name in names_of(self.solution(exercise).solution).used}
        return tuple(cell for cell in solutions if cell.name in found)

    def reference_source(self, names: Iterable[str]) -> str:
        """Source that defines `names` as the solutions do: whole cells, no markers. Set-up names come from outside."""
        return "\n\n".join(cell.solution for cell in self.solutions_behind(names))

    def solutions_used(self, cell: Cell) -> tuple[Cell, ...]:
        """The solution cells that a tests cell needs, as the student's or as reference."""
        return self.solutions_behind(names_of(cell.source).used | cell.reference_names)

    def dependents(self, exercise: str) -> tuple[Cell, ...]:
        """The tests cells whose verdict can change with that exercise's solution: its own, and those that use it."""
        solution = self.solution(exercise)
        return tuple(c for c in self.tests() if c.exercise == exercise or solution in self.solutions_used(c))

    def source_with_reference(self, cell: Cell) -> str:
        """A cell as it is run: a tests cell's first hidden block makes its `reference`, markers are kept."""
        if not cell.reference_names:
            return cell.source
        lines = cell.source.split("\n")
        begin = min(cell.hidden_lines)
        indent = lines[begin - 1][: -len(lines[begin - 1].lstrip())]
        reference = _literal(self.reference_source(cell.reference_names))
        lines.insert(begin, f"{indent}reference = checks.reference({reference}, globals())")
        return "\n".join(lines)


def _literal(text: str) -> str:
    """`text` as a Python literal over several lines, which a person can read in formgrader."""
    if "'''" in text or text.endswith("'"):
        return repr(text)
    escaped = text.replace("\\", "\\\\")
    return f"'''\\\n{escaped}\n'''"


def without_solution_markers(source: str) -> str:
    return "\n".join(line for line in source.split("\n") if line.strip() not in (BEGIN_SOLUTION, END_SOLUTION))


def marked_blocks(source: str, begin: str, end: str) -> list[tuple[int, int]]:
    """First and last line (from 1) of each marked block. ValueError: (line, what was found)."""
    blocks, opened = [], 0
    for number, line in enumerate(source.split("\n"), 1):
        if line.strip() == begin:
            if opened:
                raise ValueError(number, f"`{begin}` inside a block that line {opened} of the cell opened")
            opened = number
        elif line.strip() == end:
            if not opened:
                raise ValueError(number, f"`{end}` without `{begin}`")
            blocks.append((opened, number))
            opened = 0
        elif begin.lstrip("# ") in line or end.lstrip("# ") in line:
            # nbgrader looks for the words anywhere in a line, so an almost right marker would be cleared in its own way
            raise ValueError(number, f"the marker-like line {line.strip()!r}")
    if opened:
        raise ValueError(opened, f"`{begin}` without `{end}`")
    return blocks
