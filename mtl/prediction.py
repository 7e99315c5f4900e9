"""Predictor: texts in, entities and classes out, from a checkpoint or from a copy of a model that is still training."""

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from mtl.batching import by_length, encode
from mtl.data.rows import Value
from mtl.data.words import find_words
from mtl.encoder import plain_text_tokenizer
from mtl.errors import MtlError
from mtl.evaluation import answer, load_weights
from mtl.hints import Hint, contradictions
from mtl.machine import Machine, find_machine
from mtl.model import MultiTaskModel
from mtl.tasks.base import Encoding, Prediction, Tagged

MAX_TEXT = 20_000


@dataclass(frozen=True)
class Predicted:
    """One text with the prediction of every task asked for; `cut_at` is the character from which on nothing was read, None if all was;
    `contradictions` are sentences about predictions that never stood together in the training rows."""

    text: str
    predictions: dict[str, Prediction]
    cut_at: int | None
    contradictions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Predictor:
    """A model at rest with its tokenizer. Never changed after it was made, so that any number of threads may ask it."""

    model: MultiTaskModel
    tokenizer: PreTrainedTokenizerBase
    machine: Machine

    @classmethod
    def load(cls, checkpoint: Path, device: str = "auto") -> "Predictor":
        """From a checkpoint folder; raises MtlError if there is none, it is damaged, or the device is not there."""
        if not checkpoint.is_dir():
            raise MtlError(f"There is no checkpoint '{checkpoint.name}' in this run yet. Wait for its first evaluation, or choose another.")
        machine = find_machine(device, "fp32", 0)
        model = load_weights(checkpoint, machine.device)
        tokenizer = plain_text_tokenizer(AutoTokenizer.from_pretrained(checkpoint, local_files_only=True))
        predictor = cls(model, tokenizer, machine)
        predictor.predict(["Warm up."])  # the first call sets the tokenizer's cut; from then on it is only read, by any thread
        return predictor

    def on(self, device: str) -> "Predictor":
        """This predictor on `device` ('auto': where it is); a copy if it has to move. Raises MtlError if there is no such device."""
        if device == "auto" or device == torch.device(self.machine.device).type:
            return self
        machine = find_machine(device, "fp32", self.machine.threads)
        return Predictor(copy.deepcopy(self.model).to(machine.device), self.tokenizer, machine)

    def predict(self, texts: Sequence[str], tasks: Sequence[str] = (), batch_size: int = 32) -> list[Predicted]:
        """The predictions of `tasks` (default: all) for each text, in order; one encoder pass a batch serves all tasks.

        Raises MtlError on a text that is empty or too long, or a task that the model does not have.
        """
        for number, text in enumerate(texts, 1):
            which = f"Text {number}" if len(texts) > 1 else "The text"
            if not text.strip():
                raise MtlError(f"{which} is empty. Type a sentence.")
            if len(text) > MAX_TEXT:
                raise MtlError(f"{which} has {len(text):,} characters, the limit is {MAX_TEXT:,}. Split it.")
        for task in tasks:
            if task not in self.model.tasks:
                raise MtlError(f"This model has no task '{task}'. Its tasks are: {', '.join(self.model.tasks)}.")
        texts = [text.encode("utf-8", "replace").decode() for text in texts]  # lone surrogates, which no tokenizer takes, become '?'
        encodings = encode(self.tokenizer, texts, [find_words(text) for text in texts], self.model.config.max_length)
        names = list(tasks) or list(self.model.tasks)
        batches = by_length([len(encoding.ids) for encoding in encodings], batch_size)
        got = answer(self.model, [(encoding, None) for encoding in encodings], batches, self.machine, names).predictions
        hints = [Hint(**hint) for hint in self.model.config.hints]
        return [Predicted(text, got[index], _cut_at(encodings[index], self.model.config.max_length),
                          contradictions(hints, text, {task: _value(made) for task, made in got[index].items()}))
                for index, text in enumerate(texts)]


def _value(prediction: Prediction) -> Value:
    """What is predicted, as it would stand in a row."""
    return prediction.spans if isinstance(prediction, Tagged) else prediction.label


def _cut_at(encoding: Encoding, max_length: int) -> int | None:
    """The start of the first word after the last one read, if the text filled the model's window."""
    read = max((place for place, first in enumerate(encoding.firsts) if first >= 0), default=-1)
    unread = len(encoding.ids) >= max_length and read + 1 < len(encoding.words)
    return encoding.words[read + 1][0] if unread else None


def timed(predictor: Predictor, text: str, tasks: Sequence[str] = ()) -> tuple[Predicted, float]:
    """One prediction and the milliseconds it took."""
    start = time.perf_counter()
    predicted = predictor.predict([text], tasks)[0]
    return predicted, 1000 * (time.perf_counter() - start)
