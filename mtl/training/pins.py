"""Pinned sentences: what the model says of a few of them while it learns. Watching takes a small share of the time and changes nothing in
the run."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import Any

import numpy as np

from mtl.data.rows import Row
from mtl.data.store import take
from mtl.data.values import VALUES
from mtl.model.split import sample_places
from mtl.runs.events import LONGEST_PINNED, MOST_PINNED, Event, Pinned, Watched
from mtl.scoring.intervals import all_right
from mtl.tasks.base import Prediction, Task
from mtl.text import isolate
from mtl.training.step import TrainingProgress

SHARE, OFTEN, RARER = 0.01, 2.0, 0.05  # of the training time; seconds between two looks at least, and this share of the time so far
MOVED = 0.03  # a probability that changed less is not logged again
FIRST, OFFERED, LOOKED_AT = 3, 3, 60  # sentences of a new run, hard ones that are offered, and rows that are looked at to find them
COMFORTABLE = range(30, 121)  # characters of a sentence that is quickly read


class Pins:
    """The pinned sentences of one training. `predict` makes the predictions of all `tasks` for texts; `rows` are those of validation."""

    def __init__(self, predict: Callable[[Sequence[str]], list[dict[str, Prediction]]], tasks: Sequence[Task], rows: Sequence[Row],
                 seed: int, progress: TrainingProgress) -> None:
        self._predict, self._tasks, self._rows, self._seed, self._progress = predict, tasks, rows, seed, progress
        self._sentences: list[dict[str, Any]] = []
        self._hard: list[dict[str, Any]] = []
        self._last_id, self._spent, self._next = 0, 0.0, 0.0  # seconds of looks that were due; of training at which the next one is
        self._said: dict[int, list[Any]] = {}  # the answers that were logged, by id
        self._right: np.ndarray | None = None  # at the evaluation before: for each row (N, tasks), whether it is right or not labelled

    def open(self, before: Sequence[Pinned], is_wanted: bool) -> Iterator[Event]:
        """Go on with the sentences that were pinned `before`; if none ever were and it `is_wanted`, pin some validation rows."""
        if before:
            self._sentences, self._hard = before[-1].sentences, before[-1].hard
            self._last_id = max((one["id"] for event in before for one in event.sentences), default=0)
        elif is_wanted:
            self._sentences = [{"id": number, **self._told(row)} for number, row in enumerate(self._choose(), 1)]
            self._last_id = len(self._sentences)
            yield self._pinned()
        if not before or not self._progress.step:
            yield from self.look(must=True)

    def add(self, text: str) -> Iterator[Event]:
        """Pin `text` and look at it. Nothing happens if it is pinned already, or if there are MOST_PINNED."""
        if len(self._sentences) < MOST_PINNED and all(one["text"] != text for one in self._sentences):
            known = next((one["truth"] for one in self._hard if one["text"] == text), {})
            self._last_id += 1
            self._sentences = [*self._sentences, {"id": self._last_id, "text": text, "truth": known}]
            self._hard = [one for one in self._hard if one["text"] != text]
            yield self._pinned()
            yield from self.look(must=True)

    def remove(self, number: int) -> Iterator[Event]:
        """Watch the sentence with that id no more."""
        self._sentences = [one for one in self._sentences if one["id"] != number]
        yield self._pinned()

    def look(self, hit_counts: Mapping[str, np.ndarray] | None = None, must: bool = False) -> Iterator[Event]:
        """Log what is said of the sentences now, if that is due or `must` be; after an evaluation, whose `hit_counts` are given, also which
        rows are hard."""
        start, seconds = time.perf_counter(), self._progress.seconds
        if seconds < self._next and not must:
            return
        if hit_counts and (hard := self._find_hard(hit_counts)) != self._hard:
            self._hard = hard
            yield self._pinned()
        if self._sentences:
            made = self._predict([one["text"] for one in self._sentences])
            answers = {one["id"]: [self._answer(task, one, of_text[task.name]) for task in self._tasks]
                       for one, of_text in zip(self._sentences, made, strict=True)}
            changed = {number: answer for number, answer in answers.items() if not _are_close(answer, self._said.get(number))}
            self._said |= changed
            yield Watched(self._progress.step, [[*pair] for pair in changed.items()])
        cost = time.perf_counter() - start
        self._spent += 0.0 if must else cost
        self._next = max(seconds + max(OFTEN, RARER * seconds), (self._spent + cost) / SHARE)  # the next one will take as long

    def _pinned(self) -> Pinned:
        return Pinned(self._progress.step, self._sentences, self._hard)

    def _choose(self) -> list[Row]:
        """A few rows of those drawn by the seed: with labels for most tasks, and quickly read."""
        rows = take(self._rows, sample_places(len(self._rows), LOOKED_AT, self._seed).tolist())
        rows.sort(key=lambda row: (-sum(bool(value.labels()) for value in row.values.values() if value is not None),
                                   len(row.text) not in COMFORTABLE))
        return list({row.text: row for row in rows if len(row.text) <= LONGEST_PINNED}.values())[:FIRST]

    def _find_hard(self, hit_counts: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
        """A few rows that are not pinned: first one that was right for a task at the evaluation before, then those wrong for most tasks."""
        right = np.stack([all_right([counts])[:, 0] for counts in hit_counts.values()], 1).astype(bool)  # (N, tasks)
        forgotten, before = np.zeros_like(right) if self._right is None else self._right & ~right, [one["text"] for one in self._sentences]
        self._right, found = right, {}
        for wrong, most, what in ((forgotten, 1, "got worse"), (~right, OFFERED, "wrong")):
            counts = wrong.sum(1)
            places = np.argsort(-counts, kind="stable")[:min(LOOKED_AT, np.count_nonzero(counts))].tolist()
            for place, row in zip(places, take(self._rows, places), strict=True):
                if len(found) < most and len(row.text) <= LONGEST_PINNED and row.text not in {*found, *before}:
                    tasks = [isolate(task) for task, is_wrong in zip(hit_counts, wrong[place], strict=True) if is_wrong]
                    found[row.text] = self._told(row) | {"why": f"{what}: {', '.join(tasks)}"}
        return list(found.values())

    def _told(self, row: Row) -> dict[str, Any]:
        truth = {name: value.plain() for name, value in row.values.items() if value is not None}
        return {"text": row.text, "truth": truth}

    def _answer(self, task: Task, sentence: dict[str, Any], made: Prediction) -> list[Any]:
        """The answer of one task, as Watched has it."""
        value, is_right = made.value, None
        if (plain := sentence["truth"].get(task.name)) is not None:
            is_right = VALUES[task.spec.kind].maker(task.spec.scale)(plain).agrees(value)
        words = value.labels() if value.marks_text else value.named(sentence["text"])
        sure = chain((round(one, 2) for one in made.confidences), repeat(None))  # of numbers it is not known
        return [is_right, *([one, share, *place] for one, share, place in zip(
            words, sure, chain(((span.start, span.end) for span in value.spans), repeat(())), strict=False))]


def _are_close(answers: list[Any], before: list[Any] | None) -> bool:
    """Whether all of a sentence's answers say the same as those `before`, nearly as surely."""
    def is_same(one: list[Any], other: list[Any]) -> bool:
        return [one[0], *one[2:]] == [other[0], *other[2:]] and (one[1] is None or abs(one[1] - other[1]) <= MOVED)

    return before is not None and all(
        one[0] == other[0] and len(one) == len(other) and all(map(is_same, one[1:], other[1:]))
        for one, other in zip(answers, before, strict=True))
