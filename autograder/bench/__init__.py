"""`autograder bench`: how long a class takes, side by side with stock nbgrader and with the floor.

Every way grades the same hand-ins (perfect ones), from a gradebook that knows the lab and nobody, as a command of its
own, with one thread a process. The ways take turns, for several rounds, so that a busy minute of the machine meets all
of them.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import nbformat

from autograder import paths as places
from autograder.bench import otter
from autograder.errors import AutograderError
from autograder.labs import Lab, load_lab
from autograder.release import register, solved_notebook, source_notebook

LIGHT = Path(__file__).parent / "light"
SETS = {"light": str(LIGHT), "descent": "descent"}
STOCK, FLOOR = "stock nbgrader", "floor"
OURS = {  # (isolation, workers)
    "cold, 1 worker": ("cold", 1),
    "warm, 1 worker": ("warm", 1),
    "warm, 2 workers": ("warm", 2),
}
OTTER = f"otter-grader {otter.VERSION}"
WAYS = (STOCK, OTTER, *OURS, FLOOR)
NO_OTTER = "otter-grader: not measured. With --otter it is, after its installation into _build/otter."
OTTER_FOLDER = places.ROOT / "_build" / "otter"
_STOCK_CONFIG = """c = get_config()
c.CourseDirectory.course_id = "unmagic"
c.CourseDirectory.root = {root!r}
c.CourseDirectory.db_url = {url!r}
c.ExecutePreprocessor.timeout = 300
"""
_LOOK_SECONDS = 0.5  # how often memory is looked at


@dataclass
class Run:
    """One way, once: seconds in all, seconds of marking by hand-in (ours only), peak memory in MiB of all processes.

    `start_s` is until the first hand-in was begun, `end_s` what came after the last was written down (ours only).
    """

    seconds: float
    marking: list[float] = field(default_factory=list)
    memory_mb: float = 0.0
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True)
class Row:
    """One way over the rounds; times in seconds, of the whole class (`seconds`) or of one hand-in.

    Attributes:
        handin_s: wall time by hand-in, median.
        overhead_s: that less the floor's on as many cores.
        faster: than stock nbgrader, so many times. `overhead_share`: of stock nbgrader's overhead.
        start_s: until the first hand-in was begun: imports, planning, workers and warm parent.
        marking_s: of one hand-in, median. end_s: after the last: feedback, reports, workers' end.
        memory_mb: most that all processes together held, each shared page once (PSS). `more_mb`: that, for each worker
            more than one, over what one worker takes.
    """

    way: str
    seconds: tuple[float, float, float]  # min, median, max
    handin_s: float
    overhead_s: float
    faster: float | None
    overhead_share: float | None
    start_s: float | None
    marking_s: float | None
    end_s: float | None
    memory_mb: float
    more_mb: float | None


def measure(name: str, handins: int, rounds: int, ways: tuple[str, ...], tell: Callable[[str], None]) -> list[Row]:
    """Times every way on one set of hand-ins.

    Raises:
        AutograderError: a way ended with an error, or gave other points than everything.
    """
    lab = load_lab(SETS[name])
    runs: dict[str, list[Run]] = {way: [] for way in ways}
    for number in range(rounds):
        for way in ways:
            with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                runs[way].append(_run(way, lab, Path(folder), handins))
            tell(f"{name}, round {number + 1} of {rounds}, {way}: {runs[way][-1].seconds:.1f} s")
    return rows(runs, handins)


def rows(runs: dict[str, list[Run]], handins: int) -> list[Row]:
    """What was measured, as a table. `runs` holds each way's rounds."""
    middle = {way: statistics.median(r.seconds for r in done) for way, done in runs.items()}
    floor = middle.get(FLOOR, 0.0) / handins
    stock = middle.get(STOCK)
    made = []
    for way, done in runs.items():
        workers = OURS.get(way, ("", 1))[1]
        handin = middle[way] / handins
        overhead = handin - floor / workers
        typical = min(done, key=lambda r: abs(r.seconds - middle[way]))
        marking = typical.marking
        made.append(
            Row(
                way=way,
                seconds=(min(r.seconds for r in done), middle[way], max(r.seconds for r in done)),
                handin_s=handin,
                overhead_s=overhead,
                faster=stock / middle[way] if stock else None,
                overhead_share=overhead / (stock / handins - floor) if stock else None,
                start_s=typical.start_s,
                marking_s=statistics.median(marking) if marking else None,
                end_s=typical.end_s,
                memory_mb=max(r.memory_mb for r in done),
                more_mb=_more(way, runs),
            )
        )
    return made


def _more(way: str, runs: dict[str, list[Run]]) -> float | None:
    """MiB that each further worker takes."""
    isolation, workers = OURS.get(way, ("", 1))
    alone = next((runs[w] for w, (i, n) in OURS.items() if (i, n) == (isolation, 1) and w in runs), None)
    if workers == 1 or alone is None:
        return None
    return (max(r.memory_mb for r in runs[way]) - max(r.memory_mb for r in alone)) / (workers - 1)


def report(
    names: list[str],
    handins: int,
    rounds: int,
    tell: Callable[[str], None],
    *,
    with_otter: bool = False,
    ways: Sequence[str] = WAYS,
) -> dict:
    """All of it: what `--json` writes. Of `ways` otter-grader's takes its turn only `with_otter`."""
    if with_otter:
        tell("installing otter-grader, where it is not yet")
        otter.installed(OTTER_FOLDER)
    ways = tuple(way for way in ways if with_otter or way != OTTER)
    sets = {name: [asdict(row) for row in measure(name, handins, rounds, ways, tell)] for name in names}
    return {
        "schema": "unmagic/bench-grader/1",
        "handins": handins,
        "rounds": rounds,
        "cores": len(os.sched_getaffinity(0)),
        "sets": sets,
        "not_measured": [] if with_otter else [NO_OTTER],
    }


def _run(way: str, lab: Lab, root: Path, handins: int) -> Run:
    if way == FLOOR:
        done, memory = _command([sys.executable, "-m", "autograder.bench.floor", str(lab.folder), str(handins)], root)
        return Run(float(done), memory_mb=memory)
    notebook = nbformat.writes(solved_notebook(lab))
    for number in range(handins):
        path = root / "submitted" / f"student-{number:03}" / lab.name / f"{lab.name}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(notebook, "utf-8")
    url = f"sqlite:///{root / 'gradebook.db'}"
    register(lab, url)
    if way == STOCK:
        return _stock(lab, root, url, handins)
    if way == OTTER:
        return _otter(lab, root, handins)
    isolation, workers = OURS[way]
    command = [
        str(Path(sys.executable).parent / "autograder"),
        "grade",
        str(lab.folder),
        "--class",
        str(root),
        "--json",
    ]
    begin = time.time()
    said, memory = _command([*command, "--isolation", isolation, "--workers", str(workers)], root)
    end = time.time()
    events = [json.loads(line) for line in said.splitlines()]
    found = [e for e in events if e["event"] == "handin"]
    files = sorted((root / "results" / lab.name).glob("*.json"), key=lambda p: p.stat().st_mtime)
    results = [json.loads(p.read_text("utf-8")) for p in files]
    full = [r for r in results if r["state"] == "graded" and r["points"] == r["max_points"]]
    _expect(way, len(full), handins, len(found))
    marking = [r["times"]["seconds"] for r in results]
    written = [path.stat().st_mtime for path in files]
    begun = min(at - seconds for at, seconds in zip(written, marking, strict=True))
    return Run(end - begin, marking, memory, begun - begin, end - max(written))


def _stock(lab: Lab, root: Path, url: str, handins: int) -> Run:
    from nbgrader.api import Gradebook

    (root / "nbgrader_config.py").write_text(_STOCK_CONFIG.format(root=str(root), url=url))
    source = root / "source" / lab.name / f"{lab.name}.ipynb"
    source.parent.mkdir(parents=True)
    source.write_text(nbformat.writes(source_notebook(lab)), "utf-8")
    for path in lab.data_files:
        for folder in (source.parent, *(root / "submitted").glob(f"*/{lab.name}")):
            target = folder / path.relative_to(lab.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    begin = time.monotonic()
    _, memory = _command([sys.executable, "-m", "nbgrader", "autograde", lab.name], root)
    seconds = time.monotonic() - begin
    with Gradebook(url, "unmagic") as gradebook:
        scores = [
            all(g.auto_score == g.max_score for g in s.notebooks[0].grades if g.cell.cell_type == "code")
            for s in gradebook.assignment_submissions(lab.name)
        ]
    _expect(STOCK, sum(scores), handins, len(scores))
    return Run(seconds, memory_mb=memory)


def _otter(lab: Lab, root: Path, handins: int) -> Run:
    otter.tests(source_notebook(lab), root / "tests.zip")
    notebook = solved_notebook(lab)
    notebook.cells = [c for c in notebook.cells if not c.metadata.get("nbgrader", {}).get("grade")]
    paths = sorted((root / "submitted").glob(f"*/{lab.name}/*.ipynb"))
    for path in paths:
        path.write_text(nbformat.writes(notebook), "utf-8")
    python = otter.installed(OTTER_FOLDER)
    begin = time.monotonic()
    command = [str(python), otter.__file__, str(root / "tests.zip"), *map(str, paths)]
    said, memory = _command(command, root, UNMAGIC_SEED="bench")
    seconds = time.monotonic() - begin
    scores = json.loads(said.splitlines()[-1])
    _expect(OTTER, sum(points == possible for points, possible in scores), handins, len(scores))
    return Run(seconds, memory_mb=memory)


def _expect(way: str, full: int, handins: int, seen: int) -> None:
    if full != handins:
        raise AutograderError(
            f"found {full} of {seen} hand-ins with full points ({way}); wanted all {handins}: they are the lab's own"
            " solutions, and times of something else say nothing.\n  Next: grade one of them, and see what its"
            " feedback says."
        )


def _command(command: list[str], root: Path, **variables: str) -> tuple[str, float]:
    """Runs a command to its end: its output, and the most memory that it and all below it held (MiB)."""
    dropped = ("UNMAGIC_", "NBGRADER_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
    environment |= {"OMP_NUM_THREADS": "1", "NO_COLOR": "1", **variables}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    with (root / "out").open("w+") as out, (root / "err").open("w+") as err:
        process = subprocess.Popen(command, cwd=root, env=environment, stdout=out, stderr=err)
        peak, ended = [0.0], threading.Event()

        def look() -> None:
            while not ended.wait(_LOOK_SECONDS):
                peak[0] = max(peak[0], _memory_mb(process.pid))

        thread = threading.Thread(target=look)
        thread.start()
        try:
            status = process.wait()
        finally:
            ended.set()
            thread.join()
            if process.poll() is None:
                process.kill()
        out.seek(0), err.seek(0)
        if status:
            raise AutograderError(f"found that {' '.join(command)} ended with {status}:\n{err.read()[-2000:]}")
        return out.read(), peak[0]


def _memory_mb(root: int) -> float:
    """PSS of a process and all below it: a page that several share counts once in all."""
    import psutil

    total = 0
    try:
        processes = [psutil.Process(root), *psutil.Process(root).children(recursive=True)]
    except psutil.Error:
        return 0.0
    for process in processes:
        try:
            rows = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(row.split()[1]) for row in rows if row.startswith("Pss:"))
        except (OSError, ValueError):
            continue  # it has ended, or is not ours to look at
    return total / 1024
