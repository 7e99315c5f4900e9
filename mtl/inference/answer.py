"""Texts through a model, batch by batch: predictions for any of its tasks, and the losses where labels are known."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mtl.data.store import take
from mtl.model.batching import LabelIds, collate
from mtl.model.frozen_features import States
from mtl.model.machine import Machine
from mtl.model.multitask import MultiTaskModel
from mtl.tasks.base import Encoding, Prediction


@dataclass(frozen=True)
class Answers:
    """For each text, by its index, the prediction of every task asked for; and the summed loss of every task with labels."""

    predictions: dict[int, dict[str, Prediction]]
    losses: dict[str, float]


@torch.inference_mode()
def answer(model: MultiTaskModel, examples: Sequence[tuple[Encoding, LabelIds | None]], batches: Sequence[Sequence[int]], machine: Machine,
           tasks: Sequence[str], states: States | None = None) -> Answers:
    """Run the texts of `batches` (lists of indices into `examples`) through a model that is in eval mode; its encoder's `states` for them,
    if they are known, are not made again."""
    predictions: dict[int, dict[str, Prediction]] = {}
    losses: dict[str, float] = {}
    pad_id = model.config.encoder.pad_token_id or 0
    for indices in batches:
        chosen, labels = zip(*take(examples, indices), strict=True)
        has_labels = labels[0] is not None
        batch = collate(chosen, pad_id, labels if has_labels else None, [model.tasks[task] for task in tasks] if has_labels else ())
        with machine.autocast():
            out = model(batch["input_ids"].to(machine.device), batch["attention_mask"].to(machine.device),
                        labels={task: ids.to(machine.device) for task, ids in batch["labels"].items()}, tasks=tasks,
                        states=states and states.batch(indices).to(machine.device))
        for task, loss in out.losses.items():
            losses[task] = losses.get(task, 0.0) + loss.item()
        decoded = {task: model.tasks[task].decode(out.logits[task], chosen) for task in tasks}
        for place, index in enumerate(indices):
            predictions[index] = {task: made[place] for task, made in decoded.items()}
    return Answers(predictions, losses)


def merge(parts: Sequence[Answers]) -> Answers:
    """What several processes or threads answered, each for a part of the texts."""
    losses: Counter[str] = Counter()
    for part in parts:
        losses.update(part.losses)
    return Answers({index: made for part in parts for index, made in part.predictions.items()}, dict(losses))
