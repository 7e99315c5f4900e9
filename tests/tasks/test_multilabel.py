"""Multi-label classification: what is its own (loss, thresholds, scores, how files write it), and that it is trained, measured, resumed and
asked like the other kinds."""

import json
import random
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import f1_score

from mtl.cli.main import main
from mtl.comparing.execute import run_comparison
from mtl.comparing.joint_vs_alone import VERDICTS, read_card
from mtl.comparing.plan import alone_plan, create
from mtl.data.dataset import load
from mtl.data.readers import read_files
from mtl.data.report import make_report, report_lines
from mtl.data.values import Labels, Spans
from mtl.errors import MtlError
from mtl.inference.predictor import Predictor
from mtl.model.loading import put_weights
from mtl.model.multitask import learned_weights
from mtl.runs.events import Evaluated
from mtl.runs.folder import create_run
from mtl.runs.history import read_history
from mtl.scoring.measure import measure_test, measure_validation
from mtl.settings.config import TaskSpec
from mtl.settings.shorthand import parse_columns
from mtl.tasks import make_task
from mtl.tasks.base import IGNORED, Encoding
from mtl.tasks.multilabel import DEFAULT_THRESHOLD, Chosen, best_thresholds
from mtl.training.execute import run_training

LABELS = ("law", "money", "sport")
TEXT = Encoding([0, 1], [(0, 1)], [0])
WORDS = {"law": ("judge", "court"), "money": ("bank", "market"), "sport": ("goal", "match")}


def task():
    return make_task(TaskSpec(name="topics", kind="multilabel", labels=LABELS))


def chosen(*labels: str) -> Chosen:
    return Chosen({label: 0.9 if label in labels else 0.1 for label in LABELS}, labels)


def topic_rows(count: int, seed: int = 1) -> list[dict]:
    """Sentences with 1 to 3 labels, each told by a word, and a place."""
    draws, rows = random.Random(seed), []
    for _ in range(count):
        labels = sorted(draws.sample(LABELS, draws.choice([1, 1, 2, 3])))
        words = [draws.choice(WORDS[label]) for label in labels] + ["today"] * draws.randrange(3)
        draws.shuffle(words)
        text = f"The {' and the '.join(words)} in {draws.choice(['Rome', 'Oslo', 'Lima'])}"
        rows.append({"text": text, "topics": labels, "place": [{"start": len(text) - 4, "end": len(text), "label": "LOC"}]})
    return rows


def ask(*words: str) -> object:
    """The terminal's answer."""
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return ended.value.code


# Loss and scores


def test_the_loss_is_a_binary_cross_entropy_summed_over_labels_and_a_row_without_labels_counts_for_nothing():
    it, logits = task(), torch.randn(3, 3)
    ids = [it.label_ids(Labels(["law", "sport"]), TEXT), it.label_ids(None, TEXT), it.label_ids(Labels(), TEXT)]
    assert ids == [[1, 0, 1], [IGNORED] * 3, [0, 0, 0]] and list(map(it.count_targets, ids)) == [1, 0, 1]
    labels = it.stack(ids)
    assert labels.shape == (3, 3)
    wanted = F.binary_cross_entropy_with_logits(logits[[0, 2]], labels[[0, 2]].float(), reduction="sum")
    torch.testing.assert_close(it.loss(logits, labels), wanted)
    assert it.loss(logits, torch.full((3, 3), IGNORED)) == 0


def test_the_scores_are_those_of_sklearn_and_the_hit_counts_give_the_main_score():
    draws, it = random.Random(3), task()
    golds = [Labels(draws.sample(LABELS, draws.randrange(4))) for _ in range(80)]
    made = [chosen(*draws.sample(LABELS, draws.randrange(4))) for _ in range(80)]
    true, guessed = ([[label in labels for label in LABELS] for labels in side] for side in (golds, [guess.labels for guess in made]))
    got = it.score([*golds, None], [*made, chosen("law")], [TEXT] * 81)
    assert got["micro_f1"] == pytest.approx(f1_score(true, guessed, average="micro"))
    assert got["macro_f1"] == pytest.approx(f1_score(true, guessed, average="macro"))
    counts = [it.hit_counts(gold, guess) for gold, guess in zip(golds, made, strict=True)]
    assert got["exact_match"] == sum(map(list.__eq__, true, guessed)) / 80 == sum(2 * hits == items for hits, items in counts) / 80
    hits, items = np.sum(counts, 0)
    assert got["micro_f1"] == pytest.approx(2 * hits / items)
    errors = Counter(sort for gold, guess in zip(golds, made, strict=True) for _, sort in gold.compared(guess.value))
    assert errors["right"] == hits and 2 * errors["right"] + errors["missed"] + errors["invented"] == items
    assert it.score([None], [chosen()], [TEXT]) == {}


# Thresholds


def micro_f1(probabilities, has_label, thresholds) -> float:
    made = probabilities >= np.asarray(thresholds)
    return 2 * (made & has_label).sum() / (made.sum() + has_label.sum())


@pytest.mark.parametrize("seed", range(8))
def test_no_other_thresholds_have_a_better_micro_f1_on_the_rows_they_were_chosen_on(seed):
    draws = np.random.default_rng(seed)
    has_label = draws.random((60, 3)) < [0.2, 0.4, 0.6]
    probabilities = np.clip(has_label * 0.2 + draws.random((60, 3)) * 0.5, 0, 1).round(2)
    got = best_thresholds(probabilities, has_label)
    best = micro_f1(probabilities, has_label, got)
    assert best == pytest.approx(f1_score(has_label, probabilities >= np.asarray(got), average="micro"))
    assert best >= micro_f1(probabilities, has_label, [DEFAULT_THRESHOLD] * 3)
    for place in range(3):  # one at a time, and some together
        for cut in np.linspace(0.005, 0.995, 100):
            assert best + 1e-12 >= micro_f1(probabilities, has_label, [*got[:place], cut, *got[place + 1:]])
    assert all(best + 1e-12 >= micro_f1(probabilities, has_label, draws.random(3)) for _ in range(300))


def test_a_threshold_stays_at_one_half_where_few_rows_have_the_label_or_nothing_is_gained():
    has_label = np.zeros((50, 2), bool)
    has_label[:4, 0] = has_label[:20, 1] = True
    assert best_thresholds(np.where(has_label, [0.2, 0.9], 0.1), has_label) == (DEFAULT_THRESHOLD, DEFAULT_THRESHOLD)
    assert best_thresholds(np.where(has_label, [0.2, 0.3], 0.1), has_label) == (DEFAULT_THRESHOLD, pytest.approx(0.2))
    it = task()
    assert it.tune([None], [chosen("law")]) == [chosen("law")] and it.thresholds == (DEFAULT_THRESHOLD,) * 3


@pytest.mark.parametrize("settings", [{}, {"lora_rank": 4}, {"only_heads": True}], ids=str)
def test_thresholds_are_kept_with_the_weights_whatever_of_them_is_trained(settings, make_model, tmp_path):
    model, again = (make_model(specs=[task().spec], **settings) for _ in range(2))
    model.set_tuned({"topics": [0.2, 0.5, 0.9]}, {"topics": [1.7, 0.0]})
    model.save_pretrained(tmp_path, state_dict=learned_weights(model))
    put_weights(again, tmp_path)
    assert again.tasks["topics"].thresholds == (0.2, 0.5, 0.9) and again.config.thresholds == model.config.thresholds
    assert again.tasks["topics"].calibration.temperature == 1.7 and again.config.calibration == model.config.calibration


# Files


@pytest.mark.parametrize(("name", "text", "told"), [
    ("x.jsonl", '{"text": "a b", "topics": ["sport", "law"]}\n{"text": "c d", "topics": []}\n{"text": "e f"}\n', ""),
    ("x.csv", "text,topics\na b,sport|law\ne f,\ng h,law\ni j,sport\n", ""),
    ("x.csv", "text,topics\na b,sport#law\ne f,\ng h,law\ni j,sport\n", ""),
    ("x.csv", 'text,topics\na b,"sport, law"\ne f,\ng h,law\ni j,sport\n', ""),
    ("x.csv", 'text,topics\na b,"[""sport"", ""law""]"\nc d,[]\ne f,\n', ""),
    ("x.csv", "text,topics\na b,sport;law\ne f,\n", "topics=labels"),
    ("x.csv", "text,sport,law\na b,1,1\nc d,0,0\ne f,,\n", "sport=in:topics,law=in:topics"),
    ("x.csv", "text,sport,law\na b,true,True\nc d,false,false\ne f,,\n", "sport=in:topics,law=in:topics"),
    ("x.jsonl", '{"text": "a b", "sport": 1, "law": true}\n{"text": "c d", "sport": 0, "law": false}\n{"text": "e f"}\n',
     "sport=in:topics,law=in:topics")])
def test_several_labels_are_read_however_they_are_written(name, text, told, tmp_path):
    (tmp_path / name).write_text(text, encoding="utf-8")
    table = read_files([tmp_path / name], parse_columns(told))
    assert [(spec.name, spec.kind) for spec in table.tasks] == [("topics", "multilabel")]
    wanted = {"a b": Labels(["sport", "law"]), "c d": Labels(), "e f": None, "g h": Labels(["law"]), "i j": Labels(["sport"])}
    assert {row.text: row.values["topics"] for row in table.rows} == {row.text: wanted[row.text] for row in table.rows}


def test_a_column_that_is_set_to_one_label_refuses_several_and_many_different_ones_are_free_text(tmp_path, write_rows):
    with pytest.raises(MtlError, match="line 1: 'topics' has 2 labels at once, but its column is for one. Set the column to labels"):
        read_files([Path(write_rows(tmp_path / "x.jsonl", [{"text": "a", "topics": ["law", "sport"]}]))], parse_columns("topics=class"))
    file = Path(write_rows(tmp_path / "x.jsonl", [{"text": "a", "names": [f"a{index}", f"b{index}"]} for index in range(30)]))
    table = read_files([file])
    assert table.tasks == [] and "'names' is not taken for a task: its lists look like free text." in table.notices[0]


def test_where_columns_only_ever_say_yes_an_empty_cell_is_a_no_and_else_there_is_a_notice(tmp_path):
    (tmp_path / "x.csv").write_text("text,sport,law\na b,x,\nc d,,\n", encoding="utf-8")
    told = parse_columns("sport=in:topics,law=in:topics")
    assert [row.values["topics"] for row in read_files([tmp_path / "x.csv"], told).rows] == [Labels(["sport"]), Labels()]
    (tmp_path / "x.csv").write_text("text,sport,law\na b,1,\nc d,0,1\n", encoding="utf-8")
    table = read_files([tmp_path / "x.csv"], told)
    assert table.rows[0].values["topics"] == Labels(["sport"]) and "1 empty cell beside filled ones" in table.notices[0]
    (tmp_path / "x.csv").write_text("text,sport,law\na b,maybe,1\n", encoding="utf-8")
    with pytest.raises(MtlError, match="line 2: 'sport' is 'maybe'. It is a column of one label: 1 or 0"):
        read_files([tmp_path / "x.csv"], told)


@pytest.mark.parametrize("text", ["text,place\na b,\"Paris, TX\"\nc d,Paris\n", "text,price\na b,\"1,5\"\nc d,1\ne f,5\n"])
def test_a_mark_whose_parts_do_not_stand_alone_or_are_numbers_separates_no_labels(text, tmp_path):
    (tmp_path / "x.csv").write_text(text, encoding="utf-8")
    assert [spec.kind for spec in read_files([tmp_path / "x.csv"]).tasks] == ["classification"]


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".tsv", ".parquet"])
def test_rows_with_several_labels_go_into_a_file_and_come_back(suffix, tmp_path, write_rows):
    rows = [*topic_rows(30), {"text": "none", "topics": [], "place": []}, {"text": "not labelled"}]
    file = tmp_path / f"y{suffix}"
    assert ask("convert", write_rows(tmp_path / "x.jsonl", rows), "--to", str(file)) == 0
    back = {row.text: row.values for row in read_files([file]).rows}
    assert {text: values["topics"] for text, values in back.items()} == {
        row["text"]: Labels(row["topics"]) if "topics" in row else None for row in rows}
    assert back["none"]["place"] == Spans()
    assert "Write .jsonl" in ask("convert", str(file), "--to", str(tmp_path / "z.conll"))  # columns of words hold one label a comment


# A run


@pytest.fixture(scope="module")
def run(tiny_config, tmp_path_factory, write_rows):
    """A finished run on 300 sentences of our own, with test rows."""
    folder = tmp_path_factory.mktemp("multilabel")
    config = tiny_config(source="files", train_files=(write_rows(folder / "train.jsonl", topic_rows(300)),), epochs=8, eval_every=68,
                         test_files=(write_rows(folder / "test.jsonl", topic_rows(60, seed=2)),))
    run = create_run(folder / "runs", config, "")
    assert run_training(run, resume=False) == "finished"
    return run


def test_a_run_learns_the_labels_and_predicts_them(run):
    seen = read_history(run).evaluations
    assert seen[0].scores["topics"]["micro_f1"] < seen[-1].scores["topics"]["micro_f1"] > 0.95
    predictor = Predictor.load(run.checkpoint("best"), "cpu")
    rows = topic_rows(60, seed=3)
    answers = [predicted.predictions["topics"] for predicted in predictor.predict([row["text"] for row in rows])]
    assert sum(answer.value == Labels(row["topics"]) for answer, row in zip(answers, rows, strict=True)) > 54  # of 60
    for answer in answers:
        drawn = answer.drawing("")
        assert set(drawn.answer.split(", ")) == set(answer.value) and set(drawn.probabilities) == set(LABELS)
        assert json.loads(json.dumps(answer.plain("")))["labels"] == list(answer.value)


def test_thresholds_are_those_that_the_checkpoint_has_and_test_rows_do_not_change_them(run):
    before = Predictor.load(run.checkpoint("best"), "cpu").model
    assert before.config.thresholds == {"topics": list(before.tasks["topics"].thresholds)} and len(before.config.thresholds["topics"]) == 3
    validation, (test, _) = measure_validation(run), measure_test(run)
    best = max(read_history(run).evaluations, key=lambda event: (event.split == "validation", event.is_best, event.step))
    assert validation.report.tasks[0].scores == pytest.approx(best.scores["topics"])
    assert Predictor.load(run.checkpoint("best"), "cpu").model.config.thresholds == before.config.thresholds
    report = {task.name: task for task in test.report.tasks}["topics"]
    assert report.kind == "multilabel" and report.main.low <= report.main.value == report.scores["micro_f1"] <= report.main.high
    assert set(report.errors) == {"right", "missed", "invented"} and {line.label for line in report.labels} == set(LABELS)


def test_the_report_of_the_data_counts_every_label(run):
    report = make_report(load(run.config, run.folder), 64)
    counted = {count.label: count.train + count.validation for count in report.labels["topics"]}
    assert counted == {label: sum(label in row["topics"] for row in topic_rows(300)) for label in LABELS}
    assert any("sport" in line for line in report_lines(report))


# every sampling with every balancing is tried on it, and resumed, in tests/training/test_step.py


@pytest.mark.parametrize("fine_tuning", ["lora", "heads"])
def test_adapters_or_heads_alone_learn_it_and_are_loaded_with_its_thresholds(fine_tuning, tiny_config, finish, tmp_path, write_rows):
    config = tiny_config(source="files", train_files=(write_rows(tmp_path / "x.jsonl", topic_rows(40)),), encoder="bundled", batch_size=8,
                         fine_tuning=fine_tuning, head_learning_rate=2e-2, eval_every=99, epochs=1)
    seen = [event for event in finish(config, tmp_path / "run") if isinstance(event, Evaluated)]
    assert seen[-1].losses.keys() == {"topics", "place"} and seen[-1].losses["topics"] < seen[0].losses["topics"]
    assert set(seen[-1].scores["topics"]) == {"micro_f1", "macro_f1", "exact_match"}
    model = Predictor.load(tmp_path / "run" / "best", "cpu").model
    assert model.config.thresholds == {"topics": list(model.tasks["topics"].thresholds)}


def test_a_comparison_with_one_has_a_verdict_on_its_micro_f1(tiny_config, tmp_path, write_rows):
    config = tiny_config(source="files", train_files=(write_rows(tmp_path / "x.jsonl", topic_rows(50)),), epochs=1, validation_share=0.3)
    comparison = create(tmp_path / "runs", config, alone_plan(config, 1))
    assert run_comparison(comparison) == "finished", read_history(comparison).message
    card = read_card(comparison.folder)
    assert {task.name: task.measure for task in card.tasks} == {"topics": "micro_f1", "place": "f1"}
    assert all(task.verdict in VERDICTS and task.low <= task.difference <= task.high for task in card.tasks)


def test_pairs_of_labels_are_enough_for_hints_across_tasks():
    from mtl.data.cooccurrence import contradictions, find_hints
    from tests.plain import Row

    specs = [task().spec, TaskSpec(name="mood", kind="classification", labels=("bad", "good"))]
    rows = [Row("x", {"topics": list(pair), "mood": "bad" if "law" in pair else "good"}) for pair in combinations(LABELS, 2)] * 40
    hints = find_hints(rows, specs)
    assert {(hint.label, hint.other_label) for hint in hints} == {("law", "good")}
    told = contradictions(hints, "x", Row("x", {"topics": ["law", "sport"], "mood": "good"}).values)
    assert len(told) == 1 and told[0].startswith("topics 'law' and mood 'good' never stand together")
