"""Whole chapters and whole labs as workloads: every cell, in a process of its own, from the checkout's sources."""

from unmagic.bench.workloads import WORKLOADS, Work, Workload

import functools
import os
import pathlib
import re
import subprocess
import sys

import torch

ROOT = pathlib.Path(__file__).parents[2]  # of a checkout; an installed package has no chapters beside it
_CODE_CELL = re.compile(r"^```\{code-cell\}[^\n]*\n((?::[^\n]*\n)*)(.*?)^```$", re.MULTILINE | re.DOTALL)
_HIDDEN = re.compile(r"^### BEGIN HIDDEN TESTS\n.*?^### END HIDDEN TESTS$", re.MULTILINE | re.DOTALL)
# a figure's widget is for who looks; what a page shows is drawn all the same
_ALONE = """\
import sys, types
try:
    import IPython
except ImportError:
    sys.modules["IPython"] = types.ModuleType("IPython")
    sys.modules["IPython.display"] = types.SimpleNamespace(display=lambda *a, **k: None)
"""


def chapter_code(page: pathlib.Path) -> str:
    """The code of a chapter's cells, but for those that only show a live figure."""
    cells = [code for _, code in _CODE_CELL.findall(page.read_text("utf-8"))]
    text = "\n".join(code for code in cells if not re.fullmatch(r"\w+\([^()]*\)\s*", code.strip()))
    return _ALONE + re.sub(r"^from unmagic\.figures import (.*)$", _functions, text, flags=re.MULTILINE)


def _functions(figures: re.Match[str]) -> str:
    """Of what a page imports from the figures, the functions: no cell that is left makes a figure."""
    names = [name for name in figures[1].split(", ") if name.islower()]
    return f"from unmagic.figures import {', '.join(names)}" if names else ""


def lab_code(lab: pathlib.Path) -> str:
    """A solved lab: its set-up, answers, visible tests and exploration."""
    # without a notebook there is no source to read the rule from
    head = "from unmagic import checks\nchecks.assert_by_hand = lambda *a, **k: None\n"
    return head + _HIDDEN.sub("", lab.read_text("utf-8"))


def _alone(code: str, device: torch.device) -> Work:
    environment = os.environ | {"UNMAGIC_DEVICE": device.type, "MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)}

    def work() -> None:
        ended = subprocess.run([sys.executable, "-"], input=code, text=True, env=environment, capture_output=True)
        if ended.returncode:
            raise RuntimeError(f"A page's code ended with an error:\n{ended.stderr[-2000:]}")

    return work


for _page in sorted(ROOT.glob("book/[!_]*/*.md")):
    _name = _page.stem.replace("_", " ")
    _prepare = functools.partial(lambda page, device: _alone(chapter_code(page), device), _page)
    WORKLOADS.append(Workload(f"chapter: {_name}, all of it", 1, "chapter", _prepare, once=True))
for _lab in sorted(ROOT.glob("solutions/*/lab.py")):
    _prepare = functools.partial(lambda lab, device: _alone(lab_code(lab), device), _lab)
    WORKLOADS.append(Workload(f"lab: {_lab.parent.name}, solved, all of it", 1, "lab", _prepare, once=True))
