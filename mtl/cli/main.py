"""The command line: `python -m mtl train | evaluate | predict | runs | ...`. Every field of RunConfig is a flag; the same run shows live on
the page. torch is imported inside the commands, so that --help answers at once."""

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from mtl.cli import common, compare, data, evaluate, predict, space, teach
from mtl.comparing.plan import alone_plan
from mtl.errors import MtlError, SettingError
from mtl.publishing.starter import STARTER, make_starter
from mtl.runs.folder import Run, default_root, list_runs, starter_folder
from mtl.runs.history import read_history
from mtl.scoring.measure import has_test_rows, measure_test
from mtl.settings.config import make_config


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; exits with 0, 1 (with a message), 2 (wrong usage) or 130 (stopped, can be resumed)."""
    given = sys.argv[1:] if arguments is None else arguments
    parser = _parser()
    newer = [re.sub(r"^--dev(?=[-=]|$)", "--validation", argument) for argument in given]
    options, rest = parser.parse_known_args(newer)
    if "text" in options:  # argparse takes only those texts that stand before the flags
        options.text, rest = [*options.text, *rest], [one for one in rest if one.startswith("-")]
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        sys.exit(options.act(options))
    except SettingError as error:
        sys.exit(f"mtl: {error.for_terminal}")
    except MtlError as error:
        sys.exit(f"mtl: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # such as of `| head`; Python would complain again when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mtl", description="One shared encoder, one head per task, trained together on your text.")
    commands = parser.add_subparsers(required=True, metavar="train | evaluate | predict | runs | ...")

    train = commands.add_parser("train", help="train a model, or go on with a run")
    train.set_defaults(act=_train)
    train.add_argument("--resume", metavar="RUN", help="go on with this run (its id, or 'last') from its newest checkpoint")
    train.add_argument("--compare", action="store_true", help="also train each task alone, and compare: did training together help?")
    train.add_argument("--seeds", metavar="N", type=int, default=1,
                       help="with --compare: train each run with N seeds (default: 1, which gives no verdict; 3 or more do)")
    train.add_argument("--test", action="store_true", help="when training is finished, score the best checkpoint on the test rows")
    common.add_settings(train)

    predict.add_parsers(commands)
    runs = commands.add_parser("runs", help="list the runs, newest first")
    runs.set_defaults(act=_runs)
    runs.add_argument("--json", action="store_true", help="print a JSON object for each run")

    starter = commands.add_parser("starter", help="train the starter model again on the bundled data, and replace it")
    starter.set_defaults(act=_starter)
    starter.add_argument("--seed", type=int, metavar="N", default=STARTER["seed"], help="(default: %(default)s)")
    starter.add_argument("--epochs", type=int, metavar="N", default=STARTER["epochs"], help="(default: %(default)s)")
    starter.add_argument("--folder", type=Path, metavar="FOLDER", default=starter_folder(), help="(default: checkpoints/starter)")
    data.add_parsers(commands)
    compare.add_parsers(commands)
    evaluate.add_parsers(commands)
    space.add_parsers(commands)
    teach.add_parsers(commands)
    return parser


def _train(options: argparse.Namespace) -> int:
    if options.compare and options.test:
        raise MtlError("--test is for one run. Compare first, then choose one and score it: python -m mtl evaluate RUN --split test")
    if options.seeds != 1 and not options.compare:
        raise MtlError("--seeds is the number of seeds for --compare. Add --compare, or give another seed: --seed N.")
    if options.compare and not options.resume:
        return compare.train_new(options, lambda config: alone_plan(config, options.seeds))  # together, then each task alone
    _become_processes()
    from mtl.training.processes import join_processes

    if options.resume and (common.settings_given(options) or options.config or options.preset or options.again or options.compare):
        raise MtlError("--resume goes on with the settings that the run began with. Leave the other flags out, or start a new run.")
    config, names = (None, []) if options.resume else common.read_settings(options)
    processes = join_processes(config.device if config else "auto")

    def find() -> Run:
        """The run to resume, or a new one, after its data were downloaded and its columns found."""
        if config is None:
            return common.find_run(options.resume)
        resolved = common.resolve(config, names)
        if options.test and not has_test_rows(resolved):
            raise MtlError("--test wants test rows, and there are none. Give a file with --test-files, or leave --test out.")
        return common.new_run(resolved)

    run = find() if processes.count == 1 else Run(Path(processes.gather(str(find().folder) if processes.is_first else "")[0]))
    status = common.train_here(run, resume=bool(options.resume), processes=processes)
    if processes.is_first and status == "stopped":
        print(f"To go on: python -m mtl train --resume {run.id}")
    if processes.is_first and status == "finished" and options.test:
        evaluate.print_scores(run, *measure_test(run, device=run.config.device))
    elif processes.is_first and status == "finished" and has_test_rows(run.config):
        print(f"The test rows were not used. When you have chosen this run: python -m mtl evaluate {run.id} --split test")
    return common.EXIT_CODES[status]


def _become_processes() -> None:
    """Become the N processes of `accelerate launch --cpu --num_processes N`. With --cpu, accelerate 1.15 starts one process and does not
    pass N on. So N is read from its command line, and torch's own launcher, which accelerate uses for GPUs, replaces this process."""
    is_launched = "MASTER_ADDR" in os.environ and os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true")
    if not is_launched or "RANK" in os.environ:
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


def _runs(options: argparse.Namespace) -> int:
    runs = list_runs(default_root())
    if not runs and not options.json:
        print("No runs yet. Start one: python -m mtl train")
    for run in runs:
        history = read_history(run)
        try:
            name = run.name
        except MtlError as error:
            name = str(error)
        best = history.best
        total = history.started.total_steps if history.started else 0
        if options.json:
            print(json.dumps({"id": run.id, "name": name, "note": run.note, "status": history.state, "step": history.step,
                              "total_steps": total, "best_score": best and best.score, "best_by": best and best.by}))
        else:
            print(f"{run.id}  {history.state:<11}  step {history.step}/{total}  {f'best {best.said}' if best else ''}  {name}".rstrip()
                  + f" ({run.note})" * bool(run.note))
    return 0


def _starter(options: argparse.Namespace) -> int:
    config = make_config(STARTER | {"seed": options.seed, "epochs": options.epochs})
    with common.StopSignal() as stop:
        make_starter(config, options.folder, control=stop, show=common.Terminal().show)
    print(f"The starter model is in {options.folder}; its scores are in the README.md there.")
    return 0

