"""Signals through depth seen from Python: its state, its pass, its still."""

from unmagic.figures import SignalsThroughDepth, descent, signals, signals_still
from unmagic.style import PALETTES

import itertools
import re

import pytest
import torch
import traitlets


class TestState:
    """Settings and what follows from them."""

    def test_n_var_follows_the_initialization_and_the_width(self):
        figure = SignalsThroughDepth()
        assert (figure.initialization, figure.n_var) == ("standard", pytest.approx(1 / 3))
        figure.initialization = "large"
        assert figure.n_var == 64
        figure.width = 16
        assert figure.n_var == 16
        figure.initialization = "own"
        assert figure.n_var == 16, "one's own starts where the last one was"

    def test_a_scale_of_ones_own_is_kept_at_every_width(self):
        figure = SignalsThroughDepth("relu", n_var=1.5)
        figure.width = 128
        assert (figure.initialization, figure.n_var) == ("own", 1.5)

    @pytest.mark.parametrize(
        ("state", "said"),
        [
            pytest.param({"activation": "swish"}, "activation", id="unknown-activation"),
            pytest.param({"initialization": "glorot"}, "initialization", id="unknown-initialization"),
            pytest.param({"normalization": "group"}, "normalization", id="unknown-normalization"),
            pytest.param({"width": 65}, "width", id="width-that-is-not-offered"),
            pytest.param({"depth": 51}, "depth", id="too-deep"),
            pytest.param({"n_var": 0.0}, "n_var", id="no-variance"),
        ],
    )
    def test_a_value_out_of_range_is_an_error_that_names_it(self, state, said):
        with pytest.raises(traitlets.TraitError, match=said):
            SignalsThroughDepth(**state)

    def test_an_unknown_name_is_an_error_that_lists_those_there_are(self):
        with pytest.raises(TypeError, match=r"has no layers; it has activation, depth, deviations"):
            SignalsThroughDepth(layers=3)


class TestPass:
    """What Python computes."""

    def test_the_random_streams_are_those_of_the_other_figures(self):
        got = signals.uniforms([0, 7, 64 * 2**24 + 51], 40)
        for seed, row in zip((0, 7, 64 * 2**24 + 51), got, strict=True):
            assert row.tolist() == list(itertools.islice(descent.uniforms(seed), 40))

    def test_a_pass_has_every_layer(self):
        passed = SignalsThroughDepth("relu", depth=3, width=8).measured()
        assert passed.h.shape == passed.g.shape == (4, 32, 8)
        assert passed.weights.shape == (3, 8, 8)
        assert passed.h.dtype == torch.float64
        assert {name: len(x) for name, x in passed.deviations().items()} == {
            "activations": 4,
            "unit_gradients": 4,
            "weight_gradients": 3,
        }


class TestStill:
    """For readers without scripts."""

    def test_its_words_say_what_both_signals_do(self):
        words = SignalsThroughDepth("relu", initialization="he", depth=3, width=8).still().alternative
        assert "3 layers of 8 ReLU units with n·Var(w) = 2 and no normalization" in words
        assert re.search(r"activations goes from [\d.]+ in layer 1 to [\d.]+ in layer 3", words)

    @pytest.mark.parametrize("activation", signals.ACTIVATIONS)
    def test_every_layer_has_bars_as_wide_as_its_column_at_most(self, activation):
        passed = SignalsThroughDepth(activation, depth=4, width=16).measured()
        figure = signals_still.draw(passed, activation, "dark")
        for axes in figure.axes[:2]:
            (bars,) = axes.collections
            x = [path.vertices[:, 0] for path in bars.get_paths()]
            assert {round(float(v.mean())) for v in x} == {1, 2, 3, 4} or len(x) > 4
            assert max(float(v.max() - v.min()) for v in x) == pytest.approx(0.92)
        assert len(figure.axes[2].lines) == 3
        assert figure.axes[2].lines[0].get_color() == PALETTES["dark"]["blue"]
