"""mtl/publishing/starter.py and who offers its model: made, measured, described, and there for everyone. The starters here are made in a
second, on hypothetical data."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
import yaml
from safetensors.torch import load_file

from mtl.cli.main import main
from mtl.data.kept import load_run
from mtl.errors import MtlError
from mtl.inference.predictor import Predictor
from mtl.jobs.models import EXAMPLES, SHORT, STARTER_EXAMPLES, example_texts, find_predictor, mistaken_text
from mtl.publishing.starter import make_starter
from mtl.runs.checkpoint import read_facts
from mtl.runs.events import Evaluated
from mtl.runs.folder import Run, create_run, list_runs, open_run, starter_folder
from mtl.scoring.measure import validation_scores
from mtl.ui.page import Page
from mtl.ui.predict_tab import PredictTab, model_choices
from tests.test_house import ROOT
from tests.watcher import Watcher

TEXT = "Anna flew from Oslo to Rome and was happy."
OFFER = ("Starter model", "starter")


@pytest.fixture(scope="session")
def starter_config(tiny_config, write_rows, easy_rows, tmp_path_factory):
    """Settings of a run with test rows that lasts a second."""
    files = {role: write_rows(tmp_path_factory.mktemp("rows") / f"{role}.jsonl", easy_rows(48)) for role in ("train", "test")}
    return tiny_config(source="files", train_files=(files["train"],), test_files=(files["test"],), epochs=4)


@pytest.fixture(scope="session")
def made(starter_config, tmp_path_factory):
    """A starter model's folder and the events of its training."""
    events: list = []
    folder = tmp_path_factory.mktemp("checkpoints") / "starter"
    make_starter(starter_config, folder, show=events.append)
    return folder, events


@pytest.fixture
def put_starter(monkeypatch):
    """A function that makes a folder the place where the starter model is looked for."""
    def put(folder: Path) -> Path:
        for module in ("mtl.runs.folder", "mtl.jobs.models"):
            monkeypatch.setattr(f"{module}.starter_folder", lambda: folder)
        return folder

    return put


@pytest.fixture
def shipped(made, put_starter):
    """The starter model in its place."""
    return put_starter(made[0])


@pytest.fixture
def finished_run(jobs, finish, tiny_config):
    """A function that trains a run of this owner."""
    def make(key: str) -> Run:
        run = create_run(jobs.root, tiny_config(epochs=1), key)
        for event in finish(run.config, run.folder):
            run.log.append(event)
        return run

    return make


# Made


def test_a_starter_is_a_whole_checkpoint_without_optimizer_and_run(made):
    folder, _ = made
    assert {file.name for file in folder.iterdir()} == {"README.md", "manifest.json", "config.json", "model.safetensors", "tokenizer.json",
                                                        "tokenizer_config.json"}
    assert read_facts(folder)["step"] > 0
    assert [file.name for file in folder.parent.iterdir()] == ["starter"]  # nothing else is left
    assert Predictor.load(folder, "cpu").predict([TEXT])[0].predictions.keys() == {"answer", "place"}


def test_the_card_has_the_hub_s_form_and_tells_the_scores_of_this_very_training(made):
    folder, events = made
    _, front, text = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    facts = yaml.safe_load(front)
    assert (facts["license"], facts["language"], facts["base_model"]) == ("apache-2.0", "en", "tiny") and "lora" in facts["tags"]
    looks = [event for event in events if isinstance(event, Evaluated)]
    validation, test = next(look for look in looks if look.step == read_facts(folder)["step"] and look.split == "validation"), looks[-1]
    assert test.split == "test"
    told = dict(re.findall(r"^\| (\S+ \| [\w ]+) \| (.*) \|$", text.split("## Scores")[1].split("## Data")[0], re.M))
    for task, scores in validation.scores.items():
        for measure, value in scores.items():
            assert told[f"{task} | {measure.replace('_', ' ')}"] == f"{value:.1%} | {test.scores[task][measure]:.1%}"
    assert told["all | everything right"] == f"{validation.everything_right:.1%} | {test.everything_right:.1%}"
    assert "| place | tagging | LOC |" in text and "`epochs = 4`" in text and "--seed 1 --epochs 4" in text


def test_a_card_that_was_edited_or_lost_is_no_damage(made, tmp_path):
    copied = Path(shutil.copytree(made[0], tmp_path / "starter"))
    (copied / "README.md").write_text("Mine.")
    assert read_facts(copied) == read_facts(made[0])
    (copied / "README.md").unlink()
    assert read_facts(copied)


def test_the_same_seed_makes_the_same_starter_and_a_new_one_takes_the_place_of_the_old(made, starter_config, tmp_path):
    folder = tmp_path / "starter"
    make_starter(starter_config.model_copy(update={"epochs": 1}), folder)
    first = (folder / "model.safetensors").read_bytes()
    make_starter(starter_config, folder)
    assert first != (folder / "model.safetensors").read_bytes() == (made[0] / "model.safetensors").read_bytes()


def test_a_training_that_does_not_end_leaves_the_old_starter_as_it_was(made, starter_config):
    before = {file.name: file.read_bytes() for file in made[0].iterdir()}
    with pytest.raises(MtlError, match="The starter model was not made. Its training was stopped."):
        make_starter(starter_config, made[0], control=Watcher(step=3))
    with pytest.raises(MtlError, match=r"The starter model was not made. Step \d: .* is not a number any more"):
        make_starter(starter_config.model_copy(update={"learning_rate": 1e30, "warmup": 0.0}), made[0])
    assert {file.name: file.read_bytes() for file in made[0].iterdir()} == before


def test_a_starter_of_adapters_is_small_and_answers(tiny_config, tmp_path):
    config = tiny_config(source="hypothetical", encoder="bundled", fine_tuning="lora", max_steps=2, hypothetical_rows=20, batch_size=4)
    make_starter(config, tmp_path / "starter")
    assert all("lora" in name or name.startswith("heads.") for name in load_file(tmp_path / "starter/model.safetensors"))
    assert sum(file.stat().st_size for file in (tmp_path / "starter").iterdir()) < 5e6
    card = (tmp_path / "starter/README.md").read_text()
    assert "base_model: sentence-transformers/all-MiniLM-L6-v2" in card and "of which 0.67M are trained" in card
    assert Predictor.load(tmp_path / "starter", "cpu").predict([TEXT])[0].predictions.keys() == {"class", "sentiment", "entities"}


def test_what_is_shipped_is_tracked_and_runs_are_not():
    def is_ignored(path):
        return subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT).returncode == 0

    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: what is tracked cannot be told")
    assert starter_folder() == ROOT / "checkpoints" / "starter"
    assert not is_ignored("checkpoints/starter/model.safetensors") and is_ignored("checkpoints/20260101-000000-0/best/model.safetensors")


# Offered


def test_the_starter_is_offered_last_to_everybody_and_alone_where_there_is_no_run_yet(jobs, shipped, finished_run):
    assert model_choices(jobs, "a visitor", "") == [OFFER]
    run = finished_run("the owner")
    assert [value for _, value in model_choices(jobs, "the owner", run.id)] == [f"{run.id}/best", f"{run.id}/last", "starter"]
    assert model_choices(jobs, "a visitor", "") == [OFFER]


def test_the_starter_is_chosen_and_answers_until_a_run_is_shown_that_has_a_model(jobs, shipped, finished_run, tiny_config):
    for choice in ("starter", "", None):
        predictor, source = find_predictor(jobs, choice, "cpu")
        assert source == "starter model" and predictor.predict([STARTER_EXAMPLES[-1]])[0].predictions.keys() == {"answer", "place"}
    tab, me = SimpleNamespace(jobs=jobs), {"key": "a visitor"}
    assert PredictTab.list_models(tab, me, "", None)["value"] == "starter"
    assert PredictTab.list_models(tab, me, create_run(jobs.root, tiny_config(), "a visitor").id, "starter")["value"] == "starter"
    run = finished_run("a visitor")
    assert PredictTab.list_models(tab, me, run.id, "starter")["value"] == f"{run.id}/best"


@pytest.mark.parametrize(("on_zero_gpu", "device", "text", "answers"), [
    (False, "auto", TEXT, True), (False, "auto", " ", False), (True, "auto", TEXT, False), (True, "cpu", TEXT, True)])
def test_it_answers_as_one_types_but_not_on_the_visitors_quota(jobs, shipped, monkeypatch, on_zero_gpu, device, text, answers):
    for module in ("predict_tab", "answering"):
        monkeypatch.setattr(f"mtl.ui.{module}.on_zero_gpu", lambda: on_zero_gpu)
    with gr.Blocks(), gr.Tab() as here:
        tab = PredictTab(Page(jobs, gr.BrowserState({})), here)

    def told(number: int, how: str = "") -> dict:
        return json.loads(tab.predict(json.dumps({"number": number, "text": text, "model": "starter", "device": device, "how": how})))

    shown = told(7)
    assert shown["number"] == 7 and ("(starter model; cpu)" in shown["about"]) == ("place: " in shown["said"]) == answers
    assert "mtl-panel" in told(8, "pressed")["html"] if text == TEXT else "Type a sentence" in told(8, "pressed")["said"]


def test_a_run_that_ends_leaves_its_best_checkpoint_in_the_place_of_its_live_weights(jobs, shipped, finished_run):
    run, me = finished_run("me"), {"key": "me"}
    tab = SimpleNamespace(jobs=jobs)
    assert PredictTab.keep_model(tab, me, run.id, f"{run.id}/live")["value"] == f"{run.id}/best"
    assert PredictTab.keep_model(tab, me, run.id, f"{run.id}/last")["value"] == f"{run.id}/last"
    assert PredictTab.keep_model(tab, me, run.id, "20260101-000000-abcdef/last") == gr.skip()


def test_a_text_that_the_model_gets_wrong_is_one_of_its_measured_mistakes_and_only_of_that_checkpoint(jobs, shipped, finished_run):
    run = finished_run("me")
    assert mistaken_text(jobs, f"{run.id}/best", "me", "") == "", "nothing was measured"
    measured = validation_scores(run)
    wrong = {mistake.text for task in measured.report.tasks for mistake in task.mistakes}
    found = mistaken_text(jobs, f"{run.id}/best", "me", "")
    assert (found in wrong) == bool(wrong) and bool(found) == bool(wrong)
    assert mistaken_text(jobs, f"{run.id}/best", "a visitor", "") == mistaken_text(jobs, f"{run.id}/last", "me", "") == ""


def test_examples_are_of_the_models_own_validation_rows_short_ones_first_and_of_no_strangers_run(jobs, tiny_config, write_rows, tmp_path):
    def kept(name: str, texts: list[str], key: str) -> Run:
        rows = [{"text": text, "mood": ("calm", "loud")[index % 2]} for index, text in enumerate(texts)]
        files = {f"{split}_files": (write_rows(tmp_path / name / f"{split}.jsonl", rows),) for split in ("train", "validation")}
        run = create_run(jobs.root, tiny_config(source="files", **files), key)
        load_run(run.config, run.folder, tmp_path)
        return run

    long = [f"Text {index} {'is long ' * (20 - index)}" for index in range(3)]
    many = kept("many", [long[0], *(f"Short {index}" for index in range(100) for _ in range(2))], "me")
    few = kept("few", [*long, "Short"], "me")
    for choice in (few.id, f"{few.id}/best", f"{few.id}/live"):
        assert example_texts(jobs, choice, "me", "") == ["Short", *reversed(long)]
    found = example_texts(jobs, f"{many.id}/last", "me", "")
    assert found == example_texts(jobs, f"{many.id}/last", "me", few.id) and len(set(found)) == EXAMPLES
    assert all(len(text) < SHORT for text in found) and max(int(text.split()[1]) for text in found) >= 50, "they are from all over the rows"

    assert example_texts(jobs, f"{few.id}/best", "a visitor", "") == example_texts(jobs, f"{few.id}/best", "a visitor", many.id) == []
    assert example_texts(jobs, f"{few.id}/best", "a visitor", few.id)[0] == "Short", "it is shown"
    (few.folder / "rows" / "rows.json").unlink()
    assert example_texts(jobs, f"{few.id}/best", "me", "") == example_texts(jobs, "../secret/best", "me", "../secret") == []
    assert example_texts(jobs, "starter", "me", "") == example_texts(jobs, None, "me", "") == STARTER_EXAMPLES


def test_a_starter_that_is_missing_is_not_offered_and_its_users_read_how_to_make_it(jobs, put_starter, tmp_path):
    put_starter(tmp_path / "starter")
    assert model_choices(jobs, "a visitor", "") == []
    for choice in ("starter", ""):
        with pytest.raises(MtlError, match="^The starter model is not here: python -m mtl starter makes it."):
            find_predictor(jobs, choice, "cpu")
    with pytest.raises(SystemExit, match="mtl: The starter model is not here: python -m mtl starter makes it."):
        main(["predict", "starter", TEXT])


@pytest.mark.parametrize(("file", "message"), [("model.safetensors", "model.safetensors is not what was saved"),
                                               ("manifest.json", "its manifest.json cannot be read")])
def test_a_starter_that_is_damaged_is_refused_on_the_page_and_in_the_terminal(jobs, made, tmp_path, put_starter, file, message):
    damaged = put_starter(Path(shutil.copytree(made[0], tmp_path / "starter")))
    (damaged / file).write_bytes(b"not what it was")
    with pytest.raises(MtlError, match=f"Checkpoint 'starter' is damaged: {message}"):
        find_predictor(jobs, "starter", "cpu")
    with pytest.raises(SystemExit, match=f"mtl: Checkpoint 'starter' is damaged: {message}"):
        main(["predict", "starter", TEXT])
    (damaged / "manifest.json").unlink()
    with pytest.raises(MtlError, match="Checkpoint 'starter' is damaged: manifest.json is missing"):
        find_predictor(jobs, "starter", "cpu")


def test_the_starter_is_no_run_and_the_terminal_asks_it_wherever_the_runs_are(shipped, monkeypatch, tmp_path, capsys):
    assert list_runs(shipped.parent) == []
    with pytest.raises(MtlError, match="no such run"):
        open_run(shipped.parent, "starter")
    monkeypatch.setenv("MTL_RUNS", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        main(["predict", "starter", "yes please go now Rome", "--device", "cpu"])
    assert ended.value.code == 0 and '"answer": {"label": ' in capsys.readouterr().out


def test_the_terminal_makes_a_starter_with_the_seed_and_epochs_given(starter_config, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("mtl.cli.main.STARTER", starter_config.model_dump())
    with pytest.raises(SystemExit) as ended:
        main(["starter", "--seed", "7", "--epochs", "1", "--folder", str(tmp_path / "starter")])
    assert ended.value.code == 0 and f"The starter model is in {tmp_path}{os.sep}starter" in capsys.readouterr().out
    settings = read_facts(tmp_path / "starter")["config"]
    assert (settings["seed"], settings["epochs"], settings["encoder"]) == (7, 1, "tiny")
