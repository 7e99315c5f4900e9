"""Files into rows: CSV and TSV with a header row, and JSON lines. Everything a user's file can have wrong is found here, once.

A bad file ends in one MtlError with its line; what was mended or left out is told in the table's notices. Knows nothing of runs and
models, decompresses nothing, and guesses no types: a label is the text that stands in the file."""

import codecs
import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn
from unicodedata import normalize

from mtl.config import MAX_LABELS, TaskSpec
from mtl.data.rows import Row, Table, Value, count_labels
from mtl.data.words import Range, Span, find_words, snap_to_words, tags_to_spans
from mtl.errors import MtlError

MAX_BYTES, MAX_LINE, MAX_TEXT, MAX_NAME, MAX_COLUMNS, MAX_WORDS = 200_000_000, 1_000_000, 20_000, 64, 64, 2_000
TEXT_NAMES = ("text", "sentence", "utterance", "query", "content")
TOKEN_NAMES = ("tokens", "words")
DELIMITERS = {".csv": ",", ".tsv": "\t"}
JSON_SUFFIXES = (".jsonl", ".json", ".ndjson")
KINDS = {str: "text", bool: "true/false", int: "number", float: "number", list: "list", dict: "object", type(None): "null"}
MAGIC = {
    b"\x89PNG": "a PNG image", b"\xff\xd8\xff": "a JPEG image", b"%PDF-": "a PDF document", b"PAR1\x15": "Parquet",
    b"PK\x03\x04": "an Excel or zip file", b"\xd0\xcf\x11\xe0": "an old Excel file", b"\x1f\x8b": "gzip-compressed",
    b"\x28\xb5\x2f\xfd": "zstd-compressed", b"\xfd7zXZ\0": "xz-compressed", b"BZh91AY": "bzip2-compressed",
    b"\xff\xfe\0\0": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16",
}
# What is mended in a row, and how the notice tells it.
REPAIRED = "I- tag(s) without a B- before them were read as B-"
WIDENED = "entity span(s) that cut a word were widened to the whole word"
TOUCHES_NOTHING = "entity span(s) that touch no word were left out"
WORD_TAKEN = "entity span(s) were left out because an earlier one has their word"

Record = tuple[int, dict[str, object]]  # the line where it begins (from 1), and its columns
_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
_TAG = re.compile(r"O|[BI]-\S.*", re.DOTALL)


def read_file(path: Path, text_column: str = "", tasks: Sequence[str] = ()) -> Table:
    """The rows of the file at `path`, the tasks found in it, and notices about what was mended or left out.

    The text is in `text_column`, or else found by its name. Columns that look like free text or ids are no tasks, unless `tasks`
    names them. Raises MtlError, with the file's name and line, if anything in the file is wrong.
    """
    name, suffix = _show(path.name, 36), path.suffix.lower()
    if suffix not in DELIMITERS and suffix not in JSON_SUFFIXES:
        raise MtlError(f"{name}: this kind of file cannot be read. Give .csv, .tsv, or .jsonl (also named .json or .ndjson).")
    notices: list[str] = []
    text = _read_text(path, name)
    records = _parse_csv(name, text, DELIMITERS[suffix], notices) if suffix in DELIMITERS else _parse_jsonl(name, text)
    column = _text_column(name, records, text_column)
    if not column:
        if suffix in JSON_SUFFIXES:
            raise MtlError(f"{name}, line {records[0][0]}: no text among its keys ({_names(records[0][1])}). "
                           "Name one 'text', or set the text column.")
        column = max(records[0][1], key=lambda key: sum(len(str(fields[key])) for _, fields in records))
        notices.append(f"{name}: no column is named 'text'; '{_show(column)}' is taken for it, because its texts are the longest.")
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
            notices.append(f"{name}: '{_show(key)}' is not taken for a task: {reason}.")
        else:
            specs.append(TaskSpec(name=key, kind="tagging" if kind == "list" else "classification"))
    rows: list[Row] = []
    mended: dict[str, list[int]] = {}
    for line, fields in records:
        with _at(name, line):
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
        raise MtlError(f"there is no '{_show(column)}'. Every line needs one.")
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
        raise MtlError(f"'{_show(key)}' is {KINDS[type(value)]}, a text is needed.")
    if not value.strip():
        raise MtlError(f"'{_show(key)}' is empty. Give every row a text, or remove the row.")
    if len(value) > MAX_TEXT:
        raise MtlError(f"'{_show(key)}' has {len(value):,} characters, the limit is {MAX_TEXT:,}. Cut the text into parts.")
    return value


def _check_tokens(key: str, value: object) -> tuple[str, tuple[Range, ...]]:
    """The tokens joined by blanks, and the range of each."""
    if not isinstance(value, list):
        raise MtlError(f"'{_show(key)}' is {KINDS[type(value)]}, a list of texts is needed.")
    if not value:
        raise MtlError(f"'{_show(key)}' has no tokens. Give every row a sentence, or remove the row.")
    if len(value) > MAX_WORDS:
        raise MtlError(f"'{_show(key)}' has {len(value):,} tokens, the limit is {MAX_WORDS:,}. Cut the text into sentences.")
    words, end = [], -1
    for index, token in enumerate(value, 1):
        if not isinstance(token, str):
            raise MtlError(f"token {index} of '{_show(key)}' is {KINDS[type(token)]}, a text is needed.")
        if token.split() != [token]:
            found = f"'{_show(token)}' has a blank in it" if token.strip() else "is empty"
            raise MtlError(f"token {index} of '{_show(key)}' {found}. A token is one word without blanks.")
        start, end = end + 1, end + 1 + len(token)
        words.append((start, end))
    return _check_text(key, " ".join(value)), tuple(words)


def _check_label(key: str, value: object) -> str:
    """The label, trimmed; whole numbers and true/false become the text that stands in the file."""
    label = value.strip() if isinstance(value, str) else json.dumps(value)
    if len(label) > MAX_NAME:
        raise MtlError(f"'{_show(key)}' has the label '{_show(label)}' of {len(label):,} characters, the limit is {MAX_NAME}. "
                       "Shorten it, or remove the column if it is no task.")
    return label


def _check_tags(key: str, value: object, words: tuple[Range, ...], mended: list[str]) -> tuple[Span, ...]:
    """The spans that a list of BIO tags, one per word, marks."""
    assert isinstance(value, list)
    if len(value) != len(words):
        raise MtlError(f"{len(words):,} tokens but {len(value):,} tags in '{_show(key)}'. Give one tag per token.")
    before, tags = "O", []
    for tag in value:
        if not isinstance(tag, str):
            raise MtlError(f"'{_show(key)}' has {KINDS[type(tag)]} '{_show(tag)}' for a tag. Names such as O, B-PER and I-PER are needed.")
        tag = tag.strip()
        if not _TAG.fullmatch(tag) or len(tag) > MAX_NAME + 2:
            raise MtlError(f"tag '{_show(tag)}' in '{_show(key)}' is not in BIO form. Use O, B-name and I-name.")
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
            raise MtlError(f"in '{_show(key)}' {left.start}-{left.end} and {right.start}-{right.end} overlap. Keep one of them.")
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
        raise MtlError(f"'{_show(key)}' lists {_show(entry)}. Entities are objects with start, end and label; tags need 'tokens'.")
    start, end, label = entry["start"], entry["end"], entry["label"]
    if type(start) is not int or type(end) is not int:  # a bool is an int to isinstance
        raise MtlError(f"'{_show(key)}' has an entity from {_show(start)} to {_show(end)}. Whole numbers are needed.")
    if not 0 <= start < end <= length:
        raise MtlError(f"'{_show(key)}' has an entity from {_show(start)} to {_show(end)}, the text has {length:,} characters. "
                       "Start below end; count characters, not bytes.")
    if not isinstance(label, str) or not label.strip() or len(label.strip()) > MAX_NAME:
        raise MtlError(f"'{_show(key)}' has {start}-{end} with label {_show(label)}. A text of 1 to {MAX_NAME} characters is needed.")
    return Span(start, end, label.strip())


def _text_column(name: str, records: list[Record], asked: str) -> str:
    """The column that holds the text (or the tokens): the one asked for, or found by its name in the first record; else ''."""
    first = records[0][1]
    folded = {key.casefold(): key for key in reversed(first)}
    if asked:
        if asked not in first and asked.casefold() not in folded:
            raise MtlError(f"{name}: there is no column '{_show(asked)}'. The columns are: {_names(first)}.")
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
            with _at(name, line):
                if before is None:
                    _check_names([*kinds, column, key])
                elif "null" not in (kind, before):
                    shown = f"{kind} {_show(value)}" if kind in ("number", "true/false") else kind
                    raise MtlError(f"'{_show(key)}' is {shown}, earlier ones are {before}. Use one kind in all lines.")
            if before in (None, "null"):
                kinds[key] = kind
    return kinds


def _check_names(columns: Sequence[str]) -> None:
    if len(columns) > MAX_COLUMNS:
        raise MtlError(f"there are {len(columns):,} columns, the limit is {MAX_COLUMNS}. Remove those that are no tasks.")
    for index, column in enumerate(columns, 1):
        if not column.strip():
            raise MtlError(f"column {index} has no name. Give every column a name, or remove it.")
        if len(column) > MAX_NAME or not column.isprintable():
            raise MtlError(f"column {index} has the name '{_show(column)}'. Use up to {MAX_NAME} characters that can be shown.")
        if column in columns[:index - 1]:
            raise MtlError(f"column '{_show(column)}' appears twice. Give every column its own name.")


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
            yield f"the labels '{_show(twin)}' and '{_show(label)}' of '{_show(task)}' differ only by case or accents; they are kept apart."


def _read_text(path: Path, name: str) -> str:
    try:
        if not path.is_file():
            raise MtlError(f"{name}: there is no such file.")
        if path.stat().st_size > MAX_BYTES:
            raise MtlError(f"{name}: has {path.stat().st_size / 1e6:,.1f} MB, the limit is {MAX_BYTES / 1e6:,.0f} MB. Split the file.")
        data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise MtlError(f"{name}: cannot be opened ({error.strerror}).") from error
    found = next((what for magic, what in MAGIC.items() if data.startswith(magic)), "")
    if data[:200].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        found = "a web page"
    if found:
        raise MtlError(f"{name}: is {found}, not plain text. Save the data as CSV or JSONL in UTF-8.")
    if b"\0" in data:
        raise MtlError(f"{name}, line {_line_of(data, data.index(0))}: contains NUL bytes: not a text file. Save the data as UTF-8 text.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = _line_of(data, error.start)
        raise MtlError(f"{name}, line {line}: byte 0x{data[error.start]:02X} is not UTF-8. Save the file as UTF-8.") from error


def _line_of(data: bytes, index: int) -> int:
    return 1 + data.count(b"\n", 0, index) + data.count(b"\r", 0, index) - data.count(b"\r\n", 0, index)


def _lines(name: str, text: str) -> Iterator[str]:
    """The physical lines (ended by CR, LF or both; str.splitlines would also cut at U+2028), not copied all at once."""
    for number, match in enumerate(_LINE.finditer(text), 1):
        length = match.end() - match.start()
        if length > MAX_LINE:
            raise MtlError(f"{name}, line {number}: has {length:,} characters, the limit is {MAX_LINE:,}. Write one row per line.")
        yield match.group()


def _parse_csv(name: str, text: str, delimiter: str, notices: list[str]) -> list[Record]:
    top = next((line for line in _lines(name, text) if line.strip()), "")
    if not top:
        raise MtlError(f"{name}: {'has no header row' if text else 'is empty'}. Write the names of the columns in the first line.")
    if top.lstrip().startswith(("{", "[{")):
        raise MtlError(f"{name}: looks like JSON, not CSV. Rename the file to .jsonl, with one object per line.")
    likely = max(",;\t|", key=top.count)
    if delimiter not in top and likely in top:
        delimiter = likely
        notices.append(f"{name}: the columns are separated by {_delimiter_name(delimiter)}.")
    lines = _csv_fields(name, csv.reader(_lines(name, text), delimiter=delimiter, strict=True))
    first, header = next(lines)
    columns = [column.strip() for column in header]
    with _at(name, first):
        _check_names(columns)
    if columns != header:
        notices.append(f"{name}: blanks around the names of columns were removed.")
    records: list[Record] = []
    for line, fields in lines:
        if len(fields) != len(columns):
            raise MtlError(f"{name}, line {line}: has {len(fields):,} field(s), the header has {len(columns)}. "
                           f"Put texts that contain {_delimiter_name(delimiter)} in double quotes.")
        records.append((line, dict(zip(columns, fields, strict=True))))
    if not records:
        raise MtlError(f"{name}: has a header but no rows. Write one row per text.")
    return records


def _csv_fields(name: str, reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not blank, with the line where it begins."""
    while True:
        start = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise MtlError(f"{name}, {_csv_trouble(str(error), start, reader.line_num)}") from error
        if len(fields) > 1 or any(map(str.strip, fields)):
            yield start, fields


def _csv_trouble(error: str, start: int, line: int) -> str:
    if "field larger" in error:
        return f"line {start}: a text has over {csv.field_size_limit():,} characters, the limit is {MAX_TEXT:,}. Is a quote never closed?"
    if "unexpected end" in error:
        return f"line {start}: a quote opened in line {start} is never closed. Close it, or double it if it belongs to the text."
    opened = f" of a field opened in line {start}" if start != line else ""
    return f"line {line}: characters after the closing quote{opened}. Double the quotes that belong to a text."


def _delimiter_name(delimiter: str) -> str:
    return {",": "commas", "\t": "TABs"}.get(delimiter, f"'{delimiter}'")


def _parse_jsonl(name: str, text: str) -> list[Record]:
    if not text.strip():
        raise MtlError(f"{name}: is empty. Write one JSON object per line.")
    if text.lstrip().startswith("["):
        raise MtlError(f"{name}: is a JSON array. Write one object per line, without the brackets and commas around them.")
    decoder = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    records: list[Record] = []
    for line, source in enumerate(_lines(name, text), 1):
        if source.strip():
            with _at(name, line):
                records.append((line, _parse_object(decoder, source.strip())))
    return records


def _parse_object(decoder: json.JSONDecoder, source: str) -> dict[str, object]:
    try:
        fields = decoder.decode(source)
        if "\\ud" in source.lower():  # only an escape can make a lone surrogate
            json.dumps(fields, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        if error.pos >= len(source) or error.msg.startswith("Unterminated"):
            raise MtlError("the object is not closed. Write one whole object per line; is the file cut off?") from error
        raise MtlError(f"column {error.pos + 1} is not JSON: {error.msg.lower().removesuffix(' at')}. Mend it there.") from error
    except UnicodeEncodeError as error:
        raise MtlError("broken Unicode: half of a surrogate pair. Write the character itself.") from error
    except ValueError as error:  # int() of more than 4,300 digits
        raise MtlError("a number is too long. Put it in quotes, or remove it.") from error
    except RecursionError as error:
        raise MtlError("nested too deeply. Write one flat object per line.") from error
    if not isinstance(fields, dict):
        raise MtlError(f"is {KINDS[type(fields)]}, an object such as {{\"text\": \"...\", \"topic\": \"...\"}} is needed.")
    return fields


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        keys = [key for key, _ in pairs]
        raise MtlError(f"key '{_show(next(key for key in keys if keys.count(key) > 1))}' appears twice. Keep one of them.")
    return fields


def _no_constant(constant: str) -> NoReturn:
    raise MtlError(f"{constant} is not allowed in JSON. Write null where there is no value.")


@contextmanager
def _at(name: str, line: int) -> Iterator[None]:
    """Gives an MtlError from inside its place in the file."""
    try:
        yield
    except MtlError as error:
        raise MtlError(f"{name}, line {line}: {error}") from error


def _show(value: object, limit: int = 30) -> str:
    """A user's value in a message: short, and only characters that can be shown."""
    text = value if isinstance(value, str) else f"a {KINDS[type(value)]}" if isinstance(value, list | dict) else json.dumps(value)
    shown = "".join(character if character.isprintable() else "\ufffd" for character in text[:limit])
    return shown + "…" if len(text) > limit else shown


def _names(columns: Iterable[str]) -> str:
    return _show(", ".join(columns), 80) or "none"
