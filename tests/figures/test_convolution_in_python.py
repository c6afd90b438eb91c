"""Convolution both ways seen from Python: its state, its mark-up in the book, its still."""

from unmagic.figures import ConvolutionBothWays
from unmagic.figures.convolution_both_ways import KERNELS, OPERATIONS, PICTURES, PRESETS

import base64
import html
import io
import json
import re

import numpy as np
import pytest
import torch
import traitlets
from PIL import Image


class TestState:
    """Operation, numbers and settings."""

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_an_operation_brings_its_own_settings(self, operation):
        figure = ConvolutionBothWays(operation)
        for name, value in PRESETS[operation].items():
            assert getattr(figure, name) == value

    def test_what_is_asked_for_outranks_the_operation(self):
        figure = ConvolutionBothWays("max_pooling", stride=1, picture=PICTURES["plateaus"])
        assert (figure.stride, figure.window, figure.picture) == (1, 3, PICTURES["plateaus"])

    def test_choosing_another_operation_sets_the_rest_and_reset_brings_it_back(self):
        figure = ConvolutionBothWays(kernel=KERNELS["pair"], playing=True)
        figure.operation = "transposed_convolution"
        assert (figure.stride, figure.kernel, figure.playing) == (2, KERNELS["bilinear"], False)
        figure.stride = 4
        figure.reset()
        assert figure.stride == 2

    @pytest.mark.parametrize(
        ("state", "said"),
        [
            pytest.param({"operation": "pooling"}, "found 'pooling', wanted one of convolution, transposed",
                         id="operation"),
            pytest.param({"picture": [[1.0, 2.0], [3.0]]}, "picture: found 2 rows of 1, 2 numbers, wanted 2 to 12 rows",
                         id="ragged-picture"),
            pytest.param({"picture": [[1.0] * 13] * 13}, "found 13 rows of 13 numbers", id="picture-too-large"),
            pytest.param({"kernel": []}, "kernel: found 0 rows of no numbers, wanted 1 to 5 rows of 1 to 5",
                         id="empty-kernel"),
            pytest.param({"kernel": [[float("nan")]]}, "kernel: found nan, wanted numbers from −999 to 999",
                         id="not-a-number"),
            pytest.param({"picture": [[1e4, 0], [0, 0]]}, "picture: found 10000.0", id="number-too-large"),
            pytest.param({"stride": 0}, "stride", id="no-stride"),
            pytest.param({"ties": "last"}, "ties", id="unknown-ties"),
            pytest.param({"cell": [1]}, "cell", id="cell-of-one-number"),
        ],
    )  # fmt: skip
    def test_a_value_out_of_range_is_an_error_that_names_it(self, state, said):
        with pytest.raises(traitlets.TraitError, match=re.escape(said)):
            ConvolutionBothWays(**state)

    def test_an_unknown_name_is_an_error_that_lists_those_there_are(self):
        with pytest.raises(TypeError, match=r"has no strides; it has ceil_mode, cell, .*stride"):
            ConvolutionBothWays(strides=2)


class TestPasses:
    """What Python computes, by hand on small numbers."""

    def test_a_convolution_forwards_and_backwards_on_numbers_that_can_be_done_in_the_head(self):
        figure = ConvolutionBothWays(
            picture=[[1, 2], [3, 4]], kernel=[[1, 10]], upstream="own", gradients=[[1], [2]]
        )  # y = x0 + 10 x1 in each row
        found = figure.passes()
        assert found.y.tolist() == [[21], [43]]
        assert found.dx.tolist() == [[1, 10], [2, 20]]
        assert found.dw.tolist() == [[1 * 1 + 2 * 3, 1 * 2 + 2 * 4]]

    @pytest.mark.parametrize(
        ("upstream", "dy"), [("ones", [[1, 1]]), ("output", [[3, 5]]), ("middle", [[0, 1]]), ("own", [[7, 0]])]
    )
    def test_the_upstream_gradient_is_that_of_its_loss(self, upstream, dy):
        figure = ConvolutionBothWays(
            picture=[[1, 2, 3], [0, 0, 0]], kernel=[[1, 1], [1, 1]], upstream=upstream, gradients=[[7]]
        )
        assert figure.passes().dy.tolist() == dy

    def test_whatever_is_too_large_for_the_rest_counts_as_its_limit(self):
        large = ConvolutionBothWays("max_pooling", window=2, padding=3, stride=1)
        right = ConvolutionBothWays("max_pooling", window=2, padding=1, stride=1)
        torch.testing.assert_close(large.passes(), right.passes())
        large = ConvolutionBothWays("transposed_convolution", output_padding=3)
        right = ConvolutionBothWays("transposed_convolution", output_padding=1)
        torch.testing.assert_close(large.passes(), right.passes())


class TestInTheBook:
    """Static mark-up where there is no kernel."""

    @pytest.fixture(autouse=True)
    def in_book(self, monkeypatch):
        monkeypatch.setenv("UNMAGIC_BOOK", "1")

    def test_a_page_gets_the_whole_state_and_no_widget(self):
        figure = ConvolutionBothWays(stride=2)
        data, _ = figure._repr_mimebundle_()
        assert figure.comm is None
        state = json.loads(html.unescape(re.search(r'data-state="([^"]*)"', data["text/html"])[1]))
        assert state == figure.public_state()
        assert (state["stride"], state["picture"]) == (2, PICTURES["digit"])

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_readers_without_scripts_get_a_still_with_words_for_it(self, operation):
        figure = ConvolutionBothWays(operation)
        markup = figure.markup()
        still = re.search(r"<noscript>(.*)</noscript>", markup, re.DOTALL)[1]
        alternative = re.search(r'alt="([^"]+)"', still)[1]
        assert alternative.startswith(OPERATIONS[operation].capitalize())
        assert ("∂L/∂w" in alternative) == (not operation.endswith("pooling"))
        pictures = re.findall(r"data:image/png;base64,([\w+/=]+)", still)
        dark, light = (np.asarray(Image.open(io.BytesIO(base64.b64decode(p))).convert("L")) for p in pictures)
        assert light.mean() > 180 > 80 > dark.mean()
        assert all(len(p) < 60_000 for p in pictures)

    def test_the_still_says_the_kernels_gradient(self):
        figure = ConvolutionBothWays(picture=[[1, 2], [3, 4]], kernel=[[1, 10]], upstream="ones")
        assert figure.still().alternative.endswith("and ∂L/∂w, row by row: 4, 6.")

    def test_without_an_output_there_is_a_still_of_the_picture_that_says_so(self):
        alternative = ConvolutionBothWays(picture=[[1, 2], [3, 4]]).still().alternative
        assert alternative == "A 2 × 2 picture, in numbers, for which convolution with these settings has no output."

    def test_the_still_is_the_same_each_time(self):
        assert ConvolutionBothWays().markup() == ConvolutionBothWays().markup()
