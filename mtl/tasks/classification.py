"""Classification: one label per text."""

from collections import Counter
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from mtl.data.rows import Value
from mtl.tasks.base import IGNORED, Classified, Encoding, Prediction, Task


class Classification(Task):
    """A softmax over the labels, on the sentence vector."""

    reads = "sentence"
    main_score = "accuracy"

    @property
    def outputs(self) -> int:
        return len(self.spec.labels)

    def label_ids(self, value: Value, encoding: Encoding) -> int:
        return self.spec.labels.index(value) if value in self.spec.labels else IGNORED

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """logits (B, labels), labels (B) -> scalar."""
        return F.cross_entropy(logits.float(), labels, reduction="sum", ignore_index=IGNORED)

    def decode(self, logits: Tensor, encodings: Sequence[Encoding]) -> list[Prediction]:
        values, indices = logits.float().softmax(-1).sort(descending=True)
        labels = self.spec.labels
        return [Classified({labels[index]: value for value, index in zip(*row, strict=True)})
                for row in zip(values.tolist(), indices.tolist(), strict=True)]

    def score(self, golds: Sequence[Value], predictions: Sequence[Prediction], encodings: Sequence[Encoding]) -> dict[str, float]:
        pairs = [(gold, made.label) for gold, made in zip(golds, predictions, strict=True) if gold is not None]
        if not pairs:
            return {}
        right = Counter(gold for gold, made in pairs if gold == made)
        of_gold, of_made = Counter(gold for gold, _ in pairs), Counter(made for _, made in pairs)
        seen = of_gold.keys() | of_made.keys()
        # F1 = 2 TP / (2 TP + FP + FN), whose denominator is the label's count in gold plus in predictions
        f1 = [2 * right[label] / (of_gold[label] + of_made[label]) for label in seen]
        return {"accuracy": right.total() / len(pairs), "macro_f1": sum(f1) / len(f1)}

    def is_right(self, gold: Value, prediction: Prediction) -> bool:
        return prediction.label == gold

    def tally(self, gold: Value, prediction: Prediction) -> tuple[int, int]:
        return int(self.is_right(gold, prediction)), 2
