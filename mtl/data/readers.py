"""Files into one table of rows: their formats, the roles of their columns, and how several files of one split come together. To add a
format: a function that yields records, a line in READERS, and one in formats/formats.json."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from unicodedata import normalize

from mtl.data.columns import GENERIC, NO_VALUES, TEXT_ROLES, Column, profile_columns
from mtl.data.formats.arrow import read_dataset, read_parquet
from mtl.data.formats.chatbots import read_rasa
from mtl.data.formats.conll import read_conll, read_parts
from mtl.data.formats.content import find_by_content, settle_format
from mtl.data.formats.files import MAX_NAME, Record, Source, check_size, find_format, group_of, part_of, show, show_names
from mtl.data.formats.json_files import read_json, read_yaml
from mtl.data.formats.label_studio import read_label_studio_cells
from mtl.data.formats.marked import read_marked
from mtl.data.formats.schemes import NO, ONLY_YES, SEPARATORS, find_separator
from mtl.data.formats.spreadsheet import read_workbook
from mtl.data.formats.tables import read_csv
from mtl.data.formats.word_rows import join_words
from mtl.data.questions import Question
from mtl.data.roles import assign_roles
from mtl.data.row_parser import REPAIRS, make_row
from mtl.data.rows import Row, Table, fitting, row_shape, tasks_of_rows
from mtl.data.store import keep
from mtl.data.values import KIND_OF_ROLE
from mtl.errors import MtlError
from mtl.settings.config import ColumnSpec, TaskSpec
from mtl.text import inflect, many

READERS: dict[str, Callable[[Source], Iterator[Record]]] = {"csv": read_csv, "json": read_json, "conll": read_conll, "parts": read_parts,
                                                            "text": read_marked, "parquet": read_parquet, "dataset": read_dataset,
                                                            "xlsx": read_workbook, "rasa": read_rasa, "yaml": read_yaml}
TABLES = ("csv", "json", "parquet", "dataset", "xlsx")  # formats whose records may be words, to be joined into sentences
EMPTY = {"conll": "has no sentences. Write a word and its tag on each line, and a blank line after each sentence.",
         "rasa": "has no examples of an intent. Write them under a heading such as ## intent:greet, each after a dash.",
         "text": "is empty. Write one text per line, with its entities like this: [Ada](PER) went to [Rome](LOC).",
         "parts": "has no sentences. Write one per line.", "parquet": "has columns but no rows. Write one row per text.",
         "dataset": "has columns but no rows. Write one row per text."}
TEXT = ("csv", "json", "conll", "parts", "text")  # formats of lines, whose encoding has to be found out
NOT_TAKEN = "is not taken for a task"
MERGED_ROWS = 200_000  # of files for different tasks, up to so many rows are joined where they have the same text
HEAD, UNKNOWN_BYTES = 1 << 16, 120  # bytes from which the length of a record is estimated, and the length where that is impossible
Progress = Callable[[str, float], None]  # what is being done, and the share of it that is done


@dataclass(frozen=True, eq=False)
class DataFile:
    """A file and its columns, by name, with their roles and tasks."""

    source: Source
    columns: dict[str, Column]

    @property
    def labelled(self) -> list[Column]:
        return [column for column in self.columns.values() if column.role in KIND_OF_ROLE]


def no_progress(what: str, share: float) -> None:
    """A Progress that shows nothing."""


def read_files(paths: Sequence[Path], specs: Sequence[ColumnSpec] = (), wanted: Sequence[str] = (), file: Path | None = None,
               progress: Progress = no_progress, *, merge: bool = True) -> Table:
    """The rows of the files at `paths` with the tasks `wanted` (none: all), the tasks found, and notices about repairs. Columns have the
    role that `specs` gives them, else a guessed one; one that looks like free text is a task only if `wanted` names it. Many rows are
    stored in `file`. Without `merge`, rows of one text in several files stay apart. Raises MtlError, with the line, if one is wrong."""
    files = find_columns(paths, specs, wanted, progress)
    tasks = list({column.task: TaskSpec(name=column.task, kind=KIND_OF_ROLE[column.role])
                  for each in files for column in each.labelled}.values())
    rows: Iterable[Row] = (row for each in files for row in _rows(each, list(wanted) or [task.name for task in tasks], progress))
    if merge and len(files) > 1:
        rows = merge_rows(rows, files[0].source)
    rows = keep(rows, row_shape(tasks_of_rows(tasks, wanted)), file) if file else list(rows)
    columns = [(each.source.group, column) for each in files for column in each.columns.values()]
    return Table(rows, tasks, [notice for each in files for notice in each.source.notices],
                 tuple(ColumnSpec(column=column.name, role=column.role, task=column.task, group=group) for group, column in columns),
                 tuple(tuple(column.examples) for _, column in columns),
                 tuple(Question(each.source.name, each.source.group, each.source.readings) for each in files if each.source.readings))


def find_columns(paths: Sequence[Path], specs: Sequence[ColumnSpec] = (), wanted: Sequence[str] = (),
               progress: Progress = no_progress) -> list[DataFile]:
    """The files with the roles and tasks of their columns; raises MtlError if one cannot be read, or a column of `specs` is in none."""
    files = []
    for source in find_sources(paths, {spec.group for spec in specs if spec.group}):
        source.roles = {spec.column: spec.role for spec in specs if spec.group in ("", source.group)}
        columns = profile_columns(source, read_records(source, "Looking at", progress))
        assign_roles(source, columns, specs, wanted)
        files.append(DataFile(source, columns))
    check_specs(specs, wanted, files)
    _name_tasks(files)
    for file in files:
        _find_schemes(file)
    return files


def check_specs(specs: Sequence[ColumnSpec], wanted: Sequence[str], files: Sequence[DataFile]) -> None:
    """Raises MtlError if a column of `specs` is nowhere. Where `wanted` tasks are named, it may be: a validation file may lack a task."""
    for spec in specs:
        here = [file for file in files if spec.group in ("", file.source.group)]
        known = dict.fromkeys(name for file in here for name in file.columns)
        if spec.role == "ignore" or spec.column in known or (wanted and (spec.role in KIND_OF_ROLE or not here)):
            continue
        if not here:
            groups = sorted({file.source.group for file in files} - {""})
            raise MtlError(f"{files[0].source.name}: '{show(spec.group)}/{show(spec.column)}' belongs to no file. "
                           f"The files are: {show_names(groups or ['only one'])}.")
        raise MtlError(f"{here[0].source.name}: there is no column '{show(spec.column)}'. The columns are: {show_names(known)}.")


def find_sources(paths: Sequence[Path], groups: Collection[str] = ()) -> list[Source]:
    """The files to be read together (seq.in with seq.out and label), with formats, and with groups if they differ or are among `groups`."""
    sources: dict[tuple, Source] = {}
    paths = list(dict.fromkeys(paths))
    names = Counter(path.name.lower() for path in paths)
    for path in paths:
        kind, part, name = find_format(path) or find_by_content(path), part_of(path), path.name.lower()
        # the parts belong together by their names; where there are several of one name, by their folders too
        key = (name.removesuffix(part), path.parent if names[name] > 1 else None) if part else (path,)
        sources.setdefault(key, Source((), kind, group_of(path))).paths += (path,)
    if not sources:
        raise MtlError("No file is given. Name one with sentences and labels.")
    alone = len({source.group for source in sources.values()}) == 1
    for source in sources.values():
        source.group = "" if alone and source.group not in groups else source.group
    return list(sources.values())


def read_records(source: Source, what: str, progress: Progress) -> Iterator[Record]:
    """The records of a file, whose content decides about the format where its name does not."""
    settle_format(source)
    number, total = 0, source.records or _guess_records(source)
    records = READERS[source.format](source)
    if source.format in ("csv", "xlsx"):
        records = read_label_studio_cells(source, records)
    if source.format in TABLES:
        records = join_words(source, records)
    for number, record in enumerate(records, 1):
        if number % 2000 == 0:
            progress(f"{what} {source.name}", min(0.99, number / total))
        yield record
    if not number and source.format in EMPTY:  # the other readers say it themselves
        raise MtlError(f"{source.name}: {EMPTY[source.format]}")
    if not source.records and source.format in TEXT:
        source.tell_encoding()
    source.records = number


def _guess_records(source: Source) -> int:
    """About how many records a file has, judged by its beginning."""
    if not source.path.is_file():
        return max(1, check_size(source.path) // UNKNOWN_BYTES)
    with source.path.open("rb") as file:
        head = file.read(HEAD)
    ends = head.count(b"\n\n" if source.format == "conll" else b"\n")
    each = len(head) / ends if ends and source.format not in ("parquet", "xlsx") else UNKNOWN_BYTES
    return max(1, round(source.path.stat().st_size / each))


def _name_tasks(files: Sequence[DataFile]) -> None:
    """Name each column's task: as the user does, else as the column; if that is generic (label) and files differ in tasks, as its file."""
    kinds: dict[str, tuple[str, str]] = {}
    for file in files:
        name = file.source.name
        for column in file.labelled:
            if not column.task:
                column.task = "entities" if column.role == "marked" else column.name
                if column.task.casefold() in GENERIC and file.source.group:
                    column.task = _name_by_file(column, file, files)
            kind, where = kinds.setdefault(column.task, (KIND_OF_ROLE[column.role], name))
            if kind != KIND_OF_ROLE[column.role]:
                raise MtlError(f"{name}: '{show(column.task)}' is a task of {KIND_OF_ROLE[column.role]} here, but of {kind} in {where}. "
                               "Give one of them another name.")
        taken = [column.task for column in file.labelled if column.role != "in"]
        taken += {column.task for column in file.labelled if column.role == "in"}
        if twice := [task for task in taken if taken.count(task) > 1]:
            raise MtlError(f"{name}: two columns are said to be the task '{show(twice[0])}'. Give each its own name.")


def _name_by_file(column: Column, file: DataFile, files: Sequence[DataFile]) -> str:
    """The name of the task in a column of a generic name (by now its task's name too) where there are several files."""
    twins = [each for each in files if (twin := each.columns.get(column.name)) and twin.role == column.role]
    same = [each for each in twins if each is file or _are_same(column.labels, each.columns[column.name].labels)]
    groups = list(dict.fromkeys(each.source.group for each in same))
    if len(same) == len(twins) and (len(groups) > 1 or not any(each.labelled for each in files if each not in twins)):
        if len(groups) > 1:
            file.source.notice(f"'{show(column.name)}' has the labels that it has in other files too, and is taken for the same task.")
        return column.task
    if len(same[0].labelled) == 1:
        return groups[0]
    return f"{groups[0][len(column.task) + 1 - MAX_NAME:]} {column.task}"  # the end of a long group: ends differ more often


def _are_same(labels: set[str], others: set[str]) -> bool:
    """Whether the labels in two files are those of one task: half of them in both, or one label in each (a file for every class)."""
    return len(labels & others) * 2 >= len(labels | others) or len(labels) == len(others) == 1


def _find_schemes(file: DataFile) -> None:
    """Find how the cells of each column are written: the scheme of tags; the separator of labels; for several columns of labels ONLY_YES,
    if none of them has a no, so that an empty cell means no. Notices say what is unusual, and which columns are ignored."""
    source = file.source
    for column in file.columns.values():
        name = show(column.name)
        if column.is_pointed:
            source.notice(f"the labels in '{name}' are whole numbers, written like 1.0; they are read as 1.")
        for word in sorted(NO_VALUES & {*column.values, *column.missing}) if column.role == "class" else ():
            is_label = f"is read as a label of '{name}'. Leave the cell empty where it means that there is none."
            is_none = f"in '{name}' is read as an empty cell, as no other label has a capital. Write '{word.lower()}' for a label."
            source.notice(f"'{word}' {is_none if word in column.missing else is_label}")
        if column.role == "tokens" and column.language:
            source.notice(f"'{column.language}' in front of every word is left out.")
        if column.role == "ignore" and column.reason:
            source.notice(f"'{name}' {NOT_TAKEN}: {column.reason}.")
        elif column.reason:
            source.notice(f"'{name}' {column.reason}")
        elif column.role == "tags":
            for sentence in column.survey.spelling.told(name):
                source.notice(sentence)
            try:
                column.scheme = column.survey.scheme
            except MtlError as error:
                raise MtlError(f"{source.name}: in '{name}' {error}") from error
            if column.scheme != "IOB2":
                how = "types without B- and I-; neighbours of one type are one entity" if column.scheme == "bare" else column.scheme
                source.notice(f"the tags in '{name}' are written in {how}.")
        elif column.role == "labels":
            used = (mark for mark in SEPARATORS if any(mark in value for value in column.values))
            column.scheme = find_separator(column.values) or next(used, "")
            if column.scheme:
                source.notice(f"'{name}' has several labels in a cell, with '{column.scheme}' between them. Set it to class to take "
                              "every combination for a label of its own.")
        elif column.role == "in":
            together = [other for other in file.labelled if other.role == "in" and other.task == column.task]
            column.scheme = "" if any(value.casefold() in NO for other in together for value in other.values) else ONLY_YES
    if not file.labelled:
        source.notice("no task was found in it.")


def _rows(file: DataFile, wanted: Sequence[str], progress: Progress) -> Iterator[Row]:
    """The rows of one file, with a value or None for every task of `wanted`; notices about repairs follow at the end."""
    source, text = file.source, next(column for column in file.columns.values() if column.role in TEXT_ROLES)
    columns = [column for column in file.labelled if column.task in wanted]
    absent = dict.fromkeys(name for name in wanted if name not in {column.task for column in columns})
    counts: Counter[str] = Counter()
    firsts: dict[str, int] = {}
    for line, fields in read_records(source, "Reading", progress):
        try:
            row, mended = make_row(fields, text, columns)
        except MtlError as error:
            raise MtlError(f"{source.name}, {source.unit} {line}: {error}") from error
        for notice in mended:
            counts[notice] += 1
            firsts.setdefault(notice, line)
        yield Row(row.text, row.values | absent, row.words) if absent else row
    for notice, count in counts.items():
        source.notice(f"{inflect(REPAIRS[notice], count)} (first in {source.unit} {firsts[notice]}).")


def merge_rows(rows: Iterable[Row], source: Source) -> Iterator[Row]:
    """The rows of files for different tasks, those of one text joined into one where no task has two values; in order."""
    rows, joined = iter(rows), 0
    merged: list[Row] = []
    places: dict[str, int] = {}
    for row in islice(rows, MERGED_ROWS):
        place = places.get(row.text)
        if place is not None and (both := _join(merged[place], row)):
            merged[place] = both
            joined += 1
        else:
            places[row.text] = len(merged)
            merged.append(row)
    if joined:
        source.notice(f"{many(joined, 'row', 'has')} the same text as a row of another file and {'was' if joined == 1 else 'were'} "
                      "joined with it.")
    yield from merged
    yield from rows


def _join(one: Row, other: Row) -> Row | None:
    """Two rows of one text as one; None if a task has two values. Tokens are kept if there are no others, and all entities fit them."""
    values = {name: value for name, value in other.values.items() if value is not None}
    if any(one.values.get(name) is not None for name in values):
        return None
    values = one.values | values
    differ = one.words and other.words and one.words != other.words
    return Row(one.text, values, fitting(None if differ else one.words or other.words, values))


def similar_labels(labels: Iterable[str], task: str) -> Iterator[str]:
    """A sentence for every two labels of `task` that differ only by case or accents."""
    first: dict[str, str] = {}
    for label in labels:
        twin = first.setdefault(normalize("NFC", label).casefold(), label)
        if twin != label:
            yield f"the labels '{show(twin)}' and '{show(label)}' of '{show(task)}' differ only by case or accents; they are kept apart."
