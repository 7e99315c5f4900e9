"""From a run's settings to its rows: train, dev and test, and the tasks with their labels. The readers know the file formats."""

from collections.abc import Sequence
from pathlib import Path

from mtl.config import MAX_TASKS, RunConfig, TaskSpec
from mtl.data.hypothetical import make_rows
from mtl.data.readers import read_file
from mtl.data.rows import Dataset, Row, Table, count_labels, learn_labels, split_rows
from mtl.errors import MtlError


def read_table(config: RunConfig, folder: Path) -> Table:
    """The training rows that `config` names, with the tasks found in them; files are looked up in `folder` (absolute names stay)."""
    if config.source == "hypothetical":
        return make_rows(config.hypothetical_rows, config.seed, config.hypothetical_labels)
    return read_file(folder / config.train_file, config.text_column, [spec.name for spec in config.tasks])


def load(config: RunConfig, folder: Path) -> Dataset:
    """Read, check and split everything that `config` names.

    Raises MtlError, naming file and line, if there is anything in it that cannot be learned from.
    """
    table = read_table(config, folder)
    where = "hypothetical data" if config.source == "hypothetical" else Path(config.train_file).name
    specs = [learn_labels(table.rows, spec, where) if not spec.labels else spec for spec in choose_tasks(table, config.tasks, where)]
    notices = list(table.notices)
    train = _labelled(table.rows, specs, where, notices)
    test = _read_more(config.test_file, config, folder, specs, notices)
    for spec in specs:
        if not set(spec.labels) & set(count_labels(train, spec.name)):
            raise MtlError(f"{where}: no row has any of the labels that task '{spec.name}' was given ({', '.join(spec.labels[:5])}). "
                           "Leave the labels out to take those of the data.")
    if config.dev_file:
        dev = _read_more(config.dev_file, config, folder, specs, notices)
    else:
        if len(train) < 2:
            raise MtlError(f"{where}: has 1 labelled row; at least 2 are needed, one to learn from and one to measure on. Add rows.")
        train, dev = split_rows(train, config.dev_share, specs, config.seed)
    for spec in specs:
        if not any(row.values[spec.name] is not None for row in dev):
            notices.append(f"Dev has no row labelled for '{spec.name}': its score cannot be shown.")
    return Dataset(train, dev, test, specs, notices)


def choose_tasks(table: Table, wanted: Sequence[TaskSpec], where: str) -> list[TaskSpec]:
    """The tasks to train on `table`: the `wanted` ones if any, else all that were found.

    Raises MtlError if there is none, there are too many, or a wanted one is not in the data.
    """
    found = {spec.name: spec for spec in table.tasks}
    if not found:
        raise MtlError(f"{where}: has texts but no labels. Wanted at least one more column: a class, or entities.")
    for spec in wanted:
        if spec.name not in found:
            raise MtlError(f"{where}: there is no task '{spec.name}'. The tasks found are: {', '.join(found)}.")
        if spec.kind != found[spec.name].kind:
            raise MtlError(f"{where}: '{spec.name}' holds {found[spec.name].kind} labels, but {spec.kind} was asked for. "
                           f"Choose {found[spec.name].kind}.")
    if not wanted and len(found) > MAX_TASKS:
        raise MtlError(f"{where}: {len(found)} tasks were found ({', '.join(found)}), the limit is {MAX_TASKS}. Choose some of them.")
    return list(wanted) or table.tasks


def pick_tasks(found: Sequence[TaskSpec], names: Sequence[str]) -> tuple[TaskSpec, ...]:
    """The `found` tasks that are called by `names`, in the order of the data; raises MtlError on a name that is not there, or none."""
    for name in names:
        if name not in (spec.name for spec in found):
            raise MtlError(f"There is no task '{name}' in the data. The tasks found are: {', '.join(spec.name for spec in found)}.")
    if not names:
        raise MtlError("No task is chosen. Choose at least one.")
    return tuple(spec for spec in found if spec.name in names)


def _read_more(name: str, config: RunConfig, folder: Path, specs: list[TaskSpec], notices: list[str]) -> list[Row]:
    """The rows of a dev or test file for the tasks of the training file."""
    if not name:
        return []
    table, where = read_file(folder / name, config.text_column, [spec.name for spec in specs]), Path(name).name
    if not {spec.name for spec in specs} & {spec.name for spec in table.tasks}:
        raise MtlError(f"{where}: has none of the training file's tasks ({', '.join(spec.name for spec in specs)}). "
                       "Give it the same columns.")
    notices += table.notices
    rows = _labelled(table.rows, specs, where, notices)
    for spec in specs:
        unseen = sorted(set(count_labels(rows, spec.name)) - set(spec.labels))
        if unseen:
            notices.append(f"{where}: {len(unseen)} labels of '{spec.name}' never occur in training and will count as mistakes: "
                           f"{', '.join(unseen[:5])}.")
    return rows


def _labelled(rows: list[Row], specs: list[TaskSpec], where: str, notices: list[str]) -> list[Row]:
    """The rows with a label for any of the tasks, holding the values of these tasks only."""
    names = [spec.name for spec in specs]
    trimmed = (Row(row.text, {name: row.values.get(name) for name in names}, row.words) for row in rows)
    kept = [row for row in trimmed if any(value is not None for value in row.values.values())]
    if not kept:
        raise MtlError(f"{where}: no row is labelled for any of the tasks {', '.join(names)}. Label some rows.")
    if len(kept) < len(rows):
        notices.append(f"{where}: {len(rows) - len(kept)} of {len(rows)} rows have no label for any task and are left out.")
    return kept
