"""What students and the instructor read, from results and gradebook; nothing is run here."""

import csv
import functools
import http.server
import io
import re
import threading

import nbformat
import pytest

from autograder import sanitise
from autograder.classroom import Classroom
from autograder.errors import AutograderError
from autograder.export import export
from autograder.files import write_atomically
from autograder.gradebook import Book
from autograder.release import source_notebook, student_notebook
from autograder.report import exercise_statistics, histogram, write_reports
from autograder.results import CellResult, Line, Result, from_json, load, save
from tests.handins import hand_in, solved, tiny

PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
EVIL = "<script>alert(1)</script>"


def made(student: str, *, loss=2.0, state="graded", code="", reason="", why=None, **loss_cell) -> Result:
    """A result as grading gives it; only the first tests cell is looked at closely."""
    none = state == "ungradable"
    cells = [
        CellResult("test_loss", "loss", None if none else loss, 2.0, None if none else loss == 2.0, **loss_cell),
        CellResult("test_loss__one_point", "loss", None if none else 1.0, 1.0, None if none else True),
        CellResult("test_slope", "slope", None if none else 2.0, 2.0, None if none else True),
        CellResult("test_step", "step", None if none else 4.0, 4.0, None if none else True),
        CellResult("why", "why", why, 3.0, None, "manual"),
    ]
    points = sum(c.points or 0 for c in cells)
    return Result("tiny_line", student, state, code, reason, points, 9.0, "none", cells)


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A graded class of five, made without running anything."""
    lab, root = tiny(), tmp_path_factory.mktemp("class")
    room = Classroom(root)
    secret = next(iter(sanitise.hidden_lines([c.source for c in source_notebook(lab).cells])))
    wrong = {
        "kind": "value",
        "message": f"loss: wrong value.\n Found 5, wanted 2.5 {EVIL}",
        "hint": "Take the mean.",
        "lines": [Line("loss", 2, f"return {EVIL}")],
        "output": f"printed {EVIL}",
    }
    results = [
        made("ada"),
        made("bob & co", loss=0.0, **wrong),
        made("=1+1", loss=0.0, kind="value", message="loss: wrong value.", hint="Take the mean."),
        made("dora", loss=0.0, kind="not_done", message="Not written yet."),
        made("eve <b>", state="ungradable", code="truncated", reason=f"Cut off {EVIL}."),
    ]
    notebook = solved({"loss": f"print('{secret}')  # {EVIL}", "why": f"{EVIL} **bold** [x](javascript:alert(1))"})
    for cell in notebook.cells:
        mark = cell.metadata.get("nbgrader", {})
        kind = "solution" if mark.get("solution") and cell.cell_type == "code" else "other"
        if cell.cell_type == "code" and not mark:
            kind = "explore"
            cell.outputs = [nbformat.v4.new_output("display_data", {"image/png": PICTURE})]
        cell.metadata["unmagic"] = {"kind": kind, "run": kind == "solution", "source": cell.source}
        if mark.get("grade_id") == "loss":
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=f"{secret}\n" + "y" * 5000)]
    with room.lock(), Book(room.gradebook_url, lab) as book:
        for result in results:
            hand_in(root, result.student, "{}")
            book.write(result, None, changed=False)
            save(room.result("tiny_line", result.student), result)
            write_atomically(room.graded("tiny_line", result.student), nbformat.writes(notebook).encode())
        book._book.find_student("ada").last_name = "Lovelace"
        book._book.find_student("ada").first_name = "Ada"
        grade = book._book.find_grade("why", "tiny_line", "tiny_line", "ada")
        grade.manual_score, grade.needs_manual_grade = 2.5, False
        book._book.find_submission_notebook("tiny_line", "tiny_line", "ada").late_submission_penalty = 1.5
        book._book.db.commit()
        standings = book.standings()
    write_reports(room, lab, nbformat.writes(source_notebook(lab)), results, standings)
    room.results, room.standings, room.secret = results, standings, secret
    return room


@pytest.fixture(scope="module")
def served(room):
    """The class folder on a loopback address: the browser of these tests opens nothing else."""
    handler = functools.partial(_Quiet, directory=room.root)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def pages(room):
    return [room.reports("tiny_line") / "report.html", *sorted((room.root / "feedback").rglob("*.html"))]


class TestEveryPage:
    def test_has_no_script_and_a_policy_that_allows_none(self, room):
        for page in pages(room):
            text = page.read_text("utf-8")
            assert "<script" not in text and not re.search(r"(?:href|src)=.?javascript", text)
            (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
            assert policy.startswith("default-src &#39;none&#39;; style-src &#39;sha256-")

    def test_asks_nobody_for_anything(self, room):
        for page in pages(room):
            assert not re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:)?//", page.read_text("utf-8"))

    def test_quotes_no_hidden_test(self, room):
        hidden = sanitise.hidden_lines([c.source for c in source_notebook(tiny()).cells])
        for page in pages(room):
            shown = page.read_text("utf-8")
            # the student's own code is the student's, even where it says what a test says
            without_code = re.sub(r'<pre class="code".*?</pre>', "", shown, flags=re.DOTALL)
            assert not [line for line in hidden if line in without_code]

    @pytest.mark.browser
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_is_accessible_fits_a_phone_and_shows_its_style(self, served, watch, scheme):
        for page in ("tiny_line/report.html", "feedback/bob%20%26%20co/tiny_line.html"):
            seen = watch(width=320, color_scheme=scheme)
            seen.page.goto(served + page)
            assert seen.page.evaluate("document.documentElement.scrollWidth") == 320
            assert seen.page.evaluate("getComputedStyle(document.body).maxWidth") != "none"  # the policy lets it in
            assert [fault for fault in seen.faults if "favicon" not in fault] == []
            # the page's own policy keeps axe out as well
            lifted = watch(width=1000, color_scheme=scheme, bypass_csp=True)
            lifted.page.goto(served + page)
            lifted.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert lifted.axe() == []


class TestFeedback:
    def text(self, room, student):
        return room.feedback("tiny_line", student).read_text("utf-8")

    def test_says_what_was_found_what_was_wanted_and_the_hint(self, room):
        text = self.text(room, "bob &amp; co".replace("&amp;", "&"))
        assert "Found 5, wanted 2.5 &lt;script&gt;" in text and "</strong> Take the mean." in text
        assert "loss, line 2: <code>return &lt;script&gt;" in text and "printed &lt;script&gt;" in text
        assert "1 of 3 points" in text and "7</b> of 12 points so far" in text

    def test_counts_what_a_person_gave_and_what_came_late(self, room):
        text = self.text(room, "ada")
        assert "10</b> of 12 points" in text and "−1.5</b> for handing in late" in text
        assert "2.5 of 3 points, given by a person" in text

    def test_says_that_an_answer_waits_and_shows_it_harmless(self, room):
        text = self.text(room, "dora")
        assert "waits for a person" in text and "<strong>bold</strong>" in text

    def test_of_an_ungradable_hand_in_says_why_and_gives_no_points(self, room):
        text = self.text(room, "eve <b>")
        assert "<strong>Ungradable.</strong> Cut off &lt;script&gt;" in text and "none yet</b>" in text

    def test_cuts_what_was_printed_and_shows_pictures_and_exploration_as_handed_in(self, room):
        text = self.text(room, "dora")
        assert "[cut after 2,000 characters]" in text and "y" * 2000 not in text.replace("y" * 1900, "", 1)
        assert f"data:image/png;base64,{PICTURE}" in text and "They were not run for grading" in text


class TestTheReport:
    def test_has_a_row_for_everyone_with_state_and_reason(self, room):
        text = pages(room)[0].read_text("utf-8")
        assert text.count('<th scope="row"><a href="../feedback/') == 5
        assert "Cut off &lt;script&gt;alert(1)&lt;/script&gt;." in text and "eve &lt;b&gt;" in text
        assert "../feedback/eve%20%3Cb%3E/tiny_line.html" in text

    def test_counts_who_solved_an_exercise_and_the_hints_they_got(self, room):
        loss = exercise_statistics(room.results)[0]
        assert (loss.name, loss.judged, loss.solved) == ("loss", 4, 1)
        assert loss.hints == [("Take the mean.", 2), ("Not written yet.", 1)]

    def test_s_distribution_has_everybody_who_was_graded(self, room):
        bins = histogram([0, 1.2, 12, 12, 11.9], 12)
        assert [b["count"] for b in bins] == [1, 1, 0, 0, 0, 0, 0, 0, 0, 3]
        assert "1 with 9.6 to 10.8 points" in pages(room)[0].read_text("utf-8")

    def test_is_stamped(self, room):
        assert "<strong>Not isolated.</strong>" in pages(room)[0].read_text("utf-8")


class TestExports:
    def rows(self, room, to):
        path, remarks = export(tiny(), room, to)
        return list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""))), remarks

    def test_grades_csv_says_what_the_gradebook_says(self, room):
        table, _ = self.rows(room, "csv")
        rows = {r[0].lstrip("'"): dict(zip(table[0], r, strict=True)) for r in table[1:]}
        assert rows.keys() == room.standings.keys()
        for student, standing in room.standings.items():
            row = rows[student]
            if student.startswith("eve"):
                assert row["final"] == row["score"] == row["test_loss"] == ""  # not 0
                continue
            assert float(row["final"]) == standing.final and float(row["score"]) == standing.score
            assert float(row["late_penalty"]) == standing.penalty
            for name, cell in standing.cells.items():
                pending = cell.auto is None and cell.manual is None
                assert row[name] == ("" if pending else f"{cell.score:g}")
            assert row["pending"] == ("yes" if standing.pending else "no")
        assert table[3][0] == "'=1+1" or table[1][0] == "'=1+1"  # no spreadsheet computes a name

    def test_canvas_gets_its_columns_and_the_points_possible(self, room):
        table, remarks = self.rows(room, "canvas")
        assert table[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "tiny_line"]
        assert table[1] == ["Points Possible", "", "", "", "", "12"]
        points = {r[3]: r[5] for r in table[2:]}
        assert (points["ada"], points["bob & co"], points["eve <b>"]) == ("10", "7", "")
        assert [r[0] for r in table if r[3] == "ada"] == ["Lovelace, Ada"]
        assert any("eve <b>" in r for r in remarks) and any("dora" in r and "by hand" in r for r in remarks)

    def test_moodle_gets_its_columns(self, room):
        table, _ = self.rows(room, "moodle")
        wanted = ["First name", "Last name", "Username", "ID number", "Email address", "Assignment: tiny_line"]
        assert table[0] == wanted
        assert ["Ada", "Lovelace", "ada", "", "", "10"] in table

    def test_anything_else_is_refused(self, room, tmp_path):
        with pytest.raises(AutograderError, match="csv, canvas, moodle"):
            export(tiny(), room, "excel")
        hand_in(tmp_path, "ada", "{}")
        with pytest.raises(AutograderError, match="wanted a graded class"):
            export(tiny(), Classroom(tmp_path), "csv")


class TestResults:
    def test_come_back_from_their_file_as_they_went_in(self, room):
        for result in room.results:
            assert load(room.result("tiny_line", result.student)) == result

    @pytest.mark.parametrize("text", ["{", "[]", "{}", '{"schema": "unmagic/result/1", "nonsense": 1}'])
    def test_of_another_kind_are_errors_and_made_anew(self, text, tmp_path):
        with pytest.raises(ValueError):
            from_json(text)
        (tmp_path / "x.json").write_text(text)
        assert load(tmp_path / "x.json") is None


@pytest.mark.parametrize(
    ("source", "gone", "kept"),
    [
        pytest.param("<img src=x onerror=alert(1)>", "<img", "&lt;img", id="raw-html"),
        pytest.param("[x](javascript:alert(1))", "href", "x", id="script-link"),
        pytest.param("[x](data:text/html,<script>)", "href", "x", id="data-link"),
        pytest.param("![x](http://e.com/a.png)", "<img", "", id="picture-from-elsewhere"),
        pytest.param("<http://e.com>", "<http", 'href="http://e.com"', id="autolink"),
        pytest.param("a < b & c", "< b", "a &lt; b &amp; c", id="less-than"),
        pytest.param("| a | b |\n|---|---|\n| 1 | 2 |", "|--", "<table>", id="table"),
    ],
)
def test_markdown_becomes_harmless_html(source, gone, kept):
    html = sanitise.markdown(source)
    assert gone not in html and kept in html


def test_a_markdown_cell_means_nothing_more_when_it_is_read_a_second_time():
    from nbconvert.filters.markdown_mistune import markdown2html_mistune

    sneaky = "`[a](javascript:alert(1))`\n\n```\n\n<script>alert(2)</script>\n\n[b](javascript:alert(3))\n```\n\\<b\\>"
    cell = sanitise.markdown_cell(sneaky)
    assert not re.search(r"[\[\]`*_\\]|\n\n", cell)  # whichever reader it is: nothing is left to be read as markdown
    shown = markdown2html_mistune(cell)
    assert "<script" not in shown and 'href="javascript' not in shown and "<b>" not in shown
    assert "alert(2)" in shown  # as text


def test_the_students_notebook_and_the_source_have_the_same_graded_cells():
    """The feedback finds a cell by its grade id in either."""
    ids = [
        [c.metadata.get("nbgrader", {}).get("grade_id") for c in make(tiny()).cells]
        for make in (source_notebook, student_notebook)
    ]
    assert ids[0] == ids[1]
