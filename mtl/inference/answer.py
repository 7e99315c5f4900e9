"""Runs texts through a model batch by batch: predictions for any of its tasks, and losses where labels are given."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mtl.data.store import take
from mtl.model.batching import LabelIds, collate
from mtl.model.frozen_features import FrozenFeatures
from mtl.model.machine import Machine
from mtl.model.multitask import MultiTaskModel
from mtl.tasks.base import Encoding, Prediction


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
    """Run the texts of `batches` (lists of indices into `examples`) through `model`, which is in eval mode; its encoder is skipped if its
    `features` are given."""
    predictions: dict[int, dict[str, Prediction]] = {}
    losses: Counter[str] = Counter()
    pad_id = model.config.encoder.pad_token_id or 0
    for indices in batches:
        chosen, labels = zip(*take(examples, indices), strict=True)
        has_labels = labels[0] is not None
        batch = collate(chosen, pad_id, labels if has_labels else None, [model.tasks[task] for task in tasks] if has_labels else ())
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
