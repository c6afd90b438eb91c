"""What the chapter on reusing a net claims, against oracles that share no code with it."""

from unmagic import data, trained

import numpy as np
import pytest
import torch
from torch import nn

PAGE = "architectures/reusing_a_net"  # of the fixtures `page`, `glued` and `names`


class TestTransfer:
    def test_the_typefaces_of_training_and_test_are_not_the_same(self):
        faces = [set(data.typefaces(1240, 0, split).faces.tolist()) for split in ("train", "test")]
        assert not faces[0] & faces[1]

    def test_the_source_net_reads_new_typefaces(self, glued):
        assert glued["source-accuracy"] > 0.9

    @pytest.mark.parametrize("task", ["similar", "different"])
    def test_few_pictures_are_as_many_of_each_class(self, names, task):
        images, labels = names.some(task, names.FEW[task], 0)
        assert len(images) == names.FEW[task]
        assert set(torch.bincount(labels).tolist()) == {2 if task == "similar" else 5}

    def test_the_source_net_stays_as_it_was(self, names):
        before = {name: value.clone() for name, value in names.source.state_dict().items()}
        names.reuse("similar", 2, 52, 0, 1)
        names.reuse("similar", "tune", 52, 0, 1)
        assert all(torch.equal(before[name], value) for name, value in names.source.state_dict().items())

    def test_frozen_codes_of_few_similar_pictures_are_far_better_than_scratch_in_every_seed(self, names):
        few = {how: names.reached["similar", "few", how] for how in (0, 4)}
        assert few[4].min() > few[0].max() + 0.1

    def test_with_many_similar_pictures_nothing_is_gained_and_freezing_all_loses(self, names):
        many = {how: names.reached["similar", "many", how] for how in (0, 4, "tune")}
        assert abs(many["tune"].mean() - many[0].mean()) < 0.03
        assert many[4].max() < many[0].min()

    def test_with_few_different_pictures_frozen_layers_are_a_little_better_and_which_is_not_seen(self, names):
        few = {how: names.reached["different", "few", how].mean() for how in (0, 2, 4)}
        assert abs(few[2] - few[4]) < 0.03
        assert few[0] + 0.02 < min(few[2], few[4]) < few[0] + 0.12

    def test_with_many_different_pictures_freezing_all_is_a_heavy_burden_and_a_small_rate_no_gain(self, names):
        many = {how: names.reached["different", "many", how] for how in (0, 4, "tune")}
        assert many[4].max() < many[0].min() - 0.05
        assert many["tune"].mean() < many[0].mean()

    def test_at_a_large_rate_old_weights_beat_scratch_at_its_better_rate(self, names):
        scratch = max(names.boldly[0].mean(), names.reached["different", "many", 0].mean())
        assert names.boldly["tune"].min() > scratch
        assert np.ptp(names.boldly[0]) > 0.1

    def test_rates_of_fine_tuning_have_a_valley(self, glued):
        assert max(glued["rate-tiny"], glued["rate-large"]) < min(glued["rate-small"], glued["rate-ours"]) - 0.05

    def test_specific_layers_cost_more_on_the_different_task_in_every_seed(self, names):
        assert names.cost["different"].min() > names.cost["similar"].max() + 0.05

    def test_codes_once_computed_are_those_of_a_net_whose_frozen_part_stands_still(self, names):
        """Freezing the other way: parameters without gradient, and batch norm kept in evaluation mode."""
        images, _ = names.some("similar", 52, 0)
        frozen = names.source[:4].eval()
        inputs = images.clone().requires_grad_()
        running = frozen[0][1].running_mean.clone()
        torch.testing.assert_close(frozen(inputs).detach(), nn.Sequential(*frozen)(images).detach())
        assert torch.equal(frozen[0][1].running_mean, running)
        frozen[0].train()(images)
        moved = not torch.equal(frozen[0][1].running_mean, running)
        frozen[0].eval()[1].running_mean.copy_(running)
        assert moved  # what the chapter warns of


class TestHeatMap:
    def test_a_place_of_the_map_is_the_mean_of_its_window_through_the_classifier(self, names):
        net = trained.load("shapes_live")
        with torch.no_grad():
            maps = nn.Sequential(*list(net)[:-3])(names.picture)[0]  # (48, 24, 32)
            scores = names.sliding(names.picture)[0]
            for v, u in ((0, 0), (3, 11), (16, 24)):
                by_hand = net[-1].weight @ maps[:, v : v + 8, u : u + 8].mean((1, 2)) + net[-1].bias
                torch.testing.assert_close(scores[:, v, u], by_hand, atol=1e-4, rtol=1e-4)

    def test_the_work_is_counted_layer_by_layer(self, glued):
        widths = [(3, 12, 1), (12, 12, 1), (12, 24, 2), (24, 24, 2), (24, 32, 4), (32, 48, 4), (48, 48, 4)]
        whole = sum(9 * i * o * (96 // s) * (128 // s) for i, o, s in widths) + 480 * 17 * 25
        one = sum(9 * i * o * (32 // s) ** 2 for i, o, s in widths) + 480
        assert glued["slide-million"] == pytest.approx(whole / 1e6)
        assert glued["cut-million"] == pytest.approx(17 * 25 * one / 1e6)

    def test_the_scene_costs_some_answers_at_the_borders(self, glued):
        assert (glued["map-rows"], glued["map-columns"]) == (24 - 7, 32 - 7)
        assert 0.8 < glued["tile-scene"] < glued["tile-alone"] and 0.85 < glued["tile-agree"] < 1
        assert glued["tile-found"] > 0.6


class TestKMeans:
    def test_the_update_is_the_formula_patch_by_patch(self, names):
        g = np.random.default_rng(0)
        D, W = g.normal(size=(6, 4)), g.normal(size=(6, 30))
        D /= np.linalg.norm(D, axis=0)
        expected = D.copy()
        for w in W.T:
            j = max(range(4), key=lambda k: abs(D[:, k] @ w))
            expected[:, j] += (D[:, j] @ w) * w
        expected /= np.linalg.norm(expected, axis=0)
        np.testing.assert_allclose(names.update(torch.tensor(D), torch.tensor(W)), expected, rtol=1e-10)

    def test_the_example_is_the_pencils(self, glued):
        assert (glued["hand-first"], glued["hand-second"]) == pytest.approx(np.array([12, 17]) / np.hypot(12, 17))

    def test_whitened_patches_are_uncorrelated_and_of_variance_one_at_most(self, names):
        w = names.patches_of(names.picture_set[0][:500]).permute(1, 0, 2).flatten(1)
        cov = np.cov(w.numpy())
        assert np.abs(cov - np.diag(np.diag(cov))).max() < 0.2 and np.diag(cov).max() < 1.1

    def test_redundancy_sees_a_shifted_twin(self, names):
        pair = torch.zeros(8, 5, 5)
        for k in range(8):
            pair[k, 1 + k // 4, k % 4] = 1  # one pixel each: copies of one another
        assert names.redundancy(pair.flatten(1).T) == pytest.approx(1)

    def test_convolutional_filters_are_best_with_every_number_of_labels(self, names):
        mean = {name: rows.mean(0) for name, rows in names.label_table.items()}
        for other in ("pixels", "random", "k-means"):
            assert (mean["convolutional"] > mean[other] + 0.01).all()
        assert (names.label_table["convolutional"] > names.label_table["k-means"])[:, 1:].all()

    def test_plain_filters_are_no_better_than_random_ones_and_both_better_than_pixels(self, names):
        mean = {name: rows.mean(0) for name, rows in names.label_table.items()}
        assert (mean["k-means"] < mean["random"] + 0.025).all()
        assert (mean["random"] > mean["pixels"] + 0.05).all()

    def test_learned_filters_are_more_alike_than_random_ones(self, glued):
        assert glued["alike-random"] + 0.1 < min(glued["alike-k-means"], glued["alike-convolutional"])
        assert abs(glued["alike-convolutional"] - glued["alike-k-means"]) < 0.1
