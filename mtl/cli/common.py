"""What the commands of the terminal share: every setting as a flag, what was asked as settings, lines about what happens, and Ctrl-C.
Knows no command."""

import argparse
import signal
import sys
import time
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

from mtl.errors import MtlError
from mtl.runs.events import Event, RunStarted, StatusChanged, StepDone, describe
from mtl.runs.folder import Run, default_root, list_runs, open_run
from mtl.settings.config import RunConfig, make_config, read_config
from mtl.settings.shorthand import parse_columns, parse_hub, parse_weights

STOPPED = 130  # the exit status after Ctrl-C or SIGTERM, as shells expect it; the run is saved and can be resumed
PROGRESS_EVERY = 10.0  # seconds between two lines about the steps


def add_settings(parser: argparse.ArgumentParser) -> None:
    """All that says what a run is asked to do: a flag for every field of RunConfig, a preset, a file of settings."""
    parser.add_argument("--preset", default="", help="datasets of the Hub that go well together, such as snips ('list' lists them)")
    parser.add_argument("--config", metavar="FILE", type=Path, help="settings as JSON, such as a run's config.json; flags win over it")
    for name in RunConfig.model_fields:
        _add_flag(parser, name)


def settings_given(options: argparse.Namespace) -> dict[str, Any]:
    """The flags among `options` that are settings."""
    return {name: value for name, value in vars(options).items() if name in RunConfig.model_fields}


def read_settings(options: argparse.Namespace) -> tuple[RunConfig, list[str]]:
    """The settings of the file or the preset, if any, with the flags over them; and the names of the tasks, if any."""
    flags = settings_given(options)
    names = [name.strip() for name in flags.pop("tasks", "").split(",") if name.strip()]
    return _config(options.config, flags, options.preset), names


def settled(config: RunConfig, names: list[str]) -> RunConfig:
    """`config` with the tasks `names` (none: all), its data fetched and understood."""
    from mtl.data.resolve import settle

    return settle(config, default_root(), names, Terminal().progress)


def find_run(name: str) -> Run:
    """The run called `name`; 'last' is the newest."""
    if name != "last":
        return open_run(default_root(), name)
    runs = list_runs(default_root())
    if not runs:
        raise MtlError("There is no run yet. Start one: python -m mtl train")
    return runs[0]


def _add_flag(parser: argparse.ArgumentParser, name: str) -> None:
    """A flag for the field `name`. One that is not given is absent from the options, so that the field's own default holds."""
    field = RunConfig.model_fields[name]
    default, kind = field.get_default(call_default_factory=True), field.annotation
    shown = "none" if default in ("", None, (), {}) else default
    flag: dict[str, Any] = {"default": argparse.SUPPRESS, "help": f"{field.description} (default: {shown})".replace("%", "%%")}
    if get_origin(kind) is Literal:
        flag["choices"] = get_args(kind)
    elif kind is bool:
        flag["action"] = argparse.BooleanOptionalAction
    elif kind is int:
        flag |= {"type": int, "metavar": "N"}
    elif kind is float or get_origin(kind) is UnionType:
        flag |= {"type": float, "metavar": "X"}
    elif name.endswith("_files"):
        flag |= {"nargs": "+", "metavar": "FILE"}
    else:
        special = {"weights": "TASK=X,...", "tasks": "TASK,...", "hub": "ID[:CONFIG],...", "columns": "COLUMN=ROLE,..."}
        flag["metavar"] = special.get(name, "TEXT")
    parser.add_argument("--" + name.replace("_", "-"), **flag)


def _config(file: Path | None, flags: dict[str, Any], preset: str = "") -> RunConfig:
    from mtl.data.resolve import preset_config

    values = (read_config(file).model_dump() if file else {}) | (preset_config(preset) if preset else {})
    values |= {name: tuple(value) if isinstance(value, list) else value for name, value in flags.items()}
    if isinstance(values.get("weights"), str):
        values["weights"] = parse_weights(values["weights"])
    if isinstance(values.get("columns"), str):
        values["columns"] = parse_columns(values["columns"])
    if isinstance(values.get("hub"), str):
        values["hub"] = parse_hub(values["hub"])
    if "source" not in flags and (values.get("train_files") or values.get("hub")):
        values["source"] = "files" if values.get("train_files") else "hub"
    return make_config(values)


class StopSignal:
    """Ctrl-C and SIGTERM ask for a stop between two steps; a second Ctrl-C does not wait."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, self._ask)

    def _ask(self, number: int, frame: Any) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)


class Terminal:
    """Tells events as lines; steps only now and then."""

    def __init__(self) -> None:
        self._total, self._last = 0, time.monotonic()

    def show(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self._total = event.total_steps
        text = self._step(event) if isinstance(event, StepDone) else describe(event)
        if text:
            failed = isinstance(event, StatusChanged) and event.status == "failed"
            print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr if failed else sys.stdout, flush=True)

    def progress(self, what: str, share: float) -> None:
        """Tell now and then how far something is that takes long."""
        if time.monotonic() - self._last > PROGRESS_EVERY:
            self._last = time.monotonic()
            print(f"{time.strftime('%H:%M:%S')}  {what}: {share:.0%}", flush=True)

    def _step(self, event: StepDone) -> str | None:
        if time.monotonic() - self._last < PROGRESS_EVERY:
            return None
        self._last = time.monotonic()
        losses = ", ".join(f"{task} {loss:.3f}" for task, loss in event.losses.items())
        left = (self._total - event.step) * event.seconds / event.step
        return f"step {event.step} of {self._total}, loss: {losses}; {event.sentences_per_second:.0f} sentences/s, {left / 60:.1f} min left"
