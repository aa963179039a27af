"""Documents are held to the code: links lead somewhere, named files exist, examples run, commands are what CI runs."""

from __future__ import annotations

import doctest
import importlib
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "samples").glob("*.md")])
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
README = (ROOT / "README.md").read_text(encoding="utf-8")

# The two ways in, which must each work alone in a fresh clone.
DRAW = "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/gradviz render samples/detach.py"
TEST = "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/pytest"


def fences(text: str, language: str) -> list[str]:
    """The blocks of a page that are marked as `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    """A page without its fenced and indented blocks."""
    return re.sub(r"^(```.*?^```|    .*?)$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The names under which a page's headings can be linked to, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text(encoding="utf-8"))):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        goal = (page.parent / path).resolve() if path else page
        if not goal.exists() or (anchor and anchor not in anchors(goal)):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_files_named_exist(page: Path) -> None:
    """A path in backticks is there; of `gradviz/views/<name>.py` it is the folder."""
    missing = []
    for name in re.findall(r"`((?:gradviz|cli|tests|samples|docs|\.ci)/[^`\s]*)`", page.read_text(encoding="utf-8")):
        path = ROOT / name
        if not (path.parent.is_dir() if "<name>" in name else path.exists()):
            missing.append(name)
    assert not missing


def test_every_page_of_docs_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")} - {"README.md"}
    assert pages == set(re.findall(r"\]\(([^)]+\.md)\)", index))


def test_readme_begins_with_a_picture_and_two_commands() -> None:
    assert "](docs/detach.svg)" in README[:400]
    assert [block.strip() for block in fences(README, "sh")[:2]] == [DRAW, TEST]
    assert TEST in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_python_examples(page: Path) -> None:
    """Blocks marked `python` are doctests that share one namespace a page."""
    examples = "\n".join(fences(page.read_text(encoding="utf-8"), "python"))
    test = doctest.DocTestParser().get_doctest(examples, {"__name__": "__main__"}, page.name, str(page), 0)
    lines: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=lines.append)
    assert not lines, "".join(lines)


def test_every_python_example_is_a_doctest() -> None:
    for page in PAGES:
        for block in fences(page.read_text(encoding="utf-8"), "python"):
            assert block.startswith(">>> "), f"{page.name}: {block.splitlines()[0]}"


def test_changelog_has_the_version() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    headings = re.findall(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[:2] == ["Unreleased", version]


def test_version_is_said_once_more_in_the_package() -> None:
    import gradviz

    with (ROOT / "pyproject.toml").open("rb") as file:
        assert gradviz.__version__ == tomllib.load(file)["project"]["version"]


def listed(page: str) -> dict[str, set[str]]:
    """By module the names in the table of what there is; "`Conv1d` to `Conv3d`" stands for three."""
    found: dict[str, set[str]] = {}
    for where, what in re.findall(r"^\| (`.+?) \| (.+) \|$", page, re.MULTILINE):
        names = re.findall(r"`(\w+)`", what)
        for stem, first, last in re.findall(r"`(\w+?)(\d)d` to `\w+?(\d)d`", what):
            names += [f"{stem}{count}d" for count in range(int(first), int(last) + 1)]
        for module in re.findall(r"`([\w.]+)`", where):
            found.setdefault(module, set()).update(names)
    return found


@pytest.mark.parametrize(
    "name", ["nn", "optim", "optim.lr_scheduler", "optim.swa_utils", "func", "linalg", "special", "distributions"]
)
def test_what_there_is_of_the_core_is_all_that_there_is(name: str) -> None:
    module = importlib.import_module(f"gradviz.{name}")
    public = set(getattr(module, "__all__", ())) | ({*dir(module)} if name in ("linalg", "special") else set())
    told = listed((ROOT / "docs" / "core.md").read_text(encoding="utf-8"))[name]
    assert public - told <= {"functional", "init", "utils", "lr_scheduler", "swa_utils", "constraints", "transforms"}
    assert {one for one in told if not hasattr(module, one) and one != "state_dict"} == set()
