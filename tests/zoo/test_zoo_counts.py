"""Each architecture has the parameters of its paper, and of torchvision where it has the same net."""

from unmagic import zoo
from unmagic.zoo.alexnet import initialize_as_published
from unmagic.zoo.googlenet import TABLE, Inception, NaiveInception
from unmagic.zoo.highway import HighwayLayer
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
    "VGG A-LRN": (lambda: zoo.VGG("A-LRN"), 132_863_336),  # as A: normalization has none
    "ResNet-18": (lambda: zoo.resnet(18), 11_689_512),
    "ResNet-34": (lambda: zoo.resnet(34), 21_797_672),
    "ResNet-50": (lambda: zoo.resnet(50), 25_557_032),
    "ResNet-101": (lambda: zoo.resnet(101), 44_549_160),
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


# Figures that cannot be met: (net, the paper's in millions, ours to as many digits, why)
UNMET = {
    "AlexNet": (lambda: zoo.AlexNet(), 60, 61, "the paper cuts 60,965,224 down to 60 million"),
    "GoogLeNet": (
        lambda: zoo.GoogLeNet(heads=False),
        5,
        7,
        "12 times fewer than AlexNet, says its introduction; the sizes of its table 1 are 8.7 times fewer",
    ),
    "Model C": (
        lambda: zoo.AllCNN("C", "base"),
        1.3,
        1.0,
        "the sizes of its table 1 come to 954,730; only with the convolutions in place of pooling are they 1.4 million",
    ),
}


@pytest.mark.parametrize(("make", "papers", "ours", "why"), UNMET.values(), ids=UNMET)
def test_a_papers_figure_that_its_own_sizes_do_not_come_to(make, papers, ours, why):
    digits = len(str(papers).partition(".")[2])
    with torch.device("meta"):
        assert round(count(make()) / 1e6, digits) == ours != papers, why


# The paper's input, and what comes out
INPUTS = {
    "LeNet-5": (lambda: zoo.LeNet5(), (1, 32, 32), 10),
    "AlexNet": (lambda: zoo.AlexNet(), (3, 227, 227), 1000),
    **{f"VGG {name}": (lambda name=name: zoo.VGG(name), (3, 224, 224), 1000) for name in CONFIGURATIONS},
    "NiN": (lambda: zoo.NiN(), (3, 32, 32), 10),
    "GoogLeNet": (lambda: zoo.GoogLeNet(), (3, 224, 224), 1000),
    **{
        f"{model}, {variant}": (lambda model=model, variant=variant: zoo.AllCNN(model, variant), (3, 32, 32), 10)
        for model in "ABC"
        for variant in ("base", "strided", "conv-pool", "all-conv")
    },
    **{f"ResNet-{depth}": (lambda depth=depth: zoo.resnet(depth), (3, 224, 224), 1000) for depth in (18, 50, 152)},
    "plain-34": (lambda: zoo.plain(34), (3, 224, 224), 1000),
    **{f"CIFAR ResNet-{depth}": (lambda depth=depth: zoo.cifar_resnet(depth), (3, 32, 32), 10) for depth in (20, 110)},
    "Highway": (lambda: zoo.Highway(), (1, 28, 28), 10),
    "ResNeXt-50": (lambda: zoo.resnext(50), (3, 224, 224), 1000),
    "DenseNet-121": (lambda: zoo.densenet121(), (3, 224, 224), 1000),
    "DiracNet-18": (lambda: zoo.DiracNet(18), (3, 224, 224), 1000),
    "vanilla, 100 layers": (lambda: zoo.VanillaCNN(100), (3, 32, 32), 10),
    "Binary-Weight": (lambda: zoo.BinaryAlexNet("binary-weight"), (3, 227, 227), 1000),
    "XNOR": (lambda: zoo.BinaryAlexNet("xnor"), (3, 227, 227), 1000),
    "RandWire": (lambda: zoo.RandWire(), (3, 224, 224), 1000),
    "SimpNet": (lambda: zoo.SimpNet(), (3, 32, 32), 10),
    "MobileNet": (lambda: zoo.MobileNet(), (3, 224, 224), 1000),
}


@pytest.mark.parametrize(("make", "shape", "classes"), INPUTS.values(), ids=INPUTS)
def test_takes_its_papers_input(make, shape, classes):
    with torch.device("meta"):  # shapes alone
        assert make().eval()(torch.empty(2, *shape)).shape == (2, classes)


@pytest.mark.parametrize(
    ("without", "fewer"), [((7,), 16_781_312), ((6, 7), 49_414_144), ((3, 4), 1_696_512), ((3, 4, 6, 7), 51_110_656)]
)
def test_alexnet_without_layers_has_the_syllabus_millions_fewer(without, fewer):
    """fc7 is 4096² + 4096; without fc6 too the classifier sees 9,216 numbers in place of 4,096."""
    assert 4096**2 + 4096 == 16_781_312 and 9216 * 4096 + 4096 + 16_781_312 - 1000 * (9216 - 4096) == 49_414_144
    with torch.device("meta"):
        net = zoo.AlexNet(without=without)
        assert count(zoo.AlexNet()) - count(net) == fewer
        assert net(torch.empty(1, 3, 227, 227)).shape == (1, 1000)


def test_a_shorter_alexnet_begins_as_published_layer_by_layer():
    sizes = {"widths": (4, 8, 8, 8, 8), "hidden": 16, "classes": 3}
    net = initialize_as_published(zoo.AlexNet(without=(3, 4, 6), **sizes))
    biases = [module.bias[0].item() for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert net.numbers == (1, 2, 5, 7, 8) and biases == [0, 1, 1, 1, 0]


@pytest.mark.parametrize(("shortcut", "more"), [("none", 0), ("A", 0), ("B", 2), ("C", 3)])
def test_shortcut_b_projects_where_sizes_change_and_c_everywhere(shortcut, more):
    """Of three blocks, one a stage, the first keeps its size: projections of 8 to 8, 8 to 16 and 16 to 32 channels."""
    weights = [8 * 16 + 2 * 16, 16 * 32 + 2 * 32, 8 * 8 + 2 * 8]
    found = count(zoo.cifar_resnet(8, width=8, shortcut=shortcut)) - count(zoo.plain(8, width=8))
    assert found == sum(weights[:more])


@pytest.mark.parametrize(("make", "parameters"), EXACT.values(), ids=EXACT)
def test_counts_exactly(make, parameters):
    with torch.device("meta"):
        assert count(make()) == parameters


@pytest.mark.parametrize(("make", "millions", "digits"), PAPERS.values(), ids=PAPERS)
def test_rounds_to_the_papers_figure(make, millions, digits):
    with torch.device("meta"):
        assert round(count(make()) / 1e6, digits) == millions


# multiply–adds of one image of 224×224 in millions, as the papers have them, and one unit of the last digit they print:
# some round, some cut. ResNet: table 1 (and figure 3 for VGG-19); MobileNet: tables 6 and 8; RandWire: table 2, where
# the spread is that of its graphs; GoogLeNet: the 1.5 billion of its introduction
MULTIPLY_ADDS = {
    "ResNet-18": (lambda: zoo.resnet(18), 1800, 100),
    "ResNet-34": (lambda: zoo.resnet(34), 3600, 100),
    "ResNet-50": (lambda: zoo.resnet(50), 3800, 100),
    "ResNet-101": (lambda: zoo.resnet(101), 7600, 100),
    "ResNet-152": (lambda: zoo.resnet(152), 11300, 100),
    "VGG-19": (lambda: zoo.VGG("E"), 19600, 100),
    "GoogLeNet": (lambda: zoo.GoogLeNet(), 1500, 100),
    "ResNeXt-50": (lambda: zoo.resnext(50), 4200, 100),
    "MobileNet": (lambda: zoo.MobileNet(), 569, 1),
    "MobileNet 0.75": (lambda: zoo.MobileNet(width=0.75), 325, 1),
    "MobileNet 0.5": (lambda: zoo.MobileNet(width=0.5), 149, 1),
    "MobileNet 0.25": (lambda: zoo.MobileNet(width=0.25), 41, 1),
    "RandWire": (lambda: zoo.RandWire(), 583, 6.2),
}


@pytest.mark.parametrize(("make", "millions", "unit"), MULTIPLY_ADDS.values(), ids=MULTIPLY_ADDS)
def test_its_budget_has_the_papers_multiply_adds(make, millions, unit):
    with torch.device("meta"):
        net = make()
    assert abs(zoo.budget(net, (3, 224, 224)).macs / 1e6 - millions) < unit


def test_a_highway_layer_of_50_units_has_the_parameters_of_a_plain_one_of_71():
    """Section 3.1: nets as thin as that are compared, of some 5,000 parameters a layer each."""
    assert (count(HighwayLayer(50)), count(nn.Linear(71, 71))) == (5_100, 5_112)


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


def torchvisions_googlenet():
    """Batch norm of its own ε, 3×3 where the paper has 5×5, and a pooling of 2×2 where the paper has 3×3."""
    net = zoo.GoogLeNet(heads=False, batch_norm=True)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3
        if isinstance(module, Inception):
            five = module.five[1]
            five[0] = nn.Conv2d(five[0].in_channels, five[0].out_channels, 3, padding=1, bias=False)
    net.inception4e[1] = nn.MaxPool2d(2, 2, ceil_mode=True)
    return net


# torchvision's name: (ours with the same layers in the same order, side of the input). Of MobileNet it has only the
# versions 2 and 3, which are other nets.
TWINS = {
    **{f"resnet{d}": (lambda d=d: zoo.resnet(d), 64) for d in (18, 34)},
    **{f"resnet{d}": (lambda d=d: zoo.resnet(d, stride_on_3x3=True), 64) for d in (50, 101, 152)},
    "resnext50_32x4d": (lambda: zoo.resnext(50), 64),
    "resnext101_32x8d": (lambda: zoo.resnext(101, path_width=8), 64),
    "resnext101_64x4d": (lambda: zoo.resnext(101, paths=64), 64),
    "densenet121": (lambda: zoo.densenet121(), 64),
    "densenet161": (lambda: zoo.DenseNet((6, 12, 36, 24), growth=48), 64),
    "densenet169": (lambda: zoo.DenseNet((6, 12, 32, 32)), 64),
    "densenet201": (lambda: zoo.DenseNet((6, 12, 48, 32)), 64),
    "vgg11": (lambda: zoo.VGG("A"), 224),
    "vgg13": (lambda: zoo.VGG("B"), 224),
    "vgg16": (lambda: zoo.VGG("D"), 224),
    "vgg19": (lambda: zoo.VGG("E"), 224),
    # of A. Krizhevsky: One weird trick for parallelizing convolutional neural networks, 2014: one pathway, other widths
    "googlenet": (torchvisions_googlenet, 64),
    "alexnet": (
        lambda: zoo.AlexNet(widths=(64, 192, 384, 256, 256), groups=1, stem=(11, 4, 2), size=224, norm=False),
        224,
    ),
}


def drawn(name: str, value: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Weights that keep numbers in range through the whole depth, and statistics other than 0 and 1."""
    if not value.is_floating_point():
        return torch.zeros(value.shape, dtype=value.dtype)
    if value.ndim > 1:
        return torch.randn(value.shape, generator=generator) * (2 / value[0].numel()) ** 0.5
    low, width = (0.5, 1.0) if "running" in name else (0.1, 0.3)
    return torch.rand(value.shape, generator=generator) * width + low


@pytest.mark.parametrize("name", TWINS)
def test_equals_torchvisions_net_in_count_and_after_copying_weights_in_output(name):
    make, side = TWINS[name]
    with torch.device("meta"):  # the weights come below, once for both
        options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
        theirs, ours = getattr(torchvision.models, name)(weights=None, **options).eval(), make().eval()
    generator = torch.Generator().manual_seed(0)
    state = {key: drawn(key, value, generator) for key, value in theirs.state_dict().items()}
    theirs.load_state_dict(state, assign=True)
    ours.load_state_dict(dict(zip(ours.state_dict(), state.values(), strict=True)), assign=True)
    assert count(ours) == count(theirs)
    x = torch.randn(1, 3, side, side, generator=generator)
    with torch.no_grad():
        wanted = theirs(x)
        assert 1e-3 < wanted.std() < 1e3  # numbers that tell something
        torch.testing.assert_close(ours(x), wanted, rtol=1e-4, atol=1e-5 * float(wanted.std()))


def test_configurations_differ_as_table_1_says():
    layers = {name: sum(row.count("3") + row.count("1") for row in rows) + 3 for name, rows in CONFIGURATIONS.items()}
    assert layers == {"A": 11, "A-LRN": 11, "B": 13, "C": 16, "D": 16, "E": 19}
