"""Archives (zip, and one file in gzip, bzip2 or xz) into the data files in them. Paths from inside an archive are never used."""

import bz2
import gzip
import hashlib
import lzma
import os
import re
import shutil
import stat
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from zipfile import BadZipFile, ZipFile, ZipInfo

from mtl.data.formats.files import PARTS, SPLIT_WORDS, check_size, file_name, find_format, show, show_names, split_of
from mtl.data.formats.spreadsheet import is_workbook, sheet_names
from mtl.errors import MtlError, is_disk_full
from mtl.files import replacing, room_on_disk
from mtl.settings.config import MAX_FILES

UNPACKED = "unpacked"  # the folder, beside the runs, where archives are unpacked until a run has copies of their files
KEPT_SECONDS = 24 * 3600
MAX_UNPACKED, MAX_ENTRIES, PART = 500_000_000, 10_000, 1 << 20
TOO_LARGE = f"{{}}: has {{}} MB when unpacked, the limit is {MAX_UNPACKED / 1e6:,.0f} MB. Unpack it, and give the files in it."
OFFICE = {"[Content_Types].xml", "mimetype"}  # entries of office documents
NO_DATA = re.compile(r"(readme|licen[cs]e|changelog|citation|notice|thumbs|desktop)\b.*", re.IGNORECASE)
NESTED = (".zip", ".gz", ".tgz", ".tar", ".bz2", ".xz", ".7z", ".rar", ".zst")
OPENERS: dict[bytes, Callable[[Path], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_DAMAGED = (OSError, EOFError, BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError, ValueError, IndexError)


def spread(files: Mapping[str, Any], into: Path) -> dict[str, tuple[str, ...]]:
    """The settings train_files, validation_files and test_files among `files`, with archives replaced by what is in them. An archive among
    the training files may have all three: as its files are called."""
    found: dict[str, tuple[str, ...]] = {}
    for split in SPLIT_WORDS:
        names = files.get(f"{split}_files") or ()
        for name in names if isinstance(names, list | tuple) else ():  # anything else is for RunConfig to refuse
            unpacked = unpack([Path(name)], into)
            for path in unpacked:
                inside = split_of(path) if split == "train" and len(unpacked) > 1 else ""
                found[f"{inside or split}_files"] = (*found.get(f"{inside or split}_files", ()), str(path))
    return found


def unpack(paths: Iterable[Path], into: Path) -> list[Path]:
    """`paths`, each archive replaced by the data files in it, which are unpacked into `into`; book.xlsx:Sheet by a workbook that is read
    from this sheet. Raises MtlError if an archive is damaged or too large, or has no data or another archive in it."""
    with suppress(OSError):
        for old in into.iterdir():
            if old.stat().st_mtime < time.time() - KEPT_SECONDS and re.fullmatch(r".*-[0-9a-f]{16}", old.name):
                shutil.rmtree(old, ignore_errors=True)
    return [file for path in paths for file in _unpack(path, into)]


def _unpack(path: Path, into: Path) -> list[Path]:
    book, _, sheet = str(path).rpartition(":")
    if book and not path.exists() and is_workbook(Path(book)):
        return [_name_sheet(Path(book), sheet, into)]
    write = _writer(path)
    if write is None:
        return [path]
    check_size(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    folder = into / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', path.stem).lstrip('.')[:40]}-{digest}"
    if not folder.is_dir():
        into.mkdir(parents=True, exist_ok=True)
        with room_on_disk(f"The disk is full: {file_name(path)} could not be unpacked. Free some space."), replacing(folder) as building:
            building.mkdir()
            try:
                write(path, building)
            except _DAMAGED as error:
                if is_disk_full(error):
                    raise
                raise MtlError(f"{file_name(path)}: is damaged, and cannot be unpacked. Is it whole?") from error
    os.utime(folder)  # used now
    return sorted(folder.iterdir())


def _writer(path: Path) -> Callable[[Path, Path], None] | None:
    """What unpacks this file; None if it is no archive."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        head = file.read(6)
    if head.startswith(b"PK\x03\x04") and not is_workbook(path):
        return _unpack_zip
    return next((_unpack_one for magic in OPENERS if head.startswith(magic)), None)


def _name_sheet(book: Path, sheet: str, into: Path) -> Path:
    """A copy of the workbook under a name that ends in the name of the sheet, so that this one is read."""
    if sheet not in (names := sheet_names(book)):
        raise MtlError(f"{file_name(book)}: has no sheet '{show(sheet)}'. Its sheets are: {show_names(names)}.")
    into.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(book, into / f"{book.stem}.{sheet}{book.suffix}"))


def _unpack_one(path: Path, folder: Path) -> None:
    """Unpack the one file in a compressed file."""
    name = path.stem if path.suffix.lower() in NESTED else path.name
    if path.suffix.lower() == ".tgz" or name.lower().endswith(".tar"):
        raise MtlError(f"{file_name(path)}: is a tar archive, which is not read. Unpack it, or make it a .zip.")
    with path.open("rb") as file:
        head = file.read(6)
    opener = next(opener for magic, opener in OPENERS.items() if head.startswith(magic))
    with opener(path) as packed, (folder / name).open("wb") as file:
        _copy(packed, file, path)


def _unpack_zip(path: Path, folder: Path) -> None:
    """Unpack the data files of a zip archive, under plain names."""
    with ZipFile(path) as archive:
        for name, entry in _name_entries(path, archive.infolist()):
            with archive.open(entry) as packed, (folder / name).open("wb") as file:
                _copy(packed, file, path)


def _name_entries(path: Path, entries: Sequence[ZipInfo]) -> Iterator[tuple[str, ZipInfo]]:
    """The entries with data, each with the name that its file gets: its own without a folder, or with the split that a folder names."""
    name = file_name(path)
    if len(entries) > MAX_ENTRIES:
        raise MtlError(f"{name}: holds {len(entries):,} files, the limit is {MAX_ENTRIES:,}. Pack only the data.")
    if OFFICE & {entry.filename for entry in entries}:
        raise MtlError(f"{name}: is a document of an office program. Save its table as .xlsx or as CSV.")
    whole = [entry for entry in entries if not entry.is_dir() and not stat.S_ISLNK(entry.external_attr >> 16) and not any(
        part.startswith((".", "__")) for part in _parts(entry) if part.strip(".")) and not NO_DATA.fullmatch(_parts(entry)[-1])]
    data = [entry for entry in whole if find_format(Path(_parts(entry)[-1]))] or [
        entry for entry in whole if not _parts(entry)[-1].lower().endswith(NESTED)]
    if nested := [entry for entry in whole if _parts(entry)[-1].lower().endswith(NESTED)]:
        raise MtlError(f"{name}: holds another archive ({show(_parts(nested[0])[-1])}). Unpack it, and give the files in it.")
    if not data:
        raise MtlError(f"{name}: holds no file with data. Pack files such as train.csv.")
    if len(data) > MAX_FILES:
        raise MtlError(f"{name}: holds {len(data)} files with data, the limit is {MAX_FILES}. Join them, or pack fewer.")
    if (size := sum(entry.file_size for entry in data)) > MAX_UNPACKED:
        raise MtlError(TOO_LARGE.format(name, f"{size / 1e6:,.0f}"))
    if any(entry.flag_bits & 1 for entry in data):
        raise MtlError(f"{name}: has a password. Pack it without one.")
    taken: set[str] = set()
    for entry in data:
        plain = _plain_name(entry, path)
        while plain.casefold() in taken:
            plain = f"{len(taken) + 1}-{plain}"
        taken.add(plain.casefold())
        yield plain, entry


def _parts(entry: ZipInfo) -> tuple[str, ...]:
    """The folders and the name of an entry; Windows programs write them with backslashes."""
    return PurePosixPath(entry.filename.replace("\\", "/")).parts or ("",)


def _plain_name(entry: ZipInfo, path: Path) -> str:
    *folders, name = (re.sub(r"[^\w. -]", "_", part)[-80:] for part in _parts(entry))
    named = [folder for folder in (path.stem, *folders) if split_of(Path(f"{folder}.csv"))]
    alone = name.lower() in PARTS and folders
    return f"{(named or folders)[-1]}-{name}" if (named and not split_of(Path(name))) or alone else name


def _copy(packed: BinaryIO, file: BinaryIO, path: Path) -> None:
    """Copy what is unpacked, as far as an archive may have it: what its directory says of sizes may be wrong."""
    size = 0
    while part := packed.read(PART):
        size += len(part)
        if size > MAX_UNPACKED:
            raise MtlError(TOO_LARGE.format(file_name(path), f"over {MAX_UNPACKED / 1e6:,.0f}"))
        file.write(part)
