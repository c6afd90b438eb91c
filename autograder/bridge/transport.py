"""Moves messages between the two sides: one request, one answer, one at a time.

A frame is a prefix (magic, version, sizes of header and body), then the header, then the body. Sizes are checked when
the prefix is there, before anything is read or allocated for the rest.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from autograder.bridge.codec import LIMITS, Limits, Message, WireError

MAGIC = b"UNMG"
VERSION = 1
PREFIX = struct.Struct(">4sHIQ")  # magic, version, header bytes, body bytes


def frame(message: Message) -> tuple[bytes, bytes, bytes]:
    """A message as what is written, in this order. The parts are not joined: a body may be large."""
    return PREFIX.pack(MAGIC, VERSION, len(message.header), len(message.body)), message.header, message.body


def read_frame(read: Callable[[int], bytes], limits: Limits = LIMITS) -> Message:
    """The next message. `read(n)` gives n bytes, or fewer when there are no more.

    WireError for a wrong prefix, for sizes above the limits, and for an end before the end.
    """
    prefix = read(PREFIX.size)
    if len(prefix) != PREFIX.size:
        raise WireError(f"the other side ended: {len(prefix)} of {PREFIX.size} bytes of a message's prefix came")
    magic, version, header_size, body_size = PREFIX.unpack(prefix)
    if magic != MAGIC or version != VERSION:
        raise WireError(f"found magic {magic!r} and version {version}; wanted {MAGIC!r} and {VERSION}")
    if header_size > limits.header or header_size + body_size > limits.total:
        raise WireError(f"a message of {header_size} + {body_size} bytes; at most {limits.total} may cross")
    parts = []
    for size in (header_size, body_size):
        parts.append(read(size) if size else b"")
        if len(parts[-1]) != size:
            raise WireError(f"the other side ended: {len(parts[-1])} of {size} bytes came")
    return Message(*parts)


class Transport(Protocol):
    """What the trusted side needs of a way to the student's side."""

    def exchange(self, request: Message) -> Message:
        """Sends a request, waits, returns the answer. WireError when no answer can come."""
        ...


class InProcess:
    """Both sides in one process, for authors: every message still goes through its bytes, both ways.

    `answer` is the student's end, `inside()` a context that is entered while it works.
    """

    def __init__(
        self,
        answer: Callable[[Message], Message],
        inside: Callable[[], AbstractContextManager] = nullcontext,
        limits: Limits = LIMITS,
    ):
        self._answer, self._inside, self._limits = answer, inside, limits
        self._busy = False

    def exchange(self, request: Message) -> Message:
        if self._busy:
            raise WireError("a request inside a request: the student's side cannot call back")
        self._busy = True
        try:
            received = self._across(request)
            with self._inside():
                answer = self._answer(received)
            return self._across(answer)
        finally:
            self._busy = False

    def _across(self, message: Message) -> Message:
        parts = iter(frame(message))  # read as they were written, so that a large body is not copied for nothing
        return read_frame(lambda size: next(parts, b"") if size else b"", self._limits)
