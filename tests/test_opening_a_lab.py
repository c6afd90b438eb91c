"""Opening a lab from the book: a copy is made once, and a student's work is never written over."""

import pytest

from autograder.serving.opening import UnknownLab, open_lab


@pytest.fixture
def labs(tmp_path):
    folder = tmp_path / "labs" / "descent"
    folder.mkdir(parents=True)
    (folder / "descent.ipynb").write_text("release 1")
    return tmp_path / "labs"


def test_first_opening_copies_the_release_and_its_data_files(labs, tmp_path):
    (labs / "descent" / "data").mkdir()
    (labs / "descent" / "data" / "points.csv").write_text("1,2")
    opened = open_lab("descent", labs, tmp_path / "work")
    assert opened.copied
    assert opened.newer is None
    assert opened.notebook.read_text() == "release 1"
    assert (tmp_path / "work" / "descent" / "data" / "points.csv").read_text() == "1,2"


def test_opening_again_leaves_the_students_work_as_it_is(labs, tmp_path):
    notebook = open_lab("descent", labs, tmp_path / "work").notebook
    notebook.write_text("my work")
    opened = open_lab("descent", labs, tmp_path / "work")
    assert not opened.copied
    assert opened.newer is None
    assert notebook.read_text() == "my work"


def test_a_newer_release_is_laid_beside_the_work_once(labs, tmp_path):
    notebook = open_lab("descent", labs, tmp_path / "work").notebook
    notebook.write_text("my work")
    (labs / "descent" / "descent.ipynb").write_text("release 2")
    opened = open_lab("descent", labs, tmp_path / "work")
    assert notebook.read_text() == "my work"
    assert opened.newer.read_text() == "release 2"
    opened.newer.write_text("my work on release 2")
    again = open_lab("descent", labs, tmp_path / "work")
    assert again.newer is None
    assert opened.newer.read_text() == "my work on release 2"


def test_work_that_was_there_before_the_course_is_not_touched(labs, tmp_path):
    own = tmp_path / "work" / "descent" / "descent.ipynb"
    own.parent.mkdir(parents=True)
    own.write_text("handed to me by a friend")
    opened = open_lab("descent", labs, tmp_path / "work")
    assert own.read_text() == "handed to me by a friend"
    assert opened.newer.read_text() == "release 1"


def test_nothing_half_written_is_left(labs, tmp_path):
    open_lab("descent", labs, tmp_path / "work")
    (labs / "descent" / "descent.ipynb").write_text("release 2")
    open_lab("descent", labs, tmp_path / "work")
    names = {path.name for path in (tmp_path / "work" / "descent").iterdir()}
    assert {name for name in names if name.startswith(".")} == {".release.json"}


@pytest.mark.parametrize("name", ["nix", "..", "../solutions/descent", "Descent"])
def test_an_unknown_lab_is_named_with_the_labs_there_are(labs, tmp_path, name):
    with pytest.raises(UnknownLab, match="Released labs: descent"):
        open_lab(name, labs, tmp_path / "work")
    assert not (tmp_path / "work").exists()
