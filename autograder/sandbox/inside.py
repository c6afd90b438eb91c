"""The kernel itself, when its walls stand: Jupyter's, on sockets that it can no longer replace.

A warm kernel calls `run_kernel`; a cold one is started as `python -m autograder.sandbox.inside CONNECTION_FILE`.
"""

import os
import sys
import time
from pathlib import Path

_OPTIONS = ("--HistoryManager.enabled=False", "--InteractiveShell.colors=nocolor")
_SEAL_S = 30.0


def run_kernel(connection_file: str) -> None:
    """Bind the sockets, wait until their folder is sealed, then serve. Does not come back."""
    from ipykernel.kernelapp import IPKernelApp

    app = IPKernelApp.instance()
    app.initialize(["-f", connection_file, *_OPTIONS])
    if "matplotlib.pyplot" in sys.modules:  # it came before the shell: the environment variable alone is too late
        app.shell.enable_matplotlib("inline")
    _wait_for_seal(Path(connection_file).parent)
    app.start()
    os._exit(0)


def _wait_for_seal(folder: Path) -> None:
    """No cell runs before the folder of the sockets is read-only: it could put links in their place."""
    end = time.monotonic() + _SEAL_S
    while not os.statvfs(folder).f_flag & os.ST_RDONLY:
        if time.monotonic() > end:
            os._exit(1)
        time.sleep(0.001)


if __name__ == "__main__":
    run_kernel(sys.argv[1])
