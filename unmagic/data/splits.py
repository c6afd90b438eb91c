"""The three splits every data set has, and how a fixed set of examples is divided among them."""

from unmagic.seeding import derive_seed

import typing

import torch
from torch import Tensor

SPLITS = ("train", "validation", "test")


class Images(typing.NamedTuple):
    """`images, labels = data.digits()`"""

    images: Tensor  # (N, C, H, W) float32 in [0, 1]
    labels: Tensor  # (N,) int64


def check_split(split: str) -> None:
    """Raise ValueError unless `split` is one of the three."""
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}; wanted one of {', '.join(map(repr, SPLITS))}.")


def divide(n: int, sizes: dict[str, int], split: str, *key: str | int) -> Tensor:
    """The indices, out of `n`, of one split: one random order of all is cut into pieces, so that no two overlap.

    Args:
        n: how many examples there are.
        sizes: examples a split; they add up to `n`.
        split: which piece.
        key: what the order depends on, e.g. the data set's name and a seed.

    Returns:
        int64, of shape (sizes[split],).
    """
    check_split(split)
    if sum(sizes.values()) != n:
        raise ValueError(f"the splits hold {sum(sizes.values())} examples, the data set {n}.")
    order = torch.randperm(n, generator=torch.Generator().manual_seed(derive_seed("unmagic/split", *key)))
    start = sum(sizes[s] for s in SPLITS[: SPLITS.index(split)])
    return order[start : start + sizes[split]]
