"""mtl/scoring/predictions.py: the sentences behind a number are as many as it says, and are those of the model that was measured."""

import json
import shutil

import pytest

from mtl.errors import MtlError
from mtl.inference.predictor import Predictor
from mtl.runs.folder import Run, create_run
from mtl.scoring.measure import measure_validation, read_measured, validation_scores
from mtl.scoring.predictions import Wanted, find_sentences
from mtl.training.execute import run_training


@pytest.fixture(scope="module")
def run(tiny_config, tmp_path_factory) -> Run:
    """A short run, which gets much wrong, measured on its validation rows."""
    run = create_run(tmp_path_factory.mktemp("runs"), tiny_config(hypothetical_rows=300, hypothetical_labels="random"))
    assert run_training(run, resume=False) == "finished"
    measure_validation(run, device="cpu")
    return run


def find(run: Run, task: str, *what: str | None, **more) -> list:
    return find_sentences(run, Wanted("validation", task, *what, **more))[1]


def test_every_number_of_the_report_has_as_many_sentences(run):
    checked = 0
    for task in read_measured(run, "validation").report.tasks:
        assert len(find(run, task.name)) == task.wrong
        for label, of in (task.errors_of or task.confusion).items():
            for found, count in of.items():
                sentences = find(run, task.name, label, found)
                assert sum(one.count((label, found)) for one in map(list, (each.gold.compared(each.made) for each in sentences))) == count
                checked += 1
        for sort, count in (task.errors or {}).items():
            assert bool(find(run, task.name, None, sort)) == bool(count)
        for line in task.labels:
            assert len(find(run, task.name, line.label)) >= max(1, line.support if task.errors is None else 1)
    assert checked >= 8


def test_the_sentences_have_what_the_checkpoint_predicts_for_them_the_surest_mistakes_first(run):
    wrong = find(run, "sentiment")
    made = Predictor.load(run.best, "cpu").predict([one.text for one in wrong])
    assert [answer.predictions["sentiment"].value for answer in made] == [one.made for one in wrong]
    assert [one.sure for one in wrong] == pytest.approx([answer.predictions["sentiment"].confidences[0] for answer in made], abs=1e-3)
    assert [one.sure for one in wrong] == sorted((one.sure for one in wrong), reverse=True)
    word = wrong[-1].text.split()[0]
    some = find(run, "sentiment", words=word.upper())
    assert wrong[-1] in some and some == [one for one in wrong if word.casefold() in one.text.casefold()]


def test_predictions_that_are_missing_or_of_another_checkpoint_are_made_again(run, tmp_path):
    run = Run(shutil.copytree(run.folder, tmp_path / run.id))
    before = read_measured(run, "validation")
    assert validation_scores(run) == before and before.is_whole(run), "measured twice"
    (run.folder / "predictions-validation" / "checkpoint").write_text("another")
    assert not before.is_whole(run) and validation_scores(run).time > before.time
    assert read_measured(run, "validation").is_up_to_date(run)
    shutil.rmtree(run.folder / "predictions-validation")
    with pytest.raises(MtlError, match="were not kept.*Open the tab again"):
        find(run, "sentiment")


@pytest.mark.parametrize("asked", ["", "{}", '{"split": "../owner", "task": "sentiment"}', '{"split": "validation", "task": ["x"]}',
                                   '{"split": "validation", "task": "x", "shown": -1}'])
def test_what_cannot_be_asked_for_is_refused(asked):
    with pytest.raises(MtlError, match="not clear which sentences"):
        Wanted.read(asked)


def test_a_task_that_is_not_of_the_run_is_refused(run):
    wanted = Wanted.read(json.dumps({"split": "validation", "task": "no such", "label": None, "found": None}))
    with pytest.raises(MtlError, match="no such task"):
        find_sentences(run, wanted)
