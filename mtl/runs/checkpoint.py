"""Checkpoints: folders that appear whole or not at all, each with a manifest of its files. `last` and `previous` can be resumed from,
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
LOOKS = "looks"  # if a run has this folder, the tallies of all its evaluations are kept there
CARD = "README.md"  # for people; it may be edited, so the manifest does not list it


def save_checkpoint(run: Path, name: str, write: Callable[[Path], None], facts: dict[str, Any]) -> None:
    """Make `run/name` the folder that `write` fills, with `facts` (the step among them) in its manifest.

    Everything is on disk before the one rename that makes it visible, so that a crash at any moment leaves the old checkpoint or
    the new one. The old `last` becomes `previous`. If the disk is full, the old one is kept and MtlError is raised.
    """
    building = run / f".tmp-{name}-{os.getpid()}"
    sweep(run)
    try:
        building.mkdir(parents=True)
        write(building)
        files = {path.name: _fingerprint(path) for path in sorted(building.iterdir()) if path.name != CARD}
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
    """Clean up after a crash in the middle of a save: a checkpoint that was moved away and not replaced is put back."""
    for left in run.glob(".del-*"):
        name = left.name.removeprefix(".del-").rpartition("-")[0]
        if name and not (run / name).exists():
            left.rename(run / name)
    for pattern in (".tmp-*", ".del-*"):
        for left in run.glob(pattern):
            shutil.rmtree(left, ignore_errors=True)


def drop_damaged_last(run: Path) -> None:
    """Remove a damaged `last`, or the next save would make it the `previous` in place of the whole one."""
    shutil.rmtree(run / LAST, ignore_errors=True)


def saved_step(checkpoint: Path) -> int | None:
    """The step in the manifest of `checkpoint`, None if it has none. For lists: the files are not checked, as in `read_facts`."""
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
            if path.is_symlink() or path.stat().st_size != wanted["bytes"] or _fingerprint(path) != wanted:
                raise MtlError(f"{damaged}: {name} is not what was saved.")
    except FileNotFoundError as error:
        raise MtlError(f"{damaged}: {Path(error.filename).name} is missing.") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MtlError(f"{damaged}: its {MANIFEST} cannot be read.") from error
    return facts


def write_tallies(file: Path, tallies: dict[str, np.ndarray]) -> None:
    """Write to `file`, whole or not at all, each task's hits and items in every validation row (N, 2), see Task.hit_counts."""
    with replacing(file) as building:
        np.savez_compressed(building, tasks=np.array(list(tallies), dtype=np.str_),
                            **{f"task{index}": tally for index, tally in enumerate(tallies.values())})


def read_tallies(file: Path) -> dict[str, np.ndarray]:
    """What `write_tallies` wrote; raises MtlError if it is missing or damaged."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            return {str(task): stored[f"task{index}"] for index, task in enumerate(stored["tasks"])}
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise MtlError(f"{file.parent.name}/{file.name}, the scores of every validation row, cannot be read ({type(error).__name__}). "
                       "Train again.") from error


def kept_tallies(run: Path) -> dict[int, Path]:
    """The files with the tallies of a run's evaluations, by step."""
    return {int(file.stem): file for file in (run / LOOKS).glob("[0-9]*.npz")}


def newest_checkpoint(run: Path) -> tuple[Path | None, dict[str, Any], list[str]]:
    """The newest whole checkpoint that `run` can be resumed from, its facts, and a sentence for each damaged one passed over."""
    found: list[tuple[Path, dict[str, Any]]] = []
    complaints: list[str] = []
    for path in (run / LAST, run / PREVIOUS):
        if path.exists():
            try:
                found.append((path, read_facts(path)))
            except MtlError as error:
                complaints.append(str(error))
    if not found:
        return None, {}, [f"{complaint} There is no older one: training starts again from step 0." for complaint in complaints]
    path, facts = max(found, key=lambda entry: entry[1]["step"])
    return path, facts, [f"{complaint} The one of step {facts['step']} is used instead." for complaint in complaints]


def _retire(old: Path, keep_as: Path | None) -> None:
    """Move `old` out of the way: to `keep_as`, or to be deleted. A rename is atomic where a deletion is not."""
    if not old.exists():
        return  # a crash left none: then what is at `keep_as` may be the only one
    for path, target in ((keep_as, None), (old, keep_as)):
        if path is not None and path.exists():
            path.rename(target or path.with_name(f".del-{path.name}-{os.getpid()}"))


def _digest(manifest: dict[str, Any]) -> str:
    """Of the manifest, so that damage to the manifest itself is found too."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _fingerprint(path: Path) -> dict[str, Any]:
    with open(path, "rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "bytes": path.stat().st_size}
