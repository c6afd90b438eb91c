"""The pages as a browser gets them: nothing from other hosts, readable by everyone, downloads that run.

Each test runs on the small demo book and on the course's own.
"""

import functools
import http.server
import json
import re
import threading
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlparse

import jupytext
import nbformat
import pytest
from bs4 import BeautifulSoup
from demo_book import PAGE, REPOSITORY, DemoBook, builder, run_notebook
from pages import execute_all
from wcag import violations

TIMINGS = {
    "schema": "unmagic/bench/1", "machine": "two cores", "date": "2026-11-21", "torch": "2.13.0",
    "rows": [
        {"name": "digits", "device": "cpu", "min_s": 0.01234, "median_s": 0.2, "max_s": 1.5, "per_second": 5123.4,
         "unit": "images"},
        {"name": "a step", "device": "cuda", "min_s": 1e-5, "median_s": 2e-4, "max_s": 12.5, "per_second": None,
         "unit": ""},
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
    execute_all()
    return builder.build(REPOSITORY)[0]


@pytest.fixture(scope="module")
def pages(html) -> list[str]:
    return sorted(path.relative_to(html).as_posix() for path in html.rglob("*.html"))


@pytest.fixture(scope="module")
def soups(html, pages) -> dict[str, BeautifulSoup]:
    """Every page, read once."""
    return {page: _soup(html / page) for page in pages}


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


@pytest.fixture
def visit(chromium, address):
    """Opens pages; the book's own server alone can be reached. What went wrong is in `visit.trouble`."""
    contexts, trouble = [], []

    def visit(page, *, theme="light", width=1280, cookies=()):
        context = chromium.new_context(
            color_scheme=theme, viewport={"width": width, "height": 800}, reduced_motion="reduce"
        )
        context.set_default_timeout(300_000)  # milliseconds: a busy machine is no fault of the page
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
        # until its script has run, MathJax is what the page sets it to
        tab.wait_for_function("() => !window.MathJax || window.MathJax.startup?.promise")
        tab.evaluate("window.MathJax?.startup.promise")
        return tab

    visit.trouble = trouble
    yield visit
    for context in contexts:
        context.close()


LOADING = {
    "script": "src", "img": "src", "link": "href", "source": "src", "iframe": "src", "audio": "src", "video": "src",
    "embed": "src", "object": "data", "form": "action", "use": "href",
}  # fmt: skip


class TestNothingFromOtherHosts:
    def test_what_a_page_loads_lies_in_the_book(self, html, soups):
        astray = []
        for page, soup in soups.items():
            targets = [node[name] for tag, name in LOADING.items() for node in soup.find_all(tag) if node.get(name)]
            for target in targets:
                inside = not urlparse(target).netloc and not target.startswith("/")
                if not target.startswith("data:") and not (inside and _file(html, page, target).is_file()):
                    astray.append(f"{page}: {target}")
            styles = "".join(node.get_text() for node in soup.find_all("style"))
            astray += [f"{page}: {url}" for url in re.findall(r"url\(\s*['\"]?((?:https?:)?//[^)]+)", styles)]
        assert astray == []

    def test_style_sheets_name_no_other_host(self, html):
        other = re.compile(r"(?:url\(|@import)\s*['\"]?((?:https?:)?//[^)'\"]+)")
        assert [found for sheet in html.rglob("*.css") for found in other.findall(sheet.read_text("utf-8"))] == []

    def test_links_inside_the_book_lead_somewhere(self, html, soups):
        ids = {page: {node["id"] for node in soup.find_all(id=True)} for page, soup in soups.items()}
        dead = []
        for page, soup in soups.items():
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

    def test_every_image_says_what_it_shows(self, soups):
        """Empty only where the text beside it says the same (the mark)."""
        for page, soup in soups.items():
            for image in soup.find_all("img"):
                assert image.get("alt") or "_static/logo" in image["src"], f"{page}: {image}"


@pytest.mark.browser
@pytest.mark.parametrize(
    ("theme", "width"), [pytest.param("light", 1280, id="light-desk"), pytest.param("dark", 320, id="dark-phone")]
)
def test_every_page_is_quiet_accessible_and_never_scrolls_sideways(visit, pages, theme, width):
    """No request fails or leaves, the console is silent, axe finds nothing at WCAG 2.1 AA, also in what unfolds."""
    found = visit.trouble
    for page in pages:
        if page == "index.html":  # leads on to the first page at once
            continue
        tab = visit(page, theme=theme, width=width)
        tab.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        tab.wait_for_timeout(50)  # what unfolds tells so in an event of its own
        found += [f"{page}: {violation}" for violation in violations(tab)]
        if (scrolled := tab.evaluate("document.documentElement.scrollWidth")) > width:
            found.append(f"{page}: {scrolled} pixels wide")
        tab.context.close()
    assert found == []


@pytest.mark.browser
@pytest.mark.parametrize("html", ["demo"], indirect=True)
class TestAPage:
    """The demo book's chapter."""

    def test_the_picture_follows_the_switch_of_theme(self, visit):
        tab = visit(f"{PAGE}.html")
        shown = (
            "[...document.querySelectorAll('.unmagic-still img')].filter((i) => i.offsetWidth).map((i) => i.className)"
        )
        assert tab.evaluate(shown) == ["unmagic-still-light only-light"]
        while tab.evaluate("document.documentElement.dataset.theme") != "dark":
            tab.locator(".theme-switch-button").first.click()
        assert tab.evaluate(shown) == ["unmagic-still-dark only-dark"]
        tab.wait_for_load_state("networkidle")
        assert tab.evaluate("document.querySelector('.unmagic-still-dark').naturalWidth") > 0

    def test_an_answer_unfolds_by_keyboard(self, visit):
        tab = visit(f"{PAGE}.html")
        answer = tab.get_by_text("changes its sign at every step")
        assert not answer.is_visible()
        tab.locator(".unmagic-question summary").focus()
        tab.keyboard.press("Enter")
        assert answer.is_visible()

    def test_the_lab_downloads_and_opens_with_one_click_only_where_the_course_is_served(self, visit, html):
        tab = visit(f"{PAGE}.html")
        assert not tab.locator("a.unmagic-open").is_visible()
        with tab.expect_download() as download:
            tab.get_by_role("link", name="Download the lab").click()
        assert download.value.suggested_filename == "descent.ipynb"
        assert nbformat.read(download.value.path(), as_version=4).cells[0].source == "# Descent by hand"
        served = visit(f"{PAGE}.html", cookies=[("unmagic_course", "1")])
        assert served.locator("a.unmagic-open").get_attribute("href") == "/open/descent"
        assert served.locator("a.unmagic-open").is_visible()
        assert "2 exercises, 3.5 points" in served.locator(".unmagic-lab").inner_text()

    def test_scripts_of_live_figures_are_loaded_where_there_is_one_and_nowhere_else(self, visit, html):
        assert visit(f"{PAGE}.html").locator(".unmagic-figure").inner_text() == "alive"
        loading = [path.name for path in html.rglob("*.html") if "figures/loader.js" in path.read_text("utf-8")]
        assert loading == ["halving.html"]

    def test_pages_without_formulas_load_no_mathjax(self, html):
        loading = [path.name for path in html.rglob("*.html") if "tex-chtml.js" in path.read_text("utf-8")]
        assert loading == ["halving.html"]

    def test_search_finds_without_a_network(self, visit):
        tab = visit("search.html?q=halving")
        tab.locator("#search-results li a").first.wait_for()
        assert "Halving" in tab.locator("#search-results").inner_text()
        assert visit.trouble == []

    def test_timings_are_shown_in_units_that_suit(self, html):
        table = _soup(html / "book" / "timings.html").find("table", class_="unmagic-timings")
        rows = [[cell.get_text(strip=True) for cell in row.find_all(["th", "td"])] for row in table.find_all("tr")]
        assert rows == [
            ["what", "device", "fastest", "median", "slowest", "rate"],
            ["digits", "cpu", "12.3 ms", "200 ms", "1.50 s", "5,123 images/s"],
            ["a step", "cuda", "10.0 µs", "200 µs", "12.5 s", "–"],
        ]


class TestTheDownloadedNotebook:
    def test_it_runs_in_an_empty_folder_and_computes_the_book_s_numbers(self, demo, tmp_path):
        done = run_notebook(demo.html / f"{PAGE}.ipynb", tmp_path)
        prose = "\n".join(cell.source for cell in done.cells if cell.cell_type == "markdown")
        outputs = [output for cell in done.cells if cell.cell_type == "code" for output in cell.outputs]
        shown = [output.data["text/plain"] for output in outputs if "data" in output]
        assert "From 1.0 ten steps lead to 9.77 × 10⁻⁴." in prose
        assert "last = 9.77 × 10⁻⁴" in shown
        assert any(text.startswith("Figure: On a log scale") for text in shown)

    def test_it_says_everything_in_markdown_that_jupyterlab_shows(self, demo):
        notebook = nbformat.read(demo.html / f"{PAGE}.ipynb", as_version=4)
        prose = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
        assert not re.search(r"\{[a-z:]+\}`|```\{|:::", prose), "a role or a directive was left"
        for said in [
            "Cauchy \\[1847\\]",
            "(1-\\varepsilon\\lambda)\\,w . \\tag{1}",
            "> **Note**\n>\n> Equation (1) says *multiply*",
            "| below the limit | it shrinks |",
            "   - and `again`.",
            "<details><summary>What happens at $\\varepsilon = 2/\\lambda$?</summary>\n\nThe weight",
            "[Goyal et al., arXiv:1706.02677](https://arxiv.org/abs/1706.02677)",
        ]:
            assert said in prose

    def test_it_has_the_page_s_code_hidden_cells_too(self, html):
        """All of it, in order: the chapter's own test runs it on slow days."""
        for notebook in html.rglob("book/**/*.ipynb"):
            source = (REPOSITORY if html.is_relative_to(REPOSITORY) else html.parents[2]) / notebook.relative_to(html)
            wanted = jupytext.read(source.with_suffix(".md")).cells
            code = [cell.source for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]
            assert code == [cell.source for cell in wanted if cell.cell_type == "code"]

    @pytest.mark.slow
    def test_every_page_of_the_course_runs_in_an_empty_folder(self, tmp_path):
        html = builder.build(REPOSITORY)[0]
        for notebook in sorted(html.rglob("book/**/*.ipynb")):
            folder = tmp_path / notebook.stem
            folder.mkdir()
            run_notebook(notebook, folder)


def _soup(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text("utf-8"), "html.parser")


def _file(html: Path, page: str, target: str) -> Path:
    return html / unquote(urlparse(urljoin(page, target)).path)
