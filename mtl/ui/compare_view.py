"""A comparison as the page shows it: its state, its runs, their curves, its result. Pure functions; what a user wrote is escaped."""

import html
from contextlib import suppress
from dataclasses import dataclass

import pandas as pd

from mtl.comparing.advice import Advice, after_comparison
from mtl.comparing.joint_vs_alone import Card, Compared, read_card
from mtl.comparing.plan import ALONE, Comparison, Member, Plan, open_comparison
from mtl.comparing.search import NOTE, best, settings, tried
from mtl.comparing.sweep import sweep_points
from mtl.errors import MtlError
from mtl.jobs.queue import Jobs
from mtl.runs.history import RESUMABLE, History
from mtl.text import duration, isolate, many
from mtl.ui import charts
from mtl.ui.charts import HUES, Markup, PlotData, apart, colours, main_score, plain, table_html
from mtl.ui.data_view import problem_html
from mtl.ui.status import made_at, plain_state, run_name, state_block, waiting, yielding

TITLES = {"alone": "Did it help?", "sweep": "Weight sweep", "search": "Good settings"}
GONE = "The process that trained this comparison is gone. Resume goes on with the runs that are not finished."
CURVE_BYTES = 40_000  # of all curves in the plot
LINE_COLOURS = [dark for dark, _ in HUES] + [light for _, light in HUES]
VERDICTS = {"helped": "fine", "hurt": "problem", "no difference": "open", "higher": "open", "lower": "open", "unknown": "warning"}


@dataclass(frozen=True)
class Seen:
    """A comparison as it is now: its plan, its own history and those of its runs (None: not begun yet, or deleted)."""

    comparison: Comparison
    plan: Plan
    history: History
    runs: tuple[History | None, ...]

    @property
    def status(self) -> str:
        """That of the comparison; 'paused' if the run in training is."""
        paused = any(run and run.status == "paused" for run in self.runs)
        return "paused" if paused and self.history.status == "running" else self.history.status

    @property
    def members(self) -> list[tuple[Member, History | None]]:
        """The members of the plan, each with the history of its run."""
        return list(zip(self.plan.members, self.runs, strict=True))

    @property
    def progress(self) -> str:
        """A text that changes with everything that is shown."""
        runs = [f"{run.status}{run.step}.{len(run.evaluations)}" if run else "-" for run in self.runs]
        return f"{self.status}/{len(self.history.entries)}/{','.join(runs)}"


def read(jobs: Jobs, comparison_id: str) -> Seen:
    """The comparison of that id as it is now; raises MtlError if there is none."""
    def of(member: Member) -> History | None:
        with suppress(MtlError):
            return jobs.history(member.run)

    comparison = open_comparison(jobs.root, comparison_id)
    plan = comparison.plan
    return Seen(comparison, plan, jobs.history(comparison_id), tuple(map(of, plan.members)))


def comparison_name(comparison: Comparison) -> str:
    """What is compared, on which data, and when it was started."""
    with suppress(MtlError):
        return f"{TITLES[comparison.plan.kind]} {run_name(comparison)}"
    return f"{made_at(comparison.id)} (its plan cannot be read)"


def state_html(seen: Seen | None, ahead: int, yields_in: float | None = None) -> str:
    """State, progress and messages; `ahead` and `yields_in` as for a run, see status_html."""
    if seen is None:
        return plain_state("<b>No comparison yet.</b> Choose a question, then press the button under it. The answer appears here.")
    begun = [run for run in seen.runs if run and run.started]
    shares = [1.0 if run.status == "finished" else run.step / max(1, run.started.total_steps) for run in begun]
    done = sum(run.status == "finished" for run in begun)
    left = [run.seconds_left for run in begun if run.status == "running" and run.seconds_left is not None]
    facts = [f"{done} of {many(len(seen.runs), 'run')} finished", f"about {duration(left[0])} left for the run in training" if left else "",
             waiting(ahead, yields_in) if seen.status == "queued" else "",
             yielding(yields_in) if seen.history.status == "running" and seen.status == "paused" else ""]
    messages = [GONE if seen.status == "interrupted" else seen.history.message]
    if deleted := [member for member, run in seen.members if member.run and run is None]:
        names = ", ".join(isolate(series(member, seen.plan)) for member in deleted)
        again = [series(member, seen.plan) for member in deleted if not member.is_cut] if seen.history.status in RESUMABLE else []
        # says what Resume does, in place of what the message says about it
        messages = [messages[0].partition(" Resume ")[0], f"Deleted: {names}." + f" Resume trains {', '.join(again)} again." * bool(again)]
    state = "paused" if seen.status == "paused" else seen.history.state
    return state_block(state, comparison_name(seen.comparison), sum(shares), len(seen.runs), facts, messages)


def members_html(seen: Seen) -> str:
    """A line for each run: what it is for, its state, its scores at its best evaluation, and a link to it."""
    rows = []
    for member, run in seen.members:
        name = series(member, seen.plan)
        link = Markup(f'<a href="?run={member.run}">{html.escape(name)}</a>') if run else name
        started, best = (run.started, run.best) if run else (None, None)
        scores = {task: main_score(best, task, facts) for task, facts in started.tasks.items()} if started and best else {}
        shown = ", ".join(f"{isolate(task)} {score:.1%}" for task, score in scores.items() if score is not None)
        state = run.state if run else "deleted" if member.run else "not begun"
        rows.append([link, state, f"{run.step:,} of {started.total_steps:,}" if started else "-", best.by if best else "-", shown or "-"])
    head = ["run", "state", "steps", "best by", "validation scores at its best evaluation"]
    return f'<div class="mtl-report">{table_html(head, rows)}</div>'


def series(member: Member, plan: Plan) -> str:
    """The name of a run in plots and tables, with its seed if there are several seeds."""
    seeds = {other.config.seed for other in plan.members}
    return plain(member.role) + (f", seed {member.config.seed}" if len(seeds) > 1 else "")


def task_names(seen: Seen) -> list[str]:
    """The tasks whose curves can be shown."""
    if seen.plan.kind == "alone":
        return list(dict.fromkeys(member.config.tasks[0].name for member in seen.plan.members if member.role.startswith(ALONE)))
    started = next((run.started for run in seen.runs if run and run.started), None)
    return list(started.tasks) if started else [spec.name for spec in seen.comparison.config.tasks]


def _members_with(seen: Seen, task: str) -> list[tuple[Member, History | None]]:
    return [(member, run) for member, run in seen.members if not member.role.startswith(ALONE) or member.config.tasks[0].name == task]


def curve_colours(seen: Seen, task: str) -> dict[str, str]:
    """A colour for each run that has the task."""
    return colours((series(member, seen.plan) for member, _ in _members_with(seen, task)), LINE_COLOURS)


def curve_lines(seen: Seen, task: str) -> PlotData:
    """The validation score of the task over the steps of every run that has it."""
    lines = {}
    for member, run in _members_with(seen, task):
        facts = run.started.tasks.get(task) if run and run.started else None
        evaluations = charts.validations(run) if facts else []
        lines |= charts.curves([series(member, seen.plan)], evaluations, [[main_score(event, task, facts)] for event in evaluations])
    return charts.line_data(lines, charts.SCORE_COLUMNS, CURVE_BYTES)


def result_html(seen: Seen) -> str:
    """What was found out so far."""
    if seen.plan.kind != "alone":
        return {"sweep": sweep_html, "search": search_html}[seen.plan.kind](seen)
    try:
        card = read_card(seen.comparison.folder) if seen.history.status == "finished" else None
    except MtlError as error:
        return problem_html(str(error))
    return card_html(card, advice(seen).sentence) if card else ""


def advice(seen: Seen) -> Advice:
    """The settings that the result advises: the best ones that a search found so far, or what would help the tasks that were hurt."""
    if found := best(seen.plan, seen.runs):
        return Advice("", settings(found.member.config))
    with suppress(MtlError):
        if seen.history.status == "finished" and (card := read_card(seen.comparison.folder)):
            return after_comparison(card, seen.plan, seen.runs)
    return Advice("")


def card_html(card: Card, advised: str = "") -> str:
    """Did training together help? A sentence for each task, what one model costs against several, and what is `advised`."""
    verdicts = [f'<p class="mtl-finding mtl-{VERDICTS[found.verdict]}"><b>{found.verdict}</b> {apart(found.name)}'
                f"{html.escape(found.sentence.removeprefix(found.name))}{_interval_html(found)}</p>"
                for found in (*card.tasks, card.everything)]
    notes = [f"<p>{html.escape(line)}</p>" for line in card.notes]
    notes += [f'<p class="mtl-finding mtl-warning">{html.escape(advised)}</p>'] * bool(advised)  # above the button for it
    return f'<div class="mtl-report mtl-card"><h4>Did training together help?</h4>{"".join(verdicts + notes)}</div>'


def _interval_html(found: Compared) -> str:
    """The interval on a scale from -20 to +20 points."""
    if found.low is None or found.high is None or found.difference is None:
        return ""
    low, high, at = (50 + 250 * min(0.2, max(-0.2, value)) for value in (found.low, found.high, found.difference))
    return (f'<span class="mtl-difference" aria-hidden="true"><i style="left:{low:.1f}%;width:{max(0.5, high - low):.1f}%"></i>'
            f'<u style="left:{at:.1f}%"></u></span>')


def sweep_html(seen: Seen) -> str:
    """The scores for every weight, so far."""
    names, points = sweep_points(seen.plan, seen.runs)
    if not points:
        return ""
    rows = [[f"{point.alpha:g}", *(f"{100 * value:.1f}" for value in (point.first, point.second, point.everything_right))]
            for point in points]
    tasks = [name.rpartition(" ")[0] for name in names]
    head = ["alpha", *(isolate(task) + name.removeprefix(task) for task, name in zip(tasks, names, strict=True)), "everything right"]
    return (f'<div class="mtl-report"><h4>The trade-off</h4>{table_html(head, rows)}<p>Alpha is the weight of '
            f"{apart(tasks[0])}; the other task has 1 - alpha. Each line is one run, scored on the validation rows: small differences may "
            "be luck.</p></div>")


def trade_off(seen: Seen) -> tuple[pd.DataFrame, tuple[str, str], dict[str, str]] | None:
    """The points of a sweep, the titles of the axes, and a colour for each alpha, also those without a point yet; None without points."""
    names, points = sweep_points(seen.plan, seen.runs)
    if seen.plan.kind != "sweep" or not points:
        return None
    alphas = [f"{member.config.alpha:g}" for member in seen.plan.members]
    rows = [(None, None, alpha) for alpha in alphas] + [(point.first, point.second, f"{point.alpha:g}") for point in points]
    frame = pd.DataFrame(rows, columns=["first", "second", "alpha"]).astype({"first": "float64", "second": "float64", "alpha": "str"})
    return frame, (plain(names[0]), plain(names[1])), colours(alphas, LINE_COLOURS)


def search_html(seen: Seen) -> str:
    """The longest run of every candidate so far, the best first."""
    found = tried(seen.plan, seen.runs)
    if not found:
        return '<div class="mtl-report"><p>First a short run measures how fast this machine is. Then the candidates are trained.</p></div>'
    rows = []
    for one in found:
        config = one.member.config
        weights = ", ".join(f"{isolate(task)} {weight:g}" for task, weight in config.weights.items()) or "-"
        rows.append([str(one.number), str(one.member.round), f"{config.max_steps:,}", one.shown, f"{config.learning_rate:g}",
                     f"{config.head_learning_rate:g}", weights if config.alpha is None else f"alpha {config.alpha:g}"])
    rounds = "; ".join(f"{many(count, 'candidate')} for {many(steps, 'step')}" for count, steps in seen.plan.rounds)
    head = ["candidate", "round", "steps", found[0].by, "learning rate", "head learning rate", "weights"]
    return (f'<div class="mtl-report"><h4>Settings tried</h4><p>Rounds: {rounds}. Every run starts from scratch.</p>'
            f"{table_html(head, rows)}<p>{NOTE}</p></div>")
