"""A course of its own for a test: nbgrader's settings, a released lab, and a class, in a temporary folder."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import nbformat
from nbgrader.apps.api import NbGraderAPI
from nbgrader.apps.baseapp import NbGrader

from autograder import database
from autograder.labs import Lab, load_lab
from autograder.release import filled, register, release, solved_notebook

REPOSITORY = Path(__file__).parent.parent
FIXTURE_LABS = Path(__file__).parent / "labs"


class Course:
    """A folder like the repository's root, with one released lab; the gradebook is in `classroom`."""

    def __init__(self, root: Path, lab: Lab | None = None):
        self.root = root
        self.lab = lab or load_lab(FIXTURE_LABS / "two_small_steps")
        self.classroom = root / "class"
        self.gradebook_url = f"sqlite:///{self.classroom / 'gradebook.db'}"
        self.classroom.mkdir(parents=True)
        shutil.copy(REPOSITORY / "nbgrader_config.py", root)
        shutil.copytree(self.lab.folder, root / "solutions" / self.lab.name)
        self.released = release(self.lab, root / "labs", root / "_build" / "nbgrader" / "source").notebook

    def register(self) -> None:
        register(self.lab, self.gradebook_url)

    def hand_in(self, student: str, answers: Mapping[str, str] | None = None) -> Path:
        """A hand-in with the lab's solutions, but for the cells in `answers`."""
        path = self.classroom / "submitted" / student / self.lab.name / f"{self.lab.name}.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(filled(solved_notebook(self.lab), answers or {}), path)
        return path

    def api(self, monkeypatch) -> NbGraderAPI:
        """What formgrader's buttons call, with the course's settings; for the test's time it runs in the root.

        The gradebook is there: nbgrader makes the same, and asks the command `alembic` for its version, for seconds.
        """
        database.make(self.gradebook_url)
        monkeypatch.chdir(self.root)
        monkeypatch.setenv("PATH", os.environ["PATH"])  # the settings change it
        monkeypatch.delenv("UNMAGIC_CLASS", raising=False)
        app = NbGrader()
        app.initialize([])
        return NbGraderAPI(app.coursedir, config=app.config)

    def nbgrader(self, *arguments: str, **extra: str) -> subprocess.CompletedProcess:
        """Runs an nbgrader command in the root, as an instructor would; `extra`: environment. Fails when it does."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("UNMAGIC_")} | extra
        command = [sys.executable, "-m", "nbgrader", *arguments]
        done = subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done


@contextlib.contextmanager
def serving(arguments: list[str], environment: dict[str, str]) -> Iterator[str]:
    """The address of a course that Python serves with `arguments`; stopped as a person does it, by Ctrl-C."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            if match := re.search(r"(http://127\.0\.0\.1:\d+)/report/", line):
                break
        else:
            raise AssertionError("the server ended before it said where it is:\n" + "".join(said))
        yield match[1]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()  # nothing, where it has ended
