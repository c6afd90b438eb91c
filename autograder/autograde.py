"""`nbgrader autograde` and formgrader's autograde button grade as `autograder grade` does, with the same verdicts.

nbgrader's own converter follows a hand-in's links, copies its other files to where formgrader serves them, gives up on
what is no notebook, and takes points for any stderr. A preprocessor comes too late for that, so the converter itself is
replaced (`install`); its command line, settings, hooks and late penalties stay nbgrader's.
"""

import contextlib
import fnmatch
import logging
import os
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

import nbformat
from nbgrader import converters
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters import NbGraderException
from traitlets import Float, Unicode, default

from autograder import grading
from autograder.classroom import Classroom
from autograder.errors import AutograderError
from autograder.execution import Limits
from autograder.files import write_atomically
from autograder.gradebook import Book
from autograder.handin import fingerprint
from autograder.labs import Lab, load_lab
from autograder.marking import Marked, Task, unmarked
from autograder.pool import WORKER_LOST, endless, mark_one, processes, stopping
from autograder.report import write_reports
from autograder.results import load


class Autograde(converters.Autograde):
    """Grades hand-ins of a lab of the course. Settings are `c.Autograde.…`, as nbgrader's own are.

    Of nbgrader's preprocessors those in `autograde_preprocessors` run after a hand-in was graded; they see the notebook
    that formgrader shows. The class's lock is held from beginning to end.
    """

    isolation = Unicode(help="warm, cold or none; the environment's UNMAGIC_ISOLATION; else warm.").tag(config=True)
    cell_seconds = Float(Limits.cell_seconds, help="Wall time of a cell.").tag(config=True)
    handin_seconds = Float(Limits.handin_seconds, help="Wall time of a hand-in.").tag(config=True)

    @default("isolation")
    def _isolation_default(self) -> str:
        return os.environ.get("UNMAGIC_ISOLATION", "")

    @property
    def classroom(self) -> Classroom:
        submitted = Path(self.coursedir.root, self.coursedir.submitted_directory)
        return Classroom(submitted.parent, self.coursedir.db_url)

    def start(self) -> None:
        with self._told():
            if self.config.Execute.get("enabled") is False:
                raise AutograderError("found --no-execute; wanted to run the tests: nothing handed in is believed.")
            super().start()

    def init_notebooks(self) -> None:
        """Every hand-in, also one that holds no notebook or an unreadable one: that is a result as well."""
        lab, wanted = self.coursedir.assignment_id, self.coursedir.student_id
        students = [
            f.student
            for f in self.classroom.handins(lab)
            if f.student == wanted or fnmatch.fnmatchcase(f.student, wanted)
        ]
        if not students:
            raise AutograderError(f"found no hand-in for {lab!r} of a student called {wanted!r}; wanted one at least.")
        folders = [self._format_source(lab, student) for student in students]
        self.assignments = {folder: [os.path.join(folder, f"{lab}.ipynb")] for folder in folders}

    def convert_notebooks(self) -> None:
        classroom = self.classroom
        lab = load_lab(Path(self.coursedir.root, "solutions", self.coursedir.assignment_id))
        isolation = self._isolation(classroom)
        limits = Limits(cell_seconds=self.cell_seconds, handin_seconds=self.handin_seconds)
        with contextlib.ExitStack() as self._open:
            self._open.enter_context(classroom.lock())
            scratch = self._open.enter_context(classroom.scratch())
            self._task = grading.new_task(lab, isolation, classroom.seed(lab.name), limits, scratch)
            with self._without_details():
                self._book = self._open.enter_context(Book(classroom.gradebook_url, lab))
            self._worker: Executor | None = None
            try:
                super().convert_notebooks()
            finally:
                self._write_reports(classroom, lab)

    def _write_reports(self, classroom: Classroom, lab: Lab) -> None:
        """Of all hand-ins that were ever graded, as `autograder grade` does."""
        standings = self._book.standings()
        results = [load(classroom.result(lab.name, f.student)) for f in classroom.handins(lab.name)]
        shown = [r for r in results if r and r.student in standings]
        write_reports(classroom, lab, self._task.source, shown, standings)

    @contextlib.contextmanager
    def _without_details(self) -> Iterator[None]:
        """formgrader shows the log, and nbgrader writes each cell's checksum into it."""
        level = self.log.level
        self.log.setLevel(max(level, logging.INFO))
        try:
            yield
        finally:
            self.log.setLevel(level)

    def _isolation(self, classroom: Classroom) -> str:
        try:
            return grading.usable_isolation(self.isolation, own=classroom.is_sample)
        except AutograderError as error:
            raise AutograderError(
                f"{error}\n  nbgrader takes it from the environment: UNMAGIC_ISOLATION=none"
            ) from None

    def init_assignment(self, assignment_id: str, student_id: str) -> None:
        """Nothing but the notebook gets into `graded/`, which formgrader serves; data files go to the kernel alone."""
        if not self.create_student:
            with Gradebook(self.coursedir.db_url, self.coursedir.course_id) as gradebook:
                try:
                    gradebook.find_student(student_id)
                except MissingEntry:
                    raise NbGraderException(f"No student with ID '{student_id}' exists in the database") from None

    def convert_single_notebook(self, notebook_filename: str) -> None:
        resources = self.init_single_notebook_resources(notebook_filename)
        lab, student = self._task.lab, resources["nbgrader"]["student"]
        classroom, folder = self.classroom, Path(notebook_filename).absolute().parent
        hashes = {"handin": fingerprint(folder, lab), **self._task.hashes}
        marked = self._marked(replace(self._task, student=student, folder=folder, hashes=hashes))
        grading.keep(classroom, self._book, marked, "nbgrader autograde graded it again", self.log.warning)
        result = marked.result
        self.log.info("%s: %s, %g of %g. %s", student, result.state, result.points, result.max_points, result.reason)

        self._sanitizing = False
        self._init_preprocessors()
        self._sanitizing = True
        notebook = nbformat.reads(marked.notebook, as_version=4)
        output, _ = self.exporter.from_notebook_node(notebook, resources=resources)
        write_atomically(classroom.graded(lab, student), output.encode("utf-8"))

    def _marked(self, task: Task) -> Marked:
        """Marked in another process: the test cells do not run in formgrader's server."""
        for _ in range(2):
            if self._worker is None:  # it ends with the run, at once if that is broken off
                self._worker = self._open.enter_context(stopping(processes(1)))
            try:
                return self._worker.submit(mark_one, task, False).result()
            except WORKER_LOST:
                self._worker = None
                if marked := endless(task):
                    return marked
        return unmarked(task, "worker_died", "The process that graded it ended twice (memory?).")

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """An error of ours as nbgrader tells errors: in its log, which formgrader shows, and exit code 1."""
        try:
            yield
        except AutograderError as error:
            self.log.error("%s", error)
            raise NbGraderException(str(error)) from error


def install() -> None:
    """Makes nbgrader's command and formgrader's button use our `Autograde`. Called by nbgrader_config.py."""
    from nbgrader.apps import api, autogradeapp

    api.Autograde = autogradeapp.Autograde = Autograde
