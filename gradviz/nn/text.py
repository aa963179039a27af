"""How a module prints: its name, what it says of itself, and its parts, equal ones in a row as `(0-2): 3 x Linear`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradviz.nn.module import Module


def module_text(module: Module) -> str:
    """The text of a module, as PyTorch prints it."""
    extra = module.extra_repr()
    said = extra.split("\n") if extra else []
    parts = [f"({name}): {indented(repr(part))}" for name, part in module._modules.items()]
    return laid_out(module._get_name(), said, parts)


def laid_out(name: str, said: list[str], parts: list[str]) -> str:
    """A name with what is said of it and with its parts, on one line where there is little."""
    lines = said + parts
    if not lines:
        return f"{name}()"
    if len(said) == 1 and not parts:
        return f"{name}({said[0]})"
    return f"{name}(\n  " + "\n  ".join(lines) + "\n)"


def indented(text: str) -> str:
    """`text` with two blanks before every line but the first."""
    return text.replace("\n", "\n  ")


def list_text(module: Module) -> str:
    """The text of a `ModuleList`, where equal neighbours are told once."""
    texts = [repr(part) for part in module._modules.values()]
    groups: list[tuple[int, int, str]] = []
    for index, text in enumerate(texts):
        if groups and groups[-1][2] == text:
            groups[-1] = (groups[-1][0], index, text)
        else:
            groups.append((index, index, text))
    lines = []
    for first, last, text in groups:
        label = f"({first}): {text}" if first == last else f"({first}-{last}): {last - first + 1} x {text}"
        lines.append(indented(label))
    return f"{module._get_name()}(\n  " + "\n  ".join(lines) + "\n)" if lines else f"{module._get_name()}()"
