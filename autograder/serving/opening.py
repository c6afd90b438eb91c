"""Opening a lab: the released notebook is copied into the student's `work/`, and never over anything that is there."""

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

_RECORD = ".release.json"  # beside the student's copy: which releases were laid there


class UnknownLab(LookupError):
    """No released lab of that name."""


@dataclass(frozen=True)
class OpenedLab:
    """Where the student's copy is, and what happened."""

    notebook: Path  # the student's own copy
    copied: bool  # it was made just now
    newer: Path | None = None  # a newer release that was laid beside it just now


def open_lab(lab: str, labs: Path, work: Path) -> OpenedLab:
    """Make sure `work/LAB/LAB.ipynb` exists; lay a newer release beside it under another name.

    A file that exists is never written to, whoever made it. Raises UnknownLab with the labs there are.
    """
    known = sorted(path.parent.name for path in labs.glob("*/*.ipynb") if path.stem == path.parent.name)
    if lab not in known:
        raise UnknownLab(f"There is no lab {lab!r} in {labs.name}/. Released labs: {', '.join(known) or 'none yet'}.")
    released = (labs / lab / f"{lab}.ipynb").read_bytes()
    digest = hashlib.sha256(released).hexdigest()
    folder = work / lab
    folder.mkdir(parents=True, exist_ok=True)
    notebook = folder / f"{lab}.ipynb"
    seen = _read_record(folder / _RECORD)

    if _create(notebook, released):
        _write_record(folder / _RECORD, [*seen, digest])
        _copy_companions(labs / lab, folder, but=f"{lab}.ipynb")
        return OpenedLab(notebook, copied=True)
    if digest in seen or hashlib.sha256(notebook.read_bytes()).hexdigest() == digest:
        return OpenedLab(notebook, copied=False)
    newer = folder / f"{lab} (release {digest[:8]}).ipynb"
    laid = _create(newer, released)
    _write_record(folder / _RECORD, [*seen, digest])
    _copy_companions(labs / lab, folder, but=f"{lab}.ipynb")
    return OpenedLab(notebook, copied=False, newer=newer if laid else None)


def _create(path: Path, content: bytes) -> bool:
    """Write a new file whole, or nothing at all: False if `path` exists (checked by the link itself, so no race)."""
    if path.exists():
        return False
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".laying-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        os.unlink(temporary)
    return True


def _copy_companions(source: Path, target: Path, but: str) -> None:
    """Data files of the lab, where they are not there yet."""
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if path.is_file() and str(relative) != but:
            (target / relative).parent.mkdir(parents=True, exist_ok=True)
            _create(target / relative, path.read_bytes())


def _read_record(path: Path) -> list[str]:
    try:
        laid = json.loads(path.read_text())["laid"]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # no record, or not ours: the worst that follows is one more copy beside the student's
    return [str(digest) for digest in laid] if isinstance(laid, list) else []


def _write_record(path: Path, laid: list[str]) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps({"laid": laid}) + "\n")
    os.replace(temporary, path)
