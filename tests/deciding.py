"""Made-up rows in which single words decide, so that it is known which words a model that has learned them must go by."""

import random

from mtl.data.words import Span

FILLERS = ("we", "saw", "that", "then", "again", "quite", "often", "there")
NAMES = ("Kim", "Lee", "Mori")
MOODS, TOPICS, STARS = ("calm", "loud"), ("goal", "bank"), ("one", "two", "three", "four", "five")
TYPES = {"doctor": "PER", "city": "LOC"}


def deciding_rows(count: int, seed: int = 0) -> list[dict]:
    """calm or loud decides the mood, which else is PLAIN; goal and bank the topics, one to five the stars; doctor or city whether the name
    is an entity, and of which type."""
    draws, rows = random.Random(seed), []
    for index in range(count):
        mood, kind = [*MOODS, ""][index % 3], [*TYPES, ""][index // 3 % 3]
        name, stars, topics = draws.choice(NAMES), draws.randrange(5), [topic for topic in TOPICS if draws.random() < 0.5]
        words = [*filter(None, (mood, kind)), name, *topics, STARS[stars], *draws.sample(FILLERS, 2)]
        draws.shuffle(words)
        start = (text := " ".join(words)).index(name)
        rows.append({"text": text, "mood": mood.upper() or "PLAIN", "topics": topics, "stars": stars + 1.0,
                     "names": (Span(start, start + len(name), TYPES[kind]),) if kind else ()})
    return rows
