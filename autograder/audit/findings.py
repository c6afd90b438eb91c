"""What the outcome of a task says about a lab."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autograder.audit.running import Outcome, Task
from autograder.audit.variants import equivalent
from autograder.examiner import CellResult
from autograder.labs import Lab, Variant

UNJUDGED = ("not_done", "not_run", "missing", "wire")  # kinds that no mistake should end in
FILES = {"mistake": "mistakes.py", "alternative": "alternatives.py", "equivalent": "equivalents.py"}
KILLED = 0.95  # of the mutants that are not said to be equivalent, at least
EQUIVALENT = 0.10  # of all mutants, at most


@dataclass(frozen=True)
class Finding:
    """Something that is wrong ("error") or worth knowing ("note"), and where."""

    severity: Literal["error", "note"]
    file: Path
    line: int
    message: str

    @classmethod
    def at(cls, lab: Lab, line: int, message: str, severity: Literal["error", "note"] = "error") -> Finding:
        """In a lab's `lab.py`."""
        return cls(severity, lab.folder / "lab.py", line, message)


def judge(lab: Lab, task: Task, outcome: Outcome) -> list[Finding]:
    """What a task's outcome says about the lab."""
    if task.kind == "mutant":
        return _mutant(lab, task, outcome)
    findings = []
    if outcome.failure and task.kind != "vacuous":
        file = lab.folder / ("lab.py" if outcome.line else FILES.get(task.kind, "lab.py"))
        message = f"{_called(task)}: {outcome.failure}"
        findings.append(Finding("error", file, outcome.line or task.line or 1, message))
    findings += _ways_agree(lab, task, outcome)
    if not outcome.failure or task.kind == "vacuous":
        findings += {"mistake": _mistake, "stub": _nothing_passes, "vacuous": _nothing_passes}.get(
            task.kind, _all_pass
        )(lab, task, outcome)
    return findings


def _all_pass(lab: Lab, task: Task, outcome: Outcome) -> Iterator[Finding]:
    """The model solution and alternatives."""
    for (seed, bridge), result in _each(outcome):
        if result.ok:
            continue
        if result.kind == "wire":
            message = f"{result.grade_id} uses what cannot cross the bridge: {result.message}"
            yield Finding.at(lab, result.lab_line or lab.cell(result.grade_id).line, message)
            continue
        message = f"{_called(task)} fails {result.grade_id}{_run(seed, bridge)}: {_said(result)}"
        if task.kind == "alternative":
            yield Finding("error", lab.folder / FILES[task.kind], task.line, message)
        else:
            yield Finding.at(lab, result.lab_line or lab.cell(result.grade_id).line, message)


def _nothing_passes(lab: Lab, task: Task, outcome: Outcome) -> Iterator[Finding]:
    """Stubs, and functions without content. One that never came back did not pass."""
    for _, result in _each(outcome):
        if result.ok:
            who = "the untouched stub" if task.kind == "stub" else f"a `{task.exercise}` that {task.name}"
            yield Finding.at(lab, lab.cell(result.grade_id).line, f"{result.grade_id} gives full marks to {who}")


def _mistake(lab: Lab, task: Task, outcome: Outcome) -> Iterator[Finding]:
    mistake = next(m for m in lab.mistakes if (m.exercise, m.name) == (task.exercise, task.name))
    file = lab.folder / FILES["mistake"]
    dependents = {cell.grade_id for cell in lab.dependents(task.exercise)}
    for (seed, bridge), result in _each(outcome):
        own = lab.cell(result.grade_id).exercise == task.exercise
        if result.grade_id == mistake.fails_id:
            if wrong := _wrong(mistake, result):
                yield Finding("error", file, task.line, f"{_called(task)}{_run(seed, bridge)}: {wrong}")
            elif result.error_line in lab.cell(result.grade_id).hidden_lines and (seed, bridge) == task.runs[0]:
                message = f"{_called(task)} is caught by hidden tests only; its author learns of it too late"
                yield Finding("note", file, task.line, message)
        elif not result.ok and result.grade_id not in dependents:
            message = f"{_called(task)} also fails {result.grade_id}, which does not use it: {_said(result)}"
            yield Finding("error", file, task.line, message)
        elif not result.ok and not own and (seed, bridge) == task.runs[0]:
            message = f"{_called(task)} also costs {result.max_points:g} points in {result.grade_id}, which uses it"
            yield Finding("note", file, task.line, message)


def _wrong(mistake: Variant, result: CellResult) -> str:
    if result.ok:
        return f"passes {result.grade_id}, which it should fail"
    if result.kind in UNJUDGED:
        return f"was not judged by {result.grade_id} ({result.kind}): {_said(result)}"
    if mistake.hint.lower() not in f"{result.message}\n{result.hint}".lower():
        return f"fails {result.grade_id} without the word {mistake.hint!r}: {_said(result)}"
    return ""


def _mutant(lab: Lab, task: Task, outcome: Outcome) -> list[Finding]:
    if task.inputs:
        wrong = "is noticed by a test" if not survived(task, outcome) else outcome.difference
        return [_equivalent(lab, task, wrong)] if wrong else []
    if not survived(task, outcome):
        return []
    return [Finding.at(lab, task.line, f"no test of {task.exercise} notices {task.name}", severity="note")]


def _equivalent(lab: Lab, task: Task, wrong: str) -> Finding:
    line = task.line - lab.solution(task.exercise).first_line + 1
    entry = equivalent(lab, task.exercise, task.name, line)
    message = f"{task.exercise}, {task.name}: said to change nothing, but {wrong}"
    return Finding("error", lab.folder / FILES["equivalent"], entry.line if entry else 1, message)


def mutation_score(lab: Lab, tasks: Sequence[Task], outcomes: Sequence[Outcome]) -> list[Finding]:
    """Whether the tests notice enough of what is changed in the solutions, and the list of exceptions is in order."""
    pairs = [pair for pair in zip(tasks, outcomes, strict=True) if pair[0].kind == "mutant"]
    if not pairs:
        return []
    findings, said = [], [task for task, _ in pairs if task.inputs]
    others = [pair for pair in pairs if not pair[0].inputs]
    killed = sum(not survived(*pair) for pair in others)
    if killed < KILLED * len(others):
        message = f"{killed} of {len(others)} mutants are noticed by a test; wanted {KILLED:.0%} (see the notes)"
        findings.append(Finding.at(lab, 1, message))
    file = lab.folder / FILES["equivalent"]
    if len(said) > EQUIVALENT * len(pairs):
        message = f"{len(said)} of {len(pairs)} mutants are said to change nothing; wanted {EQUIVALENT:.0%} at most"
        findings.append(Finding("error", file, 1, message))
    matched = {(task.exercise, task.name) for task in said}
    for entry in lab.equivalents:
        if (entry.exercise, entry.name) not in matched:
            message = f"{entry.exercise} has no mutant {entry.name!r}; the audit's notes have them as they are written"
            findings.append(Finding("error", file, entry.line, message))
    return findings


def survived(task: Task, outcome: Outcome) -> bool:
    """Whether a mutant passed all its tests."""
    return not outcome.failure and all(result.ok for _, result in _each(outcome))


def _ways_agree(lab: Lab, task: Task, outcome: Outcome) -> Iterator[Finding]:
    """With and without the bridge, each tests cell has the same verdict."""
    for (seed, bridge), results in outcome.results.items():
        if bridge or (seed, True) not in outcome.results:
            continue
        across = {result.grade_id: result for result in outcome.results[seed, True]}
        for alone in results:
            other = across[alone.grade_id]
            if alone.ok != other.ok and other.kind != "wire":
                passing, failing = ("in the notebook", other) if alone.ok else ("across the bridge", alone)
                who = f"{alone.grade_id}: {_called(task)} passes {passing} only (seed {seed})"
                message = f"{who}; otherwise: {_said(failing)}"
                yield Finding.at(lab, failing.lab_line or lab.cell(alone.grade_id).line, message)


def _each(outcome: Outcome) -> Iterator[tuple[tuple[str, bool], CellResult]]:
    for run, results in outcome.results.items():
        for result in results:
            yield run, result


def _called(task: Task) -> str:
    if task.kind in FILES:
        return f"the {task.kind} {task.name!r} of {task.exercise}"
    return {"model": "the model solution", "stub": "the stub"}.get(task.kind, f"{task.exercise} ({task.name})")


def _run(seed: str, bridge: bool) -> str:
    return f" (seed {seed}{'' if bridge else ', in the notebook'})"


def _said(result: CellResult) -> str:
    text = " ".join(f"{result.message} {result.hint}".split())
    return text if len(text) <= 300 else f"{text[:297]}..."
