"""Scores by hand-made maps, and the randomisation test."""

from unmagic import look

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


def test_the_randomisation_test_is_repeatable_and_touches_no_seed(nets, scenes):
    net, images, labels = nets["small VGG"], scenes.images[:2], scenes.labels[:2]
    state = torch.get_rng_state()
    one, other, again = (
        look.randomisation_test(net, lambda n: look.saliency(n, images, labels), seed=seed) for seed in (1, 2, 1)
    )
    assert one == again != other and torch.get_rng_state().equal(state)
