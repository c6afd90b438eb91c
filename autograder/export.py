"""Grades for other systems: plain CSV, and what Canvas and Moodle import.

Columns are those that the systems' own importers look for: Canvas' gradebook import
(https://community.canvaslms.com, "How do I import grades in the Gradebook?") and Moodle's grade import
(https://docs.moodle.org/en/Grade_import), which asks which column is which.
"""

from collections.abc import Callable
from pathlib import Path

from autograder.classroom import Classroom
from autograder.errors import AutograderError
from autograder.files import write_atomically
from autograder.gradebook import Book, Standing
from autograder.labs import Lab
from autograder.report import csv_text, grades_csv
from autograder.results import Result, load


def export(lab: Lab, classroom: Classroom, to: str, output: Path | None = None) -> tuple[Path, list[str]]:
    """Writes the class's grades for a lab as the gradebook has them now: points by hand and late penalties count.

    A hand-in that nobody could grade, by machine or by hand, has an empty cell: importers leave it alone; it is no 0.

    Args:
        to: "csv", "canvas" or "moodle".
        output: the file; `LAB/grades-TO.csv` in the class folder if not given.

    Returns:
        the file, and sentences about what to look at before it is imported.

    Raises:
        AutograderError: an unknown format, or nothing was graded yet.
    """
    writers: dict[str, Callable] = {"csv": _csv, "canvas": _canvas, "moodle": _moodle}
    if to not in writers:
        raise AutograderError(f"found --to {to}; wanted one of {', '.join(writers)}.")
    folders = classroom.handins(lab.name)
    results = [r for f in folders if (r := load(classroom.result(lab.name, f.student)))]
    if not results:
        raise AutograderError(
            f"found no results for {lab.name!r} in {classroom.root}; wanted a graded class.\n"
            f"  Next: autograder grade {lab.name} --class {classroom.root}"
        )
    with classroom.lock(), Book(classroom.gradebook_url, lab) as book:
        standings = book.standings()
    results = [r for r in results if r.student in standings]
    path = output or classroom.reports(lab.name) / ("grades.csv" if to == "csv" else f"grades-{to}.csv")
    text, encoding = writers[to](lab, results, standings)
    write_atomically(path, text.encode(encoding))
    return path, _remarks(folders, results, standings)


def final_points(result: Result, standing: Standing) -> str:
    """What goes into another system: the points with the penalty taken off, to 2 places; "" when there are none."""
    if result.state == "ungradable" and all(c.manual is None for c in standing.cells.values()):
        return ""
    return f"{standing.final:.2f}".rstrip("0").rstrip(".")


def _csv(lab: Lab, results: list[Result], standings: dict[str, Standing]) -> tuple[str, str]:
    return grades_csv(lab, results, standings), "utf-8-sig"  # the mark at its start lets Excel read names right


def _canvas(lab: Lab, results: list[Result], standings: dict[str, Standing]) -> tuple[str, str]:
    """Canvas finds a student by ID, then SIS user id, then login, then name; a second row says the points possible."""
    total = next(iter(standings.values())).max_score
    rows = [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", lab.name],
        ["Points Possible", "", "", "", "", f"{total:g}"],
    ]
    for result in results:
        s = standings[result.student]
        name = f"{s.last_name}, {s.first_name}" if s.last_name and s.first_name else s.last_name or s.student
        rows.append([name, s.lms_id, "", s.student, "", final_points(result, s)])
    return csv_text(rows), "utf-8"


def _moodle(lab: Lab, results: list[Result], standings: dict[str, Standing]) -> tuple[str, str]:
    """Moodle asks which column identifies a student: Username, ID number or Email address."""
    rows = [["First name", "Last name", "Username", "ID number", "Email address", f"Assignment: {lab.name}"]]
    for result in results:
        s = standings[result.student]
        rows.append([s.first_name, s.last_name, s.student, s.lms_id, s.email, final_points(result, s)])
    return csv_text(rows), "utf-8"


def _remarks(folders: list, results: list[Result], standings: dict[str, Standing]) -> list[str]:
    remarks = []
    names = {r.student for r in results}
    if missing := [f.student for f in folders if f.student not in names]:
        remarks.append(f"Not graded yet, and not in the file: {', '.join(missing)}.")
    if empty := [r.student for r in results if not final_points(r, standings[r.student])]:
        remarks.append(f"Without points: {', '.join(empty)} (ungradable; see the report).")
    empty = set(empty)
    if pending := [r.student for r in results if standings[r.student].pending and r.student not in empty]:
        remarks.append(f"Something still waits to be graded by hand: {', '.join(pending)}.")
    return remarks
