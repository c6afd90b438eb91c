"""The descent race in Chromium: by mouse, finger and keyboard, on a page of the book and as a widget.

What holds for every figure is in test_every_figure_in_chromium.py.
"""

from unmagic.figures import DescentRace
from unmagic.figures.base import Still
from unmagic.figures.descent import POINTS
from unmagic.figures.descent_race import PRESETS

import re

import pytest
import torch
from live_pages import book_page, notebook_page

pytestmark = pytest.mark.browser


class Race:
    """A race on a page, and what a reader sees of it."""

    def __init__(self, watched, address):
        self.watched, self.page = watched, watched.page
        self.page.goto(address)

    def settled(self):
        """Two frames later: what was asked for is drawn."""
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return self

    @property
    def start(self):
        label = self.page.get_by_role("button", name="Start at").get_attribute("aria-label")
        return [float(x.replace("−", "-")) for x in re.findall(r"= (−?\d+(?:\.\d+)?)", label)]

    @property
    def losses(self):
        return dict(
            zip(
                self.page.locator(".racers label").all_inner_texts(),
                self.page.locator(".racers .said").all_inner_texts(),
                strict=True,
            )
        )

    @property
    def map_draws(self):
        return int(self.page.locator(".unmagic-live").get_attribute("data-map-draws"))

    @property
    def clock(self):
        return self.page.locator(".clock span").inner_text()

    @property
    def limit(self):
        return self.page.locator(".limit").inner_text()

    def slider(self, name):
        return self.page.get_by_label(name, exact=True)

    def said(self, name):
        return self.slider(name).get_attribute("aria-valuetext")

    def put(self, name, value):
        """A slider at a value of its own scale (a power of ten for a logarithmic one)."""
        self.slider(name).evaluate("(e, v) => { e.value = v; e.dispatchEvent(new Event('input')) }", value)
        return self.settled()

    def press(self, name):
        self.page.get_by_role("button", name=name, exact=True).click()
        return self.settled()

    def choose(self, surface):
        self.page.get_by_label("Loss surface").select_option(surface)
        return self.settled()

    def pixels(self, canvas=".surface"):
        return self.page.locator(canvas).evaluate("(c) => c.toDataURL()")

    def place(self, w1, w2):
        """Where (w1, w2) is on the screen, for the bowl."""
        box = self.page.locator(".surface").bounding_box()
        return box["x"] + (w1 + 4) / 8 * box["width"], box["y"] + (3 - w2) / 6 * box["height"]


@pytest.fixture
def book(watch, site, monkeypatch):
    """`book(surface=…, page options…)` opens a page of the book with a race on it."""
    monkeypatch.setenv("UNMAGIC_BOOK", "1")
    monkeypatch.setattr(DescentRace, "still", lambda self: Still("a still of the race", "data:,", "data:,"))

    def open_page(state=None, html="", body="", **options):
        figure = DescentRace(**(state or {})).markup()
        race = Race(watch(**options), site("page.html", book_page(figure, html, body)))
        race.page.wait_for_selector('.unmagic-figure[data-alive="yes"] .unmagic-live[data-map-draws]')
        return race.settled()

    return open_page


@pytest.fixture
def notebook(watch, site):
    """`notebook(state=…)` opens a page where the widget's one module talks to a model, as in a notebook."""
    site("widget.mjs", DescentRace._esm)

    def open_page(state=None, drop=(), **options):
        page = notebook_page(DescentRace(**(state or {})), drop)
        race = Race(watch(**options), site("notebook.html", page))
        race.page.wait_for_selector(".unmagic-live")
        return race.settled()

    return open_page


def drag(race, *places, button="left"):
    """The mouse from the start over the given weights, without letting go; returns after the last place is drawn."""
    mouse = race.page.mouse
    mouse.move(*race.place(*race.start))
    mouse.down(button=button)
    for place in places:
        mouse.move(*race.place(*place))
        race.settled()


class TestTheStart:
    """The start of the race is moved by hand or by keys."""

    def test_dragging_moves_the_start_and_bends_all_paths_over_the_same_map(self, book):
        race = book()
        pixels, losses, draws = race.pixels(), race.losses, race.map_draws
        drag(race, (2, 1), (2.5, -1.5), (3, 2))
        assert race.start == pytest.approx([3, 2], abs=0.02)
        assert race.pixels() != pixels
        assert race.losses["Batch"] != losses["Batch"]
        assert race.map_draws == draws, "the map behind the paths was painted again"
        race.page.mouse.up()
        race.page.mouse.move(*race.place(-2, -2))
        assert race.settled().start == pytest.approx([3, 2], abs=0.02), "it let go"
        assert race.watched.faults == []

    def test_the_start_stays_on_the_map(self, book):
        race = book()
        drag(race, (3.9, 2.9), (9, 8))
        assert race.start == [4, 3]

    def test_another_mouse_button_does_not_drag(self, book):
        race = book()
        drag(race, (1, 1), button="right")
        assert race.start == PRESETS["bowl"]["start"]

    def test_arrow_keys_move_it_and_shift_makes_the_steps_larger(self, book):
        race = book({"start": [0, 0]})
        race.page.get_by_role("button", name="Start at").focus()
        for key in ("ArrowRight", "ArrowRight", "ArrowUp", "Shift+ArrowLeft", "ArrowDown", "ArrowDown"):
            race.page.keyboard.press(key)
        assert race.settled().start == pytest.approx([2 * 0.04 - 0.4, 0.04 - 2 * 0.04])

    def test_sliders_move_it_as_well(self, book):
        race = book()
        race.page.get_by_text("Start, speed, and a rate for each racer").click()
        race.put("Start w₁", 1.25)
        assert race.start == [1.25, PRESETS["bowl"]["start"][1]]

    def test_a_finger_drags_the_handle_scrolls_on_the_map_and_a_tap_sets_the_start(self, book):
        race = book(has_touch=True)
        touch = race.page.context.new_cdp_session(race.page)

        def finger(*places):
            for kind, place in [("touchStart", places[0]), *(("touchMove", place) for place in places[1:])]:
                touch.send(
                    "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [dict(zip("xy", place, strict=True))]}
                )
            touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
            race.settled()

        finger(race.place(*race.start), race.place(-2, 1), race.place(1, 2))
        assert race.start == pytest.approx([1, 2], abs=0.03)
        finger(race.place(-2, -2), race.place(-1, 0), race.place(0, 2))
        assert race.start == pytest.approx([1, 2], abs=0.03), "a finger that moves over the map is not a drag"
        race.page.touchscreen.tap(*race.place(-2, -1))
        assert race.settled().start == pytest.approx([-2, -1], abs=0.03)


class TestControls:
    """Sliders, choices and buttons."""

    def test_a_rate_above_the_limit_is_said_in_a_sentence_with_its_numbers(self, book):
        race = book({"eccentricity": 10.0, "learning_rate": 0.1})
        assert "Stability limit 2/λmax = 0.2 at the minimum, where λmax = 10" in race.limit
        assert "ε = 0.1 is below it" in race.limit
        race.slider("Learning rate ε").focus()
        for _ in range(40):  # a step is a hundredth of a power of ten
            race.page.keyboard.press("ArrowRight")
        race.settled()
        assert race.said("Learning rate ε") == "0.251"
        assert "ε = 0.251 is above it" in race.limit
        assert "multiplies the error by 1.51" in race.limit
        assert "Momentum is stable up to 2(1 + β)/λmax = 0.36" in race.limit

    def test_the_mark_on_the_rates_slider_is_at_two_over_lambda_max(self, book):
        race = book({"eccentricity": 10.0})
        race.put("Learning rate ε", -0.69897)  # 0.2
        tick = race.page.locator(".tick").first.evaluate("(e) => e.getBoundingClientRect().left")
        box = race.slider("Learning rate ε").bounding_box()
        thumb = box["x"] + 9 + (box["width"] - 18) * (4 - 0.69897) / 5
        assert tick == pytest.approx(thumb, abs=2)
        race.put("Eccentricity λmax/λmin", 2)
        assert "2/λmax = 0.02 at the minimum" in race.limit

    def test_racers_that_diverge_say_when_and_nothing_breaks(self, book):
        race = book()
        race.put("Learning rate ε", 0)
        assert race.losses["Batch"].startswith("diverged in epoch ")
        assert race.losses["Stochastic"] == "diverged in epoch 1"
        race.put("Learning rate ε", -2)
        assert "diverged" not in "".join(race.losses.values())
        assert race.watched.faults == []

    @pytest.mark.parametrize("surface", [name for name in PRESETS if name != "bowl"])
    def test_each_surface_comes_with_its_settings_and_paints_its_map(self, book, surface):
        race = book()
        pixels, draws = race.pixels(), race.map_draws
        race.choose(surface)
        preset = PRESETS[surface]
        assert race.start == preset["start"][:2]
        assert float(race.said("Learning rate ε")) == preset["learning_rate"]
        assert race.clock == f"epoch {preset['epochs']} of {preset['epochs']}"
        assert (race.pixels() != pixels, race.map_draws) == (True, draws + 1)
        assert race.page.locator("canvas.unit").is_visible() == (surface == "unit")
        assert race.page.get_by_label("Steepness of the walls κ").count() == (surface == "ravine")
        assert race.watched.faults == []

    def test_reset_brings_back_what_was_chosen_for_the_surface(self, book):
        race = book()
        pixels, losses = race.pixels(), race.losses
        race.put("Learning rate ε", -1).put("Noise", 1.2).put("Momentum β", 0.1)
        drag(race, (1, 1))
        race.page.mouse.up()
        race.page.get_by_text("Start, speed, and a rate for each racer").click()
        race.put("ε of stochastic", -3)
        assert race.losses != losses
        race.press("Reset")
        race.page.get_by_text("Start, speed, and a rate for each racer").click()
        race.settled()
        assert race.losses == losses
        race.page.mouse.move(0, 0)
        race.page.evaluate("document.activeElement.blur()")
        race.page.wait_for_timeout(300)  # the map settles after a slider bent it
        assert race.settled().pixels() == pixels

    def test_a_rate_for_one_racer_moves_that_racer_alone_and_the_common_one_moves_all(self, book):
        race = book()
        losses = race.losses
        race.page.get_by_text("Start, speed, and a rate for each racer").click()
        race.put("ε of minibatch", -3)
        assert [name for name in losses if race.losses[name] != losses[name]] == ["Minibatch"]
        race.put("Learning rate ε", -1.7)
        assert race.said("ε of minibatch") == race.said("Learning rate ε") == "0.02"
        assert race.losses == losses

    def test_another_shuffle_changes_only_who_sees_part_of_the_points(self, book):
        race = book()
        losses = race.losses
        race.press("Shuffle anew")
        assert [name for name in losses if race.losses[name] != losses[name]] == ["Stochastic", "Minibatch"]

    def test_a_racer_can_leave_the_race(self, book):
        race = book()
        race.page.get_by_label("Stochastic").first.uncheck()
        assert race.settled().losses["Stochastic"] == ""
        for name in ("Batch", "Minibatch", "Batch + momentum"):
            race.page.get_by_label(name, exact=True).uncheck()
        assert set(race.settled().losses.values()) == {""}
        assert race.watched.faults == []

    @pytest.mark.parametrize("axis", ["points", "updates"])
    def test_the_loss_is_shown_against_epochs_points_or_updates(self, book, axis):
        race = book()
        pixels = race.pixels(".plot")
        race.page.get_by_label("Loss against").select_option(axis)
        assert race.settled().pixels(".plot") != pixels
        assert race.watched.faults == []

    def test_a_longer_race_seen_to_its_end_stays_seen_to_its_end(self, book):
        race = book()
        race.page.get_by_text("Start, speed, and a rate for each racer").click()
        race.put("Length of the race", 2)
        assert race.clock == "epoch 100 of 100"


class TestTheClock:
    """Play, pause, steps and the scrubber."""

    def test_play_runs_from_the_beginning_to_the_end_and_stops(self, book):
        race = book({"epochs": 2, "speed": 8.0})
        race.press("▶ Play")
        race.page.wait_for_function("document.querySelector('.clock span').textContent.match(/epoch (0|1)/)")
        race.page.wait_for_function("document.querySelector('.clock span').textContent === 'epoch 2 of 2'")
        race.page.get_by_role("button", name="▶ Play", exact=True).wait_for()

    def test_pause_stops_where_it_is(self, book):
        race = book({"speed": 0.5})
        race.press("▶ Play")
        race.page.wait_for_function("!document.querySelector('.clock span').textContent.startsWith('epoch 0 ')")
        race.press("❚❚ Pause")
        clock = race.clock
        race.page.wait_for_timeout(200)
        assert race.settled().clock == clock

    def test_steps_show_one_point_or_the_rest_of_an_epoch(self, book):
        race = book({"points_shown": 0})
        at_start = race.losses
        race.press("+1 point")
        assert race.clock == "epoch 0 of 20"
        assert [name for name in at_start if race.losses[name] != at_start[name]] == ["Stochastic"]
        for _ in range(7):
            race.press("+1 point")
        assert [name for name in at_start if race.losses[name] != at_start[name]] == ["Stochastic", "Minibatch"]
        race.press("+1 epoch")
        assert race.clock == "epoch 1 of 20"
        assert all(race.losses[name] != at_start[name] for name in at_start)

    def test_the_scrubber_goes_both_ways(self, book):
        race = book()
        end = race.losses
        race.put("Points shown so far", 5 * POINTS)
        assert race.clock == "epoch 5 of 20"
        assert race.losses != end
        race.put("Points shown so far", 20 * POINTS)
        assert race.losses == end

    def test_where_motion_is_not_wanted_play_jumps(self, book):
        race = book({"points_shown": 0}, reduced_motion="reduce")
        race.press("▶▶ 10 epochs")
        assert race.clock == "epoch 10 of 20"
        race.page.wait_for_timeout(200)
        assert race.settled().clock == "epoch 10 of 20"

    def test_nothing_moves_before_it_is_asked_to(self, book):
        race = book()
        clock = race.clock
        race.page.wait_for_timeout(300)
        assert race.clock == clock == "epoch 20 of 20"


class TestAppearance:
    """Size and theme."""

    def test_a_resized_page_gets_a_sharp_map_of_the_new_size(self, book):
        race = book(width=1000, device_scale_factor=2)
        draws = race.map_draws
        race.page.set_viewport_size({"width": 600, "height": 900})
        race.settled().settled()
        size = race.page.locator(".surface").evaluate("(c) => [c.width, c.height, c.clientWidth, c.clientHeight]")
        assert size[:2] == [2 * size[2], 2 * size[3]]
        assert race.map_draws > draws
        assert race.watched.faults == []

    @pytest.mark.parametrize("surface", PRESETS)
    def test_at_320_pixels_nothing_is_cut_off(self, book, surface):
        race = book({"surface": surface}, width=320)
        for summary in race.page.locator("summary").all():
            summary.click()
        wide = race.page.evaluate(
            """[...document.querySelectorAll("body, .unmagic-live *")]
            .filter((e) => !e.closest(".unseen, .handle, .limits"))
            .filter((e) => e.getBoundingClientRect().right > 312.5).map((e) => e.outerHTML.slice(0, 80))"""
        )
        assert wide == []
        assert race.page.evaluate("document.documentElement.scrollWidth") == 320

    @pytest.mark.parametrize(
        ("html", "body", "system", "theme"),
        [
            pytest.param(' data-theme="dark"', "", "light", "dark", id="book-dark"),
            pytest.param(' data-theme="light"', "", "dark", "light", id="book-light"),
            pytest.param("", ' data-jp-theme-light="false"', "light", "dark", id="jupyterlab-dark"),
            pytest.param("", ' data-jp-theme-light="true"', "dark", "light", id="jupyterlab-light"),
            pytest.param("", ' data-vscode-theme-kind="vscode-dark"', "light", "dark", id="vscode-dark"),
            pytest.param("", "", "dark", "dark", id="system-dark"),
        ],
    )
    def test_it_has_the_theme_of_the_page(self, book, html, body, system, theme):
        race = book(html=html, body=body, color_scheme=system)
        assert race.page.locator(".unmagic-live").get_attribute("data-unmagic-theme") == theme

    def test_it_follows_the_systems_change_of_theme(self, book):
        race = book(color_scheme="light")
        race.page.emulate_media(color_scheme="dark")
        assert race.settled().page.locator(".unmagic-live").get_attribute("data-unmagic-theme") == "dark"


class TestAccess:
    """For everyone."""

    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_axe_finds_nothing(self, book, theme):
        race = book({"surface": "unit"}, color_scheme=theme)
        race.page.evaluate(f"document.body.style.background = {'#ffffff' if theme == 'light' else '#121212'!r}")
        race.page.evaluate(f"document.body.style.color = {'#121212' if theme == 'light' else '#ffffff'!r}")
        for summary in race.page.locator("summary").all():
            summary.click()
        race.put("Learning rate ε", 1)  # its warning is shown
        assert "above" in race.limit
        assert race.watched.axe() == []

    def test_a_drag_is_announced_once_when_it_rests(self, book):
        race = book()
        race.page.evaluate(
            """() => { window.told = []; new MutationObserver(() =>
            window.told.push(document.querySelector("[aria-live]").textContent)).observe(
            document.querySelector("[aria-live]"), { childList: true, characterData: true, subtree: true }); }"""
        )
        race.page.wait_for_timeout(800)
        race.page.evaluate("window.told = []")
        drag(race, *[(-3 + k / 4, 1) for k in range(16)])
        race.page.mouse.up()
        race.page.wait_for_function("window.told.length > 0")
        (told,) = race.page.evaluate("window.told")
        assert told.startswith("Epoch 20 of 20. Loss above the lowest: Batch ")
        assert race.page.locator("[aria-live], output, [role=status]").count() == 1


class TestFaults:
    """What is not set up explains itself."""

    @pytest.mark.parametrize(
        ("broken", "said"),
        [
            pytest.param(lambda s: s.replace("&quot;bowl&quot;, &quot;weights", "&quot;bowel&quot;, &quot;weights"),
                         "surface is “bowel”, wanted is one of bowl, ravine", id="surface"),
            pytest.param(lambda s: s.replace("&quot;noise&quot;", "&quot;nose&quot;"),
                         "its state lacks noise", id="state"),
            pytest.param(lambda s: s.replace('data-state="{', 'data-state="{{'), "could not start: ", id="json"),
            pytest.param(lambda s: s.replace('"descent_race"', '"Descent race"'),
                         "data-figure is “Descent race”", id="name"),
            pytest.param(lambda s: s.replace('"descent_race"', '"no_such"'), "could not start: ", id="module"),
        ],
    )  # fmt: skip
    def test_a_figure_that_cannot_start_says_why(self, watch, site, monkeypatch, broken, said):
        monkeypatch.setenv("UNMAGIC_BOOK", "1")
        monkeypatch.setattr(DescentRace, "still", lambda self: Still("a still of the race", "data:,", "data:,"))
        whole = DescentRace().markup()
        figure = broken(whole)
        assert figure != whole
        page = watch().page
        page.goto(site("broken.html", book_page(figure)))
        assert said in page.get_by_role("alert").inner_text()


class TestAsAWidget:
    """State both ways between the figure and Python."""

    def test_what_python_sets_the_figure_shows(self, notebook):
        race = notebook()
        race.page.evaluate("fromPython({ start: [1, -2], learning_rate: 0.05, points_shown: 48 })")
        race.settled()
        assert race.start == [1, -2]
        assert (race.said("Learning rate ε"), race.clock) == ("0.05", "epoch 1 of 20")
        race.page.evaluate("fromPython({ playing: true, speed: 8 })")
        race.page.wait_for_function("document.querySelector('.clock span').textContent === 'epoch 20 of 20'")

    def test_what_the_reader_moves_python_sees(self, notebook):
        race = notebook()
        race.page.evaluate("window.sent.length = 0")
        drag(race, (2, 1))
        sent = race.page.evaluate("window.sent")
        assert sent[-1]["start"] == pytest.approx([2, 1], abs=0.02)
        assert {key for message in sent for key in message} == {"start"}
        race.page.mouse.up()
        race.put("Momentum β", 0.5)
        assert race.page.evaluate("window.sent").pop() == {"momentum": 0.5}

    def test_a_drag_sends_at_most_one_message_a_frame(self, notebook):
        race = notebook()
        race.page.evaluate("window.sent.length = 0")
        race.page.evaluate(
            """() => new Promise((done) => requestAnimationFrame(() => {
            const handle = document.querySelector(".handle");
            const up = () => new KeyboardEvent("keydown", { key: "ArrowUp", bubbles: true });
            for (let k = 0; k < 50; k++) handle.dispatchEvent(up());
            requestAnimationFrame(() => requestAnimationFrame(done)); }))"""
        )
        assert len(race.page.evaluate("window.sent")) == 1
        assert race.start[1] == pytest.approx(PRESETS["bowl"]["start"][1] + 50 * 0.04)

    @pytest.mark.parametrize("surface", PRESETS)
    def test_the_weights_it_reports_are_those_that_python_computes(self, notebook, surface):
        state = dict(surface=surface, epochs=6, seed=3, points_shown=5 * POINTS + 7)
        race = notebook(state)
        race.page.wait_for_function("window.sent.some((message) => message.weights)")
        reported = race.page.evaluate("window.sent.find((message) => message.weights)")
        assert reported["diverged"] == []
        for racer, path in DescentRace(**state).paths().items():
            got = torch.tensor(reported["weights"][racer], dtype=torch.float64)
            torch.testing.assert_close(got, path[-1], rtol=1e-5, atol=1e-6)
