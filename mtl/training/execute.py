"""run_training(): one run from its first event to its last, with every event logged and every failure put into words. The page's worker and
the terminal both call it; it knows neither."""

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
from mtl.runs.checkpoint import LAST
from mtl.runs.events import Event, Every, Preparing, StatusChanged, StepDone
from mtl.runs.folder import Run
from mtl.runs.stop import StopControl
from mtl.settings.config import make_config
from mtl.training.loop import train

PROGRESS_EVERY = 2.0  # seconds between two events that say how far the data is prepared


class _Stopped(Exception):
    """A stop was asked for while the data were prepared."""


def run_training(run: Run, *, resume: bool, control: StopControl | None = None, show: Callable[[Event], None] = lambda event: None,
                 is_logging: bool = True) -> str:
    """Train `run`, logging every event (unless another process of the run does) and showing it; returns the last status.

    `control` can stop it, also while the data are prepared, which may take minutes. Whatever goes wrong in the training is not raised: it
    becomes the status 'failed', with a message for the user.
    """
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

    status = "failed"
    try:
        with closing(train(run.config, run.folder, resume=resume, between_steps=control.between_steps, progress=progress)) as events:
            for event in events:
                record(event)
                if isinstance(event, StatusChanged):
                    status = event.status
    except _Stopped:
        status = "stopped"
        onward = "goes on from the last checkpoint" if (run.folder / LAST).is_dir() else "begins anew"
        record(StatusChanged(status, f"Stopped while the data were prepared. Resume {onward}."))
    except Exception as error:
        status = "failed"
        message = explain(error, run)
        try:
            record(StatusChanged("failed", message))
        except OSError:  # the log is on the full disk, say: then at least who watches is told
            show(StatusChanged("failed", message))
    finally:
        if is_logging:
            shutil.rmtree(run.folder / LAID_OUT, ignore_errors=True)  # made again from the run's rows when it is resumed
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return status


def rehearse(is_called: Callable[[], bool]) -> None:
    """Take the first step of a run that nobody sees, until something `is_called` for. Libraries load and compile for seconds at their first
    use; after this the first run of a user starts at once."""
    config = make_config({"source": "newsroom", "max_steps": 2})
    # whatever fails here fails again in the first real run, and is explained there
    with suppress(Exception), tempfile.TemporaryDirectory() as folder, closing(train(config, Path(folder))) as events:
        for event in events:
            if isinstance(event, StepDone) or is_called():
                break


def explain(error: Exception, run: Run) -> str:
    """`error` as a message for the user. An error that we did not foresee leaves its traceback in the run's folder and in the terminal."""
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
