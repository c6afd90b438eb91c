"""The small variants train, can be exported and saved; unusual layers have the gradient they should."""

from unmagic import data, zoo
from unmagic.train import fit
from unmagic.zoo.binary import SignStraightThrough, pack, packed_bytes, unpack_
from unmagic.zoo.dirac import DiracConv2d
from unmagic.zoo.fcn import as_convolution, upsampling
from unmagic.zoo.googlenet import with_heads
from unmagic.zoo.highway import HighwayLayer
from unmagic.zoo.initialization import he_
from unmagic.zoo.lenet import C3_TABLE, RBF, PartialConv2d, TrainableSubsampling
from unmagic.zoo.randwire import random_graph
from unmagic.zoo.resnet import BasicBlock, ZeroPad

import networkx
import pytest
import safetensors.torch
import torch
from torch import nn

from tests.zoo.small import SMALL, segmenter


@pytest.fixture(scope="module")
def batch():
    scenes = data.shapes(32)
    return scenes.images, scenes.labels, scenes.masks


def loss_of(net, images, labels):
    return with_heads()(net, images, labels)[0]


@pytest.mark.parametrize("name", SMALL)
def test_one_step_down_the_gradient_lowers_the_loss(name, batch):
    images, labels, _ = batch
    torch.manual_seed(0)
    net = SMALL[name]().train()
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    before = loss_of(net, images, labels)
    before.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    length = torch.sqrt(sum((p.grad**2).sum() for p in net.parameters()))
    with torch.no_grad():
        for p in net.parameters():
            p -= 0.02 * p.grad / length
        after = loss_of(net, images, labels)
    # signs of weights and inputs are steps: there the straight-through gradient only points the way
    assert after < before + (0.01 if name == "XNOR" else 0.0)


# more that can be exported and saved: what gives no logits, and another kind of block
MORE = SMALL | {
    "FCN": segmenter,
    "LeNet5 with RBF": lambda: zoo.LeNet5(in_channels=3),
    "ResNet, pre-activated": lambda: zoo.cifar_resnet(8, width=8, preactivation=True),
}


@pytest.mark.parametrize("name", MORE)
def test_is_exported_and_saved_with_the_same_outputs(name, batch, tmp_path):
    torch.manual_seed(0)
    net, images = MORE[name]().eval(), batch[0][:2]
    with torch.no_grad():
        wanted = net(images)
    assert wanted.shape[:2] == ((2, 2) if name == "FCN" else (2, 10))
    exported = torch.export.export(net, (images,)).module()
    torch.testing.assert_close(exported(images), wanted, rtol=1e-4, atol=1e-5)
    safetensors.torch.save_model(net, tmp_path / "net.safetensors")
    again = MORE[name]().eval()
    safetensors.torch.load_model(again, tmp_path / "net.safetensors")
    torch.testing.assert_close(again(images), wanted)


def test_a_fully_convolutional_net_labels_each_pixel_and_learns_a_mask(batch):
    images, _, masks = batch
    torch.manual_seed(0)
    net = segmenter().train()
    assert net(images).shape == (32, 2, 32, 32)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        loss = nn.functional.cross_entropy(net(images), masks[:, 0].long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.75 * losses[0]


def test_fit_trains_googlenet_with_its_heads_and_counts_what_the_end_says(batch):
    images, labels, _ = batch
    torch.manual_seed(0)
    net = SMALL["GoogLeNet"]()
    early = net.stem[0].weight.detach().clone()
    outputs = net.train()(images)
    losses = [nn.functional.cross_entropy(part, labels).item() for part in outputs]
    value, logits = with_heads()(net.eval().train(), images, labels)
    assert logits.shape == (32, 10) and value.item() == pytest.approx(losses[0] + 0.3 * sum(losses[1:]), rel=0.1)
    history = fit(net, (images, labels), 2, objective=with_heads(), device="cpu", progress=False, learning_rate=0.01)
    assert history["loss"][0] > 1.5 * losses[0] and history["accuracy"][0] <= 1
    assert not net.stem[0].weight.equal(early)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("ResNet", lambda: (resnet_stages(zoo.resnet(18, widths=(4, 8, 8, 16))), (8, 8, 16))),
        ("VGG", lambda: (vgg_stages(zoo.VGG("A", 10, widths=(4, 4, 8, 8, 16), hidden=8, size=64)), (8, 8, 16))),
    ],
    ids=["ResNet-18", "VGG A"],
)
@pytest.mark.parametrize("finest", [8, 16, 32])
def test_fully_convolutional_heads_stand_on_any_backbone(name, make, finest):
    """Finer scores begin at zero: at first each is the coarsest, enlarged to a label for each pixel."""
    stages, channels = make()
    net = zoo.FCN(stages, channels, 2, finest=finest).eval()
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found, coarsest = net(x), net.scores[-1](nn.Sequential(*stages)(x))
    assert found.shape == (1, 2, 64, 64) and coarsest.shape == (1, 2, 2, 2)
    assert len(net.scores) == {32: 1, 16: 2, 8: 3}[finest]
    torch.testing.assert_close(found[..., 32, 32].sign(), coarsest.mean((2, 3)).sign())


def resnet_stages(net):
    return nn.Sequential(net.stem, net.stages[:2]), net.stages[2], net.stages[3]


def vgg_stages(net):
    ends = [i + 1 for i, module in enumerate(net.features) if isinstance(module, nn.MaxPool2d)]
    return net.features[: ends[2]], net.features[ends[2] : ends[3]], net.features[ends[3] :]


class TestLayers:
    @pytest.mark.parametrize(
        ("layer", "shape"),
        [
            (TrainableSubsampling(3), (2, 3, 4, 4)),
            (PartialConv2d(((0, 1), (2,)), 3, 2), (2, 3, 4, 4)),
            (RBF(torch.tensor([[1.0, -1.0, 1.0], [1.0, 1.0, -1.0]])), (2, 3)),
            (HighwayLayer(4), (3, 4)),
            (DiracConv2d(2, 3), (2, 2, 4, 4)),
            (ZeroPad(2, 5, 2), (2, 2, 5, 5)),
            (upsampling(2, 2), (1, 2, 3, 3)),
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
    )
    def test_gradients_agree_with_finite_differences(self, layer, shape):
        layer = layer.double()
        x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
        names = [name for name, _ in layer.named_parameters()]
        parameters = [p.detach().clone().requires_grad_() for p in layer.parameters()]

        def run(x, *values):
            return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x,))

        assert torch.autograd.gradcheck(run, (x, *parameters))

    def test_lenets_third_layer_sees_what_table_1_says(self):
        layer = PartialConv2d(C3_TABLE, 6, 5)
        for seen in range(6):
            x = torch.zeros(1, 6, 5, 5)
            x[:, seen] = 1.0
            moved = (layer(x) - layer(torch.zeros_like(x)))[0, :, 0, 0].abs() > 1e-7
            assert [seen in table for table in C3_TABLE] == moved.tolist()

    def test_rbf_is_the_squared_distance(self):
        codes = torch.tensor([[1.0, -1.0], [1.0, 1.0]])
        torch.testing.assert_close(RBF(codes)(torch.tensor([[1.0, 0.0]])), torch.tensor([[1.0, 1.0]]))
        assert torch.cdist(RBF().codes, RBF().codes).add(torch.eye(10) * 99).min() > 2  # ten different digits

    def test_a_highway_gate_that_is_shut_carries_and_one_that_is_open_transforms(self):
        x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
        shut, opened = HighwayLayer(4, gate_bias=-50.0), HighwayLayer(4, gate_bias=50.0)
        torch.testing.assert_close(shut(x), x)
        torch.testing.assert_close(opened(x), torch.relu(opened.transform(x)))

    def test_a_residual_block_with_zero_last_gamma_is_the_identity_on_positive_input(self):
        net = zoo.cifar_resnet(8, width=8, zero_last_gamma=True)
        x = torch.rand(2, 8, 6, 6)
        torch.testing.assert_close(net.stages[0](x), x)

    def test_a_pre_activated_block_begins_as_the_identity_on_any_input_and_can_leave_it(self):
        """BasicBlock's ReLU after the sum stops what is negative; here the sum goes on as it is."""
        torch.manual_seed(0)
        net = zoo.cifar_resnet(8, width=8, zero_last_gamma=True, preactivation=True)
        x = torch.randn(2, 8, 6, 6)
        torch.testing.assert_close(net.stages[0](x), x)
        ordinary = zoo.cifar_resnet(8, width=8, zero_last_gamma=True)
        torch.testing.assert_close(ordinary.stages[0](x), torch.relu(x))
        net(torch.randn(4, 3, 32, 32)).square().sum().backward()
        assert net.stages[0][0].residual[-1][-1].weight.grad.abs().sum() > 0

    def test_a_pre_activated_stage_gives_its_input_and_what_each_block_adds(self):
        torch.manual_seed(0)
        stage = zoo.cifar_resnet(20, width=8, preactivation=True).eval().stages[0]
        x = torch.randn(2, 8, 6, 6)
        added, y = [], x
        with torch.no_grad():
            for block in stage:
                added.append(block.residual(y))
                y = block(y)
        torch.testing.assert_close(y, x + sum(added))

    def test_a_dirac_layer_begins_near_the_identity_and_folds_into_one_filter(self):
        layer = DiracConv2d(4, 4)
        x = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            layer.b.zero_()
            torch.testing.assert_close(layer(x), x)
            layer.b.fill_(0.1)
            torch.testing.assert_close(layer(x), nn.functional.conv2d(x, layer.folded(), padding=1))
            lengths = (layer.folded() - layer.delta).flatten(1).norm(dim=1)
        torch.testing.assert_close(lengths, torch.full((4,), 0.1))

    def test_delta_orthogonal_kernels_keep_every_length(self):
        weight = zoo.delta_orthogonal_(torch.empty(16, 16, 3, 3))
        side = 8  # with circular borders a convolution is a matrix for each frequency
        spectrum = torch.fft.fft2(weight, s=(side, side)).permute(2, 3, 0, 1)  # (8, 8, out, in)
        values = torch.linalg.svdvals(spectrum)
        assert (values - 1).abs().max() < 1e-5
        with pytest.raises(ValueError, match="at least as many outputs"):
            zoo.delta_orthogonal_(torch.empty(2, 3, 3, 3))

    def test_binary_weights_are_signs_times_the_mean_of_the_filter(self):
        layer = zoo.BinaryConv2d(3, 2, 3)
        binary = layer.binary_weight().detach()
        alpha = layer.weight.detach().abs().mean(dim=(1, 2, 3))
        torch.testing.assert_close(binary.abs(), alpha[:, None, None, None].expand_as(binary))
        assert (binary.sign() == layer.weight.sign()).all()
        # α·sign(W) is the best of its kind: no other factor is nearer to W
        for factor in (0.9, 1.1):
            assert ((layer.weight - factor * binary) ** 2).sum() > ((layer.weight - binary) ** 2).sum()

    def test_the_straight_through_gradient_stops_beyond_one(self):
        x = torch.tensor([-2.0, -0.5, 0.0, 0.5, 2.0], requires_grad=True)
        y = SignStraightThrough.apply(x)
        y.backward(torch.arange(1.0, 6.0))
        assert y.tolist() == [-1, -1, 1, 1, 1] and x.grad.tolist() == [0, 2, 3, 4, 0]

    def test_packed_binary_weights_take_a_bit_each(self):
        layer = zoo.BinaryConv2d(8, 4, 3)
        assert packed_bytes(layer) == 8 * 4 * 9 // 8 + 4 * 4
        assert packed_bytes(nn.Linear(10, 3)) == 4 * 33

    def test_alexnet_packed_is_31_65_times_smaller_and_10_3_with_first_and_last_layer_in_floats(self):
        with torch.device("meta"):
            net = zoo.AlexNet()
        whole = 4 * sum(p.numel() for p in net.parameters())
        ratios = [whole / packed_bytes(net, kind) for kind in ("own", "inner", "all")]
        assert [round(ratios[0], 2), round(ratios[1], 1), round(ratios[2], 2)] == [1.0, 10.3, 31.65]
        with pytest.raises(ValueError, match="wanted 'own', 'inner' or 'all'"):
            packed_bytes(net, "some")

    @pytest.mark.parametrize("name", ["Binary-Weight", "XNOR"])
    def test_a_packed_file_holds_the_counted_bytes_and_gives_the_same_answers(self, name, batch, tmp_path):
        torch.manual_seed(0)
        net, images = SMALL[name](), batch[0]
        net(images)  # running statistics of its own
        net.eval()
        path = tmp_path / "net.safetensors"
        safetensors.torch.save_file(pack(net), path)
        head = 8 + int.from_bytes(path.read_bytes()[:8], "little")  # of the file: its length, then names and shapes
        buffers = sum(b.numel() * b.element_size() for b in net.buffers())
        assert path.stat().st_size == head + packed_bytes(net) + buffers
        again = unpack_(SMALL[name](), safetensors.torch.load_file(path)).eval()
        with torch.no_grad():
            torch.testing.assert_close(again(images), net(images), rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("kind", ["WS", "ER", "BA"])
    def test_a_random_graph_is_connected_and_runs_one_way(self, kind):
        before = random_graph(kind, 20, 3)
        assert all(i < node for node, entries in enumerate(before) for i in entries)
        graph = networkx.Graph([(i, node) for node, entries in enumerate(before) for i in entries])
        assert networkx.is_connected(graph) and len(graph) == 20
        assert random_graph(kind, 20, 3) == before != random_graph(kind, 20, 4)

    def test_a_linear_layer_slides_as_a_convolution(self):
        linear = nn.Linear(3 * 4 * 4, 5)
        convolution = as_convolution(linear, 3, 4)
        x = torch.randn(2, 3, 6, 5, generator=torch.Generator().manual_seed(0))
        slid = convolution(x)
        assert slid.shape == (2, 5, 3, 2)
        torch.testing.assert_close(slid[:, :, 1, 1], linear(x[:, :, 1:5, 1:5].flatten(1)))
        with pytest.raises(ValueError, match="wanted 3·5·5 = 75"):
            as_convolution(linear, 3, 5)

    def test_upsampling_begins_as_bilinear_interpolation(self):
        x = torch.randn(1, 2, 6, 6, generator=torch.Generator().manual_seed(0))
        inner = (slice(None), slice(None), slice(2, -2), slice(2, -2))
        wanted = nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        torch.testing.assert_close(upsampling(2, 2)(x)[inner].detach(), wanted[inner])


def test_a_thousand_layers_learn_from_a_delta_orthogonal_start_and_hear_nothing_from_an_ordinary_one():
    """On a few digits of 8×8; what the first of the layers hears is its gradient."""
    part = data.digits("train")
    images, labels = part.images[:64].reshape(-1, 1, 8, 8), part.labels[:64]
    net = zoo.VanillaCNN(1000, 12, in_channels=1)
    optimizer = torch.optim.SGD(net.parameters(), lr=2e-3, momentum=0.9)

    def loss_and_gradients():
        net.zero_grad()
        loss = nn.functional.cross_entropy(net(images), labels)
        loss.backward()
        return loss.item(), net.convolutions[0].weight.grad.norm().item()

    torch.manual_seed(0)
    he_(net)
    _, ordinary = loss_and_gradients()
    for convolution in net.convolutions:
        zoo.delta_orthogonal_(convolution.weight)
    before, orthogonal = loss_and_gradients()
    for _ in range(5):
        optimizer.step()
        after, _ = loss_and_gradients()
    assert ordinary < 1e-6 < 1e-3 < orthogonal
    assert after < before - 0.005


@pytest.mark.slow
def test_a_vanilla_net_of_a_thousand_layers_learns(batch):
    images, labels, _ = batch
    torch.manual_seed(0)
    net = zoo.VanillaCNN(1000, 16)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)
    losses = []
    for _ in range(15):
        loss = nn.functional.cross_entropy(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.02


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: zoo.AlexNet(size=32), "an input of 32 pixels leaves none"),
        (lambda: zoo.AlexNet(without=(1,)), "wanted numbers from 3 to 7"),
        (lambda: zoo.VGG("F"), "wanted one of A, A-LRN, B, C, D, E"),
        (lambda: zoo.VGG("D", size=100), "wanted a multiple of 32"),
        (lambda: zoo.resnet(20), "wanted one of 18, 34, 50, 101, 152"),
        (lambda: zoo.cifar_resnet(21), "wanted 6n \\+ 2"),
        (lambda: zoo.AllCNN("D"), "wanted one of A, B, C"),
        (lambda: zoo.LeNet5(classes=26), "wanted codes of shape \\(26, 84\\)"),
        (lambda: zoo.small_densenet(41), "wanted 3n \\+ 4"),
        (lambda: random_graph("XX", 5, 0), "wanted one of WS, ER, BA"),
        (lambda: zoo.AlexNet(widths=(24, 48, 63, 64, 48)), "wanted five, .* each a multiple of 2, the groups"),
        (lambda: zoo.AlexNet(widths=(24, 48, 64, 64)), "wanted five, of the five convolutions"),
        (lambda: zoo.BinaryAlexNet(widths=(24, 48, 64)), "wanted five, of the five convolutions\\."),
        (lambda: zoo.VGG(("3", "3x"), widths=(8, 8), size=32), "found 'x' in .* wanted"),
        (lambda: zoo.GoogLeNet(10, size=64), "64 pixels leave 4×4 there; wanted 65 pixels or more, or heads=False"),
        (lambda: zoo.GoogLeNet(10, stem="small", size=8), "wanted 9 pixels or more"),
        (lambda: zoo.ResNet(BasicBlock, (2, 2), (8, 8, 8)), "2 stages and 3 widths"),
        (lambda: zoo.DiracNet((1, 1, 1), (8, 8)), "3 stages and 2 widths"),
        (lambda: zoo.LeNet5(codes=torch.ones(10, 80)), "codes of shape \\(10, 80\\); wanted \\(10, 84\\)"),
        (lambda: zoo.NiN(width=1), "wanted 2 or more"),
        (lambda: zoo.DenseNet((1, 1), 4, compression=0.01), "of 12 maps a compression of 0.01 keeps none"),
        (lambda: zoo.MobileNet(width=0.01), "wanted a width of 1/32 or more"),
        (lambda: zoo.RandWire(channels=1), "1 channels and 32 nodes; wanted 2 or more of each"),
        (lambda: zoo.SimpNet(groups=((8,), ())), "wanted at least one, with a width for each convolution"),
        (lambda: zoo.VanillaCNN(5, width=2), "wanted at least the 3 channels of the input"),
        (lambda: zoo.delta_orthogonal_(torch.empty(4, 4)), "a weight of shape \\(4, 4\\); wanted \\(out, in, k, k\\)"),
        (lambda: zoo.FCN([nn.Identity()] * 2, (3, 3), 2), "2 stages and 2 numbers of channels; wanted three of each"),
        (lambda: zoo.FCN([nn.Identity()] * 3, (3, 3, 3), 2, finest=4), "wanted one of 8, 16, 32"),
        (lambda: segmenter()(torch.rand(1, 3, 36, 32)), "of 36×32 pixels; wanted sides that are multiples of 8"),
    ],
)
def test_what_cannot_be_built_says_what_can(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("wrong", [{"groups": 32}, {"shortcuts": "A"}])
@pytest.mark.parametrize(
    "make", [lambda **o: zoo.resnet(18, **o), lambda **o: zoo.cifar_resnet(preactivation=True, **o)]
)
def test_an_option_that_a_residual_block_does_not_have_is_an_error(make, wrong):
    """Swallowed, a misspelt shortcut would give another net than the one that was asked for."""
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{next(iter(wrong))}'"):
        make(**wrong)
