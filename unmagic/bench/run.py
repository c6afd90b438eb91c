"""Times the workloads, and writes what was measured as a table and as JSON."""

from unmagic.bench import whole  # noqa: F401  (adds the chapters and labs)
from unmagic.bench.workloads import WORKLOADS, Workload
from unmagic.devices import device as course_device

import datetime
import json
import os
import pathlib
import platform
import statistics
import time
import typing

import torch

SCHEMA = "unmagic/bench/1"


def measure(workload: Workload, device: torch.device, rounds: int) -> dict[str, typing.Any]:
    """One row: the workload's times on the device over some rounds, in seconds, after one round to warm up.

    A workload that runs `once` has one round, and none before it.
    """
    work = workload.prepare(device)
    warm_up, rounds = (0, 1) if workload.once else (1, rounds)
    seconds = []
    for _ in range(warm_up + rounds):
        wait_for(device)
        start = time.perf_counter()
        work()
        wait_for(device)
        seconds.append(time.perf_counter() - start)
    seconds = seconds[warm_up:]
    median = statistics.median(seconds)
    return {
        "name": workload.name,
        "device": device.type,
        "rounds": rounds,
        "min_s": min(seconds),
        "median_s": median,
        "max_s": max(seconds),
        "per_second": workload.amount / median,
        "unit": workload.unit,
        "target_per_second": workload.target,
    }


def wait_for(device: torch.device) -> None:
    """A GPU works on after the call has returned: the clock must not."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def run(
    only: str = "", rounds: int = 5, progress: typing.Callable[[str], None] = lambda line: None
) -> dict[str, typing.Any]:
    """Measure every workload whose name holds `only`, on the CPU and on `unmagic.device()` where that is another.

    Returns:
        {"schema", "date", "machine", "torch", "python", "threads", "rows": [...]}, as `--json` writes it; times in
        seconds.
    """
    devices = [torch.device("cpu")]
    if course_device().type != "cpu":
        devices.append(course_device())
    chosen = [w for w in WORKLOADS if only.lower() in w.name.lower()]
    if not chosen:
        names = "".join(f"\n  {w.name}" for w in WORKLOADS)
        raise ValueError(f"No workload's name holds {only!r}. There are:{names}")
    rows = []
    for each in chosen:
        for device in devices[:1] if each.cpu_only else devices:
            progress(f"{each.name} on {device.type} ...")
            rows.append(measure(each, device, rounds))
    return {
        "schema": SCHEMA,
        "date": datetime.date.today().isoformat(),
        "machine": describe_machine(devices[-1]),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "rows": rows,
    }


def describe_machine(device: torch.device) -> str:
    """The machine in words: cores, memory and GPU; nothing that names it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    words = f"{cores} {'core' if cores == 1 else 'cores'} ({platform.machine()})"
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        gibibytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
        words += f", {gibibytes:.0f} GiB of memory"
    words += f", {platform.system()}"
    if device.type == "cuda":
        gpu = torch.cuda.get_device_properties(device)
        return f"{words}; one {gpu.name} with {gpu.total_memory / 2**30:.0f} GiB"
    return words + ("; its own GPU (mps)" if device.type == "mps" else "; no GPU")


def table(report: dict[str, typing.Any]) -> str:
    """The report as plain text: a line a workload and device, and how many times faster the GPU is."""
    header = ("what", "on", "median", "fastest", "slowest", "rate", "times the CPU's")
    cpu = {row["name"]: row["median_s"] for row in report["rows"] if row["device"] == "cpu"}
    lines = [header]
    for row in report["rows"]:
        rate = f"{row['per_second']:,.0f} {row['unit']}/s" if row["unit"] not in ("chapter", "lab") else ""
        if row["target_per_second"]:
            rate += f" (wanted {row['target_per_second']:,.0f})"
        ratio = "" if row["device"] == "cpu" else f"{cpu[row['name']] / row['median_s']:.1f} ×"
        times = (_seconds(row[key]) for key in ("median_s", "min_s", "max_s"))
        lines.append((row["name"], row["device"], *times, rate, ratio))
    if not any(line[-1] for line in lines[1:]):
        lines = [line[:-1] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    left = {0, 1, 5}
    text = [
        "  ".join(c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    ]
    rounds = max(row["rounds"] for row in report["rows"])
    about = f"torch {report['torch']}, Python {report['python']}, {report['threads']} thread(s)"
    how = f"{rounds} rounds after one to warm up; chapters and labs once, start and imports included"
    head = f"{report['machine']}\n{about}, {report['date']}; {how}\n\n"
    return head + "\n".join(line.rstrip() for line in (text[0], "-" * len(text[0]), *text[1:]))


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{value * 1e3:.1f} ms"


def write_json(report: dict[str, typing.Any], path: pathlib.Path) -> None:
    """Write to a temporary name first: a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, path)
