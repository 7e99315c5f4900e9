"""What a model got right and wrong on rows whose labels are known: scores with their intervals, tables per label, errors sorted apart, the
worst mistakes. Takes predictions that were made, and knows neither models nor runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mtl.data.rows import Row
from mtl.data.values import Value
from mtl.scoring.intervals import Interval, all_right, interval
from mtl.text import cut

if TYPE_CHECKING:  # they import torch, and a report that was made before is shown without it
    from mtl.scoring.scores import Scores
    from mtl.tasks.base import Prediction, Task

WORST = 50  # mistakes that a report tells
TEXT = 600  # characters of a mistake's text that it tells


@dataclass(frozen=True)
class LabelScores:
    """How well one class or entity type is found, of which there are `support` in gold and `predicted` by the model."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    predicted: int


@dataclass(frozen=True)
class Mistake:
    """A row that the model got wrong: `row` counts from 0; `text` is cut to what lies around the mistake; `gold` and `predicted` are values
    as plain data; `sure` is the probability of what is predicted wrongly, of several items the largest, 0 if some are only missed."""

    row: int
    text: str
    gold: Any
    predicted: Any
    sure: float


@dataclass(frozen=True)
class TaskReport:
    """One task on the `rows` that are labelled for it, of which `wrong` are not wholly right. `main` is the task's main score with its
    95 % interval, None where there is nothing to score; `confusion` counts rows: gold label -> predicted label; `errors` counts
    items by their sorts: a kind of task has one of the two."""

    name: str
    kind: str
    rows: int
    wrong: int
    main_score: str
    main: Interval | None
    scores: dict[str, float]
    labels: tuple[LabelScores, ...]
    mistakes: tuple[Mistake, ...]
    confusion: dict[str, dict[str, int]] = field(default_factory=dict)
    errors: dict[str, int] | None = None


@dataclass(frozen=True)
class Report:
    """All tasks on the same rows, and the share of rows with everything right."""

    rows: int
    everything_right: Interval
    tasks: tuple[TaskReport, ...]


def examine(rows: Sequence[Row], tasks: Sequence[Task], predictions: Sequence[dict[str, Prediction]], scores: Scores) -> Report:
    """Look closely at the `predictions` for `rows`, which were scored already."""
    reports = tuple(_examine_task(rows, task, [made[task.name] for made in predictions], scores) for task in tasks)
    return Report(len(rows), interval(all_right(scores.tallies[task.name] for task in tasks)), reports)


def _examine_task(rows: Sequence[Row], task: Task, made: list[Prediction], scores: Scores) -> TaskReport:
    labelled = [(index, row.values[task.name], guess) for index, (row, guess) in enumerate(zip(rows, made, strict=True))
                if row.values.get(task.name) is not None]
    wrong = [found for found in labelled if not task.is_right(found[1], found[2])]
    tally = scores.tallies[task.name]
    main = interval(tally) if tally[:, 1].any() else None
    pairs = [(gold, guess) for _, gold, guess in labelled]
    return TaskReport(task.name, task.spec.kind, len(labelled), len(wrong), task.main_score, main, scores.scores[task.name],
                      _label_table(pairs), _worst(rows, wrong), **task.errors(pairs))


def _label_table(pairs: list[tuple[Value, Prediction]]) -> tuple[LabelScores, ...]:
    """The table per label."""
    right: Counter[str] = Counter()
    of_gold: Counter[str] = Counter()
    of_made: Counter[str] = Counter()
    for gold, guess in pairs:
        value = guess.value
        of_gold.update(gold.labels())
        of_made.update(value.labels())
        made = set(value.items())
        right.update(label for item, label in zip(gold.items(), gold.labels(), strict=True) if item in made)
    return _label_scores(right, of_gold, of_made)


def _label_scores(right: Counter[str], of_gold: Counter[str], of_made: Counter[str]) -> tuple[LabelScores, ...]:
    """A line for each label that occurs, those with the most rows or entities first."""
    lines = []
    for label in sorted(of_gold.keys() | of_made.keys(), key=lambda label: (-of_gold[label], label)):
        hits, support, predicted = right[label], of_gold[label], of_made[label]
        lines.append(LabelScores(label, hits / predicted if predicted else 0.0, hits / support if support else 0.0,
                                 2 * hits / (support + predicted), support, predicted))
    return tuple(lines)


def _worst(rows: Sequence[Row], wrong: list[tuple[int, Value, Prediction]]) -> tuple[Mistake, ...]:
    """The mistakes of which the model was surest; after them those that only miss entities, the most missed first."""
    ranked = sorted(((made.confidence_beyond(gold), _missed(gold, made), -index, gold, made) for index, gold, made in wrong),
                    key=lambda entry: entry[:3], reverse=True)
    return tuple(_mistake(rows[-place].text, -place, gold, made, sure) for sure, _, place, gold, made in ranked[:WORST])


def _missed(gold: Value, made: Prediction) -> int:
    return len(set(gold.items()) - set(made.value.items()))


def _mistake(text: str, row: int, gold: Value, made: Prediction, confidence: float) -> Mistake:
    """With a long text cut to TEXT characters, a little before the first wrong entity on, and the entities that lie in them."""
    value = made.value
    first = min((span.start for span in set(gold.spans) ^ set(value.spans)), default=0)
    begin = len(cut(text, max(0, min(first - TEXT // 4, len(text) - TEXT))))
    shown = cut(text[begin:], TEXT)
    return Mistake(row, shown, *(each.within(begin, begin + len(shown)).plain() for each in (gold, value)), confidence)
