"""The model that is shipped in checkpoints/starter/: adapters trained on the bundled data, with their scores in a card. Knows no page."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mtl.data.dataset import describe_source
from mtl.errors import MtlError
from mtl.runs.checkpoint import CARD, MANIFEST, TALLIES, read_facts, save_checkpoint
from mtl.runs.events import Evaluated, Event, RunStarted, describe_size
from mtl.runs.folder import Run, create_run
from mtl.runs.history import read_history
from mtl.runs.stop import StopControl
from mtl.scoring.measure import evaluated, has_test_rows, measure_test
from mtl.settings.best import shown_score
from mtl.settings.config import RunConfig

STARTER: dict[str, Any] = {"name": "starter", "source": "newsroom", "fine_tuning": "lora", "lora_rank": 16, "learning_rate": 2e-3,
                           "head_learning_rate": 1e-3, "epochs": 15, "device": "cpu", "precision": "fp32", "seed": 1}
MOST_LABELS = 30  # of a task, in the card
ALWAYS_LISTED = ("source", "encoder", "fine_tuning", "epochs", "batch_size", "learning_rate", "head_learning_rate", "seed")


def make_starter(config: RunConfig, folder: Path, *, control: StopControl | None = None,
                 show: Callable[[Event], None] = lambda event: None) -> None:
    """Train a run of `config` in a temporary folder, and make `folder` its best checkpoint with a model card. The old content of `folder`
    stays until the new one is complete. Raises MtlError if the training is stopped or fails."""
    from mtl.training.execute import run_training  # torch; the settings above are wanted without it

    with TemporaryDirectory(prefix="mtl-starter-") as place:
        run = create_run(Path(place), config)
        status = run_training(run, resume=False, control=control, show=show)
        history = read_history(run)
        if status != "finished":
            why = "Its training was stopped." if status == "stopped" else history.message
            raise MtlError(f"The starter model was not made. {why}")
        test = None
        if has_test_rows(config):
            test = evaluated(run, measure_test(run, device=config.device)[0])
            show(test)
        copy_best(run, folder, test, "card.md")


def copy_best(run: Run, folder: Path, test: Evaluated | None, template: str) -> None:
    """Make `folder` the best checkpoint of `run`, with a card after the file `template` in this room unless the log has lost its scores.
    Raises MtlError if there is no such checkpoint or it is damaged."""
    facts, history = read_facts(run.best), read_history(run)
    validation = next((seen for seen in history.evaluations if (seen.split, seen.step) == ("validation", facts["step"])), None)

    def write(building: Path) -> None:
        for file in run.best.iterdir():
            if file.name not in (MANIFEST, TALLIES):  # the tallies are for comparing runs
                shutil.copyfile(file, building / file.name)
        if validation:
            (building / CARD).write_text(model_card(run.config, history.started, validation, test, template), encoding="utf-8")

    folder.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(folder.parent, folder.name, write, facts)


def model_card(config: RunConfig, started: RunStarted, validation: Evaluated, test: Evaluated | None, template: str) -> str:
    """The README.md of the model, from the file `template`."""
    base = {"bundled": "sentence-transformers/all-MiniLM-L6-v2"}.get(config.encoder, config.encoder)
    tasks = [f"| {name} | {task['kind']} | {_listed(task['labels']) or 'a number'} |" for name, task in started.tasks.items()]
    changed = config.model_dump(mode="json", exclude={"name"}, exclude_defaults=True)
    values = config.model_dump(mode="json") | {"learning_rate": started.learning_rate, "head_learning_rate": started.head_learning_rate}
    listed = {name: value for name, value in values.items() if name in changed or name in ALWAYS_LISTED}
    source = describe_source(config)
    return Path(__file__).with_name(template).read_text(encoding="utf-8").format(
        base=base, config=config, started=started, validation=validation, count=len(started.tasks), size=describe_size(started),
        title=config.name or source, source=source, tasks="\n".join(tasks), scores="\n".join(_score_rows(validation, test)),
        settings=", ".join(f"`{name} = {value}`" for name, value in listed.items()))


def _listed(labels: Sequence[str]) -> str:
    """The first labels, and how many more there are."""
    return ", ".join(labels[:MOST_LABELS]) + f" and {len(labels) - MOST_LABELS:,} more" * (len(labels) > MOST_LABELS)


def _score_rows(validation: Evaluated, test: Evaluated | None) -> list[str]:
    """A line of the table per task and measure, and one for the rows with everything right."""
    splits = [validation, test] if test else [validation]
    rows = [(task, measure, [split.scores[task].get(measure) for split in splits])
            for task, scores in validation.scores.items() for measure in scores]
    rows.append(("all", "everything right", [split.everything_right for split in splits]))
    return [f"| {task} | {measure.replace('_', ' ')} | " + " | ".join(
        "-" if value is None else shown_score(measure, value) for value in [*values, None][:2]) + " |" for task, measure, values in rows]
