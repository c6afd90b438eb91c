"""Live figures: ``DescentRace()`` at the end of a cell shows one, in a notebook and on a page of the book.

They compute in the browser and need no kernel there. A figure is imported when it is asked for, so ``import
unmagic.figures`` needs nothing; the figure itself needs anywidget. The book serves the folder `STATIC` as ``figures/``.
"""

from importlib import import_module
from pathlib import Path

STATIC = Path(__file__).parent / "static"  # what the book serves as figures/
_FIGURES = {
    "Budgets": "unmagic.figures.budgets",
    "ConvolutionBothWays": "unmagic.figures.convolution_both_ways",
    "DescentRace": "unmagic.figures.descent_race",
    "LookingInside": "unmagic.figures.looking_inside",
    "SignalsThroughDepth": "unmagic.figures.signals_through_depth",
}
_FUNCTIONS = {"export": "unmagic.figures.looking_inside_export"}

__all__ = ["STATIC", *_FUNCTIONS, *_FIGURES]


def __getattr__(name: str):
    if module := {**_FIGURES, **_FUNCTIONS}.get(name):
        return getattr(import_module(module), name)
    raise AttributeError(f"module 'unmagic.figures' has no figure {name!r}; it has {', '.join(sorted(_FIGURES))}")


def __dir__():
    return sorted([*globals(), *__all__])
