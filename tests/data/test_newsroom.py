"""The bundled corpus keeps the promises of its datasheet."""

import json
import re
from collections import Counter, defaultdict
from itertools import chain, combinations
from pathlib import Path

import pytest

from mtl.data.dataset import NEWSROOM, load
from mtl.data.words import Span, find_words, snap_to_words
from mtl.settings.config import make_config

TOPICS = {"world", "politics", "business", "sport", "science", "culture"}
TONES = {"negative", "neutral", "positive"}
TYPES = {"PER", "ORG", "LOC", "MISC"}
# names that are rightly of two types: a club called like its city, a player called like one, a language like its island
TWO_TYPES = {"Paris", "Ostrava", "Opole", "Kaduna", "Ballina", "Castries", "Rapa Nui"}


@pytest.fixture(scope="module")
def splits() -> dict[str, list[dict]]:
    return {split: [json.loads(line) for line in (NEWSROOM / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]
            for split in ("train", "validation", "test")}


@pytest.fixture(scope="module")
def rows(splits) -> list[dict]:
    return list(chain(*splits.values()))


def names(row: dict) -> list[tuple[str, str]]:
    return [(row["text"][span["start"]:span["end"]], span["label"]) for span in row["entities"]]


def shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[index:index + 3]) for index in range(len(words) - 2)}


def test_the_splits_have_the_size_that_the_datasheet_tells(splits):
    sheet = (NEWSROOM / "README.md").read_text(encoding="utf-8")
    for split, rows in splits.items():
        assert f"| `{split}.jsonl` | {len(rows):,} |" in sheet
    assert 1_700 <= len(splits["train"]) <= 1_900 and all(280 <= len(splits[name]) <= 320 for name in ("validation", "test"))


def test_it_loads_without_a_notice_about_anything_mended(splits):
    dataset = load(make_config({"source": "newsroom"}), Path())
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [len(part) for part in splits.values()]
    assert [(task.name, task.kind) for task in dataset.tasks] == [
        ("topic", "classification"), ("sentiment", "classification"), ("entities", "tagging")]
    assert dataset.notices == []


def test_every_row_is_labelled_for_every_task_with_known_labels_on_word_edges(rows):
    for row in rows:
        assert set(row) == {"text", "topic", "sentiment", "entities"}
        assert row["topic"] in TOPICS and row["sentiment"] in TONES
        words, spans = find_words(row["text"]), [Span(**span) for span in row["entities"]]
        assert spans == sorted(spans) and {span.label for span in spans} <= TYPES
        assert all(snap_to_words(words, span) == span for span in spans), row["text"]
        assert all(left.end <= right.start for left, right in zip(spans, spans[1:], strict=False)), row["text"]
        for name, label in names(row):  # without a title or a possessive
            assert not name.endswith(("'s", "\u2019s")), name
            assert label != "PER" or not re.match(r"(Mr|Mrs|Ms|Dr|Prof|President|Minister|Sir|Captain|Judge)\b", name), name


def test_sentences_are_short_and_of_all_lengths(rows):
    lengths = [len(row["text"].split()) for row in rows]
    assert min(lengths) >= 8 and max(lengths) <= 40
    assert sum(length < 12 for length in lengths) > 0.15 * len(rows) and sum(length > 28 for length in lengths) > 0.15 * len(rows)
    entities = [len(row["entities"]) for row in rows]
    assert entities.count(0) > 0.05 * len(rows) and sum(count >= 4 for count in entities) > 0.1 * len(rows)


def test_no_sentence_stands_twice_or_nearly(rows):
    places = defaultdict(list)
    made = [shingles(row["text"]) for row in rows]
    for index, of_row in enumerate(made):
        for shingle in of_row:
            places[shingle].append(index)
    shared = Counter(pair for indices in places.values() for pair in combinations(indices, 2))
    near = [(rows[one]["text"], rows[other]["text"]) for (one, other), count in shared.items()
            if count > 0.35 * min(len(made[one]), len(made[other]))]
    assert near == []


def test_no_opening_is_a_habit(rows):
    openings = Counter(" ".join(re.findall(r"\w+", row["text"].lower())[:3]) for row in rows)
    assert openings.most_common(1)[0][1] <= 0.01 * len(rows)
    first = Counter(re.findall(r"\w+", row["text"].lower())[0] for row in rows)
    assert first.most_common(1)[0][1] <= 0.05 * len(rows)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_topic_and_tone_are_balanced_and_tell_nothing_of_each_other(splits, split):
    cells = Counter((row["topic"], row["sentiment"]) for row in splits[split])
    assert set(cells) == {(topic, tone) for topic in TOPICS for tone in TONES}
    assert max(cells.values()) <= 1.15 * min(cells.values())


def test_names_do_not_give_the_topic_away(splits):
    """The topic that a name had most often in train, asked of the names in test, is hardly better than chance."""
    seen = defaultdict(Counter)
    for row in splits["train"]:
        for name, _ in names(row):
            seen[name][row["topic"]] += 1
    guesses = [(max(seen[name], key=seen[name].get), row["topic"]) for row in splits["test"] for name, _ in names(row) if name in seen]
    assert len(guesses) > 50 and sum(guess == true for guess, true in guesses) / len(guesses) < 0.35


def test_most_entities_of_validation_and_test_were_never_seen_in_train(splits):
    known = {name for row in splits["train"] for name, _ in names(row)}
    for split in ("validation", "test"):
        found = [name for row in splits[split] for name, _ in names(row)]
        assert sum(name not in known for name in found) >= 0.5 * len(found)


def test_a_name_always_has_the_same_type_unless_it_is_listed(rows):
    types = defaultdict(set)
    for name, label in chain.from_iterable(map(names, rows)):
        types[name].add(label)
    assert {name for name, of_name in types.items() if len(of_name) > 1} == TWO_TYPES


def test_a_name_that_is_marked_once_is_marked_wherever_it_stands(rows):
    """But for words that also mean something else, which are common words at the start of a sentence or a clause."""
    known = {name for name, label in chain.from_iterable(map(names, rows)) if " " in name and label != "MISC"}
    pattern = re.compile(r"(?<!\w)(" + "|".join(map(re.escape, sorted(known, key=len, reverse=True))) + r")(?!\w)")
    for row in rows:
        for found in pattern.finditer(row["text"]):
            assert any(span["start"] < found.end() and found.start() < span["end"] for span in row["entities"]), (found[0], row["text"])
