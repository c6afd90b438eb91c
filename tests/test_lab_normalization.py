"""The lab `normalization`: its solutions against independent oracles, and what holds for this lab alone."""

import unmagic  # noqa: F401  (before torchvision)

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from torch.autograd import gradcheck
from torch.nn import functional as F

from autograder.audit.variants import model_answers
from autograder.examiner import examine
from autograder.labs import load_lab
from autograder.labs.names import names_of

LAB = load_lab("normalization")  # of the fixture `lab`
BATCHES = [(2, 1), (7, 3), (64, 5), (2, 3, 1, 1), (1, 3, 2, 5), (3, 1, 4, 4), (4, 6, 5, 3), (8, 2, 1, 7)]
IMAGES = [(1, 2, 3, 3), (2, 6, 1, 1), (3, 4, 5, 2), (2, 12, 4, 7)]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    """float64 with a mean that is not 0 and a spread that is not 1."""
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64) * 1.7 + 0.6


class TestData:
    """Exercises 1 and 2, against scikit-learn."""

    @pytest.mark.parametrize("shape", [(5, 1, 1, 1), (11, 3, 4, 2), (8, 2, 1, 5)])
    def test_standardise_is_scikit_learns_scaler_with_channels_for_features(self, lab, shape):
        train, x = drawn(*shape, seed=1), drawn(*shape, seed=2)
        train[:, 0] = 4.0  # a constant channel

        def rows(images):
            return images.movedim(1, -1).reshape(-1, shape[1]).numpy()

        wanted = torch.from_numpy(StandardScaler().fit(rows(train)).transform(rows(x)))
        found = lab.standardise(list(train.split(4)), x)
        torch.testing.assert_close(torch.from_numpy(rows(found)), wanted)

    @pytest.mark.parametrize("shape", [(30, 1), (40, 6), (64, 5)])
    def test_pca_whitening_is_scikit_learns_up_to_signs(self, lab, shape):
        X = drawn(*shape) * torch.arange(1, shape[1] + 1) + drawn(*shape, seed=3).flip(1) * 0.2
        mean, M = lab.whitening(X, False, 0.0)
        found = (X - mean) @ M.T
        wanted = torch.from_numpy(PCA(whiten=True).fit_transform(X.numpy())) * (len(X) / (len(X) - 1)) ** 0.5
        torch.testing.assert_close(found * (found * wanted).sum(0).sign(), wanted)

    def test_zca_whitens_and_of_all_whitenings_moves_the_data_least(self, lab):
        X = drawn(50, 4) @ drawn(4, 4, seed=1)
        mean, M = lab.whitening(X, True, 0.0)
        whitened = (X - mean) @ M.T
        torch.testing.assert_close(whitened.T @ whitened / 50, torch.eye(4, dtype=torch.float64))
        moved = ((X - mean) - whitened).norm()
        for seed in range(20):
            turn = torch.linalg.qr(drawn(4, 4, seed=seed)).Q
            assert moved <= ((X - mean) - whitened @ turn).norm()

    def test_eps_lets_pixels_be_whitened_that_never_change(self, lab):
        assert (lab.digits_x.var(0) == 0).any()
        for zca in (False, True):
            assert lab.whitening(lab.digits_x, zca, 0.01)[1].isfinite().all()


class TestWeights:
    """Exercise 3, against torch.nn.init."""

    @pytest.mark.parametrize("shape", [(3, 5), (100, 300), (1, 7), (16, 8, 3, 3), (4, 2, 1, 5), (6, 4, 7)])
    @pytest.mark.parametrize("scheme", ["standard", "xavier", "he"])
    def test_the_weights_are_those_torch_would_draw_but_for_rounding(self, lab, scheme, shape):
        theirs = torch.empty(shape)
        if scheme == "xavier":
            torch.nn.init.xavier_uniform_(theirs, generator=seeded(4))
        else:  # a = √5 is how torch.nn.Linear and Conv2d come to ±1/√n
            gain = dict(a=5**0.5) if scheme == "standard" else dict(nonlinearity="relu")
            torch.nn.init.kaiming_uniform_(theirs, generator=seeded(4), **gain)
        torch.testing.assert_close(lab.initialise(shape, scheme, seeded(4)), theirs, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize(("scheme", "wanted"), [("standard", 1 / 3), ("xavier", 1.0), ("he", 2.0)])
    def test_n_times_the_variance_is_what_the_scheme_aims_at(self, lab, scheme, wanted):
        assert 500 * lab.initialise((500, 500), scheme, seeded(5)).var().item() == pytest.approx(wanted, rel=0.01)


class TestBatchNorm:
    """Exercises 4 to 7, against torch."""

    @pytest.mark.parametrize("shape", BATCHES)
    def test_forwards_it_is_torchs(self, lab, shape):
        x, gamma, beta = drawn(*shape), drawn(shape[1], seed=1), drawn(shape[1], seed=2)
        wanted = F.batch_norm(x, None, None, gamma, beta, training=True, eps=0.01)
        torch.testing.assert_close(lab.batch_norm(x, gamma, beta, 0.01), wanted)

    @pytest.mark.parametrize("shape", [(4, 3), (2, 2, 1, 3)])
    def test_autograd_goes_through_it(self, lab, shape):
        leaves = [t.requires_grad_() for t in (drawn(*shape), drawn(shape[1], seed=1), drawn(shape[1], seed=2))]
        assert gradcheck(lambda *tensors: lab.batch_norm(*tensors, 0.01), leaves)
        assert gradcheck(lambda x: lab.BatchNorm(shape[1]).double()(x), leaves[:1])

    @pytest.mark.parametrize("momentum", [0.1, 0.5, 1.0])
    @pytest.mark.parametrize("shape", BATCHES)
    def test_the_layer_has_torchs_answers_and_every_buffer_through_training_and_evaluation(self, lab, shape, momentum):
        module = torch.nn.BatchNorm1d if len(shape) == 2 else torch.nn.BatchNorm2d
        theirs = module(shape[1], eps=0.02, momentum=momentum).double()
        ours = lab.BatchNorm(shape[1], eps=0.02, momentum=momentum).double()
        torch.nn.init.normal_(theirs.weight, generator=seeded(6))
        torch.nn.init.normal_(theirs.bias, generator=seeded(7))
        ours.load_state_dict(theirs.state_dict())
        for step, training in enumerate((True, True, False, True, False)):
            x = drawn(*shape, seed=step)
            torch.testing.assert_close(ours.train(training)(x), theirs.train(training)(x))
            assert list(ours.state_dict()) == list(theirs.state_dict())
            torch.testing.assert_close(dict(ours.state_dict()), dict(theirs.state_dict()))

    @pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1, 1)])
    def test_the_layer_refuses_to_train_on_one_value_a_channel_as_torchs_does(self, lab, shape):
        layer = lab.BatchNorm(3).double()
        before = {name: value.clone() for name, value in layer.state_dict().items()}
        with pytest.raises(ValueError, match="one value per channel"):
            layer(drawn(*shape))
        torch.testing.assert_close(dict(layer.state_dict()), before)
        assert layer.eval()(drawn(*shape)).isfinite().all()

    @pytest.mark.parametrize("shape", BATCHES)
    def test_backwards_in_one_line_is_autograds(self, lab, shape):
        leaves = [t.requires_grad_() for t in (drawn(*shape), drawn(shape[1], seed=1), drawn(shape[1], seed=2))]
        dy = drawn(*shape, seed=3)
        y = F.batch_norm(leaves[0], None, None, *leaves[1:], training=True, eps=0.01)
        found = lab.batch_norm_backward(dy, leaves[0].detach(), leaves[1].detach(), 0.01)
        torch.testing.assert_close(found, torch.autograd.grad(y, leaves, dy))

    @pytest.mark.parametrize("shape", [(2, 1), (5, 3), (33, 4)])
    def test_backwards_every_stage_is_autograds(self, lab, shape):
        x, gamma, beta = (t.requires_grad_() for t in (drawn(*shape), drawn(shape[1], seed=1), drawn(shape[1], seed=2)))
        dy = drawn(*shape, seed=3)
        mean = x.mean(0)
        var = ((x - mean) ** 2).mean(0)
        xhat = (x - mean) / (var + 0.01).sqrt()
        stages = dict(beta=beta, gamma=gamma, xhat=xhat, var=var, mean=mean, x=x)
        wanted = dict(zip(stages, torch.autograd.grad(gamma * xhat + beta, stages.values(), dy), strict=True))
        torch.testing.assert_close(lab.batch_norm_stages(dy, x.detach(), gamma.detach(), 0.01), wanted)

    @pytest.mark.parametrize("shape", [(2, 2), (4, 3), (2, 2, 1, 3), (1, 1, 2, 2)])
    def test_backwards_it_is_what_central_differences_find(self, lab, shape):
        inputs = drawn(*shape), drawn(shape[1], seed=1), drawn(shape[1], seed=2)

        def forward(x, gamma, beta):
            return lab.batch_norm(x, gamma, beta, 0.1)

        assert lab.gradients_agree(
            forward, lambda dy, x, gamma, beta: lab.batch_norm_backward(dy, x, gamma, 0.1), *inputs
        )
        assert not lab.gradients_agree(forward, lambda dy, x, gamma, beta: (dy, gamma, beta), *inputs)


class TestOtherAxes:
    """Exercises 8 to 10, against torch."""

    @pytest.mark.parametrize("shape", IMAGES)
    def test_batch_layer_and_instance_norm_are_one_function_of_axes(self, lab, shape):
        x, C = drawn(*shape), shape[1]
        wanted = {
            "batch": F.batch_norm(x, None, None, training=True, eps=0.01),
            "layer": F.layer_norm(x, shape[1:], eps=0.01),
            "instance": F.group_norm(x, C, eps=0.01),  # F.instance_norm refuses images of one pixel
        }
        for norm, y in wanted.items():
            torch.testing.assert_close(lab.normalise(x, lab.axes_of(norm), 0.01), y)
            torch.testing.assert_close(lab.normalise(x, tuple(a - 4 for a in lab.axes_of(norm)), 0.01), y)

    @pytest.mark.parametrize("shape", IMAGES)
    def test_group_norm_is_torchs_and_between_layer_and_instance_norm(self, lab, shape):
        x, C = drawn(*shape), shape[1]
        gamma, beta = drawn(C, seed=1), drawn(C, seed=2)
        for groups in (g for g in range(1, C + 1) if C % g == 0):
            wanted = F.group_norm(x, groups, gamma, beta, eps=0.01)
            torch.testing.assert_close(lab.group_norm(x, groups, gamma, beta, 0.01), wanted)
        one, none = torch.ones(C).double(), torch.zeros(C).double()
        torch.testing.assert_close(lab.group_norm(x, 1, one, none, 0.01), lab.normalise(x, (1, 2, 3), 0.01))
        torch.testing.assert_close(lab.group_norm(x, C, one, none, 0.01), lab.normalise(x, (2, 3), 0.01))

    def test_group_norm_says_which_numbers_do_not_fit(self, lab):
        with pytest.raises(ValueError, match=r"6 channels.* 4 groups"):
            lab.group_norm(drawn(1, 6, 2, 2), 4, torch.ones(6), torch.zeros(6), 0.0)

    @pytest.mark.parametrize("n", [1, 3, 5, 9])
    @pytest.mark.parametrize("shape", [(2, 1, 3), (1, 2, 2, 2), (3, 7, 1, 4), (2, 12, 3, 3)])
    def test_local_response_norm_is_torchs_with_alpha_times_n(self, lab, shape, n):
        a = drawn(*shape) * 30
        wanted = F.local_response_norm(a, n, alpha=lab.torch_alpha(1e-4, n), beta=0.75, k=2.0)
        torch.testing.assert_close(lab.local_response_norm(a, n=n), wanted)

    def test_local_response_norm_is_the_papers_sum_written_out(self, lab):
        """Krizhevsky et al. 2012, section 3.3: k = 2, n = 5, α = 1e-4, β = 0.75, sums clipped at the first and last."""
        a = drawn(1, 8, 1, 1) * 50
        values = a.flatten().tolist()
        wanted = [
            value / (2 + 1e-4 * sum(values[j] ** 2 for j in range(max(0, i - 2), min(7, i + 2) + 1))) ** 0.75
            for i, value in enumerate(values)
        ]
        assert lab.local_response_norm(a).flatten().tolist() == pytest.approx(wanted)

    def test_autograd_goes_through_all_of_them(self, lab):
        x = drawn(2, 4, 1, 3).requires_grad_()
        gamma, beta = drawn(4, seed=1).requires_grad_(), drawn(4, seed=2).requires_grad_()
        assert gradcheck(lambda x: lab.normalise(x, (1, 3), 0.1), x)
        assert gradcheck(lambda *tensors: lab.group_norm(tensors[0], 2, *tensors[1:], 0.1), (x, gamma, beta))
        assert gradcheck(lambda x: lab.local_response_norm(x, alpha=0.5, n=3), x)


class TestDropout:
    """Exercises 11 and 12."""

    @settings(deadline=None, max_examples=25)
    @given(p=st.floats(0, 1), seed=st.integers(0, 2**31))
    def test_factors_are_0_or_1_over_the_probability_to_keep(self, lab, p, seed):
        x = drawn(40, 25, seed=1)
        y, mask = lab.dropout(x, p, True, seeded(seed))
        torch.testing.assert_close(y, x * mask)
        assert y.isfinite().all()
        kept = (mask != 0).double()
        torch.testing.assert_close(mask, kept / (1 - p) if p < 1 else torch.zeros_like(x))
        # the share that is kept, within six standard deviations
        assert abs(kept.mean().item() - (1 - p)) <= 6 * (p * (1 - p) / 1000) ** 0.5 + 1e-12

    def test_the_mean_over_many_masks_is_the_input(self, lab):
        x = drawn(6, 5)
        generator = seeded(1)
        mean = torch.stack([lab.dropout(x, 0.4, True, generator)[0] for _ in range(20_000)]).mean(0)
        torch.testing.assert_close(mean, x, rtol=0.05, atol=0.01)

    def test_the_gradient_is_autograds_through_torchs_dropout_with_the_same_mask(self, lab):
        x, dy = drawn(6, 5).requires_grad_(), drawn(6, 5, seed=1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            y = F.dropout(x, 0.3, training=True)
        mask = (y != 0) / 0.7
        (wanted,) = torch.autograd.grad(y, x, dy)
        torch.testing.assert_close(lab.dropout_backward(dy, mask.double()), wanted)

    @pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
    @pytest.mark.parametrize("relu", [False, True], ids=["mean 0", "behind a ReLU"])
    def test_the_variance_shift_is_that_of_the_papers_formula(self, lab, p, relu):
        """Li et al. 2019, with our p for dropping: (E[x²]/(1 − p) − E[x]²) over Var[x]."""
        x = torch.randn(20_000, 30, generator=seeded(1))
        mean, square = (1 / math.sqrt(2 * math.pi), 0.5) if relu else (0.0, 1.0)
        wanted = (square / (1 - p) - mean**2) / (square - mean**2)
        found = lab.variance_shift(x.relu() if relu else x, torch.eye(30), p, seeded(2)).mean().item()
        assert found == pytest.approx(wanted, rel=0.03)


class TestDeepNets:
    """Exercise 13."""

    @pytest.mark.parametrize("name", ["plain_net", "normalised_net"])
    def test_the_losses_are_those_of_a_step_by_the_gradient_written_out(self, lab, name):
        build, batches = getattr(lab, name), lab.batches_of(16, 4, 1)
        net, wanted = build(), []
        parameters = list(net.parameters())
        for batch in [*batches, batches[-1]]:
            loss = F.cross_entropy(net(lab.digits_x[batch]), lab.digits_t[batch])
            wanted.append(loss.detach())
            for p, slope in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                p.data -= 0.02 * slope
        found = lab.train_losses(build, 0.02, lab.digits_x, lab.digits_t, batches)
        torch.testing.assert_close(found, torch.stack(wanted), rtol=1e-4, atol=1e-5)

    def test_a_net_is_new_and_the_same_at_every_call(self, lab):
        first, second = lab.normalised_net(), lab.normalised_net()
        torch.testing.assert_close(dict(first.state_dict()), dict(second.state_dict()), rtol=0, atol=0)
        assert first[0].weight.data_ptr() != second[0].weight.data_ptr()

    @pytest.mark.parametrize("seed", [3, 4])
    def test_only_the_plain_net_explodes_whatever_the_batches(self, lab, seed):
        nets = {"plain": lab.plain_net, "normalised": lab.normalised_net}
        report = lab.which_diverge(nets, [0.03, 3.0], lab.digits_x, lab.digits_t, lab.batches_of(128, 40, seed))
        assert report == {"plain": [3.0], "normalised": []}


class TestLab:
    """The lab as a whole."""

    def test_the_solutions_get_all_points_that_tests_give_in_the_students_own_notebook(self):
        answers = model_answers(LAB)
        examination = examine(LAB, answers, seed="any", bridge=False)
        assert {result.grade_id: result.message for result in examination.results if not result.ok} == {}
        assert examination.points == 30
        assert LAB.points == 33

    def test_an_exercise_that_is_not_done_costs_only_itself(self):
        for exercise in LAB.exercises:
            assert {cell.exercise for cell in LAB.dependents(exercise)} == {exercise}

    def test_what_is_by_hand_forbids_names_that_torch_has(self, lab):
        for name in (*lab.NORMS, *lab.DROPOUTS, *(name for name in lab.AUTOGRAD if not name.startswith("."))):
            value = torch
            for part in name.split(".")[1:]:
                value = getattr(value, part)

    def test_solutions_make_no_tensor_on_another_device_than_their_arguments(self, lab):
        """A tensor made without a device lands on "meta" here, and cannot be mixed with the arguments'."""
        x, images = drawn(6, 4), drawn(2, 4, 3, 2)
        gamma, beta = drawn(4, seed=1), drawn(4, seed=2)
        layer = lab.BatchNorm(4).double()
        with torch.device("meta"):
            results = [
                lab.standardise([images], images),
                *lab.whitening(x, True, 0.1),
                *lab.whitening(x, False, 0.1),
                lab.batch_norm(images, gamma, beta, 0.1),
                layer(images),
                layer.eval()(images),
                *lab.batch_norm_stages(x, x, gamma, 0.1).values(),
                *lab.batch_norm_backward(images, images, gamma, 0.1),
                lab.normalise(images, (1, 2), 0.1),
                lab.group_norm(images, 2, gamma, beta, 0.1),
                lab.local_response_norm(images),
                *lab.dropout(x, 0.5, False, seeded()),
                lab.dropout_backward(x, x),
            ]
        assert all(result.device.type == "cpu" for result in results)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_results_have_the_dtype_of_the_arguments(self, lab, dtype):
        x, images = drawn(6, 4).to(dtype), drawn(2, 4, 3, 2).to(dtype)
        gamma, beta = drawn(4, seed=1).to(dtype), drawn(4, seed=2).to(dtype)
        results = [
            lab.standardise([images], images),
            *lab.whitening(x, True, 0.1),
            lab.batch_norm(images, gamma, beta, 0.1),
            lab.BatchNorm(4).to(dtype)(images),
            *lab.batch_norm_stages(x, x, gamma, 0.1).values(),
            *lab.batch_norm_backward(images, images, gamma, 0.1),
            lab.normalise(images, (1, 2), 0.1),
            lab.group_norm(images, 2, gamma, beta, 0.1),
            lab.local_response_norm(images),
            *lab.dropout(x, 0.5, True, seeded()),
            lab.variance_shift(x, gamma[None], 0.5, seeded()),
        ]
        assert {result.dtype for result in results} == {dtype}

    def test_tests_leave_the_names_of_set_up_cells_and_of_answers_alone(self):
        taken = {cell.name: names_of(cell.source).defined for cell in LAB.cells if cell.kind in ("setup", "solution")}
        taken = frozenset().union(*taken.values())
        for cell in LAB.tests():
            assert not names_of(cell.source).defined & taken, cell.name

    def test_every_number_the_text_computes_is_right(self, lab):
        """The worked examples of the exercises, by the solutions."""
        grey = torch.tensor([1.0, 3.0, 5.0]).reshape(3, 1, 1, 1)
        assert lab.standardise([grey], torch.full((1, 1, 1, 1), 7.0)).item() == pytest.approx(2.45, abs=0.005)
        bounds = [lab.initialise((100, 300), s, seeded()).abs().max().item() for s in ("standard", "xavier", "he")]
        assert bounds == pytest.approx([0.0577, 0.1225, 0.1414], abs=1e-4)
        assert pytest.approx(0.000017, abs=5e-7) == (1 / 3) ** 10
        pair = torch.tensor([[1.0], [3.0]])
        ten, five = torch.tensor([10.0]), torch.tensor([5.0])
        assert lab.batch_norm(pair, ten, five, 0.0).flatten().tolist() == pytest.approx([-5, 15])
        slopes = torch.tensor([[1.0], [0.0]])
        stages = lab.batch_norm_stages(slopes, pair, torch.ones(1), 3.0)
        assert stages["var"].item() == pytest.approx(1 / 16)
        assert stages["x"].flatten().tolist() == pytest.approx([3 / 16, -3 / 16])
        image = torch.tensor([1.0, 3.0, 10.0, 30.0]).reshape(1, 2, 1, 2)
        assert lab.normalise(image, (2, 3), 0.0).flatten().tolist() == pytest.approx([-1, 1, -1, 1])
        wanted = [-0.87, -0.70, -0.09, 1.66]
        assert lab.normalise(image, (1, 2, 3), 0.0).flatten().tolist() == pytest.approx(wanted, abs=0.005)
        assert lab.local_response_norm(torch.full((1, 5), 100.0))[0, [2, 0]].tolist() == pytest.approx(
            [23.2, 29.9], abs=0.05
        )
