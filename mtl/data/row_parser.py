"""One record into one row: every text, label, tag and span is checked, repairs are reported. Labels stay as the file writes them."""

import json
import re
from bisect import bisect
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from mtl.data.columns import ALIASES, Column, is_blank
from mtl.data.formats.export import Annotated
from mtl.data.formats.files import KINDS, MAX_NAME, MAX_TEXT, MAX_WORD, MAX_WORDS, a_kind, show
from mtl.data.formats.layouts import NOT_LABELLED
from mtl.data.formats.marked import parse_marked
from mtl.data.formats.schemes import NO, ONLY_YES, TAG, YES, split_tags, to_spans
from mtl.data.formats.tables import as_list, without_quotes
from mtl.data.numbers import NUMBER, as_number
from mtl.data.offsets import put_right
from mtl.data.rows import Row, fitting
from mtl.data.values import Label, Labels, Number, Spans, Value
from mtl.data.words import Range, Span, are_edges, find_words, snap_to_words, split_at_blanks, tags_to_spans
from mtl.errors import MtlError
from mtl.text import many

REPAIRS: dict[str, str] = json.loads(Path(__file__).with_name("repairs.json").read_text(encoding="utf-8"))  # with [singular|plural]
_BLANK, _BREAK = re.compile(r"[ \t\r\n]"), re.compile(r"[\t\r\n]")


def make_row(fields: dict[str, object], text_column: Column, labelled: Sequence[Column]) -> tuple[Row, list[str]]:
    """A record as a row with the values of the `labelled` columns, and its repairs (keys of REPAIRS); raises MtlError if it is wrong."""
    mended: list[str] = []
    fields = _plain_cells(fields, labelled, mended)
    values: dict[str, Value | None] = _read_members(fields, labelled, mended)
    if text_column.name not in fields:
        raise MtlError(f"there is no '{show(text_column.name)}'. Every line needs one.")
    text, words, marks = fields[text_column.name], None, ()
    if text_column.role == "tokens":
        text, words = _check_tokens(text_column, text)
    else:
        text = _check_text(text_column.name, text)
        if text_column.role == "marked":
            text, marks = parse_marked(text, text_column.syntax)
            _check_text(text_column.name, text)
    tags = {column.name: _check_list(column, fields[column.name]) for column in labelled
            if column.role == "tags" and not is_blank(fields.get(column.name))}
    if words is None and tags:
        name, first = next(iter(tags.items()))
        words = split_at_blanks(text, len(first))
        if words is None:
            raise MtlError(f"{many(len(text.split()), 'word')} between blanks, but {many(len(first), 'tag')} in '{show(name)}'. "
                           "Give one tag per word.")
    for column in labelled:
        value = fields.get(column.name)
        if column.role == "in":
            continue
        if column.role == "marked":
            spans = [_check_span(column.name, [mark.start, mark.end, mark.label], len(text)) for mark in marks]
            values[column.task] = _snap(column.name, spans, text, mended)
        elif is_blank(value):
            none = isinstance(fields, Annotated) if column.role == "spans" else NOT_LABELLED in column.survey.spelling.outside
            values[column.task] = Spans() if value is None and column.role in ("spans", "tags") and none else None
        elif column.role == "class":
            values[column.task] = (_check_text_label if isinstance(value, str) else _check_label)(column.name, value)
        elif column.role == NUMBER:
            values[column.task] = _check_number(column.name, value)
        elif column.role == "labels":
            values[column.task] = _check_labels(column, value)
        elif column.role == "spans":
            by_tool = isinstance(fields, Annotated)
            entries = put_right(_check_list(column, value), text, mended, is_copied=by_tool)
            spans = [_check_span(column.name, entry, len(text)) for entry in entries]
            spans = _without_overlaps(spans, mended, nested=by_tool)
            values[column.task] = _snap(column.name, spans, text, mended)
        else:
            spans = _check_tags(column, tags[column.name], words, mended)
            # a token's edge is a word's edge, unless it has control characters there
            values[column.task] = spans if are_edges(find_words(text), spans) else _snap(column.name, spans, text, mended)
    return Row(text, values, fitting(words, values)), mended


def _plain_cells(fields: dict[str, object], labelled: Sequence[Column], mended: list[str]) -> dict[str, object]:
    """The same record, with None for words such as nan and #N/A, and 1 for 1.0 where all labels are whole numbers."""
    for column in labelled:
        if not column.missing and not column.pointed:
            continue
        value = fields.get(column.name)
        if column.missing and isinstance(value, str) and value.strip() in column.missing:
            mended.append("missing")
            fields = type(fields)(fields | {column.name: None})
        elif column.is_pointed and isinstance(value, str | float) and not is_blank(value):
            fields = type(fields)(fields | {column.name: str(value).strip().removesuffix(".0")})
    return fields


def _check_list(column: Column, value: object) -> list:
    """The entities or tags of a cell, which may be written as one text."""
    value = as_list(value)
    if isinstance(value, str) and column.role == "tags":
        value = split_tags(value)
    if not isinstance(value, list):
        what = "tags" if column.role == "tags" else "entities"
        raise MtlError(f"'{show(column.name)}' is {a_kind(value)}, a list of {what} is needed. Set the column to class or ignore.")
    return value


def _check_text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise MtlError(f"'{show(name)}' is {a_kind(value)}, a text is needed. Give every row one, or remove the row.")
    if not value.strip():
        raise MtlError(f"'{show(name)}' is empty. Give every row a text, or remove the row.")
    if len(value) > MAX_TEXT:
        raise MtlError(f"'{show(name)}' has {len(value):,} characters, the limit is {MAX_TEXT:,}. Cut the text into parts.")
    return value


def _check_tokens(column: Column, value: object) -> tuple[str, tuple[Range, ...]]:
    """The tokens joined by blanks, and the range of each."""
    name, tokens = column.name, as_list(value)
    if isinstance(tokens, str):
        tokens = without_quotes(tokens) if column.is_listed else [token for token in _BLANK.split(tokens) if token]
    if not isinstance(tokens, list):
        raise MtlError(f"'{show(name)}' is {a_kind(tokens)}, a list of texts is needed.")
    if not tokens:
        raise MtlError(f"'{show(name)}' has no tokens. Give every row a sentence, or remove the row.")
    if len(tokens) > MAX_WORDS:
        raise MtlError(f"'{show(name)}' has {len(tokens):,} tokens, the limit is {MAX_WORDS:,}. Cut the text into sentences.")
    text = " ".join(tokens) if set(map(type, tokens)) == {str} else None
    if text is not None and column.language:
        tokens = [token.removeprefix(column.language) for token in tokens]
        text = " ".join(tokens)
    # checked token by token only if something is wrong with one: this is read for every row
    if (text is None or text.count(" ") >= len(tokens) or "" in tokens or _BREAK.search(text)
            or (len(text) > MAX_WORD and max(map(len, tokens)) > MAX_WORD)):
        raise MtlError(next(f"token {index} of '{show(name)}' {wrong}" for index, token in enumerate(tokens, 1)
                            if (wrong := _token_trouble(token))))
    return _check_text(name, text), tuple(split_at_blanks(text, len(tokens)))


def _token_trouble(token: object) -> str:
    if not isinstance(token, str):
        return f"is {a_kind(token)}, a text is needed."
    if len(token) > MAX_WORD:
        return f"has {len(token):,} characters, the limit is {MAX_WORD:,}. Are blanks missing?"
    if token and not _BLANK.search(token):
        return ""
    return (f"'{show(token)}' has a blank in it" if token.strip() else "is empty") + ". A token is one word without blanks."


def _check_label(name: str, value: object) -> Label | None:
    """The label, trimmed; None for an empty list. Whole numbers and true/false become text as in the file."""
    listed = as_list(value)
    if isinstance(listed, list):
        if len(listed) > 1:
            raise MtlError(f"'{show(name)}' has {len(listed)} labels at once, but its column is for one. Set the column to labels, or to "
                           "ignore.")
        if not listed or is_blank(listed[0]):
            return None
        value = listed[0]
    if isinstance(value, dict | list):
        raise MtlError(f"'{show(name)}' holds {a_kind(value)}, a label is needed. Set the column to ignore.")
    label = value.strip() if isinstance(value, str) else json.dumps(value)
    if len(label) > MAX_NAME:
        raise MtlError(f"'{show(name)}' has the label '{show(label)}' of {len(label):,} characters, the limit is {MAX_NAME}. "
                       "Shorten it, or remove the column if it is no task.")
    return Label(label)


_check_text_label = lru_cache(maxsize=1_000)(_check_label)  # the same few labels come again and again


def _check_number(name: str, value: object) -> Number | None:
    """The number; None for NaN, which tables have where there is none."""
    if value != value:
        return None
    number = as_number(value)
    if number is None:
        raise MtlError(f"'{show(name)}' is '{show(value)}', but its column is for numbers. Write one such as 3 or 2.5, leave it empty "
                       "where there is none, or set the column to class or ignore.")
    return Number(number)


def _check_labels(column: Column, value: object) -> Labels:
    """The labels in a list, or in a text between separators."""
    parts = as_list(value)
    if not isinstance(parts, list):
        parts = parts.split(column.scheme) if isinstance(parts, str) and column.scheme else [parts]
    return Labels(str(_check_label(column.name, part)) for part in parts if not is_blank(part))


def _read_members(fields: dict[str, object], labelled: Sequence[Column], mended: list[str]) -> dict[str, Value | None]:
    """The values of tasks of which every label has a column of its own; None if all cells of a task are empty."""
    members: dict[str, dict[str, bool | None]] = {}  # for each task, whether the text has each label
    for column in labelled:
        if column.role == "in":
            value = fields.get(column.name)
            word = "" if is_blank(value) else str(value).strip().casefold()
            if word and word not in YES | NO:
                raise MtlError(f"'{show(column.name)}' is '{show(value)}'. It is a column of one label: 1 or 0, true or false, x or "
                               "nothing is needed.")
            # an empty cell means no, or leaves it open
            members.setdefault(column.task, {})[column.name] = word in YES if word or column.scheme == ONLY_YES else None
    values: dict[str, Value | None] = {}
    for task, answers in members.items():
        empty = sum(answer is None for answer in answers.values())
        values[task] = None if empty == len(answers) else Labels(label for label, answer in answers.items() if answer)
        mended += ["empty"] * (empty if values[task] is not None else 0)
    return values


def _check_tags(column: Column, tags: list, words: Sequence[Range], mended: list[str]) -> Spans:
    """The spans that tags, one per word, mark in the column's scheme."""
    name = column.name
    if len(tags) != len(words):
        raise MtlError(f"{many(len(words), 'token')} but {many(len(tags), 'tag')} in '{show(name)}'. Give one tag per token.")
    if column.survey.numbers or set(map(type, tags)) != {str}:
        tag = next((tag for tag in tags if not isinstance(tag, str)), tags[0])
        kind = "number" if isinstance(tag, str) else KINDS[type(tag)]
        raise MtlError(f"'{show(name)}' has the {kind} '{show(tag)}' for a tag. Names such as O, B-PER and I-PER are needed: write them in "
                       "place of the numbers (only Parquet and saved datasets can have a list of names), or set the column to ignore.")
    tags = column.survey.read(tags)
    different = dict.fromkeys(tags)  # few, also in a long sentence
    for tag in map(str.strip, different):
        if len(tag) > MAX_NAME + 2 or not (TAG.fullmatch(tag) or (tag and column.scheme == "bare")):
            raise MtlError(f"tag '{show(tag)}' in '{show(name)}' is not in BIO form. Use O, B-name and I-name.")
    if any(tag[0].isspace() or tag[-1].isspace() for tag in different):
        tags = [tag.strip() for tag in tags]
    if column.scheme != "IOB2":
        return Spans(to_spans(words, tags, column.scheme))
    if any(tag[0] == "I" for tag in different):
        mended += ["begun" for before, tag in zip(["O", *tags], tags, strict=False) if tag[0] == "I" and before[1:] != tag[1:]]
    return Spans(tags_to_spans(words, tags))


def _without_overlaps(spans: list[Span], mended: list[str], *, nested: bool) -> list[Span]:
    """The spans, one that is there twice once; without those that overlap a longer one, if the tool lets people mark them (`nested`)."""
    once = list(dict.fromkeys(spans))
    mended += ["twice"] * (len(spans) - len(once))
    if not nested:
        return once
    kept: list[Span] = []  # in order
    for span in sorted(once, key=lambda span: span.start - span.end):
        index = bisect(kept, span)
        if any(other.start < span.end and span.start < other.end for other in kept[max(0, index - 1):index + 1]):
            mended.append("overlap")
        else:
            kept.insert(index, span)
    return kept


def _snap(name: str, spans: Sequence[Span], text: str, mended: list[str]) -> Spans:
    """The spans widened to edges of `find_words`, in order."""
    spans = sorted(spans)
    for left, right in zip(spans, spans[1:], strict=False):
        if right.start < left.end:
            raise MtlError(f"in '{show(name)}' {left.start}-{left.end} and {right.start}-{right.end} overlap. Keep one of them.")
    kept: list[Span] = []
    words = find_words(text) if spans else []
    for span in spans:
        wide = snap_to_words(words, span)
        if wide is None:
            mended.append("touches nothing")
        elif kept and wide.start < kept[-1].end:
            mended.append("word taken")
        else:
            kept.append(wide)
            if wide != span:
                mended.append("widened")
    return Spans(kept)


def _check_span(name: str, entry: object, length: int) -> Span:
    if isinstance(entry, list) and len(entry) == 3:
        start, end, label = entry
    elif isinstance(entry, dict) and all(any(alias in entry for alias in names) for names in ALIASES):
        start, end, label = (next(entry[alias] for alias in names if alias in entry) for names in ALIASES)
        label = label[0] if isinstance(label, list) and len(label) == 1 else label
        if isinstance(label, list) and len(label) > 1:
            raise MtlError(f"'{show(name)}' gives {len(label)} labels to {show(start)}-{show(end)} at once. A span has one label per task.")
    else:
        raise MtlError(f"'{show(name)}' lists {show(entry)}. Entities are objects with start, end and label; tags need 'tokens'.")
    if type(start) is not int or type(end) is not int:  # a bool is an int to isinstance
        raise MtlError(f"'{show(name)}' has an entity from {show(start)} to {show(end)}. Whole numbers are needed.")
    if not 0 <= start < end <= length:
        raise MtlError(f"'{show(name)}' has an entity from {show(start)} to {show(end)}, the text has {length:,} characters. "
                       "Start below end; count characters, not bytes.")
    if not isinstance(label, str) or not label.strip() or len(label.strip()) > MAX_NAME:
        raise MtlError(f"'{show(name)}' has {start}-{end} with the label '{show(label)}'. A text of 1 to {MAX_NAME} characters is needed.")
    return Span(start, end, label.strip())
