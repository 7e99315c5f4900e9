"""The scoring of the CoNLL shared tasks (Tjong Kim Sang and Buchholz, 2000), which later work on entities is compared by: what the script
conlleval does with one sentence after another, written anew from its description. It reads tags, not spans, and walks through both tag
sequences at once, so that it shares nothing with what it is compared to.

A tag is O, or B or I with a type. A chunk ends between two words if the second begins a new one (B), is outside (O), or has another type;
a chunk starts at a word that has B, or I after O, or I after another type: no I is refused for what stands before it. A chunk is right
if both sequences start it at the same word, end it at the same word, and give it the same type all along.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """Chunks in gold, chunks predicted, chunks that are both."""

    gold: int
    predicted: int
    right: int

    @property
    def scores(self) -> tuple[float, float, float]:
        """Precision, recall and F1; 0 where nothing is divided by nothing."""
        precision = self.right / self.predicted if self.predicted else 0.0
        recall = self.right / self.gold if self.gold else 0.0
        return precision, recall, 2 * precision * recall / (precision + recall) if self.right else 0.0


def split(tag: str) -> tuple[str, str]:
    """'B-PER' -> ('B', 'PER'), 'O' -> ('O', '')."""
    prefix, _, kind = tag.partition("-")
    return prefix, kind


def ends(before: tuple[str, str], now: tuple[str, str]) -> bool:
    """Whether a chunk that `before` is in ends before the word with the tag `now`."""
    return before[0] != "O" and (now[0] in ("B", "O") or before[1] != now[1])


def starts(before: tuple[str, str], now: tuple[str, str]) -> bool:
    """Whether a chunk starts at the word with the tag `now`."""
    return now[0] != "O" and (now[0] == "B" or before[0] == "O" or before[1] != now[1])


def conlleval(sentences: Iterable[tuple[Sequence[str], Sequence[str]]]) -> Counts:
    """Count the chunks of (gold tags, predicted tags) of all sentences."""
    gold = predicted = right = 0
    for golds, guesses in sentences:
        is_same = False  # both are in a chunk that they started together
        true_before = made_before = ("O", "")
        for true, made in [*zip(map(split, golds), map(split, guesses), strict=True), (("O", ""), ("O", ""))]:  # a sentence ends chunks
            true_ends, made_ends = ends(true_before, true), ends(made_before, made)
            true_starts, made_starts = starts(true_before, true), starts(made_before, made)
            if is_same and true_ends and made_ends and true_before[1] == made_before[1]:
                is_same, right = False, right + 1
            elif is_same and (true_ends != made_ends or true[1] != made[1]):
                is_same = False
            if true_starts and made_starts and true[1] == made[1]:
                is_same = True
            gold, predicted = gold + true_starts, predicted + made_starts
            true_before, made_before = true, made
    return Counts(gold, predicted, right)
