"""What a module is called that no other module called: by its path in the user's model, however it was picked."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from test_torch_recording import name_of

import gradviz
from gradviz.graphs import Graph

LIBRARIES = {"torch": torch, "core": gradviz}


def scopes(graph: Graph) -> list[str]:
    return list(dict.fromkeys(op.scope for op in graph.ops.values() if op.name in ("linear", "addmm", "tanh")))


def names(graph: Graph) -> set[str]:
    return {name_of(graph, gradient.value) for sweep in graph.sweeps for gradient in sweep.gradients}


def linear(lib: Any) -> Any:
    return lib.nn.Linear(3, 3)


def stack(lib: Any) -> Any:
    return lib.nn.Sequential(linear(lib), lib.nn.Tanh(), linear(lib))


def a_part_by_number(lib: Any, x: Any) -> None:
    model = stack(lib)
    model[2](model[0](x)).sum().backward()


def a_part_by_variable(lib: Any, x: Any) -> None:
    model = stack(lib)
    for i in (0, -1):
        x = model[i](x)
    x.sum().backward()


def a_loop_over_parts(lib: Any, x: Any) -> None:
    model = stack(lib)
    for layer in model:
        x = layer(x)
    x.sum().backward()


def a_part_by_attribute(lib: Any, x: Any) -> None:
    model = lib.nn.ModuleDict({"stem": linear(lib), "blocks": stack(lib)})
    model.blocks[2](model["stem"](x)).sum().backward()


def a_list(lib: Any, x: Any) -> None:
    layers = [linear(lib), linear(lib)]
    layers[1](layers[0](x)).sum().backward()


def a_loop_over_a_list(lib: Any, x: Any) -> None:
    layers = [linear(lib), linear(lib)]
    for layer in layers:
        x = layer(x)
    x.sum().backward()


def a_comprehension(lib: Any, x: Any) -> None:
    heads = lib.nn.ModuleList([linear(lib), linear(lib)])
    sum(head(x).sum() for head in heads).backward()


def a_method(lib: Any, x: Any) -> None:
    class Coder(lib.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.inner = linear(lib)
            self.outer = linear(lib)

        def encode(self, x: Any) -> Any:
            return self.inner(x)

        def decode(self, x: Any) -> Any:
            return self.outer(self.encode(x))

    coder = Coder()
    coder.decode(x).sum().backward()


def an_agent(lib: Any, x: Any) -> None:
    class Agent:
        def __init__(self) -> None:
            self.nets = {"actor": linear(lib), "critic": linear(lib)}

        def learn(self, x: Any) -> None:
            self.nets["critic"](self.nets["actor"](x)).sum().backward()

    agent = Agent()
    agent.learn(x)


def a_name_of_its_own(lib: Any, x: Any) -> None:
    first = linear(lib)
    second = linear(lib)
    both = lib.nn.ModuleList([first, second])
    second(first(x)).sum().backward()
    assert len(both) == 2


def what_a_call_gave(lib: Any, x: Any) -> None:
    copy.deepcopy(linear(lib))(x).sum().backward()


PARAMETERS: dict[Callable[[Any, Any], None], tuple[str, ...]] = {
    a_part_by_number: ("model.0", "model.2"),
    a_part_by_variable: ("model.0", "model.2"),
    a_loop_over_parts: ("model.0", "model.2"),
    a_part_by_attribute: ("model.stem", "model.blocks.2"),
    a_list: ("layers[0]", "layers[1]"),
    a_loop_over_a_list: ("layers[0]", "layers[1]"),
    a_comprehension: ("heads.0", "heads.1"),
    a_method: ("coder.inner", "coder.outer"),
    an_agent: ("agent.nets['actor']", "agent.nets['critic']"),
    a_name_of_its_own: ("first", "second"),
    what_a_call_gave: ("Linear",),
}


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("program", PARAMETERS, ids=lambda program: program.__name__)
def test_parameters_go_by_the_path_that_a_user_would_write(program: Callable[[Any, Any], None], library: str) -> None:
    lib = LIBRARIES[library]
    with gradviz.record() as rec:
        program(lib, lib.ones(2, 3))
    expected = {f"{owner}.{part}" for owner in PARAMETERS[program] for part in ("weight", "bias")}
    assert names(rec.graph()) == expected
    assert set(scopes(rec.graph())) >= set(PARAMETERS[program])


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_methods_call_self_goes_by_the_path_of_the_module_that_keeps_it(library: str) -> None:
    lib = LIBRARIES[library]

    class Scaled(lib.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.scale = lib.ones(3, requires_grad=True)  # registered nowhere
            self.shift = lib.nn.Parameter(lib.zeros(3))

        def forward(self, x: Any) -> Any:
            return x * self.scale + self.shift

    class Net(lib.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, offset: Any) -> None:
            super().__init__()
            self.inner = Scaled()
            self.scale = lib.ones((), requires_grad=True)
            self.offset = offset

        def forward(self, x: Any) -> Any:
            return self.inner(x) * self.scale + self.offset

    class Trainer:
        def __init__(self, model: Any) -> None:
            self.model = model
            self.weight = lib.ones((), requires_grad=True)  # of no module

        def step(self, x: Any) -> None:
            (self.model(x) * self.weight).sum().backward()

    def main() -> None:
        offset = lib.zeros(3, requires_grad=True)
        trainer = Trainer(Net(offset))
        for _ in range(2):
            trainer.step(lib.ones(2, 3))

    with gradviz.record() as rec:
        main()
    owned = {f"trainer.model.{path}" for path in ("inner.scale", "inner.shift", "scale")}
    assert names(rec.graph()) == {*owned, "offset", "self.weight"}


def test_no_variable_lives_longer_for_the_look() -> None:
    class Box:
        pass

    def run() -> bool:
        box = Box()
        watch = weakref.ref(box)
        model = stack(torch)
        model[0](torch.ones(2, 3))
        del box
        gc.collect()
        return watch() is None

    with gradviz.record():
        assert run()


def test_no_code_of_the_user_runs_for_the_look() -> None:
    looked = []

    class Odd:
        def __init__(self) -> None:
            self.layer = linear(torch)

        def __getattr__(self, name: str) -> Any:
            looked.append(name)
            raise AttributeError(name)

        @property
        def net(self) -> Any:
            looked.append("net")
            return self.layer

    with gradviz.record() as rec:
        odd = Odd()
        odd.net(torch.ones(2, 3)).sum().backward()
    assert looked == ["net"], "by the program itself"
    assert scopes(rec.graph()) == ["odd.net"]
