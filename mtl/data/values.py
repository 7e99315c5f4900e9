"""Values: what a row can hold for a task. A value says which labels it uses, how it is stored, and how it is shown, so that nothing else
asks for its type. Knows no file format, no model and no page.

A label is a `str` and entities are a `tuple`, with methods: they compare, hash, pickle and print as plain ones do. Digests of rows (see
`fingerprint`) are made of what they print.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from mtl.data.words import Span

if TYPE_CHECKING:  # it takes a moment to import, and few data are so large
    import pyarrow


class Value:
    """What a row holds for one task; a row that is not labelled for it has None instead."""

    __slots__ = ()
    item: ClassVar[str]  # what is right or wrong one by one, in messages; and several of them
    items_name: ClassVar[str]
    label_name: ClassVar[str] = "label"  # what a label is called over a table
    fewest_labels: ClassVar[int] = 1  # different labels that a task needs
    has_one_label: ClassVar[bool] = False  # whether every value has exactly one label, so that labels exclude each other
    marks_text: ClassVar[bool] = False  # whether it is shown in the text itself, and not beside it
    left_out: ClassVar[tuple[str, str]]  # what labels that the user left out are counted in, and what they count as
    spans: ClassVar[Sequence[Span]] = ()  # the entities, if it has any

    @abstractmethod
    def items(self) -> Sequence[Hashable]:
        """What can be right or wrong one by one: each is equal to that of another value if both say the same."""

    @abstractmethod
    def labels(self) -> Sequence[str]:
        """The label of each item; one label may stand there several times."""

    @abstractmethod
    def among(self, labels: frozenset[str]) -> Value | None:
        """This value as far as its labels are among `labels`."""

    def within(self, start: int, end: int) -> Value:
        """This value for the part of the text from `start` to `end`."""
        return self

    @abstractmethod
    def plain(self) -> Any:
        """As JSON and Arrow hold it."""

    @classmethod
    @abstractmethod
    def of_plain(cls, plain: Any) -> Value:
        """The value that `plain` was made from."""

    @staticmethod
    @abstractmethod
    def arrow() -> pyarrow.DataType:
        """The Arrow type of `plain`."""

    def named(self, text: str) -> list[str]:
        """Each item in words, for people."""
        return list(self.labels())

    def key(self, text: str) -> str:
        """Equal for two values that do not contradict each other on texts that are equal but for case and blanks."""
        return "\0".join(self.labels())

    def shows_label(self, text: str, label: str) -> str:
        """The part of `text` that has `label`."""
        return text


class Label(Value, str):
    """One label of a text."""

    __slots__ = ()
    item, items_name = "label", "labels"
    fewest_labels, has_one_label = 2, True
    left_out = "labelled rows", "rows that are not labelled for it"

    def items(self) -> Sequence[str]:
        """The label."""
        return self.labels()

    def labels(self) -> Sequence[str]:
        """The label."""
        return (str(self),)

    def among(self, labels: frozenset[str]) -> Label | None:
        """The label, or None: a row of another class is not labelled."""
        return self if self in labels else None

    def plain(self) -> str:
        """The label as text."""
        return str(self)

    @classmethod
    def of_plain(cls, plain: str) -> Label:
        """The label that `plain` is."""
        return cls(plain)

    @staticmethod
    def arrow() -> pyarrow.DataType:
        """A string."""
        import pyarrow as pa

        return pa.string()


class Spans(Value, tuple[Span, ...]):
    """The entities of a text, in order and without overlap; none if it is empty."""

    __slots__ = ()
    item, items_name, label_name = "entity", "entities", "entity type"
    marks_text = True
    left_out = "entities", "no entities, in training and in scores"

    @property
    def spans(self) -> Sequence[Span]:
        """The entities."""
        return self

    def items(self) -> Sequence[Span]:
        """The entities: one is right if its characters and its label are."""
        return self

    def labels(self) -> Sequence[str]:
        """The type of each entity."""
        return [span.label for span in self]

    def among(self, labels: frozenset[str]) -> Spans:
        """Only the entities of these types: one of another type is none."""
        return Spans(span for span in self if span.label in labels)

    def within(self, start: int, end: int) -> Spans:
        """The entities that lie in that part, cut at its edges."""
        return Spans(Span(max(span.start, start) - start, min(span.end, end) - start, span.label)
                     for span in self if span.start < end and span.end > start)

    def plain(self) -> list[dict[str, Any]]:
        """A list of objects with start, end and label."""
        return [{"start": span.start, "end": span.end, "label": span.label} for span in self]

    @classmethod
    def of_plain(cls, plain: Iterable[dict[str, Any]]) -> Spans:
        """The entities that `plain` lists."""
        return cls(Span(**span) for span in plain)

    @staticmethod
    def arrow() -> pyarrow.DataType:
        """A list of structs."""
        import pyarrow as pa

        return pa.list_(pa.struct({"start": pa.int32(), "end": pa.int32(), "label": pa.string()}))

    def named(self, text: str) -> list[str]:
        """'Rome = LOC' for each entity."""
        return [f"{text[span.start:span.end]} = {span.label}" for span in self]

    def key(self, text: str) -> str:
        """Places are counted in characters without blanks."""
        marks, length, at = [], 0, 0
        for span in sorted(self):
            for edge in (span.start, span.end):
                length, at = length + len("".join(text[at:edge].casefold().split())), edge
                marks.append(str(length))
            marks.append(span.label)
        return "\0".join(marks)

    def shows_label(self, text: str, label: str) -> str:
        """The first entity with `label`."""
        return next(text[span.start:span.end] for span in self if span.label == label)

    def pieces(self, text: str) -> list[tuple[str, str | None]]:
        """`text` in pieces, each with its label or None; joined, the pieces are the text."""
        pieces: list[tuple[str, str | None]] = []
        end = 0
        for span in self:
            if end < span.start:
                pieces.append((text[end:span.start], None))
            pieces.append((text[span.start:span.end], span.label))
            end = span.end
        return pieces + [(text[end:], None)] if end < len(text) else pieces


class Labels(Value, tuple[str, ...]):
    """Any number of labels of a text, sorted, each once; none if it is empty."""

    __slots__ = ()
    item, items_name = "label", "labels"
    left_out = "assigned labels", "absent, in training and in scores"

    def __new__(cls, labels: Iterable[str] = ()) -> Labels:
        """The labels in the one order in which equal sets are equal."""
        return super().__new__(cls, sorted(set(labels)))

    def items(self) -> Sequence[str]:
        """The labels."""
        return self

    def labels(self) -> Sequence[str]:
        """The labels."""
        return self

    def among(self, labels: frozenset[str]) -> Labels:
        """Only these of the labels."""
        return Labels(label for label in self if label in labels)

    def plain(self) -> list[str]:
        """A list of the labels."""
        return list(self)

    @classmethod
    def of_plain(cls, plain: Iterable[str]) -> Labels:
        """The labels in the list."""
        return cls(plain)

    @staticmethod
    def arrow() -> pyarrow.DataType:
        """A list of strings."""
        import pyarrow as pa

        return pa.list_(pa.string())


# What a task of each kind has for a value, and the kind of task that a column with a role is
VALUES: dict[str, type[Value]] = {"classification": Label, "tagging": Spans, "multilabel": Labels}
KIND_OF_ROLE = {"class": "classification", "tags": "tagging", "spans": "tagging", "marked": "tagging",
                "labels": "multilabel", "in": "multilabel"}
