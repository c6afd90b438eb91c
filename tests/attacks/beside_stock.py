"""What the attacks get from stock nbgrader: run once, its table committed as `beside_stock.md`.

    python -m tests.attacks.beside_stock [FAMILY …]

Stock nbgrader has no walls, so all of it runs in a box made here: no network, its own processes, a class on a file
system in memory, limits. A probe is handed in as the first line of an otherwise right answer. Takes half an hour.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbgrader.api import Gradebook

from autograder import paths
from autograder.attacks import ATTACKS, Attack, HandIn, Probe
from autograder.attacks.kinds import CANARY, RIGHT
from autograder.attacks.running import PRELUDE, Ground, live_markup
from autograder.release import register, source_notebook
from autograder.sandbox.cgroup import ControlGroup

TABLE = Path(__file__).with_suffix(".md")
CLASS = "/tmp/class"  # in the box
SECONDS, CELL_SECONDS, MEMORY_MB, PROCESSES = 150, 20, 3000, 300
_CONFIG = f"""c = get_config()
c.CourseDirectory.course_id = "unmagic"
c.CourseDirectory.root = {CLASS!r}
c.CourseDirectory.db_url = "sqlite:///{CLASS}/gradebook.db"
c.ExecutePreprocessor.timeout = {CELL_SECONDS}
"""
_INSIDE = f"cp -r /tmp/in {CLASS} && cd {CLASS} && {{}} -m nbgrader autograde target; s=$?"
_INSIDE += f"; cp -r {CLASS} /tmp/out/; exit $s"
_WALLS = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--size", str(512 << 20), "--tmpfs", "/tmp"]
_WALLS += ["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]


@dataclass(frozen=True)
class Stock:
    """What stock nbgrader made of an attack.

    points    None where the hand-in was not graded
    faults    what went wrong, in words; empty when it got what it earned and nothing else happened
    """

    points: float | None
    faults: tuple[str, ...]


def attempt(ground: Ground, attack: Attack) -> Stock:
    """Hands one attack in to stock nbgrader, in the box."""
    with tempfile.TemporaryDirectory(prefix="stock-") as folder:
        inside, outside = Path(folder, "in"), Path(folder, "out")
        outside.mkdir()
        student = _hand_in(ground, attack, inside)
        before = _others(inside, student)
        ended = _in_the_box(inside, outside)
        made = outside / "class"
        return _judged(attack, student, made, before, ended)


def _hand_in(ground: Ground, attack: Attack, root: Path) -> str:
    hand_in = attack
    if isinstance(attack, Probe):
        prelude = PRELUDE.format(CLASS, str(paths.ROOT), "/tmp")
        hand_in = HandIn(attack.name, attack.family, RIGHT["total"], extra=(prelude, attack.code), earns=7.0)
    student = hand_in.student
    folder = root / "submitted" / student / "target"
    folder.mkdir(parents=True)
    (folder / "target.ipynb").write_text(nbformat.writes(ground._notebook(hand_in)), "utf-8")
    for name in ("seed", "submitted/ada/other/target.ipynb", "results/target/ada.json"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{CANARY}{name} {secrets.token_hex(4)}")
    source = root / "source" / "target" / "target.ipynb"
    source.parent.mkdir(parents=True)
    source.write_text(nbformat.writes(source_notebook(ground.lab)), "utf-8")
    register(ground.lab, f"sqlite:///{root / 'gradebook.db'}")
    (root / "nbgrader_config.py").write_text(_CONFIG)
    return student


def _in_the_box(inside: Path, outside: Path) -> str:
    """How the command ended: "", "an error" or "it did not end"."""
    group = ControlGroup.make(f"stock-{os.getpid()}", MEMORY_MB, PROCESSES)
    if group is None:
        raise RuntimeError("no control group can be written here, and without one some attacks would hurt the machine")
    command = [shutil.which("bwrap"), *_WALLS, "--ro-bind", str(inside), "/tmp/in", "--bind", str(outside), "/tmp/out"]
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": "/tmp",
        "OMP_NUM_THREADS": "1",
        "UNMAGIC_CANARY": f"{CANARY}environment",
        "PYTHONPATH": str(paths.ROOT),
    }
    for name, value in environment.items():
        command += ["--setenv", name, value]
    command += ["--", "/bin/sh", "-c", _INSIDE.format(sys.executable)]
    # the shell waits until it is in the group; what it starts then is in it too
    process = subprocess.Popen(
        ["/bin/sh", "-c", 'read go; exec "$@"', "sh", *command],
        stdin=subprocess.PIPE,
        stdout=(outside / "log").open("wb"),
        stderr=subprocess.STDOUT,
    )
    try:
        group.enter(process.pid)
        process.stdin.write(b"go\n")
        process.stdin.close()
        return "" if process.wait(SECONDS) == 0 else "an error"
    except subprocess.TimeoutExpired:
        return "it did not end"
    finally:
        process.kill()
        process.wait()
        group.close()


def _judged(attack: Attack, student: str, made: Path, before: dict, ended: str) -> Stock:
    earned = 7.0 if isinstance(attack, Probe) else attack.earns
    faults = []
    if not made.is_dir():
        return Stock(None, ("the grader was ended" if ended != "it did not end" else "the grader hangs",))
    points = None
    with contextlib.suppress(Exception), Gradebook(f"sqlite:///{made / 'gradebook.db'}", "unmagic") as gradebook:
        notebook = made / "autograded" / student / "target" / "target.ipynb"
        if notebook.exists():
            points = gradebook.find_submission("target", student).score
    text = ""
    notebook = made / "autograded" / student / "target" / "target.ipynb"
    if notebook.exists():
        text = notebook.read_text("utf-8")
        faults += _shown(nbformat.reads(text, as_version=4))
    if points is None:
        faults.insert(0, "not graded at all" + (f" ({ended})" if ended == "it did not end" else ""))
    elif points > earned:
        faults.insert(0, f"{points - earned:g} points it did not earn")
    elif points < earned:
        faults.insert(0, f"{earned - points:g} earned points lost")
    if _others(made, student) != before:
        faults.append("other files of the class were changed")
    return Stock(points, tuple(faults))


def _shown(notebook: nbformat.NotebookNode) -> list[str]:
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", ())]
    said = json.dumps(outputs)
    faults = []
    if CANARY in said:
        faults.append("read what is not its own")
    elif re.search(r"(?m)^REACHED ", "\n".join(o.get("text", "") for o in outputs)):
        faults.append("did what it should not")
    kinds = {kind for o in outputs for kind in o.get("data", {})}
    live = kinds & {"text/html", "application/javascript", "image/svg+xml", "text/markdown", "text/latex"}
    if live or any(live_markup(cell.source) for cell in notebook.cells if cell.cell_type == "markdown"):
        faults.append("live markup before the instructor")
    return faults


def _others(root: Path, student: str) -> dict[str, bytes]:
    """What nobody's hand-in may change: everything but the gradebook and what belongs to this student."""
    own = (f"submitted/{student}/", f"autograded/{student}/", "gradebook.db", ".nbgrader.log")
    files = {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if not name.startswith(own)}


def main(families: list[str]) -> None:
    attacks = [attack for attack in ATTACKS if not families or attack.family in families]
    rows, wrong = [], 0
    with Ground() as ground:  # ours first: its probes share a kernel, which does not wait for ever
        ours_of = {attack.name: ground.attempt(attack) for attack in attacks}
        for number, attack in enumerate(attacks, 1):
            stock, ours = attempt(ground, attack), ours_of[attack.name]
            wrong += bool(stock.faults)
            points = "none" if stock.points is None else f"{stock.points:g}"
            cells = [attack.family, attack.name, attack.wanted, points, "; ".join(stock.faults) or "held"]
            rows.append([*cells, "held" if ours.held else f"THROUGH: {ours.happened}"])
            print(f"{number}/{len(attacks)}", *rows[-1], sep=" | ", flush=True)
    held = sum(row[-1] == "held" for row in rows)
    lines = [
        "# The attacks beside stock nbgrader",
        "",
        f"Each attack handed in to stock nbgrader {importlib.metadata.version('nbgrader')} and to `autograder`",
        "(warm sandbox), by `python -m tests.attacks.beside_stock`; what each is stands in `autograder/attacks/`.",
        "An attack on the machine (a probe) is handed in with right answers, and has to keep its 7 points.",
        "",
        f"**Of {len(rows)} attacks, stock nbgrader held off {len(rows) - wrong}, `autograder` {held}.** "
        f"Wrong answers had {sum(_gained(row) for row in rows)} times more than they earned from stock nbgrader, "
        f"{sum('lost' in row[4] or 'not graded' in row[4] for row in rows)} hand-ins lost what they had earned, "
        f"{sum('read what' in row[4] for row in rows)} read what is not theirs.",
        "",
        "| family | attack | may get | stock: points | stock: what happened | autograder |",
        "|---|---|---|---|---|---|",
    ]
    lines += ["| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in row) + " |" for row in rows]
    if not families:
        TABLE.write_text("\n".join(lines) + "\n", "utf-8")
        print(f"wrote {TABLE.name}: stock held off {len(rows) - wrong} of {len(rows)}, ours {held}")


def _gained(row: list[str]) -> bool:
    return "did not earn" in row[4]


if __name__ == "__main__":
    main(sys.argv[1:])
