"""Occlusion by patches: the same map as covering and asking, on nets of all kinds, with less work in bounded memory."""

from unmagic import look, zoo
from unmagic.look import covering, maps

import copy

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from tests.zoo.small import SMALL


def one_by_one(net, images, classes, window, stride, fill):
    """Occlusion as one would first write it."""
    rows, columns = ((side - window) // stride + 1 for side in images.shape[2:])
    found = images.new_empty(len(images), rows, columns)
    for n in range(len(images)):
        for i in range(rows):
            for j in range(columns):
                covered = images[n : n + 1].clone()
                covered[:, :, i * stride : i * stride + window, j * stride : j * stride + window] = fill
                with torch.no_grad():
                    found[n, i, j] = net(covered).softmax(dim=1)[0, classes[n]]
    return found


def ending(channels):
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)


def drawn(net, sides, seed=0):
    """The net in float64 and evaluation mode, its batch norm with statistics, and images it may be asked about."""
    generator = torch.Generator().manual_seed(seed)
    net = net.double().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            for value, least in ((module.running_mean, -0.5), (module.running_var, 0.5), (module.weight.data, 0.5)):
                value.copy_(least + torch.rand(value.shape, generator=generator, dtype=torch.float64))
    images = torch.rand(3, 3, *sides, generator=generator, dtype=torch.float64)
    return net, images, torch.tensor([1, 0, 1])


def followed(net, images, classes, window=5, stride=3, fill=0.3, batch_size=24):
    fill = torch.as_tensor(fill, dtype=images.dtype)
    with look.evaluating(net):
        return covering.probabilities(net, images, classes, window, stride, fill, batch_size)


class Dense(nn.Module):
    """Concatenation, a product of maps, every second pixel, and channels of zeros."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.end = (
            nn.Conv2d(3, 4, 3, padding=1),
            nn.Conv2d(3, 4, 5, padding=2),
            nn.Sequential(*ending(18)),
        )

    def forward(self, x):
        a, b = self.a(x), self.b(x)
        x = torch.cat([a * b, torch.sigmoid(a) - 0.5 * b, x], dim=1)[:, :, ::2, ::2]
        return self.end(nn.functional.pad(x, (0, 0, 0, 0, 3, 4)))


class Branches(nn.Module):
    """What a ReLU in place was given is used once more: afterwards, or before."""

    def __init__(self, before):
        super().__init__()
        self.before, self.relu = before, nn.ReLU(inplace=True)
        self.first, self.second, self.end = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Sequential(*ending(4))

    def forward(self, x):
        x = self.first(x) - 0.1
        y = self.second(x) if self.before else 0
        z = self.relu(x)
        return self.end(self.second(z) + (y if self.before else self.second(x)))


class Shifts(nn.Module):
    """Zeros above: every row moves down."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
        self.end = nn.Sequential(nn.Flatten(), nn.Linear(4 * 22 * 14, 10))

    def forward(self, x):
        return self.end(self.second(nn.functional.pad(self.first(x), (0, 0, 3, 0))))


def odd_nets():
    torch.manual_seed(0)
    conv, norm, relu = nn.Conv2d, nn.BatchNorm2d, nn.ReLU
    return {
        "wide padding": nn.Sequential(conv(3, 4, 3, padding=3), relu(), conv(4, 6, 3, padding=2), relu(), *ending(6)),
        "no padding": nn.Sequential(conv(3, 4, 3), relu(), conv(4, 6, (3, 1)), *ending(6)),
        "strides": nn.Sequential(conv(3, 4, 5, stride=2, padding=1), relu(), conv(4, 6, 3, (1, 2), 1), *ending(6)),
        "a stride that skips pixels": nn.Sequential(conv(3, 4, 2, stride=3), relu(), *ending(4)),
        "dilation": nn.Sequential(conv(3, 4, 3, padding=2, dilation=2), conv(4, 4, 3, padding=1), *ending(4)),
        "groups": nn.Sequential(conv(3, 6, 3, padding=1), norm(6), relu(), conv(6, 6, 3, groups=3), *ending(6)),
        "same": nn.Sequential(conv(3, 4, 3, padding="same", dilation=2), conv(4, 4, 5, padding="valid"), *ending(4)),
        "same, even": nn.Sequential(conv(3, 4, 4, padding="same"), relu(), conv(4, 4, 3), *ending(4)),
        "mirrored border": nn.Sequential(conv(3, 4, 3, padding=1, padding_mode="reflect"), conv(4, 4, 3), *ending(4)),
        "overlapping max": nn.Sequential(conv(3, 4, 3), nn.MaxPool2d(3, 2, padding=1), conv(4, 4, 3), *ending(4)),
        "a last, shorter max": nn.Sequential(conv(3, 4, 3), nn.MaxPool2d(3, 2, ceil_mode=True), *ending(4)),
        "means": nn.Sequential(conv(3, 4, 3), nn.AvgPool2d(3, 2, padding=1), nn.AvgPool2d(2), *ending(4)),
        "uneven means": nn.Sequential(conv(3, 4, 3), nn.AvgPool2d(3, 2, 1, count_include_pad=False), *ending(4)),
        "norm first": nn.Sequential(norm(3), conv(3, 4, 3, padding=1), relu(), norm(4), conv(4, 4, 3), *ending(4)),
        "in place": nn.Sequential(
            conv(3, 4, 3, padding=1), norm(4), nn.Hardswish(inplace=True), conv(4, 4, 3), *ending(4)
        ),
        "dense": Dense(),
        "rows of zeros": Shifts(),
        "neighbours in channels": nn.Sequential(conv(3, 8, 3), nn.LocalResponseNorm(3), conv(8, 4, 3), *ending(4)),
        "means over each image": nn.Sequential(conv(3, 4, 3), nn.InstanceNorm2d(4), relu(), conv(4, 4, 3), *ending(4)),
        "a map for each class": nn.Sequential(
            conv(3, 10, 3, padding=1), nn.Flatten(2), nn.AdaptiveMaxPool1d(1), nn.Flatten()
        ),
    }


class Convolutions(TorchDispatchMode):
    """Counts multiply–adds, and the largest batch, of whole 32×32 too. (torch's counter hooks into modules.)"""

    work = largest = uncovered = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default:
            self.work += result.numel() * args[1][0].numel()
            self.largest = max(self.largest, len(result))
            if result.shape[2:] == args[0].shape[2:] == (32, 32):
                self.uncovered = max(self.uncovered, len(result))
        return result


class TestTheSameMap:
    @pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
    @pytest.mark.parametrize("name", odd_nets())
    def test_layers_of_all_kinds(self, name):
        net, images, classes = drawn(odd_nets()[name], (23, 18))
        wanted = one_by_one(net, images, classes, 5, 3, 0.3)
        torch.testing.assert_close(followed(net, images, classes), wanted, rtol=0, atol=1e-12)

    # RandWire walks over its inputs, which nothing but running it can follow
    @pytest.mark.parametrize("name", [name for name in SMALL if name not in ("RandWire", "XNOR")])
    def test_nets_of_the_zoo(self, name):
        torch.manual_seed(0)
        net, images, classes = drawn(SMALL[name](), (32, 32))
        found = followed(net, images, classes, window=8, stride=12)
        torch.testing.assert_close(found, one_by_one(net, images, classes, 8, 12, 0.3), rtol=0, atol=1e-10)

    @pytest.mark.parametrize("batch_size", [1, 5, 16, 40, 1000])
    @pytest.mark.parametrize(("window", "stride"), [(1, 2), (6, 1), (4, 4), (7, 9), (18, 1)])
    def test_windows_and_batches(self, window, stride, batch_size):
        torch.manual_seed(0)
        layers = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, padding=1)
        net, images, classes = drawn(nn.Sequential(*layers, *ending(4)), (23, 18))
        fill = torch.rand(3, window, window, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        found = followed(net, images, classes, window, stride, fill, batch_size)
        torch.testing.assert_close(found, one_by_one(net, images, classes, window, stride, fill), rtol=0, atol=1e-12)

    def test_float32_to_1e_5_through_the_public_function(self, nets, scenes):
        images, classes = scenes.images[:1], scenes.labels[:1]
        for net in nets.values():
            assert followed(net, images, classes, window=8, stride=4) is not None
            found = look.occlusion(net, images, classes, window=8, stride=2)
            assert found.numel() * 32 * 32 >= maps.MANY, "so many that the net is followed"
            wanted = one_by_one(net, images, classes, 8, 2, 0.5)
            torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)

    def test_weights_mode_and_images_stay(self):
        torch.manual_seed(0)
        net, images = SMALL["ResNet"]().train(), torch.rand(2, 3, 32, 32)
        before, seen = copy.deepcopy(net.state_dict()), images.clone()
        look.occlusion(net, images, window=8, stride=2)
        assert all(value.equal(before[name]) for name, value in net.state_dict().items())
        assert images.equal(seen) and net.training and not any("forward" in vars(m) for m in net.modules())


class Asked(nn.Module):
    """Counts how often it is asked."""

    def __init__(self, net):
        super().__init__()
        self.net, self.times = net, 0

    def forward(self, x):
        self.times += 1
        return self.net(x)


class Views(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution, self.linear = nn.Conv2d(3, 4, 3), nn.Linear(4 * 21 * 16, 10)

    def forward(self, x):
        return self.linear(self.convolution(x).view(len(x), -1))


class Looks(nn.Module):
    """Decides by what it sees."""

    def __init__(self):
        super().__init__()
        self.dark, self.light = (nn.Sequential(nn.Conv2d(3, 4, 3), *ending(4)) for _ in range(2))

    def forward(self, x):
        return self.light(x) if x.mean() > 0.5 else self.dark(x)


class Counts(nn.Module):
    """Answers otherwise each time: what was noted of it when it was followed is true of that time alone."""

    def __init__(self):
        super().__init__()
        self.net, self.times = nn.Sequential(nn.Conv2d(3, 4, 3), *ending(4)), 0

    def forward(self, x):
        self.times += 1
        return self.net(x) * self.times


class TestNetsThatAreAskedAsTheyAre:
    @pytest.mark.parametrize("make", [Views, Looks, lambda: Branches(True), lambda: Branches(False)])
    def test_those_that_cannot_be_followed(self, make, monkeypatch):
        monkeypatch.setattr(maps, "MANY", 0)
        torch.manual_seed(0)
        net, images, classes = drawn(make(), (23, 18))
        assert followed(net, images, classes) is None
        found = look.occlusion(net, images, classes, window=5, stride=3, fill=0.3, batch_size=1)
        torch.testing.assert_close(found, one_by_one(net, images, classes, 5, 3, 0.3), rtol=0, atol=1e-12)

    def test_those_that_work_in_place_on_what_may_be_needed_as_it_was(self):
        for layers in ([nn.ReLU(inplace=True)], [nn.Conv2d(3, 4, 3), nn.Hardtanh(inplace=True)]):
            with pytest.raises(ValueError, match="works in place on what may be needed as it was"):
                covering.Followed(nn.Sequential(*layers))

    def test_one_that_answers_otherwise_when_followed(self):
        torch.manual_seed(0)
        assert followed(*drawn(Counts(), (23, 18))) is None

    def test_one_whose_norm_looks_at_all_images_of_a_batch(self):
        torch.manual_seed(0)
        norm = nn.BatchNorm2d(4, track_running_stats=False)
        assert followed(*drawn(nn.Sequential(nn.Conv2d(3, 4, 3), norm, nn.ReLU(), *ending(4)), (23, 18))) is None

    @pytest.mark.parametrize("where", ["before", "after", "everywhere", "forward"])
    def test_one_that_somebody_watches_shows_every_covered_image(self, where, monkeypatch):
        monkeypatch.setattr(maps, "MANY", 0)
        torch.manual_seed(0)
        net, images, classes = drawn(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), *ending(4)), (23, 18))
        seen, hook = [], None
        if where == "before":
            hook = net[1].register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
        elif where == "after":
            hook = net[1].register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
        elif where == "everywhere":
            hook = nn.modules.module.register_module_forward_hook(
                lambda module, inputs, output: seen.append(len(output)) if module is net[1] else None
            )
        else:
            real = net[1].forward
            net[1].forward = lambda x: seen.append(len(x)) or real(x)
        try:
            look.occlusion(net, images, classes, window=5, stride=3)
        finally:
            if hook:
                hook.remove()
        assert sum(seen) == 3 * 7 * 5

    def test_a_wrong_net_says_what_is_wrong_itself(self, monkeypatch):
        monkeypatch.setattr(maps, "MANY", 0)
        net = nn.Sequential(nn.Conv2d(5, 4, 3), *ending(4))
        with pytest.raises(RuntimeError, match="to have 5 channels, but got 3 channels"):
            look.occlusion(net, torch.rand(1, 3, 16, 16), 0)


class TestWork:
    def test_a_net_is_followed_where_many_pixels_are_covered_and_asked_where_few_are(self):
        torch.manual_seed(0)
        asked = Asked(zoo.cifar_resnet(8, width=4))
        look.occlusion(asked, torch.rand(1, 3, 32, 32), 0, window=8, stride=2)  # 169 windows
        assert asked.times == 2, "once to note its steps, once for the first windows, to compare"
        asked.times = 0
        look.occlusion(asked, torch.rand(1, 3, 32, 32), 0, window=8, stride=4)  # 49 windows
        assert asked.times == 1

    def test_a_convolution_computes_what_the_window_reaches(self):
        """16×16 pixels, 2×2 blocks of 2×2 windows, each of 4×4: with 3×3 a block reaches 10×10."""
        net = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        with Convolutions() as counted:
            followed(net, torch.rand(1, 1, 16, 16), torch.tensor([0]), window=4, stride=4, batch_size=4)
        uncovered, compared = 16 * 16, 2 * 16 * 16
        assert counted.work / 9 == uncovered + compared + 4 * 4 * 10 * 10

    @pytest.mark.parametrize(
        ("make", "side", "window", "stride", "share"),
        [
            pytest.param(lambda: zoo.cifar_resnet(20, width=8), 32, 8, 2, 0.77, id="ResNet-20, 32"),
            pytest.param(lambda: zoo.resnet(18, widths=(8, 16, 32, 64)), 112, 16, 16, 0.6, id="ResNet-18, 112"),
        ],
    )
    def test_a_residual_net_does_less(self, make, side, window, stride, share):
        torch.manual_seed(0)
        net, images = make().eval(), torch.rand(16, 3, side, side)
        classes, places = torch.zeros(16, dtype=torch.int64), ((side - window) // stride + 1) ** 2
        with Convolutions() as counted:
            followed(net, images, classes, window, stride, batch_size=64)
        with Convolutions() as once, torch.no_grad():
            net(images[:1])
        assert 0.5 < counted.work / (16 * places * once.work) < share

    @pytest.mark.parametrize("batch_size", [4, 20, 64])
    def test_no_batch_is_larger_than_asked_for(self, batch_size):
        torch.manual_seed(0)
        net, images = zoo.cifar_resnet(8, width=4).eval(), torch.rand(6, 3, 32, 32)
        with Convolutions() as counted:
            followed(net, images, torch.zeros(6, dtype=torch.int64), 8, 4, batch_size=batch_size)
        assert batch_size // 2 < counted.largest <= batch_size
        assert counted.uncovered <= max(2, batch_size // 4), "as many as fill it with 4 places each; 2 to compare"
