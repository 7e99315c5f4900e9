"""Files into rows: what is accepted, what is refused and with which words. The shapes of annotation tools are for test_formats.py."""

import codecs
import contextlib
import gzip
import io
import json
import time
import tracemalloc
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtl.data.formats.files import LISTED, MAX_BYTES
from mtl.data.formats.json_files import MAX_ARRAY
from mtl.data.readers import READERS, find_columns, read_files, similar_labels
from mtl.data.rows import Table, count_all
from mtl.data.words import Span, spans_to_tags, tags_to_spans
from mtl.errors import MtlError
from mtl.settings.shorthand import parse_columns
from tests.legible import is_legible

SNIPS = Path(__file__).parents[3] / "shared/data/snips"
EXAMPLES = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(folder: Path, name: str, content: bytes | str, columns: str = "", wanted: tuple[str, ...] = ()) -> Table:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_files([path], parse_columns(columns), wanted)


def jsonl(*rows: object) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def entity(start: object, end: object, label: object = "PER") -> bytes:
    return jsonl({"text": "café in Rome", "e": [{"start": 0, "end": 4, "label": "LOC"}]},
                 {"text": "café in Rome", "e": [{"start": start, "end": end, "label": label}]})


def parquet(columns: dict[str, object], features: dict | None = None) -> bytes:
    table = pyarrow.table(columns)
    if features:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pyarrow.parquet.write_table(table, sink := io.BytesIO())
    return sink.getvalue()


def studio(*results: object) -> bytes:
    return json.dumps([{"id": 1, "data": {"text": "hello there"}, "annotations": [{"result": list(results)}]}]).encode()


def label_at(start: object, end: object, *labels: str) -> dict:
    return {"from_name": "ner", "value": {"start": start, "end": end, "labels": labels}}


GOOD = b"text,label\nhello,a\n"
OBJECT = b'{"text": "a", "label": "b"}\n'
MANY = ",".join(f"c{index}" for index in range(65))
SENTENCE = b"Anna NNP B-NP B-PER\nsaw VBD B-VP O\nRome NNP B-NP B-LOC\n\n"
CLASSES = {"label": {"names": ["a", "b"], "_type": "ClassLabel"}}
PARTS = {"seq.in": b"go now\nstay here\n", "seq.out": b"O O\nO O\n", "label": b"go\nstay\n"}
WHOLE = parquet({"text": ["a", "b"], "label": ["x", "y"]})
# corpus id, file name, content, a part of the message. Contents in the file are text, a character for each byte, or lists of samples.
BAD = [(key, name, content.encode("latin-1") if isinstance(content, str) else jsonl(*content), message)
       for key, name, content, message in json.loads(Path(__file__).with_name("malformed.json").read_text(encoding="utf-8"))]
BAD += [
    ("C7-far", "x.csv", b"text,label\n" + (b"h" * 1000 + b",a\n") * 3000 + b"caf\xc3\xa9 caf\xe9,a\n", "line 3002: byte 0xE9"),
    ("C9", "x.csv", bytes(1000), "line 1: contains NUL bytes"),
    ("C12", "x.csv", gzip.compress(GOOD), "is gzip-compressed, not plain text. Unpack it"),
    ("C12-bomb", "x.csv", gzip.compress(bytes(20_000_000)), "is gzip-compressed"),
    ("C13", "x.csv", WHOLE, "is Parquet, not plain text. Rename it to .parquet"),
    ("C31", "x.csv", b"text,label\n" + b"a" * 20_001 + b",b\n", "line 2: 'text' has 20,001 characters, the limit is 20,000"),
    ("C32", "x.csv", b"text,label\na,b\n" + b"a" * 200_000 + b",b\n", "line 3: a text has over 131,072 characters, the limit is 20,000"),
    ("C34", "x.csv", f"{MANY}\n{MANY}\n".encode(), "line 1: there are 65 columns, the limit is 64"),
    ("J10", "x.jsonl", b'{"text": ' + b"[" * 100_000 + b"\n", "line 1: nested too deeply"),
    ("J11", "x.jsonl", b'{"text": "a", "label": ' + b"1" * 200_000 + b"}\n", "line 1: a number is too long"),
    ("J19-many", "x.jsonl", jsonl({"words": ["a"] * 2001}), "line 1: 'words' has 2,001 tokens, the limit is 2,000"),
    ("J19-long", "x.jsonl", jsonl({"words": ["a" * 1001]}), "token 1 of 'words' has 1,001 characters, the limit is 1,000"),
    *[(f"J23-{index}", "x.jsonl", entity(*span), message) for index, (span, message) in enumerate([
        ((3, 3), "line 2: 'e' has an entity from 3 to 3"), ((5, 3), "line 2: 'e' has an entity from 5 to 3"),
        ((8, 13), "from 8 to 13, the text has 12 characters. Start below end; count characters, not bytes"), ((-4, 12), "from -4 to 12"),
        ((0.0, 4), "from 0.0 to 4. Whole numbers"), ((True, 4), "from true to 4. Whole numbers"), (("0", 4), "from 0 to 4. Whole numbers"),
        ((0, 10**4000), "line 2: 'e' has an entity from 0 to 1000"), ((0, 4, " "), "line 2: 'e' has 0-4 with the label ' '"),
        ((0, 4, None), "with the label 'null'"), ((0, 4, "L" * 65), "1 to 64 characters"),
        ((0, 4, ["A", "B"]), "line 2: 'e' gives 2 labels to 0-4 at once")])],
    ("J27", "x.jsonl", OBJECT * 99 + b'{"text": "a", "lab',
     "line 100: the object is not closed. Write one whole object per line; is the file cut off?"),
    ("J28", "x.jsonl", OBJECT + b'{"text": "' + b"a" * 20_000_000 + b'"}', "line 2: has over 1,000,000 characters. Write one row per line"),
    ("J29", "x.jsonl", jsonl({"text": "a"} | {f"k{index}": "v" for index in range(1000)}), "line 1: there are 65 columns, the limit is 64"),
    ("J30", "x.jsonl", jsonl(*[{"text": "a", "label": "1"}] * 8, {"text": "a", "label": 1}),
     "line 9: 'label' is number 1, earlier ones are text"),
    ("long-name", "x" * 200 + ".jsonl", jsonl({"text": "a", "k" * 64: [{"start": 10**99, "end": 10**99, "label": ""}]}), ", line 1: "),
    *[(f"N12-{tag}", "x.jsonl", jsonl({"tokens": ["a"], "tags": [other]}, {"tokens": ["a"], "tags": [tag]}),
       f"line 2: tag '{tag}' in 'tags' is not in BIO form")
      for other, tags in (("O", ("B", "B-", "-PER", "X-PER", "", "o", "B- PER")), ("B-X", ("b-per", "B_PER", "B-"))) for tag in tags],
    ("N4", "x.conll", b"\n" + b"word O\n" * 5000, "the sentence from line 2 has over 2,000 words. Put a blank line after every sentence"),
    ("N5", "x.conll", SENTENCE * 3 + b"Rome\n", "line 13: has 1 column, the lines before have 4"),
    ("N22-gzip", "x.conll", gzip.compress(SENTENCE), "is gzip-compressed, not plain text. Unpack it"),
    ("N23", "x.conll", b"a O\n" + b"b" * 5000 + b" O\n", "line 2: a word has 5,000 characters, the limit is 1,000. Are blanks missing?"),
    *[(f"parquet-{index}", "x.parquet", content, message) for index, (content, message) in enumerate([
        (WHOLE[:-20], "x.parquet: cannot be read as Parquet ("), (b"PAR1" + bytes(50), "cannot be read as Parquet ("),
        (WHOLE[:60] + b"\xff" * 200 + WHOLE[260:], "cannot be read as Parquet ("),
        (parquet({"text": pyarrow.array([], "string")}), "has columns but no rows"),
        (parquet({"text": ["a"], "": ["b"]}), "row 1: column 2 has no name"),
        (parquet({"text": ["a", "b"], "label": [0, 2]}, CLASSES), "row 2: class number 2 has no name"),
        (parquet({"text": pyarrow.array([b"a", b"\xff"]).view("string")}), "text that is not UTF-8 after row 0"),
        (parquet({"text": ["a", " "], "label": ["b", "c"]}), "x.parquet, row 2: 'text' is empty")])],
    *[(f"studio-{index}", "x.json", content, message) for index, (content, message) in enumerate([
        (studio({"value": {"choices": ["a"]}}), "line 1: an annotation has no 'from_name' or no 'value'"),
        (studio("x"), "line 1: an annotation has no 'from_name'"),
        (studio(label_at("/p[1]/text()[1]", 5, "A")), "line 1: 'ner' has an entity from"),
        (studio({"from_name": "ner", "value": {"choices": ["a"]}}, label_at(0, 5, "A")), "'ner' has both choices and labels")])],
    *[(f"seq-{index}", "seq.in", files, message) for index, (files, message) in enumerate([
        ({"seq.in": PARTS["seq.in"], "label": PARTS["label"]}, "seq.in: its seq.out is missing. Give seq.in,"),
        (PARTS | {"label": b"go\n"}, "seq.in: label ends before line 2, which the others have"),
        (PARTS | {"seq.out": b"O O\nO O\nO O\n"}, "seq.in and label end before line 3"),
        (PARTS | {"seq.out": b"O O\nO O O\n"}, "seq.out, line 2: 3 tags, but seq.in has 2 words there. Give one tag per word"),
        ({name: content + b"\n" for name, content in PARTS.items()} | {"label": b"go\nstay\nx\n"},
         "label, line 3: 'x', but seq.in has no words there"),
        (dict.fromkeys(PARTS, b"\n"), "has no sentences. Write one per line"),
        (PARTS | {"label": b"go\n\xc3\xa9 \xe9\n"}, "label, line 2: byte 0xE9 is not UTF-8")])],
]


@pytest.mark.parametrize(("name", "content", "expected"), [pytest.param(*entry[1:], id=entry[0]) for entry in BAD])
def test_a_malformed_file_is_refused_in_one_sentence_with_its_line(tmp_path, name, content, expected):
    files = content if isinstance(content, dict) else {name: content}
    for each, data in files.items():
        (tmp_path / each).write_bytes(data)
    with pytest.raises(MtlError) as caught:
        read_files([tmp_path / each for each in files])
    message = str(caught.value)
    assert expected in message
    assert message.startswith(tuple(each[:36] for each in files))
    assert len(message) <= 250
    assert "/" not in message.replace("true/false", "").replace("/p[1]/text()[1]", "") and tmp_path.name not in message
    assert "Traceback" not in message and "Error" not in message
    assert is_legible(message) and message.endswith((".", "?"))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files)


@pytest.mark.parametrize(("name", "begin", "size", "message"), [
    ("x.csv", b"", None, r"^x\.csv: there is no such file"),
    ("x.csv", b"", MAX_BYTES + 100_000, r"^x\.csv: has 2,000\.1 MB, the limit is 2,000 MB"),
    ("x.json", b"[", MAX_ARRAY + 1_000_000, r"^x\.json: is a JSON array of 51 MB, the limit is 50 MB. Write one object per line")])
def test_a_file_that_is_not_there_or_too_large_is_refused(tmp_path, name, begin, size, message):
    if size:
        with (tmp_path / name).open("wb") as file:
            file.write(begin)
            file.truncate(size)  # sparse
    with pytest.raises(MtlError, match=message):
        read_files([tmp_path / name])
    with pytest.raises(MtlError, match="No file is given"):
        read_files([])


@pytest.mark.parametrize(("columns", "message"), [
    ("review=text", r"^x\.csv: there is no column 'review'. The columns are: text, label\.$"),
    ("Text=text", "there is no column 'Text'"), ("stars=class", "there is no column 'stars'"),
    ("y/label=class", r"'y/label' belongs to no file. The files are: only one\."),
    ("text=text,label=text", "'text' and 'label' are both said to hold the sentence. Choose one of them"),
])
def test_a_column_that_is_told_but_not_there_is_answered_with_the_ones_that_are(tmp_path, columns, message):
    with pytest.raises(MtlError, match=message):
        read(tmp_path, "x.csv", GOOD, columns)
    assert read(tmp_path, "x.csv", GOOD, "stars=ignore").rows  # what is not used may be absent


def test_a_told_task_may_be_absent_where_the_tasks_are_named(tmp_path):
    """A validation file is read with the columns of the training file; that a task is missing in it is not the reader's business."""
    table = read(tmp_path, "x.csv", GOOD, "text=text,label=class:mood,stars=class", ("mood", "stars"))
    assert [row.values for row in table.rows] == [{"mood": "a", "stars": None}]
    assert [task.name for task in table.tasks] == ["mood"]


# What is accepted


@pytest.mark.parametrize(("name", "content"), [
    ("x.csv", GOOD), ("x.CSV", codecs.BOM_UTF8 + GOOD), ("x.csv", GOOD.replace(b"\n", b"\r")), ("x.csv", GOOD.replace(b"\n", b"\r\n")),
    ("x.csv", GOOD[:-1]), ("x.csv", b"\n" + GOOD + b"\n  \n"), ("x.csv", GOOD.replace(b"text", b'"Text"').lower()),
    ("x.csv", GOOD.replace(b",", b";")), ("x.csv", GOOD.replace(b",", b"|")), ("x.csv", GOOD.replace(b",", b"\t")),
    ("x.tsv", GOOD.replace(b",", b"\t")), ("x.tsv", GOOD), ("x.txt", GOOD.replace(b",", b"\t")), ("x.csv", b"text , label\nhello, a \n"),
    ("x.jsonl", b'{"text": "hello", "label": "a"}'), ("x.ndjson", codecs.BOM_UTF8 + b'\r\n{"label": " a ", "text": "hello"}\r\n\r\n'),
    ("x.json", b'{"text": "hello", "label": "a"}\r'), ("x.json", b'\n [ {"text": "hello",\n  "label": "a"}\n]\n'),
    ("x.jsonl", codecs.BOM_UTF8 + b'[{"text": "hello", "label": "a"},]'), ("x.jsonl", b'{"text": "hello", "label": ["a"]}'),
    ("x.csv", b'text,label\nhello,[\'a\']\n'), ("x.txt", b"__label__a hello\n"),
    ("x.parquet", parquet({"text": ["hello"], "label": ["a"]})), ("x.parquet", parquet({"text": ["hello"], "label": [0]}, CLASSES)),
    ("x.parquet", parquet({"text": [b"hello"], "label": pyarrow.array(["a"]).dictionary_encode()})),
])
def test_the_same_row_is_read_from_every_dialect(tmp_path, name, content):
    table = read(tmp_path, name, content)
    assert [(row.text, row.values, row.words) for row in table.rows] == [("hello", {"label": "a"}, None)]
    assert [(task.name, task.kind) for task in table.tasks] == [("label", "classification")]


def test_another_separator_than_the_usual_is_said(tmp_path):
    for name, content, notice in (
            ("x.csv", GOOD.replace(b",", b";"), "the columns are separated by ';'."),
            ("x.csv", GOOD.replace(b",", b"\t"), "the columns are separated by TABs."),
            ("x.tsv", GOOD, "the columns are separated by commas."), ("x.csv", GOOD, ""), ("x.tsv", GOOD.replace(b",", b"\t"), ""),
            ("x.csv", b"text, label\na,b\n", "blanks around the names of columns were removed.")):
        assert read(tmp_path, name, content).notices == [f"{name}: {notice}"] * bool(notice)


def test_free_text_and_ids_are_no_tasks_unless_they_are_declared(tmp_path):
    def tasks(content, *how, **more):
        table = read(tmp_path, "x.csv", content, *how, **more)
        return [task.name for task in table.tasks], table.notices

    lines = "text,id,who,label\n" + "".join(f"t,{index},name{index},{index % 2}\n" for index in range(20))
    assert tasks(lines) == (["label"], ["x.csv: 'id' is not taken for a task: it is an id.",
                                        "x.csv: 'who' is not taken for a task: 20 different values in 20 rows look like free text or ids."])
    assert tasks(lines, wanted=("id", "who"))[0] == ["id", "who", "label"]
    assert tasks(lines, "who=class:name")[0] == ["name", "label"]
    # that 'label' has only one label is an error of learn_labels
    constant = "text,lang,label\n" + "t,en,a\n" * 20
    assert tasks(constant) == (["label"], ["x.csv: 'lang' is not taken for a task: every row has the same value."])
    open_ended = "text,who\n" + "".join(f"t,name{index}\n" for index in range(1100))
    assert "over 1,050 different values in 1,100 rows look like free text or ids" in tasks(open_ended)[1][0]


def test_labels_that_differ_only_by_case_or_accents_are_said(tmp_path):
    table = read(tmp_path, "x.csv", "text,a,b\nt,Spam,caf\u00e9\nt, spam ,cafe\u0301\nt,ham,x\n")
    assert [twins for task, counts in count_all(table.rows, ["a", "b"]).items() for twins in similar_labels(counts, task)] == [
        "the labels 'Spam' and 'spam' of 'a' differ only by case or accents; they are kept apart.",
        "the labels 'caf\u00e9' and 'cafe\u0301' of 'b' differ only by case or accents; they are kept apart."]


# Lists in cells


@pytest.mark.parametrize("tokens", ['["New", "York", "it\'s"]', "['New', 'York', \"it's\"]", "('New', 'York', \"it's\")",
                                    " ['New' 'York'\n \"it's\"] "])
@pytest.mark.parametrize("tags", ['["B-LOC", "I-LOC", "O"]', "['B-LOC', 'I-LOC', 'O']", "['B-LOC' 'I-LOC' 'O']", "B-LOC I-LOC O",
                                  " B-LOC  I-LOC\tO"])
def test_lists_in_cells_are_read_as_json_as_python_and_as_numpy_print_them(tmp_path, tokens, tags):
    cells = [cell.replace('"', '""') for cell in (tokens.replace("(", "[").replace(")", "]"), tags)]
    table = read(tmp_path, "x.csv", 'tokens,ner\n"{}","{}"\n'.format(*cells))
    assert [(row.text, row.values, row.words) for row in table.rows] == [
        ("New York it's", {"ner": (Span(0, 8, "LOC"),)}, ((0, 3), (4, 8), (9, 13)))]


def test_a_tag_for_each_word_between_blanks_of_a_text(tmp_path):
    text = "fly  to New\u00a0York, now"
    for tags in (["O", "O", "B-LOC", "O"], ["O", "O", "B-LOC", "I-LOC", "O"], "O O B-LOC O"):  # the no-break space cut or not
        last = "O" if isinstance(tags, str) else ["O"]
        table = read(tmp_path, "x.jsonl", jsonl({"text": text, "tags": tags}, {"text": "now", "tags": last}))
        row = table.rows[0]
        assert row.text == text and row.values == {"tags": (Span(8, 17, "LOC"),)}
        assert [text[start:end] for start, end in row.words][:2] == ["fly", "to"]
        assert table.notices == []


def test_a_text_that_looks_like_a_list_is_a_text(tmp_path):
    for text in ("[]", "[1]"):
        table = read(tmp_path, "x.jsonl", jsonl({"text": text, "tags": ["B-X"]}))
        assert [(row.text, row.values) for row in table.rows] == [(text, {"tags": (Span(0, len(text), "X"),)})]
    for texts in (["[1]", "hello"], ["hello", "[]"], ['["a"]', "[2]"]):
        for name, content in (("x.jsonl", jsonl(*({"text": text, "label": "x"} for text in texts))),
                              ("x.csv", "text,label\n" + "".join('"{}",x\n'.format(text.replace('"', '""')) for text in texts))):
            assert [(row.text, row.values) for row in read(tmp_path, name, content).rows] == [(text, {"label": "x"}) for text in texts]


@pytest.mark.parametrize("cell", ["[b'a']", "[{1}]", "[1j]", "[...]", "[{1: 2}]", '["\\ud800"]', "['\\ud800']", "[" * 5000,
                                  "[" * 500 + "]" * 500, "[1" + "0" * 5000 + "]", "[1,", "[]]", "[f(1)]"])
def test_what_only_looks_like_a_list_does_not_break_the_reader(tmp_path, cell):
    quoted = '"{}"'.format(cell.replace('"', '""'))
    for columns in ("", "x=spans", "x=tags", "x=class"):
        try:
            table = read(tmp_path, "x.csv", f"text,x\na b,{quoted}\n", columns)
        except MtlError as error:
            assert str(error).startswith("x.csv, line 2: ") and len(str(error)) <= 250
        else:
            assert table.rows[0].text == "a b"


# Entities


@pytest.mark.parametrize(("tags", "scheme"), [
    ("I-A I-A B-A O I-B", "IOB1"), ("B-A E-A S-A O S-B", "BIOES"), ("B-A L-A U-A O U-B", "BILOU"), ("B-A I-A B-A O B-B", "")])
def test_the_scheme_of_the_tags_is_found_and_said(tmp_path, tags, scheme):
    for name, content in (("x.jsonl", jsonl({"tokens": list("abcde"), "tags": tags.split()})),
                          ("x.conll", "".join(f"{word} {tag}\n" for word, tag in zip("abcde", tags.split(), strict=True)))):
        table = read(tmp_path, name, content)
        assert table.rows[0].values["tags"] == (Span(0, 3, "A"), Span(4, 5, "A"), Span(8, 9, "B"))
        assert table.notices == [f"{name}: the tags in 'tags' are written in {scheme}."] * bool(scheme)


# CoNLL columns


def conll(table: Table) -> list[tuple[str, list[str]]]:
    return [(row.text, spans_to_tags(row.words, row.values["tags"])) for row in table.rows]


@pytest.mark.parametrize("content", [
    SENTENCE * 2, SENTENCE.replace(b" ", b"\t") * 2, SENTENCE.replace(b" NNP", b"\tNNP ") * 2, codecs.BOM_UTF8 + SENTENCE * 2,
    SENTENCE.replace(b"\n", b"\r\n") * 2, SENTENCE.replace(b"\n", b"\r") * 2, (SENTENCE * 2).rstrip(), SENTENCE + b" \t\n" + SENTENCE,
    (SENTENCE + b"    \n\t\t\t\n" + SENTENCE).replace(b" ", b"\t"),
    b"-DOCSTART- -X- -X- O\n\n" + SENTENCE + b"-DOCSTART- -X- O O\n" + SENTENCE, b"# a remark\n" + SENTENCE + b"# id = 5\n" + SENTENCE])
def test_the_same_sentences_are_read_from_every_dialect_of_columns(tmp_path, content):
    table = read(tmp_path, "x.conll", content)
    assert conll(table) == [("Anna saw Rome", ["B-PER", "O", "B-LOC"])] * 2
    assert [(task.name, task.kind) for task in table.tasks] == [("column 3", "tagging"), ("tags", "tagging")]
    assert "x.conll: 'column 2' is not taken for a task: its tags are no entities (no word has the tag O)." in table.notices


def test_which_column_has_the_tags_can_be_seen_and_told(tmp_path):
    (tmp_path / "x.conll").write_bytes(SENTENCE)
    columns = find_columns([tmp_path / "x.conll"])[0].columns
    assert [(name, column.role) for name, column in columns.items()] == [
        ("tokens", "tokens"), ("column 2", "ignore"), ("column 3", "tags"), ("tags", "tags")]
    assert columns["tags"].examples == ['["B-PER", "O", "B-LOC"]']
    table = read(tmp_path, "x.conll", SENTENCE, "column 2=tags:pos,column 3=ignore,tags=ignore")
    assert [(task.name, table.rows[0].values) for task in table.tasks] == [
        ("pos", {"pos": (Span(0, 4, "NNP"), Span(5, 8, "VBD"), Span(9, 13, "NNP"))})]


def test_words_of_columns_may_hold_quotes_special_tokens_and_odd_blanks(tmp_path):
    words = ['"', "[SEP]", "</s>", "<s>", "New\u00a0York", "\u3000", "\u200b", "\ufeff", "#", "-DOC-", "a,b", "O"]
    table = read(tmp_path, "x.conll", "".join(f"{word} O\n" for word in words))
    row = table.rows[0]
    assert [row.text[start:end] for start, end in row.words] == words and row.values == {"tags": ()}
    for first in set(words) - {"\ufeff"}:  # which is no word at the beginning of a file
        assert read(tmp_path, "x.conll", f"{first} B-X\nb O\n\n{first} B-X\nc O\n").rows[1].text == f"{first} c"


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.txt", "x.md"])
def test_columns_are_known_under_other_names_too(tmp_path, name):
    table = read(tmp_path, name, SENTENCE * 2)
    assert conll(table) == [("Anna saw Rome", ["B-PER", "O", "B-LOC"])] * 2
    assert any("it is read as CoNLL columns" in notice for notice in table.notices) == (name == "x.csv")


# How fast, and how much at a time


@pytest.mark.skipif(not SNIPS.is_dir(), reason=f"the SNIPS files are not in {SNIPS}")
def test_snips_is_read_whole():
    table = read_files([SNIPS / "test.jsonl"])
    assert len(table.rows) == 700 and table.notices == []
    assert [(task.name, task.kind) for task in table.tasks] == [("tags", "tagging"), ("intent", "classification")]
    with (SNIPS / "test.jsonl").open(encoding="utf-8") as lines:
        for row, line in zip(table.rows, lines, strict=True):
            source = json.loads(line)
            assert spans_to_tags(row.word_ranges(), row.values["tags"]) == source["tags"]
            assert [row.text[start:end] for start, end in row.words] == source["tokens"]


@pytest.mark.parametrize("text", ["[" * 9000, "<a>" * 3000, "[a:" + " " * 10_000, "[a](" * 3000, "(" * 9000, "[a : b" * 2000, "\\[" * 5000,
                                  " " * 9999 + "x", "'" * 5000, "[a : b] <b>" + "<b> " * 3000])
@pytest.mark.parametrize("name", ["x.txt", "x.csv", "x.jsonl", "x.conll"])
def test_no_text_makes_the_reader_slow(tmp_path, name, text):
    content = {"x.txt": f"[a](B) c\n{text}\n", "x.csv": f"text,label\na,b\n{text},c\n", "x.conll": f"a O\n\n{text[:900].strip()}\tO\n",
               "x.jsonl": json.dumps({"text": text, "label": "c", "spans": [[0, 1, "A"]]})}[name]
    begin = time.process_time()  # of this process alone; what is quadratic would take minutes
    with contextlib.suppress(MtlError):
        read(tmp_path, name, content)
    assert time.process_time() - begin < 5


@pytest.mark.parametrize(("name", "piece"), [
    ("x.csv", GOOD), ("x.jsonl", OBJECT), ("x.conll", SENTENCE), ("x.txt", b"[Ada](PER) came\n"), ("x.parquet", None)])
def test_a_file_is_never_held_whole(tmp_path, name, piece):
    """Reading one twenty times as long takes hardly more memory."""
    def peak(times: int) -> int:
        content = piece * times if piece else parquet({"text": ["hello"] * times, "label": ["a", "b"] * (times // 2)})
        (tmp_path / name).write_bytes((GOOD[:11] if name == "x.csv" else b"") + content.replace(GOOD[:11], b""))
        [file] = find_columns([tmp_path / name])
        tracemalloc.start()
        rows = sum(1 for _ in READERS[file.source.format](file.source))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert rows == times
        return used

    assert peak(4000) < peak(200) + 300_000


STUDIO = studio(label_at(0, 5, "A"), {"from_name": "mood", "value": {"choices": ["a"]}})
SEEDS = [GOOD * 3, b'text,label\n"a ""b""\nc",d\n', OBJECT * 2, b"[" + OBJECT + b",\n" + OBJECT + b"]", entity(0, 4), STUDIO,
         SENTENCE * 2, WHOLE, jsonl({"tokens": ["a", "b"], "tags": ["B-X", "I-X"], "intent": "é"}),
         jsonl(["go on", {"entities": [[0, 2, "A"]], "cats": {"x": 1}}]),
         b"# intent = x\na\tB-X\nb\tO\n\nc\t_\n", b"# global.columns = FORM\tx\na\tB-X\n", b"__label__a [Ada](PER) <b>x</b> [a : b] \\[\n",
         b"tokens,tags\n\"['a', 'b']\",B-X O\n", jsonl({"text": "a b", "task": "ner", "ner_labels": ["S-X", "O"]}),
         b"1\tvamos\tir\tVERB\t_\t_\t0\troot\t_\tB-X\n"]
SEEDS += [b"## intent:x\n- to [Rome](city)\n- [NYC]{\"entity\": \"city\"}\n## synonym:y\n- z\n",
          b"nlu:\n- intent: x\n  examples: |\n    - to [Rome](city)\n", b'{\n "data": [\n  {"text": "a b", "label": "x"}\n ]\n}\n',
          b'{"luis_schema_version": "7", "utterances": [{"text": "to Rome", "intent": "x", "entities": [{"entity": "c", "startPos": 3, '
          b'"endPos": 6}]}]}', b'{"content": "to Rome", "annotation": [{"label": ["c"], "points": [{"start": 3, "end": 6}]}]}\n',
          studio({"from_name": "ner", "value": {"start": "/p", "text": "Rome", "hypertextlabels": ["c"], "globalOffsets": {"start": 0}}})]
SIGNS = ['"', "\\", "[", "]", "{", "}", ",", "\t", "\n\n", " ", "-", "O", "null", "#", "[]", "0", "é"]
NOISE = st.binary(max_size=3) | st.sampled_from([sign.encode() for sign in SIGNS])
COLUMNS = ["", "", "text=text", "text=marked", "tokens=tokens", "label=tags", "label=spans", "tags=class", "e=class", "column 2=spans"]


def check(folder: Path, name: str, content: bytes, columns: str) -> None:
    """The file is refused in a short message, or its rows are whole."""
    try:
        table = read(folder, name, content, columns)
    except MtlError as error:
        assert len(str(error)) <= 250 and str(error).startswith("x.") and is_legible(str(error))
        return
    for row in table.rows:
        assert row.text.strip()
        for value in row.values.values():
            assert not isinstance(value, str) or value.strip()
            if value and value.spans:
                assert tuple(tags_to_spans(row.word_ranges(), spans_to_tags(row.word_ranges(), value))) == value


@settings(EXAMPLES, max_examples=600)
@given(st.sampled_from(SEEDS), st.sampled_from([".csv", ".tsv", ".jsonl", ".json", ".conll", ".txt", ".md", ".yml",
                                                 ".parquet"]),
       st.lists(st.tuples(st.integers(0, 150), NOISE), max_size=4), st.sampled_from(COLUMNS))
def test_a_damaged_file_is_read_or_refused_but_never_breaks_the_reader(tmp_path, content, suffix, damage, columns):
    for place, piece in damage:
        content = content[:place] + piece + content[place + 1:]
    check(tmp_path, "x" + suffix, content, columns)


KEYS = ["text", "tokens", "tags", "label", "labels", "entities", "spans", "start", "end", "data", "annotations", "result", "value",
        "choices", "from_name", "cats", "task", "answer", "options", "annotation_id", "annotator", "ner_labels", "x", "type", "taxonomy",
        "hypertextlabels", "globalOffsets", "paragraphlabels", "startOffset", "predictions", "content", "annotation", "points", "extras",
        "prediction", "status", "fields", "responses", "values", "x.responses", "document", "entityLabel", "classifications", "classname",
        "user", "paragraphs", "sentences", "orth", "ner", "rasa_nlu_data", "common_examples", "utterances", "intent", "intents", "startPos",
        "endPos", "offset", "length", "assets", "patterns", "tag", "userSays", "examples", "mentions", "location", "source", "x-metadata",
        "train", "test", "columns", "row", "nlu"]
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    ["", "a b", "O", "B-X", "ner", "accept", "[1]", "['O', 'B-X']", '[["a"]]'])
JSON = st.recursive(PLAIN, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.sampled_from(KEYS), part, max_size=5),
                    max_leaves=12)


@settings(EXAMPLES, max_examples=300)
@given(JSON, st.sampled_from(["", "", "text=text", "x=spans", "x=tags", "x=class", "label=spans", "tokens=text"]))
def test_no_json_breaks_the_reader(tmp_path, value, columns):
    samples = value if isinstance(value, list) else [value]
    for name, content in (("x.jsonl", jsonl(*samples)), ("x.json", jsonl(samples)), ("x.jsonl", jsonl({"text": "a b", "x": value})),
                          ("x.json", json.dumps(value, indent=1).encode()), ("x.yml", json.dumps(value).encode())):
        check(tmp_path, name, content, columns)


def test_a_file_cut_off_anywhere_in_its_last_line_is_refused(tmp_path):
    line = '{"tokens": ["a", "b\\u00e9"], "n": 12, "tags": ["O", "B-X"], "x": true}'
    for length in range(1, len(line)):
        with pytest.raises(MtlError, match=r"^x\.jsonl, line 2: "):
            read(tmp_path, "x.jsonl", f"{line}\n{line[:length]}")


@pytest.mark.parametrize(("name", "record"), [
    ("short.csv", "hi {index},{label}\n"), ("long.jsonl", '{{"text": "' + "very " * 80 + '{index}", "label": "{label}"}}\n'),
    ("words.conll", "Rome B-LOC\nis O\n{index} O\n\n")])
def test_how_far_a_file_is_read_is_told_as_it_is_however_long_its_rows_are(tmp_path, name, record):
    count, told = 8_000, []
    head = "text,label\n" * name.endswith(".csv")
    (tmp_path / name).write_text(head + "".join(record.format(index=index, label="ab"[index % 2]) for index in range(count)))
    read_files([tmp_path / name], progress=lambda what, share: told.append((what, share)))
    for what in (f"Looking at {name}", f"Reading {name}"):
        shares = [share for phase, share in told if phase == what]
        assert shares == pytest.approx([2000 * index / count for index in range(1, count // 2000 + 1)], abs=0.1)


def test_the_readme_lists_what_is_read_as_the_readers_have_it():
    listed = [f"| {format['what']} | {format['how'].replace('|', chr(92) + '|')} |" for format in LISTED]
    assert "\n".join(listed) in Path("README.md").read_text(encoding="utf-8")
    assert {reader for format in LISTED for reader in format["readers"]} == set(READERS)
