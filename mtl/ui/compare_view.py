"""A comparison as the page shows it: its state, its runs, their curves, its result. Pure functions; what a user wrote is escaped."""

import html
import json
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass

import pandas as pd

from mtl.comparing.advice import Advice, after_comparison
from mtl.comparing.cost import seconds_left
from mtl.comparing.joint_vs_alone import Card, read_card
from mtl.comparing.plan import ALONE, Comparison, Member, Plan, open_comparison
from mtl.comparing.search import NOTE, RATES, best, settings, tried
from mtl.comparing.sweep import sweep_points
from mtl.errors import MtlError
from mtl.jobs.queue import Jobs
from mtl.runs.history import RESUMABLE, History
from mtl.text import isolate, many, roughly, shorten
from mtl.ui.charts import Markup, apart, colours, main_score, plain, table_html
from mtl.ui.data_view import problem_html
from mtl.ui.status import made_at, plain_state, run_name, state_block, waiting, yielding
from mtl.ui.templates import render

TITLES = {"alone": "Did it help?", "sweep": "Weight sweep", "search": "Good settings"}
GONE = "The process that trained this comparison is gone. Resume goes on with the runs that are not finished."
# of the points of a sweep: legible on white and on near black
POINT_COLOURS = ["#2563eb", "#c2410c", "#15803d", "#7e22ce", "#be123c", "#0f766e", "#a16207", "#475569", "#6fa8ff", "#fb9a5a", "#4fce7e",
                 "#bd83f5", "#fb7f96", "#3ac7b5", "#dfae2b", "#94a3b8"]
VERDICTS = {"helped": "fine", "hurt": "problem"}  # the classes of verdicts that have a colour


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
    """State, progress and messages; `ahead` and `yields_in` as for a run, see status.facts."""
    if seen is None:
        return plain_state("<b>No comparison yet.</b> Choose a question and press its button. The answer appears here.")
    shares = [1.0 if run.status == "finished" else run.step / max(1, run.started.total_steps) for run in seen.runs if run and run.started]
    place = next((at for at, run in enumerate(seen.runs) if not run or run.status != "finished"), None)
    left = seconds_left(seen.plan, seen.runs)
    facts = [f"{sum(bool(run) and run.status == 'finished' for run in seen.runs)} of {many(len(seen.runs), 'run')} finished"]
    if seen.history.status == "running" and place is not None:
        facts = [f"run {place + 1} of {len(seen.runs)}: {apart(series(seen.plan.members[place], seen.plan))}",
                 f"{roughly(left)} left" if left is not None else ""]
    facts += [waiting(ahead, yields_in) if seen.status == "queued" else "",
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
    return f'<section class="mtl-panel mtl-report"><h2>Its runs</h2>{table_html(head, rows)}</section>'


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


def curves_of(seen: Seen, task: str) -> str:
    """What curves.js is told, as JSON: the task, the runs that have it with their names, and how far they are, which has it ask again."""
    runs = [(member.run, series(member, seen.plan)) for member, run in _members_with(seen, task) if run and run.started]
    return json.dumps({"task": isolate(task), "runs": runs, "progress": seen.progress})


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


def verdict(card: Card) -> str:
    """Did training together help?, in a sentence. Claims no more than the verdicts of the tasks."""
    found = defaultdict(list)
    for task in card.tasks:
        found[task.verdict].append(isolate(shorten(task.name, 30)))
    better, worse = (found["helped"], found["hurt"]) if len(card.seeds) > 1 else (found["higher"], found["lower"])
    if len(found["unknown"]) == len(card.tasks):
        return "There is no answer: no validation row is labelled."
    if not better and not worse:
        return f"No difference is shown between one model for all tasks and one for each{', in this one try' * (len(card.seeds) == 1)}."
    if len(card.seeds) > 1:
        parts = [f"helped {_names(better)}"] * bool(better) + [f"hurt {_names(worse)}"] * bool(worse)
        rest = "" if better and worse else " It hurt no task clearly." if better else " It helped no task clearly."
        return f"Training together {' and '.join(parts)}.{rest}"
    parts = [f"{_names(better)} better"] * bool(better) + [f"{_names(worse)} worse"] * bool(worse)
    return f"In this one try, training together made {' and '.join(parts)}. That may be luck: ask again with 3 seeds."


def _names(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]])) if len(names) < 4 else f"{len(names)} tasks"


def card_html(card: Card, advised: str = "") -> str:
    """Did training together help? A verdict, a line for each task, what one model costs against several, and what is `advised`."""
    return render("card.html", card=card, verdict=verdict(card), advised=advised, VERDICTS=VERDICTS)


def sweep_html(seen: Seen) -> str:
    """The scores for every weight, so far."""
    names, points = sweep_points(seen.plan, seen.runs)
    if not points:
        return ""
    rows = [[f"{point.alpha:g}", *(f"{100 * value:.1f}" for value in (point.first, point.second, point.everything_right))]
            for point in points]
    tasks = [name.rpartition(" ")[0] for name in names]
    head = ["alpha", *(isolate(task) + name.removeprefix(task) for task, name in zip(tasks, names, strict=True)), "everything right"]
    return (f'<section class="mtl-panel mtl-report"><h2>What one task costs the other</h2>{table_html(head, rows)}<p>Alpha is the weight '
            f"of {apart(tasks[0])}; the other task has 1 - alpha. Each line is one run, scored on the validation rows: small differences "
            "may be luck.</p></section>")


def trade_off(seen: Seen) -> tuple[pd.DataFrame, tuple[str, str], dict[str, str]] | None:
    """The points of a sweep, the titles of the axes, and a colour for each alpha, also those without a point yet; None without points."""
    names, points = sweep_points(seen.plan, seen.runs)
    if seen.plan.kind != "sweep" or not points:
        return None
    alphas = [f"{member.config.alpha:g}" for member in seen.plan.members]
    rows = [(None, None, alpha) for alpha in alphas] + [(point.first, point.second, f"{point.alpha:g}") for point in points]
    frame = pd.DataFrame(rows, columns=["first", "second", "alpha"]).astype({"first": "float64", "second": "float64", "alpha": "str"})
    return frame, (plain(names[0]), plain(names[1])), colours(alphas, POINT_COLOURS)


def search_html(seen: Seen) -> str:
    """The longest run of every candidate so far, the best first."""
    found = tried(seen.plan, seen.runs)
    if not found:
        return '<p class="mtl-hint">First a short run measures how fast this machine is. Then the candidates are trained.</p>'
    rows = []
    for one in found:
        config = one.member.config
        weights = ", ".join(f"{isolate(task)} {weight:g}" for task, weight in config.weights.items()) or "-"
        rows.append([str(one.number), str(one.member.round), f"{config.max_steps:,}", one.shown,
                     *(f"{rate:g}" if (rate := getattr(config, name)) else "-" for name in RATES),  # none of a frozen encoder
                     weights if config.alpha is None else f"alpha {config.alpha:g}"])
    rounds = "; ".join(f"{many(count, 'candidate')} for {many(steps, 'step')}" for count, steps in seen.plan.rounds)
    head = ["candidate", "round", "steps", found[0].by, "learning rate", "head learning rate", "weights"]
    return (f'<section class="mtl-panel mtl-report"><h2>Settings tried</h2><p>Rounds: {rounds}. Every run starts from scratch.</p>'
            f"{table_html(head, rows)}<p>{NOTE}</p></section>")
