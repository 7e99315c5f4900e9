"""A hypothetical data set to practise on: English sentences made from a seed and hypothetical.json. Scores mean nothing for real text."""

import json
import re
from pathlib import Path
from random import Random
from typing import Literal

from mtl.data.rows import Row, Table
from mtl.data.values import Label, Spans, Value
from mtl.data.words import Span, find_words
from mtl.settings.config import TaskSpec

TASKS = (TaskSpec(name="class", kind="classification"), TaskSpec(name="sentiment", kind="classification"),
         TaskSpec(name="entities", kind="tagging"))
ENTITY_LABELS = ("PER", "LOC", "ORG")

_WORDS = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
# The class follows from the nouns and the sentiment from the tones; no noun or tone belongs to two labels. Some names are of persons, of
# places and of organisations: their type follows from the words around them only.
NOUNS: dict[str, list[str]] = _WORDS["nouns"]
TONES: dict[str, list[str]] = _WORDS["tones"]


def make_rows(count: int, seed: int, labels: Literal["learnable", "random"]) -> Table:
    """`count` sentences with three tasks; the same for the same seed, on every machine. 'learnable': the labels follow from the sentence.
    'random': the same sentences, but labels and entities are drawn independently of the words, so that no model can beat chance."""
    words, draws = Random(f"sentences {seed}"), Random(f"labels {seed}")
    rows = [_make_row(words) for _ in range(count)]
    return Table([Row(row.text, _random_values(draws, row.text)) for row in rows] if labels == "random" else rows, list(TASKS))


def _make_row(draws: Random) -> Row:
    topic, tone = draws.choice(tuple(NOUNS)), draws.choice(tuple(TONES))
    parts, pattern = _WORDS["parts"] | {"tone": TONES[tone], "noun": NOUNS[topic]}, draws.choice(_WORDS["orders"])
    while found := re.search(r"\{([a-z_]+)\}", pattern):  # until only the {SLOTS} of entities are left
        pattern = pattern[:found.start()] + draws.choice(parts[found[1]]) + pattern[found.end():]
    text, entities = "", []
    for piece in re.split(r"(\{[A-Z]+\})", pattern):
        label = piece.strip("{}")
        if label in ENTITY_LABELS:
            piece = _make_name(draws, label)
            entities.append(Span(len(text), len(text) + len(piece), label))
        text += piece
    return Row(text[0].upper() + text[1:], {"class": Label(topic), "sentiment": Label(tone), "entities": Spans(entities)})


def _make_name(draws: Random, label: str) -> str:
    if label == "PER":
        return draws.choice(_WORDS["first"]) + (f" {draws.choice(_WORDS['last'])}" if draws.random() < 0.5 else "")
    if label == "LOC":
        return draws.choice(_WORDS["places"])
    if draws.random() < 0.3:
        return draws.choice(_WORDS["brands"])
    return f"{draws.choice(_WORDS['places'] + _WORDS['last'])} {draws.choice(_WORDS['suffixes'])}"


def _random_values(draws: Random, text: str) -> dict[str, Value]:
    """Values that depend on nothing in `text` but its number of words."""
    words = find_words(text)
    starts = sorted(draws.sample(range(len(words)), min(draws.randrange(4), len(words))))
    entities = []
    for index, after in zip(starts, [*starts, len(words)][1:], strict=True):
        last = min(index + draws.randrange(2), after - 1)
        entities.append(Span(words[index][0], words[last][1], draws.choice(ENTITY_LABELS)))
    return {"class": Label(draws.choice(tuple(NOUNS))), "sentiment": Label(draws.choice(tuple(TONES))), "entities": Spans(entities)}
