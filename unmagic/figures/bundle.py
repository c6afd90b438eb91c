"""One ES module out of a figure's few: a notebook's widget is one text, which cannot import from beside itself."""

from __future__ import annotations

import re
from pathlib import Path

_IMPORT = re.compile(r'^import \{[\w\s,]+\} from "\./([\w]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let)\b)", re.MULTILINE)


def modules(entry: Path) -> list[Path]:
    """The module `entry` and all it imports, each after what it needs itself."""
    found: list[Path] = []

    def visit(path: Path) -> None:
        for name in _IMPORT.findall(path.read_text(encoding="utf-8")):
            visit(path.parent / name)
        if path not in found:
            found.append(path)

    visit(entry)
    return found


def bundle(entry: Path) -> str:
    """`entry` and all it imports as one module with `entry`'s default export.

    Imports must have the form ``import { a, b } from "./name.js";`` at the start of a line, and no two modules may
    declare the same name at the top (a browser would say: duplicate declaration). What the other modules export becomes
    an ordinary declaration; what `entry` exports is kept. Raises ValueError for another form of import.
    """
    texts = []
    for path in modules(entry):
        text = _IMPORT.sub("", path.read_text(encoding="utf-8"))
        if other := re.search(r"^import .*$", text, re.MULTILINE):
            raise ValueError(
                f'{path.name}: found the import "{other[0]}", wanted the form: import {{ name }} from "./file.js"; '
                "Write it so, or the figure works on a page and not in a notebook."
            )
        texts.append(text if path == entry else _EXPORT.sub("", text))
    return "\n".join(texts)
