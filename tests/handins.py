"""What the grader's tests share: a lab that is graded in a second, and classes that hand it in."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from autograder import cli, starting
from autograder.labs import Lab, load_lab
from autograder.release import filled, solved_notebook

LABS = Path(__file__).parent / "labs"
TINY = LABS / "tiny_line"
SUM = "def loss(p, t):\n    return sum((a - b) ** 2 for a, b in zip(p, t))"  # the mean forgotten


def tiny() -> Lab:
    return load_lab(TINY)


def solved(answers: Mapping[str, str] | None = None) -> NotebookNode:
    """The tiny lab with all solutions, but for those in `answers`."""
    return filled(solved_notebook(tiny()), answers or {})


def hand_in(root: Path, student: str, notebook: NotebookNode | str | bytes, lab: str = "tiny_line") -> Path:
    """Puts a notebook, or what is called one, where a class folder wants it."""
    path = root / "submitted" / student / lab / f"{lab}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    data = notebook if isinstance(notebook, str | bytes) else nbformat.writes(notebook)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def command(*arguments: object) -> list[str]:
    return [str(Path(sys.executable).parent / "autograder"), *map(str, arguments)]


def autograder(*arguments: object, ok: bool = True, **environment: str) -> subprocess.CompletedProcess:
    """Runs the command line as an instructor would. Fails when it does, unless that is wanted."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("UNMAGIC_")} | {"NO_COLOR": "1"} | environment
    done = subprocess.run(command(*arguments), capture_output=True, text=True, env=env, timeout=500)
    assert not ok or done.returncode == 0, done.stdout + done.stderr
    return done


def grade(root: Path, *arguments: object, lab: Path | str = TINY) -> list[dict]:
    """Grades a class through the command line; its events.

    In a sandbox the command is a process of its own. Without walls it runs in this one, whose imports then serve every
    class, and so does the process with torch in it that workers are forked from.
    """
    walled = "--isolation" in arguments
    words = ["grade", lab, "--class", root, *([] if walled else ["--isolation", "none"]), "--json", *arguments]
    said = autograder(*words).stdout if walled else _here(words)
    return [json.loads(line) for line in said.splitlines()]


def _here(words: list) -> str:
    """Runs the command line in this process; what it says on stdout. Fails when it does."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("UNMAGIC_")]:
            patch.delenv(name)
        patch.setattr(starting, "_forking", starting._forking)  # which `grade` sets: other tests go on as they were
        patch.setattr(sys, "argv", ["autograder", *map(str, words)])
        with contextlib.redirect_stdout(said), pytest.raises(SystemExit) as ended:
            cli.main()
    assert ended.value.code == 0, said.getvalue()
    return said.getvalue()


def result(root: Path, student: str, lab: str = "tiny_line") -> dict:
    return json.loads((root / "results" / lab / f"{student}.json").read_text("utf-8"))
