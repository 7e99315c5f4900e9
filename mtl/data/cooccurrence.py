"""Hints across heads: a label of one task and a label or entity type of another that never stand together in the training rows, though by
chance they would have. Predictions that put them together contradict each other. Knows values, whether gold or predicted, and no model."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mtl.data.formats.files import show
from mtl.data.rows import Row
from mtl.data.values import Value
from mtl.settings.config import TaskSpec

FALSE_ALARM = 0.01  # the most probable that any hint of a data set is, where its labels have nothing to do with each other
MAX_HINTS = 2_000  # that a checkpoint carries
MAX_TOLD = 10  # of one text
POOLED = 10_000  # different combinations of labels that are kept until they are counted together
SHORT = 60  # characters of a label or an entity that are shown


@dataclass(frozen=True, slots=True)
class Hint:
    """`label` of `task` and `other_label` of `other_task` were never seen together in the `rows` that are labelled for both tasks, where
    `expected` such rows would be usual if the two were independent."""

    task: str
    label: str
    other_task: str
    other_label: str
    rows: int
    expected: float


def find_hints(rows: Iterable[Row], specs: Sequence[TaskSpec], at_most: int = MAX_HINTS) -> tuple[Hint, ...]:
    """The hints in `rows`, passed over once: the surest `at_most`, surest first. An entity type counts once a row.

    Of n rows labelled for both tasks, n_a with one label and n_b with the other, none has both with a probability of at most
    (1 - n_a / n) ** n_b <= exp(-expected), expected = n_a * n_b / n, if the two are independent. Over all pairs tested, these
    probabilities may add up to FALSE_ALARM (Bonferroni).
    """
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
    """A sentence for each hint that the `values` of one text go against, the surest first and MAX_TOLD at most."""
    found: dict[tuple[str, str], str] = {}
    for task, value in values.items():
        for label in dict.fromkeys(value.labels() if value is not None else ()):
            words = " ".join(value.shows_label(text, label).split())
            found[task, label] = (f"entity '{show(label, SHORT)}' (\"{show(words, SHORT)}\")" if value.marks_text else
                                  f"{task} '{show(label, SHORT)}'")
    told = [f"{found[hint.task, hint.label]} and {found[hint.other_task, hint.other_label]} never stand together in the {hint.rows:,} "
            "training rows labelled for both: one of them is probably wrong."
            for hint in hints if (hint.task, hint.label) in found and (hint.other_task, hint.other_label) in found]
    return tuple(told[:MAX_TOLD])


def _count_together(rows: Iterable[Row], specs: Sequence[TaskSpec]) -> np.ndarray:
    """How many rows have this and that: (T + L, T + L), where 'labelled for the task' stands first, for each task, then every label."""
    numbers: list[dict[str, int]] = []
    size = len(specs)
    for spec in specs:
        numbers.append({label: size + index for index, label in enumerate(spec.labels)})
        size += len(spec.labels)
    counts = np.zeros((size, size), np.int64)
    pool: Counter[tuple[int, ...]] = Counter()  # most rows are like many others
    for row in rows:
        pool[_marks(row, specs, numbers)] += 1
        if len(pool) == POOLED:
            _add(pool, counts)
    _add(pool, counts)
    return counts


def _marks(row: Row, specs: Sequence[TaskSpec], numbers: Sequence[dict[str, int]]) -> tuple[int, ...]:
    """The places in the table of counts that hold for `row`."""
    marks: list[int] = []
    for place, (spec, number) in enumerate(zip(specs, numbers, strict=True)):
        value = row.values.get(spec.name)
        if value is not None:
            marks += [place, *sorted(number[label] for label in set(value.labels()) if label in number)]
    return tuple(marks)


def _add(pool: Counter[tuple[int, ...]], counts: np.ndarray) -> None:
    """Count the rows of `pool`, and empty it."""
    for marks, times in pool.items():
        counts[np.ix_(marks, marks)] += times
    pool.clear()
