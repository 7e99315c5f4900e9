"""Which texts to label next: those of which a model is least sure, each once. Knows no files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mtl.errors import MtlError
from mtl.inference.predictor import Predicted
from mtl.tasks.base import Prediction

SHOWN = 30
_NUMBERS, _MARKS = re.compile(r"\d+"), re.compile(r"[^\w\s]")


@dataclass(frozen=True)
class Doubtful:
    """A text and its `doubt`, between 0 and 1: 1 minus the margin of the answer over the next likely one, for the task that is least sure;
    `task`, and `why` in words."""

    text: str
    doubt: float
    task: str
    why: str


def most_doubtful(made: Iterable[Predicted], most: int = SHOWN) -> list[Doubtful]:
    """The texts with the largest doubt, the largest first; of texts that differ only in case, marks, blanks and numbers, one. Probabilities
    are calibrated, so tasks can be compared. Raises MtlError if no task has any, as with numbers alone."""
    found: dict[str, Doubtful] = {}
    answers = list(made)
    for one in answers:
        doubts = [Doubtful(one.text, *doubt[:1], task, doubt[1]) for task, answer in one.predictions.items()
                  if (doubt := _doubt(answer, one.text))]
        if doubts:
            found.setdefault(_key(one.text), max(doubts, key=lambda doubtful: doubtful.doubt))
    if answers and not found:
        raise MtlError("This model gives no probabilities for these texts, so it cannot be said which of them it is unsure of.")
    return sorted(found.values(), key=lambda doubtful: -doubtful.doubt)[:most]


def _doubt(answer: Prediction, text: str) -> tuple[float, str] | None:
    """How unsure an answer is and why, None if nothing is said of that: of classes, the margin between the first two; of several labels,
    that of the label which is nearest to a coin's toss; of entities, that of the least sure one, as if the rest were the other answer."""
    drawing = answer.drawing(text)
    shares = list(drawing.probabilities.items())
    if shares and not drawing.answer and len(shares) > 1:
        (first, likely), (second, next_likely) = shares[:2]
        return 1 - (likely - next_likely), f"{first} {100 * likely:.0f} %, {second} {100 * next_likely:.0f} %"
    sure = shares or list(zip(answer.value.named(text), answer.confidences, strict=False))
    if not sure:
        return None
    name, share = min(sure, key=lambda pair: abs(pair[1] - 0.5) if shares else pair[1])
    return min(1.0, 1 - abs(2 * share - 1) if shares else 2 * (1 - share)), f"{name} {100 * share:.0f} %"


def _key(text: str) -> str:
    return " ".join(_MARKS.sub(" ", _NUMBERS.sub("0", text.casefold())).split())
