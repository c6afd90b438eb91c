"""The command line: reads options, calls the module that does the work, says what went wrong.

Results go to stdout, errors to stderr. Exit codes: 0 all is well, 1 a check failed, 2 the command could not be done.
"""

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
def audit(
    names: LabNames = None,
    thorough: Annotated[bool, typer.Option("--thorough", help="Everything, on many seeds.")] = False,
    seeds: Annotated[int | None, typer.Option(help="How many seeds to try.", min=1)] = None,
) -> None:
    """Are the tests right? Mistakes must fail with their hint, alternatives must pass. Exits 1 if not."""
    from autograder.audit import run

    raise typer.Exit(run(_labs(names), thorough, seeds, Console()))


def _labs(names: list[str] | None) -> list:
    from autograder.labs import lab_names, load_lab

    names = names or list(lab_names())
    if not names:
        raise AutograderError(f"found no labs; wanted a folder with a lab.py in {_short(paths.SOLUTIONS)}.")
    return [load_lab(name) for name in names]


def _short(path: Path) -> str:
    return str(path.relative_to(paths.ROOT)) if path.is_relative_to(paths.ROOT) else str(path)


def _say(text: str) -> None:
    Console(soft_wrap=True, markup=False, highlight=False).print(text)
