"""A run's folder: make it, find it, lock it, delete it, check who owns it. Knows no models and no threads. A run's folder contains:

config.json          the settings (RunConfig), as they were asked
about.json           the name and the note that its owner gave it later
events.jsonl         the log (events.py)
run.lock             locked by the process that queues or trains the run
owner                the hash of the owner's key; missing if the run was started in the terminal
data/SPLIT/          copies of the data files
parsed/              rows parsed from these files, shared with other runs (data/parsed.py)
rows/                the checked rows of each split, and rows.json with tasks, notices and fingerprint (data/kept.py)
split.json           in a sweep or a search: the settings that split the rows, so that no test row is read
laid-out/RANK/       rows and encoded texts on disk while the run trains
last/ previous/      the checkpoints to resume from: model.safetensors, config.json (the model's), tokenizer files, optimizer.pt,
                     balancer.pt, and manifest.json with the step and the hash of every file (checkpoint.py)
best/ epoch-NNN/     models to predict with: the same without optimizer and balancer; tallies.npz has the hits of each validation row
looks/STEP.npz       of a separate run in a comparison: the hits of every evaluation
scores-SPLIT.json    the result of `evaluate` (scoring/measure.py)
predictions-SPLIT/   what was predicted then for every row (scoring/predictions.py)
stop-burst           asks a training on ZeroGPU, which is another process, to end (jobs/zero_gpu.py)
start/               in a run that learns from corrections: the checkpoint that it began with (training/teach.py)
taught.json          which one that was; corrections.jsonl: what it learned; before-after.json: what came of it
error.log            the traceback of a bug that ended the run

A comparison's folder, in comparisons/, has plan.json and card.json beside the first of these."""

import hashlib
import hmac
import json
import math
import os
import re
import secrets
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from filelock import AcquireReturnProxy, FileLock, Timeout

from mtl.data.dataset import split_paths, used_columns
from mtl.data.formats.files import own_name
from mtl.data.parsed import PARSED, share_parsed
from mtl.data.store import link
from mtl.errors import MtlError
from mtl.files import replacing
from mtl.runs.events import EventLog, StatusChanged
from mtl.settings.config import RunConfig, read_config
from mtl.text import visible

CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"
STARTER_NAME = "starter"  # the name of the shipped model, which is not a run
LONGEST = {"name": 64, "note": 200}  # characters of what a run's owner may write about it
_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{32}")


def default_root() -> Path:
    """Where runs are kept: the folder in the variable MTL_RUNS, else checkpoints/ beside the package."""
    return Path(os.environ.get("MTL_RUNS") or CHECKPOINTS)


def starter_folder() -> Path:
    """The folder of the starter model, whatever MTL_RUNS is."""
    return CHECKPOINTS / STARTER_NAME


def open_starter() -> Path:
    """The checkpoint of the starter model, which everybody may use; raises MtlError if it is missing."""
    if not starter_folder().is_dir():
        raise MtlError("The starter model is not here: python -m mtl starter makes it. Or train a model of your own.")
    return starter_folder()


@dataclass(frozen=True)
class Run:
    """One run's folder. Its id cannot be guessed: anyone who has the id can view the run."""

    folder: Path

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def config(self) -> RunConfig:
        return read_config(self.folder / "config.json")

    @property
    def about(self) -> dict[str, str]:
        """What the owner wrote about the run: a name, a note; empty if that cannot be read."""
        with suppress(OSError, ValueError):
            return json.loads((self.folder / "about.json").read_text(encoding="utf-8"))
        return {}

    @property
    def name(self) -> str:
        """The name that the owner gave the run, now or when it was started; may be empty."""
        return self.about.get("name") or self.config.name

    @property
    def note(self) -> str:
        """The owner's note on the run; may be empty."""
        return self.about.get("note", "")

    def describe(self, **texts: str) -> None:
        """Give the run a `name` (empty: the one it was started with) or a `note`. Raises MtlError if it is too long."""
        texts = {what: visible(" ".join(text.split()), instead="") for what, text in texts.items()}
        for what, text in texts.items():
            if len(text) > LONGEST[what]:
                raise MtlError(f"The {what} has {len(text)} characters, and may have {LONGEST[what]}. Shorten it.")
        with replacing(self.folder / "about.json") as building:
            building.write_text(json.dumps(self.about | texts), encoding="utf-8")

    @property
    def log(self) -> EventLog:
        return EventLog(self.folder / "events.jsonl")

    def lock(self) -> FileLock:
        """Held by the process that queues or trains the run; the system releases it when that process dies."""
        return FileLock(self.folder / "run.lock", thread_local=False)

    def hold(self) -> AcquireReturnProxy:
        """Take the lock; a `with` releases it at its end. Raises MtlError if another process has it."""
        try:
            return self.lock().acquire(timeout=2)
        except Timeout as error:
            raise MtlError("Another process is training this run. Watch it here, or stop it there.") from error

    def is_alive(self) -> bool:
        """Whether a process has queued the run or is training it."""
        with suppress(Timeout), self.lock().acquire(timeout=0):
            return False
        return True

    def checkpoint(self, name: str) -> Path:
        """The folder of the checkpoint called `name`, which need not exist; raises MtlError if no checkpoint can have that name."""
        if not re.fullmatch(r"best|last|previous|epoch-\d{3,}", name):
            raise MtlError(f"'{name}' is not the name of a checkpoint. Use best, last, or epoch-NNN.")
        return self.folder / name

    @property
    def best(self) -> Path:
        """The folder of the checkpoint with the best validation score."""
        return self.checkpoint("best")

    def exists(self) -> bool:
        """Whether the run exists: its settings are written, and it was not deleted."""
        return (self.folder / "config.json").is_file()

    def has_owner(self) -> bool:
        """Whether the run was started on a page. One from the terminal belongs to everyone."""
        return (self.folder / "owner").is_file()

    def belongs_to(self, key: str) -> bool:
        """Whether `key` is the secret of the run's owner. A run from the terminal belongs to everyone, except on a public host."""
        if not self.has_owner():
            return not os.environ.get("SPACE_ID")
        return hmac.compare_digest((self.folder / "owner").read_text(), hash_key(key))


@dataclass(frozen=True)
class Limits:
    """How much one visitor may use."""

    minutes: float = math.inf  # of training per run
    pause: float = math.inf  # minutes after which a paused run is saved and ends, whether others wait or not
    runs: int = 100  # queued or in training at a time
    free_disk: float = 0.0  # GB that must be free before a run begins
    members: int = 1000  # runs in a comparison


def host_limits() -> Limits:
    """On a public Space, limits under which several people can share it; on one's own machine, none."""
    return Limits(minutes=15, pause=10, runs=2, free_disk=2, members=6) if os.environ.get("SPACE_ID") else Limits()


def on_zero_gpu() -> bool:
    """Whether this is a Space on ZeroGPU, as the package `spaces` reads it."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def hash_key(key: str) -> str:
    """The form in which an owner's key is stored."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def create_run(root: Path, config: RunConfig, key: str = "", parsed: Path | None = None) -> Run:
    """A new folder under `root` with the settings, a copy of the data files, their parsed rows if they are in the folder `parsed`, and the
    first event: queued. The run can be resumed even if the files are changed later. Raises MtlError if a file cannot be read."""
    now = time.time()  # ids sort in the order of creation: the second, 20 bits of its fraction, 108 random bits
    run = Run(root / f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}-{int(now % 1 * 2**20):05x}{secrets.token_hex(14)[1:]}")
    folder = run.folder
    try:
        folder.mkdir(parents=True)
        copies = {f"{split}_files": tuple(_copy(Path(file), folder / "data" / split).relative_to(folder).as_posix()
                                          for file in getattr(config, f"{split}_files")) for split in ("train", "validation", "test")}
        if parsed:  # link the parsed rows of the files
            paths = split_paths(config, Path())
            columns = share_parsed(paths["train"], config.columns, parsed, folder / PARSED) if paths["train"] else ()
            for split in ("validation", "test"):
                if columns and paths[split]:
                    share_parsed(paths[split], used_columns(columns), parsed, folder / PARSED)
        (folder / "config.json").write_text(config.model_copy(update=copies).model_dump_json(indent=1), encoding="utf-8")
        if key:
            (folder / "owner").write_text(hash_key(key))
        run.log.append(StatusChanged("queued"))
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        raise MtlError(f"The run's folder cannot be made ({error.strerror}). Free some space, or set MTL_RUNS to another one.") from error
    return run


def _copy(file: Path, into: Path) -> Path:
    if not file.exists():
        raise MtlError(f"{file.name}: there is no such file. Check the name.")
    target = into / own_name(file)
    if target.exists():
        raise MtlError(f"{file.name}: two files of one split have this name. Rename one of them.")
    into.mkdir(parents=True, exist_ok=True)
    folder = [file.absolute(), *file.absolute().parents][:4][-1]  # RUN/data/SPLIT/file, or the root if the file lies near it
    # another run's copy never changes, so a link is enough
    copy = link if _ID.fullmatch(folder.name) and Run(folder).exists() else shutil.copyfile
    return Path(shutil.copytree(file, target, copy_function=copy) if file.is_dir() else copy(file, target))  # a folder: a saved dataset


def open_run(root: Path, run_id: str) -> Run:
    """The run called `run_id`; raises MtlError if there is none. The id is checked before it becomes part of a path."""
    if not _ID.fullmatch(run_id):
        raise MtlError("There is no such run: its link or id is not complete.")
    run = Run(root / run_id)
    if not run.exists():
        raise MtlError("There is no such run here. It was deleted, or its link is from another machine.")
    return run


def list_runs(root: Path, key: str | None = None, most: int | None = None) -> list[Run]:
    """The runs under `root`, newest first, all or the first `most`; with `key`, only those of its owner and those from the terminal."""
    names = sorted(filter(_ID.fullmatch, os.listdir(root)), reverse=True) if root.is_dir() else []
    runs = (run for run in map(Run, map(root.joinpath, names)) if run.exists() and (key is None or run.belongs_to(key)))
    return list(islice(runs, most))


def delete_run(run: Run) -> None:
    """Remove the run's folder; raises MtlError if it is still being trained."""
    if run.is_alive():
        raise MtlError("This run is still going. Stop it first.")
    # renamed first, in one step, so that a reader finds the whole run or none
    shutil.rmtree(run.folder.rename(run.folder.with_name(f".{run.id}")))
