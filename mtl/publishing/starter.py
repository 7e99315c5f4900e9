"""The model that is shipped in checkpoints/starter/: adapters trained on the bundled data, with their scores in a card. Knows no page."""

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mtl.errors import MtlError
from mtl.runs.checkpoint import BEST, CARD, MANIFEST, TALLIES, read_facts, save_checkpoint
from mtl.runs.events import Evaluated, Event, RunStarted, describe_size
from mtl.runs.folder import create_run
from mtl.runs.history import read_history
from mtl.runs.stop import StopControl
from mtl.scoring.measure import evaluated, has_test_rows, measure_test
from mtl.settings.config import RunConfig

STARTER: dict[str, Any] = {"name": "starter", "source": "newsroom", "fine_tuning": "lora", "lora_rank": 16, "learning_rate": 2e-3,
                           "head_learning_rate": 1e-3, "epochs": 15, "device": "cpu", "precision": "fp32", "seed": 1}
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
        best = run.checkpoint(BEST)
        facts = read_facts(best)
        validation = next(seen for seen in history.evaluations if (seen.split, seen.step) == ("validation", facts["step"]))
        test = None
        if has_test_rows(config):
            test = evaluated(run, measure_test(run, device=config.device)[0])
            show(test)

        def write(building: Path) -> None:
            for file in best.iterdir():
                if file.name not in (MANIFEST, TALLIES):  # the tallies are for comparing runs
                    shutil.copyfile(file, building / file.name)
            (building / CARD).write_text(model_card(config, history.started, validation, test), encoding="utf-8")

        folder.parent.mkdir(parents=True, exist_ok=True)
        save_checkpoint(folder.parent, folder.name, write, facts)


def model_card(config: RunConfig, started: RunStarted, validation: Evaluated, test: Evaluated | None) -> str:
    """The README.md of the model in the form of the Hub."""
    base = {"bundled": "sentence-transformers/all-MiniLM-L6-v2"}.get(config.encoder, config.encoder)
    tasks = [f"| {name} | {task['kind']} | {', '.join(task['labels'])} |" for name, task in started.tasks.items()]
    changed = config.model_dump(mode="json", exclude={"name"}, exclude_defaults=True)
    values = config.model_dump(mode="json") | {"learning_rate": started.learning_rate, "head_learning_rate": started.head_learning_rate}
    listed = {name: value for name, value in values.items() if name in changed or name in ALWAYS_LISTED}
    return Path(__file__).with_name("card.md").read_text(encoding="utf-8").format(
        base=base, config=config, started=started, validation=validation, count=len(started.tasks), size=describe_size(started),
        tasks="\n".join(tasks), scores="\n".join(_score_rows(validation, test)),
        settings=", ".join(f"`{name} = {value}`" for name, value in listed.items()))


def _score_rows(validation: Evaluated, test: Evaluated | None) -> list[str]:
    """A line of the table per task and measure, and one for the rows with everything right."""
    splits = [validation, test] if test else [validation]
    rows = [(f"{task} | {measure.replace('_', ' ')}", [split.scores[task].get(measure) for split in splits])
            for task, scores in validation.scores.items() for measure in scores]
    rows.append(("all | everything right", [split.everything_right for split in splits]))
    return [f"| {what} | " + " | ".join("-" if value is None else f"{value:.1%}" for value in [*values, None][:2]) + " |"
            for what, values in rows]
