"""The command line: reads options, calls the module that does the work, says what went wrong.

Results go to stdout, errors to stderr. Exit codes: 0 all is well, 1 a check failed, 2 the command could not be done.
"""

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from autograder import paths
from autograder.errors import AutograderError

app = typer.Typer(
    name="autograder",
    help="Release labs, check their tests, grade a class.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a fault of ours shows Python's own traceback
)
LabName = Annotated[str, typer.Argument(metavar="LAB", help="A lab's name, or its folder.")]
ClassFolder = Annotated[Path, typer.Option("--class", metavar="DIR", help="The class folder.")]
GradebookUrl = Annotated[
    str, typer.Option(metavar="URL", help="nbgrader's database, as SQLAlchemy writes it.", show_default="in the class")
]
LabNames = Annotated[list[str] | None, typer.Argument(metavar="[LAB]...", help="Labs by name; all when none is given.")]


def main() -> None:
    """Entry point of the `autograder` command."""
    try:
        app()
    except AutograderError as error:
        Console(stderr=True, soft_wrap=True, markup=False, highlight=False).print(f"autograder: {error}")
        sys.exit(2)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"autograder {version('unmagic')}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    pass


@app.command()
def release(
    names: LabNames = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 if a lab in labs/ is not what its source gives.")
    ] = False,
) -> None:
    """Turn solutions/ into the labs students get (labs/) and nbgrader's source (_build/)."""
    from autograder import release as releasing

    outdated = False
    for lab in _labs(names):
        if check:
            different = releasing.differences(lab)
            outdated |= bool(different)
            for path in different:
                _say(f"{_short(path)}: not what solutions/{lab.name} gives; run `autograder release {lab.name}`")
        else:
            changed = releasing.release(lab).changed
            for path in changed:
                _say(f"{'wrote' if path.exists() else 'removed'} {_short(path)}")
            if not changed:
                _say(f"{lab.name}: nothing changed")
    if outdated:
        raise typer.Exit(1)
    if check:
        _say("labs/ is what solutions/ gives")


@app.command()
def grade(
    name: LabName,
    classroom: ClassFolder = Path("class"),
    isolation: Annotated[
        str, typer.Option(help="warm, cold or none: a forked or a fresh kernel in a sandbox, or no walls (stamped).")
    ] = "",
    workers: Annotated[int, typer.Option(help="Processes; 0 is one for each core, or GPU.", min=0)] = 0,
    gpus: Annotated[int, typer.Option(help="GPUs to grade on, one worker each; 0: on the CPU.", min=0)] = 0,
    gradebook: GradebookUrl = "",
    fresh: Annotated[bool, typer.Option("--fresh", help="Draw a new secret seed and grade everyone anew.")] = False,
    seed: Annotated[str | None, typer.Option(help="Set the secret seed.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Grade again what has not changed.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait while somebody else grades this class.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")] = False,
    scheduler: Annotated[
        str, typer.Option(metavar="ADDR", help="Grade on a Dask cluster: its scheduler's address.", show_default="here")
    ] = "",
    timeout: Annotated[float, typer.Option(help="Seconds a cell may take.", min=1)] = 60.0,
    notebook_timeout: Annotated[float, typer.Option(help="Seconds a whole hand-in may take.", min=1)] = 900.0,
    max_output: Annotated[int, typer.Option(help="Bytes a cell may print.", min=1000)] = 1_000_000,
    memory: Annotated[int, typer.Option(help="MiB a hand-in may use, all its processes together.", min=512)] = 2048,
    processes: Annotated[int, typer.Option(help="Processes and threads a hand-in may have.", min=16)] = 64,
) -> None:
    """Grade a class's hand-ins that are new or have changed; writes gradebook, feedback, grades and report."""
    from autograder import starting

    if not gpus and not scheduler and isolation in ("", "warm", "cold", "none"):
        starting.start(workers or len(os.sched_getaffinity(0)), isolation, name)
    from autograder.classroom import Classroom
    from autograder.execution import Limits
    from autograder.grading import Options
    from autograder.grading import grade as run
    from autograder.progress import choose

    limits = Limits(timeout, notebook_timeout, max_output, memory_mb=memory, processes=processes)
    options = Options(isolation, workers, fresh, seed, force, wait, limits, gpus, scheduler)
    progress = choose(as_json)
    (lab,) = _labs([name])
    try:
        progress.end(run(lab, Classroom(classroom, gradebook), options, progress))
    except KeyboardInterrupt:
        print("Stopped. What was graded is kept; the same command goes on from there.", file=sys.stderr)
        raise typer.Exit(130) from None


@app.command()
def export(
    name: LabName,
    to: Annotated[str, typer.Option(help="csv, canvas or moodle.")] = "csv",
    classroom: ClassFolder = Path("class"),
    gradebook: GradebookUrl = "",
    output: Annotated[Path | None, typer.Option(help="The file to write.", show_default="LAB/ in the class")] = None,
) -> None:
    """Write a class's grades for another system, points by hand and late penalties counted."""
    from autograder.classroom import Classroom
    from autograder.export import export as run

    (lab,) = _labs([name])
    path, remarks = run(lab, Classroom(classroom, gradebook), to, output)
    _say(f"wrote {_short(path)}")
    for remark in remarks:
        _say(remark)


@app.command()
def audit(
    names: LabNames = None,
    thorough: Annotated[bool, typer.Option("--thorough", help="Everything, on many seeds.")] = False,
    seeds: Annotated[int | None, typer.Option(help="How many seeds to try.", min=1)] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write what was found there.")
    ] = None,
) -> None:
    """Are the tests right? Mistakes must fail with their hint, alternatives must pass. Exits 1 if not."""
    from autograder.audit import run

    raise typer.Exit(run(_labs(names), thorough, seeds, Console(), json_file=json_file))


@app.command()
def doctor(
    isolation: Annotated[str, typer.Option(help="warm or cold.")] = "warm",
    families: Annotated[
        list[str] | None, typer.Option("--family", help="Only the attacks of this family; may be given again.")
    ] = None,
) -> None:
    """Can this machine grade safely? Carries out every attack we know in the sandbox. Exits 1 if one gets through."""
    from autograder.attacks import FAMILIES
    from autograder.doctor import examine

    if isolation not in ("warm", "cold"):
        raise AutograderError(f"found --isolation {isolation}; wanted warm or cold.")
    if unknown := set(families or ()) - set(FAMILIES):
        raise AutograderError(f"found --family {', '.join(sorted(unknown))}; wanted some of: {', '.join(FAMILIES)}.")
    raise typer.Exit(examine(Console(), isolation, families or ()))


@app.command()
def bench(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[light|descent]...", help="Both when none is given.")
    ] = None,
    handins: Annotated[int, typer.Option("--hand-ins", help="How many of each.", min=1)] = 40,
    rounds: Annotated[int, typer.Option(help="How often every way takes its turn.", min=1)] = 3,
    otter: Annotated[
        bool, typer.Option("--otter", help="With otter-grader too; installs it into _build/otter the first time.")
    ] = False,
    ways: Annotated[
        list[str] | None,
        typer.Option("--way", help="Only this way; may be given again. Ratios need 'stock nbgrader' and 'floor'."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """Time grading, side by side with stock nbgrader and with no isolation at all. An hour for the whole of it."""
    from autograder.bench import SETS, WAYS, report
    from autograder.bench.showing import show

    if unknown := set(names or ()) - set(SETS):
        raise AutograderError(f"found {', '.join(sorted(unknown))}; wanted some of: {', '.join(SETS)}.")
    if unknown := set(ways or ()) - set(WAYS):
        raise AutograderError(f"found --way {', '.join(sorted(unknown))}; wanted some of: {', '.join(WAYS)}.")
    found = report(
        names or list(SETS),
        handins,
        rounds,
        lambda line: print(line, file=sys.stderr, flush=True),
        with_otter=otter,
        ways=ways or WAYS,
    )
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        show(Console(width=max(110, Console().width)), found)


def _labs(names: list[str] | None) -> list:
    from autograder.labs import LabError, lab_names, load_lab

    names = names or list(lab_names())
    if not names:
        raise AutograderError(f"found no labs; wanted a folder with a lab.py in {_short(paths.SOLUTIONS)}.")
    try:
        return [load_lab(name) for name in names]
    except (FileNotFoundError, LabError) as error:
        raise AutograderError(str(error)) from error


def _short(path: Path) -> str:
    return str(path.relative_to(paths.ROOT)) if path.is_relative_to(paths.ROOT) else str(path)


def _say(text: str) -> None:
    Console(soft_wrap=True, markup=False, highlight=False).print(text)
