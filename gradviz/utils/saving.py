"""`save` and `load`: tensors, and what programs keep beside them, in files that hold no code.

A file is a zip of numpy arrays (`.npz`), which numpy reads, too; a dictionary of tensors is one array for each, under
its own name. What is nested, or no tensor, is described by a text in JSON beside the arrays. A name that ends in
`.safetensors` makes a file of that format instead, from a dictionary of tensors, where the package is installed.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from gradviz.core.dtypes import FROM_NUMPY
from gradviz.core.ops.table import TABLE
from gradviz.core.tensor import Tensor
from gradviz.errors import UsageError
from gradviz.nn.parameter import Parameter, born

_STRUCTURE = "gradviz.structure"
"""The array with the description, in UTF-8."""

File = str | os.PathLike[str] | IO[bytes]


def save(obj: Any, f: File) -> None:
    """Write `obj` to a file, by its name or opened for writing bytes.

    obj: a tensor, a `state_dict`, or dictionaries, lists and tuples of tensors, numbers, texts and None, however deep.
    Raises UsageError for anything else, and for a nested one in a `.safetensors` file.
    """
    if _is_safetensors(f):
        _safetensors().save_file(_flat(obj, os.fspath(f)), os.fspath(f))  # type: ignore[arg-type]
        return
    arrays: dict[str, Any] = {}
    if _is_flat(obj):
        arrays = {name: _array(tensor) for name, tensor in obj.items()}
    else:
        text = json.dumps(_described(obj, "", arrays), separators=(",", ":"))
        arrays[_STRUCTURE] = np.frombuffer(text.encode(), np.uint8)
    if isinstance(f, (str, os.PathLike)):
        with open(f, "wb") as stream:
            _write(stream, arrays)
    else:
        _write(f, arrays)


def load(f: File, map_location: Any = None, weights_only: bool | None = None, **more: Any) -> Any:
    """What `save` wrote to a file. The other arguments are accepted for programs that name them.

    Raises UsageError for a file of another kind, such as one that PyTorch pickled.
    """
    name = os.fspath(f) if isinstance(f, (str, os.PathLike)) else "the file"
    if _is_safetensors(f):
        return {key: _tensor(array) for key, array in _safetensors().load_file(name).items()}
    try:
        found = np.load(f, allow_pickle=False)
        arrays = dict(found) if isinstance(found, np.lib.npyio.NpzFile) else None
    except FileNotFoundError:
        raise
    except (ValueError, OSError, zipfile.BadZipFile):
        arrays = None
    if arrays is None or not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise UsageError(f"`{name}` was not written by `gradviz.save`", help="save the state again, with gradviz")
    structure = arrays.pop(_STRUCTURE, None)
    if structure is None:
        return OrderedDict((key, _tensor(array)) for key, array in arrays.items())
    return _rebuilt(json.loads(structure.tobytes().decode()), arrays)


def _write(stream: IO[bytes], arrays: Mapping[str, Any]) -> None:
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asanyarray(array), allow_pickle=False)


def _is_flat(obj: Any) -> bool:
    return (
        isinstance(obj, Mapping)
        and bool(obj)
        and all(isinstance(name, str) and name != _STRUCTURE for name in obj)
        and all(isinstance(value, Tensor) for value in obj.values())
    )


def _array(tensor: Tensor) -> Any:
    return np.ascontiguousarray(tensor._data).reshape(tensor._data.shape)


def _tensor(array: Any, parameter: bool = False, requires_grad: bool = False) -> Any:
    if array.dtype not in FROM_NUMPY:
        raise UsageError(f"there is no tensor of `{array.dtype}`")
    return born(array, requires_grad, Parameter if parameter else Tensor, TABLE["tensor"])


def _described(obj: Any, path: str, arrays: dict[str, Any]) -> Any:
    """`obj` in terms of JSON; its arrays go to `arrays` under the paths that lead to them."""
    if isinstance(obj, Tensor):
        name = path or "tensor"
        arrays[name] = _array(obj)
        return {"tensor": name, "parameter": isinstance(obj, Parameter), "requires_grad": obj._requires_grad}
    if isinstance(obj, np.ndarray):
        arrays[path or "array"] = obj
        return {"array": path or "array"}
    if obj is None or isinstance(obj, (bool, int, float, str)):
        return {"plain": obj}
    if isinstance(obj, Mapping):
        entries = []
        for key, value in obj.items():
            if not isinstance(key, (str, int)):
                raise UsageError(f"a key that is a `{type(key).__name__}` cannot be saved", help="use texts or numbers")
            entries.append([key, _described(value, f"{path}.{key}" if path else str(key), arrays)])
        return {"dict": entries}
    if isinstance(obj, (list, tuple)):
        parts = [
            _described(part, f"{path}.{index}" if path else str(index), arrays) for index, part in enumerate(obj)
        ]
        return {"tuple" if isinstance(obj, tuple) else "list": parts}
    what = f"`{path}`, a `{type(obj).__name__}`," if path else f"a `{type(obj).__name__}`"
    raise UsageError(f"{what} cannot be saved", help="save its `state_dict()`, or tensors, numbers and texts")


def _rebuilt(told: dict[str, Any], arrays: Mapping[str, Any]) -> Any:
    if "tensor" in told:
        return _tensor(arrays[told["tensor"]], told["parameter"], told["requires_grad"])
    if "array" in told:
        return arrays[told["array"]]
    if "dict" in told:
        return {key: _rebuilt(value, arrays) for key, value in told["dict"]}
    if "list" in told:
        return [_rebuilt(part, arrays) for part in told["list"]]
    if "tuple" in told:
        return tuple(_rebuilt(part, arrays) for part in told["tuple"])
    return told["plain"]


def _is_safetensors(f: File) -> bool:
    return isinstance(f, (str, os.PathLike)) and os.fspath(f).endswith(".safetensors")


def _flat(obj: Any, name: str) -> dict[str, Any]:
    if not _is_flat(obj):
        raise UsageError(f"`{name}` can hold a dictionary of tensors only", help="save it as `.npz`")
    return {key: _array(tensor) for key, tensor in obj.items()}


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise UsageError(
            "`.safetensors` files need the package safetensors", help="install it, or save as `.npz`"
        ) from None
    return safetensors.numpy
