"""Formgrader in our server: our MathJax, and names of people as text.

It asks a CDN for MathJax 2; the course asks no other host, and gives it ours, which is MathJax 3.
"""

from pathlib import Path

from markupsafe import Markup

_ENTITIES = str.maketrans({"<": "&lt;", ">": "&gt;", '"': "&quot;", "\\": "&#92;"})
_TEMPLATES = Path(__file__).parent / "templates"


def use_own_mathjax(web_app) -> None:
    """Put our `mathjax.html.j2` before nbconvert's in the exporter that formgrader renders hand-ins with."""
    exporter = web_app.settings.get("nbgrader_exporter")
    if exporter is None:
        return  # formgrader is not installed in this server
    exporter.template_paths = [str(_TEMPLATES), *exporter.template_paths]


def escape_names(web_app) -> None:
    """Formgrader writes students' names into its pages as they are; let its templates escape them."""
    templates = web_app.settings.get("nbgrader_jinja2_env")
    if templates is not None:
        templates.autoescape = True  # what macros return is left alone
        templates.finalize = _escaped


def _escaped(value: object) -> object:
    """Text without what ends a text, an attribute or a script's string. O'Brien & Söhne stay as they are: some names
    stand in scripts, where nobody would read an entity."""
    return Markup(value.translate(_ENTITIES)) if type(value) is str else value
