"""Rows as tests write them: with texts, tuples and lists where the program has values."""

from mtl.data import rows
from mtl.data.values import Label, Labels, Spans, Value
from mtl.data.words import Range


def value_of(plain):
    """A text as a Label, a tuple as Spans, a list as Labels; None and values as they are."""
    if plain is None or isinstance(plain, Value):
        return plain
    return Label(plain) if isinstance(plain, str) else Labels(plain) if isinstance(plain, list) else Spans(plain)


def Row(text: str, values: dict, words: tuple[Range, ...] | None = None) -> rows.Row:
    """The row with these values."""
    return rows.Row(text, {task: value_of(plain) for task, plain in values.items()}, words)
