"""What the chapter on convolution and pooling claims, against oracles that share no code with it."""

import itertools
import math

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from scipy import signal, stats
from scipy.linalg import toeplitz

PAGE = "cnn_backprop/convolution_and_pooling"  # of the fixtures `page`, `glued` and `names`


def windows_of(image, size, stride):
    """Every window of an image, by numpy: (rows, columns, size²)."""
    windows = sliding_window_view(np.asarray(image), (size, size))[::stride, ::stride]
    return windows.reshape(*windows.shape[:2], -1)


class TestWhyNotConnectEverything:
    def test_two_hundred_pixels_square_fully_connected_are_1_6_billion_weights(self, glued):
        assert glued["full-billion"] == 200**4 / 1e9 == 1.6

    def test_a_convolution_is_a_toeplitz_matrix(self, names):
        first_row = np.r_[names.filter_of_3, np.zeros(9)]
        np.testing.assert_array_equal(names.sharing, toeplitz(np.r_[2.0, np.zeros(9)], first_row))

    def test_weights_multiply_as_the_exponent_says_when_the_side_doubles(self, glued):
        grown = [glued[f"doubled-{key}"] for key in ("full", "tenth", "1000", "local", "conv")]
        assert grown == [2**4, 2**4, 2**2, 2**2, 2**0]


class TestExamplesNeeded:
    """Least squares with n independent Gaussian examples of p features and noise 1: E[error²] is known exactly."""

    def test_the_full_layers_error_is_the_exact_one_before_and_after_its_peak(self, names):
        for n, measured in zip(names.n_values, names.full_error, strict=True):
            if n < 240:  # the shortest of all exact fits: bias 1 − n/d and variance n/(d − n − 1)
                assert measured**2 == pytest.approx(1 - n / 256 + n / (256 - n - 1), rel=0.15)
            if n > 300:
                assert measured**2 == pytest.approx(256 / (n - 256 - 1), rel=0.15)

    def test_the_convolutions_error_is_that_of_eight_weights(self, names):
        for n, measured in zip(names.n_values, names.conv_error, strict=True):
            spread = math.sqrt(2 / (8 * 20))  # of a mean of 20 chi-squares with 8 degrees of freedom
            assert measured**2 == pytest.approx(8 / (n - 8 - 1), rel=4 * spread)

    def test_both_slopes_and_their_distance_are_what_the_paper_predicts(self, glued):
        assert glued["slope-conv"] == pytest.approx(-0.5, abs=0.05)
        assert glued["slope-full"] == pytest.approx(-0.5, abs=0.1)
        assert glued["ratio-measured"] == pytest.approx(math.sqrt(256 / 8), rel=0.15)

    def test_more_examples_make_the_full_layer_worse_than_no_answer_at_first(self, glued):
        assert 1 < glued["full-128"] < 10 < glued["full-256"]

    def test_no_number_of_examples_helps_a_convolution_where_nothing_is_shared(self, names):
        w = names.unshared_world.view(32, 8)
        floor = (w - w.mean(0)).square().sum().sqrt()  # the best 8 shared weights are the mean
        assert names.wrong_error[-1] == pytest.approx(float(floor), rel=0.01)

    def test_shuffled_pixels_cost_the_convolution_its_lead_and_the_full_layer_nothing(self, names, glued):
        assert glued["lead-plain"] > glued["lead-plain-half"]
        assert glued["lead-shuffled"] < -glued["lead-shuffled-half"]
        full = [names.reached["fully_connected", name] for name in ("plain", "shuffled")]
        assert abs(full[0].mean() - full[1].mean()) < 1

    def test_the_interval_is_students(self, names):
        a, b = np.random.default_rng(0).normal(size=(2, 5))
        middle, half = names.interval(a - b)
        expected = stats.ttest_rel(a, b).confidence_interval(0.95)
        assert (middle - half, middle + half) == pytest.approx((expected.low, expected.high))


class TestSizes:
    def test_sizes_and_unseen_inputs_are_those_of_windows_laid_one_by_one(self, names):
        for name, (W, size, S, P) in names.cases.items():
            starts = [start for start in range(-P, W + P, S) if start + size <= W + P]
            seen = {place for start in starts for place in range(start, start + size)}
            assert names.sizes[name] == len(starts)
            assert names.unseen[name] == len(set(range(W)) - seen)

    def test_alexnet_tiles_from_227_and_not_from_224(self, names, glued):
        assert names.sizes["AlexNet's, as meant"] == 55
        assert (glued["alex-exact"], glued["alex-padded"]) == (54.25, 55.25)
        assert glued["alex-unseen"] == 1


class TestGradients:
    def test_the_worked_example_is_numpys_correlation_and_full_convolution(self, names):
        a, w, g = [1, 5, 2, 0, 3], [2, -1, 1], [1, 2, -1]
        assert names.by_weights == np.correlate(a, g).tolist()
        assert names.by_inputs == signal.convolve(g, w, mode="full").tolist()

    def test_one_picture_one_channel_at_a_time_is_scipys(self, names):
        """The input's gradient: scipy's true convolution of the spread gradient, padding and leftovers cut."""
        for n, c in itertools.product(range(2), range(3)):
            whole = np.zeros((9, 9))  # 7 + 2P rows; 6 + 2P columns and one that no window reached
            for k in range(4):
                spread = np.zeros((7, 5))
                spread[::2, ::2] = names.g[n, k]
                part = signal.convolve2d(spread, names.filters[k, c].detach(), mode="full")
                whole[: part.shape[0], : part.shape[1]] += part
            np.testing.assert_allclose(whole[1:8, 1:7], names.wanted_a[n, c], atol=1e-12)

    def test_pixels_are_used_by_as_many_windows_as_cover_them(self, names):
        for name, (size, S) in {
            "3 × 3, stride 1": (3, 1),
            "3 × 3, stride 2": (3, 2),
            "1 × 1, stride 2": (1, 2),
        }.items():
            counts = np.zeros((9, 9))
            for y, x in itertools.product(range(0, 9 - size + 1, S), repeat=2):
                counts[y : y + size, x : x + size] += 1
            np.testing.assert_array_equal(names.used[name], counts)

    def test_columns_are_the_patches(self, names):
        patches = windows_of(np.arange(1, 17).reshape(4, 4), 3, 1).reshape(4, 9)
        np.testing.assert_array_equal(names.cols[0].T, patches)

    def test_the_same_product_is_computed_patch_by_patch_and_at_once(self, names):
        expected = signal.correlate2d(names.picture, names.one_filter, mode="valid")
        np.testing.assert_allclose(names.at_once[0].view(62, 62), expected, atol=1e-4)


class TestPooling:
    def test_an_input_wins_as_often_as_it_is_the_largest_of_a_window(self, names, glued):
        maps = names.maps[0, 0].numpy()
        places = np.arange(maps.size).reshape(maps.shape)
        winner = windows_of(maps, 3, 2).argmax(-1)
        where = np.take_along_axis(windows_of(places, 3, 2), winner[..., None], -1)
        wins = np.bincount(where.ravel(), minlength=maps.size)
        np.testing.assert_array_equal(names.wins, wins)
        assert glued["wins-most"] == wins.max() == 4

    def test_a_third_of_a_photos_windows_are_ties(self, names, glued):
        ordered = np.sort(windows_of(names.china[..., 1], 2, 2), axis=-1)
        assert glued["ties-photo"] == pytest.approx((ordered[..., -1] == ordered[..., -2]).mean())
        assert 0.25 < glued["ties-photo"] < 0.4

    def test_ties_after_relu_are_windows_of_zeros(self, glued):
        assert glued["ties-relu-zero"] <= glued["ties-relu"] < glued["ties-relu-zero"] + 0.01

    def test_max_pooling_gives_all_to_the_first_and_other_maxima_share(self, names):
        assert names.ties == {"max_pool1d": [1, 0], "amax": [0.5, 0.5], "max(dim)": [1, 0], "maximum": [0.5, 0.5]}

    def test_gradients_of_all_kinds_are_those_of_differences(self, names):
        for name, pool in names.kinds.items():
            window, steps = names.window.double(), 1e-6 * torch.eye(3, dtype=torch.float64)
            if name == "weighted by distance":
                expected = [0.25, 0.5, 0.25]
            else:
                expected = [(pool(window + e) - pool(window - e)).item() / 2e-6 for e in steps]
            assert names.shares[name].tolist() == pytest.approx(expected, abs=1e-6)


class TestShifts:
    def test_a_zero_border_breaks_one_more_column_on_each_side_with_every_layer(self, names):
        expected = [[min(column, 30 - column) < depth for column in range(31)] for depth in range(1, 16)]
        assert names.touched.tolist() == expected

    def test_wrapped_borders_and_even_shifts_are_exact_and_odd_ones_are_not(self, glued):
        assert max(glued["equi-wrapped"], glued["equi-even"]) < 1e-12
        assert min(glued["equi-odd"], glued["equi-pool-odd"]) > 0.1

    def test_a_third_of_all_orders_of_six_pixels_leave_a_maximum_of_four_as_it_was(self, names):
        """Pixels 0–3 are the window before the shift, 2–5 the window after."""
        orders = list(itertools.permutations(range(6)))
        unchanged = sum(max(order[:4]) == max(order[2:]) for order in orders) / len(orders)
        assert unchanged == pytest.approx(1 / 3)
        assert names.stay[2] == pytest.approx(unchanged, abs=0.01)

    def test_only_global_pooling_is_invariant(self, names):
        for name, ((noise_share, _), (photo_share, _)) in names.moved.items():
            assert (noise_share == photo_share == 0) == (name == "global average")

    def test_uncorrelated_neighbours_differ_by_the_root_of_two(self, names):
        assert names.moved["every second pixel"][0][1] == pytest.approx(math.sqrt(2), rel=0.01)
        assert names.moved["average 2 × 2"][0][1] == pytest.approx(1, rel=0.01)  # half the pixels stay


class TestVisualCortex:
    def test_gabor_filters_are_the_formulas(self, names):
        for angle, phase in itertools.product((0.0, 0.4, 2.0), (0.0, math.pi / 2)):
            y, x = np.mgrid[-10:11, -10:11]
            z = x * np.cos(angle) + y * np.sin(angle)
            formula = np.exp(-(x**2 + y**2) / 18) * np.cos(2 * np.pi * z / 8 + phase)
            ours = names.gabor(angle, phase).numpy()
            assert np.corrcoef(formula.ravel(), ours.ravel())[0, 1] > 0.99
            assert abs(ours.sum()) < 1e-5

    def test_answers_are_scipys_correlations(self, names):
        picture = names.photo[0, 0].cpu()
        expected = signal.correlate2d(picture[:60, :60], names.odd_cells[4], mode="valid")
        np.testing.assert_allclose(names.quarter[0, 4, :40, :40].cpu(), expected, atol=1e-4)

    def test_the_complex_cell_is_the_more_tolerant_at_every_small_shift(self, names, glued):
        assert all(c > s for c, s in zip(names.alike["complex"][1:6], names.alike["simple"][1:6], strict=True))
        assert glued["alike-simple"] < 0 < glued["alike-complex"]
        assert glued["ripple"] < 0.05

    def test_the_strongest_orientation_survives_a_quarter_turn_and_one_orientation_does_not(self, glued):
        assert glued["turn-all"] < 1e-5 < 0.1 < glued["turn-one"]


class TestGradientCheck:
    def test_differences_converge_in_the_order_of_their_formula(self, names):
        """Where the step is long, ten times shorter is 100 times (central) and 10 times (one-sided) better."""
        at = {round(math.log10(h), 1): i for i, h in enumerate(names.h_values.tolist())}
        central, one_sided = names.check["central, float64"], names.check["one-sided, float64"]
        assert central[at[-2.0]] / central[at[-3.0]] == pytest.approx(100, rel=0.1)
        assert one_sided[at[-3.0]] / one_sided[at[-4.0]] == pytest.approx(10, rel=0.1)

    def test_float64_sees_what_float32_cannot(self, glued):
        assert glued["best64"] < 1e-9 < 1e-5 < glued["best32"]

    def test_the_bug_is_found_unless_the_filter_is_symmetric(self, glued):
        assert max(glued["bug-right"], glued["bug-hidden"]) < 1e-7
        assert glued["bug-found"] > 0.5

    def test_torchs_own_check_agrees_on_the_bug(self, names):
        class Planted(torch.autograd.Function):
            @staticmethod
            def forward(ctx, a, turned):
                ctx.turned = turned
                return torch.nn.functional.conv1d(a[None, None], names.w[None, None])[0, 0]

            @staticmethod
            def backward(ctx, g):
                return names.input_gradient(g, names.w, ctx.turned), None

        a = names.x.clone().requires_grad_()
        assert torch.autograd.gradcheck(lambda a: Planted.apply(a, True), a)
        assert not torch.autograd.gradcheck(lambda a: Planted.apply(a, False), a, raise_exception=False)

    def test_a_near_tie_looks_like_a_bug_of_one_half(self, glued):
        assert glued["kink"] == pytest.approx(0.5, abs=0.02)
