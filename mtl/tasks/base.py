"""Task: the questions that a kind of task answers. The loop, the batches, the scores and the page know tasks only through them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from mtl.data.values import Value
from mtl.data.words import Range
from mtl.settings.config import TaskSpec

IGNORED = -100  # the label id of what has no label: torch's cross entropy passes over it


@dataclass(frozen=True, slots=True)
class Encoding:
    """A text as the encoder reads it: subword `ids`, the `words`' character ranges, and for each word the position of its first
    subword in `ids` (-1: the tokenizer dropped the word, or it was cut off)."""

    ids: list[int]
    words: Sequence[Range]
    firsts: list[int]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A prediction as the page draws it: the text in `pieces`, each with its label or None; or the `probabilities` of labels. `answer` is
    what is predicted, where the most probable label does not tell."""

    pieces: list[tuple[str, str | None]] | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    answer: str = ""


class Prediction(ABC):
    """What a model answers about one text for one task; a kind of task has a kind of prediction."""

    __slots__ = ()

    @property
    @abstractmethod
    def value(self) -> Value:
        """What is predicted, as it would stand in a row."""

    @abstractmethod
    def plain(self, text: str) -> Any:
        """The prediction in JSON, with probabilities."""

    @abstractmethod
    def drawing(self, text: str) -> Drawing:
        """The prediction for the page."""

    @abstractmethod
    def confidence_beyond(self, gold: Value) -> float:
        """The probability of what is predicted and not in `gold`, of several items the largest; 0 if there is nothing."""


class Task(ABC):
    """One task with its labels known. A subclass is final and stands whole in one file."""

    reads: Literal["sentence", "tokens"]  # what its head is put on: one vector a text (B, H), or one a token (B, T, H)
    main_score: str  # the score that stands for the task when best is chosen
    has_one_id: bool = False  # whether `label_ids` gives a number, and not a list

    def __init__(self, spec: TaskSpec) -> None:
        self.name = spec.name
        self.spec = spec
        self.thresholds: tuple[float, ...] = ()  # what turns probabilities into answers and is not trained, in kinds that have it

    @property
    @abstractmethod
    def outputs(self) -> int:
        """1. Which labels? The size of the head's last dimension."""

    @abstractmethod
    def label_ids(self, value: Value | None, encoding: Encoding) -> int | list[int]:
        """2. Value -> label ids: one for the text, or a list; IGNORED where there is no label."""

    @abstractmethod
    def count_targets(self, ids: int | list[int]) -> int:
        """By how many targets the loss of a row with these label ids is divided."""

    @abstractmethod
    def stack(self, ids: Sequence[int | list[int]], longest: int) -> Tensor:
        """The label ids of a batch (B, ...), whose texts are padded to `longest` subwords."""

    @abstractmethod
    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """3. Which loss? The SUM of the losses of all labels that are not IGNORED; 0 if there are none."""

    @abstractmethod
    def decode(self, logits: Tensor, encodings: Sequence[Encoding]) -> list[Prediction]:
        """4. Logits -> prediction, for each of the texts."""

    def tune(self, golds: Sequence[Value | None], predictions: Sequence[Prediction]) -> list[Prediction]:
        """Choose `thresholds` by validation rows; the predictions as these thresholds make them. Most kinds have none."""
        return list(predictions)

    @abstractmethod
    def score(self, golds: Sequence[Value | None], predictions: Sequence[Prediction], encodings: Sequence[Encoding]) -> dict[str, float]:
        """5. How good? Scores between 0 and 1; rows whose gold is None are passed over; {} if all are."""

    @abstractmethod
    def errors(self, pairs: Sequence[tuple[Value, Prediction]]) -> dict[str, Any]:
        """6. Which sorts of errors? For the pairs of gold and prediction, the fields of TaskReport that only this kind of task has."""

    def is_right(self, gold: Value, prediction: Prediction) -> bool:
        """Whether nothing in `prediction` differs from `gold`."""
        return set(gold.items()) == set(prediction.value.items())

    def tally(self, gold: Value, prediction: Prediction) -> tuple[int, int]:
        """What one labelled row adds to the two counts that the main score follows from: hits, and items in gold plus items predicted.

        The main score is 2 hits / items: F1, which is accuracy where gold and prediction have one item each. A row is right if its
        hits are half of its items.
        """
        wanted, made = gold.items(), prediction.value.items()
        return len(set(wanted) & set(made)), len(wanted) + len(made)


def stack_lists(rows: Sequence[list[int]], length: int, filler: int) -> Tensor:
    """(B, length): the lists one below the other, filled up on the right."""
    return torch.tensor([row + [filler] * (length - len(row)) for row in rows], dtype=torch.long)
