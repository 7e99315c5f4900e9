"""How long the rest of a run will take, by a quick look at this machine before its first step, which changes nothing in the run."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

import numpy as np
from torch.nn.utils import clip_grad_norm_

from mtl.inference.fused_bert import HAS_INT8, is_known
from mtl.inference.predictor import answer
from mtl.model.multitask import learned_weights
from mtl.model.randomness import seeded_dropout
from mtl.runs.events import Estimated
from mtl.training.sampling import Step
from mtl.training.saving import INT8_ROWS
from mtl.training.trainer import Trainer

LOOKS, BATCHES_PER_LOOK, ENOUGH = 9, 20, 1.0  # batches that are timed: one for every 20 of the run, up to 9 or a second
CPU_WORK, LEAST_TOKENS = 2.5e10, 256  # weights x subwords that a CPU is timed with, about a second's, but at least so many subwords
COMPARING = 0.25  # the time to compare the tasks' gradients, relative to a step
UPDATE = 1.5e-9  # seconds a trained weight for AdamW on a CPU
BEST_SHARE = 0.7  # of the evaluations are the best so far, at a guess; then the model is saved once more, and measured in 8 bits
INT8_COST = 1.2  # the time of that measurement, relative to an evaluation on its rows
BYTES_PER_SECOND = 3e8  # of a checkpoint, written and hashed


def estimate(trainer: Trainer) -> Estimated | None:
    """The time that the rest of the run will take; None if it is too short for a look. All processes must call it."""
    now, config, processes, every = trainer.progress, trainer.config, trainer.processes, trainer.conflicts.every
    steps = trainer.total_steps - now.step
    looks = min(LOOKS, steps * config.accumulation // BATCHES_PER_LOOK)
    if not looks:
        return None
    plan, kept = trainer.plan(now.step // trainer.steps_per_epoch), (trainer.balancer, trainer.wrapped)
    tokens = [int(trainer.train_split.lengths[step.rows].sum()) for step in plan]
    order, begun, paces = np.argsort(tokens, kind="stable"), time.perf_counter(), []
    trainer.balancer, trainer.wrapped = trainer.new_balancer(), trainer.model  # one that learned nothing; no exchange between processes
    for look in (0, *range(looks)):  # the first half, one pass at least, is a warm-up; steps of medium size first, and soon of all sizes
        paces.append(_seconds_per_token(trainer, plan[order[int((0.5 + 0.618 * look) % 1 * len(plan))]]))
        if len(paces) > 1 and processes.any(time.perf_counter() - begun > ENOUGH)[0]:
            break
    trainer.balancer, trainer.wrapped = kept
    step = median(paces[len(paces) // 2:]) * sum(tokens) / len(plan) / processes.count * (1 + (COMPARING / every if every else 0))
    if trainer.machine.device == "cpu":
        step += UPDATE * trainer.model.num_parameters(only_trainable=True)
    return Estimated(steps * step, _besides(trainer), may_end_early=config.patience > 0)


def _seconds_per_token(trainer: Trainer, planned: Step) -> float:
    """The time of a step's first batch, or of its first rows, by subword: all that the loop does but the optimizer's step."""
    start, step = time.perf_counter(), trainer.begin(planned)
    rows, tokens = _few(trainer, step.batches[0].rows, trainer.train_split.lengths)
    batch = replace(step.batches[0], rows=rows, ignored={task: of[:len(rows)] for task, of in step.batches[0].ignored.items()})
    with seeded_dropout(step.dropout_seed, trainer.machine.device):
        trainer.balancer.backward(step.means(trainer.forward(batch)))
    trainer.balancer.finish()
    clip_grad_norm_(trainer.model.parameters(), math.inf).item()  # waits for a GPU
    if trainer.balancer.needs_second_pass:
        trainer.second_pass(replace(step, batches=[batch]))
    trainer.optimizer.zero_grad()
    return (time.perf_counter() - start) / tokens


def _besides(trainer: Trainer) -> float:
    """The seconds of the evaluations and checkpoints to come, after a look at one batch of validation rows."""
    split, config, batches, model = trainer.validation_split, trainer.config, trainer.validation_split.batches(), trainer.model
    rows, tokens = _few(trainer, batches[len(batches) // 2], split.lengths)
    model.eval()
    start = time.perf_counter()
    answer(model, split.examples, [rows], trainer.machine, [task.name for task in trainer.tasks], split.features)
    evaluation = (time.perf_counter() - start) * int(split.lengths.sum()) / tokens / trainer.processes.count
    int8 = INT8_COST * min(1, INT8_ROWS / len(split.rows)) if HAS_INT8 and split.features is None and is_known(model) else 0
    best = sum(weight.nbytes for weight in learned_weights(model).values()) / BYTES_PER_SECOND
    last = best + 8 * model.num_parameters(only_trainable=True) / BYTES_PER_SECOND  # with AdamW's two moments
    whole, rest = divmod(trainer.total_steps - trainer.progress.step, config.eval_every or trainer.steps_per_epoch)
    saves = (trainer.total_steps - trainer.progress.step) // config.checkpoint_every if config.checkpoint_every else 0
    return (whole + bool(rest)) * (evaluation + last + BEST_SHARE * (best + int8 * evaluation)) + saves * last


def _few(trainer: Trainer, rows: Sequence[int], lengths: np.ndarray) -> tuple[Sequence[int], int]:
    """The first of the `rows`, few enough for a quick look, and the number of their subwords."""
    tokens = np.cumsum(lengths[rows])
    most = max(LEAST_TOKENS, CPU_WORK / trainer.model.num_parameters()) if trainer.machine.device == "cpu" else math.inf
    count = max(1, int(np.searchsorted(tokens, most, side="right")))
    return rows[:count], int(tokens[count - 1])
