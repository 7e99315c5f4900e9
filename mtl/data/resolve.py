"""Before a run begins, what its settings leave open about the data is found out and written into them: Hub commits, roles and tasks."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from mtl.data.dataset import split_paths
from mtl.data.formats.files import SPLIT_WORDS, find_split, group_of
from mtl.data.hub.datasets import HubDataset, download, look_up
from mtl.data.hypothetical import TASKS
from mtl.data.parsed import PARSED, read_unmerged
from mtl.data.readers import Progress, no_progress
from mtl.data.store import link
from mtl.errors import MtlError
from mtl.settings.config import HubSpec, RunConfig, TaskSpec, make_config
from mtl.text import isolate

HUB = "hub"  # the folder, beside the runs, of what came from the Hub
NONE = "none"  # instead of a split's name: there is none, and it is not looked for


def settle(config: RunConfig, root: Path, task_names: Sequence[str] = (), progress: Progress = no_progress) -> RunConfig:
    """`config` with nothing left open about its data, kept in `root`, the runs' folder. Raises MtlError if data or a task is missing."""
    config, found = find_tasks(config, root, list(task_names) or [spec.name for spec in config.tasks], progress)
    return with_tasks(config, found, task_names) if task_names else config


def find_tasks(config: RunConfig, root: Path, wanted: Sequence[str] = (), progress: Progress = no_progress
               ) -> tuple[RunConfig, Sequence[TaskSpec]]:
    """`config` with its data downloaded and the roles of all columns, and the tasks in it; free text is one only if it is `wanted`."""
    if config.source == "hub" and not (config.train_files and all(map(os.path.isfile, config.train_files))):
        config = fetch(config, [pin(spec) for spec in config.hub], root / HUB, progress)
    if config.source == "hypothetical":
        return config, TASKS
    table = read_unmerged(split_paths(config, Path())["train"], config.columns, wanted, root / PARSED, progress)
    return config if config.source == "newsroom" else make_config(config.model_dump() | {"columns": table.columns}), table.tasks


def with_tasks(config: RunConfig, found: Sequence[TaskSpec], names: Sequence[str], **changes: object) -> RunConfig:
    """`config` for those of the tasks `found` that are called by `names`, and with `changes`. Raises MtlError if one is not there."""
    if missing := [name for name in names if name not in (spec.name for spec in found)]:
        raise MtlError(f"There is no task '{isolate(missing[0])}' in the data. The tasks found are: "
                       f"{', '.join(isolate(spec.name) for spec in found)}.")
    if not names:
        raise MtlError("No task is chosen. Choose at least one.")
    return make_config(config.model_dump() | {"tasks": tuple(spec for spec in found if spec.name in names)} | changes)


def pin(spec: HubSpec) -> tuple[HubSpec, HubDataset]:
    """The dataset at its commit, and which split is for what; nothing is downloaded. Raises MtlError if it or a split is lacking."""
    dataset = look_up(spec.id, spec.config, spec.revision)
    splits = {role: getattr(spec, role) or find_split(dataset.splits, role) or NONE for role in SPLIT_WORDS}
    pinned = spec.model_copy(update={"revision": dataset.revision, "config": dataset.config, **splits})
    dataset.bytes_of(_used(pinned).values())  # raises if one of them is not there
    return pinned, dataset


def _used(spec: HubSpec) -> dict[str, str]:
    """The splits of a pinned dataset that are for something: train, validation and test, as far as there are such."""
    return {role: split for role in SPLIT_WORDS if (split := getattr(spec, role)) not in ("", NONE)}


def size(pinned: tuple[HubSpec, HubDataset]) -> int:
    """How many bytes the splits in use have."""
    spec, dataset = pinned
    return dataset.bytes_of(_used(spec).values())


def megabytes(count: int) -> str:
    """A size for people."""
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count / 1e3:,.1f} kB"


def describe(pinned: tuple[HubSpec, HubDataset]) -> str:
    """What the Hub has of a dataset, in a line for people."""
    spec, dataset = pinned
    splits = ", ".join(f"{role}: {split} ({megabytes(dataset.bytes_of([split]))})" for role, split in _used(spec).items())
    kinds = " and ".join(sorted({Path(file.path).suffix for files in dataset.splits.values() for file in files}))
    return f"{spec.id} ({spec.config}), commit {spec.revision[:12]}, {kinds}: {splits}."


def fetch(config: RunConfig, pinned: Sequence[tuple[HubSpec, HubDataset]], store: Path, progress: Progress = no_progress) -> RunConfig:
    """Download the datasets; `config` with their files. Each file's name has the dataset and the split in it."""
    files: dict[str, tuple[str, ...]] = {f"{role}_files": () for role in SPLIT_WORDS}
    for spec, dataset in pinned:
        here = download(dataset, list(dict.fromkeys(_used(spec).values())), progress)
        for role, split in _used(spec).items():
            for index, path in enumerate(here[split]):
                name = _folder(spec, store) / f"{hub_group(spec)}.{role}-{index:05}-of-{len(here[split]):05}{path.suffix}"
                if not name.exists():
                    name.parent.mkdir(parents=True, exist_ok=True)
                    name.unlink(missing_ok=True)  # a link to a file that was deleted
                    link(path.resolve(), name, os.symlink)
                files[f"{role}_files"] += (str(name),)
    return config.model_copy(update={"hub": tuple(spec for spec, _ in pinned), **files})


def local_files(config: RunConfig, store: Path) -> dict[str, tuple[str, ...]]:
    """The files that `fetch` kept for the datasets of `config`; raises MtlError if they are not all there."""
    files: dict[str, tuple[str, ...]] = {}
    for spec in config.hub:
        for role in _used(spec):
            found = sorted(_folder(spec, store).glob(f"{hub_group(spec)}.{role}-*-of-*"))
            if not found or int(found[0].stem.rpartition("-")[2]) != len(found):
                raise MtlError(f"'{spec.id}' is not (wholly) on this machine. Look it up and download it again.")
            files[f"{role}_files"] = files.get(f"{role}_files", ()) + tuple(map(str, found))
    return files


def _folder(spec: HubSpec, store: Path) -> Path:
    """Where the files of one config at one commit are kept. The names come from the page, and must not lead anywhere else."""
    return store / re.sub(r"[^\w.-]", "-", f"{spec.id.replace('/', '--')}-{spec.config}-{spec.revision[:12]}").lstrip(".")


def hub_group(spec: HubSpec) -> str:
    """The group of a dataset's columns: see ColumnSpec."""
    return group_of(Path(spec.id.rpartition("/")[2] + ".parquet")) or "data"
