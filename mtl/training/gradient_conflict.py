"""Gradient conflict: the norm of each task's gradient and the cosines between them, every few steps, on the encoder's last layer, where
all heads' gradients first meet. Why norms matter most: Elich et al. (2024, https://arxiv.org/abs/2311.04698)."""

from collections.abc import Mapping, Sequence
from itertools import chain, combinations

import torch
from torch import Tensor, nn

from mtl.model.multitask import layer_lists
from mtl.runs.events import GradientConflict
from mtl.training.balancing import inner_products

MOST = 500  # measurements in a run; in a long run they come less often than the setting says


class ConflictMeter:
    """Collects a gradient of every task, from one step or, if a step has one task, from several in a row, and compares them."""

    def __init__(self, tasks: Sequence[str], watched: Sequence[nn.Parameter], every: int, total_steps: int) -> None:
        """Measure the gradients of the parameters `watched` at every `every`-th of `total_steps` steps (0: never)."""
        self.tasks, self.watched = list(tasks), list(watched)
        self.every = max(every, -(-total_steps // MOST)) if every and watched and len(self.tasks) > 1 else 0
        self._is_measuring = False  # from a step that is due until every task has a gradient
        self._of_step: dict[str, list[Tensor]] = {}  # each task's gradient, then its loss, summed over the batches of this step
        self._found: dict[str, list[Tensor]] = {}  # gradients of whole steps

    def measure(self, step: int, losses: Mapping[str, Tensor], is_wanted: bool = False) -> None:
        """If one is due at `step` (from 0), or `is_wanted` for it alone, add the gradients of a batch's `losses`, keeping the graph."""
        self._is_measuring = self._is_measuring or (self.every > 0 and step % self.every == 0)
        for task, loss in losses.items() if self._is_measuring or is_wanted else ():
            found = *torch.autograd.grad(loss, self.watched, retain_graph=True, allow_unused=True), loss.detach()
            before = self._of_step.get(task) or [torch.zeros_like(weight) for weight in (*self.watched, loss)]
            self._of_step[task] = [total if gradient is None else total + gradient for total, gradient in zip(before, found, strict=True)]

    def of_step(self, processes: int = 1) -> tuple[dict[str, float], dict[str, float]]:
        """The gradient norm and the mean loss of each task that was measured in this step, summed over the `processes`."""
        if processes > 1:
            for tensor in chain.from_iterable(self._of_step.values()):
                torch.distributed.all_reduce(tensor)
        norms = {task: nn.utils.get_total_norm(parts[:-1]).item() for task, parts in self._of_step.items()}
        return norms, {task: parts[-1].item() for task, parts in self._of_step.items()}

    def finish(self, steps: int) -> GradientConflict | None:
        """End step number `steps`; returns the measurement once every task has a gradient."""
        self._found |= {task: parts[:-1] for task, parts in self._of_step.items() if self._is_measuring}
        self._of_step = {}
        if not self._is_measuring or self._found.keys() < set(self.tasks):
            return None
        gramian = inner_products([self._found[task] for task in self.tasks])
        self._found, self._is_measuring = {}, False
        norms = gramian.diagonal().sqrt()
        cosines = (gramian / (norms[:, None] * norms)).clamp(-1, 1)  # rounding can exceed 1
        pairs = combinations(range(len(self.tasks)), 2)
        return GradientConflict(steps, dict(zip(self.tasks, norms.tolist(), strict=True)),
                                [[self.tasks[one], self.tasks[other], cosines[one, other].item()] for one, other in pairs])


def last_layer(encoder: nn.Module) -> list[nn.Parameter]:
    """The trainable parameters of the encoder's last layer, or of the whole encoder if its layers cannot be identified."""
    parts = [layers[-1] for layers in layer_lists(encoder)] or [encoder]
    return [weight for part in parts for weight in part.parameters() if weight.requires_grad]
