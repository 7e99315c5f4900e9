"""`python -m mtl teach`: a model learns from corrections in a run of its own, and what it forgets by that is shown."""

import argparse
from pathlib import Path

from mtl.cli import common
from mtl.comparing.before_after import before_after
from mtl.runs.checkpoint import BEST
from mtl.runs.folder import STARTER_NAME, default_root
from mtl.text import isolate, shorten

SHOWN = 10  # forgotten answers
TEXT = 100  # characters of one


def add_parsers(commands: argparse._SubParsersAction) -> None:
    """Add the command to those of main.py."""
    teach = commands.add_parser("teach", help="let a model learn from corrections, and show what it forgets")
    teach.set_defaults(act=teach_model)
    teach.add_argument("run", help="the run's id, 'last', or 'starter'")
    teach.add_argument("--rows", type=Path, required=True, metavar="FILE",
                       help="the corrections: rows with a text and what is right, as the page downloads them (at most 200)")
    teach.add_argument("--checkpoint", default=BEST, help="best (default), last, or epoch-NNN")


def teach_model(options: argparse.Namespace) -> int:
    """Train the new run here, and print before and after."""
    from mtl.training.teach import make_taught

    source = None if options.run == STARTER_NAME else common.find_run(options.run)
    choice = f"{source.id}/{options.checkpoint}" if source else STARTER_NAME
    run = make_taught(default_root(), choice, common.find_checkpoint(options.run, options.checkpoint), source, options.rows)
    if (status := common.train_here(run, resume=False)) != "finished":
        return common.EXIT_CODES[status]
    found = before_after(run)
    print("\n".join(found.lines))
    for one in found.lost[:SHOWN]:
        print(f"  forgotten: {isolate(shorten(one.text, TEXT))}\n    {one.task}: {one.gold}; now {one.after}")
    print(f"To use it: python -m mtl predict {run.id}. To drop it: delete the folder {run.id}.")
    return 0
