"""The columns of a file: what one pass finds in each, and its role, which is the user's choice or else a guess. Makes no rows."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mtl.data.formats.files import KINDS, Record, Source, check_names, show, show_names
from mtl.data.formats.marked import find_syntax
from mtl.data.formats.schemes import TAG, TagSurvey, find_separator
from mtl.data.formats.tables import as_list
from mtl.data.values import KIND_OF_ROLE
from mtl.data.words import split_at_blanks
from mtl.errors import MtlError
from mtl.settings.config import MAX_LABELS, ColumnSpec
from mtl.text import cut

TEXT_NAMES = ("text", "sentence", "utterance", "utt", "query", "input", "content", "review", "document", "body", "comment", "tweet",
              "headline", "title")
TOKEN_NAMES = ("tokens", "words", "token", "word")
GENERIC = {"label", "labels", "class", "category", "target", "tags", "ner_tags", "entities", "spans", "slots", "annotations", "column 2"}
ALIASES = (("start", "start_offset"), ("end", "end_offset"), ("label", "labels", "entity", "type", "entity_type"))  # of an entity's parts
IDS = {"id", "_id", "idx", "index", "guid", "uuid", "sent_id", "sentence_id", "doc_id", "row_id", "example_id", "inner_id"}
TEXT_ROLES = ("text", "tokens", "marked")
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
    types: set[str] = field(default_factory=set)  # of the entities in its lists of spans
    lists: set[str] = field(default_factory=set)  # what its lists hold: texts, numbers, spans, objects, other
    singles: bool = True  # every list holds one text at most
    matches: dict[str, int] = field(default_factory=dict)  # for each other column, the rows whose list is as long as its words are many
    survey: TagSurvey = field(default_factory=TagSurvey)
    tag_lines: bool = True  # every text is made of tags
    syntax: str = ""  # of the entities marked in its texts
    examples: list[str] = field(default_factory=list)
    role: str = ""
    reason: str = ""  # why it is ignored, unless the user chose so
    task: str = ""
    scheme: str = ""  # how its cells are written: see _find_schemes in readers.py

    @property
    def labels(self) -> set[str]:
        """The labels, or the types of the entities, that were found."""
        return self.types or self.survey.types or set(self.values)

    def add(self, value: object) -> int:
        """Take in a value that is not blank; returns the length of a list that may be of words or tags, else 0."""
        listed = as_list(value) if self.kind != "text" else value
        kind = KINDS[type(listed)]
        if kind != self.kind:
            if self.kind == "list" and self.written and kind == "text":
                self.kind = "text"  # texts, some of which look like lists
            if self.kind not in ("null", kind):
                shown = f"{kind} {show(value)}" if kind in ("number", "true/false") else kind
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
            self.fractions = self.fractions or isinstance(listed, float)
            self._count(json.dumps(listed) if kind != "object" else "object")
        return 0

    def _add_list(self, value: list) -> int:
        kinds = {"texts"} if set(map(type, value)) == {str} else {_part_kind(part) for part in value}
        self.lists |= kinds
        self.singles = self.singles and len(value) <= 1
        if kinds <= {"texts", "numbers"}:
            self.survey.add(value)
            if len(value) == 1:
                self._count(str(value[0]))
            return len(value)
        if "spans" in kinds:
            self.types.update(str(part.get("label") if isinstance(part, dict) else part[-1]) for part in value
                              if isinstance(part, dict | list) and part)
        return 0

    def _add_text(self, value: str) -> None:
        self.length += len(value)
        self._count(value.strip()[:100])
        if self.tag_lines:
            tags = value.split()
            self.tag_lines = all(map(TAG.fullmatch, tags))
            if self.tag_lines:
                self.survey.add(tags)
        if not self.syntax and ("[" in value or "<" in value):
            self.syntax = find_syntax(value)

    def _count(self, value: str) -> None:
        if value in self.values or len(self.values) < COUNTED:
            self.values[value] += 1
        else:
            self.is_open = True


def is_blank(value: object) -> bool:
    """Whether a cell or key is empty: the row is not labelled for this task."""
    return value is None or (isinstance(value, str) and not value.strip())


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


def assign_roles(source: Source, columns: dict[str, Column], specs: Sequence[ColumnSpec], wanted: Sequence[str] = ()) -> None:
    """Give each column its role: that of `specs`, else a guess (a task, if called like one `wanted`). Raises MtlError without one text."""
    chosen = {spec.column: spec for spec in sorted(specs, key=lambda spec: spec.group)  # choices for this file override those for all
              if spec.group in ("", source.group) and spec.column in columns}
    first = min((column for column in columns.values() if column.name.casefold() in TEXT_NAMES),
                key=lambda column: TEXT_NAMES.index(column.name.casefold()), default=None)
    if first and first.kind == "list" and first.written and not (first.lists == {"texts"} and _has_tags(first, columns)):
        first.kind = "text"  # texts such as "[1]", and no lists of words
    text = _find_text(source, columns, chosen)
    for name, column in columns.items():
        if spec := chosen.get(name):
            column.role, column.task = spec.role, spec.task * (spec.role in KIND_OF_ROLE) or "labels" * (spec.role == "in")
        elif column is not text:
            column.role, column.reason = _guess(column, text, name in wanted)
        else:
            column.role = "tokens" if column.kind == "list" else "marked" if source.format == "text" and column.syntax else "text"
    if len(texts := [name for name, column in columns.items() if column.role in TEXT_ROLES]) > 1:
        raise MtlError(f"{source.name}: {' and '.join(map(repr, texts))} are both said to hold the sentence. Choose one of them.")


def _has_tags(words: Column, columns: dict[str, Column]) -> bool:
    """Whether another column lists as many tags as there are words here, in every row."""
    return any(column.kind == "list" and column.lists <= {"texts", "numbers"} and column.matches.get(words.name, 0) == column.filled > 0
               for column in columns.values() if column is not words)


def _find_text(source: Source, columns: dict[str, Column], chosen: dict[str, ColumnSpec]) -> Column:
    if said := [columns[name] for name, spec in chosen.items() if spec.role in TEXT_ROLES]:
        return said[0]
    free = {name.casefold(): columns[name] for name in reversed(columns) if name not in chosen and columns[name].filled}

    def named(names: Sequence[str], kind: str) -> list[Column]:
        return [free[key] for key in names if key in free and free[key].kind == kind]

    lists = [column for column in named(TOKEN_NAMES, "list") if "texts" in column.lists or not column.lists]
    lists += [column for column in named(TEXT_NAMES, "list") if _has_tags(column, columns)]
    texts = named(TEXT_NAMES, "text")
    if lists and texts and any("spans" in column.lists for column in columns.values()) and not _has_tags(lists[0], columns):
        lists = []  # spans count the characters of the text, not those of the joined words
    if found := [*lists, *texts, *named(TOKEN_NAMES, "text")]:
        return found[0]
    longest = max((column for column in free.values() if column.kind == "text" and not column.tag_lines),
                  key=lambda column: column.length / column.filled, default=None)
    # labels have no blanks, most texts do, except in scripts that are written without
    if longest is None or not any(" " in value or not value.isascii() for value in longest.values):
        raise MtlError(f"{source.name}: no text among its columns ({show_names(columns)}). "
                       "Name one 'text', or say which it is, such as Review=text.")
    source.notice(f"no column is named 'text'; '{show(longest.name)}' is taken for it, because its texts are the longest.")
    return longest


def _guess(column: Column, text: Column, wanted: bool) -> tuple[str, str]:
    """A role for a column other than `text`, and for 'ignore' the reason. `wanted`: a task of this name was asked for."""
    if not column.filled:
        return "ignore", "no row has a value"
    if column.kind == "object":
        return "ignore", "it holds objects"
    if not wanted and (column.name.startswith("_") or column.name.casefold() in IDS):
        return "ignore", "it is an id"
    if column.kind == "list":
        return _guess_list(column, text, wanted)
    if column.name.casefold() in TEXT_NAMES and not wanted:
        return "ignore", "the sentence is taken from another column"
    if column.kind == "text" and column.tag_lines and any(" " in value for value in column.values):
        return "tags", ""
    if column.fractions:
        return "ignore", "it holds numbers with a fraction"
    if column.kind == "text" and find_separator(column.values):
        return "labels", ""
    return _guess_class(column, wanted)


def _guess_class(column: Column, wanted: bool) -> tuple[str, str]:
    """Whether the values can be classes; for 'ignore' why not."""
    if wanted:
        return "class", ""
    if (different := len(column.values)) == 1 and column.filled >= 20 and column.name.casefold() not in GENERIC:
        return "ignore", "every row has the same value"
    if column.is_open or different > MAX_LABELS or (column.filled >= 20 and different > column.filled / 2):
        return "ignore", f"{'over ' * column.is_open}{different:,} different values in {column.filled:,} rows look like free text or ids"
    if any(len(value) > 64 for value in column.values) and different > column.filled / 2:
        return "ignore", "its values are too long for labels"
    return "class", ""


def _guess_list(column: Column, text: Column, wanted: bool) -> tuple[str, str]:
    """A role for a column of lists: entities, a tag for each word, one class in each, or any number of labels."""
    known = wanted or column.name.casefold() in GENERIC
    filled, survey, fits, tokenised = column.filled, column.survey, column.matches.get(text.name, 0), text.kind == "list"
    if not column.lists:
        return ("spans", "") if known else ("ignore", "its lists are empty")
    if "spans" in column.lists:
        return "spans", ""
    if column.lists <= {"texts", "numbers"} and column.singles and not survey.prefixes and (fits < filled or not tokenised):
        return _guess_class(column, wanted)
    if column.lists == {"texts"}:
        if survey.marks_entities and (tokenised or fits * 2 > filled or survey.prefixed):
            return "tags", ""
        if fits == filled:
            return "ignore", "its tags are no entities (no word has the tag O)"
        if column.name.casefold() in TOKEN_NAMES and not known:
            return "ignore", "its lists are the words of the text"
        is_free = (different := len(survey.types)) > MAX_LABELS or different > (filled / 2 if filled >= 20 else filled)
        return ("ignore", "its lists look like free text") if is_free and not known else ("labels", "")
    if survey.numbers and fits == filled and (known or "tag" in column.name.casefold()):
        return "tags", ""
    return ("spans", "") if wanted else ("ignore", "its lists are neither tags nor entities")
