"""Checks what no single header shows: that the cells of a lab fit each other."""

from __future__ import annotations

from pathlib import Path

from autograder.labs.model import (
    BEGIN_HIDDEN,
    BEGIN_SOLUTION,
    END_HIDDEN,
    END_SOLUTION,
    Cell,
    Lab,
    LabError,
    marked_blocks,
)
from autograder.labs.names import PROVIDED, attributes_of, names_of


class Checker:
    """What no single header shows: that the cells of a lab fit each other."""

    def __init__(self, lab: Lab):
        self.lab, self.file = lab, lab.folder / "lab.py"

    def fail(self, cell: Cell, found: str, wanted: str, advice: str, line: int | None = None) -> None:
        at = cell.line if line is None else cell.first_line + line - 1
        raise LabError(self.file, at, found, wanted, advice)

    def check(self) -> None:
        if not self.lab.exercises:
            raise LabError(self.file, 1, "a lab without exercises", "at least one", 'add a cell # %% solution="name"')
        self.check_unique()
        for cell in self.lab.cells:
            self.check_blocks(cell)
            if cell.kind not in ("prose", "manual"):
                self.check_syntax(self.file, cell.first_line, cell.source, cell.visible)
        self.check_exercises()
        self.check_names()
        self.check_variants()

    def check_unique(self) -> None:
        seen: dict[str, Cell] = {}
        for cell in self.lab.cells:
            key = cell.grade_id or (cell.name and f"explore {cell.name}")
            if key and key in seen:
                found = f"the name {cell.name!r} again ({cell.kind}; first in line {seen[key].line}, {seen[key].kind})"
                advice = f'rename one; a second tests cell of an exercise is tests="{cell.exercise or "loss"}:part"'
                self.fail(cell, found, f"one cell with the id {key!r}", advice)
            seen[key] = cell

    def check_blocks(self, cell: Cell) -> None:
        answers = ("solution", "manual")  # only code must say which part is the student's
        for kinds, begin, end in ((answers, BEGIN_SOLUTION, END_SOLUTION), (("tests",), BEGIN_HIDDEN, END_HIDDEN)):
            try:
                blocks = marked_blocks(cell.source, begin, end)
            except ValueError as error:
                line, found = error.args
                wanted = f"`{begin}` and `{end}` in pairs, each alone in its line"
                self.fail(cell, found, wanted, "add or remove a marker", line)
            if blocks and cell.kind not in kinds:
                found = f"`{begin}` in a {cell.kind} cell"
                self.fail(cell, found, f"it in a {kinds[0]} cell only", "move it", blocks[0][0])
            if cell.kind == "solution" and kinds is answers and not blocks:
                wanted = f"`{begin}` and `{end}` around what the student writes"
                self.fail(cell, f"the solution {cell.name!r} without them", wanted, "put the markers in")

    def check_syntax(self, file: Path, first_line: int, *sources: str) -> None:
        for source in sources:
            try:
                compile(source, "<cell>", "exec", dont_inherit=True)
            except (SyntaxError, ValueError) as error:
                line = first_line + (getattr(error, "lineno", 1) or 1) - 1
                part = "" if source == sources[0] else " once the hidden tests are taken out"
                raise LabError(
                    file, line, f"a syntax error{part} ({error})", "plain Python, no magics", "mend the cell"
                ) from None

    def check_exercises(self) -> None:
        exercises = self.lab.exercises
        tested = {cell.exercise for cell in self.lab.tests()}
        for cell in self.lab.cells:
            if cell.kind == "tests" and cell.exercise not in exercises:
                wanted = f"one of {', '.join(exercises)}"
                self.fail(cell, f"tests of an unknown exercise {cell.exercise!r}", wanted, "mend the name")
            if cell.kind == "solution" and cell.name not in tested:
                self.fail(
                    cell,
                    f"the exercise {cell.name!r} without tests",
                    "at least one tests cell for it",
                    f'add # %% tests="{cell.name}" points=2',
                )

    def check_names(self) -> None:
        """Every name a graded cell uses comes from a set-up cell, the student's cells, or the cell itself."""
        setup = frozenset().union(*(names_of(c.source).defined for c in self.lab.cells if c.kind == "setup"))
        student = frozenset().union(*(self.lab.student_names(exercise) for exercise in self.lab.exercises))
        if both := sorted(setup & student):
            found = f"{', '.join(both)} defined by a set-up cell and by a solution"
            cell = next(c for c in self.lab.cells if c.kind == "solution" and names_of(c.source).defined & set(both))
            self.fail(cell, found, "a name in one of them", "rename one: set-up names keep their value when grading")
        for cell in self.lab.cells:
            if cell.kind not in ("setup", "solution", "tests"):
                continue
            if cell.kind == "tests":
                self.check_reference(cell, student)
                if taken := sorted(names_of(cell.source).defined & (setup | student)):
                    found = f"{', '.join(taken)} assigned by tests, though a set-up or solution cell defines it"
                    self.fail(cell, found, "tests that leave the lab's names alone", "take another name in the tests")
            known = PROVIDED | setup
            if cell.kind != "setup":  # set-up runs before the student has written anything
                known |= student
            if cell.reference_names:
                known |= {"reference"}
                if "checks" not in setup:
                    wanted = "`from unmagic import checks` in a set-up cell"
                    self.fail(cell, "hidden tests with `reference` but no `checks`", wanted, "import it there")
            names = names_of(cell.source)
            if unknown := sorted(names.used - names.defined - known):
                sources = "set-up cells" if cell.kind == "setup" else "set-up or solution cells"
                found = f"{', '.join(unknown)}, which no {sources.replace('cells', 'cell')} defines"
                wanted = f"names of {sources}: the others are not run when grading"
                self.fail(cell, found, wanted, "define or import it", attributes_of(cell.source, unknown[0])[0][1])

    def check_reference(self, cell: Cell, student: frozenset[str]) -> None:
        if "reference" in names_of(cell.source).defined:
            self.fail(cell, "`reference` assigned", "it free: release makes it", "rename the variable")
        for name, line in attributes_of(cell.source, "reference"):
            if line not in cell.hidden_lines:
                advice = f"move the line between `{BEGIN_HIDDEN}` and `{END_HIDDEN}`"
                self.fail(cell, "`reference` outside of a hidden block", "it in hidden tests only", advice, line)
            if name is None:
                wanted = "`reference.<name>`: release finds the solutions by these names"
                self.fail(cell, "`reference` used whole", wanted, "write the name out", line)
            if name not in student:
                wanted = f"one of {', '.join(sorted(student))}"
                self.fail(cell, f"`reference.{name}`, which no solution defines", wanted, "mend the name", line)

    def check_variants(self) -> None:
        tests = {cell.name for cell in self.lab.tests()}
        files = {"mistakes.py": self.lab.mistakes, "alternatives.py": self.lab.alternatives}
        for file, variants in {**files, "equivalents.py": self.lab.equivalents}.items():
            path, seen = self.lab.folder / file, {}
            for variant in variants:
                if variant.exercise not in self.lab.exercises:
                    found = f"the unknown exercise {variant.exercise!r}"
                    wanted = f"one of {', '.join(self.lab.exercises)}"
                    raise LabError(path, variant.line, found, wanted, "mend the name")
                if variant.fails and variant.fails not in tests:
                    found = f"the unknown tests cell {variant.fails!r}"
                    raise LabError(path, variant.line, found, f"one of {', '.join(sorted(tests))}", "mend the name")
                key = (variant.exercise, variant.name, variant.at)
                if key in seen:
                    found = f"the {variant.kind} {variant.name!r} again (first in line {seen[key]})"
                    raise LabError(path, variant.line, found, "a name once for each exercise", "rename one")
                seen[key] = variant.line
                self.check_syntax(path, variant.line + 1, variant.source)
