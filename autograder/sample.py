"""A sample class: twelve hand-ins of the lab `descent`, made from the lab itself, as students hand them in.

    python -m autograder.sample [--class DIR]

`STUDENTS` says what each of them did and what grading must say to it; a test holds the grader to that.
"""

import argparse
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from autograder import paths
from autograder.classroom import SAMPLE_MARK
from autograder.errors import AutograderError
from autograder.files import write_atomically
from autograder.labs import Lab, load_lab
from autograder.release import filled, filled_cell, solved_notebook, student_notebook

LAB = "descent"
HANDED_IN = "2026-03-01 {hour:02}:{minute:02}:00 UTC"
QUESTION = "reading_the_race"


@dataclass(frozen=True)
class Student:
    """A made-up student.

    Attributes:
        name: the folder's name, as a learning platform gives it.
        did: what they handed in, in a word or two.
        make: gives their notebook file's bytes from the lab.
        state, reason_code, points: what grading must say; `points` are those of the tests, of 22.
    """

    name: str
    did: str
    make: Callable[[Lab], bytes]
    state: str
    reason_code: str
    points: float


def perfect(lab: Lab) -> bytes:
    return _bytes(solved_notebook(lab))


def half_done(lab: Lab) -> bytes:
    first = lab.exercises[: len(lab.exercises) // 2]
    return _bytes(filled(student_notebook(lab), {name: lab.solution(name).solution for name in first}))


def untouched(lab: Lab) -> bytes:
    return _bytes(student_notebook(lab))


def mistaken(*names: str) -> Callable[[Lab], bytes]:
    """A notebook with these mistakes of `mistakes.py`, each "exercise:name", and everything else right."""

    def make(lab: Lab) -> bytes:
        return _bytes(filled(solved_notebook(lab), _variants(lab.mistakes, names)))

    return make


def first_mistakes(lab: Lab) -> bytes:
    """In every exercise the first mistake that its list has."""
    first = {}
    for mistake in lab.mistakes:
        first.setdefault(mistake.exercise, mistake.source)
    answers = {**first, QUESTION: "I ran out of time."}
    return _bytes(filled(student_notebook(lab), answers))


def syntax_error(lab: Lab) -> bytes:
    source = lab.solution("sgd_path").solution
    return _bytes(filled(solved_notebook(lab), {"sgd_path": source.replace("):", ")", 1).replace(":\n", "\n", 1)}))


def endless_loop(lab: Lab) -> bytes:
    """Power iteration that stops when nothing changes any more: it waits for that forever."""
    source = "def sharpness(*_, **__):\n    v = 0.0\n    while v != v + 1:\n        v = -v\n    return v"
    return _bytes(filled(solved_notebook(lab), {"sharpness": source}))


def tests_tampered(lab: Lab) -> bytes:
    """One test cell deleted, another replaced by one that always passes and says it is worth a hundred points."""
    notebook = solved_notebook(lab)
    notebook.cells.remove(filled_cell(notebook, "test_whiten"))
    edited = filled_cell(notebook, "test_curvature")
    edited.source, edited.metadata["nbgrader"]["points"] = "assert True", 100
    return _bytes(notebook)


def truncated(lab: Lab) -> bytes:
    whole = perfect(lab)
    return whole[: len(whole) // 2]


def another_lab(lab: Lab) -> bytes:
    """A lab of some other course, which a platform let through."""

    def cell(source: str, grade_id: str, **metadata) -> NotebookNode:
        about = {"grade_id": grade_id, "schema_version": 3, "locked": False, "solution": False, "grade": False}
        return new_code_cell(source, id=grade_id, metadata={"nbgrader": {**about, **metadata}})

    tests = {"grade": True, "locked": True, "points": 2}
    cells = [
        new_markdown_cell("# Perceptrons", id="title"),
        cell(
            "def threshold_unit(w, x):\n    return sum(a * b for a, b in zip(w, x)) > 0",
            "threshold_unit",
            solution=True,
        ),
        cell("assert fires([1, 1], [1, 1])", "test_fires", **tests),
        cell(
            "def perceptron_step(w, x, t):\n    return [a + t * b for a, b in zip(w, x)]",
            "perceptron_step",
            solution=True,
        ),
        cell("assert perceptron_step([0, 0], [1, 2], 1) == [1, 2]", "test_perceptron_step", **tests),
    ]
    return _bytes(new_notebook(cells=cells))


def own_ways(lab: Lab) -> bytes:
    """Everything right and written differently, with a helper that stands in an exploration cell."""
    last = {a.exercise: a.source for a in lab.alternatives}
    notebook = filled(solved_notebook(lab), last)
    source = lab.solution("scaled_rate").solution.replace("def scaled_rate(", "def my_schedule(", 1)
    explore = next(c for c in notebook.cells if c.cell_type == "code" and not c.metadata.get("nbgrader"))
    explore.source = f"# trying things out\nfrom torch import Tensor\n{source}"
    filled_cell(notebook, "scaled_rate").source = "scaled_rate = my_schedule"
    return _bytes(notebook)


STUDENTS = (
    Student("ada-vries", "everything", perfect, "graded", "", 22),
    Student("Bilal Haddad", "the first half", half_done, "graded", "not_done", 10),
    Student("chen-wei", "nothing", untouched, "graded", "untouched", 0),
    Student(
        "daniela-popescu",
        "the mean forgotten, the last batch dropped, statistics of the test set",
        mistaken("unit_loss:sum_not_mean", "minibatches:last_dropped", "standardise:statistics_of_both_sets"),
        "graded",
        "",
        18,
    ),
    Student(
        "Émile Durand",
        "half the largest rate, momentum's order swapped, warm-up one step late",
        mistaken("curvature:one_over_largest", "momentum_step:new_delta_first", "scaled_rate:starts_one_late"),
        "graded",
        "",
        17,
    ),
    Student("fatima-zahra", "a mistake in every exercise", first_mistakes, "graded", "", 1),
    Student("giorgos-nikolaidis", "a colon forgotten", syntax_error, "graded", "syntax_error", 20),
    Student("hana-sato", "an endless loop", endless_loop, "graded", "time_limit", 20),
    Student("ingrid-ødegård", "a test deleted, one edited", tests_tampered, "graded", "tests_restored", 22),
    Student("joão-silva", "an upload that was cut off", truncated, "ungradable", "truncated", 0),
    Student("kofi-mensah", "another lab", another_lab, "ungradable", "another_lab", 0),
    Student("Lena Müller", "everything in her own way", own_ways, "graded", "explore_run", 22),
)


def make_class(root: Path) -> None:
    """Writes the hand-ins into a class folder. What is there already and the same is left as it is.

    Raises:
        AutograderError: the folder holds something that we did not make.
    """
    root = Path(root)
    mark = root / SAMPLE_MARK
    if root.exists() and (not root.is_dir() or (any(root.iterdir()) and not mark.is_file())):
        raise AutograderError(
            f"found {root} with something in it that this script did not make; wanted an empty folder or a sample"
            " class.\n  Next: name another one with --class DIR."
        )
    lab = load_lab(LAB)
    expected = {s.name: {"did": s.did, "state": s.state, "reason": s.reason_code, "points": s.points} for s in STUDENTS}
    about = {"lab": LAB, "made_by": "python -m autograder.sample", "students": expected}
    write_atomically(mark, (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode())
    for number, student in enumerate(STUDENTS):
        folder = root / "submitted" / student.name / LAB
        write_atomically(folder / f"{LAB}.ipynb", student.make(lab))
        stamp = HANDED_IN.format(hour=9 + number // 2, minute=17 * (number % 3))
        write_atomically(folder / "timestamp.txt", stamp.encode())
    for folder in (root / "submitted").iterdir():  # of an earlier version of this script
        if folder.name not in expected:
            shutil.rmtree(folder)


def _variants(variants: tuple, names: tuple[str, ...]) -> dict[str, str]:
    by_name = {f"{v.exercise}:{v.name}": v for v in variants}
    return {by_name[name].exercise: by_name[name].source for name in names}


def _bytes(notebook: NotebookNode) -> bytes:
    return (nbformat.writes(notebook, version=4) + "\n").encode()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m autograder.sample", description=__doc__.split("\n")[0])
    parser.add_argument("--class", dest="root", type=Path, default=paths.SAMPLE_CLASS, metavar="DIR")
    root = parser.parse_args().root
    try:
        make_class(root)
    except AutograderError as error:
        raise SystemExit(f"autograder.sample: {error}") from None
    print(f"{len(STUDENTS)} hand-ins of {LAB} in {root / 'submitted'}")


if __name__ == "__main__":
    main()
