"""One worker thread that trains the queued runs and comparisons one after another, and who may do what with them. With control.py the only
file that knows threads. What needs torch is imported by the worker, so that the page is there first."""

from __future__ import annotations

import atexit
import shutil
import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from mtl.comparing.execute import run_comparison
from mtl.comparing.plan import Comparison, Plan, create, open_comparison
from mtl.data.parsed import PARSED
from mtl.errors import MtlError
from mtl.jobs.control import Control, Snapshot
from mtl.runs.checkpoint import LAST
from mtl.runs.events import Evaluated, Event, StatusChanged, describe
from mtl.runs.folder import Limits, Run, create_run, delete_run, host_limits, open_run
from mtl.runs.history import RESUMABLE, YIELDED, History, RunReader, read_history
from mtl.settings.config import RunConfig
from mtl.text import many

MAX_WAITING = 8
MAX_READERS = 64  # runs whose histories are kept in memory because some page looks at them
CLOSING = 30.0  # seconds that the end of the app waits for the last checkpoint


@dataclass(frozen=True)
class Job:
    """A run, or a comparison with all its runs, in the queue or in work, held by its lock."""

    run: Run | Comparison
    config: RunConfig
    owner: str
    resume: bool
    control: Control
    lock: FileLock

    def has(self, run_id: str) -> bool:
        """Whether it is the one with that id, or has it in work."""
        return run_id in (self.run.id, self.control.run.id)

    def tell(self, status: str, message: str = "") -> None:
        """Log it where it will be looked for."""
        for run in {self.run.id: self.run, self.control.run.id: self.control.run}.values():
            run.log.append(StatusChanged(status, message))

    def tell_yielded(self) -> None:
        """It was stopped because it was paused for long: it is paused still, but in nobody's way."""
        step = read_history(self.control.run).checkpoints.get(LAST, 0)
        with suppress(OSError):  # the disk is full: then it is stopped
            self.tell(YIELDED, f"The pause was long, so the place was given up. Resume goes on from step {step}, in its turn.")


class Jobs:
    """The queue and its one worker: one training at a time in this process, first come, first served."""

    def __init__(self, root: Path, limits: Limits | None = None) -> None:
        self.root, self.limits = root, limits or host_limits()
        self._jobs: list[Job] = []  # the first one is in work
        self._changed = threading.Condition()
        self._worker: threading.Thread | None = None
        self._loaded = threading.Event()
        self._rehearses = False
        self._closed = False
        self._readers: OrderedDict[str, RunReader] = OrderedDict()
        self._reading = threading.Lock()

    def history(self, run_id: str) -> History:
        """What happened in a run so far, or in a comparison, whoever trains it; a copy, so that it stands still while it is shown.

        Only what was logged since the last question is read; the step of a run in work here is the trainer's own. Raises MtlError if there
        is no such run.
        """
        with self._reading:
            reader = self._readers.pop(run_id, None)
            if reader is None or not reader.run.is_there():
                reader = RunReader(self._open(run_id))
            self._readers[run_id] = reader
            while len(self._readers) > MAX_READERS:
                self._readers.popitem(last=False)
            history = reader.refresh().copy()
        with self._changed:
            if self._jobs and self._jobs[0].control.run.id == run_id:
                history.live_step = self._jobs[0].control.step
        return history

    def prepare(self) -> None:
        """Somebody is here: load what a training needs, in the worker, and try it, before it is asked for."""
        with self._changed:
            self._rehearses = True
            self._start_worker()

    def loaded(self) -> None:
        """Return when the worker has loaded torch and transformers: their imports fail if two threads are at them at once."""
        with self._changed:
            self._start_worker()
        self._loaded.wait(300)

    def delete(self, run_id: str, key: str) -> None:
        """Remove a run that is over; raises MtlError if it is not, if a comparison here still needs it, or if it is somebody else's."""
        with self._changed:
            run = self._owned(run_id, key)
            if any(isinstance(job.run, Comparison) and job.run.id != run_id and job.run.needs(run_id) for job in self._jobs):
                raise MtlError("This run belongs to a comparison that is in work or waits. Stop the comparison first.")
            delete_run(run)

    def start(self, config: RunConfig, key: str) -> Run:
        """Queue a new run. Asked twice for the same while it waits or runs (a double click), it gives the same run.

        Raises MtlError if the queue is full or the run cannot be made.
        """
        with self._changed:
            for job in self._jobs:
                if job.owner == key and job.config == config and not isinstance(job.run, Comparison):
                    return job.run
            self._check_room(key)
            return self._queue(create_run(self.root, config, key, self.root / PARSED), config, key, resume=False)

    def start_comparison(self, config: RunConfig, plan: Plan, key: str) -> Run:
        """Queue a comparison of runs of `config`; asked twice for the same, it gives the same.

        Raises MtlError if the queue is full, the host has not the time for it, or it cannot be made.
        """
        with self._changed:
            for job in self._jobs:
                if job.owner == key and job.config == config and isinstance(job.run, Comparison) and job.run.plan.kind == plan.kind:
                    return job.run
            self._check_room(key)
            if len(plan.members) > self.limits.members or plan.minutes > self.limits.minutes:
                raise MtlError(f"On this public page a comparison may have at most {self.limits.members} runs, and a search may take "
                               f"{self.limits.minutes:g} minutes. Choose fewer tasks or seeds, duplicate the Space, or run MTL Studio on "
                               "your own machine.")
            return self._queue(create(self.root, config, plan, key), config, key, resume=False)

    def resume(self, run_id: str, key: str) -> Run:
        """Go on with a paused run, or queue one that was stopped, failed or interrupted; raises MtlError if it cannot be."""
        run = self._owned(run_id, key)
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
        """Wait before the next step; if the pause is long and others wait, the run gives its place up, with a checkpoint."""
        self._held(run_id, key).control.set_paused(True)

    def stop(self, run_id: str, key: str) -> None:
        """End the run before its next step, with a checkpoint; a waiting one leaves the queue."""
        job = self._held(run_id, key)
        with self._changed:
            if job in self._jobs[1:]:
                self._jobs.remove(job)
                job.tell("stopped", "Taken out of the queue. Resume puts it back.")
                job.lock.release()
                return
            job.tell("stopping")
        job.control.stop()

    def ahead(self, run_id: str) -> int:
        """How many runs are before this one; 0 if it is in work or not here."""
        with self._changed:
            return next((place for place, job in enumerate(self._jobs) if job.has(run_id)), 0)

    def yields_in(self) -> float | None:
        """The seconds until the run in work, which is paused, gives its place up; None if it is not paused, or nobody wants it."""
        with self._changed:
            return self._jobs[0].control.yields_in() if self._jobs else None

    def snapshot(self, run_id: str) -> Snapshot:
        """A copy of the live model of a run; raises MtlError if it is not in work here or has no model yet."""
        with self._changed:
            job = self._jobs[0] if self._jobs and self._jobs[0].control.run.id == run_id else None
        if job is None:
            raise MtlError("This run is not in training here now, so it has no live weights. Choose its best or last checkpoint.")
        snapshot = job.control.snapshot()
        if snapshot is None:
            raise MtlError("The model is still being prepared. Try again in a moment.")
        return snapshot

    def has(self, run_id: str) -> bool:
        """Whether the run is in work or waits in this process."""
        with self._changed:
            return self._find(run_id) is not None

    def is_live(self, run_id: str) -> bool:
        """Whether the run is in work in this process."""
        with self._changed:
            return bool(self._jobs) and self._jobs[0].control.run.id == run_id

    def close(self) -> None:
        """The app ends: the run in work is stopped, with a checkpoint, and the waiting ones stay to be resumed."""
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

    def _open(self, run_id: str) -> Run:
        """The run, or the comparison, of that id; raises MtlError if there is neither."""
        try:
            return open_run(self.root, run_id)
        except MtlError:
            with suppress(MtlError):
                return open_comparison(self.root, run_id)
            raise

    def _owned(self, run_id: str, key: str) -> Run:
        run = self._open(run_id)
        if not run.belongs_to(key):
            raise MtlError("This run was not started in this browser. It can be changed only where it was started; here you can watch it.")
        return run

    def _held(self, run_id: str, key: str) -> Job:
        run = self._owned(run_id, key)
        with self._changed:
            if job := self._find(run_id):
                return job
        if run.is_alive():
            raise MtlError("This run is not in work in this app. One from the terminal is stopped there, with Ctrl-C.")
        raise MtlError(f"This run is {read_history(run).state} and not in work any more: there is nothing to pause or to stop.")

    def _find(self, run_id: str) -> Job | None:
        return next((job for job in self._jobs if job.has(run_id)), None)

    def _check_room(self, key: str) -> None:
        if sum(job.owner == key for job in self._jobs) >= self.limits.runs:
            raise MtlError(f"You have {many(self.limits.runs, 'run')} in training or in the queue. Wait for one to end, or stop one.")
        self.root.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(self.root).free < self.limits.free_disk * 1e9:
            raise MtlError(f"Less than {self.limits.free_disk:g} GB of the disk is free. Delete a run that is not needed any more.")
        if len(self._jobs) > MAX_WAITING:
            raise MtlError(f"The queue is full: {MAX_WAITING} runs wait already. Wait for one to end, then start again.")

    def _queue(self, run: Run, config: RunConfig, key: str, resume: bool) -> Run:
        lock = run.lock()
        try:
            lock.acquire(timeout=2)
        except Timeout as error:
            raise MtlError("Another process is training this run. Watch it here, or stop it there.") from error
        self._jobs.append(Job(run, config, key, resume, Control(run, self.limits, lambda: len(self._jobs) > 1), lock))
        self._start_worker()
        self._changed.notify_all()
        return run

    def _start_worker(self) -> None:
        if self._worker is None:
            self._worker = threading.Thread(target=self._work, name="trainer", daemon=True)
            self._worker.start()
            atexit.register(self.close)

    def _work(self) -> None:
        try:
            from mtl.inference import predictor  # noqa: F401 - for those who wait in `loaded`
            from mtl.training.execute import rehearse, run_training  # some seconds: torch and transformers
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
                if isinstance(job.run, Comparison):
                    status = run_comparison(job.run, job.control, show=_print_evaluated)
                else:
                    status = run_training(job.run, resume=job.resume, between_steps=job.control.between_steps,
                                          is_stopped=lambda control=job.control: control.stopped, show=_print_evaluated)
                if status == "stopped" and job.control.has_yielded:
                    job.tell_yielded()
            finally:
                with self._changed:
                    self._jobs.remove(job)
                job.lock.release()


def _print_evaluated(event: Event) -> None:
    """A line per evaluation in the terminal that the app was started from."""
    if isinstance(event, Evaluated):
        print(describe(event), flush=True)
