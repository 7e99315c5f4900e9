"""A file with its predictions: the same rows in the same order, whatever is in them, and the same bytes if it was made in two goes."""

import csv
import json
from pathlib import Path

import pytest
from filelock import FileLock

from mtl.data.readers import read_files
from mtl.data.texts import open_texts
from mtl.data.writers import write_rows as save_rows
from mtl.errors import MtlError
from mtl.inference import predict_file as module
from mtl.inference.predict_file import answer_lines, describe, find_state, predict_file
from mtl.inference.predictor import Predictor
from mtl.model.machine import Machine
from mtl.model.multitask import for_inference
from mtl.settings.config import TaskSpec
from mtl.settings.shorthand import parse_columns
from tests.conftest import TEXTS

ROWS = [{"text": f"{text} {index}", "intent": "fly"} for index, text in enumerate(TEXTS * 4)]


@pytest.fixture
def predictor(tiny, make_model):
    return Predictor(for_inference(make_model()), tiny[1], Machine("cpu", "fp32", 1), "plain")


@pytest.fixture
def predict(predictor, tmp_path, monkeypatch):
    """A function that predicts a file, in windows of three rows, with a model that its manifest stands for."""
    monkeypatch.setattr(module, "ROWS", 3)
    (tmp_path / "manifest.json").write_text("a model")

    def run(source: Path, to: Path, tasks=(), long="cut", columns=(), windows=10**9):
        file, seen = open_texts([source], columns), []
        about = describe(predictor, tmp_path, file, tasks, long)
        return predict_file(predictor, file, to, about, lambda: len(seen) >= windows, seen.append)

    return run


@pytest.fixture
def source(write_rows, tmp_path):
    return Path(write_rows(tmp_path / "in.jsonl", ROWS))


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))


def objects(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


@pytest.mark.parametrize("name", ["out.csv", "out.tsv", "out.jsonl"])
@pytest.mark.parametrize("windows", [1, 2, 5])
def test_a_file_that_was_gone_on_with_equals_one_made_at_once(predict, source, tmp_path, name, windows):
    whole, broken = tmp_path / f"whole-{name}", tmp_path / name
    predict(source, whole)
    assert predict(source, broken, windows=windows).rows == 3 * windows < len(ROWS)
    with broken.open("ab") as file:
        file.write(b'half a row, "as the process di')
    assert predict(source, broken).rows == len(ROWS)
    assert broken.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["manifest.json", "in.jsonl", name, whole.name])


def test_a_file_that_was_begun_with_anything_else_is_refused_and_left_as_it_was(predict, source, tmp_path, write_rows):
    to = tmp_path / "out.csv"
    predict(source, to, windows=2)
    before = to.read_bytes()
    other = Path(write_rows(tmp_path / "other.jsonl", ROWS[:-1]))
    for how, why in (({"tasks": ["mood"]}, "other --tasks"), ({"long": "split"}, "another --long"), ({"source": other}, "another input")):
        with pytest.raises(MtlError, match=f"^out.csv: is not finished, and was begun with {why}.* Delete it to begin anew, or give"):
            predict(**{"source": source, "to": to} | how)
    (tmp_path / "manifest.json").write_text("another model")
    with pytest.raises(MtlError, match="was begun with another model"):
        predict(source, to)
    (tmp_path / "manifest.json").write_text("a model")
    assert to.read_bytes() == before
    to.write_bytes(before[:-20])
    with pytest.raises(MtlError, match="was changed since: it is too short"):
        predict(source, to)


def test_a_file_that_is_finished_is_not_written_again(predict, source, tmp_path):
    predict(source, tmp_path / "out.csv")
    with pytest.raises(MtlError, match="^out.csv: is there already. Delete it, or give another name.$"):
        predict(source, tmp_path / "out.csv")
    for name, why in (("out.xlsx", "Give a name that ends with .csv, .tsv, .jsonl"), ("in.jsonl/out.csv", "cannot be written")):
        with pytest.raises(MtlError, match=why):
            predict(source, tmp_path / name)


def test_two_processes_do_not_write_one_file(predict, source, tmp_path):
    with FileLock(tmp_path / "out.csv.lock"), pytest.raises(MtlError, match="^out.csv: another process is writing it"):
        predict(source, tmp_path / "out.csv")
    assert find_state(tmp_path / "out.csv") is None


@pytest.mark.parametrize("name", ["in.csv", "in.tsv", "in.jsonl", "in.json", "in.conll", "in.parquet"])
def test_every_format_is_predicted_row_by_row_and_keeps_its_columns(predict, predictor, source, tmp_path, name):
    texts = [row.text for row in read_files([source]).rows]
    made = tmp_path / f"made-{name}"
    save_rows(made, read_files([source]).rows, [TaskSpec(name="intent", kind="classification")])
    predict(made, tmp_path / "out.csv")
    predict(made, tmp_path / "out.jsonl")
    cells, plain = table(tmp_path / "out.csv"), objects(tmp_path / "out.jsonl")
    asked = predictor.predict([row.get("text") for row in plain])
    assert len(cells) == len(plain) == len(texts) and [row["intent"] for row in cells] == ["fly"] * len(texts)
    for row, fields, one in zip(cells, plain, asked, strict=True):
        assert row["text"] == fields["text"] and row["intent predicted"] == one.predictions["intent"].label
        assert fields["intent predicted"] == one.plain()["intent"] and fields["slots"] == one.plain()["slots"]
    if name != "in.conll":
        assert [row["text"] for row in plain] == texts


def test_every_line_of_a_text_file_is_a_row_also_an_empty_one(predict, tmp_path):
    (tmp_path / "in.txt").write_bytes("Fly to Rome\u2028now\n\nBook a table\x0cfor two\r\n".encode())
    assert predict(tmp_path / "in.txt", tmp_path / "out.jsonl").failed == 1
    rows = objects(tmp_path / "out.jsonl")
    assert [row["text"] for row in rows] == ["Fly to Rome\u2028now", "", "Book a table\x0cfor two"]
    assert rows[1] == {"text": "", "error": "The text is empty. Type a sentence."}


def test_a_row_without_a_text_that_can_be_read_does_not_lose_the_others(predict, tmp_path):
    texts = ["Fly to Rome.", "", None, 5, ["a"], "word " * 5_000, "Book a table."]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text, "n": index}) + "\n" for index, text in enumerate(texts)))
    state = predict(tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    rows = objects(tmp_path / "out.jsonl")
    assert [row["n"] for row in rows] == list(range(7)) and [row["text"] for row in rows] == texts
    assert ["error" in row for row in rows] == [False, True, True, True, True, True, False] and (state.rows, state.failed) == (7, 5)
    assert state.first_failed == "line 2: The text is empty. Type a sentence." and "null, a text is needed" in rows[2]["error"]
    predict(tmp_path / "in.jsonl", tmp_path / "split.jsonl", long="split")
    assert "error" not in objects(tmp_path / "split.jsonl")[5]


def test_a_new_column_never_takes_the_name_of_one_that_is_there(predict, tmp_path):
    (tmp_path / "in.csv").write_text("text,Intent,intent predicted,intent probability,error,cut_at\nFly,a,b,c,d,e\n")
    predict(tmp_path / "in.csv", tmp_path / "out.csv", ["intent"])
    [row] = table(tmp_path / "out.csv")
    assert list(row) == ["text", "Intent", "intent predicted", "intent probability", "error", "cut_at", "intent predicted 2",
                         "intent probability predicted", "cut_at predicted", "error predicted"]
    assert [row[name] for name in list(row)[:6]] == ["Fly", *"abcde"]


def test_columns_that_only_later_rows_have_are_written_too(predict, write_rows, tmp_path):
    source = write_rows(tmp_path / "in.jsonl", [{"text": "Fly."}] * 5_001 + [{"text": "Go.", "late": True}])
    predict(Path(source), tmp_path / "out.csv", ["mood"], windows=1)
    assert (tmp_path / "out.csv").read_bytes().split(b"\r\n")[0] == b"text,late,mood,mood probability,cut_at,error"


def test_what_a_spreadsheet_would_run_gets_an_apostrophe_in_tables_only(predict, tmp_path):
    (tmp_path / "in.csv").write_text('text,n\n"=HYPERLINK(""http://x"")",-5\n- he left,+1+2\n')
    predict(tmp_path / "in.csv", tmp_path / "out.csv", ["mood"])
    predict(tmp_path / "in.csv", tmp_path / "out.jsonl", ["mood"])
    assert [(row["text"], row["n"]) for row in table(tmp_path / "out.csv")] == [('\'=HYPERLINK("http://x")', "-5"), ("- he left", "'+1+2")]
    assert [row["text"] for row in objects(tmp_path / "out.jsonl")] == ['=HYPERLINK("http://x")', "- he left"]


def test_where_entities_stand_is_told_in_a_table_too(predict, predictor, source, tmp_path):
    predict(source, tmp_path / "out.csv", ["slots"])
    told = 0
    for row in table(tmp_path / "out.csv"):
        spans = predictor.predict([row["text"]])[0].predictions["slots"].spans
        assert row["slots characters"] == " | ".join(f"{span.start}-{span.end}" for span in spans)
        assert row["slots"] == " | ".join(f"{row['text'][span.start:span.end]} = {span.label}" for span in spans)
        told += len(spans)
    assert told


def test_no_more_than_a_window_is_read_ahead_however_many_rows_there_are(predictor, monkeypatch):
    monkeypatch.setattr(module, "ROWS", 3)
    monkeypatch.setattr(module, "CHARACTERS", 20)
    read = []
    endless = ((number, {}, text) for number, text in enumerate(iter(lambda: "Fly home." if len(read) < 4 else "Fly to Rome now.", None))
               if read.append(number) is None)
    windows = answer_lines(predictor, endless, ["mood"], "cut")
    assert [len(next(windows)) for _ in range(3)] == [3, 2, 2] and len(read) == 7


def test_the_text_column_can_be_named_and_is_told_if_it_is_not_there(predict, tmp_path):
    (tmp_path / "in.csv").write_text("title,body\nFly to Rome now and then.,Book a table.\n")
    predict(tmp_path / "in.csv", tmp_path / "out.csv", columns=parse_columns("body=text"))
    with pytest.raises(MtlError, match="there is no column 'boddy'. The columns are: title, body"):
        predict(tmp_path / "in.csv", tmp_path / "other.csv", columns=parse_columns("boddy=text"))


def test_the_column_that_was_the_text_in_training_is_taken_for_it_again(tmp_path):
    (tmp_path / "in.csv").write_text("text,body\nFly to Rome now and then.,Book a table.\n")
    trained = parse_columns("body=text,old/note=text,mood=class")
    assert open_texts([tmp_path / "in.csv"], trained=trained).text.name == "body"
    assert open_texts([tmp_path / "in.csv"], parse_columns("text=text"), trained=trained).text.name == "text"
    assert open_texts([tmp_path / "in.csv"]).text.name == "text"


def test_a_file_that_is_broken_further_on_is_refused_before_anything_is_written(predict, source, tmp_path):
    with source.open("a") as file:
        file.write('{"text": \n')
    with pytest.raises(MtlError, match=f"^in.jsonl, line {len(ROWS) + 1}: "):
        predict(source, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()
