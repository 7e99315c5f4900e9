"""How rows and their predictions are written: as CSV, TSV or JSON lines. A new column never takes the name of one that is there."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from mtl.data.formats.files import file_name
from mtl.data.texts import Fields, TextFile
from mtl.data.values import VALUES
from mtl.errors import MtlError
from mtl.inference.cells import cells_of, columns_of
from mtl.inference.predictor import Predicted
from mtl.settings.config import TaskSpec
from mtl.text import REPLACED, guarded

DELIMITERS = {".csv": ",", ".tsv": "\t", ".jsonl": ""}
Answered = tuple[Fields, Predicted | MtlError]


@dataclass(frozen=True)
class Layout:
    """The columns that are there, and those of the predictions, with the names that they get. `delimiter`: '' for JSON lines."""

    delimiter: str
    columns: tuple[str, ...]
    new: dict[str, str]

    @classmethod
    def of(cls, to: Path, file: TextFile, tasks: Sequence[TaskSpec]) -> Layout:
        """The layout of the file `to` with the rows of `file` and their predictions. Raises MtlError as `delimiter_of`."""
        delimiter = delimiter_of(to)
        values = {task.name: VALUES[task.kind] for task in tasks}
        found = columns_of(values) if delimiter else [*values, "cut_at", "pieces", "contradictions"]
        taken, new = {name.casefold() for name in file.columns}, {}
        for name in [*["text"] * (not file.has_plain_text), *found, "error"]:
            new[name] = _free(name, taken)
            taken.add(new[name].casefold())
        return cls(delimiter, file.columns, new)

    def write(self, rows: Iterable[Answered], has_header: bool) -> bytes:
        """The lines for these rows, of a table with its header unless it has one."""
        if not self.delimiter:
            return "".join(json.dumps(self._fields(*row), ensure_ascii=False) + "\n" for row in rows).encode()
        out = io.StringIO(newline="")
        header = [] if has_header else [[*self.columns, *self.new.values()]]
        csv.writer(out, delimiter=self.delimiter).writerows(
            [guarded(cell).replace("\0", REPLACED) for cell in line] for line in chain(header, (self._cells(*row) for row in rows)))
        return out.getvalue().encode()

    def _cells(self, fields: Fields, answer: Predicted | MtlError) -> list[str]:
        old = [_cell(fields.get(name)) for name in self.columns]
        if isinstance(answer, MtlError):
            return [*old, *[""] * (len(self.new) - 1), str(answer)]
        return [*old, *[answer.text] * ("text" in self.new), *cells_of(answer), ""]

    def _fields(self, fields: Fields, answer: Predicted | MtlError) -> Fields:
        made = {"error": str(answer)} if isinstance(answer, MtlError) else answer.plain()
        return {name: None if value != value else value for name, value in fields.items()} | {  # noqa: PLR0124 - NaN, which JSON lacks
            self.new[name]: value for name, value in made.items() if name in self.new}


def delimiter_of(to: Path) -> str:
    """What separates the columns of the file `to`, '' for JSON lines. Raises MtlError if predictions cannot be written so."""
    if to.suffix.lower() not in DELIMITERS:
        raise MtlError(f"{file_name(to)}: predictions cannot be written in this format. Give a name that ends with "
                       f"{', '.join(DELIMITERS)}.")
    return DELIMITERS[to.suffix.lower()]


def _cell(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _free(name: str, taken: set[str]) -> str:
    """`name`, or if that is taken 'name predicted', 'name predicted 2', ..."""
    names = chain([name, f"{name} predicted"], (f"{name} predicted {number}" for number in count(2)))
    return next(one for one in names if one.casefold() not in taken)
