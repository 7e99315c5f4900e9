"""Files into one table of rows: their formats, the roles of their columns, and how several files of one split come together. To add a
format: a function that yields records, a line in READERS, and its suffix in files.FORMATS."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from unicodedata import normalize

from mtl.data.columns import GENERIC, Column, Profile, find_columns, profile
from mtl.data.formats.arrow import read_dataset, read_parquet
from mtl.data.formats.conll import looks_like_columns, read_conll, read_parts
from mtl.data.formats.files import MAX_NAME, Record, Source, at_line, find_format, group_of, part_of, read_lines, show, show_names
from mtl.data.formats.json_files import read_json
from mtl.data.formats.marked import looks_marked, read_marked
from mtl.data.formats.tables import looks_like_table, read_csv
from mtl.data.row_parser import Cell, Recipe, find_scheme, make_row
from mtl.data.rows import Row, Table, fitting, row_shape, tasks_of_rows
from mtl.data.store import keep
from mtl.data.values import KIND_OF_ROLE
from mtl.errors import MtlError
from mtl.settings.config import ColumnSpec, TaskSpec
from mtl.text import many

READERS: dict[str, Callable[[Source], Iterator[Record]]] = {
    "csv": read_csv, "json": read_json, "conll": read_conll, "parts": read_parts, "text": read_marked, "parquet": read_parquet,
    "dataset": read_dataset}
MERGED_ROWS = 200_000  # of files for different tasks, up to so many rows are joined where they have the same text
HEAD, UNKNOWN_BYTES = 1 << 16, 120  # bytes of a file by which its records are guessed, and of a record where they do not tell
Progress = Callable[[str, float], None]  # what is being done, and the share of it that is done


@dataclass(frozen=True)
class Understood:
    """A file with the roles of its columns, the tasks that come of them, and how many records it has."""

    source: Source
    columns: list[Column]
    recipe: Recipe
    tasks: list[TaskSpec]
    records: int


def no_progress(what: str, share: float) -> None:
    """For those who do not want to know."""


def read_files(paths: Sequence[Path], told: Sequence[ColumnSpec] = (), wanted: Sequence[str] = (), file: Path | None = None,
               progress: Progress = no_progress, *, merge: bool = True) -> Table:
    """The rows of the files at `paths` with the tasks `wanted` (none: all), the tasks found in them, and notices about what was mended.

    Columns are for what `told` says, else for what is guessed; a column that looks like free text is a task only if `wanted` names
    it. Many rows are laid out in `file`. Without `merge`, rows of one text in several files stay apart. Raises MtlError, with the file's
    name and line, if anything in them is wrong.
    """
    files = understand(paths, told, wanted, progress)
    tasks = list({task.name: task for each in files for task in each.tasks}.values())
    rows: Iterable[Row] = (row for each in files for row in _rows(each, list(wanted) or [task.name for task in tasks], progress))
    if merge and len(files) > 1:
        rows = merge_rows(rows, files[0].source)
    kept = keep(rows, row_shape(tasks_of_rows(tasks, wanted)), file) if file else list(rows)
    found = [column for each in files for column in each.columns]
    columns = tuple(ColumnSpec(column=column.name, role=column.role, task=column.task, group=column.group) for column in found)
    return Table(kept, tasks, [notice for each in files for notice in each.source.notices], columns,
                 tuple(column.examples for column in found))


def understand(paths: Sequence[Path], told: Sequence[ColumnSpec] = (), wanted: Sequence[str] = (),
               progress: Progress = no_progress) -> list[Understood]:
    """What the columns of every file are for; raises MtlError if a file cannot be read, or a column that was told is nowhere."""
    sources = find_sources(paths, {spec.group for spec in told if spec.group})
    looked = []
    for source in sources:
        counter = _Counter(source, f"Looking at {source.name}", progress)
        profiles = profile(source, counter.count(_read(source)))
        looked.append((source, profiles, find_columns(source, profiles, told, wanted), counter.records))
    _check_told(told, wanted, [(source, profiles) for source, profiles, _, _ in looked])
    names = _name_tasks([(profiles, columns) for _, profiles, columns, _ in looked], sources)
    return [_understood(source, profiles, [replace(column, task=names.get((source.group, column.name), "")) for column in columns], records)
            for source, profiles, columns, records in looked]


def _check_told(told: Sequence[ColumnSpec], wanted: Sequence[str], looked: Sequence[tuple[Source, dict[str, Profile]]]) -> None:
    """Raises MtlError if a column that was told is nowhere. If the `wanted` tasks are named, only those have to be found, and by whoever
    named them: a validation file may lack a task."""
    for spec in told:
        here = [(source, profiles) for source, profiles in looked if spec.group in ("", source.group)]
        if spec.role == "ignore" or any(spec.column in profiles for _, profiles in here):
            continue
        if wanted and (spec.role in KIND_OF_ROLE or not here):
            continue
        source, _ = (here or looked)[0]
        if not here:
            groups = sorted({source.group for source, _ in looked} - {""})
            raise MtlError(f"{source.name}: '{show(spec.group)}/{show(spec.column)}' belongs to no file. "
                           f"The files are: {show_names(groups or ['only one'])}.")
        known = dict.fromkeys(name for _, profiles in here for name in profiles)
        raise MtlError(f"{source.name}: there is no column '{show(spec.column)}'. The columns are: {show_names(known)}.")


def find_sources(paths: Sequence[Path], groups: Collection[str] = ()) -> list[Source]:
    """The files to be read together: seq.in with its seq.out and label, every other by itself; with their formats, and with their groups
    if there are several or they are among the known `groups`."""
    sources: dict[tuple, Source] = {}
    paths = list(dict.fromkeys(paths))
    names = Counter(path.name.lower() for path in paths)
    for path in paths:
        kind, part, name = find_format(path), part_of(path), path.name.lower()
        # the parts belong together by their names; where there are several of one name, by their folders too
        key = (name.removesuffix(part), path.parent if names[name] > 1 else None) if part else (path,)
        if key in sources:
            sources[key].paths += (path,)
        else:
            sources[key] = Source((path,), kind, group_of(path))
    if not sources:
        raise MtlError("No file is given. Name one with sentences and labels.")
    alone = len({source.group for source in sources.values()}) == 1
    for source in sources.values():
        source.group = "" if alone and source.group not in groups else source.group
    return list(sources.values())


def _read(source: Source) -> Iterator[Record]:
    """The records of a file, by what is in it where its name does not tell."""
    if source.format in ("text", "csv") and looks_like_columns(read_lines(source.path)):
        source.format = "conll"
        if source.path.suffix.lower() == ".csv":
            source.notice("holds a word and its tags on each line, with blank lines between; it is read as CoNLL columns.")
    elif source.format == "text" and not looks_marked(read_lines(source.path)) and looks_like_table(read_lines(source.path)):
        source.format = "csv"
    return READERS[source.format](source)


class _Counter:
    """Counts records as they pass, and tells how far the file is read."""

    def __init__(self, source: Source, what: str, progress: Progress, total: int = 0) -> None:
        self.records, self.what, self.progress = 0, what, progress
        self.source, self.total = source, total

    def count(self, records: Iterable[Record]) -> Iterator[Record]:
        """The same records."""
        self.total = self.total or _guess_records(self.source)
        for record in records:
            self.records += 1
            if self.records % 2000 == 0:
                self.progress(self.what, min(0.99, self.records / self.total))
            yield record


def _guess_records(source: Source) -> int:
    """About how many records a file has, judged by its beginning."""
    if not source.path.is_file():
        return max(1, source.bytes // UNKNOWN_BYTES)
    with source.path.open("rb") as file:
        head = file.read(HEAD)
    ends = head.count(b"\n\n" if source.format == "conll" else b"\n")
    each = len(head) / ends if ends and source.format != "parquet" else UNKNOWN_BYTES
    return max(1, round(source.path.stat().st_size / each))


def _name_tasks(looked: Sequence[tuple[dict[str, Profile], list[Column]]], sources: Sequence[Source]) -> dict[tuple[str, str], str]:
    """The task of every column that has one, by group and column: what was told, else the column's name; but a column of a general name
    (label) is called like its file where files differ in what they have tasks for. Parts of one data set keep one name."""
    names: dict[tuple[str, str], str] = {}
    kinds: dict[str, tuple[str, str]] = {}
    for (profiles, columns), source in zip(looked, sources, strict=True):
        of_tasks = [column for column in columns if column.role in KIND_OF_ROLE]
        for column in of_tasks:
            plain = "entities" if column.role == "marked" else column.name
            if not column.task and plain.casefold() in GENERIC and source.group:
                plain = _name_by_file(column, plain, source, profiles, list(zip(sources, looked, strict=True)))
            name = names[source.group, column.name] = column.task or plain
            kind, where = kinds.setdefault(name, (KIND_OF_ROLE[column.role], source.name))
            if kind != KIND_OF_ROLE[column.role]:
                raise MtlError(f"{source.name}: '{show(name)}' is a task of {KIND_OF_ROLE[column.role]} here, but of {kind} in {where}. "
                               "Give one of them another name.")
        taken = [names[source.group, column.name] for column in of_tasks if column.role != "in"]
        taken += {names[source.group, column.name] for column in of_tasks if column.role == "in"}
        twice = next((name for name in taken if taken.count(name) > 1), None)
        if twice is not None:
            raise MtlError(f"{source.name}: two columns are said to be the task '{show(twice)}'. Give each its own name.")
    return names


def _name_by_file(column: Column, plain: str, source: Source, profiles: dict[str, Profile],
                  looked: Sequence[tuple[Source, tuple[dict[str, Profile], list[Column]]]]) -> str:
    """What the task in a column of a general name is called where there are several files."""
    mine = profiles[column.name].labels()
    same, differs, strangers = [], False, False  # files that mean the same by it; whether any means another, or has other tasks only
    for each, (others, columns) in looked:
        twin = next((twin for twin in columns if twin.name == column.name and twin.role == column.role), None)
        tasks = sum(other.role in KIND_OF_ROLE for other in columns)
        if twin is None:
            strangers = strangers or tasks > 0
        elif each is source or _are_same(mine, others[twin.name].labels()):
            same.append((each.group, tasks))
        else:
            differs = True
    groups = list(dict.fromkeys(group for group, _ in same))
    if not differs and (len(groups) > 1 or not strangers):
        if len(groups) > 1:
            source.notice(f"'{show(column.name)}' has the labels that it has in other files too, and is taken for the same task.")
        return plain
    return groups[0] if same[0][1] == 1 else f"{groups[0][len(plain) + 1 - MAX_NAME:]} {plain}"  # their ends differ more often


def _are_same(labels: set[str], others: set[str]) -> bool:
    """Whether the labels in two files are those of one task: half of them in both, or one in each, as in a file for every class."""
    return len(labels & others) * 2 >= len(labels | others) or len(labels) == len(others) == 1


def _understood(source: Source, profiles: dict[str, Profile], columns: list[Column], records: int) -> Understood:
    cells, tasks, text, role = [], [], "", ""
    for column in columns:
        if column.role in ("text", "tokens", "marked"):
            text, role = column.name, column.role
        if column.role == "ignore":
            if column.reason:
                source.notice(f"'{show(column.name)}' is not taken for a task: {column.reason}.")
        elif column.role in KIND_OF_ROLE:
            try:
                scheme = find_scheme(column, columns, profiles)
            except MtlError as error:
                raise MtlError(f"{source.name}: in '{show(column.name)}' {error}") from error
            if column.role == "labels" and scheme:
                source.notice(f"'{show(column.name)}' has several labels in a cell, with '{scheme}' between them. Set it to class to take "
                              "every combination for a label of its own.")
            elif column.role == "tags" and scheme != "IOB2":
                told = "types without B- and I-; neighbours of one type are one entity" if scheme == "bare" else scheme
                source.notice(f"the tags in '{show(column.name)}' are written in {told}.")
            cells.append(Cell(column.name, column.role, column.task, scheme))
            tasks.append(TaskSpec(name=column.task, kind=KIND_OF_ROLE[column.role]))
    if not tasks:
        source.notice("no task was found in it.")
    return Understood(source, columns, Recipe(text, role, tuple(cells), profiles[text].syntax), tasks, records)


def _rows(file: Understood, names: Sequence[str], progress: Progress) -> Iterator[Row]:
    """The rows of one file, with a value or None for every task of `names`; what was mended is told in its notices at the end."""
    source, mended = file.source, {}
    recipe = replace(file.recipe, cells=tuple(cell for cell in file.recipe.cells if cell.task in names))
    absent = {name: None for name in names if name not in {cell.task for cell in recipe.cells}}
    counter = _Counter(source, f"Reading {source.name}", progress, file.records)
    for line, fields in counter.count(_read(source)):
        try:
            row, what = make_row(fields, recipe)
        except MtlError:
            with at_line(source.name, line, source.unit):
                raise
        for kind in what:
            count, first = mended.get(kind, (0, line))
            mended[kind] = (count + 1, first)
        yield Row(row.text, row.values | absent, row.words) if absent else row
    for kind, (count, first) in mended.items():
        once, more = kind
        source.notice(f"{once if count == 1 else more.format(count)} (first in {source.unit} {first}).")


def merge_rows(rows: Iterable[Row], source: Source) -> Iterator[Row]:
    """The rows of files for different tasks, those of one text joined into one where no task has two values; in order."""
    rows = iter(rows)
    merged: list[Row] = []
    places: dict[str, int] = {}
    joined = 0
    for row in islice(rows, MERGED_ROWS):
        place = places.setdefault(row.text, len(merged))
        both = _join(merged[place], row) if place < len(merged) else None
        if both is None:
            places[row.text] = len(merged)
            merged.append(row)
        else:
            merged[place] = both
            joined += 1
    if joined:
        source.notice(f"{many(joined, 'row', 'has')} the same text as a row of another file and {'was' if joined == 1 else 'were'} "
                      "joined with it.")
    yield from merged
    yield from rows


def _join(one: Row, other: Row) -> Row | None:
    """Two rows of one text as one, or None if a task has two values. Tokens of a file are kept if the other has none, and all entities fit
    them."""
    values = {name: value for name, value in other.values.items() if value is not None}
    if any(one.values.get(name) is not None for name in values):
        return None
    words = None if one.words and other.words and one.words != other.words else one.words or other.words
    joined = one.values | values
    return Row(one.text, joined, fitting(words, joined))


def label_twins(counts: Iterable[str], task: str) -> Iterator[str]:
    """A sentence for every two labels that hardly differ."""
    seen: dict[str, str] = {}
    for label in counts:
        twin = seen.setdefault(normalize("NFC", label).casefold(), label)
        if twin != label:
            yield f"the labels '{show(twin)}' and '{show(label)}' of '{show(task)}' differ only by case or accents; they are kept apart."
