"""Files that were parsed already: rows are kept in a folder, under a digest of the content and columns' roles, to be parsed only once."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from filelock import AcquireReturnProxy, FileLock
from pydantic import BaseModel

from mtl.data.questions import Question
from mtl.data.readers import Progress, find_sources, merge_rows, no_progress, read_files
from mtl.data.rows import Table, narrow, row_shape, tasks_of_rows
from mtl.data.store import keep, link_folder, open_saved, save
from mtl.files import replacing
from mtl.settings.config import ColumnSpec, TaskSpec

PARSED = "parsed"  # the name of such a folder, beside the runs or in the folder of a run that has not begun
MAX_TABLES = 12  # in it; the one that was not used for longest goes first
TABLE_INFO = "table.json"  # beside the rows of each: its tasks, those of them that rows have values for, columns, notices
VERSION = 5  # of the readers; raised when they give other rows, so that what was parsed before is parsed again


def read_parsed(paths: Sequence[Path], columns: Sequence[ColumnSpec], wanted: Sequence[str], parsed: Path, into: Path,
                progress: Progress = no_progress) -> Table:
    """As `read_files`, but what was parsed before is taken from the folder `parsed`, or kept there. Many merged rows go into `into`."""
    found = read_unmerged(paths, columns, wanted, parsed, progress)
    tasks = tasks_of_rows(found.tasks, wanted)
    rows, notices = narrow(found.rows, tasks), list(found.notices)
    if len(sources := find_sources(paths)) > 1:
        rows = keep(merge_rows(rows, sources[0]), row_shape(tasks), into / f"{uuid4().hex}.arrow")
        notices += sources[0].notices
    return replace(found, rows=rows, notices=notices)


def read_unmerged(paths: Sequence[Path], columns: Sequence[ColumnSpec], wanted: Sequence[str], parsed: Path,
                  progress: Progress = no_progress) -> Table:
    """As `read_parsed`, but rows of one text in several files stay apart, and may have values for other tasks too."""
    key = _digest(paths, columns)
    if key is None:  # a file cannot be read: `read_files` raises the message
        return read_files(paths, columns, wanted, progress=progress)
    if found := _open(parsed / key, wanted):
        return found
    with _only_one(parsed, lambda: progress(f"Looking at {paths[0].name}", 0.0)):
        return _open(parsed / key, wanted) or _parse(paths, columns, wanted, parsed, key, progress)


def _only_one(parsed: Path, waits: Callable[[], None] = lambda: None) -> AcquireReturnProxy:
    """Inside, nobody else changes the folder `parsed`: the data tab and a start may want one file at once. Until then `waits` is called."""
    parsed.mkdir(parents=True, exist_ok=True)
    return FileLock(parsed / ".lock").acquire(poll_interval=0.1, cancel_check=waits)


def share_parsed(paths: Sequence[Path], columns: Sequence[ColumnSpec], parsed: Path, to: Path) -> tuple[ColumnSpec, ...]:
    """Link what was parsed of those files into the folder `to`, if there is anything; the roles of their columns, as far as known."""
    key = _digest(paths, columns)
    if not key or not (parsed / key / TABLE_INFO).is_file():
        return ()
    with _only_one(parsed):
        link_folder(parsed / key, to / key)
    return tuple(ColumnSpec(**column) for column in read_info(to / key / TABLE_INFO)["columns"])


def _digest(paths: Sequence[Path], columns: Sequence[ColumnSpec]) -> str | None:
    """A digest of these files and of the roles given to their columns; None if one cannot be read."""
    found = hashlib.sha256(json.dumps([VERSION, [spec.model_dump() for spec in columns]]).encode())
    try:
        for path in paths:
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                found.update(f"\n{file.name} {file.stat().st_size}\n".encode("utf-8", "surrogatepass"))
                with file.open("rb") as opened:
                    while part := opened.read(1 << 20):
                        found.update(part)
    except OSError:
        return None
    return found.hexdigest()[:32]


def _parse(paths: Sequence[Path], columns: Sequence[ColumnSpec], wanted: Sequence[str], parsed: Path, key: str,
           progress: Progress) -> Table:
    """Parse the files and keep their rows under `key`, and under the key that they have once the roles of all columns are given."""
    with TemporaryDirectory(prefix=".", dir=parsed) as folder:
        table = read_files(paths, columns, wanted, Path(folder) / "rows.arrow", progress, merge=False)
        tasks = tasks_of_rows(table.tasks, wanted)
        with replacing(parsed / key) as place:
            save(table.rows, row_shape(tasks), place)
            info = {"tasks": table.tasks, "names": [task.name for task in tasks], "notices": table.notices, "columns": table.columns,
                    "values": table.values, "questions": list(map(asdict, table.questions))}
            (place / TABLE_INFO).write_text(json.dumps(info, default=BaseModel.model_dump), encoding="utf-8")
    if (again := _digest(paths, table.columns)) not in (None, key):
        link_folder(parsed / key, parsed / again)
    tables = sorted((path for path in parsed.iterdir() if not path.name.startswith(".")), key=lambda path: path.stat().st_mtime)
    for old in tables[:-MAX_TABLES]:
        shutil.rmtree(old, ignore_errors=True)
    return _open(parsed / key, wanted)


def _open(place: Path, wanted: Sequence[str]) -> Table | None:
    """The table in the folder `place`; None if it is not there, or lacks the rows' values for a task that is wanted and may be there."""
    with suppress(OSError, ValueError, KeyError):
        info = read_info(place / TABLE_INFO)
        tasks, columns = info["tasks"], tuple(ColumnSpec(**column) for column in info["columns"])
        if set(wanted or [task.name for task in tasks]) <= set(info["names"]):
            rows = open_saved(place, row_shape([task for task in tasks if task.name in info["names"]]))
            os.utime(place)  # used last now
            return Table(rows, tasks, info["notices"], columns, tuple(map(tuple, info["values"])),
                         tuple(map(Question.of_plain, info["questions"])))
    return None


def read_info(file: Path) -> dict[str, Any]:
    """The JSON object in `file`, its tasks as TaskSpecs."""
    info = json.loads(file.read_text(encoding="utf-8"))
    return info | {"tasks": [TaskSpec.model_validate_json(json.dumps(task)) for task in info["tasks"]]}
