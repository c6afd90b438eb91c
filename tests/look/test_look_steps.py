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


class Watched(nn.Module):
    """Notes what it is asked without gradients, and what it answers: the end of each search."""

    def __init__(self, net):
        super().__init__()
        self.net, self.asked = net, []

    def forward(self, x):
        logits = self.net(x)
        if not torch.is_grad_enabled():
            self.asked.append((x, logits.argmax(1)))
        return logits


def two_sided():
    """A linear net, six images near its plane, and for each the class on the other side."""
    torch.manual_seed(0)
    net, images = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), 0.5 + 0.1 * torch.randn(6, 1, 4, 4)
    return net, images, 1 - net(images).argmax(1)


def test_a_minimal_change_is_the_shortest_of_those_that_fooled():
    linear, images, targets = two_sided()
    net = Watched(linear)
    change = look.minimal_change(net, images, targets, steps=15, rate=0.05, searches=6)
    lengths = torch.stack([(x - images).flatten(1).norm(dim=1) for x, _ in net.asked])  # (searches, images)
    fooled = torch.stack([found == targets for _, found in net.asked])
    shortest, longest = lengths.where(fooled, torch.inf).amin(0), lengths.where(fooled, -torch.inf).amax(0)
    assert len(net.asked) == 6 and (longest > shortest + 0.1).all()
    torch.testing.assert_close(change.flatten(1).norm(dim=1), shortest)


def test_a_minimal_change_is_weighed_by_its_length_and_not_by_the_square_of_it():
    """c‖r‖ pulls by c however short r is: where the loss pulls less than the first c, 2, nothing moves away from 0."""
    linear, images, targets = two_sided()
    with torch.no_grad():
        linear[1].weight *= 1.5 / (linear[1].weight[1] - linear[1].weight[0]).norm()  # the loss's slope, at most
        linear[1].bias.zero_()
    net = Watched(linear)
    look.minimal_change(net, images, targets, steps=100, rate=0.005, searches=1)
    assert (net.asked[0][0] - images).flatten(1).norm(dim=1).max() < 0.03
