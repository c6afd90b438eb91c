"""Functions and classes that both sides have, and the names under which they cross.

    setup:NAME                   what a set-up cell binds NAME to
    torch.nn.functional:relu     module and qualified name, in `torch` or `unmagic`

Only functions and classes: an object has a state of its own on each side, so naming it would hide a difference.
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Mapping
from functools import reduce
from typing import Any

SETUP = "setup"
PACKAGES = ("torch", "unmagic")
_KINDS = (type, types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType)
# where torch keeps what is written in C, whose own __module__ leads nowhere
_BUILTINS = ("torch", "torch.nn.functional", "torch.linalg", "torch.special", "torch.fft", "torch.Tensor")


class SharedNames:
    """What both sides have. `setup` maps the names of set-up cells to this side's values; it may still grow."""

    def __init__(self, setup: Mapping[str, Any] | None = None):
        self.setup = {} if setup is None else setup

    def name_of(self, value: Any) -> str | None:
        """The name of a function or class, None for everything else."""
        if not isinstance(value, _KINDS):
            return None
        for name, known in self.setup.items():
            if known is value:
                return f"{SETUP}:{name}"
        module, qualified = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
        candidates = [f"{module}:{qualified}"] if type(module) is str and _ours(module) else []
        if not isinstance(value, type | types.FunctionType):
            short = value.__name__.removeprefix("linalg_").removeprefix("special_").removeprefix("fft_")
            candidates += [f"{place}:{short}" for place in _BUILTINS]
        return next((name for name in candidates if self._find(name) is value), None)

    def resolve(self, name: Any) -> Any:
        """What a name stands for on this side. LookupError if there is no such function or class."""
        found = self._find(name) if type(name) is str else None
        if found is None:
            raise LookupError(f"there is no function or class {name!r:.100} on this side")
        return found

    def _find(self, name: str) -> Any:
        place, _, qualified = name.partition(":")
        try:
            if place == SETUP:
                found = self.setup[qualified]
            elif _ours(place):
                found = reduce(_member, qualified.split("."), _module(place))
                if not _ours(getattr(found, "__module__", None) or place):  # imported there from elsewhere
                    return None
            else:
                return None
        except (AttributeError, ImportError, KeyError):
            return None
        return found if isinstance(found, _KINDS) else None


def _ours(module: str) -> bool:
    return module.partition(".")[0] in PACKAGES


def _member(owner: Any, name: str) -> Any:
    """A module's function or class, or a class's; not another module, through which everything could be reached."""
    found = getattr(owner, name)
    if isinstance(found, types.ModuleType):
        raise AttributeError(name)
    return found


def _module(name: str) -> Any:
    if name == "torch.Tensor":  # a class that holds what C defines for tensors
        return sys.modules["torch"].Tensor
    return sys.modules.get(name) or importlib.import_module(name)
