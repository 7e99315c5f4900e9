"""Multi-label classification: any number of labels per text, each decided independently with its own threshold."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mtl.data.values import Labels
from mtl.settings.config import TaskSpec
from mtl.tasks.base import IGNORED, Drawing, Encoding, Prediction, Task, averaged, ranked, rounded

DEFAULT_THRESHOLD = 0.5
FEW_ROWS = 5  # a label on fewer validation rows keeps the default threshold
ROUNDS = 50  # limit on the iterations of `best_thresholds`; a few are usual


@dataclass(frozen=True, slots=True)
class Chosen(Prediction):
    """The probability of each label, most probable first, and the `labels` that reach their thresholds."""

    probabilities: dict[str, float]
    labels: tuple[str, ...]

    @property
    def value(self) -> Labels:
        return Labels(self.labels)

    def plain(self, text: str) -> dict[str, Any]:
        """The predicted labels, and the probability of every label."""
        return {"labels": self.value.plain(), "probabilities": rounded(self.probabilities)}

    def drawing(self, text: str) -> Drawing:
        return Drawing(probabilities=self.probabilities, answer=", ".join(self.labels) or "no label")

    def questions(self) -> list[Labels]:
        return [Labels([label]) for label in sorted(self.probabilities, key=lambda label: label not in self.labels)]

    @property
    def confidences(self) -> Sequence[float]:
        return [self.probabilities[label] for label in self.value]


class MultiLabel(Task):
    """A sigmoid per label, on the sentence vector."""

    reads = "sentence"
    main_score = "micro_f1"

    def __init__(self, spec: TaskSpec) -> None:
        super().__init__(spec)
        self.thresholds = (DEFAULT_THRESHOLD,) * len(spec.labels)

    def label_ids(self, value: Labels | None, encoding: Encoding) -> list[int]:
        """1 for each label of the text, 0 for the others."""
        return [IGNORED] * self.outputs if value is None else [int(label in value) for label in self.spec.labels]

    def count_targets(self, ids: list[int]) -> int:
        """1 for a labelled row: the loss is a mean over rows, as a cross-entropy is, and does not shrink with the number of labels."""
        return int(ids[0] != IGNORED)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """logits (B, labels), labels (B, labels) -> scalar: binary cross-entropy, summed over rows and labels."""
        counts = (labels != IGNORED).float()
        return nn.functional.binary_cross_entropy_with_logits(logits.float(), labels.clamp(min=0).float(), weight=counts, reduction="sum")

    def decode(self, logits: Tensor, encodings: Sequence[Encoding]) -> list[Chosen]:
        scaled = logits.double() / self.calibration.temperature  # in 32 bits a probability near 1 would not tell its logit
        return [self._choose(one) for one in ranked(self.spec.labels, scaled.sigmoid())]

    def evidence(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The sum of the log-odds of all labels of the value."""
        return (logits / self.calibration.temperature * labels).sum(-1)

    def join(self, made: Sequence[Chosen], starts: Sequence[int], shares: Sequence[float]) -> Chosen:
        return self._choose(averaged([one.probabilities for one in made], shares))

    def logits_of(self, predictions: Sequence[Chosen]) -> Tensor:
        rows = [[made.probabilities[label] for label in self.spec.labels] for made in predictions]
        return torch.tensor(rows, dtype=torch.float64).view(-1, self.outputs).logit(1e-15)

    def with_logits(self, logits: Tensor, predictions: Sequence[Chosen]) -> list[Chosen]:
        return [Chosen(one, made.labels) for one, made in zip(ranked(self.spec.labels, logits.sigmoid()), predictions, strict=True)]

    def _choose(self, probabilities: dict[str, float]) -> Chosen:
        needed = dict(zip(self.spec.labels, self.thresholds, strict=True))
        return Chosen(probabilities, tuple(label for label, value in probabilities.items() if value >= needed[label]))

    def tune(self, golds: Sequence[Labels | None], predictions: Sequence[Chosen]) -> list[Chosen]:
        """Then choose the thresholds with the best micro-F1 on these rows."""
        predictions = super().tune(golds, predictions)
        if pairs := [(gold, made) for gold, made in zip(golds, predictions, strict=True) if gold is not None]:
            probabilities = np.array([[made.probabilities[label] for label in self.spec.labels] for _, made in pairs])
            has_label = np.array([[label in gold for label in self.spec.labels] for gold, _ in pairs])
            unknown = sum(label not in self.spec.labels for gold, _ in pairs for label in gold)
            self.thresholds = best_thresholds(probabilities, has_label, unknown)
        return [self._choose(made.probabilities) for made in predictions]

    def score(self, golds: Sequence[Labels | None], predictions: Sequence[Chosen], encodings: Sequence[Encoding]) -> dict[str, float]:
        """Micro-F1 over all labels of all texts, macro-F1 (the mean over labels), and the share of texts whose labels are all right."""
        if not (pairs := [(set(gold), set(made.labels)) for gold, made in zip(golds, predictions, strict=True) if gold is not None]):
            return {}
        hits = Counter(label for gold, made in pairs for label in gold & made)
        items = Counter(label for pair in pairs for labels in pair for label in labels)
        f1 = [2 * hits[label] / count for label, count in items.items()]
        return {"micro_f1": 2 * hits.total() / items.total() if items else 0.0, "macro_f1": sum(f1) / len(f1) if f1 else 0.0,
                "exact_match": sum(gold == made for gold, made in pairs) / len(pairs)}


def best_thresholds(probabilities: np.ndarray, has_label: np.ndarray, unknown: int = 0) -> tuple[float, ...]:
    """The threshold of each label that maximises micro-F1, from `probabilities` and gold `has_label` (rows, labels). Gold has `unknown`
    further labels that no threshold can find. A label of fewer than FEW_ROWS rows keeps DEFAULT_THRESHOLD."""
    # Micro-F1 F = 2 hits / (gold + predicted) is largest where each label by itself maximises 2 hits - F predicted. As F depends on the
    # thresholds, the two are found in turn (Dinkelbach, 1967), and F only rises. Ties go to the threshold nearest to the default.
    rows, labels = probabilities.shape
    order = np.argsort(-probabilities, axis=0, kind="stable")
    ranked = np.take_along_axis(probabilities, order, 0)
    hits = np.vstack([np.zeros(labels, int), np.take_along_axis(has_label, order, 0).cumsum(0)])  # (rows + 1, labels): of the first k
    edges = np.vstack([np.ones(labels), ranked, np.zeros(labels)])  # the first k are predicted with a threshold in edges[k + 1] to [k]
    low, high = edges[1:], edges[:-1]
    cuts = np.where((low < DEFAULT_THRESHOLD) & (high >= DEFAULT_THRESHOLD), DEFAULT_THRESHOLD, (low + high) / 2)
    allowed = (low < high) & ((has_label.sum(0) >= FEW_ROWS) | (cuts == DEFAULT_THRESHOLD))  # no threshold divides equal probabilities
    predicted, gold, f1, best = np.arange(rows + 1)[:, None], has_label.sum() + unknown, 0.0, None
    for _ in range(ROUNDS):
        gain = np.where(allowed, 2 * hits - f1 * predicted, -np.inf)
        top = np.isclose(gain, gain.max(0), rtol=0, atol=1e-9)
        now = np.where(top, np.abs(cuts - DEFAULT_THRESHOLD), np.inf).argmin(0)  # (labels): how many are predicted
        if np.array_equal(now, best):
            break
        best, items = now, gold + now.sum()
        f1 = 2 * hits[now, np.arange(labels)].sum() / items if items else 0.0
    return tuple(float(cut) for cut in cuts[best, np.arange(labels)])
