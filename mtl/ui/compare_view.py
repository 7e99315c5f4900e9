"""A comparison as the page shows it: its state, its runs, their curves in one plot, the card. Pure functions of plan and logs; everything
that a user wrote is escaped."""

import html
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mtl.comparing.joint_vs_alone import Card, Compared, read_card
from mtl.comparing.plan import ALONE, Comparison, Member, Plan, list_comparisons, open_comparison
from mtl.comparing.search import NOTE, best, percent, tried
from mtl.comparing.sweep import sweep_points
from mtl.data.dataset import describe_source
from mtl.errors import MtlError
from mtl.jobs.queue import Jobs
from mtl.runs.history import ACTIVE, RESUMABLE, History
from mtl.settings.config import RunConfig
from mtl.text import isolate, many
from mtl.ui.charts import HUES, Markup, apart, plain, table_html, thin
from mtl.ui.status import duration, made_at, state_of, waiting, yielding

TITLES = {"alone": "Did it help?", "sweep": "Weight sweep", "search": "Good settings"}
GONE = "The process that trained this comparison is gone. Resume goes on with the runs that are not finished."
CURVES = ["step", "score", "series"]
POINTS = ["first", "second", "alpha"]
COLOURS = {"helped": "fine", "hurt": "problem", "no difference": "", "higher": "", "lower": "", "unknown": "warning"}


@dataclass(frozen=True)
class Seen:
    """A comparison as it is now: its plan, what happened in it and in each of its runs (None: not made yet, or deleted)."""

    comparison: Comparison
    plan: Plan
    history: History
    runs: tuple[History | None, ...]

    @property
    def status(self) -> str:
        """Of the comparison, as people are told it; 'paused' if the run in work is."""
        paused = any(run and run.status == "paused" for run in self.runs)
        return "paused" if paused and self.history.status == "running" else self.history.state

    @property
    def deleted(self) -> list[Member]:
        """Those whose runs were deleted."""
        return [member for member, run in zip(self.plan.members, self.runs, strict=True) if member.run and run is None]

    @property
    def cursor(self) -> str:
        """Differs if anything does that is shown."""
        told = [f"{run.status}{run.step}.{len(run.evaluations)}" if run else "-" for run in self.runs]
        return f"{self.comparison.id}/{self.status}/{len(self.history.told)}/{','.join(told)}"


def look(jobs: Jobs, comparison_id: str) -> Seen:
    """The comparison of that id; raises MtlError if there is none."""
    comparison = open_comparison(jobs.root, comparison_id)
    plan = comparison.plan

    def of(member: Member) -> History | None:
        with suppress(MtlError):
            return jobs.history(member.run) if member.run else None

    return Seen(comparison, plan, jobs.history(comparison_id), tuple(map(of, plan.members)))


def comparison_choices(root: Path, key: str, shown: str) -> list[tuple[str, str]]:
    """The owner's comparisons with their states for a menu, newest first, and the one that is shown, whoever's it is."""
    found = {comparison.id: comparison for comparison in list_comparisons(root, key)[:50]}
    with suppress(MtlError):
        found.setdefault(shown, open_comparison(root, shown))
    return [(f"{comparison_name(comparison)}, {state_of(comparison)}", comparison.id) for comparison in found.values()]


def comparison_name(comparison: Comparison) -> str:
    """What was asked, of what, and when."""
    when = made_at(comparison.id)
    try:
        config = comparison.config
        return f"{TITLES[comparison.plan.kind]} {isolate(config.name or describe_source(config))}, {when}"
    except MtlError:
        return f"{when} (its plan cannot be read)"


# State and runs


def state_html(seen: Seen | None, ahead: int, yields_in: float | None = None) -> str:
    """State, how far it is, and what there is to say; `yields_in` as in the state of a run."""
    if seen is None:
        return '<div class="mtl-status"><b>No comparison yet.</b> Press one of the buttons under the three questions.</div>'
    shares = [_share(run) for run in seen.runs]
    done, count = sum(run is not None and run.status == "finished" for run in seen.runs), len(seen.runs)
    left = [run.seconds_left for run in seen.runs if run and run.status == "running" and run.seconds_left is not None]
    facts = [f"{done} of {many(count, 'run')} finished", f"about {duration(left[0])} left for the run in training" if left else "",
             waiting(ahead, yields_in) if seen.history.status == "queued" else "",
             yielding(yields_in) if seen.history.status == "running" and seen.status == "paused" else ""]
    message = GONE if seen.status == "interrupted" else seen.history.message
    if seen.deleted:  # that sentence says what Resume does
        message = message.partition(" Resume ")[0]
    told = "".join(f"<div>{html.escape(told)}</div>" for told in (message, deleted_sentence(seen)) if told)
    return (f'<div class="mtl-status"><span class="mtl-badge mtl-{seen.status}">{seen.status}</span> '
            f'<b>{html.escape(comparison_name(seen.comparison))}</b>'
            f'<progress value="{sum(shares):.3f}" max="{count or 1}" aria-label="progress"></progress>'
            f"<div>{' · '.join(filter(None, facts))}</div>{told}</div>")


def deleted_sentence(seen: Seen) -> str:
    """Which runs were deleted, and what becomes of that."""
    if not seen.deleted:
        return ""
    names = ", ".join(isolate(series(member, seen.plan)) for member in seen.deleted)
    again = [series(member, seen.plan) for member in seen.deleted if not member.is_cut] if seen.history.status in RESUMABLE else []
    return f"Deleted: {names}." + f" Resume trains {', '.join(again)} again." * bool(again)


def _share(run: History | None) -> float:
    if run is None or not run.started:
        return 0.0
    return 1.0 if run.status == "finished" else run.step / max(1, run.started.total_steps)


def can_stop(seen: Seen, is_owner: bool, is_here: bool) -> bool:
    """Whether the comparison can be stopped from this page."""
    return is_owner and is_here and seen.history.status in ACTIVE and seen.history.status != "stopping"


def can_resume(seen: Seen, is_owner: bool, is_here: bool) -> bool:
    """Whether the comparison can go on."""
    return is_owner and (seen.history.status in RESUMABLE or (is_here and seen.status == "paused"))


def members_html(seen: Seen) -> str:
    """A line for each run: what it is there for, where it stands, its best validation scores; a click leads to it."""
    rows = []
    for member, run in zip(seen.plan.members, seen.runs, strict=True):
        name: str | Markup = series(member, seen.plan)
        if run:
            name = Markup(f'<a href="?run={member.run}">{html.escape(name)}</a>')
        total = run.started.total_steps if run and run.started else 0
        state = run.state if run else "deleted" if member.run else "not begun"
        rows.append([name, state, f"{run.step:,} of {total:,}" if total else "-", _scores(run)])
    return '<div class="mtl-report">' + table_html(["run", "state", "steps", "best validation scores"], rows) + "</div>"


def _scores(run: History | None) -> str:
    if not run or not run.started or not run.best:
        return "-"
    return ", ".join(f"{isolate(task)} {run.best.scores[task][facts['main_score']]:.1%}" for task, facts in run.started.tasks.items()
                     if run.best.scores.get(task))


# Curves


def series(member: Member, plan: Plan) -> str:
    """What a run is called in plots and tables: its seed is told if there are several."""
    seeds = {other.config.seed for other in plan.members}
    return plain(member.role) + (f", seed {member.config.seed}" if len(seeds) > 1 else "")


def task_names(seen: Seen) -> list[str]:
    """The tasks whose curves can be looked at."""
    if seen.plan.kind == "alone":
        return list(dict.fromkeys(member.config.tasks[0].name for member in seen.plan.members if member.role.startswith(ALONE)))
    started = next((run.started for run in seen.runs if run and run.started), None)
    return list(started.tasks) if started else [spec.name for spec in seen.comparison.config.tasks]


def drawn_members(seen: Seen, task: str) -> list[tuple[Member, History | None]]:
    """The runs that have the task."""
    return [(member, run) for member, run in zip(seen.plan.members, seen.runs, strict=True)
            if not member.role.startswith(ALONE) or member.config.tasks[0].name == task]


def curve_colours(seen: Seen, task: str) -> dict[str, str]:
    """A colour for each run that has the task."""
    return {series(member, seen.plan): _colour(index) for index, (member, _) in enumerate(drawn_members(seen, task))}


def _colour(index: int) -> str:
    """The strong colours first, then their lighter twins."""
    palette = [dark for dark, _ in HUES] + [light for _, light in HUES]
    return palette[index % len(palette)]


def curve_frame(seen: Seen, task: str) -> pd.DataFrame:
    """The validation score of the task over the steps of every run that has it; each has a first row, so that its colour and its place in
    the legend are there before its first point."""
    rows: list[tuple[int, float | None, str]] = [(0, None, name) for name in curve_colours(seen, task)]
    for member, run in drawn_members(seen, task):
        if run and run.started and task in run.started.tasks:
            measure = run.started.tasks[task]["main_score"]
            rows += [(at.step, at.scores[task][measure], series(member, seen.plan)) for at in thin(run.evaluations)
                     if at.split == "validation" and at.scores.get(task)]
    return pd.DataFrame(rows, columns=CURVES).astype({"step": "int64", "score": "float64", "series": "str"})


# What came out


def result_html(seen: Seen) -> str:
    """The answer, as far as there is one."""
    if seen.plan.kind == "sweep":
        return sweep_html(seen)
    if seen.plan.kind == "search":
        return search_html(seen)
    if seen.history.status != "finished":
        return ""
    try:
        card = read_card(seen.comparison.folder)
    except MtlError as error:
        return f'<div class="mtl-report"><p class="mtl-finding mtl-problem">{html.escape(str(error))}</p></div>'
    return card_html(card) if card else ""


def card_html(card: Card) -> str:
    """Did it help? A sentence a task, then what one model costs against several."""
    rest = "".join(f"<p>{html.escape(line)}</p>" for line in card.notes)
    return ('<div class="mtl-report mtl-card"><h4>Did training together help?</h4>' + "".join(map(_verdict, (*card.tasks, card.everything)))
            + rest + "</div>")


def _verdict(found: Compared) -> str:
    rest = html.escape(found.sentence.removeprefix(found.name))
    return (f'<p class="mtl-finding mtl-{COLOURS[found.verdict] or "open"}"><b>{found.verdict}</b> {apart(found.name)}{rest}'
            f"{_interval_html(found)}</p>")


def _interval_html(found: Compared) -> str:
    """The interval on a line from -20 to +20 points, 0 in the middle."""
    if found.low is None or found.high is None or found.difference is None:
        return ""
    low, high, at = (50 + 250 * min(0.2, max(-0.2, value)) for value in (found.low, found.high, found.difference))
    return (f'<span class="mtl-difference" aria-hidden="true"><i style="left:{low:.1f}%;width:{max(0.5, high - low):.1f}%"></i>'
            f'<u style="left:{at:.1f}%"></u></span>')


def sweep_html(seen: Seen) -> str:
    """What every weight gave, so far."""
    names, points = sweep_points(seen.plan, seen.runs)
    if not points:
        return ""
    rows = [[f"{point.alpha:g}", *(f"{100 * value:.1f}" for value in (point.first, point.second, point.everything_right))]
            for point in points]
    tasks, measures = zip(*(name.rsplit(" ", 1) for name in names), strict=True)
    head = ["alpha", *(f"{isolate(task)} {measure}" for task, measure in zip(tasks, measures, strict=True)), "everything right"]
    return (f'<div class="mtl-report"><h4>The trade-off</h4>{table_html(head, rows)}<p>Alpha is the weight of '
            f"{apart(tasks[0])}, the other task has 1 - alpha. These are validation scores of one run each: small differences "
            "may be luck.</p></div>")


def trade_off(seen: Seen) -> tuple[pd.DataFrame, tuple[str, str], dict[str, str]] | None:
    """A sweep's points for a plot, what its axes are, and a colour for each alpha, whether it has its point yet or not; None if there is
    nothing to draw."""
    names, points = sweep_points(seen.plan, seen.runs) if seen.plan.kind == "sweep" else (("", ""), [])
    if not points:
        return None
    alphas = [f"{member.config.alpha:g}" for member in seen.plan.members]
    rows = [(None, None, alpha) for alpha in alphas] + [(point.first, point.second, f"{point.alpha:g}") for point in points]
    frame = pd.DataFrame(rows, columns=POINTS).astype({"first": "float64", "second": "float64", "alpha": "str"})
    return frame, (plain(names[0]), plain(names[1])), {alpha: _colour(index) for index, alpha in enumerate(alphas)}


def search_html(seen: Seen) -> str:
    """Every candidate's longest run so far, the best first."""
    found = tried(seen.plan, seen.runs)
    if not found:
        return '<div class="mtl-report"><p>First a short run measures how fast this machine is. Then the candidates follow.</p></div>'
    rows = [[str(one.number), str(one.member.rung), f"{one.member.config.max_steps:,}", percent(one),
             f"{one.member.config.learning_rate:g}", f"{one.member.config.head_learning_rate:g}", _weights(one.member.config)]
            for one in found]
    rounds = "; ".join(f"{many(count, 'candidate')} for {many(steps, 'step')}" for count, steps in seen.plan.rungs)
    head = ["candidate", "round", "steps", "validation score", "learning rate", "head learning rate", "weights"]
    return (f'<div class="mtl-report"><h4>Settings tried</h4><p>Rounds: {rounds}. Each run begins anew, with its own warm-up and decay.</p>'
            f"{table_html(head, rows)}<p>{NOTE}</p></div>")


def _weights(config: RunConfig) -> str:
    if config.alpha is not None:
        return f"alpha {config.alpha:g}"
    return ", ".join(f"{isolate(task)} {weight:g}" for task, weight in config.weights.items()) or "-"


def best_settings(seen: Seen) -> RunConfig | None:
    """What a search has found so far."""
    found = best(seen.plan, seen.runs) if seen.plan.kind == "search" else None
    return found and found.member.config
