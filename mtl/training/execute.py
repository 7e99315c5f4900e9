"""run_training(): one run from its first event to its last, with every event logged and every failure turned into a message."""

import secrets
import shutil
import tempfile
import traceback
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import torch

from mtl.data.dataset import LAID_OUT
from mtl.errors import MtlError, is_disk_full
from mtl.model.machine import has_gpu
from mtl.runs.checkpoint import LAST
from mtl.runs.events import Event, Every, Preparing, StatusChanged, StepDone
from mtl.runs.folder import Run
from mtl.runs.stop import StopControl
from mtl.settings.config import make_config
from mtl.training.estimate import measure_pace
from mtl.training.loop import train
from mtl.training.pace import Pace

PROGRESS_EVERY = 2.0  # seconds between two Preparing events


class _Stopped(Exception):
    """The run was stopped while its data was prepared."""


def run_training(run: Run, *, resume: bool, control: StopControl | None = None, show: Callable[[Event], None] = lambda event: None,
                 is_logging: bool = True) -> str:
    """Train `run`, logging every event (unless another process of the run does) and showing it; returns the last status. `control` can stop
    it, also while the data are prepared, which may take minutes. Any error of the training becomes the status 'failed' and a message."""
    control = control or StopControl()

    def record(event: Event) -> None:
        if is_logging:
            run.log.append(event)
        show(event)

    is_due = Every(PROGRESS_EVERY)

    def progress(what: str, share: float) -> None:
        if control.can_interrupt_preparing and control.stopped:
            raise _Stopped
        if is_due():
            record(Preparing(what, share))

    try:
        with closing(train(run.config, run.folder, resume=resume, between_steps=control.between_steps, progress=progress,
                           save_every=control.save_every)) as events:
            for event in events:
                record(event)
                if isinstance(event, StatusChanged):
                    status = event.status
    except _Stopped:
        status = "stopped"
        onward = "goes on from the last checkpoint" if (run.folder / LAST).is_dir() else "begins anew"
        record(StatusChanged(status, f"Stopped while the data were prepared. Resume {onward}."))
    except Exception as error:
        failed = StatusChanged(status := "failed", explain(error, run))
        try:
            record(failed)
        except OSError:  # the log may be on the full disk
            show(failed)
    finally:
        if is_logging:
            shutil.rmtree(run.folder / LAID_OUT, ignore_errors=True)  # a resume makes it again from the run's rows
        if has_gpu():
            torch.cuda.empty_cache()
    return status


def rehearse(is_called: Callable[[], bool]) -> Pace | None:
    """Take the first step of a run in a temporary folder, or less if `is_called`: libraries take seconds at their first use. Then measure
    the pace of this machine; None if there was no time for it."""
    config, seen = make_config({"source": "newsroom", "max_steps": 2}), []
    # an error here occurs again in the first real run and is reported there
    with suppress(Exception), tempfile.TemporaryDirectory() as folder, closing(
            train(config, Path(folder), between_steps=lambda trainer: bool(seen.append(trainer)))) as events:
        for event in events:
            if is_called():
                break
            if isinstance(event, StepDone):
                return measure_pace(seen[0], is_called)
    return None


def explain(error: Exception, run: Run) -> str:
    """`error` as a message for the user. The traceback of an unforeseen error goes to the terminal and to the run's folder."""
    if isinstance(error, MtlError):
        return str(error)
    if is_disk_full(error):
        kept = "The last checkpoint is kept. " * (run.folder / LAST).is_dir()
        return f"The disk is full. {kept}Free some space, then resume."
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return "Out of memory. Use a smaller batch size (accumulation keeps the step the same), a smaller max length, or a smaller encoder."
    reference = secrets.token_hex(4)
    text = f"[{reference}] {traceback.format_exc()}"
    print(text, flush=True)
    with suppress(OSError), open(run.folder / "error.log", "a", encoding="utf-8") as file:
        file.write(text)
    return f"Internal error {reference} ({type(error).__name__}). The details are in the terminal and in error.log of the run's folder."
