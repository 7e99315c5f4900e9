"""Measures a run's checkpoint on its validation rows, any number of times, or on its test rows, once, and keeps the scores in the run's
folder. Test rows that are used to choose say nothing about new text any more. torch is imported only to measure."""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import TypeAdapter, ValidationError

from mtl.data.dataset import split_paths
from mtl.data.kept import load_run
from mtl.errors import MtlError
from mtl.files import replacing, room_on_disk
from mtl.runs.checkpoint import BEST, MANIFEST, read_facts
from mtl.runs.events import Evaluated
from mtl.runs.folder import Run
from mtl.runs.history import ACTIVE, read_history
from mtl.scoring.error_analysis import Report, analyse
from mtl.scoring.predictions import are_kept, keep_predictions
from mtl.settings.config import RunConfig

VALIDATION, TEST = "validation", "test"


@dataclass(frozen=True)
class SplitScores:
    """The scores of `checkpoint`, saved at `step`, on `split`. `manifest` is the sha256 of the checkpoint's manifest, `time` when it was
    measured (seconds since 1970), `times` how often this split was measured, `how` the device and engine (see Predictor)."""

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
        """Whether these are the scores of the checkpoint as it is in `run` now."""
        return digest(run.checkpoint(self.checkpoint)) == self.manifest

    def is_whole(self, run: Run) -> bool:
        """Whether the predictions that these scores are of are kept too. Those of an earlier version are not."""
        return are_kept(run, self.split, self.manifest)

    def is_up_to_date(self, run: Run) -> bool:
        """Whether these are all there is to know of the best checkpoint as it is in `run` now."""
        return self.checkpoint == BEST and self.is_of(run) and self.is_whole(run)

    @property
    def when(self) -> str:
        """`time` for people."""
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(self.time))

    @property
    def json(self) -> str:
        """These scores as a JSON object."""
        return _JSON.dump_json(self, indent=1).decode()


_JSON = TypeAdapter(SplitScores)


def read_measured(run: Run, split: str) -> SplitScores | None:
    """The last scores of `run` on `split`, or None; raises MtlError if their file cannot be read."""
    file = _file(run, split)
    try:
        return replace(_JSON.validate_json(file.read_bytes()), split=split)
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise MtlError(f"{file.name} in the run's folder cannot be read. Delete that file, then measure again.") from error


def measured_at(run: Run) -> list[int]:
    """When the splits that were measured were last measured (ns since 1970). Reads no file."""
    files = (_file(run, split) for split in (VALIDATION, TEST))
    return [file.stat().st_mtime_ns for file in files if file.exists()]


def digest(checkpoint: Path) -> str:
    """The sha256 of the manifest of `checkpoint`, which identifies its weights; empty if there is no such checkpoint."""
    try:
        return hashlib.sha256((checkpoint / MANIFEST).read_bytes()).hexdigest()
    except OSError:
        return ""


def has_test_rows(config: RunConfig) -> bool:
    """Whether the settings name test rows, with or without labels."""
    return bool(split_paths(config, Path())[TEST])


def validation_scores(run: Run) -> SplitScores:
    """The scores of the best checkpoint on the validation rows, measured now unless they were before. Raises as `measure_validation`."""
    with suppress(MtlError):  # what cannot be read is measured again
        known = read_measured(run, VALIDATION)
        if known and known.is_up_to_date(run):
            return known
    return measure_validation(run)


def measure_validation(run: Run, checkpoint: str = BEST, device: str = "auto") -> SplitScores:
    """Measure on the validation rows; raises MtlError if there is no such checkpoint, or if it was trained on other data."""
    return _measure(run, VALIDATION, checkpoint, device)


def measure_test(run: Run, checkpoint: str = BEST, device: str = "auto", *, again: bool = False) -> tuple[SplitScores, bool]:
    """Measure on the test rows and log it, unless that was done before; returns the scores, and whether they are new. Raises MtlError as
    `measure_validation` does, and if the run is not over, there are no test rows, or another checkpoint was measured and not `again`."""
    status = read_history(run).status
    if status in ACTIVE:
        raise MtlError(f"This run is {status}. The test rows are measured once, when it is over.")
    with run.hold():  # so that nothing else trains or measures it meanwhile
        before = read_measured(run, TEST)
        if before and not again:
            if not before.is_of(run) or before.checkpoint != checkpoint:
                raise MtlError(f"The test rows were measured on {before.when} with checkpoint '{before.checkpoint}' of step {before.step}. "
                               "Another was chosen, or the run went on. Measured again they flatter it; `--again` does it nevertheless.")
            return before, False
        measured = _measure(run, TEST, checkpoint, device, times=before.times + 1 if before else 1)
        run.log.append(evaluated(run, measured))
        return measured, True


def evaluated(run: Run, measured: SplitScores) -> Evaluated:
    """`measured` as an event for the log of `run`."""
    started, report = read_history(run).started, measured.report
    return Evaluated(measured.step, measured.step / started.steps_per_epoch if started else 0.0, measured.split, measured.losses,
                     {task.name: task.scores for task in report.tasks}, report.everything_right.value, measured.score, is_best=False,
                     seconds=measured.seconds)


def _measure(run: Run, split: str, name: str, device: str, times: int = 1) -> SplitScores:
    from mtl.inference.predictor import Predictor
    from mtl.model.split import make_split
    from mtl.scoring.scores import score

    start, checkpoint = time.perf_counter(), run.checkpoint(name)
    manifest, predictor = digest(checkpoint), Predictor.load(checkpoint, device)
    facts, tasks = read_facts(checkpoint), list(predictor.model.tasks.values())
    with TemporaryDirectory(prefix=".scores-", dir=run.folder) as place:
        dataset = load_run(run.config, run.folder, Path(place), expected=facts["data"])
        if dataset.fingerprint != facts["data"]:
            raise MtlError("The data is not the same as when this run was trained: a file changed, or this version of the program reads "
                           "or splits the rows in another way. Train again, or use the files and the version that it was trained with.")
        rows = getattr(dataset, split)
        if not rows:
            raise MtlError("This run has no test rows with labels. Give it a test file to have some.")
        texts = make_split(predictor.tokenizer, tasks, rows, predictor.model.config.max_length, Path(place) / "examples.arrow")
        answers = predictor.answer(texts.examples, texts.lengths.tolist(), [task.name for task in tasks])  # the same code as for users
        scores = score(tasks, texts, answers, run.config.loss_weights([task.name for task in tasks]))
        report = analyse(rows, tasks, answers.in_order(), scores)
        keep_predictions(run, split, manifest, [task.spec for task in tasks], answers.in_order())
    measured = SplitScores(split, name, facts["step"], manifest, time.time(), time.perf_counter() - start, scores.losses, scores.score,
                           times, report, predictor.how)
    full = "The disk is full: what was measured could not be kept. Free some space, then measure again."
    with room_on_disk(full), replacing(_file(run, split)) as building:
        building.write_text(measured.json, encoding="utf-8")
    return measured


def _file(run: Run, split: str) -> Path:
    older = run.folder / "scores-dev.json"  # the validation rows' older name
    return older if split == VALIDATION and older.exists() else run.folder / f"scores-{split}.json"
