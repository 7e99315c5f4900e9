"""Rows into files that `readers` reads back. What a format cannot hold is refused; what gets lost silently is listed at `write_rows`."""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from mtl.data.columns import TOKEN_NAMES
from mtl.data.formats.export import Export
from mtl.data.formats.files import MAX_WORD, MAX_WORDS, SAVED, check_names, file_name, show, show_names
from mtl.data.formats.json_files import MAX_ARRAY
from mtl.data.formats.layouts import COMMENT, NAMES, NO_LABELS, NOT_LABELLED
from mtl.data.formats.marked import LOOKED_AT, find_syntax, parse_marked, split_label, write_marked
from mtl.data.formats.tables import as_list
from mtl.data.formats.tools import flatten, is_plain
from mtl.data.rows import Row, count_all
from mtl.data.store import Shape, keep, save
from mtl.data.values import VALUES
from mtl.data.words import spans_to_tags
from mtl.errors import MtlError, is_disk_full
from mtl.files import replacing
from mtl.settings.config import TaskSpec

Fields = dict[str, object]
_BREAK = re.compile(r"[\t\r\n]")


def write_rows(path: Path, rows: Iterable[Row], tasks: Sequence[TaskSpec]) -> None:
    """Write the values of `tasks` on `rows` to the file at `path`, whole or not at all, in the format that its name says. A name without a
    suffix is that of a folder, which `datasets.load_from_disk` opens. Raises MtlError if the format cannot hold the rows.
    The words of the rows are kept only if all rows have them, with one blank between any two; else spans are written as characters of
    the text. CoNLL columns hold nothing but words: a text without is cut into `find_words`, and what stood between them is lost.
    Marked text (.txt) has no names: read back, the tasks are called 'entities' and 'label'."""
    suffix, rows = path.suffix.lower(), rows if isinstance(rows, Sequence) else list(rows)
    if suffix not in WRITERS:
        raise MtlError(f"{file_name(path)}: rows cannot be written in this format. Name the file {', '.join(filter(None, WRITERS))}, "
                       "or give a name without a suffix: that becomes a folder of `datasets`.")
    try:
        if not rows:
            raise MtlError("there are no rows to write.")
        check_names([task.name for task in tasks])
        if taken := [show(task.name) for task in tasks if task.name.casefold() in ("text", *TOKEN_NAMES)]:
            raise MtlError(f"a task called '{taken[0]}' would be taken for the sentence. Give it another name.")
        if path.is_dir() and not (path / SAVED).is_file():
            raise MtlError("this name is taken, and not by a folder of `datasets`, which would be replaced. Choose another name.")
        with replacing(path) as building:
            WRITERS[suffix](building, rows, tasks)
    except MtlError as error:
        raise MtlError(f"{file_name(path)}: {error}") from error
    except OSError as error:
        reason = "the disk is full. Free some space" if is_disk_full(error) else f"cannot be written ({error.strerror})"
        raise MtlError(f"{file_name(path)}: {reason}.") from error


def _records(rows: Iterable[Row], tasks: Sequence[TaskSpec], tokens: bool) -> Iterator[Fields]:
    """The rows as flat objects: tokens with a tag for each, or a text with spans."""
    for row in rows:
        fields: Fields = {"tokens": _words(row)} if tokens else {"text": row.text}
        for task in tasks:
            value = row.values.get(task.name)
            plain = None if value is None else value.plain()
            if as_list(plain) is not plain:
                raise MtlError(f"the label '{show(plain)}' would be taken for a list. Give it another name.")
            fields[task.name] = spans_to_tags(row.words or (), value) if value is not None and value.marks_text and tokens else plain
        yield fields


def _words(row: Row) -> list[str]:
    return [row.text[start:end] for start, end in row.word_ranges()]


def _has_words(rows: Iterable[Row]) -> bool:
    """Whether all rows are nothing but words with one blank between any two."""
    return all(row.words and row.text == " ".join(words := _words(row)) and row.text.count(" ") == len(words) - 1
               and not _BREAK.search(row.text) for row in rows)


def _write_json(path: Path, rows: Sequence[Row], tasks: Sequence[TaskSpec]) -> None:
    before, between, end = ("[\n", ",\n", "\n]\n") if path.suffix.lower() == ".json" else ("", "\n", "\n")
    with path.open("w", encoding="utf-8", newline="") as file:
        export = Export()
        for fields in _records(rows, tasks, _has_words(rows)):
            try:
                same = is_plain(fields, export) or flatten(fields, export) is fields
            except MtlError:
                same = False
            if not same:
                raise MtlError(f"in JSON the names of the tasks ({show_names(task.name for task in tasks)}) are those of an "
                               "annotation tool. Rename them, or write .csv or .parquet.")
            file.write(before + json.dumps({key: part for key, part in fields.items() if part is not None}, ensure_ascii=False))
            before = between
        file.write(end)
    if path.suffix.lower() == ".json" and path.stat().st_size > MAX_ARRAY:
        raise MtlError(f"a JSON array of over {MAX_ARRAY / 1e6:,.0f} MB could not be read back. Write .jsonl.")


def _write_csv(path: Path, rows: Sequence[Row], tasks: Sequence[TaskSpec]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        tokens = _has_words(rows)
        writer.writerow(["tokens" if tokens else "text", *(task.name for task in tasks)])
        for fields in _records(rows, tasks, tokens):
            cells = ["" if part is None else part if isinstance(part, str) else json.dumps(part, ensure_ascii=False)
                     for part in fields.values()]
            if any("\0" in cell or len(cell) > csv.field_size_limit() for cell in cells):
                raise MtlError("a table of text holds no NUL characters, and no lists so long. Write .jsonl or .parquet.")
            writer.writerow(cells)


def _write_dataset(path: Path, rows: Sequence[Row], tasks: Sequence[TaskSpec]) -> None:
    """A Parquet file; or a folder as `Dataset.save_to_disk` writes it, where classes are numbers, and the features have their names."""
    import pyarrow
    from datasets import ClassLabel, Features

    tokens, text = _has_words(rows), pyarrow.string()
    types = {"tokens": pyarrow.list_(text)} if tokens else {"text": text}
    for task in tasks:
        value = VALUES[task.kind]
        types[task.name] = pyarrow.list_(text) if tokens and value.marks_text else value.arrow(pyarrow)
    features = Features.from_arrow_schema(pyarrow.schema(types))
    classes = [task.name for task in tasks if VALUES[task.kind].has_one_label and not path.suffix]
    for name, counts in count_all(rows, classes).items():
        features[name] = ClassLabel(names=sorted(counts))
    records = (fields | {name: None if fields[name] is None else features[name].str2int(fields[name]) for name in classes}
               for fields in _records(rows, tasks, tokens))
    shape = Shape(lambda: features.arrow_schema, dict, dict)
    with TemporaryDirectory(prefix=".tmp-", dir=path.parent) as folder:
        save(keep(records, shape, Path(folder) / "rows.arrow"), shape, path)


def _write_conll(path: Path, rows: Sequence[Row], tasks: Sequence[TaskSpec]) -> None:
    """A word and its tags on each line, between TABs, since labels may have blanks."""
    tagging, classes = _apart(tasks)
    if {name.casefold() for name in tagging} & {"form", "id"}:
        raise MtlError("'FORM' and 'id' are no names for a column of tags. Rename the task, or write .jsonl.")
    with path.open("w", encoding="utf-8", newline="") as file:
        if tagging != ["tags"] or classes or rows[0].text.lstrip().startswith(("#", "\ufeff")):
            file.write(f"# {NAMES} = " + "\t".join(["FORM", *(tagging or ["tags"])]) + "\n")
        for row in rows:
            lines = [_comment(name, row.values[name]) for name in classes if row.values.get(name) is not None]
            words, columns = _words(row), []
            for name in tagging or ["tags"]:
                value = row.values.get(name)
                columns.append([NOT_LABELLED] * len(words) if value is None else spans_to_tags(row.word_ranges(), value))
            lines += ["\t".join(fields) for fields in zip(words, *columns, strict=True)]
            if not words or len(words) > MAX_WORDS or "-DOCSTART-" in words or max(map(len, words)) > MAX_WORD or " " in "".join(words):
                raise MtlError(f"'{show(row.text)}' cannot be written as a word on each line. Write .jsonl or .parquet.")
            if any(line.count("\t") != len(columns) for line in lines[-len(words):]) or re.search("[\\0\r\n]", "".join(lines)):
                raise MtlError("words and labels in columns hold no TAB, NUL or end of line. Write .jsonl or .parquet.")
            file.write("\n".join(lines) + "\n\n")


def _apart(tasks: Sequence[TaskSpec]) -> tuple[list[str], list[str]]:
    """The names of the tasks whose values are marked in the text, and of the others."""
    return tuple([task.name for task in tasks if VALUES[task.kind].marks_text is marks] for marks in (True, False))


def _comment(name: str, label: object) -> str:
    line = f"# {name} = {label}"
    found = COMMENT.fullmatch(line)
    if not found or (found["key"], found["value"]) != (name, label) or NO_LABELS.fullmatch(name) or name == "tokens" or "\t" in line:
        raise MtlError(f"'{show(name)} = {show(label)}' cannot be written as a comment. Write .jsonl or .parquet.")
    return line


def _write_marked(path: Path, rows: Sequence[Row], tasks: Sequence[TaskSpec]) -> None:
    """A text on each line with its entities marked, and its class in front."""
    tagging, classes = _apart(tasks)
    if len(tagging) > 1 or len(classes) > 1:
        raise MtlError("marked text holds one task with entities and one with classes. Write .jsonl, .csv or .parquet.")
    found = False  # where the reader looks for it
    with path.open("w", encoding="utf-8", newline="") as file:
        for number, row in enumerate(rows):
            spans = row.values.get(tagging[0]) if tagging else ()
            if spans is None:
                raise MtlError("marked text cannot tell that a text is not labelled from that it has no entities. Write .jsonl or .csv.")
            label = row.values.get(classes[0]) if classes else None
            body = write_marked(row.text, spans) if tagging else row.text
            line = f"__label__{label} {body}" if label else body
            syntax = "round" if tagging else ""
            again, text = split_label(line)
            same = again == label and parse_marked(text, syntax) == (row.text, spans) and (tagging or not find_syntax(text))
            if not same or re.search("[\0\r\n]", line) or (label and split_label(text.lstrip())[0]):
                raise MtlError(f"'{show(row.text)}' or its label would be read otherwise in marked text. Write .jsonl, .csv or .parquet.")
            found = found or (number < LOOKED_AT and bool(label or spans))
            file.write("\ufeff" * (number == 0 and line.startswith("\ufeff")) + line + "\n")
    if not found:
        raise MtlError(f"none of the first {LOOKED_AT} texts has an entity or a class, so it could not be read back. Write .jsonl or .csv.")


WRITERS: dict[str, Callable[[Path, Sequence[Row], Sequence[TaskSpec]], None]] = {
    ".jsonl": _write_json, ".json": _write_json, ".csv": _write_csv, ".tsv": _write_csv, ".conll": _write_conll, ".txt": _write_marked,
    ".parquet": _write_dataset, "": _write_dataset}
