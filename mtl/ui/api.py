"""The app for programs: typed endpoints, which `gradio_client`, curl and MCP clients call, over the same functions as page, terminal and
Python. Gradio shows their docstrings, of which it reads a line for each parameter. Nothing is computed here."""

import json
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import field
from functools import wraps
from inspect import signature
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_type_hints
from urllib.parse import unquote

import gradio as gr
from gradio.processing_utils import save_file_to_cache
from gradio.route_utils import get_api_call_path, get_request_origin
from gradio.utils import get_upload_folder
from gradio_client.utils import json_schema_to_python_type, python_type_to_json_schema
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from mtl.cli.common import make_settings
from mtl.data.resolve import settle
from mtl.errors import MtlError
from mtl.jobs.file_jobs import predict_now
from mtl.jobs.models import AT_ONCE, ask, list_models, why
from mtl.jobs.queue import Jobs
from mtl.runs.events import LogReader, describe
from mtl.runs.folder import open_run
from mtl.scoring.measure import TEST, read_measured, validation_scores
from mtl.settings.refusals import found
from mtl.ui.messages import internal_error
from mtl.ui.predict_tab import name_of


@dataclass(config=ConfigDict(extra="forbid"))
class Files:
    """Uploaded files, or their addresses, by what they are for."""

    train: list[gr.FileData | str] = field(default_factory=list)
    validation: list[gr.FileData | str] = field(default_factory=list)
    test: list[gr.FileData | str] = field(default_factory=list)


def add_endpoints(jobs: Jobs) -> None:
    """Add the endpoints over the runs of `jobs` to the page that is being built. What is slow shares the limits of its tab."""
    made = Endpoints(jobs)
    for act in (made.start, made.status, made.history, made.stop, made.models):
        gr.api(_endpoint(act), api_name=act.__name__)
    for act, group, limit in ((made.predict, "predict", 2), (made.explain, "explain", 1), (made.predict_file, "predict_file", 1),
                              (made.scores, "scores", 1)):
        gr.api(_endpoint(act), api_name=act.__name__, concurrency_id=group, concurrency_limit=limit)


class Endpoints:
    """Every public method is an endpoint. They raise MtlError."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def predict(self, text: str | list[str], model: str = "starter") -> list[dict[str, Any]]:
        """Label texts with a trained model. The answer has an object for each text: the text, and for every task its answer, which is a
        label and the probabilities of the 30 likeliest, or several labels, or a number, or entities with their places in the text.
        `cut_at`: where too long a text was cut.
        Parameters:
            text: a text, or a list of texts.
            model: 'starter', or the id of a run (its best checkpoint), or RUN/best, RUN/last, RUN/live (while it trains); see models.
        """
        texts = [text] if isinstance(text, str) else text
        if len(texts) > AT_ONCE:
            raise MtlError(f"text: found {len(texts):,} texts, wanted at most {AT_ONCE:,}. Put them into a file, and ask predict_file.")
        return [predicted.plain() for predicted in ask(self._jobs, model, texts).predicted]

    def explain(self, text: str, task: str, target: str | list[str] | list[dict[str, Any]] | None = None,
                model: str = "starter") -> dict[str, Any]:
        """Say how much each word of a text counts for an answer: `words` with a weight each, above 0 if it speaks for the answer, below 0
        if against it. Together they make up the difference between `before`, with nothing in their places, and `after`: log-odds, or a
        number.
        Parameters:
            text: a text.
            task: the name of a task of the model.
            target: a label; or a value as data files have it, such as a list with one entity; default: the likeliest.
            model: 'starter', or the id of a run (its best checkpoint), or RUN/best, RUN/last, RUN/live (while it trains); see models.
        """
        return why(self._jobs, model, text, task, target)[0].plain()

    def predict_file(self, file: gr.FileData | str, model: str = "starter") -> gr.FileData:
        """Label all texts of a file with a trained model. The answer is a JSON lines file with all rows and their columns, and in new ones
        what predict says of each text, or an `error`.
        Parameters:
            file: a .txt file with a text on each line; or CSV, TSV, JSONL, JSON, CoNLL columns or Parquet, with or without labels.
            model: 'starter', or the id of a run (its best checkpoint), or RUN/best, RUN/last, RUN/live (while it trains); see models.
        """
        with TemporaryDirectory() as folder:
            return gr.FileData(path=save_file_to_cache(predict_now(self._jobs, _uploaded(file), model, ".jsonl", Path(folder)),
                                                       get_upload_folder()))

    def start(self, request: gr.Request, settings: dict[str, Any], files: Files | None = None, key: str = "") -> dict[str, str]:
        """Start a training run, or queue it. The answer has `run`, its id; the `key` that stops it; and a `link` to the page that shows it.
        Parameters:
            settings: the settings that are not to have their defaults, as in a run's config.json; python -m mtl train --help explains them.
            files: uploaded files: lists called train, validation and test. Without any, settings say which data; else the bundled ones.
            key: a secret of your choice, to start and stop runs with. Empty: a new one is made.
        """
        if named := [name for name, value in settings.items() if name.endswith("_files") and value]:
            raise MtlError(f"'{named[0]}' names files of the server. Upload yours instead: files has lists for train, validation and test.")
        uploads = {f"{role}_files": tuple(str(_uploaded(file)) for file in listed) for role, listed in vars(files or Files()).items()}
        config, tasks = make_settings(settings | {name: paths for name, paths in uploads.items() if paths})
        key = key or secrets.token_urlsafe(32)
        run = self._jobs.start(settle(config, self._jobs.root, tasks), key)
        origin = get_request_origin(request.request, get_api_call_path(request.request))
        return {"run": run.id, "key": key, "link": f"{origin}/?run={run.id}"}

    def status(self, run: str) -> dict[str, Any]:
        """Say how far a run is: its `state` (queued, running, paused, stopping, finished, stopped, failed or interrupted), a `message`, the
        `step` of `total_steps`, the `best` evaluation so far, the `seconds_left` if they are known, and how many runs are `ahead` of it.
        Parameters:
            run: the id of the run.
        """
        history = self._jobs.history(run)
        best, doing = history.best, history.preparing and describe(history.preparing)
        return {"run": run, "state": history.state, "message": history.message or doing or "", "step": history.step,
                "total_steps": history.started.total_steps if history.started else 0,
                "best": best and {"score": best.score, "by": best.by, "step": best.step},
                "seconds_left": history.seconds_left if history.status == "running" else None, "ahead": self._jobs.ahead(run)}

    def history(self, run: str, since: int = 0) -> dict[str, Any]:
        """Give the `events` of a run (losses, evaluations, checkpoints, changes of state), each with its kind and its time in seconds since
        1970; and in `next` what to ask with for the events after these.
        Parameters:
            run: the id of the run.
            since: 0 for all events, or the `next` of an earlier answer for those that are new since then.
        """
        log = open_run(self._jobs.root, run).log.path
        reader = LogReader(log, min(max(since, 0), log.stat().st_size))
        return {"events": [logged.plain for logged in reader.read()], "next": reader.cursor}

    def stop(self, run: str, key: str) -> dict[str, Any]:
        """Stop a run between two steps, with a checkpoint; one that waits leaves the queue. The answer is as of status.
        Parameters:
            run: the id of the run.
            key: the key that start gave for it.
        """
        if not open_run(self._jobs.root, run).belongs_to(key):
            raise MtlError("This is not the key of the run. Only the key that start gave for it can stop it.")
        self._jobs.stop(run, key)
        return self.status(run)

    def models(self, key: str = "") -> list[dict[str, Any]]:
        """List the models that can be asked: the name to give to predict as `model`, words `about` it, and the `step` of its weights.
        Parameters:
            key: a key that runs were started with, for the models of these runs too.
        """
        return [{"model": model.choice, "about": name_of(model), "step": model.step} for model in list_models(self._jobs, key)]

    def scores(self, run: str) -> dict[str, Any]:
        """Score a run's best checkpoint on its `validation` rows: each task with 95 % intervals, labels, confusions and the worst mistakes.
        If its `test` rows were scored before, these scores are there too; this never scores them.
        Parameters:
            run: the id of the run.
        """
        self._jobs.loaded()
        here = open_run(self._jobs.root, run)
        test = read_measured(here, TEST)
        return {"validation": json.loads(validation_scores(here).json), "test": test and json.loads(test.json)}


def _endpoint(act: Callable[..., Any]) -> Callable[..., Any]:
    """`act` for strangers: it gets values of the types that it names, and what it refuses becomes a message, never a traceback."""
    hints = get_type_hints(act)

    @wraps(act)
    def run(*values: Any) -> Any:
        try:
            return act(*(value if isinstance(value, gr.Request) else _checked(name, value, hints[name])
                         for name, value in zip(signature(act).parameters, values, strict=False)))
        except MtlError as error:
            raise gr.Error(str(error), print_exception=False) from error
        except Exception as error:
            raise gr.Error(internal_error(), print_exception=False) from error
    return run


def _checked(name: str, value: Any, kind: Any) -> Any:
    """The parameter `name`, of that type; raises MtlError if it is of another."""
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        wanted = json_schema_to_python_type(python_type_to_json_schema(kind))
        raise MtlError(f"{name}: found {found(value)}, wanted {wanted}.") from error


def _uploaded(file: gr.FileData | str) -> Path:
    """The path of an uploaded file, for which its path or address may stand; raises MtlError for any other file of this machine."""
    with suppress(OSError, ValueError):  # no file can have that name
        path = Path(file.path if isinstance(file, gr.FileData) else unquote(file.rpartition("file=")[2])).resolve()
        if path.is_file() and Path(get_upload_folder()).resolve() in path.parents:  # Gradio checks only what has `meta` beside `path`
            return path
    raise MtlError("This is not an uploaded file. Upload it first; in Python: gradio_client.handle_file('train.jsonl').")
