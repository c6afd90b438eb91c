"""What a student made, reduced to what cannot come alive in front of an instructor: text, PNG, and harmless HTML.

Nothing here trusts the shape of what it is given: outputs come from a file or a kernel that may hold anything.
"""

import base64
import binascii
import re

import nh3
from markdown_it import MarkdownIt

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# colours and cursor moves (CSI), window titles (OSC), and what else a terminal would obey
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
# control characters but newline and tab, and those that reorder text on screen
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

_BLOCKS = {"p", "br", "hr", "pre", "blockquote", "ul", "ol", "li", "h1", "h2", "h3", "h4", "h5", "h6"}
TAGS = _BLOCKS | {"em", "strong", "code", "a", "s", "table", "thead", "tbody", "tr", "th", "td"}


def text(value: object) -> str:
    """Plain text: no terminal escapes, no control characters but newline and tab. A list of strings is joined."""
    if isinstance(value, list):
        value = "".join(part for part in value if isinstance(part, str))
    if not isinstance(value, str):
        return ""
    value = value.encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n")
    return _CONTROLS.sub("", _ESCAPES.sub("", value).replace("\r", "\n"))


def png(value: object) -> str | None:
    """Base64 of a PNG, or None: an image that is called PNG but is something else does not pass."""
    if isinstance(value, list):
        value = "".join(part for part in value if isinstance(part, str))
    if not isinstance(value, str):
        return None
    try:
        data = base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    return base64.b64encode(data).decode() if data.startswith(PNG_SIGNATURE) else None


def outputs(raw: object, cap: int) -> tuple[list[dict], int]:
    """nbformat outputs reduced to streams, errors, `text/plain` and `image/png`.

    Args:
        raw: what stands where a cell's outputs should be.
        cap: bytes that are kept; what comes after is dropped.

    Returns:
        the outputs, and how many bytes were dropped for being too much (not for being of another kind).
    """
    kept, used, dropped = [], 0, 0
    for output in raw if isinstance(raw, list) else []:
        if not isinstance(output, dict):
            continue
        clean = _output(output)
        if clean is None:
            continue
        size = _size(clean)
        if used + size > cap:
            dropped += size
            continue
        used += size
        kept.append(clean)
    return kept, dropped


def _output(output: dict) -> dict | None:
    kind = output.get("output_type")
    if kind == "stream":
        name = "stderr" if output.get("name") == "stderr" else "stdout"
        return {"output_type": "stream", "name": name, "text": text(output.get("text"))}
    if kind == "error":
        lines = output.get("traceback")
        return {
            "output_type": "error",
            "ename": text(output.get("ename")),
            "evalue": text(output.get("evalue")),
            "traceback": [text(line) for line in lines] if isinstance(lines, list) else [],
        }
    if kind in ("display_data", "execute_result"):
        bundle = output.get("data")
        bundle = bundle if isinstance(bundle, dict) else {}
        data = {}
        if plain := text(bundle.get("text/plain")):
            data["text/plain"] = plain
        if image := png(bundle.get("image/png")):
            data["image/png"] = image
        if not data:
            return None
        clean = {"output_type": kind, "data": data, "metadata": {}}
        return clean | {"execution_count": None} if kind == "execute_result" else clean
    return None


def _size(output: dict) -> int:
    parts = [output.get("text", ""), output.get("evalue", ""), *output.get("traceback", [])]
    return sum(map(len, parts)) + sum(map(len, output.get("data", {}).values()))


def markdown(source: str) -> str:
    """Markdown as HTML without scripts, raw HTML, images, styles, or links to anything but web pages and mail."""
    html = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).render(text(source))
    return nh3.clean(
        html,
        tags=TAGS,
        attributes={"a": {"href"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )


def markdown_cell(source: str) -> str:
    """The same for a notebook's markdown cell, whose text is read as markdown once more by whoever shows it.

    Signs that mean something in markdown become entities, so the second reading finds nothing but the HTML.
    """
    html = markdown(source)
    pieces = re.split(r"(<[^>]*>)", html)
    pieces[::2] = [re.sub(r"[\[\]`*_\\~!|]", lambda m: f"&#{ord(m[0])};", piece) for piece in pieces[::2]]
    return re.sub(r"\n{2,}", "\n", "".join(pieces))


def without_lines(value: str, hidden: frozenset[str]) -> str:
    """Text without the lines that quote a hidden test; each run of them becomes one line that says so.

    Args:
        hidden: stripped source lines, see `hidden_lines`.
    """
    if not hidden:
        return value
    kept, cutting = [], False
    for line in value.split("\n"):
        quotes = any(h in line for h in hidden)
        if not quotes:
            kept.append(line)
        elif not cutting:
            kept.append("[a line of a hidden test is not shown]")
        cutting = quotes
    return "\n".join(kept)


def hidden_lines(sources: list[str]) -> frozenset[str]:
    """The lines inside `### BEGIN HIDDEN TESTS` blocks that would give something away if they were shown."""
    found, inside = set(), False
    for source in sources:
        for line in source.split("\n"):
            stripped = line.strip()
            if "BEGIN HIDDEN TESTS" in stripped:
                inside = True
            elif "END HIDDEN TESTS" in stripped:
                inside = False
            elif inside and len(stripped) >= 12:  # shorter lines (`else:`, `)`) are anybody's
                found.add(stripped)
        inside = False
    return frozenset(found)
