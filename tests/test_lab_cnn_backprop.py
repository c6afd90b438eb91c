"""The lab `cnn_backprop`: its solutions against torch, and what holds for this lab alone."""

from unmagic import checks

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from autograder.audit.variants import model_answers
from autograder.examiner import examine
from autograder.labs import load_lab
from autograder.labs.names import names_of
from autograder.release import student_notebook

LAB = load_lab("cnn_backprop")  # of the fixture `lab`
NETWORK_LAYERS = ("fast_conv2d", "fast_conv2d_gradients", "max_pool", "max_pool_gradient")

# sizes of x, of w, stride, padding
SHAPES = [
    pytest.param((1, 1, 5, 5), (1, 1, 3, 3), 1, 0, id="one-picture-one-channel"),
    pytest.param((2, 3, 6, 4), (2, 3, 3, 3), 1, 1, id="even-high-and-padded"),
    pytest.param((1, 2, 5, 7), (4, 2, 3, 2), 1, 0, id="odd-wide-and-a-kernel-that-is-not-square"),
    pytest.param((3, 2, 8, 9), (2, 2, 3, 3), 3, 2, id="stride-3-that-cuts-and-padding-2"),
    pytest.param((2, 1, 6, 7), (3, 1, 2, 2), 2, 0, id="stride-2-that-cuts-columns-only"),
    pytest.param((2, 2, 4, 4), (1, 2, 1, 1), 1, 0, id="one-by-one"),
    pytest.param((1, 2, 5, 4), (2, 2, 5, 4), 1, 0, id="kernel-as-large-as-the-picture"),
    pytest.param((1, 1, 4, 4), (1, 1, 1, 1), 3, 1, id="stride-larger-than-the-kernel"),
]
POOLS = [
    pytest.param((1, 1, 4, 4), 2, 2, id="tiled"),
    pytest.param((2, 3, 7, 5), 3, 2, id="overlap"),
    pytest.param((1, 2, 5, 6), 2, 2, id="stride-that-cuts"),
    pytest.param((3, 1, 8, 7), 2, 3, id="gaps"),
    pytest.param((2, 2, 4, 6), 4, 1, id="windows-as-high-as-the-picture"),
    pytest.param((1, 1, 3, 3), 1, 1, id="windows-of-one-pixel"),
]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def by_hand(forward, backward):
    """The autograd function whose value is `forward` and whose gradients are `backward(grad, *inputs)`."""

    class Layer(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *inputs):
            ctx.save_for_backward(*inputs)
            return forward(*inputs)

        @staticmethod
        def backward(ctx, grad):
            return backward(grad, *ctx.saved_tensors)

    return Layer.apply


def gradcheck(forward, backward, *inputs: torch.Tensor) -> bool:
    inputs = [x.clone().requires_grad_() for x in inputs]
    return torch.autograd.gradcheck(by_hand(forward, backward), inputs, check_undefined_grad=False)


class TestSizes:
    """Exercise 1, against the size that torch's own convolution has."""

    @settings(deadline=None, max_examples=100)
    @given(size=st.integers(1, 40), kernel=st.integers(1, 12), stride=st.integers(1, 5), padding=st.integers(0, 4))
    def test_it_is_torchs_size_and_an_error_says_what_torch_leaves_out(self, lab, size, kernel, stride, padding):
        if kernel > size + 2 * padding:
            for exact in (True, False):
                with pytest.raises(ValueError, match="does not fit"):
                    lab.output_size(size, kernel, stride, padding, exact)
            return
        x, w = torch.zeros(1, 1, size), torch.zeros(1, 1, kernel)
        wanted = F.conv1d(x, w, stride=stride, padding=padding).shape[2]
        assert lab.output_size(size, kernel, stride, padding, exact=False) == wanted
        seen = (wanted - 1) * stride + kernel
        if seen == size + 2 * padding:
            assert lab.output_size(size, kernel, stride, padding) == wanted
        else:
            with pytest.raises(ValueError, match=rf"\b{size + 2 * padding - seen} pixels"):
                lab.output_size(size, kernel, stride, padding)

    def test_alexnets_224_does_not_tile_and_227_does(self, lab):
        """Krizhevsky et al. 2012 give 224×224 inputs; with 11×11 kernels and stride 4, 55×55 outputs need 227."""
        with pytest.raises(ValueError, match="1 pixels are left over"):
            lab.output_size(224, 11, 4)
        assert lab.output_size(227, 11, 4) == 55


class TestOneDimension:
    """Exercises 2 and 3."""

    @pytest.mark.parametrize(("n", "k"), [(1, 1), (5, 1), (6, 3), (7, 4), (5, 5)])
    def test_value_and_gradients_are_torchs(self, lab, n, k):
        a, w = drawn(n), drawn(k, seed=1)
        torch.testing.assert_close(lab.conv1d(a, w), F.conv1d(a[None, None], w[None, None])[0, 0])
        assert gradcheck(lab.conv1d, lambda g, a, w: lab.conv1d_gradients(g, a, w)[::-1], a, w)


class TestTwoDimensions:
    """Exercises 4, 5, 8 and 9: the naive and the fast convolution."""

    @pytest.mark.parametrize(("sizes", "kernel", "stride", "padding"), SHAPES)
    @pytest.mark.parametrize("name", ["conv2d", "fast_conv2d"])
    def test_the_value_is_torchs(self, lab, name, sizes, kernel, stride, padding):
        for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-4)):
            x, w, b = (v.to(dtype) for v in (drawn(*sizes), drawn(*kernel, seed=1), drawn(kernel[0], seed=2)))
            ours = getattr(lab, name)(x, w, b, stride, padding)
            torch.testing.assert_close(ours, F.conv2d(x, w, b, stride, padding), rtol=tolerance, atol=tolerance)

    @pytest.mark.parametrize(("sizes", "kernel", "stride", "padding"), SHAPES)
    @pytest.mark.parametrize("name", ["conv2d", "fast_conv2d"])
    def test_the_gradients_pass_gradcheck_and_are_autograds(self, lab, name, sizes, kernel, stride, padding):
        forward, backward = getattr(lab, name), getattr(lab, f"{name}_gradients")
        x, w, b = drawn(*sizes), drawn(*kernel, seed=1), drawn(kernel[0], seed=2)
        leaves = [v.clone().requires_grad_() for v in (x, w, b)]
        y = F.conv2d(*leaves, stride, padding)
        grad = drawn(*y.shape, seed=3)
        torch.testing.assert_close(backward(grad, x, w, stride, padding), torch.autograd.grad(y, leaves, grad))
        assert gradcheck(
            lambda x, w, b: forward(x, w, b, stride, padding),
            lambda g, x, w, b: backward(g, x, w, stride, padding),
            x[:1],
            w,
            b,
        )


class TestColumns:
    """Exercises 6 and 7."""

    @pytest.mark.parametrize(("sizes", "kernel", "stride", "padding"), SHAPES)
    def test_im2col_is_unfold_and_col2im_is_fold_and_its_transpose(self, lab, sizes, kernel, stride, padding):
        x = drawn(*sizes)
        cols = lab.im2col(x, kernel[2:], stride, padding)
        torch.testing.assert_close(cols, F.unfold(x, kernel[2:], stride=stride, padding=padding))
        c = drawn(*cols.shape, seed=1)
        back = lab.col2im(c, sizes[2:], kernel[2:], stride, padding)
        torch.testing.assert_close(back, F.fold(c, sizes[2:], kernel[2:], stride=stride, padding=padding))
        torch.testing.assert_close((cols * c).sum(), (x * back).sum())
        assert gradcheck(
            lambda x: lab.im2col(x, kernel[2:], stride, padding),
            lambda g, x: lab.col2im(g, sizes[2:], kernel[2:], stride, padding),
            x,
        )

    def test_the_work_of_the_fast_functions_does_not_grow_with_the_picture_and_that_of_the_naive_one_does(self, lab):
        w, b = drawn(2, 1, 3, 3), drawn(2)

        def calls(function, n):
            x, grad = drawn(1, 1, n, n), drawn(1, 2, n - 2, n - 2)
            arguments = {
                "im2col": (x, (3, 3)),
                "col2im": (drawn(1, 9, (n - 2) ** 2), (n, n), (3, 3)),
                "conv2d": (x, w, b),
                "fast_conv2d": (x, w, b),
                "conv2d_gradients": (grad, x, w),
                "fast_conv2d_gradients": (grad, x, w),
            }[function]
            return checks.torch_calls(getattr(lab, function), *arguments)[1]

        for function in ("im2col", "col2im", "fast_conv2d", "fast_conv2d_gradients"):
            assert calls(function, 6) == calls(function, 23) < 100
        for function in ("conv2d", "conv2d_gradients"):
            assert calls(function, 23) > 20 * calls(function, 6)


class TestPooling:
    """Exercises 10 to 12."""

    @pytest.mark.parametrize(("sizes", "size", "stride"), POOLS)
    def test_maxima_switches_and_gradient_are_torchs(self, lab, sizes, size, stride):
        x = drawn(*sizes)
        best, switches = lab.max_pool(x, size, stride)
        wanted = F.max_pool2d(x, size, stride, return_indices=True)
        torch.testing.assert_close((best, switches), wanted)
        assert gradcheck(
            lambda x: lab.max_pool(x, size, stride)[0],
            lambda g, x: lab.max_pool_gradient(g, lab.max_pool(x, size, stride)[1], *sizes[2:]),
            x,
        )

    @pytest.mark.parametrize(("sizes", "size", "stride"), POOLS)
    def test_of_equals_the_first_wins_as_in_torch(self, lab, sizes, size, stride):
        x = lab.whole(seeded(1), *sizes).clamp(0, 1)  # full of ties
        torch.testing.assert_close(
            lab.max_pool(x, size, stride), F.max_pool2d(x, size, stride, return_indices=True), rtol=0, atol=0
        )

    def test_a_pixel_that_wins_two_windows_gets_both_gradients(self, lab):
        """The course's errata: [1, 5, 2, 0] with windows of 3 and stride 1 gives g1 + g2 at the 5."""
        x = torch.tensor([1.0, 5, 2, 0]).repeat(3, 1)[None, None]
        _, switches = lab.max_pool(x, 3, 1)
        dx = lab.max_pool_gradient(torch.tensor([[[[2.0, 5.0]]]]), switches, 3, 4)
        assert dx.sum(2).flatten().tolist() == [0, 7, 0, 0]

    @pytest.mark.parametrize(("sizes", "size", "stride"), POOLS)
    def test_average_and_global_average_and_their_gradients_are_torchs(self, lab, sizes, size, stride):
        x = drawn(*sizes)
        torch.testing.assert_close(lab.average_pool(x, size, stride), F.avg_pool2d(x, size, stride))
        torch.testing.assert_close(lab.global_average_pool(x), F.adaptive_avg_pool2d(x, 1).flatten(1))
        assert gradcheck(
            lambda x: lab.average_pool(x, size, stride),
            lambda g, x: lab.average_pool_gradient(g, *sizes[2:], size, stride),
            x,
        )
        assert gradcheck(lab.global_average_pool, lambda g, x: lab.global_average_pool_gradient(g, *sizes[2:]), x)


class TestTrust:
    """Exercises 13 and 14."""

    def test_the_checker_clears_three_layers_and_finds_three_bugs_as_gradcheck_does(self, lab):
        x = drawn(1, 1, 4, 6)
        verdicts = {}
        for name, (forward, backward) in lab.suspects.items():
            grad = drawn(*forward(x).shape, seed=1)
            verdicts[name] = lab.gradient_error(forward, backward, x, grad) < 1e-6
            layer = by_hand(forward, backward)
            theirs = torch.autograd.gradcheck(
                layer, x.clone().requires_grad_(), raise_exception=False, check_undefined_grad=False
            )
            assert verdicts[name] == theirs, name
        assert sorted(name for name, right in verdicts.items() if not right) == ["mean2", "peak", "skid"]

    def test_its_error_is_that_of_central_differences(self, lab):
        """For y = x³ they give 3x² + h²."""
        for x, h in itertools.product((1.0, 2.0), (0.1, 0.01)):
            error = lab.gradient_error(lab.cube, lab.cube_backward, torch.tensor([x]), torch.ones(1), h)
            assert error == pytest.approx(h * h / (3 * x * x + h * h), rel=1e-6)

    def test_a_ring_is_equivariant_and_zeros_and_odd_shifts_of_stride_2_are_not(self, lab):
        x = drawn(2, 1, 8, 6).float()
        for shift in ((1, 0), (0, 1), (-3, 2)):
            assert lab.equivariance_error(lab.ring_conv, x, shift) < 1e-5
            assert lab.equivariance_error(lab.zeros_conv, x, shift) > 0.1
        assert lab.equivariance_error(lab.ring_conv_2, x, (2, -2), 2) < 1e-5
        with pytest.raises(ValueError, match="no whole number"):
            lab.equivariance_error(lab.ring_conv_2, x, (2, 1), 2)
        # the layer itself shows why: half an output down is no output at all
        moved, still = lab.ring_conv_2(x.roll(1, 2)), lab.ring_conv_2(x)
        assert min((moved - still.roll(k, 2)).abs().max() for k in range(4)) > 0.1

    def test_most_outputs_of_pooled_noise_change_and_none_of_a_global_maximum(self, lab):
        x = drawn(10, 1, 32, 32)
        share = lab.changed_share(lab.pool_2, x, (0, 1))
        # of the 6 pixels that either window sees, the winner is one of the 2 shared by both with probability 1/3
        assert share == pytest.approx(2 / 3, abs=0.05)
        assert lab.changed_share(lambda x: F.max_pool2d(x, 32), x, (3, 5)) == 0


class TestNetwork:
    """Exercise 15."""

    @pytest.mark.parametrize("whose", ["given", "own"])
    def test_loss_and_gradients_are_autograds(self, lab, whose):
        own = {name: getattr(lab, answer) for name, answer in zip(lab.given_layers, NETWORK_LAYERS, strict=True)}
        layers = lab.given_layers if whose == "given" else own
        for channels, side, classes, n in ((1, 8, 10, 4), (3, 16, 2, 1)):
            weights = [w.double() for w in lab.start_weights(seeded(1), channels, side, classes)]
            x, t = drawn(n, channels, side, side), torch.arange(n) % classes
            leaves = [w.clone().requires_grad_() for w in weights]
            loss = F.cross_entropy(lab.network_logits(leaves, x), t)
            ours, gradients = lab.network_gradients(layers, weights, x, t)
            torch.testing.assert_close(ours, loss.detach())
            torch.testing.assert_close(gradients, list(torch.autograd.grad(loss, leaves)))

    def test_training_goes_where_torch_optim_goes(self, lab):
        x, t = lab.digits_x[:50], lab.digits_t[:50]
        weights = lab.start_weights(seeded(2))
        ours = lab.train_network(lab.given_layers, weights, x, t, 0.05, 20, 2, seeded(3))
        theirs = [torch.nn.Parameter(w.clone()) for w in weights]
        optimizer = torch.optim.SGD(theirs, lr=0.05, momentum=0.9)
        falling = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1, end_factor=1e-12, total_iters=6)
        order, velocity_rate = seeded(3), []
        for _ in range(2):
            for batch in torch.randperm(50, generator=order).split(20):
                optimizer.zero_grad()
                # torch multiplies the whole velocity by the rate of the moment, the lab only what is added to it
                rate = optimizer.param_groups[0]["lr"]
                velocity_rate.append(rate)
                (F.cross_entropy(lab.network_logits(theirs, x[batch]), t[batch]) * rate).backward()
                optimizer.param_groups[0]["lr"] = 1.0
                optimizer.step()
                optimizer.param_groups[0]["lr"] = rate
                falling.step()
        assert velocity_rate == pytest.approx([0.05 * (1 - step / 6) for step in range(6)])
        torch.testing.assert_close(ours, [w.detach() for w in theirs], rtol=1e-3, atol=1e-5)

    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_a_network_of_ones_own_layers_reads_digits_whatever_the_seed(self, lab, seed):
        own = {name: getattr(lab, answer) for name, answer in zip(lab.given_layers, NETWORK_LAYERS, strict=True)}
        trained = lab.train_network(
            own, lab.start_weights(seeded(seed)), lab.digits_x, lab.digits_t, 0.05, 32, 8, seeded(seed)
        )
        assert lab.accuracy(trained, lab.test_x, lab.test_t) >= 0.95


class TestLab:
    """The lab as a whole."""

    def test_the_solutions_get_all_points_that_tests_give_in_the_students_own_notebook(self):
        answers = model_answers(LAB)
        examination = examine(LAB, answers, seed="any", bridge=False)
        assert {result.grade_id: result.message for result in examination.results if not result.ok} == {}
        assert examination.points == 32
        assert LAB.points == 35

    def test_the_network_takes_a_ready_layer_for_each_that_is_not_done_and_says_so(self):
        """Its training is the one tests cell that uses other answers; they cannot cost it a point."""
        released = {
            cell.metadata["nbgrader"]["grade_id"]: cell
            for cell in student_notebook(LAB).cells
            if "nbgrader" in cell.metadata
        }
        answers = model_answers(LAB)
        stubs = {name: released[LAB.solution(name).grade_id].source for name in NETWORK_LAYERS}
        wrong = {
            "fast_conv2d": next(m.source for m in LAB.mistakes if (m.exercise, m.name) == ("fast_conv2d", "flipped"))
        }
        training = ("test_digit_network__training",)
        for bridge, others in ((False, stubs), (True, stubs), (False, wrong)):
            (result,) = examine(LAB, answers | others, seed="any", tests=training, bridge=bridge).results
            assert result.ok, result.message
            assert result.output.count("a ready layer takes the place of yours") == len(others)
        (result,) = examine(LAB, answers, seed="any", tests=training, bridge=True).results
        assert result.ok and "ready layer" not in result.output

    def test_no_other_tests_cell_uses_the_answer_to_another_exercise(self):
        for exercise in LAB.exercises:
            others = {cell.name for cell in LAB.dependents(exercise) if cell.exercise != exercise}
            assert others == ({"digit_network:training"} if exercise in NETWORK_LAYERS else set())

    def test_tests_leave_the_names_of_set_up_cells_and_of_answers_alone(self):
        taken = {cell.name: names_of(cell.source).defined for cell in LAB.cells if cell.kind in ("setup", "solution")}
        taken = frozenset().union(*taken.values())
        for cell in LAB.tests():
            assert not names_of(cell.source).defined & taken, cell.name

    def test_every_function_about_a_layer_must_be_written_by_hand(self):
        functions = {name for exercise in LAB.exercises for name in LAB.student_names(exercise)}
        ruled = {
            name
            for name in functions
            for cell in LAB.tests()
            if "checks.assert_by_hand(" in cell.source and f'"{name}"' in cell.source
        }
        assert functions - ruled == {"output_size", "equivariance_error", "changed_share"}

    def test_solutions_make_no_tensor_on_another_device_than_their_arguments(self, lab):
        """A tensor made without a device lands on "meta" here, and cannot be mixed with the arguments'."""
        x, w, b = drawn(2, 2, 6, 5), drawn(3, 2, 3, 2), drawn(3)
        grad, rows, five = drawn(2, 3, 3, 3), drawn(7), drawn(5)
        weights = lab.start_weights(seeded(1))
        best, switches = lab.max_pool(x, 2, 2)
        with torch.device("meta"):
            results = [
                lab.conv1d(rows, b),
                *lab.conv1d_gradients(five, rows, b),
                lab.conv2d(x, w, b, 2, 1),
                *lab.conv2d_gradients(grad, x, w, 2, 1),
                lab.im2col(x, (3, 2), 2, 1),
                lab.col2im(lab.im2col(x, (3, 2), 2, 1), (6, 5), (3, 2), 2, 1),
                lab.fast_conv2d(x, w, b, 2, 1),
                *lab.fast_conv2d_gradients(grad, x, w, 2, 1),
                *lab.max_pool(x, 3, 2),
                lab.max_pool_gradient(best, switches, 6, 5),
                lab.average_pool(x, 2, 2),
                lab.average_pool_gradient(best, 6, 5, 2, 2),
                lab.global_average_pool_gradient(lab.global_average_pool(x), 6, 5),
                *lab.network_gradients(lab.given_layers, weights, lab.digits_x[:4], lab.digits_t[:4])[1],
            ]
        assert all(result.device.type == "cpu" for result in results)
