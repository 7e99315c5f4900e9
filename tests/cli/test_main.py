"""The terminal's door, as a person uses it; in a process of its own where that matters."""

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mtl.comparing.joint_vs_alone import Card, Compared, read_card, write_card
from mtl.runs.folder import Run, list_runs
from mtl.runs.history import read_history
from mtl.scoring.measure import read_measured
from mtl.settings.config import RunConfig, read_config
from tests.watcher import send_signal

ROOT = Path(__file__).resolve().parents[2]
QUICK = ["--encoder", "tiny", "--learning-rate", "2e-3", "--threads", "1", "--device", "cpu"]
MADE_UP = ["--source", "hypothetical", "--hypothetical-rows", "120", "--epochs", "2", *QUICK]


def test_help_lists_every_setting(mtl):
    text = mtl("train", "--help").stdout
    for name in RunConfig.model_fields:
        assert "--" + name.replace("_", "-") in text


def test_a_run_is_trained_listed_and_asked(mtl):
    trained = mtl("train", *MADE_UP, "--name", "first try")
    assert trained.returncode == 0, trained.stderr
    looks = re.findall(r"Epoch (\d)\.00, step \d+, validation: .*class loss .*entities loss .*f1 ", trained.stdout)
    assert looks == ["0", "1", "2"]
    listed = json.loads(mtl("runs", "--json").stdout)
    assert (listed["status"], listed["name"], listed["note"], listed["step"]) == ("finished", "first try", "", listed["total_steps"])
    told = f"mean of the main scores {listed['best_score']:.1%}"
    assert listed["best_by"] == "mean of the main scores" and "The best step was" in trained.stdout and f": {told}." in trained.stdout
    list_runs(mtl.root)[0].describe(name="renamed", note="the first one")
    shown = mtl("runs").stdout
    assert f"best {told}" in shown and shown.endswith("renamed (the first one)\n") and f": {told}." in mtl("evaluate", "last").stdout
    texts = ["Anna left Oslo.", "Caf\u00e9 \U0001f44d\U0001f3fd in San Remo!"]
    asked = mtl("predict", "last", "--tasks", "class,entities", stdin="\n".join(texts))
    answers = [json.loads(line) for line in asked.stdout.splitlines()]
    assert [answer["text"] for answer in answers] == texts
    for answer in answers:
        assert abs(sum(answer["class"]["probabilities"].values()) - 1) < 0.01 and "sentiment" not in answer
        assert all(answer["text"][span["start"]:span["end"]] == span["text"] for span in answer["entities"])


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["train", "--train-file", "nowhere.csv"], "nowhere.csv: there is no such file"),
    (["train", "--tasks", "topic,colour"], "There is no task 'colour' in the data. The tasks found are: topic, sentiment, entities"),
    (["train", "--preset", "list"], "The presets are: snips, atis"), (["train", "--columns", "x"], "is not of the form column=role"),
    (["data", "nowhere.csv"], "nowhere.csv: there is no such file"),
    (["train", "--learning-rate", "-1"], "Learning rate (--learning-rate): found -1, wanted a number above 0"),
    (["train", "--weights", "class"], "'class' is not of the form task=number"),
    (["train", "--resume", "last"], "There is no run yet"),
    (["train", "--resume", "last", "--epochs", "3"], "--resume goes on with the settings"),
    (["predict", "last", "Hello"], "There is no run yet"),
    (["predict", "../../etc", "Hello"], "There is no such run"),
    (["compare"], "Name a finished run"), (["compare", "--resume", "last"], "There is no comparison yet"),
    (["train", "--seeds", "3"], "Add --compare"), (["sweep", "--alphas", "2"], "not a number from 0 to 1")])
def test_what_is_wrong_is_said_in_one_sentence(mtl, arguments, sentence):
    result = mtl(*arguments)
    assert result.returncode == 1 and result.stderr.splitlines()[-1].startswith("mtl: ") and sentence in result.stderr.splitlines()[-1]


def test_a_run_that_cannot_begin_fails_with_a_sentence_and_no_traceback(mtl):
    for flags, sentence in ((["--alpha", "0.3"], "Alpha: weighs two tasks against each other, but this run has 3"),
                            (["--encoder", "../etc"], "'../etc' is not the id of a Hub model")):
        result = mtl("train", *MADE_UP, *flags)
        assert result.returncode == 1 and sentence in result.stderr and "Traceback" not in result.stderr + result.stdout
        assert read_history(list_runs(mtl.root)[0]).status == "failed"


def test_a_run_that_gets_a_signal_to_stop_saves_exits_with_130_and_goes_on_where_it_was(mtl):
    settings = [*MADE_UP, "--batch-size", "4", "--eval-every", "1000"]
    before = signal.getsignal(signal.SIGTERM)  # for SIGINT see tests/test_api.py
    send_signal(signal.SIGTERM, mtl.root, 3)
    assert mtl("train", *settings).returncode == 130 and signal.getsignal(signal.SIGTERM) == before
    run, = list_runs(mtl.root)
    stopped = read_history(run)
    assert stopped.status == "stopped" and stopped.checkpoints["last"] == stopped.step
    assert mtl("train", "--resume", run.id).returncode == 0
    assert mtl("train", *settings).returncode == 0
    one, other = (load_file(run.folder / "last/model.safetensors") for run in list_runs(mtl.root))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_two_processes_of_accelerate_give_what_one_gives_with_twice_the_batch(mtl):
    settings = [*MADE_UP, "--dropout", "0", "--encoder-dropout", "0", "--accumulation", "2", "--hypothetical-rows", "60",
                "--learning-rate", "2e-5", "--head-learning-rate", "1e-4", "--epochs", "4"]  # 12 steps of 2 batches: a look is taken too
    accelerate = Path(sys.executable).parent / "accelerate"
    two = subprocess.run([accelerate, "launch", "--cpu", "--num_processes", "2", "-m", "mtl", "train", *settings, "--batch-size", "5",
                          "--diagnose-every", "2"], cwd=ROOT, capture_output=True, text=True)
    assert two.returncode == 0, two.stderr[-3000:]
    one = mtl("train", *settings, "--batch-size", "10", "--diagnose-every", "2")
    assert one.returncode == 0, one.stderr
    single, double = (read_history(run) for run in list_runs(mtl.root))
    assert (double.started.processes, single.started.processes) == (2, 1)
    assert double.diagnoses and double.estimate and single.estimate
    for one, other in zip(double.diagnoses, single.diagnoses, strict=True):  # they sum over the processes
        assert one.norms == pytest.approx(other.norms, rel=1e-3)
    assert double.started.total_steps == single.started.total_steps
    one, other = (load_file(run.folder / "last/model.safetensors") for run in list_runs(mtl.root))
    assert max((value - other[name]).abs().max().item() for name, value in one.items()) < 1e-4
    for left, right in zip(double.evaluations, single.evaluations, strict=True):
        assert left.losses == pytest.approx(right.losses, abs=1e-4)


def test_the_settings_of_a_run_can_be_used_for_another(mtl, tmp_path):
    rows = [{"text": f"{word} {number}", "mood": word} for number in range(20) for word in ("good", "bad")]
    data = tmp_path / "moods.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    assert mtl("train", *QUICK, "--epochs", "2", "--train-files", str(data)).returncode == 0
    first, = list_runs(mtl.root)
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"encoder": "tiny", "epochs": 1, "weights": {"mood": 2.0}, "threads": 1}))
    again = mtl("train", "--config", str(settings), "--train-files", str(data), "--epochs", "2")
    assert again.returncode == 0, again.stderr
    run, = (run for run in list_runs(mtl.root) if run.id != first.id)  # both may have begun within one second: in any order
    assert run.config.epochs == 2 and run.config.weights == {"mood": 2.0}


def test_data_are_reported_on_and_converted_without_training(mtl, tmp_path):
    (tmp_path / "odd.csv").write_text("Nr,Review,Stars\n" + "".join(
        f'{index},"A {("good", "bad")[index % 2]} meal in Rome, the {index}th",{index % 2 + 1}\n' for index in range(40)))
    columns = ["--columns", "Review=text,Stars=class:mood"]
    told = mtl("data", str(tmp_path / "odd.csv"), *columns).stdout
    assert "odd.csv: 40 rows." in told and "Stars: class, task 'mood'" in told and "Nr: ignore" in told
    assert re.search(r"train\s+36\s+36", told) and "WARNING" in told
    converted = mtl("convert", str(tmp_path / "odd.csv"), "--to", str(tmp_path / "new.jsonl"), *columns)
    assert "new.jsonl: 40 rows, mood (classification)." in converted.stdout
    first = json.loads((tmp_path / "new.jsonl").read_text().splitlines()[0])
    assert first == {"text": "A good meal in Rome, the 0th", "mood": "1"}


def test_one_file_per_task_is_trained_with_the_mapping_in_the_config(mtl, tmp_path):
    (tmp_path / "topic.csv").write_text("sentence,label\n" + "".join(f"it is {index} {'ab'[index % 2]},{'ab'[index % 2]}\n"
                                                                     for index in range(40)))
    (tmp_path / "ner.conll").write_text("".join(f"Rome\tS-LOC\nis\tO\n{index}\tO\n\n" for index in range(40)))
    done = mtl("train", "--train-files", str(tmp_path / "topic.csv"), str(tmp_path / "ner.conll"), "--epochs", "1", *QUICK)
    assert done.returncode == 0, done.stderr
    config = list_runs(mtl.root)[0].config
    assert [(spec.group, spec.column, spec.role, spec.task) for spec in config.columns] == [
        ("topic", "sentence", "text", ""), ("topic", "label", "class", "topic"),
        ("ner", "tokens", "tokens", ""), ("ner", "tags", "tags", "ner")]


def make_older(run: Run) -> None:
    """Change the names in the run's folder to those of versions that called the validation rows dev."""
    for name in ("config.json", "events.jsonl", "rows/rows.json", "scores-validation.json"):
        text = (run.folder / name).read_text()
        for new, old in (("validation_", "dev_"), ('"validation"', '"dev"')):
            text = text.replace(new, old)
        (run.folder / name).write_text(text)
    (run.folder / "rows/validation").rename(run.folder / "rows/dev")
    (run.folder / "scores-validation.json").rename(run.folder / "scores-dev.json")


def test_a_run_of_an_older_version_is_read_scored_and_resumed(mtl, write_rows, easy_rows, tmp_path):
    files = [write_rows(tmp_path / f"{split}.jsonl", easy_rows(40)) for split in ("train", "held-out")]
    assert mtl("train", "--train-files", files[0], "--dev-files", files[1], "--dev-share=0.2", "--eval-every=1", "--max-steps=2",
               *QUICK).returncode == 0
    run, = list_runs(mtl.root)
    assert mtl("evaluate", run.id).returncode == 0
    config, history, measured = run.config, read_history(run), read_measured(run, "validation")
    assert len(config.validation_files) == 1 and config.validation_share == 0.2

    make_older(run)
    shutil.rmtree(run.folder / "data")  # the kept rows are used
    assert "dev_files" in (run.folder / "config.json").read_text() and "dev_rows" in (run.folder / "events.jsonl").read_text()
    assert run.config == config and read_history(run) == history and read_measured(run, "validation") == measured
    assert "validation: 40 rows" in mtl("evaluate", run.id, "--split", "dev").stdout
    shutil.rmtree(run.folder / "last")
    assert mtl("train", "--resume", run.id).returncode == 0 and read_history(run).started.step == 1


def test_the_splits_of_a_hub_dataset_and_the_card_of_a_comparison_are_read_from_older_files_too(tmp_path):
    (tmp_path / "config.json").write_text('{"source": "hub", "hub": [{"id": "a/b", "dev": "held-out"}]}')
    assert read_config(tmp_path / "config.json").hub[0].validation == "held-out"
    compared = Compared("everything right", "share of rows", *[None] * 6)
    card = Card((), compared, 7, (1,), {}, (1, 1), (1, 1), (1.0, 1.0))
    write_card(tmp_path, card)
    (tmp_path / "card.json").write_text((tmp_path / "card.json").read_text().replace("validation_rows", "dev_rows"))
    assert read_card(tmp_path) == card


def test_a_run_is_repeated_with_the_changes_in_its_middle(mtl):
    steering = '[{"step": 3, "weights": {"class": 2.0}}, {"step": 5, "rate": 0.5, "evaluate": true}]'
    assert mtl("train", *MADE_UP, "--max-steps", "8", "--steering", steering).returncode == 0
    repeated = mtl("train", "--again", "last", "--name", "again")
    assert repeated.returncode == 0, repeated.stderr
    assert "Steered after step 3: weight of class × 2." in repeated.stdout
    assert "Steered after step 5: learning rate × 0.5, evaluation." in repeated.stdout
    one, two = (json.loads(line) for line in mtl("runs", "--json").stdout.splitlines())
    assert one["id"] != two["id"] and one["name"] == "again" and one["best_score"] == two["best_score"]
    wrong = mtl("train", *MADE_UP, "--steering", "soon")
    assert wrong.returncode == 1 and "Steering: 'soon' is not JSON." in wrong.stderr
