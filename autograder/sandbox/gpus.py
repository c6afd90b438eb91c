"""GPUs for sandboxes: one a worker for as long as it lives, and of each only its own device nodes in sight.

NVIDIA's driver gives a process the GPUs whose nodes it can open: /dev/nvidia0, /dev/nvidia1, … by the device's minor
number, and for any of them /dev/nvidiactl, /dev/nvidia-uvm and /dev/nvidia-uvm-tools. What each minor number's UUID is
stands in /proc/driver/nvidia/gpus/*/information (the driver's README, "The /proc filesystem interface").
"""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

_COMMON = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools")
_NEEDED = "nvidiactl"  # without it no GPU can be opened
_INFORMATION = re.compile(r"^GPU UUID:\s*(GPU-[0-9a-f-]+)$.*^Device Minor:\s*(\d+)$", re.MULTILINE | re.DOTALL)

VARIABLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Attributes:
        minor: N of its node /dev/nvidiaN.
        uuid: as CUDA knows it, "GPU-…"; "" where the driver does not tell.
        nodes: its device nodes on this machine, its own first.
    """

    minor: int
    uuid: str
    nodes: tuple[Path, ...]

    def binds(self) -> list[str]:
        """bubblewrap's arguments that put its nodes into a sandbox's /dev."""
        return [word for node in self.nodes for word in ("--dev-bind", str(node), f"/dev/{node.name}")]

    def environment(self) -> dict[str, str]:
        """What a process in the sandbox is told: its one GPU, by a name that holds wherever it is counted."""
        return {VARIABLE: self.uuid or "0"}


def find(dev: Path = Path("/dev"), driver: Path = Path("/proc/driver/nvidia")) -> tuple[Gpu, ...]:
    """The GPUs that this machine has nodes for, by minor number; empty without any, and without a driver."""
    if not _is_device(dev / _NEEDED):
        return ()
    common = tuple(dev / name for name in _COMMON if _is_device(dev / name))
    uuids = {}
    for file in driver.glob("gpus/*/information"):
        if told := _INFORMATION.search(file.read_text("utf-8", "replace")):
            uuids[int(told[2])] = told[1]
    own = {int(path.name[6:]): path for path in dev.glob("nvidia[0-9]*") if path.name[6:].isdecimal()}
    return tuple(
        Gpu(minor, uuids.get(minor, ""), (node, *common)) for minor, node in sorted(own.items()) if _is_device(node)
    )


def _is_device(path: Path) -> bool:
    try:
        return stat.S_ISCHR(path.stat().st_mode)
    except OSError:
        return False


_own: Gpu | None = None


def take(gpu: Gpu | None) -> None:
    """From now on this process and its sandboxes use that GPU; with None, none.

    To be called before CUDA is first used. The trusted side gets the same one, so that a test and the student's code
    mean the same device.
    """
    global _own
    _own = gpu
    os.environ[VARIABLE] = (gpu.uuid or str(gpu.minor)) if gpu else ""


def own() -> Gpu | None:
    """The GPU that this process took."""
    return _own
