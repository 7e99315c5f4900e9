"""`python -m mtl predict`: ask a trained model about texts, lines of standard input, or all rows of a file."""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mtl.cli import common
from mtl.data.formats.archive import unpack
from mtl.data.texts import open_texts
from mtl.errors import MtlError
from mtl.runs.events import Every
from mtl.runs.folder import STARTER_NAME
from mtl.settings.shorthand import parse_columns, parts
from mtl.text import duration, many, shorten

if TYPE_CHECKING:
    from mtl.inference.predict_file import Answer, Line, State
    from mtl.inference.predictor import Predictor

SHOWN = 200  # characters of a text without an answer


def add_parsers(commands: argparse._SubParsersAction) -> None:
    """Add the command to those of main.py."""
    predict = commands.add_parser("predict", help="use a trained model; prints a JSON object for each text, or writes a file")
    predict.set_defaults(act=predict_texts)
    predict.add_argument("run", help="the run's id, 'last', or 'starter' (the model that comes with the program)")
    predict.add_argument("text", nargs="*", help="the texts; if none is given, each line of standard input")
    predict.add_argument("--files", nargs="+", type=Path, metavar="FILE",
                         help="predict all rows of this file, in any format that is read, also packed (or of seq.in, seq.out and label)")
    predict.add_argument("--to", type=Path, metavar="FILE",
                         help="where the rows go, with the predictions as new columns: .csv, .tsv or .jsonl. After Ctrl-C or a crash the "
                              "same command goes on where it stopped")
    predict.add_argument("--columns", default="", metavar="COLUMN=text", help="which column of the file has the text")
    predict.add_argument("--long", default="cut", choices=["cut", "split"],
                         help="a text that is longer than the model reads: cut (default) reads its beginning and says where it was cut; "
                              "split reads it in pieces that end with a sentence: it has the entities of all, and a label's probability is "
                              "the mean over them, by length")
    predict.add_argument("--checkpoint", default="best", help="best (default), last, or epoch-NNN")
    predict.add_argument("--tasks", default="", metavar="TASK,...", help="only these tasks (default: all)")
    predict.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    predict.add_argument("--engine", default="auto", choices=["auto", "plain", "fused", "int8"],
                         help="how to compute: plain and fused give the same answers, int8 rounds; auto (default) takes the fastest, int8 "
                              "only if every task lost less than 1 point by it in training")


def predict_texts(options: argparse.Namespace) -> int:
    """Answer what is asked; 0 unless nothing could be answered."""
    from mtl.inference.predict_file import State, answer_lines

    if options.files or options.to or options.columns:
        return predict_rows(options)
    predictor = _load(options, options.engine)
    done = State({})
    for window in answer_lines(predictor, _lines(options.text), predictor.choose(parts(options.tasks)), options.long):
        for answer in window:
            print(json.dumps(_plain(answer), ensure_ascii=False))
        sys.stdout.flush()
        done.add(window, "text" if options.text else "line")
    return _end(done)


def _lines(texts: list[str]) -> Iterator[Line]:
    """The texts, or the lines of standard input, which end with a line feed and nothing else."""
    if not texts and isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8-sig", errors="surrogateescape", newline="\n")
    for number, text in enumerate(texts or sys.stdin, 1):
        text = text if texts else text.removesuffix("\n").removesuffix("\r")
        is_broken = not text.isascii() and re.search("[\udc80-\udcff]", text)
        yield number, {"text": text}, MtlError("The text is not UTF-8. Save it as UTF-8.") if is_broken else text


def _plain(answer: Answer) -> dict[str, object]:
    _, fields, made = answer
    text = shorten(str(fields["text"]), SHOWN).encode("utf-8", "replace").decode()
    return {"text": text, "error": str(made)} if isinstance(made, MtlError) else made.plain()


def predict_rows(options: argparse.Namespace) -> int:
    """Write the rows of a file, which may be in an archive, with their predictions; 130 if it was stopped before the end."""
    if not options.files or not options.to or options.text:
        raise MtlError("A file is predicted with --files in.csv --to out.csv, and without texts. Give both; --columns belongs to them.")
    if options.to.resolve() in [path.resolve() for path in options.files]:
        raise MtlError(f"{options.to.name}: is the input itself. Give another name with --to.")
    with TemporaryDirectory() as folder:
        return _predict(options, unpack(options.files, Path(folder)))


def _predict(options: argparse.Namespace, files: Sequence[Path]) -> int:
    from mtl.inference.predict_file import describe, find_state, predict_file

    begun = find_state(options.to)
    trained = () if options.run == STARTER_NAME else common.find_run(options.run).config.columns
    file = open_texts(files, parse_columns(options.columns), common.Terminal(sys.stderr).progress, trained)
    for notice in file.source.notices:
        _say(notice)
    # what was begun in one way of computing goes on so, as the ways differ in the last digits
    engine = begun.engine if begun and options.engine == "auto" else options.engine
    predictor = _load(options, engine)
    about = describe(predictor, _checkpoint(options), file, parts(options.tasks), options.long)
    _say(f"{file.source.name}: {many(file.count, 'row')}, with the text in '{file.text.name}'"
         + (f"; {begun.rows:,} are done already." if begun else "."))
    with common.StopSignal() as stop:
        done = predict_file(predictor, file, options.to, about, lambda: stop.is_asked, _Pace(file.count, begun.rows if begun else 0).show)
    if done.rows < file.count:
        _say(f"Stopped after {done.rows:,} of {many(file.count, 'row')}. To go on: give the same command again.")
        return common.EXIT_CODES["stopped"]
    _say(f"{options.to.name}: {many(done.rows, 'row')}.")
    return _end(done)


class _Pace:
    """Says now and then how many rows are done, and how long the rest will take."""

    def __init__(self, total: int, before: int) -> None:
        self._total, self._before, self._begun, self._is_due = total, before, time.monotonic(), Every(common.PROGRESS_EVERY)

    def show(self, done: State) -> None:
        if self._is_due():
            pace = (done.rows - self._before) / (time.monotonic() - self._begun)
            _say(f"{done.rows:,} of {many(self._total, 'row')}, {pace:,.0f} rows/s, {duration((self._total - done.rows) / pace)} left")


def _end(done: State) -> int:
    """Say which rows have no answer, and that some were cut; 1 if none has an answer."""
    if done.cut:
        _say(f"{many(done.cut, 'text', 'was')} longer than the model reads, and cut: cut_at says where. --long split reads all.")
    if done.failed:
        _say(f"{done.failed:,} of {many(done.rows, 'text')} without an answer. The first: {done.first_failed}")
    return int(0 < done.rows == done.failed)


def _load(options: argparse.Namespace, engine: str) -> Predictor:
    from mtl.inference.predictor import Predictor

    predictor = Predictor.load(_checkpoint(options), options.device, engine)
    _say(f"Answered on {predictor.how}.")
    return predictor


def _checkpoint(options: argparse.Namespace) -> Path:
    return common.find_checkpoint(options.run, options.checkpoint)


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
