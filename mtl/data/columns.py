"""The columns of a file, and what one pass finds in each. Makes no rows."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from mtl.data.formats.files import KINDS, NAMES, Record, Source, check_names, show
from mtl.data.formats.marked import find_syntax
from mtl.data.formats.schemes import TagSurvey, are_tags, find_language, split_tags
from mtl.data.formats.tables import as_list, is_list_without_quotes
from mtl.data.words import split_at_blanks
from mtl.errors import MtlError
from mtl.settings.config import MAX_LABELS
from mtl.text import cut

TEXT_NAMES, TOKEN_NAMES, GENERIC, IDS = (NAMES[kind] for kind in ("text", "tokens", "generic", "ids"))
ALIASES: list[list[str]] = NAMES["entity"]  # of an entity's start, end and label
MISSING = set(NAMES["missing"])  # what programs write into a cell that has no value
NO_VALUES = {"None", "NA"}  # Python's word for that and R's, which may also be labels
TEXT_ROLES = ("text", "tokens", "marked")
_WHOLE = re.compile(r"[+-]?\d+(\.0)?")
COUNTED = MAX_LABELS + 50  # different values of a column that are counted


@dataclass
class Column:
    """A column of a file: what one pass found in it, and what it is for."""

    name: str
    kind: str = "null"
    written: bool = True  # a column of lists: they were written into cells as text
    filled: int = 0  # rows with a value
    length: int = 0  # characters of all values
    values: Counter = field(default_factory=Counter)  # the first COUNTED different ones
    is_open: bool = False  # whether there are more different ones
    fractions: bool = False
    whole: bool = True  # all its values are whole numbers
    pointed: bool = False  # some numbers are written like 1.0
    missing: frozenset[str] = frozenset()  # the texts in it that stand for no value
    types: set[str] = field(default_factory=set)  # of the entities in its lists of spans
    lists: set[str] = field(default_factory=set)  # what its lists hold: texts, numbers, spans, objects, other
    singles: bool = True  # every list holds one text at most
    matches: dict[str, int] = field(default_factory=dict)  # for each other column, the rows whose list is as long as its words are many
    survey: TagSurvey = field(default_factory=TagSurvey)
    language: str | None = None  # in front of every word in its lists
    tag_lines: bool = True  # every text is made of tags
    is_listed: bool = True  # every text is a list whose parts have no quotes
    syntax: str = ""  # of the entities marked in its texts
    examples: list[str] = field(default_factory=list)
    role: str = ""
    reason: str = ""  # why it is ignored, unless the user chose so; or what to say of a guess
    task: str = ""
    scheme: str = ""  # how its cells are written: see _find_schemes in readers.py

    @property
    def labels(self) -> set[str]:
        """The labels, or the types of the entities, that were found."""
        return self.types or self.survey.types or set(self.values)

    @property
    def is_pointed(self) -> bool:
        """Whether its labels are whole numbers, which a program has written as 1.0 because other cells of the column are empty."""
        return self.pointed and self.whole and self.role == "class"

    def add(self, value: object) -> int:
        """Take in a value that is not blank; returns the length of a list that may be of words or tags, else 0."""
        listed = as_list(value) if self.kind != "text" else value
        kind = KINDS[type(listed)]
        if kind != self.kind:
            if self.kind == "list" and self.written and kind == "text":
                self.kind = "text"  # texts, some of which look like lists
            if self.kind not in ("null", kind):
                shown = kind if isinstance(listed, str | list | dict) else f"{kind} {show(value)}"
                raise MtlError(f"'{show(self.name)}' is {shown}, earlier ones are {self.kind}. Use one kind in all lines.")
            self.kind = kind
        self.filled += 1
        if len(self.examples) < 3 and not (isinstance(value, str) and value in self.values):
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            if (shown := show(" ".join(cut(text, 300).split()), 60)) not in self.examples:
                self.examples.append(shown)
        if isinstance(listed, list):
            self.written = self.written and listed is not value
            return self._add_list(listed)
        if isinstance(listed, str):
            self._add_text(listed)
        else:
            self.fractions = self.fractions or (isinstance(listed, float) and not listed.is_integer())
            shown = json.dumps(listed) if kind != "object" else "object"
            self._look_at_number(shown)
            self._count(shown)
        return 0

    def _add_list(self, value: list) -> int:
        kinds = {"texts"} if set(map(type, value)) == {str} else {_part_kind(part) for part in value}
        self.lists |= kinds
        self.singles = self.singles and len(value) <= 1
        if kinds <= {"texts", "numbers"}:
            self.survey.add(value)
            self.language = find_language(value, self.language)
            if len(value) == 1:
                self._count(str(value[0]))
            return len(value)
        if "spans" in kinds:
            self.types.update(str(part.get("label") if isinstance(part, dict) else part[-1]) for part in value
                              if isinstance(part, dict | list) and part)
        return 0

    def _add_text(self, value: str) -> None:
        self.length += len(value)
        stripped = value.strip()
        self._count(stripped[:100])
        if self.whole or self.tag_lines:
            if stripped in MISSING:
                return
            self._look_at_number(stripped)
        if self.tag_lines:
            tags = split_tags(value)
            self.tag_lines = are_tags(tags)
            if self.tag_lines:
                self.survey.add(tags)
        self.is_listed = self.is_listed and is_list_without_quotes(value)
        if not self.syntax and ("[" in value or "<" in value):
            self.syntax = find_syntax(value)

    def _look_at_number(self, value: str) -> None:
        if self.whole:
            self.whole = _WHOLE.fullmatch(value) is not None
            self.pointed = self.pointed or value.endswith(".0")

    def find_missing(self, *, in_table: bool) -> None:
        """Find which texts stand for no value, and forget that they were counted. In a table, where all is text, None and NA do beside
        several labels in small letters, and 1.0 may be a number; elsewhere an empty value and a number can be told from these texts."""
        labels = self.values.keys() - {"", *NO_VALUES, *MISSING}
        are_small = in_table and len(labels) > 1 and not any(label[0].isupper() for label in labels)
        self.pointed = self.pointed and (in_table or self.kind != "text")
        words = MISSING | NO_VALUES if are_small else MISSING
        self.missing = frozenset(words & self.values.keys())
        self.filled -= sum(self.values.pop(word) for word in self.missing)

    def _count(self, value: str) -> None:
        if value in self.values or len(self.values) < COUNTED:
            self.values[value] += 1
        else:
            self.is_open = True


def is_blank(value: object) -> bool:
    """Whether a cell or key is empty: the row is not labelled for this task."""
    return value is None or (isinstance(value, str) and not value.strip()) or value != value  # not a number


def profile_columns(source: Source, records: Iterable[Record]) -> dict[str, Column]:
    """The columns of a file, by name, after one pass. Raises MtlError if a column mixes kinds of values, or has no valid name."""
    found: dict[str, Column] = {}
    for line, fields in records:
        lengths: dict[str, int] = {}
        try:
            for key, value in fields.items():
                if key not in found:
                    check_names([*found, key])
                    found[key] = Column(key)
                if not is_blank(value) and (length := found[key].add(value)):
                    lengths[key] = length
        except MtlError as error:
            raise MtlError(f"{source.name}, {source.unit} {line}: {error}") from error
        for key, length in lengths.items():
            matches = found[key].matches
            for other, value in fields.items():
                if other != key and (lengths.get(other) == length or (
                        isinstance(value, str) and len(value) >= 2 * length - 1 and split_at_blanks(value, length))):
                    matches[other] = matches.get(other, 0) + 1
    return found


def _part_kind(part: object) -> str:
    if isinstance(part, str):
        return "texts"
    if isinstance(part, dict):
        return "spans" if part.keys() & ALIASES[0] and part.keys() & ALIASES[2] else "objects"
    if isinstance(part, list):
        return "spans" if len(part) == 3 and type(part[0]) is int and isinstance(part[2], str) else "other"
    return "numbers" if type(part) is int else "other"
