"""A file of any size, with the predictions as new columns: read, predicted and written a window at a time, and gone on with after the
process died. Knows no terminal."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mtl.data.formats.files import file_name
from mtl.data.texts import Fields, TextFile
from mtl.errors import MtlError, is_disk_full
from mtl.files import replacing
from mtl.inference.layout import Layout, delimiter_of
from mtl.inference.predictor import Long, Predicted, Predictor
from mtl.runs.checkpoint import MANIFEST

ROWS, CHARACTERS = 1_000, 500_000  # of a window, at most: what is in memory, and what is lost if the process dies
STATE = ".part"  # added to the name of a file that is not finished: what it belongs to, and how much of it is whole
Line = tuple[int, Fields, str | MtlError]  # where a row is, its columns, and its text, or why it has none
Answer = tuple[int, Fields, Predicted | MtlError]
# what a file of predictions depends on; in the refusal to go on with it
BELONGS = {"input": "with another input, or the input was changed", "model": "with another model",
           "computed": "on another device or engine", "tasks": "with other --tasks", "long": "with another --long",
           "text": "with another text column"}


@dataclass
class State:
    """What a file of predictions belongs to, and how far it is written: rows, bytes, rows without an answer, and rows that were cut."""

    about: dict[str, Any]
    rows: int = 0
    bytes: int = 0
    failed: int = 0
    first_failed: str = ""
    cut: int = 0

    @property
    def engine(self) -> str:
        """How the predictions are computed: ways differ in their last digits."""
        return self.about.get("computed", "auto").split(", ")[-1]

    def add(self, window: Sequence[Answer], unit: str) -> None:
        """Count the rows of a window."""
        failed = [f"{unit} {line}: {one}" for line, _, one in window if isinstance(one, MtlError)]
        self.rows, self.failed = self.rows + len(window), self.failed + len(failed)
        self.first_failed = self.first_failed or next(iter(failed), "")
        self.cut += sum(not isinstance(one, MtlError) and one.cut_at is not None for *_, one in window)


def answer_lines(predictor: Predictor, lines: Iterable[Line], tasks: Sequence[str], long: Long, most: int = 0) -> Iterator[list[Answer]]:
    """The answers to `lines`, in order, a window of `most` rows at a time (0: ROWS); within it, texts of similar length are computed
    together."""
    for window in _windows(lines, most or ROWS):
        made = iter(predictor.predict_each([text for *_, text in window if isinstance(text, str)], tasks, long))
        yield [(line, fields, next(made) if isinstance(text, str) else text) for line, fields, text in window]


def _windows(lines: Iterable[Line], most: int) -> Iterator[list[Line]]:
    window, size = [], 0
    for line in lines:
        window.append(line)
        size += len(line[2]) if isinstance(line[2], str) else 0
        if len(window) == most or size >= CHARACTERS:
            yield window
            window, size = [], 0
    if window:
        yield window


def describe(predictor: Predictor, checkpoint: Path, file: TextFile, tasks: Sequence[str], long: Long) -> dict[str, Any]:
    """All that a file of predictions depends on: if it is equal, so are the predictions, byte for byte."""
    return {"input": [_digest(path) for path in file.source.paths], "model": _digest(checkpoint / MANIFEST), "computed": predictor.how,
            "tasks": predictor.choose(tasks), "long": long, "text": file.text.name}


def find_state(to: Path) -> State | None:
    """How far `to` is written, if it is not finished; None if it is not there. Raises MtlError if it is finished, or cannot be."""
    delimiter_of(to)
    if not to.exists():
        return None
    try:
        return State(**json.loads(_state_of(to).read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise MtlError(f"{file_name(to)}: is there already. Delete it, or give another name.") from error
    except (OSError, ValueError, TypeError) as error:
        raise MtlError(f"{file_name(_state_of(to))}: cannot be read ({type(error).__name__}). Delete it, and {file_name(to)} too, to begin "
                       "anew.") from error


def predict_file(predictor: Predictor, file: TextFile, to: Path, about: dict[str, Any], stopped: Callable[[], bool],
                 progress: Callable[[State], None], most: int = 0) -> State:
    """Write all rows of `file`, in order, to `to`, with the predictions that `about` describes. If `to` was begun with the same, it is gone
    on with after its last whole window. `stopped` is asked after each window, of `most` rows. Raises MtlError if `to` belongs to anything
    else."""
    layout = Layout.of(to, file, [predictor.model.tasks[name].spec for name in about["tasks"]])
    with _alone(to):
        state = _begun(to, about) or State(about)
        _note(to, state)  # before the file is there, which never is without it until it is finished
        with to.open("ab") as out:
            out.truncate(state.bytes)
            for window in answer_lines(predictor, islice(file.rows(), state.rows, None), about["tasks"], about["long"], most):
                state.bytes += out.write(layout.write([(fields, one) for _, fields, one in window], has_header=state.rows > 0))
                state.add(window, file.source.unit)
                out.flush()
                os.fsync(out.fileno())
                _note(to, state)
                progress(state)
                if stopped() and state.rows < file.count:
                    return state
        _state_of(to).unlink()
    return state


def _begun(to: Path, about: dict[str, Any]) -> State | None:
    """How far `to` is written, if it is there; raises MtlError unless it belongs to the same."""
    if state := find_state(to):
        again = "Delete it to begin anew, or give another name."
        if differ := [why for name, why in BELONGS.items() if state.about.get(name) != about[name]]:
            raise MtlError(f"{file_name(to)}: is not finished, and was begun {differ[0]}. {again}")
        if to.stat().st_size < state.bytes:
            raise MtlError(f"{file_name(to)}: is not finished, and was changed since: it is too short. {again}")
    return state


def _note(to: Path, state: State) -> None:
    with replacing(_state_of(to)) as building:
        building.write_text(json.dumps(asdict(state)), encoding="utf-8")


def _state_of(to: Path) -> Path:
    return to.with_name(to.name + STATE)


@contextmanager
def _alone(to: Path) -> Iterator[None]:
    """Inside, no other process writes `to`; the system ends that when the process dies. What the disk refuses becomes an MtlError."""
    lock = FileLock(to.with_name(f"{to.name}.lock"))
    try:
        with lock.acquire(timeout=0):
            yield
        Path(lock.lock_file).unlink(missing_ok=True)
    except Timeout as error:
        raise MtlError(f"{file_name(to)}: another process is writing it. Wait for it, or give another name.") from error
    except OSError as error:
        reason = "the disk is full. Free some space" if is_disk_full(error) else f"cannot be written ({error.strerror})"
        raise MtlError(f"{file_name(to)}: {reason}; the same command goes on.") from error


def _digest(path: Path) -> str:
    """Of a file, or of all files in a folder."""
    digest = hashlib.sha256()
    for one in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if one.is_file():
            with one.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
