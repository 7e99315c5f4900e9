"""What annotation tools export, as they write it, and several files of one split: read into exactly the rows that are meant."""

import datetime
import decimal
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from mtl.data.readers import read_files, understand
from mtl.data.rows import Table
from mtl.data.words import Span
from mtl.errors import MtlError
from mtl.settings.shorthand import parse_columns

SNIPS = Path(__file__).parents[4] / "shared/data/snips"


def read(folder: Path, files: dict[str, str | bytes], columns: str = "", wanted: tuple[str, ...] = ()) -> Table:
    """The table of these files, given by name and content."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return read_files([folder / name for name in files], parse_columns(columns), wanted)


def rows(table: Table) -> list[tuple]:
    """Text and values of every row, spans as (what is marked, label)."""
    return [(row.text, {name: tuple((row.text[span.start:span.end], span.label) for span in value) if isinstance(value, tuple) else value
                        for name, value in row.values.items()}) for row in table.rows]


def kinds(table: Table) -> dict[str, str]:
    return {task.name: task.kind for task in table.tasks}


def lines(*samples: object) -> str:
    """Samples as JSON lines."""
    return "".join(json.dumps(sample) + "\n" for sample in samples)


# What tools export


def test_spacy_training_data(tmp_path):
    samples = [["Uber blew through $1 million", {"entities": [[0, 4, "ORG"], [18, 28, "MONEY"]], "cats": {"BUSINESS": 1.0, "SPORT": 0.0}}],
               ["Nothing", {"entities": [], "cats": {"BUSINESS": 0, "SPORT": 0}, "links": {}}],
               ["Ajax won", {"entities": [[0, 4, "ORG"]], "cats": {"BUSINESS": False, "SPORT": True}}]]
    wanted = [("Uber blew through $1 million", {"entities": (("Uber", "ORG"), ("$1 million", "MONEY")), "cats": "BUSINESS"}),
              ("Nothing", {"entities": (), "cats": None}), ("Ajax won", {"entities": (("Ajax", "ORG"),), "cats": "SPORT"})]
    for name, content in (("x.json", json.dumps(samples)), ("x.json", json.dumps(samples, indent=2)), ("x.jsonl", lines(*samples)),
                          ("y.jsonl", lines(*({"text": text} | annotations for text, annotations in samples)))):
        table = read(tmp_path, {name: content})
        assert rows(table) == wanted and table.notices == []


def test_prodigy_entities(tmp_path):
    sample = {"text": "Apple updates", "meta": {"source": "news"}, "_input_hash": 9, "_task_hash": 5, "_is_binary": False,
              "tokens": [{"text": "Apple", "start": 0, "end": 5, "id": 0, "ws": True}], "_view_id": "ner_manual",
              "spans": [{"start": 0, "end": 5, "token_start": 0, "token_end": 0, "label": "ORG"}],
              "answer": "accept", "_timestamp": 1645457822, "_annotator_id": "a", "_session_id": "a"}
    others = [sample | {"text": text, "answer": answer, "spans": []} for text, answer in (
        ("no", "reject"), ("none", "accept"), ("hm", "ignore"))]
    table = read(tmp_path, {"x.jsonl": lines(sample, *others)})
    assert rows(table) == [("Apple updates", {"spans": (("Apple", "ORG"),)}), ("none", {"spans": ()})]
    assert kinds(table) == {"spans": "tagging"}
    assert "x.jsonl: samples that were rejected or skipped while annotating are left out." in table.notices


def test_prodigy_classes(tmp_path):
    choice = {"text": "so good", "_input_hash": 1, "_task_hash": 2, "options": [{"id": "POS", "text": "👍"}, {"id": "NEG", "text": "👎"}],
              "accept": ["POS"], "config": {"choice_style": "single"}, "answer": "accept", "_view_id": "choice"}
    table = read(tmp_path, {"x.jsonl": lines(choice, choice | {"text": "so bad", "accept": ["NEG"]})})
    assert rows(table) == [("so good", {"accept": "POS"}), ("so bad", {"accept": "NEG"})]
    binary = {"text": "so good", "label": "POS", "_input_hash": 1, "_task_hash": 2, "answer": "accept", "score": 0.5}
    assert rows(read(tmp_path, {"x.jsonl": json.dumps(binary)})) == [("so good", {"label": "POS"})]
    # a column called answer is a class where Prodigy did not write it
    assert rows(read(tmp_path, {"x.jsonl": '{"text": "a", "answer": "reject"}\n{"text": "b", "answer": "accept"}'})) == [
        ("a", {"answer": "reject"}), ("b", {"answer": "accept"})]


def test_doccano(tmp_path):
    base = {"id": 1, "text": "Rome is old", "Comments": []}
    relation = {"id": 2, "from_id": 7, "to_id": 8, "type": "in"}
    for sample, empty, name, values in (
            ({"label": [[0, 4, "LOC"]]}, {"label": []}, "label", [(("Rome", "LOC"),), ()]),
            ({"entities": [{"id": 7, "label": "LOC", "start_offset": 0, "end_offset": 4}], "relations": [relation]},
             {"entities": [], "relations": []}, "entities", [(("Rome", "LOC"),), ()]),
            ({"label": ["city"]}, {"label": []}, "label", ["city", None])):
        table = read(tmp_path, {"x.jsonl": lines(base | sample, base | empty)})
        assert rows(table) == [("Rome is old", {name: value}) for value in values]
        assert kinds(table) == {name: "classification" if "city" in values else "tagging"}


STUDIO = [
    {"id": 11, "annotations": [{"id": 1, "completed_by": 1, "result": [
        {"value": {"start": 3, "end": 7, "text": "Rome", "labels": ["LOC"]}, "id": "a", "from_name": "ner", "to_name": "text",
         "type": "labels", "origin": "manual"},
        {"value": {"choices": ["travel"]}, "id": "b", "from_name": "topic", "to_name": "text", "type": "choices", "origin": "manual"},
        {"value": {"rating": 4}, "id": "c", "from_name": "stars", "to_name": "text", "type": "rating", "origin": "manual"}],
        "was_cancelled": False, "ground_truth": False, "lead_time": 4.2}, {"id": 9, "result": []}],
     "file_upload": "x.csv", "drafts": [], "predictions": [], "data": {"text": "To Rome!", "source": {"x": 1}}, "meta": {}, "project": 1},
    {"id": 12, "annotations": [{"id": 2, "result": [], "was_cancelled": False}], "data": {"text": "Nothing here"}},
    {"id": 13, "annotations": [{"id": 3, "result": [], "was_cancelled": True}], "data": {"text": "Skipped"}},
    {"id": 14, "annotations": [], "predictions": [], "data": {"text": "Not yet"}}]


def test_label_studio(tmp_path):
    for content in (json.dumps(STUDIO), json.dumps(STUDIO, indent=1)):
        table = read(tmp_path, {"project-1-at-2024-01-01.json": content})
        assert rows(table) == [
            ("To Rome!", {"ner": (("Rome", "LOC"),), "topic": "travel", "stars": "4"}),
            ("Nothing here", {"ner": (), "topic": None, "stars": None}), ("Not yet", {"ner": None, "topic": None, "stars": None})]
        assert kinds(table) == {"ner": "tagging", "topic": "classification", "stars": "classification"}
        assert [notice.split(": ")[1] for notice in table.notices] == [
            "where a text was annotated more than once, the first annotation is taken.",
            "samples that were rejected or skipped while annotating are left out."]


def test_label_studio_json_min(tmp_path):
    more = {"annotator": 1, "annotation_id": 1, "created_at": "2024-01-01T00:00:00Z", "updated_at": "2024-01-01T00:00:00Z",
            "lead_time": 5.1}
    table = read(tmp_path, {"x.json": json.dumps([
        {"text": "To Rome!", "id": 1, "ner": [{"start": 3, "end": 7, "text": "Rome", "labels": ["LOC"]}], "topic": "travel"} | more,
        {"text": "Nothing here", "id": 2, "topic": {"choices": ["rest"]}} | more])})
    assert rows(table) == [("To Rome!", {"ner": (("Rome", "LOC"),), "topic": "travel"}), ("Nothing here", {"ner": (), "topic": "rest"})]


def test_samples_that_name_their_task(tmp_path):
    samples = [{"text": "so good", "task": "classification", "label": "pos"},
               {"text": "to New York", "task": "ner", "ner_labels": ["O", "B-LOC", "I-LOC"]},
               {"text": "so bad", "task": "classification", "label": "neg"}, {"text": "unknown", "task": "classification", "label": None},
               {"text": "in Rome", "task": "ner", "ner_labels": ["O", "B-LOC"]}]
    wanted = [("so good", {"classification": "pos", "ner": None}), ("to New York", {"classification": None, "ner": (("New York", "LOC"),)}),
              ("so bad", {"classification": "neg", "ner": None}), ("unknown", {"classification": None, "ner": None}),
              ("in Rome", {"classification": None, "ner": (("Rome", "LOC"),)})]
    for name, content in (("x.jsonl", lines(*samples)), ("x.json", json.dumps(samples))):
        table = read(tmp_path, {name: content})
        assert rows(table) == wanted and table.notices == []
        assert kinds(table) == {"classification": "classification", "ner": "tagging"}
    spans = {"text": "in Rome", "task": "ner", "labels": [{"start": 3, "end": 7, "label": "LOC"}]}
    assert rows(read(tmp_path, {"x.jsonl": json.dumps(spans)})) == [("in Rome", {"ner": (("Rome", "LOC"),)})]
    files = {"a.jsonl": lines(samples[0]), "b.jsonl": lines(samples[1])}  # a file for each task
    assert kinds(read(tmp_path, files)) == {"classification": "classification", "ner": "tagging"}
    tokens = {"tokens": ["in", "Rome"], "task": "ner", "tags": ["O", "B-LOC"]}
    assert rows(read(tmp_path, {"x.jsonl": json.dumps(tokens)})) == [("in Rome", {"ner": (("Rome", "LOC"),)})]


@pytest.mark.parametrize(("content", "wanted"), [
    ("[Ada](PER) met [Bob Dole](PER) at [noon](time).\nbye\n",
     [("Ada met Bob Dole at noon.", (("Ada", "PER"), ("Bob Dole", "PER"), ("noon", "time"))), ("bye", ())]),
    ("<PER>Ada</PER> is <b>here</b> at 3 < 5\n<x> </y>\n", [("Ada is here at 3 < 5", (("Ada", "PER"), ("here", "b"))), ("<x> </y>", ())]),
    ("wake me at [time : nine am] [date: today]\n", [("wake me at nine am today", (("nine am", "time"), ("today", "date")))]),
    ("see [this](https://x.org) and [Rome](LOC)\n", [("see [this](https://x.org) and Rome", (("Rome", "LOC"),))]),
    ("a \\[b\\](c) [d\\]](e\\)) \\\\[f](g)\n", [("a [b](c) d] \\f", (("d]", "e)"), ("f", "g")))]),
    ("[half](A)way there\n", [("halfway there", (("halfway", "A"),))]),
])
def test_entities_marked_in_the_text(tmp_path, content, wanted):
    for name in ("x.txt", "x.md"):
        table = read(tmp_path, {name: content})
        assert rows(table) == [(text, {"entities": spans}) for text, spans in wanted] and kinds(table) == {"entities": "tagging"}


def test_entities_marked_in_a_column(tmp_path):
    content = "id,utt,annot_utt,intent\n1,wake me at nine,wake me at [time : nine],alarm\n2,stop,stop,stop\n"
    table = read(tmp_path, {"x.csv": content}, "annot_utt=marked:slots")
    assert rows(table) == [("wake me at nine", {"slots": (("nine", "time"),), "intent": "alarm"}),
                           ("stop", {"slots": (), "intent": "stop"})]
    assert "x.csv: 'utt' is not taken for a task: the sentence is taken from another column." in table.notices


def test_fasttext(tmp_path):
    table = read(tmp_path, {"x.txt": "__label__2 Great CD: so good\n__label__1 awful, id\nno label\n"})
    assert rows(table) == [("Great CD: so good", {"label": "2"}), ("awful, id", {"label": "1"}), ("no label", {"label": None})]
    table = read(tmp_path, {"x.txt": "__label__go to [Rome](LOC)\n"})
    assert rows(table) == [("to Rome", {"label": "go", "entities": (("Rome", "LOC"),)})]


def test_parquet_of_the_hub(tmp_path):
    names = {"names": ["O", "B-PER", "I-PER"], "_type": "ClassLabel"}
    features = {"id": {"dtype": "string", "_type": "Value"}, "tokens": {"feature": {"dtype": "string", "_type": "Value"}, "_type": "List"},
                "ner_tags": {"feature": names, "_type": "List"},
                "label": {"names": ["neg", "pos"], "_type": "ClassLabel"}, "old_tags": [names],
                "pos_tags": {"feature": {"names": ["NN", "VB"], "_type": "ClassLabel"}, "_type": "Sequence"}}
    table = pyarrow.table({"id": ["0", "1"], "tokens": [["Ada", "Byron", "left"], ["bye"]], "ner_tags": [[1, 2, 0], [0]], "label": [1, -1],
                           "old_tags": [[1, 1, 0], None], "pos_tags": [[0, 0, 1], [1]]})
    path = tmp_path / "train-00000-of-00001.parquet"
    pyarrow.parquet.write_table(table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})}), path)
    found = read_files([path])
    assert rows(found) == [
        ("Ada Byron left", {"ner_tags": (("Ada Byron", "PER"),), "label": "pos", "old_tags": (("Ada", "PER"), ("Byron", "PER"))}),
        ("bye", {"ner_tags": (), "label": None, "old_tags": None})]
    assert found.notices == [
        "train-00000-of-00001.parquet: 'id' is not taken for a task: it is an id.",
        "train-00000-of-00001.parquet: 'pos_tags' is not taken for a task: its tags are no entities (no word has the tag O)."]


def test_parquet_without_names_and_of_other_types(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({
        "sentence": ["so good", "so bad"], "label": [1, 0], "when": [datetime.date(2024, 1, 1)] * 2, "price": [decimal.Decimal("1.5")] * 2,
        "score": [0.5, 1.0], "image": [{"bytes": b"\xff", "path": "x"}] * 2, "raw": [b"\xff", b"a"]}), tmp_path / "x.parquet")
    table = read_files([tmp_path / "x.parquet"])
    assert rows(table) == [("so good", {"label": "1", "when": "2024-01-01", "price": "1.5", "raw": "\ufffd"}),
                           ("so bad", {"label": "0", "when": "2024-01-01", "price": "1.5", "raw": "a"})]


# SNIPS in three layouts


@pytest.mark.skipif(not SNIPS.is_dir(), reason=f"the SNIPS files are not in {SNIPS}")
def test_snips_is_the_same_from_three_layouts(tmp_path):
    own = read_files([SNIPS / "dev.jsonl"])
    assert len(own.rows) == 700 and kinds(own) == {"tags": "tagging", "intent": "classification"}
    snips = [json.loads(line) for line in (SNIPS / "dev.jsonl").read_text(encoding="utf-8").splitlines()]
    parts = {"validation.seq.in": "".join(" ".join(sample["tokens"]) + "\n" for sample in snips),
             "validation.seq.out": "".join(" ".join(sample["tags"]) + "\n" for sample in snips),
             "validation.label": "".join(sample["intent"] + "\n" for sample in snips)}
    columns = "".join(f"# intent = {sample['intent']}\n" + "".join(
        f"{token} {tag}\n" for token, tag in zip(sample["tokens"], sample["tags"], strict=True)) + "\n" for sample in snips)
    cells = "text,tags,intent\n" + "".join(f"\"{' '.join(sample['tokens'])}\",{' '.join(sample['tags'])},{sample['intent']}\n"
                                           for sample in snips)
    for files, told in ((parts, "label=class:intent"), ({"validation.conll": columns}, ""), ({"validation.csv": cells}, "")):
        table = read(tmp_path, files, told)
        assert list(table.rows) == list(own.rows)
        assert kinds(table) == kinds(own) and table.notices == []


# Several files


def test_a_file_for_each_task_merged_by_text(tmp_path):
    table = read(tmp_path, {
        "intent.train.csv": "text,intent\nbook a table in Rome,book\nfly to Oslo,fly\nstay,none\n",
        "slots.train.jsonl": '{"text": "fly to Oslo", "slots": [{"start": 7, "end": 11, "label": "LOC"}]}\n{"text": "home", "slots": []}\n'
                             '{"text": "book a table in Rome", "slots": [{"start": 16, "end": 20, "label": "LOC"}]}\n'})
    assert rows(table) == [
        ("book a table in Rome", {"intent": "book", "slots": (("Rome", "LOC"),)}),
        ("fly to Oslo", {"intent": "fly", "slots": (("Oslo", "LOC"),)}),
        ("stay", {"intent": "none", "slots": None}), ("home", {"intent": None, "slots": ()})]
    assert kinds(table) == {"intent": "classification", "slots": "tagging"}
    assert table.notices == ["intent.train.csv: 2 rows have the same text as a row of another file and were joined with it."]


def test_words_and_texts_are_merged_and_the_words_kept_where_the_entities_fit_them(tmp_path):
    table = read(tmp_path, {
        "a.jsonl": '{"text": "it\'s Rome, now", "e": [{"start": 5, "end": 9, "label": "LOC"}]}\n{"text": "in Oslo", "e": []}\n',
        "b.jsonl": '{"tokens": ["it\'s", "Rome,", "now"], "t": ["O", "B-X", "O"]}\n{"tokens": ["in", "Oslo"], "t": ["O", "B-X"]}\n'})
    assert rows(table) == [
        ("it's Rome, now", {"e": (("Rome", "LOC"),), "t": (("Rome,", "X"),)}), ("in Oslo", {"e": (), "t": (("Oslo", "X"),)})]
    assert [row.words for row in table.rows] == [None, ((0, 2), (3, 7))]


def test_a_file_for_each_task_with_other_texts(tmp_path):
    table = read(tmp_path, {"sst2.train.tsv": "sentence\tlabel\nso good\tpos\nso bad\tneg\n", "wnut.train.conll": "in O\nRome B-LOC\n\n",
                            "topic.train.csv": "text,topic\na game,sport\n"})
    assert rows(table) == [("so good", {"sst2": "pos", "wnut": None, "topic": None}),
                           ("so bad", {"sst2": "neg", "wnut": None, "topic": None}),
                           ("in Rome", {"sst2": None, "wnut": (("Rome", "LOC"),), "topic": None}),
                           ("a game", {"sst2": None, "wnut": None, "topic": "sport"})]
    assert kinds(table) == {"sst2": "classification", "wnut": "tagging", "topic": "classification"}
    assert [(spec.group, spec.column, spec.role, spec.task) for spec in table.columns] == [
        ("sst2", "sentence", "text", ""), ("sst2", "label", "class", "sst2"), ("wnut", "tokens", "tokens", ""),
        ("wnut", "tags", "tags", "wnut"),
        ("topic", "text", "text", ""), ("topic", "topic", "class", "topic")]


def test_parts_of_one_data_set_are_one_task(tmp_path):
    files = {"reviews1.csv": "text,label\nso good,pos\nso bad,neg\n", "reviews2.csv": "text,label\nso dull,neg\nso fine,pos\n"}
    table = read(tmp_path, files)
    assert rows(table) == [("so good", {"label": "pos"}), ("so bad", {"label": "neg"}), ("so dull", {"label": "neg"}),
                           ("so fine", {"label": "pos"})]
    assert "is taken for the same task" in table.notices[0]
    table = read(tmp_path, files | {"ner.conll": "in O\nRome B-LOC\n\n"})
    assert kinds(table) == {"label": "classification", "ner": "tagging"}
    classes = {"pos.csv": "text,label\nso good,pos\n", "neg.csv": "text,label\nso bad,neg\n"}  # a file for each class
    assert rows(read(tmp_path, classes)) == [("so good", {"label": "pos"}), ("so bad", {"label": "neg"})]
    shards = {f"train-0000{index}-of-00002.csv": content for index, content in enumerate(files.values())}
    table = read(tmp_path, shards)
    assert kinds(table) == {"label": "classification"} and len(table.rows) == 4 and table.notices == []


def test_one_general_name_with_other_labels_is_called_like_the_files(tmp_path):
    table = read(tmp_path, {"sst2-train.csv": "text,label\nso good,pos\nso bad,neg\n",
                            "agnews-train.csv": "text,label,lang\na game,sport,en\na bank,money,de\n"})
    assert rows(table) == [("so good", {"sst2": "pos", "agnews label": None, "lang": None}),
                           ("so bad", {"sst2": "neg", "agnews label": None, "lang": None}),
                           ("a game", {"sst2": None, "agnews label": "sport", "lang": "en"}),
                           ("a bank", {"sst2": None, "agnews label": "money", "lang": "de"})]
    parts = {f"{name}-train-0000{index}-of-00002.csv": f"text,label\nx {name} {index},{name}1\ny,{name}2\n"
             for name in "ab" for index in range(2)}
    assert kinds(read(tmp_path, parts)) == {"a": "classification", "b": "classification"}


def test_files_with_very_long_names_give_tasks_names_that_fit_and_differ(tmp_path):
    long = "a" * 60
    found = kinds(read(tmp_path, {f"{long}{number}.csv": f"text,label,lang\na,x{number},e{number}\nb,y{number},d{number}\n"
                                  for number in (1, 2)}))
    assert [name[-7:] for name in found] == ["1 label", "lang", "2 label"] and all(len(name) <= 64 for name in found)


@pytest.mark.parametrize(("columns", "found"), [
    ("a/label=class:mood", {"mood": "classification", "b": "classification"}), ("b/label=ignore", {"label": "classification"}),
    ("label=class:topic,a/label=class:mood", {"mood": "classification", "topic": "classification"}),
    ("label=class:x", {"x": "classification"})])
def test_columns_can_be_told_for_one_of_the_files(tmp_path, columns, found):
    files = {"a.csv": "text,label\nso good,pos\nso bad,neg\n", "b.csv": "text,label\na game,sport\n"}
    assert kinds(read(tmp_path, files, columns)) == found


def test_one_name_cannot_be_two_kinds_of_task(tmp_path):
    with pytest.raises(MtlError, match=r"^b\.conll: 'tags' is a task of tagging here, but of classification in a\.csv"):
        read(tmp_path, {"a.csv": "text,x\nso good,pos\n", "b.conll": "in O\nRome B-LOC\n\n"}, "x=class:tags,tags=tags:tags")
    with pytest.raises(MtlError, match=r"^a\.csv: two columns are said to be the task 'x'"):
        read(tmp_path, {"a.csv": "text,x,y\nso good,pos,a\n"}, "x=class,y=class:x")


def test_three_files_with_the_same_beginning_belong_together(tmp_path):
    def parts(name: str, word: str) -> dict[str, str]:
        return {f"{name}seq.in": f"in {word}\nhere\n", f"{name}seq.out": "O B-LOC\nO\n", f"{name}label": f"go{word}\nstay{word}\n"}

    wanted = [("in Rome", {"tags": (("Rome", "LOC"),), "label": "goRome"}), ("here", {"tags": (), "label": "stayRome"})]
    assert rows(read(tmp_path, parts("", "Rome"))) == rows(read(tmp_path, parts("atis.train.", "Rome"))) == wanted
    both = parts("atis_", "Rome") | parts("snips-", "Oslo")
    table = read(tmp_path, {name: both[name] for name in sorted(both)})  # mixed, as a file dialog gives them
    assert [(row.text, row.values["tags"]) for row in table.rows][::2] == [
        ("in Rome", (Span(3, 7, "LOC"),)), ("in Oslo", (Span(3, 7, "LOC"),))]
    assert kinds(table) == {"tags": "tagging", "atis label": "classification", "snips label": "classification"}
    folders = parts("a/", "Rome") | parts("b/", "Oslo")
    mixed = {name: folders[name] for name in sorted(folders, key=lambda name: name[2:])}
    assert [row.text for row in read(tmp_path, mixed).rows] == ["in Rome", "here", "in Oslo", "here"]
    uploads = {f"{index}/{name}": content for index, (name, content) in enumerate(parts("x.", "Rome").items())}  # each in its own folder
    assert [row.text for row in read(tmp_path, uploads).rows] == ["in Rome", "here"]


# What columns are taken for


def test_odd_columns_are_guessed(tmp_path):
    content = "Row ID,Review Text,Stars,Date\n" + "".join(f"{index},I think that this is number {index},{index % 5},2024-01-{index}\n"
                                                          for index in range(30))
    table = read(tmp_path, {"x.csv": content})
    assert [(spec.column, spec.role) for spec in table.columns] == [("Row ID", "ignore"), ("Review Text", "text"),
                                                                       ("Stars", "class"), ("Date", "ignore")]
    assert rows(table)[7] == ("I think that this is number 7", {"Stars": "2"})
    assert "x.csv: no column is named 'text'; 'Review Text' is taken for it, because its texts are the longest." in table.notices


def test_what_is_told_wins_over_the_guess(tmp_path):
    content = "text,title,label,stars\nso good,Nice,a,5\nso bad,Sad,b,1\n"
    table = read(tmp_path, {"x.csv": content}, "title=text,stars=class:score,label=ignore")
    assert rows(table)[0] == ("Nice", {"score": "5"})
    assert table.notices == ["x.csv: 'text' is not taken for a task: the sentence is taken from another column."]
    assert kinds(read(tmp_path, {"x.csv": content}, "title=text", ("text",)))["text"] == "classification"
    table = read(tmp_path, {"x.csv": content}, "title=text,text=ignore,label=ignore,stars=class")
    assert rows(table) == [("Nice", {"stars": "5"}), ("Sad", {"stars": "1"})]
    assert table.notices == []
    assert kinds(read(tmp_path, {"x.jsonl": '{"text": "a b", "e": ["B-X", "O"], "id": "x"}'}, "e=tags:slots,id=class")) == {
        "slots": "tagging", "id": "classification"}
    with pytest.raises(MtlError, match=r"line 2: 'label' is a text, a list of tags is needed|words between blanks"):
        read(tmp_path, {"x.csv": content}, "label=tags")
    with pytest.raises(MtlError, match=r"x\.csv, line 2: 'label' is a text, a list of entities is needed. Set the column"):
        read(tmp_path, {"x.csv": content}, "label=spans")


def test_columns_are_shown_with_what_stands_in_them(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"text": "a\\nb", "e": [[0, 1, "X"]], "n": 1}\n' * 2 + '{"text": "c", "e": [], "n": 2}\n')
    [file] = understand([tmp_path / "x.jsonl"] * 2)  # a file named twice is read once
    assert [(column.name, column.role, column.task, column.examples) for column in file.columns.values()] == [
        ("text", "text", "", ["a b", "c"]), ("e", "spans", "e", ['[[0, 1, "X"]]', "[]"]), ("n", "class", "n", ["1", "2"])]
    assert file.source.records == 3
