"""A hand-in is fitted into the lab's own notebook: the lab's cells stand, the answers go where they belong."""

import json

import nbformat
import pytest

from autograder.fitting import fit
from autograder.handin import read_notebook
from autograder.release import filled_cell, source_notebook, student_notebook
from tests.handins import solved, tiny

SOURCE, RELEASED = source_notebook(tiny()), student_notebook(tiny())


@pytest.fixture
def fitted(tmp_path):
    def fit_notebook(notebook):
        path = tmp_path / "notebook.ipynb"
        path.write_text(json.dumps(notebook))  # nbformat's own writer would mend ids that are there twice
        return fit(read_notebook(path), SOURCE, RELEASED)

    return fit_notebook


def by_id(cells):
    return {c.grade_id: c for c in cells if c.grade_id}


def new(source, kind="code", **metadata):
    make = nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell
    return make(source, metadata=metadata)


def at(notebook, grade_id):
    return notebook.cells.index(filled_cell(notebook, grade_id))


def ran(cells):
    return [c.grade_id or c.source for c in cells if c.run]


def test_what_was_given_out_and_solved_fits_without_a_word(fitted):
    cells, notes = fitted(solved())
    assert notes == []
    assert ran(cells) == [
        "setup_imports", "loss", "test_loss", "test_loss__one_point", "slope", "test_slope", "step", "test_step",
    ]  # fmt: skip
    assert [c.exercise for c in cells if c.kind == "tests"] == ["loss", "loss", "slope", "step"]
    assert "reference.loss" in by_id(cells)["test_loss"].source


class TestTheLabsCells:
    def test_a_deleted_test_is_put_back_and_said(self, fitted):
        notebook = solved()
        del notebook.cells[at(notebook, "test_slope")]
        cells, notes = fitted(notebook)
        assert by_id(cells)["test_slope"].source == filled_cell(SOURCE, "test_slope").source
        assert [(n.code, n.grade_id) for n in notes] == [("tests_restored", "test_slope")]

    def test_an_edited_test_is_replaced_and_said(self, fitted):
        notebook = solved()
        filled_cell(notebook, "test_slope").source = "assert True"
        cells, notes = fitted(notebook)
        assert by_id(cells)["test_slope"].source == filled_cell(SOURCE, "test_slope").source
        assert [(n.code, n.grade_id) for n in notes] == [("tests_restored", "test_slope")]

    def test_tags_points_and_kinds_are_the_lab_s(self, fitted):
        notebook = solved()
        test = filled_cell(notebook, "test_loss")
        test.metadata["tags"] = ["skip-execution"]
        test.metadata["nbgrader"] |= {"points": 100, "solution": True, "locked": False}
        cells, notes = fitted(notebook)
        cell = by_id(cells)["test_loss"]
        assert (cell.kind, cell.points, cell.run, cell.metadata["points"]) == ("tests", 2.0, True, 2.0)
        assert [n.code for n in notes] == ["points_edited"]

    def test_an_edited_set_up_cell_is_replaced(self, fitted):
        notebook = solved()
        filled_cell(notebook, "setup_imports").source += "\nchecks.assert_close = print"
        cells, notes = fitted(notebook)
        assert by_id(cells)["setup_imports"].source == filled_cell(SOURCE, "setup_imports").source
        assert [n.code for n in notes] == ["locked_restored"]


class TestAnswers:
    def test_are_found_by_the_cell_s_id_when_nbgrader_s_metadata_is_lost(self, fitted):
        notebook = solved({"slope": "def slope(*_): return 7"})
        for cell in notebook.cells:
            cell.metadata.clear()
        cells, notes = fitted(notebook)
        assert by_id(cells)["slope"].source == "def slope(*_): return 7"
        assert notes == []

    def test_that_are_missing_leave_a_gap_and_not_the_solution(self, fitted):
        notebook = solved()
        del notebook.cells[at(notebook, "slope")]
        cells, notes = fitted(notebook)
        slope = by_id(cells)["slope"]
        assert (slope.source, slope.run, slope.missing) == ("", False, True)
        assert [(n.code, n.grade_id) for n in notes] == [("cell_missing", "slope")]

    def test_made_markdown_are_graded_as_code(self, fitted):
        notebook = solved()
        index = at(notebook, "slope")
        old = notebook.cells[index]
        notebook.cells[index] = new(old.source, "markdown", **old.metadata)
        cells, notes = fitted(notebook)
        assert by_id(cells)["slope"].run and by_id(cells)["slope"].source == old.source
        assert [n.code for n in notes] == ["cell_type_changed"]

    def test_twice_the_last_one_worked_on_counts_and_the_other_runs_in_its_place(self, fitted):
        notebook = solved()
        index = at(notebook, "slope")
        mark = notebook.cells[index].metadata
        stub = filled_cell(RELEASED, "slope").source
        notebook.cells[index : index + 1] = [
            new("helper = 1", **mark),
            new("def slope(*_): return helper", **mark),
            new(stub, **mark),
        ]
        cells, notes = fitted(notebook)
        assert by_id(cells)["slope"].source == "def slope(*_): return helper"
        assert ran(cells)[4:7] == ["helper = 1", "slope", stub]
        assert [n.code for n in notes] == ["duplicate_cell"]

    def test_of_a_reordered_notebook_are_put_in_the_lab_s_order(self, fitted):
        notebook = solved()
        notebook.cells.reverse()
        cells, _ = fitted(notebook)
        assert ran(cells)[:3] == ["setup_imports", "loss", "test_loss"]


class TestCellsOfTheStudents:
    def test_stay_after_the_cell_they_stood_after(self, fitted):
        notebook = solved()
        notebook.cells.insert(at(notebook, "slope"), new("before_slope = 1"))
        notebook.cells.insert(at(notebook, "slope") + 1, new("after_slope = 1"))
        notebook.cells.insert(0, new("first = 1"))
        notebook.cells.append(new("last = 1"))
        cells, _ = fitted(notebook)
        order = [c.grade_id or c.source for c in cells]
        assert order[0] == "first = 1" and order[-1] == "last = 1"
        assert order.index("before_slope = 1") < order.index("slope") == order.index("after_slope = 1") - 1

    def test_that_are_copies_of_tests_are_not_run(self, fitted):
        notebook = solved()
        test = filled_cell(notebook, "test_loss")
        notebook.cells.insert(0, new("raise SystemExit", **test.metadata))
        cells, _ = fitted(notebook)
        assert "raise SystemExit" not in [c.source for c in cells]
        assert not [c for c in cells if c.kind == "extra"]  # nor is the one that was copied run twice


class TestExploration:
    def test_is_not_run_but_what_it_showed_is_kept(self, fitted):
        notebook = solved()
        explore = next(c for c in notebook.cells if c.source.startswith("rows"))
        explore.source = "while True: pass"
        explore.outputs = [nbformat.v4.new_output("stream", name="stdout", text="seen")]
        cells, notes = fitted(notebook)
        (cell,) = [c for c in cells if c.kind == "explore"]
        assert (cell.run, cell.handed_in[0]["text"], notes) == (False, "seen", [])

    def test_a_copy_of_it_is_not_run_either(self, fitted):
        notebook = solved()
        explore = next(c for c in notebook.cells if c.source.startswith("rows"))
        notebook.cells.append(nbformat.from_dict(explore))
        cells, _ = fitted(notebook)
        assert [c.run for c in cells if c.kind == "explore"] == [False, False]

    def test_that_defines_what_an_answer_needs_is_run_and_said_through_a_chain(self, fitted):
        notebook = solved({"step": "def step(v, r):\n    return v - r * my_slope(v)"})
        explore = next(c for c in notebook.cells if c.source.startswith("rows"))
        explore.source = "%matplotlib inline\nmy_slope = lambda v: factor * v"
        copy = nbformat.from_dict(explore)
        copy.source = "factor = 2"
        notebook.cells.insert(notebook.cells.index(explore), copy)
        cells, notes = fitted(notebook)
        assert [c.run for c in cells if c.kind == "explore"] == [True, True]
        assert [(n.code, n.grade_id) for n in notes] == [("explore_run", "step"), ("explore_run", "")]
        assert "`my_slope`" in notes[0].text

    def test_that_defines_what_an_answer_defines_as_well_is_not_needed(self, fitted):
        notebook = solved()
        explore = next(c for c in notebook.cells if c.source.startswith("rows"))
        explore.source = "def slope(*_): return 0\nzip = None"
        cells, notes = fitted(notebook)
        assert not any(c.run for c in cells if c.kind == "explore") and notes == []
