"""Pause, resume, steer and stop a training, and copy its model to predict with. Other threads only leave a request; the training thread
acts on it between two steps, so that no other thread ever touches the model that trains."""

from __future__ import annotations

import copy
import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtl.errors import MtlError
from mtl.runs.events import Event, Notice, StatusChanged
from mtl.runs.folder import Limits, Run
from mtl.runs.stop import StopControl

if TYPE_CHECKING:
    from mtl.inference.predictor import Predictor
    from mtl.training.trainer import Trainer

FIRST_COPY_WAIT = 30.0  # seconds to wait for the first copy of a model; a step on a slow machine may take long
NEXT_COPY_WAIT = 3.0  # seconds to wait for a newer copy before the last one is used again
PAUSE_YIELDS = 60.0  # seconds of a pause after which the run ends, if others wait in the queue
PAUSE_CHECK = 1.0  # seconds between two checks of a paused run for others in the queue
FRESH, OLD = 1.5, 10.0  # seconds after which a copy is made anew, and after which that is waited for; the page shows its step


@dataclass(frozen=True)
class Snapshot:
    """A copy of a live run's model, as it was after `step`."""

    step: int
    time: float
    predictor: Predictor


class JobControl(StopControl):
    """The requests of other threads to a running training, all guarded by one lock (a Condition)."""

    def __init__(self, run: Run, limits: Limits, others_wait: Callable[[], bool] = lambda: False) -> None:
        self.run, self._limits, self._others_wait = run, limits, others_wait  # run: of a comparison, the member in training
        self.step = 0  # steps that this run has done
        self.ends_epoch = False  # whether it stops at the next end of an epoch
        self.has_yielded = False  # whether it was stopped after a long pause, to let others train
        self._changed = threading.Condition()
        self._paused = self._copy_wanted = False
        self._paused_at: float | None = None
        self._snapshot: Snapshot | None = None
        self._asked: list[Callable[[Trainer], Iterable[Event] | None]] = []

    def begin(self, run: Run) -> None:
        """From now on this controls `run`, the next member of a comparison."""
        with self._changed:
            self.run, self._snapshot, self.step, self._asked = run, None, 0, []

    def between_steps(self, trainer: Trainer) -> bool:
        """Publish a copy if one is wanted, do what is asked, and wait while paused; returns whether to stop."""
        self.step = trainer.progress.step
        self._publish_copy(trainer)  # whoever wants the last copy need not wait for this one
        with self._changed:
            self._act(trainer)
            minutes = self._limits.minutes
            if trainer.progress.seconds > 60 * minutes and not self.is_asked:
                self.run.log.append(Notice(f"On this public page a run may train for {minutes:g} minutes. Duplicate the Space, or run MTL "
                                           "Studio on your own machine, to train longer.", "warning"))
                self.is_asked = True
            if (self._paused or self._paused_at) and not self.is_asked:
                self._pause(trainer)
            if self.ends_epoch and self.step and self.step % trainer.steps_per_epoch == 0:
                self.is_asked = True
            return self.stopped

    def _pause(self, trainer: Trainer) -> None:
        """Wait until somebody resumes, steers or stops the run, or the pause is too long."""
        if self._paused_at is None:
            if report := trainer.report():  # a long run does not log every step, and the page shows the last one logged
                self.run.log.append(report)
            self.run.log.append(StatusChanged("paused"))
            self._paused_at = time.monotonic()
        while self._paused and not self.is_asked and not trainer.steering.is_asked:
            self._changed.wait(PAUSE_CHECK)  # releases the lock meanwhile, or nobody could resume; any request wakes it early
            self._act(trainer)
            self._publish_copy(trainer)  # predictions are made during a pause too
            if self._paused and not self.is_asked and self.yields_in() == 0:
                self.is_asked = self.has_yielded = True
        if self._paused and not self.is_asked:
            return  # once the loop has made the changes, it comes back to wait on
        self._paused_at = None
        if not self.is_asked:
            self.run.log.append(StatusChanged("running"))

    def yields_in(self) -> float | None:
        """The seconds until a paused run lets others train; None if it is not paused, or may stay so."""
        since, limit = self._paused_at, PAUSE_YIELDS if self._others_wait() else 60 * self._limits.pause
        return None if since is None or limit == math.inf else max(0.0, limit - (time.monotonic() - since))

    def _publish_copy(self, trainer: Trainer) -> None:
        if self._copy_wanted:
            from mtl.inference.predictor import Predictor  # torch: loaded by now, but not yet when the page starts
            from mtl.model.multitask import for_inference

            model = for_inference(copy.deepcopy(trainer.model))
            with self._changed:
                self._snapshot = Snapshot(trainer.progress.step, time.time(), Predictor(model, trainer.tokenizer, trainer.machine))
                self._copy_wanted = False
                self._changed.notify_all()

    def ask(self, act: Callable[[Trainer], Iterable[Event] | None]) -> None:
        """Have the training thread call `act` before its next step, or in its pause, and log the events that it may return."""
        with self._changed:
            self._asked.append(act)
            self._changed.notify_all()

    def _act(self, trainer: Trainer) -> None:
        while self._asked:
            for event in self._asked.pop(0)(trainer) or ():
                self.run.log.append(event)

    def set_paused(self, paused: bool) -> None:
        """Wait before the next step, or go on; raises MtlError if the run is about to end, to let another one train."""
        with self._changed:
            if self.has_yielded:  # this request would be lost
                raise MtlError("This run was paused for long and is being saved, to let another one train. Press Resume again in a moment.")
            self._paused = paused
            self._changed.notify_all()

    def stop(self) -> None:
        """End before the next step, with a checkpoint."""
        with self._changed:
            self.is_asked, self.has_yielded = True, False  # a run that has yielded counts as paused; this one is stopped
            self._changed.notify_all()

    def snapshot(self) -> Snapshot | None:
        """A copy of the model: the last one, unless it is OLD and a step ends within NEXT_COPY_WAIT (an evaluation takes long); None if
        there is none yet. A call after FRESH seconds requests the next copy, so that a page that predicts again and again need not wait
        for a step, and a training need not copy its model for every key. Of a paused run it is always the last step's."""
        with self._changed:
            last = self._snapshot
            age = math.inf if last is None else 0.0 if last.step == self.step else time.time() - last.time
            if age and (age >= FRESH or self._paused):
                self._copy_wanted = True
                self._changed.notify_all()
                if age >= OLD or self._paused:
                    self._changed.wait_for(lambda: not self._copy_wanted, FIRST_COPY_WAIT if last is None else NEXT_COPY_WAIT)
            return self._snapshot
