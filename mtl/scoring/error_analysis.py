"""What a model got right and wrong on rows whose labels are known: scores with their intervals, tables per label, errors sorted apart, the
worst mistakes. Takes predictions that were made, and knows neither models nor runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mtl.data.rows import Row, Value
from mtl.data.words import Span
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
class SpanErrors:
    """Every entity of gold and every entity predicted, sorted apart.

    Gold and predicted entities of a row are paired, each with at most one: first those on the same characters (right, or else of the
    wrong type), then those that overlap and have the same label (wrong boundary), then those that merely overlap (wrong both). Gold
    entities left over are missed, predicted ones left over are invented; nearly always they overlap nothing, but where one long
    prediction covers two gold entities, one of these is missed. So the numbers add up: `right` to `wrong_both` plus `missed` are the
    gold entities, plus `invented` the predicted ones.
    """

    right: int = 0
    wrong_type: int = 0
    wrong_boundary: int = 0
    wrong_both: int = 0
    missed: int = 0
    invented: int = 0


@dataclass(frozen=True)
class Mistake:
    """A row that the model got wrong: `row` counts from 0; `text` is cut to what lies around the mistake; `sure` is the probability of
    the wrong class, or of the likeliest wrong entity, 0 if entities were only missed."""

    row: int
    text: str
    gold: str | tuple[Span, ...]
    predicted: str | tuple[Span, ...]
    sure: float


@dataclass(frozen=True)
class TaskReport:
    """One task on the `rows` that are labelled for it, of which `wrong` are not wholly right. `main` is the task's main score with its
    95 % interval, None where there is nothing to score; `confusion` (of a classification) counts rows: gold label -> predicted label."""

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
    errors: SpanErrors | None = None


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
    details = {"classification": _classes, "tagging": _entities}[task.spec.kind]
    return TaskReport(task.name, task.spec.kind, len(labelled), len(wrong), task.main_score, main, scores.scores[task.name],
                      mistakes=_worst(rows, wrong), **details([(gold, guess) for _, gold, guess in labelled]))


def _classes(pairs: list[tuple[str, Prediction]]) -> dict:
    """What is particular to a classification: the table per class and the confusion matrix."""
    cells = Counter((gold, guess.label) for gold, guess in pairs)
    confusion: dict[str, dict[str, int]] = {}
    for (gold, guess), count in sorted(cells.items()):
        confusion.setdefault(gold, {})[guess] = count
    of_gold, of_made = Counter(gold for gold, _ in pairs), Counter(guess.label for _, guess in pairs)
    right = Counter({label: cells[label, label] for label in of_gold})
    return {"labels": _label_scores(right, of_gold, of_made), "confusion": confusion}


def _entities(pairs: list[tuple[tuple[Span, ...], Prediction]]) -> dict:
    """What is particular to a tagging: the table per type and the errors sorted apart."""
    right: Counter[str] = Counter()
    of_gold: Counter[str] = Counter()
    of_made: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    for gold, guess in pairs:
        of_gold.update(span.label for span in gold)
        of_made.update(span.label for span in guess.spans)
        right.update(span.label for span in set(gold) & set(guess.spans))
        errors.update(sort_errors(gold, guess.spans))
    return {"labels": _label_scores(right, of_gold, of_made), "errors": SpanErrors(**errors)}


def _label_scores(right: Counter[str], of_gold: Counter[str], of_made: Counter[str]) -> tuple[LabelScores, ...]:
    """A line for each label that occurs, those with the most rows or entities first."""
    lines = []
    for label in sorted(of_gold.keys() | of_made.keys(), key=lambda label: (-of_gold[label], label)):
        hits, support, predicted = right[label], of_gold[label], of_made[label]
        lines.append(LabelScores(label, hits / predicted if predicted else 0.0, hits / support if support else 0.0,
                                 2 * hits / (support + predicted), support, predicted))
    return tuple(lines)


def sort_errors(gold: Sequence[Span], made: Sequence[Span]) -> Iterator[str]:
    """For the entities of one row, the names of the fields of SpanErrors that count them."""
    golds, guesses = list(gold), list(made)
    for name, fits in _FITS.items():
        for span in tuple(golds):
            partner = next((guess for guess in guesses if fits(span, guess)), None)
            if partner is not None:
                golds.remove(span)
                guesses.remove(partner)
                yield name
    yield from ["missed"] * len(golds) + ["invented"] * len(guesses)


def _overlap(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end


# in this order: a pair that fits better is not torn apart for one that fits less
_FITS: dict[str, Callable[[Span, Span], bool]] = {
    "right": lambda gold, made: gold == made,
    "wrong_type": lambda gold, made: (gold.start, gold.end) == (made.start, made.end),
    "wrong_boundary": lambda gold, made: _overlap(gold, made) and gold.label == made.label,
    "wrong_both": _overlap,
}


def _worst(rows: Sequence[Row], wrong: list[tuple[int, Value, Prediction]]) -> tuple[Mistake, ...]:
    """The mistakes of which the model was surest; after them those that only miss entities, the most missed first."""
    ranked = sorted(((_sure(gold, made), _missed(gold, made), -index, gold, made) for index, gold, made in wrong),
                    key=lambda entry: entry[:3], reverse=True)
    return tuple(_mistake(rows[-place].text, -place, gold, made, sure) for sure, _, place, gold, made in ranked[:WORST])


def _sure(gold: Value, made: Prediction) -> float:
    if isinstance(gold, str):
        return made.probabilities[made.label]
    known = set(gold)
    return max((sure for span, sure in zip(made.spans, made.probabilities, strict=True) if span not in known), default=0.0)


def _missed(gold: Value, made: Prediction) -> int:
    return 0 if isinstance(gold, str) else len(set(gold) - set(made.spans))


def _mistake(text: str, row: int, gold: Value, made: Prediction, sure: float) -> Mistake:
    """With a long text cut to TEXT characters, a little before the first wrong entity on, and the entities that lie in them."""
    if isinstance(gold, str):
        return Mistake(row, cut(text, TEXT), gold, made.label, sure)
    first = min(set(gold) ^ set(made.spans)).start
    begin = len(cut(text, max(0, min(first - TEXT // 4, len(text) - TEXT))))
    shown = cut(text[begin:], TEXT)

    def within(spans: Sequence[Span]) -> tuple[Span, ...]:
        return tuple(Span(max(span.start - begin, 0), min(span.end - begin, len(shown)), span.label) for span in spans
                     if span.start - begin < len(shown) and span.end > begin)

    return Mistake(row, shown, within(gold), within(made.spans), sure)
