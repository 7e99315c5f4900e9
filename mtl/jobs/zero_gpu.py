"""ZeroGPU: Hugging Face lends a Space a GPU for some seconds, in a process that the package `spaces` forks for a function that it has
wrapped, in the request of the visitor whose quota pays. So a run trains there in bursts: each takes it up from its newest checkpoint,
writes events and checkpoints into its folder as ever, and ends in time to save. The process of the page itself never uses CUDA."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mtl.data.dataset import LAID_OUT
from mtl.data.kept import load_run
from mtl.errors import MtlError
from mtl.jobs.control import JobControl
from mtl.jobs.job import Job
from mtl.runs.checkpoint import LAST
from mtl.runs.folder import Run, on_zero_gpu
from mtl.runs.history import YIELDED, History, read_history
from mtl.runs.stop import StopControl

FIRST, MOST = 60, 120  # seconds of a burst: while nobody knows the pace, and at most; a visitor without an account has 120 a day
OPENING, CLOSING = 10.0, 8.0  # of these, for reaching the GPU and loading the run; and kept for the last checkpoint
SAVE_EVERY = 10.0  # seconds between two checkpoints: what a process that is killed may lose
STOP = "stop-burst"  # a file in the run's folder that asks the burst, which is another process, to end


def lend(function: Callable[..., Any], seconds: Callable[..., int]) -> Callable[..., Any]:
    """`function`, on ZeroGPU wrapped so that it runs in a process that has a GPU for `seconds(*its arguments)`; elsewhere as it is."""
    if not on_zero_gpu():
        return function
    import spaces

    return spaces.GPU(function, duration=seconds)


def burst_seconds(history: History) -> int:
    """The seconds of a GPU to ask for: what is left to train at the pace of the last burst, if there was one."""
    started, steps = history.started, [step for step in history.steps if history.started and step.step > history.started.step]
    if started is None or started.device == "cpu" or len(steps) < 2:
        return FIRST
    pace = (steps[-1].seconds - steps[0].seconds) / (steps[-1].step - steps[0].step)
    besides = history.estimate.besides if history.estimate else 0.0
    return min(MOST, math.ceil(OPENING + CLOSING + 1.2 * (pace * (started.total_steps - history.step) + besides)))


class BurstControl(JobControl):
    """The requests of the page to a burst; a pause ends it too, since a GPU is lent by the second."""

    def set_paused(self, paused: bool) -> None:
        """End the burst; the run can go on later."""
        if paused:
            self.has_yielded = True
            (self.run.folder / STOP).touch()

    def ask(self, act: Any) -> None:
        """Refused: the model is in another process."""
        raise MtlError("This run trains on a GPU that is lent for seconds, in a process that this page cannot reach. Press Pause, then "
                       "Continue on the CPU: there it can be done.")

    def stop(self) -> None:
        """End the burst, and the run with it."""
        self.is_asked = True
        (self.run.folder / STOP).touch()


class Burst(Job):
    """A run that trains on a GPU for some seconds."""

    def train(self) -> None:
        """Ask for the GPU, train, and log what became of the run. Raises nothing: whatever happens is told in the run's log."""
        folder = self.run.folder
        (folder / STOP).unlink(missing_ok=True)
        seconds = burst_seconds(read_history(self.run))
        self.log("queued", f"Waiting for a GPU, to train on it for up to {seconds} s.")
        try:
            load_run(self.config, folder, folder / LAID_OUT / "0")  # the rows are read before the GPU is asked for
            status, why = _train_on_gpu(folder, seconds), f"The {seconds} s of this GPU are used."
        except MtlError as error:
            self.log("failed", str(error))
            return
        except Exception as error:  # no GPU is free, the quota is used, the process was killed at its deadline, ...
            status, why = "stopped", f"The GPU was not lent, or was taken away: {reason(error)}."
        if self.control.is_asked:
            if read_history(self.run).status != "stopped":
                self.log("stopped", f"Stopped. {self._onward()}")
        elif status == "stopped":
            self.log(YIELDED, f"{'Paused.' if self.control.has_yielded else why} {self._onward()}")

    def _onward(self) -> str:
        step = read_history(self.run).checkpoints.get(LAST)
        return f"It goes on from step {step:,}, on a GPU or on the CPU." if step else "It begins anew, on a GPU or on the CPU."


class _Deadline(StopControl):
    """Ends a burst in time to save, when the page asks for it, or when the page's process is gone: nobody holds the run's lock then."""

    save_every = SAVE_EVERY

    def __init__(self, folder: Path, seconds: float) -> None:
        self._stop, self._parent, self.deadline = folder / STOP, os.getppid(), self.clock() + seconds - CLOSING

    @property
    def stopped(self) -> bool:
        """Whether the training is to end before its next step."""
        return super().stopped or self._stop.exists() or os.getppid() != self._parent


def _train(folder: Path, seconds: int) -> str:
    """In the lent process: train the run until the time is nearly over; returns its status."""
    from mtl.training.execute import run_training

    return run_training(Run(folder), resume=True, control=_Deadline(folder, seconds))


_train_on_gpu = lend(_train, lambda folder, seconds: seconds)


def reason(error: Exception) -> str:
    """What the refusal of a GPU says, without a full stop. `spaces` raises Gradio's errors, whose message may be text with its HTML."""
    return (str(getattr(error, "message", "") or error) or type(error).__name__).rstrip(".")
