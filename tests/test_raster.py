"""PDF and PNG: the marks of the SVG, all of them, in their places and colours, with text that is not lost."""

from __future__ import annotations

import re
import struct
import sys
import zlib

import pypdfium2
import pytest
from building import Builder
from canonical import CANONICAL, chain, detach, mixed, named, training, untrained
from test_views import EVERYTHING, HOSTILE

from gradviz.diagnose import diagnose
from gradviz.errors import UsageError
from gradviz.graphs import Graph
from gradviz.layout import arrange
from gradviz.picture.composing import compose
from gradviz.picture.records import BoxKind
from gradviz.views import IMAGES, Options, draw, draw_bytes, load, pdf, pdf_text, png
from gradviz.views.svg import write as write_svg
from gradviz.views.svg_paths import read_path, rounded
from gradviz.views.svg_reading import page_size, read_svg
from gradviz.views.svg_style import PAINTS, style_sheet

# every image


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("name", CANONICAL)
def test_the_same_bytes_twice_with_findings(image, name):
    graph, again = CANONICAL[name](), CANONICAL[name]()
    first = draw_bytes(graph, image, EVERYTHING, diagnose(graph))
    assert first == draw_bytes(again, image, EVERYTHING, diagnose(again))


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_any_name_is_drawn(name):
    page = draw_bytes(named(name), "pdf", EVERYTHING)
    assert open_pdf(page)[:2] == tuple(side * 0.75 for side in page_size(draw(named(name), "svg", EVERYTHING)))


def test_an_image_is_no_text():
    with pytest.raises(UsageError, match="`png` is no text"):
        draw(detach(), "png")
    with pytest.raises(UsageError, match="`pdf` is no text"):
        load("pdf")
    assert draw_bytes(detach(), "svg") == draw(detach(), "svg").encode()


# pdf


def open_pdf(page: bytes) -> tuple[float, float, str]:
    """Width and height in points and the text of the one page, as PDFium reads it."""
    document = pypdfium2.PdfDocument(page)
    try:
        assert len(document) == 1
        leaf = document[0]
        text = leaf.get_textpage()
        found = (*leaf.get_size(), text.get_text_range())
        text.close()
        leaf.close()
    finally:
        document.close()
    return found


def content(page: bytes) -> str:
    """What the page says, unpacked."""
    packed = re.search(rb"/FlateDecode >>\nstream\n(.*?)\nendstream", page, re.DOTALL)
    assert packed is not None
    return zlib.decompress(packed[1]).decode("latin-1")


@pytest.mark.parametrize("graph", [detach, mixed, training, untrained])
def test_a_pdf_says_what_the_picture_says(graph):
    findings = diagnose(graph())
    picture = compose(graph(), Options(), findings)
    _, _, text = open_pdf(draw_bytes(graph(), "pdf", Options(), findings))
    squeezed = "".join(text.split())
    words = [word for box in picture.boxes for word in (box.title, box.detail)]
    words += [frame.title for frame in picture.frames] + [remark.heading for remark in picture.remarks]
    for word in (*words, picture.title):
        assert "".join(word.split())[:20] in squeezed


def test_every_object_is_where_the_table_says():
    page = draw_bytes(detach(), "pdf")
    start = int(page.rsplit(b"startxref\n", 1)[1].split()[0])
    table = page[start:].split(b"trailer")[0].splitlines()[3:]
    for number, line in enumerate(table, 1):
        assert page[int(line[:10]) :].startswith(b"%d 0 obj\n" % number)
    assert f"/Size {len(table) + 1} ".encode() in page


def test_a_pdf_is_called_like_the_picture():
    page = draw_bytes(named("重み"), "pdf")
    assert b"/Title <FEFF" + "gradviz: 重み".encode("utf-16-be").hex().upper().encode() in page
    assert b"/Subject <FEFF" in page


def test_a_drawing_longer_than_a_page_may_be_has_a_larger_unit():
    graph = chain(500)
    height = page_size(draw(graph, "svg"))[1] * 0.75
    page = draw_bytes(graph, "pdf")
    unit = re.search(rb"/UserUnit ([\d.]+)", page)
    box = re.search(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", page)
    assert unit is not None
    assert box is not None
    assert float(unit[1]) > 1
    assert float(box[2]) == 14_400
    assert float(box[2]) * float(unit[1]) == pytest.approx(height, rel=1e-4)


@pytest.mark.parametrize("name", ["重み", "x👩‍🔬", "שלום", "a重b"])
def test_text_that_no_standard_font_has_is_shown_by_its_code_and_kept_to_the_letter(name):
    b = Builder("script.py")
    b.op("exp", b.leaf(name, requires_grad=True), name="y")
    said = content(draw_bytes(b.graph(), "pdf"))
    assert f"/ActualText <FEFF{name.encode('utf-16-be').hex().upper()}>>" in said
    for character in name:
        if ord(character) > 0x7F:
            digits = f"{ord(character):0{4 if ord(character) <= 0xFFFF else 6}X}"
            half = len(digits) // 2
            assert f"({digits[:half]}) Tj" in said
            assert f"({digits[half:]}) Tj" in said


@pytest.mark.parametrize("name", ["θ", "∂L", "é", "…", "naïve × 2", "a\\(b)"])
def test_text_that_a_standard_font_has_is_written(name):
    b = Builder("script.py")
    b.op("exp", b.leaf(name, requires_grad=True), name="y")
    page = draw_bytes(b.graph(), "pdf")
    assert "/ActualText" not in content(page)
    assert name in open_pdf(page)[2]


def test_widths_are_those_of_the_fonts():
    """PDFium's own fonts have the metrics that every viewer's have."""
    for font, name in pdf_text.FONTS.items():
        if font == "sign":
            continue
        for character in "AaiWm0._é…×":
            words = character * 20
            steps = " ".join(pdf_text.line(0, -20, f"{words}|", font, 100))
            document = pypdfium2.PdfDocument(pdf._assembled(_sheet(name, f"1 0 0 -1 0 0 cm {steps}")))
            leaf = document[0]
            text = leaf.get_textpage()
            box = text.get_charbox(text.count_chars() - 1, loose=True)
            text.close()
            leaf.close()
            document.close()
            assert box[0] == pytest.approx(20 * 100 * pdf_text.advance(character, font), abs=2), (name, character)


def _sheet(font: str, said: str) -> list[bytes]:
    body = said.encode("latin-1")
    key = next(key for key, name in pdf_text.FONTS.items() if name == font)
    return [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 3000 100] /Resources << /Font << /{key} 6 0 R >> >> "
        "/Contents 4 0 R >>".encode(),
        b"<< /Length %d >>\nstream\n%b\nendstream" % (len(body), body),
        b"<< >>",
        f"<< /Type /Font /Subtype /Type1 /BaseFont /{font} /Encoding /WinAnsiEncoding >>".encode(),
    ]


# what of the SVG is understood


def test_all_that_the_style_sheet_says_is_understood():
    known = {"fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "font", "text-anchor"}
    said = re.sub(r"@media[^{]*\{.*", "", style_sheet(findings=True, folds=True, hooks=True), flags=re.DOTALL)
    for body in re.findall(r"\{([^{}]*)\}", said):
        assert {line.partition(":")[0].strip() for line in body.split(";") if line.strip()} <= known


class Marks:
    """A canvas that keeps what it is given."""

    def __init__(self) -> None:
        self.shapes: list[tuple[list, object]] = []
        self.lines: list[tuple[float, float, str, object]] = []

    def begin(self, width, height):
        self.size = width, height

    def heading(self, title, description):
        self.told = title, description

    def shape(self, steps, paint):
        self.shapes.append((list(steps), paint))

    def line(self, x, y, words, paint, fitted):
        self.lines.append((x, y, words, paint))


def test_styles_cascade_as_in_css():
    marks = Marks()
    read_svg(
        '<svg class="gv" viewBox="0 0 9 9"><style>.gv rect{fill:#111111;stroke-width:3}.gv .a rect{fill:#222222}'
        '.gv .a>.b{fill:#333333}.gv rect{stroke:#444444}.gv rect:hover{fill:#999999}'
        '@media (prefers-color-scheme:dark){.gv .a rect{fill:#999999}}</style><rect width="1" height="1"/>'
        '<g class="a" transform="translate(2 3) scale(2)"><rect class="b" x="1" width="1" height="1"/>'
        '<g><rect class="b" width="1" height="1"/></g></g></svg>',
        marks,
    )
    assert [paint.fill for _, paint in marks.shapes] == ["#111111", "#333333", "#222222"]
    assert [paint.width for _, paint in marks.shapes] == [3, 6, 6]
    assert {paint.stroke for _, paint in marks.shapes} == {"#444444"}
    assert marks.shapes[1][0][0] == ("M", ((4.0, 3.0),))


@pytest.mark.parametrize("inner", ["<image/>", '<path d="M0 0A1 1 0 0 0 2 2"/>', '<g transform="skewX(3)"/>'])
def test_what_the_svg_view_does_not_write_is_refused(inner):
    with pytest.raises(ValueError, match="the SVG view writes no"):
        read_svg(f'<svg viewBox="0 0 9 9">{inner}</svg>', Marks())


def test_paths():
    assert read_path("M1 2 3 4h2v-1l1 1zM-.5-1.5C1 2 3 4 5 6") == [
        ("M", ((1, 2),)), ("L", ((3, 4),)), ("L", ((5, 4),)), ("L", ((5, 3),)), ("L", ((6, 4),)), ("Z", ()),
        ("M", ((-0.5, -1.5),)), ("C", ((1, 2), (3, 4), (5, 6))),
    ]  # fmt: skip
    assert len(rounded(0, 0, 10, 4, 50)) == 10


def test_every_line_of_text_lies_on_the_page():
    marks = Marks()
    read_svg(draw(mixed(), "svg"), marks)
    assert len(marks.lines) > 20
    assert all(0 < x < marks.size[0] and 0 < y < marks.size[1] for x, y, _, _ in marks.lines)


# png


def pixels(image: bytes) -> tuple[int, int, bytes]:
    """Width, height and rows of a PNG file, whose checksums must be right."""
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    at, packed, size = 8, b"", (0, 0)
    while at < len(image):
        (length,), kind = struct.unpack(">I", image[at : at + 4]), image[at + 4 : at + 8]
        body = image[at + 8 : at + 8 + length]
        assert struct.unpack(">I", image[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        if kind == b"IHDR":
            size = struct.unpack(">II", body[:8])
        packed += body if kind == b"IDAT" else b""
        at += 12 + length
    rows = zlib.decompress(packed)
    assert len(rows) == size[1] * (1 + 3 * size[0])
    return *size, rows


def test_boxes_have_their_colours_where_the_drawing_has_them():
    graph = mixed()
    drawing = arrange(compose(graph, Options()))
    svg = write_svg(drawing)
    width, height, rows = pixels(png.write(svg))
    assert (width, height) == tuple(2 * side for side in page_size(svg))
    moved = re.search(r'<g transform="translate\((\d+) (\d+)\)">', svg)
    assert moved is not None
    paints = {BoxKind.LEAF: "leaf", BoxKind.OP: "op", BoxKind.OUTPUT: "output", BoxKind.CUT: "cut ground"}
    seen = set()
    for placed in drawing.boxes:
        if placed.box.kind in paints:
            x = round(2 * (int(moved[1]) + placed.area.right - 8))
            y = round(2 * (int(moved[2]) + placed.area.y + 8))
            at = y * (1 + 3 * width) + 1 + 3 * x
            assert f"#{rows[at : at + 3].hex()}" == PAINTS[paints[placed.box.kind]][0], placed.box.kind
            seen.add(placed.box.kind)
    assert seen == set(paints)


def test_a_large_drawing_has_one_pixel_for_one_and_a_larger_one_is_refused(monkeypatch):
    svg = draw(detach(), "svg")
    width, height = page_size(svg)
    monkeypatch.setattr(png, "_LONGEST", max(width, height) * 1.5)
    assert pixels(png.write(svg))[:2] == (width, height)
    monkeypatch.setattr(png, "_LONGEST", max(width, height) - 1)
    with pytest.raises(UsageError, match=rf"too large for a PNG: {width:,.0f} by {height:,.0f} pixels"):
        png.write(svg)


def long_graph() -> Graph:
    return chain(2000)


def test_a_hundred_metres_of_picture_are_a_pdf_and_no_png():
    with pytest.raises(UsageError, match="too large for a PNG") as caught:
        draw_bytes(long_graph(), "png")
    assert "PDF" in caught.value.help
    assert draw_bytes(long_graph(), "pdf")


def test_the_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    with pytest.raises(UsageError, match="needs `pypdfium2`") as caught:
        draw_bytes(detach(), "png")
    assert caught.value.help == "pip install 'gradviz[png]'"
    assert draw_bytes(detach(), "pdf")
