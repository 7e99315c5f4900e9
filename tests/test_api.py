"""`import mtl` as a person in a notebook uses it."""

import signal
import subprocess
import sys
from inspect import signature
from pathlib import Path

import pytest

import mtl
from mtl.runs.folder import list_runs
from mtl.runs.history import read_history
from mtl.settings.config import RunConfig
from tests.watcher import send_signal

QUICK = {"encoder": "tiny", "learning_rate": 2e-3, "threads": 1, "device": "cpu"}


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """Where the runs of this test are."""
    monkeypatch.setenv("MTL_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def test_import_mtl_is_instant_and_has_four_names_with_docstrings():
    code = ("import sys, mtl; print([name for name in ('torch', 'pydantic', 'gradio') if name in sys.modules]); "
            "print(mtl.__all__, {*mtl.__all__} <= {*dir(mtl)}); mtl.train, mtl.load; print('torch' in sys.modules)")
    told = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True).stdout
    assert told.splitlines() == ["[]", "['MtlError', 'RunConfig', 'load', 'train'] True", "False"]
    assert all(getattr(mtl, name).__doc__ for name in mtl.__all__)
    with pytest.raises(AttributeError, match="module 'mtl' has no attribute 'fit'"):
        _ = mtl.fit
    assert {*RunConfig.model_fields} < {*signature(mtl.train).parameters} and signature(mtl.train).parameters["epochs"].default is None


def test_a_model_is_trained_from_a_file_loaded_and_asked(root, write_rows, easy_rows, tmp_path, capsys):
    file = write_rows(tmp_path / "train.jsonl", easy_rows(120))
    run = mtl.train(train_files=[Path(file)], tasks=["place", "answer"], weights={"place": 2}, epochs=2, **QUICK)
    told = capsys.readouterr().out
    assert told.startswith(f"Run {run.id}\n") and "Epoch 2.00" in told
    assert [run.folder for run in list_runs(root)] == [run.folder] and run.best.is_dir()
    assert [task.name for task in run.config.tasks] == ["answer", "place"] and run.config.weights == {"place": 2.0}
    for model in (mtl.load(run.best), mtl.load(str(run.best)), mtl.load(run.id)):
        one, (first, second) = model("no never stay now Lima"), model(["yes please go now Oslo", "no never stay now Lima"])
        assert {*one.predictions} == {"answer", "place"} and first.text == "yes please go now Oslo" and second.text == one.text
        assert one.predictions["place"].spans == second.predictions["place"].spans
        assert one.predictions["answer"].probabilities == pytest.approx(second.predictions["answer"].probabilities, abs=1e-5)


@pytest.mark.parametrize(("settings", "sentence"), [
    ({"learning_rate": -1}, "Learning rate: found -1, wanted a number above 0"),
    ({"epoch": 3}, "There is no setting 'epoch'. Did you mean 'epochs'?"),
    ({"train_files": "train.jsonl"}, "Training files: found 'train.jsonl', wanted a list"),
    ({"train_files": ["nowhere.csv"]}, "nowhere.csv: there is no such file"), ({"tasks": "topic,colour"}, "There is no task 'colour'"),
    ({"resume": "last", "epochs": 3}, "resume goes on with the settings"), ({"resume": "last"}, "There is no run yet"),
    ({"source": "hypothetical", "hypothetical_rows": 60, "alpha": 0.3, **QUICK}, "Alpha: weighs two tasks against each other")])
def test_what_cannot_be_is_refused_in_the_words_of_the_terminal(root, settings, sentence):
    with pytest.raises(mtl.MtlError, match="^" + sentence.replace("?", r"\?")):
        mtl.train(**settings)


def test_a_model_that_is_not_there_is_refused_and_the_starter_is(root):
    for name in ("last", "no-such-run"):
        with pytest.raises(mtl.MtlError, match="There is no"):
            mtl.load(name)
    assert "Oslo" in {span.label and "Ana Silva left Oslo."[span.start:span.end]
                      for span in mtl.load("starter")("Ana Silva left Oslo.").predictions["entities"].spans}


def test_ctrl_c_ends_a_training_like_any_stop_and_it_can_go_on(root, capsys):
    before = signal.getsignal(signal.SIGINT)
    send_signal(signal.SIGINT, root, 2)
    run = mtl.train(mtl.RunConfig(source="hypothetical", hypothetical_rows=120, **QUICK), epochs=2, batch_size=4, eval_every=1000)
    assert read_history(run).status == "stopped" and signal.getsignal(signal.SIGINT) == before
    assert f"mtl.train(resume='{run.id}')" in capsys.readouterr().out
    assert mtl.train(resume=run.id).id == run.id and read_history(run).status == "finished"
