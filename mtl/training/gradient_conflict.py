"""How the tasks get along in the shared encoder: how long each task's gradient is there, and how far two of them point the same way
(their cosine). Looked at now and then, on the encoder's last layer, where the heads' gradients first meet: the rest of the way down would
cost as much as a step for every task. Elich et al. (2024, https://arxiv.org/abs/2311.04698) on why the lengths come first."""

from collections.abc import Sequence
from itertools import chain, combinations

import torch
from torch import Tensor, nn

from mtl.model.multitask import layer_lists
from mtl.runs.events import Diagnosed
from mtl.training.balancing import inner_products


class Diagnoser:
    """Collects a gradient of every task, that of a whole step or, where a step has one task, of several in a row; then tells."""

    def __init__(self, tasks: Sequence[str], watched: Sequence[nn.Parameter], every: int) -> None:
        self.tasks, self.watched = list(tasks), list(watched)
        self.every = every if watched and len(self.tasks) > 1 else 0
        self._of_step: dict[str, list[Tensor]] = {}  # sums over the batches of a step
        self._found: dict[str, list[Tensor]] = {}  # those of whole steps
        self._looking = False

    def at_most_every(self, steps: int) -> None:
        """Look less often than was asked if that would be more often than every so many steps."""
        self.every = self.every and max(self.every, steps)

    def wants(self, step: int) -> bool:
        """Whether to `look` at `step` (from 0): at every `every`-th, and from there until each task was seen."""
        self._looking = self._looking or (self.every > 0 and step % self.every == 0)
        return self._looking

    def look(self, losses: dict[str, Tensor]) -> None:
        """Add the gradients of one batch's part of the step's mean losses; their graph is kept for the step itself."""
        for task, loss in losses.items():
            found = torch.autograd.grad(loss, self.watched, retain_graph=True, allow_unused=True)
            before = self._of_step.get(task) or [torch.zeros_like(weight) for weight in self.watched]
            self._of_step[task] = [total if gradient is None else total + gradient for total, gradient in zip(before, found, strict=True)]

    def close(self, processes: int = 1) -> None:
        """The step that was looked at has no more batches; each of the `processes` has looked at its rows of it."""
        if processes > 1:
            for gradient in chain.from_iterable(self._of_step.values()):
                torch.distributed.all_reduce(gradient)
        self._found |= self._of_step
        self._of_step = {}

    def told(self, step: int) -> Diagnosed | None:
        """What was found, once every task was seen; `step` is the number of steps done."""
        if not self._looking or self._found.keys() < set(self.tasks):
            return None
        gramian = inner_products([self._found[task] for task in self.tasks])
        self._found, self._looking = {}, False
        norms = gramian.diagonal().sqrt()
        cosines = (gramian / (norms[:, None] * norms)).clamp(-1, 1)
        pairs = combinations(range(len(self.tasks)), 2)
        return Diagnosed(step, dict(zip(self.tasks, norms.tolist(), strict=True)),
                         [[self.tasks[one], self.tasks[other], cosines[one, other].item()] for one, other in pairs])


def last_layer(encoder: nn.Module) -> list[nn.Parameter]:
    """The trainable parameters of the encoder's last layer; of the whole encoder if its layers cannot be told apart."""
    parts = [layers[-1] for layers in layer_lists(encoder)] or [encoder]
    return [weight for part in parts for weight in part.parameters() if weight.requires_grad]
