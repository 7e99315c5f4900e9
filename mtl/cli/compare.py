"""`python -m mtl compare | sweep | search` and `train --compare`: several runs as one question, in the terminal. Shown on the page too."""

import argparse
import os
from typing import Any

from mtl.cli.common import STOPPED, StopSignal, Terminal, add_settings, find_run, read_settings, settled
from mtl.comparing.execute import run_comparison
from mtl.comparing.joint_vs_alone import markdown, read_card
from mtl.comparing.plan import (
    DEFAULT_ALPHAS,
    Comparison,
    alone_plan,
    create,
    list_comparisons,
    open_comparison,
    plan_for_run,
    sweep_plan,
)
from mtl.comparing.search import search_markdown, search_plan
from mtl.comparing.sweep import parse_numbers, sweep_markdown, sweep_points
from mtl.errors import MtlError
from mtl.runs.events import StatusChanged
from mtl.runs.folder import Run, default_root
from mtl.runs.history import read_history


def add_parsers(commands: argparse._SubParsersAction) -> None:
    """The commands, for cli.py."""
    compare = commands.add_parser("compare", help="did it help? train each task of a run alone too, and compare")
    compare.set_defaults(act=compare_run)
    compare.add_argument("run", nargs="?", help="a finished run (its id, or 'last')")
    compare.add_argument("--seeds", metavar="N", type=int, default=1,
                         help="so many of each run, with different seeds (default: 1, which gives no verdict; 3 or more do)")
    compare.add_argument("--resume", metavar="ID", help="go on with a comparison, a sweep or a search (its id, or 'last')")

    sweep = commands.add_parser("sweep", help="train two tasks with several weights: what each gains from the other's loss")
    sweep.set_defaults(act=_sweep)
    sweep.add_argument("--alphas", metavar="X,...", default=",".join(map(str, DEFAULT_ALPHAS)), help="(default: %(default)s)")
    add_settings(sweep)

    search = commands.add_parser("search", 
                                   help="find good learning rates and task weights within some minutes, by validation scores only")
    search.set_defaults(act=_search)
    search.add_argument("--minutes", metavar="X", type=float, required=True, help="how long it may take")
    add_settings(search)


def train_and_compare(options: argparse.Namespace) -> int:
    """`train --compare`: all tasks together, then each alone."""
    _refuse_processes()
    config = settled(*read_settings(options))
    return go_on(create(default_root(), config, alone_plan(config, options.seeds)))


def compare_run(options: argparse.Namespace) -> int:
    """`compare RUN` or `compare --resume ID`."""
    _refuse_processes()
    if bool(options.run) == bool(options.resume):
        raise MtlError("Name a finished run, such as: python -m mtl compare last. Or go on with a comparison: compare --resume ID.")
    if options.resume:
        return go_on(_find(options.resume))
    return go_on(create(default_root(), *plan_for_run(find_run(options.run), options.seeds)))


def _sweep(options: argparse.Namespace) -> int:
    _refuse_processes()
    config = settled(*read_settings(options))
    return go_on(create(default_root(), config, sweep_plan(config, parse_numbers(options.alphas))))


def _search(options: argparse.Namespace) -> int:
    _refuse_processes()
    config = settled(*read_settings(options))
    return go_on(create(default_root(), config, search_plan(config, options.minutes)))


def _find(name: str) -> Comparison:
    if name != "last":
        return open_comparison(default_root(), name)
    found = list_comparisons(default_root())
    if not found:
        raise MtlError("There is no comparison yet. Start one: python -m mtl train --compare")
    return found[0]


def _refuse_processes() -> None:
    if "MASTER_ADDR" in os.environ:
        raise MtlError("A comparison runs in one process. Leave accelerate launch out: python -m mtl ...")


def go_on(comparison: Comparison) -> int:
    """Train what is left of `comparison` and print the result; the exit status."""
    print(f"Comparison {comparison.id}", flush=True)
    with comparison.hold(), StopSignal() as stop:
        status = run_comparison(comparison, _Hand(comparison, stop), show=Terminal().show)
    if status == "stopped":
        print(f"To go on: python -m mtl compare --resume {comparison.id}")
        return STOPPED
    if status != "finished":
        Terminal().show(StatusChanged(status, read_history(comparison).message))
        return 1
    print("\n" + _result(comparison))
    return 0


def _result(comparison: Comparison) -> str:
    """The answer, for the terminal."""
    plan = comparison.plan
    if plan.kind == "alone":
        return markdown(read_card(comparison.folder))
    histories = [read_history(run) if (run := comparison.member_run(member)) else None for member in plan.members]
    if plan.kind == "sweep":
        return sweep_markdown(*sweep_points(plan, histories))
    return search_markdown(plan, histories) + "\n\n" + read_history(comparison).message


class _Hand:
    """Ctrl-C stops the run in work, and with it the comparison."""

    def __init__(self, comparison: Comparison, stop: StopSignal) -> None:
        self._comparison, self._signal = comparison, stop

    @property
    def stopped(self) -> bool:
        return self._signal.asked

    def turn_to(self, run: Run) -> None:
        members = self._comparison.plan.members
        place = next(index for index, member in enumerate(members) if member.run == run.id)
        rung = f", round {members[place].rung}" * bool(members[place].rung)
        print(f"\n{place + 1} of {len(members)}, {members[place].role}{rung}: run {run.id}", flush=True)

    def between_steps(self, trainer: Any) -> bool:
        return self._signal.asked
