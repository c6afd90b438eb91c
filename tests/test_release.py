"""Labs as students get them: the same bytes every time, nothing of the solutions, ordinary notebooks for nbgrader."""

import os
import re
import shutil
import subprocess
import sys

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert.filters import strip_ansi
from nbgrader.api import Gradebook
from nbgrader.validator import Validator
from traitlets.config import Config

from autograder import cli, paths
from autograder.errors import AutograderError
from autograder.files import write_atomically
from autograder.labs import lab_names, load_lab
from autograder.release import (
    COURSE,
    differences,
    filled,
    register,
    release,
    solved_notebook,
    source_notebook,
    student_notebook,
)
from tests.courses import FIXTURE_LABS, REPOSITORY, Course

LABS = [FIXTURE_LABS / "two_small_steps", *(paths.SOLUTIONS / name for name in lab_names())]
every_lab = pytest.mark.parametrize("folder", LABS, ids=lambda folder: folder.name)


@pytest.fixture
def small():
    return load_lab(FIXTURE_LABS / "two_small_steps")


@pytest.fixture
def course(tmp_path):
    return Course(tmp_path / "course")


class TestCommittedLabs:
    def test_are_what_their_sources_give_byte_for_byte(self):
        assert lab_names(), "solutions/ holds no lab"
        assert [str(path) for name in lab_names() for path in differences(load_lab(name))] == []

    def test_each_has_a_source(self):
        assert sorted(path.name for path in paths.LABS.iterdir() if not path.name.startswith(".")) == list(lab_names())


class TestBytes:
    @every_lab
    def test_are_those_of_formgrader_s_generate_button(self, folder, tmp_path, monkeypatch):
        """nbgrader's converter, run on the source notebook, is the independent oracle."""
        course = Course(tmp_path / "course", load_lab(folder))
        ours = course.released.read_bytes()
        course.released.unlink()
        done = course.api(monkeypatch).generate_assignment(course.lab.name, force=True)
        assert done["success"], done.get("error")
        assert course.released.read_bytes() == ours

    def test_do_not_depend_on_the_process(self, course):
        code = (
            "import sys; from autograder.labs import load_lab; from autograder.release import released_files;"
            "sys.stdout.buffer.write(*released_files(load_lab(sys.argv[1])).values())"
        )
        environment = {**os.environ, "PYTHONHASHSEED": "1", "LC_ALL": "C", "TZ": "Asia/Tokyo"}
        command = [sys.executable, "-c", code, str(course.lab.folder)]
        other = subprocess.run(command, env=environment, capture_output=True, check=True).stdout
        assert other == course.released.read_bytes()

    def test_end_with_a_newline_and_have_sorted_keys(self, course):
        text = course.released.read_text(encoding="utf-8")
        assert text.endswith("}\n") and not text.endswith("\n\n")
        keys = re.findall(r'^ "(\w+)"', text, flags=re.MULTILINE)
        assert keys == sorted(keys) == ["cells", "metadata", "nbformat", "nbformat_minor"]

    def test_name_the_kernel_python3_and_no_version(self, course):
        metadata = nbformat.read(course.released, as_version=4).metadata
        assert (metadata.kernelspec.name, metadata.language_info) == ("python3", {"name": "python"})


class TestWriting:
    def test_a_second_release_writes_nothing(self, small, tmp_path):
        first = release(small, tmp_path / "labs", tmp_path / "source")
        assert [path.relative_to(tmp_path).parts[0] for path in first.changed] == ["labs", "source"]
        assert release(small, tmp_path / "labs", tmp_path / "source").changed == ()

    def test_data_files_travel_with_both_notebooks_and_leave_when_the_lab_drops_them(self, tmp_path):
        folder = shutil.copytree(FIXTURE_LABS / "two_small_steps", tmp_path / "with_data")
        (folder / "data" / "deep").mkdir(parents=True)
        (folder / "data" / "deep" / "numbers.csv").write_bytes(b"1,2\r\n")
        release(load_lab(folder), tmp_path / "labs", tmp_path / "source")
        copies = [tmp_path / top / "with_data" / "data" / "deep" / "numbers.csv" for top in ("labs", "source")]
        assert [copy.read_bytes() for copy in copies] == [b"1,2\r\n"] * 2
        shutil.rmtree(folder / "data")
        assert differences(load_lab(folder), tmp_path / "labs") == (copies[0],)
        release(load_lab(folder), tmp_path / "labs", tmp_path / "source")
        assert not any(copy.exists() for copy in copies)

    def test_nothing_but_notebook_and_data_reaches_nbgrader_s_source_folder(self, course):
        """nbgrader copies whatever lies there to students and into the kernel's folder."""
        found = [path.name for path in (course.root / "_build").rglob("*") if path.is_file()]
        assert found == ["two_small_steps.ipynb"]

    def test_a_write_that_fails_leaves_the_old_file_and_no_other(self, tmp_path, monkeypatch):
        path = tmp_path / "lab.ipynb"
        path.write_bytes(b"old")

        def full_disk(*_):
            raise OSError("No space left on device")

        monkeypatch.setattr(os, "replace", full_disk)
        with pytest.raises(OSError, match="No space"):
            write_atomically(path, b"new")
        assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"old", [path])

    def test_a_solution_whose_removal_leaves_no_python_is_refused(self, tmp_path):
        folder = tmp_path / "half_a_statement"
        folder.mkdir()
        (folder / "lab.py").write_text(
            '# %% solution="loss"\nloss = (\n### BEGIN SOLUTION\n1\n### END SOLUTION\n)\n'
            '# %% tests="loss" points=1\nassert loss == 1\n'
        )
        with pytest.raises(AutograderError, match=r"lab\.py:1: found that 'loss' is no Python once"):
            student_notebook(load_lab(folder))


def _strings(value):
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in _strings(part)]
    if isinstance(value, list):
        return [text for part in value for text in _strings(part)]
    return [value] if isinstance(value, str) else []


def _hidden_lines(folder):
    """Lines of `lab.py` that no student may see, found without the parser: inside of markers, or a model answer."""
    hidden, shown, secret, manual = set(), set(), False, False
    for line in (folder / "lab.py").read_text(encoding="utf-8").split("\n"):
        line = line.strip()
        if line.startswith("# %%"):
            manual = " manual=" in line
        elif line in ("### BEGIN SOLUTION", "### BEGIN HIDDEN TESTS"):
            secret = True
        elif line in ("### END SOLUTION", "### END HIDDEN TESTS"):
            secret = False
        else:
            (hidden if secret or manual else shown).add(line.removeprefix("#").strip() if manual else line)
    shown = "\n".join(shown)
    return {line for line in hidden if line not in shown}


class TestSecrets:
    @every_lab
    def test_no_line_of_a_solution_hidden_test_or_model_answer_is_in_the_student_s_notebook(self, folder):
        hidden = _hidden_lines(folder)
        text = "\n".join(_strings(student_notebook(load_lab(folder))))
        lines = {line.strip() for line in text.split("\n")}
        assert len(hidden) > 5
        assert hidden & lines == set()
        assert [line for line in hidden if len(line) > 20 and line in text] == []
        assert re.search(r"BEGIN|HIDDEN|\breference\b\s*[.=]", text) is None

    @every_lab
    def test_the_instructor_s_notebook_has_them_all(self, folder):
        lines = {line.strip() for line in "\n".join(_strings(source_notebook(load_lab(folder)))).split("\n")}
        assert _hidden_lines(folder) <= lines

    @every_lab
    def test_no_file_of_a_lab_but_its_notebook_and_data_is_given_out(self, folder, tmp_path):
        lab = load_lab(folder)
        release(lab, tmp_path / "labs", tmp_path / "source")
        given = {path.relative_to(tmp_path / "labs" / lab.name) for path in (tmp_path / "labs").rglob("*.*")}
        assert {path.as_posix() for path in given if path.parts[0] != "data"} == {f"{lab.name}.ipynb"}


def _run(notebook, folder):
    return NotebookClient(notebook, timeout=None, allow_errors=True, resources={"metadata": {"path": folder}}).execute()


def _validated(notebook, folder):
    """What nbgrader's validate button finds: {} or the failed cells."""
    path = folder / "lab.ipynb"
    nbformat.write(notebook, path)
    patient = Config(ExecutePreprocessor={"timeout": 600})  # a busy machine is no fault of the notebook's
    return Validator(config=patient).validate(str(path))


def _errors(notebook):
    """Grade id (or cell id) and name of each error in an executed notebook, and whatever is on stderr."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            name = cell.metadata.get("nbgrader", {}).get("grade_id", cell.id)
            if output.output_type == "error":
                yield name, output.ename
            elif output.get("name") == "stderr":
                yield name, f"stderr: {output.text}"


class TestRunning:
    @every_lab
    def test_as_released_only_tests_and_explorations_fail_and_say_what_is_not_written_yet(self, folder, tmp_path):
        lab = load_lab(folder)
        errors = dict(_errors(_run(student_notebook(lab), tmp_path)))
        graded = {name: error for name, error in errors.items() if name in {cell.grade_id for cell in lab.cells}}
        assert graded == {cell.grade_id: "NotImplementedError" for cell in lab.tests()}
        # an exploration may also miss what an earlier one could not make
        assert {error for name, error in errors.items() if name not in graded} <= {"NotImplementedError", "NameError"}

    @every_lab
    def test_with_the_solutions_the_validate_button_finds_nothing_to_mend(self, folder, tmp_path):
        """Explorations, which take longest, and hidden tests are run in test_release_bare."""
        notebook = solved_notebook(load_lab(folder))
        notebook.cells = [cell for cell in notebook.cells if cell.cell_type != "code" or "nbgrader" in cell.metadata]
        assert _validated(notebook, tmp_path) == {}

    def test_the_validate_button_shows_a_student_the_hint(self, small, tmp_path):
        mistake = small.mistakes[0]
        notebook = filled(solved_notebook(small), {"loss": mistake.source})
        (loss, _, step) = _validated(notebook, tmp_path)["failed"]
        assert "divide by n: the mean, not the sum" in loss["raw_error"]
        assert "subtract rate" in step["raw_error"]

    def test_the_validate_button_tells_of_stubs(self, small, tmp_path):
        failed = _validated(student_notebook(small), tmp_path)["failed"]
        last_lines = [strip_ansi(cell["raw_error"].strip().split("\n")[-1]) for cell in failed]
        tests = ["NotImplementedError: not written yet"] * len(small.tests())
        assert last_lines == [*tests, "You did not provide a response."]

    def test_a_right_answer_that_warns_keeps_its_points_in_plain_nbgrader(self, small, tmp_path):
        noisy = """import logging, os, sys, warnings
logging.basicConfig()
def loss(x):
    warnings.warn("sure?")
    logging.warning("logged")
    print("careful", file=sys.stderr)
    os.write(2, b"from C code")
    return (x * x).mean()"""
        notebook = filled(solved_notebook(small), {"loss": noisy})
        assert _validated(notebook, tmp_path) == {}

    def test_the_validate_button_notices_an_edited_test(self, small, tmp_path):
        notebook = filled(solved_notebook(small), {"test_loss": "pass"})
        assert _validated(notebook, tmp_path) == {"changed": [{"source": "pass"}]}


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # nbgrader's own queries
class TestNbgrader:
    def test_autogrades_a_registered_lab_with_its_hidden_tests(self, course):
        course.register()
        course.hand_in("ada", {"step": course.lab.mistakes[2].source})
        # passes what the student sees and nothing else
        course.hand_in("eve", {"loss": "def loss(x):\n    return x.new_tensor(14 / 3)"})
        course.nbgrader("autograde", course.lab.name)
        with Gradebook(course.gradebook_url, COURSE) as gradebook:
            found = {}
            for submission in gradebook.assignment_submissions(course.lab.name):
                (notebook,) = submission.notebooks
                found[submission.student.id] = {grade.name: grade.auto_score for grade in notebook.grades}
                assert submission.needs_manual_grade and submission.max_score == course.lab.points
        full = {"test_loss": 2, "test_loss__dtype": 1, "test_step": 2, "in_words": None}
        assert found == {"ada": {**full, "test_step": 0}, "eve": {**full, "test_loss": 0, "test_step": 0}}
        assert (course.classroom / "graded" / "ada" / course.lab.name / f"{course.lab.name}.ipynb").is_file()

    def test_formgrader_lists_the_lab_its_files_and_its_hand_ins(self, course, monkeypatch):
        course.register()
        course.hand_in("ada")
        (assignment,) = course.api(monkeypatch).get_assignments()
        assert assignment["source_path"] == f"_build/nbgrader/source/{course.lab.name}"
        assert assignment["release_path"] == f"labs/{course.lab.name}"
        assert (assignment["name"], assignment["max_score"], assignment["num_submissions"]) == (course.lab.name, 8, 1)

    def test_registering_again_takes_changed_points(self, course, tmp_path):
        course.register()
        folder = shutil.copytree(course.lab.folder, tmp_path / course.lab.name)
        text = (folder / "lab.py").read_text(encoding="utf-8")
        (folder / "lab.py").write_text(text.replace('"step" points=2', '"step" points=4'), encoding="utf-8")
        register(load_lab(folder), course.gradebook_url)
        with Gradebook(course.gradebook_url, COURSE) as gradebook:
            assert gradebook.find_assignment(course.lab.name).max_score == 10

    def test_cells_that_went_are_refused_once_there_are_hand_ins_and_no_grade_is_lost(self, course, tmp_path):
        course.register()
        with Gradebook(course.gradebook_url, COURSE) as gradebook:
            gradebook.add_student("ada")
            gradebook.add_submission(course.lab.name, "ada")
        folder = shutil.copytree(course.lab.folder, tmp_path / course.lab.name)
        text = (folder / "lab.py").read_text(encoding="utf-8")
        (folder / "lab.py").write_text(text.replace('tests="loss:dtype"', 'tests="loss:kind"'), encoding="utf-8")
        (folder / "mistakes.py").unlink()
        with pytest.raises(AutograderError, match=r"found hand-ins of 'two_small.*\n.*Next: keep the cells' names"):
            register(load_lab(folder), course.gradebook_url)
        with Gradebook(course.gradebook_url, COURSE) as gradebook:
            assert len(gradebook.find_submission(course.lab.name, "ada").notebooks[0].grades) == 4


class TestCommandLine:
    @pytest.fixture
    def autograder(self, tmp_path, monkeypatch, capsys):
        """Runs `autograder` on the fixture labs: exit code, stdout, stderr."""
        monkeypatch.setattr(paths, "SOLUTIONS", FIXTURE_LABS)
        monkeypatch.setattr(paths, "LABS", tmp_path / "labs")
        monkeypatch.setattr(paths, "NBGRADER_SOURCE", tmp_path / "source")

        def run(*arguments):
            monkeypatch.setattr(sys, "argv", ["autograder", *arguments])
            with pytest.raises(SystemExit) as ended:
                cli.main()
            shown = capsys.readouterr()
            return ended.value.code, shown.out, shown.err

        return run

    def test_release_says_what_was_written_and_then_that_nothing_changed(self, autograder, tmp_path):
        notebook = tmp_path / "labs" / "two_small_steps" / "two_small_steps.ipynb"
        code, out, err = autograder("release", "two_small_steps")
        assert (code, err) == (0, "") and f"wrote {notebook}\n" in out
        assert autograder("release", "two_small_steps") == (0, "two_small_steps: nothing changed\n", "")

    def test_release_without_names_takes_all_labs(self, autograder, tmp_path):
        autograder("release")
        assert [path.name for path in (tmp_path / "labs").iterdir()] == list(lab_names(FIXTURE_LABS))

    def test_check_exits_1_for_a_lab_that_is_not_what_its_source_gives_and_writes_nothing(self, autograder, tmp_path):
        autograder("release")
        assert autograder("release", "--check")[0] == 0
        notebook = tmp_path / "labs" / "two_small_steps" / "two_small_steps.ipynb"
        notebook.write_text("edited")
        code, out, _ = autograder("release", "--check")
        assert code == 1 and str(notebook) in out and "run `autograder release two_small_steps`" in out
        assert notebook.read_text() == "edited"

    def test_an_unknown_lab_is_an_error_on_stderr_that_lists_the_labs(self, autograder):
        code, out, err = autograder("release", "nowhere")
        assert (code, out) == (2, "")
        assert "found no lab 'nowhere'" in err and "two_small_steps" in err and "Traceback" not in err

    def test_a_faulty_lab_is_an_error_on_stderr_with_its_line(self, autograder, tmp_path, monkeypatch):
        (tmp_path / "faulty").mkdir()
        (tmp_path / "faulty" / "lab.py").write_text("# %%\nx = 1\n")
        monkeypatch.setattr(paths, "SOLUTIONS", tmp_path)
        code, out, err = autograder("release")
        assert (code, out) == (2, "") and f"{tmp_path / 'faulty' / 'lab.py'}:1: found" in err

    def test_an_unknown_option_exits_2(self, autograder):
        code, _, err = autograder("release", "--chekc")
        assert code == 2 and "--chekc" in err

    def test_version_is_the_package_s(self, autograder):
        text = (REPOSITORY / "pyproject.toml").read_text()
        assert autograder("--version") == (0, f"autograder {re.search(r'^version = .(.*).$', text, re.M)[1]}\n", "")

    def test_no_color_is_honoured(self, tmp_path):
        command = [sys.executable, "-c", "from autograder.cli import main; main()", "release", "--help"]
        coloured = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm-256color"}
        colour = re.compile(r"\x1b\[[0-9;]*3[0-7][;m]")
        assert colour.search(subprocess.run(command, env=coloured, capture_output=True, text=True).stdout)
        plain = {**coloured, "NO_COLOR": "1"}
        assert not colour.search(subprocess.run(command, env=plain, capture_output=True, text=True).stdout)
