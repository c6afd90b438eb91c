"""Looking inside, live, seen from Python: the files of nets, its state, its still."""

from unmagic import data, figures, look, trained
from unmagic.figures import STATIC, LookingInside, looking_inside_nets, looking_inside_still

import base64
import io
import json
import re

import numpy as np
import pytest
import safetensors.torch
import torch
import traitlets
from PIL import Image
from torch import nn


def small(*, channels=1, **more) -> nn.Sequential:
    torch.manual_seed(0)
    convolution = nn.Conv2d(channels, 4, 3, padding=1, **more)
    return nn.Sequential(convolution, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10)).eval()


def described(path) -> tuple[dict, dict]:
    """What a file says of its net, and its tensors."""
    with safetensors.safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["unmagic"])
    return about, safetensors.torch.load_file(path)


class TestTheCoursesNets:
    """The files beside the figure."""

    @pytest.mark.parametrize("name", looking_inside_nets.FILES)
    def test_they_are_what_the_trained_nets_give_byte_for_byte(self, name):
        there = (STATIC / looking_inside_nets.FILES[name]).read_bytes()
        assert there == looking_inside_nets.made(name), (
            "the trained net has changed: python -m unmagic.figures.looking_inside_nets"
        )

    def test_together_they_are_at_most_300_kilobytes(self):
        assert sum((STATIC / file).stat().st_size for file in looking_inside_nets.FILES.values()) <= 300_000

    def test_they_know_the_pictures_of_their_test_splits(self):
        right = 0
        for name in looking_inside_nets.FILES:
            pictures, labels = looking_inside_nets.samples(name)
            assert labels.tolist() == list(range(10))
            right += int((trained.load(f"{name}_live")(pictures).argmax(dim=1) == labels).sum())
        assert right >= 18, "of 20"


class TestExport:
    """A net's file."""

    def test_it_holds_the_net_and_loses_nothing(self, tmp_path):
        net = small()
        path = figures.export(net, tmp_path / "net.safetensors", input_shape=(1, 28, 28))
        said, tensors = described(path)
        assert (said["input"], said["classes"]) == ([1, 28, 28], [*"0123456789"])
        assert [(layer["name"], layer["kind"]) for layer in said["layers"]] == [
            (name, type(layer).__name__) for name, layer in net.named_children()
        ]
        assert tensors["0.weight"].dtype == torch.float32
        for name, values in net.state_dict().items():
            assert torch.equal(tensors[name].float(), values)

    def test_weights_that_float16_holds_take_half_the_room(self, tmp_path):
        net = small()
        whole = figures.export(net, tmp_path / "whole.safetensors").stat().st_size
        net.half().float()
        path = figures.export(net, tmp_path / "half.safetensors")
        assert described(path)[1]["0.weight"].dtype == torch.float16
        assert path.stat().st_size < whole - 100
        assert torch.equal(described(path)[1]["0.weight"].float(), net[0].weight)

    def test_the_net_is_left_as_it_was(self, tmp_path):
        net = small().train()
        net[0].weight.requires_grad_(False)
        figures.export(net, tmp_path / "net.safetensors")
        assert all(module.training for module in net.modules())
        assert [p.requires_grad for p in net.parameters()] == [False, True, True, True]

    def test_shape_and_names_are_those_of_the_courses_data_if_not_said(self, tmp_path):
        said, _ = described(figures.export(small(channels=3), tmp_path / "net.safetensors"))
        assert (said["input"], said["classes"]) == ([3, 32, 32], list(data.SHAPE_NAMES))
        net = small()
        net[4] = nn.Linear(4, 3)
        assert described(figures.export(net, tmp_path / "n.safetensors"))[0]["classes"] == [
            "class 0",
            "class 1",
            "class 2",
        ]

    def test_samples_are_kept_in_256_levels_with_their_labels(self, tmp_path):
        pictures, labels = data.digits("test").images[:3], data.digits("test").labels[:3]
        path = figures.export(small(), tmp_path / "net.safetensors", samples=pictures, labels=labels)
        said, tensors = described(path)
        assert (said["samples"], said["labels"]) == (3, labels.tolist())
        torch.testing.assert_close(tensors["samples"] / 255, pictures, atol=0.51 / 255, rtol=0)

    @pytest.mark.parametrize(
        ("net", "more", "said"),
        [
            pytest.param(
                nn.Linear(3, 2),
                {},
                r"the net is a Linear; wanted a plain nn.Sequential of Conv2d.*nn.Sequential\(\*its parts\)",
                id="no-sequential",
            ),
            pytest.param(
                nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(64, 2)),
                {"input_shape": (1, 8, 8)},
                r"layer '1' is a Dropout; what may stand there: Conv2d, BatchNorm2d, ReLU.*Leave it out: .* evaluation",
                id="other-layer",
            ),
            pytest.param(
                nn.Sequential(nn.Flatten(), nn.Linear(64, 2), nn.Softmax(1)),
                {"input_shape": (1, 8, 8)},
                r"layer '2' is a Softmax.*Leave it out: the page takes the softmax",
                id="softmax",
            ),
            pytest.param(nn.Sequential(nn.LazyConv2d(2, 3)), {}, r"a LazyConv2d.*Run the net once", id="lazy"),
            pytest.param(
                nn.Sequential(small(), nn.ReLU()), {}, r"layer '0' is a Sequential.*Write its layers out", id="nested"
            ),
            pytest.param(
                small(padding_mode="reflect"),
                {},
                "layer '0' is a Conv2d padding_mode='reflect'; wanted 'zeros'",
                id="padding-mode",
            ),
            pytest.param(
                nn.Sequential(nn.BatchNorm2d(1, affine=False)),
                {},
                "'0' is a BatchNorm2d without running",
                id="batch-norm",
            ),
            pytest.param(
                nn.Sequential(nn.MaxPool2d(2, ceil_mode=True)), {}, "'0' is a MaxPool2d with ceil_mode", id="ceil-mode"
            ),
            pytest.param(
                nn.Sequential(nn.AvgPool2d(2, divisor_override=3)),
                {},
                "'0' is a AvgPool2d with ceil_mode or divisor",
                id="divisor",
            ),
            pytest.param(
                nn.Sequential(nn.AdaptiveAvgPool2d(2)),
                {},
                r"output_size=2; wanted AdaptiveAvgPool2d\(1\)",
                id="adaptive",
            ),
            pytest.param(
                nn.Sequential(nn.Flatten(2)), {}, r"'0' is a Flatten from or to another dimension", id="flatten"
            ),
            pytest.param(
                nn.Sequential(nn.Linear(8, 2)),
                {"input_shape": (1, 8, 8)},
                r"Linear, would get \(1, 8, 8\); wanted a Flatten",
                id="no-flatten",
            ),
            pytest.param(
                nn.Sequential(nn.Flatten(), nn.Linear(65, 2)),
                {"input_shape": (1, 8, 8)},
                r"layer '1', Linear, cannot take \(64,\).*Does input_shape fit",
                id="shape",
            ),
            pytest.param(
                nn.Sequential(nn.Flatten(), nn.Linear(64, 2)),
                {},
                r"input_shape is None; wanted \(C, H, W\)",
                id="no-shape",
            ),
            pytest.param(small(), {"input_shape": (1, 28)}, r"input_shape is \(1, 28\); wanted", id="two-sides"),
            pytest.param(small(), {"input_shape": 28}, r"input_shape is 28; wanted \(C, H, W\)", id="one-side"),
            pytest.param(nn.Sequential(nn.Conv2d(1, 2, 3)), {}, r"ends in \(2, 6, 6\); wanted scores", id="no-scores"),
            pytest.param(small(), {"classes": ["a", "b"]}, "2 classes and 10 scores", id="classes"),
            pytest.param(
                small(),
                {"samples": torch.zeros(2, 1, 9, 9)},
                r"samples of shape \(2, 1, 9, 9\); wanted \(N, 1, 8, 8\)",
                id="samples",
            ),
            pytest.param(
                small(),
                {"samples": torch.full((1, 1, 8, 8), 2.0)},
                r"wanted them as the net takes them, in \[0, 1\]",
                id="range",
            ),
            pytest.param(
                small(),
                {"samples": torch.zeros(2, 1, 8, 8), "labels": [1, 10]},
                "labels .* of 2 samples; wanted one each, from 0 to 9",
                id="labels",
            ),
        ],
    )
    def test_what_the_page_cannot_compute_is_an_error_that_names_it_and_a_file_stays(self, tmp_path, net, more, said):
        path = tmp_path / "net.safetensors"
        path.write_bytes(b"of yesterday")
        with pytest.raises(ValueError, match=said):
            figures.export(net, path, **more)
        assert [p.name for p in tmp_path.iterdir()] == ["net.safetensors"]
        assert path.read_bytes() == b"of yesterday"

    def test_a_file_that_the_page_would_not_open_or_that_has_no_folder_is_an_error(self, tmp_path):
        with pytest.raises(ValueError, match=r"the file is '.*mine'; wanted a name that ends in \.safetensors"):
            figures.export(small(), tmp_path / "mine")
        with pytest.raises(FileNotFoundError, match=r"there is no folder '.*nowhere' for 'n\.safetensors'; make it"):
            figures.export(small(), tmp_path / "nowhere" / "n.safetensors")
        assert list(tmp_path.iterdir()) == []

    def test_samples_may_be_an_array(self, tmp_path):
        pictures = data.digits("test").images[:2]
        said = [
            figures.export(small(), tmp_path / name, samples=samples).read_bytes()
            for name, samples in [("a.safetensors", pictures), ("b.safetensors", pictures.numpy())]
        ]
        assert said[0] == said[1]

    def test_weights_that_are_no_numbers_are_an_error(self, tmp_path):
        net = small()
        with torch.no_grad():
            net[4].bias[0] = torch.nan
        with pytest.raises(ValueError, match=r"4\.bias holds numbers that are not finite"):
            figures.export(net, tmp_path / "net.safetensors")


class TestState:
    """Settings, and the nets that go to the page."""

    def test_a_notebook_gets_the_net_that_is_shown_as_a_trait(self):
        figure = LookingInside()
        assert list(figure.weights) == ["digits"]
        figure.net = "shapes"
        assert set(figure.weights) == {"digits", "shapes"}
        assert base64.b64decode(figure.weights["shapes"]) == (STATIC / "looking_inside_shapes.safetensors").read_bytes()
        assert figure.files == {}

    def test_the_book_gets_names_of_files_and_no_weights_but_ones_own(self, monkeypatch):
        monkeypatch.setenv("UNMAGIC_BOOK", "1")
        figure = LookingInside()
        figure.net = "shapes"
        assert figure.weights == {}
        assert all((STATIC / file).exists() for file in figure.files.values())
        assert len(figure.markup()) < 120_000
        own = LookingInside(model=small())
        assert list(own.weights) == ["own"]

    def test_a_net_of_ones_own_is_seen_as_it_is(self):
        net = small()
        picture = data.digits("test").images[5]
        figure = LookingInside(model=net, picture=picture, epsilon=0.2, layer=0)
        assert figure.net == "own"
        seen = figure.seen()
        with torch.no_grad():
            torch.testing.assert_close(seen.probabilities, net(picture[None]).softmax(dim=1)[0])
        assert seen.layer == "0"
        y = seen.probabilities.argmax()[None]
        torch.testing.assert_close(seen.attacked[None], look.fgsm(net, picture[None], y, 0.2))
        torch.testing.assert_close(seen.grad_cam[None], look.grad_cam(net, picture[None], "0", y))

    def test_a_net_that_was_opened_in_the_page_is_no_fault_until_python_must_compute_with_it(self):
        figure = LookingInside()
        figure.net = "own"  # as the page says once a file was opened
        assert list(figure.weights) == ["digits"]
        with pytest.raises(ValueError, match=r"was opened in the page.* make the figure with model="):
            figure.seen()
        figure.net = "digits"
        assert figure.image().shape == (1, 8, 8)

    def test_a_layer_without_maps_counts_as_the_last_that_has(self):
        assert LookingInside("digits", layer=16).seen().layer == LookingInside("digits").seen().layer == "12"

    @pytest.mark.parametrize(
        ("state", "error", "said"),
        [
            pytest.param({"net": "mnist"}, traitlets.TraitError, "net", id="unknown-net"),
            pytest.param({"epsilon": 0.7}, traitlets.TraitError, "epsilon", id="epsilon"),
            pytest.param({"picture": [2.0] * 64}, traitlets.TraitError, "picture", id="beyond-one"),
            pytest.param({"seed": 1}, TypeError, "has no seed; it has net, model, input_shape", id="unknown-name"),
            pytest.param({"net": "own"}, ValueError, "net='own' without a model", id="no-model"),
            pytest.param({"net": "digits", "model": small()}, ValueError, "net='digits' with a model", id="two-nets"),
        ],
    )
    def test_a_wrong_setting_is_an_error_that_names_it(self, state, error, said):
        with pytest.raises(error, match=said):
            LookingInside(**state)


class TestStill:
    """For readers without scripts."""

    @pytest.mark.parametrize("net", looking_inside_nets.FILES)
    def test_it_says_the_answers_before_and_after_and_is_light_and_dark(self, net):
        figure = LookingInside(net, epsilon=0.1)
        still = figure.still()
        seen = figure.seen()
        first, then = (seen.classes[int(p.argmax())] for p in (seen.probabilities, seen.afterwards))
        assert re.search(rf"takes for {first} with probability .* takes for {then} with probability", still.alternative)
        light, dark = (
            np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))).convert("L"))
            for address in (still.light, still.dark)
        )
        assert light.mean() > 150 > 100 > dark.mean()
        assert max(len(still.light), len(still.dark)) < 100_000

    def test_it_is_the_same_each_time(self):
        assert LookingInside().still() == LookingInside().still()

    def test_the_square_that_covers_is_the_pages(self, node):
        sides = [8, 15, 16, 28, 32, 64, 2]
        code = "give(sides.map((n) => d.occluder([1, n, n])).map(({ window, stride }) => [window, stride]));"
        found = node(code, use="looking_inside_maps", sides=sides)
        assert found == [list(looking_inside_still.occluder((n, n))) for n in sides]


def test_no_rule_of_its_style_sheet_reaches_beyond_it():
    text = re.sub(r"/\*.*?\*/", "", (STATIC / "looking_inside.css").read_text(encoding="utf-8"), flags=re.DOTALL)
    selectors = [part.strip() for block in re.findall(r"([^{}]+)\{", text) for part in block.split(",")]
    assert len(selectors) > 25
    assert [s for s in selectors if not s.startswith((".unmagic-live.inside", "@"))] == []
    assert text.count("{") == text.count("}")
    assert LookingInside._css.endswith((STATIC / "looking_inside.css").read_text(encoding="utf-8"))
