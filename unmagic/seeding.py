"""Randomness that can be repeated: one seed for everything, and seeds derived from words."""

import hashlib
import json
import random

import numpy as np
import torch


def seed_everything(seed: int = 0) -> torch.Generator:
    """Seed Python's, NumPy's and torch's global generators (every device), and give a generator of your own.

    Args:
        seed: an integer from 0 to 2**32 - 1 (NumPy takes no other).

    Returns:
        a CPU generator with that seed, to pass on where a function takes one.
    """
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise ValueError(f"seed is {seed!r}; wanted an integer from 0 to {2**32 - 1}.")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)  # all devices
    return torch.Generator().manual_seed(seed)


def derive_seed(*parts: str | int) -> int:
    """A seed from 0 to 2**63 - 1 out of words and numbers: the first bytes of SHA-256 over all of them.

    Different parts give unrelated seeds, the same parts the same seed on every machine; without the parts it cannot be
    foreseen.

    >>> derive_seed("practice", "loss") == derive_seed("practice", "loss")
    True
    >>> derive_seed("ab", "c") == derive_seed("a", "bc")
    False
    """
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()  # JSON keeps ("ab", "c") and ("a", "bc") apart
    return int.from_bytes(digest[:8], "big") >> 1  # torch takes seeds below 2**63 on every platform
