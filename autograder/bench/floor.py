"""The floor of grading: a lab's graded cells and tests, run over and over in one warm process, with nothing around.

python -m autograder.bench.floor LAB N      seconds that N times take, after a first time that does not count
"""

from unmagic.checks.by_hand import cells_known

import contextlib
import io
import os
import sys
import time

from nbformat import NotebookNode

from autograder.labs import load_lab
from autograder.release import source_notebook


def sources(notebook: NotebookNode) -> list[str]:
    """The code cells that grading runs, solutions and hidden tests in them."""
    return [c.source for c in notebook.cells if c.cell_type == "code" and c.metadata.get("nbgrader")]


def run(cells: list[str]) -> None:
    namespace = {"__name__": "__main__"}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for number, source in enumerate(cells):
            with cells_known(cells[:number]):  # for rules on what an answer may call
                exec(compile(source, f"<cell {number}>", "exec", dont_inherit=True), namespace)


def main(lab: str, count: str) -> None:
    os.environ["UNMAGIC_SEED"] = "bench"
    cells = sources(source_notebook(load_lab(lab)))
    run(cells)
    begin = time.perf_counter()
    for _ in range(int(count)):
        run(cells)
    print(time.perf_counter() - begin)


if __name__ == "__main__":
    main(*sys.argv[1:])
