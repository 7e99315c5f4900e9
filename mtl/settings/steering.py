"""Changes in the middle of a run: what one is, how it is said, and what several come to. A run's log has them as events, and the settings
of a run may plan them, so that it repeats another one exactly. Knows no training."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from mtl.errors import SettingError
from mtl.text import isolate

MOST = 4  # times as much as the settings of the run say
Factor = Annotated[float, Field(ge=0, le=MOST, strict=True)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Steered:
    """The run was steered after `step` steps, which holds from the next step on, until it is changed again.

    `weights`: for some tasks, by what the weight of the task in the gradient is multiplied, whatever the balancing makes of weights: with
    'even' the length of the task's gradient, else its loss. Which checkpoint is the best stays by the weights of the settings. `rate`: by
    what all learning rates are multiplied. `frozen`: the encoder (its adapters, with 'lora') gets no update and no weight decay, and Adam's
    moments of it stand still; its gradient is still computed, because the balancing measures it. `evaluate`: score all validation rows
    after `step`, unless that is done anyway; like any other evaluation it may be the best, and counts for patience."""

    step: Annotated[int, Field(ge=0, strict=True)]
    weights: dict[str, Factor] = Field(default_factory=dict)
    rate: Factor | None = None
    frozen: Annotated[bool, Field(strict=True)] | None = None
    evaluate: Annotated[bool, Field(strict=True)] = False

    @property
    def parts(self) -> list[str]:
        """What is changed, for people."""
        parts = [f"weight of {isolate(task)} × {factor:g}" for task, factor in self.weights.items()]
        parts += [f"learning rate × {self.rate:g}"] if self.rate is not None else []
        parts += [f"encoder {'frozen' if self.frozen else 'no longer frozen'}"] if self.frozen is not None else []
        return parts + ["evaluation"] * self.evaluate

    @property
    def said(self) -> str:
        """The change as a sentence."""
        return f"Steered after step {self.step:,}: {', '.join(self.parts)}."


def one_a_step(changes: Iterable[Steered]) -> list[Steered]:
    """The same changes in order, all those of one step as one."""
    found: dict[int, Steered] = {}
    for change in sorted(changes, key=lambda change: change.step):  # of one step in the order in which they were made
        found[change.step] = _then(found.get(change.step, Steered(0)), change)
    return list(found.values())


def merged(planned: Iterable[Steered], logged: Sequence[Steered]) -> list[Steered]:
    """All changes of a run, one a step, in order: those in its log, and the planned ones that it does not have yet."""
    return one_a_step([*logged, *(change for change in one_a_step(planned) if change not in logged)])


def in_force(changes: Iterable[Steered], step: int) -> Steered:
    """What the `changes` come to for the step after `step` steps: the factors of the tasks that have one, the rate's, whether the encoder
    is frozen, and whether there is an evaluation at just this point."""
    holds = Steered(0, {}, 1.0, False)
    for change in one_a_step(changes):
        if change.step <= step:
            holds = _then(replace(holds, evaluate=False), change)
    return replace(holds, step=step, evaluate=holds.evaluate and holds.step == step)


def _then(before: Steered, change: Steered) -> Steered:
    return Steered(change.step, before.weights | change.weights, before.rate if change.rate is None else change.rate,
                   before.frozen if change.frozen is None else change.frozen, before.evaluate or change.evaluate)


def check(changes: Iterable[Steered], weights: Mapping[str, float]) -> None:
    """Raises SettingError if one of the `changes` names a task that is not trained. `weights`: those of the run's tasks."""
    trained = [task for task, weight in weights.items() if weight]
    for change in changes:
        if unknown := [task for task in change.weights if task not in trained]:
            raise SettingError("Steering", "steering", f"there is no task '{isolate(unknown[0])}' to steer after step {change.step:,}. The "
                               f"trained tasks are: {', '.join(map(isolate, trained))}. Drop the changes, or choose the same tasks.")
