"""Writing: a file or folder appears whole or not at all, and a full disk is told. Knows nothing of the content."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mtl.errors import MtlError, is_disk_full


@contextmanager
def room_on_disk(message: str) -> Iterator[None]:
    """Inside, an error because the disk is full becomes an MtlError with `message`."""
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise MtlError(message) from error
        raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path in the same folder, to write a file or folder into: it then replaces `path`; after an error it is removed."""
    building = path.with_name(f".tmp-{uuid.uuid4().hex}{path.suffix}")
    try:
        yield building
        sync(building)
        if building.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        building.replace(path)
    finally:
        shutil.rmtree(building, ignore_errors=True)
        building.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Flush a file, or a folder's entries, to the disk (Windows cannot open a folder for that)."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
