"""Answers against gold labels: losses, scores, and the hits of every row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mtl.data.rows import Row
from mtl.inference.answer import Answers
from mtl.model.multitask import MultiTaskModel
from mtl.model.split import Split
from mtl.tasks.base import Prediction, Task


@dataclass(frozen=True)
class Scores:
    """Mean loss and scores per task, the share of rows with everything right, and as `score` the mean of the trained tasks' main scores;
    `tallies`: for each task, hits and items of every row (N, 2)."""

    losses: dict[str, float]
    scores: dict[str, dict[str, float]]
    everything_right: float
    score: float
    tallies: dict[str, np.ndarray]


def score(tasks: Sequence[Task], split: Split, answers: Answers, weights: Mapping[str, float] | None = None) -> Scores:
    """Compare `answers` for every row of `split` with its gold values. Tasks whose loss has the weight 0 are not trained, so that they do
    not count in the one score by which the best checkpoint is chosen."""
    losses: dict[str, float] = {}
    scores: dict[str, dict[str, float]] = {}
    made = [answers.predictions[index] for index in range(len(split.rows))]
    for task in tasks:
        golds = [row.values.get(task.name) for row in split.rows]
        scores[task.name] = task.score(golds, [row[task.name] for row in made], [encoding for encoding, _ in split.examples])
        if targets := int(split.targets[task.name].sum()):
            losses[task.name] = answers.losses[task.name] / targets
    right = [all(task.is_right(row.values[task.name], guess[task.name]) for task in tasks if row.values.get(task.name) is not None)
             for row, guess in zip(split.rows, made, strict=True)]
    main = [scores[task.name][task.main_score] for task in tasks if scores[task.name] and (weights is None or weights[task.name])]
    tallies = {task.name: tally_rows(task, split.rows, [row[task.name] for row in made]) for task in tasks}
    return Scores(losses, scores, sum(right) / len(right), sum(main) / len(main) if main else 0.0, tallies)


def tune(model: MultiTaskModel, split: Split, answers: Answers) -> Answers:
    """`answers` for the validation rows `split`, as thresholds make them that are best on these rows; `model` keeps the thresholds. So a
    validation score is a little better than one on new text, as that of any setting chosen by it; test rows choose nothing."""
    made, tuned = [answers.predictions[index] for index in range(len(split.rows))], {}
    for task in (task for task in model.tasks.values() if task.thresholds):
        golds = [row.values.get(task.name) for row in split.rows]
        redone = task.tune(golds, [row[task.name] for row in made])
        made = [row | {task.name: guess} for row, guess in zip(made, redone, strict=True)]
        tuned[task.name] = task.thresholds
    model.set_thresholds(tuned)
    return Answers(dict(enumerate(made)), answers.losses)


def tally_rows(task: Task, rows: Sequence[Row], predictions: Sequence[Prediction]) -> np.ndarray:
    """Hits and items (see Task.tally) of every row (N, 2); zeros where it has no label."""
    golds = [row.values.get(task.name) for row in rows]
    return np.array([(0, 0) if gold is None else task.tally(gold, made) for gold, made in zip(golds, predictions, strict=True)],
                    np.int32).reshape(-1, 2)
