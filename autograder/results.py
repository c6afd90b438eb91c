"""What grading one hand-in gives: a state, a reason, a verdict on every tests cell; and the file it is kept in."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from autograder.files import write_atomically

SCHEMA = "unmagic/result/1"


@dataclass
class Line:
    """A line of the student's own code on the way to an error: the cell, the line's number from 1, its text."""

    cell: str
    number: int
    text: str


@dataclass
class CellResult:
    """The verdict on one graded cell.

    Attributes:
        grade_id, exercise: which cell.
        points: given; None while it is for a person to say (a manual answer, or a test that could not be judged).
        max_points: what the cell is worth.
        ok: True passed, False failed, None not judged.
        kind: "" when passed; a CheckError's kind ("shape", "value", …); "error" for any other exception; "not_done",
            "missing", "syntax", "timeout", "died", "output"; "manual" and "no_answer"; "not_judged".
        message: what was found and what was wanted, for the student.
        hint: which idea to look at again.
        lines: the student's own lines on the way to the error, outermost first.
        output: what was printed while the tests ran, cut.
        key: what of the lab the verdict hangs on; while it and the hashes are the same, so is the verdict.
    """

    grade_id: str
    exercise: str
    points: float | None
    max_points: float
    ok: bool | None
    kind: str = ""
    message: str = ""
    hint: str = ""
    lines: list[Line] = field(default_factory=list)
    output: str = ""
    key: str = ""


@dataclass
class Result:
    """One hand-in's result. See DESIGN.md ("States") for `state`.

    Attributes:
        reason, reason_code: a sentence for a person and its word for programs; empty when there is nothing to say.
        points, max_points: of the tests cells; manual answers are counted by the gradebook.
        notes: what the student should know, each with `code`, `grade_id`, `text`.
        limits_hit: each with `limit`, `cell`, `text`.
        times: `started` (ISO 8601, UTC) and `seconds`.
        hashes: SHA-256 of `handin`, `lab`, `grader`, `limits` and `seed`; a result is good while they are the same.
            And of `frame`, the lab without its tests cells and point values.
        tests_run: grade ids of the tests cells that this grading ran; the other verdicts are an earlier one's.
        moved: what this grading changed, if it was not the first: `before`, `after`, `why`, and in `cells`, for each
            whose points changed, `grade_id`, `before`, `after`, `why`. Empty when nothing moved.
    """

    lab: str
    student: str
    state: str
    reason_code: str
    reason: str
    points: float
    max_points: float
    isolation: str
    cells: list[CellResult] = field(default_factory=list)
    notes: list[dict] = field(default_factory=list)
    limits_hit: list[dict] = field(default_factory=list)
    times: dict = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    tests_run: list[str] = field(default_factory=list)
    moved: dict = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps({"schema": SCHEMA, **dataclasses.asdict(self)}, indent=1, ensure_ascii=False) + "\n"

    def scores(self) -> dict[str, float | None]:
        """Points by grade id."""
        return {c.grade_id: c.points for c in self.cells}


def from_json(text: str) -> Result:
    """The inverse of `Result.to_json`. ValueError says what is wrong."""
    data = json.loads(text)
    schema = data.pop("schema", None) if isinstance(data, dict) else None
    if schema != SCHEMA:
        raise ValueError(f"found schema {schema!r}, wanted {SCHEMA!r}")
    try:
        cells = [
            CellResult(**{**c, "lines": [Line(**line) for line in c.get("lines", [])]}) for c in data.pop("cells", [])
        ]
        return Result(**data, cells=cells)
    except TypeError as error:
        raise ValueError(str(error)) from None


def load(path: Path) -> Result | None:
    """A result that was kept, or None if there is none or it is of another schema: then it is made anew."""
    try:
        return from_json(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def save(path: Path, result: Result) -> None:
    write_atomically(path, result.to_json().encode("utf-8"))


def digest(*parts: str) -> str:
    """SHA-256 of texts, told apart."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()
