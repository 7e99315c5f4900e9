"""`import mtl`: train a model and ask it, in a notebook or a script. The functions are those of the terminal; torch is imported when they
are called."""

from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl.cli.common import find_checkpoint, find_run, make_settings, new_run, resolve, train_here
from mtl.errors import MtlError
from mtl.runs.folder import Run
from mtl.runs.history import read_history
from mtl.settings.config import RunConfig

if TYPE_CHECKING:
    from mtl.inference.predictor import Predictor


def train(config: RunConfig | None = None, /, *, preset: str = "", resume: str = "", **settings: Any) -> Run:
    """Train a run with these `settings` (the fields of RunConfig) over those of `config`, printing what happens; returns its folder.

    `preset` names Hub datasets, such as 'snips'; `resume` goes on with a run (its id, or 'last') and takes nothing else. Ctrl-C stops
    between two steps, and the run can be resumed. Raises MtlError if a setting cannot be, or if the training fails.
    """
    if resume and (config or preset or settings):
        raise MtlError("resume goes on with the settings that the run began with. Leave the others out, or start a new run.")
    run = find_run(resume) if resume else new_run(resolve(*make_settings(settings, config, preset)))
    if train_here(run, resume=bool(resume)) == "stopped":
        print(f"To go on: mtl.train(resume='{run.id}')")
    history = read_history(run)
    if history.status == "failed":
        raise MtlError(history.message)
    return run


def load(model: str | Path = "starter", *, device: str = "auto", engine: str = "auto") -> "Predictor":
    """A trained model: the folder of a checkpoint (such as `run.best`), the id of a run ('last': the newest) or 'starter'.

    `load(...)("A text.")` is one Predicted; a list of texts gives a list. Raises MtlError if there is no such model.
    """
    from mtl.inference.predictor import Predictor

    is_folder = isinstance(model, Path) or Path(model).is_dir()
    return Predictor.load(Path(model) if is_folder else find_checkpoint(model), device, engine)


# a notebook lists the settings, with their types and defaults
train.__signature__ = Signature(
    [Parameter("config", Parameter.POSITIONAL_ONLY, default=None, annotation=RunConfig | None),
     *(Parameter(name, Parameter.KEYWORD_ONLY, default="", annotation=str) for name in ("preset", "resume")),
     *(Parameter(name, Parameter.KEYWORD_ONLY, default=field.get_default(call_default_factory=True), annotation=field.annotation)
       for name, field in RunConfig.model_fields.items())], return_annotation=Run)
