"""Tagging: one BIO tag per word, read back as character spans (NER, slots). What a word is, which is its first subword and how BIO tags are
read is in data/words.py, which the file readers and the report use too."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from mtl.data.values import Spans
from mtl.data.words import Span, spans_to_tags, tags_to_spans
from mtl.settings.config import TaskSpec
from mtl.tasks.base import IGNORED, Drawing, Encoding, Prediction, Task, log_odds
from mtl.tasks.calibration import UNCALIBRATED

NEAREST = 1e-7  # to 0 or 1: a word's probability cannot be told more exactly in 32 bits


@dataclass(frozen=True, slots=True)
class Tagged(Prediction):
    """The predicted entities, in order and without overlap, each with its probability."""

    spans: tuple[Span, ...]
    confidences: tuple[float, ...]

    @property
    def value(self) -> Spans:
        return Spans(self.spans)

    def plain(self, text: str) -> list[dict[str, Any]]:
        """The entities as in our own data files, each with its text and probability."""
        return [entity | {"text": text[span.start:span.end], "probability": round(probability, 4)}
                for entity, span, probability in zip(self.value.plain(), self.spans, self.confidences, strict=True)]

    def drawing(self, text: str) -> Drawing:
        return Drawing(pieces=self.value.pieces(text))

    def questions(self) -> list[Spans]:
        return [Spans([span]) for span in self.spans]


class Tagging(Task):
    """A softmax over O, B-x and I-x on every token. Only a word's first subword is labelled, and it alone decides the word's tag."""

    reads = "tokens"
    main_score = "f1"
    judges_items = True  # an entity is right as a whole or wrong, and that is what its probability is about

    def __init__(self, spec: TaskSpec) -> None:
        super().__init__(spec)
        # `decode` relies on this order: O, then all B-, then all I-, each in the order of the labels
        self.tags = ["O", *(f"B-{label}" for label in spec.labels), *(f"I-{label}" for label in spec.labels)]
        self._ids = {tag: index for index, tag in enumerate(self.tags)}
        self.outputs = len(self.tags)

    def label_ids(self, value: Spans | None, encoding: Encoding) -> list[int]:
        ids = [IGNORED] * len(encoding.ids)
        if value is not None:
            begins = False  # if the tokenizer drops an entity's first word, the entity begins with the next one
            for first, tag in zip(encoding.firsts, spans_to_tags(encoding.words, value), strict=True):
                begins = tag[0] == "B" or (begins and tag[0] == "I")
                if first >= 0:
                    ids[first] = self._ids.get("B" + tag[1:] if begins else tag, IGNORED)
                    begins = False
        return ids

    def count_targets(self, ids: list[int]) -> int:
        return len(ids) - ids.count(IGNORED)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """logits (B, T, tags), labels (B, T) -> scalar."""
        return nn.functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction="sum", ignore_index=IGNORED)

    def decode(self, logits: Tensor, encodings: Sequence[Encoding]) -> list[Tagged]:
        """The most probable legal tags of each text. A span's probability is the geometric mean of its words', calibrated on entities."""
        kept = [[first for first in encoding.firsts if first >= 0] for encoding in encodings]
        longest = max(map(len, kept), default=0)
        index = torch.tensor([firsts + [0] * (longest - len(firsts)) for firsts in kept], dtype=torch.long, device=logits.device)
        rows = torch.arange(len(kept), device=logits.device)[:, None]
        log_probs = logits[rows, index].float().log_softmax(-1).cpu()  # (B, W, tags): the words that have a subword, padded
        lengths = torch.tensor([len(firsts) for firsts in kept])
        paths = log_probs.argmax(-1)
        illegal = _are_illegal(paths, lengths, len(self.spec.labels))
        if illegal.any():  # elsewhere the most probable tags are the best path already
            paths[illegal] = _best_paths(log_probs[illegal], lengths[illegal], len(self.spec.labels))
        chosen = log_probs.gather(2, paths[..., None]).squeeze(2).tolist()
        return self.rescaled(list(map(self._spans, encodings, paths.tolist(), chosen)), UNCALIBRATED, self.calibration)

    def _spans(self, encoding: Encoding, path: list[int], log_probs: list[float]) -> Tagged:
        """Words without a subword have no tag. They do not break an entity that goes on after them."""
        words = [word for word, first in zip(encoding.words, encoding.firsts, strict=True) if first >= 0]
        spans = tags_to_spans(words, [self.tags[tag] for tag in path[:len(words)]])
        means = [fmean(one for (start, end), one in zip(words, log_probs, strict=False) if span.start <= start and end <= span.end)
                 for span in spans]
        return Tagged(tuple(spans), tuple(map(math.exp, means)))

    def evidence(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean, over all words of the value's entities, of the log-odds of their tags; NaN if no such word was read."""
        places = (labels[0] > 0).nonzero().flatten()
        return log_odds(logits[:, places], labels[:, places]).mean(1)

    def join(self, made: Sequence[Tagged], starts: Sequence[int], shares: Sequence[float]) -> Tagged:
        spans = [Span(start + span.start, start + span.end, span.label)
                 for one, start in zip(made, starts, strict=True) for span in one.spans]
        return Tagged(tuple(spans), tuple(sure for one in made for sure in one.confidences))

    def logits_of(self, predictions: Sequence[Tagged]) -> Tensor:
        return torch.tensor([one for made in predictions for one in made.confidences], dtype=torch.float64).logit(NEAREST)

    def with_logits(self, logits: Tensor, predictions: Sequence[Tagged]) -> list[Tagged]:
        probabilities = iter(logits.sigmoid().tolist())
        return [Tagged(made.spans, tuple(islice(probabilities, len(made.spans)))) for made in predictions]

    def score(self, golds: Sequence[Spans | None], predictions: Sequence[Tagged], encodings: Sequence[Encoding]) -> dict[str, float]:
        """Precision, recall and F1 of entities, which are right if span and label are (equal to seqeval's strict IOB2 and to conlleval on
        legal tags), and the accuracy of the words' tags. Words that were cut off count as O, so their entities are missed."""
        true = found = hit = words = right = 0
        for gold, made, encoding in zip(golds, predictions, encodings, strict=True):
            if gold is not None:
                true, found, hit = true + len(gold), found + len(made.spans), hit + len(set(gold) & set(made.spans))
                tags, guessed = spans_to_tags(encoding.words, gold), spans_to_tags(encoding.words, made.spans)
                words, right = words + len(tags), right + sum(map(str.__eq__, tags, guessed))
        if not words:
            return {}
        return {"f1": 2 * hit / (true + found) if true + found else 0.0, "precision": hit / found if found else 0.0,
                "recall": hit / true if true else 0.0, "accuracy": right / words}


def _are_illegal(paths: Tensor, lengths: Tensor, labels: int) -> Tensor:
    """Which texts (B) have an I-x that does not follow B-x or I-x. Of the tag ids (B, W) the first `lengths` (B) count."""
    before = nn.functional.pad(paths, (1, 0))[:, :-1]  # as if O stood before the first word
    wrong = (paths > labels) & (before != paths) & (before != paths - labels)
    return (wrong & (torch.arange(paths.shape[1]) < lengths[:, None])).any(1)


def _best_paths(log_probs: Tensor, lengths: Tensor, labels: int) -> Tensor:
    """Viterbi (1967) over legal BIO sequences, in which I-x may follow only B-x or I-x: log_probs (B, W, 1 + 2 labels), lengths (B) -> tag
    ids (B, W). O and B- may follow anything, so they share one best predecessor, and each I- has two candidates: a step costs O(tags)."""
    batch, longest, _ = log_probs.shape
    paths = torch.zeros(batch, longest, dtype=torch.long)
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
        # padded steps were never taken: keep the tag until the last real word is reached
        now = torch.where(running[step], came_from[torch.arange(batch), step, now], now)
    return paths
