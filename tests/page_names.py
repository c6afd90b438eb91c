"""What a page's cells define, taken out of the kernel that executes it, and read again in a test's process."""

import io
import os
import sys
import types
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import cloudpickle

_before: set[str] = set()  # what the kernel's namespace held before the page's first cell
_glued: dict[str, object] = {}


def begin() -> None:
    """In the kernel, before the page's first cell. It imports nothing that the page must import itself."""
    sys.path.remove(str(Path(__file__).parent))  # which led here
    sys.meta_path.insert(0, _WhenThePageImportsOurs())
    _before.update(vars(sys.modules["__main__"]))


class _WhenThePageImportsOurs:
    """Finds `unmagic.page` as Python does, and has its `glue` note the raw values of the page's numbers."""

    def find_spec(self, name, path=None, target=None):
        if name != "unmagic.page":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        run = spec.loader.exec_module
        spec.loader.exec_module = lambda module: (run(module), _note(module))
        return spec


def _note(page: types.ModuleType) -> None:
    glue = page.glue

    def noting(name: str, value: object, spec: str = "") -> None:
        assert name not in _glued, f"the number {name!r} is glued twice"
        glue(name, value, spec)
        _glued[name] = value.item() if hasattr(value, "item") else value

    page.glue = noting


class _Pickler(cloudpickle.Pickler):
    """Functions and classes of the page by value; every module by its name, also torch's that are no plain modules."""

    def reducer_override(self, obj):
        if isinstance(obj, types.ModuleType) and type(obj) is not types.ModuleType and obj.__name__ in sys.modules:
            return import_module, (obj.__name__,)
        return super().reducer_override(obj)


def keep(path: str) -> None:
    """In the kernel, after the page's last cell: writes what it defined and glued to `path`."""
    page = vars(sys.modules["__main__"])
    names = {name: page[name] for name in page if name not in _before and not name.startswith("_")}
    lost = {}
    try:
        data = _pickled((names, _glued, lost))
    except Exception:  # an open file, say: the page may have one
        for name in list(names):
            try:
                _pickled(names[name])
            except Exception as error:
                lost[name] = f"{type(error).__name__}: {error}"
                del names[name]
        data = _pickled((names, _glued, lost))
    unfinished = Path(f"{path}.{os.getpid()}")
    unfinished.write_bytes(data)
    unfinished.replace(path)


def _pickled(value: object) -> bytes:
    file = io.BytesIO()
    _Pickler(file, protocol=5).dump(value)
    return file.getvalue()


class Names(SimpleNamespace):
    """What a page's cells define, as attributes."""

    def __getattr__(self, name: str) -> object:
        why = vars(self)["_lost"].get(name, "no cell of the page defines it")
        raise AttributeError(f"no {name!r}: {why}")


def read(path: Path) -> SimpleNamespace:
    """`.names`, what the page's cells define, and `.glued`, the raw values of its numbers."""
    with path.open("rb") as file:
        names, glued, lost = cloudpickle.load(file)
    return SimpleNamespace(names=Names(**names, _lost=lost), glued=glued)
