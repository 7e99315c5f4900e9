"""A file is parsed once: the look of the page, the start, training, resume, scores and comparisons all have the rows of that one time."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from mtl.comparing.execute import run_comparison
from mtl.comparing.plan import alone_plan, create, open_comparison, plan_for_run
from mtl.data import readers
from mtl.data.kept import open_rows
from mtl.runs.folder import delete_run, open_run
from mtl.runs.history import read_history
from mtl.scoring.measure import measure_test, measure_validation
from mtl.training.execute import run_training
from tests.watcher import Watcher


@pytest.fixture
def passes(monkeypatch) -> Counter:
    """How often the records of each file were read: twice is once, first to guess what its columns are for, then for its rows."""
    counted: Counter = Counter()

    def counting(read):
        def through(source):
            counted[source.path.name] += 1
            return read(source)
        return through

    for name, read in readers.READERS.items():
        monkeypatch.setitem(readers.READERS, name, counting(read))
    return counted


@pytest.fixture
def start(tabs, filled):
    """A function that starts a run on files, as a person does; its training is left to the test."""
    def start_it(files: list[str]):
        small = {"encoder": "tiny", "device": "cpu", "epochs": "2", "batch_size": "16", "learning_rate": "0.002", "threads": "1"}
        values, data = filled(settings=small, files=files), tabs.form.data
        shown = data.understand(values, progress=lambda share, desc: None)
        started = tabs.train.start(values | {data.choice: shown[data.choice]}, lambda share, desc: None)
        tabs.jobs._jobs.pop().lock.release()
        return open_run(tabs.jobs.root, started[tabs.page.run_id])

    return start_it


def train(run, steps: int | None = None, resume: bool = False) -> str:
    return run_training(run, resume=resume, control=Watcher(step=steps) if steps else None)


def test_a_file_is_parsed_when_it_is_looked_at_and_never_again(start, passes, write_rows, easy_rows, tmp_path):
    rows = easy_rows(90)
    files = [write_rows(tmp_path / f"{split}.jsonl", part) for split, part in (("train", rows[:60]), ("validation", rows[60:75]),
                                                                              ("test", rows[75:]))]
    run = start(files)
    looked = Counter({"train.jsonl": 2, "validation.jsonl": 2, "test.jsonl": 2})
    assert passes == looked
    for file in files:
        Path(file).unlink()
    assert train(run, steps=3) == "stopped", read_history(run).message
    shutil.rmtree(run.folder / "data")  # nobody needs the copies any more
    assert train(run, resume=True) == "finished", read_history(run).message
    assert measure_validation(run).report.rows == 15 and measure_test(run)[0].report.rows == 15
    assert [len(getattr(open_rows(run.folder), split)) for split in ("train", "validation", "test")] == [60, 15, 15]
    assert passes == looked and not (run.folder / "parsed").exists()


def test_a_comparison_has_the_rows_of_its_first_run_whatever_becomes_of_that(start, passes, write_rows, easy_rows, tmp_path):
    run, root = start([write_rows(tmp_path / "own.jsonl", easy_rows(60))]), tmp_path / "runs"
    assert train(run) == "finished"
    joint = open_rows(run.folder)
    comparison = create(root, *plan_for_run(run, 1), "k")
    assert run_comparison(comparison) == "finished", read_history(comparison).message
    members = [comparison.member_run(member) for member in comparison.plan.members]
    for member, task in zip(members[1:], ("answer", "place"), strict=True):
        alone = open_rows(member.folder)
        assert [row.text for row in alone.validation] == [row.text for row in joint.validation]
        assert [spec.name for spec in alone.tasks] == [task]
    delete_run(run)
    shutil.rmtree(members[1].folder)
    again = open_comparison(root, comparison.id)
    assert measure_validation(members[2]).report.rows == len(joint.validation)
    assert run_comparison(again) == "finished", read_history(again).message
    assert passes == {"own.jsonl": 2}


def test_a_comparison_from_the_form_is_parsed_once_too(start, passes, write_rows, easy_rows, tmp_path):
    run = start([write_rows(tmp_path / "own.jsonl", easy_rows(60))])
    config = run.config.model_copy(update={"train_files": (str(tmp_path / "own.jsonl"),)})
    comparison = create(tmp_path / "runs", config, alone_plan(config, 1), "k")
    delete_run(run)
    assert run_comparison(comparison) == "finished", read_history(comparison).message
    assert passes == {"own.jsonl": 2}


def test_the_tasks_that_are_ticked_and_several_files_are_parsed_once_too(start, passes, write_rows, easy_rows, tmp_path):
    rows = easy_rows(60)
    texts = [f"{row['text']} {index}" for index, row in enumerate(rows)]
    files = [write_rows(tmp_path / f"{task}.jsonl", [{"text": text, task: row[task]} for text, row in zip(texts, rows, strict=True)])
             for task in ("answer", "place")]
    both = start(files)
    assert train(both) == "finished" and passes == {"answer.jsonl": 2, "place.jsonl": 2}
    kept = open_rows(both.folder)
    assert len(kept.train) + len(kept.validation) == 60 and any("joined with it" in notice for notice in kept.notices)


def test_a_run_of_before_whose_rows_were_not_kept_reads_its_files_and_goes_on(start, write_rows, easy_rows, tmp_path):
    run = start([write_rows(tmp_path / "own.jsonl", easy_rows(60))])
    assert train(run, steps=3) == "stopped"
    shutil.rmtree(run.folder / "rows")
    assert train(run, resume=True) == "finished" and (run.folder / "rows").is_dir()
    shutil.rmtree(run.folder / "rows")
    assert measure_validation(run).report.rows == len(open_rows(run.folder).validation)
