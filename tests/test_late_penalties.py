"""Late penalties: ours are those that `nbgrader autograde` takes off, and no point given by hand is lost."""

import datetime
import subprocess

import pytest
from nbgrader.api import Gradebook
from nbgrader.apps.baseapp import NbGrader
from nbgrader.preprocessors import AssignLatePenalties

from autograder.classroom import Classroom
from autograder.errors import AutograderError
from autograder.gradebook import Book
from autograder.release import COURSE, source_notebook
from autograder.results import CellResult, Result
from tests.courses import Course
from tests.handins import command

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # nbgrader's own queries
DUE = "2026-03-01 18:00:00 UTC"
HANDED_IN = {  # student: when, points of the three tests
    "early": ("2026-03-01 17:59:59 UTC", (2, 1, 2)),
    "hour late": ("2026-03-01 19:00:00 UTC", (2, 1, 2)),
    "day late": ("2026-03-02 18:00:00 UTC", (2, 1, 0)),
    "much too late": ("2026-04-01 00:00:00 UTC", (2, 1, 2)),
    "odd": ("2026-03-02 00:00:00 UTC", (2, 1, 2)),
    "extended": ("2026-03-01 20:00:00 UTC", (2, 1, 2)),
    "untimed": (None, (2, 1, 2)),
}
PLUGIN = """
from nbgrader.plugins import BasePlugin

class PointAnHour(BasePlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return -1.0 if student_id == "odd" else total_seconds_late / 3600

c.AssignLatePenalties.plugin_class = PointAnHour
"""
ZERO = "c.LateSubmissionPlugin.penalty_method = 'zero'\n"
TESTS = {"test_loss": 2, "test_loss__dtype": 1, "test_step": 2}


@pytest.fixture
def course(tmp_path, monkeypatch):
    """`course(settings, name)`: a class whose hand-ins were graded, with points given by hand to one of them; the
    course's folder is the current one, as for `nbgrader autograde`."""
    monkeypatch.delenv("UNMAGIC_CLASS", raising=False)

    def make(settings: str, name: str = "ours") -> Course:
        made = Course(tmp_path / name)
        with open(made.root / "nbgrader_config.py", "a") as file:
            file.write(settings)
        monkeypatch.chdir(made.root)
        with Book(made.gradebook_url, made.lab) as book:
            for student, (when, points) in HANDED_IN.items():
                folder = made.hand_in(student).parent
                if when:
                    (folder / "timestamp.txt").write_text(when)
                book.write(_result(made, student, points), _time(made, student), changed=False)
        with Gradebook(made.gradebook_url, COURSE) as book:
            book.update_or_create_assignment(made.lab.name, duedate=DUE)
            book.find_submission(made.lab.name, "extended").extension = datetime.timedelta(hours=3)
            _by_hand(book, made, "hour late", 2.5)
            book.db.commit()
        return made

    return make


def _result(course: Course, student: str, points: tuple) -> Result:
    cells = [CellResult(n, "", float(p), float(m), p == m) for (n, m), p in zip(TESTS.items(), points, strict=True)]
    cells.append(CellResult("in_words", "in_words", None, 3.0, None, "manual"))
    return Result(course.lab.name, student, "graded", "", "", float(sum(points)), 5.0, "none", cells)


def _time(course: Course, student: str) -> datetime.datetime | None:
    return Classroom(course.classroom).timestamp(course.lab.name, student)


def _by_hand(book: Gradebook, course: Course, student: str, points: float) -> None:
    grade = book.find_grade("in_words", course.lab.name, course.lab.name, student)
    grade.manual_score, grade.needs_manual_grade = points, False


def assign(course: Course) -> None:
    with Book(course.gradebook_url, course.lab) as book:
        book.assign_penalties()


def taken_off(course: Course) -> dict:
    """By student: the penalty, the score without it, and points by hand."""
    found = {}
    with Gradebook(course.gradebook_url, COURSE) as book:
        for submission in book.assignment_submissions(course.lab.name):
            notebook = submission.notebooks[0]
            by_hand = next(g.manual_score for g in notebook.grades if g.name == "in_words")
            found[submission.student.id] = (notebook.late_submission_penalty, notebook.score, by_hand)
    return found


@pytest.mark.parametrize("settings", [PLUGIN, ZERO], ids=["a plugin of the course", "nothing for late work"])
def test_are_those_of_nbgrader(course, settings):
    nbgraders = course(settings, "nbgraders")
    app = NbGrader()
    app.initialize([])
    for student in HANDED_IN:
        about = {"notebook": nbgraders.lab.name, "assignment": nbgraders.lab.name, "student": student}
        step = AssignLatePenalties(config=app.config)
        step.preprocess(source_notebook(nbgraders.lab), {"nbgrader": {**about, "db_url": nbgraders.gradebook_url}})
    ours = course(settings)
    assign(ours)
    assert taken_off(ours) == taken_off(nbgraders)
    late = {student: penalty for student, (penalty, _, _) in taken_off(ours).items() if penalty is not None}
    if settings == PLUGIN:  # at least 0, and no more than there was
        assert late == {"hour late": 1, "day late": 3, "much too late": 5, "odd": 0}
    else:
        assert late == {"hour late": 7.5, "day late": 3, "much too late": 5, "odd": 5}


def test_follow_the_points_that_a_person_gives_later(course):
    made = course(ZERO)
    assign(made)
    with Gradebook(made.gradebook_url, COURSE) as book:
        _by_hand(book, made, "much too late", 3)
        book.db.commit()
    assign(made)
    assert taken_off(made)["much too late"] == (8, 8, 3) and taken_off(made)["hour late"] == (7.5, 7.5, 2.5)


def test_written_by_hand_stay_where_the_settings_name_none(course):
    made = course("")
    with Gradebook(made.gradebook_url, COURSE) as book:
        book.find_submission_notebook(*[made.lab.name] * 2, "early").late_submission_penalty = 0.5
        book.db.commit()
    assign(made)
    penalties = {student: penalty for student, (penalty, _, _) in taken_off(made).items() if penalty}
    assert penalties == {"early": 0.5}


def test_are_not_assigned_where_the_settings_leave_that_step_out(course):
    made = course(PLUGIN + "c.Autograde.autograde_preprocessors = []\n")
    assign(made)
    assert {penalty for penalty, _, _ in taken_off(made).values()} == {None}


def test_of_a_plugin_that_fails_are_an_error_that_says_so_and_nothing_is_changed(course):
    made = course(PLUGIN.replace("-1.0 if", "1 / 0 if"))
    before = taken_off(made)
    with pytest.raises(AutograderError, match=r"late penalties .*ZeroDivisionError"):
        assign(made)
    assert taken_off(made) == before


@pytest.mark.slow
def test_of_a_whole_run_are_those_of_nbgrader_autograde(course):
    ours, nbgraders = course(PLUGIN), course(PLUGIN, "nbgraders")
    lab = ours.root / "solutions" / ours.lab.name
    run = command("grade", lab, "--class", ours.classroom, "--isolation", "none", "--workers", 1)
    done = subprocess.run(run, cwd=ours.root, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    nbgraders.nbgrader("autograde", nbgraders.lab.name, UNMAGIC_ISOLATION="none")
    assert taken_off(ours) == taken_off(nbgraders)
    assert taken_off(ours)["hour late"] == (1, 7.5, 2.5)
