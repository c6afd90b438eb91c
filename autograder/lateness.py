"""Late penalties, as the course's nbgrader settings say: the plugin of `nbgrader autograde`, called as it calls it."""

import contextlib
from pathlib import Path

from nbgrader.api import Gradebook
from traitlets.config import Config
from traitlets.config.loader import ConfigFileNotFound, JSONFileConfigLoader, PyFileConfigLoader

from autograder import paths
from autograder.errors import AutograderError

FILE = "nbgrader_config"


def assign_penalties(book: Gradebook, lab: str) -> None:
    """Sets the late penalty of every hand-in of a lab. Commits nothing.

    As in nbgrader: of a hand-in whose time is after the due date, extensions counted, the plugin of
    `c.AssignLatePenalties` says what is taken off, of the score with the points that were given by hand; it is at least
    0 and at most that score. Other hand-ins have no penalty. Where the settings name no plugin and no method, a penalty
    that somebody wrote into the gradebook stays.

    Raises:
        AutograderError: the settings cannot be read, or the plugin failed.
    """
    submissions = book.assignment_submissions(lab)
    if not any(s.total_seconds_late or s.notebooks[0].late_submission_penalty for s in submissions):
        return  # whatever the settings say
    with _explained():
        assigner = _assigner()
        if assigner is None:
            return
        for submission in submissions:
            notebook, penalty = submission.notebooks[0], None
            if submission.total_seconds_late > 0:
                student, late = submission.student.id, submission.total_seconds_late
                penalty = assigner.plugin_inst.late_submission_penalty(student, notebook.score, late)
            if penalty is not None:
                penalty = assigner._check_late_penalty(notebook, penalty)
            notebook.late_submission_penalty = penalty


def _assigner():
    """nbgrader's step with its plugin, if the settings have one that does anything."""
    from nbgrader.plugins import LateSubmissionPlugin
    from nbgrader.preprocessors import AssignLatePenalties

    config = settings()
    steps = config.Autograde.get("autograde_preprocessors")
    if isinstance(steps, list) and not any(
        s is AssignLatePenalties or str(s).endswith("AssignLatePenalties") for s in steps
    ):
        return None
    assigner = AssignLatePenalties(config=config)
    assigner.init_plugin()
    plugin = assigner.plugin_inst
    return None if type(plugin) is LateSubmissionPlugin and plugin.penalty_method == "none" else assigner


def settings() -> Config:
    """nbgrader's settings of the course: of the folder we are in, else of the checkout."""
    folder = next((f for f in (Path.cwd(), paths.ROOT) if any(f.glob(f"{FILE}.*"))), paths.ROOT)
    config = Config()
    for loader in (
        PyFileConfigLoader(f"{FILE}.py", path=str(folder)),
        JSONFileConfigLoader(f"{FILE}.json", str(folder)),
    ):
        with contextlib.suppress(ConfigFileNotFound):
            config.merge(loader.load_config())
    return config


@contextlib.contextmanager
def _explained():
    try:
        yield
    except Exception as error:  # the settings are Python, and the plugin is the course's own
        raise AutograderError(
            f"found that late penalties cannot be had from {FILE}.py ({type(error).__name__}: {error}); wanted what"
            " `nbgrader autograde` would take off.\n  Next: mend the plugin or the settings, and grade again."
        ) from error
