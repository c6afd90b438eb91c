"""What a student is told, and what a hand-in is called."""

import nbformat
import pytest

from autograder import sanitise
from autograder.execution import Limits
from autograder.marking import Task, mark
from autograder.release import filled_cell, source_notebook, student_notebook
from tests.handins import SUM, hand_in, solved, tiny

HIDDEN = sanitise.hidden_lines([c.source for c in source_notebook(tiny()).cells])


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    """Marks a notebook of the tiny lab."""
    lab, root = tiny(), tmp_path_factory.mktemp("class")

    def mark_one(notebook, seconds=5.0):
        folder = hand_in(root, "ada", notebook).parent
        source, released = nbformat.writes(source_notebook(lab)), nbformat.writes(student_notebook(lab))
        limits = Limits(cell_seconds=seconds)
        return mark(Task(lab.name, "ada", folder, source, released, (), "seed", "none", limits, root, {}))

    return mark_one


def cells(marked):
    return {c.grade_id: c for c in marked.result.cells}


def test_everything_right_everything_said(marked):
    """One notebook, in which each exercise goes wrong in its own way."""
    notebook = solved({
        "loss": SUM.replace("return", "import sys; print('so far'); print('careful', file=sys.stderr)\n    return"),
        "slope": "def slope(p, t)\n    return 1",
        "step": "def step(v, r):\n    return helper(v)\n\ndef helper(v):\n    raise ValueError(f'no {v}')",
    })  # fmt: skip
    result = marked(notebook).result
    found = {c.grade_id: c for c in result.cells}
    loss = found["test_loss"]
    assert (loss.points, loss.ok, loss.kind) == (0.0, False, "value")
    assert "Found 5, wanted 2.5" in loss.message and "Hint" not in loss.message
    assert loss.hint == "Take the mean over the points, not the sum."
    assert loss.output == "so far\ncareful\n"
    one = found["test_loss__one_point"]
    assert (one.points, one.ok, one.message) == (1.0, True, "")  # what went to stderr costs nothing
    slope = found["test_slope"]
    assert (slope.kind, [(line.number, line.text) for line in slope.lines]) == ("syntax", [(1, "def slope(p, t)")])
    step = found["test_step"]
    assert (step.kind, step.message) == ("error", "ValueError: no 1.0")
    assert [(line.cell, line.number) for line in step.lines] == [("step", 2), ("step", 5)]
    assert (found["why"].kind, found["why"].points) == ("manual", None)
    assert (result.state, result.reason_code, result.points, result.max_points) == ("graded", "syntax_error", 1, 9)


def test_what_is_not_written_is_called_so_and_what_needs_it_too(marked):
    notebook = solved({"slope": filled_cell(student_notebook(tiny()), "slope").source})
    result = marked(notebook).result
    kinds = {c.grade_id: c.kind for c in result.cells}
    assert (kinds["test_slope"], kinds["test_step"]) == ("not_done", "depends")
    assert (result.state, result.reason_code) == ("graded", "not_done")


def test_an_answer_that_is_missing_or_stopped_is_blamed_not_the_test(marked):
    notebook = solved({"slope": "while True: pass"})
    notebook.cells.remove(filled_cell(notebook, "loss"))
    result = marked(notebook, seconds=1).result
    found = {c.grade_id: c for c in result.cells}
    assert (found["test_loss"].kind, found["test_slope"].kind, found["test_step"].kind) == (
        "missing",
        "timeout",
        "depends",
    )
    assert found["test_slope"].message == "Your cell “slope”: Stopped: took more than 1 s."
    assert result.reason_code == "time_limit"


def test_no_answer_in_words_is_0_and_an_answer_waits(marked):
    stub = filled_cell(student_notebook(tiny()), "why").source
    found = cells(marked(solved({"why": stub})))
    assert (found["why"].points, found["why"].kind) == (0.0, "no_answer")


def test_a_notebook_that_loses_its_kernel_too_often_is_partial(marked):
    dead = "import os; os._exit(1)"
    notebook = solved({"slope": dead, "step": dead})
    notebook.cells.insert(notebook.cells.index(filled_cell(notebook, "slope")), nbformat.v4.new_code_cell(dead))
    result = marked(notebook).result
    found = {c.grade_id: c for c in result.cells}
    assert (found["test_loss"].points, found["test_step"].points, found["test_step"].kind) == (2, None, "not_judged")
    assert (result.state, result.reason_code) == ("partial", "kernel_died")
    assert "step" in result.reason


def test_a_hidden_test_s_text_is_in_nothing_that_is_told(marked):
    """The code asks for whatever it can see of the cell that calls it, and prints it, raises it and returns it."""
    spy = (
        "def loss(p, t):\n    import inspect, linecache\n"
        "    text = ''.join(linecache.getlines(inspect.stack()[1].filename)) + str(In)\n    print(text)\n"
        "    raise ValueError(text)"
    )
    done = marked(solved({"loss": spy, "slope": spy.replace("loss", "slope").replace("raise", "return")}))
    told = done.result.to_json()
    assert "hidden test is not shown" in told  # it was there to be seen
    assert HIDDEN and not [line for line in HIDDEN if line in told]


def test_a_test_that_ends_with_a_number_gives_that_many_points(tmp_path):
    lab = tiny()
    source = source_notebook(lab)
    filled_cell(source, "test_step").source = "1.5"
    folder = hand_in(tmp_path, "ada", solved()).parent
    released = nbformat.writes(student_notebook(lab))
    task = Task(lab.name, "ada", folder, nbformat.writes(source), released, (), "s", "none", Limits(), tmp_path, {})
    step = cells(mark(task))["test_step"]
    assert (step.points, step.ok, step.kind) == (1.5, False, "partial")


def test_formgrader_s_notebook_has_the_lab_s_metadata_and_nothing_alive(marked):
    notebook = solved({"why": "<script>alert(1)</script> [click](javascript:alert(1)) ![x](http://evil/x.png) **so**"})
    notebook.cells[3].metadata["tags"] = ["skip-execution"]
    notebook.cells.append(nbformat.v4.new_markdown_cell("<img src=x onerror=alert(1)> `[a](javascript:alert(2))`"))
    shown = nbformat.reads(marked(notebook).notebook, as_version=4)
    nbformat.validate(shown)
    text = "\n".join(c.source for c in shown.cells if c.cell_type == "markdown")
    assert "<script" not in text and "<img" not in text and "](" not in text and "<strong>so</strong>" in text
    released = student_notebook(tiny())
    for cell in released.cells:
        if mark_ := cell.metadata.get("nbgrader"):
            assert filled_cell(shown, mark_["grade_id"]).metadata["nbgrader"] == mark_
    assert not any("tags" in c.metadata for c in shown.cells)
