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
from typing import Any

from mtl.data.questions import Reading
from mtl.errors import MtlError
from mtl.settings.config import MAX_COLUMNS
from mtl.text import can_be_shown, cut, isolate, shorten, visible

MAX_BYTES, MAX_LINE, MAX_TEXT, MAX_NAME, MAX_WORDS, MAX_WORD = 2_000_000_000, 1_000_000, 20_000, 64, 2_000, 1_000
KINDS = {str: "text", bool: "true/false", int: "number", float: "number", list: "list", dict: "object", type(None): "null"}
NAMES = json.loads(Path(__file__).with_name("names.json").read_text(encoding="utf-8"))  # what columns, splits and formats are called
# what can be read, as the README tells it: the names of readers (see readers.READERS), and the endings that the first one reads
LISTED: list[dict[str, Any]] = json.loads(Path(__file__).with_name("formats.json").read_text(encoding="utf-8"))
FORMATS: dict[str, str] = {ending: format["readers"][0] for format in LISTED for ending in format["endings"]}
REFUSED: dict[str, str] = NAMES["refused"]  # what endings of other tools mean, and what to export instead
WORD_NAMES = {*NAMES["tokens"], "form"}  # what columns of words and of tags are called where a line has one word
TAG_NAMES = {*NAMES["generic"], "tag", "ner", "ner_tag", "entity", "slot", "bio", "iob", "pos", "chunk"}
PARTS = ("seq.in", "seq.out", "label")  # of the layout in which a sentence is a line in each of three files
EXCEL, OLD_EXCEL = "an Excel or zip file", "an Excel file of the old format, or one with a password"
POINTER = "only Git LFS's pointer to the file"
MAGIC = {b"\x89PNG": "a PNG image", b"\xff\xd8\xff": "a JPEG image", b"%PDF-": "a PDF document", b"PAR1": "Parquet",
         b"ARROW1": "an Arrow file", b"PK\x03\x04": EXCEL, b"\xd0\xcf\x11\xe0": OLD_EXCEL,
         b"\x1f\x8b": "gzip-compressed", b"\x28\xb5\x2f\xfd": "zstd-compressed", b"\xfd7zXZ\0": "xz-compressed",
         b"BZh91AY": "bzip2-compressed", b"\xff\xfe\0\0": "UTF-32", b"<?xml": "XML",
         b"version https://git-lfs": POINTER}
WESTERN = "cp1252"
ADVICE = {POINTER: "Get the file itself: git lfs pull.", "Parquet": "Rename it to .parquet.", "UTF-32": "Save it as UTF-8.",
          OLD_EXCEL: "Save it as .xlsx or as CSV.",
          EXCEL: "Rename it to .xlsx or .zip, if it is one; or save the data as CSV or JSONL in UTF-8."}
SAVED, SAVED_SPLITS = "state.json", "dataset_dict.json"  # the files that mark a folder of Dataset.save_to_disk, and of DatasetDict's
READABLE = ", ".join(format["what"] for format in LISTED if format["readers"]) + ", or a zip of them"
_SURROGATE = re.compile("[\udc80-\udcff]")
# what cp1252, in which Windows writes the languages of Western Europe, does not have or does not put beside letters: then it is another one
_NOT_WESTERN = re.compile(rb"[\x81\x8d\x8f\x90\x9d\0-\x08\x0e-\x1f]|[\xc0-\xff]{3}|[a-z][\x8a\x8e]|"
                          rb"[A-Za-z][\x80-\x89\x8b\x91\x95\x98\x99\x9b\xa1-\xa9\xab\xac\xae-\xb3\xb5\xb6\xb8\xb9\xbb-\xbf][A-Za-z]")
_ASCII = bytes(range(128))
_UTF_8 = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")  # more than one byte

Record = tuple[int, dict[str, object]]  # the line where it begins (from 1), and its columns


@dataclass
class Source:
    """A file (or the three files of one layout) to be read, its format, and the group it belongs to: see ColumnSpec."""

    paths: tuple[Path, ...]
    format: str
    group: str = ""
    notices: list[str] = field(default_factory=list)
    readings: tuple[Reading, ...] = ()  # two that are about as likely, if there are
    records: int = 0  # known after the first reading
    counts_rows: bool = False  # whether the rows are counted, since they have no lines of their own
    roles: dict[str, str] = field(default_factory=dict)  # what the user says that columns are for
    guesses: dict[str, tuple[str, str]] = field(default_factory=dict)  # roles that a reader sees for columns, and why those ignored are

    @property
    def path(self) -> Path:
        return self.paths[0]

    @property
    def name(self) -> str:
        return file_name(self.path)

    @property
    def unit(self) -> str:
        """What the number in a Record counts."""
        return "row" if self.counts_rows or self.format in ("parquet", "dataset", "xlsx") else "line"

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

    def tell_encoding(self) -> None:
        """Tell the user if a text file is not in UTF-8."""
        for encoding in sorted(set(map(find_encoding, self.paths)) - {""}):
            self.notice(f"is read as {encoding}, not as UTF-8. Save it as UTF-8 if some characters are wrong.")


def find_format(path: Path) -> str:
    """The format of the file or folder at `path`, by its name; '' if that does not say. Raises MtlError for a tool's that is not read."""
    if os.path.isdir(path):
        return "dataset"
    if sentence := REFUSED.get(path.suffix.lower()):
        raise MtlError(f"{file_name(path)}: {sentence}.")
    return "parts" if part_of(path) else FORMATS.get(path.suffix.lower(), "")


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


def are_names_of_words(cells: Iterable[str]) -> bool:
    """Whether these are the names of columns, one of words and one of tags."""
    names = {cell.strip(' "').casefold() for cell in cells}
    return not names.isdisjoint(WORD_NAMES) and not (names - WORD_NAMES).isdisjoint(TAG_NAMES)


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
        advice = "Unpack it." if "compressed" in found else ADVICE.get(found, "Save the data as CSV or JSONL in UTF-8.")
        raise MtlError(f"{name}: is {found}, not plain text{' in UTF-8' * found.startswith('UTF')}. {advice}")


def read_lines(path: Path, longest: int = MAX_LINE) -> Iterator[str]:
    """The lines of a text file with their ends (CR, LF or both; not U+2028), in UTF-8 or as `find_encoding` says. Raises MtlError where one
    is too long or cannot be decoded."""
    check_file(path)
    utf_16, western = _utf_16(path), None
    # bytes that are not UTF-8 become lone surrogates, so that the line of the first one is known
    with path.open(encoding=utf_16 or "utf-8-sig", errors="replace" if utf_16 else "surrogateescape", newline="") as file:
        for number, line in enumerate(iter(partial(file.readline, longest + 2), ""), 1):
            wrong = ""
            if "\0" in line:
                wrong = "contains NUL bytes: not a text file. Save the data as UTF-8 text."
            elif len(line) > longest:
                wrong = f"has over {longest:,} characters. Write one row per line."
            elif not line.isascii() and (bad := _SURROGATE.search(line)):
                western = _is_western(path) if western is None else western
                if western:
                    line = line.encode("utf-8", "surrogateescape").decode(WESTERN)
                else:
                    wrong = _undecodable(line[bad.start():].encode("utf-8", "surrogateescape"))
            elif utf_16 and "\ufffd" in line:
                wrong = "has bytes that are not UTF-16. Is the file whole? Save it as UTF-8."
            if wrong:
                raise MtlError(f"{file_name(path)}, line {number}: {wrong}")
            yield line


def find_encoding(path: Path) -> str:
    """'' for a text file in UTF-8, else how its lines are decoded: UTF-16, or cp1252."""
    if utf_16 := _utf_16(path):
        return utf_16
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        try:
            for part in iter(partial(file.read, 1 << 20), b""):
                decoder.decode(part)
        except UnicodeDecodeError:
            return WESTERN if _is_western(path) else ""
    return ""


def _utf_16(path: Path) -> str:
    """UTF-16, if the file says so or every second byte of its beginning is 0, else ''."""
    with path.open("rb") as file:
        head = file.read(1000)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    zeros = [half.count(0) / max(1, len(half)) for half in (head[::2], head[1::2])]
    return {(False, True): "utf-16-le", (True, False): "utf-16-be"}.get((zeros[0] > 0.9, zeros[1] > 0.9), "") if 0 in zeros else ""


def _is_western(path: Path) -> bool:
    """Whether a file that is not UTF-8 can only be cp1252: nothing beyond ASCII is UTF-8, and all stands where cp1252 would have it."""
    count, rest = 0, b""
    with path.open("rb") as file:
        for line in iter(partial(file.readline, MAX_LINE), b""):
            if not line.isascii():
                if _UTF_8.search(line) or _NOT_WESTERN.search(line):
                    return False
                count, rest = count + 1, line.lstrip(_ASCII)
    return count > 1 or not _is_cut_off(rest)


def _is_cut_off(rest: bytes) -> bool:
    """Whether the last character of a file, of which these are the last bytes, may be UTF-8 and cut off."""
    try:
        rest.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return False


def _undecodable(rest: bytes) -> str:
    """What is wrong with the `rest` of a line from its first byte that is not UTF-8."""
    if _is_cut_off(rest):
        return "its last character is cut off. Is the file whole?"
    return f"byte 0x{rest[0]:02X} is not UTF-8, and not all of the file is in cp1252. Save it as UTF-8, with one encoding throughout."


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


SPLIT_WORDS: dict[str, list[str]] = NAMES["splits"]
SPLIT_OF_WORD = {word: split for split, words in SPLIT_WORDS.items() for word in words}


def split_of(path: Path) -> str:
    """'train', 'validation' or 'test' if the file's name has a word for it, else ''."""
    words = re.findall("[a-z]+", _stem(path).lower())
    return next((split for split, names in SPLIT_WORDS.items() if not set(names).isdisjoint(words)), "")


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
