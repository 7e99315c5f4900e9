"""The terminal's door, as a person uses it; in a process of its own where that matters."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mtl.cli.main import main
from mtl.runs.folder import list_runs
from mtl.runs.history import read_history
from mtl.settings.config import RunConfig

ROOT = Path(__file__).resolve().parents[2]
QUICK = ["--source", "hypothetical", "--encoder", "tiny", "--hypothetical-rows", "120", "--epochs", "2",
         "--learning-rate", "2e-3", "--threads", "1", "--device", "cpu"]


@pytest.fixture
def mtl(tmp_path):
    """Runs `python -m mtl ...` with its runs in a folder of the test's own."""
    def run(*arguments: str, launcher: tuple[str, ...] = (sys.executable,), stdin: str = "") -> subprocess.CompletedProcess:
        environment = {**os.environ, "MTL_RUNS": str(tmp_path / "runs")}
        return subprocess.run([*launcher, "-m", "mtl", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, input=stdin)

    run.root = tmp_path / "runs"
    return run


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """As `mtl`, in this process: torch takes seconds to load."""
    monkeypatch.setenv("MTL_RUNS", str(tmp_path / "runs"))

    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        code, told = ended.value.code, capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code if isinstance(code, int) else 1, told.out,
                                           told.err + (code if isinstance(code, str) else ""))

    run.root = tmp_path / "runs"
    return run


def test_help_lists_every_setting(mtl):
    text = mtl("train", "--help").stdout
    for name in RunConfig.model_fields:
        assert "--" + name.replace("_", "-") in text


def test_a_run_is_trained_listed_and_asked(here):
    trained = here("train", *QUICK, "--name", "first try")
    assert trained.returncode == 0, trained.stderr
    looks = re.findall(r"Epoch (\d)\.00, step \d+, validation: .*class loss .*entities loss .*f1 ", trained.stdout)
    assert looks == ["0", "1", "2"]
    listed = json.loads(here("runs", "--json").stdout)
    assert (listed["status"], listed["name"], listed["step"]) == ("finished", "first try", listed["total_steps"])
    texts = ["Anna left Oslo.", "Caf\u00e9 \U0001f44d\U0001f3fd in San Remo!"]
    asked = here("predict", "last", "--tasks", "class,entities", stdin="\n".join(texts))
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
])
def test_what_is_wrong_is_said_in_one_sentence(monkeypatch, tmp_path, arguments, sentence):
    monkeypatch.setenv("MTL_RUNS", str(tmp_path / "runs"))
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert str(ended.value.code).startswith("mtl: ") and sentence in ended.value.code and "\n" not in ended.value.code


@pytest.mark.parametrize(("flags", "sentence"), [
    (["--alpha", "0.3"], "Alpha: weighs two tasks against each other, but this run has 3"),
    (["--encoder", "../etc"], "'../etc' is not the id of a Hub model"),
])
def test_a_run_that_cannot_begin_fails_with_a_sentence_and_no_traceback(here, flags, sentence):
    result = here("train", *QUICK, *flags)
    assert result.returncode == 1
    assert sentence in result.stderr and "Traceback" not in result.stderr + result.stdout
    assert read_history(list_runs(here.root)[0]).status == "failed"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_told_to_stop_saves_exits_with_130_and_goes_on_where_it_was(mtl, here, number):
    command = [sys.executable, "-m", "mtl", "train", *QUICK, "--epochs", "15"]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "MTL_RUNS": str(mtl.root)}, stdout=subprocess.PIPE, text=True)
    end = time.monotonic() + 120
    while not (runs := list_runs(mtl.root)) or read_history(runs[0]).step < 5:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(60) == 130
    stopped = read_history(runs[0])
    assert stopped.status == "stopped" and stopped.checkpoints["last"] == stopped.step
    if number == signal.SIGINT:
        return  # how it goes on is the same
    assert here("train", "--resume", runs[0].id).returncode == 0
    assert here("train", *QUICK, "--epochs", "15").returncode == 0
    one, other = (load_file(run.folder / "last/model.safetensors") for run in list_runs(mtl.root))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_two_processes_of_accelerate_give_what_one_gives_with_twice_the_batch(mtl, here):
    settings = [*QUICK, "--dropout", "0", "--encoder-dropout", "0", "--accumulation", "2"]
    launch = (str(Path(sys.executable).parent / "accelerate"), "launch", "--cpu", "--num_processes", "2")
    two = mtl("train", *settings, "--batch-size", "5", launcher=launch)
    assert two.returncode == 0, two.stderr[-3000:]
    one = here("train", *settings, "--batch-size", "10")
    assert one.returncode == 0, one.stderr
    single, double = (read_history(run) for run in list_runs(mtl.root))
    assert (double.started.processes, single.started.processes) == (2, 1)
    for one, other in zip(double.diagnoses, single.diagnoses, strict=True):  # a look sums over the processes
        assert one.norms == pytest.approx(other.norms, rel=1e-3)
    assert double.started.total_steps == single.started.total_steps
    one, other = (load_file(run.folder / "last/model.safetensors") for run in list_runs(mtl.root))
    assert max((value - other[name]).abs().max().item() for name, value in one.items()) < 1e-4
    for left, right in zip(double.evaluations, single.evaluations, strict=True):
        assert left.losses == pytest.approx(right.losses, abs=1e-4)


def test_the_settings_of_a_run_can_be_used_for_another(here, tmp_path):
    rows = [{"text": f"{word} {number}", "mood": word} for number in range(20) for word in ("good", "bad")]
    data = tmp_path / "moods.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    assert here("train", *QUICK[2:4], *QUICK[6:], "--train-files", str(data)).returncode == 0
    first, = list_runs(here.root)
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"encoder": "tiny", "epochs": 1, "weights": {"mood": 2.0}, "threads": 1}))
    again = here("train", "--config", str(settings), "--train-files", str(data), "--epochs", "2")
    assert again.returncode == 0, again.stderr
    run, = (run for run in list_runs(here.root) if run.id != first.id)  # both may have begun within one second: in any order
    assert run.config.epochs == 2 and run.config.weights == {"mood": 2.0}


def test_data_are_looked_at_and_converted_without_training(tmp_path, capsys):
    (tmp_path / "odd.csv").write_text("Nr,Review,Stars\n" + "".join(
        f'{index},"A {("good", "bad")[index % 2]} meal in Rome, the {index}th",{index % 2 + 1}\n' for index in range(40)))
    columns = ["--columns", "Review=text,Stars=class:mood"]
    with pytest.raises(SystemExit, match="0"):
        main(["data", str(tmp_path / "odd.csv"), *columns])
    told = capsys.readouterr().out
    assert "odd.csv: 40 rows." in told and "Stars: class, task 'mood'" in told and "Nr: ignore" in told
    assert re.search(r"train\s+36\s+36", told) and "WARNING" in told
    with pytest.raises(SystemExit, match="0"):
        main(["convert", str(tmp_path / "odd.csv"), "--to", str(tmp_path / "new.jsonl"), *columns])
    assert "new.jsonl: 40 rows, mood (classification)." in capsys.readouterr().out
    first = json.loads((tmp_path / "new.jsonl").read_text().splitlines()[0])
    assert first == {"text": "A good meal in Rome, the 0th", "mood": "1"}


def test_one_file_per_task_is_trained_with_the_mapping_in_the_config(here, tmp_path):
    (tmp_path / "topic.csv").write_text("sentence,label\n" + "".join(f"it is {index} {'ab'[index % 2]},{'ab'[index % 2]}\n"
                                                                     for index in range(40)))
    (tmp_path / "ner.conll").write_text("".join(f"Rome\tS-LOC\nis\tO\n{index}\tO\n\n" for index in range(40)))
    done = here("train", "--train-files", str(tmp_path / "topic.csv"), str(tmp_path / "ner.conll"), "--encoder", "tiny", "--epochs", "1",
               "--learning-rate", "2e-3", "--threads", "1", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    config = list_runs(here.root)[0].config
    assert [(spec.group, spec.column, spec.role, spec.task) for spec in config.columns] == [
        ("topic", "sentence", "text", ""), ("topic", "label", "class", "topic"),
        ("ner", "tokens", "tokens", ""), ("ner", "tags", "tags", "ner")]
