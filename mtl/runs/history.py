"""What a run's log says, folded into its state and its curves."""

from dataclasses import dataclass, field, replace

from mtl.runs.checkpoint import LAST
from mtl.runs.events import CheckpointSaved, Evaluated, GradientConflict, Logged, LogReader, Preparing, RunStarted, StatusChanged, StepDone
from mtl.runs.folder import Run

ACTIVE = ("queued", "running", "paused", "stopping")
ENDED = ("finished", "stopped", "failed")
YIELDED = "yielded"  # paused, but its place was given to others and its state saved: for people it is paused
RESUMABLE = ("interrupted", "stopped", "failed", YIELDED)


@dataclass
class History:
    """What a log tells, folded: the state now, and the curves. Steps that a crash undid are forgotten when the run resumes before them."""

    status: str = "queued"
    message: str = ""
    created: float = 0.0
    preparing: Preparing | None = None  # what goes on before the first step
    started: RunStarted | None = None
    steps: list[StepDone] = field(default_factory=list)
    evaluations: list[Evaluated] = field(default_factory=list)
    diagnoses: list[GradientConflict] = field(default_factory=list)
    checkpoints: dict[str, int] = field(default_factory=dict)
    told: list[Logged] = field(default_factory=list)  # what a log for people tells
    last_time: float = 0.0
    live_step: int = 0  # where the trainer stands, if that is known otherwise than from the log, which is told of some steps only

    def add(self, logged: Logged) -> None:
        """Take in one more event."""
        self.created = self.created or logged.time
        self.last_time = logged.time
        if not isinstance(logged.event, (StepDone, GradientConflict, CheckpointSaved, Preparing)):
            self.told.append(logged)
        match event := logged.event:
            case StatusChanged() if event.status == "stopping" and self.status in ENDED:
                pass  # the run ended by itself while it was asked to stop
            case StatusChanged():
                self.status, self.message, self.preparing = event.status, event.message, None
            case Preparing():
                self.preparing = event
            case RunStarted():
                self.started, self.preparing = event, None
                self.steps = [step for step in self.steps if step.step <= event.step]
                self.diagnoses = [look for look in self.diagnoses if look.step <= event.step]
                self.evaluations = [seen for seen in self.evaluations if 0 < event.step >= seen.step and seen.split == "validation"]
            case StepDone():
                self.steps.append(event)
            case Evaluated():
                self.evaluations.append(event)
            case GradientConflict():
                self.diagnoses.append(event)
            case CheckpointSaved():
                self.checkpoints[event.name] = event.step

    def copy(self) -> "History":
        """The same history in lists of its own; the events in them never change."""
        return replace(self, steps=list(self.steps), evaluations=list(self.evaluations), diagnoses=list(self.diagnoses),
                       checkpoints=dict(self.checkpoints),
                       told=list(self.told))

    @property
    def step(self) -> int:
        """The last step known to be done."""
        return max(self.live_step, self.steps[-1].step if self.steps else self.started.step if self.started else 0)

    @property
    def state(self) -> str:
        """The status, in the word that people are told."""
        return "paused" if self.status == YIELDED else self.status

    @property
    def best(self) -> Evaluated | None:
        """The evaluation by which the best checkpoint was chosen."""
        return next((seen for seen in reversed(self.evaluations) if seen.is_best), None)

    @property
    def seconds_left(self) -> float | None:
        """At the pace so far, the training seconds to the end; None while nothing is known."""
        if not self.started or not self.steps:
            return None
        last = self.steps[-1]
        return (self.started.total_steps - self.step) * last.seconds / last.step


class RunReader:
    """Follows the log of one run: each `refresh` reads only what was added."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.history = History()
        self._log = LogReader(run.folder / "events.jsonl")

    def refresh(self) -> History:
        """The history up to now, its status true: a run that says it is going but that no process holds is 'interrupted'."""
        for logged in self._log.read():
            self.history.add(logged)
        if self.history.status in ACTIVE and not self.run.is_alive():
            for logged in self._log.read():  # it may have ended between the two looks
                self.history.add(logged)
            if self.history.status in ACTIVE:
                self.history.status = "interrupted"
                kept = self.history.checkpoints.get(LAST)
                onward = f"goes on from its last checkpoint, of step {kept:,}" if kept else "begins anew, as no checkpoint was saved"
                self.history.message = f"The process that trained this run is gone. Resume {onward}."
        return self.history


def read_history(run: Run) -> History:
    """What happened in `run` so far."""
    return RunReader(run).refresh()
