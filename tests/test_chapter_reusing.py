"""What the chapter on reusing a net claims, against oracles that share no code with it."""

import unmagic
from unmagic import data, trained
from unmagic.train import evaluate, fit

import copy

import numpy as np
import pytest
import torch
from scipy import linalg
from sklearn.linear_model import Ridge
from torch import nn

PAGE = "architectures/reusing_a_net"  # of the fixtures `page`, `glued` and `names`


class TestTransfer:
    def test_the_typefaces_of_training_and_test_are_not_the_same(self):
        faces = [set(data.typefaces(124, 0, split).faces.tolist()) for split in ("train", "test")]
        assert not faces[0] & faces[1]

    def test_no_picture_is_learned_from_and_tested_on(self, names):
        pairs = [(names.known, names.known_test), *names.tasks.values(), (names.picture_set, names.picture_test)]
        for train, test in pairs:
            seen, asked = ({image.numpy().tobytes() for image in images} for images, _ in (train, test))
            assert not seen & asked and set(train[1].tolist()) == set(test[1].tolist()) == set(
                range(len(set(test[1].tolist())))
            )

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

    def test_tuning_the_top_is_within_some_points_of_tuning_all(self, names):
        for task in ("similar", "different"):
            for size in ("few", "many"):
                top, whole = (names.reached[task, size, how].mean() for how in ("top", "tune"))
                assert abs(top - whole) < 0.07

    def test_what_is_trained_and_where_it_begins(self, names, monkeypatch):
        """Of (how, layers trained, whether the first of them begins with the source net's weights)."""
        met = []
        real = names.fit

        def looking(net, *args, **options):
            first = names.source[5 - len(net)]
            met.append((len(net), isinstance(first[0], nn.Conv2d) and torch.equal(net[0][0].weight, first[0].weight)))
            return real(net, *args, **options)

        monkeypatch.setitem(names.reuse.__globals__, "fit", looking)
        for how in (0, 2, 4, "top", "tune"):
            names.reuse("similar", how, 52, 0, 1)
        assert met == [(5, False), (3, False), (1, False), (3, True), (5, True)]

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

    def test_codes_once_computed_train_the_classifier_that_a_net_with_a_frozen_part_trains(self, names):
        """Freezing the other way: every batch goes through the whole net, whose first four layers never move."""

        class Frozen(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = copy.deepcopy(names.source[:4])

            def train(self, mode=True):
                return super().train(False)

            def forward(self, x):
                return self.layers(x).detach()

        unmagic.seed_everything(0)
        whole = nn.Sequential(Frozen(), names.make(26)[4])
        before = [value.clone() for value in whole[0].state_dict().values()]
        settings = {"learning_rate": 0.02, "batch_size": 25, "seed": 0, "progress": False, "device": "cpu"}
        fit(whole, names.some("similar", 52, 0), 30, **settings)
        assert all(map(torch.equal, before, whole[0].state_dict().values()))
        found = evaluate(whole, names.tasks["similar"][1])["accuracy"]
        assert names.reached["similar", "few", 4][0] == pytest.approx(found, abs=0.002)
        # what the chapter warns of: without gradients and yet in training mode, batch norm's statistics move
        loose = copy.deepcopy(names.source[:1]).requires_grad_(False).train()
        loose(names.known[0][:50])
        assert not loose[0][1].running_mean.equal(names.source[0][1].running_mean)


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

    def test_answers_in_the_scenes_are_counted_tile_by_tile(self, names, glued):
        """A scene laid out by slices, and the place of a window's middle looked up in the picture of tiles."""
        scenes = data.shapes(600, split="test")
        tile_of = np.repeat(np.repeat(np.arange(12).reshape(3, 4), 32, 0), 32, 1)  # (96, 128)
        right, found = [], []
        for images, labels in zip(scenes.images.split(12), scenes.labels.split(12), strict=True):
            scene = torch.zeros(1, 3, 96, 128)
            for tile in range(12):
                y, x = 32 * (tile // 4), 32 * (tile % 4)
                scene[0, :, y : y + 32, x : x + 32] = images[tile]
            with torch.no_grad():
                scores = names.sliding(scene)[0].numpy()  # (10, 17, 25)
            for tile, c in enumerate(labels.tolist()):
                right.append(scores[:, 8 * (tile // 4), 8 * (tile % 4)].argmax() == c)
                if labels.tolist().count(c) == 1:
                    v, u = np.unravel_index(scores[c].argmax(), scores[c].shape)
                    found.append(tile_of[4 * v + 16, 4 * u + 16] == tile)
        assert glued["tile-scene"] == pytest.approx(np.mean(right), abs=0.002)
        assert glued["tile-found"] == pytest.approx(np.mean(found), abs=0.005)

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

    def test_convolutional_k_means_takes_of_each_window_the_patch_that_fits_best(self, names):
        """One round, with the best of all filters and places looked for at once."""
        w, D = names.windows(10, 0).double().numpy(), names.random_filters(0).double().numpy()
        answers = np.abs(np.einsum("pk,npl->nlk", D, w))  # (n, 36, 8)
        best, _ = np.unravel_index(answers.reshape(len(w), -1).argmax(1), answers.shape[1:])
        patches = w[np.arange(len(w)), :, best]  # (n, 25)
        fits = patches @ D
        only = np.where(np.arange(8) == np.abs(fits).argmax(1)[:, None], fits, 0)
        wanted = patches.T @ only + D
        found = names.kmeans(10, 0, rounds=1)
        np.testing.assert_allclose(found, wanted / np.linalg.norm(wanted, axis=0), atol=2e-3)

    def test_patches_are_standardized_and_whitened_as_the_formula_says(self, names):
        """Each minus its mean, over its deviation; then times the inverse root of their covariance plus a tenth."""
        images = names.picture_set[0]
        cut = np.lib.stride_tricks.sliding_window_view(images[:, 0].double().numpy(), (5, 5), axis=(1, 2))
        cut = cut.reshape(-1, 25)
        cut = (cut - cut.mean(1, keepdims=True)) / np.sqrt(cut.var(1, keepdims=True) + 0.01)
        centre = cut.mean(0)
        root = linalg.inv(linalg.sqrtm(np.cov(cut.T) + 0.1 * np.eye(25)).real)
        wanted = (cut[:1440] - centre) @ root.T  # of the first ten pictures
        found = names.patches_of(images[:10]).permute(0, 2, 1).reshape(-1, 25)
        np.testing.assert_allclose(found, wanted, atol=2e-3)

    def test_the_classifier_is_ridge_regression_on_standardized_codes(self, names):
        (train, labels), (test, _) = names.picture_set, names.picture_test
        D = names.random_filters(0)
        few, many = names.codes(D, train[:300]).double().numpy(), names.codes(D, test[:500]).double().numpy()
        mean, std = few.mean(0), few.std(0, ddof=1) + 0.1
        ridge = Ridge(alpha=30 * 300**0.5, fit_intercept=False)
        ridge.fit((few - mean) / std, np.eye(36)[labels[:300]] - 1 / 36)
        wanted = ridge.predict((many - mean) / std).argmax(1)
        found = names.linear_classifier(names.codes(D, train[:300]), labels[:300], names.codes(D, test[:500]))
        assert (found.numpy() == wanted).mean() > 0.995

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
