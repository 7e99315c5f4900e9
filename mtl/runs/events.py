"""What can happen in a run, one small dataclass each, and EventLog: the append-only file that the page, the command line and every
later look at the run read. Knows nothing of training or of pages."""

import json
import math
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

from mtl.text import isolate, many


@dataclass(frozen=True)
class StatusChanged:
    """The run is now queued, running, paused, yielded, stopping, finished, stopped or failed; `message` says why, for the user."""

    status: str
    message: str = ""


@dataclass(frozen=True)
class Preparing:
    """Before training begins: what is being done, and the share of it that is done (0 to 1). Only told of what takes long."""

    what: str
    share: float


@dataclass(frozen=True)
class RunStarted:
    """Training begins at `step` (above 0: resumed; what the log says of later steps no longer holds)."""

    step: int
    total_steps: int
    steps_per_epoch: int
    tasks: dict[str, dict[str, Any]]  # name -> kind, labels, train and validation rows, weight
    train_rows: int
    validation_rows: int
    parameters: int
    device: str
    precision: str
    threads: int
    processes: int
    pid: int
    trainable: int | None = None  # of the parameters; None in a log from before it was told


@dataclass(frozen=True)
class StepDone:
    """The mean training loss per task over the steps since the last such event; `seconds` is time spent training, pauses left out."""

    step: int
    epoch: float
    losses: dict[str, float]
    learning_rate: float
    grad_norm: float
    sentences_per_second: float
    seconds: float
    weights: dict[str, float] = field(default_factory=dict)  # of each task's loss in the gradient, likewise the mean


@dataclass(frozen=True)
class GradientConflict:
    """How the tasks' gradients compare on the encoder's last layer: the norm of each, and for every pair [task, task, cosine]."""

    step: int
    norms: dict[str, float]
    cosines: list[list[Any]]


@dataclass(frozen=True)
class Evaluated:
    """A look at a split: loss and scores per task, the share of rows with everything right, and the one `score` that best is chosen by."""

    step: int
    epoch: float
    split: str
    losses: dict[str, float]
    scores: dict[str, dict[str, float]]
    everything_right: float
    score: float
    is_best: bool
    seconds: float


@dataclass(frozen=True)
class CheckpointSaved:
    """The run can be resumed from `step`."""

    step: int
    name: str
    seconds: float


@dataclass(frozen=True)
class Notice:
    """Something the user should know; `level` is info or warning."""

    message: str
    level: str = "info"


Event = StatusChanged | Preparing | RunStarted | StepDone | GradientConflict | Evaluated | CheckpointSaved | Notice
_KINDS = {kind.__name__: kind for kind in get_args(Event)} | {"Diagnosed": GradientConflict}  # so called in older logs
_OLD_NAMES = {"dev_rows": "validation_rows"}


@dataclass(frozen=True)
class Logged:
    """An event with the wall-clock time (seconds since 1970) at which it was logged."""

    time: float
    event: Event


class EventLog:
    """Appends events to a file, one JSON object a line; a line cut off by a crash is closed, never lost silently."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, event: Event) -> None:
        """Write `event` as one line; the write is a single one, so that readers and other writers never see it interleaved."""
        line = json.dumps({"event": type(event).__name__, "time": round(time.time(), 3), **_finite(asdict(event))}, ensure_ascii=False)
        with open(self.path, "ab+") as file:
            end = file.seek(0, os.SEEK_END)
            if end:
                file.seek(end - 1)
                if file.read(1) != b"\n":
                    line = "\n" + line
            file.write(line.encode() + b"\n")


@dataclass
class LogReader:
    """Reads an event log piece by piece: each call of `read` returns what was added since the last one."""

    path: Path
    offset: int = 0
    _kept: bytes = field(default=b"", repr=False)

    def read(self) -> list[Logged]:
        """The events of the complete lines added since the last call; lines that are no event (a crash cut them) are passed over."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                added = file.read()
        except FileNotFoundError:
            return []
        self.offset += len(added)
        *lines, self._kept = (self._kept + added).split(b"\n")
        return list(_parse(lines))


def read_events(path: Path) -> list[Logged]:
    """All events in the log at `path`, oldest first; none if there is no such file."""
    return LogReader(path).read()


def read_statuses(path: Path) -> list[Logged]:
    """Only the changes of state in the log at `path`: a long log is not parsed for them."""
    with suppress(FileNotFoundError), open(path, "rb") as file:
        return list(_parse(line for line in file if line.startswith(b'{"event": "StatusChanged"')))
    return []


def _parse(lines: Iterable[bytes]) -> Iterable[Logged]:
    for line in lines:
        try:
            values = {_OLD_NAMES.get(name, name): value for name, value in json.loads(line).items()}
            kind, when = _KINDS[values.pop("event")], values.pop("time")
            if values.get("split") == "dev":
                values["split"] = "validation"
            yield Logged(when, kind(**values))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue


def _finite(value: Any) -> Any:
    """`value` with null for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


class Every:
    """For what is told now and then: true at most once in so many seconds, and not at first."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._last = seconds, time.monotonic()

    def __call__(self) -> bool:
        now = time.monotonic()
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True


def describe(event: Event) -> str | None:
    """`event` as a line for people, in the terminal and in the page's log; None for what happens too often to be told."""
    match event:
        case StatusChanged():
            return event.message or f"The run is {event.status}."
        case Preparing():
            return f"{event.what}: {event.share:.0%}"
        case RunStarted():
            tasks = ", ".join(f"{isolate(name)} ({task['kind']}, {many(len(task['labels']), 'label')})"
                              for name, task in event.tasks.items())
            begun = f"Training goes on from step {event.step:,}" if event.step else "Training begins"
            return (f"{begun}: {tasks}; {many(event.train_rows, 'training row')} and {many(event.validation_rows, 'validation row')}; "
                    f"{describe_size(event)}; {many(event.total_steps, 'step')}; {event.device}, {event.precision}, "
                    f"{many(event.threads, 'thread')}" + (f", {event.processes} processes" if event.processes > 1 else "") + ".")
        case Evaluated():
            tasks = "; ".join(f"{isolate(task)} {_measures(event.losses.get(task), scores)}"
                              for task, scores in event.scores.items() if scores)
            best = " (best so far)" if event.is_best else ""
            where = f"Epoch {event.epoch:.2f}, step {event.step:,}, {event.split}"
            return f"{where}: {tasks}; everything right {event.everything_right:.1%}{best}"
        case Notice():
            return ("Warning: " if event.level == "warning" else "") + event.message
    return None


def describe_size(started: RunStarted) -> str:
    """The model's parameters, and how many of them are trained if not all are."""
    frozen = started.trainable is not None and started.trainable != started.parameters
    trained = "" if not frozen else f"{started.trainable:,}" if started.trainable < 1e5 else f"{started.trainable / 1e6:.2f}M"
    return f"{started.parameters / 1e6:.1f}M parameters" + (f", of which {trained} are trained" if frozen else "")


def _measures(loss: float | None, scores: dict[str, float]) -> str:
    """A task's loss, if there was one that is a number, and its scores."""
    return ", ".join([f"loss {loss:.3f}" for loss in [loss] if loss is not None]
                     + [f"{name.replace('_', ' ')} {value:.1%}" for name, value in scores.items()])
