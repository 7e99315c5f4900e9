"""A sheet of an Excel workbook into records. The values of its cells are read, not its formulas. How a table is read is for tables.py."""

import re
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, time
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from mtl.data.formats.files import EXCEL, Record, Source, check_file, file_name, show, show_names
from mtl.data.formats.headers import Fields
from mtl.data.formats.tables import read_table
from mtl.errors import MtlError

MAX_UNPACKED = 300_000_000  # bytes of a workbook's parts, some of which are held in memory


def read_workbook(source: Source) -> Iterator[Record]:
    """The rows of the sheet whose name ends the file's name, else of the visible one with the most texts."""
    yield from read_table(source, _rows(source), "Give every column a name.")


def is_workbook(path: Path) -> bool:
    """Whether a file is a workbook, by its content."""
    try:
        with ZipFile(path) as parts:
            return "xl/workbook.xml" in parts.namelist()
    except (OSError, BadZipFile, ValueError):
        return False


def sheet_names(path: Path) -> list[str]:
    """The names of a workbook's sheets."""
    with _open(path) as book:
        return [sheet.title for sheet in book.worksheets]


def _rows(source: Source) -> Iterator[Fields]:
    """The rows with any value, with their numbers."""
    check_file(source.path, EXCEL)
    try:
        with _open(source.path) as book:
            sheet = _find_sheet(source, book)
            for number, cells in enumerate(_cells(sheet), 1):
                if any(cells):
                    yield number, cells
    except MtlError:
        raise
    except Exception as error:  # openpyxl has no error of its own for a damaged part, and parses dozens of them
        raise MtlError(f"{source.name}: cannot be read as an Excel workbook ({type(error).__name__}). Is it whole? Open it, and save it as "
                       ".xlsx or as CSV.") from error


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    from openpyxl import load_workbook

    with ZipFile(path) as parts:
        size = sum(part.file_size for part in parts.infolist())
    if size > MAX_UNPACKED:
        raise MtlError(f"{file_name(path)}: has {size / 1e6:,.0f} MB unpacked, the limit is {MAX_UNPACKED / 1e6:,.0f} MB. Save it as CSV.")
    with path.open("rb") as file:  # of a path openpyxl would want another ending
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and the like
            book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
        with closing(book):
            yield book


def _find_sheet(source: Source, book: Any) -> Any:
    """The sheet to read; which it is is told, if there are several."""
    sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"] or book.worksheets
    if not sheets:
        raise MtlError(f"{source.name}: has no sheet with cells. Save the sheet of the data as CSV.")
    if len(sheets) == 1:
        return sheets[0]
    stem = source.path.stem.casefold()
    named = [sheet for sheet in sheets if re.search(r"(^|[^\w])" + re.escape(sheet.title.casefold()) + "$", stem)]
    taken = max(named, key=lambda sheet: len(sheet.title)) if named else max(sheets, key=_texts)
    others = [sheet.title for sheet in sheets if sheet is not taken]
    source.notice(f"its sheet '{show(taken.title)}' is read, and not {show_names(others)}. To read another, put its name at the end of the "
                  f"file's name: {show(source.path.stem)}.{show(others[0])}{source.path.suffix}.")
    return taken


def _texts(sheet: Any) -> tuple[int, int]:
    """How many rows of a sheet have a text of several words, and how many have any value."""
    rows = [any(" " in cell for cell in cells) for cells in _cells(sheet) if any(cells)]
    return sum(rows), len(rows)


def _cells(sheet: Any) -> Iterator[list[str]]:
    sheet.reset_dimensions()  # some programs write wrong ones, and cells outside would be left out
    for row in sheet.iter_rows(values_only=True):
        yield [_text(value) for value in row]


def _text(value: object) -> str:
    """A cell as text; dates in ISO form."""
    if value is None or isinstance(value, str):
        return (value or "").replace("_x000D_", "")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return (value.date() if value.time() == time() else value).isoformat()
    return str(value)
