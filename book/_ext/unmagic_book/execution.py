"""When pages are executed: again when code, library, lock file or data changed; not for a change of prose.

jupyter-cache knows a page by its code cells alone. What the cells import and read goes into the name of the cache's
folder.
"""

import hashlib
import os
import platform
import shutil
from pathlib import Path

from jupyter_cache import get_cache
from jupyter_cache.executors import load_executor
from myst_nb.core.read import is_myst_markdown_notebook
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)
KEPT = 3  # caches of earlier keys: a changed library and back again costs nothing


def cells_read(root: Path) -> list[Path]:
    """The files under `root` that a page's cells import or read: the library, the lock file, data beside the pages."""
    files = [root / "requirements.lock"]
    files += (path for path in (root / "unmagic").rglob("*") if "__pycache__" not in path.parts)
    files += (
        path
        for path in (root / "book").rglob("*")
        if path.suffix not in {".md", ".bib", ".py"}
        and not any(part.startswith(("_", ".", "timings")) for part in path.relative_to(root / "book").parts)
    )
    return sorted(path for path in files if path.is_file())


def key(root: Path) -> str:
    """A hash of `cells_read`, names and contents, and of the Python that runs them."""
    digest = hashlib.sha256(platform.python_version().encode())
    for path in cells_read(root):
        content = path.read_bytes()
        digest.update(f"\0{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def cache_folder(root: Path) -> Path:
    """The cache of the present key; old ones are removed."""
    caches = root / "_build" / "book" / "executed"
    cache = caches / key(root)
    cache.mkdir(parents=True, exist_ok=True)
    os.utime(cache)
    for old in sorted(caches.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    return cache


def choose_cache(app, config) -> None:
    config.nb_execution_cache_path = str(cache_folder(Path(app.srcdir)))


def execute_side_by_side(app, env, docnames) -> None:
    """Fill the cache with several processes; Sphinx runs one page after the other, and tells what failed."""
    config = env.mystnb_config
    if config.execution_mode != "cache":
        return
    pages = [Path(env.doc2path(name)) for name in docnames]
    pages = [page for page in pages if page.suffix == ".md" and is_myst_markdown_notebook(page.read_text("utf-8"))]
    cache = get_cache(config.execution_cache_path)
    for page in pages:
        cache.add_nb_to_project(str(page), read_data={"type": "plugin", "name": "myst_nb_md"})
    waiting = cache.list_unexecuted(filter_uris=[str(page) for page in pages])
    if len(waiting) < 2:
        return
    LOGGER.info("executing %d pages side by side", len(waiting))
    executor = load_executor("temp-parallel", cache)
    executor.run_and_cache(filter_uris=[record.uri for record in waiting], timeout=config.execution_timeout)


def setup(app):
    os.environ["UNMAGIC_BOOK"] = "1"  # figures then give static mark-up: see DESIGN.md, "A page"
    app.connect("config-inited", choose_cache)
    app.connect("env-before-read-docs", execute_side_by_side)
