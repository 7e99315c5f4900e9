"""The hand on a running training: pause, resume, stop, and a copy of the model to predict with meanwhile. Asked by the trainer between two
steps; what is wanted of it comes from other threads."""

from __future__ import annotations

import copy
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtl.errors import MtlError
from mtl.runs.events import Notice, StatusChanged
from mtl.runs.folder import Limits, Run

if TYPE_CHECKING:
    from mtl.inference.predictor import Predictor
    from mtl.training.trainer import Trainer

PATIENCE = 30.0  # seconds to wait for a copy of a model that trains; a step on a slow machine may take some
PAUSE_YIELDS = 60.0  # seconds of a pause after which a run gives its place to those that wait
LOOK = 1.0  # seconds between two looks of a paused run for whether somebody waits
FRESH = 3.0  # seconds for which a copy is new enough; the answer says how old it is


@dataclass(frozen=True)
class Snapshot:
    """A copy of a live run's model, as it was after `step`."""

    step: int
    time: float
    predictor: Predictor


class Control:
    """What others want of a running training; asked by the trainer between two steps, so that nobody ever touches its model."""

    def __init__(self, run: Run, limits: Limits, others_wait: Callable[[], bool] = lambda: False) -> None:
        self.run, self._limits, self._others_wait = run, limits, others_wait  # of a comparison: the run of it that is in work
        self.step = 0  # where that run stands
        self.has_yielded = False  # whether the end came because of a long pause
        self._changed = threading.Condition()
        self._paused = self._stopped = self._copy_wanted = False
        self._paused_at: float | None = None
        self._snapshot: Snapshot | None = None

    def between_steps(self, trainer: Trainer) -> bool:
        """For the trainer: hand out a copy if one is wanted, wait while paused; whether to stop."""
        with self._changed:
            self.step = trainer.progress.step
            self._serve(trainer)
            minutes = self._limits.minutes
            if trainer.progress.seconds > 60 * minutes and not self._stopped:
                self.run.log.append(Notice(f"On this public page a run may train for {minutes:g} minutes. Duplicate the Space, or run MTL "
                                           "Studio on your own machine, to train longer.", "warning"))
                self._stopped = True
            if self._paused and not self._stopped:
                self._pause(trainer)
            return self._stopped

    def _pause(self, trainer: Trainer) -> None:
        """Until somebody resumes or stops the run, or its place is needed."""
        if report := trainer.report():  # so that the log tells where it stands
            self.run.log.append(report)
        self.run.log.append(StatusChanged("paused"))
        self._paused_at = time.monotonic()
        while self._paused and not self._stopped:
            self._changed.wait(LOOK)
            self._serve(trainer)
            if self._paused and not self._stopped and self.yields_in() == 0:
                self._stopped = self.has_yielded = True
        self._paused_at = None
        if not self._stopped:
            self.run.log.append(StatusChanged("running"))

    def yields_in(self) -> float | None:
        """The seconds until a paused run gives its place up; None if it is not paused, or nobody wants it."""
        since, limit = self._paused_at, PAUSE_YIELDS if self._others_wait() else 60 * self._limits.pause
        return None if since is None or limit == math.inf else max(0.0, limit - (time.monotonic() - since))

    @property
    def stopped(self) -> bool:
        """Whether the end was asked for."""
        return self._stopped

    def turn_to(self, run: Run) -> None:
        """The next run of a comparison is in work now."""
        with self._changed:
            self.run, self._snapshot, self.step = run, None, 0

    def _serve(self, trainer: Trainer) -> None:
        if self._copy_wanted:
            from mtl.inference.predictor import Predictor
            from mtl.model.multitask import at_rest

            model = at_rest(copy.deepcopy(trainer.model))
            self._snapshot = Snapshot(trainer.progress.step, time.time(), Predictor(model, trainer.tokenizer, trainer.machine))
            self._copy_wanted = False
            self._changed.notify_all()

    def set_paused(self, paused: bool) -> None:
        """Wait before the next step, or go on; raises MtlError if the place was just given up."""
        with self._changed:
            if self.has_yielded:
                raise MtlError("This run was paused for long and is giving its place to another one just now. Press Resume again in a "
                               "moment.")
            self._paused = paused
            self._changed.notify_all()

    def stop(self) -> None:
        """End before the next step, with a checkpoint."""
        with self._changed:
            self._stopped, self.has_yielded = True, False
            self._changed.notify_all()

    def snapshot(self) -> Snapshot | None:
        """A copy of the model, the last one if that is fresh; or if the trainer is busy with something long; None if it is getting ready.

        Each question has the next copy made, so that who asks again and again need not wait for the end of a step.
        """
        with self._changed:
            self._copy_wanted = True
            self._changed.notify_all()
            if self._snapshot is not None and not self._paused and time.time() - self._snapshot.time < FRESH:
                return self._snapshot
            self._changed.wait_for(lambda: not self._copy_wanted, timeout=PATIENCE if self._snapshot is None else 3.0)
            return self._snapshot
