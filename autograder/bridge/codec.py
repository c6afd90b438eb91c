"""Values to bytes and back: a JSON header for the structure, a safetensors body for everything large.

The header is `{"tensors": [...], "value": node}`. A node is null, true, a number, a string, or an array that begins
with its kind: `["tuple", 1, ["tensor", 0]]`. An entry of "tensors" says what the body's tensor of that number is.
What comes back, by exact type (a subclass of int is no int):

    None bool int float complex str bytes list tuple dict OrderedDict set frozenset slice range Ellipsis
    torch.Tensor nn.Parameter numpy.ndarray and numpy scalars   on the CPU as bytes; dtype, device, requires_grad, .grad
    torch.dtype torch.device torch.Size torch.Generator         a generator as a copy of its state
    named tuples                                                as `Record`: a tuple whose fields have names
    handles and names                                           by the caller's hooks; without a hook a WireError

Decoding makes nothing else: no pickle, no eval, no constructor of the sender's choice. Sizes, depth and number of items
are checked before anything is allocated for them. Whatever is wrong is a WireError, and nothing but a WireError.
"""

from __future__ import annotations

from typing import Any

from autograder.bridge.decoder import Decoder
from autograder.bridge.encoder import Encoder
from autograder.bridge.wire import LIMITS, Limits, Message, Record, WireError

__all__ = ["LIMITS", "Decoder", "Encoder", "Limits", "Message", "Record", "WireError", "decode", "encode"]


def encode(value: Any, *, limits: Limits = LIMITS) -> Message:
    """Plain data as bytes. WireError for anything else."""
    return Encoder(limits=limits).encode(value)


def decode(header: bytes, body: bytes = b"", *, limits: Limits = LIMITS) -> Any:
    """The value of a message of plain data. WireError for anything else."""
    return Decoder(limits=limits).decode(header, body)
