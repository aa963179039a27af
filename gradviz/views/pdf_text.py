"""Text in a PDF without a font file: the fonts that every viewer has, and a small plate for what they cannot write.

They hold the characters of Windows-1252, Greek letters and common signs of mathematics. Any other character is shown as
a plate with its code point in hexadecimal, as a browser shows one that no font has; copied or searched, the line still
is what was meant.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby

FONTS = {"sans": "Helvetica", "bold": "Helvetica-Bold", "mono": "Courier", "sign": "Symbol"}
"""Names of fonts in a content stream, and the standard fonts that they stand for."""

# Advance widths in thousandths of an em, as the metrics of the standard fonts have them: U+0020 to U+007E, then U+00A0
# to U+00FF, then the rest of Windows-1252.
_HELVETICA = (
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556,
    556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334,
    260, 334, 584,
)  # fmt: skip
_HELVETICA_HIGH = (
    278, 333, 556, 556, 556, 556, 260, 556, 333, 737, 370, 556, 584, 333, 737, 333, 400, 584, 333, 333, 333, 556, 537,
    278, 333, 333, 365, 556, 834, 834, 834, 611, 667, 667, 667, 667, 667, 667, 1000, 722, 667, 667, 667, 667, 278, 278,
    278, 278, 722, 722, 778, 778, 778, 778, 778, 584, 778, 722, 722, 722, 722, 667, 667, 611, 556, 556, 556, 556, 556,
    556, 889, 500, 556, 556, 556, 556, 278, 278, 278, 278, 556, 556, 556, 556, 556, 556, 556, 584, 611, 556, 556, 556,
    556, 500, 556, 500,
)  # fmt: skip
_BOLD = (
    278, 333, 474, 556, 556, 889, 722, 238, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 333, 333, 584, 584, 584, 611, 975, 722, 722, 722, 722, 667, 611, 778, 722, 278, 556, 722, 611, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 333, 278, 333, 584, 556, 333, 556, 611, 556, 611,
    556, 333, 611, 611, 278, 278, 556, 278, 889, 611, 611, 611, 611, 389, 556, 333, 611, 556, 778, 556, 556, 500, 389,
    280, 389, 584,
)  # fmt: skip
_BOLD_HIGH = (
    278, 333, 556, 556, 556, 556, 280, 556, 333, 737, 370, 556, 584, 333, 737, 333, 400, 584, 333, 333, 333, 611, 556,
    278, 333, 333, 365, 556, 834, 834, 834, 611, 722, 722, 722, 722, 722, 722, 1000, 722, 667, 667, 667, 667, 278, 278,
    278, 278, 722, 722, 778, 778, 778, 778, 778, 584, 778, 722, 722, 722, 722, 667, 667, 611, 556, 556, 556, 556, 556,
    556, 889, 556, 556, 556, 556, 556, 278, 278, 278, 278, 611, 611, 611, 611, 611, 611, 611, 584, 611, 611, 611, 611,
    611, 556, 611, 556,
)  # fmt: skip
_MORE = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
_HELVETICA_MORE = (
    556, 222, 556, 333, 1000, 556, 556, 333, 1000, 667, 333, 1000, 611, 222, 222, 333, 333, 350, 556, 1000, 333, 1000,
    500, 333, 944, 500, 667,
)  # fmt: skip
_BOLD_MORE = (
    556, 278, 556, 500, 1000, 556, 556, 333, 1000, 667, 333, 1000, 611, 278, 278, 500, 500, 350, 556, 1000, 333, 1000,
    556, 333, 944, 500, 667,
)  # fmt: skip
_CHARACTERS = "".join(map(chr, (*range(0x20, 0x7F), *range(0xA0, 0x100)))) + _MORE
_WIDTHS = {
    "sans": dict(zip(_CHARACTERS, _HELVETICA + _HELVETICA_HIGH + _HELVETICA_MORE, strict=True)),
    "bold": dict(zip(_CHARACTERS, _BOLD + _BOLD_HIGH + _BOLD_MORE, strict=True)),
    "mono": dict.fromkeys(_CHARACTERS, 600),
}

# Character, code and width in the font Symbol.
_SIGNS = dict(
    zip(
        "ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖαβχδεφγηιϕκλμνοπθρστυϖωξψζ∀∃∗−≅∴⊥∼′≤∞←↑→↓″≥∝∂≠≡≈ℵ⊗⊕∅∩∪⊃⊂∈∉∠∇∏√⋅∧∨⇐⇒∑∫",
        zip(
            (
                *range(65, 91), *range(97, 123), 34, 36, 42, 45, 64, 92, 94, 126, 162, 163, 165, 172, 173, 174, 175,
                178, 179, 181, 182, 185, 186, 187, 192, 196, 197, 198, 199, 200, 201, 204, 206, 207, 208, 209, 213,
                214, 215, 217, 218, 220, 222, 229, 242,
            ),
            (
                722, 667, 722, 612, 611, 763, 603, 722, 333, 631, 722, 686, 889, 722, 722, 768, 741, 556, 592, 611,
                690, 439, 768, 645, 795, 611, 631, 549, 549, 494, 439, 521, 411, 603, 329, 603, 549, 549, 576, 521,
                549, 549, 521, 549, 603, 439, 576, 713, 686, 493, 686, 494, 713, 549, 500, 549, 549, 863, 658, 549,
                247, 549, 713, 987, 603, 987, 603, 411, 549, 713, 494, 549, 549, 549, 823, 768, 768, 823, 768, 768,
                713, 713, 713, 713, 768, 713, 823, 549, 250, 603, 603, 987, 987, 713, 274,
            ),
            strict=True,
        ),
        strict=True,
    )
)  # fmt: skip

_PLATE_HEIGHT = 0.86
_DIGIT_SIZE = 0.42
_DIGIT_ADVANCE = 0.6 * _DIGIT_SIZE
_PLATE_EDGE = 0.08


def line(
    x: float, y: float, words: str, font: str, size: float, *, middle: bool = False, fitted: float | None = None
) -> Iterator[str]:
    """Operators that write `words` in the fill colour; x grows to the right and y downwards.

    fitted   the width that the text is squeezed to where it is wider, in the unit of `x`
    """
    composed = unicodedata.normalize("NFC", words)
    runs = [(kind, list(group)) for kind, group in groupby(composed, key=lambda char: _font(char, font))]
    width = sum(advance(char, font) for char in composed) * size
    stretch = min(1.0, fitted / width) if fitted and width else 1.0
    at = x - width * stretch / 2 if middle else x
    hidden = composed != words or any(not kind for kind, _ in runs)
    if hidden:
        yield f"/Span <</ActualText {text_string(words)}>> BDC"
    for kind, characters in runs:
        if kind:
            shown = "".join(_escaped(_code(char, kind)) for char in characters)
            yield f"BT /{kind} {short(size)} Tf {short(stretch)} 0 0 -1 {short(at)} {short(y)} Tm ({shown}) Tj ET"
            at += sum(advance(char, font) for char in characters) * size * stretch
        else:
            for char in characters:
                yield from _plate(at, y, char, size, stretch)
                at += advance(char, font) * size * stretch
    if hidden:
        yield "EMC"


@lru_cache(maxsize=4096)
def advance(character: str, font: str) -> float:
    """Width of a character in ems."""
    kind = _font(character, font)
    if kind == "sign":
        return _SIGNS[character][1] / 1000
    if kind:
        return _WIDTHS[font][character] / 1000
    return _columns(character) * _DIGIT_ADVANCE + 3 * _PLATE_EDGE


@lru_cache(maxsize=4096)
def _font(character: str, font: str) -> str:
    """The font that has `character`, `font` itself if it can be; empty for none."""
    return font if character in _WIDTHS[font] else "sign" if character in _SIGNS else ""


def _code(character: str, kind: str) -> str:
    return chr(_SIGNS[character][0]) if kind == "sign" else character.encode("cp1252").decode("latin-1")


def _escaped(code: str) -> str:
    return f"\\{code}" if code in "()\\" else code


def _columns(character: str) -> int:
    return 2 if ord(character) <= 0xFFFF else 3


def _plate(x: float, y: float, character: str, size: float, stretch: float) -> Iterator[str]:
    """The code of a character in two rows, in a frame."""
    columns = _columns(character)
    digits = f"{ord(character):0{2 * columns}X}"
    edge = _PLATE_EDGE * size * stretch
    width, height = (columns * _DIGIT_ADVANCE + _PLATE_EDGE) * size * stretch, _PLATE_HEIGHT * size
    area = " ".join(map(short, (x + edge, y + 0.14 * size - height, width, height)))
    yield f"q [] 0 d {short(0.04 * size)} w {area} re S Q"
    for row, text in enumerate((digits[:columns], digits[columns:])):
        base = y + 0.14 * size - height / 2 + (row * height / 2) - 0.07 * size
        place = f"{short(stretch)} 0 0 -1 {short(x + 1.5 * edge)} {short(base)} Tm"
        yield f"BT /mono {short(_DIGIT_SIZE * size)} Tf {place} ({text}) Tj ET"


def text_string(text: str) -> str:
    """Any text as a value in a PDF."""
    return f"<FEFF{text.encode('utf-16-be', 'replace').hex().upper()}>"


def short(value: float) -> str:
    """A number with at most three decimals."""
    whole = int(value)
    return str(whole) if whole == value else f"{value:.3f}".rstrip("0").rstrip(".")
