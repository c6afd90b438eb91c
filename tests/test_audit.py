"""The audit: a lab without faults passes, and each planted fault is found, in its file and line."""

import ast
import io
import json
import os
import shutil
import sys
import textwrap
import time

import psutil
import pytest
from rich.console import Console

from autograder import paths
from autograder.audit import audit, run, tasks_of
from autograder.audit.equivalence import difference
from autograder.audit.running import limited, run_tasks
from autograder.audit.variants import mutated, vacuous
from autograder.examiner import Stopped
from autograder.labs import load_lab

TWO_SMALL_STEPS = paths.ROOT / "tests" / "labs" / "two_small_steps"


class Planted:
    """A copy of the fixture lab in which faults are planted by replacing text."""

    def __init__(self, folder):
        self.folder = shutil.copytree(TWO_SMALL_STEPS, folder / "two_small_steps")

    def replace(self, old, new, file="lab.py"):
        path = self.folder / file
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))
        return self

    def line(self, text, file="lab.py"):
        (number,) = (n for n, line in enumerate((self.folder / file).read_text().split("\n"), 1) if text in line)
        return number

    def findings(self, severity="error", *, kinds=("model", "stub", "vacuous", "mistake", "alternative"), **options):
        """What the audit finds; with fewer kinds of tasks, sooner."""
        lab = load_lab(self.folder)
        tasks = [task for task in tasks_of(lab, **{"seeds": 1, **options}) if task.kind in kinds]
        found, _ = audit(lab, tasks, workers=0)
        return [(f.file.name, f.line, f.message) for f in found if f.severity == severity]


@pytest.fixture
def lab(tmp_path):
    return Planted(tmp_path)


class TestALabWithoutFaults:
    def test_has_no_errors_and_its_follow_up_costs_are_noted(self, lab):
        assert lab.findings(seeds=3) == []
        assert lab.findings("note") == [
            (
                "mistakes.py",
                lab.line('mistake="sum_not_mean"', "mistakes.py"),
                "the mistake 'sum_not_mean' of loss also costs 2 points in test_step, which uses it",
            )
        ]

    def test_what_is_run(self, lab):
        tasks = tasks_of(load_lab(lab.folder), seeds=2)
        assert [(t.kind, t.name, t.exercise, len(t.tests)) for t in tasks] == [
            ("model", "seed practice", "", 3),
            ("model", "seed audit-1", "", 3),
            ("stub", "untouched", "", 3),
            ("mistake", "sum_not_mean", "loss", 3),
            ("mistake", "float32_inside", "loss", 3),
            ("mistake", "uphill", "step", 1),  # nothing uses `step`, so nothing else is run
            ("alternative", "dot_product", "loss", 3),
            ("alternative", "by_hand", "step", 1),
            ("vacuous", "returns None", "loss", 2),
            ("vacuous", "returns its first argument", "loss", 2),
            ("vacuous", "returns None", "step", 1),
            ("vacuous", "returns its first argument", "step", 1),
        ]
        assert tasks[0].runs == (("practice", True), ("practice", False))
        assert tasks[3].runs == (("practice", True), ("audit-1", True), ("practice", False))

    def test_worker_processes_find_the_same(self, lab):
        source = load_lab(lab.folder)
        tasks = tasks_of(source, seeds=1)[:4]
        advanced = []
        apart = run_tasks(source, tasks, 2, advanced.append)
        assert [outcome.results for outcome in apart] == [
            o.results for o in run_tasks(source, tasks, 0, advanced.append)
        ]
        assert len(advanced) == 2 * len(tasks)


class TestPlantedFaults:
    def test_a_lambda_sent_across_is_found_with_its_line(self, lab):
        call = "checks.assert_close(step(points, 0.75)"
        lab.replace(call, f"checks.assert_raises(TypeError, step, lambda: 1, 2.0, hint='no')\n{call}")
        (file, line, message), *_ = lab.findings(kinds=["model"])
        assert (file, line) == ("lab.py", lab.line("lambda: 1"))
        assert message.startswith(
            "test_step uses what cannot cross the bridge: argument 1: the function '<lambda>' cannot cross; what may: "
        )

    @pytest.mark.parametrize(
        "caught",
        [
            pytest.param("checks.assert_raises(Exception, step, lambda: 1, 2.0, hint='h')", id="by assert_raises"),
            pytest.param(
                "import contextlib\nwith contextlib.suppress(Exception):\n    step(lambda: 1, 2.0)", id="by the test"
            ),
        ],
    )
    def test_also_where_its_error_is_caught(self, lab, caught):
        call = "checks.assert_close(step(points, 0.75)"
        lab.replace(call, f"{caught}\n{call}")
        (file, line, message), *_ = lab.findings(kinds=["model"])
        assert (file, line) == ("lab.py", lab.line("lambda: 1"))
        assert "test_step uses what cannot cross the bridge" in message

    def test_a_mistake_that_passes(self, lab):
        lab.replace("return (x**2).sum()", "return (x**2).sum() / len(x)", "mistakes.py")
        assert lab.findings(kinds=["mistake"]) == [
            (
                "mistakes.py",
                lab.line('mistake="sum_not_mean"', "mistakes.py"),
                f"the mistake 'sum_not_mean' of loss (seed practice{where}): passes test_loss, which it should fail",
            )
            for where in ("", ", in the notebook")
        ]

    def test_a_mistake_with_another_hint_than_it_should(self, lab):
        lab.replace('fails="step" hint="subtract"', 'fails="step" hint="momentum"', "mistakes.py")
        (file, line, message), _ = lab.findings(kinds=["mistake"])
        assert (file, line) == ("mistakes.py", lab.line('mistake="uphill"', "mistakes.py"))
        assert "fails test_step without the word 'momentum': step: 3 of 3 entries are wrong." in message
        assert "go down the slope" in message

    def test_a_mistake_that_does_not_even_run(self, lab):
        lab.replace("def loss(x):\n    return (x**2).sum()", "def los(x):\n    return 'mean'", "mistakes.py")
        (_, _, message), *_ = lab.findings(kinds=["mistake"])
        assert "was not judged by test_loss (missing): `loss` is not defined" in message

    def test_an_alternative_that_fails(self, lab):
        lab.replace("x @ x / len(x)", "x @ x / 3", "alternatives.py")  # right on three points only
        found = lab.findings(kinds=["alternative"])
        assert {(file, line) for file, line, _ in found} == {
            ("alternatives.py", lab.line('alternative="dot_product"', "alternatives.py"))
        }
        assert found[0][2].startswith("the alternative 'dot_product' of loss fails test_loss (seed practice): ")

    def test_a_model_solution_that_fails_on_some_seeds(self, lab):
        unlucky = 'x = torch.randn(7, generator=checks.fresh("loss"))\n'
        lab.replace(unlucky, unlucky + 'checks.assert_in_range(x[0], -9, 0.2, hint="luck")\n')
        signs = {
            line
            for _, line, message in lab.findings(seeds=8, kinds=["model"])
            if "the model solution fails test_loss" in message
        }
        assert signs == {lab.line("assert_in_range")}

    @pytest.mark.parametrize(
        "check, who",
        [
            ("checks.assert_true(True, 'x', hint='h')", "a `loss` that returns None"),
            (
                "checks.assert_dtype(loss(points.double()), torch.float64, hint='h')",
                "a `loss` that returns its first argument",
            ),
        ],
    )
    def test_a_vacuous_tests_cell(self, lab, check, who):
        before = next(line for line in (lab.folder / "lab.py").read_text().split("\n") if "points.double()" in line)
        lab.replace(before, check)
        found = lab.findings(kinds=["stub", "vacuous"])
        line = lab.line('tests="loss:dtype"')
        assert ("lab.py", line, f"test_loss__dtype gives full marks to {who}") in found
        stub = ("lab.py", line, "test_loss__dtype gives full marks to the untouched stub")
        assert (stub in found) == ("assert_true" in check)

    def test_a_test_that_means_something_else_across_the_bridge(self, lab):
        lab.replace(
            "    mean_square = (x**2).mean()", "    mean_square = (x**2).mean()\n    seen.append(1) if seen else None"
        )
        lab.replace("points = torch.tensor([1.0, 2.0, 3.0])", "seen = [0]\npoints = torch.tensor([1.0, 2.0, 3.0])")
        dtype = 'tests="loss:dtype" points=1\n'
        lab.replace(dtype, f"{dtype}seen[:] = [0]\nloss(points)\nchecks.assert_equal(len(seen), 2, hint='h')\n")
        (file, line, message), *_ = (f for f in lab.findings(kinds=["model"]) if "only" in f[2])
        assert (file, line) == ("lab.py", lab.line("len(seen), 2"))
        assert message.startswith(
            "test_loss__dtype: the model solution passes in the notebook only (seed practice); otherwise"
        )

    def test_checks_without_hint_and_bare_asserts(self, lab):
        lab.replace(', hint="keep the dtype of x"', "")
        lab.replace('hint="subtract rate · slope"', 'hint=" "')
        lab.replace(
            'x = torch.randn(5, generator=checks.fresh("step"))',
            'x = torch.randn(5, generator=checks.fresh("step"))\nassert len(x) == 5',
        )
        assert lab.findings(kinds=[])[:3] == [
            ("lab.py", lab.line("points.double()"), "checks.assert_close without a hint"),
            ("lab.py", lab.line("assert len(x)"), "a bare assert; take a check of `checks`, with a hint"),
            ("lab.py", lab.line("step from fresh numbers"), "checks.assert_close without a hint"),
        ]

    def test_an_exercise_without_hidden_tests_or_variants(self, lab):
        text = (lab.folder / "lab.py").read_text()
        hidden = text[text.rindex("### BEGIN HIDDEN") : text.rindex("### END HIDDEN TESTS")] + "### END HIDDEN TESTS\n"
        lab.replace(hidden, "")
        (lab.folder / "alternatives.py").unlink()
        line = lab.line('solution="step"')
        assert lab.findings(kinds=[]) == [
            ("lab.py", line, "step: no hidden tests; the numbers of the visible ones can be copied into an answer")
        ]
        assert ("lab.py", line, "step: no alternative is tried") in lab.findings("note", kinds=[])

    def test_a_mistake_only_hidden_tests_catch_is_noted(self, lab):
        lab.replace("return (x**2).sum()", "return (x**2).sum() / 3", "mistakes.py")
        assert lab.findings(kinds=["mistake"]) == []
        assert (
            "mistakes.py",
            lab.line('mistake="sum_not_mean"', "mistakes.py"),
            "the mistake 'sum_not_mean' of loss is caught by hidden tests only; its author learns of it too late",
        ) in lab.findings("note", kinds=["mistake"])

    def test_a_hidden_dependency_is_found_when_thorough(self, lab):
        """`step` reaches for `loss` in a way that no symbol table shows."""
        lab.replace("torch.autograd.grad(loss(x), x)", "torch.autograd.grad(found(x), x)")
        lab.replace(
            "    x = x.detach()", '    found = globals().get("loss", lambda x: (x**2).mean())\n    x = x.detach()'
        )
        assert lab.findings(kinds=["mistake"]) == []
        (file, line, message), *_ = lab.findings(thorough=True, kinds=["mistake"])
        assert (file, line) == ("mistakes.py", lab.line('mistake="sum_not_mean"', "mistakes.py"))
        assert "also fails test_step, which does not use it: step: 3 of 3 entries are wrong." in message

    def test_a_set_up_cell_that_raises(self, lab):
        lab.replace("points = torch.tensor([1.0, 2.0, 3.0])", "points = torch.tensor([1.0, 2.0, 3.0]) @ torch.ones(2)")
        (file, line, message), *_ = lab.findings(kinds=["model"])
        assert (file, line) == ("lab.py", lab.line("points = "))
        assert "set-up cell 'data' raised RuntimeError" in message

    def test_a_mistake_that_never_ends(self, lab, monkeypatch):
        lab.replace(
            "return (x**2).sum()",
            "while True:\n        try:\n            while True: pass\n        except Exception: pass",
            "mistakes.py",
        )
        source = load_lab(lab.folder)
        tasks = [task for task in tasks_of(source, seeds=1) if task.name == "sum_not_mean"]
        object.__setattr__(tasks[0], "limit", 0.2)
        findings, _ = audit(source, tasks, workers=0)
        assert "the mistake 'sum_not_mean' of loss: took longer than 0.2 s" in [f.message for f in findings]

    def test_what_counts_is_computing_so_that_a_busy_machine_stops_nothing(self):
        with limited(0.2):
            time.sleep(0.5)  # as a process that others keep from computing
        with pytest.raises(Stopped), limited(0.2):
            while True:
                pass
        with pytest.raises(Stopped), limited(0.02):
            time.sleep(60)  # waits forever: the clock ends it, after ten times as long


class TestVariants:
    def test_vacuous_cells(self):
        cell = "n = 3\n\ndef f(a, b):\n    'doc'\n    return a + b\n\ndef g():\n    return 1\n\nclass C:\n    k = 2\n\n"
        cell += "    def __init__(self, k):\n        self.k = k\n\n    def h(self, y):\n        return y\n"
        none, first = (ast.unparse(ast.parse(source)) for _, source in vacuous(cell))
        head, init = "n = None\n\n", "class C:\n    k = None\n\n    def __init__(self, k):\n        self.k = k\n\n"
        h = "    def h(self, y):\n        return "
        assert none == (f"{head}def f(a, b):\n    return None\n\ndef g():\n    return None\n\n{init}{h}None")
        assert first == (f"{head}def f(a, b):\n    return a\n\ndef g():\n    return None\n\n{init}{h}y")

    def test_mutants_change_one_thing_each(self):
        cell = (
            "def f(x: int = 1, on: bool = False):\n    y = x * 2\n    y += 0.5\n"
            "    if not on and y < -3:\n        y.add_(x)\n    return y"
        )
        changes = [(change, line) for change, line, _ in mutated(cell)]
        assert sorted(changes) == sorted(
            [
                ("x * 2 → x / 2", 2),
                ("2 → 3", 2),
                ("2 → 1", 2),
                ("y += 0.5 → y -= 0.5", 3),
                ("0.5 → 1.0", 3),
                ("not on and y < -3 → not on or y < -3", 4),
                ("not on → not not on", 4),
                ("y < -3 → y <= -3", 4),
                ("-3 → +3", 4),
                ("3 → 4", 4),
                ("3 → 2", 4),
                ("y += 0.5 → nothing", 3),
                ("y.add_(x) → nothing", 5),
            ]
        )
        sources = [source for *_, source in mutated(cell)]
        assert len({*sources, ast.unparse(ast.parse(cell))}) == len(sources) + 1

    def test_surviving_mutants_are_notes_with_their_line(self, lab):
        lab.replace(
            "x = x.detach().clone().requires_grad_()",
            "rate = rate * 2 / 2 + max(0, -1)\n    x = x.detach().clone().requires_grad_()",
        )
        survivors = [
            f for f in lab.findings("note", thorough=True, kinds=["mutant"]) if "no test of step notices" in f[2]
        ]
        assert ("lab.py", lab.line("max(0, -1)"), "no test of step notices 1 → 2") in survivors
        assert not any("→ x + rate" in message for _, _, message in survivors)
        (score,) = lab.findings(thorough=True, kinds=["mutant"])
        assert "mutants are noticed by a test; wanted 95%" in score[2]

    def test_a_mutant_that_changes_nothing_is_listed_with_inputs_that_show_it(self, lab):
        lab.replace("mean_square = (x**2).mean()", "mean_square = (x**2).mean() * max(1, 0)")
        entry = """# %% equivalent="0 → -1" exercise="loss"
# max(1, −1) is 1 as well
def inputs(generator):
    return (torch.randn(5, generator=generator),)
"""
        note = "no test of loss notices 0 → -1"
        assert note in [message for *_, message in lab.findings("note", thorough=True, kinds=["mutant"])]
        (lab.folder / "equivalents.py").write_text(entry)
        assert note not in [message for *_, message in lab.findings("note", thorough=True, kinds=["mutant"])]
        assert not [f for f in lab.findings(thorough=True, kinds=["mutant"]) if "changes nothing" in f[2]]

    @pytest.mark.parametrize(
        ("otherwise", "arguments", "message"),
        [
            ("0.0", "torch.ones(5)", ""),  # 0/1 is 0.0 as well
            ("0.5", "torch.ones(5)", "on input 0: result"),
            ("0.0", "torch.ones(5), 1", "spread itself raises TypeError on all inputs"),
        ],
    )
    def test_of_several_functions_the_one_in_which_the_change_stands_is_called(
        self, lab, otherwise, arguments, message
    ):
        """Not `loss`, though the exercise has its name, and not the last one: the change does not touch either."""
        spread = "def spread(x):\n    low, high = x.min(), x.max()\n    return (high - low) / high if high > low else "
        lab.replace("def loss(x: Tensor)", f"{spread}{otherwise}\n\n\ndef loss(x: Tensor)")
        lab.replace("    return mean_square\n", "    return mean_square\n\n\ndef last(x):\n    return x\n")
        source = load_lab(lab.folder)
        (mutant,) = (text for change, _, text in mutated(source.solution("loss").source) if "high >= low" in change)
        found = difference(source, "loss", mutant, f"def inputs(generator):\n    return ({arguments},)")
        assert found.startswith(message) and bool(found) == bool(message)

    @pytest.mark.parametrize(
        ("entry", "inputs", "message"),
        [
            (
                "x ** 2 → x * 2",
                "torch.randn(5, generator=generator)",
                "said to change nothing, but is noticed by a test",
            ),
            ("0.0 → 1.0", "-torch.rand(5, generator=generator)", "said to change nothing, but on input 0: result"),
            ("0.0 → 1.0", "nonsense", "said to change nothing, but the comparison raised NameError"),
            ("7 → 8", "torch.randn(5, generator=generator)", "loss has no mutant '7 → 8'"),
        ],
    )
    def test_an_entry_that_is_not_right_is_an_error(self, lab, entry, inputs, message):
        lab.replace("mean_square = (x**2).mean()", "mean_square = (x**2).mean() if x.max() > -9.0 else x.sum() * 0.0")
        text = f'# %% equivalent={json.dumps(entry, ensure_ascii=False)} exercise="loss"\n'
        body = (
            f"def inputs(generator):\n    return (10 * ({inputs}) - 10,)\n"
            if entry == "0.0 → 1.0"
            else (f"def inputs(generator):\n    return ({inputs},)\n")
        )
        (lab.folder / "equivalents.py").write_text(text + body)
        found = [f for f in lab.findings(thorough=True, kinds=["mutant"]) if f[0] == "equivalents.py"]
        assert any(message in text and line == 1 for _, line, text in found), found


class TestTheCommand:
    def text(self, labs, **options):
        console = Console(file=io.StringIO(), width=100)
        code = run(labs, console=console, workers=0, seeds=1, **options)
        return code, console.file.getvalue()

    def test_prints_a_table_and_exits_0(self, lab):
        code, text = self.text([load_lab(lab.folder)])
        assert code == 0
        assert "│ loss     │      3 │     2 │      2/2 │          1/1 │" in text
        assert text.endswith("1 lab, 1 seed: all is well\n")

    def test_prints_what_is_wrong_and_exits_1(self, lab, tmp_path):
        lab.replace("return (x**2).sum()", "return (x**2).mean()", "mistakes.py")
        code, text = self.text([load_lab(lab.folder)], json_file=tmp_path / "audit.json")
        assert code == 1
        assert "mistakes.py:4: the mistake 'sum_not_mean' of loss (seed practice): passes test_loss" in text
        result = json.loads((tmp_path / "audit.json").read_text())
        assert (result["schema"], result["ok"], result["seeds"]) == ("unmagic/audit/1", False, 1)
        (report,) = result["labs"]
        assert (report["exercises"][0]["mistakes"], report["exercises"][0]["mistakes_right"]) == (2, 1)
        assert report["findings"][0]["line"] == 4

    def test_leaves_no_worker_behind_when_it_is_killed(self, lab, tmp_path):
        began = tmp_path / "began"
        endless = f"import pathlib, time; pathlib.Path({str(began)!r}).touch(); time.sleep(600)"
        lab.replace("return (x**2).sum()", endless, "mistakes.py")
        script = f"""
            if __name__ == "__main__":
                from autograder.audit import audit, tasks_of
                from autograder.labs import load_lab

                lab = load_lab({str(lab.folder)!r})
                audit(lab, [task for task in tasks_of(lab, seeds=1) if task.name == "sum_not_mean"], workers=1)
        """
        (tmp_path / "audit.py").write_text(textwrap.dedent(script))
        environment = os.environ | {"PYTHONPATH": str(paths.ROOT)}
        killed = psutil.Popen([sys.executable, "audit.py"], cwd=tmp_path, env=environment)
        while not began.exists():
            assert killed.poll() is None
            time.sleep(0.2)
        below = killed.children(recursive=True)
        assert below
        killed.kill()
        killed.wait()
        _, alive = psutil.wait_procs(below, timeout=60)
        for process in alive:
            process.kill()
        assert not alive
