"""`autograder audit`: are a lab's tests right?

Every run goes through the bridge's codec, on several seeds, and what runs on the first seed also runs without a bridge,
as in the student's own notebook. Wanted, else an error:

- the model solution and every alternative have full marks, the untouched stub none;
- every mistake fails the tests cell it names, with its word in the message or hint;
- both ways of running agree, cell by cell, and nothing a test uses fails to cross the bridge;
- no tests cell passes functions that return None or their first argument;
- every check has a hint, every exercise hidden tests.

A mistake is run against the tests cells whose verdict it can change: those of its exercise, and those that use it
(`Lab.dependents`). That it fails cells of the second sort is explained by that use: a note, with the points it costs.
`thorough` runs each variant against all tests cells once: a failure outside of the dependents is an error, for then the
lab's cells hang together in a way that nobody sees. It also changes the solutions mechanically and notes which of these
mutants no test tells from the original: 95 % must be noticed. What cannot be, since it changes nothing, is listed by
hand with the reason in `equivalents.py` (a tenth at most), and seen to agree with the solution on 1,000 inputs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from autograder.audit.findings import Finding, judge, mutation_score
from autograder.audit.reading import read
from autograder.audit.running import Task, run_tasks
from autograder.audit.showing import as_json, progress, show
from autograder.audit.variants import mutants, plan
from autograder.files import write_atomically
from autograder.labs import Lab

__all__ = ["Finding", "audit", "run"]

SEEDS, THOROUGH_SEEDS = 3, 20


def run(
    labs: Sequence[Lab],
    thorough: bool = False,
    seeds: int | None = None,
    console: Console | None = None,
    *,
    json_file: Path | None = None,
    workers: int = 2,
) -> int:
    """Audits labs, prints what was found, and returns the exit code: 0, or 1 when anything is wrong."""
    console = console or Console()
    count = seeds or (THOROUGH_SEEDS if thorough else SEEDS)
    reports = []
    for lab in labs:
        tasks = tasks_of(lab, thorough=thorough, seeds=count)
        findings, outcomes = audit(lab, tasks, workers=workers, console=console)
        show(console, lab, tasks, outcomes, findings)
        reports.append(as_json(lab, tasks, outcomes, findings))
    wrong = sum(f["severity"] == "error" for report in reports for f in report["findings"])
    if json_file is not None:
        result = {"schema": "unmagic/audit/1", "ok": not wrong, "thorough": thorough, "seeds": count, "labs": reports}
        write_atomically(json_file, (json.dumps(result, indent=1, ensure_ascii=False) + "\n").encode())
    tried = f"{len(reports)} lab{'s' * (len(reports) != 1)}, {count} seed{'s' * (count != 1)}"
    console.print(f"{tried}: {f'{wrong} wrong' if wrong else 'all is well'}", style="red" if wrong else "green")
    return 1 if wrong else 0


def tasks_of(lab: Lab, *, thorough: bool = False, seeds: int = SEEDS) -> list[Task]:
    """What is to be run for a lab, the longest first."""
    names = ["practice", *(f"audit-{number}" for number in range(1, seeds))]
    return plan(lab, names, thorough=thorough) + (mutants(lab, names[0]) if thorough else [])


def audit(
    lab: Lab, tasks: Sequence[Task], *, workers: int = 2, console: Console | None = None
) -> tuple[list[Finding], list]:
    """Runs the tasks; what is wrong (and worth a note), and what came of each task, in their order."""
    with progress(console, lab, len(tasks)) as advance:
        outcomes = run_tasks(lab, tasks, workers, advance)
    findings = read(lab)
    for task, outcome in zip(tasks, outcomes, strict=True):
        findings += judge(lab, task, outcome)
    findings += mutation_score(lab, tasks, outcomes)
    return list(dict.fromkeys(findings)), outcomes
