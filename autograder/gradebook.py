"""The one writer of nbgrader's gradebook. Points, comments and penalties that a person gave are never touched."""

import contextlib
import datetime
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

from nbgrader.api import Grade, Gradebook, InvalidEntry, MissingEntry
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SAWarning, SQLAlchemyError
from tornado.log import app_log

from autograder.errors import AutograderError
from autograder.labs import Lab
from autograder.lateness import assign_penalties
from autograder.release import COURSE, register
from autograder.results import Result


@dataclass(frozen=True)
class CellGrade:
    """What the gradebook holds of one graded cell. `score` is what counts: by hand, else automatic; and extra."""

    auto: float | None
    manual: float | None
    extra: float | None
    score: float
    max_score: float
    pending: bool
    comment: str = ""


@dataclass(frozen=True)
class Standing:
    """One student's hand-in in the gradebook.

    Attributes:
        first_name, last_name, email, lms_id: "" where the gradebook has none.
        penalty: points taken off for lateness.
        score, max_score: of all cells; the penalty is not yet taken off.
        pending: something waits for a person.
    """

    student: str
    first_name: str
    last_name: str
    email: str
    lms_id: str
    penalty: float
    score: float
    max_score: float
    pending: bool
    seconds_late: float
    cells: dict[str, CellGrade] = field(default_factory=dict)

    @property
    def final(self) -> float:
        """What the student gets: the score without the penalty, and not below nothing."""
        return max(0.0, self.score - self.penalty)


class Book:
    """nbgrader's gradebook of a class, for one lab. Only the holder of the class's lock may make one.

    Raises:
        AutograderError: the database cannot be opened, or holds the lab with other cells.
    """

    def __init__(self, url: str, lab: Lab):
        self.url, self.lab = url, lab.name
        with self._explained():
            register(lab, url)
            self._book = Gradebook(url, COURSE)

    def close(self) -> None:
        self._book.close()

    def __enter__(self) -> "Book":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def holds(self, result: Result) -> bool:
        """The gradebook has just this result's automatic points."""
        try:
            grades = self._grades(result.student)
        except MissingEntry:
            return False
        return {n: g.auto_score for n, g in grades.items()} == result.scores()

    def write(self, result: Result, timestamp: datetime.datetime | None, *, changed: bool) -> None:
        """Writes automatic points and comments, all or nothing.

        A cell without automatic points waits for a person in formgrader, and so does one that a person graded before
        the student handed in something else.

        Args:
            timestamp: when it was handed in, in UTC without a time zone; None if unknown: what the gradebook has stays.
            changed: the hand-in is another than the one that was graded before.
        """
        book = self._book
        with self._explained(), self._at_once():
            try:
                book.find_student(result.student)
            except MissingEntry:
                book.add_student(result.student)
            book.update_or_create_submission(
                self.lab, result.student, **({"timestamp": timestamp} if timestamp else {})
            )
            self._fill(result, changed)

    @contextlib.contextmanager
    def _at_once(self) -> Iterator[None]:
        """What is written inside is one transaction. nbgrader ends one with each of its steps, and the disk is waited
        for each time."""
        session = self._book.db
        session.commit = session.flush
        try:
            yield
        except BaseException:
            session.rollback()
            raise
        finally:
            del session.commit
        try:
            session.commit()
        except BaseException:
            session.rollback()
            raise

    def _fill(self, result: Result, changed: bool) -> None:
        grades = self._grades(result.student)
        for cell in result.cells:
            grade = grades[cell.grade_id]
            grade.auto_score = cell.points
            if grade.manual_score is None:
                grade.needs_manual_grade = cell.points is None
            elif changed:
                grade.needs_manual_grade = True
        said = comments(result)
        submission = self._book.find_submission_notebook(self.lab, self.lab, result.student)
        for comment in submission.comments:
            comment.auto_comment = said.get(comment.name)

    def _grades(self, student: str) -> dict[str, Grade]:
        submission = self._book.find_submission_notebook(self.lab, self.lab, student)
        return {grade.name: grade for grade in submission.grades}

    def assign_penalties(self) -> None:
        """Late penalties of all hand-ins, as nbgrader's settings say (`autograder.lateness`)."""
        with self._explained():
            self._book.db.expire_all()
            try:
                assign_penalties(self._book, self.lab)
                self._book.db.commit()
            except BaseException:
                self._book.db.rollback()
                raise

    def standings(self) -> dict[str, Standing]:
        """Every student's hand-in for the lab, by the student's name."""
        found = {}
        with self._explained():
            self._book.db.expire_all()
            for submission in self._book.assignment_submissions(self.lab):
                student, notebook = submission.student, submission.notebooks[0]
                said = {c.name: c.manual_comment or "" for c in notebook.comments}
                cells = {
                    g.name: CellGrade(
                        auto=g.auto_score,
                        manual=g.manual_score,
                        extra=g.extra_credit,
                        score=g.score,
                        max_score=g.max_score,
                        pending=g.needs_manual_grade,
                        comment=said.get(g.name, ""),
                    )
                    for g in notebook.grades
                }
                found[student.id] = Standing(
                    student=student.id,
                    first_name=student.first_name or "",
                    last_name=student.last_name or "",
                    email=student.email or "",
                    lms_id=student.lms_user_id or "",
                    penalty=notebook.late_submission_penalty or 0.0,
                    score=submission.score,
                    max_score=submission.max_score,
                    pending=bool(submission.needs_manual_grade),
                    seconds_late=float(submission.total_seconds_late),
                    cells=cells,
                )
        return found

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        quiet = app_log.disabled
        app_log.disabled = True  # nbgrader writes a traceback there of every error that is explained here
        try:
            with warnings.catch_warnings():
                # nbgrader's own way of adding a submission is outdated for SQLAlchemy, and harmless
                warnings.simplefilter("ignore", SAWarning)
                yield
        except (SQLAlchemyError, InvalidEntry) as error:  # nbgrader makes the second of the first
            cause = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise AutograderError(
                f"found that the gradebook {self._shown_url()} cannot be used ({cause}); wanted an nbgrader gradebook"
                " that can be written.\n  Next: see whether it is there, whole, and yours, and grade again: nothing"
                " is lost."
            ) from error
        finally:
            app_log.disabled = quiet

    def _shown_url(self) -> str:
        """The address without a password."""
        try:
            return make_url(self.url).render_as_string(hide_password=True)
        except SQLAlchemyError:
            return "given with --gradebook"


def comments(result: Result) -> dict[str, str]:
    """What formgrader shows beside an answer, by the answer's grade id: why it cannot be judged, or what failed."""
    said: dict[str, list[str]] = {}
    for cell in result.cells:
        if cell.kind == "no_answer":
            said.setdefault(cell.grade_id, []).append("No response.")  # nbgrader's own words
        elif result.state == "ungradable":
            said.setdefault(cell.exercise, []).append(f"Not graded: {result.reason}")
        elif cell.ok is not True and cell.kind != "manual":
            said.setdefault(cell.exercise, []).append(
                f"{cell.message}\nHint: {cell.hint}" if cell.hint else cell.message
            )
    for note in result.notes:
        if note["grade_id"] and note["code"] != "points_edited":
            said.setdefault(note["grade_id"].removeprefix("test_").split("__")[0], []).append(note["text"])
    return {grade_id: "\n\n".join(dict.fromkeys(texts)) for grade_id, texts in said.items()}
