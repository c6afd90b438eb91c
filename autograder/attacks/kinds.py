"""What an attack is: what is handed in, what it may get, and what must not happen."""

from collections.abc import Mapping
from dataclasses import dataclass, field

CANARY = "canary-"  # what begins so lies in hidden tests, seed, gradebook, other hand-ins: none of it may be read

RIGHT = {
    "total": "def total(x):\n    return (x**2).sum()",
    "halve": "def halve(x):\n    return x / 2",
    "steps": "def steps(x, n):\n    return [x * (k + 1) for k in range(n)]",
}
WRONG = {
    "total": "def total(x):\n    return x.sum() * 0 - 1",
    "halve": "def halve(x):\n    return x * 3 + 1",
    "steps": "def steps(x, n):\n    return [x * 0 - 1] * n",
}
OTHERS = 5.0  # points of `halve` and `steps`, done honestly


@dataclass(frozen=True)
class Probe:
    """Code that runs as one cell in the sandbox. It calls `reached(what)` if it gets what it wants.

    Attributes:
        code: `CLASSROOM`, `CHECKOUT` and `PARENT` in it stand for folders of this machine, as literals.
        refused: a pattern of what the cell must say. An attack that says anything else was not tried, or got through.
        wanted: what should happen, as a person reads it.
        seconds: it may take.
    """

    name: str
    family: str
    code: str
    refused: str
    wanted: str = "refused"
    seconds: float = 20.0


@dataclass(frozen=True)
class HandIn:
    """A notebook that is handed in and marked.

    Attributes:
        code: the answer to the first exercise, "total".
        honest: the other two answers are right, and have to get their points; else all are wrong.
        earns: the points it must get, no more and no less.
        says: a pattern that reason, limits or messages must match.
        answers: by grade id, answers other than these.
        metadata: put on every cell of the hand-in.
        extra: code cells put in front of everything.
        folder: file name to text: files beside the notebook.
        cell_seconds, memory_mb: limits.
        student: the name it is handed in under.
    """

    name: str
    family: str
    code: str = WRONG["total"]
    honest: bool = True
    earns: float = OTHERS
    says: str = ""
    answers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, object] = field(default_factory=dict)
    extra: tuple[str, ...] = ()
    markdown: tuple[str, ...] = ()
    cell_seconds: float = 20.0
    memory_mb: int = 2048
    student: str = "mallory"

    @property
    def wanted(self) -> str:
        return f"{self.earns:g} points" + (f", told “{self.says}”" if self.says else "")

    @property
    def filled(self) -> dict[str, str]:
        """All answers by grade id."""
        return {**(RIGHT if self.honest else WRONG), "total": self.code, **self.answers}


Attack = Probe | HandIn


def cheat(name: str, family: str, code: str, **options) -> HandIn:
    """A hand-in in which every answer is wrong, and which must get nothing: `code` comes before the wrong answer."""
    return HandIn(name, family, f"{code}\n\n{WRONG['total']}", **{"honest": False, "earns": 0.0, **options})
