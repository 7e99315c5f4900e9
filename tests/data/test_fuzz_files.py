"""Files that nobody would make on purpose: random bytes, cut off, in mixed encodings, under every ending. Each is read, or refused in one
clear sentence. Other seeds: `for seed in range(...): fuzz(seed, 100, folder)`."""

import gzip
import io
import random
import zipfile
from pathlib import Path

import openpyxl
import pyarrow
import pyarrow.parquet
import pytest

from mtl.data.formats.archive import unpack
from mtl.data.formats.files import FORMATS
from mtl.data.readers import read_files
from mtl.errors import MtlError
from tests.legible import is_legible

TABLE = "text,label\n\"the café, “old”\",good\nbad smell,bad\nit was fine,good\n"
TEXTS = [TABLE, TABLE.replace(",", "\t"), "sep=;\n" + TABLE.replace(",", ";"), "A report of May\n\n" + TABLE,
         ",text,label,\n0,a b,x,\n1,c d,nan,\n",
         '{"text": "café", "label": 1.0}\n{"text": "b", "label": null}\n',
         '[{"text": "a", "spans": [[0, 1, "PER"]]},\n{"text": "b", "spans": []}]',
         "Ada B-PER\nsaw O\n\nRome B-LOC\n", "# intent = go\n1\tAda\tB-PER\n2\tcame\tO\n\n",
         "[Ada](PER) came\n__label__x hello <b>you</b>\n",
         "I liked it,good\nnever again,bad\nso so,good\n", 'x\t"y\nz"\t1\n', "text\n", ""]
SIGNS = [b'"', b"\t", b"\n", b"\r", b"\0", b",", b";", b"{", b"[", b"]", b"\xe9", b"\xc3\xa9", b"\xff\xfe", b"\xef\xbb\xbf", b"\x92",
         b"nan", b"O", b"=", b":", b"#", b"-", b"1.0", b"sep=;\n"]
ENDINGS = [*FORMATS, "", ".data", ".zip", ".gz", ".xls", ".TXT"]


def packed() -> list[bytes]:
    """The files of binary formats."""
    book = openpyxl.Workbook()
    for row in (["Report"], ["text", "label", None], ["a b", 1.0], ["c d", True], ["e f", "#N/A"]):
        book.active.append(row)
    book.create_sheet("Notes").append(["text"])
    book.save(sheets := io.BytesIO())
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a", "b"], "label": [1.0, None]}), parquet := io.BytesIO())
    with zipfile.ZipFile(archive := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as files:
        files.writestr(zipfile.ZipInfo("../train/data.csv"), TABLE)  # without the time of day
        files.writestr(zipfile.ZipInfo("test.jsonl"), TEXTS[5])
    return [sheets.getvalue(), parquet.getvalue(), archive.getvalue(), gzip.compress(TABLE.encode(), mtime=0)]


def make(chance: random.Random, whole: list[bytes]) -> bytes:
    """One file: a good one in some encoding, damaged in some places, cut off, or not even that."""
    if chance.random() < 0.1:
        return chance.randbytes(chance.choice([1, 5, 50, 3000]))
    content = chance.choice([*whole, *(text.encode(chance.choice(["utf-8", "utf-8", "utf-16", "utf-16-le", "cp1252", "utf-8-sig"]))
                                       for text in TEXTS)])
    for _ in range(chance.choice([0, 1, 1, 2, 5])):
        place = chance.randrange(len(content) + 1)
        piece = chance.choice([chance.choice(SIGNS), chance.randbytes(3), chance.choice(TEXTS).encode(chance.choice(["utf-8", "cp1252"]))])
        content = content[:place] + piece + content[place + chance.choice([0, 0, 1, 20]):]
    return content[:chance.randrange(len(content) + 1)] if chance.random() < 0.3 else content


def fuzz(seed: int, count: int, folder: Path) -> int:
    """Read `count` files made from `seed`; how many were read."""
    chance, whole, read = random.Random(seed), packed(), 0
    for _ in range(count):
        path = folder / f"x{chance.choice(ENDINGS)}"
        path.write_bytes(content := make(chance, whole))
        try:
            rows = read_files(unpack([path], folder / "unpacked")).rows
        except MtlError as error:
            message = str(error)
            assert len(message) <= 300 and "\n" not in message and is_legible(message) and message.endswith((".", "?")), message
        except Exception as error:
            raise AssertionError(f"{path.name}, seed {seed}: {content!r}") from error
        else:
            read += 1
            assert all(row.text.strip() for row in rows), content
        path.unlink()
    return read


@pytest.mark.parametrize("seed", range(3))
def test_a_file_of_any_bytes_is_read_or_refused_in_one_clear_sentence(tmp_path, seed):
    assert 0 < fuzz(seed, 120, tmp_path) < 110
