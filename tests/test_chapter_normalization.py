"""What the chapter on normalization claims, against oracles that share no code with it."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats
from sklearn.datasets import load_wine
from torch import nn

PAGE = "normalization/inside_the_network"  # of the fixtures `page`, `glued` and `names`


class TestData:
    def test_the_wines_are_standardised_by_the_training_wines_alone(self, names):
        rows = load_wine().data
        train = rows[names.train_rows]
        expected = (rows - train.mean(0)) / train.std(0)
        np.testing.assert_allclose(names.standard, expected, rtol=1e-5, atol=1e-6)
        assert not set(names.train_rows) & set(names.test_rows)

    def test_raw_wines_teach_nothing_and_standardised_wines_nearly_all(self, glued):
        assert glued["wine-raw"] <= glued["wine-common"] < 0.5
        assert glued["wine-standard"] > 0.9
        assert glued["wine-saturated"] > 0.99

    def test_a_delivery_standardised_by_itself_loses_its_grower(self, glued):
        assert glued["kept-right"] > 0.9 > 0.5 > glued["own-right"]

    def test_constant_pixels_are_those_with_one_value(self, names, glued):
        one_value = [len(np.unique(column)) == 1 for column in names.pixels.numpy().T]
        assert glued["constant-pixels"] == sum(one_value) > 0
        assert names.x_test.isfinite().all() and names.x_test.abs().max() <= 16


# E[f], E[f²] and E[f′²] of a standard normal input, the derivatives written out here
DERIVATIVES = {
    "sigmoid": (special.expit, lambda z: special.expit(z) * special.expit(-z)),
    "tanh": (np.tanh, lambda z: np.cosh(z) ** -2),
    "ReLU": (lambda z: np.maximum(z, 0), lambda z: float(z > 0)),
    "leaky ReLU": (lambda z: max(z, 0.01 * z), lambda z: 1.0 if z > 0 else 0.01),
    "ELU": (lambda z: z if z > 0 else np.expm1(z), lambda z: 1.0 if z > 0 else np.exp(z)),
    "GELU": (lambda z: z * stats.norm.cdf(z), lambda z: stats.norm.cdf(z) + z * stats.norm.pdf(z)),
    "SiLU": (lambda z: z * special.expit(z), lambda z: special.expit(z) * (1 + z * special.expit(-z))),
}


class TestActivations:
    @pytest.mark.parametrize("name", DERIVATIVES)
    def test_the_shelf_has_the_gaussian_integrals(self, names, name):
        f, slope = DERIVATIVES[name]
        expected = [
            integrate.quad(lambda z, g=g: g(z) * math.exp(-z * z / 2) / math.sqrt(2 * math.pi), -9, 9, points=[0])[0]
            for g in (f, lambda z: f(z) ** 2, lambda z: slope(z) ** 2)
        ]
        np.testing.assert_allclose(names.facts[name][:3], expected, atol=1e-4)

    def test_centred_outputs_condition_better(self, glued):
        assert glued["kappa-sigmoid"] > 5 * glued["kappa-tanh"]

    def test_raw_wines_leave_hardly_a_unit_that_bends(self, names):
        torch.manual_seed(0)
        sums = nn.Linear(13, 1000)(torch.tensor(load_wine().data).float()).detach().numpy()
        never, always = (sums <= 0).all(0).sum(), (sums > 0).all(0).sum()
        assert (never, always) == names.born["raw"]
        assert names.born["standardised"] == (0, 0)

    def test_a_unit_with_a_reachable_target_rests_where_tanh_is_the_target(self, names):
        assert names.one_weight(0.7, 1000)[0] == pytest.approx(math.atanh(0.7), rel=1e-9)
        loss = lambda w: (math.tanh(w) - 0.7) ** 2 / 2  # noqa: E731
        w1 = names.one_weight(0.7, 1)[0]
        slope = (loss(w1 + 1e-5) - loss(w1 - 1e-5)) / 2e-5
        assert names.one_weight(0.7, 2)[0] == pytest.approx(w1 - slope, rel=1e-6)
        creeping = [names.one_weight(1.0, steps)[0] for steps in (100, 1000, 10_000)]
        assert creeping == sorted(creeping) and creeping[2] - creeping[1] > 0.5


class TestSignals:
    def test_standard_weights_have_a_third(self, names):
        np.testing.assert_allclose(names.thirds, stats.uniform(-1, 2).var(), rtol=0.03)

    @pytest.mark.parametrize(("activation", "init"), [("tanh", "Xavier"), ("ReLU", "He")])
    def test_each_start_keeps_its_own_activation_alive(self, names, activation, init):
        gradients = {fill: names.chains[activation, fill][1] for fill in names.fills}
        ratio = {fill: float(g[0].std() / g[-1].std()) for fill, g in gradients.items()}
        assert ratio["standard"] < 0.01 < 0.2 < ratio[init] < 1.2

    def test_relu_layers_scale_gradients_by_half_of_n_var_w(self, names):
        """Backwards each layer multiplies the variance by n·Var(w)/2: by 1/6, 1/2 and 1."""
        for fill, factor in (("standard", 1 / 6), ("Xavier", 1 / 2), ("He", 1.0)):
            g = names.chains["ReLU", fill][1]
            assert float(g[0].var() / g[-1].var()) ** (1 / 9) == pytest.approx(factor, rel=0.05)

    def test_gradients_of_weights_stay_level_where_those_of_sums_vanish(self, names):
        by_sum, by_weight = names.ratios["tanh", "standard"]
        assert by_sum < 0.01 and 0.5 < by_weight < 2
        assert max(names.ratios["sigmoid", "standard"]) < 1e-6

    def test_a_weights_gradient_is_the_activation_below_times_the_sums_gradient(self, names):
        outputs, by_sum, by_weight = names.chains["tanh", "Xavier"]
        for layer in (1, 9):
            expected = outputs[layer - 1].numpy().astype(float).T @ by_sum[layer].numpy().astype(float)
            np.testing.assert_allclose(by_weight[layer], expected, rtol=1e-3, atol=1e-3)

    def test_only_a_start_near_hes_trains_ten_layers(self, glued):
        assert glued["plain-he"] < 0.2 < 0.8 < min(glued["plain-third"], glued["plain-four"])


def numeric_jacobian(f, x, h=1e-6):
    """Central differences, column by column: ∂f_i/∂x_j."""
    return np.stack([(f(x + h * e) - f(x - h * e)) / (2 * h) for e in np.eye(len(x))], axis=1)


def standardise(x, eps=0.0):
    return (x - x.mean()) / np.sqrt(x.var() + eps)


class TestBatchNormBackward:
    def test_the_four_numbers_have_the_gradient_of_finite_differences(self, names):
        expected = numeric_jacobian(standardise, np.array([0.0, 6.0, 8.0, 14.0]))[0]
        np.testing.assert_allclose([float(v) for v in names.exact["x"]], expected, atol=1e-9)
        assert names.exact["x"] == [Fraction(13, 250), Fraction(-8, 125), Fraction(-9, 250), Fraction(6, 125)]

    def test_each_stage_has_the_gradient_of_finite_differences(self, names):
        """The first output as a function of each number on the way, what comes before it held still."""
        d, h = np.array([-7.0, -1.0, 1.0, 7.0]), 1e-6
        stage = {
            "r": (lambda r: d[0] * r[0], [1 / 5]),
            "v": (lambda v: d[0] / np.sqrt(v[0]), [25.0]),
            "d": (lambda k: k[0] / np.sqrt((k**2).mean()), d),
            "mu": (lambda m: (0 - m[0]) / np.sqrt(((np.array([0.0, 6, 8, 14]) - m[0]) ** 2).mean()), [7.0]),
        }
        for name, (f, at) in stage.items():
            at = np.array(at, dtype=float)
            expected = [(f(at + h * e) - f(at - h * e)) / (2 * h) for e in np.eye(len(at))]
            np.testing.assert_allclose([float(v) for v in names.exact[name]], expected, rtol=1e-6, atol=1e-9)

    def test_the_compact_form_is_the_jacobian_of_finite_differences(self, names):
        expected = numeric_jacobian(lambda x: 1.7 * standardise(x, 1e-5) + 0.4, names.batch.numpy())
        np.testing.assert_allclose(names.ours, expected, atol=1e-8)

    def test_the_three_paths_add_up_and_a_missing_one_shows_in_the_sum(self, names):
        expected = numeric_jacobian(standardise, np.array([0.0, 6.0, 8.0, 14.0]))[0]
        np.testing.assert_allclose(names.straight + names.by_variance + names.by_mean, expected, atol=1e-9)
        assert abs(expected.sum()) < 1e-9 < 0.1 < float(names.no_mean_path)

    def test_shifts_stretches_biases_and_pairs_get_no_gradient(self, names, glued):
        hat = names.hat.double()
        for direction in (torch.ones(12).double(), hat):
            assert float((names.theirs @ direction).norm() / direction.norm()) < 1e-4  # ϵ is 10⁻⁵, not 0
        assert glued["kept-directions"] == glued["all-directions"] - 2
        assert max(glued["bias-gradient"], glued["weight-cosine"], glued["pair-gradient"]) < 1e-12
        assert glued["halving"] == pytest.approx(0.5)

    def test_weights_before_a_norm_only_grow(self, names):
        assert (np.diff(names.lengths) > 0).all()


class TestBatchNormForward:
    def test_shape_and_number_of_values_stay(self, names, glued):
        for name, before in names.shapes_before.items():
            np.testing.assert_allclose(stats.skew(before), stats.skew(names.shapes_after[name]), rtol=1e-3)
        assert glued["two-values"] == 2

    def test_the_batch_divides_by_n_and_what_is_kept_by_one_less(self, glued):
        four = np.array([0.0, 6.0, 8.0, 14.0])
        assert glued["used-variance"] == np.var(four) and glued["kept-variance"] == pytest.approx(np.var(four, ddof=1))
        assert (glued["biased"], glued["unbiased"]) == pytest.approx((3 / 4, 1), abs=0.01)
        assert glued["still-initial"] == pytest.approx(0.9**10, rel=1e-4)

    def test_company_decides_in_training_mode_and_not_in_evaluation(self, names, glued):
        together = names.normed(names.x_test).argmax(1)
        alone = torch.cat([names.normed(x[None]).argmax(1) for x in names.x_test])
        assert (together == alone).all() and glued["depends"] > 0.3

    def test_statistics_of_the_test_set_mend_the_light_and_break_on_one_class(self, glued):
        assert glued["dim-own"] == pytest.approx(glued["whole-own"], abs=0.01) and glued["dim-eval"] > 0.5
        assert glued["class-own"] > 0.5 > 0.1 > glued["whole-own"]

    def test_it_widens_the_gate_and_lets_gradients_grow_as_the_theory_says(self, glued):
        assert glued["usable-norm"] >= glued["usable-plain"] + 3
        assert glued["explode-factor"] == pytest.approx(math.sqrt(math.pi / (math.pi - 1)), rel=0.03)
        assert 0.3 < glued["he-50"] < 3


class TestOtherAxes:
    @pytest.mark.parametrize(
        ("name", "axes"),
        [("batch norm", "NHW"), ("layer norm", "CHW"), ("instance norm", "HW"), ("group norm, 2 groups", "gHW")],
    )
    def test_the_picture_marks_the_axes_of_the_definition(self, names, name, axes):
        expected = torch.zeros(4, 6, 3, 3, dtype=torch.bool)
        images = slice(None) if "N" in axes else slice(1, 2)
        channels = slice(None) if "C" in axes else slice(0, 3) if "g" in axes else slice(1, 2)
        expected[images, channels] = True
        assert (names.reach[name] == expected).all()

    def test_two_images_break_batch_norm_and_not_group_norm(self, names):
        assert min(names.split_errors[2]) > 0.3 > 0.1 > max(names.group_errors)
        assert max(names.split_errors[32]) < 0.1

    def test_split_batch_norm_is_torchs_on_each_part(self, names):
        x = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(0))
        expected = torch.cat([nn.BatchNorm2d(3)(part) for part in x.split(2)])
        torch.testing.assert_close(names.SplitBatchNorm(3, 2)(x), expected)

    def test_instance_norm_paints_best_and_cannot_see_brightness(self, glued):
        assert glued["picture-instance"] < 0.1 < 0.2 < glued["picture-batch"]
        assert glued["brightness-instance"] > 0.9 > 0.1 > glued["brightness-batch"]

    def test_local_response_norm_is_the_papers_sum_over_channels(self, names, glued):
        a = names.activity.numpy()[0, :, 0, 0]
        theirs = torch.nn.functional.local_response_norm(names.activity, 5, 5e-4, 0.75, 2.0)[0, :, 0, 0]
        loud = [sum(a[j] ** 2 for j in range(max(0, i - 2), min(7, i + 2) + 1)) for i in range(8)]
        np.testing.assert_allclose(theirs, a / (2 + 1e-4 * np.array(loud)) ** 0.75, rtol=1e-12)
        assert glued["lrn-right"] < 1e-12
        half = (2 + 1e-4 * 5 * glued["lrn-half-at"] ** 2) ** -0.75
        assert half == pytest.approx(glued["lrn-quiet"] / 2)


class TestCapacityAndDropout:
    def test_bias_and_variance_add_up_to_the_test_error(self, names):
        total = np.add(names.curves["bias²"], names.curves["variance"])
        np.testing.assert_allclose(names.curves["test"], total, rtol=1e-9)

    def test_the_error_peaks_where_units_equal_images_and_falls_again(self, names):
        tested = dict(zip(names.widths, names.curves["test"], strict=True))
        assert max(tested, key=tested.get) == names.n_few
        assert names.at[3000] < names.at[names.first_best] < names.at[names.n_few]

    def test_wide_nets_fit_their_data_exactly(self, names):
        trained = dict(zip(names.widths, names.curves["train"], strict=True))
        assert all((trained[w] < 1e-9) == (w >= names.n_few) for w in names.widths)

    def test_every_thinned_net_together_are_the_whole_one(self, names):
        """The geometric mean over all masks, mask by mask in numpy."""
        x, W, q = names.x_units.numpy(), names.W_top.numpy(), names.q
        total = np.zeros(3)
        for mask in names.masks.numpy():
            scores = (mask * x) @ W
            weight = np.prod(np.where(mask > 0, q, 1 - q))
            total += weight * (scores - np.log(np.exp(scores).sum()))
        mean = np.exp(total) / np.exp(total).sum()
        np.testing.assert_allclose(names.whole_net, mean, atol=1e-13)

    def test_the_variance_shift_is_that_of_a_kept_unit_scaled_up(self, names):
        """Var(x′) by the two outcomes: x/q with probability q, else 0; the moments of a ReLU by scipy."""
        relu = stats.norm.expect(lambda z: z, lb=0), stats.norm.expect(lambda z: z * z, lb=0)
        for p, (zero_mean, measured_zero, formula, measured_relu) in names.shift_table.items():
            q = 1 - p
            mean, square = q * relu[0] / q, q * relu[1] / q**2
            expected = (square - mean**2) / (relu[1] - relu[0] ** 2)
            assert zero_mean == pytest.approx(1 / q) and formula == pytest.approx(expected)
            assert (measured_zero, measured_relu) == pytest.approx((1 / q, expected), rel=0.02)
        assert round(names.shift_table[0.5][2], 2) == 2.47

    def test_the_shift_is_there_in_trained_nets_and_both_cures_end_it(self, names):
        ratio = {kind: found[0] for kind, found in names.by_kind.items()}
        assert ratio["p = 0.5, directly before"] == pytest.approx([2.47] * 5, rel=0.25)
        assert (np.diff(ratio["p = 0.7, directly before"]) > 0).all()
        for cured in ("none", "p = 0.7, after the last", "uniform, directly before"):
            np.testing.assert_allclose(ratio[cured], 1, atol=0.15)
        wrong = {kind: found[1] for kind, found in names.by_kind.items()}
        assert wrong["p = 0.7, directly before"] > 0.3 > 0.1 > wrong["p = 0.7, after the last"]

    def test_uniform_noise_has_the_variance_of_its_formula(self, names):
        torch.manual_seed(0)
        noise = names.UniformNoise(math.sqrt(3)).train()(torch.ones(400_000))
        assert float(noise.var()) == pytest.approx(stats.uniform(-math.sqrt(3), 2 * math.sqrt(3)).var(), rel=0.01)
        assert (names.UniformNoise(1.0).eval()(torch.ones(5)) == 1).all()
