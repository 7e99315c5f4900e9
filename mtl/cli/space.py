"""`python -m mtl space`: this program as a Space on the Hub, with a model of one's own if wanted."""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from mtl.cli.common import find_run


def add_parsers(commands: argparse._SubParsersAction) -> None:
    """Add the command to those of main.py."""
    space = commands.add_parser("space", help="put this program on the Hub as a Gradio Space, or bring that Space up to date")
    space.set_defaults(act=publish)
    space.add_argument("name", metavar="OWNER/NAME", help="your name on the Hub, and the Space's; what is not here is removed there")
    space.add_argument("--private", action="store_true", help="only you may see it")
    space.add_argument("--with", dest="run", metavar="RUN", help="its starter model is the best checkpoint of this run (its id, or 'last')")
    space.add_argument("--dry-run", action="store_true", help="only list what would be sent")


def publish(options: argparse.Namespace) -> int:
    """Send the checkout, or list it."""
    from mtl.publishing.space import check_name, send, space_files

    check_name(options.name)
    with TemporaryDirectory(prefix="mtl-space-") as place:
        files = space_files(Path(place), find_run(options.run) if options.run else None)
        sizes = {path: file.stat().st_size for path, file in files.items()}
        if options.dry_run:
            print(*(f"{size:>12,}  {path}" for path, size in sizes.items()), sep="\n")
        print(f"{len(sizes)} files, {sum(sizes.values()) / 1e6:.1f} MB{' would be sent' * options.dry_run}.", flush=True)
        if not options.dry_run:
            print(f"The Hub builds it now: {send(options.name, files, options.private)}")
    return 0
