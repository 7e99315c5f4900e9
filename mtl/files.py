"""Files and folders that appear whole or not at all, whatever happens while they are written. Knows nothing of what is in them."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path`, where a file or folder can be made: afterwards it takes the place of `path`; after an error nothing is left."""
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
    """Flush a file, or a folder's entries, to the disk (a folder cannot be opened for that on Windows)."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
