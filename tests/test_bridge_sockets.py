"""The bridge across a socket: who is taken in, how much crosses, and how an answer that never comes ends."""

import socket
import threading
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch

from autograder.bridge import Bridge, SharedNames, Student, encode
from autograder.bridge.sockets import Gone, SocketTransport, serve
from autograder.bridge.transport import PREFIX, frame


class Counting(SocketTransport):
    """Counts bytes out, and the calls that brought bytes in."""

    sent = 0

    def _send(self, connection, message, deadline):
        self.sent += sum(map(len, frame(message)))
        super()._send(connection, message, deadline)


@pytest.fixture
def transport(tmp_path):
    made = Counting(tmp_path / "bridge", seconds=20)
    yield made
    made.close()


def student(transport, **names) -> threading.Thread:
    thread = threading.Thread(target=serve, args=(Student(names, SharedNames({})), str(transport._path)), daemon=True)
    thread.start()
    return thread


def connected(transport) -> socket.socket:
    raw = socket.socket(socket.AF_UNIX)
    transport.expect()
    raw.connect(str(transport._path))
    transport.accept(20)
    return raw


class TestWhoIsTakenIn:
    def test_one_that_connects_before_accept_is_called(self, transport):
        """The kernel may be faster than the thread that waits for it."""
        transport.expect()
        student(transport, f=lambda x: x + 1)
        deadline = time.monotonic() + 20
        while not _in_wait(transport._path) and time.monotonic() < deadline:
            time.sleep(0.01)
        transport.accept(20)
        assert Bridge(transport, SharedNames({})).get("f")(1) == 2

    def test_none_of_those_that_connected_unasked(self, transport):
        early = socket.socket(socket.AF_UNIX)
        early.connect(str(transport._path))
        transport.expect()
        with pytest.raises(Gone):
            transport.accept(0.2)
        assert early.recv(1) == b""  # sent away

    def test_none_after_hanging_up(self, transport):
        transport.expect()
        transport.hang_up()
        with pytest.raises(Gone):
            transport.accept(20)


class TestHowMuchCrosses:
    def test_a_tensor_crosses_once_each_way_and_unchanged(self, transport):
        transport.expect()
        student(transport, g=lambda x: x)
        transport.accept(20)
        g = Bridge(transport, SharedNames({})).get("g")
        x = torch.randn(1 << 18, generator=torch.Generator().manual_seed(0))  # 1 MiB
        before_out, before_in = transport.sent, transport._received
        assert torch.equal(g(x), x)
        assert 1 << 20 <= transport.sent - before_out < (1 << 20) + 2000
        assert 1 << 20 <= transport._received - before_in < (1 << 20) + 4000

    @pytest.mark.parametrize("dtype", [torch.bool, torch.bfloat16, torch.float8_e5m2, torch.float32, torch.int64])
    def test_a_body_is_what_safetensors_reads(self, dtype):
        tensors = [
            torch.arange(6).reshape(2, 3).to(dtype),
            torch.ones((), dtype=dtype),
            torch.ones((0, 3), dtype=dtype),
        ]
        read = safetensors.torch.load(encode(tensors).body)
        for number, tensor in enumerate(tensors):
            found = read[str(number)]
            assert (found.dtype, found.shape) == (tensor.dtype, tensor.shape)
            assert torch.equal(found.reshape(-1).view(torch.uint8), tensor.reshape(-1).view(torch.uint8))


class TestAnAnswerThatNeverComes:
    def test_an_end_in_the_middle_is_gone(self, transport):
        raw = connected(transport)
        answer = PREFIX.pack(b"UNMG", 1, 10, 1 << 20) + b"0123456789" + bytes(1000)

        def end_early():
            raw.recv(1000)  # what is unread at the end would be another error
            raw.sendall(answer)
            raw.close()

        threading.Thread(target=end_early).start()
        with pytest.raises(Gone, match="its process ended"):
            transport.exchange(encode(1))

    def test_one_byte_at_a_time_does_not_outlast_the_time_an_exchange_has(self, transport):
        transport._seconds = 0.5
        raw, stop = connected(transport), threading.Event()

        def drip():
            raw.sendall(PREFIX.pack(b"UNMG", 1, 10, 1 << 20) + b"0123456789")
            while not stop.wait(0.05):
                try:
                    raw.sendall(b"x")
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            with pytest.raises(Gone):
                transport.exchange(encode(1))
        finally:
            stop.set()
            thread.join()
            raw.close()


def _in_wait(path: Path) -> bool:
    """Whether a connection to the socket waits to be accepted: the kernel lists it with that path, not as listening."""
    rows = [row.split() for row in Path("/proc/net/unix").read_text().splitlines() if row.endswith(str(path))]
    return any(row[3] != "00010000" for row in rows)
