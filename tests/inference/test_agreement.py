"""Scores are those of the user's predictions: `evaluate` and `predict` read every text alike, whatever file its labels came from."""

import json
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

from mtl.data.dataset import load
from mtl.data.kept import load_run
from mtl.data.readers import read_files
from mtl.data.writers import write_rows
from mtl.inference.predictor import Predictor
from mtl.runs.checkpoint import MANIFEST, read_facts, save_checkpoint
from mtl.runs.folder import Run, create_run, starter_folder
from mtl.scoring.measure import measure_validation
from mtl.settings.config import TaskSpec, make_config
from mtl.training.execute import run_training
from tests.plain import Row

ODD = ["11:15", "8:30pm", "what's", "don't", "O'Neill's", "U.S.", "e.g.", "https://a.example/b?c=d#e", "@anna_b", "#mtl-rocks", "AT&T",
       "C++", "$5.00", "3,500.25", "rock-'n'-roll", "👩‍🚀", "🇫🇷", "👍🏽!", "東京都", "กรุงเทพ",
       "Zu\u0308rich's", "a/b", "(sic)", "...", "x_y", "New\u200bYork"]
TASKS = [TaskSpec(name="mood", kind="classification"), TaskSpec(name="slots", kind="tagging")]
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "snips"


def tokens_and_tags(index: int) -> dict:
    """A sentence of which one odd token, two in every third row, is an entity."""
    odd, more = ODD[index % len(ODD)], ODD[(7 * index + 3) % len(ODD)]
    tokens = [("go", "stay")[index % 2], "to", odd, *([more] if index % 3 == 0 else []), "now", ODD[(5 * index + 1) % len(ODD)], "."]
    return {"tokens": tokens, "slots": ["O", "O", "B-X", *(["I-X"] if index % 3 == 0 else []), "O", "O", "O"], "mood": tokens[0]}


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> list[Row]:
    file = tmp_path_factory.mktemp("odd") / "odd.jsonl"
    file.write_text("".join(json.dumps(tokens_and_tags(index)) + "\n" for index in range(130)), encoding="utf-8")
    return list(read_files([file]).rows)


def scores_of_run(root: Path, config) -> tuple[Run, tuple[dict[str, float], float]]:
    """A finished run, and what `evaluate` says of its validation rows: each task's main score, and the share of rows right for all."""
    run = create_run(root, config)
    assert run_training(run, resume=False) == "finished"
    return run, by_evaluate(run)


def by_evaluate(run: Run) -> tuple[dict[str, float], float]:
    report = measure_validation(run, device="cpu").report
    return {task.name: task.scores[task.main_score] for task in report.tasks}, report.everything_right.value


def by_predict(run: Run, one_by_one: bool = False) -> tuple[dict[str, float], float]:
    """The same numbers, from nothing but the texts of the validation rows."""
    rows = load(run.config, run.folder).validation
    predictor = Predictor.load(run.checkpoint("best"), "cpu")
    texts = [row.text for row in rows]
    made = [predictor(text) for text in texts] if one_by_one else predictor(texts)
    counts = {task: [0, 0] for task in predictor.model.tasks}
    right = 0
    for row, predicted in zip(rows, made, strict=True):
        values = {task: {guess.label} if hasattr(guess, "label") else set(guess.spans) for task, guess in predicted.predictions.items()}
        golds = {task: {gold} if isinstance(gold, str) else set(gold) for task, gold in row.values.items() if gold is not None}
        right += all(values[task] == gold for task, gold in golds.items())
        for task, gold in golds.items():
            counts[task][0] += 2 * len(gold & values[task])
            counts[task][1] += len(gold) + len(values[task])
    return {task: hits / items for task, (hits, items) in counts.items()}, right / len(rows)


@pytest.fixture(scope="module")
def odd_config(tiny_config):
    """A function that makes settings for a run on these rows in a file."""
    return lambda file: tiny_config(source="files", train_files=(str(file),), validation_share=0.3, epochs=7, batch_size=8,
                                    learning_rate=4e-3, eval_every=999)


@pytest.fixture(scope="module")
def trained(rows, odd_config, tmp_path_factory) -> Path:
    """The best checkpoint of a run on these rows."""
    folder = tmp_path_factory.mktemp("trained")
    write_rows(folder / "x.jsonl", rows, TASKS)
    return scores_of_run(folder / "runs", odd_config(folder / "x.jsonl"))[0].checkpoint("best")


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.csv", "x.tsv", "x.conll", "x.parquet", "x.txt"])
def test_evaluate_and_predict_agree_exactly_on_odd_tokens_in_every_format(tmp_path, odd_config, rows, trained, name):
    def copy(folder: Path) -> None:
        copytree(trained, folder, ignore=ignore_patterns(MANIFEST), dirs_exist_ok=True)

    write_rows(tmp_path / name, rows, TASKS)
    run = create_run(tmp_path / "runs", odd_config(tmp_path / name))
    if name == "x.txt":  # it has no room for the tasks' names: only a run of its own knows these tasks
        assert run_training(run, resume=False) == "finished"
    else:
        facts = read_facts(trained) | {"data": load_run(run.config, run.folder, tmp_path / "parts").fingerprint}
        save_checkpoint(run.folder, "best", copy, facts)
    measured = by_evaluate(run)
    assert min(measured[0].values()) > 0.3  # it has learned something that could be lost
    assert by_predict(run) == measured and by_predict(run, one_by_one=True) == measured


def test_a_token_that_prediction_cuts_otherwise_than_the_file_is_predicted_as_well_as_it_was_measured(tmp_path, tiny_config):
    lines = [f"{word} O\nat O\n11:{minute} B-TIME\n. O\n\n" for minute in range(10, 60) for word in ("meet", "wait")]
    (tmp_path / "x.conll").write_text("".join(lines))
    run, (_, everything_right) = scores_of_run(tmp_path / "runs", tiny_config(
        source="files", train_files=(str(tmp_path / "x.conll"),), validation_share=0.2, epochs=4, batch_size=8, learning_rate=4e-3,
        eval_every=999))
    assert everything_right == 1.0
    predictor = Predictor.load(run.checkpoint("best"), "cpu")
    for text in ("meet at 11:15 .", "meet at 11:15."):  # as the file has it, and as somebody types it
        [span] = predictor(text).predictions["tags"].spans
        assert text[span.start:span.end] == "11:15" and span.label == "TIME"


def test_evaluate_and_predict_agree_exactly_on_newsroom_with_the_starter(tmp_path):
    run = create_run(tmp_path, make_config({"source": "newsroom"}))
    copytree(starter_folder(), run.folder / "best")
    assert by_predict(run) == by_evaluate(run)


@pytest.mark.skipif(not SHARED.is_dir(), reason="SNIPS is not here: it is no part of the project")
def test_evaluate_and_predict_agree_exactly_on_snips(tmp_path, tiny_config):
    (tmp_path / "train.jsonl").write_text("".join((SHARED / "train.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)[:1200]))
    files = {"train_files": (str(tmp_path / "train.jsonl"),), "validation_files": (str(SHARED / "dev.jsonl"),)}
    run, measured = scores_of_run(tmp_path / "runs", tiny_config(source="files", epochs=3, batch_size=32, eval_every=999, **files))
    assert measured[0]["intent"] > 0.5
    assert by_predict(run) == measured
