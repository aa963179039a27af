"""The log at a million ops: bytes a record, and CPU seconds to write it, to read it, to fold it into a graph, and to
make every record of that graph, which one that is asked about a part of it never does.

    python tests/bench/bench_log.py [OPS]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from gradviz.events import Context, End, Header, Op, Output, Signature, Site
from gradviz.graphs import Graph
from gradviz.gvlog import LogWriter, read_log

BAR = 40
FOLD_BAR = 4.0
"""The most seconds for folding, reading left out."""


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    path = Path(tempfile.mkdtemp()) / "million.gvlog"
    birth = Signature(0, "tensor", outputs=(Output((64,), "float32", 256, True, True),))
    product = Signature(
        1, "mul", "MulBackward0", True, None, (True, True), (Output((64,), "float32", 256, True, False),)
    )

    start = time.process_time()
    log = LogWriter(path)
    for event in (Header("core"), Site(0, "train.py", 1), birth, product, Context(0), Op(1, 0, 0, 0), Op(2, 0, 0, 0)):
        log.emit(event)
    log.flush()
    head = os.path.getsize(path)
    for id in range(3, count + 3):
        log.emit(Op(id, 1, 0, 0, (id - 1, 2)))
    log.flush()
    size = (os.path.getsize(path) - head) / count
    log.emit(End())
    log.close()
    written = time.process_time()
    read = sum(1 for _ in read_log(path))
    scanned = time.process_time()
    graph = Graph.build(read_log(path))
    folded = time.process_time()
    assert len(graph.ops.values()) + len(graph.values.values()) == 2 * len(graph.ops)
    made = time.process_time()
    fold = folded - scanned - (scanned - written)

    print(f"{len(graph.ops):,} ops, {read:,} records")
    print(f"{size:.1f} bytes an op record   bar {BAR}   {'within' if size <= BAR else 'MISSED'}")
    print(f"write {written - start:.2f} s, read {scanned - written:.2f} s, make all records {made - folded:.2f} s CPU")
    print(f"fold {fold:.2f} s CPU   bar {FOLD_BAR}   {'within' if fold <= FOLD_BAR else 'MISSED'}")


if __name__ == "__main__":
    main()
