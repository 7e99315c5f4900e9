"""Learning from corrections: a run that begins with the weights of another model, and takes a few careful steps on rows that somebody has
corrected, mixed with rows that the model learned from before, so that it forgets little. It is an ordinary run in all else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from mtl.data.dataset import describe_source, fingerprint, load
from mtl.data.kept import has_rows, keep_rows, open_rows
from mtl.data.readers import read_files
from mtl.data.rows import Dataset, Row, count_all, narrow
from mtl.data.store import link_folder, pick, take
from mtl.data.values import KIND_OF_ROLE, VALUES
from mtl.errors import MtlError
from mtl.files import replacing
from mtl.runs.checkpoint import START, read_facts
from mtl.runs.folder import STARTER_NAME, Run, create_run, delete_run
from mtl.settings.config import ColumnSpec, RunConfig, TaskSpec, make_config, rename_old
from mtl.settings.rates import auto_rates
from mtl.text import isolate, shorten

TAUGHT, CORRECTIONS = "taught.json", "corrections.jsonl"  # in the run's folder: where it began; what it was taught
MOST = 200  # corrections
STEPS, SHARE, LEAST = 40, 1 / 3, 5  # about so many steps, at most; the share of corrections in a step; how often each is seen, at least
SLOWER = 0.25  # the learning rates, as parts of those that the model was trained with
MOST_VALIDATION = 1_000  # rows on which forgetting is measured: nobody wants to wait for more


@dataclass(frozen=True)
class Taught:
    """Where a run began: the `choice` that names the model ('starter', 'RUN/best') and the step of its weights; the number of corrections,
    which are the first training rows; and validation rows that are left out, since they are among the corrections."""

    choice: str
    step: int
    corrections: int
    left_out: int
    is_borrowed: bool = False  # whether the model is somebody else's, so that its weights are not given away


def read_taught(run: Run) -> Taught | None:
    """Where `run` began; None if it is an ordinary run."""
    try:
        return TypeAdapter(Taught).validate_json((run.folder / TAUGHT).read_bytes())
    except (OSError, ValidationError):
        return None


def tasks_of(checkpoint: Path) -> list[TaskSpec]:
    """The tasks of the model in `checkpoint`."""
    values = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))["tasks"]
    return [TaskSpec.model_validate_json(json.dumps(task)) for task in values]


def read_corrections(file: Path, tasks: Sequence[TaskSpec]) -> list[Row]:
    """The rows of `file` for `tasks`, as a dataset is read; what a row says nothing of stays None. Raises MtlError, with the line, if one
    cannot be read, if there are none or too many, or if one has a label that no task of this name has."""
    roles = {kind: role for role, kind in reversed(KIND_OF_ROLE.items())}
    specs = [ColumnSpec(column=task.name, role=roles[task.kind]) for task in tasks if not VALUES[task.kind].marks_text]
    found = read_files([file], specs, [task.name for task in tasks])
    rows = [row for row in narrow(found.rows, tasks) if any(value is not None for value in row.values.values())]
    kinds = {task.name: task.kind for task in found.tasks}
    names = ", ".join(isolate(task.name) for task in tasks)
    if not rows:
        raise MtlError(f"{file.name}: no row says anything of what this model knows: {names}. Correct one of these.")
    if len(rows) > MOST:
        raise MtlError(f"{file.name}: has {len(rows):,} corrections, and {MOST} can be learned at once. With so many, train anew.")
    for task in tasks:
        if kinds.get(task.name, task.kind) != task.kind:
            raise MtlError(f"{file.name}: '{isolate(task.name)}' holds {kinds[task.name]} labels, and the model wants {task.kind}.")
        unknown = sorted(set(count_all(rows, [task.name])[task.name]) - set(task.labels)) if VALUES[task.kind].has_labels else []
        if unknown:
            known = ", ".join(map(isolate, task.labels[:10])) + " \u2026" * (len(task.labels) > 10)
            raise MtlError(f"{file.name}: this model has no label '{isolate(shorten(unknown[0], 40))}' for '{isolate(task.name)}'. It "
                           f"knows {known}. A new label needs a new training, with rows that have it.")
    return rows


def make_taught(root: Path, choice: str, checkpoint: Path, source: Run | None, file: Path, key: str = "", *, steps: int = STEPS,
                share: float = SHARE, slower: float = SLOWER) -> Run:
    """A run under `root`, queued, that begins with `checkpoint` (of `source`; None: of the starter model) and learns the corrections in
    `file`. Its folder has all it needs: `source` may be deleted. Raises MtlError if the corrections or the model's rows cannot be read."""
    facts, tasks = read_facts(checkpoint), tasks_of(checkpoint)
    begun = make_config(json.loads(rename_old(json.dumps(facts["config"]))), is_json=True)
    corrections = read_corrections(file, tasks)
    dataset = _rows_of(begun, source, tasks)
    times = max(LEAST, round(steps * min(begun.batch_size, 16) * share / len(corrections)))
    mixed, left_out = _mix(corrections, times, round(times * len(corrections) * (1 / share - 1)), dataset, begun.seed)
    of_model = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))["encoder"]
    name = source.name or describe_source(source.config) if source else STARTER_NAME
    config = _careful(begun, source, f"corrected: {name}", of_model.get("hidden_size"), slower)
    run = create_run(root, config, key)
    try:
        try:
            link_folder(checkpoint, run.folder / START)
        except FileNotFoundError as error:
            raise MtlError("This checkpoint was replaced by a newer one just now. Try again in a moment.") from error
        keep_rows(run.folder, mixed)
        (run.folder / CORRECTIONS).write_bytes(file.read_bytes())
        before = read_taught(source) if source else None  # what learned from somebody else's model stays borrowed, however often it learns
        is_borrowed = source is not None and (not source.belongs_to(key) or before is not None and before.is_borrowed)
        with replacing(run.folder / TAUGHT) as building:
            building.write_text(json.dumps(asdict(Taught(choice, facts["step"], len(corrections), left_out, is_borrowed))))
    except BaseException:
        delete_run(run)
        raise
    return run


def _rows_of(config: RunConfig, source: Run | None, tasks: Sequence[TaskSpec]) -> Dataset:
    """The rows that the model learned from, and those that it was validated on."""
    folder = source.folder if source else Path()
    dataset = open_rows(folder) if source and has_rows(folder) else load(config, folder)
    if list(dataset.tasks) != list(tasks):
        raise MtlError("The rows that this model was trained on are not here as they were, so what it forgets could not be measured. "
                       "Train again, or choose another model.")
    return dataset


def _mix(corrections: Sequence[Row], times: int, others: int, dataset: Dataset, seed: int) -> tuple[Dataset, int]:
    """The corrections, each so many `times`, with so many `others` of the training rows; validation and test rows without those that are
    corrected, and how many validation rows these are."""
    corrected = {_same(row) for row in corrections}

    def others_of(rows: Sequence[Row]) -> list[Row]:
        return [row for row in rows if _same(row) not in corrected]

    def draw(rows: Sequence[Row], count: int) -> list[Row]:
        return take(rows, np.sort(np.random.default_rng(seed).permutation(len(rows))[:count]))

    drawn = others_of(draw(dataset.train, others + len(corrections)))
    places = np.random.default_rng(seed).permutation(others) % max(1, len(drawn))  # few rows come several times
    train = [*corrections] * times + [drawn[place] for place in places if drawn]
    seen = draw(dataset.validation, MOST_VALIDATION)
    validation = others_of(seen)
    test = pick(dataset.test, np.flatnonzero([_same(row) not in corrected for row in dataset.test]))  # however many, they stay on the disk
    made = Dataset(train, validation, test, dataset.tasks)
    return replace(made, fingerprint=fingerprint(made)), len(seen) - len(validation)


def _same(row: Row) -> str:
    """Equal for texts that differ at most in case and blanks."""
    return " ".join(row.text.casefold().split())


def _careful(begun: RunConfig, source: Run | None, name: str, width: int | None, slower: float) -> RunConfig:
    """The settings: those that the model was trained with, for one pass over the rows at lower rates, without whatever takes long."""
    rates = auto_rates(begun.encoder, begun.fine_tuning, begun.batch_size * begun.accumulation, width)
    rates = begun.learning_rate or rates[0], begun.head_learning_rate or rates[1]
    if source and read_taught(source):  # it is careful already
        slower = 1.0
    files = {f"{split}_files": tuple(str(source.folder / file) for file in getattr(begun, f"{split}_files"))
             for split in ("train", "validation", "test")} if source else {}
    return make_config(begun.model_dump() | files | {
        "name": shorten(name, 60), "learning_rate": slower * rates[0], "head_learning_rate": slower * rates[1], "epochs": 1, "max_steps": 0,
        "batch_size": min(begun.batch_size, 16), "accumulation": 1, "sampling": "joint", "balancing": "equal", "patience": 0,
        "eval_every": 0, "checkpoint_every": 0, "keep_epochs": False, "quick_looks": False, "diagnose_every": 0, "device": "auto",
        "steering": ()})
