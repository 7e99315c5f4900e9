"""Values: what a row can hold for a task. A value knows its labels, how it is stored and shown, so that other code never checks its type.
Values are a `str`, a `tuple` or a `float` with methods: they print like plain ones, and must go on so, since `fingerprint` digests that."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any, ClassVar

from mtl.data.words import Span
from mtl.settings.config import Scale


class Value:
    """What a row holds for one task; a row that is not labelled for it has None instead."""

    __slots__ = ()
    item: ClassVar[str] = "label"  # what is right or wrong one by one, in messages; and its plural
    items_name: ClassVar[str] = "labels"
    label_name: ClassVar[str] = "label"  # what a label is called above a table
    fewest_labels: ClassVar[int] = 1  # different labels that a task needs
    has_labels: ClassVar[bool] = True  # whether a task has labels to learn, and not the scale of its numbers
    has_one_label: ClassVar[bool] = False  # whether every value has exactly one label, so that labels exclude each other
    marks_text: ClassVar[bool] = False  # whether it is shown in the text itself, and not beside it
    left_out: ClassVar[tuple[str, str]]  # where the labels that the user left out are counted, and what they count as
    sorts: ClassVar[tuple[str, ...]] = ()  # what `compared` can find of an item; empty: it finds the label that was predicted instead
    spans: ClassVar[Sequence[Span]] = ()  # the entities, if it has any
    arrow: ClassVar[Callable[[ModuleType], Any]]  # the Arrow type of `plain`, made with pyarrow, which is given as a module

    def items(self) -> Sequence[Hashable]:
        """What is right or wrong one by one: each equals an item of another value if both mean the same."""
        return self.labels()

    @abstractmethod
    def labels(self) -> Sequence[str]:
        """The label of each item; one label may occur several times."""

    @abstractmethod
    def compared(self, made: Value) -> Iterator[tuple[str, str]]:
        """A label, and what became of it, for each item of this true value or of the predicted one `made`: one of `sorts`."""

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

    @classmethod
    def maker(cls, scale: Scale | None) -> Callable[[Any], Value]:
        """What makes values of a task with this `scale` from plain ones."""
        return cls.of_plain

    @staticmethod
    def order(label: str) -> Any:
        """What labels are sorted by."""
        return label

    def agrees(self, made: Value) -> bool:
        """Whether the predicted value `made` is right."""
        return self == made

    def distance(self, made: Value) -> float:
        """How far off the predicted value `made` is, where that can be said."""
        return 0.0

    def named(self, text: str) -> list[str]:
        """Each item in words, for people."""
        return list(self.labels())

    def key(self, text: str) -> str:
        """A key to find contradictions: equal for two values that agree, on texts that differ at most in case and blanks."""
        return "\0".join(self.named(text))

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

    def compared(self, made: Value) -> Iterator[tuple[str, str]]:
        """The true label and the predicted one."""
        yield str(self), str(made)

    def among(self, labels: frozenset[str]) -> Label | None:
        """The label, or None: a row of another class is not labelled."""
        return self if self in labels else None

    def plain(self) -> str:
        return str(self)


class Labels(Value, tuple[str, ...]):
    """Any number of labels of a text, sorted, each once; none if it is empty."""

    __slots__ = ()
    sorts = "right", "missed", "invented"
    left_out = "assigned labels", "absent, in training and in scores"
    arrow = staticmethod(lambda pa: pa.list_(pa.string()))

    def __new__(cls, labels: Iterable[str] = ()) -> Labels:
        return super().__new__(cls, sorted(set(labels)))  # so that equal sets make equal values

    def labels(self) -> Sequence[str]:
        return self

    def compared(self, made: Labels) -> Iterator[tuple[str, str]]:
        """Each label of either: in both (right), only true (missed), or only predicted (invented)."""
        for label in sorted({*self, *made}):
            yield label, "missed" if label not in made else "right" if label in self else "invented"

    def among(self, labels: frozenset[str]) -> Labels:
        return Labels(labels.intersection(self))

    def plain(self) -> list[str]:
        return list(self)


# In standard deviations of the training rows: how far a number may be from one that is as good, how far it is out of the way, and how
# little computing the same number in another batch changes it
NEAR, FAR, SAME = 0.5, 5, 1e-4
FITS = ("right", "wrong_type", "wrong_boundary", "wrong_both")  # the best first: a better pair is never broken up for a worse one


def _fit(gold: Span, made: Span) -> str:
    """One of FITS, or '' if the two do not overlap."""
    if (gold.start, gold.end) == (made.start, made.end):
        return "right" if gold.label == made.label else "wrong_type"
    overlap = gold.start < made.end and made.start < gold.end
    return "" if not overlap else "wrong_boundary" if gold.label == made.label else "wrong_both"


class Spans(Value, tuple[Span, ...]):
    """The entities of a text, in order and without overlap; none if it is empty."""

    __slots__ = ()
    item, items_name, label_name = "entity", "entities", "entity type"
    marks_text = True
    sorts = *FITS, "missed", "invented"
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

    def compared(self, made: Spans) -> Iterator[tuple[str, str]]:
        """The label of each entity, the true one if it has a partner, and its sort. Each true entity is paired with at most one predicted
        one: first on the same characters (right, or wrong type), then where they overlap and have the same label (wrong boundary), then
        where they overlap (wrong both). True ones left over are missed (one of two that a long one covers), predicted ones invented."""
        golds, guesses = list(self), list(made)
        for sort in FITS:
            for span in tuple(golds):
                partner = next((guess for guess in guesses if _fit(span, guess) == sort), None)
                if partner is not None:
                    golds.remove(span)
                    guesses.remove(partner)
                    yield span.label, sort
        yield from [(span.label, "missed") for span in golds] + [(span.label, "invented") for span in guesses]

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


class Number(Value, float):
    """A number. Once the `scale` of its task is known, numbers are counted by the round number that they are about, as if that were their
    label; and a predicted one is right within NEAR standard deviations."""

    __slots__ = ("scale",)
    item, items_name, label_name = "number", "numbers (right: within half a standard deviation)", "value"
    fewest_labels, has_labels = 0, False
    sorts = "right", "too_low", "too_high"
    arrow = staticmethod(lambda pa: pa.float64())

    def __new__(cls, number: float, scale: Scale | None = None) -> Number:
        made = super().__new__(cls, number)
        made.scale = scale
        return made

    @classmethod
    def maker(cls, scale: Scale | None) -> Callable[[Any], Value]:
        return lambda plain: cls(plain, scale)

    def items(self) -> Sequence[Hashable]:
        return ()

    def labels(self) -> Sequence[str]:
        """'about 20', for numbers from 15 to 25 that scatter by some tens; those beyond FAR standard deviations are counted together."""
        if self.scale is None:
            return ()
        mean, step = self.scale.mean, _round_step(self.scale.deviation)
        low, high = (math.floor((mean + side * FAR * self.scale.deviation) / step) for side in (-1, 1))
        return (f"about {step * min(max(math.floor(round(self / step + 0.5, 9)), low), high):.6g}",)

    @staticmethod
    def order(label: str) -> float:
        return float(label.removeprefix("about "))

    def compared(self, made: Value) -> Iterator[tuple[str, str]]:
        """What this number is about, and whether `made` is near, too low or too high."""
        for label in self.labels():
            yield label, "right" if self.agrees(made) else "too_low" if made < self else "too_high"

    def agrees(self, made: Value) -> bool:
        return self.distance(made) <= (NEAR * self.scale.deviation if self.scale else 0.0)

    def distance(self, made: Value) -> float:
        return abs(float(self) - float(made))

    def among(self, labels: frozenset[str]) -> Number:
        return self

    def plain(self) -> float:
        return float(self)

    def named(self, text: str) -> list[str]:
        """The number, with as many decimals as matter where it is known how far numbers scatter."""
        decimals = max(0, 2 - math.floor(math.log10(self.scale.deviation))) if self.scale else 9
        return [f"{round(float(self), decimals):.12g}"]


def _round_step(deviation: float) -> float:
    """The largest of 1, 2, 5, 10, 20 ... (or 0.5, 0.2 ...) that is not above `deviation`."""
    power = 10.0 ** math.floor(math.log10(deviation))
    return power * (5 if 5 * power <= deviation else 2 if 2 * power <= deviation else 1)


# The class of a task's values, by its kind; and the kind of task, by the role of the column that holds its labels
VALUES: dict[str, type[Value]] = {"classification": Label, "tagging": Spans, "multilabel": Labels, "number": Number}
KIND_OF_ROLE = {"class": "classification", "tags": "tagging", "spans": "tagging", "marked": "tagging",
                "labels": "multilabel", "in": "multilabel", "number": "number"}
