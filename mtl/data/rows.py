"""The one shape that all data takes: a row is a text plus one value per task. Knows no file format."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mtl.data.questions import Question
from mtl.data.store import Shape, Stored
from mtl.data.values import VALUES, Value
from mtl.data.words import Range, are_edges, find_words
from mtl.errors import MtlError
from mtl.settings.config import MAX_LABELS, ColumnSpec, Scale, TaskSpec
from mtl.text import isolate


@dataclass(frozen=True, slots=True)
class Row:
    """A text and its values, with spans on edges of `find_words`. `words`: the file's own tokens, kept only to write them again."""

    text: str
    values: dict[str, Value | None]
    words: tuple[Range, ...] | None = None

    def word_ranges(self) -> Sequence[Range]:
        """The words to write into a file of tokens: those of the file it was read from, or of `find_words`."""
        return find_words(self.text) if self.words is None else self.words


def fitting(words: Sequence[Range] | None, values: Mapping[str, Value | None]) -> tuple[Range, ...] | None:
    """`words`, or None if an entity of `values` does not begin and end on their edges: it could not be written as tags of them."""
    fits = words is not None and all(are_edges(words, value.spans) for value in values.values() if value and value.spans)
    return tuple(words) if fits else None


@dataclass(frozen=True)
class Table:
    """The files of one split: their rows, the tasks found in them (without labels), and notices for the user."""

    rows: Sequence[Row]
    tasks: list[TaskSpec]
    notices: list[str] = field(default_factory=list)
    columns: tuple[ColumnSpec, ...] = ()  # the role of every column
    values: tuple[tuple[str, ...], ...] = ()  # and a few values of each
    questions: tuple[Question, ...] = ()  # where a file may be read in two ways


@dataclass(frozen=True)
class Dataset:
    """The rows that a run is trained, validated and tested on, and its tasks."""

    train: Sequence[Row]
    validation: Sequence[Row]
    test: Sequence[Row]
    tasks: list[TaskSpec]
    notices: list[str] = field(default_factory=list)
    fingerprint: str = ""  # a digest of rows and tasks, where it is known


def row_shape(tasks: Sequence[TaskSpec]) -> Shape[Row]:
    """How rows are stored: the text, the words' edges, and a column named after each of `tasks`, so that only the tasks in use are read."""
    types = {task.name: VALUES[task.kind] for task in tasks}
    makers = {task.name: types[task.name].maker(task.scale) for task in tasks}

    def fields() -> Any:
        import pyarrow as pa

        return pa.schema({"text": pa.string(), "words": pa.list_(pa.int32()), **{f"value {name}": types[name].arrow(pa) for name in types}})

    def pack(row: Row) -> dict[str, Any]:
        values = {f"value {name}": None if (value := row.values.get(name)) is None else value.plain() for name in types}
        return {"text": row.text, "words": None if row.words is None else [edge for word in row.words for edge in word], **values}

    def unpack(stored: dict[str, Any]) -> Row:
        edges = stored["words"]
        plain = {name: stored.get(f"value {name}") for name in types}
        values = {name: None if plain[name] is None else make(plain[name]) for name, make in makers.items()}
        return Row(stored["text"], values, None if edges is None else tuple(zip(edges[::2], edges[1::2], strict=True)))

    return Shape(fields, pack, unpack)


def tasks_of_rows(found: Sequence[TaskSpec], wanted: Sequence[str]) -> list[TaskSpec]:
    """The tasks that rows have values for: those `found` that are `wanted` (none: all), and wanted ones that a validation file may lack."""
    return [task for task in found if task.name in wanted or not wanted] + [
        TaskSpec(name=name, kind="classification") for name in wanted if name not in [task.name for task in found]]


def narrow(rows: Sequence[Row], tasks: Sequence[TaskSpec]) -> Sequence[Row]:
    """`rows` with only their values for `tasks`, on the scales of these; None for a task that they lack."""
    shape = row_shape(tasks)
    if isinstance(rows, Stored):
        return rows.view(shape)
    if any(task.scale for task in tasks):
        return [shape.unpack(shape.pack(row)) for row in rows]
    return [Row(row.text, {task.name: row.values.get(task.name) for task in tasks}, row.words) for row in rows]


def count_all(rows: Iterable[Row], tasks: Sequence[str]) -> dict[str, Counter[str]]:
    """How often each label of each task occurs in `rows` (for tagging: how many entities have it), in one pass."""
    counts: dict[str, Counter[str]] = {task: Counter() for task in tasks}
    for row in rows:
        for task, count in counts.items():
            if (value := row.values.get(task)) is not None:
                count.update(value.labels())
    return counts


def learn_scale(rows: Iterable[Row], spec: TaskSpec, where: str) -> TaskSpec:
    """`spec` with the scale of its numbers in `rows`. Raises MtlError, naming the file `where`, if there are no two different ones."""
    numbers = np.array([value for row in rows if (value := row.values.get(spec.name)) is not None], np.float64)
    if len(np.unique(numbers)) < 2:
        raise MtlError(f"{where}: task '{isolate(spec.name)}' needs at least 2 different numbers in the rows to learn from, it has "
                       f"{len(np.unique(numbers))}. Add rows with others, or leave the task out.")
    scale = Scale(*map(float, (numbers.mean(), numbers.std(), numbers.min(), numbers.max())))
    return spec.model_copy(update={"scale": scale})


def learn_labels(counts: Counter[str], spec: TaskSpec, where: str) -> TaskSpec:
    """`spec` with the labels counted for it, sorted. Raises MtlError, naming the file `where`, if they are too few or too many to learn."""
    labels, value = tuple(sorted(counts)), VALUES[spec.kind]
    if not labels:
        raise MtlError(f"{where}: task '{isolate(spec.name)}' has no {value.item} in any row. Label some rows, or leave the task out.")
    if len(labels) < value.fewest_labels:
        raise MtlError(f"{where}: task '{isolate(spec.name)}' has one label, '{isolate(labels[0])}'; at least 2 are needed. "
                       "Add rows with another label, or leave the task out.")
    if len(labels) > MAX_LABELS:
        raise MtlError(f"{where}: task '{isolate(spec.name)}' has {len(labels):,} different labels, the limit is {MAX_LABELS:,}. "
                       "It looks like free text or a number; choose another column.")
    return spec.model_copy(update={"labels": labels})
