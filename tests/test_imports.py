"""House rules that can be read off the source: which way imports point, what is loaded lazily, how long a file is."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Where each module stands; the longest name that fits counts. A consumer is the strictest thing to be, so a module that
# is named nowhere is one.
LAYERS = {
    "gradviz": "consumer",
    "gradviz._version": "waist",
    "gradviz.errors": "waist",
    "gradviz.events": "waist",
    "gradviz.ids": "waist",
    "gradviz.interning": "waist",
    "gradviz.naming": "waist",
    "gradviz.callees": "waist",
    "gradviz.rates": "waist",
    "gradviz.sites": "waist",
    "gradviz.bytecode": "waist",
    "gradviz.targets": "waist",
    "gradviz.walking": "waist",
    "gradviz.weakly": "waist",
    "gradviz.amp": "producer",
    "gradviz.core": "producer",
    "gradviz.distributions": "producer",
    "gradviz.func": "producer",
    "gradviz.linalg": "producer",
    "gradviz.nn": "producer",
    "gradviz.optim": "producer",
    "gradviz.special": "producer",
    "gradviz.utils": "producer",
    "gradviz.autograd": "producer",
    "gradviz.frontends": "producer",
    "gradviz.emitters": "driver",
    "gradviz.recorder": "driver",
    "gradviz.run": "driver",
    "gradviz.standing_in": "driver",
    "gradviz.snapshot": "driver",
    "gradviz.checkup": "driver",
    "gradviz.evidence": "driver",
    "gradviz.testing": "driver",
    "gradviz.pytest_plugin": "driver",
    "gradviz.inquiry": "driver",
    "gradviz.__init__": "face",
    "gradviz.__main__": "face",
    "gradviz_cli": "commands",
}
MAY_IMPORT = {
    "waist": {"waist"},
    "producer": {"waist", "producer"},
    "consumer": {"waist", "consumer"},
    "driver": {"waist", "producer", "consumer", "driver", "face"},
    "face": {"waist", "producer", "consumer", "driver", "face", "commands"},
    "commands": {"waist", "producer", "consumer", "driver", "face", "commands"},
}

# Which packages from outside each layer may use, and the modules that have one more.
FOREIGN: dict[str, set[str]] = {"producer": {"numpy"}, "commands": {"click", "rich"}}
FOREIGN_MORE = {
    "gradviz.pytest_plugin": {"pytest"},
    "gradviz.snapshot": {"graphviz"},
    "gradviz.views.account": {"rich"},
    "gradviz.views.display": {"graphviz"},
    "gradviz.views.dot": {"graphviz"},
    "gradviz.views.png": {"pypdfium2"},
    "gradviz.views.torchviz": {"graphviz"},
    "gradviz.views.tree": {"rich"},
    "gradviz.frontends.torch": {"torch"},
    "gradviz.utils.saving": {"safetensors"},
}

# The rooms of the PyTorch front end. Each may import from those before it, and the files beside them from all.
ROOMS = ("patching", "autograd", "places", "books", "calls", "engine", "listening", "models")
TORCH = "gradviz.frontends.torch"

LINES = 400
# Files that are longer, each with the reason why it is one idea all the same.
LONGER: dict[str, str] = {
    "gradviz/events.py": "the waist is one page: every record that a producer may emit and a consumer may meet",
}


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the project by the name it is imported by; a package's root as `package.__init__`."""
    for folder, package in (("gradviz", "gradviz"), ("cli", "gradviz_cli")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield ".".join((package, *path.relative_to(ROOT / folder).with_suffix("").parts)), path


MODULES = dict(modules())
PACKAGES = {name.removesuffix(".__init__") for name in MODULES if name.endswith(".__init__")}


def entry(table: Mapping[str, object], name: str) -> object:
    """The entry of the longest name in `table` that `name` is or lies below."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        found = table.get(".".join(parts[:length]))
        if found is not None:
            return found
    return None


def imports(name: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and full name of all that a module imports, inside functions too; names of a package become its modules."""
    package = name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, f"{alias.name}.__init__" if alias.name == "gradviz" else alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            for alias in node.names:
                full = f"{base}.{alias.name}"
                if full in MODULES or full in PACKAGES:
                    yield node.lineno, full
                elif base == "gradviz":
                    yield node.lineno, "gradviz.__init__"
                else:
                    yield node.lineno, base


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_one_way(name: str) -> None:
    layer = str(entry(LAYERS, name))
    tree = ast.parse(MODULES[name].read_bytes())
    more = entry(FOREIGN_MORE, name)
    foreign = FOREIGN.get(layer, set()) | (more if isinstance(more, set) else set())
    wrong = []
    for line, imported in imports(name, tree):
        root = imported.partition(".")[0]
        if root in ("gradviz", "gradviz_cli"):
            other = str(entry(LAYERS, imported))
            if other not in MAY_IMPORT[layer]:
                wrong.append(f"line {line}: a {layer} module imports `{imported}` ({other})")
        elif root not in sys.stdlib_module_names and root not in foreign:
            wrong.append(f"line {line}: a {layer} module imports `{imported}`")
    assert not wrong, f"{name}: " + "; ".join(wrong)


def test_the_rules_see_an_arrow_that_runs_back() -> None:
    source = "def f():\n    from gradviz.core import Tensor\n    from . import core\n    import numpy.linalg\n"
    seen = [imported for _, imported in imports("gradviz.fold", ast.parse(source))]
    assert seen == ["gradviz.core", "gradviz.core", "numpy.linalg"]
    assert entry(LAYERS, "gradviz.core.ops.table") == "producer"
    assert entry(LAYERS, "gradviz.views.svg") == "consumer"
    assert "producer" not in MAY_IMPORT["consumer"]


def room(name: str) -> int:
    """Where the room of a module of the PyTorch front end stands; the files beside the rooms come last."""
    first = name.removeprefix(f"{TORCH}.").partition(".")[0]
    return ROOMS.index(first) if first in ROOMS else len(ROOMS)


FRONT_END = {name: path for name, path in MODULES.items() if name.startswith(f"{TORCH}.")}


def test_every_room_of_the_front_end_has_its_place() -> None:
    assert {name.removeprefix(f"{TORCH}.") for name in PACKAGES if name.startswith(f"{TORCH}.")} == set(ROOMS)


@pytest.mark.parametrize("name", FRONT_END)
def test_rooms_of_the_front_end_import_one_way(name: str) -> None:
    wrong = [
        f"line {line}: `{imported}`"
        for line, imported in imports(name, ast.parse(FRONT_END[name].read_bytes()))
        if imported.startswith(f"{TORCH}.") and room(imported) > room(name)
    ]
    assert not wrong, f"{name}: " + "; ".join(wrong)


def test_no_file_of_the_front_end_imports_in_a_circle() -> None:
    waiting = {
        name: {imported for _, imported in imports(name, ast.parse(path.read_bytes())) if imported in FRONT_END}
        for name, path in FRONT_END.items()
    }
    while free := {name for name, needed in waiting.items() if not needed & waiting.keys()}:
        waiting = {name: needed for name, needed in waiting.items() if name not in free}
    assert not waiting


def test_import_gradviz_is_light() -> None:
    """`import gradviz` loads no package from outside; they come when they are used."""
    code = "import sys, gradviz; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "rich", "click", "graphviz", "torch"} & set(done.stdout.split())


@pytest.mark.parametrize("name", MODULES)
def test_all_is_said_in_package_roots_only(name: str) -> None:
    names = {node.id for node in ast.walk(ast.parse(MODULES[name].read_bytes())) if isinstance(node, ast.Name)}
    assert "__all__" not in names or name.endswith(".__init__")


@pytest.mark.parametrize("name", MODULES)
def test_first_line_says_what_the_file_is_for(name: str) -> None:
    source = MODULES[name].read_text(encoding="utf-8")
    if source.strip():
        assert source.startswith('"""')
        assert ast.get_docstring(ast.parse(source))


@pytest.mark.parametrize("name", MODULES)
def test_files_are_short(name: str) -> None:
    path = MODULES[name]
    count = len(path.read_text(encoding="utf-8").splitlines())
    assert count <= LINES or path.relative_to(ROOT).as_posix() in LONGER, f"{count} lines"


def test_every_package_is_installed() -> None:
    """A package that pyproject.toml does not list would be in an editable install and missing from a wheel."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        listed = tomllib.load(file)["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(PACKAGES)


def test_every_file_beside_the_modules_is_installed() -> None:
    """What a module reads at run time has to be in a wheel, too."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        listed = tomllib.load(file)["tool"]["setuptools"]["package-data"]
    named = {f"{package.replace('.', '/')}/{name}" for package, names in listed.items() for name in names}
    folders = {"gradviz": ROOT / "gradviz", "gradviz_cli": ROOT / "cli"}
    beside = {
        f"{package}/{path.relative_to(folder).as_posix()}"
        for package, folder in folders.items()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert named == beside


def test_no_module_takes_the_name_of_something_public() -> None:
    """`gradviz.log` is the logarithm: a module of that name would take its place as soon as it was imported."""
    modules = {path.stem for path in (ROOT / "gradviz").iterdir() if not path.name.startswith("_")}
    listed = "import gradviz; print(*dir(gradviz))"
    public = subprocess.run([sys.executable, "-c", listed], capture_output=True, text=True, check=True).stdout.split()
    shared = {"amp", "autograd", "distributions", "func", "linalg", "nn", "optim", "special", "testing", "utils"}
    assert modules & set(public) == shared, "these are modules in public, too"


@pytest.mark.parametrize("module", ["events", "errors", "graphs", "query", "layout"])
def test_a_consumer_is_imported_without_the_core(module: str) -> None:
    loads = f"import sys; from gradviz import {module}; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", loads], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
