"""The arithmetic of "Looking inside, live", run in Node, against torch and `unmagic.look` on 50 pictures."""

from unmagic import data, figures, look, trained
from unmagic.figures import STATIC

import copy
import json

import numpy as np
import pytest
import torch
from torch import nn

MAPS = f"import * as m from {json.dumps((STATIC / 'looking_inside_maps.js').as_uri())};\nimport fs from 'node:fs';\n"
READ = """
const whole = (name) => Uint8Array.from(fs.readFileSync(name)).buffer;
const run = (steps) => { let step = steps.next(); while (!step.done) step = steps.next(); return step.value; };
"""
# everything of every picture, one after another, as float64
ALL = """
const net = d.readNet(whole(file));
const pass = new d.Pass(net);
const pictures = new Float64Array(whole(from));
const size = net.input.reduce((a, b) => a * b);
const out = [];
for (let k = 0; k < pictures.length / size; k++) {
  const x = pictures.slice(k * size, (k + 1) * size);
  const target = targets[k];
  const found = run(m.analyse(pass, x, { target, layer }));
  out.push(...pass.values.slice(1).map((values) => values.slice()));
  const attacked = run(m.attack(pass, x, found, epsilon));
  const covered = run(m.occlusion(net, x, { target: found.target, ...occluder }));
  for (const values of [found.probabilities, found.saliency, found.gradCam, attacked.picture, attacked.probabilities,
    covered.map]) out.push(Float64Array.from(values));
}
fs.writeFileSync(to, Buffer.concat(out.map((values) => Buffer.from(values.buffer))));
give({ occluder: m.occluder(net.input), withMaps: m.withMaps(net), shapes: net.layers.map((l) => l.output) });
"""


def close(actual, expected, tolerance=1e-4):
    torch.testing.assert_close(actual, expected.double(), rtol=tolerance, atol=tolerance)


@pytest.fixture(scope="module")
def measured(node, tmp_path_factory):
    """`measured(net, pictures, targets, …)` → what the page computes of each picture, {name: (N, …)}, and a note."""

    def measure(net, pictures, targets, *, layer=None, epsilon=0.1, occluder=None):
        folder = tmp_path_factory.mktemp("net")
        file = figures.export(net, folder / "net.safetensors", input_shape=pictures.shape[1:])
        pictures.double().numpy().tofile(folder / "pictures")
        names = [name for name, _ in net.named_children()]
        with look.recording(net, names) as seen, look.evaluating(net):
            net(pictures[:1])
        shapes = [tuple(seen[name].shape[1:]) for name in names]
        layer = layer or [k + 1 for k, shape in enumerate(shapes) if len(shape) == 3 and shape[1] > 1][-1]
        occluder = occluder or {"window": 3, "stride": 1}
        said = node(
            MAPS + READ + ALL, use="looking_inside_net",
            **{"file": str(file), "from": str(folder / "pictures"), "to": str(folder / "results")},
            targets=targets, layer=layer, epsilon=epsilon, occluder=occluder,
        )  # fmt: skip
        _, H, W = pictures.shape[1:]
        places = tuple((n - occluder["window"]) // occluder["stride"] + 1 for n in (H, W))
        expected = dict(zip(names, shapes, strict=True))
        expected |= {"probabilities": shapes[-1], "saliency": (H, W), "grad_cam": shapes[layer - 1][1:]}
        expected |= {"attacked": tuple(pictures.shape[1:]), "attacked_probabilities": shapes[-1], "occlusion": places}
        numbers = torch.from_numpy(np.fromfile(folder / "results")).reshape(len(pictures), -1)
        parts = numbers.split([int(np.prod(shape)) for shape in expected.values()], dim=1)
        found = {name: part.reshape(-1, *shape) for (name, shape), part in zip(expected.items(), parts, strict=True)}
        return found, names[layer - 1], said

    return measure


def compare(net, pictures, found, layer, targets, *, epsilon=0.1, window=3, stride=1):
    """Everything that the page computes, with torch in the net's own precision."""
    names = [name for name, _ in net.named_children()]
    with torch.no_grad(), look.recording(net, names) as seen:
        logits = net(pictures)
    for name in names:
        close(found[name], seen[name])
    probabilities = logits.softmax(dim=1)
    close(found["probabilities"], probabilities)
    close(found["saliency"], look.saliency(net, pictures, targets))
    close(found["grad_cam"], look.grad_cam(net, pictures, layer, targets))
    close(found["occlusion"], look.occlusion(net, pictures, targets, window=window, stride=stride))
    # in float64: where a slope is 0 but for float32's rounding, its sign is anybody's
    net, pictures = copy.deepcopy(net).double(), pictures.double()
    attacked = look.fgsm(net, pictures, targets, epsilon)
    close(found["attacked"], attacked)
    with torch.no_grad():
        close(found["attacked_probabilities"], net(attacked).softmax(dim=1))


@pytest.mark.parametrize(
    ("name", "window", "stride"), [("digits_live", 3, 1), ("shapes_live", 8, 4)], ids=["digits", "shapes"]
)
def test_what_the_page_computes_of_25_pictures_is_what_torch_and_look_compute(measured, name, window, stride):
    net = trained.load(name)
    pictures = data.digits("test").images[:25] if name == "digits_live" else data.shapes(25, split="test").images
    targets = net(pictures).argmax(dim=1)
    targets[::5] = (targets[::5] + 3) % 10  # some explain another class than the one the net is surest of
    asked = [-1 if k % 5 else int(c) for k, c in enumerate(targets)]
    occluder = {"window": window, "stride": stride}
    found, layer, said = measured(net, pictures, asked, occluder=occluder)
    assert said["occluder"] == occluder, "the figure covers what this test covers"
    compare(net, pictures, found, layer, targets, window=window, stride=stride)


def awkward(channels: int) -> nn.Sequential:
    """Every layer that may stand in a net, with arguments that are seldom used."""
    net = nn.Sequential(
        nn.Conv2d(channels, 6, (3, 2), stride=(1, 2), padding=(2, 1), bias=True),
        nn.BatchNorm2d(6, eps=1e-3),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.Conv2d(6, 10, 3, padding="same", dilation=2, groups=2),
        nn.ReLU(),
        nn.AvgPool2d(2, stride=1, padding=1),
        nn.Conv2d(10, 5, 1, stride=2, groups=5, padding=1),
        nn.AvgPool2d((2, 1), stride=1, padding=(1, 0), count_include_pad=False),
        nn.Flatten(),
        nn.Linear(5 * 7 * 3, 7, bias=False),
        nn.ReLU(),
        nn.Linear(7, 4),
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in net.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) - 0.35)
        net[1].running_var.abs_().add_(0.1)
    return net.eval()


@pytest.mark.parametrize("channels", [1, 3])
def test_every_layer_that_may_stand_there_computes_and_goes_back_as_torch_does(measured, channels):
    net = awkward(channels).double()
    pictures = torch.rand(3, channels, 13, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    targets = torch.tensor([0, 3, 1])
    window = dict(window=4, stride=2)
    found, layer, _ = measured(net, pictures, targets.tolist(), layer=5, epsilon=0.03, occluder=window)
    assert layer == "4"
    compare(net, pictures, found, layer, targets, epsilon=0.03, **window)


def test_it_pauses_after_every_layer_so_that_no_frame_is_long(node, tmp_path):
    net = trained.load("digits_live")
    file = figures.export(net, tmp_path / "net.safetensors")
    code = """
    const net = d.readNet(whole(file));
    const x = new Float64Array(64).fill(0.3);
    const pass = new d.Pass(net);
    const covered = m.occlusion(net, x, { target: 0, window: 3, stride: 1 });
    give([[...m.analyse(pass, x, { target: -1, layer: 1 })].length, [...covered].length]);
    """
    assert node(MAPS + READ + code, use="looking_inside_net", file=str(file)) == [3 * len(net), 36 * len(net)]


def bytes_of(change=None, cut=None, **more):
    """A file of `export`, spoiled."""
    from unmagic.figures.looking_inside_export import packed

    made = packed(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), input_shape=(1, 8, 8), **more)
    return (made.replace(*change) if change else made)[:cut]


@pytest.mark.parametrize(
    ("file", "said"),
    [
        pytest.param(b"", "it has 0 bytes and no header of safetensors", id="empty"),
        pytest.param(b"\x89PNG\r\n\x1a\n" * 4, "no header of safetensors", id="a-picture"),
        pytest.param((8).to_bytes(8, "little") + b"{not it}", "its header is no JSON", id="no-json"),
        pytest.param((2).to_bytes(8, "little") + b"{}", "does not say what layers", id="no-layers"),
        pytest.param(bytes_of((b'version\\":1', b'version\\":7')), "its version is 7, wanted is 1", id="newer"),
        pytest.param(bytes_of((b"Linear", b"Bogus!")), "layer 1 is a Bogus!", id="unknown-layer"),
        pytest.param(bytes_of((b'"1.bias"', b'"1.hias"')), "the tensor 1.bias is missing", id="tensor-missing"),
        pytest.param(bytes_of((b'features\\":2', b'features\\":3')), "has 128 numbers, wanted are 192", id="sizes"),
        pytest.param(bytes_of(cut=-40), "or the file was cut off", id="cut-off"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_of_export_is_refused_with_what_was_found(node, tmp_path, file, said):
    (tmp_path / "file").write_bytes(file)
    code = (
        "let told = 'nothing'; try { d.readNet(whole(file)); } catch (problem) { told = problem.message; } give(told);"
    )
    told = node(MAPS + READ + code, use="looking_inside_net", file=str(tmp_path / "file"))
    assert said in told
    assert 'export(net, "net.safetensors") writes one' in told
