"""Where things are in a checkout: every folder of the repository is named here, once."""

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent  # the checkout (the package is installed editable)
SOLUTIONS = ROOT / "solutions"
LABS = ROOT / "labs"
BUILD = ROOT / "_build"
# nbgrader's source_directory: notebooks with solutions and hidden tests, never for students
NBGRADER_SOURCE = BUILD / "nbgrader" / "source"
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


def served() -> Served:
    """The environment's UNMAGIC_CLASS names another class than the sample one, UNMAGIC_WORK another `work/`."""
    return Served(
        book=BOOK_HTML,
        labs=LABS,
        work=ROOT / os.environ.get("UNMAGIC_WORK", "work"),
        classroom=ROOT / os.environ.get("UNMAGIC_CLASS", SAMPLE_CLASS),
        mathjax=VENDORED / "mathjax",
    )
