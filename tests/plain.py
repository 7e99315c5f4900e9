"""Rows as tests write them: with texts, tuples and lists where the program has values; and tags in any scheme."""

from collections.abc import Sequence

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


def from_bio(tags: Sequence[str], scheme: str) -> list[str]:
    """Valid BIO tags written in `scheme`: what `to_spans` reads, except that bare types join neighbours of one type."""
    written = []
    for index, tag in enumerate(tags):
        prefix, _, label = tag.partition("-")
        last = index + 1 == len(tags) or tags[index + 1] != f"I-{label}"
        if not label or scheme == "IOB2":
            written.append(tag)
        elif scheme == "bare":
            written.append(label)
        elif scheme == "IOB1":
            needed = prefix == "B" and index > 0 and tags[index - 1][1:] == tag[1:]
            written.append(("B-" if needed else "I-") + label)
        else:
            single, end = ("S-", "E-") if scheme == "BIOES" else ("U-", "L-")
            written.append({("B", True): single, ("B", False): "B-", ("I", True): end, ("I", False): "I-"}[prefix, last] + label)
    return written
