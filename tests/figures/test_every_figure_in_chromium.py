"""What holds for every live figure: size, theme, keyboard, screen readers, stills, the widget's one module."""

from unmagic import figures

import functools

import pytest
from live_pages import book_page, notebook_page

pytestmark = pytest.mark.browser

FIGURES = [name for name in figures.__all__ if name not in ("STATIC", "export")]
SETTLED = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


@pytest.fixture(scope="module")
def markup():
    """The figure's mark-up in the book, with its real still."""

    @functools.cache
    def made(name: str) -> str:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("UNMAGIC_BOOK", "1")
            return getattr(figures, name)().markup()

    return made


@pytest.fixture
def opened(watch, site, markup):
    """`opened(name, page options…)`: the figure alive on a page, everything in it unfolded."""

    def open_page(name, html="", **options):
        watched = watch(**options)
        watched.page.goto(site("every.html", book_page(markup(name), html)))
        watched.page.wait_for_selector('.unmagic-figure[data-alive="yes"] .unmagic-live')
        for summary in watched.page.locator("summary").all():
            summary.click()
        watched.page.evaluate(SETTLED)
        return watched

    return open_page


@pytest.mark.parametrize("name", FIGURES)
class TestOnAPage:
    """Alive on a page of the book."""

    def test_at_320_pixels_and_at_200_percent_nothing_is_cut_off(self, opened, name):
        # a window of 640 pixels at 200 % is 320 CSS pixels wide, with two device pixels to each
        watched = opened(name, width=320, device_scale_factor=2)
        wide = watched.page.evaluate(
            """[...document.querySelectorAll("body, .unmagic-live *")]
            .filter((e) => !e.closest(".unseen, .handle, .limits, svg"))
            .filter((e) => e.getBoundingClientRect().right > 312.5).map((e) => e.outerHTML.slice(0, 80))"""
        )
        assert wide == []
        assert watched.page.evaluate("document.documentElement.scrollWidth") == 320
        sharp = watched.page.evaluate(
            "[...document.querySelectorAll('.unmagic-live canvas')].filter((c) => c.clientWidth)"
            ".every((c) => c.width === 2 * c.clientWidth)"
        )
        assert sharp
        assert watched.faults == []

    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_axe_finds_nothing(self, opened, name, theme):
        watched = opened(name, color_scheme=theme)
        watched.page.evaluate(f"document.body.style.background = {'#ffffff' if theme == 'light' else '#121212'!r}")
        watched.page.evaluate(f"document.body.style.color = {'#121212' if theme == 'light' else '#ffffff'!r}")
        assert watched.axe() == []
        assert watched.faults == []

    def test_every_control_is_reached_by_the_keyboard_and_shows_it(self, opened, name):
        page = opened(name).page
        # of a group of radio buttons Tab reaches the one that is chosen; arrow keys reach what has tabindex −1
        controls = page.locator(
            ".unmagic-live :is(button, input, select, summary, [tabindex]):visible"
            ":not([tabindex='-1'], input[type=radio]:not(:checked), :disabled)"
        ).count()
        page.evaluate("document.activeElement.blur()")
        rings = {}
        for _ in range(controls + 1):  # once the focus leaves the page it comes back at its beginning
            page.keyboard.press("Tab")
            element, rung = page.evaluate(
                """() => { const e = document.activeElement;
                const styles = [getComputedStyle(e), getComputedStyle(e, "::before")];
                if (e.nextElementSibling) styles.push(getComputedStyle(e.nextElementSibling));
                const rung = styles.some((s) => s.outlineStyle === "solid" && parseFloat(s.outlineWidth) >= 2);
                const all = [...document.querySelectorAll(".unmagic-live *")];
                return [`${all.indexOf(e)} ${e.outerHTML.slice(0, 60)}`, rung]; }"""
            )
            if not element.startswith("-1 "):
                rings[element] = rung
        assert len(rings) == controls > 5
        assert [element for element, rung in rings.items() if not rung] == []

    def test_one_live_region_speaks_once_when_the_reader_rests(self, opened, name):
        page = opened(name).page
        page.evaluate(
            """() => { window.told = []; const live = document.querySelector("[aria-live]");
            new MutationObserver(() => window.told.push(live.textContent)).observe(
            live, { childList: true, characterData: true, subtree: true }); }"""
        )
        page.wait_for_timeout(800)
        page.evaluate("window.told = []")
        page.evaluate(
            """async () => { const range = document.querySelector(".unmagic-live .settings input[type=range]");
            for (let k = 0; k < 8; k++) {
              range.stepUp(range.step === "0.01" ? 5 : 1);
              range.dispatchEvent(new Event("input"));
              await new Promise(requestAnimationFrame);
            } }"""
        )
        page.wait_for_function("window.told.length > 0")
        assert len(page.evaluate("window.told")) == 1
        assert page.locator("[aria-live], output, [role=status]").count() == 1

    def test_it_follows_a_change_of_theme(self, opened, name):
        page = opened(name, html=' data-theme="light"', color_scheme="dark").page
        shown = lambda: page.evaluate(  # noqa: E731
            """[document.querySelector(".unmagic-live").dataset.unmagicTheme,
            ...[...document.querySelectorAll(".unmagic-live canvas")].filter((c) => c.clientWidth)
            .map((c) => c.toDataURL())]"""
        )
        light = shown()
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
        page.evaluate(SETTLED)
        dark = shown()
        assert (light[0], dark[0]) == ("light", "dark")
        assert [k for k, painted in enumerate(light) if painted == dark[k]] == [], "every picture is painted anew"


@pytest.mark.parametrize("name", FIGURES)
class TestElsewhere:
    """Without scripts, from a file, in a notebook."""

    def test_without_scripts_there_is_a_still_with_words(self, watch, site, markup, name):
        watched = watch(java_script_enabled=False)
        watched.page.goto(site("still.html", book_page(markup(name))))
        still = watched.page.get_by_role("img")
        assert len(still.get_attribute("alt")) > 80
        assert still.bounding_box()["width"] > 500
        assert watched.faults == []

    def test_a_page_opened_as_a_file_explains_itself_and_shows_the_still(self, watch, tmp_path, markup, name):
        (tmp_path / "page.html").write_text(book_page(markup(name)), encoding="utf-8")
        page = watch().page.context.browser.new_page()
        page.goto((tmp_path / "page.html").as_uri())
        assert "make course" in page.get_by_role("alert").inner_text()
        assert page.get_by_role("img").is_visible()
        page.close()

    def test_a_widget_that_is_closed_listens_no_longer(self, watch, site, name):
        figure = getattr(figures, name)()
        site("widget.mjs", figure._esm)
        watched = watch()
        watched.page.goto(site("notebook.html", notebook_page(figure)))
        watched.page.wait_for_selector(".unmagic-live")
        watched.page.evaluate(SETTLED)
        assert watched.page.evaluate("window.listening()") > 3
        watched.page.evaluate("window.stop(); fromPython({})")
        watched.page.evaluate(SETTLED)
        assert watched.page.evaluate("window.listening()") == 0
        assert watched.page.locator(".unmagic-live").count() == 0
        assert watched.faults == []

    def test_a_widget_without_its_state_says_what_it_lacks(self, watch, site, name):
        figure = getattr(figures, name)()
        needed = {"Budgets": "first", "ConvolutionBothWays": "kernel", "LookingInside": "weights"}
        lacking = [needed.get(name, "seed")]
        assert lacking[0] in figure.public_state()
        site("widget.mjs", figure._esm)
        watched = watch()
        watched.page.goto(site("notebook.html", notebook_page(figure, drop=lacking)))
        said = watched.page.get_by_role("alert").inner_text()
        assert f"could not start: its state lacks {lacking[0]}; make it with unmagic.figures.{name}()" in said
