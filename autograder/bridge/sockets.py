"""The bridge across a Unix socket: the trusted end listens, the student's process connects and answers.

The trusted end believes nothing: sizes are checked before anything is read for them, and every wait has an end.
"""

from __future__ import annotations

import contextlib
import io
import socket
import time
from collections.abc import Callable
from pathlib import Path

from autograder.bridge.student import Student
from autograder.bridge.transport import frame, read_frame
from autograder.bridge.wire import LARGE, LIMITS, Limits, Message, WireError, room

_CHUNK = 1 << 20


class Gone(BaseException):
    """The student's side gives no answer: it ended, was ended, or took too long. No test may catch it."""


class SocketTransport:
    """The trusted end: it listens from the start; `accept` the student's process, then exchange messages."""

    def __init__(self, path: Path, *, seconds: float, limits: Limits = LIMITS, most: int = 1 << 30):
        """`seconds`: the longest that one exchange may take. `most`: bytes that one connection may bring in all: what
        a test keeps of them (`list` of an endless iterator) lies in this process."""
        self._path, self._seconds, self._limits = path, seconds, limits
        self._most, self._received = most, 0
        self._connection: socket.socket | None = None
        self._given_up = False
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        path.chmod(0o777)  # the folder around it is the sandbox's alone
        self._listener.listen(1)
        self._busy = False

    def expect(self) -> None:
        """Let the next connection be the one, before the student's process is asked to connect."""
        self.hang_up()  # also those that a thread of the student's opened since
        self._given_up, self._received = False, 0

    def accept(self, seconds: float) -> None:
        """Take the expected connection in. Gone when none comes in time, or `hang_up` is called meanwhile."""
        deadline = time.monotonic() + seconds
        self._listener.settimeout(0.05)
        while not self._given_up and time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError, BlockingIOError):  # the latter: `hang_up` of another thread
                self._connection, _ = self._listener.accept()
                return
        raise Gone("the student's side did not connect")

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
            answer = read_frame(_reading(self._reader(connection, deadline)), self._limits)
            # a header's bytes become objects, which are several times their size
            self._received += 8 * len(answer.header) + len(answer.body)
            if self._received > self._most:
                raise WireError(f"in one test, answers of more than {self._most >> 20} MiB")
            return answer
        except (OSError, EOFError) as error:
            self.hang_up()
            raise Gone(f"the student's side gave no answer: {error or type(error).__name__}") from None
        except WireError:
            self.hang_up()  # where the next message begins is unknown
            raise
        finally:
            self._busy = False

    def _send(self, connection: socket.socket, message: Message, deadline: float) -> None:
        for piece in _pieces(message):
            rest = memoryview(piece)
            while rest:
                self._wait(connection, deadline)
                rest = rest[connection.send(rest[: 8 * _CHUNK]) :]

    def _reader(self, connection: socket.socket, deadline: float) -> io.BufferedReader:
        """Reads one answer, a large part of it without a copy; what comes after the answer is dropped unread."""
        return io.BufferedReader(_Reader(connection, lambda: self._wait(connection, deadline)), 1 << 16)

    def _wait(self, connection: socket.socket, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"it took more than {self._seconds:g} s")
        connection.settimeout(left)

    def hang_up(self) -> None:
        """End the connection, and those in wait; a thread that waits for one or for an answer gets Gone.

        May be called from any thread.
        """
        self._given_up = True
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # closing alone would not wake a thread that reads
            connection.close()
        # the backlog: when a thread of the student's came first, the kernel itself is in it and waits to be sent away
        self._listener.setblocking(False)
        with contextlib.suppress(OSError):
            for _ in range(100):
                self._listener.accept()[0].close()

    def close(self) -> None:
        self.hang_up()
        self._listener.close()
        with contextlib.suppress(OSError):
            self._path.unlink()


class _Reader(io.RawIOBase):
    """A connection as a file whose end is an error: EOFError. `wait` is called before every read."""

    def __init__(self, connection: socket.socket, wait: Callable[[], None]):
        self._connection, self._wait = connection, wait

    def readable(self) -> bool:
        return True

    def readinto(self, room: memoryview) -> int:
        self._wait()
        count = self._connection.recv_into(room)
        if not count:
            raise EOFError("its process ended")
        return count


def serve(student: Student, path: str) -> None:
    """The student's end: connect and answer until the other side closes. Runs where the student's code runs."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        reader = connection.makefile("rb", buffering=1 << 16)
        with contextlib.suppress(WireError, ConnectionError):  # the other side has closed
            while True:
                for piece in _pieces(student.answer(read_frame(_reading(reader)))):
                    connection.sendall(piece)


def _pieces(message: Message) -> list[bytes | memoryview]:
    """A frame as it is sent: in one piece, but for a body that it would take long to copy."""
    prefix, header, body = frame(message)
    return [prefix + header, body] if len(body) >= LARGE else [b"".join((prefix, header, body))]


def _reading(file: io.BufferedReader) -> Callable[[int], bytes | memoryview]:
    """`read` for `read_frame`: what is large comes straight from the socket into memory that nothing else uses."""

    def read(size: int) -> bytes | memoryview:
        if size < LARGE:
            return file.read(size)
        whole, got = room(size), 0
        while got < size and (count := file.readinto(whole[got:])):
            got += count
        return whole[:got]

    return read
