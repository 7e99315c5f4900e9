"""Task: the five questions that a kind of task answers. The loop, the batches and the page know tasks only through them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from mtl.data.rows import Value
from mtl.data.words import Range, Span
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
class Classified:
    """The probability of each label, most probable first; `label` is the first."""

    probabilities: dict[str, float]

    @property
    def label(self) -> str:
        return next(iter(self.probabilities))


@dataclass(frozen=True, slots=True)
class Tagged:
    """The entities found, in order and without overlap, each with a probability."""

    spans: tuple[Span, ...]
    probabilities: tuple[float, ...]


Prediction = Classified | Tagged


class Task(ABC):
    """One task with its labels known. A subclass is final and stands whole in one file."""

    reads: Literal["sentence", "tokens"]  # what its head is put on: one vector a text (B, H), or one a token (B, T, H)
    main_score: str  # the score that stands for the task when best is chosen

    def __init__(self, spec: TaskSpec) -> None:
        self.name = spec.name
        self.spec = spec

    @property
    @abstractmethod
    def outputs(self) -> int:
        """1. Which labels? The size of the head's last dimension."""

    @abstractmethod
    def label_ids(self, value: Value, encoding: Encoding) -> int | list[int]:
        """2. Value -> label ids: one for the text, or one for each id of `encoding`; IGNORED where there is no label."""

    @abstractmethod
    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """3. Which loss? The SUM of the losses of all labels that are not IGNORED; 0 if there are none."""

    @abstractmethod
    def decode(self, logits: Tensor, encodings: Sequence[Encoding]) -> list[Prediction]:
        """4. Logits -> prediction, for each of the texts."""

    @abstractmethod
    def score(self, golds: Sequence[Value], predictions: Sequence[Prediction], encodings: Sequence[Encoding]) -> dict[str, float]:
        """5. How good? Scores between 0 and 1; rows whose gold is None are passed over; {} if all are."""

    @abstractmethod
    def is_right(self, gold: Value, prediction: Prediction) -> bool:
        """Whether nothing in `prediction` differs from `gold`."""

    @abstractmethod
    def tally(self, gold: Value, prediction: Prediction) -> tuple[int, int]:
        """What one labelled row adds to the two counts that the main score follows from: hits, and items in gold plus items predicted.

        The main score is 2 hits / items: F1, which is accuracy where gold and prediction have one item each. A row is right if its
        hits are half of its items.
        """
