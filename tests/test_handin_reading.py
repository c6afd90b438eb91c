"""Whatever lies in a hand-in's folder, reading it ends in a notebook or in a reason; nothing is believed."""

import json
import os

import nbformat
import pytest

from autograder.fitting import answer_ids
from autograder.handin import HandinError, fingerprint, read_handin, read_notebook
from autograder.release import source_notebook
from tests.handins import solved, tiny

LAB = "tiny_line"


@pytest.fixture(scope="module")
def ids():
    return answer_ids(source_notebook(tiny()))


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / LAB
    path.mkdir()
    return path


def reason(folder, ids) -> str:
    with pytest.raises(HandinError) as caught:
        read_handin(folder, LAB, ids)
    assert caught.value.text.endswith(".") and len(caught.value.text) > 30  # a sentence that a person can act on
    return caught.value.code


GOOD = nbformat.writes(solved())
UNREADABLE = [
    pytest.param(b"", "empty_file", id="empty"),
    pytest.param(b" \n", "empty_file", id="blank"),
    pytest.param(GOOD.encode()[: len(GOOD) // 2], "truncated", id="cut-off"),
    pytest.param(GOOD.encode()[: GOOD.index("def loss") + 5], "truncated", id="cut-off-inside-a-string"),
    pytest.param(GOOD.replace('"cells"', "cells", 1).encode(), "invalid_json", id="invalid-json"),
    pytest.param(GOOD.replace('"cells": [', "<<<<<<< HEAD\n", 1).encode(), "invalid_json", id="git-conflict"),
    pytest.param(b'{"cells": ' + b"[" * 200_000, "invalid_json", id="nested-too-deeply"),
    pytest.param(b'{"cells": [], "nbformat": ' + b"9" * 10_000 + b"}", "invalid_json", id="endless-number"),
    pytest.param(b"[1, 2]", "not_a_notebook", id="json-list"),
    pytest.param(b'{"name": "me"}', "not_a_notebook", id="json-object"),
    pytest.param(b'{"nbformat": 4, "cells": {"a": 1}}', "not_a_notebook", id="cells-are-no-list"),
    pytest.param(b'{"nbformat": 4, "cells": [1]}', "not_a_notebook", id="a-cell-is-a-number"),
    pytest.param(b"PK\x03\x04\xff\xfe", "not_a_notebook", id="zip"),
    pytest.param(b"%PDF-1.7", "not_a_notebook", id="pdf"),
    pytest.param(b"<html><body>Sign in</body></html>", "not_a_notebook", id="sign-in-page"),
    pytest.param(b"def loss(p, t): return 0", "not_a_notebook", id="python-script"),
    pytest.param(b'{"nbformat": 5, "cells": []}', "wrong_nbformat", id="format-of-the-future"),
    pytest.param(b'{"nbformat": 2, "worksheets": []}', "wrong_nbformat", id="format-2"),
    pytest.param(b'{"nbformat": "four", "cells": []}', "wrong_nbformat", id="format-is-a-word"),
    pytest.param(b'{"nbformat": 4, "cells": []}', "no_known_cells", id="no-cells"),
]


@pytest.mark.parametrize(("data", "code"), UNREADABLE)
def test_a_file_that_cannot_be_read_has_a_reason(folder, ids, data, code):
    (folder / f"{LAB}.ipynb").write_bytes(data)
    assert reason(folder, ids) == code


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(folder, ids):
    (folder / f"{LAB}.ipynb").write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    cells = read_handin(folder, LAB, ids).cells
    assert [c.source for c in cells] == [c.source for c in solved().cells]


def test_a_notebook_in_format_3_is_read(folder, ids):
    old = nbformat.v3.new_notebook(worksheets=[nbformat.v3.new_worksheet(cells=[])])
    for cell in solved().cells:
        if cell.cell_type == "code":
            code = nbformat.v3.new_code_cell(input=cell.source, metadata=dict(cell.metadata))
            old.worksheets[0].cells.append(code)
    (folder / f"{LAB}.ipynb").write_text(json.dumps(old))
    assert {c.grade_id for c in read_handin(folder, LAB, ids).cells} >= ids - {"why"}


class TestTheFolder:
    def test_without_a_notebook(self, folder, ids):
        (folder / "notes.txt").write_text("sorry")
        assert reason(folder, ids) == "no_notebook"

    def test_that_is_a_file(self, tmp_path, ids):
        (tmp_path / LAB).write_text(GOOD)
        assert reason(tmp_path / LAB, ids) == "not_a_folder"

    def test_that_is_a_link(self, tmp_path, ids):
        other = tmp_path / "neighbour"
        other.mkdir()
        (other / f"{LAB}.ipynb").write_text(GOOD)
        (tmp_path / LAB).symlink_to(other)
        assert reason(tmp_path / LAB, ids) == "symlink"

    def test_with_a_link_for_a_notebook(self, folder, tmp_path, ids):
        (tmp_path / "neighbour.ipynb").write_text(GOOD)
        (folder / f"{LAB}.ipynb").symlink_to(tmp_path / "neighbour.ipynb")
        assert reason(folder, ids) == "symlink"

    def test_with_a_pipe_for_a_notebook_is_not_waited_for(self, folder, ids):
        os.mkfifo(folder / f"{LAB}.ipynb")
        assert reason(folder, ids) == "not_a_file"
        fingerprint(folder, LAB)

    def test_with_two_notebooks_the_one_with_the_lab_s_name_counts(self, folder, ids):
        (folder / f"{LAB}.ipynb").write_text(GOOD)
        (folder / "A copy.ipynb").write_text("{")
        handin = read_handin(folder, LAB, ids)
        assert handin.path.name == f"{LAB}.ipynb"
        assert [n.code for n in handin.notes] == ["two_notebooks"]

    def test_with_two_other_names_the_only_one_of_this_lab_counts(self, folder, ids):
        (folder / "descent (1).ipynb").write_text(GOOD)
        (folder / "shopping.ipynb").write_text(nbformat.writes(nbformat.v4.new_notebook()))
        handin = read_handin(folder, LAB, ids)
        assert (handin.path.name, [n.code for n in handin.notes]) == ("descent (1).ipynb", ["renamed"])

    def test_with_two_candidates_none_is_guessed(self, folder, ids):
        (folder / "one.ipynb").write_text(GOOD)
        (folder / "two.ipynb").write_text(GOOD)
        assert reason(folder, ids) == "two_notebooks"


class TestAnotherLab:
    def test_by_its_exercises(self, folder, ids):
        notebook = solved()
        for cell in notebook.cells:
            if mark := cell.metadata.get("nbgrader"):
                mark["grade_id"] = mark["grade_id"].replace("loss", "fires").replace("slope", "learn")
                cell["id"] = f"x{cell['id']}"
        (folder / f"{LAB}.ipynb").write_text(nbformat.writes(notebook))
        # two exercises of another lab, and two cells (step, why) of this one
        assert read_handin(folder, LAB, ids)
        notebook.cells = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") != "why"]
        (folder / f"{LAB}.ipynb").write_text(nbformat.writes(notebook))
        assert reason(folder, ids) == "another_lab"

    def test_by_the_name_in_its_metadata(self, folder, ids):
        notebook = solved()
        notebook.metadata["unmagic"] = {"lab": "descent"}
        (folder / f"{LAB}.ipynb").write_text(nbformat.writes(notebook))
        assert reason(folder, ids) == "another_lab"

    def test_a_notebook_of_one_s_own_is_told_so(self, folder, ids):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(1)")])
        (folder / f"{LAB}.ipynb").write_text(nbformat.writes(notebook))
        assert reason(folder, ids) == "no_known_cells"


class TestWhatIsKept:
    def test_of_outputs_only_text_and_png_and_not_too_much(self, folder):
        notebook = solved()
        picture = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
        output = nbformat.v4.new_output(
            "display_data",
            {"text/html": "<script>alert(1)</script>", "image/png": picture, "image/svg+xml": "<svg/>"},
        )
        fake = nbformat.v4.new_output("display_data", {"image/png": "PHN2Zz4=", "application/javascript": "alert(1)"})
        loud = nbformat.v4.new_output("stream", name="stdout", text="x" * 5_000_000)
        plain = nbformat.v4.new_output("stream", name="stdout", text="\x1b[31mred\x1b[0m \x1b]0;title\x07\u202eback")
        notebook.cells[3].outputs = [output, fake, loud, plain]
        (folder / f"{LAB}.ipynb").write_text(nbformat.writes(notebook))
        handin = read_notebook(folder / f"{LAB}.ipynb")
        kept = handin.cells[3].outputs
        assert [o["output_type"] for o in kept] == ["display_data", "stream"]
        assert kept[0]["data"] == {"image/png": picture}
        assert kept[1]["text"] == "red back"
        assert [n.code for n in handin.notes] == ["outputs_dropped"]

    def test_half_a_surrogate_pair_becomes_something_that_can_be_written(self, folder):
        (folder / f"{LAB}.ipynb").write_text(GOOD.replace("predictions", "\\ud800"))
        assert all(c.source.encode("utf-8") for c in read_notebook(folder / f"{LAB}.ipynb").cells)

    def test_metadata_of_any_shape_is_no_trouble(self, folder):
        raw = json.loads(GOOD)
        for cell, junk in zip(
            raw["cells"], ([], "text", 7, {"nbgrader": 3}, {"nbgrader": {"grade_id": ["x"]}}), strict=False
        ):
            cell["metadata"], cell["outputs"], cell["id"] = junk, {"a": 1}, 5
        (folder / f"{LAB}.ipynb").write_text(json.dumps(raw))
        assert [c.grade_id for c in read_notebook(folder / f"{LAB}.ipynb").cells[:5]] == [""] * 5


def test_the_fingerprint_changes_with_whatever_decides_and_with_nothing_else(folder):
    before = fingerprint(folder, LAB)
    (folder / f"{LAB}.ipynb").write_text(GOOD)
    first = fingerprint(folder, LAB)
    (folder / "timestamp.txt").write_text("2026-03-01 10:00:00 UTC")
    assert before != first == fingerprint(folder, LAB)
    (folder / "other.ipynb").write_text("{}")
    assert fingerprint(folder, LAB) != first
