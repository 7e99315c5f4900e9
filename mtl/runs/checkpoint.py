"""Checkpoints: folders that appear whole or not at all, each with a manifest of what is in it. `last` and `previous` can be resumed from,
`best` and `epoch-NNN` hold weights to predict with. Knows no training loop."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from mtl.errors import MtlError, is_disk_full
from mtl.files import replacing, sync

LAST, PREVIOUS, BEST = "last", "previous", "best"
MANIFEST = "manifest.json"
TALLIES = "tallies.npz"
LOOKS = "looks"  # a run in whose folder there is one keeps there the tallies of its evaluations
CARD = "README.md"  # for people; who edits it damages nothing


def save_checkpoint(run: Path, name: str, write: Callable[[Path], None], facts: dict[str, Any]) -> None:
    """Make `run/name` the folder that `write` fills, with `facts` (a step among them) in its manifest.

    Everything is on disk before the one rename that makes it visible, so that a crash at any moment leaves the old checkpoint or
    the new one. The old `last` lives on as `previous`. Raises MtlError, with the old one kept, if the disk is full.
    """
    building = run / f".tmp-{name}-{os.getpid()}"
    sweep(run)
    try:
        building.mkdir(parents=True)
        write(building)
        files = {path.name: {"sha256": _sha256(path), "bytes": path.stat().st_size}
                 for path in sorted(building.iterdir()) if path.name != CARD}
        manifest = {"facts": facts, "files": files}
        (building / MANIFEST).write_text(json.dumps(manifest | {"sha256": _digest(manifest)}, indent=1), encoding="utf-8")
        for path in (*building.iterdir(), building):
            sync(path)
    except Exception as error:
        shutil.rmtree(building, ignore_errors=True)
        if is_disk_full(error):
            kept = "the one before it is kept" if (run / name).is_dir() else "there is none before it"
            raise MtlError(f"The disk is full: checkpoint '{name}' of step {facts['step']} was not saved; {kept}. "
                           "Free some space.") from error
        raise
    _retire(run / name, run / PREVIOUS if name == LAST else None)
    building.rename(run / name)
    sync(run)
    sweep(run)


def sweep(run: Path) -> None:
    """Remove what a crash in the middle of a save left behind; a checkpoint that was moved away and not replaced comes back."""
    for left in run.glob(".del-*"):
        name = left.name.removeprefix(".del-").rpartition("-")[0]
        if name and not (run / name).exists():
            left.rename(run / name)
    for pattern in (".tmp-*", ".del-*"):
        for left in run.glob(pattern):
            shutil.rmtree(left, ignore_errors=True)


def drop_damaged_last(run: Path) -> None:
    """Remove a `last` that was passed over, so that the next save does not put it in the place of the whole `previous`."""
    shutil.rmtree(run / LAST, ignore_errors=True)


def saved_step(checkpoint: Path) -> int | None:
    """The step that `checkpoint` says it is of, None if it says nothing; for lists: whether it is whole, `read_facts` tells."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8"))["facts"]["step"]
    return None


def read_facts(checkpoint: Path) -> dict[str, Any]:
    """The facts in the manifest of `checkpoint`, after every file was compared with it; raises MtlError if anything differs."""
    damaged = f"Checkpoint '{checkpoint.name}' is damaged"
    try:
        manifest = json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8"))
        facts, files = manifest["facts"], manifest["files"]
        if type(facts["step"]) is not int or manifest.pop("sha256") != _digest(manifest):
            raise ValueError
        for name, wanted in files.items():
            path = checkpoint / name
            if path.is_symlink() or path.stat().st_size != wanted["bytes"] or _sha256(path) != wanted["sha256"]:
                raise MtlError(f"{damaged}: {name} is not what was saved.")
    except FileNotFoundError as error:
        raise MtlError(f"{damaged}: {Path(error.filename).name} is missing.") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MtlError(f"{damaged}: its {MANIFEST} cannot be read.") from error
    return facts


def write_tallies(file: Path, tallies: dict[str, np.ndarray]) -> None:
    """Keep in `file` what a model scored on every validation row: for each task hits and items (N, 2), see Task.hit_counts. Whole or not at
    all."""
    names = np.array(list(tallies), dtype=np.str_)
    with replacing(file) as building:
        np.savez_compressed(building, tasks=names, **{f"task{index}": tally for index, tally in enumerate(tallies.values())})


def read_tallies(file: Path) -> dict[str, np.ndarray]:
    """What `write_tallies` wrote; raises MtlError if it is not there or cannot be read."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            return {str(task): stored[f"task{index}"] for index, task in enumerate(stored["tasks"])}
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise MtlError(f"{file.parent.name}/{file.name} does not say how the model did on every validation row ({type(error).__name__}). "
                       "Train again.") from error


def kept_looks(run: Path) -> dict[int, Path]:
    """The files with the tallies of a run's evaluations, by their steps."""
    return {int(file.stem): file for file in (run / LOOKS).glob("[0-9]*.npz")}


def newest_checkpoint(run: Path) -> tuple[Path | None, dict[str, Any], list[str]]:
    """The newest whole checkpoint that `run` can be resumed from, its facts, and a sentence for each damaged one passed over."""
    found: list[tuple[int, Path, dict[str, Any]]] = []
    complaints: list[str] = []
    for name in (LAST, PREVIOUS):
        if (run / name).exists():
            try:
                facts = read_facts(run / name)
                found.append((facts["step"], run / name, facts))
            except MtlError as error:
                complaints.append(str(error))
    if not found:
        return None, {}, [f"{complaint} There is no older one: training starts again from step 0." for complaint in complaints]
    step, path, facts = max(found, key=lambda entry: entry[0])
    return path, facts, [f"{complaint} The one of step {step} is used instead." for complaint in complaints]


def _retire(old: Path, keep_as: Path | None) -> None:
    """Move `old` out of the way: to `keep_as`, or to be deleted. A rename is atomic where a deletion is not."""
    if not old.exists():
        return  # then what is at `keep_as` may be all there is
    for path, target in ((keep_as, None), (old, keep_as)):
        if path is not None and path.exists():
            path.rename(target or path.with_name(f".del-{path.name}-{os.getpid()}"))


def _digest(manifest: dict[str, Any]) -> str:
    """Of what the manifest says, so that damage to the manifest itself is seen too."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
