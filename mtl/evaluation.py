"""Texts through a model: predictions for any of its tasks, and, where gold labels are known, losses and scores. Used by training to
measure and by prediction to answer."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from transformers import PreTrainedTokenizerBase

from mtl.batching import Example, LabelIds, by_length, collate, count_targets, example_shape, make_examples
from mtl.checkpoint import read_facts
from mtl.data.rows import Row
from mtl.data.store import keep, take
from mtl.encoder import load_encoder
from mtl.errors import MtlError
from mtl.machine import Machine
from mtl.model import MultiTaskConfig, MultiTaskModel, at_rest, build_model, learned_weights
from mtl.states import States, keep_states
from mtl.tasks.base import Encoding, Prediction, Task


@dataclass(frozen=True)
class Split:
    """Rows ready for the model: their texts tokenised and their labels as ids, perhaps in a file; and what is asked of all of them at
    once: `lengths` in subwords (N), for each task how many label ids each row has (N), and how many texts were `cut`. With `states`, what
    a frozen encoder says about them is known already."""

    rows: Sequence[Row]
    examples: Sequence[Example]
    lengths: np.ndarray
    targets: dict[str, np.ndarray]
    cut: int
    states: States | None = None


@dataclass(frozen=True)
class Answers:
    """For each text, by its index, the prediction of every task asked for; and the summed loss of every task with labels."""

    predictions: dict[int, dict[str, Prediction]]
    losses: dict[str, float]


@dataclass(frozen=True)
class Scores:
    """Mean loss and scores per task, the share of rows with everything right, and as `score` the mean of the trained tasks' main scores;
    `tallies`: for each task, hits and items of every row (N, 2)."""

    losses: dict[str, float]
    scores: dict[str, dict[str, float]]
    everything_right: float
    score: float
    tallies: dict[str, np.ndarray]


def make_split(tokenizer: PreTrainedTokenizerBase, tasks: Sequence[Task], rows: Sequence[Row], max_length: int, file: Path,
               progress: Callable[[str, float], None] = lambda what, share: None) -> Split:
    """Tokenise and label `rows`; many are laid out in `file`."""
    lengths = np.empty(len(rows), np.int32)
    targets = {task.name: np.empty(len(rows), np.int32) for task in tasks}
    cut = 0

    def look_at(examples: Iterator[Example]) -> Iterator[Example]:
        nonlocal cut
        for index, (encoding, labels) in enumerate(examples):
            lengths[index] = len(encoding.ids)
            cut += len(encoding.ids) >= max_length and encoding.firsts[-1:] == [-1]
            for task, counts in targets.items():
                counts[index] = count_targets([labels], task)
            if index % 2000 == 1999:
                progress("Tokenising", index / len(rows))
            yield encoding, labels

    examples = keep(look_at(make_examples(tokenizer, tasks, rows, max_length)), example_shape(tasks), file)
    return Split(rows, examples, lengths, targets, cut)


def with_states(split: Split, model: MultiTaskModel, machine: Machine, file: Path, progress: Callable[[str, float], None]) -> Split:
    """`split` with what the encoder of `model`, which is frozen, says about it; if it is much, in `file`."""
    return replace(split, states=keep_states(model, split.examples, split.lengths, machine, file, progress))


def sample_places(rows: int, count: int, seed: int) -> np.ndarray:
    """Which of so many rows `sample` draws, in their order."""
    return np.sort(np.random.default_rng(seed).permutation(rows)[:count])


def sample(split: Split, count: int, seed: int) -> Split:
    """At most `count` rows of `split`, drawn by `seed`; all of them where a frozen encoder has answered already."""
    if len(split.rows) <= count or split.states is not None:
        return split
    places = sample_places(len(split.rows), count, seed)
    return replace(split, rows=take(split.rows, places), examples=take(split.examples, places), lengths=split.lengths[places],
                   targets={task: counts[places] for task, counts in split.targets.items()})


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
        batch = collate(chosen, pad_id, labels if has_labels else None, tasks if has_labels else ())
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


def score(tasks: Sequence[Task], split: Split, answers: Answers, weights: Mapping[str, float] | None = None) -> Scores:
    """Compare `answers` for every row of `split` with its gold values. Tasks whose loss has the weight 0 are not trained, so that they do
    not count in the one score by which the best checkpoint is chosen."""
    losses: dict[str, float] = {}
    scores: dict[str, dict[str, float]] = {}
    made = [answers.predictions[index] for index in range(len(split.rows))]
    for task in tasks:
        golds = [row.values.get(task.name) for row in split.rows]
        scores[task.name] = task.score(golds, [row[task.name] for row in made], [encoding for encoding, _ in split.examples])
        if targets := int(split.targets[task.name].sum()):
            losses[task.name] = answers.losses[task.name] / targets
    right = [all(task.is_right(row.values[task.name], guess[task.name]) for task in tasks if row.values.get(task.name) is not None)
             for row, guess in zip(split.rows, made, strict=True)]
    main = [scores[task.name][task.main_score] for task in tasks if scores[task.name] and (weights is None or weights[task.name])]
    tallies = {task.name: tally_rows(task, split.rows, [row[task.name] for row in made]) for task in tasks}
    return Scores(losses, scores, sum(right) / len(right), sum(main) / len(main) if main else 0.0, tallies)


def tally_rows(task: Task, rows: Sequence[Row], predictions: Sequence[Prediction]) -> np.ndarray:
    """Hits and items (see Task.tally) of every row (N, 2); zeros where it has no label."""
    golds = [row.values.get(task.name) for row in rows]
    return np.array([(0, 0) if gold is None else task.tally(gold, made) for gold, made in zip(golds, predictions, strict=True)],
                    np.int32).reshape(-1, 2)


def batches_for(split: Split, batch_size: int = 64) -> list[list[int]]:
    """All texts of `split` in batches for `answer`."""
    return by_length(split.lengths.tolist(), batch_size)


def load_weights(checkpoint: Path, device: str) -> MultiTaskModel:
    """The model in `checkpoint`, checked against its manifest, ready to answer.

    One of adapters or heads is put together from its encoder, as `load_encoder` finds it, and what the checkpoint has.
    """
    read_facts(checkpoint)
    config = MultiTaskConfig.from_pretrained(checkpoint, local_files_only=True)
    if config.needs_base:
        model = build_model(load_encoder(config.base)[0], config.specs(), pooling=config.pooling, normalize=config.normalize,
                            dropout=config.dropout, encoder_dropout=None, max_length=config.max_length, base=config.base,
                            lora_rank=config.lora_rank, only_heads=config.only_heads)
        put_weights(model, checkpoint)
        model.config.hints = config.hints
    else:
        model = MultiTaskModel.from_pretrained(checkpoint, local_files_only=True, use_safetensors=True)
    return at_rest(model.to(device))


def put_weights(model: MultiTaskModel, checkpoint: Path) -> None:
    """Give `model`, which was built as the one in `checkpoint` was, the weights that are there.

    Raises MtlError if one is missing or too many, or if the frozen weights beside them are not those that they were learned with.
    """
    saved, wanted = safetensors.torch.load_file(checkpoint / "model.safetensors", backend="pread"), learned_weights(model)
    wrong = [f"lacks {name}" for name in wanted if name not in saved] + [f"has {name}, which is unknown" for name in saved
                                                                        if name not in wanted]
    wrong += [f"has {name} in another shape" for name in saved if name in wanted and saved[name].shape != wanted[name].shape]
    if wrong:
        raise MtlError(f"Checkpoint '{checkpoint.name}' does not fit its own settings: it {wrong[0]}"
                       + (f", and {len(wrong) - 1} more are wrong" if len(wrong) > 1 else "") + ".")
    if MultiTaskConfig.from_pretrained(checkpoint, local_files_only=True).base_sha256 != model.config.base_sha256:
        raise MtlError(f"The encoder '{model.config.base}' is not the one that checkpoint '{checkpoint.name}' was trained with: its "
                       "weights have changed since. Train again.")
    model.load_state_dict(saved, strict=False)
