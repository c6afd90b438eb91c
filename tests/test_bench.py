"""The benchmark runs every workload and writes what the book's page reads. Nothing here reads a clock."""

import unmagic.figures
from unmagic.bench import __main__ as command
from unmagic.bench import run as bench
from unmagic.bench import whole
from unmagic.bench.workloads import WORKLOADS

import ast
import json
import os
import subprocess
import sys

import pytest
import torch

from autograder import paths
from autograder.labs import lab_names

ROW = {"name", "device", "rounds", "min_s", "median_s", "max_s", "per_second", "unit", "target_per_second"}


@pytest.fixture
def ticking(monkeypatch):
    """A clock on which round k takes k seconds; the warm-up is round 0."""
    ticks = iter([t for k in (9, 1, 2, 3, 4, 5) * 50 for t in (0, k)])
    monkeypatch.setattr(bench.time, "perf_counter", lambda: next(ticks))


def fake(calls, **more):
    return bench.Workload("fake work", 10, "things", lambda device: lambda: calls.append(device.type), **more)


class TestMeasure:
    def test_warms_up_once_and_reports_the_rounds_after(self, ticking):
        calls = []
        row = bench.measure(fake(calls), torch.device("cpu"), rounds=5)
        assert len(calls) == 6
        assert (row["min_s"], row["median_s"], row["max_s"], row["per_second"]) == (1, 3, 5, 10 / 3)
        assert set(row) == ROW

    def test_a_gpu_is_timed_beside_the_cpu_and_their_ratio_shown(self, ticking, monkeypatch):
        """A GPU simulated by the meta device: what is asked of it is counted, not computed."""
        calls, waits = [], []
        monkeypatch.setattr(bench, "WORKLOADS", [fake(calls), fake(calls, cpu_only=True)._replace(name="other")])
        monkeypatch.setattr(bench, "course_device", lambda: torch.device("meta"))
        monkeypatch.setattr(bench, "wait_for", lambda device: waits.append(device.type))
        report = bench.run(rounds=2)
        assert [(r["name"], r["device"]) for r in report["rows"]] == [
            ("fake work", "cpu"), ("fake work", "meta"), ("other", "cpu"),
        ]  # fmt: skip
        assert waits.count("meta") == 2 * calls.count("meta") == 6  # before and after every round
        report["rows"][1]["median_s"] = report["rows"][0]["median_s"] / 4
        assert "4.0 ×" in bench.table(report)

    def test_what_runs_once_is_not_warmed_up(self, ticking):
        calls = []
        row = bench.measure(fake(calls, once=True), torch.device("cpu"), rounds=5)
        assert len(calls) == row["rounds"] == 1 and row["min_s"] == row["max_s"] == 9

    def test_a_target_is_shown_beside_the_rate(self, ticking, monkeypatch):
        monkeypatch.setattr(bench, "WORKLOADS", [fake([], target=5000)])
        assert "3 things/s (wanted 5,000)" in bench.table(bench.run(rounds=5))

    def test_the_machine_is_told_in_words_that_do_not_name_it(self):
        words = bench.describe_machine(torch.device("cpu"))
        assert "core" in words and words.endswith("; no GPU") and os.uname().nodename not in words


class TestWorkloads:
    @pytest.mark.parametrize(
        "each",
        [w for w in WORKLOADS if not w.once and not w.name.startswith(("net", "data: shapes"))],
        ids=lambda w: w.name,
    )
    def test_each_does_its_work(self, each):
        result = each.prepare(torch.device("cpu"))()
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            assert tensor is None or torch.isfinite(tensor).all()

    def test_every_chapter_and_lab_is_one(self):
        names = {w.name for w in WORKLOADS if w.once}
        chapters = {f"chapter: {page.stem.replace('_', ' ')}, all of it" for page in paths.ROOT.glob("book/[!_]*/*.md")}
        assert names == chapters | {f"lab: {lab}, solved, all of it" for lab in lab_names()} and len(names) >= 2

    @pytest.mark.parametrize("page", sorted(paths.ROOT.glob("book/[!_]*/*.md")), ids=lambda page: page.stem)
    def test_a_chapters_code_is_all_its_cells_but_live_figures(self, page):
        code = whole.chapter_code(page)
        tree = ast.parse(code)
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} & set(unmagic.figures.__all__)
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert (
            used == {n.name for node in imports if node.module == "unmagic.figures" for n in node.names} <= {"export"}
        )
        assert code.count("glue(") >= 20 and "```" not in code

    @pytest.mark.parametrize("name", lab_names())
    def test_a_labs_code_has_answers_and_visible_tests_and_no_hidden_ones(self, name):
        code = whole.lab_code(paths.SOLUTIONS / name / "lab.py")
        compile(code, name, "exec")
        assert "reference." not in code and "checks.assert_close(" in code and "def " in code

    def test_a_page_that_fails_says_how(self):
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            whole._alone("1 / 0", torch.device("cpu"))()

    def test_names_differ(self):
        assert len({w.name for w in WORKLOADS}) == len(WORKLOADS)


class TestCommand:
    def test_prints_a_table_and_writes_the_json_that_the_book_reads(self, tmp_path, capsys):
        path = tmp_path / "here" / "times.json"
        assert command.main(["--only", "unit", "--rounds", "1", "--json", str(path)]) == 0
        report = json.loads(path.read_text())
        assert report["schema"] == "unmagic/bench/1"
        assert {"machine", "date", "torch", "rows"} <= set(report) and set(report["rows"][0]) == ROW
        assert "three-weight unit" in capsys.readouterr().out

    def test_an_unknown_name_lists_what_there_is(self, capsys):
        assert command.main(["--only", "nothing of this name"]) == 2
        assert "data: shapes" in capsys.readouterr().err

    def test_runs_without_anything_of_the_lab_or_the_book(self):
        """A bare machine: none of what only grading, labs and the book need may be imported."""
        code = """
import sys
bare = ["jupytext", "nbformat", "nbgrader", "IPython", "ipykernel", "anywidget", "rich", "typer", "safetensors"]
sys.modules.update(dict.fromkeys(bare))
from unmagic.bench.__main__ import main
sys.exit(main(["--only", "three-weight", "--rounds", "1"]))
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
