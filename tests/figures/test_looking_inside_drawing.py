"""A drawing and what the net is given of it, run in Node."""

from unmagic import trained

import pytest
import torch

PEN = 1 / 8
# digits as a hand draws them, anywhere and in any size: strokes of points from 0 to 1
STROKES = {
    0: [[[0.5, 0.1], [0.3, 0.25], [0.25, 0.5], [0.3, 0.75], [0.5, 0.9], [0.7, 0.75], [0.75, 0.5], [0.7, 0.25],
         [0.5, 0.1]]],
    1: [[[0.4, 0.25], [0.55, 0.1], [0.55, 0.9]]],
    2: [[[0.25, 0.3], [0.35, 0.12], [0.6, 0.1], [0.7, 0.3], [0.55, 0.55], [0.25, 0.9], [0.75, 0.9]]],
    3: [[[0.25, 0.15], [0.5, 0.1], [0.7, 0.25], [0.45, 0.45], [0.72, 0.65], [0.55, 0.88], [0.25, 0.85]]],
    4: [[[0.5, 0.1], [0.25, 0.6], [0.75, 0.6]], [[0.65, 0.4], [0.6, 0.9]]],
    5: [[[0.7, 0.1], [0.35, 0.1], [0.3, 0.45], [0.55, 0.4], [0.7, 0.6], [0.6, 0.85], [0.3, 0.88]]],
    6: [[[0.6, 0.1], [0.35, 0.4], [0.3, 0.7], [0.45, 0.9], [0.65, 0.8], [0.65, 0.6], [0.5, 0.52], [0.32, 0.65]]],
    7: [[[0.25, 0.1], [0.75, 0.1], [0.45, 0.9]], [[0.35, 0.5], [0.7, 0.5]]],
    8: [[[0.65, 0.2], [0.45, 0.1], [0.33, 0.25], [0.65, 0.68], [0.5, 0.9], [0.33, 0.72], [0.65, 0.2]]],
    9: [[[0.65, 0.3], [0.5, 0.1], [0.33, 0.25], [0.4, 0.45], [0.65, 0.35], [0.6, 0.9]]],
}  # fmt: skip
GIVEN = """
const strokes = lines.map((points) => ({ colour: [1], width, points }));
const blank = new Float64Array(64);
give([...d.counted(d.rastered(blank, fit ? d.centred(strokes) : strokes, [1, 8, 8]))]);
"""


@pytest.fixture
def given(node):
    """`given(strokes)` → the picture that the net is given of a drawing, (8, 8)."""

    def make(lines, *, scale=1.0, move=(0.0, 0.0), fit=True):
        moved = [[[x * scale + move[0], y * scale + move[1]] for x, y in points] for points in lines]
        found = node(GIVEN, use="looking_inside_drawing", lines=moved, width=PEN, fit=fit)
        return torch.tensor(found, dtype=torch.float64).reshape(8, 8)

    return make


def test_each_pixel_counts_the_white_ones_of_its_16_as_the_digits_were_made(node):
    generator = torch.Generator().manual_seed(0)
    bitmap = torch.randint(0, 2, (32, 32), generator=generator).double()
    code = "give([...d.counted({ raster: Float64Array.from(bits), shape: [1, 32, 32] })]);"
    found = node(code, use="looking_inside_drawing", bits=bitmap.flatten().tolist())
    expected = bitmap.reshape(8, 4, 8, 4).sum(dim=(1, 3)) / 16
    assert torch.equal(torch.tensor(found, dtype=torch.float64).reshape(8, 8), expected)


@pytest.mark.parametrize("digit", STROKES)
@pytest.mark.parametrize(("scale", "move"), [(1.0, (0.0, 0.0)), (0.4, (0.55, 0.05))], ids=["large", "in-a-corner"])
def test_a_digit_drawn_anywhere_in_any_size_is_recognised(given, digit, scale, move):
    picture = given(STROKES[digit], scale=scale, move=move)
    assert picture[0].max() > 0 and picture[7].max() > 0, "as high as the picture, as all of the data set are"
    assert picture[:, 0].max() == 0 or picture[:, 7].max() == 0, "and never as wide"
    with torch.no_grad():
        answer = trained.load("digits_live")(picture[None, None].float()).softmax(dim=1)[0]
    assert answer.argmax() == digit
    assert answer[digit] > 0.5


def test_size_and_place_do_not_matter_and_the_pen_stays_as_thick(given):
    large, small = given(STROKES[0]), given(STROKES[0], scale=0.5, move=(0.4, 0.1))
    torch.testing.assert_close(large, small)
    torch.testing.assert_close(large, large.flip(1), msg="in the middle")
    assert given(STROKES[0], scale=0.5, move=(0.4, 0.1), fit=False)[:, :3].max() == 0, "unless the tick is taken away"


def test_the_eraser_is_moved_with_the_drawing_and_does_not_count_as_ink(node):
    code = """
    const line = { colour: [1], width: 1 / 8, points: [[0.2, 0.2], [0.2, 0.4]] };
    const rubber = { colour: [0], width: 1 / 4, points: [[0.9, 0.9], [0.2, 0.4]] };
    const fitted = d.centred([line, rubber]);
    give([d.centred([line]), fitted, [d.centred([rubber]), [rubber]]]);
    """
    alone, both, (unchanged, rubber) = node(code, use="looking_inside_drawing")
    assert both[0] == alone[0]
    assert both[1]["points"][1] == both[0]["points"][1]
    assert unchanged == rubber


class TestPhotographs:
    """Pictures of paper, for a net of white digits on black."""

    RUN = """
    const { turned, picture } = d.photographed(Float64Array.from(grey), [96, 96], [8, 8], fit);
    give({ turned, picture: [...picture] });
    """

    def photographed(self, node, grey, fit=True):
        found = node(self.RUN, use="looking_inside_drawing", grey=grey.flatten().tolist(), fit=fit)
        return found["turned"], torch.tensor(found["picture"], dtype=torch.float64).reshape(8, 8)

    def paper(self, node, digit, *, ink, ground):
        """A digit drawn on a third of a photograph."""
        code = """
        const strokes = lines.map((points) => ({ colour: [1], width: 1 / 16, points }));
        give([...d.rastered(new Float64Array(24 * 24), strokes, [1, 24, 24]).raster]);
        """
        lines = [[[0.1 + 0.5 * x, 0.2 + 0.5 * y] for x, y in points] for points in STROKES[digit]]
        bright = torch.tensor(node(code, use="looking_inside_drawing", lines=lines), dtype=torch.float64)
        return ground + (ink - ground) * bright

    @pytest.mark.parametrize("digit", [0, 3, 7])
    def test_a_pencil_on_grey_paper_is_recognised(self, node, digit):
        turned, picture = self.photographed(node, self.paper(node, digit, ink=0.3, ground=0.7))
        assert turned
        assert set((picture * 16).tolist()[0]) <= set(map(float, range(17)))
        with torch.no_grad():
            assert trained.load("digits_live")(picture[None, None].float()).argmax() == digit

    def test_white_on_black_is_left_so_and_gives_the_same(self, node):
        light = self.photographed(node, self.paper(node, 3, ink=0.9, ground=0.1))
        dark = self.photographed(node, self.paper(node, 3, ink=0.1, ground=0.9))
        assert (light[0], dark[0]) == (False, True)
        assert torch.equal(light[1], dark[1])

    def test_without_fitting_it_stays_where_it_is(self, node):
        _, picture = self.photographed(node, self.paper(node, 1, ink=0.0, ground=1.0), fit=False)
        assert picture[:, 6:].max() == 0 < picture[:, 2:4].max()

    def test_one_colour_is_an_empty_picture(self, node):
        for level in (0.0, 0.5, 1.0):
            _, picture = self.photographed(node, torch.full((96, 96), level))
            assert picture.abs().max() == 0


def test_colour_is_painted_where_the_pen_goes(node):
    code = """
    const stroke = { colour: [1, 0, 0.5], width: 0.25, points: [[0.25, 0.5], [0.75, 0.5]] };
    give([...d.counted(d.rastered(new Float64Array(3 * 64).fill(0.75), [stroke], [3, 8, 8]))]);
    """
    picture = torch.tensor(node(code, use="looking_inside_drawing")).reshape(3, 8, 8)
    assert picture[:, 3, 4].tolist() == [1, 0, 0.5]
    assert picture[:, 0].unique().tolist() == [0.75]
