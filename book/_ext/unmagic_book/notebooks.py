"""Every page with code also downloads as a notebook: the same code cells, and the prose as this build computed it."""

import hashlib
from pathlib import Path

import nbformat
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook

from . import markdown

NOTE = "*From the book {title}. Runs where the package `unmagic` is installed; numbers in the text are the book's.*"


def write_notebook(app, doctree, docname) -> None:
    source = Path(app.env.doc2path(docname))
    text = source.read_text("utf-8")
    if app.builder.format != "html" or not is_myst_markdown_notebook(text):
        return
    code = read_myst_markdown_notebook(text, path=str(source)).cells
    notebook = assemble(markdown.parts(doctree, Path(app.srcdir)), code, docname, app.config.html_title)
    target = Path(app.outdir) / f"{docname}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)


def assemble(parts, code, docname: str, title: str):
    """A notebook of `parts`; cells that the page does not show (their code is needed all the same) keep their place."""
    cells = []
    waiting = [index for index, cell in enumerate(code) if cell.cell_type == "code"]

    def add_code_up_to(last: int) -> None:
        while waiting and waiting[0] <= last:
            cell = code[waiting.pop(0)]
            metadata = {"tags": cell.metadata.tags} if cell.metadata.get("tags") else {}
            cells.append(nbformat.v4.new_code_cell(cell.source, metadata=metadata))

    for part in parts:
        if part.cell is not None:
            add_code_up_to(part.cell)
        else:
            extra = {"attachments": part.attachments} if part.attachments else {}
            cells.append(nbformat.v4.new_markdown_cell(part.text, **extra))
    add_code_up_to(len(code))
    cells.insert(
        1 if cells and cells[0].cell_type == "markdown" else 0, nbformat.v4.new_markdown_cell(NOTE.format(title=title))
    )
    for number, cell in enumerate(cells):
        cell["id"] = hashlib.sha256(f"{docname} {number}".encode()).hexdigest()[:12]  # the same on every build
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(
        cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}}
    )
    nbformat.validate(notebook)
    return notebook


def link(app, pagename, templatename, context, doctree) -> None:
    """The address of the page's notebook for the template download-notebook.html."""
    if doctree is not None and app.env.metadata.get(pagename, {}).get("kernelspec"):
        context["unmagic_notebook"] = pagename.rsplit("/", 1)[-1] + ".ipynb"


def setup(app):
    app.connect("doctree-resolved", write_notebook, priority=400)  # before stills turn pictures into files
    app.connect("html-page-context", link)
