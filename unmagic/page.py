"""What the book's chapters use: numbers for the prose and figures for both themes.

A chapter is a page of the book and a notebook, from one source. `glue` gives a number a name, so that the prose shows
what was computed; `figure` draws once for the light and once for the dark theme and keeps the description that a reader
who cannot see it needs. Both work in the book's build and in a downloaded notebook.
"""

from unmagic.style import PALETTES, colour, drawing, style

import base64
import html
import inspect
import io
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = ["FigureError", "Still", "colour", "figure", "glue"]

SIZE = (5.2, 3.4)  # inches, of one panel: 500 CSS pixels wide, so that 12 pt type is still 9 pixels high on a phone
_PHONE = 288  # CSS pixels that a picture has on a phone of 320
_LARGEST_SVG = 200_000  # bytes; a drawing with more in it than that is lighter as pixels


# --- numbers -----------------------------------------------------------------


def glue(name: str, value: Any, spec: str = "") -> None:
    """Give `value` a name, so that the prose can show it: ``{glue:text}`name` ``.

    `spec` is a format specification (".3f", ".1%", ",d", ".2e"); with it a minus is a minus sign and a power of ten is
    written as one. Without it a number is kept as it is and the role may format it: ``{glue:text}`name:.3f` ``.
    A tensor or array must hold one number. In a notebook, whose prose has the book's numbers, the cell shows its own.
    Raises ValueError for a name or spec that cannot be used.
    """
    from IPython.display import display  # here alone: labs and bare machines have no Jupyter in this process

    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", name):
        raise ValueError(f"glue: {name!r} cannot name a number: use letters, digits, '_', '-', '.', a letter first")
    text = _as_text(name, value, spec)
    # myst-nb's `glue` stores the same: its roles find the value, and this module needs no myst-nb
    prefix = "application/papermill.record/"
    # its role evaluates what looks like Python ("33,920" would become a pair): a string stays what it is
    data = {f"{prefix}text/plain": repr(text) if spec or isinstance(value, str) else text}
    if os.environ.get("UNMAGIC_BOOK") != "1":
        data["text/plain"] = f"{name} = {text}"
    display(data, raw=True, metadata={"scrapbook": {"name": name, "mime_prefix": prefix}})


_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _as_text(name: str, value: Any, spec: str) -> str:
    if hasattr(value, "item") and hasattr(value, "shape"):
        if np.prod(value.shape) != 1:
            raise ValueError(
                f"glue: {name!r} is one number in prose, but this has shape {tuple(value.shape)}: reduce it first"
            )
        value = value.item()
    if not spec:
        return str(value)
    try:
        text = format(value, spec)
    except (ValueError, TypeError) as error:
        raise ValueError(f"glue: {name!r} is {value!r}, which cannot be formatted with {spec!r}: {error}") from None
    if isinstance(value, str):
        return text
    text = re.sub(r"e([+-])0*(\d+)$", lambda m: f" × 10{(m[1].strip('+') + m[2]).translate(_SUPERSCRIPT)}", text)
    return text.replace("-", "−")


# --- figures -----------------------------------------------------------------


class FigureError(ValueError):
    """A figure that some reader could not read: what is missing, and where."""


class Still:
    """A figure drawn for both themes. Jupyter and the book show the one that fits the theme around it."""

    def __init__(self, images: dict[str, tuple[str, bytes]], alt: str, caption: str, width: int, narrowest: int):
        self.images = images  # theme → (media type, data)
        self.alt, self.caption = alt, caption
        self.width, self.narrowest = width, narrowest  # CSS pixels

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {"text/html": self.html(), "text/plain": f"Figure: {self.alt}"}

    def html(self) -> str:
        """One <figure>: the two pictures, of which a style sheet shows one, and the caption."""
        pictures = "".join(
            f'<img class="unmagic-still-{theme} only-{theme}" alt="{html.escape(self.alt)}" loading="lazy" '
            f'width="{self.width}" style="width:min({self.width}px,100%);min-width:{self.narrowest}px;height:auto" '
            f'src="data:{media};base64,{base64.b64encode(data).decode()}">'
            for theme, (media, data) in self.images.items()
        )
        # wider than a phone: this box scrolls, not the page, and the keyboard can reach it
        reach = f' tabindex="0" role="group" aria-label="{html.escape(self.alt)}"' if self.narrowest > _PHONE else ""
        caption = f"<figcaption>{html.escape(self.caption)}</figcaption>" if self.caption else ""
        return (
            f'<figure class="unmagic-still"><div class="unmagic-still-box"{reach}>{pictures}</div>{caption}'
            f"<style>{_NOTEBOOK_STYLE}</style></figure>"
        )

    def __repr__(self) -> str:
        return f"<Still: {self.alt}>"


# JupyterLab and VS Code say on <body> whether they are dark, the book on <html>; elsewhere the light one shows.
_DARK = "body[data-jp-theme-light='false'] {0},body.vscode-dark {0},html[data-theme='dark'] {0}"
_NOTEBOOK_STYLE = (
    ".unmagic-still-box{overflow-x:auto}.unmagic-still-dark{display:none}"
    + _DARK.format(".unmagic-still-dark") + "{display:inline}" + _DARK.format(".unmagic-still-light") + "{display:none}"
)  # fmt: skip


def figure(
    draw: Callable[..., Any],
    *,
    alt: str,
    caption: str = "",
    size: tuple[float, float] | None = None,
    layout: tuple[int, int] | None = None,
    units: str | None = "labels",
    projection: str | None = None,
) -> Still:
    """Draw with matplotlib for the light and for the dark theme; show it with its description.

    `draw` is called twice and gets as many Axes as it has required parameters, side by side (``def draw(ax)``,
    ``def draw(left, right)``), or the Figure if its one parameter is called `fig`. It must draw the same both times:
    make random numbers outside. Colours: "C0" to "C4", or `colour("ink")` and the like.

    alt         what the figure shows, for those who do not see it: the finding, not "a plot"
    caption     text below it
    size        (width, height) in inches of the whole; each panel is 5.2 × 3.4 by default
    layout      (rows, columns) of the panels, when not all side by side
    units       "labels": every axis names its quantity and unit; None lets panels that hold an image do without
    projection  of the panels, e.g. "3d"

    Raises FigureError for a missing description or an axis without a label, and says which.
    """
    if not isinstance(alt, str) or not alt.strip():
        raise FigureError("figure: `alt` is empty: describe what the figure shows, for those who do not see it")
    if units not in ("labels", None):
        raise ValueError(
            f"figure: units is {units!r}; it may be 'labels' (axes are labelled) or None (images need none)"
        )
    names = _required_parameters(draw)
    whole = names == ["fig"]
    rows, columns = layout or (1, len(names))
    if not whole and rows * columns != len(names):
        raise ValueError(f"figure: layout {rows} × {columns} has {rows * columns} panels, `draw` takes {len(names)}")
    if size is None:
        size = (SIZE[0] * columns, SIZE[1] * rows)

    images = {}
    for theme in PALETTES:
        with matplotlib.rc_context(style(theme)), drawing(theme):
            fig = Figure(figsize=size)
            FigureCanvasAgg(fig)
            if whole:
                draw(fig)
            else:
                draw(*np.ravel(fig.subplots(rows, columns, squeeze=False, subplot_kw={"projection": projection})))
            images[theme] = _render(fig)
            _check_labels(fig, [] if whole else names, units)  # ticks and shared labels are settled by drawing
    width = round(size[0] * 96)  # CSS pixels
    narrowest = round(
        width * min(1, _PHONE / (SIZE[0] * 96))
    )  # so type stays readable: a wide figure scrolls in its box
    return Still(images, alt.strip(), caption.strip(), width, narrowest)


def _required_parameters(draw: Callable[..., Any]) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(draw).parameters.values()
    names = [p.name for p in parameters if p.kind in kinds and p.default is inspect.Parameter.empty]
    if not names:
        raise TypeError("figure: `draw` takes nothing: give it a parameter for each panel, or one called `fig`")
    return names


def _render(fig: Figure) -> tuple[str, bytes]:
    """SVG, or PNG with two pixels a CSS pixel where that is lighter. No date in either."""
    buffer = io.BytesIO()
    fig.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    if buffer.tell() <= _LARGEST_SVG:
        return "image/svg+xml", buffer.getvalue()
    pixels = io.BytesIO()
    fig.savefig(pixels, format="png", dpi=192, metadata={"Software": None})
    return ("image/png", pixels.getvalue()) if pixels.tell() < buffer.tell() else ("image/svg+xml", buffer.getvalue())


def _check_labels(fig: Figure, names: Sequence[str], units: str | None) -> None:
    missing = []
    for number, ax in enumerate(fig.axes):
        off = not ax.axison and not hasattr(ax, "zaxis")  # matplotlib's 3-d axes always say they are off
        if off or not ax.get_visible() or (units is None and ax.images):
            continue
        name = names[number] if number < len(names) else f"axes {number + 1} of {len(fig.axes)}"
        title = f" ({ax.get_title()})" if ax.get_title() else ""
        for axis in _axes_that_need_a_label(ax):
            if not getattr(ax, f"get_{axis}label")().strip():
                missing.append(f"{axis} of {name}{title}")
    shared = {"x": fig.get_supxlabel(), "y": fig.get_supylabel()}
    missing = [what for what in missing if not shared.get(what[0])]
    if missing:
        hint = "; pixels need none: `units=None` or ax.set_axis_off()" if any(ax.images for ax in fig.axes) else ""
        wanted = "name the quantity and its unit with set_xlabel and set_ylabel"
        raise FigureError(f"figure: no label on {', '.join(missing)}: {wanted}{hint}")


def _axes_that_need_a_label(ax: Axes) -> list[str]:
    """Those with numbers on them: the inner side of shared axes and the short side of a colour bar have none."""
    names = [name for name in ("x", "y", "z") if hasattr(ax, f"get_{name}label")]
    return [name for name in names if any(label.get_visible() and label.get_text() for label in _tick_labels(ax, name))]


def _tick_labels(ax: Axes, name: str) -> list[Any]:
    axis = getattr(ax, f"{name}axis")
    ticks = axis.get_major_ticks() if axis.get_visible() else []
    return [label for tick in ticks for label in (tick.label1, tick.label2)]
