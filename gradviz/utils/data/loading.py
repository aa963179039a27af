"""`DataLoader`: goes through a data set in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from gradviz.core.ops.table import TABLE
from gradviz.core.random import Generator
from gradviz.core.tensor import Tensor
from gradviz.nn.parameter import born
from gradviz.utils.data.collating import default_collate
from gradviz.utils.data.datasets import IterableDataset, Subset, TensorDataset
from gradviz.utils.data.sampling import BatchSampler, RandomSampler, SequentialSampler, new_seed


class DataLoader:
    """Batches of a data set, each time it is gone through.

    batch_size: entries a batch; None for single entries. shuffle: in random order, anew each time; after `manual_seed`
    in PyTorch's. sampler, batch_sampler: an order of one's own. collate_fn: makes a batch of a list of entries.
    drop_last: leave out a last batch that is smaller. All is loaded in this process, whatever `num_workers` says.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[list[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        **more: Any,
    ) -> None:
        if num_workers < 0:
            raise ValueError(
                "num_workers option should be non-negative; use num_workers=0 to disable multiprocessing."
            )
        self.dataset = dataset
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.generator = generator
        if isinstance(dataset, IterableDataset) and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError(
                f"DataLoader with IterableDataset: expected unspecified shuffle option, but got shuffle={shuffle}"
            )
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError(
                "batch_size=None option disables auto-batching and is mutually exclusive with drop_last"
            )
        self._iterable = isinstance(dataset, IterableDataset)
        if sampler is None and not self._iterable:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_size is not None and batch_sampler is None and sampler is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        batches = batch_sampler is not None or (self._iterable and batch_size is not None)
        self.collate_fn: Callable[..., Any] = collate_fn or (default_collate if batches else _as_it_is)

    def __iter__(self) -> Iterator[Any]:
        new_seed(self.generator)  # PyTorch draws one for its workers here
        return self._stream() if self._iterable else self._batches()

    def _batches(self) -> Iterator[Any]:
        if self.batch_sampler is None:
            for index in self.sampler or ():
                yield self.collate_fn(self.dataset[index])
            return
        several = getattr(self.dataset, "__getitems__", None)
        plain = _plain_rows(self.dataset) if self.collate_fn is default_collate else None
        for indices in self.batch_sampler:
            if plain is not None:
                yield plain(indices)
                continue
            entries = [self.dataset[index] for index in indices] if several is None else several(indices)
            yield self.collate_fn(entries)

    def _stream(self) -> Iterator[Any]:
        if self.batch_size is None:
            yield from map(self.collate_fn, self.dataset)
            return
        batch: list[Any] = []
        for entry in self.dataset:
            batch.append(entry)
            if len(batch) == self.batch_size:
                yield self.collate_fn(batch)
                batch = []
        if batch and not self.drop_last:
            yield self.collate_fn(batch)

    def __len__(self) -> int:
        if self.batch_sampler is not None:
            return len(self.batch_sampler)  # type: ignore[arg-type]
        if self._iterable and self.batch_size is not None:
            count = len(self.dataset)
            return count // self.batch_size if self.drop_last else -(-count // self.batch_size)
        return len(self.sampler)  # type: ignore[arg-type]


def _plain_rows(dataset: Any) -> Callable[[list[int]], list[Tensor]] | None:
    """How to take the batch of some rows at once, where the data is tensors that no gradient goes to.

    No op is told of then: a picture of a training step begins with the batch.
    """
    places: Any = None
    while type(dataset) is Subset:
        inner = np.asarray(dataset.indices, np.int64)
        places = inner if places is None else inner[places]
        dataset = dataset.dataset
    if type(dataset) is not TensorDataset or any(tensor.requires_grad for tensor in dataset.tensors):
        return None

    def rows(indices: list[int]) -> list[Tensor]:
        wanted = indices if places is None else places[indices]
        return [born(tensor._data[wanted], False, Tensor, TABLE["tensor"]) for tensor in dataset.tensors]

    return rows


def _as_it_is(entry: Any) -> Any:
    return entry
