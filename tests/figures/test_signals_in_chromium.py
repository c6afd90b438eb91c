"""Signals through depth in Chromium: what a reader does, and what the figure then says."""

from unmagic.figures import SignalsThroughDepth
from unmagic.figures.base import Still

import re

import pytest
import torch
from live_pages import book_page, notebook_page

pytestmark = pytest.mark.browser


class Signals:
    """The figure on a page, and what a reader sees of it."""

    def __init__(self, watched, address):
        self.watched, self.page = watched, watched.page
        self.page.goto(address)
        self.page.wait_for_selector(".unmagic-live[data-passes]")

    def settled(self):
        """When what was asked for is computed and drawn."""
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        self.page.wait_for_selector('.unmagic-live[aria-busy="false"]')
        return self

    @property
    def passes(self):
        return int(self.page.locator(".unmagic-live").get_attribute("data-passes"))

    @property
    def verdict(self):
        return self.page.locator(".signals-verdict").inner_text().replace("\u00a0", " ")

    @property
    def table(self):
        rows = self.page.locator("tbody tr").filter(visible=True)
        return {row.locator("th").inner_text(): row.locator("td").all_inner_texts() for row in rows.all()}

    @property
    def state(self):
        names = ("Activation φ", "Initialization", "Normalization")
        return [self.page.get_by_label(name).input_value() for name in names]

    def said(self, name):
        return self.page.get_by_label(name, exact=True).get_attribute("aria-valuetext")

    def choose(self, name, value):
        self.page.get_by_label(name).select_option(value)
        return self.settled()

    def put(self, name, value):
        slider = self.page.get_by_label(name, exact=True)
        slider.evaluate("(e, v) => { e.value = v; e.dispatchEvent(new Event('input')) }", value)
        return self.settled()

    def pixels(self):
        return self.page.locator("canvas").evaluate_all("(all) => all.map((c) => c.toDataURL())")


@pytest.fixture
def book(watch, site, monkeypatch):
    """`book(state, page options…)` opens a page of the book with the figure on it."""
    monkeypatch.setenv("UNMAGIC_BOOK", "1")
    monkeypatch.setattr(SignalsThroughDepth, "still", lambda self: Still("a still", "data:,", "data:,"))

    def open_page(state=None, **options):
        page = book_page(SignalsThroughDepth(**(state or {})).markup())
        return Signals(watch(**options), site("page.html", page)).settled()

    return open_page


def test_choosing_activation_and_initialization_changes_what_is_said(book):
    figure = book()
    assert figure.verdict.startswith("Activations vanish: ")
    pixels = figure.pixels()
    figure.choose("Activation φ", "relu").choose("Initialization", "he")
    assert figure.verdict.startswith("Activations keep their size: ")
    assert figure.said("n·Var(w)") == "2"
    assert [k for k, picture in enumerate(figure.pixels()) if picture == pixels[k]] == []
    assert "Zero; dead units" in figure.table
    assert figure.choose("Activation φ", "linear").table.keys().isdisjoint({"Zero; dead units", "Saturated"})
    assert figure.watched.faults == []


def test_moving_n_var_makes_the_initialization_ones_own_with_theorys_factor_beside_the_measured(book):
    figure = book({"activation": "linear", "width": 128})
    figure.put("n·Var(w)", 1)  # a power of ten
    assert figure.state == ["linear", "own", "none"]
    measured, theory = figure.table["× from the layer after"]
    assert theory == "×\u00a03.16"
    assert float(measured.removeprefix("×\u00a0")) == pytest.approx(3.16, rel=0.1)
    theory = figure.page.inner_text(".note")
    assert "n·Var(w) · E[φ′²] = 10 · 1 = 10, their standard deviation by its root, 3.16." in theory


def test_with_batch_norm_the_weights_size_does_not_matter_to_the_signals(book):
    figure = book({"activation": "sigmoid", "normalization": "batch", "n_var": 1.0})
    before = figure.table
    after = figure.put("n·Var(w)", 2).table  # 100
    names = ["Activations h", "Gradients ∂J/∂h"]
    for name in names:
        assert float(after[name][0]) == pytest.approx(float(before[name][0]), rel=0.02)
    assert after["Gradients ∂J/∂W"] != before["Gradients ∂J/∂W"]


def test_a_layer_is_looked_at_by_slider_keys_and_by_a_press_on_a_picture(book):
    figure = book()
    slider = figure.page.get_by_label("Look at layer")
    slider.focus()
    figure.page.keyboard.press("ArrowRight")
    assert figure.settled().page.locator("caption").inner_text() == "Standard deviations in layer 11"
    passes = figure.passes
    figure.page.keyboard.press("Home")
    assert figure.settled().table["Gradients ∂J/∂h"][0].endswith("e−5")
    canvas = figure.page.locator("canvas.deviations")
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] - 12, "y": 40})
    assert figure.settled().page.locator("caption").inner_text() == "Standard deviations in layer 20"
    assert figure.table["× from the layer after"] == ["starts here", ""]
    assert figure.passes == passes, "looking computes nothing anew"
    figure.put("Depth L", 5)
    assert figure.page.locator("caption").inner_text() == "Standard deviations in layer 5"


def test_things_to_try_set_the_figure_and_reset_brings_it_back(book):
    figure = book()
    verdict, pixels = figure.verdict, figure.pixels()
    figure.page.get_by_text("Eight things to try").click()
    buttons = figure.page.locator(".tries button")
    assert buttons.count() == 8
    seen = set()
    for button in buttons.all():
        button.click()
        seen.add((*figure.settled().state, figure.verdict))
    assert len(seen) == 8
    figure.page.get_by_label("Each layer on its own scale").check()
    figure.page.get_by_role("button", name="Draw other numbers").click()
    figure.page.get_by_role("button", name="Reset").click()
    figure.page.get_by_text("Eight things to try").click()
    figure.page.mouse.move(0, 0)
    assert (figure.settled().verdict, figure.pixels()) == (verdict, pixels)


def test_other_numbers_scatter_around_the_same_theory(book):
    figure = book({"initialization": "xavier"})
    before = figure.table["Activations h"]
    figure.page.get_by_role("button", name="Draw other numbers").click()
    after = figure.settled().table["Activations h"]
    assert after[1] == before[1]
    assert after[0] != before[0]


def test_a_large_net_is_computed_in_slices_and_the_last_whole_pass_stays_until_then(book):
    figure = book()
    frames = figure.page.evaluate(
        """async () => { const root = document.querySelector(".unmagic-live");
        const put = (k, value) => {
          const range = root.querySelectorAll(".settings input")[k];
          range.value = value; range.dispatchEvent(new Event("input"));
        };
        put(2, 50);
        put(1, 9);
        const frames = [];
        do {
          await new Promise(requestAnimationFrame);
          frames.push([root.dataset.passes, root.querySelector(".signals-verdict").textContent]);
        } while (root.getAttribute("aria-busy") !== "false" || frames.length < 2);
        return frames; }"""
    )
    verdicts = [said for _, said in frames]
    assert len(frames) > 5
    assert len(set(verdicts)) == 2
    assert verdicts[0] == verdicts[2] != verdicts[-1]
    assert "in layer 50" in verdicts[-1]
    assert figure.said("Width n") == "256 units"


def test_nothing_moves_before_it_is_asked_to(book):
    figure = book(reduced_motion="reduce")
    pixels, passes = figure.pixels(), figure.passes
    figure.page.wait_for_timeout(300)
    assert (figure.pixels(), figure.passes) == (pixels, passes) and passes == 1


def test_a_page_of_another_size_gets_pictures_of_that_size(book):
    figure = book(width=1000)
    figure.page.set_viewport_size({"width": 500, "height": 900})
    figure.settled().settled()
    sizes = figure.page.locator("canvas").evaluate_all("(all) => all.map((c) => [c.width, c.clientWidth])")
    assert all(width == shown for width, shown in sizes)
    assert figure.passes == 1, "a new size computes nothing anew"


def test_the_deviations_it_reports_are_those_that_python_computes(watch, site):
    figure = SignalsThroughDepth("sigmoid", initialization="large", normalization="layer", depth=7, width=24, seed=5)
    site("widget.mjs", figure._esm)
    shown = Signals(watch(), site("notebook.html", notebook_page(figure)))
    shown.page.wait_for_function("window.sent.some((message) => message.deviations)")
    reported = shown.page.evaluate("window.sent.find((message) => message.deviations).deviations")
    assert reported.keys() == figure.measured().deviations().keys()
    for name, expected in figure.measured().deviations().items():
        torch.testing.assert_close(reported[name], expected, rtol=1e-6, atol=0)
    assert re.match("Activations ", shown.page.locator("[aria-live]").inner_text())
    shown.put("Depth L", 3)
    shown.page.wait_for_function("window.sent.filter((message) => message.deviations).length > 1")
    shown.page.evaluate("fromPython({ activation: 'relu', depth: 4 })")
    assert "In layer 4, " in shown.settled().verdict
    assert {"depth": 3} in shown.page.evaluate("window.sent")
