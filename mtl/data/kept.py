"""The rows of a run, in its folder: parsed, checked and split once, and read there even if the files that they come from are gone."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mtl.data.dataset import fingerprint, having, load
from mtl.data.parsed import PARSED, read_info
from mtl.data.readers import Progress, no_progress
from mtl.data.rows import Dataset, narrow, row_shape
from mtl.data.store import link_folder, open_saved, save
from mtl.errors import MtlError
from mtl.files import replacing
from mtl.settings.config import RunConfig, TaskSpec, rename_old

ROWS = "rows"  # the folder within a run's: a dataset per split, as `Dataset.save_to_disk` writes it
ROWS_INFO = "rows.json"  # in it: tasks, notices, fingerprint, settings (empty: those of another run), and whether other runs share the rows
OF_ROWS = {"source", "train_files", "validation_files", "test_files", "hub", "columns", "hypothetical_labels", "hypothetical_rows",
           "validation_share", "tasks", "seed"}  # the settings that decide which rows there are
SPLITS = ("train", "validation", "test")


def load_run(config: RunConfig, folder: Path, into: Path, progress: Progress = no_progress, *, is_first: bool = True,
             expected: str = "") -> Dataset:
    """The rows of the run of `config` in `folder`: those stored there, else read from its files and stored, unless another process does
    that (not `is_first`), or a changed file gives another fingerprint than `expected`. Many are in `into` meanwhile. Raises MtlError."""
    settings = config.model_dump_json(include=OF_ROWS)
    if has_rows(folder):
        with _readable():
            before = read_info(folder / ROWS / ROWS_INFO)["settings"]
        if rename_old(before) in ("", settings):
            return open_rows(folder)
    parsed = folder / PARSED
    dataset = load(config, folder, into, progress, parsed=parsed if parsed.is_dir() else None)
    dataset = replace(dataset, fingerprint=fingerprint(dataset))
    if not is_first or expected not in ("", dataset.fingerprint):
        return dataset
    keep_rows(folder, dataset, settings)
    shutil.rmtree(parsed, ignore_errors=True)
    return open_rows(folder)


def keep_rows(folder: Path, dataset: Dataset, settings: str = "") -> None:
    """Store the rows of `dataset` in a run's `folder`. If they follow from `settings`, other ones have them read again."""
    with replacing(folder / ROWS) as building:
        for split in SPLITS:
            if rows := getattr(dataset, split):
                save(narrow(rows, dataset.tasks), row_shape(dataset.tasks), building / split)
        _write_info(building, {"tasks": dataset.tasks, "notices": dataset.notices, "fingerprint": dataset.fingerprint,
                               "settings": settings, "shared": False})


def open_rows(folder: Path) -> Dataset:
    """The rows that are kept in a run's `folder`; raises MtlError if they cannot be read."""
    place = folder / ROWS
    with _readable():
        info = read_info(place / ROWS_INFO)
        splits = ("train", "dev", "test") if (place / "dev").is_dir() else SPLITS  # the older name of the validation rows
        rows = [open_saved(place / split, row_shape(info["tasks"])) if (place / split).is_dir() else [] for split in splits]
    if info["shared"]:
        rows = [having(part, [task.name for task in info["tasks"]]) for part in rows]
    dataset = Dataset(*rows, info["tasks"], info["notices"], info["fingerprint"])
    if not dataset.fingerprint:
        dataset = replace(dataset, fingerprint=fingerprint(dataset))
        _write_info(place, info | {"fingerprint": dataset.fingerprint})
    return dataset


def share_rows(source: Path, target: Path, names: Sequence[str] = (), *, with_test: bool = True) -> None:
    """Give the run in `target` the rows of the one in `source` that are labelled for `names` (none: all). Either may be deleted then."""
    info = read_info(source / ROWS / ROWS_INFO)
    target.mkdir(parents=True, exist_ok=True)
    with replacing(target / ROWS) as building:
        link_folder(source / ROWS, building)
        if not with_test:
            shutil.rmtree(building / "test", ignore_errors=True)
        if names or not with_test:
            tasks = [task for task in info["tasks"] if task.name in names or not names]
            _write_info(building, info | {"tasks": tasks, "shared": True, "fingerprint": "", "settings": ""})


def has_rows(folder: Path) -> bool:
    """Whether a run's `folder` keeps its rows."""
    return (folder / ROWS / ROWS_INFO).is_file()


def _write_info(place: Path, info: dict[str, object]) -> None:
    """Replaces the file: other runs may have a link to the one before."""
    with replacing(place / ROWS_INFO) as building:
        building.write_text(json.dumps(info, default=TaskSpec.model_dump), encoding="utf-8")


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        raise MtlError(f"The rows that this run keeps cannot be read ({type(error).__name__}). Delete the folder '{ROWS}' in the run's "
                       "folder: they are made again from its data files.") from error
