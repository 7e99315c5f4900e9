"""The rows of a run, in its folder: parsed, checked and split once, then read from there by training, resume, scores and comparisons,
whatever becomes of the files they come from."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mtl.data.dataset import fingerprint, having, load
from mtl.data.parsed import PARSED
from mtl.data.readers import Progress, no_progress
from mtl.data.rows import Dataset, narrow, row_shape
from mtl.data.store import link_folder, open_saved, replace_folder, save
from mtl.errors import MtlError
from mtl.files import replacing
from mtl.settings.config import RunConfig, TaskSpec

ROWS = "rows"  # the folder within a run's: a dataset per split, as `Dataset.save_to_disk` writes it
FACTS = "rows.json"  # in it: tasks, notices, fingerprint, settings (empty: those of another run), and whether other runs have the rows too
OF_ROWS = {"source", "train_files", "validation_files", "test_files", "hub", "columns", "hypothetical_labels", "hypothetical_rows",
           "validation_share",
           "tasks", "seed"}  # the settings that rows follow from
SPLITS = ("train", "validation", "test")


def load_run(config: RunConfig, folder: Path, into: Path, progress: Progress = no_progress, *, is_first: bool = True,
             expected: str = "") -> Dataset:
    """The rows of the run of `config` in `folder`. If they are not kept there yet, they are made of what was parsed for it or of its files,
    and kept, unless another process does that (`is_first`) or they do not have the fingerprint that is `expected`; many are laid out in the
    folder `into` meanwhile. Raises MtlError as `load` does."""
    settings = config.model_dump_json(include=OF_ROWS)
    if has_rows(folder) and _facts(folder / ROWS)["settings"].replace('"dev', '"validation') in ("", settings):
        return open_rows(folder)
    parsed = folder / PARSED
    dataset = load(config, folder, into, progress, parsed=parsed if parsed.is_dir() else None)
    dataset = replace(dataset, fingerprint=fingerprint(dataset))
    if not is_first or expected not in ("", dataset.fingerprint):  # a file was changed: nothing is kept, so that it can be changed back
        return dataset
    _keep(dataset, folder, settings)
    shutil.rmtree(parsed, ignore_errors=True)
    return open_rows(folder)


def open_rows(folder: Path) -> Dataset:
    """The rows that are kept in a run's `folder`; raises MtlError if they cannot be read."""
    place = folder / ROWS
    try:
        facts = _facts(place)
        tasks = [TaskSpec.model_validate_json(json.dumps(task)) for task in facts["tasks"]]
        splits = ("train", "dev", "test") if (place / "dev").is_dir() else SPLITS  # the older name of the validation rows
        rows = [open_saved(place / split, row_shape(tasks)) if (place / split).is_dir() else [] for split in splits]
    except (OSError, ValueError, KeyError) as error:
        raise MtlError(f"The rows that this run keeps cannot be read ({type(error).__name__}). Delete the folder '{ROWS}' in the run's "
                       "folder: they are made again from its data files.") from error
    if facts["shared"]:
        rows = [having(part, [task.name for task in tasks]) for part in rows]
    dataset = Dataset(*rows, tasks, facts["notices"], facts["fingerprint"])
    if not dataset.fingerprint:
        dataset = replace(dataset, fingerprint=fingerprint(dataset))
        _replace(place / FACTS, json.dumps(facts | {"fingerprint": dataset.fingerprint}))
    return dataset


def share_rows(source: Path, target: Path, names: Sequence[str] = (), *, with_test: bool = True) -> None:
    """Have the rows of the run in the folder `source`, as far as they are labelled for the tasks `names` (none: all), in `target` too, and
    each be its own: either run may be deleted."""
    facts = _facts(source / ROWS)
    target.mkdir(parents=True, exist_ok=True)
    building = target / f".{ROWS}"
    link_folder(source / ROWS, building)
    if not with_test:
        shutil.rmtree(building / "test", ignore_errors=True)
    if names or not with_test:
        tasks = [task for task in facts["tasks"] if task["name"] in names or not names]
        _replace(building / FACTS, json.dumps(facts | {"tasks": tasks, "shared": True, "fingerprint": "", "settings": ""}))
    replace_folder(building, target / ROWS)


def has_rows(folder: Path) -> bool:
    """Whether a run's `folder` keeps its rows."""
    return (folder / ROWS / FACTS).is_file()


def _keep(dataset: Dataset, folder: Path, settings: str) -> None:
    """Put the rows of `dataset` into a run's `folder`, whole or not at all."""
    building = folder / f".{ROWS}"
    shutil.rmtree(building, ignore_errors=True)
    for split in SPLITS:
        if rows := getattr(dataset, split):
            save(narrow(rows, dataset.tasks), row_shape(dataset.tasks), building / split)
    facts = {"tasks": [task.model_dump() for task in dataset.tasks], "notices": dataset.notices, "fingerprint": dataset.fingerprint,
             "settings": settings, "shared": False}
    _replace(building / FACTS, json.dumps(facts))
    replace_folder(building, folder / ROWS)


def _facts(place: Path) -> dict[str, Any]:
    return json.loads((place / FACTS).read_text(encoding="utf-8"))


def _replace(file: Path, text: str) -> None:
    """`text` in the place of `file`, which other runs may have too: theirs stays as it is."""
    with replacing(file) as building:
        building.write_text(text, encoding="utf-8")
