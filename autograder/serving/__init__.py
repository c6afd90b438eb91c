"""What `make course` serves on one address: the book, the labs in JupyterLab, formgrader and the class report.

A Jupyter server extension; `python -m autograder.serving` starts a server with it (see `__main__.py`).
"""


def _jupyter_server_extension_points():
    return [{"module": "autograder.serving"}]


def _load_jupyter_server_extension(serverapp):
    from autograder.serving.extension import add_routes

    add_routes(serverapp.web_app, serverapp.root_dir)
