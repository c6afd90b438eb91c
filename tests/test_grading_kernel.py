"""Cells run under limits, and what one of them does costs no other more than it touched."""

import signal

import psutil
import pytest

from autograder.execution import Limits, execute
from autograder.fitting import FittedCell
from autograder.kernel import Kernel


def cell(kind: str, source: str, name: str = "") -> FittedCell:
    return FittedCell(kind, "code", source, grade_id=name or f"{kind}_{abs(hash(source)) % 1000}", run=True)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    kernel = Kernel(tmp_path_factory.mktemp("k"), {"UNMAGIC_SEED": "sesame"})
    yield kernel
    kernel.close()


def run(kernel, source, **limits):
    return kernel.run(source, **{"seconds": 20, "output_bytes": 10_000, **limits})


class TestACell:
    def test_sees_an_empty_folder_and_the_seed_and_no_profile(self, kernel):
        done = run(kernel, "import os; print(os.listdir(), os.environ['UNMAGIC_SEED'], len(In))")
        assert done.outputs[0]["text"] == "[] sesame 2\n"

    def test_that_warns_on_stderr_has_not_failed(self, kernel):
        done = run(kernel, "import sys; print('careful', file=sys.stderr); print('out')")
        assert done.failure is None
        assert sorted((o["name"], o["text"]) for o in done.outputs) == [("stderr", "careful\n"), ("stdout", "out\n")]

    def test_that_raises_says_what_and_where(self, kernel):
        done = run(kernel, "def f(x):\n    return 1 / x\nf(0)")
        assert (done.failure.type, done.failure.message) == ("ZeroDivisionError", "division by zero")
        assert [line for _, line, name in done.failure.frames if name in ("<module>", "f")][-2:] == [3, 2]

    def test_s_failed_check_gives_its_kind_and_hint(self, kernel):
        source = "class E(AssertionError): kind = 'shape'; hint = 'look again'\nraise E('wrong')"
        done = run(kernel, source)
        assert (done.failure.kind, done.failure.hint, done.failure.message) == ("shape", "look again", "wrong")

    def test_cannot_answer_for_its_error_with_more_than_text(self, kernel):
        source = "class E(Exception):\n    def __str__(self): return '\\x1b[31m' + 'x' * 10**6\nraise E"
        done = run(kernel, source)
        assert done.failure.type == "E" and len(done.failure.message) <= 20_000 and "\x1b" not in done.failure.message

    def test_that_never_ends_is_interrupted_and_the_kernel_goes_on(self, kernel):
        done = run(kernel, "kept = 1\nwhile True: pass", seconds=0.5)
        assert (done.limit, done.ended, done.alive) == ("time", False, True)
        assert run(kernel, "kept").outputs[0]["data"]["text/plain"] == "1"

    def test_that_prints_without_end_is_stopped_as_it_prints(self, kernel):
        done = run(kernel, "while True: print('x' * 100)")
        assert (done.limit, done.ended, done.alive) == ("output", False, True)
        assert sum(len(o["text"]) for o in done.outputs) <= 10_000

    def test_that_clears_its_output_in_a_loop_is_stopped_as_well(self, kernel):
        source = "from IPython.display import clear_output\nwhile True: print('x' * 99, flush=True); clear_output()"
        assert run(kernel, source).limit == "output"

    def test_that_prints_one_huge_text_loses_it_and_the_next_cell_is_heard(self, kernel):
        done = run(kernel, "print('x' * 40_000_000)")
        assert (done.limit, done.alive) == ("output", True)
        assert run(kernel, "print('heard')").outputs == [
            {"output_type": "stream", "name": "stdout", "text": "heard\n"}
        ]  # fmt: skip

    def test_shows_text_and_pictures_and_nothing_that_runs(self, kernel):
        done = run(
            kernel, "from IPython.display import HTML, Javascript, display; display(HTML('<b>'), Javascript('1'))"
        )
        assert {key for o in done.outputs for key in o["data"]} == {"text/plain"}


def kernels():
    return [p for p in psutil.Process().children(recursive=True) if "ipykernel" in " ".join(p.cmdline())]


class TestANotebook:
    def test_goes_on_in_a_new_kernel_without_the_cell_that_killed_the_old(self, tmp_path):
        cells = [
            cell("setup", "log = ['setup']"),
            cell("solution", "log.append('first')"),
            cell("tests", "log.append('a test is not replayed')"),
            cell("solution", "import os; os._exit(1)", "killer"),
            cell("tests", "assert log == ['setup', 'first'], log", "check"),
        ]
        before = kernels()
        done = execute(cells, scratch=tmp_path, secret="")
        assert done.runs[3].limit == "died"
        assert done.runs[4].failure is None
        assert [(h["limit"], h["cell"]) for h in done.limits_hit] == [("died", "killer")]
        assert kernels() == before and not list(tmp_path.iterdir())

    def test_survives_a_cell_that_ignores_interrupts(self, tmp_path):
        source = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
        cells = [cell("setup", "x = 1"), cell("solution", source), cell("tests", "assert x == 1")]
        done = execute(cells, scratch=tmp_path, secret="", limits=Limits(cell_seconds=1))
        assert (done.runs[1].limit, done.runs[1].alive) == ("time", False)
        assert done.runs[2].ended and done.runs[2].failure is None

    def test_gets_two_new_kernels_and_then_ends(self, tmp_path):
        cells = [cell("solution", f"import os; os._exit({n})") for n in (1, 2, 3)] + [cell("tests", "pass")]
        done = execute(cells, scratch=tmp_path, secret="")
        assert done.stopped == "died" and sorted(done.runs) == [0, 1, 2]
        assert done.limits_hit[-1]["limit"] == "handin_died"

    def test_that_kills_in_replay_loses_the_cell_that_did_it(self, tmp_path):
        """The second cell dies only when it is run again."""
        mark = tmp_path / "been-here"
        again = f"import os, pathlib\np = pathlib.Path({str(mark)!r})\nif p.exists(): os._exit(1)\np.touch()"
        cells = [cell("solution", again), cell("solution", "import os; os._exit(1)"), cell("tests", "y = 1")]
        done = execute(cells, scratch=tmp_path, secret="")
        assert done.stopped == "" and done.runs[2].ended

    def test_that_uses_up_its_time_is_not_run_to_its_end(self, tmp_path):
        cells = [cell("solution", "import time; time.sleep(30)"), cell("tests", "pass"), cell("tests", "pass")]
        done = execute(cells, scratch=tmp_path, secret="", limits=Limits(handin_seconds=1))
        assert done.runs[0].limit == "time" and done.stopped == "time"
        assert [h["limit"] for h in done.limits_hit] == ["time", "handin_time"]

    def test_s_background_processes_end_with_it(self, tmp_path):
        source = "import subprocess; p = subprocess.Popen(['sleep', '1000']); print(p.pid)"
        done = execute([cell("solution", source)], scratch=tmp_path, secret="")
        pid = int(done.runs[0].outputs[0]["text"])
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_an_interrupt_reaches_only_the_kernel(kernel):
    """The grader's own process group gets no signal when a cell is interrupted."""
    heard = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append(1))
    try:
        run(kernel, "while True: pass", seconds=0.3)
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == []
