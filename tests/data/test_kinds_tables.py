"""Tables as people have them, kind by kind: each small file is read as it is meant, and what was guessed is told; or refused with the way
out. Where a case gives no labels, the column is no task."""

import bz2
import csv
import gzip
import io
import json
import re
import zipfile
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import openpyxl
import pyarrow
import pyarrow.parquet
import pytest

from mtl.data.dataset import choose_tasks
from mtl.data.formats import archive
from mtl.data.formats.archive import spread, unpack
from mtl.data.readers import read_files
from mtl.data.words import Span
from mtl.errors import MtlError
from mtl.settings.config import MAX_LABELS
from mtl.settings.shorthand import parse_columns

TEXTS = ["the room was great; and clean", "a bad smell", "it was fine", "the staff was rude", "we come again", "never again"]
LABELS = ["good", "bad", "good", "bad", "good", "bad"]


def rows(delimiter: str = ",", labels: list = LABELS, texts: list = TEXTS) -> str:
    csv.writer(out := io.StringIO(), delimiter=delimiter, lineterminator="\n").writerows(zip(texts, labels, strict=True))
    return out.getvalue()


def in_json(labels: Iterable[object]) -> str:
    return "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in zip(TEXTS, labels, strict=True))


def book(**sheets: list[list]) -> bytes:
    made = openpyxl.Workbook()
    made.remove(made.active)
    for title, cells in sheets.items():
        sheet = made.create_sheet(title)
        for row in cells:
            sheet.append(row)
    made.save(out := io.BytesIO())
    return out.getvalue()


def zipped(**files: str | bytes) -> bytes:
    with zipfile.ZipFile(out := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name.replace("__", "/").replace("_csv", ".csv"), content)
    return out.getvalue()


def parquet(**columns: object) -> bytes:
    pyarrow.parquet.write_table(pyarrow.table(columns), out := io.BytesIO())
    return out.getvalue()


GOOD = "text,label\n" + rows()
SHEET = [["text", "label"], *map(list, zip(TEXTS, LABELS, strict=True))]
NUMBERED = "\n".join(f"{index},{line}" for index, line in enumerate(rows().splitlines()))
FRENCH = ["très bon", "c’est très “mauvais”", "Noël à Besançon", "l’œuvre – 5 €", "garçon", "déjà vu"]
FRENCH_ROWS = "text;label\n" + rows(";", texts=FRENCH)
STARS = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]
WITH_NONE = ["good", "bad", "None", "bad", "good", "None"]

NO_NAMES = ["has no header row", "is taken for it"]

# kind, name of the file, its content, the texts (default: TEXTS), the labels of the only task, what is told (none: nothing)
READ = [
    # spreadsheets
    ("sep= names the delimiter", "x.csv", "sep=;\r\ntext;label\r\n" + rows(";"), TEXTS, LABELS, []),
    ("sep= behind a byte order mark and in quotes", "x.csv", '\ufeff"sep=|"\ntext|label\n' + rows("|"), TEXTS, LABELS, []),
    ("sep= as a tab", "x.csv", "sep=\t\ntext\tlabel\n" + rows("\t"), TEXTS, LABELS, []),
    ("pandas' index has no name", "x.csv", ",text,label\n" + NUMBERED, TEXTS, LABELS, ["column 1 has no name and numbers the rows"]),
    ("pandas' index of a part, or of joined tables", "x.csv", ",text,label\n" + NUMBERED.replace("2,it", "0,it"), TEXTS, LABELS,
     ["column 1 has no name and holds numbers"]),
    ("pandas' index read and written again", "x.csv", "Unnamed: 0,text,label\n" + NUMBERED, TEXTS, LABELS,
     ["'Unnamed: 0' is not taken for a task: it has no name of its own"]),
    ("R's rows are numbered below no name", "x.tsv", "text\tlabel\n" + NUMBERED.replace(",", "\t"), TEXTS, LABELS, ["numbers the rows"]),
    ("empty columns at the end", "x.csv", "text,label,,,\n" + rows().replace("\n", ",,,\n"), TEXTS, LABELS,
     ["3 columns have no name and no filled cell"]),
    ("empty cells at the end of some rows only", "x.csv", GOOD.replace("rude,bad", "rude,bad,,"), TEXTS, LABELS, []),
    ("rows of empty cells", "x.csv", GOOD + ",\n,\n" + "one more,good\n", [*TEXTS, "one more"], [*LABELS, "good"],
     ["2 rows have no filled cell and are left out"]),
    ("a title above the header", "x.csv", "Feedback of May,\n,\n" + GOOD, TEXTS, LABELS, ["the names of the columns are in line 3"]),
    ("a title without delimiters", "x.csv", "Feedback of May\nsecond export\n\ntext;label\n" + rows(";"), TEXTS, LABELS,
     ["separated by ';'", "the names of the columns are in line 4"]),
    ("a title of two cells", "x.csv", "Feedback,2024-05-01\n" + GOOD, TEXTS, LABELS, ["the names of the columns are in line 2"]),
    ("a title above names that are unknown", "x.csv", "Feedback of May\nReview,Mood\n" + rows(), TEXTS, LABELS,
     ["the names of the columns are in line 2"]),
    ("the header again in the middle", "x.csv", GOOD + GOOD, TEXTS * 2, LABELS * 2, ["1 row has the names of the columns again"]),
    ("nan as a label", "x.csv", GOOD.replace(",bad", ",nan"), TEXTS, ["good", None] * 3, ["3 cells with a word such as nan.*in line 3"]),
    ("errors of Excel as labels", "x.csv", GOOD.replace("fine,good", "fine,#N/A").replace("rude,bad", "rude,#REF!"), TEXTS,
     ["good", "bad", None, None, "good", "bad"], ["2 cells with a word such as nan, #N/A.*in line 4"]),
    (r"\N of a database", "x.tsv", "text\tlabel\n" + rows("\t", ["x", "\\N"] * 3), TEXTS, ["x", None] * 3, ["3 cells"]),
    ("NULL of a database", "x.csv", GOOD.replace("fine,good", "fine,NULL"), TEXTS, ["good", "bad", None, "bad", "good", "bad"], ["1 cell"]),
    ("None among small letters is no label", "x.csv", "text,label\n" + rows(labels=WITH_NONE), TEXTS,
     ["good", "bad", None, "bad", "good", None], ["'None' in 'label' is read as an empty cell.* Write 'none'", "2 cells"]),
    ("None among capitals is a label", "x.csv", "text,label\n" + rows(labels=[label.title() for label in WITH_NONE]), TEXTS,
     ["Good", "Bad", "None", "Bad", "Good", "None"], ["'None' is read as a label of 'label'"]),
    ("None where a value can be null is a label", "x.jsonl", in_json(WITH_NONE), TEXTS, WITH_NONE,
     ["'None' is read as a label of 'label'"]),
    ("1.0 as a text where there are numbers", "x.jsonl", in_json(map(str, STARS)), TEXTS, list(map(str, STARS)), []),
    ("none is a label", "x.csv", "text,label\n" + rows(labels=[label.lower() for label in WITH_NONE]), TEXTS,
     ["good", "bad", "none", "bad", "good", "none"], []),
    ("1.0 for 1", "x.csv", "text,label\n" + rows(labels=STARS), TEXTS, list("101010"), ["whole numbers, written like 1.0"]),
    ("1.0 for 1 beside empty and nan", "x.csv", "text,label\n" + rows(labels=[1.0, 0.0, "nan", "", 1.0, 0.0]), TEXTS,
     ["1", "0", None, None, "1", "0"], ["written like 1.0", "1 cell with a word such as nan"]),
    ("1.0 in JSON", "x.jsonl", in_json(STARS), TEXTS, list("101010"), ["written like 1.0"]),
    ("1.0, null and not a number in Parquet", "x.parquet", parquet(text=TEXTS, label=[1.0, 0.0, None, float("nan"), 1.0, 0.0]), TEXTS,
     ["1", "0", None, None, "1", "0"], ["written like 1.0"]),
    ("versions are no whole numbers", "x.csv", "text,label\n" + rows(labels=["1.0", "1.10", "2.0"] * 2), TEXTS,
     ["1.0", "1.10", "2.0"] * 2, []),
    ("UTF-16 with tabs, as Excel's Unicode text", "x.txt", ("text\tlabel\r\n" + rows("\t", texts=FRENCH)).encode("utf-16"), FRENCH, LABELS,
     ["separated by TABs", "is read as utf-16"]),
    ("UTF-16 the other way round", "x.csv", b"\xfe\xff" + GOOD.encode("utf-16-be"), TEXTS, LABELS, ["is read as utf-16"]),
    ("UTF-16 without a mark", "x.csv", GOOD.encode("utf-16-le"), TEXTS, LABELS, ["is read as utf-16-le"]),
    ("cp1252 of a Windows program", "x.csv", FRENCH_ROWS.encode("cp1252"), FRENCH, LABELS, ["separated by ';'", "is read as cp1252"]),
    ("latin-1 in JSON lines", "x.jsonl", '{"text": "déjà vu", "label": "très"}\n'.encode("latin-1"), ["déjà vu"], ["très"],
     ["is read as cp1252"]),
    # workbooks
    ("a workbook", "x.xlsx", book(Data=SHEET), TEXTS, LABELS, []),
    ("a workbook with a title, an empty row, an empty column and numbers", "x.xlsx",
     book(Data=[["Survey"], [], ["Review", "Stars", None], *([text, star, None] for text, star in zip(TEXTS, STARS, strict=True))]), TEXTS,
     list("101010"), ["the names of the columns are in row 3"]),
    ("a workbook with an empty cell, an error and true", "x.xlsx",
     book(Data=[["text", "label"], ["a b", True], ["c d", None], ["e f", "#VALUE!"], ["g h", False]]), ["a b", "c d", "e f", "g h"],
     ["true", None, None, "false"], ["1 cell with a word such as nan.*in row 4"]),
    ("a remark beside the table", "x.xlsx", book(Data=[*SHEET, *SHEET[1:6], ["so so", "bad", "look!"]]), [*TEXTS, *TEXTS[:5], "so so"],
     [*LABELS, *LABELS[:5], "bad"], ["1 column has no name but 1 row with something in it .first in row 13., and is left out"]),
    ("the sheet with most texts", "x.xlsx", book(Notes=[["made in May"]], Data=SHEET, Sums=[[1, 2]] * 20), TEXTS, LABELS,
     ["its sheet 'Data' is read, and not Notes, Sums. To read another, put its name at the end of the file's name: x.Notes.xlsx"]),
    ("the sheet that the file's name ends in", "x.Old.xlsx", book(New=SHEET * 2, Old=SHEET), TEXTS, LABELS, ["its sheet 'Old' is read"]),
    ("dates of a workbook", "x.xlsx", book(Data=[["text", "day"], *([text, datetime(2024, 5, 1)] for text in TEXTS)]), TEXTS,
     ["2024-05-01"] * 6, []),
    ("a workbook under another name", "x.data", book(Data=SHEET), TEXTS, LABELS, []),
    # TSV
    ("quotes that enclose nothing in TSV", "x.tsv", 'text\tlabel\n"Never again\tbad\nsaid "who"\tgood\n"Best" tea\tgood\n',
     ['"Never again', 'said "who"', '"Best" tea'], ["bad", "good", "good"], ["is written without quoting"]),
    ("a quotation over two lines of TSV", "x.tsv", 'text\tlabel\n"I am tired.\tbad\nI go home."\tbad\nFine.\tgood\n',
     ['"I am tired.', 'I go home."', "Fine."], ["bad", "bad", "good"], ["is written without quoting"]),
    ("inches", "x.tsv", 'text\tlabel\n12" tube\tgood\n7" and 9"\tbad\n', ['12" tube', '7" and 9"'], ["good", "bad"], []),
    ("TSV that is quoted for real", "x.tsv", '"text"\t"label"\n"a ""b"" c"\t"good"\n"d"\t"bad"\n', ['a "b" c', "d"], ["good", "bad"], []),
    ("TSV with a line break in quotes", "x.tsv", 'text\tlabel\n"a\nb"\tgood\nc\tbad\n', ["a\nb", "c"], ["good", "bad"],
     ["1 row has a TAB or a line break within quotes .first in line 2"]),
    ("quotes in the middle of CSV", "x.csv", 'text,label\nshe said "no" twice,bad\n12" tube,good\n',
     ['she said "no" twice', '12" tube'], ["bad", "good"], []),
    ("CSV with commas and line breaks in quotes", "x.csv", 'text,label\n"a, b\nc",good\n"d, e\nf",bad\n', ["a, b\nc", "d, e\nf"],
     ["good", "bad"], []),
    (r"quotes written \", as Spark and MySQL do", "x.csv", 'text,label\n"he said \\"no\\", so",bad\n"a\\n, b",good\n',
     ['he said "no", so', "a\\n, b"], ["bad", "good"], ["is read as a quote"]),
    ("a backslash at the end of a cell in quotes", "x.csv", 'text,label\n"C:\\so, so\\",bad\n"d, e",good\n', ["C:\\so, so\\", "d, e"],
     ["bad", "good"], []),
    ("blanks in front of quotes", "x.csv", 'label, text\nbad, "so, so"\ngood, "a b"\n', ["so, so", "a b"], ["bad", "good"], []),
    ("R's table of quoted cells between blanks", "x.txt",
     '"text" "label"\n"1" "so \\"it\\" is" "x"\n"2" "a b" "y"\n', ['so "it" is', "a b"],
     ["x", "y"], ["separated by blanks", "read as a quote", "numbers the rows"]),
    ("R's table of quoted cells between TABs", "x.txt",
     '"text"\t"label"\n"so \\"it\\" is"\t"x"\n"a b"\t"y"\n', ['so "it" is', "a b"],
     ["x", "y"], ["separated by TABs", "read as a quote"]),
    # headers
    ("a header whose word is also a label", "x.csv", "text,label\n" + rows(labels=["label", "text"] * 3), TEXTS, ["label", "text"] * 3, []),
    ("an unknown header whose word is also a label", "x.csv", "Review,spam\n" + rows(labels=["spam", "ham"] * 3), TEXTS,
     ["spam", "ham"] * 3, []),
    ("a name above numbers", "x.csv", "what our guests said about us at the end,Stars\n" + rows(labels=["5", "1"] * 3), TEXTS,
     ["5", "1"] * 3, ["is taken for it"]),
    ("questions as a header", "x.csv", "What did you like best about your stay here?,Would you come back to us?\n" + rows(), TEXTS, LABELS,
     ["is taken for it"]),
    ("a question that is too long for a name", "x.csv", f"What did you like {'very ' * 12}much?,label\n" + rows(), TEXTS, LABELS,
     ["the name of column 1 is long; it is cut to", "is taken for it"]),
    ("no header", "x.csv", rows(), TEXTS, LABELS, ["has no header row; .* column 1, column 2. Write their names in the first line, or say",
                                         "'column 1' is taken"]),
    ("no header, and first a question", "x.csv", rows(texts=["where is my card?", *TEXTS[1:]]), ["where is my card?", *TEXTS[1:]], LABELS,
     ["has no header row", "'column 1' is taken"]),
    ("a header with blanks, marks and capitals", "x.csv", "\ufeff Text ,\u200bLABEL\n" + rows(), TEXTS, LABELS, ["blanks around"]),
    ("a header with a line break in a name", "x.csv", '"text","the\nlabel"\n' + rows(), TEXTS, LABELS, ["blanks around"]),
    ("no header, and every row ends in a delimiter", "x.tsv", rows("\t").replace("\n", "\t\n"), TEXTS, LABELS,
     [*NO_NAMES, "'column 3' is not taken for a task: no row has a value"]),
    ("no header, and a hole in the first row", "x.tsv", "gj\t\t1\tso good\ngj\t*\t0\tso bad\ngj\t*\t1\tso so\n",
     ["so good", "so bad", "so so"], [["gj", None, "1"], ["gj", "*", "0"], ["gj", "*", "1"]], NO_NAMES),
    ("no header, and the tags of a sentence in a cell", "x.tsv", "Ada left\tB-PER O\nso it\tO O\n", ["Ada left", "so it"],
     [(Span(0, 3, "PER"),), ()], NO_NAMES),
    ("a header of joined files, with its byte order mark", "x.csv", GOOD + "\ufeff" + GOOD, TEXTS * 2, LABELS * 2,
     ["the names of the columns again"]),
    ("Qualtrics' three headers", "x.csv",
     'Q1,Q2\n"What did you like, and why?",Mood\n"{""ImportId"":""QID1""}","{""ImportId"":""QID2""}"\n' + rows(),
     TEXTS, LABELS, ["2 rows below the names of the columns describe them, and are left out", "is taken for it"]),
    ("SurveyMonkey's two headers", "x.csv", "id,What did you like?,Mood\n,Open-Ended Response,Response\n" + NUMBERED, TEXTS, LABELS,
     ["1 row below the names of the columns describes them, and is left out", "is taken for it", "'id' is not taken"]),
    # delimiters
    ("TABs, and in every text as many commas", "x", "".join(f"{label}\tso, and so {index}\n" for index, label in enumerate(LABELS)),
     [f"so, and so {index}" for index in range(6)], LABELS, ["separated by TABs", *NO_NAMES]),
    ("labels behind a semicolon, named .txt", "x.txt", rows(";", LABELS * 2, [text.replace(";", "") for text in TEXTS * 2]),
     [text.replace(";", "") for text in TEXTS * 2], LABELS * 2, ["separated by ';'", *NO_NAMES]),
    # columns that are no labels
    ("overflow in columns without a name (the SMS collection)", "x.csv", "text,label,,\n" + rows(labels=LABELS * 4, texts=TEXTS * 4)
     .replace("\n", ",,\n").replace("bad,,", "bad,oh,", 1), TEXTS * 4, LABELS * 4,
     [r"2 columns have no name but 1 row with something in them .first in line 3., and are left out"]),
    ("numbers of the rows", "x.csv", "Nr.,text,label\n" + NUMBERED, TEXTS, LABELS, ["'Nr.' is not taken for a task: it numbers the rows"]),
    ("numbers of sentences", "x.csv", "Sentence #,text,label\nSentence: 1,a b,x\nSentence: 2,c d,y\n", ["a b", "c d"],
     ["x", "y"], ["it is an id"]),
    ("dates", "x.csv",
     "day,text,label\n" + "".join(f"0{index % 9 + 1}.05.2024,{line}\n" for index, line in enumerate(rows().splitlines() * 3)),
     TEXTS * 3, LABELS * 3, ["'day' is not taken for a task: it holds dates"]),
    ("fractions beside labels", "x.csv", "sure,text,label\n" + "".join(f"0.{index % 9 + 10},{line}\n" for index, line in
                                                                   enumerate(rows().splitlines() * 3)), TEXTS * 3, LABELS * 3,
     ["'sure' is not taken for a task: it holds numbers with a fraction"]),
    ("dates and addresses that are longer than the texts", "x.csv",
     "at,url,said,label\n" + "".join(f"2024-05-01 10:00:00 +0000,https://example.org/a-{index}/page/of/it,{line}\n"
                                      for index, line in enumerate(rows().splitlines() * 4)), TEXTS * 4, LABELS * 4,
     ["'said' is taken for it", "'at' is not taken", "'url' is not taken"]),
    ("NA of R among small letters", "x.csv", "text,label\n" + rows(labels=["good", "bad", "NA"] * 2), TEXTS, ["good", "bad", None] * 2,
     ["'NA' in 'label' is read as an empty cell.* Write 'na'", "2 cells"]),
    ("NA among capitals", "x.csv", "text,land\n" + rows(labels=["DE", "FR", "NA"] * 2), TEXTS, ["DE", "FR", "NA"] * 2,
     ["'NA' is read as a label of 'land'"]),
    ("several numbers in a cell (GoEmotions)", "x.tsv", "text\tlabels\n" + rows("\t", ["1", "2", "1,2,3", "3", "1,3", "2"]), TEXTS,
     [("1",), ("2",), ("1", "2", "3"), ("3",), ("1", "3"), ("2",)], ["has several labels in a cell, with ','"]),
    # archives and names
    ("a zip of one file", "x.zip", zipped(data_csv=GOOD), TEXTS, LABELS, []),
    ("a zip with what systems add", "x.zip", zipped(**{"mine__data_csv": GOOD, "__MACOSX__mine__._data_csv": "x", ".DS_Store": "x",
                                                       "README.md": "# mine", "plot.png": b"\x89PNG"}), TEXTS, LABELS, []),
    ("gzip", "x.csv.gz", gzip.compress(GOOD.encode()), TEXTS, LABELS, []),
    ("bzip2 under another name", "x", bz2.compress(GOOD.encode()), TEXTS, LABELS, []),
    ("a zip under the name of a table", "x.csv", zipped(data_csv=GOOD), TEXTS, LABELS, []),
    ("CSV without an ending", "x", GOOD, TEXTS, LABELS, []),
    ("CSV of unknown names under an unknown ending", "x.data", "Review;Mood\n" + rows(";"), TEXTS, LABELS, ["separated by ';'"]),
    ("TSV under an unknown ending", "x.dat", "sentence\tmood\n" + rows("\t"), TEXTS, LABELS, ["separated by TABs"]),
    ("JSON lines without an ending", "train", '{"text": "a b", "label": "x"}\n', ["a b"], ["x"], []),
    ("fastText's lines without an ending", "x.train", "__label__x a b\n__label__y c d\n", ["a b", "c d"], ["x", "y"], []),
    # many labels
    ("250 classes of 260 rows in a column for labels", "x.csv",
     "text,label\n" + "".join(f"text {index},c{index % 250}\n" for index in range(260)), [f"text {index}" for index in range(260)],
     [f"c{index % 250}" for index in range(260)], []),
    ("1,000 classes", "x.csv", "text,topic\n" + "".join(f"text {index},c{index % 1000}\n" for index in range(2000)),
     [f"text {index}" for index in range(2000)], [f"c{index % 1000}" for index in range(2000)], []),
]

# kind, name of the file, its content, a part of the message
REFUSED = [
    ("values below no name, after many empty cells", "x.csv", "text,label,\n" + "a b,x,\n" * 300 + "a b,x,oh\n" * 50,
     "line 302: a column without a name is filled, and so in 50 of 350 rows. Give every column a name"),
    ("names that are missing but for the first", "x.csv", "Mood,\n" + rows(texts=LABELS, labels=TEXTS), "line 1: column 2 has no name"),
    ("a name missing in the middle", "x.csv", "text,,label\na,b,c\n", "line 1: column 2 has no name"),
    ("a name twice", "x.csv", "text,label,label \na,b,c\n", "line 1: column 'label' appears twice"),
    ("two encodings", "x.csv", FRENCH_ROWS.encode() + "à la carte;good\n".encode("cp1252"),
     "line 8: byte 0xE0 is not UTF-8, and not all of the file is in cp1252. Save it as UTF-8"),
    ("Cyrillic of Windows", "x.csv", ("text,label\n" + "хорошо,good\n").encode("cp1251"), "line 2: byte 0xF5 is not UTF-8"),
    ("the Mac's old encoding", "x.csv", ("text,label\n" + "caf\u00e9s,good\n").encode("mac-roman"), "line 2: byte 0x8E is not UTF-8"),
    ("UTF-16 that is cut off", "x.csv", GOOD.encode("utf-16")[:-1], "line 7: has bytes that are not UTF-16. Is the file whole?"),
    ("an old workbook", "x.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100),
     "x.xls: is an Excel file of the old format, or one with a password, not plain text. Save it as .xlsx or as CSV"),
    ("a workbook that is cut off", "x.xlsx", book(Data=SHEET)[:-300], "x.xlsx: is damaged"),
    ("a text that is called .xlsx", "x.xlsx", GOOD, "x.xlsx: is plain text, not an Excel or zip file"),
    ("a sheet that is not there", "x.xlsx:Tests", book(Data=SHEET), "x.xlsx: has no sheet 'Tests'. Its sheets are: Data."),
    ("a workbook without rows", "x.xlsx", book(Data=[["text", "label"]]), "has a header but no rows"),
    ("a zip in a zip", "x.zip", zipped(**{"data_csv": GOOD, "more.zip": zipped(data_csv=GOOD)}), "x.zip: holds another archive (more.zip)"),
    ("a zip of pictures", "x.zip", zipped(**{".hidden": "x", "README.md": "x"}), "x.zip: holds no file with data"),
    ("a zip of many files", "x.zip", zipped(**{f"{index}_csv": GOOD for index in range(33)}), "holds 33 files with data, the limit is 32"),
    ("a zip that is cut off", "x.zip", zipped(data_csv=GOOD)[:-30], "x.zip: is damaged, and cannot be unpacked"),
    ("a document", "x.docx", zipped(**{"[Content_Types].xml": "x", "word__document.xml": "x"}), "is a document of an office program"),
    ("gzip that is cut off", "x.csv.gz", gzip.compress(GOOD.encode())[:-12], "x.csv.gz: is damaged"),
    ("a tar archive", "x.tar.gz", gzip.compress(b"x"), "x.tar.gz: is a tar archive"),
    ("a pointer of Git LFS", "train.csv", "version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 1\n",
     "train.csv: is only Git LFS's pointer to the file, not plain text. Get the file itself: git lfs pull."),
    ("XML", "x.xml", "<?xml version='1.0'?><r><a>so</a></r>", "x.xml: is XML, not plain text. Save the data as CSV or JSONL"),
    ("a picture without an ending", "x", b"\x89PNG\r\n", "x: is a PNG image"),
    ("prose under an unknown ending", "x.doc2", "Dear all,\nthis is it.\n", "this kind of file cannot be read"),
]


def read(folder: Path, name: str, content: str | bytes, columns: str = ""):
    path = folder / name.partition(":")[0]
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_files(unpack([folder / name], folder / "unpacked"), parse_columns(columns))


@pytest.mark.parametrize(("name", "content", "texts", "labels", "told"), [pytest.param(*case[1:], id=case[0]) for case in READ])
def test_a_file_of_this_kind_is_read_as_it_is_meant(tmp_path, name, content, texts, labels, told):
    table = read(tmp_path, name, content)
    assert [row.text for row in table.rows] == texts
    assert [list(row.values.values()) for row in table.rows] == [label if isinstance(label, list) else [label] for label in labels]
    notices = [notice.partition(": ")[2] for notice in table.notices]
    assert len(notices) == len(told) and all(re.search(part, notice) for part, notice in zip(told, notices, strict=True)), table.notices


@pytest.mark.parametrize(("name", "content", "message"), [pytest.param(*case[1:], id=case[0]) for case in REFUSED])
def test_a_file_of_this_kind_is_refused_with_the_way_out(tmp_path, name, content, message):
    with pytest.raises(MtlError) as caught:
        read(tmp_path, name, content)
    assert message in str(caught.value) and str(caught.value).startswith(name.partition(":")[0])


# Archives


def test_a_zip_gives_its_splits_and_nothing_is_written_outside(tmp_path):
    (tmp_path / "in").mkdir()
    packed = zipped(**{"train_csv": GOOD, "dev__data_csv": GOOD, "..__..__test_csv": GOOD, "/etc__more_csv": GOOD, "..\\evil_csv": GOOD})
    (tmp_path / "in/x.zip").write_bytes(packed)
    found = spread({"train_files": [tmp_path / "in/x.zip"]}, tmp_path / "in/unpacked")
    assert {split: sorted(Path(name).name for name in names) for split, names in found.items()} == {
        "train_files": ["evil.csv", "more.csv", "train.csv"], "validation_files": ["dev-data.csv"], "test_files": ["test.csv"]}
    assert [path.name for path in tmp_path.iterdir()] == ["in"] and len(list((tmp_path / "in").iterdir())) == 2
    assert spread({"train_files": [tmp_path / "in/x.zip"]}, tmp_path / "in/unpacked") == found  # unpacked once


def test_a_link_in_a_zip_is_left_out(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.writestr("data.csv", GOOD)
        link = zipfile.ZipInfo("link.csv")
        link.external_attr = 0o120777 << 16
        packed.writestr(link, "/etc/passwd")
    assert [path.name for path in unpack([tmp_path / "x.zip"], tmp_path / "u")] == ["data.csv"]


@pytest.mark.parametrize("name", ["x.zip", "x.csv.gz"])
def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path, monkeypatch, name):
    monkeypatch.setattr(archive, "MAX_UNPACKED", 3_000_000)
    monkeypatch.setattr(archive, "PART", 100_000)
    bomb = b"text,label\n" + b"a" * 5_000_000
    (tmp_path / name).write_bytes(zipped(data_csv=bomb) if name == "x.zip" else gzip.compress(bomb))
    with pytest.raises(MtlError, match="MB when unpacked, the limit is"):
        unpack([tmp_path / name], tmp_path / "u")
    assert list((tmp_path / "u").iterdir()) == []


# Many labels


def test_a_column_for_labels_is_never_left_out_without_a_word(tmp_path):
    many = "text,label\n" + "".join(f"text {index},c{index % 1200}\n" for index in range(2400))
    table = read(tmp_path, "x.csv", many)
    assert table.notices[:1] == ["x.csv: 'label' is not taken for a task: it has over 1,050 different values in 2,400 rows, and at most "
                                 f"{MAX_LABELS:,} labels can be trained."]
    with pytest.raises(MtlError, match=r"^x\.csv: has texts but no labels\. .* at most 1,000 labels can be trained\.$"):
        choose_tasks(table, (), "x.csv")
