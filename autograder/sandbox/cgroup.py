"""One control group a sandbox: a cap on the memory and the processes of a hand-in altogether.

Works where a cgroup is writable: version 1 (folders `memory` and `pids`) or version 2, as root or in a folder that was
delegated to the user. Elsewhere `make` returns None, the caller says so loudly, and a supervising check stands in.
"""

import contextlib
import time
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")


class ControlGroup:
    """Folders of one control group (of version 1: memory, pids, perhaps cpu).

    Use `make`, `enter(pid)`, and `close()` when the processes are gone.
    """

    def __init__(self, folders: list[Path], version: int):
        self._folders, self.version = folders, version

    @classmethod
    def make(cls, name: str, memory_mb: int, processes: int) -> "ControlGroup | None":
        """A group `name` with its limits set; None where no control group can be written."""
        group = cls._make_v2(name, memory_mb, processes) or cls._make_v1(name, memory_mb, processes)
        return group

    @classmethod
    def _make_v2(cls, name: str, memory_mb: int, processes: int) -> "ControlGroup | None":
        if not (_ROOT / "cgroup.controllers").exists():
            return None
        for parent in _places_v2():
            folder = parent / name
            try:
                if not {"memory", "pids"} <= set((parent / "cgroup.subtree_control").read_text().split()):
                    (parent / "cgroup.subtree_control").write_text("+memory +pids")
                with contextlib.suppress(OSError):  # a fair share: many busy processes count as one hand-in
                    (parent / "cgroup.subtree_control").write_text("+cpu")
                folder.mkdir()
                (folder / "memory.max").write_text(str(memory_mb << 20))
                (folder / "pids.max").write_text(str(processes))
            except OSError:
                with contextlib.suppress(OSError):
                    folder.rmdir()
                continue
            with contextlib.suppress(OSError):
                (folder / "memory.swap.max").write_text("0")  # absent where there is no swap accounting
            return cls([folder], version=2)
        return None

    @classmethod
    def _make_v1(cls, name: str, memory_mb: int, processes: int) -> "ControlGroup | None":
        folders: list[Path] = []
        wanted = (("memory", "memory.limit_in_bytes", memory_mb << 20), ("pids", "pids.max", processes))
        try:
            for controller, file, value in wanted:
                folder = _ROOT / controller / name
                folder.mkdir()
                folders.append(folder)
                (folder / file).write_text(str(value))
        except OSError:
            for folder in folders:
                with contextlib.suppress(OSError):
                    folder.rmdir()
            return None
        with contextlib.suppress(OSError):  # no limit, but a fair share: many busy processes count as one hand-in
            (_ROOT / "cpu" / name).mkdir()
            folders.append(_ROOT / "cpu" / name)
        return cls(folders, version=1)

    def enter(self, pid: int) -> None:
        """Put the process `pid` (as this process sees it) and all it will start into the group."""
        for folder in self._folders:
            (folder / "cgroup.procs").write_text(str(pid))

    def killed_for_memory(self) -> bool:
        """True when the kernel ended a process of the group because its memory was used up."""
        file = "memory.events" if self.version == 2 else "memory.oom_control"
        with contextlib.suppress(OSError, ValueError):
            rows = (line.split() for line in (self._folders[0] / file).read_text().splitlines())
            return int(dict(rows).get("oom_kill", 0)) > 0
        return False

    def refused_a_process(self) -> bool:
        """True when a process or thread could not be started because there were too many."""
        folder = self._folders[1 if self.version == 1 else 0]
        with contextlib.suppress(OSError, ValueError):
            rows = (line.split() for line in (folder / "pids.events").read_text().splitlines())
            return int(dict(rows).get("max", 0)) > 0
        return False

    def close(self) -> None:
        """Remove the group. Its processes must be ending: waits up to a second for the last to go."""
        for folder in self._folders:
            for _ in range(100):
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    pass
                except OSError:
                    time.sleep(0.01)
                    continue
                break
        self._folders = []


def _places_v2() -> list[Path]:
    """Where a group may be made: below our own, or beside it, since one that holds processes may not hand controllers
    down."""
    rows = Path("/proc/self/cgroup").read_text().splitlines()
    own = next((row[3:].strip().lstrip("/") for row in rows if row.startswith("0::")), "")
    return [_ROOT / own, (_ROOT / own).parent] if own else [_ROOT]


def leftovers(prefix: str) -> list[Path]:
    """Groups whose name begins with `prefix`, where `make` would put one."""
    places = [_ROOT / "memory", _ROOT / "pids", _ROOT / "cpu"]
    if (_ROOT / "cgroup.controllers").exists():
        places = _places_v2()
    return [path for place in places for path in place.glob(f"{prefix}*") if path.is_dir()]
