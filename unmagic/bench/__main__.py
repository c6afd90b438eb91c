"""`python -m unmagic.bench` and `python -m unmagic.bench look`"""

from unmagic.bench import looking
from unmagic.bench.run import run, table, write_json

import argparse
import pathlib
import sys


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m unmagic.bench",
        description="Time what the course computes, on the CPU and on the GPU if there is one (see UNMAGIC_DEVICE).",
    )
    parser.add_argument(
        "what", nargs="?", choices=["course", "look"], default="course", help="look: maps beside other libraries' maps"
    )
    parser.add_argument("--only", default="", metavar="WORDS", help="only what has WORDS in its name")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="timed rounds after one to warm up (5)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="also write the numbers to FILE")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error(f"--rounds is {options.rounds}; wanted 1 or more")
    if options.what == "look" and options.only:
        parser.error("--only is of the course's computations; `look` is timed whole")

    def progress(line: str) -> None:
        print(line, file=sys.stderr)

    try:
        if options.what == "look":
            report = looking.run(options.rounds, progress)
        else:
            report = run(options.only, options.rounds, progress)
    except (ValueError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 2
    print(looking.table(report) if options.what == "look" else table(report))
    if options.json:
        write_json(report, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
