"""Runs code in the sandbox the way a hand-in's cells run."""

import os

import nbformat
import pytest
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError

from autograder.sandbox.client import WarmParent
from autograder.sandbox.kernels import kernel_manager
from autograder.sandbox.limits import Limits
from autograder.sandbox.walls import NoSandbox


@pytest.fixture(scope="session", params=["warm", pytest.param("cold", marks=pytest.mark.slow)])
def parent(request):
    """One parent of kernels, in its walls."""
    try:
        made = WarmParent(
            index=os.getpid() % 1000 + 1, cold=request.param == "cold"
        )  # not the grader's own, of this process
    except NoSandbox as error:
        pytest.skip(f"this machine makes no sandbox: {error}")
    with made:
        yield made


class Ran:
    """What a notebook of the sandbox printed, and why it was ended, when it was."""

    def __init__(self, cells, reason):
        self.texts = [
            "".join(o.get("text", "") or "\n".join(o.get("traceback", [])) for o in cell.outputs) for cell in cells
        ]
        self.cells, self.reason = cells, reason

    @property
    def text(self) -> str:
        return "\n".join(self.texts)


@pytest.fixture
def run(parent, tmp_path):
    """`run(cell, cell, …, limits=Limits(…))` executes cells in a new sandbox and gives a `Ran`."""

    def run_cells(*sources: str, limits: Limits | None = None, timeout: float = 60) -> Ran:
        manager = kernel_manager(parent, limits or Limits(), manager_class=AsyncKernelManager)
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
        client = NotebookClient(notebook, km=manager, timeout=timeout, allow_errors=True, shutdown_kernel="immediate")
        died = False
        try:
            client.execute(cwd=str(tmp_path))
        except DeadKernelError:
            died = True
        slot = manager.provisioner.slot
        slot.close()
        return Ran(notebook.cells, slot.reason or ("died" if died else ""))

    return run_cells
