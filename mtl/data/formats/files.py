"""A user's file as lines of text: its format by its name, its bytes checked and decoded, nothing unpacked. Reads no format itself."""

import codecs
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mtl.errors import MtlError
from mtl.settings.config import MAX_COLUMNS
from mtl.text import can_be_shown, cut, isolate, shorten, visible

MAX_BYTES, MAX_LINE, MAX_TEXT, MAX_NAME, MAX_WORDS, MAX_WORD = 2_000_000_000, 1_000_000, 20_000, 64, 2_000, 1_000
KINDS = {str: "text", bool: "true/false", int: "number", float: "number", list: "list", dict: "object", type(None): "null"}
FORMATS = {".csv": "csv", ".tsv": "csv", ".jsonl": "json", ".json": "json", ".ndjson": "json", ".conll": "conll", ".conllu": "conll",
           ".iob": "conll", ".iob2": "conll", ".bio": "conll", ".bioes": "conll", ".txt": "text", ".md": "text", ".parquet": "parquet"}
PARTS = ("seq.in", "seq.out", "label")  # of the layout in which a sentence is a line in each of three files
MAGIC = {b"\x89PNG": "a PNG image", b"\xff\xd8\xff": "a JPEG image", b"%PDF-": "a PDF document", b"PAR1": "Parquet",
         b"ARROW1": "an Arrow file", b"PK\x03\x04": "an Excel or zip file", b"\xd0\xcf\x11\xe0": "an old Excel file",
         b"\x1f\x8b": "gzip-compressed", b"\x28\xb5\x2f\xfd": "zstd-compressed", b"\xfd7zXZ\0": "xz-compressed",
         b"BZh91AY": "bzip2-compressed", b"\xff\xfe\0\0": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
SAVED, SAVED_SPLITS = "state.json", "dataset_dict.json"  # the files that mark a folder of Dataset.save_to_disk, and of DatasetDict's
READABLE = "CSV, TSV, JSONL, JSON, CoNLL columns (.conll), marked text (.txt), Parquet, or a folder that `datasets` saved"
_SURROGATE = re.compile("[\udc80-\udcff]")

Record = tuple[int, dict[str, object]]  # the line where it begins (from 1), and its columns


@dataclass
class Source:
    """A file (or the three files of one layout) to be read, its format, and the group it belongs to: see ColumnSpec."""

    paths: tuple[Path, ...]
    format: str
    group: str = ""
    notices: list[str] = field(default_factory=list)
    records: int = 0  # known after the first reading

    @property
    def path(self) -> Path:
        return self.paths[0]

    @property
    def name(self) -> str:
        return file_name(self.path)

    @property
    def unit(self) -> str:
        """What the number in a Record counts."""
        return "row" if self.format in ("parquet", "dataset") else "line"

    @contextmanager
    def at(self, line: int) -> Iterator[None]:
        """Add the place in the file to an MtlError raised inside. Costs a microsecond: not for what is done twice for every row."""
        try:
            yield
        except MtlError as error:
            raise MtlError(f"{self.name}, {self.unit} {line}: {error}") from error

    def notice(self, sentence: str) -> None:
        """Keep a sentence for the user, once: every file is read twice."""
        if (sentence := f"{self.name}: {sentence}") not in self.notices:
            self.notices.append(sentence)


def find_format(path: Path) -> str:
    """The format of the file or folder at `path`, by its name; raises MtlError if there is no reader for it."""
    if os.path.isdir(path):
        return "dataset"
    found = "parts" if part_of(path) else FORMATS.get(path.suffix.lower())
    if found is None:
        raise MtlError(f"{file_name(path)}: this kind of file cannot be read. Give {READABLE}.")
    return found


def part_of(path: Path) -> str:
    """Which file of the three-file layout this is, '' if none."""
    name = path.name.lower()
    return next((part for part in PARTS if name == part or name.endswith((f".{part}", f"_{part}", f"-{part}"))), "")


def file_name(path: Path) -> str:
    """The name of a file in messages: short, and never with its folder."""
    return show(own_name(path), 36)


def own_name(path: Path) -> str:
    """The name of a file or folder. Every saved `DatasetDict` has a folder 'train', so the name of the whole stands in front of it."""
    return f"{path.parent.name}_{path.name}" if (path.parent / SAVED_SPLITS).is_file() else path.name


def check_names(columns: Sequence[str]) -> None:
    """Raises MtlError unless these can be the names of columns."""
    if len(columns) > MAX_COLUMNS:
        raise MtlError(f"there are {len(columns):,} columns, the limit is {MAX_COLUMNS}. Remove those that are no tasks.")
    for index, column in enumerate(columns, 1):
        if not column.strip():
            raise MtlError(f"column {index} has no name. Give every column a name, or remove it.")
        if len(column) > MAX_NAME or not can_be_shown(column):
            raise MtlError(f"column {index} has the name '{show(column)}'. Use up to {MAX_NAME} characters that can be shown.")
        if column in columns[:index - 1]:
            raise MtlError(f"column '{show(column)}' appears twice. Give every column its own name.")


def check_size(path: Path) -> int:
    """The size of a file or folder in bytes; raises MtlError if that is too much to read."""
    size = path.stat().st_size if path.is_file() else sum(file.stat().st_size for file in path.rglob("*"))
    if size > MAX_BYTES:
        raise MtlError(f"{file_name(path)}: has {size / 1e6:,.1f} MB, the limit is {MAX_BYTES / 1e6:,.0f} MB. Split the file.")
    return size


def check_file(path: Path, wanted: str = "") -> None:
    """Raises MtlError unless there is a file at `path` that is not empty, not too large, and of the binary kind `wanted` ('': text)."""
    name = file_name(path)
    try:
        if not path.is_file():
            raise MtlError(f"{name}: there is no such file.")
        size = check_size(path)
        with path.open("rb") as file:
            head = file.read(1000)
    except OSError as error:
        raise MtlError(f"{name}: cannot be opened ({error.strerror}).") from error
    found = next((what for magic, what in MAGIC.items() if head.startswith(magic)), "")
    if head.removeprefix(codecs.BOM_UTF8)[:200].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        found = "a web page"
    if wanted and not size:
        raise MtlError(f"{name}: is empty. Is the file whole?")
    if wanted and found != wanted:
        raise MtlError(f"{name}: is {found or 'plain text'}, not {wanted}, whatever its name says. Rename the file.")
    if found and not wanted:
        advice = ("Rename it to .parquet." if found == "Parquet" else "Unpack it." if "compressed" in found
                  else "Save it as UTF-8." if found.startswith("UTF") else "Save the data as CSV or JSONL in UTF-8.")
        raise MtlError(f"{name}: is {found}, not plain text{' in UTF-8' * found.startswith('UTF')}. {advice}")


def read_lines(path: Path, longest: int = MAX_LINE) -> Iterator[str]:
    """The lines of a text file with their ends (CR, LF or both; not U+2028). Raises MtlError where one is too long or no UTF-8."""
    check_file(path)
    # bytes that are not UTF-8 become lone surrogates, so that the line of the first one is known
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        for number, line in enumerate(iter(partial(file.readline, longest + 2), ""), 1):
            wrong = ""
            if "\0" in line:
                wrong = "contains NUL bytes: not a text file. Save the data as UTF-8 text."
            elif len(line) > longest:
                wrong = f"has over {longest:,} characters. Write one row per line."
            elif not line.isascii() and (bad := _SURROGATE.search(line)):
                wrong = _undecodable(line[bad.start():].encode("utf-8", "surrogateescape"))
            if wrong:
                raise MtlError(f"{file_name(path)}, line {number}: {wrong}")
            yield line


def _undecodable(rest: bytes) -> str:
    """What is wrong with the `rest` of a line from its first byte that is not UTF-8."""
    try:
        rest.decode()
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":
            return "its last character is cut off. Is the file whole?"
    return f"byte 0x{rest[0]:02X} is not UTF-8. Save the file as UTF-8."


def show(value: object, limit: int = 30) -> str:
    """A user's value in a message: short, with visible characters only, and isolated from the reading direction around it."""
    text = value if isinstance(value, str) else a_kind(value) if isinstance(value, list | dict) else json.dumps(value)
    return isolate(visible(shorten(text, limit)))


def a_kind(value: object) -> str:
    """What kind of value this is, in a message."""
    kind = KINDS[type(value)]
    return kind if kind in ("null", "true/false") else f"an {kind}" if kind == "object" else f"a {kind}"


def show_names(columns: Iterable[str]) -> str:
    """The names of columns in a message."""
    shown = shorten(", ".join(map(visible, columns)), 80)
    return ", ".join(map(isolate, shown.split(", "))) or "none"


SPLIT_WORDS = {"train": {"train", "training"}, "validation": {"dev", "valid", "validation", "val", "eval", "evaluation", "testa"},
               "test": {"test", "testing", "testb"}}
SPLIT_OF_WORD = {word: split for split, words in SPLIT_WORDS.items() for word in words}


def split_of(path: Path) -> str:
    """'train', 'validation' or 'test' if the file's name has a word for it, else ''."""
    return next((split for split, names in SPLIT_WORDS.items() if names.intersection(re.findall("[a-z]+", _stem(path).lower()))), "")


def find_split(names: Iterable[str], role: str) -> str:
    """Which of the splits called `names` is for `role` (train, validation or test), '' if none."""
    return next((name for name in names if SPLIT_OF_WORD.get(name.casefold()) == role), "")


def group_of(path: Path) -> str:
    """The file's name without its split and its shard: sst2 for sst2-train-00000-of-00001.parquet."""
    stem = re.sub(r"[-_.]?\d+-of-\d+$", "", _stem(path))
    parts = [part for part in re.split(r"[-_. ]+", stem) if part and part.lower() not in SPLIT_OF_WORD]
    return cut("_".join(parts), MAX_NAME)


def _stem(path: Path) -> str:
    """The file's name without its suffix, or without the part of the three-file layout."""
    part, name = part_of(path), own_name(path)
    return name[:-len(part)] if part else Path(name).stem
