"""How the tasks of a run get along, in plain sentences, and the settings that would help the next run: for starved tasks, then others."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mtl.comparing.joint_vs_alone import Card
from mtl.comparing.plan import JOINT, MAX_EPOCHS, Plan
from mtl.runs.events import StepDone
from mtl.runs.history import History
from mtl.settings.config import RunConfig
from mtl.settings.methods import METHODS, TAKE_WEIGHTS, refusal
from mtl.settings.rates import EPOCHS, auto_epochs
from mtl.text import isolate, many

EARLY = 5  # comparisons after the warm-up; with fewer it is too early, as untrained heads have other gradients
STARVED = 0.5  # a task that pulls less than this share of the strongest pull is starved,
LEARNED = 0.99  # unless its validation score is this high: then there is little left to pull for
MOST = 10.0  # a larger loss weight is not advised
AGAINST = -0.1  # below this cosine two gradients disagree; nearer to 0 the sign is chance
RARELY, OFTEN = 0.2, 0.5  # shares of the comparisons in which two tasks disagree
LOWER = -0.01  # with one seed: a task this much lower together is pointed out, whatever its interval is
THEN = {"often": "The Compare tab shows whether training these tasks together helps.", "sometimes": "Small batches alone can cause that.",
        "rarely": "Nothing needs to change."}


@dataclass(frozen=True)
class Advice:
    """What was seen, in sentences; the settings of RunConfig that would help the next run, by name; and the tasks that they would help."""

    sentence: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    tasks: Sequence[str] = ()

    @property
    def label(self) -> str:
        """The settings as a button names them."""
        weights = ", ".join(f"{isolate(task)} {weight:g}" for task, weight in self.settings.get("weights", {}).items())
        shown = {RunConfig.model_fields[name].title: value for name, value in ({**self.settings} | {"weights": weights}).items() if value}
        return ", ".join(f"{title} = {value}" for title, value in shown.items())


def advise(history: History, config: RunConfig) -> Advice:
    """What the comparisons of the tasks' gradients in a run of `config` mean. A task's pull is the length of its gradient times the weight
    of its loss; what share of the rows a sampling gives to it was the user's choice, and is not counted."""
    if not history.started or len(history.started.tasks) < 2:
        return Advice("This run has only one task, so there is nothing to compare.")
    if not history.diagnoses:
        return Advice("No gradients were compared yet. They are if 'Diagnose every' is above 0 and the encoder is trained.")
    begun = config.warmup * history.started.total_steps
    if (count := sum(event.step > begun for event in history.diagnoses)) < EARLY:
        return Advice(f"Too early to tell: {many(count, 'comparison')} of the tasks' gradients since the warm-up.")
    given, cosines = config.loss_weights([*history.started.tasks]), cosines_of(history)
    (lengths, pulls), counts = _strengths(history, given, begun), np.isfinite(cosines).sum(0)
    if not counts.any() or not all(pulls.values()):
        return Advice("The gradients were too small to compare.")
    shares = (cosines < AGAINST).sum(0) / np.maximum(counts, 1)
    worst, share = int(shares.argmax()), float(shares.max())
    pair, how_often = history.diagnoses[0].cosines[worst][:2], "often" if share >= OFTEN else "sometimes" if share >= RARELY else "rarely"
    disagree = f"{_and(pair)} {how_often} disagree (in {share:.0%} of {many(int(counts[worst]), 'comparison')})."
    scores = next((seen.scores for seen in reversed(history.evaluations) if seen.split == "validation"), {})
    learned = [task for task in _weak(pulls) if scores.get(task, {}).get(history.started.tasks[task].get("main_score"), 0.0) >= LEARNED]
    if config.balancing == "even":  # it lets those that have learned pull less, and those that the user weighs less
        learned = _weak({task: pull / given[task] for task, pull in pulls.items()})
    if starved := [task for task in _weak(pulls) if task not in learned]:
        fed = _feed(starved, pulls, given, config)
        return replace(fed, sentence=fed.sentence + f" {disagree}" * (share >= RARELY))
    told = f"Mostly learned, and so pulling the encoder only a little: {_and(learned)}." if learned else (
        f"All tasks pull the encoder alike (the strongest {max(pulls.values()) / min(pulls.values()):.1f} times as much as the weakest).")
    is_gradient, is_even = METHODS[config.balancing].is_gradient, not _weak(lengths)
    if share >= OFTEN and not is_gradient and is_even and (settings := _only("pcgrad", config)):  # otherwise it would starve a task
        return Advice(f"{told} {disagree} Try Balancing 'pcgrad' or 'upgrad'. {THEN['often']}", settings, pair)
    if share < RARELY and is_gradient and (settings := _only("equal" if is_even else "even", config)):
        return Advice(f"{told} {disagree} Balancing '{settings['balancing']}' would do as well, in less time.", settings)
    return Advice(f"{told} {disagree} {THEN[how_often]}")


def _feed(starved: Sequence[str], pulls: Mapping[str, float], given: Mapping[str, float], config: RunConfig) -> Advice:
    """What would help the tasks that are `starved`, the worst first. `given`: the loss weights of all tasks, as they were set."""
    strong = max(pulls, key=pulls.get)
    ratios = {task: pulls[strong] / pulls[task] for task in starved}
    compared = " and ".join(f"{round(ratio, 1):g} times as strongly as {isolate(task)}" for task, ratio in ratios.items())
    settings = _only("even", config) or _heavier(given, ratios, "even")
    remedy = "Balancing 'even' lets every task pull alike." if settings and not settings["weights"] else (
        f"A larger loss weight for {_and(starved)} would change that." if settings else f"Train longer, or train {_and(starved)} alone.")
    return Advice(f"The encoder learns mostly from {isolate(strong)}, which pulls it {compared}. {remedy}", settings, starved)


def after_comparison(card: Card, plan: Plan, runs: Sequence[History | None]) -> Advice:
    """What would help the tasks that a comparison found lower together than alone; may be empty. `runs`: the histories of the plan."""
    hurt = {found.name: found.difference for found in card.tasks if found.verdict == "hurt" or (
        len(card.seeds) == 1 and found.difference is not None and (found.high < 0 or found.difference < LOWER))}
    if not hurt:
        return Advice("")
    told = "Lower together than alone: " + ", ".join(f"{isolate(task)} ({100 * by:+.1f} points)" for task, by in hurt.items()) + "."
    (config, joint), *_ = ((member.config, run) for member, run in zip(plan.members, runs, strict=True) if member.role == JOINT)
    seen = advise(joint, config) if joint else Advice("")
    if seen.settings and hurt.keys() & {*seen.tasks}:
        return Advice(f"{told} {seen.sentence}", seen.settings)
    # heads share nothing that is trained; other methods find their weights by themselves
    can_weigh = len(hurt) < len(card.tasks) and config.fine_tuning != "heads" and config.balancing in TAKE_WEIGHTS
    weights = config.loss_weights([found.name for found in card.tasks])
    settings = _heavier(weights, dict.fromkeys(hurt, 2.0), config.balancing.replace("equal", "fixed")) if can_weigh else {}
    epochs = config.epochs or (auto_epochs(joint.started.steps_per_epoch) if joint and joint.started else EPOCHS)
    longer = {"epochs": min(2 * epochs, MAX_EPOCHS), "max_steps": 2 * config.max_steps}
    return Advice(f"{told} What may help: {'larger loss weights, ' * bool(settings)}more epochs, or to train each of these alone.",
                  settings or longer)


def cosines_of(history: History) -> np.ndarray:
    """(comparisons, pairs); NaN where a gradient was too small."""
    return np.array([[cosine for *_, cosine in event.cosines] for event in history.diagnoses], np.float64)


def _strengths(history: History, weights: Mapping[str, float], begun: float) -> list[dict[str, float]]:
    """Of each task's gradient the length, and the length times the weight of its loss then (at first one of `weights`): root mean squares,
    as Adam sees them, after step `begun`. Late steps alone hide that a task starved: one that knows its rows by heart pulls little."""
    found = defaultdict(list)
    for event in sorted([*history.steps, *history.diagnoses], key=lambda event: event.step):  # of one step, its weights come first
        if isinstance(event, StepDone):
            weights = weights | event.weights
        elif event.step > begun:
            for task, norm in event.norms.items():
                found[task].append([norm or 0.0, (norm or 0.0) * weights[task]])
    return [{task: float(np.sqrt(np.square(pairs).mean(0))[place]) for task, pairs in found.items()} for place in (0, 1)]


def _weak(strengths: Mapping[str, float]) -> list[str]:
    """The tasks far below the strongest one, the weakest first."""
    return [task for task in sorted(strengths, key=strengths.get) if strengths[task] < STARVED * max(strengths.values())]


def _only(balancing: str, config: RunConfig) -> dict[str, Any]:
    """The settings for another `balancing` in place of that of `config`; empty if it cannot be used."""
    settings = {"balancing": balancing, "weights": {}, "alpha": None}
    return settings if balancing != config.balancing and not refusal(config.model_copy(update=settings)) else {}


def _heavier(given: Mapping[str, float], factors: Mapping[str, float], balancing: str) -> dict[str, Any]:
    """Settings that multiply the loss weights `given` by these `factors`, up to MOST; empty if none becomes larger."""
    weights = {**given} | {task: max(given[task], min(MOST, float(f"{given[task] * by:.1g}"))) for task, by in factors.items()}
    return {"balancing": balancing, "weights": weights, "alpha": None} if weights != given else {}


def _and(tasks: Iterable[str]) -> str:
    return " and ".join(map(isolate, tasks))
