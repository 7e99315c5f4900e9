"""Tagging: one BIO tag per word, read back as character spans (NER, slots). From words to subwords, from logits to tags, and from tags
to spans, all on this screen; what a word is and how BIO is read stand in data/words.py, which the file readers share."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mtl.data.values import Spans
from mtl.data.words import Range, Span, spans_to_tags, tags_to_spans
from mtl.settings.config import TaskSpec
from mtl.tasks.base import IGNORED, Drawing, Encoding, Prediction, Task, stack_lists


@dataclass(frozen=True, slots=True)
class Tagged(Prediction):
    """The entities found, in order and without overlap, each with a probability."""

    spans: tuple[Span, ...]
    probabilities: tuple[float, ...]

    @property
    def value(self) -> Spans:
        """The entities."""
        return Spans(self.spans)

    def plain(self, text: str) -> list[dict[str, Any]]:
        """The entities as in our own data files, with their text and probability."""
        return [entity | {"text": text[span.start:span.end], "probability": round(probability, 4)}
                for entity, span, probability in zip(self.value.plain(), self.spans, self.probabilities, strict=True)]

    def drawing(self, text: str) -> Drawing:
        """The text with its entities."""
        return Drawing(pieces=self.value.pieces(text))

    def confidence_beyond(self, gold: Spans) -> float:
        """The largest probability of a wrong entity."""
        known = set(gold)
        return max((one for span, one in zip(self.spans, self.probabilities, strict=True) if span not in known), default=0.0)


def first_subwords(text: str, words: Sequence[Range], offsets: Sequence[Range]) -> list[int]:
    """For each word the position of its first subword among `offsets` (the characters of each subword; (0, 0) for special tokens), or -1.

    A subword belongs to the word in which its first visible character lies: some tokenizers count the blank before a word to it.
    """
    firsts = [-1] * len(words)
    word = 0
    for position, (start, end) in enumerate(offsets):
        while start < end and text[start].isspace():
            start += 1
        while word < len(words) and words[word][1] <= start:
            word += 1
        if start < end and word < len(words) and words[word][0] <= start and firsts[word] < 0:
            firsts[word] = position
    return firsts


class Tagging(Task):
    """A softmax over O, B-x and I-x on every token; only the first subword of a word is labelled, and only it decides the word's tag."""

    reads = "tokens"
    main_score = "f1"

    def __init__(self, spec: TaskSpec) -> None:
        super().__init__(spec)
        # O, then all B-, then all I-, in the order of the labels: decode relies on it
        self.tags = ["O", *(f"B-{label}" for label in spec.labels), *(f"I-{label}" for label in spec.labels)]
        self._ids = {tag: index for index, tag in enumerate(self.tags)}

    @property
    def outputs(self) -> int:
        return len(self.tags)

    def label_ids(self, value: Spans | None, encoding: Encoding) -> list[int]:
        ids = [IGNORED] * len(encoding.ids)
        if value is not None:
            begins = False  # an entity whose first word the tokenizer drops begins with the next one
            for first, tag in zip(encoding.firsts, spans_to_tags(encoding.words, value), strict=True):
                begins = tag[0] == "B" or (begins and tag[0] == "I")
                if first >= 0:
                    ids[first] = self._ids.get("B" + tag[1:] if begins else tag, IGNORED)
                    begins = False
        return ids

    def count_targets(self, ids: list[int]) -> int:
        return len(ids) - ids.count(IGNORED)

    def stack(self, ids: Sequence[list[int]], longest: int) -> Tensor:
        return stack_lists(ids, longest, IGNORED)  # (B, T)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """logits (B, T, tags), labels (B, T) -> scalar."""
        return F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction="sum", ignore_index=IGNORED)

    def decode(self, logits: Tensor, encodings: Sequence[Encoding]) -> list[Tagged]:
        """The most probable legal tag sequence of each text; a span's probability is the least of its words'."""
        kept = [[first for first in encoding.firsts if first >= 0] for encoding in encodings]
        longest = max(map(len, kept), default=0)
        index = torch.tensor([firsts + [0] * (longest - len(firsts)) for firsts in kept], dtype=torch.long, device=logits.device)
        rows = torch.arange(len(kept), device=logits.device)[:, None]
        log_probs = logits[rows, index].float().log_softmax(-1).cpu()  # (B, W, tags): words that have a subword, padded
        lengths = torch.tensor([len(firsts) for firsts in kept])
        paths = log_probs.argmax(-1)
        illegal = _are_illegal(paths, lengths, len(self.spec.labels))
        if illegal.any():  # where the most probable tags are legal, no path is better
            paths[illegal] = _best_paths(log_probs[illegal], lengths[illegal], len(self.spec.labels))
        probabilities = log_probs.exp().gather(2, paths[..., None]).squeeze(2).tolist()
        return [self._spans(encoding, path, sure) for encoding, path, sure in zip(encodings, paths.tolist(), probabilities, strict=True)]

    def _spans(self, encoding: Encoding, path: list[int], probabilities: list[float]) -> Tagged:
        """Words without a subword are O, except inside an entity, which they do not break."""
        decided = iter(range(len(path)))
        order = [next(decided) if first >= 0 else -1 for first in encoding.firsts]
        words = [(*word, place) for word, place in zip(encoding.words, order, strict=True) if place >= 0]
        spans = tags_to_spans([word[:2] for word in words], [self.tags[path[place]] for *_, place in words])
        sure = [min(probabilities[place] for start, end, place in words if span.start <= start and end <= span.end) for span in spans]
        return Tagged(tuple(spans), tuple(sure))

    def score(self, golds: Sequence[Spans | None], predictions: Sequence[Tagged], encodings: Sequence[Encoding]) -> dict[str, float]:
        """Entity precision, recall and F1 over exact spans with their labels, which is seqeval's strict IOB2 and conlleval on legal tags;
        word accuracy counts the words of which the tag is right. Words cut off count as O, so their entities are missed."""
        true = found = hit = words = right = 0
        for gold, made, encoding in zip(golds, predictions, encodings, strict=True):
            if gold is None:
                continue
            true, found, hit = true + len(gold), found + len(made.spans), hit + len(set(gold) & set(made.spans))
            tags, guessed = spans_to_tags(encoding.words, gold), spans_to_tags(encoding.words, made.spans)
            words, right = words + len(tags), right + sum(map(str.__eq__, tags, guessed))
        if not words:
            return {}
        return {"f1": 2 * hit / (true + found) if true + found else 0.0, "precision": hit / found if found else 0.0,
                "recall": hit / true if true else 0.0, "accuracy": right / words}

    def errors(self, pairs: Sequence[tuple[Spans, Tagged]]) -> dict[str, Any]:
        """Every entity of gold and every one predicted, counted in one of SORTS; see `sort_errors`."""
        counts = Counter(sort for gold, made in pairs for sort in sort_errors(gold, made.spans))
        return {"errors": {sort: counts[sort] for sort in SORTS}}


SORTS = ("right", "wrong_type", "wrong_boundary", "wrong_both", "missed", "invented")


def sort_errors(gold: Sequence[Span], made: Sequence[Span]) -> Iterator[str]:
    """The sorts, among SORTS, of the entities of one row.

    Gold and predicted entities are paired, each with at most one: first those on the same characters (right, or else of the wrong type),
    then those that overlap and have the same label (wrong boundary), then those that merely overlap (wrong both). Gold entities left over
    are missed, predicted ones left over are invented; nearly always they overlap nothing, but where one long prediction covers two gold
    entities, one of these is missed. So the numbers add up: `right` to `wrong_both` plus `missed` are the gold entities, plus `invented`
    the predicted ones.
    """
    golds, guesses = list(gold), list(made)
    for sort, fits in _FITS.items():
        for span in tuple(golds):
            partner = next((guess for guess in guesses if fits(span, guess)), None)
            if partner is not None:
                golds.remove(span)
                guesses.remove(partner)
                yield sort
    yield from ["missed"] * len(golds) + ["invented"] * len(guesses)


def _overlap(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end


# in this order: a pair that fits better is not torn apart for one that fits less
_FITS: dict[str, Callable[[Span, Span], bool]] = {
    "right": lambda gold, made: gold == made,
    "wrong_type": lambda gold, made: (gold.start, gold.end) == (made.start, made.end),
    "wrong_boundary": lambda gold, made: _overlap(gold, made) and gold.label == made.label,
    "wrong_both": _overlap,
}


def _are_illegal(paths: Tensor, lengths: Tensor, labels: int) -> Tensor:
    """Which (B) of the tag ids (B, W), of which `lengths` (B) count, have an I-x after something else than B-x or I-x."""
    before = F.pad(paths, (1, 0))[:, :-1]  # O stands before the first word
    wrong = (paths > labels) & (before != paths) & (before != paths - labels)
    return (wrong & (torch.arange(paths.shape[1]) < lengths[:, None])).any(1)


def _best_paths(log_probs: Tensor, lengths: Tensor, labels: int) -> Tensor:
    """Viterbi (1967) over legal BIO sequences: I-x may follow only B-x or I-x.

    log_probs (B, W, 1 + 2 labels), lengths (B) -> tag ids (B, W). O and B- may follow anything, so their best predecessor is the
    same for all; each I- has two candidates: a step costs O(tags), not O(tags squared).
    """
    batch, longest, _ = log_probs.shape
    paths = torch.zeros(batch, longest, dtype=torch.long)
    if not longest:
        return paths
    inside = torch.arange(labels) + 1 + labels  # ids of I-; those of B- are `inside - labels`
    best = log_probs[:, 0].clone()
    best[:, inside] = -torch.inf
    came_from = torch.zeros_like(log_probs, dtype=torch.long)
    running = torch.arange(longest)[:, None] < lengths  # (W, B): a padded step copies the state
    for step in range(1, longest):
        top, top_id = best.max(-1, keepdim=True)
        begun, continued = best[:, inside - labels], best[:, inside]
        scores = top + log_probs[:, step]
        scores[:, inside] = torch.maximum(begun, continued) + log_probs[:, step, inside]
        came_from[:, step] = top_id
        came_from[:, step, inside] = torch.where(begun >= continued, inside - labels, inside)
        best = torch.where(running[step][:, None], scores, best)
    now = best.argmax(-1)
    for step in range(longest - 1, -1, -1):
        paths[:, step] = now
        # a padded step was never taken: stay on the tag until the sequence's last real word is reached
        now = torch.where(running[step], came_from[torch.arange(batch), step, now], now)
    return paths
