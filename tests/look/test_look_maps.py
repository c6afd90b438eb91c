"""Maps against captum, torchcam and pytorch-grad-cam on three nets, and against definitions."""

from unmagic import look, trained, zoo

import contextlib
import copy
import inspect

import captum.attr
import pytest
import pytorch_grad_cam
import torch
import torchcam.methods
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from tests.look.conftest import NETS

BY_NET = pytest.mark.parametrize("name", NETS)


def normalised(maps):
    """Each map from 0 to 1, as torchcam has it."""
    flat = maps.flatten(1)
    low, high = flat.amin(1), flat.amax(1)
    return ((flat - low[:, None]) / (high - low)[:, None].clamp_min(1e-12)).reshape(maps.shape)


def with_torchcam(method, net, layer, images, labels):
    maps = []
    for image, label in zip(images, labels, strict=True):
        with method(net, target_layer=layer, input_shape=(3, 32, 32)) as extractor:
            scores = net(image[None].requires_grad_())
            maps.append(extractor(int(label), scores)[0])
    return torch.cat(maps).detach()


def with_pytorch_grad_cam(method, net, layer, images, labels, monkeypatch, scale=1.0):
    """Its maps before resizing, of scores `scale` times as large."""
    net = copy.deepcopy(net)  # it leaves gradients behind
    scaled = nn.Sequential(net, Times(scale))
    monkeypatch.setattr("pytorch_grad_cam.base_cam.scale_cam_image", lambda maps, size=None: maps)
    with method(scaled, [look.find_layer(net, layer)[1]]) as extractor:
        maps = extractor(images, [ClassifierOutputTarget(int(label)) for label in labels])
    return torch.from_numpy(maps)


class Times(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x


@BY_NET
class TestAgainstKeptLibraries:
    def test_saliency_is_captums(self, name, nets, scenes):
        images, labels = scenes.images, scenes.labels
        theirs = captum.attr.Saliency(nets[name]).attribute(images.clone().requires_grad_(), target=labels)
        torch.testing.assert_close(look.saliency(nets[name], images, labels), theirs.amax(1), rtol=1e-4, atol=1e-7)

    def test_grad_cam_is_captums(self, name, nets, scenes):
        layer = NETS[name][1]
        module = look.find_layer(nets[name], layer)[1]
        theirs = captum.attr.LayerGradCam(nets[name], module).attribute(
            scenes.images, target=scenes.labels, relu_attributions=True
        )
        ours = look.grad_cam(nets[name], scenes.images, layer, scenes.labels)
        torch.testing.assert_close(normalised(ours), normalised(theirs[:, 0].detach()), rtol=0, atol=1e-4)

    def test_grad_cam_is_torchcams(self, name, nets, scenes):
        layer = NETS[name][1]
        wanted = with_torchcam(torchcam.methods.GradCAM, nets[name], layer, scenes.images, scenes.labels)
        found = normalised(look.grad_cam(nets[name], scenes.images, layer, scenes.labels))
        torch.testing.assert_close(found, normalised(wanted), rtol=0, atol=1e-4)

    def test_grad_cam_is_pytorch_grad_cams(self, name, nets, scenes, monkeypatch):
        layer = NETS[name][1]
        wanted = with_pytorch_grad_cam(
            pytorch_grad_cam.GradCAM, nets[name], layer, scenes.images, scenes.labels, monkeypatch
        )
        found = look.grad_cam(nets[name], scenes.images, layer, scenes.labels)
        torch.testing.assert_close(normalised(found), normalised(wanted), rtol=0, atol=1e-4)

    def test_grad_cam_plus_plus_is_pytorch_grad_cams(self, name, nets, scenes, monkeypatch):
        """Of scores a million times as large: beside their squares its guard of 1e-6 in the division is nothing."""
        layer, large = NETS[name][1], nn.Sequential(nets[name], Times(1e6)).eval()
        wanted = with_pytorch_grad_cam(
            pytorch_grad_cam.GradCAMPlusPlus, nets[name], layer, scenes.images, scenes.labels, monkeypatch, scale=1e6
        )
        found = look.grad_cam_plus_plus(large, scenes.images, f"0.{layer}", scenes.labels)
        torch.testing.assert_close(normalised(found), normalised(wanted), rtol=0, atol=1e-4)

    def test_occlusion_is_captums(self, name, nets, scenes):
        images, labels = scenes.images[:3], scenes.labels[:3]
        probability = nn.Sequential(nets[name], nn.Softmax(dim=1))
        theirs = captum.attr.Occlusion(probability).attribute(
            images, sliding_window_shapes=(3, 8, 8), strides=(3, 8, 8), baselines=0.5, target=labels
        )  # how much the probability fell, at each pixel: windows side by side
        with torch.no_grad():
            before = probability(images).gather(1, labels[:, None])[:, 0]
        ours = look.occlusion(nets[name], images, labels, window=8, stride=8)
        fell = (before[:, None, None] - ours).repeat_interleave(8, 1).repeat_interleave(8, 2)
        torch.testing.assert_close(fell, theirs[:, 0].to(fell.dtype), rtol=1e-4, atol=1e-5)


# CAM wants global average pooling, then one linear layer: three of the course's trained nets that end so
@pytest.mark.parametrize(
    ("name", "layer", "classifier"),
    [
        ("shapes_live", "22", "25"),
        ("shapes_densenet", "features", "classifier"),
        ("shapes_mobilenet", "features", "classifier"),
    ],
)
def test_cam_is_torchcams_and_its_positive_part_grad_cam_times_the_number_of_places(name, layer, classifier, scenes):
    net = trained.load(name)
    ours = look.cam(net, scenes.images, layer, classifier, scenes.labels)
    with torchcam.methods.CAM(net, target_layer=layer, fc_layer=classifier, input_shape=(3, 32, 32)) as extractor:
        scores = net(scenes.images)
        theirs = extractor(scenes.labels.tolist(), scores)[0]
    torch.testing.assert_close(normalised(ours), normalised(theirs.detach()), rtol=0, atol=1e-4)
    places = ours[0].numel()
    torch.testing.assert_close(
        torch.relu(ours), places * look.grad_cam(net, scenes.images, layer, scenes.labels), rtol=1e-4, atol=1e-4
    )


def test_grad_cam_plus_plus_is_the_papers_with_derivatives_of_exp_by_autograd(nets, scenes):
    """Equations 11 and 19 for Y = exp(S), each derivative taken. (torchcam 0.5.0 divides a copy, so its α is g².)"""
    net = nets["residual"].double()
    image, label = scenes.images[:1].double(), int(scenes.labels[0])
    with torch.no_grad(), look.recording(net, "stages") as seen:
        net(image)
    maps = seen.layer[0]  # (K, h, w)

    def along(direction):
        def Y(t):
            return net.classifier((maps + t * direction).mean(dim=(1, 2)))[label].exp()

        first = torch.func.grad(Y)
        second = torch.func.grad(first)
        zero = torch.zeros((), dtype=torch.float64)
        return first(zero), second(zero), torch.func.grad(second)(zero)

    basis = torch.eye(maps.numel(), dtype=torch.float64).reshape(-1, *maps.shape)
    first, second, third = (d.reshape(maps.shape) for d in torch.func.vmap(along, chunk_size=256)(basis))
    alpha = second / (2 * second + maps.sum(dim=(1, 2), keepdim=True) * third)
    weights = (alpha * torch.relu(first)).sum(dim=(1, 2))
    wanted = torch.relu((weights[:, None, None] * maps).sum(0))[None]
    found = look.grad_cam_plus_plus(net, image, "stages", label)
    net.float()
    torch.testing.assert_close(normalised(found), normalised(wanted), rtol=0, atol=1e-4)


def test_without_classes_the_surest_is_explained(nets, scenes):
    net = nets["residual"]
    with torch.no_grad():
        surest = net(scenes.images).argmax(1)
    for explain in (
        lambda c: look.saliency(net, scenes.images, c),
        lambda c: look.grad_cam(net, scenes.images, "stages", c),
        lambda c: look.grad_cam_plus_plus(net, scenes.images, "stages", c),
        lambda c: look.cam(net, scenes.images, "stages", "classifier", c),
        lambda c: look.occlusion(net, scenes.images[:2], c if c is None else c[:2], window=8, stride=8),
    ):
        assert explain(None).equal(explain(surest))


def test_occlusion_by_batches_and_by_a_picture_is_the_same_as_one_by_one(nets, scenes):
    net, image, label = nets["small VGG"], scenes.images[:1], scenes.labels[:1]
    fill = torch.rand(3, 6, 6, generator=torch.Generator().manual_seed(0))
    ours = look.occlusion(net, image, label, window=6, stride=5, fill=fill, batch_size=4)
    for i in range(ours.shape[1]):
        for j in range(ours.shape[2]):
            covered = image.clone()
            covered[0, :, 5 * i : 5 * i + 6, 5 * j : 5 * j + 6] = fill
            with torch.no_grad():
                wanted = net(covered).softmax(1)[0, label]
            torch.testing.assert_close(ours[0, i, j], wanted[0])


@pytest.mark.parametrize(("batch_size", "passes"), [(100, 2), (169, 1), (None, 3)])
def test_occlusion_takes_as_many_passes_as_batches_of_all_images_windows_fill(scenes, batch_size, passes):
    """Two images of 169 places; without a size, 64 windows of 32×32 pixels at a time."""
    counted = Counted()
    images, labels = scenes.images[:1], scenes.labels[:1]
    look.occlusion(counted, images, labels, window=8, stride=2, batch_size=batch_size)
    assert len(counted.batches) == passes and sum(counted.batches) == 169
    counted.batches.clear()
    look.occlusion(counted, scenes.images[:2], scenes.labels[:2], window=8, stride=2, batch_size=batch_size)
    assert sum(counted.batches) == 2 * 169 and len(counted.batches) == -(-2 * 169 // (batch_size or 64))


@pytest.mark.parametrize("given", [True, False])
def test_each_map_takes_one_pass(scenes, given):
    counted, images = Counted(), scenes.images
    classes = scenes.labels if given else None
    for explain in (
        lambda: look.saliency(counted, images, classes),
        lambda: look.cam(counted, images, "net.stages", "net.classifier", classes),
        lambda: look.grad_cam(counted, images, "net.stages", classes),
        lambda: look.grad_cam_plus_plus(counted, images, "net.stages", classes),
    ):
        counted.batches.clear()
        explain()
        assert counted.batches == [len(images)]


class Counted(nn.Module):
    """Notes how many images come with each pass."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net, self.batches = zoo.cifar_resnet(8, width=4), []

    def forward(self, x):
        self.batches.append(len(x))
        return self.net(x)


def test_before_the_layer_of_grad_cam_no_graph_is_made_and_none_of_it_is_run_back(scenes):
    net, asked = zoo.cifar_resnet(8, width=4), []
    for stage in net.stages:
        stage.register_forward_hook(lambda module, inputs, output: asked.append(output.requires_grad))
    look.grad_cam(net, scenes.images, "stages.1", scenes.labels)
    assert asked == [False, False, True]


def test_a_layer_in_place_after_the_maps_changes_nothing(scenes):
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))
    in_place = copy.deepcopy(plain)
    in_place[1].inplace = True
    for explain in (look.grad_cam, look.grad_cam_plus_plus):
        wanted = explain(plain, scenes.images, "0", scenes.labels)
        assert explain(in_place, scenes.images, "0", scenes.labels).equal(wanted) and wanted.any()


def test_a_net_that_asks_for_plain_memory_is_explained_as_well(scenes):
    """Its view() refuses channels last, which maps take on a CPU."""

    class Views(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.features, self.classifier = nn.Conv2d(3, 4, 3), nn.Linear(4 * 30 * 30, 10)

        def forward(self, x):
            return self.classifier(self.features(x).view(len(x), -1))

    net = Views()
    with pytest.raises(RuntimeError, match="view size is not compatible"):
        net(scenes.images.clone(memory_format=torch.channels_last))
    x = scenes.images.clone().requires_grad_()
    net(x).gather(1, scenes.labels[:, None]).sum().backward()
    torch.testing.assert_close(look.saliency(net, scenes.images, scenes.labels), x.grad.abs().amax(1))
    assert look.grad_cam(net, scenes.images, "features", scenes.labels).shape == (16, 30, 30)


def test_a_layer_without_maps_is_named(scenes):
    net = zoo.cifar_resnet(8, width=4)
    with pytest.raises(ValueError, match=r"the layer 'classifier' has an output of shape \(16, 10\); wanted maps"):
        look.grad_cam(net, scenes.images, "classifier")


def test_everything_stays_on_the_device_of_net_and_images():
    """The meta device stands for a GPU: it refuses tensors of two devices, as a GPU does, and computes nothing."""
    with torch.device("meta"):
        net, images = zoo.cifar_resnet(8, width=4), torch.empty(3, 3, 32, 32)
        labels = torch.empty(3, dtype=torch.int64)
    fill = torch.empty(3, 8, 8, device="meta")
    for maps in (
        look.saliency(net, images),
        look.saliency(net, images, 4),
        look.cam(net, images, "stages", "classifier", labels),
        look.grad_cam(net, images, "stages"),
        look.grad_cam_plus_plus(net, images, "stages", 4),
        look.resized(look.grad_cam(net, images, "stages"), (32, 32)),
        look.occlusion(net, images, labels, window=8, stride=8),
        look.occlusion(net, images, window=8, stride=8, fill=fill),
        look.fgsm(net, images, labels, 0.1),
        look.pgd(net, images, labels, 0.1, steps=2),
        look.class_model(net, labels, (3, 32, 32), steps=1),
        look.fooling_image(net, labels, (3, 32, 32), steps=1),
        look.invert(net, "stages.0", images, steps=1)[0],
        look.codes(net, images, "stages"),
        look.insertion(net, images, images[:, 0], labels, steps=2),
        look.adversarial(0.1)(net, images, labels)[0],
    ):
        assert maps.device.type == "meta"


def test_maps_are_resized_to_the_inputs_pixels():
    """Bilinear between the middles of the map's places, as a resized picture is: beyond them nothing changes."""
    maps = torch.tensor([[[0.0, 1.0], [4.0, 5.0]]])
    assert look.resized(maps, (2, 4)).tolist() == [[[0.0, 0.25, 0.75, 1.0], [4.0, 4.25, 4.75, 5.0]]]
    assert look.resized(maps, (4, 6)).shape == (1, 4, 6)


def recorded(net, layers, images):
    with look.recording(net, layers):
        net(images)


def evaluated(net, images):
    with look.evaluating(net):
        net(images)


# every function of look that is given a net, as its first argument
USES = {
    "adversarial_loss": lambda net, x, y: look.adversarial_loss(net, x, y, 0.1),
    "cam": lambda net, x, y: look.cam(net, x, "stages", "classifier"),
    "class_model": lambda net, x, y: look.class_model(net, y, (3, 32, 32), steps=1),
    "codes": lambda net, x, y: look.codes(net, x, "stages"),
    "deletion": lambda net, x, y: look.deletion(net, x, x[:, 0], y, steps=1),
    "evaluating": lambda net, x, y: evaluated(net, x),
    "fgsm": lambda net, x, y: look.fgsm(net, x, y, 0.1),
    "find_layer": lambda net, x, y: net(look.find_layer(net, "stages.1") and x),
    "fooling_image": lambda net, x, y: look.fooling_image(net, y, (3, 32, 32), steps=1),
    "grad_cam": lambda net, x, y: look.grad_cam(net, x, "stages.1"),
    "grad_cam_plus_plus": lambda net, x, y: look.grad_cam_plus_plus(net, x, "stages.1"),
    "insertion": lambda net, x, y: look.insertion(net, x, x[:, 0], y, steps=1),
    "invert": lambda net, x, y: look.invert(net, "stages.0", x, steps=1),
    "minimal_change": lambda net, x, y: look.minimal_change(net, x, y, steps=1, searches=1),
    "occlusion": lambda net, x, y: look.occlusion(net, x, window=16, stride=16),
    "perceptual_loss": lambda net, x, y: look.perceptual_loss(net, "stages.0", x, x),
    "pgd": lambda net, x, y: look.pgd(net, x, y, 0.1, steps=1),
    "randomisation_test": lambda net, x, y: look.randomisation_test(net, lambda n: look.saliency(n, x, y)),
    "receptive_box": lambda net, x, y: look.receptive_box(net, "stages.0", x.shape, (0, 0)),
    "recording": lambda net, x, y: recorded(net, ["stages.0", "classifier"], x),
    "saliency": lambda net, x, y: look.saliency(net, x),
    "sparsity": lambda net, x, y: look.sparsity(net, "stages.0", x),
    "strongest": lambda net, x, y: look.strongest(net, "stages.0", 0, x, 1),
}


class Fails(nn.Linear):
    def forward(self, x):
        raise ArithmeticError("the last layer failed")


class TestTheNetStaysAsItWas:
    def test_every_function_that_is_given_a_net_is_looked_at(self):
        functions = {name: getattr(look, name) for name in look.__all__ if inspect.isfunction(getattr(look, name))}
        assert USES.keys() == {
            n for n, f in functions.items() if next(iter(inspect.signature(f).parameters)) == "model"
        }

    @pytest.mark.parametrize("fails", [False, True], ids=["", "when it fails in its last layer"])
    @pytest.mark.parametrize("name", USES)
    def test_mode_gradients_and_hooks(self, scenes, name, fails):
        torch.manual_seed(0)
        net = zoo.cifar_resnet(8, width=4).train()
        next(net.parameters()).requires_grad_(False)
        if fails:
            net.classifier = Fails(16, 10)
        trains = {"adversarial_loss", "find_layer", "recording"}  # the pass is the caller's, so is its batch norm
        before = {n: v.clone() for n, v in net.state_dict().items() if name not in trains or "running" not in n}
        with pytest.raises(ArithmeticError) if fails else contextlib.nullcontext():
            USES[name](net, scenes.images[:2], scenes.labels[:2])
        assert all(module.training for module in net.modules())
        assert [p.requires_grad for p in net.parameters()][:2] == [False, True]
        assert all(p.grad is None for p in net.parameters())
        hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
        assert sum(len(getattr(module, kind)) for module in net.modules() for kind in hooks) == 0
        assert all("forward" not in vars(module) for module in net.modules())
        after = net.state_dict()
        assert all(v.equal(after[n]) for n, v in before.items() if not n.endswith("num_batches_tracked"))

    def test_hooks_are_taken_off_when_the_net_fails(self, scenes):
        net = zoo.cifar_resnet(8, width=4)
        with pytest.raises(RuntimeError), look.recording(net, ["stages.0", "stages.1"]):
            net(scenes.images[:, :2])
        assert sum(len(m._forward_hooks) for m in net.modules()) == 0

    def test_a_layer_that_is_not_there_is_named_with_those_that_are(self):
        net = zoo.cifar_resnet(8, width=4)
        with pytest.raises(ValueError, match=r"no layer 'stages.7'; it has stages, stages.0"):
            look.find_layer(net, "stages.7")


def test_recorded_outputs_are_what_the_layers_gave(scenes):
    net = zoo.cifar_resnet(8, width=4).eval()
    with torch.no_grad(), look.recording(net, ["stem", net.stages[0]]) as seen:
        net(scenes.images)
        torch.testing.assert_close(seen["stem"], net.stem(scenes.images))
    assert list(seen) == ["stem", "stages.0"]
    with pytest.raises(ValueError, match=r"2 layers were recorded: stem, stages.0"):
        _ = seen.layer
