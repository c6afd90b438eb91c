"""`python -m autograder.serving`: serve the book, the labs, formgrader and the class report on 127.0.0.1."""

import argparse
import json
import os
import secrets
import signal
import socket
import sys
from pathlib import Path

from autograder import paths
from autograder.files import write_atomically

# JupyterLab asks nobody for news, and leaves out nbgrader's panel for writing labs: ours are written in solutions/
_LAB_SETTINGS = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
_LAB_WITHOUT = {"@jupyter/nbgrader:create-assignment": True}


def main(arguments: list[str] | None = None) -> int:
    """Serve until Ctrl-C. Exit code 1 when there is nothing to serve or the port is taken."""
    parser = argparse.ArgumentParser(prog="autograder.serving", description=__doc__)
    parser.add_argument("--port", type=int, default=8888, help="first port to try; 0: any free one (default: 8888)")
    parser.add_argument("--token", default=None, help="token of the server (default: a new secret)")
    options = parser.parse_args(arguments)

    root = paths.ROOT
    folders = paths.served()
    if not (folders.book / "index.html").exists():
        print(f"No book in {os.path.relpath(folders.book)}. Build it first: make book", file=sys.stderr)
        return 1
    folders.work.mkdir(parents=True, exist_ok=True)
    _own_jupyter_folders(root)
    os.chdir(root)  # nbgrader_config.py is found here
    os.environ.setdefault("UNMAGIC_CLASS", str(folders.classroom))

    from jupyterlab.labapp import LabApp  # after the folders are set: Jupyter reads them at import

    token = options.token or secrets.token_hex(24)
    server = LabApp.initialize_server(argv=[], config=_settings(folders, options.port or _free_port(), token))
    from autograder.serving.formgrader import escape_names, use_own_mathjax

    use_own_mathjax(server.web_app)
    escape_names(server.web_app)
    # Ctrl-C, also where whoever started us ignores it; an exception could be raised inside a request and be lost there
    signal.signal(signal.SIGINT, lambda *_: server.io_loop.add_callback_from_signal(server.io_loop.stop))
    _announce(f"http://127.0.0.1:{server.port}", token, folders)
    server.start()
    return 0


def _own_jupyter_folders(root: Path) -> None:
    """Keep the user's own Jupyter settings out of the course, and the course's out of them."""
    for name in ("config", "data", "runtime"):
        folder = root / "_build" / "jupyter" / name
        folder.mkdir(parents=True, exist_ok=True)
        os.environ[f"JUPYTER_{name.upper()}_DIR"] = str(folder)
    os.environ["IPYTHONDIR"] = str(root / "_build" / "jupyter" / "ipython")
    for name in ("settings", "workspaces"):
        os.environ[f"JUPYTERLAB_{name.upper()}_DIR"] = str(root / "_build" / "jupyter" / name)
    lab = root / "_build" / "jupyter" / "config" / "labconfig"
    lab.mkdir(exist_ok=True)
    write_atomically(lab / "default_setting_overrides.json", json.dumps(_LAB_SETTINGS).encode())
    write_atomically(lab / "page_config.json", json.dumps({"disabledExtensions": _LAB_WITHOUT}).encode())
    # nbgrader starts `alembic` and `jupyter` by name
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _settings(folders: paths.Served, port: int, token: str):
    from traitlets.config import Config

    config = Config()
    config.ServerApp.jpserver_extensions = {"autograder.serving": True, "jupyterlab": True}
    config.ServerApp.ip = "127.0.0.1"
    config.ServerApp.port = port
    config.ServerApp.port_retries = 50
    config.ServerApp.root_dir = str(paths.ROOT)
    config.FileContentsManager.preferred_dir = str(folders.work)
    config.ServerApp.open_browser = False
    config.ServerApp.answer_yes = True  # Ctrl-C stops it all, at once
    config.ServerApp.log_level = config.LabApp.log_level = "WARN"
    config.ServerApp.allow_root = True
    config.IdentityProvider.token = token
    # nothing from another host: no news, no look for updates, no catalogue of extensions
    config.LabApp.news_url = None
    config.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
    config.LabApp.extension_manager = "readonly"
    config.ContentsManager.allow_hidden = False
    return config


def _announce(address: str, token: str, folders: paths.Served) -> None:
    rows = [
        ("The course", "/book/index.html"),
        ("Labs, in JupyterLab", f"/lab/tree/{os.path.relpath(folders.work, paths.ROOT)}"),
        ("Formgrader", "/formgrader"),
    ]
    rows += [
        (f"Class report, {report.parent.name}", f"/report/{report.parent.name}/report.html")
        for report in sorted(folders.classroom.glob("*/report.html"))
    ]
    print("\nUnmagic is being served (Ctrl-C stops it):\n")
    width = max(len(title) for title, _ in rows)
    for title, path in rows:
        print(f"  {title:<{width}}  {address}{path}?token={token}")
    print(flush=True)


if __name__ == "__main__":
    sys.exit(main())
