"""A resolved page as the Markdown that JupyterLab shows.

It works on what Sphinx made of the page, not on the source: numbers are glued, references and citations resolved, and
any directive is by then headings, paragraphs, lists and tables.
"""

import base64
import mimetypes
import re
from dataclasses import dataclass, field
from pathlib import Path

from docutils import nodes

from .questions import question, question_text

SPECIAL = re.compile(r"([\\`*_\[\]<>$])")
SILENT = (nodes.comment, nodes.raw, nodes.target, nodes.system_message, nodes.substitution_definition, nodes.meta)


@dataclass
class Part:
    """A stretch of a page: Markdown, or the code cell with this index in the page's source."""

    text: str = ""
    cell: int | None = None
    attachments: dict = field(default_factory=dict)


def parts(doctree: nodes.document, srcdir: Path) -> list[Part]:
    """The page as Markdown and code cells, in order."""
    writer = _Writer(srcdir)
    writer.sections(doctree, 0)
    return writer.finish()


class _Writer:
    def __init__(self, srcdir: Path):
        self.srcdir = srcdir
        self.done: list[Part] = []
        self.blocks: list[str] = []
        self.attachments: dict = {}

    # --- the page: sections and cells

    def sections(self, parent: nodes.Element, depth: int) -> None:
        for node in parent.children:
            if isinstance(node, nodes.section):
                self.close()  # a cell a section: easier to move about in
                self.sections(node, depth + 1)
            elif isinstance(node, nodes.title) and depth:
                self.blocks.append("#" * min(depth, 6) + " " + self.inline(node))
            elif isinstance(node, nodes.Element) and node.get("nb_element") == "cell_code":
                self.close()
                self.done.append(Part(cell=node["cell_index"]))
            else:
                self.blocks += self.block(node)

    def close(self) -> None:
        if self.blocks:
            self.done.append(Part("\n\n".join(self.blocks), attachments=self.attachments))
            self.blocks, self.attachments = [], {}

    def finish(self) -> list[Part]:
        self.close()
        return self.done

    # --- blocks: each a Markdown string without the empty lines around it

    def children(self, node: nodes.Element) -> list[str]:
        return [block for child in node.children for block in self.block(child)]

    def block(self, node: nodes.Node) -> list[str]:
        if isinstance(node, SILENT):
            return []
        for kind in type(node).__mro__:
            if write := getattr(self, f"block_{kind.__name__}", None):
                return [text for text in write(node) if text.strip()]
        if isinstance(node, (nodes.Inline, nodes.TextElement, nodes.Text)):
            return [text] if (text := self.inline(node).strip()) else []
        return self.children(node)

    def block_paragraph(self, node):
        return [self.inline(node)]

    def block_rubric(self, node):
        return [f"**{self.inline(node)}**"]

    block_question_text = block_rubric

    def block_caption(self, node):
        return [f"*{self.inline(node)}*"]

    def block_literal_block(self, node):
        return [_fence(node.astext(), node.get("language", ""))]

    def block_math_block(self, node):
        text = node.astext().strip()
        if "\\\\" in text and not re.match(r"\\begin\{", text):
            text = f"\\begin{{aligned}}\n{text}\n\\end{{aligned}}"
        tag = f" \\tag{{{node['number']}}}" if node.get("number") else ""
        return [f"$$\n{text}{tag}\n$$"]

    def block_bullet_list(self, node):
        return [self.items(node, lambda number: "- ")]

    def block_enumerated_list(self, node):
        start = int(node.get("start", 1))
        return [self.items(node, lambda number: f"{start + number}. ")]

    def items(self, node, mark) -> str:
        texts = [_indent("\n\n".join(self.children(item)), mark(number)) for number, item in enumerate(node.children)]
        return ("\n\n" if any("\n\n" in text for text in texts) else "\n").join(texts)

    def block_definition_list_item(self, node):
        terms = [f"**{self.inline(child)}**" for child in node.children if isinstance(child, nodes.term)]
        meaning = [b for child in node.children if isinstance(child, nodes.definition) for b in self.children(child)]
        return [", ".join(terms) + ("  \n" + meaning[0] if meaning else ""), *meaning[1:]]

    def block_field(self, node):
        name, body = node.children
        return [f"**{self.inline(name)}** " + "\n\n".join(self.children(body))]

    def block_block_quote(self, node):
        return [_quote(self.children(node))]

    def block_Admonition(self, node):
        title = next((child for child in node.children if isinstance(child, nodes.title)), None)
        name = self.inline(title) if title else type(node).__name__.capitalize()
        rest = [b for child in node.children if child is not title for b in self.block(child)]
        return [_quote([f"**{name}**", *rest])]

    def block_container(self, node):
        classes = node.get("classes", ())
        return [_quote(self.children(node))] if "unmagic-lab" in classes else self.children(node)

    def block_question(self, node: question):
        asked = next(child for child in node.children if isinstance(child, question_text))
        answer = [b for child in node.children if child is not asked for b in self.block(child)]
        # HTML, because JupyterLab unfolds it as the book does; Markdown needs the empty lines to be read inside
        return [f"<details><summary>{self.inline(asked)}</summary>", *answer, "</details>"]

    def block_image(self, node):
        path = self.srcdir / node["uri"]
        name = path.name
        media = mimetypes.guess_type(name)[0] or "application/octet-stream"
        if path.is_file():
            self.attachments[name] = {media: base64.b64encode(path.read_bytes()).decode()}
        return [f"![{node.get('alt', '')}](attachment:{name})"]

    def block_table(self, node):
        caption = [f"**{self.inline(child)}**" for child in node.children if isinstance(child, nodes.title)]
        rows = [[_cell(" ".join(self.children(entry))) for entry in row.children] for row in node.findall(nodes.row)]
        head = sum(len(part.children) for part in node.findall(nodes.thead))
        if not head:
            rows.insert(0, [""] * len(rows[0]))
        lines = [f"| {' | '.join(row)} |" for row in rows]
        lines.insert(1, "|" + " --- |" * len(rows[0]))
        return [*caption, "\n".join(lines)]

    def block_footnote(self, node):
        return [f"[{node.children[0].astext()}] " + "\n\n".join(b for c in node.children[1:] for b in self.block(c))]

    block_citation = block_footnote

    # --- inline

    def inline(self, node: nodes.Node) -> str:
        if isinstance(node, nodes.Text):
            return SPECIAL.sub(r"\\\1", node.astext())
        if isinstance(node, SILENT):
            return ""
        inner = "".join(self.inline(child) for child in node.children)
        if isinstance(node, nodes.literal):
            return _code(node.astext())
        if isinstance(node, nodes.math):
            return f"${node.astext().strip()}$"
        if isinstance(node, nodes.strong):
            return f"**{inner}**"
        if isinstance(node, (nodes.emphasis, nodes.title_reference)):
            return f"*{inner}*"
        if isinstance(node, nodes.superscript):
            return f"<sup>{inner}</sup>"
        if isinstance(node, nodes.subscript):
            return f"<sub>{inner}</sub>"
        if isinstance(node, nodes.image):
            return self.block_image(node)[0]
        if isinstance(node, nodes.reference) and re.match(r"https?://|mailto:", node.get("refuri", "")):
            return (
                f"[{inner}]({node['refuri']})"  # a link inside the book leads nowhere from a notebook: its text stays
            )
        return inner


def _indent(text: str, mark: str) -> str:
    return mark + text.replace("\n", "\n" + " " * len(mark)).replace("\n" + " " * len(mark) + "\n", "\n\n")


def _quote(blocks: list[str]) -> str:
    return "\n".join(f"> {line}".rstrip() for line in "\n\n".join(blocks).splitlines())


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|")


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def _fence(text: str, language: str) -> str:
    marks = "`" * max(3, _longest_run(text) + 1)
    return f"{marks}{language if language not in ('none', 'default') else ''}\n{text}\n{marks}"


def _code(text: str) -> str:
    marks = "`" * (_longest_run(text) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{marks}{pad}{text}{pad}{marks}"
