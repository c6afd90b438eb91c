"""`make book`: builds the book into `_build/book/html`.

Jupyter Book builds on a clean tree, where a warning or a failing cell is an error, and the result takes the place of
the last good book only when all went well. When nothing that goes into the book has changed, nothing is built. Executed
pages are kept in `_build/book/executed` (_ext/unmagic_book/execution.py says when they are executed again).
"""

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from filelock import FileLock

ROOT = Path(__file__).resolve().parent.parent


class BuildError(Exception):
    """The book could not be built; holds what Jupyter Book said."""


def sources(root: Path) -> list[Path]:
    """Every file that goes into the book."""
    folders = [root / "book", root / "unmagic", root / "labs"]
    files = [root / name for name in ("_config.yml", "_toc.yml", "requirements.lock")]
    files += [path for folder in folders for path in folder.rglob("*") if "__pycache__" not in path.parts]
    return sorted(path for path in files if path.is_file())


def fingerprint(root: Path) -> str:
    """A hash of all sources and of the Python that builds."""
    digest = hashlib.sha256(platform.python_version().encode())
    for path in sources(root):
        content = path.read_bytes()
        digest.update(f"\0{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def build(root: Path = ROOT, *, force: bool = False) -> tuple[Path, bool]:
    """Builds if anything changed, or if `force`. Gives the folder of the book and whether it was built anew.

    Raises BuildError with Jupyter Book's output; the last good book then stays where it is.
    """
    home = root / "_build" / "book"
    home.mkdir(parents=True, exist_ok=True)
    final, before, stamp = home / "html", home / ".before", home / "built-from"
    with FileLock(home / ".lock"):
        if not final.exists() and before.exists():  # a build was killed between the two renames below
            before.rename(final)
        wanted = fingerprint(root)
        if not force and final.exists() and stamp.exists() and stamp.read_text() == wanted:
            return final, False
        work = home / ".work"
        shutil.rmtree(work, ignore_errors=True)
        html = _run_jupyter_book(root, work)
        stamp.unlink(missing_ok=True)
        shutil.rmtree(before, ignore_errors=True)
        if final.exists():
            final.rename(before)
        html.rename(final)
        stamp.write_text(wanted)
        shutil.rmtree(before, ignore_errors=True)
        shutil.rmtree(work, ignore_errors=True)
    return final, True


def _run_jupyter_book(root: Path, work: Path) -> Path:
    """The HTML of a build on a clean tree: an incremental one after a failure would exit with 0."""
    jupyter_book = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    done = subprocess.run(
        [*jupyter_book, "build", str(root), "--path-output", str(work), "-W", "-n", "--keep-going", "--quiet"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace", check=False,
        env={**os.environ, "UNMAGIC_BOOK": "1", "PYTHONUTF8": "1"},
    )  # fmt: skip
    html = work / "_build" / "html"
    missing = [page for page in pages(root) if not (html / f"{page}.html").exists()]
    if done.returncode or missing:
        reports = sorted((html / "reports").rglob("*.log"))
        told = "\n".join([done.stdout, *(f"--- {path.name}\n{path.read_text('utf-8')}" for path in reports)])
        lacking = f"\nNot built: {', '.join(missing)}" if missing else ""
        raise BuildError(f"{told}{lacking}\nThe book was not built (exit code {done.returncode}).")
    return html


def pages(root: Path) -> list[str]:
    """The pages that _toc.yml names, without their suffix."""
    toc = yaml.safe_load((root / "_toc.yml").read_text("utf-8"))
    chapters = [chapter for part in toc.get("parts", []) for chapter in part["chapters"]]
    return [toc["root"], *(chapter["file"] for chapter in chapters)]


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the book into _build/book/html.")
    parser.add_argument(
        "--force", action="store_true", help="build even if nothing changed (executed pages are still kept)"
    )
    force = parser.parse_args().force
    try:
        html, anew = build(force=force)
    except BuildError as error:
        print(error, file=sys.stderr)
        print("The last good book, if there was one, is still there.", file=sys.stderr)
        return 1
    print(
        "The book is built:" if anew else "The book is as it was built, nothing changed:",
        os.path.relpath(html / "index.html"),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
