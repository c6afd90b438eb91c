"""The bench as tables for a person."""

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

_COLUMNS = ("", "min", "median", "max", "each", "over", "faster", "share", "first", "rest", "MiB")


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
                f"{row['handin_s']:.3f}",
                f"{row['overhead_s']:.3f}",
                *(_or_nothing(row[k], f) for k, f in (("faster", ".1f"), ("overhead_share", ".0%"))),
                *(_or_nothing(row[k], ".2f") for k in ("first_s", "other_s")),
                f"{row['memory_mb']:.0f}",
            )
        console.print(table)
    console.print(
        "min, median, max: the whole class. each: a hand-in. over: its overhead: that less the floor on as many"
        " cores. faster: than stock nbgrader, so many times. share: of stock nbgrader's overhead. first: marking of the"
        " first hand-in, with the warm parent's start. rest: start, gradebook, feedback and reports. MiB: most that all"
        " processes together held, each shared page once."
    )
    for text in report["not_measured"]:
        console.print(text)


def _or_nothing(value: float | None, form: str) -> str:
    return "" if value is None else f"{value:{form}}"
