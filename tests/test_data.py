"""Data sets, loaders and saved files: the order and the values are PyTorch's, and files hold no code."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from alike import plain, text

import gradviz
from gradviz.errors import UsageError

LOADERS: dict[str, Callable[[Any, Any], Any]] = {
    "in order": lambda lib, data: lib.utils.data.DataLoader(data, batch_size=3),
    "shuffled": lambda lib, data: lib.utils.data.DataLoader(data, batch_size=3, shuffle=True),
    "whole batches": lambda lib, data: lib.utils.data.DataLoader(data, batch_size=4, shuffle=True, drop_last=True),
    "one by one": lambda lib, data: lib.utils.data.DataLoader(data, batch_size=None),
    "a stream of its own": lambda lib, data: lib.utils.data.DataLoader(
        data, batch_size=2, shuffle=True, generator=lib.Generator().manual_seed(3)
    ),
    "collated by hand": lambda lib, data: lib.utils.data.DataLoader(
        data, batch_size=4, collate_fn=lambda rows: [plain(row[0]) for row in rows]
    ),
    "with replacement": lambda lib, data: lib.utils.data.DataLoader(
        data, sampler=lib.utils.data.RandomSampler(data, replacement=True, num_samples=40)
    ),
    "more than there are": lambda lib, data: lib.utils.data.DataLoader(
        data, sampler=lib.utils.data.RandomSampler(data, num_samples=15), batch_size=5
    ),
    "a part, shuffled": lambda lib, data: lib.utils.data.DataLoader(
        data, sampler=lib.utils.data.SubsetRandomSampler([1, 3, 5, 7]), batch_size=3
    ),
    "batches by hand": lambda lib, data: lib.utils.data.DataLoader(data, batch_sampler=[[0, 1], [5], [2, 3, 4]]),
}


def both(program: Callable[[Any], Any]) -> None:
    found = []
    for library in (gradviz, torch):
        library.manual_seed(4)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found.append(plain(program(library)))
    assert found[0] == found[1]


@pytest.mark.parametrize("name", LOADERS)
def test_loaders(name: str) -> None:
    def program(library: Any) -> Any:
        data = library.utils.data.TensorDataset(library.arange(11.0), library.arange(22).reshape(11, 2))
        loader = LOADERS[name](library, data)
        return [list(loader), list(loader), len(loader), library.rand(1)]

    both(program)


def test_a_batch_of_plain_tensors_is_no_op_and_one_that_gets_gradient_is() -> None:
    w = gradviz.ones(4, 2, requires_grad=True)
    for tensor, names in ((w.detach(), {"tensor", "sum"}), (w, {"ones", "select", "stack", "sum"})):
        data = gradviz.utils.data.TensorDataset(tensor)
        with gradviz.record() as rec:
            for (x,) in gradviz.utils.data.DataLoader(data, batch_size=2):
                x.sum()
        assert {op.name for op in rec.graph().ops.values()} == names
        assert x.requires_grad == tensor.requires_grad


def test_entries_of_all_kinds_are_collated() -> None:
    def program(library: Any) -> Any:
        class Rows(library.utils.data.Dataset):
            def __len__(self) -> int:
                return 4

            def __getitem__(self, index: int) -> Any:
                return {
                    "number": index, "part": index / 2, "name": f"row {index}", "pair": (index, [index + 1]),
                    "array": np.full(2, index), "tensor": library.ones(2) * index, "flag": bool(index % 2),
                }  # fmt: skip

        batch = next(iter(library.utils.data.DataLoader(Rows(), batch_size=3)))
        return [batch, type(batch["pair"]).__name__]

    both(program)


def test_streams() -> None:
    def program(library: Any) -> Any:
        class Stream(library.utils.data.IterableDataset):
            def __iter__(self) -> Any:
                return iter(range(7))

        return [list(library.utils.data.DataLoader(Stream(), batch_size=size)) for size in (3, None)]

    both(program)


def test_splits_and_parts() -> None:
    def program(library: Any) -> Any:
        data = library.utils.data.TensorDataset(library.arange(10))
        split = library.utils.data.random_split
        parts = split(data, [7, 3]) + split(data, [0.25, 0.35, 0.4])
        own = split(data, [5, 5], generator=library.Generator().manual_seed(1))
        joined = library.utils.data.Subset(data, [3, 1]) + own[0]
        return [list(part.indices) for part in parts + own], len(joined), joined[0], joined[-1]

    both(program)


def test_what_is_wrong_is_told_in_pytorchs_words() -> None:
    def wrong(library: Any, call: Callable[[Any, Any], Any]) -> str:
        data = library.utils.data.TensorDataset(library.arange(4))
        try:
            call(library.utils.data, data)
        except (ValueError, AssertionError, RuntimeError, TypeError) as error:
            return f"{type(error).__name__}: {text(error)}"
        return "nothing"

    calls: list[Callable[[Any, Any], Any]] = [
        lambda lib, data: lib.DataLoader(data, batch_size=0),
        lambda lib, data: lib.DataLoader(data, num_workers=-1),
        lambda lib, data: lib.DataLoader(data, shuffle=True, sampler=[1]),
        lambda lib, data: lib.DataLoader(data, batch_sampler=[[1]], shuffle=True),
        lambda lib, data: lib.DataLoader(data, batch_size=None, drop_last=True),
        lambda lib, data: lib.random_split(data, [1, 2]),
        lambda lib, data: lib.RandomSampler(data, num_samples=-1),
        lambda lib, data: next(iter(lib.DataLoader([[1], [1, 2]], batch_size=2))),
    ]
    for call in calls:
        assert wrong(gradviz, call) == wrong(torch, call)


def model() -> Any:
    gradviz.manual_seed(0)
    return gradviz.nn.Sequential(gradviz.nn.Linear(3, 4), gradviz.nn.GRUCell(4, 2), gradviz.nn.LayerNorm(2))


@pytest.mark.parametrize("name", ["state.npz", "state.pt", "state.safetensors"])
def test_a_state_comes_back(name: str, tmp_path: Path) -> None:
    saved = model()
    gradviz.save(saved.state_dict(), tmp_path / name)
    gradviz.manual_seed(9)
    other = model()
    for parameter in other.parameters():
        parameter.data.zero_()
    assert repr(other.load_state_dict(gradviz.load(tmp_path / name))) == "<All keys matched successfully>"
    for key, tensor in saved.state_dict().items():
        assert tensor.numpy().tobytes() == other.state_dict()[key].numpy().tobytes()
    if name == "state.safetensors":
        assert list(safetensors.numpy.load_file(tmp_path / name)) == sorted(saved.state_dict())
    else:
        with np.load(tmp_path / name, allow_pickle=False) as arrays:
            assert list(arrays) == list(saved.state_dict())


def test_pytorchs_safetensors_are_read(tmp_path: Path) -> None:
    theirs = torch.nn.Linear(3, 2)
    arrays = {key: value.numpy() for key, value in theirs.state_dict().items()}
    safetensors.numpy.save_file(arrays, tmp_path / "linear.safetensors")
    ours = gradviz.nn.Linear(3, 2)
    ours.load_state_dict(gradviz.load(tmp_path / "linear.safetensors"))
    assert ours.weight.tolist() == theirs.weight.tolist()


def test_a_checkpoint_comes_back_and_training_goes_on(tmp_path: Path) -> None:
    def step(net: Any, optimizer: Any) -> None:
        optimizer.zero_grad()
        net(gradviz.ones(2, 3)).sum().backward()
        optimizer.step()

    net = gradviz.nn.Linear(3, 1)
    optimizer = gradviz.optim.Adam(net.parameters(), lr=0.1)
    step(net, optimizer)
    checkpoint = {
        "model": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, "note": "ünï", "best": None,
        "pair": (1, [2.5, True]), 7: gradviz.tensor([1, 2]),
    }  # fmt: skip
    gradviz.save(checkpoint, tmp_path / "checkpoint.npz")
    step(net, optimizer)
    found = gradviz.load(tmp_path / "checkpoint.npz")
    assert (found["epoch"], found["note"], found["best"], found["pair"]) == (3, "ünï", None, (1, [2.5, True]))
    assert (found[7].tolist(), found[7].dtype) == ([1, 2], gradviz.int64)
    other = gradviz.nn.Linear(3, 1)
    again = gradviz.optim.Adam(other.parameters(), lr=0.5)
    other.load_state_dict(found["model"])
    again.load_state_dict(found["optimizer"])
    step(other, again)
    assert other.weight.tolist() == net.weight.tolist()
    assert other.bias.tolist() == net.bias.tolist()


@pytest.mark.parametrize(
    "tensor",
    [
        gradviz.tensor(2.5),
        gradviz.tensor([True, False]),
        gradviz.zeros(0, 3),
        gradviz.ones(2, 3, dtype=gradviz.float16),
        gradviz.nn.Parameter(gradviz.ones(2)),
        gradviz.arange(6).reshape(2, 3).t(),
    ],
    ids=["0-d", "bool", "empty", "float16", "parameter", "transposed"],
)
def test_a_tensor_comes_back(tensor: Any) -> None:
    stream = io.BytesIO()
    gradviz.save(tensor, stream)
    stream.seek(0)
    found = gradviz.load(stream)
    assert type(found) is type(tensor)
    assert found.requires_grad == tensor.requires_grad
    assert plain(found) == plain(tensor)


def test_the_same_state_is_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.npz", "two.npz"):
        gradviz.save(model().state_dict(), tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_what_cannot_be_saved_or_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`model`, a `Linear`, cannot be saved"):
        gradviz.save({"model": gradviz.nn.Linear(1, 1)}, tmp_path / "x.npz")
    with pytest.raises(UsageError, match="a dictionary of tensors only"):
        gradviz.save({"epoch": 1}, tmp_path / "x.safetensors")
    torch.save({"w": torch.ones(1)}, tmp_path / "theirs.pt")
    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "object.npz", a=np.array([object()]))
    for name in ("theirs.pt", "text.npz", "object.npz"):
        with pytest.raises(UsageError, match=r"was not written by `gradviz\.save`"):
            gradviz.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        gradviz.load(tmp_path / "nothing.npz")


def chained_and_stacked(library: Any) -> list[Any]:
    data = library.utils.data

    class Numbers(data.IterableDataset):  # type: ignore[misc,name-defined]
        def __init__(self, count: int) -> None:
            self.count = count

        def __iter__(self) -> Any:
            return iter(range(self.count))

        def __len__(self) -> int:
            return self.count

    rows = data.TensorDataset(library.arange(3), library.arange(3) * 2)
    pairs, named = data.StackDataset(rows, rows), data.StackDataset(x=rows, y=[5, 6, 7])
    chain = Numbers(2) + Numbers(3)
    converted = data.default_convert({"a": np.arange(2), "b": (np.float32(1.5), "text", [None])})
    seen: list[Any] = [list(chain), len(chain), str(pairs[1]), len(pairs), str(named[2]), str(converted)]
    seen += [str(batch) for batch in data.DataLoader(named, batch_size=2)]
    seen.append(data.get_worker_info())
    for call in (
        lambda: data.StackDataset(),
        lambda: data.StackDataset(rows, y=rows),
        lambda: data.StackDataset(rows, [1]),
        lambda: list(data.ChainDataset([rows])),
    ):
        with pytest.raises((ValueError, AssertionError)) as caught:
            call()
        seen.append((caught.type.__name__, str(caught.value)))
    return seen


def test_chained_and_stacked_data_sets_are_torchs() -> None:
    ours, theirs = (chained_and_stacked(library) for library in (gradviz, torch))
    assert [str(one).replace("gradviz.", "torch.") for one in ours] == [str(one) for one in theirs]
