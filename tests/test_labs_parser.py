"""A lab's source is read as written, and what cannot be used is refused with the place and the cure."""

from pathlib import Path

import pytest

from autograder.labs import LabError, UnknownLabError, load_lab
from autograder.labs.names import names_of

LABS = Path(__file__).parent / "labs"

SETUP = '# %% setup="imports"\nfrom unmagic import checks\n\n'
SOLUTION = '# %% solution="loss"\ndef loss(x):\n    ### BEGIN SOLUTION\n    return x\n    ### END SOLUTION\n\n'
TESTS = '# %% tests="loss" points=2\nassert loss(1) == 1\n'


@pytest.fixture
def lab():
    return load_lab(LABS / "two_small_steps")


@pytest.fixture
def load(tmp_path):
    """Loads a lab from the text of its files."""

    def load(lab, **variants):
        folder = tmp_path / "small"
        folder.mkdir(exist_ok=True)
        (folder / "lab.py").write_text(lab, encoding="utf-8")
        for name, text in variants.items():
            (folder / f"{name}.py").write_text(text, encoding="utf-8")
        return load_lab(folder)

    return load


class TestReading:
    def test_cells_have_kind_name_points_and_id_in_the_source_s_order(self, lab):
        cells = [(c.kind, c.name, c.points, c.grade_id) for c in lab.cells if c.kind != "prose"]
        assert cells == [
            ("setup", "imports", 0, "setup_imports"),
            ("setup", "data", 0, "setup_data"),
            ("solution", "loss", 0, "loss"),
            ("tests", "loss", 2, "test_loss"),
            ("tests", "loss:dtype", 1, "test_loss__dtype"),
            ("explore", "many_losses", 0, ""),
            ("solution", "step", 0, "step"),
            ("tests", "step", 2, "test_step"),
            ("manual", "in_words", 3, "in_words"),
        ]

    def test_a_lab_knows_its_name_exercises_and_points(self, lab):
        assert (lab.name, lab.exercises, lab.points) == ("two_small_steps", ("loss", "step"), 8)

    def test_line_numbers_are_those_of_the_file(self, lab):
        lines = (lab.folder / "lab.py").read_text(encoding="utf-8").split("\n")
        for cell in lab.cells:
            assert lines[cell.line - 1].startswith("# %%")
            if cell.kind not in ("prose", "manual"):  # of these the comment signs are taken off
                assert lines[cell.first_line - 1 :][: cell.source.count("\n") + 1] == cell.source.split("\n")

    def test_blank_lines_below_a_header_do_not_shift_line_numbers(self, load):
        cell = load(SETUP + SOLUTION + '# %% tests="loss" points=2\n\n\nassert loss(1) == 1\n').cell("test_loss")
        assert (cell.source, cell.first_line - cell.line) == ("assert loss(1) == 1", 3)

    def test_markdown_loses_its_comment_signs(self, lab):
        assert lab.cells[0].source.startswith("# Two small steps\nWe take")

    def test_a_comment_that_looks_like_a_magic_stays_a_comment(self, load):
        assert (
            load("# %% explore\n# %timeit x\n# !ls\n" + SETUP + SOLUTION + TESTS).cells[0].source
            == "# %timeit x\n# !ls"
        )

    def test_explore_may_stand_without_a_name(self, load):
        assert load(SETUP + "# %% explore\nprint(1)\n" + SOLUTION + TESTS).cells[1].kind == "explore"

    def test_solution_has_no_markers(self, lab):
        assert "###" not in lab.solution("loss").solution
        assert "mean_square = (x**2).mean()" in lab.solution("loss").solution

    def test_visible_part_has_no_hidden_tests(self, lab):
        visible = lab.cell("test_loss").visible
        assert "HIDDEN" not in visible and "reference" not in visible and "14 / 3" in visible

    def test_variants_say_what_they_replace_and_what_must_fail(self, lab):
        mistake = lab.mistakes[1]
        found = (mistake.kind, mistake.name, mistake.exercise, mistake.fails, mistake.fails_id, mistake.hint)
        assert found == ("mistake", "float32_inside", "loss", "loss:dtype", "test_loss__dtype", "dtype")
        assert mistake.source.startswith("# converts first") and mistake.source.endswith("mean()")
        assert [(a.name, a.exercise, a.fails) for a in lab.alternatives] == [
            ("dot_product", "loss", ""),
            ("by_hand", "step", ""),
        ]

    @pytest.mark.parametrize("text", ["", "# nobody has made a mistake yet\n"], ids=["empty", "a comment only"])
    def test_a_lab_may_have_no_mistakes_yet(self, load, text):
        assert load(SETUP + SOLUTION + TESTS, mistakes=text).mistakes == ()

    def test_cell_ids_are_valid_and_unique_also_for_equal_prose(self, load):
        prose = "# %% [markdown]\n# Now you.\n\n"
        long = "a" * 80
        ids = load(prose + SETUP + prose + SOLUTION + TESTS + f'# %% explore="{long}"\n1\n').cell_ids
        assert len(set(ids)) == len(ids) == 6
        assert all(len(i) <= 64 and i.replace("-", "").replace("_", "").isalnum() for i in ids)

    def test_a_new_paragraph_changes_no_other_cell_s_id(self, load):
        before = load(SETUP + "# %% [markdown]\n# One.\n\n" + SOLUTION + TESTS).cell_ids
        after = load("# %% [markdown]\n# Zero.\n\n" + SETUP + "# %% [markdown]\n# One.\n\n" + SOLUTION + TESTS).cell_ids
        assert after[1:] == before


class TestNames:
    def test_a_function_s_own_variables_are_neither_defined_nor_used(self):
        names = names_of(
            "def f(x, scale=BASE):\n    y = x * other\n    return [y for z in x]\nclass C(f): pass\nimport a.b as c"
        )
        assert names.defined == {"f", "C", "c"}
        assert names.used == {"BASE", "other", "f"}

    def test_a_global_that_a_function_writes_is_defined(self):
        assert names_of("def f():\n    global best\n    best = 1").defined == {"f", "best"}

    def test_reference_source_has_what_the_names_need_and_no_more(self, lab):
        assert "def step" not in lab.reference_source(["loss"])
        step = lab.reference_source(["step"])
        assert step.index("def loss") < step.index("def step") and "###" not in step

    def test_dependents_are_the_tests_that_use_an_exercise_directly_or_through_another(self, lab):
        assert [cell.name for cell in lab.dependents("loss")] == ["loss", "loss:dtype", "step"]
        assert [cell.name for cell in lab.dependents("step")] == ["step"]

    def test_dependence_through_the_visible_part_alone_is_seen(self, load):
        text = (
            SETUP + SOLUTION + TESTS + SOLUTION.replace("loss", "other") + TESTS.replace("loss", "other") + "loss(2)\n"
        )
        assert [cell.name for cell in load(text).dependents("loss")] == ["loss", "other"]

    def test_dependence_through_the_reference_alone_is_seen(self, load):
        text = SETUP + SOLUTION + HIDDEN + SOLUTION.replace("loss", "other") + HIDDEN.replace('"loss"', '"other"')
        text = text.replace('tests="other" points=2\nassert loss(1) == 1', 'tests="other" points=2')
        assert [cell.name for cell in load(text).dependents("loss")] == ["loss", "other"]

    def test_reference_is_made_on_the_first_line_of_the_hidden_block_and_runs(self, lab):
        lines = lab.source_with_reference(lab.cell("test_step")).split("\n")
        at = lines.index("### BEGIN HIDDEN TESTS")
        assert lines[at + 1].startswith("reference = checks.reference('''")
        space = {}
        for cell in lab.cells:
            if cell.kind in ("setup", "solution", "tests"):
                exec(lab.source_with_reference(cell), space)
        assert space["reference"].step is not space["step"]

    @pytest.mark.parametrize("body", [r"return ('\n\\')", "return \"'''\"", "return ('λ' + r'\\d')", "return 'x'"])
    def test_reference_source_survives_being_written_into_a_cell(self, load, body):
        solution = SOLUTION.replace("return x", body)
        hidden = "### BEGIN HIDDEN TESTS\nassert reference.loss(1) == loss(1)\n### END HIDDEN TESTS\n"
        lab = load(SETUP + solution + '# %% tests="loss" points=1\n' + hidden)
        space = {}
        for cell in lab.cells:
            exec(lab.source_with_reference(cell), space)


HIDDEN = TESTS + "### BEGIN HIDDEN TESTS\nassert reference.loss(2) == 2\n### END HIDDEN TESTS\n"
REFUSED = {
    "unknown-header-key": (
        SETUP + SOLUTION + TESTS.replace("points=2", 'points=2 weight="3"'),
        10,
        "'weight'",
        "no other key",
    ),
    "misspelled-kind": (SETUP + SOLUTION.replace("solution=", "solutoin=") + TESTS, 4, "solutoin", "header such as"),
    "cell-without-kind": (SETUP + "# %%\nx = 1\n" + SOLUTION + TESTS, 4, "without a known kind", "header such as"),
    "raw-cell": (SETUP + "# %% [raw]\n# x\n" + SOLUTION + TESTS, 4, "without a known kind", "header such as"),
    "code-above-the-first-cell": ("import os\n" + SETUP + SOLUTION + TESTS, 1, "code above", "in a cell"),
    "value-without-quotes": (
        SETUP + SOLUTION.replace('"loss"', "loss", 1) + TESTS,
        4,
        "solution=loss",
        "header such as",
    ),
    "tests-without-points": (SETUP + SOLUTION + TESTS.replace(" points=2", ""), 10, "without points", "number above 0"),
    "points-in-quotes": (SETUP + SOLUTION + TESTS.replace("2", '"2"', 1), 10, "points='2'", "number above 0"),
    "points-in-words": (SETUP + SOLUTION + TESTS.replace("2", "two", 1), 10, "points=two", "plain number"),
    "points-below-zero": (SETUP + SOLUTION + TESTS.replace("2", "-2", 1), 10, "points=-2", "number above 0"),
    "points-true": (SETUP + SOLUTION + TESTS.replace("2", "true", 1), 10, "points=True", "number above 0"),
    "points-nan": (SETUP + SOLUTION + TESTS.replace("2", "NaN", 1), 10, "points=nan", "number above 0"),
    "manual-in-a-code-cell": (SETUP + SOLUTION + TESTS + '# %% manual="why" points=2\n', 12, "of code", "[markdown]"),
    "solution-in-markdown": (SETUP + '# %% [markdown] solution="loss"\n# x\n', 4, "of markdown", "solution="),
    "name-is-no-identifier": (SETUP + SOLUTION.replace('"loss"', '"my loss"') + TESTS, 4, "'my loss'", "identifier"),
    "tests-name-with-three-parts": (
        SETUP + SOLUTION + TESTS.replace('"loss"', '"loss:a:b"'),
        10,
        "'loss:a:b'",
        "identifier",
    ),
    "tests-of-an-unknown-exercise": (
        SETUP + SOLUTION + TESTS + TESTS.replace('"loss"', '"los"'),
        12,
        "unknown exercise 'los'",
        "one of loss",
    ),
    "exercise-without-tests": (
        SETUP + SOLUTION + SOLUTION.replace("loss", "other") + TESTS,
        10,
        "'other' without tests",
        "tests cell",
    ),
    "no-exercise": (SETUP, 1, "without exercises", "at least one"),
    "solution-without-markers": (
        SETUP + '# %% solution="loss"\ndef loss(x):\n    return x\n' + TESTS,
        4,
        "'loss' without them",
        "BEGIN SOLUTION",
    ),
    "solution-not-ended": (
        SETUP + SOLUTION.replace("    ### END SOLUTION\n", "") + TESTS,
        6,
        "without `### END SOLUTION`",
        "in pairs",
    ),
    "solution-begun-twice": (
        SETUP + SOLUTION.replace("    return", "    ### BEGIN SOLUTION\n    return") + TESTS,
        7,
        "inside a block",
        "in pairs",
    ),
    "hidden-not-begun": (
        SETUP + SOLUTION + HIDDEN.replace("### BEGIN HIDDEN TESTS\n", ""),
        13,
        "without `### BEGIN",
        "in pairs",
    ),
    "hidden-not-ended": (
        SETUP + SOLUTION + HIDDEN.replace("### END HIDDEN TESTS\n", ""),
        12,
        "without `### END",
        "in pairs",
    ),
    "marker-misspelled": (
        SETUP + SOLUTION + HIDDEN.replace("### BEGIN", "## BEGIN"),
        12,
        "marker-like",
        "alone in its line",
    ),
    "hidden-in-a-solution": (
        SETUP + SOLUTION + "### BEGIN HIDDEN TESTS\n### END HIDDEN TESTS\n" + TESTS,
        10,
        "in a solution cell",
        "in a tests cell",
    ),
    "nothing-left-of-a-block": (
        SETUP
        + SOLUTION
        + TESTS
        + "if True:\n    ### BEGIN HIDDEN TESTS\n    assert loss(2)\n    ### END HIDDEN TESTS\n",
        12,
        "once the hidden tests are taken out",
        "plain Python",
    ),
    "syntax-error": (SETUP + SOLUTION + TESTS + "assert (\n", 12, "syntax error", "plain Python"),
    "magic": (SETUP + "# %% explore\n%matplotlib inline\n" + SOLUTION + TESTS, 5, "syntax error", "no magics"),
    "two-cells-of-one-name": (SETUP + SOLUTION + TESTS + TESTS, 12, "'loss' again", "'test_loss'"),
    "ids-that-collide": (
        SETUP + SETUP.replace("imports", "x") + SOLUTION.replace('"loss"', '"setup_x"') + TESTS,
        7,
        "again",
        "'setup_x'",
    ),
    "reference-of-an-unknown-name": (
        SETUP + SOLUTION + HIDDEN.replace("reference.loss", "reference.lost"),
        13,
        "`reference.lost`, which no",
        "one of loss",
    ),
    "reference-outside-of-a-hidden-block": (
        SETUP + SOLUTION + TESTS + "reference.loss(2)\n",
        12,
        "outside of a hidden",
        "hidden tests only",
    ),
    "reference-used-whole": (
        SETUP + SOLUTION + HIDDEN.replace("reference.loss", 'getattr(reference, "loss")'),
        13,
        "used whole",
        "reference.<name>",
    ),
    "reference-without-checks": (SOLUTION + HIDDEN, 7, "no `checks`", "from unmagic import checks"),
    "name-that-nobody-defines": (SETUP + SOLUTION + TESTS + "assert near(1)\n", 12, "near", "set-up or solution cells"),
    "name-of-an-exploration-in-tests": (
        SETUP + SOLUTION + "# %% explore\npath = 1\n" + TESTS + "assert path\n",
        14,
        "path",
        "not run when grading",
    ),
    "name-of-other-tests": (
        SETUP + SOLUTION + TESTS + "goal = 1\n" + TESTS.replace('"loss"', '"loss:b"') + "assert goal\n",
        15,
        "goal",
        "not run when grading",
    ),
    "student-s-name-in-set-up": (SETUP + "start = loss(1)\n" + SOLUTION + TESTS, 4, "loss", "set-up cells"),
    "tests-assign-the-student-s-name": (SETUP + SOLUTION + TESTS + "loss = 3\n", 10, "loss assigned by tests", "alone"),
    "name-of-set-up-and-solution": (
        SETUP + "loss = 1\n" + SOLUTION + TESTS,
        5,
        "loss defined by a set-up",
        "in one of them",
    ),
}


class TestRefused:
    @pytest.mark.parametrize(("text", "line", "found", "wanted"), REFUSED.values(), ids=REFUSED)
    def test_says_file_line_what_was_found_and_wanted_and_what_to_do(self, load, tmp_path, text, line, found, wanted):
        with pytest.raises(LabError) as caught:
            load(text)
        error = caught.value
        assert (error.file, error.line) == (tmp_path / "small" / "lab.py", line)
        assert found in error.found
        assert wanted in error.wanted
        assert str(error).startswith(f"{error.file}:{line}: found ") and "\n  Next: " in str(error)

    def test_the_parts_that_these_labs_are_made_of_are_accepted(self, load):
        assert load(SETUP + SOLUTION + HIDDEN).points == 2

    @pytest.mark.parametrize(
        ("file", "text", "line", "found"),
        [
            pytest.param(
                "mistakes",
                '# %% mistake="a" exercise="lost" fails="loss" hint="x"\n1',
                1,
                "exercise 'lost'",
                id="unknown-exercise",
            ),
            pytest.param(
                "mistakes",
                '# %% mistake="a" exercise="loss" fails="loss:b" hint="x"\n1',
                1,
                "tests cell 'loss:b'",
                id="unknown-tests",
            ),
            pytest.param(
                "mistakes", '# %% mistake="a" exercise="loss" fails="loss"\n1', 1, "without 'hint'", id="no-hint"
            ),
            pytest.param(
                "mistakes",
                '# %% mistake="a" exercise="loss" fails="loss" hint="x"\n1\n' * 2,
                3,
                "'a' again",
                id="twice",
            ),
            pytest.param("mistakes", '\n# %% alternative="a" exercise="loss"\n1', 2, "known kind", id="wrong-file"),
            pytest.param(
                "alternatives", '# %% alternative="a" exercise="loss"\nx = (\n', 2, "syntax error", id="syntax"
            ),
            pytest.param("alternatives", '# %% alternative="a" exercise="loss" fails="b"\n1', 1, "'fails'", id="key"),
        ],
    )
    def test_variants_that_fit_no_exercise(self, load, file, text, line, found):
        with pytest.raises(LabError) as caught:
            load(SETUP + SOLUTION + TESTS, **{file: text})
        assert (caught.value.file.name, caught.value.line) == (f"{file}.py", line)
        assert found in caught.value.found

    def test_an_unknown_lab_lists_those_that_exist(self):
        with pytest.raises(UnknownLabError, match=r"found no lab 'ascent'.*\n.*take one of:.*descent"):
            load_lab("ascent")
