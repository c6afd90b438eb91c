"""Feedback for each student, and for the instructor the grades and a report on the class.

The pages stand alone: no script, nothing from elsewhere, and a content policy that allows neither. What a student wrote
is escaped, or markdown made harmless.
"""

import base64
import csv
import hashlib
import html
import io
import json
import statistics
import urllib.parse
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

import jinja2
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from autograder import sanitise
from autograder.classroom import Classroom
from autograder.files import write_atomically
from autograder.gradebook import CellGrade, Standing
from autograder.labs import Lab
from autograder.progress import STAMP, STAMP_TEXT
from autograder.results import CellResult, Result
from autograder.verdicts import cut, printed

SHOWN_PRINTED = 2000  # characters of a cell's output in the feedback
SHOWN_IMAGES = 2_000_000  # base64 characters of images in one feedback
MOST_COMMON = 3  # hints shown for an exercise
BINS = 10
OPEN = ("not_done", "depends", "missing", "no_answer")  # kinds of a cell that was not answered rather than wrong


@dataclass
class Part:
    """What the feedback says of one exercise or question."""

    name: str
    points: float | None
    max_points: float
    verdict: str  # "passed", "part", "failed", "pending", "open"
    cells: list[CellResult]
    grades: list[CellGrade]
    code: Markup | None = None
    answer: Markup | None = None
    printed: str = ""
    images: list[str] = field(default_factory=list)
    by_hand: bool = False
    comment: str = ""


@dataclass
class ExerciseStatistics:
    """How a class did in one exercise; hand-ins that could not be judged do not count."""

    name: str
    judged: int
    solved: int
    hints: list[tuple[str, int]]

    @property
    def rate(self) -> float | None:
        return self.solved / self.judged if self.judged else None


def write_reports(
    classroom: Classroom, lab: Lab, source: str, results: list[Result], standings: dict[str, Standing]
) -> None:
    """Writes `feedback/NAME/LAB.html` for each result, `LAB/grades.csv` and `LAB/report.html`.

    Args:
        source: the lab's own notebook as JSON; what its hidden tests say is kept out of the feedback.
        standings: what the gradebook holds, by student: points given by hand count.
    """
    cells = json.loads(source)["cells"]
    sources = ["".join(c["source"]) for c in cells]
    hidden = sanitise.hidden_lines(sources)
    for result in results:
        page = feedback(classroom, result, standings[result.student], hidden)
        write_atomically(classroom.feedback(lab.name, result.student), page.encode("utf-8"))
    folder = classroom.reports(lab.name)
    write_atomically(folder / "grades.csv", grades_csv(lab, results, standings).encode("utf-8-sig"))
    write_atomically(folder / "report.html", class_report(lab, results, standings).encode("utf-8"))


def feedback(classroom: Classroom, result: Result, standing: Standing, hidden: frozenset[str]) -> str:
    """One student's feedback as a page."""
    cells = _graded_cells(classroom, result)
    return _page(
        "feedback.html.j2",
        title=f"{result.lab}: feedback for {result.student}",
        result=result,
        standing=standing,
        parts=_parts(result, standing, cells, hidden),
        explored=_explored(cells, hidden),
        notes=[n for n in result.notes if n["text"] not in result.reason],
        report=f"../../{urllib.parse.quote(result.lab)}/report.html",
        shown=SHOWN_PRINTED,
    )


def _graded_cells(classroom: Classroom, result: Result) -> list[dict]:
    """The cells of the notebook that was graded, which holds the student's own code and what it printed."""
    try:
        return json.loads(classroom.graded(result.lab, result.student).read_text("utf-8"))["cells"]
    except (OSError, ValueError, KeyError):
        return []


def _parts(result: Result, standing: Standing, cells: list[dict], hidden: frozenset[str]) -> list[Part]:
    answers = {c["metadata"].get("nbgrader", {}).get("grade_id"): c for c in cells}
    exercises: dict[str, list[CellResult]] = {}
    for cell in result.cells:
        exercises.setdefault(cell.exercise, []).append(cell)
    parts, room = [], SHOWN_IMAGES
    for name, verdicts in exercises.items():
        grades = [standing.cells[c.grade_id] for c in verdicts if c.grade_id in standing.cells]
        pending = any(g.pending for g in grades) or (not grades and any(c.points is None for c in verdicts))
        points = sum(g.score for g in grades)
        part = Part(
            name=name,
            points=None if pending else points,
            max_points=sum(c.max_points for c in verdicts),
            verdict="pending",
            cells=verdicts,
            grades=grades,
            by_hand=any(g.manual is not None for g in grades),
            comment="\n".join(g.comment for g in grades if g.comment),
        )
        if not pending:
            full = points >= part.max_points
            part.verdict = "passed" if full else "part" if points > 0 else "failed"
            if part.verdict == "failed" and all(c.kind in OPEN for c in verdicts):
                part.verdict = "open"
        answer = answers.get(name)
        if answer and answer["cell_type"] == "code":
            source = "".join(answer["source"])
            part.code = code(source) if source.strip() else None
            part.printed = cut(sanitise.without_lines(printed(_outputs(answer)), hidden), SHOWN_PRINTED)
            part.images, room = _images(answer, room)
        elif answer:
            text = answer["metadata"].get("unmagic", {}).get("source", "")
            part.answer = Markup(sanitise.markdown(text)) if text.strip() else None
        parts.append(part)
    return parts


def _explored(cells: list[dict], hidden: frozenset[str]) -> list[dict]:
    """What the student's own exploration showed when it was handed in; it was not run again."""
    shown, room = [], SHOWN_IMAGES
    for cell in cells:
        mark = cell["metadata"].get("unmagic", {})
        if mark.get("kind") != "explore" or mark.get("run"):
            continue
        text = printed(_outputs(cell)) + "".join(
            o["data"].get("text/plain", "") + "\n" for o in _outputs(cell) if o["output_type"] == "execute_result"
        )
        images, room = _images(cell, room)
        if text.strip() or images:
            text = cut(sanitise.without_lines(text, hidden), SHOWN_PRINTED)
            shown.append({"code": code("".join(cell["source"])), "printed": text, "images": images})
    return shown


def _outputs(cell: dict) -> list[dict]:
    """Outputs whose text is one string, as nbformat's files have lists of lines."""
    outputs = []
    for output in cell.get("outputs", []):
        output = {**output, "text": "".join(output.get("text", ""))}
        if "data" in output:
            output["data"] = {k: "".join(v) for k, v in output["data"].items()}
        outputs.append(output)
    return outputs


def _images(cell: dict, room: int) -> tuple[list[str], int]:
    """PNGs as data addresses, and how much room is left for more."""
    images = []
    for output in _outputs(cell):
        data = sanitise.png(output.get("data", {}).get("image/png"))
        if data and len(data) <= room:
            room -= len(data)
            images.append(f"data:image/png;base64,{data}")
    return images, room


def class_report(lab: Lab, results: list[Result], standings: dict[str, Standing]) -> str:
    """The instructor's page: points, exercises, students."""
    finals = [standings[r.student].final for r in results if r.state != "ungradable"]
    total = max((s.max_score for s in standings.values()), default=lab.points)
    rows = []
    for result in results:
        address = f"../feedback/{urllib.parse.quote(result.student)}/{urllib.parse.quote(lab.name)}.html"
        rows.append({"result": result, "standing": standings[result.student], "feedback": address})
    return _page(
        "report.html.j2",
        title=f"{lab.name}: class report",
        lab=lab.name,
        isolated=all(r.isolation != "none" for r in results),
        states=Counter(r.state for r in results),
        pending=sum(standings[r.student].pending for r in results),
        count=len(results),
        total=total,
        mean=statistics.fmean(finals) if finals else None,
        median=statistics.median(finals) if finals else None,
        histogram=histogram(finals, total),
        exercises=exercise_statistics(results),
        moved=[row for row in rows if row["result"].moved],
        rows=rows,
    )


def exercise_statistics(results: list[Result]) -> list[ExerciseStatistics]:
    """By exercise, in the lab's order: how many solved all of it, and which hints were given most."""
    names = dict.fromkeys(c.exercise for r in results for c in r.cells if c.kind not in ("manual", "no_answer"))
    found = []
    for name in names:
        judged = solved = 0
        hints: Counter[str] = Counter()
        for result in results:
            cells = [c for c in result.cells if c.exercise == name and c.kind not in ("manual", "no_answer")]
            if not cells or any(c.ok is None for c in cells):
                continue
            judged += 1
            solved += all(c.ok for c in cells)
            failed = next((c for c in cells if not c.ok), None)
            if failed:
                hints[failed.hint or failed.message.split("\n")[0]] += 1
        found.append(ExerciseStatistics(name, judged, solved, hints.most_common(MOST_COMMON)))
    return found


def histogram(points: list[float], total: float) -> list[dict]:
    """Bins of equal width from 0 to `total`: `low`, `high`, `count`, and `share` of the fullest bin."""
    width = total / BINS if total else 1.0
    counts = Counter(min(BINS - 1, max(0, int(p / width))) for p in points)
    most = max(counts.values(), default=1)
    return [
        {"low": i * width, "high": (i + 1) * width, "count": counts[i], "share": counts[i] / most} for i in range(BINS)
    ]


def grades_csv(lab: Lab, results: list[Result], standings: dict[str, Standing]) -> str:
    """One row for each hand-in. `score` is the gradebook's; `final` has the late penalty taken off.

    A cell that waits for a person is empty, not 0.
    """
    graded = [c for c in lab.cells if c.kind in ("tests", "manual")]
    header = "student last_name first_name email state reason_code reason score late_penalty final max_score pending"
    rows = [[*header.split(), *(c.grade_id for c in graded)]]
    for result in results:
        standing = standings[result.student]
        cells = [standing.cells[c.grade_id] for c in graded]
        ungraded = result.state == "ungradable" and all(c.manual is None for c in cells)
        rows.append(
            [
                standing.student,
                standing.last_name,
                standing.first_name,
                standing.email,
                result.state,
                result.reason_code,
                result.reason,
                "" if ungraded else f"{standing.score:g}",
                f"{standing.penalty:g}",
                "" if ungraded else f"{standing.final:g}",
                f"{standing.max_score:g}",
                "yes" if standing.pending else "no",
                *("" if c.auto is None and c.manual is None else f"{c.score:g}" for c in cells),
            ]
        )
    return csv_text(rows)


def csv_text(rows: list[list[str]]) -> str:
    """Rows as CSV in which no cell is taken for a formula by a spreadsheet."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\r\n").writerows([[_no_formula(str(c)) for c in row] for row in rows])
    return buffer.getvalue()


def _no_formula(value: str) -> str:
    """Text that begins like a formula gets an apostrophe before it; a number stays one."""
    if value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        try:
            float(value)
        except ValueError:
            return f"'{value}"
    return value


def code(source: str) -> Markup:
    """Python source as highlighted, escaped HTML."""
    return Markup(highlight(source, PythonLexer(stripnl=False), HtmlFormatter(cssclass="code", nowrap=True)))


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("autograder"), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters["number"] = lambda value: f"{value:g}" if value is not None else "–"
    environment.filters["percent"] = lambda value: f"{100 * value:.0f} %"
    environment.filters["clock"] = lambda text: html.escape(text).replace("T", " ").replace("+00:00", " UTC")
    return environment


@cache
def _style() -> str:
    """The pages' style: ours and the code's, light and dark."""
    own = files("autograder").joinpath("templates/style.css").read_text("utf-8")
    light = HtmlFormatter(style="a11y-high-contrast-light").get_style_defs(".code")
    dark = HtmlFormatter(style="a11y-high-contrast-dark").get_style_defs(".code")
    return f"{own}\n{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n.code {{ background: none }}\n}}\n"


def _page(template: str, **values) -> str:
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    return (
        _environment()
        .get_template(template)
        .render(style=Markup(style), policy=policy, stamp=STAMP, stamp_text=STAMP_TEXT, **values)
        + "\n"
    )
