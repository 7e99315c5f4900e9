"""Before and after corrections: scores on the same rows, what was forgotten and what was learned, kept for a page opened tomorrow."""

import numpy as np
import pytest

from mtl.comparing import before_after as measuring
from mtl.comparing.before_after import _change, _turned, before_after, keep, read_before_after
from mtl.data.rows import Row
from mtl.data.values import Label, Spans
from mtl.data.words import Span
from mtl.errors import MtlError
from mtl.runs.folder import create_run
from mtl.tasks.classification import Classified
from mtl.tasks.tagging import Tagged
from mtl.training.execute import run_training
from mtl.training.teach import CORRECTIONS, make_taught


def says(label: str) -> dict:
    return {"mood": Classified({label: 0.9, "other": 0.1}), "place": Tagged((Span(0, 4, "LOC"),), (0.9,))}


def test_an_answer_that_was_right_and_is_wrong_now_counts_as_forgotten_whatever_it_was_before_elsewhere():
    rows = [Row("Rome is fine", {"mood": Label("good"), "place": None}), Row("Oslo", {"mood": None, "place": Spans([Span(0, 4, "LOC")])})]
    found = _turned(rows, ["mood", "place"], [says("good"), says("bad")], [says("bad"), says("good")])
    assert [[(one.task, one.gold, one.before, one.after, right) for one, right in of_row] for of_row in found] == [
        [("mood", "good", "good", "bad", (True, False))], [("place", *["Oslo = LOC"] * 3, (True, True))]]


def test_a_few_rows_that_changed_prove_no_difference_and_many_do():
    right, wrong = [1, 2], [0, 2]

    def of(*rows):
        return np.array(rows, np.int32)

    few = _change("topic", "accuracy", of(*[right] * 40), of(*[right] * 38, wrong, wrong))
    many = _change("topic", "accuracy", of(*[right] * 40), of(*[right] * 20, *[wrong] * 20))
    assert "100.0 \u2192 95.0" in few.sentence and few.sentence.endswith("no difference shown") and many.sentence.endswith(": worse")
    assert "no validation row" in _change("topic", "accuracy", of([0, 0]), of([0, 0])).sentence


def test_before_and_after_are_measured_once_and_kept_and_say_what_a_hard_lesson_has_cost(
        tmp_path, tiny_config, write_rows, easy_rows, monkeypatch):
    rows = easy_rows(60)
    source = create_run(tmp_path / "runs", tiny_config(source="files", epochs=8, **{
        f"{split}_files": (write_rows(tmp_path / f"{split}.jsonl", part),)
        for split, part in (("train", rows[:48]), ("validation", rows[48:]))}))
    assert run_training(source, resume=False) == "finished"
    with pytest.raises(MtlError, match="did not begin with another model"):
        before_after(source)
    write_rows(tmp_path / CORRECTIONS, [{"text": f"yes please go now {word}", "answer": "no"} for word in ("Kyiv", "Bern", "Riga", "Cork")])
    run = make_taught(tmp_path / "runs", f"{source.id}/best", source.best, source, tmp_path / CORRECTIONS, steps=60, share=1.0, slower=1.0)
    with pytest.raises(MtlError, match="no checkpoint 'best'"):
        before_after(run)
    assert run_training(run, resume=False) == "finished"
    found = before_after(run)
    assert (found.corrections, found.right_before, found.right_after) == (4, 0, 4) and not found.wrong
    assert found.rows == 12 and found.forgotten == len(found.lost) > 0 and {one.task for one in found.lost} >= {"answer"}
    assert all(one.before == one.gold != one.after for one in found.lost)
    assert found.lines[0] == "4 of 4 corrections right now, 0 before." and "worse" in found.changes[0].sentence
    monkeypatch.setattr(measuring, "_answers", None)  # nothing is asked again
    assert before_after(run) == read_before_after(run) == found and not found.kept
    keep(run)
    assert read_before_after(run).kept
