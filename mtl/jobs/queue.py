"""The queue of runs and comparisons, and the one worker thread that trains them in turn and imports torch, so that the page is served
first. Of jobs, only this, control.py and file_jobs.py use threads. Anybody may read a history, only the owner may change a run."""

from __future__ import annotations

import atexit
import shutil
import threading
from contextlib import suppress
from copy import copy
from functools import lru_cache
from pathlib import Path

from mtl.comparing.plan import Plan, create, open_comparison
from mtl.data.parsed import PARSED
from mtl.errors import MtlError
from mtl.jobs.control import JobControl, Snapshot
from mtl.jobs.job import Job
from mtl.jobs.zero_gpu import Burst, BurstControl
from mtl.runs.events import StatusChanged
from mtl.runs.folder import Limits, Run, create_run, delete_run, host_limits, on_zero_gpu, open_run
from mtl.runs.history import ENDED, RESUMABLE, YIELDED, History, RunReader, read_history
from mtl.settings.config import RunConfig
from mtl.settings.recipes import RECIPES
from mtl.text import many
from mtl.training.pace import Pace

MAX_WAITING = 8
MAX_READERS = 64  # runs whose histories stay in memory, so that only new lines of their logs are parsed
CLOSING = 30.0  # seconds that the end of the app waits for the last checkpoint


class Jobs:
    """The queue and its worker: one training at a time in this process, first come, first served."""

    def __init__(self, root: Path, limits: Limits | None = None) -> None:
        self.root, self.limits = root, limits or host_limits()
        self._reader = lru_cache(MAX_READERS)(lambda run_id: RunReader(_open(root, run_id)))
        self._reading = threading.Lock()
        self._jobs: list[Job] = []  # the first one is in training
        self._bursts: list[Job] = []  # these train on a GPU of ZeroGPU, each in its own request
        self._changed = threading.Condition()
        self._worker: threading.Thread | None = None
        self._loaded, self._rehearsed = threading.Event(), threading.Event()
        self._rehearses = self._closed = False
        self.pace: Pace | None = None  # of this machine, once it is measured

    def prepare(self) -> None:
        """A page was opened: have the worker import torch and rehearse a step, before the first run is started."""
        with self._changed:
            self._rehearses = not on_zero_gpu()  # a process that is forked in the middle of it may wait for its locks for ever
            self._start_worker()

    def loaded(self) -> None:
        """Wait until the worker has imported torch and transformers: their imports fail if two threads do them at once."""
        with self._changed:
            self._start_worker()
        self._loaded.wait(300)

    def close(self) -> None:
        """The app ends: the runs in training are stopped, with a checkpoint; the waiting ones can be resumed later."""
        with self._changed:
            self._closed = True
            for job in self._jobs[1:]:
                self._remove(job, self._jobs)
            for job in self._jobs + self._bursts:
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
        while True:
            if self._rehearses and not self.pace and not self._jobs:  # again after a run that interrupted it
                self.pace = rehearse(lambda: bool(self._jobs) or self._closed)
            self._rehearsed.set()
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._closed)
                if self._closed:
                    return
                job = self._jobs[0]
            try:
                job.train()
            finally:
                self._remove(job, self._jobs)
            if self.pace and not job.comparison:
                self.pace = self.pace.corrected(job.config, read_history(job.run))

    def _remove(self, job: Job, jobs: list[Job]) -> None:
        with self._changed:
            jobs.remove(job)
            job.lock.release()
            self._changed.notify_all()

    def recipe_seconds(self, config: RunConfig, rows: int, validation_rows: int, subwords: float) -> dict[str, float | None]:
        """For each recipe the seconds of a run of `config` with it, on so many rows of so many `subwords` on average; None if not known,
        and on ZeroGPU, where runs have a GPU that was not measured. Waits for the rehearsal, if a page was opened just now."""
        if self._rehearses:
            self._rehearsed.wait(60)
        is_known = self.pace and rows and not on_zero_gpu()
        configs = {name: config.model_copy(update=recipe.changes) for name, recipe in RECIPES.items()}
        return {name: self.pace.run_seconds(varied, rows, validation_rows, subwords) if is_known else None
                for name, varied in configs.items()}

    def peek(self, run_id: str) -> History:
        """The history of a run or a comparison, with the trainer's step if it is here; raises MtlError if there is none. Its lists may grow
        while they are read."""
        with self._reading:
            if not self._reader(run_id).run.exists():  # it was deleted meanwhile
                self._reader.cache_clear()
            history = copy(self._reader(run_id).refresh())
        if job := self.in_training(run_id):
            history.live_step, history.ends_epoch = job.control.step, job.control.ends_epoch
        return history

    def history(self, run_id: str) -> History:
        """The same with lists of its own."""
        return self.peek(run_id).copy()

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
        return self.in_training(run_id) is not None

    def snapshot(self, run_id: str) -> Snapshot:
        """A copy of the live model of a run; raises MtlError if it is not in training here or has no model yet."""
        job = self.in_training(run_id)
        if job is None:
            raise MtlError("This run is not in training here now, so it has no live weights. Choose its best or last checkpoint.")
        if snapshot := job.control.snapshot():
            return snapshot
        raise MtlError("The model is still being prepared. Try again in a moment.")

    def start(self, config: RunConfig, key: str, plan: Plan | None = None, *, on_gpu: bool = False) -> Run:
        """Queue a new run of `config`, or the comparison in `plan`; after a double click the first one is returned. With `on_gpu` it waits
        for `train_on_gpu`. Raises MtlError if the queue is full, the host has no time for the comparison, or the run cannot be made."""
        with self._changed:
            for job in self._jobs + self._bursts:
                is_same = (job.owner, job.config) == (key, config) and not self._is_over(job)
                if is_same and (job.comparison and job.comparison.plan.kind) == (plan and plan.kind):
                    return job.run
            self._check_room(key)
            if plan and (len(plan.members) > self.limits.members or plan.minutes > self.limits.minutes):
                raise MtlError(f"On this public page a comparison may have at most {self.limits.members} runs, and a search may take "
                               f"{self.limits.minutes:g} minutes. Choose fewer tasks or seeds, duplicate the Space, or run MTL Studio on "
                               "your own machine.")
            run = create(self.root, config, plan, key) if plan else create_run(self.root, config, key, self.root / PARSED)
            if on_gpu:
                run.log.append(StatusChanged(YIELDED, "It waits to be sent to a GPU. If nothing happens, press Continue on the GPU."))
                return run
            return self._queue(run, config, key, resume=False)

    def train_on_gpu(self, run_id: str, key: str) -> None:
        """Train the run on a GPU that ZeroGPU lends for some seconds; returns when they are over. What became of the run is in its log. To
        be called in the request of the visitor whose quota pays. Raises MtlError if the run cannot be trained."""
        run = self._open_owned(run_id, key)
        self.loaded()  # a process that is forked in the middle of an import cannot finish it
        with self._changed:
            if self._settled(run_id):
                raise MtlError("This run is in training or waits already. Stop it first, then continue it on the GPU.")
            self._check_resumable(run)
            self._check_room(key)
            self._bursts.append(job := Burst(run, run.config, key, True, BurstControl(run, self.limits), run.hold().lock))
        try:
            job.train()
        finally:
            self._remove(job, self._bursts)

    def resume(self, run_id: str, key: str) -> Run:
        """Go on with a paused run, or queue one that was stopped, failed or interrupted; raises MtlError if it cannot be."""
        run = self._open_owned(run_id, key)
        with self._changed:
            if job := self._settled(run_id):
                job.control.set_paused(False)
                return run
            self._check_resumable(run)
            self._check_room(key)
            run.log.append(StatusChanged("queued"))
            return self._queue(run, run.config, key, resume=True)

    def pause(self, run_id: str, key: str) -> None:
        """Wait before the next step. If the pause is long and others wait, the run is saved and lets them train."""
        self.owned_job(run_id, key).control.set_paused(True)

    def stop(self, run_id: str, key: str) -> None:
        """End the run before its next step, with a checkpoint; a waiting one leaves the queue."""
        with self._changed:
            job = self.owned_job(run_id, key)
            if job in self._jobs[1:]:
                job.log("stopped", "Taken out of the queue. Resume puts it back.")
                self._remove(job, self._jobs)
                return
            job.log("stopping")
        job.control.stop()

    def describe(self, run_id: str, key: str, **texts: str) -> None:
        """Give the run a name or a note, see Run.describe; raises MtlError if `key` is not its owner's."""
        self._open_owned(run_id, key).describe(**texts)

    def delete(self, run_id: str, key: str) -> None:
        """Remove a run that is over; raises MtlError if it is not, if a comparison here still needs it, or if `key` is not its owner's."""
        with self._changed:
            self._settled(run_id)
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
        with self._changed:  # an RLock
            return next((job for job in self._jobs + self._bursts if job.has(run_id)), None)

    def _is_over(self, job: Job) -> bool:
        """Whether its last status is in its log already: then it leaves the queue in a moment, and does nothing that it is asked."""
        return self.peek(job.run.id).status in (*ENDED, YIELDED)

    def _settled(self, run_id: str) -> Job | None:
        """The job of that run; one that is over is waited for, and is none."""
        with self._changed:
            self._changed.wait_for(lambda: not (job := self._find(run_id)) or not self._is_over(job), CLOSING)
            return self._find(run_id)

    def in_training(self, run_id: str) -> Job | None:
        """The job that trains the run, which may be a member of a comparison; None if none does here."""
        with self._changed:
            return next((job for job in self._jobs[:1] if job.control.run.id == run_id), None)

    def owned_job(self, run_id: str, key: str, but: str = "there is nothing to pause or to stop") -> Job:
        """The job of that run; raises MtlError, with the words `but`, if `key` is not its owner's, or if it is not here."""
        run = self._open_owned(run_id, key)
        if job := self._settled(run_id):
            return job
        if run.is_alive():
            raise MtlError("Another program trains this run. If that is the terminal, stop it there with Ctrl-C.")
        raise MtlError(f"This run is {read_history(run).state} and not in training any more: {but}.")

    @staticmethod
    def _check_resumable(run: Run) -> None:
        if (status := read_history(run).status) not in RESUMABLE:
            raise MtlError(f"This run is {status}: there is nothing to resume.")

    def _check_room(self, key: str) -> None:
        if sum(job.owner == key for job in self._jobs + self._bursts) >= self.limits.runs:
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
