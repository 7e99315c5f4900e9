"""Texts through a model: predictions for any of its tasks, and, where gold labels are known, losses and scores. Used by training to
measure and by prediction to answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from mtl.batching import LabelIds, by_length, collate, count_targets, encode_rows, label_rows
from mtl.checkpoint import read_facts
from mtl.data.rows import Row
from mtl.machine import Machine
from mtl.model import MultiTaskModel
from mtl.tasks.base import Encoding, Prediction, Task


@dataclass(frozen=True)
class Split:
    """Rows ready for the model: their texts tokenised, their labels as ids."""

    rows: list[Row]
    encodings: list[Encoding]
    labels: list[LabelIds]


@dataclass(frozen=True)
class Answers:
    """For each text, by its index, the prediction of every task asked for; and the summed loss of every task with labels."""

    predictions: dict[int, dict[str, Prediction]]
    losses: dict[str, float]


@dataclass(frozen=True)
class Scores:
    """Mean loss and scores per task, the share of rows with everything right, and the mean of the tasks' main scores."""

    losses: dict[str, float]
    scores: dict[str, dict[str, float]]
    everything_right: float
    score: float


def make_split(tokenizer: PreTrainedTokenizerBase, tasks: Sequence[Task], rows: list[Row], max_length: int) -> Split:
    """Tokenise and label `rows`."""
    encodings = encode_rows(tokenizer, rows, max_length)
    return Split(rows, encodings, label_rows(tasks, rows, encodings))


@torch.inference_mode()
def answer(model: MultiTaskModel, encodings: Sequence[Encoding], batches: Sequence[Sequence[int]], machine: Machine,
           tasks: Sequence[str], labels: Sequence[LabelIds] | None = None) -> Answers:
    """Run the texts of `batches` (lists of indices into `encodings`) through a model that is in eval mode."""
    predictions: dict[int, dict[str, Prediction]] = {}
    losses = dict.fromkeys(tasks, 0.0) if labels else {}
    pad_id = model.config.encoder.pad_token_id or 0
    for indices in batches:
        chosen = [encodings[index] for index in indices]
        batch = collate(chosen, pad_id, [labels[index] for index in indices] if labels else None, tasks if labels else ())
        with machine.autocast():
            out = model(batch["input_ids"].to(machine.device), batch["attention_mask"].to(machine.device),
                        labels={task: ids.to(machine.device) for task, ids in batch["labels"].items()}, tasks=tasks)
        for task, loss in out.losses.items():
            losses[task] += loss.item()
        decoded = {task: model.tasks[task].decode(out.logits[task], chosen) for task in tasks}
        for place, index in enumerate(indices):
            predictions[index] = {task: made[place] for task, made in decoded.items()}
    return Answers(predictions, losses)


def score(tasks: Sequence[Task], split: Split, answers: Answers) -> Scores:
    """Compare `answers` for every row of `split` with its gold values."""
    losses: dict[str, float] = {}
    scores: dict[str, dict[str, float]] = {}
    made = [answers.predictions[index] for index in range(len(split.rows))]
    for task in tasks:
        golds = [row.values.get(task.name) for row in split.rows]
        scores[task.name] = task.score(golds, [row[task.name] for row in made], split.encodings)
        targets = count_targets(split.labels, task.name)
        if targets:
            losses[task.name] = answers.losses[task.name] / targets
    right = [all(task.is_right(row.values[task.name], guess[task.name]) for task in tasks if row.values.get(task.name) is not None)
             for row, guess in zip(split.rows, made, strict=True)]
    main = [scores[task.name][task.main_score] for task in tasks if scores[task.name]]
    return Scores(losses, scores, sum(right) / len(right), sum(main) / len(main) if main else 0.0)


def batches_for(split: Split, batch_size: int = 64) -> list[list[int]]:
    """All texts of `split` in batches for `answer`."""
    return by_length(split.encodings, batch_size)


def load_weights(checkpoint: Path, device: str) -> MultiTaskModel:
    """The model in `checkpoint`, checked against its manifest, ready to answer; draws no random numbers."""
    read_facts(checkpoint)
    model = MultiTaskModel.from_pretrained(checkpoint, local_files_only=True, use_safetensors=True)
    return model.to(device).eval().requires_grad_(False)
