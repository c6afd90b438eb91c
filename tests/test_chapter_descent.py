"""What the chapter on batch and stochastic descent claims, against oracles that share no code with it."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import quad
from scipy.linalg import solve_continuous_lyapunov
from sklearn.covariance import EmpiricalCovariance

PAGE = "descent/batch_vs_stochastic"  # of the fixtures `page`, `glued` and `names`


def gradient_by_hand(w, x, t):
    """Each point's gradient of the three-weight unit by the chain rule, in numpy: (n, 3)."""
    w, x, t = (np.asarray(a, dtype=float) for a in (w, x, t))
    y = np.tanh(x @ w[:2] + w[2])
    return ((y - t) * (1 - y**2))[:, None] * np.column_stack([x, np.ones(len(x))])


def hessian_by_hand(w, x, t, h=1e-5):
    """Central differences of the gradient by hand: (3, 3)."""
    rows = [
        (gradient_by_hand(w + h * e, x, t) - gradient_by_hand(w - h * e, x, t)).mean(0) / (2 * h) for e in np.eye(3)
    ]
    return np.array(rows)


class TestOneUnit:
    def test_the_gradient_is_the_chain_rules(self, names):
        g = names.grad_J(names.start, names.x, names.t)
        np.testing.assert_allclose(g, gradient_by_hand(names.start, names.x, names.t).mean(0), rtol=1e-12)

    def test_its_best_weights_are_a_minimum(self, names):
        assert np.abs(gradient_by_hand(names.best, names.x, names.t).mean(0)).max() < 1e-8
        assert np.linalg.eigvalsh(hessian_by_hand(names.best.numpy(), names.x, names.t)).min() > 0

    def test_a_unit_that_answers_zero_loses_half_the_squared_target(self, glued):
        assert glued["J-zero"] == pytest.approx(0.7**2 / 2)


class TestBatchAgainstStochastic:
    def test_an_epoch_counts_the_same_operations_for_every_batch_size(self, glued, names):
        forward = 2 * (64 * 32 + 32 * 10)  # operations a point: two a multiply–add
        backward = 2 * (64 * 32) + 2 * 2 * (32 * 10)  # by weights; by inputs too, except those of the first layer
        assert names.operations(1) == names.operations(names.n) == names.n * (forward + backward)

    def test_stochastic_descent_is_lower_after_one_epoch_than_batch_after_ten(self, names, glued):
        best_of_ten = min(float(curve[:11].min()) for curve in names.batch_losses.values())
        assert glued["sgd-1"] < best_of_ten

    def test_copies_of_the_data_do_not_change_batch_and_speed_stochastic_up_in_proportion(self, names):
        assert len(set(names.batch_epochs)) == 1
        np.testing.assert_allclose(names.sgd_mean * names.copies, names.sgd_mean[0], rtol=0.1)
        assert names.sgd_mean[0] > names.batch_epochs[0]  # without redundancy batch wins
        assert names.sgd_mean[-1] < 1  # with enough of it less than one epoch will do


class TestNoise:
    def test_the_hovering_height_solves_the_lyapunov_equation(self, names):
        """HS + SH = εC gives the cloud's covariance S, and ½ tr(HS) its height."""
        each = gradient_by_hand(names.best, names.x, names.t)
        H, C = hessian_by_hand(names.best.numpy(), names.x, names.t), each.T @ each / len(each)
        for rate, measured, theory in zip(names.hover_rates, names.heights, names.theory, strict=True):
            height = np.trace(H @ solve_continuous_lyapunov(H, rate * C)) / 2
            assert theory == pytest.approx(height, rel=1e-4)
            assert measured == pytest.approx(height, rel=0.2 if rate > 0.03 else 0.06)

    def test_escapes_take_the_mean_first_passage_time_of_brownian_motion(self, names):
        deep, shallow = names.deep, names.shallow
        for rate in (0.05, 0.07):  # where all arrive, and steps are still short
            T = rate / 2
            inner = lambda y, T=T: quad(lambda z: math.exp(-names.double_well(z) / T), y, 3)[0]  # noqa: E731
            passage = quad(lambda y, T=T, f=inner: math.exp(names.double_well(y) / T) * f(y), deep, shallow)[0] / T
            arrived = names.arrivals[rate]
            steps = float(arrived.sum() / (arrived < 15_000).sum())  # as exponential waiting times, some cut off
            assert rate * steps == pytest.approx(passage, rel=0.2)

    def test_nobody_escapes_without_noise(self, names):
        assert (names.still == 15_000).all()

    def test_an_epoch_shows_every_point_once(self, names):
        shown = [i for batch in names.epoch(103, 10, torch.Generator().manual_seed(3)) for i in batch]
        assert sorted(shown) == list(range(103))

    def test_the_variance_formula_is_exact_over_all_batches(self, names):
        """All 20 batches of 3 from 6 points, none left out."""
        points = np.random.default_rng(0).normal(size=(6, 2))
        means = np.array([points[list(batch)].mean(0) for batch in itertools.combinations(range(6), 3)])
        exact = ((means - points.mean(0)) ** 2).sum(1).mean()
        assert names.variance(points.var(0).sum(), 6, 3) == pytest.approx(exact)

    def test_minibatch_gradients_scatter_as_the_formula_says(self, names):
        each = gradient_by_hand(names.start, names.x, names.t)
        sigma2, n = each.var(0).sum(), len(each)
        for B, measured, replaced in zip(names.B_values, names.without, names.with_replacement, strict=True):
            assert measured == pytest.approx(sigma2 / B * (n - B) / (n - 1), rel=0.1, abs=1e-25)
            assert replaced == pytest.approx(sigma2 / B, rel=0.1)


class TestLargeBatches:
    def test_warm_up_starts_low_and_ends_at_the_scaled_rate(self, names):
        rates = [names.warm_up(step) for step in range(names.warm_steps + 2)]
        assert names.small_rate < rates[0] < 2.1 * names.large_rate / names.warm_steps
        np.testing.assert_allclose(np.diff(rates[: names.warm_steps]), rates[1] - rates[0])
        assert rates[names.warm_steps - 1] == rates[-1] == pytest.approx(32 * names.small_rate)

    def test_the_scaled_rate_with_warm_up_comes_closest_to_the_small_batch(self, glued):
        small, same, scaled, warm = (glued[f"end-{key}"] for key in ("small", "same", "scaled", "warm"))
        assert abs(warm - small) < 0.5 * abs(scaled - small) < 0.5 * abs(same - small)

    def test_warm_up_ends_in_a_flatter_place(self, names):
        assert (names.after_warm_up < names.at_start).all()


def full_hessian(names, params, X, y):
    """All second derivatives of one small net's loss, built whole: (P, P)."""
    shapes = [p.shape for p in params]
    flat = torch.cat([p.detach().double().flatten() for p in params])

    def loss(v):
        parts = v.split([shape.numel() for shape in shapes])
        W1, b1, W2, b2 = (part.view(shape)[0] for part, shape in zip(parts, shapes, strict=True))
        return torch.nn.functional.cross_entropy((X[0].double() @ W1 + b1).clamp(min=0) @ W2 + b2, y[0])

    return torch.func.hessian(loss)(flat)


class TestSharpness:
    @pytest.fixture
    def small(self, names):
        X, y, *_ = names.split(60)
        return [p[:1].detach().cpu().double() for p in names.new_nets(3, scale=2.0)], X[:1].cpu(), y[:1].cpu()

    def test_it_is_the_largest_eigenvalue_of_the_whole_hessian(self, names, small):
        params, X, y = small
        largest = torch.linalg.eigvalsh(full_hessian(names, params, X, y))[-1]
        assert names.sharpness(params, X, y, 0) == pytest.approx(float(largest), rel=1e-3)

    def test_rescaling_two_layers_changes_it_and_not_the_function(self, names, small):
        params, X, y = small
        other = names.rescaled(params, 0.1)
        torch.testing.assert_close(
            names.scores(other, X.double()), names.scores(params, X.double()), rtol=1e-12, atol=1e-12
        )
        largest = torch.linalg.eigvalsh(full_hessian(names, other, X, y))[-1]
        assert names.sharpness(other, X, y, 0) == pytest.approx(float(largest), rel=1e-3)
        assert float(largest) > 10 * names.sharpness(params, X, y, 0)

    def test_nets_are_compared_at_the_same_training_loss(self, names):
        for (wrong, _), (_, _, params) in names.found.items():
            X, y, *_ = names.split(200, wrong)
            goal = {0.0: 0.02, 0.2: 0.1}[wrong]
            losses = names.net_loss(params, X, y)
            assert ((losses < goal) & (losses > goal / 2)).all()

    def test_the_interval_is_students(self, names):
        a, b = np.random.default_rng(0).normal(size=(2, 5))
        middle, half = names.interval(a - b)
        expected = stats.ttest_rel(a, b).confidence_interval(0.95)
        assert (middle - half, middle + half) == pytest.approx((expected.low, expected.high))

    def test_what_the_prose_says_of_flat_minima_is_what_was_measured(self, names, glued):
        for wrong in (0.0, 0.2):
            assert (names.found[wrong, 5][0] < names.found[wrong, 200][0]).all()
        assert glued["gain-low-clean"] < 0 < glued["gain-high-clean"]
        assert glued["gain-low-noisy"] > 0


class TestConditioning:
    def test_curvatures_are_those_of_finite_differences(self, names):
        expected = np.linalg.eigvalsh(hessian_by_hand(names.best.numpy(), names.x, names.t))
        np.testing.assert_allclose(names.curvatures, expected, rtol=1e-6)

    def test_just_below_the_limit_shrinks_and_just_above_grows_as_one_minus_rate_times_curvature(self, names):
        for factor, tolerance in ((0.97, 0.05), (1.03, 0.2)):  # above, the tanh begins to bend
            predicted = abs(1 - factor * 2) ** 60
            measured = float(names.away[factor][-1] / names.away[factor][0])
            assert measured == pytest.approx(predicted, rel=tolerance)

    def test_the_best_rate_has_the_factor_of_the_formula(self, names):
        for kappa, measured in zip(names.kappas, names.measured, strict=True):
            rates = np.linspace(0.01, 2.5, 100_001) / kappa
            worst_direction = np.maximum(abs(1 - rates), abs(1 - rates * kappa))
            assert measured == pytest.approx(worst_direction.min(), rel=1e-4)

    def test_the_second_moment_is_covariance_plus_the_means_outer_product(self, names):
        tilde = np.column_stack([names.skewed, np.ones(len(names.skewed))])
        second = EmpiricalCovariance(assume_centered=True).fit(tilde).covariance_
        covariance, mean = EmpiricalCovariance().fit(tilde).covariance_, tilde.mean(0)
        np.testing.assert_allclose(names.second_moment(names.skewed), second)
        np.testing.assert_allclose(second, covariance + np.outer(mean, mean))

    def test_each_treatment_of_the_data_conditions_better_than_the_one_before(self, names):
        kappas = [names.kappa[stage] for stage in ("raw", "centred", "scaled", "whitened")]
        assert kappas == sorted(kappas, reverse=True)
        assert kappas[-1] == pytest.approx(1, abs=0.01)

    def test_whitening_costs_two_matrix_products(self, names):
        assert names.whitening_products(1000, 50) == 2 * 1000 * 50**2
