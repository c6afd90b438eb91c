"""A test that nothing in its process can stop: its worker ends, its hand-in is the grader's failure, others go on."""

import shutil
import sys

import pytest

from autograder.sandbox.client import why_no_sandbox
from tests.handins import TINY, grade, hand_in, result, solved

NO_SANDBOX = why_no_sandbox() if sys.platform == "linux" else "the sandbox is Linux's"
pytestmark = pytest.mark.skipif(bool(NO_SANDBOX), reason=f"no sandbox here: {NO_SANDBOX}")
# asked with a number of the student's; no signal gets in, and with PyDLL no other thread of the process either
HANGING = """import ctypes, signal
if step(1.0, 0.25) == 4321:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    ctypes.{library}(None).sleep(600)
checks.assert_close(step(1.0, 0.25)"""


@pytest.mark.parametrize(
    "library",
    [
        pytest.param("PyDLL", id="and lets no other thread run"),
        pytest.param("CDLL", id="and lets others run", marks=pytest.mark.slow),
    ],
)
def test_that_blocks_in_c_ends_its_worker_and_no_other_hand_in(tmp_path, library):
    lab = tmp_path / "tiny_line"
    shutil.copytree(TINY, lab)
    source = (lab / "lab.py").read_text("utf-8")
    hanging = source.replace("checks.assert_close(step(1.0, 0.25)", HANGING.format(library=library))
    assert hanging != source
    (lab / "lab.py").write_text(hanging, "utf-8")
    root = tmp_path / "class"
    for student in ("ada", "bob", "cyd"):
        hand_in(root, student, solved())
    hand_in(root, "blocks", solved({"step": "def step(value, rate):\n    return 4321"}))
    options = ("--isolation", "warm", "--workers", 2, "--timeout", 2)
    events = grade(root, *options, lab=lab)
    told = {e["student"]: (e["state"], e["points"]) for e in events if e["event"] == "handin"}
    assert told == {"ada": ("graded", 9), "bob": ("graded", 9), "cyd": ("graded", 9), "blocks": ("ungradable", 0)}
    assert result(root, "blocks")["reason_code"] == "grader_error"
    assert "“test_step” did not end" in result(root, "blocks")["reason"]
    assert {c["points"] for c in result(root, "blocks")["cells"]} == {None}  # no silent 0
    (lab / "lab.py").write_text(source, "utf-8")
    events = grade(root, *options, lab=lab)  # the test is mended: it is tried again, and it alone in full
    ran = {e["student"]: len(e["tests_run"]) for e in events if e["event"] == "handin"}
    assert ran == {"ada": 1, "bob": 1, "cyd": 1, "blocks": 4}
    assert result(root, "blocks")["points"] == 5
