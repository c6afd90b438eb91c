"""The book's own extension, piece by piece: what counts as a typed number, Markdown from a page, tables of timings."""

import json
import sys

import pytest
from demo_book import REPOSITORY
from docutils import nodes

sys.path.insert(0, str(REPOSITORY / "book" / "_ext"))

from unmagic_book import markdown, prose, timings


class TestTypedNumbers:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            pytest.param("a rate of 0.1", ["0.1"], id="decimal"),
            pytest.param("below .05", [".05"], id="decimal-without-zero"),
            pytest.param("256 filters", ["256"], id="three-digits"),
            pytest.param("60,000 digits", ["60,000"], id="thousands"),
            pytest.param("a 224×224 image", ["224", "224"], id="size"),
            pytest.param("in 1998 and 2017", [], id="years"),
            pytest.param("8192 images", ["8192"], id="four-digits-that-are-no-year"),
            pytest.param("two, 3 or 16 of 32×32", [], id="small-whole-numbers"),
            pytest.param("ResNet50 and VGG16", [], id="names"),
        ],
    )
    def test_found_are(self, text, found):
        assert prose.typed_numbers(text) == found

    def test_chapters_are_the_pages_in_a_part_s_folder(self):
        assert prose.is_chapter("book/descent/batch_vs_stochastic")
        assert not prose.is_chapter("book/notation")


class TestMarkdown:
    """Nodes as Sphinx leaves them; JupyterLab reads CommonMark with tables and dollar maths."""

    def written(self, *blocks) -> str:
        document = nodes.document(None, None)
        document += blocks
        (part,) = markdown.parts(document, REPOSITORY)
        return part.text

    def test_what_would_be_markup_is_escaped(self):
        assert self.written(nodes.paragraph(text="2*3 [x] <b> $5 a_b `c`")) == r"2\*3 \[x\] \<b\> \$5 a\_b \`c\`"

    def test_code_with_backticks_keeps_them(self):
        assert self.written(nodes.paragraph("", "", nodes.literal(text="a `b`"))) == "`` a `b` ``"
        assert (
            self.written(nodes.literal_block(text="```\nx\n```", language="python")) == "````python\n```\nx\n```\n````"
        )

    def test_links_into_the_book_keep_their_text_and_others_their_address(self):
        inside = nodes.reference("", "notation", refuri="../notation.html")
        outside = nodes.reference("", "paper", refuri="https://arxiv.org/abs/1609.04836")
        written = self.written(nodes.paragraph("", "", inside, nodes.Text(" and "), outside))
        assert written == "notation and [paper](https://arxiv.org/abs/1609.04836)"

    def test_lists_nest_and_start_where_they_start(self):
        inner = nodes.bullet_list("", nodes.list_item("", nodes.paragraph(text="deep")))
        outer = nodes.enumerated_list(
            "",
            nodes.list_item("", nodes.paragraph(text="one"), inner),
            nodes.list_item("", nodes.paragraph(text="two")),
            start=9,
        )
        assert self.written(outer) == "9. one\n\n   - deep\n\n10. two"

    def test_several_lines_of_a_formula_are_aligned_and_its_number_kept(self):
        formula = nodes.math_block(text=r"a &= b \\ c &= d", number="3")
        assert self.written(formula) == ("$$\n\\begin{aligned}\na &= b \\\\ c &= d\n\\end{aligned} \\tag{3}\n$$")

    def test_an_image_travels_inside_the_notebook(self):
        document = nodes.document(None, None)
        document += nodes.image(uri="book/_static/logo.svg", alt="A valley.")
        (part,) = markdown.parts(document, REPOSITORY)
        assert part.text == "![A valley.](attachment:logo.svg)"
        assert list(part.attachments["logo.svg"]) == ["image/svg+xml"]

    def test_a_bar_in_a_table_stays_in_its_cell(self):
        row = nodes.row("", *(nodes.entry("", nodes.paragraph(text=text)) for text in ("p(a|b)", "x")))
        table = nodes.table("", nodes.tgroup("", nodes.thead("", row), cols=2))
        assert self.written(table) == "| p(a\\|b) | x |\n| --- | --- |"

    def test_cells_stand_between_the_prose_around_them(self):
        document = nodes.document(None, None)
        cell = nodes.container(nb_element="cell_code", cell_index=4)
        document += [nodes.paragraph(text="before"), cell, nodes.paragraph(text="after")]
        assert [(part.text, part.cell) for part in markdown.parts(document, REPOSITORY)] == [
            ("before", None), ("", 4), ("after", None),
        ]  # fmt: skip


class TestTimings:
    @pytest.mark.parametrize(
        ("value", "read"),
        [(1.234e-5, "12.3 µs"), (0.2, "200 ms"), (1.5, "1.50 s"), (123.4, "123 s"), (2e-7, "0.20 µs"), (None, "–")],
    )
    def test_a_time_has_three_digits_and_a_unit_that_suits(self, value, read):
        assert timings.seconds(value) == read

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            pytest.param("{", "is not JSON", id="broken"),
            pytest.param("[]", "has the schema None, wanted 'unmagic/bench/1'", id="something-else"),
            pytest.param('{"schema": "unmagic/bench/2"}', "has the schema 'unmagic/bench/2'", id="later-schema"),
            pytest.param('{"schema": "unmagic/bench/1", "rows": []}', "lacks machine, date, torch", id="incomplete"),
            pytest.param(
                json.dumps({"schema": timings.SCHEMA, "machine": "", "date": "", "torch": "", "rows": [{"name": ""}]}),
                "lacks rows[0].device, rows[0].min_s",
                id="incomplete-row",
            ),
        ],
    )  # fmt: skip
    def test_a_file_that_cannot_be_shown_is_named_with_the_cure(self, tmp_path, text, told):
        path = tmp_path / "laptop.json"
        path.write_text(text)
        with pytest.raises(timings.TimingsError) as error:
            timings.read_timings(path)
        assert f"laptop.json {told}" in str(error.value)
        assert "python -m unmagic.bench --json" in str(error.value)

    def test_every_file_of_the_course_can_be_shown(self):
        for path in (REPOSITORY / "book" / "timings").glob("*.json"):
            assert timings.read_timings(path)["rows"]
