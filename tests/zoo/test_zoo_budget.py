"""Budgets: equal to kept counters, and to receptive fields found by looking."""

from unmagic import zoo
from unmagic.zoo.resnet import ZeroPad

import pytest
import torch
from ptflops import get_model_complexity_info
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from tests.zoo.small import SMALL, segmenter


class Attends(nn.Module):
    """Each place looks at each other: products of matrices, a pair for each image."""

    def forward(self, x):
        rows = x.flatten(2)  # (N, 3, 1024)
        return torch.bmm(torch.bmm(rows.transpose(1, 2), rows).softmax(2), rows.transpose(1, 2))


# more kinds of work: transposed convolution, and products of batches of matrices
NETS = SMALL | {"FCN": segmenter, "attention": Attends}


@pytest.mark.parametrize("name", NETS)
def test_multiply_adds_are_half_of_torchs_own_count(name):
    net = NETS[name]().eval()
    x = torch.zeros(1, 3, 32, 32)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(x)
    found = zoo.budget(net, (3, 32, 32))
    # K of XNOR is a convolution by a box, which both count
    assert found.macs == counter.get_total_flops() // 2 > 0
    assert found.parameters == sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("make", [lambda: zoo.resnet(50), lambda: zoo.densenet121()], ids=["resnet50", "densenet121"])
def test_equals_ptflops_on_the_papers_nets(make):
    net = make().eval()
    options = {"as_strings": False, "print_per_layer_stat": False, "verbose": False, "backend": "aten"}
    macs, parameters = get_model_complexity_info(net, (3, 224, 224), **options)
    found = zoo.budget(net, (3, 224, 224))
    assert parameters == found.parameters
    assert macs == found.macs + 1000  # it counts the classifier's 1,000 biases as well


def test_a_net_is_neither_changed_nor_run(monkeypatch):
    net = zoo.cifar_resnet(8).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found = zoo.budget(net, (3, 32, 32))
    assert net.training and all(value.equal(net.state_dict()[name]) for name, value in before.items())
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in net.modules())
    assert next(net.parameters()).device.type == "cpu" and found.rows


def test_rows_of_lenet_are_the_papers_layers():
    rows = {row.name: row for row in zoo.budget(zoo.LeNet5(), (1, 32, 32)).rows}
    assert rows["features.0"].output == (6, 28, 28) and rows["features.0"].macs == 28 * 28 * 6 * 25
    assert rows["features.4"].parameters == 1516 and rows["features.4"].receptive_field == 14
    assert rows["features.8"].receptive_field == 32 and rows["features.11"].receptive_field is None


@pytest.mark.parametrize(
    ("net", "layer", "side"),
    [
        (lambda: nn.Sequential(nn.Conv2d(3, 2, 3), nn.MaxPool2d(3, 2), nn.Conv2d(2, 2, 3, dilation=2)), "2", 13),
        (lambda: nn.Sequential(nn.Conv2d(3, 2, 3, 2), nn.AvgPool2d(2), nn.Conv2d(2, 2, 5)), "2", 21),
        (lambda: zoo.cifar_resnet(8, width=4).stages, "1", None),
        # every second pixel, and then 3 × 3 of those
        (lambda: nn.Sequential(ZeroPad(3, 4, 2), nn.Conv2d(4, 2, 3)), "1", 5),
        # sides halved and doubled: two neighbours 2 pixels apart under each output, then 3 × 3 at full size
        (lambda: nn.Sequential(nn.Conv2d(3, 2, 3, 2), nn.ConvTranspose2d(2, 2, 4, 2, 1), nn.Conv2d(2, 2, 3)), "2", 7),
        # between the places of an enlarged map lies a half of a pixel
        (lambda: nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(3, 2, 5), nn.AvgPool2d(3, 1)), "2", 4),
        (lambda: nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(3, 2, 7, 2)), "1", 5),
    ],
)
def test_the_receptive_field_is_where_the_gradient_of_one_output_is_not_zero(net, layer, side):
    module = net()
    channels = 3 if side else 4
    x = torch.rand(1, channels, 64, 64, requires_grad=True)
    for m in module.modules():  # so that nothing cancels and no ReLU is shut
        if isinstance(m, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.constant_(m.weight, 0.01)
            if m.bias is not None:
                nn.init.constant_(m.bias, 0.1)
        if isinstance(m, nn.MaxPool2d):
            m.forward = lambda x, m=m: nn.functional.avg_pool2d(x, m.kernel_size, m.stride)  # sees as much
    module.eval()
    y = module(x)
    h = y.shape[-1] // 2
    (slope,) = torch.autograd.grad(y[0, 0, h, h], x)
    touched = (slope.abs().sum(dim=(0, 1)) > 0).nonzero()
    seen = int((touched.max(dim=0).values - touched.min(dim=0).values + 1).max())
    rows = zoo.budget(net(), (channels, 64, 64)).rows
    found = max(row.receptive_field for row in rows)
    assert found == seen == (side or found)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (32, r"input_shape is 32; wanted sizes without the batch"),
        ((3, 0, 32), r"input_shape is \(3, 0, 32\)"),
        ((1, 3, 32, 32), r"cannot take an input of 1×3×32×32 \(sizes without the batch\): Expected"),
        ((1, 32, 32), r"cannot take an input of 1×32×32"),
    ],
)
def test_an_input_that_the_net_cannot_take_is_said_and_no_hook_stays(shape, said):
    net = zoo.cifar_resnet(8)
    with pytest.raises(ValueError, match=said):
        zoo.budget(net, shape)
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in net.modules())


def test_training_keeps_every_output_and_testing_two():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 5))
    found = zoo.budget(net, (1, 4, 4))
    parameters = 2 * 9 + 2 + 8 * 5 + 5
    assert found.training_bytes == 12 * parameters + 4 * (8 + 8 + 8 + 5)
    assert found.testing_bytes == 4 * parameters + 4 * (16 + 8)


def test_a_table_has_a_line_a_layer_the_sums_and_the_memory():
    lines = str(zoo.budget(zoo.LeNet5(), (1, 32, 32))).splitlines()
    assert lines[0].split() == ["layer", "kind", "output", "parameters", "MACs", "activations", "sees"]
    assert lines[5].split() == ["features.4", "PartialConv2d", "16×10×10", "1,516", "240,000", "1,600", "14×14"]
    assert len(lines) == 17 and lines[-2].split() == ["all", "60,000", "415,680", "16,298"]
    # 12 bytes a parameter and 4 an output; LeNet's largest two neighbours are its first two maps
    assert lines[-1] == (
        "one input, float32: 0.8 MB to train (parameters, gradients, momentum 0.7 MB, outputs 65.2 kB), 0.3 MB to test"
    )
