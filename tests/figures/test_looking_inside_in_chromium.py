"""Looking inside, live, in Chromium: what a reader does, and what the figure then shows."""

from unmagic import data, figures, look, trained
from unmagic.figures import LookingInside
from unmagic.figures.base import Still

import base64
import io

import numpy as np
import pytest
import torch
from live_pages import book_page, notebook_page
from PIL import Image
from torch import nn

pytestmark = pytest.mark.browser

TWO_FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


class Inside:
    """The figure on a page, and what a reader sees of it."""

    def __init__(self, watched, address):
        self.watched, self.page = watched, watched.page
        self.asked = []
        self.page.on("request", lambda request: self.asked.append(request.url.split("/")[-1]))
        self.page.goto(address)
        self.page.wait_for_selector(".unmagic-live[data-coverings]")

    def settled(self):
        """When everything that was asked for is computed and drawn."""
        self.page.evaluate(TWO_FRAMES)
        self.page.wait_for_selector('.unmagic-live[aria-busy="false"]')
        self.page.evaluate(TWO_FRAMES)
        return self

    @property
    def verdict(self):
        return self.page.locator(".verdict").inner_text()

    @property
    def problem(self):
        return self.page.locator(".problem").text_content()

    @property
    def odds(self):
        rows = self.page.locator(".odds li span:last-child").all_inner_texts()
        return [float(text.removesuffix(" %")) / 100 for text in rows]

    @property
    def step(self):
        return self.page.locator(".maps p").last.inner_text()

    def pixels(self, selector="canvas"):
        return self.page.locator(selector).evaluate_all("(all) => all.map((c) => c.toDataURL())")

    def choose(self, label, value):
        self.page.get_by_label(label, exact=True).select_option(value)
        return self.settled()

    def press(self, name):
        self.page.get_by_role("button", name=name, exact=True).click()
        return self.settled()

    def draw(self, points):
        """Drags the mouse over the pad, through points from 0 to 1."""
        self.page.locator(".drawing canvas").scroll_into_view_if_needed()
        box = self.page.locator(".drawing canvas").bounding_box()
        at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        mouse = self.page.mouse
        mouse.move(*at[0])
        mouse.down()
        for place in at[1:]:
            mouse.move(*place, steps=4)
        mouse.up()
        return self.settled()

    def open(self, button, file, content):
        with self.page.expect_file_chooser() as chosen:
            self.page.get_by_role("button", name=button).click()
        chosen.value.set_files([{"name": file, "mimeType": "application/octet-stream", "buffer": content}])
        return self.settled()


@pytest.fixture
def book(watch, site, monkeypatch):
    """`book(figure's arguments, page=options…)` opens a page of the book with the figure on it."""
    monkeypatch.setenv("UNMAGIC_BOOK", "1")
    monkeypatch.setattr(LookingInside, "still", lambda self: Still("a still", "data:,", "data:,"))

    def open_page(*arguments, page=None, **state):
        html = book_page(LookingInside(*arguments, **state).markup())
        return Inside(watch(**(page or {})), site("page.html", html)).settled()

    return open_page


@pytest.fixture
def notebook(watch, site):
    """`notebook(figure)` opens a page with the figure as a widget, whose Python side is played by the test."""

    def open_page(figure):
        site("widget.mjs", figure._esm)
        return Inside(watch(), site("notebook.html", notebook_page(figure))).settled()

    return open_page


def sent(shown, key):
    """What Python was told last of a trait, once the reader rested."""
    shown.page.wait_for_function(f"window.sent.some((changes) => '{key}' in changes)")
    shown.page.wait_for_timeout(800)
    return shown.page.evaluate(f"window.sent.filter((changes) => '{key}' in changes).at(-1)['{key}']")


def png(array) -> bytes:
    made = io.BytesIO()
    Image.fromarray((np.asarray(array) * 255).round().astype(np.uint8)).save(made, "PNG")
    return made.getvalue()


SEVEN = [(0.55, 0.3), (0.8, 0.3), (0.65, 0.7)]


class TestDrawing:
    """By mouse, finger and keys."""

    def test_a_drawn_digit_is_recognised_and_what_is_shown_is_what_torch_computes_of_it(self, notebook):
        shown = notebook(LookingInside(epsilon=0.2))
        shown.press("Clear").draw(SEVEN)
        assert shown.verdict.startswith("The net says “7”")
        picture = torch.tensor(sent(shown, "picture")).reshape(1, 1, 8, 8)
        assert set((picture.flatten() * 16).tolist()) <= set(map(float, range(17)))
        net = trained.load("digits_live")
        with torch.no_grad():
            expected = net(picture).softmax(dim=1)[0]
        torch.testing.assert_close(torch.tensor(sent(shown, "probabilities")), expected, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(torch.tensor(shown.odds), expected, atol=6e-4, rtol=0)
        with torch.no_grad():
            moved = net(look.fgsm(net, picture, expected.argmax()[None], 0.2)).softmax(dim=1)[0]
        assert f"ε = 0.200: the net says “{moved.argmax()}” ({100 * moved.max():.1f} %)" in shown.step
        assert shown.watched.faults == []

    def test_every_picture_on_the_page_follows_the_drawing_and_undo_brings_all_back(self, book):
        shown = book()
        before = shown.pixels()
        shown.draw([(0.2, 0.2), (0.8, 0.8)])
        assert [k for k, pixels in enumerate(shown.pixels()) if pixels == before[k] and k < 6] == []
        shown.press("Undo")
        assert shown.pixels()[:6] == before[:6]
        assert shown.page.get_by_role("button", name="Undo").is_disabled()

    def test_keys_draw_what_the_mouse_draws(self, book):
        shown = book()
        shown.press("Clear")
        shown.page.locator(".drawing canvas").focus()
        for _ in range(9):
            shown.page.keyboard.press("ArrowUp")
        for key, times in [("Shift+ArrowRight", 7), ("Shift+ArrowDown", 19)]:
            for _ in range(times):
                shown.page.keyboard.press(key)
        shown.settled()
        assert shown.page.get_by_label("Picture", exact=True).input_value() == ""
        answer = shown.verdict
        assert answer.startswith(("The net says “7”", "The net says “1”"))
        shown.page.keyboard.press("Space")
        shown.page.keyboard.press("Backspace")
        assert shown.settled().verdict == answer
        shown.press("Eraser")
        assert shown.page.get_by_role("button", name="Eraser").get_attribute("aria-pressed") == "true"

    def test_a_finger_draws_and_does_not_scroll(self, book):
        shown = book(page={"has_touch": True, "width": 320})
        box = shown.page.locator(".drawing canvas").bounding_box()
        before = shown.pixels(".drawing canvas")
        shown.page.touchscreen.tap(box["x"] + box["width"] * 0.1, box["y"] + box["height"] * 0.5)
        assert shown.settled().pixels(".drawing canvas") != before
        assert shown.page.locator(".drawing canvas").evaluate("(e) => getComputedStyle(e).touchAction") == "none"

    @pytest.mark.parametrize(("net", "coverings"), [("digits", 2), ("shapes", 0)])
    def test_while_the_hand_moves_maps_follow_and_no_point_is_lost(self, book, net, coverings):
        shown = book(net)
        shown.press("Clear")
        followed = shown.page.evaluate(
            """async (coverings) => {
              const canvas = document.querySelector(".drawing canvas"), box = canvas.getBoundingClientRect();
              Element.prototype.setPointerCapture = () => {};
              const root = document.querySelector(".unmagic-live");
              const counts = () => [Number(root.dataset.passes), Number(root.dataset.coverings)];
              const fire = (type, k) => {
                const [clientX, clientY] = [box.left + box.width * (0.1 + 0.016 * k), box.top + box.height * 0.3];
                const where = { bubbles: true, button: 0, pointerId: 1, clientX, clientY };
                canvas.dispatchEvent(new PointerEvent(type, where));
              };
              const before = counts();
              fire("pointerdown", 0);
              const followed = () => counts()[0] >= before[0] + 4 && counts()[1] >= before[1] + coverings;
              for (let k = 1; k <= 50 || (!followed() && k < 2000); k++) {
                fire("pointermove", 50 - Math.abs((k % 100) - 50)); // to the end and back
                await new Promise(requestAnimationFrame);
              }
              const found = followed();
              fire("pointerup", 50);
              return found;
            }""",
            coverings,
        )
        assert followed, "the step and what comes before it, and the occlusion, are redrawn while the pen is down"
        pad = shown.settled().page.locator(".drawing canvas")
        painted = pad.evaluate(
            """(c) => [...Array(9).keys()].map((k) => [...c.getContext("2d").getImageData(
              c.width * (0.14 + 0.08 * k), c.height * 0.3, 1, 1).data].slice(0, 3).join())"""
        )
        assert set(painted) == {"208,48,48" if net == "shapes" else "255,255,255"}, "drawn from end to end"


class TestChoices:
    """Net, picture, class, layer, step."""

    def test_a_net_is_fetched_when_it_is_wanted_and_once(self, book):
        shown = book()
        assert "looking_inside_digits.safetensors" in shown.asked
        assert "looking_inside_shapes.safetensors" not in shown.asked
        shown.choose("Net", "shapes")
        assert shown.page.locator(".odds li").first.inner_text().startswith("disc")
        shown.choose("Net", "digits").choose("Net", "shapes")
        assert sum(name.startswith("looking_inside_shapes") for name in shown.asked) == 1
        assert shown.watched.faults == []

    def test_each_sample_is_recognised_as_torch_does(self, book):
        shown = book()
        pictures, _ = figures.looking_inside_nets.samples("digits")
        with torch.no_grad():
            expected = trained.load("digits_live")(pictures).softmax(dim=1)
        for k in (3, 8):
            shown.choose("Picture", str(k))
            torch.testing.assert_close(torch.tensor(shown.odds), expected[k], atol=2e-3, rtol=0)

    def test_a_larger_step_is_said_and_drawn(self, book):
        shown = book()
        before = shown.pixels(".maps canvas")
        slider = shown.page.get_by_label("Step ε")
        slider.focus()
        shown.page.keyboard.press("End")
        shown.settled()
        assert shown.step.startswith("ε = 0.500: the net says ")
        changed = [a != b for a, b in zip(before, shown.pixels(".maps canvas"), strict=True)]
        assert changed == [False, False, False, True], "maps of the picture itself stay"

    def test_class_and_layer_choose_what_the_maps_explain(self, book):
        shown = book()
        before = shown.pixels(".maps canvas")
        shown.choose("Explain", "4")
        assert "of “4” is most sensitive" in shown.page.locator(".maps p").nth(1).inner_text()
        after = shown.pixels(".maps canvas")
        assert [a != b for a, b in zip(before, after, strict=True)] == [True] * 4
        shown.choose("Grad-CAM of", "2")
        assert shown.page.locator(".maps p").nth(5).inner_text().startswith("Layer 2: ")
        assert [a != b for a, b in zip(after, shown.pixels(".maps canvas"), strict=True)] == [False, False, True, False]

    def test_every_layer_has_its_activations_with_the_share_of_zeros_that_torch_finds(self, book):
        shown = book()
        net, (pictures, _) = trained.load("digits_live"), figures.looking_inside_nets.samples("digits")
        rows = shown.page.locator(".layers .row p").all_inner_texts()
        assert len(rows) == len(net)
        zeros, _ = look.sparsity(net, "2", pictures[:1])
        assert f"12 × 8 × 8, {round(100 * zeros)} % zero" in rows[2].replace("\n", " ")
        assert "10 numbers" in rows[-1]


class TestFiles:
    """Pictures and nets of one's own."""

    def test_a_picture_stays_in_the_page(self, book):
        shown = book("shapes")
        scene = data.shapes(8, seed=3, split="test").images[7].permute(1, 2, 0)
        asked = len(shown.asked)
        shown.open("Open a picture…", "mine.png", png(scene))
        with torch.no_grad():
            net = trained.load("shapes_live")
            expected = net((scene * 255).round().permute(2, 0, 1)[None] / 255).softmax(dim=1)[0]
        torch.testing.assert_close(torch.tensor(shown.odds), expected, atol=2e-3, rtol=0)
        assert "“mine.png”" in shown.problem
        assert shown.page.locator(".problem").get_attribute("class") == "problem note", "said, and not as a fault"
        assert shown.asked[asked:] == [], "nothing was sent"
        assert "stays in this page" in shown.page.locator(".privacy").inner_text()

    def test_a_dark_digit_on_paper_is_turned_round_and_fitted_for_the_digits(self, book):
        shown = book()
        digit = data.digits("test").images[0, 0]
        label = int(data.digits("test").labels[0])
        paper = torch.full((120, 160), 0.9)
        paper[20:84, 60:124] -= 0.8 * digit.repeat_interleave(8, 0).repeat_interleave(8, 1)
        shown.open("Open a picture…", "paper.png", png(paper))
        assert "light and dark exchanged, scaled and centred" in shown.problem
        assert shown.verdict.startswith(f"The net says “{label}”")

    def test_what_is_no_picture_is_said_and_nothing_is_lost(self, book):
        shown = book()
        before = shown.pixels()
        shown.open("Open a picture…", "notes.txt", b"no picture")
        assert shown.problem.startswith("“notes.txt” could not be read; wanted a picture")
        assert shown.pixels() == before
        assert "note" not in shown.page.locator(".problem").get_attribute("class").split()
        shown.choose("Picture", "3")
        assert shown.problem == "", "it was about another picture"

    def test_a_dropped_picture_is_opened(self, book):
        shown = book("shapes")
        before = shown.pixels(".drawing canvas")
        content = base64.b64encode(png(np.random.default_rng(0).random((40, 60, 3)))).decode()
        shown.page.evaluate(
            """(content) => { const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
              const transfer = new DataTransfer();
              transfer.items.add(new File([bytes], "dropped.png", { type: "image/png" }));
              const drop = new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: transfer });
              document.querySelector(".verdict").dispatchEvent(drop); }""",
            content,
        )
        shown.page.wait_for_function("document.querySelector('.problem').textContent.includes('dropped.png')")
        assert shown.settled().pixels(".drawing canvas") != before

    def test_a_net_of_ones_own_is_loaded_with_its_classes(self, book, tmp_path):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(1, 5, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 13 * 13, 3)).eval()
        file = figures.export(net, tmp_path / "n.safetensors", input_shape=(1, 28, 28), classes=["cat", "dog", "emu"])
        shown = book()
        shown.open("Open a net…", "MINE.SAFETENSORS", file.read_bytes())
        assert shown.page.get_by_label("Net", exact=True).input_value() == "own"
        with torch.no_grad():
            expected = net(torch.zeros(1, 1, 28, 28)).softmax(dim=1)[0]
        torch.testing.assert_close(torch.tensor(shown.odds), expected, atol=2e-3, rtol=0)
        assert shown.page.locator(".odds li").nth(2).inner_text().startswith("emu")
        assert not shown.page.get_by_label("Scale and centre").is_checked()
        shown.draw(SEVEN)
        assert shown.page.locator(".given .note").inner_text() == "What the net is given: 28 × 28 pixels in grey."
        assert shown.watched.faults == []

    def test_ones_own_net_cannot_be_chosen_before_it_was_opened(self, book):
        shown = book()
        answer = shown.choose("Net", "own").verdict
        assert shown.problem == "Open a net first: a file of unmagic.figures.export."
        assert shown.page.get_by_label("Net", exact=True).input_value() == "digits"
        assert shown.page.get_by_label("Picture", exact=True).locator("option").count() == 11
        assert answer.startswith("The net says “0”")

    def test_a_file_that_is_no_net_is_refused_and_the_net_stays(self, book):
        shown = book()
        before = shown.pixels()
        shown.open("Open a net…", "bad.safetensors", b"nothing of the kind")
        assert "This is no file of unmagic.figures.export" in shown.problem
        assert shown.pixels() == before
        assert shown.page.get_by_label("Net", exact=True).input_value() == "digits"

    def test_a_net_that_cannot_be_fetched_is_said(self, watch, site, monkeypatch):
        monkeypatch.setenv("UNMAGIC_BOOK", "1")
        monkeypatch.setattr(LookingInside, "still", lambda self: Still("a still", "data:,", "data:,"))
        html = book_page(LookingInside().markup()).replace("looking_inside_digits.", "looking_inside_gone.")
        watched = watch()
        watched.page.goto(site("gone.html", html))
        watched.page.wait_for_function("document.querySelector('.problem')?.textContent.includes('answered 404')")


class TestInANotebook:
    """State both ways."""

    def test_python_sets_net_picture_and_step_and_the_page_follows(self, notebook):
        figure = LookingInside()
        shown = notebook(figure)
        picture = data.shapes(3, split="test").images[2]
        figure.net = "shapes"
        changes = {"weights": figure.weights, "net": "shapes", "picture": [], "epsilon": 0.05}
        shown.page.evaluate("(changes) => fromPython(changes)", changes)
        shown.page.wait_for_function("document.querySelector('.odds').innerText.startsWith('disc')")
        shown.page.evaluate("(picture) => fromPython({ picture })", picture.flatten().tolist())
        shown.settled()
        with torch.no_grad():
            expected = trained.load("shapes_live")(picture[None]).softmax(dim=1)[0]
        torch.testing.assert_close(torch.tensor(shown.odds), expected, atol=2e-3, rtol=0)
        assert shown.step.startswith("ε = 0.050")
        assert shown.watched.faults == []

    def test_a_net_that_is_chosen_in_the_page_comes_from_python(self, notebook):
        figure = LookingInside()
        shown = notebook(figure)
        shown.page.get_by_label("Net", exact=True).select_option("shapes")
        shown.page.wait_for_function("window.sent.some((changes) => changes.net === 'shapes')")
        figure.net = "shapes"
        shown.page.evaluate("(weights) => fromPython({ weights })", figure.weights)
        shown.page.wait_for_function("document.querySelector('.odds').innerText.startsWith('disc')")
        assert [name for name in shown.asked if "safetensors" in name] == []
