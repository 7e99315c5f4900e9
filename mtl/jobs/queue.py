"""The queue of runs and comparisons, and the one worker thread that trains them in turn and imports torch, so that the page is served
first. Only this file and control.py use threads. Anybody may read a history, only the owner may change a run."""

from __future__ import annotations

import atexit
import shutil
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from filelock import FileLock

from mtl.comparing.execute import run_comparison
from mtl.comparing.plan import Comparison, Plan, create, open_comparison
from mtl.data.parsed import PARSED
from mtl.errors import MtlError
from mtl.jobs.control import JobControl, Snapshot
from mtl.runs.checkpoint import LAST
from mtl.runs.events import Evaluated, Event, StatusChanged, describe
from mtl.runs.folder import Limits, Run, create_run, delete_run, host_limits, open_run
from mtl.runs.history import RESUMABLE, YIELDED, History, RunReader, read_history
from mtl.settings.config import RunConfig
from mtl.text import many

MAX_WAITING = 8
MAX_READERS = 64  # runs whose histories stay in memory, so that only new lines of their logs are parsed
CLOSING = 30.0  # seconds that the end of the app waits for the last checkpoint


@dataclass(frozen=True)
class Job:
    """A run, or a comparison with all its runs, that waits or is in training. Its lock keeps other processes away from it."""

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


class Jobs:
    """The queue and its worker: one training at a time in this process, first come, first served."""

    def __init__(self, root: Path, limits: Limits | None = None) -> None:
        self.root, self.limits = root, limits or host_limits()
        self._reader = lru_cache(MAX_READERS)(lambda run_id: RunReader(_open(root, run_id)))
        self._reading = threading.Lock()
        self._jobs: list[Job] = []  # the first one is in training
        self._changed = threading.Condition()
        self._worker: threading.Thread | None = None
        self._loaded = threading.Event()
        self._rehearses = False
        self._closed = False

    def prepare(self) -> None:
        """A page was opened: have the worker import torch and rehearse a step, before the first run is started."""
        with self._changed:
            self._rehearses = True
            self._start_worker()

    def loaded(self) -> None:
        """Wait until the worker has imported torch and transformers: their imports fail if two threads do them at once."""
        with self._changed:
            self._start_worker()
        self._loaded.wait(300)

    def close(self) -> None:
        """The app ends: the run in training is stopped, with a checkpoint; the waiting ones can be resumed later."""
        with self._changed:
            self._closed = True
            waiting, self._jobs[1:] = self._jobs[1:], []
            for job in waiting:
                job.lock.release()
            for job in self._jobs:
                job.control.stop()
            self._changed.notify_all()
        if self._worker is not None:
            self._worker.join(CLOSING)

    def _start_worker(self) -> None:
        if self._worker is None:
            self._worker = threading.Thread(target=self._work, name="trainer", daemon=True)
            self._worker.start()
            atexit.register(self.close)

    def _work(self) -> None:
        try:
            from mtl.inference import predictor  # noqa: F401 - for the threads that wait in `loaded`
            from mtl.training.execute import rehearse  # some seconds: torch and transformers
        finally:
            self._loaded.set()
        if self._rehearses:
            rehearse(lambda: bool(self._jobs) or self._closed)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._closed)
                if self._closed:
                    return
                job = self._jobs[0]
            try:
                job.train()
            finally:
                with self._changed:
                    self._jobs.remove(job)
                job.lock.release()

    def history(self, run_id: str) -> History:
        """A copy of the history of a run or a comparison, with the trainer's step if it is here; raises MtlError if there is none."""
        with self._reading:
            if not self._reader(run_id).run.exists():  # it was deleted meanwhile
                self._reader.cache_clear()
            history = self._reader(run_id).refresh().copy()
        if job := self._in_training(run_id):
            history.live_step = job.control.step
        return history

    def ahead(self, run_id: str) -> int:
        """How many runs are before this one; 0 if it is in training or not here."""
        with self._changed:
            return next((place for place, job in enumerate(self._jobs) if job.has(run_id)), 0)

    def yields_in(self) -> float | None:
        """The seconds until the paused run lets the next one train; None if none is paused, or it may stay paused."""
        with self._changed:
            return self._jobs[0].control.yields_in() if self._jobs else None

    def seconds_left(self) -> float | None:
        """The seconds that the run in training still needs; None if none is, or if it is not known."""
        with self._changed:
            run_id = self._jobs[0].control.run.id if self._jobs else ""
        return self.history(run_id).seconds_left if run_id else None

    def has(self, run_id: str) -> bool:
        """Whether the run is trained or waits in this process."""
        return self._find(run_id) is not None

    def is_live(self, run_id: str) -> bool:
        """Whether the run is in training in this process."""
        return self._in_training(run_id) is not None

    def snapshot(self, run_id: str) -> Snapshot:
        """A copy of the live model of a run; raises MtlError if it is not in training here or has no model yet."""
        job = self._in_training(run_id)
        if job is None:
            raise MtlError("This run is not in training here now, so it has no live weights. Choose its best or last checkpoint.")
        if snapshot := job.control.snapshot():
            return snapshot
        raise MtlError("The model is still being prepared. Try again in a moment.")

    def start(self, config: RunConfig, key: str, plan: Plan | None = None) -> Run:
        """Queue a new run of `config`, or the comparison in `plan`; after a double click the first one is returned. Raises MtlError if the
        queue is full, the host has no time for the comparison, or the run cannot be made."""
        with self._changed:
            for job in self._jobs:
                is_same = (job.owner, job.config) == (key, config)
                if is_same and (job.comparison and job.comparison.plan.kind) == (plan and plan.kind):
                    return job.run
            self._check_room(key)
            if plan and (len(plan.members) > self.limits.members or plan.minutes > self.limits.minutes):
                raise MtlError(f"On this public page a comparison may have at most {self.limits.members} runs, and a search may take "
                               f"{self.limits.minutes:g} minutes. Choose fewer tasks or seeds, duplicate the Space, or run MTL Studio on "
                               "your own machine.")
            run = create(self.root, config, plan, key) if plan else create_run(self.root, config, key, self.root / PARSED)
            return self._queue(run, config, key, resume=False)

    def resume(self, run_id: str, key: str) -> Run:
        """Go on with a paused run, or queue one that was stopped, failed or interrupted; raises MtlError if it cannot be."""
        run = self._open_owned(run_id, key)
        with self._changed:
            if job := self._find(run_id):
                job.control.set_paused(False)
                return run
            status = read_history(run).status
            if status not in RESUMABLE:
                raise MtlError(f"This run is {status}: there is nothing to resume.")
            self._check_room(key)
            run.log.append(StatusChanged("queued"))
            return self._queue(run, run.config, key, resume=True)

    def pause(self, run_id: str, key: str) -> None:
        """Wait before the next step. If the pause is long and others wait, the run is saved and lets them train."""
        self._owned_job(run_id, key).control.set_paused(True)

    def stop(self, run_id: str, key: str) -> None:
        """End the run before its next step, with a checkpoint; a waiting one leaves the queue."""
        job = self._owned_job(run_id, key)
        with self._changed:
            if job in self._jobs[1:]:
                self._jobs.remove(job)
                job.log("stopped", "Taken out of the queue. Resume puts it back.")
                job.lock.release()
                return
            job.log("stopping")
        job.control.stop()

    def delete(self, run_id: str, key: str) -> None:
        """Remove a run that is over; raises MtlError if it is not, if a comparison here still needs it, or if `key` is not its owner's."""
        with self._changed:
            run = self._open_owned(run_id, key)
            if any(member.run == run_id for job in self._jobs if job.comparison for member in job.comparison.plan.members):
                raise MtlError("This run belongs to a comparison that is in training or waits. Stop the comparison first.")
            delete_run(run)

    def _open_owned(self, run_id: str, key: str) -> Run:
        """The run or comparison of that id; raises MtlError if there is none, or if `key` is not its owner's."""
        run = _open(self.root, run_id)
        if not run.belongs_to(key):
            raise MtlError("This run was not started in this browser. It can be changed only where it was started; here you can watch it.")
        return run

    def _find(self, run_id: str) -> Job | None:
        with self._changed:  # an RLock: those who hold it already may call this
            return next((job for job in self._jobs if job.has(run_id)), None)

    def _in_training(self, run_id: str) -> Job | None:
        with self._changed:
            return self._jobs[0] if self._jobs and self._jobs[0].control.run.id == run_id else None

    def _owned_job(self, run_id: str, key: str) -> Job:
        """The job of that run; raises MtlError if `key` is not its owner's, or if it is not here."""
        run = self._open_owned(run_id, key)
        if job := self._find(run_id):
            return job
        if run.is_alive():
            raise MtlError("Another program trains this run. If that is the terminal, stop it there with Ctrl-C.")
        raise MtlError(f"This run is {read_history(run).state} and not in training any more: there is nothing to pause or to stop.")

    def _check_room(self, key: str) -> None:
        if sum(job.owner == key for job in self._jobs) >= self.limits.runs:
            raise MtlError(f"You have {many(self.limits.runs, 'run')} in training or in the queue. Wait for one to end, or stop one.")
        self.root.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(self.root).free < self.limits.free_disk * 1e9:
            raise MtlError(f"Less than {self.limits.free_disk:g} GB of the disk is free. Delete a run that is not needed any more.")
        if len(self._jobs) > MAX_WAITING:
            raise MtlError(f"The queue is full: {MAX_WAITING} runs wait already. Wait for one to end, then start again.")

    def _queue(self, run: Run, config: RunConfig, key: str, resume: bool) -> Run:
        control = JobControl(run, self.limits, others_wait=lambda: len(self._jobs) > 1)
        self._jobs.append(Job(run, config, key, resume, control, run.hold().lock))
        self._start_worker()
        self._changed.notify_all()
        return run


def _open(root: Path, run_id: str) -> Run:
    """The comparison or the run of that id; raises MtlError if there is neither."""
    with suppress(MtlError):
        return open_comparison(root, run_id)
    return open_run(root, run_id)


def _print_evaluated(event: Event) -> None:
    """A line per evaluation in the terminal from which the app was started."""
    if isinstance(event, Evaluated):
        print(describe(event), flush=True)
