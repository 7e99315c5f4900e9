"""`python -m mtl data` and `python -m mtl convert`: show what is in data, and write it in another format, without training."""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from mtl.cli.common import Terminal
from mtl.data.dataset import describe_source, load, read_table
from mtl.data.formats.archive import spread, unpack
from mtl.data.readers import read_files
from mtl.data.report import bundled_subwords, make_report, report_lines
from mtl.data.writers import write_rows
from mtl.settings.config import make_config
from mtl.settings.shorthand import parse_columns


def add_parsers(commands: argparse._SubParsersAction) -> None:
    """Add the two commands to those of main.py."""
    data = commands.add_parser("data", help="show the columns and labels found in data, and what is wrong with it")
    data.set_defaults(act=show_data)
    data.add_argument("files", nargs="*", type=Path, metavar="FILE", help="the training files (default: the bundled corpus)")
    data.add_argument("--validation", nargs="+", default=[], metavar="FILE", help="validation files")
    data.add_argument("--test", nargs="+", default=[], metavar="FILE", help="test files")
    data.add_argument("--max-length", type=int, default=128, metavar="N",
                      help="where a run would cut sentences, in subwords (default: 128)")

    convert = commands.add_parser("convert", help="write data in another format")
    convert.set_defaults(act=convert_files)
    convert.add_argument("files", nargs="+", type=Path, metavar="FILE", help="what to read")
    convert.add_argument("--to", required=True, type=Path, metavar="FILE",
                         help="what to write: .jsonl, .json, .csv, .tsv, .conll, .txt (marked text) or .parquet; a name "
                              "without a suffix is a folder for datasets.load_from_disk")
    for parser in (data, convert):
        parser.add_argument("--columns", default="", metavar="COLUMN=ROLE,...", help="what the columns are for, as for train")


def show_data(options: argparse.Namespace) -> int:
    """Print the columns, the notices and the report."""
    named = {"train_files": options.files, "validation_files": options.validation, "test_files": options.test}
    with TemporaryDirectory() as folder:
        files = spread(named, Path(folder))
        config = make_config({"source": "files" if options.files else "newsroom", "columns": parse_columns(options.columns), **files})
        progress = Terminal().progress
        table = read_table(config, Path(), Path(folder), progress)
        print(f"{describe_source(config)}: {len(table.rows):,} rows.")
        for column in table.columns:
            name = f"{column.group}/{column.column}".removeprefix("/")
            print(f"  {name}: {column.role}" + f", task '{column.task}'" * bool(column.task))
        report = make_report(load(config, Path(), Path(folder), progress, table), options.max_length, bundled_subwords(), progress)
        print("", *report_lines(report), sep="\n")
    return 0


def convert_files(options: argparse.Namespace) -> int:
    """Write the rows of the files as one file."""
    with TemporaryDirectory() as folder:
        files = unpack(options.files, Path(folder))
        table = read_files(files, parse_columns(options.columns), file=Path(folder) / "rows.arrow", progress=Terminal().progress)
        write_rows(options.to, table.rows, table.tasks)
    print(f"{options.to.name}: {len(table.rows):,} rows, {', '.join(f'{task.name} ({task.kind})' for task in table.tasks) or 'no task'}.")
    for notice in table.notices:
        print(notice)
    return 0
