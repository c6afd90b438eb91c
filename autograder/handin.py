"""Reads what a student handed in, whatever it is, and says in a sentence why when it cannot be graded.

Nothing of a hand-in is believed: a cell is its id, its type, its text and (for the student's own eyes) its outputs.
Names, tags, points and all other metadata come from the lab.
"""

import hashlib
import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from autograder import sanitise

MAX_FILE_BYTES = 256 * 2**20  # a notebook with 50 MB of outputs is read; what is larger still is not a notebook
MAX_SOURCE_BYTES = 2 * 2**20  # text of all cells together; the longest lab has 0.1 MB
MAX_CELLS = 2000
MAX_OUTPUT_BYTES = 2**20  # outputs of one cell that are kept to be shown


class HandinError(ValueError):
    """A hand-in that cannot be read. `code` is a word for programs, the message a sentence for a person."""

    def __init__(self, code: str, text: str):
        super().__init__(text)
        self.code, self.text = code, text


@dataclass(frozen=True)
class Note:
    """Something about a hand-in that its student should know; it costs nothing by itself.

    Attributes:
        code: a word for programs, e.g. "tests_restored".
        grade_id: the cell it is about, or "".
        text: a sentence.
    """

    code: str
    grade_id: str
    text: str


@dataclass
class HandinCell:
    """A cell as it was handed in.

    Attributes:
        kind: "code", "markdown" or "raw".
        grade_id, cell_id: what nbgrader and Jupyter call the cell; "" where that was lost.
        points: what the hand-in claims the cell is worth, to be able to say that it was edited; never used.
        outputs: text and PNG only, as nbformat 4 outputs; at most MAX_OUTPUT_BYTES of them.
    """

    kind: str
    source: str
    grade_id: str = ""
    cell_id: str = ""
    points: object = None
    outputs: list[dict] = field(default_factory=list)


@dataclass
class Handin:
    """A hand-in that could be read.

    Attributes:
        path: the notebook that counts.
        sha256: of its bytes.
        lab: the lab that the notebook's metadata names, or "".
    """

    path: Path
    sha256: str
    lab: str
    cells: list[HandinCell]
    notes: list[Note]


def notebook_paths(folder: Path, lab: str) -> list[Path]:
    """The notebooks in a hand-in's folder, the one with the lab's name first.

    Raises:
        HandinError: the folder is a link or not a folder ("symlink", "not_a_folder"), or holds no notebook
            ("no_notebook").
    """
    if folder.is_symlink():
        raise HandinError(
            "symlink",
            f"“{folder.name}” is a symbolic link. It was not followed; hand in the folder itself.",
        )
    if not folder.is_dir():
        raise HandinError(
            "not_a_folder",
            f"Found a file where a folder with {lab}.ipynb in it was wanted. Put the notebook in a folder.",
        )
    found = sorted(
        (p for p in folder.iterdir() if p.name.lower().endswith(".ipynb")),
        key=lambda p: (p.name != f"{lab}.ipynb", p.name),
    )
    if not found:
        others = sorted(p.name for p in folder.iterdir() if p.name != "timestamp.txt" and not p.name.startswith("."))
        what = f"Found only {', '.join(others[:5])}" if others else "The folder is empty"
        raise HandinError("no_notebook", f"{what}; {lab}.ipynb was wanted. Hand in the notebook itself.")
    return found


def fingerprint(folder: Path, lab: str) -> str:
    """A SHA-256 that changes when anything changes that decides how this folder is graded.

    Files are not read whole into memory; what cannot be read has a fingerprint as well.
    """
    digest = hashlib.sha256()
    try:
        paths = notebook_paths(folder, lab)
    except HandinError as error:
        return hashlib.sha256(f"{error.code}\n{error.text}".encode()).hexdigest()
    for path in paths:
        digest.update(f"{path.name}\0".encode("utf-8", "surrogateescape"))
        try:
            with _open(path) as file:
                while block := file.read(2**20):
                    digest.update(block)
        except HandinError as error:
            digest.update(error.code.encode())
        digest.update(b"\0")
    return digest.hexdigest()


def read_handin(folder: Path, lab: str, grade_ids: set[str]) -> Handin:
    """The notebook of a hand-in's folder that counts.

    `LAB.ipynb` counts where it exists. Otherwise the one other notebook, or, of several, the only one with cells of
    this lab.

    Args:
        folder: `submitted/NAME/LAB`.
        lab: the lab's name.
        grade_ids: of the cells a student answers in; they say whether a notebook is of this lab.

    Raises:
        HandinError: with one of the codes "symlink", "not_a_folder", "not_a_file", "no_notebook", "two_notebooks",
            "unreadable", "too_large", "empty_file", "truncated", "invalid_json", "wrong_nbformat", "not_a_notebook",
            "another_lab", "no_known_cells".
    """
    paths = notebook_paths(folder, lab)
    if len(paths) == 1 or paths[0].name == f"{lab}.ipynb":
        handin = read_notebook(paths[0])
        if len(paths) > 1:
            others = ", ".join(p.name for p in paths[1:])
            text = f"There are {len(paths)} notebooks in the folder. {paths[0].name} counts; {others} does not."
            handin.notes.append(Note("two_notebooks", "", text))
    else:
        readable = []
        for path in paths:
            try:
                candidate = read_notebook(path)
                require_lab(candidate, lab, grade_ids)
                readable.append(candidate)
            except HandinError:
                continue
        if len(readable) != 1:
            names = ", ".join(p.name for p in paths)
            raise HandinError(
                "two_notebooks",
                f"Found {len(paths)} notebooks ({names}), none of them called {lab}.ipynb, and {len(readable)} of them"
                f" with this lab's cells. Name the one that counts {lab}.ipynb.",
            )
        handin = readable[0]
    if handin.path.name != f"{lab}.ipynb":
        text = f"The notebook is called {handin.path.name}; it was taken for {lab}.ipynb."
        handin.notes.append(Note("renamed", "", text))
    require_lab(handin, lab, grade_ids)
    return handin


def require_lab(handin: Handin, lab: str, grade_ids: set[str]) -> None:
    """Raises HandinError "another_lab" or "no_known_cells" unless the notebook is of this lab."""
    known = {c.grade_id or c.cell_id for c in handin.cells} & grade_ids | {c.cell_id for c in handin.cells} & grade_ids
    foreign = {c.grade_id for c in handin.cells if c.grade_id} - known
    answers_elsewhere = {i for i in foreign if f"test_{i}" in foreign}  # exercises of some other lab
    if handin.lab and handin.lab != lab:
        raise HandinError("another_lab", f"This is the notebook of the lab “{handin.lab}”; “{lab}” was wanted.")
    if len(answers_elsewhere) > len(known):
        example = sorted(answers_elsewhere)[0]
        raise HandinError(
            "another_lab",
            f"This is the notebook of another lab: it has {len(answers_elsewhere)} exercises that “{lab}” does not have"
            f" (one is “{example}”) and {len(known)} of the {len(grade_ids)} that it has. Hand in “{lab}”.",
        )
    if not known:
        raise HandinError(
            "no_known_cells",
            f"None of the {len(grade_ids)} cells to be answered in “{lab}” is in this notebook. Fill in the notebook"
            " that was given out: cells that are copied into a new one cannot be told apart.",
        )


def read_notebook(path: Path) -> Handin:
    """One notebook file as plain cells; everything that is not needed is left behind.

    Raises:
        HandinError: see `read_handin`.
    """
    with _open(path) as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        size = os.stat(path).st_size / 2**20
        raise HandinError(
            "too_large",
            f"The file has {size:.0f} MB; at most {MAX_FILE_BYTES // 2**20} MB are read. Clear the outputs and hand in"
            " again.",
        )
    notebook = _upgraded(_parsed(data))
    cells, dropped = [], 0
    raw_cells = notebook.get("cells")
    if not isinstance(raw_cells, list) or not all(isinstance(c, dict) for c in raw_cells):
        raise HandinError("not_a_notebook", "The file is JSON, but has no list of cells: it is not a Jupyter notebook.")
    if len(raw_cells) > MAX_CELLS:
        raise HandinError("too_large", f"The notebook has {len(raw_cells)} cells; at most {MAX_CELLS} are read.")
    for raw in raw_cells:
        cell, lost = _cell(raw)
        cells.append(cell)
        dropped += lost
    if sum(len(c.source) for c in cells) > MAX_SOURCE_BYTES:
        raise HandinError(
            "too_large", f"The cells hold more than {MAX_SOURCE_BYTES // 2**20} MB of text, not counting outputs."
        )
    notes = []
    if dropped:
        notes.append(Note("outputs_dropped", "", f"Outputs of {dropped / 2**20:.0f} MB were dropped on reading."))
    return Handin(path, hashlib.sha256(data).hexdigest(), _lab_name(notebook), cells, notes)


def _open(path: Path):
    """The file for reading, if it is one: no link is followed and no pipe is waited for."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if path.is_symlink():
            raise HandinError(
                "symlink", f"{path.name} is a symbolic link. It was not followed; hand in the file itself."
            ) from None
        raise HandinError("unreadable", f"{path.name} cannot be read: {error.strerror}.") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise HandinError("not_a_file", f"{path.name} is not a file. Hand in the notebook itself.")
    return os.fdopen(handle, "rb")


def _parsed(data: bytes) -> dict:
    """The bytes as a JSON object, or what is wrong with them."""
    if not data.strip():
        raise HandinError("empty_file", "The file is empty. The upload may have failed: hand in again.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        kind = "a zip archive" if data[:2] == b"PK" else "a PDF" if data[:4] == b"%PDF" else "not text in UTF-8"
        raise HandinError("not_a_notebook", f"The file is {kind}; a Jupyter notebook was wanted.") from None
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        looks_like = text.lstrip()[:1] == "{"
        if not looks_like:
            kind = "a web page" if text.lstrip()[:1] == "<" else "a PDF" if text.startswith("%PDF") else "not JSON"
            raise HandinError("not_a_notebook", f"The file is {kind}; a Jupyter notebook was wanted.") from None
        # a string that never ends is reported where it begins, so the position alone does not tell
        if error.pos >= len(text.rstrip()) - 1 or error.msg.startswith("Unterminated string"):
            raise HandinError(
                "truncated",
                f"The file ends in the middle, after {len(data):,} bytes (line {text.count(chr(10)) + 1}). The upload"
                " was probably cut off: hand in again.",
            ) from None
        if "<<<<<<<" in text:
            raise HandinError(
                "invalid_json",
                "The file holds conflict marks of git (<<<<<<<). Resolve the conflict and hand in again.",
            ) from None
        raise HandinError(
            "invalid_json", f"The file is not valid JSON: line {error.lineno}, column {error.colno}: {error.msg}."
        ) from None
    except (RecursionError, ValueError):
        raise HandinError(
            "invalid_json", "The file is nested too deeply, or holds a number that is too long."
        ) from None
    if not isinstance(value, dict):
        raise HandinError("not_a_notebook", "The file is JSON, but not a Jupyter notebook.")
    return value


def _upgraded(notebook: dict) -> dict:
    """The notebook in format 4, whose cells stand in a list."""
    major = notebook.get("nbformat")
    if major is None and "cells" not in notebook:
        raise HandinError("not_a_notebook", "The file is JSON, but not a Jupyter notebook (it has no “nbformat”).")
    if major == 4:
        return notebook
    if major == 3:
        import nbformat  # only old files need it

        try:
            return nbformat.v4.upgrade(nbformat.from_dict(notebook))
        except Exception:
            pass
    raise HandinError(
        "wrong_nbformat",
        f"The notebook says it is in format {str(major)[:20]!r}; format 4 was wanted. Open it in JupyterLab, save it,"
        " and hand in again.",
    )


def _lab_name(notebook: dict) -> str:
    """The lab that release wrote into the notebook's metadata."""
    metadata = notebook.get("metadata")
    mark = metadata.get("unmagic") if isinstance(metadata, dict) else None
    name = mark.get("lab") if isinstance(mark, dict) else None
    return name if isinstance(name, str) else ""


def _cell(raw: dict) -> tuple[HandinCell, int]:
    """A cell of plain text, and how many bytes of its outputs were left behind."""
    source = raw.get("source", "")
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    metadata = raw.get("metadata")
    nbgrader = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    nbgrader = nbgrader if isinstance(nbgrader, dict) else {}
    kind = raw.get("cell_type")
    outputs, dropped = sanitise.outputs(raw.get("outputs"), MAX_OUTPUT_BYTES)
    cell = HandinCell(
        kind=kind if kind in ("code", "markdown") else "raw",
        source=_clean(source) if isinstance(source, str) else "",
        grade_id=_word(nbgrader.get("grade_id")),
        cell_id=_word(raw.get("id")),
        points=nbgrader.get("points"),
        outputs=outputs,
    )
    return cell, dropped


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""


def _clean(text: str) -> str:
    """Text that can be encoded: JSON can hold half of a surrogate pair."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n")
