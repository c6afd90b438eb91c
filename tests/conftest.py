"""What tests share: Debian's Chromium, kept from every other host, and axe-core; a chapter or a lab, executed."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
_FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
_PATIENCE = 300_000  # milliseconds; playwright's 30 s can be too few for its first start on a busy machine
_LOOPBACK = {"127.0.0.1", "localhost", "[::1]", "::1"}


@pytest.fixture(scope="module")
def chromium() -> Iterator:
    """A headless Chromium (playwright Browser), with a user data folder of its own.

    One a module, not one a session: while it lives, playwright's event loop runs in the main thread, and tests
    elsewhere that start a loop of their own could not.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS, timeout=_PATIENCE)
        yield browser
        browser.close()


@dataclass
class Watched:
    """A page and everything that went wrong on it."""

    page: object
    blocked: list[str] = field(default_factory=list)  # requests to another host: stopped, and a fault
    failed: list[str] = field(default_factory=list)  # requests of ours that failed, or answered 400 and above
    errors: list[str] = field(default_factory=list)  # console errors and uncaught exceptions

    @property
    def faults(self) -> list[str]:
        return self.blocked + self.failed + self.errors

    def axe(self, context=None) -> list[str]:
        """WCAG 2.1 A and AA violations that axe-core finds, one line each (see `wcag.violations`)."""
        from wcag import violations

        return violations(self.page, context)


@pytest.fixture
def watch(chromium) -> Iterator:
    """`watch(width=…, color_scheme=…, …)` opens a new page (playwright's context options) and notes its faults."""
    contexts = []

    def open_page(width: int = 1280, height: int = 900, **options) -> Watched:
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(_PATIENCE)
        contexts.append(context)
        watched = Watched(context.new_page())

        def guard(route):
            if urlsplit(route.request.url).hostname in _LOOPBACK or route.request.url.startswith(("data:", "blob:")):
                route.continue_()
            else:
                watched.blocked.append(f"asked another host: {route.request.url}")
                route.abort()

        context.route("**/*", guard)
        page = watched.page
        page.on(
            "requestfailed",
            # leaving a page ends what it was still loading: no fault
            lambda request: (
                request.failure == "net::ERR_ABORTED" or watched.failed.append(f"{request.failure}: {request.url}")
            ),
        )
        page.on(
            "response",
            lambda response: response.status >= 400 and watched.failed.append(f"{response.status}: {response.url}"),
        )
        page.on("console", lambda said: said.type == "error" and watched.errors.append(f"console: {said.text}"))
        page.on("pageerror", lambda error: watched.errors.append(f"uncaught: {error}"))
        return watched

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def page(request) -> SimpleNamespace:
    """The chapter `PAGE` of the test's module, executed: `.names` and `.glued` (see `pages.executed`)."""
    from pages import executed

    return executed(f"book/{request.module.PAGE}")


@pytest.fixture
def glued(page) -> dict:
    return page.glued


@pytest.fixture
def names(page) -> SimpleNamespace:
    return page.names


@pytest.fixture(scope="module")
def lab(request) -> SimpleNamespace:
    """What set-up and solution cells of the module's `LAB` define, on the CPU, as attributes."""
    names: dict = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNMAGIC_DEVICE", "cpu")
        for cell in request.module.LAB.cells:
            if cell.kind in ("setup", "solution"):
                exec(compile(cell.solution, f"<{cell.name}>", "exec"), names)
    return SimpleNamespace(**names)
