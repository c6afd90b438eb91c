"""A worker whose test cannot be stopped ends itself.

A test that computes in C and lets nobody else in (`10**10**10`, with a student's number) hears no exception and no
signal. A thread of `faulthandler`'s, which needs no Python to run, then ends the process and writes down where it was.
"""

import contextlib
import faulthandler
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_note: IO | None = None  # of the hand-in that this process marks, if it is a worker
_until = 0.0


@contextlib.contextmanager
def watched(note: Path) -> Iterator[None]:
    """Meanwhile `to_end_within` may end this process, and `note` then says where it was."""
    global _note
    with open(note, "w", encoding="utf-8") as _note:
        try:
            yield
        finally:
            _note = None
    note.unlink(missing_ok=True)


@contextlib.contextmanager
def to_end_within(seconds: float) -> Iterator[None]:
    """Ends this process, if it is a worker, when what is inside takes longer."""
    global _until
    if _note is None:
        yield
        return
    _until = time.monotonic() + seconds
    faulthandler.dump_traceback_later(seconds, exit=True, file=_note)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def wait_for_the_end() -> None:
    """When this process is a worker that is of no more use: until it is ended."""
    if _note is not None:
        time.sleep(max(0.0, _until - time.monotonic()) + 60)


def unended(note: Path) -> str | None:
    """The tests cell that a worker which was ended was in; None when it was not ended, or somewhere else."""
    try:
        text = note.read_text("utf-8", "replace")
    except OSError:
        return None
    note.unlink(missing_ok=True)
    cell = re.search(r'File "<(test_\w+)>"', text)
    return cell[1] if cell else None
