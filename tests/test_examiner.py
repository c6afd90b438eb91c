"""The examiner: verdicts, whose fault it was, and that the two sides stay apart."""

import os
import random
import textwrap

import numpy as np
import pytest
import torch

from autograder import paths
from autograder.examiner import OUTPUT, SECRET, SetupError, examine
from autograder.labs import load_lab

TWO_SMALL_STEPS = paths.ROOT / "tests" / "labs" / "two_small_steps"
BOTH_WAYS = pytest.mark.parametrize("bridge", [True, False], ids=["across the bridge", "in one namespace"])


@pytest.fixture(scope="module")
def lab():
    return load_lab(TWO_SMALL_STEPS)


@pytest.fixture(scope="module")
def model(lab):
    return {exercise: lab.solution(exercise).solution for exercise in lab.exercises}


def made_of(folder, cells):
    """A lab whose first cell imports what tests need."""
    head = '# %% setup="imports"\nfrom unmagic import checks\n\nimport torch\n\n'
    folder.mkdir(exist_ok=True)
    (folder / "lab.py").write_text(head + textwrap.dedent(cells))
    return load_lab(folder)


def lab_with(tmp_path, tests, solution="def f(x):\n    return x * 2", setup="pass"):
    """A lab of one exercise `f`."""
    block = f"### BEGIN SOLUTION\n{solution}\n### END SOLUTION\n"
    setup = f'# %% setup="more"\n{setup}\n\n'
    return made_of(tmp_path / "one", f'{setup}# %% solution="f"\n{block}\n# %% tests="f" points=1\n{tests}\n')


def verdict(lab, answer=None, *, bridge=True, seed="s"):
    answers = {"f": lab.solution("f").solution if answer is None else textwrap.dedent(answer)}
    (result,) = examine(lab, answers, seed=seed, bridge=bridge).results
    return result


@BOTH_WAYS
class TestVerdicts:
    def test_the_model_solution_has_all_points(self, lab, model, bridge):
        examination = examine(lab, model, seed="s", bridge=bridge)
        assert [(r.grade_id, r.ok, r.points, r.kind) for r in examination.results] == [
            ("test_loss", True, 2, "ok"),
            ("test_loss__dtype", True, 1, "ok"),
            ("test_step", True, 2, "ok"),
        ]
        assert (examination.points, examination.faults) == (5, {})

    def test_a_mistake_costs_the_points_and_gives_hint_and_line(self, lab, model, bridge):
        (mistake,) = (m for m in lab.mistakes if m.name == "uphill")
        result = examine(lab, {**model, "step": mistake.source}, seed="s", bridge=bridge)["test_step"]
        assert (result.ok, result.points, result.max_points, result.kind) == (False, 0, 2, "value")
        assert result.message.startswith("step: 3 of 3 entries are wrong.")
        assert "go down" not in result.message
        assert result.hint == "go down the slope: subtract rate · gradient"
        source = (TWO_SMALL_STEPS / "lab.py").read_text().split("\n")
        assert source[result.lab_line - 1].startswith("checks.assert_close(step(points, 0.75)")
        assert lab.cell("test_step").source.split("\n")[result.error_line - 1] == source[result.lab_line - 1]

    def test_a_line_of_a_hidden_block_is_that_of_lab_py(self, lab, model, bridge):
        copied = "def loss(x):\n    return torch.tensor(14 / 3)"
        result = examine(lab, {**model, "loss": copied}, seed="s", tests=["test_loss"], bridge=bridge)["test_loss"]
        source = (TWO_SMALL_STEPS / "lab.py").read_text().split("\n")
        assert source[result.lab_line - 1].startswith("checks.assert_close(loss(x), reference.loss(x)")

    @pytest.mark.parametrize(
        "answer, kind, message",
        [
            pytest.param(
                "def loss(x): raise NotImplementedError", "not_done", "not written yet", id="stub of a function"
            ),
            pytest.param("raise NotImplementedError", "not_done", "`loss` is not written yet", id="stub of a cell"),
            pytest.param("def loss(x:", "not_run", "your cell `loss` did not run: SyntaxError: ", id="syntax error"),
            pytest.param("los", "not_run", "your cell `loss` did not run: NameError: name 'los'", id="name error"),
            pytest.param("def los(x): pass", "missing", "`loss` is not defined; it belongs into", id="misspelt"),
            pytest.param("def loss(x): return x[9]", "error", "your code raised IndexError: index 9", id="raises"),
            pytest.param("def loss(x): raise SystemExit", "error", "your code raised SystemExit", id="exits"),
            pytest.param("loss = 3", "error", "'int' object is not callable", id="no function"),
            pytest.param(
                "def loss(x): assert False, 'no'", "error", "your code raised AssertionError: no", id="asserts"
            ),
        ],
    )
    def test_what_is_wrong_with_an_answer_is_said(self, lab, model, answer, kind, message, bridge):
        results = examine(lab, {**model, "loss": answer}, seed="s", bridge=bridge).results
        assert [(r.ok, r.points, r.kind) for r in results[:2]] == [(False, 0, kind)] * 2
        assert all(message in r.message for r in results[:2])

    def test_a_cell_that_does_not_run_costs_only_what_needs_it(self, lab, model, bridge):
        broken = examine(lab, {**model, "step": "def step("}, seed="s", bridge=bridge)
        assert [r.ok for r in broken.results] == [True, True, False]
        broken = examine(lab, {**model, "loss": "def loss("}, seed="s", bridge=bridge)
        assert broken["test_step"].message.startswith("your cell `loss` did not run: SyntaxError: '(' was never closed")
        assert broken["test_step"].frames[-1].startswith("step, line 4, in step: (slope,) = ")

    def test_a_cell_that_is_not_there(self, lab, model, bridge):
        result = examine(lab, {"step": model["step"]}, seed="s", bridge=bridge)["test_loss"]
        assert (result.kind, result.message) == ("missing", "`loss` is not defined; it belongs into your cell `loss`")

    def test_frames_are_the_students_lines(self, lab, model, bridge):
        answer = "def inner(x):\n    return x[9]\n\ndef loss(x):\n    return inner(x)"
        result = examine(lab, {**model, "loss": answer}, seed="s", bridge=bridge)["test_loss"]
        assert result.frames == ("loss, line 5, in loss: return inner(x)", "loss, line 2, in inner: return x[9]")

    @pytest.mark.filterwarnings("ignore:hm")
    def test_a_warning_or_output_costs_nothing_and_is_kept(self, lab, model, bridge):
        noisy = "import sys, warnings\ndef loss(x):\n    warnings.warn('hm')\n    print('to stdout')\n"
        noisy += "    print('to stderr', file=sys.stderr)\n    return (x * x).mean()"
        result = examine(lab, {**model, "loss": noisy}, seed="s", bridge=bridge)["test_loss"]
        assert result.ok
        assert "to stdout" in result.output
        assert "to stderr" in result.output

    def test_endless_output_is_cut(self, lab, model, bridge):
        loud = "def loss(x):\n    for _ in range(100): print('x' * 10_000)\n    return (x * x).mean()"
        result = examine(lab, {**model, "loss": loud}, seed="s", bridge=bridge)["test_loss"]
        assert result.ok
        assert OUTPUT <= len(result.output) < OUTPUT + 100

    def test_some_tests_give_what_all_give(self, lab, model, bridge, tmp_path):
        tests = "checks.assert_true(f(0) == f(0), 'same', hint='h')\nprint(torch.rand(()), torch.rand(()))"
        cells = "".join(
            f'# %% solution="{n}"\n### BEGIN SOLUTION\ndef {n}(x):\n    print(torch.rand(()))\n    return x\n'
            f'### END SOLUTION\n\n# %% tests="{n}" points=1\n{tests.replace("f(", f"{n}(")}\n\n'
            for n in "abc"
        )
        cells += f'# %% tests="c:more" points=1\n{tests.replace("f(", "c(")}\n'
        random_lab = made_of(tmp_path / "random", cells)
        answers = {n: random_lab.solution(n).solution for n in "abc"}
        every = examine(random_lab, answers, seed="s", bridge=bridge)
        for some in ("test_b", "test_c__more"):
            only = examine(random_lab, answers, seed="s", tests=[some], bridge=bridge)
            assert only.results == [every[some]]
            assert only.results[0].output.count("tensor(") == 4
        assert every["test_a"].output != every["test_b"].output

    def test_the_process_is_left_as_it_was(self, lab, model, bridge):
        torch.manual_seed(5)
        before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
        answer = "torch.set_default_dtype(torch.float64)\ntorch.set_grad_enabled(False)\n" + model["loss"]
        examine(lab, {**model, "loss": answer}, seed="s", bridge=bridge)
        assert torch.equal(torch.get_rng_state(), before[0])
        assert (random.getstate(), np.random.get_state()[1].tolist()) == before[1:]
        assert (torch.get_default_dtype(), torch.is_grad_enabled()) == (torch.float32, True)
        assert SECRET not in os.environ

    def test_a_set_up_cell_that_raises_is_the_labs_fault(self, tmp_path, bridge):
        bad = lab_with(tmp_path, "f(1)", setup="1 + 1\n1 / 0")
        with pytest.raises(SetupError, match="set-up cell 'more' raised ZeroDivisionError") as error:
            verdict(bad, bridge=bridge)
        assert (error.value.cell.name, error.value.line) == ("more", 2)


class TestFreshNumbers:
    TESTS = """
### BEGIN HIDDEN TESTS
x = torch.rand(3, generator=checks.fresh("f"))
print(x)
checks.assert_close(f(x), reference.f(x), hint="h")
### END HIDDEN TESTS
"""

    @BOTH_WAYS
    def test_depend_on_the_seed_alone(self, tmp_path, bridge):
        lab = lab_with(tmp_path, self.TESTS)
        first, again, other = (verdict(lab, seed=seed, bridge=bridge).output for seed in ("one", "one", "two"))
        assert first == again != other

    def test_the_seed_is_out_of_the_students_sight(self, tmp_path):
        lab = lab_with(tmp_path, self.TESTS)
        spy = "import os\nfrom unmagic import checks\nsecret = os.environ.get('UNMAGIC_SEED')\n"
        spy += "def f(x):\n    print(secret, os.environ.get('UNMAGIC_SEED'), checks.fresh('f').initial_seed())\n"
        spy += "    return x * 2"
        (line, *_) = (line for line in verdict(lab, spy, seed="secret!").output.split("\n") if "None" in line)
        practice = verdict(lab, spy.replace("print(", "print(0, "), seed="other").output
        assert line.startswith("None None ")
        assert line in practice  # what a student can compute does not depend on the secret


class TestTheSidesStayApart:
    def test_the_student_sees_nothing_of_the_tests(self, tmp_path):
        lab = lab_with(tmp_path, "secret_of_test = 42\nchecks.assert_equal(f(1), 2, hint='h')")
        spy = "def f(x):\n    print(sorted(globals()))\n    return x * 2"
        seen = verdict(lab, spy).output
        assert "'torch'" in seen
        for name in ("secret_of_test", "reference"):
            assert name not in seen

    def test_patched_functions_of_set_up_cells_stay_on_the_students_side(self, tmp_path):
        setup = "def wanted():\n    return 2\nbox = [1]"
        lab = lab_with(tmp_path, "checks.assert_equal((f(1), wanted(), box), (2, 2, [1]), hint='h')", setup=setup)
        assert verdict(lab, "def wanted(): return 3\nbox.append(2)\ndef f(x): return x * 2").ok

    def test_builtins_of_the_students_do_not_reach_the_test(self, tmp_path):
        lab = lab_with(tmp_path, "checks.assert_equal(len([f(1)]), 1, hint='h')")
        assert verdict(lab, "def len(x): return 99\ndef f(x): return x * 2").ok

    def test_helpers_of_the_students_are_proxies_too(self, tmp_path):
        lab = lab_with(
            tmp_path,
            "checks.assert_equal(f(1), 2, hint='h')\nbox = Box(f)\nprint(type(box))",
            "class Box:\n    def __init__(self, f): self.f = f\ndef f(x):\n    return x * 2",
        )
        result = verdict(lab)
        assert result.ok, result.message
        assert "Handle" in result.output

    def test_names_are_looked_up_when_they_are_used(self, tmp_path):
        tests = "before = f.calls\nf(1)\nchecks.assert_equal((before, f.calls), (0, 1), hint='h')\n"
        tests += "def inside():\n    return f(2)\nchecks.assert_equal([inside() for _ in range(2)], [4, 4], hint='h')"
        lab = lab_with(tmp_path, tests, "def f(x):\n    f.calls += 1\n    return x * 2\nf.calls = 0")
        assert verdict(lab).ok

    def test_edits_of_arguments_do_not_come_back(self, tmp_path):
        lab = lab_with(tmp_path, "x = torch.ones(2)\nf(x)\nchecks.assert_equal(x, torch.zeros(2), hint='in place')")
        answer = "def f(x): return x.zero_()"
        assert not verdict(lab, answer).ok
        assert verdict(lab, answer, bridge=False).ok

    def test_global_random_numbers_are_not_shared(self, tmp_path):
        lab = lab_with(
            tmp_path,
            "torch.manual_seed(0)\nf(1)\nchecks.assert_equal(torch.rand(1), want, hint='h')",
            setup="want = torch.rand(1, generator=torch.Generator().manual_seed(0))",
        )
        drawing = "def f(x):\n    print('drew', torch.rand(3))"
        seeded = lab_with(tmp_path, "torch.manual_seed(0)\nf(1)")
        assert verdict(seeded, drawing).output == verdict(lab_with(tmp_path, "f(1)"), drawing).output
        answer = "def f(x):\n    torch.manual_seed(99); return torch.rand(3)"
        assert verdict(lab, answer).ok
        assert not verdict(lab, answer, bridge=False).ok

    def test_what_cannot_cross_is_the_labs_fault_with_its_line(self, tmp_path):
        lab = lab_with(tmp_path, "checks.assert_equal(f(1), 2, hint='h')\nf(\n    lambda: 1,\n)")
        result = verdict(lab)
        assert (result.kind, result.error_line) == ("wire", 2)
        assert result.message.startswith("argument 1: the function '<lambda>' cannot cross")
        assert lab.folder.joinpath("lab.py").read_text().split("\n")[result.lab_line - 1] == "f("

    def test_an_object_where_data_was_wanted_is_the_students_fault(self, tmp_path):
        lab = lab_with(tmp_path, "if f(1):\n    checks.assert_equal(f(1), 2, hint='h')")
        result = verdict(lab, "class T: pass\ndef f(x): return T()")
        assert (result.ok, result.kind) == (False, "error")
        assert result.message.startswith(
            "the test cannot use what your code gave it: the truth of <the student's object T>"
        )

    def test_functions_of_set_up_cells_cross_by_name(self, tmp_path):
        tests = "checks.assert_equal(f(square), 18, hint='h')"
        lab = lab_with(tmp_path, tests, "def f(g):\n    return 2 * g(3)", "def square(x):\n    return x * x")
        assert verdict(lab).ok
        assert verdict(lab, "def square(x): return 0\ndef f(g): return 2 * g(3)").ok

    def test_gradients_cross(self, tmp_path):
        tests = "w = torch.ones(3, requires_grad=True)\nf(w).sum().backward()\n"
        tests += "checks.assert_close(w.grad, 2 * torch.ones(3), hint='h')\n"
        tests += "checks.assert_true(torch.autograd.gradcheck(f, w.detach().double().requires_grad_()), 'g', hint='h')"
        lab = lab_with(tmp_path, tests)
        assert verdict(lab).ok
        assert not verdict(lab, "def f(x): return 2 * x.detach()").ok


@BOTH_WAYS
class TestRulesAndCounts:
    RULE = 'checks.assert_by_hand("f", without=("torch.relu", ".backward"), hint="Write the sum.")'

    def test_an_answer_that_uses_what_it_is_to_replace_breaks_the_rule(self, tmp_path, bridge):
        lab = lab_with(tmp_path, self.RULE)
        assert verdict(lab, bridge=bridge).ok
        result = verdict(lab, "from torch import relu\ndef f(x):\n    return relu(x)", bridge=bridge)
        assert (result.kind, result.hint, result.points) == ("by_hand", "Write the sum.", 0)
        assert "line 3 of its cell: `return relu(x)`" in result.message

    def test_a_helper_of_the_set_up_is_no_way_round_it(self, tmp_path, bridge):
        lab = lab_with(tmp_path, self.RULE, setup="def helper(x):\n    return torch.relu(x)")
        assert "`helper`, which `f` uses" in verdict(lab, "def f(x):\n    return helper(x)", bridge=bridge).message

    def test_torch_operations_are_counted_where_the_answer_runs(self, tmp_path, bridge):
        tests = """\
x = torch.ones(3, 4)
value, calls = checks.torch_calls(f, x, times=2)
checks.assert_close(value, x * 2, hint="Twice.")
checks.assert_in_range(calls, 1, 2, name="calls", hint="One product for all rows.")"""
        lab = lab_with(tmp_path, tests, solution="def f(x, times):\n    return x * times")
        assert verdict(lab, bridge=bridge).ok
        rows = verdict(lab, "def f(x, times):\n    return torch.stack([row * times for row in x])", bridge=bridge)
        assert (rows.kind, rows.hint) == ("range", "One product for all rows.")

    def test_what_a_counted_answer_raises_is_the_students_fault(self, tmp_path, bridge):
        lab = lab_with(tmp_path, "checks.torch_calls(f, 1)")
        result = verdict(lab, "def f(x):\n    return 1 / 0", bridge=bridge)
        assert result.kind == "error" and "line 2, in f" in result.message
