"""mtl/data/parsed.py: what was parsed of files is found again for those very files, and for nothing else."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mtl.data import parsed as parsed_module
from mtl.data import store
from mtl.data.dataset import fingerprint, load
from mtl.data.kept import load_run
from mtl.data.parsed import MAX_TABLES, read_parsed, share_parsed
from mtl.data.readers import read_files
from mtl.settings.config import ColumnSpec, make_config


@pytest.fixture
def read(tmp_path):
    """A function that reads a file with two tasks, of `text` if it is given, through the folder `parsed`."""
    file = tmp_path / "own.csv"
    file.write_text("text,intent,mood\n" + "".join(f"text {index},{'ab'[index % 2]},{'xy'[index % 2]}\n" for index in range(9)))

    def call(text: str = "", told=(), wanted=(), parsed=tmp_path / "parsed"):
        if text:
            file.write_text(text)
        return read_parsed([file], told, wanted, parsed, tmp_path), read_files([file], told, wanted)

    return call


def test_what_was_parsed_is_what_would_be_parsed_again(read):
    for told in ((), (ColumnSpec(column="mood", role="ignore"),)):
        for wanted in ((), ("intent",)):
            kept, anew = read(told=told, wanted=wanted)
            assert (list(kept.rows), kept.tasks, kept.columns, kept.values) == (anew.rows, anew.tasks, anew.columns, anew.values)


def test_a_file_with_other_content_is_parsed_anew(read):
    assert [len(table.rows) for table in read()] == [9, 9]
    assert [len(table.rows) for table in read("text,intent\none,a\ntwo,b\n")] == [2, 2]


def test_tasks_that_were_not_parsed_or_are_nowhere_are_looked_for(read):
    for wanted in (["mood"], ["intent", "mood"], ["intent", "nowhere"], ["nowhere"]):
        kept, anew = read(wanted=wanted)
        assert list(kept.rows) == anew.rows


def test_a_validation_file_that_lacks_a_task_is_not_labelled_for_it(tmp_path, monkeypatch):
    (tmp_path / "train.csv").write_text("text,intent,mood\n" + "".join(f"text {index},{'ab'[index % 2]},{'xy'[index % 2]}\n"
                                                                       for index in range(9)))
    (tmp_path / "validation.csv").write_text("text,intent\n" + "".join(f"more {index},{'ab'[index % 2]}\n" for index in range(9)))
    config = make_config({"source": "files", "train_files": ("train.csv",), "validation_files": ("validation.csv",)})
    for number, limit in enumerate((5000, 3)):
        monkeypatch.setattr(store, "KEPT_IN_MEMORY", limit)
        (tmp_path / "parsed").mkdir(exist_ok=True)
        dataset = load(config, tmp_path, tmp_path / "into", parsed=tmp_path / "parsed")
        assert [row.values for row in dataset.validation][:2] == [{"intent": "a", "mood": None}, {"intent": "b", "mood": None}]
        (tmp_path / str(number)).mkdir()
        whole = {f"{split}_files": (str(tmp_path / f"{split}.csv"),) for split in ("train", "validation")}
        kept = load_run(config.model_copy(update=whole), tmp_path / str(number), tmp_path / "into")
        assert [list(kept.train), list(kept.validation)] == [list(dataset.train), list(dataset.validation)] and kept.tasks == dataset.tasks


def test_the_columns_may_be_told_as_they_were_understood_and_old_tables_go(read, tmp_path):
    columns = read()[0].columns
    assert share_parsed([tmp_path / "own.csv"], columns, tmp_path / "parsed", tmp_path / "other") == columns
    for number in range(MAX_TABLES + 3):
        read(f"text,intent\none {number},a\ntwo,b\n")
    assert len(list((tmp_path / "parsed").glob("[!.]*"))) == MAX_TABLES
    assert share_parsed([tmp_path / "gone.csv"], columns, tmp_path / "parsed", tmp_path / "other") == ()


def test_rows_that_other_settings_gave_are_not_taken(tmp_path):
    counts = []
    for rows in (30, 30, 40):
        config = make_config({"source": "hypothetical", "hypothetical_rows": rows})
        kept = load_run(config, tmp_path, tmp_path / "into")
        counts.append(len(kept.train) + len(kept.validation))
        assert kept.fingerprint == fingerprint(load(config, tmp_path))
    assert counts == [30, 30, 40]


def test_those_who_want_the_same_file_at_once_have_it_parsed_once(tmp_path, write_rows, easy_rows, monkeypatch):
    file, calls = Path(write_rows(tmp_path / "own.jsonl", easy_rows(300))), []
    real = parsed_module.read_files
    monkeypatch.setattr(parsed_module, "read_files", lambda *given, **how: calls.append(1) or real(*given, **how))
    with ThreadPoolExecutor(4) as pool:
        tables = list(pool.map(lambda index: read_parsed([file], (), (), tmp_path / "parsed", tmp_path / str(index)), range(4)))
    assert len(calls) == 1 and all(list(table.rows) == list(tables[0].rows) for table in tables)
