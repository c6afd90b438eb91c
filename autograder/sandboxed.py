"""A kernel in the sandbox, run like any other kernel of the grader's (`autograder.kernel`)."""

from pathlib import Path

from jupyter_client.manager import KernelManager

from autograder.kernel import Kernel
from autograder.sandbox.client import SOCKETS_INSIDE, WarmParent
from autograder.sandbox.kernels import kernel_manager
from autograder.sandbox.limits import Limits


class SandboxKernel(Kernel):
    """A kernel behind walls: no network, no files but copies of the lab's data, no more than `limits`.

    `sockets` is the folder of its sockets as we see it, `sockets_inside` as it does.
    """

    sockets_inside = SOCKETS_INSIDE

    def __init__(self, parent: WarmParent, limits: Limits, scratch: Path, data_files: list[tuple[Path, str]] = ()):
        self._parent, self._limits = parent, limits
        super().__init__(scratch, {}, data_files)

    @property
    def sockets(self) -> Path:
        return self._manager.provisioner.slot.sockets

    def _made(self) -> KernelManager:
        return kernel_manager(
            self._parent,
            self._limits,
            connection_file=str(self.folder / "c.json"),
            client_class="jupyter_client.blocking.BlockingKernelClient",
        )

    def _start_arguments(self, environment: dict[str, str]) -> dict:
        return {}  # a warm parent passes nothing on

    def why_it_died(self) -> str:
        slot = self._manager.provisioner.slot
        if slot.alive():
            return ""
        slot.close()
        return slot.reason

    def limits_noticed(self) -> set[str]:
        return self._manager.provisioner.slot.limits_hit()
