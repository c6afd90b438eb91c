"""The arithmetic of the descent figures, run in Node, against torch, scipy and what theory says."""

from unmagic.figures import STATIC, descent
from unmagic.figures.descent_race import PRESETS

import itertools
import json

import numpy as np
import pytest
import scipy.optimize
import torch

SURFACES = list(PRESETS)
SETTINGS = [dict(eccentricity=10.0, noise=0.5), dict(eccentricity=37.0, noise=1.1)]
BATCH = [3, 17, 17, 40, 0]


def points(surface: descent.Surface, count: int = 12) -> torch.Tensor:
    """Seeded places all over the picture: (count, dim)."""
    generator = torch.Generator().manual_seed(5)
    left, right, bottom, top = surface.view
    u = torch.rand(count, 3, generator=generator, dtype=torch.float64)
    w = torch.stack([left + (right - left) * u[:, 0], bottom + (top - bottom) * u[:, 1], 4 * u[:, 2] - 2], dim=1)
    return w[:, : surface.dim]


def close(actual, expected, rtol=1e-8, atol=1e-9):
    torch.testing.assert_close(
        torch.as_tensor(actual, dtype=torch.float64),
        torch.as_tensor(expected, dtype=torch.float64),
        rtol=rtol,
        atol=atol,
    )


@pytest.mark.parametrize("settings", SETTINGS, ids=["mild", "hard"])
@pytest.mark.parametrize("name", SURFACES)
class TestSurfaces:
    """Loss, gradient and Hessian of the browser's surfaces against autograd."""

    def test_losses_of_all_points_and_their_mean_are_torchs(self, node, name, settings):
        surface = descent.surface(name, **settings)
        w = points(surface)
        got = node(
            """const s = d.makeSurface(name, settings);
            give(w.map((x) => [s.loss(x), Array.from({ length: d.POINTS }, (_, i) => s.pointLoss(x, i))]));""",
            name=name,
            settings=settings,
            w=w.tolist(),
        )
        close([mean for mean, _ in got], surface.loss(w))
        close([each for _, each in got], surface.losses(w).T)

    def test_gradients_over_all_points_and_over_a_batch_are_autograds(self, node, name, settings):
        surface = descent.surface(name, **settings)
        w = points(surface)
        whole, part = node(
            """const s = d.makeSurface(name, settings);
            give([w.map((x) => s.gradient(x)), w.map((x) => s.gradient(x, batch))]);""",
            name=name,
            settings=settings,
            w=w.tolist(),
            batch=BATCH,
        )
        for got, batch in [(whole, None), (part, BATCH)]:
            expected = [torch.autograd.functional.jacobian(lambda x, b=batch: surface.loss(x, b), x) for x in w]
            close(got, torch.stack(expected))

    def test_hessians_are_autograds(self, node, name, settings):
        surface = descent.surface(name, **settings)
        w = points(surface)
        got = node(
            "const s = d.makeSurface(name, settings); give(w.map((x) => s.hessian(x)));",
            name=name,
            settings=settings,
            w=w.tolist(),
        )
        close(got, torch.stack([torch.autograd.functional.hessian(surface.loss, x) for x in w]))

    def test_the_minimum_is_the_lowest_place_that_scipy_finds(self, node, name, settings):
        surface = descent.surface(name, **settings)
        minimum, lowest, lambdas = node(
            "const s = d.makeSurface(name, settings); give([s.minimum, s.lowest, s.lambdas]);",
            name=name,
            settings=settings,
        )

        def value_and_gradient(x):
            w = torch.tensor(x, requires_grad=True)
            loss = surface.loss(w)
            loss.backward()
            return loss.item(), w.grad.numpy()

        found = [
            scipy.optimize.minimize(value_and_gradient, x, jac=True, options={"gtol": 1e-10})
            for x in points(surface, 20).numpy()
        ]
        best = min(found, key=lambda result: result.fun)
        close(lowest, best.fun, atol=1e-9)
        close(minimum, best.x, atol=1e-4)
        hessian = torch.autograd.functional.hessian(surface.loss, torch.tensor(minimum, dtype=torch.float64))
        close(lambdas, torch.linalg.eigvalsh(hessian).flip(0), atol=1e-6)


class TestKnownFunctions:
    """Formulas against sources that know them."""

    def test_rosenbrock_is_scipys(self, node):
        w = points(descent.surface("rosenbrock")).tolist()
        got = node(
            """const s = d.makeSurface("rosenbrock", { noise: 0 });
            give(w.map((x) => [s.loss(x), s.gradient(x), s.hessian(x)]));""",
            w=w,
        )
        for x, (loss, gradient, hessian) in zip(w, got, strict=True):
            close(loss, scipy.optimize.rosen(x))
            close(gradient, scipy.optimize.rosen_der(x))
            close(hessian, scipy.optimize.rosen_hess(x))

    @pytest.mark.parametrize("eccentricity", [1.0, 15.0, 100.0])
    def test_a_bowls_eigenvalues_are_its_eccentricity_and_one(self, node, eccentricity):
        lambdas = node(
            'give(d.makeSurface("bowl", { eccentricity: k, noise: 0.3 }).lambdas);',
            k=eccentricity,
        )
        close(lambdas, [eccentricity, 1.0])

    def test_the_unit_is_a_linear_layer_with_tanh_and_half_the_mean_squared_error(self, node):
        got = node(
            """const s = d.makeSurface("unit", { noise: 0.4 });
            give([s.data.map((p) => p.x), s.data.map((p) => p.t), s.loss([0.3, -0.8, 0.5])]);""",
        )
        x, t, loss = (torch.tensor(part, dtype=torch.float64) for part in got)
        layer = torch.nn.Linear(2, 1, dtype=torch.float64)
        with torch.no_grad():
            layer.weight[:] = torch.tensor([[0.3, -0.8]])
            layer.bias[:] = 0.5
        close(loss, torch.nn.MSELoss()(torch.tanh(layer(x))[:, 0], t).detach() / 2)
        assert set(t.tolist()) == {0.7, -0.7}

    def test_the_units_map_shows_the_least_loss_over_the_bias(self, node):
        surface = descent.surface("unit", noise=0.5)
        w = points(surface, 40)[:, :2]
        got = node(
            'const s = d.makeSurface("unit", { noise: 0.5 }); give(w.map(([a, b]) => s.shown(a, b)));', w=w.tolist()
        )
        b = torch.linspace(-8, 8, 4001, dtype=torch.float64)
        scanned = [surface.loss(torch.cat([x.expand(len(b), 2), b[:, None]], dim=1)).min() for x in w]
        above = torch.tensor(got, dtype=torch.float64) - torch.stack(scanned)
        assert above.min() > -1e-5, "lower than the least loss"
        assert above.max() < 2e-3, "above the least loss by more than a tint can show"

    @pytest.mark.parametrize("name", ["bowl", "ravine", "rosenbrock", "two_minima"])
    def test_what_scatters_the_points_cancels_in_the_mean(self, node, name):
        vectors = node(
            "const s = d.makeSurface(name, { eccentricity: 5, noise: 1 }); give(s.centres ?? s.tilts);", name=name
        )
        close(np.mean(vectors, axis=0), [0.0, 0.0], atol=1e-12)
        assert np.std(vectors) > 0.5

    @pytest.mark.parametrize("dim", [2, 3, 5])
    def test_eigenvalues_are_those_of_torch(self, node, dim):
        a = torch.randn(10, dim, dim, generator=torch.Generator().manual_seed(dim), dtype=torch.float64)
        a = a + a.mT
        got = node("give(matrices.map(d.eigenvalues));", matrices=a.tolist())
        close(got, torch.linalg.eigvalsh(a).flip(-1), atol=1e-10)


class TestShuffles:
    """An epoch shows every point exactly once, in an order that can be repeated."""

    def test_random_numbers_and_scatter_are_the_same_in_the_browser_and_in_python(self, node):
        for seed in (0, 1, 12345, 2**31 - 1):
            code = "const u = d.randomStream(seed); give(Array.from({ length: 50 }, u));"
            got = node(code, use="random", seed=seed)
            assert got == list(itertools.islice(descent.uniforms(seed), 50))
        close(node("give(d.scatter(48, 2));"), descent.scatter(48, 2), rtol=1e-12)

    def test_random_numbers_are_uniform(self):
        u = list(itertools.islice(descent.uniforms(3), 20000))
        counts, _ = np.histogram(u, bins=20, range=(0, 1))
        assert ((counts - 1000) ** 2 / 1000).sum() < 43.8  # χ² with 19 degrees of freedom, p = 0.001
        assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 0.02

    def test_every_order_is_about_as_frequent(self, node):
        counts = node(
            f"import {{ randomStream }} from {json.dumps((STATIC / 'random.js').as_uri())};"
            """const u = randomStream(11); const counts = {};
            for (let k = 0; k < 24000; k++) { const o = d.shuffled(4, u).join(""); counts[o] = (counts[o] ?? 0) + 1; }
            give(counts);"""
        )
        assert len(counts) == 24
        assert sum((n - 1000) ** 2 / 1000 for n in counts.values()) < 49.7  # χ² with 23 degrees of freedom, p = 0.001

    @pytest.mark.parametrize("batch_size", [1, 7, 8, 47, 48])
    def test_each_epoch_shows_every_point_once_and_keeps_the_short_last_batch(self, node, batch_size):
        batches = node(
            """const seen = [];
            const spy = { dim: 1, loss: () => 0, gradient: (w, batch) => (seen.push(batch ?? "all"), [0]) };
            d.race(spy, { ...settings, batch_size }, 3 * d.POINTS);
            give(seen);""",
            batch_size=batch_size,
            settings=dict(racers=["minibatch"], start=[0], learning_rate=1, rates={}, momentum=0, seed=4),
        )
        if batch_size == 48:
            assert batches == ["all"] * 3
            return
        per_epoch = -(-48 // batch_size)
        epochs = [batches[k * per_epoch : (k + 1) * per_epoch] for k in range(3)]
        for epoch in epochs:
            assert sorted(itertools.chain(*epoch)) == list(range(48))
            assert [len(batch) for batch in epoch[:-1]] == [batch_size] * (per_epoch - 1)
            assert len(epoch[-1]) == 48 - batch_size * (per_epoch - 1)
        assert epochs[0] != epochs[1] != epochs[2]


RACE = """const s = d.makeSurface(name, settings);
const lanes = d.race(s, how, points);
give(lanes.map((lane) => ({ name: lane.name, path: lane.path, divergedAt: lane.divergedAt,
    losses: lane.losses, epochs: lane.epochs })));"""


def how(name: str, **changes) -> dict:
    preset = PRESETS[name]
    keys = ("start", "learning_rate", "momentum", "batch_size")
    return dict({key: preset[key] for key in keys}, racers=list(descent.RACERS), rates={}, seed=1, **changes)


class TestRaces:
    """Whole races against `torch.optim.SGD`."""

    @pytest.mark.parametrize("seed", [1, 29])
    @pytest.mark.parametrize("name", SURFACES)
    def test_every_update_of_every_racer_is_torchs(self, node, name, seed):
        settings = {key: PRESETS[name][key] for key in ("eccentricity", "noise")}
        surface = descent.surface(name, **settings)
        setting = dict(how(name), seed=seed, batch_size=7, rates={"minibatch": PRESETS[name]["learning_rate"] / 3})
        lanes = node(RACE, name=name, settings=settings, how=setting, points=4 * 48 + 20)
        paths = descent.race(surface, **setting, points=4 * 48 + 20)
        assert [lane["name"] for lane in lanes] == list(paths)
        for lane in lanes:
            expected = paths[lane["name"]]
            close(
                torch.tensor(lane["path"], dtype=torch.float64).reshape(-1, surface.dim), expected, rtol=1e-5, atol=1e-7
            )
            assert lane["divergedAt"] is None
            for row in (lane["losses"][-1], lane["epochs"][-1]):
                close(row[2], surface.loss(expected[row[1]]), rtol=1e-5)
        assert [len(paths[name]) - 1 for name in paths] == [4, 212, 4 * 7 + 2, 4]

    def test_momentum_is_the_rule_of_the_course(self, node):
        """Δw ← −ε∇J(w); repeat w ← w + Δw, Δw ← −ε∇J(w) + βΔw."""
        surface = descent.surface("bowl", eccentricity=15.0, noise=0.4)
        setting = dict(how("bowl"), racers=["momentum"], momentum=0.7)
        (lane,) = node(RACE, name="bowl", settings=dict(eccentricity=15.0, noise=0.4), how=setting, points=10 * 48)
        w = torch.tensor(setting["start"], dtype=torch.float64)
        gradient = lambda w: torch.autograd.functional.jacobian(surface.loss, w)  # noqa: E731
        step, path = -0.02 * gradient(w), [w]
        for _ in range(10):
            w = w + step
            step = -0.02 * gradient(w) + 0.7 * step
            path.append(w)
        close(torch.tensor(lane["path"], dtype=torch.float64).reshape(-1, 2), torch.stack(path))

    @pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
    @pytest.mark.parametrize("eccentricity", [2.0, 25.0])
    def test_just_below_the_stability_limit_a_bowl_is_descended_just_above_it_is_left(
        self, node, eccentricity, momentum
    ):
        got = node(
            """const s = d.makeSurface("bowl", { eccentricity, noise: 0 });
            const hyper = { momentum };
            const out = {};
            for (const racer of ["batch", "momentum"]) {
              const limit = d.OPTIMIZERS[d.RACERS[racer].optimizer].limit(s.lambdas[0], hyper);
              out[racer] = [0.98, 1.02].map((f) => {
                const fixed = { racers: [racer], start: [1, 2], rates: {}, momentum, seed: 1 };
                const [lane] = d.race(s, { ...fixed, learning_rate: f * limit }, 1000 * d.POINTS);
                return lane.divergedAt === null ? s.loss(lane.weights(1000)) : "diverged";
              });
            }
            give(out);""",
            eccentricity=eccentricity,
            momentum=momentum,
        )
        for racer, (below, above) in got.items():
            assert below != "diverged", f"{racer} left below its limit"
            assert below < 1e-6, f"{racer} did not arrive below its limit"
            assert above == "diverged", f"{racer} stayed above its limit"

    def test_a_racer_that_diverges_stops_at_its_last_place_within_bounds(self, node):
        settings = dict(eccentricity=15.0, noise=0.4)
        setting = dict(how("bowl"), learning_rate=1.0)
        lanes = node(RACE, name="bowl", settings=settings, how=setting, points=20 * 48)
        paths = descent.race(descent.surface("bowl", **settings), **setting, points=20 * 48)
        for lane in lanes:
            path = np.reshape(lane["path"], (-1, 2))
            assert len(path) == len(paths[lane["name"]]) < 20 * 48
            assert np.abs(path).max() < 1e6
        assert lanes[0]["divergedAt"] == 48 * len(paths["batch"])
        assert lanes[1]["divergedAt"] == len(paths["stochastic"])

    def test_updates_at_a_clock_are_those_whose_batches_are_full(self, node):
        got = node(
            """const s = d.makeSurface("bowl", { eccentricity: 5, noise: 0.1 });
            settings.racers = Object.keys(d.RACERS);
            const lanes = d.race(s, settings, 300);
            give(Array.from({ length: 301 }, (_, shown) => [
              lanes.map((lane) => lane.updatesAt(shown)),
              d.race(s, settings, shown).map((lane) => lane.path.length / 2 - 1),
            ]));""",
            settings=dict(start=[1, 1], learning_rate=0.01, rates={}, momentum=0.5, batch_size=7, seed=1),
        )
        assert all(at == run for at, run in got)

    def test_curves_stay_short_however_long_the_race(self, node):
        counts = node(
            """const s = d.makeSurface("bowl", { eccentricity: 5, noise: 0.1 });
            const [lane] = d.race(s, { ...settings, racers: ["stochastic"] }, 5000 * d.POINTS);
            give([lane.path.length / 2, lane.losses.length, lane.epochs.length]);""",
            settings=dict(start=[1, 1], learning_rate=0.01, rates={}, momentum=0.5, batch_size=7, seed=1),
        )
        assert counts[0] == 1000 * 48 + 1, "a race longer than the longest is cut there"
        assert counts[1] < 1500
        assert counts[2] == 1001
