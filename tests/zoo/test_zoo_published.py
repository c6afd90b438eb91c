"""What a count of parameters does not see, against the papers' formulas: connections, constants, order, weights."""

from unmagic import zoo
from unmagic.zoo.alexnet import initialize_as_published, response_norm
from unmagic.zoo.dirac import DiracConv2d
from unmagic.zoo.googlenet import TABLE, Inception, NaiveInception, with_heads
from unmagic.zoo.highway import HighwayLayer
from unmagic.zoo.initialization import he_
from unmagic.zoo.lenet import C3_TABLE, PartialConv2d, ScaledTanh, TrainableSubsampling
from unmagic.zoo.resnet import ZeroPad

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.zoo.drawn import noise, shaken


def letters(net: nn.Module) -> str:
    """Its layers, a letter each: convolution, ReLU, normalization, max pooling, average pooling, dropout, linear."""
    kinds = (nn.Conv2d, nn.ReLU, nn.LocalResponseNorm, nn.MaxPool2d, nn.AvgPool2d, nn.Dropout, nn.Linear)
    return "".join("CRNMADL"[kinds.index(type(m))] for m in net.modules() if type(m) in kinds)


class TestLeNet:
    # LeCun et al. 1998, table I: a row a map of S2, a column a map of C3
    TABLE_I = """
        X . . . X X X . . X X X X . X X
        X X . . . X X X . . X X X X . X
        X X X . . . X X X . . X . X X X
        . X X X . . X X X X . . X . X X
        . . X X X . . X X X X . X X . X
        . . . X X X . . X X X X . X X X
    """

    def test_c3_is_connected_as_table_1_prints_it(self):
        rows = [line.split() for line in self.TABLE_I.strip().splitlines()]
        printed = [{i for i, row in enumerate(rows) if row[o] == "X"} for o in range(16)]
        assert [set(seen) for seen in C3_TABLE] == printed and sum(map(len, C3_TABLE)) == 60

    def test_a_partial_convolution_is_a_sum_over_its_connections(self):
        layer, x = shaken(PartialConv2d(C3_TABLE, 6, 5)), noise(2, 6, 7, 7)
        kernels = iter(layer.kernels)
        for o, seen in enumerate(C3_TABLE):
            wanted = sum(F.conv2d(x[:, i : i + 1], next(kernels)[None, None]) for i in seen) + layer.bias[o]
            torch.testing.assert_close(layer(x)[:, o : o + 1], wanted)

    def test_subsampling_adds_four_neighbours_times_a_coefficient_plus_a_bias(self):
        layer, x = shaken(TrainableSubsampling(3)), noise(2, 3, 4, 6)
        sums = x.reshape(2, 3, 2, 2, 3, 2).sum(dim=(3, 5))  # (N, C, H/2, W/2)
        torch.testing.assert_close(layer(x), sums * layer.coefficient + layer.bias)

    def test_the_squashing_function_is_one_at_one_and_saturates_at_1_7159(self):
        found = ScaledTanh()(torch.tensor([-1.0, 0.0, 1.0, 100.0]))
        torch.testing.assert_close(found, torch.tensor([-1.0, 0.0, 1.0, 1.7159]), rtol=0, atol=1e-4)

    def test_first_weights_are_uniform_between_2_4_over_the_inputs_and_its_negative(self):
        torch.manual_seed(0)
        c5, last_of_c3 = zoo.LeNet5().features[8].weight, PartialConv2d(C3_TABLE, 6, 5).kernels[-6:]
        for weights, inputs in ((c5.detach(), 16 * 25), (last_of_c3.detach(), 6 * 25)):
            scaled = weights * inputs / 2.4
            assert 0.97 < scaled.abs().max() <= 1 and scaled.std().item() == pytest.approx(1 / math.sqrt(3), rel=0.1)


class TestAlexNet:
    def test_response_normalization_is_section_3_3s_formula(self):
        a = 40 * noise(2, 7, 2, 2).numpy()
        wanted = np.empty_like(a)
        for i in range(7):
            near = a[:, max(0, i - 2) : min(7, i + 3)]  # n = 5 maps
            wanted[:, i] = a[:, i] / (2 + 1e-4 * (near**2).sum(1)) ** 0.75
        np.testing.assert_allclose(response_norm()(torch.from_numpy(a)), wanted, rtol=1e-5)

    def test_layers_stand_in_the_papers_order(self):
        with torch.device("meta"):
            assert letters(zoo.AlexNet()) == "CRNMCRNMCRCRCRMLRDLRDL"
            assert letters(zoo.VGG("A-LRN")).startswith("CRNMCRMCRCRM")
            # pooling over the maximum first, over the mean then; no linear layer
            assert letters(zoo.NiN()) == "CRCRCRMDCRCRCRADCRCRCR"

    def test_weights_begin_with_a_deviation_of_a_hundredth(self):
        torch.manual_seed(0)
        net = initialize_as_published(zoo.AlexNet(10, widths=(16, 32, 32, 32, 32), hidden=64))
        for layer in (net.features[4], net.classifier[1]):
            assert layer.weight.std().item() == pytest.approx(0.01, rel=0.05)


class TestGoogLeNet:
    @staticmethod
    def convolved(x, layers):
        """Through convolutions and ReLUs by functions alone."""
        for layer in layers:
            x = F.conv2d(x, layer.weight, layer.bias, padding=layer.weight.shape[-1] // 2).relu()
        return x

    def branches(self, module, x):
        parts = (module.one, module.three, module.five, module.pool)
        inputs = (x, x, x, F.max_pool2d(x, 3, 1, 1))
        convs = [[m for m in part.modules() if isinstance(m, nn.Conv2d)] for part in parts]
        return torch.cat([self.convolved(x, c) for x, c in zip(inputs, convs, strict=True)], 1), convs

    def test_a_module_is_four_branches_side_by_side_in_the_order_of_the_figure(self):
        x = noise(2, 12, 6, 6)
        module = shaken(Inception(12, (2, 3, 4, 5, 6, 7)))
        wanted, convs = self.branches(module, x)
        torch.testing.assert_close(module(x), wanted)
        sizes = [[(c.out_channels, c.kernel_size[0]) for c in branch] for branch in convs]
        assert sizes == [[(2, 1)], [(3, 1), (4, 3)], [(5, 1), (6, 5)], [(7, 1)]]
        naive = shaken(NaiveInception(12, 2, 3, 4))
        torch.testing.assert_close(naive(x), self.branches(naive, x)[0])

    def test_heads_look_at_4a_and_4d_and_count_three_tenths_each(self):
        torch.manual_seed(0)
        net, x, labels = zoo.GoogLeNet(10, width=0.0625, stem="small", size=12).train(), noise(3, 3, 12, 12), [1, 2, 3]
        assert [m.p for m in net.modules() if isinstance(m, nn.Dropout)] == pytest.approx([0.4, 0.7, 0.7])
        for module in net.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        seen = {}
        modules = [m for m in net.modules() if isinstance(m, Inception)]
        assert len(modules) == len(TABLE) == 9
        for name, module in zip(TABLE, modules, strict=True):
            module.register_forward_hook(lambda module, x, y, name=name: seen.update({name: y}))
        outputs = net(x)
        for name, head, found in (("4a", net.head_4a, outputs.after_4a), ("4d", net.head_4d, outputs.after_4d)):
            conv, first, last = (m for m in head.modules() if isinstance(m, nn.Conv2d | nn.Linear))
            assert (conv.out_channels, conv.kernel_size, first.out_features) == (128, (1, 1), 1024)
            y = F.conv2d(F.avg_pool2d(seen[name], 5, 3), conv.weight, conv.bias).relu().flatten(1)
            torch.testing.assert_close(found, last(first(y).relu()))
        labels = torch.tensor(labels)
        losses = [F.cross_entropy(y, labels) for y in outputs]
        value, logits = with_heads()(net, x, labels)
        torch.testing.assert_close(value, losses[0] + 0.3 * losses[1] + 0.3 * losses[2])
        torch.testing.assert_close(logits, outputs.logits)


class TestResidual:
    def test_shortcut_a_takes_every_second_pixel_and_adds_maps_of_zeros(self):
        x = noise(2, 2, 5, 5)
        y = ZeroPad(2, 6, 2)(x)
        assert y.shape == (2, 6, 3, 3) and y[:, [0, 1, 4, 5]].count_nonzero() == 0
        assert y[:, 2:4].equal(x[:, :, [0, 2, 4]][..., [0, 2, 4]])

    def test_the_stride_of_a_bottleneck_is_in_its_first_layer_unless_asked_for_in_the_second(self):
        with torch.device("meta"):
            for net, strides in ((zoo.resnet(50), [2, 1, 1]), (zoo.resnet(50, stride_on_3x3=True), [1, 2, 1])):
                block = net.stages[1][0].residual
                assert [m.stride[0] for m in block.modules() if isinstance(m, nn.Conv2d)] == strides

    @pytest.mark.parametrize(("mode", "n"), [("fan_in", 9 * 32), ("fan_out", 9 * 64)])
    def test_first_weights_have_a_variance_of_two_over_the_inputs_or_the_outputs(self, mode, n):
        torch.manual_seed(0)
        layer = nn.Conv2d(32, 64, 3)
        he_(nn.Sequential(layer), mode)
        assert layer.weight.var().item() == pytest.approx(2 / n, rel=0.05) and not layer.bias.any()


def test_a_highway_layer_is_equation_3_and_its_gate_begins_negative():
    assert set(HighwayLayer(4).gate.bias.tolist()) == {-2.0}
    layer, x = shaken(HighwayLayer(4)), noise(5, 4)
    with torch.no_grad():
        W_H, b_H, W_T, b_T = (p.double().numpy() for p in (*layer.transform.parameters(), *layer.gate.parameters()))
        found = layer(x)
    x = x.double().numpy()
    T = 1 / (1 + np.exp(-(x @ W_T.T + b_T)))
    np.testing.assert_allclose(found, np.maximum(0, x @ W_H.T + b_H) * T + x * (1 - T), rtol=1e-4, atol=1e-6)


def test_a_dirac_layer_is_a_times_the_identity_plus_b_times_filters_of_length_one():
    layer = DiracConv2d(2, 3)
    assert (layer.a.tolist(), layer.b.tolist()) == ([1, 1, 1], pytest.approx([0.1, 0.1, 0.1]))
    with torch.no_grad():
        layer.a.copy_(torch.tensor([0.5, 2.0, 3.0]))
        layer.b.copy_(torch.tensor([0.1, 0.2, -0.3]))
        W, folded = layer.weight.numpy(), layer.folded().numpy()
    for o in range(3):
        wanted = layer.b[o].item() * W[o] / np.sqrt((W[o] ** 2).sum())
        if o < 2:
            wanted[o, 1, 1] += layer.a[o].item()  # two maps come in: the third filter leads none on
        np.testing.assert_allclose(folded[o], wanted, rtol=1e-5)


def test_the_vanilla_nets_second_and_third_layer_halve_the_sides_and_only_tanh_stands_between():
    net, x = shaken(zoo.VanillaCNN(5, 4)), noise(1, 3, 16, 16)
    y = x
    for convolution, stride in zip(net.convolutions, (1, 2, 2, 1, 1), strict=True):
        y = F.conv2d(y, convolution.weight, convolution.bias, stride, 1).tanh()
    torch.testing.assert_close(net(x), net.classifier(y.mean((2, 3))))
