"""Learning from corrections: an ordinary run that begins with another model's weights, stands alone, and leaves that model as it was."""

import json
from itertools import islice

import pytest
import torch
from safetensors.torch import load_file

from mtl.data.kept import open_rows
from mtl.data.words import Span
from mtl.errors import MtlError
from mtl.inference.predictor import Predictor
from mtl.model.machine import Machine
from mtl.model.multitask import learned_weights
from mtl.runs.checkpoint import BEST, LAST
from mtl.runs.events import StatusChanged
from mtl.runs.folder import Run, create_run, delete_run, open_starter
from mtl.runs.history import read_history
from mtl.training.execute import run_training
from mtl.training.loop import train
from mtl.training.teach import CORRECTIONS, MOST, make_taught, read_corrections, read_taught, tasks_of
from mtl.training.trainer import LOOK_EVERY, Trainer

NEW = [{"text": "perhaps later then Kyiv", "answer": "yes", "place": (Span(19, 23, "LOC"),)}, {"text": "zulu now", "answer": "no"}]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def source(root, tiny_config, write_rows, easy_rows) -> Run:
    """A run that has learned the easy rows; its validation and test rows are named."""
    rows = easy_rows(72)
    files = {f"{split}_files": (write_rows(root.with_name("data") / f"{split}.jsonl", part),)
             for split, part in (("train", rows[:56]), ("validation", rows[56:64]), ("test", rows[64:]))}
    run = create_run(root, tiny_config(source="files", epochs=6, **files))
    assert run_training(run, resume=False) == "finished"
    return run


@pytest.fixture
def corrections(tmp_path, write_rows):
    """A function that writes corrections to a file and returns its path."""
    def write(rows):
        write_rows(tmp_path / CORRECTIONS, rows)
        return tmp_path / CORRECTIONS

    return write


def teach(source: Run, file, **how) -> Run:
    return make_taught(source.folder.parent, f"{source.id}/best", source.best, source, file, **how)


def values(run: Run, text: str) -> dict:
    return {task: made.value for task, made in Predictor.load(run.best, "cpu").predict([text])[0].predictions.items()}


def test_corrections_are_learned_in_a_run_of_its_own_that_needs_nothing_of_its_source_and_leaves_it_as_it_was(
        source, corrections, tmp_path):
    before = {file: file.read_bytes() for file in source.folder.rglob("*") if file.is_file()}
    run = teach(source, corrections(NEW), steps=60, slower=1.0)
    hidden = source.folder.rename(tmp_path / "gone")
    try:
        assert run_training(run, resume=False) == "finished"
        assert [values(run, row["text"])["answer"] for row in NEW] == ["yes", "no"]
        assert values(run, NEW[0]["text"])["place"] == NEW[0]["place"]
        assert values(run, "no never stay now Lima")["answer"] == "no"  # not forgotten
    finally:
        hidden.rename(source.folder)
    assert before == {file: file.read_bytes() for file in source.folder.rglob("*") if file.is_file()}
    assert "corrected: " in run.name and read_taught(run).choice == f"{source.id}/best" and read_taught(source) is None
    saved = (run.best / "config.json").read_text()
    assert str(run.folder) not in saved and "start" not in json.loads(saved).get("_name_or_path", "")


def test_a_run_ends_when_its_corrections_are_right_and_goes_back_as_far_as_they_stay_so(source, corrections, easy_rows):
    run = teach(source, corrections(easy_rows(4)), steps=80)
    assert run_training(run, resume=False) == "finished"
    history = read_history(run)
    assert history.step < history.started.total_steps and not history.step % LOOK_EVERY
    assert "as soon as all corrections were right" in history.message
    trainer = Trainer(run.config, run.folder, open_rows(run.folder), Machine("cpu", "fp32", 1), run.folder / "scratch")
    weight = trainer.model.heads[0].weight
    begun, far = weight.detach().clone(), torch.full_like(weight, 0.01)
    with torch.no_grad():
        weight += far
    trainer._go_back(right := trainer._right_corrections())
    torch.testing.assert_close(weight - begun, far / 4)  # an eighth was far enough, and an eighth more is the margin
    with torch.no_grad():
        weight.copy_(begun[[1, 0]])  # yes is no
    trainer._go_back(right)  # the first eighth is near enough
    assert trainer._right_corrections() == right


def test_each_step_mixes_corrections_with_rows_of_the_source_and_corrected_rows_are_not_measured(source, corrections, easy_rows):
    known = easy_rows(64)[60]  # one of its validation rows
    run = teach(source, corrections([*NEW, {"text": known["text"].upper(), "answer": "no"}]), share=0.25)
    made, old = open_rows(run.folder), open_rows(source.folder)
    taught = [row.text for row in made.train[:3]]
    assert taught == [NEW[0]["text"], NEW[1]["text"], known["text"].upper()]
    mine = [row for row in made.train if row.text in taught]
    assert len(mine) / len(made.train) == pytest.approx(0.25, abs=0.01)
    assert {row.text for row in made.train} - set(taught) <= {row.text for row in old.train} - {known["text"]}
    assert [row for row in old.validation if row.text != known["text"]] == list(made.validation)
    assert [row for row in old.test if row.text != known["text"]] == list(made.test)
    assert read_taught(run).left_out == sum(row.text == known["text"] for row in old.validation) > 0
    assert mine[1].values == {"answer": "no", "place": None}  # nothing is said of its places


def test_a_stopped_run_goes_on_to_the_same_weights_bit_for_bit(source, corrections):
    whole, cut = (teach(source, corrections(NEW)) for _ in range(2))
    assert run_training(whole, resume=False) == "finished"
    begun = train(cut.config, cut.folder, between_steps=lambda trainer: trainer.progress.step == 4)
    assert [event.status for event in begun if isinstance(event, StatusChanged)][-1] == "stopped"
    assert run_training(cut, resume=True) == "finished"
    one, other = (load_file(run.folder / LAST / "model.safetensors") for run in (whole, cut))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_model_that_was_taught_can_be_taught_more_at_the_same_rates(source, corrections):
    first = teach(source, corrections(NEW), steps=4)
    assert run_training(first, resume=False) == "finished"
    second = teach(first, corrections(NEW[:1]))
    assert second.config.learning_rate == first.config.learning_rate < source.config.learning_rate
    assert [event.status for event in islice(train(second.config, second.folder), 2) if isinstance(event, StatusChanged)] == ["running"]


def test_the_starter_model_can_be_taught_with_the_corpus_it_was_trained_on(root, corrections):
    file = corrections([{"text": "Ana left Oslo.", "entities": (Span(0, 3, "PER"), Span(9, 13, "LOC")), "topic": "world"}])
    run = make_taught(root, "starter", open_starter(), None, file)
    dataset = open_rows(run.folder)
    assert len(dataset.validation) == 306 and {row.text for row in dataset.train} - {"Ana left Oslo."}
    trainer = Trainer(run.config, run.folder, dataset, Machine("cpu", "fp32", 1), run.folder / "scratch")
    saved = load_file(open_starter() / "model.safetensors")
    mine = learned_weights(trainer.model)
    assert mine.keys() == saved.keys() and all(torch.equal(mine[name], saved[name]) for name in saved)
    assert any(weight.requires_grad for name, weight in trainer.model.named_parameters() if "lora" in name)
    delete_run(run)


@pytest.mark.parametrize(("rows", "sentence"), [
    ([{"text": "a b", "answer": "perhaps"}], "this model has no label 'perhaps' for 'answer'. It knows no, yes. A new label needs a new"),
    ([{"text": "a b", "place": (Span(0, 1, "PER"),)}], "this model has no label 'PER' for 'place'"),
    ([{"text": "a b", "place": (Span(0, 9, "LOC"),)}], "line 1: 'place' has an entity from 0 to 9, the text has 3 characters"),
    ([{"text": "a b", "mood": "good"}], "no row says anything of what this model knows: answer, place"),
    ([{"text": f"a {index}", "answer": "no"} for index in range(MOST + 1)], "has 201 corrections, and 200 can be learned at once")])
def test_corrections_that_cannot_be_learned_are_refused_and_leave_no_run(source, corrections, rows, sentence):
    runs = set(source.folder.parent.iterdir())
    with pytest.raises(MtlError, match="corrections.jsonl") as refused:
        teach(source, corrections(rows))
    assert sentence in str(refused.value) and set(source.folder.parent.iterdir()) == runs


def test_an_entity_that_cuts_a_word_is_widened_to_it(source, corrections):
    row, = read_corrections(corrections([{"text": "zulu now Kyiv", "place": (Span(10, 12, "LOC"),)}]), tasks_of(source.folder / BEST))
    assert row.values == {"answer": None, "place": (Span(9, 13, "LOC"),)}
