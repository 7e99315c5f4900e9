"""The state of a run in words and HTML: the facts, its name, who may do what with it, which buttons are enabled. Pure functions."""

import html
import time
from contextlib import suppress
from statistics import fmean

from mtl.data.dataset import describe_source
from mtl.errors import MtlError
from mtl.runs.events import StatusChanged, read_events
from mtl.runs.folder import Run
from mtl.runs.history import ACTIVE, RESUMABLE, History
from mtl.text import duration, isolate, many


def facts(history: History, ahead: int, yields_in: float | None = None, left: float | None = None) -> list[str]:
    """Step, speed, time left and the like of a run, as plain text. `ahead` runs are before it in the queue; the one in training still needs
    `left` seconds and, if it is paused, lets the next one train in `yields_in`. Names of users are isolated."""
    started, total = history.started, history.started.total_steps if history.started else 0
    told = [f"step {history.step:,} of {total:,}" if total else "",
            f"epoch {history.step / started.steps_per_epoch:.2f}" if started and history.step else ""]
    if history.status == "running" and (left_here := history.seconds_left) is not None:
        speed = [f"{fmean(step.sentences_per_second for step in history.steps[-10:]):,.0f} sentences/s"] if history.steps else []
        at_most = "at most " if history.estimate and history.estimate.may_end_early else ""
        told += [*speed, f"{at_most}about {duration(left_here)} left"]
    elif history.preparing:
        told.append(f"{history.preparing.what}: {history.preparing.share:.0%}")
    elif history.status == "running" and not history.step:
        told.append("getting ready: reading the data and loading the encoder")
    if history.steps and history.status not in ("running", "queued"):
        told.append(f"{duration(history.steps[-1].seconds)} of training")
    if history.best and history.status != "finished":  # then its message says it
        told.append(f"best so far: {history.best.said} at step {history.best.step:,}")
    if history.status == "queued":
        told.append(waiting(ahead, yields_in, left) or "starting")
    if history.status == "paused":
        told.append(yielding(yields_in))
    return list(filter(None, told))


def state_block(state: str, name: str, done: float, total: float, facts: list[str], messages: list[str]) -> str:
    """A state with a progress bar, a line of `facts`, which are HTML, and the `messages` that are not empty."""
    return (f'<div class="mtl-status"><span class="mtl-badge mtl-{state}">{state}</span> <b>{html.escape(name)}</b> '
            f'<progress value="{done}" max="{total or 1}" aria-label="progress"></progress><div>{" · ".join(filter(None, facts))}</div>'
            + "".join(f"<div>{html.escape(message)}</div>" for message in messages if message) + "</div>")


def plain_state(text: str) -> str:
    """`text`, which is HTML, in the place of a state."""
    return f'<div class="mtl-status">{text}</div>'


def waiting(ahead: int, yields_in: float | None, left: float | None = None) -> str:
    """What a queued run waits for; empty if for nothing."""
    needs = "" if left is None else f"; the one in training has about {duration(left)} left"
    paused = needs if yields_in is None else f"; the one in training is paused and lets the next one train in {duration(yields_in)}"
    return f"{many(ahead, 'run')} ahead{paused}" if ahead else ""


def yielding(yields_in: float | None) -> str:
    """What will become of a paused run; empty if it just stays paused."""
    return "" if yields_in is None else f"in {duration(yields_in)} it is saved and lets the next run train; it stays paused"


def computed_on(how: str) -> str:
    """`Predictor.how`, such as 'cpu, fused', without the name of the engine unless it rounds."""
    device, _, engine = how.partition(", ")
    return f"{device}, in 8 bits" if engine == "int8" else device


def run_name(run: Run) -> str:
    """The name that the user gave, or the data it trains on; and when it was made, since names repeat."""
    when = made_at(run.id)
    with suppress(MtlError):
        return f"{isolate(run.name or describe_source(run.config))}, {when}"
    return f"{when} (its settings cannot be read)"


def made_at(run_id: str) -> str:
    """When a run, or a comparison, was made."""
    return time.strftime("%d %b %H:%M:%S", time.strptime(run_id[:15], "%Y%m%d-%H%M%S"))


def state_of(run: Run) -> str:
    """The state of a run, or a comparison. Reads only the status lines of its log: a menu has many runs, and a log may be long."""
    def logged() -> str:
        history = History()
        for event in read_events(run.log.path, StatusChanged):
            history.add(event)
        return history.status

    state = logged()
    if state in ACTIVE and not run.is_alive() and (state := logged()) in ACTIVE:  # read again: it may have ended in between
        return "interrupted"
    return History(state).state


def shown_run_html(run: Run) -> str:
    """Which run is shown, for the tabs that show only a part of it."""
    return plain_state(f"The run shown: <b>{html.escape(run_name(run))}</b>, {state_of(run)}")


def who_may(run: Run | None, is_owner: bool) -> str:
    """Who may do what with the run that is shown, for the field with its link."""
    watch = "Anyone who has this link can watch the run."
    if run is None:
        return "Anyone who has the link to a run can watch it."
    if not is_owner:
        return f"{watch} It was not started in this browser: it can be changed or deleted only where it was started."
    if run.has_owner():
        return f"{watch} Only this browser can pause, resume, stop or delete it."
    return f"{watch} It was started in the terminal: stop it there, with Ctrl-C. When it has ended, it can be resumed or deleted here."


def enabled_buttons(status: str, is_owner: bool, is_here: bool) -> list[str]:
    """Which buttons of a run with that status, or of a comparison, are enabled; `is_here`: it is in the queue of this app."""
    active = is_owner and is_here and status in ACTIVE
    enabled = {"pause": active and status == "running", "resume": is_owner and status in RESUMABLE or active and status == "paused",
               "stop": active and status != "stopping", "delete": is_owner and status not in ACTIVE}
    return [name for name, is_enabled in enabled.items() if is_enabled]
