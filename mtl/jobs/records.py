"""Which runs the app may show and change: anybody may read a history, only the owner may change a run."""

import threading
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from mtl.comparing.plan import open_comparison
from mtl.errors import MtlError
from mtl.runs.folder import Run, open_run
from mtl.runs.history import History, RunReader

MAX_READERS = 64  # runs whose histories stay in memory, because some page shows them


def open_any(root: Path, run_id: str) -> Run:
    """The comparison or the run of that id; raises MtlError if there is neither."""
    with suppress(MtlError):
        return open_comparison(root, run_id)
    return open_run(root, run_id)


def open_owned(root: Path, run_id: str, key: str) -> Run:
    """As `open_any`; raises MtlError if `key` is not the owner's."""
    run = open_any(root, run_id)
    if not run.belongs_to(key):
        raise MtlError("This run was not started in this browser. It can be changed only where it was started; here you can watch it.")
    return run


class Histories:
    """The histories of runs and comparisons, whoever trains them. They stay in memory, so that only new lines of a log are parsed."""

    def __init__(self, root: Path) -> None:
        self._reader = lru_cache(MAX_READERS)(lambda run_id: RunReader(open_any(root, run_id)))
        self._lock = threading.Lock()

    def read(self, run_id: str) -> History:
        """What happened so far, as a copy that nobody changes; raises MtlError if there is no such run."""
        with self._lock:
            if not self._reader(run_id).run.is_there():  # it was deleted meanwhile
                self._reader.cache_clear()
            return self._reader(run_id).refresh().copy()
