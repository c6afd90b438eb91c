"""What every page must have, told as warnings, which fail the build: alternative text, numbers that were computed, and
fences that Markdown understood.

A number with a decimal point or of three digits and more is not typed into prose: a cell computes and glues it
(`unmagic.page.glue`). Years are free. A number that is given and not computed (a paper's, a version) is marked:
``{given}`2048` ``. A chapter (a page in a part's folder) ends with the sections Summary, Questions (with answers that
unfold) and Where to read on.
"""

import re

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.util import logging

from .questions import question

LOGGER = logging.getLogger(__name__)
NUMBER = re.compile(r"(?<![\w.,])\d[\d,]*\.\d+|(?<![\w.])\.\d+|(?<![\w.,])\d{1,3}(?:,\d{3})+|(?<![\w.,])\d{3,}")
YEAR = re.compile(r"(?:1[6-9]|20)\d\d")
CLOSING = ["Summary", "Questions", "Where to read on"]
FREE = (nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.raw, nodes.comment, nodes.reference,
        nodes.citation, nodes.substitution_definition, pending_xref)  # fmt: skip
FREE_CLASSES = {"given", "pasted-text", "computed"}


def typed_numbers(text: str) -> list[str]:
    """The numbers in `text` that a cell should have computed."""
    return [number for number in NUMBER.findall(text) if not YEAR.fullmatch(number)]


def _is_free(node: nodes.Node) -> bool:
    while node is not None:
        if isinstance(node, FREE) or type(node).__module__.startswith(("sphinxcontrib.bibtex", "myst_nb")):
            return True
        if isinstance(node, nodes.Element) and (FREE_CLASSES & set(node.get("classes", ())) or node.get("nb_element")):
            return True
        node = node.parent
    return False


def is_chapter(docname: str) -> bool:
    """A page in a part's folder: book/PART/PAGE."""
    return docname.count("/") >= 2


def check_page(app, doctree) -> None:
    docname = app.env.docname
    for node in doctree.findall(nodes.Text):
        numbers = typed_numbers(node.astext())
        if numbers and not _is_free(node.parent):
            told = f"{', '.join(numbers)} is typed into prose: compute it in a cell and glue it"
            _warn(
                "number", _place(node.parent, docname), f"{told}, or mark what is not computed: {{given}}`{numbers[0]}`"
            )
        if "```{" in node.astext() and not isinstance(node.parent, FREE):
            told = "the fence {} is shown as text: its first line holds a backtick, which Markdown does not allow there"
            _warn("fence", _place(node.parent, docname), told.format(node.astext().split("```")[1].split()[0]))
    for image in doctree.findall(nodes.image):
        if not image.get("alt", "").strip():
            told = f"the image {image['uri']} has no alternative text: say what it shows, for those who do not see it"
            _warn("alt", _place(image, docname), told)
    if is_chapter(docname):
        _check_chapter(doctree, docname)


def _check_chapter(doctree, docname) -> None:
    page = next(iter(doctree.findall(nodes.section)), None)
    sections = [node for node in page.children if isinstance(node, nodes.section)] if page else []
    found = {section.next_node(nodes.title).astext(): section for section in sections}
    if [title for title in found if title in CLOSING] != CLOSING or list(found)[-1] != CLOSING[-1]:
        told = f"a chapter ends with the sections {', '.join(CLOSING)}; this one has {', '.join(found) or 'none'}"
        _warn("chapter", docname, told)
    elif not list(found["Questions"].findall(question)):
        _warn("chapter", docname, "the section Questions has no ```{question}, whose answer unfolds")


def _warn(subtype, location, told) -> None:
    LOGGER.warning("%s", told, location=location, type="unmagic", subtype=subtype)


def _place(node, docname):
    while node is not None and not getattr(node, "line", None):
        node = node.parent
    return (docname, node.line) if node is not None else docname


def given(name, rawtext, text, lineno, inliner, options=None, content=None):
    return [nodes.inline(rawtext, text, classes=["given"])], []


def setup(app):
    app.add_role("given", given)
    app.connect("doctree-read", check_page)
