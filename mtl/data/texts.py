"""A file whose texts are to be predicted: its rows with all their columns, and the text of each. Labels are not looked at, and a row whose
text cannot be read does not stop the others."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from mtl.data.columns import TEXT_ROLES, Column, profile_columns
from mtl.data.formats.files import KINDS, Record, Source, check_names, read_lines
from mtl.data.readers import DataFile, Progress, check_specs, find_sources, no_progress, read_records
from mtl.data.roles import assign_roles
from mtl.data.row_parser import make_row
from mtl.errors import MtlError
from mtl.settings.config import ColumnSpec

LOOKED_AT = 5_000  # rows, to find out which column has the text
Fields = dict[str, object]


@dataclass(frozen=True)
class TextFile:
    """A file, the names of its columns in order, the one that has the text, and how many rows there are."""

    source: Source
    columns: tuple[str, ...]
    text: Column
    count: int

    @property
    def has_plain_text(self) -> bool:
        """Whether the text stands in a column as the model reads it: not as tokens, nor with entities marked in it."""
        return self.text.role == "text"

    def rows(self) -> Iterator[tuple[int, Fields, str | MtlError]]:
        """The line of each row, its columns, and its text; an error if it has none."""
        records = _lines(self.source) if _is_plain(self.source, self.columns, self.text) else read_records(
            self.source, "Reading", no_progress)
        for line, fields in records:
            text = fields.get(self.text.name)
            if not (self.has_plain_text and isinstance(text, str)):  # the predictor checks a plain text itself
                try:
                    text = make_row(fields, self.text, ())[0].text
                except MtlError as error:
                    text = error
            yield line, fields, text


def open_texts(paths: Sequence[Path], specs: Sequence[ColumnSpec] = (), progress: Progress = no_progress,
               trained: Sequence[ColumnSpec] = ()) -> TextFile:
    """The file at `paths` (several, if it is in parts), read once from end to end, so that what cannot be read in it is told before
    anything is predicted. The text is in the column that `specs` name, else in that which was the text in training, according to
    `trained`, else in one that looks like it. Raises MtlError, with the line, if the file is wrong."""
    source, *others = find_sources(paths)
    if others:
        raise MtlError(f"{others[0].name}: is a second file. Predict one file after the other.")
    source.roles = {spec.column: spec.role for spec in specs}
    records = read_records(source, "Looking at", progress)
    columns = profile_columns(source, _of_one_kind(islice(records, LOOKED_AT)))
    names = dict.fromkeys(columns)
    for line, fields in records:
        if not fields.keys() <= names.keys():
            names |= dict.fromkeys(fields)
            with source.at(line):
                check_names([*names])
    check_specs(specs, (), [DataFile(source, columns)])
    specs = specs or [ColumnSpec(column=spec.column, role="text") for spec in trained if spec.role == "text" and spec.column in columns][:1]
    assign_roles(source, columns, specs)
    text = next(column for column in columns.values() if column.role in TEXT_ROLES)
    count = sum(1 for _ in _lines(source)) if _is_plain(source, tuple(names), text) else source.records
    return TextFile(source, tuple(names), text, count)


def read_texts(path: Path) -> Iterator[str]:
    """The lines of a text file, without their ends; also the empty ones, which the readers of data skip."""
    return (line.rstrip("\r\n") for line in read_lines(path))


def _is_plain(source: Source, columns: Sequence[str], text: Column) -> bool:
    """Whether this is a text file without marks: each line is a text, and an empty line is a row too."""
    return source.format == "text" and len(columns) == 1 and text.role == "text"


def _lines(source: Source) -> Iterator[Record]:
    return ((number, {"text": line}) for number, line in enumerate(read_texts(source.path), 1))


def _of_one_kind(records: Iterable[Record]) -> Iterator[Record]:
    """The records with only those values that are of the same kind as the first one in their column: others are an error of that row."""
    kinds: dict[str, str] = {}
    for line, fields in records:
        yield line, {key: value for key, value in fields.items()
                     if value is None or kinds.setdefault(key, KINDS[type(value)]) == KINDS[type(value)]}
