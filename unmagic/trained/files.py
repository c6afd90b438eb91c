"""Where the weights lie, and how they are read where the library safetensors is not installed."""

import json
import math
from pathlib import Path

import torch
from torch import Tensor

FOLDER = Path(__file__).parent
ACCURACIES = FOLDER / "accuracies.json"
DTYPES = {"F16": torch.float16, "F32": torch.float32, "I64": torch.int64}


def weights_path(name: str) -> Path:
    """The file of a net."""
    return FOLDER / "weights" / f"{name}.safetensors"


def header(raw: bytes) -> tuple[dict, int]:
    """What a safetensors file says of itself, and where its numbers begin: eight bytes with the header's length, the
    header in JSON, the numbers."""
    start = 8 + int.from_bytes(raw[:8], "little")
    return json.loads(raw[8:start]), start


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Labs run with torch alone, so these lines stand in for the library, which writes the files.

    Raises:
        FileNotFoundError: says how to make the file.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing; `python -m unmagic.trained {path.stem}` makes it.")
    raw = path.read_bytes()
    entries, start = header(raw)
    tensors = {}
    for name, entry in entries.items():
        if name == "__metadata__":
            continue
        begin, end = (start + offset for offset in entry["data_offsets"])
        dtype, shape = DTYPES[entry["dtype"]], entry["shape"]
        numbers = torch.frombuffer(bytearray(raw[begin:end]), dtype=dtype, count=math.prod(shape))
        tensors[name] = numbers.view(shape)
    return tensors
