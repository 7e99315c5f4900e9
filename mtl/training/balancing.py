"""Balancing: turns the losses of a step's tasks into one gradient, by the methods that settings/methods.json describes. Most methods are
torchjd's. This file feeds them, spreads a step over batches and processes, and keeps their state; no other file uses torchjd."""

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchjd.aggregation import PCGradWeighting, UPGradWeighting
from torchjd.scalarization import UW, Constant, Random

from mtl.model.randomness import OwnRandomness
from mtl.settings.methods import METHODS
from mtl.tasks.base import IGNORED

UNCERTAINTY_RATE = 1e-2  # learning rate of the log-variances: at the heads' rate they would hardly move in a short run
# Norms are measured at each of the first 10 steps, at every 3rd below 100, then at every 11th: early on they change fast. 11 shares no
# factor with any number of tasks (8 at most), so where the tasks take turns, each gets its turn here too.
EVEN_LOOKS = ((10, 1), (100, 3), (math.inf, 11))
EVEN_SMOOTHING, EVEN_POWER = 0.7, 0.5  # 0.5 was the best of 0, 0.5 and 1 on validation rows
SMALLEST, WORST = 1e-4, 4.0  # of norms and losses, so that no weight is endless; times chance: untrained on rare labels it may be 100
FAMO_RATE, FAMO_DECAY, FAMO_EPSILON = 0.025, 1e-3, 1e-8  # those of the paper; epsilon keeps the logarithm finite


class Balancer(ABC):
    """How one step's losses become gradients: `begin`, then `backward` for each batch, then `finish`. Every batch brings a part of the
    losses: summed over the batches and processes of a step, the parts are the tasks' mean losses. A sampling that draws rows for tasks also
    gives each task a share of the step. It multiplies only the gradient: in the loss, a method that evens out losses would undo it."""

    by_task = False  # needs the gradient of each task alone, so a batch whose rows serve one task each is cut into one batch per task
    needs_second_pass = False  # `update` needs the losses of the same rows after the optimizer's step

    def begin(self, seed: int, batches: int, processes: int = 1, shares: Mapping[str, float] | None = None) -> None:
        """Begin a step of `batches` on each of the `processes`, which all have the same `seed`. Tasks without a share have 1."""
        self.seed, self.batches, self.processes, self.shares = seed, batches, processes, shares or {}
        self.weights: dict[str, float] = {}

    def steer(self, factors: Mapping[str, float]) -> Mapping[str, float]:
        """Multiply the weights of tasks by `factors`; returns those that are left, to multiply the tasks' gradients as a share does."""
        return factors

    @abstractmethod
    def backward(self, losses: dict[str, Tensor]) -> None:
        """Add the gradient of one batch's `losses` (a scalar per task) to the gradients of the step."""

    def finish(self) -> dict[str, float]:
        """Complete the gradients of the step; returns the weight of each task's loss in them."""
        return self.weights

    def wants_norms(self, step: int, tasks: Iterable[str]) -> bool:
        """Whether `learn` needs the gradient norms of these `tasks` at `step` (from 0)."""
        return False

    def learn(self, norms: Mapping[str, float], losses: Mapping[str, float]) -> None:  # noqa: B027 - most methods learn nothing from it
        """Learn from the norm of each task's gradient in the step, and from its loss."""

    def update(self, losses: dict[str, Tensor]) -> None:  # noqa: B027
        """Learn from the losses of the same rows after the optimizer's step."""

    def parameters(self) -> list[nn.Parameter]:
        """The method's own parameters, which the optimizer trains along with the model's."""
        return []

    def state(self) -> dict[str, Any]:
        """What the method has learned, as plain values and tensors. An exact resume needs it."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Load a `state` that was saved."""


class Scalarized(Balancer):
    """A method that combines the losses into one number and takes its gradient: one backward pass, as for a plain sum."""

    def backward(self, losses: dict[str, Tensor]) -> None:
        shares = [self.shares.get(task, 1.0) for task in losses]
        scaled = [share * loss + (1 - share) * loss.detach() for share, loss in zip(shares, losses.values(), strict=True)]
        # scaled up to the size of the whole step's loss, because some methods add constant terms (processes average their gradients)
        values = torch.stack(scaled) * self.batches * self.processes
        received: list[Tensor] = []  # the weights: the derivative of the combined number with respect to each task's loss
        values.register_hook(received.append)
        (self.combine(values, list(losses)) / self.batches).backward()
        self.weights |= dict(zip(losses, (received[0] * self.batches).tolist(), strict=True))

    @abstractmethod
    def combine(self, values: Tensor, tasks: Sequence[str]) -> Tensor:
        """The losses `values` (T) of `tasks`, all or some of the run's tasks, as one number."""


class Weighed(Scalarized):
    """A method to which the user says how much each task counts: `given`."""

    def __init__(self, given: Mapping[str, float]) -> None:
        self._asked = self.given = given

    def steer(self, factors: Mapping[str, float]) -> Mapping[str, float]:
        self.given = {task: weight * factors.get(task, 1.0) for task, weight in self._asked.items()}
        return {}


class Fixed(Weighed):
    """Fixed weights: the user's, or 1 for each task."""

    def combine(self, values: Tensor, tasks: Sequence[str]) -> Tensor:
        return Constant(values.new_tensor([self.given[task] for task in tasks]))(values)


class Even(Weighed):
    """Every task moves the encoder alike: its gradient, measured where the heads first meet, is as long as the others', but shorter the
    more the task has learned. GradNorm (Chen et al., 2018) trains the weights towards these lengths; here they are computed from smoothed
    norms and losses. What is still to be learned is the loss over that of chance, which needs no loss from the first step. The longest
    gradient has about the length 1, so clipping at 1 keeps the step's gradient, and so Adam's steps, about the same over the whole run."""

    def __init__(self, given: Mapping[str, float], chance: Mapping[str, float]) -> None:
        """`given`: how much each task counts; `chance`: the mean loss of a model that knows only how frequent each label is."""
        super().__init__(given)
        self.chance = chance
        self.norms: dict[str, float] = {}
        self.losses: dict[str, float] = {}

    def wants_norms(self, step: int, tasks: Iterable[str]) -> bool:
        every = next(every for below, every in EVEN_LOOKS if step < below)
        return step % every == 0 or not self.norms.keys() >= set(tasks)

    def learn(self, norms: Mapping[str, float], losses: Mapping[str, float]) -> None:
        for task, norm in norms.items():
            if math.isfinite(norm) and math.isfinite(losses[task]):  # else the loop ends the run
                for smoothed, new in ((self.norms, norm), (self.losses, losses[task])):
                    smoothed[task] = EVEN_SMOOTHING * smoothed.get(task, new) + (1 - EVEN_SMOOTHING) * new

    def combine(self, values: Tensor, tasks: Sequence[str]) -> Tensor:
        lengths = {task: self.given[task] * min(max(loss, SMALLEST) / self.chance[task], WORST) ** EVEN_POWER
                   for task, loss in self.losses.items()}
        longest = max(lengths.values(), default=0.0) or 1.0  # the only tasks with a length may be steered to 0
        weights = [lengths[task] / longest / max(self.norms[task], SMALLEST) if task in lengths else self.given[task] for task in tasks]
        return Constant(values.new_tensor(weights))(values)

    def state(self) -> dict[str, Any]:
        return {"norms": self.norms, "losses": self.losses}

    def restore(self, state: dict[str, Any]) -> None:
        self.norms, self.losses = dict(state["norms"]), dict(state["losses"])


def chance_loss(ids: Iterable[int], targets: int) -> float:
    """The mean loss over `targets` of a model that knows only how frequent each of the label `ids` is: their entropy, in nats; 1 if they
    are all the same, as then all is known by chance."""
    counts = Counter(number for number in ids if number != IGNORED)
    entropy = sum(count * math.log(counts.total() / count) for count in counts.values())
    return entropy / targets if entropy else 1.0


class RandomWeights(Scalarized):
    """New random weights at every step: the softmax of normal draws times the number of tasks, so that their mean is 1."""

    def combine(self, values: Tensor, tasks: Sequence[str]) -> Tensor:
        with OwnRandomness(self.seed):  # equal in all batches and processes of the step; on the CPU, because a GPU draws other numbers
            return len(tasks) * Random()(values.cpu()).to(values.device)


class Uncertainty(Scalarized):
    """Each loss is divided by a learned variance, whose logarithm is added. torchjd halves that; doubled, it begins as the plain sum."""

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
    """FAMO (Liu et al., 2023, https://arxiv.org/abs/2306.03792): weights under which all losses fall at one pace, learned from how far each
    fell in a step, times the number of tasks. A step that lacks a task is a plain sum. torchjd's hides state that an exact resume needs."""

    needs_second_pass = True

    def __init__(self, tasks: Sequence[str], device: str) -> None:
        self.tasks, self.logits = list(tasks), nn.Parameter(torch.zeros(len(tasks), device=device))
        self.adam = torch.optim.Adam([self.logits], lr=FAMO_RATE, weight_decay=FAMO_DECAY)

    def combine(self, values: Tensor, tasks: Sequence[str]) -> Tensor:
        if list(tasks) != self.tasks:
            return values.sum()
        shifted = values + FAMO_EPSILON
        self.before = shifted.detach()
        weights = self.logits.softmax(0).detach()
        normalizer = (weights / shifted).sum().detach()  # makes the gradient a convex combination of the tasks' gradients
        return len(tasks) * ((weights / normalizer) * shifted.log()).sum()

    def update(self, losses: dict[str, Tensor]) -> None:
        if list(losses) != self.tasks:
            return
        fell = self.before.log() - (torch.stack(list(losses.values())).detach() + FAMO_EPSILON).log()
        with torch.enable_grad():
            self.logits.grad, = torch.autograd.grad(self.logits.softmax(0), self.logits, grad_outputs=fell)
        self.adam.step()

    def state(self) -> dict[str, Any]:
        return {"famo": {"_w": self.logits.detach()}, "adam": self.adam.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        self.logits.data.copy_(state["famo"]["_w"])
        if state["adam"]:  # None in older checkpoints from before the first update
            self.adam.load_state_dict(state["adam"])


class Surgery(Balancer):
    """A method that compares the tasks' gradients of the encoder (PCGrad, UPGrad): their inner products (the Gramian) give the weights of
    their sum. Each head gets its own task's gradient. The result is that of torchjd's `mtl_backward` and `jac_to_grad`, without a second
    Jacobian in memory. Where tasks have rows of their own, each comes in its own batch, and all tasks together cost as much as one."""

    by_task = True

    def __init__(self, weighting: Callable[[int], nn.Module], shared: Sequence[nn.Parameter], heads: Sequence[nn.Parameter]) -> None:
        """`weighting`: number of tasks -> the function from their Gramian to their weights."""
        self.weighting, self.shared, self.heads = weighting, list(shared), list(heads)
        self.gradients: dict[str, list[Tensor]] = {}  # of each task, for the parameters `shared`

    def backward(self, losses: dict[str, Tensor]) -> None:
        for left, (task, loss) in enumerate(losses.items(), 1 - len(losses)):  # below 0: later losses need the shared graph again
            loss = loss * self.shares.get(task, 1.0)
            found = torch.autograd.grad(loss, self.shared + self.heads, retain_graph=left < 0, allow_unused=True)
            for weight, gradient in zip(self.heads, found[len(self.shared):], strict=True):
                if gradient is not None:
                    weight.grad = gradient if weight.grad is None else weight.grad + gradient
            new = [torch.zeros_like(weight) if gradient is None else gradient for weight, gradient in zip(self.shared, found, strict=False)]
            before = self.gradients.get(task)
            self.gradients[task] = new if before is None else [old + gradient for old, gradient in zip(before, new, strict=True)]

    def finish(self) -> dict[str, float]:
        tasks, gramian = list(self.gradients), inner_products(list(self.gradients.values()))
        weights = torch.ones(len(tasks))
        if len(tasks) > 1 and gramian.isfinite().all():  # otherwise the norm of the plain sum is not finite either: the loop ends the run
            with OwnRandomness(self.seed):  # PCGrad projects against the other tasks in random order
                weights = self.weighting(len(tasks))(gramian)
        self.weights = dict(zip(tasks, weights.tolist(), strict=True))
        for index, weight in enumerate(self.shared):
            weight.grad = sum(factor * self.gradients[task][index] for task, factor in self.weights.items())
        self.gradients = {}
        return self.weights


def inner_products(gradients: Sequence[Sequence[Tensor]]) -> Tensor:
    """The Gramian (T, T), on the CPU, of T gradients, each a list with one tensor per parameter."""
    parts = [torch.stack([torch.stack([(one * other).sum() for other in part]) for one in part]) for part in zip(*gradients, strict=True)]
    return torch.stack(parts).sum(0).cpu()


def make_balancer(balancing: str, weights: dict[str, float], shared: Sequence[nn.Parameter], heads: Sequence[nn.Parameter],
                  device: str, chance: Mapping[str, float]) -> Balancer:
    """The balancer called `balancing` for the tasks of `weights` (in training order, each above 0), the encoder's trainable parameters
    `shared`, those of the `heads`, and each task's loss by `chance`. With one task, or nothing shared to compare: the weighted sum."""
    tasks = list(weights)
    if len(tasks) == 1 or balancing in ("equal", "fixed") or (not shared and (METHODS[balancing].is_gradient or balancing == "even")):
        return Fixed(weights)
    # UPGrad prefers the mean of the gradients, PCGrad the sum; with this preference vector both are the plain sum if nothing conflicts
    makers = {"even": lambda: Even(weights, chance), "random": RandomWeights, "uncertainty": lambda: Uncertainty(tasks, device),
              "famo": lambda: Famo(tasks, device), "pcgrad": lambda: Surgery(lambda count: PCGradWeighting(), shared, heads),
              "upgrad": lambda: Surgery(lambda count: UPGradWeighting(pref_vector=torch.ones(count)), shared, heads)}
    return makers[balancing]()
