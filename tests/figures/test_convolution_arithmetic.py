"""The arithmetic of the convolution figure, run in Node, against torch's operations and autograd."""

from unmagic.figures import STATIC
from unmagic.figures.convolution_both_ways import KERNELS, OPERATIONS, PICTURES, PRESETS, ConvolutionBothWays

import itertools
import random

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

PLATEAUS = [[2.0, 2.0, 1.0], [2.0, 0.0, 1.0], [0.0, 1.0, 1.0]]
COUNT = dict(picture=PICTURES["numbers"], kernel=[[1.0, 2.0], [3.0, -4.0]])
NINE = dict(picture=PICTURES["numbers"], kernel=KERNELS["one_to_nine"], upstream="ones")
UPSTREAM = ["ones", "varied", "output", "middle", "own"]
SOLVE = """give(states.map((state) => {
    const { problem, y, dy, dx, dw } = d.solve(state);
    return { problem, y, dy, dx, dw };
}));"""


def whole(rng, rows, columns, low=-3, high=3):
    """Small whole numbers, so that ties are frequent and float arithmetic is exact: rows of numbers."""
    return [[float(rng.randint(low, high)) for _ in range(columns)] for _ in range(rows)]


def drawn(operation, count=60):
    """Seeded states of the figure: sides, kernels, strides, paddings, dilations of every size, most with an output."""
    rng = random.Random(operation)
    for k in range(count):
        picture = whole(rng, rng.randint(2, 9), rng.randint(2, 9))
        if k % 3 == 2:  # not whole: sums are rounded
            picture = [[x + rng.random() for x in row] for row in picture]
        yield ConvolutionBothWays(
            operation,
            picture=picture,
            kernel=whole(rng, rng.randint(1, 4), rng.randint(1, 4)),
            window=rng.randint(1, 4),
            stride=rng.randint(1, 4),
            padding=rng.randint(0, 3),
            dilation=rng.choice([1, 1, 2, 3]),
            output_padding=rng.randint(0, 3),
            ceil_mode=rng.random() < 0.5,
            ties=rng.choice(["first", "shared"]),
            upstream=UPSTREAM[k % len(UPSTREAM)],
            gradients=whole(rng, rng.randint(1, 7), rng.randint(1, 7)),
        )


def close(actual, expected):
    torch.testing.assert_close(torch.tensor(actual, dtype=torch.float64), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_output_and_all_gradients_are_torchs_for_many_settings(node, operation):
    figures = list(drawn(operation))
    results = node(SOLVE, use="convolution", states=[figure.public_state() for figure in figures])
    compared = 0
    for figure, got in zip(figures, results, strict=True):
        try:
            expected = figure.passes()
        except RuntimeError as refused:  # torch has no output: so has the browser
            assert got["problem"], f"torch refuses: {refused}"
            continue
        if max(expected.y.shape) > 24:
            assert "24 are drawn at most" in got["problem"]
            continue
        assert got["problem"] == "", figure.public_state()
        compared += 1
        for name in ("y", "dy", "dx"):
            close(got[name], getattr(expected, name))
        if expected.dw is None:
            assert got["dw"] is None
        else:
            close(got["dw"], expected.dw)
    assert compared >= 30, "most settings have an output that is drawn"


class TestTies:
    """Where several inputs are the largest."""

    def dx(self, node, ties, **state):
        figure = ConvolutionBothWays("max_pooling", picture=PLATEAUS, window=2, stride=1, ties=ties, **state)
        (got,) = node(SOLVE, use="convolution", states=[figure.public_state()])
        return got["dx"]

    def test_the_first_takes_all_as_in_max_pool2d(self, node):
        x = torch.tensor(PLATEAUS, dtype=torch.float64)[None, None].requires_grad_()
        F.max_pool2d(x, 2, 1).sum().backward()
        assert self.dx(node, "first") == x.grad[0, 0].tolist() == [[1, 1, 0], [1, 0, 1], [0, 0, 0]]

    def test_or_they_share_evenly_as_in_amax(self, node):
        x = torch.tensor(PLATEAUS, dtype=torch.float64)[None, None].requires_grad_()
        F.unfold(x, 2).amax(dim=1).sum().backward()
        close(self.dx(node, "shared"), x.grad[0, 0])
        assert self.dx(node, "shared") != self.dx(node, "first")

    def test_gradients_of_overlapping_windows_add(self, node):
        figure = ConvolutionBothWays("max_pooling", picture=PICTURES["dot"], window=3, stride=1)
        (got,) = node(SOLVE, use="convolution", states=[figure.public_state()])
        assert got["dx"][3][3] == 9.0, "nine windows see the dot"


class TestSizes:
    """One axis: size, what is left over, what is never used."""

    def axis(self, node, n, k, **settings):
        neutral = dict(stride=1, padding=0, dilation=1, output_padding=0, ceil_mode=False)
        return node(
            "give(d.axis(n, k, settings));", use="convolution", n=n, k=k,
            settings={**neutral, "operation": "convolution", **settings},
        )  # fmt: skip

    def test_what_the_stride_leaves_is_never_used(self, node):
        axis = self.axis(node, 8, 3, stride=2)
        assert (axis["out"], axis["room"], axis["rest"], axis["touched"]) == (3, 5, 1, [1, 1, 2, 1, 2, 1, 1, 0])

    def test_7_and_8_both_give_3_and_3_goes_back_to_7_or_with_output_padding_to_8(self, node):
        assert [self.axis(node, n, 3, stride=2)["out"] for n in (7, 8)] == [3, 3]
        back = [
            self.axis(node, 3, 3, stride=2, output_padding=extra, operation="transposed_convolution")["out"]
            for extra in (0, 1)
        ]
        assert back == [7, 8]

    def test_a_stride_longer_than_the_kernel_skips_inputs_between(self, node):
        assert self.axis(node, 8, 2, stride=3)["touched"] == [1, 1, 0, 1, 1, 0, 1, 1]

    def test_which_inputs_are_used_is_where_a_gradient_of_ones_arrives(self, node):
        names = ("n", "k", "stride", "padding", "dilation")
        settings = [
            dict(zip(names, numbers, strict=True))
            for numbers in itertools.product((5, 8), (1, 2, 3), (1, 2, 4), (0, 1), (1, 2))
        ]
        got = node(
            """const rest = { operation: "convolution", output_padding: 0, ceil_mode: false };
            give(settings.map((s) => d.axis(s.n, s.k, { ...rest, ...s }).touched));""",
            use="convolution", settings=settings,
        )  # fmt: skip
        for (n, k, *rest), touched in zip((s.values() for s in settings), got, strict=True):
            x = torch.zeros(1, 1, n, requires_grad=True)
            F.conv1d(x, torch.ones(1, 1, k), None, *rest).sum().backward()
            assert touched == x.grad[0, 0].tolist()

    def test_ceil_mode_adds_a_window_unless_it_would_start_beyond_the_input(self, node):
        pooled = dict(operation="max_pooling", ceil_mode=True, stride=2)
        assert self.axis(node, 6, 3, **pooled)["out"] == 3
        assert self.axis(node, 5, 2, padding=1, **pooled)["out"] == 3


class TestProblems:
    """What cannot be computed says why."""

    @pytest.mark.parametrize(
        ("state", "said"),
        [
            pytest.param(dict(picture=[[1.0] * 8] * 2), "The kernel reaches over 3 rows, the padded input has 2",
                         id="kernel-larger-than-input"),
            pytest.param(dict(dilation=3, picture=[[1.0] * 6] * 8), "reaches over 7 columns, the padded input has 6",
                         id="dilated-kernel"),
            pytest.param(dict(operation="transposed_convolution", picture=[[1.0] * 12] * 12, stride=4),
                         "would have 47 rows, and 24 are drawn at most", id="too-large"),
            pytest.param(dict(operation="transposed_convolution", picture=[[1.0] * 2] * 2, stride=1, padding=2),
                         "The padding of 2 cuts off all rows", id="all-cut-off"),
        ],
    )  # fmt: skip
    def test_a_setting_without_output_says_why(self, node, state, said):
        figure = ConvolutionBothWays(**{"padding": 0, **state})
        (got,) = node(SOLVE, use="convolution", states=[figure.public_state()])
        assert said in got["problem"]


class TestWords:
    """What the figure says of a cell, of the sizes and of what does not tile."""

    def words(self, node, figure, what):
        """`what` is JavaScript; solved is there, and what convolution_words.js exports as d."""
        address = (STATIC / "convolution.js").as_uri()
        code = f"const {{ solve }} = await import(address); const solved = solve(state); give({what});"
        return node(code, use="convolution_words", state=figure.public_state(), address=address)

    def sum_of(self, node, figure, view, grid, cell):
        said = self.words(node, figure, f"d.say(solved, {view!r}, {grid!r}, {cell!r})")
        terms = said["join"].join(term["text"] for term in said["terms"])
        return f"{said['head']} {terms} {said['tail']}", said["aloud"]

    def test_an_output_is_its_sum_in_numbers(self, node):
        written, aloud = self.sum_of(node, ConvolutionBothWays(**COUNT), "forward", "y", [1, 0])
        assert written == "y[1, 0] = 1·6 + 2·7 + 3·11 + (−4)·12 = 5"
        assert aloud == "output row 1 column 0: 1 times 6, plus 2 times 7, plus 3 times 11, plus −4 times 12, is 5."

    def test_an_inputs_gradient_collects_through_the_kernel_turned(self, node):
        figure = ConvolutionBothWays(**COUNT, upstream="own", gradients=[[1, 2, 0, 0], [5, 7, 0, 0]])
        written, _ = self.sum_of(node, figure, "input", "x", [1, 1])
        assert written == "∂L/∂x[1, 1] = (−4)·1 + 3·2 + 2·5 + 1·7 = 19"

    def test_a_weights_gradient_gathers_all_outputs(self, node):
        figure = ConvolutionBothWays(picture=[[1, 2, 3], [4, 5, 6]], kernel=[[1, 0]], upstream="ones")
        assert self.sum_of(node, figure, "kernel", "w", [0, 1])[0] == "∂L/∂w[0, 1] = 2·1 + 3·1 + 5·1 + 6·1 = 16"

    def test_an_outputs_gradient_goes_back_along_its_weights_and_not_into_the_padding(self, node):
        figure = ConvolutionBothWays(**COUNT, padding=1, upstream="ones")
        written, aloud = self.sum_of(node, figure, "input", "y", [0, 0])
        assert written == (
            "∂L/∂y[0, 0] = 1 goes back to 1 input, to each times its weight: ∂L/∂x[0, 0] += (−4)·1 "
            "(3 more beyond the edge: cut off)"
        )
        assert "−4 to gradient of input row 0 column 0" in aloud

    def test_max_pooling_names_the_switch_and_average_pooling_its_share(self, node):
        largest, _ = self.sum_of(node, ConvolutionBothWays("max_pooling"), "forward", "y", [0, 1])
        assert largest == "y[0, 1] = max of 5, 2, 4, 6, 8, 1, 0, 6, 3 = 8; the switch remembers x[1, 3]"
        mean, _ = self.sum_of(node, ConvolutionBothWays("average_pooling"), "forward", "y", [0, 0])
        assert mean == "y[0, 0] = 1/4 of the sum of 3 + 1 + 9 + 2 = 3.75"
        never, _ = self.sum_of(node, ConvolutionBothWays("max_pooling"), "input", "x", [0, 0])
        assert never.startswith("∂L/∂x[0, 0] = 0:  it is the largest of no window")

    def test_rounded_results_are_said_to_be(self, node):
        figure = ConvolutionBothWays(picture=[[1, 1], [1, 1]], kernel=[[1 / 3]])
        assert self.sum_of(node, figure, "forward", "y", [0, 0])[0] == "y[0, 0] = 0.333·1 ≈ 0.333"

    def test_sizes_are_the_formula_with_the_present_numbers(self, node):
        figure = ConvolutionBothWays(picture=[[1.0] * 7] * 8, stride=2, padding=1, dilation=2)
        assert self.words(node, figure, "d.sizes(solved)") == [
            "out = ⌊(n + 2p − d(k − 1) − 1) / s⌋ + 1",
            "Rows: ⌊(8 + 2·1 − 2·(3 − 1) − 1) / 2⌋ + 1 = ⌊5/2⌋ + 1 = 3",
            "Columns: ⌊(7 + 2·1 − 2·(3 − 1) − 1) / 2⌋ + 1 = ⌊4/2⌋ + 1 = 3",
        ]
        figure = ConvolutionBothWays("transposed_convolution", output_padding=1)
        assert self.words(node, figure, "d.sizes(solved)") == [
            "out = (n − 1)·s − 2p + d(k − 1) + 1 + o",
            "Rows and columns: (3 − 1)·2 − 2·1 + 1·(3 − 1) + 1 + 1 = 6",
        ]

    def test_a_last_window_that_would_start_beyond_the_input_is_dropped_and_said(self, node):
        figure = ConvolutionBothWays("average_pooling", ceil_mode=True, padding=1)
        assert "⌈5/2⌉ + 1 = 4, less 1 whose window would start beyond" in self.words(node, figure, "d.sizes(solved)")[1]

    @pytest.mark.parametrize(
        ("state", "said"),
        [
            pytest.param(dict(stride=1), "Every row and column of the input is used.", id="all-used"),
            pytest.param(dict(stride=2), "1 row and 1 column of the input left over. "
                         "Never used (hatched): row 7; column 7. "
                         "A transposed convolution with these numbers goes back from 3 × 3 to 7 × 7, "
                         "with output padding 1, 1 to 8 × 8.", id="left-over"),
            pytest.param(dict(stride=3, kernel=KERNELS["pair"]), "Never used (hatched): rows 2, 5; columns 2, 5.",
                         id="skipped"),
            pytest.param(dict(operation="max_pooling", picture=PICTURES["plateaus"], ceil_mode=True),
                         "the last window reaches over the edge. Every row", id="ceil-mode"),
            pytest.param(dict(operation="transposed_convolution"),
                         "1 2 1 2 1; on each column: 1 2 1 2 1. They alternate", id="checkerboard"),
            pytest.param(dict(operation="transposed_convolution", kernel=KERNELS["pair"], padding=0),
                         "on each column: 1 1 1 1 1 1.", id="even-stamps"),
            pytest.param(dict(operation="transposed_convolution", kernel=KERNELS["pair"], padding=0, dilation=2),
                         "They alternate", id="dilated-stamps"),
            pytest.param(dict(operation="transposed_convolution", kernel=[[1]], padding=0),
                         "Never reached (hatched): rows 1, 3; columns 1, 3.", id="gaps"),
        ],
    )  # fmt: skip
    def test_what_does_not_tile_is_said(self, node, state, said):
        assert said in self.words(node, ConvolutionBothWays(**state), "d.tiling(solved)")

    def test_a_formula_holds_the_present_stride_dilation_and_padding(self, node):
        figure = ConvolutionBothWays(stride=2, dilation=3, padding=1)
        formulas = [self.words(node, figure, f"d.idea({view!r}, solved.settings)")[1] for view in ("forward", "kernel")]
        assert formulas == [
            "y[i, j] = Σ w[a, b] · x[2i + 3a − 1, 2j + 3b − 1]",
            "∂L/∂w[a, b] = Σ x[2i + 3a − 1, 2j + 3b − 1] · ∂L/∂y[i, j]",
        ]

    def test_numbers_are_read_as_people_type_them(self, node):
        given = ["3", " −0.5 ", "1/9", "0,25", ".5", "-7", "", "x", "1/0", "1/2/3", "1000", "-"]
        code = "give(given.map((text) => d.typed(text)));"
        assert node(code, use="convolution_words", given=given) == [
            3, -0.5, 1 / 9, 0.25, 0.5, -7, None, None, None, None, None, None,
        ]  # fmt: skip


class TestPlaces:
    """Where cells are drawn, and what lights up."""

    def lights(self, node, figure, view, grid, cell, spread=False):
        address = (STATIC / "convolution.js").as_uri()
        return node(
            """const { solve } = await import(address);
            const solved = solve(state);
            const shown = { view, grid, cell, spread };
            const lights = d.lit(solved, shown, d.frames(solved, shown));
            const plain = Object.entries(lights).map(([place, map]) => [place, Object.fromEntries(map)]);
            give(Object.fromEntries(plain));""",
            use="convolution_places", state=figure.public_state(), address=address,
            view=view, grid=grid, cell=cell, spread=spread,
        )  # fmt: skip

    def test_an_output_lights_its_window_with_the_weights_on_it(self, node):
        lit = self.lights(node, ConvolutionBothWays(**NINE, dilation=2), "forward", "y", [0, 0])
        assert lit["x"] == {f"{2 * a},{2 * b}": f"×{3 * a + b + 1}" for a in range(3) for b in range(3)}

    def test_an_output_stamps_the_kernel_as_it_is_and_an_input_collects_it_turned(self, node):
        figure = ConvolutionBothWays(**NINE)
        stamped = self.lights(node, figure, "input", "y", [1, 1])["x"]
        assert [stamped[f"{1 + a},{1 + b}"] for a in range(3) for b in range(3)] == [f"+{k}" for k in range(1, 10)]
        collected = self.lights(node, figure, "input", "x", [2, 2])["y"]
        assert [collected[f"{a},{b}"] for a in range(3) for b in range(3)] == [f"×{k}" for k in range(9, 0, -1)]

    @pytest.mark.parametrize("stride", [1, 2])
    @pytest.mark.parametrize("dilation", [1, 2])
    @pytest.mark.parametrize("padding", [0, 1])
    def test_the_spread_gradient_under_the_turned_kernel_gives_the_inputs_gradient(
        self, node, stride, dilation, padding
    ):
        rng = random.Random(7)
        figure = ConvolutionBothWays(
            picture=whole(rng, 8, 7), kernel=KERNELS["one_to_nine"], upstream="varied",
            stride=stride, dilation=dilation, padding=padding,
        )  # fmt: skip
        found = figure.passes()
        frame, lights = node(
            """const { solve } = await import(address);
            const solved = solve(state);
            const shown = { view: "input", grid: "x", cell: [0, 0], spread: true };
            const { rows, columns, index } = d.frames(solved, shown).y;
            const spread = Array.from({ length: rows }, (_, R) => Array.from({ length: columns }, (_, C) => {
                const at = index(R, C);
                return at ? solved.dy[at[0]][at[1]] : 0;
            }));
            give([spread, Object.fromEntries(d.lit(solved, shown, d.frames(solved, shown)).y)]);""",
            use="convolution_places", state=figure.public_state(), address=(STATIC / "convolution.js").as_uri(),
        )  # fmt: skip
        turned = torch.tensor(figure.kernel, dtype=torch.float64).flip(0, 1)
        spread = torch.tensor(frame, dtype=torch.float64)
        close(F.conv2d(spread[None, None], turned[None, None], dilation=dilation)[0, 0].tolist(), found.dx)
        assert lights == {f"{dilation * a},{dilation * b}": f"×{turned[a, b]:g}" for a in range(3) for b in range(3)}


def test_presets_are_what_they_are_called():
    digits = load_digits()
    first_four = digits.images[list(digits.target).index(4)]
    assert PICTURES["digit"] == (first_four * 9 / 16).round().tolist()
    assert torch.tensor(KERNELS["sobel"]).T.tolist() == KERNELS["sobel_down"]
    assert [sum(map(sum, KERNELS[name])) for name in ("identity", "blur", "gauss", "sharpen", "bilinear")] == (
        pytest.approx([1, 1, 1, 1, 4])
    )
    assert [sum(map(sum, KERNELS[name])) for name in ("sobel", "sobel_down", "laplace", "pair")] == [0] * 4
    x = torch.tensor(PICTURES["small"])[None, None]
    enlarged = F.interpolate(x, size=(5, 5), mode="bilinear", align_corners=True)[0, 0]
    figure = ConvolutionBothWays(**{**PRESETS["transposed_convolution"], "operation": "transposed_convolution"})
    torch.testing.assert_close(figure.passes().y, enlarged.double(), msg="bilinear enlarges by 2")
