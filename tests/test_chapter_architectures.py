"""What the chapter on architectures claims, against the papers' figures and oracles that share no code with it."""

from unmagic import trained

import math

import numpy as np
import pytest
import torch
import torchvision
from scipy import stats
from torch import nn

PAGE = "architectures/from_lenet_to_resnext"  # of the fixtures `page`, `glued` and `names`


# multiply–adds as printed: He et al. 2016, table 1 and section 3.3; Szegedy et al. 2015, section 7; Howard et al.
# 2017, table 8; Xie et al. 2017, table 1; Xie et al. 2019, table 2
PRINTED = {
    "VGG E": 19.6e9,
    "ResNet-18": 1.8e9,
    "ResNet-34": 3.6e9,
    "ResNet-50": 3.8e9,
    "ResNet-101": 7.6e9,
    "ResNet-152": 11.3e9,
    "ResNeXt-50": 4.2e9,
    "MobileNet": 569e6,
    "RandWire WS": 583e6,
}


def count(net):
    return sum(p.numel() for p in net.parameters())


class TestBlueprint:
    def test_who_keeps_to_the_grammar(self, names):
        assert names.keeps == {"LeNet-5": False, "AlexNet": True, "VGG A": True, "NiN": False, "ResNet-18": False}

    @pytest.mark.parametrize("word", ["CRF", "CRPF", "CRCRPCRPFRFRF"])
    def test_sentences_of_it(self, names, word):
        assert names.BLUEPRINT.fullmatch(word)

    @pytest.mark.parametrize(
        "word", ["F", "CF", "CRP", "PCRF", "CRPPF", "CRFRPF", "CRCRCRCRCRPPF"], ids=lambda word: f"not-{word}"
    )
    def test_no_sentences_of_it(self, names, word):
        assert not names.BLUEPRINT.fullmatch(word)

    def test_the_middle_of_a_vgg_stage_costs_the_same_everywhere(self, glued):
        assert glued["vgg-even"] == 9 * 64 * 64 * 224 * 224 / 1e9 == 9 * 512 * 512 * 28 * 28 / 1e9


class TestBudgets:
    @pytest.mark.parametrize("name", PRINTED)
    def test_work_is_the_papers_within_two_percent(self, names, name):
        assert names.budgets[name].macs == pytest.approx(PRINTED[name], rel=0.02)

    def test_the_pages_worst_is_googlenets_one_figure_of_two_digits(self, glued):
        assert glued["macs-compared"] == len(PRINTED) + 1
        assert glued["macs-worst"] == pytest.approx(1.583 / 1.5 - 1, abs=0.001)

    def test_fully_connected_layers_hold_alexnets_parameters_and_do_little_of_its_work(self, names):
        hidden = 9216 * 4096 + 4096 * 4096 + 4096 * 1000
        convolutions = [(11, 3, 96, 55), (5, 48, 256, 27), (3, 256, 384, 13), (3, 192, 384, 13), (3, 192, 256, 13)]
        work = sum(k * k * i * o * side**2 for k, i, o, side in convolutions)
        parameters = hidden + 2 * 4096 + 1000
        assert names.in_fc[0] == pytest.approx([parameters / 60_965_224, hidden / (hidden + work)], rel=1e-6)

    def test_vggs_memory_is_that_of_its_maps(self, names, glued):
        maps = [(64, 224), (128, 112), (256, 56), (512, 28), (512, 14)]
        layers = [2, 2, 3, 3, 3]
        kept = sum(2 * n * c * s * s + c * (s // 2) ** 2 for (c, s), n in zip(maps, layers, strict=True))
        classifier = 25088 + 3 * 2 * 4096 + 1000 - 2 * 4096  # flatten, two hidden layers with ReLU, scores
        ours = sum(row.activations for row in names.vgg_budget.rows)
        assert ours == kept + classifier
        assert glued["vgg-train-128"] == pytest.approx((12 * 138_357_544 + 512 * ours) / 1e9)

    def test_alexnets_memory_with_a_gradient_for_every_map(self, names, glued):
        maps = sum(row.activations for row in names.budgets["AlexNet"].rows)
        assert glued["alex-gb"] == pytest.approx((12 * 60_965_224 + 4 * 128 * maps) / 1e9)
        assert glued["alex-gb-both"] - glued["alex-gb"] == pytest.approx(4 * 128 * maps / 1e9)
        assert maps > 2 * 659_272  # layers and their ReLUs; see the errata


class TestTheLine:
    def test_lenet_has_the_papers_connections_and_parameters(self, glued):
        assert (glued["lenet-connections"], glued["lenet-parameters"]) == (340_908, 60_000)

    def test_halves_of_the_trained_alexnet_differ_in_colour_no_more_than_by_chance(self, names, glued):
        halves = names.colourful[:12], names.colourful[12:]
        drawn = stats.permutation_test(
            halves, lambda a, b: abs(a.mean() - b.mean()), n_resamples=2000, alternative="greater", rng=0
        )
        assert glued["colour-chance"] == pytest.approx(drawn.pvalue, abs=0.04) and drawn.pvalue > 0.05

    def test_ablations_of_alexnet_remove_what_arithmetic_says(self, names):
        conv3, conv4 = 9 * 256 * 384 + 384, 9 * 192 * 384 + 384
        conv5_joined_to_conv2 = 9 * (384 - 256) // 2 * 256  # fewer inputs
        fc6, fc7, fc8_joined_to_conv5 = 9216 * 4096 + 4096, 4096 * 4096 + 4096, (9216 - 4096) * 1000
        assert names.removed == {
            "nothing": 0,
            "7": fc7,
            "6, 7": fc6 + fc7 - fc8_joined_to_conv5,
            "3, 4": conv3 + conv4 + conv5_joined_to_conv2,
            "3, 4, 6, 7": fc6 + fc7 - fc8_joined_to_conv5 + conv3 + conv4 + conv5_joined_to_conv2,
        }

    def test_a_small_alexnet_bears_each_loss_and_not_all_of_them(self, names):
        mean = {name: reached.mean() for name, reached in names.ablations.items()}
        assert mean["3, 4, 6, 7"] < min(mean[name] for name in ("nothing", "7", "6, 7", "3, 4")) - 0.05
        assert min(mean["7"], mean["6, 7"], mean["3, 4"]) > mean["nothing"] - 0.1  # one start of three may be unlucky

    def test_inception_3a_naive_and_reduced(self, glued):
        assert (glued["naive-channels"], glued["naive-parameters"]) == (416, 387_296)
        assert (glued["reduced-channels"], glued["reduced-parameters"]) == (256, 163_696)
        assert glued["naive-macs"] == 28 * 28 * (387_296 - 224) / 1e6  # a multiply–add a weight and place, no biases

    def test_naive_modules_add_what_their_convolutions_make(self, names):
        made = [64 + 128 + 32, 128 + 192 + 96, 192 + 208 + 48, 160 + 224 + 64, 128 + 256 + 64]
        made += [112 + 288 + 64, 256 + 320 + 128, 256 + 320 + 128, 384 + 384 + 128]
        assert names.stack["naive"] == [192, *(192 + np.cumsum(made)).tolist()]
        assert names.stack["reduced"] == [192, 256, 480, 512, 512, 512, 528, 832, 832, 1024]

    def test_heads_carry_what_fading_weights_lose_and_little_else(self, names):
        assert (names.carried["torch"][:4] > 10).all()
        assert (names.carried["He"][:4] < 1).all()
        assert (names.carried["torch"][7:] == 0).all()

    def test_googlenet_with_and_without_its_heads(self, glued):
        assert glued["google-parameters"] == 6.998552
        assert glued["google-with-heads"] == 13.378280

    def test_conv_pool_and_all_conv_have_the_same_convolutions(self, names):
        assert count(names.allcnn["conv-pool"]) == count(names.allcnn["all-conv"]) == 1_369_738
        assert count(names.allcnn["base"]) == count(names.allcnn["strided"]) == 954_730


class TestDepth:
    def test_plain_nets_train_worse_with_depth_on_every_seed_and_residual_ones_do_not(self, names):
        plain = np.array([names.last["plain", depth] for depth in names.depths])  # (3, seeds)
        residual = np.array([names.last["residual", depth] for depth in names.depths])
        assert (plain[2] > plain[0] + 0.5).all() and (plain[2] > plain[1]).all()
        assert (residual[1:] < plain[1:]).all() and residual[2].mean() < residual[0].mean() + 0.25

    def test_the_twins_differ_by_shortcuts_alone(self, names):
        plain, residual = names.twin(20, "none"), names.twin(20, "A")
        assert {k: v.shape for k, v in plain.state_dict().items()} == {
            k: v.shape for k, v in residual.state_dict().items()
        }

    def test_early_gradients_grow_with_depth_in_plain_nets_only(self, glued):
        assert 1 < glued["back-plain-20"] < glued["back-plain-56"] / 10
        assert glued["back-res-56"] < 10

    def test_option_b_is_torchvisions_resnet_34(self, names):
        assert names.options["B"] == count(torchvision.models.resnet34(weights=None))
        projections = sum(a * b + 2 * b for a, b in ((64, 128), (128, 256), (256, 512)))
        assert names.options["B"] - names.options["A"] == projections
        everywhere = sum(n * (c * c + 2 * c) for n, c in ((3, 64), (3, 128), (5, 256), (2, 512)))
        assert names.options["C"] - names.options["B"] == everywhere

    def test_blocks_of_equal_price(self, glued):
        """Multiply–adds a place, of torch's own layers: a weight is used once at each."""

        def weights(*layers):
            return sum(nn.Conv2d(i, o, k, groups=g, bias=False).weight.numel() for i, o, k, g in layers)

        assert glued["block-basic"] == weights(*[(64, 64, 3, 1)] * 2)
        assert glued["block-basic-256"] == weights(*[(256, 256, 3, 1)] * 2)
        assert glued["block-bottleneck"] == weights((256, 64, 1, 1), (64, 64, 3, 1), (64, 256, 1, 1))
        assert glued["block-next"] == weights((256, 128, 1, 1), (128, 128, 3, 32), (128, 256, 1, 1))

    def test_a_fresh_highway_gate_lets_an_eighth_through(self, glued):
        assert glued["highway-gate"] == pytest.approx(1 / (1 + math.exp(2)))

    def test_densenet_40_has_the_papers_million(self, glued):
        assert round(glued["dense-small"], 1) == 1.0  # Huang et al. 2017, table 2

    def test_a_block_with_gamma_zero_lets_a_high_rate_pass(self, names):
        assert (names.high_rate[True] < names.high_rate[False]).all()

    def test_paths_are_the_expanded_product(self, names, glued):
        product = np.linalg.multi_dot([np.eye(5) + A.numpy() for A in reversed(names.matrices)])
        np.testing.assert_allclose(torch.stack(names.paths).sum(0), product @ names.x.numpy(), rtol=1e-10)
        assert glued["paths"] == 256

    def test_nearly_all_paths_of_resnet_110_have_19_to_35_blocks(self, glued):
        exact = sum(math.comb(54, k) for k in range(19, 36)) / 2**54
        assert glued["paths-likely"] == pytest.approx(exact) and exact > 0.95  # Veit et al. 2016, section 4.3

    def test_one_block_less_is_bad_for_a_residual_net_and_the_end_of_a_plain_one(self, names):
        assert names.lesion["plain"].mean() < 0.2 < 0.3 < names.lesion["residual"].mean()
        assert names.anew["residual"].mean() > names.lesion["residual"].mean() + 0.1
        assert names.anew["residual"].mean() > 2 * names.anew["plain"].mean()
        assert names.whole["plain"] > 0.6

    def test_removing_a_residual_block_is_setting_its_branch_to_zero(self, names):
        """Another way to cut: γ and β of the block's last batch norm become 0."""
        net = trained.load("shapes_resnet")
        block = net.stages[1][1]
        nn.init.zeros_(block.residual[-1][1].weight)
        nn.init.zeros_(block.residual[-1][1].bias)
        with torch.no_grad():
            right = net(names.pictures.images).argmax(1) == names.pictures.labels
        assert names.lesion["residual"][4] == pytest.approx(float(right.float().mean()), abs=1e-6)


class TestWidth:
    def test_groups_of_four_have_a_thirty_second_of_the_weights(self, glued):
        assert glued["group-full"] == 32 * glued["group-split"]

    def test_mobilenets_work_is_in_its_1x1_convolutions(self, glued):
        assert glued["mobile-macs"] == pytest.approx(0.9486, abs=0.001)  # Howard et al. 2017, table 2
        assert glued["mobile-weights"] == pytest.approx(0.7459, abs=0.01)  # we count batch norm as well

    def test_binary_alexnet_by_the_byte(self, glued):
        filters = 96 + 256 + 384 + 384 + 256 + 4096 + 4096 + 1000
        weights = 60_965_224 - filters  # a bias a filter
        packed = weights / 8 + 4 * filters + 4 * filters
        assert glued["packed-all-ratio"] == pytest.approx(4 * 60_965_224 / packed, rel=1e-5)
        assert glued["packed-all-ratio"] == pytest.approx(31.65, abs=0.01)
        ends = 11 * 11 * 3 * 96 + 4096 * 1000
        inner = 4 * ends + (weights - ends) / 8 + 4 * filters + 4 * (filters - 1096)
        assert glued["packed-ends-ratio"] == pytest.approx(4 * 60_965_224 / inner, rel=1e-5)
        assert glued["packed-ends-share"] == pytest.approx(4 * ends / inner, rel=1e-5)
        assert glued["packed-ends-before"] == pytest.approx(ends / 60_965_224)
        assert 1 / 15.5 < ends / weights < 1 / 14.5 and 0.65 < 4 * ends / inner < 0.75  # as the question says them

    def test_a_bits_gradient_goes_straight_through_and_through_the_scale(self, names):
        assert names.one_bit.flatten().tolist() == pytest.approx([1, -1, 1, 1])
        assert names.back.flatten().tolist() == pytest.approx([1 + 1 / 4, -1 / 4, 1 / 4, 1 / 4])

    def test_a_classifier_slides_over_a_larger_map(self, names):
        maps = torch.rand(1, 4, 5, 6, generator=torch.Generator().manual_seed(3))
        with torch.no_grad():
            slid = names.as_conv(maps)
            for y, x in ((0, 0), (2, 3), (1, 2)):
                expected = names.small_fc(maps[:, :, y : y + 3, x : x + 3].flatten(1))
                torch.testing.assert_close(slid[:, :, y, x], expected, rtol=1e-5, atol=1e-6)


class TestTradeOff:
    def test_all_nets_spend_the_same(self, names):
        assert all(
            abs(names.macs_of(d, *names.widths_for(d, size), size) / 150_000 - 1) < 0.06 for d, size, _ in names.tried
        )

    def test_twice_as_deep_at_one_budget_is_about_a_root_of_two_narrower(self, glued):
        assert glued["trade-w1-1"] / glued["trade-w1-2"] == pytest.approx(math.sqrt(2), rel=0.12)

    def test_depth_before_width_until_training_gives_up_and_shortcuts_move_that_point(self, names):
        mean = {key: reached.mean() for key, reached in names.tradeoff.items()}
        assert mean[2, 3, False] > mean[1, 3, False] + 0.03
        assert mean[8, 3, False] < mean[4, 3, False] < mean[2, 3, False]
        gains = [names.tradeoff[d, 3, True] - names.tradeoff[d, 3, False] for d in (4, 8)]
        assert all(gain.mean() > 0.05 for gain in gains)
        assert (gains[1] > 0).all()

    def test_the_table_is_the_trained_nets_own(self, names):
        with_masks = [row for row in trained.table() if row["name"].startswith("shapes_")]
        assert {row["name"] for row in names.table} == {row["name"] for row in with_masks} - {"shapes_robust"}
        for row in names.table:
            assert row["parameters"] == count(trained.load(row["name"]))

    def test_the_two_lowest_and_the_one_that_saw_most_images_are_the_three_without_batch_norm(self, names):
        lowest = {row["name"] for row in sorted(names.table, key=lambda row: row["accuracy"])[:2]}
        longest = max(names.table, key=lambda row: row["images"] * row["epochs"])
        without = {
            row["name"]
            for row in names.table
            if not any(isinstance(m, nn.BatchNorm2d) for m in trained.load(row["name"]).modules())
        }
        assert longest["name"] == "shapes_alexnet" and lowest == without - {"shapes_alexnet"}
