"""From a run's settings to its rows: train, validation and test, and the tasks with their labels. The readers know the file formats."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np

from mtl.data.hypothetical import make_rows
from mtl.data.parsed import read_parsed
from mtl.data.readers import Progress, no_progress, read_files, similar_labels
from mtl.data.rows import Dataset, Row, Table, count_all, learn_labels, row_shape
from mtl.data.splitting import split_rows
from mtl.data.store import Stored, keep, pick
from mtl.data.values import VALUES
from mtl.errors import MtlError
from mtl.settings.config import MAX_TASKS, ColumnSpec, RunConfig, TaskSpec, read_config
from mtl.text import isolate, many

NEWSROOM = Path(__file__).parent / "newsroom"  # the bundled corpus, with its datasheet
LAID_OUT = "laid-out"  # the folder within a run's, where lies what is too much for memory while it trains
SPLIT = "split.json"  # in the folder of a run that is compared with others: the settings whose rows, but for test rows, they all take


def split_paths(config: RunConfig, folder: Path) -> dict[str, list[Path]]:
    """The files of each split; names are looked up in `folder` (absolute ones stay)."""
    if config.source == "newsroom":
        return {split: [NEWSROOM / f"{split}.jsonl"] for split in ("train", "validation", "test")}
    named = {"train": config.train_files, "validation": config.validation_files, "test": config.test_files}
    return {split: [folder / name for name in names] for split, names in named.items()}


def describe_source(config: RunConfig) -> str:
    """What the data of a run is called in messages."""
    if config.source == "hub":
        return " + ".join(spec.id for spec in config.hub)
    names = [Path(name).name for name in config.train_files]
    return f"{config.source} data" if not names else names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def read_table(config: RunConfig, folder: Path, into: Path | None = None, progress: Progress = no_progress,
               parsed: Path | None = None) -> Table:
    """The training rows that `config` names, with the tasks found in them; files are looked up in `folder`, many rows are laid out in the
    folder `into`, and what was parsed before is taken from the folder `parsed`: see `read_parsed`."""
    if config.source == "hypothetical":
        return make_rows(config.hypothetical_rows, config.seed, config.hypothetical_labels)
    paths = split_paths(config, folder)["train"]
    if not paths:
        raise MtlError("No training file is given yet. Name one, or download the dataset first.")
    return _read("train", paths, config.columns, config.tasks, into, progress, parsed)


def _read(split: str, paths: Sequence[Path], told: Sequence[ColumnSpec], tasks: Sequence[TaskSpec], into: Path | None,
          progress: Progress, parsed: Path | None) -> Table:
    names = [spec.name for spec in tasks]
    if parsed and into:
        return read_parsed(paths, told, names, parsed, into, progress)
    return read_files(paths, told, names, into and into / f"{split}.arrow", progress)


def load(config: RunConfig, folder: Path, into: Path | None = None, progress: Progress = no_progress, table: Table | None = None,
         parsed: Path | None = None) -> Dataset:
    """Read, check and split everything that `config` names; the training rows are `table`, if they were read already. `into` and `parsed`
    are as in `read_table`.

    Raises MtlError, naming file and line, if there is anything in it that cannot be learned from.
    """
    if (folder / SPLIT).is_file():
        return _load_shared(read_config(folder / SPLIT), [spec.name for spec in config.tasks], folder, into, progress, parsed)
    return _load(config, folder, into, progress, table, parsed)


def _load(config: RunConfig, folder: Path, into: Path | None, progress: Progress, table: Table | None = None, parsed: Path | None = None,
          with_test: bool = True) -> Dataset:
    table, where = table or read_table(config, folder, into, progress, parsed), isolate(describe_source(config))
    wanted = choose_tasks(table, config.tasks, where)
    notices = list(table.notices)
    counts = count_all(table.rows, [spec.name for spec in wanted])
    notices += [f"{where}: {twins}" for spec in wanted for twins in similar_labels(counts[spec.name], spec.name)]
    specs = [learn_labels(counts[spec.name], spec, where) if not spec.labels else spec for spec in wanted]
    given = [spec for spec in wanted if spec.labels]
    for spec in given:
        if not set(spec.labels) & set(counts[spec.name]):
            raise MtlError(f"{where}: no row has any of the labels that task '{isolate(spec.name)}' was given ({_names(spec.labels[:5])}). "
                           "Leave the labels out to take those of the data.")
    train = _labelled(_with_given(table, given, specs, counts, where, notices, into), specs, where, notices)
    paths = split_paths(config, folder)
    test = _read_more("test", paths["test"] if with_test else [], table, specs, given, notices, into, progress, parsed)
    if paths["validation"]:
        validation = _read_more("validation", paths["validation"], table, specs, given, notices, into, progress, parsed)
    else:
        if len(train) < 2:
            raise MtlError(f"{where}: has 1 labelled row; at least 2 are needed, one to learn from and one to measure on. Add rows.")
        train, validation, said = split_rows(train, config.validation_share, specs, config.seed)
        notices += [f"{where}: {sentence}" for sentence in said]
    why = "" if paths["validation"] else " Train can spare none of its rows: label at least two texts for it, two with each label."
    for spec in specs:
        if not any(row.values[spec.name] is not None for row in validation):
            notices.append(f"Validation has no row labelled for '{isolate(spec.name)}': its score cannot be shown.{why}")
    return Dataset(train, validation, test, specs, notices)


def _load_shared(config: RunConfig, names: Sequence[str], folder: Path, into: Path | None, progress: Progress,
                 parsed: Path | None) -> Dataset:
    """The rows of a run of `config` but those of its test files, as far as they are labelled for the tasks `names` (none: all)."""
    base = _load(config, folder, into, progress, parsed=parsed, with_test=False)
    names = names or [spec.name for spec in base.tasks]
    train, validation = (having(rows, names) for rows in (base.train, base.validation))
    return Dataset(train, validation, [], [spec for spec in base.tasks if spec.name in names], base.notices)


def fingerprint(dataset: Dataset) -> str:
    """A digest of the rows and tasks that a run learns from."""
    digest = hashlib.sha256(repr(dataset.tasks).encode())
    for rows in (dataset.train, dataset.validation, dataset.test):
        for row in rows:
            digest.update(repr(row).encode())
    return digest.hexdigest()


def choose_tasks(table: Table, wanted: Sequence[TaskSpec], where: str) -> list[TaskSpec]:
    """The tasks to train on `table`: the `wanted` ones if any, else all that were found.

    Raises MtlError if there is none, there are too many, or a wanted one is not in the data.
    """
    found = {spec.name: spec for spec in table.tasks}
    if not found:
        raise MtlError(f"{where}: has texts but no labels. Wanted at least one more column: a class, or entities.")
    for spec in wanted:
        if spec.name not in found:
            raise MtlError(f"{where}: there is no task '{isolate(spec.name)}'. The tasks found are: {_names(found)}.")
        if spec.kind != found[spec.name].kind:
            raise MtlError(f"{where}: '{isolate(spec.name)}' holds {found[spec.name].kind} labels, but {spec.kind} was asked for. "
                           f"Choose {found[spec.name].kind}.")
    if not wanted and len(found) > MAX_TASKS:
        raise MtlError(f"{where}: {len(found)} tasks were found ({_names(found)}), the limit is {MAX_TASKS}. Choose some of them.")
    return list(wanted) or table.tasks


def pick_tasks(found: Sequence[TaskSpec], names: Sequence[str]) -> tuple[TaskSpec, ...]:
    """The `found` tasks that are called by `names`, in the order of the data; raises MtlError on a name that is not there, or none."""
    for name in names:
        if name not in (spec.name for spec in found):
            raise MtlError(f"There is no task '{isolate(name)}' in the data. The tasks found are: {_names(spec.name for spec in found)}.")
    if not names:
        raise MtlError("No task is chosen. Choose at least one.")
    return tuple(spec for spec in found if spec.name in names)


def _read_more(split: str, paths: list[Path], train: Table, specs: list[TaskSpec], given: list[TaskSpec], notices: list[str],
               into: Path | None, progress: Progress, parsed: Path | None) -> Sequence[Row]:
    """The rows of the validation or test files for the tasks of the training files, with the columns read as there; for `given`, see
    `_with_given`."""
    if not paths:
        return []
    table = _read(split, paths, told_of(train.columns), specs, into, progress, parsed)
    where = isolate(paths[0].name) if len(paths) == 1 else f"{split} files"
    if not {spec.name for spec in specs} & {spec.name for spec in table.tasks}:
        raise MtlError(f"{where}: has none of the training file's tasks ({_names(spec.name for spec in specs)}). "
                       "Give it the same columns.")
    notices += [notice for notice in table.notices if notice not in notices]
    if split == "test" and not any(value is not None for row in table.rows for value in row.values.values()):
        notices.append(f"{where}: no row is labelled, as is usual for the test rows of a competition; there will be no test scores.")
        return []
    counts = count_all(table.rows, [spec.name for spec in specs])
    rows = _labelled(_with_given(table, given, specs, counts, where, notices, into), specs, where, notices)
    for spec in specs:
        unseen = sorted(set(counts[spec.name]) - set(spec.labels))
        if unseen and spec not in given:
            never, so = ("occurs", "a mistake") if len(unseen) == 1 else ("occur", "mistakes")
            notices.append(f"{where}: {many(len(unseen), 'label')} of '{isolate(spec.name)}' never {never} in training and will count as "
                           f"{so}: {_names(unseen[:5])}.")
    return rows


def _with_given(table: Table, given: Sequence[TaskSpec], specs: Sequence[TaskSpec], counts: dict[str, Counter[str]], where: str,
                notices: list[str], into: Path | None) -> Sequence[Row]:
    """The rows of `table` with only the labels that the user gave for the tasks `given`, whatever else was counted in them: an entity of
    another type is none, and a row of another class is not labelled. So training, scores and prediction mean the same by them."""
    for spec in given:
        of_task = counts[spec.name]
        others = [(label, count) for label, count in of_task.most_common() if label not in spec.labels]
        what, as_what = VALUES[spec.kind].left_out
        if others:
            named = ", ".join(f"{label} {count:,}" for label, count in others[:5])
            notices.append(f"{where}: {sum(count for _, count in others):,} of {of_task.total():,} {what} of '{spec.name}' have another "
                           f"label than the given ones ({named}); they count as {as_what}.")
    labels = {spec.name: frozenset(spec.labels) for spec in given}

    def keep_given(row: Row) -> Row:
        return replace(row, values=row.values | {name: value.among(known) for name, known in labels.items()
                                                 if (value := row.values.get(name)) is not None})

    if not given:
        return table.rows
    if not isinstance(table.rows, Stored):
        return list(map(keep_given, table.rows))
    names = [spec.name for spec in specs]
    return keep(map(keep_given, table.rows), row_shape([task for task in table.tasks if task.name in names]), into / f"{uuid4().hex}.arrow")


def told_of(columns: Sequence[ColumnSpec]) -> list[ColumnSpec]:
    """What is said of the columns of the validation and test files, if those of the training files are `columns`."""
    return [spec for spec in columns if spec.role != "ignore"]


def _labelled(rows: Sequence[Row], specs: list[TaskSpec], where: str, notices: list[str]) -> Sequence[Row]:
    """The rows with a label for any of the tasks."""
    names = [spec.name for spec in specs]
    labelled = having(rows, names)
    if not labelled:
        raise MtlError(f"{where}: no row is labelled for any of the tasks {_names(names)}. Label some rows.")
    if len(labelled) < len(rows):
        gone = len(rows) - len(labelled)
        notices.append(f"{where}: {gone:,} of {many(len(rows), 'row')} {'has' if gone == 1 else 'have'} no label for any task and "
                       f"{'is' if gone == 1 else 'are'} left out.")
    return labelled


def _names(names: Iterable[str]) -> str:
    """Names of tasks or labels in a message."""
    return ", ".join(map(isolate, names))


def having(rows: Sequence[Row], names: Sequence[str]) -> Sequence[Row]:
    """Those of `rows` that have a value for any of the tasks `names`, in their order."""
    has_label = np.fromiter((any(row.values.get(name) is not None for name in names) for row in rows), bool, len(rows))
    return rows if has_label.all() else pick(rows, np.flatnonzero(has_label))
