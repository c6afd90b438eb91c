"""A small book in a folder of its own, with the course's configuration, extension, styles and builder."""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import nbformat

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "book"))

import build as builder  # noqa: E402

PAGE = "book/descent/halving"


class DemoBook:
    """The book's folder, and how often its chapter was executed."""

    def __init__(self, root: Path):
        self.root = root
        self.log = root / "executions.log"
        shutil.copytree(REPOSITORY / "tests" / "books" / "demo", root, dirs_exist_ok=True)
        for folder in ("_ext", "_static", "_templates", "_vendor"):
            shutil.copytree(
                REPOSITORY / "book" / folder, root / "book" / folder, ignore=shutil.ignore_patterns("__pycache__")
            )
        for name in ("_config.yml", "requirements.lock"):
            shutil.copyfile(REPOSITORY / name, root / name)
        # its own library, which its cells import: what chapters use, without the weight of the rest
        (root / "unmagic").mkdir()
        (root / "unmagic" / "__init__.py").write_text("VERSION = 1\n")
        for name in ("page.py", "style.py"):
            shutil.copyfile(REPOSITORY / "unmagic" / name, root / "unmagic" / name)
        self.write_lab()

    def write_lab(self) -> None:
        def cell(source, **meta):
            return nbformat.v4.new_code_cell(source, metadata={"nbgrader": meta})

        cells = [
            nbformat.v4.new_markdown_cell("# Descent by hand"),
            cell("def step(): ...", solution=True, grade=False),
            cell("assert step", solution=False, grade=True, points=2),
            cell("def path(): ...", solution=True, grade=False),
            cell("assert path", solution=False, grade=True, points=1.5),
        ]
        for number, one in enumerate(cells):
            one["id"] = f"cell{number}"
        path = self.root / "labs" / "descent" / "descent.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)

    @property
    def html(self) -> Path:
        return self.root / "_build" / "book" / "html"

    @property
    def executions(self) -> int:
        return self.log.read_text().count("executed") if self.log.exists() else 0

    def build(self, **options) -> bool:
        """Whether the book was built anew."""
        with self.environment():
            return builder.build(self.root, **options)[1]

    def environment(self):
        """A context in which the book's cells import its own library, and tell that they were executed."""
        return _environment(UNMAGIC_TEST_LOG=str(self.log), PYTHONPATH=str(self.root))

    def page(self, name: str = PAGE) -> Path:
        return self.root / f"{name}.md"

    def change(self, old: str, new: str, name: str = PAGE) -> None:
        text = self.page(name).read_text("utf-8")
        assert old in text, f"{old!r} is not in the demo book's {name}"
        self.page(name).write_text(text.replace(old, new), "utf-8")


@contextmanager
def _environment(**values):
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


def run_notebook(path: Path, folder: Path) -> nbformat.NotebookNode:
    """Executes a notebook as a reader does who put it, alone, into `folder`."""
    shutil.copyfile(path, folder / path.name)
    environment = {k: v for k, v in os.environ.items() if k != "UNMAGIC_BOOK"}
    command = [sys.executable, "-m", "jupyter", "execute", "--inplace", path.name]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return nbformat.read(folder / path.name, as_version=4)
