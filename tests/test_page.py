"""unmagic.page: numbers for the prose, figures for both themes, colours that everyone can tell apart."""

from unmagic.page import FigureError, colour, figure, glue
from unmagic.style import DATA_COLOURS, PALETTES

import base64
import itertools
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from myst_nb.core.variables import format_plain_text


def glued(monkeypatch, *args, book=True):
    """What `glue` shows: data and metadata."""
    monkeypatch.setenv("UNMAGIC_BOOK", "1") if book else monkeypatch.delenv("UNMAGIC_BOOK", raising=False)
    InteractiveShell.instance()
    with capture_output() as captured:
        glue(*args)
    (output,) = captured.outputs
    return output.data, output.metadata


def in_prose(monkeypatch, value, spec="", role_spec="s"):
    """What a reader sees: myst-nb's own role on what `glue` stored."""
    data, metadata = glued(monkeypatch, "x", value, spec)
    assert metadata["scrapbook"]["name"] == "x"
    return format_plain_text(data[metadata["scrapbook"]["mime_prefix"] + "text/plain"], role_spec)


class TestNumbersInProse:
    @pytest.mark.parametrize(
        ("value", "spec", "read"),
        [
            pytest.param(3.14159, ".2f", "3.14", id="decimals"),
            pytest.param(33920, ",d", "33,920", id="thousands"),
            pytest.param(-0.5, ".1f", "−0.5", id="minus-sign"),
            pytest.param(-1.5e-7, ".1e", "−1.5 × 10⁻⁷", id="power-of-ten"),
            pytest.param(2e12, ".0e", "2 × 10¹²", id="large-power-of-ten"),
            pytest.param(0.256, ".1%", "25.6%", id="percent"),
            pytest.param(torch.tensor(2.5), ".1f", "2.5", id="tensor"),
            pytest.param(np.float32(2.5), ".1f", "2.5", id="numpy"),
            pytest.param(7, "", "7", id="as-it-is"),
            pytest.param("left-handed", "", "left-handed", id="word"),
            pytest.param("1,2", "", "1,2", id="text-that-looks-like-python"),
        ],
    )
    def test_a_reader_sees(self, monkeypatch, value, spec, read):
        assert in_prose(monkeypatch, value, spec) == read

    def test_the_role_may_format(self, monkeypatch):
        assert in_prose(monkeypatch, torch.tensor(0.1234), role_spec=".2f") == "0.12"

    def test_the_book_shows_nothing_at_the_cell(self, monkeypatch):
        data, _ = glued(monkeypatch, "loss", 0.25, ".2f")
        assert list(data) == ["application/papermill.record/text/plain"]

    def test_a_notebook_shows_the_number_at_the_cell(self, monkeypatch):
        data, _ = glued(monkeypatch, "loss", 0.25, ".2f", book=False)
        assert data["text/plain"] == "loss = 0.25"

    @pytest.mark.parametrize(
        ("args", "told"),
        [
            pytest.param(("two words", 1), "'two words' cannot name a number", id="name"),
            pytest.param(("x", torch.ones(2, 3)), "has shape (2, 3): reduce it first", id="many-numbers"),
            pytest.param(("x", "abc", ".2f"), "'abc', which cannot be formatted with '.2f'", id="spec"),
        ],
    )
    def test_what_cannot_be_glued_is_told(self, args, told):
        with pytest.raises(ValueError, match=re.escape(told)):
            glue(*args)


def line(ax):
    ax.plot([1, 2, 3], [1, 4, 9], label="loss")
    ax.set_xlabel("epochs")
    ax.set_ylabel("loss (nats)")


class TestFigures:
    def test_both_themes_are_drawn_in_their_own_ink_and_described(self):
        inks = []

        def draw(ax):
            inks.append(colour("ink"))
            line(ax)

        still = figure(draw, alt="It rises <steadily>.", caption="Up & up.")
        assert inks == [PALETTES["light"]["ink"], PALETTES["dark"]["ink"]]
        html = still.html()
        assert html.count('alt="It rises &lt;steadily&gt;."') == 2
        assert "<figcaption>Up &amp; up.</figcaption>" in html
        for theme, (media, data) in still.images.items():
            assert media == "image/svg+xml"
            assert PALETTES[theme]["blue"] in data.decode()
            assert f'class="unmagic-still-{theme} only-{theme}"' in html
            assert base64.b64encode(data).decode() in html

    def test_it_draws_the_same_bytes_every_time(self):
        assert figure(line, alt="x").images == figure(line, alt="x").images

    def test_a_heavy_drawing_becomes_pixels_two_for_each_of_the_page(self):
        points = np.random.default_rng(0).normal(size=(2, 5000))

        def draw(ax):
            ax.scatter(*points)
            ax.set_xlabel("x (no unit)")
            ax.set_ylabel("y (no unit)")

        still = figure(draw, alt="A cloud.", size=(5, 3))
        media, data = still.images["light"]
        assert media == "image/png"
        assert (int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")) == (960, 576)  # PNG's header
        assert still.width == 480

    def test_as_many_panels_as_parameters_side_by_side_or_in_a_layout(self):
        places = []

        def draw(left, right):
            for ax in (left, right):
                line(ax)
                places.append(ax.get_subplotspec().get_geometry()[:2])

        figure(draw, alt="x")
        figure(draw, alt="x", layout=(2, 1))
        assert places == [(1, 2)] * 4 + [(2, 1)] * 4

    def test_a_wide_figure_keeps_its_type_readable_and_scrolls_in_a_box_the_keyboard_reaches(self):
        def draw(left, right):
            line(left)
            line(right)

        one, two = figure(line, alt="x"), figure(draw, alt="x")
        smallest = 11 * 96 / 72  # pixels: the smallest type, 11 pt
        assert smallest * one.narrowest / one.width > 8
        assert two.narrowest == 2 * one.narrowest
        assert 'tabindex="0"' in two.html() and 'tabindex="0"' not in one.html()

    def test_outside_of_drawing_nothing_of_matplotlib_s_settings_has_changed(self):
        import matplotlib

        before = dict(matplotlib.rcParams)
        with pytest.raises(ZeroDivisionError):
            figure(lambda ax: 1 / 0, alt="x")
        assert dict(matplotlib.rcParams) == before
        assert colour("ink") == PALETTES["light"]["ink"]

    @pytest.mark.parametrize("alt", ["", "  ", None])
    def test_a_figure_without_description_is_refused(self, alt):
        with pytest.raises(FigureError, match="`alt` is empty: describe what the figure shows"):
            figure(line, alt=alt)

    def test_axes_without_a_label_are_refused_by_name(self):
        def draw(left, right):
            line(left)
            right.plot([1, 2])
            right.set_xlabel("steps")
            right.set_title("noise")

        with pytest.raises(
            FigureError, match=re.escape("no label on y of right (noise): name the quantity and its unit")
        ):
            figure(draw, alt="x")

    def test_a_third_dimension_needs_a_label_too(self):
        with pytest.raises(FigureError, match="no label on z of ax"):
            figure(line, alt="x", projection="3d")

    def test_shared_axes_are_labelled_once(self):
        def draw(fig):
            top, bottom = fig.subplots(2, 1, sharex=True)
            line(top)
            line(bottom)
            top.set_xlabel("")

        figure(draw, alt="x")

    def test_pixels_need_no_labels_when_that_is_said_and_a_colour_bar_does(self):
        def image(ax):
            ax.imshow(np.eye(4))

        def bar(ax):
            ax.figure.colorbar(ax.imshow(np.eye(4)))

        with pytest.raises(FigureError, match=re.escape("x of ax, y of ax")):
            figure(image, alt="x")
        figure(image, alt="x", units=None)
        figure(lambda ax: (image(ax), ax.set_axis_off()), alt="x")
        with pytest.raises(FigureError, match="y of axes 2 of 2"):
            figure(bar, alt="x", units=None)

    def test_a_colour_that_is_not_there_is_told(self):
        with pytest.raises(ValueError, match="no colour 'red': the palette has blue, orange"):
            colour("red")


def linear(hex_colour):
    """sRGB's transfer function, IEC 61966-2-1; (3,)."""
    c = np.array([int(hex_colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """WCAG 2.1's contrast ratio."""
    low, high = sorted(linear(c) @ [0.2126, 0.7152, 0.0722] for c in (one, other))
    return (high + 0.05) / (low + 0.05)


def cielab(rgb):
    """CIE 1976 L*a*b*, D65, of linear sRGB."""
    matrix = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    t = np.array(matrix) @ np.clip(rgb, 0, 1) / [0.95047, 1, 1.08883]
    f = np.where(t > 216 / 24389, np.cbrt(t), (24389 / 27 * t + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


# Machado, Oliveira, Fernandes (2009), severity 1.0, on linear RGB
SIGHT = {
    "all three cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


@pytest.mark.parametrize("theme", PALETTES)
class TestColours:
    def test_data_stand_out_from_the_page_and_text_can_be_read(self, theme):
        palette = PALETTES[theme]
        assert all(contrast(palette[name], palette["page"]) >= 3 for name in DATA_COLOURS)
        assert all(contrast(palette[name], palette["page"]) >= 4.5 for name in ("ink", "muted"))

    @pytest.mark.parametrize("sight", SIGHT)
    def test_any_two_stay_apart_however_one_sees(self, theme, sight):
        """20 in CIE76; 2.3 is where a difference is just noticed."""
        seen = {name: cielab(np.array(SIGHT[sight]) @ linear(PALETTES[theme][name])) for name in DATA_COLOURS}
        close = [(a, b) for a, b in itertools.combinations(seen, 2) if np.linalg.norm(seen[a] - seen[b]) < 20]
        assert close == []


def test_jupyter_is_imported_only_when_a_number_is_glued():
    code = (
        "import unmagic.page, sys; print([m for m in ('IPython', 'myst_nb', 'matplotlib.pyplot') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.strip() == "[]"
