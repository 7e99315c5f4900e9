"""Did it help? The card of a comparison: every task trained together and alone, measured on the same validation rows, with the interval of
the difference; and what one model costs against several. Numbers from logs and tallies; only the clock needs the models."""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import AliasChoices, Field, TypeAdapter, ValidationError

from mtl.comparing.plan import ALONE, JOINT, Comparison, rows_of
from mtl.data.kept import open_rows
from mtl.data.rows import Row
from mtl.data.store import take
from mtl.errors import MtlError
from mtl.files import replacing
from mtl.runs.checkpoint import BEST, TALLIES, kept_looks, read_tallies
from mtl.runs.folder import Run
from mtl.runs.history import History, read_history
from mtl.scoring.intervals import LEVEL, all_right, difference, holm, main_score

CARD = "card.json"
VERDICTS = {"helped": "training together helped", "hurt": "training together hurt", "no difference": "no difference shown",
            "higher": "higher together with this one seed", "lower": "lower together with this one seed",
            "unknown": "nothing to tell it by, as no validation row is labelled"}
BY_CHANCE = ". The interval leaves out 0, but among several scores one such interval comes too easily by chance"
EVERYTHING = "everything right"
ONE_SEED = ("With one seed there is no verdict, because nobody knows how far another seed would move these scores. To get one, choose 3 "
            "seeds or more: Seeds on the Compare tab, or --seeds 3 in the terminal.")
ROUNDS, SENTENCES = 5, 16  # how often, and on how many validation texts, prediction is timed
Tallies = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Compared:
    """One score together and alone (means over the seeds), their difference, its 95 % interval and its p-value; None where no validation
    row is labelled. The verdict is one of VERDICTS: 'no difference' does not mean that there is none, and 'higher' and 'lower', with one
    seed, are no verdicts on training together."""

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
    """What a comparison found. `steps` are those that the runs took ('together', 'topic alone', ...), for each seed. Pairs are (one joint
    model, the separate ones together); milliseconds are for one sentence, all tasks."""

    tasks: tuple[Compared, ...]
    everything: Compared
    validation_rows: Annotated[int, Field(validation_alias=AliasChoices("validation_rows", "dev_rows"))]  # the older name
    seeds: tuple[int, ...]
    steps: dict[str, tuple[int, ...]]
    parameters: tuple[int, int]
    bytes: tuple[int, int]
    milliseconds: tuple[float, float]

    @property
    def lines(self) -> list[str]:
        """The card in sentences."""
        scores = [compared.sentence for compared in (*self.tasks, self.everything)]
        return [*scores, *self.notes]

    @property
    def notes(self) -> list[str]:
        """All but the scores."""
        one_seed = [ONE_SEED] if len(self.seeds) == 1 else []
        return [*one_seed, self.size_sentence, self.time_sentence, self.steps_sentence, self.how_sentence]

    @property
    def size_sentence(self) -> str:
        """What is stored and loaded."""
        return (f"Size: one model of {self.parameters[0] / 1e6:.1f}M parameters ({self.bytes[0] / 1e6:,.1f} MB on disk) against "
                f"{len(self.tasks)} of {self.parameters[1] / 1e6:.1f}M together ({self.bytes[1] / 1e6:,.1f} MB).")

    @property
    def time_sentence(self) -> str:
        """What an answer costs."""
        return (f"Time: {self.milliseconds[0]:.1f} ms for one sentence and all tasks with the joint model, {self.milliseconds[1]:.1f} ms "
                "with the separate ones one after the other (medians).")

    @property
    def steps_sentence(self) -> str:
        """How long each run trained."""
        seeds = f"seed{'s' * (len(self.seeds) > 1)} {', '.join(map(str, self.seeds))}"
        different = {step for steps in self.steps.values() for step in steps}
        if len(different) == 1:
            return f"Steps: each run took {different.pop():,} ({seeds})."
        told = "; ".join(f"{which} {', '.join(f'{step:,}' for step in steps)}" for which, steps in self.steps.items())
        return (f"Steps: {told} ({seeds}). Patience ended the shorter runs. The separate runs train to the end: patience is asked of their "
                "mean score, when their look is chosen.")

    @property
    def how_sentence(self) -> str:
        """How the scores were measured, and what the intervals are."""
        luck = ", and the luck of training" if len(self.seeds) > 1 else ""
        return (f"Scores: on the same {self.validation_rows:,} validation rows, from the step at which the mean over the tasks was best; "
                f"the separate "
                f"runs of a seed are all taken at one step, chosen by their mean. In brackets: {LEVEL:.0%} intervals; they cover the "
                f"choice of the validation rows{luck}. Verdicts allow for the number of scores on this card (Holm's method).")


def compare_scores(joint: Sequence[Tallies], alone: Sequence[Tallies], labelled: Tallies,
                   measures: Mapping[str, str]) -> tuple[tuple[Compared, ...], Compared]:
    """The tasks' scores and 'everything right', from the tallies of each seed's joint run and of its separate ones.

    `labelled` says for each task which validation rows have a label (N, bool): a separate run was measured on those only. Raises MtlError
    if the rows are not the same.
    """
    rows = len(next(iter(labelled.values())))
    if any(len(of_task) != rows for seed in joint for of_task in seed.values()):
        raise MtlError("The runs were not measured on the same validation rows, so they cannot be compared. Start a new comparison.")
    ours = {task: np.stack([seed[task] for seed in joint]) for task in labelled}
    theirs = {task: np.stack([_spread(seed[task], mask) for seed in alone]) for task, mask in labelled.items()}
    lines = [_compare(task, measures[task], ours[task], theirs[task]) for task in labelled]
    lines.append(_compare(EVERYTHING, "share of rows", all_right(ours.values()), all_right(theirs.values())))
    *tasks, everything = _judge(lines, len(joint))
    return tuple(tasks), everything


def _spread(tally: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """`tally` of the rows that are labelled, with zeros for the others."""
    if len(tally) != labelled.sum():
        raise MtlError("The runs were not measured on the same validation rows, so they cannot be compared. Start a new comparison.")
    spread = np.zeros((len(labelled), 2), tally.dtype)
    spread[labelled] = tally
    return spread


def _compare(name: str, measure: str, ours: np.ndarray, theirs: np.ndarray) -> Compared:
    found = difference(ours, theirs)
    numbers = [float(np.mean(main_score(ours))), float(np.mean(main_score(theirs))), found.value, found.interval.low,
               found.interval.high, found.p_value]
    return Compared(name, measure, *(numbers if np.isfinite(numbers).all() else [None] * len(numbers)))


def _judge(lines: Sequence[Compared], seeds: int) -> list[Compared]:
    """`lines` with their verdicts; with one seed nobody knows whether the next would say the same, so there is none."""
    better, worse = ("helped", "hurt") if seeds > 1 else ("higher", "lower")
    shown = iter(holm([line.p_value for line in lines if line.p_value is not None]))
    return [line if line.p_value is None
            else replace(line, verdict="no difference" if not next(shown) else better if line.difference > 0 else worse) for line in lines]


def choose_look(scores: Sequence[Mapping[int, float]], patience: int) -> int:
    """The step whose evaluation counts for all separate runs of a seed, from what each scored at every step: as a joint run chooses its
    own, that with the best mean, up to where `patience` would have ended a joint run. Raises MtlError if they have no look in common."""
    best, chosen, stale = -1.0, None, 0
    for step in sorted(set.intersection(*(set(of_run) for of_run in scores))):
        mean = statistics.fmean(of_run[step] for of_run in scores)
        if mean > best:
            best, chosen, stale = mean, step, 0
        else:
            stale += 1
        if 0 < patience <= stale:
            break
    if chosen is None:
        raise MtlError("The separate runs have no evaluation in common, so they cannot be compared. Start a new comparison.")
    return chosen


def make_card(comparison: Comparison) -> Card:
    """The card of a comparison whose runs are all finished. Their models are timed, so it takes some seconds. Raises MtlError if a run was
    deleted."""
    runs = {(member.config.seed, member.role): comparison.member_run(member) for member in comparison.plan.members}
    if gone := [role for (_, role), run in runs.items() if run is None]:
        raise MtlError(f"{', '.join(gone)}: deleted meanwhile, so there is no card. Resume trains what was deleted again.")
    histories = {key: read_history(run) for key, run in runs.items()}
    seeds, roles = (tuple(dict.fromkeys(part)) for part in zip(*runs, strict=True))
    facts = histories[seeds[0], JOINT].started.tasks
    validation = open_rows(rows_of(comparison)).validation
    labelled = {task: np.fromiter((row.values.get(task) is not None for row in validation), bool, len(validation)) for task in facts}
    texts = _some_texts(validation)
    alone = [{task: (runs[seed, f"{ALONE}: {task}"], histories[seed, f"{ALONE}: {task}"]) for task in facts} for seed in seeds]
    counted = [task for task, of_task in facts.items() if of_task["weight"] > 0]  # by these a joint run chooses too
    tasks, everything = compare_scores([read_tallies(runs[seed, JOINT].folder / BEST / TALLIES) for seed in seeds],
                                       [_tallies_alone(of_seed, counted, comparison.config.patience) for of_seed in alone],
                                       labelled, {task: of_task["main_score"] for task, of_task in facts.items()})
    steps = {"together" if role == JOINT else f"{role.removeprefix(f'{ALONE}: ')} alone":
             tuple(histories[seed, role].step for seed in seeds) for role in roles}
    of_first = [(seeds[0], role) for role in roles]
    best, sizes = [runs[key].folder / BEST for key in of_first], [histories[key].started.parameters for key in of_first]
    bytes_ = [_size(folder) for folder in best]
    return Card(tasks, everything, len(validation), seeds, steps, (sizes[0], sum(sizes[1:])), (bytes_[0], sum(bytes_[1:])),
                time_models(best[0], best[1:], texts, comparison.config.device))


def _tallies_alone(runs: Mapping[str, tuple[Run, History]], counted: Sequence[str], patience: int) -> Tallies:
    """The tallies of each task's own run, all of the look that is chosen by the `counted` tasks."""
    looks = {task: kept_looks(run.folder) for task, (run, _) in runs.items()}
    scores = {task: {seen.step: seen.score for seen in history.evaluations if seen.step in looks[task] and seen.split == "validation"}
              for task, (_, history) in runs.items()}
    step = choose_look([scores[task] for task in counted], patience)
    return {task: read_tallies(of_task[step])[task] for task, of_task in looks.items()}


def _some_texts(validation: Sequence[Row]) -> list[str]:
    """Validation texts to time prediction on, evenly spread."""
    places = sorted({round(place) for place in np.linspace(0, len(validation) - 1, SENTENCES)})
    return [row.text for row in take(validation, places)]


def _size(checkpoint: Path) -> int:
    return sum(file.stat().st_size for file in checkpoint.iterdir())


def time_models(joint: Path, alone: Sequence[Path], texts: Sequence[str], device: str) -> tuple[float, float]:
    """Median milliseconds for one sentence and all tasks: with the joint model, and with the separate ones one after the other. The two
    take turns, so that whatever else the machine does is borne by both."""
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


# In and out

_JSON = TypeAdapter(Card)


def write_card(folder: Path, card: Card) -> None:
    """Keep `card` in the comparison's folder, whole or not at all."""
    with replacing(folder / CARD) as building:
        building.write_bytes(_JSON.dump_json(card, indent=1))


def read_card(folder: Path) -> Card | None:
    """The card of the comparison in `folder`, if it has one; raises MtlError if it cannot be read."""
    try:
        return _JSON.validate_json((folder / CARD).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise MtlError("The card of this comparison cannot be read: it is damaged, or an earlier version made it, whose verdicts came too "
                       "easily. Start the comparison again; a finished run of all tasks can be used again.") from error


def markdown(card: Card) -> str:
    """The card as a table and sentences, for the terminal and for a README."""
    rows = [f"| {found.name} | {found.measure.replace('_', ' ')} | {_percent(found.together)} | {_percent(found.alone)} | "
            f"{_signed(found.difference)} ({_signed(found.low)} to {_signed(found.high)}) | {found.verdict} |"
            for found in (*card.tasks, card.everything)]
    return "\n".join(["| task | score | together | alone | difference (95 % interval) | verdict |", "|---|---|---|---|---|---|", *rows, "",
                      *(f"- {line}" for line in card.lines)])


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.1f}"
