"""Files whose rows are predicted in the background, one file at a time. Each belongs to a visitor, goes on without the page, and can be
cancelled; what is done by then can be had. Knows no page."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mtl.data.formats.archive import unpack
from mtl.data.texts import open_texts
from mtl.errors import MtlError
from mtl.jobs.models import find_predictor
from mtl.jobs.queue import Jobs
from mtl.runs.folder import STARTER_NAME, on_zero_gpu, open_run
from mtl.settings.config import ColumnSpec
from mtl.text import many

if TYPE_CHECKING:
    from mtl.inference.predict_file import State

ROWS = 100  # predicted together: after them it is said how far it is, and asked whether to go on
MOST = 5  # files that wait or are predicted
NOTICED = 0.5  # seconds after which a file that waits notices that it is cancelled
KEPT = 24 * 3600  # seconds for which an answer is kept
_turn = threading.Lock()  # of the file that is predicted


@dataclass(eq=False)
class FileJob:
    """The file at `path`, for the model that `choice` names; the text is in `column`, '' for the one that looks like it. The other fields
    say how far it is: its `columns` and rows, the model, the rows `done`, since when, why it ended early, and the `result`, if any."""

    path: Path
    choice: str
    column: str = ""
    suffix: str = ""  # of the result; empty: as the file has it, if it can be written so, else .csv
    columns: tuple[str, ...] = ()
    rows: int = 0
    model: str = ""
    done: State | None = None
    began: float = 0.0
    error: str = ""
    result: Path | None = None
    is_over: bool = False
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def seconds_left(self) -> float | None:
        """At the pace so far; None before there is one."""
        return (self.rows - self.done.rows) * (time.monotonic() - self.began) / self.done.rows if self.done else None

    def run(self, jobs: Jobs, folder: Path) -> None:
        """Write the rows of the file with their predictions into `folder`. What is wrong is told in `error`."""
        try:
            with self._its_turn(), TemporaryDirectory() as own:
                self._predict(jobs, Path(own), folder)
        except MtlError as error:
            self.error = str(error)
        except Exception:
            traceback.print_exc()
            self.error = "Internal error: the details are in the terminal that MTL Studio was started from."
        finally:
            self.is_over = True

    @contextmanager
    def _its_turn(self) -> Iterator[None]:
        while not _turn.acquire(timeout=NOTICED):
            self._go_on()
        try:
            self._go_on()
            yield
        finally:
            _turn.release()

    def _predict(self, jobs: Jobs, own: Path, folder: Path) -> None:
        jobs.loaded()
        from mtl.inference.layout import DELIMITERS
        from mtl.inference.predict_file import predict_file

        name = self.choice.partition("/")[0]
        trained = () if name in ("", STARTER_NAME) else open_run(jobs.root, name).config.columns
        specs = [ColumnSpec(column=self.column, role="text")] if self.column else []
        file = open_texts(unpack([self.path], own), specs, lambda *_: self._go_on(), trained)
        predictor, self.model = find_predictor(jobs, self.choice, "cpu" if on_zero_gpu() else "auto")  # a GPU is lent for seconds only
        self.column, self.columns, self.rows, self.began = file.text.name, file.columns, file.count, time.monotonic()
        suffix, end = file.source.path.suffix.lower(), self.began + 60 * jobs.limits.minutes
        to = own / f"{self.path.stem}-predicted{self.suffix or (suffix if suffix in DELIMITERS else '.csv')}"
        about = {"tasks": predictor.choose(), "long": "cut"}
        self.done = predict_file(predictor, file, to, about, lambda: self.cancelled.is_set() or time.monotonic() > end, self._note, ROWS)
        folder.mkdir(parents=True, exist_ok=True)
        with to.open("rb") as made, (folder / to.name).open("wb") as out:
            out.write(b"\xef\xbb\xbf" if to.suffix == ".csv" else b"")  # so that a spreadsheet finds its encoding
            shutil.copyfileobj(made, out)
        self.result = folder / to.name
        if self.done.rows < file.count and not self.cancelled.is_set():
            self.error = (f"{self.path.name}: {many(self.done.rows, 'row')} took {jobs.limits.minutes:g} minutes, which is all that this "
                          "public page gives to a file. Split it, or run MTL Studio on your own machine.")

    def _note(self, done: State) -> None:
        self.done = done

    def _go_on(self) -> None:
        if self.cancelled.is_set():
            raise MtlError(f"{self.path.name} was cancelled before a row was done.")


class FileJobs:
    """The files of the visitors: the last one of each. Their answers lie in `folder`, under names that cannot be guessed."""

    def __init__(self, jobs: Jobs, folder: Path) -> None:
        self._jobs, self._folder, self._changed = jobs, folder, threading.Lock()
        self._of: dict[str, FileJob] = {}

    def of(self, owner: str) -> FileJob | None:
        """The visitor's last file."""
        return self._of.get(owner)

    def ahead(self, job: FileJob) -> int:
        """How many files are before this one."""
        with self._changed:
            going = [one for one in self._of.values() if not one.is_over]
        return going.index(job) if job in going else 0

    def start(self, owner: str, job: FileJob) -> None:
        """Predict the rows of a file in the background; the answers to the visitor's last one are deleted. Raises MtlError if that is not
        over, if too many others wait, if the disk is nearly full, or if it is not known yet who the visitor is."""
        if not owner:  # all pages that are not ready would share it
            raise MtlError("The page is still getting ready. Choose the file again.")
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._changed:
            self._forget_old()
            if shutil.disk_usage(self._folder).free < self._jobs.limits.free_disk * 1e9:
                raise MtlError("The disk is nearly full, so no file can be answered. Try again tomorrow, when older ones are deleted.")
            before = self._of.get(owner)
            if before and not before.is_over:
                raise MtlError(f"{before.path.name} is being predicted. Wait for it, or cancel it.")
            if sum(not one.is_over for one in self._of.values()) >= MOST:
                raise MtlError(f"{many(MOST, 'file')} wait already. Try again in a moment.")
            if before and before.result:
                shutil.rmtree(before.result.parent, ignore_errors=True)
            self._of.pop(owner, None)
            self._of[owner] = job  # the last in the queue
        threading.Thread(target=job.run, args=(self._jobs, self._folder / secrets.token_hex(16)), name="file", daemon=True).start()

    def cancel(self, owner: str) -> None:
        """End the visitor's file after the rows that are being predicted."""
        if job := self._of.get(owner):
            job.cancelled.set()

    def _forget_old(self) -> None:
        old = time.time() - KEPT
        for folder in self._folder.glob("*"):
            if folder.stat().st_mtime < old:
                shutil.rmtree(folder, ignore_errors=True)
        self._of = {owner: job for owner, job in self._of.items() if not job.is_over or (job.result and job.result.exists())}


def predict_now(jobs: Jobs, path: Path, choice: str, suffix: str, folder: Path) -> Path:
    """The rows of a file with their predictions, in `folder`. Raises MtlError if they are not all there."""
    job = FileJob(path, choice, suffix=suffix)
    job.run(jobs, folder)
    if job.error or not job.result:
        raise MtlError(job.error)
    return job.result
