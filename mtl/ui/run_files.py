"""A run's own facts and files: its data, settings and log as HTML, and what can be downloaded of it. Who may have what is decided here."""

import csv
import io
import json
import os
import secrets
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder

from mtl.data.dataset import describe_source
from mtl.data.kept import ROWS, ROWS_INFO, has_rows, read_info
from mtl.errors import MtlError
from mtl.files import room_on_disk
from mtl.jobs.queue import Jobs
from mtl.runs.checkpoint import read_facts
from mtl.runs.folder import Run, open_run
from mtl.runs.history import History
from mtl.scoring.measure import TEST, VALIDATION, SplitScores, read_measured
from mtl.scoring.predictions import Wanted, find_sentences
from mtl.settings.config import RunConfig
from mtl.text import guarded
from mtl.training.teach import read_taught
from mtl.ui.charts import log_lines
from mtl.ui.templates import render

SPACE_MEGABYTES = 500  # of a checkpoint that a public page gives away
NOT_YOURS = "Only the browser in which a run was started can download its checkpoint."
UNSCORED = "There are no scores yet. They are made when the Scores tab is open."


def about_html(run: Run, history: History, key: str) -> str:
    """The data, the settings and the log of a run, and buttons for its files. Raises MtlError if its settings cannot be read."""
    config, started = run.config, history.started
    given, usual = config.model_dump(mode="json"), RunConfig().model_dump(mode="json")
    settings = [(field.title, name, _told(given[name]), _told(usual[name]), given[name] != usual[name])
                for name, field in RunConfig.model_fields.items()]
    counts = [("training rows", started.train_rows), ("validation rows", started.validation_rows)] if started else []
    digest = read_info(run.folder / ROWS / ROWS_INFO)["fingerprint"] if has_rows(run.folder) else ""
    files = [(name, *words, _why_not(run, history, key, name)) for name, (words, _) in FILES.items()]
    return render("run.html", run=run, source=describe_source(config), counts=counts, digest=digest, settings=settings, files=files,
                  log=log_lines(history))


def _told(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) if value not in (None, [], {}) else ""


def _why_not(run: Run, history: History, key: str, name: str) -> str:
    """Why a file cannot be downloaded now; empty if it can. The id of a run gives read access to all but its checkpoint."""
    if name == "checkpoint":
        if not run.belongs_to(key):
            return NOT_YOURS
        if (taught := read_taught(run)) and taught.is_borrowed:
            return "This run began with a model of somebody else, whose weights only its owner can download."
        if "best" not in history.checkpoints or not run.best.is_dir():
            return "There is no checkpoint yet."
        size = sum(file.stat().st_size for file in run.best.iterdir()) / 1e6
        if os.environ.get("SPACE_ID") and size > SPACE_MEGABYTES:
            return f"It has {size:,.0f} MB, and this public page gives at most {SPACE_MEGABYTES}. Train on your own machine to have it."
    elif name not in ("log", "settings") and not _measured(run):
        return UNSCORED
    return ""


def make_file(jobs: Jobs, run_id: str, key: str, name: str) -> str:
    """The path of a file of a run, in Gradio's folder under a name that cannot be guessed. Raises MtlError if `key` may not have it."""
    run = open_run(jobs.root, run_id)
    if name not in FILES:
        raise MtlError("There is no such file. Load the page again.")
    if why := _why_not(run, jobs.history(run_id), key, name):
        raise MtlError(why)
    (_, file, _), make = FILES[name]
    target = Path(get_upload_folder()) / secrets.token_hex(20) / f"{run.id[:15]}-{file}"
    with room_on_disk("The disk is full: the file could not be made. Free some space."):
        target.parent.mkdir(parents=True)
        make(run, target)
    return str(target)


def _measured(run: Run) -> list[SplitScores]:
    return [found for split in (VALIDATION, TEST) if (found := read_measured(run, split))]


def _zip_best(run: Run, target: Path) -> None:
    for older in target.parents[1].glob(f"*/{target.name}"):  # one copy at a time, however often it is downloaded
        older.unlink(missing_ok=True)
    read_facts(run.best)  # raises MtlError if a file is damaged
    before = {file.name: file.stat().st_mtime_ns for file in run.best.iterdir()}
    with zipfile.ZipFile(target, "w") as made:  # weights cannot be compressed
        for name in before:
            made.write(run.best / name, f"best/{name}")
    if {file.name: file.stat().st_mtime_ns for file in run.best.iterdir()} != before:
        target.unlink()
        raise MtlError("A better checkpoint was saved just now. Download that one.")


def _write_json(run: Run, target: Path) -> None:
    target.write_text(json.dumps({found.split: json.loads(found.json) for found in _measured(run)}, indent=1), encoding="utf-8")


def _score_rows(run: Run) -> Iterator[Sequence[Any]]:
    """One line for each score, with an interval if there is one, and for each score of a label."""
    yield "split", "task", "label", "score", "value", "low", "high"
    for found in _measured(run):
        for task in found.report.tasks:
            for name, value in task.scores.items():
                is_main = task.main and name == task.main_score
                yield found.split, task.name, "", name, value, *((task.main.low, task.main.high) if is_main else ("", ""))
            for line in task.labels:
                for name in ("precision", "recall", "f1", "support"):
                    yield found.split, task.name, line.label, name, getattr(line, name), "", ""
        whole = found.report.everything_right
        yield found.split, "all tasks", "", "everything right", whole.value, whole.low, whole.high


def _error_rows(run: Run) -> Iterator[Sequence[Any]]:
    """One line for each sentence and task that the model got wrong, the surest mistakes first."""
    yield "split", "row", "task", "text", "true", "predicted", "sure"
    for found in _measured(run):
        for task in found.report.tasks if found.is_whole(run) else ():
            for one in find_sentences(run, Wanted(found.split, task.name))[1]:
                told = ("; ".join(value.named(one.text)) for value in (one.gold, one.made))
                yield found.split, one.row + 1, task.name, one.text, *told, f"{one.sure:.4f}"


def _write_csv(rows: Callable[[Run], Iterable[Sequence[Any]]]) -> Callable[[Run, Path], None]:
    def write(run: Run, target: Path) -> None:
        lines = io.StringIO(newline="")
        csv.writer(lines).writerows([guarded(cell) if isinstance(cell, str) else cell for cell in row] for row in rows(run))
        target.write_text(lines.getvalue(), encoding="utf-8-sig", newline="")  # the mark by which spreadsheets know UTF-8
    return write


def _copy(name: str) -> Callable[[Run, Path], None]:
    return lambda run, target: target.write_bytes((run.folder / name).read_bytes()) and None


# what can be downloaded: its title, the name of the file, a sentence about it; and how it is made
FILES: dict[str, tuple[tuple[str, str, str], Callable[[Run, Path], None]]] = {
    "scores": (("Scores", "scores.json", "all that was measured, as JSON"), _write_json),
    "table": (("Score table", "scores.csv", "every score of every label, for a spreadsheet"), _write_csv(_score_rows)),
    "errors": (("Errors", "errors.csv", "every sentence with a mistake: true and predicted, for a spreadsheet"), _write_csv(_error_rows)),
    "settings": (("Settings", "config.json", "to train again with the same ones"), _copy("config.json")),
    "log": (("Log", "events.jsonl", "every loss and score of the training, a line each"), _copy("events.jsonl")),
    "checkpoint": (("Best checkpoint", "best.zip", "the model, with its tokenizer"), _zip_best)}
