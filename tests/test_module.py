"""What a module does with what it holds: registering, walking, hooks, modes, saving. PyTorch is the judge."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
import torch
from alike import plain, text

import gradviz

Program = Callable[[Any], Any]


def net(lib: Any) -> Any:
    """A small network with all kinds of parts."""

    class Net(lib.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = lib.nn.Sequential(OrderedDict(first=lib.nn.Linear(2, 3), second=lib.nn.ReLU()))
            self.again = self.encoder[0]
            self.blocks = lib.nn.ModuleList([lib.nn.Linear(3, 3) for _ in range(3)])
            self.named = lib.nn.ModuleDict({"a": lib.nn.Identity(), "b": lib.nn.Dropout(0.5)})
            self.gain = lib.nn.Parameter(lib.ones(1))
            self.register_parameter("none", None)
            self.register_buffer("seen", lib.zeros(2))
            self.register_buffer("scratch", lib.zeros(1), persistent=False)

        def forward(self, x: Any) -> Any:
            x = self.encoder(x)
            for block in self.blocks:
                x = block(x) + x
            return self.named["b"](self.named["a"](x)) * self.gain

    lib.manual_seed(0)
    return Net()


def raised(call: Callable[[], Any]) -> str:
    try:
        call()
    except (AttributeError, KeyError, TypeError, RuntimeError, ValueError, IndexError, AssertionError) as error:
        return f"{type(error).__name__}: {text(error)}".replace("gradviz.Size", "torch.Size")
    return "nothing"


def walks(lib: Any) -> Any:
    model = net(lib)
    return [
        repr(model),
        [name for name, _ in model.named_modules()],
        [name for name, _ in model.named_modules(remove_duplicate=False)],
        [name for name, _ in model.named_children()],
        [name for name, _ in model.named_parameters()],
        [name for name, _ in model.named_parameters("root", remove_duplicate=False)],
        [name for name, _ in model.named_parameters(recurse=False)],
        [name for name, _ in model.named_buffers()],
        list(model.state_dict()),
        len(list(model.modules())),
        model.get_parameter("encoder.first.weight") is model.again.weight,
        model.get_submodule("blocks.1") is model.blocks[1],
        sorted(name for name in dir(model) if name in ("gain", "encoder", "seen", "none")),
        model.none,
    ]


def modes(lib: Any) -> Any:
    model = net(lib)
    seen = [model.training, model.eval() is model, model.named["b"].training, model.train().named["b"].training]
    model.requires_grad_(False)
    seen.append([parameter.requires_grad for parameter in model.parameters()])
    model.requires_grad_()
    model(lib.ones(1, 2)).sum().backward()
    seen.append([parameter.grad is None for parameter in model.parameters()])
    model.zero_grad(set_to_none=False)
    seen.append(plain(model.gain.grad))
    model.zero_grad()
    seen.append(model.gain.grad)
    visited: list[str] = []
    model.apply(lambda module: visited.append(type(module).__name__))
    return seen, visited


def casts(lib: Any) -> Any:
    model = net(lib)
    before = model.gain
    same = model.double() is model and model.gain is before
    kinds = [str(value.dtype).split(".")[1] for value in model.state_dict().values()]
    model.to(lib.float32)
    out = model.eval()(lib.ones(1, 2))
    return same, kinds, plain(out), plain(model.seen), str(model.half().gain.dtype).split(".")[1]


def copies(lib: Any) -> Any:
    model = net(lib).eval()
    model(lib.ones(1, 2)).sum().backward()
    twin = copy.deepcopy(model)
    with lib.no_grad():
        twin.gain.fill_(5.0)
    return (
        plain(model.gain), plain(twin.gain), twin.again is twin.encoder[0], twin.gain is model.gain,
        plain(twin.gain.grad), [parameter.is_leaf for parameter in twin.parameters()],
    )  # fmt: skip


def hooks(lib: Any) -> Any:
    seen: list[Any] = []
    layer = lib.nn.Linear(2, 2, bias=False)
    with lib.no_grad():
        layer.weight.copy_(lib.tensor([[1.0, 2.0], [3.0, 4.0]]))
    layer.register_forward_pre_hook(lambda module, args: seen.append(("pre", plain(args))) or (args[0] * 2,))
    layer.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(("with", plain(args), sorted(kwargs))), with_kwargs=True, prepend=True
    )
    handle = layer.register_forward_hook(lambda module, args, out: seen.append(("post", plain(out))) or out + 1)
    layer.register_forward_hook(lambda module, args, out: seen.append(("then", plain(out))))
    layer.register_full_backward_hook(lambda module, into, out: seen.append(("back", plain(into), plain(out))))
    layer.register_full_backward_hook(lambda module, into, out: None if into[0] is None else (into[0] * 10,))
    layer.register_full_backward_pre_hook(lambda module, out: seen.append(("before", plain(out))))
    x = lib.tensor([[1.0, 1.0]], requires_grad=True)
    first = layer(x)
    (first * lib.tensor([[1.0, 3.0]])).sum().backward()
    handle.remove()
    second = layer(x.detach())
    second.sum().backward()
    return seen, plain([x.grad, layer.weight.grad, first.detach()])


def always(lib: Any) -> Any:
    seen: list[Any] = []

    class Fails(lib.nn.Module):
        def forward(self, x: Any) -> Any:
            raise ValueError("it fails")

    module = Fails()
    module.register_forward_hook(lambda *given: seen.append(given[-1]), always_call=True)
    module.register_forward_hook(lambda *given: seen.append("not this"))
    return raised(lambda: module(1)), seen


def containers(lib: Any) -> Any:
    nn = lib.nn
    row = nn.Sequential(nn.ReLU(), nn.Tanh())
    row.append(nn.Sigmoid()).insert(1, nn.GELU())
    row.extend([nn.Identity()])
    row[0] = nn.SiLU()
    popped = repr(row.pop(1))
    del row[-1]
    many = nn.ModuleList([nn.ReLU()])
    many += [nn.ReLU(), nn.Tanh()]
    many.insert(0, nn.Tanh())
    names = nn.ModuleDict([("x", nn.ReLU())])
    names.update({"y": nn.Tanh()})
    names["z"] = nn.Identity()
    held = nn.ParameterList([lib.ones(2), nn.Parameter(lib.zeros(1, 3))])
    held.append(lib.ones(1))
    keyed = nn.ParameterDict({"w": lib.ones(2)})
    keyed["b"] = nn.Parameter(lib.zeros(1))
    return (
        repr(row), popped, repr(row[1:]), len(row), repr(row + nn.Sequential(nn.ELU())),
        repr(many), repr(many[-1]), len(many), [repr(part) for part in many[:2]],
        repr(names), list(names), "y" in names, repr(names.pop("x")), len(names), list(names.keys()),
        [name for name, _ in held.named_parameters()], len(held), list(held[1].shape),
        isinstance(held[0], nn.Parameter),
        list(keyed), [name for name, _ in keyed.named_parameters()], "w" in keyed,
    )  # fmt: skip


def assigning(lib: Any) -> Any:
    model = net(lib)
    model.encoder = None
    model.extra = lib.nn.Linear(1, 1)
    model.extra = lib.nn.ReLU()
    model.gain = lib.nn.Parameter(lib.zeros(1))
    model.seen = lib.ones(2)
    del model.blocks
    model.plain = lib.ones(1)
    return [name for name, _ in model.named_modules()], list(model.state_dict()), plain(model.state_dict())


def parameters(lib: Any) -> Any:
    base = lib.ones(2)
    w = lib.nn.Parameter(base)
    base.mul_(3)
    frozen = lib.nn.Parameter(lib.ones(1), requires_grad=False)
    w.note = "mine"
    return (
        repr(w), plain(w), w.is_leaf, frozen.requires_grad, w.note, isinstance(w, lib.Tensor), plain(w * 2),
        type(w * 2) is lib.Tensor, w.data_ptr() == base.data_ptr(), repr(lib.nn.Parameter(w)),
        plain(lib.nn.Parameter()),
    )  # fmt: skip


def loading(lib: Any) -> Any:
    model, other = net(lib), net(lib)
    with lib.no_grad():
        other.gain.fill_(7.0)
    told = repr(model.load_state_dict(other.state_dict()))
    state = other.state_dict()
    state["surplus"] = lib.ones(1)
    del state["gain"]
    loose = model.load_state_dict(state, strict=False)
    assigned = net(lib)
    assigned.load_state_dict(other.state_dict(), assign=True)
    return (
        told, plain(model.gain), loose.missing_keys, loose.unexpected_keys, plain(assigned.gain),
        model.state_dict()["gain"].requires_grad, model.state_dict(keep_vars=True)["gain"] is model.gain,
        list(model.state_dict(prefix="p.")), isinstance(assigned.gain, lib.nn.Parameter),
    )  # fmt: skip


def errors(lib: Any) -> Any:
    nn, model = lib.nn, net(lib)

    class Early(nn.Module):
        def __init__(self) -> None:
            self.w = nn.Parameter(lib.ones(1))

    class EarlyModule(nn.Module):
        def __init__(self) -> None:
            self.inner = nn.ReLU()

    class Silent(nn.Module):
        pass

    def wrong_state(**changes: Any) -> Callable[[], Any]:
        state = {**model.state_dict(), **changes}
        return lambda: model.load_state_dict({name: value for name, value in state.items() if value is not None})

    def store(name: str, value: Any) -> Callable[[], Any]:
        return lambda: setattr(model, name, value)

    return [
        raised(Early), raised(EarlyModule), raised(lambda: Silent()(1)), raised(lambda: model.nothing),
        raised(store("gain", 3)), raised(store("gain", lib.ones(1))), raised(store("encoder", 3)),
        raised(store("seen", 3)),
        raised(lambda: model.register_parameter("a.b", None)), raised(lambda: model.register_parameter("", None)),
        raised(lambda: model.register_parameter("forward", None)),
        raised(lambda: model.register_parameter("w", lib.ones(1))),
        raised(lambda: model.register_parameter("w", 5)),
        raised(lambda: model.register_buffer("a.b", None)), raised(lambda: model.register_buffer("w", 5)),
        raised(lambda: model.add_module("a.b", None)), raised(lambda: model.add_module("w", 5)),
        raised(lambda: model.add_module("", None)), raised(lambda: model.get_submodule("encoder.nothing")),
        raised(lambda: model.get_parameter("encoder")), raised(lambda: model.get_buffer("gain")),
        raised(lambda: model.train(1)), raised(lambda: model.encoder[7]), raised(lambda: nn.ModuleList()(1)),
        raised(lambda: nn.Parameter(lib.tensor([1]))), raised(lambda: nn.Dropout(1.5)),
        raised(lambda: nn.Embedding(3, 2, padding_idx=5)), raised(lambda: nn.MultiheadAttention(5, 2)),
        raised(lambda: nn.GroupNorm(3, 4)), raised(lambda: nn.Conv2d(3, 4, 1, groups=2)),
        raised(lambda: nn.LSTM(2, 3)(lib.ones(4, 5, 6))), raised(lambda: nn.BatchNorm1d(2)(lib.ones(2, 2, 2, 2))),
        raised(wrong_state(gain=None)), raised(wrong_state(more=lib.ones(1), gain=None)),
        raised(wrong_state(gain=lib.ones(3), seen=lib.ones(1))), raised(lambda: model.load_state_dict([1])),
    ]  # fmt: skip


def clipping(lib: Any) -> Any:
    found = []
    for order in (2.0, 1.0, 3.0, float("inf")):
        w = [lib.nn.Parameter(lib.tensor(values)) for values in ([1.0, -2.0], [[3.0]], [1.0])]
        ((w[0] ** 2).sum() + w[1].sum() * 4).backward()
        total = lib.nn.utils.clip_grad_norm_(w, 1.5, order)
        found.append((plain(total), [plain(one.grad) if one.grad is not None else None for one in w]))
        lib.nn.utils.clip_grad_value_(w, 0.3)
        found.append([plain(one.grad) if one.grad is not None else None for one in w])
    w = lib.nn.Parameter(lib.ones(1))
    w.grad = lib.tensor([float("nan")])
    found.append(raised(lambda: lib.nn.utils.clip_grad_norm_(w, 1.0, error_if_nonfinite=True)))
    layer = lib.nn.Linear(2, 1)
    with lib.no_grad():
        vector = lib.arange(3.0)
        lib.nn.utils.vector_to_parameters(vector, layer.parameters())
    return found, plain(lib.nn.utils.parameters_to_vector(layer.parameters())), plain(layer.weight)


PROGRAMS: dict[str, Program] = {
    program.__name__: program
    for program in (
        walks, modes, casts, copies, hooks, always, containers, assigning, parameters, loading, errors, clipping
    )
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("name", PROGRAMS)
def test_alike(name: str) -> None:
    ours, theirs = plain(PROGRAMS[name](gradviz)), plain(PROGRAMS[name](torch))
    for position, (one, two) in enumerate(zip(ours, theirs, strict=True)):
        assert one == two, position


def test_an_unknown_name_says_so() -> None:
    with pytest.raises(AttributeError, match=r"did you mean `gradviz.nn.Linear`\?"):
        _ = gradviz.nn.Linera
    with pytest.raises(AttributeError, match="part of what PyTorch has"):
        _ = gradviz.optim.Nada
