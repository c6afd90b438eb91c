"""The gradebook's one writer: automatic points go in, what a person gave stays, formgrader shows everything."""

import contextlib
import datetime
import os
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest
from nbgrader import api
from nbgrader.api import Gradebook

from autograder import database
from autograder.errors import AutograderError
from autograder.gradebook import Book, comments
from autograder.results import CellResult, Result
from tests.handins import tiny
from tests.test_report import made


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A new gradebook that knows the lab."""
    path = tmp_path_factory.mktemp("empty") / "gradebook.db"
    Book(f"sqlite:///{path}", tiny()).close()
    return path


@pytest.fixture
def book(empty, tmp_path):
    shutil.copy(empty, tmp_path / "gradebook.db")
    with Book(f"sqlite:///{tmp_path / 'gradebook.db'}", tiny()) as book:
        yield book


def test_a_new_gradebook_is_the_one_that_nbgrader_makes(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    Gradebook(f"sqlite:///{tmp_path / 'theirs.db'}", "unmagic").close()  # asks the command `alembic`
    monkeypatch.setattr(api, "get_alembic_version", lambda: pytest.fail("nbgrader was left to ask for the version"))
    database.make(f"sqlite:///{tmp_path / 'ours.db'}")
    Gradebook(f"sqlite:///{tmp_path / 'ours.db'}", "unmagic").close()
    assert _dump(tmp_path / "ours.db") == _dump(tmp_path / "theirs.db")


def test_a_gradebook_that_is_there_is_left_as_it_is(empty, tmp_path):
    shutil.copy(empty, tmp_path / "old.db")
    with contextlib.closing(sqlite3.connect(tmp_path / "old.db")) as old, old:
        old.execute("UPDATE alembic_version SET version_num = 'of long ago'")
    before = _dump(tmp_path / "old.db")
    database.make(f"sqlite:///{tmp_path / 'old.db'}")
    assert _dump(tmp_path / "old.db") == before


def _dump(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return sorted(connection.iterdump())


def test_a_cell_without_points_waits_for_a_person_and_is_no_zero(book):
    result = made("ada")
    result.cells[3].points = result.cells[3].ok = None  # a test that could not be judged
    book.write(result, None, changed=False)
    standing = book.standings()["ada"]
    assert standing.cells["test_step"].pending and standing.cells["test_step"].auto is None
    assert not standing.cells["test_slope"].pending
    assert (standing.score, standing.max_score, standing.pending) == (5, 12, True)


def test_the_time_of_handing_in_is_kept_and_makes_late(book):
    book._book.update_or_create_assignment("tiny_line", duedate="2026-03-01 09:00:00 UTC")
    book.write(made("ada"), datetime.datetime(2026, 3, 1, 10), changed=False)
    assert book.standings()["ada"].seconds_late == 3600
    book.write(made("ada"), None, changed=False)  # unknown now: what was known stays
    assert book.standings()["ada"].seconds_late == 3600


def test_holds_knows_when_a_result_is_not_in_it(book):
    result = made("ada")
    assert not book.holds(result)
    book.write(result, None, changed=False)
    assert book.holds(result)
    result.cells[0].points = 0.0
    assert not book.holds(result)


def test_comments_say_why_something_is_not_graded_or_what_failed():
    said = comments(made("ada", state="ungradable", reason="Cut off."))
    assert said["loss"] == said["why"] == "Not graded: Cut off."
    failed = made("ada", loss=0.0, kind="value", message="wrong", hint="look")
    failed.notes = [{"code": "tests_restored", "grade_id": "test_slope", "text": "It was deleted."}]
    assert comments(failed) == {"loss": "wrong\nHint: look", "slope": "It was deleted."}


def test_an_answer_s_comment_by_hand_is_not_replaced(book):
    book.write(made("ada"), None, changed=False)
    book._book.find_comment("loss", "tiny_line", "tiny_line", "ada").manual_comment = "Well done."
    book._book.db.commit()
    book.write(made("ada", loss=0.0, message="wrong"), None, changed=True)
    comment = book._book.find_comment("loss", "tiny_line", "tiny_line", "ada")
    assert (comment.comment, comment.auto_comment) == ("Well done.", "wrong")


def test_a_result_with_a_cell_the_gradebook_does_not_know_changes_nothing(book):
    book.write(made("ada"), None, changed=False)
    wrong = made("ada", loss=0.0)
    wrong.cells.append(CellResult("test_other", "other", 1.0, 1.0, True))
    with pytest.raises(KeyError):
        book.write(wrong, None, changed=False)
    assert book.standings()["ada"].cells["test_loss"].auto == 2.0


def test_a_gradebook_that_cannot_be_opened_is_an_error_without_the_password():
    with pytest.raises(AutograderError) as caught:
        Book("sqlite:////nowhere/gradebook.db", tiny())
    assert "/nowhere/gradebook.db" in str(caught.value) and "nothing is lost" in str(caught.value).replace("\n", " ")


def test_a_student_s_final_points_are_not_below_nothing(book):
    book.write(Result(**{**vars(made("ada", loss=0.0))}), None, changed=False)
    book._book.find_submission_notebook("tiny_line", "tiny_line", "ada").late_submission_penalty = 99.0
    book._book.db.commit()
    assert book.standings()["ada"].final == 0
