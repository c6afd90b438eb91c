"""The newer nets: order, constants and wiring, against the papers' formulas written out, and sizes by arithmetic."""

from unmagic import zoo
from unmagic.zoo.binary import BinaryBlock, SignStraightThrough
from unmagic.zoo.randwire import RandomStage, random_graph

import itertools

import networkx
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.zoo.drawn import noise, shaken


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def chain(widths, per_channel=3, kernel=9):
    """Parameters of convolutions in a row: kernel·in·out weights, and so many of each output channel."""
    return sum(kernel * i * o + per_channel * o for i, o in itertools.pairwise(widths))


# the sums of sizes that the papers print, layer by layer; 3 a channel: bias, γ, β
SIMPNET = (3, 66, 128, 128, 128, 192, 192, 192, 192, 192, 288, 288, 355, 432)  # Hasanpour et al. 2018, its architecture
MOBILENET = (32, 64, 128, 128, 256, 256, *(512,) * 6, 1024, 1024)  # Howard et al. 2017, table 1
DIRACNET = (64, *(64,) * 4, *(128,) * 4, *(256,) * 4, *(512,) * 4)  # Zagoruyko, Komodakis 2017: 18 layers
BY_ARITHMETIC = {
    "SimpNet": (zoo.SimpNet, chain(SIMPNET) + 432 * 10 + 10),
    "MobileNet": (
        zoo.MobileNet,
        27 * 32
        + 2 * 32
        + sum(9 * i + 2 * i + i * o + 2 * o for i, o in itertools.pairwise(MOBILENET))
        + 1024 * 1000
        + 1000,
    ),
    # of each layer a and b of its outputs, γ and β of its inputs; at the end γ and β
    "DiracNet-18": (
        lambda: zoo.DiracNet(18),
        49 * 3 * 64 + chain(DIRACNET, 2) + 2 * sum(DIRACNET[:-1]) + 2 * 512 + 512 * 1000 + 1000,
    ),
    "Highway, 50 layers of 50": (zoo.Highway, 784 * 50 + 50 + 48 * 2 * (50 * 50 + 50) + 50 * 10 + 10),
    "vanilla, 20 layers": (lambda: zoo.VanillaCNN(20), chain((3, *(32,) * 20), 1) + 32 * 10 + 10),
    # first and last real; between them no biases, and γ, β of each layer's inputs
    "XNOR": (
        zoo.BinaryAlexNet,
        (121 * 3 * 96 + 96 + 2 * 96)
        + (25 * 96 * 256 + 9 * 256 * 384 + 9 * 384 * 384 + 9 * 384 * 256 + 36 * 256 * 4096 + 4096 * 4096)
        + 2 * (96 + 256 + 384 + 384 + 256 + 4096)
        + 2 * 4096
        + 4096 * 1000
        + 1000,
    ),
    "DenseNet, L = 40, k = 12": (lambda: zoo.small_densenet(40, 12), 1_019_722),  # every implementation's
    "VGG C": (lambda: zoo.VGG("C"), 133_638_952),
}


@pytest.mark.parametrize(("make", "parameters"), BY_ARITHMETIC.values(), ids=BY_ARITHMETIC)
def test_has_the_parameters_of_the_papers_sizes(make, parameters):
    with torch.device("meta"):
        assert count(make()) == parameters


class TestSimpNet:
    def test_saf_pooling_takes_the_largest_of_four_and_then_drops_some(self):
        x = noise(4, 8, 16, 16).abs() + 0.1
        largest = x.reshape(4, 8, 8, 2, 8, 2).amax(dim=(3, 5))
        pooling = zoo.SAFPooling(0.2)
        torch.testing.assert_close(pooling.eval()(x), largest)
        torch.manual_seed(0)
        y = pooling.train()(x)
        kept = y > 0
        torch.testing.assert_close(y[kept], largest[kept] / 0.8)
        assert 0.17 < 1 - kept.float().mean() < 0.23

    def test_it_pools_twice_between_its_groups_and_ends_in_the_largest_value_of_each_map(self):
        net, x = shaken(zoo.SimpNet(groups=((4, 4), (6,), (8,)))), noise(2, 3, 8, 8)
        kinds = [type(m) for m in net.features if isinstance(m, nn.Conv2d | zoo.SAFPooling)]
        assert kinds == [nn.Conv2d, nn.Conv2d, zoo.SAFPooling, nn.Conv2d, zoo.SAFPooling, nn.Conv2d]
        maps = net.features(x)
        assert maps.shape == (2, 8, 2, 2)
        torch.testing.assert_close(net(x), net.classifier(maps.flatten(2).max(dim=2).values))


def test_mobilenets_block_filters_each_channel_then_mixes_them_each_with_norm_and_relu():
    block, x = shaken(zoo.SeparableBlock(6, 4, stride=2)), noise(2, 6, 8, 8)
    depthwise, mix = (m for m in block.modules() if isinstance(m, nn.Conv2d))
    norms = [m for m in block.modules() if isinstance(m, nn.BatchNorm2d)]
    one = [F.conv2d(x[:, i : i + 1], depthwise.weight[i : i + 1], stride=2, padding=1) for i in range(6)]
    y = norms[0](torch.cat(one, 1)).relu()
    y = norms[1](torch.einsum("oi,nihw->nohw", mix.weight[:, :, 0, 0], y)).relu()
    torch.testing.assert_close(block(x), y)


class TestBinary:
    def test_an_xnor_layer_is_equation_11_patch_by_patch(self):
        """sign(I) ⊛ sign(W), times α of the filter, times K, the window's mean of |I|."""
        layer = shaken(zoo.BinaryConv2d(3, 4, 3, stride=2, padding=1, binary_input=True))
        x = noise(2, 3, 7, 7)
        signs, sizes = (F.unfold(part, 3, padding=1, stride=2) for part in (x.sign(), x.abs()))  # (N, 27, 16)
        filters = layer.weight.detach().flatten(1)  # (4, 27)
        alpha, K = filters.abs().mean(1), sizes.mean(1)  # (4,), (N, 16)
        wanted = K[:, None] * alpha[:, None] * (filters.sign() @ signs)
        torch.testing.assert_close(layer(x).detach(), wanted.reshape(2, 4, 4, 4))

    def test_the_gradient_of_a_weight_is_alpha_straight_through_and_its_share_of_alphas_own(self):
        """∂C/∂W_i = α·1[|W_i| ≤ 1]·g_i + sign(W_i)/n · Σ_j g_j·sign(W_j), g the gradient to α·sign(W)."""
        layer = zoo.BinaryConv2d(2, 3, 3)
        with torch.no_grad():
            layer.weight.copy_(noise(3, 2, 3, 3))
        W, g = layer.weight.detach(), noise(3, 2, 3, 3).flip(0)
        layer.binary_weight().backward(g)
        assert (W.abs() > 1).any() and (W.abs() < 1).any()
        alpha = W.abs().mean((1, 2, 3), keepdim=True)
        shared = (g * W.sign()).sum((1, 2, 3), keepdim=True) / 18
        torch.testing.assert_close(layer.weight.grad, alpha * (W.abs() <= 1) * g + W.sign() * shared)

    def test_at_one_itself_the_gradient_still_passes(self):
        x = torch.tensor([-1.0, 1.0], requires_grad=True)
        SignStraightThrough.apply(x).sum().backward()
        assert x.grad.tolist() == [1, 1]

    @pytest.mark.parametrize("signs", [True, False], ids=["XNOR", "Binary-Weight"])
    def test_a_block_normalizes_before_it_convolves_and_has_a_relu_only_where_signs_do_not_follow(self, signs):
        block, x = shaken(BinaryBlock(3, 4, 3, 1, signs)), noise(2, 3, 6, 6)
        norm, layer = (m for m in block.modules() if isinstance(m, nn.BatchNorm2d | zoo.BinaryConv2d))
        assert layer.binary_input is signs
        y = layer(norm(x))
        torch.testing.assert_close(block(x), y if signs else y.relu())
        assert (y < 0).any()


class TestRandWire:
    def test_a_stage_is_the_mean_of_the_nodes_that_lead_nowhere_each_of_a_weighted_sum(self):
        edges = [(0, 2), (1, 2), (1, 3), (2, 4)]  # 0 and 1 take the input, 3 and 4 give the output
        graph = networkx.DiGraph(edges)
        before = [tuple(sorted(graph.predecessors(i))) for i in range(5)]
        stage, x = shaken(RandomStage(before, 3, 4)), noise(2, 3, 8, 8)
        done = {}
        for i in networkx.lexicographical_topological_sort(graph):
            node, inputs = stage.nodes[i], [done[j] for j in sorted(graph.predecessors(i))] or [x]
            depthwise, pointwise, norm = node.convolution
            weights = 1 / (1 + torch.exp(-node.weights))
            total = sum(w * y for w, y in zip(weights, inputs, strict=True)).relu()
            stride, groups = (1 if graph.in_degree(i) else 2), total.shape[1]
            y = F.conv2d(total, depthwise.weight, stride=stride, padding=1, groups=groups)
            done[i] = norm(F.conv2d(y, pointwise.weight))
        torch.testing.assert_close(stage(x), (done[3] + done[4]) / 2)

    def test_the_graphs_are_the_papers_best_of_each_kind(self):
        """Section 3.3: WS(4, 0.75), ER(0.2), BA(5), of 32 nodes; the numbers of edges that follow."""
        drawn = {kind: [random_graph(kind, 32, seed) for seed in range(20)] for kind in ("WS", "ER", "BA")}
        edges = {kind: [sum(map(len, before)) for before in graphs] for kind, graphs in drawn.items()}
        assert set(edges["WS"]) == {32 * 4 // 2} and set(edges["BA"]) == {5 * (32 - 5)}
        assert np.mean(edges["ER"]) == pytest.approx(0.2 * 32 * 31 / 2, rel=0.06)
        # of WS's edges a quarter stays where the ring has it, and some come back by chance
        on_ring = [min(n - i, 32 - n + i) <= 2 for before in drawn["WS"] for n, seen in enumerate(before) for i in seen]
        assert np.mean(on_ring) == pytest.approx(0.25 + 0.75 * 4 / 31, abs=0.05)

    def test_a_net_has_the_parameters_of_its_graphs(self):
        with torch.device("meta"):
            net = zoo.RandWire("WS", seed=3)
        wanted = 27 * 39 + 2 * 39 + 9 * 39 * 78 + 2 * 78  # the stem
        for number, (into, out) in enumerate(((78, 78), (78, 156), (156, 312))):
            for seen in random_graph("WS", 32, 3 + number):
                i = out if seen else into
                wanted += max(1, len(seen)) + 9 * i + i * out + 2 * out
        assert count(net) == wanted + 312 * 1280 + 2 * 1280 + 1280 * 1000 + 1000


def test_finer_scores_are_added_to_the_doubled_coarser_ones_and_all_is_enlarged_at_the_end():
    net = zoo.FCN([nn.AvgPool2d(2)] * 3, (3, 3, 3), 2, finest=2, strides=(2, 4, 8))
    for score in net.scores:
        nn.init.normal_(score.weight)
    x = noise(1, 3, 16, 16)
    row = torch.tensor([0.25, 0.75, 0.75, 0.25])  # bilinear: a place between two is nearer to one

    def doubled(y):
        return torch.cat(
            [F.conv_transpose2d(y[:, c : c + 1], row.outer(row)[None, None], None, 2, 1) for c in (0, 1)], 1
        )

    fine, middle, coarse = (score(F.avg_pool2d(x, s)) for score, s in zip(net.scores, (2, 4, 8), strict=True))
    torch.testing.assert_close(net(x), doubled(doubled(doubled(coarse) + middle) + fine))
