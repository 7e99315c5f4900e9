"""CSV and TSV into records. The delimiter and the header are guessed, types are not. Cells with a list in them can be read as lists."""

import ast
import csv
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, islice
from typing import Any

from mtl.data.formats.files import MAX_TEXT, Record, Source, check_names, read_lines, show_names
from mtl.errors import MtlError
from mtl.text import many

KNOWN = {"text", "sentence", "utterance", "query", "content", "tokens", "words", "label", "labels", "tags", "ner_tags", "class", "category",
         "id", "intent", "slots", "topic", "sentiment", "entities"}
DELIMITERS = ",;\t|"
LOOKED_AT = 200  # lines, when the form of a file is found out


def read_csv(source: Source) -> Iterator[Record]:
    """The rows of a CSV or TSV file."""
    name = source.name
    top = next((line for line in read_lines(source.path) if line.strip()), "")
    if not top:
        empty = source.path.stat().st_size <= 3  # a byte order mark is no content
        raise MtlError(f"{name}: {'is empty' if empty else 'has no header row'}. Write the names of the columns in the first line.")
    if top.lstrip().startswith(("{", "[{")):
        raise MtlError(f"{name}: looks like JSON, not CSV. Rename the file to .jsonl, with one object per line.")
    delimiter = _find_delimiter(source, top)
    lines = _csv_fields(name, csv.reader(read_lines(source.path), delimiter=delimiter, strict=True))
    first, header = next(lines)
    sample = list(islice(lines, LOOKED_AT))
    columns = [column.strip() for column in header]
    if _is_data(columns, [fields for _, fields in sample]):
        columns = [f"column {index}" for index in range(1, len(header) + 1)]
        source.notice(f"has no header row; its columns are called {show_names(columns)}.")
        sample.insert(0, (first, header))
    else:
        with source.at(first):
            check_names(columns)
        if columns != header:
            source.notice("blanks around the names of columns were removed.")
    if not sample:
        raise MtlError(f"{name}: has a header but no rows. Write one row per text.")
    for line, fields in chain(sample, lines):
        if len(fields) != len(columns):
            advice = (f"Put texts that contain {_delimiter_name(delimiter)} in double quotes." if len(fields) > len(columns)
                      else "Give every row all columns; leave a cell empty where there is nothing to say.")
            raise MtlError(f"{name}, line {line}: has {many(len(fields), 'field')}, the header has {len(columns)}. {advice}")
        yield line, dict(zip(columns, fields, strict=True))


def _find_delimiter(source: Source, top: str) -> str:
    """What separates the columns: the usual one, but another if only that cuts the first lines into the same number of fields."""
    usual = "\t" if source.path.suffix.lower() == ".tsv" else ","
    likely = sorted((mark for mark in DELIMITERS if mark in top), key=lambda mark: (mark != usual, -top.count(mark)))
    even = (mark for mark in likely if len(likely) > 1 and _is_even(read_lines(source.path), mark))
    delimiter = next(even, next(iter(likely), usual))
    if delimiter != usual:
        source.notice(f"the columns are separated by {_delimiter_name(delimiter)}.")
    return delimiter


def _is_even(lines: Iterator[str], delimiter: str) -> bool:
    """Whether the first lines have as many fields each, if they are cut there."""
    try:
        rows = list(islice(csv.reader(lines, delimiter=delimiter, strict=True), 20))
    except csv.Error:
        return False
    return len({len(row) for row in rows if row}) == 1


def _is_data(top: list[str], rows: list[list[str]]) -> bool:
    """Whether the first line is a row like the others, and not the names of the columns."""
    if {cell.casefold() for cell in top} & KNOWN or not rows or not all(top):
        return False
    again = any(cell in {row[index].strip() for row in rows if index < len(row)} for index, cell in enumerate(top))
    return again or any(len(cell.split()) > 5 or len(cell) > 64 for cell in top)


def looks_like_table(lines: Iterator[str]) -> bool:
    """Whether the lines of a file named .txt are a table's: a TAB in each, or the usual names of columns in the first."""
    seen = [line.rstrip("\r\n") for line in islice(lines, LOOKED_AT) if line.strip()]
    top = seen[0] if seen else ""
    named = any(mark in top and {cell.strip(' "').casefold() for cell in top.split(mark)} & KNOWN for mark in DELIMITERS)
    return named or ("\t" in top and len({line.count("\t") for line in seen}) == 1)


def _csv_fields(name: str, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not blank, with the line where it begins."""
    start = 1
    try:
        for fields in reader:
            if len(fields) > 1 or any(map(str.strip, fields)):
                yield start, fields
            start = reader.line_num + 1
    except csv.Error as error:
        raise MtlError(f"{name}, {_csv_trouble(str(error), start, reader.line_num)}") from error


def _csv_trouble(error: str, start: int, line: int) -> str:
    if "field larger" in error:
        return f"line {start}: a text has over {csv.field_size_limit():,} characters, the limit is {MAX_TEXT:,}. Is a quote never closed?"
    if "unexpected end" in error:
        return f"line {start}: a quote that is opened here is never closed. Close it, or double it if it belongs to the text."
    opened = f" of a field opened in line {start}" if start != line else ""
    return f"line {line}: characters after the closing quote{opened}. Double the quotes that belong to a text."


def _delimiter_name(delimiter: str) -> str:
    return {",": "commas", "\t": "TABs"}.get(delimiter, f"'{delimiter}'")


_STRING = r"'(?:[^'\\]|\\.)*'" + r'|"(?:[^"\\]|\\.)*"'
_NUMPY = re.compile(rf"\[\s*(?:(?:{_STRING})\s+)+(?:{_STRING})\s*\]", re.DOTALL)  # numpy prints lists without commas


def as_list(value: object) -> object:
    """The list that a cell holds as text, as JSON or as Python or numpy print it; any other value as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] != "[":
        return value
    text = value.strip()
    for read in (json.loads, _read_python):
        with suppress(ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            found = read(text)
            if "\\" in text:
                json.dumps(found, ensure_ascii=False).encode()  # fails on half of a surrogate pair, which only an escape can make
            if isinstance(found, list):
                return found
    return value


def _read_python(text: str) -> Any:
    """The literal in `text`, its tuples as lists; raises ValueError or TypeError if it has types that JSON lacks."""
    numpy = _NUMPY.fullmatch(text)
    found = [ast.literal_eval(part) for part in re.findall(_STRING, text, re.DOTALL)] if numpy else ast.literal_eval(text)
    return json.loads(json.dumps(found))
