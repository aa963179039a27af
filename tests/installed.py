"""Code as an installed package has it, which is no file of the user's, and recordings of programs that call it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import gradviz
from gradviz.graphs import Graph


def library(source: str) -> Any:
    """What a file of an installed package defines."""
    names: dict[str, Any] = {"torch": torch, "nn": nn, "__name__": "lib"}
    exec(compile(textwrap.dedent(source), "/x/site-packages/lib.py", "exec"), names)
    return type("lib", (), names)


def recorded(program: Callable[[], object]) -> Graph:
    """The graph of a run, in which nothing is wrong with the recording."""
    with gradviz.record() as rec:
        program()
    assert not rec.failures
    graph = rec.graph()
    graph.validate()
    return graph
