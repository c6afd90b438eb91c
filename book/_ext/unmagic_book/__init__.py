"""The book's own Sphinx extension: what a page of this course has beyond Jupyter Book's.

execution   the cache's key, and pages executed side by side
notebooks   every page with code also downloads as a notebook that runs
markdown    a resolved page as Markdown, for those notebooks
prose       what every page must have: alternative text, computed numbers; what every chapter ends with
questions   ```{question}: an answer that unfolds
labs        ```{lab}: the box that leads to a lab
timings     ```{timings}: tables of how long things take
stills      pictures of `unmagic.page.figure` as files
theme       live figures' scripts on the pages that have one, and mends to the theme
"""

from . import execution, labs, notebooks, prose, questions, stills, theme, timings


def setup(app):
    for part in (execution, prose, questions, labs, timings, stills, notebooks, theme):
        part.setup(app)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": False}
