"""Where the course computes: `device()`."""

import os

import torch

VARIABLE = "UNMAGIC_DEVICE"


def device() -> torch.device:
    """The device the course computes on: a GPU where there is one (`cuda`, then `mps`), else `cpu`.

    The environment variable UNMAGIC_DEVICE overrides it: `cpu`, `cuda`, `cuda:1`, `mps`.

    Raises:
        ValueError: the variable holds a name that is no device of the course.
        RuntimeError: it names a device that this machine does not have.
    """
    wanted = os.environ.get(VARIABLE, "").strip()
    if not wanted:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    return named(wanted)


def named(name: str) -> torch.device:
    """The device of that name, if the course knows it and this machine has it; errors as in `device`."""
    try:
        found = torch.device(name)
    except RuntimeError:
        found = None
    if found is None or found.type not in {"cpu", "cuda", "mps"}:
        raise ValueError(
            f"{VARIABLE} is {name!r}, which is no device of the course.\n"
            " Wanted: cpu, cuda, cuda:0 (or another number), or mps; or leave it unset to have one chosen."
        )
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[found.type]
    if (found.index or 0) >= count:
        raise RuntimeError(
            f"{VARIABLE} is {name!r}, but this machine has {count} device(s) of type {found.type}.\n"
            f" Unset {VARIABLE} to have one chosen, or install a torch built for that device."
        )
    return found
