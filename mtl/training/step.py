"""One optimizer step as data: its batches, target counts, seeds and learning rate; and the sums that become a StepDone event."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor
from torch.optim import Optimizer

from mtl.runs.events import StepDone
from mtl.settings.steering import Steered
from mtl.training.sampling import Step

LOGGED_STEPS = 1000  # a run logs about this many StepDone events at most, each the mean since the last one
LOGGED_AFTER = 5.0  # seconds of training after which a step is logged anyway, so that a slow run is seen to progress
LOGGED_SHARE = 0.005  # if more, this share of the training time so far: a week of slow steps adds 1,500 events, not 120,000


@dataclass
class TrainingProgress:
    """How far a run is. With the states of model, optimizer and balancer, a resume needs no more: the rest follows from seed, step, log."""

    step: int = 0  # steps done
    best_score: float | None = None
    best_step: int = 0
    stale: int = 0  # evaluations since the best one
    evaluated: int = 0  # the step of the last evaluation
    seconds: float = 0.0  # spent training, without evaluations and pauses
    learned: int = 0  # how often in a row all corrections were right


@dataclass(frozen=True)
class MicroBatch:
    """Rows (B) for one encoder pass, and the tasks with a loss on them. `ignored`: for each task, rows (B, bool) whose labels it skips."""

    rows: np.ndarray
    tasks: list[str]
    ignored: dict[str, np.ndarray]


@dataclass
class TrainingStep:
    """A step of the epoch's plan on this process, and its losses so far."""

    planned: Step
    batches: list[MicroBatch]
    targets: dict[str, int]  # the number of targets of each task in the whole step, on all processes
    dropout_seed: int  # of this process
    steered: Steered  # what holds for it
    factors: Mapping[str, float]  # by which the gradients of tasks are multiplied
    losses: dict[str, Tensor] = field(default_factory=dict)  # summed over the targets of the batches so far; on the device

    def means(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One batch's summed `losses` as its part of the step's mean losses: the gradients of all batches and processes add up."""
        return {task: loss / self.targets[task] for task, loss in losses.items()}

    def count(self, losses: Mapping[str, Tensor]) -> None:
        """Add one batch's summed losses to those of the step."""
        for task, loss in losses.items():
            self.losses[task] = self.losses.get(task, 0) + loss.detach()


def cut_into_batches(step: Step, rank: int, processes: int, batch_size: int, targets: Mapping[str, np.ndarray], tasks: list[str],
                     by_task: bool) -> list[MicroBatch]:
    """The share of process `rank` in the step, in batches. `targets`: for each task the number of targets of every training row (N). With
    `by_task`, for balancers that need each task's gradient alone, a batch in which no row serves two tasks is cut into one batch per task,
    so that the encoder reads only a task's own rows for it. Rows that serve several tasks go through the encoder once."""
    batches, mine = [], np.arange(len(step.rows))[rank::processes]
    for start in range(0, -(-len(step.rows) // processes), batch_size):  # as many as the first process has, whose rows are the most
        places = mine[start:start + batch_size]
        if not len(places):  # a short step left no rows for this process, but it must exchange gradients: it takes any row, without labels
            batches.append(MicroBatch(np.zeros(1, int), tasks, {task: np.ones(1, bool) for task in tasks}))
            continue
        rows, served = step.rows[places], {task: step.serves(task)[places] for task in tasks}
        used = {task: served[task] & (targets[task][rows] > 0) for task in tasks}
        if by_task and len(tasks) > 1 and sum(of_task.astype(int) for of_task in used.values()).max() <= 1:
            batches += [MicroBatch(rows[mask], [task], {task: ~served[task][mask]}) for task, mask in used.items() if mask.any()]
        else:
            batches.append(MicroBatch(rows, tasks, {task: ~of_task for task, of_task in served.items()}))
    return batches


def seed_of(run_seed: int, step: int, *rank: int) -> int:
    """The seed of a step, or of one process's part of it. Nothing before the step can disturb it, so a resume needs no random state."""
    return int(np.random.SeedSequence([run_seed, step, *rank]).generate_state(1, np.uint64)[0] >> 1)


def set_learning_rate(optimizer: Optimizer, factor: float) -> float:
    """Set each parameter group's rate to `factor` times its base rate; returns the rate of the first group (the encoder, if trained)."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
    return optimizer.param_groups[0]["lr"]


def rate_factor(step: int, total: int, warmup: float, schedule: str) -> float:
    """The factor on the base learning rate at `step` (from 0): a linear rise over `warmup` x `total` steps, then the schedule."""
    rise = round(warmup * total)
    if step < rise:
        return (step + 1) / rise
    left = (total - step) / max(1, total - rise)  # 1 at the end of the rise, 0 after the last step
    return {"linear": left, "cosine": (1 - math.cos(math.pi * left)) / 2, "constant": 1.0}[schedule]


class StepLog:
    """Sums over the steps since the last StepDone event. Losses stay tensors until then, because reading one makes a GPU wait."""

    def __init__(self, total_steps: int) -> None:
        self.total_steps, self._every = total_steps, -(-total_steps // LOGGED_STEPS)
        self._logged_at: float | None = None  # seconds of training at the last event of this process
        self._clear()

    def _clear(self) -> None:
        self._losses, self._targets, self._weights = Counter(), Counter(), defaultdict(list)  # by task
        self._rows, self._seconds, self._rate, self._norm = 0, 0.0, 0.0, 0.0

    def is_due_after(self, steps: int, seconds: float) -> bool:
        """Whether to log the step after `steps` steps and `seconds`. A process's first step is always logged, for the user who waits."""
        by_count = (steps + 1) % self._every == 0 or steps + 1 == self.total_steps
        return by_count or self._logged_at is None or seconds - self._logged_at > max(LOGGED_AFTER, LOGGED_SHARE * seconds)

    def add(self, step: TrainingStep, weights: Mapping[str, float], rate: float, norm: float, seconds: float) -> None:
        """Add a step: the `weights` of its tasks' losses, its learning `rate`, its gradient's `norm`, and its `seconds`."""
        self._losses.update(step.losses)
        self._targets.update(step.targets)
        for task, weight in weights.items():
            self._weights[task].append(weight * step.factors.get(task, 1.0))
        self._rows += len(step.planned.rows)
        self._seconds += seconds
        self._rate, self._norm = rate, norm

    def take(self, step: int, epoch: float, seconds: float, gather: Callable[[Any], list[Any]]) -> StepDone | None:
        """The event for the steps since the last event, or None. `gather` collects from all processes, so all of them must call it."""
        if not self._rows:
            return None
        parts = gather({task: loss.item() for task, loss in self._losses.items()})
        losses = {task: sum(part.get(task, 0.0) for part in parts) / count for task, count in self._targets.items()}
        weights = {task: sum(of_task) / len(of_task) for task, of_task in self._weights.items()}
        done = StepDone(step, epoch, losses, self._rate, self._norm, self._rows / self._seconds, seconds, weights)
        self._logged_at = seconds
        self._clear()
        return done
