"""The one shape that all data takes: a row is a text plus one value per task. Splits are made here too. Knows no file format."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from mtl.config import MAX_LABELS, TaskSpec
from mtl.data.words import Range, Span, find_words
from mtl.errors import MtlError

Value = str | tuple[Span, ...] | None  # a label, an entity list, or: not labelled for this task


@dataclass(frozen=True, slots=True)
class Row:
    """A text and its value for each task; `words` are the character ranges of the file's own tokens, if it had any."""

    text: str
    values: dict[str, Value]
    words: tuple[Range, ...] | None = None

    def word_ranges(self) -> Sequence[Range]:
        """The words that tagging works on: the file's own, or found in the text."""
        return find_words(self.text) if self.words is None else self.words


@dataclass(frozen=True)
class Table:
    """What one file holds: its rows, the tasks found in it (without labels), and sentences about what was noticed."""

    rows: list[Row]
    tasks: list[TaskSpec]
    notices: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Dataset:
    """Everything a run learns from and is measured on."""

    train: list[Row]
    dev: list[Row]
    test: list[Row]
    tasks: list[TaskSpec]
    notices: list[str] = field(default_factory=list)


def count_labels(rows: Sequence[Row], task: str) -> Counter[str]:
    """How often each label of `task` occurs in `rows` (for tagging: how many entities have it)."""
    counts: Counter[str] = Counter()
    for row in rows:
        value = row.values.get(task)
        if isinstance(value, str):
            counts[value] += 1
        elif value is not None:
            counts.update(span.label for span in value)
    return counts


def learn_labels(rows: Sequence[Row], spec: TaskSpec, where: str) -> TaskSpec:
    """`spec` with the labels that `rows` have for it, sorted.

    Raises MtlError, naming the file `where`, if there are too few labels to learn from or too many to be classes.
    """
    labels = tuple(sorted(count_labels(rows, spec.name)))
    if not labels:
        found = "no label" if spec.kind == "classification" else "no entity"
        raise MtlError(f"{where}: task '{spec.name}' has {found} in any row. Label some rows, or leave the task out.")
    if spec.kind == "classification" and len(labels) == 1:
        raise MtlError(f"{where}: task '{spec.name}' has one label, '{labels[0]}'; at least 2 are needed. Add rows with another label, "
                       "or leave the task out.")
    if len(labels) > MAX_LABELS:
        raise MtlError(f"{where}: task '{spec.name}' has {len(labels)} different labels, the limit is {MAX_LABELS}. "
                       "It looks like free text or a number; choose another column.")
    return spec.model_copy(update={"labels": labels})


def split_rows(rows: Sequence[Row], share: float, tasks: Sequence[TaskSpec], seed: int) -> tuple[list[Row], list[Row]]:
    """`rows` as (train, dev), with about `share` of them in dev.

    Stratified: every group of rows with the same classes and the same entity labels gives its share (largest remainder over the
    groups in a seeded order), so that dev looks like train. Order within each part is that of `rows`.
    """
    groups: dict[tuple, list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(_stratum(row, tasks), []).append(index)
    shuffled = random.Random(seed)
    dev: set[int] = set()
    owed = 0.0
    for key in sorted(groups, key=repr):
        members = groups[key]
        shuffled.shuffle(members)
        owed += share * len(members)
        take = min(int(owed + 1e-9), len(members))
        dev.update(members[:take])
        owed -= take
    if not dev:
        dev = {shuffled.randrange(len(rows))}
    return [row for index, row in enumerate(rows) if index not in dev], [rows[index] for index in sorted(dev)]


def _stratum(row: Row, tasks: Sequence[TaskSpec]) -> tuple:
    values = (row.values.get(task.name) for task in tasks)
    return tuple(value if value is None or isinstance(value, str) else tuple(sorted({span.label for span in value})) for value in values)
