"""Carries attacks out, in the sandbox that a hand-in would be graded in, and says what came of each."""

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import tempfile
import time
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from autograder import paths, sanitise
from autograder.attacks.kinds import CANARY, Attack, HandIn, Probe
from autograder.classroom import Classroom
from autograder.execution import Limits
from autograder.gradebook import Standing
from autograder.kernel import Kernel
from autograder.labs import load_lab
from autograder.marking import Marked, Task, mark
from autograder.release import filled, source_notebook, student_notebook
from autograder.report import class_report, feedback
from autograder.sandbox.limits import Limits as SandboxLimits
from autograder.sandbox.provisioner import parent_of_kernels
from autograder.sandboxed import SandboxKernel

TARGET = Path(__file__).parent / "target"
_ENVIRONMENT = "UNMAGIC_CANARY"
_REACHED = "REACHED"
PRELUDE = (
    f"def reached(what): print({_REACHED!r}, repr(what)[:300])\nCLASSROOM, CHECKOUT, PARENT = {{!r}}, {{!r}}, {{!r}}"
)
_SHOWN = 160  # characters of what happened


@dataclass(frozen=True)
class Outcome:
    """What came of an attack: whether the walls held, and what happened, in a line."""

    attack: Attack
    held: bool
    happened: str
    seconds: float


class Ground:
    """A class with canaries in every place that an attack might reach, and a sandbox. Use as a context manager."""

    def __init__(self, isolation: str = "warm"):
        self.isolation = isolation
        self.lab = load_lab(TARGET)
        self._source, self._released = nbformat.writes(source_notebook(self.lab)), student_notebook(self.lab)
        self._kernel: Kernel | None = None

    def __enter__(self) -> "Ground":
        self.folder = Path(tempfile.mkdtemp(prefix="attacks-"))
        (self.folder / "class").mkdir()
        self.classroom = Classroom(self.folder / "class")
        self.seed = f"{CANARY}seed-{secrets.token_hex(4)}"
        for name in ("gradebook.db", "seed", "submitted/ada/target/target.ipynb", "results/target/ada.json"):
            path = self.classroom.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{CANARY}{path.name} {self.seed}")
        (self.folder / "scratch").mkdir()
        self._before = self._fingerprint()
        os.environ[_ENVIRONMENT] = f"{CANARY}environment"
        return self

    def __exit__(self, *_) -> None:
        os.environ.pop(_ENVIRONMENT, None)
        if self._kernel is not None:
            self._kernel.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def attempt(self, attack: Attack) -> Outcome:
        """Carries one attack out. It has its own kernel if it is a hand-in; probes share one while it lives.

        Raises NoSandbox where there are no walls to attack.
        """
        begin = time.monotonic()
        faults, happened = self._probe(attack) if isinstance(attack, Probe) else self._hand_in(attack)
        if self._fingerprint() != self._before:
            faults.append("the class folder was changed")
            self._before = self._fingerprint()
        text = "; ".join(faults) or happened
        return Outcome(attack, not faults, " ".join(sanitise.text(text)[:_SHOWN].split()), time.monotonic() - begin)

    def _probe(self, probe: Probe) -> tuple[list[str], str]:
        if self._kernel is None:
            self._kernel = self._new_kernel()
        run = self._kernel.run(probe.code, seconds=probe.seconds, output_bytes=100_000)
        said = "".join(o["text"] for o in run.outputs if o["output_type"] == "stream")
        if run.failure is not None:
            said += f"{run.failure.type}: {run.failure.message}"
        if not run.alive:
            said += f"kernel: {run.limit}"
            self._kernel.close()
            self._kernel = None
        if _REACHED in said or CANARY in said:
            return [f"got through: {said}"], said
        if not re.search(probe.refused, said):
            return [f"was not refused as it should be, but said: {said}"], said
        return [], said

    def _new_kernel(self) -> Kernel:
        parent = parent_of_kernels(cold=self.isolation == "cold")
        kernel = SandboxKernel(parent, SandboxLimits(), self.folder / "scratch")
        prelude = PRELUDE.format(str(self.classroom.root), str(paths.ROOT), str(parent.folder))
        kernel.run(prelude, seconds=30, output_bytes=1000)
        return kernel

    def _hand_in(self, attack: HandIn) -> tuple[list[str], str]:
        marked = self.mark(attack)
        result, faults = marked.result, []
        texts = [result.reason, *(h["text"] for h in result.limits_hit), *(c.message for c in result.cells)]
        happened = f"{result.points:g} points, {result.state}. {result.reason or next(filter(None, texts), '')}"
        if result.points != attack.earns:
            faults.append(f"got {result.points:g} points instead of {attack.earns:g}: {happened}")
        if result.state != "graded":
            faults.append(f"it is {result.state}: {result.reason}")
        if attack.says and not any(re.search(attack.says, text) for text in texts):
            faults.append(f"nobody was told “{attack.says}”, but: {' | '.join(filter(None, texts))}")
        cells = nbformat.reads(marked.notebook, as_version=4).cells
        if CANARY in json.dumps([result.to_json(), *(cell.get("outputs", []) for cell in cells)]):
            faults.append("it read what it may not: a canary is in the result")
        faults += self._alive(marked)
        return faults, happened

    def mark(self, attack: HandIn) -> Marked:
        """Hands the attack in and marks it."""
        folder = self.folder / "submitted" / attack.student / self.lab.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.lab.name}.ipynb").write_text(nbformat.writes(self._notebook(attack)), "utf-8")
        limits = Limits(
            cell_seconds=attack.cell_seconds,
            handin_seconds=120.0,
            output_bytes=200_000,
            memory_mb=attack.memory_mb,
        )
        task = Task(
            lab=self.lab.name,
            student=attack.student,
            folder=folder,
            source=self._source,
            released=nbformat.writes(self._released),
            data_files=(),
            seed=self.seed,
            isolation=self.isolation,
            limits=limits,
            scratch=self.folder / "scratch",
            hashes={},
        )
        try:
            return mark(task)
        finally:
            shutil.rmtree(folder.parent)

    def _notebook(self, attack: HandIn) -> NotebookNode:
        notebook = filled(self._released, attack.filled)
        notebook.cells[1:1] = [
            *(new_code_cell(source, id=f"own-{n}") for n, source in enumerate(attack.extra)),
            *(new_markdown_cell(source, id=f"words-{n}") for n, source in enumerate(attack.markdown)),
        ]
        for cell in notebook.cells:
            cell.metadata.update(attack.metadata)
            if "nbgrader" in cell.metadata and "points" in attack.metadata:
                cell.metadata["nbgrader"] |= {"points": 100, "grade": False}
        return notebook

    def _alive(self, marked: Marked) -> list[str]:
        """What of the pages and the notebook that an instructor opens would come alive."""
        result, notebook = marked.result, nbformat.reads(marked.notebook, as_version=4)
        found = []
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                found += live_markup(cell.source)
            kinds = {kind for o in cell.get("outputs", ()) for kind in o.get("data", {})}
            found += [f"an output of type {kind}" for kind in kinds - {"text/plain", "image/png"}]
        graded = self.classroom.graded(result.lab, result.student)
        graded.parent.mkdir(parents=True, exist_ok=True)
        graded.write_text(marked.notebook, "utf-8")
        standing = Standing(result.student, "", "", "", "", 0.0, result.points, result.max_points, False, 0.0)
        hidden = sanitise.hidden_lines([c.source for c in nbformat.reads(self._source, as_version=4).cells])
        try:
            page = feedback(self.classroom, result, standing, hidden)
            report = class_report(self.lab, [result], {result.student: standing})
        finally:
            shutil.rmtree(self.classroom.root / "graded")
        for name, text in (("feedback", page), ("report", report)):
            # the report's own drawing is the one SVG
            found += [f"in the {name}: {what}" for what in live_markup(text) if (name, what) != ("report", "<svg>")]
            if re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]", text):
                found.append(f"in the {name}: a control character")
            if CANARY in text:
                found.append(f"in the {name}: a canary")
        return found

    def _fingerprint(self) -> str:
        files = sorted(path for path in self.classroom.root.rglob("*") if path.is_file())
        with contextlib.suppress(OSError):
            return hashlib.sha256(b"".join(str(f).encode() + f.read_bytes() for f in files)).hexdigest()
        return "a file is gone"


class _Live(HTMLParser):
    """Notes elements and attributes that a browser would run, or load from elsewhere."""

    _RUNS = frozenset(
        [
            "script",
            "iframe",
            "object",
            "embed",
            "applet",
            "base",
            "form",
            "svg",
            "math",
            "link",
            "frame",
            "meta-refresh",
        ]
    )

    def __init__(self):
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._RUNS:
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            value = re.sub(r"\s", "", value or "").lower()
            if name.startswith("on"):
                self.found.append(f"<{tag} {name}>")
            if name in ("href", "src", "action", "srcdoc", "xlink:href") and re.match(
                r"(javascript|vbscript|data:text)", value
            ):
                self.found.append(f"<{tag} {name}={value[:30]}>")
            if name in ("src", "srcset") and not value.startswith("data:image/png"):
                self.found.append(f"<{tag} {name}={value[:30]}>")


def live_markup(text: str) -> list[str]:
    """What in a page would run, or be loaded from elsewhere."""
    parser = _Live()
    parser.feed(text)
    parser.close()
    return parser.found
