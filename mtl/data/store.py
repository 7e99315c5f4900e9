"""Sequences that may be longer than memory: few items stay in a list, many go into an Arrow file and are read when they are asked for.
Knows nothing of what the items are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from mtl.errors import MtlError, is_disk_full

if TYPE_CHECKING:  # it takes a moment to import, and few data are so large
    import pyarrow

T = TypeVar("T")
KEPT_IN_MEMORY = 5_000
BATCH = 1_000


@dataclass(frozen=True)
class Shape(Generic[T]):
    """How an item lies in a file: the Arrow types of its fields (named by their functions in pyarrow), and the way there and back."""

    fields: Callable[[], pyarrow.Schema]
    pack: Callable[[T], dict[str, Any]]
    unpack: Callable[[dict[str, Any]], T]


class Stored(Sequence[T]):
    """Items in an Arrow file, mapped into memory: only what is looked at is read. All of them, or those at `places`."""

    def __init__(self, batches: Sequence[pyarrow.RecordBatch], places: np.ndarray, unpack: Callable[[dict[str, Any]], T]) -> None:
        self.batches, self.places, self.unpack = batches, places, unpack

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self.take(range(*index.indices(len(self))))
        return self.take([int(index)])[0]

    def __iter__(self) -> Iterator[T]:
        for start in range(0, len(self), BATCH):
            yield from self.take(range(start, min(start + BATCH, len(self))))

    def take(self, indices: Iterable[int]) -> list[T]:
        """The items at `indices`, read together."""
        import pyarrow

        places = self.places[list(indices)]
        breaks = 1 + np.flatnonzero((np.diff(places) != 1) | (places[1:] % BATCH == 0))  # what stands together is read together
        parts = [self.batches[run[0] // BATCH].slice(run[0] % BATCH, len(run)) for run in np.split(places, breaks) if len(run)]
        return [self.unpack(item) for item in pyarrow.concat_batches(parts).to_pylist()] if parts else []

    def select(self, indices: np.ndarray) -> Stored[T]:
        """The items at `indices` as a sequence of their own; nothing is copied."""
        return Stored(self.batches, self.places[indices], self.unpack)


def keep(items: Iterable[T], shape: Shape[T], file: Path, limit: int | None = None) -> Sequence[T]:
    """The `items` as a sequence: a list if there are at most `limit` (default: KEPT_IN_MEMORY), else stored in `file`.

    Raises MtlError if the disk is full.
    """
    rest, limit = iter(items), KEPT_IN_MEMORY if limit is None else limit
    first = list(islice(rest, limit + 1))
    if len(first) <= limit:
        return first
    import pyarrow

    schema = shape.fields()
    everything = chain(first, rest)
    del first
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with pyarrow.OSFile(str(file), "wb") as sink, pyarrow.ipc.new_stream(sink, schema) as writer:
            while batch := list(islice(everything, BATCH)):
                writer.write_batch(pyarrow.RecordBatch.from_pylist([shape.pack(item) for item in batch], schema=schema))
    except OSError as error:
        if is_disk_full(error):
            raise MtlError("The disk is full: the data could not be laid out for training. Free some space.") from error
        raise
    batches = pyarrow.ipc.open_stream(pyarrow.memory_map(str(file))).read_all().to_batches()
    return Stored(batches, np.arange(sum(batch.num_rows for batch in batches)), shape.unpack)


def pick(items: Sequence[T], indices: np.ndarray) -> Sequence[T]:
    """The `items` at `indices`, in that order."""
    return items.select(indices) if isinstance(items, Stored) else [items[index] for index in indices]


def take(items: Sequence[T], indices: Iterable[int]) -> list[T]:
    """A handful of `items` as a list, read together."""
    return items.take(indices) if isinstance(items, Stored) else [items[index] for index in indices]


def change(items: Sequence[T], how: Callable[[T], T]) -> Sequence[T]:
    """The `items`, each as `how` makes it; stored ones whenever they are read."""
    if isinstance(items, Stored):
        return Stored(items.batches, items.places, lambda stored: how(items.unpack(stored)))
    return [how(item) for item in items]
