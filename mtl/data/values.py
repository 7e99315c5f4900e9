"""Values: what a row can hold for a task. A value knows its labels, how it is stored and shown, so that other code never checks its type.
Values are a `str` or a `tuple` with methods: they print like plain ones, and must go on so, since `fingerprint` digests that."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Hashable, Iterable, Sequence
from types import ModuleType
from typing import Any, ClassVar

from mtl.data.words import Span


class Value:
    """What a row holds for one task; a row that is not labelled for it has None instead."""

    __slots__ = ()
    item: ClassVar[str] = "label"  # what is right or wrong one by one, in messages; and its plural
    items_name: ClassVar[str] = "labels"
    label_name: ClassVar[str] = "label"  # what a label is called above a table
    fewest_labels: ClassVar[int] = 1  # different labels that a task needs
    has_one_label: ClassVar[bool] = False  # whether every value has exactly one label, so that labels exclude each other
    marks_text: ClassVar[bool] = False  # whether it is shown in the text itself, and not beside it
    left_out: ClassVar[tuple[str, str]]  # where the labels that the user left out are counted, and what they count as
    spans: ClassVar[Sequence[Span]] = ()  # the entities, if it has any
    arrow: ClassVar[Callable[[ModuleType], Any]]  # the Arrow type of `plain`, made with pyarrow, which is given as a module

    def items(self) -> Sequence[Hashable]:
        """What is right or wrong one by one: each equals an item of another value if both mean the same."""
        return self.labels()

    @abstractmethod
    def labels(self) -> Sequence[str]:
        """The label of each item; one label may occur several times."""

    @abstractmethod
    def among(self, labels: frozenset[str]) -> Value | None:
        """This value with only the given labels; None if nothing is left to learn from."""

    def within(self, start: int, end: int) -> Value:
        """This value for the part of the text from `start` to `end`."""
        return self

    @abstractmethod
    def plain(self) -> Any:
        """The value in the types of JSON."""

    @classmethod
    def of_plain(cls, plain: Any) -> Value:
        """The value that `plain` was made from."""
        return cls(plain)

    def named(self, text: str) -> list[str]:
        """Each item in words, for people."""
        return list(self.labels())

    def key(self, text: str) -> str:
        """A key to find contradictions: equal for two values that agree, on texts that differ at most in case and blanks."""
        return "\0".join(self.labels())

    def shows_label(self, text: str, label: str) -> str:
        """The part of `text` that has `label`."""
        return text


class Label(Value, str):
    """One label of a text."""

    __slots__ = ()
    fewest_labels, has_one_label = 2, True
    left_out = "labelled rows", "rows that are not labelled for it"
    arrow = staticmethod(lambda pa: pa.string())

    def labels(self) -> Sequence[str]:
        return (str(self),)

    def among(self, labels: frozenset[str]) -> Label | None:
        """The label, or None: a row of another class is not labelled."""
        return self if self in labels else None

    def plain(self) -> str:
        return str(self)


class Labels(Value, tuple[str, ...]):
    """Any number of labels of a text, sorted, each once; none if it is empty."""

    __slots__ = ()
    left_out = "assigned labels", "absent, in training and in scores"
    arrow = staticmethod(lambda pa: pa.list_(pa.string()))

    def __new__(cls, labels: Iterable[str] = ()) -> Labels:
        return super().__new__(cls, sorted(set(labels)))  # so that equal sets make equal values

    def labels(self) -> Sequence[str]:
        return self

    def among(self, labels: frozenset[str]) -> Labels:
        return Labels(labels.intersection(self))

    def plain(self) -> list[str]:
        return list(self)


class Spans(Value, tuple[Span, ...]):
    """The entities of a text, in order and without overlap; none if it is empty."""

    __slots__ = ()
    item, items_name, label_name = "entity", "entities", "entity type"
    marks_text = True
    left_out = "entities", "no entities, in training and in scores"
    arrow = staticmethod(lambda pa: pa.list_(pa.struct({"start": pa.int32(), "end": pa.int32(), "label": pa.string()})))

    @property
    def spans(self) -> Sequence[Span]:
        return self

    def items(self) -> Sequence[Span]:
        """The entities: one is right if its characters and its label are."""
        return self

    def labels(self) -> Sequence[str]:
        return [span.label for span in self]

    def among(self, labels: frozenset[str]) -> Spans:
        return Spans(span for span in self if span.label in labels)

    def within(self, start: int, end: int) -> Spans:
        """The entities in that part of the text, cut at its edges."""
        return Spans(Span(max(span.start, start) - start, min(span.end, end) - start, span.label)
                     for span in self if span.start < end and span.end > start)

    def plain(self) -> list[dict[str, Any]]:
        return [{"start": span.start, "end": span.end, "label": span.label} for span in self]

    @classmethod
    def of_plain(cls, plain: Iterable[dict[str, Any]]) -> Spans:
        return cls(Span(**span) for span in plain)

    def named(self, text: str) -> list[str]:
        """'Rome = LOC' for each entity."""
        return [f"{text[span.start:span.end]} = {span.label}" for span in self]

    def key(self, text: str) -> str:
        """Start, end (in characters other than blanks) and type of each entity."""
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
            pieces += [(text[end:span.start], None), (text[span.start:span.end], span.label)]
            end = span.end
        return [piece for piece in [*pieces, (text[end:], None)] if piece[0]]


# The class of a task's values, by its kind; and the kind of task, by the role of the column that holds its labels
VALUES: dict[str, type[Value]] = {"classification": Label, "tagging": Spans, "multilabel": Labels}
KIND_OF_ROLE = {"class": "classification", "tags": "tagging", "spans": "tagging", "marked": "tagging",
                "labels": "multilabel", "in": "multilabel"}
