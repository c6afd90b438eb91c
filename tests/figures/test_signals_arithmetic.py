"""The arithmetic of "Signals through depth", run in Node, against torch and what theory says."""

from unmagic.figures import STATIC, signals

import itertools
import json
import math

import numpy as np
import pytest
import scipy.integrate
import torch

SIZE = dict(width=16, depth=6, seed=3)
RUN = """
const pass = (settings) => {
  const steps = d.propagate(settings, new d.Numbers(settings.seed, settings.width));
  let step;
  let pauses = -1;
  do { step = steps.next(); pauses++; } while (!step.done);
  return { ...step.value, h: step.value.h.map((x) => [...x]), g: step.value.g.map((x) => [...x]), pauses };
};
const measured = (settings) => { const { h, g, ...rest } = pass(settings); return rest; };
"""
WORDS = f"import {{ describe, factorInWords }} from {json.dumps((STATIC / 'signals_words.js').as_uri())};"
PASSES = [(activation, norm) for activation in signals.ACTIVATIONS for norm in signals.NORMALIZATIONS]


def close(actual, expected, rtol=1e-9, atol=0.0):
    torch.testing.assert_close(
        torch.as_tensor(actual, dtype=torch.float64),
        torch.as_tensor(expected, dtype=torch.float64),
        rtol=rtol,
        atol=atol,
    )


def both(activation: str, norm: str, n_var: float, **size) -> tuple[dict, dict]:
    """The same settings for Python and for the browser."""
    same = dict(activation=activation, normalization=norm, **size)
    return {**same, "n_var": n_var}, {**same, "nVar": n_var}


@pytest.fixture(scope="module")
def passes(node):
    """{(activation, norm): what the browser computes}, by one Node."""
    settings = [both(activation, norm, 1.7, **SIZE)[1] for activation, norm in PASSES]
    return dict(zip(PASSES, node(RUN + "give(settings.map(pass));", use="signals", settings=settings), strict=True))


@pytest.fixture(scope="module")
def wide(node):
    """{(activation, norm): [measured, predicted]} of a wide net, by one Node."""
    settings = [both(activation, norm, 1.3, width=256, depth=5, seed=2)[1] for activation, norm in PASSES]
    code = RUN + "give(settings.map((s) => [measured(s), d.theory(s)]));"
    return dict(zip(PASSES, node(code, use="signals", settings=settings), strict=True))


class TestPasses:
    """Forwards and backwards, against autograd."""

    @pytest.mark.parametrize(("activation", "norm"), PASSES)
    def test_activations_gradients_and_their_deviations_are_those_of_torch(self, passes, activation, norm):
        python, _ = both(activation, norm, 1.7, **SIZE)
        got = passes[activation, norm]
        expected = signals.propagate(**python)
        close(got["h"], expected.h.flatten(1), atol=1e-12)
        close(got["g"], expected.g.flatten(1), atol=1e-12)
        deviations = expected.deviations()
        close(got["activations"], deviations["activations"])
        close(got["unitGradients"], deviations["unit_gradients"])
        close(got["weightGradients"][1:], deviations["weight_gradients"])
        assert got["pauses"] == 2 * SIZE["depth"], "it pauses after every layer, forwards and backwards"

    @pytest.mark.parametrize(("n_var", "width"), [(256.0, 256), (0.0008, 8)], ids=["explodes", "vanishes"])
    def test_fifty_layers_of_the_worst_scale_stay_numbers(self, node, n_var, width):
        python, browser = both("linear", "none", n_var, width=width, depth=signals.DEEPEST, seed=1)
        got = node(RUN + "give(measured(settings));", use="signals", settings=browser)
        expected = signals.propagate(**python).deviations()
        close(got["activations"], expected["activations"])
        close(got["unitGradients"], expected["unit_gradients"])
        close(got["weightGradients"][1:], expected["weight_gradients"], rtol=1e-6)
        assert not 1e-50 < got["activations"][-1] < 1e50

    def test_a_deeper_net_has_the_same_first_layers(self, node):
        _, browser = both("tanh", "none", 1.0, **SIZE)
        code = RUN + "give([3, 6].map((depth) => measured({ ...settings, depth }).activations));"
        short, long = node(code, use="signals", settings=browser)
        assert long[:4] == short

    def test_idle_units_are_counted(self, node):
        python, browser = both("relu", "none", 2.0, **SIZE)
        got = node(RUN + "give(measured(settings).idle);", use="signals", settings=browser)
        h = signals.propagate(**python).h
        for layer in range(1, 7):
            zero = h[layer] == 0
            alike = h[layer].mean(0).var(correction=0) / h[layer].var(correction=0)
            assert got[layer] == {
                "saturated": 0,
                "zero": zero.double().mean().item(),
                "dead": int(zero.all(0).sum()),
                "alike": pytest.approx(alike.item()),
            }
        assert sum(layer["dead"] for layer in got[1:]) > 0, "else nothing is tested"

    @pytest.mark.parametrize(("activation", "steepest"), [("tanh", 1.0), ("sigmoid", 0.25)])
    def test_saturated_are_those_with_a_slope_below_a_twentieth_of_the_largest(self, node, activation, steepest):
        python, browser = both(activation, "none", 30.0, **SIZE)
        got = node(
            RUN + "give(measured(settings).idle.slice(1).map((layer) => layer.saturated));",
            use="signals",
            settings=browser,
        )
        h = signals.propagate(**python).h[1:]
        y = (torch.atanh(h) if activation == "tanh" else torch.logit(h)).requires_grad_()
        (slope,) = torch.autograd.grad(signals.ACTIVATIONS[activation](y).sum(), y)
        close(got, (slope < 0.05 * steepest).double().mean((1, 2)), atol=2 / h[0].numel())
        assert max(got) > 0.3

    def test_a_histogram_counts_what_numpy_counts(self, node):
        x = torch.randn(500, generator=torch.Generator().manual_seed(1), dtype=torch.float64).tolist()
        got = node("give([...d.histogram(x, -2, 1.5, 21)]);", use="signals", x=x)
        assert got == np.histogram(x, 21, (-2, 1.5))[0].tolist()


class TestInitializations:
    """n·Var(w) by name."""

    @pytest.mark.parametrize("width", [8, 256])
    def test_the_browser_and_python_agree(self, node, width):
        code = "give(Object.fromEntries(Object.entries(d.INITIALIZATIONS).map(([k, v]) => [k, v.nVar?.(n)])));"
        got = node(code, use="signals", n=width)
        assert got == pytest.approx({name: n_var(width) for name, n_var in signals.INITIALIZATIONS.items()})

    @pytest.mark.parametrize(
        ("name", "fill"),
        [
            ("standard", lambda w: torch.nn.Linear(256, 256, bias=False).weight),
            ("xavier", torch.nn.init.xavier_uniform_),
            ("he", torch.nn.init.kaiming_uniform_),
            ("small", lambda w: torch.nn.init.normal_(w, std=0.01)),
            ("large", torch.nn.init.normal_),
        ],
    )
    def test_they_are_those_of_torch(self, name, fill):
        torch.manual_seed(0)
        w = fill(torch.empty(256, 256)).detach()
        assert 256 * w.var().item() == pytest.approx(signals.INITIALIZATIONS[name](256), rel=0.02)

    def test_weights_are_uniform_and_layers_independent(self):
        w = signals.base_weights(1, 64, 8).flatten(1)
        assert w.abs().max() <= math.sqrt(3)
        close(w.var(1), torch.ones(8), rtol=0.06)
        assert (torch.corrcoef(w) - torch.eye(8)).abs().max() < 0.06


class TestTheory:
    """The predictions: their integrals against scipy, what they say against papers and against what is measured."""

    @pytest.mark.parametrize("activation", signals.ACTIVATIONS)
    def test_moments_are_scipys_integrals(self, node, activation):
        sizes = [1e-4, 0.3, 1.0, 9.0, 300.0]
        got = node(
            "give(sizes.map((q) => d.moments(activation, q)));", use="signals", activation=activation, sizes=sizes
        )

        def phi_and_slope(y):
            y = torch.tensor(y, dtype=torch.float64, requires_grad=True)
            h = signals.ACTIVATIONS[activation](y)
            h.backward()
            return h.item(), y.grad.item()

        def mean(f, q):
            density = lambda z: math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)  # noqa: E731
            gauss = lambda z: f(*phi_and_slope(math.sqrt(q) * z)) * density(z)  # noqa: E731
            edge = 6 / max(1.0, math.sqrt(q))  # inside it everything happens when q is large
            pieces = itertools.pairwise([-9, -edge, 0, edge, 9])
            return sum(scipy.integrate.quad(gauss, a, b, epsabs=1e-10)[0] for a, b in pieces)

        parts = [lambda h, s: h, lambda h, s: h * h, lambda h, s: s * s]
        expected = [[mean(part, q) for part in parts] for q in sizes]
        close([[x["mean"], x["square"], x["slope"]] for x in got], expected, rtol=1e-7, atol=1e-9)

    @pytest.mark.parametrize(
        ("activation", "norm", "n_var", "factor"),
        [
            pytest.param("relu", "none", 2.0, 1.0, id="he-keeps-relu"),
            pytest.param("relu", "none", 1.0, 0.5, id="xavier-halves-relu"),
            pytest.param("linear", "none", 1 / 3, 1 / 3, id="standard-thirds-linear"),
            pytest.param("relu", "batch", 0.1, math.pi / (math.pi - 1) * 30 / 29, id="batch-norm-relu-of-yang-2019"),
            pytest.param("relu", "layer", 5.0, 1.0, id="layer-norm-relu"),
        ],
    )
    def test_the_factor_of_a_layer_is_what_papers_say(self, node, activation, norm, n_var, factor):
        _, browser = both(activation, norm, n_var, depth=4)
        got = node("give(d.theory(settings).factor);", use="signals", settings=browser)
        assert got[4] == pytest.approx(factor, rel=1e-3)

    @pytest.mark.parametrize(("activation", "norm"), PASSES)
    def test_what_is_predicted_is_what_is_measured_in_a_wide_net(self, wide, activation, norm):
        measured, predicted = wide[activation, norm]
        for name in ("activations", "unitGradients", "weightGradients"):
            close(measured[name][1:], predicted[name][1:], rtol=0.12)


class TestWords:
    """What is said of a pass."""

    @pytest.mark.parametrize(
        ("activation", "norm", "n_var", "fates", "said"),
        [
            pytest.param("tanh", "none", 1 / 3, ["vanish", "vanish"], "a layer (theory × 0.57", id="standard-tanh"),
            pytest.param("relu", "none", 2.0, ["keep their size"] * 2, "of the activations are 0", id="he-relu"),
            pytest.param("linear", "none", 64.0, ["explode", "explode"], "a layer (theory × 8)", id="large-linear"),
            pytest.param("tanh", "none", 64.0, ["keep their size", "explode"], "are saturated: φ′ is", id="large-tanh"),
            pytest.param("sigmoid", "batch", 0.01, ["keep their size"] * 2, "(theory × 1.0", id="batch-norm-sigmoid"),
            pytest.param("sigmoid", "layer", 0.01, ["keep their size", "vanish"], "is the same for every example",
                         id="layer-norm-sigmoid"),
        ],
    )  # fmt: skip
    def test_the_fate_of_both_signals_is_said_beside_what_theory_expects(
        self, node, activation, norm, n_var, fates, said
    ):
        _, browser = both(activation, norm, n_var, width=64, depth=24, seed=1)
        got = node(
            WORDS + RUN + "give(describe(measured(settings), d.theory(settings), settings));",
            use="signals",
            settings=browser,
        )
        text = got["text"].replace("\u00a0", " ")
        assert got["fates"] == fates
        assert f"Activations {fates[0]}: " in text
        assert f"Gradients {fates[1]} on their way back" in text
        assert said in text
        assert got["warn"] == bool({"vanish", "explode"} & set(fates))

    @pytest.mark.parametrize(
        ("norm", "said"),
        [
            ("none", "n·Var(w) · E[φ′²] = 3 · 0.5 = 1.5, their standard deviation by its root, 1.22."),
            ("batch", "E[φ′²] / Var(h) · 30/29 = 0.5 / 0.341 · 30/29 = 1.52, their standard deviation by its root"),
            ("layer", "E[φ′²] / E[h²] = 0.5 / 0.5 = 1, their standard deviation by its root, 1."),
        ],
    )  # fmt: skip
    def test_the_factor_of_a_layer_is_said_with_its_numbers(self, node, norm, said):
        _, browser = both("relu", norm, 3.0, depth=4)
        code = WORDS + "give(factorInWords(d.theory(settings), 4, settings));"
        assert said in node(code, use="signals", settings=browser)

    def test_what_float32_cannot_hold_is_said(self, node):
        _, browser = both("linear", "none", 0.0016, width=16, depth=50, seed=1)
        code = WORDS + RUN + "give(describe(measured(settings), d.theory(settings), settings).text);"
        assert "lost in float32" in node(code, use="signals", settings=browser)
