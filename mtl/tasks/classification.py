"""Classification: one label per text."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mtl.data.values import Label
from mtl.tasks.base import IGNORED, Drawing, Encoding, Prediction, Task, averaged, log_odds, ranked, rounded


@dataclass(frozen=True, slots=True)
class Classified(Prediction):
    """The probability of each label, most probable first."""

    probabilities: dict[str, float]

    @property
    def label(self) -> str:
        """The most probable label."""
        return next(iter(self.probabilities))

    @property
    def value(self) -> Label:
        return Label(self.label)

    def plain(self, text: str) -> dict[str, Any]:
        """The label, and the probability of each."""
        return {"label": self.label, "probabilities": rounded(self.probabilities)}

    def drawing(self, text: str) -> Drawing:
        return Drawing(probabilities=self.probabilities)

    def questions(self) -> list[Label]:
        return list(map(Label, self.probabilities))

    @property
    def confidences(self) -> Sequence[float]:
        return (self.probabilities[self.label],)


class Classification(Task):
    """A softmax over the labels, on the sentence vector."""

    reads = "sentence"
    main_score = "accuracy"
    has_one_id = True

    def label_ids(self, value: Label | None, encoding: Encoding) -> int:
        return self.spec.labels.index(value) if value in self.spec.labels else IGNORED

    def count_targets(self, ids: int) -> int:
        return int(ids != IGNORED)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """logits (B, labels), labels (B) -> scalar."""
        return nn.functional.cross_entropy(logits.float(), labels, reduction="sum", ignore_index=IGNORED)

    def decode(self, logits: Tensor, encodings: Sequence[Encoding]) -> list[Classified]:
        return self.with_logits(logits.float() / self.calibration.temperature)

    def evidence(self, logits: Tensor, labels: Tensor) -> Tensor:
        return log_odds(logits / self.calibration.temperature, labels)

    def join(self, made: Sequence[Classified], starts: Sequence[int], shares: Sequence[float]) -> Classified:
        return Classified(averaged([one.probabilities for one in made], shares))

    def logits_of(self, predictions: Sequence[Classified]) -> Tensor:
        rows = [[made.probabilities[label] for label in self.spec.labels] for made in predictions]
        return torch.tensor(rows, dtype=torch.float64).view(-1, self.outputs).clamp(min=1e-37).log()  # up to a constant

    def with_logits(self, logits: Tensor, predictions: Sequence[Classified] = ()) -> list[Classified]:
        return [Classified(probabilities) for probabilities in ranked(self.spec.labels, logits.softmax(-1))]

    def score(self, golds: Sequence[Label | None], predictions: Sequence[Classified], encodings: Sequence[Encoding]) -> dict[str, float]:
        if not (pairs := [(gold, made.label) for gold, made in zip(golds, predictions, strict=True) if gold is not None]):
            return {}
        right = Counter(gold for gold, made in pairs if gold == made)
        # F1 = 2 TP / (2 TP + FP + FN), whose denominator is the label's count in gold plus its count in the predictions
        f1 = [2 * right[label] / count for label, count in Counter(label for pair in pairs for label in pair).items()]
        return {"accuracy": right.total() / len(pairs), "macro_f1": sum(f1) / len(f1)}
