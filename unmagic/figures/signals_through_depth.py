"""Signals through depth: histograms of activations and gradients through up to 50 layers."""

from __future__ import annotations

from unmagic.figures import signals, signals_still
from unmagic.figures.base import Figure, Still
from unmagic.figures.signals import ACTIVATIONS, DEEPEST, INITIALIZATIONS, NORMALIZATIONS, WIDTHS

import traitlets as t

NAMES = {"relu": "ReLU", "leaky_relu": "leaky ReLU"}


class SignalsThroughDepth(Figure):
    """Activations on their way up and gradients on their way back, in a network of equal layers that was just set up.

    Layer l computes h_l = φ(norm(W_l h_{l−1})): n units, no biases, a batch of 32 examples. The inputs, and the
    gradients that come in at the top, are standard normal. Weights are uniform on (−a, a), a² = 3 Var(w).

    Args:
        activation: φ, "tanh", "sigmoid", "relu", "leaky_relu" (slope 0.01) or "linear".
        initialization: by its n·Var(w): "standard" (U(±1/√n)) 1/3, "xavier" 1, "he" 2, "small" n·10⁻⁴ (standard
            deviation 0.01), "large" n (standard deviation 1), "own" `n_var`.
        n_var: n·Var(w) of the initialization "own", which it implies.
        normalization: of what comes into φ: "none", "batch" or "layer", without learned scale and shift.
        width: n, units of a layer, one of 8, 16, 24, 32, 48, 64, 96, 128, 192, 256. depth: layers, 1 … 50.
        seed: of weights, inputs and the gradients at the top.
        layer: the one that is looked at. own_scale: each layer's histogram on its own scale, not on that of all.

    Once the reader rests, the browser tells `deviations`: standard deviations by layer, {"activations": 0 … L,
    "unit_gradients": 0 … L, "weight_gradients": 1 … L}; the first are of h_l, the second of ∂J_b/∂h_l over units and
    examples b, the third of the entries of ∂J/∂W_l, J being the mean of the J_b.
    Raises TraitError for a value that is out of range, TypeError for a name that is not here.

    >>> signals = SignalsThroughDepth("relu", initialization="he", depth=4, width=8)
    >>> signals.n_var
    2.0
    >>> [round(x, 1) for x in signals.measured().deviations()["unit_gradients"]][-1]
    1.0
    """

    module = "signals_through_depth"

    activation = t.Enum(list(ACTIVATIONS), default_value="tanh").tag(sync=True)
    initialization = t.Enum([*INITIALIZATIONS, "own"], default_value="standard").tag(sync=True)
    n_var = t.Float(1 / 3, min=5e-4, max=300.0).tag(sync=True)
    normalization = t.Enum(list(NORMALIZATIONS), default_value="none").tag(sync=True)
    width = t.Enum(list(WIDTHS), default_value=64).tag(sync=True)
    depth = t.Int(20, min=1, max=DEEPEST).tag(sync=True)
    seed = t.Int(1, min=0, max=2**24).tag(sync=True)
    layer = t.Int(10, min=1, max=DEEPEST).tag(sync=True)
    own_scale = t.Bool(False).tag(sync=True)
    deviations = t.Dict().tag(sync=True)

    def __init__(self, activation: str = "tanh", **state) -> None:
        known = [name for name in self.class_trait_names(sync=True) if not name.startswith("_")]
        if unknown := sorted(set(state) - set(known)):
            raise TypeError(f"SignalsThroughDepth has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
        if "n_var" in state:
            state.setdefault("initialization", "own")
        if "depth" in state:
            state.setdefault("layer", max(1, state["depth"] // 2))
        super().__init__(activation=activation, **state)
        self._follow_initialization()
        self.observe(lambda change: self._follow_initialization(), ["initialization", "width"])

    def _follow_initialization(self) -> None:
        if self.initialization != "own":
            self.n_var = INITIALIZATIONS[self.initialization](self.width)

    def measured(self) -> signals.Pass:
        """The pass that the browser shows, computed here by torch and its autograd."""
        return signals.propagate(
            activation=self.activation,
            normalization=self.normalization,
            n_var=self.n_var,
            width=self.width,
            depth=self.depth,
            seed=self.seed,
        )

    def still(self) -> Still:
        passed = self.measured()
        light, dark = (
            signals_still.data_address(signals_still.draw(passed, self.activation, theme))
            for theme in ("light", "dark")
        )
        return Still(self._alternative(passed), light, dark)

    def _alternative(self, passed: signals.Pass) -> str:
        measured = passed.deviations()
        h, g = measured["activations"], measured["unit_gradients"]
        name = NAMES.get(self.activation, self.activation)
        norm = "no normalization" if self.normalization == "none" else f"{self.normalization} norm"
        return (
            f"Histograms of the activations and of the gradients in {self.depth} layers of {self.width} {name} units "
            f"with n·Var(w) = {self.n_var:.3g} and {norm}. The standard deviation of the activations goes from "
            f"{h[1]:.2g} in layer 1 to {h[-1]:.2g} in layer {self.depth}, that of the gradients, on their way back, "
            f"from {g[-1]:.2g} in layer {self.depth} to {g[1]:.2g} in layer 1."
        )
