"""Runs a page's code cells in this process, so that tests can compare what it computes with an oracle of their own."""

from unmagic import page

from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import jupytext

BOOK = Path(__file__).resolve().parent.parent / "book"


def run_page(name: str) -> SimpleNamespace:
    """Execute `book/<name>.md`. Gives `.names`, what its cells define, and `.glued`, the raw values of its numbers.

    Figures are not drawn: the book's build does that. A failing cell fails with the page's name and its first line.
    """
    glued: dict[str, object] = {}

    def glue(key: str, value: object, spec: str = "") -> None:
        assert key not in glued, f"{name}: the number {key!r} is glued twice"
        glued[key] = value.item() if hasattr(value, "item") else value

    names: dict[str, object] = {"__name__": "page"}
    cells = [cell for cell in jupytext.read(BOOK / f"{name}.md").cells if cell.cell_type == "code"]
    with patch.object(page, "glue", glue), patch.object(page, "figure", lambda draw, **_: None):
        for cell in cells:
            exec(compile(cell.source, f"{name}.md: {cell.source.splitlines()[0]}", "exec"), names)
    return SimpleNamespace(names=SimpleNamespace(**names), glued=glued)
