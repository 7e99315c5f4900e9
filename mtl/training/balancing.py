"""Balancing: from the losses of a step's tasks to one gradient, by the methods that settings/methods.py describes. The methods themselves
are torchjd's; this file feeds them, spreads a step over batches and processes, and keeps their state. Only it knows torchjd."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchjd.aggregation import PCGradWeighting, UPGradWeighting
from torchjd.scalarization import FAMO, UW, Constant, Random

from mtl.model.randomness import OwnRandomness
from mtl.settings.methods import METHODS

UNCERTAINTY_RATE = 1e-2  # step size of the log-variances: at the heads' rate they would hardly move in a short run


class Balancer(ABC):
    """How one step's losses become gradients: `begin`, then `backward` for every batch, then `finish`.

    Losses come in parts: added up over the batches and processes of a step they are the tasks' mean losses. A sampling that draws rows
    for tasks also gives each task a share of the step. The share multiplies the gradient only and not the loss, because a method that
    evens out the sizes of losses would undo it there.
    """

    by_task = False  # needs each task's gradient by itself: a batch whose rows serve one task each is then cut into one a task
    looks_back = False  # needs the losses of the same rows again after the optimizer's step, in `update`

    def begin(self, seed: int, batches: int, processes: int = 1, shares: Mapping[str, float] | None = None) -> None:
        """Begin a step of so many batches on each of the processes, for all of which `seed` is the same; a task without a share has 1."""
        self.seed, self.batches, self.processes, self.shares = seed, batches, processes, shares or {}
        self.weights: dict[str, float] = {}

    @abstractmethod
    def backward(self, losses: dict[str, Tensor]) -> None:
        """Add the gradient of one batch's losses (scalars, by task) to what was added before."""

    def finish(self) -> dict[str, float]:
        """Complete the gradients of the step; returns the weight that each task's loss has in them."""
        return self.weights

    def update(self, losses: dict[str, Tensor]) -> None:  # noqa: B027 - most have nothing to learn from it
        """Learn from the losses of the same rows after the optimizer's step."""

    def parameters(self) -> list[nn.Parameter]:
        """The method's own parameters, which the optimizer trains with the model's."""
        return []

    def state(self) -> dict[str, Any]:
        """What the method has learned and an exact resume needs, as plain values and tensors."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Take up a `state` from before."""


class Scalarized(Balancer):
    """A method that combines the losses into one number, whose gradient is taken: one backward pass, as for a plain sum."""

    def backward(self, losses: dict[str, Tensor]) -> None:
        # The method gets values as large as the whole step's loss, though this is one batch of one process: the result is divided by the
        # batches again, and processes average their gradients. So a term that a method adds, such as the log-variances of uncertainty
        # weighting, counts once in a step and not once a batch.
        values = torch.stack([_with_gradient_times(self.shares.get(task, 1.0), loss) for task, loss in losses.items()])
        values = values * self.batches * self.processes
        received: list[Tensor] = []  # the weights: each is the derivative of the combined number by a task's loss
        values.register_hook(received.append)
        (self.combine(values, list(losses)) / self.batches).backward()
        self.weights |= dict(zip(losses, (received[0] * self.batches).tolist(), strict=True))

    @abstractmethod
    def combine(self, values: Tensor, tasks: Sequence[str]) -> Tensor:
        """The losses `values` (T) of `tasks`, which are all or some of the run's, as one number."""


def _with_gradient_times(factor: float, loss: Tensor) -> Tensor:
    """The same value as `loss`, with `factor` times its gradient."""
    return loss if factor == 1 else factor * loss + (1 - factor) * loss.detach()


class Fixed(Scalarized):
    """Fixed weights: those that the user gave, or 1 for each task."""

    def __init__(self, weights: dict[str, float]) -> None:
        self.given = weights

    def combine(self, values: Tensor, tasks: Sequence[str]) -> Tensor:
        return Constant(values.new_tensor([self.given[task] for task in tasks]))(values)


class RandomWeights(Scalarized):
    """New random weights at every step: the softmax of normal draws, times the number of tasks, so that they average 1."""

    def combine(self, values: Tensor, tasks: Sequence[str]) -> Tensor:
        with OwnRandomness(self.seed):  # the same weights in every batch and process of the step; drawn on the CPU, as a GPU draws others
            return len(tasks) * Random()(values.cpu()).to(values.device)


class Uncertainty(Scalarized):
    """Uncertainty weighting: each loss is divided by a learned variance, whose logarithm is added. Twice torchjd's formula, which halves
    the losses, so that training begins as with the plain sum."""

    def __init__(self, tasks: Sequence[str], device: str) -> None:
        self.learned = {task: UW(1).to(device) for task in tasks}

    def combine(self, values: Tensor, tasks: Sequence[str]) -> Tensor:
        return 2 * torch.stack([self.learned[task](value[None]) for task, value in zip(tasks, values, strict=True)]).sum()

    def finish(self) -> dict[str, float]:
        for weight in self.parameters():  # they are not in the model, so DistributedDataParallel does not average their gradients
            if self.processes > 1 and weight.grad is not None:
                torch.distributed.all_reduce(weight.grad)
                weight.grad /= self.processes
        return self.weights

    def parameters(self) -> list[nn.Parameter]:
        return [weight for learned in self.learned.values() for weight in learned.parameters()]

    def state(self) -> dict[str, Any]:
        return {task: learned.state_dict() for task, learned in self.learned.items()}

    def restore(self, state: dict[str, Any]) -> None:
        for task, learned in self.learned.items():
            learned.load_state_dict(state[task])


class Famo(Scalarized):
    """FAMO: weights under which all losses fall at the same pace, learned from how far each fell in a step; times the number of tasks, as
    in RandomWeights. A step that lacks a task cannot be compared, and is a plain sum."""

    looks_back = True

    def __init__(self, tasks: Sequence[str], device: str) -> None:
        self.tasks, self.famo = list(tasks), FAMO(len(tasks)).to(device)

    def combine(self, values: Tensor, tasks: Sequence[str]) -> Tensor:
        return len(tasks) * self.famo(values) if list(tasks) == self.tasks else values.sum()

    def update(self, losses: dict[str, Tensor]) -> None:
        if list(losses) == self.tasks:
            self.famo.update(torch.stack(list(losses.values())))

    def state(self) -> dict[str, Any]:
        # torchjd's state_dict leaves out FAMO's own Adam, and there is no public way to it; without it a resume would not be exact
        adam = self.famo._optimizer
        return {"famo": self.famo.state_dict(), "adam": adam.state_dict() if adam else None}

    def restore(self, state: dict[str, Any]) -> None:
        self.famo.load_state_dict(state["famo"])
        if state["adam"]:
            adam = torch.optim.Adam(self.famo.parameters(), lr=self.famo.lr, weight_decay=self.famo.weight_decay)
            adam.load_state_dict(state["adam"])
            self.famo._optimizer = adam  # torchjd makes it at the first update


class Surgery(Balancer):
    """A method that compares the tasks' gradients (PCGrad, UPGrad). The gradients of the shared encoder are taken task by task; their inner
    products (the Gramian) give the weights, and their weighted sum is the gradient. Each head gets the gradient of its own task.

    The result is that of torchjd's `mtl_backward` and `jac_to_grad`, without their second Jacobian in memory. Where tasks have rows of
    their own, each comes in a batch of its own, and all tasks together cost as much as one.
    """

    by_task = True

    def __init__(self, weighting: type[PCGradWeighting] | type[UPGradWeighting], shared: Sequence[nn.Parameter],
                 heads: Sequence[nn.Parameter]) -> None:
        self.weighting, self.shared, self.heads = weighting, list(shared), list(heads)

    def begin(self, seed: int, batches: int, processes: int = 1, shares: Mapping[str, float] | None = None) -> None:
        super().begin(seed, batches, processes, shares)
        self.gradients: dict[str, list[Tensor]] = {}

    def backward(self, losses: dict[str, Tensor]) -> None:
        for left, (task, loss) in enumerate(losses.items(), 1 - len(losses)):  # below 0: others still need the graph they share
            loss = loss * self.shares.get(task, 1.0)
            found = torch.autograd.grad(loss, self.shared + self.heads, retain_graph=left < 0, allow_unused=True)
            for weight, gradient in zip(self.heads, found[len(self.shared):], strict=True):
                if gradient is not None:
                    weight.grad = gradient if weight.grad is None else weight.grad + gradient
            new = [torch.zeros_like(weight) if gradient is None else gradient
                   for weight, gradient in zip(self.shared, found, strict=False)]
            before = self.gradients.get(task)
            self.gradients[task] = new if before is None else [old + gradient for old, gradient in zip(before, new, strict=True)]

    def finish(self) -> dict[str, float]:
        tasks = list(self.gradients)
        gramian = inner_products(list(self.gradients.values()))
        weights = torch.ones(len(tasks))
        if len(tasks) > 1 and gramian.isfinite().all():  # else the norm of the plain sum is not finite either: the loop ends the run
            # UPGrad prefers the mean of the gradients, PCGrad the sum; with this preference both are the plain sum if nothing conflicts
            preference = {"pref_vector": torch.ones(len(tasks))} if self.weighting is UPGradWeighting else {}
            with OwnRandomness(self.seed):  # PCGrad projects against the other tasks in random order
                weights = self.weighting(**preference)(gramian)
        for index, weight in enumerate(self.shared):
            weight.grad = sum(factor * self.gradients[task][index] for task, factor in zip(tasks, weights.tolist(), strict=True))
        self.gradients = {}
        return dict(zip(tasks, weights.tolist(), strict=True))


def inner_products(gradients: Sequence[Sequence[Tensor]]) -> Tensor:
    """The Gramian (T, T), on the CPU, of T gradients, each given as a list of tensors, one for each parameter."""
    pieces = [torch.stack([torch.stack([(one * other).sum() for other in piece]) for one in piece])
              for piece in zip(*gradients, strict=True)]
    return torch.stack(pieces).sum(0).cpu()


def make_balancer(balancing: str, weights: dict[str, float], shared: Sequence[nn.Parameter], heads: Sequence[nn.Parameter],
                  device: str) -> Balancer:
    """The balancer called `balancing` for the tasks of `weights` (in training order, each above 0), the encoder's trainable parameters
    `shared` and those of the `heads`. It is the weighted sum where there is nothing to balance: with one task, or if a method compares
    gradients of an encoder whose every layer is frozen."""
    tasks = list(weights)
    if len(tasks) == 1 or balancing in ("equal", "fixed") or (METHODS[balancing].is_gradient and not shared):
        return Fixed(weights)
    if METHODS[balancing].is_gradient:
        return Surgery({"pcgrad": PCGradWeighting, "upgrad": UPGradWeighting}[balancing], shared, heads)
    return {"random": RandomWeights, "uncertainty": lambda: Uncertainty(tasks, device), "famo": lambda: Famo(tasks, device)}[balancing]()
