"""One Jupyter kernel of our own, and what running a cell in it gives. Every wait has an end, and none is a sleep.

Time and output are limited as they pass: a cell that runs too long or prints too much is interrupted, and if it goes on
nevertheless its kernel is killed.
"""

import ast
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from autograder import sanitise
from autograder.channels import Channels, NotConnected

START_SECONDS = 60  # for a kernel to answer for the first time, on a busy machine
GRACE_SECONDS = 5  # from an interrupt to a kill
ERROR_BYTES = 2_000  # what an error counts as output at most, so that a long message is still an error
ANSWER_LENGTH = 1_000_000  # characters of what an error is asked for

# Asked after an error. It runs beside the student's code, so its answer is taken for text and nothing else.
_LAST_ERROR = """__import__("json").dumps((lambda sys, linecache, hashlib, traceback: (lambda e: {
"type": type(e).__name__, "message": str(e)[:20000],
"kind": str(getattr(e, "kind", ""))[:40] if isinstance(e, AssertionError) else "",
"hint": str(getattr(e, "hint", ""))[:4000] if isinstance(e, AssertionError) else "",
"line": getattr(e, "lineno", None) if isinstance(e, SyntaxError) else None,
"frames": [[hashlib.sha256("".join(linecache.getlines(f.filename)).encode()).hexdigest(), f.lineno, f.name]
for f in traceback.extract_tb(e.__traceback__)[-200:]]})(sys.last_value))(
*map(__import__, ("sys", "linecache", "hashlib", "traceback"))))"""


class KernelStartError(RuntimeError):
    """The kernel did not start: the grader's machine is at fault, not the student."""


@dataclass
class Failure:
    """An exception in a cell.

    Attributes:
        type: name of its class.
        message: its text; `kind` and `hint` are set when it is a CheckError.
        line: of a SyntaxError, from 1.
        frames: (SHA-256 of the frame's file, line from 1, function), outermost first.
    """

    type: str
    message: str
    kind: str = ""
    hint: str = ""
    line: int | None = None
    frames: list[tuple[str, int, str]] = field(default_factory=list)


@dataclass
class CellRun:
    """What one cell did.

    Attributes:
        outputs: nbformat outputs: text and PNG.
        failure: the exception it ended with, if any.
        limit: "" or the limit that was hit: "time", "output"; or "died" when its kernel is gone.
        ended: the cell came to its own end, well or with an exception.
        alive: the kernel still answers.
    """

    outputs: list[dict] = field(default_factory=list)
    failure: Failure | None = None
    limit: str = ""
    ended: bool = True
    alive: bool = True


class Kernel:
    """A Python kernel in an empty folder, reached by sockets that are files only we can see.

    Args:
        scratch: a folder of ours with a short path (sockets live in it), made and removed by the caller.
        environment: added to this process's.
        data_files: (file, path relative to the working folder), copied there before it starts.
    """

    def __init__(self, scratch: Path, environment: dict[str, str], data_files: list[tuple[Path, str]] = ()):
        self.folder = Path(tempfile.mkdtemp(dir=scratch, prefix="k"))
        try:
            self._start(environment, data_files)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def _start(self, environment: dict[str, str], data_files: list[tuple[Path, str]]) -> None:
        working = self.folder / "w"
        working.mkdir()
        for file, relative in data_files:
            target = working / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
        try:
            self._channels = Channels(*self._launch(working, environment))
            self._channels.connect(START_SECONDS)
        except Exception as error:
            self.close()
            raise KernelStartError(f"A kernel did not start: {error}") from error

    def _launch(self, working: Path, environment: dict[str, str]) -> tuple[dict, int]:
        """Starts it in `working`: Jupyter's connection information, as seen from here, and a pidfd of its process."""
        # only here: in a sandbox a kernel needs no manager, and its import takes a while
        from jupyter_client.kernelspec import KernelSpecManager
        from jupyter_client.manager import KernelManager

        self._manager = KernelManager(
            # this Python's own kernel, whatever kernels a user has installed
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
            transport="ipc",
            ip=str(self.folder / "s"),
            connection_file=str(self.folder / "c.json"),
        )
        env = {k: v for k, v in os.environ.items() if not k.startswith(("UNMAGIC_", "NBGRADER_"))}
        env |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{env.get('PATH', '')}",
            "IPYTHONDIR": str(self.folder / "i"),  # no profile of the instructor's takes part
            "PYTHONHASHSEED": "0",
            "OMP_NUM_THREADS": "1",  # the same sums in the same order, however many workers there are
            "JUPYTER_PLATFORM_DIRS": "1",
            **environment,
        }
        arguments = ["--HistoryManager.enabled=False"]
        nowhere = {"stdin": -3, "stdout": -3, "stderr": -3}
        self._manager.start_kernel(cwd=str(working), env=env, extra_arguments=arguments, **nowhere)
        self._pidfd = os.pidfd_open(self._manager.provisioner.process.pid)
        return self._manager.get_connection_info(), self._pidfd

    def _interrupt(self) -> None:
        signal.pidfd_send_signal(self._pidfd, signal.SIGINT)

    def _end(self) -> None:
        """Kills the kernel and whatever it started in its process group."""
        manager = getattr(self, "_manager", None)
        if manager is not None:
            with contextlib.suppress(Exception):
                if manager.has_kernel:
                    manager.shutdown_kernel(now=True)
            with contextlib.suppress(Exception):
                manager.context.destroy(linger=0)
            if hasattr(self, "_pidfd"):
                os.close(self._pidfd)
            self._manager = None

    def why_it_died(self) -> str:
        """What ended it, where that is known: a limit of its surroundings ("memory", "wall", "cpu"), or "killed" or
        "lost" when it was no limit and none of its own doing. "" also while it lives."""
        return ""

    def limits_noticed(self) -> set[str]:
        """Limits of its surroundings ("memory", "processes") that something it started has run into, since it began."""
        return set()

    def run(self, source: str, *, seconds: float, output_bytes: int, keep_history: bool = True) -> CellRun:
        """Executes a cell and waits for its end, the limits, or the kernel's death.

        Args:
            source: the cell's text; IPython's magics are allowed.
            seconds: wall time before it is interrupted.
            output_bytes: what is kept of its output; one byte more and it is interrupted.
        """
        run = CellRun()
        request = self._channels.execute(source, store_history=keep_history)
        reply = self._collect(request, run, time.monotonic() + seconds, output_bytes)
        if (
            reply is not None and run.limit == "output"
        ):  # a message was too large to be taken in, and its socket is closed
            try:
                self._channels.reconnect(GRACE_SECONDS)
            except NotConnected:
                run.alive = False
        if reply is not None:
            if reply["content"].get("status") == "error" and run.alive:
                run.failure = self._failure(reply["content"])
            return run
        run.ended = False
        if run.limit:
            with contextlib.suppress(OSError):
                self._interrupt()
            run.alive = self._collect(request, CellRun(), time.monotonic() + GRACE_SECONDS, None) is not None
        else:
            run.limit, run.alive = "died", False
        return run

    def _collect(self, request: str, run: CellRun, deadline: float, output_bytes: int | None) -> dict | None:
        """Takes in outputs until the kernel is idle. None: a limit was hit (`run.limit`), or the kernel is gone.

        Without a limit (`output_bytes` is None) outputs are dropped.
        """
        reply, idle, used, idle_by = None, False, 0, None
        while not (reply and idle):
            now = time.monotonic()
            if reply and idle_by is None:
                idle_by = now + GRACE_SECONDS  # the last outputs are on their way; a dropped message never comes
            if idle_by is not None and now > idle_by:
                run.limit = "output"
                return reply
            if now > deadline and reply is None:
                run.limit = "time"
                return None
            until = min(t for t in (deadline if reply is None else None, idle_by) if t is not None)
            messages = self._channels.receive(request, until - now)
            if not messages and not self._channels.alive():
                return reply
            for message in messages:
                kind, content = message["msg_type"], message["content"]
                if kind == "execute_reply":
                    reply = message
                elif kind == "status":
                    idle = idle or content.get("execution_state") == "idle"
                elif output_bytes is not None and (size := _add_output(run, kind, content, output_bytes - used)):
                    used += size
                    if used > output_bytes and run.limit == "":
                        run.limit = "output"
                        return None
        return reply

    def _failure(self, content: dict) -> Failure:
        failure = Failure(sanitise.text(content.get("ename"))[:200], sanitise.text(content.get("evalue"))[:20000])
        request = self._channels.execute("", silent=True, store_history=False, user_expressions={"error": _LAST_ERROR})
        reply = self._collect(request, CellRun(), time.monotonic() + GRACE_SECONDS, None)
        with contextlib.suppress(Exception):  # whatever came back, the message above is enough
            shown = reply["content"]["user_expressions"]["error"]["data"]["text/plain"]
            # the longest honest answer is shorter; the parser would follow a longer one to any depth
            found = json.loads(ast.literal_eval(shown)) if len(shown) < ANSWER_LENGTH else {}
            if found["type"] == failure.type:
                return Failure(
                    type=failure.type,
                    message=sanitise.text(found["message"]),
                    kind=sanitise.text(found["kind"]),
                    hint=sanitise.text(found["hint"]),
                    line=int(found["line"]) if found["line"] is not None else None,
                    frames=[(str(a), int(b), str(c)) for a, b, c in found["frames"]],
                )
        return failure

    def close(self) -> None:
        """Kills the kernel and whatever it started, and removes its folder."""
        if hasattr(self, "_channels"):
            self._channels.close()
        self._end()
        shutil.rmtree(self.folder, ignore_errors=True)


def _add_output(run: CellRun, kind: str, content: dict, room: int) -> int:
    """Adds a message's output to the run, cut to `room` bytes; gives the bytes it had."""
    if kind == "stream":
        raw = {"output_type": "stream", **content}
    elif kind in ("display_data", "execute_result", "error"):
        raw = {"output_type": kind, **content}
    elif kind == "clear_output":
        run.outputs.clear()
        return 1  # it counts, or a cell that clears in a loop would never be stopped
    else:
        return 0
    size = sum(len(str(v)) for v in (content.get("text", ""), content.get("traceback", ""), content.get("evalue", "")))
    data = content.get("data")
    size += sum(len(str(v)) for v in data.values()) if isinstance(data, dict) else 0
    if kind == "error":
        size = min(size, ERROR_BYTES)
    if kind == "stream" and size > room:
        raw["text"] = str(content.get("text", ""))[: max(0, room)]
    kept, _ = sanitise.outputs([raw], max(0, room))
    for output in kept:
        last = run.outputs[-1] if run.outputs else None
        if last and output["output_type"] == "stream" == last["output_type"] and output["name"] == last["name"]:
            last["text"] += output["text"]
        else:
            run.outputs.append(output)
    return size
