"""After a lab's tests changed only the touched cells run again, and every result is what grading everything anew gives.

Which tests cells ran is counted by the cells themselves: in this copy of the lab each writes its name into a file.
"""

import json
import shutil
import sys

import pytest
from nbgrader.api import Gradebook

from autograder import grading
from autograder.classroom import Classroom
from autograder.fitting import FittedCell
from autograder.grading import Options
from autograder.labs import load_lab
from autograder.marking import mark, stubs
from autograder.progress import Json
from autograder.regrading import lab_keys
from autograder.release import filled, solved_notebook, source_notebook, student_notebook
from autograder.remembering import remembers
from autograder.results import load
from autograder.sample import STUDENTS
from autograder.sandbox.client import why_no_sandbox
from tests.handins import LABS, hand_in

NO_SANDBOX = why_no_sandbox() if sys.platform == "linux" else "the sandbox is Linux's"
walled = pytest.mark.skipif(bool(NO_SANDBOX), reason=f"no sandbox here: {NO_SANDBOX}")
LAB = "two_small_steps"
ALL = ["test_loss", "test_loss__dtype", "test_step"]
# right only when the tests of the loss have run before in the same process
REMEMBERING = {
    "loss": "seen = []\ndef loss(x):\n    seen.append(1)\n    return (x**2).mean()",
    "step": "def step(x, rate):\n    return x - rate * 2 * x / len(x) if len(seen) == 3 else x",
}
DYING = {"loss": "import os\ndef loss(x):\n    return (x**2).mean() if x.dtype == torch.float32 else os._exit(1)"}
OLD_TEST = "checks.assert_close(step(points, 0.75), points * 0.5,"
DTYPE_TEST = (
    'checks.assert_close(loss(points.double()), torch.tensor(14 / 3).double(), rtol=1e-6, hint="keep the dtype of x")'
)
NEW_TEST = "checks.assert_close(step(points, 0.0), points,"  # which way a step of no length goes is not asked


def copy_of_the_lab(folder, log):
    """The lab, whose tests cells write down that they run."""
    shutil.copytree(LABS / LAB, folder / LAB)
    path = folder / LAB / "lab.py"
    lines = []
    for line in path.read_text("utf-8").splitlines():
        lines.append(line)
        if line.startswith('# %% tests="'):
            name = line.split('"')[1].replace(":", "__")
            lines.append(f"open({str(log)!r}, 'a').write('test_{name}\\n')")
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return folder / LAB


def edited(lab_folder, old, new):
    path = lab_folder / "lab.py"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    return load_lab(lab_folder)


class Class:
    """A class whose tests cells write down that they run."""

    def __init__(self, root, log, lab=LAB):
        self.root, self.log, self.lab = root, log, lab

    def grade(self, lab, **options):
        """Which tests cells ran, in order, and the summary."""
        self.log.unlink(missing_ok=True)
        with open(self.log.with_suffix(".progress"), "w", encoding="utf-8") as file:
            self.summary = grading.grade(lab, Classroom(self.root), Options(workers=1, **options), Json(file))
        return self.log.read_text("utf-8").split() if self.log.exists() else []

    def results(self):
        """All that results hold but when and how they were made."""
        found = {}
        for path in sorted((self.root / "results" / self.lab).glob("*.json")):
            found[path.stem] = json.loads(path.read_text("utf-8"))
            for name in ("times", "tests_run", "moved"):
                del found[path.stem][name]
        return found

    def notebooks(self):
        return {p.parent.parent.name: json.loads(p.read_text("utf-8")) for p in self.root.glob("graded/*/*/*.ipynb")}

    def tests_run(self, student):
        return load(Classroom(self.root).result(self.lab, student)).tests_run

    def moved(self):
        return {
            m.student: (m.before, m.after, [(c["grade_id"], c["why"]) for c in m.cells]) for m in self.summary.moved
        }


@pytest.fixture(scope="module", autouse=True)
def in_this_process():
    """Marking needs no process of its own here; the kernels are in the sandbox."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grading, "mark_all", lambda tasks, *_: ((task, mark(task)) for task in tasks))
        patch.setattr(grading, "grader_hash", lambda *_: "the same grader")  # whoever edits it meanwhile
        patch.setenv("UNMAGIC_DEVICE", "cpu")
        yield


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """The lab's mistakes and alternatives as hand-ins, and some that are harder to judge, graded once."""
    root = tmp_path_factory.mktemp("graded")
    folder = copy_of_the_lab(root, root / "ran.txt")
    lab = load_lab(folder)
    room = Class(root / "class", root / "ran.txt")
    answers = {v.name: {v.exercise: v.source} for v in (*lab.mistakes, *lab.alternatives)}
    answers |= {"perfect": {}, "remembering": REMEMBERING, "dying": DYING}
    for student, changed in answers.items():
        hand_in(room.root, student, filled(solved_notebook(lab), changed), lab=LAB)
    hand_in(room.root, "torn", b'{"cells": [{"cell_', lab=LAB)
    ran = room.grade(lab)
    assert sorted(ran) == sorted(ALL * len(answers))
    return root


@pytest.fixture
def again(graded, tmp_path):
    """A copy of that class and of its lab; tests write where they wrote."""
    shutil.copytree(graded / "class", tmp_path / "class")
    shutil.copytree(graded / LAB, tmp_path / LAB)
    return Class(tmp_path / "class", graded / "ran.txt"), tmp_path / LAB


@walled
class TestATestChanged:
    def test_only_it_is_run_and_all_results_are_those_of_grading_everything(self, again, tmp_path):
        room, folder = again
        lab = edited(folder, OLD_TEST, NEW_TEST)
        shutil.copytree(room.root, tmp_path / "forced")
        ran = room.grade(lab)
        whole = {"remembering", "dying"}  # may hang on the tests before; hit a limit
        counted = {s: room.tests_run(s) for s in room.results()}
        assert counted == {s: ALL if s in whole else [] if s == "torn" else ["test_step"] for s in counted}
        assert sorted(ran) == sorted(cell for cells in counted.values() for cell in cells)
        forced = Class(tmp_path / "forced", room.log)
        assert len(forced.grade(lab, force=True)) == len(ALL) * (len(counted) - 1)
        assert room.results() == forced.results()
        assert room.notebooks() == forced.notebooks()

    def test_whose_points_moved_is_told_with_the_cell_and_the_cause(self, again):
        room, folder = again
        lab = edited(folder, DTYPE_TEST, "print(0)")
        room.grade(lab)
        assert room.tests_run("perfect") == ["test_loss__dtype"]
        cause = [("test_loss__dtype", "test changed")]
        assert room.moved() == {
            "float32_inside": (4, 5, cause),
            "sum_not_mean": (0, 1, cause),
            "dying": (4, 5, cause),
            # its step counts how often its loss was asked, so that it is not right any more, here as with --force
            "remembering": (5, 3, [("test_step", "the lab changed: test_loss__dtype (test changed)")]),
        }
        report = (room.root / LAB / "report.html").read_text("utf-8")
        section = report.partition("Whose points moved")[2].partition("<h2>")[0]
        assert "test_loss__dtype: 0 → 1 (test changed)" in section and "float32_inside" in section
        assert "perfect" not in section
        with Gradebook(f"sqlite:///{room.root / 'gradebook.db'}", "unmagic") as book:
            assert book.find_grade("test_loss__dtype", LAB, LAB, "float32_inside").auto_score == 1
        room.grade(lab)  # nothing left to do: the report still tells
        assert room.summary.graded == 0
        assert "test_loss__dtype: 0 → 1 (test changed)" in (room.root / LAB / "report.html").read_text("utf-8")

    def test_points_alone_run_nothing_and_are_counted_anew(self, again, tmp_path):
        room, folder = again
        lab = edited(folder, '# %% tests="step" points=2', '# %% tests="step" points=5')
        shutil.copytree(room.root, tmp_path / "forced")
        ran = room.grade(lab)
        assert set(ran) == set(ALL) and len(ran) == len(ALL)  # "dying" hit a limit, and is graded as a whole
        assert room.tests_run("perfect") == [] and load(Classroom(room.root).result(LAB, "perfect")).points == 8
        assert room.moved()["perfect"] == (5, 8, [("test_step", "points changed")])
        forced = Class(tmp_path / "forced", room.log)
        forced.grade(lab, force=True)
        assert room.results() == forced.results()
        assert room.notebooks() == forced.notebooks()

    def test_a_changed_set_up_grades_everything(self, again):
        room, folder = again
        lab = edited(folder, "points = torch.tensor([1.0, 2.0, 3.0])", "points = torch.tensor([1.0, 2.0, 3.0]) + 0")
        assert len(room.grade(lab)) == len(ALL) * (len(room.results()) - 1)
        assert room.moved() == {}


def keys_of(folder):
    lab = load_lab(folder)
    return lab_keys(source_notebook(lab), stubs(student_notebook(lab)), [])


class TestTheKeys:
    """What makes which verdict doubtful."""

    @pytest.mark.parametrize(
        ("old", "new", "touched"),
        [
            pytest.param(OLD_TEST, NEW_TEST, {"test_step"}, id="a visible test"),
            pytest.param("torch.randn(5,", "torch.randn(6,", {"test_step"}, id="a hidden test"),
            pytest.param(
                "    return mean_square", "    return 1 * mean_square", {"test_loss", "test_step"}, id="a solution"
            ),
            pytest.param("points=2\nopen", "points=7\nopen", set(), id="points"),
            pytest.param('manual="in_words" points=3', 'manual="in_words" points=4', set(), id="points by hand"),
            pytest.param("climbs the other side", "goes up the other side", set(), id="a model answer"),
            pytest.param("from torch import Tensor", "from torch import Tensor, nn", set(ALL), id="set-up"),
            pytest.param("Mean of squares of x (n,)", "The mean of squares", set(ALL), id="a stub"),
            pytest.param("We take the mean", "One takes the mean", set(ALL), id="prose"),
            pytest.param("range(3)", "range(4)", set(ALL), id="exploration"),
        ],
    )
    def test_of_a_change(self, tmp_path, old, new, touched):
        folder = copy_of_the_lab(tmp_path, tmp_path / "ran.txt")
        before = keys_of(folder)
        edited(folder, old, new)
        after = keys_of(folder)
        assert {name for name in ALL if before.tests[name] != after.tests[name]} == touched
        assert (before.frame != after.frame) == (touched == set(ALL))

    def test_points_count_where_a_cell_ends_with_its_own_number(self, tmp_path):
        folder = copy_of_the_lab(tmp_path, tmp_path / "ran.txt")
        path = folder / "lab.py"
        text = path.read_text("utf-8").replace('"keep the dtype of x")', '"keep the dtype of x")\n1')
        path.write_text(text, "utf-8")
        before = keys_of(folder)
        edited(folder, '"loss:dtype" points=1', '"loss:dtype" points=2')
        assert keys_of(folder).tests["test_loss__dtype"] != before.tests["test_loss__dtype"]


def cells(*sources, setup="import torch\ndata = torch.zeros(3)\nrate = 0.1", test="checks.assert_equal(f(1), 1)"):
    made = [FittedCell("setup", "code", setup, run=True)]
    made += [FittedCell("solution", "code", source, run=True) for source in sources]
    return [*made, FittedCell("tests", "code", test, run=True)]


class TestWhatRemembers:
    @pytest.mark.parametrize(
        "source",
        [
            "n = 0\ndef f(x):\n    global n\n    n += 1\n    return n",
            "seen = {}\ndef f(x):\n    return seen.setdefault(x, len(seen))",
            "seen = []\nalias = seen\ndef f(x):\n    return len(alias)",
            "def f(x, seen=[]):\n    seen.append(x)\n    return len(seen)",
            "def f(x):\n    f.calls = getattr(f, 'calls', 0) + 1\n    return f.calls",
            "from functools import lru_cache\n@lru_cache\ndef f(x):\n    return x",
            "import itertools\nnumbers = itertools.count()\ndef f(x):\n    return next(numbers)",
            "class Net:\n    calls = []\n    def go(self):\n        return self.calls",
            "class Net:\n    def go(self):\n        Net.calls = 1",
            "model = torch.nn.Linear(1, 1)\ndef f(x):\n    return model(x)",
            "def f(x):\n    data[0] = x\n    return data",
            "def f(x):\n    return data.add_(x)",
            "def f(x):\n    torch.set_default_dtype(torch.float64)\n    return x",
            "def f(x):\n    open('seen', 'a').write('x')",
            "import os\ndef f(x):\n    os.environ['seen'] = '1'",
            "def f(x):\n    globals()['n'] = 1",
            "def make():\n    n = 0\n    def f(x):\n        nonlocal n\n        n += x\n        return n\n    return f",
            "f = torch.nn.ReLU()",
        ],
    )
    def test_is_seen(self, source):
        assert remembers(cells(source))

    @pytest.mark.parametrize(
        "source",
        [
            "def f(x):\n    seen = []\n    seen.append(x)\n    return seen[0]",
            "def f(x):\n    x[0] = 1\n    return x",  # a copy of the test's
            "class Net(torch.nn.Module):\n    size = 3\n    def __init__(self):\n        super().__init__()\n"
            "        self.layer = torch.nn.Linear(1, 1)\n    def forward(self, x):\n        return self.layer(x)",
            "@torch.no_grad()\ndef f(x, rate=0.1, act=torch.relu):\n    return act(x) * rate",
            "EPSILON = 1e-5\nSHAPE = (3, -1)\ndef f(x):\n    return x / EPSILON",
            "mine = torch.zeros(3)\nprint(mine)\ndef f(x):\n    return x",  # tried out, and used by nothing
            "def helper(x):\n    return x\nf = helper",
            "def f(x):\n    return x.to(data) * data[0] * rate",
            "def f(x:\n    return",
            "",
        ],
    )
    def test_is_not_suspected_of_honest_code(self, source):
        assert not remembers(cells(source))

    def test_a_value_of_the_student_s_that_a_test_uses_may_have_changed(self):
        assert remembers(cells("model = torch.nn.Linear(1, 1)", test="model(1)"))
        assert not remembers(cells("model = torch.nn.Linear(1, 1)", test="model = 1\nmodel"))

    def test_no_solution_of_the_course_is_suspected(self):
        for lab in map(load_lab, ("descent", str(LABS / LAB))):
            for variant in [lab.solution(e).solution for e in lab.exercises] + [a.source for a in lab.alternatives]:
                setup = "\n".join(c.source for c in lab.cells if c.kind == "setup")
                assert not remembers(cells(variant, setup=setup)), variant


@walled
@pytest.mark.slow
def test_the_sample_class_and_mistakes_and_alternatives_of_descent_come_out_as_with_force(tmp_path):
    """Every fourth of them. One tests cell is changed in its visible part and one in its hidden part."""
    lab = load_lab("descent")
    shutil.copytree(lab.folder, tmp_path / "descent")
    room = Class(tmp_path / "class", tmp_path / "ran.txt", "descent")
    for student in STUDENTS:
        hand_in(room.root, student.name, student.make(lab), lab="descent")
    for variant in (*lab.mistakes, *lab.alternatives)[::4]:
        answers = {variant.exercise: variant.source}
        name = f"{variant.kind} {variant.exercise} {variant.name}"
        hand_in(room.root, name, filled(solved_notebook(lab), answers), lab="descent")
    room.grade(load_lab(tmp_path / "descent"))
    edited(tmp_path / "descent", "print('unit_loss: passed')".replace("'", '"'), "print(0)")
    changed = edited(tmp_path / "descent", "two_clouds(23, checks.fresh", "two_clouds(24, checks.fresh")
    shutil.copytree(room.root, tmp_path / "forced")
    room.grade(changed)
    wanted = ["test_unit_loss", "test_unit_gradient"]
    ran = {student: room.tests_run(student) for student in room.results()}
    few = [student for student, cells in ran.items() if cells == wanted]
    assert len(few) > 0.8 * len(ran), ran  # the others ran into a limit, or could not be read
    forced = Class(tmp_path / "forced", room.log, "descent")
    forced.grade(changed, force=True)
    assert room.results() == forced.results()
