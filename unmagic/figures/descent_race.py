"""Descent race: batch, stochastic, minibatch and momentum descent side by side on one loss surface."""

from __future__ import annotations

from unmagic.figures import descent, descent_still
from unmagic.figures.base import Figure, Still
from unmagic.figures.descent import POINTS, RACERS

import math
from types import MappingProxyType

import traitlets as t
from torch import Tensor

LONGEST = 1000  # epochs


def _preset(start: list[float], learning_rate: float, momentum: float, noise: float, epochs: int, kappa: float = 10.0):
    return dict(
        start=start,
        learning_rate=learning_rate,
        momentum=momentum,
        batch_size=8,
        eccentricity=kappa,
        noise=noise,
        epochs=epochs,
    )


# What each surface starts with, chosen so that the race shows what the surface is for.
PRESETS = MappingProxyType(
    {
        "bowl": _preset([-3.4, -0.4], 0.02, 0.8, noise=0.4, epochs=20, kappa=15.0),
        "ravine": _preset([-3.4, -2.0], 0.03, 0.8, noise=0.3, epochs=40),
        "rosenbrock": _preset([-1.2, 1.0], 0.001, 0.9, noise=0.3, epochs=200),
        "two_minima": _preset([1.8, 1.2], 0.05, 0.85, noise=0.7, epochs=40),
        "unit": _preset([-0.6, 1.2, 0.0], 0.15, 0.8, noise=0.4, epochs=20),
    }
)


class DescentRace(Figure):
    """A race of descent methods on a loss J(w) that is a mean of 48 losses, one a training point.

    So stochastic and minibatch descent are real: they see one point's loss, or a few's.

    Args:
        surface: "bowl": J_i = ½ (w − c_i)ᵀ A (w − c_i), A with eigenvalues `eccentricity` and 1, Σ c_i = 0;
            "ravine", "rosenbrock", "two_minima": J_i = J + g_i·w, Σ g_i = 0;
            "unit": one tanh unit with three weights on 2-D points, targets ±0.7, J = 1/(2n) Σ (y − t)².
            It sets `start`, `learning_rate`, `momentum`, `batch_size`, `eccentricity`, `noise` and `epochs`.
        noise: standard deviation of the c_i, of the g_i (in units that suit the surface), or of each class of points.
        start: [w1, w2], for the unit [w1, w2, b].
        learning_rate: ε of every racer. rates: {racer: ε} for those with one of their own.
        momentum: β of Δw ← −ε∇J(w) + βΔw. batch_size: points in a minibatch; the last of an epoch may be short.
        racers: those that run, of "batch", "stochastic", "minibatch", "momentum" (batch gradients).
        seed: of the order of the points. An epoch shows every point once; all racers see one order.
        epochs: length of the race. points_shown: how much of it is seen. playing, speed: its clock.
        axis: what the loss is plotted against, "epochs", "points" or "updates".

    Once the race pauses, the browser tells `weights`, {racer: w} at `points_shown`, and `diverged`, who has left.
    Raises TraitError for a value that is out of range, TypeError for a name that is not here.

    >>> race = DescentRace("rosenbrock", learning_rate=0.002)
    >>> race.learning_rate, race.epochs
    (0.002, 200)
    >>> race.surface = "bowl"
    >>> race.start
    [-3.4, -0.4]
    """

    module = "descent_race"

    surface = t.Enum(list(PRESETS), default_value="bowl").tag(sync=True)
    eccentricity = t.Float(1.0, min=1.0, max=100.0).tag(sync=True)
    noise = t.Float(0.0, min=0.0, max=1.5).tag(sync=True)
    start = t.List(t.Float(), [0.0, 0.0], minlen=2, maxlen=3).tag(sync=True)
    learning_rate = t.Float(0.1, min=1e-4, max=10.0).tag(sync=True)
    rates = t.Dict(key_trait=t.Enum(list(RACERS)), value_trait=t.Float(min=1e-4, max=10.0)).tag(sync=True)
    momentum = t.Float(0.0, min=0.0, max=0.99).tag(sync=True)
    batch_size = t.Int(1, min=1, max=POINTS).tag(sync=True)
    racers = t.List(t.Enum(list(RACERS)), default_value=list(RACERS)).tag(sync=True)
    seed = t.Int(1, min=0, max=2**31 - 1).tag(sync=True)
    epochs = t.Int(1, min=1, max=LONGEST).tag(sync=True)
    points_shown = t.Int(0, min=0, max=LONGEST * POINTS).tag(sync=True)
    playing = t.Bool(False).tag(sync=True)
    speed = t.Float(1.0, min=0.125, max=8.0).tag(sync=True)
    axis = t.Enum(["epochs", "points", "updates"], default_value="epochs").tag(sync=True)
    presets = t.Dict(dict(PRESETS), read_only=True).tag(sync=True)
    weights = t.Dict().tag(sync=True)
    diverged = t.List().tag(sync=True)

    def __init__(self, surface: str = "bowl", **state) -> None:
        known = [name for name in self.class_trait_names(sync=True) if not name.startswith("_")]
        if unknown := sorted(set(state) - set(known)):
            raise TypeError(f"DescentRace has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
        if surface not in PRESETS:
            raise t.TraitError(f"surface: found {surface!r}, wanted one of {', '.join(PRESETS)}")
        chosen = {**PRESETS[surface], **state}
        chosen.setdefault("points_shown", chosen["epochs"] * POINTS)
        super().__init__(surface=surface, **chosen)
        self.observe(lambda change: self.reset(), "surface")

    @t.validate("start")
    def _start_is_finite(self, proposal):
        if not all(math.isfinite(x) for x in proposal["value"]):
            raise t.TraitError(f"start: found {proposal['value']}, wanted finite [w1, w2] (for the unit [w1, w2, b])")
        return proposal["value"]

    def play(self) -> None:
        """Let the race run on; from its beginning if it was seen to its end."""
        self.playing = True

    def pause(self) -> None:
        """Stop the race where it is."""
        self.playing = False

    def step(self, points: int = POINTS) -> None:
        """Show `points` more training points: by default an epoch."""
        self.playing = False
        self.points_shown = max(0, min(self.points_shown + points, self.epochs * POINTS))

    def reset(self) -> None:
        """Everything as it was chosen for this surface, and the whole race seen."""
        preset = PRESETS[self.surface]
        with self.hold_sync():
            self.playing = False
            self.rates = {}
            for name, value in preset.items():
                setattr(self, name, value)
            self.points_shown = preset["epochs"] * POINTS

    def paths(self) -> dict[str, Tensor]:
        """The race up to `points_shown`, computed here by autograd and `torch.optim.SGD`: what the browser shows.

        Returns {racer: weights at the start and after each update, (updates + 1, dim), float64}; a racer that diverges
        ends before its weights pass 10⁶.
        """
        surface = self._surface()
        start = [*self.start, *PRESETS[self.surface]["start"][len(self.start) :]][: surface.dim]
        return descent.race(
            surface,
            racers=self.racers,
            start=start,
            learning_rate=self.learning_rate,
            rates=self.rates,
            momentum=self.momentum,
            batch_size=self.batch_size,
            seed=self.seed,
            points=min(self.points_shown, self.epochs * POINTS),
        )

    def still(self) -> Still:
        surface, paths = self._surface(), self.paths()
        minimum, sizes = descent_still.lowest(surface), descent.batch_sizes(self.batch_size)
        light, dark = (
            descent_still.data_address(descent_still.draw(surface, paths, sizes, minimum, theme))
            for theme in ("light", "dark")
        )
        return Still(self._alternative(surface, paths, minimum), light, dark)

    def _surface(self) -> descent.Surface:
        return descent.surface(self.surface, eccentricity=self.eccentricity, noise=self.noise)

    def _alternative(self, surface: descent.Surface, paths: dict[str, Tensor], minimum: Tensor) -> str:
        above = {racer: float(surface.loss(path[-1]) - surface.loss(minimum)) for racer, path in paths.items()}
        said = ", ".join(f"{RACERS[racer].lower()} {value:.2g}" for racer, value in above.items())
        start = ", ".join(f"{x:g}" for x in self.start)
        return (
            f"A map of a loss over two weights ({surface.label}) with each racer's path from the start ({start}), and "
            f"their losses over the epochs. Loss above the lowest after {self.points_shown / POINTS:g} epochs: {said}."
        )
