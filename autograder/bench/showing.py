"""The bench as tables for a person."""

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

_COLUMNS = ("", "min", "median", "max", "over", "faster", "share", "start", "mark", "end", "MiB", "more")


def show(console: Console, report: dict) -> None:
    for name, rows in report["sets"].items():
        title = f"{name}: {report['handins']} hand-ins, {report['rounds']} rounds, {report['cores']} cores; seconds"
        table = Table(title=title, box=SIMPLE, padding=(0, 1), pad_edge=False)
        for column in _COLUMNS:
            table.add_column(column, justify="right" if column else "left", no_wrap=True)
        for row in rows:
            table.add_row(
                row["way"],
                *(f"{s:.2f}" for s in row["seconds"]),
                f"{row['overhead_s']:.3f}",
                *(_or_nothing(row[k], f) for k, f in (("faster", ".1f"), ("overhead_share", ".0%"))),
                *(_or_nothing(row[k], ".2f") for k in ("start_s", "marking_s", "end_s")),
                f"{row['memory_mb']:.0f}",
                _or_nothing(row["more_mb"], ".0f"),
            )
        console.print(table)
    console.print(
        "min, median, max: the whole class. over: a hand-in's overhead: its time less the floor's on as many"
        " cores. faster: than stock nbgrader, so many times. share: of stock nbgrader's overhead. start: until"
        " the first hand-in is begun. mark: of one hand-in, while others are marked too. end: after the last."
        " MiB: most that all processes together held, each shared page once. more: of that, for each worker"
        " more than one."
    )
    for text in report["not_measured"]:
        console.print(text)


def _or_nothing(value: float | None, form: str) -> str:
    return "" if value is None else f"{value:{form}}"
