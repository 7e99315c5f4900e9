"""Did it help? The card of a comparison: every task trained together and alone, scored on the same validation rows, with the interval of
the difference; and the cost of one model against several. Only the milliseconds need the models; logs and tallies give the rest."""

import statistics
import time
from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import AliasChoices, Field, TypeAdapter, ValidationError

from mtl.comparing.plan import ALONE, JOINT, Comparison, rows_of
from mtl.data.kept import open_rows
from mtl.data.store import take
from mtl.errors import MtlError
from mtl.files import replacing
from mtl.runs.checkpoint import BEST, TALLIES, kept_tallies, read_tallies
from mtl.runs.folder import Run
from mtl.runs.history import History, read_history
from mtl.scoring.intervals import LEVEL, all_right, difference, holm, main_score
from mtl.settings.best import MEAN, Criterion

CARD = "card.json"
VERDICTS = {"helped": "training together helped", "hurt": "training together hurt", "no difference": "no difference shown",
            "higher": "higher together with this one seed", "lower": "lower together with this one seed",
            "unknown": "no score, as no validation row is labelled"}
BY_CHANCE = ". The interval leaves out 0, but among several scores one such interval comes too easily by chance"
EVERYTHING = "everything right"
ONE_SEED = ("With one seed there is no verdict, because it is unknown how far another seed would move these scores. To get one, choose 3 "
            "seeds or more: Seeds on the Compare tab, or --seeds 3 in the terminal.")
OTHER_ROWS = "The runs were not scored on the same validation rows, so they cannot be compared. Start a new comparison."
ROUNDS, SENTENCES = 5, 16  # how often, and on how many validation texts, prediction is timed
Tallies = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Compared:
    """One score together and alone (means over the seeds), their difference, its 95 % interval and its p-value; None where no validation
    row is labelled. The verdict is a key of VERDICTS: 'no difference' means that none is shown, 'higher' and 'lower' are for one seed."""

    name: str
    measure: str
    together: float | None
    alone: float | None
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    verdict: str = "unknown"

    @property
    def sentence(self) -> str:
        """The verdict with its numbers, for people."""
        if self.difference is None or self.low is None or self.high is None:
            return f"{self.name}: {VERDICTS['unknown']}."
        but = BY_CHANCE * (self.verdict == "no difference" and (self.low > 0 or self.high < 0))
        return (f"{self.name}: {100 * self.together:.1f} together, {100 * self.alone:.1f} alone: {100 * self.difference:+.1f} "
                f"({100 * self.low:+.1f} to {100 * self.high:+.1f}): {VERDICTS[self.verdict]}{but}.")


@dataclass(frozen=True)
class Card:
    """What a comparison found. `steps` has the steps of each kind of run ('together', 'topic alone', ...), one number per seed. Pairs are
    (one joint model, the separate ones in sum); milliseconds are for one sentence and all tasks. `by`: what the best step is best by."""

    tasks: tuple[Compared, ...]
    everything: Compared
    validation_rows: Annotated[int, Field(validation_alias=AliasChoices("validation_rows", "dev_rows"))]  # dev_rows: the older name
    seeds: tuple[int, ...]
    steps: dict[str, tuple[int, ...]]
    parameters: tuple[int, int]
    bytes: tuple[int, int]
    milliseconds: tuple[float, float]
    by: str = MEAN

    @property
    def notes(self) -> list[str]:
        """Sentences on everything but the scores: size, time, steps, and how it was measured."""
        several = len(self.seeds) > 1
        seeds = f"(seed{'s' * several} {', '.join(map(str, self.seeds))})"
        each = "; ".join(f"{which} {', '.join(f'{step:,}' for step in steps)}" for which, steps in self.steps.items())
        different = {step for steps in self.steps.values() for step in steps}
        steps = f"Steps: each run took {different.pop():,} {seeds}." if len(different) == 1 else (
            f"Steps: {each} {seeds}. Patience ended the shorter runs. The separate runs train to the end; patience then limits the steps "
            "among which theirs is chosen.")
        (one, separate), (one_mb, separate_mb) = ([count / 1e6 for count in pair] for pair in (self.parameters, self.bytes))
        return [ONE_SEED] * (not several) + [
            f"Size: one model of {one:.1f}M parameters ({one_mb:,.1f} MB on disk) against {len(self.tasks)} of {separate:.1f}M together "
            f"({separate_mb:,.1f} MB).",
            f"Time: {self.milliseconds[0]:.1f} ms for one sentence and all tasks with the joint model, {self.milliseconds[1]:.1f} ms with "
            "the separate ones one after the other (medians).", steps,
            f"Scores: on the same {self.validation_rows:,} validation rows, from the step that was best by {self.by}; the separate runs of "
            "a seed are all taken at one step, chosen in the same way from all of them. In brackets: "
            f"{LEVEL:.0%} intervals; they cover the choice of the validation rows{', and the luck of training' * several}. Verdicts allow "
            "for the number of scores on this card (Holm's method)."]


def compare_scores(joint: Sequence[Tallies], alone: Sequence[Tallies], labelled: Tallies,
                   measures: Mapping[str, str]) -> tuple[tuple[Compared, ...], Compared]:
    """The tasks' scores and 'everything right', from the tallies of each seed's joint run and of its separate ones. `labelled` marks for
    each task the validation rows with a label (N, bool); a separate run was scored on those only. Raises MtlError if the rows differ."""
    ours, theirs = ({task: np.stack([_on_all_rows(seed[task], mask | is_whole) for seed in side]) for task, mask in labelled.items()}
                    for side, is_whole in ((joint, True), (alone, False)))
    lines = [_compare(task, measures[task], ours[task], theirs[task]) for task in labelled]
    lines.append(_compare(EVERYTHING, "share of rows", all_right(ours.values()), all_right(theirs.values())))
    # from one seed nothing follows for another one, so there it is only 'higher' or 'lower'
    better, worse = ("helped", "hurt") if len(joint) > 1 else ("higher", "lower")
    shown = iter(holm([line.p_value for line in lines if line.p_value is not None]))
    *tasks, everything = (line if line.p_value is None else replace(
        line, verdict="no difference" if not next(shown) else better if line.difference > 0 else worse) for line in lines)
    return tuple(tasks), everything


def _on_all_rows(tally: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """A tally of the `labelled` rows only, for all rows (N, 2): the others have 0 items."""
    if len(tally) != labelled.sum():
        raise MtlError(OTHER_ROWS)
    whole = np.zeros((len(labelled), 2), tally.dtype)
    whole[labelled] = tally
    return whole


def _compare(name: str, measure: str, ours: np.ndarray, theirs: np.ndarray) -> Compared:
    found = difference(ours, theirs)
    numbers = [float(np.mean(main_score(ours))), float(np.mean(main_score(theirs))), found.value, found.interval.low,
               found.interval.high, found.p_value]
    return Compared(name, measure, *(numbers if np.isfinite(numbers).all() else [None] * len(numbers)))


def choose_step(scores: Mapping[int, float], patience: int) -> int:
    """The step whose evaluation counts for all separate runs of a seed, from what they come to together at each step: as in a joint run,
    the best one among those before `patience` would have ended them. Raises MtlError if they have no step in common."""
    if not scores:
        raise MtlError("The separate runs have no evaluation in common, so they cannot be compared. Start a new comparison.")
    steps, best = sorted(scores), 0
    for place, step in enumerate(steps):
        if scores[step] > scores[steps[best]]:
            best = place
        if 0 < patience <= place - best:
            break
    return steps[best]


def make_card(comparison: Comparison) -> Card:
    """The card of a comparison whose runs are all finished. Raises MtlError if a run was deleted. Takes seconds: the models are timed."""
    runs = {(member.config.seed, member.role): comparison.member_run(member) for member in comparison.plan.members}
    if gone := [role for (_, role), run in runs.items() if run is None]:
        raise MtlError(f"{', '.join(gone)}: deleted meanwhile, so there is no card. Resume trains what was deleted again.")
    histories = {key: read_history(run) for key, run in runs.items()}
    seeds, roles = (tuple(dict.fromkeys(part)) for part in zip(*runs, strict=True))
    facts = histories[seeds[0], JOINT].started.tasks
    validation = open_rows(rows_of(comparison)).validation
    labelled = {task: np.fromiter((row.values.get(task) is not None for row in validation), bool, len(validation)) for task in facts}
    alone = [{task: (runs[seed, f"{ALONE}: {task}"], histories[seed, f"{ALONE}: {task}"]) for task in facts} for seed in seeds]
    criterion = Criterion(comparison.config.best, facts)
    tasks, everything = compare_scores([read_tallies(runs[seed, JOINT].folder / BEST / TALLIES) for seed in seeds],
                                       [_tallies_alone(of_seed, criterion, labelled, comparison.config.patience) for of_seed in alone],
                                       labelled, {task: of_task["main_score"] for task, of_task in facts.items()})
    steps = {"together" if role == JOINT else f"{role.removeprefix(f'{ALONE}: ')} alone":
             tuple(histories[seed, role].step for seed in seeds) for role in roles}
    best = [runs[seeds[0], role].folder / BEST for role in roles]
    parameters = [histories[seeds[0], role].started.parameters for role in roles]
    bytes_ = [sum(file.stat().st_size for file in checkpoint.iterdir()) for checkpoint in best]
    evenly = sorted({round(place) for place in np.linspace(0, len(validation) - 1, SENTENCES)})
    texts = [row.text for row in take(validation, evenly)]
    return Card(tasks, everything, len(validation), seeds, steps, (parameters[0], sum(parameters[1:])), (bytes_[0], sum(bytes_[1:])),
                time_models(best[0], best[1:], texts, comparison.config.device), criterion.by)


def _tallies_alone(runs: Mapping[str, tuple[Run, History]], criterion: Criterion, labelled: Tallies, patience: int) -> Tallies:
    """The tallies of each task's own run, all of the step that is best by the joint run's `criterion`, as if they were one run."""
    files = {task: kept_tallies(run.folder) for task, (run, _) in runs.items()}
    looks = [{seen.step: seen for seen in history.evaluations if seen.step in files[task] and seen.split == "validation"}
             for task, (_, history) in runs.items()]

    def tallies(step: int) -> Tallies:
        return {task: read_tallies(of_task[step])[task] for task, of_task in files.items()}

    def score(step: int) -> float:
        seen, right = [of_run[step] for of_run in looks], 0.0
        if criterion.best == "everything_right":
            right = float(main_score(all_right(_on_all_rows(tally, labelled[task]) for task, tally in tallies(step).items())))
        return criterion.score(ChainMap(*(look.losses for look in seen)), ChainMap(*(look.scores for look in seen)), right)

    return tallies(choose_step({step: score(step) for step in set.intersection(*map(set, looks))}, patience))


def time_models(joint: Path, alone: Sequence[Path], texts: Sequence[str], device: str) -> tuple[float, float]:
    """Median milliseconds for one sentence and all tasks: with the joint model, and with the separate ones one after the other. The two
    take turns, so that other work of the machine slows both alike."""
    from mtl.inference.predictor import Predictor

    sides = [[Predictor.load(joint, device)], [Predictor.load(checkpoint, device) for checkpoint in alone]]
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(ROUNDS * len(texts)):
        text = texts[turn % len(texts)]
        for side in ((0, 1) if turn % 2 else (1, 0)):
            start = time.perf_counter()
            for predictor in sides[side]:
                predictor.predict([text])
            taken[side].append(1000 * (time.perf_counter() - start))
    return statistics.median(taken[0]), statistics.median(taken[1])


def write_card(folder: Path, card: Card) -> None:
    """Write `card` into the comparison's folder, whole or not at all."""
    with replacing(folder / CARD) as building:
        building.write_bytes(TypeAdapter(Card).dump_json(card, indent=1))


def read_card(folder: Path) -> Card | None:
    """The card of the comparison in `folder`, if it has one; raises MtlError if it cannot be read."""
    try:
        return TypeAdapter(Card).validate_json((folder / CARD).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise MtlError("The card of this comparison cannot be read: it is damaged, or an earlier version made it, whose verdicts came too "
                       "easily. Start the comparison again; a finished run of all tasks can be used again.") from error


def markdown(card: Card) -> str:
    """The card as a table and sentences, for the terminal and for a README."""
    rows = [f"| {found.name} | {found.measure.replace('_', ' ')} | {_hundredths(found.together)} | {_hundredths(found.alone)} | "
            f"{_hundredths(found.difference, '+')} ({_hundredths(found.low, '+')} to {_hundredths(found.high, '+')}) | {found.verdict} |"
            for found in (*card.tasks, card.everything)]
    return "\n".join(["| task | score | together | alone | difference (95 % interval) | verdict |", "|---|---|---|---|---|---|", *rows, "",
                      *(f"- {line}" for line in [*(found.sentence for found in (*card.tasks, card.everything)), *card.notes])])


def _hundredths(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{100 * value:{sign}.1f}"
