"""The one shape that all data takes: a row is a text plus one value per task. Splits are made here too. Knows no file format."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mtl.config import MAX_LABELS, ColumnSpec, TaskSpec
from mtl.data.store import Shape, pick
from mtl.data.words import Range, Span, find_words
from mtl.errors import MtlError
from mtl.text import isolate

MAX_DEV = 10_000  # rows that are kept aside to measure on; more would only make measuring slow
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
    """What the files of one split hold: their rows, the tasks found in it (without labels), and sentences about what was noticed."""

    rows: Sequence[Row]
    tasks: list[TaskSpec]
    notices: list[str] = field(default_factory=list)
    columns: tuple[ColumnSpec, ...] = ()  # what every column was taken for
    values: tuple[tuple[str, ...], ...] = ()  # and some values of each


@dataclass(frozen=True)
class Dataset:
    """Everything a run learns from and is measured on."""

    train: Sequence[Row]
    dev: Sequence[Row]
    test: Sequence[Row]
    tasks: list[TaskSpec]
    notices: list[str] = field(default_factory=list)


def row_shape(tasks: Sequence[TaskSpec]) -> Shape[Row]:
    """How rows with values for `tasks` lie in an Arrow file: the text, the words' edges, and a column per task."""
    def fields() -> Any:
        import pyarrow as pa

        span = pa.struct({"start": pa.int32(), "end": pa.int32(), "label": pa.string()})
        kinds = {"classification": pa.string(), "tagging": pa.list_(span)}
        values = {f"value {index}": kinds[task.kind] for index, task in enumerate(tasks)}
        return pa.schema({"text": pa.string(), "words": pa.list_(pa.int32())} | values)

    def pack(row: Row) -> dict[str, Any]:
        values = (row.values.get(task.name) for task in tasks)
        plain = [value if value is None or isinstance(value, str) else
                 [{"start": span.start, "end": span.end, "label": span.label} for span in value] for value in values]
        return {"text": row.text, "words": None if row.words is None else [edge for word in row.words for edge in word],
                **{f"value {index}": value for index, value in enumerate(plain)}}

    def unpack(stored: dict[str, Any]) -> Row:
        values = (stored[f"value {index}"] for index in range(len(tasks)))
        edges = stored["words"]
        return Row(stored["text"], {task.name: tuple(Span(**span) for span in value) if isinstance(value, list) else value
                                    for task, value in zip(tasks, values, strict=True)},
                   None if edges is None else tuple(zip(edges[::2], edges[1::2], strict=True)))

    return Shape(fields, pack, unpack)


def count_labels(rows: Iterable[Row], task: str) -> Counter[str]:
    """How often each label of `task` occurs in `rows` (for tagging: how many entities have it)."""
    return count_all(rows, [task])[task]


def count_all(rows: Iterable[Row], tasks: Sequence[str]) -> dict[str, Counter[str]]:
    """`count_labels` for several tasks in one pass."""
    counts: dict[str, Counter[str]] = {task: Counter() for task in tasks}
    for row in rows:
        for task, count in counts.items():
            value = row.values.get(task)
            if isinstance(value, str):
                count[value] += 1
            elif value:
                count.update([span.label for span in value])
    return counts


def learn_labels(counts: Counter[str], spec: TaskSpec, where: str) -> TaskSpec:
    """`spec` with the labels that were counted for it, sorted.

    Raises MtlError, naming the file `where`, if there are too few labels to learn from or too many to be classes.
    """
    labels = tuple(sorted(counts))
    if not labels:
        found = "no label" if spec.kind == "classification" else "no entity"
        raise MtlError(f"{where}: task '{isolate(spec.name)}' has {found} in any row. Label some rows, or leave the task out.")
    if spec.kind == "classification" and len(labels) == 1:
        raise MtlError(f"{where}: task '{isolate(spec.name)}' has one label, '{isolate(labels[0])}'; at least 2 are needed. "
                       "Add rows with another label, or leave the task out.")
    if len(labels) > MAX_LABELS:
        raise MtlError(f"{where}: task '{isolate(spec.name)}' has {len(labels):,} different labels, the limit is {MAX_LABELS}. "
                       "It looks like free text or a number; choose another column.")
    return spec.model_copy(update={"labels": labels})


def split_rows(rows: Sequence[Row], share: float, tasks: Sequence[TaskSpec], seed: int) -> tuple[Sequence[Row], Sequence[Row]]:
    """`rows` as (train, dev), with about `share` of them, but at most MAX_DEV, in dev.

    Stratified: every group of rows with the same classes and the same entity labels gives its share (largest remainder over the
    groups in a seeded order), so that dev looks like train. Order within each part is that of `rows`.
    """
    share = min(share, MAX_DEV / len(rows))
    numbers: dict[tuple, int] = {}
    groups = np.fromiter((numbers.setdefault(_stratum(row, tasks), len(numbers)) for row in rows), np.int32, len(rows))
    by_group = np.argsort(groups, kind="stable")
    members = dict(zip(numbers, np.split(by_group, np.cumsum(np.bincount(groups))[:-1]), strict=True))
    random = np.random.default_rng(seed)
    is_dev = np.zeros(len(rows), bool)
    owed = 0.0
    for key in sorted(members, key=repr):
        owed += share * len(members[key])
        take = min(int(owed + 1e-9), len(members[key]))
        is_dev[random.permutation(members[key])[:take]] = True
        owed -= take
    if not is_dev.any():
        is_dev[random.integers(len(rows))] = True
    return pick(rows, np.flatnonzero(~is_dev)), pick(rows, np.flatnonzero(is_dev))


def _stratum(row: Row, tasks: Sequence[TaskSpec]) -> tuple:
    values = (row.values.get(task.name) for task in tasks)
    return tuple(value if value is None or isinstance(value, str) else tuple(sorted({span.label for span in value})) for value in values)
