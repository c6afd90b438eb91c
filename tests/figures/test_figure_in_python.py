"""A live figure seen from Python: its state, its mark-up in the book, its still, its one module."""

from unmagic import figures
from unmagic.figures import STATIC, DescentRace, descent_still
from unmagic.figures.base import Figure
from unmagic.figures.bundle import bundle, modules
from unmagic.figures.descent import POINTS, RACERS
from unmagic.figures.descent_race import PRESETS
from unmagic.style import PALETTES

import base64
import html
import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
import traitlets
from PIL import Image


@pytest.fixture
def in_book(monkeypatch):
    monkeypatch.setenv("UNMAGIC_BOOK", "1")


@pytest.fixture
def sent(monkeypatch):
    """The messages that a race's channel to the browser would carry."""
    messages = []
    race = DescentRace()
    monkeypatch.setattr(race.comm, "send", lambda data=None, **kwargs: messages.append(data))
    return race, messages


class TestState:
    """The state of a race, both ways."""

    @pytest.mark.parametrize("surface", PRESETS)
    def test_a_surface_brings_its_own_settings(self, surface):
        race = DescentRace(surface)
        for name, value in PRESETS[surface].items():
            assert getattr(race, name) == value
        assert race.points_shown == race.epochs * POINTS, "the whole race is seen"

    def test_what_is_asked_for_outranks_the_surface(self):
        race = DescentRace("ravine", learning_rate=0.5, epochs=7)
        assert (race.learning_rate, race.epochs, race.points_shown) == (0.5, 7, 7 * POINTS)
        assert race.start == PRESETS["ravine"]["start"]

    def test_choosing_another_surface_sets_the_rest(self):
        race = DescentRace(rates={"batch": 0.01}, playing=True)
        race.surface = "unit"
        assert race.start == PRESETS["unit"]["start"]
        assert (race.learning_rate, race.rates, race.playing) == (PRESETS["unit"]["learning_rate"], {}, False)

    def test_setting_a_trait_tells_the_browser(self, sent):
        race, messages = sent
        race.start = [1.0, 2.0]
        assert messages == [{"method": "update", "state": {"start": [1.0, 2.0]}, "buffer_paths": []}]

    def test_a_drag_in_the_browser_is_seen_in_python(self, sent):
        race, _ = sent
        seen = []
        race.observe(lambda change: seen.append((change["old"], change["new"])), "start")
        race._handle_msg({"content": {"data": {"method": "update", "state": {"start": [0.5, 0.25]}}}, "buffers": []})
        assert race.start == [0.5, 0.25]
        assert seen == [(PRESETS["bowl"]["start"], [0.5, 0.25])]

    def test_steps_and_reset_move_the_clock(self):
        race = DescentRace(points_shown=0)
        race.play()
        assert race.playing
        race.step()
        race.step(3)
        assert (race.playing, race.points_shown) == (False, POINTS + 3)
        race.step(-1000)
        assert race.points_shown == 0
        race.learning_rate = 1.0
        race.reset()
        assert (race.learning_rate, race.points_shown) == (PRESETS["bowl"]["learning_rate"], 20 * POINTS)

    @pytest.mark.parametrize(
        ("state", "said"),
        [
            pytest.param({"surface": "bowel"}, "found 'bowel', wanted one of bowl, ravine", id="unknown-surface"),
            pytest.param({"start": [1.0]}, "start", id="start-of-one-number"),
            pytest.param({"start": [1.0, float("nan")]}, "wanted finite", id="start-not-a-number"),
            pytest.param({"learning_rate": 0.0}, "learning_rate", id="no-learning-rate"),
            pytest.param({"momentum": 1.0}, "momentum", id="momentum-one"),
            pytest.param({"batch_size": 49}, "batch_size", id="batch-larger-than-the-points"),
            pytest.param({"racers": ["adam"]}, "racers", id="unknown-racer"),
            pytest.param({"rates": {"adam": 0.1}}, "rates", id="rate-of-an-unknown-racer"),
        ],
    )
    def test_a_value_out_of_range_is_an_error_that_names_it(self, state, said):
        with pytest.raises(traitlets.TraitError, match=re.escape(said)):
            DescentRace(**state)

    def test_an_unknown_name_is_an_error_that_lists_those_there_are(self):
        with pytest.raises(TypeError, match=r"has no rate; it has axis, batch_size, .*learning_rate"):
            DescentRace(rate=0.1)


class TestPaths:
    """The race computed in Python."""

    def test_paths_end_at_the_points_shown(self):
        race = DescentRace(batch_size=10, points_shown=2 * POINTS + 5)
        lengths = {racer: tuple(path.shape) for racer, path in race.paths().items()}
        assert lengths == {"batch": (3, 2), "stochastic": (102, 2), "minibatch": (11, 2), "momentum": (3, 2)}
        assert all(path.dtype == torch.float64 for path in race.paths().values())

    def test_a_unit_started_without_a_bias_takes_its_surfaces(self):
        race = DescentRace("unit", start=[0.1, 0.2], points_shown=0)
        assert race.paths()["batch"].tolist() == [[0.1, 0.2, PRESETS["unit"]["start"][2]]]


class TestInTheBook:
    """Static mark-up where there is no kernel."""

    def test_a_page_gets_mark_up_and_no_widget(self, in_book):
        race = DescentRace(epochs=2)
        data, _ = race._repr_mimebundle_()
        assert race.comm is None, "a channel would make the page load a widget manager"
        assert set(data) == {"text/html", "text/plain"}
        state = json.loads(html.unescape(re.search(r'data-state="([^"]*)"', data["text/html"])[1]))
        assert state == race.public_state()
        assert state["epochs"] == 2
        assert not any(name.startswith("_") or name in ("layout", "comm", "tabbable", "tooltip") for name in state)

    def test_a_notebook_gets_a_widget_and_no_mark_up(self):
        race = DescentRace(epochs=2)
        data, *_ = race._repr_mimebundle_()
        assert race.comm is not None
        assert "application/vnd.jupyter.widget-view+json" in data
        assert "text/html" not in data

    def test_readers_without_scripts_get_a_still_with_words_for_it(self, in_book):
        markup = DescentRace(epochs=2).markup()
        still = re.search(r"<noscript>(.*)</noscript>", markup, re.DOTALL)[1]
        alternative = re.search(r'alt="([^"]+)"', still)[1]
        assert "eccentric bowl" in alternative
        assert re.search(r"after 2 epochs: batch [\d.]+, stochastic [\d.]+", alternative)
        pictures = re.findall(r"data:image/png;base64,([\w+/=]+)", still)
        dark, light = (np.asarray(Image.open(io.BytesIO(base64.b64decode(p))).convert("L")) for p in pictures)
        assert light.shape == dark.shape == (380, 840)
        assert light.mean() > 180 > 80 > dark.mean()
        assert all(len(p) < 80_000 for p in pictures)

    def test_the_still_is_the_same_each_time(self, in_book):
        assert DescentRace("two_minima", epochs=2).markup() == DescentRace("two_minima", epochs=2).markup()

    @pytest.mark.parametrize("surface", PRESETS)
    def test_the_stills_lowest_point_is_flat(self, surface):
        on = DescentRace(surface)._surface()
        gradient = torch.autograd.functional.jacobian(on.loss, descent_still.lowest(on))
        assert gradient.abs().max() < 1e-8

    def test_a_figure_without_a_still_says_so(self, in_book):
        class Bare(Figure):
            pass

        with pytest.raises(NotImplementedError, match="Bare has no still: write still"):
            Bare().markup()


class TestModules:
    """One module for the widget, several files for us."""

    def test_the_widgets_one_module_imports_nothing_and_renders(self, tmp_path):
        module = tmp_path / "bundled.mjs"
        module.write_text(DescentRace._esm, encoding="utf-8")
        assert not re.search(r"^\s*import ", DescentRace._esm, re.MULTILINE)
        done = subprocess.run(
            ["node", "--input-type=module"],
            input=f"const m = await import({json.dumps(module.as_uri())});"
            "console.log(Object.keys(m), typeof m.default.render);",
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.stdout.split() == ["[", "'default'", "]", "function"], done.stderr

    @pytest.mark.parametrize("name", [name for name in figures.__all__ if name not in ("STATIC", "export")])
    def test_a_figure_brings_at_most_60_kB_of_javascript(self, name):
        loaded = [STATIC / "loader.js", *modules(STATIC / f"{getattr(figures, name).module}.js")]
        sizes = {path.name: path.stat().st_size for path in loaded}
        assert len(sizes) > 3
        assert sum(sizes.values()) <= 60_000, sizes

    @pytest.mark.parametrize(
        "line", ['import "./kit.js";', 'import * as kit from "./kit.js";', 'import { h } from "https://x.org/h.js";']
    )
    def test_an_import_that_a_notebook_could_not_follow_is_an_error(self, tmp_path, line):
        (tmp_path / "kit.js").write_text("export const h = 1;\n")
        (tmp_path / "entry.js").write_text(f"{line}\nexport default {{}};\n")
        with pytest.raises(ValueError, match=r"entry\.js: found the import .* wanted the form: import { name } from"):
            bundle(tmp_path / "entry.js")

    def test_each_module_comes_once_and_after_what_it_needs(self, tmp_path):
        (tmp_path / "a.js").write_text("export const a = 1;\n")
        (tmp_path / "b.js").write_text('import { a } from "./a.js";\nexport function b() { return a; }\n')
        (tmp_path / "c.js").write_text(
            'import { a } from "./a.js";\nimport {\n\tb,\n} from "./b.js";\nexport default a + b();\n'
        )
        text = bundle(tmp_path / "c.js")
        assert text.split("\n\n") == ["const a = 1;", "function b() { return a; }", "export default a + b();\n"]

    def test_asking_for_the_package_does_not_import_a_widget_library(self):
        code = "import sys, unmagic.figures; print([m for m in ('anywidget', 'ipywidgets') if m in sys.modules])"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
        assert done.stdout.strip() == "[]"

    def test_without_anywidget_the_error_says_what_to_install(self):
        code = "import sys; sys.modules['anywidget'] = None; from unmagic.figures import DescentRace"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
        assert done.stderr.strip().splitlines()[-1] == (
            "ImportError: Live figures need the package anywidget, which is not installed here. "
            "Install it: pip install 'unmagic[figures]'"
        )


class TestStyle:
    """What the figure looks like, as far as it can be read."""

    def sheet(self):
        return (STATIC / "figure.css").read_text(encoding="utf-8")

    def test_no_rule_reaches_beyond_live_figures(self):
        rules = re.sub(r"/\*.*?\*/", "", self.sheet(), flags=re.DOTALL)
        selectors = [part.strip() for block in re.findall(r"([^{}]+)\{", rules) for part in block.split(",")]
        selectors = [selector for selector in selectors if not selector.startswith("@")]
        assert len(selectors) > 40
        assert [selector for selector in selectors if not selector.startswith(".unmagic-live")] == []

    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_racers_have_the_courses_colours(self, theme):
        blocks = re.findall(r"\{([^{}]*--batch:[^{}]*)\}", self.sheet())
        block = dict(re.findall(r"--([\w-]+): (#\w+);", blocks[["light", "dark"].index(theme)]))
        for racer in RACERS:
            assert block[racer] == PALETTES[theme][descent_still.LOOKS[racer][0]]
        assert (block["paper"], block["ink"]) == (PALETTES[theme]["page"], PALETTES[theme]["ink"])
