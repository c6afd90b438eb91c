"""Budgets in Chromium: what a reader does, and what the figure then says.

What holds for every figure is in test_every_figure_in_chromium.py.
"""

from unmagic import zoo
from unmagic.figures import Budgets
from unmagic.figures.base import Still

import re

import pytest
from live_pages import book_page, notebook_page
from torch import nn

pytestmark = pytest.mark.browser

FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


class Shown:
    """The figure on a page, and what a reader sees of it."""

    def __init__(self, watched, address):
        self.watched, self.page = watched, watched.page
        self.page.goto(address)
        self.page.wait_for_selector(".unmagic-live.budgets .budgets-verdict p")
        self.settled()

    def settled(self):
        """Two frames later: what was asked for is drawn."""
        self.page.evaluate(FRAMES)
        return self

    def net(self, which):
        return self.page.locator(f".net.{which}")

    def text(self, which, part):
        return self.net(which).locator(part).inner_text().replace("\u00a0", " ")

    @property
    def verdict(self):
        return self.page.locator(".budgets-verdict").inner_text().replace("\u00a0", " ")

    @property
    def numbers(self):
        """The table of totals: {row: [of the first net, of the second]}."""
        rows = self.page.locator("details:has-text('Both in numbers') tbody tr").evaluate_all(
            "(rows) => rows.map((r) => [r.querySelector('th').textContent, "
            "[...r.querySelectorAll('td:not([hidden])')].map((c) => c.textContent)])"
        )
        return {name: [value.replace("\u00a0", " ") for value in values] for name, values in rows}

    def put(self, name, value):
        slider = self.page.get_by_label(name, exact=True)
        slider.evaluate("(e, v) => { e.value = v; e.dispatchEvent(new Event('input')) }", value)
        return self.settled()

    def choose(self, label, value):
        self.page.get_by_label(label, exact=True).select_option(value)
        return self.settled()

    def pixels(self, kind):
        return self.page.locator(f"canvas.{kind}").evaluate_all(
            "(all) => all.filter((c) => c.clientWidth).map((c) => c.toDataURL())"
        )


@pytest.fixture
def book(watch, site, monkeypatch):
    """`book(state, page options…)` opens a page of the book with the figure on it."""
    monkeypatch.setenv("UNMAGIC_BOOK", "1")
    monkeypatch.setattr(Budgets, "still", lambda self: Still("a still", "data:,", "data:,"))

    def open_page(state=None, **options):
        page = book_page(Budgets(**(state or {})).markup())
        return Shown(watch(**options), site("budgets.html", page))

    return open_page


@pytest.fixture
def notebook(watch, site):
    """`notebook(figure)` opens a page where the widget's one module talks to a model, as in a notebook."""
    site("widget.mjs", Budgets._esm)
    return lambda figure, **options: Shown(watch(**options), site("notebook.html", notebook_page(figure)))


def test_the_totals_are_those_that_zoo_budget_counts(book):
    shown = book()
    first, second = Budgets().budgets()
    for which, budget in (("first", first), ("second", second)):
        assert shown.text(which, ".totals").startswith(
            f"{budget.parameters:,} parameters, {budget.macs:,} multiply–adds"
        )
    assert "19.8 times fewer parameters, 9.77 times fewer multiply–adds" in shown.verdict
    assert shown.numbers["Memory in training"] == ["1.77 GB", "119 MB"]
    assert [f"{b.training_bytes / 1e9:.3g}" for b in (first, second)] == ["1.77", "0.119"]
    assert shown.watched.faults == []


def test_a_larger_input_moves_work_and_activations_and_the_parameters_of_the_fully_connected_layer_alone(book):
    shown = book()
    before = shown.pixels("bars")
    shown.put("Input of the first net", 448).put("Input of the second net", 448)
    first, second = Budgets(first_side=448, second_side=448).budgets()
    assert shown.text("first", ".totals").startswith(f"{first.parameters:,} parameters, {first.macs:,}")
    assert "Beside 224×224 pixels: parameters × 3.23, multiply–adds × 4, activations × 4" in shown.text(
        "first", ".totals"
    )
    assert "parameters × 1, multiply–adds × 4, activations × 4." in shown.text("second", ".totals")
    assert shown.text("second", ".totals").startswith(f"{second.parameters:,} parameters")
    assert shown.pixels("bars") != before
    assert shown.page.get_by_label("Input of the first net").get_attribute("aria-valuetext") == "448×448 px"


def test_pointing_at_a_bar_or_moving_the_slider_looks_at_a_layer_and_at_what_it_sees(book):
    shown = book()
    bars = shown.net("first").locator("canvas.bars")
    box = bars.bounding_box()
    bars.hover(position={"x": box["width"] - 12, "y": 60})
    shown.settled()
    assert shown.text("first", ".title") == "classifier.7, Linear"
    assert "4,097,000 parameters, 4,096,000 multiply–adds" in shown.text("first", ".words")
    assert "depends on all 224×224 pixels" in shown.text("first", ".words")
    before = shown.pixels("sight")
    slider = shown.page.get_by_label("Look at layer of the first net")
    slider.focus()
    shown.page.keyboard.press("Home")
    shown.page.keyboard.press("ArrowRight")
    shown.settled()
    assert slider.get_attribute("aria-valuetext") == "2 of 16: features.2"
    words = shown.text("first", ".words")
    assert "Each of its 224×224 places sees 5×5 pixels (the box); the next place’s box lies 1 pixel further." in words
    assert [a != b for a, b in zip(before, shown.pixels("sight"), strict=True)] == [True, False]
    assert shown.page.get_by_role("img", name="a box around what one place of features.2, Conv2d sees").count() == 1


def test_the_ring_goes_from_place_to_place_by_arrow_keys_and_by_dragging(book):
    shown = book({"first": "LeNet-5", "second": "", "first_layer": 5})  # C3, 10×10 places that are 2 pixels apart
    ring = shown.page.get_by_role("button", name="Place that is looked at, first net")

    def middle():
        return [ring.bounding_box()[axis] + 22 for axis in "xy"]

    picture = shown.net("first").locator("canvas.sight").bounding_box()
    pixel = 0.82 * picture["width"] / 32
    ring.focus()
    start = middle()
    shown.page.keyboard.press("ArrowRight")
    shown.page.keyboard.press("ArrowDown")
    shown.page.keyboard.press("ArrowDown")
    shown.settled()
    assert [b - a for a, b in zip(start, middle(), strict=True)] == pytest.approx([2 * pixel, 4 * pixel], abs=0.2)
    for _ in range(12):
        shown.page.keyboard.press("ArrowUp")
    edge = middle()  # the first row of places looks at rows 0 … 13 of the picture
    assert edge[1] == pytest.approx(picture["y"] + 0.09 * picture["width"] + 7 * pixel, abs=0.3)
    shown.page.mouse.move(*middle())
    shown.page.mouse.down()
    shown.page.mouse.move(picture["x"] + 5, picture["y"] + picture["height"] - 5, steps=3)
    shown.page.mouse.up()
    shown.settled()
    corner = [picture["x"] + 0.09 * picture["width"] + 7 * pixel, picture["y"] + 0.91 * picture["width"] - 7 * pixel]
    assert middle() == pytest.approx(corner, abs=0.3)


def test_bars_show_four_things_on_one_scale_linear_or_logarithmic(book):
    shown = book()
    seen = {tuple(shown.pixels("bars"))}
    for what in ("parameters", "activations", "receptive_field"):
        shown.choose("Bars show", what)
        seen.add(tuple(shown.pixels("bars")))
        shown.page.get_by_label("Log scale").check()
        seen.add(tuple(shown.settled().pixels("bars")))
        shown.page.get_by_label("Log scale").uncheck()
    assert len(seen) == 7
    label = shown.net("second").locator("canvas.bars").get_attribute("aria-label")
    assert label.startswith("Side of what one place sees, in pixels of 58 bars of GoogLeNet; bar ")
    shown.page.get_by_label("Every module by itself").check()
    shown.settled()
    assert " of 130 bars of GoogLeNet" in shown.net("second").locator("canvas.bars").get_attribute("aria-label")


def test_a_batch_multiplies_activations_and_nothing_else(book):
    shown = book({"first": "ResNet-18", "second": ""})
    before = shown.numbers
    memory = shown.pixels("memory")
    shown.put("Batch, for memory", 6)
    after = shown.numbers
    (budget,) = Budgets("ResNet-18", "").budgets()
    kept = budget.training_bytes - 12 * budget.parameters
    assert [after[name] == before[name] for name in ("Parameters", "Multiply–adds", "… weights", "… momentum")] == [
        True
    ] * 4
    assert before["… activations"] == [f"{kept / 1e6:.3g} MB"]
    assert after["… activations"] == [f"{64 * kept / 1e9:.3g} GB"]
    assert "Memory with a batch of 64: ResNet-18 " in shown.verdict
    assert shown.pixels("memory") != memory


def test_the_second_net_can_be_left_out_and_chosen_again(book):
    shown = book()
    shown.choose("Second net", "")
    assert shown.page.locator("canvas:visible").count() == 3
    assert "beside" not in shown.verdict
    assert {len(values) for values in shown.numbers.values()} == {1}
    shown.choose("Second net", "plain-18")
    assert shown.page.locator("canvas:visible").count() == 5
    assert "plain-18 beside VGG-16 (D)" in shown.verdict


def test_the_table_has_every_module_once_it_is_unfolded(book):
    shown = book({"second": ""})
    details = shown.page.locator("details:has-text('Every module of VGG-16 (D) in a table')")
    assert details.locator("tbody tr").count() == 0
    details.locator("summary").click()
    details.locator("tbody tr").first.wait_for()
    (budget,) = Budgets("VGG-16 (D)", "").budgets()
    assert details.locator("tbody th").all_inner_texts() == [
        f"{row.name}\n{row.kind} {'×'.join(map(str, row.output))}" for row in budget.rows
    ]
    assert details.locator("tbody tr").last.locator("td").all_inner_texts() == ["4.1\u00a0M", "4.1\u00a0M", "all"]


def test_things_to_try_set_the_figure_and_reset_brings_it_back(book):
    shown = book()

    def state():
        return shown.verdict, *shown.pixels("bars"), *shown.pixels("sight")

    begin = state()
    shown.page.get_by_text("Things to try").click()
    buttons = shown.page.locator(".tries button")
    assert buttons.count() == 8
    seen = set()
    for button in buttons.all():
        button.click()
        seen.add(shown.settled().verdict + shown.page.get_by_label("Bars show").input_value())
    assert len(seen) == 8
    shown.page.get_by_role("button", name="Reset").click()
    shown.page.mouse.move(0, 0)
    assert shown.settled() and state() == begin


def test_every_net_that_is_offered_can_be_looked_at(book):
    shown = book()
    names = [
        name
        for name in shown.page.get_by_label("Second net", exact=True).locator("option").all_inner_texts()
        if name != "none"
    ]
    assert names == Budgets.names()
    for name in names:
        shown.choose("Second net", name)
        assert f"{name}: " in shown.verdict and "NaN" not in shown.page.locator(".budgets").inner_text()
    assert shown.watched.faults == []


def test_a_net_of_ones_own_is_shown_in_a_notebook_and_moves_both_ways(notebook):
    net = nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 49, 10))
    shown = notebook(Budgets("mine", nets={"mine": net}, input_shape=(1, 16, 16)))
    found = zoo.budget(net, (1, 16, 16))
    assert shown.text("first", ".totals").startswith(f"{found.parameters:,} parameters, {found.macs:,} multiply–adds")
    shown.put("Input of the first net", 20)
    assert {"first_side": 20} in shown.page.evaluate("window.sent")
    grown = 4 * 81 * 10 + 10 + 4 * 9 + 4
    assert shown.text("first", ".totals").startswith(f"{grown:,} parameters")
    shown.page.evaluate("fromPython({ first: 'ResNet-50', first_side: 0, shown: 'parameters' })")
    shown.settled()
    assert "25,557,032 parameters" in shown.text("first", ".totals")
    assert shown.page.get_by_label("First net", exact=True).input_value() == "ResNet-50"
    assert shown.watched.faults == []


def test_a_net_that_is_not_there_is_said(notebook, watch, site):
    figure = Budgets()
    page = notebook_page(figure).replace('"first": "VGG-16 (D)"', '"first": "VGG-17"')
    watched = watch()
    watched.page.goto(site("odd.html", page))
    said = watched.page.get_by_role("alert").inner_text()
    assert re.match(r"Budgets could not start: first is “VGG-17”, wanted is one of LeNet-5, AlexNet", said)


def test_nothing_moves_by_itself(book):
    shown = book(reduced_motion="reduce")
    before = shown.pixels("bars") + shown.pixels("sight") + shown.pixels("memory")
    shown.page.wait_for_timeout(300)
    assert shown.pixels("bars") + shown.pixels("sight") + shown.pixels("memory") == before
