"""`import unmagic` before `import torchvision` is enough, with a matching pair of wheels and without."""

import subprocess
import sys
import textwrap

import pytest
import torch


def python(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)


def torchvision_is_broken_here() -> bool:
    return "torchvision::nms does not exist" in python("import torchvision").stderr


def test_models_transforms_and_data_sets_work_after_unmagic():
    done = python("""
        import unmagic
        import torch, torchvision
        from torchvision.transforms import v2
        net = torchvision.models.resnet18(num_classes=3).eval()
        x = v2.Resize(32)(torch.rand(2, 3, 40, 40))
        print(tuple(net(x).shape), len(torchvision.datasets.FakeData(size=5)))
    """)
    assert (done.stdout, done.stderr) == ("(2, 3) 5\n", "")


def test_beside_another_torch_the_missing_operators_say_so():
    """Defined in name only: a call is an error, never a wrong answer."""
    if not torchvision_is_broken_here():
        pytest.skip("torch and torchvision match here: the operators are real")
    done = python("""
        import unmagic
        import torch, torchvision
        try:
            torchvision.ops.nms(torch.rand(1, 4), torch.rand(1), 0.5)
        except (NotImplementedError, RuntimeError) as error:
            print("refused", type(error).__name__)
    """)
    assert done.stdout.startswith("refused"), done.stderr


def test_where_the_operators_exist_nothing_is_defined():
    """A matching pair, simulated: the operators are registered with an implementation before unmagic looks."""
    done = python("""
        import torch
        lib = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            lib.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            lib.impl(name, lambda dets, scores, iou_threshold: torch.tensor([42]), "CPU")
        import unmagic._torchvision
        print(unmagic._torchvision._library, unmagic._torchvision.ensure_importable())
        print(torch.ops.torchvision.nms(torch.rand(1, 4), torch.rand(1), 0.5).tolist())
    """)
    assert done.stdout == "None []\n[42]\n", done.stderr


def test_a_matching_library_is_loaded_and_nothing_is_defined():
    """The other half of a matching pair: it is torchvision's own file that registers the operators, when we load it."""
    done = python("""
        import pathlib, torch
        lib = torch.library.Library("torchvision", "DEF")
        def load(path):
            assert pathlib.Path(path).name.startswith("_C"), path
            for name in ("nms", "qnms"):
                lib.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        torch.ops.load_library = load
        import unmagic._torchvision
        print(unmagic._torchvision._library)
    """)
    assert done.stdout == "None\n", done.stderr


def test_without_torchvision_nothing_happens():
    done = python("""
        import importlib.util
        find = importlib.util.find_spec
        importlib.util.find_spec = lambda name, *rest: None if name == "torchvision" else find(name, *rest)
        import unmagic._torchvision
        print(unmagic._torchvision._library)
    """)
    assert done.stdout == "None\n", done.stderr


def test_importing_unmagic_is_light():
    """No Jupyter, and nothing heavy before it is used."""
    done = python("""
        import sys, unmagic
        heavy = {"IPython", "ipykernel", "ipywidgets", "anywidget", "nbformat", "sklearn", "matplotlib", "torchvision"}
        print(sorted(heavy & {name.split(".")[0] for name in sys.modules}))
    """)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_torch_here_is_one_the_course_supports():
    assert tuple(int(n) for n in torch.__version__.split("+")[0].split(".")[:2]) >= (2, 11)
