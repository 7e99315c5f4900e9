"""StopControl: how Ctrl-C, the buttons of the page and the time limit of a search ask a training to end. Knows no signals or threads."""

import math
import time
from typing import Any

from mtl.runs.folder import Run


class StopControl:
    """A training reads `stopped` before every step, and while it prepares the data. Subclasses set `is_asked`."""

    is_asked = False  # somebody wants the training to end
    deadline = math.inf  # the time on `clock` at which it ends without being asked
    save_every = math.inf  # seconds between two checkpoints, besides those of the settings
    can_interrupt_preparing = True  # False where several processes train: they must end together, at the same step

    def clock(self) -> float:
        """Seconds from a fixed moment."""
        return time.monotonic()

    @property
    def stopped(self) -> bool:
        """Whether the training is to end before its next step."""
        return self.is_asked or self.clock() >= self.deadline

    def begin(self, run: Run) -> None:
        """Called before a comparison trains `run`, one of its members."""

    def between_steps(self, trainer: Any) -> bool:
        """Called by the training thread before each step, while the model is at rest; returns `stopped`."""
        return self.stopped
