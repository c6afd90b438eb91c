"""`autograder bench`: what it counts and how it reckons; the times themselves are nobody's test."""

import json
import subprocess
import sys
import zipfile
from types import ModuleType

import pytest
from rich.console import Console

from autograder import bench
from autograder.bench import FLOOR, NO_OTTER, OTTER, STOCK, Run, floor, otter, rows
from autograder.bench.showing import show
from autograder.errors import AutograderError
from autograder.labs import load_lab
from autograder.release import source_notebook
from autograder.sandbox.client import why_no_sandbox
from tests.handins import autograder

WARM, TWO = "warm, 1 worker", "warm, 2 workers"


def measured() -> dict[str, list[Run]]:
    """Ten hand-ins: 50 s by nbgrader, 5 s and 3 s by us, of which 1 s is the lab's own."""
    return {
        STOCK: [Run(50.0), Run(60.0), Run(40.0)],
        WARM: [Run(5.0, [0.9, *[0.2] * 9], 700.0, 1.5, 0.5)] * 3,
        TWO: [Run(3.0, [0.5] * 10, 780.0, 1.25, 0.25), *[Run(3.5, [0.5] * 10, 790.0, 1.75, 0.75)] * 2],
        FLOOR: [Run(1.0)] * 3,
    }


class TestReckoning:
    def test_overhead_is_a_hand_ins_time_less_the_floor_on_as_many_cores(self):
        found = {row.way: row for row in rows(measured(), 10)}
        assert found[WARM].overhead_s == pytest.approx(0.5 - 0.1)
        assert found[TWO].overhead_s == pytest.approx(0.35 - 0.05)
        assert found[FLOOR].overhead_s == pytest.approx(0.0)
        assert found[WARM].overhead_share == pytest.approx(0.4 / 4.9)

    def test_faster_is_of_medians(self):
        found = {row.way: row for row in rows(measured(), 10)}
        assert (found[STOCK].seconds, found[STOCK].faster) == ((40.0, 50.0, 60.0), 1.0)
        assert found[WARM].faster == pytest.approx(10.0)

    def test_stages_are_those_of_a_typical_round(self):
        found = {row.way: row for row in rows(measured(), 10)}
        assert (found[WARM].start_s, found[WARM].marking_s, found[WARM].end_s) == (1.5, 0.2, 0.5)
        assert (found[TWO].start_s, found[TWO].end_s) == (1.75, 0.75)
        assert found[STOCK].start_s is None

    def test_a_further_worker_takes_what_two_take_more_than_one(self):
        found = {row.way: row for row in rows(measured(), 10)}
        assert found[TWO].more_mb == pytest.approx(90.0) and found[WARM].more_mb is None

    def test_a_way_that_gives_fewer_points_is_an_error_and_no_time(self):
        with pytest.raises(AutograderError, match="found 1 of 2 hand-ins with full points"):
            bench._expect(WARM, 1, 2, 2)

    def test_every_row_and_what_is_missing_is_shown(self):
        sets = {"light": [vars(row) for row in rows(measured(), 10)]}
        console = Console(record=True, width=110)
        show(console, {"handins": 10, "rounds": 3, "cores": 2, "sets": sets, "not_measured": [NO_OTTER]})
        shown = console.export_text()
        assert all(f"\n {way} " in shown for way in measured()) and "otter-grader: not measured" in shown


class TestOtterGrader:
    def test_gets_every_tests_cell_as_a_function_that_fails_when_the_cell_does(self, tmp_path, monkeypatch):
        monkeypatch.setenv("UNMAGIC_SEED", "x")
        notebook = source_notebook(load_lab(bench.LIGHT))
        otter.tests(notebook, tmp_path / "tests.zip")
        graded = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade")]
        others = [s for s in floor.sources(notebook) if s not in [c.source for c in graded]]
        stand_in = ModuleType("otter.test_files")
        stand_in.test_case = lambda points: lambda function: function
        monkeypatch.setitem(sys.modules, "otter", ModuleType("otter"))
        monkeypatch.setitem(sys.modules, "otter.test_files", stand_in)
        names, wrong = {"__name__": "__main__"}, {"__name__": "__main__"}
        for source in others:
            exec(source, names)
            exec(source.replace("x @ w + b", "x @ w - b"), wrong)
        with zipfile.ZipFile(tmp_path / "tests.zip") as file:
            tests = [name for name in file.namelist() if name.startswith("tests/")]
            assert tests == [f"tests/{c.metadata['nbgrader']['grade_id']}.py" for c in graded]
            made = {}
            exec(file.read(tests[0]), made)
        assert made["points"] == graded[0].metadata["nbgrader"]["points"]
        made["test"](names)
        with pytest.raises(AssertionError):
            made["test"](wrong)


class TestTheFloor:
    def test_runs_solutions_and_hidden_tests_and_no_exploration(self, monkeypatch):
        monkeypatch.setenv("UNMAGIC_SEED", "x")
        cells = floor.sources(source_notebook(load_lab(bench.LIGHT)))
        assert sum("BEGIN HIDDEN TESTS" in c or "reference." in c for c in cells) == 3
        floor.run(cells)
        broken = [c.replace("x @ w + b", "x @ w - b") for c in cells if "reference" not in c]
        floor.run(broken)  # the visible tests do not see it: b is zero there
        with pytest.raises(AssertionError):
            floor.run([c if "reference" in c else c.replace("x @ w + b", "x @ w - b") for c in cells])


@pytest.mark.slow  # ~60 s: five commands, one after the other
class TestTheWholeOfIt:
    def test_every_way_grades_two_hand_ins_and_gives_its_row(self):
        if why := why_no_sandbox():
            pytest.skip(f"this machine makes no sandbox: {why}")
        done = autograder("bench", "light", "--hand-ins", 2, "--rounds", 1, "--json")
        found = json.loads(done.stdout)
        ways = [way for way in bench.WAYS if way != OTTER]
        assert [row["way"] for row in found["sets"]["light"]] == ways
        for row in found["sets"]["light"]:
            assert row["seconds"][0] > 0 and row["memory_mb"] > 0
            assert (row["marking_s"] is not None) == (row["way"] in bench.OURS)
        assert len(done.stderr.splitlines()) == len(ways)

    def test_a_set_that_does_not_exist_is_told(self):
        done = autograder("bench", "heavy", ok=False)
        assert done.returncode == 2 and "wanted some of: light, descent" in done.stderr


def test_the_grader_builds_no_parsers_of_addresses_at_its_import():
    """39 of them, more than a second in every worker process."""
    code = "import sys, autograder.pool, nbformat; print([name for name in sys.modules if name.startswith('lark')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout == "[]\n"
