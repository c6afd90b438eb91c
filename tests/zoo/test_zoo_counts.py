"""Each architecture has the parameters of its paper, and of torchvision where it has the same net."""

from unmagic import zoo
from unmagic.zoo.googlenet import TABLE, Inception, NaiveInception
from unmagic.zoo.vgg import CONFIGURATIONS

import pytest
import torch
import torchvision
from torch import nn


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


# What is counted exactly: by the paper's own arithmetic, or by every implementation of the same net
EXACT = {
    "LeNet-5": (lambda: zoo.LeNet5(), 60_000),
    "AlexNet": (lambda: zoo.AlexNet(), 60_965_224),
    "NiN, CIFAR-10": (lambda: zoo.NiN(), 966_986),
    "GoogLeNet": (lambda: zoo.GoogLeNet(heads=False), 6_998_552),
    "GoogLeNet with heads": (lambda: zoo.GoogLeNet(), 13_378_280),
    "Model C": (lambda: zoo.AllCNN("C", "base"), 954_730),
    "All-CNN-C": (lambda: zoo.AllCNN("C", "all-conv"), 1_369_738),
    "ResNet-18": (lambda: zoo.resnet(18), 11_689_512),
    "ResNet-50": (lambda: zoo.resnet(50), 25_557_032),
    "ResNet-152": (lambda: zoo.resnet(152), 60_192_808),
    "ResNet-20, option A": (lambda: zoo.cifar_resnet(20), 269_722),
    "ResNet-56, option A": (lambda: zoo.cifar_resnet(56), 853_018),
    "ResNet-110, option A": (lambda: zoo.cifar_resnet(110), 1_727_962),
    "ResNeXt-101 32x4d": (lambda: zoo.resnext(101), 44_177_704),
}

# (net, the paper's figure in millions, the digits it is printed with)
PAPERS = {
    "VGG A": (lambda: zoo.VGG("A"), 133, 0),
    "VGG B": (lambda: zoo.VGG("B"), 133, 0),
    "VGG C": (lambda: zoo.VGG("C"), 134, 0),
    "VGG D": (lambda: zoo.VGG("D"), 138, 0),
    "VGG E": (lambda: zoo.VGG("E"), 144, 0),
    "ResNet-20, table 6": (lambda: zoo.cifar_resnet(20), 0.27, 2),
    "ResNet-32, table 6": (lambda: zoo.cifar_resnet(32), 0.46, 2),
    "ResNet-44, table 6": (lambda: zoo.cifar_resnet(44), 0.66, 2),
    "ResNet-56, table 6": (lambda: zoo.cifar_resnet(56), 0.85, 2),
    "ResNet-110, table 6": (lambda: zoo.cifar_resnet(110), 1.7, 1),
    "ResNeXt-50 32x4d, table 1": (lambda: zoo.resnext(50), 25.0, 1),
    "DenseNet, L = 40, k = 12": (lambda: zoo.small_densenet(40, 12), 1.0, 1),
    "MobileNet": (lambda: zoo.MobileNet(), 4.2, 1),
    "All-CNN-C, table 3": (lambda: zoo.AllCNN("C", "all-conv"), 1.4, 1),
    "ConvPool-CNN-C, table 3": (lambda: zoo.AllCNN("C", "conv-pool"), 1.4, 1),
    "SimpNet": (lambda: zoo.SimpNet(), 5.48, 2),
}


@pytest.mark.parametrize(("make", "parameters"), EXACT.values(), ids=EXACT)
def test_counts_exactly(make, parameters):
    with torch.device("meta"):
        assert count(make()) == parameters


@pytest.mark.parametrize(("make", "millions", "digits"), PAPERS.values(), ids=PAPERS)
def test_rounds_to_the_papers_figure(make, millions, digits):
    with torch.device("meta"):
        assert round(count(make()) / 1e6, digits) == millions


def test_lenets_layers_have_the_papers_parameters():
    net = zoo.LeNet5()
    assert [count(module) for module in net.features if count(module)] == [156, 12, 1_516, 32, 48_120, 10_164]


def test_the_naive_inception_module_grows_and_the_reduced_one_does_not():
    naive, reduced = NaiveInception(192, 64, 128, 32), Inception(192, TABLE["3a"])
    assert (naive.out_channels, count(naive)) == (416, 387_296)
    assert (reduced.out_channels, count(reduced)) == (256, 163_696)


def test_a_plain_twin_has_as_many_parameters_and_no_shortcut():
    twin = zoo.plain(56)
    assert count(twin) == count(zoo.cifar_resnet(56))
    assert all(block.shortcut is None for stage in twin.stages for block in stage)


@pytest.mark.parametrize("kind", ["WS", "ER", "BA"])
def test_randwire_has_the_papers_size(kind):
    # table 2: 5.6 ± 0.1 million on average over graphs; one graph differs by its edges and by which nodes come first
    with torch.device("meta"):
        sizes = [count(zoo.RandWire(kind, seed=seed)) for seed in range(3)]
    assert all(5.4e6 < size < 6.0e6 for size in sizes), sizes


# (ours, torchvision's): the same layers in the same order
TWINS = {
    **{
        f"resnet{d}": (lambda d=d: zoo.resnet(d, stride_on_3x3=True) if d > 34 else zoo.resnet(d)) for d in (18, 34, 50)
    },
    "resnext50_32x4d": lambda: zoo.resnext(50),
    "densenet121": lambda: zoo.densenet121(),
    "vgg11": lambda: zoo.VGG("A"),
}


@pytest.mark.parametrize("name", TWINS)
def test_equals_torchvisions_net_in_count_and_after_copying_weights_in_output(name):
    theirs = getattr(torchvision.models, name)(weights=None).eval()
    ours = TWINS[name]().eval()
    generator = torch.Generator().manual_seed(0)
    state = theirs.state_dict()
    for key, value in state.items():  # running statistics other than 0 and 1
        if key.endswith(("running_mean", "running_var")):
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
    keys = list(ours.state_dict())
    assert count(ours) == count(theirs) and len(keys) == len(state)
    ours.load_state_dict(dict(zip(keys, state.values(), strict=True)))
    x = torch.randn(1, 3, 224, 224, generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)


def test_configurations_differ_as_table_1_says():
    layers = {name: sum(row.count("3") + row.count("1") for row in rows) + 3 for name, rows in CONFIGURATIONS.items()}
    assert layers == {"A": 11, "A-LRN": 11, "B": 13, "C": 16, "D": 16, "E": 19}
