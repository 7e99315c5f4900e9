"""From a run's settings to its rows, and the tasks with their labels. A file goes this way: load_run (kept.py) -> load -> read_parsed
(parsed.py), if they may have been parsed before -> read_files (readers.py), for columns and then for rows -> make_row (row_parser.py)."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np

from mtl.data.formats.files import SAVED, SAVED_SPLITS, file_name, find_split, own_name
from mtl.data.hypothetical import make_rows
from mtl.data.parsed import read_parsed
from mtl.data.readers import NOT_TAKEN, Progress, no_progress, read_files, similar_labels
from mtl.data.rows import Dataset, Row, Table, count_all, learn_labels, learn_scale, narrow, row_shape
from mtl.data.splitting import split_rows
from mtl.data.store import Stored, keep, pick
from mtl.data.values import VALUES
from mtl.errors import MtlError
from mtl.settings.config import MAX_TASKS, ColumnSpec, RunConfig, TaskSpec, read_config
from mtl.text import isolate, many

NEWSROOM = Path(__file__).parent / "newsroom"  # the bundled corpus, with its datasheet
LAID_OUT = "laid-out"  # the folder within a run's for what does not fit into memory while it trains
SPLIT = "split.json"  # in the folder of a run that is compared with others: settings; all these runs take their train and validation rows


def split_paths(config: RunConfig, folder: Path) -> dict[str, list[Path]]:
    """The files of each split; names are searched in `folder` (absolute ones stay). The folder of a saved `DatasetDict` stands for one of
    its splits; as training data it gives validation and test rows too, unless files are named for them. Raises MtlError if it lacks one."""
    if config.source == "newsroom":
        return {split: [NEWSROOM / f"{split}.jsonl"] for split in ("train", "validation", "test")}
    paths = {split: [folder / name for name in getattr(config, f"{split}_files")] for split in ("train", "validation", "test")}
    saved = [path for path in paths["train"] if (path / SAVED_SPLITS).is_file()]
    for split in ("validation", "test"):
        paths[split] = paths[split] or [path for path in saved if _find_saved(path, split)]
    for split, of_split in paths.items():
        if lacking := [path for path in of_split if not _find_saved(path, split)]:
            raise MtlError(f"{file_name(lacking[0])}: has no split that is called {split}. Name the folder of one of its splits.")
    return {split: [_find_saved(path, split) for path in of_split] for split, of_split in paths.items()}


def _find_saved(path: Path, split: str) -> Path | None:
    """The folder of that split, if there is one, in the folder of a saved `DatasetDict`; any other file or folder as it is."""
    if not (path / SAVED_SPLITS).is_file():
        return path
    name = find_split(sorted(state.parent.name for state in path.glob(f"*/{SAVED}")), split)
    return path / name if name else None


def describe_source(config: RunConfig) -> str:
    """What the data of a run is called in messages."""
    if config.source == "hub":
        return " + ".join(spec.id for spec in config.hub)
    names = [Path(name).name for name in config.train_files]
    return f"{config.source} data" if not names else names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def read_table(config: RunConfig, folder: Path, into: Path | None = None, progress: Progress = no_progress,
               parsed: Path | None = None) -> Table:
    """The training rows that `config` names, with their tasks; files are in `folder`, many rows go `into`, and `parsed` has parsed ones."""
    return _Loader(config, folder, into, progress, parsed).read_training()


def load(config: RunConfig, folder: Path, into: Path | None = None, progress: Progress = no_progress, table: Table | None = None,
         parsed: Path | None = None) -> Dataset:
    """Read, check and split everything that `config` names; the training rows are `table`, if they were read already. The folders are
    those of `read_table`. Raises MtlError, with file and line, if anything in it cannot be learned from."""
    if not (folder / SPLIT).is_file():
        return _Loader(config, folder, into, progress, parsed).load(table)
    whole = _Loader(read_config(folder / SPLIT), folder, into, progress, parsed).load(with_test=False)
    names = [spec.name for spec in config.tasks or whole.tasks]
    train, validation = (having(rows, names) for rows in (whole.train, whole.validation))
    return Dataset(train, validation, [], [spec for spec in whole.tasks if spec.name in names], whole.notices)


class _Loader:
    """Reads the data of one run and collects notices."""

    def __init__(self, config: RunConfig, folder: Path, into: Path | None, progress: Progress, parsed: Path | None) -> None:
        self.config, self.folder, self.into, self.progress, self.parsed = config, folder, into, progress, parsed
        self.notices: list[str] = []
        self.specs: list[TaskSpec] = []  # the tasks, with their labels
        self.given: list[TaskSpec] = []  # those of them whose labels the user gave

    def read_training(self) -> Table:
        config = self.config
        if config.source == "hypothetical":
            return make_rows(config.hypothetical_rows, config.seed, config.hypothetical_labels)
        paths = split_paths(config, self.folder)["train"]
        if not paths:
            raise MtlError("No training file is given yet. Name one, or download the dataset first.")
        return self._read("train", paths, config.columns, config.tasks)

    def load(self, table: Table | None = None, with_test: bool = True) -> Dataset:
        table, where = table or self.read_training(), isolate(describe_source(self.config))
        wanted = choose_tasks(table, self.config.tasks, where)
        self.notices += table.notices
        counts = count_all(table.rows, [spec.name for spec in wanted])
        self.notices += [f"{where}: {twins}" for spec in wanted for twins in similar_labels(counts[spec.name], spec.name)]
        self.specs = [spec if spec.labels else learn_labels(counts[spec.name], spec, where) if VALUES[spec.kind].has_labels else
                      learn_scale(table.rows, spec, where) for spec in wanted]
        self.given = [spec for spec in wanted if spec.labels]
        for spec in self.given:
            if not set(spec.labels) & set(counts[spec.name]):
                raise MtlError(f"{where}: no row has any of the labels that task '{isolate(spec.name)}' was given "
                               f"({_names(spec.labels[:5])}). Leave the labels out to take those of the data.")
        train = self._usable(table, counts, where)
        paths = split_paths(self.config, self.folder)
        test = self._read_more("test", paths["test"] if with_test else [], table)
        validation, why = self._read_more("validation", paths["validation"], table), ""
        if not paths["validation"]:
            if len(train) < 2:
                raise MtlError(f"{where}: has 1 labelled row; at least 2 are needed, one to learn from and one to measure on. Add rows.")
            train, validation, found = split_rows(self._scaled(train), self.config.validation_share, self.specs, self.config.seed)
            self.notices += [f"{where}: {sentence}" for sentence in found]
            why = " Train can spare none of its rows: label at least two different texts for it, and two with each label."
        self.specs = [learn_scale(train, spec, where) if spec.scale else spec for spec in self.specs]  # of the rows that are left
        train, validation, test = map(self._scaled, (train, validation, test))
        for spec in self.specs:
            if not any(row.values[spec.name] is not None for row in validation):
                self.notices.append(f"Validation has no row labelled for '{isolate(spec.name)}': its score cannot be shown.{why}")
        return Dataset(train, validation, test, self.specs, self.notices)

    def _scaled(self, rows: Sequence[Row]) -> Sequence[Row]:
        """`rows` with their numbers on the scales of the tasks, if there are any."""
        return narrow(rows, self.specs) if any(spec.scale for spec in self.specs) else rows

    def _read(self, split: str, paths: Sequence[Path], columns: Sequence[ColumnSpec], tasks: Sequence[TaskSpec]) -> Table:
        names = [spec.name for spec in tasks]
        if self.parsed and self.into:
            return read_parsed(paths, columns, names, self.parsed, self.into, self.progress)
        return read_files(paths, columns, names, self.into and self.into / f"{split}.arrow", self.progress)

    def _read_more(self, split: str, paths: list[Path], train: Table) -> Sequence[Row]:
        """The rows of the validation or test files for the tasks of the training files, with the columns read as there."""
        if not paths:
            return []
        table = self._read(split, paths, used_columns(train.columns), self.specs)
        where = isolate(own_name(paths[0])) if len(paths) == 1 else f"{split} files"
        names = [spec.name for spec in self.specs]
        if not set(names) & {spec.name for spec in table.tasks}:
            raise MtlError(f"{where}: has none of the training file's tasks ({_names(names)}). Give it the same columns.")
        self.notices += [notice for notice in table.notices if notice not in self.notices]
        if split == "test" and not any(value is not None for row in table.rows for value in row.values.values()):
            self.notices.append(f"{where}: no row is labelled, as is usual for the test rows of a competition; there will be no test "
                                "scores.")
            return []
        counts = count_all(table.rows, names)
        rows = self._usable(table, counts, where)
        for spec in self.specs:
            unseen = sorted(set(counts[spec.name]) - set(spec.labels))
            if unseen and spec not in self.given:
                never, so = ("occurs", "a mistake") if len(unseen) == 1 else ("occur", "mistakes")
                self.notices.append(f"{where}: {many(len(unseen), 'label')} of '{isolate(spec.name)}' never {never} in training and will "
                                    f"count as {so}: {_names(unseen[:5])}.")
        return rows

    def _usable(self, table: Table, counts: dict[str, Counter[str]], where: str) -> Sequence[Row]:
        """The rows of `table` with a label for any of the tasks, and with only the labels that the user gave, where some were given: an
        entity of another type is none, and a row of another class is not labelled, so that training, scores and prediction agree."""
        names = [spec.name for spec in self.specs]
        rows = self._with_given(table, counts, where) if self.given else table.rows
        labelled = having(rows, names)
        if not labelled:
            raise MtlError(f"{where}: no row is labelled for any of the tasks {_names(names)}. Label some rows.")
        if gone := len(rows) - len(labelled):
            has, is_left = ("has", "is") if gone == 1 else ("have", "are")
            self.notices.append(f"{where}: {gone:,} of {many(len(rows), 'row')} {has} no label for any task and {is_left} left out.")
        return labelled

    def _with_given(self, table: Table, counts: dict[str, Counter[str]], where: str) -> Sequence[Row]:
        for spec in self.given:
            others = [(label, count) for label, count in counts[spec.name].most_common() if label not in spec.labels]
            what, as_what = VALUES[spec.kind].left_out
            if others:
                named = ", ".join(f"{label} {count:,}" for label, count in others[:5])
                self.notices.append(f"{where}: {sum(count for _, count in others):,} of {counts[spec.name].total():,} {what} of "
                                    f"'{spec.name}' have another label than the given ones ({named}); they count as {as_what}.")
        labels = {spec.name: frozenset(spec.labels) for spec in self.given}

        def keep_given(row: Row) -> Row:
            return replace(row, values=row.values | {name: value.among(known) for name, known in labels.items()
                                                     if (value := row.values.get(name)) is not None})

        if not isinstance(table.rows, Stored):
            return list(map(keep_given, table.rows))
        names = [spec.name for spec in self.specs]
        shape = row_shape([task for task in table.tasks if task.name in names])
        return keep(map(keep_given, table.rows), shape, self.into / f"{uuid4().hex}.arrow")


def fingerprint(dataset: Dataset) -> str:
    """A digest of the rows and tasks that a run learns from."""
    digest = hashlib.sha256(repr(dataset.tasks).encode())
    for rows in (dataset.train, dataset.validation, dataset.test):
        for row in rows:
            digest.update(repr(row).encode())
    return digest.hexdigest()


def choose_tasks(table: Table, wanted: Sequence[TaskSpec], where: str) -> list[TaskSpec]:
    """The tasks to train on `table`: the `wanted` ones, else all. Raises MtlError if they are none or too many, or one is lacking."""
    found = {spec.name: spec for spec in table.tasks}
    if not found:
        why = [notice for notice in table.notices if NOT_TAKEN in notice]
        raise MtlError(" ".join([f"{where}: has texts but no labels. Wanted at least one more column: a class, entities, or a number.",
                                 *why[:3]]))
    for spec in wanted:
        if spec.name not in found:
            raise MtlError(f"{where}: there is no task '{isolate(spec.name)}'. The tasks found are: {_names(found)}.")
        if spec.kind != found[spec.name].kind:
            raise MtlError(f"{where}: '{isolate(spec.name)}' holds {found[spec.name].kind} labels, but {spec.kind} was asked for. "
                           f"Choose {found[spec.name].kind}.")
    if not wanted and len(found) > MAX_TASKS:
        raise MtlError(f"{where}: {len(found)} tasks were found ({_names(found)}), the limit is {MAX_TASKS}. Choose some of them.")
    return list(wanted) or table.tasks


def used_columns(columns: Sequence[ColumnSpec]) -> list[ColumnSpec]:
    """The roles given to the columns of validation and test files, if those of the training files are `columns`: others may be absent."""
    return [spec for spec in columns if spec.role != "ignore"]


def _names(names: Iterable[str]) -> str:
    return ", ".join(map(isolate, names))


def having(rows: Sequence[Row], names: Sequence[str]) -> Sequence[Row]:
    """Those of `rows` that have a value for any of the tasks `names`, in their order."""
    has_label = np.fromiter((any(row.values.get(name) is not None for name in names) for row in rows), bool, len(rows))
    return rows if has_label.all() else pick(rows, np.flatnonzero(has_label))
