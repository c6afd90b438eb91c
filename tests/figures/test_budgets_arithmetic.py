"""Budgets at every size: the file of the zoo's layers, Python's formulas and the browser's, against `zoo.budget`."""

from unmagic import zoo
from unmagic.figures import STATIC, Budgets, budgets_still, budgets_zoo
from unmagic.figures.budgets_layers import LayerList, parsed
from unmagic.figures.budgets_tracing import traced

import itertools
import json

import pytest
import torch  # after unmagic: torchvision below
import torchvision
from torch import nn

OTHER = {224: 256, 227: 195, 32: 48, 28: 20}  # another size, which every net of that size can be made for
COUNT = """
const row = ({ sees, ...r }) => [r.name, r.kind, r.shape, r.parameters, r.macs, r.activations, sees && sees.side];
const counts = (text, sizes) => {
  const list = d.parseLayers(text);
  return { limits: d.sizeLimits(list), at: sizes.map((size) => {
    const counted = d.countAt(list, size);
    const { parameters, macs, training, testing } = { ...counted, ...d.memory(counted, 1) };
    return [counted.rows.map(row), parameters, macs, training, testing];
  }) };
};
"""


def as_browser(budget: zoo.Budget) -> list:
    """A budget as the browser says it."""
    return [[[*row[:2], list(row.output), *row[3:]] for row in budget.rows], *budget[1:]]


@pytest.fixture(scope="module")
def browser(node):
    """{name: {limits, at: [own size, another size]}} of the file's nets, by one Node."""
    texts = budgets_zoo.layer_lists()
    sizes = {name: [budgets_zoo.NETS[name].side, OTHER[budgets_zoo.NETS[name].side]] for name in texts}
    code = (
        COUNT + "give(Object.fromEntries(Object.keys(texts).map((name) => [name, counts(texts[name], sizes[name])])));"
    )
    return node(code, use="budgets_layers", texts=texts, sizes=sizes)


class TestNetsOfTheZoo:
    """Each net that is offered."""

    def test_the_file_has_the_nets_that_are_offered_in_their_order(self):
        assert list(budgets_zoo.layer_lists()) == list(budgets_zoo.NETS), (
            "make it anew: python -m unmagic.figures.budgets_zoo"
        )
        text = budgets_zoo.FILE.read_text(encoding="utf-8")
        assert text == budgets_zoo.as_file(budgets_zoo.layer_lists())

    @pytest.mark.parametrize("name", budgets_zoo.NETS)
    def test_its_budget_is_zoo_budget_at_its_own_size_and_at_another(self, browser, name):
        offered = budgets_zoo.NETS[name]
        layers, own = traced(budgets_zoo.make(name), offered.input_shape)
        text = budgets_zoo.layer_lists()[name]
        assert layers.text() == text, "out of date: make it anew by python -m unmagic.figures.budgets_zoo"
        side = OTHER[offered.side]
        other = zoo.budget(budgets_zoo.make(name, side), (offered.channels, side, side))
        read = parsed(text)
        assert not read.fixed
        assert (read.at(offered.side), read.at(side)) == (own, other)
        assert browser[name]["at"] == [as_browser(own), as_browser(other)]
        assert browser[name]["limits"] == [read.smallest(), read.largest()]

    def test_every_family_of_the_zoo_is_offered(self):
        families = {
            "LeNet5",
            "AlexNet",
            "VGG",
            "NiN",
            "GoogLeNet",
            "AllCNN",
            "ResNet",
            "Highway",
            "DenseNet",
            "DiracNet",
        }
        families |= {"VanillaCNN", "BinaryAlexNet", "RandWire", "SimpNet", "MobileNet", "FCN"}
        assert {type(budgets_zoo.make(name)).__name__ for name in budgets_zoo.NETS} == families
        assert families == {name for name in zoo.__all__ if name[0].isupper() and name not in (
            "Budget", "BinaryConv2d", "SAFPooling", "SeparableBlock")}  # fmt: skip


class Squeezed(nn.Module):
    """Squeeze and excite, channels shuffled, every second place, a border taken off: all that keeps or cuts a map."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 8, 1), nn.Sigmoid())
        self.last = nn.Conv2d(8, 4, (1, 3), (2, 1), (0, 1))

    def forward(self, x):
        x = self.conv(x)
        x = x * self.squeeze(x)
        n, c, h, w = x.shape
        x = x.reshape(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        return self.last(nn.functional.pad(x[:, :, ::2, 1:-2], (2, 1, 0, 3)))


class Attends(nn.Module):
    """Places as words: the size of the map is in the shape of a matrix."""

    def __init__(self):
        super().__init__()
        self.conv, self.mix = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 8)

    def forward(self, x):
        words = self.mix(self.conv(x).flatten(2).transpose(1, 2))  # (N, places, 8)
        return (words @ words.transpose(1, 2)).softmax(-1) @ words


OWN = {
    "pooling that reaches over the edge": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 5, 2), nn.MaxPool2d(3, 2, ceil_mode=True), nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(4, 4, 1)
    ),
    "ceil mode, where a window would begin behind the picture": lambda: nn.Sequential(
        nn.MaxPool2d(2, 3, 1, ceil_mode=True), nn.Conv2d(3, 2, 1)
    ),
    "dilated, asymmetric": lambda: nn.Sequential(nn.Conv2d(3, 4, (3, 5), (1, 2), (1, 0), (2, 1)), nn.Conv2d(4, 2, 1)),
    "up again": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.ConvTranspose2d(4, 4, 3, 2, 1, 1, groups=2), nn.Upsample(scale_factor=2), nn.ReLU()
    ),
    "bilinear": lambda: nn.Sequential(nn.Upsample(scale_factor=3, mode="bilinear"), nn.Conv2d(3, 2, 3)),
    "squeezed, shuffled, cut and padded": Squeezed,
    "reflected": lambda: nn.Sequential(nn.ReflectionPad2d((1, 2, 0, 3)), nn.Conv2d(3, 2, 3, bias=False)),
    "torchvision's ShuffleNet": lambda: torchvision.models.shufflenet_v2_x0_5(),
    "torchvision's MobileNetV3": lambda: torchvision.models.mobilenet_v3_small(),
    "torchvision's VGG, pooled to 7×7": lambda: torchvision.models.vgg11(),
}


class TestNetsOfOnesOwn:
    """What a reader may bring."""

    @pytest.mark.parametrize("name", OWN)
    def test_its_budget_at_other_sizes_is_that_of_the_same_net_there(self, node, name):
        with torch.device("meta"):
            net = OWN[name]()
        layers, own = traced(net, (3, 64, 96))
        sizes = [64, 90, 113, 46]
        expected = [zoo.budget(net, (3, size, int(size * 1.5 + 0.5))) for size in sizes]
        assert expected[0] == own
        assert not layers.fixed
        assert [layers.at(size) for size in sizes] == expected
        code = COUNT + "give(counts(text, sizes).at);"
        found = node(code, use="budgets_layers", text=layers.text(), sizes=sizes)
        assert found == [as_browser(budget) for budget in expected]

    def test_a_layer_on_a_flattened_map_grows_with_the_map(self):
        def net(side):
            return nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * side * side, 7))

        layers, own = traced(net(5), (3, 12, 12))
        grown = layers.at(20)
        assert grown == zoo.budget(net(9), (3, 20, 20))
        assert (own.rows[-1].parameters, grown.rows[-1].parameters) == (4 * 25 * 7 + 7, 4 * 81 * 7 + 7)

    def test_a_net_whose_use_of_the_size_is_not_followed_is_shown_at_its_own(self, node):
        layers, own = traced(Attends(), (3, 16, 16))
        assert layers.fixed
        assert layers.at(16) == own
        with pytest.raises(ValueError, match=r"an input of 32 pixels; wanted 16$"):
            layers.at(32)
        code = COUNT + "give(counts(text, [16]));"
        assert node(code, use="budgets_layers", text=layers.text()) == {"limits": [16, 16], "at": [as_browser(own)]}

    def test_heads_for_training_are_parameters_elsewhere(self):
        layers, own = traced(zoo.GoogLeNet(10, width=0.125, stem="small", size=32), (3, 32, 32))
        assert layers.elsewhere == own.parameters - sum(row.parameters for row in own.rows) > 0
        assert layers.at(32).parameters == own.parameters

    @pytest.mark.parametrize("shape", [(32, 32), (3, 32, 32.0), (3, 0, 32)], ids=str)
    def test_a_shape_that_is_none_is_an_error(self, shape):
        with pytest.raises(ValueError, match=r"input_shape: found .* wanted \(channels, height, width\)"):
            traced(nn.Conv2d(3, 2, 3), shape)

    def test_text_says_all_of_a_list(self):
        for name in OWN:
            with torch.device("meta"):
                layers, _ = traced(OWN[name](), (3, 64, 96))
            assert isinstance(layers, LayerList)
            assert parsed(layers.text()) == layers


class Joined(nn.Module):
    """A block with a wide and a narrow way round it."""

    def __init__(self):
        super().__init__()
        self.before = nn.Conv2d(1, 1, 3, 2, padding=1)
        self.wide, self.narrow = nn.Conv2d(1, 1, 5, 2, padding=2), nn.Conv2d(1, 1, 1, 2)
        self.after = nn.ReLU()

    def forward(self, x):
        x = self.before(x)
        return self.after(self.wide(x) + self.narrow(x))


SEEING = {
    "convolutions": lambda: nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3, 2, padding=1), nn.Conv2d(1, 1, 5)),
    "dilation and pooling": lambda: nn.Sequential(
        nn.Conv2d(1, 1, 3, dilation=2), nn.AvgPool2d(3, 2, 1), nn.Conv2d(1, 1, 2)
    ),
    "padding by itself": lambda: nn.Sequential(nn.ZeroPad2d(2), nn.Conv2d(1, 1, 3, 3)),
    "two ways": Joined,
    "up again": lambda: nn.Sequential(nn.Conv2d(1, 1, 3, 2), nn.ConvTranspose2d(1, 1, 4, 2, padding=1)),
    "enlarged": lambda: nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(1, 1, 3, 2), nn.Conv2d(1, 1, 3)),
}  # fmt: skip


class TestReceptiveField:
    """Where a place looks: found by looking at the gradient."""

    @pytest.mark.parametrize("name", SEEING)
    def test_the_box_is_where_the_gradient_of_one_output_is_not_zero(self, node, name):
        net = SEEING[name]()
        nn.ParameterList(net.parameters()).requires_grad_(False)
        for parameter in net.parameters():
            parameter.fill_(1.0)
        x = torch.zeros(1, 1, 29, 29, requires_grad=True)
        y = net(x)
        layers, _ = traced(net, (1, 29, 29))
        places = list(itertools.product((0, y.shape[2] // 2, y.shape[2] - 1), (1, y.shape[3] - 1)))
        code = """
        const { sees, places } = d.countAt(d.parseLayers(text), 29).rows.at(-1);
        const middle = (at) => (sees.first + at * sees.step + sees.side / 2) / 29;
        const box = (at, axis) => d.placeAt(sees, places[1 - axis], 29, middle(at));
        give(asked.map(([row, column]) => [column, row].map(box)));"""
        boxes = node(code, use="budgets_layers", text=layers.text(), asked=places)
        for (row, column), box in zip(places, boxes, strict=True):
            (gradient,) = torch.autograd.grad(y[0, 0, row, column], x, retain_graph=True)
            seen = [gradient[0, 0].abs().sum(dim).nonzero() for dim in (0, 1)]  # columns, rows
            assert [axis["index"] for axis in box] == [column, row]
            shown = torch.tensor([[max(0, axis["from"]), min(29, axis["from"] + axis["side"])] for axis in box])
            found = torch.tensor([[int(s.min()), int(s.max()) + 1] for s in seen])
            # neighbours that a transposed convolution gives look at the same places: one is off by a pixel
            assert (shown - found).abs().max() <= (name == "up again")


class TestBars:
    """What the bars show."""

    @pytest.mark.parametrize("name", ["VGG-16 (D)", "ResNet-18", "LeNet-5", "Highway, 50 layers"])
    def test_they_are_those_of_the_still(self, node, name):
        (budget,) = Budgets(name, "").budgets()
        code = f"""
        import {{ SHOWN }} from {json.dumps((STATIC / "budgets_words.js").as_uri())};
        const counted = d.countAt(d.parseLayers(text), side);
        const bars = (shown, alone) => d.grouped(counted.rows, alone).map((group) => SHOWN[shown].value(group, 4) ?? 0);
        give(asked.map(([shown, alone]) => bars(shown, alone)));"""
        asked = list(itertools.product(budgets_still.LABELS, (False, True)))
        side = budgets_zoo.NETS[name].side
        found = node(code, use="budgets_layers", text=budgets_zoo.layer_lists()[name], side=side, asked=asked)
        assert found == [budgets_still.heights(budget, shown, alone, 4) for shown, alone in asked]

    def test_a_linear_scale_goes_from_nothing_to_the_longest_bar_of_both_nets(self, node):
        code = "const s = d.scaleOf(lists, false); give([d.gridOf(s), lists.flat().map((x) => d.heightOf(s, x))]);"
        grid, heights = node(code, use="budgets_draw", lists=[[0, 5, 20], [10, 40]])
        assert grid == [0, 10, 20, 30, 40]
        assert heights == [0, 0.125, 0.5, 0.25, 1]

    def test_a_log_scale_goes_by_powers_of_ten_and_holds_every_bar(self, node):
        code = "const s = d.scaleOf(lists, true); give([d.gridOf(s), lists.flat().map((x) => d.heightOf(s, x))]);"
        grid, heights = node(code, use="budgets_draw", lists=[[0, 30, 1000], [1e5, 20_000]])
        assert grid == [10, 100, 1000, 10_000, 100_000]
        assert heights == pytest.approx([0, 0.1193, 0.5, 1, 0.8253], abs=1e-4)
