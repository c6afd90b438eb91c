"""The grader: release, grade, report, audit. From Python: `from autograder import grade_notebook`."""

import sys

# nbformat brings in jsonschema, and that, where JupyterLab is installed, a library of internationalised addresses that
# builds 39 parsers at its import: over a second in every process. Notebooks have no such addresses; jsonschema does
# without it when it cannot be imported.
sys.modules.setdefault("rfc3987_syntax", None)

__all__ = ["grade_notebook"]


def __getattr__(name: str):
    """`grade_notebook` when it is asked for: this file is also imported in the sandbox, where no grader is."""
    if name == "grade_notebook":
        from autograder.single import grade_notebook

        return grade_notebook
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
