"""Stepper: one optimizer step, from its rows to the changed weights, and what is told of the steps. Which rows come when is not known
here, nor what happens between two steps."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mtl.data.store import take
from mtl.model.batching import collate
from mtl.model.machine import Machine
from mtl.model.multitask import MultiTaskModel, parameter_groups
from mtl.model.packing import pack
from mtl.model.split import Split
from mtl.runs.events import StepDone
from mtl.settings.config import RunConfig
from mtl.tasks.base import IGNORED
from mtl.training.balancing import UNCERTAINTY_RATE, make_balancer
from mtl.training.dropout import seeded_dropout
from mtl.training.gradient_conflict import Diagnoser, last_layer
from mtl.training.sampling import Step, share


@dataclass
class Window:
    """Sums since the last StepDone event; tensors, so that a GPU is not waited for at every step."""

    losses: dict[str, Tensor] = field(default_factory=dict)
    targets: dict[str, int] = field(default_factory=dict)
    weights: dict[str, list[float]] = field(default_factory=dict)
    rows: int = 0
    seconds: float = 0.0


class Stepper:
    """Takes the steps of a run: the optimizer, the balancer, and the looks at how the tasks get along."""

    def __init__(self, config: RunConfig, model: MultiTaskModel, parallel: nn.Module, split: Split, weights: dict[str, float],
                 pad_id: int, packs: bool, machine: Machine, rank: int, processes: int) -> None:
        self.config, self.model, self.parallel, self.split, self.machine = config, model, parallel, split, machine
        self.packs = packs  # whether several texts share a row of what the encoder reads
        self.pad_id, self.rank, self.processes = pad_id, rank, processes
        trained = [weight for weight in model.encoder.parameters() if weight.requires_grad]
        self.balancer = make_balancer(config.balancing, weights, trained, list(model.heads.parameters()), machine.device)
        groups = parameter_groups(model, config.learning_rate, config.head_learning_rate, config.weight_decay)
        if own := self.balancer.parameters():
            groups.append({"params": own, "lr": UNCERTAINTY_RATE, "base_lr": UNCERTAINTY_RATE, "weight_decay": 0.0})
        self.optimizer = torch.optim.AdamW(groups, fused=True)
        self.diagnoser = Diagnoser(list(weights), last_layer(model.encoder), config.diagnose_every)
        self.window = Window()
        self.step = 0  # steps done

    def optimize(self, step: Step, rate_factor: float) -> tuple[float, dict[str, Tensor]]:
        """One optimizer step; returns the gradient's norm and each task's summed loss on this process's rows.

        Every loss is a sum over this process's rows, divided by the number of labels in the whole step: however the step is cut into
        batches and processes, the gradient is that of one large batch. A gradient that is no number changes nothing.
        """
        start = time.perf_counter()
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * rate_factor
        self.model.train()
        targets = {task: count for task in step.tasks if (count := int(self.split.targets[task][step.rows_of(task)].sum()))}
        batches = share(step, self.rank, self.processes, self.config.batch_size)
        looks = self.diagnoser.wants(self.step)
        self.balancer.begin(self._seed(), len(batches), self.processes, {task: step.share_of(task) for task in targets})
        sums = {task: torch.zeros((), device=self.machine.device) for task in targets}
        with seeded_dropout(self._seed(self.rank), self.machine.device):
            for index, places in enumerate(batches):
                synchronise = self.processes == 1 or index == len(batches) - 1
                for part, tasks in self._parts(step, places, list(targets)):
                    with nullcontext() if synchronise else self.parallel.no_sync():
                        losses = self._losses(step, part, tasks)
                        means = {task: loss / targets[task] for task, loss in losses.items()}
                        if looks:
                            self.diagnoser.look(means)
                        self.balancer.backward(means)
                    for task, loss in losses.items():
                        sums[task] += loss.detach()
        if looks:
            self.diagnoser.close(self.processes)
        weights = self.balancer.finish()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.max_grad_norm or math.inf).item()
        if math.isfinite(norm):
            self.optimizer.step()
            if self.balancer.looks_back:
                self._look_back(step, batches[0], targets)
            self.optimizer.zero_grad()
            self.step += 1
            self._count(sums, targets, weights, len(step.rows), time.perf_counter() - start)
        return norm, sums

    def _losses(self, step: Step, places: np.ndarray, tasks: Sequence[str]) -> dict[str, Tensor]:
        """One pass of the model over the rows at `places` of the step; each task's summed loss."""
        # a process that a short step left without rows still takes part: with a row whose labels are all ignored
        rows, device = step.rows[places] if len(places) else [0], self.machine.device
        encodings, ids = zip(*take(self.split.examples, rows), strict=True)
        batch = collate(encodings, self.pad_id, ids, [self.model.tasks[task] for task in tasks])
        labels = batch["labels"]
        for task, of_task in labels.items():
            if not len(places):
                of_task.fill_(IGNORED)
            elif step.owners is not None:
                of_task[torch.from_numpy(step.owners[places] != step.tasks.index(task))] = IGNORED
        states = None if self.split.states is None else self.split.states.batch(rows).to(device)
        packing = pack([len(encoding.ids) for encoding in encodings]).to(device) if self.packs else None
        with self.machine.autocast():
            out = self.parallel(batch["input_ids"].to(device), batch["attention_mask"].to(device),
                                labels={task: of_task.to(device) for task, of_task in labels.items()}, states=states, packing=packing)
        return out.losses

    def _parts(self, step: Step, places: np.ndarray, tasks: list[str]) -> list[tuple[np.ndarray, list[str]]]:
        """The batch `places` with its tasks; or, for a balancer that goes task by task, cut into a batch a task if no row is for two."""
        if self.balancer.by_task and len(tasks) > 1:
            rows = step.rows[places]
            used = np.array([(self.split.targets[task][rows] > 0) & ((step.owners is None) or step.owners[places] == step.tasks.index(task))
                             for task in tasks])  # (T, rows)
            if used.sum(0).max() <= 1:
                return [(places[mask], [task]) for task, mask in zip(tasks, used, strict=True) if mask.any()]
        return [(places, tasks)]

    def _look_back(self, step: Step, places: np.ndarray, targets: dict[str, int]) -> None:
        """Tell the balancer the losses of the same rows, with the same features hidden, after the step."""
        with torch.no_grad(), seeded_dropout(self._seed(self.rank), self.machine.device):
            losses = self._losses(step, places, list(targets))
            self.balancer.update({task: loss / targets[task] for task, loss in losses.items()})

    def _seed(self, *process: int) -> int:
        """The randomness of a step (of one process), a function of seed and step: nothing has to be saved for exact resume, and nothing
        that happened between two steps can disturb it."""
        return int(np.random.SeedSequence([self.config.seed, self.step, *process]).generate_state(1, np.uint64)[0] >> 1)

    def _count(self, sums: dict[str, Tensor], targets: dict[str, int], weights: dict[str, float], rows: int, seconds: float) -> None:
        window = self.window
        for task, loss in sums.items():
            window.losses[task] = window.losses.get(task, 0) + loss
            window.targets[task] = window.targets.get(task, 0) + targets[task]
        for task, weight in weights.items():
            window.weights.setdefault(task, []).append(weight)
        window.rows += rows
        window.seconds += seconds

    def told(self, epoch: float, rate: float, norm: float, seconds: float, gather: Callable[[list[Any]], list[Any]]) -> StepDone:
        """The event for the steps since the last one; `gather` collects from all processes."""
        window, self.window = self.window, Window()
        parts = gather([{task: loss.item() for task, loss in window.losses.items()}])
        losses = {task: sum(part[task] for part in parts) / count for task, count in window.targets.items()}
        weights = {task: sum(of_task) / len(of_task) for task, of_task in window.weights.items()}
        return StepDone(self.step, epoch, losses, rate, norm, window.rows / window.seconds, seconds, weights)


def rate_factor(step: int, total: int, warmup: float, schedule: str) -> float:
    """What the base learning rate is multiplied with at `step` (from 0): a linear rise over `warmup` x `total` steps, then the schedule."""
    rise = round(warmup * total)
    if step < rise:
        return (step + 1) / rise
    left = (total - step) / max(1, total - rise)  # 1 at the end of the rise, 0 after the last step
    return {"linear": left, "cosine": (1 - math.cos(math.pi * left)) / 2, "constant": 1.0}[schedule]
