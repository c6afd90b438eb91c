"""`nbgrader autograde` and formgrader's button: the same sandbox, examiner and scores as `autograder grade`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

from autograder.classroom import Classroom
from autograder.release import COURSE
from autograder.sandbox.client import why_no_sandbox
from tests.courses import Course
from tests.handins import autograder

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # nbgrader's own queries
SEED = "the seed of this class"
BOB = "Bob [2] O'Brien-Łuków"
# right, and noisy while it is tested; what it prints tells which numbers it was given
NOISY = """import sys, warnings
def loss(x):
    print("given", x.sum().item())
    print("careful", file=sys.stderr)
    warnings.warn("are you sure?")
    return (x * x).mean()"""
CHEATING = "def loss(x):\n    return x.new_tensor(14 / 3)"  # passes what the student sees and nothing else


def hand_in_all(course: Course) -> None:
    course.hand_in("ada", {"step": course.lab.mistakes[2].source})
    course.hand_in("eve", {"loss": CHEATING})
    course.hand_in("noisy", {"loss": NOISY})
    course.hand_in("torn").write_text('{"cells": [{"cell_type": "code", "sour')
    hidden = course.hand_in("linked")
    hidden.rename(hidden.parent / "elsewhere.json")
    hidden.symlink_to("elsewhere.json")
    (course.classroom / "seed").write_text(json.dumps({course.lab.name: SEED}))


def grades(course: Course) -> dict:
    """By student and cell: automatic points, and whether a person is asked."""
    with Gradebook(course.gradebook_url, COURSE) as gradebook:
        return {
            submission.student.id: {
                g.name: (g.auto_score, g.needs_manual_grade) for g in submission.notebooks[0].grades
            }
            for submission in gradebook.assignment_submissions(course.lab.name)
        }


def verdicts(course: Course) -> dict:
    """What the results say, but for times."""
    found = {}
    for path in sorted((course.classroom / "results" / course.lab.name).glob("*.json")):
        found[path.stem] = {k: v for k, v in json.loads(path.read_text("utf-8")).items() if k != "times"}
    return found


def grade(course: Course, *arguments: str) -> dict:
    lab = course.root / "solutions" / course.lab.name
    done = autograder("grade", lab, "--class", course.classroom, "--json", *arguments)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The same class twice: graded by us, and by nbgrader."""
    if why := why_no_sandbox():
        pytest.skip(f"this machine makes no sandbox: {why}")
    ours, nbgraders = (Course(tmp_path_factory.mktemp(name)) for name in ("ours", "nbgraders"))
    for course in (ours, nbgraders):
        hand_in_all(course)
    (nbgraders.classroom / "submitted" / "ada" / nbgraders.lab.name / "page.html").write_text("<script>1</script>")
    grade(ours, "--isolation", "warm", "--workers", "1")
    nbgraders.nbgrader("autograde", nbgraders.lab.name)
    return ours, nbgraders


class TestTheSameClassBothWays:
    def test_has_the_same_points_cell_by_cell(self, both):
        ours, nbgraders = map(grades, both)
        assert ours == nbgraders
        given = {student: [points for points, _ in cells.values()] for student, cells in ours.items()}
        names = list(ours["ada"])
        assert names == ["test_loss", "test_loss__dtype", "test_step", "in_words"]
        assert given == {
            "ada": [2, 1, 0, None],
            "eve": [0, 1, 0, None],
            "noisy": [2, 1, 2, None],  # what goes to stderr costs nothing
            "torn": [None] * 4,
            "linked": [None] * 4,
        }

    def test_has_the_same_verdicts_of_the_same_numbers_in_the_same_sandbox(self, both):
        ours, nbgraders = map(verdicts, both)
        assert ours == nbgraders
        assert {r["isolation"] for r in ours.values()} == {"warm"}
        assert (ours["torn"]["reason_code"], ours["linked"]["reason_code"]) == ("truncated", "symlink")
        output = ours["noisy"]["cells"][0]["output"]
        assert "careful" in output and "are you sure?" in output and output.count("given") == 2

    def test_is_done_for_one_when_the_other_has_done_it(self, both):
        _, nbgraders = both
        done = grade(nbgraders, "--isolation", "warm")
        assert (done["graded"], done["unchanged"]) == (0, 5)

    def test_leaves_nothing_of_a_hand_in_in_graded_but_its_notebook(self, both):
        for course in both:
            names = {p.name for p in (course.classroom / "graded").rglob("*") if not p.is_dir()}
            assert names == {f"{course.lab.name}.ipynb"}

    def test_has_feedback_and_report(self, both):
        for course in both:
            assert (course.classroom / course.lab.name / "report.html").is_file()
            assert (course.classroom / "feedback" / "noisy" / f"{course.lab.name}.html").is_file()


@pytest.fixture
def course(tmp_path):
    made = Course(tmp_path)
    made.register()
    made.hand_in("ada")
    return made


class TestFormgradersButton:
    def test_grades_in_the_class_s_seed_and_keeps_what_a_person_gave(self, course, monkeypatch):
        if why := why_no_sandbox():
            pytest.skip(f"this machine makes no sandbox: {why}")
        (course.classroom / "seed").write_text(json.dumps({course.lab.name: SEED}))
        course.hand_in(BOB, {"loss": NOISY})
        with Gradebook(course.gradebook_url, COURSE) as gradebook:
            gradebook.add_student(BOB)
            submission = gradebook.update_or_create_submission(course.lab.name, BOB)
            for grade in submission.notebooks[0].grades:
                if grade.name == "in_words":
                    grade.manual_score, grade.needs_manual_grade = 3, False
            gradebook.db.commit()
        done = course.api(monkeypatch).autograde(course.lab.name, BOB)
        assert done["success"], done
        assert grades(course)[BOB] == {
            "test_loss": (2, False),
            "test_loss__dtype": (1, False),
            "test_step": (2, False),
            "in_words": (None, False),
        }
        result = verdicts(course)
        assert list(result) == [BOB] and result[BOB]["isolation"] == "warm"
        given = result[BOB]["cells"][0]["output"].split("given ")[2].split()[0]
        assert float(given) == pytest.approx(_fresh_sum(7, "loss"))

    def test_refuses_while_another_writes_the_class_and_says_who(self, course, monkeypatch):
        monkeypatch.setenv("UNMAGIC_ISOLATION", "none")
        api = course.api(monkeypatch)
        monkeypatch.setenv("UNMAGIC_ISOLATION", "none")
        with Classroom(course.classroom).lock():
            done = api.autograde(course.lab.name, "ada")
        assert not done["success"] and f"process {os.getpid()}" in done["log"] and "writing the grades" in done["log"]
        assert grades(course) == {} and not (course.classroom / "graded").exists()

    def test_refuses_without_a_sandbox_and_names_the_cure(self, course, monkeypatch):
        api = course.api(monkeypatch)
        monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
        done = api.autograde(course.lab.name, "ada")
        assert not done["success"] and "bubblewrap" in done["log"] and "UNMAGIC_ISOLATION=none" in done["log"]
        assert grades(course) == {} and not (course.classroom / "graded").exists()

    def test_refuses_to_believe_outputs_instead_of_running_tests(self, course):
        command = [sys.executable, "-m", "nbgrader", "autograde", course.lab.name, "--no-execute"]
        done = subprocess.run(command, cwd=course.root, capture_output=True, text=True)
        assert done.returncode == 1 and "nothing handed in is believed" in done.stderr


def _fresh_sum(count: int, exercise: str) -> float:
    """The sum of the first `count` fresh normal numbers of an exercise under this class's seed."""
    code = "import torch\nfrom unmagic import checks\n"
    code += f"print(torch.randn({count}, generator=checks.fresh({exercise!r})).sum().item())"
    environment = {**os.environ, "UNMAGIC_SEED": SEED}
    return float(subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True).stdout)
