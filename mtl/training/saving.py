"""Writes a trainer's checkpoints into its run's folder and restores them: `last` to resume from, `best` and `epoch-NNN` to predict with."""

import copy
import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mtl.errors import MtlError
from mtl.inference.fused_bert import HAS_INT8, accelerate, is_known
from mtl.inference.predictor import answer
from mtl.model.loading import put_weights
from mtl.model.machine import Machine
from mtl.model.multitask import for_inference, learned_weights
from mtl.model.split import sample, sample_places
from mtl.runs.checkpoint import LAST, LOOKS, TALLIES, save_checkpoint, write_tallies
from mtl.runs.events import CheckpointSaved, Event, Notice
from mtl.scoring.intervals import cost_bound
from mtl.scoring.scores import count_hits
from mtl.settings.config import rename_old
from mtl.training.pace import INT8_ROWS
from mtl.training.trainer import Trainer

OPTIMIZER, BALANCER = "optimizer.pt", "balancer.pt"
KEPT_EVALUATIONS = 2000  # evaluations of a run that keep their hit counts, which take 1 KB for 700 rows

HitCounts = dict[str, np.ndarray]  # for each task, hits and items of every validation row (N, 2)


def save(trainer: Trainer, name: str = LAST, hit_counts: HitCounts | None = None, int8_cost_bound: float | None = None) -> Iterator[Event]:
    """Save a checkpoint: as `last` with all that an exact resume needs, under another name with the `hit_counts` of its validation rows and
    the cost of 8 bits, if that was measured. A full disk becomes a warning and training goes on: the next save may find room."""
    def write(folder: Path) -> None:
        trainer.model.save_pretrained(folder, state_dict=learned_weights(trainer.model))
        if int8_cost_bound is not None:  # a property of these weights, not of the model that goes on learning
            config = copy.deepcopy(trainer.model.config)
            config.int8_cost_bound = int8_cost_bound
            config.save_pretrained(folder)
        trainer.tokenizer.save_pretrained(folder)
        if name == LAST:
            torch.save(trainer.optimizer.state_dict(), folder / OPTIMIZER)
            if state := trainer.balancer.state():
                torch.save(state, folder / BALANCER)
        if hit_counts:
            write_tallies(folder / TALLIES, hit_counts)

    start = time.perf_counter()
    try:
        if trainer.processes.is_first:
            facts = {"step": trainer.progress.step, "progress": asdict(trainer.progress), "data": trainer.dataset.fingerprint,
                     "config": trainer.config.model_dump(mode="json"), **_surroundings(trainer)}
            save_checkpoint(trainer.run, name, write, facts)
        yield CheckpointSaved(trainer.progress.step, name, time.perf_counter() - start)
    except MtlError as error:
        yield Notice(str(error), "warning")


def _surroundings(trainer: Trainer) -> dict[str, Any]:
    """What the last bits of a weight depend on besides settings and data."""
    return {"machine": asdict(trainer.machine), "processes": trainer.processes.count, "torch": torch.__version__}


def restore(trainer: Trainer, checkpoint: Path, facts: Mapping[str, Any]) -> list[Notice]:
    """Restore `trainer` from `checkpoint` and the `facts` of its manifest; returns a warning if the rest of the run will not be bit for bit
    that of an unbroken run. Raises MtlError if the checkpoint belongs to other data or settings."""
    if facts["data"] != trainer.dataset.fingerprint:
        raise MtlError("The data is not the same as when this run began, so it cannot be resumed. Either a file was changed, or this "
                       "version of the program reads or splits the rows in another way than the one that began the run. Start a new "
                       "run, or resume this one with the files and the version that it began with.")
    begun = json.loads(rename_old(json.dumps(facts["config"])))
    changed = [name for name, value in trainer.config.model_dump(mode="json").items() if begun.get(name, value) != value]
    if changed:
        raise MtlError(f"The settings {', '.join(changed)} are not the ones that this run began with, so it cannot be resumed. "
                       "Start a new run.")

    def load(name: str) -> Any:
        return torch.load(checkpoint / name, map_location=trainer.machine.device, weights_only=True)

    put_weights(trainer.model, checkpoint)
    trainer.optimizer.load_state_dict(load(OPTIMIZER))
    if (checkpoint / BALANCER).exists():
        trainer.balancer.restore(load(BALANCER))
    vars(trainer.progress).update(facts["progress"])  # others hold it too
    if all(facts[key] == value for key, value in _surroundings(trainer).items()):
        return []
    return [Notice("Resumed on another device or machine, number of processes or torch: the result will be close to that of an "
                   "unbroken run, but not bit for bit the same.", "warning")]


def keep_hit_counts(trainer: Trainer, hit_counts: HitCounts) -> None:
    """Keep an evaluation's hit counts if the run has a folder for them (a comparison makes one, to choose a step later). Of more than
    KEPT_EVALUATIONS evaluations only every second (third, ...) and the last are kept."""
    step, every = trainer.progress.step, trainer.config.eval_every or trainer.steps_per_epoch
    stride = every * -(-trainer.total_steps // (every * KEPT_EVALUATIONS))
    is_wanted = trainer.processes.is_first and (trainer.run / LOOKS).is_dir()
    if is_wanted and (step % stride == 0 or step == trainer.total_steps):
        write_tallies(trainer.run / LOOKS / f"{step}.npz", hit_counts)


def measure_int8_cost(trainer: Trainer, hit_counts: HitCounts) -> float | None:
    """An upper bound (95 % confidence) on how far any task's main score falls from `hit_counts` when the encoder runs in 8 bits; prediction
    uses it to choose an engine. None without 8 bits, with a frozen encoder, after corrections, or if a task has no validation label."""
    split, seed, model = trainer.validation_split, trainer.config.seed, trainer.model
    # with a frozen encoder, reading the validation rows again would take longer than the training of the heads; and corrections that are
    # only just right are not to be rounded
    if not HAS_INT8 or not trainer.processes.is_first or split.features is not None or not is_known(model) or trainer.corrections:
        return None
    places = sample_places(len(split.rows), INT8_ROWS, seed)
    part, cpu = sample(split, INT8_ROWS, seed), Machine("cpu", "fp32", trainer.machine.threads)
    fast = accelerate(for_inference(copy.deepcopy(model).cpu()), "int8")[0]
    made = answer(fast, part.examples, part.batches(), cpu, list(fast.tasks)).in_order()
    # no correction for the number of bounds (Berger, 1982): the largest is too low only if that of the task that loses most is
    worst = max(cost_bound(hit_counts[name][places], counts) for name, counts in count_hits(trainer.tasks, part.rows, made).items())
    return worst if math.isfinite(worst) else None
