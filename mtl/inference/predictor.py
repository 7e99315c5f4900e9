"""Texts -> predictions of every task. `answer` runs encoded texts through any model, batch by batch; a Predictor takes typed texts."""

import copy
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal, overload

import torch
from transformers import PreTrainedTokenizerBase

from mtl.data.cooccurrence import Hint, contradictions
from mtl.data.formats.files import MAX_LINE, MAX_TEXT
from mtl.data.store import take
from mtl.errors import MtlError
from mtl.inference.fused_bert import accelerate
from mtl.inference.pieces import WINDOW, find_pieces
from mtl.inference.why import Explained, explain
from mtl.model.batching import LabelIds, by_tokens, collate, encode
from mtl.model.loading import load_tokenizer, load_weights
from mtl.model.machine import Machine, find_machine, one_thread
from mtl.model.multitask import MultiTaskModel
from mtl.model.split import FrozenFeatures
from mtl.tasks.base import Encoding, Prediction

Long = Literal["cut", "split"]  # of a text that is longer than the model reads: only its beginning is read, or it is read in pieces
BATCH_TOKENS = 256  # subwords per batch: larger batches are no faster on a CPU, because they do not fit its caches


@dataclass(frozen=True)
class Answers:
    """The predictions for each text, by its index and task; and the summed loss of every task with labels."""

    predictions: dict[int, dict[str, Prediction]]
    losses: dict[str, float]

    def in_order(self) -> list[dict[str, Prediction]]:
        """The predictions of all texts, by index."""
        return [self.predictions[index] for index in range(len(self.predictions))]


@torch.inference_mode()
def answer(model: MultiTaskModel, examples: Sequence[tuple[Encoding, LabelIds | None]], batches: Sequence[Sequence[int]], machine: Machine,
           tasks: Sequence[str], features: FrozenFeatures | None = None) -> Answers:
    """Run the texts of `batches` (indices into `examples`) through `model` in eval mode; with `features` only through its heads."""
    predictions, losses, pad_id = {}, Counter(), model.config.encoder.pad_token_id or 0
    for indices in batches:
        chosen, labels = zip(*take(examples, indices), strict=True)
        batch = collate(chosen, pad_id, labels, () if labels[0] is None else [model.tasks[task] for task in tasks])
        with machine.autocast():
            out = model(batch["input_ids"].to(machine.device), batch["attention_mask"].to(machine.device),
                        labels={task: ids.to(machine.device) for task, ids in batch["labels"].items()}, tasks=tasks,
                        hidden_states=features and features.batch(indices).to(machine.device))
        losses.update({task: loss.item() for task, loss in out.losses.items()})
        decoded = [model.tasks[task].decode(out.logits[task], chosen) for task in tasks]
        for index, *made in zip(indices, *decoded, strict=True):
            predictions[index] = dict(zip(tasks, made, strict=True))
    return Answers(predictions, dict(losses))


def merge(parts: Sequence[Answers]) -> Answers:
    """The answers of several processes or threads, each for a part of the texts, as one."""
    losses: Counter[str] = Counter()
    for part in parts:
        losses.update(part.losses)
    return Answers({index: made for part in parts for index, made in part.predictions.items()}, dict(losses))


@dataclass(frozen=True)
class Predicted:
    """One text with its predictions by task. `cut_at`: the character from which on it was not read; `contradictions`: see cooccurrence.py;
    `pieces`: in how many it was read."""

    text: str
    predictions: dict[str, Prediction]
    cut_at: int | None
    contradictions: tuple[str, ...] = ()
    pieces: int = 1

    def plain(self) -> dict[str, Any]:
        """As a JSON object: the text, what there is to say of it, and each task's answer."""
        said = {"cut_at": self.cut_at, "pieces": self.pieces if self.pieces > 1 else None, "contradictions": self.contradictions or None}
        return {"text": self.text} | {name: value for name, value in said.items() if value is not None} | {
            task: answer.plain(self.text) for task, answer in self.predictions.items()}


@dataclass(frozen=True)
class Predictor:
    """A model from `for_inference` with its tokenizer. Immutable, so any number of threads may use it. `engine`: see fused_bert.py."""

    model: MultiTaskModel
    tokenizer: PreTrainedTokenizerBase
    machine: Machine
    engine: str = "auto"

    @classmethod
    def load(cls, checkpoint: Path, device: str = "auto", engine: str = "auto") -> "Predictor":
        """From a checkpoint folder; raises MtlError if it is missing or damaged, or if the device or engine does not exist."""
        if not checkpoint.is_dir():
            raise MtlError(f"There is no checkpoint '{checkpoint.name}' in this run yet. Wait for its first evaluation, or choose another.")
        machine = find_machine(device, "fp32", 0)
        model = load_weights(checkpoint, machine.device)
        predictor = cls(model, load_tokenizer(checkpoint), machine, engine)
        predictor.predict(["Warm up."])  # the first call sets the tokenizer's truncation; later calls, in any thread, only read it
        return predictor

    @overload
    def __call__(self, texts: str) -> Predicted: ...
    @overload
    def __call__(self, texts: Sequence[str]) -> list[Predicted]: ...
    def __call__(self, texts: str | Sequence[str]) -> Predicted | list[Predicted]:
        """As `predict`, for one text or a list of texts."""
        return self.predict([texts])[0] if isinstance(texts, str) else self.predict(texts)

    def on(self, device: str) -> "Predictor":
        """This predictor, or a copy of it on `device` ('auto': where it is). Raises MtlError if there is no such device."""
        if device == "auto" or device == torch.device(self.machine.device).type:
            return self
        machine = find_machine(device, "fp32", self.machine.threads)
        return Predictor(copy.deepcopy(self.model).to(machine.device), self.tokenizer, machine, self.engine)

    @cached_property
    def _fast(self) -> tuple[MultiTaskModel, str]:
        return accelerate(self.model, self.engine)

    @property
    def how(self) -> str:
        """Device and engine for the user, such as 'cpu, fused'."""
        return f"{self.machine.device}, {self._fast[1]}"

    def choose(self, tasks: Sequence[str] = ()) -> list[str]:
        """The names `tasks`, or of all tasks if there are none. Raises MtlError if the model lacks one."""
        if unknown := [task for task in tasks if task not in self.model.tasks]:
            raise MtlError(f"This model has no task '{unknown[0]}'. Its tasks are: {', '.join(self.model.tasks)}.")
        return list(tasks) or list(self.model.tasks)

    def predict(self, texts: Sequence[str], tasks: Sequence[str] = (), long: Long = "cut") -> list[Predicted]:
        """The predictions of `tasks` (default: all) for each text. Raises MtlError on an empty or long text or an unknown task."""
        tasks = self.choose(tasks)
        for number, text in enumerate(texts, 1):
            if wrong := _unreadable(text, long):
                raise MtlError(f"{f'Text {number}' if len(texts) > 1 else 'The text'} {wrong}")
        texts = [text.encode("utf-8", "replace").decode() for text in texts]  # lone surrogates, which no tokenizer takes, become '?'
        pieces = [self._read(text, encoding, long)
                  for text, encoding in zip(texts, encode(self.tokenizer, texts, self.model.config.max_length), strict=True)]
        examples = [(encoding, None) for of_text in pieces for _, encoding in of_text]
        answers = iter(self.answer(examples, [len(encoding.ids) for encoding, _ in examples], tasks).in_order())
        hints = [Hint(**hint) for hint in self.model.config.hints]
        predicted = []
        for text, of_text in zip(texts, pieces, strict=True):
            made = self._join(of_text, list(islice(answers, len(of_text))))
            cut = next((start + at for start, encoding in of_text if (at := self._cut_at(encoding)) is not None), None)
            found = contradictions(hints, text, {task: prediction.value for task, prediction in made.items()})
            predicted.append(Predicted(text, made, cut, found, len(of_text)))
        return predicted

    def predict_each(self, texts: Sequence[str], tasks: Sequence[str] = (), long: Long = "cut") -> list[Predicted | MtlError]:
        """As `predict`, with an MtlError in the place of each text that cannot be read."""
        wrong = [_unreadable(text, long) for text in texts]
        made = iter(self.predict([text for text, is_wrong in zip(texts, wrong, strict=True) if not is_wrong], tasks, long))
        return [MtlError(f"The text {one}") if one else next(made) for one in wrong]

    def explain(self, text: str, task: str, target: Any = None) -> Explained:
        """How much each word of `text` counts for `target`: a label of `task`, or a value of it as files have it; by default the likeliest.
        Raises MtlError on an empty or long text, an unknown task, or a target that cannot be."""
        [one] = self.predict([text], [task])
        [encoding] = encode(self.tokenizer, [one.text], self.model.config.max_length)
        with one_thread():
            return explain(self.model, self.tokenizer, encoding, one.text, self.model.tasks[task], one.predictions[task], target)

    def _read(self, text: str, encoding: Encoding, long: Long) -> list[tuple[int, Encoding]]:
        """The pieces in which a text is read: where each begins, and its subwords. `encoding` is that of the whole text."""
        if long == "cut" or self._cut_at(encoding) is None:
            return [(0, encoding)]
        most = self.model.config.max_length
        ranges = find_pieces(text, lambda part: self._cut_at(encode(self.tokenizer, [part], most)[0]), WINDOW * most)
        encodings = encode(self.tokenizer, [text[start:end] for start, end in ranges], most)
        return [(start, encoding) for (start, _), encoding in zip(ranges, encodings, strict=True)]

    def _join(self, pieces: Sequence[tuple[int, Encoding]], made: Sequence[dict[str, Prediction]]) -> dict[str, Prediction]:
        """The predictions `made` for the pieces of one text as those for the text. A piece counts by its subwords."""
        if len(made) == 1:
            return made[0]
        starts, lengths = [start for start, _ in pieces], [len(encoding.ids) for _, encoding in pieces]
        shares = [length / sum(lengths) for length in lengths]
        return {name: self.model.tasks[name].join([one[name] for one in made], starts, shares) for name in made[0]}

    def _cut_at(self, encoding: Encoding) -> int | None:
        """The start of the first word that was cut off, if the text filled the model's window."""
        read = max((place for place, first in enumerate(encoding.firsts) if first >= 0), default=-1)
        unread = len(encoding.ids) >= self.model.config.max_length and read + 1 < len(encoding.words)
        return encoding.words[read + 1][0] if unread else None

    def answer(self, examples: Sequence[tuple[Encoding, LabelIds | None]], lengths: Sequence[int], tasks: Sequence[str]) -> Answers:
        """The predictions of `tasks` for tokenised texts with these `lengths` in subwords, and losses if they have labels (for scores)."""
        # on a CPU each core has its own batches: faster than all cores on one, whose products are small, or if a training uses a core
        batches, (model, _) = by_tokens(lengths, BATCH_TOKENS), self._fast

        def answer_part(part: list[list[int]]) -> Answers:
            with one_thread():
                return answer(model, examples, part, self.machine, tasks)

        workers = min(self.machine.threads, len(batches)) if self.machine.device == "cpu" else 1
        if workers < 2:
            return answer_part(batches)
        with ThreadPoolExecutor(workers) as pool:
            return merge(list(pool.map(answer_part, [batches[first::workers] for first in range(workers)])))


def _unreadable(text: str, long: Long) -> str:
    """Why no text of this kind is read; empty if it is."""
    most = MAX_LINE if long == "split" else MAX_TEXT
    if not text.strip():
        return "is empty. Type a sentence."
    return f"has {len(text):,} characters, the limit is {most:,}. Split it." if len(text) > most else ""
