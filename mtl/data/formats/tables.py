"""CSV, TSV, Parquet and saved datasets into records. In text tables the delimiter and the header are guessed, types are not; lists that
were written into cells as text can be had as lists."""

import ast
import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any

from mtl.data.formats.files import (
    KINDS,
    MAX_LINE,
    MAX_TEXT,
    SAVED,
    SAVED_SPLITS,
    Record,
    Source,
    at_line,
    check_file,
    check_names,
    check_size,
    read_lines,
    show,
    show_names,
)
from mtl.data.store import BATCH, Stored, open_dataset
from mtl.errors import MtlError
from mtl.text import many

KNOWN = {"text", "sentence", "utterance", "query", "content", "tokens", "words", "label", "labels", "tags", "ner_tags", "class", "category",
         "id", "intent", "slots", "topic", "sentiment", "entities"}
DELIMITERS = ",;\t|"
Fields = dict[str, Any]
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
        with at_line(name, first):
            check_names(columns)
        if columns != header:
            source.notice("blanks around the names of columns were removed.")
    if not sample:
        raise MtlError(f"{name}: has a header but no rows. Write one row per text.")
    for part in (sample, lines):
        for line, fields in part:
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
    if not seen:
        return False
    named = any(mark in seen[0] and {cell.strip(' "').casefold() for cell in seen[0].split(mark)} & KNOWN for mark in DELIMITERS)
    return named or (seen[0].count("\t") > 0 and len({line.count("\t") for line in seen}) == 1)


def _csv_fields(name: str, reader: Any) -> Iterator[tuple[int, list[str]]]:
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
        return f"line {start}: a quote that is opened here is never closed. Close it, or double it if it belongs to the text."
    opened = f" of a field opened in line {start}" if start != line else ""
    return f"line {line}: characters after the closing quote{opened}. Double the quotes that belong to a text."


def _delimiter_name(delimiter: str) -> str:
    return {",": "commas", "\t": "TABs"}.get(delimiter, f"'{delimiter}'")


# Parquet files and folders that `datasets` saved. Parquet is not read by `datasets`: that writes all of it to the disk once more first.


def read_parquet(source: Source) -> Iterator[Record]:
    """The rows of a Parquet file."""
    check_file(source.path, "Parquet")
    return _arrow_records(source, "Parquet", _open_parquet)


def read_dataset(source: Source) -> Iterator[Record]:
    """The rows of a folder that `Dataset.save_to_disk` wrote."""
    check_size(source.path)
    if (source.path / SAVED_SPLITS).is_file():
        raise MtlError(f"{source.name}: holds several splits, and one is wanted. Name the folder of that split, which is in it.")
    if not (source.path / SAVED).is_file():
        raise MtlError(f"{source.name}: is a folder, but not one that `datasets` saved: it has no {SAVED}. Name a file instead.")
    return _arrow_records(source, "a saved dataset", _open_dataset)


def _open_parquet(source: Source) -> tuple[list[str], Mapping[str, Any], Iterator[Fields]]:
    """The names of the columns, their features, and the rows."""
    from pyarrow.parquet import ParquetFile

    file = ParquetFile(source.path)
    schema, features = file.schema_arrow, {}
    if b"huggingface" in (schema.metadata or {}):
        from datasets import Features

        try:
            features = Features.from_arrow_schema(schema)
        except (ValueError, TypeError, KeyError, AttributeError):
            source.notice("what it says of its columns cannot be understood; numbers of classes stay numbers.")
    return schema.names, features, (row for batch in file.iter_batches(BATCH) for row in batch.to_pylist())


def _open_dataset(source: Source) -> tuple[list[str], Mapping[str, Any], Iterator[Fields]]:
    try:
        dataset = open_dataset(source.path)
    except IndexError:  # `datasets` fails so where no row was saved
        return [], {}, iter(())
    return dataset.column_names, dataset.features, iter(Stored(dataset, dict))


def _arrow_records(source: Source, format: str, open_rows: Callable[[Source], tuple[list[str], Mapping[str, Any], Iterator[Fields]]]
                   ) -> Iterator[Record]:
    from pyarrow import ArrowException

    number = 0
    try:
        columns, features, rows = open_rows(source)
        with at_line(source.name, 1, "row"):
            check_names(columns)
        for number, row in enumerate(rows, 1):
            with at_line(source.name, number, "row"):
                fields = {column: _plain(value, features.get(column)) for column, value in row.items()}
            yield number, fields
    except UnicodeDecodeError as error:
        raise MtlError(f"{source.name}: has text that is not UTF-8 after row {number}. Write the file anew, in UTF-8.") from error
    except (OSError, ValueError, TypeError, KeyError, ArrowException) as error:
        reason = show(" ".join(str(error).replace(str(source.path), source.name).split()).split(". ")[0], 80)
        raise MtlError(f"{source.name}: cannot be read as {format} ({reason}). Is it whole?") from error
    if not number:
        raise MtlError(f"{source.name}: has columns but no rows. Write one row per text.")


def _plain(value: Any, feature: Any) -> object:
    """A value of a kind that readers know. The number of a class becomes its name, or None if it is -1, which means "not labelled"; dates,
    bytes and decimals become text."""
    if value is None or type(value) is str:
        return value
    if isinstance(value, list):
        return [_plain(part, getattr(feature, "feature", None)) for part in value]
    if isinstance(value, dict):
        return {key: _plain(part, feature.get(key) if isinstance(feature, dict) else None) for key, part in value.items()}
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace") if len(value) < MAX_LINE else f"{len(value):,} bytes"
    names = getattr(feature, "names", None)
    if names is None or type(value) is not int:
        return value if type(value) in KINDS else str(value)
    if not -1 <= value < len(names):
        raise MtlError(f"class number {value} has no name; the file names {many(len(names), 'class')}. Mend the file.")
    return names[value] if value >= 0 else None


# Lists in cells


_STRING = r"'(?:[^'\\]|\\.)*'" + r'|"(?:[^"\\]|\\.)*"'
_NUMPY = re.compile(rf"\[\s*(?:(?:{_STRING})\s+)+(?:{_STRING})\s*\]", re.DOTALL)  # numpy prints lists without commas


def as_list(value: object) -> object:
    """A list that was written into a cell as text, as JSON or as Python or numpy print it; any other value as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] != "[":
        return value
    for read in (json.loads, _read_python):
        with suppress(ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            found = json.dumps(read(value.strip()), ensure_ascii=False)  # fails if it has types that JSON has not
            found.encode()  # fails on broken Unicode
            if found[0] == "[":
                return json.loads(found)
    return value


def _read_python(text: str) -> Any:
    if _NUMPY.fullmatch(text):
        return [ast.literal_eval(part) for part in re.findall(_STRING, text, re.DOTALL)]
    return ast.literal_eval(text)
