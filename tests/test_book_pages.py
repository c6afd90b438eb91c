"""The pages as a browser gets them: nothing from other hosts, readable by everyone, downloads that run.

Each test runs on the small demo book and on the course's own.
"""

import functools
import http.server
import json
import re
import threading
from pathlib import Path
from urllib.parse import urldefrag, urljoin, urlparse

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from demo_book import PAGE, REPOSITORY, DemoBook, builder, run_notebook
from playwright.sync_api import sync_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--headless", "--no-sandbox", "--disable-quic", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
WCAG = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}
TIMINGS = {
    "schema": "unmagic/bench/1", "machine": "two cores", "date": "2026-11-21", "torch": "2.13.0",
    "rows": [
        {"name": "digits", "device": "cpu", "min_s": 0.01234, "median_s": 0.2, "max_s": 1.5, "per_second": 5123.0, "unit": "images"},
        {"name": "a step", "device": "cuda", "min_s": 1e-5, "median_s": 2e-4, "max_s": 12.5, "per_second": None, "unit": ""},
    ],
}  # fmt: skip
LIVE = '<div class="unmagic-figure" data-figure="nothing" data-state="{}"><noscript>A still.</noscript></div>'


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo book with timings, and a page with a live figure whose script says that it ran."""
    book = DemoBook(tmp_path_factory.mktemp("demo"))
    (book.root / "book" / "timings").mkdir()
    (book.root / "book" / "timings" / "here.json").write_text(json.dumps(TIMINGS))
    static = book.root / "unmagic" / "figures" / "static"
    static.mkdir(parents=True)
    (static / "loader.js").write_text("document.querySelector('.unmagic-figure').textContent = 'alive';\n")
    (static / "figure.css").write_text(".unmagic-figure { color: inherit }\n")
    book.change("(halving-step)\n", f"(halving-step)\n\n```{{raw}} html\n{LIVE}\n```\n")
    book.build()
    return book


@pytest.fixture(scope="module", params=["demo", "course"])
def html(request) -> Path:
    """The folder of a built book."""
    if request.param == "demo":
        return request.getfixturevalue("demo").html
    return builder.build(REPOSITORY)[0]


@pytest.fixture(scope="module")
def pages(html) -> list[str]:
    return sorted(path.relative_to(html).as_posix() for path in html.rglob("*.html"))


@pytest.fixture(scope="module")
def address(html):
    """Where the book is served, as `make course` does: below /book/."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def translate_path(self, path):
            return super().translate_path(path.removeprefix("/book"))

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(html)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/book/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, address):
    """Opens pages; other hosts cannot be reached. What went wrong is in `visit.trouble`."""
    contexts, trouble = [], []

    def visit(page, *, theme="light", width=1280, cookies=()):
        context = chromium.new_context(color_scheme=theme, viewport={"width": width, "height": 800})
        contexts.append(context)
        context.add_cookies([{"name": name, "value": value, "url": address} for name, value in cookies])

        def route(request):
            if request.request.url.startswith(address):
                request.continue_()
            else:
                trouble.append(f"{page}: asked for {request.request.url}")
                request.abort()

        context.route("**/*", route)
        tab = context.new_page()
        tab.on("requestfailed", lambda request: trouble.append(f"{page}: failed {request.url}"))
        tab.on(
            "response", lambda answer: answer.status >= 400 and trouble.append(f"{page}: {answer.status} {answer.url}")
        )
        tab.on(
            "console",
            lambda message: message.type in ("error", "warning") and trouble.append(f"{page}: {message.text}"),
        )
        tab.on("pageerror", lambda error: trouble.append(f"{page}: {error}"))
        tab.goto(address + page, wait_until="networkidle")
        if tab.evaluate("Boolean(window.MathJax)"):
            tab.evaluate("MathJax.startup.promise")
        return tab

    visit.trouble = trouble
    yield visit
    for context in contexts:
        context.close()


class TestNothingFromOtherHosts:
    LOADING = {"script": "src", "img": "src", "link": "href", "source": "src", "iframe": "src", "audio": "src",
               "video": "src", "embed": "src", "object": "data", "form": "action", "use": "href"}  # fmt: skip

    def test_what_a_page_loads_lies_in_the_book(self, html, pages):
        astray = []
        for page in pages:
            soup = BeautifulSoup((html / page).read_text("utf-8"), "html.parser")
            for tag, attribute in self.LOADING.items():
                for target in (node[attribute] for node in soup.find_all(tag) if node.get(attribute)):
                    if target.startswith("data:"):
                        continue
                    file = html / urlparse(urljoin(page, target)).path
                    if urlparse(target).netloc or target.startswith("/") or not file.is_file():
                        astray.append(f"{page}: <{tag}> {target}")
            styles = "".join(node.get_text() for node in soup.find_all("style"))
            astray += [f"{page}: {url}" for url in re.findall(r"url\(\s*['\"]?((?:https?:)?//[^)]+)", styles)]
        assert astray == []

    def test_style_sheets_name_no_other_host(self, html):
        other = re.compile(r"(?:url\(|@import)\s*['\"]?((?:https?:)?//[^)'\"]+)")
        assert [found for sheet in html.rglob("*.css") for found in other.findall(sheet.read_text("utf-8"))] == []

    def test_links_inside_the_book_lead_somewhere(self, html, pages):
        ids = {
            page: {n["id"] for n in BeautifulSoup((html / page).read_text("utf-8"), "html.parser").find_all(id=True)}
            for page in pages
        }
        dead = []
        for page in pages:
            soup = BeautifulSoup((html / page).read_text("utf-8"), "html.parser")
            for link in (node["href"] for node in soup.find_all("a", href=True)):
                if urlparse(link).scheme or link.startswith("/open/"):
                    continue
                target, fragment = urldefrag(urljoin(page, link))
                if not (html / target).is_file() or (fragment and target in ids and fragment not in ids[target]):
                    dead.append(f"{page}: {link}")
        assert dead == []

    def test_require_js_html_manager_and_thebe_are_gone(self, html, pages):
        for page in pages:
            text = (html / page).read_text("utf-8")
            assert not re.search(r"require\.(min\.)?js|html-manager|thebe|unpkg|jsdelivr|cdnjs|googleapis", text), page


@pytest.mark.browser
class TestInABrowser:
    def test_no_request_fails_none_leaves_and_the_console_is_quiet(self, visit, pages):
        for page in pages:
            visit(page)
        assert visit.trouble == []

    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_axe_finds_nothing_at_wcag_2_1_aa(self, visit, pages, theme):
        found = []
        for page in pages:
            if page == "index.html":  # leads on at once
                continue
            tab = visit(page, theme=theme)
            tab.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
            for violation in Axe().run(tab, options=WCAG).response["violations"]:
                found += [
                    f"{page}: {violation['id']}: {node['html']} {node['failureSummary']}" for node in violation["nodes"]
                ]
        assert found == []

    def test_no_page_scrolls_sideways_on_a_phone(self, visit, pages):
        wide = {page: visit(page, width=320).evaluate("document.documentElement.scrollWidth") for page in pages}
        assert {page: width for page, width in wide.items() if width > 320} == {}
