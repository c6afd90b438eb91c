"""`python -m unmagic.trained [NAME ...]`"""

from unmagic.trained.files import ACCURACIES, FOLDER
from unmagic.trained.making import make, note
from unmagic.trained.recipes import RECIPES

import argparse
import sys
import time
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m unmagic.trained",
        description="Train the small nets of the course by their recipes, on the CPU in one thread, and write their "
        "weights and their accuracy on the test split.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(RECIPES)} (all)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="write there, not beside the package's code")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in RECIPES]
    if unknown:
        parser.error(f"there is no recipe for {', '.join(unknown)}; there are {', '.join(RECIPES)}")
    for name in options.names or RECIPES:
        recipe, before = RECIPES[name], time.process_time()
        print(f"{name}: {recipe.epochs} epochs of {recipe.images:,} images", file=sys.stderr, flush=True)
        row = make(name, options.folder / "weights")
        note(row, options.folder / ACCURACIES.name)
        print(
            f"{name}: accuracy {row['accuracy']:.1%} (against FGSM {row['robust_accuracy']:.1%}), "
            f"{row['parameters']:,} parameters, {row['bytes']:,} bytes, {time.process_time() - before:.0f} CPU seconds",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
