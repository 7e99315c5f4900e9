"""Atomic writing: a file appears whole or not at all. Knows nothing of its content."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file in the same folder, to write into: it then replaces `path`; after an error it is removed."""
    building = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        yield building
        sync(building)
        building.replace(path)
    finally:
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
