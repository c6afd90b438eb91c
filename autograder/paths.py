"""Where things are in a checkout: every folder of the repository is named here, once."""

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent  # the checkout (the package is installed editable)
SOLUTIONS = ROOT / "solutions"
LABS = ROOT / "labs"
BUILD = ROOT / "_build"
NBGRADER_SOURCE = (
    BUILD / "nbgrader" / "source"
)  # notebooks with solutions and hidden tests; nbgrader's source_directory
SAMPLE_CLASS = BUILD / "sample"
BOOK_HTML = BUILD / "book" / "html"
VENDORED = ROOT / "book" / "_vendor"  # browser files, with version and licence


@dataclass(frozen=True)
class Served:
    """The folders that `make course` shows."""

    book: Path
    labs: Path
    work: Path
    classroom: Path
    mathjax: Path


def served(root: Path = ROOT) -> Served:
    """Folders under `root`; the class is the sample class unless the environment's UNMAGIC_CLASS names another."""
    return Served(
        book=root / BOOK_HTML.relative_to(ROOT),
        labs=root / "labs",
        work=root / "work",
        classroom=Path(os.environ.get("UNMAGIC_CLASS") or root / SAMPLE_CLASS.relative_to(ROOT)),
        mathjax=root / VENDORED.relative_to(ROOT) / "mathjax",
    )
