"""The lab `visualization`: its solutions against captum, `unmagic.look`, closed forms; and what holds for it alone."""

from unmagic import checks, data, look, trained

import re

import captum.attr
import captum.robust
import pytest
import torch
from torch.nn import functional as F

from autograder import grade_notebook
from autograder.audit.variants import model_answers
from autograder.examiner import examine
from autograder.labs import load_lab
from autograder.labs.names import names_of
from autograder.release import solved_notebook

LAB = load_lab("visualization")  # of the fixture `lab`
ANSWERS = model_answers(LAB)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def net():
    """A trained net with batch norm and ten layers, for 32×32 colour images; its last maps are behind layer "22"."""
    return trained.load("shapes_live")


@pytest.fixture(scope="module")
def scenes():
    return data.shapes(12, split="validation")


class TestFlow:
    """Exercises 1 and 2."""

    def test_recorded_are_captums_activations_and_no_hook_is_left(self, lab, net, scenes):
        names = ["22", "1", "6"]
        found = lab.record(net, names, scenes.images)
        assert list(found) == names
        for name in names:
            layer = net.get_submodule(name)
            theirs = captum.attr.LayerActivation(net, layer).attribute(scenes.images)
            torch.testing.assert_close(found[name], theirs.detach())
        assert lab.traces(net) == lab.UNTOUCHED

    @pytest.mark.parametrize(
        ("layers", "channels"), [(["0", "5"], 4), (["0", "none"], 3)], ids=["the-net-raises", "no-such-layer"]
    )
    def test_whatever_fails_no_hook_is_left_but_that_of_others(self, lab, layers, channels):
        hooked = lab.hooked_net(1)
        with pytest.raises((RuntimeError, AttributeError)):
            lab.record(hooked, layers, torch.ones(1, channels, 8, 8))
        assert lab.hooks_on(hooked) == 1

    def test_sparsity_and_dead_units_are_looks_however_the_data_is_cut(self, lab, net, scenes):
        silenced = trained.load("shapes_live")
        with torch.no_grad():
            silenced[8].bias[3], silenced[8].weight[3] = -1.0, 0.0  # batch norm before a ReLU: never above 0
        wanted, dead = look.sparsity(silenced, "9", scenes.images)
        assert dead[3]
        for size in (12, 5, 1):
            batches = [lab.record(silenced, ["9"], part)["9"] for part in scenes.images.split(size)]
            assert lab.sparsity(batches) == pytest.approx(wanted)
            assert torch.equal(lab.dead_units(batches), dead)


class TestFilters:
    """Exercise 3."""

    @pytest.mark.parametrize("shape", [(6, 1, 3, 3), (8, 3, 5, 5), (16, 3, 7, 7)])
    def test_scores_are_looks(self, lab, shape):
        w = torch.randn(*shape, generator=seeded(), dtype=torch.float64)
        w[0] *= 1e-3
        ours, theirs = lab.filter_scores(w), look.health(w)
        for name, wanted in zip(("noise", "alike", "flat", "dead"), theirs, strict=True):
            torch.testing.assert_close(ours[name].float(), wanted)

    def test_the_cosine_basis_is_orthonormal(self, lab):
        for k in (3, 4, 7):
            basis = lab.cosines(k, torch.float64)
            torch.testing.assert_close(basis @ basis.T, torch.eye(k, dtype=torch.float64))

    @pytest.mark.parametrize("ailment", ["healthy", "dead", "flat", "alike", "noise"])
    def test_planted_ailments_are_named_whatever_the_seed_and_far_from_the_limits(self, lab, ailment):
        order = list(lab.AILMENTS)
        for seed in range(100):
            w = lab.filters(ailment, seed, 20)
            assert lab.diagnose(w) == ailment
            means = {name: score.mean().item() for name, score in lab.filter_scores(w).items()}
            for name in order[: order.index(ailment) + 1] if ailment in order else order:
                assert abs(means[name] - lab.AILMENTS[name]) > 0.02, (seed, name, means)


class TestMaps:
    """Exercises 4 to 7, against captum."""

    def test_saliency_is_captums(self, lab, net, scenes):
        theirs = captum.attr.Saliency(net).attribute(scenes.images.clone().requires_grad_(), target=scenes.labels)
        torch.testing.assert_close(lab.saliency(net, scenes.images, scenes.labels), theirs.amax(dim=1))

    def test_occlusion_is_the_probability_less_captums_attribution(self, lab, net, scenes):
        x, classes = scenes.images[:3], scenes.labels[:3]

        def chances(x):
            return net(x).softmax(1)

        # windows that tile do not overlap, so captum's attribution of a pixel is that of the one window it lies in
        theirs = captum.attr.Occlusion(chances).attribute(
            x, sliding_window_shapes=(3, 8, 8), strides=(3, 8, 8), target=classes, baselines=0.25
        )
        whole = chances(x).gather(1, classes[:, None])[:, :, None]
        wanted = (whole - theirs[:, 0, ::8, ::8]).detach()
        torch.testing.assert_close(lab.occlusion(net, x, classes, 8, 8, 0.25), wanted.float(), rtol=1e-4, atol=1e-5)

    def test_the_work_of_occlusion_hardly_grows_with_a_nets_depth_times_places(self, lab):
        deep, x = lab.deep_net(1), torch.rand(1, 1, 8, 8)
        few = checks.torch_calls(lab.occlusion, deep, x, torch.tensor([0]), 7)[1]  # 4 places
        many = checks.torch_calls(lab.occlusion, deep, x, torch.tensor([0]), 2)[1]  # 49 places
        assert many - few < 45 * len(deep) / 2

    def test_cam_is_looks_and_its_mean_is_the_score(self, lab, net, scenes):
        maps = lab.cam(net, scenes.images, scenes.labels)
        torch.testing.assert_close(maps, look.cam(net, scenes.images, "22", "25", scenes.labels))
        scores = net(scenes.images).gather(1, scenes.labels[:, None])[:, 0]
        torch.testing.assert_close(maps.mean((1, 2)) + net[-1].bias[scenes.labels], scores)

    @pytest.mark.parametrize("layer", ["22", "19", "9"])
    def test_grad_cam_is_captums(self, lab, net, scenes, layer):
        theirs = captum.attr.LayerGradCam(net, net.get_submodule(layer)).attribute(
            scenes.images, target=scenes.labels, relu_attributions=True
        )
        ours = lab.grad_cam(net, layer, scenes.images, scenes.labels)
        torch.testing.assert_close(ours, theirs[:, 0].detach())
        assert lab.traces(net) == lab.UNTOUCHED

    def test_the_relu_of_cam_is_hw_times_grad_cam_behind_global_average_pooling(self, lab, net, scenes):
        ours = lab.grad_cam(net, "22", scenes.images, scenes.labels)
        places = ours.shape[1] * ours.shape[2]
        torch.testing.assert_close(
            places * ours, lab.cam(net, scenes.images, scenes.labels).relu(), rtol=1e-5, atol=1e-5
        )


class TestScores:
    """Exercise 8."""

    def test_all_three_are_looks_on_real_maps_and_masks(self, lab, net, scenes):
        masks = scenes.masks[:, 0]
        levels = (torch.arange(64) / 64).tolist()
        for maps in (
            look.saliency(net, scenes.images, scenes.labels),
            look.resized(look.cam(net, scenes.images, "22", "25", scenes.labels), (32, 32)),
            torch.zeros(12, 32, 32),
        ):
            torch.testing.assert_close(lab.pointing_game(maps, masks), look.pointing_game(maps, scenes.masks))
            torch.testing.assert_close(lab.best_iou(maps, masks, levels), look.best_iou(maps, scenes.masks))
            torch.testing.assert_close(lab.energy_inside(maps, masks), look.energy_inside(maps, scenes.masks))


class TestImages:
    """Exercises 9 and 10."""

    def test_the_class_model_of_a_linear_net_is_its_weights_over_2_lambda(self, lab):
        weights = torch.randn(4, 2, 3, 5, generator=seeded())
        found = lab.class_model(lab.linear_net(weights), torch.arange(4), torch.zeros(4, 2, 3, 5), 0.5, 80, 0.3)
        torch.testing.assert_close(found, weights / (2 * 0.5), rtol=1e-4, atol=1e-5)

    def test_of_a_trained_net_it_is_named_as_the_class_it_was_made_for(self, lab):
        classes = torch.arange(10)
        models = lab.class_model(lab.digits_net(), classes, torch.zeros(10, 1, 8, 8), 0.3, 100, 0.05)
        assert torch.equal(lab.digits_net()(models).argmax(1), classes)

    @pytest.mark.parametrize("beta", [1.0, 2.0, 3.0])
    def test_total_variation_is_looks_and_passes_gradcheck(self, lab, beta):
        x = torch.rand(2, 3, 5, 4, generator=seeded(), dtype=torch.float64)
        torch.testing.assert_close(lab.total_variation(x, beta), look.total_variation(x, beta))
        assert torch.autograd.gradcheck(lambda x: lab.total_variation(x, beta), x.requires_grad_())

    def test_inversion_goes_where_torchs_momentum_goes_and_forgets_more_the_deeper_the_layer(self, lab):
        net, original = lab.digits_net(), lab.test_x[:4]
        start, missing = torch.full_like(original, 0.5), []
        for depth in (3, 6, 10, 13):
            features = net[:depth]
            wanted = features(original).detach()
            found = lab.invert(features, wanted, start, 1e-3, 120, 0.05)
            missing.append((found - original).square().mean().item())
            theirs = start.clone().requires_grad_()
            optimizer = torch.optim.SGD([theirs], lr=0.05, momentum=0.9)
            for _ in range(120 if depth == 3 else 0):
                optimizer.zero_grad()
                error = (features(theirs) - wanted).square().sum((1, 2, 3)) / wanted.square().sum((1, 2, 3))
                (error + 1e-3 * look.total_variation(theirs)).sum().backward()
                optimizer.step()
            if depth == 3:
                torch.testing.assert_close(found, theirs.detach(), rtol=1e-2, atol=1e-2)
        assert missing == sorted(missing)


class TestFooling:
    """Exercises 11 to 13."""

    def test_fgsm_is_captums(self, lab, scenes):
        def losses(scores, labels):
            return F.cross_entropy(scores, labels, reduction="none")

        net = trained.load("shapes_live").double()  # in float32 the sign of a slope near 0 is rounding
        images = scenes.images.double()
        theirs = captum.robust.FGSM(net, losses, lower_bound=0, upper_bound=1)
        theirs.zero_thresh = 0  # else slopes below 1e-6 count as 0 there
        wanted = theirs.perturb(images.clone().requires_grad_(), 0.02, scenes.labels)
        torch.testing.assert_close(lab.fgsm(net, images, scenes.labels, 0.02), wanted.detach())

    def test_accuracy_falls_with_epsilon(self, lab):
        shares = lab.accuracy_against(lab.digits_net(), lab.test_x, lab.test_t, [0.0, 0.05, 0.1, 0.2])
        assert shares[0] == pytest.approx(lab.share_right(lab.digits_net(), lab.test_x, lab.test_t))
        assert shares == sorted(shares, reverse=True)
        assert shares[-1] < shares[0] / 2

    def test_the_minimal_change_of_a_linear_net_is_little_longer_than_the_way_to_the_boundary(self, lab):
        """The distance to the plane where two linear scores are equal is (S₀ − S₁)/‖w₀ − w₁‖."""
        weights = torch.randn(2, 1, 4, 4, generator=seeded(3))
        net, x = lab.linear_net(weights), 0.4 + 0.2 * torch.rand(5, 1, 4, 4, generator=seeded(4))
        scores = net(x).detach()
        targets = 1 - scores.argmax(1)
        distance = (scores[:, 0] - scores[:, 1]).abs() / (weights[0] - weights[1]).norm()
        prices = (30 * 0.75 ** torch.arange(24)).tolist()
        r = lab.minimal_change(net, x, targets, prices, 200, 0.03)
        assert torch.equal(net(x + r).argmax(1), targets)
        assert ((x + r >= 0) & (x + r <= 1)).all()
        length = r.flatten(1).norm(dim=1)
        assert (length >= distance - 1e-5).all()
        assert (length < 1.25 * distance + 0.02).all()

    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_an_adversarial_epoch_makes_digits_robust_whatever_the_order(self, lab, seed):
        net = lab.digits_net()
        was = lab.accuracy_against(net, lab.test_x, lab.test_t, [0.1])[0]
        batches = lab.batches_of(32, len(lab.digits_x), seed)
        losses = lab.adversarial_epoch(net, look.fgsm, lab.digits_x, lab.digits_t, batches, 0.1, 0.05)
        assert losses.shape == (len(batches),)
        assert lab.traces(net) == lab.UNTOUCHED
        assert lab.share_right(net, lab.test_x, lab.test_t) > 0.95
        assert lab.accuracy_against(net, lab.test_x, lab.test_t, [0.1])[0] > was + 0.15

    def test_with_no_share_for_attacks_it_is_plain_training(self, lab):
        ours, theirs = lab.norm_net(2), lab.norm_net(2)
        x, t = torch.rand(12, 1, 6, 6, generator=seeded()), torch.arange(12) % 3
        # the attacked images still pass through batch norm: take none that would change its statistics
        lab.adversarial_epoch(ours, lambda net, x, t, strength: x, x, t, [torch.arange(12)], 0.0, 0.1, 1.0)
        optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1)
        F.cross_entropy(theirs.train()(x), t).backward()
        optimizer.step()
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(a, b)


class TestLab:
    """The lab as a whole."""

    @pytest.mark.parametrize("bridge", [False, True], ids=["in-the-notebook", "across-the-bridge"])
    def test_the_solutions_get_all_points_that_tests_give(self, bridge):
        examination = examine(LAB, ANSWERS, seed="any", bridge=bridge)
        assert {result.grade_id: result.message for result in examination.results if not result.ok} == {}
        assert examination.points == 35
        assert LAB.points == 38

    def test_a_solved_hand_in_gets_them_in_the_sandbox_where_its_nets_are_made(self):
        result = grade_notebook(solved_notebook(LAB), "visualization", seed="any")
        assert (result.state, result.points) == ("graded", 35), result.reason

    def test_the_model_answer_in_words_has_the_numbers_of_the_plot_that_it_reads(self, lab, capsys):
        plot, answer = (cell for cell in LAB.cells if cell.name in ("two_curves", "reading_the_curves"))
        seen = dict(vars(lab))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lab.plt, "show", lambda: None)
            exec(plot.source, seen)
        lab.plt.close("all")
        standard, robust = ([round(100 * v) for v in seen["accuracies"][name]] for name in ("standard", "robust"))
        read = [f"{standard[0]} % and {robust[0]} %"]
        read += [f"at {seen['epsilons'][n]} about {robust[n]} % against {standard[n]} %" for n in (2, 3)]
        (points, inside), (points_robust, inside_robust) = (
            re.findall(r"(\d+)%", line) for line in capsys.readouterr().out.splitlines()
        )
        read += [f"{points} % and {points_robust} %", f"{inside_robust} % against {inside} %"]
        words = " ".join(answer.source.replace("#", " ").split())
        assert [numbers for numbers in read if numbers not in words] == []

    def test_no_tests_cell_uses_the_answer_to_another_exercise(self):
        for exercise in LAB.exercises:
            assert {cell.exercise for cell in LAB.dependents(exercise)} == {exercise}

    def test_tests_leave_the_names_of_set_up_cells_and_of_answers_alone(self):
        taken = (names_of(cell.source).defined for cell in LAB.cells if cell.kind in ("setup", "solution"))
        taken = frozenset().union(*taken)
        for cell in LAB.tests():
            assert not names_of(cell.source).defined & taken, cell.name

    def test_every_answer_must_be_written_by_hand(self):
        for exercise in LAB.exercises:
            source = "".join(cell.source for cell in LAB.tests(exercise))
            for name in LAB.student_names(exercise):
                assert "checks.assert_by_hand(" in source and f'"{name}"' in source, name

    def test_nets_are_the_same_on_both_sides_and_others_for_another_seed(self, lab):
        for make in (lab.small_net, lab.flat_net, lab.norm_net, lab.deep_net, lab.frozen_net, lab.narrow_net):
            first, second, other = (torch.cat([p.detach().flatten() for p in make(n).parameters()]) for n in (1, 1, 2))
            assert torch.equal(first, second)
            assert not torch.equal(first, other)

    def test_solutions_make_no_tensor_on_another_device_than_their_arguments(self, lab):
        """A tensor made without a device lands on "meta" here, and cannot be mixed with the arguments'."""
        net, x, classes = lab.small_net(1), torch.rand(2, 3, 8, 8), torch.tensor([0, 2])
        maps, masks, w = torch.rand(2, 4, 4), torch.rand(2, 4, 4) > 0.5, lab.filters("healthy", 1, 4)
        scored = lab.norm_net(1)
        gray, batches = torch.rand(4, 1, 6, 6), [torch.arange(4)]
        linear = lab.linear_net(torch.ones(2, 3, 8, 8))
        basis = lab.cosines(7)
        with torch.device("meta"), pytest.MonkeyPatch.context() as patch:
            patch.setitem(lab.filter_scores.__globals__, "cosines", lambda k, dtype: basis)
            results = [
                *lab.record(net, ["0"], x).values(),
                lab.dead_units([x, x]),
                *lab.filter_scores(w).values(),
                lab.saliency(net, x, classes),
                lab.occlusion(net, x, classes, 5),
                lab.cam(net, x, classes),
                lab.grad_cam(net, "4", x, classes),
                lab.pointing_game(maps, masks),
                lab.best_iou(maps, masks, [0.0, 0.5]),
                lab.energy_inside(maps, masks),
                lab.class_model(net, classes, x, 0.1, 2, 0.1),
                lab.total_variation(x),
                lab.invert(net[:2], net[:2](x).detach(), x + 0.1, 0.1, 2, 0.1),
                lab.fgsm(net, x, classes, 0.1),
                lab.minimal_change(linear, x, torch.tensor([0, 1], device="cpu"), [1.0, 0.1], 2, 0.1),
                lab.adversarial_epoch(scored, lab.brighten, gray, classes.repeat(2), batches, 0.1, 0.1),
            ]
        assert all(result.device.type == "cpu" for result in results)
