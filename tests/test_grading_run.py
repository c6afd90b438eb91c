"""A class is graded through the command line: what is new, what changed, what a person did, what was killed."""

import csv
import json
import shutil
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import nbformat
import psutil
import pytest
from nbgrader.api import Gradebook

from autograder.classroom import Classroom
from autograder.cli import main
from autograder.execution import Limits
from autograder.labs import load_lab
from autograder.marking import Task
from autograder.pool import mark_all, processes
from autograder.release import source_notebook, student_notebook
from tests import stand_in
from tests.handins import SUM, TINY, autograder, command, grade, hand_in, result, solved

HINT = "Take the mean over the points, not the sum."


def states(root):
    return {p.stem: json.loads(p.read_text("utf-8"))["state"] for p in (root / "results" / "tiny_line").glob("*.json")}


def scores(root):
    found = {}
    for path in sorted((root / "results" / "tiny_line").glob("*.json")):
        data = json.loads(path.read_text("utf-8"))
        found[path.stem] = (data["state"], data["reason"], {c["grade_id"]: c["points"] for c in data["cells"]})
    return found


def in_gradebook(root):
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}", "unmagic") as book:
        return {
            s.student.id: {g.name: (g.auto_score, g.needs_manual_grade) for g in s.notebooks[0].grades}
            for s in book.assignment_submissions("tiny_line")
        }


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """A class of odd names and files, graded once."""
    root = tmp_path_factory.mktemp("class")
    hand_in(root, "ada", solved())
    hand_in(root, "Zoë Ångström", solved({"loss": SUM}))
    hand_in(root, "cut", b'{"cells": [{"cell_')
    (root / "submitted" / "linked").mkdir()
    (root / "submitted" / "linked" / "tiny_line").symlink_to(root / "submitted" / "ada" / "tiny_line")
    (root / "submitted" / "ada" / "tiny_line" / "timestamp.txt").write_text("2026-03-01 10:00:00 UTC")
    (root / "submitted" / "cut" / "tiny_line" / "timestamp.txt").write_text("yesterday, I think")
    (root / "submitted" / "notes.txt").write_text("not a student")
    (root / "submitted" / "absent").mkdir()
    events = grade(root, "--workers", 2)
    return root, events


@pytest.fixture
def again(graded, tmp_path):
    """A copy of that class: the same results, gradebook and seed."""
    root = tmp_path / "class"
    shutil.copytree(graded[0], root, symlinks=True)
    link = root / "submitted" / "linked" / "tiny_line"
    link.unlink()
    link.symlink_to(root / "submitted" / "ada" / "tiny_line")
    return root


class TestTheFirstTime:
    def test_every_hand_in_ends_in_a_state_and_a_reason_and_the_others_go_on(self, graded):
        root, events = graded
        assert states(root) == {"ada": "graded", "Zoë Ångström": "graded", "cut": "ungradable", "linked": "ungradable"}
        told = {e["student"]: e["reason_code"] for e in events if e["event"] == "handin"}
        assert told == {"ada": "", "Zoë Ångström": "", "cut": "truncated", "linked": "symlink"}
        assert events[-1]["states"] == {"graded": 2, "partial": 0, "ungradable": 2}
        assert events[-1]["isolation"] == "none"

    def test_the_gradebook_has_the_results_and_what_waits_for_a_person(self, graded):
        root, _ = graded
        book = in_gradebook(root)
        assert book["ada"] == {
            "test_loss": (2.0, False),
            "test_loss__one_point": (1.0, False),
            "test_slope": (2.0, False),
            "test_step": (4.0, False),
            "why": (None, True),
        }
        assert book["Zoë Ångström"]["test_loss"] == (0.0, False)
        assert set(book["cut"].values()) == {(None, True)}  # no silent 0

    def test_a_time_that_is_none_is_told_and_a_good_one_kept(self, graded):
        root, events = graded
        (warning,) = [e["text"] for e in events if e["event"] == "warning"]
        assert "'yesterday, I think'" in warning
        with Gradebook(f"sqlite:///{root / 'gradebook.db'}", "unmagic") as book:
            assert book.find_submission("tiny_line", "ada").timestamp.isoformat() == "2026-03-01T10:00:00"
        assert (root / "graded" / "ada" / "tiny_line" / "timestamp.txt").read_text() == "2026-03-01 10:00:00 UTC"

    def test_the_seed_is_secret_and_nowhere_else(self, graded):
        root, _ = graded
        path = root / "seed"
        assert path.stat().st_mode & 0o777 == 0o600
        seed = json.loads(path.read_text())["tiny_line"]
        assert len(seed) == 32
        files = [p for p in root.rglob("*") if p.is_file() and p != path and not p.is_symlink()]
        assert len(files) > 10 and not [p for p in files if seed.encode() in p.read_bytes()]

    def test_nothing_is_left_running_or_lying_about(self, graded):
        root, _ = graded
        assert not (root / "gradebook.holder.json").exists()
        assert not [p for p in root.rglob(".*") if p.is_file()]

    def test_feedback_and_report_are_there_for_everyone(self, graded):
        root, _ = graded
        for student in states(root):
            assert (root / "feedback" / student / "tiny_line.html").is_file()
        assert HINT in (root / "feedback" / "Zoë Ångström" / "tiny_line.html").read_text("utf-8")
        report = (root / "tiny_line" / "report.html").read_text("utf-8")
        assert "Not isolated" in report and "Zo%C3%AB%20%C3%85ngstr%C3%B6m/tiny_line.html" in report


class TestAgain:
    def test_nothing_changed_nothing_is_graded(self, again):
        before = {p: p.read_bytes() for p in again.rglob("*") if p.is_file() and p.suffix != ".db"}
        said = autograder("grade", TINY, "--class", again, "--isolation", "none").stdout
        assert "0 hand-ins to grade, 4 unchanged" in said and "Nothing changed: 4 hand-ins kept as they were" in said
        assert {p: p.read_bytes() for p in before} == before

    def test_a_new_hand_in_alone_is_graded_and_the_move_is_told(self, again):
        hand_in(again, "Zoë Ångström", solved())
        events = grade(again)
        assert events[0]["why"] == {"the hand-in changed": 1}
        (moved,) = events[-1]["moved"]
        assert (moved["student"], moved["before"], moved["after"]) == ("Zoë Ångström", 7, 9)
        assert moved["cells"] == [{"grade_id": "test_loss", "before": 0.0, "after": 2.0, "why": "the hand-in changed"}]

    def test_a_changed_test_grades_again_and_says_whose_points_moved(self, again, tmp_path):
        lab = tmp_path / "tiny_line"
        shutil.copytree(TINY, lab)
        source = (lab / "lab.py").read_text()
        (lab / "lab.py").write_text(source.replace("loss([3.0], [1.0]), 4.0,", "loss([3.0, 1.0], [1.0, 1.0]), 2.0,"))
        events = grade(again, lab=lab)
        why = "the lab changed: test_loss__one_point (test changed)"
        assert events[0]["why"] == {why: 4}
        (moved,) = events[-1]["moved"]
        assert (moved["student"], moved["why"]) == ("Zoë Ångström", why)
        assert [(c["grade_id"], c["why"]) for c in moved["cells"]] == [("test_loss__one_point", "test changed")]
        assert in_gradebook(again)["Zoë Ångström"]["test_loss__one_point"] == (0.0, False)

    def test_a_lost_gradebook_is_filled_again(self, again):
        before = in_gradebook(again)
        (again / "gradebook.db").unlink()
        events = grade(again, "--workers", 1)
        assert events[0]["todo"] == 4 and events[-1]["moved"] == []
        assert in_gradebook(again) == before

    def test_what_a_person_gave_stays_and_counts_whatever_is_graded_again(self, again):
        with Gradebook(f"sqlite:///{again / 'gradebook.db'}", "unmagic") as book:
            book.find_grade("test_loss", "tiny_line", "tiny_line", "Zoë Ångström").manual_score = 1.5
            why = book.find_grade("why", "tiny_line", "tiny_line", "Zoë Ångström")
            why.manual_score, why.extra_credit, why.needs_manual_grade = 2.0, 0.5, False
            book.find_comment("why", "tiny_line", "tiny_line", "Zoë Ångström").manual_comment = "Nearly <all> of it."
            book.find_submission_notebook("tiny_line", "tiny_line", "Zoë Ångström").late_submission_penalty = 1.0
            book.db.commit()
        grade(again, "--force")
        with Gradebook(f"sqlite:///{again / 'gradebook.db'}", "unmagic") as book:
            loss = book.find_grade("test_loss", "tiny_line", "tiny_line", "Zoë Ångström")
            assert (loss.manual_score, loss.auto_score, loss.needs_manual_grade) == (1.5, 0.0, False)
            assert not book.find_grade("why", "tiny_line", "tiny_line", "Zoë Ångström").needs_manual_grade
            notebook = book.find_submission_notebook("tiny_line", "tiny_line", "Zoë Ångström")
            assert notebook.late_submission_penalty == 1.0
            total = notebook.score
        assert total == 1.5 + 1 + 2 + 4 + 2.5
        rows = {
            r["student"]: r for r in csv.DictReader((again / "tiny_line" / "grades.csv").open(encoding="utf-8-sig"))
        }
        row = rows["Zoë Ångström"]
        assert (row["score"], row["late_penalty"], row["final"], row["why"]) == ("11", "1", "10", "2.5")
        feedback = (again / "feedback" / "Zoë Ångström" / "tiny_line.html").read_text("utf-8")
        assert "Nearly &lt;all&gt; of it." in feedback and "given by a person" in feedback
        hand_in(again, "Zoë Ångström", solved({"why": "Something else."}))
        grade(again)
        with Gradebook(f"sqlite:///{again / 'gradebook.db'}", "unmagic") as book:  # a person should look at it again
            why = book.find_grade("why", "tiny_line", "tiny_line", "Zoë Ångström")
            assert (why.manual_score, why.needs_manual_grade) == (2.0, True)


def test_killed_in_the_middle_and_started_again_the_grades_are_those_of_an_undisturbed_run(graded, tmp_path):
    root = tmp_path / "class"
    shutil.copytree(graded[0] / "submitted", root / "submitted", symlinks=True)
    shutil.copy(graded[0] / "seed", root / "seed")
    args = command("grade", TINY, "--class", root, "--isolation", "none", "--json", "--workers", 1)
    with subprocess.Popen(args, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if json.loads(line)["event"] == "handin":
                break
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(family, timeout=20)
    assert family and not alive  # workers and kernels do not outlive it
    done = len(list((root / "results").rglob("*.json")))
    events = grade(root)
    assert 1 <= done < 4 and events[0]["todo"] == 4 - done  # nothing lost, nothing twice
    linked = {"linked"}  # its sentence names the same link
    expected = scores(graded[0])
    assert {k: v for k, v in scores(root).items() if k not in linked} == {
        k: v for k, v in expected.items() if k not in linked
    }
    assert in_gradebook(root) == in_gradebook(graded[0])


@pytest.fixture
def refused(monkeypatch, capsys):
    """Runs the command line in this process, which must end with code 2; what it says on stderr."""

    def run(*arguments) -> str:
        monkeypatch.setattr("sys.argv", ["autograder", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        return capsys.readouterr().err

    return run


class TestRefusals:
    @pytest.mark.parametrize("asked", [(), ("--isolation", "warm"), ("--isolation", "cold")])
    def test_without_a_sandbox_it_names_the_cure(self, refused, tmp_path, monkeypatch, asked):
        monkeypatch.setenv("PATH", str(tmp_path))  # bubblewrap is not installed
        hand_in(tmp_path, "ada", solved())
        said = refused("grade", TINY, "--class", tmp_path, *asked)
        assert "apt-get install bubblewrap" in said
        assert "--isolation none" in said and "with your rights" in said

    def test_an_isolation_that_does_not_exist(self, refused, tmp_path):
        hand_in(tmp_path, "ada", solved())
        said = refused("grade", TINY, "--class", tmp_path, "--isolation", "docker")
        assert "found --isolation docker; wanted warm, cold or none" in said

    def test_folders_that_are_no_class(self, refused, tmp_path):
        def grade_it(root):
            return refused("grade", TINY, "--class", root, "--isolation", "none")

        assert "found nothing at" in grade_it(tmp_path / "nowhere")
        (tmp_path / "file").write_text("")
        assert "found a file at" in grade_it(tmp_path / "file")
        assert "found no folder" in grade_it(tmp_path)
        (tmp_path / "submitted").mkdir()
        assert "no hand-ins at all" in grade_it(tmp_path)
        hand_in(tmp_path, "ada", solved(), lab="descent")
        assert "hand-ins for descent only" in grade_it(tmp_path)
        (tmp_path / "submitted" / "ada\nbob" / "tiny_line").mkdir(parents=True)
        assert "'ada\\nbob'" in grade_it(tmp_path)

    def test_an_unknown_lab(self, refused, tmp_path):
        assert "found no lab 'nonsense'" in refused("grade", "nonsense", "--class", tmp_path)

    def test_a_seed_that_was_damaged(self, refused, tmp_path):
        hand_in(tmp_path, "ada", solved())
        (tmp_path / "seed").write_text("[")
        assert "seed cannot be used" in refused("grade", TINY, "--class", tmp_path, "--isolation", "none")

    def test_a_gradebook_that_is_none(self, refused, tmp_path):
        hand_in(tmp_path, "ada", solved())
        (tmp_path / "gradebook.db").write_text("not a database, but long enough to be looked at" * 10)
        said = refused("grade", TINY, "--class", tmp_path, "--isolation", "none")
        assert "gradebook" in said and "not a database" in said

    def test_a_second_grader_hears_who_is_first(self, refused, tmp_path):
        hand_in(tmp_path, "ada", solved())
        with Classroom(tmp_path).lock():
            said = refused("grade", TINY, "--class", tmp_path, "--isolation", "none")
        assert f"process {psutil.Process().pid}" in said and "--wait" in said


def test_the_seed_can_be_drawn_anew_and_set(tmp_path):
    room = Classroom(tmp_path)
    first = room.seed("a")
    assert (room.seed("a"), room.seed("b") != first) == (first, True)
    fresh = room.seed("a", fresh=True)
    assert fresh != first and room.seed("a", value="mine") == room.seed("a") == "mine"


def test_a_worker_that_dies_takes_only_its_own_hand_in_with_it():
    """Marking is stood in for; the pool is what is looked at."""
    outcome = {}
    lab = load_lab(TINY)
    for task, marked in mark_all(_tasks(lab, ["one", "killer", "two", "three"]), 2, executor=_fragile):
        outcome[task.student] = marked if isinstance(marked, str) else marked.result.reason_code
    assert outcome == {"one": "one", "two": "two", "three": "three", "killer": "worker_died"}


def _tasks(lab, students):
    source, released = nbformat.writes(source_notebook(lab)), nbformat.writes(student_notebook(lab))
    task = Task(lab.name, "", Path(), source, released, (), "", "none", Limits(), Path(), {})
    return [replace(task, student=s) for s in students]


def _fragile(workers):
    """Processes in which marking gives the student's name, and "killer" ends the process."""
    pool = processes(workers)
    submit = pool.submit
    pool.submit = lambda function, task, more: submit(stand_in.mark, task)
    return pool


def test_an_empty_answer_is_not_filled_with_the_solution(graded):
    notebook = json.loads((graded[0] / "graded" / "cut" / "tiny_line" / "tiny_line.ipynb").read_text("utf-8"))
    sources = "".join("".join(c["source"]) for c in notebook["cells"])
    assert "Ungradable" in sources and "sum(d * d" not in sources  # the reason, not the answer
    assert result(graded[0], "cut")["points"] == 0
