"""`python -m mtl compare | sweep | search` and `train --compare`: comparisons of several runs, in the terminal. The page shows them too."""

import argparse
import os
from collections.abc import Callable

from mtl.cli.common import EXIT_CODES, StopSignal, Terminal, add_settings, find_run, read_settings, resolve
from mtl.comparing.advice import after_comparison
from mtl.comparing.execute import run_comparison
from mtl.comparing.joint_vs_alone import markdown, read_card
from mtl.comparing.plan import DEFAULT_ALPHAS, Comparison, Plan, create, list_comparisons, open_comparison, plan_for_run, sweep_plan
from mtl.comparing.search import search_markdown, search_plan
from mtl.comparing.sweep import parse_numbers, sweep_markdown, sweep_points
from mtl.errors import MtlError
from mtl.runs.events import StatusChanged
from mtl.runs.folder import Run, default_root
from mtl.runs.history import read_history
from mtl.settings.config import RunConfig


def add_parsers(commands: argparse._SubParsersAction) -> None:
    """Add the commands to those of main.py."""
    compare = commands.add_parser("compare", help="did training together help? also train each task of a run alone, and compare")
    compare.set_defaults(act=compare_run)
    compare.add_argument("run", nargs="?", help="a finished run (its id, or 'last')")
    compare.add_argument("--seeds", metavar="N", type=int, default=1,
                         help="train each run with N seeds (default: 1, which gives no verdict; 3 or more do)")
    compare.add_argument("--resume", metavar="ID", help="go on with a comparison, a sweep or a search (its id, or 'last')")

    sweep = commands.add_parser("sweep", help="train two tasks with several weights, to see what each gains or loses")
    sweep.set_defaults(act=lambda options: train_new(options, lambda config: sweep_plan(config, parse_numbers(options.alphas))))
    sweep.add_argument("--alphas", metavar="X,...", default=",".join(map(str, DEFAULT_ALPHAS)),
                       help="how much the first task counts in each run, from 0 to 1 (default: %(default)s)")
    add_settings(sweep)

    search = commands.add_parser("search", help="find good learning rates and task weights in a given time, by validation scores")
    search.set_defaults(act=lambda options: train_new(options, lambda config: search_plan(config, options.minutes)))
    search.add_argument("--minutes", metavar="X", type=float, required=True, help="how long the search may take")
    add_settings(search)


def train_new(options: argparse.Namespace, make_plan: Callable[[RunConfig], Plan]) -> int:
    """Train a new comparison: `make_plan` makes its plan from the settings in `options`. Returns the exit status."""
    _refuse_processes()
    config = resolve(*read_settings(options))
    return train_comparison(create(default_root(), config, make_plan(config)))


def compare_run(options: argparse.Namespace) -> int:
    """`compare RUN` or `compare --resume ID`."""
    _refuse_processes()
    if bool(options.run) == bool(options.resume):
        raise MtlError("Name a finished run, such as: python -m mtl compare last. Or go on with a comparison: compare --resume ID.")
    return train_comparison(_find(options.resume) if options.resume else
                            create(default_root(), *plan_for_run(find_run(options.run), options.seeds)))


def _find(name: str) -> Comparison:
    if name != "last":
        return open_comparison(default_root(), name)
    if found := list_comparisons(default_root()):
        return found[0]
    raise MtlError("There is no comparison yet. Start one: python -m mtl train --compare")


def _refuse_processes() -> None:
    if "MASTER_ADDR" in os.environ:
        raise MtlError("A comparison runs in one process. Leave accelerate launch out: python -m mtl ...")


def train_comparison(comparison: Comparison) -> int:
    """Train the runs of `comparison` that are not finished, and print the result. Returns the exit status."""
    print(f"Comparison {comparison.id}", flush=True)
    with comparison.hold(), _Announcing(comparison) as stop:
        status = run_comparison(comparison, stop, show=Terminal().show)
    if status == "stopped":
        print(f"To go on: python -m mtl compare --resume {comparison.id}")
    elif status == "failed":
        Terminal().show(StatusChanged(status, read_history(comparison).message))
    else:
        plan, histories = comparison.plan, comparison.histories()
        if plan.kind == "alone":
            card = read_card(comparison.folder)
            advice = after_comparison(card, plan, histories)
            result = f"{markdown(card)}\n" + f"\n{advice.sentence} For the next run: {advice.label}" * bool(advice.sentence)
        elif plan.kind == "sweep":
            result = sweep_markdown(*sweep_points(plan, histories))
        else:
            result = f"{search_markdown(plan, histories)}\n\n{read_history(comparison).message}"
        print("\n" + result)
    return EXIT_CODES[status]


class _Announcing(StopSignal):
    """Ctrl-C stops the run in training, and with it the comparison; before each run a line announces it."""

    def __init__(self, comparison: Comparison) -> None:
        self._comparison = comparison

    def begin(self, run: Run) -> None:
        members = self._comparison.plan.members
        place = next(index for index, member in enumerate(members) if member.run == run.id)
        part = members[place].role + f", round {members[place].round}" * bool(members[place].round)
        print(f"\n{place + 1} of {len(members)}, {part}: run {run.id}", flush=True)
