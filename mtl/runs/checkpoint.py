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
START = "start"  # a run that has this folder begins with the checkpoint in it
MANIFEST = "manifest.json"
TALLIES = "tallies.npz"  # for each task, the hits and the items of every validation row (N, 2)
LOOKS = "looks"  # if a run has this folder, the tallies of each of its evaluations are written there
CARD = "README.md"  # for people; it may be edited, so the manifest does not list it


def save_checkpoint(run: Path, name: str, write: Callable[[Path], None], facts: dict[str, Any]) -> None:
    """Save the checkpoint `run/name`: `write` writes its files, and its manifest gets `facts`, the step among them.
    Everything is on disk before the one rename that makes it visible, so that a crash at any moment leaves the old checkpoint or
    the new one. The old `last` becomes `previous`. If the disk is full, the old one is kept and MtlError is raised."""
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
    if name == LAST and (run / LAST).exists():  # if a crash left none, `previous` may be the only one, so it stays
        _set_aside(run / PREVIOUS)
        (run / LAST).rename(run / PREVIOUS)
    _set_aside(run / name)
    building.rename(run / name)
    sync(run)
    sweep(run)


def sweep(run: Path) -> None:
    """Delete what a save left over. If it crashed after it had set a checkpoint aside and before it had replaced it, put that back."""
    for left in run.glob(".del-*"):
        name = left.name.removeprefix(".del-").rpartition("-")[0]
        if name and not (run / name).exists():
            left.rename(run / name)
    for left in (*run.glob(".tmp-*"), *run.glob(".del-*")):
        shutil.rmtree(left, ignore_errors=True)


def drop_damaged_last(run: Path) -> None:
    """Remove a damaged `last`. Otherwise the next save would rename it to `previous`, in place of the undamaged one."""
    shutil.rmtree(run / LAST, ignore_errors=True)


def saved_step(checkpoint: Path) -> int | None:
    """The step in the manifest of `checkpoint`, None if it has none. Unlike `read_facts` it does not check the files, so it is fast."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8"))["facts"]["step"]
    return None


def read_facts(checkpoint: Path) -> dict[str, Any]:
    """The facts in the manifest of `checkpoint`. Raises MtlError if a file differs from the size and hash in the manifest."""
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
    """The tallies in `file`, by task; raises MtlError if it is missing or damaged."""
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
    """The newest undamaged checkpoint that `run` can be resumed from, its facts, and a sentence for each damaged one."""
    found, complaints = [], []
    for path in filter(Path.exists, (run / LAST, run / PREVIOUS)):
        try:
            found.append((path, read_facts(path)))
        except MtlError as error:
            complaints.append(str(error))
    path, facts = max(found, key=lambda entry: entry[1]["step"], default=(None, {}))
    then = f"The one of step {facts['step']} is used instead." if path else "There is no older one: training starts again from step 0."
    return path, facts, [f"{complaint} {then}" for complaint in complaints]


def _set_aside(checkpoint: Path) -> None:
    """Rename `checkpoint`, if there is one, so that `sweep` deletes it. A rename is atomic where a deletion is not."""
    if checkpoint.exists():
        checkpoint.rename(checkpoint.with_name(f".del-{checkpoint.name}-{os.getpid()}"))


def _digest(manifest: dict[str, Any]) -> str:
    """A hash of the manifest, so that damage to the manifest itself is found too."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _fingerprint(path: Path) -> dict[str, Any]:
    with open(path, "rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "bytes": path.stat().st_size}
