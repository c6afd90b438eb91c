"""Sandboxes with a GPU: which device nodes, which worker, which refusals. Device files stand in where there is none."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autograder import cli
from autograder.pool import processes
from autograder.sandbox import gpus
from autograder.sandbox.gpus import Gpu, find
from autograder.sandbox.walls import NoSandbox, outer_walls, python_inside
from tests.handins import TINY, hand_in, solved

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")


@pytest.fixture
def machine(tmp_path):
    """A /dev with GPUs 0, 1 and 10, and a driver that tells the UUIDs of 1 and 10."""
    dev, driver = tmp_path / "dev", tmp_path / "driver"
    dev.mkdir()
    for name in ("nvidia0", "nvidia1", "nvidia10", "nvidiactl", "nvidia-uvm", "nvidia-modeset"):
        (dev / name).symlink_to("/dev/null")
    (dev / "nvidia7").write_text("no device")
    (dev / "nvidia-caps").mkdir()
    for minor, place in ((1, "0000:3b:00.0"), (10, "0000:18:00.0")):
        (driver / "gpus" / place).mkdir(parents=True)
        (driver / "gpus" / place / "information").write_text(
            f"Model: \t\t NVIDIA Sample\nIRQ:   \t\t 42\nGPU UUID: \t GPU-000000{minor:02d}-aaaa-bbbb-cccc-0000\n"
            f"Video BIOS: \t 1.2\nBus Location: \t {place}\nDevice Minor: \t {minor}\nGPU Excluded:\t No\n"
        )
    return dev, driver


class TestWhatThereIs:
    def test_each_gpu_has_its_own_node_and_the_common_ones_that_exist(self, machine):
        dev, driver = machine
        found = find(dev, driver)
        assert [gpu.minor for gpu in found] == [0, 1, 10]
        assert [node.name for node in found[1].nodes] == ["nvidia1", "nvidiactl", "nvidia-uvm"]
        assert [gpu.uuid[:12] for gpu in found] == ["", "GPU-00000001", "GPU-00000010"]

    def test_none_without_the_drivers_control_node(self, machine):
        (machine[0] / "nvidiactl").unlink()
        assert find(*machine) == () == find(machine[0] / "nowhere", machine[1] / "nowhere")


class TestInSight:
    def test_the_walls_let_one_gpus_nodes_through_and_name_it(self, machine, tmp_path):
        gpu = find(*machine)[1]
        walls = _walls(tmp_path, gpu)
        plain = _walls(tmp_path, None)
        binds = [(walls[i + 1], walls[i + 2]) for i, word in enumerate(walls) if word == "--dev-bind"]
        assert binds == [(str(node), f"/dev/{node.name}") for node in gpu.nodes]
        assert walls[walls.index("CUDA_VISIBLE_DEVICES") + 1] == gpu.uuid
        assert walls.index("--dev") < walls.index("--dev-bind") < walls.index("--remount-ro")
        assert "--dev-bind" not in plain and "CUDA_VISIBLE_DEVICES" not in plain

    def test_in_the_walls_its_own_nodes_open_and_no_other_gpus_is_there(self, machine, tmp_path):
        run_folder = tmp_path / "run"
        run_folder.mkdir()
        uid = 61_990 if os.getuid() == 0 else None
        code = (
            "import os; print(sorted(n for n in os.listdir('/dev') if n.startswith('nvidia')),"
            " os.environ['CUDA_VISIBLE_DEVICES']); open('/dev/nvidia0', 'r+b').close()"
        )
        command = [*_walls(run_folder, find(*machine)[0], uid), python_inside(), "-c", code]
        seen = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if seen.returncode and "bwrap:" in seen.stderr:
            pytest.skip(f"this machine makes no sandbox: {seen.stderr}")
        assert seen.stdout.split() == ["['nvidia-uvm',", "'nvidia0',", "'nvidiactl']", "0"], seen.stderr
        assert seen.returncode == 0, seen.stderr


def _walls(folder: Path, gpu: Gpu | None, uid: int | None = None) -> list[str]:
    try:
        return outer_walls(folder, uid, gpu)
    except NoSandbox as error:
        pytest.skip(str(error))


def test_every_worker_has_a_gpu_of_its_own(tmp_path):
    two = (Gpu(0, "", ()), Gpu(1, "GPU-1", ()))
    with processes(2, two) as pool:
        seen = [pool.submit(_mine, tmp_path) for _ in two]
        assert sorted(future.result() for future in seen) == [(0, "0"), (1, "GPU-1")]


def _mine(folder: Path) -> tuple[int, str]:
    """Comes back when two workers are here, so that none answers for both."""
    (folder / str(os.getpid())).touch()
    end = time.monotonic() + 100
    while len(list(folder.iterdir())) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    return gpus.own().minor, os.environ["CUDA_VISIBLE_DEVICES"]


def test_without_gpus_a_worker_uses_none(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setattr(gpus, "_own", Gpu(3, "", ()))
    gpus.take(None)
    assert gpus.own() is None and os.environ["CUDA_VISIBLE_DEVICES"] == ""


class TestRefusals:
    @pytest.mark.parametrize(
        ("there", "asked", "said"),
        [
            (0, ("--gpus", "1"), "found no GPU on this machine"),
            (1, ("--gpus", "2"), "found 1 GPU on this machine"),
            (2, ("--gpus", "2", "--isolation", "warm"), "wanted cold"),
            (2, ("--gpus", "2", "--workers", "3"), "wanted a GPU for every worker"),
        ],
    )
    def test_what_cannot_be_is_said_before_anything_is_graded(self, tmp_path, monkeypatch, capsys, there, asked, said):
        hand_in(tmp_path, "ada", solved())
        monkeypatch.setattr("autograder.grading.find", lambda: tuple(Gpu(n, "", ()) for n in range(there)))
        monkeypatch.setattr("sys.argv", ["autograder", "grade", str(TINY), "--class", str(tmp_path), *asked])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 2 and said in capsys.readouterr().err
        assert not (tmp_path / "results").exists()
