"""Routes of the course on a Jupyter server: /book/, /report/, /open/LAB and what formgrader needs.

Everything asks for the server's token. The book gets a route of its own because /files/ and /static/ send a content
policy that stops the book's own modules.
"""

import html
import os
import re
from pathlib import Path

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_escape, url_path_join
from tornado import web

from autograder import paths
from autograder.serving.opening import UnknownLab, open_lab

COOKIE = "unmagic_course"  # tells the book's script that labs open with one click
_STATIC = Path(__file__).parent / "static"
# What a class folder shows: its reports and feedback. Never the gradebook, the seed, the hand-ins or the results.
_SHOWN = re.compile(r"(?P<lab>[^/]+)/(report\.html|grades\.csv)|feedback/[^/]+/[^/]+\.html")


class FileHandler(JupyterHandler, web.StaticFileHandler):
    """Files of a folder, for whoever has the token; a folder's own address shows its index.html."""

    def initialize(self, path: str) -> None:
        web.StaticFileHandler.initialize(self, path=path, default_filename="index.html")

    @web.authenticated
    async def get(self, path: str, include_body: bool = True) -> None:
        await web.StaticFileHandler.get(self, path, include_body)

    @web.authenticated
    async def head(self, path: str) -> None:
        await self.get(path, include_body=False)

    def set_headers(self) -> None:
        super().set_headers()
        self.set_header("Cache-Control", "no-cache")  # a rebuilt page shows at once; an unchanged one is a 304

    def compute_etag(self) -> str | None:
        return web.StaticFileHandler.compute_etag(self)


class BookHandler(FileHandler):
    """The built book. Its scripts and figures run: it is ours."""

    def set_headers(self) -> None:
        super().set_headers()
        self.set_cookie(COOKIE, "1", samesite="Lax")

    @property
    def content_security_policy(self) -> str:
        # nothing from another host, whatever a page says; scripts and styles inline as the theme has them
        return (
            "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
            "img-src 'self' data: blob:; font-src 'self' data:; object-src 'none'; frame-ancestors 'self'"
        )

    def write_error(self, status_code: int, **kwargs) -> None:
        if status_code == 404 and not (Path(self.root) / "index.html").exists():
            self.finish(page("No book yet", "<p>The book has not been built. Run <code>make book</code>.</p>"))
            return
        super().write_error(status_code, **kwargs)


class ReportHandler(FileHandler):
    """Reports and feedback of a class: pages that hold what students wrote, so nothing in them may run."""

    @web.authenticated
    async def get(self, path: str, include_body: bool = True) -> None:
        if not _SHOWN.fullmatch(path):
            raise web.HTTPError(404, f"{path!r} is neither a report nor feedback")
        await super().get(path, include_body)

    @property
    def content_security_policy(self) -> str:
        return "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"


class OpenHandler(JupyterHandler):
    """/open/LAB: the student's own copy of a lab, in JupyterLab."""

    def initialize(self, labs: Path, work: Path, root: Path) -> None:
        self.labs, self.work, self.root = labs, work, root

    def _address(self, notebook: Path) -> str:
        relative = os.path.relpath(notebook, self.root)
        return url_path_join(self.base_url, "lab/tree", url_escape(relative))

    @web.authenticated
    def get(self, lab: str) -> None:
        try:
            opened = open_lab(lab, self.labs, self.work)
        except UnknownLab as error:
            self.set_status(404)
            self.finish(page("No such lab", f"<p>{html.escape(str(error))}</p>"))
            return
        if opened.newer is None:
            self.redirect(self._address(opened.notebook))
            return
        self.log.warning(
            "A newer release of lab %s was laid beside your work: %s", lab, os.path.relpath(opened.newer, self.root)
        )
        mine, newer = (os.path.relpath(path, self.root) for path in (opened.notebook, opened.newer))
        self.finish(
            page(
                "A newer release of this lab is out",
                f"<p>Your work is as you left it, in <code>{html.escape(mine)}</code>. The newer release lies beside "
                f"it as <code>{html.escape(newer)}</code>; copy your solutions into it when you are ready.</p>"
                f'<p><a href="{html.escape(self._address(opened.notebook))}">Go on with my work</a></p>'
                f'<p><a href="{html.escape(self._address(opened.newer))}">Open the newer release</a></p>',
            )
        )


class HomeHandler(JupyterHandler):
    """The one address: it leads to the book."""

    @web.authenticated
    def get(self) -> None:
        self.redirect(url_path_join(self.base_url, "book/index.html"))


def page(title: str, body: str) -> str:
    """A small page of our own; `body` is HTML that is already safe."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title>"
        "<style>:root{color-scheme:light dark}body{font:1.1rem/1.6 system-ui,sans-serif;max-width:38rem;"
        "margin:4rem auto;padding:0 1rem}a{font-weight:600}@media(prefers-color-scheme:light){a{color:#0b57a4}}"
        "@media(prefers-color-scheme:dark){a{color:#8ec8ff}}</style></head>"
        f"<body><main><h1>{html.escape(title)}</h1>{body}</main></body></html>"
    )


def add_routes(web_app, root: str) -> None:
    """Put the course's routes on a Jupyter server whose files start at `root` (the repository)."""
    base = web_app.settings["base_url"]
    folders = paths.served()
    web_app.add_handlers(
        ".*$",
        [
            (url_path_join(base, "/book"), web.RedirectHandler, {"url": url_path_join(base, "book/index.html")}),
            (url_path_join(base, "/book/(.*)"), BookHandler, {"path": str(folders.book)}),
            (url_path_join(base, "/report/(.*)"), ReportHandler, {"path": str(folders.classroom)}),
            (
                url_path_join(base, r"/open/([^/]+)"),
                OpenHandler,
                {"labs": folders.labs, "work": folders.work, "root": Path(root)},
            ),
            (url_path_join(base, "/course"), HomeHandler),
            (url_path_join(base, "/course/static/(.*)"), FileHandler, {"path": str(_STATIC)}),
            (url_path_join(base, "/course/mathjax/(.*)"), FileHandler, {"path": str(folders.mathjax)}),
        ],
    )
