"""One notebook, graded from Python in one call: no class folder, no gradebook, no report."""

import contextlib
import dataclasses
import os
import random
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder.errors import AutograderError
from autograder.execution import Limits
from autograder.grading import new_task, usable_isolation
from autograder.labs import Lab, load_lab
from autograder.marking import mark
from autograder.results import Result


def grade_notebook(
    notebook: str | Path | NotebookNode,
    lab: str | Path | Lab,
    *,
    seed: str | None = None,
    isolation: str = "",
    limits: Limits | None = None,
) -> Result:
    """Grades one notebook as `autograder grade` would, and gives its result.

    The student's cells run in a sandbox, the tests outside of it, in this process. The first call also starts the
    process that later calls fork their kernels from; it ends with this one. Python's, NumPy's and torch's global
    generators are as before afterwards. All is computed on the CPU. One call at a time in a process; several processes
    may each have theirs.

    Args:
        notebook: a file, whatever its name, or a notebook as `nbformat.read` gives it, which is not changed.
        lab: a lab by name, its folder, or as `autograder.labs.load_lab` gives it.
        seed: the secret that the numbers of hidden tests are drawn from; the same seed gives the same points and
            messages. None draws a new one.
        isolation: "warm" (a kernel forked from a process that has imported torch), "cold" (a fresh interpreter in
            the same walls) or "none" (no walls: for your own notebooks; a test's source is then in the kernel's reach).
            "" is "warm".
        limits: seconds, bytes, MiB and processes that the notebook may use (`autograder.execution.Limits`); None
            for its defaults. A limit that was hit is told in the result, and costs the exercises it touched.

    Returns:
        A `Result` (`autograder.results`): `state` ("graded", "partial", "ungradable") with `reason`; `points` of
        `max_points`; in `cells`, for each graded cell, `points`, `ok`, `kind`, `message`, `hint`, the student's own
        `lines` and the `output`; `notes` and `limits_hit`; `times["seconds"]`. `student` is "". Whatever the notebook
        holds ends in a result: one that cannot be read is "ungradable", and its reason says why. Answers for a person
        to read have `points` None.

    Raises:
        AutograderError: no such lab, or no such file; an isolation that does not exist; or this machine makes no
            sandbox (says what to install). `LabError`, one of them: a fault in the lab's source.

    >>> from autograder import grade_notebook
    >>> result = grade_notebook("labs/descent/descent.ipynb", "descent")  # doctest: +SKIP
    >>> result.state, result.reason_code  # doctest: +SKIP
    ('graded', 'untouched')
    """
    lab = lab if isinstance(lab, Lab) else load_lab(lab)
    isolation = usable_isolation(isolation)
    with tempfile.TemporaryDirectory(prefix="autograder-") as scratch, _on_the_cpu_and_as_before():
        folder = Path(scratch, "handin")
        folder.mkdir()
        _put(notebook, folder / f"{lab.name}.ipynb")
        blank = new_task(lab, isolation, seed or secrets.token_hex(16), limits or Limits(), Path(scratch))
        return mark(dataclasses.replace(blank, folder=folder)).result


def _put(notebook: str | Path | NotebookNode, path: Path) -> None:
    """What was handed in, where marking looks for it: a file byte for byte, readable as a notebook or not."""
    if isinstance(notebook, NotebookNode):
        path.write_text(nbformat.writes(notebook, version=nbformat.NO_CONVERT), "utf-8")
        return
    try:
        with open(notebook, "rb") as given, open(path, "wb") as kept:
            while block := given.read(1 << 20):
                kept.write(block)
    except OSError as error:
        raise AutograderError(
            f"found that {notebook} cannot be read ({error.strerror}); wanted a notebook's file.\n"
            "  Next: name the .ipynb itself, or give what nbformat.read made of it."
        ) from error


@contextlib.contextmanager
def _on_the_cpu_and_as_before() -> Iterator[None]:
    """Tests seed the global generators; the caller's own numbers go on where they were. No GPU is in the sandbox, so
    that tests, which run here, must not use one either."""
    from unmagic.devices import VARIABLE

    import numpy as np
    import torch

    python, numpy, device = random.getstate(), np.random.get_state(), os.environ.get(VARIABLE)
    os.environ[VARIABLE] = "cpu"
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        if device is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = device
