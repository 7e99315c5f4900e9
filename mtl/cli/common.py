"""Shared by the commands of the terminal and `mtl.train`: settings, one training in the foreground, its printed events, and Ctrl-C."""

import argparse
import os
import signal
import sys
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TextIO, get_args, get_origin

from mtl.comparing.plan import with_files_of
from mtl.data.formats.archive import UNPACKED, spread
from mtl.data.parsed import PARSED
from mtl.errors import MtlError
from mtl.runs.events import Event, Every, Logged, StatusChanged, StepDone, describe
from mtl.runs.folder import STARTER_NAME, Run, create_run, default_root, list_runs, open_run, open_starter
from mtl.runs.history import History, changes_of
from mtl.runs.stop import StopControl
from mtl.settings.config import RunConfig, make_config, read_config
from mtl.settings.shorthand import parse_columns, parse_hub, parse_steering, parse_weights, parts
from mtl.text import duration

if TYPE_CHECKING:
    from mtl.training.processes import Processes

EXIT_CODES = {"finished": 0, "failed": 1, "stopped": 130}  # 130: as shells expect after Ctrl-C; the run can be resumed
PROGRESS_EVERY = 10.0  # seconds between two lines about the steps


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add a flag for every field of RunConfig, a preset, and a file of settings."""
    parser.add_argument("--preset", default="", help="Hub datasets that go well together, such as snips ('list' shows all presets)")
    parser.add_argument("--again", metavar="RUN", default="", help="repeat this run (its id, or 'last'): its settings, and the changes in "
                        "its middle; flags override them")
    parser.add_argument("--config", metavar="FILE", type=Path, help="settings as JSON, such as a run's config.json; flags override them")
    for name, field in RunConfig.model_fields.items():
        default, kind = field.get_default(call_default_factory=True), field.annotation
        shown = "none" if default in ("", None, (), {}) else default
        # a flag that is not given is absent from the options, so that the field's own default holds
        flag: dict[str, Any] = {"default": argparse.SUPPRESS, "help": f"{field.description} (default: {shown})".replace("%", "%%")}
        if get_origin(kind) is Literal:
            flag["choices"] = get_args(kind)
        elif kind is bool:
            flag["action"] = argparse.BooleanOptionalAction
        elif int in (kind, *get_args(kind)):
            flag |= {"type": int, "metavar": "N"}
        elif float in (kind, *get_args(kind)) and name != "weights":
            flag |= {"type": float, "metavar": "X"}
        elif name.endswith("_files"):
            flag |= {"nargs": "+", "metavar": "FILE"}
        else:
            special = {"weights": "TASK=X,...", "tasks": "TASK,...", "hub": "ID[:CONFIG],...", "columns": "COLUMN=ROLE,...",
                       "steering": "JSON"}
            flag["metavar"] = special.get(name, "TEXT")
        parser.add_argument("--" + name.replace("_", "-"), **flag)


def settings_given(options: argparse.Namespace) -> dict[str, Any]:
    """The flags among `options` that are settings."""
    return {name: value for name, value in vars(options).items() if name in RunConfig.model_fields}


def read_settings(options: argparse.Namespace) -> tuple[RunConfig, list[str]]:
    """The settings of the file or the preset, if any, with the flags over them; and the tasks, if they are given by name."""
    base = read_config(options.config) if options.config else None
    if options.again:
        base = with_files_of(run := find_run(options.again)).model_copy(update={"steering": changes_of(run)})
    return make_settings(settings_given(options), base, options.preset)


def make_settings(given: dict[str, Any], base: RunConfig | None = None, preset: str = "") -> tuple[RunConfig, list[str]]:
    """The settings `given` over those of the preset and of `base`; and the tasks, if they are given by name. Weights, columns, Hub datasets
    and names of tasks may be written on one line, as in flags; files may be Paths. Raises MtlError."""
    from mtl.data.hub.presets import preset_config

    given = {name: _fixed(value) for name, value in given.items()}
    given |= spread(given, default_root() / UNPACKED)
    names = given.get("tasks") or []
    names = parts(names) if isinstance(names, str) else names
    if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
        given.pop("tasks", None)
    else:
        names = []  # they are TaskSpecs, or no tasks at all, which RunConfig checks
    for name, parse in {"weights": parse_weights, "columns": parse_columns, "hub": parse_hub, "steering": parse_steering}.items():
        if isinstance(given.get(name), str):
            given[name] = _fixed(parse(given[name]))
    values = (base.model_dump() if base else {}) | (preset_config(preset) if preset else {}) | given
    if "source" not in given and (values.get("train_files") or values.get("hub")):
        values["source"] = "files" if values.get("train_files") else "hub"
    return make_config(values), names


def _fixed(value: Any) -> Any:
    """`value` as RunConfig takes it: lists become tuples, also inside, as JSON has them; and Paths texts."""
    if isinstance(value, list | tuple):
        return tuple(map(_fixed, value))
    if isinstance(value, dict):
        return {name: _fixed(part) for name, part in value.items()}
    return os.fspath(value) if isinstance(value, Path) else value


def resolve(config: RunConfig, names: list[str]) -> RunConfig:
    """`config` with the tasks `names` (none: all), after its data were downloaded and its columns found."""
    from mtl.data.resolve import settle

    return settle(config, default_root(), names, Terminal().progress)


def new_run(config: RunConfig) -> Run:
    """A run of `config`, which comes from `resolve`; the rows that were parsed for that are used again."""
    return create_run(default_root(), config, parsed=default_root() / PARSED)


def find_run(name: str) -> Run:
    """The run called `name`; 'last' is the newest."""
    if name != "last":
        return open_run(default_root(), name)
    if newest := list_runs(default_root(), most=1):
        return newest[0]
    raise MtlError("There is no run yet. Start one: python -m mtl train")


def find_checkpoint(name: str, checkpoint: str = "best") -> Path:
    """The folder of a run's checkpoint, or of the shipped model if `name` is 'starter'."""
    return open_starter() if name == STARTER_NAME else find_run(name).checkpoint(checkpoint)


def train_here(run: Run, *, resume: bool, processes: "Processes | None" = None) -> str:
    """Train `run` in this process, which may be one of several `processes`; the first one prints the events. Returns the end status.
    Ctrl-C and SIGTERM stop it between two steps; in a single process also while the data are read."""
    from mtl.training.execute import run_training

    is_first = processes is None or processes.is_first
    with run.hold() if is_first else nullcontext(), StopSignal() as stop:
        stop.can_interrupt_preparing = processes is None or processes.count == 1
        if is_first:
            print(f"Run {run.id}\nTo watch it on the page: python app.py, then open /?run={run.id}", flush=True)
        return run_training(run, resume=resume, control=stop, show=Terminal().show if is_first else lambda event: None, is_logging=is_first)


class StopSignal(StopControl):
    """Inside its `with`, Ctrl-C and SIGTERM ask for a stop between two steps; a second Ctrl-C ends the program at once."""

    def __enter__(self) -> Self:
        self._before: dict[int, Any] = {}
        with suppress(ValueError):  # Python allows signal handlers only in the main thread
            self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: Any) -> None:
        self.is_asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)


class Terminal:
    """Prints events as lines; of the steps, one every PROGRESS_EVERY seconds."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._history, self._is_due, self._out = History(), Every(PROGRESS_EVERY), out

    def show(self, event: Event) -> None:
        """Print a line about `event`, if there is anything to say."""
        text, failed = describe(event), isinstance(event, StatusChanged) and event.status == "failed"
        self._history.add(Logged(time.time(), event))
        if isinstance(event, StepDone) and self._is_due():
            losses = ", ".join(f"{task} {loss:.3f}" for task, loss in event.losses.items())
            text = (f"step {event.step} of {self._history.started.total_steps}, loss: {losses}; {event.sentences_per_second:.0f} "
                    f"sentences/s, {duration(self._history.seconds_left)} left")
        if text:
            print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr if failed else sys.stdout, flush=True)

    def progress(self, what: str, share: float) -> None:
        """Print how much of something slow is done, at most every PROGRESS_EVERY seconds."""
        if self._is_due():
            print(f"{time.strftime('%H:%M:%S')}  {what}: {share:.0%}", file=self._out, flush=True)
