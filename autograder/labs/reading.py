"""Reads the cells of `lab.py`, `mistakes.py`, `alternatives.py` and `equivalents.py`: percent format, by jupytext."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import jupytext

from autograder.labs.model import Cell, LabError, Variant, without_solution_markers

# header keys of each kind of cell: the first one names the cell
KINDS = {
    "setup": ("setup",),
    "solution": ("solution",),
    "tests": ("tests", "points"),
    "explore": ("explore",),
    "manual": ("manual", "points"),
    "mistake": ("mistake", "exercise", "fails", "hint"),
    "alternative": ("alternative", "exercise"),
    "equivalent": ("equivalent", "exercise", "at"),
}
WANTED_IN = {
    "lab.py": ("setup", "solution", "tests", "explore", "manual"),
    "mistakes.py": ("mistake",),
    "alternatives.py": ("alternative",),
    "equivalents.py": ("equivalent",),
}
HEADER = re.compile(r"^#\s*%%")
# ours in the notebook; and no comment of the source is taken for a magic of IPython
PERCENT = {"extension": ".py", "format_name": "percent", "comment_magics": False}


class RawCell(NamedTuple):
    """A cell as read: where it stands, its kind, its header's keys and its source."""

    file: Path
    line: int
    first_line: int
    kind: str
    header: dict[str, Any]
    source: str


def read_cells(file: Path) -> Iterator[RawCell]:
    """The cells of a percent file; none where the file does not exist."""
    if not file.exists():
        return
    lines = file.read_text(encoding="utf-8").split("\n")
    starts = [number for number, line in enumerate(lines) if HEADER.match(line)]
    _check_preamble(file, lines[: starts[0] if starts else len(lines)])
    for start, stop in pairwise([*starts, len(lines)]):
        body = start + 1
        while body < stop and not lines[body].strip():
            body += 1
        yield _raw(file, start + 1, body + 1, [lines[start], *lines[body:stop]])


def _check_preamble(file: Path, lines: list[str]) -> None:
    """Above the first header only comments and a docstring may stand: they are for authors and not released."""
    try:
        statements = ast.parse("\n".join(lines)).body
    except SyntaxError as error:
        raise LabError(
            file, error.lineno or 1, f"a syntax error ({error.msg})", "comments or a docstring", "mend it"
        ) from None
    if statements[1:] or (statements and ast.get_docstring(ast.Module(statements, [])) is None):
        raise LabError(
            file,
            statements[-1].lineno,
            "code above the first cell",
            "every line of code in a cell with a kind",
            'put a header above it, e.g. # %% setup="imports"',
        )


def _raw(file: Path, line: int, first_line: int, text: list[str]) -> RawCell:
    kinds = WANTED_IN[file.name]
    wanted = "a header such as " + " or ".join(_example(kind) for kind in kinds)
    cells = jupytext.reads("\n".join(text), fmt=PERCENT).cells
    if len(cells) != 1:
        raise LabError(file, line, f"{len(cells)} cells below one header", "one", "give each its own `# %%` header")
    (cell,) = cells
    header = {key: value for key, value in cell.metadata.items() if key != "lines_to_next_cell"}
    if "incorrectly_encoded_metadata" in header:
        found = header["incorrectly_encoded_metadata"]
        if re.search(r"\bpoints=", found):
            raise LabError(
                file, line, f"{found!r} in the header", "points as a plain number", "write e.g. points=2 without quotes"
            )
        raise LabError(file, line, f"{found!r} in the header", wanted, "write values in double quotes")
    markdown = cell.cell_type == "markdown"
    if header.get("title") == "explore" and not markdown:  # the one kind that may stand without a name
        del header["title"]
        header.setdefault("explore", "")
    kind = next((kind for kind in kinds if kind in header), "")
    if markdown and not header and file.name == "lab.py":
        kind = "prose"
    elif not kind or cell.cell_type == "raw":
        raise LabError(file, line, f"the header {text[0]!r} without a known kind", wanted, "say what the cell is")
    if unknown := sorted(set(header) - set(KINDS.get(kind, ()))):
        found = f"the header key{'s' * (len(unknown) > 1)} {', '.join(map(repr, unknown))}"
        allowed = f"{_example(kind)} and no other key"
        raise LabError(file, line, found, allowed, "mend the spelling or take it out")
    if kind != "prose" and markdown != (kind == "manual"):
        found = f"a {kind} cell of {'markdown' if markdown else 'code'}"
        raise LabError(file, line, found, _example(kind), "add or take out [markdown]")
    return RawCell(file, line, first_line, kind, header, cell.source)


def _example(kind: str) -> str:
    values = {"points": "2", "exercise": '"loss"', "fails": '"loss"', "hint": '"mean"', "at": "3"}
    keys = " ".join(f"{key}={values.get(key, chr(34) + 'name' + chr(34))}" for key in KINDS[kind])
    return f"`# %% {'[markdown] ' * (kind == 'manual')}{keys}`"


def to_cell(raw: RawCell) -> Cell:
    name = raw.header.get(raw.kind, "")
    parts = str(name).split(":") if raw.kind == "tests" else [name]
    if raw.kind != "prose" and not (raw.kind == "explore" and name == "") and (len(parts) > 2 or not _names(parts)):
        raise LabError(
            raw.file,
            raw.line,
            f"the name {name!r}",
            "a Python identifier" + (' or "exercise:part" of two' if raw.kind == "tests" else ""),
            "take letters, digits and underscores",
        )
    points = raw.header.get("points", 0)
    if "points" in KINDS.get(raw.kind, ()):
        found = f"points={raw.header['points']!r}" if "points" in raw.header else f"a {raw.kind} cell without points"
        number = isinstance(points, int | float) and not isinstance(points, bool)
        if "points" not in raw.header or not number or not 0 < points < float("inf"):
            raise LabError(raw.file, raw.line, found, "a number above 0", "write e.g. points=2 without quotes")
    return Cell(raw.kind, str(name), raw.source, points, raw.line, raw.first_line)


def to_variant(raw: RawCell) -> Variant:
    at = raw.header.get("at", 0)
    if type(at) is not int or at < 0:
        raise LabError(raw.file, raw.line, f"at={at!r}", "a line of the solution cell, from 1", "write e.g. at=3")
    for key in KINDS[raw.kind]:
        if key != "at" and not str(raw.header.get(key, "")).strip():
            found = f"a {raw.kind} without {key!r}"
            raise LabError(raw.file, raw.line, found, _example(raw.kind), f'add {key}="…" to the header')
    values = {key: str(raw.header.get(key, "")) for key in ("exercise", "fails", "hint")}
    source = without_solution_markers(raw.source)
    return Variant(raw.kind, str(raw.header[raw.kind]), **values, source=source, line=raw.line, at=at)


def _names(parts: list[Any]) -> bool:
    return all(isinstance(part, str) and part.isidentifier() and part.isascii() for part in parts)
