"""The state of a run and its curves, as they follow from its log."""

from copy import copy
from dataclasses import dataclass, field, replace

from mtl.runs import events
from mtl.runs.checkpoint import LAST, saved_step
from mtl.runs.events import CheckpointSaved, Evaluated, GradientConflict, Logged, LogReader, Preparing, RunStarted, StatusChanged, StepDone
from mtl.runs.folder import Run
from mtl.settings.steering import Steered, merged

ACTIVE = ("queued", "running", "paused", "stopping")
ENDED = ("finished", "stopped", "failed")
YIELDED = "yielded"  # paused for so long that it was saved, to let the next run train; shown as 'paused'
RESUMABLE = ("interrupted", "stopped", "failed", YIELDED)
UNLISTED = StepDone, events.Sampled, events.Pinned, events.Watched, GradientConflict, CheckpointSaved, Preparing
MARKED = ("paused", "stopped", "failed", YIELDED)  # where a curve has a mark


@dataclass
class History:
    """The state of a run now, and its curves. Steps that a crash undid are dropped when the run resumes before them; changes that were made
    then stay, with their marks, because the run makes them again at the same steps, and does not log them again."""

    status: str = "queued"
    message: str = ""
    preparing: Preparing | None = None  # before the first step
    started: RunStarted | None = None
    estimate: events.Estimated | None = None
    steps: list[StepDone] = field(default_factory=list)
    evaluations: list[Evaluated] = field(default_factory=list)
    sampled: list[events.Sampled] = field(default_factory=list)  # quick looks between the evaluations
    diagnoses: list[GradientConflict] = field(default_factory=list)
    pinned: list[events.Pinned] = field(default_factory=list)  # the last one holds; a resume keeps what people pinned
    watched: list[events.Watched] = field(default_factory=list)  # what the model said of the pinned sentences
    checkpoints: dict[str, int] = field(default_factory=dict)
    entries: list[Logged] = field(default_factory=list)  # the events that the page and the terminal list
    marks: list[tuple[int, events.Event]] = field(default_factory=list)  # what happened between two steps, and after which step
    steered: list[Steered] = field(default_factory=list)
    begun: int = 0  # how often training began; a resume takes back steps, between two of them lists only grow
    ends_epoch: bool = False  # whether this process trains the run and stops it after the epoch
    live_step: int = 0  # the trainer's step, if this process trains the run; the log of a long run has only some steps

    def add(self, logged: Logged) -> None:
        """Add one event."""
        if not isinstance(logged.event, UNLISTED):
            self.entries.append(logged)
        match event := logged.event:
            case events.Notice() if self.step:
                self.marks.append((self.step, event))
            case StatusChanged() if event.status == "stopping" and self.status in ENDED:
                pass  # the run ended by itself while it was asked to stop
            case StatusChanged():
                self.status, self.message, self.preparing = event.status, event.message, None
                if self.step and event.status in MARKED:
                    self.marks.append((self.step, event))
            case Preparing():
                self.preparing = event
            case RunStarted():
                self.started, self.estimate, self.preparing, self.begun = event, None, None, self.begun + 1
                kept = [mark for mark in self.marks if mark[0] <= event.step or mark[1] in self.steered]
                self.marks = kept + [(event.step, event)] * bool(event.step)
                self.steps = [step for step in self.steps if step.step <= event.step]
                self.sampled = [look for look in self.sampled if look.step <= event.step]
                self.watched = [look for look in self.watched if look.step <= event.step]
                self.diagnoses = [found for found in self.diagnoses if found.step <= event.step]
                self.evaluations = [seen for seen in self.evaluations if 0 < event.step >= seen.step and seen.split == "validation"]
            case events.Estimated():
                self.estimate = event
            case StepDone():
                self.steps.append(event)
            case Evaluated():
                self.evaluations.append(event)
            case events.Sampled():
                self.sampled.append(event)
            case events.Pinned():
                self.pinned.append(event)
            case events.Watched():
                self.watched.append(event)
            case GradientConflict():
                self.diagnoses.append(event)
            case CheckpointSaved():
                self.checkpoints[event.name] = event.step
            case Steered():
                self.steered.append(event)
                self.marks.append((event.step, event))

    def copy(self) -> "History":
        """The same history with lists of its own; the events in them never change."""
        return replace(self, **{name: copy(value) for name, value in vars(self).items() if isinstance(value, list | dict)})

    @property
    def step(self) -> int:
        """The last step known to be done."""
        return max(self.live_step, self.steps[-1].step if self.steps else self.started.step if self.started else 0)

    @property
    def state(self) -> str:
        """The status as it is shown."""
        return "paused" if self.status == YIELDED else self.status

    @property
    def best(self) -> Evaluated | None:
        """The evaluation by which the best checkpoint was chosen."""
        return next((seen for seen in reversed(self.evaluations) if seen.is_best), None)

    @property
    def seconds_left(self) -> float | None:
        """The seconds to the end: the steps at the pace so far, or of the estimate, and what it expects besides; None without a pace."""
        guess, last = self.estimate, self.steps[-1] if self.steps else None
        if not self.started or not (guess or last):
            return None
        steps = self.started.total_steps - self.step
        share = steps / max(1, self.started.total_steps - self.started.step)
        return (steps * last.seconds / last.step if last else share * guess.training) + (share * guess.besides if guess else 0.0)


class RunReader:
    """Follows the log of one run: each `refresh` reads only what was added."""

    def __init__(self, run: Run) -> None:
        self.run, self.history, self._log = run, History(), LogReader(run.log.path)

    def refresh(self) -> History:
        """The history up to now. A run that is active in its log, but that no process holds, is 'interrupted'."""
        self._read()
        if self.history.status in ACTIVE and not self.run.is_alive():
            self._read()  # it may have ended between the reading and the check
            if self.history.status in ACTIVE:
                self.history.status = "interrupted"
                step = self.history.checkpoints.get(LAST) or saved_step(self.run.folder / LAST)  # it may have ended before the log had it
                onward = f"goes on from its last checkpoint, of step {step:,}" if step else "begins anew, as no checkpoint was saved"
                self.history.message = f"The process that trained this run is gone. Resume {onward}."
        return self.history

    def _read(self) -> None:
        for logged in self._log.read():
            self.history.add(logged)


def read_history(run: Run) -> History:
    """What happened in `run` so far."""
    return RunReader(run).refresh()


def changes_of(run: Run) -> tuple[Steered, ...]:
    """Every change that was made in `run` or is planned for it: as the setting `steering` of another run they repeat it exactly."""
    return tuple(merged(run.config.steering, read_history(run).steered))
