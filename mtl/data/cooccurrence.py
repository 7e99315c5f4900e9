"""Hints across heads: pairs of labels of two tasks that never occur together in the training rows, although by chance they would have."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from mtl.data.formats.files import show
from mtl.data.rows import Row
from mtl.data.values import Value
from mtl.settings.config import TaskSpec

FALSE_ALARM = 0.01  # probability of any hint in a data set whose labels are independent of each other
MAX_HINTS = 2_000  # in a checkpoint
MAX_SHOWN = 10  # contradictions of one text
POOLED = 100_000  # rows that are grouped by their labels before they are added to the table
SHORT = 60  # characters of a label or an entity that are shown


@dataclass(frozen=True, slots=True)
class Hint:
    """`label` and `other_label` never occur together in the `rows` labelled for both tasks; if independent, `expected` would have both."""

    task: str
    label: str
    other_task: str
    other_label: str
    rows: int
    expected: float


def find_hints(rows: Iterable[Row], specs: Sequence[TaskSpec], at_most: int = MAX_HINTS) -> tuple[Hint, ...]:
    """The hints in `rows` after one pass: the `at_most` surest, surest first. An entity type counts once per row.

    Of n rows labelled for both tasks, n_a with one label and n_b with the other, none has both with a probability of at most
    (1 - n_a / n) ** n_b <= exp(-expected), expected = n_a * n_b / n, if the two are independent. Over all pairs tested, these
    probabilities may add up to FALSE_ALARM (Bonferroni)."""
    if len(specs) < 2:
        return ()
    names = [(place, label) for place, spec in enumerate(specs) for label in spec.labels]
    task = np.array([place for place, _ in names], int)  # (L): whose label it is
    counts = _count_together(rows, specs)
    both = counts[:len(specs), :len(specs)][task][:, task]  # (L, L): rows labelled for both tasks
    ours = counts[len(specs):, :len(specs)][:, task]  # (L, L): of these, rows with the first label
    expected = ours * ours.T / np.maximum(both, 1)
    tested = (task[:, None] < task) & (expected > 0)
    wanted = math.log(max(1, np.count_nonzero(tested)) / FALSE_ALARM)
    pairs = np.argwhere(tested & (expected >= wanted) & (counts[len(specs):, len(specs):] == 0))
    surest = np.argsort(-expected[tuple(pairs.T)], kind="stable")[:at_most]
    return tuple(Hint(specs[task[one]].name, names[one][1], specs[task[other]].name, names[other][1], int(both[one, other]),
                      round(float(expected[one, other]), 1)) for one, other in pairs[surest].tolist())


def contradictions(hints: Iterable[Hint], text: str, values: Mapping[str, Value]) -> tuple[str, ...]:
    """A sentence for each hint that the `values` of one text contradict, the surest first, MAX_SHOWN at most."""
    found: dict[tuple[str, str], str] = {}
    for task, value in values.items():
        for label in dict.fromkeys(value.labels() if value is not None else ()):
            words = " ".join(value.shows_label(text, label).split())
            found[task, label] = (f"entity '{show(label, SHORT)}' (\"{show(words, SHORT)}\")" if value.marks_text else
                                  f"{task} '{show(label, SHORT)}'")
    sentences = [f"{found[hint.task, hint.label]} and {found[hint.other_task, hint.other_label]} never stand together in the {hint.rows:,} "
                 "training rows labelled for both: one of them is probably wrong."
                 for hint in hints if (hint.task, hint.label) in found and (hint.other_task, hint.other_label) in found]
    return tuple(sentences[:MAX_SHOWN])


def _count_together(rows: Iterable[Row], specs: Sequence[TaskSpec]) -> np.ndarray:
    """How many rows have both of two traits (T + L, T + L): first, for each task, being labelled for it, then every label of every task."""
    numbers = {label: number for number, label in enumerate([(spec.name, label) for spec in specs for label in spec.labels], len(specs))}
    counts = np.zeros((len(specs) + len(numbers),) * 2, np.int64)

    def traits_of(row: Row) -> tuple[int, ...]:
        traits: list[int] = []
        for place, spec in enumerate(specs):
            if (value := row.values.get(spec.name)) is not None:
                traits += [place, *sorted({numbers.get((spec.name, label)) for label in value.labels()} - {None})]
        return tuple(traits)

    rows = iter(rows)
    while pool := Counter(map(traits_of, islice(rows, POOLED))):  # most rows have the traits of many others
        for traits, times in pool.items():
            counts[np.ix_(traits, traits)] += times
    return counts
