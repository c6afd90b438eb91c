"""Hand-ins that try to come alive in front of an instructor: in formgrader, in the feedback, in the report."""

import os
import re
import shutil
import subprocess
import sys
import urllib.parse

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output, new_raw_cell

from autograder import paths, sanitise
from autograder.labs import load_lab
from autograder.release import filled_cell, register, solved_notebook, source_notebook, student_notebook
from autograder.sandbox.client import why_no_sandbox
from tests.courses import serving
from tests.handins import TINY, autograder, hand_in, result, solved, tiny

pytestmark = pytest.mark.browser
TOKEN = "only-for-this-test"
RUN = "window.pwned=1;document.title='pwned';fetch('/pwned-by-script');alert('pwned')"
NAME = f'Mal <img src=pwned-name onerror="{RUN.split(";")[0]}">'  # a folder's name
MARKUP = [
    f"<script>{RUN}</script>",
    f'<img src="/pwned-image" onerror="{RUN}">',
    f'<svg onload="{RUN}"><script>{RUN}</script><circle r="9"/></svg>',
    '<iframe src="/pwned-frame" srcdoc="<script>parent.pwned=1</script>"></iframe>',
    '<object data="/pwned-object"></object><embed src="/pwned-embed">',
    f'<a href="javascript:{RUN}">markup-link</a>',
    f'<form action="/pwned-form"><button formaction="javascript:{RUN}">send</button></form>',
    '<style>@import "/pwned-style"; body{display:none}</style><link rel="stylesheet" href="/pwned-link">',
    '<meta http-equiv="refresh" content="0;url=/pwned-refresh"><base href="/pwned-base/">',
    f'<details open ontoggle="{RUN}"><summary>x</summary></details>',
    f'<math><mtext></form><form><mglyph><style></math><img src onerror="{RUN}">',
    '<div id="loss" class="score" style="position:fixed;inset:0">cover</div>',
]
MARKDOWN = [
    *MARKUP,
    f"[markdown-link](javascript:{RUN})",
    "[data-link](data:text/html;base64,PHNjcmlwdD5mZXRjaCgnL3B3bmVkJyk8L3NjcmlwdD4=)",
    "![picture](/pwned-picture)",
    rf"$\href{{javascript:{RUN}}}{{formula}}$ $\require{{html}}\href{{javascript:pwned}}{{formula}}$",
    '`` </code><script>fetch("/pwned-code")</script> ``',
]
ALIVE = (
    "iframe, object, embed, form, svg:not(mjx-container svg), script, style, link, meta, base, [onerror], [onload],"
    "[ontoggle], a[href^='javascript:' i], a[href^='data:' i], img[src]:not([src^='data:image/'])"
)


def _outputs() -> list:
    markup = "\n".join(MARKUP)
    bundles = [
        {"text/html": markup},
        {"image/svg+xml": MARKUP[2]},
        {"application/javascript": RUN},
        {"text/markdown": "\n\n".join(MARKDOWN)},
        {"text/latex": markup},
        {"image/png": f'" onerror="{RUN}'},
        {"text/plain": markup},
        {"application/vnd.jupyter.widget-view+json": {"model_id": f"</script>{MARKUP[0]}"}},
    ]
    error = new_output("error", ename=markup, evalue=markup, traceback=[markup])
    return [*(new_output("display_data", b) for b in bundles), new_output("stream", text=markup), error]


def hostile() -> nbformat.NotebookNode:
    """The tiny lab, with markup wherever a student can write: answers, outputs, errors, names of cells."""
    shown = f"from IPython.display import HTML, SVG, Javascript, Markdown, display\nmarkup = {MARKUP!r}\n"
    shown += "display(HTML(''.join(markup)), SVG('<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"pwned=1\"/>'),"
    shown += f" Javascript({RUN!r}), Markdown({MARKDOWN!r}[-3]))\nprint(*markup)\n"
    loss = f"# {MARKUP[0]}\n{shown}def loss(p, t):\n    print(*markup)\n    raise ValueError(''.join(markup))"
    notebook = solved({"loss": loss, "why": "\n\n".join(MARKDOWN)})
    filled_cell(notebook, "slope").source = f"{MARKUP[0]}"  # no Python: the message quotes it
    notebook.cells += [new_markdown_cell("\n\n".join(MARKDOWN)), new_raw_cell("\n".join(MARKUP))]
    notebook.cells += [new_code_cell("\n".join(f"# {m}" for m in MARKUP), outputs=_outputs())]
    for cell in notebook.cells:
        if cell.cell_type == "code" and not cell.metadata.get("nbgrader"):
            cell.outputs = _outputs()
    return notebook


@pytest.fixture(scope="module")
def classroom():
    folder = paths.BUILD / "test-hostile-class"  # in the server's root
    shutil.rmtree(folder, ignore_errors=True)
    for student in (NAME, "stock"):
        hand_in(folder, student, hostile())
    autograder("grade", TINY, "--class", folder, "--isolation", "none")
    # what stock nbgrader leaves in graded/: the hand-in's own markdown and live outputs
    nbformat.write(hostile(), folder / "graded" / "stock" / "tiny_line" / "tiny_line.ipynb")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def server(classroom, tmp_path_factory):
    book = tmp_path_factory.mktemp("book")
    (book / "index.html").write_text("no book")
    serve = "import sys; from pathlib import Path; from autograder import paths"
    serve += f"; import autograder.serving.__main__ as serving; paths.BOOK_HTML = Path({str(book)!r})"
    serve += f"; sys.exit(serving.main({['--port', '0', '--token', TOKEN]}))"
    environment = {**os.environ, "UNMAGIC_CLASS": str(classroom.relative_to(paths.ROOT)), "PYTHONUNBUFFERED": "1"}
    with serving(["-c", serve], environment) as address:
        yield address


@pytest.fixture
def look(watch):
    """Opens an address, lets everything on it happen, and gives the page; what came alive fails the test at its end."""
    watched = watch(bypass_csp=True)  # no content policy helps: nothing may be there to run
    happened = []
    watched.page.on("request", lambda r: re.search(r"/pwned[^/]*$", r.url) and happened.append(r.url))
    watched.page.on("dialog", lambda dialog: (happened.append(f"dialog: {dialog.message}"), dialog.dismiss()))

    def see(address: str = "", *, html: str = ""):
        page = watched.page
        page.set_content(html) if html else page.goto(address)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("window.pwned === undefined && document.title !== 'pwned'"), address
        assert happened == [], address
        return page

    return see


def _enter(look, server):
    return look(f"{server}/formgrader?token={TOKEN}")


def test_formgrader_shows_a_hand_in_as_text_whoever_graded_it(server, look):
    _enter(look, server)
    page = look(f"{server}/formgrader/gradebook/tiny_line/tiny_line")
    links = page.eval_on_selector_all("a.name-shown[href*='/formgrader/submissions/']", "all => all.map(a => a.href)")
    assert len(set(links)) == 2
    for link in sorted(set(links)):
        page = look(link)
        page.wait_for_function("window.MathJax && window.MathJax.loaded === true")
        page.evaluate("MathJax.startup.promise")
        assert (
            page.locator("#notebook-container").first.locator(ALIVE).evaluate_all("all => all.map(e => e.outerHTML)")
            == []
        )
        assert page.locator("nav").locator("img, script").count() == 0
        assert page.locator("#notebook-container [id='loss']").count() == 0  # no element that poses as formgrader's
        text = page.locator("#notebook-container").first.inner_text()
        assert "<script>window.pwned=1" in text and "markdown-link" in text and "formula" in text


def test_formgraders_lists_show_names_as_text(server, look):
    _enter(look, server)
    quoted = urllib.parse.quote(NAME)
    for place in (
        "manage_assignments",
        "manage_submissions/tiny_line",
        "gradebook",
        "gradebook/tiny_line",
        "gradebook/tiny_line/tiny_line",
        "manage_students",
        f"manage_students/{quoted}",
        f"manage_students/{quoted}/tiny_line",
    ):
        page = look(f"{server}/formgrader/{place}")
        assert page.locator("[onerror]").count() == 0, place
        assert page.locator(".breadcrumb, h1").first.is_visible(), place


def test_feedback_and_report_show_it_as_text(server, classroom, look):
    _enter(look, server)
    for student in (NAME, "stock"):
        page = look(f"{server}/report/feedback/{urllib.parse.quote(student)}/tiny_line.html")
        found = page.locator("main").locator(ALIVE).evaluate_all("all => all.map(e => e.outerHTML)")
        assert found == []
        assert "onerror" in page.inner_text("body")
    page = look(f"{server}/report/tiny_line/report.html")
    assert page.locator("[onerror]").count() == 0 and "pwned-name" in page.inner_text("body")


def test_nbgraders_own_feedback_is_harmless_and_holds_no_hidden_test(classroom, look):
    environment = {**os.environ, "UNMAGIC_CLASS": str(classroom.relative_to(paths.ROOT))}
    command = [sys.executable, "-m", "nbgrader", "generate_feedback", "tiny_line", "--student", "stock"]
    done = subprocess.run(command, cwd=paths.ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    html = (classroom / "feedback" / "stock" / "tiny_line" / "tiny_line.html").read_text("utf-8")
    page = look(html=html)
    assert "markdown-link" in page.inner_text("body")
    assert (
        page.locator("#notebook-container").first.locator(ALIVE).evaluate_all("all => all.map(e => e.outerHTML)") == []
    )
    given_out = "\n".join(c.source for c in student_notebook(tiny()).cells)
    hidden = {h for h in sanitise.hidden_lines([c.source for c in source_notebook(tiny()).cells]) if h not in given_out}
    assert "secret_predictions = [0.25, 4.5]" in hidden
    assert [line for line in hidden if line in page.inner_text("body")] == []


@pytest.mark.slow
def test_the_autograde_button_grades_in_the_sandbox(server, classroom, look):
    if why := why_no_sandbox():
        pytest.skip(f"this machine makes no sandbox: {why}")
    lab = load_lab("descent")
    register(lab, f"sqlite:///{classroom / 'gradebook.db'}")
    hand_in(classroom, "ada", solved_notebook(lab), "descent")
    _enter(look, server)
    page = look(f"{server}/formgrader/manage_submissions/descent")
    page.locator("td.autograde a").click()
    page.wait_for_selector("#success-modal", timeout=180_000)
    found = result(classroom, "ada", "descent")
    assert (found["isolation"], found["state"]) == ("warm", "graded") and found["points"] == found["max_points"] > 0
    assert f"ada: graded, {found['points']:g} of {found['max_points']:g}" in page.inner_text("#success-modal")
