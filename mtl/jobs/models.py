"""The models that one can ask, and their answers: live weights of a run in training, checkpoints, the starter model. torch is imported only
when it is needed, so that the page opens without waiting for it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl.data.kept import open_rows
from mtl.errors import MtlError
from mtl.jobs.queue import Jobs
from mtl.jobs.zero_gpu import lend, reason
from mtl.runs.checkpoint import BEST, LAST, MANIFEST, saved_step
from mtl.runs.folder import STARTER_NAME, Run, list_runs, on_zero_gpu, open_run, open_starter, starter_folder
from mtl.scoring.measure import VALIDATION, read_measured

if TYPE_CHECKING:
    from mtl.inference.predictor import Predicted, Predictor
    from mtl.inference.why import Explained

LIVE = "live"
EXAMPLES, SHORT, LOOKED_AT = 4, 120, 200  # texts to ask a model; characters of a short one; about so many rows are looked at to find them
STARTER_EXAMPLES = ["Honestly, the concert in Lisbon with Priya Okafor was superb!", "Last week the flight by Acme Airlines was a mess.",
                    "Shares of Norlund Shipping fell 4 percent in Oslo on Monday after a weak forecast.",
                    "The striker Ines Caldeira scored twice as Brazil beat Norway in the final in Sydney."]
AT_ONCE = 1000  # texts of one question
SECONDS = 15  # of a GPU to ask for: most of it to reach it and to load the model


@dataclass(frozen=True)
class Model:
    """One that can be asked. `choice` names it: 'starter', or 'RUN/best', 'RUN/last', 'RUN/live'; its run; the step of its weights."""

    choice: str
    run: Run | None = None
    checkpoint: str = ""
    step: int | None = None


def list_models(jobs: Jobs, key: str, shown: str = "") -> list[Model]:
    """The models of the run `shown`, of the newest other runs of the owner of `key`, and last the starter model."""
    runs = {run.id: run for run in list_runs(jobs.root, key, 20)}
    with suppress(MtlError):  # no run is shown, or it was deleted
        runs = {shown: open_run(jobs.root, shown)} | runs
    models = []
    for run_id, run in runs.items():
        models += [Model(f"{run_id}/{LIVE}", run, LIVE)] * jobs.is_live(run_id)
        models += [Model(f"{run_id}/{checkpoint}", run, checkpoint, step) for checkpoint in (BEST, LAST)
                   if (step := saved_step(run.folder / checkpoint)) is not None]
    return models + [Model(STARTER_NAME)] * starter_folder().is_dir()


def example_texts(jobs: Jobs, choice: str, key: str, shown: str) -> list[str]:
    """Up to four texts to ask the model that `choice` names, always the same: from all over the validation rows of its run, short ones
    first. None if the run is neither `shown` nor of the owner of `key`, or if its rows cannot be read."""
    if (choice or STARTER_NAME) == STARTER_NAME:
        return STARTER_EXAMPLES
    texts: list[str] = []
    with suppress(MtlError):
        rows = open_rows(_readable(jobs, choice, key, shown).folder).validation
        texts = list(dict.fromkeys(rows[index].text for index in range(0, len(rows), max(1, len(rows) // LOOKED_AT))))
    short = [text for text in texts if len(text) < SHORT]
    return list(dict.fromkeys([*short[::max(1, len(short) // EXAMPLES)], *sorted(texts, key=len)]))[:EXAMPLES]


def mistaken_text(jobs: Jobs, choice: str, key: str, shown: str) -> str:
    """The validation text that the checkpoint which `choice` names gets wrong while it is surest. Empty if its scores were not measured, if
    it makes no mistake, or if the run is neither `shown` nor of the owner of `key`."""
    with suppress(MtlError):
        run = _readable(jobs, choice or STARTER_NAME, key, shown)
        measured = read_measured(run, VALIDATION)
        if measured and choice == f"{run.id}/{measured.checkpoint}" and measured.is_of(run):
            mistakes = [mistake for task in measured.report.tasks for mistake in task.mistakes]
            return max(mistakes, key=lambda mistake: mistake.confidence).text if mistakes else ""
    return ""


def _readable(jobs: Jobs, choice: str, key: str, shown: str) -> Run:
    """The run of `choice`; raises MtlError if there is none, or if it is neither `shown` nor of the owner of `key`."""
    run = open_run(jobs.root, choice.partition("/")[0])
    if run.id != shown and not run.belongs_to(key):
        raise MtlError("The texts of this run are only for who started it or has its link.")
    return run


@dataclass(frozen=True)
class Answered:
    """A model's answers to texts, the labels of its tasks, which model it was, what it ran on (such as 'cpu, fused'), and the seconds."""

    predicted: list[Predicted]
    labels: dict[str, tuple[str, ...]]
    model: str
    how: str
    seconds: float


def ask(jobs: Jobs, choice: str, texts: Sequence[str], device: str = "auto") -> Answered:
    """The answers of the model that `choice` names; 'RUN' is its best checkpoint. On ZeroGPU, 'auto' asks for a GPU, and takes the CPU if
    none is lent. Raises MtlError if there is no such model, or if it cannot read a text."""
    jobs.loaded()
    no_gpu = ""
    if on_zero_gpu() and device == "auto" and not (choice or "").endswith(f"/{LIVE}"):
        checkpoint = find_checkpoint(jobs, choice)
        try:
            made = _answer_on_gpu(*checkpoint, list(texts))
        except Exception as error:  # no GPU is free, the quota is used, ...
            no_gpu = f"; no GPU was lent: {reason(error)}"
        else:
            if isinstance(made, MtlError):
                raise made
            return made
    predictor, about = find_predictor(jobs, choice, device)
    made = _answer(predictor, about, texts)
    return replace(made, model=made.model + no_gpu)


def why(jobs: Jobs, choice: str, text: str, task: str, target: Any = None) -> tuple[Explained, str]:
    """How much each word of `text` counts for `target`, as Predictor.explain says, and a description of the model. On ZeroGPU no GPU is
    lent for it. Raises MtlError as `ask` and `explain` do."""
    jobs.loaded()
    predictor, about = find_predictor(jobs, choice, "auto")
    return predictor.explain(text, task, target), about


def find_predictor(jobs: Jobs, choice: str, device: str) -> tuple[Predictor, str]:
    """The predictor that `choice` names, and a description of it; raises MtlError if there is none."""
    run_id, _, name = (choice or STARTER_NAME).partition("/")
    if name == LIVE:
        snapshot = jobs.snapshot(open_run(jobs.root, run_id).id)
        return snapshot.predictor.on(device), f"live weights of step {snapshot.step:,}, {time.time() - snapshot.time:.0f} s old"
    folder, about = find_checkpoint(jobs, choice)
    return _load(folder, device), about


def find_checkpoint(jobs: Jobs, choice: str) -> tuple[Path, str]:
    """The folder of the checkpoint that `choice` names, and a description of it; raises MtlError if there is none."""
    run_id, _, name = (choice or STARTER_NAME).partition("/")
    if run_id == STARTER_NAME and not name:
        return open_starter(), "starter model"
    name = name or BEST
    folder = open_run(jobs.root, run_id).folder / name
    if name not in (BEST, LAST) or not (folder / MANIFEST).is_file():
        raise MtlError("This run has no such checkpoint: not yet, or no longer. Choose another model.")
    return folder, f"checkpoint '{name}'"


def _load(folder: Path, device: str) -> Predictor:
    manifest = folder / MANIFEST  # if it is missing, loading the checkpoint reports it
    return _kept(folder, manifest.stat().st_mtime if manifest.is_file() else 0.0, device)


@lru_cache(maxsize=3)
def _kept(checkpoint: Path, saved_at: float, device: str) -> Predictor:
    """The predictor of a checkpoint, kept for the next text; `saved_at` makes a checkpoint that was saved anew another one."""
    from mtl.inference.predictor import Predictor

    return Predictor.load(checkpoint, device)


def _answer(predictor: Predictor, about: str, texts: Sequence[str]) -> Answered:
    start = time.perf_counter()
    predicted = predictor.predict(texts)
    labels = {name: task.spec.labels for name, task in predictor.model.tasks.items()}
    return Answered(predicted, labels, about, predictor.how, time.perf_counter() - start)


def _in_lent_process(folder: Path, about: str, texts: list[str]) -> Answered | MtlError:
    """The answers of a checkpoint. An MtlError is returned: of what is raised here, `spaces` passes on only the name."""
    try:
        return _answer(_load(folder, "auto"), about, texts)
    except MtlError as error:
        return error


_answer_on_gpu = lend(_in_lent_process, lambda *asked: SECONDS)
