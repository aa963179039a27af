"""The look of an SVG: its colours, light and dark, as literal values in classes, and which marks the classes carry.

No custom properties: resvg, Inkscape and mail clients ignore those. Red means a cut, a lost gradient or an error, and
nothing else; and whatever a colour says, a shape, a dash or a word says too.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

PAINTS: Mapping[str, tuple[str, str]] = {
    "paper": ("#ffffff", "#0d1117"),
    "ink": ("#1f2937", "#e6e9ee"),
    "muted": ("#5b6472", "#9aa4b2"),
    "line": ("#374151", "#aab4c0"),
    "faint line": ("#6b7280", "#8b95a3"),
    "op": ("#f3f4f6", "#1f2733"),
    "op edge": ("#c3c9d2", "#4a5565"),
    "leaf": ("#dbeafe", "#14264d"),
    "leaf edge": ("#2563eb", "#6aa5fb"),
    "output": ("#dcfce7", "#0a2e1a"),
    "output edge": ("#15803d", "#4ade80"),
    "cut": ("#d11f1f", "#ff6b6b"),
    "cut ground": ("#fff1f1", "#34100f"),
    "cut mark": ("#ffffff", "#1c0606"),
    "saved": ("#fff4e0", "#33230a"),
    "saved edge": ("#b45309", "#e0a458"),
    "region": ("#f7f8fa", "#131a24"),
    "module": ("#fbfbfd", "#10161f"),
    "module edge": ("#c3c9d2", "#3c4656"),
    "warning": ("#8a5a00", "#e3b341"),
    "warning mark": ("#ffffff", "#1f1503"),
    "error road": ("#fbcaca", "#5c2323"),
    "warning road": ("#f5dd9a", "#4d3b10"),
    "mark": ("#7c3aed", "#b794f6"),
}
"""Each paint on a light and on a dark page. No SVG has `mark`: it is for what a reader of an HTML page points at."""

TEXT_ON: tuple[tuple[str, str], ...] = (
    ("ink", "paper"),
    ("muted", "paper"),
    ("ink", "op"),
    ("muted", "op"),
    ("ink", "leaf"),
    ("muted", "leaf"),
    ("ink", "output"),
    ("muted", "output"),
    ("ink", "saved"),
    ("muted", "saved"),
    ("muted", "region"),
    ("ink", "region"),
    ("muted", "module"),
    ("cut", "paper"),
    ("cut", "cut ground"),
    ("muted", "cut ground"),
    ("cut mark", "cut"),
    ("warning", "paper"),
    ("warning mark", "warning"),
)
"""Which paint text is written in, and which paint lies under it."""

# Selector, declarations without colour, and the paints of fill and stroke.
_RULES: tuple[tuple[str, str, str, str], ...] = (
    ("text", 'font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace', "ink", ""),
    (".m,.op,.leaf,.const,.off,.out,.res,.offo,.exit,.err,.saved,.more", "text-anchor:middle", "", ""),
    (".h", "font:600 15px system-ui,sans-serif", "", ""),
    (".k,.s", "font:11px system-ui,sans-serif", "muted", ""),
    (".t", "font:600 11px system-ui,sans-serif", "muted", ""),
    ("rect,.e", "stroke-width:1", "paper", "op edge"),
    (".paper", "stroke:none", "paper", ""),
    (".op rect", "", "op", "op edge"),
    (".leaf rect", "stroke-width:1.6", "leaf", "leaf edge"),
    (".const rect", "", "paper", "op edge"),
    (".off rect,.offo rect", "stroke-dasharray:4 3", "paper", "faint line"),
    (".off text,.offo text,.res text", "", "muted", ""),
    (".out rect", "stroke-width:1.4", "output", "output edge"),
    (".out .in,.res .in,.offo .in", "fill:none;stroke-width:1", "", ""),
    (".exit .e", "", "paper", "faint line"),
    (".more rect", "stroke-dasharray:1 3;stroke-linecap:round", "paper", "faint line"),
    (".saved .e", "", "saved", "saved edge"),
    (".f", "stroke-dasharray:6 4", "region", "faint line"),
    (".fm", "", "module", "module edge"),
    (".ft", "", "paper", "faint line"),
    (".fmt", "", "paper", "module edge"),
    (".cut rect", "stroke-width:1.4", "cut ground", "cut"),
    (".ct", "font:600 12px system-ui,sans-serif", "cut", ""),
    (".err .e", "stroke-width:1.8", "cut ground", "cut"),
    (".dot", "stroke:none", "cut", ""),
    (".sn", "stroke-width:1.5;stroke-linecap:round;fill:none", "", "cut mark"),
    (".g,.w,.d,.a,.v,.c", "fill:none", "", ""),
    (".g", "stroke-width:1.7", "", "line"),
    (".w,.wh,.d", "stroke-width:1", "", "faint line"),
    (".d", "stroke-width:1.3;stroke-dasharray:4 3", "", ""),
    (".a", "stroke-width:1.7;stroke-dasharray:.1 4;stroke-linecap:round", "", "line"),
    (".v", "stroke-width:1.3;stroke-dasharray:8 3 2 3", "", "saved edge"),
    (".c", "stroke-width:2.4", "", "cut"),
    (".c.err", "stroke-width:1.8", "", ""),
    (".lost path", "stroke-width:2;stroke-linecap:round", "", "cut mark"),
    (".gh", "", "line", ""),
    (".wh", "", "paper", ""),
    (".dh", "", "faint line", ""),
    (".ch", "", "cut", ""),
)

# What only a drawing with findings needs.
_FINDING_RULES: tuple[tuple[str, str, str, str], ...] = (
    (".re,.rw", "fill:none;stroke-width:10;stroke-linecap:round", "", ""),
    (".re", "", "", "error road"),
    (".rw", "", "", "warning road"),
    (".xe rect,.xe .e,rect.xe", "stroke-width:2.2", "", "cut"),
    (".xw rect,.xw .e,rect.xw", "stroke-width:2.2", "", "warning"),
    (".fh", "font:600 12px system-ui,sans-serif", "", ""),
    (".fi", "font:12px system-ui,sans-serif", "ink", ""),
    (".te", "", "cut", ""),
    (".tw", "", "warning", ""),
    (".n", "font:700 12px system-ui,sans-serif", "", ""),
    (".ns", "font:700 9px system-ui,sans-serif", "", ""),
    (".te .n,.te .ns", "", "cut mark", ""),
    (".tw .n,.tw .ns", "", "warning mark", ""),
)


# What only a drawing of a folded graph needs.
_FOLD_RULES: tuple[tuple[str, str, str, str], ...] = (
    (".sub", "fill:none;stroke-width:1", "", "op edge"),
    (".leaf .sub", "", "", "leaf edge"),
)


# What only a drawing with hooks needs.
_HOOK_RULES: tuple[tuple[str, str, str, str], ...] = (
    (".hk circle", "stroke-width:1.2", "paper", "line"),
    (".hk path", "fill:none;stroke-width:1.7;stroke-linecap:round", "", "line"),
)


@cache
def style_sheet(*, findings: bool = False, folds: bool = False, hooks: bool = False) -> str:
    """The text of the `<style>` element: every rule in light colours, then the colours again for a dark page.

    findings, folds, hooks   with the rules for a drawing that has some
    Every selector is held to our own root, since a page may hold this SVG inline among others.
    """
    light, dark = [], []
    more = (*(_FINDING_RULES if findings else ()), *(_FOLD_RULES if folds else ()), *(_HOOK_RULES if hooks else ()))
    for selectors, plain, fill, stroke in (*_RULES, *more):
        selector = ",".join(f".gv {part}" for part in selectors.split(","))
        light.append(f"{selector}{{{';'.join(filter(None, (plain, *_paint(fill, stroke, 0))))}}}")
        if fill or stroke:
            dark.append(f"{selector}{{{';'.join(_paint(fill, stroke, 1))}}}")
    return "\n".join((*light, "@media (prefers-color-scheme:dark){", *dark, "}"))


def _paint(fill: str, stroke: str, mode: int) -> list[str]:
    named = (("fill", fill), ("stroke", stroke))
    return [f"{property}:{PAINTS[paint][mode]}" for property, paint in named if paint]
