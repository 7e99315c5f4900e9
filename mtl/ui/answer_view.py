"""The answers of one model, or of two beside each other, as HTML, in words and as lines of Python. Pure functions; what a user wrote is
escaped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mtl.data.words import find_words
from mtl.jobs.models import LIVE, Answered
from mtl.runs.checkpoint import LAST
from mtl.ui.charts import Markup
from mtl.ui.data_view import warnings_html
from mtl.ui.templates import render

if TYPE_CHECKING:
    from mtl.inference.predictor import Predicted
    from mtl.tasks.base import Drawing, Prediction

HUES, TYPE_HUES = 8, 10  # colours for tasks, and for types of entities, in style.css
SHOWN = 5  # classes of many, before the others are folded
DRAWN = 30  # classes of very many, before the others are left out
SURE, AHEAD = 0.6, 0.15  # a model is not sure of its first class below this probability, or if the second is as near as this


@dataclass(frozen=True)
class Panel:
    """What a model says of `text` for one task. `hue`: the place of the task in its run, from 1. `other`: what the model beside it says;
    `title`: which model this is, if there are two."""

    text: str
    task: str
    hue: int
    labels: Sequence[str]
    made: Prediction
    other: Prediction | None = None
    title: str = ""

    @cached_property
    def drawing(self) -> Drawing:
        """The prediction for the page."""
        return self.made.drawing(self.text)

    @property
    def differs(self) -> bool:
        """Whether the other model says something else."""
        return self.other is not None and self.made.value.key(self.text) != self.other.value.key(self.text)

    @property
    def answer(self) -> str:
        """The answer in words, where labels or marks do not tell it."""
        return "nothing found" if self.marks and not self.made.value.items() else self.drawing.answer

    @cached_property
    def marks(self) -> list[tuple[str, str | None, int, str, bool]] | None:
        """The text in pieces: words, their label or None, the number of its colour, its probability, and whether only this model finds it;
        None if the task does not mark words."""
        if self.drawing.pieces is None:
            return None
        elsewhere = None if self.other is None else set(self.other.value.items())
        found = zip(self.made.value.items(), self.made.confidences, strict=True)
        marks = []
        for words, label in self.drawing.pieces:
            item, sure = (None, 0.0) if label is None else next(found)
            marks.append((words, label, self.hue_of(label), f"{100 * sure:.0f}", elsewhere is not None and item not in elsewhere))
        return marks

    def hue_of(self, label: str | None) -> int:
        """The number of the colour of a label that marks words."""
        return 1 + self.labels.index(label) % TYPE_HUES if label in self.labels else 1

    @property
    def chips(self) -> list[tuple[str, float | None]]:
        """The answer in short: each label with its probability, or the answer in words without one."""
        labels = self.made.value.labels()
        return [*zip(labels, self.made.confidences, strict=True)] if labels else [(self.answer, None)]

    @cached_property
    def bars(self) -> list[tuple[str, float, bool]]:
        """Each class, its probability, and whether it is chosen; those first, then the likeliest."""
        chosen = set(self.made.value.labels())
        bars = [(label, share, label in chosen) for label, share in self.drawing.probabilities.items()]
        return sorted(bars, key=lambda bar: not bar[2])

    @property
    def shown(self) -> int:
        """How many of the classes are not folded."""
        return max(SHOWN + (len(self.bars) == SHOWN + 1), len(self.made.value.labels()))

    @property
    def is_number(self) -> bool:
        """Whether the answer is all there is to show."""
        return self.marks is None and not self.bars

    @cached_property
    def to_correct(self) -> str:
        """What the editor of teach.js needs, as JSON: the answer in the form of a data file, and how it is edited."""
        value = self.made.value
        edits = "spans" if value.marks_text else "one" if value.has_one_label else "many" if value.has_labels else "number"
        return json.dumps({"text": self.text, "task": self.task, "hue": self.hue, "edits": edits, "labels": list(self.labels),
                           "value": value.plain(), "words": find_words(self.text) if value.marks_text else []})

    @property
    def folded(self) -> list[tuple[str, float, bool]]:
        """The classes that are folded; of very many only the likeliest are on the page at all."""
        return self.bars[self.shown:max(self.shown, DRAWN)]

    @property
    def unsure(self) -> bool:
        """Whether another class may well be right; only for tasks of which one class is right."""
        if self.drawing.answer:  # of labels or numbers, of which none excludes the others
            return False
        first, second = [share for _, share, _ in self.bars][:2]
        return first < SURE or first - second < AHEAD


def answer_html(choices: Sequence[str], answers: Sequence[Answered], titles: Sequence[str], python: str) -> Markup:
    """The answers to one text of one model, or of two, which have `titles`; `python` are the lines that ask the first one, empty if the
    text is one of several."""
    made = [answered.predicted[0] for answered in answers]
    panels = panels_of(answers, titles)
    notes = warnings_html(dict.fromkeys(note for one in made for note in notes_of(one)))
    plain = made[0].plain() if not titles else {choice: one.plain() for choice, one in zip(choices, made, strict=True)}
    groups = [[one for one in panels[0].values() if (one.marks is None) == is_sentence] for is_sentence in (False, True)]
    lines = [[found.get(task) for found in panels] for task in dict.fromkeys(task for found in panels for task in found)]
    differing = [one.task for one in panels[0].values() if one.differs]
    return render("answer.html", text=made[0].text, models=json.dumps(choices), notes=notes, groups=groups,
                  lines=lines if titles else None, titles=titles, differing=differing, python=python,
                  json=json.dumps(plain, ensure_ascii=False, indent=1))


def panels_of(answers: Sequence[Answered], titles: Sequence[str] = ()) -> list[dict[str, Panel]]:
    """For each model the panels of its tasks; what differs is known if there are two, which have `titles`. Each answered one text."""
    if not titles:
        return [_panels(answered) for answered in answers]
    return [_panels(answered, title, other.predicted[0]) for answered, title, other in zip(answers, titles, answers[::-1], strict=True)]


def _panels(answered: Answered, title: str = "", beside: Predicted | None = None) -> dict[str, Panel]:
    """The panels of one model, by task, in the order of its run."""
    [made] = answered.predicted
    others = beside.predictions if beside else {}
    return {task: Panel(made.text, task, 1 + place % HUES, answered.labels[task], made.predictions[task], others.get(task), title)
            for place, task in enumerate(made.predictions)}


def notes_of(predicted: Predicted) -> list[str]:
    """What to say of a text beside its answers."""
    cut = [] if predicted.cut_at is None else [
        f"The text is longer than the model can read: everything from character {predicted.cut_at:,} on was ignored."]
    return [*cut, *predicted.contradictions]


def spoken(answered: Answered) -> str:
    """An answer in one sentence, which stays the same while only its probabilities change."""
    [made] = answered.predicted
    return "; ".join(f"{task}: {', '.join(one.value.named(made.text)) or 'nothing'}" for task, one in made.predictions.items()) + "."


def python_lines(root: Path, choice: str, text: str | list[str]) -> str:
    """How to ask the same checkpoint the same text or texts in Python; of live weights, which are in memory only, the best checkpoint."""
    run_id, _, name = choice.partition("/")
    source = f"{root.name}/{choice}" if name == LAST else run_id
    load = f"import mtl\nmodel = mtl.load({source!r}){'  # its best checkpoint' * (name == LIVE)}\n"
    if isinstance(text, str):
        return f"{load}print(model({text!r}).predictions)"
    texts = "".join(f"    {one!r},\n" for one in text)
    return f"{load}for one in model([\n{texts}]):\n    print(one.predictions)"


def examples_html(texts: Sequence[str], mistaken: str, as_typed: bool) -> Markup:
    """Links that put a text into the box; `mistaken` is one that the model gets wrong, if one is known."""
    return render("try.html", texts=texts, mistaken=mistaken, as_typed=as_typed)
