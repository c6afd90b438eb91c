"""A class's folder: where hand-ins lie, where results go, the lock that keeps writers apart, the secret seed."""

import contextlib
import datetime
import getpass
import hashlib
import json
import os
import platform
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from nbgrader.utils import parse_utc

from autograder.errors import AutograderError
from autograder.files import write_atomically

SAMPLE_MARK = "sample-class.json"  # what `python -m autograder.sample` leaves in a class that it made
MAX_NAME = 128  # characters of a student's name that nbgrader's gradebook can hold


@dataclass(frozen=True)
class Folder:
    """One student's hand-in: the student's name, and the folder that was handed in."""

    student: str
    path: Path


class Classroom:
    """The folders of a class; DESIGN.md ("A class") lists them.

    Args:
        root: the class folder.
        gradebook_url: where nbgrader's database is, as SQLAlchemy writes it; `gradebook.db` in the folder if not given.

    Raises:
        AutograderError: the folder does not exist, is no folder, or cannot be written.
    """

    def __init__(self, root: Path, gradebook_url: str = ""):
        self.root = Path(root).absolute()
        if not self.root.is_dir():
            what = "a file" if self.root.exists() else "nothing"
            raise AutograderError(
                f"found {what} at {self.root}; wanted a class folder.\n"
                "  Next: name it with --class DIR. Hand-ins lie in DIR/submitted/NAME/LAB/LAB.ipynb."
            )
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise AutograderError(f"found that {self.root} cannot be written; wanted to keep results there.")
        self.gradebook_url = gradebook_url or f"sqlite:///{self.root / 'gradebook.db'}"

    @property
    def is_sample(self) -> bool:
        """Made by our own script: its hand-ins are ours."""
        return (self.root / SAMPLE_MARK).is_file()

    def result(self, lab: str, student: str) -> Path:
        return self.root / "results" / lab / f"{student}.json"

    def graded(self, lab: str, student: str) -> Path:
        """The notebook that formgrader shows."""
        return self.root / "graded" / student / lab / f"{lab}.ipynb"

    def feedback(self, lab: str, student: str) -> Path:
        return self.root / "feedback" / student / f"{lab}.html"

    def reports(self, lab: str) -> Path:
        """Where `grades.csv`, `report.html` and exports go."""
        return self.root / lab

    def handins(self, lab: str) -> list[Folder]:
        """Every student's hand-in for a lab, by name.

        Raises:
            AutograderError: there is no folder `submitted`, no hand-in for the lab, or a name too long for a gradebook.
        """
        submitted = self.root / "submitted"
        if not submitted.is_dir():
            raise AutograderError(
                f"found no folder {submitted}; wanted hand-ins in it.\n"
                f"  Next: put each student's notebook at submitted/NAME/{lab}/{lab}.ipynb."
            )
        students = [p for p in submitted.iterdir() if p.is_dir() and not p.name.startswith(".")]
        students.sort(key=lambda p: (p.name.casefold(), p.name))
        found = [Folder(p.name, p / lab) for p in students if os.path.lexists(p / lab)]
        if not found:
            labs = sorted({q.name for p in students for q in p.iterdir() if q.is_dir()})
            there = f"hand-ins for {', '.join(labs)} only" if labs else "no hand-ins at all"
            raise AutograderError(
                f"found {there} in {submitted}; wanted hand-ins for {lab!r}.\n"
                f"  Next: put each student's notebook at submitted/NAME/{lab}/{lab}.ipynb."
            )
        for folder in found:
            if len(folder.student) > MAX_NAME or _unprintable(folder.student):
                raise AutograderError(
                    f"found the student's folder {folder.student[:60]!r}; wanted a name of at most {MAX_NAME}"
                    " characters, all of them printable, for the gradebook.\n  Next: rename the folder."
                )
        return found

    def timestamp(self, lab: str, student: str) -> datetime.datetime | None:
        """When nbgrader's `timestamp.txt` beside a hand-in says it was handed in: UTC, without a time zone, as nbgrader
        keeps it. None without one.

        Raises:
            ValueError: it is there, and is no date and time; the message says what it holds.
        """
        path = self.root / "submitted" / student / lab / "timestamp.txt"
        if not path.is_file() or path.is_symlink():
            return None
        text = path.read_text("utf-8", "replace")[:200].strip()
        try:
            return parse_utc(text) if text else None
        except (ValueError, OverflowError):
            raise ValueError(
                f"found {text[:60]!r} in {path}; wanted a date and time such as 2026-03-01 18:00:00 UTC. Nothing"
                " is known about lateness."
            ) from None

    @contextlib.contextmanager
    def lock(self, wait: bool = False) -> Iterator[None]:
        """Held by whoever writes this class's results and gradebook. It is free as soon as its holder has ended.

        Raises:
            AutograderError: somebody else holds it (and `wait` is False); says who.
        """
        lock = FileLock(self.root / "gradebook.lock")
        holder = self.root / "gradebook.holder.json"
        try:
            lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            raise AutograderError(
                f"found that {_holder(holder)} is writing the grades of {self.root} right now; wanted to be the only"
                " one.\n  Next: wait until that has ended and start again, or say --wait."
            ) from None
        try:
            about = {
                "pid": os.getpid(),
                "user": _user(),
                "host": platform.node(),
                "since": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
            }
            write_atomically(holder, json.dumps(about).encode())
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()

    def seed(self, lab: str, *, fresh: bool = False, value: str | None = None) -> str:
        """The class's secret for a lab's hidden tests: drawn once, kept in `seed` (mode 0600), beside the gradebook.

        Args:
            fresh: draw a new one.
            value: set it to this.
        """
        path = self.root / "seed"
        try:
            seeds = json.loads(path.read_text("utf-8")) if path.exists() else {}
            if not isinstance(seeds, dict) or not all(isinstance(s, str) and s for s in seeds.values()):
                raise ValueError("it is no table of labs and seeds")
        except (ValueError, OSError) as error:
            raise AutograderError(
                f"found that {path} cannot be used ({error}); wanted the class's seeds.\n"
                "  Next: mend it, or remove it: then a new seed is drawn and every hand-in is graded anew."
            ) from None
        if value is not None or fresh or lab not in seeds:
            seeds[lab] = value if value is not None else secrets.token_hex(16)
            _write_secret(path, json.dumps(seeds, indent=1, sort_keys=True) + "\n")
        return seeds[lab]

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for kernels, with a path short enough for sockets; what a killed run left there is removed first.

        Only for the holder of the lock.
        """
        name = hashlib.sha256(str(self.root.resolve()).encode()).hexdigest()[:12]
        path = Path(tempfile.gettempdir()) / f"autograder-{os.getuid()}-{name}"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(mode=0o700)  # fails if somebody else put something there
        if path.stat().st_uid != os.getuid() or stat.S_IMODE(path.stat().st_mode) != 0o700:
            raise AutograderError(f"found that {path} is not ours alone; wanted a private folder there.")
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


def _write_secret(path: Path, text: str) -> None:
    """Like `write_atomically`, but never readable by others, not for a moment."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".seed.")  # mode 0600
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)


def _unprintable(name: str) -> bool:
    return not name.isprintable() or any("\ud800" <= c <= "\udfff" for c in name)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())


def _holder(path: Path) -> str:
    try:
        about = json.loads(path.read_text("utf-8"))
        return f"{about['user']} (process {about['pid']} on {about['host']}, since {about['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
