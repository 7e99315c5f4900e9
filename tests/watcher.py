"""Somebody who watches a training: stops it at a certain step, or waits for what happens in the queue; and the first event of a training
that never happened."""

import math
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

from mtl.jobs.queue import Jobs
from mtl.runs.events import RunStarted
from mtl.runs.folder import list_runs
from mtl.runs.history import read_history
from mtl.runs.stop import StopControl


def started(step: int = 0, total: int = 100, per_epoch: int = 10, tasks: tuple[str, ...] = ("intent",)) -> RunStarted:
    """The event with which a training of these tasks begins."""
    facts = {"kind": "classification", "labels": ["a", "b"], "main_score": "accuracy", "weight": 1.0, "validation_rows": 10}
    return RunStarted(step, total, per_epoch, dict.fromkeys(tasks, facts), 40, 10, 1000, "cpu", "fp32", 1, 1, 77)


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


def wait(jobs: Jobs, run_id: str, *statuses: str) -> None:
    """Wait until the run or the comparison has one of these states."""
    end = time.monotonic() + 60
    while (status := jobs.history(run_id).status) not in statuses:
        assert time.monotonic() < end, f"still {status}: {jobs.history(run_id).message}"
        time.sleep(0.01)


def wait_for_step(jobs: Jobs, run_id: str, step: int) -> None:
    """Wait until the run has done so many steps."""
    end = time.monotonic() + 60
    while jobs.history(run_id).step < step:
        assert time.monotonic() < end
        time.sleep(0.01)


def send_signal(number: int, root: Path, step: int) -> None:
    """Send this process a signal, from another thread, once the newest run under `root` has done so many steps."""
    def send() -> None:
        while not (runs := list_runs(root)) or read_history(runs[0]).step < step:
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    Thread(target=send, daemon=True).start()
