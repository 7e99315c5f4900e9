r"""Quotes in tables that are not written as usual: \" for "", and blanks in front of a cell in quotes. Found by trying. Reads no rows."""

import csv
from collections.abc import Iterator
from itertools import dropwhile, product
from pathlib import Path
from typing import NamedTuple

from mtl.data.formats.files import read_lines

_HIDDEN = "\0"  # stands for \" while a line is cut: no line that was read has it


class Quoting(NamedTuple):
    r"""Whether quotes in texts are written \", as Spark and MySQL do, and whether blanks stand in front of cells in quotes."""

    escaped: bool = False
    spaced: bool = False

    def hide(self, lines: Iterator[str]) -> Iterator[str]:
        """The lines as a reader of CSV understands them."""
        return (line.replace('\\"', _HIDDEN) for line in lines) if self.escaped else lines

    def show(self, fields: list[str]) -> list[str]:
        """The cells of such a line as they were meant."""
        return [field.replace(_HIDDEN, '"') for field in fields] if self.escaped else fields

    def cuts(self, path: Path, top: str, delimiter: str) -> bool:
        """Whether the rows below the line `top`, read so, have as many cells each."""
        lines = self.hide(dropwhile(top.__ne__, read_lines(path)))
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=self.spaced, strict=True) if row]
        except csv.Error:
            return False
        return len(set(widths[1:])) == 1  # R's header is shorter


def find_quoting(path: Path, top: str, delimiter: str) -> Quoting:
    """How the quotes in a table are written; the usual way unless only another one gives even rows."""
    with path.open("rb") as file:
        escaped = any(b'\\"' in line for line in file)
        file.seek(0)
        spaced = delimiter != " " and any(f'{delimiter} "'.encode() in line for line in file)
    ways = [Quoting(*way) for way in product({False, escaped}, {False, spaced})]
    return next((way for way in sorted(ways) if len(ways) > 1 and way.cuts(path, top, delimiter)), Quoting())
