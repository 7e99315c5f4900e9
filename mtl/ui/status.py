"""The state of a run as the page shows it: a line, a bar, and which buttons can be pressed. Pure functions of the run's history."""

import html
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mtl.data.dataset import describe_source
from mtl.errors import MtlError
from mtl.runs.events import describe_size, read_statuses
from mtl.runs.folder import Run, list_runs, open_run
from mtl.runs.history import ACTIVE, RESUMABLE, History
from mtl.text import isolate, many
from mtl.ui.charts import speed


def status_html(history: History | None, ahead: int, name: str, yields_in: float | None = None) -> str:
    """State, progress, pace and time left of the run called `name`; `yields_in` seconds the run in work, which is paused, gives its place
    up. Everything that a user wrote is escaped, and kept apart."""
    if history is None:
        return '<div class="mtl-status"><b>No run yet.</b> Choose the data, then press <b>Start training</b>.</div>'
    started, total = history.started, history.started.total_steps if history.started else 0
    facts = [f"step {history.step:,} of {total:,}" if total else "",
             f"epoch {history.step / started.steps_per_epoch:.2f}" if started and history.step else ""]
    if history.status == "running" and history.steps:
        facts += [f"{speed(history.steps):,.0f} sentences/s", f"about {duration(history.seconds_left)} left"]
    elif history.preparing:
        facts.append(f"{html.escape(history.preparing.what)}: {history.preparing.share:.0%}")
    elif history.status == "running" and not history.step:
        facts.append("getting ready: reading the data and loading the encoder")
    if history.steps and history.status not in ("running", "queued"):
        facts.append(f"{duration(history.steps[-1].seconds)} of training")
    if history.status == "queued":
        facts.append(waiting(ahead, yields_in) or "starting")
    if history.status == "paused":
        facts.append(yielding(yields_in))
    if started:
        facts += [describe_size(started), f"{started.device}, {started.precision}, {many(started.threads, 'thread')}"]
    done = history.preparing.share if history.preparing and not total else history.step
    message = f"<div>{html.escape(history.message)}</div>" if history.message else ""
    return (f'<div class="mtl-status"><span class="mtl-badge mtl-{history.state}">{history.state}</span> <b>{html.escape(name)}</b> '
            f'<progress value="{done}" max="{total or 1}" aria-label="progress"></progress>'
            f"<div>{' · '.join(filter(None, facts))}</div>{message}</div>")


def waiting(ahead: int, yields_in: float | None) -> str:
    """What a queued run waits for; an empty text if for nothing."""
    paused = "" if yields_in is None else f", of which the one in work is paused: it gives its place up in {duration(yields_in)}"
    return f"{ahead} run{'s' * (ahead != 1)} ahead{paused}" if ahead else ""


def yielding(yields_in: float | None) -> str:
    """What a paused run will do; an empty text if it just waits."""
    return "" if yields_in is None else f"gives its place up in {duration(yields_in)}, with a checkpoint, and stays paused"


def duration(seconds: float | None) -> str:
    """Seconds for people."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def run_name(run: Run) -> str:
    """The name that the user gave, or what the run learns from; and when it was made, since names repeat."""
    when = made_at(run.id)
    try:
        config = run.config
    except MtlError:
        return f"{when} (its settings cannot be read)"
    return f"{isolate(config.name or describe_source(config))}, {when}"


def made_at(run_id: str) -> str:
    """When a run, or a comparison, was made."""
    return time.strftime("%d %b %H:%M:%S", time.strptime(run_id[:15], "%Y%m%d-%H%M%S"))


def state_of(run: Run) -> str:
    """The state of a run, or a comparison, from the few lines of its log that tell it: a menu has many runs, and a log may be long."""
    state = _last_status(run)
    if state in ACTIVE and not run.is_alive() and (state := _last_status(run)) in ACTIVE:  # it may have ended between the two looks
        return "interrupted"
    return state


def _last_status(run: Run) -> str:
    history = History()
    for logged in read_statuses(run.log.path):
        history.add(logged)
    return history.status


def run_choices(root: Path, key: str, shown: str) -> list[tuple[str, str]]:
    """The owner's runs with their states for a menu, newest first, and the run that is shown, whoever's it is."""
    runs = {run.id: run for run in list_runs(root, key, 50)}
    with suppress(MtlError):  # none is shown, or it was deleted
        runs.setdefault(shown, open_run(root, shown))
    return [(f"{run_name(run)}, {state_of(run)}", run.id) for run in runs.values()]


def shown_run_html(run: Run) -> str:
    """On the tabs that do not show the run itself: which it is."""
    return f'<div class="mtl-status">The run shown: <b>{html.escape(run_name(run))}</b>, {state_of(run)}</div>'


def who_may(run: Run | None, is_owner: bool) -> str:
    """Beside the link to the run that is shown: who may do what with it."""
    if run is None:
        return "Whoever has the link to a run can watch it."
    if not is_owner:
        return "Whoever has it can watch. This run was not started in this browser: only where it was started it can be changed or deleted."
    if run.has_owner():
        return "Whoever has it can watch. Only this browser can pause, resume, stop or delete the run."
    return ("Whoever has it can watch. The run is from the terminal: stop it there, with Ctrl-C. Once it is over, it can be resumed or "
            "deleted here.")


def legend_html(colours: dict[str, str]) -> str:
    """The names of a plot's series, made by `plain`, beside their colours, in lines that wrap."""
    return '<div class="mtl-legend">' + "".join(
        f'<span><i style="background:{colour}"></i>{html.escape(series)}</span>' for series, colour in colours.items()) + "</div>"


@dataclass(frozen=True)
class Buttons:
    """Which can be pressed: a pure function of the run's state and of who looks."""

    pause: bool = False
    resume: bool = False
    stop: bool = False
    delete: bool = False

    @classmethod
    def of(cls, history: History, is_owner: bool, is_here: bool) -> "Buttons":
        going = is_owner and is_here
        return cls(pause=going and history.status == "running", stop=going and history.status in ACTIVE and history.status != "stopping",
                   delete=is_owner and history.status not in ACTIVE,
                   resume=is_owner and (history.status in RESUMABLE or (is_here and history.status == "paused")))
