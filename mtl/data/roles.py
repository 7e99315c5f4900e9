"""What the columns of a file are for: the user's choice, or else a guess by their names and by what is in them."""

import re
from collections.abc import Sequence
from itertools import islice

from mtl.data.columns import GENERIC, IDS, TEXT_NAMES, TEXT_ROLES, TOKEN_NAMES, Column
from mtl.data.formats.files import NAMES, TAG_NAMES, Source, show, show_names
from mtl.data.formats.schemes import find_separator
from mtl.data.numbers import ADVICE, CLASSES, FEW, FRACTIONS, NUMBER, TAKEN, are_numbers, have_fractions, is_predicted
from mtl.data.values import KIND_OF_ROLE
from mtl.errors import MtlError
from mtl.settings.config import MAX_LABELS, ColumnSpec

LABEL_WORDS = set(NAMES["label"])  # in the name of a column that is for labels, however many it has
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d|\d{1,2}[-/.]\d{1,2}[-/.]\d{2}")


def assign_roles(source: Source, columns: dict[str, Column], specs: Sequence[ColumnSpec], wanted: Sequence[str] = ()) -> None:
    """Give each column its role: that of `specs`, else a guess (a task, if called like one `wanted`). Raises MtlError without one text."""
    chosen = {spec.column: spec for spec in sorted(specs, key=lambda spec: spec.group)  # choices for this file override those for all
              if spec.group in ("", source.group) and spec.column in columns}
    first = min((column for column in columns.values() if column.name.casefold() in TEXT_NAMES),
                key=lambda column: TEXT_NAMES.index(column.name.casefold()), default=None)
    if first and first.kind == "list" and first.written and not (first.lists == {"texts"} and _has_tags(first, columns)):
        first.kind = "text"  # texts such as "[1]", and no lists of words
    for column in columns.values():
        column.find_missing(in_table=source.format in ("csv", "xlsx"))
    text = _find_text(source, columns, chosen)
    for name, column in columns.items():
        if spec := chosen.get(name):
            column.role, column.task = spec.role, spec.task * (spec.role in KIND_OF_ROLE) or "labels" * (spec.role == "in")
        elif column is not text:
            seen = source.guesses.get(name, ("ignore", ""))
            is_seen = name in source.guesses and column.filled and not (seen[0] == "ignore" and name in wanted)
            column.role, column.reason = seen if is_seen else _guess(column, text, name in wanted)
        else:
            listed = column.kind == "list" or (column.is_listed and column.name.casefold() in TOKEN_NAMES)
            column.role = "tokens" if listed else "marked" if source.format == "text" and column.syntax else "text"
    _leave_empty_tags([column for name, column in columns.items() if name not in chosen and name not in wanted])
    _take_numbers([column for name, column in columns.items() if name not in chosen], columns)
    if len(texts := [name for name, column in columns.items() if column.role in TEXT_ROLES]) > 1:
        raise MtlError(f"{source.name}: {' and '.join(map(repr, texts))} are both said to hold the sentence. Choose one of them.")


def _leave_empty_tags(guessed: Sequence[Column]) -> None:
    """Leave out the columns of tags in which no word is in an entity, if there are others."""
    tagged = [column for column in guessed if column.role == "tags"]
    for column in tagged if any(column.survey.types for column in tagged) else ():
        if not column.survey.types:
            column.role, column.reason = "ignore", "no word in it is in an entity"


def _take_numbers(guessed: Sequence[Column], columns: dict[str, Column]) -> None:
    """Where nothing else can be learned, take the column of fractions that is called like something to predict, if there is one."""
    found = [column for column in guessed if column.role == "ignore" and len(column.values) > FEW and have_fractions(column.values)
             and (is_predicted(column.name) or column.name.casefold() in GENERIC)]
    if len(found) == 1 and not any(column.role in KIND_OF_ROLE for column in columns.values()):
        found[0].role, found[0].reason = NUMBER, TAKEN


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
                  key=lambda column: (_is_prose(column), column.length / column.filled), default=None)
    # labels have no blanks, most texts do, except in scripts that are written without
    if longest is None or not any(" " in value or not value.isascii() for value in longest.values):
        words = [column for column in free.values() if column.kind == "list" and column.lists == {"texts"} and _has_tags(column, columns)
                 and not column.survey.prefixed]
        if len(words) == 1:
            source.notice(f"no column is named 'tokens'; '{show(words[0].name)}' is taken for it, as another has a tag for each word.")
            return words[0]
        raise MtlError(f"{source.name}: no text among its columns ({show_names(columns)}). "
                       "Name one 'text', or say which it is, such as Review=text.")
    source.notice(f"no column is named 'text'; '{show(longest.name)}' is taken for it, because its texts are the longest.")
    return longest


def _is_prose(column: Column) -> bool:
    """Whether most of its values are of words or in a script without blanks, as dates, addresses and names of users are not, and differ."""
    values = [value for value in islice(column.values, 100) if " " in value or not value.isascii()]
    letters = sum(map(str.isalpha, "".join(values)))
    return 2 * len(values) > min(100, len(column.values)) and 2 * letters > sum(map(len, values)) and (
        len(column.values) > 1 or column.filled == 1)


def _guess(column: Column, text: Column, wanted: bool) -> tuple[str, str]:
    """A role for a column other than `text`, and for 'ignore' the reason. `wanted`: a task of this name was asked for."""
    if not column.filled:
        return "ignore", "no row has a value"
    if column.kind == "object":
        return "ignore", "it holds objects"
    if not wanted and (column.name.startswith("_") or column.name.casefold() in IDS):
        return "ignore", "it is an id"
    if not wanted and column.name.startswith("Unnamed: "):
        return "ignore", "it has no name of its own"  # pandas' way to call such a column
    if column.kind == "list":
        return _guess_list(column, text, wanted)
    if column.name.casefold() in TEXT_NAMES and not wanted:
        return "ignore", "the sentence is taken from another column"
    if column.kind == "text" and column.tag_lines and column.survey.has_neighbours and column.survey.marks_entities:
        return "tags", ""
    if column.fractions or (not column.whole and len(column.values) > FEW and have_fractions(column.values)):
        return (NUMBER, "") if wanted else ("ignore", FRACTIONS)
    if column.kind == "text" and find_separator(column.values):
        return "labels", ""
    role, reason = _guess_class(column, wanted)
    if len(column.values) < 3 or not are_numbers(column.values):
        return role, reason
    if role == "ignore":
        return role, FRACTIONS if have_fractions(column.values) else f"{reason}{f' ({ADVICE})' * is_predicted(column.name)}"
    return role, CLASSES * is_predicted(column.name)


def _numbers_rows(column: Column) -> bool:
    """Whether the values count the rows, in a column that is not called like labels."""
    name = column.name.casefold()
    if name in GENERIC or is_predicted(name) or not LABEL_WORDS.isdisjoint(re.findall("[a-z]+", name)):
        return False
    if not 4 < len(column.values) == column.filled:
        return False
    numbers = [int(value) for value in column.values if value.isdecimal() and len(value) < 16]
    return numbers == list(range(numbers[0], numbers[0] + column.filled)) if numbers else False


def _guess_class(column: Column, wanted: bool) -> tuple[str, str]:
    """Whether the values can be classes; for 'ignore' why not."""
    if wanted:
        return "class", ""
    if (different := len(column.values)) == 1 and column.filled >= 20 and column.name.casefold() not in GENERIC:
        return "ignore", "every row has the same value"
    shown = f"{'over ' * column.is_open}{different:,} different values in {column.filled:,} rows"
    says_label = not LABEL_WORDS.isdisjoint(re.findall("[a-z]+", column.name.casefold())) and not have_fractions(column.values)
    if says_label and (column.is_open or different > MAX_LABELS):
        return "ignore", f"it has {shown}, and at most {MAX_LABELS:,} labels can be trained"
    most = column.filled - 1 if says_label else column.filled / 2
    if column.is_open or different > MAX_LABELS or (column.filled >= 20 and different > most):
        return "ignore", f"{shown} look like free text or ids"
    if any(value.startswith("{") for value in column.values):
        return "ignore", "it holds objects"
    if any(len(value) > 64 for value in column.values) and different > column.filled / 2:
        return "ignore", "its values are too long for labels"
    if different > FEW and all(map(_DATE.match, column.values)):
        return "ignore", "it holds dates"
    return ("ignore", "it numbers the rows") if _numbers_rows(column) else ("class", "")


def _guess_list(column: Column, text: Column, wanted: bool) -> tuple[str, str]:
    """A role for a column of lists: entities, a tag for each word, one class in each, or any number of labels."""
    known = wanted or column.name.casefold() in GENERIC
    filled, survey, fits, tokenised = column.filled, column.survey, column.matches.get(text.name, 0), text.kind == "list"
    are_names = known or "tag" in column.name.casefold() or column.name.casefold() in TAG_NAMES
    if not column.lists:
        return ("spans", "") if known else ("ignore", "its lists are empty")
    if "spans" in column.lists:
        return "spans", ""
    if column.lists <= {"texts", "numbers"} and column.singles and not survey.prefixes and (fits < filled or not tokenised):
        return _guess_class(column, wanted)
    if column.lists == {"texts"}:
        is_sure = survey.prefixes or (are_names and fits == filled)
        if survey.marks_entities and is_sure and (tokenised or fits * 2 > filled or survey.prefixed):
            return "tags", ""
        if fits == filled:
            return "ignore", "its tags are numbers without names" if survey.numbers else "its tags are no entities (no word has the tag O)"
        if column.name.casefold() in TOKEN_NAMES and not known:
            return "ignore", "its lists are the words of the text"
        different = len(survey.types | survey.spelling.outside)
        is_free = different > MAX_LABELS or different > (filled / 2 if filled >= 20 else filled)
        return ("ignore", "its lists look like free text") if is_free and not known else ("labels", "")
    if survey.numbers and fits == filled and are_names:
        return "tags", ""
    return ("spans", "") if wanted else ("ignore", "its lists are neither tags nor entities")
