"""Deep graphs: room on the stack, so that PyTorch can free the graph that was walked.

PyTorch frees a graph node by node, however deep it is, unless Python has seen the nodes: once a node has a Python
object it keeps it, and then the end of one node ends the next one from within. At about 180 bytes a node, a chain of
45,000 overflows a stack of 8 MB, and the process dies of it: after the walk, when the program lets go of its tensor.
Seen with PyTorch 2.13; no Python function walks a graph without making these objects.
"""

from __future__ import annotations

import sys
from contextlib import suppress

BYTES_PER_NODE = 512
"""More than one node takes."""

SPARE_BYTES = 4 << 20
"""What is left for the program itself."""


def make_room(count: int) -> None:
    """Let a chain of `count` nodes be freed after Python has seen them all.

    The main thread's stack may grow up to a limit that the process can raise; the stack of another thread cannot. Does
    nothing where the limit suffices, is fixed, or is not known (Windows).
    """
    if sys.platform == "win32" or count < 1000:
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    wanted = count * BYTES_PER_NODE + SPARE_BYTES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_STACK, (wanted, hard))
