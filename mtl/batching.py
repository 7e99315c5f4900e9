"""Rows to batches: every text is tokenised once, and a batch is padded to its own longest text. Knows no sampling and no loss."""

from collections.abc import Sequence
from typing import TypedDict

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from mtl.data.rows import Row
from mtl.data.words import Range
from mtl.tasks.base import IGNORED, Encoding, Task
from mtl.tasks.tagging import first_subwords

LabelIds = dict[str, int | list[int]]


class Batch(TypedDict):
    """input_ids and attention_mask (B, T); labels: for each task (B) or (B, T), IGNORED where there is none."""

    input_ids: Tensor
    attention_mask: Tensor
    labels: dict[str, Tensor]


def encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], words: Sequence[Sequence[Range]], max_length: int) -> list[Encoding]:
    """Tokenise `texts`, cut at `max_length` subwords, and find the first subword of each of their `words`."""
    if not texts:
        return []
    out = tokenizer(list(texts), truncation=True, max_length=max_length, return_offsets_mapping=True,
                    return_attention_mask=False, return_token_type_ids=False)
    return [Encoding(ids, of_text, first_subwords(text, of_text, offsets))
            for ids, text, of_text, offsets in zip(out["input_ids"], texts, words, out["offset_mapping"], strict=True)]


def encode_rows(tokenizer: PreTrainedTokenizerBase, rows: Sequence[Row], max_length: int) -> list[Encoding]:
    """`encode` for rows, on their own words where they have them."""
    return encode(tokenizer, [row.text for row in rows], [row.word_ranges() for row in rows], max_length)


def label_rows(tasks: Sequence[Task], rows: Sequence[Row], encodings: Sequence[Encoding]) -> list[LabelIds]:
    """The label ids of every row for every task."""
    return [{task.name: task.label_ids(row.values.get(task.name), encoding) for task in tasks}
            for row, encoding in zip(rows, encodings, strict=True)]


def count_targets(labels: Sequence[LabelIds], task: str) -> int:
    """How many labels of `task` there are in these rows that the loss will look at."""
    return sum(ids != IGNORED if isinstance(ids := row[task], int) else len(ids) - ids.count(IGNORED) for row in labels)


def collate(encodings: Sequence[Encoding], pad_id: int, labels: Sequence[LabelIds] | None = None,
            tasks: Sequence[str] = ()) -> Batch:
    """One batch of these texts, padded on the right to the longest, with the labels of `tasks`."""
    longest = max(len(encoding.ids) for encoding in encodings)
    lengths = [len(encoding.ids) for encoding in encodings]
    return Batch(
        input_ids=_pad([encoding.ids for encoding in encodings], longest, pad_id),
        attention_mask=(torch.arange(longest) < torch.tensor(lengths)[:, None]).long(),
        labels={task: _pad_labels([row[task] for row in labels or []], longest) for task in tasks},
    )


def by_length(encodings: Sequence[Encoding], batch_size: int) -> list[list[int]]:
    """The indices of all texts in batches of about one length, longest first; for passes in which order does not matter."""
    order = sorted(range(len(encodings)), key=lambda index: -len(encodings[index].ids))
    return [order[start:start + batch_size] for start in range(0, len(order), batch_size)]


def _pad(rows: list[list[int]], longest: int, filler: int) -> Tensor:
    return torch.tensor([row + [filler] * (longest - len(row)) for row in rows], dtype=torch.long)


def _pad_labels(ids: list[int | list[int]], longest: int) -> Tensor:
    return torch.tensor(ids, dtype=torch.long) if isinstance(ids[0], int) else _pad(ids, longest, IGNORED)
