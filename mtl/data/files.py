"""A user's file into records: bytes checked and decoded, CSV, TSV and JSON lines cut into named fields. Decompresses nothing and guesses
no types. What the fields mean is for readers.py."""

import codecs
import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from mtl.errors import MtlError

MAX_BYTES, MAX_LINE, MAX_TEXT, MAX_NAME, MAX_COLUMNS = 200_000_000, 1_000_000, 20_000, 64, 64
DELIMITERS = {".csv": ",", ".tsv": "\t"}
JSON_SUFFIXES = (".jsonl", ".json", ".ndjson")
KINDS = {str: "text", bool: "true/false", int: "number", float: "number", list: "list", dict: "object", type(None): "null"}
MAGIC = {
    b"\x89PNG": "a PNG image", b"\xff\xd8\xff": "a JPEG image", b"%PDF-": "a PDF document", b"PAR1\x15": "Parquet",
    b"PK\x03\x04": "an Excel or zip file", b"\xd0\xcf\x11\xe0": "an old Excel file", b"\x1f\x8b": "gzip-compressed",
    b"\x28\xb5\x2f\xfd": "zstd-compressed", b"\xfd7zXZ\0": "xz-compressed", b"BZh91AY": "bzip2-compressed",
    b"\xff\xfe\0\0": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16",
}

Record = tuple[int, dict[str, object]]  # the line where it begins (from 1), and its columns
_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")


def read_records(path: Path, notices: list[str]) -> list[Record]:
    """The records of the file at `path`, at least one; what was found out about its form is added to `notices`.

    Raises MtlError, with the file's name and line, if it is no such file.
    """
    name, suffix = file_name(path), path.suffix.lower()
    if suffix not in DELIMITERS and suffix not in JSON_SUFFIXES:
        raise MtlError(f"{name}: this kind of file cannot be read. Give .csv, .tsv, or .jsonl (also named .json or .ndjson).")
    text = _read_text(path, name)
    return _parse_csv(name, text, DELIMITERS[suffix], notices) if suffix in DELIMITERS else _parse_jsonl(name, text)


def file_name(path: Path) -> str:
    """The name of a file as messages give it; never its folder."""
    return show(path.name, 36)


def check_names(columns: Sequence[str]) -> None:
    """Raises MtlError unless these can be the names of columns."""
    if len(columns) > MAX_COLUMNS:
        raise MtlError(f"there are {len(columns):,} columns, the limit is {MAX_COLUMNS}. Remove those that are no tasks.")
    for index, column in enumerate(columns, 1):
        if not column.strip():
            raise MtlError(f"column {index} has no name. Give every column a name, or remove it.")
        if len(column) > MAX_NAME or not column.isprintable():
            raise MtlError(f"column {index} has the name '{show(column)}'. Use up to {MAX_NAME} characters that can be shown.")
        if column in columns[:index - 1]:
            raise MtlError(f"column '{show(column)}' appears twice. Give every column its own name.")


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
    with at_line(name, first):
        check_names(columns)
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
            with at_line(name, line):
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
        raise MtlError(f"key '{show(next(key for key in keys if keys.count(key) > 1))}' appears twice. Keep one of them.")
    return fields


def _no_constant(constant: str) -> NoReturn:
    raise MtlError(f"{constant} is not allowed in JSON. Write null where there is no value.")


@contextmanager
def at_line(name: str, line: int) -> Iterator[None]:
    """Gives an MtlError from inside its place in the file."""
    try:
        yield
    except MtlError as error:
        raise MtlError(f"{name}, line {line}: {error}") from error


def show(value: object, limit: int = 30) -> str:
    """A user's value in a message: short, and only characters that can be shown."""
    text = value if isinstance(value, str) else f"a {KINDS[type(value)]}" if isinstance(value, list | dict) else json.dumps(value)
    shown = "".join(character if character.isprintable() else "\ufffd" for character in text[:limit])
    return shown + "…" if len(text) > limit else shown


def show_names(columns: Iterable[str]) -> str:
    """The names of columns in a message."""
    return show(", ".join(columns), 80) or "none"
