"""Prediction in the terminal: texts, lines of standard input, and whole files that may be stopped at any moment."""

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import openpyxl
import pytest

from mtl.inference import predict_file
from mtl.runs.checkpoint import save_checkpoint
from mtl.runs.folder import Run, create_run
from tests.conftest import TEXTS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(mtl, tiny, make_model, tiny_config) -> Run:
    """A run with a model that reads 32 subwords."""
    made, model = create_run(mtl.root, tiny_config()), make_model()

    def write(folder: Path) -> None:
        model.save_pretrained(folder)
        tiny[1].save_pretrained(folder)

    save_checkpoint(made.folder, "best", write, {"step": 1})
    return made


def answers(told: str) -> list[dict]:
    return [json.loads(line) for line in told.split("\n")[:-1]]


@pytest.fixture
def rows(tmp_path) -> Path:
    """A file of rows that take some seconds to predict."""
    path = tmp_path / "in.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "n"), *((TEXTS[index % 4], index) for index in range(3_000))])
    return path


def test_lines_end_with_a_line_feed_and_nothing_else(mtl, run):
    text = "\ufeffFly\u2028to\x0cRome\x85now\r\nBook\ra table\n\u2029 Play"
    told = mtl("predict", run.id, stdin=text.encode()).stdout
    assert [answer["text"] for answer in answers(told)] == ["Fly\u2028to\x0cRome\x85now", "Book\ra table", "\u2029 Play"]


def test_a_line_that_cannot_be_read_has_an_error_and_the_others_their_answers(mtl, run):
    told = mtl("predict", run.id, stdin=b"Fly home.\n\n" + b"a " * 10_001 + b"\nCaf\xe9\nBook a table.\n")
    made = answers(told.stdout)
    assert ["error" in answer for answer in made] == [False, True, True, True, False] and told.returncode == 0
    assert [answer["error"] for answer in made[1:4]] == [
        "The text is empty. Type a sentence.", "The text has 20,002 characters, the limit is 20,000. Split it.",
        "The text is not UTF-8. Save it as UTF-8."]
    assert all(set(answer) >= {"intent", "mood", "slots"} for answer in (made[0], made[4])) and len(made[2]["text"]) < 300
    assert told.stderr.splitlines()[-1] == "3 of 5 texts without an answer. The first: line 2: The text is empty. Type a sentence."


def test_if_no_text_can_be_read_the_command_fails(mtl, run):
    told = mtl("predict", run.id, "")
    assert told.returncode == 1 and answers(told.stdout) == [{"text": "", "error": "The text is empty. Type a sentence."}]
    assert mtl("predict", run.id, "", "Fly.").returncode == 0 and mtl("predict", run.id).returncode == 0


def test_a_long_text_says_where_it_was_cut_or_is_read_in_pieces(mtl, run):
    text = " ".join(TEXTS * 5)
    [cut], [split] = (answers(mtl("predict", run.id, *flags, text).stdout) for flags in ([], ["--long", "split"]))
    assert 0 < cut["cut_at"] < len(text) and "cut_at" not in split and split["pieces"] > 2
    assert split["slots"] and all(text[span["start"]:span["end"]] == span["text"] for span in split["slots"])
    assert max(span["end"] for span in split["slots"]) > cut["cut_at"]


def test_a_file_that_is_killed_and_gone_on_with_equals_one_made_at_once(mtl, run, rows, tmp_path):
    whole, to = tmp_path / "whole.csv", tmp_path / "out.csv"
    asked = ["predict", run.id, "--engine", "plain", "--files", str(rows), "--to"]
    assert mtl(*asked, str(whole)).returncode == 0
    process = subprocess.Popen([sys.executable, "-m", "mtl", *asked, str(to)], cwd=ROOT, stderr=subprocess.PIPE)
    end = time.monotonic() + 120
    while not to.exists() or not to.stat().st_size:
        assert time.monotonic() < end and process.poll() is None, process.stderr.read()
        time.sleep(0.005)
    process.kill()
    process.communicate()
    done = predict_file.find_state(to).rows
    assert done < 3_000
    again = mtl(*asked[:2], *asked[4:], str(to))  # in the way in which it was begun, though none is named
    assert again.returncode == 0 and ", plain." in again.stderr and f"{done:,} are done already." in again.stderr
    assert to.read_bytes() == whole.read_bytes() and [path.name for path in tmp_path.glob("out.csv*")] == ["out.csv"]
    with to.open(newline="") as file:
        assert [row["n"] for row in csv.DictReader(file)] == [str(index) for index in range(3_000)]


def test_after_ctrl_c_the_same_command_goes_on(mtl, run, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(predict_file, "ROWS", 500)
    asked, note = ["predict", run.id, "--files", str(rows), "--to", str(tmp_path / "out.jsonl")], predict_file._note

    def press_once(to: Path, state: predict_file.State) -> None:
        note(to, state)
        if state.rows == 1_000:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(predict_file, "_note", press_once)
    stopped = mtl(*asked)
    assert stopped.returncode == 130 and "Stopped after 1,000 of 3,000 rows. To go on: give the same command again." in stopped.stderr
    monkeypatch.setattr(predict_file, "_note", note)
    assert mtl(*asked).returncode == 0 and (tmp_path / "out.jsonl").read_text().count("\n") == 3_000


def test_progress_and_what_was_understood_go_to_stderr(mtl, run, tmp_path, monkeypatch):
    monkeypatch.setattr("mtl.cli.common.PROGRESS_EVERY", 0)
    (tmp_path / "in.csv").write_text("id;Review\n1;Book a table in Rome.\n2;\n")
    told = mtl("predict", run.id, "--files", str(tmp_path / "in.csv"), "--to", str(tmp_path / "out.tsv"))
    assert (told.returncode, told.stdout) == (0, "")
    for sentence in ("in.csv: the columns are separated by ';'.", "in.csv: 2 rows, with the text in 'Review'.", "2 of 2 rows, ", "rows/s",
                     "out.tsv: 2 rows.", "1 of 2 texts without an answer. The first: line 3: The text is empty."):
        assert sentence in told.stderr


def test_a_packed_file_and_a_sheet_of_a_workbook_are_predicted(mtl, run, tmp_path):
    table = "text,n\nFly to Rome.,1\nStay here.,2\n"
    (tmp_path / "in.csv.gz").write_bytes(gzip.compress(table.encode()))
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as packed:
        packed.writestr("data/in.csv", table)
    book = openpyxl.Workbook()
    old = book.create_sheet("Old")
    for row in csv.reader(table.splitlines()):
        old.append(row)
    book.save(tmp_path / "in.xlsx")
    for index, name in enumerate(("in.csv.gz", "in.zip", "in.xlsx:Old")):
        told = mtl("predict", run.id, "--files", str(tmp_path / name), "--to", str(tmp_path / f"{index}.csv"))
        assert told.returncode == 0, told.stderr
        with (tmp_path / f"{index}.csv").open(newline="") as file:
            assert [(row["text"], row["n"]) for row in csv.DictReader(file)] == [("Fly to Rome.", "1"), ("Stay here.", "2")]
    (tmp_path / "0.csv").unlink()
    assert "has no sheet 'New'" in mtl("predict", run.id, "--files", str(tmp_path / "in.xlsx:New"), "--to", str(tmp_path / "0.csv")).stderr


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--files", "in.csv"], "A file is predicted with --files in.csv --to out.csv, and without texts."),
    (["--to", "out.csv"], "A file is predicted with"), (["A text.", "--files", "in.csv", "--to", "out.csv"], "and without texts"),
    (["--files", "in.csv", "--to", "in.csv"], "in.csv: is the input itself."),
    (["--files", "no.csv", "--to", "out.csv"], "no.csv: there is no such file"),
    (["--files", "in.csv", "--to", "out.pdf"], "out.pdf: predictions cannot be written in this format"),
    (["--files", "in.csv", "in.csv.csv", "--to", "out.csv"], "in.csv.csv: is a second file."),
    (["--files", "in.csv", "--to", "out.csv", "--tasks", "colour"], "This model has no task 'colour'. Its tasks are: intent, mood, slots."),
    (["A text.", "--tasks", "colour"], "This model has no task 'colour'.")])
def test_what_cannot_be_is_said_in_one_sentence_and_nothing_is_written(mtl, run, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    for name in ("in.csv", "in.csv.csv"):
        Path(name).write_text("text\nFly to Rome.\nStay here.\n")
    result = mtl("predict", run.id, *arguments)
    assert result.returncode == 1 and result.stderr.splitlines()[-1].startswith("mtl: ") and sentence in result.stderr
    assert not Path("out.csv").exists() and Path("in.csv").read_text().startswith("text\nFly")
