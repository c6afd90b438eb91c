"""The lines to a Jupyter kernel: its shell and its output, by Jupyter's own session and ZeroMQ's sockets.

Only what grading needs of a client: no heartbeat, no standard input, no threads. Whoever waits here is woken by a
message or by the end of the kernel's process, and not by a clock that looks now and then.
"""

import select
import time

import zmq
from jupyter_client.session import Session

MESSAGE_BYTES = 32 * 2**20  # one message; what is larger is never taken in
_AGAIN_MS = 50  # how often a kernel that starts is asked whether it listens
_RECONNECT_MS = 10  # how often ZeroMQ looks for a socket that is not there yet


class NotConnected(RuntimeError):
    """The kernel did not answer in time, or has ended."""


class Channels:
    """Sockets to one kernel.

    Args:
        connection: Jupyter's connection information, as this process sees the sockets.
        pidfd: of the kernel's process; whoever opened it closes it.
    """

    def __init__(self, connection: dict, pidfd: int):
        self._connection, self._pidfd = connection, pidfd
        key = connection["key"]
        self._session = Session(
            key=key.encode() if isinstance(key, str) else key, signature_scheme=connection["signature_scheme"]
        )
        self._context: zmq.Context | None = None

    def connect(self, seconds: float) -> None:
        """Opens the sockets and waits until the kernel is heard on both. NotConnected when that does not come about."""
        self._context = zmq.Context()
        self._context.setsockopt(zmq.MAXMSGSIZE, MESSAGE_BYTES)
        self._context.setsockopt(zmq.LINGER, 0)
        self._context.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
        self._shell, self._iopub = self._context.socket(zmq.DEALER), self._context.socket(zmq.SUB)
        self._iopub.subscribe(b"")
        for socket, name in ((self._shell, "shell_port"), (self._iopub, "iopub_port")):
            socket.connect(self._address(name))
        self._poller = zmq.Poller()
        for what in (self._shell, self._iopub, self._pidfd):
            self._poller.register(what, zmq.POLLIN)
        deadline = time.monotonic() + seconds
        while True:
            # its subscription may come too late for the first answer's output: ask again until both were heard
            asked = self._session.send(self._shell, "kernel_info_request", {})["header"]["msg_id"]
            heard, again = set(), time.monotonic() + _AGAIN_MS / 1000
            while (left := again - time.monotonic()) > 0:
                for message in self.receive(asked, left):
                    heard.add(message["msg_type"])
                if {"kernel_info_reply", "status"} <= heard:
                    return
                if not self.alive():
                    raise NotConnected("its process has ended")
            if time.monotonic() > deadline:
                raise NotConnected(f"it did not answer within {seconds:g} s")

    def reconnect(self, seconds: float) -> None:
        """Closes the sockets and opens new ones: ZeroMQ hangs up on a message that is too large."""
        self.close()
        self.connect(seconds)

    def execute(self, code: str, **options) -> str:
        """Asks for an execution; gives the request's id."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
            **options,
        }
        return self._session.send(self._shell, "execute_request", content)["header"]["msg_id"]

    def receive(self, request: str, seconds: float) -> list[dict]:
        """What came of one request: at most one message of the output, then at most one of the shell.

        Waits for the first; the list is empty when none came in `seconds`, when the kernel has ended, and when
        something came that belongs to another request or is no message: a student's code may send anything.
        """
        ready = dict(self._poller.poll(max(0.0, 1000 * seconds)))
        found = []
        for socket in (self._iopub, self._shell):
            if socket in ready and (message := self._received(socket, request)) is not None:
                found.append(message)
        return found

    def _received(self, socket: zmq.Socket, request: str) -> dict | None:
        try:
            _, message = self._session.recv(socket)
            belongs = message is not None and message["parent_header"].get("msg_id") == request
            return message if belongs and isinstance(message["content"], dict) else None
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):  # malformed, or not signed
            return None

    def alive(self) -> bool:
        """The kernel's process lives, or left something to be read."""
        ended = bool(select.select([self._pidfd], [], [], 0)[0])
        return not ended or bool(self._iopub.poll(0)) or bool(self._shell.poll(0))

    def _address(self, port: str) -> str:
        return f"ipc://{self._connection['ip']}-{self._connection[port]}"

    def close(self) -> None:
        if self._context is not None:
            self._context.destroy(linger=0)
            self._context = None
