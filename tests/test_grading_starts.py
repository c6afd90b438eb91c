"""What `grade` starts before anything else: one process that workers are forked from, one parent of kernels."""

import json
import subprocess
import sys

import pytest

from autograder import paths, starting
from autograder.bench import LIGHT
from autograder.sandbox.client import why_no_sandbox

_RUN = """
import json, os, sys
from autograder import starting

if __name__ == "__main__":
    starting.start(2, "cold", sys.argv[1])
    from autograder.pool import processes
    from tests import stand_in

    with processes(2) as pool:
        found = list(pool.map(stand_in.about_me, range(4)))
    print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    """What two workers of one run say of themselves."""
    if why := why_no_sandbox():
        pytest.skip(f"this machine makes no sandbox: {why}")
    script = tmp_path_factory.mktemp("run") / "run.py"
    script.write_text(_RUN)
    command = [sys.executable, str(script), str(LIGHT)]
    environment = {"PYTHONPATH": str(paths.ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_workers_are_forked_from_a_process_that_has_imported_torch_and_compute_with_one_thread(workers):
    assert {w["parent"] for w in workers} != {0} and len({w["parent"] for w in workers}) == 1
    assert all(w["torch_before"] and w["threads"] == 1 for w in workers)


def test_every_worker_has_a_place_of_its_own_at_one_parent_of_kernels(workers):
    places = {w["pid"]: (w["folder"], w["place"]) for w in workers}
    assert len({folder for folder, _ in places.values()}) == 1
    assert len(set(places.values())) == len(places)


def test_a_lab_s_heavy_imports_are_seen_in_its_source():
    assert starting._named("descent") == ["torch._dynamo", "sklearn.datasets", "matplotlib.pyplot"]
    assert starting._named(str(LIGHT)) == [] == starting._named("no such lab")
