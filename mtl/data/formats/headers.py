"""Which row of a table has the names of its columns, if any, and what they are: found by content. Knows no file format."""

import re
from collections.abc import Sequence

from mtl.data.formats.files import MAX_NAME, NAMES, Source, are_names_of_words, check_names, show
from mtl.data.formats.schemes import are_tags, split_tags
from mtl.data.questions import Reading
from mtl.errors import MtlError
from mtl.text import cut

KNOWN = set(NAMES["header"])
FEW = 0.1  # of the rows, in which a column without a name may have something
TOP = 10  # rows in which the names of the columns are looked for: notes may stand above them
AROUND = " \t\r\n\xa0\ufeff\u200b"  # around the names of columns
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
Fields = tuple[int, list[str]]  # the line where a row begins (from 1), and its cells


def find_header(rows: Sequence[Fields]) -> int:
    """Which of the first rows has the names of the columns: others above it have usual names in no cell, or one filled cell only."""
    filled = [[cell.strip() for cell in fields if cell.strip()] for _, fields in rows[:TOP]]
    usual = [len({cell.casefold() for cell in cells} & KNOWN) for cells in filled]
    if not usual[0] and max(usual) > 1:
        return usual.index(max(usual))
    index = next((index for index, cells in enumerate(filled) if len(cells) > 1), 0)
    if not index or any(usual[:index]):
        return 0
    names, below = [cell.strip() for cell in rows[index][1]], [fields for _, fields in rows[index + 1:]]
    is_even = {len(fields) for fields in below} == {len(names)}
    return index if usual[index] or (is_even and any(map(_is_unlike, names, _columns(below, len(names))))) else 0


def is_data(top: Sequence[str], rows: list[list[str]]) -> bool:
    """Whether the first line is a row like the others, and not the names of the columns."""
    if {cell.casefold() for cell in top} & KNOWN or are_names_of_words(top) or not rows:
        return False
    # a row may have holes, but a first name that is missing above numbers is that of their column
    columns = [(cell, column) for index, (cell, column) in enumerate(zip(top, _columns(rows, len(top)), strict=True)) if cell or not index]
    if any(_is_unlike(cell, column) for cell, column in columns):
        return False
    if any(cell in column or (" " in cell and are_tags(split_tags(cell))) for cell, column in columns):
        return True
    if any(cell.endswith("?") and sum(each.endswith("?") for each in column) * 4 < len(column) for cell, column in columns):
        return False  # a question of a survey
    return any(len(cell.split()) > 5 or len(cell) > MAX_NAME for cell in top)


def is_row(source: Source, top: Sequence[str], numbered: Sequence[str], rows: list[list[str]]) -> bool:
    """Whether the first line is a row like the others. What the user says of columns decides, then what is in the lines; if nothing does,
    it is taken for the names, and the user is asked."""
    if not rows:
        return False
    said = next((role == numbered for role in (numbered, top) if not source.roles.keys().isdisjoint(role)), None)
    if not all(top) or not _says_nothing(top, rows):
        return is_data(top, rows) if said is None else said
    longest = max(range(len(top)), key=lambda index: sum(len(fields[index]) for fields in rows if index < len(fields)))
    names, row = (" \u00b7 ".join(f"{name}: {cell}" for name, cell in zip(columns, cells, strict=False))
                  for columns, cells in ((top, rows[0]), (numbered, top)))
    source.readings = (Reading("The first line has the names of the columns", names, {}, not said),
                       Reading("The first line is a row like the others", row, {numbered[longest]: "text"}, bool(said)))
    if said is None:
        source.notice(f"nothing tells whether the first line has the names of the columns or is a row; it is taken for the names. If it is "
                      f"a row, set '{numbered[longest]}' to text.")
    return bool(said)


def _says_nothing(top: Sequence[str], rows: list[list[str]]) -> bool:
    """Whether the first line may as well be a row: it has no usual name, nor a form of its own, and no column has few different values."""
    if {cell.casefold() for cell in top} & KNOWN or is_data(top, rows):
        return False
    return all(len(set(column)) * 2 > len(column) and not _is_unlike(cell, column) and not cell.endswith("?")
               for cell, column in zip(top, _columns(rows, len(top)), strict=True))


def _columns(rows: list[list[str]], width: int) -> list[list[str]]:
    """The filled cells of each column."""
    return [[cell for fields in rows if index < len(fields) and (cell := fields[index].strip())] for index in range(width)]


def _is_unlike(cell: str, column: Sequence[str]) -> bool:
    """Whether a cell is of another kind than all those below: a word above numbers, or above sentences."""
    if column and all(map(_NUMBER.fullmatch, column)):
        return not _NUMBER.fullmatch(cell)
    return len(column) >= 5 and len(cell.split()) == 1 and all(len(each.split()) > 1 for each in column)


def count_notes(rows: Sequence[Sequence[str]]) -> int:
    """How many of the first rows below the names of columns tell more of them, as tools for surveys write: Qualtrics, SurveyMonkey."""
    for count, fields in enumerate(rows[:2], 1):
        cells = {cell.strip().casefold() for cell in fields if cell.strip()}
        if cells and (all(cell.startswith('{"importid"') for cell in cells) or (
                not fields[0].strip() and not cells.isdisjoint({"response", "open-ended response"}))):
            return count
    return 0


def is_numbering(cells: Sequence[str]) -> bool:
    """Whether these number the rows."""
    return all(cell.strip().isdecimal() for cell in cells) and len(set(cells)) == len(cells)


def name_columns(source: Source, names: Sequence[str], header: Sequence[str], rows: list[list[str]]) -> list[str | None]:
    """The names of the columns, as `_records` wants them. Raises MtlError if one has no name, or a wrong one."""
    named: list[str | None] = list(names)
    for index, (name, cells) in enumerate(zip(names, _columns(rows, len(names)), strict=True)):
        if len(name) > MAX_NAME and " " in name:
            named[index] = cut(name, MAX_NAME).strip()
            source.notice(f"the name of column {index + 1} is long; it is cut to '{show(named[index], MAX_NAME)}'.")
        if not name and len(cells) <= FEW * len(rows):
            named[index] = None
        elif not name and index == 0 and all(cell.isdecimal() for cell in cells):
            numbers = "numbers the rows" if is_numbering(cells) else "holds numbers, as a table's index does"
            source.notice(f"column 1 has no name and {numbers}; it is left out.")
        elif not name:
            raise MtlError(f"column {index + 1} has no name. Give every column a name, or remove it.")
    check_names([name for name in named if name])
    if any(name and name != cell for name, cell in zip(names, header, strict=True)):
        source.notice("blanks around the names of columns were removed.")
    return named
