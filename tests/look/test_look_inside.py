"""Filters, firing units, made images and fooled nets."""

from unmagic import look, trained, zoo

import contextlib
import math

import numpy as np
import pytest
import torch
from scipy.fft import dctn
from torch import nn


class TestFilters:
    def planted(self):
        """Four ill filters after five healthy ones: (9, 1, 5, 5)."""
        y, x = torch.meshgrid(torch.linspace(-1, 1, 5), torch.linspace(-1, 1, 5), indexing="ij")
        smooth = [x, y, x * y, x**2 - y**2, torch.exp(-2 * (x**2 + y**2)) - 0.4]
        noise = torch.tensor([[(-1.0) ** (i + j) for j in range(5)] for i in range(5)])
        flat, copy, dead = torch.ones(5, 5), x * 1.1, (x + y) * 1e-4
        return torch.stack([*smooth, noise, flat, copy, dead])[:, None]

    def test_each_planted_illness_ranks_first_in_its_score(self):
        found = look.health(self.planted())
        assert found.noise.argmax() == 5 and found.noise[5] > 0.6 > 0.35 > found.noise[:5].max()
        assert found.structureless.argmax() == 6 and found.structureless[6] > 0.99
        assert set(found.likeness.topk(2).indices.tolist()) == {0, 7} and found.likeness[7] > 0.99
        assert found.dead.tolist() == [0.0] * 8 + [1.0]
        assert (found.score[[5, 6, 7, 8]] > found.score[[1, 2, 3, 4]].max()).all()

    def test_scores_are_shares_of_the_energy_and_the_largest_correlation(self):
        """With scipy's cosine transform and numpy's correlation; also over three channels."""
        for weight in (self.planted()[:8], torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(0))):
            filters = weight.double().numpy()
            k, energy = filters.shape[-1], (filters**2).sum((1, 2, 3))
            high = np.add.outer(np.arange(k), np.arange(k)) > k - 1
            found = look.health(weight)
            np.testing.assert_allclose(
                found.noise, (dctn(filters, axes=(2, 3), norm="ortho") ** 2 * high).sum((1, 2, 3)) / energy, atol=1e-6
            )
            spread = filters - filters.mean((2, 3), keepdims=True)
            np.testing.assert_allclose(found.structureless, 1 - (spread**2).sum((1, 2, 3)) / energy, atol=1e-6)
            varying = filters.reshape(len(filters), -1).std(1) > 0
            alike = np.abs(np.corrcoef(filters.reshape(len(filters), -1)[varying])) - np.eye(varying.sum())
            np.testing.assert_allclose(found.likeness[varying], alike.max(1), atol=1e-6)

    def test_scores_do_not_depend_on_scale(self):
        one, other = look.health(self.planted()[:8]), look.health(100 * self.planted()[:8])
        for a, b in zip(one, other, strict=True):
            torch.testing.assert_close(a, b)

    def test_what_is_no_filter_is_said(self):
        with pytest.raises(ValueError, match="k of 3 or more"):
            look.health(torch.zeros(4, 3, 1, 1))

    def test_a_grid_shows_zero_as_grey_and_each_filter_by_itself(self):
        weight = torch.zeros(3, 1, 3, 3)
        weight[0, 0, 0, 0], weight[1, 0, 0, 0] = 5.0, -0.1
        picture = look.grid(weight, columns=2)
        assert picture.shape == (7, 7, 3)
        assert picture[0, 0].tolist() == [1, 1, 1] and picture[0, 4].tolist() == [0, 0, 0]
        assert picture[1, 1].tolist() == [0.5, 0.5, 0.5] and picture[3, 0].tolist() == [1, 1, 1]


def in_large(net, layer):
    """Arguments of receptive_box for the middle of a layer, on an image of 128×128 that only its maps have to take."""
    found = {}
    hook = look.find_layer(net, layer)[1].register_forward_hook(lambda module, inputs, output: found.update(y=output))
    with contextlib.suppress(RuntimeError), torch.no_grad():  # a layer on a flattened map would want another size
        net(torch.zeros(1, 3, 128, 128))
    hook.remove()
    height, width = found["y"].shape[2:]
    return AsFarAsItGoes(net), "net." + layer, (1, 3, 128, 128), (height // 2, width // 2)


class AsFarAsItGoes(nn.Module):
    """A net on images of another size than its own, which its classifier may refuse."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        with contextlib.suppress(RuntimeError):
            return self.net(x)


class TestInputs:
    def test_the_box_is_the_receptive_field_of_theory(self):
        net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(2, 3, 3))
        # one output sees 3·2 + 2 = 8 pixels, and the next is 2 pixels on
        assert look.receptive_box(net, "3", (1, 1, 20, 20), (0, 0)) == (0, 0, 8, 8)
        assert look.receptive_box(net, "3", (1, 1, 20, 20), (2, 3)) == (4, 6, 12, 14)

    def test_what_fires_most_is_found_with_its_place(self, scenes):
        net = nn.Sequential(nn.Conv2d(3, 1, 3, bias=False))
        nn.init.ones_(net[0].weight)
        images = torch.zeros(5, 3, 9, 9)
        images[3, :, 4:7, 2:5] = 1.0
        images[1, :, 0:3, 6:9] = 0.5
        found = look.strongest(net, "0", 0, images, k=2)
        assert found.images.tolist() == [3, 1] and found.values.tolist() == pytest.approx([27.0, 13.5])
        assert found.boxes.tolist() == [[4, 2, 7, 5], [0, 6, 3, 9]]

    @pytest.mark.parametrize("name", ["shapes_vgg", "shapes_alexnet", "shapes_resnet", "shapes_densenet"])
    def test_the_box_of_a_trained_net_has_the_side_that_its_budget_counts(self, name):
        """On an image so large that no box is cut; a layer that begins with the image's own mean sees no more by it."""
        net = trained.load(name)
        rows = {row.name: row.receptive_field for row in zoo.budget(net, (3, 32, 32)).rows if row.kind == "Conv2d"}
        layers = [layer for layer in rows if rows[layer] < 60]
        for layer in (layers[0], layers[len(layers) // 2], layers[-1]):
            top, left, bottom, right = look.receptive_box(*in_large(net, layer))
            assert (bottom - top, right - left) == (rows[layer], rows[layer]), layer

    def test_a_unit_without_maps_sees_all_of_the_image_that_it_likes_best(self, nets, scenes):
        net, images = nets["residual"], scenes.images
        found = look.strongest(net, "classifier", 3, images, k=2, batch_size=5)
        with torch.no_grad():
            wanted = net(images)[:, 3].topk(2)
        assert found.images.equal(wanted.indices) and found.boxes.tolist() == [[0, 0, 32, 32]] * 2
        torch.testing.assert_close(found.values, wanted.values)

    @pytest.mark.parametrize(
        ("layer", "channel", "said"),
        [
            ("stem", 8, r"channel 8 of a layer whose output has the shape \(16, 8, 32, 32\); wanted one from 0 to 7"),
            ("classifier", -1, r"channel -1 .* \(16, 10\); wanted one from 0 to 9"),
        ],
    )
    def test_a_channel_that_is_not_there_is_said(self, nets, scenes, layer, channel, said):
        with pytest.raises(ValueError, match=said):
            look.strongest(nets["residual"], layer, channel, scenes.images)

    def test_dead_channels_and_zeros_are_counted(self, scenes):
        net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU())
        with torch.no_grad():
            net[0].bias.copy_(torch.tensor([-100.0, 100.0]))
        share, dead = look.sparsity(net, "1", scenes.images)
        assert share == 0.5 and dead.tolist() == [True, False]


class TestCodes:
    def test_maps_are_averaged_and_batches_change_nothing(self, nets, scenes):
        net = nets["residual"]
        found = look.codes(net, scenes.images, "stages", batch_size=5)
        with torch.no_grad():
            torch.testing.assert_close(found, net.stages(net.stem(scenes.images)).mean((2, 3)))
            torch.testing.assert_close(look.codes(net, scenes.images, "classifier"), net(scenes.images))

    def test_neighbours_stay_neighbours(self):
        generator = torch.Generator().manual_seed(0)
        group = torch.arange(3).repeat_interleave(20)
        rows = torch.randn(3, 50, generator=generator)[group] * 2 + torch.randn(60, 50, generator=generator)
        places = look.tsne(rows, perplexity=10)
        assert places.shape == (60, 2) and places.equal(look.tsne(rows, perplexity=10))
        distance = torch.cdist(places, places).fill_diagonal_(math.inf)
        assert group[distance.argmin(1)].equal(group)
        with pytest.raises(ValueError, match="a perplexity of 60 for 60 rows"):
            look.tsne(rows, perplexity=60)


class TestMadeImages:
    def test_the_class_model_of_a_linear_net_is_its_weight_over_twice_the_decay(self):
        net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
        made = look.class_model(net, torch.tensor([2]), (3, 2, 2), decay=0.5, steps=600, rate=0.02)
        torch.testing.assert_close(made.flatten(), net[1].weight[2].detach(), rtol=1e-3, atol=1e-4)  # w/(2λ)

    def test_priors_are_the_papers(self):
        x = torch.tensor([[[[0.0, 2.0], [1.0, 5.0]]]])
        assert look.alpha_prior(x, 3).item() == 8 + 1 + 125
        assert look.total_variation(x, 2.0).item() == 4 + 1  # of the one place with both neighbours
        assert look.total_variation(x, 1.0).item() == pytest.approx(math.sqrt(5), rel=1e-5)

    def test_features_are_inverted_and_early_ones_better(self, nets, scenes):
        images = scenes.images[:2]
        net = nets["residual"]
        _, first = look.invert(net, "stem", images, steps=1)
        made, last = look.invert(net, "stem", images, steps=150)
        assert (last < 0.2 * first).all() and made.shape == images.shape

    def test_the_perceptual_loss_is_the_mean_square_of_the_features(self, scenes):
        net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU())
        a, b = scenes.images[:2].clone().requires_grad_(), scenes.images[2:4]
        loss = look.perceptual_loss(net, "1", a, b)
        torch.testing.assert_close(loss, ((net(a) - net(b)) ** 2).mean((1, 2, 3)))
        loss.sum().backward()
        assert a.grad.abs().sum() > 0 and net[0].weight.grad is None
        assert look.perceptual_loss(net, "1", b, b).tolist() == [0, 0]


class TestFooling:
    def test_one_step_is_epsilon_times_the_sign_of_the_gradient(self, nets, scenes):
        net, images, labels = nets["small VGG"], scenes.images[:4], scenes.labels[:4]
        x = images.clone().requires_grad_()
        (slope,) = torch.autograd.grad(nn.functional.cross_entropy(net(x), labels), x)
        wanted = (images + 0.03 * slope.sign()).clamp(0, 1)
        torch.testing.assert_close(look.fgsm(net, images, labels, 0.03), wanted)

    def test_it_raises_the_loss_of_a_linear_net_by_epsilon_times_the_l1_norm(self):
        net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
        x = torch.full((1, 1, 4, 4), 0.5)
        moved = look.fgsm(net, x, torch.tensor([0]), 0.1)
        w = net[1].weight
        gap = (w[1] - w[0]).detach()
        rise = ((net(moved) - net(x)) @ torch.tensor([-1.0, 1.0])).item()
        assert rise == pytest.approx(0.1 * gap.abs().sum().item(), rel=1e-4)

    def test_a_minimal_change_fools_and_is_near_the_distance_to_the_plane(self):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
        x = torch.full((3, 1, 4, 4), 0.5) + 0.1 * torch.randn(3, 1, 4, 4)
        target = 1 - net(x).argmax(1)
        change = look.minimal_change(net, x, target, steps=100, searches=8)
        assert net(x + change).argmax(1).equal(target)
        w, b = (net[1].weight[1] - net[1].weight[0]), (net[1].bias[1] - net[1].bias[0])
        distance = (x.flatten(1) @ w + b).abs() / w.norm()
        assert (change.flatten(1).norm(dim=1) < 1.6 * distance + 0.02).all()
        assert (x + change).min() >= 0 and (x + change).max() <= 1

    def test_noise_is_made_sure_to_a_linear_net_too(self):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 10))
        classes = torch.tensor([0, 7])
        made = look.fooling_image(net, classes, (3, 16, 16), steps=200, seed=5)
        sure = net(made).softmax(1).gather(1, classes[:, None])[:, 0]
        start = look.fooling_image(net, classes, (3, 16, 16), steps=0, seed=5)
        assert (sure > 0.95).all() and (net(start).softmax(1).max() < 0.5)
        assert made.min() >= 0 and made.max() <= 1

    def test_the_adversarial_loss_mixes_clean_and_attacked(self, nets, scenes):
        net = zoo.cifar_resnet(8, width=4).eval()
        images, labels = scenes.images[:4], scenes.labels[:4]
        loss = look.adversarial_loss(net, images, labels, 0.05, share=0.25)
        attacked = look.fgsm(net, images, labels, 0.05)
        parts = [nn.functional.cross_entropy(net(x), labels) for x in (images, attacked)]
        torch.testing.assert_close(loss, 0.25 * parts[0] + 0.75 * parts[1])
        loss.backward()
        assert all(p.grad is not None for p in net.parameters())

    def test_without_clean_images_only_the_attack_counts(self, scenes):
        net = zoo.cifar_resnet(8, width=4).eval()
        images, labels = scenes.images[:4], scenes.labels[:4]
        loss, logits = look.adversarial(0.05, share=0)(net, images, labels)
        torch.testing.assert_close(logits, net(look.fgsm(net, images, labels, 0.05)))
        torch.testing.assert_close(loss, nn.functional.cross_entropy(logits, labels))

    def test_many_small_steps_stay_near_and_hurt_more_than_one(self, nets, scenes):
        net, images, labels = nets["residual"], scenes.images, scenes.labels
        moved = look.pgd(net, images, labels, 0.03, steps=10)
        assert (moved - images).abs().max() <= 0.03 + 1e-6 and moved.min() >= 0 and moved.max() <= 1
        with torch.no_grad():
            once, often = (
                nn.functional.cross_entropy(net(x), labels) for x in (look.fgsm(net, images, labels, 0.03), moved)
            )
        assert often > once
