"""A hypothetical data set to practise on: English sentences made from a seed, with the class, the sentiment and the entities of each.

Nobody wrote or labelled these sentences, and a score on them says nothing about real text. Knows no file and no model."""

import re
from collections.abc import Sequence
from random import Random
from typing import Literal

from mtl.data.rows import Row, Table
from mtl.data.values import Label, Spans, Value
from mtl.data.words import Span, find_words
from mtl.settings.config import TaskSpec

TASKS = (TaskSpec(name="class", kind="classification"), TaskSpec(name="sentiment", kind="classification"),
         TaskSpec(name="entities", kind="tagging"))
ENTITY_LABELS = ("PER", "LOC", "ORG")

# The class follows from the nouns, the sentiment from the tone; no noun or tone belongs to two labels.
NOUNS = {
    "travel": ("flight", "hotel", "ferry", "train ride", "airport", "road trip", "hostel", "passport queue", "cruise", "guided tour",
               "border stop", "night bus", "luggage", "harbour walk"),
    "food": ("soup", "dinner", "bakery", "menu", "noodles", "breakfast", "dessert", "curry", "cheese plate", "coffee", "pizza",
             "salad bar", "street kitchen", "cooking class"),
    "music": ("concert", "album", "guitar solo", "orchestra", "song", "choir", "playlist", "drummer", "festival stage", "violin", "opera",
              "jazz night", "remix", "vinyl"),
    "work": ("meeting", "deadline", "office", "report", "interview", "spreadsheet", "salary talk", "team call", "contract",
             "project plan", "desk", "workshop", "invoice", "training day"),
}
TONES = {
    "negative": ("awful", "dull", "a letdown", "not great", "far from good", "a mess", "too slow", "disappointing", "hardly worth it",
                 "a waste of time"),
    "neutral": ("as usual", "on the calendar", "about average", "the same as before", "neither good nor bad", "moved to noon",
                "still open", "much like the last one", "ordinary", "nothing new"),
    "positive": ("great", "lovely", "a joy", "not bad at all", "superb", "better than hoped", "worth every minute", "good fun",
                 "delightful", "a success"),
}
# Some first names and surnames are places too, and organisations are named after both: only the words around them tell which it is.
FIRST = ("Anna", "Jordan", "Sydney", "Florence", "Georgia", "Austin", "Chester", "Milan", "Ines", "Tomas", "Priya", "Kofi", "Yuki",
         "Lars", "Amara", "Diego", "Leila", "Marek", "Nadia", "Oscar", "Ruth", "Samir", "Tess", "Viktor")
LAST = ("Lincoln", "Hamilton", "Berg", "Okafor", "Silva", "Novak", "Ford", "Tanaka", "Moreau", "Haddad", "Lind", "Costa", "Walsh",
        "Nguyen", "Wolfe", "Marsh", "Kaplan", "Reyes", "York", "Dale")
PLACES = ("Jordan", "Sydney", "Florence", "Georgia", "Austin", "Chester", "Milan", "Lincoln", "Hamilton", "York", "Lisbon", "Oslo",
          "Accra", "Kyoto", "Lima", "Tallinn", "Porto", "San Remo", "New Haven", "Port Ellen", "Cape Town", "Upper Dale", "Nairobi",
          "Quebec")
SUFFIXES = ("Group", "Airlines", "Records", "Foods", "Partners", "Bank", "Media", "Works")
BRANDS = ("Nordwind", "Acme", "Ford", "Bluebird", "Marsh", "Solaris", "Kaplan", "Zenith")

OPENINGS = ("", "", "", "honestly, ", "last week ", "for once, ", "well, ", "in the end ", "I think ", "as {PER} said, ",
            "back in {LOC}, ", "according to {ORG}, ", "to be fair, ", "yesterday ")
SUBJECTS = ("the {noun}", "the {noun}", "our {noun}", "the new {noun}", "the {noun} and the {noun}", "{PER}'s {noun}", "the long {noun}",
            "that little {noun}")
TAILS = ("", "", "", " in {LOC}", " near {LOC}", " with {PER}", " by {ORG}", " from {ORG}", " between {LOC} and {LOC}",
         " for {PER} and {PER}", " today", " in {LOC} with {PER}", " that {ORG} paid for")
ORDERS = ("{opening}{subject}{tail} was {tone}{end}", "{opening}{subject}{tail} is {tone}{end}", "{tone}: {subject}{tail}{end}",
          "{PER} called {subject}{tail} {tone}{end}", "was {subject}{tail} {tone}? {opening}yes{end}",
          "{tail_first}{subject} was {tone}{end}")
ENDS = (".", ".", "!", "", ", so we told {PER}.", ", and {ORG} knows it.", ", and then we left for {LOC}.", ", or so they say.",
        ", as far as I can tell.")


def make_rows(count: int, seed: int, labels: Literal["learnable", "random"]) -> Table:
    """`count` hypothetical sentences with three tasks; the same for the same seed, on every machine.

    'learnable': the labels follow from the sentence. 'random': the same sentences, but every label and every entity is drawn without
    looking at the words, so that no model can beat chance on sentences it has not seen.
    """
    words, draws = Random(f"sentences {seed}"), Random(f"labels {seed}")
    rows = [_make_row(words) for _ in range(count)]
    if labels == "random":
        rows = [Row(row.text, _random_values(draws, row.text)) for row in rows]
    return Table(rows, list(TASKS))


def _make_row(draws: Random) -> Row:
    topic, tone = draws.choice(tuple(NOUNS)), draws.choice(tuple(TONES))
    parts = {"opening": OPENINGS, "subject": SUBJECTS, "tail": TAILS, "end": ENDS, "tone": TONES[tone], "noun": NOUNS[topic],
             "tail_first": ("in {LOC}, ", "with {PER} around, ", "for {ORG} and {ORG}, ", "at {ORG} in {LOC}, ")}
    text, entities = _fill(draws, _expand(draws, draws.choice(ORDERS), parts))
    return Row(text[0].upper() + text[1:], {"class": Label(topic), "sentiment": Label(tone), "entities": Spans(entities)})


def _expand(draws: Random, pattern: str, parts: dict[str, Sequence[str]]) -> str:
    """`pattern` with a choice for every part in it, until only the slots of entities are left."""
    while found := re.search(r"\{([a-z_]+)\}", pattern):
        pattern = pattern[:found.start()] + draws.choice(parts[found[1]]) + pattern[found.end():]
    return pattern


def _fill(draws: Random, pattern: str) -> tuple[str, tuple[Span, ...]]:
    """`pattern` with a name in every slot, and where the names are."""
    text, entities = "", []
    for piece in re.split(r"(\{[A-Z]+\})", pattern):
        label = piece.strip("{}")
        if label in ENTITY_LABELS:
            piece = _make_name(draws, label)
            entities.append(Span(len(text), len(text) + len(piece), label))
        text += piece
    return text, tuple(entities)


def _make_name(draws: Random, label: str) -> str:
    if label == "PER":
        return draws.choice(FIRST) + (f" {draws.choice(LAST)}" if draws.random() < 0.5 else "")
    if label == "LOC":
        return draws.choice(PLACES)
    return draws.choice(BRANDS) if draws.random() < 0.3 else f"{draws.choice(PLACES + LAST)} {draws.choice(SUFFIXES)}"


def _random_values(draws: Random, text: str) -> dict[str, Value]:
    """Values that have nothing to do with `text` but its number of words."""
    words = find_words(text)
    starts = sorted(draws.sample(range(len(words)), min(draws.randrange(4), len(words))))
    entities = []
    for index, after in zip(starts, [*starts, len(words)][1:], strict=True):
        last = min(index + draws.randrange(2), after - 1)
        entities.append(Span(words[index][0], words[last][1], draws.choice(ENTITY_LABELS)))
    return {"class": Label(draws.choice(tuple(NOUNS))), "sentiment": Label(draws.choice(tuple(TONES))), "entities": Spans(entities)}
