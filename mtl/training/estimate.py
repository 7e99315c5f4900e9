"""How long the rest of a run will take, by a quick look at this machine before its first step, which changes nothing in the run; and the
pace of this machine, before there is a run."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median

import numpy as np
from torch.nn.utils import clip_grad_norm_

from mtl.inference.fused_bert import HAS_INT8, is_known
from mtl.inference.predictor import answer
from mtl.model.multitask import learned_weights
from mtl.model.randomness import seeded_dropout
from mtl.runs.events import Estimated
from mtl.training.pace import COMPARING, INT8_COST, INT8_ROWS, Breaks, Pace, looks_seconds
from mtl.training.sampling import Step
from mtl.training.trainer import Trainer

LOOKS, BATCHES_PER_LOOK, ENOUGH = 9, 20, 1.0  # batches that are timed: one for every 20 of the run, up to 9 or a second
CPU_WORK, LEAST_TOKENS = 2.5e10, 256  # weights x subwords that a CPU is timed with, about a second's, but at least so many subwords
UPDATE = 1.5e-9  # seconds a trained weight for AdamW on a CPU
PACE_LOOKS = 7  # steps that tell the pace before there is a run
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
    training = steps * (step + _update_seconds(trainer))
    besides = _besides(trainer) + (looks_seconds(training) if config.quick_looks else 0)
    return Estimated(training, besides, may_end_early=config.patience > 0)


def measure_pace(trainer: Trainer, is_called: Callable[[], bool]) -> Pace | None:
    """The pace of this machine, by some steps of `trainer`, which must not train any more; None if something else `is_called` meanwhile."""
    paces = []
    for planned in trainer.plan(0)[:PACE_LOOKS]:
        if is_called():
            return None
        paces.append(_seconds_per_token(trainer, planned))
    tokens = int(trainer.validation_split.lengths.sum())
    # the fastest: the page that is opened meanwhile takes its share of the cores
    return Pace(trainer.machine.device, min(paces), min(_evaluation_seconds(trainer) for _ in range(2)) / tokens, _update_seconds(trainer),
                *_saving_seconds(trainer), has_int8=_has_int8(trainer))


def _update_seconds(trainer: Trainer) -> float:
    """The time of the optimizer's step."""
    return UPDATE * trainer.model.num_parameters(only_trainable=True) if trainer.machine.device == "cpu" else 0.0


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
    """The seconds of the evaluations and checkpoints to come."""
    split, config, evaluation = trainer.validation_split, trainer.config, _evaluation_seconds(trainer)
    int8 = INT8_COST * min(1, INT8_ROWS / len(split.rows)) * evaluation if _has_int8(trainer) else 0.0
    steps, every = trainer.total_steps - trainer.progress.step, config.eval_every or trainer.steps_per_epoch
    return Breaks(evaluation, int8, *_saving_seconds(trainer)).seconds(steps, every, config.checkpoint_every)


def _evaluation_seconds(trainer: Trainer) -> float:
    """The time of an evaluation, by one batch of validation rows."""
    split, batches, model = trainer.validation_split, trainer.validation_split.batches(), trainer.model
    rows, tokens = _few(trainer, batches[len(batches) // 2], split.lengths)
    model.eval()
    start = time.perf_counter()
    answer(model, split.examples, [rows], trainer.machine, [task.name for task in trainer.tasks], split.features)
    return (time.perf_counter() - start) * int(split.lengths.sum()) / tokens / trainer.processes.count


def _saving_seconds(trainer: Trainer) -> tuple[float, float]:
    """The time to save the model, and to save all for a resume, with AdamW's two moments."""
    best = sum(weight.nbytes for weight in learned_weights(trainer.model).values()) / BYTES_PER_SECOND
    return best, best + 8 * trainer.model.num_parameters(only_trainable=True) / BYTES_PER_SECOND


def _has_int8(trainer: Trainer) -> bool:
    return HAS_INT8 and trainer.validation_split.features is None and is_known(trainer.model)


def _few(trainer: Trainer, rows: Sequence[int], lengths: np.ndarray) -> tuple[Sequence[int], int]:
    """The first of the `rows`, few enough for a quick look, and the number of their subwords."""
    tokens = np.cumsum(lengths[rows])
    most = max(LEAST_TOKENS, CPU_WORK / trainer.model.num_parameters()) if trainer.machine.device == "cpu" else math.inf
    count = max(1, int(np.searchsorted(tokens, most, side="right")))
    return rows[:count], int(tokens[count - 1])
