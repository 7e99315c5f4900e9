"""Task: the questions that a kind of task answers. The loop, the batches, the scores and the page use tasks only through them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mtl.data.values import Value
from mtl.data.words import Range
from mtl.settings.config import TaskSpec
from mtl.tasks.calibration import UNCALIBRATED, Calibration, fit

IGNORED = -100  # the label id where there is no label: torch's cross entropy skips it


@dataclass(frozen=True, slots=True)
class Encoding:
    """A tokenised text: subword `ids`, the character ranges of its `words`, and in `firsts` the position of each word's first subword in
    `ids` (-1 if the tokenizer dropped the word, or truncation cut it off)."""

    ids: list[int]
    words: Sequence[Range]
    firsts: list[int]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A prediction for the page: either the text in `pieces`, each with a label or None, or the `probabilities` of the labels. `answer` is
    the prediction in words, for kinds where it is not simply the most probable label."""

    pieces: list[tuple[str, str | None]] | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    answer: str = ""


class Prediction(ABC):
    """A model's prediction for one text and one task. Each kind of task has its own subclass."""

    __slots__ = ()
    value: Value  # the predicted value, of the same type as the gold value of a row
    confidences: Sequence[float]  # the probability of each item of `value`, in their order

    @abstractmethod
    def plain(self, text: str) -> Any:
        """The prediction as JSON, with probabilities."""

    @abstractmethod
    def drawing(self, text: str) -> Drawing:
        """The prediction for the page."""

    @abstractmethod
    def questions(self) -> list[Value]:
        """What one can ask why of: each label or entity as a value of its own, the predicted ones first."""

    def judged(self, gold: Value) -> list[tuple[float, bool]]:
        """For each predicted item its probability, and whether it is in `gold`."""
        return [(one, item in gold.items()) for one, item in zip(self.confidences, self.value.items(), strict=True)]

    def confidence_beyond(self, gold: Value) -> float:
        """How sure the model is of its worst mistake: the highest probability among predicted items that are not in `gold`, or 0."""
        return max((one for one, is_right in self.judged(gold) if not is_right), default=0.0)


class Task(ABC):
    """One task with its labels. Subclasses are not subclassed, and each is in one file."""

    reads: Literal["sentence", "tokens"]  # the head's input: one vector per text (B, H), or one per token (B, T, H)
    main_score: str  # the score by which the best checkpoint is chosen
    judges_items: bool = False  # whether calibration looks at the predicted items, right or wrong, rather than at all labels
    has_one_id: bool = False  # whether `label_ids` returns a number rather than a list
    dtype: torch.dtype = torch.long  # of the label ids
    chance: float | None = None  # the mean loss of a model that has learned nothing, where it does not depend on how frequent labels are

    def __init__(self, spec: TaskSpec) -> None:
        self.name, self.spec = spec.name, spec
        self.outputs = len(spec.labels)  # the size of the head's last dimension
        self.thresholds: tuple[float, ...] = ()  # decision thresholds, chosen on validation rows; empty for kinds without
        self.calibration = UNCALIBRATED  # of every probability, fitted on validation rows

    @abstractmethod
    def label_ids(self, value: Value | None, encoding: Encoding) -> float | list[int]:
        """1. Value -> label ids: one for the text, or a list; IGNORED where there is no label."""

    @abstractmethod
    def count_targets(self, ids: float | list[int]) -> int:
        """How many targets a row with these label ids has. The mean loss is the sum of losses divided by the number of targets."""

    def stack(self, ids: Sequence[float | list[int]]) -> Tensor:
        """The label ids of a batch: (B), or, of lists, (B, longest)."""
        return torch.tensor(ids, dtype=self.dtype) if self.has_one_id else stack_lists(ids, IGNORED)

    @abstractmethod
    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """2. Which loss? The SUM of the losses of all labels that are not IGNORED; 0 if there are none."""

    @abstractmethod
    def decode(self, logits: Tensor, encodings: Sequence[Encoding]) -> list[Prediction]:
        """3. Logits -> one prediction per text."""

    @abstractmethod
    def evidence(self, logits: Tensor, labels: Tensor) -> Tensor:
        """How strongly logits (B, ...) speak for a value with these `labels`, which are those of one text, stacked: (B). A number or, in
        the other kinds, log-odds."""

    @abstractmethod
    def join(self, made: Sequence[Prediction], starts: Sequence[int], shares: Sequence[float]) -> Prediction:
        """The predictions for the pieces of one text as one for the whole: each piece begins at a character, and has a share of 1."""

    @abstractmethod
    def logits_of(self, predictions: Sequence[Prediction]) -> Tensor:
        """The logits from which their probabilities come, as `calibration.fit` takes them."""

    @abstractmethod
    def with_logits(self, logits: Tensor, predictions: Sequence[Prediction]) -> list[Prediction]:
        """The same predictions with the probabilities that come from `logits`."""

    def tune(self, golds: Sequence[Value | None], predictions: Sequence[Prediction]) -> list[Prediction]:
        """Fit `calibration` and choose `thresholds` on validation rows; returns `predictions`, which are not calibrated, under both."""
        if pairs := [(gold, made) for gold, made in zip(golds, predictions, strict=True) if gold is not None]:
            targets = ([is_right for gold, made in pairs for _, is_right in made.judged(gold)] if self.judges_items else
                       [self.label_ids(gold, Encoding([], [], [])) for gold, _ in pairs])
            self.calibration = fit(self.logits_of([made for _, made in pairs]), torch.tensor(targets), self.judges_items)
        return self.rescaled(predictions, UNCALIBRATED, self.calibration)

    def rescaled(self, made: Sequence[Prediction], before: Calibration, after: Calibration = UNCALIBRATED) -> list[Prediction]:
        """The predictions `made` under the calibration `before`, with the probabilities that they have under `after`."""
        if before == after:
            return list(made)
        logits = (self.logits_of(made) - before.shift) * before.temperature
        return self.with_logits(logits / after.temperature + after.shift, made)

    @abstractmethod
    def score(self, golds: Sequence[Value | None], predictions: Sequence[Prediction], encodings: Sequence[Encoding]) -> dict[str, float]:
        """4. How good? Scores between 0 and 1, unless a kind says otherwise. Rows whose gold is None are skipped; {} if all are None."""

    def hit_counts(self, gold: Value, prediction: Prediction) -> tuple[float, float]:
        """(hits, items) of one labelled row: the items in both gold and prediction, and the items of gold plus those of the prediction.
        Summed over rows, the main score is 2 hits / items: F1, or accuracy with one item on each side. A row is right if that is 1.
        For numbers: the true one and the predicted one."""
        wanted, made = gold.items(), prediction.value.items()
        return len(set(wanted) & set(made)), len(wanted) + len(made)


IN_JSON = 30  # labels of an answer: with 1,000 classes, the others would make a file of answers a hundred times as long


def ranked(labels: Sequence[str], probabilities: Tensor) -> list[dict[str, float]]:
    """probabilities (B, labels) -> for each text the probability of each label, most probable first."""
    values, order = probabilities.sort(descending=True)
    return [{labels[index]: value for value, index in zip(*row, strict=True)} for row in zip(values.tolist(), order.tolist(), strict=True)]


def averaged(pieces: Sequence[dict[str, float]], shares: Sequence[float]) -> dict[str, float]:
    """The mean of the labels' probabilities in `pieces` of a text, of which each has a share; most probable first."""
    means = {label: sum(share * piece[label] for piece, share in zip(pieces, shares, strict=True)) for label in pieces[0]}
    return dict(sorted(means.items(), key=lambda entry: -entry[1]))


def rounded(probabilities: dict[str, float]) -> dict[str, float]:
    """The first of these `probabilities`, which are the likeliest of many labels, with four decimals, for JSON."""
    return {label: round(probability, 4) for label, probability in islice(probabilities.items(), IN_JSON)}


def log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """logits (..., C), labels (...) -> (...): how much likelier each label is than all others together."""
    is_meant = nn.functional.one_hot(labels, logits.shape[-1]).bool()
    return logits.masked_fill(~is_meant, 0).sum(-1) - logits.masked_fill(is_meant, -torch.inf).logsumexp(-1)


def stack_lists(rows: Sequence[list[int]], filler: int) -> Tensor:
    """The lists as a tensor (B, longest), padded with `filler` on the right."""
    longest = max(map(len, rows))
    return torch.tensor([row + [filler] * (longest - len(row)) for row in rows], dtype=torch.long)
