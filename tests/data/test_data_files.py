"""MNIST, Fashion-MNIST and CIFAR-10 from tiny files in the true formats; missing, truncated and altered ones."""

from unmagic import data

import gzip
import hashlib
import io
import os
import pathlib
import pickle
import re
import struct
import tarfile

import numpy as np
import pytest
import torch
import torchvision


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> pathlib.Path:
    monkeypatch.setenv("UNMAGIC_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def server(tmp_path) -> pathlib.Path:
    """A folder that stands for the data set's server, reached through a file:// address."""
    (tmp_path / "server").mkdir()
    return tmp_path / "server"


def idx(array: np.ndarray) -> bytes:
    """The idx format: two zero bytes, 8 for unsigned bytes, the number of axes, their lengths big-endian, the bytes."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


@pytest.fixture(params=["MNIST", "FashionMNIST"])
def tiny(request, server, monkeypatch):
    """30 training and 10 test images on the server; our function, and what is in the files."""
    rng, resources, arrays = np.random.default_rng(0), [], {}
    for part, n in (("train", 30), ("t10k", 10)):
        arrays[part] = rng.integers(0, 256, (n, 28, 28)), np.arange(n) % 10
        for kind, array in zip(("images-idx3", "labels-idx1"), arrays[part], strict=True):
            packed = gzip.compress(idx(array))
            (server / f"{part}-{kind}-ubyte.gz").write_bytes(packed)
            resources.append((f"{part}-{kind}-ubyte.gz", md5(packed)))
    real = getattr(torchvision.datasets, request.param)
    own = type(request.param, (real,), {"resources": resources, "mirrors": [server.as_uri() + "/"]})
    monkeypatch.setattr(torchvision.datasets, request.param, own)
    return {"MNIST": data.mnist, "FashionMNIST": data.fashion_mnist}[request.param], arrays, request.param


class TestIdxFiles:
    def test_the_test_split_is_the_official_one_in_its_order(self, tiny):
        load, arrays, _ = tiny
        images, labels = load("test")
        assert (images.shape, images.dtype, labels.dtype) == ((10, 1, 28, 28), torch.float32, torch.int64)
        assert np.array_equal((images * 255).round().numpy()[:, 0], arrays["t10k"][0])
        assert labels.tolist() == list(range(10))

    def test_train_and_validation_divide_the_official_training_set(self, tiny):
        load, arrays, _ = tiny
        train, validation = load("train"), load("validation")
        assert (len(train.labels), len(validation.labels)) == (27, 3)
        both = torch.cat([train.images, validation.images])
        ours = {(image * 255).round().byte().numpy().tobytes() for image in both}
        assert ours == {image.astype(np.uint8).tobytes() for image in arrays["train"][0]}

    def test_files_are_fetched_once(self, tiny, server):
        load = tiny[0]
        first = load("test")
        for file in server.iterdir():
            file.unlink()
        assert torch.equal(load("test").images, first.images)

    def test_files_lie_where_torchvision_looks_for_them(self, tiny, cache):
        load, _, name = tiny
        load("test")
        assert (cache / name / "raw" / "t10k-images-idx3-ubyte.gz").is_file()
        assert not list(cache.rglob("*.partial"))

    def test_a_truncated_file_says_where_it_lies_its_checksum_and_what_to_do(self, tiny, cache):
        load, _, name = tiny
        load("test")
        path = cache / name / "raw" / "t10k-labels-idx1-ubyte.gz"
        wanted = md5(path.read_bytes())
        path.write_bytes(path.read_bytes()[:-5])
        with pytest.raises(data.DataError) as caught:
            load("test")
        text = str(caught.value)
        assert "t10k-labels-idx1-ubyte.gz is truncated or altered" in text
        assert all(word in text for word in (str(path), f"wanted MD5 {wanted}", "Delete it", "UNMAGIC_DATA"))
        assert path.is_file()  # nothing is deleted unasked

    def test_an_altered_file_on_the_server_never_gets_into_the_cache(self, tiny, server, cache):
        altered = server / "t10k-images-idx3-ubyte.gz"
        altered.write_bytes(gzip.compress(idx(np.zeros((10, 28, 28)))))
        with pytest.raises(data.DataError, match=r"could not be fetched(.|\n)*bytes with MD5"):
            tiny[0]("test")
        assert not list(cache.rglob("t10k-images*"))

    def test_an_unknown_split_is_a_clear_error(self, tiny):
        with pytest.raises(ValueError, match="wanted one of"):
            tiny[0]("valid")


BATCHES = [f"data_batch_{i}" for i in range(1, 6)]


def put_cifar(server, monkeypatch, *, spoil: str = "", content: bytes = b"") -> None:
    """A tiny CIFAR-10 on the server, 4 images a batch; `spoil` replaces one member after checksums were taken."""
    rng = np.random.default_rng(0)
    members = {
        name: pickle.dumps(
            {
                "batch_label": name,
                "labels": [(i + 4 * k) % 10 for i in range(4)],
                "data": rng.integers(0, 256, (4, 3072), dtype=np.uint8),
                "filenames": [f"{name}_{i}.png" for i in range(4)],
            },
            protocol=2,
        )
        for k, name in enumerate([*BATCHES, "test_batch"])
    }
    members["batches.meta"] = pickle.dumps({"label_names": list(data.CIFAR10_NAMES)}, protocol=2)
    sums = {name: md5(member) for name, member in members.items()}
    if spoil:
        members[spoil] = content
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, member in members.items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(member)
            tar.addfile(info, io.BytesIO(member))
    (server / "cifar-10-python.tar.gz").write_bytes(buffer.getvalue())
    own = {
        "url": (server / "cifar-10-python.tar.gz").as_uri(),
        "tgz_md5": md5(buffer.getvalue()),
        "train_list": [[name, sums[name]] for name in BATCHES],
        "test_list": [["test_batch", sums["test_batch"]]],
        "meta": {"filename": "batches.meta", "key": "label_names", "md5": sums["batches.meta"]},
    }
    monkeypatch.setattr(torchvision.datasets, "CIFAR10", type("CIFAR10", (torchvision.datasets.CIFAR10,), own))


class Trap:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


class TestCifar:
    def test_pixels_labels_and_axes_are_the_files(self, server, monkeypatch):
        put_cifar(server, monkeypatch)
        images, labels = data.cifar10("test")
        assert (images.shape, images.dtype, labels.tolist()) == ((4, 3, 32, 32), torch.float32, [0, 1, 2, 3])
        with tarfile.open(server / "cifar-10-python.tar.gz") as tar:
            rows = pickle.load(tar.extractfile("cifar-10-batches-py/test_batch"))["data"]  # our own file
        assert np.array_equal((images * 255).round().numpy().reshape(4, 3072), rows)  # red, green, blue, row by row
        assert (len(data.cifar10("train").labels), len(data.cifar10("validation").labels)) == (18, 2)

    def test_an_altered_archive_is_never_unpickled(self, server, cache, monkeypatch, tmp_path):
        put_cifar(server, monkeypatch)
        data.cifar10("test")
        kept = torchvision.datasets.CIFAR10
        put_cifar(server, monkeypatch, spoil="test_batch", content=pickle.dumps(Trap(tmp_path / "sprung")))
        monkeypatch.setattr(torchvision.datasets, "CIFAR10", kept)  # the first archive's checksums
        (cache / "cifar-10-python.tar.gz").write_bytes((server / "cifar-10-python.tar.gz").read_bytes())
        with pytest.raises(data.DataError, match=r"cifar-10-python.tar.gz is truncated or altered"):
            data.cifar10("test")
        assert not (tmp_path / "sprung").exists()

    def test_an_altered_part_is_never_unpickled_either(self, server, monkeypatch, tmp_path):
        put_cifar(server, monkeypatch, spoil="test_batch", content=pickle.dumps(Trap(tmp_path / "sprung")))
        with pytest.raises(data.DataError, match="wrong checksum"):
            data.cifar10("test")
        assert not (tmp_path / "sprung").exists()

    def test_the_names_are_the_archives(self):
        assert torchvision.datasets.CIFAR10.train_list and data.CIFAR10_NAMES[0] == "airplane"
        assert list(data.FASHION_NAMES) == torchvision.datasets.FashionMNIST.classes


class TestWithoutANetwork:
    @pytest.mark.parametrize(
        "load, name, attribute",
        [
            (data.mnist, "MNIST", "mirrors"),
            (data.fashion_mnist, "FashionMNIST", "mirrors"),
            (data.cifar10, "CIFAR10", "url"),
        ],
        ids=["mnist", "fashion_mnist", "cifar10"],
    )
    def test_the_error_says_where_the_file_should_lie_its_official_checksum_and_how_to_get_it(
        self, load, name, attribute, monkeypatch, cache
    ):
        nowhere = "http://127.0.0.1:9/"  # nothing listens there
        real = getattr(torchvision.datasets, name)
        monkeypatch.setattr(real, attribute, [nowhere] if attribute == "mirrors" else nowhere + real.filename)
        with pytest.raises(data.DataError) as caught:
            load("test")
        text = str(caught.value)
        official = {sum for _, sum in getattr(real, "resources", [])} | {getattr(real, "tgz_md5", "")}
        assert "is not there and could not be fetched" in text and "refused" in text
        assert re.search(r"It should lie at (\S+), with MD5 (\w+)", text).group(1).startswith(str(cache))
        assert re.search(r"with MD5 (\w+)", text).group(1) in official
        assert f"download {nowhere}" in text and "UNMAGIC_DATA" in text

    def test_without_the_variable_the_cache_is_the_users(self, monkeypatch):
        monkeypatch.delenv("UNMAGIC_DATA")
        monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
        from unmagic.data.files import cache_folder

        assert cache_folder() == pathlib.Path("/somewhere/unmagic")
