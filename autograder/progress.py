"""What a person, a log or a program sees of a grading run while it runs."""

import dataclasses
import json
import sys
import time
import typing
from collections import Counter

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from autograder.marking import Marked

if typing.TYPE_CHECKING:
    from autograder.grading import Summary

FIRST_TIME = "it was not graded before"
STAMP = "Not isolated"
STAMP_TEXT = (
    "The students' code ran with the grader's own rights, beside the tests."
    " Trust these points as you trust the students."
)


class Plain:
    """One line for each hand-in, for a log."""

    def __init__(self, console: Console | None = None):
        self.console = console or Console(soft_wrap=True, markup=False, highlight=False)

    def start(self, lab: str, why: Counter[str], kept: int) -> None:
        """`why` counts the hand-ins to be graded by what made that necessary; `kept` are good as they are."""
        self.total, self.number = why.total(), 0
        self._say(f"{lab}: {_count(self.total, 'hand-in')} to grade, {kept} unchanged")
        for reason, n in why.items():
            if reason != FIRST_TIME:
                self._say(f"  {n} because {reason}")

    def done(self, marked: Marked) -> None:
        self.number += 1
        r = marked.result
        reason = f": {r.reason}" if r.reason else ""
        self._say(f"[{self.number}/{self.total}] {r.student}: {r.state}, {r.points:g} of {r.max_points:g}{reason}")

    def warn(self, text: str) -> None:
        self._say(f"Warning: {text}")

    def end(self, summary: "Summary") -> None:
        for line in summary_lines(summary):
            self._say(line)

    def close(self) -> None:
        pass

    def _say(self, text: str) -> None:
        self.console.print(text)


class Bar(Plain):
    """A bar with rate, time left and failures so far, for a terminal."""

    def start(self, lab: str, why: Counter[str], kept: int) -> None:
        super().start(lab, why, kept)
        self.failed, self.begin = 0, time.monotonic()
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[failed]}"),
            console=self.console,
        )
        self.task = self.progress.add_task(f"Grading {lab}", total=self.total, rate="", failed="none failed")
        if self.total:
            self.progress.start()

    def done(self, marked: Marked) -> None:
        self.number += 1
        r = marked.result
        if r.state != "graded":
            self.failed += 1
            self._say(f"{r.student}: {r.state}: {r.reason}")
        rate = 60 * self.number / max(1e-9, time.monotonic() - self.begin)
        failed = f"{self.failed} failed" if self.failed else "none failed"
        self.progress.update(self.task, advance=1, rate=f"{rate:.1f}/min", failed=failed)

    def end(self, summary: "Summary") -> None:
        self.close()
        super().end(summary)

    def close(self) -> None:
        if hasattr(self, "progress"):
            self.progress.stop()


class Json:
    """One JSON object a line, for programs: events "start", "handin", "warning", "end"."""

    def __init__(self, file: typing.TextIO | None = None):
        self.file = file or sys.stdout

    def start(self, lab: str, why: Counter[str], kept: int) -> None:
        self._write("start", lab=lab, todo=why.total(), why=dict(why), unchanged=kept)

    def done(self, marked: Marked) -> None:
        r = marked.result
        self._write(
            "handin",
            student=r.student,
            state=r.state,
            reason_code=r.reason_code,
            reason=r.reason,
            points=r.points,
            max_points=r.max_points,
            tests_run=r.tests_run,
            seconds=r.times.get("seconds"),
        )

    def warn(self, text: str) -> None:
        self._write("warning", text=text)

    def end(self, summary: "Summary") -> None:
        self._write(
            "end",
            lab=summary.lab,
            isolation=summary.isolation,
            states=summary.states,
            graded=summary.graded,
            unchanged=summary.unchanged,
            seconds=round(summary.seconds, 3),
            moved=[dataclasses.asdict(m) for m in summary.moved],
            report=str(summary.report),
            grades=str(summary.grades),
        )

    def close(self) -> None:
        pass

    def _write(self, event: str, **fields) -> None:
        print(json.dumps({"event": event, **fields}, ensure_ascii=False), file=self.file, flush=True)


def choose(as_json: bool) -> Plain | Json:
    """JSON when asked for; otherwise a bar on a terminal and lines elsewhere."""
    if as_json:
        return Json()
    console = Console(soft_wrap=True, markup=False, highlight=False)
    return Bar(console) if console.is_terminal else Plain(console)


def summary_lines(summary: "Summary") -> list[str]:
    """What a run came to, in sentences."""
    lines = []
    if summary.graded == 0:
        lines.append(
            f"Nothing changed: {_count(summary.unchanged, 'hand-in')} kept as they were, none was graded again."
        )
    else:
        states = ", ".join(f"{n} {state}" for state, n in summary.states.items() if n)
        lines.append(
            f"Graded {_count(summary.graded, 'hand-in')} in {summary.seconds:.1f} s"
            f" ({summary.unchanged} unchanged). All together: {states}."
        )
    if summary.moved:
        lines.append(f"Points moved for {_count(len(summary.moved), 'student')}:")
        for moved in summary.moved:
            what = ", ".join(map(_cell_moved, moved.cells)) or f"its state only: {moved.why}"
            lines.append(f"  {moved.student}: {moved.before:g} → {moved.after:g} ({what})")
    elif summary.regraded:
        lines.append(f"{_count(summary.regraded, 'hand-in')} graded again; no points moved.")
    if summary.isolation == "none":
        lines.append(f"{STAMP}. {STAMP_TEXT}")
    lines += [f"Report:   {summary.report}", f"Grades:   {summary.grades}", f"Feedback: {summary.feedback}"]
    return lines


def _cell_moved(cell: dict) -> str:
    return f"{cell['grade_id']} {_points(cell['before'])} → {_points(cell['after'])}: {cell['why']}"


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _points(value: float | None) -> str:
    return "none yet" if value is None else f"{value:g}"
