"""Which format a file has by its content, where its name does not say, or says too little. Reads no records."""

import re
from itertools import islice
from pathlib import Path

from mtl.data.formats.chatbots import looks_like_rasa, looks_like_rasa_yaml
from mtl.data.formats.files import READABLE, Source, file_name, read_lines
from mtl.data.formats.layouts import looks_like_columns
from mtl.data.formats.marked import looks_marked
from mtl.data.formats.spreadsheet import is_workbook
from mtl.data.formats.tables import LOOKED_AT, is_cut_evenly, looks_like_table
from mtl.data.formats.word_rows import looks_like_word_rows
from mtl.errors import MtlError

_OBJECT = re.compile(r'\s*(\[\s*)?\{\s*"[^"\n]*"\s*:')  # a text may begin with brackets, too
_JSON = re.compile(r'\s*(\{\s*"|\[\s*[{\[])')


def find_by_content(path: Path) -> str:
    """The format of a file; raises MtlError if it has none of them."""
    if is_workbook(path):
        return "xlsx"
    if path.is_file():
        with path.open("rb") as file:
            if file.read(4) == b"PAR1":
                return "parquet"
    head = list(islice(read_lines(path), LOOKED_AT))
    if _JSON.match("".join(head[:5])):
        return "json"
    if looks_like_columns(iter(head)):
        return "conll"
    if looks_marked(head):
        return "text"
    if looks_like_table(iter(head)) or looks_like_word_rows(head) or is_cut_evenly(iter(head)):
        return "csv"
    raise MtlError(f"{file_name(path)}: this kind of file cannot be read. Give {READABLE}.")


def settle_format(source: Source) -> None:
    """Correct the format of a text or table file by its content: it may have a word on each line, or a text may be a table."""
    if source.format in ("text", "csv") and looks_like_columns(read_lines(source.path)):
        source.format = "conll"
        if source.path.suffix.lower() == ".csv":
            source.notice("holds a word and its tags on each line, with blank lines between; it is read as CoNLL columns.")
    elif source.format == "text" and _OBJECT.match("".join(islice(read_lines(source.path), 5))):
        source.format = "json"
        source.notice("begins with an object of JSON, and is read as JSON.")
    elif source.format == "text" and looks_like_rasa(read_lines(source.path)):
        source.format = "rasa"
    elif source.format == "text" and looks_like_rasa_yaml(read_lines(source.path)):
        source.format = "yaml"
    elif source.format == "text" and not looks_marked(read_lines(source.path)) and (
            looks_like_table(read_lines(source.path)) or looks_like_word_rows(read_lines(source.path))):
        source.format = "csv"
