"""A gallery of drawings as one page: `python docs/gallery.py OUT [--only NAME] [--no-dot]`, then open OUT/index.html.

Each sample and each model of `tests/zoo.py` is recorded and drawn as `gradviz render` draws it, and whole where that is
another drawing. Beside stands what is drawn today: torchviz with `dot` for a model, `dot` on the same boxes and wires
for a sample, where `dot` is installed and finishes in ten seconds. Needs what the tests need.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from gradviz.graphs import Graph
from gradviz.gvlog import read_log

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import rivals
import zoo
from ours import Ours, draw, folded, whole

LIMIT = 10
"""CPU seconds that `dot` gets for a drawing."""

LEFT_OUT = ("LSTM-500", "LSTM-2000")
"""Too long for a page; `--only` draws them all the same."""

SAMPLES = Path(__file__).parents[1] / "samples"

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>gradviz: a gallery</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1500px; padding: 0 1rem; color: #1f2937 }}
section {{ border-top: 1px solid #d1d5db; margin-top: 2rem }}
.row {{ display: flex; gap: 1.5rem; align-items: flex-start }}
figure {{ flex: 1; margin: 0; min-width: 0 }}
figure a {{ display: block; max-height: 720px; overflow: auto; background: #fff; border: 1px solid #e5e7eb }}
img {{ display: block; max-width: 100%; margin: auto }}
figcaption {{ font-size: 13px; color: #4b5563 }}
nav a {{ margin-right: 1em; white-space: nowrap }}
</style>
<h1>gradviz: a gallery</h1>
<p>A click on a drawing opens it in full. Times are CPU seconds of layout and SVG.</p>
<nav>{contents}</nav>
{sections}
</html>
"""


@dataclass
class Exhibit:
    """A title, its drawings as SVG files with what is said of each, and the names of those who drew nothing."""

    name: str
    drawings: list[tuple[str, str, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder that the page is written to")
    parser.add_argument("--only", metavar="NAME", action="append", help="only this sample or model; may be repeated")
    parser.add_argument("--no-dot", action="store_true", help="run neither torchviz nor `dot`")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with_dot = not arguments.no_dot and shutil.which("dot") is not None
    exhibits = list(exhibits_in(arguments.out, arguments.only, with_dot))
    if not exhibits:
        parser.error("no sample and no model has such a name")
    (arguments.out / "index.html").write_text(page(exhibits), encoding="utf-8")
    print(arguments.out / "index.html")
    return 0


def exhibits_in(folder: Path, only: list[str] | None, with_dot: bool) -> Iterator[Exhibit]:
    """Draw them all into `folder`, one after the other."""
    for sample in sorted(SAMPLES.glob("*.py")):
        if not only or sample.stem in only:
            exhibit = Exhibit(sample.stem)
            drawing = draw_ours(exhibit, graph_of(sample), folder)
            if with_dot:
                add_rival(exhibit, "dot", rivals.draw_dot(drawing.dot, LIMIT), folder)
            yield exhibit
    for name, make in zoo.ZOO.items():
        if (not only and name not in LEFT_OUT) or (only and name in only):
            exhibit = Exhibit(name)
            graph, loss, model = zoo.recorded(make)
            draw_ours(exhibit, graph, folder)
            if with_dot:
                add_rival(exhibit, "torchviz", rivals.draw_torchviz(loss, model.model, LIMIT), folder)
            yield exhibit


def graph_of(script: Path) -> Graph:
    """What a script of its own process does."""
    with tempfile.TemporaryDirectory() as inner:
        log = Path(inner, "run.gvlog")
        command = [sys.executable, "-m", "gradviz", "record", script.name, "-o", log]
        subprocess.run(command, cwd=script.parent, check=True, capture_output=True)
        return Graph.build(read_log(log))


def draw_ours(exhibit: Exhibit, graph: Graph, folder: Path) -> Ours:
    """Our drawing and, where folding makes it another, the whole one."""
    page_size, all_of_it = folded(graph), whole(graph)
    drawing = draw(page_size, rounds=3)
    add(exhibit, "gradviz render", drawing.svg, told(drawing), folder)
    if page_size.folds:
        drawing = draw(all_of_it, rounds=3)
        add(exhibit, "gradviz, nothing folded", drawing.svg, told(drawing), folder)
    return drawing


def told(drawing: Ours) -> str:
    return f"{drawing.boxes:,} boxes, {measures(drawing.seconds, drawing.width, drawing.height, drawing.crossings)}"


def add_rival(exhibit: Exhibit, who: str, rival: rivals.Rival | None, folder: Path) -> None:
    if rival is None:
        exhibit.missing.append(f"{who}: not finished in {LIMIT} s")
    else:
        add(exhibit, who, rival.svg, measures(rival.seconds, rival.width, rival.height, rival.crossings), folder)


def measures(seconds: float, width: float, height: float, crossings: int | None) -> str:
    crossed = "" if crossings is None else f", {crossings:,} crossing{'' if crossings == 1 else 's'}"
    return f"{width:,.0f} x {height:,.0f} pixels{crossed}, {seconds * 1e3:,.0f} ms"


def add(exhibit: Exhibit, who: str, svg: str, caption: str, folder: Path) -> None:
    name = re.sub(r"[^a-z0-9]+", "-", f"{exhibit.name}-{who}".lower()) + ".svg"
    (folder / name).write_text(svg, encoding="utf-8")
    exhibit.drawings.append((name, who, caption))


def page(exhibits: list[Exhibit]) -> str:
    """The page that shows the drawings side by side."""
    sections, contents = [], []
    for exhibit in exhibits:
        name = escape(exhibit.name)
        anchor = name.replace(" ", "-")
        contents.append(f'<a href="#{anchor}">{name}</a>')
        figures = "".join(
            f'<figure><a href="{file}"><img src="{file}" alt="{name} by {who}" loading="lazy"></a>'
            f"<figcaption>{who}: {caption}</figcaption></figure>"
            for file, who, caption in exhibit.drawings
        )
        figures += "".join(f"<figure><figcaption>{words}</figcaption></figure>" for words in exhibit.missing)
        sections.append(f'<section id="{anchor}"><h2>{name}</h2><div class="row">{figures}</div></section>')
    return PAGE.format(contents=" ".join(contents), sections="\n".join(sections))


if __name__ == "__main__":
    sys.exit(main())
