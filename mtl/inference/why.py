"""Why a model answers as it does: how much each word counts for a value, by integrated gradients. Knows no kind of task, page or thread."""

import math
import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from mtl.data.values import VALUES, Value
from mtl.data.words import are_edges
from mtl.errors import MtlError
from mtl.model.multitask import MultiTaskModel
from mtl.settings.refusals import found
from mtl.tasks.base import Encoding, Prediction, Task

STEPS, MOST_STEPS = 32, 256  # points of the path on which gradients are taken: at first, and after doubling until the sum is right
TOLERANCE = 0.02  # how far the sum of all words may be from the difference that they explain, as a share of it (see `Explained.gap`)
LONGEST = 20.0  # seconds after which the steps are not doubled again: nobody waits for that, and the gap is told
BATCH_TOKENS = 512  # subwords in memory at a time, with what their gradients need


@dataclass(frozen=True)
class Weighed:
    """A word of the text, the characters `start` to `end`, and how much it speaks for the value; below 0, against it."""

    start: int
    end: int
    weight: float


@dataclass(frozen=True)
class Explained:
    """How much each word that was read counts for `value`, an answer to `task` on `text`. All words together make up the difference
    between `before`, with nothing in their places, and `after`: log-odds, or a number. `answer`: what is predicted; `questions`: what one
    can ask."""

    text: str
    task: str
    value: Value
    answer: Value
    questions: Sequence[Value]
    words: tuple[Weighed, ...]
    before: float
    after: float
    steps: int
    seconds: float

    @property
    def gap(self) -> float:
        """How far the sum of the words is from the difference, as a share of it; or, if words outweigh each other, of the largest word."""
        weights = [word.weight for word in self.words]
        size = max(abs(self.after - self.before), *map(abs, weights), 1e-9)
        return abs(sum(weights) - (self.after - self.before)) / size

    def plain(self) -> dict[str, Any]:
        """As a JSON object."""
        words = [{"text": self.text[word.start:word.end], "start": word.start, "weight": round(word.weight, 4)} for word in self.words]
        return {"text": self.text, "task": self.task, "target": self.value.plain(), "words": words, "before": round(self.before, 4),
                "after": round(self.after, 4), "steps": self.steps}


def read_target(task: Task, target: Any, questions: Sequence[Value], encoding: Encoding) -> Value:
    """The value that `target` means: a label, a value as files have it, or None for the first of `questions`. Raises MtlError if none."""
    if target is None and not questions:
        raise MtlError(f"Task '{task.name}' finds nothing in this text. Say which value is to be explained.")
    for one in questions:
        if target is None or target in (one.plain(), *one.labels()):
            return one
    try:
        value = VALUES[task.spec.kind].maker(task.spec.scale)(target)
        fits = not value.has_labels or bool(value.labels()) and {*value.labels()} <= {*task.spec.labels}
        if fits and are_edges(encoding.words, value.spans):
            return value
    except (TypeError, ValueError):
        pass
    raise MtlError(f"Task '{task.name}': found {found(target)}, wanted one of its labels ({', '.join(task.spec.labels)}); an entity as "
                   "[{'start': 0, 'end': 4, 'label': ...}], from the first character of a word to the end of one.")


def explain(model: MultiTaskModel, tokenizer: PreTrainedTokenizerBase, encoding: Encoding, text: str, task: Task, made: Prediction,
            target: Any) -> Explained:
    """How much each word of `text` counts for `target` (see `read_target`), where `made` is predicted: integrated gradients (Sundararajan
    et al., 2017, https://arxiv.org/abs/1703.01365) along the straight line from a text with nothing in the place of its words to this one.
    `model` (made by `for_inference`) is only read, so that other threads may use it meanwhile. Raises MtlError on a target that cannot be,
    or if the part of the text that is meant was not read."""
    from captum.attr import IntegratedGradients  # slow to import, and few ask why

    start = time.perf_counter()
    ids, mask = (torch.tensor([row], device=model.device) for row in (encoding.ids, [1] * len(encoding.ids)))
    questions = made.questions()
    value = read_target(task, target, questions, encoding)
    labels = task.stack([task.label_ids(value, encoding)]).to(model.device)
    owners, is_ours = _words_of(encoding, tokenizer)

    def evidence(vectors: Tensor | None) -> Tensor:
        """vectors (B, T, H), or None for the text's ids, as a prediction reads it -> (B)."""
        read = mask if vectors is None else mask.expand(len(vectors), -1)
        out = model(ids if vectors is None else None, read, tasks=[task.name], inputs_embeds=vectors)
        return task.evidence(out.logits[task.name].float(), labels)

    with torch.no_grad():
        embed = model.encoder.get_input_embeddings()
        # Padding in the place of every word. With [MASK], which looks likelier, weights agree less with what changes if a word is left out,
        # because models of few topics are sure of one for a text of masks. Special tokens stay: they are no words.
        empty = torch.where(torch.tensor([is_ours], device=model.device), tokenizer.pad_token_id, ids)
        vectors, baseline = embed(ids), embed(empty)
        after, before = evidence(None).item(), evidence(baseline).item()
    if not math.isfinite(after):
        raise MtlError("This part of the text was not read: the text is too long, or the tokenizer leaves these characters out.")
    steps, method = STEPS, IntegratedGradients(evidence)
    while True:
        parts = method.attribute(vectors, baseline, n_steps=steps, internal_batch_size=max(1, BATCH_TOKENS // len(encoding.ids)))
        weights = [0.0] * len(encoding.words)
        for place, part in enumerate(parts[0].sum(-1).tolist()):
            if is_ours[place]:
                weights[owners[place]] += part
        words = tuple(Weighed(*word, weight) for word, weight, first in zip(encoding.words, weights, encoding.firsts, strict=True)
                      if first >= 0)
        explained = Explained(text, task.name, value, made.value, questions, words, before, after, steps, time.perf_counter() - start)
        if explained.gap <= TOLERANCE or steps == MOST_STEPS or explained.seconds > LONGEST:
            return explained
        steps *= 2


def _words_of(encoding: Encoding, tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[bool]]:
    """For each subword the index of the word that it belongs to, and whether it belongs to one: special tokens do not."""
    firsts = [(first, word) for word, first in enumerate(encoding.firsts) if first >= 0]
    special = {tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id}
    places = [max(0, bisect_right(firsts, (place, math.inf)) - 1) for place in range(len(encoding.ids))]
    return [firsts[place][1] for place in places] if firsts else [], [bool(firsts) and one not in special for one in encoding.ids]
