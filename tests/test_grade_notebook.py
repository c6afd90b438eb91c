"""`from autograder import grade_notebook`: one notebook, one call, one result."""

import os
import random
import subprocess
import sys

import nbformat
import numpy as np
import pytest
import torch

from autograder import grade_notebook
from autograder.errors import AutograderError
from autograder.execution import Limits
from autograder.labs import load_lab
from autograder.release import filled, solved_notebook
from autograder.sandbox.client import why_no_sandbox
from tests.handins import SUM, TINY, solved, tiny

NO_SANDBOX = why_no_sandbox() if sys.platform == "linux" else "the sandbox is Linux's"
walled = pytest.mark.skipif(bool(NO_SANDBOX), reason=f"no sandbox here: {NO_SANDBOX}")


def test_a_light_import_that_knows_the_function():
    code = (
        "import sys, autograder; assert 'grade_notebook' in autograder.__all__\n"
        "heavy = {'torch', 'nbformat', 'nbgrader', 'numpy', 'autograder.grading'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "try: autograder.nonsense\nexcept AttributeError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert said.stdout.strip() == "module 'autograder' has no attribute 'nonsense'", said.stderr


@walled
class TestInTheSandbox:
    def test_a_file_of_any_name_gets_what_it_earned(self, tmp_path):
        path = tmp_path / "my work.ipynb"
        nbformat.write(solved({"loss": SUM}), path)
        found = grade_notebook(str(path), TINY, seed="s")
        assert (found.isolation, found.state, found.student) == ("warm", "graded", "")
        assert (found.points, found.max_points) == (7.0, 9.0)
        assert found.scores() == {
            "test_loss": 0.0,
            "test_loss__one_point": 1.0,
            "test_slope": 2.0,
            "test_step": 4.0,
            "why": None,
        }
        assert (found.cells[0].kind, found.cells[0].hint) == ("value", "Take the mean over the points, not the sum.")

    def test_a_notebook_in_memory_is_not_changed_and_no_random_number_of_the_callers_is_used(self, monkeypatch):
        monkeypatch.setenv("UNMAGIC_DEVICE", "mps")  # a device that is not in the sandbox
        notebook = solved()
        before = nbformat.writes(notebook)
        for seed in (random.seed, np.random.seed, torch.manual_seed):
            seed(3)
        wanted = random.random(), np.random.rand(), torch.rand(()).item()
        for seed in (random.seed, np.random.seed, torch.manual_seed):
            seed(3)
        found = grade_notebook(notebook, tiny())
        assert found.points == found.max_points == 9.0
        assert nbformat.writes(notebook) == before
        assert (random.random(), np.random.rand(), torch.rand(()).item()) == wanted
        assert os.environ["UNMAGIC_DEVICE"] == "mps"

    def test_a_limit_that_was_hit_is_told(self):
        looping = "def slope(predictions, targets):\n    while True: pass"
        found = grade_notebook(solved({"slope": looping}), TINY, limits=Limits(cell_seconds=2.0))
        scores = found.scores()
        assert scores["test_loss"] == 2.0 and scores["test_slope"] == 0.0
        assert {"limit": "time", "cell": "test_slope", "text": "Stopped: took more than 2 s."} in found.limits_hit


COUNTED = """\
# %% setup="imports"
from unmagic import checks

import torch

# %% solution="double"
def double(x):
    ### BEGIN SOLUTION
    return x + x
    ### END SOLUTION

# %% tests="double" points=1
checks.assert_by_hand("double", without=("torch.mul",), hint="add")
value, calls = checks.torch_calls(double, torch.ones(5))
checks.assert_equal(calls, 1, name="calls", hint="all at once")
"""


@walled
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("def double(x):\n    return x + x", ""),
        ("def double(x):\n    return torch.mul(x, 2)", "by_hand"),
        ("def double(x):\n    return torch.stack([e + e for e in x])", "value"),
    ],
)
def test_rules_are_read_from_the_hand_in_and_operations_counted_in_the_sandbox(tmp_path, answer, kind):
    folder = tmp_path / "counted"
    folder.mkdir()
    (folder / "lab.py").write_text(COUNTED)
    lab = load_lab(folder)
    found = grade_notebook(filled(solved_notebook(lab), {"double": answer}), folder, seed="s")
    assert (found.state, found.cells[0].kind) == ("graded", kind)


def test_the_seed_is_what_was_given_and_a_new_one_is_drawn_without(tmp_path):
    path = tmp_path / "empty.ipynb"
    path.touch()
    hashes = [grade_notebook(path, TINY, isolation="none", seed=s).hashes["seed"] for s in ("a", "a", None, None)]
    assert hashes[0] == hashes[1] and len(set(hashes)) == 3


def test_what_is_no_notebook_is_a_result_and_what_is_no_file_an_error(tmp_path):
    path = tmp_path / "cut.ipynb"
    path.write_bytes(b'{"cells": [{"cell_')
    found = grade_notebook(path, TINY, isolation="none")
    assert (found.state, found.reason_code) == ("ungradable", "truncated")
    with pytest.raises(AutograderError, match=r"nowhere\.ipynb cannot be read"):
        grade_notebook(tmp_path / "nowhere.ipynb", TINY, isolation="none")
    with pytest.raises(AutograderError, match="found no lab 'nonsense'"):
        grade_notebook(path, "nonsense")
    with pytest.raises(AutograderError, match="wanted warm, cold or none"):
        grade_notebook(path, TINY, isolation="docker")
