"""Release: `solutions/<lab>/` becomes a notebook for students and one, with solutions and hidden tests, for nbgrader.

nbgrader's own preprocessors do the clearing and locking, so that nbgrader, its validate button and formgrader see
ordinary notebooks. The same source gives the same bytes, always.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from nbgrader.api import Gradebook
from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearHiddenTests,
    ClearOutput,
    ClearSolutions,
    ComputeChecksums,
    LockCells,
    SaveCells,
)

from autograder import paths
from autograder.database import make
from autograder.errors import AutograderError
from autograder.files import write_atomically
from autograder.labs import Cell, Lab

COURSE = "unmagic"  # nbgrader's course id
CODE_STUB = '# Your turn: write your code here instead of the next line.\nraise NotImplementedError("not written yet")'
TEXT_STUB = "*Write your answer here, instead of this line.*"

# What nbgrader itself does to release a notebook, in two parts: the gradebook is told of it between them.
_LOCK_AND_CLEAR = (LockCells, ClearSolutions, ClearOutput, CheckCellMetadata, ComputeChecksums)
_HIDE = (ClearHiddenTests, ComputeChecksums, CheckCellMetadata)


@dataclass(frozen=True)
class Released:
    """What a release wrote: the files that changed, and the student's notebook whether it changed or not."""

    notebook: Path
    changed: tuple[Path, ...]


def source_notebook(lab: Lab) -> NotebookNode:
    """The instructor's notebook: solutions and hidden tests in, each hidden block with its `reference`."""
    cells = [_notebook_cell(lab, cell, cell_id) for cell, cell_id in zip(lab.cells, lab.cell_ids, strict=True)]
    kernelspec = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    notebook = new_notebook(cells=cells, metadata={"kernelspec": kernelspec, "language_info": {"name": "python"}})
    nbformat.validate(notebook)
    return notebook


def student_notebook(lab: Lab) -> NotebookNode:
    """The student's notebook: stubs for solutions, no hidden tests, cells locked, no output."""
    notebook = _preprocessed(_preprocessed(source_notebook(lab), _LOCK_AND_CLEAR), _HIDE)
    for cell in lab.cells:
        if cell.kind == "solution":
            _check_stub(lab, cell, filled_cell(notebook, cell.grade_id).source)
    return notebook


def filled(notebook: NotebookNode, answers: Mapping[str, str]) -> NotebookNode:
    """A copy of a notebook in which the cells with these grade ids hold these sources."""
    notebook = nbformat.from_dict(notebook)
    for grade_id, source in answers.items():
        filled_cell(notebook, grade_id).source = source
    return notebook


def filled_cell(notebook: NotebookNode, grade_id: str) -> NotebookNode:
    """The cell of a notebook with that grade id. KeyError if there is none."""
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == grade_id:
            return cell
    raise KeyError(f"the notebook has no cell {grade_id!r}")


def solved_notebook(lab: Lab) -> NotebookNode:
    """What a perfect student hands in: the student's notebook with every solution put in."""
    answers = {cell.grade_id: cell.solution for cell in lab.cells if cell.kind in ("solution", "manual")}
    return filled(student_notebook(lab), answers)


def release(lab: Lab, labs: Path | None = None, source: Path | None = None) -> Released:
    """Writes a lab's two notebooks, with its data files, into `labs`/<lab> and `source`/<lab> (the repository's)."""
    labs, source = labs or paths.LABS, source or paths.NBGRADER_SOURCE
    changed = [*_write(released_files(lab), labs / lab.name), *_write(_source_files(lab), source / lab.name)]
    return Released(labs / lab.name / f"{lab.name}.ipynb", tuple(changed))


def differences(lab: Lab, labs: Path | None = None) -> tuple[Path, ...]:
    """The files in `labs`/<lab> that are not what a release would write: other, missing, or not the lab's any more."""
    folder = (labs or paths.LABS) / lab.name
    files = released_files(lab)
    other = [folder / name for name, data in files.items() if not _holds(folder / name, data)]
    return tuple(sorted([*other, *_stale(files, folder)]))


def released_files(lab: Lab) -> dict[str, bytes]:
    """What students get: file names relative to the lab's folder, and bytes."""
    return {f"{lab.name}.ipynb": _bytes(student_notebook(lab)), **_data(lab)}


def register(lab: Lab, gradebook_url: str) -> None:
    """Makes the lab known to an nbgrader gradebook, which is made where there is none: `nbgrader autograde` needs it.

    gradebook_url  as SQLAlchemy writes it, e.g. "sqlite:////home/me/class/gradebook.db"
    Raises AutograderError when the gradebook holds hand-ins of the lab with other cells than it has now.
    """
    notebook = _preprocessed(source_notebook(lab), _LOCK_AND_CLEAR)
    names = {"notebook": lab.name, "assignment": lab.name, "db_url": gradebook_url}
    make(gradebook_url)
    with Gradebook(gradebook_url, COURSE) as gradebook:
        gradebook.update_or_create_assignment(lab.name, course_id=COURSE)
    try:
        SaveCells().preprocess(notebook, {"nbgrader": names})
    except RuntimeError as error:
        raise AutograderError(
            f"found hand-ins of {lab.name!r} in {gradebook_url} that were graded with other cells than the lab "
            "has now; wanted the same cells, since their grades stand under those names.\n"
            f"  Next: keep the cells' names, or start a new class folder. (nbgrader: {error})"
        ) from error


def _notebook_cell(lab: Lab, cell: Cell, cell_id: str) -> NotebookNode:
    markdown = cell.kind in ("prose", "manual")
    metadata = {} if cell.kind in ("prose", "explore") else {"nbgrader": _nbgrader_metadata(cell)}
    new_cell = new_markdown_cell if markdown else new_code_cell
    return new_cell(lab.source_with_reference(cell), id=cell_id, metadata=metadata)


def _nbgrader_metadata(cell: Cell) -> dict[str, object]:
    metadata = {
        "grade": cell.kind in ("tests", "manual"),
        "grade_id": cell.grade_id,
        "locked": cell.kind in ("setup", "tests"),
        "schema_version": 3,
        "solution": cell.kind in ("solution", "manual"),
        "task": False,
    }
    return {**metadata, "points": cell.points} if metadata["grade"] else metadata


def _preprocessed(notebook: NotebookNode, preprocessors: tuple[type, ...]) -> NotebookNode:
    notebook = nbformat.from_dict(notebook)  # a deep copy
    for preprocessor in preprocessors:
        stubs = {"code_stub": {"python": CODE_STUB}, "text_stub": TEXT_STUB} if preprocessor is ClearSolutions else {}
        notebook, _ = preprocessor(**stubs).preprocess(notebook, {})
    return notebook


def _check_stub(lab: Lab, cell: Cell, stub: str) -> None:
    try:
        compile(stub, "<stub>", "exec", dont_inherit=True)
    except SyntaxError as error:
        raise AutograderError(
            f"{lab.folder / 'lab.py'}:{cell.line}: found that {cell.name!r} is no Python once its solution is taken "
            f"out ({error}); wanted a stub that runs.\n  Next: put the markers around whole statements."
        ) from error


def _bytes(notebook: NotebookNode) -> bytes:
    return (nbformat.writes(notebook, version=4) + "\n").encode()  # keys sorted, indent 1


def _data(lab: Lab) -> dict[str, bytes]:
    return {path.relative_to(lab.folder).as_posix(): path.read_bytes() for path in lab.data_files}


def _source_files(lab: Lab) -> dict[str, bytes]:
    return {f"{lab.name}.ipynb": _bytes(source_notebook(lab)), **_data(lab)}


def _write(files: Mapping[str, bytes], folder: Path) -> Iterator[Path]:
    for name, data in files.items():
        if write_atomically(folder / name, data):
            yield folder / name
    for path in _stale(files, folder):
        path.unlink()
        yield path


def _stale(files: Mapping[str, bytes], folder: Path) -> list[Path]:
    """Files of an earlier release: these folders hold nothing but what release writes. Jupyter's own are let be."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    visible = (path for path in found if not any(part.startswith(".") for part in path.parts))
    return sorted(folder / path for path in visible if path.as_posix() not in files)


def _holds(path: Path, data: bytes) -> bool:
    return path.is_file() and path.read_bytes() == data
