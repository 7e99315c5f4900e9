"""A run's checkpoint measured on its validation rows, any number of times, or on its test rows, once; what was measured stays in the run's
folder. Test rows that are looked at again and again, and chosen by, tell nothing of new text any more. torch is loaded only to measure."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from mtl.data.dataset import split_paths
from mtl.data.kept import load_run
from mtl.data.readers import Progress, no_progress
from mtl.errors import MtlError, is_disk_full
from mtl.files import replacing
from mtl.runs.checkpoint import BEST, MANIFEST, read_facts
from mtl.runs.events import Evaluated
from mtl.runs.folder import Run
from mtl.runs.history import ACTIVE, read_history
from mtl.scoring.error_analysis import Report, examine
from mtl.settings.config import RunConfig

if TYPE_CHECKING:
    from mtl.data.rows import Dataset

VALIDATION, TEST = "validation", "test"


@dataclass(frozen=True)
class Measured:
    """What `checkpoint`, which was saved at `step` and has a manifest with the sha256 `manifest`, reached on `split`, computed `how`
    predictions are (see Predictor); `time` is when that was seen (seconds since 1970), `times` how often the rows of this split have been
    measured."""

    split: str
    checkpoint: str
    step: int
    manifest: str
    time: float
    seconds: float
    losses: dict[str, float]
    score: float
    times: int
    report: Report
    how: str = ""

    def is_of(self, run: Run) -> bool:
        """Whether the checkpoint in `run` is still the one that was measured."""
        return digest(run.checkpoint(self.checkpoint)) == self.manifest

    @property
    def when(self) -> str:
        """`time` for people."""
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(self.time))


_JSON = TypeAdapter(Measured)


def to_json(measured: Measured) -> str:
    """`measured` as a JSON object."""
    return _JSON.dump_json(measured, indent=1).decode()


def read_measured(run: Run, split: str) -> Measured | None:
    """What was measured last on `split`, None if nothing was; raises MtlError if that cannot be read."""
    file = _file(run, split)
    try:
        return replace(_JSON.validate_json(file.read_bytes()), split=split)
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise MtlError(f"{file.name} in the run's folder cannot be read: what was measured is lost. Delete that file to measure "
                       "again.") from error


def measured_at(run: Run) -> list[int]:
    """When validation and test were measured last (ns since 1970), of those that were: a look that is cheap."""
    files = (_file(run, split) for split in (VALIDATION, TEST))
    return [file.stat().st_mtime_ns for file in files if file.exists()]


def digest(checkpoint: Path) -> str:
    """What tells the weights in `checkpoint` from any others; empty if there is no such checkpoint."""
    try:
        return hashlib.sha256((checkpoint / MANIFEST).read_bytes()).hexdigest()
    except OSError:
        return ""


def has_test_rows(config: RunConfig) -> bool:
    """Whether the settings name test rows; whether these have labels, only reading them tells."""
    return bool(split_paths(config, Path())[TEST])


def measure_validation(run: Run, checkpoint: str = BEST, device: str = "auto", progress: Progress = no_progress) -> Measured:
    """Look at the validation rows; raises MtlError if there is no such checkpoint, or the data are not those that it learned from."""
    measured = _measure(run, VALIDATION, checkpoint, device, progress)
    _store(run, measured)
    return measured


def measure_test(run: Run, checkpoint: str = BEST, device: str = "auto", *, again: bool = False,
                 progress: Progress = no_progress) -> tuple[Measured, bool]:
    """Measure on the test rows and log it, if that was not done before: then, what was measured; and whether it was done now.

    Raises MtlError, besides what `measure_validation` does, if the run is not over, if there are no test rows, or if another checkpoint was
    measured and nobody says that it is to be done `again`.
    """
    status = read_history(run).status
    if status in ACTIVE:
        raise MtlError(f"This run is {status}. The test rows are measured once, when it is over.")
    with run.hold():  # nobody trains it, or measures it too, meanwhile
        before = read_measured(run, TEST)
        if before and not again:
            if not before.is_of(run) or before.checkpoint != checkpoint:
                raise MtlError(f"The test rows were measured on {before.when}, with checkpoint '{before.checkpoint}' of step "
                               f"{before.step}, and that is not the one asked for now: another was asked for, or the run went on. "
                               "A second look makes test scores look better than they are. `--again` takes it nevertheless.")
            return before, False
        measured = _measure(run, TEST, checkpoint, device, progress)
        measured = replace(measured, times=before.times + 1 if before else 1)
        _store(run, measured)
        run.log.append(evaluated(run, measured))
        return measured, True


def evaluated(run: Run, measured: Measured) -> Evaluated:
    """The event that the log of `run` has of it."""
    started, report = read_history(run).started, measured.report
    return Evaluated(measured.step, measured.step / started.steps_per_epoch if started else 0.0, measured.split, measured.losses,
                     {task.name: task.scores for task in report.tasks}, report.everything_right.value, measured.score, False,
                     measured.seconds)


def _measure(run: Run, split: str, name: str, device: str, progress: Progress) -> Measured:
    from mtl.inference.predictor import Predictor
    from mtl.model.split import make_split
    from mtl.scoring.scores import score

    start, checkpoint = time.perf_counter(), run.checkpoint(name)
    manifest, predictor = digest(checkpoint), Predictor.load(checkpoint, device)
    facts, tasks = read_facts(checkpoint), list(predictor.model.tasks.values())
    with TemporaryDirectory(prefix=".scores-", dir=run.folder) as place:
        rows = getattr(_load(run, facts, Path(place), progress), split)
        if not rows:
            raise MtlError("This run has no test rows with labels. Give it a test file to have some.")
        texts = make_split(predictor.tokenizer, tasks, rows, predictor.model.config.max_length, Path(place) / "examples.arrow", progress)
        answers = predictor.answer(texts.examples, texts.lengths.tolist(), [task.name for task in tasks])  # as users are answered
        scores = score(tasks, texts, answers, run.config.loss_weights([task.name for task in tasks]))
        report = examine(rows, tasks, [answers.predictions[index] for index in range(len(rows))], scores)
    return Measured(split, name, facts["step"], manifest, time.time(), time.perf_counter() - start, scores.losses, scores.score, 1, report,
                    predictor.how)


def _load(run: Run, facts: dict[str, Any], place: Path, progress: Progress) -> Dataset:
    """The run's rows; raises MtlError if they are not those that the checkpoint with these `facts` was trained with."""
    dataset = load_run(run.config, run.folder, place, progress, expected=facts["data"])
    if dataset.fingerprint != facts["data"]:
        raise MtlError("The data is not the same as when this run was trained, so its scores would mean nothing. Either a file "
                       "was changed, or this version of the program reads or splits the rows in another way than the one that trained the "
                       "run. Train again, or measure with the files and the version that it was trained with.")
    return dataset


def _file(run: Run, split: str) -> Path:
    older = run.folder / "scores-dev.json"  # the older name of the validation rows
    return older if split == VALIDATION and older.exists() else run.folder / f"scores-{split}.json"


def _store(run: Run, measured: Measured) -> None:
    """Put it in its file, whole or not at all."""
    file = _file(run, measured.split)
    try:
        with replacing(file) as building:
            building.write_text(to_json(measured), encoding="utf-8")
    except OSError as error:
        if is_disk_full(error):
            raise MtlError("The disk is full: what was measured could not be kept. Free some space, then measure again.") from error
        raise
