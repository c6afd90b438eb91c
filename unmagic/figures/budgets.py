"""Budgets: what two nets cost, layer by layer, and what each layer sees, at any size of the input."""

from __future__ import annotations

from unmagic.figures import budgets_still
from unmagic.figures.base import Figure, Still
from unmagic.figures.budgets_layers import LayerList, parsed
from unmagic.figures.budgets_tracing import traced
from unmagic.figures.budgets_zoo import layer_lists
from unmagic.zoo.budgets import Budget

import functools
from collections.abc import Mapping

import traitlets as t
from torch import nn

SHOWN = ("parameters", "macs", "activations", "receptive_field")
LARGEST_BATCH = 1024


class Budgets(Figure):
    """Two nets beside each other: parameters, multiply–adds, memory and receptive field of every layer.

    Args:
        first, second: names of nets: of the zoo, such as "VGG-16 (D)" or "ResNet-50" (`Budgets.names()` lists them), or
            of `nets`. second="" shows one net.
        nets: nets of your own, {name: nn.Module}. They come before those of the zoo, and are what is shown unless
            first and second say otherwise. A net is counted as for testing; it is not changed, and nothing is computed.
        input_shape: of one input of these nets without the batch, (channels, height, width); or {name: shape}.
        first_side, second_side: height of the input in pixels, up to four times the net's own; 0 is the net's own.
        first_layer, second_layer: the row of the budget that is looked at, from 1; 0 is the last that sees at most half
            of the width.
        shown: what the bars show, "parameters", "macs" (multiply–adds), "activations" (bytes kept for the way back) or
            "receptive_field" (pixels).
        logarithmic: bars on a log scale. every_module: a bar for each row of the budget, not for each layer with
            weights and what follows it.
        batch: inputs at once, 1 to 1,024, for memory; the slider goes by powers of two.
        place: where the picture is looked at, [x, y] from 0 to 1.

    What is too large or too small for a net counts as its limit. A layer that covers its whole map does so at every
    size. A net whose use of the size cannot be followed, such as a transformer, is shown at its own.
    Raises TraitError for a value out of range, TypeError for a name that is not here, ValueError for a net that cannot
    take its input.

    >>> figure = Budgets("LeNet-5", "")
    >>> [f"{row.parameters:,}" for row in figure.budgets()[0].rows if row.kind == "Conv2d"]
    ['156', '48,120']
    """

    module = "budgets"

    first = t.Unicode().tag(sync=True)
    second = t.Unicode().tag(sync=True)
    first_side = t.Int(0, min=0).tag(sync=True)
    second_side = t.Int(0, min=0).tag(sync=True)
    first_layer = t.Int(0, min=0).tag(sync=True)
    second_layer = t.Int(0, min=0).tag(sync=True)
    shown = t.Enum(SHOWN, default_value="macs").tag(sync=True)
    logarithmic = t.Bool(False).tag(sync=True)
    every_module = t.Bool(False).tag(sync=True)
    batch = t.Int(1, min=1, max=LARGEST_BATCH).tag(sync=True)
    place = t.List(t.Float(min=0.0, max=1.0), [0.5, 0.5], minlen=2, maxlen=2).tag(sync=True)
    # [name, LayerList.text] of every net on offer: pairs, since a page's state puts the keys of objects in order
    layer_lists = t.List(t.List(t.Unicode(), minlen=2, maxlen=2), read_only=True).tag(sync=True)

    def __init__(
        self,
        first: str | None = None,
        second: str | None = None,
        *,
        nets: Mapping[str, nn.Module] | None = None,
        input_shape: tuple[int, ...] | Mapping[str, tuple[int, ...]] | None = None,
        **state,
    ) -> None:
        known = [name for name in self.class_trait_names(sync=True) if not name.startswith("_")]
        if unknown := sorted(set(state) - set(known)):
            wanted = sorted([*known, "nets", "input_shape"])
            raise TypeError(f"Budgets has no {', '.join(unknown)}; it has {', '.join(wanted)}")
        own = _traced(nets or {}, input_shape)
        self._texts = {**own, **layer_lists()}
        self.set_trait("layer_lists", [list(pair) for pair in self._texts.items()])
        shown = [*own, "", ""] if own else ["VGG-16 (D)", "GoogLeNet"]
        super().__init__(
            first=shown[0] if first is None else first, second=shown[1] if second is None else second, **state
        )

    @staticmethod
    def names() -> list[str]:
        """The nets of the zoo that are here without being given."""
        return list(layer_lists())

    @t.validate("first", "second")
    def _net_is_known(self, proposal):
        name, which = proposal["value"], proposal["trait"].name
        if name in self._texts or (which == "second" and not name):
            return name
        raise t.TraitError(f"{which}: found {name!r}, wanted one of {', '.join(self._texts)}")

    def _nets(self) -> list[tuple[str, LayerList, int]]:
        """Name, layers and height of the input of the nets that are shown."""
        shown = []
        for which in ("first", "second"):
            if name := getattr(self, which):
                layers = _parsed(self._texts[name])
                side = getattr(self, f"{which}_side") or layers.input_shape[1]
                shown.append((name, layers, max(layers.smallest(), min(layers.largest(), side))))
        return shown

    def budgets(self) -> tuple[Budget, ...]:
        """What is shown, one or two, as `zoo.budget` counts them for that size of the input."""
        return tuple(layers.at(side) for _, layers, side in self._nets())

    def still(self) -> Still:
        nets = [(name, layers.at(side)) for name, layers, side in self._nets()]
        light, dark = (
            budgets_still.data_address(
                budgets_still.draw(
                    nets, self.shown, theme, log=self.logarithmic, every_module=self.every_module, batch=self.batch
                )
            )
            for theme in ("light", "dark")
        )
        return Still(self._alternative(nets), light, dark)

    def _alternative(self, nets: list[tuple[str, Budget]]) -> str:
        said = []
        for name, budget in nets:
            most = max(budget.rows, key=lambda row: row.parameters)
            said.append(
                f"{name} has {budget.parameters:,} parameters, {most.parameters / max(1, budget.parameters):.0%} of "
                f"them in {most.name}, and {budget.macs:,} multiply–adds."
            )
        return f"Bars of the {budgets_still.LABELS[self.shown]} layer by layer, and of the memory. {' '.join(said)}"


@functools.lru_cache(maxsize=128)
def _parsed(text: str) -> LayerList:
    return parsed(text)


def _traced(nets: Mapping[str, nn.Module], shapes: tuple[int, ...] | Mapping[str, tuple[int, ...]] | None) -> dict:
    """{name: text of its layers} of nets of one's own."""
    if nets and shapes is None:
        raise TypeError("Budgets: nets of your own need input_shape, (channels, height, width) of one input")
    found = {}
    for name, net in nets.items():
        shape = shapes.get(name) if isinstance(shapes, Mapping) else shapes
        if not name or name in layer_lists():
            raise ValueError(f"Budgets: a net of your own is named {name!r}; wanted a name that the zoo has not")
        if shape is None:
            raise ValueError(f"Budgets: input_shape has none for {name!r}; wanted (channels, height, width)")
        try:
            found[name] = traced(net, tuple(shape))[0].text()
        except ValueError as problem:
            raise ValueError(f"Budgets, {name!r}: {problem}") from problem
    return found
