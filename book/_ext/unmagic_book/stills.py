"""Pictures of `unmagic.page.figure` leave the page and become files: a browser fetches those of one theme alone."""

import base64
import hashlib
import re
from pathlib import Path

from docutils import nodes

PICTURE = re.compile(r'src="data:image/(svg\+xml|png);base64,([^"]+)"')
STYLE = re.compile(
    r"<style>.*?</style>", re.DOTALL
)  # for notebooks; in the book the theme switches and book.css lays out


def write_pictures(app, doctree, docname) -> None:
    if app.builder.format != "html":
        return
    folder = Path(app.outdir) / "_images"
    up = "../" * docname.count("/")

    def as_file(match):
        data = base64.b64decode(match[2])
        name = f"still-{hashlib.sha256(data).hexdigest()[:16]}.{match[1].removesuffix('+xml')}"
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
        return f'src="{up}_images/{name}"'

    for raw in list(doctree.findall(nodes.raw)):
        if 'class="unmagic-still"' in raw.rawsource + raw.astext():
            raw.children = [nodes.Text(STYLE.sub("", PICTURE.sub(as_file, raw.astext())))]


def setup(app):
    app.connect("doctree-resolved", write_pictures)
