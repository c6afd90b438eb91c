"""`make book`: when pages are executed and built, and that a failure costs nothing but the failure.

One small book; its tests go on from each other's state, because every build takes seconds.
"""

import shutil
import sys
from types import SimpleNamespace

import pytest
from demo_book import PAGE, REPOSITORY, DemoBook, builder
from nbclient.exceptions import CellExecutionError
from pages import executed

sys.path.insert(0, str(REPOSITORY / "book" / "_ext"))

from unmagic_book import execution

# what the build says: a flaw of the page, and the change that makes it
FLAWS = {
    "0.25 is typed into prose": ("Each step multiplies", "The rate 0.25 multiplies"),
    "No key 'lost'": ("{glue:text}`last`", "{glue:text}`lost`"),
    "doubling-step": ("{eq}`halving-step`", "{eq}`doubling-step`"),
    "newton1669": ("{cite:t}`cauchy1847`", "{cite:t}`newton1669`"),
    "Release it: autograder release ascent": ("```{lab} descent", "```{lab} ascent"),
    "ends with the sections Summary, Questions, Where to read on": ("## Summary", "## Conclusion"),
    "_static/logo.svg has no alternative text": ("1. First", "![](../_static/logo.svg)\n\n1. First"),
    "question without an answer: 'Why?'": ("## Where", "```{question} Why?\n```\n\n## Where"),
    "the fence {question} is shown as text": ("## Questions", "```{question} Is `w` it?\nYes.\n```\n\n## Questions"),
}


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    book = DemoBook(tmp_path_factory.mktemp("book"))
    book.build()
    return book


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A book whose chapter was executed for a test, before any build; what came of it is in `kept.found`."""
    book = DemoBook(tmp_path_factory.mktemp("kept"))
    with book.environment():
        book.found = executed(PAGE, book.root)
    return book


class TestWhatIsDoneAgain:
    def test_the_first_build_executes_the_chapter_once(self, book):
        assert book.executions == 1
        assert (book.html / "book" / "descent" / "halving.html").exists()

    def test_nothing_is_built_when_nothing_changed(self, book):
        assert not book.build()

    def test_a_change_of_prose_is_built_and_not_executed(self, book):
        book.change("First we look.", "First we look around.")
        assert book.build()
        assert "First we look around." in (book.html / "book" / "descent" / "halving.html").read_text("utf-8")
        assert book.executions == 1

    def test_a_changed_library_is_executed_again(self, book):
        (book.root / "unmagic" / "__init__.py").write_text("VERSION = 2\n")
        assert book.build()
        assert book.executions == 2

    @pytest.mark.parametrize(
        ("path", "matters"),
        [
            pytest.param("unmagic/data/drawn.py", True, id="library"),
            pytest.param("unmagic/figures/static/race.js", True, id="live-figure"),
            pytest.param("requirements.lock", True, id="lock-file"),
            pytest.param("book/descent/points.csv", True, id="data"),
            pytest.param("book/descent/halving.md", False, id="prose"),
            pytest.param("book/references.bib", False, id="bibliography"),
            pytest.param("book/timings/laptop.json", False, id="timings"),
            pytest.param("book/_static/book.css", False, id="style"),
            pytest.param("labs/descent/descent.ipynb", False, id="lab"),
        ],
    )
    def test_the_cache_is_named_by_what_cells_import_or_read(self, book, tmp_path, path, matters):
        root = tmp_path / "book"
        shutil.copytree(book.root, root, ignore=shutil.ignore_patterns("_build"))
        before = execution.key(root)
        changed = root / path
        changed.parent.mkdir(parents=True, exist_ok=True)
        changed.write_bytes((changed.read_bytes() if changed.exists() else b"") + b"# changed\n")
        assert (execution.key(root) != before) == matters
        assert builder.fingerprint(root) != builder.fingerprint(book.root)


class TestPagesOfTests:
    """`pages.executed`: the one execution that serves the book and the tests of what a page computes."""

    def test_what_cells_define_is_there_with_its_functions_and_the_raw_numbers(self, kept):
        assert kept.found.glued == {"last": 0.5**10, "start": 1.0}
        assert kept.found.names.path == [0.5**t for t in range(11)]
        drawn = SimpleNamespace(**dict.fromkeys(["set_xlabel", "set_ylabel", "legend"], lambda *_: None))
        drawn.semilogy = lambda values, *_, label: lines.append((label, values[-1]))
        lines = []
        kept.found.names.draw(drawn)  # uses `path` and `curvature`, names of the page
        assert lines == [("rate 1/4", 0.5**10), ("rate 1/10", 0.8**10)]
        with pytest.raises(AttributeError, match="no 'file': PicklingError: Cannot pickle closed files"):
            kept.found.names.file  # noqa: B018  (asking is what is tested)
        assert not hasattr(kept.found.names, "page_names")

    def test_neither_the_build_nor_the_next_test_executes_it_again_until_its_library_changes(self, kept):
        assert kept.build()
        assert "9.77 × 10⁻⁴" in (kept.html / f"{PAGE}.html").read_text("utf-8")
        with kept.environment():
            again = executed(PAGE, kept.root)
            assert (kept.executions, again.glued) == (1, kept.found.glued)
            (kept.root / "unmagic" / "__init__.py").write_text("VERSION = 2\n")
            executed(PAGE, kept.root)
        assert kept.executions == 2

    def test_a_failing_cell_is_told_with_its_page_and_not_kept(self, kept):
        kept.change("path = [1.0]", "path = [1 / 0]")
        for _ in range(2):
            with kept.environment(), pytest.raises(CellExecutionError, match="ZeroDivisionError") as failure:
                executed(PAGE, kept.root)
            assert failure.value.__notes__ == [f"in {PAGE}.md"]

    def test_a_number_that_is_glued_twice_is_refused(self, kept):
        kept.change("path = [1 / 0]", 'path = [1.0]\nglue("start", 2)')
        with kept.environment(), pytest.raises(CellExecutionError, match="'start' is glued twice"):
            executed(PAGE, kept.root)


class TestFailures:
    def test_a_failing_cell_fails_the_build_each_time_and_leaves_the_last_good_book(self, book):
        """Jupyter Book itself exits with 0 when a build that failed is repeated."""
        good = (book.html / "book" / "descent" / "halving.html").read_bytes()
        book.change('print("fast"', '1 / 0; print("fast"')
        for _ in range(2):
            with pytest.raises(builder.BuildError, match="ZeroDivisionError"):
                book.build()
        assert (book.html / "book" / "descent" / "halving.html").read_bytes() == good
        book.change('1 / 0; print("fast"', 'print("fast"')

    def test_every_flaw_of_a_page_fails_the_build_and_is_named_with_its_line(self, book):
        text = book.page().read_text("utf-8")
        for old, new in FLAWS.values():
            book.change(old, new)
        with pytest.raises(builder.BuildError) as failure:
            book.build()
        book.page().write_text(text, "utf-8")
        told = str(failure.value)
        assert [flaw for flaw in FLAWS if flaw not in told] == []
        line = next(number for number, line in enumerate(text.splitlines(), 1) if "Each step multiplies" in line)
        assert f"halving.md:{line + 2}: WARNING: 0.25 is typed" in told  # two lines came in above it


def test_a_build_killed_between_its_two_renames_is_taken_up(book):
    home = book.root / "_build" / "book"
    book.build()
    (home / "html").rename(home / ".before")
    assert not book.build()
    assert (book.html / "index.html").exists()


def test_the_same_sources_give_the_same_book(book, tmp_path):
    """Executed anew, too: no times, no random identifiers."""
    first = shutil.copytree(book.html, tmp_path / "first")
    shutil.rmtree(book.root / "_build" / "book" / "executed")
    book.build(force=True)
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(book.html) for path in book.html.rglob("*") if path.is_file())
    assert [str(name) for name in files if (first / name).read_bytes() != (book.html / name).read_bytes()] == []
