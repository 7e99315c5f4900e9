"""Error analysis on labelled rows: scores with intervals, tables per label, counts of errors, the worst mistakes. Knows no model or run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import AliasChoices, Field

from mtl.data.rows import Row
from mtl.data.values import VALUES, Value
from mtl.scoring.intervals import Interval, all_right, interval
from mtl.text import cut

if TYPE_CHECKING:  # they import torch, which showing a stored report does not need
    from mtl.scoring.scores import Scores
    from mtl.tasks.base import Prediction, Task

SHOWN_LABELS = 30  # in a table of scores
WORST = 50  # mistakes in a report
TEXT = 600  # characters of a mistake's text
BINS = 15  # of confidence, equally wide


@dataclass(frozen=True)
class LabelScores:
    """The scores of one class or entity type, which occurs `support` times in gold and `predicted` times in the predictions."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    predicted: int


@dataclass(frozen=True)
class Mistake:
    """A row that the model got wrong. `row` counts from 0; `text` is cut to the surroundings of the mistake; `gold` and `predicted` are
    values as plain data; `confidence` is the largest probability of a wrongly predicted item, 0 if items are only missed."""

    row: int
    text: str
    gold: Any
    predicted: Any
    confidence: Annotated[float, Field(validation_alias=AliasChoices("confidence", "sure"))]  # `sure` in older files


@dataclass(frozen=True)
class Reliability:
    """Whether a model is as often right as it is sure of what it predicts (labels, entities). `bins`: predicted items, the sum of their
    probabilities, and how many are right, in each of BINS bins of probability that has some. `ece`: the expected calibration error (Naeini
    et al., 2015); `chance`: about that of a perfect model on as few items; `raw_ece` and `raw_bins`: those without calibration."""

    ece: float
    raw_ece: float
    chance: float
    bins: tuple[tuple[float, float, float], ...]
    raw_bins: tuple[tuple[float, float, float], ...]

    @property
    def sentence(self) -> str:
        """For people, beginning with the bin that has the most items."""
        items, sure, right = max(self.bins)
        return (f"When it says {sure / items:.0%}, it is right {right / items:.0%} of the time. Calibration error {self.ece:.1%} (before "
                f"calibration {self.raw_ece:.1%}; a perfect model's on as few answers: about {self.chance:.1%}).")


@dataclass(frozen=True)
class TaskReport:
    """One task on the `rows` that are labelled for it, of which `wrong` have an error. `main`: the main score and its 95 % interval. A kind
    of task has either `confusion` (gold label -> predicted label -> rows) or `errors` (sort of error -> items), and these
    for each label in `errors_of`; numbers have no `labels`, but `errors_of` what they are about."""

    name: str
    kind: str
    rows: int
    wrong: int
    main_score: str
    main: Interval | None  # None if there is nothing to score
    scores: dict[str, float]
    labels: tuple[LabelScores, ...]
    mistakes: tuple[Mistake, ...]
    confusion: dict[str, dict[str, int]] = field(default_factory=dict)
    errors: dict[str, int] | None = None
    errors_of: dict[str, dict[str, int]] = field(default_factory=dict)  # empty in older files
    reliability: Reliability | None = None  # if nothing was predicted, and in older files

    @property
    def shown_labels(self) -> tuple[LabelScores, ...]:
        """The labels that a table shows: all, or of more than SHOWN_LABELS those with the lowest F1, which are what there is to mend."""
        if len(self.labels) <= SHOWN_LABELS:
            return self.labels
        return tuple(sorted(self.labels, key=lambda line: (line.f1, -line.support))[:SHOWN_LABELS])

    @property
    def labels_left_out(self) -> str:
        """What a table says of the labels that it does not show."""
        rest = len(self.labels) - SHOWN_LABELS
        return f"These are the {SHOWN_LABELS} labels with the lowest F1; {rest:,} others are not shown." if rest > 0 else ""


@dataclass(frozen=True)
class Report:
    """All tasks on the same rows, and the share of rows that are right for every task."""

    rows: int
    everything_right: Interval
    tasks: tuple[TaskReport, ...]


def analyse(rows: Sequence[Row], tasks: Sequence[Task], predictions: Sequence[dict[str, Prediction]], scores: Scores) -> Report:
    """The report on the `predictions` for `rows`, whose `scores` are known."""
    reports = tuple(_analyse_task(rows, task, [made[task.name] for made in predictions], scores) for task in tasks)
    return Report(len(rows), interval(all_right(scores.hit_counts[task.name] for task in tasks)), reports)


def _analyse_task(rows: Sequence[Row], task: Task, made: list[Prediction], scores: Scores) -> TaskReport:
    labelled = [(index, row.values[task.name], guess) for index, (row, guess) in enumerate(zip(rows, made, strict=True))
                if row.values.get(task.name) is not None]
    counts, pairs = scores.hit_counts[task.name], [(gold, guess) for _, gold, guess in labelled]
    wrong = [found for found in labelled if not found[1].agrees(found[2].value)]
    main = interval(counts) if counts[:, 1].any() else None
    return TaskReport(task.name, task.spec.kind, len(labelled), len(wrong), task.main_score, main, scores.scores[task.name],
                      _label_table(pairs), _worst(rows, wrong), reliability=_reliability(task, pairs),
                      **_count_errors(pairs, VALUES[task.spec.kind]))


def _count_errors(pairs: list[tuple[Value, Prediction]], kind: type[Value]) -> dict[str, Any]:
    """The fields of a TaskReport that count what became of each label: one of the kind's `sorts`, or if there are none, another label."""
    counts: dict[str, dict[str, int]] = {}
    found_of = Counter(one for gold, guess in pairs for one in gold.compared(guess.value))
    for label, found in sorted(found_of, key=lambda one: (kind.order(one[0]), one[1])):
        counts.setdefault(label, {})[found] = found_of[label, found]
    return {"confusion": counts} if not kind.sorts else {
        "errors_of": counts, "errors": {sort: sum(of.get(sort, 0) for of in counts.values()) for sort in kind.sorts}}


def _reliability(task: Task, pairs: list[tuple[Value, Prediction]]) -> Reliability | None:
    golds, made = [gold for gold, _ in pairs], [guess for _, guess in pairs]
    raw, now = (_bins([item for pair in zip(guesses, golds, strict=True) for item in pair[0].judged(pair[1])])
                for guesses in (task.rescaled(made, task.calibration), made))
    items, sure, _ = now.T
    if not items.any():
        return None
    ece, raw_ece = (float(np.abs(bins[:, 1] - bins[:, 2]).sum() / items.sum()) for bins in (now, raw))
    # a count of n draws with probability p deviates by about sqrt(2 / pi * n p (1 - p)) from n p
    chance = float(np.sqrt(2 / np.pi * sure * (1 - sure / items.clip(1))).sum() / items.sum())
    return Reliability(ece, raw_ece, chance, *(tuple(tuple(bin) for bin in bins.tolist() if bin[0]) for bins in (now, raw)))


def _bins(judged: list[tuple[float, bool]]) -> np.ndarray:
    """Items, their probabilities and how many are right, summed in each bin (BINS, 3)."""
    sure, right = np.array(judged, float).reshape(-1, 2).T
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    return np.stack([np.bincount(place, weights, BINS) for weights in (None, sure, right)], 1)


def _label_table(pairs: list[tuple[Value, Prediction]]) -> tuple[LabelScores, ...]:
    """The scores of each label that occurs, those with the most gold rows or entities first; none of numbers, which have no items."""
    hits, support, predicted = Counter(), Counter(), Counter()  # by label
    for gold, guess in pairs:
        made = set(guess.value.items())
        for item, label in zip(gold.items(), gold.labels(), strict=False):
            support[label] += 1
            hits[label] += item in made
        predicted.update(label for _, label in zip(guess.value.items(), guess.value.labels(), strict=False))
    return tuple(LabelScores(label, hits[label] / max(1, predicted[label]), hits[label] / max(1, support[label]),
                             2 * hits[label] / (support[label] + predicted[label]), support[label], predicted[label])
                 for label in sorted(support | predicted, key=lambda label: (-support[label], label)))


def _worst(rows: Sequence[Row], wrong: list[tuple[int, Value, Prediction]]) -> tuple[Mistake, ...]:
    """The mistakes with the highest confidence, then those that only miss items, the most items first; of numbers the largest errors."""
    def rank(mistake: tuple[int, Value, Prediction]) -> tuple[float, float, int, int]:
        row, gold, made = mistake
        return (-made.confidence_beyond(gold), -gold.distance(made.value), -len(set(gold.items()) - set(made.value.items())), row)

    return tuple(_mistake(rows[row].text, row, gold, made) for row, gold, made in sorted(wrong, key=rank)[:WORST])


def _mistake(text: str, row: int, gold: Value, made: Prediction) -> Mistake:
    shown, true, predicted = excerpt(text, gold, made.value)
    return Mistake(row, shown, true.plain(), predicted.plain(), made.confidence_beyond(gold))


def excerpt(text: str, gold: Value, made: Value) -> tuple[str, Value, Value]:
    """Of a long text, TEXT characters from a little before the first wrong entity on, with the entities that lie in them."""
    first = min((span.start for span in set(gold.spans) ^ set(made.spans)), default=0)
    begin = len(cut(text, max(0, min(first - TEXT // 4, len(text) - TEXT))))
    shown = cut(text[begin:], TEXT)
    return shown, gold.within(begin, begin + len(shown)), made.within(begin, begin + len(shown))
