"""Predictions as cells of a table, for people and their spreadsheets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mtl.data.values import Value

if TYPE_CHECKING:
    from mtl.inference.predictor import Predicted


def columns_of(tasks: Mapping[str, Value | type[Value]]) -> list[str]:
    """The names of the columns that `cells_of` fills for tasks with values such as these."""
    names = [[task, *[f"{task} probability"] * value.has_labels, *[f"{task} characters"] * value.marks_text]
             for task, value in tasks.items()]
    return [*(name for of_task in names for name in of_task), "cut_at"]


def cells_of(predicted: Predicted) -> list[str]:
    """What was predicted for each task, how probable it is and, of what is marked in the text, at which characters it stands (from 0, the
    end not included); and from which character on the text was not read. Several values are separated by ' | '."""
    cells: list[str] = []
    for made in predicted.predictions.values():
        cells.append(" | ".join(made.value.named(predicted.text)))
        if made.value.has_labels:  # a number has no probability
            cells.append(" | ".join(f"{sure:.4f}" for sure in made.confidences))
        if made.value.marks_text:
            cells.append(" | ".join(f"{span.start}-{span.end}" for span in made.value.spans))
    return [*cells, "" if predicted.cut_at is None else str(predicted.cut_at)]
