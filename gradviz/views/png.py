"""The PNG view: the PDF view's page as pixels, drawn by PDFium, which has fonts of its own where a machine has none."""

from __future__ import annotations

import importlib.util
import struct
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gradviz.errors import UsageError
from gradviz.progress import step
from gradviz.views import pdf, svg
from gradviz.views.svg_reading import page_size

if TYPE_CHECKING:
    from gradviz.diagnose import Finding
    from gradviz.graphs import Graph
    from gradviz.views import Options

_SCALES = (2, 1)
"""Pixels of the image to one of the drawing: twice as many look sharp on any screen, where there is room for them."""

_MOST_PIXELS = 80_000_000
_LONGEST = 32_000


def require() -> None:
    """Raise `UsageError` where the package that draws pixels is missing."""
    if importlib.util.find_spec("pypdfium2") is None:
        raise UsageError("to write a PNG, gradviz needs `pypdfium2`", help="pip install 'gradviz[png]'")


def draw(graph: Graph, options: Options, findings: Sequence[Finding] | None = None) -> bytes:
    """The graph as a PNG file. Raises `UsageError` where it is too large for one, or `pypdfium2` is missing."""
    require()
    return write(svg.draw(graph, options, findings))


def write(drawn: str) -> bytes:
    """The SVG `drawn` as a PNG file."""
    width, height = page_size(drawn)
    for scale in _SCALES:
        if width * height * scale**2 <= _MOST_PIXELS and max(width, height) * scale <= _LONGEST:
            page = pdf.write(drawn)
            with step("drawing pixels"):
                return _encode(*_drawn(page, scale), scale)
    size = f"{width:,.0f} by {height:,.0f} pixels"
    raise UsageError(f"the drawing is too large for a PNG: {size}", help="write a PDF or an SVG, or show less of it")


def _drawn(page: bytes, scale: int) -> tuple[int, int, bytes]:
    """Width, height, and each row as a PNG has it: a byte that says `as it is`, then red, green and blue in turn."""
    import pypdfium2

    document = pypdfium2.PdfDocument(page)
    try:
        leaf = document[0]
        bitmap = leaf.render(scale=scale / pdf.POINTS, rev_byteorder=True)
        width, height, stride = bitmap.width, bitmap.height, bitmap.stride
        pixels = bytes(bitmap.buffer)
        bitmap.close()
        leaf.close()
    finally:
        document.close()
    return width, height, b"".join(b"\0" + pixels[at : at + 3 * width] for at in range(0, stride * height, stride))


def _encode(width: int, height: int, rows: bytes, scale: int) -> bytes:
    """An image as a PNG file that says how large it is meant to be: `scale` times 96 pixels an inch."""
    per_metre = round(96 * scale / 0.0254)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"pHYs", struct.pack(">IIB", per_metre, per_metre, 1)),
        (b"IDAT", zlib.compress(rows, 6)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
