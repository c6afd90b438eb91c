"""Drawn scenes: only the outline tells the class, and the mask is the object."""

from unmagic import data
from unmagic.data.outlines import OUTLINES

import math

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


@pytest.fixture(scope="module")
def train():
    return data.shapes(5000)


@pytest.fixture(scope="module")
def test():
    return data.shapes(5000, split="test")


class TestTensors:
    def test_have_the_documented_shapes_dtypes_and_ranges(self, train):
        images, labels, masks = train
        assert (images.shape, images.dtype) == ((5000, 3, 32, 32), torch.float32)
        assert (labels.shape, labels.dtype) == ((5000,), torch.int64)
        assert (masks.shape, masks.dtype) == ((5000, 1, 32, 32), torch.bool)
        assert images.min() >= 0 and images.max() <= 1 and images.std() > 0.15

    def test_every_250_images_hold_each_class_25_times(self, train):
        for block in train.labels.split(250):
            assert block.bincount(minlength=10).tolist() == [25] * 10

    def test_none_are_none(self):
        images, labels, masks = data.shapes(0)
        assert (len(images), len(labels), len(masks)) == (0, 0, 0)

    @pytest.mark.parametrize("n, split, says", [(-1, "train", "n is -1"), (5, "valid", "wanted one of 'train'")])
    def test_what_cannot_be_drawn_is_a_clear_error(self, n, split, says):
        with pytest.raises(ValueError, match=says):
            data.shapes(n, split=split)


class TestReproducible:
    def test_the_first_images_of_more_are_the_same(self, train):
        for few, many in zip(data.shapes(300), train, strict=True):
            assert torch.equal(few, many[:300])

    def test_the_global_generator_neither_matters_nor_moves(self):
        torch.manual_seed(1)
        state, first = torch.get_rng_state(), data.shapes(10)
        assert torch.equal(torch.get_rng_state(), state)
        torch.manual_seed(2)
        assert torch.equal(data.shapes(10).images, first.images)

    def test_no_image_occurs_twice_in_any_split_or_seed(self):
        draws = [data.shapes(500, seed, split) for seed in (0, 1) for split in data.SPLITS]
        seen = {image.numpy().tobytes() for draw in draws for image in draw.images}
        assert len(seen) == 3000


class TestOutlines:
    """Each outline's stated area, reach and unit slope, against counting on a fine grid."""

    @pytest.mark.parametrize("name", OUTLINES)
    @pytest.mark.parametrize("p", [0.0, 0.6, 1.0])
    def test_area_and_reach_are_what_a_fine_grid_counts(self, name, p):
        outline, side = OUTLINES[name], 1500
        axis = (torch.arange(side) + 0.5) / side * 3 - 1.5
        x, y = axis.repeat(side)[None], axis.repeat_interleave(side)[None]
        p = torch.tensor([[p]])
        inside = outline.distance(x, y, p) < 0
        assert inside.sum().item() * (3 / side) ** 2 == pytest.approx(outline.area(p).item(), rel=3e-3)
        assert torch.hypot(x, y)[inside].max().item() == pytest.approx(outline.reach(p).item(), abs=0.02)

    @pytest.mark.parametrize("name", OUTLINES)
    def test_distance_grows_by_one_a_unit_across_the_outline(self, name):
        g = torch.Generator().manual_seed(0)
        x, y = (3 * torch.rand(2, 1, 20000, generator=g, dtype=torch.float64) - 1.5).requires_grad_()
        distance = OUTLINES[name].distance(x, y, torch.tensor([[0.5]], dtype=torch.float64))
        slope = torch.hypot(*torch.autograd.grad(distance.sum(), (x, y)))
        near = distance.abs() < 0.05
        assert near.sum() > 200
        assert torch.allclose(slope[near], torch.ones_like(slope[near]), atol=1e-6)


class TestMasks:
    def test_the_object_lies_whole_in_the_image_and_covers_80_to_170_pixels(self, train):
        area = train.masks.sum((1, 2, 3))
        assert area.min() >= 70 and area.max() <= 180
        border = train.masks[..., 0, :].sum() + train.masks[..., -1, :].sum()
        assert border < 0.01 * area.sum()

    def test_inside_and_outside_differ_in_colour(self, train):
        """The mask lies where the object is: moved elsewhere it finds less contrast."""

        def contrast(masks):
            inside = (train.images * masks).sum((2, 3)) / masks.sum((2, 3))
            ring = torch.nn.functional.max_pool2d(masks.float(), 5, 1, 2).bool() & ~masks
            return (inside - (train.images * ring).sum((2, 3)) / ring.sum((2, 3))).abs().mean()

        assert contrast(train.masks) > 2 * contrast(train.masks.roll(1, 0))

    def test_area_says_nothing_about_the_class(self, train):
        area = train.masks.sum((1, 2, 3)).float()
        means = torch.stack([area[train.labels == k].mean() for k in range(10)])
        error = area.std() / math.sqrt(500)
        assert (means - area.mean()).abs().max() < 4 * error


def histogram(values, low, high, bins):
    index = ((values - low) / (high - low) * bins).long().clamp(0, bins - 1)  # (N, P)
    return torch.zeros(len(values), bins).scatter_add_(1, index, torch.ones_like(values)) / values.shape[1]


def colour_histograms(images):
    """Every channel alone, and all three together."""
    coarse = (images * 4).long().clamp(0, 3)
    together = (coarse[:, 0] * 16 + coarse[:, 1] * 4 + coarse[:, 2]).flatten(1).float()
    return torch.cat(
        [*(histogram(images[:, c].flatten(1), 0, 1, 16) for c in range(3)), histogram(together, 0, 64, 64)], 1
    )


def texture_histograms(images):
    """Gradient sizes, gradient directions, and local binary patterns (Ojala, Pietikäinen and Mäenpää 2002)."""
    grey = images.mean(1)
    dx, dy = grey[:, 1:-1, 2:] - grey[:, 1:-1, :-2], grey[:, 2:, 1:-1] - grey[:, :-2, 1:-1]
    ring = [(0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0)]
    pattern = sum(
        2**k * (grey[:, a : a + 30, b : b + 30] > grey[:, 1:-1, 1:-1]).float() for k, (a, b) in enumerate(ring)
    )
    return torch.cat(
        [
            histogram(torch.hypot(dx, dy).flatten(1), 0, 1, 16),
            histogram(torch.atan2(dy, dx).flatten(1), -math.pi, math.pi, 16),
            histogram(pattern.flatten(1), 0, 256, 256),
        ],
        1,
    )


def accuracy(features, train, test):
    """Of a linear classifier, on images it has not seen."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=200))
    model.fit(features(train).numpy(), train.labels.numpy())
    return model.score(features(test).numpy(), test.labels.numpy())


# Guessing among ten is right 500 times in 5000, with a standard deviation of 21: above 574 in one of 5000 trials.
CHANCE = 0.1 + 3.5 * math.sqrt(0.1 * 0.9 / 5000)


class TestOnlyTheOutlineTellsTheClass:
    def test_a_linear_classifier_on_colour_and_texture_histograms_stays_at_chance(self, train, test):
        def features(part):
            return torch.cat([colour_histograms(part.images), texture_histograms(part.images)], 1)

        assert accuracy(features, train, test) < CHANCE

    def test_the_same_classifier_finds_a_colour_and_a_texture_that_do_tell(self, train, test):
        """The test above can fail: tint each class a little, or show the outlines bare."""

        def tinted(part):
            return colour_histograms(part.images * (1 - 0.02 * part.labels.float()).view(-1, 1, 1, 1))

        assert accuracy(tinted, train, test) > CHANCE + 0.02
        assert accuracy(lambda part: texture_histograms(part.masks.float()), train, test) > 3 * CHANCE

    @pytest.mark.slow
    def test_a_small_convnet_learns_the_class_from_the_images(self, test):
        images, labels, _ = data.shapes(20_000)
        torch.manual_seed(0)
        layers = []
        for a, b in [(3, 32), (32, 64), (64, 64)]:
            layers += [
                torch.nn.Conv2d(a, b, 3, padding=1),
                torch.nn.BatchNorm2d(b),
                torch.nn.ReLU(),
                torch.nn.MaxPool2d(2),
            ]
        net = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(1024, 10))
        optimiser = torch.optim.Adam(net.parameters(), 2e-3)
        for _ in range(5):
            for batch in torch.randperm(len(images)).split(100):
                optimiser.zero_grad()
                torch.nn.functional.cross_entropy(net(images[batch]), labels[batch]).backward()
                optimiser.step()
        net.eval()
        with torch.no_grad():
            right = (net(test.images).argmax(1) == test.labels).float().mean().item()
        assert right > 0.4
