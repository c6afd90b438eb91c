"""Images made by many steps: what each of the priors weighs, and where the steps of an attack go."""

from unmagic import look

import pytest
import torch
from torch import nn


def test_each_prior_of_an_inversion_lowers_what_it_weighs(nets, scenes):
    images = scenes.images[:2]

    def made(**weights):
        options = {"alpha_weight": 0.0, "variation_weight": 0.0, "steps": 20} | weights
        x = look.invert(nets["residual"], "stem", images, **options)[0]
        return look.alpha_prior(x - images.mean()).sum(), look.total_variation(x).sum()

    free, small, smooth = made(), made(alpha_weight=10.0), made(variation_weight=0.1)
    assert small[0] < 0.5 * free[0] and smooth[1] < 0.5 * free[1]


def test_many_steps_begin_at_a_random_place_and_each_goes_a_rate_along_the_sign():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(400, 2))
    images, labels = torch.full((1, 1, 20, 20), 0.5), torch.tensor([0])
    start = look.pgd(net, images, labels, 0.1, steps=0, rate=1.0, seed=3)
    away = start - images
    assert away.abs().max() < 0.1 and away.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.1)
    assert not start.equal(look.pgd(net, images, labels, 0.1, steps=0, rate=1.0, seed=4))
    sign = (net[1].weight[1] - net[1].weight[0]).detach().sign().reshape(images.shape)
    for steps, rate in ((1, 0.07), (2, None)):
        wanted = start
        for _ in range(steps):
            wanted = (wanted + (rate or 2.5 * 0.1 / steps) * sign).clamp(0.4, 0.6)
        found = look.pgd(net, images, labels, 0.1, steps=steps, rate=rate, seed=3)
        torch.testing.assert_close(found, wanted)
