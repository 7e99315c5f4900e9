"""Files that appear whole or not at all, whatever happens while they are written. Knows nothing of what is in them."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file in the same folder, for writing: afterwards it takes the place of `path`; after an error nothing of it is left."""
    building = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        yield building
        sync(building)
        building.replace(path)
    finally:
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
