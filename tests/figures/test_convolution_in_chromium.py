"""Convolution both ways in Chromium: by mouse, finger and keyboard, on a page of the book and as a widget.

What holds for every figure is in test_every_figure_in_chromium.py.
"""

from unmagic.figures import ConvolutionBothWays
from unmagic.figures.base import Still
from unmagic.figures.convolution_both_ways import KERNELS, OPERATIONS, PICTURES, PRESETS

import pytest
from live_pages import book_page, notebook_page

pytestmark = pytest.mark.browser


class Shown:
    """The figure on a page, and what a reader sees of it."""

    def __init__(self, watched, address):
        self.watched, self.page = watched, watched.page
        self.page.goto(address)

    def settled(self):
        """Two frames later: what was asked for is drawn."""
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return self

    def cell(self, grid, r, c):
        return self.page.locator(f'.place.{grid} [data-at="{r},{c}"]')

    def numbers(self, grid):
        """What the cells of a grid show, padding aside: rows of texts."""
        texts = self.page.locator(f".place.{grid} .cells").evaluate(
            "(g) => [...g.querySelectorAll('[data-at]')].map((c) => [c.dataset.at, c.querySelector('b').textContent])"
        )
        rows = {}
        for at, text in texts:
            rows.setdefault(int(at.split(",")[0]), []).append(text)
        return [rows[r] for r in sorted(rows)]

    def marked(self, grid, name):
        """Which cells of a grid have a mark such as lit, chosen, idle: their indices, in order."""
        return self.page.locator(f".place.{grid} .cell.{name}[data-at]").evaluate_all(
            "(e) => e.map((c) => c.dataset.at)"
        )

    def tags(self, grid):
        return self.page.locator(f".place.{grid} .cell.lit i").all_inner_texts()

    @property
    def sum(self):
        return self.page.locator(".sum").inner_text()

    @property
    def tiling(self):
        return self.page.locator(".tiling").inner_text()

    def point(self, grid, r, c):
        self.cell(grid, r, c).hover()
        return self.settled()

    def turn(self, title):
        self.page.get_by_role("radio", name=title).check(force=True)
        return self.settled()

    def put(self, name, value):
        slider = self.page.get_by_label(name, exact=True)
        slider.evaluate("(e, v) => { e.value = v; e.dispatchEvent(new Event('input')) }", value)
        return self.settled()

    def choose(self, label, value):
        self.page.get_by_label(label, exact=True).select_option(value)
        return self.settled()

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)
        return self.settled()


def texts(values):
    """Numbers as a cell shows them, for whole numbers below 100."""
    return [[f"{value:.0f}".replace("-0", "0").replace("-", "−") for value in row] for row in values.tolist()]


@pytest.fixture
def book(watch, site, monkeypatch):
    """`book(operation, state, page options…)` opens a page of the book with the figure on it."""
    monkeypatch.setenv("UNMAGIC_BOOK", "1")
    monkeypatch.setattr(ConvolutionBothWays, "still", lambda self: Still("a still", "data:,", "data:,"))

    def open_page(operation="convolution", state=None, **options):
        figure = ConvolutionBothWays(operation, **(state or {})).markup()
        shown = Shown(watch(**options), site("convolution.html", book_page(figure)))
        shown.page.wait_for_selector('.unmagic-figure[data-alive="yes"] .unmagic-live')
        return shown.settled()

    return open_page


@pytest.fixture
def notebook(watch, site):
    """`notebook(operation, state)` opens a page where the widget's one module talks to a model, as in a notebook."""
    site("widget.mjs", ConvolutionBothWays._esm)

    def open_page(operation="convolution", state=None, **options):
        page = notebook_page(ConvolutionBothWays(operation, **(state or {})))
        shown = Shown(watch(**options), site("notebook.html", page))
        shown.page.wait_for_selector(".unmagic-live")
        return shown.settled()

    return open_page


class TestPasses:
    """What is drawn is what torch computes, in each pass."""

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_each_operation_shows_its_numbers_both_ways(self, book, operation):
        whole = dict(upstream="varied", stride=2, padding=1, kernel=KERNELS["one_to_nine"], window=3)
        if operation == "average_pooling":
            whole = dict(upstream="varied", stride=1, window=1)
        shown, found = book(operation, whole), ConvolutionBothWays(operation, **whole).passes()
        assert [[text.replace(",", "") for text in row] for row in shown.numbers("y")] == texts(found.y)
        shown.turn("Backward to the input")
        assert shown.numbers("x") == texts(found.dx)
        assert shown.numbers("y") == texts(found.dy)
        if found.dw is not None:
            shown.turn("Backward to the kernel")
            assert shown.numbers("w") == texts(found.dw)
        assert shown.page.get_by_role("radio").count() == (2 if found.dw is None else 3)
        assert shown.watched.faults == []

    def test_switching_to_backward_shows_where_the_same_outputs_gradient_goes(self, book):
        shown = book(state=dict(picture=PICTURES["numbers"], kernel=KERNELS["one_to_nine"]))
        shown.point("y", 1, 1)
        window = shown.marked("x", "lit")
        assert window == [f"{r},{c}" for r in (1, 2, 3) for c in (1, 2, 3)]
        assert shown.tags("x") == [f"×{k}" for k in range(1, 10)]
        shown.turn("Backward to the input")
        assert shown.marked("y", "chosen") == ["1,1"]
        assert shown.marked("x", "lit") == window
        assert "goes back to 9 inputs" in shown.sum

    def test_an_input_is_collected_through_the_kernel_turned_by_180_degrees(self, book):
        shown = book(state=dict(picture=PICTURES["numbers"], kernel=KERNELS["one_to_nine"], view="input"))
        assert shown.numbers("w")[0] == ["1", "2", "3"]
        shown.point("x", 2, 2)
        assert shown.page.locator(".place.w .cell b").all_inner_texts() == [str(k) for k in range(9, 0, -1)]
        assert "turned by 180°" in shown.page.locator(".place.w .head").inner_text()
        assert shown.tags("y") == [f"×{k}" for k in range(9, 0, -1)]
        shown.point("y", 0, 0)
        assert shown.page.locator(".place.w .cell b").all_inner_texts() == [str(k) for k in range(1, 10)]

    def test_a_weight_shows_all_the_products_that_its_gradient_sums(self, book):
        shown = book(state=dict(picture=PICTURES["numbers"], kernel=KERNELS["pair"], upstream="ones"))
        shown.turn("Backward to the kernel")
        shown.point("w", 0, 1)
        assert shown.marked("x", "lit") == [f"{r},{c}" for r in range(4) for c in range(1, 5)]
        assert len(shown.marked("y", "lit")) == 16
        assert (
            shown.sum
            == "∂L/∂w[0, 1] = " + " + ".join(f"{5 * r + c + 1}·1" for r in range(4) for c in range(1, 5)) + " = 176"
        )

    def test_zeros_between_and_around_turn_the_backward_pass_into_a_convolution(self, book):
        shown = book(state=dict(picture=PICTURES["numbers"], stride=2, view="input", grid="x", cell=[2, 2]))
        assert shown.page.locator(".place.y .cell").count() == 4
        shown.page.get_by_label("Draw the zeros between and around").check()
        shown.settled()
        assert shown.page.locator(".place.y .cell").count() == 7 * 7
        assert shown.page.locator(".place.y .cell.lit").count() == 9
        shown.turn("Forward")
        assert not shown.page.get_by_label("Draw the zeros between and around").is_visible()


class TestPooling:
    """Switches, overlap and ties."""

    def test_the_switches_are_ringed_and_gradients_of_overlapping_windows_add(self, book):
        shown = book("max_pooling")
        assert shown.marked("x", "won") == ["1,0", "1,3", "4,2"]
        assert shown.page.locator(".ways i").all_inner_texts()[:2] == ["x → y", "∂L/∂x ← ∂L/∂y"]
        shown.turn("Backward to the input").point("x", 4, 2)
        assert shown.sum == "∂L/∂x[4, 2] = 1·1 + 1·1 = 2"
        assert shown.marked("y", "lit") == ["1,0", "1,1"]
        shown.point("x", 0, 0)
        assert "the largest of no window" in shown.sum

    def test_ties_go_to_the_first_or_are_shared(self, book):
        shown = book("max_pooling", dict(picture=PICTURES["plateaus"], window=2, stride=2, view="input"))
        assert shown.numbers("x")[0] == ["1", "0", "1", "0", "1", "0"]
        shown.choose("Ties", "shared")
        assert shown.numbers("x")[0] == ["0.25"] * 6

    def test_a_last_window_may_reach_over_the_edge(self, book):
        shown = book("max_pooling", dict(window=2))
        assert len(shown.numbers("y")) == 2
        assert shown.marked("x", "idle")[-1] == "4,4"
        shown.page.get_by_label("A last window may reach over the edge").check()
        shown.settled()
        assert len(shown.numbers("y")) == 3
        assert shown.marked("x", "idle") == []


class TestSettings:
    """Sliders, presets, what does not tile."""

    def test_what_does_not_tile_is_hatched_and_said(self, book):
        shown = book()
        assert shown.marked("x", "idle") == []
        shown.put("Stride s", 2)
        assert "Never used (hatched): row 7; column 7." in shown.tiling
        idle = {f"7,{k}" for k in range(8)} | {f"{k},7" for k in range(8)}
        assert set(shown.marked("x", "idle")) == idle
        assert "⌊5/2⌋ + 1 = 3" in shown.page.locator(".sizes").inner_text()
        assert shown.cell("x", 7, 0).get_attribute("aria-label") == "row 7, column 0: 0, never used"

    def test_sliders_change_sides_and_every_setting(self, book):
        shown = book()
        shown.put("Picture height", 10).put("Picture width", 6).put("Size k of the kernel", 2)
        assert (len(shown.numbers("x")), len(shown.numbers("x")[0])) == (10, 6)
        assert shown.numbers("w") == [["−1", "0"], ["−2", "0"]]
        shown.put("Padding p", 1).put("Dilation d", 2)
        assert (len(shown.numbers("y")), len(shown.numbers("y")[0])) == (10, 6)
        assert shown.page.locator(".place.x .cell.pad").count() == 12 * 8 - 60
        assert shown.watched.faults == []

    def test_where_there_is_no_output_it_says_why_and_comes_back(self, book):
        shown = book()
        shown.put("Picture height", 2)
        assert "reaches over 3 rows, the padded input has 2" in shown.page.locator(".problem").inner_text()
        assert not shown.page.locator(".board").is_visible()
        shown.put("Padding p", 1)
        assert shown.page.locator(".board").is_visible()
        assert not shown.page.locator(".problem").is_visible()
        assert shown.watched.faults == []

    def test_each_operation_comes_with_its_settings_and_reset_brings_them_back(self, book):
        shown = book()
        for operation in reversed(OPERATIONS):
            shown.choose("Operation", operation)
            preset = PRESETS[operation]
            assert shown.page.get_by_label("Stride s").get_attribute("aria-valuetext") == str(preset["stride"])
            assert len(shown.numbers("x")) == len(preset["picture"])
            before = shown.numbers("y")
            shown.put("Picture height", 8)
            assert shown.numbers("y") != before or operation == "convolution"
            shown.page.get_by_role("button", name="Reset").click()
            assert shown.settled().numbers("y") == before
        assert shown.watched.faults == []

    def test_presets_of_picture_and_kernel_and_own_ones_are_named(self, book):
        shown = book()
        shown.choose("Picture", "dot").choose("Kernel", "one_to_nine")
        assert [row[1:4] for row in shown.numbers("y")[1:4]] == [["9", "8", "7"], ["6", "5", "4"], ["3", "2", "1"]]
        shown.put("Size k of the kernel", 2)
        assert shown.page.get_by_label("Kernel", exact=True).input_value() == "own"


class TestOwnNumbers:
    """Typed and painted."""

    def test_typing_on_a_cell_changes_the_kernel(self, book):
        shown = book(state=dict(picture=PICTURES["dot"], kernel=KERNELS["identity"]))
        shown.cell("w", 0, 0).click()
        shown.press("-", "3", "Enter")
        assert shown.numbers("w")[0][0] == "−3"
        assert shown.numbers("y")[3][3] == "−3"
        assert shown.cell("w", 0, 0).evaluate("(e) => e === document.activeElement")
        shown.press("ArrowRight", "1", "/", "4", "Enter")
        assert shown.numbers("w")[0][1] == "0.25"
        assert shown.watched.faults == []

    def test_what_is_no_number_changes_nothing_and_is_marked(self, book):
        shown = book()
        shown.cell("x", 0, 0).click()
        shown.press("5", "x")
        entry = shown.page.get_by_label("x[0, 0] =")
        assert entry.get_attribute("aria-invalid") == "true"
        assert shown.numbers("x")[0][0] == "5"
        shown.press("Backspace")
        assert entry.get_attribute("aria-invalid") == "false"

    def test_a_result_cannot_be_typed_over_and_a_gradient_of_ones_own_can(self, book):
        shown = book()
        shown.cell("y", 0, 0).click()
        before = shown.numbers("y")
        shown.press("7")
        assert shown.numbers("y") == before
        shown.turn("Backward to the input")
        shown.cell("y", 0, 0).click()
        shown.press("7", "Enter")
        assert shown.numbers("y")[0][0] == "7"
        assert shown.page.get_by_label("∂L/∂y", exact=True).input_value() == "own"

    def test_painting_by_drag_and_by_the_space_bar(self, book):
        shown = book(state=dict(picture=PICTURES["blank"], kernel=KERNELS["identity"]))
        shown.page.get_by_role("button", name="Paint").click()
        boxes = [shown.cell("x", 2, c).bounding_box() for c in (1, 5)]
        places = [(b["x"] + b["width"] / 2, b["y"] + b["height"] / 2) for b in boxes]
        shown.page.mouse.move(*places[0])
        shown.page.mouse.down()
        shown.page.mouse.move(*places[1], steps=12)
        shown.page.mouse.up()
        assert shown.settled().numbers("x")[2] == ["0", "9", "9", "9", "9", "9", "0"]
        shown.page.get_by_label("Number of the brush").fill("−4")
        shown.cell("x", 4, 4).click()
        shown.press("Space")
        assert shown.numbers("x")[4][4] == "−4"

    def test_a_finger_paints_as_well(self, book):
        shown = book(state=dict(picture=PICTURES["blank"]), has_touch=True)
        shown.page.get_by_role("button", name="Paint").click()
        box = shown.cell("x", 1, 1).bounding_box()
        shown.page.touchscreen.tap(box["x"] + 10, box["y"] + 10)
        assert shown.settled().numbers("x")[1][1] == "9"


class TestPointing:
    """The cell that is pointed at."""

    def test_arrow_keys_walk_over_the_grid_and_stop_at_its_edges(self, book):
        shown = book()
        shown.cell("y", 0, 0).focus()
        shown.press("ArrowRight", "ArrowDown", "ArrowUp", "ArrowUp", "End")
        assert shown.marked("y", "chosen") == ["0,5"]
        shown.press("ArrowDown", "Home")
        assert shown.marked("y", "chosen") == ["1,0"]

    def test_arrow_keys_go_where_they_point_on_a_turned_kernel_too(self, book):
        shown = book("transposed_convolution", dict(grid="w", cell=[1, 1]))
        shown.cell("w", 1, 1).focus()
        shown.press("ArrowRight")
        assert shown.marked("w", "chosen") == ["1,2"]

    def test_a_click_holds_on_and_escape_lets_go(self, book):
        shown = book()
        shown.cell("y", 2, 2).click()
        shown.point("y", 4, 4)
        assert shown.marked("y", "chosen") == ["2,2"]
        shown.press("Escape")
        shown.point("y", 3, 3)
        assert shown.marked("y", "chosen") == ["3,3"]

    def test_a_tap_points(self, book):
        shown = book(has_touch=True, width=390)
        shown.cell("y", 4, 1).scroll_into_view_if_needed()
        box = shown.cell("y", 4, 1).bounding_box()
        shown.page.touchscreen.tap(box["x"] + 8, box["y"] + 8)
        assert shown.settled().marked("y", "chosen") == ["4,1"]

    def test_the_walk_goes_through_all_results_and_stops(self, book):
        shown = book(state=dict(picture=[[1, 2, 3], [4, 5, 6]], kernel=KERNELS["pair"], cell=[0, 0]))
        shown.page.get_by_role("button", name="Walk").click()
        shown.page.wait_for_function("document.querySelector('.place.y .chosen').dataset.at === '0,1'")
        shown.page.get_by_role("button", name="▶ Walk").wait_for()

    def test_where_motion_is_not_wanted_a_button_goes_one_cell_on(self, book):
        shown = book(state=dict(playing=True, cell=[0, 0]), reduced_motion="reduce")
        shown.page.get_by_role("button", name="Next cell").click()
        assert shown.settled().marked("y", "chosen") == ["0,1"]
        shown.page.wait_for_timeout(800)
        assert shown.settled().marked("y", "chosen") == ["0,1"]


class TestAppearance:
    """Size and theme."""

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_at_320_pixels_nothing_is_cut_off(self, book, operation):
        shown = book(operation, dict(spread=True, padding=1), width=320)
        shown.page.locator("summary").click()
        for way in shown.page.get_by_role("radio").all():
            way.check(force=True)
            wide = shown.settled().page.evaluate(
                """[...document.querySelectorAll("body, .unmagic-live *")].filter((e) => !e.closest(".unseen, .veil"))
                .filter((e) => e.getBoundingClientRect().right > 312.5).map((e) => e.outerHTML.slice(0, 80))"""
            )
            assert wide == []
            assert shown.page.evaluate("document.documentElement.scrollWidth") == 320

    @pytest.mark.parametrize("width", [640, 820, 1200])
    def test_no_place_leaves_the_figure_and_cells_are_square(self, book, width):
        shown = book(state=dict(picture=[[1.0] * 12] * 12, padding=3, view="input", spread=True), width=width)
        inside = shown.page.evaluate(
            """(() => { const b = document.querySelector(".unmagic-live").getBoundingClientRect();
            return [...document.querySelectorAll(".place")].every((p) => {
            const r = p.getBoundingClientRect(); return r.left >= b.left && r.right <= b.right; }); })()"""
        )
        assert inside
        box = shown.cell("x", 0, 0).bounding_box()
        assert box["width"] == pytest.approx(box["height"], abs=1)

    def test_negative_numbers_have_a_sign_and_not_only_a_colour(self, book):
        shown = book()
        below = shown.page.locator(".place.y .cell.below b").all_inner_texts()
        assert len(below) == (ConvolutionBothWays().passes().y < 0).sum()
        assert all(text.startswith("−") for text in below)


class TestAccess:
    """For everyone."""

    @pytest.mark.parametrize(
        ("operation", "state", "theme"),
        [
            pytest.param("convolution", dict(stride=2, padding=1, view="input", spread=True, grid="x", cell=[3, 3]),
                         "dark", id="backward"),
            pytest.param("max_pooling", dict(window=2, padding=1), "light", id="pooling"),
        ],
    )  # fmt: skip
    def test_axe_finds_nothing(self, book, operation, state, theme):
        shown = book(operation, state, color_scheme=theme)
        page, ink = ("#ffffff", "#121212") if theme == "light" else ("#121212", "#ffffff")
        shown.page.evaluate(f"Object.assign(document.body.style, {{ background: '{page}', color: '{ink}' }})")
        shown.page.locator("summary").click()
        shown.page.get_by_role("button", name="Paint").click()
        shown.settled()
        assert shown.watched.axe() == []

    def test_each_grid_is_one_stop_of_the_tab_key(self, book):
        shown = book()
        stops = [shown.page.locator(f'.place.{grid} [tabindex="0"]').count() for grid in ("x", "w", "y")]
        assert stops == [1, 1, 1]

    def test_the_sum_is_said_in_words_once_the_pointer_rests(self, book):
        shown = book(state=dict(picture=PICTURES["numbers"], kernel=KERNELS["pair"]))
        shown.page.evaluate(
            """() => { window.told = []; const live = document.querySelector("[aria-live]");
            new MutationObserver(() => window.told.push(live.textContent)).observe(live,
            { childList: true, characterData: true, subtree: true }); }"""
        )
        shown.page.wait_for_timeout(800)
        shown.page.evaluate("window.told = []")
        shown.cell("y", 0, 0).focus()
        shown.press("ArrowRight", "ArrowRight", "ArrowDown")
        shown.page.wait_for_function("window.told.length > 0")
        shown.page.wait_for_timeout(200)
        assert shown.page.evaluate("window.told") == [
            "output row 1 column 2: −1 times 8, plus 1 times 9, plus −1 times 13, plus 1 times 14, is 2."
        ]


class TestAsAWidget:
    """State both ways between the figure and Python."""

    def test_what_python_sets_the_figure_shows(self, notebook):
        shown = notebook()
        shown.page.evaluate("fromPython({ picture: [[1, 2, 3], [4, 5, 6], [7, 8, 9]], kernel: [[1, 1], [1, 1]] })")
        assert shown.settled().numbers("y") == [["12", "16"], ["24", "28"]]
        shown.page.evaluate("fromPython({ view: 'kernel', grid: 'w', cell: [1, 1], upstream: 'ones' })")
        assert shown.settled().sum == "∂L/∂w[1, 1] = 5·1 + 6·1 + 8·1 + 9·1 = 28"

    def test_what_the_reader_does_python_sees(self, notebook):
        shown = notebook()
        shown.page.evaluate("window.sent.length = 0")
        shown.point("x", 2, 3)
        assert shown.page.evaluate("window.sent").pop() == {"grid": "x", "cell": [2, 3]}
        shown.turn("Backward to the kernel")
        assert shown.page.evaluate("window.sent").pop() == {"view": "kernel", "grid": "w", "cell": [1, 1]}
        shown.put("Stride s", 3)
        assert shown.page.evaluate("window.sent").pop() == {"stride": 3}
        shown.choose("Operation", "max_pooling")
        sent = shown.page.evaluate("window.sent").pop()
        assert sent == {"operation": "max_pooling", "playing": False, **PRESETS["max_pooling"]}
        assert ConvolutionBothWays(**sent).public_state()["picture"] == PICTURES["mixed"], "Python takes what was sent"
