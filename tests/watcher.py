"""Somebody who watches a training, and stops it at a certain step."""

import math
from dataclasses import dataclass, field

from mtl.runs.stop import StopControl


@dataclass
class Watcher(StopControl):
    """Asks for a stop before step number `step` (from 0); of a comparison, in its run number `run` (from 1). Notes the runs that began."""

    step: float = math.inf
    run: int = 0
    begun: list[str] = field(default_factory=list)

    def begin(self, run) -> None:
        self.begun.append(run.id)

    def between_steps(self, trainer) -> bool:
        self.is_asked = self.is_asked or len(self.begun) >= self.run and trainer.progress.step >= self.step
        return self.stopped
