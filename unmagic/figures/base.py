"""What every live figure is: a widget in a notebook, mark-up with a still on a page of the book."""

from __future__ import annotations

import html
import json
import os
from typing import ClassVar, NamedTuple

try:
    import anywidget
except ImportError as problem:
    raise ImportError(
        "Live figures need the package anywidget, which is not installed here. "
        "Install it: pip install 'unmagic[figures]'"
    ) from problem

from unmagic.figures import STATIC
from unmagic.figures.bundle import bundle

# The book loads figures/loader.js on pages with a figure. A browser runs no module of a page that was opened as a file:
# an ordinary script says so then.
_UNLESS_ALIVE = """\
<script>
addEventListener("load", () => {
  for (const figure of document.querySelectorAll(".unmagic-figure:not([data-alive])")) {
    figure.dataset.alive = "no";
    figure.innerHTML = "<p role=alert>This figure lives when the book is served: type <code>make course</code>, or " +
      "<code>python -m http.server</code> in the folder of the built book.</p>" +
      figure.querySelector("noscript").textContent;
  }
});
</script>"""


class Still(NamedTuple):
    """A figure as a picture: alternative text, and an image's address (``data:…``) for light and for dark pages."""

    alternative: str
    light: str
    dark: str


class Figure(anywidget.AnyWidget):
    """A live figure that computes in the browser, from its synchronised traits alone.

    A subclass names its module (a file ``static/<module>.js`` whose default export has ``render({ model, el })``),
    declares its state as traits tagged ``sync=True``, and draws `still`. In a notebook it is an ordinary widget: set a
    trait and the figure follows, move the figure and the trait follows. When the book is built (environment
    ``UNMAGIC_BOOK=1``) it opens no channel to a kernel and shows as static mark-up, which ``figures/loader.js`` brings
    to life; readers without scripts see the still.
    """

    module: ClassVar[str]

    def __init_subclass__(cls, **kwargs) -> None:
        if "module" in cls.__dict__:
            cls._esm = bundle(STATIC / f"{cls.module}.js")
            cls._css = (STATIC / "figure.css").read_text(encoding="utf-8")
        super().__init_subclass__(**kwargs)

    def open(self) -> None:
        """Open the channel to the browser; not in the book's build, where it would load a widget manager for nobody."""
        if not _in_book():
            super().open()

    def _repr_mimebundle_(self, **kwargs):
        if not _in_book():
            return super()._repr_mimebundle_(**kwargs)
        return {"text/html": self.markup(), "text/plain": f"a live figure: {type(self).__name__}"}, {}

    def public_state(self) -> dict:
        """The state that the module reads: every synchronised trait but those of the widget machinery."""
        theirs = set(anywidget.AnyWidget.class_trait_names())
        names = [name for name in self.trait_names(sync=True) if name not in theirs and not name.startswith("_")]
        return {name: getattr(self, name) for name in names}

    def still(self) -> Still:
        """The figure as it is now, for readers without scripts."""
        raise NotImplementedError(f"{type(self).__name__} has no still: write still() -> Still")

    def markup(self) -> str:
        """The figure on a static page: name, state, a still for readers without scripts, what explains a failure."""
        state = html.escape(json.dumps(self.public_state(), sort_keys=True, allow_nan=False))
        still = self.still()
        # without scripts the book's own theme switch does not work either, so the system's preference decides
        picture = (
            f'<picture><source media="(prefers-color-scheme: dark)" srcset="{still.dark}">'
            f'<img src="{still.light}" alt="{html.escape(still.alternative)}" style="max-width:100%"></picture>'
        )
        return (
            f'<div class="unmagic-figure" data-figure="{self.module}" data-state="{state}">'
            f"<noscript>{picture}</noscript></div>\n{_UNLESS_ALIVE}"
        )


def _in_book() -> bool:
    return os.environ.get("UNMAGIC_BOOK") == "1"
