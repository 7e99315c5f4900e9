"""Number: a number per text, such as stars from 1 to 5. What is learned is how many standard deviations it is from the mean."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mtl.data.values import SAME, Number
from mtl.settings.config import Scale, TaskSpec
from mtl.tasks.base import IGNORED, Drawing, Encoding, Prediction, Task
from mtl.tasks.calibration import UNCALIBRATED, Calibration

FEW_ROWS, STEEPEST = 20, 10.0  # validation rows, below which no line is fitted; and its largest slope, or the inverse of its smallest


@dataclass(frozen=True, slots=True)
class Measured(Prediction):
    """The predicted number, before it is held between the lowest and the highest of the training rows, and the scale of its task."""

    number: float
    scale: Scale

    @property
    def value(self) -> Number:
        return Number(min(max(self.number, self.scale.low), self.scale.high), self.scale)

    def plain(self, text: str) -> dict[str, float]:
        """The number, with as many decimals as matter."""
        return {"number": float(self.value.named(text)[0])}

    def drawing(self, text: str) -> Drawing:
        return Drawing(answer=self.value.named(text)[0])

    def questions(self) -> list[Number]:
        return [self.value]

    @property
    def confidences(self) -> Sequence[float]:
        return ()


class Regression(Task):
    """One output, on the sentence vector. In logits and label ids, 0 is the mean of the training rows, and 1 a standard deviation more."""

    reads = "sentence"
    main_score = "pearson"
    has_one_id = True
    dtype = torch.float32
    chance = 1.0  # the loss of one who always says the mean

    def __init__(self, spec: TaskSpec) -> None:
        super().__init__(spec)
        self.outputs = 1

    def label_ids(self, value: Number | None, encoding: Encoding) -> float:
        return float(IGNORED) if value is None else (value - self.spec.scale.mean) / self.spec.scale.deviation

    def count_targets(self, ids: float) -> int:
        return int(ids != IGNORED)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """logits (B, 1), labels (B) -> scalar: squared errors, which are comparable to the losses of other tasks as 1 is that of chance."""
        return ((logits[:, 0].float() - labels) ** 2 * (labels != IGNORED)).sum()

    def decode(self, logits: Tensor, encodings: Sequence[Encoding]) -> list[Measured]:
        return self.with_logits(logits[:, 0].double() / self.calibration.temperature + self.calibration.shift)

    def evidence(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The number that is predicted, whatever the labels are."""
        return self.spec.scale.mean + self.spec.scale.deviation * (logits[:, 0] / self.calibration.temperature + self.calibration.shift)

    def logits_of(self, predictions: Sequence[Measured]) -> Tensor:
        return torch.tensor([self.label_ids(made.number, Encoding([], [], [])) for made in predictions], dtype=torch.float64)

    def with_logits(self, logits: Tensor, predictions: Sequence[Measured] = ()) -> list[Measured]:
        return [Measured(self.spec.scale.mean + self.spec.scale.deviation * one, self.spec.scale) for one in logits.tolist()]

    def join(self, made: Sequence[Measured], starts: Sequence[int], shares: Sequence[float]) -> Measured:
        """The mean, weighted by the shares."""
        return Measured(sum(share * one.number for one, share in zip(made, shares, strict=True)), self.spec.scale)

    def tune(self, golds: Sequence[Number | None], predictions: Sequence[Measured]) -> list[Measured]:
        """Choose the rising straight line by which the numbers of these rows follow best from the predicted ones. No correlation changes,
        but a model that is chosen early may have the right order and still say numbers near the mean for all."""
        self.calibration = UNCALIBRATED
        pairs = [(gold, made) for gold, made in zip(golds, predictions, strict=True) if gold is not None]
        if len(pairs) >= FEW_ROWS:
            true = np.array([self.label_ids(gold, Encoding([], [], [])) for gold, _ in pairs])
            logits = self.logits_of([made for _, made in pairs]).numpy()
            if (slope := np.cov(logits, true)[0, 1]) > 0:
                slope = float(np.clip(slope / logits.var(ddof=1), 1 / STEEPEST, STEEPEST))
                self.calibration = Calibration(1 / slope, float(true.mean() - slope * logits.mean()))
        return self.rescaled(predictions, UNCALIBRATED, self.calibration)

    def score(self, golds: Sequence[Number | None], predictions: Sequence[Measured], encodings: Sequence[Encoding]) -> dict[str, float]:
        """The correlations of Pearson and of Spearman, from -1 to 1, which are 0 where they are undefined because all numbers are the same;
        and the mean absolute error, in the units of the data."""
        pairs = np.array([(gold, made.value) for gold, made in zip(golds, predictions, strict=True) if gold is not None]).reshape(-1, 2)
        if not len(pairs):
            return {}
        apart = pairs / self.spec.scale.deviation
        return {"pearson": _correlation(*apart.T), "spearman": _correlation(*map(_ranks, (apart / SAME).round().T)),
                "mean_absolute_error": float(np.abs(pairs[:, 0] - pairs[:, 1]).mean())}

    def hit_counts(self, gold: Number, prediction: Measured) -> tuple[float, float]:
        """The two numbers themselves, since a correlation is not made of hits (see intervals.py): in standard deviations, counted from 1 at
        the lowest of the training rows. So they are never both 0, as where there is no number."""
        low, deviation = self.spec.scale.low, self.spec.scale.deviation
        return (gold - low) / deviation + 1, (prediction.value - low) / deviation + 1


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """That of Pearson; 0 if all numbers on either side are the same."""
    if min(one.std(), other.std()) < SAME:
        return 0.0
    return float(np.clip(np.corrcoef(one, other)[0, 1], -1, 1))


def _ranks(numbers: np.ndarray) -> np.ndarray:
    """The place of each number in their order; equal numbers share the mean of their places."""
    _, places, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]
