"""The lab `descent`: its solutions against independent oracles, and what holds for this lab alone."""

import unmagic  # noqa: F401  (before torchvision)

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from autograder.audit.variants import model_answers
from autograder.examiner import examine
from autograder.labs import load_lab
from autograder.labs.names import names_of

LAB = load_lab("descent")  # of the fixture `lab`


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class TestUnit:
    """Exercises 1 and 2."""

    def test_the_loss_is_half_of_torchs_mean_squared_error(self, lab):
        X, t = lab.two_clouds(30, seeded(1))
        w = torch.tensor([0.4, -0.3, 0.2])
        y = torch.nn.functional.linear(X, w[None, :2], w[2:]).tanh().squeeze(1)
        torch.testing.assert_close(lab.unit_loss(w, X, t), torch.nn.functional.mse_loss(y, t) / 2)

    def test_the_gradient_is_autograds(self, lab):
        X, t = lab.two_clouds(30, seeded(1))
        for w in torch.randn(5, 3, generator=seeded(2)):
            torch.testing.assert_close(lab.unit_gradient(w, X, t), torch.func.grad(lab.unit_loss)(w, X, t))

    def test_the_gradient_is_that_of_central_differences_in_float64(self, lab):
        X, t = (v.double() for v in lab.two_clouds(30, seeded(1)))
        w, step = torch.tensor([0.4, -0.3, 0.2], dtype=torch.float64), 1e-6
        slopes = [
            (lab.unit_loss(w + step * e, X, t) - lab.unit_loss(w - step * e, X, t)) / (2 * step)
            for e in torch.eye(3, dtype=torch.float64)
        ]
        torch.testing.assert_close(lab.unit_gradient(w, X, t), torch.stack(slopes), rtol=1e-7, atol=1e-9)


class TestMinibatches:
    """Exercise 3."""

    @settings(deadline=None, max_examples=50)
    @given(n=st.integers(1, 60), batch_size=st.integers(1, 70), epochs=st.integers(1, 4), seed=st.integers(0, 2**31))
    def test_an_epoch_shows_every_point_once_in_full_batches_and_one_short_one(self, lab, n, batch_size, epochs, seed):
        schedule = lab.minibatches(n, batch_size, epochs, seeded(seed))
        assert len(schedule) == epochs
        for epoch in schedule:
            assert torch.cat(epoch).sort().values.tolist() == list(range(n))
            assert all(len(batch) == batch_size for batch in epoch[:-1])
            assert len(epoch[-1]) == (n % batch_size or batch_size)

    def test_every_point_comes_first_equally_often(self, lab):
        first = torch.stack([epoch[0] for epoch in lab.minibatches(5, 1, 5000, seeded(3))])
        counts = first.flatten().bincount(minlength=5)
        # chi-squared with 4 degrees of freedom stays below 18.5 in 999 of 1000 runs
        assert float(((counts - 1000.0) ** 2 / 1000).sum()) < 18.5


class TestSteps:
    """Exercises 4 and 9, against torch.optim."""

    def test_the_path_is_that_of_torch_optim_sgd(self, lab):
        X, t = lab.two_clouds(20, seeded(4))
        batches = lab.minibatches(20, 3, 4, seeded(5))
        batches = [batch for epoch in batches for batch in epoch]
        w = torch.nn.Parameter(torch.tensor([0.1, -0.2, 0.3]))
        optimizer = torch.optim.SGD([w], lr=0.3)
        wanted = [w.detach().clone()]
        for batch in batches:
            optimizer.zero_grad()
            lab.unit_loss(w, X[batch], t[batch]).backward()
            optimizer.step()
            wanted.append(w.detach().clone())
        path = lab.sgd_path(lab.unit_gradient, wanted[0], X, t, batches, 0.3)
        torch.testing.assert_close(path, torch.stack(wanted))

    def test_momentum_goes_where_torch_optim_goes(self, lab):
        w = torch.tensor([3.0, 1.0])
        delta = -0.01 * lab.valley_gradient(w)
        theirs = torch.nn.Parameter(w.clone())
        optimizer = torch.optim.SGD([theirs], lr=0.01, momentum=0.9)
        for _ in range(40):
            theirs.grad = lab.valley_gradient(theirs.detach())
            optimizer.step()
            w, delta = lab.momentum_step(w, delta, lab.valley_gradient, 0.01, 0.9)
            torch.testing.assert_close(w, theirs.detach(), rtol=1e-4, atol=1e-5)

    def test_the_scaled_rate_is_torchs_linear_scheduler_step_by_step(self, lab):
        w = torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([w], lr=0.1 * 8)
        scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1 / 8, total_iters=15)
        for step in range(25):
            assert lab.scaled_rate(step, 0.1, 32, 256, 5, 3) == pytest.approx(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()

    def test_the_scaled_rate_gives_the_papers_numbers(self, lab):
        """Goyal et al. 2017: 0.1 for 256 images, 3.2 for 8,192 after five epochs."""
        paper = dict(base_rate=0.1, base_batch=256, batch=8192, steps_per_epoch=156, warmup_epochs=5)
        assert lab.scaled_rate(0, **paper) == pytest.approx(0.1)
        assert lab.scaled_rate(5 * 156, **paper) == pytest.approx(3.2)


class TestCurvature:
    """Exercises 5 and 6."""

    def test_the_linear_units_hessian_is_autograds_and_covariance_plus_mean_mean(self, lab):
        X, t = (v.double() for v in lab.people(40, seeded(6)))
        hessian = lab.line_hessian(X)
        torch.testing.assert_close(hessian, torch.func.hessian(lab.line_loss)(torch.zeros(4).double(), X, t))
        x = lab.with_one(X)
        mean = x.mean(0)
        torch.testing.assert_close(hessian, torch.cov(x.T, correction=0) + torch.outer(mean, mean))

    def test_rate_and_condition_agree_with_torch_linalg(self, lab):
        X, _ = lab.two_clouds(40, seeded(7))
        hessian = lab.line_hessian(X.double())
        rate, condition = lab.curvature(hessian)
        assert rate == pytest.approx(2 / torch.linalg.matrix_norm(hessian, ord=2).item())
        assert condition == pytest.approx(torch.linalg.cond(hessian).item())

    def test_descent_shrinks_below_the_limit_and_grows_above_it(self, lab):
        X, _ = lab.two_clouds(40, seeded(7))
        hessian = lab.line_hessian(X.double())
        rate, _ = lab.curvature(hessian)
        below, above = lab.below_and_above(hessian, torch.ones(3).double(), rate, 2000)
        assert below < 1e-6 and above > 1e6

    def test_the_ratios_are_those_of_the_eigenvalues(self, lab):
        X, _ = lab.two_clouds(40, seeded(7))
        eigenvalues, V = torch.linalg.eigh(lab.line_hessian(X.double()))
        w0 = torch.tensor([0.5, -1.0, 2.0]).double()
        wanted = [((1 - f * 0.7 * eigenvalues) ** 9 * (V.T @ w0)).norm() / w0.norm() for f in (0.9, 1.1)]
        assert lab.below_and_above(V @ eigenvalues.diag() @ V.T, w0, 0.7, 9, 0.1) == pytest.approx(
            [v.item() for v in wanted]
        )


class TestNormalising:
    """Exercises 7 and 8, against scikit-learn."""

    def test_standardise_is_scikit_learns_scaler(self, lab):
        train, other = lab.people(50, seeded(8))[0], lab.people(20, seeded(9))[0]
        train[:, 2] = other[:, 2] = 7.0  # a constant feature
        scaler = StandardScaler().fit(train.double().numpy())
        for ours, points in zip(lab.standardise(train, other), (train, other), strict=True):
            wanted = torch.from_numpy(scaler.transform(points.double().numpy())).float()
            torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-4)

    def test_whiten_is_scikit_learns_pca_up_to_order_and_sign(self, lab):
        train, other = lab.people(50, seeded(8))[0], lab.people(20, seeded(9))[0]
        pca = PCA(whiten=True).fit(train.double().numpy())
        for ours, points in zip(lab.whiten(train, other), (train, other), strict=True):
            theirs = torch.from_numpy(pca.transform(points.double().numpy())).float() * (50 / 49) ** 0.5  # n for n − 1
            theirs = theirs.flip(1)  # ascending
            signs = (ours * theirs).sum(0).sign()
            torch.testing.assert_close(ours, theirs * signs, rtol=1e-3, atol=1e-3)

    def test_each_step_of_normalising_lowers_the_condition_number(self, lab):
        raw = lab.bodies.double()
        versions = (raw, raw - raw.mean(0), lab.standardise(raw, raw)[0], lab.whiten(raw, raw)[0])
        conditions = [lab.curvature(lab.line_hessian(X))[1] for X in versions]
        assert conditions == sorted(conditions, reverse=True)
        assert conditions[0] > 1e6 and conditions[3] == pytest.approx(1)


class TestSharpness:
    """Exercises 11 and 12."""

    @pytest.mark.parametrize("loss", ["line_loss", "saddle_loss", "softmax_loss"])
    def test_it_is_the_largest_eigenvalue_of_torchs_hessian(self, lab, loss):
        X = lab.two_clouds(40, seeded(10))[0] * torch.tensor([4.0, 1.0])
        t = torch.randint(2, (40,), generator=seeded(11))
        w = 0.1 * torch.randn(6 if loss == "softmax_loss" else 3, generator=seeded(12))
        loss = getattr(lab, loss)
        eigenvalues = torch.linalg.eigvalsh(torch.func.hessian(loss)(w, X, t))
        wanted = eigenvalues[eigenvalues.abs().argmax()].item()
        assert lab.sharpness(loss, w, X, t, 200, seeded(13)) == pytest.approx(wanted, rel=1e-3)

    def test_the_saddles_answer_is_negative(self, lab):
        X, t = lab.two_clouds(40, seeded(10))
        assert lab.sharpness(lab.saddle_loss, torch.zeros(3), X, t, 100, seeded(13)) < -10

    def test_rescaling_changes_the_sharpness_and_not_the_function(self, lab):
        X, t = lab.two_clouds(40, seeded(14))
        net = lab.draw_net(5, seeded(15))
        rescaled = lab.rescale_relu(*net, 4.0)
        torch.testing.assert_close(lab.relu_net(X, *rescaled), lab.relu_net(X, *net), rtol=1e-4, atol=1e-5)

        def top(weights):
            hessian = torch.func.hessian(lab.relu_loss)(lab.pack(*weights), X, t)
            return torch.linalg.eigvalsh(hessian).abs().max().item()

        assert top(rescaled) > 2 * top(net)


class TestRace:
    """Exercise 13."""

    def test_the_losses_are_those_of_torch_optim_sgd_on_the_same_batches(self, lab):
        X, t = lab.two_clouds(10, seeded(16))
        points, losses = lab.loss_curve(lab.line_loss, torch.zeros(3), X, t, 0.2, 4, 3, seeded(17))
        order = seeded(17)
        w = torch.nn.Parameter(torch.zeros(3))
        optimizer = torch.optim.SGD([w], lr=0.2)
        wanted = [lab.line_loss(w, X, t).item()]
        for _ in range(3):
            for batch in torch.randperm(10, generator=order).split(4):
                optimizer.zero_grad()
                lab.line_loss(w, X[batch], t[batch]).backward()
                optimizer.step()
                wanted.append(lab.line_loss(w, X, t).item())
        torch.testing.assert_close(losses, torch.tensor(wanted))
        assert points.tolist() == [0, 4, 8, 10, 14, 18, 20, 24, 28, 30]

    def test_one_stochastic_epoch_beats_ten_of_batch_descent_whatever_the_seed(self, lab):
        n, start = len(lab.digits_x), torch.zeros(650)
        batch = lab.loss_curve(lab.softmax_loss, start, lab.digits_x, lab.digits_t, 2.0, n, 10, seeded())[1][-1]
        for seed in range(10):
            stochastic = lab.loss_curve(lab.softmax_loss, start, lab.digits_x, lab.digits_t, 0.5, 16, 1, seeded(seed))
            assert stochastic[0][-1] == n
            assert stochastic[1][-1] < 0.9 * batch


class TestLab:
    """The lab as a whole."""

    def test_the_solutions_get_all_points_that_tests_give_in_the_students_own_notebook(self):
        answers = model_answers(LAB)
        examination = examine(LAB, answers, seed="any", bridge=False)
        assert {result.grade_id: result.message for result in examination.results if not result.ok} == {}
        assert examination.points == 22
        assert LAB.points == 25

    def test_an_exercise_that_is_not_done_costs_only_itself(self):
        for exercise in LAB.exercises:
            assert {cell.exercise for cell in LAB.dependents(exercise)} == {exercise}

    def test_tests_leave_the_names_of_set_up_cells_and_of_answers_alone(self):
        taken = {cell.name: names_of(cell.source).defined for cell in LAB.cells if cell.kind in ("setup", "solution")}
        taken = frozenset().union(*taken.values())
        for cell in LAB.tests():
            assert not names_of(cell.source).defined & taken, cell.name

    def test_solutions_make_no_tensor_on_another_device_than_their_arguments(self, lab):
        """A tensor made without a device lands on "meta" here, and cannot be mixed with the arguments'."""
        X, t = lab.two_clouds(12, seeded(18))
        w, hessian, net = torch.ones(3), lab.line_hessian(X), lab.draw_net(5, seeded(19))
        batches = [torch.arange(6), torch.arange(6, 12)]
        with torch.device("meta"):
            results = [
                lab.unit_loss(w, X, t),
                lab.unit_gradient(w, X, t),
                lab.sgd_path(lab.line_gradient, w, X, t, batches, 0.1),
                lab.below_and_above(hessian, w, 0.5, 3),
                *lab.standardise(X, X),
                *lab.whiten(X, X),
                *lab.momentum_step(w[:2], w[:2], torch.neg, 0.1, 0.9),
                *lab.rescale_relu(*net, 2.0),
            ]
        assert all(r.device.type == "cpu" for r in results if isinstance(r, torch.Tensor))
