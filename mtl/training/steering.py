"""Steering: the changes in the middle of a run, each written to the log before it holds. What holds at a step follows from the settings and
the log alone, so that a resume, or a run that plans the changes of another one, takes the very same steps. Knows no page and no threads."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from mtl.settings.steering import Steered, check, in_force, merged, one_a_step


class Steering:
    """The changes of one run: planned in its settings, in its log from before a resume, or asked for now."""

    def __init__(self, planned: Sequence[Steered], logged: Iterable[Steered], weights: Mapping[str, float]) -> None:
        """`weights`: those of the tasks. Raises SettingError if the changes do not fit them."""
        self._made = list(logged)  # those after the checkpoint of a resume come into force when the run gets there
        self._planned = one_a_step(planned)
        self._asked: list[Steered] = []
        self._reached, self._holds = 0, in_force((), 0)  # so many changes have come into force, and that is what they come to
        self.wants_checkpoint = False  # set by `between_steps`; saving changes nothing in the run
        check(merged(planned, self._made), weights)

    @property
    def is_asked(self) -> bool:
        """Whether something waits to be done before the next step."""
        return bool(self._asked) or self.wants_checkpoint

    def ask(self, change: Steered) -> None:
        """Ask for a change before the next step, from within `between_steps`; its own `step` does not matter."""
        self._asked.append(change)

    def take(self, step: int) -> list[Steered]:
        """The changes to be written to the log now, after `step` steps: planned for it and not in the log yet, or asked for."""
        new = [change for change in self._planned if change.step == step and change not in self._made]
        new += [replace(change, step=step) for change in self._asked]
        self._asked = []
        return new

    def make(self, change: Steered) -> None:
        """From now on `change` holds; it is in the log."""
        self._made.append(change)

    def at(self, step: int) -> Steered:
        """What holds for the step after `step` steps."""
        if (reached := sum(change.step <= step for change in self._made)) != self._reached:
            self._reached, self._holds = reached, in_force(self._made, step)
        return self._holds if self._holds.step == step else replace(self._holds, step=step, evaluate=False)
