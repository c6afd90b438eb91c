"""Live figures' scripts where they are needed, and what the theme leaves to mend."""

import shutil
from pathlib import Path

from docutils import nodes


def _figures(app) -> list[Path]:
    folder = Path(app.srcdir) / "unmagic" / "figures" / "static"
    return sorted(path for path in folder.glob("*") if path.suffix in {".js", ".css", ".json", ".safetensors"})


def load_figures(app, pagename, templatename, context, doctree) -> None:
    """loader.js and the style sheets, on pages that hold a live figure and on no other."""
    if doctree is None or not any('class="unmagic-figure"' in raw.astext() for raw in doctree.findall(nodes.raw)):
        return
    app.add_js_file("figures/loader.js", type="module")
    for path in _figures(app):
        if path.suffix == ".css":
            app.add_css_file(f"figures/{path.name}")


def copy_figures(app, exception) -> None:
    if exception or app.builder.format != "html":
        return
    target = Path(app.outdir) / "_static" / "figures"
    for path in _figures(app):
        target.mkdir(exist_ok=True)
        shutil.copyfile(path, target / path.name)


def spare_mathjax(app, pagename, templatename, context, doctree) -> None:
    """Sphinx gives a page MathJax for the formulas of the pages below it as well: the title page needs none."""
    if doctree is not None and not any(doctree.findall(lambda node: isinstance(node, (nodes.math, nodes.math_block)))):
        context["script_files"][:] = [script for script in context["script_files"] if not _is_mathjax(app, script)]


def _is_mathjax(app, script) -> bool:
    return app.config.mathjax_path in str(script.filename) or "window.MathJax" in script.attributes.get("body", "")


def mend_roles(app, pagename, templatename, context, doctree) -> None:
    """docutils gives the papers of a list a role that ARIA has withdrawn; they are what the list says: its items."""
    if "body" in context:
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


def drop_dead_weight(app, exception) -> None:
    """What the theme lays beside its files and no page loads: templates, source maps, launch buttons, translations."""
    if exception or app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    for pattern in ("*webpack-macros.html", "**/*.map", "images/logo_*"):
        for path in static.glob(pattern):
            path.unlink()
    shutil.rmtree(static / "locales", ignore_errors=True)


def setup(app):
    app.add_config_value("comments_config", {}, "")  # sphinx_comments' own: Jupyter Book sets it, we do without
    app.connect("html-page-context", load_figures)
    app.connect("html-page-context", spare_mathjax, priority=900)
    app.connect("html-page-context", mend_roles)
    app.connect("build-finished", copy_figures)
    app.connect("build-finished", drop_dead_weight)
