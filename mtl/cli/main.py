"""The terminal's door: `python -m mtl train | evaluate | predict | runs | ...`. Every field of RunConfig is a flag; the same run shows live
on the page. torch is imported inside the commands, so that --help answers at once."""

import argparse
import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl.cli import compare, data, evaluate
from mtl.cli.common import (
    STOPPED,
    StopSignal,
    Terminal,
    add_settings,
    find_checkpoint,
    find_run,
    new_run,
    read_settings,
    settings_given,
    settled,
    train_here,
)
from mtl.errors import MtlError, SettingError
from mtl.publishing.starter import STARTER, make_starter
from mtl.runs.folder import Run, default_root, list_runs, starter_folder
from mtl.runs.history import read_history
from mtl.settings.config import RunConfig, make_config

if TYPE_CHECKING:
    from mtl.inference.predictor import Predicted


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says; exits with 0, 1 (a message says why), 2 (usage) or 130 (stopped, can be resumed)."""
    given = [re.sub(r"^--dev(?=[-=]|$)", "--validation", argument) for argument in (sys.argv[1:] if arguments is None else arguments)]
    options = _parser().parse_args(given)  # --dev-files and such are the older names
    try:
        sys.exit(options.act(options))
    except SettingError as error:
        sys.exit(f"mtl: {error.for_terminal}")
    except MtlError as error:
        sys.exit(f"mtl: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mtl", description="One shared encoder, one head per task, trained together on your text.")
    commands = parser.add_subparsers(required=True, metavar="train | evaluate | predict | runs | ...")

    train = commands.add_parser("train", help="train a model, or go on with a run")
    train.set_defaults(act=_train)
    train.add_argument("--resume", metavar="RUN", help="go on with this run (its id, or 'last') from its newest checkpoint")
    train.add_argument("--compare", action="store_true", help="then train each task alone, and tell whether training together helped")
    train.add_argument("--seeds", metavar="N", type=int, default=1,
                       help="with --compare: so many of each (default: 1, which gives no verdict; 3 or more do)")
    train.add_argument("--test", action="store_true", help="when it is finished, measure its best checkpoint on the test rows")
    add_settings(train)

    predict = commands.add_parser("predict", help="ask a trained model; prints a JSON object per text")
    predict.set_defaults(act=_predict)
    predict.add_argument("run", help="the run's id, 'last', or 'starter' (the model that is shipped)")
    predict.add_argument("text", nargs="*", help="the texts; without any, each line of standard input is one")
    predict.add_argument("--checkpoint", default="best", help="best (default), last, or epoch-NNN")
    predict.add_argument("--tasks", default="", metavar="TASK,...", help="only these tasks (default: all)")
    predict.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    predict.add_argument("--engine", default="auto", choices=["auto", "plain", "fused", "int8"],
                         help="how it is computed: plain and fused answer alike, int8 rounds; auto (default) is what is fastest here, int8 "
                              "only if training measured that every task loses less than 1 point")

    runs = commands.add_parser("runs", help="list the runs, newest first")
    runs.set_defaults(act=_runs)
    runs.add_argument("--json", action="store_true", help="a JSON object per run")

    starter = commands.add_parser("starter", help="train the starter model again, on the bundled corpus, and put it in its place")
    starter.set_defaults(act=_starter)
    starter.add_argument("--seed", type=int, metavar="N", default=STARTER["seed"], help="(default: %(default)s)")
    starter.add_argument("--epochs", type=int, metavar="N", default=STARTER["epochs"], help="(default: %(default)s)")
    starter.add_argument("--folder", type=Path, metavar="FOLDER", default=starter_folder(), help="(default: checkpoints/starter)")
    data.add_parsers(commands)
    compare.add_parsers(commands)
    evaluate.add_parsers(commands)
    return parser


# train


def _train(options: argparse.Namespace) -> int:
    if options.compare and options.test:
        raise MtlError("--test is for one run. Compare first, then choose one and measure it: python -m mtl evaluate RUN --split test")
    if options.seeds != 1 and not options.compare:
        raise MtlError("--seeds says how many runs of each kind --compare makes. Add --compare, or say --seed N for another seed.")
    if options.compare and not options.resume:
        return compare.train_and_compare(options)
    _become_processes()
    from mtl.training.processes import join_processes

    if options.resume and (settings_given(options) or options.config or options.preset or options.compare):
        raise MtlError("--resume goes on with the settings that the run began with. Leave the other flags out, or start a new run.")
    config, names = (None, []) if options.resume else read_settings(options)
    processes = join_processes(config.device if config else "auto")
    is_first = processes.is_first
    run = _same_for_all(processes, lambda: find_run(options.resume) if config is None else _new_run(config, names, options.test))
    status = train_here(run, resume=bool(options.resume), processes=processes)
    if is_first and status == "stopped":
        print(f"To go on: python -m mtl train --resume {run.id}")
    if is_first and status == "finished":
        evaluate.finish_with_test(run) if options.test else evaluate.offer_test(run)
    return {"finished": 0, "stopped": STOPPED}.get(status, 1)


def _new_run(config: RunConfig, names: list[str], wants_test: bool) -> Run:
    """A run of `config` with the tasks `names` (none: all), its data fetched and understood first."""
    config = settled(config, names)
    if wants_test:
        evaluate.refuse_without_test_rows(config)
    return new_run(config)


def _same_for_all(processes: Any, find: Any) -> Run:
    """What `find` gives in the first process, in all of them."""
    if processes.count == 1:
        return find()
    return Run(Path(processes.from_first(lambda: str(find().folder))))


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


# predict, runs, starter


def _predict(options: argparse.Namespace) -> int:
    from mtl.inference.predictor import Predictor

    predictor = Predictor.load(find_checkpoint(options.run, options.checkpoint), options.device, options.engine)
    print(f"Answered on {predictor.how}.", file=sys.stderr)
    tasks = [name.strip() for name in options.tasks.split(",") if name.strip()]
    texts = options.text or [line for line in sys.stdin.read().splitlines() if line.strip()]
    for predicted in predictor.predict(texts, tasks):
        print(json.dumps(_plain(predicted), ensure_ascii=False))
    return 0


def _plain(predicted: "Predicted") -> dict[str, Any]:
    """A prediction as a JSON object: the answer of every task; contradictions, if any."""
    return ({"text": predicted.text} | ({"contradictions": predicted.contradictions} if predicted.contradictions else {})
            | {task: answer.plain(predicted.text) for task, answer in predicted.predictions.items()})


def _runs(options: argparse.Namespace) -> int:
    rows = list(_summaries(list_runs(default_root())))
    if options.json:
        print("\n".join(map(json.dumps, rows)))
    elif not rows:
        print("No runs yet. Start one: python -m mtl train")
    else:
        for row in rows:
            best = "" if row["best_score"] is None else f"best validation score {row['best_score']:.1%}"
            print(f"{row['id']}  {row['status']:<11}  step {row['step']}/{row['total_steps']}  {best}  {row['name']}".rstrip())
    return 0


def _starter(options: argparse.Namespace) -> int:
    config = make_config(STARTER | {"seed": options.seed, "epochs": options.epochs})
    with StopSignal() as stop:
        make_starter(config, options.folder, between_steps=lambda training: stop.asked, show=Terminal().show)
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
        yield {"id": run.id, "name": name, "status": history.state, "step": history.step,
               "total_steps": history.started.total_steps if history.started else 0, "best_score": best}
