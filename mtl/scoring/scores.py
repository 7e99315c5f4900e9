"""Scores of predictions against gold labels: losses, scores, and the hits of every row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mtl.data.rows import Row
from mtl.inference.predictor import Answers
from mtl.model.multitask import MultiTaskModel
from mtl.model.split import Split
from mtl.scoring.intervals import all_right, main_score
from mtl.tasks.base import Prediction, Task


@dataclass(frozen=True)
class Scores:
    """Mean loss and scores per task, the share of rows with everything right, and in `score` the mean of the trained tasks' main scores."""

    losses: dict[str, float]
    scores: dict[str, dict[str, float]]
    everything_right: float
    score: float
    hit_counts: dict[str, np.ndarray]  # for each task, hits and items of every row (N, 2)


def score(tasks: Sequence[Task], split: Split, answers: Answers, weights: Mapping[str, float] | None = None) -> Scores:
    """Compare `answers` with the gold values of `split`. A task of weight 0 is not trained and does not count in the mean score."""
    losses, scores, made = {}, {}, answers.in_order()
    encodings = [encoding for encoding, _ in split.examples]
    for task in tasks:
        scores[task.name] = task.score(golds_of(task, split.rows), [row[task.name] for row in made], encodings)
        if targets := int(split.targets[task.name].sum()):
            losses[task.name] = answers.losses[task.name] / targets
    main = [scores[task.name][task.main_score] for task in tasks if scores[task.name] and (weights is None or weights[task.name])]
    hit_counts = count_hits(tasks, split.rows, made)
    everything_right = float(main_score(all_right(hit_counts.values())))
    return Scores(losses, scores, everything_right, sum(main) / len(main) if main else 0.0, hit_counts)


def tune(model: MultiTaskModel, split: Split, answers: Answers) -> Answers:
    """Set calibration and thresholds of `model` to the best on the validation rows `split`; returns `answers`, which were made without
    calibration, under these. So validation scores are a little better than scores on new text, as with any setting chosen on them."""
    made = answers.in_order()
    for task in model.tasks.values():
        redone = task.tune(golds_of(task, split.rows), [row[task.name] for row in made])
        made = [row | {task.name: guess} for row, guess in zip(made, redone, strict=True)]
    model.set_tuned({name: task.thresholds for name, task in model.tasks.items() if task.thresholds},
                    {name: task.calibration for name, task in model.tasks.items()})
    return Answers(dict(enumerate(made)), answers.losses)


def golds_of(task: Task, rows: Sequence[Row]) -> list:
    """The gold value of each row for `task`, None where it has none."""
    return [row.values.get(task.name) for row in rows]


def count_hits(tasks: Sequence[Task], rows: Sequence[Row], made: Sequence[dict[str, Prediction]]) -> dict[str, np.ndarray]:
    """For each task, hits and items (see Task.hit_counts) of every row (N, 2); zeros where a row has no label."""
    return {task.name: np.array([(0, 0) if gold is None else task.hit_counts(gold, guess[task.name])
                                 for gold, guess in zip(golds_of(task, rows), made, strict=True)],
                                np.float64 if task.dtype.is_floating_point else np.int32).reshape(-1, 2)
            for task in tasks}
