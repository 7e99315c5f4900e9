"""The hand on a running training: pause, resume, stop, and a copy of the model to predict with meanwhile. Asked by the trainer between two
steps; what is wanted of it comes from other threads."""

from __future__ import annotations

import copy
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtl.events import Notice, StatusChanged
from mtl.runs import Run

if TYPE_CHECKING:
    from mtl.learner import Learner
    from mtl.prediction import Predictor

PATIENCE = 30.0  # seconds to wait for a copy of a model that trains; a step on a slow machine may take some
FRESH = 3.0  # seconds for which a copy is new enough; the answer says how old it is


@dataclass(frozen=True)
class Snapshot:
    """A copy of a live run's model, as it was after `step`."""

    step: int
    time: float
    predictor: Predictor


class Control:
    """What others want of a running training; asked by the trainer between two steps, so that nobody ever touches its model."""

    def __init__(self, run: Run, minutes: float) -> None:
        self.run, self._minutes = run, minutes  # of a comparison: the run of it that is in work
        self._changed = threading.Condition()
        self._paused = self._stopped = self._copy_wanted = False
        self._snapshot: Snapshot | None = None

    def between_steps(self, learner: Learner) -> bool:
        """For the trainer: hand out a copy if one is wanted, wait while paused; whether to stop."""
        with self._changed:
            self._serve(learner)
            if learner.progress.seconds > 60 * self._minutes and not self._stopped:
                self.run.log.append(Notice(f"On this public page a run may train for {self._minutes:g} minutes. Duplicate the Space, or "
                                            "run MTL Studio on your own machine, to train longer.", "warning"))
                self._stopped = True
            if self._paused and not self._stopped:
                self.run.log.append(StatusChanged("paused"))
                while self._paused and not self._stopped:
                    self._changed.wait()
                    self._serve(learner)
                if not self._stopped:
                    self.run.log.append(StatusChanged("running"))
            return self._stopped

    @property
    def stopped(self) -> bool:
        """Whether the end was asked for."""
        return self._stopped

    def turn_to(self, run: Run) -> None:
        """The next run of a comparison is in work now."""
        with self._changed:
            self.run, self._snapshot = run, None

    def _serve(self, learner: Learner) -> None:
        if self._copy_wanted:
            from mtl.model import at_rest
            from mtl.prediction import Predictor

            model = at_rest(copy.deepcopy(learner.model))
            self._snapshot = Snapshot(learner.progress.step, time.time(), Predictor(model, learner.tokenizer, learner.machine))
            self._copy_wanted = False
            self._changed.notify_all()

    def set_paused(self, paused: bool) -> None:
        """Wait before the next step, or go on."""
        with self._changed:
            self._paused = paused
            self._changed.notify_all()

    def stop(self) -> None:
        """End before the next step, with a checkpoint."""
        with self._changed:
            self._stopped = True
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
