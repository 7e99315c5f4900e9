"""conduct(): a comparison from where it stands to its end, one run after another, every failure put into words. For the page's worker and
the terminal alike; knows neither."""

from collections.abc import Callable
from typing import Any, Protocol

from mtl.comparison import Comparison, make_member
from mtl.events import Event, StatusChanged
from mtl.runs import Run, read_history
from mtl.verdict import make_card, write_card

Train = Callable[..., str]  # as runner.carry_out


class Hand(Protocol):
    """Who may stop a comparison: asked between two steps of a run and between two runs, and told which run is in work."""

    @property
    def stopped(self) -> bool: ...

    def turn_to(self, run: Run) -> None: ...

    def between_steps(self, learner: Any) -> bool: ...


def conduct(comparison: Comparison, hand: Hand, *, show: Callable[[Event], None] = lambda event: None, train: Train | None = None) -> str:
    """Train what is not finished yet, then tell the result; returns the end status: finished, stopped or failed.

    `train` is carry_out of runner.py, unless a test gives another. Never raises for what goes wrong: it is the status 'failed'.
    """
    def tell(status: str, message: str = "") -> str:
        comparison.log.append(StatusChanged(status, message))
        return status

    tell("running")
    try:
        status, message = _in_turn(comparison, hand, train or _carry_out(), show)
        if status == "finished":
            write_card(comparison.folder, make_card(comparison))
        return tell(status, message)
    except Exception as error:  # the worker must live, as with a run
        from mtl.runner import explain

        return tell("failed", explain(error, comparison))


def _carry_out() -> Train:
    from mtl.runner import carry_out  # some seconds: torch

    return carry_out


def _in_turn(comparison: Comparison, hand: Hand, train: Train, show: Callable[[Event], None]) -> tuple[str, str]:
    """Every member that is not finished, in the order of the plan; the end status and what to say."""
    count = len(comparison.plan.members)
    for index in range(count):
        if hand.stopped:
            return "stopped", f"Stopped before run {index + 1} of {count}. Resume goes on there."
        status, message = train_member(comparison, index, hand, train, show)
        if status == "stopped":
            return "stopped", f"Stopped in run {index + 1} of {count}. Resume goes on there."
        if status != "finished":
            return "failed", f"Run {index + 1} of {count} ({comparison.plan.members[index].role}) failed: {message}"
    return "finished", f"All {count} runs are finished."


def train_member(comparison: Comparison, index: int, hand: Hand, train: Train, show: Callable[[Event], None]) -> tuple[str, str]:
    """Train the member at `index` to its end, or go on with it; one that is finished is left alone. Its status and message."""
    run = comparison.member_run(comparison.plan.members[index])
    is_new = run is None
    if not is_new and (history := read_history(run)).status == "finished":
        return history.status, history.message
    run = make_member(comparison, index) if is_new else run
    with run.hold():
        hand.turn_to(run)
        status = train(run, resume=not is_new, between_steps=hand.between_steps, show=show)
    return status, read_history(run).message
