"""run_comparison(): train the runs of a comparison that are not finished, one after another, and write the result. Knows no page."""

from collections.abc import Callable
from functools import partial

from mtl.comparing import search
from mtl.comparing.joint_vs_alone import make_card, write_card
from mtl.comparing.plan import ALONE, Comparison, Member, drop_weights, make_member
from mtl.errors import MtlError
from mtl.runs.checkpoint import LOOKS
from mtl.runs.events import Event, StatusChanged
from mtl.runs.history import read_history
from mtl.runs.stop import StopControl
from mtl.text import isolate, many

Train = Callable[..., str]  # as run_training of training/execute.py
Outcome = tuple[str, str]  # the end status and its message


def run_comparison(comparison: Comparison, control: StopControl | None = None, *, show: Callable[[Event], None] = lambda event: None,
                   train: Train | None = None) -> str:
    """Train every run that is not finished yet, or was deleted, then write the result. Returns the end status: finished, stopped or failed.
    Never raises: an error is the status 'failed', with a message for the user. `train` is run_training, except in tests."""
    from mtl.training.execute import explain, run_training  # torch: takes seconds to load

    control = control or StopControl()
    comparison.log.append(StatusChanged("running"))
    try:
        comparison.forget_deleted()
        kind = comparison.plan.kind
        do = _search if kind == "search" else _in_turn
        status, message = do(comparison, control, partial(train or run_training, control=control, show=show))
        if status == "finished" and kind == "alone":
            write_card(comparison.folder, make_card(comparison))
    except Exception as error:  # the worker thread must survive, as with a run
        status, message = "failed", explain(error, comparison)
    comparison.log.append(StatusChanged(status, message))
    return status


def _in_turn(comparison: Comparison, control: StopControl, train: Train) -> Outcome:
    """Every member that is not finished, in the order of the plan."""
    count = len(comparison.plan.members)
    for index in range(count):
        if control.stopped:
            return "stopped", f"Stopped before run {index + 1} of {count}. Resume goes on with it."
        status, message = _train_member(comparison, index, control, train)
        if status == "stopped":
            return "stopped", f"Stopped in run {index + 1} of {count}. Resume goes on with it."
        if status != "finished":
            return "failed", f"Run {index + 1} of {count} ({isolate(comparison.plan.members[index].role)}) failed: {message}"
    return "finished", "The run is finished." if count == 1 else f"All {count} runs are finished."


def _train_member(comparison: Comparison, index: int, control: StopControl, train: Train) -> Outcome:
    """Train the member at `index`, or go on with it, until it is finished. Raises MtlError if an earlier version saved too little."""
    member = comparison.plan.members[index]
    run = comparison.member_run(member)
    if run:
        if member.role.startswith(ALONE) and not (run.folder / LOOKS).is_dir():
            raise MtlError("This comparison was begun by an earlier version, which did not keep enough of its runs to compare them fairly. "
                           "Start it again; a finished run of all tasks can be used again.")
        if (history := read_history(run)).status == "finished":
            return history.status, history.message
    resume, run = run is not None, run or make_member(comparison, index)
    with run.hold():
        control.begin(run)
        status = train(run, resume=resume)
    return status, read_history(run).message


def _search(comparison: Comparison, control: StopControl, train: Train) -> Outcome:
    """A short run that measures the pace, then round after round until the rounds or the minutes are over."""
    plan = comparison.plan
    control.deadline = control.clock() + 60 * plan.minutes - sum(_used(comparison, member) for member in plan.members)
    while True:
        plan = comparison.plan
        index = next((index for index, member in enumerate(plan.members) if not member.seconds and not member.is_cut), None)
        if index is None:
            longer = search.next_round(plan, comparison.histories(), comparison.config, control.deadline - control.clock())
            if longer is None:
                return "finished", _result(comparison)
            comparison.write_plan(longer)
            continue
        if control.is_asked:
            break
        if index and control.clock() + _seconds_to_go(comparison, index) > control.deadline:
            comparison.write_plan(plan.with_member(index, is_cut=True))
            continue
        begun, before = control.clock(), _used(comparison, plan.members[index])
        status, message = _train_member(comparison, index, control, train)
        took = max(control.clock() - begun, 0.001)
        comparison.write_plan(comparison.plan.with_member(index, used=before + took))
        if status == "stopped" and control.is_asked:
            break
        if not index and status != "finished":
            advice = " Give more minutes." if status == "stopped" else ""
            return "failed", f"The first run, which measures the pace, was {status}: {message}{advice}"
        # a candidate that diverged has failed, but the search goes on
        comparison.write_plan(comparison.plan.with_member(index, seconds=took, used=before, is_cut=status == "stopped"))
        drop_weights(comparison.member_run(comparison.plan.members[index]))
    return "stopped", "Stopped. Resume goes on with the time that is left."


def _used(comparison: Comparison, member: Member) -> float:
    """The seconds that `member` has taken so far. If its process died, they are not noted: then the training seconds in its log."""
    if member.seconds or not member.run:
        return member.used + member.seconds
    steps = read_history(comparison.member_run(member)).steps
    return max(member.used, steps[-1].seconds if steps else 0.0)


def _seconds_to_go(comparison: Comparison, index: int) -> float:
    """The seconds that the run at `index` still needs, at the pace of the first one."""
    first, member = comparison.plan.members[0], comparison.plan.members[index]
    pace = search.measure(read_history(comparison.member_run(first)), first.seconds, comparison.config)
    done = read_history(comparison.member_run(member)).step if member.run else 0
    return pace.seconds(member.config.max_steps - done)


def _result(comparison: Comparison) -> str:
    """The best settings, in a sentence."""
    plan = comparison.plan
    best = search.best(plan, comparison.histories())
    if best is None:
        return "No candidate was finished in time. Give more minutes."
    cut = sum(member.is_cut for member in plan.members)
    return (f"Best: {best.member.role}, {best.by} {best.shown} after {many(best.member.config.max_steps, 'step')}: "
            f"{search.flags(best.member.config)}." + (f" {many(cut, 'run', 'was')} left out, as there was no time." if cut else ""))
