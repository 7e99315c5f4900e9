"""What annotation tools export, as they write it, and several files of one split: read into exactly the rows that are meant."""

import datetime
import decimal
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from mtl.data.readers import find_columns, read_files
from mtl.data.rows import Table
from mtl.data.values import Value
from mtl.errors import MtlError
from mtl.settings.shorthand import parse_columns

# What is read: files (a list of samples stands on lines in .jsonl, in an array in .json) and the user's roles for columns; and what comes
# of it: kinds of tasks, rows (text, values, and words if there are any), notices. What a case does not give may be anything.
CASES = json.loads(Path(__file__).with_name("read.json").read_text(encoding="utf-8"))
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


def plain(value: Value | None) -> object:
    """A value as read.json writes it: entities as lists of start, end and label."""
    parts = None if value is None else value.plain()
    return [list(part.values()) if isinstance(part, dict) else part for part in parts] if isinstance(parts, list) else parts


def kinds(table: Table) -> dict[str, str]:
    return {task.name: task.kind for task in table.tasks}


def lines(*samples: object) -> str:
    """Samples as JSON lines."""
    return "".join(json.dumps(sample) + "\n" for sample in samples)


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_files_are_read_into_exactly_the_rows_that_are_meant(tmp_path, case):
    for indent in (None, 1):
        table = read(tmp_path, {name: content if isinstance(content, str) else lines(*content) if name.endswith("l") else
                                json.dumps(content, indent=indent) for name, content in case["files"].items()},
                     case.get("columns", ""), case.get("wanted", ()))
        assert [[row.text, {name: plain(value) for name, value in row.values.items()}, *([list(map(list, row.words))] if row.words else [])]
                for row in table.rows] == case["rows"]
        assert kinds(table) == case.get("kinds", kinds(table)) and table.notices == case.get("notices", table.notices)
        roles = [[spec.group, spec.column, spec.role, spec.task] for spec in table.columns]
        assert roles == case.get("roles", roles)


# Parquet


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


def test_files_with_very_long_names_give_tasks_names_that_fit_and_differ(tmp_path):
    long = "a" * 60
    found = kinds(read(tmp_path, {f"{long}{number}.csv": f"text,label,lang\na,x{number},e{number}\nb,y{number},d{number}\n"
                                  for number in (1, 2)}))
    assert [name[-7:] for name in found] == ["1 label", "lang", "2 label"] and all(len(name) <= 64 for name in found)


def test_one_name_cannot_be_two_kinds_of_task(tmp_path):
    with pytest.raises(MtlError, match=r"^b\.conll: 'tags' is a task of tagging here, but of classification in a\.csv"):
        read(tmp_path, {"a.csv": "text,x\nso good,pos\n", "b.conll": "in O\nRome B-LOC\n\n"}, "x=class:tags,tags=tags:tags")
    with pytest.raises(MtlError, match=r"^a\.csv: two columns are said to be the task 'x'"):
        read(tmp_path, {"a.csv": "text,x,y\nso good,pos,a\n"}, "x=class,y=class:x")


# What columns are taken for


def test_columns_are_shown_with_what_stands_in_them(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"text": "a\\nb", "e": [[0, 1, "X"]], "n": 1}\n' * 2 + '{"text": "c", "e": [], "n": 2}\n')
    [file] = find_columns([tmp_path / "x.jsonl"] * 2)  # a file named twice is read once
    assert [(column.name, column.role, column.task, column.examples) for column in file.columns.values()] == [
        ("text", "text", "", ["a b", "c"]), ("e", "spans", "e", ['[[0, 1, "X"]]', "[]"]), ("n", "class", "n", ["1", "2"])]
    assert file.source.records == 3
