"""`python -m unmagic.bench look`: what is timed is the same map in every library, and what is missing is said."""

from unmagic.bench import __main__ as command
from unmagic.bench import looking

import json

import pytest
import torch

from tests.look.test_look_maps import normalised


@pytest.fixture(scope="module")
def scene():
    """Three digits only."""
    found = looking.scenes(torch.device("cpu"))[0]
    return found._replace(images=found.images[:3], labels=found.labels[:3])


@pytest.mark.parametrize(
    ("method", "libraries"),
    [
        ("saliency", {"captum"}),
        ("cam", {"torchcam"}),
        ("grad_cam", {"captum", "torchcam", "grad-cam"}),
        ("grad_cam_plus_plus", {"torchcam", "grad-cam"}),
        ("occlusion", {"captum", "one by one"}),
    ],
)
def test_every_library_makes_the_same_map(scene, method, libraries):
    ways = looking.ways(scene, method)
    assert set(ways) == libraries | {"look"}
    ours = ways["look"]()
    for library in libraries:
        theirs = ways[library]()
        if (method, library) == ("occlusion", "captum"):  # how much the probability fell, at each pixel
            assert theirs.shape == scene.images[:, 0].shape
            continue
        assert theirs.shape == ours.shape
        if method != "grad_cam_plus_plus":  # torchcam's α is g², grad-cam guards its division: test_look_maps.py
            torch.testing.assert_close(normalised(theirs), normalised(ours), rtol=0, atol=1e-3)


def test_the_command_tells_times_of_each_library_and_what_is_missing(scene, monkeypatch, tmp_path, capsys):
    """A clock on which each look at it is a second later, a net, and no grad-cam."""
    ticks = iter(range(10**6))
    monkeypatch.setattr(looking.time, "perf_counter", lambda: next(ticks))
    monkeypatch.setattr(looking, "scenes", lambda device: [scene])
    monkeypatch.setattr(looking, "course_device", lambda: torch.device("cpu"))
    here = looking.version
    monkeypatch.setattr(looking, "version", lambda library: None if library == "grad-cam" else here(library))
    assert command.main(["look", "--rounds", "2", "--json", str(tmp_path / "look.json")]) == 0
    report = json.loads((tmp_path / "look.json").read_text())
    assert [row["method"] for row in report["rows"]] == list(looking.METHODS)
    assert report["rows"][2]["times"] == {"captum": 1.0, "torchcam": 1.0}
    printed = capsys.readouterr().out
    assert f"occlusion, {scene.name} on cpu: 1.0 × as fast as one window at a time; wanted 10: not met" in printed
    report["rows"][-1]["times"]["one by one"] = 10.0
    assert "10.0 × as fast as one window at a time; wanted 10: met" in looking.table(report)
    assert "1.00 ×" in printed and "Left out, not installed: grad-cam (pip install grad-cam)" in printed


def test_only_is_of_the_courses_computations(capsys):
    with pytest.raises(SystemExit):
        command.main(["look", "--only", "lab"])
    assert "--only is of the course's computations" in capsys.readouterr().err
