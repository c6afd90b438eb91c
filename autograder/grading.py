"""Grades a class: plans what needs marking, has it marked, and keeps results, gradebook, feedback and reports in step.

For every hand-in the notebook for formgrader is written first, then the gradebook, then the result: a run that was
killed finds by the result what is done, and does the rest.
"""

import contextlib
import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import nbformat

from autograder.classroom import Classroom, Folder
from autograder.cluster import cluster
from autograder.errors import AutograderError
from autograder.execution import Limits
from autograder.files import write_atomically
from autograder.gradebook import Book
from autograder.handin import fingerprint
from autograder.labs import Lab
from autograder.marking import Marked, Task, stubs
from autograder.pool import mark_all, processes
from autograder.progress import FIRST_TIME, Bar, Json, Plain
from autograder.regrading import SAME, changes, kept_of, lab_keys, why_again
from autograder.release import source_notebook, student_notebook
from autograder.report import write_reports
from autograder.results import Result, digest, load, save
from autograder.sandbox.gpus import Gpu, find

# What a verdict depends on besides hand-in, lab, limits and seed: when one of these changes, everything is graded anew.
_GRADER_FILES = ("handin", "sanitise", "fitting", "kernel", "execution", "verdicts", "marking", "results", "labs/names")
_GRADER_FILES += ("regrading", "remembering", "channels")
_ISOLATED_FILES = ("isolated", "sandboxed", "ahead", "examiner", "bridge/*", "sandbox/*")  # and with isolation
_GRADER_PACKAGES = ("torch", "torchvision", "numpy", "scikit-learn", "ipykernel", "ipython", "nbgrader")
_WHY = {
    "handin": "the hand-in changed",
    "frame": "the lab changed",
    "grader": "the grader changed",
    "limits": "the limits changed",
    "seed": "the seed changed",
}


@dataclass(frozen=True)
class Options:
    """How a class is graded.

    Attributes:
        isolation: "warm", "cold" or "none" (see `autograder.execution`); "" asks for the best there is.
        workers: processes; 0 is one for each core, or for each GPU.
        gpus: how many to grade on, one worker each, isolation "cold"; 0 is none: then all is graded on the CPU.
        scheduler: address of a Dask scheduler, whose cluster grades instead of this machine.
        fresh: draw a new seed. `seed` sets it.
        force: grade again what has not changed.
        wait: for another grader to end, instead of an error.
    """

    isolation: str = ""
    workers: int = 0
    fresh: bool = False
    seed: str | None = None
    force: bool = False
    wait: bool = False
    limits: Limits = field(default_factory=Limits)
    gpus: int = 0
    scheduler: str = ""


@dataclass(frozen=True)
class Moved:
    """A student whose points or state changed: `cells` has `grade_id`, `before`, `after` and `why` of each that did."""

    student: str
    before: float
    after: float
    why: str
    cells: list[dict] = field(default_factory=list)


@dataclass
class Summary:
    """What a run came to. `results` are those of all hand-ins of the lab, in the order of students' names."""

    lab: str
    isolation: str
    results: list[Result]
    graded: int
    unchanged: int
    regraded: int
    moved: list[Moved]
    seconds: float
    report: Path
    grades: Path
    feedback: Path

    @property
    def states(self) -> dict[str, int]:
        counts = Counter(r.state for r in self.results)
        return {state: counts[state] for state in ("graded", "partial", "ungradable")}


def grade(lab: Lab, classroom: Classroom, options: Options, progress: Plain | Bar | Json) -> Summary:
    """Grades every hand-in of a class that has changed since it was last graded.

    Raises:
        AutograderError: isolation that does not exist was asked for, the class folder cannot be used, it has no
            hand-ins for the lab, somebody else is grading it, or its gradebook cannot be used. Hand-ins raise nothing.
    """
    gpus = _gpus(options)
    with contextlib.ExitStack() as stack:
        if options.scheduler:
            isolation = known_isolation(options.isolation) or "warm"
            executor, workers = stack.enter_context(cluster(options.scheduler, isolation))
        else:
            isolation = usable_isolation(options.isolation or "cold" * bool(gpus), own=classroom.is_sample)
            executor, workers = partial(processes, gpus=gpus), len(gpus) or available_cores()
        stack.enter_context(_disk_explained(classroom))
        return _grade(lab, classroom, options, isolation, bool(gpus), (executor, workers), progress)


@contextlib.contextmanager
def _disk_explained(classroom: Classroom) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AutograderError(
            f"found that {error.filename or classroom.root} cannot be used ({error.strerror or error}); wanted to keep"
            " results in the class folder.\n"
            "  Next: see to room and rights on the disk, and start again: it goes on where it was."
        ) from error


def _grade(
    lab: Lab,
    classroom: Classroom,
    options: Options,
    isolation: str,
    on_gpu: bool,
    pool: tuple[Callable[[int], Executor], int],
    progress: Plain | Bar | Json,
) -> Summary:
    begin = time.monotonic()
    folders = classroom.handins(lab.name)
    with classroom.lock(options.wait), classroom.scratch() as scratch:
        seed = classroom.seed(lab.name, fresh=options.fresh, value=options.seed)
        template = new_task(lab, isolation, seed, options.limits, scratch, device="gpu" if on_gpu else "cpu")
        executor, workers = pool
        with Book(classroom.gradebook_url, lab) as book:
            results, tasks, why = _plan(classroom, book, folders, template, options.force)
            progress.start(lab.name, Counter(why.values()), len(folders) - len(tasks))
            moved, regraded = [], 0
            try:
                for task, marked in mark_all(tasks, options.workers or workers, executor):
                    keep(classroom, book, marked, why[task.student], progress.warn)
                    results[task.student] = marked.result
                    regraded += why[task.student] != FIRST_TIME
                    if marked.result.moved:
                        moved.append(Moved(task.student, **marked.result.moved))
                    progress.done(marked)
            finally:
                progress.close()
            ordered = [results[f.student] for f in folders]
            book.assign_penalties()
            write_reports(classroom, lab, template.source, ordered, book.standings())
    reports = classroom.reports(lab.name)
    return Summary(
        lab=lab.name,
        isolation=isolation,
        results=ordered,
        graded=len(tasks),
        unchanged=len(folders) - len(tasks),
        regraded=regraded,
        moved=sorted(moved, key=lambda m: m.student),
        seconds=time.monotonic() - begin,
        report=reports / "report.html",
        grades=reports / "grades.csv",
        feedback=classroom.root / "feedback",
    )


def available_cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0))


def _gpus(options: Options) -> tuple[Gpu, ...]:
    """The GPUs that were asked for. AutograderError where there are fewer, or the other options do not go with them."""
    if not options.gpus:
        return ()
    if options.scheduler:
        raise AutograderError("found --gpus with --scheduler; wanted one of them: a cluster grades on its CPUs.")
    there = find()
    if len(there) < options.gpus:
        count = f"{len(there)} GPU{'s' * (len(there) != 1)}" if there else "no GPU"
        raise AutograderError(
            f"found {count} on this machine (device nodes /dev/nvidiactl and /dev/nvidia0, /dev/nvidia1, …); wanted"
            f" --gpus {options.gpus}.\n  Next: say a smaller number, or see with nvidia-smi that the driver is loaded."
        )
    if options.isolation == "warm":
        raise AutograderError(
            "found --isolation warm with --gpus; wanted cold: a process that is forked from one with torch in it cannot"
            " be relied on to use CUDA.\n  Next: say --isolation cold, or leave it out."
        )
    if options.workers > options.gpus:
        raise AutograderError(
            f"found --workers {options.workers} with --gpus {options.gpus}; wanted a GPU for every worker.\n"
            "  Next: leave --workers out: then there is one for each GPU."
        )
    return there[: options.gpus]


def usable_isolation(wanted: str, *, own: bool = False) -> str:
    """The isolation to grade with: what was asked for or, for "", the best there is on this machine.

    Args:
        own: the hand-ins are our own; without a sandbox "" is then "none".

    Raises:
        AutograderError: there is no such isolation, or this machine makes no sandbox; says what to do.
    """
    if known_isolation(wanted) == "none":
        return wanted
    from autograder.sandbox.client import why_no_sandbox

    why = why_no_sandbox()
    if not why:
        return wanted or "warm"
    if not wanted and own:
        return "none"  # the report is stamped
    raise AutograderError(
        f"found that this machine makes no sandbox, and without one a hand-in's code would run with your rights, could"
        f" read your files, and could give itself points.\n  {why}\n"
        "  Next: mend that. For hand-ins whose authors you trust that far, say --isolation none; the report is stamped."
    )


def known_isolation(wanted: str) -> str:
    """The same, when it is one or ""."""
    if wanted not in ("", "warm", "cold", "none"):
        raise AutograderError(f"found --isolation {wanted}; wanted warm, cold or none.")
    return wanted


def new_task(lab: Lab, isolation: str, seed: str, limits: Limits, scratch: Path, device: str = "cpu") -> Task:
    """A task without a hand-in: `student` and `folder` are empty, and its hashes lack the hand-in's."""
    source, released = nbformat.writes(source_notebook(lab)), nbformat.writes(student_notebook(lab))
    data = tuple((path, path.relative_to(lab.folder).as_posix()) for path in lab.data_files)
    contents = [f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path, name in data]
    keys = lab_keys(nbformat.reads(source, 4), stubs(nbformat.reads(released, 4)), contents)
    hashes = {
        "lab": digest(source, released, *contents),
        "frame": keys.frame,
        "grader": grader_hash(isolation, device),
        "limits": digest(limits.text()),
        "seed": digest("unmagic seed", seed),
    }
    return Task(lab.name, "", Path(), source, released, data, seed, isolation, limits, scratch, hashes, keys)


def grader_hash(isolation: str, device: str) -> str:
    """Of the code that decides on points, and of what that code is run with."""
    own = Path(__file__).parent
    names = _GRADER_FILES + (_ISOLATED_FILES if isolation != "none" else ())
    files = [path for name in names for path in sorted(own.glob(f"{name}.py"))]
    library = Path(find_spec("unmagic").origin).parent  # found, not imported: it would bring in torch
    files += sorted(library.rglob("*.py"))
    code = [f"{f.name} {hashlib.sha256(f.read_bytes()).hexdigest()}" for f in files]
    return digest(isolation, device, *code, *(f"{name} {version(name)}" for name in _GRADER_PACKAGES))


def _plan(
    classroom: Classroom, book: Book, folders: list[Folder], template: Task, force: bool
) -> tuple[dict[str, Result], list[Task], dict[str, str]]:
    """Results that are still good, tasks for the rest, and why each of those is graded."""
    kept, tasks, why = {}, [], {}
    for folder in folders:
        hashes = {"handin": fingerprint(folder.path, template.lab), **template.hashes}
        old = load(classroom.result(template.lab, folder.student))
        graded = classroom.graded(template.lab, folder.student)
        reason, still_good = _why(old, hashes, force), None
        if not reason and old.hashes.get("lab") != hashes["lab"]:
            reason = why_again(old, template.keys)
            still_good = kept_of(old, template.keys, graded)
        if not reason and not (graded.is_file() and book.holds(old)):
            reason = "what was graded had gone from the gradebook"
        if reason:
            about = {"student": folder.student, "folder": folder.path, "hashes": hashes, "kept": still_good}
            tasks.append(replace(template, **about))
            why[folder.student] = reason
        else:
            kept[folder.student] = old
    return kept, tasks, why


def _why(old: Result | None, hashes: dict[str, str], force: bool) -> str:
    if old is None:
        return FIRST_TIME
    changed = [text for name, text in _WHY.items() if old.hashes.get(name) != hashes[name]]
    if changed:
        return " and ".join(changed)
    return "--force asked for it" if force else ""


def keep(classroom: Classroom, book: Book, marked: Marked, why: str, warn: Callable[[str], None]) -> None:
    """Writes one hand-in's notebook, grades and result, in the order that a rerun relies on.

    Args:
        why: it was graded: what a move of its points is put down to.
        warn: gets told of a time of handing in that cannot be read.
    """
    result = marked.result
    path = classroom.result(result.lab, result.student)
    before = load(path)
    result.moved = _moved(before, result, why) if before else {}
    graded = classroom.graded(result.lab, result.student)
    write_atomically(graded, marked.notebook.encode("utf-8"))
    stamp = classroom.root / "submitted" / result.student / result.lab / "timestamp.txt"
    try:
        timestamp = classroom.timestamp(result.lab, result.student)
        if timestamp is not None:  # formgrader compares the two
            write_atomically(graded.parent / "timestamp.txt", stamp.read_bytes())
    except ValueError as error:
        timestamp = None
        warn(str(error))
    changed = before is not None and before.hashes.get("handin") != result.hashes.get("handin")
    book.write(result, timestamp, changed=changed)
    if not marked.lasting:  # the machine's fault, not the hand-in's: the next run tries again
        result.hashes["grader"] = ""
    save(path, result)


def _moved(before: Result, after: Result, why: str) -> dict:
    """What a grading changed for a student: the fields of `Moved`, less the student's name; {} when nothing moved."""
    old, new = ({c.grade_id: c for c in result.cells} for result in (before, after))
    lab_only = all(before.hashes.get(name) == after.hashes.get(name) for name in SAME)
    because = changes(old, new) if lab_only else {}
    cells = []
    for name in dict.fromkeys([*old, *new]):
        was, now = (cells_of[name].points if name in cells_of else None for cells_of in (old, new))
        if was != now:
            cells.append({"grade_id": name, "before": was, "after": now, "why": because.get(name, why)})
    if not cells and before.state == after.state:
        return {}
    return {"before": before.points, "after": after.points, "why": why, "cells": cells}
