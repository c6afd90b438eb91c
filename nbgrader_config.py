"""nbgrader's settings for this course: `nbgrader autograde descent` and formgrader work from the repository's root.

The class is the folder that the environment's UNMAGIC_CLASS names, else class/.
"""

import os
import sys
from pathlib import Path

from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
from nbgrader.preprocessors import AssignLatePenalties, GetGrades

from autograder import autograde
from autograder.release import CODE_STUB, COURSE, TEXT_STUB
from autograder.shown import Harmless, HideTests, safe_markdown

root = Path(__file__).resolve().parent
classroom = root / os.environ.get("UNMAGIC_CLASS", "class")
classroom.mkdir(parents=True, exist_ok=True)  # SQLite makes no folders


def step(folder: Path) -> str:
    """A step of nbgrader's: relative to the root, so that formgrader can link to it; absolute for a class elsewhere."""
    return str(folder.relative_to(root) if folder.is_relative_to(root) else folder)


# nbgrader starts `alembic` by name; it lies beside our Python, whether that is activated or not
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

c = get_config()  # noqa: F821, traitlets gives it

c.CourseDirectory.course_id = COURSE
c.CourseDirectory.root = str(root)
c.CourseDirectory.db_url = f"sqlite:///{classroom / 'gradebook.db'}"
# Never solutions/: nbgrader copies whatever lies beside a source notebook to students and into the kernel's folder.
c.CourseDirectory.source_directory = step(root / "_build" / "nbgrader" / "source")
c.CourseDirectory.source_with_tests_directory = step(root / "_build" / "nbgrader" / "source_with_tests")
c.CourseDirectory.release_directory = "labs"
c.CourseDirectory.submitted_directory = step(classroom / "submitted")
c.CourseDirectory.autograded_directory = step(classroom / "graded")
c.CourseDirectory.feedback_directory = step(classroom / "feedback")
c.CourseDirectory.solution_directory = step(root / "_build" / "nbgrader" / "solution")
c.Exchange.root = str(classroom / "exchange")  # optional: students hand in by file

# formgrader's "generate" gives what `autograder release` gives
c.ClearSolutions.code_stub = {"python": CODE_STUB}
c.ClearSolutions.text_stub = TEXT_STUB

# `nbgrader autograde` and formgrader's button grade as `autograder grade` does: in a sandbox, tests outside of it
autograde.install()
c.Autograde.sanitize_preprocessors = []
c.Autograde.autograde_preprocessors = [AssignLatePenalties]

# formgrader and nbgrader's feedback: nothing of a hand-in comes alive, whoever graded it; no hidden test in feedback
c.HTMLExporter.preprocessors = [Harmless]
c.HTMLExporter.filters = {"markdown2html": safe_markdown}
c.GenerateFeedback.preprocessors = [HideTests, GetGrades, CSSHTMLHeaderPreprocessor]

# the kernel of nbgrader's validate button and of `nbgrader generate_assignment`
c.ExecutePreprocessor.kernel_name = "python3"
c.ExecutePreprocessor.timeout = 60  # seconds a cell
c.ExecutePreprocessor.startup_timeout = 120  # seconds; a first import of torch from a slow disk takes long
c.ExecutePreprocessor.extra_arguments = ["--HistoryManager.enabled=False"]  # no history in a home folder
c.ExecutePreprocessor.shutdown_kernel = "immediate"  # saves about a second a hand-in: nothing waits for a tidy end
