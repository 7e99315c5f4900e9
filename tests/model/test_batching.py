"""mtl/model/batching.py: texts tokenised, labelled and padded."""

import torch

from mtl.data.words import Span
from mtl.model.batching import by_length, collate, encode, make_examples
from mtl.settings.config import TaskSpec
from mtl.tasks import make_task
from mtl.tasks.base import IGNORED
from tests.plain import Row

INTENT = make_task(TaskSpec(name="intent", kind="classification", labels=("book", "fly")))
SLOTS = make_task(TaskSpec(name="slots", kind="tagging", labels=("LOC",)))
ROWS = [Row("Fly to Rome", {"intent": "fly", "slots": (Span(7, 11, "LOC"),)}),
        Row("Book a table for two in Rome!", {"intent": None, "slots": ()}),
        Row("Book", {"intent": "book", "slots": None})]


def ready(tiny, rows=ROWS, max_length=64):
    encodings, labels = zip(*make_examples(tiny[1], [INTENT, SLOTS], rows, max_length), strict=True)
    return encodings, list(labels)


def test_a_batch_is_padded_to_its_longest_text_and_the_mask_says_where(tiny):
    encodings, labels = ready(tiny)
    batch = collate(encodings, 7, labels, [INTENT, SLOTS])
    lengths = [len(encoding.ids) for encoding in encodings]
    assert batch["input_ids"].shape == batch["attention_mask"].shape == batch["labels"]["slots"].shape == (3, max(lengths))
    for row, length in enumerate(lengths):
        assert batch["input_ids"][row].tolist() == encodings[row].ids + [7] * (max(lengths) - length)
        assert batch["attention_mask"][row].tolist() == [1] * length + [0] * (max(lengths) - length)
    assert all(tensor.dtype == torch.long for tensor in (batch["input_ids"], batch["attention_mask"], *batch["labels"].values()))


def test_a_row_without_a_label_for_a_task_is_ignored_there(tiny):
    encodings, labels = ready(tiny)
    batch = collate(encodings, 0, labels, [INTENT, SLOTS])["labels"]
    assert batch["intent"].tolist() == [1, IGNORED, 0]
    assert batch["slots"][0].tolist()[:5] == [IGNORED, 0, 0, 1, IGNORED] and set(batch["slots"][0].tolist()[5:]) == {IGNORED}
    assert (batch["slots"][1] == 0).sum() == 8
    assert set(batch["slots"][2].tolist()) == {IGNORED}
    assert [[task.count_targets(ids[task.name]) for ids in labels] for task in (INTENT, SLOTS)] == [[1, 0, 1], [3, 8, 0]]
    assert ready(tiny, [Row("Fly", {})])[1] == [{"intent": IGNORED, "slots": [IGNORED] * 3}]


def test_only_the_labels_of_the_tasks_asked_for_are_in_the_batch(tiny):
    encodings, labels = ready(tiny)
    assert list(collate(encodings, 0, labels, [SLOTS])["labels"]) == ["slots"]
    assert collate(encodings, 0)["labels"] == {}


def test_a_long_text_is_cut_and_keeps_its_last_special_token(tiny):
    [encoding] = encode(tiny[1], ["Rome " * 50], 10)
    assert len(encoding.ids) == 10 and encoding.ids[-1] == tiny[1].sep_token_id
    assert encoding.firsts == [*range(1, 9), *[-1] * 42]
    assert encode(tiny[1], [], 10) == []


def test_batches_by_length_hold_every_text_once_longest_first():
    batches = by_length(lengths := [3, 9, 1, 4, 4, 8, 2], 3)
    assert sorted(sum(batches, [])) == list(range(7)) and [len(batch) for batch in batches] == [3, 3, 1]
    assert [lengths[index] for batch in batches for index in batch] == sorted(lengths, reverse=True)
