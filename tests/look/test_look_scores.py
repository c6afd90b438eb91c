"""Scores by hand-made maps, and the randomisation test."""

from unmagic import look

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn

MASK = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
MASK[0, 0, 1:3, 1:3] = True
PERFECT, WRONG = MASK[:, 0].float(), 1 - MASK[:, 0].float()


def test_a_perfect_map_has_every_point_and_a_wrong_one_none():
    assert look.pointing_game(PERFECT, MASK).tolist() == [1] and look.pointing_game(WRONG, MASK).tolist() == [0]
    assert look.best_iou(PERFECT, MASK).tolist() == [1]
    assert look.energy_inside(PERFECT, MASK).tolist() == [1] and look.energy_inside(WRONG, MASK).tolist() == [0]


def test_best_iou_is_the_best_over_thresholds_and_blind_to_scale():
    halo = PERFECT * 3 + 1.0
    halo[0, 0, 0] = 2.0  # one pixel too much at a low threshold, none at a high one
    assert look.best_iou(halo, MASK).item() == 1 == look.best_iou(halo * 100 - 7, MASK).item()
    missing = PERFECT.clone()
    missing[0, 1, 1] = 0
    assert look.best_iou(missing, MASK).item() == pytest.approx(3 / 4)


def test_best_iou_tries_sixty_four_thresholds_from_the_lowest_value_up():
    """Against every threshold in turn, on maps of as many levels, and one where only the highest will do."""
    generator = np.random.default_rng(0)
    maps, masks = generator.integers(0, 64, (6, 9, 9)), generator.random((6, 1, 9, 9)) < 0.3
    maps[:, 0, :2] = 0, 63  # from the first level to the last
    maps[5], masks[5] = 62, False
    maps[5, 0, 0], maps[5, 4, 4], masks[5, 0, 4, 4] = 0, 63, True
    wanted = [
        max((found & mask[0]).sum() / (found | mask[0]).sum() for level in range(63) for found in (map_ > level,))
        for map_, mask in zip(maps, masks, strict=True)
    ]
    assert wanted[5] == 1
    found = look.best_iou(torch.from_numpy(maps).float(), torch.from_numpy(masks))
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=found.dtype))
    faint = 0.01 * PERFECT  # below all thresholds but the lowest
    faint[0, 1, 1] = 1.0
    assert look.best_iou(faint, MASK).item() == 1


def test_energy_counts_what_is_positive_only():
    maps = torch.zeros(1, 4, 4)
    maps[0, 1, 1], maps[0, 0, 0], maps[0, 3, 3] = 3.0, 1.0, -5.0
    assert look.energy_inside(maps, MASK).item() == pytest.approx(0.75)
    assert look.energy_inside(-torch.ones(1, 4, 4), MASK).item() == 0


class Counts(nn.Module):
    """Two classes; the score of class 1 is the sum of four pixels."""

    def forward(self, x):
        score = 4 * x[:, 0, 1:3, 1:3].sum((1, 2)) - 8
        return torch.stack([torch.zeros_like(score), score], 1)


def test_deletion_falls_and_insertion_rises_fastest_for_the_map_that_knows():
    image, label = torch.ones(1, 1, 4, 4), torch.tensor([1])
    good, bad = (
        [
            look.area(curve(Counts(), image, maps, label, steps=16, fill=0.0)).item()
            for curve in (look.deletion, look.insertion)
        ]
        for maps in (PERFECT, WRONG)
    )
    assert good[0] < 0.3 < 0.7 < bad[0] and good[1] > 0.7 > 0.3 > bad[1]
    curve = look.deletion(Counts(), image, PERFECT, label, steps=16, fill=0.0)
    wanted = [torch.sigmoid(torch.tensor(4.0 * max(0, 4 - k) - 8)).item() for k in range(17)]
    torch.testing.assert_close(curve[0], torch.tensor(wanted))
    # the other way round: grey at first, and the object's four pixels come back one by one
    curve = look.insertion(Counts(), image, PERFECT, label, steps=16)
    wanted = [torch.sigmoid(torch.tensor(4 * (4 * 0.5 + 0.5 * min(4, k)) - 8)).item() for k in range(17)]
    torch.testing.assert_close(curve[0], torch.tensor(wanted))


@pytest.mark.parametrize("score", [look.pointing_game, look.best_iou, look.energy_inside])
def test_maps_in_other_pixels_than_the_masks_are_an_error_that_says_how_to_resize(score):
    """A place of a small map is another place of a large mask: the pointing game would find a pixel all the same."""
    said = rf"{score.__name__}: maps of shape \(1, 2, 2\) for .*look.resized\(maps, \(4, 4\)\)"
    with pytest.raises(ValueError, match=said):
        score(torch.ones(1, 2, 2), MASK)
    assert score(look.resized(torch.ones(1, 2, 2), (4, 4)), MASK).shape == (1,)


def test_curves_take_one_class_for_all_images_and_refuse_maps_of_other_pixels():
    images, maps = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0)), PERFECT.expand(3, 4, 4)
    for curve in (look.deletion, look.insertion):
        many = torch.ones(3, dtype=torch.int64)
        one, each = (curve(Counts(), images, maps, classes, steps=4) for classes in (1, many))
        assert one.equal(each) and one.shape == (3, 5)
        with pytest.raises(ValueError, match=r"wanted \(3, 4, 4\)"):
            curve(Counts(), images, maps[:2], 1)


def test_the_area_under_a_curve_is_its_mean_height():
    torch.testing.assert_close(look.area(torch.tensor([[0.0, 1.0, 0.0], [1.0, 1.0, 1.0]])), torch.tensor([0.5, 1.0]))


def test_rank_correlation_is_spearmans_with_ties():
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(5, 40, generator=generator).round(decimals=1)
    b = torch.randn(5, 40, generator=generator).round(decimals=1) + 0.5 * a
    wanted = [scipy.stats.spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)]
    torch.testing.assert_close(look.rank_correlation(a, b), torch.tensor(wanted))
    assert look.rank_correlation(torch.ones(1, 9), a[:1, :9]).item() == 0


def test_a_map_of_edges_survives_new_weights_and_a_gradient_does_not(nets, scenes):
    net, images, labels = nets["small VGG"], scenes.images[:4], scenes.labels[:4]

    def edges(net):
        return (images[:, :, 1:, 1:] - images[:, :, :-1, :-1]).abs().sum(1)

    rows = look.randomisation_test(net, edges)
    assert [row.likeness for row in rows] == pytest.approx([1.0] * len(rows))
    rows = look.randomisation_test(net, lambda net: look.saliency(net, images, labels))
    layers = [name for name, m in net.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert [row.layer for row in rows] == ["", *reversed(layers)]
    assert rows[0].likeness == pytest.approx(1.0) and rows[-1].likeness < 0.7


def test_layers_are_drawn_anew_from_the_output_down_and_stay_so(nets):
    """The map tells which layers are still as they were trained: at each step one less, and never one again."""
    net = nets["small VGG"]
    trained = {name: m.weight.clone() for name, m in net.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    kept = []

    def explain(net):
        kept.append([name for name, weight in trained.items() if net.get_submodule(name).weight.equal(weight)])
        return torch.ones(1, 2, 2)

    look.randomisation_test(net, explain)
    assert kept == [list(trained)[: len(trained) - n] for n in range(len(trained) + 1)]


def test_a_map_of_the_other_sign_is_like_in_magnitude_alone(nets):
    net, signs = nets["small VGG"], iter([1.0, -1.0] * 9)

    def explain(net):
        return next(signs) * torch.arange(1.0, 10.0).reshape(1, 3, 3)

    assert [row.likeness for row in look.randomisation_test(net, explain)] == pytest.approx([1.0] * 6)
    rows = look.randomisation_test(net, explain, magnitude=False)
    assert [row.likeness for row in rows] == pytest.approx([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])


def test_the_randomisation_test_is_repeatable_and_touches_no_seed(nets, scenes):
    net, images, labels = nets["small VGG"], scenes.images[:2], scenes.labels[:2]
    state = torch.get_rng_state()
    one, other, again = (
        look.randomisation_test(net, lambda n: look.saliency(n, images, labels), seed=seed) for seed in (1, 2, 1)
    )
    assert one == again != other and torch.get_rng_state().equal(state)
