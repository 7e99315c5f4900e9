"""run_comparison(): a comparison from where it stands to its end, one run after another, every failure put into words. For the page's
worker and the terminal alike; knows neither."""

from collections.abc import Callable
from time import monotonic as clock
from typing import Any, Protocol

from mtl.comparing import search
from mtl.comparing.joint_vs_alone import make_card, write_card
from mtl.comparing.plan import ALONE, Comparison, Member, Plan, drop_weights, make_member
from mtl.errors import MtlError
from mtl.runs.checkpoint import LOOKS
from mtl.runs.events import Event, StatusChanged
from mtl.runs.folder import Run
from mtl.runs.history import History, read_history
from mtl.settings.config import RunConfig
from mtl.text import isolate, many

Train = Callable[..., str]  # as run_training of training/execute.py


class Hand(Protocol):
    """Who may stop a comparison: asked between two steps of a run and between two runs, and told which run is in work."""

    @property
    def stopped(self) -> bool: ...

    def turn_to(self, run: Run) -> None: ...

    def between_steps(self, trainer: Any) -> bool: ...


def run_comparison(comparison: Comparison, hand: Hand, *, show: Callable[[Event], None] = lambda event: None,
                   train: Train | None = None) -> str:
    """Train what is not finished yet, or was deleted, then tell the result; returns the end status: finished, stopped or failed.

    `train` is run_training, unless a test gives another. Never raises for what goes wrong: it is the status 'failed'.
    """
    def tell(status: str, message: str = "") -> str:
        comparison.log.append(StatusChanged(status, message))
        return status

    tell("running")
    try:
        comparison.forget_deleted()
        kind = comparison.plan.kind
        by_kind = _search if kind == "search" else _in_turn
        status, message = by_kind(comparison, hand, train or _run_training(), show)
        if status == "finished" and kind == "alone":
            write_card(comparison.folder, make_card(comparison))
        return tell(status, message)
    except Exception as error:  # the worker must live, as with a run
        from mtl.training.execute import explain

        return tell("failed", explain(error, comparison))


def _run_training() -> Train:
    from mtl.training.execute import run_training  # some seconds: torch

    return run_training


def _in_turn(comparison: Comparison, hand: Hand, train: Train, show: Callable[[Event], None]) -> tuple[str, str]:
    """Every member that is not finished, in the order of the plan; the end status and what to say."""
    count = len(comparison.plan.members)
    for index in range(count):
        if hand.stopped:
            return "stopped", f"Stopped before run {index + 1} of {count}. Resume goes on with it."
        status, message = train_member(comparison, index, hand, train, show)
        if status == "stopped":
            return "stopped", f"Stopped in run {index + 1} of {count}. Resume goes on with it."
        if status != "finished":
            return "failed", f"Run {index + 1} of {count} ({isolate(comparison.plan.members[index].role)}) failed: {message}"
    return "finished", "The run is finished." if count == 1 else f"All {count} runs are finished."


def train_member(comparison: Comparison, index: int, hand: Hand, train: Train, show: Callable[[Event], None]) -> tuple[str, str]:
    """Train the member at `index` to its end, or go on with it; one that is finished is left alone. Its status and message.

    Raises MtlError if it was begun by an earlier version and kept too little to be compared."""
    member = comparison.plan.members[index]
    run = comparison.member_run(member)
    is_new = run is None
    if not is_new and member.role.startswith(ALONE) and not (run.folder / LOOKS).is_dir():
        raise MtlError("This comparison was begun by an earlier version, which did not keep enough of its runs to compare them fairly. "
                       "Start it again; a finished run of all tasks can be used again.")
    if not is_new and (history := read_history(run)).status == "finished":
        return history.status, history.message
    run = make_member(comparison, index) if is_new else run
    with run.hold():
        hand.turn_to(run)
        status = train(run, resume=not is_new, between_steps=hand.between_steps, is_stopped=lambda: hand.stopped, show=show)
    return status, read_history(run).message


# A search


class _Until:
    """A hand that also stops when the time is over."""

    def __init__(self, hand: Hand, end: float) -> None:
        self._hand, self._end = hand, end

    @property
    def stopped(self) -> bool:
        return self._hand.stopped or clock() >= self._end

    def turn_to(self, run: Run) -> None:
        self._hand.turn_to(run)

    def between_steps(self, trainer: Any) -> bool:
        return self._hand.between_steps(trainer) or self.stopped


def _search(comparison: Comparison, hand: Hand, train: Train, show: Callable[[Event], None]) -> tuple[str, str]:
    """The pace, then round after round until the rounds or the minutes are over; the end status and what to say."""
    base, plan = comparison.config, comparison.plan
    end = clock() + 60 * plan.minutes - sum(_used(comparison, member) for member in plan.members)
    until = _Until(hand, end)
    while True:
        plan = comparison.plan
        index = next((index for index, member in enumerate(plan.members) if not member.seconds and not member.is_cut), None)
        if index is None:
            plan = _more(comparison, base, end)
            if plan is None:
                return "finished", _found(comparison)
            comparison.write_plan(plan)
            continue
        if hand.stopped:
            return "stopped", "Stopped. Resume goes on with the time that is left."
        if index and clock() + _foreseen(comparison, plan, index) > end:
            comparison.write_plan(plan.with_member(index, is_cut=True))
            continue
        begun, before = clock(), _used(comparison, plan.members[index])
        status, message = train_member(comparison, index, until, train, show)
        took = max(clock() - begun, 0.001)
        comparison.write_plan(comparison.plan.with_member(index, used=before + took))
        if status == "stopped" and hand.stopped:
            return "stopped", "Stopped. Resume goes on with the time that is left."
        if not index and status != "finished":
            advice = " Give more minutes." if status == "stopped" else ""
            return "failed", f"The first run, which measures the pace, was {status}: {message}{advice}"
        # a candidate whose loss is no number any more has failed, not the search
        comparison.write_plan(comparison.plan.with_member(index, seconds=took, used=before, is_cut=status == "stopped"))
        drop_weights(comparison.member_run(comparison.plan.members[index]))


def _used(comparison: Comparison, member: Member) -> float:
    """The seconds that `member` has taken so far. If the process died in it, nobody noted them: then the training seconds in its log."""
    if member.seconds or not member.run:
        return member.used + member.seconds
    steps = read_history(comparison.member_run(member)).steps
    return max(member.used, steps[-1].seconds if steps else 0.0)


def _histories(comparison: Comparison, plan: Plan) -> list[History | None]:
    return [read_history(run) if (run := comparison.member_run(member)) else None for member in plan.members]


def _more(comparison: Comparison, base: RunConfig, end: float) -> Plan | None:
    """The plan with another round of runs; None if it was the last one."""
    plan = comparison.plan
    histories = _histories(comparison, plan)
    if plan.rungs:
        return search.next_rung(plan, histories, base)
    rungs = search.plan_rungs(search.measure(histories[0], plan.members[0].seconds, base), end - clock())
    drawn = search.draw(base, list(histories[0].started.tasks), rungs[0][0])
    return search.with_rung(plan.model_copy(update={"rungs": rungs}), 1, base, dict(enumerate(drawn, 1)))


def _foreseen(comparison: Comparison, plan: Plan, index: int) -> float:
    """How long the run at `index` will take, or what is left of it, at the pace of the first one."""
    first, member = read_history(comparison.member_run(plan.members[0])), plan.members[index]
    done = read_history(comparison.member_run(member)).step if member.run else 0
    return search.measure(first, plan.members[0].seconds, comparison.config).seconds(member.config.max_steps - done)


def _found(comparison: Comparison) -> str:
    """The best settings, in a sentence."""
    plan = comparison.plan
    best = search.best(plan, _histories(comparison, plan))
    if best is None:
        return "No candidate was finished in time. Give more minutes."
    cut = sum(member.is_cut for member in plan.members)
    return (f"Best: {best.member.role}, validation score {best.score:.1%} after {many(best.member.config.max_steps, 'step')}: "
            f"{search.flags(best.member.config)}." + (f" {many(cut, 'run', 'was')} left out, as there was no time." if cut else ""))
