"""Sequences that may be larger than memory: few items are a list, many a `datasets.Dataset`, which reads only what is used of its file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import uuid4

import numpy as np

from mtl.files import replacing, room_on_disk

if TYPE_CHECKING:  # both take a moment to import
    import pyarrow
    from datasets import Dataset

T = TypeVar("T")
KEPT_IN_MEMORY = 5_000
BATCH = 1_000
DISK_FULL = "The disk is full: the rows could not be stored on it. Free some space."


@dataclass(frozen=True)
class Shape(Generic[T]):
    """How an item is stored in a dataset: the Arrow types of its fields, and the functions to and from a row."""

    fields: Callable[[], pyarrow.Schema]
    pack: Callable[[T], dict[str, Any]]
    unpack: Callable[[dict[str, Any]], T]


class Stored(Sequence[T]):
    """The rows of a dataset as items. Rows are read many at a time, because one by one they take far longer."""

    def __init__(self, dataset: Dataset, unpack: Callable[[dict[str, Any]], T]) -> None:
        self.dataset, self.unpack = dataset.with_format("arrow"), unpack

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: Any) -> Any:
        return self.take(range(*index.indices(len(self)))) if isinstance(index, slice) else self.take([int(index)])[0]

    def __iter__(self) -> Iterator[T]:
        for start in range(0, len(self), BATCH):
            yield from self.take(range(start, min(start + BATCH, len(self))))

    def take(self, indices: Iterable[int]) -> list[T]:
        """The items at `indices`, read together."""
        places = indices if isinstance(indices, range) else list(indices)
        return [self.unpack(item) for item in self.dataset[places].combine_chunks().to_pylist()] if places else []

    def view(self, shape: Shape[Any]) -> Stored[Any]:
        """The same rows, of which only the fields of `shape` are read, as far as they are there."""
        names = [name for name in shape.fields().names if name in self.dataset.column_names]
        return Stored(self.dataset.select_columns(names), shape.unpack)


def keep(items: Iterable[T], shape: Shape[T], file: Path, limit: int | None = None) -> Sequence[T]:
    """The `items` as a list if there are at most `limit` (default: KEPT_IN_MEMORY), else in `file`. Raises MtlError on a full disk."""
    rest, limit = iter(items), KEPT_IN_MEMORY if limit is None else limit
    first = list(islice(rest, limit + 1))
    if len(first) <= limit:
        return first
    everything = chain(first, rest)
    import pyarrow

    schema = shape.fields()
    with room_on_disk(DISK_FULL):
        file.parent.mkdir(parents=True, exist_ok=True)
        # Dataset.from_generator takes three times as long, and its writer asks modules for tensors that may be half-loaded
        with pyarrow.OSFile(str(file), "wb") as sink, pyarrow.ipc.new_stream(sink, schema) as writer:
            while batch := list(islice(everything, BATCH)):
                writer.write_batch(pyarrow.RecordBatch.from_pylist([shape.pack(item) for item in batch], schema=schema))
    return Stored(_dataset(_datasets().table.MemoryMappedTable.from_file(str(file)), shape), shape.unpack)


def save(items: Sequence[T], shape: Shape[T], target: Path) -> None:
    """Write `items`, if stored with `shape`'s fields, to a Parquet file or (other names) a folder. Raises MtlError if the disk is full."""
    if isinstance(items, Stored):
        dataset = items.view(shape).dataset.with_format(None)
    else:
        import pyarrow

        table = pyarrow.Table.from_pylist([shape.pack(item) for item in items], schema=shape.fields())
        dataset = _dataset(_datasets().table.InMemoryTable(table), shape)
    with room_on_disk(DISK_FULL):
        if target.suffix.lower() == ".parquet":
            dataset.to_parquet(target)
        else:
            dataset.save_to_disk(target)


def open_saved(folder: Path, shape: Shape[T]) -> Sequence[T]:
    """What `save` put into `folder`; few items as a list. The dataset may have more fields than `shape`."""
    found = Stored(open_dataset(folder), shape.unpack).view(shape)
    return list(found) if len(found) <= KEPT_IN_MEMORY else found


def open_dataset(folder: Path) -> Dataset:
    """The dataset that `Dataset.save_to_disk` put into `folder`; its rows stay on the disk."""
    return _datasets().Dataset.load_from_disk(str(folder), keep_in_memory=False)


def pick(items: Sequence[T], indices: np.ndarray) -> Sequence[T]:
    """The `items` at `indices`, in that order; of stored ones nothing is copied."""
    if isinstance(items, Stored):
        return Stored(items.dataset.select(indices, new_fingerprint="selected"), items.unpack)  # the name of a cache that is not used
    return [items[index] for index in indices]


def take(items: Sequence[T], indices: Iterable[int]) -> list[T]:
    """The few `items` at `indices` as a list, read together."""
    return items.take(indices) if isinstance(items, Stored) else [items[index] for index in indices]


def link(source: Path, target: Path, make: Callable[[Path, Path], None] = os.link) -> Path:
    """Give the file `source` a second name, `target`; a copy where the system has no links. Only for files that nobody changes."""
    try:
        make(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target


def link_folder(source: Path, target: Path) -> None:
    """Replace the folder `target` by links to the files of `source`, whole or not at all."""
    with replacing(target) as building:
        shutil.copytree(source, building, copy_function=link)


def _datasets() -> ModuleType:
    import datasets
    import datasets.table

    datasets.disable_progress_bars()
    bar = datasets.utils.tqdm  # while it has a lock, two threads that open a dataset (datasets 5.2) do not take it from each other
    bar.set_lock(bar.get_lock())
    return datasets


def _dataset(table: Any, shape: Shape[Any]) -> Dataset:
    """With a random fingerprint, since `datasets` (5.2) cannot compute it while another thread imports transformers, which it asks."""
    features = _datasets().Features.from_arrow_schema(shape.fields())
    return _datasets().Dataset(table, info=_datasets().DatasetInfo(features=features), fingerprint=uuid4().hex)
