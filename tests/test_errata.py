"""The errata page's proofs, against the numbers of the papers and nets built from torch's modules."""

from unmagic import data, trained, zoo
from unmagic.zoo.binary import packed_bytes

import pytest
import torch
from pages import executed
from scipy import stats
from torch import nn


@pytest.fixture(scope="module")
def glued():
    return executed("book/errata").glued


# from the papers' tables and the standards they define; none is read off the page
KNOWN = {
    "e-sep3": 33_920,
    "e-plain3": 294_912,
    "e-sep1": 32_896,
    "e-plain1": 32_768,
    "e-lenet": 60_000,  # LeCun et al. 1998, section II.B
    "e-alex-first": 290_400,
    "e-alex-sum": 659_272,
    "e-crops": 2_178,
    "e-images-training": 1_281_167,  # Russakovsky et al. 2015, table 2
    "e-images-all": 1_431_167,
    "e-googlenet": 6_998_552,
    "e-googlenet-body": 5_973_552,
    "e-googlenet-layers": 22,  # Szegedy et al. 2015, section 5
    "e-naive": 387_296,
    "e-naive-channels": 416,
    "e-reduced": 163_696,
    "e-reduced-channels": 256,
    "e-model-c": 954_730,
    "e-all-cnn-c": 1_369_738,
    "e-stem": 112,  # He et al. 2016, table 1
    "e-cam-ratio": 30,
    "e-bn-values": 2,
    "e-grow-along": 16,  # twice the side: 4 times the inputs, 4 times the units
    "e-grow-fixed": 4,
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_count_is_the_papers(glued, name):
    assert glued[name] == pytest.approx(KNOWN[name], rel=1e-9)


def parameters(*layers):
    return sum(p.numel() for layer in layers for p in layer.parameters())


class Inception(nn.Module):
    """Szegedy et al. 2015, figure 2b, with biases."""

    def __init__(self, cin, one, r3, three, r5, five, pool):
        super().__init__()
        self.one = nn.Conv2d(cin, one, 1)
        self.three = nn.Sequential(nn.Conv2d(cin, r3, 1), nn.Conv2d(r3, three, 3, padding=1))
        self.five = nn.Sequential(nn.Conv2d(cin, r5, 1), nn.Conv2d(r5, five, 5, padding=2))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(cin, pool, 1))

    def forward(self, x):
        return torch.cat([branch(x) for branch in (self.one, self.three, self.five, self.pool)], dim=1)


def test_the_inception_module_built_and_run_has_the_pages_parameters_and_channels(glued):
    module = Inception(192, 64, 96, 128, 16, 32, 32)
    assert parameters(module) == glued["e-reduced"]
    assert module(torch.zeros(1, 192, 28, 28)).shape == (1, glued["e-reduced-channels"], 28, 28)


def test_all_cnn_built_from_modules_has_the_pages_parameters(glued):
    """Springenberg et al. 2014, tables 1 and 2."""
    shared = [nn.Conv2d(3, 96, 3), nn.Conv2d(96, 96, 3), nn.Conv2d(96, 192, 3), nn.Conv2d(192, 192, 3)]
    top = [nn.Conv2d(192, 192, 3), nn.Conv2d(192, 192, 1), nn.Conv2d(192, 10, 1)]
    instead_of_pooling = [nn.Conv2d(96, 96, 3, stride=2), nn.Conv2d(192, 192, 3, stride=2)]
    assert parameters(*shared, *top) == glued["e-model-c"]
    assert parameters(*shared, *instead_of_pooling, *top) == glued["e-all-cnn-c"]


def test_deformable_offsets_derivative_is_autograds_of_torchs_own_bilinear_sampling(glued):
    """grid_sample instead of the page's hand-written kernel."""
    field = torch.randn(7, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    kernel = torch.cartesian_prod(*2 * [torch.tensor([-1.0, 0, 1], dtype=torch.float64)])
    w = torch.randn(9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    offsets = 0.3 * torch.rand(9, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64) + 0.1
    offsets.requires_grad_()
    places = (3 + kernel + offsets).flip(1) / 3 - 1  # rows and columns 0…6 to grid_sample's x, y in −1…1
    sampled = nn.functional.grid_sample(field[None, None], places[None, None], align_corners=True).flatten()
    (w @ sampled).backward()
    assert glued["e-def-one"] == pytest.approx(float(offsets.grad[4, 0]), rel=1e-9)
    assert glued["e-def-finite"] == pytest.approx(float(offsets.grad[4, 0]), rel=1e-6)


def test_adversarial_training_helps_in_one_setting_and_costs_in_the_other(glued):
    assert glued["e-adv-helps-adversarial"] > glued["e-adv-helps-plain"] + 0.01
    assert glued["e-adv-costs-adversarial"] < glued["e-adv-costs-plain"] - 0.05
    assert glued["e-adv-costs-adversarial"] == pytest.approx(0.9, abs=0.02)  # what the one robust feature gives


def test_the_rows_on_starting_weights_and_dropout_are_the_moments_of_a_rectified_normal(glued):
    first, second = (stats.norm.expect(lambda z, k=k: z**k, lb=0) for k in (1, 2))
    variance = second - first**2
    assert (glued["e-sum-measured"], glued["e-sum-square"]) == pytest.approx((second, second), rel=0.05)
    assert glued["e-sum-variance"] == pytest.approx(variance, rel=0.02)
    assert glued["e-shift-formula"] == pytest.approx((second / 0.5 - first**2) / variance)
    assert glued["e-shift-relu"] == pytest.approx(glued["e-shift-formula"], rel=0.02)


def test_in_tanh_the_gradients_of_weights_stay_level_and_those_of_units_fade(glued):
    assert glued["e-early-sums"] < 0.02 and 0.5 < glued["e-early-weights"] < 2
    assert glued["e-early-sigmoid"] < 1e-6


def test_a_sorted_test_set_normalised_by_itself_loses_its_classes(glued):
    apart = stats.norm.cdf(1 / 0.5)  # means ±1, deviation ½
    assert glued["e-kept-statistics"] == pytest.approx(apart, abs=0.02)
    assert glued["e-sorted-statistics"] == pytest.approx(0.5, abs=0.05)


def test_saliency_is_higher_on_the_object_than_elsewhere_and_lies_mostly_elsewhere(glued):
    images, labels, masks = data.shapes(250, split="test")
    x = images.clone().requires_grad_()
    scores = trained.load("shapes_live")(x)[torch.arange(250), labels]
    slope = torch.autograd.grad(scores.sum(), x)[0].abs().max(dim=1).values.double()  # (250, 32, 32)
    on = (slope * masks[:, 0]).sum((1, 2)) / slope.sum((1, 2))
    assert glued["e-saliency-inside"] == pytest.approx(on.mean().item(), abs=1e-3)
    assert glued["e-saliency-object"] == pytest.approx(masks.double().mean().item())
    highest = slope.flatten(1).argmax(1)
    assert glued["e-saliency-pointing"] == pytest.approx(
        masks.flatten(1)[range(250), highest].double().mean().item(), abs=0.02
    )


def test_alexnet_in_bits_is_as_large_as_its_packed_file(glued):
    with torch.device("meta"):
        net = zoo.AlexNet()
    for name, which in (("e-packed-all", "all"), ("e-packed-ends", "inner")):
        assert glued[name] == pytest.approx(4 * 60_965_224 / packed_bytes(net, which), rel=1e-9)
    assert 31.6 < glued["e-packed-all"] < 32 and 10 < glued["e-packed-ends"] < 10.5


def plain_net(batch_norm):
    """Fifty 3 × 3 convolutions of 16 channels and their ReLUs, of torch's modules with torch's starting weights."""
    torch.manual_seed(1)
    layers = []
    for _ in range(50):
        layers += [
            nn.Conv2d(16, 16, 3, padding=1, bias=False),
            *([nn.BatchNorm2d(16)] if batch_norm else []),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)).double()


@pytest.mark.parametrize("batch_norm", [False, True])
def test_in_a_deep_plain_net_batch_norm_keeps_signals_from_vanishing_both_ways(glued, batch_norm):
    forward, backward = [], []
    net = plain_net(batch_norm)
    for layer in net:
        if isinstance(layer, nn.ReLU):
            layer.register_forward_hook(lambda m, x, y: forward.append(y.detach().var(dim=0).mean().item()))
            layer.register_full_backward_hook(
                lambda m, to_input, to_output: backward.append(to_output[0].norm().item())
            )
    x = torch.randn(16, 16, 8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64, requires_grad=True)
    nn.functional.cross_entropy(net(x), torch.arange(16) % 10).backward()
    along, back = forward[-1] / forward[0], backward[-1] / backward[0]  # gradients come from the last layer first
    key = "with" if batch_norm else "without"
    pages = glued[f"e-plain-forward-{key}"], glued[f"e-plain-backward-{key}"]
    if batch_norm:
        assert pages == (pytest.approx(along, rel=0.5), pytest.approx(back, rel=0.9))
        assert pages[0] > 0.5 and pages[1] > 100
    else:
        # n·Var(w) = 1/3 and the ReLU's half: a sixth a layer for squares, and padding takes some more
        assert max(along, pages[0]) < 6.0**-49 and max(back, pages[1]) < 6.0 ** (-49 / 2)


def test_hes_weights_alone_keep_the_gradient_and_not_the_difference_between_images(glued):
    assert 0.01 < glued["e-plain-backward-he"] < 10
    assert glued["e-plain-forward-he"] < 1e-2
