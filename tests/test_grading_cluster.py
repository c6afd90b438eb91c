"""`--scheduler ADDR`: a Dask cluster on this machine grades, in the sandbox, as the ordinary run does."""

import builtins
import json
import shutil
import sys

import pytest

from autograder.cli import main
from autograder.cluster import ClusterExecutor
from autograder.pool import mark_all
from autograder.sandbox.client import why_no_sandbox
from tests import stand_in
from tests.handins import SUM, TINY, grade, hand_in, solved, tiny
from tests.test_grading_run import _tasks

NO_SANDBOX = why_no_sandbox() if sys.platform == "linux" else "the sandbox is Linux's"
walled = pytest.mark.skipif(bool(NO_SANDBOX), reason=f"no sandbox here: {NO_SANDBOX}")
DYING = "import os\ndef slope(p, t):\n    os._exit(3)"


@pytest.fixture(scope="module")
def cluster():
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    ) as made:
        yield made.scheduler_address


def results(root):
    found = {}
    for path in (root / "results" / "tiny_line").glob("*.json"):
        found[path.stem] = json.loads(path.read_text("utf-8"))
        del found[path.stem]["times"], found[path.stem]["hashes"]["grader"]  # somebody may edit it meanwhile
    return found


@walled
def test_has_the_results_of_the_ordinary_run(cluster, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    answers = {"ada": {}, "bob": {"loss": SUM}, "cyd": {"slope": DYING}, "dan": {"step": "1 +"}}
    for student, changed in answers.items():
        hand_in(here, student, solved(changed))
    hand_in(here, "torn", b'{"cells": [')
    (here / "seed").write_text('{"tiny_line": "a cluster"}')
    shutil.copytree(here, there)
    grade(here, "--isolation", "warm", "--workers", 2)
    events = grade(there, "--isolation", "warm", "--scheduler", cluster)
    assert results(there) == results(here)
    assert events[-1]["isolation"] == "warm" and events[-1]["states"]["graded"] == 4


@pytest.fixture
def refused(monkeypatch, capsys, tmp_path):
    """Runs the command line in this process, which must end with code 2; what it says on stderr."""
    hand_in(tmp_path, "ada", solved())

    def run(*arguments) -> str:
        command = ["autograder", "grade", str(TINY), "--class", str(tmp_path), *arguments]
        monkeypatch.setattr("sys.argv", command)
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        return capsys.readouterr().err

    return run


class TestRefusals:
    def test_without_dask_it_says_what_to_install(self, refused, monkeypatch):
        for name in [name for name in sys.modules if name.partition(".")[0] == "distributed"]:
            monkeypatch.delitem(sys.modules, name)
        ordinary = builtins.__import__

        def without(name, *arguments, **keywords):
            if name.partition(".")[0] == "distributed":
                raise ImportError(f"No module named {name!r}")
            return ordinary(name, *arguments, **keywords)

        monkeypatch.setattr(builtins, "__import__", without)
        assert "pip install 'unmagic[cluster]'" in refused("--scheduler", "tcp://127.0.0.1:1")

    def test_nobody_at_the_address(self, refused, monkeypatch):
        monkeypatch.setattr("autograder.cluster.CONNECT_SECONDS", 1)
        assert "found nobody at --scheduler tcp://127.0.0.1:1" in refused("--scheduler", "tcp://127.0.0.1:1")
        assert "found nobody at --scheduler nonsense" in refused("--scheduler", "nonsense://x")

    def test_another_version_at_a_worker(self, refused, monkeypatch, cluster):
        monkeypatch.setattr("autograder.grading.grader_hash", lambda *_: "another")
        assert "found another version of the grader at worker" in refused("--scheduler", cluster)

    def test_gpus(self, refused):
        assert "--gpus with --scheduler" in refused("--scheduler", "tcp://127.0.0.1:1", "--gpus", "1")


def test_a_worker_that_dies_costs_no_other_hand_in(cluster):
    """Marking is stood in for; the cluster is what is looked at."""
    from distributed import Client

    with Client(cluster, set_as_default=False) as client:
        tasks = _tasks(tiny(), ["one", "killer", "two", "three"])
        done = mark_all(tasks, 2, lambda _: ClusterExecutor(client, stand_in.mark))
        outcome = {t.student: m if isinstance(m, str) else m.result.reason_code for t, m in done}
    assert outcome == {"one": "one", "two": "two", "three": "three", "killer": "worker_died"}
