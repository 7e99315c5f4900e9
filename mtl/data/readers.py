"""Records into rows: which column is the text, which are tasks, and every label, tag and span checked. What was mended or left out is told
in the table's notices. Knows no bytes (files.py does) and no models; a label is the text that stands in the file."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from unicodedata import normalize

from mtl.config import MAX_LABELS, TaskSpec
from mtl.data.files import JSON_SUFFIXES, KINDS, MAX_NAME, MAX_TEXT, Record, at_line, check_names, file_name, read_records, show, show_names
from mtl.data.rows import Row, Table, Value, count_labels
from mtl.data.words import Range, Span, find_words, snap_to_words, tags_to_spans
from mtl.errors import MtlError

MAX_WORDS = 2_000
TEXT_NAMES = ("text", "sentence", "utterance", "query", "content")
TOKEN_NAMES = ("tokens", "words")
# What is mended in a row, and how the notice tells it.
REPAIRED = "I- tag(s) without a B- before them were read as B-"
WIDENED = "entity span(s) that cut a word were widened to the whole word"
TOUCHES_NOTHING = "entity span(s) that touch no word were left out"
WORD_TAKEN = "entity span(s) were left out because an earlier one has their word"

_TAG = re.compile(r"O|[BI]-\S.*", re.DOTALL)


def read_file(path: Path, text_column: str = "", tasks: Sequence[str] = ()) -> Table:
    """The rows of the file at `path`, the tasks found in it, and notices about what was mended or left out.

    The text is in `text_column`, or else found by its name. Columns that look like free text or ids are no tasks, unless `tasks`
    names them. Raises MtlError, with the file's name and line, if anything in the file is wrong.
    """
    name = file_name(path)
    notices: list[str] = []
    records = read_records(path, notices)
    column = _text_column(name, records, text_column)
    if not column:
        if path.suffix.lower() in JSON_SUFFIXES:
            raise MtlError(f"{name}, line {records[0][0]}: no text among its keys ({show_names(records[0][1])}). "
                           "Name one 'text', or set the text column.")
        column = max(records[0][1], key=lambda key: sum(len(str(fields[key])) for _, fields in records))
        notices.append(f"{name}: no column is named 'text'; '{show(column)}' is taken for it, because its texts are the longest.")
    return _make_table(name, records, column, tasks, notices)


def _make_table(name: str, records: list[Record], column: str, tasks: Sequence[str], notices: list[str]) -> Table:
    """The records as rows, with the text in `column`."""
    tokenised = column.casefold() in TOKEN_NAMES and isinstance(records[0][1].get(column), list)
    specs: list[TaskSpec] = []
    for key, kind in _column_kinds(name, records, column).items():
        reason = _why_no_task(kind, [fields[key] for _, fields in records if not _blank(fields.get(key))], key in tasks)
        if tokenised and key.casefold() in TEXT_NAMES:
            reason = "the text is made of the tokens"
        if reason:
            notices.append(f"{name}: '{show(key)}' is not taken for a task: {reason}.")
        else:
            specs.append(TaskSpec(name=key, kind="tagging" if kind == "list" else "classification"))
    rows: list[Row] = []
    mended: dict[str, list[int]] = {}
    for line, fields in records:
        with at_line(name, line):
            row, what = _make_row(fields, column, specs, tokenised)
        rows.append(row)
        for kind in what:
            mended.setdefault(kind, []).append(line)
    notices += [f"{name}: {len(lines)} {kind} (first in line {lines[0]})." for kind, lines in mended.items()]
    notices += [f"{name}: {twins}" for spec in specs for twins in _label_twins(rows, spec.name)]
    if not specs:
        notices.append(f"{name}: no task was found in it.")
    return Table(rows, specs, notices)


def _make_row(fields: dict[str, object], column: str, specs: list[TaskSpec], tokenised: bool) -> tuple[Row, list[str]]:
    """One record as a row, and what had to be mended in it."""
    mended: list[str] = []
    values: dict[str, Value] = {}
    if column not in fields:
        raise MtlError(f"there is no '{show(column)}'. Every line needs one.")
    text, words = _check_tokens(column, fields[column]) if tokenised else (_check_text(column, fields[column]), None)
    for spec in specs:
        value = fields.get(spec.name)
        if _blank(value):
            values[spec.name] = None
        elif spec.kind == "classification":
            values[spec.name] = _check_label(spec.name, value)
        elif words is not None:
            values[spec.name] = _check_tags(spec.name, value, words, mended)
        else:
            values[spec.name] = _check_spans(spec.name, value, text, mended)
    return Row(text, values, words), mended


def _blank(value: object) -> bool:
    """Whether a cell or a key says nothing: the row is not labelled for this task."""
    return value is None or (isinstance(value, str) and not value.strip())


def _check_text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise MtlError(f"'{show(key)}' is {KINDS[type(value)]}, a text is needed.")
    if not value.strip():
        raise MtlError(f"'{show(key)}' is empty. Give every row a text, or remove the row.")
    if len(value) > MAX_TEXT:
        raise MtlError(f"'{show(key)}' has {len(value):,} characters, the limit is {MAX_TEXT:,}. Cut the text into parts.")
    return value


def _check_tokens(key: str, value: object) -> tuple[str, tuple[Range, ...]]:
    """The tokens joined by blanks, and the range of each."""
    if not isinstance(value, list):
        raise MtlError(f"'{show(key)}' is {KINDS[type(value)]}, a list of texts is needed.")
    if not value:
        raise MtlError(f"'{show(key)}' has no tokens. Give every row a sentence, or remove the row.")
    if len(value) > MAX_WORDS:
        raise MtlError(f"'{show(key)}' has {len(value):,} tokens, the limit is {MAX_WORDS:,}. Cut the text into sentences.")
    words, end = [], -1
    for index, token in enumerate(value, 1):
        if not isinstance(token, str):
            raise MtlError(f"token {index} of '{show(key)}' is {KINDS[type(token)]}, a text is needed.")
        if token.split() != [token]:
            found = f"'{show(token)}' has a blank in it" if token.strip() else "is empty"
            raise MtlError(f"token {index} of '{show(key)}' {found}. A token is one word without blanks.")
        start, end = end + 1, end + 1 + len(token)
        words.append((start, end))
    return _check_text(key, " ".join(value)), tuple(words)


def _check_label(key: str, value: object) -> str:
    """The label, trimmed; whole numbers and true/false become the text that stands in the file."""
    label = value.strip() if isinstance(value, str) else json.dumps(value)
    if len(label) > MAX_NAME:
        raise MtlError(f"'{show(key)}' has the label '{show(label)}' of {len(label):,} characters, the limit is {MAX_NAME}. "
                       "Shorten it, or remove the column if it is no task.")
    return label


def _check_tags(key: str, value: object, words: tuple[Range, ...], mended: list[str]) -> tuple[Span, ...]:
    """The spans that a list of BIO tags, one per word, marks."""
    assert isinstance(value, list)
    if len(value) != len(words):
        raise MtlError(f"{len(words):,} tokens but {len(value):,} tags in '{show(key)}'. Give one tag per token.")
    before, tags = "O", []
    for tag in value:
        if not isinstance(tag, str):
            raise MtlError(f"'{show(key)}' has {KINDS[type(tag)]} '{show(tag)}' for a tag. Names such as O, B-PER and I-PER are needed.")
        tag = tag.strip()
        if not _TAG.fullmatch(tag) or len(tag) > MAX_NAME + 2:
            raise MtlError(f"tag '{show(tag)}' in '{show(key)}' is not in BIO form. Use O, B-name and I-name.")
        if tag[0] == "I" and before[1:] != tag[1:]:
            mended.append(REPAIRED)
        before = tag
        tags.append(tag)
    return tuple(tags_to_spans(words, tags))


def _check_spans(key: str, value: object, text: str, mended: list[str]) -> tuple[Span, ...]:
    """The entity objects of a list as spans on word edges, in order."""
    assert isinstance(value, list)
    spans = sorted(_check_span(key, entry, len(text)) for entry in value)
    for left, right in zip(spans, spans[1:], strict=False):
        if right.start < left.end:
            raise MtlError(f"in '{show(key)}' {left.start}-{left.end} and {right.start}-{right.end} overlap. Keep one of them.")
    words = find_words(text) if spans else []
    kept: list[Span] = []
    for span in spans:
        wide = snap_to_words(words, span)
        if wide is None:
            mended.append(TOUCHES_NOTHING)
        elif kept and wide.start < kept[-1].end:
            mended.append(WORD_TAKEN)
        else:
            kept.append(wide)
            if wide != span:
                mended.append(WIDENED)
    return tuple(kept)


def _check_span(key: str, entry: object, length: int) -> Span:
    if not isinstance(entry, dict) or not {"start", "end", "label"} <= entry.keys():
        raise MtlError(f"'{show(key)}' lists {show(entry)}. Entities are objects with start, end and label; tags need 'tokens'.")
    start, end, label = entry["start"], entry["end"], entry["label"]
    if type(start) is not int or type(end) is not int:  # a bool is an int to isinstance
        raise MtlError(f"'{show(key)}' has an entity from {show(start)} to {show(end)}. Whole numbers are needed.")
    if not 0 <= start < end <= length:
        raise MtlError(f"'{show(key)}' has an entity from {show(start)} to {show(end)}, the text has {length:,} characters. "
                       "Start below end; count characters, not bytes.")
    if not isinstance(label, str) or not label.strip() or len(label.strip()) > MAX_NAME:
        raise MtlError(f"'{show(key)}' has {start}-{end} with label {show(label)}. A text of 1 to {MAX_NAME} characters is needed.")
    return Span(start, end, label.strip())


def _text_column(name: str, records: list[Record], asked: str) -> str:
    """The column that holds the text (or the tokens): the one asked for, or found by its name in the first record; else ''."""
    first = records[0][1]
    folded = {key.casefold(): key for key in reversed(first)}
    if asked:
        if asked not in first and asked.casefold() not in folded:
            raise MtlError(f"{name}: there is no column '{show(asked)}'. The columns are: {show_names(first)}.")
        return asked if asked in first else folded[asked.casefold()]
    tokens = [folded[key] for key in TOKEN_NAMES if key in folded and isinstance(first[folded[key]], list)]
    return next(iter(tokens + [folded[key] for key in TEXT_NAMES if key in folded]), "")


def _column_kinds(name: str, records: list[Record], column: str) -> dict[str, str]:
    """What each column but the text's holds ('null': nothing in any row), in order of first appearance."""
    kinds: dict[str, str] = {}
    for line, fields in records:
        for key, value in fields.items():
            kind = "null" if _blank(value) else KINDS[type(value)]
            before = kinds.get(key)
            if kind == before or key == column:
                continue
            with at_line(name, line):
                if before is None:
                    check_names([*kinds, column, key])
                elif "null" not in (kind, before):
                    shown = f"{kind} {show(value)}" if kind in ("number", "true/false") else kind
                    raise MtlError(f"'{show(key)}' is {shown}, earlier ones are {before}. Use one kind in all lines.")
            if before in (None, "null"):
                kinds[key] = kind
    return kinds


def _why_no_task(kind: str, values: list, declared: bool) -> str:
    """Why a column cannot be a task; '' if it can."""
    if kind in ("null", "object"):
        return "no row has a value" if kind == "null" else "it holds objects"
    if any(isinstance(value, float) for value in values):
        return "it holds numbers with a fraction"
    if kind == "list" or declared:
        return ""
    different = len({str(value).strip() for value in values})
    if different > MAX_LABELS or (len(values) >= 20 and different > len(values) / 2):
        return f"{different:,} different values in {len(values):,} rows look like free text or ids"
    return ""


def _label_twins(rows: list[Row], task: str) -> Iterator[str]:
    seen: dict[str, str] = {}
    for label in count_labels(rows, task):
        twin = seen.setdefault(normalize("NFC", label).casefold(), label)
        if twin != label:
            yield f"the labels '{show(twin)}' and '{show(label)}' of '{show(task)}' differ only by case or accents; they are kept apart."
