"""Standing in for PyTorch: while a script runs with `--core`, `import torch` gives gradviz's own names.

`torch`, `torch.nn`, ..., `torchviz` are then modules that look every name up in gradviz's public ones. A name that
these lack is an error that says so. What the process had imported as `torch` before is put back afterwards.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import gradviz
from gradviz import second_homes, without_gpu
from gradviz.errors import missing_name
from gradviz.second_homes import SAME, itself, nothing

ROOTS = ("torch", "torchviz")
LIKE = "2.13.0"
"""The version of PyTorch that the core follows."""

_OWN = {*without_gpu.modules(), *second_homes.modules(), "torch.random", "torch.testing", "torch.compiler"}
"""Modules of PyTorch that have nothing behind them but what `_own_names` gives."""

_HELP = (
    "gradviz runs this script on its own tensors (`--core`), which have a part of what PyTorch has; without `--core` "
    "it runs on PyTorch"
)


_NESTED = {*_OWN, *SAME}
"""Those that are there before anybody imports them."""
_EMPTY = ModuleType("gradviz")


class StandIn(ModuleType):
    """A module of PyTorch's name that looks names up in a module of gradviz."""

    def __init__(self, name: str, behind: ModuleType, own: dict[str, Any]) -> None:
        super().__init__(name, behind.__doc__)
        self.__path__: list[str] = []
        self.__dict__["_gradviz_behind"] = behind
        self.__dict__.update(own)

    def __getattr__(self, name: str) -> Any:
        behind = self.__dict__["_gradviz_behind"]
        if f"{self.__name__}.{name}" in _NESTED:
            return importlib.import_module(f"{self.__name__}.{name}")
        if name == "__all__":
            return [one for one in dir(self) if not one.startswith("_")]
        if name.startswith("__"):
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'", name=name)
        try:
            found = getattr(behind, name)
        except AttributeError:
            found = None
        if isinstance(found, ModuleType):
            if _behind(f"{self.__name__}.{name}") is None:
                raise self._missing(name)
            return importlib.import_module(f"{self.__name__}.{name}")
        if found is None and name not in vars(behind):
            raise self._missing(name)
        return found

    def _missing(self, name: str) -> AttributeError:
        error = missing_name(self.__name__, name, dir(self))
        error.add_note(f"gradviz: {_HELP}")
        return error

    def __dir__(self) -> list[str]:
        own = [name for name in self.__dict__ if not name.startswith("_")]
        nested = [name.removeprefix(f"{self.__name__}.") for name in _NESTED if name.startswith(f"{self.__name__}.")]
        behind = [] if self.__dict__["_gradviz_behind"] is _EMPTY else dir(self.__dict__["_gradviz_behind"])
        return sorted({*behind, *own, *(name for name in nested if "." not in name)})


class _Finder(MetaPathFinder, Loader):
    """Gives the stand-ins to `import`, and keeps everything else of PyTorch's from being found."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a stand-in. Raises ModuleNotFoundError for a name of PyTorch's that gradviz lacks."""
        root = name.partition(".")[0]
        if root not in ROOTS:
            return None
        if _behind(name) is None:
            outer, _, last = name.rpartition(".")
            # Its `name` is not the module's: `from torch import name` would swallow the error and tell another one.
            raise ModuleNotFoundError(f"there is no '{last}' in '{outer}'; {_HELP}", name=outer or root)
        return ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The stand-in for a module."""
        behind = _behind(spec.name)
        assert behind is not None
        return StandIn(spec.name, behind, _own_names(spec.name))

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: there is nothing to run."""


def _behind(name: str) -> ModuleType | None:
    """The public module of gradviz that has the names of a module of PyTorch, or None."""
    if name in ROOTS:
        return gradviz
    if not name.startswith("torch."):
        return None
    if name in _OWN:
        return _EMPTY
    path = SAME.get(name, name.removeprefix("torch."))
    first, *rest = path.split(".")
    if first not in gradviz._PACKAGES or first == "testing":
        return None
    module: Any = importlib.import_module(f"gradviz.{first}")
    for part in rest:
        module = getattr(module, part, None)
    return module if isinstance(module, ModuleType) and module.__name__.startswith("gradviz.") else None


def _own_names(name: str) -> dict[str, Any]:
    """What a stand-in has besides: the questions that programs ask of PyTorch before they begin."""
    match name:
        case "torch":
            compile = importlib.import_module("gradviz.nn.compiled").compile
            tensor = importlib.import_module("gradviz.core.calling").Tensor
            return {"__version__": f"{LIKE}+gradviz", "Tensor": tensor, "newaxis": None, "compile": compile}
        case "torch.cuda.amp":
            return {"autocast": _older("autocast"), "GradScaler": _older("GradScaler")}
        case "torch.random":
            names = ("manual_seed", "seed", "initial_seed", "get_rng_state", "set_rng_state")
            fork_rng = importlib.import_module("gradviz.core.ops.streams").fork_rng
            return {"fork_rng": fork_rng, **{name: getattr(gradviz, name) for name in names}}
        case "torch.testing":
            return {"assert_close": importlib.import_module("gradviz.core.closeness").assert_close}
        case "torch.compiler":
            return {"is_compiling": lambda: False, "disable": itself, "reset": nothing}
        case _:
            return {**without_gpu.modules(), **second_homes.modules()}.get(name, {})


def _older(name: str) -> Any:
    """What `torch.cuda.amp` has: that of `torch.amp` for "cuda", and a warning."""

    def call(*args: Any, **kwargs: Any) -> Any:
        warnings.warn(
            f"`torch.cuda.amp.{name}(args...)` is deprecated. Please use `torch.amp.{name}('cuda', args...)` instead.",
            FutureWarning,
            stacklevel=2,
        )
        if name == "autocast":
            kwargs |= dict(zip(("enabled", "dtype", "cache_enabled"), args, strict=False))
            return gradviz.amp.autocast("cuda", **kwargs)
        return gradviz.amp.GradScaler("cuda", *args, **kwargs)

    call.__name__ = call.__qualname__ = name
    return call


@contextmanager
def standing_in() -> Iterator[None]:
    """Let `torch` and `torchviz` be gradviz's own inside the block, also where PyTorch is installed."""
    from gradviz.core.spelling import OWN, spelling  # gradviz is imported without its core

    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in ROOTS}
    finder = _Finder()
    for name in before:
        del sys.modules[name]
    sys.meta_path.insert(0, finder)
    spelling.name = "torch"
    try:
        yield
    finally:
        spelling.name = OWN
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.partition(".")[0] in ROOTS]:
            del sys.modules[name]
        sys.modules.update(before)
