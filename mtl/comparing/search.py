"""Find good settings by successive halving (Jamieson and Talwalkar, 2016, https://arxiv.org/abs/1502.07943): many candidates train a
little, the better third trains three times as long, and so on; validation scores decide. Draws, plans rounds and ranks; execute.py trains.

Each round trains its runs from the start, with a warm-up and a decay of their own. A run cut off in the middle of a long schedule still has
a high learning rate, so its score predicts little; one whose rate has decayed cannot be continued."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from mtl.comparing.plan import Member, Plan, vary
from mtl.errors import MtlError
from mtl.runs.history import History
from mtl.settings.best import shown
from mtl.settings.config import RunConfig
from mtl.settings.methods import TAKE_WEIGHTS
from mtl.settings.rates import auto_epochs

REDUCTION = 3  # one in three candidates goes on to the next round, which is three times as long
PACE_STEPS = 20  # steps of the first run, which measures the machine's pace
LEAST_STEPS = 10  # a shorter run shows nothing
SAFETY = 0.9  # the share of the time that is planned for
COUNTS = (27, 18, 9, 6, 4, 3)  # how many candidates to begin with: the most that there is time for
PACE, CANDIDATE = "pace", "candidate"
RATES = ("learning_rate", "head_learning_rate")
MAX_MINUTES = 7 * 24 * 60
NOTE = ("Candidate 1 has the settings the search began with. Scores are those of the validation rows. Test rows stayed untouched. "
        "The best of many validation scores is a little too good by luck: train with these settings, and see.")


@dataclass(frozen=True)
class Pace:
    """The cost of a run: seconds to begin and end it, seconds per step; and `full`, the number of steps that the settings ask for."""

    overhead: float
    step: float
    full: int

    def seconds(self, steps: int) -> float:
        """The time of a run of so many steps."""
        return self.overhead + self.step * steps


def search_plan(config: RunConfig, minutes: float) -> Plan:
    """A search around `config` within so many minutes, which begins with a short run of `config`, the pace. Raises MtlError."""
    if not 0 < minutes <= MAX_MINUTES:
        raise MtlError(f"Minutes: found {minutes:g}, wanted more than 0 and at most {MAX_MINUTES:,}.")
    return Plan(kind="search", minutes=float(minutes), members=(Member(role=PACE, config=_short(config, PACE, PACE_STEPS)),))


def _short(config: RunConfig, role: str, steps: int) -> RunConfig:
    """`config` for so many steps, evaluated once, at the end."""
    return vary(config, role, max_steps=min(steps, config.max_steps or steps), eval_every=steps, checkpoint_every=0, patience=0,
                diagnose_every=0)


def measure(history: History, seconds: float, config: RunConfig) -> Pace:
    """The pace, once the first run is over; it took `seconds` since it began, or was resumed."""
    started, last = history.started, history.steps[-1]
    before = max((done.seconds for done in history.steps if done.step <= started.step), default=0.0)
    full = min((config.epochs or auto_epochs(started.steps_per_epoch)) * started.steps_per_epoch, config.max_steps or math.inf)
    return Pace(max(0.0, seconds - (last.seconds - before)), last.seconds / last.step, int(full))


def plan_rounds(pace: Pace, seconds: float) -> tuple[tuple[int, int], ...]:
    """The rounds that fit into `seconds`: (candidates, steps of each). The last round trains for `pace.full` steps, or for a share of that
    if there is less time. Raises MtlError, with the time needed, if nothing fits."""
    for count in COUNTS:
        counts = [count]
        while counts[-1] >= 2 * REDUCTION:
            counts.append(counts[-1] // REDUCTION)
        divisors = [REDUCTION**later for later in reversed(range(len(counts)))]  # of the steps: the last round is the longest
        work = sum(candidates / divisor for candidates, divisor in zip(counts, divisors, strict=True))
        share = min(1.0, (SAFETY * seconds - sum(counts) * pace.overhead) / (work * pace.step * pace.full))
        steps = [int(share * pace.full / divisor) for divisor in divisors]
        if (share == 1 or (share >= 0.5 and count < COUNTS[0]) or count == COUNTS[-1]) and steps[0] >= min(LEAST_STEPS, pace.full):
            return tuple(zip(counts, steps, strict=True))
    needed = COUNTS[-1] * pace.seconds(min(LEAST_STEPS, pace.full)) / SAFETY
    raise MtlError(f"There is no time to try {COUNTS[-1]} settings: that takes about {needed / 60:.1f} more minutes on this machine, and "
                   f"{max(0.0, seconds) / 60:.1f} are left. Give more minutes.")


def draw(config: RunConfig, tasks: Sequence[str], count: int) -> list[RunConfig]:
    """`count` settings to try: `config` itself, then random ones around it, by its seed: learning rates, which are numbers in `config`, up
    to 4 times higher or lower (not that of a frozen encoder), and, for half of them, other task weights (unless the loss decides)."""
    random = Random(f"search {config.seed}")
    drawn = [config]
    while len(drawn) < count:
        changes: dict[str, object] = {"head_learning_rate": _near(random, config.head_learning_rate, 4)}
        if config.fine_tuning != "heads":
            changes["learning_rate"] = _near(random, config.learning_rate, 4)
        if len(tasks) > 1 and config.balancing in TAKE_WEIGHTS and config.best != "loss" and random.random() < 0.5:
            if len(tasks) == 2 and not config.weights:
                changes["alpha"] = round(random.uniform(0.1, 0.9), 2)
            else:
                changes["weights"] = {task: _near(random, config.weights.get(task, 1.0), 3) for task in tasks}
            changes["balancing"] = config.balancing.replace("equal", "fixed")
        drawn.append(vary(config, "", **changes))
    return drawn


def _near(random: Random, value: float, times: float) -> float:
    """A number up to so many times higher or lower than `value`, uniform on the logarithmic scale, with two digits."""
    return float(f"{value * times ** random.uniform(-1, 1):.2g}")


def next_round(plan: Plan, histories: Sequence[History | None], base: RunConfig, seconds: float) -> Plan | None:
    """`plan` with the runs of its next round, in which the best candidates of the last one train longer; None after the last round. All
    runs so far must have ended. After the first run, the pace, all rounds that fit into `seconds` are planned."""
    done = max(member.round for member in plan.members)
    if not done:
        rounds, started = plan_rounds(measure(histories[0], plan.members[0].seconds, base), seconds), histories[0].started
        plan = plan.model_copy(update={"rounds": rounds})
        rates = {name: getattr(base, name) or getattr(started, name) for name in RATES}  # the automatic ones as numbers
        chosen = dict(enumerate(draw(base.model_copy(update=rates), list(started.tasks), rounds[0][0]), 1))
    elif done < len(plan.rounds):
        ranked = [one for one in tried(plan, histories) if one.member.round == done and one.score is not None]
        chosen = {one.number: one.member.config for one in ranked[:plan.rounds[done][0]]}
    else:
        return None
    members = [Member(role=(role := f"{CANDIDATE} {number}"), round=done + 1, config=_short(
                   base.model_copy(update=settings(config)), f"{role}, round {done + 1}", plan.rounds[done][1]))
               for number, config in chosen.items()]
    return plan.model_copy(update={"members": (*plan.members, *members)}) if members else None


@dataclass(frozen=True)
class Tried:
    """One run of a search, its validation score if it is finished, the same for people or else its status, and by what it is compared."""

    member: Member
    score: float | None
    shown: str
    by: str

    @property
    def number(self) -> int:
        """Of the candidate; 1 has the settings that the search began with."""
        return int(self.member.role.removeprefix(CANDIDATE))


def tried(plan: Plan, histories: Sequence[History | None]) -> list[Tried]:
    """Every candidate's longest run, the best first; a run of a later round is before those of earlier ones."""
    found: dict[str, Tried] = {}
    for member, history in zip(plan.members, histories, strict=True):
        if member.round:
            seen = history.best if history and history.status == "finished" else None
            status = "cut" if member.is_cut else history.status if history else "deleted" if member.run else "waiting"
            one = Tried(member, seen.score, shown(seen.by, seen.score), seen.by) if seen else Tried(member, None, status, "score")
            if one.score is not None or member.role not in found:
                found[member.role] = one
    return sorted(found.values(), key=lambda one: (-one.member.round * (one.score is not None), -(one.score or 0.0), one.number))


def best(plan: Plan, histories: Sequence[History | None]) -> Tried | None:
    """The candidate whose settings to use; None if no run is finished."""
    return next((one for one in tried(plan, histories) if one.score is not None), None)


def settings(config: RunConfig) -> dict[str, object]:
    """The settings that a search varies, as they are in `config`."""
    return {name: getattr(config, name) for name in (*RATES, "balancing", "alpha", "weights")}


def flags(config: RunConfig) -> str:
    """The same, for the command line."""
    given = [f"--{name.replace('_', '-')} {rate:g}" for name in RATES if (rate := getattr(config, name))]  # none of a frozen encoder
    if config.alpha is not None:
        given.append(f"--alpha {config.alpha:g}")
    if config.weights:
        given.append('--weights "' + ",".join(f"{task}={weight:g}" for task, weight in config.weights.items()) + '"')
    return " ".join(given)


def search_markdown(plan: Plan, histories: Sequence[History | None]) -> str:
    """The candidates as a table, the best first."""
    found = tried(plan, histories)
    rows = [f"| {one.number} | {one.member.round} | {one.member.config.max_steps} | {one.shown} | `{flags(one.member.config)}` |"
            for one in found]
    return "\n".join([f"| candidate | round | steps | {found[0].by} | settings |", "|---|---|---|---|---|", *rows, "", NOTE])
