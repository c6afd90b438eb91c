"""Data sets that are files: `mnist`, `fashion_mnist`, `cifar10`, read by torchvision, from a cache folder.

Nothing is read, and above all nothing is unpickled, whose checksum is not the published one.
"""

from unmagic.data.splits import Images, check_split, divide

import gzip
import hashlib
import os
import pathlib
import tarfile
import tempfile
import urllib.request

import torch

VARIABLE = "UNMAGIC_DATA"
TIMEOUT_S = 30.0  # without an answer for so long, a server counts as out of reach

FASHION_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
CIFAR10_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class DataError(RuntimeError):
    """A data set's file is missing, truncated or altered; the message says where it should lie and how to get it."""


def cache_folder() -> pathlib.Path:
    """Where data files lie: the environment variable UNMAGIC_DATA, else `unmagic` in the user's cache folder."""
    if os.environ.get(VARIABLE):
        return pathlib.Path(os.environ[VARIABLE]).expanduser().absolute()
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "unmagic"


def mnist(split: str = "train") -> Images:
    """Handwritten digits (LeCun, Cortes and Burges): 28×28 pixels, light on dark.

    Args:
        split: "train" (54,000) and "validation" (6,000) divide the official training set, "test" (10,000) is the
            official one.

    Returns:
        images (N, 1, 28, 28) float32 in [0, 1], labels (N,) int64, 0 to 9.

    Raises:
        DataError: a file is missing and cannot be fetched, or is truncated or altered.
    """
    from torchvision.datasets import MNIST

    return _idx(MNIST, "mnist", split)


def fashion_mnist(split: str = "train") -> Images:
    """Articles of clothing (Xiao, Rasul and Vollgraf 2017): as `mnist`, label i is FASHION_NAMES[i]."""
    from torchvision.datasets import FashionMNIST

    return _idx(FashionMNIST, "fashion_mnist", split)


def cifar10(split: str = "train") -> Images:
    """Photographs of ten kinds of things (Krizhevsky 2009): 32×32 pixels, in colour.

    Args:
        split: "train" (45,000) and "validation" (5,000) divide the official training set, "test" (10,000) is the
            official one.

    Returns:
        images (N, 3, 32, 32) float32 in [0, 1], labels (N,) int64: CIFAR10_NAMES[label].

    Raises:
        DataError: as for `mnist`.
    """
    from torchvision.datasets import CIFAR10

    return _cifar(CIFAR10, "cifar10", split)


def _idx(dataset: type, name: str, split: str) -> Images:
    """A data set of torchvision's MNIST family: two gzipped idx files for each official part."""
    from torchvision.datasets.mnist import read_image_file, read_label_file

    check_split(split)
    folder = cache_folder() / dataset.__name__ / "raw"  # torchvision's own layout
    part = "t10k" if split == "test" else "train"
    readers = {f"{part}-images-idx3-ubyte.gz": read_image_file, f"{part}-labels-idx1-ubyte.gz": read_label_file}
    found = {}
    with tempfile.TemporaryDirectory() as unpacked:
        for file, md5 in dataset.resources:
            if file in readers:
                packed = _checked(name, folder / file, md5, [mirror + file for mirror in dataset.mirrors])
                plain = pathlib.Path(unpacked) / file.removesuffix(".gz")
                plain.write_bytes(gzip.decompress(packed))
                found[file] = readers[file](str(plain))
    images, labels = (found[file] for file in readers)
    return _split(images[:, None], labels, split, name)  # (N, 1, 28, 28)


def _cifar(dataset: type, name: str, split: str) -> Images:
    """A data set of torchvision's CIFAR family: one archive of pickles, each with a checksum of its own, which
    torchvision checks.
    """
    check_split(split)
    folder = cache_folder()
    archive = _checked(name, folder / dataset.filename, dataset.tgz_md5, [dataset.url])
    with tempfile.TemporaryDirectory() as unpacked:
        path = pathlib.Path(unpacked) / dataset.filename
        path.write_bytes(archive)
        with tarfile.open(path) as tar:
            tar.extractall(unpacked, filter="data")
        try:
            whole = dataset(unpacked, train=split != "test", download=False)
        except RuntimeError as error:  # the archive is the published one, a part of it is not
            raise DataError(
                f"{name}: {folder / dataset.filename} holds a file with a wrong checksum. {error}"
            ) from error
    images = torch.from_numpy(whole.data).permute(0, 3, 1, 2)  # (N, 3, 32, 32)
    return _split(images, torch.tensor(whole.targets), split, name)


def _split(images: torch.Tensor, labels: torch.Tensor, split: str, name: str) -> Images:
    """A tenth of the official training set is for validation."""
    if split != "test":
        n = len(labels)
        which = divide(n, {"train": n - n // 10, "validation": n // 10, "test": 0}, split, name)
        images, labels = images[which], labels[which]
    return Images(images.float().div_(255).contiguous(), labels.long())


def _checked(name: str, path: pathlib.Path, md5: str, urls: list[str]) -> bytes:
    """The file's bytes, fetched if it is not there; DataError unless their checksum is the published one."""
    if not path.exists():
        _fetch(name, path, md5, urls)
    content = path.read_bytes()
    if (found := _md5(content)) != md5:
        raise DataError(
            f"{name}: {path.name} is truncated or altered.\n"
            f" Found {len(content)} bytes with MD5 {found}, wanted MD5 {md5}.\n"
            f" It lies at {path}. Delete it, and it is fetched again; or {_by_hand(path, urls)}"
        )
    return content


def _fetch(name: str, path: pathlib.Path, md5: str, urls: list[str]) -> None:
    """Download to a temporary name, check, then put in place: what lies at `path` was complete once."""
    problems = []
    for url in urls:
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
                content = answer.read()
        except (OSError, ValueError) as error:  # URLError and timeouts are OSErrors
            problems.append(f"{url}: {error}")
            continue
        if _md5(content) == md5:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
            partial.write_bytes(content)
            os.replace(partial, path)
            return
        problems.append(f"{url}: {len(content)} bytes with MD5 {_md5(content)}")
    tried = "".join(f"  {problem}\n" for problem in problems)
    raise DataError(
        f"{name}: {path.name} is not there and could not be fetched.\n"
        f" Tried:\n{tried}"
        f" It should lie at {path}, with MD5 {md5}.\n"
        f" With a network, call it again; without one, {_by_hand(path, urls)}"
    )


def _by_hand(path: pathlib.Path, urls: list[str]) -> str:
    return (
        f"download {' or '.join(urls)} elsewhere and copy it there.\n"
        f" The environment variable {VARIABLE} names another folder for data."
    )


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


__all__ = ["CIFAR10_NAMES", "FASHION_NAMES", "DataError", "cache_folder", "cifar10", "fashion_mnist", "mnist"]
