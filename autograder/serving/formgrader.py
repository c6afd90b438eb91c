"""Formgrader asks a CDN for MathJax 2; the course asks no other host. Give it ours, which is MathJax 3."""

from pathlib import Path

_TEMPLATES = Path(__file__).parent / "templates"


def use_own_mathjax(web_app) -> None:
    """Put our `mathjax.html.j2` before nbconvert's in the exporter that formgrader renders hand-ins with."""
    exporter = web_app.settings.get("nbgrader_exporter")
    if exporter is None:
        return  # formgrader is not installed in this server
    exporter.template_paths = [str(_TEMPLATES), *exporter.template_paths]
