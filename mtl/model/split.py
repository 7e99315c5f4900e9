"""A split ready for the model, in memory or in files: subwords, label ids and, of a frozen encoder, hidden states, computed only once."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase

from mtl.data.readers import Progress, no_progress
from mtl.data.rows import Row
from mtl.data.store import keep, take
from mtl.errors import MtlError
from mtl.files import room_on_disk
from mtl.model.batching import Example, by_length, collate, example_shape, make_examples
from mtl.model.machine import Machine
from mtl.model.multitask import MultiTaskModel
from mtl.tasks.base import Task

KEPT_IN_MEMORY = 2**28  # bytes; more go into a memory-mapped file
BATCH, SMALL_BATCH = 64, 8
ADVICE = "Free some space, use fewer rows or a smaller Max length, or set Fine-tuning to 'lora', which keeps nothing."


@dataclass(frozen=True)
class FrozenFeatures:
    """The last hidden states of N texts, one after the other in `vectors` (subwords, H), with each text's start and length (N)."""

    vectors: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray

    def batch(self, indices: Sequence[int]) -> Tensor:
        """The hidden states (B, T, H) of the texts at `indices`, padded with zeros on the right as `collate` pads their ids."""
        starts, ends = self.starts[indices], self.starts[indices] + self.lengths[indices]
        return pad_sequence([torch.tensor(self.vectors[start:end]) for start, end in zip(starts, ends, strict=True)], batch_first=True)


@dataclass(frozen=True)
class Split:
    """N rows, ready for the model."""

    rows: Sequence[Row]
    examples: Sequence[Example]  # tokenised texts with label ids
    lengths: np.ndarray  # (N): subwords of each row
    targets: dict[str, np.ndarray]  # for each task (N): the number of targets of each row, see Task.count_targets
    cut: int  # how many texts were truncated
    features: FrozenFeatures | None = None  # those of a frozen encoder, if they were computed

    def batches(self) -> list[list[int]]:
        """The indices of all rows in batches of similar length. Few rows make small ones: one of all would be mostly padding."""
        return by_length(self.lengths.tolist(), min(BATCH, max(SMALL_BATCH, len(self.rows) // SMALL_BATCH)))


def make_split(tokenizer: PreTrainedTokenizerBase, tasks: Sequence[Task], rows: Sequence[Row], max_length: int, file: Path,
               progress: Progress = no_progress) -> Split:
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


def sample_places(rows: int, count: int, seed: int) -> np.ndarray:
    """The sorted indices of the rows that `sample` draws from so many `rows`."""
    return np.sort(np.random.default_rng(seed).permutation(rows)[:count])


def sample(split: Split, count: int, seed: int) -> Split:
    """At most `count` rows of `split`, drawn by `seed`."""
    if len(split.rows) <= count:
        return split
    places = sample_places(len(split.rows), count, seed)
    features = split.features and replace(split.features, starts=split.features.starts[places], lengths=split.features.lengths[places])
    return replace(split, rows=take(split.rows, places), examples=take(split.examples, places), lengths=split.lengths[places],
                   targets={task: counts[places] for task, counts in split.targets.items()}, features=features)


def compute_features(model: MultiTaskModel, examples: Sequence[Example], lengths: np.ndarray, machine: Machine, file: Path,
                     progress: Progress = no_progress) -> FrozenFeatures:
    """The hidden states of `examples` (subwords: `lengths`), in order of length; many go into `file`. Raises MtlError on a full disk."""
    batches = by_length(lengths.tolist(), BATCH)
    order = np.concatenate(batches)
    starts = np.empty(len(lengths), np.int64)
    starts[order] = np.cumsum(lengths[order], dtype=np.int64) - lengths[order]
    shape = int(lengths.sum(dtype=np.int64)), model.config.encoder.hidden_size
    size = 4 * shape[0] * shape[1]
    passes = _passes(model, examples, batches, machine, progress)
    if size <= KEPT_IN_MEMORY:
        return FrozenFeatures(np.concatenate(list(passes)), starts, lengths)
    file.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(file.parent).free
    if size > free:  # rather than after an hour
        raise MtlError(f"The hidden states of {len(lengths):,} rows take {size / 1e9:,.1f} GB, but the disk has {free / 1e9:,.1f} GB free. "
                       f"{ADVICE}")
    # not through a memory map, because a full disk would then kill the process
    with room_on_disk(f"The disk is full: the hidden states of the rows could not be kept. {ADVICE}"), open(file, "wb") as sink:
        for made in passes:
            sink.write(made)
    return FrozenFeatures(np.memmap(file, np.float32, "r", shape=shape), starts, lengths)


@torch.inference_mode()
def _passes(model: MultiTaskModel, examples: Sequence[Example], batches: list[list[int]], machine: Machine,
            progress: Progress) -> Iterator[np.ndarray]:
    """For each batch, the hidden states (subwords, H) of its texts, one after the other, without padding."""
    model.eval()
    pad_id = model.config.encoder.pad_token_id or 0
    for number, indices in enumerate(batches):
        batch = collate([encoding for encoding, _ in take(examples, indices)], pad_id)
        ids, mask = batch["input_ids"].to(machine.device), batch["attention_mask"].to(machine.device)
        with machine.autocast():
            states = model.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        progress("Encoding", number / len(batches))
        yield states[mask.bool()].float().cpu().numpy()
