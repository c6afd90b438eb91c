"""The outer walls, by bubblewrap: what a warm parent and its kernels see of this machine.

A read-only system, the Python that runs us, the packages a lab imports, and one folder of sockets. No network, no other
process, no home, no capability. Each kernel then gets namespaces of its own inside (`parent.py`).
"""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from autograder.sandbox.gpus import Gpu

INSIDE_COURSE = "/opt/course"  # what a hand-in may import of ours
INSIDE_VENV = "/opt/venv"
INSIDE_RUN = "/run/sandbox"  # control socket, and a folder a kernel
INSIDE_JOB = "/job"  # working folder of a kernel
NOBODY = 65534

# What a kernel needs of the course: the library and the student's side of the bridge. They hold no test and no answer.
_COURSE = ("unmagic", "autograder/__init__.py", "autograder/bridge", "autograder/sandbox")


class NoSandbox(RuntimeError):
    """This machine cannot make the walls; the message says what to install or allow."""


def outer_walls(run_folder: Path, root: bool, gpu: Gpu | None = None) -> list[str]:
    """The command line in front of the warm parent's: `env -i … bwrap … --`.

    `root`: we are root; then the warm parent becomes ordinary users (`linux.become`) before it serves anybody.
    `gpu`: whose device nodes are in sight; no other device is.
    Raises NoSandbox when bubblewrap is not installed.
    """
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise NoSandbox("bubblewrap is not installed. Install it: sudo apt-get install bubblewrap")
    walls = ["/usr/bin/env", "-i", "PATH=/usr/bin:/bin", bwrap]
    walls += ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    walls += ["--die-with-parent", "--new-session", "--hostname", "sandbox", "--clearenv"]
    # root makes the mounts, so that a Python under a private home can be bound, and drops to `uid` inside;
    # an ordinary user needs a user namespace to mount anything
    walls += ["--cap-drop", "ALL"]
    walls += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP"] if root else []
    walls += ["--cap-add", "CAP_SYS_ADMIN"] if root else ["--unshare-user"]
    walls += _system() + _python() + _course()
    walls += ["--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--size", str(16 << 20), "--tmpfs", "/dev/shm"]
    walls += [
        *_open_folders(Path(INSIDE_RUN)),
        "--perms",
        "0755",
        "--dir",
        INSIDE_JOB,
        "--bind",
        str(run_folder),
        INSIDE_RUN,
    ]
    walls += gpu.binds() if gpu else []
    walls += ["--remount-ro", "/", "--remount-ro", "/dev", "--chdir", "/"]
    for name, value in (_environment() | (gpu.environment() if gpu else {})).items():
        walls += ["--setenv", name, value]
    walls += ["--"]
    if root:
        # for root, bubblewrap covers parts of /proc, and a kernel's namespace may mount its own /proc only where one
        # lies open; what can be written there is root's, which nobody is once `parent.py` has given that up
        walls += ["/bin/sh", "-c", 'mount -t proc -o nosuid,nodev,noexec proc /proc && exec "$@"', "sh"]
    return walls


def _system() -> list[str]:
    arguments = ["--perms", "1777", "--size", str(64 << 20), "--tmpfs", "/tmp"]
    arguments += ["--ro-bind", "/usr", "/usr"]
    for name in ("lib", "lib64", "bin", "sbin"):
        path = Path("/", name)
        if path.is_symlink():
            arguments += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            arguments += ["--ro-bind", str(path), str(path)]
    # not all of /etc: it names this machine's people and hosts
    arguments += ["--perms", "0755", "--dir", "/etc"]
    for path in ("/etc/ld.so.cache", "/etc/fonts", "/etc/alternatives", "/etc/localtime"):
        arguments += ["--ro-bind-try", path, path]
    return arguments


def python_inside() -> str:
    """The interpreter's path inside the walls."""
    return f"{INSIDE_VENV}/bin/python" if _in_venv() else sys.executable


def _in_venv() -> bool:
    return sys.prefix != sys.base_prefix


def _python() -> list[str]:
    """The interpreter at its own path, which a virtual environment names; the environment itself where we like.

    Each kernel mounts a /tmp of its own over what lies there. NoSandbox when that would hide the interpreter.
    """
    base = Path(sys.base_prefix).resolve()
    if base.is_relative_to("/tmp"):
        raise NoSandbox(f"Python itself lies in {base}, which a sandbox cannot show. Use one that lies elsewhere.")
    arguments = [] if base.is_relative_to("/usr") else [*_open_folders(base), "--ro-bind", str(base), str(base)]
    if _in_venv():
        venv = Path(INSIDE_VENV)
        arguments += [*_open_folders(venv), "--ro-bind", str(Path(sys.prefix).resolve()), str(venv)]
    return arguments


def _open_folders(path: Path) -> list[str]:
    """The folders above a mount, which bubblewrap would make for its own user alone."""
    return [word for folder in reversed(path.parents[:-1]) for word in ("--perms", "0755", "--dir", str(folder))]


def _course() -> list[str]:
    arguments = _open_folders(Path(INSIDE_COURSE, "autograder", "bridge"))
    for relative in _COURSE:
        package, _, rest = relative.partition("/")
        root = Path(importlib.util.find_spec(package).origin).parent
        arguments += ["--ro-bind", str(root / rest), f"{INSIDE_COURSE}/{relative}"]
    return arguments


def _environment() -> dict[str, str]:
    return {
        "PATH": f"{Path(python_inside()).parent}:/usr/bin:/bin",
        "PYTHONPATH": INSIDE_COURSE,
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLCONFIGDIR": "/tmp/matplotlib",
        "IPYTHONDIR": "/tmp/ipython",
        # forking is safe from one thread only
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
