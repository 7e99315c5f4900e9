"""Predictor: texts in, entities and classes out, from a checkpoint or from a copy of a model that is still training."""

import copy
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import overload

import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from mtl.data.cooccurrence import Hint, contradictions
from mtl.errors import MtlError
from mtl.inference.answer import Answers, answer, merge
from mtl.inference.fused_bert import accelerate
from mtl.model.batching import LabelIds, by_tokens, encode
from mtl.model.encoder import plain_text_tokenizer
from mtl.model.loading import load_weights
from mtl.model.machine import Machine, find_machine, one_thread
from mtl.model.multitask import MultiTaskModel
from mtl.tasks.base import Encoding, Prediction

MAX_TEXT = 20_000
BATCH_TOKENS = 256  # subwords a batch: more are no faster on a CPU, whose caches they no longer fit


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
    """A model at rest with its tokenizer. Never changed after it was made, so that any number of threads may ask it.

    `engine` is how the model is to be computed, see fused_bert.py; what 'auto' came to is in `how`.
    """

    model: MultiTaskModel
    tokenizer: PreTrainedTokenizerBase
    machine: Machine
    engine: str = "auto"

    @classmethod
    def load(cls, checkpoint: Path, device: str = "auto", engine: str = "auto") -> "Predictor":
        """From a checkpoint folder; raises MtlError if there is none, it is damaged, or the device or engine is not there."""
        if not checkpoint.is_dir():
            raise MtlError(f"There is no checkpoint '{checkpoint.name}' in this run yet. Wait for its first evaluation, or choose another.")
        machine = find_machine(device, "fp32", 0)
        model = load_weights(checkpoint, machine.device)
        tokenizer = plain_text_tokenizer(AutoTokenizer.from_pretrained(checkpoint, local_files_only=True))
        predictor = cls(model, tokenizer, machine, engine)
        predictor.predict(["Warm up."])  # the first call sets the tokenizer's cut; from then on it is only read, by any thread
        return predictor

    @overload
    def __call__(self, texts: str) -> Predicted: ...
    @overload
    def __call__(self, texts: Sequence[str]) -> list[Predicted]: ...
    def __call__(self, texts: str | Sequence[str]) -> Predicted | list[Predicted]:
        """The predictions for one text, or a list of them for several; as `predict`."""
        return self.predict([texts])[0] if isinstance(texts, str) else self.predict(texts)

    def on(self, device: str) -> "Predictor":
        """This predictor on `device` ('auto': where it is); a copy if it has to move. Raises MtlError if there is no such device."""
        if device == "auto" or device == torch.device(self.machine.device).type:
            return self
        machine = find_machine(device, "fp32", self.machine.threads)
        return Predictor(copy.deepcopy(self.model).to(machine.device), self.tokenizer, machine, self.engine)

    @cached_property
    def _fast(self) -> tuple[MultiTaskModel, str]:
        return accelerate(self.model, self.engine)

    @cached_property
    def _hints(self) -> list[Hint]:
        return [Hint(**hint) for hint in self.model.config.hints]

    @property
    def how(self) -> str:
        """Where and how it is computed, for the user: 'cpu, fused'."""
        return f"{self.machine.device}, {self._fast[1]}"

    def predict(self, texts: Sequence[str], tasks: Sequence[str] = ()) -> list[Predicted]:
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
        encodings = encode(self.tokenizer, texts, self.model.config.max_length)
        names = list(tasks) or list(self.model.tasks)
        got = self.answer([(encoding, None) for encoding in encodings], [len(encoding.ids) for encoding in encodings], names).predictions
        return [Predicted(text, got[index], _cut_at(encodings[index], self.model.config.max_length),
                          contradictions(self._hints, text, {task: made.value for task, made in got[index].items()}))
                for index, text in enumerate(texts)]

    def answer(self, examples: Sequence[tuple[Encoding, LabelIds | None]], lengths: Sequence[int], tasks: Sequence[str]) -> Answers:
        """The predictions of `tasks` for tokenised texts, whose `lengths` in subwords are known; and losses, if they have labels.

        A checkpoint is measured by this too, so that a score is that of what users get. On a CPU with many batches every core has its own
        share of them: that is faster than all cores together at one batch, whose products are small, and does not wait for a core that a
        training has.
        """
        batches, (model, _) = by_tokens(lengths, BATCH_TOKENS), self._fast

        def answer_part(part: list[list[int]]) -> Answers:
            with one_thread():
                return answer(model, examples, part, self.machine, tasks)

        workers = min(self.machine.threads, len(batches)) if self.machine.device == "cpu" else 1
        if workers < 2:
            return answer_part(batches)
        with ThreadPoolExecutor(workers) as pool:
            return merge(list(pool.map(answer_part, [batches[first::workers] for first in range(workers)])))


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
