"""The answers to several sentences, of one model or of two beside each other, as HTML and in words: what was found in all of them, then a
line a sentence, of which one may be unfolded. Pure functions; what a user wrote is escaped."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from mtl.jobs.models import Answered
from mtl.text import many
from mtl.ui.answer_view import Panel, answer_html, notes_of, panels_of
from mtl.ui.charts import Markup
from mtl.ui.data_view import warnings_html
from mtl.ui.templates import render

SENTENCES = 200  # of one question
COUNTED = 12  # labels of a task that are counted above the sentences


def many_html(choices: Sequence[str], answers: Sequence[Answered], titles: Sequence[str], python: str, opened: int,
              left_out: int) -> Markup:
    """The answers to several sentences of one model, or of two, which have `titles`; sentence number `opened` (from 0) is shown in full.
    `left_out`: how many more sentences there are. `python` are the lines that ask the first model."""
    lines = []
    for place in range(len(answers[0].predicted)):
        ones = [replace(answered, predicted=[answered.predicted[place]]) for answered in answers]
        panels = [[*found.values()] for found in panels_of(ones, titles)]
        full = answer_html(choices, ones, titles, "") if place == opened else ""
        notes = "" if full else warnings_html(dict.fromkeys(note for one in ones for note in notes_of(one.predicted[0])))
        lines.append((panels, any(panel.differs for panel in panels[0]), notes, full))
    plain = [[one.plain() for one in answered.predicted] for answered in answers]
    return render("many.html", lines=lines, titles=titles, left_out=left_out, counts=_counts([panels[0] for panels, *_ in lines]),
                  python=python, json=json.dumps(dict(zip(choices, plain, strict=True)) if titles else plain[0], ensure_ascii=False))


def spoken_many(answered: Answered) -> str:
    """The same in one sentence, which stays the same while only probabilities change."""
    counts = _counts([[*panels_of([replace(answered, predicted=[one])])[0].values()] for one in answered.predicted])
    found = [f"{task}: {', '.join(f'{label} {count}' for label, count, _ in labels)}" for task, _, labels, _ in counts]
    return "; ".join([many(len(answered.predicted), "sentence"), *found]) + "."


def _counts(lines: Sequence[Sequence[Panel]]) -> list[tuple[str, int, list[tuple[str, int, int | None]], int]]:
    """For each task that has labels: its name and colour; the most frequent labels, each with how often it was found and its own colour if
    it marks words; and how many more labels there are."""
    counts = []
    for panels in zip(*lines, strict=True):
        first, found = panels[0], Counter(label for panel in panels for label in panel.made.value.labels())
        if first.made.value.has_labels:
            labels = [(label, count, first.hue_of(label) if first.marks is not None else None)
                      for label, count in found.most_common(COUNTED)]
            counts.append((first.task, first.hue, labels, len(found) - len(labels)))
    return counts
