"""How figures look: the colours and matplotlib's settings for the light and the dark theme."""

import contextlib
from typing import Any

import matplotlib

# Five colours for data. Each has a contrast of at least 3:1 with its page (WCAG 2.1, 1.4.11), and any two stay apart
# for readers with protanopia, deuteranopia and tritanopia (after Machado et al. 2009): tests/test_page.py computes it.
PALETTES = {
    "light": {
        "blue": "#2350d8", "orange": "#d9600f", "green": "#0b7a4b", "pink": "#cc54ad", "gold": "#4a1a00",
        "ink": "#1f2328", "muted": "#5c6570", "grid": "#d9dde3", "page": "#ffffff",
    },
    "dark": {
        "blue": "#a9cbff", "orange": "#de5a0c", "green": "#3de09a", "pink": "#d452f8", "gold": "#ffc21a",
        "ink": "#e6e9ef", "muted": "#a3adba", "grid": "#3a4250", "page": "#121212",
    },
}  # fmt: skip
DATA_COLOURS = ("blue", "orange", "green", "pink", "gold")
_theme = "light"  # the one that is being drawn


def colour(name: str) -> str:
    """A colour of the theme that is being drawn, as "#rrggbb".

    `name` is one of blue, orange, green, pink, gold (data), ink (text), muted (secondary lines), grid and page (the
    background). "C0" to "C4" are the five data colours as well.
    """
    try:
        return PALETTES[_theme][name]
    except KeyError:
        raise ValueError(f"no colour {name!r}: the palette has {', '.join(PALETTES[_theme])}") from None


def style(theme: str) -> dict[str, Any]:
    """matplotlib's settings for a theme, "light" or "dark"."""
    if theme not in PALETTES:
        raise ValueError(f"no theme {theme!r}: there are {', '.join(PALETTES)}")
    c = PALETTES[theme]
    return {
        "axes.prop_cycle": matplotlib.cycler(color=[c[name] for name in DATA_COLOURS]),
        "text.color": c["ink"], "axes.labelcolor": c["ink"], "axes.titlecolor": c["ink"],
        "axes.edgecolor": c["muted"], "xtick.color": c["muted"], "ytick.color": c["muted"],
        "xtick.labelcolor": c["ink"], "ytick.labelcolor": c["ink"],
        "grid.color": c["grid"], "axes.grid": True, "axes.axisbelow": True, "grid.linewidth": 0.8,
        "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none",
        "legend.facecolor": c["page"], "legend.edgecolor": c["grid"], "legend.labelcolor": c["ink"],
        "legend.framealpha": 0.85,
        "boxplot.flierprops.markeredgecolor": c["ink"], "hatch.color": c["ink"], "patch.edgecolor": c["page"],
        "font.family": "DejaVu Sans", "font.size": 12, "axes.titlesize": 12, "axes.labelsize": 12,
        "xtick.labelsize": 11, "ytick.labelsize": 11, "legend.fontsize": 11,
        "axes.spines.top": False, "axes.spines.right": False, "lines.linewidth": 2, "image.cmap": "cividis",
        "figure.constrained_layout.use": True,
        "svg.hashsalt": "unmagic", "svg.fonttype": "path",  # the same picture, byte for byte, on every build
    }  # fmt: skip


@contextlib.contextmanager
def drawing(theme: str):
    """While inside, `colour` speaks of `theme`."""
    global _theme
    before, _theme = _theme, theme
    try:
        yield
    finally:
        _theme = before
