"""```{timings}: a table for every machine in book/timings/*.json, as `python -m unmagic.bench --json` writes them."""

import json
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

SCHEMA = "unmagic/bench/1"
ROW = ("name", "device", "min_s", "median_s", "max_s", "per_second", "unit")


class TimingsError(ValueError):
    """A file of timings that cannot be shown."""


def read_timings(path: Path) -> dict:
    try:
        timings = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise TimingsError(f"{path.name} is not JSON: {error}. Write it with: python -m unmagic.bench --json") from None
    found = timings.get("schema") if isinstance(timings, dict) else None
    if found != SCHEMA:
        raise TimingsError(f"{path.name} has the schema {found!r}, wanted {SCHEMA!r}: python -m unmagic.bench --json")
    missing = [key for key in ("machine", "date", "torch", "rows") if key not in timings]
    missing += (
        [f"rows[{i}].{key}" for i, row in enumerate(timings["rows"]) for key in ROW if key not in row]
        if not missing
        else []
    )
    if missing:
        raise TimingsError(
            f"{path.name} lacks {', '.join(missing)}: write it anew with: python -m unmagic.bench --json"
        )
    return timings


def seconds(value: float | None) -> str:
    """Three digits, in the unit that suits: 1.23 s, 45.6 ms, 789 µs."""
    if value is None:
        return "–"
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if value * factor >= 1 or unit == "µs":
            scaled = value * factor
            return f"{scaled:.{max(0, 2 - len(str(int(scaled))) + 1)}f} {unit}"
    raise AssertionError("unreachable")


def rate(row: dict) -> str:
    value = row["per_second"]
    if value is None:
        return "–"
    return f"{value:,.0f} {row['unit']}/s" if value >= 10 else f"{value:.3g} {row['unit']}/s"


class TimingsDirective(SphinxDirective):
    def run(self):
        folder = Path(self.env.doc2path(self.env.docname)).parent / "timings"
        files = sorted(folder.glob("*.json"))
        if not files:
            text = "No machine has been timed yet. `python -m unmagic.bench --json > book/timings/NAME.json` times one."
            return self.parse_text_to_nodes(text)
        result = []
        for path in files:
            self.env.note_dependency(str(path))
            try:
                result += self.table(read_timings(path))
            except TimingsError as error:
                raise self.error(str(error)) from None
        return result

    def table(self, timings: dict) -> list[nodes.Node]:
        section = nodes.section(
            ids=[nodes.make_id(f"timings-{timings['machine']}-{timings['date']}")], classes=["computed"]
        )
        section += nodes.title(text=timings["machine"])
        section += nodes.paragraph(text=f"Measured on {timings['date']} with torch {timings['torch']}.")
        header = ("what", "device", "fastest", "median", "slowest", "rate")
        rows = [
            (row["name"], row["device"], *(seconds(row[f"{which}_s"]) for which in ("min", "median", "max")), rate(row))
            for row in timings["rows"]
        ]
        group = nodes.tgroup(cols=len(header))
        group += [nodes.colspec(colwidth=1) for _ in header]
        group += nodes.thead("", _row(header))
        group += nodes.tbody("", *(_row(row) for row in rows))
        section += nodes.table("", group, classes=["unmagic-timings"])
        return [section]


def _row(cells) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph(text=cell)) for cell in cells))


def setup(app):
    app.add_directive("timings", TimingsDirective)
