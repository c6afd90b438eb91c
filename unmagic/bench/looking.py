"""`look` beside captum, torchcam and pytorch-grad-cam, the same maps of the same batch: `python -m unmagic.bench look`.

Each library works on a net of its own (hooks that one of them leaves behind cost the others nothing) and stops before
the maps are resized. What is not installed is left out, and said.
"""

from unmagic import data, look, zoo
from unmagic.bench.run import describe_machine, wait_for
from unmagic.devices import device as course_device

import copy
import datetime
import statistics
import time
import typing
from collections.abc import Callable
from importlib import metadata

import torch
from torch import Tensor, nn

SCHEMA = "unmagic/bench-look/1"
LIBRARIES = ("captum", "torchcam", "grad-cam")  # as they are called where packages are found
METHODS = ("saliency", "cam", "grad_cam", "grad_cam_plus_plus", "occlusion")
FEW = 16  # images that are occluded: the loop that covers one window at a time is slow
WANTED = 10.0  # times as fast as one window at a time
LONG_ENOUGH = 0.05  # seconds that one is timed at least, by repeating it
Explain = Callable[[], Tensor]


class Scene(typing.NamedTuple):
    """What is explained: a net, the layer whose maps are taken, its classifier, and a batch."""

    name: str
    net: nn.Module
    layer: str
    classifier: str
    images: Tensor  # (N, C, H, W)
    labels: Tensor  # (N,)
    window: int
    stride: int


def scenes(device: torch.device) -> list[Scene]:
    """Two nets of the course's sizes, on its own pictures."""
    torch.manual_seed(0)
    digits, shapes = data.digits("validation"), data.shapes(64, split="validation")
    small = nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10)),
    )
    residual = zoo.cifar_resnet(20, width=8)
    pixels = digits.images[:64].reshape(-1, 1, 8, 8)
    found = [
        Scene("two layers, 64 digits of 8×8", small, "6", "9", pixels, digits.labels[:64], 3, 1),
        Scene("ResNet-20, 64 shapes of 32×32", residual, "stages", "classifier", shapes.images, shapes.labels, 8, 2),
    ]
    return [
        s._replace(net=s.net.eval().to(device), images=s.images.to(device), labels=s.labels.to(device)) for s in found
    ]


def ways(scene: Scene, method: str) -> dict[str, Explain]:
    """Everyone here who has this map: by library, a function that makes it for the whole batch, (N, h, w)."""
    found = {"look": _ours(scene, method)}
    for library, make in (("captum", _captum), ("torchcam", _torchcam), ("grad-cam", _grad_cam)):
        own = scene._replace(net=copy.deepcopy(scene.net))
        work = make(own, method) if version(library) else None
        if work is not None:
            found[library] = work
    if method == "occlusion":
        found["one by one"] = lambda: one_window_at_a_time(scene)
    return found


def version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def _ours(scene: Scene, method: str) -> Explain:
    net, layer, images, labels = scene.net, scene.layer, scene.images, scene.labels
    return {
        "saliency": lambda: look.saliency(net, images, labels),
        "cam": lambda: look.cam(net, images, layer, scene.classifier, labels),
        "grad_cam": lambda: look.grad_cam(net, images, layer, labels),
        "grad_cam_plus_plus": lambda: look.grad_cam_plus_plus(net, images, layer, labels),
        "occlusion": lambda: look.occlusion(net, images[:FEW], labels[:FEW], window=scene.window, stride=scene.stride),
    }[method]


@torch.no_grad()
def one_window_at_a_time(scene: Scene) -> Tensor:
    """Occlusion as one would first write it."""
    images, window, stride = scene.images[:FEW], scene.window, scene.stride
    rows, columns = ((side - window) // stride + 1 for side in images.shape[2:])
    found = images.new_zeros(len(images), rows, columns)
    for n in range(len(images)):
        for i in range(rows):
            for j in range(columns):
                covered = images[n : n + 1].clone()
                covered[:, :, i * stride : i * stride + window, j * stride : j * stride + window] = 0.5
                found[n, i, j] = scene.net(covered).softmax(dim=1)[0, scene.labels[n]]
    return found


def _captum(scene: Scene, method: str) -> Explain | None:
    from captum.attr import LayerGradCam, Occlusion, Saliency

    net, images, labels = scene.net, scene.images, scene.labels
    if method == "saliency":
        explain = Saliency(net)
        return lambda: explain.attribute(images.clone().requires_grad_(), target=labels).amax(dim=1)
    if method == "grad_cam":
        graded = LayerGradCam(net, look.find_layer(net, scene.layer)[1])
        return lambda: graded.attribute(images, target=labels, relu_attributions=True)[:, 0].detach()
    if method == "occlusion":
        covering = Occlusion(nn.Sequential(net, nn.Softmax(dim=1)))
        C, few = images.shape[1], images[:FEW]
        options = {
            "sliding_window_shapes": (C, scene.window, scene.window),
            "strides": (C, scene.stride, scene.stride),
            "baselines": 0.5,
            "perturbations_per_eval": 16,  # of each of the images: 64 a batch
        }
        return lambda: covering.attribute(few, target=labels[:FEW], **options)[:, 0]
    return None


def _torchcam(scene: Scene, method: str) -> Explain | None:
    from torchcam import methods

    net, images, classes = scene.net, scene.images, scene.labels.tolist()
    shape = tuple(images.shape[1:])
    if method == "cam":
        extract = methods.CAM(net, target_layer=scene.layer, fc_layer=scene.classifier, input_shape=shape)
        return torch.no_grad()(lambda: extract(classes, net(images), normalized=False)[0])
    if method in ("grad_cam", "grad_cam_plus_plus"):
        kind = methods.GradCAM if method == "grad_cam" else methods.GradCAMpp
        graded = kind(net, target_layer=scene.layer, input_shape=shape)
        return lambda: graded(classes, net(images), normalized=False)[0]
    return None


def _grad_cam(scene: Scene, method: str) -> Explain | None:
    if method not in ("grad_cam", "grad_cam_plus_plus"):
        return None
    import pytorch_grad_cam as kept
    from pytorch_grad_cam import base_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    kind = kept.GradCAM if method == "grad_cam" else kept.GradCAMPlusPlus
    graded = kind(scene.net, [look.find_layer(scene.net, scene.layer)[1]])
    targets = [ClassifierOutputTarget(label) for label in scene.labels.tolist()]

    def explain() -> Tensor:
        resizing, base_cam.scale_cam_image = base_cam.scale_cam_image, lambda maps, size=None: maps
        try:
            return torch.from_numpy(graded(scene.images, targets))
        finally:
            base_cam.scale_cam_image = resizing

    return explain


def run(rounds: int = 5, progress: Callable[[str], None] = lambda line: None) -> dict[str, typing.Any]:
    """Times every map on every net, on the CPU and on `unmagic.device()` where that is another.

    In each round all libraries run once, one after the other, so that what else the machine does meets all of them.

    Returns:
        {"schema", "date", "machine", "torch", "threads", "rounds", "versions", "missing", "rows": [...]}; a row has the
        median seconds of each library ("median_s") and, of the others, how many times as long as ours they took, each
        in its fastest round ("times"): what else the machine does only makes rounds longer.
    """
    devices = {torch.device("cpu"), course_device()}
    rows = []
    for device in sorted(devices, key=str):
        for scene in scenes(device):
            for method in METHODS:
                progress(f"{method}: {scene.name} on {device.type} ...")
                rows.append(
                    {"method": method, "net": scene.name, "device": device.type} | _timed(scene, method, rounds)
                )
    return {
        "schema": SCHEMA,
        "date": datetime.date.today().isoformat(),
        "machine": describe_machine(max(devices, key=lambda d: d.type != "cpu")),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "rounds": rounds,
        "versions": {library: version(library) for library in LIBRARIES if version(library)},
        "missing": [library for library in LIBRARIES if not version(library)],
        "rows": rows,
    }


def _timed(scene: Scene, method: str, rounds: int) -> dict[str, dict[str, float]]:
    contenders = ways(scene, method)
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    repeats = dict.fromkeys(contenders, 1)
    for number in range(rounds + 1):  # the first one warms up, and says how often to repeat what is soon done
        names = list(contenders)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            if not number:
                contenders[name]()
            wait_for(scene.images.device)
            start = time.perf_counter()
            for _ in range(repeats[name]):
                contenders[name]()
            wait_for(scene.images.device)
            passed = time.perf_counter() - start
            if number:
                seconds[name].append(passed / repeats[name])
            else:
                repeats[name] = max(1, round(LONG_ENOUGH / max(passed, 1e-6)))
    fastest = {name: min(each) for name, each in seconds.items()}
    return {
        "median_s": {name: statistics.median(each) for name, each in seconds.items()},
        "times": {name: least / fastest["look"] for name, least in fastest.items() if name != "look"},
    }


def table(report: dict[str, typing.Any]) -> str:
    """The report as text: our milliseconds, and how many times as long the others took."""
    others = ["captum", "torchcam", "grad-cam", "one by one"]
    lines = [("map", "net", "on", "look", *others)]
    for row in report["rows"]:
        cells = (f"{row['times'][name]:.2f} ×" if name in row["times"] else "" for name in others)
        lines.append((row["method"], row["net"], row["device"], f"{row['median_s']['look'] * 1e3:.1f} ms", *cells))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [
        "  ".join(c.ljust(w) if i < 3 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    ]
    named = ", ".join(f"{name} {number}" for name, number in report["versions"].items()) or "no other library"
    about = f"{report['machine']}\ntorch {report['torch']}, {report['threads']} thread(s), {named}; {report['date']}"
    how = f"{report['rounds']} rounds in turn, one before to warm up; others: times as long as look, in fastest rounds"
    loops = [
        f"occlusion, {row['net']} on {row['device']}: {row['times']['one by one']:.1f} × as fast as one window at a "
        f"time; wanted {WANTED:.0f}: {'met' if row['times']['one by one'] >= WANTED else 'not met'}"
        for row in report["rows"]
        if "one by one" in row["times"]
    ]
    left = [f"Left out, not installed: {name} (pip install {name})" for name in report["missing"]]
    return "\n".join(
        [about, how, "", text[0].rstrip(), "-" * len(text[0]), *(t.rstrip() for t in text[1:]), "", *loops, *left]
    )
