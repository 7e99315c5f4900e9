"""The terminal's door: `python -m mtl train | predict | runs | starter`. Every field of RunConfig is a flag; the same run shows live on
the page. torch is imported inside the commands, so that --help answers at once."""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from mtl.config import RunConfig, make_config, parse_columns, parse_hub, parse_weights, read_config
from mtl.errors import MtlError
from mtl.events import Event, RunStarted, StatusChanged, StepDone, describe
from mtl.runs import STARTER_NAME, Run, create_run, default_root, list_runs, open_run, open_starter, read_history, starter_folder
from mtl.starter import STARTER, make_starter

if TYPE_CHECKING:
    from mtl.prediction import Predicted

STOPPED = 130  # the exit status after Ctrl-C or SIGTERM, as shells expect it; the run is saved and can be resumed
PROGRESS_EVERY = 10.0  # seconds between two lines about the steps


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says; exits with 0, 1 (a message says why), 2 (usage) or 130 (stopped, can be resumed)."""
    options = _parser().parse_args(arguments)
    try:
        sys.exit(options.act(options))
    except MtlError as error:
        sys.exit(f"mtl: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mtl", description="One shared encoder, one head per task, trained together on your text.")
    commands = parser.add_subparsers(required=True, metavar="train | predict | runs | starter")

    train = commands.add_parser("train", help="train a model, or go on with a run")
    train.set_defaults(act=_train)
    train.add_argument("--resume", metavar="RUN", help="go on with this run (its id, or 'last') from its newest checkpoint")
    train.add_argument("--preset", default="", help="datasets of the Hub that go well together, such as snips ('list' lists them)")
    train.add_argument("--config", metavar="FILE", type=Path, help="settings as JSON, such as a run's config.json; flags win over it")
    for name in RunConfig.model_fields:
        _add_flag(train, name)

    predict = commands.add_parser("predict", help="ask a trained model; prints a JSON object per text")
    predict.set_defaults(act=_predict)
    predict.add_argument("run", help="the run's id, 'last', or 'starter' (the model that is shipped)")
    predict.add_argument("text", nargs="*", help="the texts; without any, each line of standard input is one")
    predict.add_argument("--checkpoint", default="best", help="best (default), last, or epoch-NNN")
    predict.add_argument("--tasks", default="", metavar="TASK,...", help="only these tasks (default: all)")
    predict.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])

    runs = commands.add_parser("runs", help="list the runs, newest first")
    runs.set_defaults(act=_runs)
    runs.add_argument("--json", action="store_true", help="a JSON object per run")

    starter = commands.add_parser("starter", help="train the starter model again, on the bundled corpus, and put it in its place")
    starter.set_defaults(act=_starter)
    starter.add_argument("--seed", type=int, metavar="N", default=STARTER["seed"], help="(default: %(default)s)")
    starter.add_argument("--epochs", type=int, metavar="N", default=STARTER["epochs"], help="(default: %(default)s)")
    starter.add_argument("--folder", type=Path, metavar="FOLDER", default=starter_folder(), help="(default: checkpoints/starter)")
    from mtl import cli_data

    cli_data.add_parsers(commands)
    return parser


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


# train


def _train(options: argparse.Namespace) -> int:
    _become_processes()
    from mtl.runner import carry_out
    from mtl.training import join_processes

    flags = {name: value for name, value in vars(options).items() if name in RunConfig.model_fields}
    if options.resume and (flags or options.config):
        raise MtlError("--resume goes on with the settings that the run began with. Leave the other flags out, or start a new run.")
    names = [name.strip() for name in flags.pop("tasks", "").split(",") if name.strip()]
    config = None if options.resume else _config(options.config, flags, options.preset)
    world = join_processes(config.device if config else "auto")
    is_first = world is None or world.process_index == 0
    run = _same_for_all(world, lambda: _find_run(options.resume) if config is None else _new_run(config, names))
    stop = _StopSignal()
    with run.hold() if is_first else nullcontext():
        if is_first:
            print(f"Run {run.id}\nTo watch it on the page: python app.py, then open /?run={run.id}", flush=True)
        status = carry_out(run, resume=bool(options.resume), between_steps=lambda training: stop.asked,
                           show=_Terminal().show if is_first else lambda event: None, is_logging=is_first)
    if is_first and status == "stopped":
        print(f"To go on: python -m mtl train --resume {run.id}")
    return {"finished": 0, "stopped": STOPPED}.get(status, 1)


def _new_run(config: RunConfig, names: list[str]) -> Run:
    """A run of `config` with the tasks `names` (none: all), its data fetched and understood first."""
    from mtl.data.settle import settle

    root = default_root()
    return create_run(root, settle(config, root / "hub", names, _Terminal().progress))


def _config(file: Path | None, flags: dict[str, Any], preset: str = "") -> RunConfig:
    """The settings of the file or the preset, if any, with the flags over them."""
    from mtl.data.settle import preset_config

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


def _find_run(name: str) -> Run:
    """The run called `name`; 'last' is the newest."""
    if name != "last":
        return open_run(default_root(), name)
    runs = list_runs(default_root())
    if not runs:
        raise MtlError("There is no run yet. Start one: python -m mtl train")
    return runs[0]


def _same_for_all(world: Any, find: Any) -> Run:
    """What `find` gives in the first process, in all of them."""
    if world is None:
        return find()
    from accelerate.utils import broadcast_object_list

    return Run(Path(broadcast_object_list([str(find().folder) if world.process_index == 0 else ""])[0]))


def _become_processes() -> None:
    """Turn into the several processes that `accelerate launch --cpu --num_processes N` was asked for.

    With --cpu, accelerate 1.15 starts a single process and says N to nobody: all that can be seen is that it named a meeting place.
    N is read from its command line, and torch's own launcher, which accelerate uses for GPUs, takes this process over.
    """
    named = "MASTER_ADDR" in os.environ and os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true")
    if not named or "RANK" in os.environ:
        return
    import psutil
    from accelerate.commands.launch import launch_command_parser

    line = psutil.Process(os.getppid()).cmdline()
    asked, _ = launch_command_parser().parse_known_args(line[line.index("launch") + 1:] if "launch" in line else [""])
    if not asked.num_processes or asked.num_processes < 2:
        raise MtlError("accelerate did not say how many processes to start. Give --num_processes to accelerate launch.")
    machines = asked.num_machines or 1
    place = ["--standalone"] if machines == 1 else [
        f"--nnodes={machines}", f"--node_rank={asked.machine_rank or 0}", f"--master_addr={os.environ['MASTER_ADDR']}",
        f"--master_port={os.environ['MASTER_PORT']}"]
    command = [sys.executable, "-m", "torch.distributed.run", *place, f"--nproc_per_node={asked.num_processes // machines}", "-m", "mtl"]
    os.execv(sys.executable, command + sys.argv[1:])


class _StopSignal:
    """Ctrl-C and SIGTERM ask for a stop between two steps; a second Ctrl-C does not wait."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, self._ask)

    def _ask(self, number: int, frame: Any) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)


class _Terminal:
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


# predict, runs, starter


def _predict(options: argparse.Namespace) -> int:
    from mtl.prediction import Predictor

    checkpoint = open_starter() if options.run == STARTER_NAME else _find_run(options.run).checkpoint(options.checkpoint)
    predictor = Predictor.load(checkpoint, options.device)
    tasks = [name.strip() for name in options.tasks.split(",") if name.strip()]
    texts = options.text or [line for line in sys.stdin.read().splitlines() if line.strip()]
    for predicted in predictor.predict(texts, tasks):
        print(json.dumps(_plain(predicted), ensure_ascii=False))
    return 0


def _plain(predicted: "Predicted") -> dict[str, Any]:
    """A prediction as a JSON object: entities as in our own data files, with their text and probability; contradictions, if any."""
    values: dict[str, Any] = {"text": predicted.text} | ({"contradictions": predicted.contradictions} if predicted.contradictions else {})
    for task, answer in predicted.predictions.items():
        if hasattr(answer, "spans"):
            values[task] = [{"start": span.start, "end": span.end, "label": span.label, "text": predicted.text[span.start:span.end],
                             "probability": round(sure, 4)} for span, sure in zip(answer.spans, answer.probabilities, strict=True)]
        else:
            values[task] = {"label": answer.label, "probabilities": {label: round(sure, 4) for label, sure in answer.probabilities.items()}}
    return values


def _runs(options: argparse.Namespace) -> int:
    rows = list(_summaries(list_runs(default_root())))
    if options.json:
        print("\n".join(map(json.dumps, rows)))
    elif not rows:
        print("No runs yet. Start one: python -m mtl train")
    else:
        for row in rows:
            best = "" if row["best_score"] is None else f"best dev score {row['best_score']:.1%}"
            print(f"{row['id']}  {row['status']:<11}  step {row['step']}/{row['total_steps']}  {best}  {row['name']}".rstrip())
    return 0


def _starter(options: argparse.Namespace) -> int:
    config, stop = make_config(STARTER | {"seed": options.seed, "epochs": options.epochs}), _StopSignal()
    make_starter(config, options.folder, between_steps=lambda training: stop.asked, show=_Terminal().show)
    print(f"The starter model is in {options.folder}; its scores are in the README.md there.")
    return 0


def _summaries(runs: Iterable[Run]) -> Iterable[dict[str, Any]]:
    for run in runs:
        history = read_history(run)
        best = max((seen.score for seen in history.evaluations if seen.is_best), default=None)
        try:
            name = run.config.name
        except MtlError as error:
            name = str(error)
        yield {"id": run.id, "name": name, "status": history.status, "step": history.step,
               "total_steps": history.started.total_steps if history.started else 0, "best_score": best}
