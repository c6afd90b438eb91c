"""otter-grader's local grading of the same tests, in a virtual environment of its own.

python otter.py ZIP NOTEBOOK…      with that environment's Python: one JSON list of [points, possible]

Its tests are functions that get the notebook's names and run the tests cell among them, hidden tests and all; the
hand-ins are those of the others without their tests cells, which otter-grader would run twice.
"""

import contextlib
import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

VERSION = "7.0.0"  # pinned: the newest when this was written, and the last to be compared with is the one we name
_TEST = """from otter.test_files import test_case

OK_FORMAT = False
name = {name!r}
points = {points!r}


@test_case(points={points!r})
def test(env):
    exec(compile({source!r}, {name!r}, "exec", dont_inherit=True), env)
"""


def installed(folder: Path) -> Path:
    """The Python of an environment with otter-grader in it, which also sees our own packages; made where it is not."""
    python = folder / "bin" / "python"
    packages = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    if not (packages / f"otter_grader-{VERSION}.dist-info").is_dir():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        # after its own: torch is there already, and the course
        import autograder

        ours = [sysconfig.get_paths()["purelib"], str(Path(autograder.__file__).parent.parent)]
        (packages / "zz-course.pth").write_text("\n".join(ours) + "\n")
        subprocess.run([python, "-m", "pip", "install", "--quiet", f"otter-grader=={VERSION}"], check=True)
    return python


def tests(notebook: dict, path: Path) -> None:
    """Writes otter-grader's configuration of a lab, from its own notebook, as a zip file."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("otter_config.json", "{}")
        for cell in notebook["cells"]:
            mark = cell["metadata"].get("nbgrader", {})
            if cell["cell_type"] == "code" and mark.get("grade"):
                test = _TEST.format(name=mark["grade_id"], points=float(mark["points"]), source=cell["source"])
                file.writestr(f"tests/{mark['grade_id']}.py", test)


def main(configuration: str, *notebooks: str) -> None:
    from otter.api import grade_submission

    scores = []
    for notebook in notebooks:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            result = grade_submission(notebook, configuration, quiet=True)
        scores.append([result.total, result.possible])
    print(json.dumps(scores))


if __name__ == "__main__":
    sys.path[0:1] = []  # this folder, in which a module is called `otter`
    main(*sys.argv[1:])
