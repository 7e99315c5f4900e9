"""A split ready for the model: texts as subwords and labels as ids, in memory or in a file."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from mtl.data.rows import Row
from mtl.data.store import keep, take
from mtl.model.batching import Example, by_length, example_shape, make_examples
from mtl.model.frozen_features import FrozenFeatures, compute_features
from mtl.model.machine import Machine
from mtl.model.multitask import MultiTaskModel
from mtl.tasks.base import Task


@dataclass(frozen=True)
class Split:
    """N rows and their `examples`: tokenised texts with label ids, perhaps in a file. `lengths` in subwords (N); `targets`: for each task
    the number of targets of each row (N); `cut`: how many texts were truncated; `features`: hidden states of a frozen encoder, if
    computed."""

    rows: Sequence[Row]
    examples: Sequence[Example]
    lengths: np.ndarray
    targets: dict[str, np.ndarray]
    cut: int
    features: FrozenFeatures | None = None


def make_split(tokenizer: PreTrainedTokenizerBase, tasks: Sequence[Task], rows: Sequence[Row], max_length: int, file: Path,
               progress: Callable[[str, float], None] = lambda what, share: None) -> Split:
    """Tokenise and label `rows`; many rows go into `file`."""
    lengths = np.empty(len(rows), np.int32)
    targets = {task.name: np.empty(len(rows), np.int32) for task in tasks}
    cut = 0

    def count(examples: Iterator[Example]) -> Iterator[Example]:
        nonlocal cut
        for index, (encoding, labels) in enumerate(examples):
            lengths[index] = len(encoding.ids)
            cut += len(encoding.ids) >= max_length and encoding.firsts[-1:] == [-1]
            for task in tasks:
                targets[task.name][index] = task.count_targets(labels[task.name])
            if index % 2000 == 1999:
                progress("Tokenising", index / len(rows))
            yield encoding, labels

    examples = keep(count(make_examples(tokenizer, tasks, rows, max_length)), example_shape(tasks), file)
    return Split(rows, examples, lengths, targets, cut)


def with_features(split: Split, model: MultiTaskModel, machine: Machine, file: Path, progress: Callable[[str, float], None]) -> Split:
    """`split` with the hidden states of the frozen encoder of `model`; large ones go into `file`."""
    return replace(split, features=compute_features(model, split.examples, split.lengths, machine, file, progress))


def sample_places(rows: int, count: int, seed: int) -> np.ndarray:
    """The sorted indices of the rows that `sample` draws from so many `rows`."""
    return np.sort(np.random.default_rng(seed).permutation(rows)[:count])


def sample(split: Split, count: int, seed: int) -> Split:
    """At most `count` rows of `split`, drawn by `seed`; all rows if their hidden states are computed already."""
    if len(split.rows) <= count or split.features is not None:
        return split
    places = sample_places(len(split.rows), count, seed)
    return replace(split, rows=take(split.rows, places), examples=take(split.examples, places), lengths=split.lengths[places],
                   targets={task: counts[places] for task, counts in split.targets.items()})


def batches_for(split: Split, batch_size: int = 64) -> list[list[int]]:
    """The indices of all texts of `split` in batches for `answer`."""
    return by_length(split.lengths.tolist(), batch_size)
