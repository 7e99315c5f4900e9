"""Data that may be longer than memory: a list and an Arrow file answer alike, and a run learns the same from both."""

import sys
from types import ModuleType

import datasets
import numpy as np
import pytest

from mtl.data import splitting, store
from mtl.data.dataset import load
from mtl.data.rows import narrow, row_shape
from mtl.data.splitting import split_rows
from mtl.data.store import Stored, keep, open_saved, pick, save, take
from mtl.data.words import Span
from mtl.errors import MtlError
from mtl.model.batching import example_shape, make_examples
from mtl.model.split import make_split
from mtl.runs.events import Evaluated
from mtl.settings.config import TaskSpec, make_config
from mtl.tasks import make_task
from tests.plain import Row

TASKS = [TaskSpec(name="topic", kind="classification"), TaskSpec(name="ner", kind="tagging"),
         TaskSpec(name="themes", kind="multilabel")]
ENTITIES = (None, (), (Span(0, 3, "PER"),), (Span(0, 3, "PER"), Span(11, 15, "LOC")))
WORDS = ((0, 3), (4, 5), (6, 10), (11, 15))
ROWS = [Row(f"Ann \U0001f60a left Rome {index}", {"topic": (None, "a", "b")[index % 3], "ner": ENTITIES[index % 4],
                                                 "themes": (None, [], ["a", "b"])[index % 7 % 3]},
            None if index % 5 else WORDS) for index in range(120)]


@pytest.fixture
def stored(tmp_path) -> Stored:
    return keep(iter(ROWS), row_shape(TASKS), tmp_path / "deep" / "rows.arrow", limit=10)


def test_few_items_stay_a_list_and_many_go_into_a_file(tmp_path):
    assert keep(iter(ROWS), row_shape(TASKS), tmp_path / "rows.arrow", limit=120) == ROWS
    assert not (tmp_path / "rows.arrow").exists()
    assert isinstance(keep(iter(ROWS), row_shape(TASKS), tmp_path / "rows.arrow", limit=119), Stored)
    assert (tmp_path / "rows.arrow").stat().st_size > 0


def test_what_comes_out_of_the_file_is_what_went_in(stored):
    assert len(stored) == len(ROWS)
    assert list(stored) == ROWS and [stored[index] for index in (0, 7, 119)] == [ROWS[0], ROWS[7], ROWS[119]]
    assert stored[3:9] == ROWS[3:9] and take(stored, [5, 2, 5]) == take(ROWS, [5, 2, 5]) == [ROWS[5], ROWS[2], ROWS[5]]
    assert take(stored, []) == []


def test_a_choice_of_rows_is_a_sequence_of_its_own(stored):
    places = np.array([3, 1, 100])
    assert list(pick(stored, places)) == pick(ROWS, places) == [ROWS[3], ROWS[1], ROWS[100]]
    assert list(pick(pick(stored, places), np.array([2, 0]))) == [ROWS[100], ROWS[3]]


def test_the_split_is_the_same_for_both(stored):
    for of_list, of_file in zip(split_rows(ROWS, 0.2, TASKS, 3), split_rows(stored, 0.2, TASKS, 3), strict=True):
        assert list(of_file) == of_list


def test_examples_come_back_as_they_were(tiny, tmp_path):
    specs = [TASKS[0].model_copy(update={"labels": ("a", "b")}), TASKS[1].model_copy(update={"labels": ("LOC", "PER")}),
             TASKS[2].model_copy(update={"labels": ("a", "b")})]
    tasks = [make_task(spec) for spec in specs]
    examples = list(make_examples(tiny[1], tasks, ROWS, 16))
    back = list(keep(iter(examples), example_shape(tasks), tmp_path / "examples.arrow", limit=1))
    for (before, labels), (after, labels_after) in zip(examples, back, strict=True):
        assert (before.ids, list(before.words), before.firsts, labels) == (after.ids, after.words, after.firsts, labels_after)
    listed, filed = (make_split(tiny[1], tasks, rows, 16, tmp_path / "split.arrow") for rows in (ROWS, ROWS))
    assert (listed.lengths == filed.lengths).all() and listed.cut == filed.cut


def test_what_is_saved_is_there_again_and_who_wants_one_task_reads_that_one(stored, tmp_path):
    topic = [Row(row.text, {"topic": row.values["topic"]}, row.words) for row in ROWS]
    for name, rows in (("list", ROWS), ("stored", stored), ("choice", pick(pick(stored, np.arange(120)[::-1]), np.arange(120)[::-1]))):
        save(rows, row_shape(TASKS), tmp_path / name)
        assert open_saved(tmp_path / name, row_shape(TASKS)) == ROWS
        assert open_saved(tmp_path / name, row_shape(TASKS[:1])) == narrow(ROWS, TASKS[:1]) == list(narrow(stored, TASKS[:1])) == topic


def test_datasets_are_made_while_another_thread_imports_what_datasets_asks_for_its_classes(tmp_path, monkeypatch):
    for half_loaded in ("torch", "transformers"):
        module = ModuleType(half_loaded)
        module.__spec__ = sys.modules[half_loaded].__spec__
        monkeypatch.setitem(sys.modules, half_loaded, module)
    save(ROWS, row_shape(TASKS), tmp_path / "saved")
    assert open_saved(tmp_path / "saved", row_shape(TASKS)) == ROWS
    kept = keep(iter(ROWS), row_shape(TASKS), tmp_path / "rows.arrow", limit=10)
    assert list(pick(kept, np.arange(len(ROWS)))) == ROWS and list(narrow(kept, TASKS)) == ROWS


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    import errno

    import pyarrow

    def full(*args: object, **others: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pyarrow, "OSFile", full)
    with pytest.raises(MtlError, match="The disk is full"):
        keep(iter(ROWS), row_shape(TASKS), tmp_path / "rows.arrow", limit=10)


def test_a_run_learns_bit_for_bit_the_same_from_a_file_as_from_a_list(tmp_path, monkeypatch, write_rows, easy_rows, tiny_config, finish):
    config = tiny_config(source="files", train_files=(write_rows(tmp_path / "rows.jsonl", easy_rows(60)),), epochs=3, validation_share=0.3)
    scores = []
    for name, limit in (("list", 20_000), ("file", 10)):
        monkeypatch.setattr(store, "KEPT_IN_MEMORY", limit)
        scores.append([event for event in finish(config, tmp_path / name) if isinstance(event, Evaluated)])
        assert (tmp_path / name / "laid-out").exists() == (name == "file")
    assert [(seen.step, seen.losses, seen.scores) for seen in scores[0]] == [(seen.step, seen.losses, seen.scores) for seen in scores[1]]


def test_so_many_rows_are_kept_aside_for_validation_and_no_more(monkeypatch, write_rows, tmp_path):
    monkeypatch.setattr(splitting, "MAX_VALIDATION", 30)
    file = write_rows(tmp_path / "rows.jsonl", [{"text": f"text {index}", "topic": "ab"[index % 2]} for index in range(500)])
    dataset = load(make_config({"source": "files", "train_files": (file,), "validation_share": 0.5}), tmp_path)
    assert (len(dataset.train), len(dataset.validation)) == (470, 30)


def test_threads_that_open_rows_at_the_same_time_do_not_take_the_lock_of_the_progress_bars_from_each_other(tmp_path):
    save(ROWS, row_shape(TASKS), tmp_path / "rows")
    bars = datasets.utils.tqdm
    if "_lock" in vars(bars):
        del bars._lock  # as in a process that has opened none yet
    open_saved(tmp_path / "rows", row_shape(TASKS))
    assert "_lock" in vars(bars), "the next thread that has opened rows would delete the lock that another one uses"
