"""Executes the book's pages once, for the book and for the tests of what they compute.

A page runs as the book's build runs it, in a kernel and an empty folder of its own, and its outputs go into the build's
cache. What its cells define is kept beside, in `_build/tests/pages`, so that tests can compare it with oracles of their
own. Both are used again until something changes that the cells are, import or read.
"""

import functools
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import nbformat
import page_names
from demo_book import REPOSITORY, builder
from filelock import FileLock
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from myst_nb.core.read import is_myst_markdown_notebook
from nbclient import NotebookClient

sys.path.insert(0, str(REPOSITORY / "book" / "_ext"))

from unmagic_book import execution

KEPT = Path("_build", "tests", "pages")  # below the book's root


def executed(page: str, root: Path = REPOSITORY) -> SimpleNamespace:
    """Of `<page>.md`: `.names`, what its cells define, and `.glued`, the raw values of its numbers."""
    with _alone(root):
        (path,) = execute([page], root)
        return page_names.read(path)


def execute_all(root: Path = REPOSITORY) -> None:
    """Executes the pages of the book that its build would execute, and keeps what they define."""
    pages = builder.pages(root)
    execute((page for page in pages if is_myst_markdown_notebook(_source(page, root).read_text("utf-8"))), root)


def execute(pages: Iterable[str], root: Path) -> list[Path]:
    """The files with what the pages' cells define. Those not yet executed are, two at a time.

    Raises CellExecutionError for a cell that fails, with the page's name.
    """
    keeper = hashlib.sha256(Path(page_names.__file__).read_bytes()).hexdigest()[:8]
    folder = root / KEPT / f"{execution.key(root)}-{keeper}"
    with _alone(root):
        cache = get_cache(str(execution.cache_folder(root)))
        folder.mkdir(exist_ok=True)
        for old in folder.parent.iterdir():
            if old.is_dir() and old != folder:
                shutil.rmtree(old)
        found, running = [], []
        with ThreadPoolExecutor(2) as threads:
            for page in pages:
                source = {"path": str(_source(page, root)), "read_data": {"type": "plugin", "name": "myst_nb_md"}}
                record = cache.add_nb_to_project(**source)
                notebook = cache.get_project_notebook(record.pk).nb
                code = cache.create_hashed_notebook(notebook)[1]
                found.append(folder / f"{code}.pickle")
                in_cache = any(kept.hashkey == code for kept in cache.list_cache_records())
                if not (in_cache and found[-1].exists()):
                    running.append((record.uri, in_cache, threads.submit(_execute, page, notebook, found[-1])))
        for uri, in_cache, done in running:
            if done.exception() is None and not in_cache:
                cache.cache_notebook_bundle(CacheBundleIn(done.result(), uri), check_validity=False)
        for _, _, done in running:
            done.result()
    return found


def _source(page: str, root: Path) -> Path:
    return root / f"{page}.md"


@functools.cache
def _alone(root: Path) -> FileLock:
    """Two test runs in one checkout execute a page once, and take no file from each other."""
    (root / KEPT).mkdir(parents=True, exist_ok=True)
    return FileLock(root / KEPT / ".lock")


class _Client(NotebookClient):
    """Has the kernel ready to keep a page before its first cell, without a cell or a name of its own in the page."""

    async def async_start_new_kernel_client(self):
        client = await super().async_start_new_kernel_client()
        here = str(Path(page_names.__file__).parent)
        client.execute(f"__import__('sys').path.append({here!r}); __import__('page_names').begin()", silent=True)
        return client


def _execute(page: str, notebook: nbformat.NotebookNode, keep: Path) -> nbformat.NotebookNode:
    """The page with its outputs; what its cells define goes into the file `keep`."""
    notebook.cells.append(nbformat.v4.new_code_cell(f"__import__('page_names').keep({str(keep)!r})"))
    with tempfile.TemporaryDirectory() as empty:
        # without times in the cells, which would make them others to the cache
        client = _Client(notebook, timeout=None, record_timing=False, resources={"metadata": {"path": empty}})
        try:
            client.execute(env={**os.environ, "UNMAGIC_BOOK": "1", "PYTHONUTF8": "1"})
        except Exception as error:
            error.add_note(f"in {page}.md")
            raise
    notebook.cells.pop()
    return notebook
