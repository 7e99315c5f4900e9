"""A run, or a comparison with all its runs, that waits or is in training."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from filelock import FileLock

from mtl.comparing.execute import run_comparison
from mtl.comparing.plan import Comparison
from mtl.jobs.control import JobControl
from mtl.runs.checkpoint import LAST
from mtl.runs.events import Evaluated, Event, StatusChanged, describe
from mtl.runs.folder import Run
from mtl.runs.history import YIELDED, read_history
from mtl.settings.config import RunConfig


@dataclass(frozen=True, eq=False)
class Job:
    """Its lock keeps other processes away from it."""

    run: Run
    config: RunConfig
    owner: str
    resume: bool
    control: JobControl
    lock: FileLock

    @property
    def comparison(self) -> Comparison | None:
        """The comparison, if it is one."""
        return self.run if isinstance(self.run, Comparison) else None

    def has(self, run_id: str) -> bool:
        """Whether that is its id, or the id of the member in training."""
        return run_id in (self.run.id, self.control.run.id)

    def log(self, status: str, message: str = "") -> None:
        """Log the status, of a comparison also in the member in training."""
        for run in {self.run.id: self.run, self.control.run.id: self.control.run}.values():
            run.log.append(StatusChanged(status, message))

    def train(self) -> None:
        """Train to the end, or until somebody stops it."""
        if self.comparison:
            status = run_comparison(self.comparison, self.control, show=_print_evaluated)
        else:
            from mtl.training.execute import run_training

            status = run_training(self.run, resume=self.resume, control=self.control, show=_print_evaluated)
        if status == "stopped" and self.control.has_yielded:
            step = read_history(self.control.run).checkpoints.get(LAST, 0)
            with suppress(OSError):  # the disk is full: then it stays 'stopped'
                self.log(YIELDED, f"It was paused for long, so it was saved to let the next run train. Resume goes on from step {step}.")


def _print_evaluated(event: Event) -> None:
    """A line per evaluation in the terminal from which the app was started."""
    if isinstance(event, Evaluated):
        print(describe(event), flush=True)
