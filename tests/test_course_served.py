"""The course as `make course` serves it, seen by a browser that no other host answers."""

import os
import shutil
import subprocess

import pytest

from autograder import paths
from tests.courses import serving

pytestmark = pytest.mark.browser
TOKEN = "only-for-this-test"
# all of a page but its article, and what is another in the article of a page that is served
FRAME = {"include": [["html"], [".unmagic-lab"]], "exclude": [["article.bd-article"]]}


@pytest.fixture(scope="session")
def built():
    """`make course SERVE=0`: what a new user types, without the serving."""
    done = subprocess.run(["make", "course", "SERVE=0"], cwd=paths.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"make course SERVE=0 failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done


@pytest.fixture(scope="session")
def work():
    folder = paths.BUILD / "test-work"  # in the server's root, and not the developer's own work/
    shutil.rmtree(folder, ignore_errors=True)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server(built, work):
    """The address of the served course; stopped as a person does it, by Ctrl-C."""
    environment = {**os.environ, "UNMAGIC_WORK": str(work.relative_to(paths.ROOT)), "PYTHONUNBUFFERED": "1"}
    environment.pop("UNMAGIC_CLASS", None)
    with serving(["-m", "autograder.serving", "--port", "0", "--token", TOKEN], environment) as address:
        yield address


def _enter(watched, server, path):
    watched.page.goto(f"{server}{path}?token={TOKEN}")
    watched.page.wait_for_load_state("networkidle")
    return watched.page


def test_without_the_token_nothing_is_shown(server, watch):
    watched = watch()
    for path in ["/book/index.html", "/report/descent/report.html", "/open/descent", "/formgrader"]:
        watched.page.goto(f"{server}{path}")
        assert "/login" in watched.page.url, path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_of_the_book_is_whole_and_accessible(server, watch, scheme):
    """Articles are looked at in test_book_pages, in both themes; here what is around them, at this width in both."""
    watched = watch(color_scheme=scheme)
    page = _enter(watched, server, "/book/index.html")
    links = {link.split("#")[0] for link in page.eval_on_selector_all("nav a[href]", "links => links.map(a => a.href)")}
    pages = sorted(link for link in links if link.startswith(f"{server}/book/") and link.endswith(".html"))
    assert len(pages) >= 5, f"the table of contents leads to {pages}"
    for address in pages:
        page.goto(address)
        page.wait_for_load_state("networkidle")
        assert watched.axe(FRAME) == [], address
    assert watched.faults == []


def test_the_chapter_leads_to_its_lab_with_one_click(server, watch, work):
    watched = watch()
    page = _enter(watched, server, "/book/book/descent/batch_vs_stochastic.html")
    page.click("a[href$='/open/descent']")
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=60_000)
    assert (work / "descent" / "descent.ipynb").read_bytes() == (paths.LABS / "descent" / "descent.ipynb").read_bytes()
    assert watched.faults == []


def test_formgrader_shows_the_sample_class_and_a_hand_in_with_our_mathjax(server, watch):
    watched = watch()
    page = _enter(watched, server, "/formgrader")
    page.wait_for_selector("text=descent")
    page.goto(f"{server}/formgrader/gradebook/descent/descent")
    page.wait_for_selector("#submissions tbody a, table tbody a")
    links = page.eval_on_selector_all("a[href*='/formgrader/submissions/']", "links => links.map(a => a.href)")
    assert len(links) >= 8, f"hand-ins in formgrader: {links}"
    page.goto(links[0])
    page.wait_for_function("window.MathJax && window.MathJax.loaded === true")
    assert page.locator("mjx-container").count() > 0, "the formulas of the lab are typeset"
    assert watched.faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_report_and_feedback_are_accessible_and_nothing_in_them_may_run(server, watch, scheme):
    watched = watch(color_scheme=scheme, bypass_csp=True)  # axe itself has to run here
    answer = watched.page.goto(f"{server}/report/descent/report.html?token={TOKEN}")
    assert answer.headers["content-security-policy"].startswith("sandbox;")
    assert watched.axe() == []
    names = sorted((paths.SAMPLE_CLASS / "feedback").glob("*/descent.html"))
    assert len(names) >= 8
    for feedback in names:
        answer = watched.page.goto(f"{server}/report/feedback/{feedback.parent.name}/descent.html")
        assert answer.headers["content-security-policy"].startswith("sandbox;")
        assert watched.axe() == [], feedback.parent.name
    assert watched.faults == []


@pytest.mark.parametrize("path", ["gradebook.db", "seed", "results/descent/x.json", "descent/../gradebook.db"])
def test_the_rest_of_a_class_is_not_served(server, watch, path):
    watched = watch()
    _enter(watched, server, "/book/index.html")
    assert watched.page.request.get(f"{server}/report/{path}").status == 404
