"""What can happen in a run, a dataclass each, and the log of it: events.jsonl, which is only appended to. Knows no training and no page."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

import orjson

from mtl.settings.best import MEAN, shown, shown_score
from mtl.settings.steering import Steered
from mtl.text import duration, isolate, many


@dataclass(frozen=True)
class StatusChanged:
    """The run is now queued, running, paused, yielded, stopping, finished, stopped or failed; `message` gives the reason, for the user."""

    status: str
    message: str = ""


@dataclass(frozen=True)
class Preparing:
    """Something slow happens before training begins: what, and the share of it that is done (0 to 1)."""

    what: str
    share: float


@dataclass(frozen=True)
class RunStarted:
    """Training begins at `step`. Above 0 it was resumed: events of later steps in the log no longer hold."""

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
    trainable: int | None = None  # of the parameters; None in older logs, as are the learning rates
    learning_rate: float | None = None  # of the encoder, given or automatic
    head_learning_rate: float | None = None
    eval_every: int = 0  # steps between evaluations; 0 in older logs
    subwords: float | None = None  # of a training row, on average; None in older logs


@dataclass(frozen=True)
class Estimated:
    """The seconds that the rest of the run will take, by a quick look at this machine: in its steps, and besides them, in evaluations and
    checkpoints. With `may_end_early`, for lack of a better score, that is the most."""

    training: float
    besides: float
    may_end_early: bool = False

    @property
    def words(self) -> str:
        """Such as 'about 3 min 05 s'."""
        return "at most " * self.may_end_early + f"about {duration(self.training + self.besides)}"


@dataclass(frozen=True)
class StepDone:
    """The mean training loss per task over the steps since the last such event; `seconds` is the time spent training, without pauses."""

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
    """An evaluation on a split: loss and scores per task, the share of rows with everything right, and the `score` that chooses the best
    checkpoint, of which more is better (see Criterion); `by` says what it is."""

    step: int
    epoch: float
    split: str
    losses: dict[str, float]
    scores: dict[str, dict[str, float]]
    everything_right: float
    score: float
    is_best: bool
    seconds: float
    by: str = MEAN

    @property
    def said(self) -> str:
        """The score and what it is, for people."""
        return f"{self.by} {shown(self.by, self.score)}"


@dataclass(frozen=True)
class Sampled:
    """A quick look between two evaluations: main score and loss per task, and the share of rows with everything right, on a few validation
    `rows`, the same ones in the whole run."""

    step: int
    epoch: float
    scores: dict[str, float]
    losses: dict[str, float]
    everything_right: float
    rows: int
    seconds: float


MOST_PINNED, LONGEST_PINNED = 5, 300  # sentences, and characters of one


@dataclass(frozen=True)
class Pinned:
    """The sentences that are watched from now on, {id, text, truth}, and hard validation rows that one may pin, {text, truth, why}. `truth`
    has the plain value for each task that is labelled."""

    step: int
    sentences: list[dict[str, Any]]
    hard: list[dict[str, Any]]


@dataclass(frozen=True)
class Watched:
    """What the model says of the pinned sentences, [id, answers], where that changed. An answer, one a task, is [is it right (None: nobody
    knows), item, ...]; an item is [words, probability], in the text [label, probability, start, end]."""

    step: int
    answers: list[list[Any]]


@dataclass(frozen=True)
class CheckpointSaved:
    """The checkpoint `name` (last, best or epoch-NNN) of `step` was saved. Only `last` can be resumed from."""

    step: int
    name: str
    seconds: float


@dataclass(frozen=True)
class Notice:
    """Something the user should know; `level` is info or warning."""

    message: str
    level: str = "info"


Event = (StatusChanged | Preparing | RunStarted | Estimated | StepDone | GradientConflict | Evaluated | Sampled | Pinned | Watched
         | CheckpointSaved | Notice | Steered)

# older logs have other names
_KINDS = {kind.__name__: kind for kind in get_args(Event)} | {"Diagnosed": GradientConflict}
_START = b'{"event":"%b"', b'{"event": "%b"'  # of a line; the second in older logs


@dataclass(frozen=True)
class Logged:
    """An event with the wall-clock time (seconds since 1970) at which it was logged."""

    time: float
    event: Event

    @property
    def plain(self) -> dict[str, Any]:
        """As a JSON object: the event's kind, the time, and its fields."""
        return {"event": type(self.event).__name__, "time": round(self.time, 3)} | asdict(self.event)


@dataclass
class EventLog:
    """Appends events to a file, one JSON object a line. A line that a crash cut off is closed first, so that only that event is lost."""

    path: Path

    def append(self, event: Event) -> None:
        """Write `event` as one line, in a single write, so that lines of several writers never mix. NaN and infinity become null."""
        line = orjson.dumps(Logged(time.time(), event).plain, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)
        with open(self.path, "ab+") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                line = line if file.read(1) == b"\n" else b"\n" + line
            file.write(line)


@dataclass
class LogReader:
    """Reads an event log piece by piece: each call of `read` returns what was added since the last one."""

    path: Path
    offset: int = 0
    _unfinished: bytes = field(default=b"", repr=False)

    @property
    def cursor(self) -> int:
        """The offset of the first line that was not read; a reader that begins there goes on from here."""
        return self.offset - len(self._unfinished)

    def read(self) -> list[Logged]:
        """The events of the complete lines added since the last call. Lines that are not an event (a crash cut them) are skipped."""
        with suppress(FileNotFoundError), open(self.path, "rb") as file:
            file.seek(self.offset)
            added = file.read()
            self.offset += len(added)
            *lines, self._unfinished = (self._unfinished + added).split(b"\n")
            return list(_parse(lines))
        return []


def read_events(path: Path, kind: type) -> list[Logged]:
    """Only the events of that kind in the log at `path`. The other lines of a long log are not parsed."""
    start = tuple(start % kind.__name__.encode() for start in _START)
    with suppress(FileNotFoundError), open(path, "rb") as file:
        return list(_parse(line for line in file if line.startswith(start)))
    return []


def _parse(lines: Iterable[bytes]) -> Iterator[Logged]:
    for line in lines:
        with suppress(ValueError, KeyError, TypeError, AttributeError):
            values = orjson.loads(line.replace(b'"dev_rows":', b'"validation_rows":'))
            kind, when = _KINDS[values.pop("event")], values.pop("time")
            if values.get("split") == "dev":
                values["split"] = "validation"
            yield Logged(when, kind(**values))


class Every:
    """Limits how often a message is shown: True at most once in so many seconds, for the first time after as many."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._last = seconds, time.monotonic()

    def __call__(self) -> bool:
        if is_due := time.monotonic() - self._last >= self._seconds:
            self._last = time.monotonic()
        return is_due


def describe(event: Event) -> str | None:
    """`event` as a line for the terminal and the page's log; None for events that are too frequent to be shown."""
    match event:
        case StatusChanged():
            return event.message or f"The run is {event.status}."
        case Preparing():
            return f"{event.what}: {event.share:.0%}"
        case RunStarted():
            tasks = ", ".join(f"{isolate(name)} ({task['kind']}{', ' + many(count, 'label') if (count := len(task['labels'])) else ''})"
                              for name, task in event.tasks.items())
            begun = f"Training goes on from step {event.step:,}" if event.step else "Training begins"
            encoder = f"rates {event.learning_rate:g} and" if event.learning_rate else "rate"  # only the heads are trained
            rates = f"{encoder} {event.head_learning_rate:g} (heads); " if event.head_learning_rate else ""
            return (f"{begun}: {tasks}; {many(event.train_rows, 'training row')} and {many(event.validation_rows, 'validation row')}; "
                    f"{describe_size(event)}; {many(event.total_steps, 'step')}; {rates}{event.device}, {event.precision}, "
                    f"{many(event.threads, 'thread')}" + (f", {event.processes} processes" if event.processes > 1 else "") + ".")
        case Estimated():
            return f"This will take {event.words}."
        case Evaluated():
            tasks = []
            for task, scores in event.scores.items():
                loss = event.losses.get(task)
                if measures := [f"{name.replace('_', ' ')} {shown_score(name, value)}" for name, value in scores.items()]:
                    tasks.append(f"{isolate(task)} {f'loss {loss:.3f}, ' if loss is not None else ''}{', '.join(measures)}")
            return (f"Epoch {event.epoch:.2f}, step {event.step:,}, {event.split}: {'; '.join(tasks)}; everything right "
                    f"{event.everything_right:.1%}{f' (best so far: {event.said})' * event.is_best}")
        case Steered():
            return event.said
        case Notice():
            return "Warning: " * (event.level == "warning") + event.message
    return None


def describe_size(started: RunStarted) -> str:
    """The number of the model's parameters, and of the trained ones if not all are."""
    size, trained = f"{started.parameters / 1e6:.1f}M parameters", started.trainable
    if trained in (None, started.parameters):
        return size
    return f"{size}, of which {f'{trained:,}' if trained < 1e5 else f'{trained / 1e6:.2f}M'} are trained"
