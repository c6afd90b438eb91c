"""Test numbers nobody can foresee, the reference solution, and streams that stay clean."""

from unmagic import checks

import subprocess
import sys
import textwrap
import warnings

import pytest
import torch


def numbers(exercise="loss"):
    return torch.rand(4, generator=checks.fresh(exercise), dtype=torch.float64).tolist()


class TestFresh:
    def test_practice_numbers_are_the_same_everywhere(self, monkeypatch):
        monkeypatch.delenv("UNMAGIC_SEED", raising=False)
        assert numbers() == numbers()
        assert checks.fresh("loss").initial_seed() == 5531842590755556217  # by sha256sum

    def test_secret_and_exercise_each_change_them(self, monkeypatch):
        seen = [numbers("loss"), numbers("gradient")]
        for secret in ("a", "b", "ä secret with spaces"):
            monkeypatch.setenv("UNMAGIC_SEED", secret)
            seen += [numbers("loss"), numbers("gradient")]
        assert len({tuple(n) for n in seen}) == len(seen)

    def test_secret_and_exercise_cannot_be_confused(self, monkeypatch):
        monkeypatch.setenv("UNMAGIC_SEED", "ab")
        first = numbers("c")
        monkeypatch.setenv("UNMAGIC_SEED", "a")
        assert numbers("bc") != first

    @pytest.mark.parametrize("exercise", ["", None, 3])
    def test_wants_a_name(self, exercise):
        with pytest.raises(ValueError, match="exercise's name"):
            checks.fresh(exercise)


class TestReference:
    SOURCE = textwrap.dedent("""
        import math
        def gradient(w): return 2 * loss_scale * helper(w)
        def helper(w): return w
        LIMIT, rest = 2, 3
    """)

    def test_gives_what_the_source_defines_and_nothing_else(self):
        names = {"loss_scale": 3, "helper": None}
        reference = checks.reference(self.SOURCE, names)
        assert set(vars(reference)) == {"math", "gradient", "helper", "LIMIT", "rest"}

    def test_its_functions_see_each_other_and_leave_the_students_names_alone(self):
        names = {"loss_scale": 3, "helper": "the student's"}
        assert checks.reference(self.SOURCE, names).gradient(5) == 30
        assert names == {"loss_scale": 3, "helper": "the student's"}

    def test_a_broken_solution_is_the_labs_fault(self):
        with pytest.raises(RuntimeError, match=r"lab's own solution does not run: NameError"):
            checks.reference("x = undefined_name", {})


class TestQuiet:
    def test_warnings_and_stderr_become_output(self, capsys):
        with checks.quiet():
            warnings.warn("careful", stacklevel=1)
            print("progress", file=sys.stderr)
        out = capsys.readouterr()
        assert (out.out, out.err) == ("UserWarning: careful\nprogress\n", "")

    def test_everything_is_put_back_even_after_an_error(self):
        before = sys.stderr, warnings.showwarning, list(warnings.filters)
        with pytest.raises(KeyError), checks.quiet():
            raise KeyError
        assert (sys.stderr, warnings.showwarning, list(warnings.filters)) == before

    def test_in_a_kernel_a_students_warning_is_ordinary_output(self):
        """A right answer that warns must not lose its points, and nbgrader takes them for any stderr."""
        code = """
            import sys, types
            sys.modules["ipykernel.kernelapp"] = types.ModuleType("ipykernel.kernelapp")
            import unmagic, warnings
            warnings.warn("careful")
        """
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == ("UserWarning: careful\n", "")
