"""A lab's source: `lab.py`, `mistakes.py`, `alternatives.py` and `equivalents.py`, read and checked.

`load_lab` accepts only what release, audit and grading can use; what it cannot accept is a `LabError` with file, line,
what was found, what was wanted and what to do. DESIGN.md describes the format ("Contracts between the parts").
"""

from pathlib import Path

from autograder import paths
from autograder.errors import AutograderError
from autograder.labs.checking import Checker
from autograder.labs.model import Cell, Lab, LabError, Variant
from autograder.labs.reading import read_cells, to_cell, to_variant

__all__ = ["Cell", "Lab", "LabError", "UnknownLabError", "Variant", "lab_names", "load_lab"]


class UnknownLabError(AutograderError, FileNotFoundError):
    """There is no such lab; the message lists those that exist."""


def lab_names(folder: Path | None = None) -> tuple[str, ...]:
    """The names of the labs in `folder` (the repository's `solutions/` when not given)."""
    return tuple(sorted(path.parent.name for path in (folder or paths.SOLUTIONS).glob("*/lab.py")))


def load_lab(name_or_path: str | Path) -> Lab:
    """Reads and checks a lab: a name in `solutions/`, its folder, or its `lab.py`.

    UnknownLabError names the labs that exist; LabError says what is wrong in a lab's source.
    """
    path = paths.SOLUTIONS / name_or_path
    if not (path / "lab.py").is_file():
        path = Path(name_or_path)
    folder = path.parent if path.name == "lab.py" else path
    if not (folder / "lab.py").is_file():
        known = ", ".join(lab_names()) or "none yet"
        raise UnknownLabError(
            f"found no lab {str(name_or_path)!r}; wanted a name or a folder with a lab.py.\n"
            f"  Next: take one of: {known}."
        )
    folder = folder.resolve()
    lab = Lab(
        name=folder.name,
        folder=folder,
        cells=tuple(to_cell(raw) for raw in read_cells(folder / "lab.py")),
        mistakes=tuple(to_variant(raw) for raw in read_cells(folder / "mistakes.py")),
        alternatives=tuple(to_variant(raw) for raw in read_cells(folder / "alternatives.py")),
        equivalents=tuple(to_variant(raw) for raw in read_cells(folder / "equivalents.py")),
    )
    Checker(lab).check()
    return lab
