"""The model that is shipped in checkpoints/starter/: adapters trained on the bundled corpus, with a model card that tells what this very
training measured. `python -m mtl starter` makes it again. Knows no page."""

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mtl.errors import MtlError
from mtl.runs.checkpoint import BEST, CARD, MANIFEST, TALLIES, read_facts, save_checkpoint
from mtl.runs.events import Evaluated, Event, RunStarted, describe_size
from mtl.runs.folder import Run, create_run
from mtl.runs.history import read_history
from mtl.scoring.measure import evaluated, has_test_rows, measure_test
from mtl.settings.config import RunConfig

STARTER: dict[str, Any] = {"name": "starter", "source": "newsroom", "fine_tuning": "lora", "lora_rank": 16, "learning_rate": 2e-3,
                           "epochs": 15, "device": "cpu", "precision": "fp32", "seed": 1}
HUB_NAMES = {"bundled": "sentence-transformers/all-MiniLM-L6-v2"}
ALWAYS_TOLD = ("source", "encoder", "fine_tuning", "epochs", "batch_size", "learning_rate", "head_learning_rate", "seed")


def make_starter(config: RunConfig, folder: Path, *, between_steps: Callable[[Any], bool] = lambda trainer: False,
                 show: Callable[[Event], None] = lambda event: None) -> None:
    """Train as `config` says in a run that is thrown away, and make `folder` its best checkpoint with a model card.

    What was in `folder` stays until the new one is whole. Raises MtlError if the training does not come to its end.
    """
    from mtl.training.execute import run_training  # torch; the settings above are wanted without it

    with TemporaryDirectory(prefix="mtl-starter-") as place:
        run = create_run(Path(place), config)
        status = run_training(run, resume=False, between_steps=between_steps, show=show)
        history = read_history(run)
        if status != "finished":
            why = "Its training was stopped." if status == "stopped" else history.message
            raise MtlError(f"The starter model was not made. {why}")
        best = run.checkpoint(BEST)
        facts = read_facts(best)
        validation = next(seen for seen in history.evaluations if (seen.split, seen.step) == ("validation", facts["step"]))
        test = _measure_test(run, config, show)

        def write(building: Path) -> None:
            for file in best.iterdir():
                if file.name not in (MANIFEST, TALLIES):  # what it scored on each validation row is for comparing runs
                    shutil.copyfile(file, building / file.name)
            (building / CARD).write_text(model_card(config, history.started, validation, test), encoding="utf-8")

        folder.parent.mkdir(parents=True, exist_ok=True)
        save_checkpoint(folder.parent, folder.name, write, facts)


def _measure_test(run: Run, config: RunConfig, show: Callable[[Event], None]) -> Evaluated | None:
    """The one look at the test rows, if there are any."""
    if not has_test_rows(config):
        return None
    measured, _ = measure_test(run, device=config.device)
    test = evaluated(run, measured)
    show(test)
    return test


def model_card(config: RunConfig, started: RunStarted, validation: Evaluated, test: Evaluated | None) -> str:
    """The README.md of the model in the form of the Hub."""
    base = HUB_NAMES.get(config.encoder, config.encoder)
    tasks = [f"| {name} | {task['kind']} | {', '.join(task['labels'])} |" for name, task in started.tasks.items()]
    told = {name: value for name, value in config.model_dump(mode="json").items()
            if name in ALWAYS_TOLD or (name != "name" and value not in ([], RunConfig.model_fields[name].get_default(
                call_default_factory=True)))}
    return _front_matter(base) + f"""
# Starter model of MTL Studio

One sentence encoder, [{base}](https://huggingface.co/{base}), and {len(started.tasks)} tasks learned together, each with its own head:
{describe_size(started)}. It is there so that the Predict tab answers before anybody has trained anything.
This folder has adapters and heads only (LoRA): MTL Studio puts them beside the encoder that it brings along.

## Tasks

| task | kind | labels |
|---|---|---|
{chr(10).join(tasks)}

## Scores

Measured by the training that made these files, at its best validation score (step {validation.step} of {started.total_steps}).
F1 of a tagging task is over exact entities.

| task | measure | validation | test |
|---|---|---|---|
{chr(10).join(_score_rows(validation, test))}

## Data

The `{config.source}` data that come with MTL Studio, CC0-1.0 (public domain): {started.train_rows:,} training and
{started.validation_rows:,} validation rows. Their datasheet, in `mtl/data/{config.source}/`, says what they are and how they were made.

## Settings

{", ".join(f"`{name} = {value}`" for name, value in told.items())}; all others are the defaults of MTL Studio.

## Use and rebuild

```bash
python -m mtl predict starter "A sentence."
python -m mtl starter --seed {config.seed} --epochs {config.epochs}   # on the same machine with the same torch: the same weights
```

## Limits

English only, and only what the labels above name. It has seen one small corpus, written by a language model: on other text, real news
included, the scores above do not hold, and the probabilities are not calibrated. Beyond {config.max_length} subwords nothing of a
text is read. It is an example to begin with, not a model to decide about people with. For a task of your own, train on your own sentences.
"""


def _front_matter(base: str) -> str:
    """What the Hub reads of the card; `base` is the encoder's id there."""
    return f"""---
license: apache-2.0  # the encoder's; the data are cc0-1.0
language: en
base_model: {base}
library_name: transformers
pipeline_tag: token-classification
tags: [mtl-studio, multi-task-learning, token-classification, text-classification, lora]
---
"""


def _score_rows(validation: Evaluated, test: Evaluated | None) -> list[str]:
    """A line of the table per task and measure, and one for the rows with everything right."""
    looks = [validation, test] if test else [validation]
    rows = [(f"{task} | {measure.replace('_', ' ')}", [look.scores[task].get(measure) for look in looks])
            for task, scores in validation.scores.items() for measure in scores]
    rows.append(("all | everything right", [look.everything_right for look in looks]))
    return [f"| {what} | " + " | ".join("-" if value is None else f"{value:.1%}" for value in [*values, None][:2]) + " |"
            for what, values in rows]
