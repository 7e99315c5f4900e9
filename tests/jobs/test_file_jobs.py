"""A file in the background: all its rows and columns come back, whatever some hold; it is its visitor's alone, and can be cancelled."""

import csv
import json
import time
from pathlib import Path

import pytest

from mtl.errors import MtlError
from mtl.jobs import file_jobs
from mtl.jobs.file_jobs import FileJob, FileJobs, predict_now
from mtl.jobs.queue import Jobs
from mtl.runs.folder import Limits

STARTER = "starter"


@pytest.fixture
def files(jobs, tmp_path):
    return FileJobs(jobs, tmp_path / "answers")


@pytest.fixture
def rows(tmp_path):
    """A function that writes a CSV file of so many rows, of which one has no text and one is cut."""
    def write(count: int, name: str = "rows.csv") -> Path:
        with (tmp_path / name).open("w", encoding="utf-8", newline="") as file:
            out = csv.writer(file)
            out.writerow(["id", "body", "note"])
            texts = {3: "", 4: "very " * 600 + "long"}
            out.writerows([number, texts.get(number, f"Ana Silva left Oslo on day {number}."), "\u00e9"] for number in range(count))
        return tmp_path / name

    return write


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def wait(job: FileJob) -> FileJob:
    while not job.is_over:
        time.sleep(0.01)
    return job


def test_all_rows_come_back_in_order_with_their_columns_and_what_went_wrong_in_one_is_said_in_it(files, rows):
    files.start("me", job := FileJob(rows(250), STARTER))
    made = read(wait(job).result)
    assert [row["id"] for row in made] == [str(number) for number in range(250)] and {row["note"] for row in made} == {"\u00e9"}
    assert [row["id"] for row in made if row["error"]] == ["3"] and [row["id"] for row in made if row["cut_at"]] == ["4"]
    assert (job.error, job.column, job.model, job.done.rows, job.done.failed, job.done.cut) == ("", "body", "starter model", 250, 1, 1)
    assert job.result.name == "rows-predicted.csv" and "LOC" in made[0]["entities"]


def test_one_that_is_cancelled_has_the_rows_that_were_done_and_the_next_one_all(files, rows):
    job = FileJob(rows(250), STARTER)
    job._note = lambda done: (setattr(job, "done", done), files.cancel("me"))  # as soon as some rows are done
    files.start("me", job)
    assert len(read(wait(job).result)) == file_jobs.ROWS == job.done.rows and not job.error
    files.start("me", again := FileJob(rows(250), STARTER))
    assert len(read(wait(again).result)) == 250 and not job.result.exists(), "the answers to one's last file are deleted"


def test_the_text_may_stand_in_another_column_and_the_answer_is_written_as_the_file_was(files, tmp_path):
    file = tmp_path / "in.jsonl"
    file.write_text("".join(json.dumps({"text": "Oslo", "other": "Ana left Lisbon.", "n": number}) + "\n" for number in range(3)))
    files.start("me", job := FileJob(file, STARTER, "other"))
    lines = [json.loads(line) for line in wait(job).result.read_text(encoding="utf-8").splitlines()]
    assert job.result.name == "in-predicted.jsonl" and [line["n"] for line in lines] == [0, 1, 2]
    assert [span["text"] for span in lines[0]["entities"]][-1] == "Lisbon"


def test_files_wait_for_each_other_one_of_each_visitor_and_not_too_many(files, rows, monkeypatch):
    with file_jobs._turn:  # another file is being predicted
        waiting = [FileJob(rows(5), STARTER) for _ in range(file_jobs.MOST)]
        for number, job in enumerate(waiting):
            files.start(f"visitor {number}", job)
        assert [files.ahead(job) for job in waiting] == list(range(file_jobs.MOST))
        with pytest.raises(MtlError, match="^rows.csv is being predicted. Wait for it, or cancel it.$"):
            files.start("visitor 0", FileJob(rows(5), STARTER))
        with pytest.raises(MtlError, match="^5 files wait already"):
            files.start("one more", FileJob(rows(5), STARTER))
        assert files.of("visitor 1") is waiting[1] and files.of("one more") is None
        files.cancel("visitor 1")
        assert wait(waiting[1]).error == "rows.csv was cancelled before a row was done.", "it need not wait for its turn"
        with pytest.raises(MtlError, match="^The page is still getting ready"):
            files.start("", FileJob(rows(5), STARTER))
    assert [wait(job).result is None for job in waiting] == [False, True, False, False, False]
    monkeypatch.setattr(file_jobs, "KEPT", -1.0)
    files.start("one more", wait(FileJob(rows(5), STARTER, is_over=True)))
    assert files.of("visitor 0") is None and not waiting[0].result.exists(), "after a day"


@pytest.mark.parametrize(("name", "content", "choice", "column", "sentence"), [
    ("odd.jsonl", '{"text": "a"}\n{"text": \n', STARTER, "", "odd.jsonl, line 2: "),
    ("a.csv", "text\nOslo\n", "no such run/best", "", "There is no such run"),
    ("a.csv", "text\nOslo\n", STARTER, "body", "there is no column 'body'")])
def test_what_cannot_be_is_said_and_the_next_file_has_its_turn(files, tmp_path, name, content, choice, column, sentence):
    (tmp_path / name).write_text(content)
    files.start("me", job := FileJob(tmp_path / name, choice, column))
    assert sentence in wait(job).error and job.result is None
    (tmp_path / "b.csv").write_text("text\nOslo\n")
    files.start("me", job := FileJob(tmp_path / "b.csv", STARTER))
    assert not wait(job).error and len(read(job.result)) == 1


def test_on_a_disk_that_is_nearly_full_no_file_is_begun(rows, tmp_path):
    with pytest.raises(MtlError, match="^The disk is nearly full"):
        FileJobs(Jobs(tmp_path, Limits(free_disk=1e9)), tmp_path / "answers").start("me", FileJob(rows(1), STARTER))


def test_a_public_page_gives_a_file_no_more_minutes_than_a_run_and_keeps_what_is_done(rows, tmp_path):
    jobs = Jobs(tmp_path, Limits(minutes=0))
    FileJob(rows(250), STARTER).run(jobs, tmp_path / "one")
    assert len(read(tmp_path / "one" / "rows-predicted.csv")) == file_jobs.ROWS
    with pytest.raises(MtlError, match="^rows.csv: 100 rows took 0 minutes, which is all that this public page gives to a file. Split it"):
        predict_now(jobs, rows(250), STARTER, ".jsonl", tmp_path / "two")
