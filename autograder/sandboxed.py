"""A kernel in the sandbox, run like any other kernel of the grader's (`autograder.kernel`)."""

import json
import secrets
import signal
from pathlib import Path

from autograder.kernel import START_SECONDS, Kernel
from autograder.sandbox.client import SOCKETS_INSIDE, Place, WarmParent
from autograder.sandbox.limits import Limits

_PORTS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")


class SandboxKernel(Kernel):
    """A kernel behind walls: no network, no files but copies of the lab's data, no more than `limits`.

    `sockets` is the folder of its sockets as we see it, `sockets_inside` as it does.
    """

    sockets_inside = SOCKETS_INSIDE

    def __init__(
        self, parent: Place | WarmParent, limits: Limits, scratch: Path, data_files: list[tuple[Path, str]] = ()
    ):
        self.parent, self._limits = parent, limits
        super().__init__(scratch, {}, data_files)

    @property
    def sockets(self) -> Path:
        return self._slot.sockets

    def _launch(self, working: Path, environment: dict[str, str]) -> tuple[dict, int]:
        self._slot = self.parent.slot(working)
        connection = {name: number for number, name in enumerate(_PORTS, start=1)}
        connection |= {"transport": "ipc", "key": secrets.token_hex(16), "signature_scheme": "hmac-sha256"}
        self._slot.write("connection.json", json.dumps({**connection, "ip": f"{SOCKETS_INSIDE}/zmq"}))
        self._slot.start(self._limits)
        self._slot.wait_until_sealed(START_SECONDS)
        return {**connection, "ip": str(self.sockets / "zmq")}, self._slot.process

    def begin(self) -> None:
        """From now on its time counts."""
        self._slot.begin()

    def alive(self) -> bool:
        return self._slot.alive()

    def _interrupt(self) -> None:
        self._slot.signal(signal.SIGINT)

    def _end(self) -> None:
        if hasattr(self, "_slot"):
            self._slot.close()

    def why_it_died(self) -> str:
        if self._slot.alive():
            return ""
        self._channels.close()
        self._slot.close()
        return self._slot.reason

    def limits_noticed(self) -> set[str]:
        return self._slot.limits_hit()
