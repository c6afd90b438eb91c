"""The bridge across a Unix socket: the trusted end listens, the student's process connects and answers.

The trusted end believes nothing: sizes are checked before anything is read for them, and every wait has an end.
"""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path

from autograder.bridge.student import Student
from autograder.bridge.transport import frame, read_frame
from autograder.bridge.wire import LIMITS, Limits, Message, WireError

_CHUNK = 1 << 20


class Gone(BaseException):
    """The student's side gives no answer: it ended, was ended, or took too long. No test may catch it."""


class SocketTransport:
    """The trusted end: it listens from the start; `accept` the student's process, then exchange messages."""

    def __init__(self, path: Path, *, seconds: float, limits: Limits = LIMITS):
        """`seconds`: the longest that one exchange may take."""
        self._path, self._seconds, self._limits = path, seconds, limits
        self._connection: socket.socket | None = None
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        path.chmod(0o777)  # the folder around it is the sandbox's alone
        self._listener.listen(1)
        self._busy = False

    def accept(self, seconds: float) -> None:
        """Take the student's connection in. Gone when none comes in time."""
        self.hang_up()
        self._listener.settimeout(seconds)
        try:
            self._connection, _ = self._listener.accept()
        except OSError as error:
            raise Gone(f"the student's side did not connect: {error}") from None

    def exchange(self, request: Message) -> Message:
        """One request and its answer. Gone when none comes; WireError when it is malformed, and an end."""
        connection = self._connection
        if connection is None:
            raise Gone("the student's side is not connected")
        if self._busy:
            raise WireError("a request inside a request: the student's side cannot call back")
        self._busy = True
        deadline = time.monotonic() + self._seconds
        try:
            self._send(connection, request, deadline)
            return read_frame(lambda size: self._receive(connection, size, deadline), self._limits)
        except (OSError, EOFError) as error:
            self.hang_up()
            raise Gone(f"the student's side gave no answer: {error or type(error).__name__}") from None
        except WireError:
            self.hang_up()  # where the next message begins is unknown
            raise
        finally:
            self._busy = False

    def _send(self, connection: socket.socket, message: Message, deadline: float) -> None:
        for part in frame(message):
            rest = memoryview(part)
            while rest:
                self._wait(connection, deadline)
                rest = rest[connection.send(rest[: 8 * _CHUNK]) :]

    def _receive(self, connection: socket.socket, size: int, deadline: float) -> bytes:
        """Exactly `size` bytes, which the caller has found to be within the limits. EOFError at an early end."""
        received = bytearray()
        while len(received) < size:
            self._wait(connection, deadline)
            part = connection.recv(min(size - len(received), 8 * _CHUNK))
            if not part:
                raise EOFError("its process ended")
            if len(part) == size:
                return part
            received += part
        return bytes(received)

    def _wait(self, connection: socket.socket, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"it took more than {self._seconds:g} s")
        connection.settimeout(left)

    def hang_up(self) -> None:
        """End the connection; a thread that waits for an answer gets Gone. May be called from any thread."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # closing alone would not wake a thread that reads
            connection.close()

    def close(self) -> None:
        self.hang_up()
        self._listener.close()
        with contextlib.suppress(OSError):
            self._path.unlink()


def serve(student: Student, path: str) -> None:
    """The student's end: connect and answer until the other side closes. Runs where the student's code runs."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        reader = connection.makefile("rb", buffering=1 << 16)
        while True:
            try:
                request = read_frame(reader.read)
            except WireError:
                return  # the other side has closed
            for part in frame(student.answer(request)):
                connection.sendall(part)
