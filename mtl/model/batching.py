"""Rows to batches: each text is tokenised once, and a batch is padded to its longest text. Knows no sampling and no loss."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypedDict

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from mtl.data.rows import Row
from mtl.data.store import Shape
from mtl.data.words import find_words, first_subwords
from mtl.tasks.base import Encoding, Task, stack_lists

LabelIds = dict[str, float | list[int]]
Example = tuple[Encoding, LabelIds]
CHUNK = 1_000  # texts tokenised at a time


class Batch(TypedDict):
    """input_ids and attention_mask (B, T); labels: for each task (B), (B, T) or (B, labels), IGNORED where there is no label."""

    input_ids: Tensor
    attention_mask: Tensor
    labels: dict[str, Tensor]


def encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_length: int) -> list[Encoding]:
    """Tokenise `texts`, cut at `max_length` subwords, and find the first subword of each word. Training, evaluation and prediction all use
    it. Words are those of `find_words`, never a file's own tokens: typed text has none, and a score must measure what prediction does."""
    if not texts:
        return []
    out = tokenizer(list(texts), truncation=True, max_length=max_length, return_offsets_mapping=True,
                    return_attention_mask=False, return_token_type_ids=False)
    return [Encoding(ids, words := find_words(text), first_subwords(text, words, offsets))
            for ids, text, offsets in zip(out["input_ids"], texts, out["offset_mapping"], strict=True)]


def make_examples(tokenizer: PreTrainedTokenizerBase, tasks: Sequence[Task], rows: Iterable[Row], max_length: int) -> Iterator[Example]:
    """Tokenise and label `rows`, a thousand at a time."""
    rest = iter(rows)
    while part := list(islice(rest, CHUNK)):
        for row, encoding in zip(part, encode(tokenizer, [row.text for row in part], max_length), strict=True):
            yield encoding, {task.name: task.label_ids(row.values.get(task.name), encoding) for task in tasks}


def example_shape(tasks: Sequence[Task]) -> Shape[Example]:
    """The columns of examples in an Arrow file: subword ids, the words' edges and first subwords, and label ids per task."""
    def fields() -> Any:
        import pyarrow as pa

        numbers = pa.list_(pa.int32())
        labels = {f"label {index}": numbers if not task.has_one_id else pa.float32() if task.dtype.is_floating_point else pa.int32()
                  for index, task in enumerate(tasks)}
        return pa.schema({"ids": numbers, "edges": numbers, "firsts": numbers} | labels)

    def pack(example: Example) -> dict[str, Any]:
        encoding, labels = example
        return {"ids": encoding.ids, "edges": [edge for word in encoding.words for edge in word], "firsts": encoding.firsts,
                **{f"label {index}": labels[task.name] for index, task in enumerate(tasks)}}

    def unpack(stored: dict[str, Any]) -> Example:
        edges = stored["edges"]
        encoding = Encoding(stored["ids"], list(zip(edges[::2], edges[1::2], strict=True)), stored["firsts"])
        return encoding, {task.name: stored[f"label {index}"] for index, task in enumerate(tasks)}

    return Shape(fields, pack, unpack)


def collate(encodings: Sequence[Encoding], pad_id: int, labels: Sequence[LabelIds] | None = None, tasks: Sequence[Task] = ()) -> Batch:
    """The texts as one batch, padded on the right to the longest, with the labels of `tasks`."""
    lengths = [len(encoding.ids) for encoding in encodings]
    return Batch(input_ids=stack_lists([encoding.ids for encoding in encodings], pad_id),
                 attention_mask=(torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long(),
                 labels={task.name: task.stack([row[task.name] for row in labels or []]) for task in tasks})


def by_length(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """The indices of texts with these `lengths` in batches of similar length, longest first."""
    order = longest_first(lengths)
    return [order[start:start + batch_size] for start in range(0, len(order), batch_size)]


def longest_first(lengths: Sequence[int]) -> list[int]:
    """The indices of texts with these `lengths`, the longest text first."""
    return sorted(range(len(lengths)), key=lambda index: -lengths[index])


def by_tokens(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """As `by_length`, but in batches of at most `tokens` subwords (or one text), and without padding if that leaves batches half full."""
    batches: list[list[int]] = [[]]
    for index in longest_first(lengths):
        batch, longest = batches[-1], lengths[batches[-1][0]] if batches[-1] else 0
        full = (len(batch) + 1) * longest > tokens
        if batch and (full or (lengths[index] < longest and 2 * len(batch) * longest >= tokens)):
            batches.append(batch := [])
        batch.append(index)
    return batches if lengths else []

