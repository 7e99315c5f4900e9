"""Tables (CSV, TSV, sheets) into records. Delimiter, quoting and header are guessed by content, types are not. Cells can hold lists."""

import ast
import csv
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain, dropwhile, islice, permutations
from typing import Any

from mtl.data.formats.files import MAX_TEXT, Record, Source, are_names_of_words, read_lines, show_names
from mtl.data.formats.headers import AROUND, FEW, KNOWN, TOP, Fields, count_notes, find_header, is_numbering, is_row, name_columns
from mtl.data.formats.quoting import Quoting, find_quoting
from mtl.errors import MtlError
from mtl.text import many

DELIMITERS = ",;\t|"
LOOKED_AT = 200  # lines, when the form of a file is found out
NO_HEADER = "has no header row; its columns are called {}. Write their names in the first line, or say what they hold: column 1=text."
_SEP = re.compile(r'"?sep=([,;|\t])"?\s*', re.IGNORECASE)  # Excel's way to name the delimiter, in the first line
_QUOTED_NAMES = re.compile(r'"[^"]*"( "[^"]*")+\s*')  # as R's write.table has them
_BREAK = re.compile(r"[\t\r\n]")


def read_csv(source: Source) -> Iterator[Record]:
    """The rows of a CSV or TSV file."""
    name = source.name
    head = list(islice(filter(str.strip, read_lines(source.path)), TOP))
    if not head:
        empty = source.path.stat().st_size <= 3  # a byte order mark is no content
        raise MtlError(f"{name}: {'is empty' if empty else 'has no header row'}. Write the names of the columns in the first line.")
    if head[0].lstrip().startswith(("{", "[{")):
        raise MtlError(f"{name}: looks like JSON, not CSV. Rename the file to .jsonl, with one object per line.")
    if told := _SEP.fullmatch(head[0]):
        top, delimiter = head[min(1, len(head) - 1)], told[1]
    else:
        top, delimiter = _find_delimiter(source, head)
    lines = read_lines(source.path)
    skipped = next(number for number, line in enumerate(lines, 1) if line.strip()) if told else 0
    rows = _cut(source, lines if told else read_lines(source.path), top, delimiter, skipped)
    yield from read_table(source, _telling_breaks(source, rows) if delimiter == "\t" else rows,
                          f"Put texts that contain {_delimiter_name(delimiter)} in double quotes.")


def _cut(source: Source, lines: Iterator[str], top: str, delimiter: str, skipped: int) -> Iterator[Fields]:
    """The rows in `lines`, which follow `skipped` ones, with quotes as the file writes them."""
    quoted = delimiter != "\t" or _is_quoted(source, top)
    quoting = find_quoting(source.path, top, delimiter) if quoted else Quoting()
    if quoting.escaped:
        source.notice('\\" in it is read as a quote.')
    reader = csv.reader(quoting.hide(lines), delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE, strict=True,
                        skipinitialspace=quoting.spaced)
    rows = _csv_fields(source.name, reader, skipped)
    return ((line, quoting.show(fields)) for line, fields in rows) if quoting.escaped else rows


def read_table(source: Source, rows: Iterator[Fields], advice: str) -> Iterator[Record]:
    """The records in the rows of a table. `advice` is for a row that is longer than the header."""
    sample = list(islice(rows, LOOKED_AT))
    if not sample:
        raise MtlError(f"{source.name}: is empty. Write the names of the columns in the first line.")
    if start := find_header(sample):
        source.notice(f"the names of the columns are in {source.unit} {sample[start][0]}; what stands above them is left out.")
    (first, header), below = sample[start], [fields for _, fields in sample[start + 1:]]
    if below and all(len(fields) == len(header) + 1 for fields in below) and is_numbering([fields[0] for fields in below]):
        header = ["", *header]  # R writes no name above the numbers of the rows
    if source.format == "xlsx":
        header = [*header, *[""] * (max(map(len, below), default=0) - len(header))]  # a row ends at its last cell
    columns: list[str | None] = [" ".join(cell.strip(AROUND).split()) for cell in header]
    numbered = [f"column {index}" for index in range(1, len(header) + 1)]
    if is_row(source, columns, numbered, below):
        columns = numbered
        source.notice(NO_HEADER.format(show_names(columns)))
        start, header = start - 1, None
    else:
        with source.at(first):
            columns = name_columns(source, columns, header, below)
        if notes := count_notes(below):
            source.notice(f"{many(notes, 'row')} below the names of the columns {'describes' if notes == 1 else 'describe'} them, and "
                          f"{'is' if notes == 1 else 'are'} left out.")
            start += notes
    if header and len(sample) == start + 1:
        raise MtlError(f"{source.name}: has a header but no rows. Write one row per text.")
    yield from _records(source, columns, header, chain(sample[start + 1:], rows), advice)


def _records(source: Source, columns: Sequence[str | None], header: list[str] | None, rows: Iterator[Fields], advice: str
             ) -> Iterator[Record]:
    """The records in `rows`. A column called '' is left out; None: it has no name, and at most a few filled cells."""
    empty = again = strays = first = total = 0
    names = [cell.strip(AROUND) for cell in header or ()]  # which stand there again where files were joined
    all_named = all(columns)
    for line, fields in rows:  # the cheapest questions come first: they are asked of every row
        total += 1
        if len(fields) != len(columns):
            fields = _fit(source, line, fields, len(columns), advice)
        record = dict(zip(columns, fields, strict=True))
        if not all_named:
            if any(cell.strip() for column, cell in zip(columns, fields, strict=True) if column is None):
                strays, first = strays + 1, first or line
            record = {column: cell for column, cell in record.items() if column}
        if not (all_named and fields[0].strip()) and not any(map(str.strip, record.values())):
            empty += 1
        elif names and names[-1] in fields[-1] and [cell.strip(AROUND) for cell in fields] == names:
            again += 1
        else:
            yield line, record
    _tell_nameless(source, list(columns).count(None), strays, first, total)
    if empty:
        source.notice(f"{many(empty, 'row', 'has')} no filled cell and {'is' if empty == 1 else 'are'} left out.")
    if again:
        source.notice(f"{many(again, 'row', 'has')} the names of the columns again and {'is' if again == 1 else 'are'} left out.")


def _tell_nameless(source: Source, columns: int, strays: int, first: int, rows: int) -> None:
    """Tell of `columns` without a name, in which `strays` of the `rows` have something. Raises MtlError if those are more than a few."""
    if strays > FEW * rows:
        raise MtlError(f"{source.name}, {source.unit} {first}: a column without a name is filled, and so in {strays:,} of {rows:,} rows. "
                       "Give every column a name, or remove it.")
    if columns:
        filled = f"but {many(strays, 'row')} with something in {'it' if columns == 1 else 'them'} (first in {source.unit} {first})"
        source.notice(f"{many(columns, 'column', 'has')} no name {filled if strays else 'and no filled cell'}, and "
                      f"{'is' if columns == 1 else 'are'} left out.")


def _fit(source: Source, line: int, fields: list[str], width: int, advice: str) -> list[str]:
    """The cells of a row of another length than the header: empty ones at the end are cut off."""
    if len(fields) > width and not any(map(str.strip, fields[width:])):
        return fields[:width]
    if len(fields) < width and source.format == "xlsx":
        return [*fields, *[""] * (width - len(fields))]  # a row ends at its last cell
    advice = advice if len(fields) > width else "Give every row all columns; leave a cell empty where there is nothing to say."
    raise MtlError(f"{source.name}, {source.unit} {line}: has {many(len(fields), 'field')}, the header has {width}. {advice}")


def _find_delimiter(source: Source, head: Sequence[str]) -> tuple[str, str]:
    """The line by which the columns are told, and what separates them: the usual mark, but another if only that cuts the first lines into
    the same number of fields."""
    if _QUOTED_NAMES.fullmatch(head[0]):
        source.notice("the columns are separated by blanks.")
        return head[0], " "
    usual = "\t" if source.path.suffix.lower() == ".tsv" else ","
    top = head[0]
    if not _cells(top) & KNOWN:
        top = next((line for line in head if _has_names(line)), None) or next((line for line in head if _marks(line)), top)
    likely = sorted(_marks(top), key=lambda mark: (mark != usual, -top.count(mark)))
    sure = len(likely) == 1 and top == head[0]
    even = (mark for mark in sorted(likely, key="\t".__ne__)  # a text may have as many commas as others, but no TAB
            if not sure and _is_even(dropwhile(top.__ne__, read_lines(source.path)), mark))
    delimiter = next(even, next(iter(likely), usual) if top == head[0] else usual)
    if delimiter != usual:
        source.notice(f"the columns are separated by {_delimiter_name(delimiter)}.")
    return top, delimiter


def _marks(line: str) -> list[str]:
    return [mark for mark in DELIMITERS if mark in line]


def _cells(line: str, mark: str = "\n") -> set[str]:
    return {cell.strip(AROUND + '"').casefold() for cell in line.split(mark)}


def _has_names(line: str) -> bool:
    """Whether a line has a usual name of a column beside something else."""
    return any(_cells(line, mark) & KNOWN for mark in _marks(line))


def _is_even(lines: Iterator[str], delimiter: str) -> bool:
    """Whether the first lines have as many fields each, if they are cut there."""
    first = list(islice(lines, 20))
    try:
        rows = list(csv.reader(first, delimiter=delimiter, strict=True))
    except csv.Error:
        if delimiter != "\t":
            return False
        rows = list(csv.reader(first, delimiter=delimiter, quoting=csv.QUOTE_NONE))
    return len({len(row) for row in rows if row}) == 1


def _is_quoted(source: Source, top: str) -> bool:
    """Whether quotes enclose cells in a file of TABs. Most are written without quoting: there every line is a row, with as many TABs."""
    width, even, quotes = top.count("\t"), True, False
    for line in dropwhile(top.__ne__, read_lines(source.path)):
        quotes = quotes or '"' in line
        even = even and (line.count("\t") == width or not line.strip())
    if not quotes:
        return True
    try:
        rows = csv.reader(dropwhile(top.__ne__, read_lines(source.path)), delimiter="\t", strict=True)
        unquoted = even and any(_BREAK.search(cell) for row in rows for cell in row)
    except csv.Error:
        unquoted = not find_quoting(source.path, top, "\t").escaped
    if unquoted:
        source.notice("is written without quoting; quotes are read as a part of the texts.")
    return not unquoted


def _telling_breaks(source: Source, rows: Iterator[Fields]) -> Iterator[Fields]:
    """The same rows; a notice says how many have a TAB or a line break inside of a cell."""
    count = first = 0
    for line, fields in rows:
        if any(map(_BREAK.search, fields)):
            count, first = count + 1, first or line
        yield line, fields
    if count:
        source.notice(f"{many(count, 'row', 'has')} a TAB or a line break within quotes (first in line {first}).")


def looks_like_table(lines: Iterator[str]) -> bool:
    """Whether the lines of a file named .txt are a table's: a TAB in each, or the usual names of columns in the first."""
    seen = [line.rstrip("\r\n") for line in islice(lines, LOOKED_AT) if line.strip()]
    top = seen[0] if seen else ""
    named = any(mark in top and ({cell.strip(' "').casefold() for cell in top.split(mark)} & KNOWN or are_names_of_words(top.split(mark)))
                for mark in DELIMITERS)
    return (named or _QUOTED_NAMES.fullmatch(top) is not None or ("\t" in top and len({line.count("\t") for line in seen}) == 1)
            or any(_has_labels(seen, mark) for mark in ";|"))  # commas are in many texts


def _has_labels(lines: Sequence[str], mark: str) -> bool:
    """Whether there is one `mark` in each line, and a few different words before it or behind it that come again and again."""
    rows = [line.split(mark) for line in lines]
    if len(rows) < 8 or {len(row) for row in rows} != {2}:
        return False
    return any(1 < len(set(cells)) <= len(cells) / 4 and not any(" " in cell.strip() for cell in cells)
               and 2 * sum(" " in cell.strip() for cell in others) > len(others)
               for cells, others in permutations(zip(*rows, strict=True)))


def is_cut_evenly(lines: Iterator[str]) -> bool:
    """Whether the first lines of a file have as many fields each, and more than one."""
    first = list(islice(filter(str.strip, lines), LOOKED_AT))
    return len(first) > 2 and any(_is_even(iter(first), mark) for mark in _marks(first[0]))


def _csv_fields(name: str, reader: Any, skipped: int) -> Iterator[Fields]:
    """Each record that is not blank, with the line where it begins, after `skipped` ones."""
    start = skipped + 1
    try:
        for fields in reader:
            if len(fields) > 1 or any(map(str.strip, fields)):
                yield start, fields
            start = skipped + reader.line_num + 1
    except csv.Error as error:
        raise MtlError(f"{name}, {_csv_trouble(str(error), start, skipped + reader.line_num)}") from error


def _csv_trouble(error: str, start: int, line: int) -> str:
    if "field larger" in error:
        return f"line {start}: a text has over {csv.field_size_limit():,} characters, the limit is {MAX_TEXT:,}. Is a quote never closed?"
    if "unexpected end" in error:
        return f"line {start}: a quote that is opened here is never closed. Close it, or double it if it belongs to the text."
    opened = f" of a field opened in line {start}" if start != line else ""
    return f"line {line}: characters after the closing quote{opened}. Double the quotes that belong to a text."


def _delimiter_name(delimiter: str) -> str:
    return {",": "commas", "\t": "TABs", " ": "blanks"}.get(delimiter, f"'{delimiter}'")


_STRING = r"'(?:[^'\\]|\\.)*'" + r'|"(?:[^"\\]|\\.)*"'
_NUMPY_NUMBERS = re.compile(r"\[\s*\d+(?:\s+\d+)+\s*\]")
_NUMPY = re.compile(rf"\[\s*(?:(?:{_STRING})\s+)+(?:{_STRING})\s*\]", re.DOTALL)  # numpy prints lists without commas


def as_list(value: object) -> object:
    """The list that a cell holds as text, as JSON or as Python or numpy print it, or a tuple of texts; any other value as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("[", "("):
        return value
    text = value.strip()
    for read in (json.loads, _read_python):
        with suppress(ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            found = read(text)
            if "\\" in text:
                json.dumps(found, ensure_ascii=False).encode()  # fails on half of a surrogate pair, which only an escape can make
            if isinstance(found, list) and (text[0] == "[" or (found and set(map(type, found)) == {str})):
                return found
    return value


def is_list_without_quotes(text: str) -> bool:
    """Whether a text is printed like [Ada, left, Rome]."""
    text = text.strip()
    return text[:1] + text[-1:] in ("[]", "()") and (", " in text or " " not in text) and '"' not in text and "', '" not in text


def without_quotes(text: str) -> list[str]:
    """The parts of a list that has no quotes around them; one part may be a comma."""
    return text.strip()[1:-1].split(", ")


def _read_python(text: str) -> Any:
    """The literal in `text`, its tuples as lists; raises ValueError or TypeError if it has types that JSON lacks."""
    if _NUMPY_NUMBERS.fullmatch(text):
        return [int(part) for part in text[1:-1].split()]
    numpy = _NUMPY.fullmatch(text)
    found = [ast.literal_eval(part) for part in re.findall(_STRING, text, re.DOTALL)] if numpy else ast.literal_eval(text)
    return json.loads(json.dumps(found))
