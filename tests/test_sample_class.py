"""The sample class through the real command line: what its table says is what it gets."""

import csv
import json

import pytest

from autograder import sample
from autograder.errors import AutograderError
from autograder.labs import load_lab
from autograder.sandbox.client import why_no_sandbox
from tests.handins import autograder


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    root = tmp_path_factory.mktemp("sample")
    sample.make_class(root)
    autograder("grade", sample.LAB, "--class", root, "--timeout", 10)  # our own: goes on without a sandbox
    return root


def results(root):
    folder = root / "results" / sample.LAB
    return {p.stem: json.loads(p.read_text("utf-8")) for p in folder.glob("*.json")}


def test_every_student_gets_the_state_the_reason_and_the_points_of_the_table(graded):
    found = {name: (r["state"], r["reason_code"], r["points"]) for name, r in results(graded).items()}
    assert found == {s.name: (s.state, s.reason_code, s.points) for s in sample.STUDENTS}
    assert len(found) == 12


def test_none_ends_as_a_zero_without_a_word(graded):
    for result in results(graded).values():
        assert result["reason"] if result["points"] == 0 else result["state"] != "ungradable"


def test_a_mistake_is_told_with_the_hint_its_list_promises(graded):
    lab, found = load_lab(sample.LAB), results(graded)
    first = {}
    for mistake in lab.mistakes:
        first.setdefault(mistake.exercise, mistake)
    told = {c["grade_id"]: f"{c['message']}\n{c['hint']}" for c in found["fatima-zahra"]["cells"]}
    assert len(first) == len(lab.exercises)
    for mistake in first.values():
        assert mistake.hint in told[mistake.fails_id], mistake.name


def test_the_table_of_grades_has_the_same_points(graded):
    with (graded / sample.LAB / "grades.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = {r["student"]: r for r in csv.DictReader(file)}
    for student in sample.STUDENTS:
        assert rows[student.name]["score"] == ("" if student.state == "ungradable" else f"{student.points:g}")


def test_it_is_graded_behind_walls_or_stamped_where_there_are_none(graded):
    used = {r["isolation"] for r in results(graded).values()}
    assert used == ({"none"} if why_no_sandbox() else {"warm"})
    assert ("Not isolated" in (graded / sample.LAB / "report.html").read_text("utf-8")) == (used == {"none"})


def test_made_again_it_is_the_same_and_nothing_is_graded(graded):
    before = {p: p.stat().st_mtime_ns for p in (graded / "submitted").rglob("*.ipynb")}
    sample.make_class(graded)
    assert {p: p.stat().st_mtime_ns for p in before} == before
    said = autograder("grade", sample.LAB, "--class", graded, "--timeout", 10).stdout
    assert "Nothing changed: 12 hand-ins kept" in said


def test_a_folder_of_somebody_else_s_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(AutograderError, match="did not make"):
        sample.make_class(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
