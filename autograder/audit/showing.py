"""Shows an audit: progress, a table for each lab, its findings; the same for machines."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from autograder import paths
from autograder.audit.findings import Finding, judge, survived
from autograder.audit.running import Outcome, Task
from autograder.labs import Lab


@contextlib.contextmanager
def progress(console: Console | None, lab: Lab, total: int) -> Iterator[Callable[[Task], None]]:
    """A bar on a terminal, a line for each tenth elsewhere, nothing without a console. Yields what counts a task."""
    if console is None:
        yield lambda task: None
    elif console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        # begun with the first task done: its thread must not be there when the workers are forked
        bar = Progress(*columns, console=console, transient=True)
        number = bar.add_task(lab.name, total=total)

        def advance(task: Task) -> None:
            bar.start()
            bar.update(number, advance=1, description=f"{lab.name} {task.kind} {task.exercise} {task.name}")

        try:
            yield advance
        finally:
            bar.stop()
    else:
        done = 0

        def count(task: Task) -> None:
            nonlocal done
            done += 1
            if done * 10 // total > (done - 1) * 10 // total:
                _line(console, f"{lab.name}: {done} of {total} runs done")

        yield count


def show(
    console: Console, lab: Lab, tasks: Sequence[Task], outcomes: Sequence[Outcome], findings: Sequence[Finding]
) -> None:
    """A row for each exercise, then what is wrong, then the notes."""
    table = Table(title=f"{lab.name}: {lab.points:g} points", title_justify="left")
    mutants = any(task.kind == "mutant" for task in tasks)
    columns = ["exercise", "points", "tests", "mistakes", "alternatives"]
    for column in columns + (["mutants caught", "equivalent"] if mutants else []):
        table.add_column(column, justify="left" if column == "exercise" else "right")
    for row in summary(lab, tasks, outcomes):
        caught = [f"{row['mutants_caught']}/{row['mutants']}", str(row["equivalents"])] if mutants else []
        tried = [f"{row[f'{kind}_right']}/{row[kind]}" for kind in ("mistakes", "alternatives")]
        numbers = [f"{row['points']:g}", str(row["tests"]), *tried, *caught]
        table.add_row(row["exercise"], *numbers)
    console.print(table)
    for severity, style in (("note", "dim"), ("error", "red")):
        for finding in findings:
            if finding.severity == severity:
                _line(console, f"{severity}: {_where(finding)}: {finding.message}", style)


def summary(lab: Lab, tasks: Sequence[Task], outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Each exercise's points, how many tests cells, mistakes, alternatives and mutants it has, how many were right."""
    rows = []
    for exercise in lab.exercises:
        own = [(task, outcome) for task, outcome in zip(tasks, outcomes, strict=True) if task.exercise == exercise]
        of_kind = {kind: [pair for pair in own if pair[0].kind == kind] for kind in {task.kind for task, _ in own}}
        mutants, mistakes, alternatives = (of_kind.get(kind, []) for kind in ("mutant", "mistake", "alternative"))
        rows.append(
            {
                "exercise": exercise,
                "points": sum(cell.points for cell in lab.tests(exercise)),
                "tests": len(lab.tests(exercise)),
                "mistakes": len({task.name for task, _ in mistakes}),
                "mistakes_right": _right(lab, mistakes),
                "alternatives": len({task.name for task, _ in alternatives}),
                "alternatives_right": _right(lab, alternatives),
                "mutants": sum(not task.inputs for task, _ in mutants),
                "mutants_caught": sum(not survived(*pair) for pair in mutants if not pair[0].inputs),
                "equivalents": sum(bool(task.inputs) for task, _ in mutants),
            }
        )
    return rows


def _right(lab: Lab, pairs: Sequence[tuple[Task, Outcome]]) -> int:
    """How many variants have no error; a variant may have been run by more than one task."""
    wrong = {task.name for task, outcome in pairs if any(f.severity == "error" for f in judge(lab, task, outcome))}
    return len({task.name for task, _ in pairs} - wrong)


def as_json(
    lab: Lab, tasks: Sequence[Task], outcomes: Sequence[Outcome], findings: Sequence[Finding]
) -> dict[str, Any]:
    """The same as data."""
    found = [{"severity": f.severity, "file": f.file.name, "line": f.line, "message": f.message} for f in findings]
    seconds = round(sum(outcome.seconds for outcome in outcomes), 1)
    rows = summary(lab, tasks, outcomes)
    return {"lab": lab.name, "points": lab.points, "seconds": seconds, "exercises": rows, "findings": found}


def _where(finding: Finding) -> str:
    inside = finding.file.is_relative_to(paths.ROOT)
    return f"{finding.file.relative_to(paths.ROOT) if inside else finding.file}:{finding.line}"


def _line(console: Console, text: str, style: str = "") -> None:
    console.print(text, style=style, soft_wrap=True, markup=False, highlight=False)
