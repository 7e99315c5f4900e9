"""What a comparison costs, before it is started and while it is under way: runs and seconds, at the pace of a run. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from mtl.comparing.plan import Plan
from mtl.errors import MtlError
from mtl.runs.history import History
from mtl.text import many, roughly


@dataclass(frozen=True)
class Cost:
    """How many runs are to be trained (None: many short ones), and how long that takes together; None if it is not known."""

    runs: int | None
    seconds: float | None

    @property
    def words(self) -> str:
        """Such as '4 runs, about 12 min on this machine'."""
        if self.runs is None:
            return f"many short runs, {roughly(self.seconds)} in all"
        return many(self.runs, "run") + (f", {roughly(self.seconds)} on this machine" if self.seconds else "")


def cost(history: History | None, kind: str, tasks: int, times: float = 1, is_run: bool = True) -> Cost:
    """What the comparison of this kind will cost; `times` is its number of seeds or alphas, or its minutes. `history` is that of the run
    it starts from, which (`is_run`) need not be trained again. Raises MtlError if so many tasks, or that run, cannot be compared."""
    if kind == "alone":
        if tasks < 2:
            raise MtlError("This takes two tasks or more, and there is one.")
        if is_run and history and history.status != "finished":
            raise MtlError(f"The run is {history.state}. A finished one can be compared: wait for it, or resume it.")
        runs = int(times) * (tasks + 1) - is_run
    elif kind == "sweep":
        if tasks != 2:
            raise MtlError(f"This takes two tasks, and {many(tasks, 'task', 'is')} chosen.")
        runs = int(times)
    else:
        return Cost(None, 60 * times)
    each = run_seconds(history)
    return Cost(runs, each and runs * each)


def run_seconds(history: History | None) -> float | None:
    """The seconds that all steps and evaluations of a run take, as measured so far, else as estimated; None if neither is known."""
    if not history or not history.started:
        return None
    if history.steps and (last := history.steps[-1]).step:
        besides = sum(seen.seconds for seen in history.evaluations if seen.split == "validation")
        return (last.seconds + besides) / last.step * history.started.total_steps
    return history.estimate and history.estimate.training + history.estimate.besides


def seconds_left(plan: Plan, runs: Sequence[History | None]) -> float | None:
    """The seconds to the end of a comparison whose runs (None: not begun) are these; None if it is not known."""
    if plan.kind == "search":
        used = sum(member.used + member.seconds for member in plan.members)
        now = next((run.steps[-1].seconds for run in runs if run and run.status == "running" and run.steps), 0.0)
        return max(0.0, 60 * plan.minutes - used - now)
    known = [seconds for run in runs if (seconds := run_seconds(run))]
    if not known:
        return None
    return sum(fmean(known) if run is None or run.seconds_left is None else run.seconds_left
               for run in runs if run is None or run.status != "finished")
