"""Kernels of the sandbox for Jupyter: a kernel provisioner, so that nbclient and `nbgrader autograde` can use them.

Chosen by a kernelspec whose metadata says `"kernel_provisioner": {"provisioner_name": "unmagic-sandbox", "config":
{"limits": {…}, "cold": false}}`. A process keeps one parent of kernels, which ends with it.
"""

import asyncio
import atexit
import contextlib
import json
import os
import signal
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

from jupyter_client.provisioning import KernelProvisionerBase
from traitlets import Any as AnyTrait

from autograder.sandbox.client import SOCKETS_INSIDE, Place, Slot, WarmParent
from autograder.sandbox.limits import Limits

_parents: dict[tuple[int, bool], WarmParent] = {}  # by process: a fork of this one must not use its parent's
_lent: dict[bool, Place] = {}  # by whether it is cold: a place at a parent of another process's


def lend(cold: bool, folder: Path, number: int, uid: int | None, pid: int) -> None:
    """From now on this process's kernels come from a parent that the process which started us keeps."""
    with contextlib.suppress(ProcessLookupError):
        _lent[cold] = Place(folder, number, uid, os.pidfd_open(pid))


def parent_of_kernels(cold: bool = False) -> Place | WarmParent:
    """What gives this process warm (or cold) kernels: a place that was lent, as long as its parent lives; else a parent
    of its own, started at the first call, and again when it has died."""
    if cold in _lent and _lent[cold].alive():
        return _lent[cold]
    key = (os.getpid(), cold)
    if key in _parents and not _parents[key].alive():
        _close(key)
    if key not in _parents:
        _parents[key] = WarmParent(index=os.getpid() % 1000, cold=cold)
        atexit.register(_close, key)
        Finalize(None, _close, args=(key,), exitpriority=1)  # a worker process ends without atexit
    return _parents[key]


def _close(key: tuple[int, bool]) -> None:
    if key[0] == os.getpid() and key in _parents:
        _parents.pop(key).close()


class SandboxProvisioner(KernelProvisionerBase):
    """Life of one kernel in the sandbox. jupyter_client calls pre_launch, launch_kernel, …, cleanup in this order."""

    kernels: Place | WarmParent | None = AnyTrait(None, allow_none=True)  # None: this process's own parent
    limits: Limits | None = AnyTrait(None, allow_none=True)  # None: the kernelspec's
    slot: Slot | None = None

    @property
    def _config(self) -> dict:
        return (self.kernel_spec.metadata.get("kernel_provisioner") or {}).get("config") or {}

    @property
    def has_process(self) -> bool:
        return self.slot is not None and self.slot.process is not None

    async def poll(self) -> int | None:
        """None while the kernel lives, else 1."""
        return None if self.slot is not None and self.slot.alive() else 1

    async def wait(self) -> int | None:
        while self.slot is not None and self.slot.alive():
            await asyncio.sleep(0.01)
        self._take_away()
        return 0

    async def send_signal(self, signum: int) -> None:
        if self.slot is not None:
            self.slot.signal(signum)

    async def kill(self, restart: bool = False) -> None:
        await self.send_signal(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:
        await self.send_signal(signal.SIGKILL)  # nothing in a sandbox is worth a graceful end

    async def cleanup(self, restart: bool = False) -> None:
        self._take_away()

    def _take_away(self) -> None:
        if self.slot is not None:
            self.slot.close()

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        kwargs = await super().pre_launch(**kwargs)
        working = kwargs.get("cwd")
        kernels = self.kernels or parent_of_kernels(bool(self._config.get("cold")))
        self.slot = kernels.slot(Path(working) if working else None)
        manager = self.parent
        manager.transport = "ipc"
        manager.ip = str(self.slot.sockets / "zmq")
        # the manager's own file stays outside; the kernel's names the same sockets as it sees them
        manager.write_connection_file()
        self.connection_info = manager.get_connection_info()
        seen_inside = json.loads(Path(manager.connection_file).read_text())
        seen_inside |= {"transport": "ipc", "ip": f"{SOCKETS_INSIDE}/zmq"}
        self.slot.write("connection.json", json.dumps(seen_inside))
        kwargs["cmd"] = ["(forked from a warm parent)"]
        return kwargs

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> dict:
        self.slot.start(self.limits or Limits.from_json(self._config.get("limits") or {}))
        return self.connection_info
