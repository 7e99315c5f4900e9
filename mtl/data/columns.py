"""What the columns of a file are for: every column looked at, a role guessed for each, the user's word over the guess. Makes no rows."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mtl.data.formats.files import KINDS, Record, Source, check_names, show, show_names
from mtl.data.formats.marked import find_syntax
from mtl.data.formats.schemes import TAG, TagSurvey, find_separator
from mtl.data.formats.tables import as_list
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
OTHER_TEXT = "the sentence is taken from another column"
COUNTED = MAX_LABELS + 50  # different values of a column that are kept


@dataclass
class Profile:
    """What one pass over a column found."""

    name: str
    kind: str = "null"
    written: bool = True  # a column of lists: they were written into cells as text
    filled: int = 0
    length: int = 0  # characters of all values
    values: Counter = field(default_factory=Counter)  # the first COUNTED different ones
    is_open: bool = False  # whether there are more different ones
    fractions: bool = False
    types: set[str] = field(default_factory=set)  # of the entities in its lists of spans
    lists: set[str] = field(default_factory=set)  # what its lists hold: texts, numbers, spans, objects, other
    singles: bool = True  # every list holds one text at most
    matches: dict[str, int] = field(default_factory=dict)  # for each other column, lists of as many parts as it has words
    survey: TagSurvey = field(default_factory=TagSurvey)
    tag_lines: bool = True  # every text is made of tags
    syntax: str = ""
    examples: list[str] = field(default_factory=list)

    def labels(self) -> set[str]:
        """The labels, or the types of the entities, that were seen."""
        return self.types or self.survey.types or set(self.values)

    def add(self, value: object) -> int:
        """Take in a value that is not blank; the number of its parts if it is a list that may be of words or tags, else 0."""
        listed = as_list(value) if self.kind != "text" else value
        kind = KINDS[type(listed)]
        if kind != self.kind:
            if self.kind == "list" and self.written and kind == "text":
                self.kind = "text"  # texts, some of which look like lists
            self._check_kind(kind, value)
            self.kind = kind
        self.filled += 1
        if len(self.examples) < 3 and (shown := _example(value)) not in self.examples:
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

    def _check_kind(self, kind: str, value: object) -> None:
        if self.kind not in ("null", kind):
            shown = f"{kind} {show(value)}" if kind in ("number", "true/false") else kind
            raise MtlError(f"'{show(self.name)}' is {shown}, earlier ones are {self.kind}. Use one kind in all lines.")

    def _add_list(self, value: list) -> int:
        types = set(map(type, value))
        kinds = {"texts"} if types == {str} else {_part_kind(part) for part in value}
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


@dataclass(frozen=True)
class Column:
    """A column as the page shows it: what it is for and why, with the first values."""

    name: str
    role: str
    task: str
    group: str
    reason: str
    examples: tuple[str, ...]


def is_blank(value: object) -> bool:
    """Whether a cell or a key says nothing: the row is not labelled for this task."""
    return value is None or (isinstance(value, str) and not value.strip())


def profile(source: Source, records: Iterable[Record]) -> dict[str, Profile]:
    """One pass over all records. Raises MtlError if a column holds values of several kinds, or its name cannot be one."""
    found: dict[str, Profile] = {}
    name, unit = source.name, source.unit
    for line, fields in records:
        lengths: dict[str, int] = {}
        try:
            for key, value in fields.items():
                column = found.get(key)
                if column is None:
                    check_names([*found, key])
                    column = found[key] = Profile(key)
                if not is_blank(value) and (length := column.add(value)):
                    lengths[key] = length
        except MtlError as error:
            raise MtlError(f"{name}, {unit} {line}: {error}") from error
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


def _example(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return show(" ".join(cut(text, 300).split()), 60)


# From what was found to what it is for


def find_columns(source: Source, profiles: dict[str, Profile], told: Sequence[ColumnSpec], wanted: Sequence[str] = ()) -> list[Column]:
    """A role for every column of the file: the one that `told` gives it, else a guess. A column that a `wanted` task is called by is a
    task even if it looks like free text. Raises MtlError if none can be the text, or if two are told to be."""
    meant = [spec for spec in told if spec.group in ("", source.group) and spec.column in profiles]
    words = {spec.column: spec for spec in sorted(meant, key=lambda spec: spec.group)}  # what is said of this file holds before all
    first = min((seen for seen in profiles.values() if seen.name.casefold() in TEXT_NAMES),
                key=lambda seen: TEXT_NAMES.index(seen.name.casefold()), default=None)
    if first and first.kind == "list" and first.written and not (first.lists == {"texts"} and _has_tags(first, profiles)):
        first.kind = "text"  # texts such as "[1]", and no lists of words
    text = _text_column(source, profiles, words)
    columns = []
    for name, seen in profiles.items():
        if name in words:
            role, reason = words[name].role, ""
        elif name == text:
            role, reason = _text_role(source, seen), ""
        else:
            role, reason = _guess(seen, profiles[text], name in wanted)
        task = words[name].task or "labels" * (role == "in") if name in words else ""
        columns.append(Column(name, role, task, source.group, reason, tuple(seen.examples)))
    holders = [column.name for column in columns if column.role in TEXT_ROLES]
    if len(holders) > 1:
        first = next((name for name in holders if name in words), holders[0])
        if all(name in words for name in holders):
            raise MtlError(f"{source.name}: {' and '.join(map(repr, holders))} are both said to hold the sentence. Choose one of them.")
        columns = [column if column.name == first or column.name not in holders else
                   Column(column.name, "ignore", "", column.group, OTHER_TEXT, column.examples)
                   for column in columns]
    return columns


def _has_tags(words: Profile, profiles: dict[str, Profile]) -> bool:
    """Whether another column lists as many tags as there are words here, in every row."""
    return any(seen.kind == "list" and seen.lists <= {"texts", "numbers"} and seen.matches.get(words.name, 0) == seen.filled > 0
               for seen in profiles.values() if seen is not words)


def _text_column(source: Source, profiles: dict[str, Profile], told: dict[str, ColumnSpec]) -> str:
    """The column that holds the sentence."""
    for name, spec in told.items():
        if spec.role in TEXT_ROLES:
            return name
    free = {name.casefold(): name for name in reversed(profiles) if name not in told and profiles[name].filled}

    def named(names: Sequence[str], kind: str) -> list[str]:
        return [free[key] for key in names if key in free and profiles[free[key]].kind == kind]

    lists = [name for name in named(TOKEN_NAMES, "list") if "texts" in profiles[name].lists or not profiles[name].lists]
    lists += [name for name in named(TEXT_NAMES, "list") if _has_tags(profiles[name], profiles)]
    texts = named(TEXT_NAMES, "text")
    if lists and texts and any("spans" in seen.lists for seen in profiles.values()) and not _has_tags(profiles[lists[0]], profiles):
        lists = []  # spans count the characters of the text, not those of the joined words
    if found := [*lists, *texts, *named(TOKEN_NAMES, "text")]:
        return found[0]
    longest = max((name for name in free.values() if profiles[name].kind == "text" and not profiles[name].tag_lines),
                  key=lambda name: profiles[name].length / profiles[name].filled, default="")
    blanks = longest and any(" " in value for value in profiles[longest].values)
    if source.format == "json" and not blanks or not longest:
        raise MtlError(f"{source.name}: no text among its columns ({show_names(profiles)}). "
                       "Name one 'text', or say which it is, such as Review=text.")
    source.notice(f"no column is named 'text'; '{show(longest)}' is taken for it, because its texts are the longest.")
    return longest


def _text_role(source: Source, seen: Profile) -> str:
    if seen.kind == "list":
        return "tokens"
    return "marked" if source.format == "text" and seen.syntax else "text"


def _guess(seen: Profile, text: Profile, wanted: bool) -> tuple[str, str]:
    """A role for a column that is not the text's, and for 'ignore' the reason."""
    if not seen.filled:
        return "ignore", "no row has a value"
    if seen.kind == "object":
        return "ignore", "it holds objects"
    if not wanted and (seen.name.startswith("_") or seen.name.casefold() in IDS):
        return "ignore", "it is an id"
    if seen.kind == "list":
        return _guess_list(seen, text, wanted)
    if seen.name.casefold() in TEXT_NAMES and not wanted:
        return "ignore", OTHER_TEXT
    if seen.kind == "text" and seen.tag_lines and any(" " in value for value in seen.values):
        return "tags", ""
    if seen.fractions:
        return "ignore", "it holds numbers with a fraction"
    if seen.kind == "text" and find_separator(seen.values):
        return "labels", ""
    return _guess_class(seen, wanted)


def _guess_class(seen: Profile, wanted: bool) -> tuple[str, str]:
    """Whether the values can be classes; for 'ignore' why not."""
    if wanted:
        return "class", ""
    if (different := len(seen.values)) == 1 and seen.filled >= 20 and seen.name.casefold() not in GENERIC:
        return "ignore", "every row has the same value"
    if seen.is_open or different > MAX_LABELS or (seen.filled >= 20 and different > seen.filled / 2):
        return "ignore", f"{'over ' * seen.is_open}{different:,} different values in {seen.filled:,} rows look like free text or ids"
    if any(len(value) > 64 for value in seen.values) and different > seen.filled / 2:
        return "ignore", "its values are too long for labels"
    return "class", ""


def _guess_list(seen: Profile, text: Profile, wanted: bool) -> tuple[str, str]:
    """A role for a column of lists: entities, a tag for each word, one class in each, or any number of labels."""
    known = wanted or seen.name.casefold() in GENERIC
    fits, tokenised = seen.matches.get(text.name, 0), text.kind == "list"
    if not seen.lists:
        return ("spans", "") if known else ("ignore", "its lists are empty")
    if "spans" in seen.lists:
        return "spans", ""
    if seen.lists <= {"texts", "numbers"} and seen.singles and not seen.survey.prefixes and (fits < seen.filled or not tokenised):
        return _guess_class(seen, wanted)
    if seen.lists == {"texts"}:
        if seen.survey.marks_entities and (tokenised or fits * 2 > seen.filled or seen.survey.prefixed):
            return "tags", ""
        if fits == seen.filled:
            return "ignore", "its tags are no entities (no word has the tag O)"
        if seen.name.casefold() in TOKEN_NAMES and not known:
            return "ignore", "its lists are the words of the text"
        is_free = (different := len(seen.survey.types)) > MAX_LABELS or different > (seen.filled / 2 if seen.filled >= 20 else seen.filled)
        return ("ignore", "its lists look like free text") if is_free and not known else ("labels", "")
    if seen.survey.numbers and fits == seen.filled and (known or "tag" in seen.name.casefold()):
        return "tags", ""
    if wanted:
        return "spans", ""
    return "ignore", "its lists are neither tags nor entities"
