"""What the chapter "Looking inside" claims, against oracles that share no code with it."""

import itertools
import math
import re

import numpy as np
import pytest
import torch
from captum.attr import GuidedBackprop
from scipy import ndimage, stats
from scipy.fft import dctn
from scipy.spatial.distance import cdist

PAGE = "visualization/looking_inside"  # of the fixtures `page`, `glued` and `names`


class TestActivations:
    def test_hooks_are_there_while_recording_and_gone_even_after_trouble(self, glued):
        assert glued["hooks-open"] == 7  # a ReLU after each convolution
        assert glued["hooks-after"] == 0

    def test_deeper_layers_become_sparser_with_every_seed_and_the_first_less(self, names, glued):
        rise = names.zeros[:, -1] - names.zeros[:, 0]  # (seeds, layers)
        assert rise.shape == (3, 3) == (glued["zeros-seeds"], 3)
        assert rise[:, 1:].min() > 0.1
        assert rise[:, 0].mean() < rise[:, 1:].mean() - 0.1
        assert [glued[f"zeros-{layer}-up"] for layer in (1, 2, 3)] == (rise > 0).sum(0).tolist()
        assert glued["zeros-1-up"] < 3, "the first seed's first layer is the example in the text"
        assert rise[0, 0] < 0
        assert glued["watch-right"] > 0.95

    def test_sparsity_is_the_share_of_zeros_by_numpy(self, names):
        with torch.no_grad():
            maps = names.healthy[:4](names.held_out.images).numpy()  # after the second ReLU
        assert names.story[-1][0][1] == pytest.approx((maps == 0).mean())

    def test_a_high_rate_kills_channels_and_they_get_no_gradient(self, names, glued):
        with torch.no_grad():
            maps = names.sick[:4](names.digits.images).numpy()
        silent = (maps == 0).all(axis=(0, 2, 3))
        np.testing.assert_array_equal(names.never, silent)
        assert glued["dead-training"] == silent.sum()
        assert silent.sum() >= 5 and glued["dead-gradient"] == 0
        assert glued["dead-healthy"] == 0 and glued["dead-right"] < glued["watch-right"] - 0.1


class TestFilters:
    def test_each_planted_case_is_the_worst_of_its_score(self, glued):
        assert glued["worst-rank"] == 1

    def test_the_planted_scores_are_what_their_definitions_say(self, names):
        ill = names.ill.double().numpy()
        k = names.k
        high = np.add.outer(np.arange(k), np.arange(k)) > k - 1
        spectrum = dctn(ill, axes=(2, 3), norm="ortho")
        noise = (spectrum**2 * high).sum((1, 2, 3)) / (ill**2).sum((1, 2, 3))
        np.testing.assert_allclose(names.after.noise, noise, atol=1e-5)
        alike = np.abs(np.corrcoef(ill.reshape(len(ill), -1)))
        np.fill_diagonal(alike, 0)
        np.testing.assert_allclose(names.after.likeness, alike.max(1), atol=1e-5)
        assert names.after.structureless[5] == pytest.approx(1, abs=1e-5)
        assert names.after.dead.nonzero().flatten().tolist() == [7]

    def test_white_noise_has_a_third_of_its_energy_high_and_training_takes_it_away(self, glued):
        assert glued["noise-untrained"] == pytest.approx(glued["noise-theory"], abs=0.02)
        assert glued["noise-trained"] < 0.75 * glued["noise-theory"]


class TestWhatFires:
    def test_boxes_are_the_receptive_field_of_theory_cut_to_the_scene(self, names, glued):
        assert (glued["box-mid"], glued["box-deep"]) == (14, 40)  # 1 + 2·2 + 1 + 2·2·2 = 14, then 2 + 3·2·4
        for (layer, _), found in names.firing.items():
            sides = found.boxes[:, 2:] - found.boxes[:, :2]  # (8, 2)
            assert sides.max() <= min(names.field(layer), 32)

    def test_the_strongest_scenes_are_those_with_the_largest_values(self, names):
        for (layer, channel), found in names.firing.items():
            values = names.seen_liked[layer][:, channel].flatten(1).amax(1)
            np.testing.assert_allclose(found.values, values.sort(descending=True).values[:8], rtol=1e-5)

    def test_the_last_layers_channels_are_purer(self, glued):
        assert glued["pure-deep"] > glued["pure-mid"] + 0.15 > 0.25

    def test_neighbours_by_codes_are_of_a_kind_and_by_pixels_hardly(self, names, glued):
        labels = names.labels.numpy()
        for space in ("pixels", "codes"):
            vectors = names.spaces[space].numpy()
            nearest = cdist(vectors[250:], vectors[:250]).argmin(1)
            assert glued[f"nearest-{space}"] == pytest.approx((labels[:250][nearest] == labels[250:]).mean(), abs=0.005)
        assert glued["nearest-pixels"] < 0.25 < 0.75 < glued["nearest-codes"]


class TestWhereItLooks:
    def test_an_occlusion_map_is_the_mean_fall_over_the_windows_on_each_pixel(self, names):
        i = names.four[0]
        image, label = names.images[i], names.labels[i]
        falls, counts = np.zeros((32, 32)), np.zeros((32, 32))
        with torch.no_grad():
            sure = names.net(image[None]).softmax(1)[0, label].item()
            for y in range(0, 25, 4):
                for x in range(0, 25, 4):
                    covered = image.clone()
                    covered[:, y : y + 8, x : x + 8] = 0.5
                    fall = sure - names.net(covered[None]).softmax(1)[0, label].item()
                    falls[y : y + 8, x : x + 8] += fall
                    counts[y : y + 8, x : x + 8] += 1
        np.testing.assert_allclose(names.fall[0], falls / counts, atol=1e-5)

    def test_covering_the_object_costs_more_than_covering_anything_else(self, glued):
        assert glued["occluded-on"] < glued["occluded-off"] - 0.1 < glued["occluded-sure"]

    def test_the_gradient_predicts_small_changes_and_not_large_ones(self, glued):
        assert glued["linear-small"] > 0.95 > 0.8 > glued["linear-large"]

    def test_the_class_model_of_a_linear_classifier_is_its_weight_over_twice_the_decay(self, names):
        wanted = names.regression.coef_.reshape(10, 1, 8, 8) / (2 * 0.5)
        exact = names.exact.numpy()
        np.testing.assert_allclose(exact, wanted, rtol=1e-5, atol=1e-7)
        assert names.class_gap < 1e-3

    def test_class_models_reach_their_class(self, glued):
        assert glued["class-sure"] > 0.9

    def test_relu_of_cam_is_hw_times_grad_cam_and_its_mean_the_score(self, names, glued):
        assert glued["cam-gap"] < 1e-5 and glued["cam-places"] == 64
        kept = []
        hook = names.net[int(names.last)].register_forward_hook(lambda part, given, maps: kept.append(maps))
        try:
            with torch.no_grad():
                logits = names.net(names.images[names.one])
        finally:
            hook.remove()
        w = names.net[-1].weight.detach()[names.labels[names.one]].double().numpy()
        maps = kept[0].double().numpy()
        cam = (w[:, :, None, None] * maps).sum(1)
        np.testing.assert_allclose(names.cam, cam, atol=1e-4)
        score = logits.gather(1, names.labels[names.one][:, None])[:, 0] - names.net[-1].bias[names.labels[names.one]]
        np.testing.assert_allclose(cam.mean((1, 2)), score.detach(), atol=1e-4)

    def test_guided_backpropagation_is_captums(self, names):
        x, c = names.images[names.four], names.labels[names.four]
        with pytest.warns(UserWarning, match="backward hooks"):
            theirs = GuidedBackprop(names.net).attribute(x, target=c)
        np.testing.assert_allclose(names.shown["guided backprop"], theirs.abs().amax(1).detach(), atol=1e-5)


METHODS = ["saliency", "guided backprop", "occlusion", "Grad-CAM", "Grad-CAM++"]


class TestScores:
    def test_the_table_has_four_nets_five_methods_and_two_maps_that_know_nothing(self, names):
        assert list(names.methods) == METHODS and list(names.baselines) == ["centred blob", "edges"]
        assert len(names.nets) == 4 and len(names.rows) == len(names.measured) == 4 * 7
        assert all(value.isfinite().all() for value in names.measured.values())

    def test_the_judged_scenes_are_right_for_every_net(self, names):
        x, c = names.images[names.judged], names.labels[names.judged]
        assert len(c) == 100
        for net, _ in names.nets.values():
            with torch.no_grad():
                assert (net(x).argmax(1) == c).all()

    def test_the_blobs_scores_are_those_of_the_masks_alone(self, names):
        masks = names.masks[names.judged, 0].numpy()
        assert names.mean("shapes_live", "centred blob", "pointing") == pytest.approx(masks[:, 15, 15].mean())
        axis = np.arange(32) - 15.5
        blob = np.exp(-np.add.outer(axis**2, axis**2) / 72)
        inside = (masks * blob).sum((1, 2)) / blob.sum()
        assert names.mean("shapes_live", "centred blob", "energy inside") == pytest.approx(inside.mean(), rel=1e-4)

    def test_edges_are_scipys(self, names):
        image = names.images[names.four[0]].numpy()
        slopes = [ndimage.sobel(channel, axis=axis, mode="nearest") for channel in image for axis in (0, 1)]
        expected = np.sqrt(sum(slope**2 for slope in slopes))
        np.testing.assert_allclose(names.edges(names.images[names.four])[0], expected, atol=1e-4)

    @pytest.mark.parametrize("which", ["shapes_live", "shapes_vgg", "shapes_resnet", "shapes_robust"])
    def test_grad_cam_plus_plus_covers_the_object_best_and_occlusion_finds_the_answer(self, names, which):
        overlap, deletion = ({m: names.mean(which, m, column) for m in METHODS} for column in ("IoU", "deletion"))
        assert max(overlap, key=overlap.get) == "Grad-CAM++", overlap
        assert overlap["Grad-CAM"] > names.mean(which, "centred blob", "IoU") + 0.05
        assert min(deletion, key=deletion.get) == "occlusion", deletion

    def test_what_is_called_clear_is_so_scene_by_scene(self, names, glued):
        def t(which, better, worse, column):
            return stats.ttest_rel(names.measured[which, better][:, column], names.measured[which, worse][:, column])[0]

        overlap = [t(which, "Grad-CAM++", m, 1) for which in names.nets for m in METHODS[:3]]
        assert glued["iou-clear"] == pytest.approx(min(overlap), rel=1e-3) and min(overlap) > 2.5
        pointing = [abs(t(which, "saliency", "centred blob", 0)) for which in names.nets]
        assert glued["saliency-as-blob"] == sum(value < 2 for value in pointing)
        lower = [min(t(which, m, "occlusion", 3) for m in METHODS if m != "occlusion") for which in names.nets]
        assert glued["deletion-clear"] == sum(value > 2 for value in lower) < 4

    def test_in_the_table_bold_is_best_and_a_mark_no_better_than_knowing_nothing_in_the_digits_shown(self, names):
        wanted = {"deletion": min}
        for which, start in zip(names.nets, range(0, 28, 7), strict=True):
            cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in names.rows[start : start + 7]]
            for j, column in enumerate(names.columns):
                best = wanted.get(column, max)
                values = [float(re.search(r"\d\.\d\d", row[j])[0]) for row in cells]
                assert values == [round(names.mean(which, m, column), 2) for m in [*METHODS, *names.baselines]]
                assert ["<b>" in row[j] for row in cells[:5]] == [value == best(values[:5]) for value in values[:5]]
                known = best(values[5:])
                no_better = [best(value, known) == known for value in values[:5]]
                assert ["▾" in row[j] for row in cells[:5]] == no_better

    @pytest.mark.parametrize("which", ["shapes_live", "shapes_robust"])
    def test_the_grad_cams_point_at_the_object_most_often(self, names, which):
        pointing = {m: names.mean(which, m, "pointing") for m in METHODS}
        others = max(pointing[m] for m in METHODS[:3])
        assert min(pointing["Grad-CAM"], pointing["Grad-CAM++"]) > others + 0.02, pointing

    def test_guided_backpropagation_points_worse_than_grad_cam_on_one_net_and_best_of_all_on_another(
        self, names, glued
    ):
        assert glued["guided-at-live"] < glued["grad-cam-at-live"] - 0.05
        assert glued["guided-at-vgg"] == max(names.mean("shapes_vgg", m, "pointing") for m in METHODS)
        assert glued["guided-at-vgg"] > glued["grad-cam-at-vgg"] + 0.05

    def test_saliency_covers_the_object_no_better_than_the_blob(self, names):
        assert names.mean("shapes_live", "saliency", "IoU") < names.mean("shapes_live", "centred blob", "IoU")


class TestRandomisation:
    def test_edges_fail_it_and_maps_of_the_net_do_not(self, names):
        assert [entry.likeness for entry in names.sanity["edges"]] == pytest.approx([1] * 9)
        for name in METHODS:
            assert names.sanity[name][-1].likeness < 0.6

    def test_guided_backpropagation_hardly_notices_the_top_layers_and_grad_cam_at_once(self, names, glued):
        assert glued["sanity-guided-3"] > 0.8 > 0.5 > names.sanity["Grad-CAM"][1].likeness
        assert glued["sanity-guided-3"] > names.sanity["saliency"][3].likeness

    def test_grad_cam_plus_plus_misses_that_the_classifier_is_gone_and_guided_maps_the_class(self, glued):
        assert glued["sanity-grad-campp-1"] > 0.85 > 0.5 > glued["sanity-grad-cam-1"]
        assert glued["two-classes-guided"] > 0.85 > 0.5 > glued["two-classes-grad-cam"]

    def test_the_mean_of_the_last_maps_covers_the_object_nearly_as_well_as_grad_cam_plus_plus(self, names, glued):
        with torch.no_grad():
            maps = names.net[: int(names.last) + 1](names.images[names.judged]).mean(1).numpy()  # (100, 8, 8)
        found = ndimage.zoom(maps, (1, 4, 4), order=1, mode="nearest", grid_mode=True)
        np.testing.assert_allclose(names.bright, found, atol=1e-3)
        assert glued["bright-iou"] > glued["grad-campp-iou"] - 0.05

    def test_what_stays_of_saliency_is_like_the_blob_and_hardly_like_the_edges(self, names, glued):
        x, c = names.images[names.tested].clone().requires_grad_(), names.labels[names.tested]
        (slope,) = torch.autograd.grad(names.destroyed.eval()(x).gather(1, c[:, None]).sum(), x)
        left = slope.abs().amax(1).flatten(1).numpy()
        blob = [stats.spearmanr(row, names.blob.flatten()).statistic for row in left]
        edges = names.edges(names.images[names.tested]).flatten(1).numpy()
        edges = [stats.spearmanr(*pair).statistic for pair in zip(left, edges, strict=True)]
        assert glued["left-blob"] == pytest.approx(np.mean(blob), abs=1e-3)
        assert glued["left-edges"] == pytest.approx(np.mean(edges), abs=1e-3)
        assert glued["left-blob"] > glued["left-edges"] + 0.2

    def test_the_trained_net_is_as_it_was(self, names, glued):
        assert names.accuracy(names.net, names.images, names.labels) == pytest.approx(glued["right"])
        assert glued["sanity-right"] < 0.2


class TestFeatures:
    def test_later_layers_know_less_of_the_pixels(self, glued):
        for which in ("no", "both"):
            early, middle, late = (glued[f"invert-{depth}-{which}"] for depth in ("early", "middle", "late"))
            assert early < middle < late

    def test_priors_bring_the_pixels_nearer_at_nearly_the_same_features(self, glued):
        for depth in ("early", "middle", "late"):
            assert glued[f"invert-{depth}-both"] < glued[f"invert-{depth}-no"]
            assert glued[f"features-{depth}-both"] < 0.1
        assert glued["invert-late-no"] > 1

    def test_most_of_the_early_layers_error_is_in_the_colour_of_areas(self, names, glued):
        d = (names.inverted["early", "both priors"] - names.images[names.three]).double().numpy()
        areas = d.reshape(3, 3, 8, 4, 8, 4).mean((3, 5), keepdims=True)
        within = ((d.reshape(3, 3, 8, 4, 8, 4) - areas) ** 2).sum()
        assert glued["early-blocks"] == pytest.approx(1 - within / (d**2).sum(), rel=1e-4)
        assert glued["early-blocks"] > 0.5

    def test_two_changes_of_one_size_in_pixels_differ_in_features_and_in_their_effect(self, names, glued):
        x = names.images[names.judged].numpy()
        assert glued["pixel-loss"] == pytest.approx(((np.roll(x, 2, axis=3) - x) ** 2).mean(), rel=1e-3)
        assert glued["perceptual-ratio"] > 1.5
        assert glued["shifted-right"] > glued["noisy-right"] + 0.05


class TestFooling:
    def test_accuracy_falls_with_epsilon_under_attack_and_hardly_under_random_signs(self, names, glued):
        attacked = names.curves["ordinary, FGSM"]
        assert all(a >= b for a, b in itertools.pairwise(attacked))
        assert glued["fgsm-4"] < 0.5 < 0.85 < glued["random-4"]
        assert glued["robust-4"] > glued["fgsm-4"] + 0.1

    def test_the_pictures_are_moved_by_eight_levels_at_most_and_the_answers_are_others(self, names):
        change = (names.step - names.images[names.four]).abs()
        assert change.max() <= 8 / 255 + 1e-6
        assert (names.after_step.argmax(1) != names.labels[names.four]).sum() >= 3

    def test_the_norms_of_the_gradient_differ_by_much_and_by_less_than_the_root_of_n(self, names, glued):
        assert glued["numbers-of-a-scene"] == names.images[0].numel()
        assert glued["norms-equal"] == pytest.approx(math.sqrt(3 * 32 * 32))
        assert 15 < glued["norms-ratio"] < glued["norms-equal"]

    def test_changes_made_for_one_net_mislead_another(self, glued):
        assert glued["transfer-after"] < glued["transfer-random"] - 0.03

    def test_a_linear_margin_falls_by_epsilon_times_the_l1_norm(self, names, glued):
        w = names.regression.coef_[3] - names.regression.coef_[8]
        assert glued["margin-fall"] == pytest.approx(0.05 * np.abs(w).sum(), rel=1e-4)
        assert glued["margin-random"] == pytest.approx(0.05 * math.sqrt((w**2).sum()), rel=1e-4)
        assert glued["linear-fgsm"] < 0.5 < 0.8 < glued["linear-random"]

    def test_no_change_is_shorter_than_the_distance_to_the_plane(self, names, glued):
        assert names.ratio.min() > 0.999
        assert glued["plane-ratio"] < 1.25

    def test_minimal_changes_are_far_shorter_than_the_way_to_another_scene(self, glued):
        assert glued["minimal-fooled"] >= 0.8
        assert glued["minimal-length"] < 0.2 * glued["nearest-scene"]
        assert glued["minimal-robust"] > 1.2 * glued["minimal-length"]

    def test_noise_is_made_sure(self, names, glued):
        with torch.no_grad():
            sure = names.net(names.nothing).softmax(1).diagonal()
        assert glued["nothing-least"] == pytest.approx(sure.min().item(), abs=1e-3)
        assert sure.min() > 0.9 and glued["nothing-linear"] > 0.9
        assert names.nothing.min() >= 0 and names.nothing.max() <= 1


class TestAdversarialTraining:
    def test_few_examples_gain_clean_accuracy_and_many_lose(self, names, glued):
        clean = {key: results[:, 0] for key, results in names.outcome.items()}
        few, every = (clean[n, True] - clean[n, False] for n in (names.FEW, len(names.digits.images)))
        assert few.mean() > 0.005 and every.mean() < -0.004  # three digits of 600, and two and a half
        up, down = sum(few > 0), sum(every < 0)
        assert (glued["few-up"], glued["all-down"]) == (up, down) and min(up, down) >= 2
        assert glued["few-gain"] == pytest.approx(100 * few.mean())
        assert glued["all-loss"] == pytest.approx(-100 * every.mean())

    @pytest.mark.parametrize("images", ["few", "all"])
    def test_robust_accuracy_rises_and_ten_steps_are_the_harder_exam(self, glued, images):
        assert glued[f"{images}-adversarial-ten"] > glued[f"{images}-ordinary-ten"] + 0.1
        for kind in ("ordinary", "adversarial"):
            clean, one, ten = (glued[f"{images}-{kind}-{exam}"] for exam in ("clean", "one", "ten"))
            assert clean > one > ten

    def test_the_robust_nets_saliency_lies_more_on_the_object_scene_by_scene(self, names, glued):
        robust, ordinary = (names.measured[f"shapes_{kind}", "saliency"][:, 2] for kind in ("robust", "live"))
        test = stats.ttest_rel(robust, ordinary)
        assert glued["inside-t"] == pytest.approx(test.statistic, rel=1e-3) and test.statistic > 3
        assert glued["inside-robust"] > glued["inside-ordinary"]
