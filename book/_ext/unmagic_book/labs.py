"""```{lab} NAME ⏎ what the lab asks: a box with the notebook to download, and one click where `make course` serves."""

import html
import shutil
from pathlib import Path

import nbformat
from docutils import nodes
from sphinx.util.docutils import SphinxDirective


def released(root: Path, lab: str) -> Path:
    return root / "labs" / lab / f"{lab}.ipynb"


def summary(notebook: Path) -> tuple[str, int, float]:
    """Title, number of exercises and points of a released lab."""
    cells = nbformat.read(notebook, as_version=4).cells
    heading = next(
        line for cell in cells if cell.cell_type == "markdown" for line in cell.source.splitlines() if line[:2] == "# "
    )
    graded = [cell.metadata.nbgrader for cell in cells if "nbgrader" in cell.metadata]
    return heading[2:].strip(), sum(bool(g.solution) for g in graded), sum(g.points for g in graded if g.grade)


class LabDirective(SphinxDirective):
    required_arguments = 1
    has_content = True

    def run(self):
        lab = self.arguments[0]
        notebook = released(Path(self.env.srcdir), lab)
        self.env.note_dependency(str(notebook))
        if not notebook.is_file():
            raise self.error(
                f"no released lab {lab!r}: labs/{lab}/{lab}.ipynb is not there. Release it: autograder release {lab}"
            )
        title, exercises, points = summary(notebook)
        self.env.metadata[self.env.docname].setdefault("labs", []).append(lab)
        box = nodes.container(classes=["unmagic-lab", "computed"])
        box += nodes.rubric(text=f"Lab: {title}")
        box += self.parse_content_to_nodes()
        many = "exercise" if exercises == 1 else "exercises"
        box += nodes.paragraph(
            text=f"{exercises} {many}, {points:g} points. Each tells you at once whether it is right."
        )
        up, name = "../" * self.env.docname.count("/"), html.escape(lab)
        links = (
            f'<p class="unmagic-lab-links"><a class="unmagic-open" href="/open/{name}" hidden>Open the lab</a>'
            f'<a href="{up}labs/{name}.ipynb" download>Download the lab ({name}.ipynb)</a></p>'
        )
        box += nodes.raw("", links, format="html")
        return [box]


def copy_labs(app, exception) -> None:
    if exception or app.builder.format != "html":
        return
    for lab in sorted({lab for meta in app.env.metadata.values() for lab in meta.get("labs", ())}):
        target = Path(app.outdir) / "labs" / f"{lab}.ipynb"
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(released(Path(app.srcdir), lab), target)


def setup(app):
    app.add_directive("lab", LabDirective)
    app.connect("build-finished", copy_labs)
