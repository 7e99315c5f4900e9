"""Files into rows: what is accepted, what is refused and with which words."""

import codecs
import gzip
import json
import re
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtl.data.files import MAX_BYTES
from mtl.data.readers import read_file
from mtl.data.rows import Table
from mtl.data.words import Span, find_words, spans_to_tags, tags_to_spans
from mtl.errors import MtlError

SNIPS = Path(__file__).parents[2] / "shared/data/snips"
EXAMPLES = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(folder: Path, name: str, content: bytes | str, **options) -> Table:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_file(path, **options)


def jsonl(*rows: object) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def entity(start: object, end: object, label: object = "PER") -> bytes:
    return jsonl({"text": "café in Rome", "e": []}, {"text": "café in Rome", "e": [{"start": start, "end": end, "label": label}]})


GOOD = b"text,label\nhello,a\n"
OBJECT = b'{"text": "a", "label": "b"}\n'
MANY = ",".join(f"c{index}" for index in range(65))

BAD = [  # corpus id, file name, bytes, a part of the message
    ("C1", "x.csv", b"", "x.csv: is empty"),
    ("C2", "x.csv", codecs.BOM_UTF8, "is empty"),
    ("C3", "x.csv", b"\n \r\n\n", "x.csv: has no header row"),
    ("C4", "x.csv", b"text,label\n\n", "has a header but no rows"),
    ("C6-le", "x.csv", "\ufefftext\n".encode("utf-16-le"), "is UTF-16"),
    ("C6-be", "x.csv", "\ufefftext\n".encode("utf-16-be"), "is UTF-16"),
    ("C6-32", "x.csv", "\ufefftext\n".encode("utf-32-le"), "is UTF-32"),
    ("C7", "x.csv", b"text,label\ncaf\xe9,a\n", "x.csv, line 2: byte 0xE9 is not UTF-8"),
    ("C7-cr", "x.csv", b"text,label\rok,b\rcaf\xe9,a\r", "line 3: byte 0xE9"),
    ("C8", "x.csv", b"text,label\na,b\nc\0d,e\n", "line 3: contains NUL bytes"),
    ("C9", "x.csv", bytes(1000), "line 1: contains NUL bytes"),
    ("C10", "x.csv", b"\x89PNG\r\n\x1a\n\0\0", "is a PNG image"),
    ("C11", "x.csv", b"PK\x03\x04\x14\0\x06\0", "is an Excel or zip file"),
    ("C12", "x.csv", gzip.compress(GOOD), "is gzip-compressed"),
    ("C13", "x.csv", b"PAR1\x15\x04\x15", "is Parquet"),
    ("C14", "x.csv", b"\n<!DOCTYPE html><html></html>", "is a web page"),
    ("pdf", "x.jsonl", b"%PDF-1.7\n", "is a PDF document"),
    ("zstd", "x.jsonl", b"\x28\xb5\x2f\xfd\x04", "is zstd-compressed"),
    ("xz", "x.jsonl", b"\xfd7zXZ\0\0", "is xz-compressed"),
    ("C16", "x.csv", b'text,label\n"abc,x\ndef,y\n', "line 2: a quote opened in line 2 is never closed"),
    ("C17", "x.csv", b'text,label\n"a"b,c\n', "line 2: characters after the closing quote"),
    ("C17-later", "x.csv", b'text,label\n"a\nb" c,d\n', "line 3: characters after the closing quote of a field opened in line 2"),
    ("C18", "x.csv", b"text,label\na,b,c\n", "line 2: has 3 field(s), the header has 2. Put texts that contain commas in double quotes"),
    ("C18-later", "x.csv", b'text,label\n"a\nb\nc",d\n\na,b,c\n', "line 6: has 3 field(s)"),
    ("C18-crlf", "x.csv", b"text,label\r\na,b\r\na,b,c\r\n", "line 3: has 3 field(s)"),
    ("C7-crlf", "x.csv", b"text,label\r\na,b\r\n\xe9,b\r\n", "line 3: byte 0xE9"),
    ("C19", "x.csv", b"text,label\na\n", "line 2: has 1 field(s), the header has 2"),
    ("C20", "x.csv", b"text,label, text \na,b,c\n", "line 1: column 'text' appears twice"),
    ("C21", "x.csv", b"text,,label\na,b,c\n", "line 1: column 2 has no name"),
    ("C22", "x.csv", b"\ntext,label,\na,b,\n", "line 2: column 3 has no name"),
    ("C31", "x.csv", b"text,label\n" + b"a" * 20_001 + b",b\n", "line 2: 'text' has 20,001 characters, the limit is 20,000"),
    ("C32", "x.csv", b"text,label\na,b\n" + b"a" * 200_000 + b",b\n", "line 3: a text has over 131,072 characters, the limit is 20,000"),
    ("C34", "x.csv", f"{MANY}\n{MANY}\n".encode(), "line 1: there are 65 columns, the limit is 64"),
    ("C-blank", "x.csv", b"text,label\na,b\n ,c\n", "line 3: 'text' is empty"),
    ("C-label", "x.csv", b"text,label\na," + b"b" * 65 + b"\n", "line 2: 'label' has the label"),
    ("C-name", "x.csv", b"text," + b"b" * 65 + b"\na,b\n", "line 1: column 2 has the name"),
    ("C-json", "x.csv", OBJECT, "looks like JSON"),
    ("suffix", "x.xlsx", GOOD, "this kind of file cannot be read. Give .csv, .tsv, or .jsonl"),
    ("J1", "x.jsonl", b"", "x.jsonl: is empty"),
    ("J2", "x.jsonl", b"\n\n \n", "x.jsonl: is empty"),
    ("J3", "x.json", b"[" + OBJECT + b"]", "is a JSON array. Write one object per line"),
    ("J4", "x.json", b'{\n  "text": "a"\n}\n', "line 1: the object is not closed. Write one whole object per line"),
    ("J5", "x.jsonl", b'\n{"text": "a",}\n', "line 2: column 14 is not JSON"),
    ("J6", "x.jsonl", b"{'text': 'a'}\n", "line 1: column 2 is not JSON"),
    ("J7", "x.jsonl", OBJECT + b"// a comment\n", "line 2: column 1 is not JSON"),
    ("J8", "x.jsonl", OBJECT + b'{"text": "a", "label": NaN}\n', "line 2: NaN is not allowed in JSON"),
    ("J8-inf", "x.jsonl", b'{"text": "a", "label": -Infinity}\n', "line 1: -Infinity is not allowed in JSON"),
    ("J9", "x.jsonl", b'{"text": "a", "text": "b"}\n', "line 1: key 'text' appears twice"),
    ("J10", "x.jsonl", b'{"text": ' + b"[" * 100_000 + b"\n", "line 1: nested too deeply"),
    ("J11", "x.jsonl", b'{"text": "a", "label": ' + b"1" * 200_000 + b"}\n", "line 1: a number is too long"),
    ("J12-list", "x.jsonl", OBJECT * 2 + b'["a"]\n', "line 3: is list, an object"),
    ("J12-text", "x.jsonl", OBJECT + b'"a"\n', "line 2: is text, an object"),
    ("J12-number", "x.jsonl", OBJECT + b"1\n", "line 2: is number, an object"),
    ("J12-null", "x.jsonl", OBJECT + b"null\n", "line 2: is null, an object"),
    ("J13", "x.jsonl", OBJECT + b'{"text": null}\n', "line 2: 'text' is null, a text is needed"),
    ("J14", "x.jsonl", OBJECT + b'{"text": 5}\n', "line 2: 'text' is number, a text is needed"),
    ("J15", "x.jsonl", OBJECT + b'{"text": ["a"]}\n', "line 2: 'text' is list, a text is needed"),
    ("J16", "x.jsonl", OBJECT + b'{"label": "b"}\n', "line 2: there is no 'text'"),
    ("J-no-text", "x.jsonl", b'{"label": "b", "id": "7"}\n', "line 1: no text among its keys (label, id)"),
    ("J17", "x.jsonl", jsonl({"tokens": ["a", "b"], "tags": ["O"]}), "line 1: 2 tokens but 1 tags in 'tags'"),
    ("J18", "x.jsonl", jsonl({"tokens": [], "tags": []}), "line 1: 'tokens' has no tokens"),
    ("J19", "x.jsonl", jsonl({"tokens": ["a", "b", ""], "tags": ["O"] * 3}), "token 3 of 'tokens' is empty"),
    ("J19-blank", "x.jsonl", jsonl({"tokens": ["New York"], "tags": ["O"]}), "token 1 of 'tokens' 'New York' has a blank in it"),
    ("J19-type", "x.jsonl", jsonl({"tokens": ["a", 5], "tags": ["O", "O"]}), "token 2 of 'tokens' is number"),
    ("J19-many", "x.jsonl", jsonl({"words": ["a"] * 2001}), "line 1: 'words' has 2,001 tokens, the limit is 2,000"),
    ("J19-text", "x.jsonl", jsonl({"tokens": ["a"]}, {"tokens": "a b"}), "line 2: 'tokens' is text, a list of texts"),
    ("J20", "x.jsonl", jsonl({"tokens": ["a", "b"], "tags": [0, 1]}), "'tags' has number '0' for a tag. Names such as O, B-PER"),
    ("J21", "x.jsonl", jsonl({"tokens": ["a", "b"], "tags": ["O", 1]}), "'tags' has number '1' for a tag"),
    ("J22", "x.jsonl", OBJECT + b'{"text": "\\ud800"}\n', "line 2: broken Unicode"),
    ("J23-empty", "x.jsonl", entity(3, 3), "line 2: 'e' has an entity from 3 to 3"),
    ("J23-order", "x.jsonl", entity(5, 3), "line 2: 'e' has an entity from 5 to 3"),
    ("J23-bytes", "x.jsonl", entity(8, 13), "from 8 to 13, the text has 12 characters. Start below end; count characters, not bytes"),
    ("J23-negative", "x.jsonl", entity(-4, 12), "from -4 to 12"),
    ("J23-float", "x.jsonl", entity(0.0, 4), "from 0.0 to 4. Whole numbers"),
    ("J23-bool", "x.jsonl", entity(True, 4), "from true to 4. Whole numbers"),
    ("J23-text", "x.jsonl", entity("0", 4), "from 0 to 4. Whole numbers"),
    ("J23-huge", "x.jsonl", entity(0, 10**4000), "line 2: 'e' has an entity from 0 to 1000"),
    ("J23-deep", "x.jsonl", b'{"text": "a", "e": ' + b"[" * 900 + b"]" * 900 + b"}", "line 1: 'e' lists a list"),
    ("J23-label", "x.jsonl", entity(0, 4, " "), "line 2: 'e' has 0-4 with label"),
    ("J23-label-null", "x.jsonl", entity(0, 4, None), "with label null"),
    ("J23-label-long", "x.jsonl", entity(0, 4, "L" * 65), "1 to 64 characters"),
    ("J23-key", "x.jsonl", jsonl({"text": "a", "e": [{"start": 0, "label": "x"}]}), "objects with start, end and label"),
    ("J23-strings", "x.jsonl", jsonl({"text": "a", "e": ["x"]}), "'e' lists x."),
    ("J23-overlap", "x.jsonl", jsonl({"text": "one two three", "e": [{"start": 4, "end": 13, "label": "A"}, {"start": 0, "end": 7,
     "label": "B"}]}),
     "line 1: in 'e' 0-7 and 4-13 overlap"),
    ("J27", "x.jsonl", OBJECT * 99 + b'{"text": "a", "lab',
     "line 100: the object is not closed. Write one whole object per line; is the file cut off?"),
    ("J28", "x.jsonl", OBJECT + b'{"text": "' + b"a" * 2_000_000 + b'"}', "line 2: has 2,000,012 characters, the limit is 1,000,000"),
    ("J29", "x.jsonl", jsonl({"text": "a"} | {f"k{index}": "v" for index in range(1000)}), "line 1: there are 65 columns, the limit is 64"),
    ("J29-empty", "x.jsonl", jsonl({"text": "a", "": "v"}), "has no name"),
    ("J30", "x.jsonl", jsonl(*[{"text": "a", "label": "1"}] * 8, {"text": "a", "label": 1}),
     "line 9: 'label' is number 1, earlier ones are text"),
    ("J30-bool", "x.jsonl", jsonl({"text": "a", "label": 1}, {"text": "a", "label": True}),
     "line 2: 'label' is true/false true, earlier ones are number"),
    ("J30-list", "x.jsonl", jsonl({"text": "a", "e": []}, {"text": "a", "e": "x"}), "line 2: 'e' is text, earlier ones are list"),
    ("long-name", "x" * 200 + ".jsonl", jsonl({"text": "a", "k" * 64: [{"start": 10**99, "end": 10**99, "label": ""}]}), ", line 1: "),
    *[(f"N12-{tag}", "x.jsonl", jsonl({"tokens": ["a"], "tags": ["O"]}, {"tokens": ["a"], "tags": [tag]}),
       f"line 2: tag '{tag}' in 'tags' is not in BIO form")
      for tag in ("B", "B-", "-PER", "b-per", "B_PER", "X-PER", "S-PER", "", "o", "B- PER")],
]


@pytest.mark.parametrize(("name", "content", "expected"), [pytest.param(*entry[1:], id=entry[0]) for entry in BAD])
def test_a_malformed_file_is_refused_in_one_sentence_with_its_line(tmp_path, name, content, expected):
    with pytest.raises(MtlError) as caught:
        read(tmp_path, name, content)
    message = str(caught.value)
    assert expected in message
    assert message.startswith(name[:36])
    assert len(message) <= 250
    assert "/" not in message.replace("true/false", "") and tmp_path.name not in message
    assert "Traceback" not in message and "Error" not in message
    assert message.isprintable() and message.endswith((".", "?"))


def test_a_file_that_is_not_there_or_too_large_is_refused(tmp_path):
    with pytest.raises(MtlError, match=r"^x\.csv: there is no such file"):
        read_file(tmp_path / "x.csv")
    with (tmp_path / "x.csv").open("wb") as file:
        file.truncate(MAX_BYTES + 100_000)  # sparse
    with pytest.raises(MtlError, match=r"^x\.csv: has 200\.1 MB, the limit is 200 MB"):
        read_file(tmp_path / "x.csv")


def test_a_gzip_bomb_is_refused_without_being_unpacked(tmp_path):
    bomb = gzip.compress(bytes(20_000_000))
    begin = time.perf_counter()
    with pytest.raises(MtlError, match="gzip"):
        read(tmp_path, "x.csv", bomb)
    assert time.perf_counter() - begin < 0.5
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


def test_a_column_that_is_not_there_is_answered_with_the_ones_that_are(tmp_path):
    with pytest.raises(MtlError, match=r"^x\.csv: there is no column 'review'. The columns are: text, label\.$"):
        read(tmp_path, "x.csv", GOOD, text_column="review")


@pytest.mark.parametrize(("name", "content"), [
    ("x.csv", GOOD), ("x.CSV", codecs.BOM_UTF8 + GOOD), ("x.csv", GOOD.replace(b"\n", b"\r")), ("x.csv", GOOD.replace(b"\n", b"\r\n")),
    ("x.csv", GOOD[:-1]), ("x.csv", b"\n" + GOOD + b"\n  \n"), ("x.csv", GOOD.replace(b"text", b'"Text"').lower()),
    ("x.csv", GOOD.replace(b",", b";")), ("x.csv", GOOD.replace(b",", b"|")), ("x.csv", GOOD.replace(b",", b"\t")),
    ("x.tsv", GOOD.replace(b",", b"\t")), ("x.csv", b"text , label\nhello, a \n"),
    ("x.jsonl", b'{"text": "hello", "label": "a"}'), ("x.ndjson", codecs.BOM_UTF8 + b'\r\n{"label": " a ", "text": "hello"}\r\n\r\n'),
    ("x.json", b'{"text": "hello", "label": "a"}\r'),
])
def test_the_same_row_is_read_from_every_dialect(tmp_path, name, content):
    table = read(tmp_path, name, content)
    assert [(row.text, row.values, row.words) for row in table.rows] == [("hello", {"label": "a"}, None)]
    assert [(task.name, task.kind) for task in table.tasks] == [("label", "classification")]


def test_another_separator_than_the_usual_is_said(tmp_path):
    assert "x.csv: the columns are separated by ';'." in read(tmp_path, "x.csv", GOOD.replace(b",", b";")).notices
    assert "x.csv: blanks around the names of columns were removed." in read(tmp_path, "x.csv", b"text, label\na,b\n").notices
    assert read(tmp_path, "x.csv", GOOD).notices == []


def test_labels_stay_the_text_that_stands_in_the_file(tmp_path):
    labels = ["None", "NA", "null", "nan", "007", "1.0", "True", "1e5", "=HYPERLINK(1)"]
    table = read(tmp_path, "x.csv", "text,label\n" + "".join(f"t,{label}\n" for label in labels))
    assert [row.values["label"] for row in table.rows] == labels


def test_an_empty_cell_a_missing_key_and_null_mean_not_labelled(tmp_path):
    table = read(tmp_path, "x.csv", "text,a,b\none,x,\ntwo, ,y\n")
    assert [row.values for row in table.rows] == [{"a": "x", "b": None}, {"a": None, "b": "y"}]
    table = read(tmp_path, "x.jsonl", jsonl({"text": "one", "e": None}, {"text": "two", "e": []}, {"text": "three", "a": "x"}))
    assert [row.values for row in table.rows] == [{"e": None, "a": None}, {"e": (), "a": None}, {"e": None, "a": "x"}]
    assert [(task.name, task.kind) for task in table.tasks] == [("e", "tagging"), ("a", "classification")]


def test_whole_numbers_and_true_false_in_json_become_text(tmp_path):
    table = read(tmp_path, "x.jsonl", jsonl({"text": "a", "n": 7, "b": True}, {"text": "a", "n": 0, "b": False}))
    assert [row.values for row in table.rows] == [{"n": "7", "b": "true"}, {"n": "0", "b": "false"}]


def test_newlines_in_quotes_and_unicode_line_separators_do_not_end_a_row(tmp_path):
    table = read(tmp_path, "x.csv", 'text,label\n"one\ntwo, ""three""",a\nfour\u2028five\x0bsix,b\n')
    assert [row.text for row in table.rows] == ['one\ntwo, "three"', "four\u2028five\x0bsix"]


def test_without_a_known_name_the_longest_texts_are_taken_and_said(tmp_path):
    table = read(tmp_path, "x.csv", "kind,review\nx,a long sentence\ny,another one\n")
    assert [row.text for row in table.rows] == ["a long sentence", "another one"]
    assert any("'review' is taken for it" in notice for notice in table.notices)
    assert [row.text for row in read(tmp_path, "x.csv", "kind,review\nx,a long sentence\n", text_column="KIND").rows] == ["x"]


def test_free_text_and_ids_are_no_tasks_unless_they_are_declared(tmp_path):
    lines = "text,id,label\n" + "".join(f"t,id{index},{index % 2}\n" for index in range(20))
    table = read(tmp_path, "x.csv", lines)
    assert [task.name for task in table.tasks] == ["label"]
    assert table.notices == ["x.csv: 'id' is not taken for a task: 20 different values in 20 rows look like free text or ids."]
    assert [task.name for task in read(tmp_path, "x.csv", lines, tasks=["id"]).tasks] == ["id", "label"]


def test_metadata_in_json_is_left_out_and_said(tmp_path):
    table = read(tmp_path, "x.jsonl", jsonl(
        {"text": "a", "meta": {"x": 1}, "score": 1, "label": "x", "none": None}, {"text": "b", "score": 0.5}))
    assert [task.name for task in table.tasks] == ["label"]
    assert [notice.split(": ", 1)[1] for notice in table.notices] == [
        "'meta' is not taken for a task: it holds objects.", "'score' is not taken for a task: it holds numbers with a fraction.",
        "'none' is not taken for a task: no row has a value."]


def test_labels_that_differ_only_by_case_or_accents_are_said(tmp_path):
    table = read(tmp_path, "x.csv", "text,a,b\nt,Spam,caf\u00e9\nt, spam ,cafe\u0301\nt,ham,x\n")
    assert sum("differ only by case or accents" in notice for notice in table.notices) == 2


def test_spans_are_widened_to_words_and_those_on_nothing_are_left_out(tmp_path):
    marks = [{"start": 1, "end": 3, "label": "A"}, {"start": 3, "end": 4, "label": "B"}, {"start": 5, "end": 7, "label": "C"},
             {"start": 8, "end": 13, "label": " D "}]
    table = read(tmp_path, "x.jsonl", jsonl({"text": "Anna    Berlin", "e": marks}))
    assert table.rows[0].values["e"] == (Span(0, 4, "A"), Span(8, 14, "D"))
    assert table.notices == [
        "x.jsonl: 2 entity span(s) that cut a word were widened to the whole word (first in line 1).",
        "x.jsonl: 1 entity span(s) were left out because an earlier one has their word (first in line 1).",
        "x.jsonl: 1 entity span(s) that touch no word were left out (first in line 1)."]


def test_tokens_and_tags_become_text_words_and_spans(tmp_path):
    table = read(tmp_path, "x.jsonl", jsonl(
        {"Words": ["Anna", "saw", "New", "York"], "intent": "x", "ner": ["B-PER", "O", "B-LOC", "I-LOC"], "text": "y"},
        {"Words": ["[SEP]"], "ner": ["O"]}))
    row = table.rows[0]
    assert (row.text, row.words) == ("Anna saw New York", ((0, 4), (5, 8), (9, 12), (13, 17)))
    assert row.values == {"intent": "x", "ner": (Span(0, 4, "PER"), Span(9, 17, "LOC"))}
    assert table.rows[1].values == {"intent": None, "ner": ()}
    assert [(task.name, task.kind) for task in table.tasks] == [("intent", "classification"), ("ner", "tagging")]
    assert table.notices == ["x.jsonl: 'text' is not taken for a task: the text is made of the tokens."]


def test_an_inside_tag_without_its_beginning_is_repaired_and_counted(tmp_path):
    table = read(tmp_path, "x.jsonl", b"\n" + jsonl(
        {"tokens": ["a", "b"], "t": ["I-X", "I-X"]}, {"tokens": ["a", "b"], "t": ["B-X", "I-Y"]}))
    assert [row.values["t"] for row in table.rows] == [(Span(0, 3, "X"),), (Span(0, 1, "X"), Span(2, 3, "Y"))]
    assert table.notices == ["x.jsonl: 2 I- tag(s) without a B- before them were read as B- (first in line 2)."]


@pytest.mark.skipif(not SNIPS.is_dir(), reason=f"the SNIPS files are not in {SNIPS}")
def test_snips_is_read_whole_and_fast():
    begin = time.perf_counter()
    table = read_file(SNIPS / "train.jsonl")
    assert time.perf_counter() - begin < 5  # about 0.5 s on an idle core
    assert len(table.rows) == 13_084 and table.notices == []
    assert [(task.name, task.kind) for task in table.tasks] == [("tags", "tagging"), ("intent", "classification")]
    with (SNIPS / "train.jsonl").open(encoding="utf-8") as lines:
        for row, line in zip(table.rows, lines, strict=True):
            source = json.loads(line)
            assert spans_to_tags(row.word_ranges(), row.values["tags"]) == source["tags"]
            assert [row.text[start:end] for start, end in row.words] == source["tokens"]


def repaired(tags: list[str]) -> list[str]:
    """The tags with every I- that continues nothing turned into B-."""
    return [re.sub("^I", "B", tag) if before[1:] != tag[1:] else tag for before, tag in zip(["O", *tags], tags, strict=False)]


WORD = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=6).filter(lambda word: word.split() == [word])
TAG = st.sampled_from(["O", "O", "B-PER", "I-PER", "B-a b", "I-a b"])


@EXAMPLES
@given(st.lists(st.lists(st.tuples(WORD, TAG), min_size=1, max_size=8), min_size=1, max_size=4))
def test_tags_survive_the_way_through_file_and_spans(tmp_path, sentences):
    lines = jsonl(*({"tokens": [word for word, _ in pairs], "tags": [tag for _, tag in pairs]} for pairs in sentences))
    table = read(tmp_path, "x.jsonl", lines)
    for pairs, row in zip(sentences, table.rows, strict=True):
        tags = spans_to_tags(row.words, row.values["tags"])
        assert tags == repaired([tag for _, tag in pairs])
        assert tuple(tags_to_spans(row.words, tags)) == row.values["tags"]


@st.composite
def own_row(draw) -> dict:
    text = draw(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).filter(str.strip))
    words = find_words(text)
    spans = tags_to_spans(words, draw(st.lists(TAG, min_size=len(words), max_size=len(words))))
    row = {"text": text, "topic": draw(st.sampled_from(["sport", "None", "007", "é", None])),
           "entities": draw(st.sampled_from([None, [{"start": span.start, "end": span.end, "label": span.label} for span in spans]]))}
    return {key: value for key, value in row.items() if value is not None or draw(st.booleans())}


@EXAMPLES
@given(st.lists(own_row(), min_size=1, max_size=5), st.booleans())
def test_rows_written_as_json_are_read_back_equal(tmp_path, rows, ascii_only):
    lines = "\n".join(json.dumps(row, ensure_ascii=ascii_only) for row in rows)
    table = read(tmp_path, "x.jsonl", lines)
    names = {task.name for task in table.tasks}
    for row, source in zip(table.rows, rows, strict=True):
        entities = source.get("entities")
        wanted = {"topic": source.get("topic"),
                  "entities": None if entities is None else tuple(Span(entry["start"], entry["end"], entry["label"]) for entry in entities)}
        assert (row.text, row.values) == (source["text"], {name: wanted[name] for name in row.values})
        assert names == set(row.values) and names >= {key for key, value in source.items() if value is not None} - {"text"}


SEEDS = [GOOD * 3, b'text,label\n"a ""b""\nc",d\n', OBJECT * 2, entity(0, 4),
         jsonl({"tokens": ["a", "b"], "tags": ["B-X", "I-X"], "intent": "é"})]


@settings(EXAMPLES, max_examples=300)
@given(st.sampled_from(SEEDS), st.sampled_from([".csv", ".tsv", ".jsonl"]),
       st.lists(st.tuples(st.integers(0, 80), st.binary(max_size=3)), max_size=4))
def test_a_damaged_file_is_read_or_refused_but_never_breaks_the_reader(tmp_path, content, suffix, damage):
    for place, piece in damage:
        content = content[:place] + piece + content[place + 1:]
    try:
        table = read(tmp_path, "x" + suffix, content)
    except MtlError as error:
        assert len(str(error)) <= 250
    else:
        assert all(row.text.strip() for row in table.rows)
        for row in table.rows:
            for value in row.values.values():
                if isinstance(value, tuple):
                    assert tuple(tags_to_spans(row.word_ranges(), spans_to_tags(row.word_ranges(), value))) == value


def test_a_file_cut_off_anywhere_in_its_last_line_is_refused(tmp_path):
    line = '{"tokens": ["a", "b\\u00e9"], "n": 12, "tags": ["O", "B-X"], "x": true}'
    for length in range(1, len(line)):
        with pytest.raises(MtlError, match=r"^x\.jsonl, line 2: "):
            read(tmp_path, "x.jsonl", f"{line}\n{line[:length]}")
