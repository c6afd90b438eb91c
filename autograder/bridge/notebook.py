"""The student's end of the bridge inside a Jupyter kernel: answers about the notebook's own namespace."""

from __future__ import annotations

import hashlib
import linecache
from collections.abc import Mapping
from typing import Any

from autograder.bridge.names import SharedNames
from autograder.bridge.sockets import serve
from autograder.bridge.student import Student

_students: dict[str, Student] = {}  # what was handed out by one tests cell may be asked about by the next


class _Setup(Mapping):
    """What the notebook's set-up cells defined, as it stands."""

    def __init__(self, namespace: dict[str, Any], names: frozenset[str]):
        self._namespace, self._names = namespace, names

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        return self._namespace[name]

    def __iter__(self):
        return (name for name in self._names if name in self._namespace)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class _NotebookStudent(Student):
    """A frame's file is named by the SHA-256 of its text: the trusted side knows the hand-in's cells by theirs."""

    def frames(self, error: BaseException) -> list[tuple[str, int, str, str]]:
        return [
            (hashlib.sha256("".join(linecache.getlines(file)).encode()).hexdigest(), line, function, text)
            for file, line, function, text in super().frames(error)
        ]


def answer(shell: Any, path: str, setup_names: list[str], seed: int) -> None:
    """Answer the examiner at the socket `path` until it has no more questions.

    `shell`: IPython's. `setup_names`: what crosses by name. `seed`: for the global random numbers, so that a tests cell
    finds the same ones whatever ran before.
    """
    from unmagic.seeding import seed_everything

    seed_everything(seed)
    if path not in _students:
        shared = SharedNames(_Setup(shell.user_ns, frozenset(setup_names)))
        is_cell = lambda file: "ipykernel_" in file or file.startswith("<ipython-input")  # noqa: E731
        _students[path] = _NotebookStudent(shell.user_ns, shared, is_own_file=is_cell)
    serve(_students[path], path)
