"""From the losses of a step's tasks to one gradient, by the methods that methods.py describes. The weights and the surgery are torchjd's;
what is here gives them what they need and keeps their state. The only file that knows torchjd."""

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

    The losses handed in are each process's part of the step's: added up over batches and processes they are the tasks' mean losses. A
    sampling that draws rows for tasks gives each task its share of the step. It counts besides the balancer's own weight: the share is
    put on the gradient alone, since a method that evens out how large losses are would undo it on the loss.
    """

    by_task = False  # whether each task's gradient is wanted by itself, so that rows of one task had better be a batch of their own
    looks_back = False  # whether `update` wants to be told the losses again after the step

    def begin(self, seed: int, batches: int, processes: int = 1, shares: Mapping[str, float] | None = None) -> None:
        """A step of so many batches on each process begins; `seed` is the same on all of them. `shares` of the tasks: 1 if not given."""
        self.seed, self.batches, self.processes, self.shares = seed, batches, processes, shares or {}
        self.weights: dict[str, float] = {}

    @abstractmethod
    def backward(self, losses: dict[str, Tensor]) -> None:
        """Add one batch's part to the gradients."""

    def finish(self) -> dict[str, float]:
        """The gradients are complete; returns the weight that each task's loss had in them."""
        return self.weights

    def update(self, losses: dict[str, Tensor]) -> None:  # noqa: B027 - most have nothing to learn from it
        """The losses of the same rows after the step."""

    def parameters(self) -> list[nn.Parameter]:
        """What the optimizer has to train beside the model."""
        return []

    def state(self) -> dict[str, Any]:
        """What exact resume needs, as plain values and tensors."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Go back to what `state` gave."""


class Scalarized(Balancer):
    """A method that turns the losses into one number, of which the gradient is taken: one backward pass, as for a plain sum."""

    def backward(self, losses: dict[str, Tensor]) -> None:
        # several processes average their gradients, where the sum is wanted; what is added to the losses (as uncertainty weighting does)
        # must count once in a step, not once a batch
        values = torch.stack([_with_gradient_times(self.shares.get(task, 1.0), loss) for task, loss in losses.items()])
        values = values * self.batches * self.processes
        received: list[Tensor] = []
        values.register_hook(received.append)
        (self.combine(values, list(losses)) / self.batches).backward()
        self.weights |= dict(zip(losses, (received[0] * self.batches).tolist(), strict=True))

    @abstractmethod
    def combine(self, values: Tensor, tasks: Sequence[str]) -> Tensor:
        """The losses of `tasks`, some of the run's, as one number."""


def _with_gradient_times(factor: float, loss: Tensor) -> Tensor:
    """`loss`, of which the gradient is `factor` times as long."""
    return loss if factor == 1 else factor * loss + (1 - factor) * loss.detach()


class Fixed(Scalarized):
    """Weights that the user gave, or 1 for each."""

    def __init__(self, weights: dict[str, float]) -> None:
        self.given = weights

    def combine(self, values: Tensor, tasks: Sequence[str]) -> Tensor:
        return Constant(values.new_tensor([self.given[task] for task in tasks]))(values)


class RandomWeights(Scalarized):
    """New weights for every step, the softmax of normal draws; times the number of tasks, so that on average it is the plain sum."""

    def combine(self, values: Tensor, tasks: Sequence[str]) -> Tensor:
        with OwnRandomness(self.seed):
            return len(tasks) * Random()(values.cpu()).to(values.device)


class Uncertainty(Scalarized):
    """Each loss is divided by its learned variance, whose logarithm is added. Twice torchjd's, so that it begins as the plain sum."""

    def __init__(self, tasks: Sequence[str], device: str) -> None:
        self.learned = {task: UW(1).to(device) for task in tasks}

    def combine(self, values: Tensor, tasks: Sequence[str]) -> Tensor:
        return 2 * torch.stack([self.learned[task](value[None]) for task, value in zip(tasks, values, strict=True)]).sum()

    def finish(self) -> dict[str, float]:
        for weight in self.parameters():
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
    """Weights that let all losses fall at the same pace; learned from how much each fell in the step. Times the number of tasks, as
    RandomWeights. A step that lacks a task, and so cannot tell, is a plain sum."""

    looks_back = True

    def __init__(self, tasks: Sequence[str], device: str) -> None:
        self.tasks, self.famo = list(tasks), FAMO(len(tasks)).to(device)

    def combine(self, values: Tensor, tasks: Sequence[str]) -> Tensor:
        self.whole = list(tasks) == self.tasks
        return len(tasks) * self.famo(values) if self.whole else values.sum()

    def update(self, losses: dict[str, Tensor]) -> None:
        if self.whole:
            self.famo.update(torch.stack(list(losses.values())))

    def state(self) -> dict[str, Any]:
        learner = self.famo._optimizer  # torchjd leaves it out of its state_dict
        return {"famo": self.famo.state_dict(), "adam": learner.state_dict() if learner else None}

    def restore(self, state: dict[str, Any]) -> None:
        self.famo.load_state_dict(state["famo"])
        if state["adam"]:
            self.famo._optimizer = torch.optim.Adam([self.famo._w], lr=self.famo.lr, weight_decay=self.famo.weight_decay)
            self.famo._optimizer.load_state_dict(state["adam"])


class Surgery(Balancer):
    """A method that looks at each task's gradient of the shared encoder: they are taken one by one, their inner products (the Gramian)
    give the weights, and the weighted sum is the gradient. The heads, which no two tasks share, get their own.

    Equal to torchjd's `mtl_backward` and `jac_to_grad`, without its second Jacobian; and where tasks have rows of their own, which come
    as a batch each, all tasks together cost what one does.
    """

    by_task = True

    def __init__(self, weighting: type[PCGradWeighting] | type[UPGradWeighting], shared: Sequence[nn.Parameter],
                 heads: Sequence[nn.Parameter]) -> None:
        self.weighting, self.shared, self.heads = weighting, list(shared), list(heads)

    def begin(self, seed: int, batches: int, processes: int = 1, shares: Mapping[str, float] | None = None) -> None:
        super().begin(seed, batches, processes, shares)
        self.gradients: dict[str, list[Tensor]] = {}

    def backward(self, losses: dict[str, Tensor]) -> None:
        for left, (task, loss) in enumerate(losses.items(), 1 - len(losses)):
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
        if len(tasks) > 1 and gramian.isfinite().all():  # else the norm of the sum will tell
            preference = {"pref_vector": torch.ones(len(tasks))} if self.weighting is UPGradWeighting else {}
            with OwnRandomness(self.seed):  # PCGrad goes through the other tasks in a random order
                weights = self.weighting(**preference)(gramian)  # without a conflict each weight is 1: the plain sum
        for index, weight in enumerate(self.shared):
            weight.grad = sum(factor * self.gradients[task][index] for task, factor in zip(tasks, weights.tolist(), strict=True))
        self.gradients = {}
        return dict(zip(tasks, weights.tolist(), strict=True))


def inner_products(gradients: Sequence[Sequence[Tensor]]) -> Tensor:
    """The Gramian (T, T), on the CPU, of T gradients, each given in the same pieces."""
    pieces = [torch.stack([torch.stack([(one * other).sum() for other in piece]) for one in piece])
              for piece in zip(*gradients, strict=True)]
    return torch.stack(pieces).sum(0).cpu()


def make_balancer(balancing: str, weights: dict[str, float], shared: Sequence[nn.Parameter], heads: Sequence[nn.Parameter],
                  device: str) -> Balancer:
    """The balancer called `balancing` for the tasks of `weights` (in training order, each above 0), the encoder's trainable parameters
    `shared` and those of the `heads`. With one task there is nothing to balance, and every method is the plain gradient; so are those
    that look at gradients where nothing is shared, because every layer is frozen."""
    tasks = list(weights)
    if len(tasks) == 1 or balancing in ("equal", "fixed") or (METHODS[balancing].is_gradient and not shared):
        return Fixed(weights)
    if METHODS[balancing].is_gradient:
        return Surgery({"pcgrad": PCGradWeighting, "upgrad": UPGradWeighting}[balancing], shared, heads)
    return {"random": RandomWeights, "uncertainty": lambda: Uncertainty(tasks, device), "famo": lambda: Famo(tasks, device)}[balancing]()
