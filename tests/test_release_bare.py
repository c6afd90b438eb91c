"""A released lab runs where the repository is not: the wheel, its dependencies, and Jupyter's kernel are enough."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest

from autograder import paths
from autograder.labs import lab_names, load_lab
from autograder.release import source_notebook

REPOSITORY = Path(__file__).parent.parent
CONSTRAINTS = REPOSITORY / "requirements.lock"

# Run by the bare Python: executes a notebook with all its cells, and prints its errors and what it wrote to stderr.
EXECUTE = """
import json, sys
from importlib.util import find_spec
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=None, allow_errors=True).execute()
outputs = [(cell.id, output) for cell in notebook.cells for output in cell.get("outputs", [])]
errors = [[cell, output.ename, output.evalue] for cell, output in outputs if output.output_type == "error"]
errors += [[cell, "stderr", output.text] for cell, output in outputs if output.get("name") == "stderr"]
executed = sum(cell.get("execution_count") is not None for cell in notebook.cells)
json.dump({"unmagic": find_spec("unmagic").origin, "errors": errors, "executed": executed}, sys.stdout)
"""


def _run(*command, cwd=None):
    """A command as a student's machine would run it: nothing of ours in its environment."""
    environment = {
        name: os.environ[name] for name in os.environ if not name.startswith(("UNMAGIC_", "PYTHON", "JUPYTER"))
    }
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=590)
    assert done.returncode == 0, f"{command[:6]} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy so that nothing is left in the repository."""
    copy = tmp_path_factory.mktemp("sources")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, copy)
    for name in ("unmagic", "autograder"):
        shutil.copytree(REPOSITORY / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", copy / "dist", copy)
    (wheel,) = (copy / "dist").iterdir()
    return wheel


def test_the_wheel_takes_the_trained_weights_along(wheel):
    folder = REPOSITORY / "unmagic" / "trained"
    wanted = {f"unmagic/trained/weights/{path.name}" for path in (folder / "weights").glob("*.safetensors")}
    inside = set(zipfile.ZipFile(wheel).namelist())
    assert wanted and wanted | {"unmagic/trained/accuracies.json"} <= inside


@pytest.fixture(scope="module")
def bare_python(wheel):
    """A virtual environment with the wheel, what it depends on, and a kernel.

    1.4 GB, most of a minute: it is made once for each state of the requirements; the wheel is put in anew every time.
    """
    requirements = CONSTRAINTS.read_bytes() + (REPOSITORY / "pyproject.toml").read_bytes() + sys.version.encode()
    folder = paths.BUILD / "tests" / "bare" / hashlib.sha256(requirements).hexdigest()[:16]
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    if not (folder / "complete").exists():
        shutil.rmtree(folder.parent, ignore_errors=True)
        _run(sys.executable, "-m", "venv", folder)
        _run(*pip, "install", "--no-compile", "--constraint", CONSTRAINTS, wheel, "ipykernel", "nbclient")
        (folder / "complete").touch()
    else:
        _run(*pip, "install", "--no-compile", "--no-deps", "--force-reinstall", wheel)
    _run(*pip, "check")
    return python


@pytest.mark.parametrize("name", lab_names())
def test_a_lab_with_its_solutions_runs_in_an_empty_folder_with_the_wheel_alone(name, bare_python, tmp_path):
    lab = load_lab(name)
    notebook = source_notebook(lab)  # explorations and hidden tests included
    nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    for path in lab.data_files:
        copy = tmp_path / path.relative_to(lab.folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    found = json.loads(_run(bare_python, "-I", "-c", EXECUTE, f"{name}.ipynb", cwd=tmp_path))
    assert Path(found["unmagic"]).is_relative_to(bare_python.parent.parent)
    assert found["errors"] == []
    assert found["executed"] == sum(cell.cell_type == "code" for cell in notebook.cells)
