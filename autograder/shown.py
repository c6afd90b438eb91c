"""What formgrader and nbgrader's feedback show of a hand-in, made harmless as it is shown.

The notebooks that we grade are harmless already. Others may lie in `graded/`: stock nbgrader's, or changed since.
"""

import html

import nh3
from nbconvert.filters import markdown2html
from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode, from_dict
from nbgrader.preprocessors import ClearHiddenTests
from traitlets import Bool

from autograder import sanitise

_TAGS = sanitise.TAGS | {
    "div",
    "span",
    "img",
    "sup",
    "sub",
    "details",
    "summary",
    "dl",
    "dt",
    "dd",
    "del",
    "b",
    "i",
    "u",
}
_ATTRIBUTES = {"*": {"class", "title"}, "a": {"href"}, "img": {"src", "alt", "width", "height"}, "details": {"open"}}
_ATTRIBUTES |= {name: {"align", "colspan", "rowspan"} for name in ("th", "td")} | {"ol": {"start"}}
_NAMES = {"student", "first_name", "last_name", "notebook_path", "filename", "notebook_id", "assignment_id"}
_SHOWN_BYTES = 2**24  # of a cell's outputs


def safe_markdown(source: str) -> str:
    """A markdown cell as HTML in which nothing runs and no page's own element can be taken for another (no ids)."""
    return nh3.clean(
        markdown2html(source),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto", "data"},
        attribute_filter=_attribute,
    )


def _attribute(tag: str, name: str, value: str) -> str | None:
    """An image is data or nothing, so that opening a page asks nobody; a link is a web page."""
    if (tag, name) == ("img", "src"):
        return value if value.startswith(("data:image/png;", "data:image/jpeg;")) else None
    return None if name == "href" and value.lstrip().lower().startswith("data:") else value


class Harmless(Preprocessor):
    """Outputs become text and PNG; names of people and files, which templates show as they are, are escaped."""

    enabled = Bool(True).tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        for cell in nb.cells:
            cell.pop("attachments", None)
            if cell.cell_type == "code":
                kept, _ = sanitise.outputs(cell.get("outputs"), _SHOWN_BYTES)
                cell.outputs = [from_dict(output) for output in kept]
            elif cell.cell_type == "raw":  # nbconvert shows it as HTML
                cell.update(cell_type="markdown", source=f"```\n{cell.source}\n```")
        resources.update({k: html.escape(v) for k, v in resources.items() if k in _NAMES and isinstance(v, str)})
        return nb, resources


class HideTests(ClearHiddenTests):
    """Feedback holds no hidden test: neither its source nor a line of it in an error's traceback."""

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        hidden = sanitise.hidden_lines([cell.source for cell in nb.cells if cell.cell_type == "code"])
        for cell in nb.cells:
            for output in cell.get("outputs", []):
                if output.output_type == "stream":
                    output.text = sanitise.without_lines(output.text, hidden)
                elif output.output_type == "error":
                    text = sanitise.text("\n".join(output.traceback))
                    output.traceback = sanitise.without_lines(text, hidden).split("\n")
                    output.evalue = sanitise.without_lines(output.evalue, hidden)
        return super().preprocess(nb, resources)
