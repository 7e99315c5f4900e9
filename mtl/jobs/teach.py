"""What the page does with corrections: a run that learns them, in the queue like any other; and which texts to label next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mtl.data.formats.archive import unpack
from mtl.data.texts import open_texts
from mtl.errors import MtlError
from mtl.jobs.models import LIVE, find_checkpoint, find_predictor
from mtl.jobs.queue import Jobs
from mtl.runs.checkpoint import BEST
from mtl.runs.events import StatusChanged
from mtl.runs.folder import STARTER_NAME, Run, delete_run, list_runs, on_zero_gpu, open_run
from mtl.runs.history import YIELDED
from mtl.training.teach import CORRECTIONS, make_taught, read_taught

if TYPE_CHECKING:
    from mtl.inference.uncertain import Doubtful

LOOKED_AT, AT_ONCE = 2_000, 200  # texts of a file that is to be labelled, and how many are answered together
NEWEST = 10  # runs among which one that still learns is looked for


def learn(jobs: Jobs, choice: str, corrections: str, key: str) -> Run:
    """Queue a run that begins with the model of `choice` and learns `corrections`, which are lines of JSON; it belongs to `key`. It is
    trained on this machine's own processor, also on ZeroGPU. Raises MtlError if it cannot be made, or if one of `key` is not over."""
    jobs.loaded()
    run_id, _, name = (choice or STARTER_NAME).partition("/")
    if name == LIVE:
        raise MtlError("Live weights change while you look. Choose the best or the last checkpoint above, then let that learn.")
    for run in list_runs(jobs.root, key, NEWEST):
        if jobs.has(run.id) and read_taught(run):
            raise MtlError("A model is learning from your corrections already. Wait for it to end, or stop it in the Train tab.")
    source = None if run_id == STARTER_NAME else open_run(jobs.root, run_id)
    checkpoint, _ = find_checkpoint(jobs, choice)
    with TemporaryDirectory() as folder:
        file = Path(folder) / CORRECTIONS
        file.write_bytes(corrections.encode("utf-8", "replace"))
        run = make_taught(jobs.root, f"{run_id}/{name or BEST}" if source else STARTER_NAME, checkpoint, source, file, key)
    try:
        run.log.append(StatusChanged(YIELDED, "It waits to learn from corrections."))
        return jobs.resume(run.id, key)
    except MtlError:
        delete_run(run)
        raise


@dataclass(frozen=True)
class ToLabel:
    """The most doubtful texts of a file, the most doubtful first, of so many that were `read`, of `count` in the file."""

    found: Sequence[Doubtful]
    read: int
    count: int


def find_to_label(jobs: Jobs, choice: str, file: Path) -> ToLabel:
    """Which texts of `file` the model of `choice` is least sure of. Raises MtlError if there is no such model, or the file is no texts."""
    from mtl.inference.uncertain import most_doubtful

    jobs.loaded()
    predictor, _ = find_predictor(jobs, choice, "cpu" if on_zero_gpu() else "auto")  # a GPU is lent for seconds only
    with TemporaryDirectory() as folder:
        texts = open_texts(unpack([file], Path(folder)))
        readable = [text for *_, text in islice(texts.rows(), LOOKED_AT) if not isinstance(text, MtlError)]
        made = [one for at in range(0, len(readable), AT_ONCE) for one in predictor.predict_each(readable[at:at + AT_ONCE])]
    answered = [one for one in made if not isinstance(one, MtlError)]
    return ToLabel(most_doubtful(answered), len(answered), texts.count)
